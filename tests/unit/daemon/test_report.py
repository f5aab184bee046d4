"""What is told of a disk, and what two volumes that lead to one disk are told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from disk_daemon.api import whole
from disk_daemon.jobs import Record
from disk_daemon.known import Raw, Trash, User
from disk_daemon.report import disk_report, one_disk_twice
from tests.unit.daemon.cases import DISK, NEXT, OLD, OTHER, facts, taken
from tidb_volume.value import Content, DiskReport, Identity, Presence

KNOWN = Record(handed=OLD, known=True)


def told(record: Record = KNOWN, before: DiskReport | None = None, **fields: Any) -> DiskReport:
    return disk_report(facts(**fields), record, None, before)


def test_an_absent_disk_is_told_with_nothing_of_what_it_was() -> None:
    report = told(presence=Presence.NOT_MOUNTED, message="why")
    assert report == DiskReport(presence=Presence.NOT_MOUNTED, message="why")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"presence": Presence.NOT_MOUNTED, "raw": Raw(mode="Filesystem", mountable=True)}, "why: EIO: so"),
        ({"presence": Presence.NOT_MOUNTED, "raw": Raw(mode="Filesystem")}, "why"),
        ({"presence": Presence.NOT_MOUNTED}, "why"),
        ({"presence": Presence.STUCK}, "why"),
        ({}, "why"),
    ],
)
def test_why_what_is_ours_cannot_be_mounted_is_told_where_it_is_to_be_mounted(
    fields: dict[str, Any], said: str
) -> None:
    seen = facts(message="why", **fields)
    assert disk_report(seen, KNOWN, None, None, not_mounted="EIO: so").message == said
    assert disk_report(seen, KNOWN, None, None).message == "why"


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        (None, 70),
        (DiskReport(presence=Presence.OK, boot="b1", survey=50), 50),
        (DiskReport(presence=Presence.OK, boot="b1"), 70),
        (DiskReport(presence=Presence.OK, boot="b0", survey=50), 70),
    ],
)
def test_a_report_keeps_the_survey_of_this_boot_that_it_began_with(
    before: DiskReport | None, kept: int
) -> None:
    assert disk_report(facts(boot="b1"), KNOWN, None, before, survey=70).survey == kept


def test_another_hardware_than_the_recorded_one_is_the_wrong_disk() -> None:
    recorded = msgspec.structs.replace(DISK, serial="S2")
    report = disk_report(facts(), KNOWN, recorded, None)
    assert report.presence is Presence.WRONG_DISK
    assert "S1" in report.message
    assert "S2" in report.message


def test_another_file_system_under_a_folder_is_the_wrong_disk_as_every_order_for_it_says() -> None:
    recorded = msgspec.structs.replace(DISK, fs_uuid="u0")
    report = disk_report(facts(), KNOWN, recorded, None)
    assert (report.presence, report.identity) == (Presence.WRONG_DISK, DISK)
    assert "u0" in report.message


def test_another_file_system_on_a_device_is_told_by_its_identity_since_it_is_ours_to_make() -> None:
    recorded = msgspec.structs.replace(DISK, fs_uuid="u0")
    report = disk_report(facts(raw=Raw(mode="Filesystem", mounted=True)), KNOWN, recorded, None)
    assert (report.presence, report.identity) == (Presence.OK, DISK)


BROKEN: list[tuple[str, Record, dict[str, Any], bool]] = [
    ("agrees", KNOWN, {}, False),
    ("none", Record(), {}, True),
    ("another tenancy", Record(handed=OTHER, known=True), {}, True),
    ("damaged", Record(broken="damaged"), {}, True),
    ("damaged, on a blank disk", Record(broken="damaged"), {"tenancies": ()}, True),
    ("none, on a blank disk", Record(), {"tenancies": ()}, False),
    ("an order at work ends it", Record(handed="", known=True, order=taken()), {}, False),
    (
        "an order at work made it",
        Record(handed=OLD, known=True, order=taken()),
        {"tenancies": (NEXT,)},
        False,
    ),
]


@pytest.mark.parametrize(
    ("record", "fields", "broken"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN]
)
def test_a_journal_that_does_not_know_the_tenancy_is_said_to_be_broken(
    record: Record, fields: dict[str, Any], broken: bool
) -> None:
    assert told(record, **fields).journal_broken is broken


def test_why_a_journal_cannot_be_read_is_told() -> None:
    assert told(Record(broken="the journal x is damaged"), tenancies=()).message == "the journal x is damaged"
    assert told().message == ""


def test_while_nothing_can_be_journalled_a_disk_is_told_with_all_that_is_seen_of_it() -> None:
    cannot = msgspec.structs.replace(KNOWN, unwritable="EROFS")
    report = told(cannot)
    assert report == msgspec.structs.replace(told(), presence=Presence.HINDERED, message="EROFS")
    recorded = msgspec.structs.replace(DISK, serial="S2")
    assert disk_report(facts(), cannot, recorded, None).presence is Presence.WRONG_DISK
    assert told(cannot, presence=Presence.STUCK, message="why").message == "why"


def test_a_tenant_who_writes_does_not_change_the_report() -> None:
    report = told(used_bytes=52, capacity_bytes=100)
    assert report.used_bytes == 50
    for used in (46, 48, 52, 54):
        assert told(before=report, used_bytes=used, capacity_bytes=100).used_bytes == 50
    assert told(before=report, used_bytes=56, capacity_bytes=100).used_bytes == 55


def test_users_and_strangers_are_named() -> None:
    users = (User(who="pod x", root="/.tidb-volume/a"), User(who="pod y", root="/.tidb-volume/a"))
    assert told(users=users).in_use == "pod x and 1 more"
    assert told(users_unknown="EACCES").in_use == "unknown: EACCES"
    report = told(trash=(Trash(order="o"),), others=("note",), strays=("data",))
    assert report.content is Content.DATA
    assert all(word in report.content_note for word in ("trash of order o", "'note'", "'data'"))


def seen(device: str) -> DiskReport:
    return DiskReport(presence=Presence.OK, device=device, content=Content.BLANK)


def test_of_two_volumes_on_one_disk_the_newcomer_is_the_conflict() -> None:
    reports = {"old": seen("8:0"), "new": seen("8:0"), "other": seen("8:16")}
    found = one_disk_twice(reports, frozenset({"old", "other"}), {})
    assert {name: report.presence for name, report in found.items()} == {
        "old": Presence.OK,
        "new": Presence.CONFLICT,
        "other": Presence.OK,
    }
    assert "old" in found["new"].message


@pytest.mark.parametrize("established", [frozenset[str](), frozenset({"a", "b"})])
def test_of_two_volumes_on_one_disk_none_is_right_where_neither_or_both_came_first(
    established: frozenset[str],
) -> None:
    found = one_disk_twice({"a": seen("8:0"), "b": seen("8:0")}, established, {})
    assert {report.presence for report in found.values()} == {Presence.CONFLICT}


def test_a_patch_takes_away_what_a_report_does_not_say_any_more() -> None:
    patch = whole(DiskReport(presence=Presence.OK, identity=Identity(serial="S1"), tenancy=""))
    assert patch["presence"] == "OK"
    assert patch["tenancy"] is None
    assert patch["trash"] is None
    assert patch["identity"]["serial"] == "S1"
    assert patch["identity"]["eui"] is None
    assert set(patch) == {field.encode_name for field in msgspec.structs.fields(DiskReport)}
