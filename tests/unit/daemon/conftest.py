"""What several files of tests of the daemon use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.daemon.keeping import World


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.end()
