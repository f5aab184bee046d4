"""What a look at a device entry's disk means, compared with what the journal has of it.

Only what the journal has as made is ours: what should be there and is not is damage, never blankness. How the
disk is looked at is somebody else's (`Sight`), so that all of this is decided from what was seen alone.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from disk_daemon.jobs import Job
from disk_daemon.known import Entry, Facts, Journal, Raw, User
from disk_daemon.tools import Found
from tidb_volume.value import Identity, Presence, VolumeMode


class Sight(Protocol):
    """A device that can be looked at. Each of these costs something, and is asked only where it matters."""

    def probed(self, facts: Facts, *, making: bool) -> Found:
        """What libblkid finds. making: a file system was being made. Raises Absent where that alone says that
        the device is not to be used."""
        ...

    def held(self) -> str:
        """Who holds it exclusively, for people; empty: nobody."""
        ...

    def looks_zero(self) -> bool:
        """Head, tail and samples are zero."""
        ...

    def is_shown(self, tenancy: str) -> bool:
        """The tenancy's device node is there and leads to it."""
        ...

    def refuse_shared(self, facts: Facts) -> None:
        """Raises Absent where other machines may have it mounted."""
        ...


def mode(job: Job, entry: Entry | None) -> VolumeMode:
    """What the disk is now, whatever its entry says by now: an edit changes no disk, an order does."""
    if entry is not None and entry.block:
        return "Block"
    if entry is not None and (entry.made is not None or entry.making is not None):
        return "Filesystem"
    return job.volume_mode


def mounted(facts: Facts, inner: Facts, entry: Entry | None, place: str) -> Facts:
    """What is mounted at our place is ours only if it is what the journal has as made. inner: what lies in
    it, as in a folder."""
    assert facts.raw is not None
    identity, uuid = facts.identity, inner.identity.fs_uuid if inner.identity else ""
    made = entry.made if entry is not None else None
    if made is None or made.uuid != uuid:
        found = f"a file system ({uuid}) that the journal does not know, mounted at {place}"
        raw = msgspec.structs.replace(facts.raw, found=found, uuid=uuid, signature=True, at_place=True)
        raw = msgspec.structs.replace(raw, damage=_not_ours(entry, found))
        users = (User(who=f"mount {place}", root="/"), *facts.users)
        return msgspec.structs.replace(facts, identity=_with(identity, uuid), raw=raw, users=users)
    raw = msgspec.structs.replace(facts.raw, mounted=True, uuid=uuid)
    unknown = inner.users_unknown or facts.users_unknown
    return msgspec.structs.replace(
        inner, identity=_with(identity, uuid), name=facts.name, raw=raw, users_unknown=unknown
    )


def unmounted(sight: Sight, facts: Facts, entry: Entry | None, *, ours: bool) -> Facts:
    """A disk that is no Block volume, with nothing of it mounted at its place. ours: who asks holds it
    exclusively. Raises Absent."""
    assert facts.raw is not None
    making = entry is not None and entry.making is not None
    found = sight.probed(facts, making=making)
    held = "" if facts.users or ours else sight.held()
    identity = _with(facts.identity, found.uuid)
    raw = msgspec.structs.replace(
        facts.raw,
        found=found.words,
        uuid=found.uuid,
        signature=bool(found.words),
        held=held,
    )
    facts = msgspec.structs.replace(facts, identity=identity, users_unknown=facts.users_unknown or held)
    if entry is not None and entry.made is not None and entry.making is None:
        made = entry.made
        if (found.uuid, found.fs_type) != (made.uuid, made.fs_type):
            raw = msgspec.structs.replace(raw, damage=_not_ours(entry, found.words))
        elif not entry.unmounted:
            said = f"the {made.fs_type} that we made on it ({made.uuid}) is not mounted"
            raw = msgspec.structs.replace(raw, mountable=True)
            return msgspec.structs.replace(facts, presence=Presence.NOT_MOUNTED, message=said, raw=raw)
    if not found.words:
        blank = sight.looks_zero()
        raw = msgspec.structs.replace(raw, blank=blank, found="" if blank else "data of no known kind")
    return msgspec.structs.replace(facts, raw=raw)


def block(sight: Sight, facts: Facts, entry: Entry | None, job: Job, *, ours: bool) -> Facts:
    """A Block volume's tenancy is what the journal says, since the disk is all the tenant's. `empty` is what
    head, tail and samples say while nobody uses it; who must know better reads all of it. Raises Absent."""
    assert facts.raw is not None
    held = "" if facts.users or ours or facts.raw.at_place else sight.held()
    raw = msgspec.structs.replace(facts.raw, held=held)
    facts = msgspec.structs.replace(facts, users_unknown=facts.users_unknown or held, raw=raw)
    free = not facts.users and not facts.users_unknown
    if entry is None or not entry.block or not entry.handed:
        found = sight.probed(facts, making=False)
        blank = not found.words and sight.looks_zero()
        raw = msgspec.structs.replace(
            raw,
            found=found.words or ("" if blank else "data of no known kind"),
            uuid=found.uuid,
            signature=bool(found.words),
            blank=blank,
        )
        return msgspec.structs.replace(facts, raw=raw)
    at_work = is_at_work(entry)
    if not at_work and not ours and not sight.is_shown(entry.handed):
        said = f"its device node for tenancy {entry.handed} is missing"
        raw = msgspec.structs.replace(raw, mountable=True)
        return msgspec.structs.replace(facts, presence=Presence.NOT_MOUNTED, message=said, raw=raw)
    empty = not at_work and free and sight.looks_zero()
    if job.order is not None and not at_work and free:
        sight.refuse_shared(facts)
    return msgspec.structs.replace(facts, tenancies=(entry.handed,), empty=empty)


def is_as_judged(before: Facts, now: Facts, *, begun: bool) -> bool:
    """What lies on the disk that an order has taken for itself is what it was judged by. begun: a part of it
    is gone, so that samples of it differ from look to look."""
    was, is_now = before.raw, now.raw
    assert was is not None
    assert is_now is not None
    if begun:
        same = was.uuid == is_now.uuid and (was.mounted or was.found == is_now.found)
        return same or not is_now.signature
    if was.mode == "Block":
        return (before.tenancies, _seen(was)) == (now.tenancies, _seen(is_now))
    if was.mounted:
        return is_now.mountable and was.uuid == is_now.uuid
    return _seen(was) == _seen(is_now)


def _seen(raw: Raw) -> tuple[bool, str, str]:
    return raw.blank, raw.found, raw.uuid


def is_at_work(entry: Entry) -> bool:
    """An order has begun to take away what is on it."""
    return entry.order is not None and entry.order.begun


def is_a_tenants(entry: Journal) -> bool:
    """Whether a tenant had all of the device in hand, or an order is wiping what one left there."""
    if not isinstance(entry, Entry) or not entry.block:
        return was_a_tenants(entry)
    return bool(entry.handed) or is_at_work(entry)


def was_a_tenants(entry: Journal) -> bool:
    """Whether an order is making a file system of what a tenant had as a raw device."""
    return isinstance(entry, Entry) and entry.was_block and is_at_work(entry)


def _with(identity: Identity | None, uuid: str) -> Identity | None:
    return msgspec.structs.replace(identity, fs_uuid=uuid) if identity is not None else None


def _not_ours(entry: Entry | None, found: str) -> str:
    made = entry.made if entry is not None else None
    if made is None:
        return ""
    there = f"there is {found}" if found else "nothing is found"
    return (
        f"the {made.fs_type} that we made on it ({made.uuid}) is damaged or gone: {there}; "
        "it is neither mounted nor formatted; repair it, or say what is to become of it"
    )
