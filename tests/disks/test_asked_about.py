"""What comes to lie on a disk after a person was asked is not wiped on his answer."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from disk_daemon import journal
from disk_daemon.facts.folder import Rules
from disk_daemon.known import Entry
from tests.disks.bench import (
    NEXT,
    OLD,
    Disk,
    RawDisk,
    answered,
    die_before,
    for_all_of,
    identity_of,
    in_child,
    obey,
    reclaim,
    state,
)
from tests.disks.device import SECRET, prepare, written
from tidb_volume import names
from tidb_volume.value import Order


def of_somebody(disk: Disk, rules: Rules) -> Order:
    """The order to wipe a disk with a file of somebody's, on the answer of a person who was told of that."""
    (disk.path / "old").write_bytes(SECRET)
    return for_all_of(disk, rules, reclaim(identity_of(disk, rules), kind="prepare", ends="", answer="q"))


@pytest.mark.guards("is_what_was_asked_about")
def test_a_file_that_came_since_is_not_wiped_with_what_was_there(disk: Disk, rules: Rules) -> None:
    order = of_somebody(disk, rules)
    (disk.path / "new").write_bytes(SECRET)
    refused = obey(disk, order, rules, answered(disk, order))
    assert state(refused) == ("refused", "HasData")
    assert refused.work is not None
    assert "asked about 'data::entries of others (1), first: 'old':'" in refused.work.message
    assert "(2)" in refused.work.message
    assert [(disk.path / name).read_bytes() for name in ("old", "new")] == [SECRET, SECRET]
    told = for_all_of(disk, rules, order)
    assert state(obey(disk, told, rules, answered(disk, told))) == ("done", "")
    assert not (disk.path / "new").exists()


def test_a_file_that_came_while_nobody_was_at_work_is_not_put_aside_with_the_rest(
    disk: Disk, rules: Rules
) -> None:
    """Cut after the renames, the next process finds what the first one put aside, and what came since. The
    guard says so, and were it gone, the step itself would (`step.decide`)."""
    order = of_somebody(disk, rules)

    def put_aside() -> list[Path]:
        return list(disk.path.glob(".tidb-volume/trash-*/root/old"))

    def die(what: str) -> None:
        if put_aside():
            os._exit(1)

    in_child(lambda: obey(disk, order, rules, answered(disk, order), tick=die))
    assert put_aside()
    (disk.path / "new").write_bytes(SECRET)
    assert state(obey(disk, order, rules, answered(disk, order))) == ("refused", "HasData")
    assert (disk.path / "new").read_bytes() == SECRET
    assert [each.read_bytes() for each in put_aside()] == [SECRET]
    (disk.path / "new").unlink()
    assert state(obey(disk, order, rules, answered(disk, order))) == ("done", "")


@pytest.mark.parametrize("block", [False, True], ids=["filesystem", "block"])
@pytest.mark.guards("is_what_was_asked_about")
def test_a_file_system_that_was_made_since_is_not_wiped(raw: RawDisk, rules: Rules, block: bool) -> None:
    how = {"volume_mode": "Block", "fs_type": ""} if block else {}
    written(raw, "ext4")
    order = for_all_of(raw, rules, prepare(identity_of(raw, rules), answer="q"), **how)
    subprocess.run(["mkfs.ext4", "-q", "-F", raw.loop], check=True)
    before = raw.content()
    assert state(obey(raw, order, rules, answered(raw, order), job=how)) == ("refused", "HasData")
    assert raw.content() == before


@pytest.mark.parametrize("block", [False, True], ids=["filesystem", "block"])
def test_a_file_system_that_was_made_after_a_wipe_was_cut_is_not_wiped_on_an_answer_about_another(
    raw: RawDisk, rules: Rules, block: bool
) -> None:
    how = {"volume_mode": "Block", "fs_type": ""} if block else {}
    written(raw, "ext4")
    order = for_all_of(raw, rules, prepare(identity_of(raw, rules), answer="q"), **how)

    def is_begun() -> bool:
        known = journal.load(rules.state, identity_of(raw, rules))
        return isinstance(known, Entry) and known.order is not None and known.order.begun

    def die(what: str) -> None:
        if is_begun():
            os._exit(1)

    in_child(lambda: obey(raw, order, rules, answered(raw, order), job=how, tick=die))
    assert is_begun()
    subprocess.run(["mkfs.ext4", "-q", "-F", raw.loop], check=True)
    before = raw.content()
    newer = msgspec.structs.replace(order, id="order-2", answer="q-2")
    for each in (order, newer):
        assert state(obey(raw, each, rules, answered(raw, each), job=how)) == ("refused", "HasData")
        assert raw.content() == before
    told = for_all_of(raw, rules, newer, **how)
    assert state(obey(raw, told, rules, answered(raw, told), job=how)) == ("done", "")


@pytest.mark.parametrize("method", ["auto", "files"])
def test_what_a_hand_has_put_beside_a_tenancy_outlives_its_wipe(
    used: RawDisk, rules: Rules, method: str
) -> None:
    beside = Path(used.ours).parent / "by-hand"
    beside.write_bytes(SECRET)
    assert state(obey(used, reclaim(identity_of(used, rules), method=method), rules)) == ("done", "")
    assert beside.read_bytes() == SECRET
    assert sorted(each.name for each in used.ours.iterdir()) == [NEXT]


@pytest.mark.parametrize("method", ["format", "zero"])
def test_a_wipe_that_would_take_it_is_refused(used: RawDisk, rules: Rules, method: str) -> None:
    beside = Path(used.ours).parent / "by-hand"
    beside.write_bytes(SECRET)
    order = reclaim(identity_of(used, rules), method=method)
    assert state(obey(used, order, rules)) == ("refused", "HasData")
    assert beside.read_bytes() == SECRET
    assert (used.ours / OLD).is_dir()
    beside.unlink()
    assert state(obey(used, order, rules)) == ("done", "")


@pytest.mark.parametrize("step", ["hold", "plant", "mkfs", "mount"])
def test_what_orders_on_one_answer_have_put_aside_is_known_however_often_they_are_cut(
    used: RawDisk, rules: Rules, step: str
) -> None:
    """The second one is for more than deleting; what the first has put aside goes with the file system."""
    order = reclaim(identity_of(used, rules), kind="prepare", ends=OLD, answer="q", method="files")
    first = for_all_of(used, rules, order)
    assert in_child(lambda: obey(used, first, rules, answered(used, first), tick=die_before("unlink"))) != 0
    trash = [each.name for each in used.ours.iterdir()]
    assert trash == [names.TRASH + first.id]
    second = msgspec.structs.replace(first, id="order-2", ends="", method="zero")
    tick = die_before(step)
    in_child(lambda: obey(used, second, rules, answered(used, second), tick=tick))
    third = msgspec.structs.replace(second, id="order-3")
    assert state(obey(used, third, rules, answered(used, third))) == ("done", "")
    assert not used.holds(SECRET)
    assert [each.name for each in used.ours.iterdir()] == [NEXT]
