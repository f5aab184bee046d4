"""Mount tables: which file system is mounted where, and who has a part of a disk mounted.

The truth is in every mount namespace and not in the host's alone: a container may keep a mount that is gone
from the host's table. A namespace is known by its processes, so each process's is asked for, and each table
read once. Judged is by device number and root, never by the path of the mount: a bind mount shows a folder
anywhere.

This is done twice in every wipe, on a node with hundreds of processes: so a namespace is one readlink for
each process, and of a table only those lines are decoded that bear the number of the device.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator

import msgspec

from disk_daemon.facts import process
from disk_daemon.known import Mount, User
from disk_daemon.shown import escaped

_OCTAL = re.compile(r"\\([0-7]{3})")
_POD = re.compile(r"/pods/([0-9a-f-]{36})/")
_SERVED = ("nfs", "cifs", "smb", "ceph", "fuse", "gluster", "lustre", "9p", "afs", "beegfs", "autofs")
_NO_MOUNTS = errno.EINVAL
"""What mountinfo answers for a process that has given up its namespace and waits to be reaped."""


class Table(msgspec.Struct, frozen=True):
    """The mounts of one namespace, as one of its processes sees them."""

    pid: int
    """That process; 0: the namespace is our own."""
    lines: bytes

    def of(self, device: str) -> Iterator[Mount]:
        """The mounts of a device. Decoding every line of every container would be most of the work."""
        number = f" {device} ".encode()
        if number not in self.lines:
            return
        for line in self.lines.split(b"\n"):
            if number in line:
                yield from (mount for mount in parse(line) if mount.device == device)


def parse(table: bytes) -> Iterator[Mount]:
    """The lines of a mountinfo. ValueError for what is none: half a table is no table."""
    for line in table.split(b"\n"):
        if not line:
            continue
        fields = os.fsdecode(line).split(" ")
        rest = fields.index("-", 6)
        fs_type, source, own, *_ = fields[rest + 1 :]
        yield Mount(
            id=int(fields[0]),
            parent=int(fields[1]),
            device=fields[2],
            root=plain(fields[3]),
            target=plain(fields[4]),
            fs_type=fs_type,
            source=plain(source),
            options=(*fields[5].split(","), *own.split(",")),
            shared=any(field.startswith("shared:") for field in fields[6:rest]),
        )


def shows_old_blocks(mount: Mount, name: str) -> bool:
    """Whether a file may have a block before it is overwritten there, so that after a crash it shows what was
    in it: ext4's data=writeback (ext4(5)). name: the kernel's, of the device. A file system that has this as
    its own default says so in /proc/fs/ext4 alone, as mountinfo leaves out what is the default."""
    if mount.fs_type not in ("ext3", "ext4"):
        return False
    try:
        said = process.read(f"/proc/fs/ext4/{name}/options").decode().split()
    except FileNotFoundError:  # a kernel without it
        said = []
    return "data=writeback" in (*mount.options, *said)


def plain(field: str) -> str:
    """A field of a mountinfo without its escapes."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field) if "\\" in field else field


def read(pid: int | str = "self") -> bytes:
    """The mountinfo of a process."""
    return process.read(f"/proc/{pid}/mountinfo")


def by_id(table: bytes, wanted: int) -> Mount | None:
    """The mount with that id."""
    at = (b"\n" + table).find(b"\n%d " % wanted)
    return next(parse(table[at:].partition(b"\n")[0])) if at >= 0 else None


def over(path: str, table: Iterable[Mount]) -> Mount | None:
    """The mount that a path lies on: the one with the longest target, of two at one target the later."""
    best: Mount | None = None
    for mount in table:
        covers = mount.target in (path, "/") or path.startswith(f"{mount.target}/")
        if covers and (best is None or len(mount.target) >= len(best.target)):
            best = mount
    return best


def is_served(mount: Mount) -> bool:
    """Whether no block device but a server has what is mounted, on another machine or a program here, which
    may not answer."""
    return mount.device.startswith("0:") and mount.fs_type.startswith(_SERVED)


def may_have_served(table: bytes) -> bool:
    """Whether it is worth decoding a whole table to look for such mounts."""
    return any(f" - {kind}".encode() in table for kind in _SERVED)


def concerning(table: bytes, path: str, device: str) -> list[bytes]:
    """The lines that a change in which may matter for a disk: at its path, or of its device."""
    target, number = f" {path} ".encode(), f" {device} ".encode()
    return [line for line in table.split(b"\n") if target in line or (device and number in line)]


def users(device: str, path: str, tables: Iterable[Table]) -> tuple[User, ...]:
    """Who has a part of the disk mounted, in any mount namespace.

    device: major:minor of the file system; path: where the admin has mounted it, which is no use of it;
    tables: of all namespaces, see `tables`. A mount of the whole file system elsewhere counts in the host's
    own namespace alone: copies of the host's table are in many a container. Raises OSError where a table
    cannot be read.
    """
    return _users(
        (table.pid, mount)
        for table in tables
        for mount in table.of(device)
        if mount.root != "/" or (not table.pid and mount.target != path)
    )


def holders(device: str, place: str, tables: Iterable[Table]) -> tuple[User, ...]:
    """Every mount of a device in any mount namespace, but for the one at `place` in our own.

    A copy in a private namespace keeps the file system alive after it was unmounted here (O_EXCL: EBUSY).
    tables: of all namespaces, see `tables`. Raises OSError where a table cannot be read.
    """
    return _users(
        (table.pid, mount)
        for table in tables
        for mount in table.of(device)
        if table.pid or mount.target != place or mount.root != "/"
    )


def _users(found: Iterator[tuple[int, Mount]]) -> tuple[User, ...]:
    """One for each mount, though several processes of its namespace may have shown it."""
    by_mount = {mount.id: (pid, mount) for pid, mount in found}
    return tuple(user(mount, pid) for pid, mount in sorted(by_mount.values(), key=lambda each: each[0]))


def tables() -> Iterator[Table]:
    """The table of each mount namespace, our own first. To be called in the host's. Raises OSError where one
    cannot be read.

    A process that is in a chroot sees a part of its namespace's table: it speaks for the others in the same
    chroot alone, unless one that sees all of it has spoken.
    """
    yield Table(0, read())
    whole = {os.readlink("/proc/self/ns/mnt")}
    parts: set[tuple[str, str]] = set()
    for pid in process.pids():
        namespace = _link(pid, "ns/mnt")
        if not namespace or namespace in whole:
            continue
        root = _link(pid, "root")
        if (namespace, root) in parts:
            continue
        lines = lines_of(pid)
        if not lines:
            continue
        yield Table(int(pid), lines)
        if root == "/":
            whole.add(namespace)
        else:
            parts.add((namespace, root))


def _link(pid: str, name: str) -> str:
    """Empty where the process is gone."""
    try:
        return os.readlink(f"/proc/{pid}/{name}")
    except PermissionError:
        # A process with a right that we lack hides its namespaces, but not its table: it is read as one
        # of its own.
        return f"of pid {pid}"
    except OSError as error:
        if error.errno in process.GONE:
            return ""
        raise


def lines_of(pid: str) -> bytes:
    """The mountinfo of a process; empty where it is gone."""
    try:
        return read(pid)
    except OSError as error:
        if error.errno in (*process.GONE, _NO_MOUNTS):
            return b""
        raise


def user(mount: Mount, pid: int) -> User:
    """Who is behind a mount; pid: 0 in our own namespace, else a process of the mount's."""
    pod = _POD.search(mount.target)
    where = f"pod {pod[1]}" if pod else f"mount {escaped(mount.target)}"
    who = f"{process.name(pid)}, {where} in its own mount namespace" if pid else where
    return User(who=who, root=escaped(mount.root), pid=pid)
