"""From the stores to the one immutable snapshot that a decision about a volume is made from."""

from __future__ import annotations

import base64
import secrets
import threading

import msgspec

from tidb_volume import names
from tidb_volume.life import answers
from tidb_volume.life.look import pick_pv
from tidb_volume.life.world import Fresh, Mine, World
from tidb_volume.units import Instant
from tidb_volume.value import Claim, Pod, Pv, Volume
from volume_controller.cluster import BY_CLAIM, BY_DISK, BY_HOSTNAME, BY_TENANCY, Cluster, Wanted


def fresh() -> Fresh:
    """Ids by chance, 60 bits each, never used before."""
    return Fresh(order=_draw(), tenancy=_draw(), question=_draw())


def _draw() -> str:
    return base64.b32encode(secrets.token_bytes(8)).decode().lower()[:12]


class Memory:
    """What one leader remembers of its own doing, by volume. It ends with its term, on purpose."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mine: dict[str, Mine] = {}
        self._since: dict[str, Instant] = {}

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

    def ordered(self, volume: str, order: str) -> None:
        """This leader wrote an order."""
        with self._lock:
            mine = self._mine.get(volume, Mine())
            self._mine[volume] = msgspec.structs.replace(mine, orders=mine.orders | {order})

    def deleted(self, volume: str, pv_uid: str) -> None:
        """The delete of a PersistentVolume was answered to this leader."""
        with self._lock:
            mine = self._mine.get(volume, Mine())
            self._mine[volume] = msgspec.structs.replace(mine, deleted=mine.deleted | {pv_uid})

    def counted(self, volume: str, tenancy: str) -> None:
        """This leader counted the wipe of a tenancy in the breaker's ledger."""
        with self._lock:
            mine = self._mine.get(volume, Mine())
            self._mine[volume] = msgspec.structs.replace(mine, counted=mine.counted | {tenancy})

    def begun_anew(self, volume: str) -> None:
        """A new tenancy is on offer: what was remembered of the one before is of no use any more."""
        with self._lock:
            self._mine.pop(volume, None)


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
        pvs=pvs,
        elsewhere=tuple(pv for pv in elsewhere if pv.metadata.name not in ours),
        claim=claim,
        named_claim=cluster.claims.get(named.name, named.namespace) if named is not None else None,
        pods=_pods(cluster, claim, volume.spec.node_name),
        fleet=cluster.fleet,
        fleet_volumes=len(cluster.volumes),
        left_by_label=name in wanted.left_by_label,
        transient_since=memory.since(name, now),
        mine=memory.mine(name),
    )


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
