"""The daemons' pods as the controller sees them: who has to look again, and since when a daemon is away."""

from __future__ import annotations

from pathlib import Path

import yaml

from tidb_volume import names
from tidb_volume.kube.queue import Queue
from tidb_volume.units import Instant
from tidb_volume.upstream import (
    ConditionOnly,
    ConditionsOnly,
    DaemonPod,
    Node,
    NodeAddress,
    NodeCondition,
    NodeSpec,
    NodeStatus,
    PodSpec,
    Taint,
)
from tidb_volume.value import Meta, SlimMeta, Source, Volume, VolumeSpec
from volume_controller.cluster import INVENTORY, Cluster, Key
from volume_controller.snapshot import Memory

DEPLOY = Path(__file__).parents[2] / "deploy"


def volume(name: str, node: str) -> Volume:
    spec = VolumeSpec(node_name=node, pool="p", source=Source(path="/data/a"))
    return Volume(metadata=Meta(name=name, uid=name, resource_version="1"), spec=spec)


def pod(version: int, *, ready: bool, leaving: bool = False, other: str = "True") -> DaemonPod:
    conditions = (
        ConditionOnly(type="Initialized", status=other),
        ConditionOnly(type="Ready", status="True" if ready else "False"),
    )
    return DaemonPod(
        metadata=SlimMeta(
            name="disk-daemon-x",
            namespace="tidb-volume",
            uid="u",
            resource_version=str(version),
            deletion_timestamp="2027-01-01T00:00:00Z" if leaving else None,
        ),
        spec=PodSpec(node_name="n1"),
        status=ConditionsOnly(conditions=conditions),
    )


def drained(queue: Queue[Key]) -> set[str]:
    found = set()
    while (key := queue.get(timeout=0)) is not None:
        found.add(key.name)
        queue.done(key)
    return found


def test_the_volumes_of_a_node_look_again_when_its_daemon_comes_or_goes_and_at_nothing_else() -> None:
    queue: Queue[Key] = Queue()
    cluster = Cluster(queue, "tidb-volume")
    for name, node in (("a", "n1"), ("b", "n1"), ("c", "n2")):
        cluster.volumes.put(volume(name, node))
    drained(queue)
    steps = [
        (pod(1, ready=False), {"a", "b"}),
        (pod(2, ready=False, other="False"), set()),
        (pod(3, ready=True), {"a", "b"}),
        (pod(4, ready=True, other="False"), set()),
        (pod(5, ready=True, leaving=True), {"a", "b"}),
        (pod(6, ready=False, leaving=True), set()),
    ]
    for seen, again in steps:
        cluster.daemons.put(seen)
        assert drained(queue) == again, seen
    cluster.daemons.remove(steps[-1][0])
    assert drained(queue) == {"a", "b"}


def node(version: int, *, ready: str = "True", labels: tuple[str, ...] = (), ip: str = "10.0.0.1") -> Node:
    return Node(
        metadata=Meta(name="n1", uid="u", resource_version=str(version), labels=dict.fromkeys(labels, "")),
        spec=NodeSpec(taints=() if ready == "True" else (Taint(key="not-ready"),)),
        status=NodeStatus(
            conditions=(NodeCondition(type="Ready", status=ready),),
            addresses=(NodeAddress(type="InternalIP", address=ip),),
        ),
    )


def test_the_inventory_is_looked_at_for_what_finds_a_node_by_it_and_not_for_a_node_that_flaps() -> None:
    """It is a look at every disk of the fleet; a rack that flaps would be one for each of its nodes."""
    queue: Queue[Key] = Queue()
    cluster = Cluster(queue, "tidb-volume")
    cluster.volumes.put(volume("a", "n1"))
    drained(queue)
    inventory, a = INVENTORY.name, "a"
    steps = [
        (node(1), {inventory, a}),
        (node(2), set()),
        (node(3, ready="Unknown"), {a}),
        (node(4), {a}),
        (node(5, labels=("hw",)), {inventory, a}),
        (node(6, labels=("hw",), ip="10.0.0.2"), {inventory, a}),
    ]
    for seen, again in steps:
        cluster.nodes.put(seen)
        assert drained(queue) == again, seen
    cluster.nodes.remove(steps[-1][0])
    assert drained(queue) == {inventory, a}


def test_since_when_counts_from_the_last_change_of_node_or_daemon() -> None:
    memory = Memory()

    def since(now: float, *, up: bool = True, ready: bool = True) -> float:
        return memory.daemon("n1", up=up, ready=ready, now=Instant(now)).since

    assert since(1) == 1
    assert since(5) == 1
    assert since(6, ready=False) == 6
    assert since(9, ready=False) == 6
    assert since(10, up=False, ready=False) == 10
    assert since(20, ready=False) == 20
    assert memory.daemon("n2", up=True, ready=True, now=Instant(30)).since == 30


def test_the_pods_that_are_watched_are_those_that_are_deployed() -> None:
    found = yaml.safe_load((DEPLOY / "daemon" / "daemonset.yaml").read_text())
    assert found["spec"]["template"]["metadata"]["labels"][names.LABEL_APP] == names.DAEMON
