"""Kubernetes' own objects, as far as anybody here reads them.

As in `value`, a struct names only the fields that somebody reads, and so is never written back whole.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tidb_volume.value import Meta, Ref, SlimMeta, Value


class LocalSource(Value):
    """A PersistentVolume's path, be it local or hostPath."""

    path: str = ""


class NodeRequirement(Value):
    """One requirement of a node selector."""

    key: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()


class NodeTerm(Value):
    """Requirements that must hold together, on labels and on fields."""

    match_expressions: tuple[NodeRequirement, ...] = ()
    match_fields: tuple[NodeRequirement, ...] = ()


class NodeSelector(Value):
    """Terms of which one must hold."""

    node_selector_terms: tuple[NodeTerm, ...] = ()


class NodeAffinity(Value):
    """On which nodes a PersistentVolume can be used."""

    required: NodeSelector | None = None


class PvSpec(Value):
    """A PersistentVolume's spec."""

    capacity: dict[str, str] = msgspec.field(default_factory=dict)
    storage_class_name: str = ""
    persistent_volume_reclaim_policy: str = "Retain"
    volume_mode: str = "Filesystem"
    mount_options: tuple[str, ...] = ()
    claim_ref: Ref | None = None
    local: LocalSource | None = None
    host_path: LocalSource | None = None
    node_affinity: NodeAffinity | None = None


class PhaseOnly(Value):
    """A status of which only the phase is read."""

    phase: str = ""


class Pv(Value):
    """A PersistentVolume."""

    metadata: Meta
    spec: PvSpec = PvSpec()
    status: PhaseOnly = PhaseOnly()


class PvcSpec(Value):
    """A PersistentVolumeClaim's spec."""

    volume_name: str = ""
    storage_class_name: str = ""


class Claim(Value):
    """A PersistentVolumeClaim."""

    metadata: SlimMeta
    spec: PvcSpec = PvcSpec()
    status: PhaseOnly = PhaseOnly()


class PodClaim(Value):
    """The claim that a pod's volume names."""

    claim_name: str = ""


class PodVolume(Value):
    """A pod's volume; `ephemeral` ones have a claim named POD-VOLUME."""

    name: str = ""
    persistent_volume_claim: PodClaim | None = None
    ephemeral: dict[str, msgspec.Raw] | None = None


class PodSpec(Value):
    """A pod's spec."""

    node_name: str = ""
    volumes: tuple[PodVolume, ...] = ()


class Pod(Value):
    """A pod."""

    metadata: SlimMeta
    spec: PodSpec = PodSpec()
    status: PhaseOnly = PhaseOnly()


class ConditionOnly(Value):
    """A condition, of which only this is read."""

    type: str = ""
    status: str = ""


class ConditionsOnly(Value):
    """A status of which only the conditions are read."""

    conditions: tuple[ConditionOnly, ...] = ()


class DaemonPod(Value):
    """A pod of the disk-daemon: on which node it is, and what the kubelet says of it."""

    metadata: SlimMeta
    spec: PodSpec = PodSpec()
    status: ConditionsOnly = ConditionsOnly()


class NodeAddress(Value):
    """One of a node's addresses."""

    type: str = ""
    address: str = ""


class NodeCondition(Value):
    """A node's condition, without its heartbeat."""

    type: str = ""
    status: str = ""


class Taint(Value):
    """A node's taint."""

    key: str = ""
    effect: str = ""


class NodeSpec(Value):
    """A node's spec."""

    taints: tuple[Taint, ...] = ()


class NodeStatus(Value):
    """A node's status."""

    addresses: tuple[NodeAddress, ...] = ()
    conditions: tuple[NodeCondition, ...] = ()


class Node(Value):
    """A Node."""

    metadata: Meta
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class ConfigMap(Value):
    """A ConfigMap."""

    metadata: Meta
    data: dict[str, str] = msgspec.field(default_factory=dict)
    binary_data: dict[str, str] = msgspec.field(default_factory=dict)
    """By name what is not UTF-8; kubectl decides that by the file. Only the names are kept."""

    def __post_init__(self) -> None:
        """Leave the content where it is: a megabyte that nobody reads."""
        if self.binary_data:
            msgspec.structs.force_setattr(self, "binary_data", dict.fromkeys(self.binary_data, ""))


BINDING_MODE = "WaitForFirstConsumer"
"""What a local volume's class needs: with Immediate a claim is bound before its pod has a node."""


class StorageClass(Value):
    """A StorageClass."""

    metadata: Meta
    provisioner: str = ""
    volume_binding_mode: str = "Immediate"
    reclaim_policy: str = "Delete"


class AdmissionPolicy(Value):
    """A ValidatingAdmissionPolicy, with all that it says: each part of it may weaken it."""

    metadata: SlimMeta
    spec: dict[str, Any] = msgspec.field(default_factory=dict)


class AdmissionBinding(Value):
    """A ValidatingAdmissionPolicyBinding, alike."""

    metadata: SlimMeta
    spec: dict[str, Any] = msgspec.field(default_factory=dict)
