"""Whether a disk can be told from others and is the one its entry names: each rule stops its disaster."""

from __future__ import annotations

from typing import Any

import pytest

from disk_daemon import fit_disk
from disk_daemon.fit_disk import Disk
from tidb_volume.value import Presence

PLAIN: dict[str, Any] = {"name": "/dev/disk/by-id/x", "told_bytes": 7, "opened_bytes": 7, "serial": "S1"}

TABLE: list[tuple[str, dict[str, Any], Presence, str]] = [
    # rule, what is unlike a plain disk, the answer
    ("is_not_virtual", {"virtual": "vda has no serial"}, Presence.REFUSED, "vda has no serial"),
    (
        "is_told_from_others",
        {"unique": False},
        Presence.REFUSED,
        "nothing tells /dev/disk/by-id/x from other disks",
    ),
    (
        "keeps_its_size",
        {"opened_bytes": 6},
        Presence.STUCK,
        "/dev/disk/by-id/x changes its size: 7, now 6",
    ),
    (
        "keeps_its_size",
        {"opened_bytes": 8},
        Presence.STUCK,
        "/dev/disk/by-id/x changes its size: 7, now 8",
    ),
    (
        "has_the_serial_of_its_entry",
        {"wanted_serial": "S2"},
        Presence.WRONG_DISK,
        "/dev/disk/by-id/x should have serial S2, and has S1; if that is the one, its entry is wrong",
    ),
    (
        "has_the_serial_of_its_entry",
        {"wanted_serial": "S2", "serial": ""},
        Presence.WRONG_DISK,
        "/dev/disk/by-id/x should have serial S2, and has none; if that is the one, its entry is wrong",
    ),
]


@pytest.mark.parametrize(
    ("rule", "unlike", "presence", "said"),
    [pytest.param(*row, marks=pytest.mark.guards(row[0])) for row in TABLE],
)
def test_a_rule_refuses_and_says_what_and_no_other_rule_does(
    rule: str, unlike: dict[str, Any], presence: Presence, said: str
) -> None:
    given = Disk(**{**PLAIN, **unlike})
    assert fit_disk.RULES.unfit(given) == (presence, said)
    assert [each.name for each in fit_disk.RULES if each.check(given)] == [rule]


@pytest.mark.parametrize("unlike", [{}, {"serial": ""}, {"wanted_serial": "S1"}])
def test_a_plain_disk_passes(unlike: dict[str, Any]) -> None:
    assert fit_disk.RULES.unfit(Disk(**{**PLAIN, **unlike})) is None


def test_what_a_folder_is_mounted_from_is_asked_by_no_name_of_a_device() -> None:
    assert fit_disk.RULES.unfit(Disk(name="/data/nvme0")) is None
    asked = fit_disk.RULES.unfit(Disk(name="/data/nvme0", wanted_serial="S1"))
    assert asked is not None
    assert "and has none;" in asked.said


def test_of_all_that_is_wrong_the_first_in_the_table_is_told() -> None:
    assert [each.name for each in fit_disk.RULES] == list(dict.fromkeys(name for name, _, _, _ in TABLE))
    everything = {field: value for _, unlike, _, _ in TABLE for field, value in unlike.items()}
    assert fit_disk.RULES.unfit(Disk(**{**PLAIN, **everything})) == (Presence.REFUSED, "vda has no serial")


def test_every_rule_says_which_disaster_it_prevents_and_is_still_a_function() -> None:
    for each in fit_disk.RULES:
        assert each.prevents
        assert each.check.__doc__
    assert fit_disk.is_told_from_others(Disk(name="x", unique=False)) is not None
