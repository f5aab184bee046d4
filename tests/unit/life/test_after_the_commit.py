"""What comes between the commit and the first byte, and what a record does not know: the data stays."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.life.machine import Daemon
from tests.unit.life.simulate import Sim, change, desired, pool
from tidb_volume.inventory.expand import DesiredDisk
from tidb_volume.life import actions
from tidb_volume.units import Instant, format_instant
from tidb_volume.upstream import Pv
from tidb_volume.value import (
    Adopt,
    Answer,
    Meta,
    Phase,
    Presence,
    Ref,
    Restore,
    VolumeStatus,
    Work,
    WorkState,
)

AT_ONCE = pool(after="0s")


def committed() -> Sim:
    """A disk whose wipe is committed and not begun: its daemon is away."""
    sim = Sim(desired(AT_ONCE))
    sim.settle()
    sim.bind()
    sim.settle()
    sim.daemon_up = False
    sim.release()
    sim.settle()
    assert sim.phase() is Phase.WIPING
    assert sim.status.committed
    return sim


def back(sim: Sim) -> None:
    sim.daemon_up = True
    sim.settle()


@pytest.mark.parametrize(
    ("edit", "word"),
    [
        (None, "DroppedReleased"),
        (desired(pool(after="0s", on_release="keep")), "PoolKeeps"),
        (desired(pool(after="0s", gates=("tombstone",))), "Gated"),
        (desired(AT_ONCE, never="/data/*"), "Never"),
    ],
)
def test_an_edit_after_the_commit_holds_a_wipe_that_has_not_begun(
    edit: DesiredDisk | None, word: str
) -> None:
    sim = committed()
    sim.want(edit)
    sim.settle()
    back(sim)
    assert not sim.wiped
    assert sim.data
    assert sim.status.reason == word
    sim.want(desired(AT_ONCE))
    sim.admin(gates_passed={"tombstone": sim.status.tenancy})  # a gate once in force stays in force
    sim.settle()
    assert len(sim.wiped) == 1
    assert sim.phase() is Phase.AVAILABLE


def test_a_withdrawn_order_out_of_a_restored_etcd_is_not_obeyed_again() -> None:
    sim = committed()
    saved = sim.cluster.etcd.copy()
    sim.admin(restore=Restore(question=sim.answer()))
    back(sim)
    sim.bind()
    sim.settle()
    assert sim.phase() is Phase.BOUND
    sim.cluster.etcd = saved
    sim.daemon = Daemon()
    sim.new_leader()
    sim.settle()
    for _ in range(4):
        sim.later(3600)
    assert not sim.wiped
    assert sim.data
    assert not sim.pvs
    work = sim.status.work
    assert work is not None
    assert (work.state, work.reason) == (WorkState.REFUSED, "HasData")


def test_an_order_withdrawn_for_no_restore_is_followed_by_one_that_goes_through() -> None:
    sim = committed()
    sim.want(None)
    back(sim)
    assert sim.spec.order.withdrawn
    assert not sim.wiped
    sim.want(desired(AT_ONCE))
    sim.settle()
    assert len(sim.wiped) == 1
    assert sim.phase() is Phase.AVAILABLE


def test_an_old_commit_does_not_outlive_a_volume_made_again_by_hand() -> None:
    sim = committed()
    old = sim.status.tenancy
    sim.cluster.create_claim("db/rescue")
    made = sim.cluster.etcd.claims["db/rescue"]
    manifest = {
        "metadata": {"name": f"{sim.volume.metadata.name}-{old}" if sim.volume else "", "annotations": {}},
        "spec": {
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": f"/data/disk0/.tidb-volume/{old}"},
            "claimRef": msgspec.to_builtins(Ref(namespace="db", name="rescue", uid=made.metadata.uid)),
        },
    }
    sim.cluster.create_pv(manifest)
    sim.cluster.kube()
    sim.settle()
    assert sim.phase() is Phase.BOUND
    assert not sim.status.committed
    back(sim)
    sim.cluster.etcd.claims.pop("db/rescue")
    sim.cluster.kube()
    sim.settle()
    sim.delete_pvs()
    sim.settle()
    assert not sim.wiped
    assert sim.phase() is Phase.RELEASED
    assert sim.status.question is not None


@pytest.mark.parametrize("refused", [False, True])
def test_wipe_now_goes_on_with_a_committed_wipe_that_the_pool_came_to_keep(*, refused: bool) -> None:
    sim = committed()
    if refused:
        sim.is_there(Presence.WRONG_DISK)
        back(sim)
        sim.is_there(None)
        assert sim.phase() is Phase.FAILED
    sim.want(desired(pool(after="0s", on_release="keep")))
    sim.settle()
    back(sim)
    assert sim.status.reason == "PoolKeeps"
    assert "kubectl tidb-volume wipe-now" in sim.status.message
    sim.later(7200)
    assert not sim.wiped
    sim.admin(wipe_now=Answer(question=sim.answer()))
    sim.later(7200)
    assert len(sim.wiped) == 1


def test_an_order_that_was_refused_is_not_committed_by_a_delete_for_another_reason() -> None:
    """Found by the model: the disk was another one for a moment, so the order had its answer already when the
    volume, put on offer by a hand, was taken back. That delete was taken for the commit of the wipe."""
    sim = Sim(desired(AT_ONCE))
    sim.settle()
    sim.bind()
    sim.settle()
    sim.release()
    sim.until(actions.WriteOrder)
    sim.is_there(Presence.WRONG_DISK)
    assert sim.spec.order is not None
    refused = Work(order_id=sim.spec.order.id, state=WorkState.REFUSED, reason="WrongDisk")
    sim.cluster.change_volume(status=change(sim.status, work=refused))
    sim.clear_claim_ref()
    sim.settle()
    sim.is_there(None)
    for _ in range(4):
        sim.later(4000)
    assert not sim.pvs
    assert not sim.status.committed
    assert not sim.wiped
    assert (sim.phase(), sim.status.reason) == (Phase.RELEASED, "GoneByHand")


def test_an_order_is_not_committed_by_the_delete_of_a_second_offer() -> None:
    """Somebody helps himself: a copy of the volume for his claim, kept, and the old one's claimRef cleared.
    The old one is deleted as a second offer while an order names it."""
    sim = Sim(desired(AT_ONCE))
    sim.settle()
    sim.bind()
    sim.settle()
    sim.release()
    sim.until(actions.WriteOrder)
    (old,) = sim.pvs
    claim = sim.cluster.create_claim("db/rescued", volume_name="copy")
    ref = Ref(namespace="db", name="rescued", uid=claim.metadata.uid)
    spec = change(old.spec, claim_ref=ref, persistent_volume_reclaim_policy="Retain")
    copy = change(old, metadata=change(old.metadata, name="copy", uid="pv-copy"), spec=spec)
    sim.cluster.etcd.pvs["copy"] = copy
    sim.cluster.change_pv(old.metadata.name, spec=change(old.spec, claim_ref=None))
    sim.cluster.kube()
    sim.settle()
    assert [pv.metadata.name for pv in sim.pvs] == ["copy"]
    assert not sim.status.committed
    sim.delete_pvs()
    for _ in range(4):
        sim.later(4000)
    assert not sim.wiped
    assert (sim.phase(), sim.status.reason) == (Phase.RELEASED, "GoneByHand")


def test_what_is_asked_of_a_volume_that_was_taken_back_can_be_answered() -> None:
    """Its data is an unknown owner's then: to leave it to the policy or to wipe it now is no answer."""
    sim = Sim(desired(AT_ONCE))
    sim.settle()
    sim.bind()
    sim.settle()
    sim.policy("Retain")
    sim.release()
    sim.settle()
    before = sim.answer()
    sim.clear_claim_ref()
    sim.settle()
    assert not sim.pvs
    assert sim.status.reason == "GoneByHand"
    assert sim.status.question is not None
    assert sim.status.question.kind == "gone"
    assert sim.answer() != before
    sim.admin(adopt=Adopt(question=sim.answer(), action="Wipe"))
    sim.settle()
    assert sim.phase() is Phase.AVAILABLE


@pytest.mark.parametrize(("says", "word"), [({"retire": True}, "Retired"), ({"cordon": True}, "Cordoned")])
@pytest.mark.parametrize("anew", [False, True])
def test_a_disk_that_is_not_to_be_offered_any_more_comes_to_rest_when_its_wipe_is_done(
    says: dict[str, bool], word: str, *, anew: bool
) -> None:
    sim = committed()
    sim.admin(**says)
    if anew:
        sim.node_side.obey(sim.daemon)
        sim.new_leader()
    back(sim)
    assert len(sim.wiped) == 1
    assert (sim.phase(), sim.status.reason) == (Phase.PENDING, word)
    assert not sim.status.committed
    assert not sim.pvs
    assert [line.what for line in sim.status.history][-1] == "wiped"
    sim.settle()
    sim.admin(**dict.fromkeys(says, False))
    sim.settle()
    assert sim.phase() is Phase.AVAILABLE
    assert len(sim.wiped) == 1


@pytest.mark.notices("controller: wipes under a record made anew")
def test_a_record_made_again_beside_a_released_volume_wipes_nothing_by_itself() -> None:
    sim = Sim(desired(AT_ONCE))
    sim.settle()
    sim.bind()
    sim.settle()
    sim.admin(hold=True)
    sim.release()
    sim.settle()
    sim.admin(hold=False)  # what `kubectl delete tv` takes along
    sim.cluster.change_volume(status=VolumeStatus(disk=sim.status.disk))
    sim.settle()
    assert sim.status.reason == "RecordLost"
    assert not sim.wiped
    sim.admin(wipe_now=Answer(question=sim.answer()))
    sim.settle()
    assert len(sim.wiped) == 1
    assert sim.phase() is Phase.AVAILABLE


def test_an_offer_that_the_disk_does_not_agree_with_is_taken_back() -> None:
    sim = Sim()
    sim.settle()
    sim.disk.tenancies = {"bbbbbbbbbbbb": set()}
    sim.settle()
    assert not sim.pvs
    assert sim.status.reason == "HasData"


def test_a_free_disk_dropped_and_listed_again_comes_on_offer_by_its_journal() -> None:
    sim = Sim()
    sim.settle()
    sim.want(None)
    sim.settle()
    assert sim.volume is None
    sim.want(desired())
    sim.settle()
    assert sim.phase() is Phase.AVAILABLE
    assert not sim.wiped


@pytest.mark.parametrize("skew", [-7200.0, 0.0, 3.15e7])
def test_the_pause_before_another_try_runs_by_the_controllers_clock(skew: float) -> None:
    sim = committed()
    sim.log.clear()
    assert sim.volume is not None
    order = sim.volume.spec.order
    assert order is not None
    at = format_instant(Instant(sim.now + skew))
    failed = Work(order_id=order.id, state=WorkState.FAILED, reason="EIO", at=at)
    sim.cluster.change_volume(status=change(sim.status, work=failed))
    sim.settle()
    assert not any(isinstance(action, actions.WriteOrder) for action in sim.log)
    assert sim.plan().again_at == Instant(sim.now + 30)


def test_a_tenancy_that_is_another_volumes_makes_a_conflict_and_asks_nobody() -> None:
    sim = Sim()
    sim.disk.tenancies = {"bbbbbbbbbbbb": set()}
    sim.controller.elsewhere = (Pv(metadata=Meta(name="other-bbbbbbbbbbbb")),)
    sim.settle()
    assert sim.status.reason == "Conflict"
    assert sim.status.question is None


@pytest.mark.notices("controller: commits before the PersistentVolume is deleted")
def test_a_claim_whose_end_was_not_heard_yet_still_has_its_disk() -> None:
    sim = Sim(desired(AT_ONCE))
    sim.settle()
    claim = sim.bind()
    sim.settle()
    sim.release()
    sim.controller.catch_up()
    sim.controller.view.claims["db/data-0"] = claim
    action = sim.controller.plan().action
    assert isinstance(action, actions.PatchStatus)  # its pod is gone, and no more is known
    assert action.status.phase is Phase.BOUND
    sim.settle()
    assert sim.phase() is Phase.AVAILABLE


def refused_before_the_commit() -> Sim:
    """The disk is gone when the daemon has the order in hand, and is back afterwards."""
    sim = on_the_way()
    sim.is_there(Presence.WRONG_DISK)
    sim.obey()
    work = sim.status.work
    assert work is not None
    assert (work.state, work.reason) == (WorkState.REFUSED, "WrongDisk")
    assert not sim.status.committed
    sim.settle()
    assert sim.pvs, "its PersistentVolume is the way back"
    sim.is_there(None)
    return sim


def on_the_way() -> Sim:
    """The order to wipe it is written, and its PersistentVolume is still there."""
    sim = Sim(desired(AT_ONCE))
    sim.settle()
    sim.bind()
    sim.settle()
    sim.release()
    until_ordered(sim)
    return sim


def until_ordered(sim: Sim) -> None:
    """Steps of the controller alone, up to an order."""
    while not (isinstance(action := sim.step(), actions.WriteOrder) and action.order is not None):
        assert action is not None


def test_an_order_refused_before_its_commit_is_followed_by_a_fresh_one_and_nothing_fails() -> None:
    sim = refused_before_the_commit()
    begun = len(sim.log)
    sim.settle()
    assert len(sim.wiped) == 1
    assert sim.phase() is Phase.AVAILABLE
    phases = [each.status.phase for each in sim.log[begun:] if isinstance(each, actions.PatchStatus)]
    assert Phase.FAILED not in phases
    orders = [each.order for each in sim.log if isinstance(each, actions.WriteOrder) and each.order]
    assert [each.attempt for each in orders[-2:]] == [0, 1]


def test_what_is_refused_again_and_again_before_the_commit_is_ordered_after_growing_pauses() -> None:
    """A daemon that does not agree with its own report must not have the controller write for ever."""
    sim = on_the_way()
    refuse(sim)
    until_ordered(sim)
    assert sim.spec.order.attempt == 1
    refuse(sim)
    sim.settle()
    assert (sim.spec.order.attempt, len(sim.pvs), sim.wiped) == (1, 1, [])
    assert (sim.status.phase, sim.status.reason) == (Phase.RELEASED, "NotBegun")
    assert "WrongDisk: not the one" in sim.status.message
    assert sim.status.retry is not None
    assert sim.status.retry.at in sim.status.message
    sim.daemon_up = True
    sim.later(3600)
    assert sim.spec.order.attempt == 2
    assert len(sim.wiped) == 1


def test_what_is_refused_for_the_data_found_is_not_ordered_again_but_asked_about() -> None:
    sim = on_the_way()
    refuse(sim, "HasData")
    order = sim.spec.order
    sim.settle()
    sim.later(3600)
    assert (sim.status.phase, sim.status.reason) == (Phase.RELEASED, "WipeRefused")
    assert (sim.spec.order, sim.wiped) == (order, [])
    assert sim.data
    assert sim.status.question is not None
    assert sim.status.question.kind == "gone", "`adopt --wipe`, which the reason names, asks for that"
    sim.daemon_up = True
    sim.admin(adopt=Adopt(question=sim.answer(), action="Wipe"))
    sim.settle()
    assert len(sim.wiped) == 1


def refuse(sim: Sim, reason: str = "WrongDisk") -> None:
    """The daemon's answer, whatever it reports of the disk."""
    sim.daemon_up = False
    assert sim.volume is not None
    order = sim.spec.order.id
    work = Work(order_id=order, state=WorkState.REFUSED, reason=reason, message="not the one")
    sim.cluster.change_status(sim.volume.metadata.uid, disk=sim.status.disk, work=work)


def adopted() -> Sim:
    """The volume was deleted by hand, a person said to wipe it, and that is committed and not begun."""
    sim = Sim(desired(AT_ONCE))
    sim.settle()
    sim.bind()
    sim.settle()
    sim.admin(hold=True)
    sim.release()
    sim.settle()
    sim.delete_pvs()
    sim.settle()
    sim.daemon_up = False
    sim.admin(hold=False, adopt=Adopt(question=sim.answer(), action="Wipe"))
    sim.settle()
    assert sim.status.committed
    assert sim.status.committed_on
    return sim


@pytest.mark.parametrize("stands", [True, False])
def test_an_order_deleted_by_hand_is_followed_by_one_on_the_same_answer(*, stands: bool) -> None:
    """Found by the model: it was followed by one that the policy seemed to want, which asks for no answer."""
    sim = adopted()
    sim.cluster.change_volume(spec=change(sim.spec, order=None))
    if not stands:
        sim.admin(adopt=None)
    sim.settle()
    back(sim)
    assert bool(sim.wiped) is stands
    if not stands:
        assert (sim.phase(), sim.status.reason) == (Phase.RELEASED, "WipeRefused")
        sim.admin(adopt=Adopt(question=sim.answer(), action="Wipe"))
        sim.later(31)
        assert sim.wiped


def test_an_order_on_an_answer_whose_commit_is_lost_is_followed_by_a_question() -> None:
    """Found by the model: with the status deleted by hand it waited for a commit that nobody would make."""
    sim = adopted()
    assert sim.spec.order is not None
    waits = Work(order_id=sim.spec.order.id, state=WorkState.RUNNING, reason="NotCommitted")
    sim.look()
    sim.cluster.change_volume(status=VolumeStatus(disk=sim.status.disk, work=waits))
    sim.daemon_up = True
    sim.new_leader()
    sim.settle()
    assert not sim.wiped
    assert (sim.phase(), sim.status.reason) == (Phase.PENDING, "HasData")
    sim.admin(adopt=Adopt(question=sim.answer(), action="Wipe"))
    sim.settle()
    assert sim.wiped
    assert sim.phase() is Phase.AVAILABLE
