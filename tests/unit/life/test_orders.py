"""What an order names, and which one stands, to the letter."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.life.worlds import (
    BLANK,
    BOUND,
    CLAIM,
    COMMITTED,
    FRESH,
    HARDWARE,
    NEXT,
    OFFERED,
    OLD,
    OTHER,
    RELEASED,
    WIPED,
    but,
    change,
    order,
    pv,
    seen,
    work,
)
from tidb_volume.life import actions, orders
from tidb_volume.life.actions import Plan
from tidb_volume.life.look import look
from tidb_volume.life.world import Mine, World
from tidb_volume.value import (
    Adopt,
    Answer,
    Approve,
    Identity,
    Order,
    Owner,
    Presence,
    Source,
    WipePolicy,
    Work,
    WorkState,
)

RUNNING, FAILED, REFUSED = WorkState.RUNNING, WorkState.FAILED, WorkState.REFUSED


def standing(of: Order, base: World = RELEASED, **told: Any) -> World:
    """Released, and this order stands; told: what the daemon said of it."""
    said = work(**told) if told else None
    return but(base, spec={"order": of}, status={"work": said})


FRESH_ORDER = Order(
    id="order-9",
    kind="reclaim",
    method="files",
    identity=HARDWARE,
    ends=OLD,
    next=FRESH,
    offer=True,
    claim_uid=CLAIM.uid,
    asked=orders.POLICY,
    epoch=1,
    leader="a",
)
"""What is written where nothing else is said."""


def written(plan: Plan) -> tuple[Order | None, str]:
    assert isinstance(plan.action, actions.WriteOrder)
    assert plan.again_at is None
    return plan.action.order, plan.action.why


@pytest.mark.parametrize(
    ("world", "stands"),
    [
        (RELEASED, False),
        (standing(order()), True),
        (standing(order(ends=OTHER)), False),
        (standing(order(next=OLD)), False),
        (standing(order(kind="prepare")), False),
        (standing(order(kind="prepare", answer="q-1")), True),
        (standing(order(kind="mount", next=NEXT)), False),
        (standing(order(), state=RUNNING), True),
        (standing(order(), state=RUNNING, begun=True), False),
        (standing(order(), state=WorkState.DONE), False),
        (standing(order(), state=FAILED), False),
        (standing(order(), state=REFUSED), False),
        (standing(order(), state=WorkState.DONE, order_id="order-0"), True),
    ],
)
def test_an_order_stands_for_a_wipe_until_it_has_its_answer_or_a_byte_is_gone(
    world: World, stands: bool
) -> None:
    assert orders.stands_for_wipe(world, look(world)) is stands


@pytest.mark.parametrize(
    ("world", "unanswered"),
    [
        (RELEASED, False),
        (standing(order()), True),
        (standing(order(kind="prepare", ends="")), True),
        (standing(order(withdrawn=True)), False),
        (standing(order(), state=RUNNING), True),
        (standing(order(), state=RUNNING, begun=True), False),
        (standing(order(), state=WorkState.DONE), False),
        (standing(order(), state=FAILED), False),
        (standing(order(), state=REFUSED), False),
    ],
)
def test_an_order_that_the_daemon_may_still_take_up_is_unanswered(world: World, unanswered: bool) -> None:
    assert orders.unanswered(look(world)) is unanswered


@pytest.mark.parametrize(
    ("world", "made"),
    [
        (BLANK, False),
        (standing(order(kind="prepare", ends="")), False),
        (standing(order(kind="prepare", ends=""), state=RUNNING), False),
        (standing(order(kind="prepare", ends=""), state=FAILED), True),
        (standing(order(kind="prepare", ends=""), state=REFUSED, reason="ReadOnly"), True),
        (standing(order(kind="prepare", ends=""), state=REFUSED, reason="HasData"), False),
        (standing(order(kind="prepare", ends="", withdrawn=True), state=FAILED), False),
        (standing(order(kind="prepare", ends="", answer="q-1"), state=FAILED), False),
        (standing(order(), state=FAILED), False),
    ],
)
def test_an_order_to_make_ready_that_was_in_vain_may_have_made_a_part(world: World, made: bool) -> None:
    assert orders.may_have_made(look(world)) is made


def test_what_goes_on_with_a_part_goes_on_with_its_order() -> None:
    half = order(kind="prepare", ends=OTHER, method="zero", asked="somebody", attempt=2, offer=False)
    world = standing(half, state=FAILED)
    found, why = written(orders.go_on_making(world, look(world)))
    assert found is not None
    assert (found.kind, found.ends, found.next, found.attempt) == ("prepare", OTHER, half.next, 3)
    assert (found.asked, why) == ("somebody", "tried again")
    assert found.pv_uid == half.pv_uid


@pytest.mark.parametrize(
    ("facts", "spent"),
    [
        ({}, False),
        ({"failed": True}, True),
        ({"refused": True}, True),
        ({"refused": True, "undecided": True}, False),
    ],
)
def test_what_failed_or_was_refused_for_what_passes_is_spent(facts: dict[str, bool], spent: bool) -> None:
    assert orders.is_spent(seen(COMMITTED, **facts)) is spent


# --- asked again ---

FOUND = order(attempt=2, answer="q-1", kind="reclaim", method="zero", offer=False)
AGAIN = change(
    FRESH_ORDER,
    next=NEXT,
    method="zero",
    offer=False,
    attempt=2,
    pv_name=FOUND.pv_name,
    pv_uid=FOUND.pv_uid,
    claim_uid=FOUND.claim_uid,
)


@pytest.mark.parametrize(
    ("committed", "asked"),
    [
        ("order-1", change(AGAIN, answer="q-1")),
        ("", change(AGAIN, kind="prepare", asked="")),
    ],
)
def test_what_was_found_done_is_asked_again_and_without_a_commit_in_a_way_that_deletes_nothing(
    committed: str, asked: Order
) -> None:
    world = but(WIPED, spec={"order": FOUND}, status={"committed": committed})
    found = change(world, mine=Mine())
    assert written(orders.ask_again(found, look(found))) == (asked, "asked again under this leader")
    belied = (change(asked, attempt=asked.attempt + 1), "the disk does not show it any more")
    assert written(orders.ask_again(world, look(world))) == belied


# --- the committed wipe goes on ---

WHOLE: dict[str, Any] = {
    "kind": "prepare",
    "answer": "q-0",
    "whole_disk": True,
    "over": f"tenancy:{OLD}::",
    "asked": "",
}
ADOPTED = {"adopt": Adopt(question="q-1", action="Wipe")}
WIPE_NOW = {"wipe_now": Answer(question="q-1")}
OF_ALL = {"committed_on": "q-0", "committed_over": "then"}
ON_RECORD = {**OF_ALL, "tenancy": ""}
GOES_ON = change(
    FRESH_ORDER, next=NEXT, pv_name=order().pv_name, pv_uid=order().pv_uid, claim_uid=order().claim_uid
)


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        (but(COMMITTED, spec={"order": None}), FRESH_ORDER),
        (
            but(COMMITTED, spec={"order": None}, admin=WIPE_NOW),
            change(FRESH_ORDER, answer="q-1", asked="wipe-now"),
        ),
        (
            but(COMMITTED, spec={"order": None}, admin=ADOPTED),
            change(FRESH_ORDER, answer="q-1", asked="adopt: Wipe"),
        ),
        (but(COMMITTED, spec={"order": None}, admin=WIPE_NOW, status={"question": None}), FRESH_ORDER),
        (
            but(COMMITTED, spec={"order": None}, status={"committed_on": "q-0"}),
            change(FRESH_ORDER, answer="q-0"),
        ),
        (
            but(COMMITTED, spec={"order": None}, admin=WIPE_NOW, status={"committed_on": "q-0"}),
            change(FRESH_ORDER, answer="q-1", asked="wipe-now"),
        ),
        (but(COMMITTED, spec={"order": order(ends=OTHER, next=FRESH)}), FRESH_ORDER),
        # It was about data that nobody is known to have had: all of it.
        (
            but(COMMITTED, spec={"order": None}, status=ON_RECORD),
            change(FRESH_ORDER, **WHOLE | {"over": "then"}),
        ),
        # Also where it is known whose data a part of it was.
        (
            but(COMMITTED, spec={"order": None}, status=OF_ALL),
            change(FRESH_ORDER, **WHOLE | {"over": "then"}),
        ),
        (
            but(COMMITTED, spec={"order": None}, status={"tenancy": ""}),
            change(FRESH_ORDER, ends=""),
        ),
        (COMMITTED, GOES_ON),
        (but(COMMITTED, admin=WIPE_NOW), change(GOES_ON, answer="q-1", asked="wipe-now")),
        (but(COMMITTED, spec={"order": order(answer="q-0")}, admin=WIPE_NOW), change(GOES_ON, answer="q-0")),
        (
            but(COMMITTED, spec={"order": order(kind="prepare", ends=OTHER, answer="q-0")}),
            change(GOES_ON, **WHOLE | {"ends": OTHER, "over": ""}),
        ),
        # What a person was told of stays what he was told of, whatever is there by now.
        (
            but(COMMITTED, spec={"order": order(kind="prepare", answer="q-0", whole_disk=True, over="then")}),
            change(GOES_ON, **WHOLE | {"over": "then"}),
        ),
        (
            but(COMMITTED, spec={"order": order(kind="prepare", answer="q-0", over="now")}, status=OF_ALL),
            change(GOES_ON, **WHOLE | {"over": "then"}),
        ),
    ],
)
def test_a_committed_wipe_goes_on_towards_the_same_tenancy_and_on_what_a_person_said_since(
    world: World, expected: Order
) -> None:
    assert written(orders.go_on(world, look(world), "why")) == (expected, "why")
    assert written(orders.go_on(world, look(world), "why", attempt=3)) == (
        change(expected, attempt=3),
        "why",
    )


@pytest.mark.parametrize(
    ("said", "fields", "method"),
    [
        (work(WorkState.REFUSED, "UnknownMethod"), {}, "files"),
        (work(WorkState.REFUSED, "UnknownMethod"), {"desired": None}, "nvme-format"),
        (work(WorkState.REFUSED, "Odd"), {}, "nvme-format"),
        (work(WorkState.FAILED, "UnknownMethod"), {}, "nvme-format"),
        (None, {}, "nvme-format"),
    ],
)
def test_a_method_that_is_none_for_this_disk_is_followed_by_the_pools_of_today(
    said: Work | None, fields: dict[str, Any], method: str
) -> None:
    """What the refusal advises has to help, though the stricter of then and now is what is refused."""
    made = order(method="nvme-format")
    world = but(COMMITTED, spec={"order": made}, status={"work": said}, **fields)
    assert written(orders.go_on(world, look(world), "why"))[0].method == method


# --- what is deleted ---

DELETED = actions.DeletePv(name=OFFERED.pvs[0].metadata.name, uid="pv-a", resource_version="7", why="why")


@pytest.mark.parametrize(
    ("world", "action"),
    [
        (OFFERED, DELETED),
        (but(OFFERED, spec={"order": order(ends=OTHER, pv_uid="pv-z")}), DELETED),
        (standing(order(ends=OTHER)), actions.WriteOrder(order=None, why="not now: why")),
        (standing(order(ends=OTHER), state=REFUSED), actions.WriteOrder(order=None, why="not now: why")),
        (standing(order(pv_uid="pv-z")), actions.WriteOrder(order=None, why="not now: why")),
        (standing(order(pv_uid="pv-z"), state=FAILED), DELETED),
    ],
)
def test_an_order_that_a_delete_would_commit_is_taken_back_first(
    world: World, action: actions.Action
) -> None:
    assert orders.take_back(world, look(world), "why") == Plan(action=action)


def test_any_other_volume_is_deleted_as_it_was_read() -> None:
    other = pv(OTHER, resource_version="8")
    assert orders.delete_pv(look(COMMITTED), other, "why") == Plan(
        action=actions.DeletePv(name=other.metadata.name, uid="pv-c", resource_version="8", why="why")
    )


# --- what is written ---


def new(world: World, *, of: Order | None = None, **fields: Any) -> Order:
    given = {"kind": "reclaim", "ends": OLD, "why": "why", **fields}
    made, why = written(orders.write(world, look(world), again_of=of, **given))
    assert made is not None
    assert why == "why"
    return made


def test_an_order_names_what_it_was_decided_on() -> None:
    assert new(RELEASED) == FRESH_ORDER
    named = {"pv_name": "v", "pv_uid": "u", "answer": "q", "attempt": 3}
    assert new(RELEASED, **named, next_=OTHER) == change(FRESH_ORDER, **named, next=OTHER)
    assert new(but(RELEASED, fleet=None)).epoch == 0
    assert new(but(RELEASED, leader="b")).leader == "b"


@pytest.mark.parametrize(
    ("kind", "answer", "claim"),
    [("prepare", "", ""), ("prepare", "q", CLAIM.uid), ("reclaim", "", CLAIM.uid), ("mount", "", "")],
)
def test_what_ends_data_names_the_claim_on_record(kind: str, answer: str, claim: str) -> None:
    assert new(RELEASED, kind=kind, answer=answer).claim_uid == claim
    nobody = but(RELEASED, status={"owner": None})
    assert new(nobody, kind=kind, answer=answer).claim_uid == ""
    assert new(but(RELEASED, status={"owner": Owner()}), kind=kind, answer=answer).claim_uid == ""


SINCE = but(RELEASED, disk={"had_since": "claim-7"})
ON_ANSWER = {"order": order(answer="q", had_since="claim-5")}


@pytest.mark.parametrize(
    ("world", "answer", "since"),
    [
        (SINCE, "", ""),
        (SINCE, "q", "claim-7"),
        (RELEASED, "q", ""),
        (but(RELEASED, status={"disk": None}), "q", ""),
        # Who answered the order that stands was told then, and not of what is seen by now.
        (but(SINCE, spec=ON_ANSWER), "q", "claim-5"),
        (but(SINCE, spec=ON_ANSWER), "q-2", "claim-7"),
        (but(SINCE, spec=ON_ANSWER, status={"work": work(REFUSED, "HasData")}), "q", "claim-7"),
    ],
)
def test_an_order_on_an_answer_names_the_claim_that_the_person_was_told_of(
    world: World, answer: str, since: str
) -> None:
    assert new(world, answer=answer).had_since == since


@pytest.mark.parametrize(
    ("kind", "answer", "whole"),
    [("prepare", "q", True), ("prepare", "", False), ("reclaim", "q", False), ("reclaim", "", False)],
)
def test_only_what_a_person_said_of_unknown_data_ends_the_whole_disk(
    kind: str, answer: str, whole: bool
) -> None:
    assert new(BLANK, kind=kind, answer=answer).whole_disk is whole


EARLIER = order(method="zero", pv_name="n", pv_uid="u", claim_uid="c", offer=False)


def test_what_goes_on_with_another_order_takes_from_there_what_is_not_given() -> None:
    went_on = change(FRESH_ORDER, method="zero", pv_name="n", pv_uid="u", claim_uid="c")
    assert new(RELEASED, of=EARLIER) == went_on
    given = {"pv_name": "n2", "pv_uid": "u2"}
    assert new(RELEASED, of=EARLIER, **given) == change(went_on, **given)


@pytest.mark.parametrize(
    ("world", "of", "offer"),
    [
        (RELEASED, None, True),
        (but(RELEASED, admin={"cordon": True}), None, False),
        (but(RELEASED, admin={"retire": True}), None, False),
        (but(RELEASED, desired=None), None, False),
        (RELEASED, EARLIER, True),
        (WIPED, EARLIER, False),
        (WIPED, None, True),
        (but(WIPED, admin={"cordon": True}), order(), True),
        (but(RELEASED, admin={"cordon": True}), order(), False),
    ],
)
def test_what_is_done_is_asked_again_as_it_was_and_all_else_is_offered_if_it_may_be_by_now(
    world: World, of: Order | None, offer: bool
) -> None:
    assert new(world, of=of).offer is offer


SEEN = Identity(serial="S2")


@pytest.mark.parametrize(
    ("world", "identity"),
    [
        (but(BOUND, disk={"identity": SEEN}), HARDWARE),
        (but(BOUND, status={"identity": None}, disk={"identity": SEEN}), SEEN),
        (but(BOUND, status={"identity": None, "disk": None}), None),
    ],
)
def test_an_order_is_for_the_recorded_disk_and_before_it_is_recorded_for_the_one_seen(
    world: World, identity: Identity | None
) -> None:
    assert new(world).identity == identity


# --- for the record: who asked for it ---

NAMED_WIPE = {"wipe_now": Answer(question="q-1", by="jane")}
NAMED_ADOPT = {"adopt": Adopt(question="q-1", action="Wipe", by="joe")}
APPROVED = {"approve": Approve(question="q-1", by="jim")}
SAID_BEFORE = order(asked="wipe-now by jack")


@pytest.mark.parametrize(
    ("world", "fields", "asked"),
    [
        (RELEASED, {}, orders.POLICY),
        (RELEASED, {"answer": "q-1"}, orders.POLICY),
        (RELEASED, {"kind": "prepare"}, ""),
        (RELEASED, {"kind": "prepare", "of": SAID_BEFORE}, "wipe-now by jack"),
        (RELEASED, {"of": order()}, orders.POLICY),
        (RELEASED, {"of": SAID_BEFORE}, "wipe-now by jack"),
        (but(RELEASED, admin=NAMED_WIPE), {"answer": "q-1", "of": SAID_BEFORE}, "wipe-now by jane"),
        (but(RELEASED, admin=NAMED_WIPE), {"answer": "q-0"}, orders.POLICY),
        (but(RELEASED, admin=NAMED_WIPE), {}, orders.POLICY),
        (but(RELEASED, admin={"wipe_now": Answer(question="")}), {}, orders.POLICY),
        (but(RELEASED, admin={"wipe_now": Answer(question="q-1")}), {"answer": "q-1"}, "wipe-now"),
        (but(RELEASED, admin=NAMED_ADOPT), {"answer": "q-1", "kind": "prepare"}, "adopt: Wipe by joe"),
        (but(RELEASED, admin={**NAMED_ADOPT, **NAMED_WIPE}), {"answer": "q-1"}, "wipe-now by jane"),
        (but(RELEASED, admin=APPROVED), {}, f"{orders.POLICY}, approved by jim"),
        (but(RELEASED, admin=APPROVED), {"kind": "prepare"}, ""),
        (but(RELEASED, admin=APPROVED, status={"question": None}), {}, orders.POLICY),
        (but(RELEASED, admin={"approve": Approve(question="q-0", by="jim")}), {}, orders.POLICY),
        (but(RELEASED, admin={"approve": Approve(question="q-1")}), {}, f"{orders.POLICY}, approved"),
    ],
)
def test_an_order_says_whose_word_it_stands_on(world: World, fields: dict[str, Any], asked: str) -> None:
    assert new(world, **fields).asked == asked


@pytest.mark.parametrize(
    "world",
    [
        but(COMMITTED, spec={"order": None}, status=OF_ALL | {"disk": None}),
        but(COMMITTED, spec={"order": None}, status=OF_ALL, disk={"presence": Presence.NOT_PRESENT}),
    ],
)
def test_what_is_about_all_that_is_on_a_disk_names_what_is_there_and_waits_until_it_is(world: World) -> None:
    assert orders.go_on(world, look(world), "why") == Plan()


def test_an_order_is_for_the_method_that_a_person_approved_of_and_its_retries_too() -> None:
    device = {
        "source": Source(device="/dev/disk/by-id/d"),
        "wipe": WipePolicy(on_release="wipe", method="format"),
    }
    told = but(RELEASED, spec=device, admin={"approve": Approve(question="q-1", method="zero")})
    assert new(told).method == "zero"
    assert new(but(RELEASED, spec=device)).method == "format"
    assert new(but(told, admin={"approve": None}), of=order(method="zero")).method == "zero"


@pytest.mark.parametrize(("answer", "over"), [("q-0", "then"), ("q-1", f"tenancy:{OLD}::")])
def test_an_order_is_about_what_the_person_was_told_of_on_whose_answer_it_stands(
    answer: str, over: str
) -> None:
    world = but(RELEASED, spec={"order": order(kind="prepare", answer="q-0", whole_disk=True, over="then")})
    action = orders.write(world, look(world), kind="prepare", ends="", answer=answer, why="").action
    assert isinstance(action, actions.WriteOrder)
    assert action.order is not None
    assert action.order.over == over


def test_an_order_on_an_answer_about_a_disk_that_nobody_sees_is_about_nothing() -> None:
    world = but(RELEASED, status={"disk": None})
    assert new(world, kind="prepare", answer="q-1").over == ""


def test_once_the_daemon_has_found_something_else_the_next_order_is_about_what_it_reported() -> None:
    """The question is about that by then, even where it is the one of before: nothing is refused for ever."""
    given = order(kind="prepare", answer="q-0", whole_disk=True, over="then")
    world = but(RELEASED, spec={"order": given}, status={"work": work(WorkState.REFUSED, "HasData")})
    action = orders.write(world, look(world), kind="prepare", ends="", answer="q-0", why="").action
    assert isinstance(action, actions.WriteOrder)
    assert action.order is not None
    assert action.order.over == f"tenancy:{OLD}::"
