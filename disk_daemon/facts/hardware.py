"""What a block device is, from sysfs and the device itself: facts that survive a renaming.

Numbers, not names, lead from a file system to its disk: st_dev, /sys/dev/block. A serial of zeroes or of
"unknown" is none (harvester #6604: an all-zero WWN on many disks). All reads here are of sysfs, which does
not touch the disk; only a loop device is opened, since its backing file is known to an ioctl alone.

An identity is a dozen small files, and is read at every look: plain strings and calls of `os` take a third of
the time that `pathlib` does.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from disk_daemon import blockdev, kernel
from disk_daemon.shown import shown
from tidb_volume.identity import same_hardware
from tidb_volume.value import Identity

SYS = Path("/sys")
SECTOR = 512
"""sysfs counts sizes in these, whatever the device's own are (Documentation/ABI/stable/sysfs-block)."""
_PAGE = 4096
_PAGE_80_HEADER = 4
_NO_FACT = {"", "unknown", "none", "n/a", "default", "to be filled by o.e.m."}
_KINDS = ("naa.", "eui.", "uuid.", "0x")
"""What the kernel writes before the number in a WWN (drivers/scsi/scsi_lib.c, scsi_vpd_lun_id)."""
_NOTHING = "0-. :\ufffd"
"""What a serial of none is made of; the last is what a byte of no text is read as."""


class Virtual(Exception):  # noqa: N818 - says what it is
    """A disk without any fact of its own, and virtual disks are not accepted here."""


def number(device: int) -> str:
    """major:minor."""
    return f"{os.major(device)}:{os.minor(device)}"


def device_of(own: Path) -> int:
    """The number of a device, by its folder in sysfs. OSError where that does not say it."""
    said = _read(f"{own}/dev")
    found = re.fullmatch(rb"(\d{1,4}):(\d{1,7})\n", said)  # 12 and 20 bits
    if found is None:
        raise _not_understood(f"{own}/dev", said)
    return os.makedev(int(found[1]), int(found[2]))


def whole_of(device: str, sys: Path = SYS) -> str:
    """The number of the disk that a device (major:minor) is a partition of; empty: it is none. OSError where
    sysfs does not have one of them."""
    own = folder(device, sys)
    return number(device_of(own.parent)) if (own / "partition").exists() else ""


def size_of(own: str | Path) -> int:
    """A device's size in bytes, by its folder in sysfs. OSError where that does not say it."""
    said = _read(f"{own}/size")
    if re.fullmatch(rb"\d{1,18}\n", said) is None:
        raise _not_understood(f"{own}/size", said)
    return int(said) * SECTOR


def _not_understood(path: str, said: bytes) -> OSError:
    return OSError(errno.EIO, f"sysfs says {shown(said)!r}", path)


def folder(device: str, sys: Path = SYS) -> Path:
    """The device's folder in sysfs. OSError where there is none (major 0: not one block device)."""
    return Path(_folder(device, sys))


def _folder(device: str, sys: Path) -> str:
    """/sys/dev/block holds links to where the devices are; no folder on the way there is a link itself."""
    links = f"{sys}/dev/block"
    return os.path.normpath(os.path.join(links, os.readlink(f"{links}/{device}")))


def kernel_name(device: str, sys: Path = SYS) -> str:
    """What the kernel calls it today, for people."""
    return os.path.basename(_folder(device, sys))


def identity(device: str, *, virtual_disks: bool, sys: Path = SYS) -> Identity:
    """The facts of the hardware behind major:minor; without `fs_uuid`, which is the content's.

    Raises OSError where sysfs has no such block device, Virtual for a disk that nothing tells from others.
    """
    own = _folder(device, sys)
    is_partition = os.path.exists(f"{own}/partition")
    whole = os.path.dirname(own) if is_partition else own
    serial = _serial(whole)
    facts = Identity(
        eui=_eui(whole),
        wwn=_wwn(whole, serial) or _mapped(whole),
        serial=serial,
        model=_fact(f"{whole}/device/model"),
        size_bytes=size_of(own),
        partition=f"{_fact(f'{own}/partition')}@{_fact(f'{own}/start')}" if is_partition else "",
    )
    if facts.eui or facts.wwn or facts.serial:
        return facts
    name = os.path.basename(whole)
    if not virtual_disks:
        raise Virtual(f"{name} has no serial, WWN or EUI: virtual, refused without --virtual-disks")
    if not os.path.exists(f"{whole}/loop"):
        raise Virtual(f"{name} has no serial, WWN or EUI, and is no loop device")
    return Identity(size_bytes=facts.size_bytes, partition=facts.partition, virtual=backing(Path(whole)))


def alike(device: str, sys: Path = SYS) -> tuple[str, ...]:
    """The kernel's names of other disks of this machine that nothing tells from the disk of major:minor.

    They are one disk by two ways that nobody has put together (multipath), or two whose maker, hypervisor or
    owner gave them one serial: a name of udev's then leads to either. What has no hardware below it (loop,
    dm, md) is none. OSError where sysfs has no such block device.
    """
    own = _folder(device, sys)
    whole = os.path.dirname(own) if os.path.exists(f"{own}/partition") else own
    facts = _facts(whole, _serial(whole))
    found = []
    for name in sorted(os.listdir(f"{sys}/block")):
        other = f"{sys}/block/{name}"
        if name == os.path.basename(whole) or not os.path.exists(f"{other}/device"):
            continue
        serial = _serial(other)
        if facts.serial and serial and facts.serial != serial:
            continue  # most disks, and the cheapest to tell
        # A path of a disk that the kernel has put together by itself has no number.
        with suppress(FileNotFoundError):
            if os.path.exists(f"{other}/dev") and same_hardware(facts, _facts(other, serial)):
                found.append(name)
    return tuple(found)


def _facts(whole: str, serial: str) -> Identity:
    return Identity(
        eui=_eui(whole),
        wwn=_wwn(whole, serial),
        serial=serial,
        model=_fact(f"{whole}/device/model"),
        size_bytes=size_of(whole),
    )


def _serial(whole: str) -> str:
    return _fact(f"{whole}/serial") or _fact(f"{whole}/device/serial") or _page_80(whole)


def _read(path: str) -> bytes:
    """One attribute; sysfs gives it whole, in a page at most (Documentation/filesystems/sysfs.rst)."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _PAGE)
    finally:
        os.close(fd)


def _fact(path: str) -> str:
    try:
        return _told(_read(path))
    except OSError:
        return ""


def _told(raw: bytes) -> str:
    """What a vendor wrote, without padding and whatever else does not print; empty: it tells nothing."""
    printing = (char if char.isprintable() else " " for char in raw.decode(errors="replace"))
    text = " ".join("".join(printing).split())
    plain = text.lower()
    for kind in _KINDS:
        plain = plain.removeprefix(kind)
    return "" if plain in _NO_FACT or not plain.strip(_NOTHING) else text


def _wwn(whole: str, serial: str) -> str:
    """The WWN, unless the kernel or the disk made it of a serial that is none: a whole model has it then.

    Where an NVMe disk has neither NGUID nor EUI the kernel writes vendor, serial and model instead; a T10
    vendor id ends with the serial (SPC; libata makes one of model and serial).
    """
    text = _fact(f"{whole}/wwid") or _fact(f"{whole}/device/wwid")
    if text.startswith("nvme.") and not serial:
        return ""
    if text.startswith("t10.") and not text.split()[-1].strip(_NOTHING):
        return ""
    return text


def _eui(whole: str) -> str:
    return (_fact(f"{whole}/nguid") or _fact(f"{whole}/eui")).replace(" ", "")


def _mapped(whole: str) -> str:
    """Device-mapper and md have no hardware of their own, but a UUID that their metadata carries."""
    for kind in ("dm", "md"):
        if fact := _fact(f"{whole}/{kind}/uuid"):
            return f"{kind}.{fact}"
    return ""


def _page_80(whole: str) -> str:
    """A SCSI disk's unit serial number (SPC, VPD page 80h)."""
    try:
        return _told(_read(f"{whole}/device/vpd_pg80")[_PAGE_80_HEADER:])
    except OSError:
        return ""


def opened(name: str, device: int) -> int:
    """The node in /dev of the kernel's name, open for reading, if it is that of the device's number. OSError
    with ENOENT or ENODEV where there is none, or another device's."""
    fd = os.open(f"/dev/{name}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    about = os.fstat(fd)
    if stat.S_ISBLK(about.st_mode) and about.st_rdev == device:
        return fd
    os.close(fd)
    raise OSError(errno.ENODEV, f"/dev/{name} is another device than sysfs says")


def backing(whole: Path) -> str:
    """A loop device's backing file, as device:inode."""
    fd = opened(whole.name, device_of(whole))
    try:
        file = blockdev.loop_backing(fd)
    finally:
        os.close(fd)
    return f"{number(file.device)}:{file.inode}"


def filesystem_uuid(directory: int, device: str) -> str:
    """The UUID of the mounted file system behind an open directory: from the kernel, else from the disk."""
    uuid = kernel.filesystem_uuid(directory)
    if uuid:
        return uuid
    fd = opened(kernel_name(device), os.makedev(*map(int, device.split(":"))))
    try:
        return kernel.superblock_uuid(os.pread(fd, 4096, 0))
    finally:
        os.close(fd)
