"""Who has a block device itself in use: what neither a mount of its file system nor O_EXCL shows.

A pod with a Block volume does not hold the device exclusively (tried on kubelet 1.37). What gives it away:
the kubelet bind-mounts the device node, puts a loop device on that node, and the pod opens it. All of them
are compared by device number; a node may have any name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from disk_daemon import blockdev
from disk_daemon.facts import mounts, process
from disk_daemon.known import User


def users(device: int) -> tuple[User, ...]:
    """Bind mounts of a node of the device, loop devices on it, and open descriptors of other processes.

    device: its number (st_rdev). To be called in the host's mount namespace. Raises OSError where a table
    cannot be read.
    """
    process.check_that_we_may_look()
    found = [User(who=f"loop device {name} on it", root="") for name in blockdev.stacked_loops(device)]
    found += _bound(device)
    found += [User(who=f"{process.name(pid)} has it open", root="", pid=int(pid)) for pid in _openers(device)]
    return tuple(found)


def _bound(device: int) -> Iterator[User]:
    for table in mounts.tables():
        for line in table.lines.split(b"\n"):
            # A bind mount of one node: its root is a path in a file system that holds device nodes.
            if not line or line.split(b" ", 4)[3] == b"/":
                continue
            for mount in mounts.parse(line):
                if _leads_to(mount.target, table.pid, device):
                    yield mounts.user(mount, table.pid)


def _leads_to(target: str, pid: int, device: int) -> bool:
    """Whether a device's node is mounted there, in the namespace of a process (0: our own)."""
    root = f"/proc/{pid}/root" if pid else ""
    try:
        about = os.lstat(root + target)
    except OSError:
        return False
    return stat.S_ISBLK(about.st_mode) and about.st_rdev == device


def _openers(device: int) -> Iterator[str]:
    own = process.own()
    for pid in process.pids():
        if pid == own:
            continue
        try:
            has = any(
                stat.S_ISBLK(about.st_mode) and about.st_rdev == device
                for about in process.descriptors(f"/proc/{pid}")
            )
        except PermissionError:
            continue  # hidden even from who has the right: a security module's own business (a sandbox's)
        if has:
            yield pid
