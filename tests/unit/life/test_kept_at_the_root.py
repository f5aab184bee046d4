"""What others had put at the root of a mount, and a person gave to a claim: it is that claim's alone, and
what lies there is wiped on a person's word that is about it, never by a policy."""

from __future__ import annotations

import pytest

from tests.unit.life.cluster import desired, pool
from tests.unit.life.machine import Daemon, Item
from tests.unit.life.simulate import Sim, change
from tests.unit.life.stages import up_to
from tidb_volume.life import actions
from tidb_volume.upstream import Pv
from tidb_volume.value import Adopt, Answer, Phase, Ref, Restore

CLAIM = "db/data-0"
FORMER = Ref(namespace="db", name="data-0")
THEIRS = Item("stranger", "backup")


def unknown() -> Sim:
    """Somebody's data lies at the root, and a person is asked."""
    sim = Sim(desired(pool(after="0s")))
    sim.disk.strays = {THEIRS}
    sim.settle()
    assert sim.status.reason == "HasData"
    return sim


def keep(sim: Sim) -> None:
    sim.admin(adopt=Adopt(question=sim.answer(), action="Keep", claim=FORMER))


def bound() -> Sim:
    """A claim has it, its pod writes there, and the daemon has seen it."""
    sim = unknown()
    keep(sim)
    sim.settle()
    use(sim)
    return sim


def use(sim: Sim) -> None:
    """The claim comes, and its pod writes."""
    claim = sim.bind(CLAIM)
    sim.settle()
    assert [each.tenancy for each in sim.machine.running.values()] == [tenancy(sim)]
    sim.disk.write(tenancy(sim), Item(claim.metadata.uid, "db"))
    sim.look()
    sim.settle()
    assert sim.phase() is Phase.BOUND


def released() -> Sim:
    sim = bound()
    sim.release(CLAIM)
    sim.settle()
    return sim


def the_pv(sim: Sim) -> Pv:
    (pv,) = sim.pvs
    return pv


def tenancy(sim: Sim) -> str:
    return the_pv(sim).metadata.name.rpartition("-")[2]


def path(sim: Sim) -> str:
    local = the_pv(sim).spec.local
    assert local is not None
    return local.path


def types(sim: Sim) -> set[str]:
    return {each.type for each in sim.status.conditions}


def wipe_now(sim: Sim) -> None:
    sim.admin(wipe_now=Answer(question=sim.answer()))


def nothing_happens(sim: Sim) -> None:
    """Whatever time passes: nothing of it is offered, and nothing is gone."""
    before = set(sim.data)
    sim.later(1e5)
    sim.later(1e5)
    assert sim.data == before
    assert not sim.wiped
    assert sim.phase() is not Phase.AVAILABLE


# --- bound ---


def test_a_pod_on_it_is_nothing_to_worry_about() -> None:
    sim = bound()
    assert sim.status.state == "Bound"
    assert types(sim) == set()


def test_a_tenant_who_has_deleted_all_of_it_is_nothing_to_worry_about_either() -> None:
    sim = bound()
    sim.disk.strays.clear()
    sim.look()
    sim.settle()
    assert sim.status.state == "Bound"
    nothing_happens(sim)


# --- released ---


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_no_policy_wipes_it_and_what_is_shown_is_the_way_out(policy: str) -> None:
    sim = released()
    sim.policy(policy)
    sim.settle()
    assert (sim.phase(), sim.status.reason) == (Phase.RELEASED, "AtTheRoot")
    assert "wipe-now" in sim.status.message
    assert "WaitingForPerson" in types(sim)
    assert not sim.status.wipe_at
    nothing_happens(sim)
    assert len(sim.pvs) == 1


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
@pytest.mark.parametrize("empty", [False, True])
def test_it_is_wiped_on_one_answer_and_offered_again(policy: str, *, empty: bool) -> None:
    sim = bound()
    if empty:
        sim.disk.strays.clear()
    sim.release(CLAIM)
    sim.policy(policy)
    sim.settle()
    asked = sim.answer()
    assert sim.status.question is not None
    assert empty or "entries of others (2)" in sim.status.question.about
    wipe_now(sim)
    sim.settle()
    assert (sim.phase(), sim.data) == (Phase.AVAILABLE, set())
    orders = [each.order for each in sim.log if isinstance(each, actions.WriteOrder) and each.order]
    assert {(each.kind, each.whole_disk) for each in orders if each.answer == asked} == {("reclaim", True)}
    assert path(sim) != "/data/disk0"


def test_adopt_with_wipe_is_told_to_say_wipe_now() -> None:
    sim = released()
    sim.policy("Delete")
    sim.admin(adopt=Adopt(question=sim.answer(), action="Wipe"))
    sim.settle()
    assert "say wipe-now" in next(e.message for e in sim.status.conditions if e.type == "AnswerNotTaken")
    nothing_happens(sim)


def test_what_comes_to_lie_there_makes_it_another_question() -> None:
    sim = released()
    asked = sim.answer()
    sim.pause(True)
    wipe_now(sim)
    sim.settle()
    sim.disk.strays.add(Item("another", "archive"))
    sim.look()
    sim.settle()
    sim.pause(False)
    sim.settle()
    assert sim.answer() != asked
    assert (sim.phase(), sim.status.reason) == (Phase.RELEASED, "AtTheRoot")
    nothing_happens(sim)
    assert len(sim.pvs) == 1


@pytest.mark.parametrize("when", ["after the order", "after the commit"])
def test_what_comes_in_the_last_moment_is_not_wiped_and_the_person_is_asked_anew(when: str) -> None:
    sim = released()
    sim.daemon_up = False
    wipe_now(sim)
    sim.until(actions.WriteOrder)
    if when == "after the commit":
        sim.settle()
        assert sim.status.committed
    sim.disk.strays.add(Item("another", "archive"))
    sim.daemon_up = True
    sim.settle()
    assert len(sim.data) == 3
    assert sim.phase() is Phase.RELEASED
    nothing_happens(sim)
    if sim.pvs:
        wipe_now(sim)
    else:
        sim.admin(adopt=Adopt(question=sim.answer(), action="Wipe"))
    sim.later(60)
    assert (sim.phase(), sim.data) == (Phase.AVAILABLE, set())


def test_an_answer_waits_for_a_disk_that_is_away_for_a_moment() -> None:
    sim = released()
    asked = sim.answer()
    sim.machine.mounted = False
    sim.look()
    wipe_now(sim)
    sim.settle()
    assert sim.answer() == asked
    sim.machine.mounted = True
    sim.look()
    sim.settle()
    assert (sim.phase(), sim.data) == (Phase.AVAILABLE, set())


def test_a_wipe_that_was_cut_goes_on_and_takes_nothing_that_has_come_since() -> None:
    sim = released()
    sim.daemon_up = False
    wipe_now(sim)
    sim.settle()
    child = up_to(sim, "erase")
    child.steps.close()
    sim.daemon.child = None
    late = Item("another", "archive")
    sim.disk.strays.add(late)
    sim.daemon_up = True
    sim.settle()
    assert late in sim.data
    sim.later(1e5)
    assert late in sim.data


def test_an_order_that_a_hand_takes_away_after_the_commit_is_followed_by_one_for_the_same() -> None:
    sim = released()
    sim.daemon_up = False
    wipe_now(sim)
    sim.settle()
    sim.cluster.change_volume(spec=change(sim.spec, order=None))
    sim.daemon_up = True
    sim.settle()
    assert (sim.phase(), sim.data) == (Phase.AVAILABLE, set())


# --- given back ---


def test_it_is_given_back_after_the_commit_under_its_own_name() -> None:
    sim = released()
    name = the_pv(sim).metadata.name
    sim.daemon_up = False
    wipe_now(sim)
    sim.settle()
    child = up_to(sim, "rename")
    next(child.steps)
    child.steps.close()
    sim.daemon.child = None
    assert sim.disk.trash
    sim.admin(wipe_now=None, restore=Restore(question=sim.answer()))
    sim.daemon_up = True
    sim.settle()
    assert the_pv(sim).metadata.name == name
    assert path(sim) == "/data/disk0"
    assert not sim.disk.trash
    use(sim)
    assert sim.status.state == "Bound"


def test_its_lost_claim_gets_it_back_under_its_own_name() -> None:
    sim = bound()
    name = the_pv(sim).metadata.name
    sim.delete_pvs()
    sim.settle()
    assert sim.status.reason == "GoneByHand"
    sim.admin(restore=Restore(question=sim.answer()))
    sim.settle()
    assert the_pv(sim).metadata.name == name
    assert sim.phase() is Phase.BOUND


# --- an etcd that is set back ---


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("answered", [False, True])
def test_an_etcd_set_back_to_before_it_was_kept_offers_and_wipes_nothing(
    *, empty: bool, answered: bool
) -> None:
    """answered: the answer that is in it is to wipe what was there before anybody had it."""
    sim = unknown()
    saved_volume = sim.volume
    if answered:
        sim.daemon_up = False
        sim.admin(adopt=Adopt(question=sim.answer(), action="Wipe"))
        saved_volume = sim.volume
        sim.daemon_up = True
    saved = sim.cluster.etcd.copy()
    saved.volume = saved_volume
    keep(sim)
    sim.settle()
    kept = tenancy(sim)
    sim.bind(CLAIM)
    sim.settle()
    if empty:
        sim.disk.strays.clear()
    sim.look()
    sim.cluster.etcd, sim.machine.running, sim.daemon = saved, {}, Daemon()
    sim.new_leader()
    sim.settle()
    assert not sim.pvs
    assert (sim.phase(), sim.status.reason) == (Phase.PENDING, "HasData")
    assert kept in sim.status.message
    nothing_happens(sim)
    assert not sim.pvs
    keep(sim)
    sim.settle()
    if not empty:
        assert the_pv(sim).metadata.name.endswith(kept)


def test_an_etcd_set_back_to_when_the_disk_was_blank_offers_nothing_of_it() -> None:
    """Its claim has emptied it meanwhile, and its pod runs on."""
    sim = Sim()
    sim.look()
    saved = sim.cluster.etcd.copy()
    sim.disk.strays = {THEIRS}
    sim.look()
    sim.settle()
    keep(sim)
    sim.settle()
    use(sim)
    sim.disk.strays.clear()
    sim.cluster.etcd, sim.daemon = saved, Daemon()
    sim.daemon_up = False
    sim.new_leader()
    sim.settle()
    sim.daemon_up = True
    sim.settle()
    assert not sim.pvs
    assert not sim.disk.tenancies
    nothing_happens(sim)
