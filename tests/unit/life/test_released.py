"""The next step for a disk whose claim is gone, of every state that it can be in."""

from __future__ import annotations

from tests.unit.life.plans import (
    ADOPT,
    ASKED_BACK,
    AWAY,
    COUNTED,
    ENDING,
    FAILED,
    GONE,
    GONE_ORDERED,
    ORDERED,
    REFUSED,
    RESTORE,
    WIPE,
    WITHDRAWN,
    at,
    rows,
    step,
)
from tests.unit.life.worlds import (
    NOW,
    OLD,
    OTHER,
    RELEASED,
    but,
    order,
    with_pv,
    work,
)
from tidb_volume.life.world import World
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import WorkState

ASKED_FOR = but(GONE, admin={"adopt": None, **RESTORE})
GONE_TOLD = but(ASKED_FOR, spec={"order": order(withdrawn=True)}, **WITHDRAWN)
"""Deleted by hand, and asked back; the same, and the daemon has answered."""


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
    (ASKED_FOR, f"withdrawn 0: {ASKED_BACK}"),
    (but(ASKED_FOR, spec={"order": order()}), f"withdrawn 0: {ASKED_BACK}"),
    (GONE_TOLD, "create a"),
    (but(GONE_TOLD, mine={"orders": frozenset()}), f"withdrawn 0: {ASKED_BACK}"),
    (but(GONE_TOLD, disk={"tenancy": OTHER}), ""),
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
