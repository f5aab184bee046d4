"""What the tests on disks stand on: a disk, an API server in memory, and one order carried out."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from disk_daemon import journal, kernel
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Ended, Job
from disk_daemon.known import Entry, Facts, Live
from disk_daemon.observe import look, observe
from disk_daemon.wipe.carry import carry
from tests.disks import backing
from tidb_volume import names
from tidb_volume.fleet import Breaker, Fleet, FleetSpec, FleetStatus
from tidb_volume.upstream import Pv
from tidb_volume.value import (
    Adopt,
    Identity,
    Meta,
    Order,
    Source,
    Volume,
    VolumeSpec,
    VolumeStatus,
    Work,
)

OLD, NEXT, OTHER = "aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"
CLEAN = [names.FOLDER, f"{names.FOLDER}/{NEXT}"]
"""The tree of a path disk after a wipe."""
UID = "volume-uid"
SIZE_BYTES = 320 << 20


class Disk(NamedTuple):
    """One loop device with a mounted file system."""

    path: Path
    loop: str
    image: Path

    @classmethod
    def make(cls, folder: Path, name: str, fs: str = "xfs") -> Disk:
        image = folder / f"{name}.img"
        with image.open("xb") as file:
            file.truncate(SIZE_BYTES)
        loop = subprocess.run(
            ["losetup", "-f", "--show", image], check=True, capture_output=True, text=True
        ).stdout.strip()
        options = ["-q", "-K"] if fs == "xfs" else ["-q", "-E", "nodiscard"]
        disk = cls(folder / name, loop, image)
        try:
            subprocess.run([f"mkfs.{fs}", *options, loop], check=True)
            disk.path.mkdir()
            disk.mount()
        except BaseException:
            disk.remove()
            raise
        return disk

    def mount(self) -> None:
        subprocess.run(["mount", self.loop, self.path], check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "-R", self.path], check=True)

    def remove(self) -> None:
        if os.path.ismount(self.path):
            self.unmount()
        subprocess.run(["losetup", "-d", self.loop], check=True)
        self.image.unlink()

    @property
    def ours(self) -> Path:
        return self.path / names.FOLDER

    def tenancy(self, name: str = OLD) -> Path:
        """Make a tenancy's folder, as the daemon does."""
        self.ours.mkdir(mode=0o700, exist_ok=True)
        folder = self.ours / name
        folder.mkdir(mode=0o777)
        return folder

    def tree(self) -> list[str]:
        """Everything on the disk, as paths from its root."""
        return sorted(
            os.path.relpath(os.path.join(where, each), self.path)
            for where, folders, files in os.walk(self.path)
            for each in (*folders, *files)
        )


class RawDisk(NamedTuple):
    """One blank loop device, with a stable name, and the place of its file system."""

    by_id: Path
    loop: str
    image: Path
    path: Path

    @classmethod
    def make(cls, folder: Path, name: str, rules: Rules, size: int = SIZE_BYTES) -> RawDisk:
        image = folder / f"{name}.img"
        with image.open("xb") as file:
            file.truncate(size)
        words = ["losetup", "-f", "--show", str(image)]
        loop = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
        by_id = folder / f"by-id-{name}"
        by_id.symlink_to(loop)
        return cls(by_id, loop, image, Path(rules.place("volume-a")))

    @classmethod
    @contextmanager
    def numbered(
        cls, folder: Path, number: int, rules: Rules, size: int = SIZE_BYTES
    ) -> Iterator[tuple[RawDisk, Rules]]:
        """One of several in a test, each with its own journal: a new file may get the inode, which is a
        loop disk's identity, of the one before."""
        own = msgspec.structs.replace(rules, state=f"{rules.state}-{number}")
        disk = cls.make(folder, f"raw-{number}", own, size)
        try:
            yield disk, own
        finally:
            disk.remove()

    @property
    def ours(self) -> Path:
        return self.path / names.FOLDER

    @property
    def is_mounted(self) -> bool:
        return os.path.ismount(self.path)

    def unmount(self) -> None:
        """As a reboot does."""
        subprocess.run(["umount", "-R", self.path], check=True)

    def uuid(self) -> str:
        """What blkid says, past its cache."""
        words = ["blkid", "-p", "-o", "value", "-s", "UUID", self.loop]
        return subprocess.run(words, check=False, capture_output=True, text=True).stdout.strip()

    def holds(self, secret: bytes) -> bool:
        """Whether the backing file has a text anywhere."""
        os.sync()
        return backing.holds(self.image, secret)

    def holding(self, secret: bytes, places: tuple[int, ...]) -> tuple[int, ...]:
        """Where of these places the backing file has a text."""
        os.sync()
        with self.image.open("rb") as file:
            return tuple(each for each in places if os.pread(file.fileno(), len(secret), each) == secret)

    def is_zero(self) -> bool:
        """Whether the backing file is zero from end to end."""
        return backing.is_zero(self.image)

    def content(self) -> dict[int, bytes]:
        """What is on it, to compare: also what was written and has not reached the backing file yet."""
        fd = os.open(self.loop, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        return backing.content(self.image)

    def write(self, start: int, data: bytes) -> None:
        """Straight onto the device."""
        fd = os.open(self.loop, os.O_WRONLY)
        os.pwrite(fd, data, start)
        os.fsync(fd)
        os.close(fd)

    def remove(self) -> None:
        if self.is_mounted:
            self.unmount()
        subprocess.run(["losetup", "-d", self.loop], check=True)
        self.image.unlink()
        self.by_id.unlink()


class Api:
    """The API's objects in memory; `on_read` sees each reading come and may change them."""

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        self.fleet: Fleet | None = Fleet(
            metadata=Meta(name=names.FLEET), spec=FleetSpec(), status=FleetStatus(breaker=Breaker(epoch=1))
        )
        self.pvs: tuple[Pv, ...] = ()
        self.error = ""
        self.readings = 0
        self.told: list[Work] = []
        self.on_read: Callable[[int], None] = lambda reading: None

    def live(self, *, lean: bool) -> Live:
        read_at = kernel.boottime()
        self.readings += 1
        self.on_read(self.readings)
        if self.error:
            return Live(read_at=read_at, error=self.error)
        pvs = () if lean else self.pvs
        return Live(read_at=read_at, volume=self.volume, fleet=self.fleet, pvs=pvs, lean=lean)

    def ask(self, *, lean: bool) -> Callable[[], Live]:
        """Read at once; `live` may be another one's by then."""
        found = self.live(lean=lean)
        return lambda: found

    def tell(self, work: Work) -> None:
        self.told.append(work)

    def change_order(self, **fields: object) -> None:
        assert self.volume.spec.order is not None
        order = msgspec.structs.replace(self.volume.spec.order, **fields)
        spec = msgspec.structs.replace(self.volume.spec, order=order)
        self.volume = msgspec.structs.replace(self.volume, spec=spec)

    def change_admin(self, **fields: object) -> None:
        admin = msgspec.structs.replace(self.volume.spec.admin, **fields)
        spec = msgspec.structs.replace(self.volume.spec, admin=admin)
        self.volume = msgspec.structs.replace(self.volume, spec=spec)

    def pause(self, paused: bool = True) -> None:
        assert self.fleet is not None
        self.fleet = msgspec.structs.replace(self.fleet, spec=FleetSpec(paused=paused))


AnyDisk = Disk | RawDisk


def answered(disk: AnyDisk, order: Order) -> Api:
    """The API, where a person has answered the order's question: wipe it."""
    api = Api(volume_with(disk, order))
    api.change_admin(adopt=Adopt(question=order.answer, action="Wipe"))
    return api


def source_of(disk: AnyDisk) -> Source:
    """The entry that names it."""
    return Source(device=str(disk.by_id)) if isinstance(disk, RawDisk) else Source(path=str(disk.path))


def identity_of(disk: AnyDisk, rules: Rules) -> Identity:
    if isinstance(disk, RawDisk):
        seen = facts_of(disk, rules).identity
    else:
        seen = look(str(disk.path), rules).identity
    assert seen is not None
    return seen


def reclaim(identity: Identity, **fields: object) -> Order:
    """The order that ends OLD and begins NEXT."""
    order = Order(
        id="order-1",
        kind="reclaim",
        ends=OLD,
        next=NEXT,
        offer=True,
        pv_name="pv-old",
        epoch=1,
        identity=identity,
    )
    return msgspec.structs.replace(order, **fields)


def for_all_of(disk: AnyDisk, rules: Rules, order: Order, **job: Any) -> Order:
    """The order on the answer of a person who was told of what lies on the disk now."""
    return msgspec.structs.replace(order, whole_disk=True, over=facts_of(disk, rules, **job).lies_on_it)


def volume_with(disk: AnyDisk, order: Order) -> Volume:
    return Volume(
        metadata=Meta(name="volume-a", uid=UID),
        spec=VolumeSpec(node_name="node", pool="tikv", source=source_of(disk), order=order),
        status=VolumeStatus(committed=order.id),
    )


def job_of(disk: AnyDisk, order: Order | None = None, **fields: Any) -> Job:
    kind: Literal["order", "observe"] = "order" if order else "observe"
    job = Job(id=1, kind=kind, volume="volume-a", uid=UID, source=source_of(disk), order=order)
    return msgspec.structs.replace(job, **fields)


def obey(
    disk: AnyDisk,
    order: Order,
    rules: Rules,
    api: Api | None = None,
    job: dict[str, Any] | None = None,
    **options: object,
) -> Ended:
    """Carry out an order in this process."""
    options.setdefault("tick", lambda what: None)
    done = job_of(disk, order, **(job or {}))
    return carry(done, api or Api(volume_with(disk, order)), rules, **options)  # type: ignore[arg-type]


def state(ended: Ended) -> tuple[str, str]:
    """What became of an order: its work's state and reason."""
    assert ended.work is not None, ended
    return ended.work.state.value, ended.work.reason


def entry_of(disk: AnyDisk, rules: Rules) -> Entry:
    """The journal's record, which has to be there."""
    found = journal.load(rules.state, identity_of(disk, rules))
    assert isinstance(found, Entry)
    return found


def fill(folder: Path) -> None:
    """A few files and folders: nine entries."""
    for name in ("a", "b"):
        (folder / name / "deep").mkdir(parents=True)
        (folder / name / "file").write_text("secret")
        (folder / name / "deep" / "file").write_text("secret")


def facts_of(disk: AnyDisk, rules: Rules, **job: Any) -> Facts:
    return observe(job_of(disk, **job), rules).facts


def die_at(step: int) -> Callable[[str], None]:
    """A tick that kills the process, as kill -9 would, before its `step`-th change."""
    left = step

    def tick(what: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return tick


def die_before(what: str, number: int = 1) -> Callable[[str], None]:
    """A tick that kills the process before the change of that name, or before so many of them."""
    left = [number]

    def tick(step: str) -> None:
        left[0] -= step == what
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    return tick


def in_child(work: Callable[[], object]) -> int:
    """Run in a forked process; returns the wait status."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    return os.waitpid(pid, 0)[1]


def drop_ptrace() -> None:
    """Give up CAP_SYS_PTRACE (19): other processes of root then have rights that this one lacks."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None)
    assert libc.capget(header, data) == 0
    for word in range(3):
        data[word] &= ~(1 << 19)
    assert libc.capset(header, data) == 0
