"""A volume at the stages of its life that most tests begin at. `settings` are the pool's."""

from __future__ import annotations

from tests.unit.life.machine import Child
from tests.unit.life.simulate import Sim, desired, pool
from tidb_volume.life import actions
from tidb_volume.value import Phase


def on_offer(**settings: object) -> Sim:
    """Clean, and nobody has it."""
    sim = Sim(desired(pool(**settings)))
    sim.settle()
    assert sim.status.phase is Phase.AVAILABLE
    return sim


def bound(**settings: object) -> Sim:
    """A claim has it."""
    sim = on_offer(**settings)
    sim.bind()
    sim.settle()
    return sim


def released(**settings: object) -> Sim:
    """Its claim is gone, and all has been done that follows by itself."""
    sim = bound(**settings)
    sim.release()
    sim.settle()
    return sim


def committed() -> Sim:
    """Past the point of no return, the daemon not yet at work."""
    sim = bound(after="0s")
    sim.release()
    sim.until(actions.DeletePv)
    sim.step()
    assert sim.status.committed
    return sim


def up_to(sim: Sim, step: str) -> Child:
    """The daemon takes the order up, and has come to a step of that name."""
    assert sim.node_side.begin(sim.daemon)
    child = sim.daemon.child
    assert child is not None
    for each in child.steps:
        if each == step:
            return child
    raise AssertionError(f"it never came to {step}")
