"""What is ours and cannot be mounted: it is tried for ever, and why is told once."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from disk_daemon import kernel, minded
from disk_daemon.jobs import Ask, Ended, Job, Mounted, Record
from disk_daemon.known import Live, Raw
from tests.unit.daemon.cases import OLD, facts
from tests.unit.daemon.keeping import World, listed, say, work
from tidb_volume.value import Presence, Source, Volume

SAID = "EUCLEAN: Structure needs cleaning; repair it on the node"
NOT_MOUNTED = facts(
    presence=Presence.NOT_MOUNTED,
    message="the xfs is not mounted",
    raw=Raw(mode="Filesystem", mountable=True),
)


def damaged(job: Job, line: socket.socket) -> None:
    """A device that the kernel does not mount, or of which another process of ours has the lock."""
    if job.kind == "mount":
        passing = job.source.device.endswith("locked")
        say(line, Mounted(ok=False, said="locked" if passing else SAID, passing=passing))
    elif job.kind == "observe":
        seen = Ended(seen_at=kernel.boottime(), facts=NOT_MOUNTED, record=Record(handed=OLD, known=True))
        say(line, seen)
    else:
        work(job, line)


@pytest.fixture
def world() -> Iterator[World]:
    made = World(damaged)
    yield made
    made.end()


def device(name: str) -> Volume:
    volume = listed("v", "")
    return msgspec.structs.replace(
        volume, spec=msgspec.structs.replace(volume.spec, source=Source(device=f"/dev/{name}"))
    )


def tries(world: World) -> int:
    return len([job for job in world.spawned if job.kind == "mount"])


def said(world: World) -> str:
    disk = world.last("v")[0]
    return disk.message if disk is not None else ""


def test_why_it_cannot_be_mounted_is_told_and_written_once(world: World) -> None:
    world.keeper.volume_changed(device("x"))
    world.until("the reason", lambda: SAID in said(world) and world.idle())
    assert said(world) == f"the xfs is not mounted: {SAID}"
    world.until("nothing to do", world.idle)
    writes = len(world.api.writes)
    for number in range(2, 5):
        world.now += minded.MOUNT_EVERY_S
        world.until("another try", lambda: tries(world) == number and world.idle())  # noqa: B023
    assert len(world.api.writes) == writes


def test_that_somebody_else_is_at_work_there_is_no_news(world: World) -> None:
    world.keeper.volume_changed(device("locked"))
    world.until("a try", lambda: tries(world) == 1 and world.idle())
    world.until("a report", lambda: said(world) and world.idle())
    assert said(world) == "the xfs is not mounted"


def test_what_was_told_is_over_once_it_is_not_to_be_mounted_any_more(world: World) -> None:
    world.keeper.volume_changed(device("x"))
    world.until("the reason", lambda: SAID in said(world) and world.idle())
    known = world.keeper.volumes[0]
    child = type("Gone", (), {"job": Job(id=0, kind="observe")})()
    seen = Ended(seen_at=kernel.boottime(), facts=facts(raw=Raw(mode="Filesystem", mounted=True)))
    world.keeper._ended(known, child, seen)
    assert known.not_mounted == ""


def renamed(job: Job, line: socket.socket) -> None:
    """The newcomer is the same disk as "v", which the journal has for it."""
    if job.kind == "mount":
        say(line, Ask(volume="v"))
        live = msgspec.json.decode(line.recv(1 << 16), type=Live)
        say(line, Mounted(ok=False, said=f"asked: {live.error}"))
    elif job.kind == "observe" and job.volume == "newcomer":
        raw = Raw(mode="Filesystem", mountable=True, other="v")
        seen = msgspec.structs.replace(NOT_MOUNTED, raw=raw)
        say(line, Ended(seen_at=kernel.boottime(), facts=seen, record=Record(handed=OLD, known=True)))
    else:
        work(job, line)


def test_what_another_volume_has_waits_for_the_end_of_that_one_and_is_then_asked_about_by_its_name() -> None:
    world = World(renamed)
    asked: list[tuple[str, tuple[str, ...], bool]] = []

    def live(volume: str, tenancies: tuple[str, ...], lean: bool, then: Any) -> None:
        asked.append((volume, tenancies, lean))
        then(Live(read_at=0.0, error="so"))

    world.api.live = live  # type: ignore[method-assign]
    newcomer = listed("newcomer", "")
    spec = msgspec.structs.replace(newcomer.spec, source=Source(device="/dev/new"))
    try:
        world.keeper.volume_changed(listed("v", "/data/old"))
        world.keeper.volume_changed(msgspec.structs.replace(newcomer, spec=spec))
        conflict = "the same disk (8:0) as v (/data/old), which has it by the journal"
        world.until("the conflict", lambda: conflict in _said(world) and world.idle())
        world.now += minded.MOUNT_EVERY_S
        world.until("nothing to do", world.idle)
        assert tries(world) == 0
        world.keeper.volume_gone("v")
        world.until("a try", lambda: "asked: so" in _said(world) and world.idle())
        assert asked == [("v", (OLD,), False)]
    finally:
        world.end()


def _said(world: World) -> str:
    disk = world.last("newcomer")[0]
    return disk.message if disk is not None else ""
