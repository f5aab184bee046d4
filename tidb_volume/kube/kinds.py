"""The kinds that we read or write: where each lives, and the struct that names what we read of it."""

from __future__ import annotations

from typing import Generic, TypeVar
from urllib.parse import quote

import msgspec

from tidb_volume import fleet, names, upstream, value
from tidb_volume.kube import codec

T = TypeVar("T")


class Kind(msgspec.Struct, Generic[T], frozen=True):
    """A kind of object; `type` is what it is decoded into."""

    name: str
    api_version: str
    plural: str
    type: type[T]
    namespaced: bool = False

    def path(self, name: str = "", namespace: str = "", subresource: str = "") -> str:
        """The quoted path of an object, or without a name of the collection (no namespace: of all of them).

        Raises ValueError where a namespace is missing or too much: a wrong path would be another object.
        """
        if name and self.namespaced != bool(namespace):
            raise ValueError(f"{self.name} {name!r} is {'' if self.namespaced else 'not '}in a namespace")
        if namespace and not self.namespaced:
            raise ValueError(f"{self.name} is not in a namespace, but {namespace!r} was given")
        root = "api" if "/" not in self.api_version else "apis"
        parts = [root, *self.api_version.split("/")]
        if namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        return "/" + "/".join(parts)


TIDB_VOLUME = Kind("TidbVolume", names.API_VERSION, "tidbvolumes", value.Volume)
TIDB_VOLUME_NODE = Kind("TidbVolumeNode", names.API_VERSION, "tidbvolumenodes", value.VolumeNode)
TIDB_VOLUME_FLEET = Kind("TidbVolumeFleet", names.API_VERSION, "tidbvolumefleets", fleet.Fleet)
PV = Kind("PersistentVolume", "v1", "persistentvolumes", upstream.Pv)
CLAIM = Kind("PersistentVolumeClaim", "v1", "persistentvolumeclaims", upstream.Claim, namespaced=True)
POD = Kind("Pod", "v1", "pods", upstream.Pod, namespaced=True)
DAEMON_POD = Kind("Pod", "v1", "pods", upstream.DaemonPod, namespaced=True)
NODE = Kind("Node", "v1", "nodes", upstream.Node)
CONFIG_MAP = Kind("ConfigMap", "v1", "configmaps", upstream.ConfigMap, namespaced=True)
STORAGE_CLASS = Kind("StorageClass", "storage.k8s.io/v1", "storageclasses", upstream.StorageClass)
LEASE = Kind("Lease", "coordination.k8s.io/v1", "leases", codec.Lease, namespaced=True)
EVENT = Kind("Event", "v1", "events", codec.Event, namespaced=True)
ADMISSION_POLICY = Kind(
    "ValidatingAdmissionPolicy",
    "admissionregistration.k8s.io/v1",
    "validatingadmissionpolicies",
    upstream.AdmissionPolicy,
)
ADMISSION_BINDING = Kind(
    "ValidatingAdmissionPolicyBinding",
    "admissionregistration.k8s.io/v1",
    "validatingadmissionpolicybindings",
    upstream.AdmissionBinding,
)
