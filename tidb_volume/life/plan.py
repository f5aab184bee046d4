"""What to do next about one volume: one safe step at a time.

`plan` looks at a snapshot and returns a single action, or none and the moment to look again. After each
action the world is looked at anew, so a crash between any two of them costs nothing: the next leader sees
where things stand and takes the same next step, or, where only the dead leader could know, the careful one.

The order of the wipe's steps is the contract's: count it, write the order, delete the PersistentVolume with
both preconditions, and only when that delete was answered write `committed`. A daemon acts on no order that
is not committed, so until then everything can be undone by whoever changes the PersistentVolume first.
"""

from __future__ import annotations

from tidb_volume.life import (
    actions,
    annotation,
    answers,
    committed,
    daemon,
    edit,
    free,
    give,
    lost,
    memory,
    mounts,
    orders,
    released,
    status,
)
from tidb_volume.life.actions import Plan
from tidb_volume.life.look import Seen, look, pv_state
from tidb_volume.life.world import World
from tidb_volume.units import Instant
from tidb_volume.upstream import Pv
from tidb_volume.value import Phase, VolumeStatus

SETTLE = 1.0
"""Seconds for which a reason that ends by itself is not worth a write."""
TRANSIENT = frozenset({"NotObserved", "Preparing", "Ordered"})
"""Reasons that end by themselves: something is under way."""


def plan(now: Instant, world: World) -> Plan:
    """The next step for one volume, from what is seen now; pure.

    Returns: at most one action, and the instant at which to decide again though nothing has changed.
    """
    seen = look(world)
    wanted = status.compute(world, seen, now)
    current = world.volume.status

    # What must be remembered comes before what is done about it.
    if answers.accepts_identity(world) or _memory(wanted) != _memory(current):
        return Plan(action=actions.PatchStatus(status=wanted, why=wanted.reason))
    step = _step(now, world, seen)
    if step.action is not None and not daemon.bars(world, step.action):
        return step
    again_at = _sooner(step.again_at, daemon.settles_at(world, now))
    if _shown(wanted) != _shown(current):
        settled = _settles_at(now, world, wanted)
        if wanted.phase is current.phase and settled is not None and now < settled:
            return Plan(again_at=_sooner(again_at, settled))
        return Plan(action=actions.PatchStatus(status=wanted, why=wanted.reason), again_at=again_at)
    return Plan(again_at=again_at)


def _settles_at(now: Instant, world: World, wanted: VolumeStatus) -> Instant | None:
    """Until when a reason that may end by itself is not worth a write; None: it is to be written."""
    if wanted.reason in TRANSIENT:
        return Instant(world.transient_since + SETTLE)
    if wanted.reason == "DaemonNotReady" and wanted.phase is not Phase.RELEASED:
        return daemon.settles_at(world, now)
    return None


def _memory(of: VolumeStatus) -> tuple[object, ...]:
    return (
        of.dirty,
        of.retry,
        of.unrecorded,
        of.committed,
        of.withdrawn,
        of.lost_since,
        of.reserved,
        of.tenancy,
        of.volume_uid,
        of.phase is Phase.RELEASED and of.wipe_at,
        of.question,
        of.owner,
        of.phase if of.phase in (Phase.BOUND, Phase.FAILED) else None,
    )


def _shown(of: VolumeStatus) -> tuple[object, ...]:
    return (
        of.phase,
        of.state,
        of.reason,
        of.message,
        of.volume_name,
        of.wipe_at,
        of.capacity,
        of.identity,
        of.conditions,
        of.heard,
    )


def _sooner(one: Instant | None, other: Instant | None) -> Instant | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


def _step(now: Instant, world: World, seen: Seen) -> Plan:
    if world.volume.metadata.deletion_timestamp:
        return Plan()
    second = _second_offer(world, seen)
    if second is not None:
        return orders.delete_pv(seen, second, "a disk has one PersistentVolume")
    annotated = annotation.put_back(now, world, seen)
    if annotated.action is not None:
        return annotated
    step = _next(now, world, seen)
    return Plan(action=step.action, again_at=_sooner(step.again_at, annotated.again_at))


def _next(now: Instant, world: World, seen: Seen) -> Plan:
    if answers.forgets(world, seen):
        return _forget(world, seen)
    if world.volume.status.committed:
        return committed.step(now, world, seen)
    if seen.claimed:
        if orders.stands_for_wipe(world, seen):
            return Plan(action=actions.WriteOrder(order=None, why="a claim has it"))
        aside = give.put_back(now, world, seen)
        if aside is not None:
            return aside
        stricter = edit.step(world, seen, free=False)
        if stricter.action is not None:
            return stricter
        gone = lost.step(now, world, seen)
        return gone if gone != Plan() else _mount(now, world, seen)
    if seen.was_claimed:
        return released.step(now, world, seen)
    return free.step(now, world, seen)


def _mount(now: Instant, world: World, seen: Seen) -> Plan:
    """Have a claimed disk mounted whose journal is lost, or wait until it may be tried again."""
    if not mounts.is_wanted(world, seen):
        return Plan()
    stands, answered = mounts.order(world), mounts.answered(world)
    if stands is not None and answered is None:
        return Plan()
    again = memory.not_yet(now, world, seen)
    if again is not None:
        return Plan(again_at=again)
    return orders.write(
        world,
        seen,
        kind="mount",
        ends="",
        next_=world.volume.status.tenancy,
        why="its journal is lost, and hardware and file system are those on record",
        attempt=stands.attempt + 1 if stands is not None else 0,
    )


def _second_offer(world: World, seen: Seen) -> Pv | None:
    """A PersistentVolume on offer beside the one that matters: a call of a deposed leader that came late."""
    return next((pv for pv in world.pvs if pv is not seen.pv and pv_state(pv) == "offered"), None)


def _forget(world: World, seen: Seen) -> Plan:
    if seen.pv is not None:
        return (
            Plan()
            if seen.pv_state == "terminating"
            else orders.take_back(world, seen, "forgotten by a person: NOT WIPED")
        )
    return Plan(action=actions.DeleteVolume(why="forgotten by a person: NOT WIPED"))
