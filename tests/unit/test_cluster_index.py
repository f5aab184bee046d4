"""Which disk a PersistentVolume is of, whatever people do to its labels."""

from __future__ import annotations

import pytest

from tidb_volume import names
from tidb_volume.kube.queue import Queue
from tidb_volume.upstream import LocalSource, Pv, PvSpec
from tidb_volume.value import Meta
from volume_controller.cluster import BY_DISK, Cluster

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
