"""Disks come on offer, stay on offer and leave it: by the inventory, live."""

from __future__ import annotations

import re

import pytest

from tests.cluster import Node
from tests.e2e.lab import Lab, never, until
from tidb_volume import names
from tidb_volume.kube import kinds
from tidb_volume.units import parse_quantity
from tidb_volume.value import Phase, Volume

pytestmark = pytest.mark.cluster


def listing(name: str, disks: dict[Node, list[str]], on_release: str = "wipe", **more: str) -> str:
    """An inventory with one pool and its disks."""
    settings = ", ".join([f"onRelease: {on_release}", *(f"{key}: {text}" for key, text in more.items())])
    lines = [f"pools: {{{name}: {{{settings}}}}}", "nodes:"]
    for node, paths in disks.items():
        lines.append(f"  {node.name}:")
        lines += [f"  - {{path: {path}, pool: {name}}}" for path in paths]
    return "\n".join(lines)


def test_three_nodes_with_two_disks_each_make_six_volumes_on_offer(lab: Lab) -> None:
    volumes = {}
    for node in lab.cluster.nodes:
        for number in (1, 2):
            disk, volume = lab.path_disk(node, f"{lab.data}/six{number}")
            volumes[volume] = (node, disk)
    both = [f"{lab.data}/six1", f"{lab.data}/six2"]
    lab.inventory("six", listing("six", dict.fromkeys(lab.cluster.nodes, both)))
    for volume, (node, disk) in volumes.items():
        found = lab.wait(volume, Phase.AVAILABLE)
        (pv,) = lab.pvs(volume)
        assert pv.spec.storage_class_name == "six"
        assert pv.spec.local is not None
        assert pv.spec.local.path in [
            names.tenancy_folder(f"{lab.data}/six{number}", found.status.tenancy) for number in (1, 2)
        ]
        size = parse_quantity(pv.spec.capacity["storage"])
        assert 0.7 * disk.size_bytes < size < disk.size_bytes
        document = lab.cluster.get(f"/api/v1/persistentvolumes/{pv.metadata.name}")
        (term,) = document["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
        assert term["matchExpressions"] == [{"key": names.HOSTNAME, "operator": "In", "values": [node.name]}]
        assert found.status.tenancy in pv.metadata.name
    printed = lab.cluster.kubectl("get", "tv")
    for volume, (node, _) in volumes.items():
        assert re.search(rf"{volume} +{node.name} +{lab.data}/six[12] +six +\S+ +\S+ +Available", printed), (
            printed
        )


def test_a_disk_added_live_comes_on_offer_and_one_removed_leaves_without_a_wipe(lab: Lab) -> None:
    node = lab.cluster.nodes[0]
    _, first = lab.path_disk(node, f"{lab.data}/live1")
    disk, second = lab.path_disk(node, f"{lab.data}/live2")
    lab.inventory("live", listing("live", {node: [f"{lab.data}/live1"]}))
    lab.wait(first, Phase.AVAILABLE)
    lab.inventory("live", listing("live", {node: [f"{lab.data}/live1", f"{lab.data}/live2"]}))
    tenancy = lab.wait(second, Phase.AVAILABLE).status.tenancy
    node.exec(["touch", f"{lab.data}/live2/the-admins-own-file"])
    lab.inventory("live", listing("live", {node: [f"{lab.data}/live1"]}))
    until("the volume to go", lambda: lab.volume(second) is None and not lab.pvs(second))
    assert lab.entries(node, f"{lab.data}/live2/.tidb-volume") == [tenancy]
    assert "the-admins-own-file" in lab.entries(node, f"{lab.data}/live2")
    assert disk.image.exists()
    lab.wait(first, Phase.AVAILABLE)


def test_a_broken_edit_changes_nothing_and_is_said_also_across_a_controller_restart(lab: Lab) -> None:
    node = lab.cluster.nodes[0]
    _, volume = lab.path_disk(node, f"{lab.data}/broken1")
    good = listing("broken", {node: [f"{lab.data}/broken1"]})
    lab.inventory("broken", good)
    before = lab.wait(volume, Phase.AVAILABLE)
    lab.inventory("broken", listing("broken", {node: ["data/relative", "/data/../etc"]}) + "\nwhat: 1")

    def errors() -> str:
        fleet = lab.api.get(kinds.TIDB_VOLUME_FLEET, names.FLEET)
        return "\n".join(
            line for each in fleet.status.inventories if each.name == "broken" for line in each.errors
        )

    said = until("the errors to be said", errors)
    assert "disks.yaml:4:" in said
    assert "what" in said
    assert "TV" in said
    lab.cluster.kubectl("-n", "tidb-volume", "rollout", "restart", "deployment", "volume-controller")
    lab.cluster.kubectl(
        "-n", "tidb-volume", "rollout", "status", "deployment", "volume-controller", "--timeout=120s"
    )
    never("the disk was touched", lambda: changed(lab, before), 3)
    assert errors() == said
    lab.inventory("broken", good)
    until("the errors to go", lambda: not errors())
    assert not changed(lab, before)


def changed(lab: Lab, before: Volume) -> str:
    now = lab.volume(before.metadata.name)
    if now is None:
        return "deleted"
    if now.status.phase is not before.status.phase or now.status.tenancy != before.status.tenancy:
        return now.status.state
    return ""


def test_an_emptied_configmap_wipes_nothing_bound_or_free(lab: Lab) -> None:
    node = lab.cluster.nodes[1]
    _, free = lab.path_disk(node, f"{lab.data}/emptied1")
    _, used = lab.path_disk(node, f"{lab.data}/emptied2")
    namespace = lab.namespace("emptied")
    lab.inventory("emptied", listing("emptied", {node: [f"{lab.data}/emptied2"]}, wipeAfter="0s"))
    lab.wait(used, Phase.AVAILABLE)
    lab.stateful_set(namespace, "db", "emptied")
    lab.running(namespace, "db-0")
    lab.sh(namespace, "db-0", "echo precious > /data/file; sync")
    both = [f"{lab.data}/emptied1", f"{lab.data}/emptied2"]
    lab.inventory("emptied", listing("emptied", {node: both}, wipeAfter="0s"))
    lab.wait(free, Phase.AVAILABLE)
    lab.inventory("emptied", "")
    until("the free one to go", lambda: lab.volume(free) is None)
    found = lab.wait(used, Phase.BOUND)
    until("dropped to be said", lambda: "dropped" in (lab.volume(used) or found).status.state)
    lab.cluster.kubectl("-n", namespace, "delete", "statefulset", "db")
    lab.gone(namespace, "db-0")
    lab.cluster.kubectl("-n", namespace, "delete", "pvc", "data-db-0")
    found = lab.wait(used, Phase.RELEASED, "DroppedReleased")
    never("a wipe", lambda: (lab.volume(used) or found).status.committed, 3)
    tenancy = found.status.tenancy
    assert node.exec(["cat", f"{lab.data}/emptied2/.tidb-volume/{tenancy}/file"]).strip() == "precious"


def test_the_pools_on_release_changed_under_volumes_wipes_neither_bound_nor_free(lab: Lab) -> None:
    node = lab.cluster.nodes[2]
    _, one = lab.path_disk(node, f"{lab.data}/flip1")
    _, two = lab.path_disk(node, f"{lab.data}/flip2")
    namespace = lab.namespace("flip")
    both = {node: [f"{lab.data}/flip1", f"{lab.data}/flip2"]}
    lab.inventory("flip", listing("flip", both, wipeAfter="0s"))
    lab.wait(one, Phase.AVAILABLE)
    lab.wait(two, Phase.AVAILABLE)
    lab.stateful_set(namespace, "db", "flip")
    lab.running(namespace, "db-0")
    lab.sh(namespace, "db-0", "echo precious > /data/file; sync")
    bound = until("one to be bound", lambda: next((v for v in (one, two) if is_bound(lab, v)), None))
    free = two if bound == one else one
    before = lab.wait(free, Phase.AVAILABLE).status.tenancy
    lab.inventory("flip", listing("flip", both, on_release="keep"))
    lab.wait(free, Phase.AVAILABLE, tenancy_not=before)
    (pv,) = lab.pvs(free)
    assert pv.spec.persistent_volume_reclaim_policy == "Retain"
    (pv,) = lab.pvs(bound)
    assert pv.spec.persistent_volume_reclaim_policy == "Delete", (
        "the policy field of a bound one is its user's"
    )
    assert lab.sh(namespace, "db-0", "cat /data/file").strip() == "precious"
    # A pool on keep begins no wipe, whatever the PersistentVolume's own policy says.
    lab.cluster.kubectl("-n", namespace, "delete", "statefulset", "db")
    lab.gone(namespace, "db-0")
    lab.cluster.kubectl("-n", namespace, "delete", "pvc", "data-db-0")
    found = lab.wait(bound, Phase.RELEASED, "PoolKeeps")
    never("a wipe", lambda: (lab.volume(bound) or found).status.committed, 3)


def is_bound(lab: Lab, volume: str) -> bool:
    found = lab.volume(volume)
    return found is not None and found.status.phase is Phase.BOUND
