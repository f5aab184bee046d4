"""Disks of each kind, on sparse files. A serial or a WWN is a disk's own; two that share one are given it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.hw.machine import SIZE_BYTES, Disk

Says = Mapping[str, Any]
NOTHING: Says = MappingProxyType({})
_numbers = count(1)


SATA_PORTS = 4
"""Of the six that the chip set's AHCI has: one for each case."""

READ_ONLY: dict[str, Any] = {"read-only": True}
"""Of the file behind a disk."""


class Shelf:
    """A folder of disks. Each gets an id, and facts of its own where none are said; None: it has none.

    image: the file behind it, instead of a new one. file: more about that file. built_in: the SATA disks;
    they are always in the machine, since its AHCI knows no plugging.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.built_in = tuple(map(self._sata, range(SATA_PORTS)))
        self._unused = iter(self.built_in)

    def _new(
        self,
        driver: str,
        says: dict[str, Any],
        size: int = SIZE_BYTES,
        image: Path | None = None,
        file: dict[str, Any] | None = None,
    ) -> Disk:
        name = f"{driver.partition('-')[0]}{next(_numbers)}"
        if image is None:
            image = self._folder / f"{name}.img"
            with image.open("xb") as made:
                made.truncate(size)
        facts = {"serial": f"SER-{name.upper()}"} | says
        return Disk(name, image, driver, {key: it for key, it in facts.items() if it is not None}, file or {})

    def nvme(self, says: Says = NOTHING, **more: Any) -> Disk:
        """PCI, hot-pluggable."""
        return self._new("nvme", dict(says), **more)

    def scsi(self, says: Says = NOTHING, **more: Any) -> Disk:
        """On a virtio SCSI bus."""
        return self._new("scsi-hd", {"wwn": _wwn(), "product": "QEMU DISK", **says}, **more)

    def _sata(self, port: int) -> Disk:
        return self._new("ide-hd", {"bus": f"ide.{port}", "wwn": _wwn(), "model": "QEMU SATA"})

    def sata(self) -> Disk:
        """One of those that are built in which no case has had."""
        return next(self._unused)

    def virtio(self, says: Says = NOTHING, **more: Any) -> Disk:
        """PCI, as most clouds' disks are."""
        return self._new("virtio-blk-pci", dict(says), **more)

    def stick(self) -> Disk:
        """A USB stick."""
        return self._new("usb-storage", {"removable": True})

    def disc(self) -> Disk:
        """A disc in a SCSI drive."""
        return self._new("scsi-cd", {}, file=READ_ONLY)

    def of(self, kind: str) -> Disk:
        """One by the name of its kind."""
        kinds: dict[str, Callable[[], Disk]] = {
            "nvme": self.nvme,
            "sata": self.sata,
            "scsi": self.scsi,
            "virtio": self.virtio,
        }
        return kinds[kind]()


def _wwn() -> int:
    """A registered one (NAA 5)."""
    return 0x5000C500_00000000 + next(_numbers)
