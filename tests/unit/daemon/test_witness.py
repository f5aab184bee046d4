"""Which claim on a tenancy is news to the journal, and what is told of those it has seen."""

from __future__ import annotations

import pytest

from disk_daemon import claims, journal, report
from disk_daemon.jobs import Job, Record
from disk_daemon.known import Broken, Facts, Had, Journal, User
from tests.unit.daemon.cases import NEXT, OLD, entry, facts
from tidb_volume.value import Presence

POD = User(who="pod p", root=f"/.tidb-volume/{OLD}")
BELOW = User(who="pod p", root=f"/.tidb-volume/{OLD}/sub")
LONGER = User(who="pod p", root=f"/.tidb-volume/{OLD}x")
ADMIN = User(who="mount /backup", root="/")
NODE = User(who="pod p", root=f"/tidb-volume/{OLD}")
OTHER_NODE = User(who="pod q", root=f"/tidb-volume/{NEXT}")
OPENED = User(who="smartctl (pid 7)", root="", pid=7)
ABOVE = User(who="mount /ours", root="/.tidb-volume")


def of(claim_uid: str = "", tenancy: str = OLD) -> Job:
    return Job(id=1, kind="observe", tenancy=tenancy, claim_uid=claim_uid)


def knows(*claims: str, tenancy: str = OLD) -> Journal:
    return entry(handed=OLD, had=tuple(Had(tenancy=tenancy, claim_uid=each) for each in claims))


@pytest.mark.parametrize(
    ("job", "disk", "known", "news"),
    [
        (of(), facts(), knows(), None),
        (of("a"), facts(), knows(), (OLD, "a")),
        (of("a"), facts(), knows("a"), None),
        (of("b"), facts(), knows("a"), (OLD, "b")),
        (of("a"), facts(), knows("a", tenancy=NEXT), (OLD, "a")),
        (of("a", tenancy=NEXT), facts(), knows(), None),
        (of(), facts(users=(POD,)), knows(), (OLD, "")),
        (of(), facts(users=(POD,)), knows("a"), None),
        (of(), facts(users=(ADMIN,)), knows(), None),
        (of("a"), facts(users=(POD,)), knows(""), (OLD, "a")),
        (of("a"), facts(), None, None),
        (of("a"), facts(), Broken(why="damaged"), None),
        (of("a"), Facts(presence=Presence.NOT_MOUNTED), knows(), None),
        (of("a", tenancy=""), facts(), entry(handed=""), None),
        (of("a"), facts(users=(POD,)), entry(handed=""), None),
        (of(), facts(users=(ADMIN, POD)), knows(), (OLD, "")),
        (of(), facts(users=(BELOW,)), knows(), (OLD, "")),
        (of(), facts(users=(LONGER, ABOVE)), knows(), None),
        (of("b", tenancy=NEXT), facts(users=(POD,)), knows("a"), None),
        (of(), facts(users=(OPENED, NODE)), entry(handed=OLD, block=True), (OLD, "")),
        (of(), facts(users=(OPENED, OTHER_NODE)), entry(handed=OLD, block=True), None),
        (of(), facts(users=(NODE,)), entry(handed=OLD), None),
    ],
)
def test_a_claim_is_noted_once_on_the_tenancy_that_is_handed_over(
    job: Job, disk: Facts, known: Journal, news: tuple[str, str] | None
) -> None:
    assert claims.news(job, disk, known) == news


def test_what_was_noted_is_known_of_its_own_tenancy_alone() -> None:
    made = journal.had(journal.had(entry(handed=OLD), OLD, "a"), NEXT, "b")
    assert journal.seen_on(made, OLD) == ("a",)
    assert journal.seen_on(made, NEXT) == ("b",)
    assert journal.seen_on(made, "") == ()
    for n in range(journal.KEPT_TENANCIES + 5):
        made = journal.had(made, OLD, str(n))
    assert len(made.had) == journal.KEPT_TENANCIES


@pytest.mark.parametrize(
    ("claims", "on_record", "told"),
    [
        ((), "", ()),
        (("a",), "a", ()),
        (("a",), "", ("a",)),
        (("a", "b"), "b", ("a",)),
        (("",), "a", ()),
        (("",), "", ("",)),
    ],
)
def test_only_who_is_not_on_record_is_told(
    claims: tuple[str, ...], on_record: str, told: tuple[str, ...]
) -> None:
    record = Record(handed=OLD, known=True, claims=claims)
    assert report.disk_report(facts(), record, None, None, claim_uid=on_record).claims == told
