"""From the stores to the one immutable snapshot that a decision about a volume is made from."""

from __future__ import annotations

import base64
import secrets
import threading
from collections.abc import Collection, Iterable

from tidb_volume import names
from tidb_volume.identity import unique_facts
from tidb_volume.life import answers, conflict, daemon, foreign, places
from tidb_volume.life.around import Around, around
from tidb_volume.life.conflict import Peer
from tidb_volume.life.look import pick_pv
from tidb_volume.life.places import Place
from tidb_volume.life.world import Annotated, Daemon, Fresh, Mine, World
from tidb_volume.units import Instant
from tidb_volume.upstream import Claim, Node, Pod, Pv
from tidb_volume.value import Volume
from volume_controller.cluster import (
    BY_CLAIM,
    BY_DISK,
    BY_FACT,
    BY_HOSTNAME,
    BY_NODE,
    BY_PATH,
    BY_TENANCY,
    SHARED,
    Cluster,
    Wanted,
)


def fresh() -> Fresh:
    """Ids by chance, 60 bits each, never used before."""
    return Fresh(order=_draw(), tenancy=_draw(), question=_draw())


def _draw() -> str:
    return base64.b32encode(secrets.token_bytes(8)).decode().lower()[:12]


class Memory:
    """What one leader remembers of its own doing, by volume. It ends with its term, on purpose."""

    def __init__(self, missed_until: Instant = Instant(0.0)) -> None:  # noqa: B008 - a plain number
        self.missed_until = missed_until
        """As `World.missed_until` has it."""
        self._lock = threading.Lock()
        self._mine: dict[str, Mine] = {}
        self._since: dict[str, Instant] = {}
        self._hands: dict[str, tuple[tuple[bool, bool], Instant]] = {}

    def missed(self, until: Instant, now: Instant) -> None:
        """Until then people may not have been heard; that was no later than now, whatever a clock said."""
        self.missed_until = min(max(self.missed_until, until), now)

    def mine(self, volume: str) -> Mine:
        """What this leader did to a volume."""
        with self._lock:
            return self._mine.get(volume, Mine())

    def since(self, volume: str, now: Instant) -> Instant:
        """Since when nothing was done about a volume that is on its way."""
        with self._lock:
            return self._since.setdefault(volume, now)

    def moved(self, volume: str) -> None:
        """Something was done about it, or it has come to rest."""
        with self._lock:
            self._since.pop(volume, None)

    def daemon(self, node: str, *, up: bool, ready: bool, now: Instant) -> Daemon:
        """A node's daemon, and since when this leader has seen node and daemon like this."""
        with self._lock:
            known = self._hands.get(node)
            if known is None or known[0] != (up, ready):
                known = self._hands[node] = ((up, ready), now)
            return Daemon(ready=ready, since=known[1])

    def did(
        self,
        volume: str,
        *,
        ordered: str = "",
        deleted: str = "",
        counted: str = "",
        annotated: Annotated | None = None,
    ) -> None:
        """This leader wrote an order (its id), was answered the delete of a PersistentVolume (its UID),
        counted a wipe in the breaker's ledger (the tenancy), or put an annotation back."""
        with self._lock:
            mine = self._mine.get(volume, Mine())
            self._mine[volume] = Mine(
                orders=mine.orders | _one(ordered),
                deleted=mine.deleted | _one(deleted),
                counted=mine.counted | _one(counted),
                annotated=annotated or mine.annotated,
            )

    def begun_anew(self, volume: str) -> None:
        """A new tenancy is on offer: what was remembered of the one before is of no use any more."""
        with self._lock:
            self._mine.pop(volume, None)


def _one(what: str) -> frozenset[str]:
    return frozenset({what} if what else ())


def world(
    cluster: Cluster, wanted: Wanted, volume: Volume, memory: Memory, leader: str, now: Instant
) -> World:
    """Gather the snapshot for one volume."""
    name = volume.metadata.name
    node = cluster.nodes.get(volume.spec.node_name)
    hostname = node.metadata.labels.get(names.HOSTNAME, "") if node is not None else ""
    pvs = cluster.pvs.by_index(BY_DISK, name)
    tenancy = volume.status.disk.tenancy if volume.status.disk is not None else ""
    ours = {pv.metadata.name for pv in pvs}
    elsewhere = cluster.pvs.by_index(BY_TENANCY, tenancy) if tenancy else ()
    claim = _claim(cluster, pick_pv(pvs))
    named = answers.named(volume)
    ready = any(map(daemon.is_ready, cluster.daemons.by_index(BY_NODE, volume.spec.node_name)))
    return World(
        volume=volume,
        desired=wanted.desired.disks.get(name),
        fresh=fresh(),
        leader=leader,
        node=node,
        node_names_with_hostname=tuple(
            sorted(other.metadata.name for other in cluster.nodes.by_index(BY_HOSTNAME, hostname))
        )
        if hostname
        else (),
        daemon=memory.daemon(volume.spec.node_name, up=daemon.is_up(node), ready=ready, now=now),
        pvs=pvs,
        elsewhere=tuple(pv for pv in elsewhere if pv.metadata.name not in ours),
        claim=claim,
        named_claim=cluster.claims.get(named.name, named.namespace) if named is not None else None,
        pods=_pods(cluster, claim, volume.spec.node_name),
        fleet=cluster.fleet,
        fleet_volumes=len(cluster.volumes),
        left_by_label=name in wanted.left_by_label,
        missed_until=memory.missed_until,
        transient_since=memory.since(name, now),
        mine=memory.mine(name),
        around=_around(cluster, wanted, volume, node),
    )


def _around(cluster: Cluster, wanted: Wanted, volume: Volume, node: Node | None) -> Around:
    name = volume.spec.node_name
    found = cluster.reports.get(name)
    report = found.status if found is not None else None
    hostname = node.metadata.labels.get(names.HOSTNAME, "") if node is not None else ""
    at = places.place(volume, report)
    seen = conflict.new_identity(volume)

    def raised() -> tuple[Peer, ...]:
        # Asked for each new disk of a machine: it must not cost the square of how many a machine has.
        shown = report.disks if report is not None else ()
        facts = {fact for disk in shown if disk.identity for fact in unique_facts(disk.identity)}
        elsewhere = {
            other.metadata.name: conflict.peer_of(other)
            for fact in facts
            for other in cluster.volumes.by_index(BY_FACT, fact)[:SHARED]
            if other.spec.node_name != name
        }
        if elsewhere:
            elsewhere |= {
                own.metadata.name: conflict.peer_of(own)
                for own in cluster.volumes.by_index(BY_NODE, name)
                if conflict.is_established(own)
            }
        return conflict.raised(name, report, filter(None, elsewhere.values()))

    return around(
        volume,
        node,
        report,
        at,
        theirs(cluster, volume, at, hostname),
        _peers(cluster, name, unique_facts(seen)) if seen is not None else (),
        raised,
        wanted.forbids,
    )


def theirs(cluster: Cluster, volume: Volume, at: Place | None, hostname: str) -> Collection[Pv]:
    """The PersistentVolumes of others that may cover a volume's disk: no more than those below its names."""
    found = {
        pv.metadata.name: pv
        for key in foreign.asked_for(volume, at, hostname)
        for pv in cluster.pvs.by_index(BY_PATH, key)
    }
    return found.values()


def _peers(cluster: Cluster, node: str, facts: Iterable[str]) -> list[Peer]:
    """Everybody who shows a disk with one of these facts, but for the node's own survey. A survey of a node
    that is gone says nothing."""
    found: dict[tuple[str, str, str], Peer] = {}
    for fact in facts:
        sharing = cluster.volumes.by_index(BY_FACT, fact)
        # However many share it, the node's own are among them: those a person can't tell apart.
        own = (each for each in sharing[SHARED:] if each.spec.node_name == node)
        shown = [conflict.peer_of(volume) for volume in (*sharing[:SHARED], *own)]
        for report in cluster.reports.by_index(BY_FACT, fact)[:SHARED]:
            other = report.metadata.name
            if other != node and cluster.nodes.get(other) is not None:
                shown += conflict.peers_in(other, report.status)
        for peer in shown:
            if peer is not None:
                found[peer.node, peer.volume, peer.name] = peer
    return list(found.values())


def _claim(cluster: Cluster, pv: Pv | None) -> Claim | None:
    ref = pv.spec.claim_ref if pv is not None else None
    if ref is None:
        return None
    claim = cluster.claims.get(ref.name, ref.namespace)
    return claim if claim is not None and claim.metadata.uid == ref.uid else None


def _pods(cluster: Cluster, claim: Claim | None, node_name: str) -> tuple[Pod, ...]:
    if claim is None:
        return ()
    users = cluster.pods.by_index(BY_CLAIM, (claim.metadata.namespace, claim.metadata.name))
    return tuple(pod for pod in users if pod.spec.node_name == node_name)
