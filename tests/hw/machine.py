"""One small machine in QEMU, in plain emulation, with disks that are plugged and unplugged while it runs.

Root and code are virtio disks; the root's changes go to an overlay, which outlives a reboot. There is no
network: the test speaks with QEMU and with the machine's end of the line (inside.py) over UNIX sockets. QEMU
dies with the process that started it.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from disk_daemon import kernel
from tests.cluster.system import ClusterError, run, tail, until
from tests.disks import backing
from tests.hw import image
from tests.hw.messages import Answer, Failed, Identified, Identify, Ran, Ready, Request, Run
from tests.hw.qmp import Qmp

SIZE_BYTES = 320 << 20
"""XFS is not made on less than 300 MiB."""
BOOT_S, ANSWER_S = 240, 240
SLOTS = 8
"""PCI slots into which something can be plugged."""

Kind = TypeVar("Kind", bound=Answer)


class Disk(msgspec.Struct, frozen=True):
    """One disk as QEMU is told of it: a file, a driver, and what the driver says of itself.

    SATA and USB are there from power-on, the others may be plugged.
    """

    id: str
    image: Path
    driver: str
    says: dict[str, Any]
    drive: dict[str, Any] = {}
    """More about the file behind it (QAPI, BlockdevOptionsRaw)."""
    bytes_per_s: int = 0
    """0: as fast as it goes."""
    erases: bool = True
    """Whether it takes a command for zeroes, which is what a Format NVM comes to here."""

    @property
    def backend(self) -> dict[str, Any]:
        """For blockdev-add. Zeroes are written as they come, and a discard gives the room back."""
        node = {"node-name": f"file-{self.id}"}
        file = {"driver": "file", "filename": str(self.image), "discard": "unmap", "locking": "off"}
        raw = {"driver": "raw", "discard": "unmap", "detect-zeroes": "off", "file": file} | self.drive
        if not self.erases:
            fault = {"event": "none", "iotype": "write-zeroes", "errno": errno.EIO, "once": False}
            return {"driver": "blkdebug", "image": raw, "inject-error": [fault]} | node
        if self.bytes_per_s:
            return {"driver": "throttle", "throttle-group": f"slow-{self.id}", "file": raw} | node
        return raw | node

    def ignoring_discards(self) -> Disk:
        """The same one, which says that it has discarded and has not."""
        return msgspec.structs.replace(self, drive=self.drive | {"discard": "ignore"})

    def unable_to_erase(self) -> Disk:
        """The same one, which answers with an error when it is to erase itself."""
        return msgspec.structs.replace(self, erases=False)

    def slow(self, bytes_per_s: int) -> Disk:
        """The same one, which takes its time."""
        return msgspec.structs.replace(self, bytes_per_s=bytes_per_s)

    @property
    def device(self) -> dict[str, Any]:
        """For device_add."""
        return {"driver": self.driver, "id": self.id, "drive": f"file-{self.id}"} | self.says

    @property
    def name(self) -> str:
        """A name that udev makes of a fact of its own."""
        serial = self.says.get("serial")
        if self.says.get("wwn"):
            return f"/dev/disk/by-id/wwn-0x{self.says['wwn']:016x}"
        kinds = {
            "nvme": f"nvme-QEMU_NVMe_Ctrl_{serial}",
            "scsi-hd": f"scsi-0QEMU_QEMU_DISK_{serial}",
            "scsi-cd": f"scsi-0QEMU_QEMU_CD-ROM_{serial}",
            "virtio-blk-pci": f"virtio-{serial}",
            "usb-storage": f"usb-QEMU_QEMU_HARDDISK_{serial}-0:0",
        }
        return f"/dev/disk/by-id/{kinds[self.driver]}"

    def holds(self, secret: bytes) -> bool:
        """Whether the file behind it has a text anywhere; the machine has to have written all."""
        return backing.holds(self.image, secret)

    def head(self, length: int) -> bytes:
        """The first bytes of the file behind it."""
        with self.image.open("rb") as file:
            return file.read(length)

    def is_zero(self) -> bool:
        """Whether the file behind it is zero from end to end."""
        return backing.is_zero(self.image)


class Machine:
    """A machine that is off, until `on`. folder: short, for its sockets. built_in: disks that stay in it."""

    def __init__(self, folder: Path, built_in: Iterable[Disk] = ()) -> None:
        self.folder = folder
        self._built_in = tuple(built_in)
        self._boot = image.boot()
        self._root, self._code = folder / "root.qcow2", folder / "code.img"
        self._console = folder / "console.log"
        image.code_disk(self._code)
        below: list[str | Path] = ["-F", "raw", "-b", self._boot.root]
        run(["qemu-img", "create", "-q", "-f", "qcow2", *below, self._root])
        self._process: subprocess.Popen[bytes] | None = None
        self._open = ExitStack()
        self._slots: dict[str, str] = {}
        self._plugged: set[str] = set()

    # --- power ----------------------------------------------------------------------------------------

    def on(self, disks: Iterable[Disk] = ()) -> None:
        """Power on with these disks in it too, in this order, and wait until its end of the line speaks."""
        self._slots, self._plugged = {}, set()
        fixed = [
            self._virtio("root", {"driver": "qcow2", "file": _file(self._root)}),
            self._virtio("code", {"driver": "raw", "read-only": True, "file": _file(self._code)}),
        ]
        mine = [(disk.backend, self._placed(disk)) for disk in (*self._built_in, *disks)]
        words = [*self._hardware()]
        for backend, device in [*fixed, *mine]:
            words += ["-blockdev", _json(backend), "-device", _json(device)]
        parent = os.getpid()
        with (self.folder / "qemu.log").open("ab") as log:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=lambda: kernel.die_with_parent(parent, signal.SIGKILL),
            )
        try:
            self.qmp = Qmp(self._open.enter_context(self._connected("qmp").makefile("rwb")))
            line = self._connected("line")
            line.settimeout(BOOT_S)
            self._line = self._open.enter_context(line.makefile("rwb"))
            self.hear(Ready)
        except (OSError, ClusterError) as error:
            self.off()
            logs = (self.folder / "qemu.log", self._console)
            raise ClusterError(
                "\n".join([f"the machine does not start: {error}", *map(tail, logs)])
            ) from error
        line.settimeout(ANSWER_S)

    def off(self) -> None:
        """Power off at once, as the plug is pulled: what is to outlast it has to be synced."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._open.close()
        for name in ("qmp", "line"):
            (self.folder / name).unlink(missing_ok=True)

    def reboot(self, disks: Iterable[Disk] = ()) -> None:
        """With other disks in it, or the same ones in another order."""
        self.run("sync")
        self.off()
        self.on(disks)

    @property
    def is_on(self) -> bool:
        return self._process is not None and self._process.poll() is None

    # --- disks ----------------------------------------------------------------------------------------

    def plug(self, disk: Disk) -> str:
        """Into the running machine, until udev has made its names; what is built in is there. Returns the
        kernel's name for it."""
        if disk in self._built_in:
            return self.run(f"readlink -e {disk.name}").out.strip().removeprefix("/dev/")
        before = self._names()
        if disk.bytes_per_s:
            limits = {"bps-total": disk.bytes_per_s}
            self.qmp.call(
                "object-add", **{"qom-type": "throttle-group", "id": f"slow-{disk.id}", "limits": limits}
            )
        self.qmp.call("blockdev-add", **disk.backend)
        try:
            self.qmp.call("device_add", **self._placed(disk))
        except ClusterError:
            self._forget(disk)
            raise
        self._plugged.add(disk.id)
        until(f"{disk.id} to be found", lambda: self._names() - before)
        (name,) = self._names() - before
        return name

    def unplug(self, disk: Disk) -> None:
        """Out of the running machine, and udev has taken its names away."""
        self.unplug_at_once(disk)
        self.run("udevadm settle")

    def unplug_at_once(self, disk: Disk) -> None:
        """Out of the running machine, whatever it does with it just now."""
        self.qmp.call("device_del", id=disk.id)
        self.qmp.wait_for("DEVICE_DELETED", device=disk.id)
        self._forget(disk)

    @contextmanager
    def plugged(self, *disks: Disk) -> Iterator[tuple[str, ...]]:
        """While a test uses them; yields the kernel's names. What it has unplugged is left alone."""
        names = tuple(map(self.plug, disks))
        try:
            yield names
        finally:
            for disk in disks:
                if disk.id in self._plugged:
                    self.unplug(disk)

    def _names(self) -> set[str]:
        return set(self.run("udevadm settle; ls /sys/block").out.split())

    def _forget(self, disk: Disk) -> None:
        self._plugged.discard(disk.id)
        self._slots.pop(disk.id, None)
        self.qmp.call("blockdev-del", **{"node-name": f"file-{disk.id}"})
        if disk.bytes_per_s:
            self.qmp.call("object-del", id=f"slow-{disk.id}")

    # --- its end of the line --------------------------------------------------------------------------

    def say(self, request: Request) -> None:
        """Begin something; `hear` ends it."""
        self._line.write(msgspec.json.encode(request) + b"\n")
        self._line.flush()

    def hear(self, kind: type[Kind]) -> Kind:
        """What it says next. Raises ClusterError where that is something else."""
        said = self._line.readline()
        if not said:
            raise ClusterError("the line is closed")
        found: Answer = msgspec.json.decode(said, type=Answer)
        if isinstance(found, Failed):
            raise ClusterError(found.why)
        assert isinstance(found, kind), found
        return found

    def ask(self, request: Request, kind: type[Kind]) -> Kind:
        """One question, and its answer."""
        self.say(request)
        return self.hear(kind)

    def run(self, script: str, *, check: bool = True) -> Ran:
        """A shell script in the machine. Raises ClusterError where it fails, unless that is looked for."""
        ran = self.ask(Run(script), Ran)
        if check and ran.status:
            raise ClusterError(f"{script}: exit {ran.status}\n{ran.out}{ran.err}")
        return ran

    def identify(self, name: str) -> Identified:
        """By the kernel's name."""
        return self.ask(Identify(name), Identified)

    # --- how QEMU is told -----------------------------------------------------------------------------

    def _hardware(self) -> list[str]:
        slots = [f"pcie-root-port,id=slot{number},chassis={number + 1}" for number in range(SLOTS)]
        devices = [
            *slots,
            "virtio-scsi-pci,id=scsi",
            "qemu-xhci,id=usb",
            "virtio-serial-pci",
            "virtserialport,chardev=line,name=tidb-volume",
        ]
        return [
            "qemu-system-x86_64",
            *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-nic", "none"),
            *("-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "qemu64", "-smp", "2", "-m", "1024"),
            *("-kernel", str(self._boot.kernel), "-initrd", str(self._boot.initrd)),
            *("-append", "console=ttyS0 quiet panic=-1"),
            *("-chardev", f"file,id=console,path={self._console}", "-serial", "chardev:console"),
            *("-chardev", f"socket,id=qmp,path={self.folder}/qmp,server=on,wait=off", "-mon"),
            "chardev=qmp,mode=control",
            *("-chardev", f"socket,id=line,path={self.folder}/line,server=on,wait=off"),
            *(word for device in devices for word in ("-device", device)),
        ]

    def _virtio(self, name: str, backend: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        node = f"file-{name}"
        return backend | {"node-name": node}, {
            "driver": "virtio-blk-pci",
            "id": name,
            "drive": node,
            "serial": name,
        }

    def _placed(self, disk: Disk) -> dict[str, Any]:
        """The device, on a bus with room for it."""
        if disk.driver in ("nvme", "virtio-blk-pci"):
            free = [f"slot{number}" for number in range(SLOTS) if f"slot{number}" not in self._slots.values()]
            if not free:
                raise ClusterError(f"all {SLOTS} slots are taken: {', '.join(self._slots)}")
            self._slots[disk.id] = free[0]
            return disk.device | {"bus": free[0]}
        buses = {"scsi-hd": "scsi.0", "scsi-cd": "scsi.0", "usb-storage": "usb.0"}
        bus = buses.get(disk.driver)
        return disk.device | ({"bus": bus} if bus else {})

    def _connected(self, name: str) -> socket.socket:
        process = self._process
        assert process is not None

        def attempt() -> socket.socket | None:
            if process.poll() is not None:
                raise ClusterError(f"qemu has ended with {process.returncode}")
            line = socket.socket(socket.AF_UNIX)
            with suppress(FileNotFoundError, ConnectionRefusedError):
                line.connect(str(self.folder / name))
                return line
            line.close()
            return None

        found = until(f"qemu's socket {name}", attempt, timeout=30)
        assert found is not None
        return self._open.enter_context(found)


def _file(path: Path) -> dict[str, str]:
    return {"driver": "file", "filename": str(path)}


def _json(what: dict[str, Any]) -> str:
    return msgspec.json.encode(what).decode()
