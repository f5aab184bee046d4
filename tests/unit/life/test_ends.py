"""Controller and daemon: neither waits for the other without end, nor undoes what the other has done."""

from __future__ import annotations

import inspect

import pytest

from disk_daemon.known import Made
from tests.unit.life.device_sim import DeviceSim
from tests.unit.life.machine import Daemon, Item
from tests.unit.life.simulate import Sim, change
from tests.unit.life.test_after_the_commit import back, committed
from tests.unit.life.test_device_life import SHAPES
from tests.unit.life.test_device_life import begun as device
from tests.unit.life.test_every_step import MOST, steps
from tidb_volume.life import actions
from tidb_volume.life.around import Around
from tidb_volume.value import Adopt, Phase, Restore


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


def test_a_restore_of_what_was_put_aside_by_a_daemon_that_lost_its_journal_ends_in_a_question() -> None:
    """Whether bytes are gone nobody knows. The daemon waited for the restore to be taken back, and the
    controller did not take the order back, since bytes might be gone; or took each one back that went on."""
    sim = committed()
    node, data = sim.node_side, sim.data
    node.begin(sim.daemon)
    while not sim.disk.trash:
        node.advance(sim.daemon)
    sim.daemon, sim.disk.lock = Daemon(), None
    sim.machine.journals.clear()
    sim.admin(restore=Restore(question=sim.answer()))
    back(sim)
    before = len(sim.log)
    for _ in range(4):
        sim.later(4000)
    assert sim.log[before:] == []
    assert (sim.phase(), sim.status.reason) == (Phase.RELEASED, "WipeRefused")
    assert "nobody can prove" in sim.status.message
    assert sim.data == data
    sim.admin(restore=None, adopt=Adopt(question=sim.answer(), action="Wipe"))
    sim.settle()
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


WORKS = [("", False), ("", True), *((one, other) for one in ("", "theirs", *SHAPES) for other in SHAPES)]
"""What a disk is and what is made of it: a folder, first used or made ready anew; or a device."""


def begun(before: str, after: str | bool) -> Sim:
    if before == "theirs":
        return adopted(str(after))
    if isinstance(after, str):
        return device(before, after)
    sim = Sim()
    if after:
        sim.settle()
        sim.admin(cordon=True)
        sim.settle()
        sim.admin(cordon=False)
    else:
        sim.look()
    return sim


def adopted(shape: str) -> DeviceSim:
    """A device with somebody's file system, which a person said to wipe."""
    sim = DeviceSim(shape)
    sim.disk.make(Made(uuid="theirs", fs_type="ext4"))
    sim.disk.strays.add(Item("a stranger"))
    sim.settle()
    sim.admin(adopt=Adopt(question=sim.answer(), action="Wipe"))
    return sim


@pytest.mark.parametrize(("before", "after"), WORKS)
def test_a_system_call_that_fails_at_any_step_is_made_again_until_the_disk_is_on_offer(
    before: str, after: str | bool
) -> None:
    """A journal's disk that is full, a mkfs that is cut: what lay there half-way was taken for unknown data,
    and what was said to be tried again by itself was not."""
    failed = 0
    for at in range(MOST):
        sim = begun(before, after)
        whose = next((each for number, each in enumerate(steps(sim)) if number == at), "")
        if not whose:
            break
        child = sim.daemon.child
        if child is None or inspect.getgeneratorstate(child.steps) == inspect.GEN_CREATED:
            continue
        failed += 1
        child.fail("EIO")
        sim.node_side.advance(sim.daemon)
        sim.settle()
        sim.later(31)
        assert sim.phase() is Phase.AVAILABLE, (at, sim.status)
        assert not sim.disk.read(sim.status.tenancy)
        assert len(sim.wiped) <= (before in (after, "theirs"))
    assert failed > 2
