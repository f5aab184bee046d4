"""Mount tables: which file system is mounted where, and who has a part of a disk mounted.

The truth is in every mount namespace and not in the host's alone: a container may keep a mount that is gone
from the host's table. A namespace is known by its processes, so each process's is looked at, once each.
Judged is by device number and root, never by the path of the mount: a bind mount shows a folder anywhere.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator

from disk_daemon.known import Mount, User
from tidb_volume import names

_OCTAL = re.compile(r"\\([0-7]{3})")
_POD = re.compile(r"/pods/([0-9a-f-]{36})/")
_GONE = (errno.ENOENT, errno.ESRCH)
_NO_MOUNTS = errno.EINVAL
"""What mountinfo answers for a process that has given up its namespace and waits to be reaped."""


def parse(table: bytes) -> Iterator[Mount]:
    """The lines of a mountinfo. ValueError for what is none: half a table is no table."""
    for line in table.split(b"\n"):
        if not line:
            continue
        fields = os.fsdecode(line).split(" ")
        rest = fields.index("-", 6)
        yield Mount(
            id=int(fields[0]),
            device=fields[2],
            root=_plain(fields[3]),
            target=_plain(fields[4]),
            fs_type=fields[rest + 1],
            options=(*fields[5].split(","), *fields[rest + 3].split(",")),
            shared=any(field.startswith("shared:") for field in fields[6:rest]),
        )


def _plain(field: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field) if "\\" in field else field


def read(pid: int | str = "self") -> bytes:
    """The mountinfo of a process."""
    with open(f"/proc/{pid}/mountinfo", "rb") as file:
        return file.read()


def by_id(table: bytes, wanted: int) -> Mount | None:
    """The mount with that id."""
    return next((mount for mount in parse(table) if mount.id == wanted), None)


def concerning(table: bytes, path: str, device: str) -> list[bytes]:
    """The lines that a change in which may matter for a disk: at its path, or of its device."""
    target, number = f" {path} ".encode(), f" {device} ".encode()
    return [line for line in table.split(b"\n") if target in line or (device and number in line)]


def users(device: str, path: str) -> tuple[User, ...]:
    """Who has a part of the disk mounted, in any mount namespace.

    device: major:minor of the file system; path: where the admin has mounted it, which is no use of it.
    A mount of the whole file system elsewhere counts in the host's own namespace alone: copies of the
    host's table are in many a container. To be called in the host's mount namespace. Raises OSError where
    a table cannot be read.
    """
    found: list[User] = []
    own = os.readlink("/proc/self/ns/mnt")
    number = f" {device} ".encode()
    for pid, namespace in _namespaces():
        table = read() if namespace == own else _table_of(pid)
        # Decoding every line of every container would be most of the work, and most are of no interest.
        if number not in table:
            continue
        lines = b"\n".join(line for line in table.split(b"\n") if number in line)
        for mount in parse(lines):
            if mount.device != device or (mount.root == "/" and (namespace != own or mount.target == path)):
                continue
            holder = 0 if namespace == own else pid
            found.append(User(who=who(mount, holder), root=mount.root, pid=holder))
    return tuple(sorted(found, key=lambda user: user.pid))


def holders(device: str, place: str) -> tuple[User, ...]:
    """Every mount of a device in any mount namespace, but for the one at `place` in our own.

    A copy in a private namespace keeps the file system alive after it was unmounted here (O_EXCL: EBUSY).
    To be called in the host's mount namespace. Raises OSError where a table cannot be read.
    """
    found: list[User] = []
    own = os.readlink("/proc/self/ns/mnt")
    number = f" {device} ".encode()
    for pid, namespace in _namespaces():
        table = read() if namespace == own else _table_of(pid)
        for mount in parse(b"\n".join(line for line in table.split(b"\n") if number in line)):
            ours = namespace == own and mount.target == place and mount.root == "/"
            if mount.device == device and not ours:
                holder = 0 if namespace == own else pid
                found.append(User(who=who(mount, holder), root=mount.root, pid=holder))
    return tuple(sorted(found, key=lambda user: user.pid))


def namespaces() -> Iterator[tuple[int, bool]]:
    """A process of each mount namespace, and whether it is in our own."""
    own = os.readlink("/proc/self/ns/mnt")
    for pid, namespace in _namespaces():
        yield pid, namespace == own


def table_of(pid: int, *, own: bool) -> bytes:
    """The mountinfo of a process's namespace; empty where the process is gone."""
    return read() if own else _table_of(pid)


def _namespaces() -> Iterator[tuple[int, str]]:
    seen: set[str] = set()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            namespace = os.readlink(f"/proc/{name}/ns/mnt")
        except PermissionError:
            # A process with a right that we lack hides its namespaces, but not its table: it is read as one
            # of its own.
            namespace = f"of pid {name}"
        except OSError as error:
            if error.errno in _GONE:
                continue
            raise
        if namespace not in seen:
            seen.add(namespace)
            yield int(name), namespace


def _table_of(pid: int) -> bytes:
    try:
        return read(pid)
    except OSError as error:
        if error.errno in (*_GONE, _NO_MOUNTS):
            return b""
        raise


def who(mount: Mount, pid: int) -> str:
    """The user behind a mount, for people; pid: 0 in our own namespace, else a process of the mount's."""
    pod = _POD.search(mount.target)
    where = f"pod {pod[1]}" if pod else f"mount {mount.target}"
    if not pid:
        return where
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            comm = file.read().strip()
    except OSError:
        comm = "a process"
    return f"{comm} (pid {pid}), {where} in its own mount namespace"


def tenancy_of(root: str) -> str:
    """The tenancy that a mount's root lies in, if any."""
    parts = root.split("/")
    return parts[2] if len(parts) > 2 and parts[1] == names.FOLDER and names.is_tenancy(parts[2]) else ""
