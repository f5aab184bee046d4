"""What is in force after an edit: last good kept, newcomers refused, and what outlives a file."""

from __future__ import annotations

import json

import pytest

from tests.unit.inventory.build import POOLS, decide
from tidb_volume.inventory import check, expand, merge
from tidb_volume.inventory.marks import Mark

A = POOLS + "nodes: {n: [/data/a]}\n"
B = "nodes: {n: [/data/b]}\n"
BROKEN = "nodes: {n: [data]}\n"


def disks(decision: merge.Decision) -> list[str]:
    """What is listed in force, for the node n."""
    return sorted(str(disk.source) for disk in expand.expand(decision.inventory, []).disks.values())


def globs(decision: merge.Decision) -> list[str]:
    return sorted(glob.glob for glob in decision.inventory.never)


def told(decision: merge.Decision) -> dict[str, list[str]]:
    return {name: [problem.code for problem in problems] for name, problems in decision.refused.items()}


# --- last good kept -----------------------------------------------------------------------------------


def test_a_broken_edit_changes_nothing_and_holds_up_nobody_else() -> None:
    decision = decide({"a": A, "b": B}, {"a": BROKEN, "b": "nodes: {n: [/data/b, /data/c]}\n"})
    assert told(decision) == {"a": ["TV015"]}
    assert disks(decision) == ["/data/a", "/data/b", "/data/c"]
    assert decision.changed == ("b",)
    assert decision.hashes["a"] != decision.in_force["a"].hash


@pytest.mark.parametrize("left", [{}, {"disks.yaml": A}, {"disks.yaml": ""}, {"README": "x"}])
def test_a_file_that_became_binary_data_refuses_the_edit_and_empties_nothing(left: dict[str, str]) -> None:
    """kubectl puts a file there by itself, once one of its bytes is no UTF-8."""
    before = {"a": {"disks.yaml": A}, "b": B}
    for files in (["disks.yaml"], ["more.yml"]):
        decision = decide(before, {"a": left, "b": B}, binary={"a": files})
        (problem,) = decision.refused["a"]
        assert (problem.code, problem.mark) == ("TV022", Mark(config_map="a", file=files[0]))
        assert files[0] in problem.what
        assert "iconv" in problem.way_out
        assert disks(decision) == ["/data/a", "/data/b"]
        assert decision.changed == decision.removed == ()
        assert decision.hashes["a"] != decision.in_force["a"].hash
        assert decide(before, start=decision.in_force).refused == {}


def test_binary_data_of_other_names_is_nobodys() -> None:
    decision = decide({"a": A}, binary={"a": ["logo.png", "yaml"]})
    assert decision.refused == {}
    assert decision.hashes == {"a": merge.text_hash({"disks.yaml": A})}


def test_what_is_wrong_with_the_other_files_is_told_beside_the_binary_one() -> None:
    assert told(decide({"a": BROKEN}, binary={"a": ["x.yaml"]})) == {"a": ["TV015", "TV022"]}


def test_a_config_map_that_was_never_sound_has_nothing_in_force() -> None:
    decision = decide({"a": A, "b": BROKEN})
    assert "b" not in decision.in_force
    assert disks(decision) == ["/data/a"]


def test_a_broken_edit_that_is_taken_back_is_forgotten() -> None:
    decision = decide({"a": A}, {"a": BROKEN}, {"a": A})
    assert decision.refused == {}
    assert decision.changed == ()


def test_a_decision_fed_back_changes_nothing() -> None:
    seen = {"a": A, "b": B, "c": BROKEN}
    once, twice = decide(seen), decide(seen, seen)
    assert twice.changed == twice.removed == ()
    assert twice.inventory == once.inventory
    assert twice.refused == once.refused


def test_what_is_in_force_survives_a_restart_while_the_edit_is_broken() -> None:
    before = decide({"a": A + "never: [/old]\n", "b": B}, {"a": BROKEN})
    stored = {name: merge.store(now) for name, now in before.in_force.items()}
    loaded = {name: merge.load(name, data) for name, data in stored.items()}
    assert loaded == before.in_force
    after = decide({"a": BROKEN}, start=loaded)
    assert after.inventory == before.inventory
    assert after.refused == before.refused
    assert after.changed == ()


def test_an_emptied_config_map_is_a_sound_edit_that_lists_nothing() -> None:
    for emptied in ({}, {"disks.yaml": ""}, {"disks.yaml": "nodes:\n"}):
        decision = decide({"a": POOLS, "b": B}, {"a": POOLS, "b": emptied})
        assert decision.refused == {}
        assert disks(decision) == []


def test_an_emptied_config_map_whose_pools_are_used_is_as_one_that_is_deleted() -> None:
    for emptied in ({}, {"disks.yaml": "# nothing\n"}):
        decision = decide({"a": POOLS, "b": B}, {"a": emptied, "b": B}, {"a": emptied, "b": B})
        assert decision.refused == {}
        assert disks(decision) == ["/data/b"]
        assert [problem.code for problem in decision.warnings["a"]] == ["TV055", "TV055"]


def test_a_config_map_that_is_deleted_takes_its_disks_along() -> None:
    decision = decide({"a": A, "b": B}, {"a": A})
    assert disks(decision) == ["/data/a"]
    assert decision.removed == ("b",)
    assert decision.warnings == {}


def test_a_text_that_this_version_no_longer_accepts_stays_as_far_as_it_is_understood() -> None:
    stored = {
        "disks.yaml": "pools: {old: {onRelease: wipe, gone: x}, bad: {wipe: y}}\n"
        "nodes: {n: [{path: /data/a, pool: old}, {path: /data/b, pool: bad}]}\n"
    }
    loaded = merge.load("a", stored)
    decision = decide({"a": stored}, start={"a": loaded})
    assert told(decision) == {"a": ["TV009", "TV032", "TV034"]}
    found = expand.expand(decision.inventory, [])
    assert [str(disk.source) for disk in found.disks.values()] == ["/data/a"]
    assert [wait.words[:5] for wait in found.waiting] == ["TV031"]
    # The volume of the other disk left by no edit, so it is kept.
    listing = next(iter(set(found.texts) - {disk.listing for disk in found.disks.values()}))
    assert expand.left_by_label({"b": expand.Listed(listing=listing)}, found)


def test_a_stored_copy_with_a_broken_record_is_an_error_and_not_a_lost_glob() -> None:
    with pytest.raises(ValueError, match="inventory a has a broken kept"):
        merge.load("a", {merge.KEPT_KEY: "{"})


# --- who is refused -----------------------------------------------------------------------------------


def test_of_two_that_contradict_each_other_the_newcomer_is_refused_whatever_its_name() -> None:
    for first, second in (("a", "z"), ("z", "a")):
        decision = decide({first: A}, {first: A, second: "nodes: {n: [/data/a]}\n"})
        assert told(decision) == {second: ["TV050"]}


def test_of_two_that_are_both_new_the_first_by_name_stays() -> None:
    decision = decide({"z": A, "b": A, "c": A})
    assert told(decision) == {"c": ["TV050"], "z": ["TV050"]}


def test_a_disk_moves_from_one_config_map_to_another_in_one_step() -> None:
    pools = {"p": POOLS}
    for giver, taker in (("a", "b"), ("b", "a")):
        before = {**pools, giver: "nodes: {n: [/data/x]}\n", taker: "nodes: {}\n"}
        after = {**pools, giver: "nodes: {}\n", taker: "nodes: {n: [/data/x]}\n"}
        decision = decide(before, after)
        assert decision.refused == {}
        assert disks(decision) == ["/data/x"]


def test_two_disks_change_places_in_one_step() -> None:
    decision = decide(
        {"p": POOLS, "a": "nodes: {n: [/data/x]}", "b": "nodes: {n: [/data/y]}"},
        {"p": POOLS, "a": "nodes: {n: [/data/y]}", "b": "nodes: {n: [/data/x]}"},
    )
    assert decision.refused == {}


def test_a_newcomer_that_waits_for_another_is_taken_once_that_one_gives_way() -> None:
    taker = "nodes: {n: [/data/x]}\n"
    start = {"p": POOLS, "z": "nodes: {n: [/data/x]}\n"}
    decision = decide(start, {**start, "a": taker}, {"p": POOLS, "z": "nodes: {}\n", "a": taker})
    assert decision.refused == {}


def test_a_contradiction_elsewhere_does_not_hold_up_a_move() -> None:
    before = {"p": POOLS, "a": "nodes: {n: [/data/x]}", "b": "nodes: {}"}
    after = {
        "p": POOLS,
        "a": "nodes: {}",
        "b": "nodes: {n: [/data/x]}",
        "c": "pools: {raw: {onRelease: wipe}}",
    }
    decision = decide(before, after)
    assert told(decision) == {"c": ["TV051"]}
    assert disks(decision) == ["/data/x"]


def test_pools_and_the_default_pool_are_shared_by_all_config_maps() -> None:
    decision = decide({"a": "nodes: {n: [/data/a]}", "z": POOLS})
    assert decision.refused == {}
    assert next(iter(expand.expand(decision.inventory, []).disks.values())).pool.name == "tikv"


def test_a_pool_may_be_defined_twice_alike() -> None:
    decision = decide({"a": POOLS, "b": POOLS, "c": {"one.yaml": POOLS, "two.yaml": POOLS}})
    assert decision.refused == {}


def test_two_files_of_one_config_map_are_held_to_the_same_rules() -> None:
    one = {
        "1.yaml": A,
        "2.yaml": "defaultPool: raw\npools: {tikv: {onRelease: keep}}\nnodes: {n: [/data/a]}\n",
    }
    assert told(decide({"a": one})) == {"a": ["TV052", "TV051", "TV014"]}


def test_a_wrong_default_pool_does_not_hide_other_pools_that_are_not_there() -> None:
    decision = decide({"a": "defaultPool: p\nnodes: {n: [/data/a, {path: /data/b, pool: q}]}\n"})
    assert [(problem.code, problem.mark.line) for problem in decision.refused["a"]] == [
        ("TV031", 1),
        ("TV031", 2),
    ]


def test_an_edit_may_not_pull_a_pool_from_under_another_config_maps_disks() -> None:
    for edit in (
        "nodes: {}",
        "pools: {tikv: {onRelease: wipe}}",
        "defaultPool: raw\npools: {raw: {onRelease: keep}}\n",
    ):
        decision = decide({"a": POOLS, "b": B}, {"a": edit, "b": B})
        sound = "raw" in edit
        assert told(decision) == ({} if sound else {"a": ["TV053"]})


def test_a_pools_edit_that_does_not_suit_another_config_maps_disks_is_refused_at_the_pool() -> None:
    decision = decide({"a": POOLS, "b": B}, {"a": POOLS.replace("wipe}", "wipe, wipe: zero}", 1), "b": B})
    (problem,) = decision.refused["a"]
    assert problem.code == "TV036"
    assert (problem.mark.config_map, problem.mark.line) == ("a", 2)
    assert "n: /data/b" in problem.what


def test_a_disk_that_does_not_suit_another_config_maps_pool_is_refused_at_the_disk() -> None:
    pools = "pools: {block: {onRelease: wipe, wipe: zero}}"
    decision = decide({"a": pools}, {"a": pools, "b": "nodes: {n: [{path: /data/b, pool: block}]}"})
    (problem,) = decision.refused["b"]
    assert (problem.code, problem.mark.config_map) == ("TV036", "b")


def test_a_default_pool_that_does_not_suit_another_config_maps_disks_is_refused_at_the_default() -> None:
    pools = {"p": "pools: {a: {onRelease: wipe}, b: {onRelease: wipe, wipe: zero}}", "b": B}
    decision = decide({**pools, "d": "defaultPool: a"}, {**pools, "d": "defaultPool: b"})
    (problem,) = decision.refused["d"]
    assert (problem.code, problem.mark) == (
        "TV036",
        Mark(config_map="d", file="disks.yaml", line=1, column=14),
    )


# --- what outlives a file -----------------------------------------------------------------------------

NEVER = "never: [/old]\n"


@pytest.mark.parametrize(
    ("edit", "holds"),
    [
        ({"a": {"never.yaml": "never: []\n"}}, False),
        ({"a": {"never.yaml": "never: [/new]\n"}}, False),
        ({"a": {"never.yaml": "nodes: {}\n"}}, False),
        ({"a": {"never.yaml": "never: [x]\n"}}, True),
        ({"a": {"never.yaml": "never: [\n"}}, True),
        ({"a": {"never.yaml": ""}}, True),
        ({"a": {"never.yaml": "# nothing\n"}}, True),
        ({"a": {"never.yaml": "{}\n"}}, True),
        ({"a": {"other.yaml": "never: []\n"}}, True),
        ({"a": {}}, True),
        ({}, True),
        ({"b": {"never.yaml": "never: []\n"}}, True),
    ],
)
def test_a_never_glob_ends_only_by_an_edit_of_its_own_file(
    edit: dict[str, dict[str, str] | str], holds: bool
) -> None:
    decision = decide({"a": {"never.yaml": NEVER}}, edit)
    assert ("/old" in globs(decision)) is holds
    again = decide({"a": {"never.yaml": NEVER}}, edit, edit, {}, {"x": POOLS})
    assert ("/old" in globs(again)) is holds


def test_a_kept_glob_is_told_with_its_way_out_and_the_way_out_works() -> None:
    decision = decide({"a": {"never.yaml": NEVER}}, {})
    (warning,) = decision.warnings["a"]
    assert warning.code == "TV054"
    assert "apply a/never.yaml" in warning.way_out
    ended = decide({"a": {"never.yaml": "never: []"}}, {}, start=decision.in_force)
    assert globs(ended) == []
    assert ended.in_force == {}


def test_a_glob_that_another_file_lists_is_in_that_files_hands() -> None:
    moved = decide({"a": {"never.yaml": NEVER}}, {"b": {"all.yaml": NEVER}})
    assert globs(moved) == ["/old"]
    assert moved.warnings == {}
    assert moved.removed == ("a",)
    assert globs(decide({"b": {"all.yaml": "never: []"}}, start=moved.in_force)) == []


def test_kept_globs_survive_a_restart() -> None:
    decision = decide({"a": {"never.yaml": NEVER, "disks.yaml": A}}, {"a": {"disks.yaml": A}}, {})
    stored = {name: merge.store(now) for name, now in decision.in_force.items()}
    assert json.loads(stored["a"][merge.KEPT_KEY])["never"] == [{"file": "never.yaml", "glob": "/old"}]
    loaded = {name: merge.load(name, data) for name, data in stored.items()}
    assert loaded == decision.in_force
    assert globs(decide({}, start=loaded)) == ["/old"]


def test_globs_cannot_be_heaped_up_by_renaming_files() -> None:
    def many(start: int) -> str:
        return "never: [" + ",".join(f"/g{n}" for n in range(start, start + 60)) + "]"

    decision = decide({"a": {"1.yaml": many(0)}}, {"a": {"2.yaml": many(60)}})
    assert told(decision) == {"a": ["TV043"]}
    assert len(globs(decision)) == 60


def test_a_pool_of_a_deleted_config_map_stays_while_its_disks_are_listed_elsewhere() -> None:
    start = {"a": POOLS, "b": B}
    gone = decide(start, {"b": B})
    assert disks(gone) == ["/data/b"]
    assert [problem.code for problem in gone.warnings["a"]] == ["TV055", "TV055"]
    assert list(gone.inventory.pools) == ["tikv"]
    loaded = {name: merge.load(name, merge.store(now)) for name, now in gone.in_force.items()}
    assert loaded == gone.in_force
    assert decide({"b": B}, start=loaded).inventory == gone.inventory
    # It ends with its last disk ...
    assert decide({"b": "nodes: {}"}, start=loaded).in_force.keys() == {"b"}
    # ... or in other hands, which may say something else.
    taken = decide({"b": B, "c": POOLS.replace("wipe}", "keep}")}, start=loaded)
    assert taken.in_force.keys() == {"b", "c"}
    assert taken.inventory.pools["tikv"].settings.on_release == "keep"


def test_a_config_map_that_comes_back_is_its_own_again() -> None:
    decision = decide({"a": A + NEVER}, {}, {"a": A})
    assert disks(decision) == ["/data/a"]
    assert globs(decision) == []
    assert decision.in_force == decide({"a": A}).in_force


@pytest.mark.parametrize("back", [{}, {"disks.yaml": BROKEN}, {"disks.yaml": "nodes: {}"}])
def test_a_config_map_that_comes_back_without_its_pools_does_not_end_those_that_are_used(
    back: dict[str, str],
) -> None:
    decision = decide({"a": POOLS, "b": B}, {"b": B}, {"a": back, "b": B}, {"a": back, "b": B})
    assert disks(decision) == ["/data/b"]
    assert list(decision.inventory.pools) == ["tikv"]
    assert told(decision) == ({"a": ["TV015"]} if "data]" in str(back) else {})


# --- what is said of it -------------------------------------------------------------------------------


def test_the_fleets_status_says_of_each_config_map_what_is_in_force_and_what_is_wrong() -> None:
    decision = decide(
        {"a": A, "b": B}, {"a": A + "x: y\n", "b": B + "groups: [{nodeSelector: {k: v}, disks: [/d]}]"}
    )
    a, b = merge.statuses(decision, expand.expand(decision.inventory, []))
    assert (a.name, a.disks, len(a.errors)) == ("a", 1, 1)
    assert a.hash != a.accepted
    assert a.errors[0].startswith("a/disks.yaml:4:1  TV009  an inventory has no key x\n")
    assert (b.name, b.disks, b.hash == b.accepted) == ("b", 1, True)
    assert b.errors == (
        "b/disks.yaml:2:10  TV064 group k=v matches no node; nothing, if the machines have yet to join;"
        " else correct the labels",
    )


def test_the_fleets_status_does_not_grow_with_the_number_of_errors() -> None:
    many = "nodes: {n: [" + ", ".join(f"d{n}" for n in range(1500)) + "]}"
    decision = decide({"a": many})
    assert len(decision.refused["a"]) == 1001
    (status,) = merge.statuses(decision, expand.Desired())
    assert len(status.errors) == merge.STATUS_ERRORS + 1
    assert status.errors[-1] == "and 981 more"


def test_a_text_is_not_searched_for_errors_or_disks_without_end() -> None:
    many = "nodes: {n: [" + ", ".join(f"d{n}" for n in range(1500)) + "]}"
    (*told_first, last) = decide({"a": many}).refused["a"]
    assert {problem.code for problem in told_first} == {"TV015"}
    assert (len(told_first), last.code, last.what) == (1000, "TV043", "More than 1000 problems, at most 1000")
    keys = "{" + "a: b," * 1500 + "}"
    assert [problem.code for problem in decide({"a": keys}).refused["a"]][-2:] == ["TV007", "TV043"]
    ranges = "nodes: {n: [" + ",".join(["'/d{0..9}{0..9}{0..1}'"] * 30_000) + "]}"
    assert {problem.code for problem in decide({"a": ranges}).refused["a"]} == {"TV014", "TV043"}
    wide = "nodes: {" + ", ".join(f"n{n}: ['/d{{0..255}}']" for n in range(300)) + "}"
    assert [problem.code for problem in decide({"a": POOLS + wide}).refused["a"]] == ["TV043"]


def test_the_fullest_config_map_has_room_for_its_stored_copy() -> None:
    # A backslash takes two bytes in the record, and no character takes more.
    longest = "\\" * (check.LIMIT_GLOB - 4)
    globs_text = "never: [" + ",".join(f"'/{n:03d}{longest}'" for n in range(check.LIMIT_GLOBS)) + "]"
    comment = "#" + "x" * (check.LIMIT_BYTES - 1)
    decision = decide({"a": {f"{'f' * 248}.yaml": globs_text}}, {"a": comment})
    assert decision.refused == {}
    assert len(globs(decision)) == check.LIMIT_GLOBS
    assert sum(map(len, merge.store(decision.in_force["a"]).values())) <= 1024 * 1024
