"""From the text and the nodes that exist to the disks that are wanted."""

from __future__ import annotations

import pytest

from tests.unit.inventory.build import POOLS, accepted, decide, desired, node
from tidb_volume.inventory import expand
from tidb_volume.upstream import Node

GROUP = POOLS + 'groups: [{nodeSelector: {hw: big}, disks: ["/data/x{0..1}"]}]\n'


def wanted(found: expand.Desired) -> list[tuple[str, str]]:
    return sorted((disk.node_name, str(disk.source)) for disk in found.disks.values())


def conflicts(found: expand.Desired) -> dict[str, str]:
    """By node and source: the codes of its conflict."""
    return {
        f"{disk.node_name}{disk.source}": " ".join(part[:5] for part in disk.conflict.split("; TV"))
        for disk in found.disks.values()
        if disk.conflict
    }


def test_a_name_yields_its_disks_whether_or_not_the_node_is_there() -> None:
    text = POOLS + "nodes: {n: [/data/a, /data/b]}"
    assert wanted(desired(text)) == wanted(desired(text, node("n"))) == [("n", "/data/a"), ("n", "/data/b")]


def test_an_address_yields_its_disks_on_the_node_that_has_it() -> None:
    text = POOLS + 'nodes: {10.0.0.1: [/data/a], "fd00:0::1": [/data/b]}'
    one, two = node("one", "10.0.0.1"), node("two", "fd00::1")
    assert wanted(desired(text, one, two)) == [("one", "/data/a"), ("two", "/data/b")]


def test_an_address_may_be_a_nodes_name_too() -> None:
    assert wanted(desired(POOLS + "nodes: {10.0.0.1: [/data/a]}", node("10.0.0.1", "10.0.0.1"))) == [
        ("10.0.0.1", "/data/a")
    ]


def test_only_the_internal_address_counts() -> None:
    from tidb_volume.upstream import NodeAddress, NodeStatus
    from tidb_volume.value import Meta

    outside = Node(
        metadata=Meta(name="n"),
        status=NodeStatus(addresses=(NodeAddress(type="ExternalIP", address="10.0.0.1"),)),
    )
    found = desired(POOLS + "nodes: {10.0.0.1: [/data/a]}", outside)
    assert wanted(found) == []
    assert found.waiting[0].words.startswith("TV062")
    assert found.waiting[0].mark.line == 3


def test_a_group_yields_its_disks_on_every_node_that_carries_all_its_labels() -> None:
    nodes = [node("a", hw="big"), node("b", hw="small"), node("c", hw="big", zone="1"), node("d")]
    assert wanted(desired(GROUP, *nodes)) == [
        ("a", "/data/x0"),
        ("a", "/data/x1"),
        ("c", "/data/x0"),
        ("c", "/data/x1"),
    ]
    both = GROUP.replace("{hw: big}", "{hw: big, zone: '1'}")
    assert wanted(desired(both, *nodes)) == [("c", "/data/x0"), ("c", "/data/x1")]


@pytest.mark.parametrize(
    ("text", "nodes", "conflict"),
    [
        # a node under its name and its address
        ("nodes: {n: [/d/a], 10.0.0.1: [/d/a, /d/b]}", [node("n", "10.0.0.1")], {"n/d/a": "TV060"}),
        ("nodes: {n: [/d/a], 10.0.0.1: [/d/b]}", [node("n", "10.0.0.1")], {}),
        # an address that moved to, or is shared with, another node
        (
            "nodes: {10.0.0.1: [/d/a]}",
            [node("n", "10.0.0.1"), node("m", "10.0.0.1")],
            {"m/d/a": "TV061", "n/d/a": "TV061"},
        ),
        # a group and the node's own list
        (
            "nodes: {n: [/d/a]}\ngroups: [{nodeSelector: {hw: big}, disks: [/d/a, /d/b]}]",
            [node("n", hw="big")],
            {"n/d/a": "TV060"},
        ),
        # two groups that say the same, and two that do not
        (
            "groups: [{nodeSelector: {hw: big}, disks: [/d/a]}, {nodeSelector: {z: one}, disks: [/d/a]}]",
            [node("n", hw="big", z="one"), node("m", hw="big")],
            {},
        ),
        (
            "groups: [{nodeSelector: {hw: big}, disks: [/d/a]},"
            " {nodeSelector: {z: one}, disks: [{path: /d/a, pool: raw}]}]",
            [node("n", hw="big", z="one"), node("m", hw="big")],
            {"n/d/a": "TV060"},
        ),
        # one hostname label on two nodes, and a disk on a third
        (
            "nodes: {n: [/d/a], m: [/d/a], k: [/d/a]}",
            [node("n", hostname="h"), node("m", hostname="h"), node("k")],
            {"n/d/a": "TV063", "m/d/a": "TV063"},
        ),
    ],
)
def test_what_nodes_contradict_makes_their_own_volumes_conflict_and_no_others(
    text: str, nodes: list[Node], conflict: dict[str, str]
) -> None:
    found = desired(POOLS + text, *nodes)
    assert conflicts(found) == conflict
    assert len(found.disks) == len(set(wanted(found)))


def test_of_two_entries_in_conflict_the_first_one_is_shown() -> None:
    text = POOLS + "nodes: {n: [{path: /d/a, pool: raw}], 10.0.0.1: [/d/a]}"
    (disk,) = desired(text, node("n", "10.0.0.1")).disks.values()
    assert disk.pool.name == "raw"
    assert "n (inv/disks.yaml:3:20) and through 10.0.0.1 (inv/disks.yaml:3:50)" in disk.conflict


def test_nodes_that_share_a_hostname_label_are_named() -> None:
    found = desired(POOLS, node("b", hostname="h"), node("a", hostname="h"), node("c"))
    assert found.hostname_conflicts == {"h": ("a", "b")}


# --- never -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("glob", "name", "forbidden"),
    [
        ("/dev/disk/by-id/*-BOOT*", "/dev/disk/by-id/nvme-X-BOOT1", True),
        ("/dev/disk/by-id/*-BOOT*", "/dev/disk/by-id/nvme-X-boot1", False),
        ("/data/x", "/data/x", True),
        ("/data/x", "/data/x/y", True),
        ("/data/x/", "/data/x/y", True),
        ("/data/x", "/data/xy", False),
        ("/data/*", "/data/a/b", True),
        ("/data/nvme[0-3]", "/data/nvme2", True),
        ("/data/nvme?", "/data/nvme12", False),
        ("/data/[", "/data/[", True),
        ("/data/(a|b)+", "/data/a", False),
        ("/", "/data/a", True),
    ],
)
def test_a_glob_forbids_what_it_matches_and_what_is_below(glob: str, name: str, forbidden: bool) -> None:
    assert expand.Forbids([glob])(name) == (glob if forbidden else "")


def test_a_never_glob_holds_for_all_files_whatever_else_is_written() -> None:
    decision = decide(
        {"a": POOLS + "nodes: {n: [/data/a, /data/b]}", "b": {"x.yaml": "never: ['/data/b*', /data/c]"}}
    )
    found = expand.expand(decision.inventory, [])
    assert {str(disk.source): disk.never for disk in found.disks.values()} == {
        "/data/a": "",
        "/data/b": "/data/b*",
    }
    assert found.never == ("/data/b*", "/data/c")
    assert [problem.code for problem in decision.warnings["a"]] == ["TV056"]


def test_a_hostile_glob_takes_no_time() -> None:
    forbids = expand.Forbids(["/" + "*a" * 120 + "b"])
    assert forbids("/" + "a" * 500) == ""


# --- a disk that left because of a label -------------------------------------------------------------


def kept(found: expand.Desired) -> dict[str, expand.Listed]:
    """What a controller keeps with each volume."""
    return {name: expand.Listed(listing=disk.listing) for name, disk in found.disks.items()}


def test_a_disk_whose_node_lost_its_label_is_kept_until_the_item_changes() -> None:
    big = [node("a", hw="big"), node("b", hw="big")]
    volumes = kept(desired(GROUP, *big))
    less = desired(GROUP, node("a", hw="big"), node("b"))
    left = expand.left_by_label(volumes, less)
    assert {name.split("-")[0] for name in left} == {"b"}
    assert len(left) == 2
    # Remembered with the volume, it holds through every edit of something else ...
    volumes |= {name: expand.Listed(listing=volumes[name].listing, left=text) for name, text in left.items()}
    other = desired(GROUP + "nodes: {z: [/data/z]}\n", node("a", hw="big"), node("b"))
    assert expand.left_by_label(volumes, other) == left
    # ... and ends when the item itself reads otherwise.
    edited = desired(GROUP.replace("{0..1}", "{0..2}"), node("a", hw="big"), node("b"))
    assert expand.left_by_label(volumes, edited) == {}
    forgetful = {name: expand.Listed(listing=listed.listing) for name, listed in volumes.items()}
    assert expand.left_by_label(forgetful, edited) != {}
    # When the label comes back nothing has left.
    back = desired(GROUP, *big)
    assert expand.left_by_label(volumes, back) == {}
    assert kept(back).keys() == volumes.keys()


def test_a_disk_that_an_edit_removes_has_not_left_by_a_label() -> None:
    nodes = [node("a", hw="big")]
    volumes = kept(desired(GROUP, *nodes))
    assert len(expand.left_by_label(volumes, desired(POOLS, *nodes))) == 0
    fewer = desired(GROUP.replace("{0..1}", "{1..2}"), *nodes)
    assert expand.left_by_label(volumes, fewer) == {}
    named = POOLS + "nodes: {n: [/data/x0]}\n"
    other_group = POOLS + "groups: [{nodeSelector: {hw: none}, disks: [/data/x0]}]\n"
    assert expand.left_by_label(kept(desired(named)), desired(other_group)) == {}


def test_a_disk_whose_nodes_address_moved_or_whose_node_is_gone_has_left_by_no_edit() -> None:
    text = POOLS + "nodes: {10.0.0.1: [/data/a]}\n"
    volumes = kept(desired(text, node("n", "10.0.0.1")))
    for nodes in ([], [node("n", "10.0.0.2")], [node("n", "10.0.0.2"), node("m", "10.0.0.1")]):
        assert expand.left_by_label(volumes, desired(text, *nodes)).keys() == volumes.keys()
    deleted = desired(GROUP, node("a", hw="big"))
    assert expand.left_by_label(kept(deleted), desired(GROUP)).keys() == deleted.disks.keys()


def test_what_is_kept_with_a_volume_stays_the_same_through_edits_that_do_not_touch_its_listing() -> None:
    nodes = [node("a", hw="big")]
    edits = [GROUP, GROUP.replace("onRelease: wipe", "onRelease: keep"), GROUP + "never: [/x]\n"]
    edits += [GROUP.replace("{0..1}", "{0..5}"), "# a comment\n" + GROUP]
    listings = [{name: item.listing for name, item in kept(desired(text, *nodes)).items()} for text in edits]
    for other in listings[1:]:
        assert listings[0].items() <= other.items()


def test_the_order_of_nodes_and_of_config_maps_does_not_matter() -> None:
    inventory = accepted(GROUP + "nodes: {10.0.0.1: [/data/a], n: [/data/a]}").inventory
    nodes = [node("n", "10.0.0.1", hw="big"), node("m", "10.0.0.2", hw="big", hostname="n")]
    assert expand.expand(inventory, nodes) == expand.expand(inventory, nodes[::-1])
    seen = {"b": "nodes: {n: [/data/b]}", "a": POOLS}
    assert decide(seen) == decide(dict(reversed(seen.items())))
