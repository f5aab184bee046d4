"""Whether a disk can be told from all others, and is the one that its entry names: one named check for one
disaster, asked of devices and of what a folder is mounted from alike.

Which disk an order or a record means is another question (`guards.identity_matches`): that is asked of what
passes here.
"""

from __future__ import annotations

from disk_daemon.fit import Unfit
from disk_daemon.fit_rules import Rules
from tidb_volume.value import Presence, Value


class Disk(Value):
    """What was read of it, by two ways where there are two."""

    name: str
    """As its entry has it."""
    virtual: str = ""
    """Why it counts as one without facts of its own, and is not accepted here; empty: it does not."""
    unique: bool = True
    """Some fact tells it from all others."""
    told_bytes: int = 0
    """Its size as sysfs has it."""
    opened_bytes: int = 0
    """The size of what was opened."""
    wanted_serial: str = ""
    """The serial that its entry asks for; empty: none."""
    serial: str = ""
    """The one that it has."""


RULES: Rules[Disk] = Rules()
"""In the order in which they are asked."""


@RULES.rule(prevents="taking a disk without a serial for another, where nobody said that this may be risked")
def is_not_virtual(disk: Disk) -> Unfit | None:
    """No serial, no WWN and no EUI; with --virtual-disks a loop device counts by its backing file."""
    return Unfit(Presence.REFUSED, disk.virtual) if disk.virtual else None


@RULES.rule(prevents="taking one disk for another that looks the same")
def is_told_from_others(disk: Disk) -> Unfit | None:
    """An identity of model and size alone fits every disk of a batch."""
    return None if disk.unique else Unfit(Presence.REFUSED, f"nothing tells {disk.name} from other disks")


@RULES.rule(prevents="wiping up to where a disk ended before, or judging one disk by another's facts")
def keeps_its_size(disk: Disk) -> Unfit | None:
    """Of a device: sysfs, and what was opened, have one size."""
    if disk.told_bytes == disk.opened_bytes:
        return None
    said = f"{disk.name} changes its size: {disk.told_bytes}, now {disk.opened_bytes}"
    return Unfit(Presence.STUCK, said)


@RULES.rule(prevents="using the disk that a wrong link in an entry leads to")
def has_the_serial_of_its_entry(disk: Disk) -> Unfit | None:
    """Where the admin wrote down a serial, spaces aside, the disk has that one."""
    if not disk.wanted_serial or disk.wanted_serial == disk.serial:
        return None
    seen = disk.serial or "none"
    said = f"{disk.name} should have serial {disk.wanted_serial}, and has {seen}"
    return Unfit(Presence.WRONG_DISK, f"{said}; if that is the one, its entry is wrong")
