"""A disk's life on real drivers: first use, a tenant's data, the wipe, the next one; nothing is virtual."""

from __future__ import annotations

import pytest

from tests.disks.bench import NEXT, OLD
from tests.hw.bench import RULES, Slot, done, reclaim, state
from tests.hw.disks import Shelf
from tests.hw.machine import SIZE_BYTES, Disk, Machine
from tidb_volume import names
from tidb_volume.value import Content, Presence

SECRET = b"a secret of the first tenant"


def holds(machine: Machine, disk: Disk) -> bool:
    machine.run("sync")
    return disk.holds(SECRET)


def node(tenancy: str) -> str:
    return f"{RULES.nodes.rstrip('/')}/{tenancy}"


def is_node(machine: Machine, tenancy: str) -> bool:
    return machine.run(f"test -b {node(tenancy)}", check=False).status == 0


@pytest.mark.parametrize(
    ("kind", "fs_type"), [("nvme", "xfs"), ("scsi", "ext4"), ("sata", "ext4"), ("virtio", "xfs")]
)
def test_a_file_system_is_made_mounted_wiped_and_made_anew(
    machine: Machine, shelf: Shelf, kind: str, fs_type: str
) -> None:
    disk = shelf.of(kind)
    with machine.plugged(disk):
        slot = Slot(machine, disk.name, f"volume-{disk.id}", fs_type=fs_type)
        found = slot.facts()
        assert (found.presence, found.content) == (Presence.OK, Content.BLANK), found
        done(slot.obey(slot.prepare()))

        folder = f"{slot.place}/{names.FOLDER}"
        machine.run(f"echo '{SECRET.decode()}' >{folder}/{OLD}/data")
        assert holds(machine, disk)
        assert slot.facts().tenancies == (OLD,)

        ended = slot.obey(reclaim(slot.identity()))
        assert state(ended) == ("done", ""), ended.work
        assert ended.facts.tenancies == (NEXT,)
        assert machine.run(f"ls -A {folder} {folder}/{NEXT}").out.count("\n") == 4  # two names, NEXT, a gap
        machine.run(f"umount {slot.place}")


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("nvme", "zero"),
        ("nvme", "discard"),
        ("scsi", "discard"),
        ("scsi", "auto"),
        ("sata", "zero"),
        ("sata", "discard"),
        ("virtio", "zero"),
    ],
)
def test_a_block_volume_is_zero_after_its_wipe(
    machine: Machine, shelf: Shelf, kind: str, method: str
) -> None:
    disk = shelf.of(kind)
    with machine.plugged(disk):
        slot = Slot(machine, disk.name, f"volume-{disk.id}", volume_mode="Block")
        done(slot.obey(slot.prepare()))
        for place in (0, 100 << 20, SIZE_BYTES - 4096):
            words = f"of={node(OLD)} seek={place} oflag=seek_bytes conv=notrunc status=none"
            machine.run(f"printf '{SECRET.decode()}' | dd {words}")
        assert holds(machine, disk)

        ended = slot.obey(reclaim(slot.identity(), method=method))
        assert state(ended) == ("done", ""), ended.work
        assert disk.is_zero()
        assert (is_node(machine, OLD), is_node(machine, NEXT)) == (False, True)
        machine.run(f"rm {node(NEXT)}")


@pytest.mark.parametrize("kind", ["nvme", "scsi"])
def test_a_disk_that_says_discarded_and_keeps_its_data_is_written(
    machine: Machine, shelf: Shelf, kind: str
) -> None:
    disk = shelf.of(kind).ignoring_discards()
    with machine.plugged(disk) as (name,):
        slot = Slot(machine, disk.name, f"volume-{disk.id}", volume_mode="Block")
        done(slot.obey(slot.prepare()))
        machine.run(f"printf '{SECRET.decode()}' | dd of={node(OLD)} seek=1M oflag=seek_bytes status=none")
        assert holds(machine, disk)
        machine.run(f"blkdiscard -f /dev/{name}")
        assert holds(machine, disk)

        done(slot.obey(reclaim(slot.identity(), method="discard")))
        assert disk.is_zero()
        machine.run(f"rm {node(NEXT)}")


def test_a_pod_that_has_the_raw_device_open_stops_the_wipe(machine: Machine, shelf: Shelf) -> None:
    disk = shelf.nvme()
    with machine.plugged(disk):
        slot = Slot(machine, disk.name, f"volume-{disk.id}", volume_mode="Block")
        done(slot.obey(slot.prepare()))
        machine.run(f"printf '{SECRET.decode()}' | dd of={node(OLD)} conv=notrunc status=none")
        machine.run(f"sleep infinity <{node(OLD)} >/dev/null 2>&1 & echo $! >/run/holder")
        try:
            ended = slot.obey(reclaim(slot.identity()))
            assert state(ended) == ("running", "InUse"), ended.work
            assert ended.work is not None
            assert "sleep" in ended.work.message
            assert holds(machine, disk)
        finally:
            machine.run("kill $(cat /run/holder)")
        done(slot.obey(reclaim(slot.identity())))
        assert disk.is_zero()
        machine.run(f"rm {node(NEXT)}")
