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

A reading of the API is good for LIVE_FOR_S seconds of CLOCK_BOOTTIME, so that a process that was frozen does
not wake up with an old permission in hand.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from disk_daemon import guards, journal, kernel, observe
from disk_daemon.facts import folder
from disk_daemon.guards import When
from disk_daemon.jobs import Ended, Job, Link
from disk_daemon.known import (
    AlreadyDone,
    Aside,
    AsideAll,
    Broken,
    Case,
    Do,
    Dropped,
    Entry,
    Erase,
    Facts,
    Finish,
    GiveBack,
    Journal,
    Live,
    Make,
    Move,
    Note,
    Recheck,
    Refuse,
    Remove,
    Verify,
    Wait,
)
from disk_daemon.step import decide, is_of_this_wipe
from disk_daemon.wipe import aside
from disk_daemon.wipe.files import Eraser, ForeignMount, Tick
from tidb_volume import names
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import Order, Presence, Work, WorkState

OURS_MODE, TENANCY_MODE = 0o700, 0o777
"""Any pod's user may write to its volume, and nobody but root gets past the parent (decision 0006)."""
LIVE_FOR_S = 5.0
READINGS = 3
LOOK_EVERY_S = 2.0
LOOK_EVERY_ENTRIES = 5000
TELL_FIRST_S, TELL_EVERY_S = 0.2, 2.0
PATIENCE_S = 2.0
"""How long a child stays for a PersistentVolume that is about to go; after that the parent waits instead."""
HALT_S = 1.0

Conclusion = Refuse | Wait | Dropped | AlreadyDone


class _Concluded(Exception):  # noqa: N818 - the end of the work, good or bad
    def __init__(self, conclusion: Conclusion, *, begun: bool) -> None:
        super().__init__(str(conclusion))
        self.conclusion = conclusion
        self.begun = begun


def carry(
    job: Job, link: Link, rules: folder.Rules, *, tick: Tick, sleep: Callable[[float], None] = time.sleep
) -> Ended:
    """Carry out the order of a job as far as it goes now.

    tick is called before each change, for tests. Never raises for what a disk, a journal or a person may do;
    that is in the answer.
    """
    assert job.order is not None
    return _Carrier(job, job.order, link, rules, tick, sleep).run()


class _Carrier:
    def __init__(
        self,
        job: Job,
        order: Order,
        link: Link,
        rules: folder.Rules,
        tick: Tick,
        sleep: Callable[[float], None],
    ) -> None:
        self._job, self._order, self._link, self._rules = job, order, link, rules
        self._tick, self._sleep = tick, sleep
        self._path = job.source.path
        self._live = Live(read_at=0.0, error="not read yet")
        self._began_at = kernel.boottime()
        self._told_at = 0.0
        self._begun = False
        self._files = self._looked_at_files = 0
        self._used_bytes = self._freed_bytes = 0
        self._seen: Facts | None = None
        """The last look at everything, users too."""

    # --- from the first look to the last word ------------------------------------------------------

    def run(self) -> Ended:
        os.umask(0)
        try:
            with folder.opened(self._path) as root:
                self._compare_hardware(root)
                with self._locked(root) as ours:
                    return self._under_lock(root, ours)
        except folder.Absent as error:
            facts = folder.absent(error, self._rules)
            concluded = guards.disk_is_there(self._case(facts, None))
            assert isinstance(concluded, Refuse | Wait)
            return self._ended(concluded, begun=self._known_as_begun(), facts=facts)
        except _Concluded as end:
            return self._ended(end.conclusion, begun=end.begun)
        except ForeignMount as error:
            return self._failed("ForeignMount", str(error))
        except OSError as error:
            return self._failed(errno.errorcode.get(error.errno or 0, "OSError"), observe.said(error))

    def _compare_hardware(self, root: int) -> None:
        facts = folder.look_at_disk(root, self._path, self._rules)
        found = guards.identity_matches(self._case(facts, None))
        if found is not None:
            raise _Concluded(found, begun=self._known_as_begun())
        self._used_bytes = facts.used_bytes

    @contextmanager
    def _locked(self, root: int) -> Iterator[int]:
        ours = folder.open_ours(root)
        if ours is None:
            if os.fstatvfs(root).f_flag & os.ST_RDONLY:
                said = "the file system is mounted read-only; look at the kernel log of the node"
                raise _Concluded(Refuse("ReadOnly", said), begun=self._known_as_begun())
            self._tick("mkdir")
            os.mkdir(names.FOLDER, OURS_MODE, dir_fd=root)
            os.fsync(root)
            ours = kernel.open_below(root, names.FOLDER)
        try:
            try:
                fcntl.flock(ours, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                said = "another process of ours works on this disk"
                raise _Concluded(Wait("Locked", said, "lock"), begun=self._known_as_begun()) from error
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

        case = self._settled(root)
        self._begun = case.maybe_begun
        verdict = decide(case)
        match verdict:
            case Do():
                for move in verdict.moves:
                    self._do(move, root, ours)
                conclusion: Conclusion = AlreadyDone()
            case GiveBack():
                self._put_back(root, ours)
                conclusion = Refuse("Withdrawn", "the order was withdrawn; no byte is gone")
            case _:
                conclusion = verdict
        return self._ended(conclusion, begun=self._begun)

    def _settled(self, root: int) -> Case:
        """The case to decide, once nothing in it goes away by itself within a moment."""
        pause, waited = 0.01, 0.0
        while True:
            case = self._fresh_case(root)
            verdict = decide(case)
            if not (isinstance(verdict, Wait) and verdict.reason == "PvTerminating") or waited >= PATIENCE_S:
                return case
            self._sleep(pause)
            waited, pause = waited + pause, min(1.0, pause * 2)

    # --- reading and looking -----------------------------------------------------------------------

    def _fresh_case(self, root: int) -> Case:
        """Disk and API, both read now, the API's reading still good once the disk has been looked at."""
        for _ in range(READINGS):
            self._live = self._link.live(lean=False)
            self._seen = facts = folder.look(root, self._path, self._rules)
            if self._is_good():
                break
        else:
            self._live = Live(read_at=0.0, error="it answers too slowly")
        return self._case(facts, self._entry(facts))

    def _is_good(self) -> bool:
        return kernel.boottime() - self._live.read_at <= LIVE_FOR_S

    def _entry(self, facts: Facts) -> Journal:
        assert facts.identity is not None
        return journal.load(self._rules.state, facts.identity)

    def _case(self, facts: Facts, known: Journal) -> Case:
        return Case(
            order=self._order,
            volume=self._job.volume,
            uid=self._job.uid,
            live=self._live,
            disk=facts,
            journal=known,
        )

    def _known_as_begun(self) -> bool:
        """For a disk that cannot be locked or seen: what the journal says of the one that is meant."""
        if self._begun or self._order.identity is None:
            return self._begun
        known = journal.load(self._rules.state, self._order.identity)
        return self._case(Facts(presence=Presence.NOT_PRESENT), known).begun

    # --- the moves ---------------------------------------------------------------------------------

    def _do(self, move: Move, root: int, ours: int) -> None:
        match move:
            case Note(begun=True):
                self._begin(root, ours)
            case Note():
                self._note(root, begun=False)
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
                os.fsync(ours)
            case Finish():
                self._finish(root)

    def _note(self, root: int, *, begun: bool) -> None:
        facts = folder.look_at_disk(root, self._path, self._rules)
        assert facts.identity is not None
        entry = self._entry(facts)
        if isinstance(entry, Broken):
            raise OSError(errno.EIO, entry.why)
        self._tick("journal")
        noted = journal.noted(entry, facts.identity, self._order, begun=begun, at=_now())
        journal.store(
            self._rules.state,
            msgspec.structs.replace(noted, source=str(self._job.source), volume=self._job.volume),
        )
        self._begun = begun

    def _begin(self, root: int, ours: int) -> None:
        """Journal that bytes may be gone from here on, and be sure that this is still wanted afterwards."""
        was_begun = self._begun
        while True:
            self._note(root, begun=True)
            if self._is_good():
                return
            self._note(root, begun=was_begun)
            self._recheck(root, ours)

    def _guarded(self, root: int, ours: int, rename: Callable[[], None]) -> None:
        try:
            rename()
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EBUSY):
                raise
            if not self._begun:
                self._put_back(root, ours)
            said = f"something is mounted at {error.filename!r} on this disk; unmount it"
            raise _Concluded(Refuse("ForeignMount", said), begun=self._begun) from error

    def _recheck(self, root: int, ours: int) -> None:
        case = self._fresh_case(root)
        withdrawn = guards.order_is_current(case) is None and self._is_withdrawn(case)
        if withdrawn and not self._begun:
            self._put_back(root, ours)
            said = "the order was withdrawn; no byte is gone"
            raise _Concluded(Refuse("Withdrawn", said), begun=False)
        found = guards.objection(case, When.START if self._begun else When.BEGIN)
        if found is None:
            return
        if not self._begun:
            self._put_back(root, ours)
        raise _Concluded(found, begun=self._begun)

    @staticmethod
    def _is_withdrawn(case: Case) -> bool:
        volume = case.live.volume
        return volume is not None and volume.spec.order is not None and volume.spec.order.withdrawn

    def _put_back(self, root: int, ours: int) -> None:
        """What was put aside returns to its place, and the journal forgets the order."""
        facts = folder.look_inside(root, self._path, self._rules)
        entry = self._entry(facts)
        case = self._case(facts, entry)
        for trash in facts.trash:
            if is_of_this_wipe(case, trash):
                aside.put_back(root, ours, trash.order, whole_disk=self._order.whole_disk, tick=self._tick)
        if isinstance(entry, Entry) and entry.order is not None:
            self._tick("journal")
            journal.store(self._rules.state, journal.given_back(entry))
        self._begun = False

    def _erase(self, root: int, ours: int, order: str) -> None:
        name = f"{names.TRASH}{order}"
        try:
            top = kernel.open_below(ours, name)
        except FileNotFoundError:
            return
        try:
            Eraser(top, between=lambda: self._between(root), tick=self._tick).run()
        finally:
            os.close(top)
        self._tick("rmdir")
        os.rmdir(name, dir_fd=ours)
        os.fsync(ours)

    def _verify(self, root: int) -> None:
        facts = folder.look_inside(root, self._path, self._rules)
        left = [*facts.tenancies, *(each.order for each in facts.trash)]
        if self._order.whole_disk:
            left += [*facts.strays, *facts.others]
        if left:
            raise OSError(errno.ENOTEMPTY, "something came back while it was being deleted", left[0])

    def _remove(self, ours: int, tenancy: str) -> None:
        self._tick("rmdir")
        try:
            os.rmdir(tenancy, dir_fd=ours)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            said = f"tenancy {tenancy} should be unused, and is not empty; say what is to become of it"
            raise _Concluded(Refuse("HasData", said), begun=False) from error
        os.fsync(ours)

    def _finish(self, root: int) -> None:
        kernel.sync_filesystem(root)
        facts = folder.look_at_disk(root, self._path, self._rules)
        assert facts.identity is not None
        entry = self._entry(facts)
        if isinstance(entry, Broken):
            raise OSError(errno.EIO, entry.why)
        self._tick("journal")
        done = journal.finished(entry, facts.identity, self._order, at=_now())
        journal.store(
            self._rules.state,
            msgspec.structs.replace(done, source=str(self._job.source), volume=self._job.volume),
        )

    # --- between two entries -----------------------------------------------------------------------

    def _between(self, root: int) -> None:
        """After each deleted entry. Every so often: is the order still current, the disk still this one, and
        the stop button not pressed? While it is, the work halts here, with the lock held."""
        self._files += 1
        now = kernel.boottime()
        if now - max(self._told_at, self._began_at + TELL_FIRST_S - TELL_EVERY_S) >= TELL_EVERY_S:
            room = os.fstatvfs(root)
            used = (room.f_blocks - room.f_bfree) * room.f_frsize
            self._freed_bytes = max(self._freed_bytes, self._used_bytes - used)
            self._tell(Work(order_id=self._order.id, state=WorkState.RUNNING))
        is_recent = now - self._live.read_at < LOOK_EVERY_S
        if is_recent and self._files - self._looked_at_files < LOOK_EVERY_ENTRIES:
            return
        halted = ""
        while (found := self._objection(root)) is not None:
            if not isinstance(found, Wait) or found.until != "api":
                raise _Concluded(found, begun=True)
            if found.reason != halted:
                halted = found.reason
                self._tell(self._running(found))
            self._sleep(HALT_S)
        self._looked_at_files = self._files

    def _objection(self, root: int) -> guards.Objection | None:
        self._live = self._link.live(lean=True)
        try:
            facts = folder.look_at_disk(root, self._path, self._rules)
        except folder.Absent as error:
            facts = folder.absent(error, self._rules)
        found = guards.objection(self._case(facts, None), When.ALWAYS)
        if found is None and not self._is_good():
            return Wait("ApiUnreadable", "what was read of the API is too old", "api")
        return found

    def _tell(self, work: Work) -> None:
        self._told_at = kernel.boottime()
        self._link.tell(self._measured(work, begun=True))

    # --- the last word -----------------------------------------------------------------------------

    def _running(self, wait: Wait) -> Work:
        return Work(
            order_id=self._order.id, state=WorkState.RUNNING, reason=wait.reason, message=wait.message
        )

    def _measured(self, work: Work, *, begun: bool) -> Work:
        return msgspec.structs.replace(
            work,
            begun=begun,
            done_files=self._files,
            done_bytes=self._freed_bytes,
            total_bytes=self._used_bytes if begun else 0,
            attempt=self._order.attempt,
            at=_now(),
        )

    def _ended(self, conclusion: Conclusion, *, begun: bool, facts: Facts | None = None) -> Ended:
        ended = self._told(facts)
        if isinstance(conclusion, Dropped):
            return msgspec.structs.replace(ended, dropped=True)
        if isinstance(conclusion, Wait):
            work = self._measured(self._running(conclusion), begun=begun)
            return msgspec.structs.replace(ended, work=work, until=conclusion.until, pids=conclusion.pids)
        if isinstance(conclusion, Refuse):
            work = Work(order_id=self._order.id, state=WorkState.REFUSED)
            work = msgspec.structs.replace(work, reason=conclusion.reason, message=conclusion.message)
        else:
            self._freed_bytes = self._used_bytes if begun else 0
            work = Work(order_id=self._order.id, state=WorkState.DONE)
        return msgspec.structs.replace(ended, work=self._measured(work, begun=begun))

    def _failed(self, reason: str, message: str) -> Ended:
        work = Work(order_id=self._order.id, state=WorkState.FAILED, reason=reason, message=message)
        work = self._measured(work, begun=self._known_as_begun())
        return msgspec.structs.replace(self._told(None), work=work)

    def _told(self, facts: Facts | None) -> Ended:
        """The disk as it is now. Who uses it is what the last whole look found: what was made since is not
        known to anybody yet."""
        if facts is not None:
            return Ended(seen_at=kernel.boottime(), facts=facts)
        ended = observe.told(self._path, self._rules, folder.look_inside)
        if self._seen is None:
            return ended
        users, unknown = self._seen.users, self._seen.users_unknown
        seen = msgspec.structs.replace(ended.facts, users=users, users_unknown=unknown)
        return msgspec.structs.replace(ended, facts=seen)


def _now() -> str:
    return format_instant(Instant(time.time()))
