"""Looking at a disk and its record, and changing nothing; what an observing child does."""

from __future__ import annotations

import errno
from collections.abc import Callable

import msgspec

from disk_daemon import journal, kernel
from disk_daemon.facts import device, folder
from disk_daemon.jobs import Ended, Job, Record
from disk_daemon.known import Broken, Facts, Journal
from disk_daemon.shown import said, shown
from tidb_volume.value import Presence

Look = Callable[[int, str, folder.Rules], Facts]


def observe(job: Job, rules: folder.Rules) -> Ended:
    """What is to know of a job's disk now."""
    return told(lambda: look_at(job, rules), rules)


def told(find: Callable[[], Facts], rules: folder.Rules) -> Ended:
    """What a look and the journal say of a disk."""
    seen_at = kernel.boottime()
    facts = find()
    return Ended(seen_at=seen_at, facts=facts, record=record_of(facts, rules))


def look_at(job: Job, rules: folder.Rules) -> Facts:
    """The facts of a job's disk, be it a folder or a device."""
    if not job.source.device:
        return look(job.source.path, rules)
    try:
        with device.opened(job.source.device) as fd:
            return device.look(fd, job, rules)
    except folder.Absent as error:
        return folder.absent(error, rules)
    except (OSError, ValueError) as error:
        return _stuck(error, rules)


def look(path: str, rules: folder.Rules, how: Look = folder.look) -> Facts:
    """The facts of the disk at a path, whatever is there. how: how much of it to look at."""
    try:
        with folder.opened(path) as root:
            return how(root, path, rules)
    except folder.Absent as error:
        return folder.absent(error, rules)
    except (OSError, ValueError) as error:
        return _stuck(error, rules)


def _stuck(error: OSError | ValueError, rules: folder.Rules) -> Facts:
    """A ValueError: something that the kernel or the disk says is not understood."""
    found = _in_the_way(error)
    if found:
        return Facts(presence=Presence.HINDERED, message=found, boot=folder.boot_id(rules))
    what = said(error) if isinstance(error, OSError) else folder.why(error)
    return Facts(presence=Presence.STUCK, message=what, boot=folder.boot_id(rules))


_IN_THE_WAY = {
    errno.EXDEV: "something is mounted at {name} on the disk: unmount it",
    errno.ELOOP: "{name} on the disk is a symlink and no folder: remove it",
    errno.ENOTDIR: "{name} on the disk is a file or a symlink and no folder: move it away",
}


def _in_the_way(error: OSError | ValueError) -> str:
    """What somebody put where a folder of the disk should be, and the way out; empty: it is not that. What is
    opened below the disk's root is named without a path."""
    name: object = error.filename if isinstance(error, OSError) else None
    if not isinstance(name, str) or name.startswith("/"):
        return ""
    return _IN_THE_WAY.get(getattr(error, "errno", 0), "").format(name=f"'{shown(name)}'")


def record_of(facts: Facts, rules: folder.Rules) -> Record:
    """What a report shows of the journal's entry for the disk that was seen."""
    known = journal.load(rules.state, facts.identity) if facts.identity else None
    found = recorded(known, facts.tenancy)
    return msgspec.structs.replace(found, unwritable=rules.unwritable)


def recorded(known: Journal, tenancy: str = "") -> Record:
    """What a report shows of an entry. tenancy: the one that is on the disk, which may be another."""
    if isinstance(known, Broken):
        return Record(broken=known.why)
    if known is None:
        return Record()
    claims = journal.seen_on(known, known.handed)
    return Record(
        handed=known.handed,
        known=True,
        order=known.order,
        claims=claims,
        last_claim=known.last_claim(tenancy or known.handed),
        made=journal.shape(known),
        at_root=known.at_root,
    )
