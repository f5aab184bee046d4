"""What to do next about one volume: one safe step at a time.

`plan` looks at a snapshot and returns a single action, or none and the moment to look again. After each
action the world is looked at anew, so a crash between any two of them costs nothing: the next leader sees
where things stand and takes the same next step, or, where only the dead leader could know, the careful one.

The order of the wipe's steps is the contract's: count it, write the order, delete the PersistentVolume with
both preconditions, and only when that delete was answered write `committed`. A daemon acts on no order that
is not committed, so until then everything can be undone by whoever changes the PersistentVolume first.
"""

from __future__ import annotations

from tidb_volume import names
from tidb_volume.inventory import policy
from tidb_volume.life import actions, offer, release, status
from tidb_volume.life.actions import Plan
from tidb_volume.life.look import Seen, look
from tidb_volume.life.world import World
from tidb_volume.units import Instant
from tidb_volume.value import Content, Identity, Order, Phase, VolumeSpec, VolumeStatus, WipePolicy

SETTLE = 1.0
"""Seconds for which a reason that ends by itself is not worth a write."""
_TRANSIENT = frozenset({"NotObserved", "Preparing", "FirstClean", "Ordered"})


def plan(now: Instant, world: World) -> Plan:
    """The next step for one volume, from what is seen now; pure.

    Returns: at most one action, and the instant at which to decide again though nothing has changed.
    """
    seen = look(world)
    wanted = status.compute(world, seen, now)
    current = world.volume.status

    # What must be remembered comes before what is done about it.
    if _memory(wanted) != _memory(current):
        return Plan(action=actions.PatchStatus(status=wanted, why=wanted.reason))
    step = _step(now, world, seen)
    if step.action is not None:
        return step
    if _shown(wanted) != _shown(current):
        if wanted.reason in _TRANSIENT and wanted.phase is current.phase:
            settled = world.transient_since + SETTLE
            if now < settled:
                return Plan(again_at=_sooner(step.again_at, Instant(settled)))
        return Plan(action=actions.PatchStatus(status=wanted, why=wanted.reason), again_at=step.again_at)
    return step


def _memory(of: VolumeStatus) -> tuple[object, ...]:
    return (
        of.dirty,
        of.committed,
        of.withdrawn,
        of.tenancy,
        of.volume_uid,
        of.phase is Phase.RELEASED and of.wipe_at,
        of.question,
        of.owner,
        of.phase if of.phase in (Phase.BOUND, Phase.RELEASED, Phase.FAILED) else "",
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
    if seen.pv is not None and seen.pv_state != "terminating":
        annotation = seen.pv.metadata.annotations.get(names.PROVISIONED_BY)
        if annotation != names.PROVISIONER:
            meta = seen.pv.metadata
            return Plan(
                action=actions.AnnotatePv(
                    name=meta.name, uid=meta.uid, resource_version=meta.resource_version
                )
            )
    if world.volume.status.committed:
        return _committed(now, world, seen)
    if seen.claimed:
        return _edit(world, seen, free=False)
    if seen.was_claimed:
        return _released(now, world, seen)
    return _free(now, world, seen)


# --- free: nobody has it ---


def _free(now: Instant, world: World, seen: Seen) -> Plan:
    if seen.pv_state == "terminating":
        return Plan()
    if seen.pv_state == "offered":
        why = _why_not_on_offer(world, seen)
        if why:
            return _delete_pv(seen, why)
        return _edit(world, seen, free=False)
    if not world.listed:
        return Plan(action=actions.DeleteVolume(why="no entry lists it, and nobody had it"))
    edited = _edit(world, seen, free=True)
    if edited.action is not None:
        return edited
    if seen.trouble:
        return Plan()
    if seen.order is not None and not seen.order.withdrawn:
        return _order_stands(now, world, seen)
    return _first_order(world, seen)


def _why_not_on_offer(world: World, seen: Seen) -> str:
    """Why an unclaimed PersistentVolume is taken back; empty: it may stay."""
    assert seen.pv is not None
    if seen.trouble:
        return seen.trouble
    if status.edit_pending(world):
        return "the inventory's entry was edited"
    if world.volume.status.dirty and not status.offered_anew(world, seen):
        return "its data is another tenant's"
    if world.volume.status.tenancy != status.tenancy_of(seen.pv):
        return "this record does not know its tenancy"
    return ""


def _first_order(world: World, seen: Seen, attempt: int = 0) -> Plan:
    disk, status_now = seen.disk, world.volume.status
    assert disk is not None
    if seen.disk_known:
        ends = disk.tenancy if disk.content is Content.TENANCY else ""
        return _write(
            world, seen, kind="prepare", ends=ends, why="clean: made ready to be offered", attempt=attempt
        )
    if release.adopt_wipe(world) and status_now.question is not None and not release.moment(world, seen):
        return _adopt(world, seen, attempt)
    return Plan()


def _adopt(world: World, seen: Seen, attempt: int = 0) -> Plan:
    question, disk = world.volume.status.question, seen.disk
    assert question is not None
    if world.volume.status.tenancy not in world.mine.counted and question.id not in world.mine.counted:
        return Plan(action=actions.CountWipe(tenancy=question.id))
    return _write(
        world,
        seen,
        kind="prepare",
        ends=disk.tenancy if disk is not None else "",
        answer=question.id,
        why="a person said: wipe it",
        attempt=attempt,
    )


def _order_stands(now: Instant, world: World, seen: Seen) -> Plan:
    """An order for a disk that nobody has: wait for it, offer what it made, or ask again."""
    order = seen.order
    assert order is not None
    if seen.done:
        if not order.offer:
            return _first_order(world, seen)
        if not seen.mine:
            return _ask_again(world, seen)
        return _offer(world, seen)
    if seen.failed or seen.refused:
        again = status.retry_at(seen)
        if again is not None and now < again:
            return Plan(again_at=again)
        return _first_order(world, seen, attempt=order.attempt + 1)
    if not seen.mine and seen.work is None and order.answer:
        return Plan(
            action=actions.WriteOrder(order=None, why="another leader's order that was never committed")
        )
    return Plan()


def _ask_again(world: World, seen: Seen) -> Plan:
    """A `done` found at start counts for nothing: the daemon answers a fresh id by what the disk shows."""
    order = seen.order
    assert order is not None
    return _write(
        world,
        seen,
        kind=order.kind,
        ends=order.ends,
        next_=order.next,
        answer=order.answer,
        why="asked again under this leader",
        attempt=order.attempt,
        again_of=order,
    )


def _offer(world: World, seen: Seen) -> Plan:
    """Make the PersistentVolume of a tenancy that our own order made clean, if nothing speaks against it."""
    order, disk, volume, desired = seen.order, seen.disk, world.volume, world.desired
    assert order is not None
    if world.pvs or seen.trouble or disk is None or desired is None or world.node is None:
        return Plan()
    agrees = (
        disk.tenancy == disk.journal == order.next
        and disk.empty
        and not disk.in_use
        and not disk.journal_broken
        and not disk.trash
    )
    if not agrees or disk.capacity_bytes <= 0:
        return Plan()
    if status.edit_pending(world):
        return _edit(world, seen, free=True)
    hostname = world.node.metadata.labels[names.HOSTNAME]
    return Plan(
        action=actions.CreatePv(
            manifest=offer.persistent_volume(
                volume.metadata.name, volume.spec, desired, order.next, hostname, disk.capacity_bytes
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
        edited = _shape(spec, desired.pool.name, desired.volume_mode, desired.fs_type, wipe)
    elif seen.claimed or seen.was_claimed:
        edited = _shape(spec, spec.pool, spec.volume_mode, spec.fs_type, policy.stricter(spec.wipe, wipe))
    else:
        edited = _shape(spec, spec.pool, spec.volume_mode, spec.fs_type, _same_release(spec, wipe))
    if edited == spec:
        return Plan()
    return Plan(action=actions.WriteSpec(spec=edited, why="the inventory says so"))


def _same_release(spec: VolumeSpec, wipe: WipePolicy) -> WipePolicy:
    return WipePolicy(on_release=spec.wipe.on_release, after=wipe.after, method=wipe.method, gates=wipe.gates)


def _shape(spec: VolumeSpec, pool: str, mode: object, fs_type: str, wipe: WipePolicy) -> VolumeSpec:
    return VolumeSpec(
        node_name=spec.node_name,
        pool=pool,
        source=spec.source,
        volume_mode=mode,  # type: ignore[arg-type]
        fs_type=fs_type,
        wipe=wipe,
        order=spec.order,
        admin=spec.admin,
    )


# --- released: the data is still there ---


def _released(now: Instant, world: World, seen: Seen) -> Plan:
    if seen.pv_state == "offered":
        # Its claimRef was cleared by hand: taken back before a claim finds it.
        return _delete_pv(seen, "its data is another tenant's")
    stricter = _edit(world, seen, free=False)
    if stricter.action is not None:
        return stricter
    found = release.obstacle(world, seen, now)
    order = seen.order
    if found is not None:
        # An order that has not begun the wipe of this tenancy is taken back; one already answered is history.
        if _stands_for_wipe(world, seen):
            return Plan(action=actions.WriteOrder(order=None, why=f"not now: {found.word}"))
        return Plan(again_at=found.again_at)
    if seen.pv is None or seen.pv_state == "terminating":
        if seen.pv is not None:
            return Plan()
        if order is not None and order.answer and seen.mine and not (seen.failed or seen.refused):
            return Plan()
        return _adopt(world, seen, order.attempt + 1 if order is not None and seen.failed else 0)
    tenancy = world.volume.status.tenancy
    if tenancy not in world.mine.counted:
        return Plan(action=actions.CountWipe(tenancy=tenancy))
    if order is not None and seen.mine and order.ends == tenancy and order.pv_uid == seen.pv.metadata.uid:
        return _delete_pv(seen, "the wipe is ordered")
    question, claim_ref = world.volume.status.question, seen.pv.spec.claim_ref
    return _write(
        world,
        seen,
        kind="reclaim",
        ends=tenancy,
        pv_name=seen.pv.metadata.name,
        pv_uid=seen.pv.metadata.uid,
        claim_uid=claim_ref.uid if claim_ref else "",
        answer=question.id if question is not None and release.wipe_now(world) else "",
        why="released, and nothing stands against the wipe",
    )


def _stands_for_wipe(world: World, seen: Seen) -> bool:
    order = seen.order
    return (
        order is not None
        and seen.work is None
        and order.ends == world.volume.status.tenancy
        and order.next != world.volume.status.tenancy
        and (order.kind == "reclaim" or bool(order.answer))
    )


# --- committed: the point of no return is passed ---


def _committed(now: Instant, world: World, seen: Seen) -> Plan:
    order = seen.order
    if order is None or order.withdrawn:
        # Taken away by a hand or by a leader that did not know: the wipe is still owed.
        return _continue(world, seen, "the committed wipe has no order")
    if order.id != world.volume.status.committed and not seen.mine:
        return _continue(world, seen, "another leader's order that is not the committed one")
    if seen.done:
        if not order.offer:
            return Plan()
        return _offer(world, seen) if seen.mine else _ask_again(world, seen)
    if seen.failed or seen.refused:
        again = status.retry_at(seen)
        if again is not None and now < again:
            return Plan(again_at=again)
        if release.moment(world, seen) is not None:
            return Plan()
        return _continue(world, seen, "tried again", attempt=order.attempt + 1)
    return Plan()


def _continue(world: World, seen: Seen, why: str, attempt: int = 0) -> Plan:
    order = seen.order
    same = order is not None and (order.ends == world.volume.status.tenancy or bool(order.answer))
    if order is None or not same:
        return _write(world, seen, kind="reclaim", ends=world.volume.status.tenancy, why=why, attempt=attempt)
    return _write(
        world,
        seen,
        kind=order.kind,
        ends=order.ends,
        answer=order.answer,
        next_=order.next,
        why=why,
        attempt=attempt,
        again_of=order,
    )


# --- writing ---


def _delete_pv(seen: Seen, why: str) -> Plan:
    assert seen.pv is not None
    meta = seen.pv.metadata
    return Plan(
        action=actions.DeletePv(name=meta.name, uid=meta.uid, resource_version=meta.resource_version, why=why)
    )


def _write(
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
    claim_uid: str = "",
    attempt: int = 0,
    again_of: Order | None = None,
) -> Plan:
    spec = world.volume.spec
    fleet = world.fleet
    wanted = world.desired is not None and not spec.admin.cordon and not spec.admin.retire
    order = Order(
        id=world.fresh.order,
        kind=kind,  # type: ignore[arg-type]
        method=again_of.method if again_of is not None else spec.wipe.method,
        identity=_identity(world, seen),
        ends=ends,
        next=next_ or world.fresh.tenancy,
        offer=again_of.offer if again_of is not None and seen.done else wanted,
        pv_name=pv_name or (again_of.pv_name if again_of else ""),
        pv_uid=pv_uid or (again_of.pv_uid if again_of else ""),
        claim_uid=claim_uid or (again_of.claim_uid if again_of else ""),
        answer=answer,
        whole_disk=bool(answer) and kind == "prepare",
        epoch=fleet.status.breaker.epoch if fleet is not None else 0,
        attempt=attempt,
        leader=world.leader,
    )
    return Plan(action=actions.WriteOrder(order=order, why=why))


def _identity(world: World, seen: Seen) -> Identity | None:
    """The recorded disk; before it is recorded, the disk seen now."""
    return world.volume.status.identity or (seen.disk.identity if seen.disk is not None else None)
