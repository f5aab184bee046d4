"""May a released disk be wiped, and if not, why not: an ordered list of obstacles.

The first obstacle that holds is what the volume shows. Those that a person or a program puts in the way
(policy, pool, hold, gate, a dropped entry) start the countdown anew when they fall; those of the moment
(pause, in use, an absent node) only make it wait.
"""

from __future__ import annotations

from tidb_volume.life import daemon
from tidb_volume.life.answers import adopt_wipe as adopt_wipe
from tidb_volume.life.answers import approved, named, restores
from tidb_volume.life.answers import wipe_now as wipe_now
from tidb_volume.life.look import Seen
from tidb_volume.life.world import World
from tidb_volume.units import Instant, format_instant, parse_duration, parse_instant
from tidb_volume.value import Ref, Value


class Obstacle(Value):
    """Why the data is still there: a word of `words.REASONS` and its note."""

    word: str
    note: str = ""
    again_at: Instant | None = None


def open_gates(world: World) -> tuple[str, ...]:
    """Gates that stand before this tenancy's wipe: the volume's own, and the pool's that nobody passed."""
    spec, tenancy = world.volume.spec, world.volume.status.tenancy
    pool = [gate for gate in spec.wipe.gates if spec.admin.gates_passed.get(gate) != tenancy]
    return tuple(sorted({*spec.admin.gates, *pool}))


def manual(world: World) -> bool:
    """Whether each wipe waits for an approval: the pool's mode, where it has none the fleet's."""
    of_pool = world.desired.pool.mode if world.desired is not None else ""
    of_fleet = world.fleet.spec.mode if world.fleet is not None else None
    return (of_pool or of_fleet) == "manual"


def is_kept(world: World, seen: Seen) -> bool:
    """Whether the data of a released volume is kept as long as nobody says otherwise: by policy or pool, or
    since it lies at the mount's root."""
    if seen.pv is None:
        return False
    if seen.at_root:
        return True
    kept = world.volume.spec.wipe.on_release == "keep"
    return kept or seen.pv.spec.persistent_volume_reclaim_policy != "Delete"


def had_since(seen: Seen) -> str:
    """The UID of the claim that the node's journal has seen on the data after the one on record: an etcd that
    was set back has forgotten it. Empty: none."""
    return seen.disk.had_since if seen.disk is not None else ""


def decision(world: World, seen: Seen) -> Obstacle | None:
    """What a person or program holds against the wipe, so that the countdown begins anew once it has fallen;
    None: the wipe is wanted."""
    spec = world.volume.spec
    if not world.listed:
        return Obstacle(word="DroppedReleased")
    if world.volume.status.unrecorded and not (wipe_now(world) or adopt_wipe(world)):
        return Obstacle(word="RecordLost")
    if restores(world):
        return Obstacle(word="RestoreAsked", note=_to(world))
    if seen.pv_state == "reserved":
        to = _reserved_for(seen)
        if not (wipe_now(world) and world.claim is None and to.uid):
            return Obstacle(word="Reserved", note=str(to))
    if seen.pv is None or seen.pv_state in ("terminating", "offered"):
        if not adopt_wipe(world):
            return _gone(seen)
    elif not wipe_now(world):
        if seen.at_root:
            return Obstacle(word="AtTheRoot")
        if seen.pv.spec.persistent_volume_reclaim_policy != "Delete":
            return Obstacle(word="PolicyRetain")
        if spec.wipe.on_release == "keep":
            return Obstacle(word="PoolKeeps")
        if had_since(seen):
            return Obstacle(word="HadSince", note=had_since(seen))
    if spec.admin.hold:
        return Obstacle(word="Held")
    gates = open_gates(world)
    if gates:
        return Obstacle(word="Gated", note=", ".join(gates))
    return None


def bars_committed(world: World, seen: Seen) -> Obstacle | None:
    """What came since the commit and holds a wipe that has not begun: it is taken back, and goes on when this
    has fallen. A wipe that has begun goes on to its end."""
    spec, order = world.volume.spec, seen.order
    if not world.listed:
        return Obstacle(word="DroppedReleased")
    if world.never:
        return Obstacle(word="Never", note=world.never)
    if world.around.foreign:
        return Obstacle(word="Foreign", note=f": {world.around.foreign}")
    answered = (order is not None and bool(order.answer)) or wipe_now(world) or adopt_wipe(world)
    if spec.wipe.on_release == "keep" and not answered:
        return Obstacle(word="PoolKeeps")
    if spec.admin.hold:
        return Obstacle(word="Held")
    gates = open_gates(world)
    return Obstacle(word="Gated", note=", ".join(gates)) if gates else None


def _gone(seen: Seen) -> Obstacle:
    if not seen.undecided:
        return Obstacle(word="GoneByHand")
    assert seen.work is not None, "it is the work that was refused"
    return Obstacle(word="WipeRefused", note=seen.work.message or seen.work.reason)


def _to(world: World) -> str:
    to = named(world.volume)
    return f" to {to}" if to is not None else ""


def _reserved_for(seen: Seen) -> Ref:
    assert seen.pv is not None
    assert seen.pv.spec.claim_ref is not None, "a reservation names its claim"
    return seen.pv.spec.claim_ref


def tripped(world: World) -> Obstacle | None:
    """The breaker, while it is open; one that cannot be read is. What is wiped meanwhile is not offered."""
    if world.fleet is None or world.fleet.metadata.deletion_timestamp:
        return Obstacle(word="FleetMissing")
    breaker = world.fleet.status.breaker
    return Obstacle(word="BreakerOpen", note=breaker.reason) if breaker.tripped else None


def moment(world: World, seen: Seen) -> Obstacle | None:
    """What makes it wait right now; holds for a wipe already committed too."""
    fleet, stopped = world.fleet, tripped(world)
    if fleet is not None and not fleet.metadata.deletion_timestamp and fleet.spec.paused:
        return Obstacle(word="Paused")
    if stopped is not None:
        return stopped
    absent = daemon.absent(world)
    if absent:
        return Obstacle(word=absent)
    if seen.trouble not in ("", "Cordoned", "Retired", "Dropped"):
        return Obstacle(word=seen.trouble, note=seen.trouble_note)
    if seen.disk is not None and seen.disk.in_use:
        return Obstacle(word="InUse", note=seen.disk.in_use)
    return None


def obstacle(world: World, seen: Seen, now: Instant) -> Obstacle | None:
    """Why this released disk is not wiped now; None: it may be ordered.

    `wipe-now` and `adopt` end the countdown; they lift no hold, gate, pause or breaker.
    """
    held = decision(world, seen)
    if held is not None:
        return held
    if not wipe_now(world) and not adopt_wipe(world):
        ends = countdown_ends(world, seen, now)
        if now < ends:
            return Obstacle(word="Countdown", note=format_instant(ends), again_at=ends)
    if manual(world) and not approved(world):
        return Obstacle(word="AwaitsApproval")
    return moment(world, seen)


def countdown_ends(world: World, seen: Seen, now: Instant) -> Instant:
    """When the countdown ends: a whole wait, as it is by now, after it began, and after people may not have
    been heard (`World.missed_until`). Where its begin is not on record: the recorded deadline, or a whole
    wait from now."""
    status, after = world.volume.status, parse_duration(world.volume.spec.wipe.after)
    begun = min(parse_instant(status.wipe_from), now) if status.wipe_from else now
    on_record = status.wipe_at and not status.wipe_from
    ends = parse_instant(status.wipe_at) if on_record else Instant(begun + after)
    return max(ends, Instant(world.missed_until + after))
