"""What is so, fact by fact: nothing of it depends on what came before."""

from __future__ import annotations

import pytest

from tests.unit.life.cluster import NAME
from tests.unit.life.worlds import (
    BLANK,
    BOUND,
    CLAIM,
    COMMITTED,
    HARDWARE,
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
from tidb_volume.life.look import is_known, look, pick_pv, presence_note, pv_state, tenancy_of
from tidb_volume.life.world import World
from tidb_volume.upstream import Claim, Pv, PvcSpec
from tidb_volume.value import Content, Owner, Presence, Ref, SlimMeta, Source, WorkState

ENDING = "2027-01-01T00:00:00Z"
UNBORN = change(CLAIM, uid="")
OTHERS = Ref(namespace="db", name="data-7", uid="claim-7")


def ending(of: Pv) -> Pv:
    return change(of, metadata=change(of.metadata, deletion_timestamp=ENDING))


# --- one PersistentVolume ---


@pytest.mark.parametrize(
    ("name", "tenancy"),
    [
        (f"{NAME}-{OLD}", OLD),
        (f"-{OLD}", OLD),
        (OLD, OLD),
        (f"{NAME}-{OLD}x", ""),
        (f"{NAME}-{OLD.upper()}", ""),
        (NAME, ""),
        ("", ""),
    ],
)
def test_a_volumes_tenancy_is_the_end_of_its_name(name: str, tenancy: str) -> None:
    assert tenancy_of(change(pv(), metadata=change(pv().metadata, name=name))) == tenancy


STATES: list[tuple[Pv, str]] = [
    (pv(), "offered"),
    (pv(phase=""), "offered"),
    (pv(phase="Pending", ref=UNBORN), "offered"),
    (ending(pv()), "terminating"),
    (pv(ref=CLAIM), "claimed"),
    (pv(phase="Bound", ref=CLAIM), "claimed"),
    (pv(phase="Bound"), "claimed"),
    (pv(phase="Bound", ref=UNBORN), "claimed"),
    (ending(pv(phase="Bound", ref=CLAIM)), "claimed"),
    (pv(phase="Released", ref=CLAIM), "released"),
    (pv(phase="Failed", ref=CLAIM), "released"),
    (pv(phase="Released"), "released"),
    (ending(pv(phase="Released", ref=CLAIM)), "terminating"),
    (ending(pv(phase="Failed", ref=CLAIM)), "terminating"),
]


@pytest.mark.parametrize(("of", "state"), STATES)
def test_where_a_volume_stands_is_told_by_its_phase_and_its_claim(of: Pv, state: str) -> None:
    assert pv_state(of) == state


def test_of_several_volumes_the_one_matters_that_somebody_has_or_had() -> None:
    claimed, released = pv(NEXT, "Bound", CLAIM), pv(OTHER, "Released", CLAIM)
    going, offered, second = ending(pv("e" * 12)), pv("a" * 12), pv("b" * 12)
    ranked = (claimed, released, going, offered, second)
    for n in range(len(ranked)):
        assert pick_pv(ranked[n:]) is ranked[n]
        assert pick_pv(tuple(reversed(ranked[n:]))) is ranked[n]
    assert pick_pv(()) is None


# --- and what the record and the claims say of it ---


def there(volume_name: str) -> Claim:
    return Claim(
        metadata=SlimMeta(namespace="db", name="data-0", uid=CLAIM.uid), spec=PvcSpec(volume_name=volume_name)
    )


OURS = RELEASED.pvs[0].metadata.name
POINTED = with_pv(RELEASED, spec={"claim_ref": OTHERS})
RESERVED = but(with_pv(OFFERED, spec={"claim_ref": UNBORN}), status={"reserved": CLAIM})


@pytest.mark.parametrize(
    ("world", "state"),
    [
        (BLANK, "none"),
        (OFFERED, "offered"),
        (BOUND, "claimed"),
        (RELEASED, "released"),
        (with_pv(OFFERED, deletion_timestamp=ENDING), "terminating"),
        (with_pv(RELEASED, deletion_timestamp=ENDING), "terminating"),
        # Reserved by us for a claim that is not there yet.
        (RESERVED, "reserved"),
        (but(RESERVED, status={"reserved": None}), "offered"),
        (but(RESERVED, status={"reserved": OTHERS}), "offered"),
        (but(RESERVED, status={"reserved": change(CLAIM, namespace="other")}), "offered"),
        (with_pv(RESERVED, spec={"claim_ref": None}), "offered"),
        (with_pv(RESERVED, deletion_timestamp=ENDING), "terminating"),
        (with_pv(RESERVED, phase="Bound", spec={"claim_ref": CLAIM}), "claimed"),
        # Given a moment ago: Kubernetes has not made a reservation of it yet.
        (with_pv(RESERVED, phase="Released"), "reserved"),
        (with_pv(RESERVED, phase="Failed"), "reserved"),
        (with_pv(RESERVED, phase="Released", spec={"claim_ref": CLAIM}), "released"),
        (with_pv(RESERVED, phase="Released", deletion_timestamp=ENDING), "terminating"),
        # The claim's end has not been heard yet, or it is bound elsewhere.
        (but(RELEASED, claim=there(OURS)), "claimed"),
        (but(RELEASED, claim=there("")), "claimed"),
        (but(RELEASED, claim=there("another")), "reserved"),
        # Pointed at another claim than the one that had it.
        (POINTED, "reserved"),
        (but(POINTED, claim=there("")), "claimed"),
        (but(POINTED, status={"owner": None}), "released"),
        (but(POINTED, status={"owner": Owner()}), "released"),
        (but(POINTED, status={"tenancy": OTHER}), "released"),
        (but(POINTED, status={"tenancy": OTHER}, claim=there("another")), "reserved"),
        (with_pv(RELEASED, spec={"claim_ref": None}), "released"),
        (but(with_pv(RELEASED, spec={"claim_ref": UNBORN}), claim=there("")), "released"),
    ],
)
def test_what_the_record_and_the_claims_know_makes_it_reserved_or_claimed(world: World, state: str) -> None:
    seen = look(world)
    assert seen.pv_state == state
    assert seen.claimed is (state == "claimed")


# --- who had it ---

GONE = but(OFFERED, pvs=())
DIRTY = {"dirty": True}
NEW_OFFER = but(WIPED, pvs=(pv(NEXT),), status={"committed": "order-1", "dirty": True, "volume_uid": "pv-a"})
"""The wipe is done, and its new offer is made, but not on record yet."""


@pytest.mark.parametrize(
    ("world", "was_claimed"),
    [
        (BLANK, False),
        (OFFERED, False),
        (BOUND, False),
        (RELEASED, True),
        (but(RELEASED, status={"dirty": False}), True),
        (but(RESERVED, status={"dirty": False, "reserved": CLAIM}), True),
        (but(BLANK, status=DIRTY), True),
        (but(OFFERED, status=DIRTY), True),
        (but(with_pv(OFFERED, deletion_timestamp=ENDING), status=DIRTY), True),
        (with_pv(OFFERED, deletion_timestamp=ENDING), False),
        # One was made and is gone, and not by us: nobody knows who had it.
        (GONE, True),
        (but(GONE, status={"volume_uid": ""}), False),
        (but(GONE, mine={"deleted": frozenset({"pv-a"})}), False),
        (but(GONE, mine={"deleted": frozenset({"pv-z"})}), True),
        (but(GONE, status={"withdrawn": OLD}), False),
        (but(GONE, status={"withdrawn": OTHER}), True),
        (but(GONE, status={"tenancy": ""}), True),
        (but(GONE, status={"committed": "order-1"}), False),
        # What begins with the order that is done is nobody's yet.
        (NEW_OFFER, False),
        (but(NEW_OFFER, pvs=(pv(OTHER),)), True),
        (but(NEW_OFFER, pvs=()), True),
        (but(NEW_OFFER, spec={"order": order(offer=False)}), True),
        (but(NEW_OFFER, status={"work": work(WorkState.RUNNING)}), True),
        (but(NEW_OFFER, status={"work": None}), True),
        (but(NEW_OFFER, spec={"order": None}), True),
        (but(NEW_OFFER, pvs=(pv(NEXT, "Released", CLAIM),)), True),
    ],
)
def test_a_disk_was_claimed_where_nobody_can_say_that_it_was_not(world: World, was_claimed: bool) -> None:
    assert look(world).was_claimed is was_claimed


# --- the order that stands, and what became of it ---


@pytest.mark.parametrize(
    ("world", "stands", "mine", "works"),
    [
        (OFFERED, False, False, False),
        (COMMITTED, True, True, False),
        (but(COMMITTED, mine={"orders": frozenset({"order-0"})}), True, False, False),
        (WIPED, True, True, True),
        (but(WIPED, status={"work": work(order_id="order-0")}), True, True, False),
        (but(WIPED, spec={"order": None}), False, False, False),
        (but(WIPED, status={"tenancy": NEXT}), False, False, False),
        (but(WIPED, status={"tenancy": ""}), True, True, True),
        (but(WIPED, status={"tenancy": ""}, spec={"order": order(next="")}), True, True, True),
    ],
)
def test_an_order_stands_until_its_tenancy_is_on_record(
    world: World, stands: bool, mine: bool, works: bool
) -> None:
    seen = look(world)
    assert (seen.order is not None, seen.mine, seen.work is not None) == (stands, mine, works)
    assert seen.order is None or seen.order is world.volume.spec.order
    assert seen.work is None or seen.work is world.volume.status.work


@pytest.mark.parametrize(
    ("state", "reason", "facts"),
    [
        (None, "", set()),
        (WorkState.RUNNING, "HasData", set()),
        (WorkState.DONE, "", {"done"}),
        (WorkState.FAILED, "HasData", {"failed"}),
        (WorkState.FAILED, "Breaker", {"failed"}),
        (WorkState.REFUSED, "InUse", {"refused"}),
        (WorkState.REFUSED, "HasData", {"refused", "undecided"}),
        (WorkState.REFUSED, "AnswerGone", {"refused", "undecided"}),
        (WorkState.REFUSED, "Malformed", {"refused", "undecided"}),
        (WorkState.REFUSED, "Breaker", {"refused", "barred"}),
        (WorkState.REFUSED, "Withdrawn", {"refused", "barred"}),
    ],
)
def test_what_became_of_an_order(state: WorkState | None, reason: str, facts: set[str]) -> None:
    told = work(state, reason) if state is not None else None
    seen = look(but(COMMITTED, status={"work": told}))
    of = ("done", "failed", "refused", "undecided", "barred")
    assert {name for name in of if getattr(seen, name)} == facts
    assert seen.committed
    assert not look(but(COMMITTED, status={"work": told, "committed": ""})).committed


@pytest.mark.parametrize(
    ("world", "ready"),
    [
        (WIPED, True),
        (COMMITTED, False),
        (but(WIPED, status={"work": work(WorkState.RUNNING)}), False),
        (but(WIPED, status={"disk": None}), False),
        (but(WIPED, disk={"presence": Presence.NOT_MOUNTED}), False),
        (but(WIPED, disk={"tenancy": OTHER}), False),
        (but(WIPED, disk={"journal": OTHER}), False),
        (but(WIPED, disk={"tenancy": OTHER, "journal": OTHER}), False),
        (but(WIPED, disk={"empty": False}), False),
        (but(WIPED, disk={"in_use": "pod x"}), False),
        (but(WIPED, disk={"claims": ("c",)}), False),
        (but(WIPED, disk={"journal_broken": True}), False),
        (but(WIPED, disk={"trash": ("order-0",)}), False),
        (but(WIPED, disk={"capacity_bytes": 0}), False),
        (but(WIPED, disk={"capacity_bytes": 1}), True),
    ],
)
def test_what_is_done_is_ready_where_the_disk_shows_it(world: World, ready: bool) -> None:
    seen = look(world)
    assert seen.ready is ready
    assert not seen.misshapen


@pytest.mark.parametrize(
    ("made", "fits"),
    [("", True), ("xfs", True), ("ext4", False), ("xfs noatime", False), ("Block", False)],
)
def test_what_is_ready_has_the_shape_that_is_wanted(made: str, fits: bool) -> None:
    device = but(WIPED, spec={"source": Source(device="/dev/x"), "fs_type": "xfs"}, disk={"made": made})
    seen = look(device)
    assert (seen.ready, seen.misshapen) == (fits, not fits)
    waits = look(but(device, status={"work": work(WorkState.RUNNING)}))
    assert (waits.ready, waits.misshapen) == (False, False)


# --- why it cannot be on offer ---

UNLISTED = but(OFFERED, desired=None)
LEFT = but(OFFERED, desired=None, left_by_label=True)
AROUND = {"foreign": "theirs (/x)", "never": "*x*"}


@pytest.mark.parametrize(
    ("world", "trouble", "note"),
    [
        (OFFERED, "", ""),
        (BLANK, "", ""),
        (but(UNLISTED, around=AROUND), "Dropped", ""),
        (but(OFFERED, wanted={"conflict": "listed twice"}, around=AROUND), "Conflict", "listed twice"),
        (but(OFFERED, around=AROUND), "Never", "*x*"),
        (but(OFFERED, wanted={"never": "*y*"}), "Never", "*y*"),
        (but(LEFT, around=AROUND), "Never", "*x*"),
        (but(LEFT, around={"foreign": "theirs (/x)"}), "Foreign", ": theirs (/x)"),
        (but(OFFERED, around={"foreign": "theirs (/x)"}, node=None), "Foreign", ": theirs (/x)"),
        (LEFT, "Cordoned", ""),
        (but(LEFT, node=None), "Cordoned", ""),
        (but(OFFERED, node=None), "NodeUnknown", ""),
        (
            but(OFFERED, node=change(OFFERED.node, metadata=change(OFFERED.node.metadata, labels={}))),  # type: ignore[union-attr, type-var]
            "NoHostname",
            "",
        ),
        (
            but(OFFERED, node_names_with_hostname=("a", "b"), status={"disk": None}),
            "HostnameConflict",
            "a, b",
        ),
        (but(OFFERED, status={"disk": None}, around={"twin": "t"}), "NotObserved", ""),
        (but(OFFERED, disk={"presence": Presence.CONFLICT, "message": "two"}), "Conflict", "two"),
        (but(OFFERED, disk={"presence": Presence.NOT_MOUNTED}), "NotMounted", ""),
        (but(OFFERED, disk={"presence": Presence.STUCK, "message": "m"}), "Stuck", " (m)"),
        (but(OFFERED, disk={"presence": Presence.WRONG_DISK}, around={"twin": "t"}), "WrongDisk", ""),
        (but(OFFERED, around={"twin": "t", "unsurveyed": True}, elsewhere=(pv(OTHER),)), "Conflict", "t"),
        (
            but(OFFERED, elsewhere=(pv(OTHER), pv(NEXT)), admin={"cordon": True}),
            "Conflict",
            f"tenancy {OLD} on this disk is that of PersistentVolume {NAME}-{OTHER}",
        ),
        (but(OFFERED, around={"unsurveyed": True}), "", ""),
        (but(BLANK, around={"unsurveyed": True}, admin={"cordon": True}), "NotObserved", ""),
        (but(OFFERED, admin={"cordon": True, "retire": True}), "Cordoned", ""),
        (but(OFFERED, admin={"retire": True}), "Retired", ""),
    ],
)
def test_the_first_trouble_is_the_one_that_is_shown(world: World, trouble: str, note: str) -> None:
    seen = look(world)
    assert (seen.trouble, seen.trouble_note) == (trouble, note)


# --- whether what is on the disk agrees with the record ---

WITHDRAWN = but(OFFERED, status={"volume_uid": "", "withdrawn": OLD}, pvs=())
UUID = change(HARDWARE, fs_uuid="u1")
AWAY = but(
    WITHDRAWN,
    spec={"source": Source(device="/dev/x"), "order": order(kind="unmount", ends="", next=NEXT)},
    status={"identity": UUID, "work": work()},
    disk={"content": Content.DATA, "tenancy": "", "identity": UUID},
)
"""Retired, and unmounted by our own order."""


@pytest.mark.parametrize(
    ("world", "known"),
    [
        (BLANK, True),
        (but(BLANK, status={"disk": None}), False),
        (but(BLANK, disk={"presence": Presence.NOT_MOUNTED}), False),
        (but(BLANK, disk={"journal_broken": True}), False),
        (but(BLANK, disk={"trash": ("order-0",)}), False),
        (but(BLANK, disk={"journal": OLD}), False),
        (but(BLANK, status={"tenancy": OLD}), False),
        (but(BLANK, status=DIRTY), False),
        (but(BLANK, disk={"content": Content.UNKNOWN}), False),
        (but(BLANK, disk={"content": Content.DATA}), False),
        (WITHDRAWN, True),
        (but(WITHDRAWN, status={"volume_uid": "pv-a"}), True),
        (but(WITHDRAWN, status={"withdrawn": ""}), True),
        (OFFERED, False),
        (but(WITHDRAWN, disk={"empty": False}), False),
        (but(WITHDRAWN, disk={"journal": OTHER}), False),
        (but(WITHDRAWN, disk={"tenancy": OTHER, "journal": OTHER}), False),
        (but(WITHDRAWN, status={"tenancy": "", "withdrawn": ""}), True),
        (but(WITHDRAWN, status=DIRTY), False),
        (but(WITHDRAWN, disk={"in_use": "pod x"}), False),
        (but(WITHDRAWN, disk={"claims": ("c",)}), False),
        (AWAY, True),
        (but(AWAY, status={"work": None}), False),
        (but(AWAY, status={"work": work(WorkState.FAILED)}), False),
        (but(AWAY, status={"work": work(order_id="order-0")}), False),
        (but(AWAY, spec={"order": None}), False),
        (but(AWAY, spec={"order": order(kind="prepare", ends="", next=NEXT)}), False),
        (but(AWAY, disk={"identity": HARDWARE}), False),
        (but(AWAY, disk={"content": Content.UNKNOWN}), False),
        (but(AWAY, disk={"journal": OTHER}), False),
        (but(AWAY, status={"volume_uid": "pv-a", "withdrawn": ""}), False),
        (but(AWAY, status=DIRTY), False),
    ],
)
def test_what_is_on_the_disk_is_known_where_every_witness_agrees(world: World, known: bool) -> None:
    assert look(world).disk_known is known
    assert is_known(world) is known


def test_what_is_known_and_in_use_is_known_to_be_in_use() -> None:
    for base in (WITHDRAWN, but(WITHDRAWN, disk={"in_use": "pod x"})):
        assert is_known(base, used=True)
    used = {"in_use": "pod x", "empty": False}
    assert not is_known(but(WITHDRAWN, disk=used), used=True)
    # Whether a raw device is zero nobody looks while somebody has it.
    assert is_known(but(WITHDRAWN, disk={**used, "made": "Block"}), used=True)
    assert not is_known(but(WITHDRAWN, disk={**used, "made": "Block"}))
    assert not is_known(but(WITHDRAWN, disk={"empty": False, "made": "Block"}), used=True)


def test_the_facts_that_are_passed_on_as_they_are() -> None:
    seen = look(OFFERED)
    assert seen.pv is OFFERED.pvs[0]
    assert seen.disk is OFFERED.volume.status.disk


@pytest.mark.parametrize(
    ("world", "note"),
    [
        (BLANK, ""),
        (but(BLANK, disk={"message": "slow"}), " (slow)"),
        (
            but(BLANK, disk={"message": "slow"}, around={"moved": "it is at /dev/x"}),
            " (slow; it is at /dev/x)",
        ),
        (but(BLANK, status={"disk": None}), ""),
        (but(BLANK, status={"disk": None}, around={"moved": "it is at /dev/x"}), " (it is at /dev/x)"),
    ],
)
def test_what_its_daemon_says_and_where_it_is_stand_behind_a_disks_trouble(world: World, note: str) -> None:
    assert presence_note(world) == note
