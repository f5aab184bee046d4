"""What keeps a released disk's data, and for how long."""

from __future__ import annotations

import pytest

from disk_daemon.known import User
from tests.unit.life.machine import change
from tests.unit.life.simulate import desired, pool
from tests.unit.life.stages import bound, committed, on_offer, released, up_to
from tidb_volume.fleet import Breaker, Fleet
from tidb_volume.life import actions
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import Meta, Phase, Restore


@pytest.mark.notices("controller: wipes what the policy retains")
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
    sim = bound(after="0s")
    sim.release()
    sim.until(actions.WriteOrder)
    sim.policy("Retain")
    sim.settle()
    assert sim.status.reason == "PolicyRetain"
    assert sim.volume is not None
    assert sim.volume.spec.order is None
    assert not sim.wiped


@pytest.mark.parametrize(("edited", "waits"), [("1d", 86400), ("2h", 7200), ("0s", 3600), ("10m", 3600)])
def test_an_edit_of_the_wait_holds_for_a_countdown_that_runs_if_it_is_the_longer_one(
    edited: str, waits: float
) -> None:
    """Found by the model: the spec said two hours, and the deadline on record was that of before."""
    sim = released()
    begun = sim.now
    sim.now = Instant(sim.now + 3000)
    sim.want(desired(pool(after=edited)))
    sim.settle()
    assert sim.status.reason == "Countdown"
    assert sim.status.wipe_at == format_instant(Instant(begun + waits))
    assert sim.status.wipe_at in sim.status.message
    sim.now = Instant(begun + waits - 1)
    sim.settle()
    assert not sim.wiped
    sim.later(2)
    assert len(sim.wiped) == 1


def test_a_wait_that_is_over_begins_no_wipe_when_it_is_made_longer_before_the_wipe_is_ordered() -> None:
    sim = released()
    sim.pause(True)
    sim.later(4000)
    assert sim.status.reason == "Paused"
    sim.want(desired(pool(after="2h")))
    sim.settle()
    sim.pause(False)
    sim.settle()
    assert sim.status.reason == "Countdown"
    assert not sim.wiped
    sim.later(3201)
    assert len(sim.wiped) == 1


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


@pytest.mark.notices("controller: an open breaker is not looked at")
@pytest.mark.parametrize("readable", [True, False], ids=["open", "unreadable"])
def test_a_wipe_that_runs_when_the_breaker_opens_ends_and_is_not_offered_until_a_person_resets_it(
    readable: bool,
) -> None:
    sim = committed()
    next(up_to(sim, "erase").steps)
    fleet = sim.cluster.etcd.fleet
    assert fleet is not None
    if readable:
        sim.cluster.breaker(change(fleet.status.breaker, tripped=True, reason="11 wipes"))
    else:
        while sim.node_side.advance(sim.daemon):
            pass  # without the object it would halt
        sim.cluster.etcd.fleet = None
    sim.settle()
    assert len(sim.wiped) == 1
    assert not sim.data
    assert (sim.phase(), sim.status.reason) == (
        Phase.WIPING,
        "BreakerOpen" if readable else "FleetMissing",
    )
    if readable:
        sim.cluster.breaker(Breaker(epoch=2))
    else:
        sim.cluster.etcd.fleet = fleet
    sim.settle()
    assert sim.phase() is Phase.AVAILABLE


@pytest.mark.notices("controller and daemon: who has it mounted is not asked")
def test_a_disk_still_in_use_is_not_ordered_to_be_wiped() -> None:
    sim = bound(after="0s")
    sim.machine.others = (User(who="a process", root=f"/.tidb-volume/{sim.folder}"),)
    sim.release()
    sim.settle()
    assert sim.status.reason == "InUse"
    assert sim.pvs
    sim.machine.others = ()
    sim.settle()
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


def test_a_deleted_fleet_object_is_missing_and_not_empty() -> None:
    sim = released()
    sim.cluster.etcd.fleet = Fleet(metadata=Meta(name="fleet", deletion_timestamp="2026-01-01T00:00:00Z"))
    sim.now = Instant(sim.now + 3601)
    sim.settle()
    assert sim.status.reason == "FleetMissing"
