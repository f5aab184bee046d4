"""What has to be remembered of a disk because it cannot be seen again: computed whole at every look.

Tenancy, dirty, committed, withdrawn, reserved, the identity, and the countdown's end. It is written before
anything is done about it, so that whoever comes next knows it too.
"""

from __future__ import annotations

import msgspec

from tidb_volume.life import answers, mounts, release
from tidb_volume.life.look import Seen, is_open, tenancy_of
from tidb_volume.life.world import World
from tidb_volume.units import Instant, format_instant, parse_instant
from tidb_volume.value import Content, DiskReport, Identity, Order, Presence, Ref, Retry, VolumeStatus

RETRY_FIRST = 30.0
RETRY_MOST = 3600.0


def offered_anew(seen: Seen) -> bool:
    """The PersistentVolume that is there begins the tenancy that the order that stands made clean."""
    if not seen.done or seen.pv is None or seen.pv_state == "terminating":
        return False
    assert seen.order is not None, "what is done was ordered"
    return seen.order.offer and tenancy_of(seen.pv) == seen.order.next


def retry_at(world: World, seen: Seen) -> Instant | None:
    """When a failed or refused order is followed by another; None: not written down yet."""
    retry, order = world.volume.status.retry, seen.order or mounts.order(world)
    return (
        parse_instant(retry.at)
        if retry is not None and order is not None and retry.order == order.id
        else None
    )


def not_yet(now: Instant, world: World, seen: Seen) -> Instant | None:
    """Until when what was in vain is not tried again; None: it may be."""
    again = retry_at(world, seen)
    return again if again is not None and now < again else None


def _retry(world: World, seen: Seen, now: Instant) -> Retry | None:
    """30 s from the first look at it, doubling to an hour: by our clock, a node's may be years off."""
    order, old = _in_vain(world, seen), world.volume.status.retry
    if order is None:
        return None
    if old is not None and old.order == order.id and parse_instant(old.at) <= now + RETRY_MOST:
        return old  # later than any pause it was written while the clock was ahead: the pause begins anew
    pause = min(RETRY_MOST, RETRY_FIRST * 2 ** min(order.attempt, 10))
    return Retry(order=order.id, at=format_instant(Instant(now + pause)))


def is_belied(seen: Seen) -> bool:
    """The order that stands is done, and the disk, which is there, does not show what it made any more."""
    is_there = seen.trouble in ("", "Cordoned", "Retired")
    return seen.done and is_there and not (seen.ready or seen.misshapen)


def _in_vain(world: World, seen: Seen) -> Order | None:
    """The order that was answered, and after which all is as before; None: there is none."""
    if seen.failed or seen.refused or (seen.committed and is_belied(seen)):
        return seen.order
    answered = mounts.is_wanted(world, seen) and mounts.answered(world) is not None
    return mounts.order(world) if answered else None


def remember(world: World, seen: Seen, now: Instant) -> VolumeStatus:
    """The memory after this look: tenancy, dirty, committed, withdrawn, and the PersistentVolume's UID."""
    old, pv = world.volume.status, seen.pv
    anew = offered_anew(seen)
    tenancy = old.tenancy
    if pv is not None and (anew or not tenancy or seen.pv_state in ("claimed", "reserved", "released")):
        tenancy = tenancy_of(pv) or old.tenancy
    owner = old.owner if tenancy == old.tenancy or not old.tenancy else None
    dirty = seen.claimed or seen.was_claimed or (old.dirty and not anew) or used_on_offer(seen)
    committed = _committed(world, seen, anew)
    withdrawn = _withdrawn(world, seen, anew)
    ended = bool(committed or withdrawn)
    if seen.done and committed and _is_unoffered(seen):
        # Cleaned and not to be offered, or not in this shape: nothing of the old tenancy is left.
        committed, dirty, tenancy, withdrawn, owner = "", False, "", "", None
    kept_back = _kept_back(world, seen)
    if kept_back:
        committed, dirty, owner = "", False, None
        tenancy = withdrawn = kept_back
    replaced = answers.accepts_identity(world) and old.identity is not None
    if replaced and pv is None and not (dirty or committed):
        # Another disk, and nobody's data was on the one before.
        tenancy, withdrawn, ended = "", "", True
    if replaced and _stands_on(old, seen, committed)[0]:
        committed = ""  # a person answered about the disk before: of this one he is asked anew
    committed_on, committed_over = _stands_on(old, seen, committed)
    # Made again by a hand since the last look: somebody is at work on it, and the countdown begins anew.
    another = pv is not None and old.volume_uid not in ("", pv.metadata.uid)
    return msgspec.structs.replace(
        old,
        tenancy=tenancy,
        owner=owner,
        dirty=dirty,
        committed=committed,
        committed_on=committed_on,
        committed_over=committed_over,
        withdrawn=withdrawn,
        reserved=_reserved(world, seen, anew),
        wipe_from="" if another else old.wipe_from,
        wipe_at="" if another else old.wipe_at,
        retry=_retry(world, seen, now),
        unrecorded=_unrecorded(old, seen, tenancy),
        identity=_identity(world),
        volume_name=pv.metadata.name if pv is not None else "" if ended else old.volume_name,
        volume_uid=pv.metadata.uid if pv is not None else "" if ended else old.volume_uid,
    )


def _is_unoffered(seen: Seen) -> bool:
    """What is done was not to be offered, or not in this shape."""
    assert seen.order is not None, "what is done was ordered"
    return not seen.order.offer or (seen.misshapen and seen.mine)


def _kept_back(world: World, seen: Seen) -> str:
    """The tenancy that an order of this leader made ready, and that by now is not to be offered; empty: none.

    What it made clean is as if it had been offered and taken back: a `retire` has it unmounted, and once a
    `cordon` is taken back it is offered with a fresh order. Where the order ended an unused tenancy, a disk
    that is only cordoned waits as it is.
    """
    if not (seen.mine and seen.ready) or world.pvs or seen.trouble not in ("Cordoned", "Retired"):
        return ""
    assert seen.order is not None, "what is ready was ordered"
    unused = seen.trouble == "Retired" and not seen.was_claimed
    return seen.order.next if seen.order.offer and (world.volume.status.committed or unused) else ""


def _unrecorded(old: VolumeStatus, seen: Seen, tenancy: str) -> str:
    """A record that first meets a tenancy released knows nothing of the holds that stood on it: one made
    anew, or one of another tenancy, beside which somebody made this one's volume again."""
    another = tenancy != old.tenancy and not offered_anew(seen)
    if seen.pv_state == "released" and (another or not old.tenancy):
        return tenancy
    return old.unrecorded if old.unrecorded == tenancy else ""


def used_on_offer(seen: Seen) -> bool:
    """Somebody's data is in the tenancy that is on offer: an etcd that went back in time forgot its claim."""
    disk = seen.disk
    if seen.pv_state != "offered" or disk is None:
        return False
    assert seen.pv is not None, "what is on offer is there"
    return (
        disk.presence is Presence.OK
        and disk.content is Content.TENANCY
        and disk.tenancy == tenancy_of(seen.pv)
        and (bool(disk.claims) or not (disk.empty or is_open(disk)))
    )


def _committed(world: World, seen: Seen, anew: bool) -> str:
    old, order = world.volume.status, seen.order
    if anew:
        return ""
    if order is None:
        return old.committed
    if seen.undecided:
        return ""
    if not begun(seen) and _owned_again(world, seen, order):
        return ""
    if given_back(seen) and seen.pv is not None and tenancy_of(seen.pv) == old.tenancy:
        return ""
    if order.withdrawn:
        return old.committed
    same_tenancy = order.ends == old.tenancy or bool(order.answer)
    if old.committed:
        return order.id if seen.mine and same_tenancy else old.committed
    if seen.mine and _destroys_without_pv(world, order):
        return order.id
    gone = all(pv.metadata.uid != order.pv_uid for pv in world.pvs) or seen.pv_state == "terminating"
    if seen.mine and order.kind == "reclaim" and order.pv_uid in world.mine.deleted and gone:
        return order.id
    return ""


def _stands_on(old: VolumeStatus, seen: Seen, committed: str) -> tuple[str, str]:
    """The answer that the committed wipe stands on, and what that is about; empty: the policy, or nothing is
    committed; the wipe is of a tenancy."""
    order = seen.order
    if not committed:
        return "", ""
    if order is not None and order.id == committed:
        return order.answer, order.over
    return old.committed_on, old.committed_over


def begun(seen: Seen) -> bool:
    """A byte is gone, or nobody can tell any more that none is."""
    return seen.done or (seen.work is not None and seen.work.begun)


def _owned_again(world: World, seen: Seen, order: Order) -> bool:
    """A PersistentVolume of the tenancy that was to be wiped is there again, made by hand."""
    pv = seen.pv
    return (
        pv is not None
        and seen.pv_state != "terminating"
        and tenancy_of(pv) == world.volume.status.tenancy
        and pv.metadata.uid != order.pv_uid
        and pv.metadata.uid not in world.mine.deleted
    )


def given_back(seen: Seen) -> bool:
    """The daemon said, under the disk's lock, that no byte of it is gone and that it will not begin."""
    if not seen.refused:
        return False
    assert seen.order is not None, "what is refused was ordered"
    assert seen.work is not None, "and was answered"
    return seen.order.withdrawn and seen.work.reason == "Withdrawn" and not seen.work.begun


def _destroys_without_pv(world: World, order: Order) -> bool:
    """The order ends data on a person's answer, on the disk that is on record still, and no PersistentVolume
    is there whose delete commits it."""
    same = order.identity == world.volume.status.identity
    return bool(order.answer) and same and not order.pv_uid and not world.pvs


def _withdrawn(world: World, seen: Seen, anew: bool) -> str:
    old, order = world.volume.status, seen.order
    if anew:
        return ""
    ours = old.volume_uid in world.mine.deleted
    wiping = order is not None and order.pv_uid == old.volume_uid
    if ours and not wiping and not old.dirty and seen.pv_state in ("none", "terminating"):
        return old.tenancy
    if seen.pv is not None and seen.pv_state != "terminating" and tenancy_of(seen.pv) == old.withdrawn:
        return ""  # it is there after all: a call whose answer was lost
    return old.withdrawn


def _reserved(world: World, seen: Seen, anew: bool) -> Ref | None:
    if anew:
        return None
    to = answers.gives(world, seen)
    return to if to is not None else world.volume.status.reserved


def _identity(world: World) -> Identity | None:
    recorded, disk = world.volume.status.identity, world.volume.status.disk
    if disk is None or disk.identity is None:
        return recorded
    first = recorded is None and disk.presence is Presence.OK and not world.around.twin
    if answers.accepts_identity(world) or first:
        return disk.identity
    if recorded is not None and _made_by_us(world, disk):
        return msgspec.structs.replace(recorded, fs_uuid=disk.identity.fs_uuid or recorded.fs_uuid)
    return recorded


def _made_by_us(world: World, disk: DiskReport) -> bool:
    """A device whose file system the journal has as made, with a tenancy that it knows, or clean with none:
    the UUID is recorded, for the day on which the journal is lost. What the journal does not know is Data."""
    return (
        bool(world.volume.spec.source.device)
        and disk.presence is Presence.OK
        and disk.content in (Content.TENANCY, Content.BLANK)
        and disk.tenancy == disk.journal
        and not disk.journal_broken
    )


def wipe_at(world: World, seen: Seen, now: Instant) -> str:
    """When the countdown of a released disk ends; empty while someone stands against the wipe."""
    held = release.decision(world, seen) is not None
    return "" if held else format_instant(release.countdown_ends(world, seen, now))


def wipe_from(world: World, seen: Seen, now: Instant) -> str:
    """When that countdown began: on record beside its end, so that an edit of the wait moves the end."""
    status = world.volume.status
    if release.decision(world, seen) is not None or (status.wipe_at and not status.wipe_from):
        return ""
    begun = parse_instant(status.wipe_from) if status.wipe_from else now
    # What began later than now began while the clock was ahead, and a whole wait from now is no less than
    # was promised. Were it now that is wrong, and behind, this would be too early: a clock that leaps ahead
    # again has every countdown begin anew (`missed_until`).
    return format_instant(max(min(begun, now), world.missed_until))
