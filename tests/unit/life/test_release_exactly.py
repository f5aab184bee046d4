"""Why a released disk's data is still there, word for word: the first obstacle that holds is shown."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.life.worlds import (
    CLAIM,
    COMMITTED,
    NOW,
    OLD,
    OTHER,
    RELEASED,
    but,
    change,
    order,
    with_pv,
    work,
)
from tidb_volume.fleet import Breaker, Fleet, FleetSpec, FleetStatus
from tidb_volume.life import release
from tidb_volume.life.look import look
from tidb_volume.life.release import Obstacle
from tidb_volume.life.world import Daemon, World
from tidb_volume.units import Instant, format_instant
from tidb_volume.upstream import Claim, PvcSpec
from tidb_volume.value import (
    Adopt,
    Answer,
    Approve,
    Meta,
    Presence,
    Restore,
    SlimMeta,
    WipePolicy,
    WorkState,
)

WIPE_NOW = {"wipe_now": Answer(question="q-1")}
ADOPT = {"adopt": Adopt(question="q-1", action="Wipe")}
RESTORE = {"restore": Restore(question="q-1")}
APPROVE = {"approve": Approve(question="q-1")}
RETAIN = with_pv(RELEASED, spec={"persistent_volume_reclaim_policy": "Retain"})
KEPT = but(RELEASED, spec={"wipe": WipePolicy(on_release="keep")})
GONE = but(RELEASED, pvs=())
POINTED = with_pv(RELEASED, spec={"claim_ref": change(CLAIM, name="data-1", uid="claim-9")})
"""A hand has pointed it at another claim, which is gone by now."""
UNBORN = change(CLAIM, uid="")
ELSEWHERE = Claim(
    metadata=SlimMeta(namespace="db", name="data-1", uid="claim-9"), spec=PvcSpec(volume_name="another")
)
RESERVED = but(with_pv(RELEASED, phase="Available", spec={"claim_ref": UNBORN}), status={"reserved": UNBORN})
"""A person gave it to a claim that is not there yet."""


def fleet(breaker: Breaker | None = None, **spec: Any) -> Fleet:
    return Fleet(
        metadata=Meta(name="fleet"),
        spec=FleetSpec(**spec),
        status=FleetStatus(breaker=breaker or Breaker()),
    )


# --- gates ---


def test_a_gate_of_the_pool_stands_until_it_is_passed_for_this_very_tenancy() -> None:
    def gates(of: tuple[str, ...], **admin: Any) -> tuple[str, ...]:
        return release.open_gates(but(RELEASED, spec={"wipe": WipePolicy(gates=of)}, admin=admin))

    assert gates(()) == ()
    assert gates(("g",)) == ("g",)
    assert gates(("g",), gates_passed={"g": OLD}) == ()
    assert gates(("g",), gates_passed={"g": OTHER}) == ("g",)
    assert gates(("g",), gates={"g": "why"}, gates_passed={"g": OLD}) == ("g",)
    assert gates(tuple("hbfd"), gates=dict.fromkeys("agce", "")) == tuple("abcdefgh")


# --- who waits for an approval ---


@pytest.mark.parametrize(
    ("world", "manual"),
    [
        (RELEASED, False),
        (but(RELEASED, fleet=fleet(mode="manual")), True),
        (but(RELEASED, fleet=fleet(mode="manual"), pool={"mode": "auto"}), False),
        (but(RELEASED, pool={"mode": "manual"}), True),
        (but(RELEASED, pool={"mode": "manual"}, fleet=None), True),
        (but(RELEASED, fleet=None), False),
        (but(RELEASED, desired=None, fleet=fleet(mode="manual")), True),
        (but(RELEASED, desired=None), False),
    ],
)
def test_the_pools_mode_comes_before_the_fleets(world: World, manual: bool) -> None:
    assert release.manual(world) is manual


@pytest.mark.parametrize(
    ("world", "kept"),
    [(RELEASED, False), (RETAIN, True), (KEPT, True), (GONE, False), (but(KEPT, pvs=()), False)],
)
def test_policy_and_pool_keep_what_has_a_volume(world: World, kept: bool) -> None:
    assert release.is_kept(world, look(world)) is kept


def test_of_a_disk_that_nobody_has_seen_no_claim_is_known_that_came_since() -> None:
    assert release.had_since(look(but(RELEASED, status={"disk": None}))) == ""
    assert release.had_since(look(SINCE)) == "claim-7"


# --- what a person or a program holds against it ---


def said(word: str, note: str = "") -> Obstacle:
    return Obstacle(word=word, note=note)


REFUSED = work(WorkState.REFUSED, "HasData", message="12 entries")
SINCE = but(RELEASED, disk={"had_since": "claim-7"})
NEW_RECORD = {"status": {"unrecorded": OLD}}


@pytest.mark.parametrize(
    ("world", "held"),
    [
        (RELEASED, None),
        (but(RELEASED, desired=None), said("DroppedReleased")),
        (but(RELEASED, desired=None, left_by_label=True), None),
        (but(RELEASED, **NEW_RECORD), said("RecordLost")),
        (but(RELEASED, admin=WIPE_NOW, **NEW_RECORD), None),
        (but(GONE, admin=ADOPT, **NEW_RECORD), None),
        (but(RELEASED, admin=RESTORE, **NEW_RECORD), said("RecordLost")),
        (but(RELEASED, admin=RESTORE), said("RestoreAsked", " to db/data-0")),
        (but(RELEASED, admin={**RESTORE, **WIPE_NOW}), said("RestoreAsked", " to db/data-0")),
        (but(RELEASED, admin=RESTORE, status={"owner": None}), said("RestoreAsked")),
        # Reserved for another claim than the one that had it.
        (POINTED, said("Reserved", "db/data-1")),
        (but(POINTED, admin=WIPE_NOW), None),
        (but(POINTED, admin=WIPE_NOW, claim=ELSEWHERE), said("Reserved", "db/data-1")),
        (RESERVED, said("Reserved", "db/data-0")),
        (but(RESERVED, admin=WIPE_NOW), said("Reserved", "db/data-0")),
        # Nobody knows whether somebody counts on it.
        (GONE, said("GoneByHand")),
        (but(GONE, admin=ADOPT), None),
        (but(GONE, admin=WIPE_NOW), said("GoneByHand")),
        (with_pv(RELEASED, deletion_timestamp="2027-01-01T00:00:00Z"), said("GoneByHand")),
        (with_pv(RELEASED, phase="Available", spec={"claim_ref": None}), said("GoneByHand")),
        (but(GONE, spec={"order": order()}, status={"work": REFUSED}), said("WipeRefused", "12 entries")),
        (
            but(GONE, spec={"order": order()}, status={"work": change(REFUSED, message="")}),
            said("WipeRefused", "HasData"),
        ),
        (
            but(GONE, spec={"order": order()}, status={"work": change(REFUSED, reason="Paused")}),
            said("GoneByHand"),
        ),
        # The user's policy, and the pool's.
        (RETAIN, said("PolicyRetain")),
        (but(RETAIN, admin=WIPE_NOW), None),
        (but(RETAIN, admin=ADOPT), said("PolicyRetain")),
        (KEPT, said("PoolKeeps")),
        (but(KEPT, admin=WIPE_NOW), None),
        (but(KEPT, pvs=RETAIN.pvs), said("PolicyRetain")),
        # The journal knows of a claim that nobody has on record.
        (SINCE, said("HadSince", "claim-7")),
        (but(SINCE, admin={"hold": True}), said("HadSince", "claim-7")),
        (but(SINCE, admin=WIPE_NOW), None),
        (but(SINCE, pvs=RETAIN.pvs), said("PolicyRetain")),
        (but(SINCE, pvs=()), said("GoneByHand")),
        # Hold and gates, which nothing but their own end lifts.
        (but(RELEASED, admin={"hold": True}), said("Held")),
        (but(RELEASED, admin={"hold": True, "gates": {"g": ""}}), said("Held")),
        (but(GONE, admin={**ADOPT, "hold": True}), said("Held")),
        (but(RETAIN, admin={**WIPE_NOW, "hold": True}), said("Held")),
        (but(RELEASED, admin={"gates": {"b": "", "a": ""}}), said("Gated", "a, b")),
        (but(RETAIN, admin={**WIPE_NOW, "gates": {"g": ""}}), said("Gated", "g")),
    ],
)
def test_what_is_held_against_a_wipe_is_the_first_that_holds(world: World, held: Obstacle | None) -> None:
    assert release.decision(world, look(world)) == held


@pytest.mark.parametrize(
    ("world", "barred"),
    [
        (COMMITTED, None),
        (but(COMMITTED, desired=None), Obstacle(word="DroppedReleased")),
        (but(COMMITTED, desired=None, left_by_label=True), None),
        (but(COMMITTED, around={"never": "*x*", "foreign": "p"}), Obstacle(word="Never", note="*x*")),
        (but(COMMITTED, wanted={"never": "*y*"}), Obstacle(word="Never", note="*y*")),
        (but(COMMITTED, around={"foreign": "p (/x)"}), Obstacle(word="Foreign", note=": p (/x)")),
        (but(COMMITTED, spec={"wipe": WipePolicy(on_release="keep")}), Obstacle(word="PoolKeeps")),
        (
            but(COMMITTED, spec={"wipe": WipePolicy(on_release="keep"), "order": None}),
            Obstacle(word="PoolKeeps"),
        ),
        (but(COMMITTED, spec={"wipe": WipePolicy(on_release="keep"), "order": order(answer="q-0")}), None),
        (but(COMMITTED, spec={"wipe": WipePolicy(on_release="keep")}, admin=WIPE_NOW), None),
        (but(COMMITTED, spec={"wipe": WipePolicy(on_release="keep")}, admin=ADOPT), None),
        (but(COMMITTED, admin={"hold": True, "gates": {"g": ""}}), Obstacle(word="Held")),
        (but(COMMITTED, admin={"gates": {"b": "", "a": ""}}), Obstacle(word="Gated", note="a, b")),
    ],
)
def test_what_came_since_the_commit_holds_a_wipe_that_has_not_begun(
    world: World, barred: Obstacle | None
) -> None:
    assert release.bars_committed(world, look(world)) == barred


# --- what makes it wait right now ---

AWAY = Daemon(ready=False)
TRIPPED = Breaker(tripped=True, reason="11 wipes")
DELETED = change(fleet(), metadata=Meta(name="fleet", deletion_timestamp="2027-01-01T00:00:00Z"))


@pytest.mark.parametrize(
    ("world", "waits"),
    [
        (RELEASED, None),
        (but(RELEASED, fleet=None), Obstacle(word="FleetMissing")),
        (but(RELEASED, fleet=DELETED), Obstacle(word="FleetMissing")),
        (but(RELEASED, fleet=change(DELETED, spec=FleetSpec(paused=True))), Obstacle(word="FleetMissing")),
        (but(RELEASED, fleet=fleet(TRIPPED, paused=True)), Obstacle(word="Paused")),
        (but(RELEASED, fleet=fleet(TRIPPED), daemon=AWAY), Obstacle(word="BreakerOpen", note="11 wipes")),
        (but(RELEASED, daemon=AWAY, around={"foreign": "p"}), Obstacle(word="DaemonNotReady")),
        (but(RELEASED, around={"foreign": "p"}), Obstacle(word="Foreign", note=": p")),
        (
            but(RELEASED, disk={"presence": Presence.NOT_MOUNTED, "in_use": "pod x"}),
            Obstacle(word="NotMounted"),
        ),
        (but(RELEASED, admin={"cordon": True}), None),
        (but(RELEASED, admin={"retire": True}), None),
        (but(RELEASED, desired=None), None),
        (but(RELEASED, disk={"in_use": "pod x"}), Obstacle(word="InUse", note="pod x")),
        (but(RELEASED, desired=None, status={"disk": None}), None),
    ],
)
def test_what_makes_a_wipe_wait_right_now(world: World, waits: Obstacle | None) -> None:
    assert release.moment(world, look(world)) == waits


# --- all of it ---

LATER = but(RELEASED, status={"wipe_at": "2027-01-15T08:00:00.001Z"})
AT = Instant(1_800_000_000.001)
MANUAL = but(RELEASED, pool={"mode": "manual"})


@pytest.mark.parametrize(
    ("world", "found"),
    [
        (RELEASED, None),
        (LATER, Obstacle(word="Countdown", note="2027-01-15T08:00:00.001Z", again_at=AT)),
        (but(LATER, admin=WIPE_NOW), None),
        (but(LATER, admin=ADOPT), None),
        (but(LATER, admin={"hold": True}), said("Held")),
        (
            but(RELEASED, status={"wipe_at": ""}),
            Obstacle(word="Countdown", note="2027-01-15T09:00:00.000Z", again_at=Instant(NOW + 3600)),
        ),
        (MANUAL, Obstacle(word="AwaitsApproval")),
        (but(MANUAL, admin=APPROVE), None),
        (but(MANUAL, admin=WIPE_NOW), None),
        (but(MANUAL, daemon=AWAY), Obstacle(word="AwaitsApproval")),
        (but(MANUAL, admin=APPROVE, daemon=AWAY), Obstacle(word="DaemonNotReady")),
    ],
)
def test_a_person_ends_the_countdown_and_nothing_else(world: World, found: Obstacle | None) -> None:
    assert release.obstacle(world, look(world), NOW) == found


AFTER = but(RELEASED, status={"wipe_at": ""}, spec={"wipe": WipePolicy(after="90s")})
MISSED = {"missed_until": Instant(NOW - 20)}


@pytest.mark.parametrize(
    ("world", "ends"),
    [
        # On record from before, and from after that.
        (but(AFTER, status={"wipe_from": "2027-01-15T07:00:00.000Z"}, **MISSED), NOW + 70),
        (but(AFTER, status={"wipe_from": format_instant(Instant(NOW - 10))}, **MISSED), NOW + 80),
        (but(AFTER, status={"wipe_at": "2027-01-15T07:00:00.000Z"}, **MISSED), NOW + 70),
        (but(AFTER, status={"wipe_at": format_instant(Instant(NOW + 75))}, **MISSED), NOW + 75),
        (but(AFTER, **MISSED), NOW + 90),
    ],
)
def test_a_countdown_of_which_nobody_may_have_been_told_begins_anew(world: World, ends: float) -> None:
    assert release.countdown_ends(world, look(world), NOW) == ends


def test_a_countdown_that_is_not_on_record_begins_now() -> None:
    assert release.countdown_ends(RELEASED, look(RELEASED), NOW) == NOW
    anew = but(RELEASED, status={"wipe_at": ""}, spec={"wipe": WipePolicy(after="90s")})
    assert release.countdown_ends(anew, look(anew), NOW) == NOW + 90
    begun = but(RELEASED, status={"wipe_from": "2027-01-15T07:50:00.000Z"})
    assert release.countdown_ends(begun, look(begun), NOW) == NOW + 3000, (
        "the wait is the one in force by now"
    )
