"""The next step for a disk that nobody has, of every state that it can be in."""

from __future__ import annotations

from tests.unit.life.plans import (
    ADOPTED,
    ANSWERED,
    ASKED_BACK,
    AWAY,
    DATA,
    DEVICE,
    ENDING,
    FAILED,
    FIRST,
    FREE,
    OURS,
    PAUSED,
    PV_NEXT,
    READY,
    REFUSED,
    RUNNING,
    UUID,
    WITHDRAWN,
    at,
    rows,
    settled,
    step,
)
from tests.unit.life.worlds import (
    BLANK,
    CLAIM,
    NEXT,
    NOW,
    OFFERED,
    OLD,
    OTHER,
    WIPED,
    but,
    change,
    order,
    question,
    with_pv,
    work,
)
from tidb_volume.fleet import Breaker, FleetSpec, FleetStatus
from tidb_volume.life import actions, free
from tidb_volume.life.actions import Plan
from tidb_volume.life.look import look
from tidb_volume.life.plan import plan
from tidb_volume.life.world import World
from tidb_volume.value import Adopt, Content, Identity, WipePolicy, WorkState

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


# --- not on offer ---

MADE = but(
    FIRST,
    status={"work": work()},
    disk={"content": Content.TENANCY, "tenancy": NEXT, "journal": NEXT, "empty": True},
)
FOUND = work(WorkState.REFUSED, "HasData")
HALF_WAY = but(FIRST, disk={"content": Content.TENANCY, "tenancy": NEXT, "empty": True})
"""Its folder is made, and the journal does not have it."""
ADOPTING_SPEC = {"order": order(kind="prepare", ends="", answer="q-1", pv_uid="", attempt=2)}
ADOPTING = but(ANSWERED, spec=ADOPTING_SPEC)
ON_ANOTHER = {"order": order(kind="prepare", ends="", answer="q-0", pv_uid="", attempt=2)}
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
TOLD = but(
    KEPT,
    spec={"order": order(ends="", pv_uid="", withdrawn=True)},
    disk={"journal": NEXT, "at_root": True},
    **WITHDRAWN,
)
"""The daemon has said that it will not begin, and has it journalled whose it is."""
UNWITNESSED = {"disk": {"at_root": False, "journal": ""}}
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
    # What it left half-way, the daemon knows by the same next tenancy.
    (but(HALF_WAY, status={"work": FAILED}), "@120"),
    (but(HALF_WAY, status={"work": FAILED, "retry": at(0)}), "prepare >b 3: tried again"),
    (but(HALF_WAY, status={"work": REFUSED, "retry": at(0)}), "prepare >b 3: tried again"),
    (but(HALF_WAY, status={"work": FOUND, "retry": at(0)}), ""),
    (
        but(HALF_WAY, status={"work": FAILED, "retry": at(0)}, spec={"order": order(kind="unmount")}),
        "",
    ),
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
    # An answer given since what was in vain waits for no pause.
    (but(ADOPTING, mine=OURS, status={"work": FOUND}), "@120"),
    (but(ANSWERED, spec=ON_ANOTHER, status={"work": FOUND}), "prepare >d 3: a person said: wipe it"),
    (but(DATA, spec=ON_ANOTHER, status={"work": FOUND}), "@120"),
    (but(DATA, spec=ON_ANOTHER, status={"work": FOUND, "question": None}), "@120"),
    # To be given to a claim: the daemon is asked first, what is on record of the disk may be of before.
    (KEPT, f"withdrawn 0: {ASKED_BACK}"),
    (TOLD, "create b"),
    (but(TOLD, mine={"orders": frozenset()}), f"withdrawn 0: {ASKED_BACK}"),
    (but(TOLD, status={"work": RUNNING}), ""),
    (but(TOLD, status={"work": FOUND}), "@30"),
    (but(TOLD, status={"work": FOUND, "retry": at(0)}), f"withdrawn 1: {ASKED_BACK}"),
    (but(TOLD, disk={"in_use": "x"}), "create b"),
    # Not journalled: asked again after a pause, for the same.
    (but(TOLD, **UNWITNESSED), "@30"),
    (but(TOLD, **UNWITNESSED, status={"retry": at(0)}), f"withdrawn 1: {ASKED_BACK}"),
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
    spec={"source": DEVICE, "fs_type": "xfs", "wipe": WipePolicy(on_release="wipe", method="auto")},
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


def test_the_volume_of_a_tenancy_that_our_order_made_is_the_one_offered() -> None:
    for world in (WIPED, but(MADE, mine=OURS)):
        action = plan(NOW, settled(world)).action
        assert isinstance(action, actions.CreatePv)
        assert action.manifest["metadata"]["name"] == PV_NEXT
        assert action.manifest["spec"]["capacity"] == {"storage": "1048576Ki"}
        (term,) = action.manifest["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
        assert term["matchExpressions"][0]["values"] == ["host-1"]


def test_nothing_is_offered_that_the_disk_does_not_show_whoever_asks() -> None:
    for world in (but(WIPED, disk={"empty": False}), but(WIPED, disk={"journal": OTHER})):
        assert free.make_offer(world, look(world)) == Plan()
    assert free.make_offer(WIPED, look(WIPED)) != Plan()


def test_what_was_wiped_is_not_offered_under_an_open_breaker_and_what_nobody_had_is() -> None:
    closed = WIPED.fleet
    assert closed is not None
    tripped = change(closed, status=FleetStatus(breaker=Breaker(tripped=True)))
    paused = change(closed, spec=FleetSpec(paused=True))
    new = but(MADE, mine=OURS)
    for fleet, offered in ((tripped, False), (None, False), (paused, True), (closed, True)):
        assert (free.make_offer(but(WIPED, fleet=fleet), look(WIPED)) != Plan()) is offered
        assert free.make_offer(but(new, fleet=fleet), look(new)) != Plan()
