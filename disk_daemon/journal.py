"""The node's own record of its disks, one file a disk: the witness that outlives etcd and the controller.

It remembers which tenancy was handed over, who was seen to have it, which orders were done, and the one that
is at work, so that an etcd restored from last week replays nothing. A file is named by the strongest fact of
the hardware when it was first written, and keeps that name: with another kernel or firmware the disk may show
a stronger one, or no longer that one, and then its record is found by comparing all facts. It is replaced by
rename and synced before anything that stands on it is done. Only who holds the disk's lock writes it.

A file that cannot be read, or that tells of another disk, is `Broken`. It never counts as absent: absent
means that the node is new, broken means that something is lost. Whose a file is that cannot be read, its name
tells only as long as the disk shows the fact that it was named by; so while there is one, no disk without a
record of its own is known to have none.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from disk_daemon import kernel
from disk_daemon.known import Broken, Entry, Given, Had, Journal, Made, Past, Taken
from tidb_volume.identity import hardware_keys, learned, same_hardware, words
from tidb_volume.shape import shape as as_words
from tidb_volume.value import Identity, Order, Value

KEPT_ORDERS = 64
KEPT_TENANCIES = 256
KEPT_TAKEN_BACK = 64
KEPT_DRAFT_S = 3600.0


class _Sealed(Value):
    """What a file holds. Without the seal a damaged name of a field would read as a field that was never
    set: a tenancy that was handed over would not have been."""

    crc32: str
    """Of the record's bytes as they stand there, in hexadecimal."""
    record: msgspec.Raw


class _Found(Value):
    """Which files of the journal may be one disk's record."""

    mine: tuple[Path, ...] = ()
    """Those that tell of this hardware, or are named by one of its facts."""
    unread: Path | None = None
    """Another one that cannot be read: whose it is, nobody knows."""
    why: str = ""
    """What reading that one ended with; without one, what listing them all ended with."""


def file_of(state: str, identity: Identity) -> Path:
    """Where the record of this hardware is, or would be. `state`: the daemon's folder on the host."""
    found = _find(state, identity).mine
    return found[0] if found else _folder(state) / _name(hardware_keys(identity)[0])


def _folder(state: str) -> Path:
    return Path(state) / "journal"


def _find(state: str, identity: Identity) -> _Found:
    """The one named by the disk's strongest fact, else all that may be its record.

    What is there and cannot be read is never the same as not there: not a file, not the folder. A file is
    named by a fact of its disk's past, so one that cannot be read and is named by none of this disk's may
    still be this disk's.
    """
    folder = _folder(state)
    try:
        there = sorted(each for each in os.listdir(folder) if each.endswith(".json"))
    except FileNotFoundError:
        return _Found()
    except OSError as error:
        return _Found(why=f"the journals in {folder} cannot be listed: {error.strerror}")
    named = [_name(key) for key in hardware_keys(identity)]
    if named[0] in there:
        return _Found(mine=(folder / named[0],))
    mine: list[Path] = []
    unread, why = None, ""
    for name in there:
        found = _read(folder / name)
        if name in named or (isinstance(found, Entry) and same_hardware(found.identity, identity)):
            mine.append(folder / name)
        elif isinstance(found, Broken):
            unread, why = folder / name, found.why
    return _Found(mine=tuple(mine), unread=unread, why=why)


def _name(key: str) -> str:
    return f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"


def _read(path: Path) -> Entry | Broken:
    """One record. No record is ever deleted, so one that was listed and is not there leads nowhere."""
    try:
        sealed = msgspec.json.decode(path.read_bytes(), type=_Sealed)
        if sealed.crc32 != _crc32(sealed.record):
            return Broken(why=f"the journal {path} is damaged: its checksum is not {sealed.crc32}")
        return msgspec.json.decode(sealed.record, type=Entry)
    except OSError as error:
        return Broken(why=f"the journal {path} cannot be read: {error.strerror}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Broken(why=f"the journal {path} is damaged: {error}")


def _crc32(record: bytes | msgspec.Raw) -> str:
    return f"{zlib.crc32(memoryview(record)):08x}"


def load(state: str, identity: Identity) -> Journal:
    """The record of this hardware; None where there surely is none."""
    found = _find(state, identity)
    if not found.mine:
        if found.unread is not None:
            return Broken(why=f"{found.why}; it may be this disk's, which has no other")
        return Broken(why=found.why) if found.why else None
    path, *others = found.mine
    if others:
        return Broken(why=f"the journals {path} and {others[0]} both tell of this disk")
    entry = _read(path)
    if isinstance(entry, Entry) and not same_hardware(entry.identity, identity):
        told = f"{words(entry.identity)}, this disk is {words(identity)}"
        return Broken(why=f"the journal {path} tells of another disk: {told}")
    return entry


def store(state: str, entry: Entry) -> None:
    """Replace the record; once this returns it is on the disk. After an OSError nothing may stand on it."""
    path = file_of(state, entry.identity)
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    if not any(each.endswith(".json") for each in os.listdir(path.parent)):
        # The folders may be as new as their first record, and are to be there as long as it is.
        kernel.sync_folder(path.parent.parent)
        kernel.sync_folder(path.parent.parent.parent)
    draft = path.with_suffix(f".{os.getpid()}.new")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        try:
            record = msgspec.json.format(msgspec.json.encode(entry), indent=1)
            left = b'{"crc32": "%s", "record": %s\n}\n' % (_crc32(record).encode(), record)
            while left:
                left = left[os.write(fd, left) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(draft, path)
    except OSError:
        # Each try is another process with a draft of its own: on a full disk they would fill what is left.
        with suppress(OSError):
            os.unlink(draft)
        raise
    kernel.sync_folder(path.parent)


def sweep(state: str, now: float) -> None:
    """Remove the drafts of processes that were ended as they wrote. now: seconds since the epoch.

    By their age: who writes one still, an hour after, finds it gone and stores nothing.
    """
    with suppress(OSError):
        for draft in _folder(state).glob("*.new"):
            with suppress(OSError):
                if now - draft.stat().st_mtime > KEPT_DRAFT_S:
                    draft.unlink()


def shape(entry: Entry) -> str:
    """What a device is now; empty: nothing, or a folder."""
    fs_type, options = (entry.made.fs_type, entry.made.options) if entry.made is not None else ("", ())
    return as_words("Block" if entry.block else "Filesystem", fs_type, options)


def noted(
    entry: Entry | None,
    identity: Identity,
    order: Order,
    *,
    begun: bool,
    at: str,
    over: str = "",
    aside: Iterable[str] = (),
) -> Entry:
    """The record with this order at work; `begun`: bytes may be gone. over: what was found on a device.
    aside: the orders whose trash is on the disk.

    Where the record was lost, what the order ends was found on the disk itself, and is recorded anew: should
    the order be taken back, the disk still has that tenancy.
    """
    known = entry or Entry(identity=identity, handed=order.ends)
    was = known.order
    same_wipe = was if was is not None and was.is_same_wipe(order) else None
    goes_on = (*same_wipe.before, same_wipe.id) if same_wipe is not None else ()
    aside = set(aside) - {order.id}
    taken = Taken(
        id=order.id,
        kind=order.kind,
        ends=order.ends,
        next=order.next,
        whole_disk=order.whole_disk,
        begun=begun,
        at=at,
        method=order.method,
        over=over,
        answer=order.answer,
        made_by=same_wipe.made_by if same_wipe is not None and same_wipe.begun else "",
        before=tuple(each for each in goes_on if each in aside),
    )
    same = was is not None and (was.ends, was.next, was.method) == (order.ends, order.next, order.method)
    written = known.written_bytes if same and begun else 0
    return msgspec.structs.replace(
        known, identity=learned(known.identity, identity), order=taken, written_bytes=written
    )


def finished(entry: Entry | None, identity: Identity, order: Order, *, at: str) -> Entry:
    """The record with this order done: what it ended is past, the next tenancy handed over if offered."""
    known = entry or Entry(identity=identity)
    past = Past(id=order.id, kind=order.kind, ends=order.ends, next=order.next, at=at, answer=order.answer)
    claims = (*known.claims, order.claim_uid) if order.claim_uid else known.claims
    return msgspec.structs.replace(
        known,
        identity=learned(known.identity, identity),
        handed=order.next if order.offer else "",
        at_root=False,
        past=_past(known, known.handed, order.ends, but=order.next),
        claims=tuple(dict.fromkeys(claims))[-KEPT_TENANCIES:],
        order=None,
        written_bytes=0,
        done=(*(each for each in known.done if each.id != order.id), past)[-KEPT_ORDERS:],
    )


def _past(known: Entry, *ended: str, but: str) -> tuple[str, ...]:
    """The tenancies that are over, with these that end now."""
    new = dict.fromkeys(each for each in ended if each and each != but)
    return (*known.past, *(each for each in new if each not in known.past))[-KEPT_TENANCIES:]


def given_back(entry: Entry) -> Entry:
    """The record after an order was given up before it began: none at work, all else as it was."""
    return msgspec.structs.replace(entry, order=None)


def taken_back(
    entry: Entry | None,
    identity: Identity,
    order: Order,
    *,
    restore: bool,
    shown: bool,
    at_root: bool = False,
) -> Entry:
    """The record after an order was withdrawn: this id is never obeyed again, whatever the API says of it.

    restore: a person asked to have the data back and gets it, so a claim may write there again. shown: what
    the order ends is on the disk; where there was no record, it is recorded as in `noted`. at_root: what is
    given is what others put at the mount's root, and is handed over as the next tenancy, unless it has one.
    """
    known = entry or Entry(identity=identity, handed=order.ends if shown else "")
    ids = (*(each for each in known.taken_back if each != order.id), order.id)
    given = known.given
    if restore and order.ends:
        back = Given(tenancy=order.ends, claim_uid=order.claim_uid)
        given = (*(each for each in given if each != back), back)
    if at_root and not known.at_root:
        past = _past(known, known.handed, but=order.next)
        known = msgspec.structs.replace(known, handed=order.next, at_root=True, past=past)
    return msgspec.structs.replace(
        known,
        identity=learned(known.identity, identity),
        order=known.order if known.order is not None and known.order.begun else None,
        taken_back=ids[-KEPT_TAKEN_BACK:],
        given=given[-KEPT_TAKEN_BACK:],
    )


def had(entry: Entry, tenancy: str, claim_uid: str) -> Entry:
    """The record with a claim seen on a tenancy."""
    new = Had(tenancy=tenancy, claim_uid=claim_uid)
    return msgspec.structs.replace(
        entry, had=(*(each for each in entry.had if each != new), new)[-KEPT_TENANCIES:]
    )


def seen_on(entry: Entry, tenancy: str) -> tuple[str, ...]:
    """The UIDs of the claims that were seen on a tenancy; an empty one is a user whose claim is not known."""
    return tuple(each.claim_uid for each in entry.had if tenancy and each.tenancy == tenancy)


def making(entry: Entry, made: Made) -> Entry:
    """The record with a file system about to be made; what was there before is not yet given up. What a
    tenant had as a raw device stays known as that until it is made."""
    was = entry.was_block or (entry.block and bool(entry.handed))
    return msgspec.structs.replace(entry, making=made, unmounted=False, block=False, was_block=was)


def becoming_block(entry: Entry) -> Entry:
    """The record with a raw device about to be made: there is no file system of ours any more."""
    return msgspec.structs.replace(entry, block=True, was_block=False, made=None, making=None)


def written(entry: Entry, count: int) -> Entry:
    """The record with so many bytes of the device written by the order at work."""
    return msgspec.structs.replace(entry, written_bytes=count)


def mounted(entry: Entry, options: tuple[str, ...]) -> Entry:
    """The record with what was made mounted with these options."""
    assert entry.made is not None
    return msgspec.structs.replace(entry, made=msgspec.structs.replace(entry.made, options=options))


def made(entry: Entry) -> Entry:
    """The record with the file system that was being made read back from the disk: what was there is gone,
    and what was written before it is no more as it was written."""
    order = entry.order
    if order is not None:
        order = msgspec.structs.replace(order, made_by=order.method)
    return msgspec.structs.replace(
        entry, made=entry.making, making=None, was_block=False, order=order, written_bytes=0
    )


def mounted_as_such(entry: Entry, order: Order, *, at: str) -> Entry:
    """The record with an order to mount or to unmount done. Neither ends a tenancy, and none is begun."""
    unmounted = order.kind == "unmount"
    past = Past(id=order.id, kind=order.kind, ends="", next="" if unmounted else order.next, at=at)
    done = (*entry.done, past)[-KEPT_ORDERS:]
    return msgspec.structs.replace(entry, unmounted=unmounted, order=None, done=done)


def every(state: str) -> list[Entry]:
    """All records that can be read; for the start, when nobody has said yet which disks there are."""
    found = [_read(each) for each in sorted(_folder(state).glob("*.json"))]
    # Of one that cannot be read `load` tells, where a disk is asked for.
    return [each for each in found if isinstance(each, Entry)]
