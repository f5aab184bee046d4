"""The processes of the machine, as /proc has them: all that the host's own namespace of processes shows.

A child is in the host's mount namespace, so this is the host's /proc, whatever namespace of processes the
child itself is in.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator

from disk_daemon.shown import shown

GONE = (errno.ENOENT, errno.ESRCH)
"""What /proc answers for a process that has ended, or for what it does not have."""
_CHUNK = 1 << 16
_CAP_SYS_PTRACE = 19
_POD = re.compile(rb"pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})")


def pids() -> list[str]:
    """Every process there is now."""
    return [name for name in os.listdir("/proc") if name[0] in "123456789"]


def own() -> str:
    """This process, by the number that /proc knows it by."""
    return os.readlink("/proc/self")


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
    effective = int(status.partition(b"\nCapEff:")[2].split(None, 1)[0], 16)
    if not effective & 1 << _CAP_SYS_PTRACE:
        raise PermissionError(errno.EPERM, "who uses it cannot be seen without CAP_SYS_PTRACE")


def threads(pid: str) -> list[str]:
    """The folders of a process's threads, its first one first; empty: it is gone."""
    try:
        return [f"/proc/{pid}/task/{each}" for each in os.listdir(f"/proc/{pid}/task")]
    except OSError as error:
        if error.errno in GONE:
            return []
        raise


def descriptors(folder: str) -> Iterator[os.stat_result]:
    """What the open descriptors of a process or a thread lead to. PermissionError: we may not know."""
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
            seen = about(each, fd)
            if seen is not None:
                yield seen
    finally:
        os.close(fd)


def about(link: str, directory: int | None = None) -> os.stat_result | None:
    """What a link in a process's folder leads to; None: nothing, or what cannot be asked.

    PermissionError where we may not look. That is another thing than a file that does not answer (a dead
    NFS server, somebody's FUSE): the link itself can be read then. On a local file system that answers, no
    single file fails to.
    """
    try:
        return os.stat(link, dir_fd=directory)
    except OSError as error:
        if error.errno in GONE:
            return None
    try:
        os.readlink(link, dir_fd=directory)
    except OSError as error:
        if error.errno not in GONE:
            raise
    return None


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
