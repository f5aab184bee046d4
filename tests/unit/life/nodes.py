"""Surveys, volumes and others' PersistentVolumes for tables about what stands around a disk."""

from __future__ import annotations

from tidb_volume import names
from tidb_volume.upstream import (
    LocalSource,
    Node,
    NodeAffinity,
    NodeRequirement,
    NodeSelector,
    NodeTerm,
    Pv,
    PvSpec,
)
from tidb_volume.value import (
    DiskReport,
    Identity,
    Meta,
    NodeReport,
    Presence,
    SeenDisk,
    Source,
    Volume,
    VolumeSpec,
    VolumeStatus,
)

BOOT = "boot-1"


def identity(serial: str = "S1", partition: str = "", size: int = 100) -> Identity:
    return Identity(serial=serial, model="M", partition=partition, size_bytes=size)


AT = 1000
"""When the machine was surveyed, in milliseconds since the boot."""


def survey(*disks: SeenDisk, boot: str = BOOT) -> NodeReport:
    return NodeReport(boot=boot, at=AT, disks=disks)


SYSTEM = SeenDisk(name="sda1", device="8:1", mounts=("/",))
NVME = SeenDisk(
    name="nvme0n1",
    device="259:0",
    links=("/dev/disk/by-id/nvme-X", "/mnt/fast/one"),
    mounts=("/data/nvme0",),
    folders=("/mnt/disks/vol1",),
    identity=identity(),
)
WHOLE = SeenDisk(
    name="sdb",
    device="8:16",
    links=("/dev/disk/by-id/scsi-B",),
    covers=("8:17", "8:18"),
    identity=identity("B"),
)
PART = SeenDisk(
    name="sdb1", device="8:17", mounts=("/data/b1",), covers=("8:16",), identity=identity("B", "1@2048", 50)
)
OTHER_PART = SeenDisk(name="sdb2", device="8:18", mounts=("/data/b2",), covers=("8:16",))
SURVEY = survey(SYSTEM, NVME, WHOLE, PART, OTHER_PART)


def volume(
    source: str = "/data/nvme0",
    device: str = "259:0",
    *,
    name: str = "v",
    node: str = "n",
    boot: str = BOOT,
    seen: Identity | None = None,
    recorded: Identity | None = None,
    presence: Presence = Presence.OK,
    surveyed: int = AT,
) -> Volume:
    disk = DiskReport(
        presence=presence,
        boot=boot,
        device=device,
        identity=seen or recorded or identity(),
        survey=surveyed,
    )
    at = Source(device=source) if source.startswith("/dev/") else Source(path=source)
    return Volume(
        metadata=Meta(name=name),
        spec=VolumeSpec(node_name=node, pool="tikv", source=at),
        status=VolumeStatus(disk=disk, identity=recorded),
    )


def pv(path: str, *requirements: NodeRequirement, name: str = "theirs", **meta: dict[str, str]) -> Pv:
    terms = (NodeTerm(match_expressions=requirements),) if requirements else ()
    affinity = NodeAffinity(required=NodeSelector(node_selector_terms=terms)) if terms else None
    return Pv(
        metadata=Meta(name=name, **meta),
        spec=PvSpec(local=LocalSource(path=path), node_affinity=affinity),
    )


def on(hostname: str) -> NodeRequirement:
    return NodeRequirement(key=names.HOSTNAME, operator="In", values=(hostname,))


def node(hostname: str = "host-n", **labels: str) -> Node:
    return Node(metadata=Meta(name="n", labels={names.HOSTNAME: hostname, **labels}))
