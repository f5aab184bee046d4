"""A plan in a line, and the worlds that plans are made of."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.life.cluster import NAME
from tests.unit.life.worlds import (
    BLANK,
    COMMITTED,
    HARDWARE,
    NEXT,
    NOW,
    OFFERED,
    OLD,
    RELEASED,
    but,
    change,
    order,
    question,
    work,
)
from tidb_volume import names
from tidb_volume.fleet import Fleet, FleetSpec
from tidb_volume.life import actions
from tidb_volume.life.actions import Plan
from tidb_volume.life.plan import plan
from tidb_volume.life.world import Daemon, World
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import (
    Adopt,
    Answer,
    Content,
    Meta,
    Order,
    Restore,
    Retry,
    Source,
    WorkState,
)

AWAY = Daemon(ready=False, since=Instant(NOW - 1000))
RUNNING = work(WorkState.RUNNING)
FAILED = work(WorkState.FAILED, "EIO")
REFUSED = work(WorkState.REFUSED, "Odd")
ADOPT = {"adopt": Adopt(question="q-1", action="Wipe")}
RESTORE = {"restore": Restore(question="q-1")}


def at(seconds: float, id_: str = "order-1") -> Retry:
    return Retry(order=id_, at=format_instant(Instant(NOW + seconds)))


def settled(world: World) -> World:
    """With all written that is to be remembered or shown."""
    for _ in range(5):
        action = plan(NOW, world).action
        if not isinstance(action, actions.PatchStatus):
            return world
        world = change(world, volume=change(world.volume, status=action.status))
    raise AssertionError("it is never done with its status")


def told(planned: Plan) -> str:
    """A plan in a line."""
    match planned.action:
        case None:
            text = ""
        case actions.WriteOrder(order=None, why=why):
            text = f"no order: {why}"
        case actions.WriteOrder(order=Order() as made, why=why):
            what = "withdrawn" if made.withdrawn else f"{made.kind} {made.ends[:1]}>{made.next[:1]}"
            text = f"{what} {made.attempt}: {why}"
        case actions.DeletePv(name=name, why=why):
            text = f"delete {name[-1]}: {why}"
        case actions.CreatePv(manifest=manifest):
            text = f"create {manifest['metadata']['name'][-1]}"
        case actions.CountWipe(tenancy=tenancy):
            text = f"count {tenancy}"
        case actions.CountClaim(uid=uid):
            text = f"count {uid}"
        case actions.DeleteClaim(namespace=namespace, name=name):
            text = f"delete claim {namespace}/{name}"
        case actions.WriteSpec(why=why):
            text = f"spec: {why}"
        case actions.DeleteVolume(why=why):
            text = f"delete volume: {why}"
        case other:
            text = type(other).__name__
    return f"{text}@{planned.again_at - NOW:g}" if planned.again_at is not None else text


def step(world: World) -> str:
    return told(plan(NOW, settled(world)))


FIRST = but(BLANK, spec={"order": order(kind="prepare", ends="", pv_uid="", attempt=2)})
"""The order for its first use stands, another leader's."""
OURS = {"orders": frozenset({"order-1"})}
COUNTED = but(RELEASED, mine={"counted": frozenset({OLD})})
ORDERED = but(COUNTED, spec={"order": order(attempt=2)}, mine=OURS)
WIPE = "released, and nothing stands against the wipe"
AGAIN = but(COMMITTED, spec={"order": order(attempt=2)})
GONE = but(
    RELEASED,
    admin=ADOPT,
    status={"question": question("gone", f"gone:{OLD}, with tenancy:{OLD}::")},
    pvs=(),
)
"""Its PersistentVolume was deleted by hand, and a person said: wipe it."""
GONE_ORDERED = but(
    GONE,
    spec={"order": order(kind="prepare", answer="q-1", pv_uid="pv-z", attempt=2)},
    mine={**OURS, "counted": frozenset({"q-1"})},
)
ENDING = {"deletion_timestamp": "2027-01-01T00:00:00Z"}
PV_OLD, PV_NEXT = (names.pv_name(NAME, each) for each in (OLD, NEXT))
PAUSED = Fleet(metadata=Meta(name="fleet"), spec=FleetSpec(paused=True))
WIPE_NOW = {"wipe_now": Answer(question="q-1")}
DEVICE = Source(device="/dev/x")
UUID = change(HARDWARE, fs_uuid="u1")
READY = "clean: made ready to be offered"
FREE = but(OFFERED, status={"volume_uid": "", "volume_name": "", "withdrawn": OLD}, pvs=())
DATA = but(BLANK, disk={"content": Content.DATA, "content_note": "xfs"})
ABOUT = "data::xfs: on serial=S1 model=M size_bytes=1073741824"
ADOPTED = but(DATA, admin=ADOPT, status={"question": question("adopt", ABOUT)})
ANSWERED = but(ADOPTED, mine={"counted": frozenset({"q-1"})})
BACK = but(COMMITTED, admin=RESTORE)
WITHDRAWN = {"mine": OURS, "status": {"work": work(WorkState.REFUSED, "Withdrawn")}}
"""The daemon has said that it will not begin."""
ASKED_BACK = "a person asked to have it back"


def rows(*table: tuple[World, str]) -> Any:
    return pytest.mark.parametrize(("world", "planned"), table)
