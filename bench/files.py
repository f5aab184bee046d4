"""How long a wipe of many small files takes beside `rm -rf` of the same tree on the same disk.

    python -m bench.files [--files 2000] [--rounds 20] [--fs xfs]

Each round fills a tenancy and a plain folder beside it alike, and measures both: the wipe as the daemon does
it, from the request to the zygote to the child's last word (namespace, lock, two readings of an API that
answers at once, journal, syncs, the next folder), and `rm -rf` with a sync of the file system after it.
`empty` is a wipe of an empty tenancy. Needs root (a loop device, in a mount namespace of its own). The last
line is for machines: milliseconds, medians.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import select
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

import msgspec

from disk_daemon import child, kernel, zygote
from disk_daemon.children import Child, Children
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Ask, Ended, Message
from tests.disks.bench import Api, Disk, identity_of, job_of, reclaim, volume_with
from tidb_volume.value import WorkState

_CLONE_NEWNS = 0x00020000
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--fs", default="xfs", choices=("xfs", "ext4"))
    options = parser.parse_args()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        raise SystemExit("needs root")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        rules = Rules(virtual_disks=True, state=f"{folder}/state")
        line, pid = zygote.start(child.worker(rules, os.getpid()))
        disk = Disk.make(Path(folder), "disk", options.fs)
        try:
            _rounds(disk, options.fs, rules, Wiper(line, pid), options.files, options.rounds)
        finally:
            line.close()
            os.waitpid(pid, 0)
            disk.remove()


class Wiper:
    """One wipe at a time, by a child of a real zygote."""

    def __init__(self, line: socket.socket, pid: int) -> None:
        self._children = Children(line, pid, self._said, lambda child, status: None)
        self._api: Api
        self._ended: Ended | None = None

    def wipe(self, disk: Disk, rules: Rules, ends: str, following: str, number: int) -> float:
        """Seconds from the request to the last word."""
        order = reclaim(identity_of(disk, rules), id=f"order-{number}", ends=ends, next=following)
        self._api, self._ended = Api(volume_with(disk, order)), None
        job = msgspec.structs.replace(job_of(disk, order), id=number)
        began = time.perf_counter()
        made = self._children.spawn(job, 0.0, 60.0)
        while self._ended is None:
            self._children.hear(made)
        took = time.perf_counter() - began
        assert self._ended.work is not None
        assert self._ended.work.state is WorkState.DONE, self._ended.work
        select.select([self._children.line], [], [])
        self._children.reap()
        return took

    def _said(self, made: Child, message: Message) -> None:
        if isinstance(message, Ask):
            made.answer(self._api.live(lean=message.lean))
        elif isinstance(message, Ended):
            self._ended = message


def _rounds(disk: Disk, fs: str, rules: Rules, wiper: Wiper, files: int, rounds: int) -> None:
    ends = "a" * 12
    disk.tenancy(ends)
    wiped: list[float] = []
    removed: list[float] = []
    empty: list[float] = []
    number = 0
    for at in range(rounds):
        beside = disk.path / "beside"
        for folder in (disk.ours / ends, beside):
            _fill(folder, files)
        _sync(disk)
        removed.append(_remove(beside, disk))
        for times in (wiped, empty):
            number += 1
            following = "z" * 10 + _LETTERS[number // 26 % 26] + _LETTERS[number % 26]
            times.append(wiper.wipe(disk, rules, ends, following, number))
            ends = following
        print(f"round {at + 1}: wipe {wiped[-1] * 1000:.1f} ms, rm {removed[-1] * 1000:.1f} ms", flush=True)
    wipe_ms, rm_ms, empty_ms = (median(each) * 1000 for each in (wiped, removed, empty))
    worst_ms = max(wiped) * 1000
    print(
        f"files={files} fs={fs} rounds={rounds} wipe_ms={wipe_ms:.1f} worst_ms={worst_ms:.1f} "
        f"rm_ms={rm_ms:.1f} beyond_ms={wipe_ms - rm_ms:.1f} empty_ms={empty_ms:.1f} "
        f"ratio={wipe_ms / rm_ms:.2f}"
    )


def _fill(folder: Path, files: int) -> None:
    for number in range(files):
        where = folder / f"d{number % 20}"
        where.mkdir(parents=True, exist_ok=True)
        (where / f"f{number}").write_bytes(b"x" * 100)


def _remove(folder: Path, disk: Disk) -> float:
    program = shutil.which("rm") or "/bin/rm"
    began = time.perf_counter()
    subprocess.run([program, "-rf", folder], check=True)
    _sync(disk)
    return time.perf_counter() - began


def _sync(disk: Disk) -> None:
    fd = os.open(disk.path, os.O_RDONLY)
    kernel.sync_filesystem(fd)
    os.close(fd)


if __name__ == "__main__":
    main()
