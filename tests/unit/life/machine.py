"""One machine in memory: disks with somebody's data on them, a journal, and daemons that obey orders.

What a daemon decides is not modelled: `disk_daemon.step.decide` and its guards decide here too, on facts and
on a journal of the real types. Only the moves are carried out on sets instead of folders. A child process is
a generator that stops before each change, so whoever runs it can cut it, freeze it, or let another come in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

import msgspec

from disk_daemon import claims, guards, journal, minded, observe, report
from disk_daemon.guards import When
from disk_daemon.jobs import Job
from disk_daemon.known import Broken, Case, Entry, Facts, Journal, Live, Trash, User
from disk_daemon.minded import Minded
from disk_daemon.step import decide, is_of_this_wipe
from disk_daemon.verdict import (
    AlreadyDone,
    Aside,
    AsideAll,
    Do,
    Dropped,
    Erase,
    Finish,
    GiveBack,
    Make,
    Note,
    Recheck,
    Refuse,
    Remove,
    Verify,
    Wait,
)
from tests.unit.life.disks import Disk as Disk
from tests.unit.life.disks import Erased as Erased
from tests.unit.life.disks import Item as Item
from tests.unit.life.disks import Mounted as Mounted
from tidb_volume.identity import hardware_key
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import DiskReport, Identity, Order, Presence, Volume, Work, WorkState

change = msgspec.structs.replace
CAPACITY = 1 << 30
LIVE_FOR_S = 5.0


class Machine:
    """One slot for a disk, the node's journals, and the containers that run."""

    def __init__(self, disk: Disk) -> None:
        self.slot: Disk | None = disk
        self.mounted = True
        self.boot = 1
        self.journals: dict[str, Entry | Broken] = {}
        self.running: dict[str, Mounted] = {}
        """By the pod's UID."""
        self.others: tuple[User, ...] = ()
        """Users that are no pod of ours: a process with a mount namespace of its own."""
        self.presence: Presence | None = None
        """Forced by a test: what the daemon says instead of what there is."""
        self.erased: list[Erased] = []
        self.other: Machine | None = None
        """The same machine, seen from another slot: with journals and disks in common."""

    def journal_of(self, identity: Identity) -> Journal:
        """The node's record of this hardware."""
        return self.journals.get(hardware_key(identity))

    def facts(self, disk: Disk | None) -> Facts:
        """What a child sees of an opened disk; one that is no longer in the slot is gone."""
        if self.presence is not None:
            return Facts(presence=self.presence, message="said by a test", boot=str(self.boot))
        if disk is None or disk is not self.slot or not self.mounted:
            return Facts(presence=Presence.NOT_MOUNTED, message="nothing is mounted", boot=str(self.boot))
        empty = len(disk.tenancies) == 1 and not any(disk.tenancies.values())
        users = tuple(
            User(who=f"pod {pod}", root="/" if at.tenancy == disk.rooted else f"/.tidb-volume/{at.tenancy}")
            for pod, at in (*self.running.items(), *(self.other.running.items() if self.other else ()))
            if at.disk is disk
        )
        return Facts(
            everyone=tuple(user for user in users if user.root == "/"),
            everyone_unknown="",
            presence=Presence.OK,
            boot=str(self.boot),
            device="7:1",
            identity=disk.identity,
            capacity_bytes=CAPACITY,
            strays=tuple(sorted(item.what for item in disk.strays)),
            stray_count=len(disk.strays),
            folder=bool(disk.tenancies or disk.trash),
            tenancies=tuple(sorted(disk.tenancies)),
            empty=empty,
            trash=tuple(
                Trash(
                    order=order, entries=tuple(sorted({place.split("/")[0] for place in disk.trash[order]}))
                )
                for order in sorted(disk.trash)
            ),
            users=users + self.others,
        )

    def report(self, recorded: Identity | None, claim_uid: str = "") -> DiskReport:
        """What the daemon tells of the slot."""
        facts = self.facts(self.slot)
        record = observe.recorded(self.journal_of(facts.identity) if facts.identity else None, facts.tenancy)
        return report.disk_report(facts, record, recorded, None, claim_uid=claim_uid)

    def note(self, job: Job) -> None:
        """What an observing child journals: who was seen to have the disk."""
        facts = self.facts(self.slot)
        known = self.journal_of(facts.identity) if facts.identity else None
        found = claims.news(job, facts, known)
        if found is not None and isinstance(known, Entry) and self.slot is not None and not self.slot.lock:
            self.journals[hardware_key(known.identity)] = journal.had(known, *found)

    def reboot(self) -> None:
        """Processes end; disks and journals stay."""
        self.boot += 1
        self.running, self.others = {}, ()
        for disk in [self.slot] if self.slot else []:
            disk.lock = None


class Failed(NamedTuple):
    """What the real one says of an error of the system."""

    reason: str
    message: str


Conclusion = Refuse | Wait | Dropped | AlreadyDone | Failed


class Stop(Exception):  # noqa: N818 - the end of a child's work, good or bad
    """A child has come to a conclusion."""

    def __init__(self, conclusion: Conclusion, *, begun: bool) -> None:
        super().__init__(str(conclusion))
        self.conclusion, self.begun = conclusion, begun


class Child:
    """One child at work on one order. `steps` stops before each change of the disk or the journal."""

    device = False

    def __init__(
        self,
        machine: Machine,
        volume: Volume,
        order: Order,
        live: Callable[[], Live],
        clock: Callable[[], Instant],
        about_to_begin: Callable[[Order, Disk, bool], None],
    ) -> None:
        self._machine, self._volume, self.order = machine, volume, order
        self._read, self._clock, self._about_to_begin = live, clock, about_to_begin
        self._live = Live(read_at=0.0, error="not read yet")
        self._begun = False
        self.work: Work | None = None
        self.dropped = False
        self.steps: Generator[str, None, None] = self._run()

    def finish(self) -> None:
        """Run to the end."""
        for _ in self.steps:
            pass

    def fail(self, reason: str) -> None:
        """The system call that it is about to make ends with this error."""
        failed = Failed(reason, "said by a test")
        with contextlib.suppress(StopIteration):
            self.steps.throw(Stop(failed, begun=self._known_as_begun()))

    # --- as in disk_daemon/wipe/carry.py ---

    def _run(self) -> Generator[str, None, None]:
        disk = self._machine.slot
        try:
            facts = self._stand(disk)
            if disk is None or facts.presence is not Presence.OK:
                found = guards.disk_is_there(self._case(facts, None))
                assert isinstance(found, Refuse | Wait)
                raise Stop(found, begun=self._known_as_begun())
            objection = guards.identity_matches(self._case(facts, None))
            if objection is not None:
                raise Stop(objection, begun=self._known_as_begun())
            if disk.lock is not None:
                raise Stop(Wait("Locked", "another process", "lock"), begun=self._known_as_begun())
            disk.lock = self
            try:
                yield from self._under_lock(disk)
            finally:
                if disk.lock is self:
                    disk.lock = None
        except Stop as end:
            self._conclude(end.conclusion, begun=end.begun)

    def _stand(self, disk: Disk | None) -> Facts:
        """Before anything is written to it, a lock neither."""
        return self._machine.facts(disk)

    def _facts(self, disk: Disk) -> Facts:
        return self._machine.facts(disk)

    def _under_lock(self, disk: Disk) -> Iterator[str]:
        yield from self._look(disk)
        case = self._case_now(disk)
        self._begun = case.maybe_begun
        verdict = decide(case)
        match verdict:
            case Do():
                for move in verdict.moves:
                    yield from self._move(disk, move)
                raise Stop(AlreadyDone(), begun=self._begun)
            case GiveBack():
                yield "put back"
                self._put_back(disk)
                self._withdrawn(disk, case)
                raise Stop(Refuse("Withdrawn", "no byte is gone"), begun=False)
            case Refuse(reason="Withdrawn"):
                self._withdrawn(disk, case)
                raise Stop(verdict, begun=self._begun)
            case _:
                raise Stop(verdict, begun=self._begun)

    def _look(self, disk: Disk) -> Iterator[str]:
        while True:
            self._live = self._read()
            yield "read"
            if self._is_good():
                return

    def _is_good(self) -> bool:
        return self._clock() - self._live.read_at <= LIVE_FOR_S

    def _case(self, facts: Facts, known: Journal) -> Case:
        meta = self._volume.metadata
        return Case(
            order=self.order,
            volume=meta.name,
            uid=meta.uid,
            live=self._live,
            disk=facts,
            journal=known,
            device=self.device,
        )

    def _case_now(self, disk: Disk) -> Case:
        return self._case(self._facts(disk), self._machine.journal_of(disk.identity))

    def _known_as_begun(self) -> bool:
        if self._begun or self.order.identity is None:
            return self._begun
        known = self._machine.journal_of(self.order.identity)
        return self._case(Facts(presence=Presence.NOT_PRESENT), known).begun

    def _move(self, disk: Disk, move: object) -> Iterator[str]:
        order = self.order
        match move:
            case Note(begun=True):
                was = self._begun
                while True:
                    self._note(disk, begun=True)
                    yield "begin"
                    if self._is_good():
                        break
                    self._note(disk, begun=was)
                    yield from self._recheck(disk)
                self._about_to_begin(order, disk, was)
            case Note():
                yield "note"
                self._note(disk, begun=False)
            case Aside():
                yield "rename"
                disk.trash.setdefault(order.id, {})[move.tenancy] = disk.tenancies.pop(move.tenancy)
            case AsideAll():
                yield "rename"
                trash = disk.trash.setdefault(order.id, {})
                trash["root"] = trash.get("root", set()) | disk.strays
                for tenancy in tuple(disk.tenancies):
                    trash[f"ours/{tenancy}"] = disk.tenancies.pop(tenancy)
                disk.strays = set()
            case Recheck():
                yield from self._recheck(disk)
            case Erase():
                yield "erase"
                yield from self._erase(disk, move.order)
            case Verify():
                facts = self._machine.facts(disk)
                if facts.tenancies or facts.trash:
                    raise Stop(Failed("ENOTEMPTY", "something came back"), begun=self._begun)
            case Remove():
                yield "rmdir"
                if disk.tenancies.get(move.tenancy):
                    raise Stop(Refuse("HasData", "it is not empty"), begun=False)
                disk.tenancies.pop(move.tenancy)
            case Make():
                yield "mkdir"
                disk.tenancies[order.next] = set()
            case Finish():
                yield "journal"
                entry = self._entry(disk)
                self._store(disk, journal.finished(entry, disk.identity, order, at=self._at()))

    def _entry(self, disk: Disk) -> Entry | None:
        entry = self._machine.journal_of(disk.identity)
        if isinstance(entry, Broken):
            raise Stop(Refuse("JournalBroken", entry.why), begun=self._begun)
        return entry

    def _note(self, disk: Disk, *, begun: bool, over: str = "") -> None:
        entry, at = self._entry(disk), self._at()
        noted = journal.noted(
            entry, disk.identity, self.order, begun=begun, at=at, over=over, aside=disk.trash
        )
        self._store(disk, noted)
        self._begun = begun

    def _store(self, disk: Disk, entry: Entry) -> None:
        self._machine.journals[hardware_key(disk.identity)] = entry

    def _recheck(self, disk: Disk) -> Iterator[str]:
        yield from self._look(disk)
        case = self._case_now(disk)
        volume = case.live.volume
        withdrawn = guards.order_is_current(case) is None and (
            volume is not None and volume.spec.order is not None and volume.spec.order.withdrawn
        )
        if withdrawn and not self._begun:
            self._put_back(disk)
            self._withdrawn(disk, case)
            raise Stop(Refuse("Withdrawn", "no byte is gone"), begun=False)
        found = guards.objection(case, When.START if self._begun else When.BEGIN)
        if found is None:
            return
        if not self._begun:
            self._put_back(disk)
        raise Stop(found, begun=self._begun)

    def _put_back(self, disk: Disk) -> None:
        case = self._case_now(disk)
        for trash in case.disk.trash:
            if not is_of_this_wipe(case, trash):
                continue
            for place, items in disk.trash.pop(trash.order).items():
                if place == "root":
                    disk.strays |= items
                else:
                    disk.tenancies[place.removeprefix("ours/")] = items
        entry = self._machine.journal_of(disk.identity)
        if isinstance(entry, Entry) and entry.order is not None:
            self._store(disk, journal.given_back(entry))
        self._begun = False

    def _withdrawn(self, disk: Disk, case: Case) -> None:
        restore = not self._begun and guards.is_asked_back(case)
        shown = self.order.ends in case.disk.tenancies
        entry = self._entry(disk)
        at_root = restore and not case.device and self._facts(disk).is_others_alone
        back = journal.taken_back(
            entry, disk.identity, self.order, restore=restore, shown=shown, at_root=at_root
        )
        self._store(disk, back)

    def _erase(self, disk: Disk, order: str) -> Iterator[str]:
        for items in disk.trash.get(order, {}).values():
            while items:
                item = min(items)
                items.discard(item)
                self._machine.erased.append(Erased(self.order, disk, frozenset({item})))
                yield "between"
                self._live = change(self._read(), lean=True)
                found = guards.objection(self._case_now(disk), When.ALWAYS)
                if found is not None:
                    # The real one halts here and goes on by itself; to be taken up anew is the harder case.
                    raise Stop(found, begun=True)
        disk.trash.pop(order, None)

    # --- the last word ---

    def _at(self) -> str:
        return format_instant(self._clock())

    def _conclude(self, conclusion: Conclusion, *, begun: bool) -> None:
        said = Work(order_id=self.order.id, state=WorkState.DONE, begun=begun, at=self._at())
        match conclusion:
            case Dropped():
                self.dropped = True
                return
            case Wait(reason=reason, message=message):
                said = change(said, state=WorkState.RUNNING, reason=reason, message=message)
            case Refuse(reason=reason, message=message):
                said = change(said, state=WorkState.REFUSED, reason=reason, message=message)
            case Failed(reason=reason, message=message):
                said = change(said, state=WorkState.FAILED, reason=reason, message=message)
            case AlreadyDone():
                pass
        self.work = said


class Letter(NamedTuple):
    """A status that a daemon has made up its mind about and not yet written."""

    uid: str
    disk: DiskReport
    work: Work | None


class Daemon:
    """The parent: one child at a time, and what is to be written. Dies without a word."""

    def __init__(self) -> None:
        self.child: Child | None = None
        self.answered: tuple[str, bool] = ("", False)
        self.work: Work | None = None
        """What was last concluded; told again as long as it is not on record."""
        self.letters: list[Letter] = []

    def order_to_carry(self, volume: Volume, report: DiskReport) -> Order | None:
        """As the real parent chooses."""
        order = volume.spec.order
        known = self.work if self.work is not None and order and order.id == self.work.order_id else None
        return minded.order_to_carry(Minded(volume, answered=self.answered, work=known, report=report))
