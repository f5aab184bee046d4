"""Disks of each kind, on sparse files. A serial or a WWN is a disk's own; two that share one are given it."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from tests.hw.machine import SIZE_BYTES, Disk

_numbers = count(1)


class Shelf:
    """A folder of disks. Each gets an id, and facts of its own where none are said."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _new(self, driver: str, says: dict[str, Any], size: int, image: Path | None) -> Disk:
        number = next(_numbers)
        name = f"{driver.partition('-')[0]}{number}"
        if image is None:
            image = self._folder / f"{name}.img"
            with image.open("xb") as file:
                file.truncate(size)
        serial = {"serial": f"SER-{name.upper()}"} if "serial" not in says else {}
        return Disk(name, image, driver, serial | {key: it for key, it in says.items() if it is not None})

    def nvme(self, *, size: int = SIZE_BYTES, image: Path | None = None, **says: Any) -> Disk:
        """PCI, hot-pluggable."""
        return self._new("nvme", says, size, image)

    def scsi(self, *, size: int = SIZE_BYTES, image: Path | None = None, **says: Any) -> Disk:
        """On a virtio SCSI bus; with a WWN unless it is None."""
        wwn = {"wwn": 0x5000_0000_0000_0000 + next(_numbers), "product": "QEMU DISK"}
        return self._new("scsi-hd", wwn | says, size, image)

    def sata(self, port: int, *, size: int = SIZE_BYTES, image: Path | None = None, **says: Any) -> Disk:
        """On a port (0 to 5) of the chip set's AHCI, which is not hot-pluggable."""
        more = {"bus": f"ide.{port}", "wwn": 0x5000_0000_0000_0000 + next(_numbers), "model": "QEMU SATA"}
        return self._new("ide-hd", more | says, size, image)

    def virtio(self, *, size: int = SIZE_BYTES, image: Path | None = None, **says: Any) -> Disk:
        """PCI, as most clouds' disks are."""
        return self._new("virtio-blk-pci", says, size, image)

    def stick(self, *, size: int = SIZE_BYTES) -> Disk:
        """A USB stick."""
        return self._new("usb-storage", {"removable": True}, size, None)

    def disc(self, *, size: int = SIZE_BYTES) -> Disk:
        """A disc in a SCSI drive."""
        return self._new("scsi-cd", {}, size, None)
