"""Which wipe is in force for one disk: the pool's word for its kind, and the stricter of then and now.

Methods are ordered by what they leave behind, weakest first, in one table for each kind of disk:

- path: `files` is the only one, the file system belongs to the admin.
- device with a file system: `format` leaves the old blocks where they are and only makes them unreachable
  through the new file system; `discard` asks the disk to forget all blocks and reads back; `zero` writes
  every block once; `overwrite:N` N times; `nvme-format` has the disk erase what no host can address, too.
- Block device: the same without `format`, since its user reads blocks.

`auto` is the weakest that leaves nothing readable for the next owner through the volume it will get. On a
device with a file system only its node can say which that is, so that it stays `auto` in its order: `format`
where nobody else holds the disk, else its files are deleted; a copy of its mount that a monitoring agent
keeps would otherwise hold up the wipe until the agent is restarted. The exact promise of each method is in
docs/security.md.
"""

from __future__ import annotations

import msgspec

from tidb_volume import units
from tidb_volume.inventory.expand import DesiredDisk
from tidb_volume.inventory.model import Kind
from tidb_volume.methods import passes
from tidb_volume.value import WipePolicy

STRENGTH = ("auto", "files", "format", "discard", "zero", "overwrite", "nvme-format")
"""Weakest first. `auto` comes first since it never picks more than any method that fits is worth."""

FITTING: dict[Kind, tuple[str, ...]] = {
    Kind.PATH: ("files",),
    Kind.FILESYSTEM: ("format", "discard", "zero", "overwrite", "nvme-format"),
    Kind.BLOCK: ("discard", "zero", "overwrite", "nvme-format"),
}
AUTO: dict[Kind, tuple[str, ...]] = {
    Kind.PATH: ("files",),
    Kind.FILESYSTEM: ("format", "files"),
    Kind.BLOCK: ("zero",),
}
"""What `auto` comes to, the first where it can be had."""


def base(method: str) -> str:
    """A method without its count: `overwrite` of `overwrite:3`."""
    return method.partition(":")[0]


def fits(method: str, kind: Kind) -> bool:
    """Whether a method, or `auto`, can clean this kind of disk."""
    return method == "auto" or base(method) in FITTING[kind]


def effective_method(method: str, kind: Kind) -> str:
    """The method itself, with `auto` made definite where the kind of disk alone decides what it comes to."""
    return AUTO[kind][0] if method == "auto" and len(AUTO[kind]) == 1 else method


def in_words(method: str) -> str:
    """A method for people, who are told what it is that is left open."""
    return f"auto ({', or '.join(AUTO[Kind.FILESYSTEM])} where that is held)" if method == "auto" else method


def may_replace(method: str, planned: str, kind: Kind) -> bool:
    """Whether a person may ask for a method instead of the planned one: it fits, and is no weaker."""
    known = base(method) in FITTING[kind] and (base(method) != "overwrite" or passes(method) > 0)
    return known and _rank(method) >= _rank(planned)


def wipe_policy(disk: DesiredDisk) -> WipePolicy:
    """The wipe policy that the inventory says today for one disk, `auto` as definite as its kind has it."""
    pool = disk.pool
    return WipePolicy(
        on_release=pool.on_release,
        after=pool.after,
        method=effective_method(pool.wipe, disk.kind),
        gates=tuple(sorted(pool.gates)),
    )


def stricter(then: WipePolicy, now: WipePolicy) -> WipePolicy:
    """What holds for a disk that is bound or released while its pool is edited.

    The longer wait, the stronger method, and every gate of both. `on_release` is not weighed but taken from
    `now`: by the contract a pool that says `keep` today begins no wipe, whatever it said before, and for one
    that said `keep` then and says `wipe` now the PersistentVolume's own policy (Retain, which is the user's
    and is not touched) is what keeps the data.
    """
    longer = max(then.after, now.after, key=units.parse_duration)
    stronger = max(then.method, now.method, key=_rank)
    return msgspec.structs.replace(
        now, after=longer, method=stronger, gates=tuple(sorted({*then.gates, *now.gates}))
    )


def _rank(method: str) -> tuple[int, int]:
    count = method.partition(":")[2]
    return STRENGTH.index(base(method)), int(count) if count.isdecimal() else 0
