"""Which volumes `wipe-now` takes, and what it says still stands in the way."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.cli.build import volume
from tidb_volume.cli import answer, wipe_now
from tidb_volume.fleet import Fleet
from tidb_volume.value import Condition, Meta, Phase

FLEET = Fleet(metadata=Meta(name="fleet", uid="f"))


@pytest.mark.parametrize(
    ("phase", "reason", "taken"),
    [
        (Phase.RELEASED, "Countdown", True),
        (Phase.RELEASED, "PolicyRetain", True),
        (Phase.WIPING, "PoolKeeps", True),
        (Phase.FAILED, "PoolKeeps", True),
        (Phase.WIPING, "Wiping", False),
        (Phase.FAILED, "WipeFailed", False),
        (Phase.BOUND, "Claimed", False),
        (Phase.PENDING, "HasData", False),
    ],
)
def test_it_takes_what_is_released_and_a_committed_wipe_that_the_pool_came_to_keep(
    phase: Phase, reason: str, *, taken: bool
) -> None:
    found = volume("v", phase, reason=reason, question="q-1")
    assert (wipe_now._why_not(found) == "") is taken


@pytest.mark.parametrize("reason", ["NodeNotReady", "DaemonNotReady", "NodeLost"])
def test_a_wipe_that_waits_for_its_node_or_daemon_is_said_to(reason: str) -> None:
    kind = "DaemonReady" if reason == "DaemonNotReady" else "NodeReady"
    found = volume("v", Phase.RELEASED, question="q-1")
    assert answer.still_waits(found, FLEET) == ""
    around = (Condition(type=kind, status="False", reason=reason),)
    away = msgspec.structs.replace(found.status, conditions=around)
    found = msgspec.structs.replace(found, status=away)
    assert "node-1" in answer.still_waits(found, FLEET)
