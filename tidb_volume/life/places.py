"""Where on a node something lies, by the last survey of its daemon: which disk, by device number, never by
string alone.

A disk has many names: the kernel's, stable links, mount points, bind mounts of its folders, symlinks. A path
belongs to the disk whose name is the longest beginning of it, as in the kernel's own mount table.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator

from tidb_volume import names
from tidb_volume.identity import same_hardware
from tidb_volume.value import NodeReport, Presence, SeenDisk, Value, Volume

_OURS = (names.device_mount(""), names.block_node(""))
"""What we mount and make ourselves is no name that a person gave the disk."""


class Place(Value):
    """The disk that a volume's entry leads to."""

    devices: frozenset[str]
    """Every device number that holds some of its bytes: its own, its partitions', its whole's."""
    names: tuple[str, ...]
    """Every name of those."""


def place(volume: Volume, report: NodeReport | None) -> Place | None:
    """Where a volume's entry leads; None: the survey does not show it, or there is none."""
    if report is None:
        return None
    own = {disk.device for disk in report.disks if _is_of(disk, volume, report)}
    if not own:
        return None
    covered = {number for disk in report.disks if disk.device in own for number in disk.covers}
    devices = frozenset(own | covered)
    found = [name for disk in report.disks if disk.device in devices for name in names_of(disk)]
    return Place(devices=devices, names=tuple(dict.fromkeys(found)))


def _is_of(disk: SeenDisk, volume: Volume, report: NodeReport) -> bool:
    """By the device number that the daemon reported in this boot; else by the entry's own name."""
    seen, source = volume.status.disk, volume.spec.source
    if seen is not None and seen.device and seen.boot == report.boot:
        return disk.device == seen.device
    if source.path:
        return source.path in disk.mounts
    return source.device in (f"/dev/{disk.name}", *disk.links)


def names_of(disk: SeenDisk) -> Iterator[str]:
    """Every name of a disk and of the folders on it, but for those that we gave it."""
    yield f"/dev/{disk.name}"
    for name in (*disk.links, *disk.mounts, *disk.folders):
        if not name.startswith(_OURS):
            yield name


MOST_NAMES = 4
"""So many names of a disk are told to people."""


def told(disk: SeenDisk) -> str:
    """A disk's names, for people: the kernel's, then the stable ones."""
    ours, *others = names_of(disk)
    return f"{ours} ({', '.join(others[:MOST_NAMES])})" if others else ours


def in_place_of(volume: Volume, report: NodeReport | None) -> str:
    """Where the recorded disk is by now, and under which names the one goes that is in its place, for people;
    empty: it is not another one, or nobody knows."""
    status = volume.status
    seen, recorded = status.disk, status.identity
    if report is None or recorded is None or seen is None or seen.presence is not Presence.WRONG_DISK:
        return ""
    is_at = [each for each in report.disks if each.identity and same_hardware(recorded, each.identity)]
    there = next((each for each in report.disks if each.device == seen.device), None)
    said = "the recorded one is " + (told(is_at[0]) if is_at else f"no disk of {volume.spec.node_name}")
    return f"{said}; the one there is {told(there)}" if there is not None else said


def normal(path: str) -> str:
    """A path as the kernel would walk it, without looking: one slash, no dots, nothing behind."""
    return posixpath.normpath(f"///{path}")  # of two slashes at the beginning it would keep both


def ways_to(path: str) -> Iterator[str]:
    """The path itself and every folder above it: whatever it lies on has one of these as a name."""
    path = normal(path)
    while path != "/":
        yield path
        path = posixpath.dirname(path)
    yield path


def lying_on(path: str, report: NodeReport) -> frozenset[str]:
    """The device numbers that a path of the node leads to: one, or none where no disk is behind it. Of two
    disks mounted at one place it is both, since the survey does not tell which one covers the other."""
    for way in ways_to(path):
        found = frozenset(disk.device for disk in report.disks if way in names_of(disk))
        if found:
            return found
    return frozenset()


def is_surveyed(volume: Volume, report: NodeReport | None) -> bool:
    """Whether the survey knows the very disk that the daemon reported for a volume, and is no older than that
    volume: only then do its other names and its neighbours count as known."""
    seen = volume.status.disk
    if seen is None or report is None or report.boot != seen.boot or not 0 < seen.survey <= report.at:
        return False
    for disk in report.disks:
        if disk.device == seen.device:
            return (
                disk.identity is None or seen.identity is None or same_hardware(disk.identity, seen.identity)
            )
    return False


def forbidden(volume: Volume, at: Place | None, forbids: Callable[[str], str]) -> str:
    """The `never` glob that forbids a volume's disk under any of its names, for people; empty: none does.

    forbids: the first glob that a name matches, or nothing.
    """
    source = str(volume.spec.source)
    for name in (source, *(at.names if at is not None else ())):
        glob = forbids(name)
        if glob:
            return glob if name == source else f"{glob} (the disk is {name} too)"
    return ""
