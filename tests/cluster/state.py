"""What a cluster remembers of itself, in `state.json` of its state folder, and where its files are.

The record serves who attaches later. Nothing that `down` has to clean depends on it: processes carry the
folder in their environment, loop devices have their files in it, and the names of device nodes and control
groups are computed from it.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from .system import ClusterError, Process

# Unix sockets have 107 bytes for their path, and etcd adds a name of its own.
_LONGEST_FOLDER = 70

NETWORK = "10.89.0"
BRIDGE = f"{NETWORK}.1"
SERVICE = "10.96.0.1"
NODE_GRACE_S = 20
"""A node that has sent no heartbeat for so long is NotReady: node loss is tested, and should be seen soon."""


class DiskRecord(msgspec.Struct, frozen=True):
    """A disk of a node: a loop device over a sparse file. `raw` disks came without a file system."""

    name: str
    loop: int
    size_bytes: int
    raw: bool


class NodeRecord(msgspec.Struct, frozen=True):
    """A node as it was made: what it has, what it mounts at boot (`fstab`: folder to disk), what runs it."""

    name: str
    number: int
    system_loop: int
    disks: tuple[DiskRecord, ...] = ()
    fstab: dict[str, str] = {}
    keeper: Process | None = None
    init: Process | None = None

    @property
    def address(self) -> str:
        """The node's address in the cluster's network."""
        return f"{NETWORK}.{10 + self.number}"

    @property
    def pod_subnet(self) -> str:
        """The addresses of this node's pods."""
        return f"10.244.{self.number}.0/24"


class Record(msgspec.Struct, frozen=True):
    """A cluster as it was asked for, and what it became."""

    name: str
    version: str
    api_only: bool
    node_count: int = 0
    path_disks: int = 0
    raw_disks: int = 0
    disk_bytes: int = 0
    node_grace_s: int = NODE_GRACE_S
    port: int = 0
    etcd_port: int = 0
    ready: bool = False
    programs: dict[str, str] = {}
    processes: dict[str, Process] = {}
    nodes: dict[str, NodeRecord] = {}

    @property
    def shape(self) -> tuple[object, ...]:
        """What two calls of `up` must agree on to mean the same cluster."""
        disks = (self.path_disks, self.raw_disks, self.disk_bytes)
        return (self.version, self.api_only, self.node_count, *disks, self.node_grace_s)


class Layout:
    """The names of all that belongs to one cluster."""

    def __init__(self, name: str) -> None:
        if not name.replace("-", "").isalnum() or not name.isascii():
            raise ClusterError(f"--name {name}: letters, digits and hyphens only")
        self.name = name
        self.folder = state_root() / name
        if len(str(self.folder)) > _LONGEST_FOLDER:
            raise ClusterError(
                f"{self.folder}: too long a path for unix sockets; set TIDB_VOLUME_STATE to a shorter folder"
            )
        # Device nodes and control groups live in places shared by all: the folder's sum keeps them apart.
        self.tag = f"tidb-volume-{name}-{zlib.crc32(str(self.folder).encode()) & 0xFFFF:04x}"

    @property
    def record(self) -> Path:
        return self.folder / "state.json"

    @property
    def lock(self) -> Path:
        return self.folder.parent / f".{self.name}.lock"

    @property
    def failed_logs(self) -> Path:
        """Where the logs of a start that failed are kept, until the next start or end."""
        return self.folder.with_name(f"{self.name}.failed")

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def kubeconfig(self) -> Path:
        """For the host: through the forwarder on 127.0.0.1."""
        return self.folder / "kubeconfig"

    @property
    def inner_kubeconfig(self) -> Path:
        """For who runs inside of the cluster's network."""
        return self.folder / "kubeconfig.inside"

    @property
    def etcd_data(self) -> Path:
        return self.folder / "etcd"

    @property
    def devices(self) -> Path:
        """The folder of the kernel's devtmpfs that holds each node's /dev."""
        return Path("/dev") / self.tag

    def log(self, name: str) -> Path:
        folder = self.folder / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.log"

    def node(self, name: str) -> Path:
        return self.folder / "nodes" / name

    def load(self) -> Record | None:
        """The record, None when there is no cluster, or none that got far enough to write one."""
        try:
            return msgspec.json.decode(self.record.read_bytes(), type=Record)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise ClusterError(f"{self.record}: unreadable ({error}); `down` clears it away") from error

    def save(self, record: Record) -> None:
        text = msgspec.json.format(msgspec.json.encode(record), indent=1)
        fresh = self.record.with_suffix(".new")
        fresh.write_bytes(text)
        fresh.rename(self.record)


def state_root(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder that holds the state folders of all clusters."""
    if chosen := environ.get("TIDB_VOLUME_STATE"):
        return Path(chosen).resolve()
    return Path("/var/lib/tidb-volume-cluster" if os.geteuid() == 0 else f"/tmp/tidb-volume-{os.getuid()}")


def clusters() -> list[str]:
    """The names of the clusters that have a state folder here."""
    root = state_root()
    found = root.iterdir() if root.exists() else ()
    return sorted(path.name for path in found if path.is_dir() and "." not in path.name)
