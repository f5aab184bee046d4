"""What a person may say of a disk, and what becomes of it: restore, keep, accept, forget."""

from __future__ import annotations

import pytest

from tests.unit.life.cluster import BOUND_BY
from tests.unit.life.machine import Disk, Item
from tests.unit.life.simulate import Sim, desired, pool
from tests.unit.life.stages import bound, committed, on_offer, released
from tidb_volume.life import actions
from tidb_volume.upstream import Pv
from tidb_volume.value import Adopt, Answer, Identity, Phase, Ref, Restore, Work, WorkState

FORMER = Ref(namespace="db", name="data-0")


def restore(sim: Sim, claim: Ref | None = None) -> None:
    sim.admin(restore=Restore(question=sim.answer(), claim=claim))


def the_pv(sim: Sim) -> Pv:
    (pv,) = sim.pvs
    return pv


def said(sim: Sim, kind: str = "AnswerNotTaken") -> str:
    return next((each.message for each in sim.status.conditions if each.type == kind), "")


def read(sim: Sim, claim: str = "db/data-0") -> set[str]:
    """Start a pod on a claim, and tell whose data it sees."""
    sim.cluster.start_pod(claim)
    sim.node_side.kubelet()
    (at,) = sim.machine.running.values()
    return {item.owner for item in at.disk.tenancies[at.tenancy]}


# --- restore, before the commit ---


def test_a_restore_points_the_volume_at_the_former_owners_new_claim_at_once() -> None:
    sim = released()
    owner = next(iter(sim.data)).owner
    claim = sim.cluster.create_claim("db/data-0")
    restore(sim)
    sim.settle()
    assert sim.status.phase is Phase.BOUND
    assert the_pv(sim).spec.claim_ref == Ref(namespace="db", name="data-0", uid=claim.metadata.uid)
    assert BOUND_BY not in the_pv(sim).metadata.annotations
    assert not said(sim, "DirtyHandedOut")
    assert read(sim) == {owner}


def test_a_restore_to_a_claim_that_is_not_there_yet_keeps_the_data_for_it_alone() -> None:
    sim = released(after="0s", on_release="keep")
    restore(sim)
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.RELEASED, "RestoreAsked")
    assert the_pv(sim).spec.claim_ref == FORMER
    sim.admin(restore=None)
    sim.settle()
    assert sim.status.reason == "Reserved"
    assert "db/data-0" in sim.status.message
    sim.later(1e6)
    sim.cluster.create_claim("db/data-9")
    assert not sim.cluster.choose("db/data-9")
    sim.cluster.create_claim("db/data-0")
    assert sim.cluster.choose("db/data-0")
    sim.settle()
    assert sim.status.phase is Phase.BOUND
    assert not sim.wiped


REFUSED: list[tuple[str, Ref | None, str, str]] = [
    ("another namespace", Ref(namespace="other", name="data-0"), "", "stays in its namespace"),
    ("a claim that is bound elsewhere", FORMER, "some-other-volume", "scale its user to 0"),
]


@pytest.mark.notices("controller: orders the wipe of what is asked back")
@pytest.mark.parametrize(
    ("claim", "bound_to", "words"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_a_restore_that_cannot_be_is_said_and_nothing_is_wiped_meanwhile(
    claim: Ref | None, bound_to: str, words: str
) -> None:
    sim = released()
    if bound_to:
        sim.cluster.create_claim("db/data-0", volume_name=bound_to)
    before = the_pv(sim).spec
    restore(sim, claim)
    sim.later(1e5)
    assert words in said(sim)
    assert sim.status.reason == "RestoreAsked"
    assert the_pv(sim).spec == before
    assert not sim.wiped
    sim.admin(restore=None)
    sim.settle()
    assert sim.status.reason == "Countdown"
    sim.later(3601)
    assert len(sim.wiped) == 1


def test_an_answer_to_an_earlier_question_gives_nothing_back() -> None:
    sim = released()
    sim.admin(restore=Restore(question="q-of-last-week", claim=FORMER))
    sim.later(3601)
    assert len(sim.wiped) == 1
    assert sim.status.phase is Phase.AVAILABLE


@pytest.mark.notices("controller: PersistentVolumes are deleted without preconditions")
def test_a_restore_between_order_and_delete_makes_the_delete_fail() -> None:
    sim = bound(after="0s")
    sim.release()
    sim.until(actions.WriteOrder)
    decided = sim.plan()
    assert isinstance(decided.action, actions.DeletePv)
    volume = sim.volume
    assert volume is not None
    sim.policy("Retain")  # any change of the volume will do
    assert sim.controller.attempt(volume, decided.action) == "conflict"
    assert sim.pvs


@pytest.mark.notices("controller: a claimRef is set without preconditions")
def test_a_gift_decided_before_the_volume_got_another_owner_is_not_made() -> None:
    sim = released()
    restore(sim)
    while not isinstance(gift := sim.plan().action, actions.SetClaimRef):
        sim.step()
    volume = sim.volume
    assert volume is not None
    sim.clear_claim_ref()
    owner = sim.bind("db/data-9", pod=False)
    assert sim.controller.attempt(volume, gift) == "conflict"
    assert the_pv(sim).spec.claim_ref == Ref(namespace="db", name="data-9", uid=owner.metadata.uid)


# --- restore, after the commit ---


@pytest.mark.notices("controller: data is given back while the daemon may still begin")
def test_a_restore_after_the_commit_waits_for_the_daemons_word_and_makes_the_volume_again() -> None:
    sim = committed()
    tenancy, owner = sim.status.tenancy, next(iter(sim.data)).owner
    restore(sim)
    sim.daemon_up = False
    sim.settle()
    assert sim.status.reason == "TakingBack"
    assert sim.spec.order.withdrawn
    assert not sim.pvs
    sim.daemon_up = True
    sim.settle()
    pv = the_pv(sim)
    assert pv.metadata.name.endswith(tenancy)
    assert pv.spec.persistent_volume_reclaim_policy == "Retain"
    assert pv.spec.claim_ref == FORMER
    assert not sim.wiped
    assert (sim.status.committed, sim.status.tenancy) == ("", tenancy)
    assert any(line.what == "given back" for line in sim.status.history)
    sim.cluster.create_claim("db/data-0")
    sim.cluster.choose("db/data-0")
    sim.settle()
    assert sim.status.phase is Phase.BOUND
    assert read(sim) == {owner}


def test_a_disk_given_back_after_the_commit_can_be_released_and_wiped_like_any_other() -> None:
    sim = committed()
    restore(sim)
    sim.settle()
    sim.bind()
    sim.settle()
    assert sim.status.phase is Phase.BOUND
    sim.release()
    sim.settle()
    assert sim.status.reason == "PolicyRetain"
    sim.policy("Delete")
    sim.settle()
    assert sim.status.phase is Phase.AVAILABLE
    assert len(sim.wiped) == 1


def test_a_restore_that_comes_after_the_first_unlink_is_refused_and_the_wipe_ends() -> None:
    sim = committed()
    volume = sim.volume
    assert volume is not None
    assert sim.node_side.begin(sim.daemon)
    while not sim.machine.erased:
        sim.node_side.advance(sim.daemon)
    restore(sim)
    sim.settle()
    assert sim.status.phase is Phase.AVAILABLE
    assert len(sim.wiped) == 1


@pytest.mark.notices("controller: data is given back though some of it is gone")
def test_a_daemon_that_says_that_bytes_are_gone_gives_nothing_back() -> None:
    """Also where the report of the disk is older than that, and shows the tenancy as it was."""
    sim = committed()
    restore(sim)
    sim.until(actions.WriteOrder)
    begun = Work(order_id=sim.spec.order.id, state=WorkState.REFUSED, reason="Withdrawn", begun=True)
    sim.cluster.change_status(work=begun)
    sim.daemon_up = False
    sim.settle()
    assert not sim.pvs
    assert sim.status.phase is Phase.WIPING


def test_a_new_leader_asks_again_before_it_believes_that_no_byte_is_gone() -> None:
    sim = committed()
    restore(sim)
    sim.until(actions.WriteOrder)
    sim.obey()
    assert sim.status.work is not None
    assert (sim.status.work.state, sim.status.work.begun) == (WorkState.REFUSED, False)
    sim.new_leader()
    sim.until(actions.WriteOrder)
    assert sim.spec.order.withdrawn
    assert not sim.pvs
    sim.settle()
    assert the_pv(sim).spec.claim_ref == FORMER


@pytest.mark.parametrize(
    ("state", "reason"),
    [(WorkState.FAILED, "ENOSPC"), (WorkState.REFUSED, "WrongDisk"), (WorkState.REFUSED, "Stuck")],
)
def test_a_daemon_that_cannot_give_back_just_now_is_asked_again(state: WorkState, reason: str) -> None:
    """Its own disk was full for a moment, or another disk in the slot: it was never asked again."""
    sim = committed()
    owner = next(iter(sim.data)).owner
    restore(sim)
    sim.until(actions.WriteOrder)
    taken = sim.spec.order
    sim.cluster.change_status(work=Work(order_id=taken.id, state=state, reason=reason))
    sim.daemon.answered = (taken.id, True)
    sim.settle()
    assert not sim.pvs
    assert sim.status.retry is not None
    sim.later(31)
    assert (sim.spec.order.withdrawn, sim.spec.order.next) == (True, taken.next)
    assert the_pv(sim).spec.claim_ref == FORMER
    assert {item.owner for item in sim.data} == {owner}


def test_a_restore_that_is_taken_back_leaves_the_wipe_owed() -> None:
    sim = committed()
    sim.daemon_up = False
    restore(sim)
    sim.settle()
    assert sim.spec.order.withdrawn
    sim.admin(restore=None)
    sim.daemon_up = True
    sim.settle()
    assert sim.status.phase is Phase.AVAILABLE
    assert len(sim.wiped) == 1


def test_a_restore_gives_back_a_disk_whose_volume_went_by_hand() -> None:
    sim = released()
    name, owner = the_pv(sim).metadata.name, next(iter(sim.data)).owner
    sim.delete_pvs()
    sim.settle()
    assert sim.status.reason == "GoneByHand"
    sim.cluster.create_claim("db/data-0", volume_name=name)  # a Lost claim names it
    restore(sim)
    sim.settle()
    assert the_pv(sim).metadata.name == name
    assert sim.status.phase is Phase.BOUND
    assert read(sim) == {owner}


# --- adopt: Keep ---


def test_unknown_data_is_kept_for_one_claim_at_its_own_root_and_never_offered() -> None:
    sim = Sim()
    sim.disk.strays = {Item("stranger", "backup")}
    sim.settle()
    sim.admin(adopt=Adopt(question=sim.answer(), action="Keep", claim=FORMER))
    sim.settle()
    pv = the_pv(sim)
    assert pv.spec.local is not None
    assert pv.spec.local.path == "/data/disk0"
    assert (pv.spec.persistent_volume_reclaim_policy, pv.spec.claim_ref) == ("Retain", FORMER)
    assert sim.status.phase is Phase.RELEASED
    sim.later(1e6)
    assert sim.data == {Item("stranger", "backup")}


def test_a_tenancy_that_the_record_lost_is_kept_for_its_lost_claim_under_its_old_name() -> None:
    sim = released()
    name, owner = the_pv(sim).metadata.name, next(iter(sim.data)).owner
    sim.delete_pvs()
    sim.cluster.delete_volume()
    sim.settle()
    assert sim.status.reason == "HasData"
    sim.cluster.create_claim("db/data-0", volume_name=name)
    sim.admin(adopt=Adopt(question=sim.answer(), action="Keep", claim=FORMER))
    sim.settle()
    assert the_pv(sim).metadata.name == name
    assert sim.status.phase is Phase.BOUND
    assert not said(sim, "DirtyHandedOut")
    assert read(sim) == {owner}


def test_a_lost_claim_of_another_tenancy_does_not_get_this_disk() -> None:
    sim = released()
    sim.delete_pvs()
    sim.cluster.delete_volume()
    sim.settle()
    sim.cluster.create_claim("db/data-0", volume_name=f"{sim.controller.wanted.name}-aaaaaaaaaaaa")  # type: ignore[union-attr]
    sim.admin(adopt=Adopt(question=sim.answer(), action="Keep", claim=FORMER))
    sim.settle()
    assert not sim.pvs
    assert "that claim is bound to" in said(sim)


# --- another disk in its place ---


def swap(sim: Sim, disk: Disk) -> None:
    sim.machine.reboot()
    sim.machine.slot = disk
    sim.cluster.kube()


def spare(*items: Item) -> Disk:
    disk = Disk(Identity(virtual="8:99", size_bytes=1 << 30))
    disk.strays = set(items)
    return disk


def test_a_blank_disk_in_the_place_of_a_free_one_is_offered_once_a_person_accepts_it() -> None:
    sim = on_offer()
    swap(sim, spare())
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.PENDING, "WrongDisk")
    assert not sim.pvs
    sim.admin(accept_identity=Answer(question=sim.answer()))
    sim.settle()
    assert sim.status.phase is Phase.AVAILABLE
    assert sim.status.identity == sim.machine.slot.identity  # type: ignore[union-attr]
    assert sim.status.history[-2].what == "another disk accepted"
    assert not sim.wiped


def test_what_was_accepted_for_one_disk_is_not_accepted_for_the_next() -> None:
    sim = on_offer()
    swap(sim, spare())
    sim.settle()
    question = sim.answer()
    swap(sim, Disk(Identity(virtual="8:77", size_bytes=1 << 30)))
    sim.settle()
    sim.admin(accept_identity=Answer(question=question))
    sim.settle()
    assert sim.status.reason == "WrongDisk"
    assert sim.answer() != question


def test_an_accepted_disk_with_data_is_unknown_and_not_wiped() -> None:
    sim = released(after="0s", on_release="keep")
    swap(sim, spare(Item("stranger", "archive")))
    sim.settle()
    sim.admin(accept_identity=Answer(question=sim.answer()))
    sim.policy("Delete")
    sim.want(desired(pool(after="0s")))
    for _ in range(4):
        sim.later(4000)
    assert Item("stranger", "archive") in sim.data | sim.machine.slot.items()  # type: ignore[union-attr]
    assert not sim.wiped
    assert sim.status.phase is not Phase.AVAILABLE
    assert sim.status.question is not None


def test_a_free_disk_that_was_formatted_by_hand_is_taken_off_offer_until_a_person_accepts_it() -> None:
    sim = on_offer()
    sim.disk.reformat("another")
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.PENDING, "WrongDisk")
    assert "made-by-the-admin" in sim.status.message
    assert not sim.pvs
    sim.admin(accept_identity=Answer(question=sim.answer()))
    sim.settle()
    assert sim.status.identity == sim.disk.identity
    # The journal still has a tenancy there: what became of it, a person says.
    assert (sim.status.phase, sim.status.reason) == (Phase.PENDING, "HasData")
    sim.admin(adopt=Adopt(question=sim.answer(), action="Wipe"))
    sim.settle()
    assert sim.status.phase is Phase.AVAILABLE


def test_a_bound_disk_that_was_formatted_by_hand_is_said_and_not_wiped_when_it_is_released() -> None:
    sim = on_offer(after="0s")
    sim.bind(pod=False)
    sim.settle()
    sim.disk.reformat("another")
    sim.settle()
    assert sim.status.state == "Bound (disk trouble)"
    sim.release()
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.RELEASED, "WrongDisk")
    assert not sim.wiped
    assert sim.pvs


# --- forget, retire ---


def test_a_disk_that_is_gone_for_good_is_forgotten_and_said_to_be_not_wiped() -> None:
    sim = released()
    sim.machine.mounted = False
    sim.want(None)
    sim.settle()
    assert sim.status.reason == "DroppedReleased"
    sim.admin(forget=Answer(question=sim.answer()))
    sim.settle()
    assert sim.volume is None
    assert not sim.pvs
    assert not sim.wiped
    deleted = [action for action in sim.log if isinstance(action, actions.DeleteVolume)]
    assert "NOT WIPED" in deleted[0].why


def test_a_disk_that_is_there_and_listed_is_not_forgotten() -> None:
    sim = released()
    sim.admin(forget=Answer(question=sim.answer()))
    sim.settle()
    assert "an entry lists it" in said(sim)
    assert sim.volume is not None
    assert sim.pvs


def test_a_forgotten_disk_that_comes_back_has_data_that_nobody_knows() -> None:
    sim = released()
    sim.machine.mounted = False
    sim.settle()
    sim.admin(forget=Answer(question=sim.answer()))
    sim.settle()
    assert sim.status.reason == "NotMounted"
    sim.machine.mounted = True
    sim.settle()
    assert sim.status.reason == "HasData"
    assert not sim.wiped


def test_a_retired_disk_is_wiped_when_released_and_leaves() -> None:
    sim = released(after="0s", on_release="keep")
    sim.admin(retire=True, wipe_now=Answer(question=sim.answer()))
    sim.settle()
    assert len(sim.wiped) == 1
    assert (sim.status.phase, sim.status.reason) == (Phase.PENDING, "Retired")
    assert not sim.pvs
    assert not sim.disk.tenancies


def test_a_disk_that_is_forgotten_between_order_and_delete_is_not_wiped() -> None:
    sim = bound(after="0s")
    sim.release()
    sim.until(actions.WriteOrder)
    sim.want(None)
    sim.admin(forget=Answer(question=sim.answer()))
    sim.settle()
    assert sim.volume is None
    assert sim.data
    assert not sim.wiped


def test_a_disk_that_changes_under_an_answered_wipe_is_asked_about_and_so_is_what_is_on_it() -> None:
    """The question that the order stands on was about the disk before."""
    sim = released(after="1h")
    sim.delete_pvs()
    sim.settle()
    wipe = sim.answer()
    sim.admin(adopt=Adopt(question=wipe, action="Wipe"))
    while not sim.status.committed:
        sim.step()
    sim.disk.reformat("another")
    sim.disk.strays.add(Item("stranger", "archive"))
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.FAILED, "WipeFailed")
    assert "WrongDisk" in sim.status.message
    asked = sim.answer()
    assert asked != wipe
    sim.admin(accept_identity=Answer(question=asked))
    sim.later(4000)
    assert sim.status.identity == sim.disk.identity
    assert (sim.status.phase, sim.status.reason) == (Phase.RELEASED, "GoneByHand")
    assert sim.disk.strays
    sim.admin(adopt=Adopt(question=sim.answer(), action="Wipe"))
    sim.settle()
    assert sim.status.phase is Phase.AVAILABLE
    assert not sim.disk.strays
