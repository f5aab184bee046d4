"""Edits of the inventory, and disks that vanish, under disks in each state."""

from __future__ import annotations

import pytest

from tests.unit.life.simulate import desired, pool
from tests.unit.life.stages import bound, on_offer, released
from tidb_volume.units import Instant
from tidb_volume.value import Phase, Presence


def test_an_entry_removed_withdraws_a_free_disk_and_wipes_nothing() -> None:
    sim = on_offer()
    sim.want(None)
    sim.settle()
    assert sim.volume is None
    assert not sim.pvs
    assert not sim.wiped


@pytest.mark.notices("controller: wipes what no entry lists")
def test_an_entry_removed_under_a_bound_disk_is_dropped_and_never_wiped() -> None:
    sim = bound(after="0s")
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
