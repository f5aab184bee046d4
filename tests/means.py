"""What keeps the work on its disk and is no judgement: how things are opened, held and locked.

Each is a disaster, where in the code it is prevented, and how that is taken away: `make guards` does so, as
with a guard, and each test that is marked with the name has to fail.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import nullcontext
from types import SimpleNamespace
from typing import NamedTuple

from disk_daemon import blockdev, kernel


class Means(NamedTuple):
    """One of them."""

    prevents: str
    how: str
    taken_away: str
    """What in the code is replaced for it."""
    by: object


def _open_path(path: str, flags: int = kernel.DIRECTORY) -> int:
    return os.open(path, flags & ~os.O_NOFOLLOW)


def _open_below(directory: int, name: str, flags: int = kernel.DIRECTORY) -> int:
    return os.open(name, flags & ~os.O_NOFOLLOW, dir_fd=directory)


_reopened = blockdev.reopened


def _reopened_by_many(fd: int, flags: int) -> int:
    return _reopened(fd, flags & ~os.O_EXCL if flags & os.O_RDWR else flags)


_NO_FLOCK = SimpleNamespace(LOCK_EX=fcntl.LOCK_EX, LOCK_NB=fcntl.LOCK_NB, flock=lambda *_: None)

MEANS = {
    "no_link_to_a_folder": Means(
        "working wherever a link in an entry's path leads by now",
        "openat2 with RESOLVE_NO_SYMLINKS: `kernel.open_path`",
        "disk_daemon.kernel.open_path",
        _open_path,
    ),
    "no_link_on_a_disk": Means(
        "deleting what a link that a tenant made leads to",
        "openat2 with RESOLVE_NO_SYMLINKS, one name below an open descriptor: `kernel.open_below`",
        "disk_daemon.kernel.open_below",
        _open_below,
    ),
    "no_mount_on_a_disk": Means(
        "deleting another disk's files with the tree in which somebody mounts that just now",
        "openat2 with RESOLVE_NO_XDEV: `kernel.open_below`",
        "disk_daemon.kernel._NO_XDEV",
        0,
    ),
    "a_folder_is_compared_first": Means(
        "writing, be it a lock, on another disk that is mounted at the path",
        "the hardware, by the open descriptor, before all else: `FolderCarrier._compare_hardware`",
        "disk_daemon.wipe.on_folder.FolderCarrier._compare_hardware",
        lambda _: None,
    ),
    "a_device_is_compared_first": Means(
        "mounting another volume's disk in this one's place, where the name leads to it by now",
        "the hardware, by the open descriptor, before all else: `DeviceCarrier._compare_hardware`",
        "disk_daemon.wipe.on_device.DeviceCarrier._compare_hardware",
        lambda _: None,
    ),
    "a_folder_is_locked": Means(
        "two daemons, or one that was frozen and its successor, at work in one folder",
        "flock of `.tidb-volume`, to the end: `FolderCarrier._locked`",
        "disk_daemon.wipe.on_folder.fcntl",
        _NO_FLOCK,
    ),
    "a_device_is_locked": Means(
        "two daemons, or one that was frozen and its successor, at work on one device",
        "flock of the whole disk, to the end, which mkfs inherits: `mounting.locked`",
        "disk_daemon.mounting.locked",
        nullcontext,
    ),
    "a_device_is_held": Means(
        "formatting or zeroing what somebody mounts in the middle of it",
        "O_EXCL from the unmount to mkfs, which takes it itself: `DeviceCarrier._take`",
        "disk_daemon.blockdev.reopened",
        _reopened_by_many,
    ),
}
