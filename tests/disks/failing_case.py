"""One method's disk that can fail, set back before each order to where it was."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from disk_daemon import journal, mounting
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Ended, Job
from disk_daemon.known import Entry
from tests.disks.bench import (
    NEXT,
    OLD,
    SIZE_BYTES,
    AnyDisk,
    Disk,
    RawDisk,
    fill,
    identity_of,
    obey,
    reclaim,
    source_of,
    state,
)
from tests.disks.device import SECRET, prepare
from tests.disks.erasing import erases_itself, through_the_device
from tests.disks.failing import FailingFile, failing_disk, unmount
from tidb_volume import names
from tidb_volume.value import Order

BLOCK_BYTES = 512 << 10
"""A look at a Block volume reads a thousand places of it, if it has so many."""
EXT4_BYTES = 16 << 20


class Method(NamedTuple):
    """One way that an order works on a disk. made: what the disk is before."""

    name: str
    on: str
    made: str = "used"
    method: str = "auto"
    job: dict[str, Any] = {}  # noqa: RUF012 - nobody changes it

    @property
    def is_block(self) -> bool:
        return self.job.get("volume_mode") == "Block"

    @property
    def size_bytes(self) -> int:
        """As small as what is made on it can be."""
        if self.is_block:
            return BLOCK_BYTES
        return EXT4_BYTES if "ext4" in (self.on, self.job.get("fs_type")) else SIZE_BYTES


BLOCK: dict[str, Any] = {"volume_mode": "Block"}
EXT4: dict[str, Any] = {"fs_type": "ext4"}


class Case:
    """One method's disk, set back to where it was before each order."""

    def __init__(self, method: Method, file: FailingFile, disk: AnyDisk, rules: Rules, folder: Path) -> None:
        self.method, self.file, self.disk, self.rules = method, file, disk, rules
        self.identity = identity_of(disk, rules)
        self._image, self._state = folder / "before.img", folder / "before.state"
        self._begin()
        self._take()

    def _begin(self) -> None:
        disk, method = self.disk, self.method
        if method.made == "blank":
            return
        if isinstance(disk, Disk):
            fill(disk.tenancy())
            return
        ended = self.obey(prepare(self.identity))
        assert state(ended) == ("done", ""), ended.work
        if method.is_block:
            for start in (0, 128 << 10, BLOCK_BYTES - 4096):
                disk.write(start, SECRET)
            return
        fill(disk.ours / OLD)
        (disk.ours / OLD / "secret").write_bytes(SECRET)
        self.identity = identity_of(disk, self.rules)
        if method.made == "unknown":
            disk.unmount()
            shutil.rmtree(self.rules.state)

    @property
    def order(self) -> Order:
        match self.method.made:
            case "blank":
                return prepare(self.identity, next=NEXT)
            case "unknown":
                return Order(id="order-1", kind="mount", next=OLD, epoch=1, identity=self.identity)
        return reclaim(self.identity, method=self.method.method)

    def obey(self, order: Order, tick: Callable[[str], None] = lambda what: None) -> Ended:
        with erases_itself(through_the_device):
            return obey(self.disk, order, self.rules, job=self.method.job, tick=tick)

    def put_away(self) -> None:
        """As a shutdown does: nothing is mounted, and nothing is cached."""
        unmount(self.disk)
        subprocess.run(["blockdev", "--setrw", "--flushbufs", self.disk.loop], check=True)

    def boot(self) -> None:
        """What is mounted at the start of the machine, as far as it can be."""
        self.put_away()
        if isinstance(self.disk, Disk):
            # What a disk that lies has of a file system may be none.
            subprocess.run(["mount", self.disk.loop, self.disk.path], check=False, capture_output=True)
            return
        for volume, _, mode in mounting.recall(self.rules):
            job = Job(id=1, kind="mount", volume=volume, source=source_of(self.disk), volume_mode=mode)
            mounting.from_journal(job, self.rules)

    def _take(self) -> None:
        self.put_away()
        subprocess.run(["cp", "--sparse=always", self.file.image, self._image], check=True)
        if os.path.exists(self.rules.state):
            shutil.copytree(self.rules.state, self._state)
        self.boot()

    def set_back(self) -> None:
        self.put_away()
        self.file.restore(self._image)
        shutil.rmtree(self.rules.state, ignore_errors=True)
        shutil.rmtree(self.rules.nodes, ignore_errors=True)
        if self._state.exists():
            shutil.copytree(self._state, self.rules.state)
        self.boot()

    def handed(self) -> str:
        entry = journal.load(self.rules.state, self.identity)
        return entry.handed if isinstance(entry, Entry) else ""

    def is_ended(self) -> bool:
        """Whether the disk is what a done order leaves, also to one who has cached nothing of it."""
        self.boot()
        disk = self.disk
        if self.method.made == "unknown":
            kept = disk.path / names.FOLDER / OLD / "secret"
            return kept.exists() and kept.read_bytes() == SECRET
        if self.handed() != NEXT:
            return False
        if self.method.is_block:
            assert isinstance(disk, RawDisk)
            return disk.is_zero()
        next_ = disk.path / names.FOLDER / NEXT
        if not next_.exists():
            return False
        tree, empty = sorted(os.listdir(next_.parent)), not os.listdir(next_)
        whole = (
            self.method.method not in ("zero", "discard", "nvme-format")
            or SECRET not in self.file.image.read_bytes()
        )
        return tree == [NEXT] and empty and whole


@contextmanager
def case_of(method: Method, tmp_path: Path, rules: Rules) -> Iterator[Case]:
    with failing_disk(tmp_path, rules, method.size_bytes) as (served, raw):
        if method.on == "device":
            yield Case(method, served, raw, rules, tmp_path)
            return
        options = ["-K"] if method.on == "xfs" else ["-E", "nodiscard"]
        subprocess.run([f"mkfs.{method.on}", "-q", *options, raw.loop], check=True)
        disk = Disk(tmp_path / "mounted", raw.loop, raw.image)
        disk.path.mkdir()
        disk.mount()
        try:
            yield Case(method, served, disk, rules, tmp_path)
        finally:
            served.fail()
            unmount(disk)
