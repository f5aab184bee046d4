"""Names, labels and annotations: every string that two parts must spell alike.

A TidbVolume's name is computed from its node and source, so that the same entry always means the same
object, on every restart and for every leader. It stays within 63 characters, because it is a label's value
on the PersistentVolume too.
"""

from __future__ import annotations

import hashlib
import re

from tidb_volume.value import Source

GROUP = "tidbvolume.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
FLEET = "fleet"

PROVISIONER = GROUP
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
"""kube-controller-manager marks a Released PV with policy Delete as Failed where this is missing."""
HOSTNAME = "kubernetes.io/hostname"

LABEL_INVENTORY = f"{GROUP}/inventory"
LABEL_NODE = f"{GROUP}/node"
LABEL_POOL = f"{GROUP}/pool"
LABEL_DISK = f"{GROUP}/disk"
LABEL_TENANCY = f"{GROUP}/tenancy"
LABEL_LAST_GOOD = f"{GROUP}/last-good"
ANNOTATION_LISTING = f"{GROUP}/listed-by"
"""On a TidbVolume: the digest of who lists it, and as what (`inventory.expand.left_by_label`)."""
ANNOTATION_LEFT = f"{GROUP}/left-by-label"
"""On a TidbVolume that no entry yields since a label changed: the digest of the item at that moment."""
LAST_GOOD = "tidb-volume-last-good-"
"""Prefix of the ConfigMaps in which the controller keeps each inventory's content in force."""
LEASE = "tidb-volume-controller"

FOLDER = ".tidb-volume"
"""Below a path disk's mount; nothing outside it is ever deleted by a reclaim."""
TRASH = "trash-"

LABEL_APP = "app.kubernetes.io/name"
DAEMON = "disk-daemon"
"""The value of that label on the pods of the disk-daemon's DaemonSet."""

_UNSAFE = re.compile(r"[^a-z0-9]+")
_LONGEST = 63


def _slug(text: str) -> str:
    return _UNSAFE.sub("-", text.lower()).strip("-")


def volume_name(node_name: str, source: Source) -> str:
    """The TidbVolume's name for one listed disk: readable, at most 63 characters, unique by a hash."""
    digest = hashlib.sha256(f"{node_name}\0{source}".encode()).hexdigest()[:6]
    room = _LONGEST - len(digest) - 1
    where = _slug(str(source).removeprefix("/dev/disk/by-id/"))
    node = _slug(node_name)[: max(12, room - len(where) - 1)].strip("-")
    readable = f"{node}-{where}"[:room].strip("-")
    return f"{readable}-{digest}"


def pv_name(volume: str, tenancy: str) -> str:
    """The PersistentVolume's name: never used twice, since a PV made again under an old name would
    silently serve a Lost claim an empty disk."""
    return f"{volume}-{tenancy}"


def tenancy_folder(mount: str, tenancy: str) -> str:
    """The folder that a path disk's PersistentVolume names."""
    return f"{mount.rstrip('/')}/{FOLDER}/{tenancy}"


def block_node(tenancy: str) -> str:
    """The device node that a Block PersistentVolume names; made by the daemon, gone after a reboot."""
    return f"/dev/tidb-volume/{tenancy}"


def device_mount(tenancy_disk: str) -> str:
    """Where the daemon mounts the file system that it made on a device disk."""
    return f"/var/lib/tidb-volume/mounts/{tenancy_disk}"


_TENANCY = re.compile(r"[a-z2-7]{12}")


def is_tenancy(text: str) -> bool:
    """Whether a folder's name is a tenancy's: twelve characters of base32, 60 bits of chance."""
    return _TENANCY.fullmatch(text) is not None
