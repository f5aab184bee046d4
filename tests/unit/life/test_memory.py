"""What is remembered of a disk after a look at it, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.life.cluster import NAME
from tests.unit.life.remembers import ENDING, NEW, NEW_OFFER, REFUSED, UNBORN, remembered
from tests.unit.life.worlds import (
    BLANK,
    BOUND,
    CLAIM,
    COMMITTED,
    NEXT,
    OFFERED,
    OLD,
    OTHER,
    RELEASED,
    WIPED,
    but,
    change,
    order,
    pv,
    with_pv,
    work,
)
from tidb_volume import names
from tidb_volume.life import memory
from tidb_volume.life.look import look
from tidb_volume.life.world import World
from tidb_volume.value import Content, Owner, Presence, WorkState

OWNER = Owner(claim=CLAIM)


@pytest.mark.parametrize(
    ("world", "belied"),
    [
        (COMMITTED, False),
        (WIPED, False),
        (but(WIPED, disk={"empty": False}), True),
        (but(WIPED, disk={"empty": False}, admin={"cordon": True}), True),
        (but(WIPED, disk={"empty": False}, admin={"retire": True}), True),
        (but(WIPED, disk={"empty": False}, around={"foreign": "p"}), False),
        (but(WIPED, disk={"presence": Presence.NOT_MOUNTED}), False),
        (but(COMMITTED, disk={"empty": False}), False),
    ],
)
def test_what_is_done_is_belied_by_a_disk_that_is_there_and_shows_something_else(
    world: World, belied: bool
) -> None:
    assert memory.is_belied(look(world)) is belied


"""Another disk than HARDWARE."""


def kept(world: World, **fields: Any) -> None:
    """After a look at this world all is as it was, but for these fields."""
    before = world.volume.status
    assert remembered(world) == change(before, **fields)


OFFER = {"volume_name": names.pv_name(NAME, NEXT), "volume_uid": "pv-b"}
BEGUN = {
    "tenancy": NEXT,
    "dirty": False,
    "committed": "",
    "owner": None,
    **OFFER,
}


@pytest.mark.parametrize("world", [BLANK, OFFERED, BOUND, RELEASED, COMMITTED])
def test_where_all_agrees_nothing_is_new(world: World) -> None:
    gone = {"volume_name": "", "volume_uid": ""} if world is COMMITTED else {}
    kept(world, **gone)


@pytest.mark.parametrize(
    ("world", "anew"),
    [
        (NEW_OFFER, True),
        (WIPED, False),
        (COMMITTED, False),
        (but(COMMITTED, pvs=(pv(NEXT),)), False),
        (with_pv(NEW_OFFER, deletion_timestamp=ENDING), False),
        (but(NEW_OFFER, pvs=(pv(OTHER),)), False),
        (but(NEW_OFFER, spec={"order": order(offer=False)}), False),
        (with_pv(NEW_OFFER, phase="Bound", spec={"claim_ref": CLAIM}), True),
    ],
)
def test_an_offer_that_a_done_order_made_begins_its_tenancy(world: World, anew: bool) -> None:
    assert memory.offered_anew(look(world)) is anew


def test_a_new_offer_begins_with_nothing_remembered_of_the_last_one() -> None:
    full = {"reserved": CLAIM, "withdrawn": OLD, "unrecorded": OLD}
    kept(but(NEW_OFFER, status=full), **BEGUN, reserved=None, withdrawn="", unrecorded="")


def test_an_offer_that_was_bound_before_it_was_recorded_is_dirty() -> None:
    world = with_pv(NEW_OFFER, phase="Bound", spec={"claim_ref": CLAIM})
    kept(world, **{**BEGUN, "dirty": True})


def test_an_offer_that_ends_before_it_was_recorded_leaves_the_last_tenancy_on_record() -> None:
    world = with_pv(NEW_OFFER, deletion_timestamp=ENDING)
    kept(world, **OFFER)


# --- the tenancy, and who has it ---


@pytest.mark.parametrize(
    ("world", "tenancy", "owner", "dirty"),
    [
        (BOUND, OLD, OWNER, True),
        (but(BOUND, status={"tenancy": OTHER}), OLD, None, True),
        (but(BOUND, status={"tenancy": ""}), OLD, OWNER, True),
        (but(RELEASED, status={"tenancy": OTHER}), OLD, None, True),
        (but(OFFERED, status={"tenancy": "", "owner": OWNER}), OLD, OWNER, False),
        (but(OFFERED, status={"tenancy": OTHER}), OTHER, None, False),
        (with_pv(but(OFFERED, status={"tenancy": OTHER}), deletion_timestamp=ENDING), OTHER, None, False),
        (with_pv(but(BOUND, status={"tenancy": OTHER}), name="imported"), OTHER, OWNER, True),
        (but(OFFERED, status={"dirty": True}), OLD, None, True),
        (but(BOUND, status={"dirty": False}), OLD, OWNER, True),
        (but(RELEASED, status={"dirty": False}), OLD, OWNER, True),
        (
            but(with_pv(OFFERED, spec={"claim_ref": UNBORN}), status={"tenancy": OTHER, "reserved": UNBORN}),
            OLD,
            None,
            True,
        ),
    ],
)
def test_the_tenancy_is_that_of_the_volume_that_somebody_has_or_had(
    world: World, tenancy: str, owner: Owner | None, dirty: bool
) -> None:
    after = remembered(world)
    assert (after.tenancy, after.owner, after.dirty) == (tenancy, owner, dirty)
    assert after.volume_name == world.pvs[0].metadata.name
    assert after.volume_uid == "pv-a"


FOUND = but(OFFERED, disk={"empty": False})


@pytest.mark.parametrize(
    ("world", "used"),
    [
        (OFFERED, False),
        (FOUND, True),
        (but(OFFERED, disk={"claims": ("c",)}), True),
        (but(FOUND, disk={"in_use": "pod x"}), True),
        (but(FOUND, disk={"made": "Block"}), True),
        (but(FOUND, disk={"made": "Block", "in_use": "smartd"}), False),
        (but(FOUND, disk={"made": "Block", "in_use": "smartd", "claims": ("c",)}), True),
        (but(FOUND, disk={"tenancy": OTHER}), False),
        (but(FOUND, disk={"content": Content.DATA}), False),
        (but(FOUND, disk={"presence": Presence.STUCK}), False),
        (but(FOUND, status={"disk": None}), False),
        (with_pv(FOUND, deletion_timestamp=ENDING), False),
        (but(FOUND, pvs=()), False),
        (with_pv(FOUND, phase="Bound", spec={"claim_ref": CLAIM}), False),
    ],
)
def test_data_in_the_tenancy_that_is_on_offer_is_somebodys(world: World, used: bool) -> None:
    assert memory.used_on_offer(look(world)) is used
    if world.pvs and not look(world).claimed:
        assert remembered(world).dirty is used


# --- committed ---

RUNNING = work(WorkState.RUNNING)
ORDERED = but(
    RELEASED, spec={"order": order()}, mine={"orders": frozenset({"order-1"}), "deleted": frozenset({"pv-a"})}
)
"""Our order stands, and its delete was answered to us, though it is seen still."""
DELETED = but(ORDERED, pvs=())
TAKEN_BACK = but(
    COMMITTED,
    spec={"order": order(withdrawn=True)},
    status={"work": work(WorkState.REFUSED, "Withdrawn")},
    pvs=(pv(OLD, "Released", CLAIM, uid="pv-n"),),
)
"""The daemon gave it back, and its PersistentVolume is made again."""
AGAIN = but(COMMITTED, pvs=(pv(OLD, "Released", CLAIM, uid="pv-n"),))
"""A hand has made the PersistentVolume again."""


@pytest.mark.parametrize(
    ("world", "committed"),
    [
        (RELEASED, ""),
        (ORDERED, ""),
        (DELETED, "order-1"),
        (with_pv(ORDERED, deletion_timestamp=ENDING), "order-1"),
        (but(DELETED, mine={"orders": frozenset()}), ""),
        (but(DELETED, mine={"deleted": frozenset()}), ""),
        (but(DELETED, spec={"order": order(pv_uid="pv-z")}), ""),
        (but(DELETED, spec={"order": order(kind="prepare")}), ""),
        (but(DELETED, spec={"order": None}), ""),
        (but(DELETED, spec={"order": order(withdrawn=True)}), ""),
        # On a person's answer, where no PersistentVolume is there whose delete commits it.
        (but(DELETED, spec={"order": order(kind="prepare", answer="q-1", pv_uid="")}), "order-1"),
        (but(ORDERED, spec={"order": order(kind="prepare", answer="q-1", pv_uid="")}), ""),
        (but(DELETED, spec={"order": order(kind="prepare", answer="q-1", pv_uid="", identity=NEW)}), ""),
        (but(DELETED, spec={"order": order(kind="prepare", answer="q-1")}), ""),
        (but(DELETED, spec={"order": order(kind="prepare", pv_uid="")}), ""),
        (
            but(
                DELETED,
                spec={"order": order(kind="prepare", answer="q-1", pv_uid="")},
                mine={"orders": frozenset()},
            ),
            "",
        ),
        # Once it is committed.
        (COMMITTED, "order-1"),
        (but(COMMITTED, spec={"order": None}), "order-1"),
        (but(COMMITTED, spec={"order": order(withdrawn=True)}), "order-1"),
        (but(COMMITTED, status={"committed": "order-0"}), "order-1"),
        (but(COMMITTED, status={"committed": "order-0"}, mine={"orders": frozenset()}), "order-0"),
        (but(COMMITTED, status={"committed": "order-0"}, spec={"order": order(ends=OTHER)}), "order-0"),
        (
            but(COMMITTED, status={"committed": "order-0"}, spec={"order": order(ends=OTHER, answer="q")}),
            "order-1",
        ),
        (but(COMMITTED, status={"committed": "order-0"}, spec={"order": order(withdrawn=True)}), "order-0"),
        (but(COMMITTED, status={"work": REFUSED}), ""),
        (but(COMMITTED, status={"work": change(REFUSED, reason="InUse")}), "order-1"),
        (but(COMMITTED, status={"work": RUNNING}), "order-1"),
        # Its PersistentVolume is there again.
        (AGAIN, ""),
        (but(AGAIN, status={"work": RUNNING}), ""),
        (but(AGAIN, status={"work": change(RUNNING, begun=True)}), "order-1"),
        (but(AGAIN, status={"work": work()}), "order-1"),
        (with_pv(AGAIN, deletion_timestamp=ENDING), "order-1"),
        (with_pv(AGAIN, uid="pv-a"), "order-1"),
        (but(with_pv(AGAIN, uid="pv-a"), mine={"deleted": frozenset()}), "order-1"),
        (but(AGAIN, mine={"deleted": frozenset({"pv-a", "pv-n"})}), "order-1"),
        (but(COMMITTED, pvs=(pv(OTHER, "Available"),)), "order-1"),
        # Given back by the daemon.
        (TAKEN_BACK, ""),
        (with_pv(TAKEN_BACK, uid="pv-a"), ""),
        (but(TAKEN_BACK, pvs=()), "order-1"),
        (but(TAKEN_BACK, pvs=(pv(OTHER),)), "order-1"),
        (with_pv(but(TAKEN_BACK, spec={"order": order()}), uid="pv-a"), "order-1"),
        (with_pv(but(TAKEN_BACK, status={"work": RUNNING}), uid="pv-a"), "order-1"),
        (
            with_pv(but(TAKEN_BACK, status={"work": change(REFUSED, reason="Paused")}), uid="pv-a"),
            "order-1",
        ),
        # Done under an order that offers nothing.
        (but(WIPED, spec={"order": order(offer=False)}), ""),
    ],
)
def test_a_wipe_is_committed_by_the_delete_that_was_answered_and_by_nothing_else(
    world: World, committed: str
) -> None:
    assert remembered(world).committed == committed


@pytest.mark.parametrize(
    ("told", "withdrawn", "given"),
    [
        (None, True, False),
        (work(WorkState.REFUSED, "Withdrawn"), True, True),
        (work(WorkState.REFUSED, "Withdrawn"), False, False),
        (work(WorkState.REFUSED, "Withdrawn", begun=True), True, False),
        (work(WorkState.REFUSED, "Paused"), True, False),
        (work(WorkState.RUNNING, "Withdrawn"), True, False),
        (work(), True, False),
    ],
)
def test_only_the_daemons_own_word_gives_a_committed_disk_back(
    told: Any, withdrawn: bool, given: bool
) -> None:
    world = but(COMMITTED, spec={"order": order(withdrawn=withdrawn)}, status={"work": told})
    assert memory.given_back(look(world)) is given


@pytest.mark.parametrize(
    ("told", "begun"),
    [
        (None, False),
        (RUNNING, False),
        (change(RUNNING, begun=True), True),
        (work(), True),
        (change(REFUSED, begun=True), True),
        (REFUSED, False),
    ],
)
def test_what_is_done_has_begun(told: Any, begun: bool) -> None:
    assert memory.begun(look(but(COMMITTED, status={"work": told}))) is begun


THEN = {"committed_over": "then"}


@pytest.mark.parametrize(
    ("world", "answer"),
    [
        (COMMITTED, ""),
        (but(COMMITTED, spec={"order": order(answer="q-0")}), "q-0"),
        # What stood there before is another order's, or the order was deleted by hand.
        (but(COMMITTED, status={"committed_on": "q-0"}), ""),
        (but(COMMITTED, spec={"order": None}, status={"committed_on": "q-0"}), "q-0"),
        (but(COMMITTED, spec={"order": None}), ""),
        (
            but(
                COMMITTED, spec={"order": order(id="order-8", withdrawn=True)}, status={"committed_on": "q-0"}
            ),
            "q-0",
        ),
        (but(NEW_OFFER, spec={"order": order(answer="q-0")}, status={"committed_on": "q-0"}), ""),
        (but(RELEASED, status={"committed_on": "q-0"}), ""),
    ],
)
def test_what_a_commit_stands_on_is_known_also_without_its_order(world: World, answer: str) -> None:
    assert remembered(world).committed_on == answer


@pytest.mark.parametrize(
    ("world", "over"),
    [
        (COMMITTED, ""),
        (but(COMMITTED, spec={"order": order(over="now")}, status=THEN), "now"),
        (but(COMMITTED, status=THEN), ""),
        (but(COMMITTED, spec={"order": None}, status=THEN), "then"),
        (
            but(COMMITTED, spec={"order": order(id="order-8", withdrawn=True, over="now")}, status=THEN),
            "then",
        ),
        (but(NEW_OFFER, spec={"order": order(over="now")}, status=THEN), ""),
        (but(RELEASED, status=THEN), ""),
    ],
)
def test_what_a_commit_is_about_is_known_also_without_its_order(world: World, over: str) -> None:
    assert remembered(world).committed_over == over


# --- cleaned, and not to be offered ---

NOTHING_LEFT = {
    "tenancy": "",
    "dirty": False,
    "committed": "",
    "owner": None,
    "withdrawn": "",
    "volume_name": "",
    "volume_uid": "",
}
SHAPED = but(WIPED, disk={"made": "Block"})
"""What was made is not what the entry wants by now."""


@pytest.mark.parametrize(
    ("world", "left"),
    [
        (but(WIPED, spec={"order": order(offer=False)}), False),
        (SHAPED, False),
        (WIPED, True),
        (but(SHAPED, mine={"orders": frozenset()}), True),
        (but(WIPED, spec={"order": order(offer=False)}, status={"work": RUNNING}), True),
    ],
)
def test_of_a_disk_cleaned_and_not_to_be_offered_nothing_of_the_old_tenancy_is_left(
    world: World, left: bool
) -> None:
    full = but(world, status={"withdrawn": OTHER})
    gone = {"volume_name": "", "volume_uid": ""}
    kept(full, **(gone if left else NOTHING_LEFT))


def test_what_was_never_committed_is_as_it_was_though_the_order_offers_nothing() -> None:
    kept(
        but(WIPED, spec={"order": order(offer=False, kind="prepare")}, status={"committed": ""}),
    )


KEPT = {
    "tenancy": NEXT,
    "withdrawn": NEXT,
    "dirty": False,
    "committed": "",
    "owner": None,
    "volume_name": "",
    "volume_uid": "",
}
CORDONED, RETIRED = but(WIPED, admin={"cordon": True}), but(WIPED, admin={"retire": True})
UNUSED = but(
    RETIRED,
    spec={"order": order(kind="prepare", ends="", pv_uid="")},
    status={
        "committed": "",
        "dirty": False,
        "tenancy": "",
        "owner": None,
        "volume_uid": "",
        "volume_name": "",
    },
)
"""Made ready for its first use, and retired meanwhile."""


@pytest.mark.parametrize(
    ("world", "back"),
    [
        (CORDONED, True),
        (RETIRED, True),
        (WIPED, False),
        (but(WIPED, around={"foreign": "p"}), False),
        (but(CORDONED, mine={"orders": frozenset()}), False),
        (but(CORDONED, disk={"empty": False}), False),
        (but(CORDONED, status={"work": RUNNING}), False),
        (but(CORDONED, pvs=(pv(OTHER),)), False),
        (UNUSED, True),
        (but(UNUSED, spec={"order": order(kind="prepare", ends="", pv_uid="", offer=False)}), False),
        (but(UNUSED, admin={"retire": False, "cordon": True}), False),
        (but(UNUSED, status={"dirty": True}), False),
        (but(UNUSED, status={"volume_uid": "pv-z"}), False),
    ],
)
def test_what_was_made_ready_and_is_not_to_be_offered_is_as_if_taken_back(world: World, back: bool) -> None:
    after = remembered(world)
    assert after.withdrawn == (NEXT if back else "")
    if back:
        assert after == change(world.volume.status, **KEPT)
