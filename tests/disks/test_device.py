"""Devices whose file system the daemon makes: what gets one, and what is never formatted."""

from __future__ import annotations

import fcntl
import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from disk_daemon import tools
from disk_daemon.facts.folder import Rules
from tests.disks.bench import (
    NEXT,
    OLD,
    RawDisk,
    answered,
    facts_of,
    for_all_of,
    identity_of,
    in_child,
    obey,
    source_of,
)
from tests.disks.device import entry_of, partition, partition_table, prepare, state, written
from tidb_volume.value import Content, Presence


@pytest.mark.parametrize("fs_type", ["xfs", "ext4"])
def test_a_blank_device_gets_the_file_system_that_is_asked_for_with_a_uuid_of_ours(
    raw: RawDisk, rules: Rules, fs_type: str
) -> None:
    assert facts_of(raw, rules).content is Content.BLANK
    ended = obey(raw, prepare(identity_of(raw, rules)), rules, job={"fs_type": fs_type})
    assert state(ended) == ("done", "")
    facts = ended.facts
    assert (facts.content, facts.tenancies, facts.empty) == (Content.TENANCY, (OLD,), True)
    entry = entry_of(raw, rules)
    assert entry.made is not None
    assert entry.made.fs_type == fs_type
    assert entry.made.uuid == raw.uuid() == (facts.identity.fs_uuid if facts.identity else "")
    assert (entry.handed, entry.making, ended.record.handed) == (OLD, None, OLD)
    assert (raw.ours / OLD).stat().st_mode & 0o777 == 0o777
    assert raw.ours.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("xfs", "xfs (label backup)"),
        ("ext4", "ext4 (label backup)"),
        ("swap", "swap"),
        ("random", "no known kind"),
        ("tail", "no known kind"),
        ("middle", "no known kind"),
    ],
)
def test_a_device_with_anything_on_it_is_not_blank_and_is_not_formatted(
    raw: RawDisk, rules: Rules, how: str, said: str
) -> None:
    written(raw, how)
    facts = facts_of(raw, rules)
    assert facts.content is Content.DATA
    assert facts.raw is not None
    assert said in facts.raw.found
    before = raw.image.read_bytes()
    assert state(obey(raw, prepare(identity_of(raw, rules)), rules)) == ("refused", "HasData")
    assert raw.image.read_bytes() == before
    assert not raw.is_mounted


def test_a_device_that_a_person_gave_up_is_formatted_whatever_is_on_it(raw: RawDisk, rules: Rules) -> None:
    written(raw, "ext4")
    order = for_all_of(raw, rules, prepare(identity_of(raw, rules), answer="question-1"))
    api = answered(raw, order)
    assert state(obey(raw, order, rules, api)) == ("done", "")
    assert raw.is_mounted


def test_a_device_that_somebody_has_mounted_is_not_touched(
    raw: RawDisk, rules: Rules, tmp_path: Path
) -> None:
    written(raw, "ext4")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    subprocess.run(["mount", raw.loop, elsewhere], check=True)
    try:
        facts = facts_of(raw, rules)
        assert str(elsewhere) in facts.users[0].who
        ended = obey(raw, prepare(identity_of(raw, rules)), rules)
        assert state(ended) == ("running", "InUse")
        order = for_all_of(raw, rules, prepare(identity_of(raw, rules), answer="q"))
        api = answered(raw, order)
        assert state(obey(raw, order, rules, api)) == ("running", "InUse")
    finally:
        subprocess.run(["umount", elsewhere], check=True)
    assert "ext4" in (facts_of(raw, rules).raw or pytest.fail("no raw")).found


def test_a_device_that_is_held_exclusively_is_waited_for(raw: RawDisk, rules: Rules) -> None:
    identity = identity_of(raw, rules)
    fd = os.open(raw.loop, os.O_RDONLY | os.O_EXCL)
    try:
        assert state(obey(raw, prepare(identity), rules)) == ("running", "InUse")
    finally:
        os.close(fd)
    assert state(obey(raw, prepare(identity), rules)) == ("done", "")


def test_another_process_of_ours_at_the_disk_is_waited_for(raw: RawDisk, rules: Rules) -> None:
    identity = identity_of(raw, rules)
    fd = os.open(raw.loop, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        ended = obey(raw, prepare(identity), rules, sleep=lambda _: None)
        assert state(ended) == ("running", "Locked")
    finally:
        os.close(fd)


@pytest.mark.guards("a_device_is_locked")
@pytest.mark.parametrize("mode", ["Filesystem", "Block"])
def test_a_device_that_two_make_ready_at_once_is_made_ready_once(
    raw: RawDisk, rules: Rules, mode: str
) -> None:
    """Of two daemons, whichever step the first one is at (directpv #789: parallel `init`)."""
    job, identity = {"volume_mode": mode}, identity_of(raw, rules)
    steps: list[str] = []

    def second() -> None:
        order = prepare(identity, id="order-2", next=NEXT)
        ended = obey(raw, order, rules, job=job, sleep=lambda _: None)
        assert state(ended) == ("running", "Locked")

    def tick(what: str) -> None:
        steps.append(what)
        assert in_child(second) == 0, what

    assert state(obey(raw, prepare(identity), rules, job=job, tick=tick)) == ("done", "")
    assert ("mkfs" if mode == "Filesystem" else "overwrite") in steps
    facts = facts_of(raw, rules, **job)
    assert facts.tenancies == (OLD,)
    assert (facts.raw or pytest.fail("no raw")).uuid == raw.uuid()
    assert entry_of(raw, rules).handed == OLD


def has_lock(fd: int) -> bool:
    return "FLOCK" in Path(f"/proc/self/fdinfo/{fd}").read_text()


@pytest.mark.parametrize("in_part", [False, True])
def test_mkfs_holds_on_to_the_lock_of_the_disk_for_as_long_as_it_is_there(
    raw: RawDisk, rules: Rules, monkeypatch: pytest.MonkeyPatch, *, in_part: bool
) -> None:
    """Killed, its parent leaves the disk to nobody while it writes still."""
    whole, run, held = os.stat(raw.loop).st_rdev, tools.run, []

    def seen(namespace: int, argv: list[str], fd: int, kept: tuple[int, ...] = ()) -> tuple[int, str, str]:
        if argv[0].startswith("mkfs"):
            held.extend(os.fstat(each).st_rdev for each in (fd, *kept) if has_lock(each))
        return run(namespace, argv, fd, kept)

    monkeypatch.setattr(tools, "run", seen)
    with ExitStack() as stack:
        entry = raw
        if in_part:
            raw.write(0, partition_table())
            entry = raw._replace(by_id=Path(stack.enter_context(partition(raw))))
            stack.callback(entry.unmount)
        order = prepare(identity_of(entry, rules))
        assert state(obey(entry, order, rules, job={"fs_type": "ext4"})) == ("done", "")
        assert whole in held


def test_a_name_that_leads_to_no_device_or_to_none_is_said(
    raw: RawDisk, rules: Rules, tmp_path: Path
) -> None:
    raw.by_id.unlink()
    assert facts_of(raw, rules).presence is Presence.NOT_PRESENT
    (tmp_path / "file").write_bytes(bytes(4096))
    raw.by_id.symlink_to(tmp_path / "file")
    assert facts_of(raw, rules).presence is Presence.REFUSED


@pytest.mark.guards("not_a_partitions_parent")
def test_a_device_with_partitions_is_refused(raw: RawDisk, rules: Rules) -> None:
    raw.write(0, partition_table())
    subprocess.run(["addpart", raw.loop, "1", "2048", "204800"], check=True)
    try:
        facts = facts_of(raw, rules)
    finally:
        subprocess.run(["delpart", raw.loop, "1"], check=True)
    assert (facts.presence, "partition" in facts.message) == (Presence.OCCUPIED, True)


def test_another_serial_than_the_entry_says_is_the_wrong_disk(raw: RawDisk, rules: Rules) -> None:
    source = msgspec.structs.replace(source_of(raw), serial="S4X0")
    facts = facts_of(raw, rules, source=source)
    assert facts.presence is Presence.WRONG_DISK
    assert "its entry is wrong" in facts.message, "there is no question by which a person could accept it"


@pytest.mark.guards("a_device_is_compared_first")
def test_a_name_that_moved_to_a_disk_of_ours_does_not_mount_that(
    raw: RawDisk, rules: Rules, tmp_path: Path
) -> None:
    identity = identity_of(raw, rules)
    other = RawDisk.make(tmp_path, "moved", rules)
    try:
        assert state(obey(other, prepare(identity_of(other, rules)), rules)) == ("done", "")
        other.unmount()
        raw.by_id.unlink()
        raw.by_id.symlink_to(other.loop)
        assert state(obey(raw, prepare(identity), rules)) == ("refused", "WrongDisk")
        assert not raw.is_mounted
    finally:
        other.remove()


@pytest.mark.guards("identity_matches")
def test_a_name_that_moved_to_another_disk_is_refused(raw: RawDisk, rules: Rules, tmp_path: Path) -> None:
    identity = identity_of(raw, rules)
    other = RawDisk.make(tmp_path, "moved", rules)
    try:
        raw.by_id.unlink()
        raw.by_id.symlink_to(other.loop)
        assert state(obey(raw, prepare(identity), rules)) == ("refused", "WrongDisk")
        assert other.image.read_bytes().count(0) == other.image.stat().st_size
    finally:
        other.remove()
