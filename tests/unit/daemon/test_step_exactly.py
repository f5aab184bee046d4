"""What is decided about an order, to the letter: which objection comes first, what is said to be there."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from disk_daemon import step
from disk_daemon.known import Broken, Case, Entry, Given, Had, Past, Trash
from disk_daemon.step import decide
from disk_daemon.verdict import (
    AlreadyDone,
    Aside,
    AsideAll,
    Do,
    Dropped,
    Erase,
    Finish,
    Make,
    Note,
    Refuse,
    Remove,
    Verdict,
    Wait,
)
from tests.unit.daemon.cases import (
    DISK,
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
from tidb_volume.value import Adopt, Answer, Presence

DONE = Past(id="order-1", kind="reclaim", ends=OLD, next=NEXT, at="")
MADE = facts(tenancies=(NEXT,), empty=True)
BEGUN = entry(order=taken(begun=True))


def said(verdict: Verdict) -> str:
    return verdict.reason if isinstance(verdict, Refuse | Wait) else type(verdict).__name__


def done(**fields: Any) -> Case:
    """That very order, carried out before, with one witness that says something else."""
    return case(**{"disk": MADE, "journal": entry(handed=NEXT, done=(DONE,)), **fields})


FIRST: list[tuple[Case, str]] = [
    (done(), "AlreadyDone"),
    (with_live(done(), error="timeout"), "ApiUnreadable"),
    (with_order(done(), id="order-2"), "Dropped"),
    (done(given=order(ends="../x")), "Malformed"),
    (done(disk=msgspec.structs.replace(MADE, presence=Presence.NOT_MOUNTED)), "NotMounted"),
    (
        done(disk=msgspec.structs.replace(MADE, identity=msgspec.structs.replace(DISK, serial="S2"))),
        "WrongDisk",
    ),
    (done(journal=Broken(why="damaged")), "JournalBroken"),
]


@pytest.mark.parametrize(("made", "answer"), FIRST)
def test_nothing_is_said_of_what_was_done_before_it_is_known_that_this_is_the_disk_and_the_order(
    made: Case, answer: str
) -> None:
    assert said(decide(made)) == answer


def test_what_a_person_may_still_stop_before_the_first_byte_is_not_asked_after_it() -> None:
    aside = facts(tenancies=(), trash=(Trash(order="order-1", entries=(OLD,)),))
    noted, begun = case(disk=aside, journal=entry(order=taken())), case(disk=aside, journal=BEGUN)
    assert said(decide(with_admin(noted, hold=True))) == "Held"
    assert said(decide(with_admin(begun, hold=True))) == "Do"
    found = decide(with_live(begun, pvs=(pv(),)))
    assert isinstance(found, Refuse)
    assert found.reason == "PvExists"
    assert found.message.endswith("gone already: delete it, and the wipe goes on")


def test_a_refusal_says_what_is_on_the_disk_and_what_the_journal_has() -> None:
    there = facts(tenancies=(OTHER,), trash=(Trash(order="order-0"),), others=("x",), strays=("y",))
    verdict = decide(case(disk=there, journal=entry(handed=NEXT)))
    assert isinstance(verdict, Refuse)
    assert (
        f"(on the disk: tenancy {OTHER}, trash of order order-0, 'x', 'y'; in the journal: {NEXT});"
        in verdict.message
    )
    verdict = decide(case(disk=facts(tenancies=()), journal=None))
    assert isinstance(verdict, Refuse)
    assert "(on the disk: nothing; in the journal: nothing);" in verdict.message


def test_an_order_is_known_as_done_by_its_id_alone_and_by_the_tenancy_that_it_begins() -> None:
    by_id = msgspec.structs.replace(DONE, next=OTHER)
    assert said(decide(case(journal=entry(done=(by_id,))))) == "HasData"
    by_next = msgspec.structs.replace(DONE, id="order-0")
    assert said(decide(case(journal=entry(done=(by_next,))))) == "HasData"
    assert said(decide(case(journal=entry(past=(OTHER, NEXT))))) == "HasData"
    neither = Past(id="order-0", kind="reclaim", ends=OTHER, next=OLD, at="")
    assert said(decide(case(journal=entry(done=(neither,), past=(OTHER,))))) == "Do"


def test_what_was_made_and_has_had_a_claim_since_is_not_said_to_be_done() -> None:
    had = entry(handed=NEXT, done=(DONE,), had=(Had(tenancy=NEXT, claim_uid="c"),))
    assert said(decide(case(order(kind="prepare"), disk=MADE, journal=had))) == "HasData"


SINCE: list[tuple[Entry, str]] = [
    (entry(handed=OTHER, past=(OLD, NEXT)), f"tenancy {NEXT} has ended since"),
    (entry(handed="", past=(OLD, NEXT)), f"tenancy {NEXT} has ended since"),
    (entry(handed=OTHER, past=(OLD,)), f"tenancy {OTHER} was handed over since"),
    (entry(handed=OTHER, at_root=True, past=(OLD,), done=(DONE,)), f"tenancy {OTHER} was handed over since"),
    (entry(handed=NEXT, had=(Had(tenancy=NEXT, claim_uid="c"),)), f"a claim was seen on tenancy {NEXT}"),
    (entry(handed=OLD, had=(Had(tenancy=NEXT),)), f"a claim was seen on tenancy {NEXT}"),
]


@pytest.mark.parametrize(("journal", "why"), SINCE)
@pytest.mark.parametrize("kind", ["reclaim", "prepare"])
@pytest.mark.parametrize("offer", [True, False])
def test_an_empty_folder_proves_nothing_against_what_the_journal_knows_of_later_tenancies(
    journal: Entry, why: str, kind: str, offer: bool
) -> None:
    """Else an old order, read in an etcd that was set back, would take the disk from who has it now."""
    there = MADE if offer else facts(tenancies=(), folder=False)
    if not offer:
        journal = msgspec.structs.replace(journal, done=(DONE,))
    for id_ in ("order-1", "order-9"):
        verdict = decide(case(order(id=id_, kind=kind, offer=offer), disk=there, journal=journal))
        assert isinstance(verdict, Refuse), verdict
        assert verdict.reason == "HasData"
        assert why in verdict.message or (kind, "claim" in why) == ("prepare", True)
        assert "say what is to become of it" in verdict.message


def test_what_the_order_ended_or_began_or_nothing_may_be_handed_over_once_it_was_done() -> None:
    claims = (Had(tenancy=OLD, claim_uid="c"), Had(tenancy=OTHER, claim_uid="c"))
    for handed, answer in ((NEXT, AlreadyDone()), (OLD, Do((Finish(),))), ("", Do((Finish(),)))):
        journal = entry(handed=handed, past=(OTHER,), had=claims)
        assert decide(case(disk=MADE, journal=journal)) == answer


def test_what_lay_on_all_of_the_disk_is_still_handed_over_when_its_wipe_is_cut_before_the_end() -> None:
    everything = order(kind="prepare", ends="", answer="q", whole_disk=True)
    at_work = taken(kind="prepare", ends="", whole_disk=True, answer="q", begun=True)
    assert decide(case(everything, disk=MADE, journal=entry(handed=OTHER, order=at_work))) == Do((Finish(),))
    noted = msgspec.structs.replace(at_work, begun=False)
    assert said(decide(case(everything, disk=MADE, journal=entry(handed=OTHER, order=noted)))) == "HasData"


@pytest.mark.parametrize(
    "disk",
    [
        facts(tenancies=(OLD,), empty=True),
        facts(tenancies=(NEXT,), empty=True, others=("x",)),
        facts(tenancies=(NEXT, OTHER), empty=True),
        facts(tenancies=(NEXT,)),
    ],
)
def test_what_was_made_is_said_to_be_done_only_as_it_was_left(disk: Any) -> None:
    assert said(decide(done(disk=disk))) == "HasData"


# --- taken back -------------------------------------------------------------------------------------------


def test_an_order_that_is_gone_is_not_withdrawn() -> None:
    assert step.is_withdrawn(with_order(case(), withdrawn=True))
    assert not step.is_withdrawn(with_live(case(), volume=None))
    made = case()
    assert made.live.volume is not None
    spec = msgspec.structs.replace(made.live.volume.spec, order=None)
    assert not step.is_withdrawn(with_volume(made, spec=spec))
    assert decide(with_volume(made, spec=spec)) == Dropped()


def test_what_was_given_back_is_told_with_its_claim_and_only_of_a_reclaim() -> None:
    known = entry(given=(Given(tenancy=OLD, claim_uid="c1"), Given(tenancy=OLD, claim_uid="")))
    assert "claim c1 by" in step.was_taken_back(case(order(claim_uid="c1"), journal=known))
    assert "claim unknown by" in step.was_taken_back(case(order(claim_uid=""), journal=known))
    assert step.was_taken_back(case(order(kind="prepare", claim_uid="c1"), journal=known)) == ""


# --- prepare ----------------------------------------------------------------------------------------------

AGAIN = order(kind="prepare")


def test_an_unused_tenancy_is_replaced_only_where_nothing_lies_beside_it() -> None:
    assert said(decide(case(AGAIN, disk=facts(empty=True)))) == "Do"
    assert said(decide(case(AGAIN, disk=facts(empty=True, others=("x",))))) == "HasData"


def test_a_prepare_that_had_begun_goes_on_though_the_journal_has_handed_nothing_over() -> None:
    begun = entry(handed="", order=taken(kind="prepare", begun=True))
    moves = (Note(begun=True), Remove(OLD), Make(), Finish())
    assert decide(case(AGAIN, disk=facts(empty=True), journal=begun)) == Do(moves)
    noted = entry(handed="", order=taken(kind="prepare"))
    assert said(decide(case(AGAIN, disk=facts(empty=True), journal=noted))) == "HasData"


# --- a wipe -----------------------------------------------------------------------------------------------


def whole(disk: Any, *, ends: str = "", journal: Any = None) -> Verdict:
    """A person's word on all that is on the disk."""
    made = case(order(kind="prepare", ends=ends, answer="q", whole_disk=True), disk=disk, journal=journal)
    return decide(with_admin(made, adopt=Adopt(question="q", action="Wipe")))


def test_what_came_since_a_person_was_asked_is_not_taken() -> None:
    made = case(order(kind="prepare", answer="q", whole_disk=True, over="data::another:"))
    verdict = decide(with_admin(made, adopt=Adopt(question="q", action="Wipe")))
    assert isinstance(verdict, Refuse)
    assert verdict.message.startswith("a person was asked about 'data::another:'")


@pytest.mark.notices("daemon: neither which disk nor whose tenancy it is is looked at")
def test_a_tenancy_that_the_order_does_not_name_is_told_beside_the_one_that_it_does() -> None:
    verdict = decide(case(disk=facts(tenancies=(OTHER,))))
    assert isinstance(verdict, Refuse)
    assert f"the order ends tenancy {OLD}, and {OTHER} is there" in verdict.message
    verdict = whole(facts(tenancies=(OTHER,)))
    assert isinstance(verdict, Refuse)
    assert f"the order ends tenancy none, and {OTHER} is there" in verdict.message


def asides(verdict: Verdict) -> list[object]:
    assert isinstance(verdict, Do), verdict
    return [each for each in verdict.moves if isinstance(each, Aside | AsideAll)]


def test_what_is_not_there_is_not_put_aside() -> None:
    trash = (Trash(order="order-1", entries=(OLD,)),)
    strangers = facts(tenancies=(), trash=trash, strays=("x",))
    assert asides(decide(case(disk=strangers, journal=BEGUN))) == []
    assert asides(whole(facts(tenancies=(), trash=trash))) == []
    assert asides(whole(facts(tenancies=(), strays=("x",)))) == [AsideAll()]
    assert asides(whole(facts(tenancies=(), others=("x",)))) == [AsideAll()]


def test_an_empty_disk_may_be_wiped_whole_but_not_for_a_tenancy_that_is_not_there() -> None:
    assert said(whole(facts(tenancies=()))) == "Do"
    assert said(whole(facts(tenancies=()), ends=OLD)) == "HasData"


@pytest.mark.parametrize(
    ("known", "verdict"),
    [
        (entry(at_root=True), "Do"),
        (entry(), "HasData"),
        (entry(at_root=True, handed=OTHER), "HasData"),
        (None, "HasData"),
    ],
)
def test_a_claim_that_had_all_of_the_disk_may_have_left_nothing(known: Entry | None, verdict: str) -> None:
    over = f"blank:{known.handed if known is not None and known.at_root else ''}::"
    all_of_it = order(answer="q", whole_disk=True, over=over)
    found = case(all_of_it, disk=facts(tenancies=()), journal=known)
    assert said(decide(with_admin(found, wipe_now=Answer(question="q")))) == verdict


@pytest.mark.parametrize(
    ("known", "verdict"),
    [(entry(handed=""), "Do"), (None, "Do"), (entry(), "HasData"), (entry(at_root=True), "HasData")],
)
def test_a_blank_disk_is_not_new_while_a_tenancy_should_be_on_it(known: Entry | None, verdict: str) -> None:
    first = order(kind="prepare", ends="")
    assert said(decide(case(first, disk=facts(tenancies=()), journal=known))) == verdict


def test_trash_of_many_orders_goes_in_the_order_of_their_names() -> None:
    trash = tuple(Trash(order=f"order-{n}") for n in (7, 3, 9, 5, 2, 8, 4, 6))
    verdict = whole(facts(tenancies=(), trash=trash))
    assert isinstance(verdict, Do)
    erased = [each.order for each in verdict.moves if isinstance(each, Erase)]
    assert erased == [f"order-{n}" for n in range(2, 10)]


def test_trash_is_of_a_wipe_of_the_whole_disk_by_its_order_and_of_another_by_what_is_in_it() -> None:
    all_of_it = order(kind="prepare", ends="", answer="q", whole_disk=True)
    at_work = entry(order=taken(id="order-0", ends="", whole_disk=True))
    for journal, name, ours in (
        (None, "order-1", True),
        (None, "order-0", False),
        (at_work, "order-1", True),
        (at_work, "order-0", True),
        (at_work, "order-2", False),
    ):
        found = step.is_of_this_wipe(case(all_of_it, journal=journal), Trash(order=name))
        assert found is ours, (journal, name)
    assert step.is_of_this_wipe(case(), Trash(order="order-0", entries=(OLD,)))
    assert not step.is_of_this_wipe(case(), Trash(order="order-1", entries=(OTHER,)))


def test_a_journal_whose_wipe_this_goes_on_with_or_that_was_making_the_tenancy_agrees() -> None:
    assert said(decide(case(journal=entry(handed=OTHER, order=taken())))) == "Do"
    making = taken(id="order-0", ends=OTHER, next=OLD)
    assert said(decide(case(journal=entry(handed=OTHER, order=making)))) == "Do"
    another = taken(id="order-0", ends=OTHER, next=NEXT)
    assert said(decide(case(journal=entry(handed=OTHER, order=another)))) == "HasData"


def test_an_order_done_without_an_offer_is_done_while_the_disk_is_blank() -> None:
    kept_back = entry(handed="", done=(DONE,))
    assert (
        decide(case(order(offer=False), disk=facts(tenancies=(), folder=False), journal=kept_back))
        == AlreadyDone()
    )


ASIDE = Trash(order="order-1", entries=("root",))


@pytest.mark.parametrize(
    ("beside", "word"),
    [
        ({}, "Do"),
        ({"strays": ("lost+found/#1",)}, "Do"),
        ({"strays": ("lost+found/#1", "new")}, "'new' has come while"),
        ({"others": ("new",)}, "'new' has come while"),
        ({"tenancies": (OLD,)}, f"'{OLD}' has come while"),
        ({"trash": (ASIDE, Trash(order="backup"))}, "'trash-backup' has come while"),
        ({"trash": (ASIDE, Trash(order="order-0"))}, "Do"),
        ({"trash": (ASIDE, Trash(order="told"))}, "Do"),
    ],
)
def test_what_comes_while_all_of_a_disk_is_being_wiped_is_not_taken_along(
    beside: dict[str, Any], word: str
) -> None:
    """Even what is called as that which was there before."""
    at_work = taken(kind="prepare", ends=OLD, whole_disk=True, begun=True, before=("order-0",))
    at_work = entry(order=at_work)
    disk = facts(**{"tenancies": (), "trash": (ASIDE,)} | beside)

    def verdict(over: str) -> Verdict:
        given = order(kind="prepare", ends=OLD, answer="q", whole_disk=True, over=over)
        made = case(given, disk=disk, journal=at_work)
        return decide(with_admin(made, adopt=Adopt(question="q", action="Wipe")))

    found = verdict("data::what was there:told,order-0")
    assert (found.message if isinstance(found, Refuse) else said(found)).startswith(word)
    assert said(verdict(disk.lies_on_it)) == "Do"
