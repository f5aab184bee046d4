"""A disk's life through the real planner, over a disk, a daemon and an API kept in memory."""

from __future__ import annotations

import pytest

from tests.unit.life.simulate import NAME, Sim
from tests.unit.life.stages import bound, on_offer, released
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import Phase, Work, WorkState


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
    sim = bound()
    assert sim.status.phase is Phase.BOUND
    assert sim.status.owner is not None
    assert str(sim.status.owner.claim) == "db/data-0"
    assert str(sim.status.owner.pod) == "db/pod-data-0"
    sim.cluster.etcd.pods.clear()
    sim.settle()
    assert sim.status.owner.pod is None
    assert sim.status.dirty


@pytest.mark.notices("controller: the countdown is not waited for")
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


@pytest.mark.notices("daemon: neither parent nor guard waits for the commit")
def test_the_steps_of_a_wipe_come_in_the_contracts_order() -> None:
    sim = bound(after="0s")
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
    sim = bound(after="0s")
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


def test_a_blank_disk_costs_six_writes_until_it_is_on_offer() -> None:
    """The TidbVolume, a report, the order, its answer, the PersistentVolume, the status."""
    sim = Sim()
    sim.obey()
    sim.settle()
    assert 1 + len(sim.log) + sim.node_side.written == 6


def test_a_disk_costs_at_most_ten_writes_from_its_release_to_its_new_offer() -> None:
    sim = bound(after="0s")
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
