"""Deleting a tree, however deep, wide or odd it is, and never anything beside it.

Each directory is opened below its parent's descriptor by openat2, which refuses symlinks, other mounts and
ways out; entries are unlinked by name in that descriptor. No path is put together, so renaming parts of the
tree while it goes cannot lead this elsewhere.

The walk holds descriptors of at most DEPTH directories: what lies deeper is moved up to the top and comes
next. Names are taken in portions, so that a directory of millions costs no memory.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count, islice

from disk_daemon import kernel
from disk_daemon.shown import shown

DEPTH = 32
PORTION = 1000
IDLE_PASSES = 3
Tick = Callable[[str], None]
"""Called before each system call that changes something; tests end the process there."""

_FULL = (errno.ENOTEMPTY, errno.EEXIST)


class ForeignMount(Exception):  # noqa: N818 - says what it is
    """Another file system is mounted inside the tree: it is not deleted, and not unmounted."""


class Eraser:
    """Deletes below one open directory.

    top: its descriptor. between: called after every deleted entry; it may take its time, and raise to stop
    the work. tick: see `Tick`.
    """

    def __init__(self, top: int, *, between: Callable[[], None], tick: Tick) -> None:
        self._top = top
        self._between = between
        self._tick = tick
        self._changes = 0
        self._numbers = count(1)

    def run(self) -> None:
        """Delete everything in the top directory, which itself stays.

        Raises OSError, ForeignMount, and what `between` raises; can be run again after any of them.
        """
        self._empty(self._top, 0)

    def _empty(self, fd: int, depth: int) -> None:
        """Delete what a directory lists until it lists nothing: others may write there meanwhile."""
        idle = 0
        while True:
            before, listed = self._changes, 0
            for name, is_directory in _entries(fd):
                listed += 1
                if is_directory:
                    self._directory(fd, name, depth)
                else:
                    self._unlink(fd, name)
            if not listed:
                return
            idle = idle + 1 if self._changes == before else 0
            if idle == IDLE_PASSES:
                raise OSError(errno.EIO, "a directory lists entries that are not there")

    def _unlink(self, fd: int, name: str) -> None:
        self._tick("unlink")
        try:
            os.unlink(name, dir_fd=fd)
        except FileNotFoundError:
            return
        except PermissionError:
            self._free(fd, name)
            os.unlink(name, dir_fd=fd)
        except OSError as error:
            raise _explained(error, name) from error
        self._changed()

    def _directory(self, fd: int, name: str, depth: int) -> None:
        """Recursion through here is bounded by DEPTH."""
        if self._rmdir(fd, name):
            return
        if depth >= DEPTH:
            self._move_up(fd, name)
            return
        try:
            below = kernel.open_below(fd, name)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _explained(error, name) from error
        try:
            self._empty(below, depth + 1)
        finally:
            os.close(below)
        self._rmdir(fd, name)

    def _rmdir(self, fd: int, name: str, *, freed: bool = False) -> bool:
        """Whether the directory is gone; it is not where something is in it."""
        self._tick("rmdir")
        try:
            os.rmdir(name, dir_fd=fd)
        except FileNotFoundError:
            return True
        except PermissionError:
            if freed:
                raise
            self._free(fd, name)
            return self._rmdir(fd, name, freed=True)
        except OSError as error:
            if error.errno in _FULL:
                return False
            raise _explained(error, name) from error
        self._changed()
        return True

    def _move_up(self, fd: int, name: str) -> None:
        for number in self._numbers:
            self._tick("rename")
            try:
                kernel.rename_new(fd, name, self._top, f"deeper-{number}")
            except FileExistsError:
                continue
            except OSError as error:
                raise _explained(error, name) from error
            self._changed()
            return

    def _free(self, fd: int, name: str) -> None:
        """Take `immutable` and `append only` off an entry and off the directory that it is in."""
        kernel.clear_fixed(fd)
        with suppress(FileNotFoundError):
            inode = kernel.reopen_inode(fd, name)
            if inode is not None:
                try:
                    kernel.clear_fixed(inode)
                finally:
                    os.close(inode)

    def _changed(self) -> None:
        self._changes += 1
        self._between()


def _entries(fd: int) -> Iterator[tuple[str, bool]]:
    """Name and whether it is a directory. A portion is read to its end before any of it is deleted, since
    what a listing shows of a directory that changes meanwhile is unspecified (readdir(3))."""
    with os.scandir(fd) as listing:
        while portion := list(islice(listing, PORTION)):
            for entry in portion:
                yield entry.name, entry.is_dir(follow_symlinks=False)


def _explained(error: OSError, name: str) -> Exception:
    if error.errno in (errno.EBUSY, errno.EXDEV):
        return ForeignMount(f"something is mounted at '{shown(name)}' in the tree; unmount it")
    return error
