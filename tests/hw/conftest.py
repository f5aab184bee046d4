"""One machine for all cases, with what can't be plugged into it while it runs. `make hw` runs these alone.

A run ends with one line of key=value. Cases that need a boot of their own have the machine reboot.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hw.disks import Shelf
from tests.hw.machine import Machine

HERE = Path(__file__).parent
BEGUN = time.monotonic()
CASE_S = 900
"""With a boot of an emulated processor in it, on a machine that does other things too."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.hw)
            item.add_marker(pytest.mark.timeout(CASE_S))


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A short name, for sockets."""
    if os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("the machine's root disk is made by root")
        pytest.skip("the machine's root disk is made by root")
    with tempfile.TemporaryDirectory(prefix="tidb-volume-hw-") as made:
        yield Path(made)


@pytest.fixture(scope="session")
def shelf(folder: Path) -> Shelf:
    """Where disks are made."""
    return Shelf(folder)


@pytest.fixture(scope="session")
def powered(folder: Path, shelf: Shelf) -> Iterator[Machine]:
    made = Machine(folder, shelf.built_in)
    made.on()
    try:
        yield made
    finally:
        made.off()


@pytest.fixture
def machine(powered: Machine) -> Machine:
    """The machine, running; one that a case has turned off, or that has broken down, is started anew."""
    if not powered.is_on:
        powered.off()
        powered.on()
    return powered


def pytest_unconfigure(config: pytest.Config) -> None:
    """The last line."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or config.option.collectonly:
        return

    def count(*kinds: str) -> int:
        seen = {one.nodeid for kind in kinds for one in reporter.stats.get(kind, [])}
        return sum((config.rootpath / nodeid.partition("::")[0]).is_relative_to(HERE) for nodeid in seen)

    cases, failed = count("passed", "failed", "error"), count("failed", "error")
    if cases:
        print(
            f"seconds={time.monotonic() - BEGUN:.0f} skipped={count('skipped')} cases={cases} failed={failed}"
        )
