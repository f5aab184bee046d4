"""Each order that ends a tenancy says, for the record, what asked for it."""

from __future__ import annotations

from tests.unit.life.simulate import Sim
from tests.unit.life.stages import on_offer, released
from tidb_volume.life import actions
from tidb_volume.value import Adopt, Answer, Approve, Order


def ordered(sim: Sim) -> Order:
    """The next order that the controller writes."""
    sim.until(actions.WriteOrder)
    order = sim.spec.order
    assert order is not None
    return order


def test_a_wipe_by_the_policy_says_so() -> None:
    sim = released()
    sim.now = type(sim.now)(sim.now + 3600)
    assert ordered(sim).asked == "reclaim policy Delete"


def test_a_wipe_that_a_person_asked_for_names_him() -> None:
    sim = released()
    sim.admin(wipe_now=Answer(question=sim.answer(), by="jane"))
    assert ordered(sim).asked == "wipe-now by jane"


def test_who_did_not_say_his_name_is_not_made_up() -> None:
    sim = released()
    sim.admin(wipe_now=Answer(question=sim.answer()))
    assert ordered(sim).asked == "wipe-now"


def test_a_wipe_that_a_person_approved_of_names_him_beside_the_policy() -> None:
    sim = released(mode="manual")
    sim.later(3600)
    sim.admin(approve=Approve(question=sim.answer(), by="joe"))
    assert ordered(sim).asked == "reclaim policy Delete, approved by joe"


def test_a_disk_that_is_adopted_says_by_whom() -> None:
    sim = on_offer()
    sim.delete_pvs()
    sim.settle()
    sim.admin(adopt=Adopt(question=sim.answer(), action="Wipe", by="jane"))
    assert ordered(sim).asked == "adopt: Wipe by jane"


def test_an_answer_to_another_question_is_named_nowhere() -> None:
    sim = released()
    sim.admin(wipe_now=Answer(question="another", by="jane"))
    sim.now = type(sim.now)(sim.now + 3600)
    assert ordered(sim).asked == "reclaim policy Delete"


def test_an_order_that_goes_on_with_another_says_what_that_one_said() -> None:
    sim = released()
    sim.admin(wipe_now=Answer(question=sim.answer(), by="jane"))
    first = ordered(sim)
    sim.new_leader()
    sim.until(actions.DeletePv, actions.WriteOrder)
    order = sim.spec.order
    assert order is not None
    assert order.asked == first.asked == "wipe-now by jane"
