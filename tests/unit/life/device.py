"""A device entry's disk in memory, and the machine that it is in: what daemon and kubelet see of it.

What a look means beside the journal is decided by the real `disk_daemon.facts.bare`. Of the bytes the model
knows whose they are, and whether they can be reached through a file system, or only on the raw device.
"""

from __future__ import annotations

from collections.abc import Callable

from disk_daemon import claims, journal, observe, report
from disk_daemon.facts import bare, device
from disk_daemon.jobs import Job
from disk_daemon.known import Entry, Facts, Made, Raw, User
from disk_daemon.tools import Found
from tests.unit.life.disks import Disk, Item, Mounted
from tests.unit.life.machine import CAPACITY, Machine, change
from tidb_volume import names
from tidb_volume.identity import hardware_key
from tidb_volume.value import DiskReport, Identity, Order, Phase, Presence, Volume

STRANGERS = "fs-of-a-stranger"


class Device(Disk):
    """One piece of hardware, with a file system on it or without. `identity` is that of the hardware."""

    def __init__(self, identity: Identity) -> None:
        super().__init__(identity)
        self.made = Made(uuid="", fs_type="")
        """The file system that is on it, with its folders; without a UUID: none."""
        self.damaged = False
        """Its superblock is gone, and what is in it lies there as before."""
        self.raw: dict[str, set[Item]] = {}
        """What lies on it outside of any file system, by the tenancy that wrote it; empty: a stranger."""
        self.residue: set[Item] = set()
        """What no file system leads to any more, and who reads the raw device still finds."""
        self.noise = False
        """What a cut mkfs or a cut zeroing has left: nobody's data, and nothing that is recognised."""
        self.raw_by: set[str] = set()
        """The tenancies that were ever shown the raw device, since a file system was last made on it."""
        self.held: object | None = None
        """Who has it exclusively."""
        self.sparse = False
        """What tenants write on the raw device lies where only who reads all of it finds it. Not so where no
        record is left of a tenant: what samples find blank then is blank, by the contract."""

    @property
    def all_at_stake(self) -> bool:  # type: ignore[override]
        """Whoever holds it exclusively is about to make all of it anew."""
        return self.held is not None

    def items(self) -> set[Item]:
        """All data on it that can be reached."""
        return super().items().union(*self.raw.values())

    def read(self, tenancy: str) -> frozenset[Item]:
        if tenancy in self.tenancies or tenancy not in self.raw_by:
            return super().read(tenancy)
        return frozenset(self.items() | self.residue)

    def write(self, tenancy: str, item: Item) -> None:
        if tenancy not in self.tenancies and tenancy in self.raw_by:
            self.raw.setdefault(tenancy, set()).add(item)
        super().write(tenancy, item)

    def clear(self, tenancy: str) -> None:
        if tenancy in self.tenancies:
            self.residue |= self.tenancies[tenancy]
        self.raw.pop(tenancy, None)
        super().clear(tenancy)

    def shown(self) -> set[str]:
        return super().shown() | self.raw_by

    def places(self) -> list[tuple[str, set[Item]]]:
        return [*super().places(), *self.raw.items()]

    def at_stake(self, order: str) -> list[tuple[str, set[Item]]]:
        return [*self.places(), ("", self.strays)] if self.all_at_stake else super().at_stake(order)

    def looks_zero(self, *, handed: bool = False) -> bool:
        """handed: to a tenant, as a raw device."""
        seen = any(self.raw.values()) and not (self.sparse and handed and not self.raw.get(""))
        lost = self.damaged and bool(super().items())
        return not (seen or lost or self.noise or self.residue or (self.made.uuid and not self.damaged))

    def shatter(self) -> None:
        """The file system is not one any more."""
        self.residue |= self.items()
        self.raw, self.raw_by, self.damaged, self.noise = {}, set(), False, True
        self.made = Made(uuid="", fs_type="")
        self.strays, self.tenancies, self.trash = set(), {}, {}

    def make(self, made: Made) -> None:
        """mkfs: what was there is out of reach, and lies there until it is overwritten."""
        self.shatter()
        self.made, self.noise = Made(uuid=made.uuid, fs_type=made.fs_type), False

    def probed(self) -> Found:
        """What libblkid would say."""
        made = self.made
        if not made.uuid or self.damaged:
            return Found()
        return Found(words=f"{made.fs_type} ({made.uuid})", fs_type=made.fs_type, uuid=made.uuid)

    def reformat(self, uuid: str) -> None:
        self.make(Made(uuid=uuid, fs_type="xfs"))

    def zero(self) -> None:
        """From end to end."""
        self.shatter()
        self.residue, self.noise = set(), False


class _Sight:
    """A device, as `bare` looks at it."""

    def __init__(self, machine: DeviceMachine, disk: Device) -> None:
        self._machine, self._disk = machine, disk

    def probed(self, facts: Facts, *, making: bool) -> Found:
        return self._disk.probed()

    def held(self) -> str:
        taken = self._disk.held is not None or self._machine.place is self._disk
        return "held exclusively, by no mount that any process's table shows" if taken else ""

    def looks_zero(self) -> bool:
        entry = self._machine.entry_of(self._disk)
        return self._disk.looks_zero(handed=entry is not None and entry.block and entry.handed != "")

    def is_shown(self, tenancy: str) -> bool:
        return self._machine.nodes.get(tenancy) is self._disk

    def refuse_shared(self, facts: Facts) -> None:
        """No disk here is shared between machines."""


class DeviceMachine(Machine):
    """The slot that a device entry's name leads to, the place where our file system is mounted, and the
    device nodes of tenancies. A disk stays mounted until somebody unmounts it or the machine goes down."""

    slot: Device | None

    def __init__(self, disk: Device) -> None:
        super().__init__(disk)
        self.place: Device | None = None
        """Whose file system is mounted at the volume's place."""
        self.nodes: dict[str, Device] = {}
        """By tenancy."""

    def reboot(self) -> None:
        super().reboot()
        self.place, self.nodes = None, {}

    def entry_of(self, disk: Device | None) -> Entry | None:
        """The node's record of it, where that can be read."""
        known = self.journal_of(disk.identity) if disk is not None else None
        return known if isinstance(known, Entry) else None

    def users_of(self, disk: Device) -> tuple[User, ...]:
        """The containers that have it, as mounts of its file system or bind mounts of its node."""
        return tuple(
            User(who=f"pod {pod}", root=_root(at)) for pod, at in self.running.items() if at.disk is disk
        )

    def inside(self) -> Facts:
        """What lies in the file system at the volume's place, as in a folder."""
        disk = self.place
        if disk is None:
            return Facts(presence=Presence.NOT_MOUNTED, message="nothing is mounted", boot=str(self.boot))
        slot, self.slot = self.slot, disk
        try:
            facts = self.facts(disk)
        finally:
            self.slot = slot
        users = tuple(user for user in self.users_of(disk) if user.root.startswith(f"/{names.FOLDER}/"))
        return change(facts, identity=change(disk.identity, fs_uuid=disk.made.uuid), users=users)

    def stand(self, disk: Device | None, job: Job) -> Facts:
        """Which disk it is; its content is not looked at."""
        if self.presence is not None:
            return Facts(presence=self.presence, message="said by a test", boot=str(self.boot))
        if disk is None or disk is not self.slot:
            return Facts(presence=Presence.NOT_PRESENT, message="it does not exist", boot=str(self.boot))
        return Facts(
            presence=Presence.OK,
            boot=str(self.boot),
            device="7:1",
            identity=disk.identity,
            capacity_bytes=CAPACITY,
            raw=Raw(mode=job.volume_mode, wanted=device.wanted(job)),
        )

    def look(self, disk: Device | None, job: Job, *, ours: bool = False) -> Facts:
        """As disk_daemon/facts/device.py looks. ours: who asks holds the device exclusively."""
        facts = self.stand(disk, job)
        if disk is None or facts.presence is not Presence.OK:
            return facts
        entry, users, sight = self.entry_of(disk), self.users_of(disk), _Sight(self, disk)
        mode, at_place = bare.mode(job, entry), self.place is disk
        assert facts.raw is not None
        raw = change(facts.raw, mode=mode, holders=users)
        facts = change(facts, users=users, raw=raw)
        if mode == "Block":
            facts = change(facts, raw=change(raw, at_place=at_place))
            return bare.block(sight, facts, entry, job, ours=ours)
        if at_place:
            return bare.mounted(facts, self.inside(), entry, "its place")
        return bare.unmounted(sight, facts, entry, ours=ours)

    def report_of(self, job: Job, volume: Volume, claim_uid: str) -> DiskReport:
        """What the daemon tells of the slot."""
        facts = self.look(self.slot, job)
        record = observe.recorded(self.journal_of(facts.identity) if facts.identity else None, facts.tenancy)
        status = volume.status
        claimed = status.phase is Phase.BOUND
        return report.disk_report(facts, record, status.identity, None, claimed=claimed, claim_uid=claim_uid)

    def note(self, job: Job) -> None:
        facts, disk = self.look(self.slot, job), self.slot
        known = self.journal_of(facts.identity) if facts.identity else None
        found = claims.news(job, facts, known)
        if found is not None and isinstance(known, Entry) and disk is not None and disk.lock is None:
            self.journals[hardware_key(known.identity)] = journal.had(known, *found)

    def mount(self, disk: Device) -> bool:
        """At the volume's place; whether anything could be mounted there."""
        if self.place is None and disk.made.uuid and not disk.damaged:
            self.place = disk
        return self.place is disk

    def show(self, disk: Device, tenancy: str) -> None:
        """Make the tenancy's device node."""
        self.nodes[tenancy] = disk
        disk.raw_by.add(tenancy)

    def from_journal(self, job: Job) -> bool:
        """As disk_daemon/mounting.py does without anybody's order. Whether anything changed."""
        disk = self.slot
        if disk is None or disk.lock is not None:
            return False
        facts, entry = self.look(disk, job), self.entry_of(disk)
        if entry is None or entry.volume != job.volume or facts.raw is None or not facts.raw.mountable:
            return False
        if facts.raw.mode == "Block":
            self.show(disk, entry.handed)
            return True
        return self.mount(disk)

    def kubelets(self, path: str) -> Callable[[str], Mounted] | None:
        """What a container gets that is to have this path; None: it does not start."""
        tenancy = path.rpartition("/")[2]
        disk = self.nodes.get(tenancy) if path == names.block_node(tenancy) else self.place
        if disk is None or (disk is self.place and tenancy not in disk.tenancies):
            return None
        return lambda claim_uid: Mounted(disk, tenancy, claim_uid)


def job_of(volume: Volume, kind: str = "observe", order: Order | None = None, claim_uid: str = "") -> Job:
    """What the daemon's parent tells a child, as in disk_daemon/keeper.py."""
    spec = volume.spec
    return Job(
        id=1,
        kind=kind,  # type: ignore[arg-type]
        volume=volume.metadata.name,
        uid=volume.metadata.uid,
        source=spec.source,
        volume_mode=spec.volume_mode,
        fs_type=spec.fs_type,
        mount_options=spec.mount_options,
        order=order,
        tenancy=volume.status.tenancy,
        claim_uid=claim_uid,
    )


def _root(at: Mounted) -> str:
    inside = at.tenancy in at.disk.tenancies
    return f"/{names.FOLDER}/{at.tenancy}" if inside else f"/tidb-volume/{at.tenancy}"
