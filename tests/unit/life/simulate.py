"""A volume's surroundings in memory: just enough of an API server and a daemon to carry a plan out.

No mock: the planner under test is the real one, and what is here holds state and obeys preconditions.
"""

from __future__ import annotations

import itertools

import msgspec

from tidb_volume import names
from tidb_volume.inventory.expand import DesiredDisk
from tidb_volume.inventory.marks import Mark
from tidb_volume.inventory.model import PoolSettings
from tidb_volume.life import actions, breaker
from tidb_volume.life.actions import Action, Plan
from tidb_volume.life.plan import plan
from tidb_volume.life.world import Fresh, Mine, World
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import (
    Admin,
    Content,
    DiskReport,
    Fleet,
    FleetSpec,
    FleetStatus,
    Identity,
    Meta,
    Node,
    NodeCondition,
    NodeStatus,
    Order,
    Phase,
    PhaseOnly,
    Pod,
    PodClaim,
    PodSpec,
    PodVolume,
    Presence,
    Pv,
    Ref,
    SlimMeta,
    Source,
    Volume,
    VolumeSpec,
    VolumeStatus,
    WipePolicy,
    Work,
    WorkState,
)

NODE = "node-1"
SOURCE = Source(path="/data/disk0")
NAME = names.volume_name(NODE, SOURCE)
IDENTITY = Identity(virtual="8:17", size_bytes=1 << 30)
START = Instant(1_800_000_000.0)
change = msgspec.structs.replace


def pool(**settings: object) -> PoolSettings:
    return PoolSettings(**({"name": "tikv", "on_release": "wipe", "after": "1h"} | settings))  # type: ignore[arg-type]


def desired(of: PoolSettings | None = None, **more: object) -> DesiredDisk:
    fields: dict[str, object] = {
        "name": NAME,
        "node_name": NODE,
        "source": SOURCE,
        "pool": of or pool(),
        "volume_mode": "Filesystem",
        "fs_type": "",
        "mount_by": "daemon",
        "mark": Mark(),
        "listing": "l",
    }
    return DesiredDisk(**(fields | more))  # type: ignore[arg-type]


class Sim:
    """One disk on one node. `settle()` carries plans out until nothing is left to do."""

    def __init__(self, wanted: DesiredDisk | None = None, fleet: Fleet | None = None) -> None:
        wanted = wanted or desired()
        self.now = START
        self.ids = itertools.count(1)
        self.rv = itertools.count(100)
        self.desired: DesiredDisk | None = wanted
        self.left_by_label = False
        self.fleet: Fleet | None = fleet or Fleet(metadata=Meta(name="fleet", uid="f"))
        self.node: Node | None = Node(
            metadata=Meta(name=NODE, labels={names.HOSTNAME: "host-1"}),
            status=NodeStatus(conditions=(NodeCondition(type="Ready", status="True"),)),
        )
        self.volume: Volume | None = Volume(
            metadata=Meta(name=NAME, uid="v1", resource_version="1"),
            spec=VolumeSpec(
                node_name=NODE,
                pool=wanted.pool.name,
                source=SOURCE,
                wipe=WipePolicy(on_release=wanted.pool.on_release, after=wanted.pool.after, method="files"),
            ),
        )
        self.pvs: list[Pv] = []
        self.pods: list[Pod] = []
        self.mine = Mine()
        self.transient_since = Instant(0.0)
        self.log: list[Action] = []
        self.wiped: list[str] = []
        self.daemon_up = True
        # The disk itself, and the node's journal.
        self.folder = ""
        self.files = 0
        self.journal = ""
        self.foreign = ""
        self.in_use = ""
        self.presence = Presence.OK

    # --- what the daemon does ---

    def report(self) -> DiskReport:
        content = (
            Content.DATA
            if self.foreign and not self.folder
            else Content.TENANCY
            if self.folder
            else Content.BLANK
        )
        return DiskReport(
            presence=self.presence,
            identity=IDENTITY,
            capacity_bytes=1 << 30,
            content=content,
            content_note=self.foreign,
            tenancy=self.folder,
            empty=bool(self.folder) and self.files == 0,
            journal=self.journal,
            in_use=self.in_use,
        )

    def observe(self) -> None:
        assert self.volume is not None
        self._status(change(self.volume.status, disk=self.report()))

    def obey(self) -> None:
        """Carry out the order that stands, as a daemon would."""
        assert self.volume is not None
        order, status = self.volume.spec.order, self.volume.status
        if order is None or (status.work is not None and status.work.order_id == order.id):
            return
        destroys = order.kind == "reclaim" or bool(order.answer)
        if order.withdrawn:
            self._work(order, WorkState.REFUSED, "Withdrawn")
        elif self.folder == order.next and self.files == 0:
            self._work(order, WorkState.DONE)
        elif destroys and (status.committed != order.id or self.pvs):
            return
        elif self.folder != order.ends or (not destroys and (self.files or self.foreign)):
            self._work(order, WorkState.REFUSED, "HasData")
        elif self.in_use:
            return
        else:
            if destroys:
                self.wiped.append(order.ends)
            self.folder, self.files, self.foreign = (order.next if order.offer else ""), 0, ""
            self.journal = self.folder
            self._work(order, WorkState.DONE)

    def _work(self, order: Order, state: WorkState, reason: str = "") -> None:
        assert self.volume is not None
        work = Work(order_id=order.id, state=state, reason=reason, at=format_instant(self.now))
        self._status(change(self.volume.status, disk=self.report(), work=work))

    # --- what Kubernetes and people do ---

    def bind(self, claim: str = "data-0", pod: bool = True) -> None:
        pv = self.pvs[0]
        assert pv.spec.claim_ref is None
        ref = Ref(namespace="db", name=claim, uid=f"uid-{claim}-{next(self.ids)}")
        self.pv(spec=change(pv.spec, claim_ref=ref), status=PhaseOnly(phase="Bound"))
        self.files, self.in_use = 3, "pod db/tikv-0" if pod else ""
        if pod:
            self.pods = [
                Pod(
                    metadata=SlimMeta(name="tikv-0", namespace="db", uid="p1"),
                    spec=PodSpec(
                        node_name=NODE,
                        volumes=(PodVolume(persistent_volume_claim=PodClaim(claim_name=claim)),),
                    ),
                    status=PhaseOnly(phase="Running"),
                )
            ]
        self.observe()

    def release(self) -> None:
        self.pods, self.in_use = [], ""
        self.observe()
        self.pv(status=PhaseOnly(phase="Released"))

    def pv(self, **fields: object) -> None:
        """Change the one PersistentVolume."""
        pv = self.pvs[0]
        meta = change(pv.metadata, resource_version=str(next(self.rv)))
        self.pvs[0] = change(pv, metadata=meta, **fields)

    def policy(self, policy: str) -> None:
        self.pv(spec=change(self.pvs[0].spec, persistent_volume_reclaim_policy=policy))

    def admin(self, **fields: object) -> None:
        assert self.volume is not None
        spec = change(self.volume.spec, admin=change(self.volume.spec.admin or Admin(), **fields))
        self._volume(spec=spec)

    def pause(self, paused: bool) -> None:
        assert self.fleet is not None
        self.fleet = change(self.fleet, spec=FleetSpec(paused=paused, budget=self.fleet.spec.budget))

    def new_leader(self) -> None:
        self.mine = Mine()

    # --- carrying plans out ---

    def world(self) -> World:
        assert self.volume is not None
        n = next(self.ids)
        return World(
            volume=self.volume,
            desired=self.desired,
            fresh=Fresh(order=f"order-{n}", tenancy=tenancy(n), question=f"q-{n}"),
            node=self.node,
            node_names_with_hostname=(NODE,) if self.node else (),
            pvs=tuple(self.pvs),
            pods=tuple(self.pods),
            fleet=self.fleet,
            fleet_volumes=100,
            left_by_label=self.left_by_label,
            transient_since=self.transient_since,
            mine=self.mine,
        )

    def plan(self) -> Plan:
        return plan(self.now, self.world())

    def step(self) -> Action | None:
        """Plan once and carry the action out."""
        if self.volume is None:
            return None
        action = self.plan().action
        if action is not None:
            self.log.append(action)
            self.carry_out(action)
        return action

    def carry_out(self, action: Action) -> None:
        assert self.volume is not None
        match action:
            case actions.PatchStatus(status=status):
                self._status(status)
            case actions.WriteOrder(order=order):
                self._volume(spec=change(self.volume.spec, order=order))
                if order is not None:
                    self.mine = change(self.mine, orders=self.mine.orders | {order.id})
            case actions.WriteSpec(spec=spec):
                self._volume(spec=spec)
            case actions.CountWipe(tenancy=t):
                assert self.fleet is not None
                after = breaker.spend(self.fleet, 100, self.now)
                self.fleet = change(self.fleet, status=FleetStatus(breaker=after))
                if not after.tripped:
                    self.mine = change(self.mine, counted=self.mine.counted | {t})
            case actions.DeletePv(uid=uid):
                assert [pv.metadata.uid for pv in self.pvs] == [uid]
                self.pvs = []
                self.mine = change(self.mine, deleted=self.mine.deleted | {uid})
            case actions.CreatePv(manifest=manifest):
                assert not self.pvs, "a PersistentVolume is made only while no other exists for the disk"
                self.pvs = [_pv(manifest, f"pv-{next(self.ids)}", str(next(self.rv)))]
            case actions.AnnotatePv():
                annotations = {names.PROVISIONED_BY: names.PROVISIONER}
                self.pvs[0] = change(
                    self.pvs[0], metadata=change(self.pvs[0].metadata, annotations=annotations)
                )
            case actions.DeleteVolume():
                self.volume = None

    def settle(self, steps: int = 40) -> None:
        """Controller and daemon in turn until neither has anything to do."""
        for _ in range(steps):
            acted = self.step() is not None
            before = self.volume
            if self.volume is not None and self.daemon_up:
                self.obey()
                if self.volume.status.disk != self.report():
                    self.observe()
            if not acted and before is self.volume:
                return
        raise AssertionError(f"did not settle: {self.log[-6:]}")

    @property
    def status(self) -> VolumeStatus:
        assert self.volume is not None
        return self.volume.status

    def phase(self) -> Phase:
        return self.status.phase

    def _status(self, status: VolumeStatus) -> None:
        assert self.volume is not None
        self._volume(status=status)

    def _volume(self, **fields: object) -> None:
        assert self.volume is not None
        meta = change(self.volume.metadata, resource_version=str(next(self.rv)))
        self.volume = change(self.volume, metadata=meta, **fields)


def tenancy(n: int) -> str:
    """A tenancy's id for tests, in the shape of a real one."""
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    return "".join(letters[n >> shift & 31] for shift in range(55, -5, -5))


def _pv(manifest: dict[str, object], uid: str, rv: str) -> Pv:
    document = msgspec.convert(manifest, Pv, strict=False)
    meta = change(document.metadata, uid=uid, resource_version=rv)
    return change(document, metadata=meta, status=PhaseOnly(phase="Available"))
