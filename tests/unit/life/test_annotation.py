"""An annotation that was taken away is put back, and who takes it away again is not answered for ever."""

from __future__ import annotations

from tests.unit.life.simulate import Sim, change
from tests.unit.life.stages import on_offer
from tidb_volume import names
from tidb_volume.life import actions
from tidb_volume.value import Phase


def take_away(sim: Sim) -> None:
    for pv in sim.pvs:
        sim.cluster.change_pv(pv.metadata.name, metadata=change(pv.metadata, annotations={}))


def put_back(sim: Sim) -> list[int]:
    return [action.times for action in sim.log if isinstance(action, actions.AnnotatePv)]


def is_there(sim: Sim) -> bool:
    return all(pv.metadata.annotations.get(names.PROVISIONED_BY) == names.PROVISIONER for pv in sim.pvs)


def test_it_is_put_back_at_once() -> None:
    sim = on_offer(after="0s")
    take_away(sim)
    sim.settle()
    assert is_there(sim)
    assert put_back(sim) == [1]


def test_an_operator_that_overwrites_it_is_answered_less_and_less_often() -> None:
    sim = on_offer(after="0s")
    for _ in range(24 * 60):
        take_away(sim)
        sim.later(60)
    assert 24 <= len(put_back(sim)) <= 32, "a day of overwriting"
    sim.later(3600)
    assert is_there(sim)


def test_meanwhile_the_moment_is_asked_for_and_the_life_goes_on() -> None:
    sim = on_offer(after="0s")
    sim.bind()
    for _ in range(2):
        take_away(sim)
        sim.settle()
    assert not is_there(sim)
    assert sim.plan().again_at == sim.now + 60
    sim.release()
    sim.settle()
    assert sim.phase() is Phase.AVAILABLE
    assert len(sim.wiped) == 1


def test_another_volume_begins_anew() -> None:
    sim = on_offer(after="0s")
    for _ in range(3):
        take_away(sim)
        sim.later(600)
    sim.bind()
    sim.release()
    sim.settle()
    take_away(sim)
    sim.settle()
    assert put_back(sim)[-1] == 1
    assert is_there(sim)
