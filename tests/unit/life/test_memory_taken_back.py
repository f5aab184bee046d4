"""What is remembered of an offer, a record or a reservation that ends before anybody used it."""

from __future__ import annotations

import pytest

from tests.unit.life.remembers import ENDING, NEW_OFFER, UNBORN, remembered
from tests.unit.life.worlds import (
    BOUND,
    CLAIM,
    COMMITTED,
    NEXT,
    OFFERED,
    OLD,
    OTHER,
    RELEASED,
    but,
    change,
    order,
    pv,
)
from tidb_volume.life.world import World
from tidb_volume.value import Restore

# --- taken back ---

TAKEN = but(OFFERED, pvs=(), mine={"deleted": frozenset({"pv-a"})})
"""Our delete of an unclaimed offer was answered."""


@pytest.mark.parametrize(
    ("world", "withdrawn"),
    [
        (OFFERED, ""),
        (TAKEN, OLD),
        (but(TAKEN, mine={"deleted": frozenset({"pv-z"})}), ""),
        (but(TAKEN, status={"dirty": True}), ""),
        (but(TAKEN, pvs=(change(pv(), metadata=change(pv().metadata, deletion_timestamp=ENDING)),)), OLD),
        (but(TAKEN, spec={"order": order()}), ""),
        (but(TAKEN, spec={"order": order(pv_uid="pv-z")}), OLD),
        (but(TAKEN, status={"withdrawn": OTHER}, pvs=(pv(),)), OTHER),
        # It is there after all: a call whose answer was lost.
        (but(TAKEN, status={"withdrawn": OLD}, pvs=(pv(),)), ""),
        (but(OFFERED, status={"withdrawn": OLD}), ""),
        (but(OFFERED, status={"withdrawn": OLD}, pvs=()), OLD),
        (
            but(
                OFFERED,
                status={"withdrawn": OLD},
                pvs=(change(pv(), metadata=change(pv().metadata, deletion_timestamp=ENDING)),),
            ),
            OLD,
        ),
    ],
)
def test_an_unclaimed_offer_is_withdrawn_once_our_delete_was_answered(world: World, withdrawn: str) -> None:
    assert remembered(world).withdrawn == withdrawn


@pytest.mark.parametrize(
    ("world", "forgotten"),
    [
        (COMMITTED, True),
        (TAKEN, True),
        (but(RELEASED, pvs=()), False),
        (but(OFFERED, pvs=()), False),
    ],
)
def test_a_volume_that_is_gone_is_named_until_it_is_known_why(world: World, forgotten: bool) -> None:
    after = remembered(world)
    before = world.volume.status
    told = ("", "") if forgotten else (before.volume_name, before.volume_uid)
    assert (after.volume_name, after.volume_uid) == told


# --- a record that is made anew ---


@pytest.mark.parametrize(
    ("world", "unrecorded"),
    [
        (but(RELEASED, status={"tenancy": ""}), OLD),
        (but(BOUND, status={"tenancy": ""}), ""),
        (RELEASED, ""),
        (but(RELEASED, status={"unrecorded": OLD}), OLD),
        (but(RELEASED, status={"unrecorded": OTHER}), ""),
        (but(NEW_OFFER, status={"tenancy": ""}, pvs=(pv(NEXT, "Released", CLAIM),)), NEXT),
        # One of another tenancy was made again by hand; or our own new one was bound and released at once.
        (but(RELEASED, status={"unrecorded": OLD}, pvs=(pv(OTHER, "Released", CLAIM),)), OTHER),
        (but(BOUND, pvs=(pv(OTHER, "Bound", CLAIM),)), ""),
        (but(NEW_OFFER, pvs=(pv(NEXT, "Released", CLAIM),)), ""),
    ],
)
def test_a_record_that_first_meets_a_tenancy_released_knows_nothing_of_its_holds(
    world: World, unrecorded: str
) -> None:
    assert remembered(world).unrecorded == unrecorded


# --- for whom it is reserved ---


def test_a_reservation_stays_until_something_else_begins() -> None:
    restored = but(RELEASED, admin={"restore": Restore(question="q-1")})
    assert remembered(restored).reserved == UNBORN
    assert remembered(but(restored, admin={"restore": None}, status={"reserved": UNBORN})).reserved == UNBORN
    assert remembered(RELEASED).reserved is None
