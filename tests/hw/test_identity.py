"""Which disk is it: the facts that each kind of disk has for a real kernel and udev."""

from __future__ import annotations

from tests.hw.bench import seen
from tests.hw.disks import Shelf
from tests.hw.machine import SIZE_BYTES, Machine


def test_an_nvme_disk_is_known_by_its_serial_and_model(machine: Machine, shelf: Shelf) -> None:
    disk = shelf.nvme(serial="S4X0NX0R")
    with machine.plugged(disk) as (name,):
        found = machine.identify(name).identity
        assert found is not None
        assert (found.serial, found.model, found.size_bytes) == ("S4X0NX0R", "QEMU NVMe Ctrl", SIZE_BYTES)
        links = seen(machine, name).links
    assert "/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_S4X0NX0R" in links


def test_a_scsi_disk_is_known_by_its_wwn_and_serial(machine: Machine, shelf: Shelf) -> None:
    disk = shelf.scsi(wwn=0x5000C5000000A001, serial="SCSI-A", product="FAST")
    with machine.plugged(disk) as (name,):
        found = machine.identify(name).identity
        assert found is not None
        assert (found.wwn, found.serial, found.model) == ("naa.5000c5000000a001", "SCSI-A", "FAST")
        links = seen(machine, name).links
    assert "/dev/disk/by-id/wwn-0x5000c5000000a001" in links


def test_a_disk_of_a_cloud_is_known_by_the_serial_that_the_cloud_gave_it(
    machine: Machine, shelf: Shelf
) -> None:
    disk = shelf.virtio(serial="vol-0123456789")
    with machine.plugged(disk) as (name,):
        found = machine.identify(name).identity
        assert found is not None
        assert (found.serial, found.wwn) == ("vol-0123456789", "")
        links = seen(machine, name).links
    assert "/dev/disk/by-id/virtio-vol-0123456789" in links
