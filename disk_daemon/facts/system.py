"""What is never to be used: the storage that the machine itself lives on.

Asked of the kernel by device number, for each folder that a node cannot do without, so that a kubelet whose
folder is a link to `/data/kubelet` is found as well. A folder that is not there asks for nothing.

Files of a btrfs or an overlay have a number that is no device's. What such a folder lies on is found by its
mount: the device that was mounted, with all others of its btrfs, or what the layers lie on in turn.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from disk_daemon import kernel
from disk_daemon.facts import hardware, mounts
from disk_daemon.known import Mount
from disk_daemon.shown import escaped

VITAL = (
    "/",
    "/boot",
    "/boot/efi",
    "/etc",
    "/usr",
    "/var",
    "/var/lib",
    "/var/log",
    "/var/lib/kubelet",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/etcd",
    "/var/lib/rancher",
    "/var/lib/tidb-volume",
    "/run",
    "/run/containerd",
)
"""Read in the host's mount namespace."""

PROC = "/proc"
_NO_SWAP = b"Filename\n"


def serves(device: int, also: tuple[str, ...] = ()) -> str:
    """What of the system lives on a file system's device number, swap too, for people; empty: nothing known.

    also: more folders to ask about (where this daemon keeps its journal).
    """
    found = swap(device)
    return lives(device, also) or (f"swap {found}" if found else "")


def _mount_of(path: str) -> Mount | None:
    """The mount that a path lies on."""
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        return mounts.by_id(mounts.read(), kernel.mount_id(fd))
    finally:
        os.close(fd)


class Host(NamedTuple):
    """Who is asked about the paths of the machine."""

    stat: Callable[[str], os.stat_result] = os.stat
    mount_of: Callable[[str], Mount | None] = _mount_of
    btrfs: Path = hardware.SYS / "fs" / "btrfs"


_HOST = Host()
_LAYERS = ("lowerdir", "lowerdir+", "upperdir", "workdir", "datadir+")
"""Options of an overlay that name folders (Documentation/filesystems/overlayfs.rst)."""
_DEEPEST = 4
"""An overlay may lie on another, two deep; each may be on a btrfs."""


def lives(device: int, also: tuple[str, ...] = (), host: Host = _HOST) -> str:
    """The folder of the system's that lies on a device number; empty: none known."""
    for path in (*VITAL, *also):
        if device in _under(path, host, _DEEPEST):
            return path
    return ""


def _under(path: str, host: Host, deep: int) -> Iterator[int]:
    """The numbers of the devices that a path lies on: none where there is nothing by that name."""
    try:
        about = host.stat(path)
        yield about.st_dev
        if os.major(about.st_dev) or not deep:
            return
        mount = host.mount_of(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    if mount is None:
        return
    for each in made_of(mount):
        with suppress(FileNotFoundError, NotADirectoryError):
            kind = host.stat(each)
            if stat.S_ISBLK(kind.st_mode):
                yield kind.st_rdev
                yield from _fellows(kind.st_rdev, host.btrfs)
            elif not stat.S_ISDIR(kind.st_mode) or mount.fs_type == "overlay":
                # Of anything but an overlay a folder is a name that a server or a hypervisor knows it by.
                yield from _under(each, host, deep - 1)


def made_of(mount: Mount) -> tuple[str, ...]:
    """The paths of what a mount without a number of its own is made of: devices, an image, an overlay's
    layers."""
    if mount.fs_type == "overlay":
        named = (option.partition("=") for option in mount.options)
        paths = [each for name, _, value in named if name in _LAYERS for each in value.split(":")]
    else:
        paths = mount.source.split(":") if mount.fs_type == "bcachefs" else [mount.source]
    return tuple(mounts.plain(each) for each in paths if each.startswith("/"))


def _fellows(device: int, btrfs: Path) -> tuple[int, ...]:
    """All devices of the mounted btrfs that a device is one of."""
    for devices in btrfs.glob("*/devices"):
        numbers = tuple(_number(each) for each in devices.iterdir())
        if device in numbers:
            return numbers
    return ()


def _number(entry: Path) -> int:
    major, minor = (entry / "dev").read_text().split(":")
    return os.makedev(int(major), int(minor))


def swapped_to(table: bytes) -> tuple[str, ...]:
    """The paths in /proc/swaps. ValueError for what is no such table: it has a heading, if nothing else."""
    *lines, rest = table.split(b"\n")
    if rest or not lines or not lines[0].startswith(b"Filename"):
        raise ValueError("/proc/swaps is not whole")
    found = []
    for line in lines[1:]:
        path, _, _, _, _ = re.split(rb"[ \t]+", line)
        # Escaped as in a mountinfo, and all else as it is.
        found.append(mounts.plain(os.fsdecode(path)))
    return tuple(found)


def _swaps() -> bytes:
    """The table; of a kernel built without swap, one with nothing in it. OSError where there is no /proc."""
    try:
        with open(f"{PROC}/swaps", "rb") as file:
            return file.read()
    except FileNotFoundError:
        os.stat(f"{PROC}/self/mountinfo")
        return _NO_SWAP


def swap(device: int) -> str:
    """The swap device or file that lies on a device number; empty: none known.

    One whose path leads nowhere (deleted, or of another mount namespace) is passed over: the kernel itself
    lets nobody rename or unlink a file that is swapped to, and holds a device exclusively. ValueError: see
    `swapped_to`.
    """
    for path in swapped_to(_swaps()):
        try:
            about = os.stat(path)
        except OSError:
            continue
        if device == (about.st_rdev if stat.S_ISBLK(about.st_mode) else about.st_dev):
            return escaped(path)
    return ""
