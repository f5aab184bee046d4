"""Who hangs at a disk is found by the lock that it keeps, whichever daemon began it.

What waits for the page cache ends when it is killed; a read past it (O_DIRECT) does not, nor does a write.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from disk_daemon import alone, blockdev, tools
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Hangs
from tests.disks.failing import Failing, Fault, Kind, failing_disk

pytestmark = pytest.mark.long  # tests that run beside it open every loop device
NAME = "volume-a"


@pytest.fixture
def failing(own_mounts: None, tmp_path: Path, rules: Rules) -> Iterator[Failing]:
    with failing_disk(tmp_path, rules, 1 << 20) as made:
        yield made


@contextmanager
def holder(rules: Rules, work: Callable[[int], object]) -> Iterator[int]:
    """A process that has the lock and does something with it; gives its pid."""
    told, ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        with alone.held(rules.state, NAME) as lock:
            assert isinstance(lock, int)
            os.write(ready, b"x")
            work(lock)
        os._exit(0)
    os.close(ready)
    assert os.read(told, 1) == b"x"
    os.close(told)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def found(rules: Rules) -> Hangs | None:
    """Who hangs with the lock; None: one may begin."""
    with alone.held(rules.state, NAME, lambda seconds: None) as lock:
        return lock if isinstance(lock, Hangs) else None


def until_it_hangs(failing: Failing, pid: int) -> None:
    """Its last wait has begun."""
    end = time.monotonic() + 20
    while not failing.file.counts()["hanging"] or state(pid) != "D":
        assert time.monotonic() < end
        time.sleep(0.01)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def read_directly(failing: Failing) -> Callable[[int], object]:
    def work(lock: int) -> None:
        fd = os.open(failing.disk.loop, os.O_RDONLY | os.O_CLOEXEC)
        with blockdev.Reader(fd) as reader:
            reader.is_zero(0, 4096)

    return work


def test_a_process_that_hangs_is_named_until_it_is_back(failing: Failing, rules: Rules) -> None:
    failing.file.fail(Fault(("read",), "hang"))
    with holder(rules, read_directly(failing)) as pid:
        until_it_hangs(failing, pid)
        os.kill(pid, signal.SIGKILL)
        hangs = found(rules)
        assert hangs is not None
        assert hangs.pids == (pid,)
        assert f"(pid {pid}) of an earlier look or order hangs in the kernel" in hangs.said
        failing.file.fail()
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert found(rules) is None


def reads(failing: Failing, lock: int) -> None:
    fd = os.open(failing.disk.loop, os.O_RDONLY | os.O_CLOEXEC)
    direct = "exec dd iflag=direct if=$0 of=/dev/null bs=4k count=1"
    tools.run(-1, ["sh", "-c", direct, "{}"], fd, (lock,))


def makes(failing: Failing, lock: int) -> None:
    fd = os.open(failing.disk.loop, os.O_RDWR | os.O_CLOEXEC)
    tools.make_filesystem(-1, fd, "ext4", str(uuid.uuid4()), (lock,))


@pytest.mark.parametrize(
    ("work", "name", "at"), [(reads, "dd", ("read",)), (makes, "mkfs.ext4", ("write", "sync"))]
)
def test_a_program_that_hangs_after_its_child_was_ended_is_found(
    failing: Failing, rules: Rules, work: Callable[[Failing, int], None], name: str, at: tuple[Kind, ...]
) -> None:
    """The child waits for it, and so can be ended; the program keeps the lock."""
    failing.file.fail(Fault(at, "hang"))
    with holder(rules, partial(work, failing)) as pid:
        (program,) = until_it_has_children(pid)
        until_it_hangs(failing, program)
    hangs = found(rules)
    assert hangs is not None
    assert hangs.pids == (program,)
    assert hangs.said.startswith(f"{name} (pid {program})")
    failing.file.fail()
    until_it_is_gone(program)
    assert found(rules) is None


def until_it_has_children(pid: int) -> list[int]:
    end = time.monotonic() + 20
    while not (children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return list(map(int, children))


def until_it_is_gone(pid: int) -> None:
    end = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and state(pid) not in "ZX":
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_process_that_was_stopped_is_worked_beside(own_mounts: None, rules: Rules) -> None:
    """A daemon may be frozen for hours; what must not be done twice, the disk's own lock keeps apart."""
    with holder(rules, lambda lock: signal.pause()) as pid:
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
        assert found(rules) is None


def test_who_only_waits_for_the_lock_is_not_taken_for_one_who_has_it(failing: Failing, rules: Rules) -> None:
    failing.file.fail(Fault(("read",), "hang"))
    with holder(rules, read_directly(failing)) as pid:
        until_it_hangs(failing, pid)
        with alone.held(rules.state, NAME, lambda seconds: None) as lock:
            assert isinstance(lock, Hangs)
            waits = os.fork()
            if waits == 0:
                signal.pause()
            hangs = found(rules)
            os.kill(waits, signal.SIGKILL)
            os.waitpid(waits, 0)
        assert hangs is not None
        assert hangs.pids == (pid,)
        failing.file.fail()
