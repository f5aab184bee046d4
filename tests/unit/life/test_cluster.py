"""The API in memory and its Kubernetes do what the real ones do: the cases of tests/api on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from tests.api.binding_cases import *  # noqa: F403
from tests.api.life_cases import *  # noqa: F403
from tests.api.life_cases import Refused
from tests.unit.life.cluster import Cluster, Conflict, change, desired, pool, spec_of
from tests.unit.life.machine import Disk, Letter, Machine
from tests.unit.life.simulate import IDENTITY, Controller, Node
from tidb_volume.fleet import Fleet
from tidb_volume.life.actions import Action
from tidb_volume.upstream import Claim, Pv
from tidb_volume.value import DiskReport, Ref, Volume, Work

T = TypeVar("T")
WANTED = desired(pool(on_release="wipe"))


class Model:
    """The cluster of the state machine, with its controller and its daemon."""

    namespace, word = "db", "data"

    def __init__(self) -> None:
        self.cluster = Cluster(WANTED)
        self.spec = spec_of(WANTED)
        self.hostname = f"host-of-{self.cluster.node_name}"

    def settle(self) -> None:
        self.cluster.kube()

    def make_volume(self) -> Volume:
        return _told(lambda: self.cluster.create_volume(self.spec))

    def volume(self) -> Volume | None:
        return self.cluster.etcd.volume

    def do(self, volume: Volume, action: Action, fleet: Fleet | None = None) -> None:
        controller = Controller(self.cluster, WANTED)
        controller.view.volume, controller.view.fleet = volume, fleet
        _told(lambda: controller.do(volume, action))

    def report(self, volume: Volume, disk: DiskReport, work: Work | None = None) -> None:
        Node(self.cluster, Machine(Disk(IDENTITY))).write(Letter(volume.metadata.uid, disk, work))

    def say(self, **admin: Any) -> None:
        volume = self.cluster.etcd.volume
        assert volume is not None
        self.cluster.change_volume(spec=change(volume.spec, admin=change(volume.spec.admin, **admin)))

    def remove_volume(self) -> None:
        self.cluster.delete_volume()

    def fleet(self) -> Fleet:
        assert self.cluster.etcd.fleet is not None
        return self.cluster.etcd.fleet

    def make_pv(self, manifest: dict[str, Any]) -> Pv:
        return _told(lambda: self.cluster.create_pv(manifest))

    def pv(self, name: str) -> Pv | None:
        return self.cluster.etcd.pvs.get(name)

    def point(self, name: str, ref: Ref | None) -> None:
        self.cluster.change_pv(name, spec=change(self.cluster.etcd.pvs[name].spec, claim_ref=ref))

    def set_policy(self, name: str, policy: str) -> None:
        spec = change(self.cluster.etcd.pvs[name].spec, persistent_volume_reclaim_policy=policy)
        self.cluster.change_pv(name, spec=spec)

    def strip(self, name: str) -> None:
        bare = change(self.cluster.etcd.pvs[name].metadata, labels={}, annotations={})
        self.cluster.change_pv(name, metadata=bare)

    def delete_pv(self, name: str, uid: str = "", resource_version: str = "") -> None:
        _told(lambda: self.cluster.delete_pv(name, uid, resource_version))

    def force_pv(self, name: str) -> None:
        self.cluster.force_pv(name)

    def make_claim(self, key: str, volume_name: str = "") -> Claim:
        return _told(lambda: self.cluster.create_claim(key, volume_name))

    def claim(self, key: str) -> Claim | None:
        return self.cluster.etcd.claims.get(key)

    def delete_claim(self, key: str) -> None:
        self.cluster.delete_claim(key)

    def choose(self, key: str) -> bool:
        chosen = self.cluster.choose(key)
        self.cluster.kube()
        return chosen

    def start_pod(self, key: str) -> None:
        self.cluster.start_pod(key)

    def end_pod(self, key: str) -> None:
        del self.cluster.etcd.pods[key]


def _told(call: Callable[[], T]) -> T:
    try:
        return call()
    except Conflict as error:
        raise Refused(*error.args) from error


@pytest.fixture
def kube() -> Model:
    return Model()
