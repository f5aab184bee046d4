"""The next step of a committed wipe, of every state that it can be in."""

from __future__ import annotations

from tests.unit.life.plans import (
    AGAIN,
    BACK,
    ENDING,
    FAILED,
    PAUSED,
    READY,
    REFUSED,
    RUNNING,
    at,
    rows,
    step,
)
from tests.unit.life.worlds import (
    CLAIM,
    COMMITTED,
    NEXT,
    OTHER,
    WIPED,
    but,
    order,
    pv,
    with_pv,
    work,
)
from tidb_volume.life.world import World
from tidb_volume.value import WorkState

TAKEN = but(BACK, spec={"order": order(withdrawn=True, attempt=2)})
ENDED = but(
    COMMITTED,
    spec={"order": order(kind="prepare", ends="", answer="q-1", pv_uid="")},
    status={"dirty": False, "tenancy": "", "owner": None, "volume_uid": "", "volume_name": ""},
)
BELIED = but(WIPED, disk={"empty": False})
BELIED_WHY, ASKED_AGAIN = "the disk does not show it any more", "asked again under this leader"
READY_DISK = {"tenancy": NEXT, "journal": NEXT, "empty": True}
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
    # The daemon says something else than that it gives it back: it is asked again, after a pause.
    (but(TAKEN, status={"work": FAILED}), "@120"),
    (but(TAKEN, status={"work": FAILED, "retry": at(0)}), "withdrawn 3: a person asked to have it back"),
    (but(TAKEN, status={"work": REFUSED}), "@120"),
    (but(TAKEN, status={"work": REFUSED, "retry": at(0)}), "withdrawn 3: a person asked to have it back"),
    (but(BACK, status={"work": REFUSED}), "withdrawn 0: a person asked to have it back"),
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
    # Taken back too late: the daemon brings it to its end, and what it says is heard.
    (but(TAKEN, status={"work": work()}, disk=READY_DISK), "create b"),
    (but(TAKEN, status={"work": work(), "committed": "order-0"}, disk=READY_DISK), "create b"),
    (
        but(TAKEN, status={"work": work()}, disk=READY_DISK, mine={"orders": frozenset()}),
        "reclaim a>b 2: asked again under this leader",
    ),
    (but(TAKEN, status={"work": work(WorkState.RUNNING, begun=True)}), ""),
    (
        but(TAKEN, status={"work": work(WorkState.FAILED, begun=True), "retry": at(0)}),
        "reclaim a>b 3: tried again",
    ),
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
    # The disk does not show it any more.
    (BELIED, "@30"),
    (but(BELIED, status={"retry": at(0)}), f"reclaim a>b 1: {BELIED_WHY}"),
    (but(BELIED, status={"retry": at(0)}, admin={"retire": True}), f"reclaim a>b 1: {BELIED_WHY}"),
    (but(BELIED, status={"retry": at(0)}, disk={"in_use": "x"}), ""),
    (but(BELIED, status={"retry": at(0)}, around={"foreign": "p"}), ""),
    (but(BELIED, status={"retry": at(0)}, mine={"orders": frozenset()}), f"reclaim a>b 0: {ASKED_AGAIN}"),
    (but(WIPED, around={"foreign": "p"}), ""),
    (but(WIPED, pvs=(pv(OTHER, "Released", CLAIM),), status={"tenancy": OTHER}), ""),
    (but(WIPED, pool={"name": "gold"}), "spec: the inventory says so"),
    (but(WIPED, pool={"on_release": "keep"}), "spec: the inventory says so"),
    (but(WIPED, spec={"order": order(offer=False)}, mine={"orders": frozenset()}), f"prepare b>d 0: {READY}"),
)
def test_a_committed_wipe(world: World, planned: str) -> None:
    assert step(world) == planned
