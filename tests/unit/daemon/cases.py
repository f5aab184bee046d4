"""A case that everything agrees on, and words for changing one thing in it."""

from __future__ import annotations

from typing import Any

import msgspec

from disk_daemon.known import Case, Entry, Facts, Live, Taken
from tidb_volume.fleet import Breaker, Fleet, FleetStatus
from tidb_volume.upstream import Pv
from tidb_volume.value import (
    Identity,
    Meta,
    Order,
    Presence,
    Source,
    Volume,
    VolumeSpec,
    VolumeStatus,
)

OLD, NEXT, OTHER = "aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"
DISK = Identity(serial="S1", model="M", size_bytes=100, fs_uuid="u1")
UID = "uid-1"


def order(**fields: Any) -> Order:
    """The reclaim that ends OLD and begins NEXT."""
    made = Order(id="order-1", kind="reclaim", ends=OLD, next=NEXT, offer=True, epoch=1, identity=DISK)
    return msgspec.structs.replace(made, **fields)


def taken(**fields: Any) -> Taken:
    """That order, as the journal has it at work."""
    made = Taken(id="order-1", kind="reclaim", ends=OLD, next=NEXT)
    return msgspec.structs.replace(made, **fields)


def volume(given: Order, **status: Any) -> Volume:
    """The volume with this order, committed."""
    return Volume(
        metadata=Meta(name="v", uid=UID),
        spec=VolumeSpec(node_name="n", pool="p", source=Source(path="/data/a"), order=given),
        status=VolumeStatus(**{"committed": given.id, **status}),
    )


def live(given: Order, **fields: Any) -> Live:
    """Everything read, nothing in the way."""
    fleet = Fleet(metadata=Meta(name="fleet"), status=FleetStatus(breaker=Breaker(epoch=1)))
    return msgspec.structs.replace(Live(read_at=1.0, volume=volume(given), fleet=fleet), **fields)


def facts(**fields: Any) -> Facts:
    """The disk with the released tenancy on it."""
    made = Facts(
        presence=Presence.OK,
        device="8:0",
        identity=DISK,
        capacity_bytes=100,
        folder=True,
        tenancies=(OLD,),
        everyone_unknown="",
    )
    return msgspec.structs.replace(made, **fields)


def entry(**fields: Any) -> Entry:
    """The journal with that tenancy handed over."""
    return msgspec.structs.replace(Entry(identity=DISK, handed=OLD), **fields)


def case(given: Order | None = None, **fields: Any) -> Case:
    """A case in which the reclaim is to be done; each field changes one witness."""
    given = given or order()
    if given.whole_disk and not given.over:
        given = msgspec.structs.replace(given, over=fields.get("disk", facts()).lies_on_it)
    made = Case(order=given, volume="v", uid=UID, live=live(given), disk=facts(), journal=entry())
    return msgspec.structs.replace(made, **fields)


def with_admin(made: Case, **admin: Any) -> Case:
    """The case with something in `spec.admin`."""
    assert made.live.volume is not None
    spec = made.live.volume.spec
    spec = msgspec.structs.replace(spec, admin=msgspec.structs.replace(spec.admin, **admin))
    return with_volume(made, spec=spec)


def with_order(made: Case, **fields: Any) -> Case:
    """The case whose live order is another than the one at work."""
    assert made.live.volume is not None
    spec = msgspec.structs.replace(made.live.volume.spec, order=msgspec.structs.replace(made.order, **fields))
    return with_volume(made, spec=spec)


def with_volume(made: Case, **fields: Any) -> Case:
    """The case with another live volume."""
    assert made.live.volume is not None
    return with_live(made, volume=msgspec.structs.replace(made.live.volume, **fields))


def with_live(made: Case, **fields: Any) -> Case:
    """The case with another reading of the API."""
    return msgspec.structs.replace(made, live=msgspec.structs.replace(made.live, **fields))


def pv(name: str = "pv-old", *, terminating: bool = False) -> Pv:
    """A PersistentVolume of this disk."""
    stamp = "2026-01-01T00:00:00Z" if terminating else None
    return Pv(metadata=Meta(name=name, uid="u", deletion_timestamp=stamp))
