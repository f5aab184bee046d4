"""What is remembered of a disk after a look at it, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.life.cluster import NAME
from tests.unit.life.worlds import (
    BLANK,
    BOUND,
    CLAIM,
    COMMITTED,
    HARDWARE,
    NEXT,
    NOW,
    OFFERED,
    OLD,
    OTHER,
    RELEASED,
    WIPED,
    but,
    change,
    order,
    pv,
    question,
    with_pv,
    work,
)
from tidb_volume import names
from tidb_volume.life import memory
from tidb_volume.life.look import look
from tidb_volume.life.world import World
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import (
    Answer,
    Content,
    Identity,
    Owner,
    Presence,
    Restore,
    Retry,
    Source,
    VolumeStatus,
    WipePolicy,
    WorkState,
)

ENDING = "2027-01-01T00:00:00Z"
UNBORN = change(CLAIM, uid="")
OWNER = Owner(claim=CLAIM)


def remembered(world: World) -> VolumeStatus:
    return memory.remember(world, look(world), NOW)


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


NEW = Identity(serial="S2", size_bytes=200, fs_uuid="u2")
"""Another disk than HARDWARE."""


def kept(world: World, **fields: Any) -> None:
    """After a look at this world all is as it was, but for these fields."""
    before = world.volume.status
    assert remembered(world) == change(before, **fields)


NEW_OFFER = but(WIPED, pvs=(pv(NEXT),))
"""The wipe is done, and its new offer is made, but not on record yet."""
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

REFUSED = work(WorkState.REFUSED, "HasData")
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


# --- which disk it is ---

UUID = change(HARDWARE, fs_uuid="u1")
ACCEPTED = but(
    BLANK,
    admin={"accept_identity": Answer(question="q-1")},
    status={
        "question": question(
            "identity", " in its place: serial=S2 size_bytes=200 fs_uuid=u2, shown by other machines too"
        ),
        "tenancy": OLD,
        "withdrawn": OLD,
        "volume_uid": "pv-a",
        "volume_name": "v",
    },
    disk={"identity": NEW, "presence": Presence.WRONG_DISK},
)
"""Another disk in its place, and a person says that it is the right one."""
DEVICE = but(OFFERED, spec={"source": Source(device="/dev/x")}, disk={"identity": UUID})


@pytest.mark.parametrize(
    ("world", "identity"),
    [
        (but(BLANK, status={"identity": None}), HARDWARE),
        (but(BLANK, status={"identity": None}, around={"twin": "t"}), None),
        (but(BLANK, status={"identity": None}, disk={"presence": Presence.CONFLICT}), None),
        (but(BLANK, status={"identity": None, "disk": None}), None),
        (but(BLANK, status={"identity": None}, disk={"identity": None}), None),
        (but(BLANK, disk={"identity": NEW}), HARDWARE),
        (but(BLANK, disk={"identity": None}), HARDWARE),
        (ACCEPTED, NEW),
        (but(ACCEPTED, admin={"accept_identity": None}), HARDWARE),
        # The file system that we made is recorded, for the day on which the journal is lost.
        (DEVICE, UUID),
        (but(DEVICE, disk={"identity": NEW}), change(HARDWARE, fs_uuid="u2")),
        (but(DEVICE, status={"identity": UUID}, disk={"identity": HARDWARE}), UUID),
        (but(DEVICE, spec={"source": Source(path="/data/disk0")}), HARDWARE),
        (but(DEVICE, disk={"presence": Presence.WRONG_DISK}), HARDWARE),
        (but(DEVICE, disk={"content": Content.DATA}), HARDWARE),
        (but(DEVICE, disk={"content": Content.BLANK, "tenancy": "", "journal": ""}), UUID),
        (but(DEVICE, disk={"journal": OTHER}), HARDWARE),
        (but(DEVICE, disk={"identity": None}), HARDWARE),
        (but(DEVICE, disk={"journal_broken": True}), HARDWARE),
        (but(DEVICE, status={"identity": None}, around={"twin": "t"}), None),
    ],
)
def test_which_disk_is_on_record(world: World, identity: Identity | None) -> None:
    assert remembered(world).identity == identity


@pytest.mark.parametrize(
    ("world", "anew"),
    [
        (ACCEPTED, True),
        (but(ACCEPTED, status={"dirty": True}), False),
        (but(ACCEPTED, status={"committed": "order-0"}), False),
        (but(ACCEPTED, pvs=(pv(),)), False),
        (but(ACCEPTED, status={"identity": None, "volume_uid": ""}), False),
        (but(ACCEPTED, admin={"accept_identity": None}, status={"volume_uid": ""}), False),
    ],
)
def test_another_disk_that_was_accepted_begins_anew_where_nobodys_data_was_on_the_one_before(
    world: World, anew: bool
) -> None:
    after = remembered(but(world, mine={"deleted": frozenset({"pv-a"})} if anew else {}))
    assert (after.tenancy == "") is anew
    if anew:
        assert (after.withdrawn, after.volume_uid, after.volume_name) == ("", "", "")


@pytest.mark.parametrize(
    ("world", "committed"),
    [
        (but(ACCEPTED, status={"committed": "order-1"}, spec={"order": order(answer="q-0")}), ""),
        (but(ACCEPTED, status={"committed": "order-1", "committed_on": "q-0"}, spec={"order": None}), ""),
        # The policy's wipe is of the tenancy alone, and the disk must show it.
        (but(ACCEPTED, status={"committed": "order-1"}, spec={"order": order()}), "order-1"),
        (
            but(
                ACCEPTED,
                status={"committed": "order-1"},
                spec={"order": order(answer="q-0")},
                admin={"accept_identity": None},
            ),
            "order-1",
        ),
        (
            but(
                ACCEPTED,
                status={"committed": "order-1", "identity": None},
                spec={"order": order(answer="q-0")},
            ),
            "order-1",
        ),
    ],
)
def test_what_a_person_said_of_one_disk_is_not_said_of_the_one_that_was_accepted_since(
    world: World, committed: str
) -> None:
    """Found by the model: that one was wiped, with all that a stranger had on it."""
    assert remembered(but(world, status={"dirty": True})).committed == committed


# --- when it is tried again ---

FAILED = but(COMMITTED, status={"work": work(WorkState.FAILED)})


def at(seconds: float, id_: str = "order-1") -> Retry:
    return Retry(order=id_, at=format_instant(Instant(NOW + seconds)))


@pytest.mark.parametrize(
    ("world", "retry"),
    [
        (COMMITTED, None),
        (WIPED, None),
        (FAILED, at(30)),
        (but(FAILED, status={"work": change(REFUSED, reason="InUse")}), at(30)),
        (but(FAILED, spec={"order": order(attempt=1)}), at(60)),
        (but(FAILED, spec={"order": order(attempt=6)}), at(1920)),
        (but(FAILED, spec={"order": order(attempt=7)}), at(3600)),
        (but(FAILED, spec={"order": order(attempt=4000)}), at(3600)),
        (but(FAILED, status={"retry": at(7)}), at(7)),
        (but(FAILED, status={"retry": at(7, "order-0")}), at(30)),
        (but(COMMITTED, status={"retry": at(7)}), None),
        # Done, and the disk does not show it.
        (but(WIPED, disk={"empty": False}), at(30)),
        (but(WIPED, disk={"empty": False}, around={"foreign": "p"}), None),
        (but(WIPED, disk={"empty": False}, status={"committed": ""}), None),
        (but(WIPED, disk={"made": "ext4"}), None),
    ],
)
def test_what_failed_is_tried_again_after_a_pause_that_doubles_to_an_hour(
    world: World, retry: Retry | None
) -> None:
    assert remembered(world).retry == retry


MISSING = but(
    BOUND,
    spec={
        "source": Source(device="/dev/x"),
        "order": order(kind="mount", ends="", next=OLD, pv_uid=""),
    },
    status={"identity": UUID, "work": work()},
    disk={"content": Content.DATA, "tenancy": "", "journal": "", "identity": UUID},
)
"""Its journal is lost, and the order to mount it is answered."""


def test_a_mount_in_vain_is_tried_again_too() -> None:
    assert remembered(MISSING).retry == at(30)
    assert remembered(but(MISSING, status={"work": None})).retry is None
    assert remembered(but(MISSING, disk={"tenancy": OLD})).retry is None


@pytest.mark.parametrize(
    ("world", "when"),
    [
        (but(FAILED, status={"retry": at(30)}), 30),
        (FAILED, None),
        (but(FAILED, status={"retry": at(30, "order-0")}), None),
        (but(FAILED, status={"retry": at(30)}, spec={"order": None}), None),
        (but(MISSING, status={"retry": at(30)}), 30),
        (but(MISSING, status={"retry": at(30, "order-0")}), None),
    ],
)
def test_the_moment_of_the_next_try_is_that_of_the_order_that_stands(world: World, when: int | None) -> None:
    assert memory.retry_at(world, look(world)) == (None if when is None else Instant(NOW + when))


# --- when the countdown ends ---

ENDS = "2027-01-15T09:00:00.000Z"


@pytest.mark.parametrize(
    ("world", "ends"),
    [
        (RELEASED, RELEASED.volume.status.wipe_at),
        (but(RELEASED, status={"wipe_at": ""}), ENDS),
        (
            but(RELEASED, status={"wipe_at": ""}, spec={"wipe": WipePolicy(on_release="wipe", after="0s")}),
            "2027-01-15T08:00:00.000Z",
        ),
        (but(RELEASED, admin={"hold": True}), ""),
        (but(RELEASED, fleet=None), RELEASED.volume.status.wipe_at),
    ],
)
def test_a_countdown_begins_anew_once_what_stands_against_the_wipe_has_fallen(
    world: World, ends: str
) -> None:
    assert memory.wipe_at(world, look(world), NOW) == ends


BEGAN = {"wipe_from": "2027-01-15T07:30:00.000Z", "wipe_at": "2027-01-15T08:30:00.000Z"}


@pytest.mark.parametrize(
    ("world", "begun", "ends"),
    [
        (but(RELEASED, status={"wipe_at": ""}), "2027-01-15T08:00:00.000Z", ENDS),
        (but(RELEASED, status=BEGAN), "2027-01-15T07:30:00.000Z", "2027-01-15T08:30:00.000Z"),
        (
            but(RELEASED, status=BEGAN, spec={"wipe": WipePolicy(on_release="wipe", after="3h")}),
            "2027-01-15T07:30:00.000Z",
            "2027-01-15T10:30:00.000Z",
        ),
        (but(RELEASED, status=BEGAN, admin={"hold": True}), "", ""),
        (RELEASED, "", RELEASED.volume.status.wipe_at),
    ],
    ids=["begins", "runs", "the wait was made longer", "held", "a deadline without its begin"],
)
def test_a_countdown_ends_a_whole_wait_after_it_began(world: World, begun: str, ends: str) -> None:
    seen = look(world)
    assert (memory.wipe_from(world, seen, NOW), memory.wipe_at(world, seen, NOW)) == (begun, ends)


@pytest.mark.parametrize(
    ("uid", "kept"),
    [("pv-a", True), ("", True), ("pv-0", False)],
    ids=["the same", "none was known", "made again by hand"],
)
def test_a_countdown_begins_anew_for_a_volume_that_was_made_again_unseen(uid: str, kept: bool) -> None:
    """Deleted and made again while nobody looked: whoever did it is at work on the data."""
    told = remembered(but(RELEASED, status={**BEGAN, "volume_uid": uid}))
    assert (told.wipe_from, told.wipe_at) == ((*BEGAN.values(),) if kept else ("", ""))
    gone = remembered(but(RELEASED, status=BEGAN, pvs=()))
    assert (gone.wipe_from, gone.wipe_at) == (*BEGAN.values(),)
