"""Children that end without an answer: what is told of their disk, and that they do not come every second."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from disk_daemon import kernel
from disk_daemon.children import Child
from disk_daemon.jobs import Crashed, Ended, Job
from tests.unit.daemon.cases import facts, order
from tests.unit.daemon.keeping import CRASHES, World, is_done, listed, presence_of, say, work
from tests.unit.daemon.test_keeper_mounts import damaged, device
from tidb_volume.value import Presence, Work, WorkState

WORDS = "EROFS: Read-only file system: '/var/lib/tidb-volume/busy'"


def crashing(job: Job, line: socket.socket) -> None:
    if job.kind == "observe" and job.source.path.startswith(CRASHES):
        say(line, Crashed(said=WORDS))
        os._exit(1)
    work(job, line)


@pytest.fixture
def world() -> Iterator[World]:
    made = World(crashing)
    yield made
    made.end()


def looks(world: World) -> int:
    return len([job for job in world.spawned if job.kind == "observe"])


def test_a_look_that_crashes_is_told_and_comes_later_each_time(world: World) -> None:
    world.keeper.volume_changed(listed("v", CRASHES))
    for number, pause in enumerate((1, 2, 4, 8, 16, 30, 30), 1):
        world.until("a look", lambda: looks(world) == number and world.idle())  # noqa: B023
        world.now += pause - 0.1
        world.keeper.on_time()
        assert looks(world) == number, pause
        world.now += 0.2
    disk = world.last("v")[0]
    assert disk is not None
    assert disk.presence is Presence.HINDERED
    assert disk.message == f"it cannot be looked at: its process ended with {WORDS}; it is tried again"
    assert len([each for each in world.api.writes if each[1]]) == 1, "and written once"


def test_one_look_that_crashed_says_nothing_of_the_disk(world: World) -> None:
    world.keeper.volume_changed(listed("v", CRASHES))
    world.until("a look", lambda: looks(world) == 1 and world.idle())
    world.keeper.volume_changed(listed("v", "/data/a"))
    world.until("a report", lambda: world.last("v")[0] and world.idle())
    assert presence_of(world, "v") is Presence.OK
    assert len(world.api.writes) == 1
    assert world.keeper.volumes[0].crash_pause_s == 0


def test_a_mount_that_crashes_says_so_of_the_disk_and_nothing_of_an_order() -> None:
    def mount_crashes(job: Job, line: socket.socket) -> None:
        if job.kind == "mount":
            os._exit(3)
        damaged(job, line)

    world = World(mount_crashes)
    try:
        world.keeper.volume_changed(device("x"))
        told = "its process ended with exit status 3"
        world.until("the word", lambda: told in getattr(world.last("v")[0], "message", "") and world.idle())
        assert all(work is None for _, _, work in world.api.writes)
    finally:
        world.end()


def test_who_takes_up_an_order_is_told_how_the_process_before_it_ended(world: World) -> None:
    world.keeper.volume_changed(listed("v", CRASHES, order()))
    for number in (1, 2):
        tried = [job for job in world.spawned if job.kind == "order"]
        world.until("a try", lambda: len(tried) == number and world.idle())  # noqa: B023
        world.now += 30
        world.keeper.on_time()
        tried = [job for job in world.spawned if job.kind == "order"]
    said = "its process ended with exit status 3, and the daemon's log may say why; it is tried again"
    assert [job.interrupted for job in tried[:2]] == ["", said]
    assert not any(job.interrupted for job in world.spawned if job.kind == "observe")
    assert world.keeper.tally.interrupted >= 2


def test_what_became_of_an_order_is_counted_once() -> None:
    def unrecorded(job: Job, line: socket.socket) -> None:
        if job.kind != "order":
            work(job, line)
            return
        done = Work(order_id="order-1", state=WorkState.DONE)
        made = Ended(seen_at=kernel.boottime(), facts=facts(), work=done, method="zero", unrecorded="ENOSPC")
        say(line, made)

    world = World(unrecorded)
    try:
        world.keeper.volume_changed(listed("v", "/data/a", order()))
        world.until("its end", lambda: is_done(world.last("v")[1]) and world.idle())
        tally = world.keeper.tally
        assert (tally.orders, tally.wipes) == ({"done": 1}, {("zero", "done"): 1})
        assert (tally.interrupted, tally.unrecorded) == (0, 1)
    finally:
        world.end()


@pytest.mark.parametrize(
    ("status", "words", "said"),
    [
        (256, "", "with exit status 1, and the daemon's log may say why"),
        (9, "", "by SIGKILL; if nobody sent that, for want of memory"),
        (256, WORDS, f"with {WORDS}"),
    ],
)
def test_how_a_process_ended_is_said(status: int, words: str, said: str) -> None:
    with socket.socket() as line:
        child = Child(Job(id=1, kind="observe"), line, 0.0, 10.0)
    child.last_words = words
    assert child.ended_how(status) == said
