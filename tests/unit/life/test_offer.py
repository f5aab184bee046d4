"""The PersistentVolume of a tenancy, word for word."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.life.cluster import NAME, NODE
from tests.unit.life.worlds import BLANK, CLAIM, OLD, change
from tidb_volume.life import offer
from tidb_volume.value import Ref, Source, VolumeSpec, WipePolicy

SPEC = BLANK.volume.spec
UNBORN = change(CLAIM, uid="")
REF = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "db", "name": "data-0"}


def made(spec: VolumeSpec = SPEC, capacity_bytes: int = (1 << 30) + 1023) -> dict[str, Any]:
    return offer.persistent_volume(NAME, spec, OLD, "host-1", capacity_bytes)


def test_the_volume_of_a_folder_is_told_from_any_other_by_name_and_path() -> None:
    assert made(change(SPEC, labels={"tier": "gold", "tidbvolume.io/disk": "somebody's"})) == {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": f"{NAME}-{OLD}",
            "labels": {
                "tier": "gold",
                "tidbvolume.io/disk": NAME,
                "tidbvolume.io/node": NODE,
                "tidbvolume.io/pool": "tikv",
                "tidbvolume.io/tenancy": OLD,
            },
            "annotations": {"pv.kubernetes.io/provisioned-by": "tidbvolume.io"},
        },
        "spec": {
            "capacity": {"storage": "1048576Ki"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": "tikv",
            "volumeMode": "Filesystem",
            "local": {"path": f"/data/disk0/.tidb-volume/{OLD}"},
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {"key": "kubernetes.io/hostname", "operator": "In", "values": ["host-1"]}
                            ]
                        }
                    ]
                }
            },
        },
    }


@pytest.mark.parametrize(("on_release", "policy"), [("wipe", "Delete"), ("keep", "Retain")])
def test_the_pool_sets_the_policy_that_is_the_users_from_then_on(on_release: Any, policy: str) -> None:
    spec = change(SPEC, wipe=WipePolicy(on_release=on_release))
    assert made(spec)["spec"]["persistentVolumeReclaimPolicy"] == policy


DEVICE = Source(device="/dev/disk/by-id/x")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({}, f"/data/disk0/.tidb-volume/{OLD}"),
        ({"source": DEVICE}, f"/var/lib/tidb-volume/mounts/{NAME}/.tidb-volume/{OLD}"),
        ({"source": DEVICE, "volume_mode": "Block"}, f"/dev/tidb-volume/{OLD}"),
    ],
)
def test_the_kubelet_finds_a_tenancy_where_the_daemon_has_it(fields: dict[str, Any], path: str) -> None:
    assert made(change(SPEC, **fields))["spec"]["local"] == {"path": path}


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({"mount_options": ("nodelalloc", "noatime")}, ["noatime"]),
        ({"mount_options": ("nodelalloc",)}, None),
        ({"mount_options": ("noatime",), "source": DEVICE}, ["noatime"]),
        ({"mount_options": ("noatime",), "source": DEVICE, "volume_mode": "Block"}, None),
        ({}, None),
    ],
)
def test_the_kubelet_is_given_only_flags_of_a_mount(
    fields: dict[str, Any], options: list[str] | None
) -> None:
    assert made(change(SPEC, **fields))["spec"].get("mountOptions") == options


@pytest.mark.parametrize(
    ("node", "label"),
    [
        ("n" * 63, "n" * 63),
        ("n" * 64, "n" * 63),
        (f"{'n' * 62}.example", "n" * 62),
        (f"{'n' * 62}-1", "n" * 62),
    ],
)
def test_a_nodes_name_is_cut_where_a_labels_value_ends(node: str, label: str) -> None:
    assert made(change(SPEC, node_name=node))["metadata"]["labels"]["tidbvolume.io/node"] == label


def test_a_claim_is_named_by_its_uid_too_where_it_exists() -> None:
    assert offer.claim_ref(CLAIM) == {**REF, "uid": "claim-1"}
    assert offer.claim_ref(UNBORN) == REF


def test_what_points_a_volume_at_a_claim_takes_away_who_bound_it() -> None:
    def patch(**fields: Any) -> dict[str, Any]:
        return {
            "metadata": {"annotations": {"pv.kubernetes.io/bound-by-controller": None}},
            "spec": {"claimRef": {**REF, "resourceVersion": None, **fields}},
        }

    assert offer.pointing_at(CLAIM) == patch(uid="claim-1")
    assert offer.pointing_at(UNBORN) == patch(uid=None)


@pytest.mark.parametrize("claim", [CLAIM, UNBORN])
def test_what_a_person_gave_to_one_claim_is_reserved_for_it_and_kept(claim: Ref) -> None:
    manifest = made()
    kept = {"persistentVolumeReclaimPolicy": "Retain", "claimRef": offer.claim_ref(claim)}
    assert offer.given(manifest, claim) == {**manifest, "spec": {**manifest["spec"], **kept}}
    at_the_root = {**kept, "local": {"path": "/data/disk0"}}
    assert offer.given(manifest, claim, "/data/disk0") == {
        **manifest,
        "spec": {**manifest["spec"], **at_the_root},
    }
