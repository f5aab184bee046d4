"""What to do about an order on a device, decided as in `step.py` from what is seen now.

While the file system that we made is mounted, the disk is a folder like any other and `step.decide` is the
judge; where its verdict is a wipe, and the method is more than deleting, the wipe is this instead:

    mounted, tenancy T                  the journal notes the order       -> Unmount
    unmounted, held exclusively         a UUID of ours is journalled      -> MakeFilesystem
    making                              mkfs, read back, journal `made`   -> MakeFilesystem again
    made                                                                  -> MountIt
    mounted and empty                   journalled as made by the method  -> OnFolder
    mounted and empty                   the next tenancy's folder, done   -> as on any folder

A file system of ours that is not mounted is mounted before anything is decided. So what is seen unmounted
here is blank, somebody else's, damaged, or what a cut mkfs left.
"""

from __future__ import annotations

from disk_daemon import guards, journal, step
from disk_daemon.guards import When
from disk_daemon.known import Case, Entry, Raw
from disk_daemon.verdict import (
    AlreadyDone,
    Begin,
    DeviceVerdict,
    Do,
    Erase,
    EraseItself,
    GiveBack,
    Hand,
    LetGo,
    MakeFilesystem,
    MountIt,
    Move,
    Note,
    OnFolder,
    Overwrite,
    ReadAll,
    Refuse,
    TakeUp,
    Unmount,
    Verify,
)
from tidb_volume.methods import passes

LOOSE = ("", "auto", "files")
"""Methods by which files may be deleted, on a device too."""


def _make(case: Case, raw: Raw, *, read_first: bool = False) -> tuple[Move, ...]:
    """Make of the disk what its entry wants; what is lost is lost from Begin on.

    read_first: it must be zero from end to end before that. What comes after the last move on a file system
    is decided anew, by what is seen in it.
    """
    first: tuple[Move, ...] = (Unmount(), ReadAll(), Begin()) if read_first else (Unmount(), Begin())
    method = case.order.method
    writing = Overwrite(method == "discard", passes(method))
    # Nothing of anybody's is below an unused tenancy that is only made anew.
    unused = bool(case.order.ends) and not case.destroys
    if method == "nvme-format" and not unused:
        first = (*first, EraseItself())
    if _wants_block(raw):
        return (*first, writing, Hand())
    whole = method in ("zero", "discard") or writing.passes > 0
    overwrite = (writing,) if whole and not unused else ()
    return (*first, *overwrite, MakeFilesystem(), MountIt())


def _wants_block(raw: Raw) -> bool:
    return (raw.wanted or raw.mode) == "Block"


def _is_to_change(case: Case, raw: Raw) -> bool:
    """The entry wants something else of the disk than was made of it."""
    entry = _entry(case)
    return entry is not None and raw.wanted not in ("", journal.shape(entry))


def decide(case: Case) -> DeviceVerdict:
    """The next thing to do about an order on a device, under the lock on the whole disk. Pure."""
    for check in step.FIRST:
        objection = check(case)
        if objection is not None:
            return objection
    raw = case.disk.raw
    assert raw is not None
    if raw.mode == "Block":
        return _block(case, raw)
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
    if not _is_to_make(case, raw, verdict):
        return OnFolder(made=_is_made_anew(case, verdict))
    beside = _beside(case)
    if beside:
        said = f"'{beside[0]}' of somebody's lies beside the tenancy and would go with the file system"
        return Refuse("HasData", f"{said}; move it elsewhere, then say what is to become of the disk")
    return Do((Note(begun=case.begun), *_make(case, raw)))


def _is_to_make(case: Case, raw: Raw, verdict: Do) -> bool:
    """Deleting is enough where the order says so, or leaves the choice; else the device is made as it says,
    also where a process that was cut, or an order before this one, has deleted already."""
    if case.order.method not in LOOSE and _wipes(verdict) and not _is_made_anew(case, verdict):
        return True
    if case.disk.trash:
        return False
    # Whatever leads to a fresh offer makes of the disk what is wanted by now, too.
    return _is_to_change(case, raw) or (_deletes(verdict) and _auto_formats(case, raw))


def _wipes(verdict: Do) -> bool:
    return any(isinstance(move, Verify) for move in verdict.moves)


def _deletes(verdict: Do) -> bool:
    return any(isinstance(move, Erase) for move in verdict.moves)


def _is_made_anew(case: Case, verdict: Do) -> bool:
    """This wipe has made the file system, by the method that its order says, and nothing is to go from it."""
    taken, method = case.taken, case.order.method
    made = taken is not None and taken.made_by == method != ""
    return made and case.destroys and not _deletes(verdict)


def _auto_formats(case: Case, raw: Raw) -> bool:
    """Where nobody else holds the disk, a copy of its mount in a container would, and where nothing goes that
    is not the tenancy's."""
    return case.order.method in ("", "auto") and not (raw.holders or _beside(case))


def _beside(case: Case) -> tuple[str, ...]:
    """What hands have put into the file system that we made. Nobody was asked of it, unless all is to go."""
    return () if case.order.whole_disk else case.disk.by_hand


# --- it is not ----------------------------------------------------------------------------------------------


def _unmounted(case: Case, raw: Raw) -> DeviceVerdict:
    order, entry = case.order, _entry(case)
    if step.is_journalled(case):
        return _has_data(case, raw.damage or f"order {order.id} was done, and the disk does not show it")
    stale = step.was_taken_back(case)
    if stale:
        return _has_data(case, stale)
    if step.is_withdrawn(case) and not step.goes_on(case):
        return step.take_back(case)
    objection = guards.objection(case, When.START if case.begun else When.TAKE)
    if objection is not None:
        return objection
    if case.begun:
        return _go_on(case, entry, raw)
    wanted = order.whole_disk or _is_blank(case, entry, raw)
    if not wanted:
        return _has_data(case, raw.damage or f"order {order.id} finds no file system of ours on the disk")
    return Do((Note(begun=False), *_make(case, raw)))


def _go_on(case: Case, entry: Entry | None, raw: Raw) -> DeviceVerdict:
    """It was cut when bytes were gone already."""
    if not (_is_left_by_mkfs(entry, raw) or _is_to_go(case, raw)):
        return _has_data(case, "a wipe was cut, and something else is on the disk now")
    return Do((Note(begun=True), *_make(case, raw)))


def _is_left_by_mkfs(entry: Entry | None, raw: Raw) -> bool:
    """What was being made, or so little that nothing is recognised."""
    assert entry is not None, "what is begun is journalled"
    return not raw.signature or (entry.making is not None and raw.uuid == entry.making.uuid)


def _is_to_go(case: Case, raw: Raw) -> bool:
    """What a wipe was begun over stands there until it is written over. Where a person says that all is to
    go, he says so still, and a newer answer of his is about what was there when he gave it."""
    taken, order = case.taken, case.order
    assert taken is not None, "what is begun is journalled"
    as_begun = raw.told_apart == taken.over
    if not order.whole_disk:
        return as_begun
    told = (as_begun and order.answer == taken.answer) or case.disk.lies_on_it == order.over
    return told and guards.answer_stands(case) is None


def _is_blank(case: Case, entry: Entry | None, raw: Raw) -> bool:
    """Blank now, and never ours: a disk on which something was made or handed over is not a new one."""
    order = case.order
    unused = entry is None or (entry.made is None and entry.handed == "")
    return order.kind == "prepare" and not order.ends and raw.blank and not raw.damage and unused


# --- a Block volume -----------------------------------------------------------------------------------------


def _block(case: Case, raw: Raw) -> DeviceVerdict:
    """The disk shows no tenancy, all of it is the tenant's: the witnesses are the journal and the zeroes."""
    order, entry, disk = case.order, _entry(case), case.disk
    handed = entry.handed if entry is not None and entry.block else ""
    if order.kind not in ("reclaim", "prepare"):
        return Refuse(
            "NotForBlock", f"a Block volume's node is made from the journal; there is no {order.kind}"
        )
    if handed == order.next or step.is_journalled(case):
        return _block_once_more(case, raw, handed)
    stale = step.was_taken_back(case)
    if stale:
        return _has_data(case, stale)
    if step.is_withdrawn(case) and not step.goes_on(case):
        return step.take_back(case)
    objection = guards.objection(case, When.START if case.begun else When.TAKE)
    if objection is not None:
        return objection
    if case.begun:
        return _go_on(case, entry, raw)
    zeroes = _make(case, raw)
    if order.whole_disk:
        return Do((Note(begun=False), *zeroes))
    if raw.found:
        return _has_data(case, "the disk is not blank")
    if order.kind == "reclaim":
        if not order.ends or handed != order.ends:
            return _has_data(case, f"the journal does not know tenancy {order.ends or 'none'} as handed over")
        return Do((Note(begun=False), *zeroes))
    if order.ends:
        if handed != order.ends or not disk.empty:
            return _has_data(case, f"tenancy {order.ends} should be handed over and unused")
        if not _wants_block(raw):
            return Do((Note(begun=False), *_make(case, raw, read_first=True)))
        return Do((Note(begun=False), Unmount(), ReadAll(), Hand()))
    if not _is_blank(case, entry, raw):
        return _has_data(case, "the disk is not a blank one")
    return Do((Note(begun=False), *zeroes))


def _block_once_more(case: Case, raw: Raw, handed: str) -> DeviceVerdict:
    """Done before: said once more while nobody has used it, and all that is looked at is zero."""
    order, disk = case.order, case.disk
    had = guards.nobody_had_it(case)
    if had is not None:
        return had
    since = step.belied(case)
    if since:
        return _has_data(case, f"order {order.id} was done, and {since}")
    in_use = guards.not_in_use(case)
    if in_use is None and order.offer and handed == order.next and disk.empty:
        return AlreadyDone()
    if in_use is None and not order.offer and not handed and raw.blank:
        return AlreadyDone()
    return _has_data(case, f"order {order.id} was done, and the disk is in use or not zero since")


# --- mount and unmount as such ------------------------------------------------------------------------------


def _mount_or_unmount(case: Case, raw: Raw) -> DeviceVerdict:
    """`mount`: for a claimed disk whose journal is lost. Order, hardware and file system's UUID must agree,
    and the tenancy that the order names must be the one that is found once it is mounted."""
    order, entry = case.order, _entry(case)
    objection = guards.not_paused(case)
    if objection is not None:
        return objection
    if order.kind == "unmount":
        return _let_go(case, raw)
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
    in_use = guards.not_in_use(case)
    if in_use is not None and not raw.at_place:
        return in_use
    return Do((TakeUp(),))


def _let_go(case: Case, raw: Raw) -> DeviceVerdict:
    """`unmount`: for a disk that nobody has. An etcd from before shows an old order while a claim has it."""
    entry = _entry(case)
    if entry is not None and any(past.id == case.order.id for past in entry.done):
        if not raw.mounted and entry.unmounted:
            return AlreadyDone()
        return _has_data(case, f"order {case.order.id} was done, and the disk has been in use since")
    if entry is not None and any(had.tenancy == entry.handed for had in entry.had):
        return _has_data(case, f"the journal has seen a claim on tenancy {entry.handed}")
    return guards.no_pv_remains(case) or guards.not_in_use(case) or Do((LetGo(),))
