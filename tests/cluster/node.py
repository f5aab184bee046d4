"""A real node: kubelet and containerd in network, mount, UTS and PID namespaces of their own.

Two processes hold a node. The *keeper* owns its mounts and network: while it lives, what was mounted stays
mounted. The *init* is process 1 of the node: when it dies, so does all that ran there. So a crash of the
node's programs is the end of init, a power cut is the end of both, and a daemon with `hostPID` sees in
/proc/1/mountinfo exactly what its node has mounted.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from . import cgroups, configs, disks, image
from .state import BRIDGE, DiskRecord, NodeRecord
from .system import (
    ClusterError,
    GaveUpError,
    Process,
    alive,
    all_pids,
    end,
    identify,
    run,
    send,
    spawn,
    tail,
    until,
    wait,
)

if TYPE_CHECKING:
    from .cluster import Cluster

_HERE = Path(__file__).parent
_SYSTEM_BYTES = 16 << 30
_SERVICE = "node-service.sh"


class Disk(msgspec.Struct, frozen=True):
    """A disk as its node sees it."""

    node: str
    name: str
    loop: int
    size_bytes: int
    raw: bool
    image: Path

    @property
    def device(self) -> str:
        """The kernel's name for it, the same on the host and in the node."""
        return f"/dev/loop{self.loop}"

    @property
    def by_id(self) -> str:
        """Its stable name in the node."""
        return f"/dev/disk/by-id/{by_id_name(self.node, self.name)}"


def by_id_name(node: str, disk: str) -> str:
    """The name below /dev/disk/by-id."""
    return f"virtual-{node}-{disk}"


class Node:
    """One node of a running cluster."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster = cluster
        self.name = name
        self.folder = cluster.layout.node(name)
        self.devices = cluster.layout.devices / name

    @property
    def record(self) -> NodeRecord:
        return self._cluster.record.nodes[self.name]

    @property
    def address(self) -> str:
        """The node's InternalIP."""
        return self.record.address

    @property
    def disks(self) -> list[Disk]:
        """The node's disks, without the one that it boots from."""
        return [self._disk(one) for one in self.record.disks]

    @property
    def fstab(self) -> dict[str, str]:
        """What is mounted at boot: folder to name of the disk."""
        return dict(self.record.fstab)

    @property
    def boot_id(self) -> str:
        """What /proc/sys/kernel/random/boot_id says on this node; a reboot changes it."""
        return (self.folder / "boot_id").read_text().strip()

    @property
    def running(self) -> bool:
        """Whether the node's process 1 lives."""
        return alive(self.record.init)

    def disk(self, name: str) -> Disk:
        """The disk of this name."""
        for one in self.record.disks:
            if one.name == name:
                return self._disk(one)
        names = ", ".join(one.name for one in self.record.disks)
        raise ClusterError(f"{self.name} has no disk {name}; it has {names}")

    # Running things on the node

    def exec(self, argv: Sequence[str | Path], *, stdin: str | None = None, timeout: float = 60) -> str:
        """Runs a command as root on the node and returns what it printed; ClusterError when it fails."""
        return run([*self._enter(), *argv], stdin=stdin, timeout=timeout)

    def spawn(self, name: str, argv: Sequence[str]) -> None:
        """Starts a program that stays, as a child of the node's process 1; its output goes to NODE-NAME.log.

        A parent outside would have to reap it before the node can end, and nsenter, which stops itself when
        its child is stopped, may never.
        """
        words = [*self._enter(), "sh", "-c", '"$@" &', name, *argv]
        wait(spawn(words, self._log(name), self._cluster.layout.folder))

    def processes(self, name: str) -> list[Process]:
        """The node's processes (containers' too) with `name` in the command line, by the host's numbers."""
        if not self.running or self.record.init is None:
            return []
        own = os.readlink(f"/proc/{self.record.init.pid}/ns/pid")
        found = []
        for pid in all_pids():
            with contextlib.suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
                here = os.readlink(f"/proc/{pid}/ns/pid") == own or self._contains(pid)
                if name.encode() in command and here:
                    process = identify(pid)
                    if process:
                        found.append(process)
        return found

    def _contains(self, pid: int) -> bool:
        """Whether it runs in a container of this node: those have PID namespaces, and the node's groups."""
        return f"{self._cgroup}/" in Path(f"/proc/{pid}/cgroup").read_text()

    def signal(self, name: str, number: int) -> int:
        """Sends a signal to all processes with `name` in their command line, and says how many those were."""
        found = self.processes(name)
        for process in found:
            send(process, number)
        return len(found)

    def freeze(self, name: str) -> int:
        """Stops processes where they stand (SIGSTOP)."""
        return self.signal(name, signal.SIGSTOP)

    def thaw(self, name: str) -> int:
        """Lets frozen processes go on."""
        return self.signal(name, signal.SIGCONT)

    def load(self, archive: Path) -> None:
        """Imports a docker archive into the node's containerd."""
        # By descriptor: the node's root shows the host's files, but not those of its other mounts.
        with archive.open("rb") as file:
            words = [*map(str, self._enter()), "ctr", "--namespace=k8s.io", "images", "import", "-"]
            _feed(words, file.fileno())

    # Its life

    def start(self, *, mounts: bool = True, wait: bool = True) -> None:
        """Starts what does not run: the node's root if it was powered off, containerd, the kubelet.

        `mounts` says whether a boot mounts the fstab; without `wait` it returns before the kubelet is Ready.
        """
        booting = not alive(self.record.keeper)
        if booting:
            self._boot()
        if not self.running:
            self._start_init()
        if booting and mounts:
            for target, name in self.record.fstab.items():
                self.mount(self.disk(name), target)
        self._start_containerd()
        self._start_kubelet()
        if wait:
            self.wait_ready()

    def crash(self) -> None:
        """Kills all that runs on the node: kubelet, containerd, containers. What is mounted stays mounted."""
        end(self.record.init)

    def power_off(self) -> None:
        """Turns the node off: nothing runs, nothing is mounted, and what was only in /dev or /run is gone.

        Programs end as in a power cut, but what they had written reaches the disks.
        """
        # A runc that is cut while it ends a container leaves that frozen, and what is frozen no SIGKILL ends.
        if self.record.init is not None:
            send(self.record.init, signal.SIGKILL)
        until(f"what runs on {self.name} to end", self._is_over, timeout=40)
        end(self.record.keeper)
        # A kubelet that finds the last boot's groups asks for each container in vain, 3 s each.
        cgroups.remove(self._cgroup)
        for number in disks.attached_to_devices(self.devices):
            disks.detach(number)
        for number in (self.record.system_loop, *(one.loop for one in self.record.disks)):
            until(f"/dev/loop{number} of {self.name} to be let go", partial(disks.unheld, number), timeout=20)
        shutil.rmtree(self.devices, ignore_errors=True)

    def _is_over(self) -> bool:
        cgroups.thaw(self._cgroup)
        return self.record.init is None or not alive(self.record.init)

    def reboot(self, *, mounts: bool = True, wait: bool = True) -> None:
        """Turns the node off and on, with a new boot id; with `mounts=False` the fstab is left out."""
        self.power_off()
        self.start(mounts=mounts, wait=wait)

    def restart_kubelet(self) -> None:
        """Ends the kubelet, which its keeper starts again within a second; containers run on."""
        self.exec(["pkill", "-KILL", "-x", "kubelet"])

    def wait_ready(self, timeout: float = 60) -> None:
        """Waits until the API server shows this boot of the node as Ready, and reaches its kubelet."""

        def ready() -> bool:
            node = self._cluster.get(f"/api/v1/nodes/{self.name}")
            if node["status"]["nodeInfo"]["bootID"] != self.boot_id:
                return False
            conditions = {one["type"]: one["status"] for one in node["status"].get("conditions", [])}
            if conditions.get("Ready") != "True":
                return False
            return self._cluster.get_text(f"/api/v1/nodes/{self.name}/proxy/healthz") == "ok"

        try:
            until(f"{self.name} to be Ready", ready, timeout=timeout)
        except ClusterError as error:
            raise ClusterError(f"{error}\n{tail(self._log('kubelet'))}") from error

    # Its disks

    def add_disk(
        self,
        name: str | None = None,
        *,
        size: str | int = "512M",
        mount: str | None = None,
        raw: bool = False,
    ) -> Disk:
        """Plugs a new disk in while the node runs.

        `raw` leaves it blank, else it gets an XFS; `mount` is a folder to mount it on, now and at boot.
        """
        taken = {one.name for one in self.record.disks}
        if name is None:
            name = next(f"disk{n}" for n in range(1, len(taken) + 2) if f"disk{n}" not in taken)
        if name in taken:
            raise ClusterError(f"{self.name} has a disk {name} already")
        disk = self._make_disk(name, disks.parse_size(size) if isinstance(size, str) else size, raw)
        if mount is not None:
            self.set_fstab(self.fstab | {mount: name})
            if alive(self.record.keeper):
                self.mount(disk, mount)
        return disk

    def remove_disk(self, disk: Disk) -> None:
        """Pulls a disk out for good. It must not be in use: a loop device can't vanish under its holder."""
        if not disks.unheld(disk.loop):
            raise ClusterError(f"{disk.device} ({self.name}, {disk.name}) is in use; unmount it first")
        disks.unplug(self.devices, by_id_name(self.name, disk.name), disk.loop)
        disks.detach(disk.loop)
        disk.image.unlink()
        kept = tuple(one for one in self.record.disks if one.name != disk.name)
        fstab = {target: name for target, name in self.record.fstab.items() if name != disk.name}
        self._save(disks=kept, fstab=fstab)

    def set_fstab(self, fstab: Mapping[str, str]) -> None:
        """Sets what the next boots mount: folder to name of the disk. Nothing is mounted or unmounted now."""
        self._save(fstab=dict(fstab))

    def mount(self, disk: Disk, target: str) -> None:
        """Mounts a disk on a folder of the node, which is made if need be."""
        self._on_mounts(["mkdir", "-p", target])
        self._on_mounts(["mount", disk.device, target])

    def unmount(self, target: str) -> None:
        """Unmounts a folder of the node; an error while it is busy."""
        self._on_mounts(["umount", target])

    def swap_mounts(self, first: str, second: str) -> None:
        """Exchanges what two folders mount at the next boots, as when kernel names moved in an fstab."""
        fstab = self.fstab
        fstab[first], fstab[second] = fstab[second], fstab[first]
        self.set_fstab(fstab)

    # Inner parts

    def _disk(self, record: DiskRecord) -> Disk:
        file = self.folder / "disks" / f"{record.name}.img"
        return Disk(self.name, record.name, record.loop, record.size_bytes, record.raw, file)

    def _save(self, **changes: object) -> None:
        self._cluster.save_node(msgspec.structs.replace(self.record, **changes))

    def _enter(self) -> list[str | Path]:
        if not self.running or self.record.init is None:
            raise ClusterError(f"{self.name} does not run; start() brings it back")
        return ["nsenter", f"--target={self.record.init.pid}", "--mount", "--net", "--uts", "--pid", "--"]

    def _on_mounts(self, argv: Sequence[str]) -> str:
        """Runs a command in the node's mount namespace, which needs the keeper alone."""
        if not alive(self.record.keeper) or self.record.keeper is None:
            raise ClusterError(f"{self.name} is powered off; start() brings it back")
        return run(["nsenter", f"--target={self.record.keeper.pid}", "--mount", "--", *argv])

    def create(self, path_disks: int, raw_disks: int, size_bytes: int) -> None:
        """Makes the node's disks: the one it boots from, then path disks on /data/diskK, then raw ones."""
        system = self.folder / "system.img"
        disks.sparse(system, _SYSTEM_BYTES)
        loop = disks.attach(system)
        run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", f"/dev/loop{loop}"])
        self._save(system_loop=loop)
        for number in range(1, path_disks + raw_disks + 1):
            name = f"disk{number}"
            self._make_disk(name, size_bytes, raw=number > path_disks)
            if number <= path_disks:
                self.set_fstab(self.fstab | {f"/data/{name}": name})

    def _make_disk(self, name: str, size_bytes: int, raw: bool) -> Disk:
        file = self.folder / "disks" / f"{name}.img"
        disks.sparse(file, size_bytes)
        loop = disks.attach(file)
        if not raw:
            disks.make_xfs(loop)
        if self.devices.exists():
            disks.plug(self.devices, by_id_name(self.name, name), loop)
        self._save(disks=(*self.record.disks, DiskRecord(name, loop, size_bytes, raw)))
        return self.disk(name)

    def _boot(self) -> None:
        layout = self._cluster.layout
        log = layout.log(self.name)
        (self.folder / "boot_id").write_text(f"{uuid.uuid4()}\n")
        (self.folder / "rooted").unlink(missing_ok=True)
        cgroups.make(self._cgroup)
        disks.populate(self.devices)
        disks.plug(self.devices, by_id_name(self.name, "system"), self.record.system_loop)
        for one in self.record.disks:
            disks.plug(self.devices, by_id_name(self.name, one.name), one.loop)
        keeper = spawn(
            [
                "unshare",
                "--mount",
                "--net",
                "--uts",
                "--propagation=private",
                "sh",
                _HERE / "node-root.sh",
                self.name,
                self.folder,
                self.devices,
                f"/dev/loop{self.record.system_loop}",
                layout.folder,
            ],
            log,
            layout.folder,
        )
        self._save(keeper=keeper, init=None)
        self._wait_for_file("rooted", keeper)
        self._connect(keeper)
        self._configure()

    def _start_init(self) -> None:
        keeper = self.record.keeper
        if keeper is None:
            raise ClusterError(f"{self.name} has no root to start in")
        layout = self._cluster.layout
        (self.folder / "up").unlink(missing_ok=True)
        outer = spawn(
            [
                "nsenter",
                f"--target={keeper.pid}",
                "--mount",
                "--net",
                "--uts",
                "--",
                "unshare",
                "--pid",
                "--fork",
                "sh",
                "-c",
                (_HERE / "node-init.sh").read_text(),  # the checkout may lie where a node has its own /tmp
                "node-init.sh",
                self.folder,
            ],
            layout.log(self.name),
            layout.folder,
        )
        self._wait_for_file("up", outer)
        inner = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        self._save(init=identify(int(inner[0])))

    def _wait_for_file(self, name: str, process: Process) -> None:
        def look() -> bool:
            if (self.folder / name).exists():
                return True
            if not alive(process):
                raise GaveUpError(f"{self.name} did not come up\n{tail(self._cluster.layout.log(self.name))}")
            return False

        until(f"{self.name}: {name}", look, timeout=20, pause=0.01)

    def _connect(self, keeper: Process) -> None:
        """Plugs the node into the cluster's bridge."""
        record = self.record
        outside = f"veth{record.number}"
        self._cluster.in_network(
            f"ip link add {outside} type veth peer name eth0 netns {keeper.pid}\n"
            f"ip link set {outside} master bridge up\n"
            f"ip route replace {record.pod_subnet} via {record.address}\n"
        )
        commands = (
            "ip link set lo up\n"
            f"ip address add {record.address}/24 dev eth0\n"
            "ip link set eth0 up\n"
            f"ip route add default via {BRIDGE}\n"
        )
        run(["nsenter", f"--target={keeper.pid}", "--net", "sh", "-ec", commands])

    def _configure(self) -> None:
        """Writes the configuration of containerd, CNI and kubelet, which the node finds at the same path."""
        layout = self._cluster.layout
        cni = self.folder / "cni"
        cni.mkdir(exist_ok=True)
        (cni / "10-pods.conflist").write_text(configs.cni(self.record.pod_subnet))
        (self.folder / "containerd.toml").write_text(configs.containerd(cni, image.PAUSE))
        text = configs.kubelet(self.name, self.address, self._cgroup, layout.pki)
        (self.folder / "kubelet.yaml").write_text(text)

    @property
    def _cgroup(self) -> str:
        return f"/{self._cluster.layout.tag}/{self.name}"

    def _start_containerd(self) -> None:
        self._serve("containerd", ["containerd", f"--config={self.folder}/containerd.toml"])
        # The socket's file outlives a crash: only an answer counts. The CRI behind it may be served later
        # still: a kubelet that finds none ends, and is started again.
        until(
            f"containerd (see {self._log('containerd')})", lambda: self.exec(["ctr", "version"]), timeout=30
        )
        if image.PAUSE not in self.exec(["ctr", "--namespace=k8s.io", "images", "list", "--quiet"]):
            self.load(image.basic_images())

    def _start_kubelet(self) -> None:
        files = [f"--config={self.folder}/kubelet.yaml", f"--kubeconfig={self.folder}/kubelet.kubeconfig"]
        names = [f"--hostname-override={self.name}", f"--node-ip={self.address}"]
        self._serve("kubelet", [self._cluster.record.programs["kubelet"], *files, *names])

    def _serve(self, name: str, argv: Sequence[str]) -> None:
        """Runs a program of the node for good: one that ends is started again."""
        if self.processes(f"{_SERVICE} {name} "):
            return
        (self.folder / f"{name}.command").write_text(f"exec {shlex.join(argv)}\n")
        # Of the checkout the node may see nothing: it has a /tmp of its own.
        shutil.copyfile(_HERE / _SERVICE, self.folder / _SERVICE)
        self.spawn(name, ["sh", str(self.folder / _SERVICE), name, str(self.folder)])

    def _log(self, program: str) -> Path:
        return self._cluster.layout.log(f"{self.name}-{program}")


def _feed(words: list[str], handle: int) -> None:
    done = subprocess.run(words, stdin=handle, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{' '.join(words)}: exit {done.returncode}\n{done.stderr.strip()}")
