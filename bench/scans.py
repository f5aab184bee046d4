"""What it costs to find out who uses a disk, on a node that is full of processes.

    python -m bench.scans [--processes 500] [--descriptors 100] [--namespaces 40] [--rounds 20]

`mounts` is the look that every wipe takes twice: all mount namespaces. `everyone` is the look before the
whole disk goes, twice as well: each process's folders, descriptors and mapped files too. `openers` is the
look for who has a raw device, descriptors and mappings, for each order on one and each look at one that is
free. `floor` is one readlink for each process, and `open_floor` one stat for each descriptor, as this
machine does them from Python; the ratios are to these. `links` is one readlink for each descriptor instead.
Needs root (a loop device, in a mount namespace of its own). The last line is for machines: milliseconds of
this process's own time (a busy machine does not count), medians.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median

from disk_daemon.facts import everyone, mounts, openers, process
from disk_daemon.facts.folder import Rules
from tests.disks.bench import Disk, facts_of

_CLONE_NEWNS = 0x00020000
_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=500)
    parser.add_argument("--descriptors", type=int, default=100)
    parser.add_argument("--namespaces", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    _own_namespace()
    with tempfile.TemporaryDirectory() as folder:
        disk = Disk.make(Path(folder), "disk")
        node = [
            _process(options.descriptors, apart=number < options.namespaces)
            for number in range(options.processes)
        ]
        try:
            _measure(disk, _rules(folder), options.rounds)
        finally:
            for pid in node:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            disk.remove()


def _rules(folder: str) -> Rules:
    """Where this runs in a sandbox, its supervisor hides, as in the tests."""
    hidden: tuple[int, ...] = ()
    try:
        os.readlink("/proc/1/cwd")
    except PermissionError:
        hidden = (1,)
    return Rules(virtual_disks=True, state=f"{folder}/state", nodes=f"{folder}/nodes", hidden=hidden)


def _own_namespace() -> None:
    if _libc.unshare(_CLONE_NEWNS) != 0:
        raise SystemExit("needs root")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def _process(descriptors: int, *, apart: bool) -> int:
    """One process of the node; apart: in a mount namespace of its own, as each container is."""
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        if apart:
            _libc.unshare(_CLONE_NEWNS)
        while os.open("/dev/null", os.O_RDONLY) < descriptors:
            pass
        os.write(told, b"x")
        while True:
            signal.pause()
    os.close(told)
    os.read(ready, 1)
    os.close(ready)
    return pid


def _measure(disk: Disk, rules: Rules, rounds: int) -> None:
    device, loop = os.stat(disk.path).st_dev, os.stat(disk.loop).st_rdev
    number = facts_of(disk, rules).device
    looks: dict[str, Callable[[], object]] = {
        "floor": _each_process,
        "mounts": lambda: mounts.users(number, str(disk.path), mounts.tables()),
        "open_floor": lambda: _each_descriptor(os.stat),
        "links": lambda: _each_descriptor(os.readlink),
        "everyone": lambda: everyone.users(device, tuple(mounts.tables()), rules.nodes, rules.state),
        "openers": lambda: openers.users_of_processes({loop}, process.pids(), rules),
    }
    took: dict[str, list[float]] = {name: [] for name in looks}
    for _ in range(rounds):
        for name, look in looks.items():
            began = time.process_time()
            look()
            took[name].append(time.process_time() - began)
    ms = {name: median(each) * 1000 for name, each in took.items()}
    figures = " ".join(f"{name}_ms={each:.1f}" for name, each in ms.items())
    ratios = f"mounts_ratio={ms['mounts'] / ms['floor']:.2f} "
    ratios += f"everyone_ratio={ms['everyone'] / ms['open_floor']:.2f} "
    ratios += f"openers_ratio={ms['openers'] / ms['open_floor']:.2f}"
    print(f"processes={len(_pids())} rounds={rounds} {figures} {ratios}")


def _pids() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]


def _each_process() -> None:
    for pid in _pids():
        with suppress(OSError):
            os.readlink(f"/proc/{pid}/ns/mnt")


def _each_descriptor(ask: Callable[[str], object]) -> None:
    for pid in _pids():
        with suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    ask(f"/proc/{pid}/fd/{name}")


if __name__ == "__main__":
    main()
