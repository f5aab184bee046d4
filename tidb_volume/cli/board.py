"""What `status` shows, computed from what was read: the fleet in numbers, and what wants attention.

Pure: the volumes, the fleet object, the lease, Events and a time go in. What stands at the top is what stops
everything; then come the things that only a person ends, each with the command.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tidb_volume.cli import speak
from tidb_volume.fleet import Fleet, InventoryStatus
from tidb_volume.kube import codec
from tidb_volume.life import breaker
from tidb_volume.units import Instant
from tidb_volume.value import Phase, Value, Volume

MAKE_FLEET = "kubectl create -f deploy/fleet.yaml"
LEASE_LATE = 3.0
"""A lease that is older than so many times its duration has no one behind it."""


class Banner(Value):
    """Something that stops the whole fleet, or may."""

    word: str
    text: str
    command: str = ""
    alarm: bool = True


class Waits(Value):
    """What waits for a person for one reason."""

    reason: str
    volumes: tuple[str, ...]
    text: str
    """What is said of the first one."""
    way_out: str


class Wipe(Value):
    """A wipe that comes, or runs."""

    volume: str
    node: str
    disk: str
    owner: str
    method: str
    at: str = ""
    note: str = ""


class Warned(Value):
    """The last warning of one kind about one thing."""

    at: str
    about: str
    reason: str
    message: str
    count: int


class Board(Value):
    """The fleet, at one moment."""

    at: str
    disks: int
    nodes: int
    counts: dict[str, dict[str, int]]
    """By pool, by phase."""
    banners: tuple[Banner, ...]
    waits: tuple[Waits, ...]
    next_wipes: tuple[Wipe, ...]
    """By their deadline, all of them."""
    running: tuple[Wipe, ...]
    refused: tuple[InventoryStatus, ...]
    """Inventories whose last edit is not in force, or that have something to say."""
    warnings: tuple[Warned, ...]
    leader: str = ""
    lacks: tuple[str, ...] = ()


def board(
    volumes: Sequence[Volume],
    fleet: Fleet | None,
    lease: codec.Lease | None,
    events: Sequence[codec.Event],
    now: Instant,
    at: str,
    lacks: Sequence[str] = (),
    *,
    fleet_known: bool = True,
) -> Board:
    """The board of these volumes. fleet_known: False where `fleet` is None since it may not be read."""
    counts: dict[str, dict[str, int]] = {}
    for volume in volumes:
        pool = counts.setdefault(volume.spec.pool, {})
        phase = volume.status.phase.value
        pool[phase] = pool.get(phase, 0) + 1
    leader = lease.spec.holder_identity if lease is not None else ""
    return Board(
        at=at,
        disks=len(volumes),
        nodes=len({volume.spec.node_name for volume in volumes}),
        counts=dict(sorted(counts.items())),
        banners=tuple(banners(fleet, lease, volumes, now, fleet_known=fleet_known)),
        waits=waits(volumes),
        next_wipes=next_wipes(volumes),
        running=tuple(
            _wipe(volume, note=_running_note(volume))
            for volume in volumes
            if volume.status.phase is Phase.WIPING
        ),
        refused=tuple(each for each in (fleet.status.inventories if fleet else ()) if each.errors),
        warnings=warnings(events),
        leader=leader,
        lacks=tuple(dict.fromkeys(lacks)),
    )


def banners(
    fleet: Fleet | None,
    lease: codec.Lease | None,
    volumes: Sequence[Volume],
    now: Instant,
    *,
    fleet_known: bool = True,
) -> list[Banner]:
    """What holds for everything, the gravest first."""
    found = []
    if (fleet is None and fleet_known) or (fleet is not None and fleet.metadata.deletion_timestamp):
        what = (
            "there is no TidbVolumeFleet named fleet"
            if fleet is None
            else "the fleet object is being deleted"
        )
        found.append(
            Banner(
                word="NO FLEET OBJECT",
                text=f"{what}: everything is paused, nothing is wiped",
                command=MAKE_FLEET,
            )
        )
    if fleet is not None:
        if fleet.spec.paused:
            text = "no wipe begins or goes on, by a person's word; pods go on"
            found.append(Banner(word="PAUSED", text=text, command=f"{speak.PLUGIN} resume"))
        tripped = fleet.status.breaker
        if tripped.tripped:
            since = f" since {speak.clock(tripped.at)}" if tripped.at else ""
            found.append(
                Banner(
                    word="BREAKER OPEN",
                    text=f"{tripped.reason}{since}; nothing is wiped",
                    command=f"{speak.PLUGIN} breaker reset",
                )
            )
        if fleet.spec.mode == "manual":
            text = "every destructive action waits for an approval"
            found.append(Banner(word="MANUAL", text=text, alarm=False))
    silent = _silent(lease, now)
    if silent:
        found.append(Banner(word="NO CONTROLLER", text=silent, alarm=False))
    dirty = [
        volume.metadata.name
        for volume in volumes
        if any(each.type == "DirtyHandedOut" for each in volume.status.conditions)
    ]
    if dirty:
        more = f" and {len(dirty) - 1} more" if len(dirty) > 1 else ""
        found.append(
            Banner(
                word="DIRTY DISK HANDED OUT",
                text=f"{dirty[0]}{more}: another claim got it with the old data on it",
                command=f"{speak.PLUGIN} explain {speak.quoted(dirty[0])}",
            )
        )
    return found


def _silent(lease: codec.Lease | None, now: Instant) -> str:
    """Why nobody seems to decide; empty: somebody leads, or it could not be read."""
    if lease is None:
        return ""
    if not lease.spec.holder_identity:
        return "no volume-controller leads: nothing new is decided; pods go on"
    renewed = speak.when(lease.spec.renew_time or "")
    if renewed is None:
        return ""
    if now - renewed > LEASE_LATE * (lease.spec.lease_duration_seconds or 15):
        ago = speak.age(lease.spec.renew_time or "", now)
        return f"the volume-controller was last heard of {ago} ago: nothing new is decided; pods go on"
    return ""


def waits(volumes: Sequence[Volume]) -> tuple[Waits, ...]:
    """What only a person ends, by reason, the worst first."""
    by_reason: dict[str, list[Volume]] = {}
    for volume in volumes:
        if volume.status.reason in speak.PERSON:
            by_reason.setdefault(volume.status.reason, []).append(volume)
    found = []
    for reason in speak.PERSON:
        some = by_reason.get(reason)
        if not some:
            continue
        first = some[0]
        text = speak.message(first, reason, first.status.message) or reason
        found.append(
            Waits(
                reason=reason,
                volumes=tuple(volume.metadata.name for volume in some),
                text=text,
                way_out=speak.way_out(first),
            )
        )
    return tuple(found)


def next_wipes(volumes: Sequence[Volume]) -> tuple[Wipe, ...]:
    """Wipes that come by themselves, the next one first."""
    coming = [
        volume
        for volume in volumes
        if volume.status.phase is Phase.RELEASED
        and volume.status.wipe_at
        and volume.status.reason not in speak.PERSON
    ]
    coming.sort(key=lambda volume: (volume.status.wipe_at, volume.metadata.name))
    return tuple(
        _wipe(
            volume,
            at=volume.status.wipe_at,
            note="" if volume.status.reason in ("Countdown", "Ordered") else volume.status.reason,
        )
        for volume in coming
    )


def _wipe(volume: Volume, at: str = "", note: str = "") -> Wipe:
    order = volume.spec.order
    return Wipe(
        volume=volume.metadata.name,
        node=volume.spec.node_name,
        disk=str(volume.spec.source),
        owner=speak.claim(volume),
        method=(order.method if order is not None and volume.status.phase is Phase.WIPING else "")
        or volume.spec.wipe.method,
        at=at,
        note=note,
    )


def _running_note(volume: Volume) -> str:
    if volume.status.reason not in ("", "Wiping"):
        return volume.status.message
    return speak.progress(volume)


def warnings(events: Sequence[codec.Event], most: int = 5) -> tuple[Warned, ...]:
    """The last warnings, the newest first, each thing and reason once."""
    found: dict[tuple[str, str], Warned] = {}
    for event in sorted(events, key=_at, reverse=True):
        if event.type != "Warning":
            continue
        about = event.involved_object
        name = f"{about.namespace}/{about.name}" if about.namespace else about.name
        known = found.get((name, event.reason))
        if known is None and len(found) < most:
            found[name, event.reason] = Warned(
                at=_at(event), about=name, reason=event.reason, message=event.message, count=event.count
            )
    return tuple(found.values())


def _at(event: codec.Event) -> str:
    return event.last_timestamp or event.first_timestamp or event.metadata.creation_timestamp or ""


def budget(fleet: Fleet, volumes: int, now: Instant) -> tuple[int, int]:
    """Wipes counted in the last hour, and how many the budget allows in one."""
    spent = sum(each.wipes for each in breaker.last_hour(fleet.status.breaker, now))
    return spent, breaker.limit(fleet.spec.budget, volumes)


class Summary(msgspec.Struct, frozen=True):
    """How many of each phase, over all pools."""

    phases: dict[str, int]

    @classmethod
    def of(cls, found: Board) -> Summary:
        """The sums of a board."""
        total: dict[str, int] = {}
        for pool in found.counts.values():
            for phase, count in pool.items():
                total[phase] = total.get(phase, 0) + count
        return cls(total)
