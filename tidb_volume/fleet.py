"""What is known and said of the whole fleet (`value` has a single disk's): the stop button, the breaker, what
became of the inventory.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from tidb_volume.value import Meta, Value, part


class Budget(Value):
    """How much may be destroyed in an hour before the breaker trips."""

    wipes_per_hour: int = 20
    claims_per_hour: int = 5
    percent: int = 10
    at_least: int = 5


class FleetWords(Value):
    """What people say of the whole fleet that holds until it is taken back."""

    paused: bool = False
    mode: Literal["auto", "manual"] = "auto"
    budget: Budget = Budget()
    approvals: tuple[str, ...] = ()


class FleetSpec(FleetWords):
    """What people say of the whole fleet."""

    breaker_reset: int = 0
    """The epoch that a person ends: the breaker is closed again once this reaches `status.breaker.epoch`."""

    @property
    def words(self) -> FleetWords:
        """What holds until it is taken back."""
        return part(self, FleetWords)


class Spent(Value):
    """What was destroyed in one minute: counted before the order is written, so that no crash and no new
    leader has a fresh budget. By the minute, since ten thousand lines would not fit into one object."""

    minute: str
    wipes: int = 0
    claims: int = 0


class Breaker(Value):
    """The breaker's state: what was spent in the last hour, and whether it stands open."""

    epoch: int = 1
    tripped: bool = False
    reason: str = ""
    at: str = ""
    ledger: tuple[Spent, ...] = ()


class InventoryStatus(Value):
    """What became of one inventory ConfigMap."""

    name: str
    hash: str = ""
    accepted: str = ""
    """The hash of the content in force; differs from `hash` while an edit is refused."""
    disks: int = 0
    errors: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Its content as it is is not in force. Else what stands in `errors` only warns."""
        return self.hash != self.accepted


class FleetStatus(Value):
    """The fleet's status, written by the controller."""

    inventories: tuple[InventoryStatus, ...] = ()
    breaker: Breaker = Breaker()
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    heard: FleetWords = FleetWords()
    """What of `spec` is on record (docs/audit.md)."""


class Fleet(Value):
    """The one TidbVolumeFleet, named `fleet`."""

    metadata: Meta
    spec: FleetSpec = FleetSpec()
    status: FleetStatus = FleetStatus()
