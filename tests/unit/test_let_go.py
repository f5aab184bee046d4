"""A claim of a lost node is deleted as it was read, while the node is lost, and on record."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest

from tests.unit.test_actor import Rig
from tests.unit.test_said_on_record import on_record
from tidb_volume import names
from tidb_volume.kube import kinds, transport
from tidb_volume.life import actions, daemon
from tidb_volume.units import Instant
from tidb_volume.upstream import Claim

NOW = Instant(1_800_000_000.0)
NODE = "node-1"
OUT = {"taints": [{"key": daemon.OUT_OF_SERVICE, "effect": "NoExecute"}]}
change = msgspec.structs.replace


class Scene(Rig):
    """The claim that has the volume, and a fleet object."""

    def __init__(self, **fleet: Any) -> None:
        super().__init__()
        self.claim = self.make_claim()
        self.cluster.claims.put(self.claim)
        made = self.api.create(kinds.TIDB_VOLUME_FLEET, {"metadata": {"name": names.FLEET}, "spec": fleet})
        self.cluster.fleets.put(made)

    def make_claim(self) -> Claim:
        self.api.create(kinds.CLAIM, {"metadata": {"name": "data-0"}, "spec": {}}, "db")
        return self.let_loose()

    def let_loose(self) -> Claim:
        """Without the finalizer that the server gives every claim (pvc-protection)."""
        return self.api.merge_patch(kinds.CLAIM, "data-0", {"metadata": {"finalizers": None}}, "db")

    def node(self, spec: dict[str, Any] | None = None) -> None:
        self.api.create(kinds.NODE, {"metadata": {"name": NODE}, "spec": spec or {}})

    def let_go(self) -> None:
        meta = self.claim.metadata
        decided = actions.DeleteClaim(
            namespace="db",
            name="data-0",
            uid=meta.uid,
            resource_version=meta.resource_version,
            node=NODE,
            why="node node-1 is lost",
        )
        self.actor.do(self.volume, decided, NOW)

    @property
    def is_there(self) -> bool:
        return self.api.find(kinds.CLAIM, "data-0", "db") is not None


@pytest.mark.parametrize("node", [None, OUT], ids=["gone", "out of service"])
def test_it_is_deleted_and_told(node: dict[str, Any] | None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scene = Scene()
    if node is not None:
        scene.node(node)
    scene.let_go()
    assert not scene.is_there
    assert scene.cluster.claims.get("data-0", "db") is None
    (line,) = on_record(caplog)
    assert (line.what, line.asked, line.message) == ("unclaimed", "nodeLoss: release", "node node-1 is lost")
    assert (str(line.claim), line.volume) == ("db/data-0", "v1")


def test_a_node_that_is_there_again_keeps_its_claims_though_no_watch_has_shown_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    scene = Scene()
    scene.node()
    scene.let_go()
    assert scene.is_there
    assert on_record(caplog) == []
    assert scene.cluster.nodes.get(NODE) is not None, "what is decided next knows it"


@pytest.mark.parametrize("since", ["changed", "made anew"])
def test_a_claim_that_is_another_than_was_read_stays(since: str) -> None:
    scene = Scene()
    if since == "changed":
        scene.api.merge_patch(kinds.CLAIM, "data-0", {"metadata": {"labels": {"a": "b"}}}, "db")
    else:
        scene.api.delete(kinds.CLAIM, "data-0", "db")
        scene.make_claim()
    with pytest.raises(transport.ApiError) as error:
        scene.let_go()
    assert error.value.conflict
    assert scene.is_there


def test_a_claim_that_a_finalizer_keeps_is_known_to_be_going() -> None:
    scene = Scene()
    finalizers = {"metadata": {"finalizers": ["kubernetes.io/pvc-protection"]}}
    scene.claim = scene.api.merge_patch(kinds.CLAIM, "data-0", finalizers, "db")
    scene.let_go()
    known = scene.cluster.claims.get("data-0", "db")
    assert known is not None
    assert known.metadata.deletion_timestamp


def test_each_is_counted_before_and_not_where_the_budget_has_no_room() -> None:
    scene = Scene(budget={"wipesPerHour": 20, "claimsPerHour": 1, "percent": 100, "atLeast": 5})
    scene.actor.do(scene.volume, actions.CountClaim(uid="c-1"), NOW)
    scene.actor.do(scene.volume, actions.CountClaim(uid="c-2"), NOW)
    assert scene.memory.mine("v1").counted == {"c-1"}
    breaker = scene.api.get(kinds.TIDB_VOLUME_FLEET, names.FLEET).status.breaker
    assert (breaker.tripped, breaker.reason) == (True, "2 claims let go within an hour; the budget is 1")
    assert [(line.wipes, line.claims) for line in breaker.ledger] == [(0, 1)]
