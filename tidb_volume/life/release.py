"""May a released disk be wiped, and if not, why not: an ordered list of obstacles.

The first obstacle that holds is what the volume shows. Those that a person or a program puts in the way
(policy, pool, hold, gate, a dropped entry) start the countdown anew when they fall; those of the moment
(pause, in use, an absent node) only make it wait.
"""

from __future__ import annotations

from tidb_volume.life.look import Seen
from tidb_volume.life.world import World
from tidb_volume.units import Instant, format_instant, parse_duration, parse_instant
from tidb_volume.value import Value


class Obstacle(Value):
    """Why the data is still there: a word of `words.REASONS` and its note."""

    word: str
    note: str = ""
    resets: bool = False
    """The countdown begins anew once this has fallen."""
    again_at: Instant | None = None


def node_ready(world: World) -> bool:
    """Whether the kubelet's heartbeat says that the node is Ready."""
    return world.node is not None and any(
        condition.type == "Ready" and condition.status == "True" for condition in world.node.status.conditions
    )


def open_gates(world: World) -> tuple[str, ...]:
    """Gates that stand before this tenancy's wipe: the volume's own, and the pool's that nobody passed."""
    spec, tenancy = world.volume.spec, world.volume.status.tenancy
    pool = [gate for gate in spec.wipe.gates if spec.admin.gates_passed.get(gate) != tenancy]
    return tuple(sorted({*spec.admin.gates, *pool}))


def wipe_now(world: World) -> bool:
    """A person answered this very question with wipe-now."""
    question, answer = world.volume.status.question, world.volume.spec.admin.wipe_now
    return question is not None and answer is not None and answer.question == question.id


def adopt_wipe(world: World) -> bool:
    """A person answered this very question with adopt: Wipe."""
    question, adopt = world.volume.status.question, world.volume.spec.admin.adopt
    return (
        question is not None
        and adopt is not None
        and adopt.question == question.id
        and adopt.action == "Wipe"
    )


def decision(world: World, seen: Seen) -> Obstacle | None:
    """What a person or program holds against the wipe; None: it is wanted."""
    spec = world.volume.spec
    if not world.listed:
        return Obstacle(word="DroppedReleased", resets=True)
    if seen.pv is None or seen.pv_state in ("terminating", "offered"):
        if not adopt_wipe(world):
            return Obstacle(word="GoneByHand", resets=True)
    elif not wipe_now(world):
        if seen.pv.spec.persistent_volume_reclaim_policy != "Delete":
            return Obstacle(word="PolicyRetain", resets=True)
        if spec.wipe.on_release == "keep":
            return Obstacle(word="PoolKeeps", resets=True)
    if spec.admin.hold:
        return Obstacle(word="Held", resets=True)
    gates = open_gates(world)
    if gates:
        return Obstacle(word="Gated", note=", ".join(gates), resets=True)
    return None


def moment(world: World, seen: Seen) -> Obstacle | None:
    """What makes it wait right now; holds for a wipe already committed too."""
    if world.fleet is None or world.fleet.metadata.deletion_timestamp:
        return Obstacle(word="FleetMissing")
    if world.fleet.spec.paused:
        return Obstacle(word="Paused")
    if world.fleet.status.breaker.tripped:
        return Obstacle(word="BreakerOpen", note=world.fleet.status.breaker.reason)
    if world.node is None:
        return Obstacle(word="NodeLost")
    if not node_ready(world):
        return Obstacle(word="NodeNotReady")
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
    return moment(world, seen)


def countdown_ends(world: World, seen: Seen, now: Instant) -> Instant:
    """When the countdown ends: the recorded deadline, or a whole wait from now where none is recorded."""
    after = parse_duration(world.volume.spec.wipe.after)
    recorded = world.volume.status.wipe_at
    return parse_instant(recorded) if recorded else Instant(now + after)
