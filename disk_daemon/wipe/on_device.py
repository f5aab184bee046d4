"""Carrying out an order on a device: lock the whole disk, mount what is ours, decide, move, and tell.

Why something is done stands in `step_device.py`; here is how. The lock is taken before anything else and kept
to the end, by mkfs too, which inherits it; so a second daemon, or one that was frozen, stays out however this
process ends. What is done in the mounted file system is done by `on_folder.py` under this same lock.

O_EXCL is held from the unmount to mkfs, which would fail under it and takes it itself.
"""

from __future__ import annotations

import errno
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from disk_daemon import blockdev, guards, journal, kernel, mounting, nvme, observe, step_device, tools
from disk_daemon.facts import bare, device
from disk_daemon.guards import When
from disk_daemon.jobs import Ended
from disk_daemon.known import Case, Entry, Facts, Made, told_apart
from disk_daemon.verdict import (
    AlreadyDone,
    Begin,
    DeviceVerdict,
    Do,
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
    Wait,
)
from disk_daemon.wipe.frame import LOOK_EVERY_S, TELL_EVERY_S, Carrier, Concluded, Conclusion, now
from disk_daemon.wipe.on_folder import FolderCarrier
from disk_daemon.wipe.surface import NotAsWritten, Surface
from tidb_volume import names
from tidb_volume.value import Presence, Work, WorkState

LOCK_TRIES, LOCK_PAUSE_S = 5, 0.1
"""udev holds the lock for a moment while it probes."""


class DeviceCarrier(Carrier):
    """An order on a device entry, be it for a file system of ours or a Block volume."""

    _fd = -1
    _exclusive = -1
    _lock = -1

    @property
    def _becomes_block(self) -> bool:
        return self._job.volume_mode == "Block"

    def _work(self) -> Ended:
        with device.opened(self._job.source.device) as fd:
            self._fd = fd
            self._compare_hardware()
            with self._locked():
                try:
                    return self._under_lock()
                finally:
                    self._let_go()

    def _look(self, *, whole: bool) -> Facts:
        """While we hold the device ourselves, that our file system is not mounted is no trouble."""
        facts = device.look(self._fd, self._job, self._rules, ours=self._exclusive >= 0, whole=whole)
        if self._exclusive >= 0 and facts.raw is not None and facts.raw.mountable:
            facts = msgspec.structs.replace(facts, presence=Presence.OK, message="")
        return facts

    def _look_at_hardware(self) -> Facts:
        return device.stand(self._fd, self._job, self._rules)

    def _look_or_say(self) -> Facts:
        self._let_go()
        return observe.look_at(self._job, self._rules)

    def _decide(self, case: Case) -> DeviceVerdict:
        return step_device.decide(case)

    def _compare_hardware(self) -> None:
        facts = self._look_at_hardware()
        found = guards.identity_matches(self._case(facts, None))
        if found is not None:
            raise Concluded(found, begun=self._known_as_begun())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        for left in range(LOCK_TRIES, -1, -1):
            lock = mounting.locked(self._fd)
            try:
                self._lock = lock.__enter__()
            except BlockingIOError as error:
                if left:
                    self._sleep(LOCK_PAUSE_S)
                    continue
                said = "another process of ours, or udev, works on this disk"
                raise Concluded(Wait("Locked", said, "lock"), begun=self._known_as_begun()) from error
            break
        try:
            yield
        finally:
            lock.__exit__(None, None, None)

    def _under_lock(self) -> Ended:
        loose = self._order.method in step_device.LOOSE  # what they come to on a device itself
        self.does = ("zero" if self._becomes_block else "format") if loose else self._order.method
        self._mount_if_ours()
        case = self._settled()
        self._cut_on_record(case)
        self._begun = case.maybe_begun
        verdict = self._decide(case)
        conclusion: Conclusion
        match verdict:
            case Do():
                for move in verdict.moves:
                    self._do(move, case)
                if isinstance(verdict.moves[-1], MountIt):
                    return self._on_folder(self.does)
                conclusion = AlreadyDone()
            case OnFolder():
                return self._on_folder(self.does if verdict.made else "files")
            case GiveBack():
                self._give_back()
                conclusion = self._withdrawn(case)
            case Refuse(reason="Withdrawn"):
                self._withdrawn(case)
                conclusion = verdict
            case _:
                conclusion = verdict
        return self._ended(conclusion, begun=self._begun)

    def _on_folder(self, does: str) -> Ended:
        """What is left is done in the mounted file system; decided anew there, from what is seen there. does:
        the method by which what was there goes, or went."""
        self._let_go()
        there = FolderCarrier(self._job, self._order, self._link, self._rules, self._tick, self._sleep)
        there.does, there.on_record_since = does, self.on_record_since
        return there.run()

    # --- the moves ---------------------------------------------------------------------------------

    def _do(self, move: Move, case: Case) -> None:
        match move:
            case Note():
                self._note(begun=move.begun, over=_found(case))
            case Unmount():
                self._take(case)
            case Begin():
                self._begin()
            case EraseItself():
                self._erase_itself(case)
            case Overwrite():
                self._overwrite(move)
            case ReadAll():
                self._read_all()
            case Hand():
                self._hand()
            case MakeFilesystem():
                self._make()
            case MountIt():
                self._mount(anew=True)
            case TakeUp():
                self._take_up(case)
            case LetGo():
                self._take(case)
                self._journal_unmounted()

    def _mount_if_ours(self) -> None:
        """What an order finds unmounted though the journal has it as made is mounted before it is judged."""
        facts = self._take_out_again(self._look(whole=False))
        if facts.raw is None or not facts.raw.mountable:
            return
        if facts.raw.mode != "Block":
            self._mount()
            return
        entry = self._known(facts)
        if entry is not None and names.is_tenancy(entry.handed):
            self._tick("mknod")
            mounting.node(self._fd, entry.handed, self._rules)

    def _take_out_again(self, facts: Facts) -> Facts:
        """What an order had unmounted is ours all the same: an order that uses it again has it mounted."""
        entry, raw = self._entry(facts), facts.raw
        if not isinstance(entry, Entry) or self._order.kind not in ("prepare", "reclaim"):
            return facts
        ours = raw is not None and not raw.mounted and entry.made is not None and raw.uuid == entry.made.uuid
        if not (ours and entry.unmounted):
            return facts
        self._store(msgspec.structs.replace(entry, unmounted=False))
        return self._look(whole=False)

    def _mount(self, *, anew: bool = False) -> None:
        """As it was; anew: with the options that the entry says by now."""
        facts = self._look_at_hardware()
        entry = self._known(facts)
        if entry is None or entry.made is None:
            raise OSError(errno.ENODATA, "the journal has no file system as made")
        self._let_go()
        self._tick("mount")
        if not anew:
            mounting.mount(self._fd, self._job.volume, entry.made, self._rules)
            return
        known = journal.mounted(entry, self._job.mount_options)
        assert known.made is not None
        mounting.mount(self._fd, self._job.volume, known.made, self._rules)
        if known != entry:
            self._store(known)

    def _take(self, before: Case) -> None:
        """Unmount, hold exclusively, and look once more: from here on nobody can come to the disk.

        Whatever speaks against it now, the disk is mounted again as it was.
        """
        raw = before.disk.raw
        assert raw is not None
        try:
            if raw.mounted or (raw.mode == "Block" and raw.at_place):
                self._tick("unmount")
                mounting.unmount(self._job.volume, self._rules)
            if raw.mode == "Block":
                self._tick("hide")
                self._hide(before)
            blockdev.forget_errors(self._fd)
            self._tick("hold")
            self._exclusive = blockdev.reopened(self._fd, os.O_RDWR | os.O_EXCL)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            self._put_back()
            raise Concluded(self._busy(), begun=self._begun) from error
        case = self._fresh_case()
        found: Conclusion | None = guards.objection(case, When.START if self._begun else When.BEGIN)
        if case.order.kind == "unmount":
            found = None
        else:
            self._stop_if_withdrawn(case, self._put_back)
        if found is None:
            found = self._changed(before, case)
        if found is not None:
            self._put_back()
            raise Concluded(found, begun=self._begun)

    def _changed(self, before: Case, case: Case) -> Refuse | None:
        """Whether what lies on the disk now is what the order was judged by."""
        if bare.is_as_judged(before.disk, case.disk, begun=self._begun):
            return None
        found = case.disk.raw.found if case.disk.raw is not None else ""
        return Refuse("HasData", f"the disk changed under the order; there is {found or 'nothing'} now")

    def _busy(self) -> Wait:
        facts = self._look(whole=True)
        holders = facts.raw.holders if facts.raw is not None else ()
        pids = tuple(each.pid for each in holders if each.pid)
        who = holders[0].who if holders else "somebody whom no process's mount table shows"
        return Wait("InUse", f"the device is held by {who}", "mounts", pids)

    def _put_back(self) -> None:
        """As it was before: mounted if it is ours, and no order at work unless bytes are gone."""
        self._let_go()
        self._mount_if_ours()
        if not self._begun:
            self._give_back()

    def _give_back(self) -> None:
        entry = self._known(self._look_at_hardware())
        if isinstance(entry, Entry) and entry.order is not None and not entry.order.begun:
            self._tick("journal")
            journal.store(self._rules.state, journal.given_back(entry))

    def _let_go(self) -> None:
        if self._exclusive >= 0:
            os.close(self._exclusive)
            self._exclusive = -1

    def _hide(self, case: Case) -> None:
        entry = case.journal if isinstance(case.journal, Entry) else None
        for tenancy in {case.order.ends, entry.handed if entry is not None else ""} - {""}:
            mounting.hide(tenancy, self._rules)

    def _hand(self) -> None:
        """Journal before the node is made: a node that is missing is made again from the journal."""
        self._let_go()
        self._journal_done()
        if self._order.offer:
            self._tick("mknod")
            mounting.node(self._fd, self._order.next, self._rules)

    # --- writing and reading all of it -------------------------------------------------------------

    def _overwrite(self, move: Overwrite) -> None:
        """All of it written and read back. What is written is synced before the journal says so, and a cut
        wipe goes on from there."""
        entry = self._known(self._look_at_hardware())
        assert entry is not None
        size = blockdev.size_of(self._exclusive)
        self._used_bytes = size * (move.passes + 1) if move.passes else size
        noted_at = kernel.boottime()

        def done(count: int) -> None:
            nonlocal noted_at
            self._done_bytes = count
            if kernel.boottime() - noted_at >= LOOK_EVERY_S:
                os.fsync(self._exclusive)
                self._store(journal.written(entry, count))
                noted_at = kernel.boottime()

        surface = Surface(self._exclusive, self._between, self._tick, done)
        try:
            if move.passes:
                surface.overwrite(entry.written_bytes, move.passes, self._order.next)
            else:
                surface.zero(entry.written_bytes, discard=move.discard)
        except NotAsWritten:
            # What the journal counts as written is not: the next attempt begins at the start.
            self._store(journal.written(entry, 0))
            raise
        # Of a tenant's partitions the kernel alone still knows.
        blockdev.forget_partitions(self._exclusive, device.partition_numbers(self._fd))

    def _erase_itself(self, case: Case) -> None:
        """By the disk's own command; once more where a process was cut after it, which harms nothing.

        What had been zeroed before it counts no more: nobody knows what the disk leaves there.
        """
        raw, entry = case.disk.raw, self._known(self._look_at_hardware())
        assert raw is not None
        assert raw.nvme is not None
        assert entry is not None
        facts = raw.nvme
        self._store(journal.written(entry, 0))
        surface = Surface(self._exclusive, self._between, self._tick, lambda count: None)
        surface.erase(lambda: self._waited_for(lambda: nvme.format_namespace(self._exclusive, facts)))

    def _waited_for(self, erase: Callable[[], None]) -> None:
        """Say all the while that it goes on. Nothing else tells it from a disk that hangs, and who is
        taken for hung is killed: the next one would begin anew."""
        failed: list[BaseException] = []

        def run() -> None:
            try:
                erase()
            except BaseException as error:
                failed.append(error)

        worker = threading.Thread(target=run, name="erase", daemon=True)
        worker.start()
        said = "the disk erases itself, which cannot be stopped"
        while worker.is_alive():
            self._tell(Work(order_id=self._order.id, state=WorkState.RUNNING, message=said))
            worker.join(TELL_EVERY_S)
        if failed:
            raise failed[0]

    def _read_all(self) -> None:
        """Nothing is written: a volume that nobody had must be zero from end to end."""
        size = blockdev.size_of(self._exclusive)
        blockdev.flush(self._exclusive)
        pace = blockdev.Pace()
        with blockdev.Reader(self._fd) as reader:
            for start, length in pace.chunks(0, size):
                try:
                    self._between()
                except Concluded:
                    self._put_back()
                    raise
                self._tick("read")
                with pace.timed(length):
                    is_zero = reader.is_zero(start, length)
                if not is_zero:
                    self._put_back()
                    self._somebody_had_it()
                    said = f"the volume should be unused, and is not zero near byte {start}"
                    raise Concluded(Refuse("HasData", said), begun=False)

    def _somebody_had_it(self) -> None:
        """What is written there proves it, and no look at samples will see it again."""
        entry = self._known(self._look_at_hardware())
        if entry is not None and self._order.ends and entry.handed == self._order.ends:
            self._store(journal.had(entry, entry.handed, ""))

    def _between(self) -> None:
        self._tell_if_due(lambda: None)
        if kernel.boottime() - self._live.read_at >= LOOK_EVERY_S:
            self._look_around()

    def _make(self) -> None:
        """Make the file system with the journalled UUID, read it back, journal it as made."""
        entry = self._known(self._look_at_hardware())
        assert entry is not None
        making = entry.making
        assert making is not None
        Surface(self._exclusive, self._between, self._tick, lambda count: None).clear(head=entry.was_block)
        # Those that a tenant of the raw device made are none of what is about to be made.
        self._tick("forget partitions")
        blockdev.forget_partitions(self._exclusive, device.partition_numbers(self._fd))
        self._let_go()
        self._tick("mkfs")
        # Of a partition the lock is on the whole disk, which is another descriptor than the one it works on.
        kept = (*self._rules.kept, self._lock)
        tools.make_filesystem(self._rules.tools, self._fd, making.fs_type, making.uuid, kept)
        self._tick("read back")
        blockdev.flush(self._fd)
        found = tools.probe(self._rules.tools, self._fd, self._rules.kept)
        if (found.uuid, found.fs_type) != (making.uuid, making.fs_type):
            raise OSError(
                errno.EIO, f"mkfs made {making.fs_type} {making.uuid}, and {found.words} is read back"
            )
        self._store(journal.made(entry))

    def _begin(self) -> None:
        """Journal that bytes may be gone from here on, and be sure that this is still wanted afterwards."""
        while True:
            facts = self._look_at_hardware()
            assert facts.identity is not None
            entry = self._known(facts)
            self._on_record("begun", facts)
            over = self._held()
            before = entry.order.before if entry is not None and entry.order is not None else ()
            noted = journal.noted(
                entry, facts.identity, self._order, begun=True, at=now(), over=over, aside=before
            )
            if self._becomes_block:
                noted = journal.becoming_block(noted)
            else:
                wanted = Made(uuid=str(uuid.uuid4()), fs_type=self._job.fs_type or device.FS_TYPE)
                making = noted.making
                if making is None or making.fs_type != wanted.fs_type:
                    making = wanted
                noted = journal.making(noted, making)
            self._store(noted)
            was_begun, self._begun = self._begun, True
            if self._is_good():
                return
            if not was_begun:
                # There was one, of this order at least: where there is none, somebody has taken it away.
                self._store(entry or journal.noted(None, facts.identity, self._order, begun=False, at=now()))
            self._begun = was_begun
            case = self._fresh_case()
            self._stop_if_withdrawn(case, self._put_back)
            found = guards.objection(case, When.START if was_begun else When.BEGIN)
            if found is not None:
                self._put_back()
                raise Concluded(found, begun=self._begun)

    def _held(self) -> str:
        """What is on the device that is held exclusively. No look says it of what a tenant has in hand."""
        raw = self._seen.raw if self._seen is not None else None
        assert raw is not None, "it was looked at when it was taken"
        if raw.mode != "Block":
            return raw.told_apart
        found = tools.probe(self._rules.tools, self._fd, self._rules.kept)
        return told_apart(found.words, found.uuid)

    # --- mount and unmount as such -----------------------------------------------------------------

    def _take_up(self, case: Case) -> None:
        """A claimed disk whose record is lost: what the order names must be found, else all is as before."""
        raw, order = case.disk.raw, self._order
        assert raw is not None
        fs_type = tools.probe(self._rules.tools, self._fd, self._rules.kept).fs_type
        made = Made(uuid=raw.uuid, fs_type=fs_type, options=self._job.mount_options)
        if not raw.at_place:
            self._tick("mount")
            mounting.mount(self._fd, self._job.volume, made, self._rules)
        facts = FolderCarrier(self._job, order, self._link, self._rules, self._tick, self._sleep).inside()
        if facts.tenancies != (order.next,):
            if not raw.at_place:
                mounting.unmount(self._job.volume, self._rules)
            said = (
                f"the order means tenancy {order.next}, on the disk is {', '.join(facts.tenancies) or 'none'}"
            )
            raise Concluded(Refuse("HasData", said), begun=False)
        seen = self._look_at_hardware()
        assert seen.identity is not None
        entry = self._known(seen) or Entry(identity=seen.identity)
        known = msgspec.structs.replace(entry, made=made, making=None, handed=order.next)
        self._store(journal.mounted_as_such(known, order, at=now()))

    def _journal_unmounted(self) -> None:
        facts = self._look_at_hardware()
        entry = self._known(facts)
        if entry is not None:
            self._store(journal.mounted_as_such(entry, self._order, at=now()))


def _found(case: Case) -> str:
    return case.disk.raw.told_apart if case.disk.raw is not None else ""
