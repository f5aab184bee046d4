"""What a plan writes of a volume's status, and when: memory first, words last, nothing that ends alone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.life.plans import (
    AGAIN,
    AWAY,
    COUNTED,
    FAILED,
    FIRST,
    GONE_ORDERED,
    ORDERED,
    RESTORE,
    WIPE,
    at,
    settled,
    step,
    told,
)
from tests.unit.life.worlds import (
    BLANK,
    BOUND,
    CLAIM,
    COMMITTED,
    HARDWARE,
    NOW,
    OFFERED,
    OLD,
    OTHER,
    RELEASED,
    but,
    change,
    order,
    question,
    work,
)
from tidb_volume.life import actions
from tidb_volume.life.actions import Plan
from tidb_volume.life.plan import plan
from tidb_volume.life.world import Daemon, World
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import Answer, Owner, Phase, Presence, Question, WorkState

# --- what is written of the status, and when ---

REMEMBERED: list[tuple[World, dict[str, Any]]] = [
    (RELEASED, {"dirty": False}),
    (COUNTED, {"retry": at(7)}),
    (COUNTED, {"unrecorded": OTHER}),
    (
        but(COUNTED, spec={"order": order()}, status={"work": work(WorkState.REFUSED, "HasData")}),
        {"committed": "order-0"},
    ),
    (COUNTED, {"withdrawn": OLD}),
    (but(COUNTED, admin=RESTORE), {"reserved": None}),
    (COUNTED, {"volume_uid": "pv-0"}),
    (COUNTED, {"wipe_at": ""}),
    (ORDERED, {"wipe_at": ""}),
    (COUNTED, {"question": None}),
    (COUNTED, {"owner": None}),
    (COUNTED, {"phase": Phase.BOUND}),
    (COUNTED, {"phase": Phase.AVAILABLE}),
    (but(COUNTED, spec={"order": order()}), {"phase": Phase.FAILED}),
    (but(BOUND, pool={"after": "2h"}), {"phase": Phase.AVAILABLE}),
    (but(BOUND, pool={"after": "2h"}), {"phase": Phase.RELEASED}),
    (but(AGAIN, status={"work": FAILED, "retry": at(0)}), {"phase": Phase.WIPING}),
]


@pytest.mark.parametrize(("world", "fields"), REMEMBERED)
def test_what_is_remembered_is_written_before_anything_is_done(world: World, fields: dict[str, Any]) -> None:
    before = settled(world)
    assert step(world) != ""
    action = plan(NOW, but(before, status=fields)).action
    assert isinstance(action, actions.PatchStatus)
    assert action.why == action.status.reason


def test_the_tenancy_is_written_before_anything_is_done() -> None:
    action = plan(NOW, but(settled(COUNTED), status={"tenancy": ""})).action
    assert isinstance(action, actions.PatchStatus)
    assert action.status.tenancy == OLD
    bound = settled(but(BOUND, pool={"after": "2h"}))
    assert told(plan(NOW, bound)).startswith("spec")
    other = plan(NOW, but(bound, status={"tenancy": OTHER})).action
    assert isinstance(other, actions.PatchStatus)


@pytest.mark.parametrize(
    "fields",
    [
        {"phase": Phase.PENDING},
        {"state": "x"},
        {"reason": "x"},
        {"message": "x"},
        {"volume_name": "x"},
        {"wipe_at": "2027-01-15T08:00:00.000Z"},
        {"capacity": "x"},
        {"identity": None},
        {"conditions": (None,)},
    ],
)
def test_what_is_shown_is_written_once_nothing_is_left_to_do(fields: dict[str, Any]) -> None:
    before = settled(OFFERED)
    if fields.get("conditions"):
        fields = {
            "conditions": settled(but(BLANK, desired=None, left_by_label=True)).volume.status.conditions
        }
    planned = plan(NOW, but(before, status=fields))
    assert isinstance(planned.action, actions.PatchStatus)
    assert planned.action.status == before.volume.status
    assert planned.action.why == "OnOffer"


@pytest.mark.parametrize(
    "fields", [{"phase": Phase.AVAILABLE}, {"wipe_at": "2027-01-15T08:00:00.000Z"}, {"message": "x"}]
)
def test_what_is_only_shown_is_written_after_what_is_done(fields: dict[str, Any]) -> None:
    assert told(plan(NOW, but(settled(BLANK), status=fields))).startswith("prepare")


def test_a_disk_that_was_accepted_is_on_record_before_an_order_names_it() -> None:
    """Also where the question stays, since an order stands on its answer."""
    place = " in its place: serial=S2 model=M size_bytes=1073741824"
    world = but(
        COMMITTED,
        spec={"order": order(id="order-8", answer="q-1")},
        status={"question": question("release", f"{OLD}{place}")},
        disk={"identity": change(HARDWARE, serial="S2"), "presence": Presence.WRONG_DISK},
    )
    before = settled(world)
    assert told(plan(NOW, before)).startswith("reclaim")
    action = plan(NOW, but(before, admin={"accept_identity": Answer(question="q-1")})).action
    assert isinstance(action, actions.PatchStatus)
    assert action.status.question == before.volume.status.question


def test_used_space_alone_is_no_reason_to_write() -> None:
    assert plan(NOW, but(settled(OFFERED), status={"used": "1Gi"})) == Plan()


def test_what_is_done_comes_before_what_is_only_shown() -> None:
    shown = but(settled(COUNTED), status={"message": "x"})
    assert told(plan(NOW, shown)) == f"reclaim a>d 0: {WIPE}"
    barred = plan(NOW, but(settled(but(COUNTED, daemon=AWAY)), status={"message": "x"}))
    assert isinstance(barred.action, actions.PatchStatus)


# --- a reason that ends by itself is not worth a write ---


def since(seconds: float, world: World = FIRST, **status: Any) -> World:
    """For so long it has been in a state that should end by itself, and something else is shown."""
    return but(settled(world), status={"message": "x", **status}, transient_since=Instant(NOW - seconds))


@pytest.mark.parametrize(
    ("world", "planned"),
    [
        (since(0), "@1"),
        (since(0.5), "@0.5"),
        (since(1), "PatchStatus"),
        (since(2), "PatchStatus"),
        (since(0, phase=Phase.AVAILABLE), "PatchStatus"),
        (since(0, but(BLANK, status={"disk": None})), "@1"),
        (since(0, but(COUNTED, daemon=AWAY)), "PatchStatus"),
        (since(0, GONE_ORDERED), "@1"),
        (since(0, OFFERED), "PatchStatus"),
        (since(0, but(OFFERED, daemon=Daemon(ready=False, since=NOW))), "PatchStatus@30"),
        (since(0, but(COMMITTED, daemon=Daemon(ready=False, since=NOW))), "@30"),
        (since(0, but(FIRST, daemon=Daemon(ready=False, since=NOW))), "@30"),
        (since(0, but(BLANK, daemon=Daemon(ready=False, since=Instant(NOW - 10)))), "@20"),
        (since(0, but(BLANK, daemon=AWAY)), "PatchStatus"),
    ],
)
def test_a_reason_that_may_end_by_itself_is_written_after_a_while(world: World, planned: str) -> None:
    assert told(plan(NOW, world)) == planned


def test_a_released_disk_whose_daemon_is_away_says_so_at_once() -> None:
    away = but(COUNTED, daemon=Daemon(ready=False, since=NOW))
    planned = plan(NOW, but(settled(away), status={"message": "x"}))
    assert isinstance(planned.action, actions.PatchStatus)
    assert planned.action.status.reason == "DaemonNotReady"
    assert planned.again_at == NOW + 30


def test_the_sooner_of_two_moments_is_the_one_to_look_again_at() -> None:
    counting = but(COUNTED, status={"wipe_at": format_instant(Instant(NOW + 5))})
    away = but(counting, daemon=Daemon(ready=False, since=NOW))
    assert step(counting) == "@5"
    assert step(away) == "@5"
    later = but(away, status={"wipe_at": format_instant(Instant(NOW + 50))})
    assert step(later) == "@30"
    assert step(but(RELEASED, admin={"hold": True}, daemon=Daemon(ready=False, since=NOW))) == "@30"


def test_a_disk_that_a_person_took_for_this_one_is_written_before_anything_is_done() -> None:
    new = change(HARDWARE, serial="S2")
    about = f"{OLD} in its place: serial=S2 model=M size_bytes=1073741824"
    asked: Question = question("release", about)
    accepted = but(
        RELEASED,
        admin={"accept_identity": Answer(question="q-1")},
        status={"question": asked, "owner": Owner(claim=CLAIM)},
        disk={"identity": new, "presence": Presence.WRONG_DISK},
    )
    before = settled(but(accepted, admin={"accept_identity": None}))
    action = plan(NOW, but(before, admin={"accept_identity": Answer(question="q-1")})).action
    assert isinstance(action, actions.PatchStatus)
    assert action.status.identity == new


@pytest.mark.parametrize("said", [{"hold": True}, {"gates": {"g": "by x"}}, {"gates_passed": {"g": OLD}}])
def test_a_word_about_a_disk_in_use_is_written_down_as_heard_though_nothing_else_changes(
    said: dict[str, Any],
) -> None:
    """By that it goes on record (docs/decisions/0210), also where nothing is to be wiped."""
    world = but(settled(BOUND), admin=said)
    action = plan(NOW, world).action
    assert isinstance(action, actions.PatchStatus)
    assert action.status.heard == world.volume.spec.admin.words
    assert change(action.status, heard=world.volume.status.heard) == world.volume.status
