"""What a claim asks for and where a pod may run: the fields of Kubernetes' kinds that `explain` reads."""

from __future__ import annotations

import msgspec

from tidb_volume.kube.kinds import Kind
from tidb_volume.upstream import PhaseOnly, PodVolume
from tidb_volume.value import SlimMeta, Value


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


class Toleration(Value):
    """A pod's toleration (core/v1)."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


class Place(Value):
    """Where a pod may run, as far as it is looked at here."""

    node_name: str = ""
    node_selector: dict[str, str] = msgspec.field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()


class FullPodSpec(Value):
    """A pod's spec, with where it may run."""

    node_name: str = ""
    node_selector: dict[str, str] = msgspec.field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    volumes: tuple[PodVolume, ...] = ()


class FullPod(Value):
    """A pod."""

    metadata: SlimMeta
    spec: FullPodSpec = FullPodSpec()


POD: Kind[FullPod] = Kind("Pod", "v1", "pods", FullPod, namespaced=True)


def place(pod: FullPod) -> Place:
    """Where a pod may run."""
    return Place(
        node_name=pod.spec.node_name, node_selector=pod.spec.node_selector, tolerations=pod.spec.tolerations
    )


def claims_of(pod: FullPod) -> tuple[str, ...]:
    """The names of the claims that a pod uses; an ephemeral volume's is POD-VOLUME (KEP-1698)."""
    found = []
    for volume in pod.spec.volumes:
        if volume.persistent_volume_claim is not None:
            found.append(volume.persistent_volume_claim.claim_name)
        elif volume.ephemeral is not None:
            found.append(f"{pod.metadata.name}-{volume.name}")
    return tuple(found)
