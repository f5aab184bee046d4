"""What a volume's status should say: computed whole from what is seen, never edited.

Memory (dirty, committed, withdrawn, wipeAt, tenancy, identity, question) and what people read (phase,
reason, owner, conditions) are one value, so that they are written in one patch and cannot disagree.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from tidb_volume import names, words
from tidb_volume.inventory import policy
from tidb_volume.life import release
from tidb_volume.life.look import Seen, look
from tidb_volume.life.phases import phase
from tidb_volume.life.world import World
from tidb_volume.units import Instant, format_bytes, format_instant, parse_duration, parse_instant
from tidb_volume.value import (
    Condition,
    Content,
    Identity,
    Order,
    Owner,
    Phase,
    Presence,
    Pv,
    Question,
    Record,
    Ref,
    VolumeStatus,
)

HISTORY = 10
RETRY_FIRST = 30.0
RETRY_MOST = 3600.0


def tenancy_of(pv: Pv) -> str:
    """The tenancy that a PersistentVolume of ours was made for."""
    return pv.metadata.labels.get(names.LABEL_TENANCY, "")


def offered_anew(world: World, seen: Seen) -> bool:
    """The PersistentVolume that is there begins the tenancy that the order that stands made clean."""
    order = seen.order
    return (
        order is not None
        and seen.done
        and order.offer
        and seen.pv is not None
        and seen.pv_state != "terminating"
        and tenancy_of(seen.pv) == order.next
        and world.volume.status.tenancy != order.next
    )


def retry_at(seen: Seen) -> Instant | None:
    """When a failed or refused order is followed by another: 30 s, doubling to an hour."""
    if seen.work is None or seen.order is None:
        return None
    try:
        since = parse_instant(seen.work.at)
    except ValueError:
        return None
    return Instant(since + min(RETRY_MOST, RETRY_FIRST * 2 ** min(seen.order.attempt, 10)))


def compute(world: World, seen: Seen, now: Instant) -> VolumeStatus:
    """The status that this volume should have now; `disk` and `work` are left as the daemon wrote them."""
    before = world.volume.status
    old = remember(world, seen)
    # What is shown follows from what is remembered now, not from what was remembered before this look.
    world = msgspec.structs.replace(world, volume=msgspec.structs.replace(world.volume, status=old))
    anew = offered_anew(world, seen) or (bool(old.tenancy) and old.tenancy != before.tenancy)
    order, seen = seen.order, look(world)
    current = phase(seen)
    reason, note = _reason(world, seen, current, now)
    question = _question(world, seen, current, now, reason)
    owner = _owner(world, seen, current)
    message = words.say(
        reason,
        volume=world.volume.metadata.name,
        node=world.volume.spec.node_name,
        source=world.volume.spec.source,
        pool=world.volume.spec.pool,
        pv=old.volume_name,
        claim=owner.claim if owner else None,
        note=note,
        when=_when(retry_at(seen)),
    )
    conditions = _conditions(world, seen, question, now)
    disk = seen.disk
    measured = disk is not None and disk.capacity_bytes > 0
    return msgspec.structs.replace(
        old,
        phase=current,
        state=_state(current, conditions),
        reason=reason,
        message=message,
        owner=owner,
        wipe_at=_wipe_at(world, seen, now) if current is Phase.RELEASED else "",
        capacity=format_bytes(disk.capacity_bytes) if disk is not None and measured else old.capacity,
        used=format_bytes(disk.used_bytes) if disk is not None and measured else old.used,
        identity=_identity(world),
        question=question,
        history=_history(before, old, seen, current, order if anew else None, format_instant(now)),
        conditions=conditions,
    )


def remember(world: World, seen: Seen) -> VolumeStatus:
    """The memory after this look: tenancy, dirty, committed, withdrawn, and the PersistentVolume's UID."""
    old, pv = world.volume.status, seen.pv
    anew = offered_anew(world, seen)
    tenancy = old.tenancy
    if pv is not None and (anew or not tenancy):
        tenancy = tenancy_of(pv)
    dirty = seen.claimed or seen.was_claimed or (old.dirty and not anew)
    committed = _committed(world, seen, anew)
    withdrawn = _withdrawn(world, seen, anew)
    ended = bool(committed or withdrawn)
    if seen.done and seen.order is not None and not seen.order.offer and committed:
        # Cleaned and not to be offered: nothing of the old tenancy is left.
        committed, dirty, tenancy, withdrawn = "", False, "", ""
    return msgspec.structs.replace(
        old,
        tenancy=tenancy,
        dirty=dirty,
        committed=committed,
        withdrawn=withdrawn,
        volume_name=pv.metadata.name if pv is not None else "" if ended else old.volume_name,
        volume_uid=pv.metadata.uid if pv is not None else "" if ended else old.volume_uid,
    )


def _committed(world: World, seen: Seen, anew: bool) -> str:
    old, order = world.volume.status, seen.order
    if anew:
        return ""
    if order is None:
        return old.committed
    if seen.refused and not _passing(seen):
        return ""
    same_tenancy = order.ends == old.tenancy or bool(order.answer)
    if old.committed and order.id != old.committed and seen.mine and same_tenancy:
        return order.id
    if not old.committed and seen.mine and not order.withdrawn and destroys_without_pv(world, seen):
        return order.id
    if (
        not old.committed
        and seen.mine
        and not order.withdrawn
        and order.kind == "reclaim"
        and order.pv_uid in world.mine.deleted
    ):
        return order.id
    return old.committed


def destroys_without_pv(world: World, seen: Seen) -> bool:
    """The order ends data on a person's answer, and no PersistentVolume is there whose delete commits it."""
    return seen.order is not None and bool(seen.order.answer) and not seen.order.pv_uid and not world.pvs


def _passing(seen: Seen) -> bool:
    """The daemon's refusal says nothing of the disk: the same wipe is ordered again once nothing bars it."""
    return seen.work is not None and seen.work.reason in ("Breaker", "BreakerOpen", "Withdrawn", "Stale")


def _withdrawn(world: World, seen: Seen, anew: bool) -> str:
    old, order = world.volume.status, seen.order
    if anew:
        return ""
    ours = bool(old.volume_uid) and old.volume_uid in world.mine.deleted
    wiping = order is not None and order.pv_uid == old.volume_uid and bool(old.volume_uid)
    if ours and not wiping and not old.dirty and seen.pv_state in ("none", "terminating"):
        return old.tenancy
    return old.withdrawn


def _wipe_at(world: World, seen: Seen, now: Instant) -> str:
    held = release.decision(world, seen)
    if held is not None and held.resets:
        return ""
    if world.volume.status.wipe_at:
        return world.volume.status.wipe_at
    return format_instant(Instant(now + parse_duration(world.volume.spec.wipe.after)))


def _identity(world: World) -> Identity | None:
    recorded, disk = world.volume.status.identity, world.volume.status.disk
    if recorded is None and disk is not None and disk.presence is Presence.OK:
        return disk.identity
    return recorded


def _reason(world: World, seen: Seen, current: Phase, now: Instant) -> tuple[str, str]:
    if current is Phase.BOUND:
        terminating = seen.pv is not None and seen.pv.metadata.deletion_timestamp is not None
        return ("Terminating", "") if terminating else ("Claimed", "")
    if current is Phase.AVAILABLE:
        return "OnOffer", ""
    if current is Phase.RELEASED:
        found = release.obstacle(world, seen, now)
        return (found.word, found.note) if found else ("Ordered", "")
    if current is Phase.FAILED:
        return "WipeFailed", seen.work.message if seen.work else ""
    if current is Phase.WIPING:
        return _wiping_reason(world, seen)
    return _pending_reason(world, seen)


def _wiping_reason(world: World, seen: Seen) -> tuple[str, str]:
    if seen.work is not None and seen.work.reason and not seen.done:
        return "WaitsFor", f"{seen.work.reason}: {seen.work.message}"
    if seen.done and seen.trouble:
        return "WaitsFor", f"it is clean; {seen.trouble}{seen.trouble_note}"
    waits = release.moment(world, seen)
    if waits is not None and not seen.done and not (seen.work and seen.work.begun):
        return "WaitsFor", f"{waits.word} {waits.note}".strip()
    return "Wiping", ""


def _pending_reason(world: World, seen: Seen) -> tuple[str, str]:
    if seen.trouble:
        return seen.trouble, seen.trouble_note
    if seen.refused and seen.work is not None and seen.disk_known:
        return "WipeRefused", f"{seen.work.reason}: {seen.work.message}"
    if seen.failed and seen.work is not None:
        return "WipeFailed", seen.work.message
    if (seen.order is not None and not seen.refused) or seen.disk_known:
        return "Preparing", ""
    return "HasData", has_data_note(world)


def has_data_note(world: World) -> str:
    """What makes the disk's content unknown, for people: the daemon's words, or which witnesses disagree."""
    status, disk = world.volume.status, world.volume.status.disk
    assert disk is not None
    if disk.trash:
        return f"a wipe was begun there by order {', '.join(disk.trash)}, which this record does not know"
    if disk.content is Content.BLANK:
        return f"the disk is empty, but the record says tenancy {status.tenancy or disk.journal} was on it"
    if disk.content is Content.TENANCY:
        found = f"tenancy {disk.tenancy}" + ("" if disk.empty else " with data")
        record, journal = status.tenancy or "none", disk.journal or "none"
        return f"{found}; the record says {record}, the node's journal {journal}"
    return disk.content_note or "content unknown"


def _question(world: World, seen: Seen, current: Phase, now: Instant, reason: str) -> Question | None:
    """A person may decide while a disk is Released, and while its data is unknown."""
    old = world.volume.status.question
    if current is Phase.RELEASED:
        kind, about = "release", (seen.pv.metadata.uid if seen.pv else f"gone:{world.volume.status.tenancy}")
    elif current is Phase.PENDING and reason == "HasData":
        disk = seen.disk
        assert disk is not None
        kind, about = "adopt", f"{disk.content}:{disk.tenancy}:{disk.content_note}:{','.join(disk.trash)}"
    elif current in (Phase.WIPING, Phase.PENDING) and old is not None and _answered(world):
        return old  # the order that runs stands on this answer
    else:
        return None
    if old is not None and (old.kind, old.about) == (kind, about):
        return old
    text = {
        "release": "wipe it now, give it back, or leave it to the policy?",
        "adopt": "wipe what is on it, or keep it for one claim?",
    }[kind]
    return Question(id=world.fresh.question, kind=kind, about=about, text=text, at=format_instant(now))


def _answered(world: World) -> bool:
    order, question = world.volume.spec.order, world.volume.status.question
    return order is not None and question is not None and order.answer == question.id


def _owner(world: World, seen: Seen, current: Phase) -> Owner | None:
    old = world.volume.status.owner
    if seen.claimed and seen.pv is not None and seen.pv.spec.claim_ref is not None:
        pod = next(
            (
                Ref(namespace=p.metadata.namespace, name=p.metadata.name, uid=p.metadata.uid)
                for p in sorted(world.pods, key=lambda p: p.metadata.name)
                if p.status.phase not in ("Succeeded", "Failed")
            ),
            None,
        )
        return Owner(claim=seen.pv.spec.claim_ref, pod=pod)
    if current in (Phase.RELEASED, Phase.WIPING, Phase.FAILED):
        if old is not None:
            return Owner(claim=old.claim)
        if seen.pv is not None and seen.pv.spec.claim_ref is not None:
            return Owner(claim=seen.pv.spec.claim_ref)
    return None


def _conditions(world: World, seen: Seen, question: Question | None, now: Instant) -> tuple[Condition, ...]:
    wanted: list[tuple[str, bool, str, str]] = []
    if world.node is None:
        wanted.append(("NodeReady", False, "NodeLost", "the Node object is gone"))
    elif not release.node_ready(world):
        wanted.append(("NodeReady", False, "NodeNotReady", "the kubelet does not report"))
    disk = seen.disk
    if disk is not None and disk.presence is not Presence.OK:
        wanted.append(("DiskHealthy", False, disk.presence.value, disk.message))
    if world.volume.spec.admin.cordon or world.volume.spec.admin.retire:
        wanted.append(("Cordoned", True, "ByPerson", "not offered any more"))
    elif world.left_by_label:
        wanted.append(("Cordoned", True, "LabelChanged", "the node's labels no longer match its group"))
    if not world.listed:
        wanted.append(("Dropped", True, "NotListed", "no inventory entry lists it"))
    elif edit_pending(world):
        wanted.append(("EditPending", True, "Bound", "the inventory's edit applies once it is free"))
    if question is not None:
        wanted.append(("WaitingForPerson", True, question.kind.capitalize(), question.text))
    if dirty_handed_out(world, seen):
        wanted.append(
            ("DirtyHandedOut", True, "ClaimRefChanged", "another claim got it with the old data on it")
        )
    return tuple(_condition(world, *each, now) for each in wanted)


def _condition(world: World, kind: str, holds: bool, reason: str, message: str, now: Instant) -> Condition:
    status: Literal["True", "False"] = "True" if holds else "False"
    for old in world.volume.status.conditions:
        if (old.type, old.status, old.reason) == (kind, status, reason):
            return Condition(
                type=kind,
                status=status,
                reason=reason,
                message=message,
                last_transition_time=old.last_transition_time,
            )
    return Condition(
        type=kind, status=status, reason=reason, message=message, last_transition_time=format_instant(now)
    )


def dirty_handed_out(world: World, seen: Seen) -> bool:
    """Another claim than the recorded owner has the PersistentVolume in a tenancy that was already dirty."""
    old = world.volume.status
    if not seen.claimed or seen.pv is None or seen.pv.spec.claim_ref is None or not old.dirty:
        return False
    if any(each.type == "DirtyHandedOut" for each in old.conditions):
        return tenancy_of(seen.pv) == old.tenancy
    had = old.owner.claim if old.owner else None
    return (
        tenancy_of(seen.pv) == old.tenancy and had is not None and had.uid != seen.pv.spec.claim_ref.uid != ""
    )


def edit_pending(world: World) -> bool:
    """The inventory wants another shape of volume than the one in force."""
    spec, desired = world.volume.spec, world.desired
    return desired is not None and (
        (spec.pool, spec.volume_mode, spec.fs_type)
        != (desired.pool.name, desired.volume_mode, desired.fs_type)
        or spec.wipe.on_release != policy.wipe_policy(desired).on_release
    )


_WORDS = {
    "NodeReady": "node lost",
    "DiskHealthy": "disk trouble",
    "Cordoned": "cordoned",
    "Dropped": "dropped",
    "EditPending": "edit pending",
    "DirtyHandedOut": "DIRTY",
}


def _state(current: Phase, conditions: tuple[Condition, ...]) -> str:
    around = [
        "offline" if each.reason == "NodeNotReady" else _WORDS[each.type]
        for each in conditions
        if each.type in _WORDS
    ]
    return f"{current.value} ({', '.join(around)})" if around else current.value


def _history(
    before: VolumeStatus, old: VolumeStatus, seen: Seen, current: Phase, made: Order | None, at: str
) -> tuple[Record, ...]:
    lines: list[Record] = []
    had = before.owner.claim if before.owner else None
    if made is not None:
        wiped = bool(before.committed) or before.dirty
        lines.append(
            Record(
                at=at,
                what="wiped" if wiped else "offered",
                tenancy=before.tenancy if wiped else made.next,
                who=str(had) if had and wiped else "",
                note=made.method if wiped else "",
            )
        )
    if current is Phase.BOUND and before.phase is not Phase.BOUND and seen.pv and seen.pv.spec.claim_ref:
        lines.append(Record(at=at, what="bound", tenancy=old.tenancy, who=str(seen.pv.spec.claim_ref)))
    if current is Phase.RELEASED and before.phase is not Phase.RELEASED:
        lines.append(Record(at=at, what="released", tenancy=old.tenancy, who=str(had) if had else ""))
    if old.committed and not before.committed:
        lines.append(Record(at=at, what="wipe committed", tenancy=old.tenancy))
    return (*before.history, *lines)[-HISTORY:]


def _when(at: Instant | None) -> str:
    return format_instant(at) if at is not None else "once the obstacle falls"
