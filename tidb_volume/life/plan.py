"""What to do next about one volume: one safe step at a time.

`plan` looks at a snapshot and returns a single action, or none and the moment to look again. After each
action the world is looked at anew, so a crash between any two of them costs nothing: the next leader sees
where things stand and takes the same next step, or, where only the dead leader could know, the careful one.

The order of the wipe's steps is the contract's: count it, write the order, delete the PersistentVolume with
both preconditions, and only when that delete was answered write `committed`. A daemon acts on no order that
is not committed, so until then everything can be undone by whoever changes the PersistentVolume first.
"""

from __future__ import annotations

import msgspec

from tidb_volume import names
from tidb_volume.inventory import policy
from tidb_volume.life import (
    actions,
    annotation,
    answers,
    daemon,
    foreign,
    give,
    memory,
    mounts,
    offer,
    orders,
    release,
    show,
    status,
)
from tidb_volume.life.actions import Plan
from tidb_volume.life.look import Seen, look, pv_state, tenancy_of
from tidb_volume.life.world import World
from tidb_volume.units import Instant
from tidb_volume.upstream import Pv
from tidb_volume.value import Content, Phase, VolumeSpec, VolumeStatus, WipePolicy

SETTLE = 1.0
"""Seconds for which a reason that ends by itself is not worth a write."""
_NOT_OURS = frozenset({"Conflict", "Foreign", "Never"})
"""Troubles under which nothing at all is done to a disk."""
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
        return _committed(now, world, seen)
    if seen.claimed:
        if orders.stands_for_wipe(world, seen):
            return Plan(action=actions.WriteOrder(order=None, why="a claim has it"))
        stricter = _edit(world, seen, free=False)
        return stricter if stricter.action is not None else _mount(now, world, seen)
    if seen.was_claimed:
        return _released(now, world, seen)
    return _free(now, world, seen)


def _mount(now: Instant, world: World, seen: Seen) -> Plan:
    """Have a claimed disk mounted whose journal is lost, or wait until it may be tried again."""
    if not mounts.is_wanted(world, seen):
        return Plan()
    stands, answered = mounts.order(world), mounts.answered(world)
    if stands is not None and answered is None:
        return Plan()
    again = _not_yet(now, world, seen)
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


def _not_yet(now: Instant, world: World, seen: Seen) -> Instant | None:
    """Until when what was in vain is not tried again; None: it may be."""
    again = memory.retry_at(world, seen)
    return again if again is not None and now < again else None


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


# --- free: nobody has it ---


def _free(now: Instant, world: World, seen: Seen) -> Plan:
    if seen.pv_state == "terminating":
        return Plan()
    if seen.pv_state == "offered":
        why = _why_not_on_offer(world, seen)
        if why:
            return orders.take_back(world, seen, why)
        return _edit(world, seen, free=False)
    if not world.listed:
        return Plan(action=actions.DeleteVolume(why="no entry lists it, and nobody had it"))
    edited = _edit(world, seen, free=True)
    if edited.action is not None:
        return edited
    if seen.trouble:
        if seen.trouble in _NOT_OURS and orders.unanswered(seen):
            return Plan(action=actions.WriteOrder(order=None, why=f"not any more: {seen.trouble}"))
        return _put_away(now, world, seen) if seen.trouble == "Retired" else Plan()
    given = _give(world, seen) if not seen.disk_known else None
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
    again = _not_yet(now, world, seen)
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
        return _adopt(world, seen, attempt)
    return Plan()


def _adopt(world: World, seen: Seen, attempt: int = 0) -> Plan:
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
        return _offer(world, seen)
    if seen.failed or seen.refused:
        again = _not_yet(now, world, seen)
        if again is not None:
            return Plan(again_at=again)
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


def _offer(world: World, seen: Seen) -> Plan:
    """Make the PersistentVolume of a tenancy that our own order made clean, if nothing speaks against it."""
    if world.pvs or seen.trouble or not seen.ready:
        return Plan()
    if show.edit_pending(world):
        return _edit(world, seen, free=True)
    order, disk, volume = seen.order, seen.disk, world.volume
    assert order is not None, "what is ready was ordered"
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


def _edit(world: World, seen: Seen, free: bool) -> Plan:
    """Write what the inventory says: all of it for a free disk, only what is stricter for one in use."""
    desired, spec = world.desired, world.volume.spec
    if desired is None:
        return Plan()
    wipe = policy.wipe_policy(desired)
    if free:
        edited = msgspec.structs.replace(
            spec,
            pool=desired.pool.name,
            volume_mode=desired.volume_mode,
            fs_type=desired.fs_type,
            mount_options=desired.mount_options,
            labels=desired.pool.labels,
            wipe=wipe,
        )
    elif seen.claimed or seen.was_claimed:
        edited = msgspec.structs.replace(spec, wipe=policy.stricter(spec.wipe, wipe))
    else:
        edited = msgspec.structs.replace(spec, wipe=_same_release(spec, wipe))
    if edited == spec:
        return Plan()
    return Plan(action=actions.WriteSpec(spec=edited, why="the inventory says so"))


def _same_release(spec: VolumeSpec, wipe: WipePolicy) -> WipePolicy:
    return WipePolicy(on_release=spec.wipe.on_release, after=wipe.after, method=wipe.method, gates=wipe.gates)


# --- released: the data is still there ---


def _released(now: Instant, world: World, seen: Seen) -> Plan:
    if seen.pv_state == "offered":
        # Its claimRef was cleared by hand: taken back before a claim finds it.
        return orders.take_back(world, seen, "its data is another tenant's")
    stricter = _edit(world, seen, free=False)
    if stricter.action is not None:
        return stricter
    given = _give(world, seen)
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
    if (
        order is not None
        and order.id in world.mine.orders
        and order.ends == tenancy
        and order.pv_uid == seen.pv.metadata.uid
    ):
        if not orders.is_spent(seen):
            return orders.delete(seen.pv, "the wipe is ordered")
        again = _not_yet(now, world, seen)
        if order.attempt and again is not None:
            return Plan(again_at=again)
        attempt = order.attempt + 1
    claim_ref = seen.pv.spec.claim_ref
    return orders.write(
        world,
        seen,
        kind="reclaim",
        ends=tenancy,
        pv_name=seen.pv.metadata.name,
        pv_uid=seen.pv.metadata.uid,
        claim_uid=claim_ref.uid if claim_ref else "",
        answer=answers.said_now(world),
        why="released, and nothing stands against the wipe",
        attempt=attempt,
    )


def _gone(now: Instant, world: World, seen: Seen) -> Plan:
    """Its PersistentVolume is gone, and a person said: wipe it."""
    order, question = seen.order, world.volume.status.question
    assert question is not None, "a person answered it"
    if order is None or order.answer != question.id:
        return _adopt(world, seen)
    if seen.mine and not (seen.failed or seen.refused):
        return Plan()
    again = _not_yet(now, world, seen)
    return Plan(again_at=again) if again is not None else _adopt(world, seen, order.attempt + 1)


def _give(world: World, seen: Seen) -> Plan | None:
    """As `give.step`, but a PersistentVolume is made on a fresh word of the daemon's: what is on record of
    the disk may come out of a restored etcd, and by now the disk may be another tenant's."""
    given = give.step(world, seen)
    if given is None or not isinstance(given.action, actions.CreatePv):
        return given
    return _take_back(world, seen)


# --- committed: the point of no return is passed ---


def _committed(now: Instant, world: World, seen: Seen) -> Plan:
    order = seen.order
    if seen.pv_state == "offered":
        assert seen.pv is not None, "what is on offer is there"
        # Late, or made by hand, and no tenancy of this wipe: the daemon does not begin beside it.
        return orders.delete(seen.pv, "this record does not know its tenancy")
    if answers.gives(world, seen) is not None:
        return _take_back(world, seen)
    if not memory.begun(seen):
        stricter = _edit(world, seen, free=False)
        if stricter.action is not None:
            return stricter
        barred = release.bars_committed(world, seen)
        if barred is not None:
            return _hold_back(seen, barred.word)
    if order is None or order.withdrawn:
        # Taken away by a hand or by a leader that did not know: the wipe is still owed.
        return orders.go_on(world, seen, "the committed wipe has no order")
    if order.id != world.volume.status.committed:
        return orders.go_on(world, seen, "the order that stands is not the committed one")
    if seen.done:
        return _offer(world, seen) if seen.mine else orders.ask_again(world, seen)
    if seen.failed or seen.refused:
        again = _not_yet(now, world, seen)
        if again is not None:
            return Plan(again_at=again)
        if release.moment(world, seen) is not None:
            return Plan()
        return orders.go_on(world, seen, "tried again", attempt=order.attempt + 1)
    return Plan()


def _hold_back(seen: Seen, word: str) -> Plan:
    """No order goes on, and one that the daemon may still obey is taken back under its lock. Hold and gates
    it reads itself, and waits."""
    order = seen.order
    answered = seen.failed or seen.refused
    if order is None or order.withdrawn or answered or word in ("Held", "Gated"):
        return Plan()
    taken = msgspec.structs.replace(order, withdrawn=True)
    return Plan(action=actions.WriteOrder(order=taken, why=f"not now: {word}"))


def _take_back(world: World, seen: Seen) -> Plan:
    """Withdraw the order, wait for the daemon's word under the disk's lock, then make the PersistentVolume.

    A word that another leader's order got may come out of a restored etcd: it is asked for anew.
    """
    order = seen.order
    if order is None or (memory.given_back(seen) and not seen.mine):
        plan = orders.go_on(world, seen, "a person asked to have it back")
        assert isinstance(plan.action, actions.WriteOrder)
        assert plan.action.order is not None
        taken = msgspec.structs.replace(plan.action.order, withdrawn=True)
        return Plan(action=actions.WriteOrder(order=taken, why=plan.action.why))
    if not order.withdrawn:
        taken = msgspec.structs.replace(order, withdrawn=True)
        return Plan(action=actions.WriteOrder(order=taken, why="a person asked to have it back"))
    if not memory.given_back(seen):
        return Plan()
    return give.step(world, seen) or Plan()
