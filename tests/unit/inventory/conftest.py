"""The form of the format is tested whole, also the part that this version refuses as not obeyed yet.

A test about such a part names what it takes as built: `@pytest.mark.as_if_built("wipe: zero")`. All else that
is refused stays refused for it, and for a test without the mark nothing changes.
"""

from __future__ import annotations

import msgspec
import pytest

from tidb_volume.inventory import policy, settings


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "as_if_built(*settings): take these, each `key: value`, as obeyed")


@pytest.fixture(autouse=True)
def take_as_built(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    named = {str(setting) for mark in request.node.iter_markers("as_if_built") for setting in mark.args}
    if named:
        monkeypatch.setattr(settings, "NOT_YET", tuple(_lifted(row, named) for row in settings.NOT_YET))


def _lifted(row: settings.NotYet, named: set[str]) -> settings.NotYet:
    def refuses(value: str) -> bool:
        return f"{row.key}: {policy.base(value)}" not in named and row.refuses(value)

    return msgspec.structs.replace(row, refuses=refuses)
