"""What an inventory says once it has been read: pools, disks of nodes and of groups, and what is never used.

`Content` is one ConfigMap by itself; `Inventory` is all of them together. Both are what the text says; what
it means for the nodes that exist is `expand`'s.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from tidb_volume.inventory.marks import Mark
from tidb_volume.value import OnRelease, Source, Value, VolumeMode


class Kind(StrEnum):
    """What a listed disk is to its user, which decides the methods that can clean it."""

    PATH = "path"
    """A folder on which the admin mounted a disk."""
    FILESYSTEM = "device with a file system"
    BLOCK = "Block device"

    @classmethod
    def of(cls, source: Source, mode: VolumeMode) -> Kind:
        """The kind of an entry, or of a volume."""
        if source.path:
            return cls.PATH
        return cls.BLOCK if mode == "Block" else cls.FILESYSTEM


class PoolSettings(Value):
    """A pool's settings, defaults filled in. One pool is one StorageClass."""

    name: str
    on_release: OnRelease
    after: str = "1h"
    """`wipeAfter`, a duration as written."""
    wipe: str = "auto"
    fs_type: str = "xfs"
    mount_options: tuple[str, ...] = ()
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    gates: tuple[str, ...] = ()
    mode: str = ""
    """`auto` or `manual`; empty: the fleet's."""
    node_loss: str = "wait"
    """`wait`, or how long after the loss the claims are let go."""
    orphaned_claims: str = "off"
    """`off`, or how long after it was orphaned a claim is deleted."""
    namespaces: tuple[str, ...] = ()


class Pool(Value):
    """A pool as declared: its settings, and where each stands."""

    settings: PoolSettings
    mark: Mark
    marks: dict[str, Mark] = msgspec.field(default_factory=dict)
    """By the key as written in the text, e.g. `mountOptions`."""

    def where(self, key: str) -> Mark:
        """The mark of one setting, or the pool's own where it is left to its default."""
        return self.marks.get(key, self.mark)


class Entry(Value):
    """One listed disk, brace ranges already spread out."""

    source: Source
    mark: Mark
    pool: str = ""
    """Empty: the default pool."""
    volume_mode: VolumeMode = "Filesystem"
    fs_type: str = ""
    """Empty: the pool's, for a device; always empty for a path and for Block."""
    mount_by: str = "daemon"

    @property
    def kind(self) -> Kind:
        """Path, device with a file system, or Block device."""
        if self.source.path:
            return Kind.PATH
        return Kind.BLOCK if self.volume_mode == "Block" else Kind.FILESYSTEM


class NodeDisks(Value):
    """The disks listed under one node name or machine IP."""

    key: str
    is_ip: bool
    entries: tuple[Entry, ...]
    mark: Mark
    text: str
    """A digest of this item: same key, same disks, same settings."""

    def __str__(self) -> str:
        return self.key


class Group(Value):
    """The disks of every node that carries these labels."""

    selector: tuple[tuple[str, str], ...]
    entries: tuple[Entry, ...]
    mark: Mark
    text: str

    def __str__(self) -> str:
        return "group " + ",".join(f"{key}={value}" for key, value in self.selector)


class Glob(Value):
    """A `never` glob, with the place that says it."""

    glob: str
    mark: Mark


class Use(Value):
    """The first entry of one kind that asks for one pool (empty: the default one)."""

    pool: str
    entry: Entry
    whose: str
    """The node or group that lists it, for people."""
    more: int = 0
    """How many others of that kind and pool follow."""


class Content(Value):
    """What one ConfigMap says."""

    name: str
    pools: dict[str, Pool] = msgspec.field(default_factory=dict)
    default_pool: str = ""
    default_mark: Mark = Mark()
    never: tuple[Glob, ...] = ()
    nodes: tuple[NodeDisks, ...] = ()
    groups: tuple[Group, ...] = ()
    files: tuple[str, ...] = ()
    """The files that say something; one that is empty counts as missing."""
    listed: dict[tuple[str, str], Entry] = msgspec.field(default_factory=dict)
    """Every disk by (node key or selector, path or device)."""
    uses: tuple[Use, ...] = ()
    left_out: tuple[Use, ...] = ()
    """Entries with an error, of which only the pool's name is looked at."""
    unread: frozenset[str] = frozenset()
    """Pools with an error: nothing is said of who uses them."""
    cut: bool = False
    """Not all of the text was understood: what seems to be missing may stand there."""


class Inventory(Value):
    """What all ConfigMaps in force say together."""

    pools: dict[str, Pool] = msgspec.field(default_factory=dict)
    default_pool: str = ""
    never: tuple[Glob, ...] = ()
    contents: tuple[Content, ...] = ()

    def pool_of(self, entry: Entry) -> PoolSettings | None:
        """The settings in force for an entry; None where there is no such pool.

        That happens only when a newer version refuses a pool that an older one had accepted.
        """
        pool = self.pools.get(entry.pool or self.default_pool)
        return pool.settings if pool is not None else None
