"""Having an NVMe disk erase a namespace by itself (Format NVM), which reaches what no host can address.

Identify data says whether the disk can, and what else it would hit; what is asked of it is decided here, from
that data alone. The commands go through the kernel's ioctl on the namespace's own device, which the caller
holds, so a controller's name is never used (its number and a namespace's need not belong together).

A partition's device takes these commands too, and hands them on: what is erased then is the namespace, with
all other partitions. So a partition is asked nothing, and right before the command sysfs is (decision 0312).

Offsets and bits: NVM Express Base Specification 2.0, Identify Controller and Identify Namespace.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path

from disk_daemon.facts import hardware
from tidb_volume.value import Value

# linux/nvme_ioctl.h
_NVME_IOCTL_ID, _NVME_IOCTL_ADMIN_CMD = 0x4E40, 0xC0484E41
_COMMAND = "=BBHIIIQQIIIIIIIIII"
_IDENTIFY, _FORMAT = 0x06, 0x80
_CNS_NAMESPACE, _CNS_CONTROLLER, _CNS_ACTIVE, _CNS_ALLOCATED = 0, 1, 2, 0x10
_PAGE = 4096
_CMIC, _OACS, _FNA = 76, 256, 524
_CMIC_CONTROLLERS = 1 << 1
_OACS_FORMAT, _OACS_NAMESPACES = 1 << 1, 1 << 3
_FNA_FORMAT_ALL, _FNA_ERASE_ALL, _FNA_CRYPTO = 1 << 0, 1 << 1, 1 << 2
_FLBAS, _DPS = 26, 29
ERASE, CRYPTO = 1, 2
"""Secure Erase Settings: user data erase, cryptographic erase."""
PATIENCE_MS = 4 * 3600 * 1000
"""The kernel resets a controller whose command takes longer; a user data erase may write the whole disk."""


class Nvme(Value):
    """What an NVMe disk says of itself and of one namespace, as far as erasing it by its own command goes."""

    namespace: int
    namespaces: tuple[int, ...] = ()
    """The active ones of its controller."""
    subsystem: tuple[int, ...] | None = None
    """Those of the whole subsystem, whichever controller shows them and to whom; None: it does not say."""
    formats: bool = False
    formats_all: bool = False
    """The command would hit every namespace of the subsystem."""
    crypto: bool = False
    lba_format: int = 0
    metadata_at_end: bool = False
    protection: int = 0
    protection_first: bool = False
    partition: bool = False
    """What was opened is a partition of it: there is no more to know."""


def refused(nvme: Nvme | None) -> str:
    """Why a disk is not to be formatted by itself; empty: it may."""
    if nvme is None:
        return "it is no NVMe disk, or does not say what it can"
    if nvme.partition:
        return "it is a partition, and the disk erases all of the namespace that the partition is on"
    if not nvme.formats:
        return "the disk has no Format NVM command"
    if nvme.namespace not in nvme.namespaces:
        return f"namespace {nvme.namespace} is not among those of its controller"
    if not nvme.formats_all:
        return ""
    if nvme.subsystem is None:
        return (
            "the disk erases all of its namespaces at once, and does not tell those that its other"
            " controllers show, maybe to other machines"
        )
    others = sorted({*nvme.namespaces, *nvme.subsystem} - {nvme.namespace})
    if others:
        said = f"the disk erases all of its namespaces at once, also {', '.join(map(str, others))}"
        return f"{said}, which may be somebody else's"
    return ""


def erasure(nvme: Nvme) -> int:
    """By its key where the disk encrypts: that takes a moment and reaches every cell. Else by writing."""
    return CRYPTO if nvme.crypto else ERASE


def command(nvme: Nvme) -> bytes:
    """Format NVM for this namespace alone, in the format that it has."""
    low, high = nvme.lba_format & 0xF, nvme.lba_format >> 4
    word = low | nvme.metadata_at_end << 4 | nvme.protection << 5 | nvme.protection_first << 8
    word |= erasure(nvme) << 9 | high << 12
    return _packed(_FORMAT, nvme.namespace, words=(word,), patience_ms=PATIENCE_MS)


def told(namespace: int, controller: bytes, data: bytes, active: bytes, allocated: bytes | None) -> Nvme:
    """What identify data says. allocated: the subsystem's namespaces, None where it does not tell them.

    A subsystem of one controller has no others than that one's own. Raises ValueError for data that is not
    whole.
    """
    if any(len(page) != _PAGE for page in (controller, data, active, allocated) if page is not None):
        raise ValueError("identify data has 4096 bytes")
    (oacs,) = struct.unpack_from("<H", controller, _OACS)
    fna, flbas, dps = controller[_FNA], data[_FLBAS], data[_DPS]
    alone = not controller[_CMIC] & _CMIC_CONTROLLERS and not oacs & _OACS_NAMESPACES
    page = active if allocated is None and alone else allocated
    return Nvme(
        namespace=namespace,
        namespaces=_listed(active),
        subsystem=_listed(page) if page is not None else None,
        formats=bool(oacs & _OACS_FORMAT),
        formats_all=bool(fna & (_FNA_FORMAT_ALL | _FNA_ERASE_ALL)),
        crypto=bool(fna & _FNA_CRYPTO),
        lba_format=flbas & 0xF | (flbas >> 5 & 0x3) << 4,
        metadata_at_end=bool(flbas & 1 << 4),
        protection=dps & 0x7,
        protection_first=bool(dps & 1 << 3),
    )


def _listed(page: bytes) -> tuple[int, ...]:
    """A list of namespaces: it ends with the first zero, and nothing is behind it. A full page may not be all
    of them. ValueError for what is no such list."""
    listed = struct.unpack(f"<{_PAGE // 4}I", page)
    found = listed[: listed.index(0)] if 0 in listed else listed
    if any(listed[len(found) :]):
        raise ValueError("a list of namespaces goes on behind its end")
    return tuple(found)


# --- the ioctls -----------------------------------------------------------------------------------------


def look(fd: int, sys: Path = hardware.SYS) -> Nvme | None:
    """What the disk behind an open descriptor says of itself; None: it is none that can be asked."""
    try:
        if is_partition(fd, sys):
            return Nvme(namespace=0, partition=True)
        namespace = fcntl.ioctl(fd, _NVME_IOCTL_ID)
        controller = _identify(fd, 0, _CNS_CONTROLLER)
        data = _identify(fd, namespace, _CNS_NAMESPACE)
        active = _identify(fd, 0, _CNS_ACTIVE)
        return told(namespace, controller, data, active, _allocated(fd))
    except (OSError, ValueError):
        return None


def _allocated(fd: int) -> bytes | None:
    """The subsystem's namespaces; None where it does not tell, as one may that can't make and delete them."""
    with suppress(OSError):
        return _identify(fd, 0, _CNS_ALLOCATED)
    return None


def format_namespace(fd: int, nvme: Nvme, sys: Path = hardware.SYS) -> None:
    """Send the command and wait for its end. It can't be stopped. OSError where the disk refuses or fails.

    Whoever calls, it never goes to a partition, nor where sysfs does not tell what was opened.
    """
    if is_partition(fd, sys):
        raise OSError(errno.EPERM, "Format NVM is for a whole disk, and this is a partition of one")
    _send(fd, command(nvme), "Format NVM")


def _identify(fd: int, namespace: int, cns: int) -> bytes:
    page = ctypes.create_string_buffer(_PAGE)
    _send(fd, _packed(_IDENTIFY, namespace, (ctypes.addressof(page), _PAGE), (cns,)), "Identify")
    return page.raw


def _packed(
    opcode: int,
    namespace: int,
    data: tuple[int, int] = (0, 0),
    words: tuple[int, ...] = (),
    patience_ms: int = 0,
) -> bytes:
    """A struct nvme_admin_cmd. data: address and length. words: from cdw10 on."""
    padded = (*words, *(0,) * (6 - len(words)))
    return struct.pack(
        _COMMAND, opcode, 0, 0, namespace, 0, 0, 0, data[0], 0, data[1], *padded, patience_ms, 0
    )


def _send(fd: int, packed: bytes, what: str) -> None:
    status = fcntl.ioctl(fd, _NVME_IOCTL_ADMIN_CMD, bytearray(packed))
    if status:
        raise OSError(errno.EIO, f"{what} ended with status {status:#x} of the disk")


def is_partition(fd: int, sys: Path = hardware.SYS) -> bool:
    """Whether an open device is a partition, by its number. OSError where sysfs has no such device."""
    return "partition" in os.listdir(hardware.folder(hardware.number(os.fstat(fd).st_rdev), sys))


def is_nvme(name: str) -> bool:
    """By the kernel's name: asking another driver would do no harm, and may do anything."""
    return name.startswith("nvme")
