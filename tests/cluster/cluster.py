"""A whole cluster: made, attached to, hurt on purpose, and taken away without a trace.

With nodes, everything runs in a network namespace of its own, held by one sleeping process: nothing of the
host's network changes, two clusters do not clash, and the end of that process cleans up. `api_only` is etcd
and the control plane on free ports of the loopback, which needs no root.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from . import build, controlplane, disks, image, packages, teardown
from .certs import Authority
from .node import Node
from .state import BRIDGE, NODE_GRACE_S, SERVICE, Layout, NodeRecord, Record
from .system import ClusterError, GaveUpError, alive, end, run, send, spawn, tail, until

_HERE = Path(__file__).parent
DEFAULT_NAME = "default"


class Cluster:
    """A running cluster. As a context manager it ends with the block."""

    def __init__(self, layout: Layout, record: Record, *, found: bool = False) -> None:
        self.layout = layout
        self._record = record
        self.found = found  # whether it ran before this object was made
        self._context: ssl.SSLContext | None = None
        self.patience_s = 120.0
        """How long a kubectl may take."""

    # Making and ending

    @classmethod
    def up(
        cls,
        name: str = DEFAULT_NAME,
        *,
        nodes: int = 2,
        path_disks: int = 2,
        raw_disks: int = 0,
        disk_size: str | int = "512M",
        api_only: bool = False,
        node_grace_s: int = NODE_GRACE_S,
    ) -> Self:
        """Starts a cluster and returns it once its nodes are Ready; one that runs is returned as it is.

        node_grace_s: without a heartbeat for so long a node is NotReady; beside a thousand nodes that share
        a few processors the heart beats slower.
        Builds and installs what is missing. Raises ClusterError when a cluster of this name and another shape
        runs, or when anything does not come up; what was begun is then taken away again, its logs are kept.
        """
        if not api_only and os.geteuid() != 0:
            raise ClusterError("nodes need root; without it: --api-only")
        size = disks.parse_size(disk_size) if isinstance(disk_size, str) else disk_size
        shape = (0, 0, 0, 0) if api_only else (nodes, path_disks, raw_disks, size)
        record = Record(name, build.kubernetes_version(), api_only, *shape, node_grace_s=node_grace_s)
        layout = Layout(name)
        packages.require(packages.FOR_API if api_only else packages.FOR_NODES)
        programs = build.build(build.CONTROL_PLANE if api_only else build.EVERYTHING, record.version)
        record = msgspec.structs.replace(record, programs={key: str(path) for key, path in programs.items()})
        with build.locked(layout.lock):
            found = _running(layout)
            if found is not None and found.shape == record.shape:
                return cls(layout, found, found=True)
            if found is not None:
                raise ClusterError(f"a cluster {name} of another shape runs; `down --name {name}` first")
            teardown.remove(layout)
            layout.folder.mkdir(parents=True)
            cluster = cls(layout, record)
            try:
                cluster._start()
            except BaseException:
                teardown.remove(layout, keep_logs=True)
                raise
            return cluster

    @classmethod
    def attach(cls, name: str = DEFAULT_NAME) -> Self:
        """The cluster of this name that runs already."""
        layout = Layout(name)
        record = _running(layout)
        if record is None:
            raise ClusterError(
                f"no cluster {name} runs; `python -m tests.cluster up --name {name}` starts it"
            )
        return cls(layout, record, found=True)

    def down(self) -> None:
        """Takes the cluster away, with all that it left on the machine."""
        down(self.record.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    # Using it

    @property
    def record(self) -> Record:
        """What the cluster is now; another process may have changed it meanwhile."""
        self._record = self.layout.load() or self._record
        return self._record

    @property
    def kubeconfig(self) -> Path:
        """For programs on the host, as an administrator."""
        return self.layout.kubeconfig

    @property
    def inner_kubeconfig(self) -> Path:
        """For programs in the cluster's network, started with `network_command`."""
        return self.layout.kubeconfig if self.record.api_only else self.layout.inner_kubeconfig

    @property
    def server(self) -> str:
        """The API server's address, from the host."""
        return f"https://127.0.0.1:{self.record.port}"

    @property
    def nodes(self) -> list[Node]:
        """The nodes, in the order of their numbers."""
        return [Node(self, name) for name in self.record.nodes]

    def node(self, name: str) -> Node:
        """The node of this name."""
        if name not in self.record.nodes:
            raise ClusterError(f"no node {name}; there are {', '.join(self.record.nodes)}")
        return Node(self, name)

    def add_node(self, *, path_disks: int = 0, raw_disks: int = 0, disk_size: str | int = "512M") -> Node:
        """Adds a node to the running cluster and returns it once it is Ready."""
        size = disks.parse_size(disk_size) if isinstance(disk_size, str) else disk_size
        node = self._make_node(len(self.record.nodes) + 1, path_disks, raw_disks, size)
        node.start()
        return node

    def kubectl(self, *arguments: str | Path, input: str | None = None, timeout: float | None = None) -> str:
        """Runs kubectl as an administrator and returns what it printed; ClusterError when it fails, or takes
        more than `timeout` seconds (`patience_s` where none is given)."""
        words = [self.record.programs["kubectl"], f"--kubeconfig={self.kubeconfig}", *arguments]
        return run(words, stdin=input, timeout=self.patience_s if timeout is None else timeout)

    def get_text(self, path: str) -> str:
        """What the API server answers to a GET of the path, as text; ClusterError unless it is a 200."""
        if self._context is None:
            pki = Authority(self.layout.pki)
            self._context = ssl.create_default_context(cafile=str(pki.certificate))
            self._context.load_cert_chain(pki.pem("admin"), pki.key("admin"))
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.record.port, context=self._context, timeout=10
        )
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            text = response.read().decode()
        except http.client.HTTPException as error:
            raise ClusterError(f"GET {path}: {error!r}") from error
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise ClusterError(f"GET {path}: {response.status} {text.strip()}")
        return text

    def get(self, path: str) -> Any:
        """The same for an object, decoded."""
        return json.loads(self.get_text(path))

    def load(self, archive: Path) -> None:
        """Imports a docker archive into every node."""
        image.load(self, archive)

    def network_command(self) -> list[str]:
        """What to put in front of a command so that it runs in the cluster's network."""
        if self.record.api_only:
            return []
        return ["nsenter", f"--net=/proc/{self.record.processes['network'].pid}/ns/net", "--"]

    def in_network(self, commands: str) -> None:
        """Runs shell lines in the cluster's network; the first that fails ends them."""
        run([*self.network_command(), "sh", "-ec", commands])

    # Hurting it

    def running(self, part: str) -> bool:
        """Whether a part of the control plane runs."""
        return alive(self.record.processes.get(part))

    def start(self, part: str) -> None:
        """Starts a part of the control plane that was killed, and waits until the API server answers."""
        if not self.running(part):
            self._spawn_part(part)
        self.wait_for_api()

    def kill(self, part: str, number: int = signal.SIGKILL) -> None:
        """Ends a part of the control plane; `controlplane.PARTS` names them."""
        end(self.record.processes.get(part), number)

    def restart(self, part: str) -> None:
        """Kills a part and starts it again."""
        self.kill(part)
        self.start(part)

    def freeze(self, part: str) -> None:
        """Stops a part where it stands (SIGSTOP)."""
        send(self.record.processes[part], signal.SIGSTOP)

    def thaw(self, part: str) -> None:
        """Lets a frozen part go on."""
        send(self.record.processes[part], signal.SIGCONT)

    def etcd_snapshot(self, path: Path) -> None:
        """Copies etcd's data to the folder `path`, as they stand at one moment."""
        if path.exists():
            shutil.rmtree(path)
        # A frozen process writes nothing, and etcd reads a copy of its files as after a power cut.
        self.freeze("etcd")
        try:
            shutil.copytree(self.layout.etcd_data, path)
        finally:
            self.thaw("etcd")

    def etcd_restore(self, path: Path) -> None:
        """Puts etcd back to a snapshot; control plane and kubelets start anew, as after a restore they must.

        Versions that ran backwards (no --bump-revision here) tell no watcher of it once they have caught up:
        a kubelet would not see that its pods were deleted.
        """
        for part in reversed(controlplane.PARTS):
            self.kill(part)
        shutil.rmtree(self.layout.etcd_data)
        shutil.copytree(path, self.layout.etcd_data)
        for part in controlplane.PARTS:
            self._spawn_part(part)
        self.wait_for_api()
        for node in self.nodes:
            if node.running:
                node.restart_kubelet()

    def wait_for_api(self, timeout: float = 90) -> None:
        """Waits until the API server says that it is ready."""

        def ready() -> bool:
            for part in ("etcd", "kube-apiserver"):
                if not self.running(part):
                    raise GaveUpError(f"{part} ended\n{tail(self.layout.log(part))}")
            return self.get_text("/readyz") == "ok"

        until(f"the API server (see {self.layout.log('kube-apiserver')})", ready, timeout=timeout)

    def save_node(self, record: NodeRecord) -> None:
        """Remembers what changed of a node."""
        self._save(nodes=self.record.nodes | {record.name: record})

    # Inner parts

    def _save(self, **changes: object) -> None:
        self._record = msgspec.structs.replace(self.record, **changes)
        self.layout.save(self._record)

    def _start(self) -> None:
        port = _free_port()
        etcd_port = _free_port() if self.record.api_only else 2379
        self._save(port=port, etcd_port=etcd_port)
        if not self.record.api_only:
            self._make_network()
        self._certify()
        self._spawn_part("etcd")
        self._spawn_part("kube-apiserver")
        if not self.record.api_only:
            network = self.record.processes["network"].pid
            self._spawn("forwarder", [sys.executable, _HERE / "forward.py", str(port), str(network), "443"])
        size = self.record.disk_bytes
        made = [
            self._make_node(number, self.record.path_disks, self.record.raw_disks, size)
            for number in range(1, self.record.node_count + 1)
        ]
        for node in made:
            node.start(wait=False)
        self.wait_for_api()
        self._spawn_part("kube-controller-manager")
        self._spawn_part("kube-scheduler")
        until(
            "the default service account",
            lambda: self.get("/api/v1/namespaces/default/serviceaccounts/default"),
            timeout=60,
        )
        for node in made:
            node.wait_ready()
        self._save(ready=True)

    def _make_network(self) -> None:
        self._spawn("network", ["unshare", "--net", "sleep", "infinity"])
        pid = self.record.processes["network"].pid
        host = os.readlink("/proc/self/ns/net")
        until(
            "a network namespace", lambda: os.readlink(f"/proc/{pid}/ns/net") != host, timeout=5, pause=0.005
        )
        self.in_network(
            "ip link set lo up\n"
            # An address of its own: else it is a port's, and changes for all when that node's power goes.
            "ip link add bridge address 02:00:0a:59:00:01 type bridge\n"
            f"ip address add {BRIDGE}/24 dev bridge\n"
            # The ClusterIP of the service `kubernetes`: pods reach the API without kube-proxy.
            f"ip address add {SERVICE}/32 dev bridge\n"
            "ip link set bridge up\n"
            "echo 1 > /proc/sys/net/ipv4/ip_forward\n"
        )

    def _certify(self) -> None:
        authority = Authority(self.layout.pki)
        authority.key_pair("service-account")
        for name, (user, group, hosts) in controlplane.certificates().items():
            authority.issue(name, user, group, hosts)
        inside = self.server if self.record.api_only else "https://127.0.0.1:443"
        authority.kubeconfig(self.layout.kubeconfig, self.server, "admin")
        authority.kubeconfig(self.layout.inner_kubeconfig, inside, "admin")
        for part in ("kube-controller-manager", "kube-scheduler"):
            authority.kubeconfig(self.layout.pki / f"{part}.kubeconfig", inside, part)

    def _make_node(self, number: int, path_disks: int, raw_disks: int, size_bytes: int) -> Node:
        name = f"node-{number}"
        record = NodeRecord(name, number, 0)
        self.save_node(record)
        node = Node(self, name)
        node.folder.mkdir(parents=True)
        authority = Authority(self.layout.pki)
        authority.issue(name, f"system:node:{name}", "system:nodes", (record.address, name))
        authority.kubeconfig(node.folder / "kubelet.kubeconfig", f"https://{BRIDGE}:443", name)
        node.create(path_disks, raw_disks, size_bytes)
        return node

    def _spawn_part(self, part: str) -> None:
        self._spawn(part, [*self.network_command(), *controlplane.command(part, self.layout, self.record)])

    def _spawn(self, name: str, argv: Sequence[str | Path]) -> None:
        process = spawn(argv, self.layout.log(name), self.layout.folder)
        self._save(processes=self.record.processes | {name: process})


def down(name: str = DEFAULT_NAME) -> None:
    """Takes the cluster of this name away, whole or broken; nothing happens if there is none."""
    layout = Layout(name)
    with build.locked(layout.lock):
        teardown.remove(layout)
        layout.lock.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        layout.folder.parent.rmdir()


def _running(layout: Layout) -> Record | None:
    """The record of a cluster that came up and of which something still runs; else None."""
    try:
        record = layout.load()
    except ClusterError:
        return None
    if record is None or not record.ready:
        return None
    return record if any(alive(process) for process in record.processes.values()) else None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
