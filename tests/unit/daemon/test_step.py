"""What is to be done about an order, for each state of affairs that a crash or a person can leave behind."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disk_daemon.known import Case, Given, Past, Trash, User
from disk_daemon.step import decide
from disk_daemon.verdict import (
    AlreadyDone,
    Aside,
    AsideAll,
    Do,
    Dropped,
    Erase,
    Finish,
    GiveBack,
    Make,
    Note,
    Recheck,
    Refuse,
    Remove,
    Verdict,
    Verify,
    Wait,
)
from tests.unit.daemon.cases import (
    NEXT,
    OLD,
    OTHER,
    case,
    entry,
    facts,
    order,
    pv,
    taken,
    with_admin,
    with_live,
    with_order,
    with_volume,
)
from tidb_volume.value import Adopt, Answer, Question, Restore, VolumeStatus

DONE = Past(id="order-1", kind="reclaim", ends=OLD, next=NEXT, at="")
ASIDE = facts(tenancies=(), trash=(Trash(order="order-1", entries=(OLD,)),))
EMPTIED = facts(tenancies=(), trash=(Trash(order="order-1"),))
GONE = facts(tenancies=())
MADE = facts(tenancies=(NEXT,), empty=True)
BLANK = facts(tenancies=(), folder=False)
ENDING = (Verify(), Make(), Finish())


def wipe(*trash: str, begun: bool = False, aside: bool = False) -> Do:
    first = (Note(begun=begun), *((Aside(OLD),) if aside else ()))
    return Do((*first, Recheck(), Note(begun=True), *map(Erase, trash), *ENDING))


TRAIL: list[tuple[str, Case, Verdict]] = [
    ("released, nothing done yet", case(), wipe("order-1", aside=True)),
    ("noted, then cut", case(journal=entry(order=taken())), wipe("order-1", aside=True)),
    ("put aside, then cut", case(disk=ASIDE, journal=entry(order=taken())), wipe("order-1")),
    (
        "begun, then cut",
        case(disk=ASIDE, journal=entry(order=taken(begun=True))),
        wipe("order-1", begun=True),
    ),
    (
        "all in the trash is gone, then cut",
        case(disk=EMPTIED, journal=entry(order=taken(begun=True))),
        wipe("order-1", begun=True),
    ),
    (
        "the trash is gone, then cut",
        case(disk=GONE, journal=entry(order=taken(begun=True))),
        wipe(begun=True),
    ),
    ("made, then cut", case(disk=MADE, journal=entry(order=taken(begun=True))), Do((Finish(),))),
    ("done, then cut", case(disk=MADE, journal=entry(handed=NEXT, done=(DONE,))), AlreadyDone()),
    ("the journal was lost, the tenancy is there", case(journal=None), wipe("order-1", aside=True)),
    ("the journal was lost when all was made", case(disk=MADE, journal=None), Do((Finish(),))),
]


@pytest.mark.parametrize(("made", "verdict"), [row[1:] for row in TRAIL], ids=[row[0] for row in TRAIL])
def test_a_reclaim_goes_on_from_wherever_it_was_cut(made: Case, verdict: Verdict) -> None:
    assert decide(made) == verdict


def fresh(**fields: Any) -> Any:
    return order(id="order-2", **fields)


def test_a_fresh_order_for_the_same_tenancy_goes_on_where_a_failed_one_ended() -> None:
    begun = entry(order=taken(begun=True))
    assert decide(case(fresh(), disk=ASIDE, journal=begun)) == wipe("order-1", begun=True)
    assert decide(case(fresh(), disk=GONE, journal=begun)) == wipe(begun=True)


DATA: list[tuple[str, Case]] = [
    ("another tenancy", case(disk=facts(tenancies=(OTHER,)))),
    ("another tenancy beside it", case(disk=facts(tenancies=(OLD, OTHER)))),
    ("no tenancy", case(disk=GONE)),
    ("no tenancy and no journal", case(disk=GONE, journal=None)),
    ("an order that ends none", case(order(ends=""), disk=GONE)),
    ("an order that ends none, on data", case(order(ends=""), disk=facts(tenancies=(), strays=("x",)))),
    ("another wipe's trash", case(disk=facts(trash=(Trash(order="order-0", entries=(OTHER,)),)))),
    (
        "this order's trash with another tenancy",
        case(disk=facts(tenancies=(), trash=(Trash(order="order-1", entries=(OTHER,)),))),
    ),
    ("something else among our folders", case(disk=facts(others=("notes",)))),
    ("a journal with another tenancy", case(journal=entry(handed=OTHER))),
    ("a journal with none", case(journal=entry(handed=""))),
    ("done, and the next tenancy gone", case(disk=GONE, journal=entry(handed=NEXT, done=(DONE,)))),
    ("done, and the old tenancy back", case(journal=entry(handed=NEXT, done=(DONE,)))),
    (
        "done, and the next tenancy written to",
        case(disk=facts(tenancies=(NEXT,)), journal=entry(done=(DONE,))),
    ),
    (
        "done, and the next tenancy in use",
        case(
            disk=facts(tenancies=(NEXT,), empty=True, users=(User(who="p", root=f"/.tidb-volume/{NEXT}"),)),
            journal=entry(handed=NEXT, done=(DONE,)),
        ),
    ),
    ("not done, but the next tenancy is there, used", case(disk=facts(tenancies=(NEXT,)))),
    (
        "done without an offer, and something on the disk",
        case(order(offer=False), disk=facts(tenancies=(OTHER,)), journal=entry(done=(DONE,))),
    ),
]


@pytest.mark.parametrize("made", [row[1] for row in DATA], ids=[row[0] for row in DATA])
def test_any_doubt_about_whose_data_it_is_ends_in_has_data(made: Case) -> None:
    verdict = decide(made)
    assert isinstance(verdict, Refuse), verdict
    assert verdict.reason == "HasData"
    assert "by hand" in verdict.message


def test_a_new_leader_that_asks_again_with_a_fresh_id_is_told_what_was_done() -> None:
    done = entry(handed=NEXT, done=(DONE,))
    assert decide(case(order(id="order-9"), disk=MADE, journal=done)) == AlreadyDone()
    kept_back = case(order(id="order-9", offer=False), disk=BLANK, journal=entry(handed="", done=(DONE,)))
    assert decide(kept_back) == AlreadyDone()


def test_an_order_that_is_not_committed_waits_though_its_pv_is_still_there() -> None:
    early = with_live(with_volume(case(), status=VolumeStatus()), pvs=(pv(),))
    verdict = decide(early)
    assert isinstance(verdict, Wait)
    assert verdict.reason == "NotCommitted"


def test_a_disk_that_is_not_to_be_offered_gets_no_next_folder() -> None:
    verdict = decide(case(order(offer=False)))
    assert isinstance(verdict, Do)
    assert Make() not in verdict.moves
    assert decide(case(order(offer=False), disk=BLANK, journal=entry(done=(DONE,)))) == AlreadyDone()


# --- prepare -----------------------------------------------------------------------------------

FIRST = order(kind="prepare", ends="")
AGAIN = order(kind="prepare")
FREE = facts(empty=True)

PREPARED: list[tuple[str, Case, Verdict | str]] = [
    ("a blank disk", case(FIRST, disk=BLANK, journal=None), Do((Note(begun=False), Make(), Finish()))),
    (
        "an empty folder of ours",
        case(FIRST, disk=GONE, journal=None),
        Do((Note(begun=False), Make(), Finish())),
    ),
    ("data of others", case(FIRST, disk=facts(tenancies=(), strays=("x",)), journal=None), "HasData"),
    ("a tenancy", case(FIRST, disk=FREE, journal=entry()), "HasData"),
    ("trash", case(FIRST, disk=ASIDE, journal=None), "HasData"),
    (
        "a free disk offered anew",
        case(AGAIN, disk=FREE),
        Do((Note(begun=True), Remove(OLD), Make(), Finish())),
    ),
    (
        "cut before it was removed",
        case(AGAIN, disk=FREE, journal=entry(order=taken(kind="prepare", begun=True))),
        Do((Note(begun=True), Remove(OLD), Make(), Finish())),
    ),
    (
        "cut after it was removed",
        case(AGAIN, disk=GONE, journal=entry(order=taken(kind="prepare", begun=True))),
        Do((Note(begun=True), Make(), Finish())),
    ),
    ("removed by someone else", case(AGAIN, disk=GONE), "HasData"),
    ("written to", case(AGAIN), "HasData"),
    ("unknown to the journal", case(AGAIN, disk=FREE, journal=None), "HasData"),
    ("the journal has another", case(AGAIN, disk=FREE, journal=entry(handed=OTHER)), "HasData"),
    ("another tenancy", case(AGAIN, disk=facts(tenancies=(OTHER,), empty=True)), "HasData"),
]


@pytest.mark.notices("daemon: a tenancy that is not empty is taken for unused", "written to")
@pytest.mark.parametrize(("made", "verdict"), [row[1:] for row in PREPARED], ids=[row[0] for row in PREPARED])
def test_a_prepare_destroys_nothing(made: Case, verdict: Verdict | str) -> None:
    found = decide(made)
    if isinstance(verdict, str):
        assert isinstance(found, Refuse)
        assert found.reason == verdict
    else:
        assert found == verdict


# --- adopt: Wipe -------------------------------------------------------------------------------

ADOPT = order(kind="prepare", ends="", answer="q1", whole_disk=True)


def answered(made: Case) -> Case:
    return with_admin(made, adopt=Adopt(question="q1", action="Wipe"))


def test_an_answered_order_for_the_whole_disk_takes_everything() -> None:
    strays = facts(tenancies=(), strays=("data",), others=("x",))
    verdict = decide(answered(case(ADOPT, disk=strays, journal=None)))
    moves = (Note(begun=False), AsideAll(), Recheck(), Note(begun=True), Erase("order-1"), *ENDING)
    assert verdict == Do(moves)


@pytest.mark.notices("daemon: another tenancy on the disk is not looked at")
def test_it_takes_no_tenancy_that_it_does_not_name() -> None:
    verdict = decide(answered(case(ADOPT, disk=facts(strays=("data",)), journal=None)))
    assert isinstance(verdict, Refuse)
    named = order(kind="prepare", answer="q1", whole_disk=True)
    assert isinstance(decide(answered(case(named, disk=facts(strays=("data",)), journal=None))), Do)


def test_a_persons_word_on_all_that_is_there_settles_what_the_journal_says_otherwise() -> None:
    everything = order(kind="prepare", answer="q1", whole_disk=True)
    assert isinstance(decide(answered(case(everything, journal=entry(handed=OTHER)))), Do)
    now = order(answer="q1")
    assert isinstance(decide(answered(case(now, journal=entry(handed=OTHER)))), Refuse)


def test_it_takes_trash_that_nobody_knows() -> None:
    unknown = facts(tenancies=(), trash=(Trash(order="order-0", entries=(OTHER,)),))
    verdict = decide(answered(case(ADOPT, disk=unknown, journal=None)))
    assert isinstance(verdict, Do)
    assert Erase("order-0") in verdict.moves


# --- withdrawn ---------------------------------------------------------------------------------


def withdrawn(made: Case) -> Case:
    return with_order(made, withdrawn=True)


@pytest.mark.notices("daemon: a withdrawn order is given back though bytes are gone")
def test_a_withdrawn_order_gives_back_until_a_byte_is_gone() -> None:
    noted = entry(order=taken())
    assert decide(withdrawn(case())) == GiveBack()
    assert decide(withdrawn(case(disk=ASIDE, journal=noted))) == GiveBack()
    begun = entry(order=taken(begun=True))
    assert decide(withdrawn(case(disk=ASIDE, journal=begun))) == wipe("order-1", begun=True)
    assert decide(withdrawn(case(disk=MADE, journal=entry(handed=NEXT, done=(DONE,))))) == AlreadyDone()


def test_an_order_that_was_never_committed_is_answered_when_it_is_withdrawn_though_bytes_are_gone() -> None:
    """It goes on with another's wipe. Nobody commits what is taken back, so it would wait without end."""
    begun = entry(order=taken(id="order-0", begun=True))
    made = with_volume(withdrawn(case(disk=ASIDE, journal=begun)), status=VolumeStatus(committed="order-0"))
    verdict = decide(made)
    assert isinstance(verdict, Refuse)
    assert verdict.reason == "Withdrawn"
    assert made.maybe_begun
    unused = case(order(kind="prepare"), disk=facts(empty=True), journal=entry(order=taken(begun=True)))
    assert isinstance(decide(with_volume(withdrawn(unused), status=VolumeStatus())), Do)


def test_a_withdrawn_order_is_answered_though_the_fleet_is_paused_or_the_volume_held() -> None:
    assert decide(with_admin(withdrawn(case()), hold=True)) == GiveBack()


def test_trash_that_the_journal_cannot_explain_is_not_given_back_as_untouched() -> None:
    unknown = case(disk=ASIDE, journal=None)
    asked = Question(id="q", kind="release", about="", text="", at="")
    restored = with_volume(unknown, status=VolumeStatus(committed="order-1", question=asked))
    for made in (withdrawn(unknown), with_admin(restored, restore=Restore(question="q"))):
        verdict = decide(made)
        assert isinstance(verdict, Refuse)
        assert verdict.reason == "HasData", "whoever asked for it is asked"
    other = decide(with_admin(restored, restore=Restore(question="q-0")))
    assert other == wipe("order-1")
    # What the journal explains waits for the restore, or goes on.
    asked_back = with_admin(restored, restore=Restore(question="q"))
    untouched = msgspec.structs.replace(asked_back, disk=facts(), journal=entry())
    waits = decide(untouched)
    assert isinstance(waits, Wait)
    assert waits.reason == "RestoreAsked"
    begun = msgspec.structs.replace(asked_back, journal=entry(order=taken(begun=True)))
    assert decide(begun) == wipe("order-1", begun=True)


@pytest.mark.notices("daemon: an order that was withdrawn is obeyed once etcd is set back")
def test_an_order_that_was_withdrawn_once_does_not_come_back_out_of_a_restored_etcd() -> None:
    back = entry(taken_back=("order-1",))
    for disk in (facts(), ASIDE):
        verdict = decide(case(disk=disk, journal=back))
        assert isinstance(verdict, Refuse)
        assert verdict.reason == "HasData"
    assert decide(withdrawn(case(journal=back))) == GiveBack()
    assert decide(case(fresh(), journal=back)) == wipe("order-2", aside=True)


def test_a_tenancy_given_back_to_its_claim_is_not_ended_for_that_claim_without_an_answer() -> None:
    back = entry(given=(Given(tenancy=OLD, claim_uid="c1"),))
    verdict = decide(case(fresh(claim_uid="c1"), journal=back))
    assert isinstance(verdict, Refuse)
    assert verdict.reason == "HasData"
    assert "given back" in verdict.message
    assert "by hand" in verdict.message
    assert isinstance(decide(case(fresh(claim_uid="c2"), journal=back)), Do)
    said = with_admin(case(fresh(claim_uid="c1", answer="q"), journal=back), wipe_now=Answer(question="q"))
    assert isinstance(decide(said), Do)
    going_on = entry(given=(Given(tenancy=OTHER, claim_uid="c1"),))
    assert isinstance(decide(case(fresh(claim_uid="c1"), journal=going_on)), Do)


def test_an_order_that_is_not_current_is_nobodys_business() -> None:
    assert decide(with_order(case(), id="order-2")) == Dropped()


# --- whatever comes ----------------------------------------------------------------------------

TENANCIES = st.sampled_from([OLD, NEXT, OTHER])
DISKS = st.builds(
    facts,
    tenancies=st.lists(TENANCIES, max_size=2, unique=True).map(tuple),
    empty=st.booleans(),
    trash=st.lists(
        st.builds(
            Trash,
            order=st.sampled_from(["order-0", "order-1"]),
            entries=st.lists(TENANCIES, max_size=1).map(tuple),
        ),
        max_size=2,
        unique_by=lambda each: each.order,
    ).map(tuple),
    strays=st.sampled_from([(), ("data",)]),
)
JOURNALS = st.none() | st.builds(
    entry,
    handed=st.sampled_from(["", OLD, NEXT, OTHER]),
    order=st.none() | st.builds(taken, id=st.sampled_from(["order-0", "order-1"]), begun=st.booleans()),
    done=st.sampled_from([(), (DONE,)]),
)
ORDERS = st.builds(
    order,
    kind=st.sampled_from(["reclaim", "prepare"]),
    ends=st.sampled_from(["", OLD]),
    answer=st.sampled_from(["", "q"]),
    whole_disk=st.booleans(),
    offer=st.booleans(),
)


@pytest.mark.notices("daemon: an order that was done ends whatever tenancy there is")
@settings(max_examples=400)
@given(given_order=ORDERS, disk=DISKS, journal=JOURNALS)
def test_no_order_ever_touches_a_tenancy_that_it_does_not_end(
    given_order: Any, disk: Any, journal: Any
) -> None:
    verdict = decide(with_admin(case(given_order, disk=disk, journal=journal), wipe_now=Answer(question="q")))
    if not isinstance(verdict, Do):
        return
    ends = given_order.ends
    there = {*disk.tenancies, *(name for each in disk.trash for name in each.entries)}
    for move in verdict.moves:
        match move:
            case Aside() | Remove():
                assert move.tenancy == ends
            case AsideAll():
                assert given_order.whole_disk
                assert given_order.answer
                assert set(disk.tenancies) <= {ends}
            case Erase() if not given_order.whole_disk:
                assert there <= {ends}
    if any(isinstance(move, Erase) for move in verdict.moves):
        assert given_order.kind == "reclaim" or given_order.answer
        first = next(at for at, move in enumerate(verdict.moves) if isinstance(move, Erase))
        assert Recheck() in verdict.moves[:first]
        assert verdict.moves[first - 1] == Note(begun=True)


@settings(max_examples=300)
@given(disk=DISKS, journal=JOURNALS, offer=st.booleans())
@pytest.mark.notices("daemon: an order that was done is carried out once more")
def test_an_order_that_the_journal_has_as_done_is_never_carried_out_again(
    disk: Any, journal: Any, offer: bool
) -> None:
    replayed = msgspec.structs.replace(journal or entry(), done=(DONE,))
    verdict = decide(case(order(offer=offer), disk=disk, journal=replayed))
    assert isinstance(verdict, AlreadyDone | Refuse) or verdict == Do((Finish(),))
