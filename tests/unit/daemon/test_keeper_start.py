"""The daemon's start, when disks are mounted that may be slow or dead before anybody asks for them."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

import pytest

from disk_daemon import keeper
from disk_daemon.jobs import Job, Recalled
from tests.unit.daemon.cases import order, volume
from tests.unit.daemon.keeping import World, say, work
from tidb_volume.value import Volume

OURS: Volume = volume(order())
NAME = OURS.metadata.name


def recalls(job: Job, line: socket.socket) -> None:
    """The journal has one device as ours, and to mount it takes for ever."""
    if job.kind == "recall":
        say(line, Recalled(disks=((NAME, "/dev/disk/by-id/slow", "Filesystem"),)))
    elif job.kind == "mount":
        signal.pause()
    else:
        work(job, line)


@pytest.fixture
def world() -> Iterator[World]:
    made = World(recalls)
    made.keeper.begin(lambda: None)
    made.until("it is being mounted", lambda: [each for each in made.spawned if each.kind == "mount"])
    yield made
    made.end()


def looks(world: World) -> list[Job]:
    return [each for each in world.spawned if each.volume == NAME and each.kind != "mount"]


def test_nothing_is_due_of_a_disk_that_is_being_mounted(world: World) -> None:
    """It was considered a thousand times a second, and each time there was nothing to be done yet."""
    world.keeper.volume_changed(OURS)
    world.until("the survey is over", lambda: not any(c.job.kind == "survey" for c in world.children.all))
    assert world.keeper.next_at() > world.now
    assert not looks(world)


def test_a_disk_whose_mount_hangs_in_the_kernel_is_looked_at_so_that_it_is_told(world: World) -> None:
    def kill(child: object) -> None:
        child.was_killed = True  # type: ignore[attr-defined]

    world.children.kill = kill  # type: ignore[method-assign, assignment]
    world.keeper.volume_changed(OURS)
    assert not looks(world)
    world.now += keeper.MOUNT_PATIENCE_S + 1
    world.keeper.on_time()
    assert looks(world)
