"""Writing an order, and deleting a PersistentVolume: what an order names, and what a delete speaks for."""

from __future__ import annotations

import msgspec

from tidb_volume import content
from tidb_volume.inventory import policy
from tidb_volume.life import actions, answers, release
from tidb_volume.life.actions import Plan
from tidb_volume.life.look import Seen
from tidb_volume.life.world import World
from tidb_volume.upstream import Pv
from tidb_volume.value import Identity, Order, Presence


def stands_for_wipe(world: World, seen: Seen) -> bool:
    """An order to wipe the tenancy on record stands, has no answer yet, and no byte is gone for it."""
    order = seen.order
    return (
        order is not None
        and not (seen.done or seen.failed or seen.refused)
        and not (seen.work is not None and seen.work.begun)
        and order.ends == world.volume.status.tenancy
        and order.destroys
    )


def unanswered(seen: Seen) -> bool:
    """An order stands that the daemon may still take up: no answer, no byte gone, not taken back."""
    answered = seen.done or seen.failed or seen.refused
    begun = seen.work is not None and seen.work.begun
    return seen.order is not None and not (seen.order.withdrawn or answered or begun)


def is_spent(seen: Seen) -> bool:
    """The daemon will not carry it out any more, for what may be over by now: committed, it would only fail.
    One that was refused for what is on the disk is committed all the same, and then a person decides."""
    return seen.failed or (seen.refused and not seen.undecided)


def may_have_made(seen: Seen) -> bool:
    """An order that ends nobody's data was in vain, perhaps half-way: what it left on the disk, its daemon
    alone can tell from unknown data, and by an order for the same next tenancy."""
    if not is_spent(seen):
        return False
    order = seen.order
    assert order is not None, "what was in vain was ordered"
    return order.kind == "prepare" and not (order.answer or order.withdrawn)


def ask_again(world: World, seen: Seen) -> Plan:
    """A `done` found at start counts for nothing, nor one that the disk belies: the daemon answers a fresh id
    by what the disk shows.

    Without a commit it is asked in a way in which no answer could delete anything.
    """
    order = seen.order
    assert order is not None
    committed = bool(world.volume.status.committed)
    return write(
        world,
        seen,
        kind=order.kind if committed else "prepare",
        ends=order.ends,
        next_=order.next,
        answer=order.answer if committed else "",
        why="the disk does not show it any more" if seen.mine else "asked again under this leader",
        attempt=order.attempt + seen.mine,
        again_of=order,
    )


def go_on(world: World, seen: Seen, why: str, attempt: int = 0) -> Plan:
    """A fresh order for the wipe that is committed already, towards the same next tenancy. It stands on what
    a person said since the commit, which a pool that came to keep does not bar, or else on what the commit
    stood on: an answer that was taken back is no policy's wipe."""
    order, said, status = seen.order, "", world.volume.status
    if answers.wipe_now(world) or answers.adopt_wipe(world):
        assert status.question is not None, "a person answered it"
        said = status.question.id
    if order is None or not (order.ends == status.tenancy or order.answer):
        kind, ends = "reclaim", status.tenancy
        if status.committed_over:
            # It was about all that is on the disk, and names the tenancy that is there.
            if seen.disk is None or seen.disk.presence is not Presence.OK:
                return Plan()
            kind, ends = "prepare", seen.disk.tenancy
        answer = said or status.committed_on
        return write(world, seen, kind=kind, ends=ends, answer=answer, why=why, attempt=attempt)
    return write(
        world,
        seen,
        kind=order.kind,
        ends=order.ends,
        answer=order.answer or said,
        next_=order.next,
        why=why,
        attempt=attempt,
        again_of=order,
    )


def go_on_making(world: World, seen: Seen) -> Plan:
    """A fresh order to make ready what one that was in vain left half-way (`may_have_made`)."""
    order = seen.order
    assert order is not None, "what was in vain was ordered"
    return write(
        world,
        seen,
        kind="prepare",
        ends=order.ends,
        next_=order.next,
        why="tried again",
        attempt=order.attempt + 1,
        again_of=order,
    )


def withdraw(order: Order, why: str) -> Plan:
    """Have the daemon say, under its lock on the disk, that it has not begun and will not."""
    taken = msgspec.structs.replace(order, withdrawn=True)
    return Plan(action=actions.WriteOrder(order=taken, why=why))


def take_back(world: World, seen: Seen, why: str) -> Plan:
    """Delete the one that matters for another reason than the wipe, with no order to wipe beside it."""
    assert seen.pv is not None
    if stands_for_wipe(world, seen):
        return Plan(action=actions.WriteOrder(order=None, why=f"not now: {why}"))
    return delete_pv(seen, seen.pv, why)


def delete_pv(seen: Seen, pv: Pv, why: str) -> Plan:
    """Delete any for another reason than the wipe. An order that names it would be committed by this very
    delete, also one that was refused, so it is taken back first."""
    if seen.order is not None and seen.order.pv_uid == pv.metadata.uid:
        return Plan(action=actions.WriteOrder(order=None, why=f"not now: {why}"))
    return delete(pv, why)


def delete(pv: Pv, why: str) -> Plan:
    """Delete it as it was read: its UID and its resourceVersion are the preconditions."""
    meta = pv.metadata
    return Plan(
        action=actions.DeletePv(name=meta.name, uid=meta.uid, resource_version=meta.resource_version, why=why)
    )


def write(
    world: World,
    seen: Seen,
    *,
    kind: str,
    ends: str,
    why: str,
    next_: str = "",
    answer: str = "",
    pv_name: str = "",
    pv_uid: str = "",
    attempt: int = 0,
    again_of: Order | None = None,
    whole: bool = False,
) -> Plan:
    """Write an order with a fresh id. again_of: the order that this one goes on with; what is not given is
    taken from there. whole: it is for the whole disk, on an answer; as without a PersistentVolume any is."""
    spec = world.volume.spec
    fleet = world.fleet
    wanted = world.desired is not None and not spec.admin.cordon and not spec.admin.retire
    goes_on = again_of is not None and again_of.whole_disk
    whole = bool(answer) and (whole or goes_on or kind == "prepare")
    order = Order(
        id=world.fresh.order,
        kind=kind,  # type: ignore[arg-type]
        method=_method(world, seen, again_of),
        identity=_identity(world, seen),
        ends=ends,
        next=next_ or world.fresh.tenancy,
        offer=again_of.offer if again_of is not None and seen.done else wanted,
        pv_name=pv_name or (again_of.pv_name if again_of else ""),
        pv_uid=pv_uid or (again_of.pv_uid if again_of else ""),
        claim_uid=again_of.claim_uid if again_of else "",
        answer=answer,
        asked=_asked(world, kind, answer, again_of),
        whole_disk=whole,
        over=_over(world, seen, answer) if whole else "",
        had_since=_told_of(seen, answer) if answer else "",
        epoch=fleet.status.breaker.epoch if fleet is not None else 0,
        attempt=attempt,
        leader=world.leader,
    )
    if again_of is None and order.destroys:
        order = msgspec.structs.replace(order, claim_uid=_owner(world))
    return Plan(action=actions.WriteOrder(order=order, why=why))


def _over(world: World, seen: Seen, answer: str) -> str:
    """What the person was told of who answered. His question stands still while an order stands on the
    answer, whatever comes to lie on the disk; once the daemon has refused, it is about the last report. Where
    a hand has taken the committed order away, what that was about is on record."""
    order = seen.order
    if order is not None and order.whole_disk and order.answer == answer and not seen.undecided:
        return order.over
    if world.volume.status.committed:
        return world.volume.status.committed_over
    return content.reported(seen.disk) if seen.disk is not None else ""


def _told_of(seen: Seen, answer: str) -> str:
    """The claim that the person was told of who answered, beside the one on record; as `_over` has it."""
    order = seen.order
    if order is not None and order.answer == answer and not seen.undecided:
        return order.had_since
    return release.had_since(seen)


def _owner(world: World) -> str:
    """The UID of the claim on record; empty: none."""
    owner = world.volume.status.owner
    return owner.claim.uid if owner is not None and owner.claim is not None else ""


def _method(world: World, seen: Seen, again_of: Order | None) -> str:
    """The method ordered before, at first the planned one or what a person asks for instead. Where it is none
    for this disk, as its daemon says, the pool's of today: the stricter of then and now would be refused for
    ever."""
    if again_of is None:
        return answers.approved_method(world) or world.volume.spec.wipe.method
    if seen.refused and world.desired is not None:
        assert seen.work is not None, "what is refused was answered"
        if seen.work.reason == "UnknownMethod":
            return policy.wipe_policy(world.desired).method
    return again_of.method


POLICY = "reclaim policy Delete"


def _asked(world: World, kind: str, answer: str, again_of: Order | None) -> str:
    """For the record: whose word an order stands on."""
    admin = world.volume.spec.admin
    for word, said in (("wipe-now", admin.wipe_now), ("adopt: Wipe", admin.adopt)):
        if said is not None and answer and said.question == answer:
            return f"{word}{_by(said.by)}"
    if again_of is not None and again_of.asked:
        return again_of.asked
    if kind != "reclaim":
        return ""
    if not answers.counts(world.volume, admin.approve):
        return POLICY
    assert admin.approve is not None, "what counts was said"
    return f"{POLICY}, approved{_by(admin.approve.by)}"


def _by(name: str) -> str:
    return f" by {name}" if name else ""


def _identity(world: World, seen: Seen) -> Identity | None:
    """The recorded disk; before it is recorded, the disk seen now."""
    return world.volume.status.identity or (seen.disk.identity if seen.disk is not None else None)
