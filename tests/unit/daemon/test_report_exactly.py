"""Each field of what is told of a disk: where it comes from, and what it says where nothing is to be said."""

from __future__ import annotations

from typing import Any

import pytest

from disk_daemon.jobs import Record
from disk_daemon.known import Raw, Trash, User
from disk_daemon.report import disk_report, one_disk_twice
from tests.unit.daemon.cases import DISK, NEXT, OLD, OTHER, facts, taken
from tidb_volume.value import Content, DiskReport, Presence

KNOWN = Record(handed=OLD, known=True)


def told(record: Record = KNOWN, before: DiskReport | None = None, **fields: Any) -> DiskReport:
    return disk_report(facts(**fields), record, None, before)


def test_a_report_says_all_that_was_seen() -> None:
    seen = facts(
        message="slow",
        boot="b1",
        name="sda",
        used_bytes=50,
        empty=True,
        users=(User(who="pod x", root="/.tidb-volume"),),
        strays=("data",),
        stray_count=1,
    )
    record = Record(handed=OLD, known=True, made="xfs", claims=("c",), last_claim="c", at_root=True)
    assert disk_report(seen, record, None, None, survey=7) == DiskReport(
        presence=Presence.OK,
        message="slow",
        boot="b1",
        device="8:0",
        name="sda",
        identity=DISK,
        capacity_bytes=100,
        used_bytes=50,
        content=Content.TENANCY,
        content_note="entries of others (1), first: 'data'",
        tenancy=OLD,
        empty=True,
        journal=OLD,
        at_root=True,
        made="xfs",
        journal_broken=False,
        in_use="pod x",
        claims=("c",),
        had_since="c",
        trash=(),
        survey=7,
    )


def test_a_disk_without_claims_users_and_trash_says_nothing_of_them() -> None:
    report = told(Record(), tenancies=())
    assert (report.tenancy, report.in_use, report.content_note) == ("", "", "")
    assert (report.claims, report.trash, report.survey) == ((), (), 0)
    assert told(Record(handed=OLD, known=True, claims=("",))).claims == ("",)
    assert told(trash=(Trash(order="o"), Trash(order="p"))).trash == ("o", "p")
    assert told(tenancies=(OLD, NEXT)).tenancy == ""


def test_an_absent_disk_still_says_in_which_boot_it_was_looked_for() -> None:
    report = told(presence=Presence.NOT_PRESENT, boot="b1", message="no such name")
    assert report == DiskReport(presence=Presence.NOT_PRESENT, boot="b1", message="no such name")


# --- a device whose file system is damaged ------------------------------------------------------------------

DAMAGED = Raw(mode="Filesystem", damage="the superblock is gone")


def test_damage_is_the_disks_trouble_while_a_claim_has_it_and_a_question_once_none_does() -> None:
    claimed = disk_report(facts(raw=DAMAGED), KNOWN, None, None, claimed=True)
    assert claimed == DiskReport(presence=Presence.NOT_MOUNTED, message="the superblock is gone")
    free = disk_report(facts(raw=DAMAGED), KNOWN, None, None)
    assert (free.presence, free.content_note) == (Presence.OK, "the superblock is gone")
    well = disk_report(facts(raw=Raw(mode="Filesystem", mounted=True)), KNOWN, None, None, claimed=True)
    assert (well.presence, well.message) == (Presence.OK, "")
    folder = disk_report(facts(), KNOWN, None, None, claimed=True)
    assert folder.presence is Presence.OK


def test_a_reason_that_the_look_gave_goes_before_the_journals() -> None:
    assert told(Record(broken="damaged"), message="slow").message == "slow"


def test_a_disk_whose_facts_were_not_seen_is_not_the_wrong_one() -> None:
    report = disk_report(facts(identity=None), KNOWN, DISK, None)
    assert report.presence is Presence.OK


# --- used bytes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("used", "capacity", "before", "reported"),
    [
        (5, 10, None, 5),  # fewer bytes than steps
        (510, 1000, None, 500),
        (549, 1000, (500, 1000), 500),
        (550, 1000, (500, 1000), 550),
        (451, 1000, (500, 1000), 500),
        (450, 1000, (500, 1000), 450),
        (540, 1000, (500, 2000), 550),  # the disk has grown or shrunk since
        (52, 100, (50, 100), 50),
    ],
)
def test_used_bytes_are_told_in_twentieths_that_hold_still(
    used: int, capacity: int, before: tuple[int, int] | None, reported: int
) -> None:
    last = None
    if before is not None:
        last = DiskReport(presence=Presence.OK, used_bytes=before[0], capacity_bytes=before[1])
    assert told(before=last, used_bytes=used, capacity_bytes=capacity).used_bytes == reported


# --- the journal ------------------------------------------------------------------------------------------


def test_an_order_about_other_tenancies_does_not_explain_the_one_that_is_there() -> None:
    record = Record(handed=OTHER, known=True, order=taken(ends=OTHER, next=NEXT))
    assert told(record).journal_broken


def test_a_lost_journal_is_broken_even_where_what_it_would_have_handed_over_fits() -> None:
    assert told(Record(handed=OLD, known=False)).journal_broken


# --- users ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "words"), [(0, ""), (1, "pod 0"), (2, "pod 0 and 1 more"), (3, "pod 0 and 2 more")]
)
def test_the_first_user_is_named_and_the_others_are_counted(count: int, words: str) -> None:
    users = tuple(User(who=f"pod {n}", root="/.tidb-volume") for n in range(count))
    assert told(users=users).in_use == words


@pytest.mark.parametrize(
    ("claims", "on_record", "others"),
    [
        (("a", "b"), "a", ("b",)),
        (("a", "b"), "", ("a", "b")),
        (("",), "", ("",)),
        (("", "a"), "a", ()),
        (("", "b"), "a", ("b",)),
    ],
)
def test_claims_beside_the_one_on_record_are_told(
    claims: tuple[str, ...], on_record: str, others: tuple[str, ...]
) -> None:
    record = Record(handed=OLD, known=True, claims=claims)
    assert disk_report(facts(), record, None, None, claim_uid=on_record).claims == others


@pytest.mark.parametrize(
    ("last", "on_record", "since"),
    [("a", "a", ""), ("b", "a", "b"), ("b", "", "b"), ("", "a", ""), ("", "", "")],
)
def test_the_last_claim_is_told_if_it_is_not_the_one_on_record(last: str, on_record: str, since: str) -> None:
    record = Record(handed=OLD, known=True, last_claim=last)
    assert disk_report(facts(), record, None, None, claim_uid=on_record).had_since == since


RIVAL = "w (/dev/disk/by-id/old)"


@pytest.mark.parametrize(
    ("raw", "rival", "conflict"),
    [
        (Raw(mode="Filesystem", mountable=True), RIVAL, True),
        (Raw(mode="Filesystem", mountable=True), "", False),
        (Raw(mode="Filesystem"), RIVAL, False),
        (None, RIVAL, False),
    ],
)
def test_what_another_volume_has_by_the_journal_is_a_conflict_while_it_is_not_mounted_for_this_one(
    raw: Raw | None, rival: str, conflict: bool
) -> None:
    seen = facts(presence=Presence.NOT_MOUNTED, message="not mounted", boot="b1", raw=raw)
    found = disk_report(seen, KNOWN, None, None, rival=rival)
    said = (
        f"the same disk (8:0) as {RIVAL}, which has it by the journal; nothing is moved while that volume is"
        " there; if an edit gave the disk this name, take it back"
    )
    presence, message = (Presence.CONFLICT, said) if conflict else (Presence.NOT_MOUNTED, "not mounted")
    assert found == DiskReport(presence=presence, message=message, boot="b1")


# --- two volumes on one disk --------------------------------------------------------------------------------


def seen(device: str, presence: Presence = Presence.OK) -> DiskReport:
    return DiskReport(presence=presence, device=device, content=Content.BLANK)


def test_a_conflict_names_the_disk_and_all_others_in_order_and_says_nothing_of_the_content() -> None:
    reports = {name: seen("8:0") for name in ("e", "c", "a", "d", "b")}
    found = one_disk_twice(reports, frozenset(), {})
    assert found["c"].presence is Presence.CONFLICT
    assert found["c"].content is Content.UNKNOWN
    assert found["c"].message == "the same disk (8:0) as a, b, d, e"


def test_disks_without_a_number_or_that_are_not_there_conflict_with_nothing() -> None:
    unnumbered = {"a": seen(""), "b": seen("")}
    assert one_disk_twice(unnumbered, frozenset(), {}) == unnumbered
    absent = {"a": seen("8:0", Presence.NOT_MOUNTED), "b": seen("8:0"), "c": seen("8:16")}
    assert one_disk_twice(absent, frozenset(), {}) == absent


WHOLES = {"8:1": "8:0", "8:2": "8:0", "8:17": "8:16"}


@pytest.mark.parametrize(
    ("devices", "established", "conflicts"),
    [
        ({"whole": "8:0", "part": "8:1"}, {"whole"}, {"part"}),
        ({"whole": "8:0", "part": "8:1"}, {"part"}, {"whole"}),
        ({"whole": "8:0", "part": "8:1"}, set(), {"whole", "part"}),
        ({"whole": "8:0", "part": "8:1"}, {"whole", "part"}, {"whole", "part"}),
        ({"part": "8:1", "next": "8:2"}, set(), set()),
        ({"whole": "8:0", "part": "8:17"}, set(), set()),
        ({"part": "8:1", "again": "8:1", "next": "8:2"}, {"part"}, {"again"}),
        ({"whole": "8:0", "part": "8:1", "next": "8:2"}, {"part", "next"}, {"whole"}),
        ({"whole": "8:0", "part": "8:1", "next": "8:2"}, {"whole"}, {"part", "next"}),
    ],
)
def test_a_disk_and_a_partition_of_it_are_one_disk_and_two_partitions_are_two(
    devices: dict[str, str], established: set[str], conflicts: set[str]
) -> None:
    reports = {name: seen(device) for name, device in devices.items()}
    found = one_disk_twice(reports, frozenset(established), WHOLES)
    assert {name for name, each in found.items() if each.presence is Presence.CONFLICT} == conflicts
    assert all(found[name] == reports[name] for name in devices.keys() - conflicts)


def test_each_of_a_disk_and_its_partitions_is_told_which_the_others_are() -> None:
    devices = {"whole": "8:0", "b": "8:1", "a": "8:1", "c": "8:2"}
    reports = {name: seen(device) for name, device in devices.items()}
    found = one_disk_twice(reports, frozenset({"whole"}), WHOLES)
    way = "list a disk or partitions of it, not both"
    assert found["b"].message == f"of the same disk (8:1 of 8:0) as a (8:1), whole (8:0); {way}"
    assert found["c"].message == f"of the same disk (8:2 of 8:0) as whole (8:0); {way}"
    found = one_disk_twice(reports, frozenset(), WHOLES)
    assert found["whole"].message == f"of the same disk (8:0 of 8:0) as a (8:1), b (8:1), c (8:2); {way}"
    assert found["c"].content is Content.UNKNOWN
