"""Worlds in which everything agrees, one for each stage of a disk's life, and ways to change facts of one.

For tables that spell out a decision to the letter. Where a life is to be lived, `stages` is the beginning.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tests.unit.life.cluster import NAME, NODE, SOURCE, START, desired
from tidb_volume import names
from tidb_volume.fleet import Fleet
from tidb_volume.inventory import policy
from tidb_volume.life.look import Seen, look
from tidb_volume.life.world import Daemon, Fresh, Mine, World
from tidb_volume.upstream import Claim, Node, NodeCondition, NodeStatus, PhaseOnly, Pv, PvcSpec, PvSpec
from tidb_volume.value import (
    Content,
    DiskReport,
    Identity,
    Meta,
    Order,
    Owner,
    Presence,
    Question,
    Ref,
    SlimMeta,
    Volume,
    VolumeSpec,
    VolumeStatus,
    Work,
    WorkState,
)

change = msgspec.structs.replace
NOW = START
OLD, NEXT, OTHER, FRESH = "aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc", "dddddddddddd"
HARDWARE = Identity(serial="S1", model="M", size_bytes=1 << 30)
CLAIM = Ref(namespace="db", name="data-0", uid="claim-1")
CAPACITY = 1 << 30


def pv(tenancy: str = OLD, phase: str = "Available", ref: Ref | None = None, **meta: Any) -> Pv:
    """A PersistentVolume of ours."""
    name = names.pv_name(NAME, tenancy)
    annotations = {names.PROVISIONED_BY: names.PROVISIONER}
    made = Meta(
        name=name,
        uid=f"pv-{tenancy[0]}",
        resource_version="7",
        labels={names.LABEL_DISK: NAME},
        annotations=annotations,
    )
    spec = PvSpec(claim_ref=ref, persistent_volume_reclaim_policy="Delete", storage_class_name="tikv")
    return Pv(metadata=change(made, **meta), spec=spec, status=PhaseOnly(phase=phase))


def order(**fields: Any) -> Order:
    """The order to wipe OLD and to begin NEXT."""
    made = Order(
        id="order-1",
        kind="reclaim",
        method="files",
        identity=HARDWARE,
        ends=OLD,
        next=NEXT,
        offer=True,
        pv_name=names.pv_name(NAME, OLD),
        pv_uid="pv-a",
        claim_uid=CLAIM.uid,
        epoch=1,
        leader="a",
    )
    return change(made, **fields)


def work(state: WorkState = WorkState.DONE, reason: str = "", **fields: Any) -> Work:
    return change(Work(order_id="order-1", state=state, reason=reason), **fields)


def question(kind: str = "release", about: str = OLD) -> Question:
    return Question(id="q-1", kind=kind, about=about, text="?", at="2027-01-15T08:00:00.000Z")


def but(
    world: World,
    *,
    spec: dict[str, Any] | None = None,
    admin: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    disk: dict[str, Any] | None = None,
    wanted: dict[str, Any] | None = None,
    pool: dict[str, Any] | None = None,
    mine: dict[str, Any] | None = None,
    around: dict[str, Any] | None = None,
    **fields: Any,
) -> World:
    """The world with these facts changed, each part by its fields."""
    volume = world.volume
    known, entry = change(volume.status, **(status or {})), world.desired
    if disk is not None:
        assert known.disk is not None
        known = change(known, disk=change(known.disk, **disk))
    told = change(volume.spec, **(spec or {}))
    told = change(told, admin=change(told.admin, **(admin or {})))
    if entry is not None:
        entry = change(entry, pool=change(entry.pool, **(pool or {})), **(wanted or {}))
    parts = {
        "volume": change(volume, spec=told, status=known),
        "desired": entry,
        "mine": change(world.mine, **(mine or {})),
        "around": change(world.around, **(around or {})),
    }
    return change(world, **{**parts, **fields})


def with_pv(
    world: World, *, spec: dict[str, Any] | None = None, phase: str | None = None, **meta: Any
) -> World:
    """The world with its one PersistentVolume changed."""
    (before,) = world.pvs
    status = before.status if phase is None else PhaseOnly(phase=phase)
    made = Pv(
        metadata=change(before.metadata, **meta), spec=change(before.spec, **(spec or {})), status=status
    )
    return change(world, pvs=(made,))


def seen(world: World, **facts: Any) -> Seen:
    """What is seen of it, with these facts changed."""
    return change(look(world), **facts)


_WANTED = desired()
_BLANK = DiskReport(
    presence=Presence.OK,
    boot="b",
    device="8:0",
    identity=HARDWARE,
    capacity_bytes=CAPACITY,
    content=Content.BLANK,
    survey=1,
)
_OFFERED = change(_BLANK, content=Content.TENANCY, tenancy=OLD, journal=OLD, empty=True)
_USED = change(_OFFERED, empty=False)

BLANK = World(
    volume=Volume(
        metadata=Meta(name=NAME, uid="v-1", resource_version="1"),
        spec=VolumeSpec(node_name=NODE, pool="tikv", source=SOURCE, wipe=policy.wipe_policy(_WANTED)),
        status=VolumeStatus(identity=HARDWARE, disk=_BLANK),
    ),
    desired=_WANTED,
    fresh=Fresh(order="order-9", tenancy=FRESH, question="q-9"),
    leader="a",
    node=Node(
        metadata=Meta(name=NODE, labels={names.HOSTNAME: "host-1"}),
        status=NodeStatus(conditions=(NodeCondition(type="Ready", status="True"),)),
    ),
    node_names_with_hostname=(NODE,),
    daemon=Daemon(ready=True),
    fleet=Fleet(metadata=Meta(name=names.FLEET, uid="f")),
    fleet_volumes=100,
    mine=Mine(),
)
"""Seen for the first time, and nothing is on it."""

OFFERED = but(
    BLANK,
    status={
        "tenancy": OLD,
        "volume_name": names.pv_name(NAME, OLD),
        "volume_uid": "pv-a",
        "disk": _OFFERED,
    },
    pvs=(pv(),),
)
"""Clean, and nobody has it."""

BOUND = but(
    OFFERED,
    status={"dirty": True, "owner": Owner(claim=CLAIM), "disk": change(_USED, in_use="pod db/data-0")},
    pvs=(pv(phase="Bound", ref=CLAIM),),
    claim=Claim(
        metadata=SlimMeta(namespace="db", name="data-0", uid=CLAIM.uid),
        spec=PvcSpec(volume_name=names.pv_name(NAME, OLD)),
    ),
)
"""A claim has it, and its data is there."""

RELEASED = but(
    BOUND,
    status={"disk": _USED, "question": question(), "wipe_at": "2027-01-15T08:00:00.000Z"},
    pvs=(pv(phase="Released", ref=CLAIM),),
    claim=None,
)
"""Its claim is gone, and its countdown is over at this very moment."""

COMMITTED = but(
    RELEASED,
    spec={"order": order()},
    status={"committed": "order-1", "wipe_at": ""},
    mine={"orders": frozenset({"order-1"}), "deleted": frozenset({"pv-a"}), "counted": frozenset({OLD})},
    pvs=(),
)
"""The point of no return is passed, and the daemon has said nothing yet."""

WIPED = but(COMMITTED, status={"work": work()}, disk={"tenancy": NEXT, "journal": NEXT, "empty": True})
"""The wipe is done, and what comes next is ready."""
