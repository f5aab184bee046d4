"""What an edit of the inventory does to a disk, by what the disk is to somebody: one table.

The controller acts by it, `plan` and `impact` print it, the docs are made from it. No row wipes a disk that
somebody has or had: an edit changes what may happen later, and the user's own act (releasing the claim) is
what lets it happen.

One volume is one node and one source, so an entry that turns from a path into a device, or moves to another
node, is one volume removed and another one added.
"""

from __future__ import annotations

from enum import StrEnum

from tidb_volume.inventory import policy
from tidb_volume.inventory.expand import Desired, DesiredDisk
from tidb_volume.value import Phase, Value


class Standing(StrEnum):
    """What a disk is to somebody: the columns."""

    FREE = "disk free"
    BOUND = "bound"
    RELEASED = "released"


class Edit(StrEnum):
    """What changed: the rows."""

    ADDED = "entry added"
    REMOVED = "entry removed"
    SHAPE = "pool, volumeMode, fsType, mountBy"
    WIPE = "wipe, wipeAfter, gates"
    ON_RELEASE = "onRelease"
    NAMESPACES = "namespaces"
    PV_FIELDS = "labels, mountOptions"
    LEVERS = "serial, mode, nodeLoss, orphanedClaims"
    FORBIDDEN = "a never glob begins to hold"
    ALLOWED = "a never glob ends"


class Effect(StrEnum):
    """What is done about it."""

    NOTHING = "nothing"
    OBSERVE = "observed; blank: cleaned, then on offer; else HasData"
    WITHDRAW = "withdrawn, TidbVolume deleted; nothing wiped; on return the journal decides"
    DROP_WHEN_RELEASED = (
        "Dropped; after release it stays Released, no new order, until `forget` or the entry's return"
    )
    DROP = "Dropped; no new order, a running wipe ends; not offered"
    OFFER_ANEW = "withdrawn and offered anew (cleaned for it)"
    PENDING = "EditPending until released"
    AFTER_WIPE = "after its wipe"
    AT_ONCE = "at once"
    STRICTER = "the stricter of then and now"
    PV_ANEW = "PV made anew"
    POOL_KEEP = (
        "the PV's policy field is the user's and is not touched; but a pool on `keep` begins no wipe,"
        " whatever the PV says, but by `wipe-now`"
    )
    REPORTED = "reported"
    TAKE_BACK = "withdrawn, TidbVolume stays; nothing wiped"
    FORBIDDEN_WHEN_RELEASED = "stays bound, shows `never`; after release its data stays until the glob ends"
    FORBIDDEN = "its data stays until the glob ends; a running wipe ends; not offered"
    GOES_ON = "goes on: wiped once its wait is over"


_E = Effect
TABLE: dict[Edit, tuple[Effect, Effect, Effect]] = {
    # edit:           free,          bound,                  released
    Edit.ADDED: (_E.OBSERVE, _E.NOTHING, _E.NOTHING),
    Edit.REMOVED: (_E.WITHDRAW, _E.DROP_WHEN_RELEASED, _E.DROP),
    Edit.SHAPE: (_E.OFFER_ANEW, _E.PENDING, _E.AFTER_WIPE),
    Edit.WIPE: (_E.AT_ONCE, _E.STRICTER, _E.STRICTER),
    Edit.ON_RELEASE: (_E.PV_ANEW, _E.POOL_KEEP, _E.POOL_KEEP),
    Edit.NAMESPACES: (_E.AT_ONCE, _E.REPORTED, _E.NOTHING),
    Edit.PV_FIELDS: (_E.PV_ANEW, _E.PENDING, _E.AFTER_WIPE),
    Edit.LEVERS: (_E.AT_ONCE, _E.AT_ONCE, _E.AT_ONCE),
    Edit.FORBIDDEN: (_E.TAKE_BACK, _E.FORBIDDEN_WHEN_RELEASED, _E.FORBIDDEN),
    Edit.ALLOWED: (_E.OBSERVE, _E.NOTHING, _E.GOES_ON),
}
"""The contract's table, with three rows for what it leaves open: `PV_FIELDS` (a bound PersistentVolume is
never ours to change), `LEVERS` (read afresh at every decision) and the two of `never` (as an entry that goes
and comes, but for the TidbVolume, which stays to say why)."""


class Change(Value):
    """What an edit changes about one volume."""

    name: str
    edits: tuple[Edit, ...]


def standing(phase: Phase) -> Standing:
    """The column for a phase. A disk that failed may have had an owner, so it counts as released."""
    match phase:
        case Phase.PENDING | Phase.AVAILABLE:
            return Standing.FREE
        case Phase.BOUND:
            return Standing.BOUND
        case Phase.RELEASED | Phase.WIPING | Phase.FAILED:
            return Standing.RELEASED


def effect(edit: Edit, phase: Phase) -> Effect:
    """What one edit does to a volume in this phase."""
    return TABLE[edit][tuple(Standing).index(standing(phase))]


def edits(before: DesiredDisk | None, after: DesiredDisk | None) -> tuple[Edit, ...]:
    """What changed about one volume, in the order of the table; None: it is not wanted on that side."""
    if before is None or after is None:
        return () if before is after else (Edit.REMOVED,) if after is None else (Edit.ADDED,)
    then, now = before.pool, after.pool
    found = {
        Edit.SHAPE: _shape(before) != _shape(after),
        Edit.WIPE: _wipe(before) != _wipe(after),
        Edit.ON_RELEASE: then.on_release != now.on_release,
        Edit.NAMESPACES: then.namespaces != now.namespaces,
        Edit.PV_FIELDS: (then.labels, then.mount_options) != (now.labels, now.mount_options),
        Edit.LEVERS: _levers(before) != _levers(after),
        Edit.FORBIDDEN: bool(after.never) and not before.never,
        Edit.ALLOWED: bool(before.never) and not after.never,
    }
    return tuple(edit for edit, changed in found.items() if changed)


def changes(before: Desired, after: Desired) -> tuple[Change, ...]:
    """Every volume that an edit touches, by name."""
    found = []
    for name in sorted({*before.disks, *after.disks}):
        changed = edits(before.disks.get(name), after.disks.get(name))
        if changed:
            found.append(Change(name=name, edits=changed))
    return tuple(found)


def _shape(disk: DesiredDisk) -> tuple[str, ...]:
    return disk.pool.name, disk.volume_mode, disk.fs_type, disk.mount_by


def _wipe(disk: DesiredDisk) -> tuple[object, ...]:
    wipe = policy.wipe_policy(disk)
    return wipe.method, wipe.after, wipe.gates


def _levers(disk: DesiredDisk) -> tuple[str, ...]:
    return disk.source.serial, disk.pool.mode, disk.pool.node_loss, disk.pool.orphaned_claims
