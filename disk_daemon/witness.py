"""The daemon as a witness of claims: who was seen to have a tenancy is journalled before anybody forgets it.

An etcd restored from before a claim shows the tenancy on offer again, and its record knows of nobody. The
journal does, also where the owner has written nothing yet or has deleted all of it. Whose claim it is comes
with the TidbVolume that is watched; that a pod has the folder mounted is seen on the machine itself.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from disk_daemon import alone, journal, kernel, mounting
from disk_daemon.claims import news
from disk_daemon.facts import device, folder
from disk_daemon.jobs import Ended, Job
from disk_daemon.known import Entry, Facts
from disk_daemon.observe import look_at, record_of
from disk_daemon.shown import said
from tidb_volume.obs.log import Log

_log = Log(__name__)


def observe(job: Job, rules: folder.Rules) -> Ended:
    """What is to know of a job's disk now, with who has it journalled."""
    seen_at = kernel.boottime()
    facts = look_at(job, rules)
    try:
        note(job, facts, rules)
    except BlockingIOError:
        pass  # an order is at work on it, and who had it is no news then; else the next look comes
    except (OSError, folder.Absent) as error:
        _log.warning("a claim is not journalled", volume=job.volume, error=str(error))
        if isinstance(error, OSError) and str(error.filename).startswith(rules.state):
            why = alone.words(rules.state, f"{said(error)}: a claim is not journalled")
            rules = msgspec.structs.replace(rules, unwritable=rules.unwritable or why)
    return Ended(seen_at=seen_at, facts=facts, record=record_of(facts, rules))


def note(job: Job, facts: Facts, rules: folder.Rules) -> None:
    """Journal what is new, under the disk's lock. Raises OSError, Absent; BlockingIOError where somebody has
    the lock."""
    if facts.identity is None or news(job, facts, journal.load(rules.state, facts.identity)) is None:
        return
    with _locked(job):
        known = journal.load(rules.state, facts.identity)
        found = news(job, facts, known)
        if found is not None and isinstance(known, Entry):
            journal.store(rules.state, journal.had(known, *found))


@contextmanager
def _locked(job: Job) -> Iterator[None]:
    """The lock that an order on this disk takes."""
    if job.source.device:
        with device.opened(job.source.device) as fd, mounting.locked(fd):
            yield
        return
    with folder.opened(job.source.path) as root:
        ours = folder.open_ours(root)
        if ours is None:
            yield
            return
        try:
            fcntl.flock(ours, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(ours)
