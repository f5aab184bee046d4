"""Which disk an object is about: a PersistentVolume whatever people do to its labels, a claim by its name."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.life.worlds import RELEASED
from tidb_volume import names
from tidb_volume.kube.queue import Queue
from tidb_volume.upstream import Claim, LocalSource, Pv, PvcSpec, PvSpec, SlimMeta
from tidb_volume.value import Admin, Meta, Ref, Restore
from volume_controller.cluster import BY_DISK, Cluster, Key, Topic

TENANCY = "abcdefghijkl"


def pv(name: str, path: str, labels: dict[str, str]) -> Pv:
    return Pv(
        metadata=Meta(name=name, uid="u", resource_version="1", labels=labels),
        spec=PvSpec(local=LocalSource(path=path)),
    )


@pytest.mark.parametrize(
    ("name", "path", "labels", "disk"),
    [
        (f"n-d-{TENANCY}", f"/data/d/.tidb-volume/{TENANCY}", {names.LABEL_DISK: "n-d"}, "n-d"),
        (f"n-d-{TENANCY}", f"/data/d/.tidb-volume/{TENANCY}", {}, "n-d"),
        (f"n-d-{TENANCY}", f"/data/d/.tidb-volume/{TENANCY}", {names.LABEL_DISK: "another"}, "n-d"),
        (f"n-d-{TENANCY}", f"/dev/tidb-volume/{TENANCY}", {}, "n-d"),
        ("imported", "/mnt/disks/ssd0", {names.LABEL_DISK: "n-d"}, "n-d"),
        (f"of-others-{TENANCY}", "/mnt/disks/ssd0", {}, ""),
        ("local-pv-1", "/mnt/disks/ssd0", {}, ""),
    ],
)
def test_a_pvs_disk_is_told_by_its_name_and_path(
    name: str, path: str, labels: dict[str, str], disk: str
) -> None:
    cluster = Cluster(Queue(), "tidb-volume")
    cluster.pvs.put(pv(name, path, labels))
    assert cluster.pvs.index_keys(BY_DISK) == ((disk,) if disk else ())


@pytest.mark.parametrize(
    ("name", "namespace", "looked_at"),
    [("data-0", "db", True), ("data-1", "db", False), ("data-0", "other", False)],
)
def test_a_claim_that_a_person_named_has_its_volume_looked_at_when_it_comes_changes_and_goes(
    name: str, namespace: str, looked_at: bool
) -> None:
    """Found on a real cluster: the claim in the way of a restore was deleted, and nobody looked."""
    cluster = Cluster(Queue(), "tidb-volume")
    asked = Restore(question="q-1", claim=Ref(namespace="db", name="data-0"))
    spec = msgspec.structs.replace(RELEASED.volume.spec, admin=Admin(restore=asked))
    cluster.volumes.put(msgspec.structs.replace(RELEASED.volume, spec=spec))
    of_volume = Key(Topic.VOLUME, RELEASED.volume.metadata.name)
    drain(cluster)
    claim = Claim(metadata=SlimMeta(name=name, namespace=namespace, uid="c", resource_version="9"))
    bound = msgspec.structs.replace(claim, spec=PvcSpec(volume_name="elsewhere"))
    later = msgspec.structs.replace(claim.metadata, resource_version="10")
    for does in (
        lambda: cluster.claims.put(claim),
        lambda: cluster.claims.put(msgspec.structs.replace(bound, metadata=later)),
        lambda: cluster.claims.remove(bound, 11),
    ):
        does()
        assert (of_volume in drain(cluster)) is looked_at


def test_a_claim_that_goes_before_it_names_its_volume_has_the_volume_looked_at() -> None:
    """Kubernetes points the PersistentVolume at the claim first. That it was let go may be heard before that
    the claim is gone, and as long as the claim seems to be there the disk is taken for its."""
    cluster = Cluster(Queue(), "tidb-volume")
    cluster.volumes.put(RELEASED.volume)
    (released,) = RELEASED.pvs
    cluster.pvs.put(released)
    ref = released.spec.claim_ref
    assert ref is not None
    meta = SlimMeta(name=ref.name, namespace=ref.namespace, uid=ref.uid, resource_version="9")
    cluster.claims.put(Claim(metadata=meta))
    drain(cluster)
    cluster.claims.remove(Claim(metadata=meta), 11)
    assert drain(cluster) == {Key(Topic.VOLUME, RELEASED.volume.metadata.name)}


def test_a_disk_with_the_tenancy_of_anothers_volume_is_looked_at_when_that_comes_and_goes() -> None:
    """It is in conflict for as long as that volume is there, and nothing else tells that it went."""
    cluster = Cluster(Queue(), "tidb-volume")
    cluster.volumes.put(RELEASED.volume)
    drain(cluster)
    disk = RELEASED.volume.status.disk
    assert disk is not None
    others = pv(f"another-{disk.tenancy}", f"/data/d/.tidb-volume/{disk.tenancy}", {})
    moved = Key(Topic.VOLUME, RELEASED.volume.metadata.name)
    cluster.pvs.put(others)
    assert moved in drain(cluster)
    cluster.pvs.remove(others, 9)
    assert moved in drain(cluster)
    cluster.pvs.put(pv("another-bbbbbbbbbbbb", "/data/d/.tidb-volume/bbbbbbbbbbbb", {}))
    assert moved not in drain(cluster)


def drain(cluster: Cluster) -> set[Key]:
    """What is to be looked at."""
    found = set()
    while (key := cluster.queue.poll()) is not None:
        found.add(key)
        cluster.queue.done(key)
    return found
