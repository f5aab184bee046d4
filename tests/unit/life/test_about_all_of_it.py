"""Wipes of all that is on a disk, on a person's answer: of what he was told of, once, and of nothing else."""

from __future__ import annotations

import pytest

from tests.unit.life.machine import Item, change
from tests.unit.life.simulate import Sim, desired, pool
from tests.unit.life.stages import bound, up_to
from tidb_volume.value import Adopt, Phase

AT_ONCE = pool(after="0s")


def answer(sim: Sim) -> None:
    """Wipe it, to the question that stands."""
    sim.admin(adopt=Adopt(question=sim.answer(), action="Wipe"))


def back(sim: Sim) -> None:
    """The daemon is there again."""
    sim.daemon_up = True
    sim.settle()


def all_of_it() -> Sim:
    """A person said to wipe what nobody had; that is committed, not begun, and the order deleted by hand."""
    sim = Sim(desired(AT_ONCE))
    sim.disk.strays.add(Item("a stranger"))
    sim.settle()
    sim.daemon_up = False
    answer(sim)
    sim.settle()
    assert sim.status.committed
    sim.cluster.change_volume(spec=change(sim.spec, order=None))
    return sim


def test_an_order_to_wipe_what_nobody_had_that_is_deleted_by_hand_is_followed_by_one_for_all_of_it() -> None:
    sim = all_of_it()
    asked = sim.answer()
    sim.settle()
    assert sim.answer() == asked, "what was answered is not asked again"
    back(sim)
    assert not sim.data
    assert sim.phase() is Phase.AVAILABLE


def test_what_has_come_when_an_order_was_deleted_by_hand_is_not_wiped_on_the_answer_of_before() -> None:
    sim = all_of_it()
    sim.disk.strays.add(Item("a later one"))
    sim.look()
    sim.settle()
    back(sim)
    assert len(sim.data) == 2
    assert (sim.phase(), sim.status.reason) == (Phase.PENDING, "HasData")
    answer(sim)
    sim.settle()
    assert not sim.data
    assert sim.phase() is Phase.AVAILABLE


def gone() -> Sim:
    """Its volume was deleted by hand while a claim had it, and claim and pod are gone."""
    sim = bound(after="0s")
    sim.disk.strays.add(Item("stranger", "backup"))
    sim.delete_pvs()
    sim.cluster.etcd.pods.clear()
    sim.cluster.etcd.claims.clear()
    sim.node_side.kubelet()
    sim.settle()
    assert sim.status.question is not None
    assert sim.status.question.kind == "gone"
    return sim


def test_a_wipe_of_all_whose_order_is_deleted_by_hand_stays_one_of_all_also_of_a_known_tenancy() -> None:
    sim = gone()
    sim.daemon_up = False
    answer(sim)
    sim.settle()
    sim.cluster.change_volume(spec=change(sim.spec, order=None))
    sim.settle()
    back(sim)
    assert not sim.data
    assert sim.phase() is Phase.AVAILABLE


def test_a_wipe_of_all_that_was_done_is_not_done_again_on_the_same_answer() -> None:
    """What looks the same by now is something else. Found by who tried to break it."""
    sim = gone()
    sim.disk.tenancies.clear()
    sim.admin(cordon=True)
    sim.look()
    sim.settle()
    answer(sim)
    sim.settle()
    assert (sim.phase(), sim.data) == (Phase.PENDING, set())
    sim.disk.strays.add(Item("another stranger", "backup"))
    sim.look()
    sim.settle()
    sim.admin(cordon=False)
    sim.settle()
    assert (sim.phase(), sim.status.reason) == (Phase.PENDING, "HasData")
    assert sim.data == {Item("another stranger", "backup")}
    answer(sim)
    sim.later(31)
    assert (sim.phase(), sim.data) == (Phase.AVAILABLE, set())


@pytest.mark.parametrize("then", ["held", "not listed"])
@pytest.mark.parametrize("first", ["deleted by hand", "failed"])
def test_what_one_order_put_aside_the_next_one_on_the_same_answer_puts_back(first: str, then: str) -> None:
    """Or else it would say that no byte is gone, and all would lie in a trash that nobody knows."""
    sim = Sim(desired(AT_ONCE))
    sim.disk.strays.add(Item("a stranger", "backup"))
    sim.settle()
    sim.daemon_up = False
    answer(sim)
    sim.settle()
    child = up_to(sim, "rename")
    next(child.steps)
    assert sim.disk.trash
    if first == "failed":
        child.fail("EIO")
        sim.obey()
        sim.settle()
        sim.later(31)
    else:
        child.steps.close()
        sim.daemon.child = None
        sim.cluster.change_volume(spec=change(sim.spec, order=None))
        sim.look()
        sim.settle()
    up_to(sim, "note")
    if then == "held":
        sim.admin(hold=True)
    else:
        sim.want(None)
        sim.settle()
    back(sim)
    assert not sim.disk.trash
    assert sim.disk.strays == {Item("a stranger", "backup")}
    if then == "held":
        sim.admin(hold=False)
    else:
        sim.want(desired(AT_ONCE))
    sim.settle()
    if sim.data:
        assert (sim.phase(), sim.status.reason) == (Phase.PENDING, "HasData")
        answer(sim)
        sim.later(31)
    assert (sim.phase(), sim.data) == (Phase.AVAILABLE, set())
