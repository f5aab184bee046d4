"""Volumes of others are found by where they lie: a look costs those that it finds, and not all that exist."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.life.nodes import BOOT, on
from tests.unit.test_controller_daemons import drained
from tidb_volume import names
from tidb_volume.kube.queue import Queue
from tidb_volume.life import foreign, places
from tidb_volume.upstream import (
    LocalSource,
    Node,
    NodeAffinity,
    NodeRequirement,
    NodeSelector,
    NodeTerm,
    Pv,
    PvSpec,
)
from tidb_volume.value import (
    DiskReport,
    Meta,
    NodeReport,
    Presence,
    SeenDisk,
    Source,
    Volume,
    VolumeNode,
    VolumeSpec,
    VolumeStatus,
)
from volume_controller.cluster import Cluster, Key
from volume_controller.snapshot import theirs

TENANCY = "abcdefghijkl"
MACHINES = 40
PATHS = ("/data/a", "/data/b", "/dev/disk/by-id/c")


def meta(name: str, **labels: str) -> Meta:
    return Meta(name=name, uid=name, resource_version="1", labels=labels)


def pv(path: str, *requirements: NodeRequirement, name: str = "theirs") -> Pv:
    terms = (NodeTerm(match_expressions=requirements),) if requirements else ()
    affinity = NodeAffinity(required=NodeSelector(node_selector_terms=terms)) if terms else None
    source = LocalSource(path=path)
    return Pv(metadata=meta(name), spec=PvSpec(host_path=source, node_affinity=affinity))


def name_of(machine: int, path: str) -> str:
    return f"n{machine}-{path.rpartition('/')[2]}"


class Fleet:
    """Machines of one build, each with two folders and a device listed, and a system disk."""

    def __init__(self, machines: int = MACHINES) -> None:
        self.queue: Queue[Key] = Queue()
        self.cluster = Cluster(self.queue, "tidb-volume")
        for machine in range(machines):
            node = f"n{machine}"
            self.cluster.nodes.put(Node(metadata=meta(node, **{names.HOSTNAME: f"host-{machine}"})))
            self.cluster.reports.put(VolumeNode(metadata=meta(node), status=self.survey(machine)))
            for number, path in enumerate(PATHS):
                seen = DiskReport(presence=Presence.OK, boot=BOOT, device=f"8:{number}")
                source = Source(device=path) if path.startswith("/dev/") else Source(path=path)
                volume = Volume(
                    metadata=meta(name_of(machine, path)),
                    spec=VolumeSpec(node_name=node, pool="p", source=source),
                    status=VolumeStatus(disk=seen, tenancy=f"{TENANCY[:-2]}{machine:02}"),
                )
                self.cluster.volumes.put(volume)
        drained(self.queue)

    def survey(self, machine: int) -> NodeReport:
        beside = (f"/mnt/disks/{machine}",)
        disks = (
            SeenDisk(name="vda1", device="254:1", mounts=("/",)),
            SeenDisk(name="sda", device="8:0", mounts=("/data/a",), folders=beside),
            SeenDisk(name="sdb", device="8:1", mounts=("/data/b",)),
            SeenDisk(name="sdc", device="8:2", links=("/dev/disk/by-id/c",), covers=("8:3",)),
            SeenDisk(name="sdc1", device="8:3", covers=("8:2",), mounts=("/var/lib/mysql",)),
        )
        return NodeReport(boot=BOOT, disks=disks)

    def asked(self, machine: int, path: str) -> set[str]:
        """The volumes of others that a look at one of ours compares with it."""
        volume = self.cluster.volumes.get(name_of(machine, path))
        report = self.cluster.reports.get(f"n{machine}")
        assert volume is not None
        assert report is not None
        at = places.place(volume, report.status)
        return {each.metadata.name for each in theirs(self.cluster, volume, at, f"host-{machine}")}


def test_a_look_compares_with_what_lies_on_its_disk_and_not_with_all_that_exists() -> None:
    fleet = Fleet(2)
    for number in range(500):
        fleet.cluster.pvs.put(pv(f"/srv/exports/{number}", name=f"elsewhere-{number}"))
        fleet.cluster.pvs.put(pv("/data/a", on("host-1"), name=f"beside-{number}"))
    fleet.cluster.pvs.put(pv("/data/a/x", name="here"))
    assert fleet.asked(0, "/data/a") == {"here"}
    assert fleet.asked(0, "/data/b") == set()
    assert len(fleet.asked(1, "/data/a")) == 501


def test_what_a_driver_or_a_server_provides_is_never_compared_with_a_disk() -> None:
    fleet = Fleet(1)
    document = {
        "metadata": {"name": "theirs", "uid": "u", "resourceVersion": "1"},
        "spec": {"csi": {"driver": "x", "volumeHandle": "/data/a"}, "capacity": {"storage": "1Gi"}},
    }
    served = {"nfs": {"server": "x", "path": "/data/a"}, "capacity": {"storage": "1Gi"}}
    for spec in (document["spec"], served, {"iscsi": {"targetPortal": "x", "iqn": "/data/a", "lun": 0}}):
        made = msgspec.convert(document | {"spec": spec}, Pv)
        assert not list(foreign.found_by(made))
        fleet.cluster.pvs.put(made)
        assert not fleet.asked(0, "/data/a")
        assert not fleet.cluster.nodes_to_ask(made)
        fleet.cluster.pvs.remove(made)
    assert drained(fleet.queue) == set()


NODES: list[tuple[str, Pv, int, set[str]]] = [
    ("on the system's disk", pv("/srv/exports/1"), 0, set()),
    ("of one machine", pv("/data/a/x", on("host-3")), 1, {"n3-a"}),
    ("of one machine, on its system's disk", pv("/srv/x", on("host-3")), 1, set()),
    ("by a name that one disk has", pv("/mnt/disks/7/x"), 1, {"n7-a"}),
    ("on a partition of a listed device", pv("/var/lib/mysql/x", on("host-5")), 1, {"n5-c"}),
    ("of a machine that is not there", pv("/data/a", on("host-of-others")), 0, set()),
    ("on all machines", pv("/data/a"), MACHINES, {f"n{n}-a" for n in range(MACHINES)}),
    (
        "a device on all machines",
        pv("/dev/disk/by-id/c"),
        MACHINES,
        {f"n{n}-c" for n in range(MACHINES)},
    ),
    ("a place of ours", pv(names.block_node(f"{TENANCY[:-2]}09")), MACHINES, {"n9-a", "n9-b", "n9-c"}),
    ("a mount of ours", pv(f"{names.device_mount('n9-c')}/x"), 0, {"n9-c"}),
    ("longer than a path can be", pv("/data/a/" + "x/" * 4096), 0, set()),
]


@pytest.mark.parametrize(
    ("made", "nodes", "again"), [row[1:] for row in NODES], ids=[row[0] for row in NODES]
)
def test_a_volume_of_others_has_those_look_again_that_it_covers(
    made: Pv, nodes: int, again: set[str]
) -> None:
    fleet = Fleet()
    assert len(fleet.cluster.nodes_to_ask(made)) == nodes
    fleet.cluster.pvs.put(made)
    assert drained(fleet.queue) == again
    fleet.cluster.pvs.remove(made)
    assert drained(fleet.queue) == again


def test_a_volume_of_others_is_told_of_though_nobody_has_surveyed_the_machine() -> None:
    fleet = Fleet(3)
    report = fleet.cluster.reports.get("n1")
    assert report is not None
    fleet.cluster.reports.remove(report)
    drained(fleet.queue)
    fleet.cluster.pvs.put(pv("/data/b/x"))
    assert drained(fleet.queue) == {"n0-b", "n1-b", "n2-b"}


PART = st.sampled_from(["data", "a", "b", "dev", "x", "..", ".", ""])


@given(
    path=st.lists(PART, max_size=5), named=st.booleans(), surveyed=st.booleans(), of=st.sampled_from(PATHS)
)
def test_whatever_covers_a_disk_is_found_by_where_it_lies(
    path: list[str], named: bool, surveyed: bool, of: str
) -> None:
    fleet = Fleet(1)
    volume = fleet.cluster.volumes.get(name_of(0, of))
    assert volume is not None
    report = fleet.survey(0) if surveyed else None
    at = places.place(volume, report)
    made = pv("/" + "/".join(path), *([on("host-0")] if named else []))
    fleet.cluster.pvs.put(made)
    found = {each.metadata.name for each in theirs(fleet.cluster, volume, at, "host-0")}
    assert bool(found) or not foreign.covers(made, volume, at, report)
