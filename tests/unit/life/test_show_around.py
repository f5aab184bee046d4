"""What stands around a volume's phase, word for word: owner, conditions, state, history."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.life.worlds import (
    BLANK,
    BOUND,
    CLAIM,
    COMMITTED,
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
from tidb_volume.life import show
from tidb_volume.life.look import look
from tidb_volume.life.phases import phase
from tidb_volume.life.status import compute
from tidb_volume.life.world import Daemon, World
from tidb_volume.units import Instant
from tidb_volume.upstream import NodeCondition, NodeStatus, PhaseOnly, Pod
from tidb_volume.value import (
    Condition,
    Content,
    Owner,
    Phase,
    Presence,
    Question,
    Record,
    Ref,
    Restore,
    Retry,
    SlimMeta,
    VolumeStatus,
    WorkState,
)

AT = "2027-01-15T08:00:00.000Z"
AWAY = Daemon(ready=False, since=Instant(NOW - 1000))
LEAVING = Daemon(ready=False, since=Instant(NOW - 1))
assert BLANK.node is not None
DOWN = change(BLANK.node, status=NodeStatus(conditions=(NodeCondition(type="Ready", status="Unknown"),)))
RESTORE = {"restore": Restore(question="q-1")}
FAILED = work(WorkState.FAILED, "EIO", message="at byte 7")


# --- the owner ---


def pod(name: str, state: str = "Running") -> Pod:
    return Pod(metadata=SlimMeta(namespace="db", name=name, uid=f"u-{name}"), status=PhaseOnly(phase=state))


def runs(name: str) -> Owner:
    return Owner(claim=CLAIM, pod=Ref(namespace="db", name=name, uid=f"u-{name}"))


def ran(name: str, claim: Ref = CLAIM) -> Owner:
    return Owner(claim=claim, last_pod=runs(name).pod)


FORMER = Ref(namespace="db", name="former", uid="claim-0")


@pytest.mark.parametrize(
    ("world", "owner"),
    [
        (BLANK, None),
        (OFFERED, None),
        (but(OFFERED, status={"owner": Owner(claim=FORMER)}), None),
        (BOUND, Owner(claim=CLAIM)),
        (but(BOUND, pods=(pod("b"), pod("a"))), runs("a")),
        (but(BOUND, pods=(pod("b"), pod("a", "Failed"))), runs("b")),
        (but(BOUND, pods=(pod("b", "Pending"), pod("a", "Succeeded"))), runs("b")),
        (but(BOUND, pods=(pod("a", "Succeeded"),)), Owner(claim=CLAIM)),
        (but(with_pv(BOUND, spec={"claim_ref": None}), status={"owner": Owner(claim=FORMER)}), None),
        (but(BOUND, status={"owner": runs("a")}), ran("a")),
        (but(BOUND, status={"owner": ran("a")}), ran("a")),
        (but(BOUND, status={"owner": runs("a")}, pods=(pod("a", "Succeeded"),)), ran("a")),
        (but(BOUND, status={"owner": ran("a")}, pods=(pod("b"),)), runs("b")),
        (but(BOUND, status={"owner": change(runs("a"), claim=FORMER)}), Owner(claim=CLAIM)),
        (but(BOUND, status={"owner": change(runs("a"), claim=None)}), Owner(claim=CLAIM)),
        (but(BOUND, status={"owner": None}), Owner(claim=CLAIM)),
        (but(RELEASED, pods=(pod("a"),)), Owner(claim=CLAIM)),
        (but(RELEASED, status={"owner": runs("a")}), ran("a")),
        (but(RELEASED, status={"owner": ran("a", FORMER)}), ran("a", FORMER)),
        (but(RELEASED, status={"owner": None}), Owner(claim=CLAIM)),
        (but(RELEASED, status={"owner": None}, pvs=()), None),
        (but(with_pv(RELEASED, spec={"claim_ref": None}), status={"owner": None}), None),
        (
            but(
                with_pv(RELEASED, phase="Available", spec={"claim_ref": FORMER}),
                status={"owner": None, "reserved": FORMER},
            ),
            Owner(claim=FORMER),
        ),
        (
            but(
                with_pv(RELEASED, phase="Available", spec={"claim_ref": change(FORMER, uid="")}),
                status={"owner": None, "reserved": FORMER},
            ),
            None,
        ),
        (COMMITTED, Owner(claim=CLAIM)),
        (but(COMMITTED, status={"work": FAILED}), Owner(claim=CLAIM)),
    ],
)
def test_who_has_the_disk_or_had_it(world: World, owner: Owner | None) -> None:
    seen = look(world)
    assert show.owner(world, seen, phase(seen)) == owner


# --- what is wrong around it ---


def around(world: World, asked: Question | None = None, why: str = "") -> list[tuple[str, str, str, str]]:
    found = show.conditions(world, look(world), asked, why, NOW)
    assert all(each.last_transition_time == AT for each in found)
    return [(each.type, each.status, each.reason, each.message) for each in found]


MISSING = but(BOUND, disk={"content": Content.DATA, "content_note": "xfs", "tenancy": ""})
NO_CLAIM_SINCE = but(BOUND, status={"owner": Owner(claim=FORMER)})


IS_ANOTHER = (
    "/data/disk0 leads to another disk than the one recorded (m; it is sdb); neither is touched; put the"
    f" recorded disk back; or, if the new one is right: kubectl tidb-volume accept-identity"
    f" {BOUND.volume.metadata.name}"
)


@pytest.mark.parametrize(
    ("world", "conditions"),
    [
        (BLANK, []),
        (BOUND, []),
        (but(BLANK, node=None, daemon=AWAY), [("NodeReady", "False", "NodeLost", "the Node object is gone")]),
        (
            but(BLANK, node=DOWN, daemon=AWAY),
            [("NodeReady", "False", "NodeNotReady", "the kubelet does not report")],
        ),
        (
            but(BLANK, daemon=AWAY),
            [
                (
                    "DaemonReady",
                    "False",
                    "DaemonNotReady",
                    "the kubelet reports no Ready pod of the disk-daemon there",
                )
            ],
        ),
        (but(BLANK, daemon=LEAVING), []),
        (
            but(BLANK, disk={"presence": Presence.STUCK, "message": "m"}),
            [
                (
                    "DiskHealthy",
                    "False",
                    "Stuck",
                    "the disk does not answer (m); look at the kernel's log of node-1;"
                    " a disk that hangs is usually dying: replace it",
                )
            ],
        ),
        (
            but(BLANK, disk={"presence": Presence.CONFLICT, "message": "two of them"}),
            [("DiskHealthy", "False", "Conflict", "two of them")],
        ),
        (
            but(BOUND, disk={"presence": Presence.WRONG_DISK, "message": "m"}, around={"moved": "it is sdb"}),
            [("DiskHealthy", "False", "WrongDisk", IS_ANOTHER)],
        ),
        (but(BLANK, status={"disk": None}), []),
        (
            MISSING,
            [
                (
                    "DiskHealthy",
                    "False",
                    "TenancyMissing",
                    f"tenancy {OLD} is not to be seen on it, there is xfs; nothing is wiped; "
                    "if it is not to come back, delete the claim: the pod gets another disk",
                )
            ],
        ),
        (but(BLANK, admin={"cordon": True}), [("Cordoned", "True", "ByPerson", "not offered any more")]),
        (but(BLANK, admin={"retire": True}), [("Cordoned", "True", "ByPerson", "not offered any more")]),
        (
            but(BLANK, desired=None, left_by_label=True),
            [("Cordoned", "True", "LabelChanged", "the node's labels no longer match its group")],
        ),
        (
            but(BLANK, desired=None, left_by_label=True, admin={"cordon": True}),
            [("Cordoned", "True", "ByPerson", "not offered any more")],
        ),
        (
            but(BLANK, around={"foreign": "p (/x)"}),
            [
                (
                    "Foreign",
                    "True",
                    "AnotherVolume",
                    "PersistentVolume p (/x), not ours, covers the same disk: two may write to it; it is not"
                    " wiped while that one is there",
                )
            ],
        ),
        (
            but(BLANK, around={"never": "*x*"}),
            [("Forbidden", "True", "Never", "the glob *x* under `never`: it is not wiped")],
        ),
        (but(BLANK, desired=None), [("Dropped", "True", "NotListed", "no inventory entry lists it")]),
        (
            but(BOUND, pool={"name": "gold"}),
            [("EditPending", "True", "Bound", "the inventory's edit applies once it is free")],
        ),
        (
            but(RELEASED, admin=RESTORE, status={"owner": None}),
            [
                (
                    "AnswerNotTaken",
                    "True",
                    "NotTaken",
                    "nobody knows who had it; name the claim that gets it: adopt it with Keep",
                )
            ],
        ),
        (
            NO_CLAIM_SINCE,
            [("DirtyHandedOut", "True", "ClaimRefChanged", "another claim got it with the old data on it")],
        ),
    ],
)
def test_what_is_wrong_around_the_phase(world: World, conditions: list[tuple[str, str, str, str]]) -> None:
    assert around(world) == conditions


@pytest.mark.parametrize("why", sorted(show.WAITS_FOR_A_WORD))
def test_a_reason_that_ends_by_a_word_waits_for_a_person(why: str) -> None:
    assert around(RELEASED, question(), why) == [("WaitingForPerson", "True", "Release", "?")]
    assert around(RELEASED, None, why) == []


def test_what_ends_by_itself_waits_for_nobody_but_where_two_disks_may_be_one() -> None:
    assert {
        "PolicyRetain",
        "PoolKeeps",
        "AtTheRoot",
        "GoneByHand",
        "RecordLost",
        "HadSince",
        "WipeRefused",
        "HasData",
        "AwaitsApproval",
        "WrongDisk",
    } == show.WAITS_FOR_A_WORD
    assert around(RELEASED, question(), "Countdown") == []
    assert around(RELEASED, question("twin"), "Conflict") == [("WaitingForPerson", "True", "Twin", "?")]


def test_a_condition_keeps_the_time_at_which_it_began_to_hold() -> None:
    old = Condition(
        type="Cordoned", status="True", reason="ByPerson", message="m", last_transition_time="then"
    )
    other = change(old, type="Dropped", last_transition_time="never")
    before = VolumeStatus(conditions=(other, old))

    def made(kind: str = "Cordoned", holds: bool = True, reason: str = "ByPerson") -> Condition:
        return show.condition(before, kind, holds, reason, "new words", NOW)

    assert made() == change(old, message="new words")
    assert made("Forbidden").last_transition_time == AT
    assert made(holds=False) == Condition(
        type="Cordoned", status="False", reason="ByPerson", message="new words", last_transition_time=AT
    )
    assert made(reason="LabelChanged").last_transition_time == AT


# --- handed out with the old data on it ---

HAD = (Condition(type="DirtyHandedOut", status="True", reason="ClaimRefChanged"),)
QUIET = (Condition(type="Cordoned", status="True", reason="ByPerson"),)


@pytest.mark.parametrize(
    ("world", "dirty"),
    [
        (BOUND, False),
        (RELEASED, False),
        (NO_CLAIM_SINCE, True),
        (with_pv(NO_CLAIM_SINCE, spec={"claim_ref": None}), False),
        (but(with_pv(NO_CLAIM_SINCE, spec={"claim_ref": None}), status={"reserved": FORMER}), False),
        (with_pv(NO_CLAIM_SINCE, spec={"claim_ref": change(CLAIM, uid="")}), False),
        (but(NO_CLAIM_SINCE, status={"dirty": False}), False),
        (but(NO_CLAIM_SINCE, status={"tenancy": OTHER}), False),
        (but(NO_CLAIM_SINCE, status={"owner": Owner()}), False),
        (but(NO_CLAIM_SINCE, status={"owner": None}), False),
        (but(NO_CLAIM_SINCE, status={"reserved": change(CLAIM, uid="")}), False),
        (but(NO_CLAIM_SINCE, status={"reserved": FORMER}), True),
        # Once it was said it stays said, also when the new claim is on record.
        (but(BOUND, status={"conditions": HAD}), True),
        (but(BOUND, status={"conditions": (*QUIET, *HAD)}), True),
        (but(BOUND, status={"conditions": QUIET}), False),
        (but(BOUND, status={"conditions": HAD, "dirty": False}), False),
        (but(BOUND, status={"conditions": HAD, "tenancy": OTHER}), False),
        (but(BOUND, status={"conditions": HAD, "reserved": CLAIM}), False),
        # The node's journal has seen another claim, of which this record knows nothing.
        (but(BOUND, disk={"claims": ("claim-0",)}), True),
        (but(BOUND, disk={"claims": ("", "claim-0")}), True),
        (but(BOUND, disk={"claims": ("",)}), False),
        (but(BOUND, disk={"claims": (CLAIM.uid,)}), False),
        (but(BOUND, disk={"claims": ("claim-0",), "journal": OTHER}), False),
        (but(BOUND, disk={"claims": ("claim-0",)}, status={"reserved": CLAIM}), False),
        (but(BOUND, status={"disk": None}), False),
    ],
)
def test_a_disk_was_handed_out_dirty_where_another_claim_has_its_data(world: World, dirty: bool) -> None:
    assert show.dirty_handed_out(world, look(world)) is dirty


# --- the edit that waits ---


@pytest.mark.parametrize(
    ("world", "pending"),
    [
        (BOUND, False),
        (but(BOUND, desired=None), False),
        (but(BOUND, pool={"name": "gold"}), True),
        (but(BOUND, wanted={"volume_mode": "Block"}), True),
        (but(BOUND, wanted={"fs_type": "ext4"}), True),
        (but(BOUND, pool={"mount_options": ("noatime",)}), True),
        (but(BOUND, pool={"labels": {"a": "b"}}), True),
        (but(BOUND, pool={"on_release": "keep"}), True),
        (but(BOUND, pool={"after": "2h", "gates": ("g",), "mode": "manual"}), False),
    ],
)
def test_another_shape_of_volume_waits_until_the_disk_is_free(world: World, pending: bool) -> None:
    assert show.edit_pending(world) is pending


# --- the state in a word ---


def holds(kind: str, reason: str = "r") -> Condition:
    return Condition(type=kind, status="True", reason=reason)


def test_the_phase_has_in_brackets_what_is_wrong_around_it() -> None:
    assert show.state(Phase.BOUND, ()) == "Bound"
    assert show.state(Phase.BOUND, (holds("WaitingForPerson"), holds("AnswerNotTaken"))) == "Bound"
    told = {
        "NodeReady": "node lost",
        "DaemonReady": "daemon away",
        "DiskHealthy": "disk trouble",
        "Cordoned": "cordoned",
        "Dropped": "dropped",
        "EntryUnknown": "entry unknown",
        "Undecided": "not decided about",
        "EditPending": "edit pending",
        "Foreign": "another volume covers it",
        "Forbidden": "never",
        "DirtyHandedOut": "DIRTY",
    }
    for kind, words in told.items():
        assert show.state(Phase.BOUND, (holds(kind),)) == f"Bound ({words})"
    both = (holds("NodeReady", "NodeNotReady"), holds("WaitingForPerson"), holds("Dropped"))
    assert show.state(Phase.RELEASED, both) == "Released (offline, dropped)"


# --- the history ---


def test_a_wipe_that_is_committed_while_a_hand_makes_the_next_ones_volume_is_told_without_an_order() -> None:
    made = but(COMMITTED, status={"committed": ""}, pvs=(pv(NEXT, phase="Bound", ref=CLAIM),))
    status = compute(made, look(made), NOW)
    assert (status.committed, status.tenancy) == ("order-1", NEXT)
    told = status.history[-1]
    assert (told.what, told.tenancy, told.note) == ("wipe committed", OLD, "")


def history(before: VolumeStatus, after: VolumeStatus, world: World, **told: Any) -> tuple[Record, ...]:
    given = {
        "current": Phase.PENDING,
        "made": None,
        "given": False,
        "accepted": None,
        "stopped": None,
        **told,
    }
    return show.history(before, after, look(world), at="now", **given)


def line(what: str, **fields: Any) -> Record:
    return Record(at="now", what=what, **fields)


HADS = {"tenancy": OLD, "owner": Owner(claim=CLAIM)}
MADE = order(method="zero")


@pytest.mark.parametrize(
    ("before", "lines"),
    [
        (
            VolumeStatus(committed="order-1", **HADS),
            (line("wiped", tenancy=OLD, who="db/data-0", note="zero"),),
        ),
        (VolumeStatus(dirty=True, **HADS), (line("wiped", tenancy=OLD, who="db/data-0", note="zero"),)),
        (VolumeStatus(dirty=True, tenancy=OLD), (line("wiped", tenancy=OLD, note="zero"),)),
        (VolumeStatus(dirty=True, tenancy=OLD, owner=Owner()), (line("wiped", tenancy=OLD, note="zero"),)),
        (VolumeStatus(**HADS), (line("offered", tenancy=NEXT),)),
    ],
)
def test_what_an_order_made_begins_with_what_was_wiped_for_it(
    before: VolumeStatus, lines: tuple[Record, ...]
) -> None:
    assert history(before, VolumeStatus(tenancy=NEXT), BLANK, made=MADE) == lines


WAS = VolumeStatus(committed="order-1", phase=Phase.WIPING, **HADS)


@pytest.mark.parametrize(
    ("before", "after", "world", "lines"),
    [
        (WAS, VolumeStatus(), WIPED, (line("wiped", tenancy=OLD, who="db/data-0"),)),
        (change(WAS, owner=None), VolumeStatus(), WIPED, (line("wiped", tenancy=OLD),)),
        (WAS, VolumeStatus(), COMMITTED, ()),
        (WAS, VolumeStatus(tenancy=NEXT), WIPED, ()),
        (WAS, VolumeStatus(committed="order-2"), WIPED, ()),
        (change(WAS, committed=""), VolumeStatus(), WIPED, ()),
        (
            change(WAS, committed=""),
            change(WAS, committed="order-1"),
            WIPED,
            (line("wipe committed", tenancy=OLD),),
        ),
        (
            change(WAS, committed=""),
            change(WAS, committed="order-1"),
            but(COMMITTED, spec={"order": order(asked="wipe-now by jane")}),
            (line("wipe committed", tenancy=OLD, note="wipe-now by jane"),),
        ),
        (WAS, change(WAS, committed="order-2"), COMMITTED, ()),
    ],
)
def test_a_wipe_is_told_when_it_is_committed_and_when_nothing_is_left(
    before: VolumeStatus, after: VolumeStatus, world: World, lines: tuple[Record, ...]
) -> None:
    assert history(before, after, world) == lines


def in_vain(state: WorkState, reason: str, message: str = "", **ordered: Any) -> World:
    answered = work(state, reason, message=message)
    return but(COMMITTED, spec={"order": order(**ordered)}, status={"work": answered})


TRIED = Retry(order="order-1", at="soon")
BEFORE = Retry(order="order-0", at="long ago")
IT_FAILED = in_vain(WorkState.FAILED, "EIO", "a bad block")
IN_VAIN = line("wipe failed", tenancy=OLD, who="db/data-0", note="EIO: a bad block")


@pytest.mark.parametrize(
    ("before", "retry", "world", "lines"),
    [
        (WAS, TRIED, IT_FAILED, (IN_VAIN,)),
        (change(WAS, retry=BEFORE), TRIED, IT_FAILED, (IN_VAIN,)),
        (change(WAS, retry=TRIED), TRIED, IT_FAILED, ()),
        (WAS, None, IT_FAILED, ()),
        (change(WAS, owner=None), TRIED, IT_FAILED, (change(IN_VAIN, who=""),)),
        (change(WAS, owner=Owner()), TRIED, IT_FAILED, (change(IN_VAIN, who=""),)),
        (
            WAS,
            TRIED,
            in_vain(WorkState.REFUSED, "InUse"),
            (change(IN_VAIN, what="wipe refused", note="InUse"),),
        ),
        (
            change(WAS, owner=None),
            TRIED,
            in_vain(WorkState.FAILED, "", "it hangs", kind="prepare", ends=""),
            (line("preparation failed", note="it hangs"),),
        ),
        (
            WAS,
            TRIED,
            in_vain(WorkState.REFUSED, "HasData", kind="prepare", answer="q-1"),
            (change(IN_VAIN, what="wipe refused", note="HasData"),),
        ),
        # Taken back, or barred for the fleet's sake; and what was tried in vain is a mount.
        (WAS, TRIED, in_vain(WorkState.REFUSED, "Withdrawn"), ()),
        (WAS, TRIED, in_vain(WorkState.REFUSED, "Breaker"), ()),
        (WAS, TRIED, COMMITTED, ()),
        (WAS, TRIED, WIPED, ()),
    ],
)
def test_what_was_refused_or_failed_is_told_once_with_its_reason(
    before: VolumeStatus, retry: Retry | None, world: World, lines: tuple[Record, ...]
) -> None:
    after = change(before, retry=retry)
    assert history(before, after, world) == lines


def test_what_fails_for_days_leaves_the_lines_of_before() -> None:
    committed = Record(at="1", what="wipe committed", tenancy=OLD)
    first = change(IN_VAIN, at="2")
    for kept, told in (
        ((committed,), (committed, IN_VAIN)),
        ((committed, first), (committed, IN_VAIN)),
        ((committed, committed, first), (committed, committed, IN_VAIN)),
        ((committed, change(first, note="EROFS: read-only")), (committed, IN_VAIN)),
        ((first, committed), (first, committed, IN_VAIN)),
        ((change(first, tenancy=NEXT),), (change(first, tenancy=NEXT), IN_VAIN)),
        ((change(first, what="wipe refused"),), (change(first, what="wipe refused"), IN_VAIN)),
    ):
        assert history(change(WAS, history=kept), change(WAS, retry=TRIED), IT_FAILED) == told


def test_who_calls_a_wipe_off_is_told_and_the_same_one_again_only_once() -> None:
    before = Record(at="1", what="released", tenancy=OLD)
    retained = line("wipe called off", tenancy=OLD, note="PolicyRetain")
    again = change(retained, at="2")
    held = change(again, note="Held")
    for kept, told in (
        ((before,), (before, retained)),
        ((before, again), (before, retained)),
        ((again, before), (again, before, retained)),
        ((before, held), (before, held, retained)),
        ((change(again, tenancy=NEXT),), (change(again, tenancy=NEXT), retained)),
    ):
        assert history(change(WAS, history=kept), WAS, COMMITTED, stopped=retained) == told
    both = history(change(WAS, history=(before,)), change(WAS, retry=TRIED), IT_FAILED, stopped=retained)
    assert both == (before, retained, IN_VAIN)


def test_who_got_it_back_and_which_disk_was_accepted_is_told() -> None:
    after = VolumeStatus(tenancy=OLD, reserved=CLAIM)
    accepted = line("another disk accepted")
    assert history(WAS, after, BLANK, given=True) == (line("given back", tenancy=OLD, who="db/data-0"),)
    assert history(WAS, change(after, reserved=None), BLANK, given=True) == (line("given back", tenancy=OLD),)
    assert history(WAS, after, BLANK, accepted=accepted) == (accepted,)


@pytest.mark.parametrize(
    ("before", "current", "world", "lines"),
    [
        (Phase.AVAILABLE, Phase.BOUND, BOUND, (line("bound", tenancy=OLD, who="db/data-0"),)),
        (Phase.BOUND, Phase.BOUND, BOUND, ()),
        (Phase.AVAILABLE, Phase.BOUND, with_pv(BOUND, spec={"claim_ref": None}), ()),
        (Phase.AVAILABLE, Phase.AVAILABLE, BOUND, ()),
        (Phase.BOUND, Phase.RELEASED, RELEASED, (line("released", tenancy=OLD, who="db/data-0"),)),
        (Phase.RELEASED, Phase.RELEASED, RELEASED, ()),
        (Phase.BOUND, Phase.WIPING, RELEASED, ()),
    ],
)
def test_a_turn_from_one_phase_to_the_next_is_told_once(
    before: Phase, current: Phase, world: World, lines: tuple[Record, ...]
) -> None:
    was = VolumeStatus(phase=before, **HADS)
    assert history(was, was, world, current=current) == lines
    if current is Phase.RELEASED:
        told = history(was, was, world, current=current, given=True)
        assert [each.what for each in told] == ["given back"]
        nobody = history(change(was, owner=None), was, world, current=current)
        assert nobody == tuple(change(each, who="") for each in lines)


def test_the_last_lines_are_kept() -> None:
    old = tuple(Record(at=str(n), what="x") for n in range(show.HISTORY))
    assert show.HISTORY == 10
    kept = history(change(WAS, history=old), VolumeStatus(), WIPED)
    assert kept == (*old[1:], line("wiped", tenancy=OLD, who="db/data-0"))
    assert history(change(WAS, history=old), WAS, COMMITTED) == old
