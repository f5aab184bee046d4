"""An etcd that goes back in time forgets claims; the node's journal does not."""

from __future__ import annotations

import pytest

from tests.unit.life.machine import Daemon
from tests.unit.life.simulate import Sim
from tests.unit.life.stages import bound, committed, on_offer, released
from tidb_volume.life import actions
from tidb_volume.value import Adopt, Answer, Phase, Ref, Restore


def said(sim: Sim, kind: str) -> bool:
    return any(each.type == kind for each in sim.status.conditions)


def bound_and_forgotten(*, empty: bool) -> Sim:
    """A claim has the disk, its daemon has seen it, and etcd is restored from before."""
    sim = on_offer(after="0s")
    saved = sim.cluster.etcd.copy()
    sim.bind()
    if empty:
        for items in sim.disk.tenancies.values():
            items.clear()
    sim.settle()
    assert sim.status.disk is not None
    assert not sim.status.disk.claims, "who is on record is not told again"
    sim.cluster.etcd = saved
    sim.machine.running = {}
    sim.new_leader()
    return sim


@pytest.mark.notices("daemon: claims that were seen are not journalled")
def test_a_tenancy_that_a_claim_had_is_taken_off_offer_though_it_is_empty() -> None:
    sim = bound_and_forgotten(empty=True)
    tenancy = sim.folder
    sim.settle()
    assert not sim.pvs
    assert sim.folder == tenancy
    assert sim.status.phase is not Phase.AVAILABLE
    assert sim.status.disk is not None
    assert sim.status.disk.claims
    sim.later(100_000)
    assert not sim.pvs
    assert sim.folder == tenancy


@pytest.mark.notices("controller and daemon: neither dirt nor who had it is remembered")
def test_an_empty_tenancy_that_a_hand_puts_on_offer_is_taken_back_all_the_same() -> None:
    sim = bound()
    for items in sim.disk.tenancies.values():
        items.clear()
    sim.release()
    sim.settle()
    sim.clear_claim_ref()
    sim.settle()
    assert not sim.pvs
    assert sim.status.phase is not Phase.AVAILABLE


def test_a_claim_that_binds_before_the_daemon_looks_is_said_to_have_got_a_used_disk() -> None:
    sim = bound_and_forgotten(empty=True)
    sim.bind("db/thief", pod=False)
    sim.settle()
    assert sim.status.phase is Phase.BOUND
    assert said(sim, "DirtyHandedOut")
    assert "DIRTY" in sim.status.state


def test_the_same_claim_back_on_its_own_disk_is_no_alarm() -> None:
    sim = bound(after="0s")
    sim.new_leader()
    sim.settle()
    assert sim.status.phase is Phase.BOUND
    assert not said(sim, "DirtyHandedOut")


def test_data_that_a_person_gave_to_another_claim_is_no_alarm() -> None:
    sim = on_offer(after="0s")
    sim.bind()
    sim.policy("Retain")
    sim.settle()
    sim.release()
    sim.settle()
    sim.admin(restore=Restore(question=sim.answer()))
    sim.settle()
    sim.bind(pod=False)
    sim.settle()
    assert sim.status.phase is Phase.BOUND
    assert not said(sim, "DirtyHandedOut")


def test_after_its_wipe_nobody_has_had_the_disk() -> None:
    sim = released(after="0s")
    assert sim.status.phase is Phase.AVAILABLE
    assert sim.status.disk is not None
    assert not sim.status.disk.claims


@pytest.mark.parametrize("answered", [False, True])
def test_a_tenancy_forgotten_before_its_offer_is_kept_for_whom_a_person_names(*, answered: bool) -> None:
    """The order that made it stands again, and the daemon has that as done: by it nothing is given back."""
    sim = Sim()
    sim.look()
    sim.until(actions.WriteOrder)
    if answered:
        sim.obey()
    saved = sim.cluster.etcd.copy()
    sim.settle()
    sim.bind()
    sim.settle()
    tenancy = sim.folder
    sim.cluster.etcd, sim.machine.running, sim.daemon = saved, {}, Daemon()
    sim.new_leader()
    sim.settle()
    assert sim.status.reason == "HasData"
    sim.admin(adopt=Adopt(question=sim.answer(), action="Keep", claim=Ref(namespace="db", name="data-0")))
    sim.settle()
    (pv,) = sim.pvs
    assert pv.metadata.name.endswith(tenancy)
    assert sim.status.reason == "Reserved"


def test_a_tenancy_forgotten_before_the_wipe_that_began_it_is_kept_for_whom_a_person_names() -> None:
    sim = committed()
    saved = sim.cluster.etcd.copy()
    sim.settle()
    sim.bind("db/data-9")
    sim.settle()
    tenancy = sim.folder
    sim.cluster.etcd, sim.machine.running, sim.daemon = saved, {}, Daemon()
    sim.new_leader()
    sim.settle()
    assert sim.status.reason == "WipeRefused"
    sim.admin(adopt=Adopt(question=sim.answer(), action="Keep", claim=Ref(namespace="db", name="data-9")))
    sim.settle()
    (pv,) = sim.pvs
    assert pv.metadata.name.endswith(tenancy)
    assert sim.folder == tenancy


def test_a_forgotten_tenancy_is_wiped_on_a_persons_word() -> None:
    sim = bound_and_forgotten(empty=True)
    sim.settle()
    question = sim.answer()
    sim.admin(adopt=Adopt(question=question, action="Wipe"), wipe_now=Answer(question=question))
    sim.later(60)
    assert sim.status.phase is Phase.AVAILABLE
    assert not said(sim, "DirtyHandedOut")
