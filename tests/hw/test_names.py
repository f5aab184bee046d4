"""Names that move: disks that swap theirs at a reboot, are pulled out, come back, or are replaced."""

from __future__ import annotations

import msgspec
import pytest

from tests.cluster.system import until
from tests.disks.bench import NEXT, OLD
from tests.hw.bench import RULES, Slot, done, recall, reclaim, state, survey
from tests.hw.disks import Shelf
from tests.hw.machine import Machine
from tidb_volume import names
from tidb_volume.value import Presence, Source

TENANCIES = [f"{letter}aaaaaaaaaaa" for letter in "abcd"]


def test_a_record_follows_the_disk_when_names_swap_at_a_reboot(machine: Machine, shelf: Shelf) -> None:
    disks = [shelf.scsi(), shelf.scsi(), shelf.nvme(), shelf.nvme()]
    machine.reboot(disks)
    slots = [Slot(machine, disk.name, f"volume-{disk.id}") for disk in disks]
    block = Slot(machine, disks[-1].name, f"volume-{disks[-1].id}", volume_mode="Block")
    slots[-1] = block

    def kernel_names() -> list[str]:
        return machine.run("readlink -f " + " ".join(disk.name for disk in disks)).out.split()

    before = kernel_names()
    for number, slot in enumerate(slots):
        done(slot.obey(slot.prepare(next=TENANCIES[number])))
        if slot is not block:
            machine.run(f"echo {slot.volume} >{slot.place}/{names.FOLDER}/{TENANCIES[number]}/whose")
    identities = [slot.identity() for slot in slots]

    machine.reboot(reversed(disks))
    assert kernel_names() != before  # which of two the kernel finds first is not always told by their places
    assert [slot.facts().presence for slot in slots] == [Presence.NOT_MOUNTED] * 4
    wanted = {(slot.volume, slot.source.device) for slot in slots}
    assert {(volume, device) for volume, device, _ in recall(machine)} >= wanted
    for slot in slots:
        mounted = slot.mount()
        assert mounted.ok, mounted
    assert [slot.identity() for slot in slots] == identities
    for number, slot in enumerate(slots[:-1]):
        whose = machine.run(f"cat {slot.place}/{names.FOLDER}/{TENANCIES[number]}/whose").out
        assert whose.strip() == slot.volume
    own = f"/sys/dev/block/$(stat -c %Hr:%Lr {RULES.nodes.rstrip('/')}/{TENANCIES[3]})"
    leads_to = machine.run(f"cat {own}/serial 2>/dev/null || cat {own}/device/serial").out.strip()
    assert leads_to == disks[-1].says["serial"]

    # An order that was decided before the reboot names the disk, and no name: it ends that one's tenancy.
    order = reclaim(identities[0], ends=TENANCIES[0])
    done(slots[0].obey(order))
    assert state(slots[1].obey(order))[0] == "refused"
    machine.reboot()


@pytest.mark.parametrize("kind", ["nvme", "scsi"])
def test_a_disk_that_is_pulled_out_is_not_present_and_comes_back_with_its_data(
    machine: Machine, shelf: Shelf, kind: str
) -> None:
    disk = shelf.of(kind)
    slot = Slot(machine, disk.name, f"volume-{disk.id}", volume_mode="Block")
    with machine.plugged(disk):
        done(slot.obey(slot.prepare()))
        machine.run(f"echo secret | dd of={RULES.nodes}/{OLD} conv=notrunc status=none; sync")
        identity = slot.identity()

    gone = slot.facts()
    assert gone.presence is Presence.NOT_PRESENT, gone
    ended = slot.obey(reclaim(identity))
    assert state(ended) == ("running", "NotPresent"), ended.work
    assert disk.holds(b"secret")

    with machine.plugged(disk):
        mounted = slot.mount()
        assert mounted.ok, mounted
        assert slot.identity() == identity
        assert machine.run(f"head -c 6 {RULES.nodes}/{OLD}").out == "secret"
        done(slot.obey(reclaim(identity)))
        assert disk.is_zero()
        machine.run(f"rm {RULES.nodes}/{NEXT}")


def test_a_mounted_disk_that_is_pulled_out_is_mounted_again_once_its_dead_mount_is_gone(
    machine: Machine, shelf: Shelf
) -> None:
    disk = shelf.scsi()
    slot = Slot(machine, disk.name, f"volume-{disk.id}")
    data = f"{slot.place}/{names.FOLDER}/{OLD}/data"
    with machine.plugged(disk):
        done(slot.obey(slot.prepare()))
        machine.run(f"echo kept >{data}; sync")
        identity = slot.identity()

    assert slot.facts().presence is Presence.NOT_PRESENT
    with machine.plugged(disk):
        found = slot.facts()
        assert found.presence is not Presence.OK, found
        assert found.message
        assert not slot.mount().ok
        machine.run(f"umount -l {slot.place}")
        mounted = slot.mount()
        assert mounted.ok, mounted
        assert machine.run(f"cat {data}").out == "kept\n"
        assert slot.identity() == identity
        machine.run(f"umount {slot.place}")


def test_another_disk_in_its_slot_is_the_wrong_one(machine: Machine, shelf: Shelf) -> None:
    """By a name that says where it is plugged in, or one that both disks have."""
    old, new = shelf.scsi({"scsi-id": 9}), shelf.scsi({"scsi-id": 9})
    with machine.plugged(old) as (name,):
        links = machine.run(f"udevadm info -q symlink /dev/{name}").out.split()
        path = next(f"/dev/{link}" for link in links if "by-path" in link)
        slot = Slot(machine, path, "volume-slot", volume_mode="Block")
        done(slot.obey(slot.prepare()))
        identity = slot.identity()
    with machine.plugged(new) as (name,):
        machine.run(f"echo of-another | dd of=/dev/{name} conv=notrunc status=none; sync")
        assert state(slot.obey(reclaim(identity))) == ("refused", "WrongDisk")
        assert new.holds(b"of-another")
        # It has the number of the one before, and so the node that pods of that one's tenancy would open.
        listing = f"ls {RULES.nodes}"
        assert OLD in machine.run(listing).out.split()
        assert machine.run(f"head -c 10 {RULES.nodes}/{OLD}").out == "of-another"
        survey(machine)
        assert OLD not in machine.run(listing).out.split()
        slot.source = Source(device=path, serial=str(old.says["serial"]))
        assert slot.facts().presence is Presence.WRONG_DISK


def test_a_disk_of_another_size_with_the_same_serial_is_the_wrong_one(machine: Machine, shelf: Shelf) -> None:
    facts = {"wwn": 0x5000C5000000D001, "serial": "COPIED"}
    old, new = shelf.scsi(facts), shelf.scsi(facts, size=400 << 20)
    slot = Slot(machine, old.name, "volume-copied", volume_mode="Block")
    with machine.plugged(old):
        order = slot.prepare()
    with machine.plugged(new):
        assert state(slot.obey(order)) == ("refused", "WrongDisk")
        assert new.is_zero()


def test_a_disk_that_is_pulled_out_in_the_middle_of_its_wipe_is_wiped_once_it_is_back(
    machine: Machine, shelf: Shelf
) -> None:
    disk = shelf.scsi().slow(20 << 20)
    slot = Slot(machine, disk.name, f"volume-{disk.id}", volume_mode="Block")
    with machine.plugged(disk):
        done(slot.obey(slot.prepare()))
        for place in ("0", "300M"):
            machine.run(f"echo secret | dd of={RULES.nodes}/{OLD} seek={place} oflag=seek_bytes status=none")
        machine.run("sync")
        order = reclaim(slot.identity())
        slot.begin(order)
        until("the first bytes to be gone", lambda: not disk.head(6).strip(b"\0"))
        machine.unplug_at_once(disk)
        ended = slot.ended()
    assert state(ended)[0] in ("failed", "running"), ended.work
    assert disk.holds(b"secret")
    assert slot.facts().presence is Presence.NOT_PRESENT

    fast = msgspec.structs.replace(disk, bytes_per_s=0)
    with machine.plugged(fast):
        seen = slot.observe()
        assert seen.record.order is not None
        assert seen.record.order.begun
        done(slot.obey(order))
        assert disk.is_zero()
        machine.run(f"rm {RULES.nodes}/{NEXT}")
