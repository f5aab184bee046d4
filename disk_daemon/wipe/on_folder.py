"""Carrying out an order on a path disk: look, lock, decide, move, and tell.

Why something is done stands in `step.py` and `guards.py`; here is how. The order of things, all of it in one
child process, under one lock that the kernel lets go however the process ends:

  open the mount, compare the hardware             nothing is written on another disk, not even a lock
  flock .tidb-volume                               a second daemon, or one that was frozen, stays out
  read the API, look at the disk, decide
  rename what is to go into trash-ORDER            can be undone
  read and look again; journal `begun`             or put it back
  delete below trash-ORDER, looking again between  there is only the way on
  list again, make the next folder, sync, journal `done`

The disk itself is synced once, before `done` (decision 0115).

A device whose file system is mounted is such a disk too, once `on_device.py` holds a lock of its own.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from disk_daemon import guards, journal, kernel, observe
from disk_daemon.facts import folder
from disk_daemon.guards import When
from disk_daemon.jobs import Ended
from disk_daemon.known import Case, Entry, Facts, trash_of
from disk_daemon.shown import shown
from disk_daemon.step import decide, is_of_this_wipe
from disk_daemon.verdict import (
    AlreadyDone,
    Aside,
    AsideAll,
    Do,
    Erase,
    Finish,
    GiveBack,
    Make,
    Move,
    Note,
    Recheck,
    Refuse,
    Remove,
    Verdict,
    Verify,
    Wait,
)
from disk_daemon.wipe import aside
from disk_daemon.wipe.files import Eraser
from disk_daemon.wipe.frame import LOOK_EVERY_S, Carrier, Concluded, Conclusion
from tidb_volume import names

OURS_MODE, TENANCY_MODE = 0o700, 0o777
"""Any pod's user may write to its volume, and nobody but root gets past the parent (decision 0006)."""
LOOK_EVERY_ENTRIES = 5000
TRIM_BYTES = 16 << 30
"""So much of a device is told at once to be free, before the next look around."""


class FolderCarrier(Carrier):
    """An order on a mounted file system."""

    _root = -1
    _looked_at_files = 0

    @property
    def _path(self) -> str:
        """Where it is mounted."""
        return self._job.source.path or self._rules.place(self._job.volume)

    def _work(self) -> Ended:
        with folder.opened(self._path) as root:
            self._root = root
            self._compare_hardware()
            with self._locked(root) as ours:
                return self._under_lock(root, ours)

    def _look(self, *, whole: bool) -> Facts:
        how = folder.look_inside
        if whole:
            how = folder.look_at_everyone if self._order.whole_disk else folder.look
        return how(self._root, self._path, self._rules)

    def _look_at_hardware(self) -> Facts:
        return folder.look_at_disk(self._root, self._path, self._rules)

    def _at_work(self) -> Facts:
        """The disk that was judged, by what was seen under the lock on this very descriptor: the record of a
        judgement is filed under no other disk's name."""
        return self._seen or self._look_at_hardware()

    def _look_or_say(self) -> Facts:
        if self._job.source.device:
            return observe.look_at(self._job, self._rules)
        return observe.look(self._path, self._rules, folder.look_inside)

    def _decide(self, case: Case) -> Verdict:
        return decide(case)

    def inside(self) -> Facts:
        """What lies in the mounted file system. Raises Absent, OSError."""
        with folder.opened(self._path) as root:
            return folder.look_inside(root, self._path, self._rules)

    def _compare_hardware(self) -> None:
        facts = self._look_at_hardware()
        found = guards.identity_matches(self._case(facts, None))
        if found is not None:
            raise Concluded(found, begun=self._known_as_begun())
        self._used_bytes = facts.used_bytes

    @contextmanager
    def _locked(self, root: int) -> Iterator[int]:
        ours = folder.open_ours(root)
        if ours is None:
            if os.fstatvfs(root).f_flag & os.ST_RDONLY:
                said = "the file system is mounted read-only; look at the kernel log of the node"
                raise Concluded(Refuse("ReadOnly", said), begun=self._known_as_begun())
            self._tick("mkdir")
            os.mkdir(names.FOLDER, OURS_MODE, dir_fd=root)
            os.fsync(root)
            ours = kernel.open_below(root, names.FOLDER)
        try:
            try:
                fcntl.flock(ours, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                said = "another process of ours works on this disk"
                raise Concluded(Wait("Locked", said, "lock"), begun=self._known_as_begun()) from error
            if os.fstat(ours).st_mode & 0o777 != OURS_MODE:
                os.fchmod(ours, OURS_MODE)
            yield ours
        finally:
            os.close(ours)

    def _under_lock(self, root: int, ours: int) -> Ended:
        """A lock on a folder that is not the one with that name any more would keep nobody out."""
        named = kernel.open_below(root, names.FOLDER)
        try:
            if not os.path.samestat(os.fstat(named), os.fstat(ours)):
                raise OSError(errno.ESTALE, "the folder was replaced while it was being locked", names.FOLDER)
        finally:
            os.close(named)

        case = self._settled()
        self._cut_on_record(case)
        self._begun = case.maybe_begun
        verdict = decide(case)
        match verdict:
            case Do():
                for move in verdict.moves:
                    self._do(move, root, ours)
                conclusion: Conclusion = AlreadyDone()
            case GiveBack():
                self._put_back(root, ours)
                conclusion = self._withdrawn(case)
            case Refuse(reason="Withdrawn"):
                self._withdrawn(case)
                conclusion = verdict
            case _:
                conclusion = verdict
        return self._ended(conclusion, begun=self._begun)

    # --- the moves ---------------------------------------------------------------------------------

    def _do(self, move: Move, root: int, ours: int) -> None:
        match move:
            case Note(begun=True):
                self._begin(root, ours)
            case Note():
                self._note(begun=False)
            case Aside():
                name = move.tenancy
                self._guarded(root, ours, lambda: aside.tenancy(ours, self._order.id, name, self._tick))
            case AsideAll():
                self._guarded(root, ours, lambda: aside.everything(root, ours, self._order.id, self._tick))
            case Recheck():
                self._recheck(root, ours)
            case Erase():
                self._erase(root, ours, move.order)
            case Verify():
                self._verify(root)
            case Remove():
                self._remove(ours, move.tenancy)
            case Make():
                self._tick("mkdir")
                os.mkdir(self._order.next, TENANCY_MODE, dir_fd=ours)
            case Finish():
                self._finish(root)

    def _begin(self, root: int, ours: int) -> None:
        """Journal that bytes may be gone from here on, and be sure that this is still wanted afterwards."""
        was_begun = self._begun
        while True:
            self._note(begun=True)
            if self._is_good():
                return
            self._note(begun=was_begun)
            self._recheck(root, ours)

    def _guarded(self, root: int, ours: int, rename: Callable[[], None]) -> None:
        try:
            rename()
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EBUSY):
                raise
            if not self._begun:
                self._put_back(root, ours)
            said = f"something is mounted at '{shown(error.filename or '')}' on this disk; unmount it"
            if error.errno == errno.EXDEV:
                said += ", or give it the project of the folder that it is in: lsattr -p, chattr -p"
            raise Concluded(Refuse("ForeignMount", said), begun=self._begun) from error

    def _recheck(self, root: int, ours: int) -> None:
        case = self._fresh_case()
        self._stop_if_withdrawn(case, lambda: self._put_back(root, ours))
        found = guards.objection(case, When.START if self._begun else When.BEGIN)
        if found is None:
            return
        if not self._begun:
            self._put_back(root, ours)
        raise Concluded(found, begun=self._begun)

    def _put_back(self, root: int, ours: int) -> None:
        """What was put aside returns to its place, and the journal forgets the order."""
        facts = folder.look_inside(root, self._path, self._rules)
        entry = self._entry(facts)
        case = self._case(facts, entry)
        for trash in facts.trash:
            if is_of_this_wipe(case, trash):
                aside.put_back(root, ours, trash.name, whole_disk=self._order.whole_disk, tick=self._tick)
        if isinstance(entry, Entry) and entry.order is not None:
            self._tick("journal")
            journal.store(self._rules.state, journal.given_back(entry))
        self._begun = False

    def _erase(self, root: int, ours: int, order: str) -> None:
        """All trash of an order: two folders, where the disk ran full between mkdir and rename."""
        for name in [each for each in folder.entries(ours) if trash_of(each) == order]:
            self._erase_folder(root, ours, name)

    def _erase_folder(self, root: int, ours: int, name: str) -> None:
        try:
            top = kernel.open_below(ours, name)
        except FileNotFoundError:
            return
        try:
            Eraser(top, between=lambda: self._between(root), tick=self._tick).run()
            kernel.clear_fixed(top)
        finally:
            os.close(top)
        self._tick("rmdir")
        os.rmdir(name, dir_fd=ours)

    def _verify(self, root: int) -> None:
        facts = folder.look_inside(root, self._path, self._rules)
        left = [*facts.tenancies, *(each.order for each in facts.trash)]
        if self._order.whole_disk:
            left += [*facts.strays, *facts.others]
        if left:
            raise OSError(errno.ENOTEMPTY, "something came back while it was being deleted", left[0])
        if self._job.source.device:
            self._trim(root)

    def _remove(self, ours: int, tenancy: str) -> None:
        self._tick("rmdir")
        try:
            os.rmdir(tenancy, dir_fd=ours)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            said = f"tenancy {tenancy} should be unused, and is not empty; say what is to become of it"
            raise Concluded(Refuse("HasData", said), begun=False) from error

    def _finish(self, root: int) -> None:
        """The one sync of the disk (decision 0115), and only what it has stored is journalled as done."""
        kernel.sync_filesystem(root)
        self._journal_done()

    # --- between two entries -----------------------------------------------------------------------

    def _between(self, root: int) -> None:
        """After each deleted entry."""
        self._files += 1

        def measure() -> None:
            room = os.fstatvfs(root)
            used = (room.f_blocks - room.f_bfree) * room.f_frsize
            self._done_bytes = max(self._done_bytes, self._used_bytes - used)

        self._tell_if_due(measure)
        is_recent = kernel.boottime() - self._live.read_at < LOOK_EVERY_S
        if is_recent and self._files - self._looked_at_files < LOOK_EVERY_ENTRIES:
            return
        self._look_around()
        self._looked_at_files = self._files

    def _trim(self, root: int) -> None:
        """Tell a device of ours what is free on it: best effort, since deleting is the method."""
        room = os.fstatvfs(root)
        for start in range(0, room.f_blocks * room.f_frsize, TRIM_BYTES):
            try:
                kernel.trim(root, start, TRIM_BYTES)
            except OSError as error:
                if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL):
                    return
                raise
            self._look_around()
