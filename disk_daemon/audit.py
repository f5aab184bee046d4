"""The node's record of what was done to its disks: a line is added, and none is ever changed.

It is no witness: nothing is decided by it. But a wipe that cannot be put on record does not begin, and one
that is not on record is not done. What is in the file is in the log as well, for who collects logs.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec

from disk_daemon import kernel
from disk_daemon.jobs import INTERRUPTED, Job
from disk_daemon.known import Facts, Taken
from tidb_volume import audit
from tidb_volume.audit import AuditLine, What
from tidb_volume.obs.log import Log
from tidb_volume.value import Order, Volume

NO_END = "its process ended without a word, or its end could not be put on record"

_log = Log(audit.LOGGER)


def belongs(order: Order, what: What) -> bool:
    """Mounting and unmounting take nothing away; what makes a disk ready for its first use deletes nothing
    that anybody had, so that it has no beginning."""
    return order.destroys or (order.kind == "prepare" and what not in ("begun", "cut"))


def line_of(
    what: What,
    job: Job,
    order: Order,
    volume: Volume | None,
    facts: Facts,
    *,
    method: str,
    at: str,
    begun_at: str,
    bytes_gone: bool,
    done_bytes: int,
    done_files: int,
    reason: str = "",
    message: str = "",
) -> AuditLine:
    """The line that says what became of an order. volume: as it was last read; method: what is
    carried out; at, begun_at: RFC 3339."""
    owner = volume.status.owner if volume is not None else None
    return AuditLine(
        schema=audit.SCHEMA,
        at=at,
        what=what,
        node=volume.spec.node_name if volume is not None else "",
        volume=job.volume,
        order=order.id,
        ordered_at=order.at,
        kind=order.kind,
        method=method,
        asked=order.asked,
        answer=order.answer,
        identity=facts.identity or order.identity,
        source=str(job.source),
        tenancy=order.ends,
        next=order.next,
        pv_name=order.pv_name,
        pv_uid=order.pv_uid,
        claim=owner.claim if owner is not None else None,
        pod=owner.had if owner is not None else None,
        begun_at=begun_at,
        bytes_gone=bytes_gone,
        done_bytes=done_bytes,
        done_files=done_files,
        attempt=order.attempt,
        reason=reason,
        message=message,
        boot=facts.boot,
    )


def last_of(state: str, order: str) -> AuditLine | None:
    """The last line about an order; None: there is none that can be read. Raises OSError."""
    try:
        content = (Path(state) / audit.FILE).read_bytes()
    except FileNotFoundError:
        return None
    lines, _ = audit.read(b"\n".join(each for each in content.split(b"\n") if order.encode() in each))
    return next((each for each in reversed(lines) if each.order == order), None)


def cut_of(last: AuditLine | None, taken: Taken, now: AuditLine, said: str) -> AuditLine | None:
    """The line for an attempt before this one that ended without a word; None: there was none, or it has its
    end.

    last: what is on record of its order last. taken: what the journal has of it, which knows of a beginning
    whose line was lost with the power. now: a line about this disk and the order of today. said: how its
    process ended, as far as anybody saw that.
    """
    change = msgspec.structs.replace
    wipes = taken.kind == "reclaim" or bool(taken.answer)
    if last is not None and last.what == "begun":
        line = change(last, at=now.at, boot=now.boot)
    elif last is None and taken.begun and wipes:
        line = change(now, begun_at=taken.at)
        if taken.id != now.order:
            same = taken.ends == now.tenancy
            line = change(
                line,
                order=taken.id,
                ordered_at="",
                kind=taken.kind,
                asked="",
                answer=taken.answer,
                tenancy=taken.ends,
                next=taken.next,
                pv_name=now.pv_name if same else "",
                pv_uid=now.pv_uid if same else "",
                claim=now.claim if same else None,
                pod=now.pod if same else None,
                attempt=0,
            )
    else:
        return None
    booted = last is not None and last.boot != now.boot
    message = "the machine was booted since" if booted else said or NO_END
    return change(line, what="cut", bytes_gone=taken.begun, reason=INTERRUPTED, message=message)


def append(state: str, line: AuditLine, *, synced: bool = True) -> None:
    """Add a line, and log it; once this returns it is on the disk, if it is to be `synced`. Raises OSError.

    A line that was cut (no room, no power) stays as it is and ends here: nothing is ever written into it.
    """
    path = Path(state) / audit.FILE
    path.parent.mkdir(mode=0o700, exist_ok=True)
    is_new = not path.exists()
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        size = os.fstat(fd).st_size
        is_cut = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        text = b"\n" * is_cut + audit.written(line)
        if os.write(fd, text) != len(text):
            raise OSError(errno.ENOSPC, "the record of wipes has no room", str(path))
        if synced:
            os.fsync(fd)
    finally:
        os.close(fd)
    if is_new and synced:
        kernel.sync_folder(path.parent)
    _log.info("on record", **msgspec.to_builtins(line))
