"""The power goes in the middle of a wipe, on a disk with a cache: what was not synced is lost, all or some.

`test_power_cut.py` cuts a folder's disk that stores what it is given. A device is written past any file
system, so that it is for us to sync it: an order that answers `done`, or journals how far it is, before the
disk has stored that leaves the old tenant's data to the new one.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from disk_daemon.facts.folder import Rules
from tests.disks.bench import state
from tests.disks.failing_case import BLOCK, EXT4, Case, Method, case_of

pytestmark = pytest.mark.long

METHODS = [
    Method("format", "device", method="format"),
    Method("zero below a file system", "device", method="zero", job=EXT4),
    Method("zero a Block volume", "device", method="zero", job=BLOCK),
    Method("discard a Block volume", "device", method="discard", job=BLOCK),
    Method("overwrite a Block volume", "device", method="overwrite:2", job=BLOCK),
    Method("nvme-format below a file system", "device", method="nvme-format", job=EXT4),
    Method("nvme-format of a Block volume", "device", method="nvme-format", job=BLOCK),
]
SEED = 5


class Cut(NamedTuple):
    """What is left at one moment."""

    before: str
    image: Path
    journal: Path


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_after_a_power_cut_the_order_comes_to_the_same_end(
    own_mounts: None, tmp_path: Path, rules: Rules, method: Method
) -> None:
    with case_of(method, tmp_path, rules) as case:
        case.set_back()
        case.file.remember()
        for cut in cuts_of(case, tmp_path):
            case.put_away()
            case.file.restore(cut.image)
            shutil.rmtree(journal_of(rules))
            shutil.copytree(cut.journal, journal_of(rules))
            shutil.rmtree(rules.nodes, ignore_errors=True)
            case.boot()
            if cut.before == "answered":
                assert case.is_ended()
            again = case.obey(msgspec.structs.replace(case.order, id="order-2", attempt=1))
            assert state(again) == ("done", ""), (cut.before, again.work)
            assert case.is_ended(), cut.before


def journal_of(rules: Rules) -> Path:
    """It lies on another disk, beside what is mounted."""
    return Path(rules.state) / "journal"


def cuts_of(case: Case, folder: Path) -> list[Cut]:
    """Carry the order out, keeping what there would be if the power went: before each change, and after it
    was answered. All that was not synced is lost, or, every other time, some of it by chance."""
    chance = random.Random(SEED)
    cuts: list[Cut] = []

    def tick(what: str) -> None:
        number = len(cuts)
        cut = Cut(what, folder / f"cut-{number}.img", folder / f"cut-{number}.journal")
        case.file.lose_power(cut.image, chance, lost=0.5 if number % 2 else 1.0)
        shutil.copytree(journal_of(case.rules), cut.journal)
        cuts.append(cut)

    assert state(case.obey(case.order, tick)) == ("done", "")
    tick("answered")
    return cuts
