"""What the daemon writes, beside others who write the same objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from tests.unit.daemon.cases import order
from tests.unit.daemon.keeping import World, listed
from tidb_volume.value import Volume, Work, WorkState


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


def _go_on(waiting: list[Callable[[Any], object]], volume: Volume, version: str) -> None:
    for then in tuple(waiting):
        waiting.remove(then)
        then(at(volume, version))


def at(volume: Volume, version: str) -> Volume:
    meta = msgspec.structs.replace(volume.metadata, resource_version=version)
    return msgspec.structs.replace(volume, metadata=meta)
