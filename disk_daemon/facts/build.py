"""How a block device is made and what is made of it, from sysfs and the kernel's tables; judged in `fit.py`.

Nothing here opens the device or touches its content but `with_content`, which is asked for once a look at the
content is wanted at all.
"""

from __future__ import annotations

import os
import string
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from disk_daemon.facts import hardware, system
from disk_daemon.known import Build
from disk_daemon.tools import Found

_OPTICAL_TYPE = "5"
"""SCSI's peripheral device type (SPC) of a CD or DVD drive."""
_OPTICAL = ("sr",)
_PSEUDO = ("fd", "ram", "zram", "nbd")

HEAD_BYTES = 64 << 10
"""Holds a partition table with the usual 128 entries, also on a disk of 4 KiB sectors."""
_MBR_FIRST, _MBR_ENTRY, _MBR_ENTRIES = 446, 16, 4
_GPT_MAGIC, _GPT_HEADER_BYTES, _GPT_SECTORS = b"EFI PART", 92, (512, 4096)
_GPT_ENTRY = 128
"""The least that an entry has."""

_BTRFS_AT, _BTRFS_BYTES = 64 << 10, 4096
"""btrfs' first superblock."""
_BTRFS_SEEDING = 1 << 32


def gather(
    device: str,
    also_vital: tuple[str, ...] = (),
    sys: Path = hardware.SYS,
    lives: Callable[[int, tuple[str, ...]], str] = system.lives,
    swaps: Callable[[int], str] = system.swap,
) -> Build:
    """What sysfs says of a device (major:minor), and what of the system lives on it or on what is made of it.

    lives, swaps: who is asked about a device number. OSError where sysfs has no such device.
    """
    own = hardware.folder(device, sys)
    above = [own, *_above(own)]
    numbers = [hardware.device_of(each) for each in above]
    whole = _whole(own)
    stacked = (whole / "dm").exists() or (whole / "md").exists()
    slaves = _names(own / "slaves")
    return msgspec.structs.replace(
        medium(device, sys),
        vital=next(filter(None, (lives(each, also_vital) for each in numbers)), ""),
        swap=next(filter(None, map(swaps, numbers)), ""),
        made_of=tuple(slaves) or (("other devices",) if stacked else ()),
        partitions=tuple(each.name for each in parts(own)),
        holders=tuple(
            dict.fromkeys(name for each in (own, *parts(own)) for name in _names(each / "holders"))
        ),
        above=tuple(hardware.number(each) for each in numbers[1:]),
        whole=whole.name if whole != own else "",
        whole_holders=tuple(_names(whole / "holders")) if whole != own else (),
    )


def medium(device: str, sys: Path = hardware.SYS) -> Build:
    """What kind of disk it is, and nothing of what it is used for. OSError where sysfs has no such device."""
    own = hardware.folder(device, sys)
    whole = _whole(own)
    return Build(
        name=own.name,
        size_bytes=hardware.size_of(own),
        pseudo=_driver(whole.name) in _PSEUDO,
        optical=_driver(whole.name) in _OPTICAL or _read(whole / "device" / "type") == _OPTICAL_TYPE,
        removable=_read(whole / "removable") not in ("", "0"),
    )


def _whole(own: Path) -> Path:
    return own.parent if (own / "partition").exists() else own


def parts(own: Path) -> list[Path]:
    """The partitions that the kernel knows of a device, by its folder in sysfs."""
    return sorted(each for each in own.iterdir() if (each / "partition").exists())


def _above(own: Path) -> Iterator[Path]:
    """Whatever is made of a device: its partitions, its holders, and what is made of those."""
    held = own / "holders"
    for each in (*parts(own), *(sorted(held.iterdir()) if held.is_dir() else ())):
        folder = each.resolve()
        yield folder
        yield from _above(folder)


def _driver(name: str) -> str:
    return name.rstrip("0123456789")


def _read(path: Path) -> str:
    try:
        # What Python takes for white space besides is a value that the kernel does not write: no "nothing".
        return path.read_text(errors="replace").strip(string.whitespace)
    except OSError:
        return ""


def _names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory)) if directory.is_dir() else []


# --- its content ------------------------------------------------------------------------------------------


def with_content(build: Build, found: Found, fd: int) -> Build:
    """The same with what libblkid found on the open device."""
    superblock = os.pread(fd, _BTRFS_BYTES, _BTRFS_AT) if found.fs_type == "btrfs" else b""
    head = os.pread(fd, HEAD_BYTES, 0) if found.table else b""
    return msgspec.structs.replace(
        build,
        signature=found.fs_type,
        usage=found.usage,
        ambivalent=found.ambivalent,
        several_devices=found.fs_type == "btrfs" and is_of_several(superblock),
        table=found.table,
        listed_partitions=bool(found.table) and lists_partitions(found.table, head),
    )


def with_content_of_whole(build: Build, found: Found) -> Build:
    """The same with what libblkid found on the disk that it is a partition of."""
    return msgspec.structs.replace(
        build,
        whole_signature=found.fs_type,
        whole_usage=found.usage,
        whole_ambivalent=found.ambivalent,
    )


def is_of_several(superblock: bytes) -> bool:
    """Whether a btrfs lies on other devices, too, or is the seed that other file systems lie on.

    superblock: btrfs_super_block of the on-disk format; one that cannot be read here is one of several.
    """
    if superblock[64:72] != b"_BHRfS_M" or len(superblock) < _BTRFS_BYTES:
        return True
    (flags,) = struct.unpack_from("<Q", superblock, 56)
    (devices,) = struct.unpack_from("<Q", superblock, 136)
    return devices != 1 or bool(flags & _BTRFS_SEEDING)


def lists_partitions(kind: str, head: bytes) -> bool:
    """Whether a partition table has a partition in it. kind: libblkid's PTTYPE; head: the disk's first bytes.

    A table that cannot be read here counts as one with partitions. Formats: MBR, UEFI 2.10 chapter 5.
    """
    if kind == "dos":
        entries = (head[_MBR_FIRST + _MBR_ENTRY * number :][:_MBR_ENTRY] for number in range(_MBR_ENTRIES))
        return any(entry[4:5] != b"\0" and entry[12:] != bytes(4) for entry in entries)
    if kind == "gpt":
        for sector in _GPT_SECTORS:
            header = head[sector : sector + _GPT_HEADER_BYTES]
            if header[:8] == _GPT_MAGIC:
                if len(header) < _GPT_HEADER_BYTES:
                    return True
                first, count, size = struct.unpack_from("<QII", header, 72)
                start, end = first * sector, first * sector + count * size
                if not count or not _GPT_ENTRY <= size <= 4096 or end > len(head):
                    return True
                table = head[start:end]
                return any(table[at : at + 16] != bytes(16) for at in range(0, len(table), size))
    return True
