"""What is never to be used: what the machine lives on, what is pulled out, what cannot be written."""

from __future__ import annotations

import pytest

from tests.hw.bench import Slot, state
from tests.hw.disks import READ_ONLY, Shelf
from tests.hw.machine import Disk, Machine
from tidb_volume.value import Content, Presence, Source


def test_the_disk_that_the_machine_booted_from_is_refused(machine: Machine) -> None:
    found = Slot(machine, "/dev/disk/by-id/virtio-root", "volume-root").facts()
    assert (found.presence, "holds /" in found.message) == (Presence.REFUSED, True), found


def test_a_partition_that_is_mounted_on_boot_is_refused_and_so_is_its_whole(
    machine: Machine, shelf: Shelf
) -> None:
    disk = shelf.nvme()
    with machine.plugged(disk) as (name,):
        machine.run(f"echo '2048,,L' | sfdisk -q /dev/{name} && udevadm settle && mkfs.ext4 -q /dev/{name}p1")
        machine.run(f"mount /dev/{name}p1 /boot")
        try:
            for source in (disk.name, f"{disk.name}-part1"):
                found = Slot(machine, source, "volume-boot").facts()
                assert (found.presence, "/boot" in found.message) == (Presence.REFUSED, True), found
        finally:
            machine.run("umount /boot")


@pytest.mark.parametrize(("kind", "words"), [("stick", "removable"), ("disc", "optical")])
def test_a_medium_that_is_pulled_out_is_refused(
    machine: Machine, shelf: Shelf, kind: str, words: str
) -> None:
    disk: Disk = getattr(shelf, kind)()
    with machine.plugged(disk) as (name,):
        for source in (disk.name, f"/dev/{name}"):
            found = Slot(machine, source, "volume-stick").facts()
            assert (found.presence, words in found.message) == (Presence.REFUSED, True), found


def test_a_stick_that_the_admin_mounted_is_refused_as_a_path_too(machine: Machine, shelf: Shelf) -> None:
    disk = shelf.stick()
    with machine.plugged(disk) as (name,):
        machine.run(f"mkfs.ext4 -q /dev/{name} && mkdir -p /data/stick && mount /dev/{name} /data/stick")
        try:
            slot = Slot(machine, "", "volume-stick")
            slot.source = Source(path="/data/stick")
            found = slot.facts()
            assert (found.presence, "removable" in found.message) == (Presence.REFUSED, True), found
            assert machine.run("ls /data/stick").out.split() == ["lost+found"]
        finally:
            machine.run("umount /data/stick")


def test_swap_is_refused_while_it_is_used_and_is_data_afterwards(machine: Machine, shelf: Shelf) -> None:
    disk = shelf.scsi()
    with machine.plugged(disk) as (name,):
        slot = Slot(machine, disk.name, "volume-swap")
        order = slot.prepare()
        machine.run(f"mkswap -q /dev/{name} && swapon /dev/{name}")
        found = slot.facts()
        assert (found.presence, "swap" in found.message) == (Presence.REFUSED, True), found
        assert state(slot.obey(order)) == ("refused", "Refused")
        machine.run(f"swapoff /dev/{name}")
        assert slot.facts().content is Content.DATA


def test_a_disk_of_no_size_is_not_present(machine: Machine, shelf: Shelf) -> None:
    disk = shelf.virtio(size=0)
    with machine.plugged(disk):
        found = Slot(machine, disk.name, "volume-empty").facts()
        assert (found.presence, "no medium" in found.message) == (Presence.NOT_PRESENT, True), found


def test_a_disk_that_cannot_be_written_is_not_begun(machine: Machine, shelf: Shelf) -> None:
    disk = shelf.scsi(file=READ_ONLY)
    with machine.plugged(disk):
        slot = Slot(machine, disk.name, "volume-read-only")
        assert slot.facts().read_only
        assert state(slot.obey(slot.prepare())) == ("refused", "ReadOnly")
