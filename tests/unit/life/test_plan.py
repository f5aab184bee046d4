"""The next step of each stage, to the letter: once all is written that is remembered and shown."""

from __future__ import annotations

import pytest

from tests.unit.life.plans import (
    ABOUT,
    ADOPT,
    ANSWERED,
    AWAY,
    BACK,
    COUNTED,
    DEVICE,
    ENDING,
    FAILED,
    FREE,
    GONE,
    PV_OLD,
    RUNNING,
    UUID,
    WIPE_NOW,
    at,
    rows,
    settled,
    step,
)
from tests.unit.life.worlds import (
    BLANK,
    BOUND,
    CLAIM,
    COMMITTED,
    FRESH,
    HARDWARE,
    NOW,
    OFFERED,
    OLD,
    OTHER,
    RELEASED,
    but,
    change,
    order,
    pv,
    question,
    with_pv,
    work,
)
from tidb_volume.life import actions, orders
from tidb_volume.life.plan import plan
from tidb_volume.life.world import Annotated, World
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import Answer, Content, Order, Presence, WipePolicy

# --- before all else ---


@rows(
    (BLANK, "prepare >d 0: clean: made ready to be offered"),
    (but(BLANK, volume=change(BLANK.volume, metadata=change(BLANK.volume.metadata, **ENDING))), ""),
    (OFFERED, ""),
    (BOUND, ""),
    # A second offer, of a deposed leader's call that came late.
    (but(BOUND, pvs=(*BOUND.pvs, pv(OTHER))), "delete c: a disk has one PersistentVolume"),
    (but(OFFERED, pvs=(*OFFERED.pvs, pv(OTHER))), "delete c: a disk has one PersistentVolume"),
    (but(BOUND, pvs=(*BOUND.pvs, pv(OTHER, "Released", CLAIM))), ""),
    (
        but(BOUND, pvs=(*BOUND.pvs, pv(OTHER)), spec={"order": order(ends=OTHER, pv_uid="pv-c")}),
        "no order: not now: a disk has one PersistentVolume",
    ),
    # The annotation.
    (with_pv(BOUND, annotations={}), "AnnotatePv"),
    (
        but(with_pv(BOUND, annotations={}), mine={"annotated": Annotated(pv_uid="pv-a", times=1, at=NOW)}),
        "@60",
    ),
    (
        but(
            with_pv(RELEASED, annotations={}),
            status={"wipe_at": format_instant(Instant(NOW + 7))},
            mine={"annotated": Annotated(pv_uid="pv-a", times=1, at=NOW)},
        ),
        "@7",
    ),
    (
        but(
            with_pv(RELEASED, annotations={}),
            status={"wipe_at": format_instant(Instant(NOW + 700))},
            mine={"annotated": Annotated(pv_uid="pv-a", times=1, at=NOW)},
        ),
        "@60",
    ),
)
def test_what_comes_before_the_life_of_a_disk(world: World, planned: str) -> None:
    assert step(world) == planned


GONE_FOR_GOOD = but(
    RELEASED, disk={"presence": Presence.NOT_PRESENT}, admin={"forget": Answer(question="q-1")}
)


@rows(
    (GONE_FOR_GOOD, "delete a: forgotten by a person: NOT WIPED"),
    (with_pv(GONE_FOR_GOOD, **ENDING), ""),
    (
        but(GONE_FOR_GOOD, pvs=(), mine={"deleted": frozenset({"pv-a"})}),
        "delete volume: forgotten by a person: NOT WIPED",
    ),
    (
        but(GONE_FOR_GOOD, spec={"order": order()}),
        "no order: not now: forgotten by a person: NOT WIPED",
    ),
    (but(GONE_FOR_GOOD, admin={"forget": Answer(question="q-0")}), ""),
)
def test_a_record_that_a_person_ends(world: World, planned: str) -> None:
    assert step(world) == planned


# --- claimed ---

LOST = but(
    BOUND,
    spec={"source": DEVICE, "fs_type": "xfs", "wipe": WipePolicy(on_release="wipe", method="format")},
    wanted={"source": DEVICE, "fs_type": "xfs"},
    status={"identity": UUID},
    disk={"content": Content.DATA, "tenancy": "", "journal": "", "in_use": "", "identity": UUID},
)
"""Its journal is lost, and all else agrees."""
MOUNT = order(kind="mount", ends="", next=OLD, pv_uid="", attempt=2)
MOUNTING = but(LOST, spec={"order": MOUNT})


@rows(
    (but(BOUND, spec={"order": order()}), "no order: a claim has it"),
    (but(BOUND, spec={"order": order(ends=OTHER)}), ""),
    (but(BOUND, pool={"after": "2h"}), "spec: the inventory says so"),
    (but(BOUND, pool={"after": "1s"}), ""),
    (but(BOUND, pool={"name": "gold"}), ""),
    (but(LOST, pool={"after": "2h"}), "spec: the inventory says so"),
    (LOST, "mount >a 0: its journal is lost, and hardware and file system are those on record"),
    (but(LOST, daemon=AWAY), ""),
    (MOUNTING, ""),
    (but(MOUNTING, status={"work": RUNNING}), ""),
    (but(MOUNTING, status={"work": FAILED}), "@120"),
    (but(MOUNTING, status={"work": FAILED, "retry": at(1)}), "@1"),
    (
        but(MOUNTING, status={"work": FAILED, "retry": at(0)}),
        "mount >a 3: its journal is lost, and hardware and file system are those on record",
    ),
    (
        but(MOUNTING, status={"work": work(), "retry": at(-1)}),
        "mount >a 3: its journal is lost, and hardware and file system are those on record",
    ),
    (but(MOUNTING, disk={"tenancy": OLD}), ""),
)
def test_a_disk_that_a_claim_has(world: World, planned: str) -> None:
    assert step(world) == planned


# --- word for word ---


def ordered(world: World) -> Order | None:
    action = plan(NOW, settled(world)).action
    assert isinstance(action, actions.WriteOrder)
    return action.order


BASE = Order(
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
WHOLE = change(BASE, kind="prepare", answer="q-1", whole_disk=True, asked="adopt: Wipe")


@pytest.mark.parametrize(
    ("world", "made"),
    [
        (COUNTED, change(BASE, pv_name=PV_OLD, pv_uid="pv-a", claim_uid=CLAIM.uid)),
        (
            but(COUNTED, status={"owner": None}),
            change(BASE, pv_name=PV_OLD, pv_uid="pv-a", claim_uid=CLAIM.uid),
        ),
        (
            but(COUNTED, admin=WIPE_NOW),
            change(BASE, pv_name=PV_OLD, pv_uid="pv-a", claim_uid=CLAIM.uid, answer="q-1", asked="wipe-now"),
        ),
        (but(COUNTED, admin=ADOPT), change(BASE, pv_name=PV_OLD, pv_uid="pv-a", claim_uid=CLAIM.uid)),
        (with_pv(COUNTED, spec={"claim_ref": None}), change(BASE, pv_name=PV_OLD, pv_uid="pv-a")),
        (
            but(GONE, mine={"counted": frozenset({"q-1"})}),
            change(WHOLE, pv_name=PV_OLD, over=f"tenancy:{OLD}::"),
        ),
        (
            but(
                GONE,
                mine={"counted": frozenset({"q-1"})},
                spec={"order": change(WHOLE, id="order-8", answer="q-0", over="then")},
            ),
            change(WHOLE, pv_name=PV_OLD, over=f"tenancy:{OLD}::"),
        ),
        (
            but(
                ANSWERED,
                disk={"content": Content.DATA, "tenancy": OTHER},
                status={"question": question("adopt", ABOUT.replace("::", f":{OTHER}:"))},
            ),
            change(WHOLE, ends=OTHER, over=f"data:{OTHER}:xfs:", claim_uid=""),
        ),
        (FREE, change(BASE, kind="prepare", asked="", claim_uid="")),
        (
            but(COMMITTED, around={"foreign": "p"}),
            order(withdrawn=True),
        ),
        (BACK, order(withdrawn=True)),
        (
            but(BACK, spec={"order": None}),
            change(BASE, withdrawn=True),
        ),
    ],
)
def test_what_an_order_names(world: World, made: Order) -> None:
    assert ordered(world) == made


def test_what_must_be_remembered_of_a_volume_comes_before_what_is_done_about_it() -> None:
    """Which PersistentVolume it is that was seen, too: another one of its name has another."""
    world = settled(COUNTED)
    unseen = but(world, status={"volume_uid": ""})
    action = plan(NOW, unseen).action
    assert isinstance(action, actions.PatchStatus)
    assert action.status.volume_uid == "pv-a"
    assert isinstance(plan(NOW, world).action, actions.WriteOrder)


def test_what_was_put_aside_under_a_claim_is_asked_back() -> None:
    aside = but(BOUND, disk={"content": Content.DATA, "tenancy": "", "trash": ("order-1",)})
    order = ordered(aside)
    assert order is not None
    assert (order.withdrawn, order.ends) == (True, OLD)
