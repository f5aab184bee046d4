"""The PersistentVolume of one tenancy.

It is made once, by POST, and from then on its policy, its annotations and any label of others are not ours
to write. Its name and its path carry the tenancy, so that neither a PersistentVolume made again under an
old name nor two disks mounted in each other's place can ever serve one tenant another's data.
"""

from __future__ import annotations

from typing import Any

from tidb_volume import names
from tidb_volume.inventory import settings
from tidb_volume.value import Ref, VolumeMode, VolumeSpec

BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"


def pv_path(volume: str, spec: VolumeSpec, tenancy: str) -> str:
    """Where the kubelet finds this tenancy: a folder on the disk, or a device node."""
    if spec.volume_mode == "Block":
        return names.block_node(tenancy)
    mount = spec.source.path or names.device_mount(volume)
    return names.tenancy_folder(mount, tenancy)


def claim_ref(claim: Ref) -> dict[str, Any]:
    """A claimRef; without a UID, where the claim does not exist yet, it is a reservation by name."""
    ref = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": claim.namespace,
        "name": claim.name,
    }
    return {**ref, "uid": claim.uid} if claim.uid else ref


def pointing_at(claim: Ref) -> dict[str, Any]:
    """The merge patch that gives a PersistentVolume to a claim.

    bound-by-controller goes: with it kube-controller-manager clears the whole claimRef where the claim is
    bound elsewhere (unbindVolume), and the data is on offer to anybody; without it, only the UID.
    """
    fields = {"uid": None, "resourceVersion": None, **claim_ref(claim)}
    return {"metadata": {"annotations": {BOUND_BY_CONTROLLER: None}}, "spec": {"claimRef": fields}}


def given(manifest: dict[str, Any], claim: Ref, path: str = "") -> dict[str, Any]:
    """A manifest for data that a person gave to one claim: reserved for it, and Retain, so that its next
    release waits for a word. `path`: where the data lies, unless it is in the tenancy's folder."""
    spec = {**manifest["spec"], "persistentVolumeReclaimPolicy": "Retain", "claimRef": claim_ref(claim)}
    if path:
        spec["local"] = {"path": path}
    return {**manifest, "spec": spec}


def persistent_volume(
    volume: str, spec: VolumeSpec, tenancy: str, hostname: str, capacity_bytes: int
) -> dict[str, Any]:
    """The manifest to POST. `hostname` is the node's `kubernetes.io/hostname`, which need not be its name."""
    mode: VolumeMode = spec.volume_mode
    labels = {
        **spec.labels,
        names.LABEL_DISK: volume,
        names.LABEL_NODE: _label(spec.node_name),
        names.LABEL_POOL: spec.pool,
        names.LABEL_TENANCY: tenancy,
    }
    manifest: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": names.pv_name(volume, tenancy),
            "labels": labels,
            "annotations": {names.PROVISIONED_BY: names.PROVISIONER},
        },
        "spec": {
            "capacity": {"storage": f"{capacity_bytes // 1024}Ki"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Delete" if spec.wipe.on_release == "wipe" else "Retain",
            "storageClassName": spec.pool,
            "volumeMode": mode,
            "local": {"path": pv_path(volume, spec, tenancy)},
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {"key": names.HOSTNAME, "operator": "In", "values": [hostname]}
                            ]
                        }
                    ]
                }
            },
        },
    }
    flags = [each for each in spec.mount_options if each in settings.PER_MOUNT]
    if flags and mode == "Filesystem":
        # All else is the file system's, which on a device the daemon mounts; the kubelet would drop it.
        manifest["spec"]["mountOptions"] = flags
    return manifest


def _label(node_name: str) -> str:
    """A node's name as a label's value; a name of more than 63 characters is cut, as labels are."""
    return node_name[:63].rstrip("-.")
