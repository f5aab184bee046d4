"""Machines by the thousand that are not there: nodes that kwok keeps Ready, and what their daemons would say.

The nodes are real objects with a real DaemonSet's pods on them, which kwok calls Running. A disk here is two
fields in memory: surveyed as the daemon starts, reported as its volume appears, obeying an order as a blank
path disk on a real node would, by the daemon's own writes. So what the controller sees and has to do is a
fleet's, and nothing is claimed of the daemon.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import msgspec

from disk_daemon.api import write_node, write_status
from tests.cluster import Cluster, build
from tests.cluster.system import until
from tidb_volume import names
from tidb_volume.kube import kinds, slim
from tidb_volume.kube.client import Client
from tidb_volume.kube.queue import Queue
from tidb_volume.kube.reflector import Reflector
from tidb_volume.kube.store import Change, Store
from tidb_volume.kube.transport import ApiError, NoAnswer, Stop
from tidb_volume.life.daemon import is_ready
from tidb_volume.value import (
    Content,
    DiskReport,
    Identity,
    NodeReport,
    Presence,
    SeenDisk,
    Source,
    Volume,
    Work,
    WorkState,
)

BOOT = "boot-1"
FAKE = "kwok.x-k8s.io/node"
FLEET = "fleet"
"""The label of all nodes that are made here; its value is the fleet's name."""
NAMESPACE = "tidb-volume"
THREADS = 8
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
        # Renewed four times in this: a thousand kubelets' pace costs more than this machine may have left.
        f"--node-lease-duration-seconds={cluster.record.node_grace_s}",
    ]
    with (cluster.layout.folder / "kwok.log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


class Fleet(msgspec.Struct, frozen=True):
    """So many machines with so many disks each. `name` is a label's value, and the beginning of theirs."""

    name: str
    nodes: int
    disks: int

    def names(self) -> list[str]:
        """The machines' names."""
        return [f"{self.name}-{number:04}" for number in range(self.nodes)]

    def folders(self) -> list[str]:
        """Where the disks of each are mounted."""
        return [f"/data/nvme{number}" for number in range(self.disks)]

    def inventory(self, pool: str) -> str:
        """The text that lists them all."""
        disks = f'[{{path: "/data/nvme{{0..{self.disks - 1}}}", pool: {pool}}}]'
        group = f"{{nodeSelector: {{{FLEET}: {self.name}}}, disks: {disks}}}"
        return f"pools: {{{pool}: {{onRelease: wipe}}}}\ngroups: [{group}]"


@contextmanager
def running(cluster: Cluster, fleet: Fleet) -> Iterator[None]:
    """The machines of a fleet, Ready, with their daemons; in a process of its own, inside of the cluster's
    network, as theirs would be. The daemons end on leaving."""
    argv: list[str | Path] = [
        *cluster.network_command(),
        sys.executable,
        "-m",
        "bench.standin",
        cluster.inner_kubeconfig,
        msgspec.json.encode(fleet).decode(),
    ]
    with kwok(cluster), subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise AssertionError(f"the stand-ins ended with {process.wait()}")
        try:
            yield
        finally:
            process.communicate()  # the end of its input is the sign to end


def main() -> None:
    """Make a fleet's machines and be its daemons until standard input ends; says `ready` once they are."""
    kubeconfig, fleet = sys.argv[1], msgspec.json.decode(sys.argv[2], type=Fleet)
    config = slim.from_kubeconfig(kubeconfig)
    apis = [Client(slim.SlimTransport(config), manager="disk-daemon") for _ in range(THREADS)]
    _share(apis, fleet.names(), lambda api, name: _node(api, name, fleet.name))
    wait_for_daemons(apis[0], set(fleet.names()))
    daemons = Daemons(apis, dict.fromkeys(fleet.names(), fleet.folders()))
    print("ready", flush=True)
    sys.stdin.read()
    daemons.close()
    for api in apis:
        api.transport.close()


def _node(api: Client, name: str, fleet: str) -> None:
    """One node; nothing but a DaemonSet that tolerates all comes onto it."""
    meta = {"name": name, "labels": {names.HOSTNAME: name, FLEET: fleet}, "annotations": {FAKE: "fake"}}
    taint = {"key": FAKE, "value": "fake", "effect": "NoSchedule"}
    api.create(kinds.NODE, {"metadata": meta, "spec": {"taints": [taint]}})


def wait_for_daemons(api: Client, wanted: Set[str]) -> None:
    """Until the DaemonSet has a Ready pod on each of these nodes, as it has where a fleet is installed before
    its disks are listed."""

    def ready() -> bool:
        pods, _ = api.list(kinds.DAEMON_POD, NAMESPACE, labels=f"{names.LABEL_APP}={names.DAEMON}")
        return wanted <= {pod.spec.node_name for pod in pods if is_ready(pod)}

    until(f"{len(wanted)} pods of the DaemonSet to be Ready", ready, timeout=900, pause=2)


def _share(apis: Sequence[Client], names_of: Iterable[str], work: Callable[[Client, str], object]) -> None:
    """Do `work` for each name, in one thread a client."""
    left: SimpleQueue[Client] = SimpleQueue()
    for api in apis:
        left.put(api)

    def one(name: str) -> None:
        api = left.get()
        try:
            work(api, name)
        finally:
            left.put(api)

    with ThreadPoolExecutor(len(apis)) as pool:
        list(pool.map(one, names_of))


class Daemons:
    """What the daemons of many nodes say and do. disks: by node, the folders its disks are mounted on."""

    def __init__(self, apis: Sequence[Client], disks: Mapping[str, Sequence[str]]) -> None:
        self._disks = disks
        self._stop = Stop()
        self._queue: Queue[str] = Queue(first_retry=0.05)
        self._volumes: Store[Volume] = Store()
        self._on_disk: dict[str, str] = {}
        self._volumes.on_change(self._changed)
        _share(apis, disks, self._survey)
        watch = Reflector(apis[0], kinds.TIDB_VOLUME, self._volumes, stop=self._stop)
        self._threads = [
            threading.Thread(target=watch.run, name="watch"),
            *(threading.Thread(target=self._serve, args=(api,)) for api in apis),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End all threads."""
        self._stop.set()
        self._queue.shutdown()
        for thread in self._threads:
            thread.join()

    def _changed(self, change: Change[Volume]) -> None:
        if change.new is not None and change.new.spec.node_name in self._disks:
            self._queue.add(change.new.metadata.name)

    def _serve(self, api: Client) -> None:
        while (name := self._queue.get()) is not None:
            try:
                volume = self._volumes.get(name)
                if volume is not None:
                    self._look(api, volume)
            except (ApiError, NoAnswer, LookupError):
                self._queue.retry(name)
            else:
                self._queue.forget(name)
            finally:
                self._queue.done(name)

    def _look(self, api: Client, volume: Volume) -> None:
        """Report a disk, and obey its order; both in one patch, as the daemon writes them."""
        name, order, status = volume.metadata.name, volume.spec.order, volume.status
        work = status.work
        if order is not None and (work is None or work.order_id != order.id):
            if order.kind == "reclaim" and status.committed != order.id:
                return
            self._on_disk[name] = order.next if order.offer else ""
            work = Work(order_id=order.id, state=WorkState.DONE, at=AT)
        report = self._report(name)
        disk = report if report != status.disk else None
        told = work if work != status.work else None
        if disk is not None or told is not None:
            self._volumes.put(write_status(api, volume, disk, told))

    def _survey(self, api: Client, node: str) -> None:
        """Show the disks of a machine in its own object."""
        disks = []
        for number, folder in enumerate(self._disks[node]):
            name = names.volume_name(node, Source(path=folder))
            disks.append(
                SeenDisk(
                    name=f"nvme{number}n1",
                    device=_number(name),
                    links=tuple(f"/dev/disk/{by}-{name}" for by in ("by-id/nvme", "by-path/pci")),
                    mounts=(folder,),
                    identity=_identity(name),
                )
            )
        write_node(api, node, NodeReport(boot=BOOT, at=1, daemon="none", disks=tuple(disks)))

    def _report(self, name: str) -> DiskReport:
        tenancy = self._on_disk.get(name, "")
        return DiskReport(
            presence=Presence.OK,
            boot=BOOT,
            survey=1,
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


if __name__ == "__main__":
    main()
