"""From the text and the nodes that exist to the disks that are wanted."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.inventory.build import POOLS, accepted, decide, desired, node
from tidb_volume import names
from tidb_volume.inventory import codes, expand
from tidb_volume.inventory.model import Inventory, Kind
from tidb_volume.upstream import Node, NodeAddress, NodeStatus
from tidb_volume.value import Meta

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


@pytest.mark.parametrize("address", ["10.0.0.1", ""])
def test_an_address_may_be_a_nodes_name_too(address: str) -> None:
    assert wanted(desired(POOLS + "nodes: {10.0.0.1: [/data/a]}", node("10.0.0.1", address))) == [
        ("10.0.0.1", "/data/a")
    ]


def test_an_address_is_the_same_however_it_is_spelt_and_what_is_none_is_not_looked_up() -> None:
    text = POOLS + 'nodes: {"fd00:0::1": [/data/a]}'
    found = desired(text, node("n", "fd00:0:0::0001"), node("m", "no-address"))
    assert wanted(found) == [("n", "/data/a")]


def test_no_inventory_wants_nothing() -> None:
    assert expand.expand(Inventory(), [node("n")]) == expand.Desired()


BY_ID = "/dev/disk/by-id/"
MADE = (
    "defaultPool: p\n"
    "pools: {p: {onRelease: wipe, fsType: ext4, mountOptions: [noatime]}, q: {onRelease: keep}}\n"
    f"nodes: {{n: [{{path: /data/a, pool: q}}, {{device: {BY_ID}a}}, {{device: {BY_ID}b, fsType: xfs}},"
    f" {{device: {BY_ID}c, pool: q}}, {{device: {BY_ID}d, volumeMode: Block, pool: q}}]}}"
)


def test_a_disk_is_made_as_its_entry_says_or_else_its_pool() -> None:
    found = {str(disk.source): disk for disk in desired(MADE).disks.values()}
    assert {name: (disk.kind, disk.fs_type) for name, disk in found.items()} == {
        "/data/a": (Kind.PATH, ""),
        f"{BY_ID}a": (Kind.FILESYSTEM, "ext4"),
        f"{BY_ID}b": (Kind.FILESYSTEM, "xfs"),
        f"{BY_ID}c": (Kind.FILESYSTEM, "xfs"),
        f"{BY_ID}d": (Kind.BLOCK, ""),
    }


def test_a_disk_is_mounted_with_its_pools_options_and_a_raw_one_with_none() -> None:
    text = MADE.replace(", q: {onRelease: keep}", ", q: {onRelease: keep, mountOptions: [nodiratime]}")
    found = {str(disk.source): disk.mount_options for disk in desired(text).disks.values()}
    assert (found[f"{BY_ID}a"], found[f"{BY_ID}c"], found[f"{BY_ID}d"]) == (("noatime",), ("nodiratime",), ())


def test_only_the_internal_address_counts() -> None:
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


def test_a_group_that_no_node_answers_to_waits_and_one_that_some_do_does_not() -> None:
    (waiting,) = desired(GROUP, node("n")).waiting
    assert waiting.words.startswith("TV0")
    assert "group hw=big" in waiting.words
    assert waiting.mark.line == 3
    assert desired(GROUP, node("n", hw="big")).waiting == ()


def test_an_entry_whose_pool_is_no_longer_understood_waits_and_the_others_do_not() -> None:
    text = POOLS + "nodes: {n: [/data/a, {path: /data/b, pool: raw}]}\n"
    read = accepted(text).inventory
    for lost, left, said in (("tikv", "/data/b", "raw"), ("raw", "/data/a", "tikv")):
        pools = {name: pool for name, pool in read.pools.items() if name != lost}
        more = {f"more-{said}": read.pools[said]}
        found = expand.expand(msgspec.structs.replace(read, pools=pools | more), [])
        assert wanted(found) == [("n", left)]
        (waiting,) = found.waiting
        assert waiting.words == codes.UNKNOWN_POOL.words(whose="n", pool=lost, known=f"{said}, more-{said}")
        marks = {str(entry.source): entry.mark for entry in read.contents[0].nodes[0].entries}
        assert waiting.mark == next(mark for source, mark in marks.items() if source != left)


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
        # an entry that says the same disk by another serial, or wants it made otherwise
        *(
            (
                f"groups: [{{nodeSelector: {{hw: big}}, disks: [{{device: {name}, {one}}}]}},"
                f" {{nodeSelector: {{z: one}}, disks: [{{device: {name}, {two}}}]}}]",
                [node("n", hw="big", z="one"), node("m", hw="big")],
                {f"n{name}": "TV060"} if one != two else {},
            )
            for name in ("/dev/sdb",)
            for one, two in (
                ("serial: S", "serial: T"),
                ("serial: S, fsType: ext4", "serial: S"),
                ("serial: S, fsType: xfs", "serial: S, fsType: xfs"),
                ("serial: S, volumeMode: Block, pool: raw", "serial: S, pool: raw"),
            )
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


@pytest.mark.as_if_built("mountBy: kubelet")
def test_two_groups_that_have_a_disk_mounted_by_others_contradict_each_other() -> None:
    one, two = (f"{{device: {BY_ID}a, mountBy: {by}}}" for by in ("kubelet", "daemon"))
    first, second = (f"disks: [{each}]" for each in (one, two))
    text = f"groups: [{{nodeSelector: {{hw: big}}, {first}}}, {{nodeSelector: {{z: one}}, {second}}}]"
    assert conflicts(desired(POOLS + text, node("n", hw="big", z="one"))) == {f"n{BY_ID}a": "TV060"}


@pytest.mark.parametrize("group_first", [True, False])
def test_a_nodes_own_list_stands_alone_though_a_group_says_the_same(group_first: bool) -> None:
    group = "groups: [{nodeSelector: {hw: big}, disks: [/d/a]}]"
    own = "nodes: {n: [/d/a]}"
    first, second = (group, own) if group_first else (own, group)
    decision = decide({"a": POOLS + first, "b": second})
    assert conflicts(expand.expand(decision.inventory, [node("n", hw="big")])) == {"n/d/a": "TV060"}


def test_two_disks_under_one_name_are_one_volume_in_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "volume_name", lambda node_name, source: f"volume-{node_name}")
    (disk,) = desired(POOLS + "nodes: {n: [/d/b, /d/a]}").disks.values()
    assert str(disk.source) == "/d/a"
    assert disk.conflict == codes.SAME_NAME.words(node="n", one="/d/a", two="/d/b", name="volume-n")


def test_an_address_that_many_have_names_them_in_their_order() -> None:
    many = [node(each, "10.0.0.1") for each in "hbgcfaed"]
    found = desired(POOLS + "nodes: {10.0.0.1: [/d/a]}", *many)
    for disk in found.disks.values():
        assert disk.conflict == codes.IP_OF_TWO.words(ip="10.0.0.1", nodes=" and ".join("abcdefgh"))


def test_disks_are_in_the_order_of_their_volumes_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "volume_name", lambda node_name, source: f"{source}"[::-1])
    assert list(desired(POOLS + "nodes: {n: [/d/ab, /d/ba]}").disks) == ["ab/d/", "ba/d/"]


def test_of_two_entries_in_conflict_the_first_one_is_shown() -> None:
    text = POOLS + "nodes: {n: [{path: /d/a, pool: raw}], 10.0.0.1: [/d/a]}"
    (disk,) = desired(text, node("n", "10.0.0.1")).disks.values()
    assert disk.pool.name == "raw"
    assert "n (inv/disks.yaml:3:20) and through 10.0.0.1 (inv/disks.yaml:3:50)" in disk.conflict


def test_nodes_that_share_a_hostname_label_are_named() -> None:
    found = desired(POOLS, node("b", hostname="h"), node("a", hostname="h"), node("c"))
    assert found.hostname_conflicts == {"h": ("a", "b")}
    bare = [Node(metadata=Meta(name=each)) for each in ("x", "y")]
    more = desired(
        POOLS,
        node("a", hostname="k"),
        node("b", hostname="k"),
        *bare,
        node("c", hostname="h"),
        node("d", hostname="h"),
    )
    assert list(more.hostname_conflicts.items()) == [("h", ("c", "d")), ("k", ("a", "b"))]


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
        ("/data/x~", "/data/x/y", False),
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


def test_of_several_globs_the_one_that_forbids_is_named() -> None:
    forbids = expand.Forbids(["/data/a", "/data/b", "/data/*"])
    assert [forbids(each) for each in ("/data/b", "/data/c", "/x")] == ["/data/b", "/data/*", ""]


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


def test_what_is_kept_with_a_volume_is_the_same_from_version_to_version() -> None:
    found = desired(GROUP.replace("{0..1}", "") + "nodes: {n: [/data/a]}\n", node("m", hw="big"))
    assert {str(disk.source): disk.listing for disk in found.disks.values()} == {
        "/data/a": "b28acc0e10f3",
        "/data/x": "bfe000b3324b",
    }


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
