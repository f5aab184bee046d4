"""The status that a volume should have, whole: what is remembered and what is read, in one value."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.life.cluster import NODE, desired
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
from tidb_volume.life import status
from tidb_volume.life.look import look
from tidb_volume.life.world import Daemon, World
from tidb_volume.units import Instant
from tidb_volume.value import (
    Answer,
    Condition,
    Identity,
    Owner,
    Phase,
    Presence,
    Record,
    Restore,
    Retry,
    VolumeStatus,
    Words,
    WorkState,
)

AT = "2027-01-15T08:00:00.000Z"


def computed(world: World) -> VolumeStatus:
    return status.compute(world, look(world), NOW)


def shown(world: World, **fields: Any) -> None:
    """What is seen is remembered already; only these fields are new."""
    before = world.volume.status
    after = computed(world)
    assert after == change(before, **{"capacity": after.capacity, "used": after.used, **fields})


def test_a_blank_disk_is_made_ready() -> None:
    shown(
        BLANK,
        phase=Phase.PENDING,
        state="Pending",
        reason="Preparing",
        message="the daemon is making it ready",
    )


def test_what_is_wrong_around_it_is_in_the_state_and_among_the_conditions() -> None:
    after = computed(but(BLANK, admin={"cordon": True}))
    assert after.state == "Pending (cordoned)"
    assert [each.type for each in after.conditions] == ["Cordoned"]


def test_a_bound_disk_names_its_claim() -> None:
    shown(
        BOUND,
        phase=Phase.BOUND,
        state="Bound",
        reason="Claimed",
        message="bound to db/data-0",
        history=(Record(at=AT, what="bound", tenancy=OLD, who="db/data-0"),),
    )


def test_a_released_disk_counts_down() -> None:
    world = but(RELEASED, status={"wipe_at": "", "question": None})
    asked = change(question(), id="q-9", text="wipe it now, give it back, or leave it to the policy?")
    after = computed(world)
    shown(
        world,
        phase=Phase.RELEASED,
        state="Released",
        reason="Countdown",
        message=after.message,
        wipe_at="2027-01-15T09:00:00.000Z",
        wipe_from=AT,
        question=asked,
        history=(Record(at=AT, what="released", tenancy=OLD, who="db/data-0"),),
    )
    assert "2027-01-15T09:00:00.000Z" in after.message


@pytest.mark.parametrize("world", [BLANK, OFFERED, BOUND, COMMITTED, WIPED])
def test_only_a_released_disk_has_a_deadline(world: World) -> None:
    assert computed(but(world, status={"wipe_at": AT})).wipe_at == ""
    assert computed(but(RELEASED, status={"wipe_at": AT})).wipe_at == AT


@pytest.mark.parametrize(
    ("fields", "capacity", "used"),
    [
        ({"capacity_bytes": 3 << 30, "used_bytes": 1 << 30}, "3Gi", "1Gi"),
        ({"capacity_bytes": 0, "used_bytes": 1 << 30}, "old", "older"),
        ({"capacity_bytes": 1}, None, None),
    ],
)
def test_what_was_measured_last_is_shown_while_nothing_can_be_measured(
    fields: dict[str, int], capacity: str | None, used: str | None
) -> None:
    world = but(BLANK, status={"capacity": "old", "used": "older"}, disk=fields)
    after = computed(world)
    if capacity is None:
        assert (after.capacity, after.used) != ("old", "older")
        return
    assert (after.capacity, after.used) == (capacity, used)
    gone = computed(but(world, status={"disk": None}))
    assert (gone.capacity, gone.used) == ("old", "older")


# --- what the history says of it ---


def lines(world: World) -> list[tuple[str, str]]:
    return [(line.what, line.tenancy) for line in computed(world).history]


COUNTS = but(RELEASED, status={"phase": Phase.RELEASED, "wipe_at": AT, "wipe_from": AT})
RETAINED = with_pv(COUNTS, spec={"persistent_volume_reclaim_policy": "Retain"})
HELD = but(COUNTS, admin={"hold": True})
OWNED = {"tenancy": OLD, "who": "db/data-0"}
ASKS = but(COUNTS, admin={"restore": Restore(question="q-1", by="jane")})


@pytest.mark.parametrize(
    ("world", "told"),
    [
        (COUNTS, ()),
        (RETAINED, (Record(at=AT, what="wipe called off", note="PolicyRetain", **OWNED),)),
        (HELD, (Record(at=AT, what="wipe called off", note="Held", **OWNED),)),
        (ASKS, (Record(at=AT, what="wipe called off", note="restore by jane", **OWNED),)),
        (
            but(ASKS, admin={"restore": Restore(question="q-1")}),
            (Record(at=AT, what="wipe called off", note="restore", **OWNED),),
        ),
        (
            but(HELD, admin={"restore": Restore(question="q-0", by="jane")}),
            (Record(at=AT, what="wipe called off", note="Held", **OWNED),),
        ),
        (
            but(HELD, status={"owner": None}),
            (Record(at=AT, what="wipe called off", note="Held", tenancy=OLD),),
        ),
        (
            but(HELD, status={"owner": Owner()}),
            (Record(at=AT, what="wipe called off", note="Held", tenancy=OLD),),
        ),
        (but(HELD, status={"wipe_at": "", "wipe_from": ""}), ()),
        (
            but(HELD, status={"phase": Phase.BOUND}),
            (
                Record(at=AT, what="released", **OWNED),
                Record(at=AT, what="wipe called off", note="Held", **OWNED),
            ),
        ),
    ],
)
def test_a_countdown_that_somebody_ends_is_told_with_whose_word_it_was(
    world: World, told: tuple[Record, ...]
) -> None:
    assert computed(world).history == told


RAN = VolumeStatus(phase=Phase.RELEASED, wipe_at=AT)


@pytest.mark.parametrize(
    ("before", "after", "called_off"),
    [
        (RAN, change(RAN, wipe_at=""), True),
        (RAN, RAN, False),
        (RAN, change(RAN, wipe_at="", committed="order-1"), False),
        (RAN, change(RAN, wipe_at="", phase=Phase.BOUND), False),
        (change(RAN, wipe_at=""), change(RAN, wipe_at=""), False),
    ],
)
def test_a_countdown_is_called_off_where_it_ends_in_nothing(
    before: VolumeStatus, after: VolumeStatus, called_off: bool
) -> None:
    assert status.is_called_off(before, after) is called_off


NEW_OFFER = but(WIPED, pvs=(pv(NEXT),))
CORDONED = but(WIPED, admin={"cordon": True})
GIVEN = but(
    COMMITTED,
    spec={"order": order(withdrawn=True)},
    status={"work": work(WorkState.REFUSED, "Withdrawn"), "phase": Phase.WIPING, "reserved": CLAIM},
    pvs=(pv(OLD, "Released", CLAIM, uid="pv-n"),),
)


@pytest.mark.parametrize(
    ("world", "history"),
    [
        (NEW_OFFER, [("wiped", OLD)]),
        (CORDONED, [("wiped", OLD)]),
        (
            but(NEW_OFFER, status={"committed": "", "dirty": False, "tenancy": "", "owner": None}),
            [("offered", NEXT)],
        ),
        (WIPED, []),
        (COMMITTED, []),
        (GIVEN, [("given back", OLD)]),
        (but(GIVEN, pvs=()), []),
        (but(GIVEN, status={"committed": ""}), [("released", OLD)]),
        (but(GIVEN, status={"work": None}), [("released", OLD)]),
        (but(COMMITTED, status={"committed": "", "phase": Phase.RELEASED}), [("wipe committed", OLD)]),
    ],
)
def test_each_turn_of_a_disks_life_is_a_line_of_its_history(
    world: World, history: list[tuple[str, str]]
) -> None:
    assert lines(world) == history


# --- another disk, by a person's word ---

NEW = Identity(serial="S2", size_bytes=200)
TWIN = {"twin": "volume w of node m shows it too", "apart": True}
PLACE = " in its place: serial=S2 size_bytes=200"
ACCEPTED = but(
    RELEASED,
    admin={"accept_identity": Answer(question="q-1")},
    status={"question": question("release", f"{OLD}{PLACE}"), "phase": Phase.RELEASED},
    disk={"identity": NEW, "presence": Presence.WRONG_DISK},
)
APART = but(
    BLANK,
    admin={"accept_identity": Answer(question="q-1")},
    status={
        "identity": None,
        "question": question("twin", " on serial=S2 size_bytes=200, shown by other machines too"),
    },
    disk={"identity": NEW},
    around=TWIN,
)


def test_a_disk_that_a_person_took_for_this_one_goes_on_record_and_into_the_history() -> None:
    after = computed(ACCEPTED)
    assert after.identity == NEW
    assert after.history == (
        Record(at=AT, what="another disk accepted", note="the one before was NOT WIPED"),
    )
    refused = computed(but(ACCEPTED, admin={"accept_identity": None}))
    assert (refused.identity, refused.history) == (HARDWARE, ())


def test_a_newcomer_that_was_told_apart_has_no_twin_any_more() -> None:
    after = computed(APART)
    assert after.identity == NEW
    assert (after.reason, after.question) == ("Preparing", None)
    assert after.history == (
        Record(at=AT, what="told apart", note="by a person, from disks of the same facts elsewhere"),
    )
    before = computed(but(APART, admin={"accept_identity": None}))
    assert (before.identity, before.reason) == (None, "Conflict")


# --- the words ---

FAILED = but(COMMITTED, status={"work": work(WorkState.FAILED, "EIO", message="at byte 7")})


def test_a_failed_wipe_names_what_failed_and_when_it_is_tried_again() -> None:
    assert "2027-01-15T08:00:30.000Z" in computed(FAILED).message
    assert "EIO: at byte 7" in computed(FAILED).message
    later = but(FAILED, status={"retry": Retry(order="order-1", at="2027-01-15T08:07:00.000Z")})
    assert "2027-01-15T08:07:00.000Z" in computed(later).message


@pytest.mark.parametrize(
    ("world", "words"),
    [
        (but(BLANK, node=None), NODE),
        (but(BLANK, daemon=Daemon(), status={"disk": None}), NODE),
        (but(BLANK, disk={"presence": Presence.NOT_PRESENT}), "/data/disk0"),
        (but(RELEASED, admin={"hold": True}), BLANK.volume.metadata.name),
        (
            with_pv(RELEASED, spec={"claim_ref": change(CLAIM, name="x", uid="c-9")}),
            RELEASED.pvs[0].metadata.name,
        ),
        (
            with_pv(RELEASED, spec={"persistent_volume_reclaim_policy": "Retain"}),
            RELEASED.pvs[0].metadata.name,
        ),
        (
            but(
                RELEASED, spec={"wipe": change(RELEASED.volume.spec.wipe, on_release="keep"), "pool": "gold"}
            ),
            "gold",
        ),
        (but(RELEASED, admin={"gates": {"pd-says-tombstone": ""}}), "pd-says-tombstone"),
    ],
)
def test_a_reason_names_what_it_is_about(world: World, words: str) -> None:
    assert words in computed(world).message


# --- a volume of an inventory that cannot be read ---


def test_of_a_volume_whose_inventory_is_refused_only_that_is_said() -> None:
    dropped = Condition(type="Dropped", status="True", reason="NotListed")
    cordoned = Condition(type="Cordoned", status="True", reason="ByPerson", last_transition_time="t")
    unknown = Condition(
        type="EntryUnknown", status="True", reason="InventoryRefused", last_transition_time="u"
    )
    world = but(BOUND, status={"phase": Phase.BOUND, "conditions": (dropped, cordoned, unknown)})
    before = world.volume.status
    said = (
        "ConfigMap a, b is refused and may list this disk: nothing is done about it; kubectl tidb-volume"
        " status says what is wrong there"
    )
    after = status.unread(world.volume, ("a", "b"), NOW)
    assert after == change(
        before,
        state="Bound (cordoned, entry unknown)",
        conditions=(cordoned, change(unknown, message=said)),
    )
    first = status.unread(BLANK.volume, ("a",), NOW)
    assert first.conditions[0].last_transition_time == AT
    assert first.state == "Pending (entry unknown)"


def test_a_volume_that_cannot_be_decided_about_is_as_it_was_and_says_so_once() -> None:
    cordoned = Condition(type="Cordoned", status="True", reason="ByPerson", last_transition_time="t")
    world = but(BOUND, status={"phase": Phase.BOUND, "conditions": (cordoned,)})
    after = status.undecided(world.volume, OverflowError("at 1"), NOW)
    said = (
        "a fault of ours: at 1: nothing is decided about this disk, whatever is said of it, until a version"
        " can; please report it with the controller's log"
    )
    told = Condition(
        type="Undecided", status="True", reason="OverflowError", message=said, last_transition_time=AT
    )
    assert after == change(
        world.volume.status, state="Bound (cordoned, not decided about)", conditions=(cordoned, told)
    )
    said_once = change(world.volume, status=after)
    assert status.undecided(said_once, OverflowError("at 2"), NOW) == after
    (_, other) = status.undecided(said_once, ValueError("x"), NOW).conditions
    assert other.reason == "ValueError"
    assert computed(change(world, volume=said_once)).conditions == computed(world).conditions
    assert [each.type for each in status.unread(said_once, ("a",), NOW).conditions] == [
        "Cordoned",
        "EntryUnknown",
    ]


# --- the snapshot itself ---


def test_a_snapshot_says_nothing_that_it_was_not_told() -> None:
    world = World(volume=BLANK.volume, desired=None, fresh=BLANK.fresh)
    assert not world.listed
    assert world.never == ""
    assert world.leader == ""
    assert world.fleet_volumes == 0
    assert not world.daemon.ready
    assert world.transient_since == Instant(0.0)
    assert change(world, left_by_label=True).listed


@pytest.mark.parametrize(
    ("world", "glob"),
    [
        (BLANK, ""),
        (but(BLANK, around={"never": "*a*"}), "*a*"),
        (but(BLANK, wanted={"never": "*b*"}), "*b*"),
        (but(BLANK, around={"never": "*a*"}, wanted={"never": "*b*"}), "*a*"),
        (but(BLANK, desired=None), ""),
    ],
)
def test_a_disk_is_forbidden_by_the_entry_or_under_another_of_its_names(world: World, glob: str) -> None:
    assert world.never == glob
    assert but(world, desired=desired()).listed


def test_whoever_had_it_is_named_while_the_data_is_there() -> None:
    assert computed(RELEASED).owner == Owner(claim=CLAIM)
    assert computed(but(RELEASED, status={"tenancy": OTHER})).owner == Owner(claim=CLAIM)
    assert computed(NEW_OFFER).owner is None


def test_words_that_hold_are_noted_as_heard_and_answers_are_not() -> None:
    words = {"hold": True, "gates": {"pd": "up"}, "gates_passed": {"pd": OLD}}
    admin = {**words, "wipe_now": Answer(question="q")}
    assert computed(but(RELEASED, admin=admin)).heard == Words(**words)  # type: ignore[arg-type]
    assert computed(but(RELEASED, status={"heard": Words(hold=True)})).heard == Words()
