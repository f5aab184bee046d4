"""The life of a device: of a file system that we made, of a raw device, and of one made from the other.

All others are the ones of `whole`: people, claims, Kubernetes, controllers, the observer. What differs is the
machine: the daemon mounts and shows by itself what the journal has, a boot unmounts it, and an order takes
the whole disk. Of a raw device nothing tells whose it is, so the journal and the zeroes are the witnesses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from disk_daemon.facts import bare
from disk_daemon.known import Entry, Made
from tests.unit.life.device import Device, DeviceMachine, job_of
from tests.unit.life.device_sim import DeviceNode, entry
from tests.unit.life.disks import Item
from tests.unit.life.model import whole
from tests.unit.life.model.openings import OPENINGS
from tests.unit.life.model.state import STRANGER, tenancy_of
from tests.unit.life.model.whole import Life
from tidb_volume.inventory.expand import DesiredDisk
from tidb_volume.inventory.model import PoolSettings
from tidb_volume.value import Identity, Presence, Volume

SHAPES = ("xfs", "ext4", "Block")

BEGIN: dict[str, st.SearchStrategy[Any]] = whole.BEGIN | {
    "frozen": st.sampled_from([0, 0, 0, 0, *range(1, 12)]),
    "shape": st.sampled_from(["xfs", "Block"]),
    "theirs": st.sampled_from(["ext4", "bytes"]),
    "sparse": st.booleans(),
}
"""As for a folder. And what the device is to be; what strangers have put on the disks that have data, a file
system or bytes that nothing recognises; whether what tenants write on a raw device lies where only who reads
all of it finds it."""


class DeviceLife(Life):
    """A device's life among the same people; of a raw one the journal is the only witness."""

    machine: DeviceMachine
    node: DeviceNode
    disks: list[Device]

    @initialize(**BEGIN)
    def begin(self, shape: str, theirs: str, sparse: bool, **how: Any) -> None:  # type: ignore[override]
        self.shape, self.theirs, self.sparse = shape, theirs, sparse
        self.openings = OPENINGS | DEVICE_OPENINGS
        super().begin(**how)

    def entry_for(self, of: PoolSettings) -> DesiredDisk:
        return entry(self.shape, of)

    def have_a_machine(self, *, dirty: bool, spare: bool) -> None:
        self.disks = [Device(Identity(virtual=f"8:{n}", size_bytes=1 << 30)) for n in (1, 2)]
        for disk, has, what in zip(self.disks, (dirty, spare), ("backup", "archive"), strict=True):
            disk.sparse = self.sparse
            if has and self.theirs == "bytes":
                disk.raw[""] = {Item(STRANGER, what)}
            elif has:
                disk.make(Made(uuid=f"theirs-{what}", fs_type="ext4"))
                disk.strays.add(Item(STRANGER, what))
        self.machine = DeviceMachine(self.disks[0])
        self.node = DeviceNode(self.cluster, self.machine)

    def come_to_be_wiping(self) -> None:
        self.a_daemon_works(0, 9)

    def a_daemon_has_seen(self, volume: Volume) -> None:
        """What is not mounted is no news of anybody."""
        if self.machine.look(self.machine.slot, job_of(volume)).presence is Presence.OK:
            super().a_daemon_has_seen(volume)

    @precondition(lambda self: self.saved is not None)
    @rule(forget=st.booleans())
    def etcd_goes_back(self, forget: bool) -> None:
        """Where no look saw who had it, what he wrote has to lie where a sample looks: nothing else tells."""
        super().etcd_goes_back(forget)
        unclaimed = [pv for pv in self.cluster.etcd.pvs.values() if pv.spec.claim_ref is None]
        if any(tenancy_of(pv) not in self.witnessed for pv in unclaimed):
            for disk in self.disks:
                disk.sparse = False

    # --- the machine ---

    @rule(how=st.sampled_from(["same", "unmounted", "swapped"]), steps=st.integers(0, 12))
    def the_machine_reboots(self, how: str, steps: int = 0) -> None:
        """unmounted: the disk is pulled out."""
        super().the_machine_reboots(how, 0)
        self.machine.mounted = True
        if how == "unmounted":
            self.machine.slot = None
        for disk in self.disks:
            disk.held = None
        if steps:
            self.a_daemon_works(0, steps)

    @rule(number=st.integers(0, 1))
    def a_daemon_looks(self, number: int) -> None:
        super().a_daemon_looks(number)
        self.a_daemon_takes_up()

    @rule(number=st.integers(0, 1))
    def a_daemon_only_looks(self, number: int) -> None:
        super().a_daemon_looks(number)

    @rule()
    def a_daemon_takes_up(self) -> None:
        """It mounts, or shows, what the journal has."""
        self.node.take_up()
        self.run_pods()

    # --- hands on the disks ---

    def is_free(self, disk: Device) -> bool:
        """Nobody is on it, so that who wants to have it by hand gets it; and unmounts it before."""
        if disk.lock is not None or any(at.disk is disk for at in self.machine.running.values()):
            return False
        if self.machine.place is disk:
            self.machine.place = None
        return True

    def is_half_gone(self, disk: Device) -> bool:
        """A wipe of it was begun. What a hand puts on a raw device then, nothing tells from what is left of a
        tenant; nor what it put on any, once that is damaged, from what is left of a mkfs."""
        known = self.machine.entry_of(disk)
        return known is not None and bare.is_at_work(known)

    @rule(which=st.integers(0, 1))
    def a_disk_is_formatted_by_hand(self, which: int) -> None:
        disk, known = self.disks[which], self.machine.entry_of(self.disks[which])
        raw = known is not None and known.block and self.is_half_gone(disk)
        if not raw and self.is_free(disk):
            disk.reformat(f"fs-{next(self.cluster.ids)}")

    def put_on(self, disk: Device, item: Item) -> None:  # type: ignore[override]
        """Into what is mounted, or on a disk that is as good as new."""
        if self.tells_nothing(disk):
            return
        if self.machine.place is disk:
            super().put_on(disk, item)
        elif not disk.items() and self.is_free(disk):
            disk.reformat(f"fs-{next(self.cluster.ids)}")
            super().put_on(disk, item)

    def tells_nothing(self, disk: Device) -> bool:
        """What a hand adds to other people's data on a device, no look tells from what was there; nor what it
        writes to a raw one from its tenant's."""
        known = self.machine.entry_of(disk)
        return self.is_half_gone(disk) or (known is not None and known.block)

    @rule()
    def the_machine_is_restored_from_a_snapshot(self) -> None:
        """A wipe that its older records have as begun goes on, over all that came to lie on the disk since:
        nothing tells the file system of then from the one that this wipe has made. Nothing on a raw device
        contradicts them, should etcd go back as well, nor tells of a wipe that they have forgotten (0302)."""
        super().the_machine_is_restored_from_a_snapshot()
        entries = [each for each in self.machine.journals.values() if isinstance(each, Entry)]
        self.unproven |= {each.handed for each in entries if each.block and each.order is None}
        for disk in self.disks:
            self.unwitnessed |= disk.raw.keys() - {each.handed for each in entries}
            if self.tells_nothing(disk):
                disk.strays = {each for each in disk.strays if not each.what.startswith("put-")}

    @rule(which=st.integers(0, 1))
    def a_disk_is_zeroed_by_hand(self, which: int) -> None:
        if self.is_free(self.disks[which]):
            self.disks[which].zero()

    @rule(damaged=st.booleans())
    def a_superblock_is_damaged(self, damaged: bool) -> None:
        """Or repaired. The kernel keeps that of a mounted one, and writes it again."""
        disk = self.disks[0]
        mounted = self.machine.place is disk
        if disk.made.uuid and not (mounted or disk.lock or self.is_half_gone(disk)):
            disk.damaged = damaged

    @rule()
    def it_is_unmounted_by_hand(self) -> None:
        """And its device nodes are removed; nobody is in it."""
        disk = self.machine.place
        if disk is not None and disk.lock is None:
            self.is_free(disk)
        self.machine.nodes.clear()

    @rule(copied=st.booleans(), which=st.sampled_from(["recorded", "ordered"]))
    def a_tenancys_folder_is_made_by_hand(self, which: str, copied: bool) -> None:
        """In what is mounted; copied: the other disk becomes this one's copy, UUID and all."""
        slot, place = self.machine.slot, self.machine.place
        if not copied:
            if place is not None and place is slot and place.lock is None:
                super().a_tenancys_folder_is_made_by_hand(which, copied=False)
            return
        if slot is None or slot.lock is not None:
            return
        other = next(each for each in self.disks if each is not slot)
        known = self.machine.entry_of(other)
        of_strangers = any(item.owner == STRANGER for item in slot.items())
        if of_strangers and known is not None and known.block:
            return  # as in `put_on`: a raw device's tenant might have written it
        if self.is_free(other):
            other.zero()
            other.made, other.damaged = slot.made, slot.damaged
            other.tenancies = {name: set(items) for name, items in slot.tenancies.items()}
            other.raw = {name: set(items) for name, items in slot.raw.items()}
            other.strays, other.residue = set(slot.strays), set(slot.residue)
            self.forged |= other.shown()

    @rule(
        after=st.sampled_from(["0s", "2h"]),
        on_release=st.sampled_from(["wipe", "keep"]),
        shape=st.sampled_from(SHAPES),
    )
    def the_entry_is_edited(self, after: str, on_release: Any, shape: str = "") -> None:
        self.shape = shape or self.shape
        super().the_entry_is_edited(after, on_release)


def _another_shape(life: DeviceLife) -> None:
    life.the_entry_is_edited("0s", "wipe", "xfs" if life.shape == "Block" else "Block")


def _withdrawn_and_written(life: DeviceLife) -> None:
    """A hand writes through the node, with nobody looking, while it is not on offer."""
    life.say(cordon=True)
    life.settle()
    for disk in (life.machine.slot,) if life.machine.slot is not None else ():
        for tenancy in disk.shown():
            disk.write(tenancy, Item("somebody", "by hand"))
    life.say(cordon=False)


def _seen_and_forgotten(life: DeviceLife) -> None:
    """The daemon has seen the pod, and nobody has told it whose it is."""
    life.a_tenant_moves_in("db/data-0")
    life.a_daemon_only_looks(0)
    life.a_pod_ends("db/data-0", kubelet=True)
    if life.saved is not None:
        life.etcd_goes_back(forget=True)


def _cut_and_anothers(life: DeviceLife) -> None:
    """While it is half made, somebody puts a file system of his own on it."""
    life.a_daemon_dies(0)
    disk = life.disks[0]
    if life.is_half_gone(disk) and life.shape != "Block":
        life.a_disk_is_formatted_by_hand(0)
        disk.strays.add(Item(STRANGER, "by hand"))


def _forgotten_and_damaged(life: DeviceLife) -> None:
    """Nobody has it any more, and its superblock is gone with the record of it."""
    life.the_machine_reboots("same")
    life.a_superblock_is_damaged(damaged=True)
    life.something_is_deleted("volume")


DEVICE_OPENINGS: dict[str, Callable[[Any], None]] = {
    "unmounted by hand": lambda life: life.it_is_unmounted_by_hand(),
    "another shape": _another_shape,
    "zeroed by hand": lambda life: life.a_disk_is_zeroed_by_hand(0),
    "formatted by hand": lambda life: life.a_disk_is_formatted_by_hand(0),
    "withdrawn, and written by hand": _withdrawn_and_written,
    "seen, and etcd set back": _seen_and_forgotten,
    "cut, and another's file system": _cut_and_anothers,
    "damaged, and volume deleted": _forgotten_and_damaged,
    "copied": lambda life: life.a_tenancys_folder_is_made_by_hand("recorded", copied=True),
}
BEGIN["between"] = st.sampled_from([*OPENINGS, *DEVICE_OPENINGS])
