"""Instants and durations at their ends: nothing that somebody wrote makes a decision fail."""

from __future__ import annotations

import pytest

from tests.unit.life.worlds import NOW, RELEASED, but, change
from tidb_volume.life.plan import plan
from tidb_volume.units import Instant, format_instant, parse_instant
from tidb_volume.value import Phase, WipePolicy

LAST = "9999-12-31T23:59:59.000Z"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (-1.0, "1970-01-01T00:00:00.000Z"),
        (1.5, "1970-01-01T00:00:01.500Z"),
        (253_402_300_798.5, "9999-12-31T23:59:58.500Z"),
        (253_402_300_799.0, LAST),
        (253_402_300_800.0, LAST),
        (1e40, LAST),
        (float("inf"), LAST),
        (float("-inf"), "1970-01-01T00:00:00.000Z"),
    ],
)
def test_an_instant_outside_of_what_can_be_written_is_the_nearest_that_can(seconds: float, text: str) -> None:
    assert format_instant(Instant(seconds)) == text
    assert format_instant(parse_instant(text)) == text


@pytest.mark.parametrize("after", ["9999999d", "99999999999999999d"])
def test_a_wait_beyond_all_years_is_a_countdown_that_is_shown(
    after: str,
) -> None:
    spec = {"wipe": WipePolicy(on_release="wipe", after=after)}
    world = but(RELEASED, spec=spec, status={"phase": Phase.RELEASED, "wipe_from": "", "wipe_at": ""})
    for _ in range(9):
        decided = plan(NOW, world)
        status = getattr(decided.action, "status", None)
        if status is None:
            break
        world = change(world, volume=change(world.volume, status=status))
    assert world.volume.status.reason == "Countdown"
    assert world.volume.status.wipe_at == LAST
