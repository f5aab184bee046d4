"""One action, one call: this carries out what was decided, under the preconditions it was decided on.

It knows nothing of why. What the API server answers is put into the stores at once, so that the next
decision is made on what was just done; what fails leaves everything as it was, to be decided anew.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from tidb_volume import names
from tidb_volume.fleet import Breaker, Fleet
from tidb_volume.kube import codec, kinds, transport
from tidb_volume.kube.client import Client
from tidb_volume.kube.store import Store
from tidb_volume.life import actions, breaker, daemon, orders
from tidb_volume.life.actions import Action
from tidb_volume.life.status import is_called_off
from tidb_volume.life.world import Annotated
from tidb_volume.units import Instant, format_instant, parse_instant
from tidb_volume.value import Order, Phase, Volume
from volume_controller import record, said
from volume_controller.cluster import Cluster
from volume_controller.snapshot import Memory
from volume_controller.tell import Teller

SAME_S = 1.0
"""An object and its `managedFields` are stamped one after the other, each with whole seconds."""


class NotLeading(Exception):  # noqa: N818 - says what happened
    """The term ended before the call: nothing was sent."""


def difference(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The RFC 7396 merge patch that makes `new` of `old`; what `new` lacks is removed by null."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, wanted in new.items():
        had = old.get(key)
        if isinstance(wanted, dict) and isinstance(had, dict):
            inner = difference(had, wanted)
            if inner:
                patch[key] = inner
        elif wanted != had or key not in old:
            patch[key] = wanted
    return patch


def _plain(of: Any) -> dict[str, Any]:
    plain = msgspec.to_builtins(of, str_keys=True)
    assert isinstance(plain, dict)
    return plain


def set_by(api: Client, kind: kinds.Kind[Any], name: str, field: tuple[str, ...], namespace: str = "") -> str:
    """Which program set a field, and when, for the record alone; empty: it is gone, or nobody knows."""
    with contextlib.suppress(transport.ApiError, transport.NoAnswer, codec.Undecodable):
        who = api.manager_of(kind, name, *field, namespace=namespace)
        return f"set by {who.manager}, {who.time}" if who is not None else ""
    return ""


def _deleted(store: Store[Any], known: Any, uid: str, left: Any) -> None:
    """What a delete was answered, in the store: `left` while a finalizer holds it, else it is gone."""
    if left is not None:
        store.put(left)
    elif known is not None and known.metadata.uid == uid:
        store.remove(known)


class Actor:
    """Carries actions out. `leading` is asked before every write."""

    def __init__(
        self, api: Client, cluster: Cluster, memory: Memory, teller: Teller, leading: Callable[[], bool]
    ) -> None:
        self._api = api
        self._cluster = cluster
        self._memory = memory
        self._teller = teller
        self._leading = leading
        self._fleet_lock = threading.Lock()

    def do(self, volume: Volume, action: Action, now: Instant) -> None:
        """Carry one action out. Raises what the client raises, and NotLeading."""
        if not self._leading():
            raise NotLeading
        name, by = volume.metadata.name, ""
        match action:
            case actions.PatchStatus(status=wanted):
                self._patch_status(volume, action)
                if wanted.reason == "PolicyRetain" and is_called_off(volume.status, wanted):
                    by = self._policy_set_by(wanted.volume_name)
                for word in said.of_volume(volume, action.status.heard):
                    by = set_by(self._api, kinds.TIDB_VOLUME, name, word.field)
                    self._teller.said(volume, word, by, now)
            case actions.WriteOrder(order=order):
                order = self._asked(order, now)
                action = msgspec.structs.replace(action, order=order)
                spec = msgspec.structs.replace(volume.spec, order=order)
                self._patch_spec(volume, spec)
                if order is not None:
                    self._memory.did(name, ordered=order.id)
            case actions.WriteSpec(spec=spec):
                self._patch_spec(volume, spec)
            case actions.CountWipe(tenancy=tenancy):
                if self._count(now, wipes=1):
                    self._memory.did(name, counted=tenancy)
            case actions.CountClaim(uid=uid):
                if self._count(now, claims=1):
                    self._memory.did(name, counted=uid)
            case actions.DeleteClaim():
                if not self._delete_claim(action):
                    return
            case actions.DeletePv():
                self._delete_pv(name, action)
            case actions.CreatePv(manifest=manifest):
                self._cluster.pvs.put(self._api.create(kinds.PV, manifest))
            case actions.SetClaimRef():
                answer = self._api.merge_patch(
                    kinds.PV,
                    action.name,
                    action.patch,
                    uid=action.uid,
                    resource_version=action.resource_version,
                )
                self._cluster.pvs.put(answer)
            case actions.AnnotatePv():
                patch = {"metadata": {"annotations": {names.PROVISIONED_BY: names.PROVISIONER}}}
                answer = self._api.merge_patch(
                    kinds.PV, action.name, patch, uid=action.uid, resource_version=action.resource_version
                )
                self._cluster.pvs.put(answer)
                annotated = Annotated(pv_uid=action.uid, times=action.times, at=now)
                self._memory.did(name, annotated=annotated)
            case actions.DeleteVolume():
                meta = volume.metadata
                self._close(volume, action, now)
                left = self._api.delete(
                    kinds.TIDB_VOLUME, name, uid=meta.uid, resource_version=meta.resource_version
                )
                if left is None:
                    self._cluster.volumes.remove(volume)
        self._teller.did(volume, action, now, by)

    def _asked(self, order: Order | None, now: Instant) -> Order | None:
        """The order with when it was decided, and with who set the policy that asks for it, where the server
        knows: for the record alone, so that no wipe waits for it."""
        if order is None or order.withdrawn:
            return order
        order = msgspec.structs.replace(order, at=format_instant(now))
        if not order.pv_name:
            return order
        policy, approved = order.asked[: len(orders.POLICY)], order.asked[len(orders.POLICY) :]
        if policy != orders.POLICY or not (approved == "" or approved.startswith(", approved")):
            return order  # it stands on an answer, or goes on with an order that says it already
        by = self._policy_set_by(order.pv_name)
        return msgspec.structs.replace(order, asked=f"{policy}, {by}{approved}") if by else order

    def _policy_set_by(self, pv_name: str) -> str:
        """Who set a PersistentVolume's policy; empty: nobody knows."""
        with contextlib.suppress(transport.ApiError, transport.NoAnswer, codec.Undecodable):
            who = self._api.manager_of(kinds.PV, pv_name, "spec", "persistentVolumeReclaimPolicy")
            return self._set_by(who) if who is not None else ""
        return ""

    def _set_by(self, who: codec.Manager) -> str:
        """As the record names him. Our name in `managedFields` may be anybody's, so that it
        stands for the pool only where nothing was written under it since the volume was made."""
        if who.manager != self._api.manager:
            return f"set by {who.manager}, {who.time}"
        with contextlib.suppress(ValueError):
            if abs(parse_instant(who.time) - parse_instant(who.made)) <= SAME_S:
                return f"as the pool has it, {who.time}"
        return f"under the name {who.manager}, {who.time}; the volume was made {who.made}"

    def create(self, document: dict[str, Any]) -> None:
        """Create a TidbVolume."""
        if not self._leading():
            raise NotLeading
        self._cluster.volumes.put(self._api.create(kinds.TIDB_VOLUME, document))

    def annotate(self, volume: Volume, annotations: dict[str, str | None]) -> None:
        """Note how the inventory lists a volume; None removes."""
        if not self._leading():
            raise NotLeading
        self._patch(volume, {"metadata": {"annotations": annotations}})

    def refresh(self, volume: str) -> None:
        """Read one volume and its PersistentVolumes from the server itself, after a conflict."""
        current = self._api.find(kinds.TIDB_VOLUME, volume)
        if current is not None:
            self._cluster.volumes.put(current)
        for pv in self._api.list(kinds.PV, labels=f"{names.LABEL_DISK}={volume}")[0]:
            self._cluster.pvs.put(pv)

    def look_at_fleet(self, now: Instant) -> None:
        """Close the breaker where a person has ended its epoch, and put on record what is said of all."""
        with self._fleet_lock:
            fleet = self._cluster.fleet
            after = breaker.reset(fleet) if fleet is not None else None
            if fleet is not None and after is not None:
                if not self._leading():
                    raise NotLeading
                self._write_breaker(fleet, after)
                by = set_by(self._api, kinds.TIDB_VOLUME_FLEET, names.FLEET, ("spec", "breakerReset"))
                self._teller.reset(fleet, by, now)
            fleet = self._cluster.fleet
            words = said.of_fleet(fleet) if fleet is not None else []
            if fleet is not None and words:
                if not self._leading():
                    raise NotLeading
                heard = difference(_plain(fleet.status.heard), _plain(fleet.spec.words))
                self._write_fleet(fleet, {"heard": heard})
                for word in words:
                    by = set_by(self._api, kinds.TIDB_VOLUME_FLEET, names.FLEET, word.field)
                    self._teller.said_of_fleet(fleet, word, by, now)

    def _patch_status(self, volume: Volume, action: actions.PatchStatus) -> None:
        patch = difference(_plain(volume.status), {"phase": action.status.phase, **_plain(action.status)})
        for theirs in ("disk", "work"):
            patch.pop(theirs, None)
        self._patch(volume, {"status": patch}, "status")
        if action.status.phase is Phase.AVAILABLE and not action.status.committed:
            self._memory.begun_anew(volume.metadata.name)

    def _patch_spec(self, volume: Volume, spec: Any) -> None:
        patch = difference(_plain(volume.spec), _plain(spec))
        patch.pop("admin", None)
        self._patch(volume, {"spec": patch})

    def _patch(self, volume: Volume, patch: dict[str, Any], subresource: str = "") -> None:
        """Patch this very object, as it was when the decision was made."""
        answer = self._api.merge_patch(
            kinds.TIDB_VOLUME,
            volume.metadata.name,
            patch,
            subresource=subresource,
            uid=volume.metadata.uid,
            resource_version=volume.metadata.resource_version,
        )
        self._cluster.volumes.put(answer)

    def _delete_claim(self, action: actions.DeleteClaim) -> bool:
        """Whether it was deleted: not where its node turns out to be there again, which the next decision
        then knows. What a watch has shown may be older than the node's return."""
        node = self._api.find(kinds.NODE, action.node)
        if node is not None:
            self._cluster.nodes.put(node)
            if not daemon.is_out_of_service(node):
                return False
        left = self._api.delete(
            kinds.CLAIM,
            action.name,
            action.namespace,
            uid=action.uid,
            resource_version=action.resource_version,
        )
        known = self._cluster.claims.get(action.name, action.namespace)
        _deleted(self._cluster.claims, known, action.uid, left)
        return True

    def _delete_pv(self, volume: str, action: actions.DeletePv) -> None:
        known = self._cluster.pvs.get(action.name)
        left = self._api.delete(
            kinds.PV, action.name, uid=action.uid, resource_version=action.resource_version
        )
        self._memory.did(volume, deleted=action.uid)
        _deleted(self._cluster.pvs, known, action.uid, left)

    def _close(self, volume: Volume, action: Action, now: Instant) -> None:
        """Have a volume's last line outlive it, before it goes: what cannot be put on record is not deleted.
        Where the delete then fails the line tells of what is still there, until the next try replaces it."""
        line = self._teller.line_of(volume, action, now)
        if line is None or not record.outlives(line):
            return
        name = volume.spec.node_name
        node = self._api.find(kinds.TIDB_VOLUME_NODE, name)
        if node is None:
            node = self._api.create(kinds.TIDB_VOLUME_NODE, {"metadata": {"name": name}})
        answer = self._api.merge_patch(
            kinds.TIDB_VOLUME_NODE,
            name,
            {"status": {"closed": list(record.closed(node.status.closed, line))}},
            subresource="status",
            uid=node.metadata.uid,
            resource_version=node.metadata.resource_version,
        )
        self._cluster.reports.put(answer)

    def _count(self, now: Instant, *, wipes: int = 0, claims: int = 0) -> bool:
        """Count in the ledger what is about to go; False where the breaker has no room for it and is open
        now."""
        with self._fleet_lock:
            fleet = self._cluster.fleet
            if fleet is None:
                return False
            after = breaker.spend(fleet, len(self._cluster.volumes), now, wipes, claims)
            if after != fleet.status.breaker:
                self._write_breaker(fleet, after)
                if after.tripped:
                    self._teller.tripped(fleet, after, now)
            return not after.tripped

    def _write_breaker(self, fleet: Fleet, after: Breaker) -> None:
        patch = difference(_plain(fleet.status.breaker), _plain(after))
        patch.pop("ledger", None)
        wanted = {**patch, "ledger": [_plain(line) for line in after.ledger]}
        self._write_fleet(fleet, {"breaker": wanted})

    def _write_fleet(self, fleet: Fleet, status: dict[str, Any]) -> None:
        self._cluster.fleets.put(
            self._api.merge_patch(
                kinds.TIDB_VOLUME_FLEET,
                names.FLEET,
                {"status": status},
                subresource="status",
                uid=fleet.metadata.uid,
                resource_version=fleet.metadata.resource_version,
            )
        )
