"""Whether anybody is there to obey, to the letter."""

from __future__ import annotations

import pytest

from tests.unit.life.worlds import BLANK, BOUND, NOW, but, change, order
from tidb_volume.life import actions, daemon
from tidb_volume.life.world import Daemon, World
from tidb_volume.units import Instant
from tidb_volume.upstream import ConditionOnly, ConditionsOnly, DaemonPod, Node, NodeCondition, NodeStatus
from tidb_volume.value import Condition, SlimMeta

PAUSE = daemon.PAUSE
SAID = (Condition(type="DaemonReady", status="False", reason="DaemonNotReady"),)
OTHERWISE = (Condition(type="Cordoned", status="True", reason="ByPerson"),)


def node(*conditions: tuple[str, str]) -> Node:
    assert BLANK.node is not None
    told = tuple(NodeCondition(type=kind, status=status) for kind, status in conditions)
    return change(BLANK.node, status=NodeStatus(conditions=told))


def since(seconds: float, *, ready: bool, said: tuple[Condition, ...] = ()) -> World:
    """For so long the daemon has been away, or back."""
    return but(BLANK, status={"conditions": said}, daemon=Daemon(ready=ready, since=Instant(NOW - seconds)))


DOWN = node(("Ready", "Unknown"))


@pytest.mark.parametrize(
    ("of", "up"),
    [
        (None, False),
        (node(), False),
        (DOWN, False),
        (node(("Ready", "True")), True),
        (node(("DiskPressure", "True")), False),
        (node(("DiskPressure", "False"), ("Ready", "True")), True),
        (node(("DiskPressure", "True"), ("Ready", "False")), False),
    ],
)
def test_a_node_is_up_by_its_condition_ready_alone(of: Node | None, up: bool) -> None:
    assert daemon.is_up(of) is up
    assert daemon.node_ready(but(BLANK, node=of)) is up


@pytest.mark.parametrize(
    ("ending", "conditions", "ready"),
    [
        (None, [("Ready", "True")], True),
        (None, [("Initialized", "True"), ("Ready", "True")], True),
        (None, [("Initialized", "True"), ("Ready", "False")], False),
        (None, [], False),
        ("2027-01-01T00:00:00Z", [("Ready", "True")], False),
    ],
)
def test_a_daemon_that_is_being_deleted_begins_nothing_any_more(
    ending: str | None, conditions: list[tuple[str, str]], ready: bool
) -> None:
    told = tuple(ConditionOnly(type=kind, status=status) for kind, status in conditions)
    pod = DaemonPod(metadata=SlimMeta(deletion_timestamp=ending), status=ConditionsOnly(conditions=told))
    assert daemon.is_ready(pod) is ready


@pytest.mark.parametrize(
    ("world", "word"),
    [
        (BLANK, ""),
        (but(BLANK, node=None), "NodeLost"),
        (but(BLANK, node=DOWN), "NodeNotReady"),
        (but(BLANK, node=DOWN, daemon=Daemon(ready=False)), "NodeNotReady"),
        (but(BLANK, daemon=Daemon(ready=False)), "DaemonNotReady"),
    ],
)
def test_who_is_absent_is_told_by_the_widest_word(world: World, word: str) -> None:
    assert daemon.absent(world) == word


@pytest.mark.parametrize(
    ("world", "away", "settles"),
    [
        (since(0, ready=True), False, None),
        (since(1000, ready=True), False, None),
        (since(PAUSE - 1, ready=False), False, 1),
        (since(PAUSE - 1, ready=False, said=OTHERWISE), False, 1),
        (since(PAUSE, ready=False), True, None),
        (since(PAUSE + 1, ready=False), True, None),
        (since(PAUSE - 1, ready=False, said=SAID), True, None),
        (since(PAUSE - 1, ready=True, said=SAID), True, 1),
        (since(PAUSE - 1, ready=True, said=(*OTHERWISE, *SAID)), True, 1),
        (since(PAUSE, ready=True, said=SAID), False, None),
        (but(since(PAUSE, ready=False), node=DOWN), False, None),
        (but(since(1, ready=True, said=SAID), node=DOWN), False, None),
        (but(since(1, ready=False), node=None), False, None),
    ],
)
def test_what_is_said_of_a_daemon_stays_while_the_pause_runs(
    world: World, away: bool, settles: float | None
) -> None:
    assert daemon.is_away(world, NOW) is away
    assert daemon.settles_at(world, NOW) == (None if settles is None else NOW + settles)


@pytest.mark.parametrize(
    ("action", "barred"),
    [
        (None, False),
        (actions.DeleteVolume(why="x"), False),
        (actions.WriteOrder(order=None, why="x"), False),
        (actions.WriteOrder(order=order(), why="x"), True),
        (actions.WriteOrder(order=order(withdrawn=True), why="x"), False),
    ],
)
def test_only_an_order_that_somebody_has_to_carry_out_waits_for_the_daemon(
    action: actions.Action | None, barred: bool
) -> None:
    assert daemon.bars(but(BOUND, daemon=Daemon(ready=False)), action) is barred
    assert not daemon.bars(BOUND, action)
