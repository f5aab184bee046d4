"""An API server and Kubernetes' own controllers in memory, as far as one disk's life needs them.

Every object has a UID and a resourceVersion, a write may name both, and one that names an older version
fails. What kube-controller-manager does to volumes and claims follows syncVolume, syncClaim and unbindVolume
in pkg/controller/volume/persistentvolume of 1.37, and its protection controllers. tests/api/life_cases.py and
binding_cases.py run here and on the real ones; what they do not cover should not be relied on.
"""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from tidb_volume import names
from tidb_volume.fleet import Breaker, Fleet, FleetStatus
from tidb_volume.inventory import policy
from tidb_volume.inventory.expand import DesiredDisk
from tidb_volume.inventory.marks import Mark
from tidb_volume.inventory.model import PoolSettings
from tidb_volume.life.daemon import OUT_OF_SERVICE
from tidb_volume.life.world import Daemon
from tidb_volume.units import Instant
from tidb_volume.upstream import (
    Claim,
    Node,
    NodeCondition,
    NodeSpec,
    NodeStatus,
    PhaseOnly,
    Pod,
    PodClaim,
    PodSpec,
    PodVolume,
    Pv,
    PvcSpec,
    Taint,
)
from tidb_volume.value import (
    Meta,
    Ref,
    SlimMeta,
    Source,
    Volume,
    VolumeSpec,
    VolumeStatus,
    WipePolicy,
)

NODE = "node-1"
SOURCE = Source(path="/data/disk0")
NAME = names.volume_name(NODE, SOURCE)
START = Instant(1_800_000_000.0)
BOUND_BY = "pv.kubernetes.io/bound-by-controller"
change = msgspec.structs.replace


class Conflict(Exception):  # noqa: N818 - the server's own word
    """The server said no, and why: `NotFound`, `AlreadyExists`, `Conflict` or `Invalid`."""


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
        "conflict": "",
        "never": "",
    }
    return DesiredDisk(**(fields | more))  # type: ignore[arg-type]


def spec_of(wanted: DesiredDisk) -> VolumeSpec:
    method = policy.wipe_policy(wanted).method
    return VolumeSpec(
        node_name=wanted.node_name,
        pool=wanted.pool.name,
        source=wanted.source,
        volume_mode=wanted.volume_mode,
        fs_type=wanted.fs_type,
        mount_options=wanted.mount_options,
        wipe=WipePolicy(on_release=wanted.pool.on_release, after=wanted.pool.after, method=method),
    )


class Objects(msgspec.Struct):
    """All that etcd holds. The values are frozen, so a copy of this is a snapshot."""

    volume: Volume | None = None
    fleet: Fleet | None = None
    pvs: dict[str, Pv] = {}
    claims: dict[str, Claim] = {}
    """By namespace/name."""
    pods: dict[str, Pod] = {}

    def copy(self) -> Objects:
        return Objects(self.volume, self.fleet, dict(self.pvs), dict(self.claims), dict(self.pods))


class Cluster:
    """The API server. Only `now`, `node` and `daemon` are beside what etcd holds."""

    def __init__(self, wanted: DesiredDisk, fleet: Fleet | None = None) -> None:
        self.name, self.node_name = wanted.name, wanted.node_name
        self.neighbour: Cluster | None = None
        """Another volume of the same node, with objects of its own."""
        self.now = START
        self.ids = itertools.count(1)
        self.rv = itertools.count(100)
        self.node: Node | None = Node(
            metadata=Meta(name=self.node_name, labels={names.HOSTNAME: f"host-of-{self.node_name}"}),
            status=NodeStatus(conditions=(NodeCondition(type="Ready", status="True"),)),
        )
        self.daemon = Daemon(ready=True)
        self.writes = 0
        first = fleet or Fleet(metadata=Meta(name=names.FLEET, uid="f"))
        meta = change(first.metadata, resource_version=self.version())
        self.etcd = Objects(fleet=change(first, metadata=meta))
        self.create_volume(spec_of(wanted))

    def daemon_is(self, *, ready: bool) -> None:
        """What the kubelet says of the daemon's pod."""
        if ready is not self.daemon.ready:
            self.daemon = Daemon(ready=ready, since=self.now)

    def node_is(self, *, ready: bool) -> None:
        """What the heartbeat says of the node."""
        assert self.node is not None
        condition = NodeCondition(type="Ready", status="True" if ready else "Unknown")
        if self.node.status.conditions != (condition,):
            self.node = change(self.node, status=NodeStatus(conditions=(condition,)))
            self.daemon = change(self.daemon, since=self.now)

    def out_of_service(self, out: bool) -> None:
        """A person taints the node, or takes that back."""
        assert self.node is not None
        taints = (Taint(key=OUT_OF_SERVICE, effect="NoExecute"),) if out else ()
        self.node = change(self.node, spec=NodeSpec(taints=taints))

    def uid(self, prefix: str) -> str:
        return f"{prefix}-{next(self.ids)}"

    def version(self) -> str:
        self.writes += 1
        return str(next(self.rv))

    # --- TidbVolume and fleet ---

    def create_volume(self, spec: VolumeSpec) -> Volume:
        if self.etcd.volume is not None:
            raise Conflict("AlreadyExists")
        meta = Meta(name=self.name, uid=self.uid("v"), resource_version=self.version())
        self.etcd.volume = Volume(metadata=meta, spec=spec)
        return self.etcd.volume

    def change_volume(self, uid: str = "", rv: str = "", **fields: Any) -> Volume:
        """Patch the volume; `uid` and `rv` are preconditions where they are named."""
        volume = self.etcd.volume
        if volume is None:
            raise Conflict("NotFound")
        _check(volume.metadata, uid, rv)
        changed = change(volume, **fields)
        if changed.spec.node_name != volume.spec.node_name:
            raise Conflict("Invalid")
        if changed == volume:
            return volume
        meta = change(volume.metadata, resource_version=self.version())
        self.etcd.volume = change(changed, metadata=meta)
        return self.etcd.volume

    def change_status(self, uid: str = "", rv: str = "", **fields: Any) -> Volume:
        volume = self.etcd.volume
        status = volume.status if volume is not None else VolumeStatus()
        return self.change_volume(uid, rv, status=change(status, **fields))

    def delete_volume(self, uid: str = "", rv: str = "") -> None:
        self.change_volume(uid, rv)
        self.writes += 1
        self.etcd.volume = None

    def change_fleet(self, rv: str = "", **fields: Any) -> Fleet:
        fleet = self.etcd.fleet
        if fleet is None:
            raise Conflict("NotFound")
        _check(fleet.metadata, "", rv)
        changed = change(fleet, **fields)
        if changed != fleet:
            meta = change(fleet.metadata, resource_version=self.version())
            self.etcd.fleet = change(changed, metadata=meta)
        assert self.etcd.fleet is not None
        return self.etcd.fleet

    def breaker(self, breaker: Breaker, rv: str = "") -> Fleet:
        return self.change_fleet(rv, status=FleetStatus(breaker=breaker))

    # --- PersistentVolumes ---

    def create_pv(self, manifest: dict[str, Any]) -> Pv:
        pv = self.add_pv(msgspec.convert(manifest, Pv, strict=False))
        self.kube()
        return self.etcd.pvs[pv.metadata.name]

    def add_pv(self, pv: Pv) -> Pv:
        """Kubernetes has not seen it yet."""
        name = pv.metadata.name
        if name in self.etcd.pvs:
            raise Conflict("AlreadyExists")
        made = {"uid": self.uid("pv"), "resource_version": self.version(), "deletion_timestamp": None}
        meta, new = change(pv.metadata, **made), PhaseOnly(phase="Pending")
        self.etcd.pvs[name] = change(pv, metadata=meta, status=new)
        return self.etcd.pvs[name]

    def change_pv(self, name: str, uid: str = "", rv: str = "", **fields: Any) -> Pv:
        pv = self.etcd.pvs.get(name)
        if pv is None:
            raise Conflict("NotFound")
        _check(pv.metadata, uid, rv)
        changed = change(pv, **fields)
        if changed == pv:
            return pv
        meta = change(changed.metadata, resource_version=self.version())
        self.etcd.pvs[name] = change(changed, metadata=meta)
        return self.etcd.pvs[name]

    def delete_pv(self, name: str, uid: str = "", rv: str = "") -> Pv:
        """Mark it as Terminating; `kube` removes it once nothing protects it. Returns what it was."""
        before = self.change_pv(name, uid, rv)
        if before.metadata.deletion_timestamp is None:
            meta = change(before.metadata, deletion_timestamp="2027-01-01T00:00:00Z")
            self.change_pv(name, metadata=meta)
        return before

    def force_pv(self, name: str) -> None:
        """Delete it, and take its finalizers off."""
        self.writes += 1
        del self.etcd.pvs[name]

    # --- claims and pods ---

    def create_claim(self, key: str, volume_name: str = "") -> Claim:
        if key in self.etcd.claims:
            raise Conflict("AlreadyExists")
        namespace, name = key.split("/")
        meta = SlimMeta(
            namespace=namespace, name=name, uid=self.uid("claim"), resource_version=self.version()
        )
        spec = PvcSpec(volume_name=volume_name, storage_class_name="tikv")
        self.etcd.claims[key] = Claim(metadata=meta, spec=spec, status=PhaseOnly(phase="Pending"))
        return self.etcd.claims[key]

    def delete_claim(self, key: str) -> None:
        """With a pod that uses it, it is Terminating until the pod is gone."""
        claim = self.etcd.claims[key]
        if key not in self.etcd.pods:
            self.writes += 1
            del self.etcd.claims[key]
        elif not claim.metadata.deletion_timestamp:
            meta = change(claim.metadata, deletion_timestamp="2027-01-01T00:00:00Z")
            self._change_claim(claim, metadata=meta)

    def let_go(self, key: str, uid: str, rv: str) -> None:
        """Delete a claim as it was read."""
        claim = self.etcd.claims.get(key)
        if claim is None or (claim.metadata.uid, claim.metadata.resource_version) != (uid, rv):
            raise Conflict("Conflict")
        self.delete_claim(key)

    def choose(self, key: str) -> bool:
        """The scheduler binds a claim to a PersistentVolume that is on offer, if there is one for it."""
        claim = self.etcd.claims[key]
        if claim.spec.volume_name or claim.metadata.deletion_timestamp:
            return False
        for pv in sorted(self.etcd.pvs.values(), key=lambda pv: pv.spec.claim_ref is None):
            ref = pv.spec.claim_ref
            reserved = ref is not None and f"{ref.namespace}/{ref.name}" == key and not ref.uid
            free = pv.status.phase == "Available" and ref is None
            if pv.metadata.deletion_timestamp or not (reserved or free):
                continue
            self._point(pv, claim, ours=not reserved)
            return True
        return False

    def _point(self, pv: Pv, claim: Claim, *, ours: bool) -> None:
        meta, bound_by = pv.metadata, {BOUND_BY: "yes"} if ours else {}
        ref = Ref(namespace=claim.metadata.namespace, name=claim.metadata.name, uid=claim.metadata.uid)
        self.change_pv(
            meta.name,
            metadata=change(meta, annotations={**meta.annotations, **bound_by}),
            spec=change(pv.spec, claim_ref=ref),
        )

    def start_pod(self, key: str) -> Pod:
        """A pod that uses a claim; the kubelet decides whether it may start."""
        namespace, name = key.split("/")
        meta = SlimMeta(namespace=namespace, name=f"pod-{name}", uid=self.uid("pod"))
        volumes = (PodVolume(persistent_volume_claim=PodClaim(claim_name=name)),)
        pod = Pod(metadata=meta, spec=PodSpec(node_name=self.node_name, volumes=volumes))
        self.etcd.pods[key] = change(pod, status=PhaseOnly(phase="Running"))
        return self.etcd.pods[key]

    def kube(self) -> bool:
        """Let kube-controller-manager do all that it has to; whether it had anything to do."""
        acted = False
        while self._kube_once():
            acted = True
        return acted

    def _kube_once(self) -> bool:
        before = self.writes
        for key, claim in tuple(self.etcd.claims.items()):
            if claim.metadata.deletion_timestamp and key not in self.etcd.pods:
                self.writes += 1
                del self.etcd.claims[key]
        for pv in tuple(self.etcd.pvs.values()):
            self._sync_volume(pv)
        for key, claim in tuple(self.etcd.claims.items()):
            self._sync_claim(key, claim)
        return self.writes != before

    def _sync_volume(self, pv: Pv) -> None:
        name, ref = pv.metadata.name, pv.spec.claim_ref
        if pv.metadata.deletion_timestamp and pv.status.phase != "Bound":
            self.force_pv(name)
            return
        if ref is None or not ref.uid:
            self.change_pv(name, status=PhaseOnly(phase="Available"))
            return
        claim = self.etcd.claims.get(str(ref))
        if claim is None or claim.metadata.uid != ref.uid:
            self._release(pv)
        elif claim.spec.volume_name == name:
            self.change_pv(name, status=PhaseOnly(phase="Bound"))
        elif claim.spec.volume_name:
            ours = pv.metadata.annotations.get(names.PROVISIONED_BY)
            if ours and pv.spec.persistent_volume_reclaim_policy == "Delete":
                self._release(pv)
            else:
                self._unbind(pv)

    def _release(self, pv: Pv) -> None:
        """It is Failed where it is to be deleted and its annotation names nobody who could."""
        ours = pv.metadata.annotations.get(names.PROVISIONED_BY)
        if pv.spec.persistent_volume_reclaim_policy == "Delete" and not ours:
            self.change_pv(pv.metadata.name, status=PhaseOnly(phase="Failed"))
        elif pv.status.phase != "Failed":
            self.change_pv(pv.metadata.name, status=PhaseOnly(phase="Released"))

    def _unbind(self, pv: Pv) -> None:
        ref, annotations = pv.spec.claim_ref, dict(pv.metadata.annotations)
        assert ref is not None
        kept = None if annotations.pop(BOUND_BY, None) else change(ref, uid="")
        self.change_pv(
            pv.metadata.name,
            metadata=change(pv.metadata, annotations=annotations),
            spec=change(pv.spec, claim_ref=kept),
            status=PhaseOnly(phase="Available"),
        )

    def _sync_claim(self, key: str, claim: Claim) -> None:
        """One that is being deleted is bound like any other."""
        uid, wanted = claim.metadata.uid, claim.spec.volume_name
        if not wanted:
            waits = (pv for pv in self.etcd.pvs.values() if _is_for(pv, claim) and not _is_going(pv))
            if (found := next(waits, None)) is not None:
                self._bind(found, claim)
            return
        pv, was_bound = self.etcd.pvs.get(wanted), claim.status.phase in ("Bound", "Lost")
        ref = pv.spec.claim_ref if pv is not None else None
        if pv is None:
            fits = False
        elif ref is None:
            fits = was_bound or not _is_going(pv)
        else:
            fits = ref.uid == uid if was_bound else _is_for(pv, claim)
        if pv is not None and fits:
            self._bind(pv, claim)
        else:
            self._change_claim(claim, status=PhaseOnly(phase="Lost" if was_bound else "Pending"))

    def _bind(self, pv: Pv, claim: Claim) -> None:
        if pv.spec.claim_ref is None or not pv.spec.claim_ref.uid:
            self._point(pv, claim, ours=pv.spec.claim_ref is None)
        self.change_pv(pv.metadata.name, status=PhaseOnly(phase="Bound"))
        spec = change(claim.spec, volume_name=pv.metadata.name)
        self._change_claim(claim, spec=spec, status=PhaseOnly(phase="Bound"))

    def _change_claim(self, claim: Claim, **fields: Any) -> None:
        changed = change(claim, **fields)
        if changed != claim:
            meta = change(changed.metadata, resource_version=self.version())
            key = f"{meta.namespace}/{meta.name}"
            self.etcd.claims[key] = change(changed, metadata=meta)


def _check(meta: Meta, uid: str, rv: str) -> None:
    """The preconditions, as far as they are named."""
    if (uid and meta.uid != uid) or (rv and meta.resource_version != rv):
        raise Conflict("Conflict")


def _is_going(pv: Pv) -> bool:
    return pv.metadata.deletion_timestamp is not None


def _is_for(pv: Pv, claim: Claim) -> bool:
    """IsVolumeBoundToClaim: it names this claim, and no other UID."""
    ref, meta = pv.spec.claim_ref, claim.metadata
    return (
        ref is not None
        and (ref.namespace, ref.name) == (meta.namespace, meta.name)
        and (ref.uid in ("", meta.uid))
    )


def tenancy(n: int) -> str:
    """A tenancy's id for tests, in the shape of a real one."""
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    return "".join(letters[n >> shift & 31] for shift in range(55, -5, -5))
