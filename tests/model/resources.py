"""The resources that the model serves, and in what each differs from the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from tests.model import schema
from tests.model.documents import Document


class Resource(msgspec.Struct, frozen=True):
    """One kind at one API version.

    status: what becomes of `status` in a create: `kept`, `dropped`, or `Pending` as in PersistentVolumes; all
    but `kept` have it as a subresource. protection: the finalizer that admission puts on
    (StorageObjectInUse).
    returned: a delete answers with the object and not with a Status.
    """

    kind: str
    api_version: str
    plural: str
    namespaced: bool = False
    status: str = "kept"
    protection: str = ""
    returned: bool = False
    selectable: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None

    @property
    def custom(self) -> bool:
        """Whether a CRD defines it."""
        return self.schema is not None

    @property
    def group(self) -> str:
        """The API group, empty for the core."""
        return self.api_version.rpartition("/")[0]

    @property
    def plural_and_group(self) -> str:
        """As error messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


_CORE = (
    Resource("Namespace", "v1", "namespaces", status="Active"),
    Resource("Node", "v1", "nodes"),
    Resource("ConfigMap", "v1", "configmaps", namespaced=True),
    Resource("Event", "v1", "events", namespaced=True),
    Resource("Lease", "coordination.k8s.io/v1", "leases", namespaced=True),
    Resource("StorageClass", "storage.k8s.io/v1", "storageclasses", returned=True),
    Resource(
        "PersistentVolume",
        "v1",
        "persistentvolumes",
        status="Pending",
        protection="kubernetes.io/pv-protection",
        returned=True,
    ),
    Resource(
        "PersistentVolumeClaim",
        "v1",
        "persistentvolumeclaims",
        namespaced=True,
        status="Pending",
        protection="kubernetes.io/pvc-protection",
        returned=True,
    ),
    Resource(
        "Pod",
        "v1",
        "pods",
        namespaced=True,
        status="Pending",
        returned=True,
        selectable=("spec.nodeName", "status.phase"),
    ),
)


def all_resources() -> tuple[Resource, ...]:
    """Kubernetes' own that we touch, and ours as their CRDs say."""
    ours = tuple(
        Resource(
            each.kind,
            f"{each.group}/{each.version}",
            each.plural,
            each.namespaced,
            status="dropped" if each.status else "kept",
            selectable=each.selectable,
            schema=each.schema,
        )
        for each in schema.definitions()
    )
    return _CORE + ours


class Address(NamedTuple):
    """A path, taken apart."""

    resource: Resource
    namespace: str
    name: str
    subresource: str


def find(path: str, known: Mapping[tuple[str, str], Resource]) -> Address | None:
    """What a path names, or None where no such resource is served."""
    parts = path.strip("/").split("/")
    if parts[0] == "api":
        api_version, rest = parts[1], parts[2:]
    else:
        api_version, rest = "/".join(parts[1:3]), parts[3:]
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    resource = known.get((api_version, rest[0])) if rest else None
    if resource is None or (namespace and not resource.namespaced) or len(rest) > 3:
        return None
    name, subresource, *_ = [*rest[1:], "", ""]
    return Address(resource, namespace, name, subresource)


def initial_status(resource: Resource, document: Document) -> Document:
    """The document as a create leaves its status."""
    if resource.status == "kept":
        return document
    without = {key: each for key, each in document.items() if key != "status"}
    return without if resource.status == "dropped" else {**without, "status": {"phase": resource.status}}
