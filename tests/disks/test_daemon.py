"""The whole daemon as a process, on real disks and a real API server; the controller is the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from disk_daemon.facts.folder import Rules
from tests.disks.bench import NEXT, OLD, Disk, identity_of, reclaim
from tidb_volume import names
from tidb_volume.kube import kinds, slim
from tidb_volume.kube.client import Client
from tidb_volume.value import Content, Order, Source, Volume, VolumeSpec, WorkState

pytestmark = pytest.mark.api
T = TypeVar("T")
NODE = "node-1"


@pytest.fixture(scope="module")
def kubeconfig() -> Iterator[Path]:
    from tests.api.conftest import install_crds
    from tests.cluster import Cluster

    with Cluster.up(f"disks-{os.getpid()}", api_only=True) as cluster:
        install_crds(cluster.kubeconfig)
        yield cluster.kubeconfig


@pytest.fixture
def api(kubeconfig: Path) -> Iterator[Client]:
    over = slim.SlimTransport(slim.from_kubeconfig(kubeconfig))
    client = Client(over, manager="test")
    yield client
    for volume in client.list(kinds.TIDB_VOLUME)[0]:
        client.delete(kinds.TIDB_VOLUME, volume.metadata.name)
    if client.find(kinds.TIDB_VOLUME_FLEET, names.FLEET) is not None:
        client.delete(kinds.TIDB_VOLUME_FLEET, names.FLEET)
    over.close()


class Daemon:
    """The program, with what it said on stderr."""

    def __init__(self, kubeconfig: Path, rules: Rules) -> None:
        self._arguments = [
            *(sys.executable, "-m", "disk_daemon", "--node-name", NODE, "--kubeconfig", str(kubeconfig)),
            *("--state", rules.state, "--virtual-disks", "--metrics-address", "127.0.0.1:0"),
            *("--host-pid", str(os.getpid())),
        ]
        self.log = Path(rules.state).parent / "daemon.log"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(self._arguments, stderr=log)

    def restart(self) -> None:
        self.process = self._start()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def daemon(kubeconfig: Path, rules: Rules) -> Iterator[Daemon]:
    started = Daemon(kubeconfig, rules)
    yield started
    if started.process.poll() is None:
        assert started.end() == 0, started.log.read_text()
    print(started.log.read_text())


class Controller:
    """What the test does in the controller's place, for one disk."""

    def __init__(self, api: Client, disk: Disk) -> None:
        self.api = api
        self.source = Source(path=str(disk.path))
        self.name = names.volume_name(NODE, self.source)

    def declare(self) -> None:
        self.api.create(kinds.TIDB_VOLUME_FLEET, {"metadata": {"name": names.FLEET}, "spec": {}})
        spec = VolumeSpec(node_name=NODE, pool="tikv", source=self.source)
        document = {"metadata": {"name": self.name}, "spec": msgspec.to_builtins(spec)}
        self.api.create(kinds.TIDB_VOLUME, document)

    def order(self, order: Order, *, committed: bool = True) -> None:
        self.patch({"spec": {"order": msgspec.to_builtins(order)}})
        if committed:
            self.patch({"status": {"committed": order.id}}, "status")

    def patch(self, patch: dict[str, Any], subresource: str = "") -> None:
        self.api.merge_patch(kinds.TIDB_VOLUME, self.name, patch, subresource=subresource)

    def volume(self) -> Volume:
        return self.api.get(kinds.TIDB_VOLUME, self.name)

    def until(self, what: str, look: Callable[[Volume], T | None], seconds: float = 20) -> T:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = look(self.volume())
            if found:
                return found
            time.sleep(0.01)
        raise AssertionError(f"waited {seconds} s for {what}: {self.volume()}")


@pytest.fixture
def controller(api: Client, disk: Disk) -> Controller:
    made = Controller(api, disk)
    made.declare()
    return made


def work_is(state: WorkState, order: str = "order-1") -> Callable[[Volume], bool]:
    def look(volume: Volume) -> bool:
        work = volume.status.work
        return work is not None and work.order_id == order and work.state is state

    return look


def test_a_disk_is_reported_prepared_and_reclaimed(
    controller: Controller, daemon: Daemon, disk: Disk, rules: Rules
) -> None:
    report = controller.until("a report", lambda volume: volume.status.disk)
    assert report.content is Content.BLANK
    assert report.identity == identity_of(disk, rules)
    first = Order(id="order-0", kind="prepare", next=OLD, offer=True, epoch=1, identity=report.identity)
    controller.order(first, committed=False)
    controller.until("the first offer", work_is(WorkState.DONE, "order-0"))
    volume = controller.volume()
    assert volume.status.disk is not None
    assert (volume.status.disk.tenancy, volume.status.disk.empty) == (OLD, True)
    (disk.ours / OLD / "secret").write_text("x")
    controller.order(reclaim(identity_of(disk, rules)))
    controller.until("the wipe", work_is(WorkState.DONE))
    volume = controller.volume()
    assert volume.status.disk is not None
    assert (volume.status.disk.tenancy, volume.status.disk.journal) == (NEXT, NEXT)
    assert disk.tree() == [".tidb-volume", f".tidb-volume/{NEXT}"]
