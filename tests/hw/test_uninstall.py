"""The rules for udev that `uninstall` writes, read by a real udev: a raw device is back under its
PersistentVolume's name after a boot without us, and no other disk is."""

from __future__ import annotations

import pytest

from tests.disks.bench import OLD, OTHER
from tests.hw.bench import RULES, Slot, done
from tests.hw.disks import Shelf
from tests.hw.machine import Disk, Machine
from tidb_volume import boot, names

FILE = f"/etc/udev/rules.d/{boot.RULES_FILE}"
SECRET = "what the tenant has written"


def install(machine: Machine, text: str) -> None:
    """As the documentation says."""
    machine.run(
        f"mkdir -p {FILE.rpartition('/')[0]}\ncat >{FILE} <<'END'\n{text}END\nudevadm control --reload"
    )


def linked(machine: Machine, tenancy: str) -> str:
    """Which device has the tenancy's name, by its kernel name; empty: none."""
    machine.run("udevadm settle")
    return machine.run(f"readlink -e {names.block_node(tenancy)}", check=False).out.strip()


def is_at(machine: Machine, disk: Disk) -> str:
    return machine.run(f"readlink -e {disk.name}").out.strip()


@pytest.mark.parametrize("kind", ["nvme", "scsi", "virtio"])
def test_a_raw_device_has_its_name_after_a_boot_without_us_and_another_disk_has_not(
    machine: Machine, shelf: Shelf, kind: str
) -> None:
    disk, other = shelf.of(kind), shelf.of(kind)
    slot = Slot(machine, disk.name, f"volume-{disk.id}", volume_mode="Block")
    machine.reboot([disk])
    done(slot.obey(slot.prepare()))
    machine.run(f"printf '{SECRET}' | dd of={RULES.nodes}/{OLD} conv=notrunc status=none; sync")
    install(machine, boot.rules(OLD, slot.identity()))

    machine.reboot([other, disk])
    assert linked(machine, OLD) == is_at(machine, disk)
    assert machine.run(f"head -c {len(SECRET)} {names.block_node(OLD)}").out == SECRET

    machine.reboot([other])
    assert linked(machine, OLD) == "", "another disk has the name of the tenant's"
    machine.run(f"rm {FILE}")
    machine.reboot()


def test_a_rule_of_one_disk_takes_no_other_that_is_plugged_meanwhile(machine: Machine, shelf: Shelf) -> None:
    first, second = shelf.scsi(), shelf.scsi()
    slots = [Slot(machine, disk.name, f"volume-{disk.id}", volume_mode="Block") for disk in (first, second)]
    with machine.plugged(first), machine.plugged(second):
        pairs = zip((OLD, OTHER), slots, strict=True)
        install(machine, "".join(boot.rules(tenancy, slot.identity()) for tenancy, slot in pairs))
    with machine.plugged(second):
        assert linked(machine, OTHER) == is_at(machine, second)
        assert linked(machine, OLD) == ""
        with machine.plugged(first):
            assert linked(machine, OLD) == is_at(machine, first)
    machine.run(f"rm {FILE}; udevadm control --reload")
