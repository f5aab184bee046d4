"""What is changed in a module to see whether its tests notice, and how a change is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants import equal, record
from tests.mutants.modules import MODULES
from tests.mutants.mutate import mutants

ROOT = Path(__file__).parents[2]

CHANGES: list[tuple[str, set[str]]] = [
    # a line, and what becomes of it
    ("x = a < b", {"x = a <= b", "x = a >= b"}),
    ("x = a is not None", {"x = a is None"}),
    ("x = a not in b", {"x = a in b"}),
    ("x = a and b == c", {"x = (a or (b == c))", "x = (a)", "x = ((b == c))", "x = a and b != c"}),
    ("x = not a", {"x = (a)"}),
    ("x = a | b", {"x = a & b", "x = (a)", "x = (b)"}),
    ("x = a if b else c", {"x = a", "x = c", "x = a if not b else c"}),
    ("x = 3", {"x = 4"}),
    ("x = True", {"x = False"}),
    ("x = 'Wipe'", {"x = 'Wipe~'"}),
    ("x = 'some words for a person'", set()),
    ("x = f'{a} words'", set()),
    ("x = any(a)", {"x = all(a)"}),
    ("x = ('a', 'b', 'c')", {"x = ('b', 'c')", "x = ('a', 'c')", "x = ('a', 'b')"}),
    ("x = f(a, when=b)", {"x = f(a)"}),
    ("x = [a for a in b if c]", {"x = [a for a in b if True]", "x = [a for a in b if not c]"}),
    ("x: int | None = y", set()),
    ("Check = Callable[[int], int | None]", set()),
    ("Answer = Yes | No", set()),
    ("f(x)", {"pass"}),
]


@pytest.mark.parametrize(("line", "becomes"), CHANGES)
def test_a_line_is_changed_wherever_it_decides(tmp_path: Path, line: str, becomes: set[str]) -> None:
    (tmp_path / "m.py").write_text(f"{line}\n")
    made = mutants(tmp_path, "m.py")
    assert {each.after for each in made} == becomes
    assert {each.before for each in made} <= {line}


def test_a_function_is_changed_in_its_decorator_its_body_and_its_defaults_and_not_in_its_words(
    tmp_path: Path,
) -> None:
    source = (
        '@g(prevents="a disaster")\ndef f(a: int = 1) -> None:\n    """Words."""\n'
        "    if a:\n        return None\n    return None\n"
    )
    (tmp_path / "m.py").write_text(source)
    assert [(each.where, each.before, each.after) for each in mutants(tmp_path, "m.py")] == [
        ("", '@g(prevents="a disaster")', ""),
        ("", "def f(a: int = 1) -> None:", "def f(a: int = 2) -> None:"),
        ("f", "if a:", "if not a:"),
        ("f", "return None", "pass"),
    ]


def test_a_member_of_an_enum_becomes_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "kinds.py").write_text("class Kind(StrEnum):\n    A = 'a'\n    B = 'b'\n")
    (tmp_path / "m.py").write_text("from kinds import Kind\nx = Kind.B\n")
    assert [each.after for each in mutants(tmp_path, "m.py")] == ["x = Kind.A"]


@pytest.mark.parametrize("module", MODULES)
def test_a_mutant_is_another_module_that_compiles(module: str) -> None:
    source = (ROOT / module).read_bytes()
    made = [each.apply(source) for each in mutants(ROOT, module)]
    assert source not in made
    for each in made[::20]:  # of all it would take half a minute
        compile(each, module, "exec")


@pytest.mark.parametrize("module", MODULES)
def test_the_tests_that_are_to_kill_a_modules_mutants_are_there(module: str) -> None:
    assert all((ROOT / each).is_file() for each in MODULES[module])


def test_what_is_listed_as_equal_is_a_mutant_and_says_why() -> None:
    for entry in equal.read(ROOT / "tests" / "mutants" / "equal.toml"):
        assert any(entry.is_of(each) for each in mutants(ROOT, entry.module)), entry
        assert " " in entry.reason


def test_every_module_whose_mutants_are_tried_is_on_record_as_without_a_survivor() -> None:
    assert list(record.commits(ROOT / "docs" / "reliability.md")) == list(MODULES)


def test_the_record_keeps_the_rows_of_what_was_not_run_now(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{record.BEGIN}\n{record.HEAD}\n{record.END}\nafter\n")
    assert record.commits(page) == {}
    record.write(page, [["disk_daemon/fit.py", "3", "3", "0", "0"]], "abc")
    record.write(page, [["disk_daemon/guards.py", "5", "4", "0", "1"]], "def")
    record.write(page, [["disk_daemon/fit.py", "4", "4", "0", "0"]], "def")
    assert record.commits(page) == {"disk_daemon/guards.py": "def", "disk_daemon/fit.py": "def"}
    assert "\nAll of them: modules=2 mutants=9 killed=8 survived=0 equal=1\n" in page.read_text()
    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith("after\n")
