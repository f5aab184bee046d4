"""What the daemon writes, beside others who write the same objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from disk_daemon import telling
from disk_daemon.jobs import Ended
from disk_daemon.minded import Minded
from tests.unit.daemon.cases import DISK, facts, order, volume
from tests.unit.daemon.keeping import World, listed
from tidb_volume.value import Identity, Presence, Volume, Work, WorkState


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.end()


def test_what_another_daemon_wrote_over_a_word_before_it_was_acknowledged_is_written_over_again(
    world: World,
) -> None:
    """One that was to end writes its last word after ours: it stood there, and ours was taken for written."""
    waiting: list[Callable[[Any], object]] = []
    done = Work(order_id="order-1", state=WorkState.DONE)
    listed_ = listed("v", "/data/a", order())

    def write(known: Volume, disk: Any, work: Work | None, then: Callable[[Any], object]) -> None:
        world.api.writes.append((known.metadata.name, disk, work))
        waiting.append(then)

    world.api.write = write  # type: ignore[method-assign]
    world.keeper.volume_changed(listed_)
    world.until(
        "a write with the answer", lambda: world.last("v")[1] == done or _go_on(waiting, listed_, "1")
    )
    before = len(world.api.writes)
    theirs = Work(order_id="order-1", state=WorkState.RUNNING, reason="Queued")
    world.keeper.volume_changed(at(listed("v", "/data/a", order(), work=theirs), "9"))
    _go_on(waiting, listed_, "8")
    assert len(world.api.writes) == before + 1
    assert world.last("v")[1] == done


def test_of_a_disk_and_a_partition_of_it_the_newcomer_is_told_that_it_is_a_conflict() -> None:
    def known(name: str, identity: Identity | None, device: str, whole: str) -> Minded:
        seen = volume(order(), identity=identity)
        named = msgspec.structs.replace(seen, metadata=msgspec.structs.replace(seen.metadata, name=name))
        return Minded(named, ended=Ended(seen_at=1.0, facts=facts(device=device, whole=whole)))

    every = [
        known("whole", DISK, "8:0", ""),
        known("a", None, "8:1", "8:0"),
        known("b", None, "8:17", "8:16"),
    ]
    found = telling.reports(every, lambda known: 0)
    assert {name: each.presence for name, each in found.items()} == {
        "whole": Presence.OK,
        "a": Presence.CONFLICT,
        "b": Presence.OK,
    }


def _go_on(waiting: list[Callable[[Any], object]], volume: Volume, version: str) -> None:
    for then in tuple(waiting):
        waiting.remove(then)
        then(at(volume, version))


def at(volume: Volume, version: str) -> Volume:
    meta = msgspec.structs.replace(volume.metadata, resource_version=version)
    return msgspec.structs.replace(volume, metadata=meta)
