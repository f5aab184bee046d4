"""What people read of a volume: reason, question, owner, conditions, history. Computed, never edited.

What is wrong around a disk is a condition and stands in brackets behind the phase, so that neither hides the
other. A question stands whenever a person may decide; its `about` says what about, and another subject makes
another question, so that no answer is ever taken for the next one.
"""

from __future__ import annotations

from typing import Literal

from tidb_volume import content, words
from tidb_volume.inventory import policy
from tidb_volume.life import answers, daemon, lost, memory, mounts, orders, release
from tidb_volume.life.look import Seen, is_known, presence_note, tenancy_of
from tidb_volume.life.world import World
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import (
    Condition,
    Content,
    DiskReport,
    Order,
    Owner,
    Phase,
    Presence,
    Question,
    Record,
    Ref,
    VolumeStatus,
    WorkState,
)

HISTORY = 10
CALLED_OFF = "wipe called off"
"""What the history says where a countdown ends without a wipe."""
WAITS_FOR_A_WORD = frozenset(
    {
        "PolicyRetain",
        "PoolKeeps",
        "AtTheRoot",
        "GoneByHand",
        "RecordLost",
        "HadSince",
        "WipeRefused",
        "HasData",
        "AwaitsApproval",
        "WrongDisk",
    }
)
"""Reasons that end by a person's decision and by nothing else."""


def reason(world: World, seen: Seen, current: Phase, now: Instant) -> tuple[str, str]:
    """Why it stands where it stands: a word of `words.REASONS`, and its note."""
    if current is Phase.BOUND:
        assert seen.pv is not None, "a claim has it"
        return ("Terminating" if seen.pv.metadata.deletion_timestamp else "Claimed"), ""
    if current is Phase.AVAILABLE:
        return "OnOffer", ""
    if current is Phase.RELEASED:
        found = release.obstacle(world, seen, now)
        if found is None and orders.is_spent(seen):
            return "NotBegun", _said(seen)
        return (found.word, found.note) if found else ("Ordered", "")
    if current is Phase.FAILED:
        barred = release.bars_committed(world, seen)
        if barred is not None and not memory.begun(seen):
            return barred.word, barred.note
        waits, due = release.moment(world, seen), memory.retry_at(world, seen)
        if waits is not None and due is not None and due <= now:
            return waits.word, waits.note
        return "WipeFailed", _said(seen)
    if current is Phase.WIPING:
        return _wiping_reason(world, seen)
    return _pending_reason(world, seen, now)


def _said(seen: Seen) -> str:
    """The daemon's word and sentence."""
    assert seen.work is not None, "it said something"
    return f"{seen.work.reason}: {seen.work.message}" if seen.work.message else seen.work.reason


def _wiping_reason(world: World, seen: Seen) -> tuple[str, str]:
    if answers.restores(world) and not memory.begun(seen):
        return "TakingBack", ""
    barred, absent = release.bars_committed(world, seen), daemon.absent(world)
    if barred is not None and not memory.begun(seen):
        return barred.word, barred.note
    if absent and not seen.done:
        return absent, ""
    if seen.work is not None and seen.work.reason and not seen.done:
        return "WaitsFor", _said(seen)
    if seen.done and seen.trouble:
        return "WaitsFor", f"it is clean; {seen.trouble}{seen.trouble_note}"
    if memory.is_belied(seen):
        assert seen.disk is not None, "it is there"
        if seen.disk.in_use:
            return "InUse", seen.disk.in_use
        return "WaitsFor", f"it was clean when done; now {has_data_note(world)}"
    waits = release.tripped(world) if seen.done else release.moment(world, seen)
    if waits is not None and (seen.done or not memory.begun(seen)):
        return waits.word, waits.note
    return "Wiping", ""


def _pending_reason(world: World, seen: Seen, now: Instant) -> tuple[str, str]:
    if seen.trouble == "NotObserved" and daemon.is_away(world, now):
        return "DaemonNotReady", ""
    if seen.trouble == "Retired":
        return "Retired", _waits(seen)
    if seen.trouble:
        return seen.trouble, seen.trouble_note
    if seen.disk_known or orders.may_have_made(seen):
        if seen.refused:
            return "NotMadeReady", _said(seen)
        if seen.failed:
            return "WipeFailed", _said(seen)
    unanswered = seen.order is not None and not (seen.refused or seen.failed or seen.done)
    if seen.ready or seen.disk_known or unanswered:
        absent = "" if seen.ready else daemon.absent(world)
        return (absent, "") if absent else ("Preparing", _waits(seen))
    waits = _adoption_waits(world, seen)
    if waits is not None:
        return waits.word, waits.note
    assert seen.disk is not None, "else NotObserved"
    if is_known(world, used=True):
        return "InUse", seen.disk.in_use
    return "HasData", has_data_note(world)


def _adoption_waits(world: World, seen: Seen) -> release.Obstacle | None:
    """What keeps a person's word on unknown data from being carried out right now; None: it is not given, or
    nothing does."""
    return release.moment(world, seen) if answers.adopt_wipe(world) else None


def _waits(seen: Seen) -> str:
    """What the daemon waits for with an order that ends nobody's data; empty: for nothing."""
    order, work = seen.order, seen.work
    if work is None or work.state is WorkState.DONE or not work.reason:
        return ""
    assert order is not None, "what is worked on was ordered"
    what = "not unmounted yet, " if order.kind == "unmount" else "waits for "
    return f"; {what}{_said(seen)}"


def has_data_note(world: World) -> str:
    """What makes the disk's content unknown, for people: the daemon's words, or which witnesses disagree."""
    status, disk = world.volume.status, world.volume.status.disk
    assert disk is not None
    if disk.journal_broken and disk.message:
        return disk.message
    if disk.trash:
        return f"a wipe was begun there by order {', '.join(disk.trash)}, which this record does not know"
    if disk.content is Content.BLANK:
        return f"the disk is empty, but the record says tenancy {status.tenancy or disk.journal} was on it"
    if disk.content is Content.TENANCY:
        found = f"tenancy {disk.tenancy}" + ("" if disk.empty else " with data")
        record, journal = status.tenancy or "none", disk.journal or "none"
        seen_on = f" and that claim {disk.claims[0] or 'unknown'} had it" if disk.claims else ""
        return f"{found}; the record says {record}, the node's journal {journal}{seen_on}"
    if disk.at_root:
        had = f", which claim {disk.claims[0] or 'unknown'} had" if disk.claims else ""
        return f"{disk.content_note}; the node's journal has that as tenancy {disk.journal}{had}"
    return disk.content_note or "content unknown"


def question(world: World, seen: Seen, current: Phase, now: Instant, why: str) -> Question | None:
    """What a person may decide now; the same question as before while it is about the same, or while an order
    stands on its answer. One that was refused for what is on the disk leaves him to decide anew."""
    old = world.volume.status.question
    if (
        old is not None
        and current in (Phase.WIPING, Phase.FAILED, Phase.PENDING)
        and _stands_on(world, seen, old)
        and not seen.undecided
        and answers.disk_in_question(world) in old.about
    ):
        return old
    subject = _subject(world, seen, current, why)
    if subject is None:
        return None
    kind, about = subject
    if old is not None and old.kind == kind and _is_about(world, seen, old, about):
        return old
    at = format_instant(now)
    text = _TEXTS[kind]
    if kind == "identity" and answers.ELSEWHERE in about:
        text = f"{text} {_TEXTS['twin']}"
    return Question(id=world.fresh.question, kind=kind, about=about, text=text, at=at)


def _is_about(world: World, seen: Seen, old: Question, about: str) -> bool:
    """Whether a question of the same kind still stands. Whether the data would be kept without a word is part
    of it, so that what was said while the policy was Delete decides nothing on Retain. A restore that was
    asked for is not lost by that, and after the commit there is no policy any more."""
    if old.about == about:
        return True
    if old.kind == "adopt":
        # To be kept for a claim it is journalled as a tenancy first: that is the same all the same.
        return answers.named(world.volume) is not None and old.about == _unknown(world, journalled=False)
    # Of a disk that is not to be seen nothing else is known, and who wants to have its data back is not
    # asked once more for what lies beside it.
    unseen = seen.disk is None or seen.disk.presence is not Presence.OK
    before, now = old.about.partition(_WITH)[0], about.partition(_WITH)[0]
    if old.kind == "gone":
        return (unseen or answers.named(world.volume) is not None) and before == now
    if seen.pv is None or answers.restores(world):
        return before.removesuffix(_KEPT) == now.removesuffix(_KEPT)
    return unseen and before == now


_KEPT = ", kept"
_WITH = ", with "
_TEXTS = {
    "release": "wipe it now, give it back, or leave it to the policy?",
    "gone": "wipe it, give it back to a claim, or keep it?",
    "adopt": "wipe what is on it, or keep it for one claim?",
    "identity": "is the disk that is there now the right one?",
    "twin": "other machines show these facts too: is it a disk of its own, which no other machine can reach?",
}


def _subject(world: World, seen: Seen, current: Phase, why: str) -> tuple[str, str] | None:
    """Kind and subject. Another disk in its place is part of it: an answer about one is none on the other."""
    status, disk = world.volume.status, seen.disk
    which = answers.disk_in_question(world)
    if current in (Phase.RELEASED, Phase.WIPING, Phase.FAILED):
        ours = seen.committed or _is_being_committed(world, seen) or answers.forgets(world, seen)
        gone = seen.pv is None and not ours
        if gone:
            there = content.reported(disk) if disk is not None else ""
            return "gone", f"gone:{status.tenancy}{which}{_had_since(disk)}{_WITH}{there}"
        kept = _KEPT if release.is_kept(world, seen) else ""
        # A wipe of what is at the mount's root takes all that lies there: an answer is about that.
        lies = f"{_WITH}{content.reported(disk)}" if seen.at_root and disk is not None else ""
        return "release", f"{status.tenancy}{which}{_had_since(disk)}{kept}{lies}"
    if which:
        return ("twin" if status.identity is None else "identity"), which
    waits = _adoption_waits(world, seen)
    may_be_adopted = ("InUse", waits.word if waits is not None else "HasData")
    if why in may_be_adopted and disk is not None:
        return "adopt", _unknown(world)
    return None


def _had_since(disk: DiskReport | None) -> str:
    """Part of what is asked about: who answered before another claim was seen was not told of that one."""
    return f", had since by {disk.had_since}" if disk is not None and disk.had_since else ""


def _unknown(world: World, *, journalled: bool = True) -> str:
    """The subject of a question about unknown data. Not journalled: as it was before the journal had it as a
    tenancy at the mount's root."""
    disk = world.volume.status.disk
    assert disk is not None, "it was seen"
    lies = content.reported(disk) if journalled else content.found(disk)
    return f"{lies}{_had_since(disk)} on {answers.facts(disk.identity)}"


def _is_being_committed(world: World, seen: Seen) -> bool:
    """The delete that commits a wipe was answered, and is not on record yet. After any other delete of ours
    there is nothing that leaving it to the policy could mean."""
    deleted = world.volume.status.volume_uid
    return (
        seen.order is not None
        and seen.order.pv_uid == deleted
        and deleted in world.mine.deleted
        and (not seen.undecided or answers.restores(world))
    )


def _stands_on(world: World, seen: Seen, asked: Question) -> bool:
    """The wipe that is owed, or the order that stands, stands on the answer to that question. Once it is done
    and nothing is owed any more, the answer is used up."""
    status, order = world.volume.status, world.volume.spec.order
    is_used_up = seen.done and not status.committed
    on_order = order is not None and order.answer == asked.id and not is_used_up
    return on_order or status.committed_on == asked.id


def owner(world: World, seen: Seen, current: Phase) -> Owner | None:
    """Who has the disk, or had it and whose data is still there."""
    old = world.volume.status.owner
    ref = seen.pv.spec.claim_ref if seen.pv is not None else None
    if seen.claimed and ref is not None:
        pod = next(
            (
                Ref(namespace=p.metadata.namespace, name=p.metadata.name, uid=p.metadata.uid)
                for p in sorted(world.pods, key=lambda p: p.metadata.name)
                if p.status.phase not in ("Succeeded", "Failed")
            ),
            None,
        )
        had = old.had if old is not None and old.claim is not None and old.claim.uid == ref.uid else None
        return Owner(claim=ref, pod=pod, last_pod=had if pod is None else None)
    if current in (Phase.RELEASED, Phase.WIPING, Phase.FAILED):
        if old is not None:
            return Owner(claim=old.claim, last_pod=old.had)
        if ref is not None and seen.pv_state == "released":
            return Owner(claim=ref)
    return None


def conditions(
    world: World, seen: Seen, asked: Question | None, why: str, now: Instant
) -> tuple[Condition, ...]:
    """What is wrong, or worth knowing, around the phase."""
    wanted: list[tuple[str, bool, str, str]] = []
    if daemon.is_lost(world):
        wanted.append(("NodeReady", False, "NodeLost", lost.said(world, seen)))
    elif not daemon.node_ready(world):
        wanted.append(("NodeReady", False, "NodeNotReady", "the kubelet does not report"))
    elif daemon.is_away(world, now):
        said = "the kubelet reports no Ready pod of the disk-daemon there"
        wanted.append((daemon.CONDITION, False, "DaemonNotReady", said))
    disk = seen.disk
    if disk is not None and disk.presence is not Presence.OK:
        wanted.append(("DiskHealthy", False, disk.presence.value, _of_the_disk(world, disk)))
    elif mounts.is_missing(world, seen):
        wanted.append(("DiskHealthy", False, "TenancyMissing", mounts.said(world)))
    if world.volume.spec.admin.cordon or world.volume.spec.admin.retire:
        wanted.append(("Cordoned", True, "ByPerson", "not offered any more"))
    elif world.left_by_label:
        wanted.append(("Cordoned", True, "LabelChanged", "the node's labels no longer match its group"))
    if world.around.foreign:
        text = f"PersistentVolume {world.around.foreign}, not ours, covers the same disk: two may write to it"
        wanted.append(("Foreign", True, "AnotherVolume", f"{text}; it is not wiped while that one is there"))
    if world.never:
        wanted.append(("Forbidden", True, "Never", f"the glob {world.never} under `never`: it is not wiped"))
    if not world.listed:
        wanted.append(("Dropped", True, "NotListed", "no inventory entry lists it"))
    elif edit_pending(world):
        wanted.append(("EditPending", True, "Bound", "the inventory's edit applies once it is free"))
    refused = answers.not_taken(world, seen)
    if refused:
        wanted.append(("AnswerNotTaken", True, "NotTaken", refused))
    if asked is not None and (why in WAITS_FOR_A_WORD or asked.kind == "twin"):
        wanted.append(("WaitingForPerson", True, asked.kind.capitalize(), asked.text))
    if dirty_handed_out(world, seen):
        wanted.append(
            ("DirtyHandedOut", True, "ClaimRefChanged", "another claim got it with the old data on it")
        )
    return tuple(condition(world.volume.status, *each, now) for each in wanted)


def _of_the_disk(world: World, disk: DiskReport) -> str:
    """What is wrong with the disk and the way out: somebody may have it, and then the reason does not say."""
    if disk.presence is Presence.CONFLICT:
        return disk.message
    name, spec = world.volume.metadata.name, world.volume.spec
    note = presence_note(world)
    return words.say(disk.presence.value, volume=name, node=spec.node_name, source=spec.source, note=note)


def condition(
    before: VolumeStatus, kind: str, holds: bool, reason: str, message: str, now: Instant
) -> Condition:
    """One condition; where it held before it keeps the time at which it began to."""
    status: Literal["True", "False"] = "True" if holds else "False"
    for old in before.conditions:
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
    """Another claim than the recorded owner has the PersistentVolume in a tenancy that was already dirty, and
    no person gave it to that claim."""
    old = world.volume.status
    if not seen.claimed:
        return False
    assert seen.pv is not None, "a claim has it"
    tenancy, has = tenancy_of(seen.pv), seen.pv.spec.claim_ref
    if has is None or str(old.reserved) == str(has):
        return False
    if _journal_knows_another(seen, tenancy, has.uid):
        return True
    if not old.dirty or tenancy != old.tenancy:
        return False
    if any(each.type == "DirtyHandedOut" for each in old.conditions):
        return True
    had = old.owner.claim if old.owner else None
    return had is not None and had.uid != has.uid != ""


def _journal_knows_another(seen: Seen, tenancy: str, claim_uid: str) -> bool:
    """The node's journal has seen another claim on this tenancy: a record of before that one hides it."""
    disk = seen.disk
    return (
        disk is not None
        and disk.journal == tenancy
        and any(uid not in ("", claim_uid) for uid in disk.claims)
    )


def edit_pending(world: World) -> bool:
    """The inventory wants another shape of volume than the one in force."""
    spec, desired = world.volume.spec, world.desired
    return desired is not None and (
        (spec.pool, spec.volume_mode, spec.fs_type, spec.mount_options, spec.labels)
        != (
            desired.pool.name,
            desired.volume_mode,
            desired.fs_type,
            desired.mount_options,
            desired.pool.labels,
        )
        or spec.wipe.on_release != policy.wipe_policy(desired).on_release
    )


_WORDS = {
    "NodeReady": "node lost",
    daemon.CONDITION: "daemon away",
    "DiskHealthy": "disk trouble",
    "Cordoned": "cordoned",
    "Dropped": "dropped",
    "EntryUnknown": "entry unknown",
    "Undecided": "not decided about",
    "EditPending": "edit pending",
    "Foreign": "another volume covers it",
    "Forbidden": "never",
    "DirtyHandedOut": "DIRTY",
}


def state(current: Phase, conditions: tuple[Condition, ...]) -> str:
    """The phase, and in brackets what is wrong around it."""
    around = [
        "offline" if each.reason == "NodeNotReady" else _WORDS[each.type]
        for each in conditions
        if each.type in _WORDS
    ]
    return f"{current.value} ({', '.join(around)})" if around else current.value


def history(
    before: VolumeStatus,
    old: VolumeStatus,
    seen: Seen,
    current: Phase,
    made: Order | None,
    given: bool,
    accepted: Record | None,
    stopped: Record | None,
    at: str,
) -> tuple[Record, ...]:
    """The last lines of the disk's history. made: the order whose tenancy begins now; given: the data of a
    committed wipe was given back. accepted: which disk a person has taken for this one. stopped: a countdown
    was called off."""
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
    elif before.committed and not old.committed and seen.done and not old.tenancy:
        lines.append(Record(at=at, what="wiped", tenancy=before.tenancy, who=str(had) if had else ""))
    if given:
        lines.append(Record(at=at, what="given back", tenancy=old.tenancy, who=str(old.reserved or "")))
    if accepted is not None:
        lines.append(accepted)
    if current is Phase.BOUND and before.phase is not Phase.BOUND:
        assert seen.pv is not None, "a claim has it"
        if seen.pv.spec.claim_ref is not None:
            lines.append(Record(at=at, what="bound", tenancy=old.tenancy, who=str(seen.pv.spec.claim_ref)))
    if current is Phase.RELEASED and before.phase is not Phase.RELEASED and not given:
        lines.append(Record(at=at, what="released", tenancy=old.tenancy, who=str(had) if had else ""))
    if old.committed and not before.committed:
        tenancy, asked = before.tenancy, ""
        if seen.order is not None:  # else a hand has made the next one's volume, and the order is history
            tenancy, asked = old.tenancy, seen.order.asked
        lines.append(Record(at=at, what="wipe committed", tenancy=tenancy, note=asked))
    earlier = before.history
    for again in (stopped, _in_vain(before, old, seen, at)):
        if again is not None:
            lines.append(again)
            if earlier and _is_the_same(earlier[-1], again):
                # A disk that fails for days would leave no line of what was before.
                earlier = earlier[:-1]
    return (*earlier, *lines)[-HISTORY:]


def _is_the_same(last: Record, line: Record) -> bool:
    """Of failures each has words of its own; who calls a wipe off is another matter each time."""
    alike = (last.what, last.tenancy) == (line.what, line.tenancy)
    return alike and (line.what != CALLED_OFF or last.note == line.note)


def _in_vain(before: VolumeStatus, old: VolumeStatus, seen: Seen, at: str) -> Record | None:
    """What is told of an order that is found refused or failed now; what was barred says nothing of the
    disk."""
    if old.retry in (None, before.retry) or not (seen.failed or seen.refused) or seen.barred:
        return None
    assert seen.order is not None, "what was in vain was ordered"
    assert seen.work is not None, "and was answered"
    deed = "wipe" if seen.order.destroys else "preparation"
    had = before.owner.claim if before.owner else None
    note = ": ".join(part for part in (seen.work.reason, seen.work.message) if part)
    return Record(
        at=at,
        what=f"{deed} {'failed' if seen.failed else 'refused'}",
        tenancy=seen.order.ends,
        who=str(had) if had else "",
        note=note,
    )
