"""The cluster as the controller knows it: a store for each kind, and who has to look again when one changes.

Only keys travel from here: which volume, which pool's class, the inventory. What changed is not passed on,
since a decision looks at what is, never at which event came.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Set
from enum import StrEnum
from typing import Any

import msgspec

from tidb_volume import names
from tidb_volume.fleet import Fleet
from tidb_volume.identity import unique_facts
from tidb_volume.inventory.codes import Severity
from tidb_volume.inventory.expand import Desired, Forbids
from tidb_volume.kube import kinds
from tidb_volume.kube.client import Client
from tidb_volume.kube.queue import Priority, Queue
from tidb_volume.kube.reflector import Reflector
from tidb_volume.kube.store import Change, Store
from tidb_volume.kube.transport import Stop
from tidb_volume.life import conflict, foreign, places
from tidb_volume.life.answers import named
from tidb_volume.life.daemon import is_ready
from tidb_volume.life.foreign import disk_of
from tidb_volume.life.look import pv_state, tenancy_of
from tidb_volume.upstream import Claim, ConfigMap, DaemonPod, Node, Pod, Pv, StorageClass
from tidb_volume.value import Volume, VolumeNode


class Topic(StrEnum):
    """What a key is about."""

    VOLUME = "volume"
    INVENTORY = "inventory"
    BREAKER = "breaker"
    CLASS = "class"
    SURVEY = "survey"


class Wanted(msgspec.Struct, frozen=True):
    """What the inventory wants, as of one look: replaced whole, so that no decision mixes two of them."""

    desired: Desired
    left_by_label: dict[str, str]
    """By volume: the digest of the item that still lists it, though no label matches any more."""
    unread: tuple[str, ...] = ()
    """The ConfigMaps that are refused and of which nothing is in force: what nobody else lists may well be
    listed there."""
    forbids: Forbids = Forbids(())
    """The `never` globs, to be asked of every name of a disk."""


class Key(msgspec.Struct, frozen=True):
    """One thing to look at: a volume, a pool's StorageClass or a node's survey by name, or one of the single
    ones."""

    topic: Topic
    name: str = ""


INVENTORY = Key(Topic.INVENTORY)
BREAKER = Key(Topic.BREAKER)

BY_DISK = "by disk"
BY_TENANCY = "by tenancy"
BY_CLAIM = "by claim"
BY_NODE = "by node"
BY_HOSTNAME = "by hostname"
BY_FACT = "by fact"
BY_PATH = "by path"

SHARED = 64
"""A fact that more disks than this have tells nothing (a serial that a vendor never changed): so many of them
are looked at, which is enough to refuse a newcomer."""

FEW = 32
"""So many volumes of one edit, a machine's worth, go before all that was listed: whoever made it stands there
and waits. More are a mass, and nobody else's claim or disk waits behind it."""


def pod_claims(pod: Pod) -> Iterable[tuple[str, str]]:
    """Namespace and name of each claim that a pod uses; an ephemeral volume's claim is named POD-VOLUME
    (KEP-1698)."""
    for volume in pod.spec.volumes:
        if volume.persistent_volume_claim is not None:
            yield pod.metadata.namespace, volume.persistent_volume_claim.claim_name
        elif volume.ephemeral is not None:
            yield pod.metadata.namespace, f"{pod.metadata.name}-{volume.name}"


def _pv_disk(pv: Pv) -> Iterable[str]:
    disk = disk_of(pv)
    return (disk,) if disk else ()


def _pv_claim(pv: Pv) -> Iterable[tuple[str, str]]:
    ref = pv.spec.claim_ref
    return ((ref.namespace, ref.name),) if ref is not None and disk_of(pv) else ()


_DEVICES = "/dev/"


def _report_paths(node: VolumeNode) -> Iterable[str]:
    """The folders by which a survey's disks go. Not the root of the system, which every path begins with and
    whose disk nobody can list; nor devices, each of another name, by which few volumes of others go."""
    shown = (name for disk in node.status.disks for name in places.names_of(disk))
    return {name for name in shown if name != "/" and not name.startswith(_DEVICES)}


def _volume_facts(volume: Volume) -> Iterable[str]:
    peer = conflict.peer_of(volume)
    return unique_facts(peer.identity) if peer is not None else ()


def _report_facts(node: VolumeNode | None) -> set[str]:
    if node is None:
        return set()
    peers = conflict.peers_in(node.metadata.name, node.status)
    return {fact for peer in peers for fact in unique_facts(peer.identity)}


def _hostname(node: Node) -> Iterable[str]:
    hostname = node.metadata.labels.get(names.HOSTNAME)
    return (hostname,) if hostname else ()


def _found_tenancy(volume: Volume) -> Iterable[str]:
    disk = volume.status.disk
    return (disk.tenancy,) if disk is not None and disk.tenancy else ()


def _named_claim(volume: Volume) -> Iterable[tuple[str, str]]:
    to = named(volume)
    return ((to.namespace, to.name),) if to is not None else ()


class Cluster:
    """Stores for all that a decision looks at, and the queue of what to look at next."""

    def __init__(self, queue: Queue[Key], namespace: str) -> None:
        self.queue = queue
        self.namespace = namespace
        self.volumes: Store[Volume] = Store()
        self.fleets: Store[Fleet] = Store()
        self.pvs: Store[Pv] = Store()
        self.claims: Store[Claim] = Store()
        self.pods: Store[Pod] = Store()
        self.nodes: Store[Node] = Store()
        self.daemons: Store[DaemonPod] = Store()
        self.reports: Store[VolumeNode] = Store()
        self.config_maps: Store[ConfigMap] = Store()
        self.kept: Store[ConfigMap] = Store()
        self.classes: Store[StorageClass] = Store()
        self.wanted: Wanted | None = None
        """What the inventory wants; None until it has been read whole, and until then nothing is decided."""
        self.said_of_inventory: dict[str, dict[Severity, int]] = {}
        """By ConfigMap how much the leader has against it, of each severity."""
        self._mass: set[str] = set()
        """Volumes of a mass edit that have not come to rest since."""

        self.volumes.add_index(BY_NODE, lambda volume: (volume.spec.node_name,))
        self.volumes.add_index(BY_FACT, _volume_facts)
        self.volumes.add_index(BY_CLAIM, _named_claim)
        self.volumes.add_index(BY_TENANCY, _found_tenancy)
        self.reports.add_index(BY_FACT, _report_facts)
        self.pvs.add_index(BY_PATH, foreign.found_by)
        self.volumes.add_index(BY_PATH, lambda volume: filter(None, (volume.spec.source.path,)))
        self.reports.add_index(BY_PATH, _report_paths)
        self.pvs.add_index(BY_DISK, _pv_disk)
        self.pvs.add_index(BY_CLAIM, _pv_claim)
        self.pvs.add_index(BY_TENANCY, lambda pv: filter(None, (tenancy_of(pv),)))
        self.pods.add_index(BY_CLAIM, pod_claims)
        self.nodes.add_index(BY_HOSTNAME, _hostname)
        self.daemons.add_index(BY_NODE, lambda pod: (pod.spec.node_name,))

        self.volumes.on_change(self._volume_told)
        self.volumes.on_change(self._volume_changed)
        self.reports.on_change(self._report_changed)
        self.pvs.on_change(self._pv_told)
        self.pvs.on_change(self._pv_of_others_changed)
        self.claims.on_change(self._each(self._claim_disks))
        self.pods.on_change(self._each(self._pod_disks))
        self.nodes.on_change(self._node_changed)
        self.daemons.on_change(self._daemon_changed)
        self.fleets.on_change(self._fleet_changed)
        self.config_maps.on_change(lambda change: self._add(INVENTORY, change))
        self.kept.on_change(lambda change: self._add(INVENTORY, change))
        self.classes.on_change(lambda change: self._add(Key(Topic.CLASS, change.key[1]), change))

    def reflectors(self, api: Client, stop: Stop) -> list[Reflector[Any]]:
        """One list and watch for each store; who owns the threads runs them."""
        ours = f"{names.LABEL_INVENTORY}=true"
        return [
            Reflector(api, kinds.TIDB_VOLUME, self.volumes, stop=stop),
            Reflector(api, kinds.TIDB_VOLUME_FLEET, self.fleets, stop=stop),
            Reflector(api, kinds.PV, self.pvs, stop=stop),
            Reflector(api, kinds.CLAIM, self.claims, stop=stop),
            Reflector(api, kinds.POD, self.pods, stop=stop),
            Reflector(api, kinds.NODE, self.nodes, stop=stop),
            Reflector(api, kinds.TIDB_VOLUME_NODE, self.reports, stop=stop),
            Reflector(
                api,
                kinds.DAEMON_POD,
                self.daemons,
                stop=stop,
                namespace=self.namespace,
                labels=f"{names.LABEL_APP}={names.DAEMON}",
            ),
            Reflector(
                api, kinds.CONFIG_MAP, self.config_maps, stop=stop, namespace=self.namespace, labels=ours
            ),
            Reflector(
                api,
                kinds.CONFIG_MAP,
                self.kept,
                stop=stop,
                namespace=self.namespace,
                labels=f"{names.LABEL_LAST_GOOD}=true",
            ),
            Reflector(api, kinds.STORAGE_CLASS, self.classes, stop=stop),
        ]

    @property
    def synced(self) -> bool:
        """Whether every store has held a whole list; until then absence means nothing."""
        return all(store.synced for store in self._stores())

    def on_set_back(self, handler: Callable[[], None]) -> None:
        """Have `handler` called when a store finds that etcd was set back, before the store shows it."""
        for store in self._stores():
            store.on_set_back(handler)

    def _stores(self) -> tuple[Store[Any], ...]:
        return (
            self.volumes,
            self.fleets,
            self.pvs,
            self.claims,
            self.pods,
            self.nodes,
            self.daemons,
            self.reports,
            self.config_maps,
            self.kept,
            self.classes,
        )

    @property
    def fleet(self) -> Fleet | None:
        """The one fleet object; None: deleted, which is paused and tripped."""
        return self.fleets.get(names.FLEET)

    def look_at_all(self) -> None:
        """Have everything looked at again: at the begin of a term, and after a new inventory."""
        self.queue.add(INVENTORY)
        self.queue.add(BREAKER)
        for volume in self.volumes.all():
            self.queue.add(Key(Topic.VOLUME, volume.metadata.name), Priority.LISTED)
        for report in self.reports.all():
            if self.nodes.get(report.metadata.name) is None:
                self.queue.add(Key(Topic.SURVEY, report.metadata.name), Priority.LISTED)

    def look_at_edited(self, volumes: Set[str], *, at_start: bool = False) -> None:
        """Have the volumes looked at that an edit concerns. Of a mass, each stays behind what others wait for
        until it has come to rest, or somebody waits for it too: its claim, a pod, a person's word. A set has
        no order, which spreads a mass over the machines: their daemons work side by side."""
        if len(volumes) <= FEW and not at_start:
            for name in volumes:
                self.queue.add(Key(Topic.VOLUME, name))
            return
        self._mass.update(volumes)
        for name in volumes:
            self.queue.add(Key(Topic.VOLUME, name), Priority.LISTED)

    def at_rest(self, volume: str) -> None:
        """A volume has come to where it waits for nothing that is under way."""
        self._mass.discard(volume)

    def priority(self, volume: str) -> Priority:
        """Of a volume's next step, where nothing but its last one calls for it."""
        return Priority.WIDE if volume in self._mass else Priority.LIVE

    # --- who has to look again ---

    def _add(self, key: Key, change: Change[Any], priority: Priority = Priority.LIVE) -> None:
        self.queue.add(key, Priority.LISTED if change.listed else priority)

    def _each(self, disks: Callable[[Any], Iterable[str]]) -> Callable[[Change[Any]], None]:
        def changed(change: Change[Any]) -> None:
            found = {disk for item in (change.old, change.new) if item is not None for disk in disks(item)}
            for disk in found:
                self._add(Key(Topic.VOLUME, disk), change)

        return changed

    def _volume_told(self, change: Change[Volume]) -> None:
        """A person's word goes first, also on one of a mass; its daemon's answer is the mass's next step."""
        old, new, name = change.old, change.new, change.key[1]
        spoken = old is not None and new is not None and old.spec.admin != new.spec.admin
        self._add(Key(Topic.VOLUME, name), change, Priority.LIVE if spoken else self.priority(name))
        if old is not None and new is None and self.nodes.get(old.spec.node_name) is None:
            self._look_at_survey(old.spec.node_name, change)

    def _pv_told(self, change: Change[Pv]) -> None:
        old, new = change.old, change.new
        if old is not None and new is not None and _tells(old) == _tells(new):
            return  # a finalizer, or the phase of one that nobody has
        seen = [each for each in (old, new) if each is not None]
        named = any(each.spec.claim_ref is not None for each in seen)
        disks = {disk for each in seen for disk in _pv_disk(each)}
        for each in seen:
            # A disk on which that tenancy was found is in conflict for as long as its volume is another's.
            found = self.volumes.by_index(BY_TENANCY, tenancy_of(each))
            disks.update(volume.metadata.name for volume in found)
        for disk in disks:
            self._add(Key(Topic.VOLUME, disk), change, Priority.LIVE if named else self.priority(disk))

    def _claim_disks(self, claim: Claim) -> Iterable[str]:
        """The disk that a claim has, by its own word or by the PersistentVolume's, which is there first; and
        those that a person wants to give to it: whether they can be given hangs on what it is bound to."""
        pv = self.pvs.get(claim.spec.volume_name) if claim.spec.volume_name else None
        yield from _pv_disk(pv) if pv is not None else ()
        key = (claim.metadata.namespace, claim.metadata.name)
        for promised in self.pvs.by_index(BY_CLAIM, key):
            yield from _pv_disk(promised)
        yield from (volume.metadata.name for volume in self.volumes.by_index(BY_CLAIM, key))

    def _pod_disks(self, pod: Pod) -> Iterable[str]:
        for namespace, name in pod_claims(pod):
            claim = self.claims.get(name, namespace)
            if claim is not None:
                yield from self._claim_disks(claim)

    def _node_changed(self, change: Change[Node]) -> None:
        old, new = change.old, change.new
        if old is not None and new is not None and _bears(old) == _bears(new):
            return  # a heartbeat
        if old is None or new is None or _found_by(old) != _found_by(new):
            # Which takes a look at every disk of the fleet, and none where nodes only come and go as Ready.
            self._add(INVENTORY, change, Priority.WIDE)
        if old is None or new is None:
            self._look_at_facts(_report_facts(self.reports.get(change.key[1])), change)
            self._look_at_survey(change.key[1], change)
        for node in (old, new):
            if node is None:
                continue
            self._look_at_node(node.metadata.name, change)
            for hostname in _hostname(node):
                for other in self.nodes.by_index(BY_HOSTNAME, hostname):
                    self._look_at_node(other.metadata.name, change)

    def _daemon_changed(self, change: Change[DaemonPod]) -> None:
        old, new = change.old, change.new
        before = (old.spec.node_name, is_ready(old)) if old is not None else None
        after = (new.spec.node_name, is_ready(new)) if new is not None else None
        if before == after:
            return
        for node_name in {each[0] for each in (before, after) if each is not None}:
            self._look_at_node(node_name, change)

    def _look_at_node(self, node: str, change: Change[Any]) -> None:
        """Whatever is on a machine: a rack that comes back is hundreds, and holds up no claim."""
        for volume in self.volumes.by_index(BY_NODE, node):
            self._add(Key(Topic.VOLUME, volume.metadata.name), change, Priority.WIDE)

    # --- what stands around a disk ---

    def _look_at(self, volumes: Iterable[Volume], change: Change[Any]) -> None:
        for volume in volumes:
            name = volume.metadata.name
            self._add(Key(Topic.VOLUME, name), change, self.priority(name))

    def _look_at_facts(self, facts: Iterable[str], change: Change[Any]) -> None:
        """Whoever may be the same disk."""
        for fact in facts:
            self._look_at(self.volumes.by_index(BY_FACT, fact)[:SHARED], change)

    def _volume_changed(self, change: Change[Volume]) -> None:
        """What one volume has on record may end another's conflict, or a whole node's being put aside."""
        before = conflict.peer_of(change.old) if change.old is not None else None
        after = conflict.peer_of(change.new) if change.new is not None else None
        if before == after:
            return
        facts = {fact for peer in (before, after) if peer is not None for fact in unique_facts(peer.identity)}
        self._look_at_facts(facts, change)
        for fact in facts:
            for report in self.reports.by_index(BY_FACT, fact)[:SHARED]:
                on_node = self.volumes.by_index(BY_NODE, report.metadata.name)
                self._look_at((each for each in on_node if not conflict.is_established(each)), change)

    def _report_changed(self, change: Change[VolumeNode]) -> None:
        self._look_at(self.volumes.by_index(BY_NODE, change.key[1]), change)
        self._look_at_facts(_report_facts(change.old) ^ _report_facts(change.new), change)
        if self.nodes.get(change.key[1]) is None:
            self._look_at_survey(change.key[1], change)

    def _look_at_survey(self, node: str, change: Change[Any]) -> None:
        """Of a node that goes, comes back, or is gone: what was seen of it may be nobody's any more."""
        if self.reports.get(node) is not None:
            self._add(Key(Topic.SURVEY, node), change, Priority.WIDE)

    def _pv_of_others_changed(self, change: Change[Pv]) -> None:
        old, new = change.old, change.new
        if old is not None and new is not None and _covers_as(old) == _covers_as(new):
            return
        for pv in (old, new):
            if pv is None:
                continue
            for node in self.nodes_to_ask(pv):
                self._look_at(self._covered(pv, node), change)
            self._look_at(self._copied(pv), change)

    def nodes_to_ask(self, pv: Pv) -> Collection[str]:
        """The nodes on which a PersistentVolume of others may cover a listed disk: those that it names, else
        those where some disk has a name that its path begins with."""
        found: set[str] = set()
        for host in foreign.hosts(pv):
            if host:
                found.update(node.metadata.name for node in self.nodes.by_index(BY_HOSTNAME, host))
            elif places.normal(foreign.path_of(pv)).startswith(_DEVICES):
                found.update(node.metadata.name for node in self.nodes.all())
            else:
                for path in places.ways_to(foreign.path_of(pv)):
                    found.update(each.metadata.name for each in self.reports.by_index(BY_PATH, path))
                    found.update(each.spec.node_name for each in self.volumes.by_index(BY_PATH, path))
        return found

    def _covered(self, pv: Pv, node: str) -> Iterable[Volume]:
        found = self.reports.get(node)
        report = found.status if found is not None else None
        for volume in self.volumes.by_index(BY_NODE, node):
            if foreign.covers(pv, volume, places.place(volume, report), report):
                yield volume

    def _copied(self, pv: Pv) -> Iterable[Volume]:
        """The volume whose place of ours a PersistentVolume of others shows."""
        path = places.normal(foreign.path_of(pv))
        if foreign.hosts(pv) and foreign.is_among_our_places(path):
            yield from (each for each in self.volumes.all() if foreign.is_our_place(path, each))

    def _fleet_changed(self, change: Change[Fleet]) -> None:
        old, new = change.old, change.new
        self._add(BREAKER, change)
        before = (old.spec, old.status.breaker.tripped) if old is not None else None
        after = (new.spec, new.status.breaker.tripped) if new is not None else None
        if before != after:
            for volume in self.volumes.all():
                self._add(Key(Topic.VOLUME, volume.metadata.name), change, Priority.WIDE)


def _tells(pv: Pv) -> tuple[object, ...]:
    """All of a PersistentVolume of ours that a decision looks at."""
    meta = pv.metadata
    return (
        meta.uid,
        meta.labels,
        meta.annotations,
        meta.deletion_timestamp,
        pv.spec,
        pv_state(pv),
    )


def _covers_as(pv: Pv) -> tuple[object, ...]:
    return disk_of(pv), foreign.path_of(pv), pv.spec.node_affinity


def _found_by(node: Node) -> tuple[object, ...]:
    """All of a node that an inventory's entry can name."""
    return node.metadata.labels, node.status.addresses


def _bears(node: Node) -> tuple[object, ...]:
    """All of a node that a decision looks at."""
    return (
        node.metadata.uid,
        node.metadata.labels,
        node.metadata.deletion_timestamp,
        node.spec,
        node.status.addresses,
        [
            (condition.type, condition.status)
            for condition in node.status.conditions
            if condition.type == "Ready"
        ],
    )
