"""The PersistentVolume of one tenancy.

It is made once, by POST, and from then on its policy, its annotations and any label of others are not ours
to write. Its name and its path carry the tenancy, so that neither a PersistentVolume made again under an
old name nor two disks mounted in each other's place can ever serve one tenant another's data.
"""

from __future__ import annotations

from typing import Any

from tidb_volume import names
from tidb_volume.inventory.expand import DesiredDisk
from tidb_volume.value import VolumeMode, VolumeSpec


def pv_path(volume: str, spec: VolumeSpec, tenancy: str) -> str:
    """Where the kubelet finds this tenancy: a folder on the disk, or a device node."""
    if spec.volume_mode == "Block":
        return names.block_node(tenancy)
    mount = spec.source.path or names.device_mount(volume)
    return names.tenancy_folder(mount, tenancy)


def persistent_volume(
    volume: str, spec: VolumeSpec, desired: DesiredDisk, tenancy: str, hostname: str, capacity_bytes: int
) -> dict[str, Any]:
    """The manifest to POST. `hostname` is the node's `kubernetes.io/hostname`, which need not be its name."""
    mode: VolumeMode = spec.volume_mode
    labels = {
        **desired.pool.labels,
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
    if desired.pool.mount_options and mode == "Filesystem":
        manifest["spec"]["mountOptions"] = list(desired.pool.mount_options)
    return manifest


def _label(node_name: str) -> str:
    """A node's name as a label's value; a name of more than 63 characters is cut, as labels are."""
    return node_name[:63].rstrip("-.")
