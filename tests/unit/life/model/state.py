"""What there is in the model, and what only an observer who sees everything knows of it."""

from __future__ import annotations

from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from tests.unit.life.cluster import Cluster, change, desired
from tests.unit.life.machine import Daemon, Disk, Item, Machine
from tests.unit.life.simulate import Controller, Node
from tidb_volume import names
from tidb_volume.fleet import Fleet
from tidb_volume.identity import same_hardware
from tidb_volume.inventory.expand import DesiredDisk
from tidb_volume.inventory.model import PoolSettings
from tidb_volume.life.actions import Action
from tidb_volume.units import Instant
from tidb_volume.upstream import Pv
from tidb_volume.value import Identity, Meta, Volume, VolumeStatus

CLAIMS = ("db/data-0", "db/data-1", "other/data-0")
STRANGER = "stranger"


def tenancy_of(pv: Pv) -> str:
    return pv.metadata.name.rpartition("-")[2]


class State(RuleBasedStateMachine):
    """One disk, one spare, two controllers, two daemons; and what was said and done, by all that is known."""

    cluster: Cluster

    def set_up(self, entry: DesiredDisk, *, dirty: bool, spare: bool) -> None:
        """A new world, in which nothing has happened yet. dirty, spare: the disk, the other one, has data."""
        self.entry = entry
        self.wanted: DesiredDisk | None = entry
        fleet = Fleet(metadata=Meta(name=names.FLEET, uid="f"))
        budget = change(fleet.spec.budget, wipes_per_hour=1000, at_least=1000)
        self.cluster = Cluster(self.entry, change(fleet, spec=change(fleet.spec, budget=budget)))
        self.have_a_machine(dirty=dirty, spare=spare)
        self.daemons = [Daemon(), Daemon()]
        self.controllers = [Controller(self.cluster, self.wanted, name) for name in "ab"]
        self.leader = 0
        self.lost_at: Instant | None = None
        """Since when somebody says that nothing runs on the node."""
        self.late: list[tuple[int, Volume, Action, Instant]] = []
        """Calls on their way: who decided, about which volume, what, when."""
        self.saved: Any = None
        """What etcd held when it was saved."""
        self.saved_released: dict[str, Instant] = {}
        """What was released then, and since when: that is what its records say when it is set back."""
        self.saved_taken_back: dict[str, Instant] = {}
        """Which answers were taken back by then."""
        self.saved_journals: dict[str, Any] = {}
        """What the machine's own disk held then."""
        self.ended: set[str] = set()
        """Tenancies whose PersistentVolume was deleted by a controller while it was released, and rightly."""
        self.said_wipe: dict[str, frozenset[Item]] = {}
        """Questions that a person answered with a wipe: the data that was asked about, as it was then, be it
        in the slot or not."""
        self.said_on_kept: set[str] = set()
        """Those of them that were answered while policy or pool kept the data, or that asked about that."""
        self.careless: set[str] = set()
        """Tenancies that somebody's hand put on offer."""
        self.granted: set[tuple[str, str]] = set()
        """(tenancy, claim that a person gave its data to)."""
        self.leaked: set[tuple[str, str]] = set()
        """(tenancy, UID of a claim that was handed another's data in it)."""
        self.by_hand: dict[str, Instant] = {}
        """UIDs of PersistentVolumes that somebody made by hand, and when."""
        self.made_again: dict[str, Instant] = {}
        """Tenancies of which somebody made the PersistentVolume again, and when last."""
        self.backups: dict[str, Pv] = {}
        """PersistentVolumes as they were when last a claim had them, by name."""
        self.forged: set[str] = set()
        """Tenancies whose folder somebody made by hand."""
        self.taken_back: dict[str, Instant] = {}
        """Questions whose answers were taken back, and when."""
        self.since: dict[str, Instant] = {}
        """What stands against a wipe, and since when."""
        self.committed: dict[str, Instant] = {}
        """Orders that are or were committed, and when that was last seen."""
        self.released: dict[str, Instant] = {}
        """UIDs of PersistentVolumes that are released, and since when."""
        self.was_bound: set[tuple[str, str]] = set()
        """(tenancy, UID of a claim that was bound to it)."""
        self.forgotten: set[str] = set()
        """UIDs of claims that were there when etcd was set back, and of which that one knows nothing."""
        self.given: set[tuple[str, str]] = set()
        """(tenancy, claim that a controller pointed its PersistentVolume at, or made it for)."""
        self.unrecorded: set[str] = set()
        """UIDs of released PersistentVolumes beside which the volume's object was deleted, with all that was
        said there."""
        self.witnessed: set[str] = set()
        """Tenancies that a daemon has seen somebody have; its journal was not lost since."""
        self.erased = 0
        """How many pieces of data were deleted by the last look."""
        self.unwitnessed: set[str] = set()
        """Tenancies that were given back, and of which the journal that knew it was lost or is older."""
        self.unproven: set[str] = set()
        """Tenancies of which bytes were gone when the journal became one from right before they went."""
        self.unseen: set[str] = set()
        """Tenancies that an older etcd put on offer after they were used."""

    def have_a_machine(self, *, dirty: bool, spare: bool) -> None:
        self.disks = [Disk(Identity(virtual=f"8:{n}", size_bytes=1 << 30, fs_uuid=f"fs-{n}")) for n in (1, 2)]
        if dirty:
            self.disks[0].strays.add(Item(STRANGER, "backup"))
        if spare:
            self.disks[1].strays.add(Item(STRANGER, "archive"))
        self.machine = Machine(self.disks[0])
        self.node = Node(self.cluster, self.machine)

    def entry_for(self, of: PoolSettings) -> DesiredDisk:
        """What the inventory says of the disk, with these settings of its pool."""
        return desired(of)

    def disk_on_record(self) -> Disk:
        """The disk whose identity is on record; without a record: the first, which the entry was for."""
        volume = self.cluster.etcd.volume
        recorded = volume.status.identity if volume is not None else None
        return (self._disk_of(recorded) if recorded is not None else None) or self.disks[0]

    def data_in_question(self) -> frozenset[Item]:
        """What a person is asked about: all that is on the disk on record, without one on the disk reported;
        and the data of the volume's own tenancies, on whichever disk."""
        volume = self.cluster.etcd.volume
        status = volume.status if volume is not None else VolumeStatus()
        reported = status.disk.identity if status.disk is not None else None
        told = status.identity or reported
        disk = self._disk_of(told) if told is not None else None
        found = disk.items() if disk is not None else set()
        own = {status.tenancy, *map(tenancy_of, self.cluster.etcd.pvs.values())}
        for each in self.disks:
            for place, items in each.places():
                found |= items if place in own else set()
        return frozenset(found)

    def _disk_of(self, identity: Identity) -> Disk | None:
        return next((each for each in self.disks if same_hardware(each.identity, identity)), None)

    def has_answers(self) -> bool:
        volume = self.cluster.etcd.volume
        admin = volume.spec.admin if volume is not None else None
        return admin is not None and any(
            getattr(admin, name) is not None
            for name in ("adopt", "restore", "wipe_now", "accept_identity", "forget", "approve")
        )

    def question(self) -> str:
        volume = self.cluster.etcd.volume
        question = volume.status.question if volume is not None else None
        return question.id if question is not None else ""

    def say(self, **fields: Any) -> None:
        volume = self.cluster.etcd.volume
        if volume is not None:
            admin = change(volume.spec.admin, **fields)
            self.cluster.change_volume(spec=change(volume.spec, admin=admin))
