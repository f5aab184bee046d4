"""For all tests: what a machine of any speed gives the same answer to, and runs in which something is broken
on purpose, by tests of which each has to fail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests.guarded import without

# How long an example takes says how busy the machine is, and fails a test that is right. One failure at a
# time: several come as a group of exceptions, which is no AssertionError to who waits for one.
settings.register_profile("any machine", deadline=None, report_multiple_bugs=False)
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--without-guards",
        action="store_true",
        help="run the tests that stand for a guard, or for a thing that can be broken, and no others, without"
        " the one and with the other broken: each has to fail",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--without-guards"):
        # A test that fails in its middle leaves open what it would have closed.
        config.addinivalue_line("filterwarnings", "ignore::ResourceWarning")
        config.addinivalue_line("filterwarnings", "ignore::pytest.PytestUnraisableExceptionWarning")


class _OneForDisks(LoadFileScheduling):
    """File by file, but all tests on disks to one worker: they run one at a time (its conftest.py), and
    the other workers would wait for it where they could do something else."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/disks" if nodeid.startswith("tests/disks/") else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)  # mutants are tried without xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    return _OneForDisks(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # What waits for disks and servers comes first, so that what only computes fills the gaps at the end.
    items.sort(key=lambda item: ("disks" in item.path.parts, "api" in item.path.parts), reverse=True)
    if not config.getoption("--without-guards"):
        return
    others = [item for item in items if _breaking(item) is None]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in set(others)]
    for item in items:
        failed = (AssertionError, pytest.fail.Exception)
        item.add_marker(pytest.mark.xfail(strict=True, raises=failed, reason="its guard is gone"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    breaking = _breaking(item) if item.config.getoption("--without-guards") else None
    if breaking is None:
        return (yield)
    with breaking:
        return (yield)


def _breaking(item: pytest.Item) -> AbstractContextManager[None] | None:
    """What this test is there to notice, to be so around it; None: nothing."""
    guard = item.get_closest_marker("guards")
    if guard is not None:
        return without(*guard.args)
    callspec = getattr(item, "callspec", None)
    row = callspec.id if callspec is not None else ""
    named = [mark.args[0] for mark in item.iter_markers("notices") if row in (mark.args[1:] or (row,))]
    if not named:
        return None
    from tests.unit.life.model.broken import broken  # the whole model, which most runs have no use for

    return broken(named[0])
