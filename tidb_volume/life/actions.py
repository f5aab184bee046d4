"""What a decision may ask for: each is one call to the API server, with the preconditions it was decided on.

`volume_controller/act.py` turns an action into that call and knows nothing of why.
"""

from __future__ import annotations

from typing import Any

from tidb_volume.units import Instant
from tidb_volume.value import Order, Value, VolumeSpec, VolumeStatus


class PatchStatus(Value):
    """Write what the controller owns of the status, on the resourceVersion it was decided on."""

    status: VolumeStatus
    why: str


class WriteOrder(Value):
    """Write `spec.order`, on the resourceVersion it was decided on; a conflict means: decide again."""

    order: Order | None
    why: str


class WriteSpec(Value):
    """Write what the inventory says into the spec."""

    spec: VolumeSpec
    why: str


class CountWipe(Value):
    """Count one wipe in the breaker's ledger, before the order is written."""

    tenancy: str


class CountClaim(Value):
    """Count one claim that is let go in the breaker's ledger, before it is deleted."""

    uid: str


class DeleteClaim(Value):
    """Delete a claim on a lost node's disk, with the UID and resourceVersion of the read it was decided on,
    and only if that node is still lost when it is read once more."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    node: str
    why: str


class DeletePv(Value):
    """Delete the PersistentVolume, with the UID and resourceVersion of the read it was decided on."""

    name: str
    uid: str
    resource_version: str
    why: str


class CreatePv(Value):
    """Create a PersistentVolume by POST; never applied, since an apply that stops listing the policy turns
    Delete into Retain."""

    manifest: dict[str, Any]


class SetClaimRef(Value):
    """Point a PersistentVolume at the claim that a person gave its data to: the merge patch `patch`, with the
    UID and resourceVersion of the read it was decided on."""

    name: str
    uid: str
    resource_version: str
    patch: dict[str, Any]
    why: str


class AnnotatePv(Value):
    """Put a missing provisioned-by annotation back, without which a Released PV ends as Failed."""

    name: str
    uid: str
    resource_version: str
    times: int
    """How often this leader has done so with this one: somebody takes it away again."""


class DeleteVolume(Value):
    """Delete the TidbVolume: of a disk that no entry lists and that nobody had, or that a person forgot."""

    why: str


Action = (
    PatchStatus
    | WriteOrder
    | WriteSpec
    | CountWipe
    | CountClaim
    | DeleteClaim
    | DeletePv
    | CreatePv
    | SetClaimRef
    | AnnotatePv
    | DeleteVolume
)


class Plan(Value):
    """The next safe step, if there is one, and when to look again without being told."""

    action: Action | None = None
    again_at: Instant | None = None
