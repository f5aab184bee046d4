"""A child at work on an order for a device: the moves of disk_daemon/wipe/on_device.py, on a model of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from disk_daemon import guards, journal, step, step_device
from disk_daemon.facts import bare
from disk_daemon.facts.device import FS_TYPE
from disk_daemon.guards import When
from disk_daemon.known import Case, Entry, Facts, Made, told_apart
from disk_daemon.verdict import (
    AlreadyDone,
    Begin,
    Do,
    GiveBack,
    Hand,
    LetGo,
    MakeFilesystem,
    MountIt,
    Note,
    OnFolder,
    Overwrite,
    ReadAll,
    Refuse,
    TakeUp,
    Unmount,
    Wait,
)
from tests.unit.life.device import Device, DeviceMachine, job_of
from tests.unit.life.disks import Disk, Erased
from tests.unit.life.machine import Child, Failed, Stop, change
from tidb_volume import names
from tidb_volume.value import Presence


class DeviceChild(Child):
    """One child at work on an order for a device. What is done in the mounted file system is as on any
    folder, under the same lock."""

    device = True
    _machine: DeviceMachine

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._job = job_of(self._volume, "order", self.order)
        self._within = False
        """At work in the mounted file system."""
        self._ids = 0
        self._judged: Case | None = None

    # --- what it sees ---

    def _stand(self, disk: Disk | None) -> Facts:
        return self._machine.stand(disk, self._job)  # type: ignore[arg-type]

    def _facts(self, disk: Device) -> Facts:  # type: ignore[override]
        if self._within:
            return self._machine.inside()
        ours = disk.held is self
        facts = self._machine.look(disk, self._job, ours=ours)
        if ours and facts.raw is not None and facts.raw.mountable:
            facts = change(facts, presence=Presence.OK, message="")
        return facts

    def _store(self, disk: Disk, entry: Entry) -> None:
        super()._store(disk, change(entry, source=str(self._job.source), volume=self._job.volume))

    @property
    def _becomes_block(self) -> bool:
        return self._job.volume_mode == "Block"

    # --- the frame ---

    def _under_lock(self, disk: Device) -> Iterator[str]:  # type: ignore[override]
        try:
            yield from self._on_device(disk)
        finally:
            self._let_go(disk)

    def _on_device(self, disk: Device) -> Iterator[str]:
        yield from self._mount_if_ours(disk)
        yield from self._look(disk)
        case = self._judged = self._case_now(disk)
        self._begun = case.maybe_begun
        verdict = step_device.decide(case)
        match verdict:
            case Do():
                for move in verdict.moves:
                    yield from self._move(disk, move)
                if isinstance(verdict.moves[-1], MountIt):
                    yield from self._on_folder(disk)
                raise Stop(AlreadyDone(), begun=self._begun)
            case OnFolder():
                yield from self._on_folder(disk)
            case GiveBack():
                yield "put back"
                self._give_back(disk)
                self._withdrawn(disk, case)
                raise Stop(Refuse("Withdrawn", "no byte is gone"), begun=self._begun)
            case Refuse(reason="Withdrawn"):
                self._withdrawn(disk, case)
                raise Stop(verdict, begun=self._begun)
            case _:
                raise Stop(verdict, begun=self._begun)

    def _on_folder(self, disk: Device) -> Iterator[str]:
        """What is left is done in the mounted file system; decided anew there, from what is seen there."""
        self._let_go(disk)
        self._within, self._begun = True, False
        facts = self._machine.inside()
        if facts.presence is not Presence.OK:
            raise Stop(Wait("NotMounted", facts.message, "mounts"), begun=self._known_as_begun())
        objection = guards.identity_matches(self._case(facts, None))
        if objection is not None:
            raise Stop(objection, begun=self._known_as_begun())
        yield from super()._under_lock(disk)

    def _found(self) -> str:
        assert self._judged is not None
        raw = self._judged.disk.raw
        return raw.told_apart if raw is not None else ""

    def _held(self, disk: Device) -> str:
        raw = self._facts(disk).raw
        assert raw is not None
        found = disk.probed()
        return raw.told_apart if raw.mode != "Block" else told_apart(found.words, found.uuid)

    def _let_go(self, disk: Device) -> None:
        if disk.held is self:
            disk.held = None

    # --- the moves ---

    def _move(self, disk: Device, move: object) -> Iterator[str]:  # type: ignore[override]
        if self._within:
            yield from super()._move(disk, move)
            return
        match move:
            case Note():
                yield "note"
                self._note(disk, begun=move.begun, over=self._found())
            case Unmount():
                yield from self._take(disk)
            case Begin():
                yield from self._begin(disk)
            case Overwrite():
                yield from self._overwrite(disk)
            case ReadAll():
                yield from self._read_all(disk)
            case Hand():
                yield from self._hand(disk)
            case MakeFilesystem():
                yield from self._make(disk)
            case MountIt():
                yield from self._mount(disk, anew=True)
            case TakeUp():
                yield from self._take_up(disk)
            case LetGo():
                yield from self._take(disk)
                yield "journal"
                entry = self._entry(disk)
                if entry is not None:
                    self._store(disk, journal.mounted_as_such(entry, self.order, at=self._at()))
            case _:
                raise AssertionError(f"no such move on a device: {move}")

    def _mount_if_ours(self, disk: Device) -> Iterator[str]:
        facts, entry = self._facts(disk), self._machine.entry_of(disk)
        raw = facts.raw
        if entry is not None and entry.unmounted and self.order.kind in ("prepare", "reclaim"):
            ours = raw is not None and not raw.mounted and entry.made is not None
            if ours and raw is not None and entry.made is not None and raw.uuid == entry.made.uuid:
                yield "journal"
                self._store(disk, change(entry, unmounted=False))
                raw = self._facts(disk).raw
        if raw is None or not raw.mountable:
            return
        if raw.mode != "Block":
            yield from self._mount(disk)
        elif entry is not None and names.is_tenancy(entry.handed):
            yield "mknod"
            self._machine.show(disk, entry.handed)

    def _mount(self, disk: Device, *, anew: bool = False) -> Iterator[str]:
        self._let_go(disk)
        yield "mount"
        entry = self._entry(disk)
        if entry is None or entry.made is None or not self._machine.mount(disk):
            raise Stop(Failed("ENODATA", "it cannot be mounted"), begun=self._begun)
        if disk.made.uuid != entry.made.uuid:
            self._machine.place = None
            raise Stop(Failed("ESTALE", "another was mounted"), begun=self._begun)
        if anew:
            yield "journal"
            self._store(disk, journal.mounted(entry, self._job.mount_options))

    def _take(self, disk: Device) -> Iterator[str]:
        """Unmount, hold exclusively, and look once more; whatever speaks against it, it is as it was."""
        before, machine, order = self._judged, self._machine, self.order
        assert before is not None
        raw = before.disk.raw
        assert raw is not None
        if raw.mounted or (raw.mode == "Block" and raw.at_place):
            yield "unmount"
            machine.place = None
        if raw.mode == "Block":
            yield "hide"
            entry = self._machine.entry_of(disk)
            for tenancy in {order.ends, entry.handed if entry is not None else ""}:
                machine.nodes.pop(tenancy, None)
        yield "hold"
        in_file_system = any(
            at.disk is disk and at.tenancy in disk.tenancies for at in machine.running.values()
        )
        if in_file_system or disk.held is not None or machine.place is disk:
            yield from self._put_back_device(disk)
            raise Stop(Wait("InUse", "the device is held", "mounts"), begun=self._begun)
        disk.held = self
        yield from self._look(disk)
        case = self._case_now(disk)
        found: Any = None
        if order.kind != "unmount":
            found = guards.objection(case, When.START if self._begun else When.BEGIN)
            yield from self._stop_if_withdrawn(disk, case)
        if found is None:
            found = self._changed(before, case)
        if found is not None:
            yield from self._put_back_device(disk)
            raise Stop(found, begun=self._begun)

    def _changed(self, before: Case, case: Case) -> Refuse | None:
        if bare.is_as_judged(before.disk, case.disk, begun=self._begun):
            return None
        return Refuse("HasData", "the disk changed under the order")

    def _stop_if_withdrawn(self, disk: Device, case: Case) -> Iterator[str]:
        if not self._begun and guards.order_is_current(case) is None and step.is_withdrawn(case):
            yield from self._put_back_device(disk)
            self._withdrawn(disk, case)
            raise Stop(Refuse("Withdrawn", "no byte is gone"), begun=False)

    def _put_back_device(self, disk: Device) -> Iterator[str]:
        self._let_go(disk)
        yield from self._mount_if_ours(disk)
        if not self._begun:
            yield "journal"
            self._give_back(disk)

    def _give_back(self, disk: Device) -> None:
        entry = self._entry(disk)
        if entry is not None and entry.order is not None and not entry.order.begun:
            self._store(disk, journal.given_back(entry))

    def _begin(self, disk: Device) -> Iterator[str]:
        while True:
            yield "journal"
            entry = self._entry(disk)
            at, over = self._at(), self._held(disk)
            before = entry.order.before if entry is not None and entry.order is not None else ()
            noted = journal.noted(
                entry, disk.identity, self.order, begun=True, at=at, over=over, aside=before
            )
            if self._becomes_block:
                noted = journal.becoming_block(noted)
            else:
                fs_type, making = self._job.fs_type or FS_TYPE, noted.making
                if making is None or making.fs_type != fs_type:
                    self._ids += 1
                    making = Made(uuid=f"fs-of-{self.order.id}-{self._ids}", fs_type=fs_type)
                noted = journal.making(noted, making)
            self._store(disk, noted)
            was, self._begun = self._begun, True
            yield "begin"
            if self._is_good():
                break
            if not was:
                at_work = entry or journal.noted(None, disk.identity, self.order, begun=False, at=at)
                self._store(disk, at_work)
            self._begun = was
            yield from self._look(disk)
            case = self._case_now(disk)
            yield from self._stop_if_withdrawn(disk, case)
            found = guards.objection(case, When.START if was else When.BEGIN)
            if found is not None:
                yield from self._put_back_device(disk)
                raise Stop(found, begun=self._begun)
        self._about_to_begin(self.order, disk, was)

    def _overwrite(self, disk: Device) -> Iterator[str]:
        yield "overwrite"
        gone = disk.items()
        disk.shatter()
        while disk.residue:
            item = min(disk.residue)
            disk.residue.discard(item)
            if item in gone:
                self._machine.erased.append(Erased(self.order, disk, frozenset({item})))
            yield "between"
            self._live = change(self._read(), lean=True)
            found = guards.objection(self._case(self._stand(disk), None), When.ALWAYS)
            if found is not None:
                raise Stop(found, begun=True)
        disk.zero()
        yield "read back"

    def _read_all(self, disk: Device) -> Iterator[str]:
        yield "read"
        if disk.items() or disk.residue or disk.noise:
            yield from self._put_back_device(disk)
            yield "journal"
            entry = self._entry(disk)
            if entry is not None and self.order.ends and entry.handed == self.order.ends:
                self._store(disk, journal.had(entry, entry.handed, ""))
            raise Stop(Refuse("HasData", "the volume should be unused, and is not zero"), begun=False)

    def _hand(self, disk: Device) -> Iterator[str]:
        self._let_go(disk)
        yield "journal"
        entry = self._entry(disk)
        self._store(disk, journal.finished(entry, disk.identity, self.order, at=self._at()))
        if self.order.offer:
            yield "mknod"
            self._machine.show(disk, self.order.next)

    def _make(self, disk: Device) -> Iterator[str]:
        entry = self._entry(disk)
        assert entry is not None
        assert entry.making is not None
        self._let_go(disk)
        yield "mkfs"
        gone = frozenset(disk.items())
        disk.shatter()
        if gone:
            self._machine.erased.append(Erased(self.order, disk, gone))
        yield "making"
        disk.make(entry.making)
        yield "read back"
        self._store(disk, journal.made(entry))

    def _take_up(self, disk: Device) -> Iterator[str]:
        case, order, machine = self._judged, self.order, self._machine
        assert case is not None
        raw = case.disk.raw
        assert raw is not None
        if not raw.at_place:
            yield "mount"
            if not machine.mount(disk):
                raise Stop(Failed("EINVAL", "it cannot be mounted"), begun=False)
        facts = machine.inside()
        if facts.tenancies != (order.next,):
            if not raw.at_place:
                machine.place = None
            raise Stop(Refuse("HasData", "the order means another tenancy"), begun=False)
        yield "journal"
        entry = self._entry(disk) or Entry(identity=disk.identity)
        made = Made(uuid=raw.uuid, fs_type=disk.made.fs_type, options=self._job.mount_options)
        known = change(entry, made=made, making=None, handed=order.next)
        self._store(disk, journal.mounted_as_such(known, order, at=self._at()))

    def _erase(self, disk: Device, order: str) -> Iterator[str]:  # type: ignore[override]
        for items in disk.trash.get(order, {}).values():
            disk.residue |= items
        yield from super()._erase(disk, order)
