"""The whole controller on a real API server, with kube-controller-manager, over disks kept in memory.

The daemon here is a stand-in that reports and obeys like one; the real one is tried on real disks in
tests/disks and tests/e2e. What this adds to the tables in tests/unit/life is everything between the plan
and the server: stores, conflicts, leader election, what is written and how often.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from tidb_volume import names
from tidb_volume.kube import kinds, official, slim, transport
from tidb_volume.kube.client import Client
from tidb_volume.value import (
    Content,
    DiskReport,
    Identity,
    Phase,
    Presence,
    Pv,
    Source,
    Volume,
    Work,
    WorkState,
)
from volume_controller.app import App, Settings

pytestmark = pytest.mark.api
T = TypeVar("T")
NAMESPACE = "tidb-volume"
SIZE = 400 << 20


def until(what: str, look: Callable[[], T | None], seconds: float = 20) -> T:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s for {what}")


class Counting:
    """A transport that counts the writes of one program."""

    def __init__(self, over: transport.Transport) -> None:
        self._over = over
        self.writes: Counter[str] = Counter()

    def request(self, method: str, path: str, **more: object) -> transport.Response:
        if method != "GET" and "leases" not in path and "events" not in path:
            self.writes[f"{method} {path.split('/')[-1] if method == 'POST' else path}"] += 1
        return self._over.request(method, path, **more)  # type: ignore[arg-type]

    def stream(self, path: str, **more: object) -> Generator[bytes, None, None]:
        return self._over.stream(path, **more)  # type: ignore[arg-type]

    def close(self) -> None:
        self._over.close()


class Disks:
    """The daemon of one node: its disks are in memory."""

    def __init__(self, api: Client, node: str) -> None:
        self.api = api
        self.node = node
        self.folder: dict[str, str] = {}
        self.data: set[str] = set()
        self.foreign: set[str] = set()
        self.wiped: list[str] = []
        self.working = True
        self._seen: dict[str, DiskReport] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="disks")
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self.api.transport.close()

    def _run(self) -> None:
        while not self._ended.wait(0.02):
            for volume in self.api.list(kinds.TIDB_VOLUME, fields=f"spec.nodeName={self.node}")[0]:
                self._look(volume)

    def _look(self, volume: Volume) -> None:
        name, order, status = volume.metadata.name, volume.spec.order, volume.status
        work = status.work
        if self.working and order is not None and (work is None or work.order_id != order.id):
            work = self._obey(volume)
        report = self._report(name)
        if report != status.disk or work != status.work:
            patch = {"status": {"disk": msgspec.to_builtins(report), "work": msgspec.to_builtins(work)}}
            if status.disk is not None:
                for gone in msgspec.to_builtins(status.disk).keys() - patch["status"]["disk"].keys():
                    patch["status"]["disk"][gone] = None
            self.api.merge_patch(kinds.TIDB_VOLUME, name, patch, subresource="status")

    def _obey(self, volume: Volume) -> Work | None:
        order, name = volume.spec.order, volume.metadata.name
        assert order is not None
        at = "2026-01-01T00:00:00.000Z"
        here = self.folder.get(name, "")
        destroys = order.kind == "reclaim" or bool(order.answer)
        if here == order.next and name not in self.data:
            return Work(order_id=order.id, state=WorkState.DONE, at=at)
        if here != order.ends:
            return Work(order_id=order.id, state=WorkState.REFUSED, reason="HasData", at=at)
        if destroys:
            if (
                volume.status.committed != order.id
                or self.api.list(kinds.PV, labels=f"{names.LABEL_DISK}={name}")[0]
            ):
                return volume.status.work
            self.wiped.append(order.ends)
        self.folder[name] = order.next if order.offer else ""
        self.data.discard(name)
        self.foreign.discard(name)
        return Work(order_id=order.id, state=WorkState.DONE, at=at)

    def _report(self, name: str) -> DiskReport:
        folder = self.folder.get(name, "")
        return DiskReport(
            presence=Presence.OK,
            identity=Identity(virtual=name, size_bytes=SIZE),
            capacity_bytes=SIZE,
            content=Content.TENANCY if folder else Content.DATA if name in self.foreign else Content.BLANK,
            content_note="somebody's backup" if name in self.foreign else "",
            tenancy=folder,
            empty=bool(folder) and name not in self.data,
            journal=folder,
        )


class Bench:
    """One node, its disks, one controller, and a namespace for the inventory of its own."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.word = f"c{secrets.token_hex(3)}"
        self.namespace = self.word
        self.api = Client(slim.SlimTransport(slim.from_kubeconfig(kubeconfig)), manager="test")
        post(self.api, "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        self.api.create(
            kinds.NODE, {"metadata": {"name": self.word, "labels": {names.HOSTNAME: f"host-{self.word}"}}}
        )
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "test",
            "message": "",
            "lastHeartbeatTime": "2026-01-01T00:00:00Z",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        self.api.merge_patch(kinds.NODE, self.word, {"status": {"conditions": [ready]}}, subresource="status")
        until("the namespace's service account", self._daemon_pod)
        self.daemon_is(ready=True)
        if self.api.find(kinds.TIDB_VOLUME_FLEET, names.FLEET) is None:
            self.api.create(kinds.TIDB_VOLUME_FLEET, {"metadata": {"name": names.FLEET}})
        budget = {"wipesPerHour": 10**6, "percent": 100, "atLeast": 10**6, "claimsPerHour": 10**6}
        self.api.merge_patch(
            kinds.TIDB_VOLUME_FLEET, names.FLEET, {"spec": {"budget": budget, "paused": False}}
        )
        self.disks = Disks(
            Client(slim.SlimTransport(slim.from_kubeconfig(kubeconfig)), manager="daemon"), self.word
        )
        self.apps: list[tuple[App, threading.Thread, Counting]] = []

    def _daemon_pod(self) -> bool:
        """The pod of the daemon's DaemonSet on this node; the kubelet's word is `daemon_is`."""
        document = {
            "metadata": {"name": "disk-daemon", "labels": {names.LABEL_APP: names.DAEMON}},
            "spec": {"nodeName": self.word, "containers": [{"name": "main", "image": "none"}]},
        }
        try:
            self.api.create(kinds.DAEMON_POD, document, self.namespace)
        except transport.ApiError as error:
            if error.status != 403:
                raise
            return False
        return True

    def daemon_is(self, *, ready: bool) -> None:
        """What a kubelet would say of the daemon's pod."""
        said = {"type": "Ready", "status": "True" if ready else "False"}
        self.api.merge_patch(
            kinds.DAEMON_POD,
            "disk-daemon",
            {"status": {"conditions": [said]}},
            self.namespace,
            subresource="status",
        )

    def start(self) -> Counting:
        """Start a controller."""
        over = Counting(official.configured(str(self.kubeconfig)))
        identity = secrets.token_hex(4)
        app = App(
            over,
            Settings(
                namespace=self.namespace,
                identity=identity,
                host=identity,
                metrics_host="127.0.0.1",
                metrics_port=0,
                workers=4,
            ),
        )
        thread = threading.Thread(target=app.run, name=f"app-{identity}")
        thread.start()
        self.apps.append((app, thread, over))
        return over

    def stop(self) -> None:
        """Stop the controller that was started first."""
        app, thread, _ = self.apps.pop(0)
        app.stop()
        thread.join()

    def close(self) -> None:
        while self.apps:
            self.stop()
        self.disks.close()
        for volume in self.api.list(kinds.TIDB_VOLUME, fields=f"spec.nodeName={self.word}")[0]:
            for pv in self.pvs(volume.metadata.name):
                self.api.delete(kinds.PV, pv.metadata.name)
            self.api.delete(kinds.TIDB_VOLUME, volume.metadata.name)
        self.api.delete(kinds.POD, "disk-daemon", self.namespace)
        self.api.delete(kinds.NODE, self.word)
        self.api.transport.close()

    def inventory(self, *folders: str, text: str = "", **pool: str) -> None:
        settings = {"onRelease": "wipe", "wipeAfter": "0s"} | pool
        shown = ", ".join(f"{key}: {value}" for key, value in settings.items())
        listed = ", ".join(folders)
        pools = f"defaultPool: {self.word}\npools: {{{self.word}: {{{shown}}}}}\n"
        text = text or f"{pools}nodes: {{{self.word}: [{listed}]}}"
        document = {
            "metadata": {"name": "disks", "labels": {names.LABEL_INVENTORY: "true"}},
            "data": {"disks.yaml": text},
        }
        if self.api.find(kinds.CONFIG_MAP, "disks", self.namespace) is None:
            self.api.create(kinds.CONFIG_MAP, document, self.namespace)
        else:
            self.api.merge_patch(kinds.CONFIG_MAP, "disks", document, self.namespace)

    def name(self, folder: str) -> str:
        return names.volume_name(self.word, Source(path=folder))

    def pvs(self, volume: str) -> tuple[Pv, ...]:
        return self.api.list(kinds.PV, labels=f"{names.LABEL_DISK}={volume}")[0]

    def wait(self, folder: str, phase: Phase, reason: str = "", not_tenancy: str = "-") -> Volume:
        name = self.name(folder)

        def look() -> Volume | None:
            found = self.api.find(kinds.TIDB_VOLUME, name)
            if found is None or found.status.phase is not phase or found.status.tenancy == not_tenancy:
                return None
            return found if not reason or found.status.reason == reason else None

        try:
            return until(f"{name} to be {phase} {reason}", look)
        except AssertionError as error:
            instead: Volume | None = self.api.find(kinds.TIDB_VOLUME, name)
            raise AssertionError(f"{error}; it is {instead}") from None

    def claim(self, volume: Volume) -> None:
        """A claim that is bound to this volume, as the scheduler would have it."""
        document = {
            "metadata": {"name": volume.status.volume_name[-12:], "namespace": self.namespace},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": self.word,
                "volumeName": volume.status.volume_name,
                "resources": {"requests": {"storage": "1Mi"}},
            },
        }
        self.api.create(kinds.CLAIM, document, self.namespace)

    def release(self, volume: Volume) -> None:
        self.api.delete(kinds.CLAIM, volume.status.volume_name[-12:], self.namespace)


def post(api: Client, path: str, document: dict[str, object]) -> None:
    api.transport.request("POST", path, body=msgspec.json.encode(document))


@pytest.fixture
def bench(kubeconfig: Path) -> Iterator[Bench]:
    with closing(Bench(kubeconfig)) as made:
        yield made


def test_a_disks_life_takes_five_writes_to_be_on_offer_and_at_most_ten_around(bench: Bench) -> None:
    bench.inventory("/data/a")
    over = bench.start()
    first = bench.wait("/data/a", Phase.AVAILABLE)
    about = {key: count for key, count in over.writes.items() if bench.name("/data/a") in key}
    assert sum(about.values()) <= 3, about  # besides two POSTs: the TidbVolume and its PersistentVolume
    bench.claim(first)
    bound = bench.wait("/data/a", Phase.BOUND)
    bench.disks.data.add(bound.metadata.name)
    until(
        "the tenant's data to be seen",
        lambda: (
            not (bench.wait("/data/a", Phase.BOUND).status.disk or DiskReport(presence=Presence.OK)).empty
        ),
    )
    over.writes.clear()
    bench.release(bound)
    after = bench.wait("/data/a", Phase.AVAILABLE, not_tenancy=first.status.tenancy)
    assert bench.disks.wiped == [first.status.tenancy]
    assert sum(over.writes.values()) <= 9, over.writes
    assert not after.status.dirty
    assert [line.what for line in after.status.history] == [
        "offered",
        "bound",
        "released",
        "wipe committed",
        "wiped",
    ]


def test_nothing_is_ordered_without_a_daemon_and_it_is_said_and_goes_on_when_it_is_back(bench: Bench) -> None:
    bench.inventory("/data/a")
    bench.start()
    first = bench.wait("/data/a", Phase.AVAILABLE)
    bench.claim(first)
    bench.wait("/data/a", Phase.BOUND)
    bench.daemon_is(ready=False)
    bench.release(first)
    found = bench.wait("/data/a", Phase.RELEASED, "DaemonNotReady")
    assert found.spec.order is None or found.spec.order.kind == "prepare"
    assert bench.pvs(first.metadata.name)
    bench.daemon_is(ready=True)
    bench.wait("/data/a", Phase.AVAILABLE, not_tenancy=first.status.tenancy)
    assert bench.disks.wiped == [first.status.tenancy]


def test_an_idle_controller_writes_nothing(bench: Bench) -> None:
    bench.inventory("/data/a", "/data/b")
    over = bench.start()
    bench.wait("/data/a", Phase.AVAILABLE)
    bench.wait("/data/b", Phase.AVAILABLE)
    time.sleep(1.5)
    over.writes.clear()
    time.sleep(2)
    assert not over.writes


def test_another_leader_goes_on_where_the_first_one_stopped(bench: Bench) -> None:
    bench.inventory("/data/a")
    bench.start()
    first = bench.wait("/data/a", Phase.AVAILABLE)
    bench.claim(first)
    bound = bench.wait("/data/a", Phase.BOUND)
    bench.disks.data.add(bound.metadata.name)
    bench.disks.working = False
    bench.release(bound)
    bench.wait("/data/a", Phase.WIPING)
    bench.start()
    bench.stop()
    bench.disks.working = True
    bench.wait("/data/a", Phase.AVAILABLE, not_tenancy=first.status.tenancy)
    assert bench.disks.wiped == [first.status.tenancy]


def test_a_pv_deleted_by_hand_with_the_controller_away_is_never_offered_again_by_itself(bench: Bench) -> None:
    bench.inventory("/data/a")
    bench.start()
    first = bench.wait("/data/a", Phase.AVAILABLE)
    bench.claim(first)
    bench.wait("/data/a", Phase.BOUND)
    bench.disks.data.add(first.metadata.name)
    bench.stop()
    bench.release(first)
    bench.api.delete(kinds.PV, first.status.volume_name)
    until("the PV to go", lambda: not bench.pvs(first.metadata.name))
    bench.start()
    found = bench.wait("/data/a", Phase.RELEASED, "GoneByHand")
    time.sleep(1)
    assert not bench.pvs(first.metadata.name)
    assert not bench.disks.wiped
    assert found.status.question is not None
    answer = {"question": found.status.question.id, "action": "Wipe"}
    bench.api.merge_patch(kinds.TIDB_VOLUME, found.metadata.name, {"spec": {"admin": {"adopt": answer}}})
    bench.wait("/data/a", Phase.AVAILABLE, not_tenancy=first.status.tenancy)
    assert bench.disks.wiped == [first.status.tenancy]


def test_a_broken_edit_is_said_and_the_last_good_content_survives_a_restart(bench: Bench) -> None:
    bench.inventory("/data/a")
    bench.start()
    first = bench.wait("/data/a", Phase.AVAILABLE)
    bench.inventory(text="nodes: {x: [relative]}\nbogus: 1")

    def said() -> bool:
        fleet = bench.api.get(kinds.TIDB_VOLUME_FLEET, names.FLEET)
        return any("bogus" in error for each in fleet.status.inventories for error in each.errors)

    until("the error to be said", said)
    bench.stop()
    bench.start()
    time.sleep(2)
    after = bench.wait("/data/a", Phase.AVAILABLE)
    assert after.status.tenancy == first.status.tenancy
    assert after.metadata.uid == first.metadata.uid


def test_a_lost_copy_under_a_broken_edit_withdraws_nothing(bench: Bench) -> None:
    bench.inventory("/data/a")
    bench.start()
    first = bench.wait("/data/a", Phase.AVAILABLE)
    bench.stop()
    bench.inventory(text="nodes: {x: [relative]}\nbogus: 1")
    bench.api.delete(kinds.CONFIG_MAP, names.LAST_GOOD + "disks", bench.namespace)
    bench.start()
    time.sleep(2)
    after = bench.wait("/data/a", Phase.AVAILABLE)
    assert after.metadata.uid == first.metadata.uid
    assert bench.pvs(first.metadata.name)
    bench.inventory("/data/b")
    until(
        "the edit that is good to drop it",
        lambda: bench.api.find(kinds.TIDB_VOLUME, bench.name("/data/a")) is None,
    )


def test_a_copy_deleted_by_hand_is_written_again(bench: Bench) -> None:
    bench.inventory("/data/a")
    bench.start()
    bench.wait("/data/a", Phase.AVAILABLE)
    name = names.LAST_GOOD + "disks"
    before = bench.api.get(kinds.CONFIG_MAP, name, bench.namespace)
    bench.api.delete(kinds.CONFIG_MAP, name, bench.namespace)
    again = until("the copy", lambda: bench.api.find(kinds.CONFIG_MAP, name, bench.namespace))
    assert again.data == before.data


def test_unknown_data_is_neither_offered_nor_wiped(bench: Bench) -> None:
    bench.disks.foreign.add(bench.name("/data/a"))
    bench.inventory("/data/a")
    bench.start()
    found = bench.wait("/data/a", Phase.PENDING, "HasData")
    assert "somebody's backup" in found.status.message
    assert found.status.question is not None
    time.sleep(1)
    assert not bench.pvs(found.metadata.name)
    assert bench.name("/data/a") in bench.disks.foreign


def test_pause_holds_a_wipe_until_it_is_lifted(bench: Bench) -> None:
    bench.inventory("/data/a")
    bench.start()
    first = bench.wait("/data/a", Phase.AVAILABLE)
    bench.claim(first)
    bench.wait("/data/a", Phase.BOUND)
    bench.api.merge_patch(kinds.TIDB_VOLUME_FLEET, names.FLEET, {"spec": {"paused": True}})
    bench.release(first)
    bench.wait("/data/a", Phase.RELEASED, "Paused")
    time.sleep(0.5)
    assert bench.pvs(first.metadata.name)
    bench.api.merge_patch(kinds.TIDB_VOLUME_FLEET, names.FLEET, {"spec": {"paused": False}})
    bench.wait("/data/a", Phase.AVAILABLE, not_tenancy=first.status.tenancy)
