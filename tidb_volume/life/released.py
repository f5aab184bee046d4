"""The next step for a disk whose claim is gone and whose data is still there."""

from __future__ import annotations

from tidb_volume.life import actions, answers, edit, free, give, memory, orders, release
from tidb_volume.life.actions import Plan
from tidb_volume.life.look import Seen
from tidb_volume.life.world import World
from tidb_volume.units import Instant


def step(now: Instant, world: World, seen: Seen) -> Plan:
    """Wait, give it back, or count, order and commit its wipe, one after the other."""
    if seen.pv_state == "offered":
        # Its claimRef was cleared by hand: taken back before a claim finds it.
        return orders.take_back(world, seen, "its data is another tenant's")
    stricter = edit.step(world, seen, free=False)
    if stricter.action is not None:
        return stricter
    given = give.asked_first(now, world, seen)
    if given is not None:
        return given
    found = release.obstacle(world, seen, now)
    order = seen.order
    if found is not None:
        # An order that has not begun the wipe of this tenancy is taken back; one already answered is history.
        if orders.stands_for_wipe(world, seen):
            return Plan(action=actions.WriteOrder(order=None, why=f"not now: {found.word}"))
        return Plan(again_at=found.again_at)
    if seen.pv_state == "terminating":
        return Plan()
    if seen.pv is None:
        return _gone(now, world, seen)
    tenancy = world.volume.status.tenancy
    if tenancy not in world.mine.counted:
        return Plan(action=actions.CountWipe(tenancy=tenancy))
    attempt = 0
    said = answers.said_now(world)
    if (
        order is not None
        and order.id in world.mine.orders
        and order.ends == tenancy
        and order.pv_uid == seen.pv.metadata.uid
        # What lies at the mount's root goes on the answer alone that was given about it.
        and (order.answer == said or not seen.at_root)
    ):
        if not orders.is_spent(seen):
            return orders.delete(seen.pv, "the wipe is ordered")
        again = memory.not_yet(now, world, seen)
        if order.attempt and again is not None:
            return Plan(again_at=again)
        attempt = order.attempt + 1
    return orders.write(
        world,
        seen,
        kind="reclaim",
        ends=tenancy,
        pv_name=seen.pv.metadata.name,
        pv_uid=seen.pv.metadata.uid,
        answer=said,
        whole=seen.at_root,
        why="released, and nothing stands against the wipe",
        attempt=attempt,
    )


def _gone(now: Instant, world: World, seen: Seen) -> Plan:
    """Its PersistentVolume is gone, and a person said: wipe it."""
    order, question = seen.order, world.volume.status.question
    assert question is not None, "a person answered it"
    if order is None or order.answer != question.id:
        return free.adopt(world, seen)
    if seen.mine and not (seen.failed or seen.refused):
        return Plan()
    again = memory.not_yet(now, world, seen)
    return Plan(again_at=again) if again is not None else free.adopt(world, seen, order.attempt + 1)
