"""The power goes at any moment of a wipe: what was not synced is gone from the disk, and that does no harm.

What a file system has written to its loop device is in the device's file, and nothing else is: a copy of that
file is the disk that is found after the power was cut, up to the last thing that was synced. The journal lies
on another disk, and its copy is as new as can be; so an order that trusts the file system to have more on the
disk than it has synced ends here with another tenant's data.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from disk_daemon import kernel
from disk_daemon.facts.folder import Rules
from tests.disks.bench import (
    CLEAN,
    NEXT,
    OLD,
    Api,
    Disk,
    entry_of,
    identity_of,
    obey,
    reclaim,
    state,
    volume_with,
)
from tidb_volume.value import Order


class Cut(NamedTuple):
    """What is left at one moment."""

    before: str
    image: Path
    journal: Path


def take(disk: Disk, rules: Rules, folder: Path, before: str) -> Cut:
    """Keep what would be there, if the power went now."""
    number = len(list(folder.glob("*.img")))
    cut = Cut(before, folder / f"{number}.img", folder / f"{number}.state")
    subprocess.run(["cp", "--sparse=always", disk.image, cut.image], check=True)
    if os.path.exists(rules.state):
        shutil.copytree(rules.state, cut.journal)
    return cut


def boot(disk: Disk, rules: Rules, cut: Cut) -> None:
    """The machine comes up with what a cut has left, on the same disk by its identity."""
    disk.unmount()
    # The loop device stays, since another would take its number; what it has cached of its file goes.
    subprocess.run(["cp", "--sparse=always", cut.image, disk.image], check=True)
    subprocess.run(["blockdev", "--flushbufs", disk.loop], check=True)
    shutil.rmtree(rules.state, ignore_errors=True)
    if cut.journal.exists():
        shutil.copytree(cut.journal, rules.state)
    disk.mount()


def cuts_of(disk: Disk, rules: Rules, order: Order, folder: Path, *, stored: bool) -> list[Cut]:
    """Carry an order out, keeping what there is before each of its changes and after it was answered.

    stored: the file system has written all of it just then by itself; else only what it was told to.
    """
    folder.mkdir()
    cuts: list[Cut] = []

    def tick(what: str) -> None:
        if stored:
            store(disk)
        cuts.append(take(disk, rules, folder, what))

    ended = obey(disk, order, rules, tick=tick)
    assert state(ended) == ("done", "")
    return [*cuts, take(disk, rules, folder, "answered")]


def store(disk: Disk) -> None:
    """Have the file system write all that it has."""
    fd = os.open(disk.path, os.O_RDONLY)
    kernel.sync_filesystem(fd)
    os.close(fd)


@pytest.fixture
def filled(disk: Disk, rules: Rules) -> Disk:
    """A tenancy with files, all of it on the disk."""
    (disk.tenancy() / "data").mkdir()
    for number in range(3):
        (disk.ours / OLD / "data" / str(number)).write_text("secret")
    store(disk)
    return disk


@pytest.mark.parametrize("stored", [False, True])
def test_after_a_power_cut_the_order_comes_to_the_same_end(
    filled: Disk, rules: Rules, tmp_path: Path, stored: bool
) -> None:
    order = reclaim(identity_of(filled, rules))
    cuts = cuts_of(filled, rules, order, tmp_path / "cuts", stored=stored)
    assert len(cuts) > 10
    for cut in cuts:
        boot(filled, rules, cut)
        if cut.before == "answered":
            assert filled.tree() == CLEAN
            assert entry_of(filled, rules).handed == NEXT
        ended = obey(filled, order, rules)
        assert state(ended) == ("done", ""), (cut.before, ended.work)
        assert filled.tree() == CLEAN
        assert entry_of(filled, rules).handed == NEXT


@pytest.mark.parametrize("stored", [False, True])
def test_after_a_power_cut_a_withdrawn_order_gives_back_all_or_is_done(
    filled: Disk, rules: Rules, tmp_path: Path, stored: bool
) -> None:
    """Also once more after the answer: the data is where a pod will look for it."""
    before = filled.tree()
    order = reclaim(identity_of(filled, rules))
    given = 0
    for number, cut in enumerate(cuts_of(filled, rules, order, tmp_path / "cuts", stored=stored)):
        boot(filled, rules, cut)
        api = Api(volume_with(filled, order))
        api.change_order(withdrawn=True)
        ended = obey(filled, order, rules, api)
        assert ended.work is not None
        if state(ended) == ("refused", "Withdrawn") and not ended.work.begun:
            given += 1
            folder = tmp_path / f"again-{number}"
            folder.mkdir()
            boot(filled, rules, take(filled, rules, folder, "answered"))
            assert filled.tree() == before
            assert (filled.ours / OLD / "data" / "0").read_text() == "secret"
        else:
            assert state(ended) == ("done", "")
            assert filled.tree() == CLEAN
    assert given >= 4


def test_after_a_power_cut_while_it_is_put_back_it_is_put_back_whole(
    filled: Disk, rules: Rules, tmp_path: Path
) -> None:
    """A pause between the rename and the first unlink undoes the rename: until then the disk is as it was."""
    before = filled.tree()
    order = reclaim(identity_of(filled, rules))
    api = Api(volume_with(filled, order))
    api.on_read = lambda reading: api.pause(reading == 2)
    cuts: list[Cut] = []
    folder = tmp_path / "cuts"
    folder.mkdir()

    def tick(what: str) -> None:
        store(filled)
        cuts.append(take(filled, rules, folder, what))

    obey(filled, order, rules, api, tick=tick)
    for cut in cuts:
        boot(filled, rules, cut)
        withdrawn = Api(volume_with(filled, order))
        withdrawn.change_order(withdrawn=True)
        assert state(obey(filled, order, rules, withdrawn)) == ("refused", "Withdrawn"), cut.before
        assert filled.tree() == before
