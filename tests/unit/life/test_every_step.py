"""A reclaim is cut at each of its steps, once each: every call to the API, and every change of the disk.

Who dies takes all that it knew along. A call may have taken effect or not, and its answer never came. Whoever
comes next must bring the disk back on offer, or, where nobody can know who deleted the PersistentVolume, ask,
with all the data still there.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.life.machine import Daemon, Item
from tests.unit.life.simulate import Sim, desired, pool
from tidb_volume.value import Phase

MOST = 60
"""More steps than there are."""


def released() -> Sim:
    """A disk whose claim is gone, with nothing against its wipe."""
    sim = Sim(desired(pool(after="0s")))
    sim.settle()
    sim.bind()
    for name in "abc":
        sim.disk.tenancies[sim.folder].add(Item("claim", name))
    sim.settle()
    sim.cluster.etcd.pods.clear()
    sim.node_side.kubelet()
    sim.cluster.etcd.claims.clear()
    sim.cluster.kube()
    return sim


def steps(sim: Sim) -> Iterator[str]:
    """Bring it to rest, stopping before each call and each change; says whose it is."""
    node, daemon = sim.node_side, sim.daemon
    while True:
        acted = False
        sim.controller.catch_up()
        if sim.plan().action is not None:
            yield "controller"
            acted = sim.step() is not None
        sim.cluster.kube()
        if node.begin(daemon):
            acted = True
            yield "daemon"
            while node.advance(daemon):
                yield "daemon"
        node.observe(daemon)
        while daemon.letters:
            yield "daemon"
            acted |= node.write(daemon.letters.pop(0))
        if not acted:
            return


def cut_off(sim: Sim, at: int, *, took_effect: bool) -> str:
    """Cut before the step of that number, or right after the call that it makes. The rest comes to its end.

    Returns whose step it was; empty: there are no more.
    """
    whose = next((each for number, each in enumerate(steps(sim)) if number == at), "")
    if whose == "controller":
        if took_effect:
            sim.step()
        sim.new_leader()
    elif whose == "daemon":
        child = sim.daemon.child
        if took_effect and child is not None:
            next(child.steps, None)
        elif took_effect and sim.daemon.letters:
            sim.node_side.write(sim.daemon.letters[0])
        if child is not None:
            child.steps.close()  # type: ignore[attr-defined]
        sim.daemon = Daemon()
    if whose:
        sim.settle()
        sim.later(3700)
    return whose


@pytest.mark.notices("daemon: the beginning of a wipe is not journalled")
@pytest.mark.parametrize("took_effect", [False, True], ids=["before", "after"])
def test_cut_at_any_step_a_reclaim_ends_right(took_effect: bool) -> None:
    seen: list[str] = []
    asked: list[int] = []
    for at in range(MOST):
        sim = released()
        whose = cut_off(sim, at, took_effect=took_effect)
        if not whose:
            break
        seen.append(whose)
        if sim.phase() is Phase.RELEASED:
            asked.append(at)
            assert sim.status.reason == "GoneByHand"
            assert sim.status.question is not None
            assert len(sim.data) == 4
            assert not sim.wiped
            assert not sim.pvs
            continue
        assert sim.phase() is Phase.AVAILABLE, (at, whose, sim.status)
        assert not sim.data, (at, whose)
        assert len(sim.wiped) == 1, (at, whose, sim.wiped)
        assert [pv.status.phase for pv in sim.pvs] == ["Available"]
        assert sim.disk.tenancies == {sim.folder: set()}
    assert len(seen) < MOST
    assert seen.count("controller") >= 7
    assert seen.count("daemon") >= 20
    assert len(asked) == 1  # the PersistentVolume is gone, and that is not written down
