"""The whole daemon as a process, and what the test does in the controller's place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from disk_daemon.facts.folder import Rules
from tests.disks.bench import AnyDisk, source_of
from tidb_volume import names
from tidb_volume.kube import kinds
from tidb_volume.kube.client import Client
from tidb_volume.value import Order, Volume, VolumeMode, VolumeSpec, WorkState

T = TypeVar("T")
NODE = "node-1"
_PROGRAM = """
import functools, sys
from disk_daemon import __main__ as program
hidden = tuple(map(int, filter(None, sys.argv[1].split(","))))
program.Rules = functools.partial(program.Rules, hidden=hidden)
sys.exit(program.main(sys.argv[2:]))
"""
"""`python -m disk_daemon`, but for the supervisor of a sandbox, of which nobody can tell what it has open."""


class Daemon:
    """The program, with what it said on stderr."""

    def __init__(self, kubeconfig: Path, rules: Rules) -> None:
        self._arguments = [
            *(sys.executable, "-c", _PROGRAM, ",".join(map(str, rules.hidden))),
            *("--node-name", NODE, "--kubeconfig", str(kubeconfig)),
            *("--state", rules.state, "--mounts", rules.mounts, "--nodes", rules.nodes),
            *("--virtual-disks", "--metrics-address", "127.0.0.1:0", "--host-pid", str(os.getpid())),
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


class Controller:
    """What the test does in the controller's place, for one disk."""

    def __init__(self, api: Client, disk: AnyDisk, volume_mode: VolumeMode = "Filesystem") -> None:
        self.api = api
        self.source = source_of(disk)
        self.volume_mode = volume_mode
        self.name = names.volume_name(NODE, self.source)

    def declare(self) -> None:
        if self.api.find(kinds.TIDB_VOLUME_FLEET, names.FLEET) is None:
            self.api.create(kinds.TIDB_VOLUME_FLEET, {"metadata": {"name": names.FLEET}, "spec": {}})
        mode = self.volume_mode
        spec = VolumeSpec(node_name=NODE, pool="tikv", source=self.source, volume_mode=mode)
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


def work_is(state: WorkState, order: str = "order-1") -> Callable[[Volume], bool]:
    def look(volume: Volume) -> bool:
        work = volume.status.work
        return work is not None and work.order_id == order and work.state is state

    return look
