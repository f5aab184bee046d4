"""What a volume's status should say: computed whole from what is seen, never edited.

Memory (`memory.py`) and what people read (`show.py`) are one value, so that they are written in one patch and
cannot disagree.
"""

from __future__ import annotations

import msgspec

from tidb_volume import words
from tidb_volume.life import answers, lost, memory, show
from tidb_volume.life.look import Seen, look
from tidb_volume.life.phases import phase
from tidb_volume.life.world import World
from tidb_volume.units import Instant, format_bytes, format_instant
from tidb_volume.value import Condition, Phase, Record, Volume, VolumeStatus

UNDECIDED = "Undecided"
"""The condition of a volume about which nothing can be decided, for a fault of ours."""


def compute(world: World, seen: Seen, now: Instant) -> VolumeStatus:
    """The status that this volume should have now; `disk` and `work` are left as the daemon wrote them."""
    before = world.volume.status
    old = memory.remember(world, seen, now)
    given = memory.given_back(seen) and bool(before.committed) and not old.committed
    accepted = _accepted(world, now)
    if accepted is not None:
        nobody = msgspec.structs.replace(world.around, twin="")
        world = msgspec.structs.replace(world, around=nobody)
    # What is shown follows from what is remembered now, not from what was remembered before this look.
    world = msgspec.structs.replace(world, volume=msgspec.structs.replace(world.volume, status=old))
    anew = seen.order is not None and old.tenancy == seen.order.next != before.tenancy
    order, seen = seen.order, look(world)
    current = phase(seen)
    reason, note = show.reason(world, seen, current, now)
    question = show.question(world, seen, current, now, reason)
    owner = show.owner(world, seen, current)
    message = words.say(
        reason,
        volume=world.volume.metadata.name,
        node=world.volume.spec.node_name,
        source=world.volume.spec.source,
        pool=world.volume.spec.pool,
        pv=old.volume_name,
        claim=owner.claim if owner else None,
        note=note,
        when=_when(memory.retry_at(world, seen)),
    )
    conditions = show.conditions(world, seen, question, reason, now)
    disk = seen.disk
    capacity, used = old.capacity, old.used
    if disk is not None and disk.capacity_bytes > 0:
        capacity, used = format_bytes(disk.capacity_bytes), format_bytes(disk.used_bytes)
    made = order if anew else None
    wipe_at = memory.wipe_at(world, seen, now) if current is Phase.RELEASED else ""
    ended = msgspec.structs.replace(old, phase=current, wipe_at=wipe_at)
    stopped = _called_off(before, ended, _who_stops(world, reason), now)
    return msgspec.structs.replace(
        old,
        phase=current,
        state=show.state(current, conditions),
        reason=reason,
        message=message,
        owner=owner,
        lost_since=lost.since(world, seen, now),
        wipe_from=memory.wipe_from(world, seen, now) if current is Phase.RELEASED else "",
        wipe_at=wipe_at,
        capacity=capacity,
        used=used,
        question=question,
        heard=world.volume.spec.admin.words,
        history=show.history(before, old, seen, current, made, given, accepted, stopped, format_instant(now)),
        conditions=conditions,
    )


def unread(volume: Volume, config_maps: tuple[str, ...], now: Instant) -> VolumeStatus:
    """The status of a volume that no entry lists which can be read: as it was, and why nothing is done.

    config_maps: those that are refused and of which nothing is in force.
    """
    before = volume.status
    where = f"ConfigMap {', '.join(config_maps)} is refused and may list this disk"
    said = f"{where}: nothing is done about it; kubectl tidb-volume status says what is wrong there"
    said_before = ("EntryUnknown", "Dropped", UNDECIDED)
    told = show.condition(before, "EntryUnknown", True, "InventoryRefused", said, now)
    return _beside(before, said_before, told)


def undecided(volume: Volume, fault: Exception, now: Instant) -> VolumeStatus:
    """The status of a volume about which this code cannot decide: as it was, and that. The next decision
    takes it away."""
    before = volume.status
    said = (
        f"a fault of ours: {fault}: nothing is decided about this disk, whatever is said of it, until a"
        " version can; please report it with the controller's log"
    )
    told = show.condition(before, UNDECIDED, True, type(fault).__name__, said, now)
    # Words that differ each time would be written each time, and each write has it looked at anew.
    same = (each for each in before.conditions if (each.type, each.reason) == (told.type, told.reason))
    return _beside(before, (UNDECIDED,), next(same, told))


def _beside(before: VolumeStatus, without: tuple[str, ...], told: Condition) -> VolumeStatus:
    conditions = (*(each for each in before.conditions if each.type not in without), told)
    state = show.state(before.phase, conditions)
    return msgspec.structs.replace(before, state=state, conditions=conditions)


def _accepted(world: World, now: Instant) -> Record | None:
    """For the history: the disk that goes on record now by a person's word."""
    if not answers.accepts_identity(world):
        return None
    at = format_instant(now)
    if world.volume.status.identity is None:
        return Record(at=at, what="told apart", note="by a person, from disks of the same facts elsewhere")
    return Record(at=at, what="another disk accepted", note="the one before was NOT WIPED")


def is_called_off(before: VolumeStatus, after: VolumeStatus) -> bool:
    """A countdown ran, and ends neither in the wipe nor with the data in somebody's hands: by a person's or a
    program's word. What only makes a wipe wait ends none."""
    return bool(before.wipe_at) and not (after.wipe_at or after.committed) and after.phase is Phase.RELEASED


def _who_stops(world: World, reason: str) -> str:
    """For the history: whose word ends a countdown, or what else is said of the volume from now on."""
    restore = world.volume.spec.admin.restore
    if not answers.restores(world):
        return reason
    assert restore is not None, "what counts was said"
    return f"restore by {restore.by}" if restore.by else "restore"


def _called_off(before: VolumeStatus, after: VolumeStatus, why: str, now: Instant) -> Record | None:
    if not is_called_off(before, after):
        return None
    had = str(before.owner.claim) if before.owner is not None and before.owner.claim is not None else ""
    return Record(at=format_instant(now), what=show.CALLED_OFF, tenancy=after.tenancy, who=had, note=why)


def _when(at: Instant | None) -> str:
    return format_instant(at) if at is not None else "once the obstacle falls"
