"""Which disk is it: the facts that each kind of disk has for a real kernel and udev."""

from __future__ import annotations

from tests.hw.bench import Slot, done, reclaim, seen, state, survey
from tests.hw.disks import Shelf
from tests.hw.machine import SIZE_BYTES, Machine
from tidb_volume.identity import same_hardware
from tidb_volume.value import Presence


def test_an_nvme_disk_is_known_by_its_serial_and_model(machine: Machine, shelf: Shelf) -> None:
    with machine.plugged(shelf.nvme({"serial": "S4X0NX0R"})) as (name,):
        found = machine.identify(name).identity
        assert found is not None
        assert (found.serial, found.model, found.size_bytes) == ("S4X0NX0R", "QEMU NVMe Ctrl", SIZE_BYTES)
        assert "/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_S4X0NX0R" in seen(machine, name).links


def test_a_scsi_disk_is_known_by_its_wwn_and_serial(machine: Machine, shelf: Shelf) -> None:
    disk = shelf.scsi({"wwn": 0x5000C5000000A001, "serial": "SCSI-A", "product": "FAST"})
    with machine.plugged(disk) as (name,):
        found = machine.identify(name).identity
        assert found is not None
        assert (found.wwn, found.serial, found.model) == ("naa.5000c5000000a001", "SCSI-A", "FAST")
        assert "/dev/disk/by-id/wwn-0x5000c5000000a001" in seen(machine, name).links


def test_a_sata_disk_is_known_by_its_wwn_and_serial(machine: Machine, shelf: Shelf) -> None:
    sata = shelf.sata()
    found = next(each for each in survey(machine) if sata.name in each.links)
    assert found.identity is not None
    assert found.identity.wwn == f"naa.{sata.says['wwn']:016x}"
    assert found.identity.serial == sata.says["serial"]
    assert f"/dev/disk/by-id/ata-QEMU_SATA_{sata.says['serial']}" in found.links


def test_a_disk_of_a_cloud_is_known_by_the_serial_that_the_cloud_gave_it(
    machine: Machine, shelf: Shelf
) -> None:
    with machine.plugged(shelf.virtio({"serial": "vol-0123456789"})) as (name,):
        found = machine.identify(name).identity
        assert found is not None
        assert (found.serial, found.wwn) == ("vol-0123456789", "")
        assert "/dev/disk/by-id/virtio-vol-0123456789" in seen(machine, name).links


def test_a_disk_that_says_nothing_of_itself_is_refused(machine: Machine, shelf: Shelf) -> None:
    for disk in (shelf.virtio({"serial": None}), shelf.virtio({"serial": "0000000000"})):
        with machine.plugged(disk) as (name,):
            assert machine.identify(name).identity is None
            found = Slot(machine, f"/dev/{name}", "volume-nameless").facts()
            assert found.presence is Presence.REFUSED, found
            assert "serial" in found.message


def test_an_nvme_disk_whose_serial_is_zeroes_is_refused(machine: Machine, shelf: Shelf) -> None:
    """The kernel makes a WWN of it and the model, which all of them would share."""
    with machine.plugged(shelf.nvme({"serial": "00000000"})) as (name,):
        assert machine.run(f"cat /sys/block/{name}/wwid").out.startswith("nvme.")
        assert machine.identify(name).identity is None


def test_a_partition_is_a_disk_of_its_own_and_its_whole_is_none(machine: Machine, shelf: Shelf) -> None:
    disk = shelf.nvme()
    with machine.plugged(disk) as (name,):
        machine.run(f"echo '2048,,L' | sfdisk -q --wipe never /dev/{name} && udevadm settle")
        whole, part = machine.identify(name).identity, machine.identify(f"{name}p1").identity
        assert whole is not None
        assert part is not None
        assert part.partition == "1@2048"
        assert part.serial == whole.serial
        assert not same_hardware(whole, part)

        found = Slot(machine, disk.name, "volume-whole").facts()
        assert (found.presence, f"{name}p1" in found.message) == (Presence.OCCUPIED, True), found

        slot = Slot(machine, f"{disk.name}-part1", "volume-part")
        done(slot.obey(slot.prepare()))
        done(slot.obey(reclaim(slot.identity())))
        machine.run(f"umount {slot.place}; sfdisk -q --dump /dev/{name} | grep -q start")


def test_two_disks_with_the_same_facts_are_both_a_conflict(machine: Machine, shelf: Shelf) -> None:
    facts = {"wwn": 0x5000C5000000B001, "serial": "TWIN"}
    first, second = shelf.scsi(facts), shelf.scsi(facts)
    with machine.plugged(first) as (one,):
        slot = Slot(machine, first.name, "volume-twin", volume_mode="Block")
        order = slot.prepare()
        with machine.plugged(second) as (other,):
            found = slot.facts()
            assert found.presence is Presence.CONFLICT, found
            assert one in found.message
            assert other in found.message
            assert state(slot.obey(order)) == ("refused", "Conflict")
            assert first.is_zero()
            assert second.is_zero()
        assert slot.facts().presence is Presence.OK


def test_a_twin_does_not_take_an_established_disk_off_offer_and_stops_its_wipe(
    machine: Machine, shelf: Shelf
) -> None:
    facts = {"wwn": 0x5000C5000000B002, "serial": "TWIN-2"}
    first, second = shelf.scsi(facts), shelf.scsi(facts)
    with machine.plugged(first):
        slot = Slot(
            machine, f"/dev/{machine.run(f'readlink -f {first.name}').out.strip()[5:]}", "volume-twin-2"
        )
        done(slot.obey(slot.prepare()))
        with machine.plugged(second):
            assert slot.facts().presence is Presence.OK
            assert state(slot.obey(reclaim(slot.identity()))) == ("refused", "Conflict")
        done(slot.obey(reclaim(slot.identity(), id="order-2")))
        machine.run(f"umount {slot.place}")
