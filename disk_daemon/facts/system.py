"""What is never to be used: the storage that the machine itself lives on.

Asked of the kernel by device number, for each folder that a node cannot do without, so that a kubelet whose
folder is a link to `/data/kubelet` is found as well. A folder that is not there asks for nothing.
"""

from __future__ import annotations

import os
import stat

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


def swap(device: int) -> str:
    """The swap device or file that lies on a device number; empty: none."""
    with open("/proc/swaps", encoding="utf-8") as file:
        lines = file.read().splitlines()[1:]
    for line in lines:
        path = line.split()[0].encode().decode("unicode_escape")
        try:
            about = os.stat(path)
        except OSError:
            continue
        if device == (about.st_rdev if stat.S_ISBLK(about.st_mode) else about.st_dev):
            return path
    return ""
