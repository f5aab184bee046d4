"""Whoever mends a text is told at once all that is wrong with it, and nothing that may be right."""

from __future__ import annotations

import pytest

from tests.unit.inventory.build import POOLS, decide
from tidb_volume.inventory.codes import MOST_PROBLEMS, Problem

POOL = "pools: {t: {onRelease: wipe}}\n"
BAD = "  m: [bad]\n"
"""A line below `nodes:` with an error of its own, TV015."""


def told(problems: tuple[Problem, ...]) -> list[str]:
    return [f"{each.mark.line}:{each.mark.column} {each.code}" for each in problems]


def of(text: str, *, beside: str = "", before: str = "") -> list[str]:
    others = {"other": beside} if beside else {}
    rounds = [{"a": before, **others}] if before else []
    return told(decide(*rounds, {"a": text, **others}).refused["a"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # an error of the text does not hide those of pools
        (f"{POOL}nodes:\n{BAD}  n: [{{path: /a, pool: nope}}]\n", ["3:7 TV015", "4:14 TV031"]),
        (f"{POOL}nodes:\n{BAD}  n: [/a]\n", ["3:7 TV015", "4:7 TV030"]),
        (f"{POOL}defaultPool: nope\nnodes:\n{BAD}", ["2:14 TV031", "4:7 TV015"]),
        (
            f"pools: {{t: {{onRelease: wipe, wipe: format}}}}\nnodes:\n{BAD}  n: [{{path: /a, pool: t}}]\n",
            ["1:36 TV036", "3:7 TV015"],
        ),
        # an entry with an error names a pool too
        (f"{POOL}nodes: {{n: [{{path: a, pool: nope}}]}}\n", ["2:13 TV031", "2:20 TV015"]),
        (f"{POOL}nodes: {{n: [{{path: a, pool: t}}]}}\n", ["2:20 TV015"]),
        (f"{POOL}nodes: {{n: [{{path: [a], pool: nope}}]}}\n", ["2:13 TV031", "2:20 TV008"]),
        (f"{POOL}nodes: {{n: [{{pool: nope}}]}}\n", ["2:13 TV018", "2:13 TV031"]),
        # nor is anything said that depends on what was not understood
        ("nodes: {n: [{path: /a, pool: T}]}\npools: {T: {onRelease: wipe}}\n", ["2:9 TV033"]),
        ("nodes: {n: [{path: /a, pool: t}]}\npools: {t: {wipe: auto}}\n", ["2:9 TV032"]),
        ("defaultPool: t\nnodes: {n: [/a]}\npools: {t: {}}\n", ["3:9 TV032"]),
        ("defaultPool: t\nnodes: {n: [{path: a, pool: t}]}\npools: {t: {}}\n", ["2:20 TV015", "3:9 TV032"]),
        ("nodes: {n: [{path: /a, pool: t}]}\npools: [t]\n", ["2:8 TV008"]),
        ("nodes: {n: [{path: /a, pool: t}]}\npool: {t: {onRelease: wipe}}\n", ["2:1 TV009"]),
        (f"{POOL}nodes: {{n: [/a]}}\ndefaultPool:\n", ["3:13 TV011"]),
        ("defaultPool: t\nnodes: {n: [/a]}\npools: &p {t: {onRelease: wipe}}\n", ["3:8 TV005"]),
        (f"{POOL}pools: {{u: {{onRelease: wipe}}}}\ndefaultPool: u\n", ["2:1 TV007"]),
        # a setting of a later version is still a setting
        (
            "pools: {t: {onRelease: keep, namespaces: [], wipe: zero}}\nnodes: {n: [{path: /a, pool: t}]}\n",
            ["1:30 TV040", "1:52 TV036"],
        ),
    ],
)
def test_errors_of_pools_are_told_beside_those_of_the_text(text: str, found: list[str]) -> None:
    assert of(text) == found


@pytest.mark.parametrize(
    "files",
    [
        {"a.yaml": "nodes: {n: [{path: /a, pool: t}]}", "b.yaml": "pools: {t: ["},
        {"a.yaml": "nodes: {n: [{path: /a, pool: t}]}", "b.yml": POOL},
        {"a.yaml": "nodes: {n: [/a]}", "b.yaml": "defaultPool: t\nx: ["},
        {"a.yaml": "defaultPool: t", "b.yaml": "---\n---\n"},
    ],
)
def test_what_may_stand_in_a_file_that_could_not_be_read_is_not_called_missing(files: dict[str, str]) -> None:
    problems = decide({"a": files}).refused["a"]
    assert {each.mark.file[:1] for each in problems} == {"b"}


def test_what_may_stand_in_a_binary_file_is_not_called_missing() -> None:
    text = "defaultPool: t\nnodes: {n: [/a, {path: /b, pool: u}]}"
    assert told(decide({"a": text}, binary={"a": ["b.yaml"]}).refused["a"]) == ["0:0 TV022"]


def test_a_file_that_says_nothing_is_no_file_that_could_not_be_read() -> None:
    files = {"a.yaml": f"nodes:\n{BAD}  n: [/a]\n", "b.yaml": "# nothing\n"}
    assert told(decide({"a": files}).refused["a"]) == ["2:7 TV015", "3:7 TV030"]


def test_an_error_does_not_hide_what_another_config_map_says() -> None:
    beside = f"{POOLS}nodes: {{n: [/a]}}\n"
    text = f"defaultPool: raw\npools: {{tikv: {{onRelease: keep}}}}\nnodes:\n{BAD}  n: [/a]\n"
    assert of(text, beside=beside) == ["1:14 TV052", "2:9 TV051", "4:7 TV015", "5:7 TV050"]


def test_a_pool_with_an_error_is_not_held_against_anothers_and_what_is_not_understood_ends_no_pool() -> None:
    beside = "nodes: {n: [{path: /a, pool: t}]}\npools: {u: {onRelease: keep, wipeAfter: 2h}}\n"
    before = "pools: {t: {onRelease: wipe}, u: {onRelease: keep, wipeAfter: 2h}}\n"
    for text, found in (
        ("pools: {u: {onRelease: keep, wipeAfter: 2x}}\n", ["1:41 TV035"]),
        ("pools: {t: {onRelease: wipe, wipe: format, wipeAfter: 2x}}\n", ["1:55 TV035"]),
        ("nodes: {m: [x]}\n", ["1:13 TV015"]),
        (
            "pools: {t: {onRelease: wipe, wipe: format}}\nnodes: {m: [x]}\n",
            ["1:36 TV036", "2:13 TV015"],
        ),
    ):
        assert of(text, beside=beside, before=before) == found


def test_a_pool_that_was_read_is_held_against_a_disk_though_another_file_was_not() -> None:
    first = "pools: {t: {onRelease: wipe, wipe: format}}\nnodes: {n: [{path: /a, pool: t}]}"
    assert told(decide({"a": {"a.yaml": first, "b.yaml": "x: ["}}).refused["a"])[0] == "1:36 TV036"


def test_a_pool_with_an_error_is_not_held_against_a_disk_that_names_none() -> None:
    text = "defaultPool: t\nnodes: {n: [/a]}\npools: {t: {onRelease: wipe, wipe: format, wipeAfter: 2x}}\n"
    assert of(text) == ["3:55 TV035"]


def test_of_several_config_maps_that_say_otherwise_the_first_by_name_is_told_first() -> None:
    theirs = "pools: {t: {onRelease: wipe}}\ndefaultPool: t\n"
    mine = f"pools: {{raw: {{onRelease: keep}}}}\ndefaultPool: raw\nnodes:\n{BAD}"
    found = decide({"z": theirs, "b": theirs, "a": mine}).refused["a"]
    differ = [each.what for each in found if each.code == "TV052"]
    assert ["b/" in differ[0], "z/" in differ[1]] == [True, True], differ


def test_two_files_that_define_a_pool_with_an_error_in_one_do_not_differ() -> None:
    files = {"a.yaml": POOL, "b.yaml": "pools: {t: {onRelease: wipe, wipeAfter: x}}"}
    assert told(decide({"a": files}).refused["a"]) == ["1:41 TV035"]


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ("{path: data/x/, volumeMode: block, fsType: btrfs}", "TV015 TV041 TV034 TV034"),
        ("{device: sdb, volumeMode: Block, fsType: xfs, mountBy: daemon}", "TV020 TV041 TV041"),
        (
            "{path: /x, volumeMode: Block, fsType: xfs, mountBy: kubelet, serial: S}",
            "TV041 TV041 TV041 TV041 TV040",
        ),
        ("{path: /x, device: /y, volumeMode: block}", "TV018 TV034"),
        ("{path: [x], fsType: [y], volumeMode: block}", "TV008 TV008 TV034"),
        ('{device: "x{0..1}", serial: S}', "TV020 TV041"),
        ("{path: /x, fsType: }", "TV041 TV011"),
    ],
)
def test_all_that_is_wrong_with_an_entry_is_told(entry: str, found: str) -> None:
    text = f"{POOLS}nodes: {{n: [{entry}]}}\n"
    problems = decide({"a": text}).refused["a"]
    assert " ".join(each.code for each in problems) == found


def test_all_that_is_wrong_with_a_pool_is_told_with_its_name() -> None:
    assert of("pools: {Raw: {onRelease: delete, wipeafter: 1h}}\n") == [
        "1:9 TV033",
        "1:26 TV034",
        "1:34 TV009",
    ]
    assert of("pools: {Raw: {}}\n") == ["1:9 TV032", "1:9 TV033"]


def test_a_text_with_very_many_errors_is_told_as_many_as_may_be_told() -> None:
    many = ", ".join(f"d{number}" for number in range(MOST_PROBLEMS))
    found = of(f"{POOL}nodes: {{n: [{many}, /a]}}\n")
    assert len(found) == MOST_PROBLEMS + 1
    assert found[-1] == "0:0 TV043"
