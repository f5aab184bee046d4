"""What carrying out an order takes on any kind of disk: reading, looking, telling, and the last word.

A reading of the API, or a look at the disk, is good for LIVE_FOR_S seconds of CLOCK_BOOTTIME, so that a
process that was frozen does not wake up with an old permission in hand. The API is asked first, and the disk
looked at while it answers: neither reading says anything about the other, and what is acted on is both.
"""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable

import msgspec

from disk_daemon import audit, guards, journal, kernel, observe, shown, step
from disk_daemon.facts import folder
from disk_daemon.guards import When
from disk_daemon.jobs import Ended, Job, Link
from disk_daemon.known import Broken, Case, Entry, Facts, Journal, Live
from disk_daemon.verdict import AlreadyDone, DeviceVerdict, Dropped, Refuse, Wait
from disk_daemon.wipe.files import ForeignMount, Tick
from tidb_volume.audit import AuditLine, What
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import Order, Presence, Work, WorkState

LIVE_FOR_S = 5.0
READINGS = 3
LOOK_EVERY_S = 2.0
TELL_FIRST_S, TELL_EVERY_S = 1.0, 2.0
"""What is done within a second is told once: a word in between has the last one wait for its answer."""
PATIENCE_S = 2.0
"""How long a child stays for a PersistentVolume that is about to go; after that the parent waits instead."""
HALT_S = 1.0

Conclusion = Refuse | Wait | Dropped | AlreadyDone


class Concluded(Exception):  # noqa: N818 - the end of the work, good or bad
    """The work ends here, with a word that is no error of the system."""

    def __init__(self, conclusion: Conclusion, *, begun: bool) -> None:
        super().__init__(str(conclusion))
        self.conclusion = conclusion
        self.begun = begun


def known_as_begun(state: str, job: Job) -> bool:
    """For a disk that cannot be locked or seen: what the node's journal says of the one that the order means.
    state: the daemon's folder."""
    order = job.order
    if order is None or order.identity is None:
        return False
    case = Case(
        order=order,
        volume=job.volume,
        uid=job.uid,
        live=Live(read_at=0.0, error="not read"),
        disk=Facts(presence=Presence.NOT_PRESENT),
        journal=journal.load(state, order.identity),
        device=bool(job.source.device),
    )
    return case.begun


class Carrier:
    """One order at work. Who inherits says how the disk is opened, locked and looked at, and what is done.

    tick: called before each change, for tests. sleep: seconds.
    """

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
        self._live = Live(read_at=0.0, error="not read yet")
        self._began_at = kernel.boottime()
        self._told_at = 0.0
        self._begun = False
        self._files = 0
        self._used_bytes = self._done_bytes = 0
        self._seen: Facts | None = None
        """The last look at everything, users too."""
        self.does = "files"
        """The method that is carried out, as the record has it: what was ordered may have left a choice."""
        self._unrecorded = ""
        """Why something of this attempt could not be put on record, for people."""
        self.on_record_since = ""
        """When the record has it that this attempt began to delete."""
        self._seen_at = 0.0
        """CLOCK_BOOTTIME before the disk was last looked at."""

    def _work(self) -> Ended:
        """Open, lock, decide, do. Raises what `run` catches."""
        raise NotImplementedError

    def _look(self, *, whole: bool) -> Facts:
        """The disk as it is now; `whole`: with who uses it. Raises Absent, OSError."""
        raise NotImplementedError

    def _look_at_hardware(self) -> Facts:
        """Whether it is still there and the same; its content is not looked at. Raises Absent, OSError."""
        raise NotImplementedError

    def _decide(self, case: Case) -> DeviceVerdict:
        raise NotImplementedError

    def run(self) -> Ended:
        """Carry out the order as far as it goes now."""
        ended = self._carried_out()
        # What was done in a device's file system says both of itself.
        method, unrecorded = ended.method or self.does, ended.unrecorded or self._unrecorded
        return msgspec.structs.replace(ended, method=method, unrecorded=unrecorded)

    def _carried_out(self) -> Ended:
        try:
            return self._work()
        except folder.Absent as error:
            facts = folder.absent(error, self._rules)
            concluded = guards.disk_is_there(self._case(facts, None))
            assert isinstance(concluded, Refuse | Wait)
            return self._ended(concluded, begun=self._known_as_begun(), facts=facts)
        except Concluded as end:
            return self._ended(end.conclusion, begun=end.begun)
        except ForeignMount as error:
            return self._failed("ForeignMount", str(error))
        except OSError as error:
            return self._failed(errno.errorcode.get(error.errno or 0, "OSError"), shown.said(error))

    # --- reading and looking -----------------------------------------------------------------------

    def _settled(self) -> Case:
        """The case to decide, once nothing in it goes away by itself within a moment."""
        pause, waited = 0.01, 0.0
        while True:
            case = self._fresh_case()
            verdict = self._decide(case)
            if not (isinstance(verdict, Wait) and verdict.reason == "PvTerminating") or waited >= PATIENCE_S:
                return case
            self._sleep(pause)
            waited, pause = waited + pause, min(1.0, pause * 2)

    def _fresh_case(self) -> Case:
        """Disk and API, both read now and at the same time, and both readings still good afterwards."""
        for _ in range(READINGS):
            self._seen_at = kernel.boottime()
            answer = self._link.ask(lean=False)
            try:
                self._seen = facts = self._look(whole=True)
            finally:
                self._live = answer()
            if self._is_good():
                break
        else:
            self._live = Live(read_at=0.0, error="it answers too slowly")
        return self._case(facts, self._entry(facts))

    def _is_good(self) -> bool:
        """Whether what was last read of the API and seen of the disk may be acted on."""
        return kernel.boottime() - min(self._live.read_at, self._seen_at) <= LIVE_FOR_S

    def _entry(self, facts: Facts) -> Journal:
        return journal.load(self._rules.state, facts.identity) if facts.identity is not None else None

    def _case(self, facts: Facts, known: Journal) -> Case:
        return Case(
            order=self._order,
            volume=self._job.volume,
            uid=self._job.uid,
            live=self._live,
            disk=facts,
            journal=known,
            device=bool(self._job.source.device),
        )

    def _known_as_begun(self) -> bool:
        return self._begun or known_as_begun(self._rules.state, self._job)

    def _withdrawn(self, case: Case) -> Refuse:
        """Journal that the order was withdrawn; only then may anybody be told. What was put aside is back."""
        facts = self._at_work()
        assert facts.identity is not None
        given = not self._begun and guards.is_asked_back(case)
        shown = case.order.ends in case.disk.tenancies
        # What was put aside is in its place again by now.
        at_root = given and not case.device and self._look(whole=False).is_others_alone
        entry = self._known(facts)
        back = journal.taken_back(
            entry, facts.identity, self._order, restore=given, shown=shown, at_root=at_root
        )
        self._store(back)
        return Refuse("Withdrawn", "the order was withdrawn; no byte is gone")

    def _stop_if_withdrawn(self, case: Case, put_back: Callable[[], None]) -> None:
        """While no byte is gone, an order that was taken back ends here, with all as it was before it."""
        if not self._begun and guards.order_is_current(case) is None and step.is_withdrawn(case):
            put_back()
            raise Concluded(self._withdrawn(case), begun=False)

    # --- the journal -------------------------------------------------------------------------------

    def _known(self, facts: Facts) -> Entry | None:
        """The record of the disk at work. OSError where it can't be read: nothing may stand on that."""
        entry = self._entry(facts)
        if isinstance(entry, Broken):
            raise OSError(errno.EIO, entry.why)
        return entry

    def _store(self, entry: Entry) -> None:
        self._tick("journal")
        journal.store(
            self._rules.state,
            msgspec.structs.replace(entry, source=str(self._job.source), volume=self._job.volume),
        )

    def _at_work(self) -> Facts:
        """The disk that the record is of."""
        return self._look_at_hardware()

    def _note(self, *, begun: bool, over: str = "") -> None:
        facts = self._at_work()
        assert facts.identity is not None
        entry = self._known(facts)
        if begun:
            self._on_record("begun", facts)
        aside = [each.order for each in (self._seen or facts).trash]
        noted = journal.noted(
            entry, facts.identity, self._order, begun=begun, at=now(), over=over, aside=aside
        )
        self._store(noted)
        self._begun = begun

    def _journal_done(self) -> None:
        facts = self._at_work()
        assert facts.identity is not None
        entry = self._known(facts)
        self._on_record("done", facts)
        self._store(journal.finished(entry, facts.identity, self._order, at=now()))

    def _on_record(self, what: What, facts: Facts, *, reason: str = "", message: str = "") -> None:
        """Add to the node's record, before the journal says the same: a crash in between makes a line twice,
        and loses none. The journal is synced after the start of a wipe, so that its line needs no sync of
        its own. Raises OSError."""
        is_start = what == "begun"
        if not audit.belongs(self._order, what) or (is_start and self.on_record_since):
            return
        at = now()
        if is_start:
            self.on_record_since = at
        line = self._line(what, facts, at=at, method=self.does, reason=reason, message=message)
        self._append(line, synced=not is_start)

    def _append(self, line: AuditLine, *, synced: bool = True) -> None:
        try:
            audit.append(self._rules.state, line, synced=synced)
        except OSError as error:
            self._unrecorded = shown.said(error)
            raise

    def _line(
        self, what: What, facts: Facts, *, at: str, method: str, reason: str = "", message: str = ""
    ) -> AuditLine:
        return audit.line_of(
            what,
            self._job,
            self._order,
            self._live.volume,
            facts,
            method=method,
            at=at,
            begun_at=self.on_record_since,
            bytes_gone=self._begun,
            done_bytes=self._done_bytes,
            done_files=self._files,
            reason=reason,
            message=message,
        )

    def _cut_on_record(self, case: Case) -> None:
        """What became of an attempt before this one whose process was killed, or went down with the machine:
        nobody else can tell. What this one does is judged without it, so that it goes on where that fails."""
        entry = case.journal
        if self.on_record_since or not isinstance(entry, Entry) or entry.order is None:
            return
        with contextlib.suppress(OSError):
            last = audit.last_of(self._rules.state, entry.order.id)
            today = self._line("cut", case.disk, at=now(), method="")
            line = audit.cut_of(last, entry.order, today, self._job.interrupted)
            if line is not None:
                self._append(line)

    def _stop_on_record(self, ended: Ended, reason: str, message: str) -> None:
        """What was begun stops here, and waits or is somebody else's."""
        if self.on_record_since:
            with contextlib.suppress(OSError):
                self._on_record("cut", ended.facts, reason=reason, message=message)

    def _end_on_record(self, ended: Ended) -> None:
        """What became of an order that was not done. The answer is more than its record: it is given in any
        case."""
        work = ended.work
        if work is None or work.state not in (WorkState.REFUSED, WorkState.FAILED):
            return
        what: What = "failed" if work.state is WorkState.FAILED else "refused"
        if work.reason == "Withdrawn":
            what = "withdrawn"
        with contextlib.suppress(OSError):
            self._on_record(what, ended.facts, reason=work.reason, message=work.message)

    # --- between two pieces of work ----------------------------------------------------------------

    def _tell_if_due(self, measure: Callable[[], None]) -> None:
        """Say how far it is, every so often. measure: brings the figures up to date."""
        if (
            kernel.boottime() - max(self._told_at, self._began_at + TELL_FIRST_S - TELL_EVERY_S)
            >= TELL_EVERY_S
        ):
            measure()
            self._tell(Work(order_id=self._order.id, state=WorkState.RUNNING))

    def _look_around(self) -> None:
        """Is the order still current, the disk still this one, and the stop button not pressed? While it is,
        the work halts here, with the lock held."""
        halted = ""
        while (found := self._objection()) is not None:
            if not isinstance(found, Wait) or found.until != "api":
                raise Concluded(found, begun=self._begun)
            if found.reason != halted:
                halted = found.reason
                self._tell(self._running(found))
            self._sleep(HALT_S)

    def _objection(self) -> guards.Objection | None:
        self._live = self._link.ask(lean=True)()
        self._seen_at = kernel.boottime()
        try:
            facts = self._look_at_hardware()
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
            done_bytes=self._done_bytes,
            total_bytes=self._used_bytes if begun else 0,
            attempt=self._order.attempt,
            at=now(),
        )

    def _ended(self, conclusion: Conclusion, *, begun: bool, facts: Facts | None = None) -> Ended:
        ended = self._told(facts)
        if isinstance(conclusion, Dropped):
            self._stop_on_record(ended, "Dropped", "the order is not the current one any more")
            return msgspec.structs.replace(ended, dropped=True)
        if isinstance(conclusion, Wait):
            self._stop_on_record(ended, conclusion.reason, conclusion.message)
            work = self._measured(self._running(conclusion), begun=begun)
            return msgspec.structs.replace(ended, work=work, until=conclusion.until, pids=conclusion.pids)
        if isinstance(conclusion, Refuse):
            work = Work(order_id=self._order.id, state=WorkState.REFUSED)
            work = msgspec.structs.replace(work, reason=conclusion.reason, message=conclusion.message)
        else:
            self._done_bytes = self._used_bytes if begun else 0
            work = Work(order_id=self._order.id, state=WorkState.DONE)
        ended = msgspec.structs.replace(ended, work=self._measured(work, begun=begun))
        self._end_on_record(ended)
        return ended

    def _failed(self, reason: str, message: str) -> Ended:
        work = Work(order_id=self._order.id, state=WorkState.FAILED, reason=reason, message=message)
        work = self._measured(work, begun=self._known_as_begun())
        ended = msgspec.structs.replace(self._told(None), work=work)
        self._end_on_record(ended)
        return ended

    def _told(self, facts: Facts | None) -> Ended:
        """The disk as it is now. Who uses it is what the last whole look found: what was made since is not
        known to anybody yet."""
        if facts is not None:
            return Ended(seen_at=kernel.boottime(), facts=facts)
        ended = observe.told(self._look_or_say, self._rules)
        if self._seen is None or ended.facts.raw is not None:
            return ended
        users, unknown = self._seen.users, self._seen.users_unknown
        seen = msgspec.structs.replace(ended.facts, users=users, users_unknown=unknown)
        return msgspec.structs.replace(ended, facts=seen)

    def _look_or_say(self) -> Facts:
        """The disk at the end, whatever has become of it."""
        raise NotImplementedError


def now() -> str:
    """The wall clock, as it is written to the API."""
    return format_instant(Instant(time.time()))
