"""What is never to be used: the storage that the machine itself lives on.

Asked of the kernel by device number, for each folder that a node cannot do without, so that a kubelet whose
folder is a link to `/data/kubelet` is found as well. A folder that is not there asks for nothing.
"""

from __future__ import annotations

import os
import re
import stat

from disk_daemon.facts import mounts
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


def lives(device: int, also: tuple[str, ...] = ()) -> str:
    """The folder of the system's that lies on a device number; empty: none known."""
    for path in (*VITAL, *also):
        try:
            if os.stat(path).st_dev == device:
                return path
        except FileNotFoundError:
            continue
    return ""


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
