"""The cases of a disk's life on a real API server, with kube-controller-manager and the scheduler."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from disk_daemon.api import write_status
from tests.api.bench import is_ready, until
from tests.api.binding_cases import *  # noqa: F403
from tests.api.life_cases import *  # noqa: F403
from tests.api.life_cases import GIB, Refused, change
from tidb_volume import names
from tidb_volume.fleet import Fleet
from tidb_volume.kube import kinds, slim, transport
from tidb_volume.kube.client import Client
from tidb_volume.kube.events import Recorder
from tidb_volume.kube.queue import Queue
from tidb_volume.life import offer
from tidb_volume.life.actions import Action
from tidb_volume.obs.metrics import Metrics
from tidb_volume.units import Instant
from tidb_volume.upstream import BINDING_MODE, Claim, Pv
from tidb_volume.value import DiskReport, Ref, Source, Volume, VolumeSpec, WipePolicy, Work
from volume_controller.act import Actor
from volume_controller.classes import NO_PROVISIONER
from volume_controller.cluster import Cluster, Key
from volume_controller.snapshot import Memory
from volume_controller.tell import Teller

pytestmark = pytest.mark.api

NOW = Instant(1_800_000_000.0)
TOUCHED = "case.example/touched"


class Place:
    """A node and a StorageClass for all cases."""

    def __init__(self, api: Client) -> None:
        self.api = api
        self.word = f"life-{secrets.token_hex(4)}"
        self.hostname = f"host-{self.word}"

    def open(self) -> None:
        document = {
            "metadata": {"name": self.word},
            "provisioner": NO_PROVISIONER,
            "volumeBindingMode": BINDING_MODE,
        }
        self.api.create(kinds.STORAGE_CLASS, document)
        labels = {names.HOSTNAME: self.hostname}
        self.api.create(kinds.NODE, {"metadata": {"name": self.word, "labels": labels}})
        room = {"cpu": "8", "memory": "8Gi", "pods": "100"}
        patch = {"status": {"capacity": room, "allocatable": room}}
        self.api.merge_patch(kinds.NODE, self.word, patch, subresource="status")
        if self.api.find(kinds.TIDB_VOLUME_FLEET, names.FLEET) is None:
            self.api.create(kinds.TIDB_VOLUME_FLEET, {"metadata": {"name": names.FLEET}})

    def close(self) -> None:
        self.api.delete(kinds.NODE, self.word)
        self.api.delete(kinds.STORAGE_CLASS, self.word)


class Real:
    """A server, and what one case made there."""

    namespace = "default"

    def __init__(self, place: Place) -> None:
        self.api, self.place, self.hostname = place.api, place.word, place.hostname
        self.word = f"case-{secrets.token_hex(4)}"
        source = Source(path=f"/data/{self.word}")
        self.name = names.volume_name(self.place, source)
        wipe = WipePolicy(on_release="wipe", after="1h")
        self.spec = VolumeSpec(node_name=self.place, pool=self.place, source=source, wipe=wipe)
        self.rounds = 0

    def close(self) -> None:
        for pod in self.api.list(kinds.POD, self.namespace, labels=f"case={self.word}")[0]:
            self._end_pod(pod.metadata.name.removeprefix(f"{self.word}-"))
        for claim in self._claims():
            with contextlib.suppress(transport.ApiError):  # it is gone by now
                self.api.delete(kinds.CLAIM, claim.metadata.name, self.namespace)
        if self.volume() is not None:
            self.remove_volume()
        for pv in self._pvs():
            self.force_pv(pv.metadata.name)

    # --- the queues of kube-controller-manager ---

    def settle(self) -> None:
        """Its workers take one object after the other, in the order in which they heard of them: what came
        before a pair that is made and goes again was looked at. Until that finds nothing to do, though
        everything was touched."""
        while self._come_and_go() or self._is_on_its_way():
            pass

    def _come_and_go(self) -> bool:
        """Whether anything else changed meanwhile."""
        self.rounds += 1
        name = f"{self.word}-last-{self.rounds}"
        manifest = offer.persistent_volume("last", self.spec, "", self.hostname, GIB)
        manifest["metadata"] |= {"name": name, "labels": {}}
        ref = Ref(namespace=self.namespace, name=name)
        self.api.create(kinds.PV, offer.given(manifest, ref))
        self._make_claim(name, name, {})
        until(f"{name} to be bound", lambda: self._phase(kinds.CLAIM, name, self.namespace) == "Bound")
        self._touch()
        before = self._versions()
        self.api.delete(kinds.CLAIM, name, self.namespace)
        until(f"{name} to be released", lambda: self._phase(kinds.PV, name) == "Released")
        self.api.delete(kinds.PV, name)
        until(f"{name} to be gone", lambda: self.api.find(kinds.PV, name) is None)
        return before != self._versions()

    def _is_on_its_way(self) -> bool:
        """Something is being deleted that nobody holds; who met a conflict tries again after a while."""
        return any(
            pv.metadata.deletion_timestamp and pv.status.phase != "Bound" for pv in self._pvs()
        ) or any(
            claim.metadata.deletion_timestamp and not self._is_used(claim.metadata.name)
            for claim in self._claims()
        )

    def _touch(self) -> None:
        patch = {"metadata": {"annotations": {TOUCHED: str(self.rounds)}}}
        with contextlib.suppress(transport.ApiError):  # it is gone by now
            for pv in self._pvs():
                self.api.merge_patch(kinds.PV, pv.metadata.name, patch)
        with contextlib.suppress(transport.ApiError):
            for claim in self._claims():
                self.api.merge_patch(kinds.CLAIM, claim.metadata.name, patch, self.namespace)

    def _versions(self) -> dict[str, str]:
        """By UID."""
        pvs = {pv.metadata.uid: pv.metadata.resource_version for pv in self._pvs()}
        return pvs | {claim.metadata.uid: claim.metadata.resource_version for claim in self._claims()}

    def _phase(self, kind: kinds.Kind[Any], name: str, namespace: str = "") -> str:
        found = self.api.find(kind, name, namespace)
        return found.status.phase if found is not None else ""

    def _claims(self) -> tuple[Claim, ...]:
        return self.api.list(kinds.CLAIM, self.namespace, labels=f"case={self.word}")[0]

    def _pvs(self) -> tuple[Pv, ...]:
        found = self.api.list(kinds.PV)[0]
        return tuple(each for each in found if each.metadata.name.startswith(self.name))

    # --- the volume and the fleet ---

    def make_volume(self) -> Volume:
        document = {"metadata": {"name": self.name}, "spec": msgspec.to_builtins(self.spec)}
        with _told():
            return self.api.create(kinds.TIDB_VOLUME, document)

    def volume(self) -> Volume | None:
        return self.api.find(kinds.TIDB_VOLUME, self.name)

    def do(self, volume: Volume, action: Action, fleet: Fleet | None = None) -> None:
        queue: Queue[Key] = Queue()
        cluster = Cluster(queue, self.namespace)
        cluster.volumes.put(volume)
        if fleet is not None:
            cluster.fleets.put(fleet)
        teller = Teller(Recorder(self.api, component="test", host="test"), Metrics())
        with _told():
            Actor(self.api, cluster, Memory(), teller, lambda: True).do(volume, action, NOW)

    def report(self, volume: Volume, disk: DiskReport, work: Work | None = None) -> None:
        with contextlib.suppress(LookupError):
            try:
                write_status(self.api, volume, disk, work)
            except transport.ApiError as error:
                if not error.not_found:
                    raise

    def say(self, **admin: Any) -> None:
        said = {name: msgspec.to_builtins(each) for name, each in admin.items()}
        words = {"wipe_now": "wipeNow"}
        patch = {"spec": {"admin": {words.get(name, name): each for name, each in said.items()}}}
        self.api.merge_patch(kinds.TIDB_VOLUME, self.name, patch)

    def remove_volume(self) -> None:
        self.api.delete(kinds.TIDB_VOLUME, self.name)

    def fleet(self) -> Fleet:
        return self.api.get(kinds.TIDB_VOLUME_FLEET, names.FLEET)

    # --- PersistentVolumes ---

    def make_pv(self, manifest: dict[str, Any]) -> Pv:
        with _told():
            return self.api.create(kinds.PV, manifest)

    def pv(self, name: str) -> Pv | None:
        found = self.api.find(kinds.PV, name)
        if found is None:
            return None
        meta = found.metadata
        kept = {key: value for key, value in meta.annotations.items() if key != TOUCHED}
        return change(found, metadata=change(meta, annotations=kept))

    def point(self, name: str, ref: Ref | None) -> None:
        claim_ref = None if ref is None else {"uid": None, "resourceVersion": None, **offer.claim_ref(ref)}
        self.api.merge_patch(kinds.PV, name, {"spec": {"claimRef": claim_ref}})

    def set_policy(self, name: str, policy: str) -> None:
        self.api.merge_patch(kinds.PV, name, {"spec": {"persistentVolumeReclaimPolicy": policy}})

    def strip(self, name: str) -> None:
        self.api.merge_patch(kinds.PV, name, {"metadata": {"labels": None, "annotations": None}})

    def delete_pv(self, name: str, uid: str = "", resource_version: str = "") -> None:
        with _told():
            self.api.delete(kinds.PV, name, uid=uid, resource_version=resource_version)

    def force_pv(self, name: str) -> None:
        with contextlib.suppress(transport.ApiError):  # it is gone by now
            self.api.delete(kinds.PV, name)
            self.api.merge_patch(kinds.PV, name, {"metadata": {"finalizers": None}})
        until(f"{name} to be gone", lambda: self.api.find(kinds.PV, name) is None)

    # --- claims and pods ---

    def make_claim(self, key: str, volume_name: str = "") -> Claim:
        with _told():
            return self._make_claim(key.rpartition("/")[2], volume_name, {"case": self.word})

    def _make_claim(self, name: str, volume_name: str, labels: dict[str, str]) -> Claim:
        spec = {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": self.place,
            "resources": {"requests": {"storage": "1Mi"}},
            "volumeName": volume_name,
        }
        document = {"metadata": {"name": name, "labels": labels}, "spec": spec}
        return self.api.create(kinds.CLAIM, document, self.namespace)

    def claim(self, key: str) -> Claim | None:
        return self.api.find(kinds.CLAIM, key.rpartition("/")[2], self.namespace)

    def delete_claim(self, key: str) -> None:
        name = key.rpartition("/")[2]
        self.api.delete(kinds.CLAIM, name, self.namespace)
        if not self._is_used(name):
            until(f"{key} to be gone", lambda: self.claim(key) is None)

    def _is_used(self, claim: str) -> bool:
        return self.api.find(kinds.POD, f"{self.word}-of-{claim}", self.namespace) is not None

    def choose(self, key: str) -> bool:
        """No is believed of a scheduler that has seen all there is."""
        if self._look(key):
            return True
        self.settle()
        self._pod("free", {})
        until("the scheduler to know the node", lambda: self._scheduled("free") == "True")
        self._end_pod("free")
        return self._look(key)

    def _look(self, key: str) -> bool:
        self._pod("look", {"volumes": [_volume(key.rpartition("/")[2])]})
        said = until("the scheduler", lambda: self._scheduled("look"))
        self._end_pod("look")
        return said == "True"

    def start_pod(self, key: str) -> None:
        claim = key.rpartition("/")[2]
        self._pod(f"of-{claim}", {"nodeName": self.place, "volumes": [_volume(claim)]})

    def end_pod(self, key: str) -> None:
        self._end_pod(f"of-{key.rpartition('/')[2]}")

    def _pod(self, name: str, spec: dict[str, Any]) -> None:
        wanted = {
            "containers": [{"name": "main", "image": "none"}],
            "tolerations": [{"operator": "Exists"}],
            "nodeSelector": {names.HOSTNAME: self.hostname},
            **spec,
        }
        meta = {"name": f"{self.word}-{name}", "labels": {"case": self.word}}
        self.api.create(kinds.POD, {"metadata": meta, "spec": wanted}, self.namespace)

    def _end_pod(self, name: str) -> None:
        path = kinds.POD.path(f"{self.word}-{name}", self.namespace)
        self.api.transport.request("DELETE", path, query={"gracePeriodSeconds": "0"})

    def _scheduled(self, name: str) -> str:
        """What the scheduler says of a pod, once it says anything."""
        pod = self.api.get(kinds.DAEMON_POD, f"{self.word}-{name}", self.namespace)
        return next((each.status for each in pod.status.conditions if each.type == "PodScheduled"), "")


def _volume(claim: str) -> dict[str, Any]:
    return {"name": "data", "persistentVolumeClaim": {"claimName": claim}}


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except transport.ApiError as error:
        why = "Conflict" if error.conflict else error.reason
        raise Refused(why, error.message) from error


@pytest.fixture(scope="module")
def place(kubeconfig: Path) -> Iterator[Place]:
    with closing(slim.SlimTransport(slim.from_kubeconfig(kubeconfig))) as over:
        made = Place(Client(over, manager="test"))
        made.open()
        yield made
        made.close()


@pytest.fixture
def kube(place: Place) -> Iterator[Real]:
    is_ready(place.api, place.word)
    with closing(Real(place)) as made:
        yield made
