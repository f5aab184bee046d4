"""The next step of each stage, to the letter: once all is written that is remembered and shown."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.life.cluster import NAME
from tests.unit.life.plans import (
    ADOPT,
    AGAIN,
    AWAY,
    COUNTED,
    FAILED,
    FIRST,
    GONE,
    GONE_ORDERED,
    ORDERED,
    OURS,
    REFUSED,
    RESTORE,
    RUNNING,
    WIPE,
    at,
    settled,
    step,
)
from tests.unit.life.worlds import (
    BLANK,
    BOUND,
    CLAIM,
    COMMITTED,
    FRESH,
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
from tidb_volume.life import actions, orders
from tidb_volume.life.plan import plan
from tidb_volume.life.world import Annotated, World
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import (
    Adopt,
    Answer,
    Content,
    Fleet,
    FleetSpec,
    Identity,
    Meta,
    Order,
    Presence,
    Source,
    WipePolicy,
    WorkState,
)

ENDING = {"deletion_timestamp": "2027-01-01T00:00:00Z"}
PV_OLD, PV_NEXT, PV_OTHER = (names.pv_name(NAME, each) for each in (OLD, NEXT, OTHER))
PAUSED = Fleet(metadata=Meta(name="fleet"), spec=FleetSpec(paused=True))
WIPE_NOW = {"wipe_now": Answer(question="q-1")}
DEVICE = Source(device="/dev/x")
UUID = change(HARDWARE, fs_uuid="u1")


def rows(*table: tuple[World, str]) -> Any:
    return pytest.mark.parametrize(("world", "planned"), table)


# --- before all else ---


@rows(
    (BLANK, "prepare >d 0: clean: made ready to be offered"),
    (but(BLANK, volume=change(BLANK.volume, metadata=change(BLANK.volume.metadata, **ENDING))), ""),
    (OFFERED, ""),
    (BOUND, ""),
    # A second offer, of a deposed leader's call that came late.
    (but(BOUND, pvs=(*BOUND.pvs, pv(OTHER))), "delete c: a disk has one PersistentVolume"),
    (but(OFFERED, pvs=(*OFFERED.pvs, pv(OTHER))), "delete c: a disk has one PersistentVolume"),
    (but(BOUND, pvs=(*BOUND.pvs, pv(OTHER, "Released", CLAIM))), ""),
    (
        but(BOUND, pvs=(*BOUND.pvs, pv(OTHER)), spec={"order": order(ends=OTHER, pv_uid="pv-c")}),
        "no order: not now: a disk has one PersistentVolume",
    ),
    # The annotation.
    (with_pv(BOUND, annotations={}), "AnnotatePv"),
    (
        but(with_pv(BOUND, annotations={}), mine={"annotated": Annotated(pv_uid="pv-a", times=1, at=NOW)}),
        "@60",
    ),
    (
        but(
            with_pv(RELEASED, annotations={}),
            status={"wipe_at": format_instant(Instant(NOW + 7))},
            mine={"annotated": Annotated(pv_uid="pv-a", times=1, at=NOW)},
        ),
        "@7",
    ),
    (
        but(
            with_pv(RELEASED, annotations={}),
            status={"wipe_at": format_instant(Instant(NOW + 700))},
            mine={"annotated": Annotated(pv_uid="pv-a", times=1, at=NOW)},
        ),
        "@60",
    ),
)
def test_what_comes_before_the_life_of_a_disk(world: World, planned: str) -> None:
    assert step(world) == planned


GONE_FOR_GOOD = but(
    RELEASED, disk={"presence": Presence.NOT_PRESENT}, admin={"forget": Answer(question="q-1")}
)


@rows(
    (GONE_FOR_GOOD, "delete a: forgotten by a person: NOT WIPED"),
    (with_pv(GONE_FOR_GOOD, **ENDING), ""),
    (
        but(GONE_FOR_GOOD, pvs=(), mine={"deleted": frozenset({"pv-a"})}),
        "delete volume: forgotten by a person: NOT WIPED",
    ),
    (
        but(GONE_FOR_GOOD, spec={"order": order()}),
        "no order: not now: forgotten by a person: NOT WIPED",
    ),
    (but(GONE_FOR_GOOD, admin={"forget": Answer(question="q-0")}), ""),
)
def test_a_record_that_a_person_ends(world: World, planned: str) -> None:
    assert step(world) == planned


# --- claimed ---

LOST = but(
    BOUND,
    spec={"source": DEVICE, "fs_type": "xfs", "wipe": WipePolicy(on_release="wipe", method="format")},
    wanted={"source": DEVICE, "fs_type": "xfs"},
    status={"identity": UUID},
    disk={"content": Content.DATA, "tenancy": "", "journal": "", "in_use": "", "identity": UUID},
)
"""Its journal is lost, and all else agrees."""
MOUNT = order(kind="mount", ends="", next=OLD, pv_uid="", attempt=2)
MOUNTING = but(LOST, spec={"order": MOUNT})


@rows(
    (but(BOUND, spec={"order": order()}), "no order: a claim has it"),
    (but(BOUND, spec={"order": order(ends=OTHER)}), ""),
    (but(BOUND, pool={"after": "2h"}), "spec: the inventory says so"),
    (but(BOUND, pool={"after": "1s"}), ""),
    (but(BOUND, pool={"name": "gold"}), ""),
    (but(LOST, pool={"after": "2h"}), "spec: the inventory says so"),
    (LOST, "mount >a 0: its journal is lost, and hardware and file system are those on record"),
    (but(LOST, daemon=AWAY), ""),
    (MOUNTING, ""),
    (but(MOUNTING, status={"work": RUNNING}), ""),
    (but(MOUNTING, status={"work": FAILED}), "@120"),
    (but(MOUNTING, status={"work": FAILED, "retry": at(1)}), "@1"),
    (
        but(MOUNTING, status={"work": FAILED, "retry": at(0)}),
        "mount >a 3: its journal is lost, and hardware and file system are those on record",
    ),
    (
        but(MOUNTING, status={"work": work(), "retry": at(-1)}),
        "mount >a 3: its journal is lost, and hardware and file system are those on record",
    ),
    (but(MOUNTING, disk={"tenancy": OLD}), ""),
)
def test_a_disk_that_a_claim_has(world: World, planned: str) -> None:
    assert step(world) == planned


# --- on offer ---

EDITED = "delete a: the inventory's entry was edited"
DIFFERS = "delete a: the disk does not agree that this tenancy is on offer"
OPENED = "delete a: somebody has the raw device, and may write to it"
BLOCK = but(
    OFFERED,
    spec={"source": DEVICE, "volume_mode": "Block", "wipe": WipePolicy(on_release="wipe", method="zero")},
    wanted={"source": DEVICE, "volume_mode": "Block"},
)


@rows(
    (with_pv(OFFERED, **ENDING), ""),
    (but(with_pv(OFFERED, **ENDING), mine={"deleted": frozenset({"pv-a"})}), ""),
    (but(OFFERED, admin={"cordon": True}), "delete a: Cordoned"),
    (but(OFFERED, desired=None), "delete a: Dropped"),
    (but(OFFERED, pool={"name": "gold"}), EDITED),
    (but(OFFERED, pool={"on_release": "keep"}), EDITED),
    (but(OFFERED, pool={"after": "2h"}), "spec: the inventory says so"),
    (but(OFFERED, pool={"after": "1s", "gates": ("g",)}), "spec: the inventory says so"),
    (but(OFFERED, status={"tenancy": OTHER}), "delete a: this record does not know its tenancy"),
    (but(OFFERED, disk={"content": Content.DATA}), DIFFERS),
    (but(OFFERED, disk={"content": Content.BLANK}), DIFFERS),
    (but(OFFERED, disk={"tenancy": OTHER}), DIFFERS),
    (but(OFFERED, disk={"journal": OTHER}), DIFFERS),
    (but(OFFERED, disk={"tenancy": OTHER, "journal": OTHER}), DIFFERS),
    (but(OFFERED, disk={"journal_broken": True}), DIFFERS),
    (but(OFFERED, disk={"trash": ("order-0",)}), DIFFERS),
    (but(OFFERED, disk={"in_use": "pod x"}), ""),
    (but(OFFERED, disk={"empty": False}), "delete a: its data is another tenant's"),
    (but(OFFERED, disk={"claims": ("c",)}), "delete a: its data is another tenant's"),
    (but(OFFERED, status={"dirty": True}), "delete a: its data is another tenant's"),
    (
        but(OFFERED, disk={"trash": ("order-0",)}, spec={"order": order()}),
        "no order: not now: the disk does not agree that this tenancy is on offer",
    ),
    (but(BLOCK, disk={"content": Content.DATA}), DIFFERS),
    (but(BLOCK, disk={"content": Content.BLANK, "tenancy": "", "journal": ""}), DIFFERS),
    (but(BLOCK, disk={"in_use": "smartd"}), OPENED),
    (but(BLOCK, disk={"in_use": "smartd", "empty": False, "made": "Block"}), OPENED),
    (but(BLOCK, disk={"empty": False, "made": "Block"}), "delete a: its data is another tenant's"),
    (BLOCK, ""),
)
def test_an_offer_stays_while_all_agrees(world: World, planned: str) -> None:
    assert step(world) == planned


# --- free, and not on offer ---

READY = "clean: made ready to be offered"
FREE = but(OFFERED, status={"volume_uid": "", "volume_name": "", "withdrawn": OLD}, pvs=())
MADE = but(
    FIRST,
    status={"work": work()},
    disk={"content": Content.TENANCY, "tenancy": NEXT, "journal": NEXT, "empty": True},
)
DATA = but(BLANK, disk={"content": Content.DATA, "content_note": "xfs"})
ABOUT = "data::xfs: on serial=S1 model=M size_bytes=1073741824"
ADOPTED = but(DATA, admin=ADOPT, status={"question": question("adopt", ABOUT)})
ANSWERED = but(ADOPTED, mine={"counted": frozenset({"q-1"})})
ADOPTING_SPEC = {"order": order(kind="prepare", ends="", answer="q-1", pv_uid="", attempt=2)}
ADOPTING = but(ANSWERED, spec=ADOPTING_SPEC)
ELSE = Identity(serial="S2", size_bytes=200)
KEPT = but(
    DATA,
    admin={"adopt": Adopt(question="q-1", action="Keep", claim=change(CLAIM, uid=""))},
    status={
        "question": question(
            "adopt", "data::entries of others: x: on serial=S1 model=M size_bytes=1073741824"
        )
    },
    disk={"content_note": "entries of others: x"},
)
WITHDRAWN = {"mine": OURS, "status": {"work": work(WorkState.REFUSED, "Withdrawn")}}
TOLD = but(KEPT, spec={"order": order(ends="", pv_uid="", withdrawn=True)}, **WITHDRAWN)
"""The daemon has said that it will not begin."""
ASKED_BACK = "a person asked to have it back"
LOST = but(GONE, admin={"adopt": None, **RESTORE})
LOST_TOLD = but(LOST, spec={"order": order(withdrawn=True)}, **WITHDRAWN)
"""Deleted by hand, and asked back; the same, and the daemon has answered."""
UNLISTED = but(BLANK, desired=None)


@rows(
    (UNLISTED, "delete volume: no entry lists it, and nobody had it"),
    (but(BLANK, desired=None, left_by_label=True), ""),
    (but(BLANK, pool={"name": "gold"}), "spec: the inventory says so"),
    (but(BLANK, pool={"after": "1s"}), "spec: the inventory says so"),
    (but(BLANK, pool={"name": "gold"}, admin={"cordon": True}), "spec: the inventory says so"),
    (but(BLANK, admin={"cordon": True}), ""),
    (but(BLANK, daemon=AWAY), ""),
    (FREE, f"prepare a>d 0: {READY}"),
    (but(BLANK, status={"tenancy": OLD}, disk={"journal": OLD}), ""),
    # What is not ours any more is not made ready.
    (but(FIRST, around={"foreign": "p"}), "no order: not any more: Foreign"),
    (but(FIRST, around={"never": "*"}), "no order: not any more: Never"),
    (but(FIRST, wanted={"conflict": "two"}), "no order: not any more: Conflict"),
    (but(FIRST, admin={"cordon": True}), ""),
    (but(FIRST, around={"foreign": "p"}, status={"work": work(WorkState.RUNNING, begun=True)}), ""),
    (but(BLANK, around={"foreign": "p"}), ""),
    # An order stands.
    (FIRST, ""),
    (but(FIRST, mine=OURS), ""),
    (but(FIRST, spec={"order": order(kind="prepare", ends="", withdrawn=True)}), f"prepare >d 0: {READY}"),
    (but(FIRST, status={"work": FAILED}), "@120"),
    (but(FIRST, status={"work": FAILED, "retry": at(0.5)}), "@0.5"),
    (but(FIRST, status={"work": FAILED, "retry": at(0)}), f"prepare >d 3: {READY}"),
    (but(FIRST, status={"work": REFUSED, "retry": at(0)}), f"prepare >d 3: {READY}"),
    (but(FIRST, spec={"order": order(ends=OTHER)}), "no order: the record of what it was to end is gone"),
    (
        but(FIRST, spec={"order": order(kind="prepare", ends="", answer="q-0")}),
        "no order: another leader's order that was never committed",
    ),
    (
        but(FIRST, spec={"order": order(kind="prepare", ends="", answer="q-0")}, status={"work": RUNNING}),
        "no order: another leader's order that was never committed",
    ),
    # It is done.
    (but(MADE, mine=OURS), "create b"),
    (MADE, "prepare >b 2: asked again under this leader"),
    (
        but(MADE, mine=OURS, spec={"order": order(kind="prepare", ends="", offer=False)}),
        f"prepare b>d 0: {READY}",
    ),
    (
        but(
            BLANK,
            mine=OURS,
            spec={"order": order(kind="prepare", ends="", offer=False)},
            status={"work": work()},
        ),
        f"prepare >d 0: {READY}",
    ),
    (but(MADE, mine=OURS, disk={"empty": False}), ""),
    (but(MADE, disk={"empty": False}), ""),
    (but(FIRST, spec={"order": order(kind="prepare", ends="", answer="q-0")}, mine=OURS), ""),
    (
        but(MADE, mine=OURS, disk={"in_use": "pod x"}),
        "",
    ),
    # Unknown data.
    (DATA, ""),
    (ADOPTED, "count q-1"),
    (ANSWERED, "prepare >d 0: a person said: wipe it"),
    (
        but(ADOPTED, status={"tenancy": OLD}, mine={"counted": frozenset({OLD})}),
        "prepare >d 0: a person said: wipe it",
    ),
    (but(ANSWERED, fleet=PAUSED), ""),
    (but(ADOPTING, mine=OURS), ""),
    (but(FIRST, mine=OURS, spec={"order": order(kind="prepare", ends="", identity=ELSE)}), ""),
    (
        but(ADOPTING, mine=OURS, spec={"order": change(ADOPTING.volume.spec.order, identity=ELSE)}),
        "no order: a person answered about another disk",
    ),
    (but(ADOPTING, mine=OURS, status={"work": FAILED, "retry": at(0)}), "prepare >b 3: tried again"),
    (but(ADOPTING, status={"work": FAILED, "retry": at(0)}), "prepare >d 3: a person said: wipe it"),
    # To be given to a claim: the daemon is asked first, what is on record of the disk may be of before.
    (KEPT, f"withdrawn 0: {ASKED_BACK}"),
    (TOLD, "create d"),
    (but(TOLD, mine={"orders": frozenset()}), f"withdrawn 0: {ASKED_BACK}"),
    (but(TOLD, status={"work": RUNNING}), ""),
    (but(TOLD, disk={"in_use": "x"}), "create d"),
    (
        but(KEPT, spec=ADOPTING_SPEC, disk={"content": Content.BLANK, "content_note": ""}),
        "no order: another leader's order that was never committed",
    ),
    (but(KEPT, disk={"content": Content.BLANK, "content_note": ""}), f"prepare >d 0: {READY}"),
)
def test_a_disk_that_nobody_has(world: World, planned: str) -> None:
    assert step(world) == planned


# --- retired ---

AWAY_ORDER = order(kind="unmount", ends="", pv_uid="", attempt=2, offer=False)
RETIRED = but(
    FREE,
    spec={"source": DEVICE, "fs_type": "xfs", "wipe": WipePolicy(on_release="wipe", method="format")},
    wanted={"source": DEVICE, "fs_type": "xfs"},
    admin={"retire": True},
    status={"identity": UUID},
    disk={"identity": UUID},
)
UNMOUNT = "retired, and nobody has it"


@rows(
    (RETIRED, f"unmount >d 0: {UNMOUNT}"),
    (but(RETIRED, admin={"retire": False, "cordon": True}), ""),
    (but(BLANK, admin={"retire": True}), ""),
    (but(RETIRED, spec={"order": AWAY_ORDER}), ""),
    (but(RETIRED, spec={"order": AWAY_ORDER}, status={"work": RUNNING}), ""),
    (but(RETIRED, spec={"order": AWAY_ORDER}, status={"work": FAILED}), "@120"),
    (
        but(RETIRED, spec={"order": AWAY_ORDER}, status={"work": FAILED, "retry": at(0)}),
        f"unmount >d 3: {UNMOUNT}",
    ),
    (
        but(RETIRED, spec={"order": AWAY_ORDER}, status={"work": REFUSED, "retry": at(0)}),
        f"unmount >d 3: {UNMOUNT}",
    ),
    (but(RETIRED, spec={"order": AWAY_ORDER}, status={"work": work()}), f"unmount >d 3: {UNMOUNT}"),
    (but(RETIRED, spec={"order": order(kind="prepare", ends=OLD, attempt=2)}), f"unmount >d 0: {UNMOUNT}"),
    (
        but(
            RETIRED,
            spec={"order": order(kind="prepare", ends=OLD)},
            status={"work": work()},
            disk={"tenancy": NEXT, "journal": NEXT},
        ),
        "prepare a>b 0: asked again under this leader",
    ),
    (
        but(
            RETIRED,
            spec={"order": order(kind="prepare", ends=OLD, offer=False)},
            status={"work": work()},
            disk={"tenancy": NEXT, "journal": NEXT},
            mine=OURS,
        ),
        "",
    ),
)
def test_a_retired_disk_is_put_away_once_nobody_has_it(world: World, planned: str) -> None:
    assert step(world) == planned


# --- released ---


@rows(
    (RELEASED, f"count {OLD}"),
    (COUNTED, f"reclaim a>d 0: {WIPE}"),
    (but(COUNTED, daemon=AWAY), ""),
    (ORDERED, "delete a: the wipe is ordered"),
    (but(ORDERED, mine={"orders": frozenset()}), f"reclaim a>d 0: {WIPE}"),
    (but(ORDERED, spec={"order": order(ends=OTHER)}), f"reclaim a>d 0: {WIPE}"),
    (but(ORDERED, spec={"order": order(pv_uid="pv-z")}), f"reclaim a>d 0: {WIPE}"),
    (but(ORDERED, spec={"order": None}), f"reclaim a>d 0: {WIPE}"),
    (but(ORDERED, status={"work": REFUSED}), "@120"),
    (but(ORDERED, status={"work": REFUSED, "retry": at(0)}), f"reclaim a>d 3: {WIPE}"),
    (but(ORDERED, spec={"order": order()}, status={"work": REFUSED}), f"reclaim a>d 1: {WIPE}"),
    (but(ORDERED, status={"work": work(WorkState.REFUSED, "HasData")}), "delete a: the wipe is ordered"),
    # What stands against it.
    (but(ORDERED, admin={"hold": True}), "no order: not now: Held"),
    (but(COUNTED, admin={"hold": True}), ""),
    (but(ORDERED, status={"work": REFUSED}, admin={"hold": True}), ""),
    (but(COUNTED, status={"wipe_at": format_instant(Instant(NOW + 5))}), "@5"),
    (but(ORDERED, status={"wipe_at": format_instant(Instant(NOW + 5))}), "no order: not now: Countdown"),
    (but(COUNTED, pool={"after": "2h"}), "spec: the inventory says so"),
    (but(COUNTED, pool={"after": "1s", "name": "gold"}), f"reclaim a>d 0: {WIPE}"),
    (but(COUNTED, admin=RESTORE), "SetClaimRef"),
    # A hand cleared its claimRef, or it goes.
    (with_pv(COUNTED, phase="Available", spec={"claim_ref": None}), "delete a: its data is another tenant's"),
    (
        with_pv(ORDERED, phase="Available", spec={"claim_ref": None}),
        "no order: not now: its data is another tenant's",
    ),
    (but(with_pv(RELEASED, **ENDING), admin=ADOPT), ""),
    # It is gone, and a person answers.
    (LOST, f"withdrawn 0: {ASKED_BACK}"),
    (but(LOST, spec={"order": order()}), f"withdrawn 0: {ASKED_BACK}"),
    (LOST_TOLD, "create a"),
    (but(LOST_TOLD, mine={"orders": frozenset()}), f"withdrawn 0: {ASKED_BACK}"),
    (but(LOST_TOLD, disk={"tenancy": OTHER}), ""),
    (but(GONE, admin={"adopt": None}), ""),
    (GONE, "count q-1"),
    (but(GONE, mine={"counted": frozenset({"q-1"})}), "prepare a>d 0: a person said: wipe it"),
    (but(GONE, mine={"counted": frozenset({OLD})}), "prepare a>d 0: a person said: wipe it"),
    (GONE_ORDERED, ""),
    (but(GONE_ORDERED, mine={"orders": frozenset()}), "prepare a>d 3: a person said: wipe it"),
    (
        but(GONE_ORDERED, spec={"order": order(answer="q-0", attempt=2)}),
        "prepare a>d 0: a person said: wipe it",
    ),
    (but(GONE_ORDERED, status={"work": REFUSED}), "@120"),
    (but(GONE_ORDERED, status={"work": REFUSED, "retry": at(0)}), "prepare a>d 3: a person said: wipe it"),
    (but(GONE_ORDERED, status={"work": FAILED, "retry": at(0)}), "prepare a>d 3: a person said: wipe it"),
    (
        but(
            GONE,
            desired=None,
            left_by_label=True,
            status={"disk": None},
            mine={"counted": frozenset({"q-1"})},
        ),
        "prepare >d 0: a person said: wipe it",
    ),
)
def test_a_released_disk(world: World, planned: str) -> None:
    assert step(world) == planned


# --- committed ---

BACK = but(COMMITTED, admin=RESTORE)
TAKEN = but(BACK, spec={"order": order(withdrawn=True, attempt=2)})
ENDED = but(
    COMMITTED,
    spec={"order": order(kind="prepare", ends="", answer="q-1", pv_uid="")},
    status={"dirty": False, "tenancy": "", "owner": None, "volume_uid": "", "volume_name": ""},
)
GIVEN = but(TAKEN, status={"work": work(WorkState.REFUSED, "Withdrawn")})


@rows(
    (COMMITTED, ""),
    (but(COMMITTED, pvs=(pv(OTHER),)), "delete c: this record does not know its tenancy"),
    (but(COMMITTED, pvs=(pv(NEXT),)), "delete b: this record does not know its tenancy"),
    # A person asks to have it back.
    (BACK, "withdrawn 0: a person asked to have it back"),
    (but(BACK, spec={"order": None}), "withdrawn 0: a person asked to have it back"),
    (TAKEN, ""),
    (GIVEN, "create a"),
    (but(GIVEN, mine={"orders": frozenset()}), "withdrawn 0: a person asked to have it back"),
    (with_pv(but(GIVEN, pvs=(pv(OTHER),)), **ENDING), ""),
    # What was nobody's, and is ended on a person's answer.
    (but(ENDED, pool={"after": "1s", "name": "gold"}), "spec: the inventory says so"),
    (but(ENDED, pool={"on_release": "keep", "name": "gold"}), ""),
    (but(TAKEN, mine={"orders": frozenset()}), ""),
    (but(BACK, status={"work": work(WorkState.RUNNING, begun=True)}), ""),
    # What came since.
    (but(COMMITTED, pool={"after": "2h"}), "spec: the inventory says so"),
    (but(COMMITTED, pool={"after": "2h"}, status={"work": work(WorkState.RUNNING, begun=True)}), ""),
    (but(COMMITTED, pool={"after": "1s"}), ""),
    (but(COMMITTED, around={"foreign": "p"}), "withdrawn 0: not now: Foreign"),
    (but(COMMITTED, around={"foreign": "p"}, status={"work": work(WorkState.RUNNING, begun=True)}), ""),
    (but(COMMITTED, around={"foreign": "p"}, status={"work": REFUSED}), ""),
    (but(COMMITTED, around={"foreign": "p"}, status={"work": FAILED}), ""),
    (but(COMMITTED, around={"foreign": "p"}, spec={"order": None}), ""),
    (but(COMMITTED, around={"foreign": "p"}, spec={"order": order(withdrawn=True)}), ""),
    (but(COMMITTED, admin={"hold": True}), ""),
    (but(COMMITTED, admin={"gates": {"g": ""}}), ""),
    (but(COMMITTED, admin={"hold": True}, spec={"order": None}), ""),
    # The order.
    (but(COMMITTED, spec={"order": None}), "reclaim a>d 0: the committed wipe has no order"),
    (but(AGAIN, spec={"order": order(withdrawn=True)}), "reclaim a>b 0: the committed wipe has no order"),
    (
        but(AGAIN, spec={"order": order(id="order-8")}),
        "reclaim a>b 0: the order that stands is not the committed one",
    ),
    (but(AGAIN, mine={"orders": frozenset()}), ""),
    (
        but(AGAIN, spec={"order": order(ends=OTHER)}, status={"committed": "order-0"}),
        "reclaim a>d 0: the order that stands is not the committed one",
    ),
    (but(AGAIN, status={"work": FAILED}), "@120"),
    (but(AGAIN, status={"work": FAILED, "retry": at(0)}), "reclaim a>b 3: tried again"),
    (but(AGAIN, status={"work": REFUSED, "retry": at(0)}), "reclaim a>b 3: tried again"),
    (but(AGAIN, status={"work": FAILED, "retry": at(0)}, fleet=PAUSED), ""),
    (but(AGAIN, status={"work": RUNNING}), ""),
    # It is done.
    (WIPED, "create b"),
    (but(WIPED, mine={"orders": frozenset()}), "reclaim a>b 0: asked again under this leader"),
    (but(WIPED, disk={"empty": False}), ""),
    (but(WIPED, around={"foreign": "p"}), ""),
    (but(WIPED, pvs=(pv(OTHER, "Released", CLAIM),), status={"tenancy": OTHER}), ""),
    (but(WIPED, pool={"name": "gold"}), "spec: the inventory says so"),
    (but(WIPED, pool={"on_release": "keep"}), "spec: the inventory says so"),
    (but(WIPED, spec={"order": order(offer=False)}, mine={"orders": frozenset()}), f"prepare b>d 0: {READY}"),
)
def test_a_committed_wipe(world: World, planned: str) -> None:
    assert step(world) == planned


# --- word for word ---


def ordered(world: World) -> Order | None:
    action = plan(NOW, settled(world)).action
    assert isinstance(action, actions.WriteOrder)
    return action.order


BASE = Order(
    id="order-9",
    kind="reclaim",
    method="files",
    identity=HARDWARE,
    ends=OLD,
    next=FRESH,
    offer=True,
    asked=orders.POLICY,
    epoch=1,
    leader="a",
)


@pytest.mark.parametrize(
    ("world", "made"),
    [
        (COUNTED, change(BASE, pv_name=PV_OLD, pv_uid="pv-a", claim_uid=CLAIM.uid)),
        (
            but(COUNTED, admin=WIPE_NOW),
            change(BASE, pv_name=PV_OLD, pv_uid="pv-a", claim_uid=CLAIM.uid, answer="q-1", asked="wipe-now"),
        ),
        (but(COUNTED, admin=ADOPT), change(BASE, pv_name=PV_OLD, pv_uid="pv-a", claim_uid=CLAIM.uid)),
        (with_pv(COUNTED, spec={"claim_ref": None}), change(BASE, pv_name=PV_OLD, pv_uid="pv-a")),
        (
            but(GONE, mine={"counted": frozenset({"q-1"})}),
            change(BASE, kind="prepare", answer="q-1", whole_disk=True, pv_name=PV_OLD, asked="adopt: Wipe"),
        ),
        (
            but(
                ANSWERED,
                disk={"content": Content.DATA, "tenancy": OTHER},
                status={"question": question("adopt", ABOUT.replace("::", f":{OTHER}:"))},
            ),
            change(BASE, kind="prepare", ends=OTHER, answer="q-1", whole_disk=True, asked="adopt: Wipe"),
        ),
        (FREE, change(BASE, kind="prepare", asked="")),
        (
            but(COMMITTED, around={"foreign": "p"}),
            order(withdrawn=True),
        ),
        (BACK, order(withdrawn=True)),
        (
            but(BACK, spec={"order": None}),
            change(BASE, withdrawn=True),
        ),
    ],
)
def test_what_an_order_names(world: World, made: Order) -> None:
    assert ordered(world) == made


def specified(world: World) -> Any:
    action = plan(NOW, settled(world)).action
    assert isinstance(action, actions.WriteSpec)
    return action.spec


def test_an_edit_is_written_whole_for_a_free_disk_and_for_one_in_use_only_where_it_is_stricter() -> None:
    pool: dict[str, Any] = {
        "name": "gold",
        "on_release": "keep",
        "after": "2h",
        "gates": ("g",),
        "labels": {"a": "b"},
        "mount_options": ("noatime",),
    }
    wanted = {"fs_type": "ext4"}
    free = specified(but(BLANK, pool=pool, wanted=wanted))
    wipe = WipePolicy(on_release="keep", after="2h", method="files", gates=("g",))
    assert free == change(
        BLANK.volume.spec,
        pool="gold",
        fs_type="ext4",
        mount_options=("noatime",),
        labels={"a": "b"},
        wipe=wipe,
    )
    block = specified(but(BLANK, wanted={"volume_mode": "Block"}))
    assert block.volume_mode == "Block"
    for used in (BOUND, COUNTED):
        assert specified(but(used, pool=pool, wanted=wanted)) == change(used.volume.spec, wipe=wipe)
    gentle = {"after": "1s", "gates": ("h",)}
    offered = specified(but(OFFERED, pool=gentle))
    assert offered.wipe == WipePolicy(on_release="wipe", after="1s", method="files", gates=("h",))
    assert offered == change(OFFERED.volume.spec, wipe=offered.wipe)
    assert specified(but(BOUND, pool=gentle)).wipe == WipePolicy(
        on_release="wipe", after="1h", method="files", gates=("h",)
    )


def test_the_volume_of_a_tenancy_that_our_order_made_is_the_one_offered() -> None:
    for world in (WIPED, but(MADE, mine=OURS)):
        action = plan(NOW, settled(world)).action
        assert isinstance(action, actions.CreatePv)
        assert action.manifest["metadata"]["name"] == PV_NEXT
        assert action.manifest["spec"]["capacity"] == {"storage": "1048576Ki"}
        (term,) = action.manifest["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
        assert term["matchExpressions"][0]["values"] == ["host-1"]
