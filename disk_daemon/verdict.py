"""What may come of a decision about an order: the order's answer, or the moves that are left.

A move names one thing that is done to the disk or to the journal, and `wipe/` does it.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Refuse(msgspec.Struct, frozen=True):
    """The order is wrong, and stays so."""

    reason: str
    message: str


class Wait(msgspec.Struct, frozen=True):
    """Something stands in the way that falls by itself, or is lifted by a person."""

    reason: str
    message: str
    until: Literal["mounts", "device", "api", "volume", "lock", "queue"]
    """What to look at for the end of the wait: mount tables, who has a device open (which nothing tells),
    the API's other objects, this volume's own object, another process's lock, our own queue."""
    pids: tuple[int, ...] = ()
    """Processes whose end may end the wait."""


class Dropped(msgspec.Struct, frozen=True):
    """The order is not the current one any more: nobody waits for an answer, nothing is touched."""


class AlreadyDone(msgspec.Struct, frozen=True):
    """The order was carried out before, and the disk still shows it."""


class GiveBack(msgspec.Struct, frozen=True):
    """The order was withdrawn before a byte was gone: what was put aside goes back to its place."""


class Aside(msgspec.Struct, frozen=True):
    """Rename the tenancy's folder into the order's trash folder."""

    tenancy: str


class AsideAll(msgspec.Struct, frozen=True):
    """Rename everything at the mount's root into the order's trash folder."""


class Note(msgspec.Struct, frozen=True):
    """Journal that the order is at work; `begun`: from here on bytes may be gone."""

    begun: bool


class Recheck(msgspec.Struct, frozen=True):
    """Read the API and the disk once more. If anything stands in the way, put back what was put aside."""


class Erase(msgspec.Struct, frozen=True):
    """Delete below one trash folder, and then the folder itself."""

    order: str


class Unmount(msgspec.Struct, frozen=True):
    """Unmount our file system, hold the device exclusively, and look again: from here on nobody can come."""


class Begin(msgspec.Struct, frozen=True):
    """Journal that bytes go from here on and, for a file system, the UUID that it will have."""


class Overwrite(msgspec.Struct, frozen=True):
    """Write zeroes, or discard and write zeroes where that did not help; then read back.

    passes: so many times, all but the last with random data; 0: the disk's own way to write zeroes is enough.
    """

    discard: bool
    passes: int = 0


class EraseItself(msgspec.Struct, frozen=True):
    """Plant random data, have the disk erase itself, and see that what was planted is gone."""


class ReadAll(msgspec.Struct, frozen=True):
    """Read the whole device: it must be zero."""


class Hand(msgspec.Struct, frozen=True):
    """Journal the order as done and, if it is offered, make the next tenancy's device node."""


class MakeFilesystem(msgspec.Struct, frozen=True):
    """mkfs with the journalled UUID, read back, journalled as made."""


class MountIt(msgspec.Struct, frozen=True):
    """Mount the file system that was made, at its place."""


class Verify(msgspec.Struct, frozen=True):
    """List again: nothing of what was to go is there."""


class Remove(msgspec.Struct, frozen=True):
    """Remove an empty tenancy folder; one that is not empty stops the order."""

    tenancy: str


class Make(msgspec.Struct, frozen=True):
    """Make the next tenancy's folder."""


class Finish(msgspec.Struct, frozen=True):
    """All of it is on the disk; journal the order as done and the next tenancy as handed over."""


class TakeUp(msgspec.Struct, frozen=True):
    """Mount what the order names, and journal it as made and handed over."""


class LetGo(msgspec.Struct, frozen=True):
    """Unmount, and journal that it is to stay so."""


class OnFolder(msgspec.Struct, frozen=True):
    """The file system on the device is mounted: what is to be done is done there, as on any folder.

    made: what was there went as the order says, before the process that did it was cut or had to wait.
    """

    made: bool = False


OfFolder = Aside | AsideAll | Note | Recheck | Erase | Verify | Remove | Make | Finish
OfDevice = Unmount | Begin | EraseItself | Overwrite | ReadAll | Hand | MakeFilesystem | MountIt
Move = OfFolder | OfDevice | TakeUp | LetGo


class Do(msgspec.Struct, frozen=True):
    """What is left to do, in this order. A crash between two moves is cured by deciding again."""

    moves: tuple[Move, ...]


Verdict = Refuse | Wait | Dropped | AlreadyDone | GiveBack | Do
DeviceVerdict = Verdict | OnFolder
