"""When something is tried again, and when a countdown ends."""

from __future__ import annotations

import pytest

from tests.unit.life.plans import UUID
from tests.unit.life.remembers import REFUSED, remembered
from tests.unit.life.worlds import (
    BOUND,
    COMMITTED,
    NOW,
    OLD,
    RELEASED,
    WIPED,
    but,
    change,
    order,
    work,
)
from tidb_volume.life import memory
from tidb_volume.life.look import look
from tidb_volume.life.world import World
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import Content, Retry, Source, WipePolicy, WorkState

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
        (but(FAILED, status={"retry": at(3600)}), at(3600)),
        # Written while the clock was ahead: anew from now.
        (but(FAILED, status={"retry": at(3600.001)}), at(30)),
        (but(FAILED, spec={"order": order(attempt=1)}, status={"retry": at(1e9)}), at(60)),
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


AHEAD = {"wipe_from": "2031-01-15T08:00:00.000Z", "wipe_at": "2031-01-15T09:00:00.000Z"}
MINUTE_LESS = "2027-01-15T08:59:00.000Z"
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
        (but(RELEASED, status=AHEAD), "2027-01-15T08:00:00.000Z", ENDS),
        (but(RELEASED, status=AHEAD, missed_until=NOW), "2027-01-15T08:00:00.000Z", ENDS),
        (RELEASED, "", RELEASED.volume.status.wipe_at),
        (
            but(RELEASED, status=BEGAN, missed_until=Instant(NOW - 60)),
            "2027-01-15T07:59:00.000Z",
            MINUTE_LESS,
        ),
        (but(RELEASED, status=BEGAN, missed_until=Instant(NOW - 1800)), *BEGAN.values()),
        (but(RELEASED, status=BEGAN, missed_until=Instant(NOW - 1801)), *BEGAN.values()),
    ],
    ids=[
        "begins",
        "runs",
        "the wait was made longer",
        "held",
        "begun while the clock was ahead",
        "that, and people may have been missed",
        "a deadline without its begin",
        "begun before people may have been missed",
        "begun right then",
        "begun after that",
    ],
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
