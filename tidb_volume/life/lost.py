"""A node that is lost, and whether the claims on its disks are let go so that their users start elsewhere.

Lost is more than away: its Node object is gone, or a person has tainted it as out of service (KEP-2268),
which says that nothing runs there any more. A pod with a claim on a local disk waits for that very disk, so
that somebody has to delete the claim; by default a person does. A pool with `nodeLoss: {release, after: 30m}`
has it done after that time, if by then neither node nor claim came back. What is on the disk is not touched
by it: the volume is released as ever, and is wiped when its node is back.
"""

from __future__ import annotations

from collections.abc import Callable

from tidb_volume.life import actions
from tidb_volume.life.actions import Plan
from tidb_volume.life.daemon import is_lost
from tidb_volume.life.look import Seen
from tidb_volume.life.release import manual, tripped
from tidb_volume.life.world import World
from tidb_volume.units import Instant, format_instant, parse_duration, parse_instant
from tidb_volume.value import Value

WAIT = "wait"


def since(world: World, seen: Seen, now: Instant) -> str:
    """Since when the node of a claimed volume is lost, for the record, which outlives this leader; empty: it
    is not, or nobody has the disk."""
    if not (seen.claimed and is_lost(world)):
        return ""
    before = world.volume.status.lost_since
    return format_instant(min(parse_instant(before), now) if before else now)


def after(world: World) -> str:
    """How long after the loss the pool lets claims go; empty: it waits for a person."""
    told = world.desired.pool.node_loss if world.desired is not None else WAIT
    return "" if told == WAIT else told


def ends(world: World) -> Instant:
    """When the wait ends: a whole one after the loss, and after people may not have been heard."""
    wait = parse_duration(after(world))
    return Instant(max(parse_instant(world.volume.status.lost_since), world.missed_until) + wait)


class Against(Value):
    """What stands against letting a claim go though its time is over."""

    holds: Callable[[World], bool]
    said: str


AGAINST = (
    Against(
        holds=lambda world: world.fleet is not None and world.fleet.spec.paused, said="the fleet is paused"
    ),
    Against(holds=lambda world: tripped(world) is not None, said="the circuit breaker is open"),
    Against(holds=manual, said="in manual mode a person deletes it"),
    Against(holds=lambda world: world.volume.spec.admin.hold, said="the volume is held"),
    Against(holds=lambda world: bool(world.pods), said="a pod that uses it is still recorded on that node"),
)
"""In the order in which they are said. Whoever still has a pod object there may still run: a StatefulSet must
never have two of one name."""


def obstacle(world: World) -> str:
    """What stands against letting the claim go though its time is over, for people; empty: nothing."""
    return next((each.said for each in AGAINST if each.holds(world)), "")


def step(now: Instant, world: World, seen: Seen) -> Plan:
    """Let the claim go, a safe step at a time: its time is over, it is counted, it is deleted as read."""
    claim = world.claim
    if not after(world) or not is_lost(world) or claim is None or claim.metadata.deletion_timestamp:
        return Plan()
    if not world.volume.status.lost_since:
        return Plan()  # it is written down first
    if now < ends(world):
        return Plan(again_at=ends(world))
    if obstacle(world):
        return Plan()
    meta = claim.metadata
    if meta.uid not in world.mine.counted:
        return Plan(action=actions.CountClaim(uid=meta.uid))
    return Plan(
        action=actions.DeleteClaim(
            namespace=meta.namespace,
            name=meta.name,
            uid=meta.uid,
            resource_version=meta.resource_version,
            node=world.volume.spec.node_name,
            why=f"node {world.volume.spec.node_name} is lost since {world.volume.status.lost_since},"
            f" and pool {world.volume.spec.pool} lets claims go after {after(world)}",
        )
    )


def said(world: World, seen: Seen) -> str:
    """What is told of a lost node on one of its volumes: what was seen, and what follows."""
    what = "the Node object is gone" if world.node is None else "the Node is tainted out-of-service"
    if not seen.claimed:
        return what
    claim = world.claim
    if not after(world) or claim is None:
        return f"{what}; its pod waits for this disk until its claim is deleted"
    if claim.metadata.deletion_timestamp:
        return f"{what}; its claim is being deleted, so that its user starts elsewhere"
    if not world.volume.status.lost_since:
        return what
    against = obstacle(world)
    at = format_instant(ends(world))
    return f"{what}; its claim is let go at {at}" + (f", but not while {against}" if against else "")
