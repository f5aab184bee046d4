"""What lies on a disk, in a few words that both programs compare.

The controller asks a person about it and writes it into the order that stands on his answer; the daemon
computes it from what it sees before it begins. Where they differ, nobody was asked about what is there now.
"""

from __future__ import annotations

from collections.abc import Iterable

from tidb_volume.value import Content, DiskReport


def lies(content: Content, tenancy: str, note: str, trash: Iterable[str]) -> str:
    """The words. tenancy: the one found. note: as told to people. trash: the orders that put it aside."""
    return f"{content}:{tenancy}:{note}:{','.join(trash)}"


def trash_in(words: str) -> frozenset[str]:
    """The orders whose trash the words tell of."""
    return frozenset(words.rpartition(":")[2].split(",")) - {""}


def reported(disk: DiskReport) -> str:
    """What a daemon's report says that lies on its disk, and whose it is by the disk or by the journal."""
    tenancy = disk.journal if disk.at_root and not disk.tenancy else disk.tenancy
    return lies(disk.content, tenancy, disk.content_note, disk.trash)


def found(disk: DiskReport) -> str:
    """What is to be seen on the disk alone, whatever the journal says."""
    return lies(disk.content, disk.tenancy, disk.content_note, disk.trash)
