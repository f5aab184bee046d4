"""A daemon that is away on a Ready node: nothing that needs it is ordered, it is said, no write is wasted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.life.simulate import Sim, desired, pool
from tests.unit.life.stages import bound, on_offer
from tidb_volume import words
from tidb_volume.life import actions, daemon
from tidb_volume.value import Phase, Restore


def away(sim: Sim) -> None:
    """The daemon's pod is not Ready, and no daemon is at work."""
    sim.cluster.daemon_is(ready=False)
    sim.daemon_up = False


def back(sim: Sim) -> None:
    sim.cluster.daemon_is(ready=True)
    sim.daemon_up = True


def blank() -> Sim:
    """A disk that nobody has looked at yet."""
    return Sim(desired(pool(after="0s")))


def conditions(sim: Sim) -> dict[str, str]:
    return {each.type: each.reason for each in sim.status.conditions}


def test_a_released_disk_is_not_wiped_and_says_so_and_is_wiped_when_the_daemon_is_back() -> None:
    sim = bound(after="0s")
    away(sim)
    sim.release()
    sim.settle()
    assert (sim.phase(), sim.status.reason) == (Phase.RELEASED, "DaemonNotReady")
    assert "no disk-daemon is Ready on node-1" in sim.status.message
    assert sim.spec.order is None or sim.spec.order.kind == "prepare"
    assert sim.pvs, "not committed"
    back(sim)
    sim.settle()
    assert sim.phase() is Phase.AVAILABLE
    assert len(sim.wiped) == 1


def test_a_blank_disk_is_not_ordered_to_be_made_ready_and_says_so() -> None:
    sim = blank()
    sim.look()
    away(sim)
    sim.later(daemon.PAUSE)
    assert sim.spec.order is None
    assert (sim.phase(), sim.status.reason) == (Phase.PENDING, "DaemonNotReady")
    back(sim)
    sim.settle()
    assert sim.phase() is Phase.AVAILABLE


def test_a_disk_that_no_daemon_has_seen_says_that_the_daemon_is_away() -> None:
    sim = blank()
    away(sim)
    sim.settle()
    assert sim.status.reason != "DaemonNotReady"
    sim.later(daemon.PAUSE)
    assert sim.status.reason == "DaemonNotReady"


def test_a_committed_wipe_says_that_it_waits_for_the_daemon() -> None:
    sim = bound(after="0s")
    sim.release()
    sim.until(actions.DeletePv)
    away(sim)
    sim.settle()
    assert sim.phase() is Phase.WIPING
    sim.later(daemon.PAUSE)
    assert (sim.phase(), sim.status.reason) == (Phase.WIPING, "DaemonNotReady")
    back(sim)
    sim.settle()
    assert sim.phase() is Phase.AVAILABLE


def test_a_wipe_between_order_and_commit_is_taken_back() -> None:
    sim = bound(after="0s")
    sim.release()
    sim.until(actions.WriteOrder)
    away(sim)
    sim.settle()
    assert (sim.phase(), sim.status.reason) == (Phase.RELEASED, "DaemonNotReady")
    assert sim.pvs


@pytest.mark.parametrize("stage", [on_offer, bound])
def test_a_volume_that_needs_nothing_of_it_keeps_its_phase_and_says_it_around(
    stage: Callable[..., Sim],
) -> None:
    sim = stage(after="0s")
    phase = sim.phase()
    away(sim)
    sim.later(daemon.PAUSE)
    assert conditions(sim) == {"DaemonReady": "DaemonNotReady"}
    assert sim.status.state == f"{phase.value} (daemon away)"
    assert sim.pvs
    back(sim)
    sim.later(daemon.PAUSE)
    assert sim.status.state == phase.value
    assert not sim.status.conditions


def test_a_rolling_update_of_the_daemon_set_writes_nothing() -> None:
    sim = bound(after="0s")
    writes = sim.cluster.writes
    for _ in range(3):
        away(sim)
        sim.later(daemon.PAUSE - 1)
        back(sim)
        sim.later(daemon.PAUSE - 1)
    assert sim.cluster.writes == writes


def test_a_daemon_that_comes_and_goes_is_said_once() -> None:
    sim = on_offer(after="0s")
    away(sim)
    sim.later(daemon.PAUSE)
    writes = sim.cluster.writes
    for _ in range(5):
        back(sim)
        sim.later(daemon.PAUSE - 5)
        away(sim)
        sim.later(300)
    assert sim.cluster.writes == writes
    assert conditions(sim) == {"DaemonReady": "DaemonNotReady"}


def test_the_moment_at_which_it_is_to_be_said_is_asked_for() -> None:
    sim = on_offer(after="0s")
    away(sim)
    plan = sim.plan()
    assert plan.action is None
    assert plan.again_at == sim.now + daemon.PAUSE


def test_a_node_that_is_away_itself_says_it_all_and_its_daemon_has_time_to_come_back() -> None:
    sim = on_offer(after="0s")
    sim.cluster.node_is(ready=False)
    away(sim)
    sim.later(600)
    assert conditions(sim) == {"NodeReady": "NodeNotReady"}
    sim.cluster.node_is(ready=True)
    sim.later(daemon.PAUSE - 1)
    assert not conditions(sim)
    back(sim)
    sim.later(600)
    assert not conditions(sim)


def test_a_wipe_that_has_begun_says_that_its_node_is_away() -> None:
    sim = bound(after="0s")
    sim.release()
    sim.until(actions.DeletePv)
    sim.step()
    sim.node_side.begin(sim.daemon)
    while not sim.machine.erased:
        sim.node_side.advance(sim.daemon)
    sim.daemon_up = False
    sim.cluster.node_is(ready=False)
    sim.settle()
    assert (sim.phase(), sim.status.reason) == (Phase.WIPING, "NodeNotReady")


def test_a_restore_is_taken_back_without_the_daemon_and_waits_for_its_word() -> None:
    """The withdrawal is no order to do something: it has to be known before anybody comes back."""
    sim = bound(after="0s")
    sim.release()
    sim.until(actions.DeletePv)
    sim.step()
    away(sim)
    sim.settle()
    sim.admin(restore=Restore(question=sim.answer()))
    sim.settle()
    assert sim.spec.order.withdrawn
    assert sim.status.reason == "TakingBack"
    back(sim)
    sim.settle()
    assert sim.phase() is Phase.RELEASED


def test_the_words_name_the_way_out() -> None:
    said = words.say("DaemonNotReady", node="node-7")
    assert "--field-selector spec.nodeName=node-7" in said
