"""Wipes that write all of a device, and what they make of a disk that does not keep what it is told."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from disk_daemon import blockdev, tools
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Ended
from disk_daemon.wipe import on_device
from tests.disks.bench import (
    NEXT,
    OLD,
    SIZE_BYTES,
    Api,
    RawDisk,
    die_at,
    die_before,
    entry_of,
    facts_of,
    identity_of,
    in_child,
    obey,
    reclaim,
    state,
    volume_with,
)
from tests.disks.device import prepare
from tidb_volume.value import Order

SECRET = b"a secret of the first tenant"
BLOCK: dict[str, Any] = {"volume_mode": "Block"}
MIB = 1 << 20


def do(disk: RawDisk, order: Order, rules: Rules, api: Api | None = None, **options: Any) -> Ended:
    return obey(disk, order, rules, api, job=BLOCK, **options)


@pytest.fixture
def used(raw: RawDisk, rules: Rules) -> RawDisk:
    assert state(do(raw, prepare(identity_of(raw, rules)), rules)) == ("done", "")
    raw.write(100 * MIB, SECRET)
    return raw


def node(rules: Rules, tenancy: str) -> Path:
    return Path(rules.nodes) / tenancy


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.usefixtures("even_chunks")
def test_a_raw_device_is_written_so_many_times_and_zero_in_the_end(
    used: RawDisk, rules: Rules, monkeypatch: pytest.MonkeyPatch, passes: int
) -> None:
    written: list[bytes] = []
    write = blockdev.Writer.write

    def noted(writer: blockdev.Writer, start: int, length: int, key: bytes) -> None:
        written.append(key)
        write(writer, start, length, key)

    monkeypatch.setattr(blockdev.Writer, "write", noted)
    ended = do(used, reclaim(identity_of(used, rules), method=f"overwrite:{passes}"), rules)
    assert state(ended) == ("done", "")
    chunks = SIZE_BYTES // blockdev.CHUNK_BYTES
    assert (
        written
        == [f"{NEXT} {number}".encode() for number in range(passes - 1) for _ in range(chunks)]
        + [b""] * chunks
    )
    assert ended.work is not None
    assert ended.work.done_bytes == ended.work.total_bytes == SIZE_BYTES * (passes + 1)
    assert used.is_zero()
    assert node(rules, NEXT).exists()


def test_a_file_systems_disk_is_overwritten_before_it_is_made_anew(raw: RawDisk, rules: Rules) -> None:
    assert state(obey(raw, prepare(identity_of(raw, rules)), rules)) == ("done", "")
    (raw.ours / OLD / "data").write_bytes(SECRET * 1000)
    os.sync()
    assert raw.holds(SECRET)
    order = reclaim(identity_of(raw, rules), method="overwrite:1")
    assert state(obey(raw, order, rules)) == ("done", "")
    assert not raw.holds(SECRET)
    assert raw.is_mounted
    assert (facts_of(raw, rules).tenancies, facts_of(raw, rules).empty) == ((NEXT,), True)


@pytest.mark.parametrize("method", ["zero", "discard", "overwrite:1"])
@pytest.mark.parametrize("step", [6, 9], ids=["put aside", "all erased"])
def test_what_an_order_before_it_has_deleted_is_overwritten_all_the_same(
    raw: RawDisk, rules: Rules, method: str, step: int
) -> None:
    """A weaker one, or a version before this, was cut: its trash lies there, or nothing does any more."""
    assert state(obey(raw, prepare(identity_of(raw, rules)), rules)) == ("done", "")
    (raw.ours / OLD / "data").write_bytes(SECRET * 1000)
    os.sync()
    weaker = reclaim(identity_of(raw, rules), id="order-w", method="files")
    assert in_child(lambda: obey(raw, weaker, rules, tick=die_at(step))) != 0
    assert not (raw.ours / NEXT).exists()
    order = reclaim(identity_of(raw, rules), method=method)
    assert state(obey(raw, order, rules)) == ("done", "")
    assert not raw.holds(SECRET)
    assert (facts_of(raw, rules).tenancies, facts_of(raw, rules).empty) == ((NEXT,), True)


@pytest.mark.parametrize(("cut", "again"), [(3, 8), (8, 3)], ids=["first pass", "last pass"])
@pytest.mark.usefixtures("even_chunks")
def test_a_cut_overwrite_goes_on_in_the_pass_and_at_the_place_where_the_journal_has_it(
    used: RawDisk, rules: Rules, monkeypatch: pytest.MonkeyPatch, cut: int, again: int
) -> None:
    """What the first process wrote of a pass is compared by the second one, which has it from the order."""
    monkeypatch.setattr(on_device, "LOOK_EVERY_S", 0.0)
    order = reclaim(identity_of(used, rules), method="overwrite:2")
    assert in_child(lambda: do(used, order, rules, tick=die_before("overwrite", cut))) != 0
    assert entry_of(used, rules).written_bytes == (cut - 1) * blockdev.CHUNK_BYTES
    seen: list[str] = []
    assert state(do(used, order, rules, tick=seen.append)) == ("done", "")
    assert seen.count("overwrite") == again
    assert used.is_zero()


def test_cut_while_it_reads_the_last_pass_it_reads_all_of_it_again(
    used: RawDisk, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_device, "LOOK_EVERY_S", 0.0)
    order = reclaim(identity_of(used, rules), method="overwrite:1")
    assert in_child(lambda: do(used, order, rules, tick=die_before("read", 3))) != 0
    used.write(5 * MIB, SECRET)
    assert state(do(used, order, rules)) == ("failed", "EIO")
    assert entry_of(used, rules).written_bytes == 0
    assert state(do(used, msgspec.structs.replace(order, attempt=1), rules)) == ("done", "")
    assert used.is_zero()


@pytest.mark.usefixtures("even_chunks")
def test_another_method_begins_at_the_start(
    used: RawDisk, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_device, "LOOK_EVERY_S", 0.0)
    order = reclaim(identity_of(used, rules), method="zero")
    assert in_child(lambda: do(used, order, rules, tick=die_before("overwrite", 4))) != 0
    seen: list[str] = []
    again = msgspec.structs.replace(order, id="order-2", method="overwrite:1", attempt=1)
    assert state(do(used, again, rules, tick=seen.append)) == ("done", "")
    assert seen.count("overwrite") == SIZE_BYTES // blockdev.CHUNK_BYTES


@pytest.mark.parametrize("method", ["zero", "discard", "overwrite:2"])
def test_a_chunk_is_as_large_as_the_disk_can_take_in_a_second_and_a_cut_wipe_goes_on_after_any(
    used: RawDisk, rules: Rules, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """A stop is looked for between two of them, and none can be stopped itself."""
    monkeypatch.setattr(on_device, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(blockdev, "CHUNK_S", 0.0)
    order = reclaim(identity_of(used, rules), method=method)
    assert in_child(lambda: do(used, order, rules, tick=die_before("overwrite", 4))) != 0
    assert entry_of(used, rules).written_bytes == blockdev.FIRST_CHUNK_BYTES + 2 * blockdev.LEAST_CHUNK_BYTES
    monkeypatch.setattr(blockdev, "CHUNK_S", 1e9)
    seen: list[str] = []
    assert state(do(used, order, rules, tick=seen.append)) == ("done", "")
    assert seen.count("overwrite") < SIZE_BYTES * 2 // blockdev.CHUNK_BYTES + 8
    assert used.is_zero()


def test_a_pause_between_two_chunks_holds_an_overwrite(
    used: RawDisk, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_device, "LOOK_EVERY_S", 0.0)
    order = reclaim(identity_of(used, rules), method="overwrite:1")
    api = Api(volume_with(used, order))
    api.on_read = lambda number: api.pause() if number == 4 else None
    slept: list[bool] = []

    def sleep(_: float) -> None:
        slept.append(used.holds(SECRET))
        api.pause(False)

    assert state(do(used, order, rules, api, sleep=sleep)) == ("done", "")
    assert slept == [True]


# --- disks that do not keep their word --------------------------------------------------------------------


@pytest.mark.parametrize("method", ["zero", "discard"])
def test_a_disk_that_drops_what_it_is_told_to_write_is_found_though_all_that_is_looked_at_is_zero(
    used: RawDisk, rules: Rules, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """One secret on it, which a thousand samples miss: what was planted is not there afterwards."""
    monkeypatch.setattr(blockdev.Writer, "write", lambda writer, start, length, key: None)
    monkeypatch.setattr(blockdev, "zero", lambda fd, start, length: None)
    monkeypatch.setattr(blockdev, "discard", lambda fd, start, length: True)
    ended = do(used, reclaim(identity_of(used, rules), method=method), rules)
    assert state(ended) == ("failed", "EIO")
    assert ended.work is not None
    assert "for a trial" in ended.work.message
    assert used.holds(SECRET)
    assert not node(rules, NEXT).exists()


def test_a_command_for_zeroes_that_does_nothing_is_found_on_a_disk_that_is_almost_empty(
    used: RawDisk, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ordinary writes arrive, zeroes do not: only what was planted tells, samples alone would miss it."""
    monkeypatch.setattr(blockdev, "zero", lambda fd, start, length: None)
    monkeypatch.setattr(blockdev.Reader, "looks_zero", lambda *asked, **how: True)
    assert state(do(used, reclaim(identity_of(used, rules), method="zero"), rules)) == ("failed", "EIO")
    assert not node(rules, NEXT).exists()


def test_a_disk_that_turns_read_only_before_anything_is_planted_is_said_to_be(
    used: RawDisk, rules: Rules
) -> None:
    def tick(what: str) -> None:
        if what == "plant":
            subprocess.run(["blockdev", "--setro", used.loop], check=True)

    order = reclaim(identity_of(used, rules), method="zero")
    try:
        assert state(do(used, order, rules, tick=tick)) == ("failed", "EROFS")
    finally:
        subprocess.run(["blockdev", "--setrw", used.loop], check=True)


def test_an_overwrite_whose_first_pass_does_not_arrive_fails_there(
    used: RawDisk, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blockdev.Writer, "write", lambda writer, start, length, key: None)
    ended = do(used, reclaim(identity_of(used, rules), method="overwrite:2"), rules)
    assert state(ended) == ("failed", "EIO")
    assert ended.work is not None
    assert "pass 1 of 2" in ended.work.message


def test_one_block_that_the_last_pass_missed_is_found(
    used: RawDisk, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No sample need hit it: the last pass is read from end to end."""
    monkeypatch.setattr(blockdev, "SAMPLES", 0)

    def tick(what: str) -> None:
        if what == "read back":
            used.write(200 * MIB + 512, SECRET)

    order = reclaim(identity_of(used, rules), method="overwrite:1")
    assert state(do(used, order, rules, tick=tick)) == ("failed", "EIO")


def test_a_file_system_that_was_made_and_is_not_on_the_disk_fails_the_wipe(
    raw: RawDisk, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old one is still there, with all its data: it has not the UUID that was chosen for this wipe."""
    assert state(obey(raw, prepare(identity_of(raw, rules)), rules)) == ("done", "")
    order = reclaim(identity_of(raw, rules), method="format")
    with monkeypatch.context() as lying:
        lying.setattr(tools, "make_filesystem", lambda *_: None)
        assert state(obey(raw, order, rules)) == ("failed", "EIO")
    assert not raw.is_mounted
    assert entry_of(raw, rules).handed == OLD
    assert state(obey(raw, msgspec.structs.replace(order, attempt=1), rules)) == ("done", "")
    assert facts_of(raw, rules).tenancies == (NEXT,)


@pytest.mark.parametrize("place", [0, 64 * MIB, 128 * MIB, SIZE_BYTES - 4096])
def test_what_lies_where_signatures_are_is_found_without_a_sample(
    raw: RawDisk, rules: Rules, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """Head, tail, btrfs' copy at 64 MiB, ext4's at 128 MiB: not blank, and a wipe that leaves it fails."""
    monkeypatch.setattr(blockdev, "SAMPLES", 0)
    raw.write(place, SECRET)
    assert state(do(raw, prepare(identity_of(raw, rules)), rules)) == ("refused", "HasData")
    raw.write(place, bytes(len(SECRET)))
    assert state(do(raw, prepare(identity_of(raw, rules)), rules)) == ("done", "")

    def tick(what: str) -> None:
        if what == "read back":
            raw.write(place, SECRET)

    assert state(do(raw, reclaim(identity_of(raw, rules)), rules, tick=tick)) == ("failed", "EIO")
