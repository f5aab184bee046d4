"""Whether the test of a guard would notice that the guard is gone.

A test that stands for a guard says so: `@pytest.mark.guards("not_in_use")`. `make guards` runs these tests
and no others, each with its guard saying nothing, and each has to fail. `docs/reliability.md` names them, and
a guard without one fails `tests/unit/test_reliability.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from disk_daemon import fit, fit_disk, fit_mount, guards, renamed
from tests.means import MEANS

TESTS = Path(__file__).parent
CHECKS = {
    **{each.name: each.check for each in guards.GUARDS},
    **{each.name: each.check for each in fit.RULES},
    **{each.name: each.check for each in fit_mount.RULES},
    **{each.name: each.check for each in fit_disk.RULES},
    **{each.name: each.check for each in renamed.RULES},
}
"""Every check that may keep an order from a disk, by its name."""


@contextmanager
def without(name: str) -> Iterator[None]:
    """Let one guard say nothing wherever it is asked, in the list or by its name; or take a means away."""
    if name in MEANS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(MEANS[name].taken_away, MEANS[name].by)
            yield
        return
    check = CHECKS[name]
    code = check.__code__
    check.__code__ = (lambda _: None).__code__
    try:
        yield
    finally:
        check.__code__ = code


@cache
def marked(mark: str = "guards") -> dict[str, list[str]]:
    """By what a mark names first, a guard or a thing broken: the tests that carry it, as
    `disks/test_block.py: test_…`."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for each in ast.walk(ast.parse(path.read_text())):
            if not isinstance(each, ast.FunctionDef):
                continue
            for name in _names(each, mark):
                found.setdefault(name, []).append(f"{path.relative_to(TESTS)}: {each.name}")
    return found


def _names(test: ast.FunctionDef, mark: str) -> Iterator[str]:
    for each in test.decorator_list:
        if isinstance(each, ast.Call) and ast.unparse(each.func) == f"pytest.mark.{mark}":
            yield str(ast.literal_eval(each.args[0]))
