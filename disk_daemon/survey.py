"""Every disk of the machine, listed or not: what `discover` shows, and what tells the controller which device
numbers another's PersistentVolume covers.

All of it comes from sysfs, /dev and the host's mount table, none of which touches a disk.
"""

from __future__ import annotations

import os
from pathlib import Path

from disk_daemon import kernel
from disk_daemon.facts import folder, hardware, mounts
from disk_daemon.jobs import Surveyed
from tidb_volume.value import Identity, NodeReport, SeenDisk

_BY = ("by-id", "by-path")
_NEVER = ("ram", "zram", "fd", "sr", "nbd")


def survey(rules: folder.Rules) -> Surveyed:
    """What is to know of the machine's disks now. To be called in the host's mount namespace."""
    seen_at = kernel.boottime()
    links = _links()
    mounted: dict[str, list[str]] = {}
    for mount in mounts.parse(mounts.read()):
        if mount.root == "/":
            mounted.setdefault(mount.device, []).append(mount.target)
    disks: list[SeenDisk] = []
    for whole in sorted(Path("/sys/block").iterdir()):
        if whole.name.startswith(_NEVER) or _size(whole) == 0:
            continue
        parts = sorted(each for each in whole.iterdir() if (each / "partition").exists())
        devices = [(each.name, _number(each)) for each in (whole, *parts)]
        for name, device in devices:
            others = [number for _, number in devices if number != device]
            covers = others if device == devices[0][1] else [devices[0][1]]
            disks.append(
                SeenDisk(
                    name=name,
                    device=device,
                    links=tuple(sorted(links.get(name, ()))),
                    mounts=tuple(sorted(set(mounted.get(device, ())))),
                    identity=_identity(device, rules),
                    covers=tuple(covers),
                )
            )
    report = NodeReport(boot=folder.boot_id(rules), virtual_disks=rules.virtual_disks, disks=tuple(disks))
    return Surveyed(seen_at=seen_at, report=report)


def _size(device: Path) -> int:
    return int((device / "size").read_text())


def _number(device: Path) -> str:
    return (device / "dev").read_text().strip()


def _identity(device: str, rules: folder.Rules) -> Identity | None:
    try:
        return hardware.identity(device, virtual_disks=rules.virtual_disks)
    except (OSError, hardware.Virtual):
        return None


def _links() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for by in _BY:
        directory = Path("/dev/disk") / by
        if not directory.is_dir():
            continue
        for link in directory.iterdir():
            if link.is_symlink():
                found.setdefault(os.path.basename(os.readlink(link)), []).append(str(link))
    return found
