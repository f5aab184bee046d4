"""What a leader does that finds things half done, by itself or by an etcd that went back."""

from __future__ import annotations

import pytest

from tests.unit.life.simulate import NAME, Sim, change
from tests.unit.life.stages import bound, committed, on_offer, released
from tidb_volume.life import actions
from tidb_volume.value import Adopt, Phase, VolumeStatus


@pytest.mark.notices("controller: wipes what lost its PersistentVolume by hand")
def test_a_new_leader_that_finds_a_pv_gone_and_no_commit_asks_a_person() -> None:
    sim = bound(after="0s")
    sim.release()
    sim.until(actions.DeletePv)
    sim.new_leader()
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.RELEASED, "GoneByHand")
    assert not sim.wiped
    assert sim.status.question is not None
    sim.admin(adopt=Adopt(question=sim.status.question.id, action="Wipe"))
    sim.settle()
    assert sim.status.phase is Phase.AVAILABLE
    assert len(sim.wiped) == 1


def test_a_new_leader_finishes_a_committed_wipe_and_never_offers_on_a_found_done() -> None:
    sim = committed()
    sim.obey()
    sim.new_leader()
    sim.log.clear()
    sim.settle()
    done_once_more = [
        type(action).__name__ for action in sim.log if not isinstance(action, actions.PatchStatus)
    ]
    assert done_once_more == ["WriteOrder", "CreatePv"]
    assert sim.status.phase is Phase.AVAILABLE
    assert len(sim.wiped) == 1


@pytest.mark.notices("controller: what is on offer is not compared with the disk")
def test_an_etcd_from_before_the_claim_does_not_leave_the_used_disk_on_offer() -> None:
    sim = on_offer(after="0s")
    saved = sim.cluster.etcd.copy()
    sim.bind()
    sim.settle()
    sim.cluster.etcd = saved
    sim.node_side.kubelet()
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.RELEASED, "GoneByHand")
    assert not sim.pvs
    assert sim.data
    assert not sim.wiped


def test_a_leader_that_asks_again_without_a_commit_asks_for_nothing_that_could_delete() -> None:
    sim = released(after="0s")
    assert sim.status.phase is Phase.AVAILABLE
    assert sim.spec.order.kind == "reclaim"
    sim.delete_pvs()
    sim.cluster.change_volume(status=VolumeStatus())
    sim.new_leader()
    sim.log.clear()
    sim.settle()
    orders = [action.order for action in sim.log if isinstance(action, actions.WriteOrder)]
    assert {order.kind for order in orders if order is not None} <= {"prepare"}


@pytest.mark.notices("controller: a done under another leader's order counts")
def test_an_offer_is_never_made_on_a_done_that_another_leader_ordered() -> None:
    sim = Sim()
    sim.obey()
    sim.until(actions.WriteOrder)
    sim.obey()
    first = sim.spec.order.id
    sim.new_leader()
    sim.settle()
    assert [type(each).__name__ for each in sim.log][:2] == ["WriteOrder", "CreatePv"]
    assert sim.spec.order.id != first
    assert sim.status.work is not None
    assert sim.status.work.order_id == sim.spec.order.id


@pytest.mark.notices("controller: a second PersistentVolume on offer is left there")
def test_no_volume_is_made_beside_another_one_and_one_that_came_late_is_deleted() -> None:
    sim = Sim()
    sim.obey()
    sim.until(actions.WriteOrder)
    sim.obey()
    create = sim.plan().action
    assert isinstance(create, actions.CreatePv)
    stranger = {
        "metadata": {"name": f"{NAME}-zzzzzzzzzzzz"},
        "spec": {"local": {"path": "/data/disk0/.tidb-volume/zzzzzzzzzzzz"}},
    }
    sim.cluster.create_pv(stranger)
    assert not isinstance(sim.plan().action, actions.CreatePv)
    sim.settle()
    assert [pv.metadata.name for pv in sim.pvs] == [f"{NAME}-{sim.status.tenancy}"]
    sim.bind()
    sim.settle()
    sim.cluster.create_pv(stranger)
    sim.settle()
    assert len(sim.pvs) == 1
    assert sim.status.phase is Phase.BOUND


CHANGED: list[tuple[str, dict[str, object]]] = [
    ("somebody wrote there", {"empty": False}),
    ("the journal has seen a claim", {"claims": ("c1",)}),
    ("the journal was lost", {"journal": ""}),
    ("the journal knows another tenancy", {"journal": "aaaaaaaaaaaa"}),
    ("the journal is damaged", {"journal_broken": True}),
    ("there is the trash of a wipe", {"trash": ("order-0",)}),
    ("somebody uses it", {"in_use": "a pod"}),
    ("another tenancy is there", {"tenancy": "aaaaaaaaaaaa"}),
    ("its size is not known", {"capacity_bytes": 0}),
]


@pytest.mark.notices("controller: offers what the disk's journal does not know")
@pytest.mark.parametrize("now", [row[1] for row in CHANGED], ids=[row[0] for row in CHANGED])
def test_what_became_of_a_disk_after_its_order_was_done_counts_and_not_the_done(
    now: dict[str, object],
) -> None:
    sim = Sim()
    sim.obey()
    sim.until(actions.WriteOrder)
    sim.obey()
    assert isinstance(sim.plan().action, actions.CreatePv)
    assert sim.status.disk is not None
    sim.cluster.change_status(disk=change(sim.status.disk, **now))
    sim.daemon_up = False
    sim.settle()
    assert not any(isinstance(each, actions.CreatePv) for each in sim.log)
