"""Disks in memory: whose data lies where on them."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from tidb_volume.value import Identity, Order

change = msgspec.structs.replace


class Item(NamedTuple):
    """A piece of data, and the UID of the claim that wrote it (or a stranger's name)."""

    owner: str
    what: str = "file"


class Disk:
    """One piece of hardware and all that is on it. Whoever holds `lock` works on it."""

    lock: object | None = None
    rooted = ""
    """The tenancy as which a container got all of a folder's disk."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.strays: set[Item] = set()
        self.tenancies: dict[str, set[Item]] = {}
        self.trash: dict[str, dict[str, set[Item]]] = {}

    def reformat(self, uuid: str) -> None:
        """mkfs by hand: the same hardware, another file system, and nothing on it."""
        self.identity = change(self.identity, fs_uuid=uuid)
        self.strays, self.tenancies, self.trash = set(), {}, {}

    def items(self) -> set[Item]:
        """All data on it, wherever it lies."""
        found = set(self.strays)
        for part in (*self.tenancies.values(), *(each for t in self.trash.values() for each in t.values())):
            found |= part
        return found

    def read(self, tenancy: str) -> frozenset[Item]:
        """What whoever has this tenancy finds there."""
        return frozenset(self._of(tenancy) or ())

    def write(self, tenancy: str, item: Item) -> None:
        """By whoever has it, as long as it is there."""
        found = self._of(tenancy)
        if found is not None:
            found.add(item)

    def clear(self, tenancy: str) -> None:
        """By whoever has it: nothing of his is left."""
        found = self._of(tenancy)
        if found is not None:
            found.clear()

    def _of(self, tenancy: str) -> set[Item] | None:
        """All that is in its folder, or at the root; None: it has neither."""
        return self.strays if tenancy and tenancy == self.rooted else self.tenancies.get(tenancy)

    def shown(self) -> set[str]:
        """The tenancies that are on it."""
        return set(self.tenancies)

    def places(self) -> list[tuple[str, set[Item]]]:
        """What lies in each tenancy, or was put aside of it."""
        aside = [part for each in self.trash.values() for part in each.items()]
        root = [(self.rooted, self.strays)] if self.rooted else []
        every = (*self.tenancies.items(), *aside, *root)
        return [(place.removeprefix("ours/"), items) for place, items in every]

    def at_stake(self, order: str) -> list[tuple[str, set[Item]]]:
        """What goes once this order begins to delete: whose it is, or where it lay, and what is there."""
        where = (order, *self.trash)
        return [
            (place.removeprefix("ours/"), items)
            for trash in where
            for place, items in self.trash.get(trash, {}).items()
        ]

    all_at_stake = False
    """It is wiped as a whole, whatever is in which folder."""


class Mounted(NamedTuple):
    """A container that has a tenancy's folder mounted."""

    disk: Disk
    tenancy: str
    claim_uid: str


class Erased(NamedTuple):
    """Data that an order has deleted."""

    order: Order
    disk: Disk
    items: frozenset[Item]
