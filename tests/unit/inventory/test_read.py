"""The reader: strings stay strings, marks are right, and nothing hostile costs anything."""

from __future__ import annotations

import pytest

from tidb_volume.inventory.marks import Hole, Items, Mark, Pairs, Scalar
from tidb_volume.inventory.places import path_trouble
from tidb_volume.inventory.read import DEEPEST, MOST_VALUES, read


def test_a_plain_word_is_a_string_whatever_yaml_1_1_makes_of_it() -> None:
    tree, problems = read("[no, 0777, 12:30:45, 1e3, ~, 2026-11-25, =]", "", "f.yaml")
    assert problems == []
    assert isinstance(tree, Items)
    words = [item.text for item in tree.items if isinstance(item, Scalar)]
    assert words == ["no", "0777", "12:30:45", "1e3", "~", "2026-11-25", "="]


def test_every_value_knows_its_line_and_column_counted_in_characters() -> None:
    tree, _ = read("# ä\nnodes:\n  é: [/a,\n    /b]\n", "inv", "f.yaml")
    assert isinstance(tree, Pairs)
    ((_, nodes),) = tree.pairs
    assert isinstance(nodes, Pairs)
    ((key, disks),) = nodes.pairs
    assert isinstance(disks, Items)
    assert key.mark == Mark(config_map="inv", file="f.yaml", line=3, column=3)
    assert [(item.mark.line, item.mark.column) for item in disks.items] == [(3, 7), (4, 5)]


@pytest.mark.parametrize("text", ["", "   \n", "# only a comment\n", "---\n", "---\n...\n"])
def test_an_empty_text_says_nothing_and_is_no_error(text: str) -> None:
    assert read(text, "", "f.yaml") == (None, [])


def test_an_alias_bomb_is_refused_where_it_is_lit() -> None:
    bomb = "a: &a [x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
    )
    tree, problems = read(bomb, "", "f.yaml")
    assert {problem.code for problem in problems} == {"TV005"}
    assert isinstance(tree, Pairs)
    (_, second) = tree.pairs[1]
    assert isinstance(second, Items)
    assert all(isinstance(item, Hole) for item in second.items)


@pytest.mark.parametrize("bracket", ["[", "{a: ", "- ", "? "])
def test_a_million_brackets_end_at_the_depth_that_is_allowed(bracket: str) -> None:
    tree, problems = read(bracket * (1_000_000 // len(bracket)), "", "f.yaml")
    assert tree is None
    assert problems[-1].code in {"TV001", "TV004"}
    assert all(problem.mark.column < 10 * DEEPEST for problem in problems if problem.code == "TV004")


def test_more_values_than_any_inventory_has_are_not_read_to_the_end() -> None:
    tree, problems = read("[" + "a," * (MOST_VALUES + 10) + "]", "", "f.yaml")
    assert tree is None
    assert [problem.code for problem in problems] == ["TV003"]


def test_of_a_duplicate_key_the_first_is_kept_and_every_other_is_told() -> None:
    tree, problems = read("a: 1\nb: 2\na: 3\n'a': 4\n", "", "f.yaml")
    assert [(problem.code, problem.mark.line) for problem in problems] == [("TV007", 3), ("TV007", 4)]
    assert isinstance(tree, Pairs)
    assert [key.text for key, _ in tree.pairs] == ["a", "b"]


def test_bytes_that_are_not_utf_8_are_an_error_and_no_exception() -> None:
    tree, problems = read("nodes:\n é ".encode() + b"\xff\xfe", "", "f.yaml")
    assert tree is None
    (problem,) = problems
    assert (problem.code, problem.mark.line, problem.mark.column) == ("TV002", 2, 4)
    assert problem.what == "not readable as text: the byte 0xFF is not UTF-8"


def test_half_a_character_is_told_its_place_too() -> None:
    _, (problem,) = read("# é\n\nx\ud800\n", "", "f.yaml")
    assert (problem.code, problem.mark.line, problem.mark.column) == ("TV002", 3, 2)
    assert "U+D800" in problem.what


def test_a_path_may_hold_a_space() -> None:
    tree, problems = read("[/data/a b, '/data/c d']", "", "f.yaml")
    assert problems == []
    assert isinstance(tree, Items)
    assert [path_trouble(each.text) for each in tree.items if isinstance(each, Scalar)] == [None, None]


def test_errors_that_are_not_of_the_syntax_do_not_hide_each_other() -> None:
    _, problems = read("a: &x 1\nb: !!int 2\na: 3\n? [k]\n: v\n", "", "f.yaml")
    assert [problem.code for problem in problems] == ["TV005", "TV005", "TV007", "TV008"]
