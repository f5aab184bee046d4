"""The next step for a disk that nobody has: make it ready, offer it, take that back, put it away."""

from __future__ import annotations

from tidb_volume import names
from tidb_volume.life import actions, edit, foreign, give, memory, mounts, offer, orders, release, show
from tidb_volume.life.actions import Plan
from tidb_volume.life.look import Seen, tenancy_of
from tidb_volume.life.world import World
from tidb_volume.units import Instant
from tidb_volume.value import Content, Order

_NOT_OURS = frozenset({"Conflict", "Foreign", "Never"})
"""Troubles under which nothing at all is done to a disk."""


def step(now: Instant, world: World, seen: Seen) -> Plan:
    """Bring it on offer, as far as nothing stands in the way and nothing on it is unknown."""
    if seen.pv_state == "terminating":
        return Plan()
    if seen.pv_state == "offered":
        why = _why_not_on_offer(world, seen)
        if why:
            return orders.take_back(world, seen, why)
        return edit.step(world, seen, free=False)
    if not world.listed:
        return Plan(action=actions.DeleteVolume(why="no entry lists it, and nobody had it"))
    edited = edit.step(world, seen, free=True)
    if edited.action is not None:
        return edited
    if seen.trouble:
        if seen.trouble in _NOT_OURS and orders.unanswered(seen):
            return Plan(action=actions.WriteOrder(order=None, why=f"not any more: {seen.trouble}"))
        return _put_away(now, world, seen) if seen.trouble == "Retired" else Plan()
    given = give.asked_first(now, world, seen) if not seen.disk_known else None
    if given is not None:
        return given
    if seen.order is not None and not seen.order.withdrawn:
        return _order_stands(now, world, seen)
    return _first_order(world, seen)


def _put_away(now: Instant, world: World, seen: Seen) -> Plan:
    """Have a retired disk unmounted that nobody has, so that it can be pulled out."""
    order = seen.order
    if seen.ready and not seen.mine:
        return orders.ask_again(world, seen)  # the tenancy that it made is recorded on an answer of our own
    if not mounts.may_be_put_away(world, seen):
        return Plan()
    if order is not None and order.kind == "unmount" and not (seen.done or seen.failed or seen.refused):
        return Plan()
    again = memory.not_yet(now, world, seen)
    if again is not None:
        return Plan(again_at=again)
    attempt = order.attempt + 1 if order is not None and order.kind == "unmount" else 0
    return orders.write(
        world, seen, kind="unmount", ends="", why="retired, and nobody has it", attempt=attempt
    )


def _why_not_on_offer(world: World, seen: Seen) -> str:
    """Why an unclaimed PersistentVolume is taken back; empty: it may stay."""
    assert seen.pv is not None
    if seen.trouble:
        return seen.trouble
    if show.edit_pending(world):
        return "the inventory's entry was edited"
    if not foreign.may_be_used_on(seen.pv, world.node):
        return "its node has another hostname label by now"
    if world.volume.status.tenancy != tenancy_of(seen.pv):
        return "this record does not know its tenancy"
    if not _still_clean(seen, tenancy_of(seen.pv)):
        return "the disk does not agree that this tenancy is on offer"
    assert seen.disk is not None, "else NotObserved"
    if world.volume.spec.volume_mode == "Block" and seen.disk.in_use:
        return "somebody has the raw device, and may write to it"
    return ""


def _still_clean(seen: Seen, tenancy: str) -> bool:
    """The disk and the journal say what the offer says. A look that is older than a claim does no harm here:
    the delete carries the resourceVersion of an unclaimed one. One that somebody used is dirty, not free."""
    disk = seen.disk
    assert disk is not None, "else NotObserved"
    return (
        disk.content is Content.TENANCY
        and disk.tenancy == disk.journal == tenancy
        and not disk.journal_broken
        and not disk.trash
    )


def _first_order(world: World, seen: Seen, attempt: int = 0) -> Plan:
    disk = seen.disk
    assert disk is not None
    if seen.disk_known:
        return orders.write(
            world,
            seen,
            kind="prepare",
            ends=disk.journal,
            why="clean: made ready to be offered",
            attempt=attempt,
        )
    if release.adopt_wipe(world) and not release.moment(world, seen):
        return adopt(world, seen, attempt)
    return Plan()


def adopt(world: World, seen: Seen, attempt: int = 0) -> Plan:
    """Have all that is on it wiped, on a person's answer to the question that stands; counted first."""
    question, disk = world.volume.status.question, seen.disk
    assert question is not None
    if world.volume.status.tenancy not in world.mine.counted and question.id not in world.mine.counted:
        return Plan(action=actions.CountWipe(tenancy=question.id))
    return orders.write(
        world,
        seen,
        kind="prepare",
        ends=disk.tenancy if disk is not None else "",
        answer=question.id,
        # Looked for by name too: a label can be taken off.
        pv_name=world.volume.status.volume_name,
        why="a person said: wipe it",
        attempt=attempt,
    )


def _order_stands(now: Instant, world: World, seen: Seen) -> Plan:
    """An order for a disk that nobody has: wait for it, offer what it made, or ask again."""
    order = seen.order
    assert order is not None
    if seen.done:
        if not order.offer or not seen.ready:
            return _first_order(world, seen)
        if not seen.mine:
            return orders.ask_again(world, seen)
        return make_offer(world, seen)
    if seen.failed or seen.refused:
        again = memory.not_yet(now, world, seen)
        if again is not None and not _is_answered_since(world, order):
            return Plan(again_at=again)
        if not seen.disk_known and orders.may_have_made(seen):
            return orders.go_on_making(world, seen)
        return _first_order(world, seen, attempt=order.attempt + 1)
    if order.kind == "reclaim":
        return Plan(action=actions.WriteOrder(order=None, why="the record of what it was to end is gone"))
    if order.answer and not seen.mine:
        return Plan(
            action=actions.WriteOrder(order=None, why="another leader's order that was never committed")
        )
    if order.answer and order.identity != world.volume.status.identity:
        return Plan(action=actions.WriteOrder(order=None, why="a person answered about another disk"))
    return Plan()


def _is_answered_since(world: World, order: Order) -> bool:
    """A person, who was asked anew, said what is to become of it: that waits for no pause after what was in
    vain before."""
    question = world.volume.status.question
    return question is not None and question.id != order.answer and release.adopt_wipe(world)


def make_offer(world: World, seen: Seen) -> Plan:
    """Make the PersistentVolume of a tenancy that our own order made clean, if nothing speaks against it."""
    if world.pvs or seen.trouble or not seen.ready:
        return Plan()
    order, disk, volume = seen.order, seen.disk, world.volume
    assert order is not None, "what is ready was ordered"
    if order.destroys and release.tripped(world) is not None:
        return Plan()
    if show.edit_pending(world):
        return edit.step(world, seen, free=True)
    assert disk is not None, "what is ready was seen"
    assert world.node is not None, "else NodeUnknown"
    hostname = world.node.metadata.labels[names.HOSTNAME]
    return Plan(
        action=actions.CreatePv(
            manifest=offer.persistent_volume(
                volume.metadata.name, volume.spec, order.next, hostname, disk.capacity_bytes
            )
        )
    )
