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
from disk_daemon.facts import mounts
from disk_daemon.known import User


def users(device: int) -> tuple[User, ...]:
    """Bind mounts of a node of the device, loop devices on it, and open descriptors of other processes.

    device: its number (st_rdev). To be called in the host's mount namespace. Raises OSError where a table
    cannot be read.
    """
    found = [User(who=f"loop device {name} on it", root="") for name in blockdev.stacked_loops(device)]
    found += _bound(device)
    found += [User(who=f"{_name(pid)} (pid {pid}) has it open", root="", pid=pid) for pid in _openers(device)]
    return tuple(found)


def _bound(device: int) -> Iterator[User]:
    for pid, own in mounts.namespaces():
        for mount in mounts.parse(mounts.table_of(pid, own=own)):
            # A bind mount of one node: its root is a path in a file system that holds device nodes.
            if mount.root == "/":
                continue
            path = mount.target if own else f"/proc/{pid}/root{mount.target}"
            if _leads_to(path, device):
                yield User(who=mounts.who(mount, 0 if own else pid), root=mount.root, pid=0 if own else pid)


def _leads_to(path: str, device: int) -> bool:
    try:
        about = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISBLK(about.st_mode) and about.st_rdev == device


def _openers(device: int) -> Iterator[int]:
    own = os.getpid()
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == own:
            continue
        folder = f"/proc/{name}/fd"
        try:
            descriptors = os.listdir(folder)
        except OSError:
            continue  # it is gone, or a zombie
        for descriptor in descriptors:
            try:
                about = os.stat(f"{folder}/{descriptor}")
            except OSError:
                continue
            if stat.S_ISBLK(about.st_mode) and about.st_rdev == device:
                yield int(name)
                break


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return "a process"
