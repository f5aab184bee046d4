"""What stands around a disk, through the real planner: nothing offered, nothing wiped, nothing in silence."""

from __future__ import annotations

import pytest

from tests.unit.life.simulate import Sim, change
from tests.unit.life.stages import bound, on_offer
from tidb_volume.life import actions
from tidb_volume.life.around import Around
from tidb_volume.value import Answer, Condition, Phase, Presence

FOREIGN = Around(foreign="theirs (/data/disk0/x)")
NEVER = Around(never="*BOOT* (the disk is /dev/disk/by-id/x-BOOT too)")
TWIN = Around(twin="it is on record as volume w of node m")
UNSURVEYED = Around(unsurveyed=True)


def surround(sim: Sim, around: Around) -> None:
    sim.controller.around = around
    sim.settle()


def condition(sim: Sim, kind: str) -> Condition | None:
    return next((each for each in sim.status.conditions if each.type == kind), None)


@pytest.mark.parametrize(
    ("around", "reason"),
    [(FOREIGN, "Foreign"), (NEVER, "Never"), (TWIN, "Conflict"), (UNSURVEYED, "NotObserved")],
)
def test_a_new_disk_is_not_taken_up_while_something_stands_around_it(around: Around, reason: str) -> None:
    sim = Sim()
    surround(sim, around)
    sim.later(2)
    assert (sim.status.phase, sim.status.reason) == (Phase.PENDING, reason)
    assert not sim.pvs
    assert sim.spec.order is None
    assert not sim.disk.tenancies
    surround(sim, Around())
    assert sim.status.phase is Phase.AVAILABLE


@pytest.mark.parametrize(("around", "reason"), [(FOREIGN, "Foreign"), (NEVER, "Never")])
def test_an_offer_is_withdrawn_and_made_anew_once_nothing_stands_around_it(
    around: Around, reason: str
) -> None:
    sim = on_offer()
    before = sim.pvs[0].metadata.name
    surround(sim, around)
    assert (sim.status.phase, sim.status.reason) == (Phase.PENDING, reason)
    assert not sim.pvs
    surround(sim, Around())
    assert sim.status.phase is Phase.AVAILABLE
    assert sim.pvs[0].metadata.name != before


def test_a_disk_on_record_is_not_taken_off_offer_by_anothers_word_nor_for_want_of_a_survey() -> None:
    sim = on_offer()
    before = sim.pvs[0]
    for around in (UNSURVEYED, Around(twin="")):
        surround(sim, around)
        assert sim.status.phase is Phase.AVAILABLE
        assert sim.pvs == [before]


def test_a_newcomer_that_is_refused_is_not_put_on_record() -> None:
    sim = Sim()
    surround(sim, TWIN)
    assert sim.status.identity is None
    assert "volume w of node m" in sim.status.message
    surround(sim, Around())
    assert sim.status.identity == sim.disk.identity


@pytest.mark.parametrize(("around", "kind"), [(FOREIGN, "Foreign"), (NEVER, "Forbidden")])
def test_a_disk_in_use_is_left_alone_and_said_to_be_in_danger(around: Around, kind: str) -> None:
    sim = bound(after="0s")
    before = sim.pvs
    surround(sim, around)
    assert sim.status.phase is Phase.BOUND
    assert sim.pvs == before
    assert condition(sim, kind) is not None
    assert sim.status.state.startswith("Bound (")
    surround(sim, Around())
    assert condition(sim, kind) is None


@pytest.mark.parametrize(("around", "reason"), [(FOREIGN, "Foreign"), (NEVER, "Never")])
def test_no_wipe_begins_while_it_stands(around: Around, reason: str) -> None:
    sim = bound(after="0s")
    sim.controller.around = around
    sim.release()
    sim.later(10)
    assert (sim.status.phase, sim.status.reason) == (Phase.RELEASED, reason)
    assert sim.data
    assert not sim.wiped
    surround(sim, Around())
    assert sim.status.phase is Phase.AVAILABLE
    assert len(sim.wiped) == 1


@pytest.mark.parametrize("around", [FOREIGN, NEVER])
def test_a_committed_wipe_that_has_not_begun_is_held(around: Around) -> None:
    sim = bound(after="0s")
    sim.daemon_up = False
    sim.release()
    sim.until(actions.DeletePv)
    sim.cluster.kube()
    surround(sim, around)
    assert sim.status.phase is Phase.WIPING
    sim.daemon_up = True
    sim.settle()
    assert sim.data
    assert not sim.wiped
    surround(sim, Around())
    sim.later(3600)
    assert sim.status.phase is Phase.AVAILABLE
    assert len(sim.wiped) == 1


@pytest.mark.parametrize("around", [FOREIGN, NEVER])
def test_an_order_that_the_daemon_has_not_taken_up_is_taken_back(around: Around) -> None:
    sim = Sim()
    sim.daemon_up = False
    sim.look()
    sim.until(actions.WriteOrder)
    surround(sim, around)
    assert sim.spec.order is None
    sim.daemon_up = True
    sim.settle()
    assert not sim.disk.tenancies


def test_another_disk_that_is_somebody_elses_cannot_be_accepted() -> None:
    sim = on_offer()
    recorded = sim.status.identity
    sim.disk.identity = change(sim.disk.identity, virtual="8:99")
    sim.settle()
    assert sim.status.reason == "WrongDisk"
    sim.controller.around = TWIN
    sim.admin(accept_identity=Answer(question=sim.answer()))
    sim.settle()
    assert sim.status.identity == recorded
    refused = condition(sim, "AnswerNotTaken")
    assert refused is not None
    assert "volume w of node m" in refused.message
    assert sim.status.disk is not None
    assert sim.status.disk.presence is Presence.WRONG_DISK
