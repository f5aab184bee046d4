"""Machines by the thousand that are not there: nodes that kwok keeps Ready, and what their daemons would say.

The nodes are real objects with a real DaemonSet's pods on them, which kwok calls Running. A disk here is two
fields in memory; it is reported, and obeys an order, as a blank path disk on a real node would. So what the
controller sees and has to do is a fleet's, and nothing is claimed of the daemon.
"""

from __future__ import annotations

import subprocess
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from disk_daemon.api import write_node
from tests.cluster import Cluster, build
from tidb_volume import names
from tidb_volume.kube import kinds, slim
from tidb_volume.kube.client import Client
from tidb_volume.kube.queue import Queue
from tidb_volume.kube.reflector import Reflector
from tidb_volume.kube.store import Change, Store
from tidb_volume.kube.transport import ApiError, Stop
from tidb_volume.value import (
    Content,
    DiskReport,
    Identity,
    NodeReport,
    Presence,
    SeenDisk,
    Volume,
    Work,
    WorkState,
)

BOOT = "boot-1"
BY_NODE = "by node"
FAKE = "kwok.x-k8s.io/node"
FLEET = "fleet"
"""The label of all nodes that are made here."""
SIZE = 400 << 20
AT = "2026-01-01T00:00:00.000Z"
STAGES = ("node/fast", "node/heartbeat-with-lease", "pod/fast")


@contextmanager
def kwok(cluster: Cluster) -> Iterator[None]:
    """kwok beside the control plane, for the nodes that `nodes` makes; ended on leaving."""
    binary = build.build(["kwok"])["kwok"]
    config = cluster.layout.folder / "kwok.yaml"
    config.write_text("\n---\n".join(path.read_text() for kind in STAGES for path in build.stages(kind)))
    argv: list[str | Path] = [
        *cluster.network_command(),
        binary,
        f"--kubeconfig={cluster.inner_kubeconfig}",
        f"--config={config}",
        f"--manage-nodes-with-annotation-selector={FAKE}=fake",
        "--node-lease-duration-seconds=40",
    ]
    with (cluster.layout.folder / "kwok.log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def nodes(api: Client, wanted: list[str]) -> None:
    """Make these nodes; nothing but a DaemonSet that tolerates all comes onto them."""
    for name in wanted:
        meta = {"name": name, "labels": {names.HOSTNAME: name, FLEET: "fake"}, "annotations": {FAKE: "fake"}}
        taint = {"key": FAKE, "value": "fake", "effect": "NoSchedule"}
        api.create(kinds.NODE, {"metadata": meta, "spec": {"taints": [taint]}})


class Daemons:
    """What the daemons of all nodes whose names begin with `prefix` say and do."""

    def __init__(self, kubeconfig: Path, prefix: str, threads: int = 8) -> None:
        self._prefix = prefix
        self._stop = Stop()
        self._queue: Queue[str] = Queue(first_retry=0.05)
        self._volumes: Store[Volume] = Store()
        self._on_disk: dict[str, str] = {}
        self._surveyed: dict[str, frozenset[str]] = {}
        self._survey_lock = threading.Lock()
        self._volumes.add_index(BY_NODE, lambda volume: (volume.spec.node_name,))
        self._volumes.on_change(self._changed)
        self._apis = [
            Client(slim.SlimTransport(slim.from_kubeconfig(kubeconfig)), manager="disk-daemon")
            for _ in range(threads + 1)
        ]
        watch = Reflector(self._apis[0], kinds.TIDB_VOLUME, self._volumes, stop=self._stop)
        self._threads = [
            threading.Thread(target=watch.run, name="watch"),
            *(threading.Thread(target=self._serve, args=(api,)) for api in self._apis[1:]),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End all threads."""
        self._stop.set()
        self._queue.shutdown()
        for thread in self._threads:
            thread.join()
        for api in self._apis:
            api.transport.close()

    def _changed(self, change: Change[Volume]) -> None:
        if change.new is not None and change.new.spec.node_name.startswith(self._prefix):
            self._queue.add(change.new.metadata.name)

    def _serve(self, api: Client) -> None:
        while (name := self._queue.get()) is not None:
            try:
                volume = self._volumes.get(name)
                if volume is not None:
                    self._look(api, volume)
            except ApiError:
                self._queue.retry(name)
            else:
                self._queue.forget(name)
            finally:
                self._queue.done(name)

    def _look(self, api: Client, volume: Volume) -> None:
        """Report a disk, and obey its order; both in one patch, as the daemon writes them."""
        name, order, status = volume.metadata.name, volume.spec.order, volume.status
        work = status.work
        self._survey(api, volume)
        if order is not None and (work is None or work.order_id != order.id):
            if order.kind == "reclaim" and status.committed != order.id:
                return
            self._on_disk[name] = order.next if order.offer else ""
            work = Work(order_id=order.id, state=WorkState.DONE, at=AT)
        report = self._report(name)
        if report == status.disk and work == status.work:
            return
        patch = {"status": {"disk": msgspec.to_builtins(report), "work": msgspec.to_builtins(work)}}
        api.merge_patch(kinds.TIDB_VOLUME, name, patch, subresource="status")

    def _survey(self, api: Client, volume: Volume) -> None:
        """Show the disks of a machine in its own object too, as many as its volumes tell by now."""
        node = volume.spec.node_name
        with self._survey_lock:
            if volume.metadata.name in self._surveyed.get(node, ()):
                return
            found = self._volumes.by_index(BY_NODE, node)
            self._surveyed[node] = frozenset(each.metadata.name for each in found)
        disks = tuple(
            SeenDisk(
                name=f"nvme{n}n1",
                device=_number(each.metadata.name),
                links=tuple(f"/dev/disk/{by}-{each.metadata.name}" for by in ("by-id/nvme", "by-path/pci")),
                mounts=(each.spec.source.path,),
                identity=_identity(each.metadata.name),
            )
            for n, each in enumerate(sorted(found, key=lambda each: each.metadata.name))
        )
        write_node(api, node, NodeReport(boot=BOOT, daemon="none", disks=disks))

    def _report(self, name: str) -> DiskReport:
        tenancy = self._on_disk.get(name, "")
        return DiskReport(
            presence=Presence.OK,
            boot=BOOT,
            device=_number(name),
            identity=_identity(name),
            capacity_bytes=SIZE,
            content=Content.TENANCY if tenancy else Content.BLANK,
            tenancy=tenancy,
            empty=bool(tenancy),
            journal=tenancy,
        )


def _number(name: str) -> str:
    return f"259:{zlib.crc32(name.encode())}"


def _identity(name: str) -> Identity:
    return Identity(serial=name, model="none", size_bytes=SIZE)
