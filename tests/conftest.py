"""For all tests: what a machine of any speed gives the same answer to, and a run without the guards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.guarded import without

# How long an example takes says how busy the machine is, and fails a test that is right.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--without-guards",
        action="store_true",
        help="run the tests that are marked with a guard, and no others, without it: each has to fail",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--without-guards"):
        return
    others = [item for item in items if item.get_closest_marker("guards") is None]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in set(others)]
    for item in items:
        item.add_marker(pytest.mark.xfail(strict=True, raises=AssertionError, reason="its guard is gone"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    mark = item.get_closest_marker("guards")
    if mark is None or not item.config.getoption("--without-guards"):
        return (yield)
    (name,) = mark.args
    with without(name):
        return (yield)
