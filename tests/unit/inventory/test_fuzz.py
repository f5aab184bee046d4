"""Whatever is written: errors are collected, decisions repeat themselves, no disk is wanted twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.inventory.build import node
from tidb_volume.inventory import check, expand, merge
from tidb_volume.inventory.read import read
from tidb_volume.upstream import Node

PIECES = st.sampled_from(
    [
        "nodes:",
        "pools:",
        "groups:",
        "never:",
        "defaultPool:",
        " ",
        "\n",
        "\n  ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ",",
        ": ",
        "/data/x",
        "{0..9}",
        "tikv",
        "onRelease",
        "wipe",
        "path",
        "device",
        "&a",
        "*a",
        "!!x",
        "<<",
        "---",
        "#",
        "'",
        '"',
        "|",
        ">",
        "%YAML 1.1",
        "\t",
        "\x00",
        "\ud800",
        "é",
        "\u2028",
        "nodeSelector",
        "disks",
        "?",
        "~",
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=40).map("".join))


@given(st.one_of(TEXTS, st.binary()))
def test_reading_anything_raises_nothing(text: str | bytes) -> None:
    tree, problems = read(text, "inv", "f.yaml")
    assert tree is not None or isinstance(problems, list)
    assert all(str(problem).count("\n") == 1 for problem in problems)


@given(st.dictionaries(st.sampled_from(["a.yaml", "b.yaml", "c.yml", "d"]), TEXTS))
def test_checking_anything_raises_nothing(data: dict[str, str]) -> None:
    content, problems = check.check("inv", data)
    assert content.name == "inv"
    assert all(problem.mark.config_map == "inv" for problem in problems)


# --- trees that are nearly an inventory ----------------------------------------------------------------

WORDS = st.sampled_from(
    [
        "tikv",
        "raw",
        "wipe",
        "keep",
        "auto",
        "zero",
        "files",
        "1h",
        "0s",
        "",
        "xfs",
        "Block",
        "/data/x",
        "/data/y",
        "/",
        "/etc",
        "/dev/sdb",
        "/dev/disk/by-id/x",
        "/data/{a,b}",
        "{",
        "off",
        "wait",
        "S1",
        "n",
        "10.0.0.1",
    ]
)
KEYS = st.sampled_from(
    [
        *check.TOP,
        *check.ENTRY,
        "nodeSelector",
        "disks",
        "onRelease",
        "wipeAfter",
        "wipe",
        "mode",
        "nodeLoss",
        "n",
        "tikv",
        "raw",
        "10.0.0.1",
        "labels",
        "gates",
        "mountOptions",
        "release",
        "after",
        "hw",
    ]
)
TREES = st.recursive(
    WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)


def written(tree: object) -> str:
    """A tree as YAML in flow style."""
    if isinstance(tree, dict):
        return "{" + ", ".join(f"'{key}': {written(value)}" for key, value in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(map(written, tree)) + "]"
    return f"'{tree}'"


@given(st.dictionaries(st.sampled_from(check.TOP), TREES).map(written))
def test_any_tree_is_either_accepted_and_expands_or_told_what_is_wrong(text: str) -> None:
    decision = merge.decide({}, {"inv": {"f.yaml": text}})
    if "inv" in decision.in_force:
        expand.expand(decision.inventory, [node("n", "10.0.0.1", hw="n")])
    else:
        assert decision.refused["inv"]
    accepted = merge.load("inv", {"f.yaml": text})
    loaded = merge.decide({"inv": accepted}, {"inv": {"f.yaml": text}})
    expand.expand(loaded.inventory, [node("n", "10.0.0.1", hw="n")])


# --- sound inventories, several of them, edited again and again -----------------------------------------

DISKS = st.lists(
    st.sampled_from(
        [
            "/data/a",
            "/data/b",
            "'/data/{a,c}'",
            "{path: /data/b, pool: raw}",
            "{device: /dev/disk/by-id/x}",
            "{device: /dev/disk/by-id/x, volumeMode: Block, pool: raw}",
        ]
    ),
    max_size=3,
).map(", ".join)
NODES = st.dictionaries(st.sampled_from(["n", "m", "10.0.0.1", "10.0.0.2"]), DISKS, max_size=3)
GROUPS = st.lists(st.tuples(st.sampled_from(["{hw: a}", "{hw: b}", "{z: a}"]), DISKS), max_size=2)
POOLS = st.sampled_from(
    [
        "",
        "defaultPool: tikv",
        "pools: {tikv: {onRelease: wipe}, raw: {onRelease: keep}}",
        "pools: {raw: {onRelease: wipe}}",
        "defaultPool: tikv\npools: {tikv: {onRelease: wipe}, raw: {onRelease: keep}}",
        "never: [/data/b]",
    ]
)


def inventory_text(pools: str, nodes: dict[str, str], groups: list[tuple[str, str]]) -> str:
    lines = [pools, "nodes:", *(f"  {key}: [{disks}]" for key, disks in nodes.items())]
    lines += ["groups:", *(f"- {{nodeSelector: {selector}, disks: [{disks}]}}" for selector, disks in groups)]
    return "\n".join(lines) + "\n"


FILES = st.builds(inventory_text, POOLS, NODES, GROUPS)
SEEN = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.dictionaries(st.sampled_from(["1.yaml", "2.yaml"]), FILES | st.just(""), max_size=2),
    max_size=3,
)
LIVE = st.lists(
    st.builds(
        node,
        st.sampled_from(["n", "m", "k"]),
        ip=st.sampled_from(["", "10.0.0.1", "10.0.0.2"]),
        hostname=st.sampled_from(["", "h"]),
        hw=st.sampled_from(["a", "b"]),
        z=st.sampled_from(["a", "b"]),
    ),
    unique_by=lambda each: each.metadata.name,
)


@given(st.lists(SEEN, min_size=1, max_size=4), LIVE, st.randoms(use_true_random=False))
def test_through_any_edits_what_is_in_force_is_sound_and_the_same_each_time(
    rounds: list[dict[str, dict[str, str]]], nodes: list[Node], random: object
) -> None:
    in_force: dict[str, merge.Accepted] = {}
    for seen in rounds:
        before = {glob.glob for now in in_force.values() for glob in now.content.never}
        decision = merge.decide(in_force, seen)
        assert merge.decide(in_force, dict(reversed(seen.items()))) == decision
        again = merge.decide(decision.in_force, seen)
        assert (again.changed, again.removed, again.inventory) == ((), (), decision.inventory)
        stored = {name: merge.store(now) for name, now in decision.in_force.items()}
        assert {name: merge.load(name, data) for name, data in stored.items()} == decision.in_force
        # One disk stands in one item alone, and each has its pool.
        keys = [key for content in decision.inventory.contents for key in content.listed]
        assert len(keys) == len(set(keys))
        found = expand.expand(decision.inventory, nodes)
        assert not any(wait.words.startswith("TV031") for wait in found.waiting)
        assert len({(disk.node_name, str(disk.source)) for disk in found.disks.values()}) == len(found.disks)
        assert all(disk.name == name for name, disk in found.disks.items())
        shuffled = list(nodes)
        random.shuffle(shuffled)  # type: ignore[attr-defined]
        assert expand.expand(decision.inventory, shuffled) == found
        # No glob ends but by a file that says something else.
        for glob in before - {glob.glob for glob in decision.inventory.never}:
            files = {
                (name, mark.mark.file)
                for name, now in in_force.items()
                for mark in now.content.never
                if mark.glob == glob
            }
            assert all(seen.get(name, {}).get(file) for name, file in files)
        in_force = decision.in_force
