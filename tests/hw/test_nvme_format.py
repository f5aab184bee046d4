"""A disk that erases itself by its own command, and disks that must not or cannot."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.cluster.system import until
from tests.disks.bench import NEXT, OLD
from tests.hw.bench import Slot, done, reclaim, state
from tests.hw.disks import Shelf
from tests.hw.machine import Disk, Machine
from tidb_volume import names
from tidb_volume.value import Order

BLOCK: dict[str, Any] = {"volume_mode": "Block"}
SECRET = "a-secret-of-the-first-tenant"


def used(machine: Machine, disk: Disk) -> Slot:
    """A file system of ours on a disk that is plugged in, with a tenant's secret in many places."""
    slot = Slot(machine, disk.name, f"volume-{disk.id}")
    done(slot.obey(slot.prepare()))
    machine.run(f"yes {SECRET} | head -c 4M >{slot.place}/{names.FOLDER}/{OLD}/data; sync")
    assert disk.holds(SECRET.encode())
    return slot


def wiped(slot: Slot, order: Order) -> None:
    """The order is carried out, and the next tenancy is on offer; the disk may be unplugged then."""
    ended = slot.obey(order)
    done(ended)
    assert (ended.record.handed, ended.facts.tenancies, ended.facts.empty) == (NEXT, (NEXT,), True)
    slot.machine.run(f"umount {slot.place}")


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


@pytest.mark.parametrize(("method", "is_left"), [("format", True), ("nvme-format", False)])
def test_below_the_next_file_system_nothing_is_left_where_the_disk_has_erased_itself(
    machine: Machine, shelf: Shelf, method: str, is_left: bool
) -> None:
    """A format alone leaves what it does not write over, as far as the disk takes no discards."""
    disk = shelf.nvme().ignoring_discards()
    with machine.plugged(disk):
        slot = used(machine, disk)
        wiped(slot, reclaim(slot.identity(), method=method))
        assert disk.holds(SECRET.encode()) == is_left


def test_a_disk_whose_command_fails_keeps_its_data_until_it_is_asked_again(
    machine: Machine, shelf: Shelf
) -> None:
    disk = shelf.nvme().ignoring_discards()
    with machine.plugged(disk):
        slot = used(machine, disk)
        order = reclaim(slot.identity(), method="nvme-format")
        machine.run(f"umount {slot.place}")
    with machine.plugged(disk.unable_to_erase()):
        assert slot.mount().ok
        ended = slot.obey(order)
        assert state(ended) == ("failed", "EIO"), ended.work
        assert ended.work is not None
        assert "Format NVM ended with status" in ended.work.message
        assert disk.holds(SECRET.encode())
        assert slot.facts().tenancies == ()
    with machine.plugged(disk):
        wiped(slot, msgspec.structs.replace(order, attempt=1))
        assert not disk.holds(SECRET.encode())


def test_a_machine_that_is_cut_off_while_an_erased_disk_is_read_back_begins_anew(
    machine: Machine, shelf: Shelf
) -> None:
    """The slow disk takes its time for the first read after it has erased itself."""
    disk = shelf.nvme().ignoring_discards()
    machine.plug(disk.slow(10 << 20))
    slot = used(machine, disk)
    order = reclaim(slot.identity(), method="nvme-format")
    slot.begin(order)
    until("the disk to have erased itself", lambda: not disk.holds(SECRET.encode()), timeout=200)
    machine.off()

    machine.on()
    with machine.plugged(disk):
        seen = slot.observe()
        assert seen.record.order is not None
        assert (seen.record.order.begun, seen.record.handed, seen.facts.tenancies) == (True, OLD, ())
        wiped(slot, order)


@pytest.mark.parametrize("job", [{}, BLOCK], ids=["file system", "Block"])
def test_a_partition_is_not_erased_by_the_command_of_its_disk(
    machine: Machine, shelf: Shelf, job: dict[str, Any]
) -> None:
    """The kernel takes the command through the partition's device, and the other partition would go too:
    neither a first use nor a wipe sends it."""
    disk = shelf.nvme().ignoring_discards()
    with machine.plugged(disk) as (name,):
        machine.run(
            f"printf '2048,8192,L\\n,,L\\n' | sfdisk -q --wipe never /dev/{name} && udevadm settle"
            f" && printf {SECRET} | dd of=/dev/{name}p1 bs=1M seek=3 conv=fsync status=none && udevadm settle"
        )
        slot = Slot(machine, f"{disk.name}-part2", f"volume-{disk.id}", **job)
        ended = slot.obey(slot.prepare(method="nvme-format"))
        assert state(ended) == ("refused", "UnknownMethod"), ended.work
        assert ended.work is not None
        assert f"{name}p2 is a partition of it" in ended.work.message
        done(slot.obey(slot.prepare()))
        ended = slot.obey(reclaim(slot.identity(), method="nvme-format"))
        assert state(ended) == ("refused", "UnknownMethod"), ended.work
        assert disk.holds(SECRET.encode())
        done(slot.obey(reclaim(slot.identity())))
        assert disk.holds(SECRET.encode()), "the wipe is the partition's own"
        machine.run(f"umount {slot.place}", check=False)
