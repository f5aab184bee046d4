"""Which paths and device names may be listed at all, by their text alone.

This is the first of three fences and the only one that a person meets while writing. The daemon looks again
at what a path or a name really is (mounts, links, holders); nothing here makes that look unnecessary.
"""

from __future__ import annotations

import re
import unicodedata

from tidb_volume.inventory import codes
from tidb_volume.inventory.codes import Code
from tidb_volume.names import FOLDER

LONGEST_PATH = 512

SYSTEM_FOLDERS = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt/cni",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/tmp",  # noqa: S108 - it is refused here
    "/usr",
    "/var/cache",
    "/var/lib/cni",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/crio",
    "/var/lib/docker",
    "/var/lib/dpkg",
    "/var/lib/etcd",
    "/var/lib/k0s",
    "/var/lib/kubelet",
    "/var/lib/rancher",
    "/var/lib/rpm",
    "/var/lib/systemd",
    "/var/lib/tidb-volume",
    "/var/log",
    "/var/run",
    "/var/snap",
    "/var/spool",
    "/var/tmp",  # noqa: S108 - it is refused here
)
"""Never a disk of ours: these, what is below them, and what they are below (`/`, `/var`, `/var/lib`)."""

SHARED_FOLDERS = ("/home", "/srv")
"""Never themselves; a disk may be mounted below them."""

_BY_ID = re.compile(r"/dev/disk/by-id/[^/]+")
_OTHER_DEVICE = re.compile(r"/dev/(?:[^/]+|disk/by-[a-z-]+/[^/]+)")
_GLOB = re.compile(r"[*?\[\]]")
_TWO = re.compile(r" /")
"""No folder's name ends in a space; where a comma was forgotten YAML makes one string of two lines too."""

Trouble = tuple[Code, dict[str, str]]
"""A code and its fields, but for who lists it and the disk."""


def path_trouble(path: str) -> Trouble | None:
    """Why this cannot be a path on which a disk is mounted; None where it can."""
    if not path.startswith("/"):
        return codes.RELATIVE, {}
    if _GLOB.search(path):
        return codes.GLOBBED, {}
    if _TWO.search(path):
        return codes.TWO_IN_ONE, {}
    problem = _not_plain(path)
    if problem:
        return codes.NOT_PLAIN, {"problem": problem}
    if path == "/":
        return codes.SYSTEM_FOLDER, {"relation": "is the system's own root"}
    for system in SYSTEM_FOLDERS:
        if path == system:
            return codes.SYSTEM_FOLDER, {"relation": "is a system folder"}
        if path.startswith(system + "/"):
            return codes.SYSTEM_FOLDER, {"relation": f"is below the system folder {system}"}
        if system.startswith(path + "/"):
            return codes.SYSTEM_FOLDER, {"relation": f"holds the system folder {system}"}
    if path in SHARED_FOLDERS:
        return codes.SYSTEM_FOLDER, {"relation": "is shared by many programs"}
    if FOLDER in path.split("/"):
        return codes.SYSTEM_FOLDER, {"relation": f"is inside our own {FOLDER}"}
    return None


def device_trouble(device: str, serial: str) -> Trouble | None:
    """Why this cannot name a disk for good; None where it can. A serial makes an unstable name acceptable."""
    if not device.startswith("/"):
        return codes.NOT_A_DEVICE, {}
    if _GLOB.search(device):
        return codes.GLOBBED, {}
    if _TWO.search(device):
        return codes.TWO_IN_ONE, {}
    problem = _not_plain(device)
    if problem:
        return codes.NOT_PLAIN, {"problem": problem}
    if _BY_ID.fullmatch(device):
        return None
    if not _OTHER_DEVICE.fullmatch(device):
        return codes.NOT_A_DEVICE, {}
    return None if serial else (codes.UNSTABLE, {})


def odd_character(text: str) -> str:
    """A control, format or separator character in `text`, named; empty: it has none."""
    for char in text:
        if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
            return f"the character U+{ord(char):04X}"
    return ""


def _not_plain(path: str) -> str:
    odd = odd_character(path)
    if odd:
        return odd
    if len(path.encode()) > LONGEST_PATH:
        return f"more than {LONGEST_PATH} bytes"
    if path == "/":
        return ""
    parts = path.split("/")[1:]
    if ".." in parts or "." in parts:
        return "a . or .. part"
    if parts[-1] == "":
        return "a slash at its end"
    return "an empty part (//)" if "" in parts else ""
