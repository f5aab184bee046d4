"""What was decided about one thing is done to no other: every write names what it was decided on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.model.apiserver import ApiServer
from tests.unit.test_terms import manifest_of
from tidb_volume import names
from tidb_volume.kube import kinds, transport
from tidb_volume.kube.events import Recorder
from tidb_volume.kube.kinds import Kind
from tidb_volume.kube.queue import Queue
from tidb_volume.life import actions, offer
from tidb_volume.life.actions import Action
from tidb_volume.obs.metrics import Metrics
from tidb_volume.units import Instant
from tidb_volume.upstream import Pv
from tidb_volume.value import Order, Phase, Ref, Volume
from volume_controller.act import Actor
from volume_controller.cluster import Cluster, Key
from volume_controller.snapshot import Memory
from volume_controller.tell import Teller

change = msgspec.structs.replace
TENANCY = "aaaaaaaaaaaa"
PV_NAME = names.pv_name("v1", TENANCY)


class Rig:
    """One volume and its PersistentVolume on the model of the API server, and who acts on them."""

    def __init__(self) -> None:
        self.server = ApiServer()
        self.api = self.server.client()
        self.volume = self.make_volume()
        self.pv = self.make_pv()
        queue: Queue[Key] = Queue()
        self.recorder = Recorder(self.api, component="test", host="test")
        teller = Teller(self.recorder, Metrics())
        self.memory = Memory()
        self.cluster = Cluster(queue, "ns")
        self.actor = Actor(self.api, self.cluster, self.memory, teller, leading=lambda: True)

    def make_volume(self) -> Volume:
        return self.api.create(kinds.TIDB_VOLUME, manifest_of("v1"))

    def make_pv(self) -> Pv:
        manifest = offer.persistent_volume("v1", self.volume.spec, TENANCY, "host-1", 1 << 30)
        return self.api.create(kinds.PV, manifest)

    def everything(self) -> tuple[Any, Any]:
        """What the server has."""
        volume = self.server.document(kinds.TIDB_VOLUME, "v1")
        return volume, self.server.document(kinds.PV, PV_NAME)


def _reclaim(rig: Rig) -> Action:
    order = Order(id="o1", kind="reclaim", ends=TENANCY, next="bbbbbbbbbbbb")
    return actions.WriteOrder(order=order, why="released")


def _available(rig: Rig) -> Action:
    status = change(rig.volume.status, phase=Phase.AVAILABLE, tenancy=TENANCY)
    return actions.PatchStatus(status=status, why="on offer")


def _delete(rig: Rig) -> Action:
    meta = rig.pv.metadata
    return actions.DeletePv(
        name=meta.name, uid=meta.uid, resource_version=meta.resource_version, why="the wipe is ordered"
    )


def _give(rig: Rig) -> Action:
    meta = rig.pv.metadata
    return actions.SetClaimRef(
        name=meta.name,
        uid=meta.uid,
        resource_version=meta.resource_version,
        patch=offer.pointing_at(Ref(namespace="db", name="data-0")),
        why="a person gave its data",
    )


def _annotate(rig: Rig) -> Action:
    taken_off = {"metadata": {"annotations": {names.PROVISIONED_BY: None}}}
    meta = rig.api.merge_patch(kinds.PV, PV_NAME, taken_off).metadata
    return actions.AnnotatePv(name=meta.name, uid=meta.uid, resource_version=meta.resource_version, times=1)


ACTS: list[tuple[Callable[[Rig], Action], Kind[Any], str]] = [
    (_reclaim, kinds.TIDB_VOLUME, "v1"),
    (_available, kinds.TIDB_VOLUME, "v1"),
    (
        lambda rig: actions.WriteSpec(spec=change(rig.volume.spec, pool="other"), why="the inventory"),
        kinds.TIDB_VOLUME,
        "v1",
    ),
    (lambda rig: actions.DeleteVolume(why="no entry lists it"), kinds.TIDB_VOLUME, "v1"),
    (_delete, kinds.PV, PV_NAME),
    (_give, kinds.PV, PV_NAME),
    (_annotate, kinds.PV, PV_NAME),
]
WHAT = ["an order", "a status", "an edit", "the end of a volume", "a delete", "a gift", "an annotation"]


@pytest.mark.notices("controller: PersistentVolumes are deleted with the UID alone", "a delete-changed")
@pytest.mark.parametrize("since", ["changed", "made anew"])
@pytest.mark.parametrize(("act", "kind", "name"), ACTS, ids=WHAT)
def test_what_was_decided_before_a_change_is_not_done(
    act: Callable[[Rig], Action], kind: Kind[Any], name: str, since: str
) -> None:
    """A hold, a claim that binds, a patch to Retain: each changes what the decision was made on."""
    rig = Rig()
    decided = act(rig)
    if since == "changed":
        rig.api.merge_patch(kind, name, {"metadata": {"labels": {"somebody": "was here"}}})
    else:
        rig.api.merge_patch(kind, name, {"metadata": {"finalizers": None}})
        rig.api.delete(kind, name)
        _ = rig.make_volume() if kind is kinds.TIDB_VOLUME else rig.make_pv()
    before = rig.everything()
    with pytest.raises(transport.ApiError) as error:
        rig.actor.do(rig.volume, decided, Instant(1_800_000_000.0))
    assert error.value.conflict
    assert rig.everything() == before
    assert rig.memory.mine("v1") == Memory().mine("v1"), "what was not done is not remembered as done"


@pytest.mark.parametrize(("act", "kind", "name"), ACTS, ids=WHAT)
def test_what_was_decided_on_what_is_there_is_done(
    act: Callable[[Rig], Action], kind: Kind[Any], name: str
) -> None:
    rig = Rig()
    decided, before = act(rig), rig.everything()
    rig.actor.do(rig.volume, decided, Instant(1_800_000_000.0))
    assert rig.everything() != before
