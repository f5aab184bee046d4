"""Putting what is to go aside, and putting it back: renames within one disk, each of which can be undone.

`trash-ORDER/` holds the tenancy's folder. Where the whole disk is to go (`adopt: Wipe`) it holds three
folders instead, one for each place that things came from, so that the way back is as plain as the way there.
lost+found itself belongs to the file system and stays.

The way there is not synced, the way back is (decision 0115): a rename that a power cut undoes is done again,
but data that somebody was told to have back must be where his pod looks for it.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from disk_daemon import kernel
from disk_daemon.facts.folder import entries
from disk_daemon.known import LOST_AND_FOUND, tenancy_as_trash, trash_of
from disk_daemon.wipe.files import Tick
from tidb_volume import names

_ROOT, _LOST, _OURS = "root", "lost+found", "ours"


def tenancy(ours: int, order: str, name: str, tick: Tick) -> None:
    """Rename a tenancy's folder into the order's trash. OSError: EBUSY, EXDEV where a mount is in the way.

    Where the tenant has left no room for one folder more, his own becomes the trash: that needs none.
    """
    try:
        _into(ours, f"{names.TRASH}{order}", name, tick)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        tick("rename")
        _rename(ours, name, ours, f"{names.TRASH}{order}.{name}")


def _into(ours: int, to: str, name: str, tick: Tick) -> None:
    trash = _folder(ours, to, tick)
    try:
        tick("rename")
        _rename(ours, name, trash, name)
    finally:
        os.close(trash)


def everything(root: int, ours: int, order: str, tick: Tick) -> None:
    """Rename all that is on the disk into the order's trash, but lost+found, our folder and trash."""
    trash = _folder(ours, f"{names.TRASH}{order}", tick)
    try:
        _move_all(root, trash, _ROOT, (names.FOLDER, LOST_AND_FOUND), tick)
        with suppress(FileNotFoundError):
            lost = kernel.open_below(root, LOST_AND_FOUND)
            try:
                _move_all(lost, trash, _LOST, (), tick)
            finally:
                os.close(lost)
        others = tuple(each for each in entries(ours) if trash_of(each))
        _move_all(ours, trash, _OURS, others, tick)
    finally:
        os.close(trash)


def put_back(root: int, ours: int, name: str, *, whole_disk: bool, tick: Tick) -> None:
    """Undo `tenancy` or `everything`, and remove the trash folder of that name."""
    alone = tenancy_as_trash(name)
    if alone:
        tick("rename")
        _rename(ours, name, ours, alone)
        os.fsync(ours)
        return
    trash = kernel.open_below(ours, name)
    try:
        if not whole_disk:
            _return(trash, ours, tick)
        else:
            for place, to in ((_ROOT, root), (_OURS, ours)):
                _return_from(trash, place, to, tick)
            with suppress(FileNotFoundError):
                lost = kernel.open_below(root, LOST_AND_FOUND)
                try:
                    _return_from(trash, _LOST, lost, tick)
                finally:
                    os.close(lost)
    finally:
        os.close(trash)
    tick("rmdir")
    os.rmdir(name, dir_fd=ours)
    os.fsync(ours)


def _rename(source: int, name: str, to: int, new_name: str) -> None:
    """Rename, and never over something. What its owner has fixed (chattr +i, +a) stays so, as it may be put
    back."""
    try:
        kernel.rename_new(source, name, to, new_name)
    except PermissionError:
        inode = kernel.reopen_inode(source, name)
        if inode is None:
            raise
        try:
            fixed = kernel.clear_fixed(inode)
            if not fixed:
                raise
            try:
                kernel.rename_new(source, name, to, new_name)
            finally:
                kernel.fix(inode, fixed)
        finally:
            os.close(inode)


def _folder(parent: int, name: str, tick: Tick) -> int:
    with suppress(FileExistsError):
        tick("mkdir")
        os.mkdir(name, 0o700, dir_fd=parent)
    return kernel.open_below(parent, name)


def _move_all(source: int, trash: int, place: str, but: tuple[str, ...], tick: Tick) -> None:
    to = _folder(trash, place, tick)
    try:
        # Read to the end first: a listing of a directory that changes meanwhile is unspecified. The roots of
        # disks are short.
        for name in [each for each in entries(source) if each not in but]:
            tick("rename")
            _rename(source, name, to, name)
    finally:
        os.close(to)


def _return(source: int, to: int, tick: Tick) -> None:
    for name in list(entries(source)):
        tick("rename")
        _rename(source, name, to, name)
    os.fsync(to)
    os.fsync(source)


def _return_from(trash: int, place: str, to: int, tick: Tick) -> None:
    try:
        source = kernel.open_below(trash, place)
    except FileNotFoundError:
        return
    try:
        _return(source, to, tick)
    finally:
        os.close(source)
    tick("rmdir")
    os.rmdir(place, dir_fd=trash)
