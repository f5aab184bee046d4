"""Every disk of the machine, listed or not: what `discover` shows, and what tells the controller which device
numbers another's PersistentVolume covers, and by which other names a disk goes.

All of it comes from sysfs, /dev, the host's mount table and a few folders' lists of names, none of which
touches a disk. What comes and goes with every pod (the kubelet's own mounts) is left out: it would be written
to the API server each time, and is no name that anybody lists.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from disk_daemon import kernel
from disk_daemon.facts import folder, hardware, mounts
from disk_daemon.jobs import Surveyed
from disk_daemon.known import Mount
from disk_daemon.shown import carried
from tidb_volume.obs.log import Log
from tidb_volume.value import Identity, NodeReport, SeenDisk

_log = Log(__name__)

_BY = ("by-id", "by-path")
_NEVER = ("ram", "zram", "fd", "sr", "nbd")
_OF_POD = re.compile(r"/pods/[0-9a-f-]{36}/")
LINKS_BELOW = (("/", 1), ("/mnt", 3), ("/media", 2), ("/srv", 2))
"""Where other provisioners keep symlinks to disks (/mnt/disks, /mnt/local-storage/CLASS), and how deep."""
_ENTRIES = 1024
_HOPS = 8


def survey(rules: folder.Rules) -> Surveyed:
    """What is to know of the machine's disks now. To be called in the host's mount namespace."""
    seen_at = kernel.boottime()
    links = _links()
    table = [mount for mount in mounts.parse(mounts.read()) if not _OF_POD.search(f"{mount.target}/")]
    mounted, shown = by_device(table)
    names, folders = _leading(table)
    for name, found in names.items():
        links.setdefault(name, []).extend(found)
    for device, found in folders.items():
        shown.setdefault(device, []).extend(found)
    disks: list[SeenDisk] = []
    for whole in sorted((hardware.SYS / "block").iterdir()):
        try:
            if whole.name.startswith(_NEVER) or _size(whole) == 0:
                continue
            disks += [_seen(each, links, mounted, shown, rules) for each in (whole, *_parts(whole))]
        except FileNotFoundError:
            pass  # pulled out while it was looked at
        except (OSError, ValueError) as error:
            _log.warning("a disk cannot be described, and is left out", disk=whole.name, error=str(error))
    report = NodeReport(
        boot=folder.boot_id(rules),
        at=int(seen_at * 1000),
        virtual_disks=rules.virtual_disks,
        disks=tuple(disks),
    )
    return Surveyed(seen_at=seen_at, report=report)


def _seen(
    each: Path,
    links: Mapping[str, Sequence[str]],
    mounted: Mapping[str, Sequence[str]],
    shown: Mapping[str, Sequence[str]],
    rules: folder.Rules,
) -> SeenDisk:
    """A disk or a partition, by its folder in sysfs. OSError, ValueError where that can't be read."""
    device = _number(each)
    return SeenDisk(
        name=each.name,
        device=device,
        links=tuple(sorted(map(carried, links.get(each.name, ())))),
        mounts=tuple(sorted(map(carried, set(mounted.get(device, ()))))),
        identity=_identity(device, rules),
        covers=related(each),
        folders=tuple(sorted(map(carried, set(shown.get(device, ()))))),
    )


def by_device(table: Sequence[Mount]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Where each device is mounted whole, and where a folder of it is; by device number.

    What shows folders of the system's own file system (nobody can list that disk) is left out.
    """
    system = mounts.over("/", table)
    whole: dict[str, list[str]] = {}
    part: dict[str, list[str]] = {}
    for mount in table:
        if mount.root == "/":
            whole.setdefault(mount.device, []).append(mount.target)
        elif system is None or mount.device != system.device:
            part.setdefault(mount.device, []).append(mount.target)
    return whole, part


def related(device: Path) -> tuple[str, ...]:
    """The device numbers that hold some of the same bytes as a device, given by its folder in sysfs.

    Up are partitions and what is put together of it (holders), down are the whole of a partition and what it
    is put together of (slaves); a sibling is neither.
    """
    found: dict[str, None] = {}
    for step in (_up, _down):
        ways = [device.resolve()]
        while ways:
            for each in step(ways.pop()):
                number = _number(each)
                if number not in found:
                    found[number] = None
                    ways.append(each.resolve())
    found.pop(_number(device), None)
    return tuple(found)


def _up(device: Path) -> list[Path]:
    return [*_parts(device), *_below(device / "holders")]


def _down(device: Path) -> list[Path]:
    return [*([device.parent] if (device / "partition").exists() else ()), *_below(device / "slaves")]


def _parts(device: Path) -> list[Path]:
    return sorted(each for each in device.iterdir() if (each / "partition").exists())


def _below(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []


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
        for link, target in _symlinks(f"/dev/disk/{by}", 1):
            found.setdefault(os.path.basename(target), []).append(link)
    return found


# --- symlinks that lead to a disk ------------------------------------------------------------------------


def _leading(table: Sequence[Mount]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Symlinks that lead to a device, by its kernel name, and those that lead into a file system other than
    the system's, by its device number.

    Where a link leads is told by the mount table: to ask the file system there could hang.
    """
    system = mounts.over("/", table)
    of_disks = [each for each in table if system is None or each.device != system.device]
    below = dict(LINKS_BELOW)
    for mount in of_disks:
        if not mount.device.startswith("0:"):
            below.setdefault(os.path.dirname(mount.target), 1)
    links: dict[str, str] = {}
    for root, depth in below.items():
        over = mounts.over(root, table)
        if over is not None and not mounts.is_served(over):
            links.update(_symlinks(root, depth))
    names: dict[str, list[str]] = {}
    folders: dict[str, list[str]] = {}
    for link in links:
        end = followed(link, links)
        if end.startswith("/dev/"):
            name = _block_device(end)
            if name:
                names.setdefault(name, []).append(link)
            continue
        over = mounts.over(end, table)
        if over is not None and over in of_disks and not over.device.startswith("0:"):
            folders.setdefault(over.device, []).append(link)
    return names, folders


def followed(path: str, links: Mapping[str, str]) -> str:
    """Where a path leads, by these symlinks alone, each the absolute path of one with what it says."""
    for _ in range(_HOPS):
        link = next((each for each in (path, *_parents(path)) if each in links), "")
        if not link:
            break
        target = os.path.normpath(os.path.join(os.path.dirname(link), links[link]))
        path = target + path.removeprefix(link)
    return path


def _parents(path: str) -> Iterable[str]:
    while path not in ("/", ""):
        path = os.path.dirname(path)
        yield path


def _block_device(path: str) -> str:
    """The kernel's name of the block device that a path below /dev leads to; empty: none."""
    with suppress(OSError):
        about = os.stat(path)
        if stat.S_ISBLK(about.st_mode):
            return hardware.kernel_name(hardware.number(about.st_rdev))
    return ""


def _symlinks(root: str, depth: int) -> Iterator[tuple[str, str]]:
    """Symlinks in a folder and, up to `depth` folders down, below it, never onto another file system."""
    with suppress(OSError):
        device = os.stat(root, follow_symlinks=False).st_dev
        with os.scandir(root) as found:
            entries = sorted(islice(found, _ENTRIES), key=lambda entry: entry.name)
        for entry in entries:
            with suppress(OSError):
                if entry.is_symlink():
                    yield entry.path, os.readlink(entry.path)
                elif depth > 1 and entry.stat(follow_symlinks=False).st_dev == device:
                    yield from _symlinks(entry.path, depth - 1)
