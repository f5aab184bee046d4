"""What hands do to objects beside us (a claimRef, a status, a volume), and what comes of the disk."""

from __future__ import annotations

import pytest

from tests.unit.life.simulate import NAME, change
from tests.unit.life.stages import bound, committed, on_offer, released
from tidb_volume.life import actions
from tidb_volume.value import Phase, Ref, Restore, VolumeStatus


@pytest.mark.notices("controller: dirt is not remembered")
def test_a_claim_ref_cleared_by_hand_takes_the_dirty_offer_back() -> None:
    sim = released()
    sim.clear_claim_ref()
    sim.settle()
    assert sim.status.phase is Phase.RELEASED
    assert not sim.pvs
    assert not sim.wiped
    assert sim.data


def test_a_dirty_disk_bound_by_another_claim_is_said_loudly() -> None:
    sim = released()
    sim.clear_claim_ref()
    sim.bind("db/thief", pod=False)
    sim.settle()
    assert sim.status.phase is Phase.BOUND
    assert any(condition.type == "DirtyHandedOut" for condition in sim.status.conditions)
    assert "DIRTY" in sim.status.state


@pytest.mark.notices("controller: whoever deleted the PersistentVolume, it is taken for the commit")
def test_a_pv_deleted_by_hand_while_on_offer_is_not_offered_again_by_itself() -> None:
    sim = on_offer()
    sim.delete_pvs()
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.RELEASED, "GoneByHand")
    assert not sim.pvs


@pytest.mark.notices("controller: what lies in a tenancy's folder is clean")
def test_a_status_deleted_by_hand_ends_in_a_question_and_not_in_an_offer() -> None:
    sim = released()
    sim.delete_pvs()
    sim.cluster.change_volume(status=VolumeStatus())
    sim.settle()
    assert sim.status.reason == "HasData"
    assert not sim.wiped


def test_a_status_deleted_under_a_bound_volume_is_made_again() -> None:
    sim = bound()
    sim.cluster.change_volume(status=VolumeStatus())
    sim.settle()
    assert sim.status.phase is Phase.BOUND
    assert sim.status.dirty
    assert sim.status.tenancy == sim.folder


@pytest.mark.notices("controller: a delete for another reason leaves the order standing")
def test_taking_back_a_volume_that_a_hand_put_on_offer_commits_no_wipe() -> None:
    sim = bound(after="0s")
    sim.release()
    sim.until(actions.WriteOrder)
    sim.clear_claim_ref()
    sim.policy("Retain")
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.RELEASED, "GoneByHand")
    assert not sim.pvs
    assert not sim.wiped


def test_a_volume_given_to_a_claim_that_is_bound_elsewhere_meanwhile_is_not_put_on_offer() -> None:
    sim = released(on_release="keep")
    sim.cluster.create_claim("db/data-0")
    sim.admin(restore=Restore(question=sim.answer()))
    sim.until(actions.SetClaimRef)
    claim = sim.cluster.etcd.claims["db/data-0"]
    elsewhere = change(claim, spec=change(claim.spec, volume_name="some-other-volume"))
    sim.cluster.etcd.claims["db/data-0"] = elsewhere
    sim.cluster.kube()
    assert all(pv.spec.claim_ref is not None for pv in sim.pvs)
    sim.settle()
    assert sim.status.phase is Phase.RELEASED
    assert all(pv.spec.claim_ref is not None for pv in sim.pvs)


def test_a_volume_on_offer_that_no_order_made_does_not_stop_a_committed_wipe() -> None:
    sim = committed()
    path = "/data/disk0/.tidb-volume/zzzzzzzzzzzz"
    sim.cluster.create_pv({"metadata": {"name": f"{NAME}-zzzzzzzzzzzz"}, "spec": {"local": {"path": path}}})
    sim.settle()
    sim.later(31)
    assert sim.status.phase is Phase.AVAILABLE
    assert [pv.metadata.name for pv in sim.pvs] == [f"{NAME}-{sim.status.tenancy}"]


@pytest.mark.notices("controller: wipes what is reserved for a claim")
def test_a_volume_that_a_hand_pointed_at_a_claim_not_yet_heard_of_is_not_wiped() -> None:
    sim = bound(after="0s")
    sim.admin(hold=True)
    sim.release()
    sim.settle()
    made = sim.cluster.create_claim("db/rescue")
    (pv,) = sim.pvs
    ref = Ref(namespace="db", name="rescue", uid=made.metadata.uid)
    sim.cluster.change_pv(pv.metadata.name, spec=change(pv.spec, claim_ref=ref))
    sim.admin(hold=False)
    sim.controller.catch_up()
    sim.controller.view.claims = {}  # the watch of the claims is late
    for _ in range(10):
        sim.controller.step()
        sim.controller.view.claims = {}
    assert not any(isinstance(action, actions.DeletePv) for action in sim.log)
    sim.settle()
    assert sim.status.phase is Phase.BOUND
