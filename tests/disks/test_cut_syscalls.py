"""A wipe is killed as it enters each system call by which it changes something, once each.

tests/disks/test_cut.py kills where the code says that it changes something. Here the kernel says it: strace
kills the process as it enters the call of one kind and number. It counts each kind by itself and each process
by itself, and so do these tests; mkfs, with which the process that started it dies, is cut in the same way.

Not among the kinds are open and ioctl, since nearly all of them only look. One that creates stands between a
mkdir and the write after it, BLKZEROOUT between two fsyncs: what is there then is met at these. Of the calls
that write much in a row the first, the second, the fourth and so on are cut (`MANY`).
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from disk_daemon import tools
from disk_daemon.facts.folder import Rules
from tests.cluster import packages
from tests.cluster.system import ClusterError
from tests.disks.bench import Disk, RawDisk, entry_of, facts_of, identity_of, obey, reclaim, state
from tests.disks.device import SECRET, prepare
from tests.disks.failing_case import BLOCK, BLOCK_BYTES
from tidb_volume.value import Content

pytestmark = pytest.mark.long

CHANGES = (
    "creat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat,mknod,"
    "mknodat,truncate,ftruncate,fallocate,write,pwrite64,writev,pwritev,pwritev2,sendfile,copy_file_range,chmod,"
    "fchmod,fchmodat,?fchmodat2,chown,fchown,fchownat,setxattr,fsetxattr,removexattr,fremovexattr,utimensat,"
    "fsync,fdatasync,syncfs,sync_file_range,sync,mount,umount2,fsmount,move_mount"
)
"""Whatever can change a file system or a device, or have it stored."""
MANY = ("pwrite64", "pwritev2")
MOST = 400
FILES = ("one", "two")
NO_TRACE = ["-o", "/dev/null"]


@pytest.fixture(scope="module")
def strace() -> str:
    try:
        packages.require({"strace": "strace"})
    except ClusterError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return "strace"


def attached(strace: str, options: list[str], work: Callable[[], object]) -> int:
    """Run in a process of its own that strace looks at. Returns its wait status."""
    ready, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go)
        os.read(ready, 1)
        work()
        os._exit(0)
    os.close(ready)
    with subprocess.Popen([strace, *options, "-p", str(pid)], stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        assert "attached" in said, said
        os.close(go)
        return os.waitpid(pid, 0)[1]


def inject(kind: str, number: int) -> list[str]:
    """Kill at the call of that kind and number."""
    return [*NO_TRACE, "-e", f"trace={kind}", "-e", f"inject={kind}:signal=SIGKILL:when={number}"]


def was_killed(status: int) -> bool:
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False


class Cuts:
    """Each cut of a work that is done anew for each, at a call of each kind that it makes.

    program: what is cut is this one that the work runs, and the work dies with it.
    """

    def __init__(self, strace: str, folder: Path, program: str = "") -> None:
        self._strace, self._log, self._program = strace, folder / "calls", program
        self.seen = 0
        self._at: tuple[str, int] | None = None
        self._was_killed = False

    def __iter__(self) -> Iterator[tuple[str, int] | None]:
        """The kind and the number at which the next work is cut; first None: it is only looked at."""
        yield None
        lines = self._log.read_text().splitlines()
        kinds = dict.fromkeys(line.split("(")[0] for line in lines if "(" in line and line[0].isalpha())
        for kind in kinds:
            for number in itertools.count(1):
                if kind in MANY and number & (number - 1):
                    continue
                self._at = (kind, number)
                yield self._at
                if not self._was_killed:
                    break
                self.seen += 1
                assert self.seen < MOST

    def do(self, work: Callable[[], object]) -> None:
        """Do it, cut at what the iterator has said last."""
        listed = ["-o", str(self._log), "-e", f"trace={CHANGES}"]
        options = listed if self._at is None else inject(*self._at)
        if not self._program:
            self._was_killed = was_killed(attached(self._strace, options, work))
            return
        pid = os.fork()
        if pid == 0:
            self._run_under(options)
            work()
            os._exit(0)
        self._was_killed = was_killed(os.waitpid(pid, 0)[1])

    def _run_under(self, options: list[str]) -> None:
        """In this process, the program is run by strace, and a kill of the one is one of the other."""
        real = tools.run

        def run(namespace: int, argv: list[str], fd: int, kept: tuple[int, ...] = ()) -> tuple[int, str, str]:
            if argv[0] != self._program:
                return real(namespace, argv, fd, kept)
            status, out, err = real(namespace, [self._strace, *options, *argv], fd, kept)
            if status == -signal.SIGKILL:
                os.kill(os.getpid(), signal.SIGKILL)
            return status, out, err

        tools.run = run


def tenancies() -> Iterator[str]:
    """Of which each is none before."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    for first, second in itertools.product(letters, letters):
        yield "z" * 10 + first + second


@pytest.mark.timeout(900)
def test_killed_at_any_system_call_the_next_process_comes_to_the_same_end(
    disk: Disk, rules: Rules, strace: str, tmp_path: Path
) -> None:
    disk.tenancy()
    identity, tenancy, cuts = identity_of(disk, rules), "a" * 12, Cuts(strace, tmp_path)
    for at, following in zip(cuts, tenancies(), strict=False):
        for name in FILES:
            (disk.ours / tenancy / name).write_text("secret")
        order = reclaim(identity, id=f"cut-{following}", ends=tenancy, next=following)
        cuts.do(lambda: obey(disk, order, rules))  # noqa: B023
        ended = obey(disk, order, rules)
        assert state(ended) == ("done", ""), (at, ended.work)
        assert disk.tree() == [".tidb-volume", f".tidb-volume/{following}"], at
        assert entry_of(disk, rules).handed == following
        tenancy = following
    assert cuts.seen > 25


DEVICES: list[tuple[str, dict[str, Any], str, int]] = [
    ("format", {}, "", 40),
    ("format", {}, "mkfs.xfs", 8),
    ("zero", BLOCK, "", 30),
]
"""The method, what the device is to be, the program that is cut, and how many cuts there are at least."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("method", "job", "program", "least"), DEVICES)
def test_a_device_killed_at_any_system_call_is_wiped_by_the_next_process(
    own_mounts: None,
    rules: Rules,
    strace: str,
    tmp_path: Path,
    method: str,
    job: dict[str, Any],
    program: str,
    least: int,
) -> None:
    size = {"size": BLOCK_BYTES} if job else {}
    device = RawDisk.make(tmp_path, "device", rules, **size)
    names, cuts = tenancies(), Cuts(strace, tmp_path, program)
    try:
        tenancy = next(names)
        assert (
            state(obey(device, prepare(identity_of(device, rules), next=tenancy), rules, job=job))[0]
            == "done"
        )
        identity, uuid = identity_of(device, rules), device.uuid()
        for at, following in zip(cuts, names, strict=False):
            if job:
                device.write(BLOCK_BYTES // 2, SECRET)
            else:
                (device.ours / tenancy / "data").write_bytes(SECRET)
            order = reclaim(identity, id=f"cut-{following}", method=method, ends=tenancy, next=following)
            cuts.do(lambda: obey(device, order, rules, job=job))  # noqa: B023
            facts = facts_of(device, rules, **job)
            shown = facts.tenancies if facts.content is Content.TENANCY and facts.empty else ()
            assert shown in ((), (following,)), (at, facts)
            ended = obey(device, order, rules, job=job)
            assert state(ended) == ("done", ""), (at, ended.work)
            facts = ended.facts
            assert (facts.content, facts.tenancies, facts.empty) == (Content.TENANCY, (following,), True), at
            assert entry_of(device, rules).handed == following
            before, uuid, tenancy = uuid, device.uuid(), following
            assert device.is_zero() if job else uuid != before, at
    finally:
        device.remove()
    assert cuts.seen > least
