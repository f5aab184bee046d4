"""An answer counts for the question that it names, `wipe-now` for the policy under which it was given."""

from __future__ import annotations

import pytest

from tests.unit.life.simulate import desired, pool
from tests.unit.life.stages import released
from tidb_volume.value import Answer, Phase


@pytest.mark.notices("controller: an answer to another question counts")
def test_an_answer_counts_for_its_own_question_alone() -> None:
    sim = released()
    assert sim.status.question is not None
    sim.admin(wipe_now=Answer(question="another"))
    sim.settle()
    assert sim.status.reason == "Countdown"
    sim.admin(wipe_now=Answer(question=sim.status.question.id))
    sim.settle()
    assert sim.status.phase is Phase.AVAILABLE
    assert len(sim.wiped) == 1
    sim.bind("db/data-1")
    sim.settle()
    sim.release("db/data-1")
    sim.settle()
    assert sim.status.reason == "Countdown"
    assert len(sim.wiped) == 1


def test_wipe_now_under_a_hold_decides_nothing_once_the_policy_is_patched_to_retain() -> None:
    sim = released()
    sim.admin(hold=True)
    sim.settle()
    assert sim.status.question is not None
    sim.admin(wipe_now=Answer(question=sim.status.question.id))
    sim.settle()
    sim.policy("Retain")
    sim.settle()
    sim.admin(hold=False)
    sim.later(7200)
    assert (sim.phase(), sim.status.reason) == (Phase.RELEASED, "PolicyRetain")
    assert not sim.wiped
    sim.admin(wipe_now=Answer(question=sim.status.question.id))
    sim.settle()
    assert sim.phase() is Phase.AVAILABLE


@pytest.mark.notices("controller: wipes what its pool keeps")
def test_wipe_now_decides_nothing_once_the_pool_keeps() -> None:
    sim = released()
    sim.admin(hold=True)
    sim.settle()
    assert sim.status.question is not None
    sim.admin(wipe_now=Answer(question=sim.status.question.id))
    sim.settle()
    sim.want(desired(pool(on_release="keep")))
    sim.settle()
    sim.admin(hold=False)
    sim.later(7200)
    assert (sim.phase(), sim.status.reason) == (Phase.RELEASED, "PoolKeeps")
    assert not sim.wiped


@pytest.mark.notices("controller: orders the wipe of what is held")
def test_wipe_now_decides_on_retain_and_lifts_no_hold() -> None:
    sim = released(on_release="keep")
    sim.admin(hold=True)
    sim.settle()
    assert sim.status.question is not None
    sim.admin(wipe_now=Answer(question=sim.status.question.id))
    sim.settle()
    assert sim.status.reason == "Held"
    sim.admin(hold=False)
    sim.settle()
    assert len(sim.wiped) == 1
