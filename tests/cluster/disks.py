"""Virtual disks: loop devices over sparse files, under numbers and names of our own.

Disks take loop numbers from 100 up, one after the other over all clusters of the machine; the low ones stay
for `losetup -f`, which the kubelet calls for Block volumes. So a node's /dev can hold its own disks and the
spare low ones, and no other node's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from pathlib import Path

from .system import ClusterError, run, until

FIRST_LOOP = 100
SPARE_LOOPS = FIRST_LOOP

_LOOP_MAJOR = 7
# linux/loop.h
_LOOP_CTL_ADD = 0x4C80
_LOOP_CTL_REMOVE = 0x4C81

# Name to character device number (Documentation/admin-guide/devices.txt): what programs expect in /dev.
_CHARACTER_DEVICES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "kmsg": (1, 11),
    "tty": (5, 0),
    "fuse": (10, 229),
    "loop-control": (10, 237),
}
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}


def attach(image: Path) -> int:
    """Makes a loop device over the file and returns its number."""
    number = FIRST_LOOP
    while True:
        device = Path(f"/sys/block/loop{number}")
        if (device / "loop" / "backing_file").exists():
            number += 1
            continue
        with contextlib.suppress(FileExistsError):
            _control(_LOOP_CTL_ADD, number)
        try:
            run(["losetup", f"/dev/loop{number}", image])
        except ClusterError:
            # Another cluster took the number, or took its device away, between the look and the call.
            if device.exists() and not (device / "loop" / "backing_file").exists():
                raise
        else:
            return number


def detach(number: int) -> None:
    """Takes the loop device away, which waits for whoever still holds it."""
    backing = Path(f"/sys/block/loop{number}/loop/backing_file")
    if backing.exists():
        run(["losetup", "--detach", f"/dev/loop{number}"])
        until(f"/dev/loop{number} to be let go", lambda: not backing.exists(), timeout=20)
    if number >= FIRST_LOOP:
        with contextlib.suppress(OSError):
            _control(_LOOP_CTL_REMOVE, number)


def attached_below(folder: Path) -> list[int]:
    """The loop devices whose file lies, or lay before it was deleted, below the folder."""
    found = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            if backing.read_text().startswith(f"{folder}/"):
                found.append(int(backing.parent.parent.name.removeprefix("loop")))
    return sorted(found)


def attached_to_devices(devices: Path) -> list[int]:
    """The loop devices whose file is a device node below the folder, as the kubelet makes for Block volumes.

    Their backing file has the name that its opener saw, in another mount namespace, so inodes are compared.
    """
    if not devices.exists():
        return []
    nodes = {(one.st_dev, one.st_ino) for one in (path.lstat() for path in devices.rglob("*"))}
    found = []
    listed = run(["losetup", "--list", "--noheadings", "--output=NAME,BACK-MAJ:MIN,BACK-INO"])
    for line in listed.splitlines():
        name, *about = line.split()
        if len(about) != 2:
            continue  # it lies on a file whose server is gone, and tells nothing
        device, inode = about
        major, minor = device.split(":")
        if (os.makedev(int(major), int(minor)), int(inode)) in nodes:
            found.append(int(name.removeprefix("/dev/loop")))
    return sorted(found)


def unheld(number: int) -> bool:
    """Whether no mount and no exclusive opener has the device, in any namespace."""
    try:
        os.close(os.open(f"/dev/loop{number}", os.O_RDONLY | os.O_EXCL))
    except OSError:
        return False
    return True


def sparse(image: Path, size_bytes: int) -> None:
    """Makes a file that takes room only where it is written to."""
    image.parent.mkdir(parents=True, exist_ok=True)
    with image.open("xb") as file:
        file.truncate(size_bytes)


def make_xfs(number: int) -> None:
    """Makes an XFS on the loop device."""
    run(["mkfs.xfs", "-q", "-f", "-K", f"/dev/loop{number}"])


def populate(devices: Path) -> None:
    """Fills a folder of the devtmpfs so that it can stand for a node's /dev."""
    devices.mkdir(parents=True, exist_ok=True)
    for name, (major, minor) in _CHARACTER_DEVICES.items():
        _node(devices / name, stat.S_IFCHR, major, minor)
    for number in range(SPARE_LOOPS):
        _node(devices / f"loop{number}", stat.S_IFBLK, _LOOP_MAJOR, number)
    for name, target in _LINKS.items():
        with contextlib.suppress(FileExistsError):
            (devices / name).symlink_to(target)
    (devices / "disk" / "by-id").mkdir(parents=True, exist_ok=True)


def plug(devices: Path, by_id: str, number: int) -> None:
    """Shows the loop device in a node's /dev, with its name below disk/by-id."""
    _node(devices / f"loop{number}", stat.S_IFBLK, _LOOP_MAJOR, number)
    link = devices / "disk" / "by-id" / by_id
    link.unlink(missing_ok=True)
    link.symlink_to(f"../../loop{number}")


def unplug(devices: Path, by_id: str, number: int) -> None:
    """Takes the loop device and its name out of a node's /dev."""
    (devices / "disk" / "by-id" / by_id).unlink(missing_ok=True)
    (devices / f"loop{number}").unlink(missing_ok=True)


def parse_size(text: str) -> int:
    """Bytes of a size such as "512M" or "2G"; a bare number is bytes."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
    digits, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    if not digits.isdigit() or (unit and unit not in units):
        raise ClusterError(f"{text}: not a size; write it as 512M or 2G")
    return int(digits) * units.get(unit, 1)


def _node(path: Path, kind: int, major: int, minor: int) -> None:
    if not path.exists():
        os.mknod(path, kind | 0o600, os.makedev(major, minor))
        path.chmod(0o666 if kind == stat.S_IFCHR and path.name != "kmsg" else 0o660)


def _control(request: int, number: int) -> None:
    handle = os.open("/dev/loop-control", os.O_RDWR)
    try:
        fcntl.ioctl(handle, request, number)
    finally:
        os.close(handle)
