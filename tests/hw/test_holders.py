"""What LVM, RAID, encryption and multipath make of a disk: refused by the holder's name, as long as any of it
is there to see. Made by the real tools, under the real kernel."""

from __future__ import annotations

from tests.hw.bench import Slot, state
from tests.hw.disks import Shelf
from tests.hw.machine import Disk, Machine
from tidb_volume.value import Order, Presence

WWN = 0x5000C5000000C001
MULTIPATH = f"""
defaults {{
  find_multipaths no
}}
blacklist {{
  wwid ".*"
}}
blacklist_exceptions {{
  wwid "3{WWN:016x}"
}}
"""
"""Of all disks that one alone."""


def is_held(slot: Slot, order: Order, holder: str) -> bool:
    """Said by the holder's name, and an order for it is refused."""
    found = slot.facts()
    said = found.presence is Presence.OCCUPIED and holder in found.message
    return said and state(slot.obey(order)) == ("refused", "Occupied")


def occupied(slot: Slot, signature: str) -> None:
    found = slot.facts()
    assert (found.presence, signature in found.message) == (Presence.OCCUPIED, True), found


def is_refused(machine: Machine, device: str) -> bool:
    found = Slot(machine, device, "volume-of-holder").facts()
    return found.presence is Presence.REFUSED and "put together" in found.message


def dm(machine: Machine, name: str) -> str:
    """The kernel's name of a device-mapper device."""
    return machine.run(f"basename $(readlink -f /dev/mapper/{name})").out.strip()


def test_a_physical_volume_of_lvm_is_refused(machine: Machine, shelf: Shelf) -> None:
    disk = shelf.nvme()
    with machine.plugged(disk) as (name,):
        slot = Slot(machine, disk.name, "volume-lvm")
        order = slot.prepare()
        machine.run(f"vgcreate -qq vg /dev/{name} && lvcreate -qq -y -L 16M -n lv vg && udevadm settle")
        try:
            holder = dm(machine, "vg-lv")
            assert is_held(slot, order, holder)
            assert is_refused(machine, "/dev/vg/lv")
            machine.run("vgchange -qq -an vg && udevadm settle")
            occupied(slot, "LVM2_member")
        finally:
            machine.run("vgremove -qq -y -f vg && udevadm settle")
        occupied(slot, "LVM2_member")


def test_a_member_of_a_raid_is_refused(machine: Machine, shelf: Shelf) -> None:
    one, two = shelf.scsi(), shelf.scsi()
    with machine.plugged(one, two) as names:
        slots = [Slot(machine, each.name, f"volume-{each.id}") for each in (one, two)]
        orders = [slot.prepare() for slot in slots]
        members = " ".join(f"/dev/{name}" for name in names)
        # Else udev's rules may put the array together again as soon as it is stopped.
        machine.run("echo 'AUTO -all' >/etc/mdadm/mdadm.conf")
        machine.run(f"mdadm --create --quiet --run --level=1 --raid-devices=2 /dev/md7 {members} </dev/null")
        try:
            for slot, order in zip(slots, orders, strict=True):
                assert is_held(slot, order, "md7")
            assert is_refused(machine, "/dev/md7")
        finally:
            machine.run("mdadm --stop --quiet /dev/md7 && udevadm settle")
        for slot in slots:
            occupied(slot, "linux_raid_member")


def test_an_encrypted_disk_is_refused_open_or_closed(machine: Machine, shelf: Shelf) -> None:
    disk = shelf.virtio()
    with machine.plugged(disk) as (name,):
        slot = Slot(machine, disk.name, "volume-luks")
        order = slot.prepare()
        quick = "--batch-mode --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file -"
        machine.run(f"echo key | cryptsetup luksFormat {quick} /dev/{name}")
        occupied(slot, "crypto_LUKS")
        machine.run(f"echo key | cryptsetup open --key-file - /dev/{name} secret && udevadm settle")
        try:
            assert is_held(slot, order, dm(machine, "secret"))
            assert is_refused(machine, "/dev/mapper/secret")
        finally:
            machine.run("udevadm settle; cryptsetup close secret && udevadm settle")


def test_each_path_of_a_disk_with_two_is_refused(machine: Machine, shelf: Shelf) -> None:
    facts = {"wwn": WWN, "serial": "TWO-PATHS", "share-rw": True}
    one = shelf.scsi(facts)
    two: Disk = shelf.scsi(facts, image=one.image)
    with machine.plugged(one, two) as names:
        machine.run(f"cat >/etc/multipath.conf <<'END'{MULTIPATH}END")
        machine.run("modprobe dm-multipath && multipath && udevadm settle")
        try:
            holder = machine.run(f"ls /sys/block/{names[0]}/holders").out.strip()
            assert holder.startswith("dm-"), machine.run("multipath -v3", check=False)
            for name in names:
                found = Slot(machine, f"/dev/{name}", "volume-path").facts()
                assert (found.presence, holder in found.message) == (Presence.OCCUPIED, True), found
            assert is_refused(machine, f"/dev/{holder}")
        finally:
            machine.run("multipath -F && udevadm settle")
        found = Slot(machine, f"/dev/{names[0]}", "volume-path").facts()
        assert (found.presence, names[1] in found.message) == (Presence.CONFLICT, True), found
