"""One disk of the machine as an entry of the inventory, and what the daemon's children make of it.

The objects that stand in for the API server's are those of the tests on loop disks (tests/disks/bench.py);
disks, names, udev, kernel and rules are as on a real node, and nothing is let through as virtual.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Ended, Job, Mounted, Recalled, Surveyed
from disk_daemon.known import Facts, Live
from tests.disks.bench import Api, reclaim
from tests.hw.machine import Machine
from tests.hw.messages import Did, Do
from tidb_volume.value import Identity, Meta, Order, SeenDisk, Source, Volume, VolumeSpec, VolumeStatus

UID = "volume-uid"
RULES = Rules()
LOCKED = 5
"""So often an order is begun whose disk udev has open."""
"""As on a real node: state, mounts and device nodes at their own places, no virtual disks."""

__all__ = ["RULES", "Slot", "reclaim", "seen"]


class Slot:
    """An entry `device: NAME`, and its volume."""

    def __init__(self, machine: Machine, device: str, volume: str, **job: Any) -> None:
        self.machine = machine
        self.source = Source(device=device)
        self.volume = volume
        self._job = job

    def job(self, kind: Literal["order", "observe", "mount"], order: Order | None = None) -> Job:
        plain = Job(id=1, kind=kind, volume=self.volume, uid=UID, source=self.source, order=order)
        return msgspec.structs.replace(plain, **self._job)

    @property
    def place(self) -> str:
        """Where its file system is mounted."""
        return RULES.place(self.volume)

    def observe(self) -> Ended:
        """What a look says."""
        did = self.machine.ask(Do(self.job("observe"), RULES), Did)
        assert isinstance(did.ended, Ended), did
        return did.ended

    def facts(self) -> Facts:
        return self.observe().facts

    def identity(self) -> Identity:
        found = self.facts()
        assert found.identity is not None, found
        return found.identity

    def api(self, order: Order) -> Api:
        """The API as it is for a committed order that nothing stands against."""
        return Api(
            Volume(
                metadata=Meta(name=self.volume, uid=UID),
                spec=VolumeSpec(node_name="node", pool="tikv", source=self.source, order=order),
                status=VolumeStatus(committed=order.id),
            )
        )

    def begin(self, order: Order, lives: Sequence[Live] = ()) -> None:
        """Have an order carried out; `ended` waits for it. lives: what the API shows, reading by reading."""
        shown = tuple(lives) or (self.api(order).live(lean=False),)
        self.machine.say(Do(self.job("order", order), RULES, shown))

    def ended(self) -> Ended:
        """What became of the order that was begun."""
        did = self.machine.hear(Did)
        assert isinstance(did.ended, Ended), did
        return did.ended

    def obey(self, order: Order, lives: Sequence[Live] = ()) -> Ended:
        """Carry out an order; as the daemon does, once more where udev was just at work on the disk."""
        for _ in range(LOCKED):
            self.begin(order, lives)
            ended = self.ended()
            if ended.until != "lock":
                break
        return ended

    def prepare(self, **fields: object) -> Order:
        """First use of a blank disk."""
        plain = Order(id="order-0", kind="prepare", next="aaaaaaaaaaaa", offer=True, epoch=1)
        return msgspec.structs.replace(plain, **{"identity": self.identity()} | fields)

    def mount(self) -> Mounted:
        """What the daemon does after a boot, before it knows any volume."""
        did = self.machine.ask(Do(self.job("mount"), RULES), Did)
        assert isinstance(did.ended, Mounted), did
        return did.ended


def state(ended: Ended) -> tuple[str, str]:
    """What became of an order: its work's state and reason."""
    assert ended.work is not None, ended
    return ended.work.state.value, ended.work.reason


def done(ended: Ended) -> None:
    """It was carried out; if not, the test fails with what is said."""
    assert state(ended) == ("done", ""), ended.work


def survey(machine: Machine) -> tuple[SeenDisk, ...]:
    """Every disk that the daemon sees."""
    did = machine.ask(Do(Job(id=1, kind="survey"), RULES), Did)
    assert isinstance(did.ended, Surveyed), did
    return did.ended.report.disks


def seen(machine: Machine, name: str) -> SeenDisk:
    """The one of that name in a survey."""
    return next(each for each in survey(machine) if each.name == name)


def recall(machine: Machine) -> tuple[tuple[str, str, str], ...]:
    """What the journal wants mounted or shown after a boot."""
    did = machine.ask(Do(Job(id=1, kind="recall"), RULES), Did)
    assert isinstance(did.ended, Recalled), did
    return did.ended.disks
