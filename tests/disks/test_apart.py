"""The kernel's own control groups: what touches disks leaves the container's, with the container's limits."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from disk_daemon import apart, kernel
from tests.cluster import cgroups
from tests.disks.bench import in_child

MEMORY_BYTES = 256 << 20


@pytest.fixture
def container(own_mounts: None) -> Iterator[str]:
    """A group such as the kubelet and runc make for a container of a pod, in every hierarchy."""
    top = f"/tidb-volume-test-{os.getpid()}"
    group = f"{top}/kubepods/burstable/pod1/c"
    try:
        cgroups.make(group)
        yield group
    finally:
        cgroups.remove(top)


def hierarchies() -> list[Path]:
    return [each for each in Path("/sys/fs/cgroup").glob("*") if (each / "cgroup.procs").exists()] or [
        Path("/sys/fs/cgroup")
    ]


def limit_memory(group: str) -> str:
    """Returns the file's name."""
    for top in hierarchies():
        for name in ("memory.limit_in_bytes", "memory.max"):
            file = top / group.strip("/") / name
            if file.exists():
                file.write_text(str(MEMORY_BYTES))
                return str(file.parent.parent.parent.parent / apart.NAME / name)
    raise AssertionError("no hierarchy has memory")


def enter(group: str) -> None:
    for top in hierarchies():
        (top / group.strip("/") / "cgroup.procs").write_text(str(os.getpid()))


def sleeper() -> int:
    pid = os.fork()
    if pid == 0:
        kernel.die_with_parent(os.getppid(), signal.SIGKILL)
        signal.pause()
    return pid


def test_what_is_moved_is_in_no_group_of_the_pod_and_under_the_same_limits(container: str) -> None:
    limit = limit_memory(container)

    def work() -> None:
        enter(container)
        moved = sleeper()
        assert apart.move(moved, os.getpid()) == ""
        here, there = (Path(f"/proc/{each}/cgroup").read_text() for each in (os.getpid(), moved))
        assert "/pod1" in here
        assert "/pod1" not in there
        assert there.count(f"/kubepods/{apart.NAME}\n") == here.count("/pod1")
        assert Path(limit).read_text() == f"{MEMORY_BYTES}\n"
        apart.remove(os.getpid())
        assert Path(limit).exists(), "somebody is in it"
        os.kill(moved, signal.SIGKILL)
        os.waitpid(moved, 0)
        apart.remove(os.getpid())
        assert not Path(limit).exists()

    assert in_child(work) == 0


def test_a_process_of_no_pod_stays_where_it_is(own_mounts: None) -> None:
    assert apart.move(os.getpid(), os.getpid()) == "this process is in no pod's control group"
    apart.remove(os.getpid())
