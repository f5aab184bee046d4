"""An etcd that goes back in time forgets claims; the node's journal does not."""

from __future__ import annotations

import pytest

from tests.unit.life.machine import Daemon
from tests.unit.life.simulate import Sim, change
from tests.unit.life.stages import bound, committed, on_offer, released
from tidb_volume.life import actions
from tidb_volume.units import Instant, format_instant
from tidb_volume.upstream import PhaseOnly
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


def given_to_another_and_forgotten() -> tuple[Sim, str]:
    """Data in its countdown is given to another claim, which writes; etcd is restored from before that."""
    sim = bound(after="1h")
    sim.release()
    sim.settle()
    saved = sim.cluster.etcd.copy()
    sim.admin(restore=Restore(question=sim.answer()))
    sim.settle()
    sim.bind()
    sim.settle()
    assert sim.status.phase is Phase.BOUND
    claim = sim.cluster.etcd.claims["db/data-0"].metadata.uid
    sim.cluster.etcd, sim.machine.running, sim.daemon = saved, {}, Daemon()
    sim.new_leader()
    return sim, claim


@pytest.mark.notices("controller and daemon: who had it since is not asked")
@pytest.mark.parametrize("looks_first", [False, True])
def test_what_a_claim_wrote_that_etcd_has_forgotten_is_not_wiped_by_the_policy(*, looks_first: bool) -> None:
    sim, claim = given_to_another_and_forgotten()
    if looks_first:
        sim.look()
    data = sim.data
    sim.later(7200)
    assert sim.data == data
    if not sim.pvs:
        assert (sim.status.reason, claim in sim.status.message) == ("WipeRefused", True)
        return
    assert sim.status.reason == "HadSince"
    assert claim in sim.status.message
    assert sim.status.question is not None
    assert claim in sim.status.question.about
    sim.admin(wipe_now=Answer(question=sim.answer()))
    sim.settle()
    assert sim.status.phase is Phase.AVAILABLE
    assert not sim.data


def test_an_answer_that_was_given_before_another_claim_had_it_does_not_speak_of_that_ones_data() -> None:
    sim = bound(after="1h")
    sim.release()
    sim.settle()
    sim.admin(hold=True, wipe_now=Answer(question=sim.answer()))
    sim.settle()
    saved = sim.cluster.etcd.copy()
    sim.admin(hold=False, wipe_now=None)
    sim.admin(restore=Restore(question=sim.answer()))
    sim.settle()
    sim.bind()
    sim.settle()
    assert sim.status.phase is Phase.BOUND
    sim.cluster.etcd, sim.machine.running = saved, {}
    sim.new_leader()
    sim.settle()
    data = sim.data
    sim.admin(hold=False)
    sim.later(7200)
    assert sim.data == data
    assert sim.status.reason in ("HadSince", "WipeRefused")


def test_a_committed_order_out_of_an_older_etcd_does_not_end_what_another_claim_wrote_since() -> None:
    """Its volume was made again by hand for that claim while the daemon was away."""
    sim = bound(after="0s")
    (was,) = sim.pvs
    sim.release()
    sim.until(actions.DeletePv)
    sim.step()
    assert sim.status.committed
    saved = sim.cluster.etcd.copy()
    claim = sim.cluster.create_claim("db/data-9", volume_name=was.metadata.name)
    ref = Ref(namespace="db", name="data-9", uid=claim.metadata.uid)
    meta = change(
        was.metadata, uid="by-hand", resource_version=sim.cluster.version(), deletion_timestamp=None
    )
    made = change(was, metadata=meta, spec=change(was.spec, claim_ref=ref), status=PhaseOnly(phase="Pending"))
    sim.cluster.etcd.pvs[meta.name] = made
    sim.cluster.kube()
    sim.settle()
    sim.bind("db/data-9")
    sim.settle()
    assert sim.status.phase is Phase.BOUND
    data = sim.data
    sim.cluster.etcd, sim.machine.running, sim.daemon = saved, {}, Daemon()
    sim.later(100_000)
    assert sim.data == data
    assert sim.status.reason == "WipeRefused"
    assert claim.metadata.uid in sim.status.message


def in_countdown_and_held_since(*, hold: bool = True) -> Sim:
    """A person has said that it stays, and etcd is restored from before he said so."""
    sim = bound(after="1h")
    sim.release()
    sim.settle()
    saved = sim.cluster.etcd.copy()
    sim.admin(hold=True)
    sim.settle()
    sim.later(100_000)
    assert sim.data
    sim.cluster.etcd, sim.daemon = saved, Daemon()
    sim.new_leader()
    sim.controller.missed_until = sim.now
    return sim


def test_a_countdown_of_which_nobody_was_told_in_time_begins_anew() -> None:
    sim = in_countdown_and_held_since()
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.RELEASED, "Countdown")
    assert sim.status.wipe_at == format_instant(Instant(sim.now + 3600))
    sim.later(3599)
    assert sim.data


def test_it_goes_on_under_the_next_leader_and_ends() -> None:
    sim = in_countdown_and_held_since()
    sim.settle()
    sim.later(1800)
    sim.new_leader()
    sim.later(1790)
    assert sim.data
    sim.later(20)
    assert not sim.data
    assert sim.status.phase is Phase.AVAILABLE
