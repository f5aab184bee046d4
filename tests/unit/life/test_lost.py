"""A node that is lost: when the claims on its disks are let go, what stands against it, and what is said."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.life.plans import rows, step
from tests.unit.life.stages import bound
from tests.unit.life.worlds import BLANK, BOUND, CLAIM, NOW, OFFERED, RELEASED, but, change
from tidb_volume.fleet import Budget, Fleet, FleetSpec
from tidb_volume.life import actions, answers, breaker, daemon, lost
from tidb_volume.life.actions import Plan
from tidb_volume.life.look import look
from tidb_volume.life.plan import plan
from tidb_volume.life.status import compute
from tidb_volume.life.world import World
from tidb_volume.units import Instant, format_instant
from tidb_volume.upstream import NodeSpec, Pod, PodSpec, Taint
from tidb_volume.value import Answer, Meta, Phase, SlimMeta


def fleet(**spec: Any) -> Fleet:
    return Fleet(metadata=Meta(name="fleet"), spec=FleetSpec(**spec))


AFTER_S = 1800.0
SINCE = format_instant(Instant(NOW - AFTER_S))
"""The wait is over at this very moment."""
A_SECOND_LATER, AHEAD = (format_instant(Instant(NOW + each)) for each in (1 - AFTER_S, 60))
POD = Pod(metadata=SlimMeta(namespace="db", name="data-0", uid="p"), spec=PodSpec(node_name="node-1"))
assert BLANK.node is not None
READY = BLANK.node
OUT = change(READY, spec=NodeSpec(taints=(Taint(key=daemon.OUT_OF_SERVICE, effect="NoExecute"),)))
TAINTED = change(READY, spec=NodeSpec(taints=(Taint(key="node.kubernetes.io/unreachable"),)))


def lost_one(world: World = BOUND, **fields: Any) -> World:
    """Its node is gone since half an hour, and its pool lets claims go after that."""
    pool = {"node_loss": "30m", **fields.pop("pool", {})}
    status = {"lost_since": SINCE, **fields.pop("status", {})}
    return but(world, **{"node": None, **fields}, pool=pool, status=status)


LOST = lost_one()
COUNTED = lost_one(mine={"counted": frozenset({CLAIM.uid})})
DELETE = "delete claim db/data-0"


@rows(
    (LOST, f"count {CLAIM.uid}"),
    (COUNTED, DELETE),
    (but(COUNTED, node=OUT), DELETE),
    # never one that came back, or only does not answer
    (but(COUNTED, node=READY), ""),
    (but(COUNTED, node=TAINTED), ""),
    # nor before its time, which begins again where people may not have been heard
    (but(COUNTED, status={"lost_since": A_SECOND_LATER}), "@1"),
    (but(COUNTED, missed_until=Instant(NOW - 10)), f"@{AFTER_S - 10:g}"),
    # nor where the pool waits for a person, as it does where nothing is said
    (but(COUNTED, pool={"node_loss": "wait"}), ""),
    (but(COUNTED, desired=None), ""),
    # nor with anything in the way
    (but(COUNTED, pods=(POD,)), ""),
    (but(COUNTED, admin={"hold": True}), ""),
    (but(COUNTED, fleet=None), ""),
    (but(COUNTED, fleet=fleet(paused=True)), ""),
    (but(COUNTED, fleet=fleet(mode="manual")), ""),
    (but(COUNTED, pool={"mode": "manual"}), ""),
    # nor twice, nor another one of that name
    (but(COUNTED, claim=None), ""),
    # and only where somebody has it
    (lost_one(OFFERED), "delete a: NodeUnknown"),
)
def test_the_claim_of_a_lost_node_is_let_go_after_its_time_and_with_nothing_in_the_way(
    world: World, planned: str
) -> None:
    assert step(world) == planned


def test_a_claim_that_is_being_deleted_is_deleted_once() -> None:
    assert COUNTED.claim is not None
    going = change(COUNTED.claim, metadata=change(COUNTED.claim.metadata, deletion_timestamp=SINCE))
    assert step(but(COUNTED, claim=going)) == ""


def test_what_is_deleted_is_the_claim_that_was_read() -> None:
    assert COUNTED.claim is not None
    read = change(COUNTED.claim, metadata=change(COUNTED.claim.metadata, resource_version="42"))
    world = but(COUNTED, claim=read)
    world = change(world, volume=change(world.volume, status=compute(world, look(world), NOW)))
    action = plan(NOW, world).action
    assert msgspec.structs.asdict(action) == {
        "namespace": "db",
        "name": "data-0",
        "uid": CLAIM.uid,
        "resource_version": "42",
        "node": "node-1",
        "why": f"node node-1 is lost since {SINCE}, and pool tikv lets claims go after 30m",
    }


@pytest.mark.notices("controller: a node that is back lets its claims go")
def test_what_is_on_record_of_a_node_that_is_back_lets_nothing_go() -> None:
    world = but(COUNTED, node=READY)
    assert lost.step(NOW, world, look(world)) == Plan()


def test_a_loss_that_is_not_on_record_lets_nothing_go() -> None:
    world = but(COUNTED, status={"lost_since": ""})
    assert lost.step(NOW, world, look(world)) == Plan()


def test_since_when_is_written_also_where_all_else_is_shown_already() -> None:
    world = but(BOUND, node=None)
    said = compute(world, look(world), NOW)
    world = change(world, volume=change(world.volume, status=change(said, lost_since="")))
    action = plan(NOW, world).action
    assert isinstance(action, actions.PatchStatus)
    assert action.status.lost_since == format_instant(NOW)


def test_the_taint_is_the_one_that_kubernetes_knows() -> None:
    assert daemon.OUT_OF_SERVICE == "node.kubernetes.io/out-of-service"


def shown(world: World, now: Instant = NOW) -> Any:
    return compute(world, look(world), now)


@pytest.mark.parametrize(
    ("world", "since"),
    [
        (but(BOUND, node=None), format_instant(NOW)),
        (but(BOUND, node=OUT), format_instant(NOW)),
        (LOST, SINCE),
        (
            but(BOUND, node=None, status={"lost_since": format_instant(Instant(NOW + 60))}),
            format_instant(NOW),
        ),
        (but(LOST, node=READY), ""),
        (but(LOST, node=TAINTED), ""),
        (but(RELEASED, node=None), ""),
        (but(OFFERED, node=None), ""),
    ],
)
def test_since_when_it_is_lost_is_on_record_while_a_claim_has_it(world: World, since: str) -> None:
    assert shown(world).lost_since == since


@pytest.mark.parametrize(
    ("world", "said"),
    [
        (but(BLANK, node=None), "the Node object is gone"),
        (
            but(BOUND, node=None),
            "the Node object is gone; its pod waits for this disk until its claim is deleted",
        ),
        (
            but(BOUND, node=OUT),
            "the Node is tainted out-of-service; its pod waits for this disk until its claim is deleted",
        ),
        (LOST, f"the Node object is gone; its claim is let go at {format_instant(NOW)}"),
        (
            but(LOST, pods=(POD,), admin={"hold": True}),
            f"the Node object is gone; its claim is let go at {format_instant(NOW)}, but not while the"
            " volume is held",
        ),
        (
            but(LOST, pods=(POD,)),
            f"the Node object is gone; its claim is let go at {format_instant(NOW)}, but not while a pod that"
            " uses it is still recorded on that node",
        ),
    ],
)
def test_a_lost_node_is_said_with_what_follows(world: World, said: str) -> None:
    (told,) = [each for each in shown(world).conditions if each.type == "NodeReady"]
    assert (told.reason, told.message) == ("NodeLost", said)


def test_a_claim_that_goes_is_said() -> None:
    not_written = but(LOST, status={"lost_since": ""})
    assert lost.said(not_written, look(not_written)) == "the Node object is gone"
    assert LOST.claim is not None
    going = but(
        LOST, claim=change(LOST.claim, metadata=change(LOST.claim.metadata, deletion_timestamp=SINCE))
    )
    assert "its claim is being deleted, so that its user starts elsewhere" in lost.said(going, look(going))


def test_a_released_disk_of_a_lost_node_is_ordered_nothing_and_waits() -> None:
    for node in (None, OUT):
        world = but(RELEASED, node=node)
        assert (shown(world).phase, shown(world).reason) == (Phase.RELEASED, "NodeLost")
        assert daemon.absent(world) == "NodeLost"


def test_a_daemon_that_is_away_says_nothing_beside_a_lost_node() -> None:
    long_ago = Instant(NOW - 10 * daemon.PAUSE)
    world = but(BOUND, node=OUT, daemon=change(BOUND.daemon, ready=False, since=long_ago))
    assert not daemon.is_away(world, NOW)
    assert [each.type for each in shown(world).conditions] == ["NodeReady"]


def test_a_disk_of_a_node_out_of_service_may_be_forgotten_once_no_claim_has_it() -> None:
    asked = shown(but(RELEASED, node=OUT)).question
    assert asked is not None
    world = but(RELEASED, node=OUT, status={"question": asked}, admin={"forget": Answer(question=asked.id)})
    assert answers.forgets(world, look(world))
    assert not answers.forgets(but(world, node=READY), look(world))


def test_claims_have_a_budget_of_their_own() -> None:
    made = fleet(budget=Budget(claims_per_hour=2))
    for _ in range(2):
        after = breaker.spend(made, 100, NOW, wipes=0, claims=1)
        assert not after.tripped
        made = change(made, status=change(made.status, breaker=after))
    assert [(line.wipes, line.claims) for line in made.status.breaker.ledger] == [(0, 2)]
    assert not breaker.spend(made, 100, NOW, wipes=1).tripped, "wipes are counted apart"
    less = change(made, spec=FleetSpec(budget=Budget(claims_per_hour=1)))
    assert not breaker.spend(less, 100, NOW, wipes=1).tripped, "also where the other budget is overspent"
    after = breaker.spend(made, 100, NOW, wipes=0, claims=1)
    assert (after.tripped, after.reason) == (True, "3 claims let go within an hour; the budget is 2")


@pytest.mark.parametrize(
    ("budget", "volumes", "limit"),
    [(Budget(), 1000, 5), (Budget(claims_per_hour=50), 100, 10), (Budget(claims_per_hour=50), 10, 5)],
)
def test_a_share_of_the_fleet_bounds_claims_too(budget: Budget, volumes: int, limit: int) -> None:
    assert breaker.claims_limit(budget, volumes) == limit


def test_a_claim_is_let_go_and_its_disk_is_wiped_when_the_node_is_back() -> None:
    sim = bound(after="0s", node_loss="30m")
    before = sim.status.tenancy
    sim.cluster.out_of_service(True)
    sim.settle()
    sim.later(1700)
    assert (sim.status.phase, sim.status.state) == (Phase.BOUND, "Bound (node lost)")
    sim.later(200)
    assert sim.status.phase is Phase.BOUND, "its pod is still there"
    sim.cluster.etcd.pods.clear()
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.RELEASED, "NodeLost")
    assert "db/data-0" not in sim.cluster.etcd.claims
    sim.later(1e6)
    assert not sim.wiped
    sim.cluster.out_of_service(False)
    sim.node_side.kubelet()
    sim.look()
    sim.settle()
    assert sim.status.phase is Phase.AVAILABLE
    assert sim.wiped == [before]


@pytest.mark.notices("controller: a claim of a lost node is let go at once")
def test_a_node_that_comes_back_in_time_keeps_its_claims_and_the_wait_begins_anew() -> None:
    sim = bound(after="0s", node_loss="30m")
    sim.cluster.etcd.pods.clear()
    sim.cluster.out_of_service(True)
    sim.settle()
    sim.later(1700)
    sim.cluster.out_of_service(False)
    sim.settle()
    assert sim.status.lost_since == ""
    sim.cluster.out_of_service(True)
    sim.settle()
    sim.later(1700)
    assert sim.status.phase is Phase.BOUND
    sim.later(200)
    assert sim.status.phase is Phase.RELEASED
