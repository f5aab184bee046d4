"""The main loop's half of the daemon: which disks there are, who works on which, and what is told of them.

Everything that happens comes in as a call in one thread: a volume changed, a mount table changed, a child
said something, a request was answered, time is up. Each ends in `_consider`, which looks at one volume's
state and does the next thing. Who decides about data is `step.py`, in the child; here is only the traffic.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from itertools import count
from typing import Any, Protocol

import msgspec

from disk_daemon import kernel, minded, news
from disk_daemon.children import NEVER, Child, Children
from disk_daemon.facts import mounts
from disk_daemon.jobs import (
    INTERRUPTED,
    Ask,
    Crashed,
    Ended,
    Hangs,
    Job,
    Message,
    Mounted,
    Recalled,
    Surveyed,
    Tell,
)
from disk_daemon.known import Facts, Live
from disk_daemon.loop import READ
from disk_daemon.minded import Minded
from disk_daemon.tally import Tally
from disk_daemon.telling import SURVEY_WAIT_S, Api, Teller, claim_of, reports
from tidb_volume.obs.log import Log
from tidb_volume.value import Presence, Source, Volume, VolumeMode, Work, WorkState

WIPES_AT_ONCE = 2
LOOK_PATIENCE_S = 10.0
ORDER_PATIENCE_S = 300.0
"""A child at work on an order speaks at least every 2 s; but one unlink of a huge file, or a sync on a slow
disk, is a single system call and may take minutes."""
MOUNT_PATIENCE_S = 300.0
"""A file system that was not unmounted reads its log first."""
BEGIN_PATIENCE_S = 30.0
"""So long the API waits for mounts at the start; disks that take longer are mounted beside it."""
SURVEY_EVERY_S = 60.0
SURVEY_SOON_S = 0.1
"""After a disk has come or gone: a machine's come and go together."""
SURVEY_PAUSE_S = 2.0
"""Between two surveys for that: a bad cable makes a disk come and go without end."""

_log = Log(__name__)


class Watch(Protocol):
    """What the keeper asks of the loop: descriptors."""

    def add(self, descriptor: int, events: int, callback: Callable[[], object]) -> None:
        """See `loop.Loop.add`."""
        ...

    def remove(self, descriptor: int) -> None:
        """See `loop.Loop.remove`."""
        ...


class Keeper:
    """All disks of this node. clock: seconds that only grow; mount_table: the host's, as it is now."""

    def __init__(
        self,
        api: Api,
        watch: Watch,
        *,
        clock: Callable[[], float],
        mount_table: Callable[[], bytes],
        version: str,
    ) -> None:
        self._api, self._watch, self._clock, self._mount_table = api, watch, clock, mount_table
        self._teller = Teller(
            api,
            clock,
            version,
            look=lambda known: self._start(known, "observe", LOOK_PATIENCE_S),
            told=self._was_told,
            survey_in=self._survey_in,
            settled=self._is_surveyed,
        )
        self._children: Children | None = None
        self._minded: dict[str, Minded] = {}
        self._by_job: dict[int, str] = {}
        self._ids = count(1)
        self._mounts: dict[str, list[bytes]] = {}
        self._survey_at = 0.0
        self._surveyed_at = -SURVEY_PAUSE_S
        self._surveyor: Child | None = None
        self._recalling: dict[int, Child] = {}
        """At the start: children that read the journal or mount what it has, by job."""
        self._begun: Callable[[], object] | None = None
        self._begin_until = NEVER
        self.tally = Tally()

    def use(self, children: Children) -> None:
        """The children to work with; to be called once, before the loop runs."""
        self._children = children

    @property
    def volumes(self) -> tuple[Minded, ...]:
        """What is in mind of every volume, for metrics and health."""
        return tuple(self._minded.values())

    # --- the start --------------------------------------------------------------------------------------

    def begin(self, then: Callable[[], object]) -> None:
        """Mount what the journal has as ours, then call `then`: pods need their disks, and no API."""
        self._begun, self._begin_until = then, self._clock() + BEGIN_PATIENCE_S
        job = Job(id=next(self._ids), kind="recall")
        self._recalling[job.id] = self._spawn(job, LOOK_PATIENCE_S)

    def _recalled(self, disks: tuple[tuple[str, str, VolumeMode], ...]) -> None:
        for volume, device, mode in disks:
            source = Source(device=device)
            job = Job(id=next(self._ids), kind="mount", volume=volume, source=source, volume_mode=mode)
            self._recalling[job.id] = self._spawn(job, MOUNT_PATIENCE_S)

    def _has_begun(self) -> None:
        if self._begun is not None:
            then, self._begun, self._begin_until = self._begun, None, NEVER
            then()

    def _is_recalling(self, known: Minded) -> bool:
        """A disk has one child at a time, also one from before its volume was known. One that was ended and
        hangs in the kernel does not come back: who looks at the disk then finds it, and tells of it."""
        every = self._recalling.values()
        return any(child.job.volume == known.name and not child.was_killed for child in every)

    # --- what happens -----------------------------------------------------------------------------------

    def volume_changed(self, volume: Volume) -> None:
        """A TidbVolume of this node is there, or is another than before."""
        known = self._minded.get(volume.metadata.name)
        if known is None or known.uid != volume.metadata.uid:
            self._forget(volume.metadata.name)
            known = Minded(
                volume,
                since=kernel.boottime(),
                written=volume.status.disk,
                written_work=volume.status.work,
                report_at=self._clock() + SURVEY_WAIT_S,
            )
            self._minded[known.name] = known
            # Nothing is offered before the survey shows its disk; the object with it may have been deleted.
            self._teller.survey_again()
        else:
            before, known.volume = known.volume, volume
            if news.bears_on_order(before) != news.bears_on_order(volume):
                minded.woken(known)
            if news.asks_for_look(before, volume) or (
                news.is_let_go(before, volume) and minded.is_in_use(known)
            ):
                known.observe_at = 0.0
            if news.waits_for_survey(volume) and not news.waits_for_survey(before):
                self._teller.survey_again()
            if not known.writing:
                known.written, known.written_work = volume.status.disk, volume.status.work
            if news.who_has_it(before) != news.who_has_it(volume):
                self._report_all()
        order = volume.spec.order
        if known.work is not None and (order is None or known.work.order_id != order.id):
            known.work = known.written_work = None
            minded.woken(known)
        if order is None or known.answered[0] != order.id:
            known.answered = (
                "",
                False,
            )  # it may come again without its answer, from an etcd that is set back
        self._consider(known)

    def volume_gone(self, name: str) -> None:
        """A TidbVolume was deleted: its disk is nobody's business any more, or that of one it was in conflict
        with."""
        self._forget(name)
        self._report_all()
        self._reconsider()

    def mounts_changed(self) -> None:
        """The host's mount table is another than before."""
        table = self._mount_table()
        for known in self._minded.values():
            device = known.ended.facts.device if known.ended else ""
            lines = mounts.concerning(table, known.volume.spec.source.path, device)
            if self._mounts.get(known.name) == lines:
                continue
            self._mounts[known.name] = lines
            known.observe_at = 0.0
            if known.waits_until == "mounts":
                minded.woken(known)
        self._survey_in(1.0)
        self._reconsider()

    def disks_moved(self) -> None:
        """A disk has come or gone: a device node may lead to another one by now. Where no volume has one the
        next survey is soon enough: other people's network disks come and go all day."""
        if not any(map(minded.has_a_node, self._minded.values())):
            return
        self._survey_in(max(SURVEY_SOON_S, self._surveyed_at + SURVEY_PAUSE_S - self._clock()))

    def said(self, child: Child, message: Message) -> None:
        """A child said something."""
        child.heard(self._clock())
        known = self._minded.get(self._by_job.get(child.job.id, ""))
        match message:
            case Ask():
                tenancies = minded.tenancies(known, child.job.order)
                volume, lean = message.volume or child.job.volume, message.lean
                self._api.live(volume, tenancies, lean, lambda live: self._answer(child, live))
            case Surveyed():
                self._teller.surveyed(message)
            case Recalled():
                self._recalled(message.disks)
            case Mounted():
                self._mount_tried(known, child, message)
            case Tell() if known is not None:
                self._told(known, message.work)
            case Ended() if known is not None:
                self._ended(known, child, message)
            case Hangs() if known is not None:
                self._hangs(known, child, message)
            case Hangs():
                _log.warning("mount", volume=child.job.volume, said=message.said)
            case Crashed():
                child.last_words = message.said

    def exited(self, child: Child, status: int) -> None:
        """A child is gone, after all that it said."""
        self._watch.remove(child.line.fileno())
        if child.job.kind == "survey":
            self._surveyor = None
            return
        if self._recalling.pop(child.job.id, None) is not None:
            if not self._recalling:
                self._has_begun()
            self._reconsider()
            return
        known = self._minded.get(self._by_job.pop(child.job.id, ""))
        if known is None or known.child is not child:
            self._reconsider()  # another disk may have waited for its turn
            return
        known.child = None
        if child.job.kind == "mount":
            known.mount_at = self._clock() + minded.MOUNT_EVERY_S
            known.observe_at = 0.0
        if status != 0:
            self._crashed(known, child, status)
        self._reconsider()

    def next_at(self) -> float:
        """When `on_time` should be called."""
        now = self._clock()
        child = self._surveyor
        survey = self._survey_at if child is None else child.due_at()
        recall = [each.due_at() for each in self._recalling.values()]
        return min(
            [
                survey,
                self._begin_until,
                *recall,
                *(
                    minded.due_at(known, now)
                    for known in self._minded.values()
                    if not self._is_recalling(known)
                ),
            ]
        )

    def on_time(self) -> None:
        """Something is due."""
        now = self._clock()
        for known in self._minded.values():
            child = known.child
            if child is not None and not child.was_killed and child.is_overdue(now):
                self._stuck(known, child)
            elif child is not None and child.is_silent(now):
                self._silent(known, child)
        for child in tuple(self._recalling.values()):
            if child.is_overdue(now) and not child.was_killed:
                self._kill(child)
        if self._begin_until <= now:
            self._has_begun()
        if self._surveyor is None and self._survey_at <= now:
            self._surveyed_at = now
            self._survey_at = now + SURVEY_EVERY_S
            self._surveyor = self._spawn(Job(id=next(self._ids), kind="survey"), LOOK_PATIENCE_S)
        elif self._surveyor is not None and self._surveyor.is_overdue(now) and not self._surveyor.was_killed:
            self._kill(self._surveyor)
        self._reconsider()

    # --- the next thing to do -------------------------------------------------------------------------

    def _reconsider(self) -> None:
        for known in tuple(self._minded.values()):
            self._consider(known)

    def _consider(self, known: Minded) -> None:
        now = self._clock()
        if self._is_recalling(known):
            return
        match minded.next_job(known, now, free_slot=len(self._being_wiped()) < WIPES_AT_ONCE):
            case "order":
                # What it waited for stays in mind: if it waits for that again, the pause grows.
                self._let_go(known)
                self._start(known, "order", ORDER_PATIENCE_S)
            case "observe":
                self._start(known, "observe", LOOK_PATIENCE_S)
            case "mount":
                self._start(known, "mount", MOUNT_PATIENCE_S)
            case "queue":
                lasts = known.waits_until == "queue"
                minded.wait(known, "queue", now)
                if lasts:
                    said = f"this node's wipes are at work on {', '.join(self._being_wiped())}"
                    self._told(known, self._work(known, WorkState.RUNNING, "Queued", said))
        self._teller.write(known)

    def _being_wiped(self) -> list[str]:
        """The volumes of children that may wipe, also of one that is gone by now. A child that was ended and
        hangs in the kernel writes nothing any more, and holds up no other disk."""
        assert self._children is not None
        every = [each.job for each in self._children.all if each.job.order and not each.was_killed]
        return sorted(job.volume for job in every if job.order is not None and minded.is_wipe(job.order))

    def _start(self, known: Minded, kind: Any, patience_s: float) -> None:
        order = known.volume.spec.order if kind == "order" else None
        spec = known.volume.spec
        job = Job(
            id=next(self._ids),
            kind=kind,
            volume=known.name,
            uid=known.uid,
            source=spec.source,
            volume_mode=spec.volume_mode,
            fs_type=spec.fs_type,
            mount_options=spec.mount_options,
            order=order,
            tenancy=known.volume.status.tenancy,
            claim_uid=claim_of(known.volume),
            interrupted=minded.interrupted(known) if kind == "order" else "",
        )
        if kind == "observe":
            known.observe_at = self._clock() + minded.OBSERVE_EVERY_S
        self._by_job[job.id] = known.name
        known.changed = False
        known.child = self._spawn(job, patience_s)

    def _spawn(self, job: Job, patience_s: float) -> Child:
        assert self._children is not None
        children = self._children
        child = children.spawn(job, self._clock(), patience_s)

        def readable() -> None:
            if not children.hear(child):
                self._watch.remove(child.line.fileno())

        self._watch.add(child.line.fileno(), READ, readable)
        return child

    def _answer(self, child: Child, live: Live | Exception) -> None:
        if isinstance(live, Exception):
            live = Live(read_at=kernel.boottime(), error=f"{type(live).__name__}: {live}")
        if child.line.fileno() >= 0:
            child.answer(live)

    # --- what children find ------------------------------------------------------------------------------

    def _told(self, known: Minded, work: Work) -> None:
        known.work = work
        self._teller.write(known)

    def _ended(self, known: Minded, child: Child, ended: Ended) -> None:
        known.ended, known.crash_pause_s = ended, 0.0
        if not minded.is_mountable(known):
            known.not_mounted = ""
        known.observe_at = self._clock() + minded.OBSERVE_EVERY_S
        if ended.unrecorded:
            self.tally.unrecorded += 1
            _log.error("not put on record", volume=known.name, why=ended.unrecorded)
        if child.job.order is not None:
            self._concluded(known, child, ended, ended.work)
        self._report_all()

    def _mount_tried(self, known: Minded | None, child: Child, tried: Mounted) -> None:
        """A mount that is in vain is tried again for ever: why is told once, of the disk itself."""
        said = "" if tried.ok else tried.said
        if tried.ok or known is None or known.not_mounted != said:
            say = _log.info if tried.ok else _log.warning
            say("mount", volume=child.job.volume, device=child.job.source.device, said=tried.said)
        if known is not None and not tried.passing:
            known.not_mounted = said
            self._report_all()

    def _concluded(self, known: Minded, child: Child, ended: Ended, work: Work | None) -> None:
        assert child.job.order is not None
        current = known.volume.spec.order
        if current is None or current.id != child.job.order.id:
            return
        if work is None:
            # The server has another order by now. The watch will bring it, unless an etcd that is set back
            # brings this one again.
            minded.found_waiting(known, "api", self._clock())
            return
        if work.reason == "NotCommitted":
            # Nothing is said of it: to the controller an order without an answer can be taken back.
            minded.found_waiting(known, "volume", self._clock())
            return
        if ended.until:
            minded.found_waiting(known, ended.until, self._clock())  # type: ignore[arg-type]
            self._follow(known, ended.pids)
        else:
            known.answered = (current.id, child.job.order.withdrawn)
            if work.state is WorkState.DONE:
                self._teller.survey_again()  # what it made is offered once the survey shows its disk
            self.tally.answered(child.job.order, work, ended)
        known.work = work
        fields = {"volume": known.name, "order": work.order_id, "state": work.state.value}
        fields |= {"reason": work.reason, "message": work.message, "files": str(work.done_files)}
        _log.info("order", **{name: field for name, field in fields.items() if field})

    def _follow(self, known: Minded, pids: tuple[int, ...]) -> None:
        """A namespace that only its processes keep says nothing when it goes; its processes' ends do."""
        for pid in pids:
            with contextlib.suppress(OSError):
                descriptor = os.pidfd_open(pid)
                known.holders = (*known.holders, descriptor)

                def ended() -> None:
                    minded.woken(known)
                    self._let_go(known)
                    known.observe_at = 0.0
                    self._consider(known)

                self._watch.add(descriptor, READ, ended)

    def _let_go(self, known: Minded) -> None:
        for descriptor in known.holders:
            self._watch.remove(descriptor)
            os.close(descriptor)
        known.holders = ()

    def _crashed(self, known: Minded, child: Child, status: int) -> None:
        said, now = f"its process ended {child.ended_how(status)}; it is tried again", self._clock()
        match child.job.kind:
            case "mount" if not child.was_killed:
                self._mount_tried(known, child, Mounted(ok=False, said=said))
            case "observe" if child.was_killed:  # that it gave no answer is told
                known.observe_at = now + minded.FIRST_RETRY_S["crash"]
            case "observe":
                again = known.crash_pause_s > 0  # one may have been ended by hand, or for memory
                minded.crashed(known, now)
                if again:
                    self._unanswered(known, f"it cannot be looked at: {said}", Presence.HINDERED)
                    self._report_all()
            case "order":
                self.tally.interrupted += 1
                minded.wait(known, "crash", now)
                self._told(known, self._work(known, WorkState.RUNNING, INTERRUPTED, said))

    def _kill(self, child: Child) -> None:
        assert self._children is not None
        self._children.kill(child)

    def _stuck(self, known: Minded, child: Child) -> None:
        self._kill(child)
        seconds = round(child.patience_s)
        _log.warning("disk does not answer", volume=known.name, job=child.job.kind, seconds=seconds)
        self._unanswered(known, f"no answer for {seconds} s; its process was ended, or hangs in the kernel")
        self._report_all()

    def _silent(self, known: Minded, child: Child) -> None:
        """A wipe that says nothing for minutes is what somebody looks at in the night."""
        child.silence_told = True
        seconds, until = round(self._clock() - child.heard_at), round(child.patience_s)
        said = f"its process has said nothing for {seconds} s: one long system call, or its disk hangs;"
        said = f"{said} after {until} s it is ended"
        work, before = self._work(known, WorkState.RUNNING, "Silent", said), known.work
        if before is not None and before.state is WorkState.RUNNING:
            work = msgspec.structs.replace(before, reason=work.reason, message=work.message)
        self._told(known, work)

    def _hangs(self, known: Minded, child: Child, found: Hangs) -> None:
        """An earlier process hangs at the disk, one of another daemon's perhaps; its end is waited for."""
        now = self._clock()
        known.observe_at = now + minded.OBSERVE_EVERY_S
        self._unanswered(known, found.said)
        self._let_go(known)
        if child.job.order is not None:
            minded.wait(known, "lock", now)
            known.retry_at = now + minded.LONGEST_RETRY_S
            work = self._work(known, WorkState.RUNNING, "Locked", found.said)
            known.work = msgspec.structs.replace(work, begun=work.begun or found.begun)
        self._follow(known, found.pids)
        self._report_all()

    def _unanswered(self, known: Minded, said: str, presence: Presence = Presence.STUCK) -> None:
        """The disk is as it was seen last, but does not answer."""
        before = known.ended or Ended(seen_at=0.0, facts=Facts(presence=presence))
        facts = msgspec.structs.replace(before.facts, presence=presence, message=said)
        known.ended = msgspec.structs.replace(before, facts=facts, seen_at=kernel.boottime())

    def _work(self, known: Minded, state: WorkState, reason: str, message: str) -> Work:
        """A word of the parent's own. What a child or an earlier daemon said to be begun stays so."""
        order = known.volume.spec.order
        order_id = order.id if order else ""
        said = [each for each in (known.work, known.volume.status.work) if each and each.order_id == order_id]
        taken = known.ended.record.order if known.ended else None
        begun = any(each.begun for each in said) or (
            taken is not None and order is not None and taken.begun and taken.ends == order.ends
        )
        return Work(order_id=order_id, state=state, reason=reason, message=message, begun=begun)

    # --- what is told --------------------------------------------------------------------------------------

    def _report_all(self) -> None:
        for name, told in reports(self._minded.values(), self._teller.survey_for).items():
            self._minded[name].report = told
            self._teller.write(self._minded[name])

    def _was_told(self, known: Minded) -> None:
        if self._minded.get(known.name) is known:
            self._consider(known)

    def _is_surveyed(self) -> None:
        for known in self._minded.values():
            if self._teller.survey_for(known):
                known.report_at = 0.0
        self._report_all()

    def _survey_in(self, seconds: float) -> None:
        self._survey_at = min(self._survey_at, self._clock() + seconds)

    def _forget(self, name: str) -> None:
        known = self._minded.pop(name, None)
        self._mounts.pop(name, None)
        if known is not None:
            self._let_go(known)
