"""The processes of the machine, as /proc has them: all that the host's own namespace of processes shows.

A child is in the host's mount namespace, so this is the host's /proc, whatever namespace of processes the
child itself is in.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterator

from disk_daemon.kernel import Remembered, remembered, share_descriptors
from disk_daemon.shown import shown

GONE = (errno.ENOENT, errno.ESRCH)
"""What /proc answers for a process that has ended, or for what it does not have."""
ZYGOTE = "disk-zygote"
"""The name of the process that makes the daemon's children."""
_CHUNK = 1 << 16
_CAP_SYS_PTRACE = 19
_ENDED = (b"Z", b"X")
_KERNEL_THREAD = 0x00200000
"""PF_KTHREAD (linux/sched.h)."""
_MAPPING = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ (?:00:00 0 .*|(\S+ \d+)( .*))$", re.MULTILINE)
"""A line of `maps`: its range, and of a file's the device and inode as the kernel has them, and its name."""
_LOOKS = 5
_ON_THE_WAY = re.compile(rb"^scm_fds:(?![ \t]*0$)", re.MULTILINE)
"""In the fdinfo of a socket in the Unix domain (net/unix/af_unix.c, unix_show_fdinfo)."""
_MOMENTS_S = (0.01, 0.1, 0.3, 0.6)
_POD = re.compile(rb"pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})")


def pids() -> list[str]:
    """Every process there is now. PermissionError: some are hidden from us, and may be anything."""
    found = [name for name in os.listdir("/proc") if name[0] in "123456789"]
    if "1" not in found:
        raise PermissionError(errno.EACCES, "processes are hidden from us (hidepid)", "/proc")
    return found


def own() -> str:
    """This process, by the number that /proc knows it by."""
    return os.readlink("/proc/self")


def is_ours(pid: str) -> bool:
    """Whether a process was made by the one that made this one, the daemon's zygote, or is below it. Where
    no zygote made this one, none is."""
    maker = _parent(own())
    if not maker or read(f"/proc/{maker}/comm") != ZYGOTE.encode() + b"\n":
        return False
    while pid and pid != maker:
        pid = _parent(pid)
    return pid == maker


def _parent(pid: str) -> str:
    """Empty: it has none, or is gone."""
    try:
        parent = read(f"/proc/{pid}/stat").rpartition(b") ")[2].split()[1].decode()
    except OSError as error:
        if error.errno in GONE:
            return ""
        raise
    return parent if parent != "0" else ""


def read(path: str) -> bytes:
    """A whole file of /proc; a fifth of what `open` costs, and it is done for every process."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, _CHUNK):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def check_that_we_may_look() -> None:
    """PermissionError where the folders of other users' processes are closed to us: who may be there?"""
    status = read("/proc/self/status")
    effective = int(_word(status, b"CapEff"), 16)
    if not effective & 1 << _CAP_SYS_PTRACE:
        raise PermissionError(errno.EPERM, "who uses it cannot be seen without CAP_SYS_PTRACE")


def _word(status: bytes, name: bytes) -> bytes:
    """What a line of a `status` says. ValueError where none says it."""
    found, *_ = status.partition(b"\n%b:" % name)[2].split(None, 1)
    return found


def threads(pid: str) -> list[str]:
    """The folders of a process's threads, its first one first; empty: it is gone."""
    try:
        return [f"/proc/{pid}/task/{each}" for each in os.listdir(f"/proc/{pid}/task")]
    except OSError as error:
        if error.errno in GONE:
            return []
        raise


def other_threads(pid: str) -> Iterator[str]:
    """The ids of a process's threads but for its first; each has a folder in /proc, though none is listed."""
    for thread in threads(pid):
        name = os.path.basename(thread)
        if name != pid:
            yield name


def with_a_table_of_their_own(pid: str) -> list[str]:
    """The ids of a process's threads that have not the first one's descriptors; any may do so, with
    unshare(CLONE_FILES). One of which it cannot be told counts as such."""
    comparable = own() == str(os.getpid())
    return [each for each in other_threads(pid) if not (comparable and _share_descriptors(pid, each))]


def _share_descriptors(pid: str, thread: str) -> bool:
    try:
        return share_descriptors(int(pid), int(thread))
    except OSError:
        return False


def has_ended(thread: str) -> bool:
    """Whether a process's first thread, or another, has ended; others of it may go on."""
    state, _ = _state(thread)
    return state in _ENDED


def stands_still(pid: str) -> int | None:
    """How often a process has waited for something, if it waits in state D now; the same number some time
    later is the same wait. None: it does something else, or is gone."""
    try:
        status = read(f"/proc/{pid}/status")
    except OSError as error:
        if error.errno in GONE:
            return None
        raise
    waits = int(_word(status, b"voluntary_ctxt_switches"))
    return waits if b"\nState:\tD" in status else None


def has_nothing(pid: str) -> bool:
    """Whether what we may not look at has nothing open for all that: a thread of the kernel's own, or a
    process that has ended, with all its threads."""
    state, flags = _state(pid)
    return bool(flags & _KERNEL_THREAD) or (state in _ENDED and not any(other_threads(pid)))


def _state(thread: str) -> tuple[bytes, int]:
    """State and flags (proc(5)); X, dead, where it is gone. ValueError where they are not told."""
    try:
        state, _, _, _, _, _, flags, *_ = read(f"/proc/{thread}/stat").rpartition(b") ")[2].split()
    except OSError as error:
        if error.errno in GONE:
            return b"X", 0
        raise
    return state, int(flags)


def descriptors(folder: str) -> Iterator[tuple[str, Remembered]]:
    """The number of each open descriptor of a process or a thread, and what it leads to. PermissionError: we
    may not know.

    A stat each is nearly all of what a look at a whole machine costs; to read the links instead costs the
    kernel as much (bench/scans.py), and does not tell.
    """
    fd = -1
    try:
        fd = os.open(f"{folder}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        found = os.listdir(fd)
    except OSError as error:
        if fd >= 0:
            os.close(fd)
        if error.errno in GONE:
            return
        raise
    try:
        for each in found:
            try:
                seen = remembered(each, fd)
            except OSError as error:
                _check_unanswered(error, each, fd)
                continue
            yield each, seen
    finally:
        os.close(fd)


def carries_descriptors(folder: str, number: str) -> bool:
    """Whether descriptors that somebody has sent (SCM_RIGHTS) lie unread in the socket that one leads to. Of
    what they are, nothing tells. One that is about to be read is given a moment."""
    for pause_s in (*_MOMENTS_S, 0.0):
        try:
            found = _ON_THE_WAY.search(read(f"{folder}/fdinfo/{number}"))
        except OSError as error:
            if error.errno in GONE:
                return False
            raise
        if found is None:
            return False
        time.sleep(pause_s)
    return True


def mapped(folder: str, known: set[bytes]) -> Iterator[Remembered]:
    """The files that a process has mapped, each once. PermissionError: we may not know; BlockingIOError: it
    changes its mappings faster than they can be asked for; ValueError: what they are is not understood.

    known: ordinary files that were met before in the same pass over all processes, which are left out here;
    kept up by this. Only a file whose device and inode are to everybody what they are to the kernel is known
    by them: on overlays of several file systems, and in subvolumes, the kernel's are not of one file alone.
    """
    asked: set[tuple[bytes, bytes]] = set()
    for _ in range(_LOOKS):
        try:
            lines = read(f"{folder}/maps")
        except OSError as error:
            if error.errno in GONE:
                return
            raise
        found = _MAPPING.findall(lines)
        if len(found) != lines.count(b"\n"):
            raise ValueError(f"{folder}/maps has a line that is none")
        changed = False
        for start, end, inode, name in found:
            if not inode or inode in known or (inode, name) in asked:
                continue
            link = f"{folder}/map_files/{int(start, 16):x}-{int(end, 16):x}"
            try:
                seen = remembered(link)
            except OSError as error:
                changed |= error.errno in GONE
                _check_unanswered(error, link)
                continue
            asked.add((inode, name))
            device = seen.st_dev
            if stat.S_ISREG(seen.st_mode) and inode == b"%02x:%02x %d" % (
                os.major(device),
                os.minor(device),
                seen.st_ino,
            ):
                known.add(inode)
            yield seen
        if not changed:
            return
    raise BlockingIOError(errno.EAGAIN, "its mappings change while they are looked at", folder)


def about(link: str, directory: int | None = None) -> Remembered | None:
    """What a link in a process's folder leads to; None: nothing, or what cannot be asked.

    PermissionError where we may not look. That is another thing than a file that does not answer (a dead
    NFS server, somebody's FUSE): the link itself can be read then. On a local file system that answers, no
    single file fails to.
    """
    try:
        return remembered(link, directory)
    except OSError as error:
        _check_unanswered(error, link, directory)
    return None


def _check_unanswered(error: OSError, link: str, directory: int | None = None) -> None:
    """After a stat that failed: PermissionError where it was the link that we may not follow."""
    if error.errno in GONE:
        return
    try:
        os.readlink(link, dir_fd=directory)
    except OSError as hidden:
        if hidden.errno not in GONE:
            raise


def name(pid: int | str) -> str:
    """What a process is called, and whose it is where its control group says so; for people."""
    return f"{_comm(pid)} (pid {pid}{_pod(pid)})"


def _comm(pid: int | str) -> str:
    try:
        return shown(read(f"/proc/{pid}/comm").rstrip(b"\n")) or "a process"
    except OSError:
        return "a process"


def _pod(pid: int | str) -> str:
    """The kubelet names a pod's control group after its UID, in the systemd way with underscores."""
    try:
        found = _POD.search(read(f"/proc/{pid}/cgroup"))
    except OSError:
        return ""
    return f", pod {found[1].decode().replace('_', '-')}" if found else ""
