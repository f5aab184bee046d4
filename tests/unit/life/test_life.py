"""A disk's life through the real planner, over a disk, a daemon and an API kept in memory."""

from __future__ import annotations

from disk_daemon.known import Broken, User
from tests.unit.life.machine import Item
from tests.unit.life.simulate import NAME, Sim, desired, pool
from tests.unit.life.stages import on_offer, released
from tidb_volume.identity import hardware_key
from tidb_volume.life import actions
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import (
    Adopt,
    Fleet,
    Meta,
    Phase,
    Presence,
    Restore,
    VolumeStatus,
    Work,
    WorkState,
)


def test_a_blank_disk_is_on_offer_after_four_writes() -> None:
    sim = Sim()
    sim.obey()
    sim.settle()
    assert [type(action).__name__ for action in sim.log] == ["WriteOrder", "CreatePv", "PatchStatus"]
    assert sim.status.phase is Phase.AVAILABLE
    assert sim.status.tenancy == sim.folder
    assert sim.pvs[0].metadata.name == f"{NAME}-{sim.folder}"
    assert sim.pvs[0].spec.local is not None
    assert sim.pvs[0].spec.local.path == f"/data/disk0/.tidb-volume/{sim.folder}"


def test_a_volume_that_is_not_observed_yet_is_said_to_be_so_only_after_a_second() -> None:
    sim = Sim()
    sim.daemon_up = False
    sim.controller.transient_since = sim.now
    assert sim.plan().action is None
    assert sim.plan().again_at == Instant(sim.now + 1)
    sim.now = Instant(sim.now + 1)
    sim.settle()
    assert sim.status.reason == "NotObserved"
    assert not sim.pvs


def test_the_owner_is_the_claim_and_the_pod_that_uses_it() -> None:
    sim = on_offer()
    sim.bind()
    sim.settle()
    assert sim.status.phase is Phase.BOUND
    assert sim.status.owner is not None
    assert str(sim.status.owner.claim) == "db/data-0"
    assert str(sim.status.owner.pod) == "db/pod-data-0"
    sim.cluster.etcd.pods.clear()
    sim.settle()
    assert sim.status.owner.pod is None
    assert sim.status.dirty


def test_a_released_disk_waits_its_time_is_wiped_once_and_is_on_offer_under_a_new_name() -> None:
    sim = released()
    old = sim.pvs[0].metadata.name
    assert (sim.status.phase, sim.status.reason) == (Phase.RELEASED, "Countdown")
    assert sim.plan().again_at == Instant(sim.now + 3600)
    assert not sim.wiped
    sim.now = Instant(sim.now + 3601)
    sim.settle()
    assert sim.status.phase is Phase.AVAILABLE
    assert len(sim.wiped) == 1
    assert sim.pvs[0].metadata.name != old
    assert not sim.status.dirty


def test_the_steps_of_a_wipe_come_in_the_contracts_order() -> None:
    sim = on_offer(after="0s")
    sim.bind()
    sim.settle()
    sim.log.clear()
    sim.release()
    sim.settle()
    names = [type(action).__name__ for action in sim.log]
    assert names == [
        "PatchStatus",
        "CountWipe",
        "WriteOrder",
        "DeletePv",
        "PatchStatus",
        "CreatePv",
        "PatchStatus",
    ]
    assert sim.status.phase is Phase.AVAILABLE


def test_policy_retain_waits_for_ever_and_a_patch_to_delete_begins_the_countdown() -> None:
    sim = on_offer(on_release="keep")
    sim.bind()
    sim.policy("Retain")
    sim.settle()
    sim.release()
    sim.settle()
    sim.now = Instant(sim.now + 1e6)
    sim.settle()
    assert sim.status.reason == "PolicyRetain"
    sim.policy("Delete")
    sim.settle()
    assert sim.status.reason == "PoolKeeps"

    sim = on_offer()
    sim.bind()
    sim.policy("Retain")
    sim.settle()
    sim.release()
    sim.settle()
    sim.now = Instant(sim.now + 1e6)
    sim.settle()
    assert (sim.status.reason, sim.status.wipe_at) == ("PolicyRetain", "")
    sim.policy("Delete")
    sim.settle()
    assert sim.status.reason == "Countdown"
    sim.policy("Retain")
    sim.settle()
    assert (sim.status.reason, sim.status.wipe_at) == ("PolicyRetain", "")
    assert not sim.wiped


def test_a_restore_between_order_and_delete_takes_the_order_back() -> None:
    sim = on_offer(after="0s")
    sim.bind()
    sim.settle()
    sim.release()
    sim.until(actions.WriteOrder)
    sim.policy("Retain")
    sim.settle()
    assert sim.status.reason == "PolicyRetain"
    assert sim.volume is not None
    assert sim.volume.spec.order is None
    assert not sim.wiped


def test_a_hold_and_a_gate_start_the_countdown_anew_when_they_fall() -> None:
    sim = released()
    first = sim.status.wipe_at
    sim.now = Instant(sim.now + 3000)
    sim.admin(hold=True)
    sim.settle()
    assert (sim.status.reason, sim.status.wipe_at) == ("Held", "")
    sim.now = Instant(sim.now + 1000)
    sim.admin(hold=False)
    sim.settle()
    assert sim.status.reason == "Countdown"
    assert sim.status.wipe_at > first
    sim.admin(gates={"tikv-tombstone": "set by a script"})
    sim.settle()
    assert sim.status.reason == "Gated"


def test_a_paused_fleet_begins_no_wipe_and_a_missing_fleet_object_none_either() -> None:
    sim = released()
    sim.pause(True)
    sim.now = Instant(sim.now + 3601)
    sim.settle()
    assert sim.status.reason == "Paused"
    fleet, sim.cluster.etcd.fleet = sim.cluster.etcd.fleet, None
    sim.settle()
    assert sim.status.reason == "FleetMissing"
    assert not sim.wiped
    sim.cluster.etcd.fleet = fleet
    sim.pause(False)
    sim.settle()
    assert len(sim.wiped) == 1


def test_a_disk_still_in_use_is_not_ordered_to_be_wiped() -> None:
    sim = on_offer(after="0s")
    sim.bind()
    sim.settle()
    sim.machine.others = (User(who="a process", root=f"/.tidb-volume/{sim.folder}"),)
    sim.release()
    sim.settle()
    assert sim.status.reason == "InUse"
    assert sim.pvs
    sim.machine.others = ()
    sim.settle()
    assert sim.status.phase is Phase.AVAILABLE
    assert len(sim.wiped) == 1


def test_a_new_leader_that_finds_a_pv_gone_and_no_commit_asks_a_person() -> None:
    sim = on_offer(after="0s")
    sim.bind()
    sim.settle()
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
    sim = on_offer(after="0s")
    sim.bind()
    sim.settle()
    sim.release()
    sim.until(actions.DeletePv)
    sim.step()
    assert sim.status.committed
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


def test_a_restore_that_was_asked_for_is_not_lost_when_the_policy_changes() -> None:
    """The claim's name is taken, so it waits; a patch to Delete meanwhile must not begin a countdown."""
    sim = released()
    sim.policy("Retain")
    sim.settle()
    sim.cluster.create_claim("db/data-0", volume_name="another-volume")
    question = sim.status.question
    assert question is not None
    sim.admin(restore=Restore(question=question.id))
    sim.settle()
    for policy in ("Delete", "Retain", "Delete"):
        sim.policy(policy)
        sim.later(7200)
        assert (sim.phase(), sim.status.reason) == (Phase.RELEASED, "RestoreAsked")
    assert not sim.wiped


def test_unknown_data_waits_for_a_person_and_is_wiped_on_the_answer_to_that_question() -> None:
    sim = Sim()
    sim.disk.strays = {Item("stranger", "backup")}
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.PENDING, "HasData")
    assert "backup" in sim.status.message
    assert sim.status.question is not None
    sim.admin(adopt=Adopt(question=sim.status.question.id, action="Wipe"))
    sim.settle()
    assert sim.status.phase is Phase.AVAILABLE
    assert sim.wiped == [""]


def test_a_word_on_unknown_data_that_cannot_be_obeyed_now_says_why_and_still_counts_later() -> None:
    sim = Sim()
    sim.disk.strays = {Item("stranger", "backup")}
    sim.machine.others = (User(who="mount /mnt/by-hand", root="/"),)
    sim.settle()
    assert sim.status.reason == "HasData"
    asked = sim.answer()
    sim.admin(adopt=Adopt(question=asked, action="Wipe"))
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.PENDING, "InUse")
    assert "mount /mnt/by-hand" in sim.status.message
    sim.pause(True)
    sim.settle()
    assert (sim.status.reason, sim.answer()) == ("Paused", asked)
    assert sim.spec.order is None
    sim.pause(False)
    sim.machine.others = ()
    sim.settle()
    assert sim.status.phase is Phase.AVAILABLE
    assert sim.wiped == [""]


def test_an_entry_that_is_back_for_an_unused_disk_waits_for_who_has_it_mounted_and_says_who() -> None:
    sim = on_offer()
    sim.want(None)
    sim.settle()
    sim.machine.others = (User(who="mount /data/other-name", root="/"),)
    sim.want(desired())
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.PENDING, "InUse")
    assert "mount /data/other-name" in sim.status.message
    sim.machine.others = ()
    sim.settle()
    assert sim.status.phase is Phase.AVAILABLE
    assert not sim.wiped


def test_a_blank_disk_whose_record_cannot_be_read_is_unknown_and_the_damage_is_said() -> None:
    sim = Sim()
    damaged = Broken(why="the journal x.json is damaged")
    sim.machine.journals = {hardware_key(sim.disk.identity): damaged}
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.PENDING, "HasData")
    assert "the journal x.json is damaged" in sim.status.message
    assert not sim.disk.tenancies
    sim.admin(adopt=Adopt(question=sim.answer(), action="Wipe"))
    sim.settle()
    assert not sim.pvs, "an answer does not make it readable"
    sim.machine.journals = {}
    sim.later(3600)
    assert sim.status.phase is Phase.AVAILABLE


def test_an_entry_removed_withdraws_a_free_disk_and_wipes_nothing() -> None:
    sim = on_offer()
    sim.want(None)
    sim.settle()
    assert sim.volume is None
    assert not sim.pvs
    assert not sim.wiped


def test_an_entry_removed_under_a_bound_disk_is_dropped_and_never_wiped() -> None:
    sim = on_offer(after="0s")
    sim.bind()
    sim.settle()
    sim.want(None)
    sim.settle()
    assert sim.status.state == "Bound (dropped)"
    sim.release()
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.RELEASED, "DroppedReleased")
    assert not sim.wiped
    sim.want(desired(pool(after="0s")))
    sim.settle()
    assert len(sim.wiped) == 1


def test_a_vanished_disk_is_taken_off_offer_and_offered_again_without_a_wipe() -> None:
    sim = on_offer()
    sim.is_there(Presence.NOT_MOUNTED)
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.PENDING, "NotMounted")
    assert not sim.pvs
    sim.is_there(None)
    sim.settle()
    assert sim.status.phase is Phase.AVAILABLE
    assert not sim.wiped


def test_a_cordoned_disk_is_not_offered_but_a_released_one_is_still_wiped() -> None:
    sim = released()
    sim.admin(cordon=True)
    sim.now = Instant(sim.now + 3601)
    sim.settle()
    assert len(sim.wiped) == 1
    assert (sim.status.phase, sim.status.reason) == (Phase.PENDING, "Cordoned")
    assert not sim.pvs
    sim.admin(cordon=False)
    sim.settle()
    assert sim.status.phase is Phase.AVAILABLE
    assert len(sim.wiped) == 1


def test_the_pools_on_release_changed_under_a_free_disk_makes_its_pv_anew() -> None:
    sim = on_offer()
    before = sim.pvs[0].metadata.name
    sim.want(desired(pool(on_release="keep")))
    sim.settle()
    assert sim.pvs[0].metadata.name != before
    assert sim.pvs[0].spec.persistent_volume_reclaim_policy == "Retain"
    assert not sim.wiped


def test_a_bound_volume_keeps_the_stricter_of_then_and_now() -> None:
    sim = on_offer(after="2h")
    sim.bind()
    sim.want(desired(pool(after="0s", gates=("tombstone",))))
    sim.settle()
    assert sim.volume is not None
    assert sim.volume.spec.wipe.after == "2h"
    assert sim.volume.spec.wipe.gates == ("tombstone",)
    assert sim.pvs[0].spec.persistent_volume_reclaim_policy == "Delete"


def test_the_breaker_trips_on_the_sixth_wipe_of_a_small_fleet() -> None:
    sim = on_offer(after="0s")
    for turn in range(20):
        sim.bind(f"db/data-{turn}")
        sim.settle()
        sim.release(f"db/data-{turn}")
        sim.settle()
        if sim.status.phase is not Phase.AVAILABLE:
            break
    assert len(sim.wiped) == 10  # 10 % of a fleet of a hundred
    assert sim.status.reason == "BreakerOpen"


def test_a_failed_wipe_is_tried_again_with_growing_pauses() -> None:
    sim = on_offer(after="0s")
    sim.bind()
    sim.settle()
    sim.release()
    sim.daemon_up = False
    sim.settle()
    assert sim.phase() is Phase.WIPING
    assert sim.volume is not None
    pauses: list[int] = []
    for _ in range(3):
        order = sim.volume.spec.order
        assert order is not None
        failed = Work(order_id=order.id, state=WorkState.FAILED, reason="EIO", at=format_instant(sim.now))
        sim.cluster.change_status(work=failed)
        sim.settle()
        assert sim.phase() is Phase.FAILED
        again = sim.plan().again_at
        assert again is not None
        pauses.append(round(again - sim.now))
        sim.now = again
        sim.settle()
        assert sim.phase() is Phase.WIPING
    assert pauses == [30, 60, 120]
    sim.daemon_up = True
    sim.settle()
    assert sim.phase() is Phase.AVAILABLE


def test_a_deleted_fleet_object_is_missing_and_not_empty() -> None:
    sim = released()
    sim.cluster.etcd.fleet = Fleet(metadata=Meta(name="fleet", deletion_timestamp="2026-01-01T00:00:00Z"))
    sim.now = Instant(sim.now + 3601)
    sim.settle()
    assert sim.status.reason == "FleetMissing"


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


def test_a_blank_disk_costs_six_writes_until_it_is_on_offer() -> None:
    """The TidbVolume, a report, the order, its answer, the PersistentVolume, the status."""
    sim = Sim()
    sim.obey()
    sim.settle()
    assert 1 + len(sim.log) + sim.node_side.written == 6


def test_a_disk_costs_at_most_ten_writes_from_its_release_to_its_new_offer() -> None:
    sim = on_offer(after="0s")
    sim.bind()
    sim.settle()
    before = len(sim.log) + sim.node_side.written
    sim.release()
    sim.settle()
    assert sim.status.phase is Phase.AVAILABLE
    assert len(sim.log) + sim.node_side.written - before <= 10


def test_a_disk_at_rest_costs_no_write_however_long() -> None:
    sim = on_offer()
    before = sim.cluster.writes
    for _ in range(5):
        sim.later(1e5)
    assert sim.cluster.writes == before


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


def test_why_a_free_disk_is_not_made_ready_is_said_and_it_is_tried_again_by_itself() -> None:
    sim = Sim()
    sim.obey()
    assert isinstance(sim.step(), actions.WriteOrder)
    assert sim.volume is not None
    sim.daemon_up = False
    work = Work(order_id=sim.spec.order.id, state=WorkState.REFUSED, reason="ReadOnly", message="the kernel")
    sim.cluster.change_status(sim.volume.metadata.uid, disk=sim.status.disk, work=work)
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.PENDING, "NotMadeReady")
    assert "ReadOnly: the kernel" in sim.status.message
    assert sim.status.retry is not None
    assert sim.status.retry.at in sim.status.message
    assert sim.status.question is None
    assert "--wipe" not in sim.status.message, "nobody would be listened to"
    sim.daemon_up = True
    sim.later(60)
    assert sim.phase() is Phase.AVAILABLE


def test_a_wipe_refused_for_what_is_on_the_disk_is_owed_no_more_and_a_person_is_asked() -> None:
    sim = on_offer(after="0s")
    sim.bind()
    sim.settle()
    sim.release()
    sim.disk.tenancies["bbbbbbbbbbbb"] = {Item("stranger")}
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.RELEASED, "WipeRefused")
    assert not sim.status.committed
    assert sim.status.question is not None
    assert not sim.wiped
    sim.later(1e5)
    assert not sim.wiped
