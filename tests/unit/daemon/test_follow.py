"""What the daemon is told of its volumes, whichever thread was first."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from disk_daemon.app import follow
from tests.unit.daemon.cases import order, volume
from tidb_volume.kube.store import Change, Store
from tidb_volume.value import Volume


class Keeper:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def volume_changed(self, volume: Volume) -> None:
        self.told.append(volume.metadata.resource_version)

    def volume_gone(self, name: str) -> None:
        self.told.append("gone")


def at(version: int) -> Volume:
    made = volume(order())
    return msgspec.structs.replace(
        made, metadata=msgspec.structs.replace(made.metadata, resource_version=str(version))
    )


def followed() -> tuple[Store[Volume], Keeper, list[Callable[[], object]]]:
    volumes: Store[Volume] = Store()
    keeper = Keeper()
    calls: list[Callable[[], object]] = []
    follow(volumes, keeper, calls.append)
    return volumes, keeper, calls


def test_a_thread_that_tells_late_of_what_it_put_does_not_bring_back_what_was() -> None:
    """The API thread puts its own write's answer, and is held up before it tells; the watch goes on."""
    volumes, keeper, calls = followed()
    late: list[Change[Volume]] = []
    tell = volumes._tell
    volumes._tell = lambda change: late.append(change) or True  # type: ignore[method-assign,func-returns-value]
    volumes.put(at(1))
    volumes._tell = tell  # type: ignore[method-assign]
    volumes.heard(at(2))
    for change in late:
        tell(change)
    for call in calls:
        call()
    assert keeper.told == ["2", "2"]


def test_a_volume_that_is_gone_is_told_as_gone_and_one_made_again_as_changed() -> None:
    volumes, keeper, calls = followed()
    volumes.heard(at(1))
    calls.pop()()
    volumes.heard_deleted(at(2))
    calls.pop()()
    volumes.heard(at(3))
    calls.pop()()
    assert keeper.told == ["1", "gone", "3"]
