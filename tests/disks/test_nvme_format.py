"""Disks that are to erase themselves. One that says that it has, and has left something, is not believed.

What was planted is the only proof of it on a device with a file system, since nothing else is written over
what was there; a Block volume is zeroed besides.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from disk_daemon import blockdev
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Ended
from disk_daemon.wipe import on_device
from tests.disks.bench import (
    NEXT,
    OLD,
    Api,
    RawDisk,
    die_at,
    entry_of,
    facts_of,
    identity_of,
    in_child,
    obey,
    reclaim,
    state,
    volume_with,
)
from tests.disks.device import SECRET, partition, partition_table, prepare
from tests.disks.erasing import (
    erases_itself,
    every_other_block,
    first_half,
    last_half,
    noise,
    nothing,
    one_byte_of_each,
    zeroes,
)
from tests.disks.failing_case import BLOCK, EXT4, EXT4_BYTES
from tidb_volume.value import Identity, Order

KINDS = pytest.mark.parametrize("job", [EXT4, BLOCK], ids=["file system", "Block"])
Erase = Callable[[Path], None]


class Used(NamedTuple):
    """A disk with a tenant's secret on it."""

    disk: RawDisk
    rules: Rules
    job: dict[str, Any]
    identity: Identity

    @property
    def order(self) -> Order:
        return reclaim(self.identity, method="nvme-format")

    def again(self) -> Order:
        """As the controller orders it after a failure."""
        return msgspec.structs.replace(self.order, id="order-2", attempt=1)

    def obey(self, order: Order, erase: Erase, api: Api | None = None, **options: Any) -> Ended:
        """Carry it out on a disk that erases itself so."""
        with erases_itself(lambda fd: erase(self.disk.image)):
            return obey(self.disk, order, self.rules, api, job=self.job, **options)

    @property
    def handed(self) -> str:
        return entry_of(self.disk, self.rules).handed

    def can_be_had(self) -> bool:
        """By anybody: it is mounted, or its node is there."""
        nodes = [Path(self.rules.nodes) / each for each in (OLD, NEXT)]
        return self.disk.is_mounted or any(map(Path.exists, nodes))

    def is_erased(self) -> bool:
        """Nothing of the tenant's is on it, and on a Block volume nothing at all."""
        return self.disk.is_zero() if self.job is BLOCK else not self.disk.holds(SECRET)

    def is_the_next_ones(self) -> bool:
        """Erased, and handed over."""
        facts = facts_of(self.disk, self.rules, **self.job)
        handed = (self.handed, facts.tenancies, facts.empty) == (NEXT, (NEXT,), True)
        return handed and self.can_be_had() and self.is_erased()


@contextmanager
def used(
    folder: Path, rules: Rules, job: dict[str, Any], number: int = 1, size: int = EXT4_BYTES
) -> Iterator[Used]:
    with RawDisk.numbered(folder, number, rules, size) as (disk, own):
        identity = identity_of(disk, own)
        assert state(obey(disk, prepare(identity), own, job=job)) == ("done", "")
        if job is BLOCK:
            for start in (0, size // 2, size - 4096):
                disk.write(start, SECRET)
        else:
            (disk.ours / OLD / "data").write_bytes(SECRET * 10000)
        assert disk.holds(SECRET)
        try:
            yield Used(disk, own, job, identity)
        finally:
            for each in (OLD, NEXT):
                (Path(own.nodes) / each).unlink(missing_ok=True)


@KINDS
@pytest.mark.parametrize("erase", [zeroes, noise])
def test_a_disk_that_has_erased_all_of_itself_is_the_next_owners(
    own_mounts: None, tmp_path: Path, rules: Rules, job: dict[str, Any], erase: Erase
) -> None:
    asked: list[bool] = []

    def erased(image: Path) -> None:
        asked.append(case.can_be_had())
        erase(image)

    with used(tmp_path, rules, job) as case:
        api = Api(volume_with(case.disk, case.order))
        ended = case.obey(case.order, erased, api)
        assert state(ended) == ("done", ""), ended.work
        assert asked == [False]
        assert case.is_the_next_ones()
        assert "the disk erases itself, which cannot be stopped" in [work.message for work in api.told]


@KINDS
@pytest.mark.parametrize("erase", [nothing, one_byte_of_each, first_half, last_half, every_other_block])
def test_a_disk_that_says_that_it_has_erased_all_and_has_not_fails_the_order_and_is_nobodys(
    own_mounts: None, tmp_path: Path, rules: Rules, job: dict[str, Any], erase: Erase
) -> None:
    with used(tmp_path, rules, job) as case:
        ended = case.obey(case.order, erase)
        assert state(ended) == ("failed", "EIO")
        assert ended.work is not None
        assert ended.work.begun
        assert "says that it erased all, and has not" in ended.work.message
        assert (case.handed, case.can_be_had()) == (OLD, False)
        assert state(case.obey(case.again(), zeroes)) == ("done", "")
        assert case.is_the_next_ones()


@KINDS
@pytest.mark.parametrize("number", [errno.EIO, errno.ETIMEDOUT], ids=errno.errorcode.get)
def test_a_disk_that_does_not_erase_itself_fails_the_order_with_its_own_word(
    own_mounts: None, tmp_path: Path, rules: Rules, job: dict[str, Any], number: int
) -> None:
    def fails(image: Path) -> None:
        raise OSError(number, "Format NVM ended with status 0x6 of the disk")

    with used(tmp_path, rules, job) as case:
        ended = case.obey(case.order, fails)
        assert state(ended) == ("failed", errno.errorcode[number])
        assert ended.work is not None
        assert "status 0x6" in ended.work.message
        assert (case.handed, case.can_be_had()) == (OLD, False)
        assert case.disk.holds(SECRET)
        assert state(case.obey(case.again(), noise)) == ("done", "")
        assert case.is_the_next_ones()


# --- cut ------------------------------------------------------------------------------------------------


@pytest.mark.long
@KINDS
def test_killed_before_any_step_of_it_the_next_process_ends_it(
    own_mounts: None, tmp_path: Path, rules: Rules, job: dict[str, Any]
) -> None:
    """The last of the steps, at which nobody is killed, is the whole of it."""
    step, ended = 0, False
    while not ended:
        step += 1
        with used(tmp_path, rules, job, step) as case:
            order, tick = case.order, die_at(step)
            ended = in_child(lambda: case.obey(order, noise, tick=tick)) == 0  # noqa: B023
            assert case.handed == OLD or case.is_erased(), step
            again = case.again() if step % 2 else order
            assert state(case.obey(again, noise)) == ("done", ""), step
            assert case.is_the_next_ones(), step
    assert step > 10


@KINDS
@pytest.mark.parametrize("part", [nothing, first_half, last_half, noise])
def test_killed_while_the_disk_erases_itself_the_next_process_has_it_done_again(
    own_mounts: None, tmp_path: Path, rules: Rules, job: dict[str, Any], part: Erase
) -> None:
    """And is as little content with the disk's word as the first one."""

    def cut(image: Path) -> None:
        part(image)
        os.kill(os.getpid(), signal.SIGKILL)

    with used(tmp_path, rules, job) as case:
        assert os.WIFSIGNALED(in_child(lambda: case.obey(case.order, cut)))
        assert (case.handed, case.can_be_had()) == (OLD, False)
        assert state(case.obey(case.order, nothing)) == ("failed", "EIO")
        assert (case.handed, case.can_be_had()) == (OLD, False)
        assert state(case.obey(case.order, noise)) == ("done", "")
        assert case.is_the_next_ones()


@pytest.mark.usefixtures("even_chunks")
def test_what_was_zeroed_before_a_cut_is_zeroed_again_after_the_disk_has_erased_itself_again(
    own_mounts: None, tmp_path: Path, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then there is noise, which the journal's count would leave to the next owner."""
    monkeypatch.setattr(on_device, "LOOK_EVERY_S", 0.0)
    left = [3]

    def tick(what: str) -> None:
        left[0] -= what == "overwrite"
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    with used(tmp_path, rules, BLOCK, size=3 * blockdev.CHUNK_BYTES) as case:
        assert os.WIFSIGNALED(in_child(lambda: case.obey(case.order, noise, tick=tick)))
        assert entry_of(case.disk, case.rules).written_bytes == 2 * blockdev.CHUNK_BYTES
        seen: list[str] = []
        assert state(case.obey(case.order, noise, tick=seen.append)) == ("done", "")
        assert seen.count("overwrite") == 3
        assert case.is_the_next_ones()


@pytest.mark.guards("erases_no_other_partition")
def test_a_partition_is_not_erased_by_its_disks_own_command_which_would_take_all_others(
    raw: RawDisk, rules: Rules
) -> None:
    """Neither at its first use, as whatever, nor after a tenant; by another method it is."""
    raw.write(0, partition_table())
    raw.write(200 << 20, SECRET)
    erased: list[int] = []
    with partition(raw) as name, ExitStack() as stack:
        entry = raw._replace(by_id=Path(name))
        identity = identity_of(entry, rules)
        stack.enter_context(erases_itself(erased.append))
        first = prepare(identity, method="nvme-format")
        for job in (EXT4, BLOCK):
            assert state(obey(entry, first, rules, job=job)) == ("refused", "UnknownMethod")
        assert state(obey(entry, prepare(identity), rules, job=EXT4)) == ("done", "")
        stack.callback(entry.unmount)
        ended = obey(entry, reclaim(identity, method="nvme-format"), rules, job=EXT4)
        assert state(ended) == ("refused", "UnknownMethod")
        assert ended.work is not None
        assert f"{Path(name).name} is a partition of it" in ended.work.message
        assert not erased
        assert state(obey(entry, reclaim(identity, method="zero"), rules, job=EXT4)) == ("done", "")
    assert raw.holds(SECRET), "the other partition's data"
