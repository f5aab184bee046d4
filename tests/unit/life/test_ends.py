"""Controller and daemon: neither waits for the other without end, nor undoes what the other has done."""

from __future__ import annotations

import pytest

from tests.unit.life.machine import Daemon, Item
from tests.unit.life.simulate import Sim, change
from tests.unit.life.test_after_the_commit import back, committed
from tidb_volume.life import actions
from tidb_volume.life.around import Around
from tidb_volume.value import Adopt, Phase, Restore, Work, WorkState


@pytest.mark.parametrize("said", ["done", "nothing"])
def test_a_restore_that_comes_when_the_data_is_gone_ends_the_wipe_once(said: str) -> None:
    """The order is taken back before the daemon's word of its end is heard, and the controller is faster than
    the daemon: it asked again and took that back, ten times a second."""
    sim = committed()
    node = sim.node_side
    node.begin(sim.daemon)
    while node.advance(sim.daemon):
        pass
    letters, sim.daemon.letters = sim.daemon.letters, []
    assert len(sim.wiped) == 1
    sim.admin(restore=Restore(question=sim.answer()))
    sim.settle()
    assert sim.spec.order.withdrawn
    for letter in letters if said == "done" else ():
        node.write(letter)
    sim.daemon_up = False  # it gets a word in only when the controller has nothing left to do
    for _ in range(8):
        sim.settle()
        sim.obey()
    assert sim.phase() is Phase.AVAILABLE
    assert len([each for each in sim.log if isinstance(each, actions.WriteOrder)]) <= 5
    assert sim.status.tenancy == sim.spec.order.next


def test_a_restore_of_a_wipe_that_has_begun_and_whose_order_is_gone_ends_the_wipe() -> None:
    """The order that asks for the data is taken back from the first, and the daemon waited for its commit."""
    sim = committed()
    node = sim.node_side
    for folder in sim.disk.tenancies.values():
        folder.add(Item("claim-1", "another"))
    node.begin(sim.daemon)
    while not sim.machine.erased:
        node.advance(sim.daemon)
    sim.daemon, sim.disk.lock = Daemon(), None  # it dies, and has said nothing
    sim.admin(restore=Restore(question=sim.answer()))
    sim.cluster.change_volume(spec=change(sim.spec, order=None))
    back(sim)
    sim.later(31)
    assert not sim.data
    assert sim.phase() is Phase.AVAILABLE


@pytest.mark.parametrize("what", ["written", "unknown"])
def test_what_is_done_and_not_offered_yet_when_the_disk_changes_is_asked_of_again(what: str) -> None:
    """It was said to be wiping, for as long as the leader led, and no answer of a person's was heard."""
    sim = committed()
    sim.controller.around = Around(unsurveyed=True)
    back(sim)
    assert (sim.phase(), sim.status.reason) == (Phase.WIPING, "WaitsFor")
    next_ = sim.spec.order.next
    if what == "written":
        sim.disk.tenancies[next_].add(Item("a stranger"))
    else:
        sim.machine.journals.clear()
    sim.look()
    sim.controller.around = Around()
    sim.settle()
    assert not sim.pvs
    assert sim.status.reason == "WaitsFor"
    sim.later(31)
    if what == "written":
        assert (sim.phase(), sim.status.reason) == (Phase.RELEASED, "WipeRefused")
        sim.admin(adopt=Adopt(question=sim.answer(), action="Wipe"))
        sim.settle()
    assert sim.phase() is Phase.AVAILABLE
    assert sim.folder == sim.status.tenancy


@pytest.mark.parametrize("steps", range(1, 8))
def test_a_disk_whose_first_use_failed_half_way_comes_on_offer_when_it_can(steps: int) -> None:
    """The folder was made and its journal's disk was full: "tried again by itself", it said, and was not."""
    sim = Sim()
    sim.look()
    sim.until(actions.WriteOrder)
    failed_after(sim, steps)
    sim.settle()
    assert sim.status.reason == "WipeFailed"
    sim.later(31)
    assert sim.phase() is Phase.AVAILABLE


@pytest.mark.parametrize("steps", range(1, 8))
def test_a_free_disk_that_was_being_made_ready_anew_comes_on_offer_too(steps: int) -> None:
    sim = Sim()
    sim.settle()
    sim.admin(cordon=True)
    sim.settle()
    sim.admin(cordon=False)
    sim.until(actions.WriteOrder)
    failed_after(sim, steps)
    sim.settle()
    sim.later(31)
    assert sim.phase() is Phase.AVAILABLE


def failed_after(sim: Sim, steps: int) -> None:
    """A child takes so many steps, and then the system says no."""
    node, order = sim.node_side, sim.spec.order
    node.begin(sim.daemon)
    for _ in range(steps):
        node.advance(sim.daemon)
    sim.daemon, sim.disk.lock = Daemon(), None
    sim.look()
    failed = Work(order_id=order.id, state=WorkState.FAILED, reason="ENOSPC")
    sim.daemon.answered, sim.daemon.work = (order.id, False), failed
    sim.cluster.change_status(work=failed)
