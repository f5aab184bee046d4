"""To whom data is given, and when it is not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.life.cluster import NAME
from tests.unit.life.worlds import (
    BLANK,
    BOUND,
    CAPACITY,
    CLAIM,
    COMMITTED,
    FRESH,
    NEXT,
    NOW,
    OFFERED,
    OLD,
    OTHER,
    RELEASED,
    but,
    change,
    order,
    question,
    with_pv,
    work,
)
from tidb_volume.life import actions, answers, give, offer
from tidb_volume.life.actions import Plan
from tidb_volume.life.look import look
from tidb_volume.life.world import World
from tidb_volume.units import format_instant
from tidb_volume.upstream import Claim, PvcSpec
from tidb_volume.value import (
    Adopt,
    Content,
    Presence,
    Ref,
    Restore,
    Retry,
    SlimMeta,
    Source,
    Work,
    WorkState,
)

NAMED = change(CLAIM, uid="")
THERE = Claim(metadata=SlimMeta(namespace="db", name="data-0", uid="claim-2"), spec=PvcSpec())
RESTORE = {"restore": Restore(question="q-1")}
RELEASED_ = but(RELEASED, admin=RESTORE)
GONE = but(RELEASED_, pvs=())
"""The same, and its PersistentVolume was deleted by hand."""
KEEP = {"adopt": Adopt(question="q-1", action="Keep", claim=NAMED)}
UNKNOWN = but(
    BLANK,
    admin=KEEP,
    status={"question": question("adopt")},
    disk={"content": Content.DATA, "content_note": "entries of others: data"},
)
"""Data that nobody knows, to be kept for a claim."""
FOUND = but(UNKNOWN, disk={"content": Content.TENANCY, "tenancy": OTHER, "content_note": ""})
"""A tenancy that this record does not know, to be kept for a claim."""
AT_THE_ROOT = {
    "content": Content.DATA,
    "content_note": "entries of others: x",
    "tenancy": "",
    "at_root": True,
}
WITNESSED = but(UNKNOWN, disk={"journal": OTHER, "at_root": True})
"""The data that nobody knows, with its tenancy in the journal."""


def of(world: World) -> Plan | None:
    return give.step(world, look(world))


def pointed(to: Ref) -> Plan:
    name = RELEASED.pvs[0].metadata.name
    return Plan(
        action=actions.SetClaimRef(
            name=name,
            uid="pv-a",
            resource_version="7",
            patch=offer.pointing_at(to),
            why="a person gave its data to db/data-0",
        )
    )


def made(tenancy: str, to: Ref = NAMED, path: str = "") -> Plan:
    manifest = offer.persistent_volume(NAME, BLANK.volume.spec, tenancy, "host-1", CAPACITY)
    return Plan(action=actions.CreatePv(manifest=offer.given(manifest, to, path)))


@pytest.mark.parametrize(
    ("world", "plan"),
    [
        (RELEASED, None),
        (RELEASED_, pointed(NAMED)),
        (but(RELEASED_, named_claim=THERE), pointed(change(CLAIM, uid="claim-2"))),
        (with_pv(RELEASED_, spec={"claim_ref": None}), pointed(NAMED)),
        (with_pv(RELEASED_, spec={"claim_ref": NAMED}), None),
        (with_pv(RELEASED_, spec={"claim_ref": change(NAMED, namespace="other")}), pointed(NAMED)),
        (with_pv(RELEASED_, spec={"claim_ref": change(NAMED, name="data-1")}), pointed(NAMED)),
        (with_pv(RELEASED_, phase="Available", spec={"claim_ref": None}), None),
        (with_pv(RELEASED_, deletion_timestamp="2027-01-01T00:00:00Z"), None),
    ],
)
def test_a_released_volume_is_pointed_at_the_claim_that_a_person_named(
    world: World, plan: Plan | None
) -> None:
    assert of(world) == plan


def test_data_is_given_while_the_disk_is_cordoned_or_retired_too() -> None:
    for admin in ({}, {"cordon": True}, {"retire": True}):
        assert of(but(GONE, admin=admin)) == made(OLD)


@pytest.mark.parametrize(
    "world",
    [
        but(GONE, around={"foreign": "theirs"}),
        but(GONE, around={"never": "/data/*"}),
        but(GONE, status={"disk": None}),
        but(GONE, node=None),
        but(GONE, desired=None),
        but(GONE, desired=None, left_by_label=True),
        but(GONE, disk={"trash": ("order-1",)}),
        but(GONE, disk={"content": Content.BLANK}),
        but(GONE, disk={"content": Content.UNKNOWN}),
        but(GONE, disk={"tenancy": OTHER}),
        but(GONE, disk={**AT_THE_ROOT, "journal": OTHER}),
        but(GONE, disk={**AT_THE_ROOT, "journal": OLD, "at_root": False}),
        but(WITNESSED, disk={"content_note": "xfs (label backup)"}),
        but(WITNESSED, spec={"source": Source(device="/dev/disk/by-id/x")}),
    ],
)
def test_nothing_is_made_while_anything_is_unknown_of_what_is_given(world: World) -> None:
    assert of(world) == Plan()
    assert answers.not_taken(world, look(world)) or world.volume.status.disk is None or world.node is None


@pytest.mark.parametrize(
    ("world", "plan"),
    [
        (GONE, made(OLD)),
        (but(GONE, named_claim=THERE), made(OLD, change(CLAIM, uid="claim-2"))),
        (FOUND, made(OTHER)),
        (WITNESSED, made(OTHER, path="/data/disk0")),
        (but(GONE, disk={**AT_THE_ROOT, "journal": OLD}), made(OLD, path="/data/disk0")),
    ],
)
def test_the_volume_of_what_is_on_the_disk_is_made_for_that_claim_alone(world: World, plan: Plan) -> None:
    assert of(world) == plan


def test_what_is_at_the_root_is_given_once_the_journal_has_it_as_a_tenancy() -> None:
    """Nothing on the disk tells, once a claim has it, that it is not what was unknown before."""
    assert of(UNKNOWN) == Plan()
    assert not answers.not_taken(UNKNOWN, look(UNKNOWN))


@pytest.mark.parametrize("fields", [{}, {"admin": {"cordon": True}}])
def test_nobody_is_given_what_nobody_asked_for(fields: dict[str, Any]) -> None:
    for world in (BLANK, OFFERED, RELEASED):
        assert of(but(world, **fields)) is None


@pytest.mark.parametrize(
    ("said", "withdrawn", "again"),
    [
        (work(), False, FRESH),
        (work(), True, FRESH),
        (work(WorkState.REFUSED, "HasData"), False, FRESH),
        (work(WorkState.REFUSED, "HasData"), True, FRESH),
        (work(WorkState.REFUSED, "Odd"), False, NEXT),
        (work(WorkState.REFUSED, "Odd"), True, NEXT),
        (work(WorkState.FAILED), True, NEXT),
    ],
)
def test_what_is_done_or_undone_by_others_is_asked_of_by_an_order_for_nothing_else(
    said: Work, *, withdrawn: bool, again: str
) -> None:
    """Of an order with the same next tenancy the daemon says no more than of the one before."""
    made = {"order": order(kind="prepare", ends="", pv_uid="", withdrawn=withdrawn)}
    due = Retry(order="order-1", at=format_instant(NOW))
    world = but(UNKNOWN, spec=made, status={"work": said, "retry": due})
    action = give.take_back(NOW, world, look(world)).action
    assert isinstance(action, actions.WriteOrder)
    assert action.order is not None
    assert (action.order.withdrawn, action.order.next) == (True, again)


ASIDE = but(BOUND, disk={"content": Content.DATA, "tenancy": "", "trash": ("order-1",)})
"""A claim has it, and what was his lies in the trash of an order that is gone."""
TAKEN_BACK = {"order": order(withdrawn=True)}


@pytest.mark.parametrize("fields", [{"disk": {"presence": Presence.NOT_MOUNTED}}, {"status": {"disk": None}}])
def test_where_the_order_is_gone_it_waits_until_the_disk_tells_what_that_was_for(
    fields: dict[str, Any],
) -> None:
    over_all = but(COMMITTED, spec={"order": None}, status={"committed_on": "q-0", "committed_over": "then"})
    assert give.take_back(NOW, over_all, look(over_all)).action is not None
    world = but(over_all, **fields)
    assert give.take_back(NOW, world, look(world)) == Plan()


@pytest.mark.parametrize(
    "world",
    [
        ASIDE,
        but(ASIDE, spec={"order": order()}, status={"work": work(WorkState.REFUSED, "HasData")}),
        # As another leader asked, or as one asked that was answered of another disk.
        but(ASIDE, spec=TAKEN_BACK, status={"work": work(WorkState.REFUSED, "Withdrawn")}),
        but(
            ASIDE,
            spec=TAKEN_BACK,
            status={
                "work": work(WorkState.FAILED),
                "retry": Retry(order="order-1", at=format_instant(NOW)),
            },
        ),
    ],
)
def test_what_a_wipe_has_put_aside_goes_back_to_the_claim_that_has_the_volume(world: World) -> None:
    plan = give.put_back(NOW, world, look(world))
    assert plan is not None
    assert isinstance(plan.action, actions.WriteOrder)
    assert plan.action.order is not None
    assert (plan.action.order.withdrawn, plan.action.order.ends) == (True, OLD)


@pytest.mark.parametrize(
    ("world", "plan"),
    [
        (BOUND, None),
        (but(BOUND, status={"disk": None}), None),
        # A journal that does not know him proves nothing.
        (but(ASIDE, disk={"journal": OTHER}), None),
        # Beside what is his there is something of old times: nothing of his is missing.
        (but(BOUND, disk={"content": Content.DATA, "trash": ("order-1",)}), None),
        (but(ASIDE, spec=TAKEN_BACK), Plan()),
        (
            but(
                ASIDE,
                spec=TAKEN_BACK,
                status={"work": work(WorkState.REFUSED, "Withdrawn")},
                mine={"orders": frozenset({"order-1"})},
            ),
            Plan(),
        ),
        (but(ASIDE, spec=TAKEN_BACK, status={"work": work(WorkState.REFUSED, "HasData")}), None),
    ],
)
def test_nothing_is_moved_that_is_in_place_or_that_the_daemon_cannot_prove_to_be_whole(
    world: World, plan: Plan | None
) -> None:
    assert give.put_back(NOW, world, look(world)) == plan
