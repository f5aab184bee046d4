"""What of several ConfigMaps is refused, where and in which words, what is kept, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.inventory.build import POOLS, decide, node
from tidb_volume.inventory import check, expand, merge
from tidb_volume.inventory.codes import GLOB, Problem, Severity
from tidb_volume.inventory.marks import Mark

A = POOLS + "nodes: {n: [/data/a]}\n"
B = "nodes: {n: [/data/b]}\n"
RAW_B = "nodes: {n: [{path: /data/b, pool: raw}]}\n"
Q = "nodes: {n: [{path: /data/b, pool: q}]}\n"
ZY = "pools: {z: {onRelease: wipe}, y: {onRelease: keep}}\n"
ZERO = "pools: {x: {onRelease: wipe, wipe: zero}}\n"
MANY = "hbgcfaed"


def loaded(texts: Mapping[str, str]) -> dict[str, merge.Accepted]:
    """As an older version left them in force, which did not hold them against each other as this one does."""
    return {name: merge.load(name, {"disks.yaml": text}) for name, text in texts.items()}


# --- who is refused, and in which words ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rounds", "refused"),
    [
        ([{"a": B}], ["a/disks.yaml:1:13 n: /data/b has no pool, and no defaultPool is set"]),
        (
            [{"a": "nodes: {n: [/data/a, /data/b]}"}],
            ["a/disks.yaml:1:13 n: /data/a and 1 more has no pool, and no defaultPool is set"],
        ),
        ([{"a": Q}], ["a/disks.yaml:1:20 n: /data/b: there is no pool q; none yet"]),
        ([{"a": ZY + Q}], ["a/disks.yaml:2:20 n: /data/b: there is no pool q; y, z"]),
        # A default pool that is not there is said once, and not of each disk that would be in it.
        ([{"a": "defaultPool: p\n" + B}], ["a/disks.yaml:1:14 defaultPool: there is no pool p; none yet"]),
        ([{"a": "defaultPool: p\n" + ZY + B}], ["a/disks.yaml:1:14 defaultPool: there is no pool p; y, z"]),
        (
            [{"a": POOLS, "b": RAW_B}, {"a": "defaultPool: p", "b": RAW_B}],
            [
                "a pool raw would end here, but n: /data/b (b/disks.yaml:1:20) uses it",
                "a/disks.yaml:1:14 defaultPool: there is no pool p; none yet",
            ],
        ),
        # The default pool is another ConfigMap's, whose pool is gone since nobody used it.
        (
            [
                {"a": "pools: {p: {onRelease: wipe}}", "b": "defaultPool: p"},
                {"b": "defaultPool: p"},
                {"b": "defaultPool: p", "c": B},
            ],
            ["c/disks.yaml:1:13 n: /data/b: there is no pool p; none yet"],
        ),
        (
            [{"a": POOLS}, {"a": POOLS, "b": "defaultPool: raw"}],
            ["b/disks.yaml:1:14 defaultPool is raw here and tikv at a/disks.yaml:1:14"],
        ),
        # Those that stand are named in their order, whichever came first.
        (
            [
                {"b": POOLS},
                {"b": POOLS, "a": "defaultPool: tikv", "c": "defaultPool: z\n" + ZY},
            ],
            [
                "c/disks.yaml:1:14 defaultPool is z here and tikv at a/disks.yaml:1:14",
                "c/disks.yaml:1:14 defaultPool is z here and tikv at b/disks.yaml:1:14",
            ],
        ),
        (
            [{"a": POOLS + B}, {"a": POOLS + B, "b": B}],
            ["b/disks.yaml:1:13 n: /data/b is listed already at a/disks.yaml:3:13"],
        ),
        (
            [{"a": POOLS, "b": B}, {"a": "nodes: {}", "b": B}],
            ["a the defaultPool would end here, but n: /data/b (b/disks.yaml:1:13) uses it"],
        ),
        (
            [
                {"a": POOLS, "b": RAW_B},
                {"a": "defaultPool: tikv\npools: {tikv: {onRelease: wipe}}", "b": RAW_B},
            ],
            ["a pool raw would end here, but n: /data/b (b/disks.yaml:1:20) uses it"],
        ),
        # A disk that does not suit its pool is refused at the pool's setting where both are in one ConfigMap.
        (
            [{"a": ZERO + Q.replace("q", "x")}],
            ["a/disks.yaml:1:36 pool x wipes with zero, which cannot clean a path (n: /data/b)"],
        ),
        (
            [{"a": ZERO}, {"a": ZERO, "b": Q.replace("q", "x")}],
            ["b/disks.yaml:1:20 pool x wipes with zero, which cannot clean a path (n: /data/b)"],
        ),
    ],
)
def test_a_refusal_says_at_its_place_what_stands_against_it(
    rounds: list[dict[str, str]], refused: list[str]
) -> None:
    found = decide(*rounds).refused
    assert [_words(each) for problems in found.values() for each in problems] == refused


def _words(problem: Problem) -> str:
    """The place and what is wrong there; of a pool that is not there also which are."""
    _, known, pools = problem.way_out.partition("or use one of: ")
    return f"{problem.mark} {problem.what}" + (f"; {pools}" if known and problem.code == "TV031" else "")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"a": A, "b": "nodes: {n: [/data/a]}\n"}, {}),
        ({"p": "defaultPool: x\n" + ZERO, "b": B}, {"c": "never: [/x]"}),
        ({"p": ZERO, "b": Q.replace("q", "x")}, {"c": "defaultPool: t\npools: {t: {onRelease: keep}}"}),
    ],
)
def test_what_an_older_version_let_stand_side_by_side_is_held_against_no_newcomer(
    old: dict[str, str], new: dict[str, str]
) -> None:
    decision = decide({**old, **new}, start=loaded(old))
    assert decision.refused == {}
    assert decision.in_force.keys() == {*old, *new}


def test_a_wait_that_an_older_version_took_for_good_stays_a_long_one() -> None:
    """Read as a wait that nobody wrote it would be the hour that is meant where nothing is said."""
    old = merge.load("a", {"disks.yaml": "pools: {p: {onRelease: wipe, wipeAfter: 9999999d}}"})
    assert [each.code for each in old.problems] == ["TV044"]
    assert [each.settings.after for each in old.content.pools.values()] == ["36500d"]


def test_what_is_in_force_is_not_judged_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = decide({"a": A})
    monkeypatch.setattr(check, "check", None)
    assert decide({"a": A}, start=first.in_force).in_force == first.in_force


def test_a_warning_alone_refuses_nothing_and_is_no_error_of_what_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judged = check.check

    def warned(name: str, data: Mapping[str, str], *binary: Any) -> Any:
        content, problems = judged(name, data, *binary)
        error = GLOB.at(Mark(config_map=name), glob="g", problem="p")
        fields = {each: getattr(error, each) for each in error.__struct_fields__}
        return content, (*problems, Problem(**{**fields, "severity": Severity.WARNING}))

    monkeypatch.setattr(check, "check", warned)
    decision = decide({"a": A})
    assert decision.refused == {}
    assert decision.in_force.keys() == {"a"}
    assert merge.load("a", {"disks.yaml": A}).problems == ()


# --- warnings -----------------------------------------------------------------------------------------------


def warned(decision: merge.Decision) -> dict[str, list[str]]:
    return {name: [_words(each) for each in told] for name, told in decision.warnings.items()}


@pytest.mark.parametrize(("raw", "default"), [("b", "c"), ("c", "b")])
def test_what_is_kept_is_told_with_who_uses_it(raw: str, default: str) -> None:
    left: dict[str, dict[str, str] | str] = {raw: RAW_B, default: "nodes: {m: [/data/c]}"}
    start = {"a": {"d.yaml": POOLS, "never.yaml": "never: [/old]"}, **left}
    why = "still holds, though a is gone or empty, since"
    assert warned(decide(start, left)) == {
        "a": [
            f"a pool raw {why} n: /data/b uses it",
            f"a pool tikv {why} m: /data/c uses it",
            f"a defaultPool: tikv {why} m: /data/c uses it",
            "a/never.yaml never: /old still holds, though a/never.yaml is missing or empty",
        ]
    }


def test_a_listed_disk_that_is_forbidden_is_told_with_the_first_place_that_forbids_it() -> None:
    glob = "never: ['/data/*']"
    listing = {"z": {"disks.yaml": POOLS + "nodes: {n: [/x, /data/b, /data/a]}"}}
    once = {"a": {"never.yaml": glob}, **listing}
    twice = {"b": {"disks.yaml": glob}, **once}
    for rounds, first in (([once], ":1:9"), ([twice], ":1:9"), ([once, listing], "")):
        found = warned(decide(*rounds))
        why = f"is listed, but never: /data/* at a/never.yaml{first} forbids it; it is not used"
        assert found["z"] == [
            f"z/disks.yaml:3:17 n: /data/b {why}",
            f"z/disks.yaml:3:26 n: /data/a {why}",
        ]


def test_of_forbidden_disks_a_thousand_are_told() -> None:
    many = "nodes: {n: ['/a{0..255}', '/b{0..255}', '/c{0..255}', '/d{0..255}']}"
    found = decide({"a": POOLS + many + "\nnever: ['/*']"}).warnings["a"]
    assert (len(found), found[-1].what.split(" is listed")[0]) == (1000, "n: /d231")


def test_what_is_in_force_has_its_pools_in_order_and_the_config_maps_that_say_something() -> None:
    decision = decide({"c": "never: [/x]", "a": POOLS, "b": B}, {"a": POOLS, "b": B})
    assert list(decision.inventory.pools) == ["raw", "tikv"]
    assert decision.in_force.keys() == {"a", "b", "c"}
    assert [content.name for content in decision.inventory.contents] == ["a", "b"]


# --- in which order all is told -----------------------------------------------------------------------------


def test_what_is_refused_and_changed_and_removed_is_told_in_the_order_of_the_names() -> None:
    sound = {name: f"nodes: {{{name}: [/data/a]}}\n" for name in MANY}
    first = decide({"p": POOLS, **sound})
    assert first.changed == (*sorted(MANY), "p")
    assert decide({"p": POOLS}, start=first.in_force).removed == tuple(sorted(MANY))
    broken = decide({"p": POOLS, **dict.fromkeys(MANY, "x: y")}, start=first.in_force)
    assert list(broken.refused) == sorted(MANY)


def test_a_text_has_one_hash_in_whatever_order_its_files_are_read() -> None:
    files = {"b.yaml": "nodes: {}", "a.yaml": A}
    found = merge.text_hash(files)
    assert found == merge.text_hash(dict(reversed(files.items()))) == merge.text_hash({**files, "note": "x"})
    assert found != merge.text_hash({"a.yaml": files["b.yaml"], "b.yaml": A})
    assert len(found) == 16


def test_the_stored_copy_is_the_files_and_a_record_only_where_something_outlives_one() -> None:
    plain = decide({"a": {"disks.yaml": A, "note": "not ours"}}).in_force["a"]
    assert merge.store(plain) == {"disks.yaml": A}
    gone = decide({"a": {"disks.yaml": A, "never.yaml": "never: [/old]"}}, {"a": {"disks.yaml": A}})
    assert merge.store(gone.in_force["a"]).keys() == {"disks.yaml", "kept.json"}


# --- what outlives a file -----------------------------------------------------------------------------------


def kept(decision: merge.Decision) -> dict[str, tuple[list[str], str]]:
    """By the name of each ConfigMap: the pools and the default that are kept of it."""
    left = {name: now.kept for name, now in decision.in_force.items()}
    return {name: ([pool.name for pool in each.pools], each.default_pool) for name, each in left.items()}


@pytest.mark.parametrize(
    ("start", "left", "expected"),
    [
        ({"a": POOLS, "b": B}, {"b": B}, {"a": (["tikv"], "tikv"), "b": ([], "")}),
        # What the other disks are in is kept, by name or as the default, and nothing else.
        ({"a": POOLS, "b": RAW_B}, {"b": RAW_B}, {"a": (["raw"], ""), "b": ([], "")}),
        (
            {"a": POOLS, "b": RAW_B, "c": "nodes: {n: [/data/c]}"},
            {"b": RAW_B, "c": "nodes: {n: [/data/c]}"},
            {"a": (["raw", "tikv"], "tikv"), "b": ([], ""), "c": ([], "")},
        ),
        # Pools and default may be of two that are gone.
        (
            {"a": "pools: {tikv: {onRelease: wipe}}", "d": "defaultPool: tikv", "b": B},
            {"b": B},
            {"a": (["tikv"], ""), "d": ([], "tikv"), "b": ([], "")},
        ),
        (
            {"a": POOLS, "b": B},
            {"b": B, "c": "defaultPool: other\npools: {other: {onRelease: keep}}"},
            {"b": ([], ""), "c": ([], "")},
        ),
    ],
)
def test_of_a_config_map_that_is_gone_stays_what_other_disks_stand_on(
    start: dict[str, str], left: dict[str, str], expected: dict[str, tuple[list[str], str]]
) -> None:
    decision = decide(start, left, left)
    assert decision.refused == {}
    assert kept(decision) == expected
    for name, (pools, _) in expected.items():
        assert all(decision.inventory.pools[pool].mark == Mark(config_map=name) for pool in pools)


def test_of_two_that_are_gone_and_differ_the_first_by_name_counts_in_whatever_order_they_are_loaded() -> None:
    other = POOLS.replace("wipe}", "keep}")
    old = {"z": POOLS.replace("Pool: tikv", "Pool: raw"), "a": other, "b": B}
    for texts in (old, dict(reversed(old.items()))):
        inventory = decide({"b": B}, start=loaded(texts)).inventory
        assert inventory.default_pool == "tikv"
        assert {name: pool.settings.on_release for name, pool in inventory.pools.items()} == {"tikv": "keep"}


def test_kept_globs_are_in_the_order_of_their_files_and_of_their_names() -> None:
    decision = decide({"a": {"2.yaml": "never: [/z, /a]"}}, {"a": {"1.yaml": "never: [/y]"}}, {})
    assert [(each.file, each.glob) for each in decision.in_force["a"].kept.never] == [
        ("1.yaml", "/y"),
        ("2.yaml", "/a"),
        ("2.yaml", "/z"),
    ]


@pytest.mark.parametrize(("more", "refused"), [(0, 0), (1, 1)])
def test_what_is_kept_of_globs_counts_beside_those_that_are_listed(more: int, refused: int) -> None:
    half = check.LIMIT_GLOBS // 2
    first, second = (
        "never: [" + ",".join(f"/{name}{n}" for n in range(count)) + "]"
        for name, count in (("a", half), ("b", check.LIMIT_GLOBS - half + more))
    )
    found = decide({"a": {"1.yaml": first}}, {"a": {"2.yaml": second}}).refused.get("a", ())
    assert [str(each.mark) for each in found] == ["a"] * refused


# --- the fleet's status -------------------------------------------------------------------------------------


def test_a_config_map_that_is_gone_and_leaves_something_has_a_status_of_its_own() -> None:
    listing = {name: f"nodes: {{{name}: [/data/a]}}\n" for name in MANY}
    decision = decide({"z": "never: [/old]", "p": POOLS, **listing}, {"p": POOLS, **listing, "h": "x: y"})
    found = merge.statuses(decision, expand.expand(decision.inventory, []))
    assert [each.name for each in found] == [*sorted(MANY), "p", "z"]
    assert {each.name: each.disks for each in found} == {**dict.fromkeys(MANY, 1), "p": 0, "z": 0}
    gone = found[-1]
    assert (gone.hash, gone.accepted, len(gone.errors)) == ("", "", 1)
    assert all((each.hash == each.accepted) is (each.name != "h") for each in found)
    (never,) = merge.statuses(decide({"a": "x: y"}), expand.Desired())
    assert (never.accepted, never.hash != "") == ("", True)


def test_problems_are_counted_by_config_map_and_severity() -> None:
    first = decide({"z": "never: [/old, /older]", "p": POOLS, "a": A})
    seen = {"p": POOLS, "a": "nodes: {n: [d, e, f]}", "c": "nodes: {10.0.0.9: [/data/a], 10.0.0.8: [/b]}"}
    twice = "nodes: {n1: [/data/x], 10.0.0.1: [/data/x]}"
    at_first_sight = "nodes: {n1: [x]}"
    decision = decide({**seen, "d": twice, "b": at_first_sight}, start=first.in_force)
    found = merge.counts(decision, expand.expand(decision.inventory, [node("n1", "10.0.0.1")]))
    assert list(found) == ["a", "b", "c", "d", "p", "z"]
    assert {name: tuple(counts.values()) for name, counts in found.items()} == {
        "a": (3, 0, 0),
        "b": (1, 0, 0),
        "c": (0, 0, 2),
        "d": (0, 0, 1),
        "p": (0, 0, 0),
        "z": (0, 2, 0),
    }
    assert list(found["a"]) == [Severity.ERROR, Severity.WARNING, Severity.CONFLICT]


@pytest.mark.parametrize(("count", "more"), [(20, ()), (21, ("and 1 more",)), (22, ("and 2 more",))])
def test_a_status_has_twenty_errors_and_says_how_many_more_there_are(
    count: int, more: tuple[str, ...]
) -> None:
    decision = decide({"a": "nodes: {n: [" + ", ".join(f"d{n}" for n in range(count)) + "]}"})
    (status,) = merge.statuses(decision, expand.Desired())
    assert (len(status.errors[:20]), status.errors[20:]) == (20, more)
