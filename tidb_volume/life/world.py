"""What a decision is made from: one volume and all that bears on it, as an immutable snapshot.

Gathering this is the controller's work (`volume_controller/snapshot.py`); deciding from it is pure. Two
things in it are not seen in the cluster but remembered by the leader itself, since nothing in the cluster
can tell them: which orders this leader wrote, and which deletes of a PersistentVolume were answered to it.
A new leader has neither and takes the careful branch.
"""

from __future__ import annotations

from tidb_volume.fleet import Fleet
from tidb_volume.inventory.expand import DesiredDisk
from tidb_volume.life.around import Around
from tidb_volume.units import Instant
from tidb_volume.upstream import Claim, Node, Pod, Pv
from tidb_volume.value import Value, Volume


class Annotated(Value):
    """How often the annotation of one PersistentVolume was put back, and when last."""

    pv_uid: str
    times: int
    at: Instant


class Mine(Value):
    """A leader's own memory, lost with it on purpose."""

    orders: frozenset[str] = frozenset()
    """Ids of the orders for this volume that this leader wrote."""
    deleted: frozenset[str] = frozenset()
    """UIDs of this volume's PersistentVolumes whose delete was answered to this leader."""
    counted: frozenset[str] = frozenset()
    """Tenancies whose wipe this leader has counted in the breaker's ledger."""
    annotated: Annotated | None = None


class Daemon(Value):
    """The disk-daemon of a node, by what the kubelet reports of its pod; no pod is the same as not Ready."""

    ready: bool = False
    since: Instant = Instant(0.0)
    """Since when this leader has seen node and daemon as they are now."""


class Fresh(Value):
    """Ids drawn for this one decision, never used before."""

    order: str
    tenancy: str
    question: str


class World(Value):
    """All that one decision about one volume may look at."""

    volume: Volume
    desired: DesiredDisk | None
    """Its inventory entry; None: no entry lists it any more."""
    fresh: Fresh
    leader: str = ""
    node: Node | None = None
    node_names_with_hostname: tuple[str, ...] = ()
    """Every node that carries this node's hostname label; more than one offers nothing."""
    daemon: Daemon = Daemon()
    pvs: tuple[Pv, ...] = ()
    """Every PersistentVolume that names this disk in its label, in whatever state."""
    elsewhere: tuple[Pv, ...] = ()
    """PersistentVolumes of other volumes that name the tenancy found on this disk."""
    claim: Claim | None = None
    """The claim that the bound PersistentVolume names, if its UID is the same."""
    named_claim: Claim | None = None
    """The claim that a person's answer names (`answers.named`), if one of that name exists."""
    pods: tuple[Pod, ...] = ()
    """Pods on this node that use that claim."""
    fleet: Fleet | None = None
    fleet_volumes: int = 0
    """How many volumes the fleet has, for the breaker's share."""
    left_by_label: bool = False
    """Its entry is still in the text, and only a label changed: kept, cordoned, until the text changes."""
    missed_until: Instant = Instant(0.0)
    """What was said before that this leader may not have heard: nobody led for long, etcd was set back and
    has lost it, or the clock has leapt ahead. No countdown that began earlier has told anybody in time."""
    transient_since: Instant = Instant(0.0)
    """Since when this leader has seen the volume in a state that should end by itself."""
    mine: Mine = Mine()
    around: Around = Around()
    """What stands around the disk: its other names, others' PersistentVolumes, the same disk elsewhere."""

    @property
    def never(self) -> str:
        """The `never` glob that forbids the disk, by the entry's text or under another of its names."""
        return self.around.never or (self.desired.never if self.desired is not None else "")

    @property
    def listed(self) -> bool:
        """An entry lists it, or would but for a label that changed."""
        return self.desired is not None or self.left_by_label
