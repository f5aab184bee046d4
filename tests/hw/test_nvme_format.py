"""A disk that erases itself by its own command, and disks that must not."""

from __future__ import annotations

from typing import Any

from tests.hw.bench import Slot, reclaim, state
from tests.hw.disks import Shelf
from tests.hw.machine import Machine

BLOCK: dict[str, Any] = {"volume_mode": "Block"}
SECRET = "a-secret-of-the-first-tenant"


def test_an_nvme_disk_erases_itself_and_is_zero_for_the_next_owner(machine: Machine, shelf: Shelf) -> None:
    disk = shelf.nvme({"serial": "ERASES"})
    with machine.plugged(disk) as (name,):
        slot = Slot(machine, "/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_ERASES", "volume-erases", **BLOCK)
        assert state(slot.obey(slot.prepare())) == ("done", "")
        machine.run(
            f"printf {SECRET} | dd of=/dev/{name} bs=1M seek=100 conv=fsync status=none; udevadm settle"
        )
        assert disk.holds(SECRET.encode())
        ended = slot.obey(reclaim(slot.identity(), method="nvme-format"))
        assert state(ended) == ("done", "")
        assert disk.is_zero()


def test_a_disk_that_is_no_nvme_is_not_asked_to_erase_itself(machine: Machine, shelf: Shelf) -> None:
    disk = shelf.scsi({"serial": "CANNOT", "wwn": 0x5000C5000000B001})
    with machine.plugged(disk) as (name,):
        slot = Slot(machine, "/dev/disk/by-id/wwn-0x5000c5000000b001", "volume-cannot", **BLOCK)
        assert state(slot.obey(slot.prepare())) == ("done", "")
        machine.run(
            f"printf {SECRET} | dd of=/dev/{name} bs=1M seek=100 conv=fsync status=none; udevadm settle"
        )
        ended = slot.obey(reclaim(slot.identity(), method="nvme-format"))
        assert state(ended) == ("refused", "UnknownMethod")
        assert ended.work is not None
        assert "overwrite:N" in ended.work.message
        assert disk.holds(SECRET.encode())
