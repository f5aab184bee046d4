"""One disk's whole world in memory: the API (`cluster`), the machine (`machine`), and who decides about it.

The planner, the daemon's decision and its guards are the real ones. `Sim` is the calm world of the scenarios
in test_life.py: one controller that sees everything at once. model/ has the other one.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from disk_daemon import api
from disk_daemon.jobs import Job
from disk_daemon.known import Entry, Live
from tests.unit.life.cluster import (
    BOUND_BY,
    NAME,
    NODE,
    START,
    Cluster,
    Conflict,
    Objects,
    change,
    desired,
    pool,
    spec_of,
)
from tests.unit.life.cluster import tenancy as tenancy
from tests.unit.life.machine import Child, Daemon, Disk, Item, Letter, Machine, Mounted
from tidb_volume import names
from tidb_volume.fleet import Fleet
from tidb_volume.inventory.expand import DesiredDisk
from tidb_volume.life import actions, answers, breaker
from tidb_volume.life.actions import Action, Plan
from tidb_volume.life.around import Around
from tidb_volume.life.conflict import peer_of, twin
from tidb_volume.life.daemon import is_out_of_service
from tidb_volume.life.foreign import disk_of
from tidb_volume.life.look import pick_pv, tenancy_of
from tidb_volume.life.plan import plan
from tidb_volume.life.world import Annotated, Fresh, Mine, World
from tidb_volume.units import Instant
from tidb_volume.upstream import Claim, Pv
from tidb_volume.value import (
    Admin,
    DiskReport,
    Identity,
    Order,
    Phase,
    Presence,
    Ref,
    Volume,
    VolumeStatus,
)

__all__ = ["NAME", "NODE", "START", "Sim", "change", "desired", "pool", "tenancy"]

FLEET_VOLUMES = 100
SCATTER = 0x851F42D4C957F2D
IDENTITY = Identity(virtual="8:17", size_bytes=1 << 30, fs_uuid="made-by-the-admin")


class Controller:
    """One controller in one term: its view of the API, and what it remembers of its own doing."""

    def __init__(self, cluster: Cluster, wanted: DesiredDisk | None, name: str = "a") -> None:
        self.cluster, self.wanted, self.name = cluster, wanted, name
        self.elsewhere: tuple[Pv, ...] = ()
        self.left_by_label = False
        self.around = Around()
        self.mine = Mine()
        self.view, self.beside = Objects(), Objects()
        self.transient_since = Instant(0.0)
        self.missed_until = Instant(0.0)
        self.log: list[Action] = []
        self.catch_up()

    def catch_up(self) -> None:
        """See everything as it is."""
        self.view = self.cluster.etcd.copy()
        neighbour = self.cluster.neighbour
        self.beside = neighbour.etcd.copy() if neighbour is not None else Objects()

    def refresh(self) -> None:
        """Read the volume and its PersistentVolumes from the server, as after a conflict."""
        self.view.volume = self.cluster.etcd.volume
        self.view.pvs = dict(self.cluster.etcd.pvs)

    def world(self, volume: Volume) -> World:
        view, node = self.view, self.cluster.node
        n = next(self.cluster.ids)
        pvs = tuple(pv for pv in view.pvs.values() if disk_of(pv) == self.cluster.name)
        picked = pick_pv(pvs)
        claim = self._claim(picked.spec.claim_ref if picked is not None else None)
        key = f"{claim.metadata.namespace}/{claim.metadata.name}" if claim is not None else ""
        return World(
            volume=volume,
            desired=self.wanted,
            # Later tenancies come before earlier ones as often as not: they are random.
            fresh=Fresh(order=f"order-{n}", tenancy=tenancy(n * SCATTER % (1 << 60)), question=f"q-{n}"),
            leader=self.name,
            node=node,
            node_names_with_hostname=(self.cluster.node_name,) if node else (),
            daemon=self.cluster.daemon,
            pvs=pvs,
            elsewhere=self.elsewhere or self._elsewhere(volume),
            claim=claim,
            named_claim=view.claims.get(str(answers.named(volume))),
            pods=tuple(pod for of, pod in view.pods.items() if of == key),
            fleet=view.fleet,
            fleet_volumes=FLEET_VOLUMES,
            left_by_label=self.left_by_label,
            transient_since=self.transient_since,
            missed_until=self.missed_until,
            mine=self.mine,
            around=self._around(volume),
        )

    def _elsewhere(self, volume: Volume) -> tuple[Pv, ...]:
        """PersistentVolumes of the neighbour for the tenancy that is on this disk."""
        disk = volume.status.disk
        of = [
            pv for pv in self.beside.pvs.values() if disk is not None and tenancy_of(pv) == disk.tenancy != ""
        ]
        return tuple(of)

    def _around(self, volume: Volume) -> Around:
        """As in volume_controller/snapshot.py, for two volumes of one node."""
        if self.beside.volume is None:
            return self.around
        peers = [peer for each in (volume, self.beside.volume) if (peer := peer_of(each)) is not None]
        return change(self.around, twin=twin(volume, peers, lambda: ()))

    def _claim(self, ref: Ref | None) -> Claim | None:
        claim = self.view.claims.get(str(ref)) if ref is not None else None
        return claim if claim is not None and ref is not None and claim.metadata.uid == ref.uid else None

    def plan(self) -> Plan:
        """What this controller would do now; a listed disk without a volume gets one."""
        assert self.view.volume is not None
        return plan(self.cluster.now, self.world(self.view.volume))

    def step(self) -> Action | str | None:
        """Decide once and do it. A conflict is answered by reading anew."""
        if self.view.volume is None:
            if self.wanted is None:
                return None
            try:
                self.view.volume = self.cluster.create_volume(spec_of(self.wanted))
            except Conflict:
                self.refresh()
                return "conflict"
            return "created"
        volume, action = self.view.volume, self.plan().action
        if action is None:
            return None
        self.log.append(action)
        return self.attempt(volume, action)

    def attempt(self, volume: Volume, action: Action) -> Action | str:
        """Carry out what was decided about `volume`, however long ago that was."""
        try:
            self.do(volume, action)
        except Conflict:
            self.refresh()
            return "conflict"
        return action

    def do(self, volume: Volume, action: Action) -> None:
        """One call, as in volume_controller/act.py; the answer is in the view at once."""
        cluster, view = self.cluster, self.view
        uid, rv = volume.metadata.uid, volume.metadata.resource_version
        match action:
            case actions.PatchStatus(status=status):
                now = cluster.etcd.volume
                theirs = now.status if now is not None else status
                written = change(status, disk=theirs.disk, work=theirs.work)
                view.volume = cluster.change_volume(uid, rv, status=written)
                if status.phase is Phase.AVAILABLE and not status.committed:
                    self.mine = Mine()
            case actions.WriteOrder(order=order):
                view.volume = cluster.change_volume(uid, rv, spec=change(volume.spec, order=order))
                if order is not None:
                    self.mine = change(self.mine, orders=self.mine.orders | {order.id})
            case actions.WriteSpec(spec=spec):
                now = cluster.etcd.volume
                admin = now.spec.admin if now is not None else spec.admin
                view.volume = cluster.change_volume(uid, rv, spec=change(spec, admin=admin))
            case actions.CountWipe(tenancy=counted):
                if view.fleet is None:
                    return
                after = breaker.spend(view.fleet, FLEET_VOLUMES, cluster.now)
                view.fleet = cluster.breaker(after, view.fleet.metadata.resource_version)
                if not after.tripped:
                    self.mine = change(self.mine, counted=self.mine.counted | {counted})
            case actions.CountClaim(uid=counted):
                if view.fleet is None:
                    return
                after = breaker.spend(view.fleet, FLEET_VOLUMES, cluster.now, wipes=0, claims=1)
                view.fleet = cluster.breaker(after, view.fleet.metadata.resource_version)
                if not after.tripped:
                    self.mine = change(self.mine, counted=self.mine.counted | {counted})
            case actions.DeleteClaim():
                node = cluster.node if action.node == cluster.node_name else None
                if node is not None and not is_out_of_service(node):
                    return
                key = f"{action.namespace}/{action.name}"
                cluster.let_go(key, action.uid, action.resource_version)
                cluster.kube()
                view.claims = {of: claim for of, claim in view.claims.items() if of != key}
            case actions.DeletePv():
                cluster.delete_pv(action.name, action.uid, action.resource_version)
                self.mine = change(self.mine, deleted=self.mine.deleted | {action.uid})
                cluster.kube()
                view.pvs = {k: v for k, v in view.pvs.items() if v.metadata.uid != action.uid}
                if action.name in cluster.etcd.pvs:
                    view.pvs[action.name] = cluster.etcd.pvs[action.name]
            case actions.CreatePv(manifest=manifest):
                pv = cluster.create_pv(manifest)
                view.pvs[pv.metadata.name] = pv
            case actions.SetClaimRef():
                found = cluster.change_pv(action.name, action.uid, action.resource_version)
                annotations = {k: v for k, v in found.metadata.annotations.items() if k != BOUND_BY}
                ref = {k: v for k, v in action.patch["spec"]["claimRef"].items() if v is not None}
                view.pvs[action.name] = cluster.change_pv(
                    action.name,
                    action.uid,
                    action.resource_version,
                    metadata=change(found.metadata, annotations=annotations),
                    spec=change(found.spec, claim_ref=msgspec.convert(ref, Ref, strict=False)),
                )
            case actions.AnnotatePv():
                before = cluster.change_pv(action.name, action.uid, action.resource_version).metadata
                annotations = {**before.annotations, names.PROVISIONED_BY: names.PROVISIONER}
                meta = change(before, annotations=annotations)
                view.pvs[action.name] = cluster.change_pv(
                    action.name, action.uid, action.resource_version, metadata=meta
                )
                annotated = Annotated(pv_uid=action.uid, times=action.times, at=cluster.now)
                self.mine = change(self.mine, annotated=annotated)
            case actions.DeleteVolume():
                cluster.delete_volume(uid, rv)
                view.volume = None


def _claim(volume: Volume) -> str:
    owner = volume.status.owner
    return owner.claim.uid if owner is not None and owner.claim is not None else ""


class Node:
    """The daemons of one machine, and its kubelet."""

    child = Child
    """What carries out an order."""

    def __init__(self, cluster: Cluster, machine: Machine) -> None:
        self.cluster, self.machine = cluster, machine
        self.about_to_begin: Callable[[Order, Disk, bool], None] = lambda order, disk, anew: None
        self.observed: Callable[[Volume], None] = lambda volume: None
        self.unreadable = ""
        """Why the daemons can neither read the API nor write to it; empty: they can."""
        self.kubelet_hangs = False
        """It stops no container any more."""
        self.written = 0
        """How often the daemons wrote a status."""

    def live(self) -> Live:
        etcd, now = self.cluster.etcd, self.cluster.now
        if self.unreadable:
            return Live(read_at=now, error=self.unreadable)
        slot = self.machine.slot
        known = self.machine.journal_of(slot.identity) if slot is not None else None
        tenancies = (
            (known.handed, known.order.ends if known.order else "") if isinstance(known, Entry) else ()
        )
        named = api.pv_names(self.cluster.name, etcd.volume, tenancies)
        pvs = [
            pv
            for pv in etcd.pvs.values()
            if pv.metadata.labels.get(names.LABEL_DISK) == self.cluster.name or pv.metadata.name in named
        ]
        return Live(read_at=now, volume=etcd.volume, fleet=etcd.fleet, pvs=tuple(pvs))

    def begin(self, daemon: Daemon) -> bool:
        """Make a child for the order that stands, if it has to be carried out."""
        volume = self.cluster.etcd.volume
        if volume is None or daemon.child is not None:
            return False
        order = daemon.order_to_carry(volume, self._report(volume))
        if order is None:
            return False
        daemon.child = self.child(
            self.machine, volume, order, self.live, lambda: self.cluster.now, self.about_to_begin
        )
        return True

    def advance(self, daemon: Daemon) -> bool:
        """One step of the child; its end leaves a letter. False: nothing to do."""
        child = daemon.child
        if child is None:
            return False
        if next(child.steps, None) is None:
            daemon.child = None
            volume = self.cluster.etcd.volume
            if child.work is not None and volume is not None:
                if child.work.state != "running":
                    daemon.answered, daemon.work = (child.order.id, child.order.withdrawn), child.work
                disk = self._report(volume)
                daemon.letters.append(Letter(volume.metadata.uid, disk, child.work))
        return True

    def observe(self, daemon: Daemon) -> None:
        """Look at the disk, and have the report ready to be written."""
        volume = self.cluster.etcd.volume
        if volume is None:
            return
        self.machine.note(self._job(volume))
        self.observed(volume)
        report, order = self._report(volume), volume.spec.order
        current = daemon.work is not None and order is not None and daemon.work.order_id == order.id
        said = volume.status.work
        unsaid = said is None or order is None or said.order_id != order.id
        work = daemon.work if current and unsaid else None
        daemon.letters.append(Letter(volume.metadata.uid, report, work))

    def _job(self, volume: Volume) -> Job:
        """What a child is told that only looks."""
        return Job(id=1, kind="observe", tenancy=volume.status.tenancy, claim_uid=_claim(volume))

    def _report(self, volume: Volume) -> DiskReport:
        return self.machine.report(volume.status.identity, _claim(volume))

    def write(self, letter: Letter) -> bool:
        """Write one letter; what is already so is not written. Whether anything changed."""
        before = self.cluster.etcd.volume
        if self.unreadable or before is None or before.metadata.uid != letter.uid:
            return False
        work = before.status.work
        if letter.work is not None and (work is None or change(work, at=letter.work.at) != letter.work):
            work = letter.work
        changed = self.cluster.change_status(letter.uid, disk=letter.disk, work=work) is not before
        self.written += changed
        return changed

    def obey(self, daemon: Daemon) -> bool:
        """Carry out the order to its end, look, and tell. Whether anything changed."""
        acted = False
        if daemon.child is not None or self.begin(daemon):
            while self.advance(daemon):
                pass
        self.observe(daemon)
        for letter in daemon.letters:
            acted |= self.write(letter)
        daemon.letters = []
        return acted

    def kubelet(self) -> None:
        """Stop the containers whose pods are gone, start those whose folder is there."""
        etcd, machine = self.cluster.etcd, self.machine
        by_uid = {pod.metadata.uid: key for key, pod in etcd.pods.items()}
        if not self.kubelet_hangs:
            machine.running = {uid: at for uid, at in machine.running.items() if uid in by_uid}
        for uid, key in by_uid.items():
            claim = etcd.claims.get(key)
            pv = etcd.pvs.get(claim.spec.volume_name) if claim is not None else None
            disk = machine.slot
            if uid in machine.running or claim is None or pv is None or pv.spec.local is None:
                continue
            ref = pv.spec.claim_ref
            if claim.status.phase != "Bound" or ref is None or ref.uid != claim.metadata.uid:
                continue
            path = pv.spec.local.path
            at_root = not (path.startswith(names.block_node("")) or f"/{names.FOLDER}/" in path)
            tenancy = tenancy_of(pv) if at_root else path.rpartition("/")[2]
            if disk is None or not machine.mounted:
                continue
            if at_root:
                disk.rooted = tenancy
            if at_root or tenancy in disk.tenancies:
                machine.running[uid] = Mounted(disk, tenancy, claim.metadata.uid)


class Sim:
    """One disk on one node. `settle()` carries plans out until nothing is left to do."""

    def __init__(self, wanted: DesiredDisk | None = None, fleet: Fleet | None = None) -> None:
        wanted = wanted or desired()
        self.cluster = Cluster(wanted, fleet)
        self.disk = Disk(IDENTITY)
        self.machine = Machine(self.disk)
        self.node_side = Node(self.cluster, self.machine)
        self.daemon = Daemon()
        self.controller = Controller(self.cluster, wanted)
        self.daemon_up = True
        self.deleted_by_person = False

    # --- what is there ---

    @property
    def now(self) -> Instant:
        return self.cluster.now

    @now.setter
    def now(self, now: Instant) -> None:
        self.cluster.now = now

    @property
    def volume(self) -> Volume | None:
        return self.cluster.etcd.volume

    @property
    def spec(self):  # type: ignore[no-untyped-def]
        assert self.volume is not None
        return self.volume.spec

    @property
    def status(self) -> VolumeStatus:
        assert self.volume is not None
        return self.volume.status

    def phase(self) -> Phase:
        return self.status.phase

    @property
    def pvs(self) -> list[Pv]:
        return list(self.cluster.etcd.pvs.values())

    @property
    def log(self) -> list[Action]:
        return self.controller.log

    @property
    def folder(self) -> str:
        """The one tenancy on the disk, or none."""
        return next(iter(self.disk.tenancies), "")

    @property
    def wiped(self) -> list[str]:
        """The tenancies whose data orders have deleted, each once an order."""
        return [order.ends for order in dict.fromkeys(erased.order for erased in self.machine.erased)]

    @property
    def data(self) -> set[Item]:
        return self.disk.items()

    # --- what people and Kubernetes do ---

    def bind(self, claim: str = "db/data-0", pod: bool = True) -> Claim:
        """A claim of that name takes the disk; its pod writes there."""
        if claim not in self.cluster.etcd.claims:
            self.cluster.create_claim(claim)
        self.cluster.choose(claim)
        self.cluster.kube()
        made = self.cluster.etcd.claims[claim]
        if pod:
            self.cluster.start_pod(claim)
            self.node_side.kubelet()
        for folder in self.disk.tenancies.values():
            folder.add(Item(made.metadata.uid))
        return made

    def release(self, claim: str = "db/data-0") -> None:
        """Pod and claim are deleted."""
        self.cluster.etcd.pods.pop(claim, None)
        self.node_side.kubelet()
        self.cluster.etcd.claims.pop(claim)
        self.cluster.kube()
        self.look()

    def look(self) -> None:
        """The daemon looks at the disk, and tells."""
        self.node_side.observe(self.daemon)
        for letter in self.daemon.letters:
            self.node_side.write(letter)
        self.daemon.letters = []

    def policy(self, policy: str) -> None:
        for pv in self.pvs:
            spec = change(pv.spec, persistent_volume_reclaim_policy=policy)
            self.cluster.change_pv(pv.metadata.name, spec=spec)

    def clear_claim_ref(self) -> None:
        for pv in self.pvs:
            self.cluster.change_pv(pv.metadata.name, spec=change(pv.spec, claim_ref=None))
        self.cluster.kube()

    def delete_pvs(self) -> None:
        """By hand, and with force."""
        self.cluster.etcd.pvs.clear()
        self.cluster.kube()

    def admin(self, **fields: object) -> None:
        spec = change(self.spec, admin=change(self.spec.admin or Admin(), **fields))
        self.cluster.change_volume(spec=spec)

    def answer(self) -> str:
        """The id of the question that stands."""
        assert self.status.question is not None
        return self.status.question.id

    def pause(self, paused: bool) -> None:
        fleet = self.cluster.etcd.fleet
        assert fleet is not None
        self.cluster.change_fleet(spec=change(fleet.spec, paused=paused))

    def want(self, wanted: DesiredDisk | None) -> None:
        """The inventory says this now."""
        self.controller.wanted = wanted

    def new_leader(self) -> None:
        self.controller = Controller(self.cluster, self.controller.wanted, name="b")

    def is_there(self, presence: Presence | None) -> None:
        """What the daemon says of the disk; None: the truth."""
        self.machine.presence = presence

    # --- carrying plans out ---

    def plan(self) -> Plan:
        self.controller.catch_up()
        return self.controller.plan()

    def step(self) -> Action | str | None:
        """Plan once and carry the action out."""
        self.controller.catch_up()
        return self.controller.step()

    def until(self, *kinds: type) -> None:
        """Steps of the controller alone, up to one of this kind."""
        for _ in range(20):
            if isinstance(self.step(), kinds):
                return
        raise AssertionError(f"no {kinds} in {self.log}")

    def obey(self) -> bool:
        return self.node_side.obey(self.daemon)

    def settle(self, steps: int = 60) -> None:
        """Controller, daemon and Kubernetes in turn until none has anything to do."""
        for _ in range(steps):
            acted = self.step() is not None
            acted |= self.cluster.kube()
            self.node_side.kubelet()
            if self.daemon_up:
                acted |= self.obey()
            if not acted:
                return
        raise AssertionError(f"did not settle: {self.log[-6:]}")

    def later(self, seconds: float) -> None:
        """Time passes, and all that is due is done."""
        self.now = Instant(self.now + seconds)
        self.settle()
