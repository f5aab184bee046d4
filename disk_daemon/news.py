"""What of a TidbVolume that is another than before matters to the daemon's work on its disk."""

from __future__ import annotations

from disk_daemon.telling import claim_of
from tidb_volume.value import Phase, Presence, Volume


def _what_it_is(volume: Volume) -> tuple[object, ...]:
    """What of a volume changes how its disk is looked at."""
    spec = volume.spec
    return (spec.source, spec.volume_mode, spec.fs_type, spec.mount_options, volume.status.identity)


def who_has_it(volume: Volume) -> tuple[bool, str]:
    """What of a volume changes what is told of its disk."""
    return volume.status.phase is Phase.BOUND, claim_of(volume)


def asks_for_look(before: Volume, now: Volume) -> bool:
    """Whether a look would find or journal something else than the one before.

    A claim that comes is journalled; one that goes leaves nothing new to see but that nobody uses the disk,
    where that was told, and what follows needs the disk to itself.
    """
    if _what_it_is(before) != _what_it_is(now):
        return True
    (was_bound, had), (is_bound, has) = who_has_it(before), who_has_it(now)
    return (is_bound and not was_bound) or has not in ("", had)


def is_let_go(before: Volume, now: Volume) -> bool:
    """The claim that had the disk is gone."""
    return who_has_it(before)[0] and not who_has_it(now)[0]


def waits_for_survey(volume: Volume) -> bool:
    """The disk is reported, and the controller says that it is not observed: it misses the survey."""
    disk = volume.status.disk
    return volume.status.reason == "NotObserved" and disk is not None and disk.presence is Presence.OK


def bears_on_order(volume: Volume) -> tuple[object, ...]:
    """What of a volume may end or change an order's wait; our own writes are no part of it."""
    spec, status = volume.spec, volume.status
    question = status.question.id if status.question else None
    return (spec.order, spec.admin, spec.wipe, status.committed, question)
