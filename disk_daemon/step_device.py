"""What to do about an order on a device, decided as in `step.py` from what is seen now.

While the file system that we made is mounted, the disk is a folder like any other and `step.decide` is the
judge; where its verdict is a wipe, and the method is `format`, the wipe is this instead:

    mounted, tenancy T                  the journal notes the order       -> Unmount
    unmounted, held exclusively         a UUID of ours is journalled      -> MakeFilesystem
    making                              mkfs, read back, journal `made`   -> MakeFilesystem again
    made                                                                  -> MountIt
    mounted and empty                   the next tenancy's folder, done   -> as on any folder

A file system of ours that is not mounted is mounted before anything is decided. So what is seen unmounted
here is blank, somebody else's, damaged, or what a cut mkfs left.
"""

from __future__ import annotations

from disk_daemon import guards, step
from disk_daemon.guards import When
from disk_daemon.known import (
    AlreadyDone,
    Aside,
    AsideAll,
    Case,
    DeviceVerdict,
    Do,
    Entry,
    Erase,
    GiveBack,
    LetGo,
    MakeFilesystem,
    MountIt,
    Move,
    Note,
    OnFolder,
    Raw,
    Refuse,
    TakeUp,
    Unmount,
)

_FORMAT: tuple[Move, ...] = (Unmount(), MakeFilesystem(), MountIt())
"""What comes after the last is decided anew, by what is seen in the mounted file system."""


def decide(case: Case) -> DeviceVerdict:
    """The next thing to do about an order on a device, under the lock on the whole disk. Pure."""
    for check in step.FIRST:
        objection = check(case)
        if objection is not None:
            return objection
    raw = case.disk.raw
    assert raw is not None
    if case.order.kind in ("mount", "unmount"):
        return _mount_or_unmount(case, raw)
    return _mounted(case, raw) if raw.mounted else _unmounted(case, raw)


def _entry(case: Case) -> Entry | None:
    return case.journal if isinstance(case.journal, Entry) else None


def _has_data(case: Case, said: str) -> Refuse:
    raw = case.disk.raw
    assert raw is not None
    entry = _entry(case)
    handed = entry.handed if entry is not None else ""
    seen = f"on the disk: {raw.found or 'nothing'}; in the journal: {handed or 'nothing'}"
    return Refuse("HasData", f"{said} ({seen}); say what is to become of it, or clear the disk by hand")


# --- the file system that we made is mounted --------------------------------------------------------------


def _mounted(case: Case, raw: Raw) -> DeviceVerdict:
    verdict = step.decide(case)
    if isinstance(verdict, GiveBack):
        return OnFolder()
    if not isinstance(verdict, Do):
        return verdict
    wipes = any(isinstance(move, Aside | AsideAll | Erase) for move in verdict.moves)
    if not wipes or case.disk.trash or not _formats(case, raw):
        return OnFolder()
    return Do((Note(begun=case.begun), *_FORMAT))


def _formats(case: Case, raw: Raw) -> bool:
    """`auto` formats where nobody else holds the disk; a copy of its mount in a container would hold it."""
    method = case.order.method
    return method != "files" and (method not in ("", "auto") or not raw.holders)


# --- it is not ----------------------------------------------------------------------------------------------


def _unmounted(case: Case, raw: Raw) -> DeviceVerdict:
    order, entry, withdrawn = case.order, _entry(case), step.is_withdrawn(case)
    if entry is not None and any(past.id == order.id or past.next == order.next for past in entry.done):
        return _has_data(case, raw.damage or f"order {order.id} was done, and the disk does not show it")
    if withdrawn and not case.begun:
        return GiveBack()
    objection = guards.objection(case, When.START if case.begun else When.BEGIN)
    if objection is not None:
        return objection
    if case.begun:
        if not _is_left_by_mkfs(entry, raw):
            return _has_data(case, "mkfs was cut, and something else is on the disk now")
        return Do((Note(begun=True), *_FORMAT))
    wanted = order.whole_disk or _is_blank(case, entry, raw)
    if not wanted:
        return _has_data(case, raw.damage or f"order {order.id} finds no file system of ours on the disk")
    return Do((Note(begun=False), *_FORMAT))


def _is_left_by_mkfs(entry: Entry | None, raw: Raw) -> bool:
    """What was there before, what was being made, or so little that nothing is recognised."""
    if entry is None:
        return False
    ours = {each.uuid for each in (entry.made, entry.making) if each is not None}
    return not raw.signature or raw.uuid in ours


def _is_blank(case: Case, entry: Entry | None, raw: Raw) -> bool:
    """Blank now, and never ours: a disk on which something was made or handed over is not a new one."""
    order = case.order
    unused = entry is None or (entry.made is None and entry.handed == "")
    return order.kind == "prepare" and not order.ends and raw.blank and not raw.damage and unused


# --- mount and unmount as such ------------------------------------------------------------------------------


def _mount_or_unmount(case: Case, raw: Raw) -> DeviceVerdict:
    """`mount`: for a claimed disk whose journal is lost. Order, hardware and file system's UUID must agree,
    and the tenancy that the order names must be the one that is found once it is mounted."""
    order, entry = case.order, _entry(case)
    objection = guards.not_paused(case)
    if objection is not None:
        return objection
    if order.kind == "unmount":
        return guards.not_in_use(case) or Do((LetGo(),))
    wanted = order.identity.fs_uuid if order.identity is not None else ""
    if not wanted or raw.uuid != wanted:
        return Refuse("WrongDisk", f"the order means file system {wanted or 'none'}, there is {raw.found}")
    if entry is not None and entry.made is not None and entry.made.uuid != wanted:
        return Refuse("WrongDisk", f"the journal has {entry.made.uuid} as made, the order means {wanted}")
    if raw.mounted:
        if case.disk.tenancies == (order.next,):
            return AlreadyDone()
        said = (
            f"the order means tenancy {order.next}, on the disk is {', '.join(case.disk.tenancies) or 'none'}"
        )
        return Refuse("HasData", said)
    if not raw.at_place and (raw.holders or raw.held):
        return guards.not_in_use(case) or Refuse("InUse", raw.held)
    return Do((TakeUp(),))
