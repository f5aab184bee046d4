"""Who has anything of a file system, in whatever way: asked where all that is on a disk is to go.

A tenancy is reached through the mount that the kubelet makes, and its users have that. What an admin put on a
disk is used by whoever was told the path: a program of the host whose working folder it is, a pod with a
hostPath of the disk's root. Renaming it aside would not disturb them, it would leave them writing into what
is being deleted.

All is compared by the device number of the file system (st_dev), never by a path. Each process's folders,
descriptors and mapped files are looked at, and what the kernel itself keeps open: files behind loop devices,
layers of overlays. A path disk is XFS or ext4, whose files all carry the number of their file system; one
that numbers its files otherwise (btrfs) is no path disk (`folder.mount_of`).

Not seen: descriptors of a thread that has a table of its own, and what only the kernel holds beyond these
(NFS exports, targets, sockets in whose queue a descriptor lies).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import chain, islice

from disk_daemon.facts import hardware, loops, mounts, process
from disk_daemon.kernel import remembered
from disk_daemon.known import Mount, User
from disk_daemon.shown import shown

MOST = 50
"""So many are told, and followed to their end; the next look tells the next ones."""
_LAYERS = re.compile(r",(?:lowerdir|upperdir|workdir)\+?=((?:\\,|[^,])*)")


def users(device: int, tables: tuple[mounts.Table, ...], nodes: str, state: str) -> tuple[User, ...]:
    """At most MOST of those who have the file system of that number (st_dev). This process and the host's own
    mounts of it are none.

    tables: of all mount namespaces. nodes: a folder where device nodes may be made. state: the daemon's
    folder on the host. To be called in the host's mount namespace. Raises OSError where it cannot be told:
    what may not be looked at may be a user.
    """
    number = hardware.number(device)
    found = chain(
        _copies(tables, number),
        _layers(tables, device),
        _loops(device, tables, nodes, state),
        _processes(device),
    )
    return tuple(islice(found, MOST))


def _copies(tables: tuple[mounts.Table, ...], device: str) -> Iterator[User]:
    """Mounts of all of it in other namespaces, at a place that the host has not made.

    A namespace begins as a copy of another, and monitoring agents have the host's whole tree below a folder:
    there the disk is mounted on the same folder of the same file system as on the host, and that is no use
    of it while nobody has anything open. A container that was given the disk has it on a folder of its own.
    """
    own: set[tuple[str, str]] = set()
    for table in tables:
        for mount in table.of(device):
            if mount.root != "/":
                continue  # a part of it is a use wherever it is, and `mounts.users` tells
            place = _mounted_on(mount, table.lines)
            if not table.pid and place is not None:
                own.add(place)
            if table.pid and place not in own:
                yield mounts.user(mount, table.pid)


def _mounted_on(mount: Mount, table: bytes) -> tuple[str, str] | None:
    """The file system and the folder in it that are under a mount; None: the process cannot see them."""
    under = mounts.by_id(table, mount.parent)
    if under is None or under.id == mount.id:
        return None
    folder = os.path.join(under.root, os.path.relpath(mount.target, under.target))
    return under.device, os.path.normpath(folder)


def _layers(tables: tuple[mounts.Table, ...], device: int) -> Iterator[User]:
    """Overlays: nobody has their layers open. Paths are the host's; one that is not there says nothing."""
    asked: set[str] = set()
    for table in tables:
        for line in table.lines.split(b"\n"):
            if b" - overlay " not in line:
                continue
            options = "," + os.fsdecode(line).rpartition(" ")[2]
            layers = {layer for found in _LAYERS.findall(options) for layer in _paths(found)} - asked
            asked |= layers
            if any(_is_on(layer, device) for layer in layers):
                mount = next(mounts.parse(line))
                yield User(who=f"a layer of an overlay, {mounts.user(mount, table.pid).who}", root="/")


def _paths(layers: str) -> list[str]:
    """lowerdir is a list; a colon or comma within a path is escaped, and mountinfo escapes once more."""
    plain = mounts.plain(layers)
    return [re.sub(r"\\(.)", r"\1", each) for each in re.split(r"(?<!\\):+", plain) if each]


def _is_on(path: str, device: int) -> bool:
    try:
        return remembered(path).st_dev == device
    except OSError:
        return False


def _loops(device: int, tables: tuple[mounts.Table, ...], nodes: str, state: str) -> Iterator[User]:
    """Loop devices whose file is on it: the kernel has the file open, and no process."""
    for loop, backing in loops.backings(nodes, state, tables):
        if backing.device == device:
            file = process.read(str(loop / "loop" / "backing_file")).rstrip(b"\n")
            yield User(who=f"{loop.name}, whose file {shown(file)} is on it", root="/")


def _processes(device: int) -> Iterator[User]:
    mapped = b" %02x:%02x " % (os.major(device), os.minor(device))
    own = process.own()
    for pid in process.pids():
        if pid == own:
            continue
        try:
            how = _has(pid, device, mapped)
        except PermissionError:
            # Its mount table is hidden from nobody. Where that lacks the file system it has no way there.
            if any(mounts.Table(int(pid), mounts.lines_of(pid)).of(hardware.number(device))):
                raise
            continue
        if how:
            yield User(who=f"{process.name(pid)} {how}", root="/", pid=int(pid))


def _has(pid: str, device: int, mapped: bytes) -> str:
    """How a process uses the file system, for people; empty: it does not.

    Threads share descriptors and memory but may have folders of their own. The first one's are asked for
    all of them, or another's where the first has ended before the others.
    """
    asked = False
    for thread in process.threads(pid):
        folder, top = process.about(f"{thread}/cwd"), process.about(f"{thread}/root")
        if folder is not None and folder.st_dev == device:
            return "works in a folder on it"
        if top is not None and top.st_dev == device:
            return "has its root on it"
        if asked:
            continue
        asked = folder is not None
        if any(about.st_dev == device for _, about in process.descriptors(thread)):
            return "has a file on it open"
        program = process.about(f"{thread}/exe")
        if program is not None and program.st_dev == device:
            return "is a program on it"
        if mapped in _maps(thread):
            return "has a file on it mapped"
    return ""


def _maps(thread: str) -> bytes:
    """The number of a mapped file's file system is the fourth field of each line."""
    try:
        return process.read(f"{thread}/maps")
    except OSError as error:
        if error.errno in process.GONE:
            return b""
        raise
