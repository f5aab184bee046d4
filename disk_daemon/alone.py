"""At most one process of ours hangs at a disk, however many daemons came and went.

Who meets a dead disk hangs in the kernel (state D), and a daemon that is started anew knows nothing of it:
its first look would hang as well, and so one after each restart. So would each look whose program (blkid)
hangs, while the child that started it can be ended. So who begins takes a lock on a file beside the journal,
where no disk of ours can hang it, and the kernel lets it go when the last process that has it is really gone:
the child, and the programs that inherit it.

Where that file cannot be written, an old one is locked as it is, and where there is none nothing is: on a
node whose root is read-only disks are still looked at, and what is ours is mounted. All that is lost is that
a daemon started anew may hang at a dead disk once more; what changes a disk needs the journal, and fails
there (decision 0124).

What holds it and does not hang is another daemon's that was frozen, or is at work. It is worked beside, as
ever: what must not be done twice is kept apart by the lock on the disk itself.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from disk_daemon import kernel
from disk_daemon.facts import process
from disk_daemon.jobs import Hangs
from disk_daemon.shown import said

PATIENCE_S = 2.0
"""A look takes less than that, and so does the end of a process that was killed."""
STILL_S = 1.0
"""Who waits for so long for one and the same thing hangs. A wipe is nearly always in state D, and never for
long."""
_PAUSE_S = 0.05
_LOCK = b" FLOCK "
"""In /proc/PID/fdinfo/FD, where that descriptor is one of those that hold the lock (fs/locks.c)."""


@contextmanager
def held(
    state: str, name: str, sleep: Callable[[float], None] = time.sleep, patience_s: float = PATIENCE_S
) -> Iterator[int | Hangs | None]:
    """Hold the lock of that name. Gives its descriptor, for programs to inherit, or who hangs with it; None:
    there is no file to lock, and none can be made.

    state: the daemon's folder on the host. name: the disk's, fit for a file. Raises OSError where nobody can
    tell.
    """
    path = _file(state, name)
    try:
        fd = _made(path)
    except OSError:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            yield None
            return
    try:
        yield fd if _locked(fd, sleep, patience_s) else _hangs(fd, sleep) or fd
    finally:
        os.close(fd)


ROOM_BYTES = 128 << 10
"""More than the largest journal of a disk."""


def unwritable(state: str, name: str) -> str:
    """Why nothing could be journalled now, for people; empty: nothing is known that speaks against it.

    An error state of a file system is not always in its flags, so the lock's file is opened for writing too.
    """
    try:
        os.close(_made(_file(state, name)))
        about = os.statvfs(state)
    except OSError as error:
        return words(state, said(error))
    if about.f_bfree * about.f_frsize < ROOM_BYTES:
        return words(state, "ENOSPC: its file system is full")
    if about.f_files and not about.f_ffree:
        return words(state, "ENOSPC: its file system has no inode left")
    return ""


def words(state: str, why: str) -> str:
    """What is told of every disk while the journal cannot be written."""
    return (
        f"the daemon's own folder {state} cannot be written: {why}; without its journal nothing is offered or"
        " wiped there; pods go on; repair that file system, or make room on it"
    )


def _file(state: str, name: str) -> str:
    return f"{state.rstrip('/')}/busy/{name}"


def _made(path: str) -> int:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _locked(fd: int, sleep: Callable[[float], None], patience_s: float) -> bool:
    for left in range(round(patience_s / _PAUSE_S), -1, -1):
        with suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if left:
            sleep(_PAUSE_S)
    return False


def _hangs(fd: int, sleep: Callable[[float], None]) -> Hangs | None:
    """Those who have the lock, if all of them hang. One that hangs at its very end shows no descriptors any
    more, and is not found."""
    about = os.fstat(fd)
    pids = [pid for pid in process.pids() if _has(pid, (about.st_dev, about.st_ino))]
    before = [process.stands_still(pid) for pid in pids]
    sleep(STILL_S)
    now = [process.stands_still(pid) for pid in pids]
    if None in before or before != now or (not pids and _locked(fd, sleep, 0)):
        return None
    who = " and ".join(map(process.name, pids)) or "a process"
    said = f"{who} of an earlier look or order hangs in the kernel; nothing else is tried until it is back"
    return Hangs(said=said, pids=tuple(map(int, pids)))


def _has(pid: str, file: tuple[int, int]) -> bool:
    """Whether a process has the lock on a file, given by device and inode. What we may not look at, or is
    gone, has not."""
    with suppress(OSError):
        for each in os.listdir(f"/proc/{pid}/fd"):
            with suppress(FileNotFoundError):
                about = kernel.remembered(f"/proc/{pid}/fd/{each}")
                if (about.st_dev, about.st_ino) == file:
                    return _LOCK in process.read(f"/proc/{pid}/fdinfo/{each}")
    return False
