"""What the tests of the whole controller stand on: a node, its disks in memory, and a namespace of their own.

The daemon here is a stand-in that reports and obeys like one; the real one is tried on real disks in
tests/disks and tests/e2e.
"""

from __future__ import annotations

import secrets
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TypeVar

import msgspec

from disk_daemon.api import write_node
from tidb_volume import names
from tidb_volume.kube import kinds, official, slim, transport
from tidb_volume.kube.client import Client
from tidb_volume.upstream import Pv
from tidb_volume.value import (
    Content,
    DiskReport,
    Identity,
    NodeReport,
    Phase,
    Presence,
    SeenDisk,
    Source,
    Volume,
    Work,
    WorkState,
)
from volume_controller.app import App, Settings

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
        self.serials: dict[str, str] = {}
        self.working = True
        self.mounts: dict[str, str] = {}
        """By volume: where its disk is mounted, as the survey has it."""
        self.links: dict[str, tuple[str, ...]] = {}
        self._seen: dict[str, DiskReport] = {}
        self._surveyed: NodeReport | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="disks")
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self.api.transport.close()

    def _run(self) -> None:
        heartbeat = time.monotonic()
        while not self._ended.wait(0.02):
            if heartbeat <= time.monotonic():
                heartbeat += 5
                is_ready(self.api, self.node)
            found = self.api.list(kinds.TIDB_VOLUME, fields=f"spec.nodeName={self.node}")[0]
            self._survey(found)
            for volume in found:
                self._look(volume)

    def _survey(self, volumes: tuple[Volume, ...]) -> None:
        disks = []
        for name, folder in ((each.metadata.name, each.spec.source.path) for each in volumes):
            at = self.mounts.setdefault(name, folder)
            identity = self.identity(name)
            links = self.links.get(name, ())
            disks.append(
                SeenDisk(name=name, device=_number(name), mounts=(at,), links=links, identity=identity)
            )
        report = NodeReport(boot="boot-1", at=1, disks=tuple(disks))
        if report != self._surveyed:
            write_node(self.api, self.node, report)
            self._surveyed = report

    def identity(self, name: str) -> Identity:
        """What tells a disk: a serial where a test gave it one."""
        return Identity(serial=self.serials.get(name, name), model="m", size_bytes=SIZE)

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
            boot="boot-1",
            survey=1,
            device=_number(name),
            identity=self.identity(name),
            capacity_bytes=SIZE,
            content=Content.TENANCY if folder else Content.DATA if name in self.foreign else Content.BLANK,
            content_note="somebody's backup" if name in self.foreign else "",
            tenancy=folder,
            empty=bool(folder) and name not in self.data,
            journal=folder,
        )


def _number(name: str) -> str:
    return f"8:{zlib.crc32(name.encode())}"


def is_ready(api: Client, node: str) -> None:
    """The heartbeat of a kubelet: without one the node counts as lost after a while."""
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "test",
        "message": "",
        "lastHeartbeatTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    api.merge_patch(kinds.NODE, node, {"status": {"conditions": [ready]}}, subresource="status")


class Bench:
    """One node, its disks, one controller, and a namespace for the inventory of its own."""

    def __init__(self, kubeconfig: Path, beside: Bench | None = None) -> None:
        """beside: another node of the same controller, whose inventory and namespace it is."""
        self.kubeconfig = kubeconfig
        self.word = f"c{secrets.token_hex(3)}"
        self.namespace = beside.namespace if beside is not None else self.word
        self.api = Client(slim.SlimTransport(slim.from_kubeconfig(kubeconfig)), manager="test")
        if beside is None:
            post(self.api, "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        self.api.create(
            kinds.NODE, {"metadata": {"name": self.word, "labels": {names.HOSTNAME: f"host-{self.word}"}}}
        )
        is_ready(self.api, self.word)
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
            "metadata": {"name": f"disk-daemon-{self.word}", "labels": {names.LABEL_APP: names.DAEMON}},
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
            f"disk-daemon-{self.word}",
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
        self.api.delete(kinds.POD, f"disk-daemon-{self.word}", self.namespace)
        self.api.delete(kinds.NODE, self.word)
        if self.api.find(kinds.TIDB_VOLUME_NODE, self.word) is not None:
            self.api.delete(kinds.TIDB_VOLUME_NODE, self.word)
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
