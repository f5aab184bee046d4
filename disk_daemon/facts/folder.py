"""What is on a path disk: the mount, and what lies in it.

A folder is looked at through descriptors alone. It is a disk only if it is the root of a mount: below a
missing mount lies a folder of the system's disk that looks empty, and cleaning that would "succeed".
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice

import msgspec

from disk_daemon import fit, fit_disk, fit_mount, kernel
from disk_daemon.facts import build, everyone, hardware, mounts, system
from disk_daemon.fit_disk import Disk
from disk_daemon.fit_mount import Folder
from disk_daemon.known import (
    LOST_AND_FOUND,
    MANY,
    MOVED_UP,
    Facts,
    Mount,
    Trash,
    tenancy_as_trash,
    trash_of,
)
from disk_daemon.shown import escaped, shown
from tidb_volume import names
from tidb_volume.identity import has_unique_fact
from tidb_volume.value import Identity, Presence

_SHOWN = 5


class Rules(msgspec.Struct, frozen=True):
    """What this daemon was told about the machine."""

    virtual_disks: bool = False
    boot_id_file: str = "/proc/sys/kernel/random/boot_id"
    state: str = "/var/lib/tidb-volume"
    mounts: str = names.device_mount("")
    """Below it the file systems that we made are mounted; PersistentVolumes name it."""
    nodes: str = names.block_node("")
    """Below it are the device nodes of Block volumes; PersistentVolumes name it."""
    hidden: tuple[int, ...] = ()
    """Processes that may hide from us and use nothing: the supervisor of a sandbox that a test runs in. No
    command line sets it."""
    tools: int = -1
    """The mount namespace that our programs are in, as a descriptor; -1: this one."""
    kept: tuple[int, ...] = ()
    """Descriptors of locks that our programs inherit (alone.py)."""
    unwritable: str = ""
    """Why `state` cannot be written just now, for people; empty: as far as is known, it can."""

    def place(self, volume: str) -> str:
        """Where the file system of a device entry is mounted."""
        return f"{self.mounts.rstrip('/')}/{volume}"


class Absent(Exception):  # noqa: N818 - says what it is
    """No disk is there, or none that may be used. `presence` and the message say which."""

    def __init__(self, presence: Presence, message: str) -> None:
        super().__init__(message)
        self.presence = presence


@contextmanager
def opened(path: str) -> Iterator[int]:
    """A descriptor of the root of the mount at `path`. Raises Absent where there is none."""
    try:
        fd = kernel.open_path(path)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise Absent(Presence.NOT_PRESENT, f"{path} does not exist") from error
        at_its_end = error.errno == errno.ENOTDIR and os.path.islink(path)
        if error.errno == errno.ELOOP or at_its_end:
            raise Absent(Presence.NOT_MOUNTED, f"{path} is behind a symlink; name the real folder") from error
        if error.errno == errno.ENOTDIR:
            raise Absent(Presence.NOT_MOUNTED, f"{path} is no folder") from error
        raise
    try:
        yield fd
    finally:
        os.close(fd)


def mount_of(fd: int, path: str) -> Mount:
    """The mount whose root the descriptor is. Raises Absent where that is no file system's root at `path`."""
    mount = mounts.by_id(mounts.read(), kernel.mount_id(fd))
    seen = _judged(Folder(path=path, mount=mount))
    assert mount is not None
    _judged(msgspec.structs.replace(seen, is_mounts=hardware.number(os.fstat(fd).st_dev) == mount.device))
    return mount


def _judged(seen: Folder) -> Folder:
    """The same, if nothing that is known of it so far speaks against it. Raises Absent."""
    objection = fit_mount.RULES.unfit(seen)
    if objection is not None:
        raise Absent(objection.presence, objection.said)
    return seen


def look_at_disk(fd: int, path: str, rules: Rules) -> Facts:
    """Whether the opened folder is a disk that may be used, and which. Its content is not looked at.

    Raises Absent, OSError.
    """
    mount = mount_of(fd, path)
    vital = system.serves(os.fstat(fd).st_dev, (rules.state,))
    seen = _judged(Folder(path=path, mount=mount, vital=vital))
    below = msgspec.structs.replace(build.medium(mount.device), signature=mount.fs_type)
    objection = fit.unfit_below(below)
    if objection is not None:
        raise Absent(objection.presence, f"{path}: {objection.said}")
    old_blocks = mounts.shows_old_blocks(mount, hardware.kernel_name(mount.device))
    _judged(msgspec.structs.replace(seen, old_blocks=old_blocks))
    facts, virtual = Identity(), ""
    try:
        facts = hardware.identity(mount.device, virtual_disks=rules.virtual_disks)
    except hardware.Virtual as error:
        virtual = str(error)
    objection = fit_disk.RULES.unfit(Disk(name=path, virtual=virtual, unique=has_unique_fact(facts)))
    if objection is not None:
        raise Absent(objection.presence, objection.said)
    facts = msgspec.structs.replace(facts, fs_uuid=hardware.filesystem_uuid(fd, mount.device))
    room = os.fstatvfs(fd)
    return Facts(
        presence=Presence.OK,
        boot=boot_id(rules),
        device=mount.device,
        whole=hardware.whole_of(mount.device),
        name=hardware.kernel_name(mount.device),
        identity=facts,
        read_only="ro" in mount.options or bool(room.f_flag & os.ST_RDONLY),
        capacity_bytes=room.f_blocks * room.f_frsize,
        used_bytes=(room.f_blocks - room.f_bfree) * room.f_frsize,
    )


def look_inside(fd: int, path: str, rules: Rules) -> Facts:
    """The disk and what is on it, but not who uses it. Raises Absent, OSError."""
    facts = look_at_disk(fd, path, rules)
    strays, count = _strays(fd)
    return msgspec.structs.replace(facts, strays=strays, stray_count=count, **_ours(fd))


def look(fd: int, path: str, rules: Rules) -> Facts:
    """All that is to know of an opened path disk, content and users. Raises Absent, OSError.

    Users are the costly part: every process's mount namespace is looked at.
    """
    facts = look_inside(fd, path, rules)
    try:
        return msgspec.structs.replace(facts, users=mounts.users(facts.device, path, mounts.tables()))
    except (OSError, ValueError) as error:
        return msgspec.structs.replace(facts, users_unknown=why(error))


def look_at_everyone(fd: int, path: str, rules: Rules) -> Facts:
    """The same, and who else has anything of the file system, down to each process's open files.

    Costs some thirty times as much: for an order that takes all that is on the disk, and for no other.
    """
    facts = look_inside(fd, path, rules)
    try:
        tables = tuple(mounts.tables())
        users = mounts.users(facts.device, path, tables)
        found = everyone.users(os.fstat(fd).st_dev, tables, rules.nodes, rules.state)
    except (OSError, ValueError) as error:
        said = why(error)
        return msgspec.structs.replace(facts, users_unknown=said, everyone_unknown=said)
    return msgspec.structs.replace(facts, users=users, everyone=found, everyone_unknown="")


def why(error: Exception) -> str:
    """Why nobody can say who uses a disk."""
    return escaped(f"{type(error).__name__}: {error}")


def absent(error: Absent, rules: Rules) -> Facts:
    """The facts of a disk that is not there."""
    return Facts(presence=error.presence, message=str(error), boot=boot_id(rules))


def boot_id(rules: Rules) -> str:
    """Under which boot something was seen."""
    with open(rules.boot_id_file, encoding="ascii") as file:
        return file.read().strip()


def open_ours(fd: int) -> int | None:
    """A descriptor of `.tidb-volume` on the opened disk; None: there is none.

    OSError where it is a symlink, a mount or no folder.
    """
    try:
        return kernel.open_below(fd, names.FOLDER)
    except FileNotFoundError:
        return None


def entries(fd: int) -> Iterator[str]:
    """Names in an opened folder, without holding all of them in memory; bytes that are no UTF-8 are kept as
    surrogates, so that what is done with a name finds it again."""
    with os.scandir(fd) as found:
        for entry in found:
            yield entry.name


def is_empty(fd: int) -> bool:
    """Whether an opened folder holds nothing."""
    return next(entries(fd), None) is None


def _strays(fd: int) -> tuple[tuple[str, ...], int]:
    """The first few, and how many. A file that fsck put into lost+found is somebody's data too."""
    own = (names.FOLDER, LOST_AND_FOUND)
    found = list(islice((name for name in entries(fd) if name not in own), MANY))
    told, lost_ones = [shown(each) for each in found[:_SHOWN]], []
    with suppress(FileNotFoundError):
        lost = kernel.open_below(fd, LOST_AND_FOUND)
        try:
            lost_ones = list(islice(entries(lost), MANY - len(found)))
            told += [f"{LOST_AND_FOUND}/{shown(name)}" for name in lost_ones[:_SHOWN]]
        finally:
            os.close(lost)
    return tuple(told), len(found) + len(lost_ones)


def _ours(fd: int) -> dict[str, object]:
    folder = open_ours(fd)
    if folder is None:
        return {}
    try:
        tenancies: list[str] = []
        trash: list[Trash] = []
        others: list[str] = []
        empty = False
        for name in entries(folder):
            if order := trash_of(name):
                trash.append(_trash(folder, name, order))
            elif names.is_tenancy(name):
                tenancies.append(name)
                empty = _holds_nothing(folder, name)
            elif len(others) < _SHOWN:
                others.append(shown(name))
    finally:
        os.close(folder)
    return {
        "folder": True,
        "tenancies": tuple(sorted(tenancies)),
        "empty": empty and len(tenancies) == 1,
        "trash": tuple(sorted(trash, key=lambda each: each.name)),
        "others": tuple(sorted(others)),
    }


def _trash(folder: int, name: str, order: str) -> Trash:
    tenancy = tenancy_as_trash(name)
    if tenancy:
        return Trash(order=order, entries=(tenancy,), tenancy=tenancy)
    fd = kernel.open_below(folder, name)
    try:
        found = islice((each for each in entries(fd) if not MOVED_UP.fullmatch(each)), _SHOWN)
        return Trash(order=order, entries=tuple(map(shown, found)))
    finally:
        os.close(fd)


def _holds_nothing(folder: int, name: str) -> bool:
    fd = kernel.open_below(folder, name)
    try:
        return is_empty(fd)
    finally:
        os.close(fd)
