"""What a command reads of the cluster, and the world that the planner decides from, built of it.

It needs no more rights than what is asked: a read without which the answer is only shorter is optional, and
what was missing is said at the end. Nothing here is cached between runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from tidb_volume import names
from tidb_volume.inventory import expand, merge
from tidb_volume.inventory.expand import Desired
from tidb_volume.kube import codec, kinds, transport
from tidb_volume.kube.client import Client
from tidb_volume.kube.kinds import Kind
from tidb_volume.life.look import pick_pv
from tidb_volume.life.world import Fresh, Mine, World
from tidb_volume.value import Claim, Fleet, Node, PhaseOnly, Pod, Pv, SlimMeta, Value, Volume

T = TypeVar("T")
D = TypeVar("D")

NAMESPACE = "tidb-volume"
EVENTS = 5000
"""So many Events are looked at; a server keeps them for an hour."""


class Requirement(Value):
    """One expression of a label selector."""

    key: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()


class Selector(Value):
    """A label selector."""

    match_labels: dict[str, str] = msgspec.field(default_factory=dict)
    match_expressions: tuple[Requirement, ...] = ()


class Amounts(Value):
    """How much is asked for."""

    requests: dict[str, str] = msgspec.field(default_factory=dict)


class WishSpec(Value):
    """A claim's spec."""

    volume_name: str = ""
    storage_class_name: str = ""
    volume_mode: str = "Filesystem"
    access_modes: tuple[str, ...] = ()
    resources: Amounts = Amounts()
    selector: Selector | None = None


class Wish(Value):
    """What a claim asks for (core/v1 PersistentVolumeClaim), as far as a local volume can give it."""

    metadata: SlimMeta
    spec: WishSpec = WishSpec()
    status: PhaseOnly = PhaseOnly()


WISH: Kind[Wish] = Kind("PersistentVolumeClaim", "v1", "persistentvolumeclaims", Wish, namespaced=True)


class Inventory(Value):
    """What is declared: read from the ConfigMaps and the controller's copies of what it accepted."""

    decision: merge.Decision
    desired: Desired


NOTHING = Desired()


class Reader:
    """Reads from one API server; `lacks` collects the rights that were missing for what is optional."""

    def __init__(self, api: Client, namespace: str = NAMESPACE) -> None:
        self.api = api
        self.namespace = namespace
        self.lacks: list[str] = []

    def optional(self, read: Callable[[], T], otherwise: D) -> T | D:
        """What `read` gives, or `otherwise` where the right is missing or there is no such kind."""
        try:
            return read()
        except transport.ApiError as error:
            if error.status not in (403, 404):
                raise
            self.lacks.append(error.message)
            return otherwise

    def volumes(self, labels: str = "") -> tuple[Volume, ...]:
        """Every TidbVolume, by name."""
        found, _ = self.api.list(kinds.TIDB_VOLUME, labels=labels)
        return tuple(sorted(found, key=lambda volume: volume.metadata.name))

    def fleet(self) -> Fleet | None:
        """The fleet object; None where there is none, which is paused and tripped."""
        return self.api.find(kinds.TIDB_VOLUME_FLEET, names.FLEET)

    def nodes(self) -> tuple[Node, ...]:
        """Every Node."""
        return self.api.list(kinds.NODE)[0]

    def pvs(self, volume: str = "") -> tuple[Pv, ...]:
        """The PersistentVolumes of one disk, or of all."""
        labels = f"{names.LABEL_DISK}={volume}" if volume else names.LABEL_DISK
        return self.api.list(kinds.PV, labels=labels)[0]

    def lease(self) -> codec.Lease | None:
        """Who leads."""
        return self.optional(lambda: self.api.find(kinds.LEASE, names.LEASE, self.namespace), None)

    def inventory(self, nodes: Sequence[Node]) -> Inventory | None:
        """What is declared today; None where it may not be read."""
        found = self.optional(self._config_maps, None)
        if found is None:
            return None
        in_force, seen = found
        decision = merge.decide(in_force, seen)
        return Inventory(decision=decision, desired=expand.expand(decision.inventory, nodes))

    def _config_maps(self) -> tuple[dict[str, merge.Accepted], dict[str, dict[str, str]]]:
        declared, _ = self.api.list(kinds.CONFIG_MAP, self.namespace, labels=f"{names.LABEL_INVENTORY}=true")
        kept, _ = self.api.list(kinds.CONFIG_MAP, self.namespace, labels=f"{names.LABEL_LAST_GOOD}=true")
        in_force = {}
        for copy in kept:
            name = copy.metadata.annotations.get(names.LABEL_INVENTORY, "")
            if name:
                in_force[name] = merge.load(name, copy.data)
        return in_force, {each.metadata.name: dict(each.data) for each in declared}

    def events(self, selector: str) -> tuple[codec.Event, ...]:
        """Events of every namespace, the oldest first, told once each."""
        found: list[codec.Event] = []
        for page in self.api.pages(kinds.EVENT, fields=selector):
            found.extend(page.items)
            if len(found) >= EVENTS:
                break
        return tuple(sorted(found, key=told_at))

    def worlds(self, volumes: Iterable[Volume], pvs: Iterable[Pv] | None = None) -> dict[str, World]:
        """The planner's world of each volume, without claims and pods; none if the inventory is unknown."""
        nodes = self.nodes()
        inventory = self.inventory(nodes)
        if inventory is None:
            return {}
        fleet = self.fleet()
        by_disk: dict[str, list[Pv]] = {}
        for pv in self.pvs() if pvs is None else pvs:
            by_disk.setdefault(pv.metadata.labels.get(names.LABEL_DISK, ""), []).append(pv)
        return {
            volume.metadata.name: world(
                volume, inventory.desired, nodes, tuple(by_disk.get(volume.metadata.name, ())), fleet
            )
            for volume in volumes
        }

    def users(self, of: World) -> World:
        """The same world with the claim that has the volume and the pods that use it."""
        pv = pick_pv(of.pvs)
        ref = pv.spec.claim_ref if pv is not None else None
        if ref is None or not ref.uid:
            return of
        claim = self.optional(lambda: self.api.find(kinds.CLAIM, ref.name, ref.namespace), None)
        if claim is None or claim.metadata.uid != ref.uid:
            return of
        on_node = f"spec.nodeName={of.volume.spec.node_name}"
        pods = self.optional(lambda: self.api.list(kinds.POD, ref.namespace, fields=on_node)[0], ())
        using = tuple(pod for pod in pods if uses(pod, claim.metadata.name))
        return msgspec.structs.replace(of, claim=claim, pods=using)


def uses(pod: Pod, claim: str) -> bool:
    """Whether a pod names this claim of its namespace, or has it as an ephemeral volume's (KEP-1698)."""
    for volume in pod.spec.volumes:
        if volume.persistent_volume_claim is not None and volume.persistent_volume_claim.claim_name == claim:
            return True
        if volume.ephemeral is not None and f"{pod.metadata.name}-{volume.name}" == claim:
            return True
    return False


def claims_of(pod: Pod) -> tuple[str, ...]:
    """The names of the claims that a pod uses."""
    found = []
    for volume in pod.spec.volumes:
        if volume.persistent_volume_claim is not None:
            found.append(volume.persistent_volume_claim.claim_name)
        elif volume.ephemeral is not None:
            found.append(f"{pod.metadata.name}-{volume.name}")
    return tuple(found)


def told_at(event: codec.Event) -> str:
    """When an Event was told last."""
    return event.last_timestamp or event.first_timestamp or event.metadata.creation_timestamp or ""


def world(
    volume: Volume,
    desired: Desired,
    nodes: Sequence[Node],
    pvs: tuple[Pv, ...],
    fleet: Fleet | None,
    claim: Claim | None = None,
    pods: tuple[Pod, ...] = (),
) -> World:
    """The snapshot that the leading controller would decide from.

    A leader remembers which orders are its own; the one that stands is taken to be, since another leader's
    is asked again within a moment. No id is fresh here: what the planner says is told, never written.
    """
    name, order, status = volume.metadata.name, volume.spec.order, volume.status
    node = next((each for each in nodes if each.metadata.name == volume.spec.node_name), None)
    hostname = node.metadata.labels.get(names.HOSTNAME, "") if node is not None else ""
    sharing = [each.metadata.name for each in nodes if _hostname(each.metadata.labels) == hostname]
    counted = {status.tenancy, status.question.id if status.question else ""}
    return World(
        volume=volume,
        desired=desired.disks.get(name),
        fresh=Fresh(order="-", tenancy="-", question="-"),
        node=node,
        node_names_with_hostname=tuple(sorted(sharing)) if hostname else (),
        pvs=pvs,
        claim=claim,
        pods=pods,
        fleet=fleet,
        left_by_label=name in expand.left_by_label({name: _listed(volume)}, desired),
        mine=Mine(
            orders=frozenset({order.id} if order is not None else ()), counted=frozenset(counted - {""})
        ),
    )


def _hostname(labels: Mapping[str, str]) -> str:
    return labels.get(names.HOSTNAME, "")


def _listed(volume: Volume) -> expand.Listed:
    noted = volume.metadata.annotations
    return expand.Listed(
        listing=noted.get(names.ANNOTATION_LISTING, ""), left=noted.get(names.ANNOTATION_LEFT, "")
    )
