"""A disk and a partition of it, each an entry: what one of them is to somebody, the other is too."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from disk_daemon import journal, kernel
from disk_daemon.facts import hardware, openers
from disk_daemon.facts.folder import Rules
from disk_daemon.known import Entry
from tests.disks.bench import OTHER, RawDisk, facts_of, identity_of, obey, reclaim
from tests.disks.device import SECRET, partition, partition_table, prepare, state
from tests.disks.failing_case import BLOCK
from tests.disks.signatures import SIGNATURES
from tests.disks.test_whole_disk import program
from tidb_volume.value import Content, Identity, Presence


@pytest.fixture
def handed(raw: RawDisk, rules: Rules) -> RawDisk:
    """A Block volume in a tenant's hands, who has made a partition on it."""
    assert state(obey(raw, prepare(identity_of(raw, rules)), rules, job=BLOCK)) == ("done", "")
    raw.write(0, partition_table())
    raw.write(200 << 20, SECRET)
    return raw


def listed(raw: RawDisk, name: str) -> RawDisk:
    """The partition as an entry."""
    return raw._replace(by_id=Path(name))


def part_of(name: str) -> Identity:
    return hardware.identity(hardware.number(os.stat(name).st_rdev), virtual_disks=True)


# --- the partition is listed ------------------------------------------------------------------------------


@pytest.mark.guards("not_on_a_tenants_disk")
@pytest.mark.parametrize("job", [{}, BLOCK], ids=["file system", "Block"])
def test_a_partition_that_a_tenant_made_on_his_raw_device_is_no_blank_disk(
    handed: RawDisk, rules: Rules, job: dict[str, str]
) -> None:
    """After a boot the kernel knows it, it is zero, and nobody has it open while the pod is away."""
    before = handed.content()
    with partition(handed) as name:
        seen = facts_of(listed(handed, name), rules, **job)
        assert (seen.presence, seen.content) == (Presence.CONFLICT, Content.UNKNOWN)
        assert "is a raw device of volume volume-a" in seen.message
        ended = obey(listed(handed, name), prepare(part_of(name)), rules, job=job)
        assert state(ended) == ("refused", "Conflict")
    assert handed.content() == before


@contextmanager
def bound(node: str, folder: Path) -> Iterator[None]:
    """As the kubelet binds the node of a Block volume."""
    target = folder / "bound"
    target.touch()
    subprocess.run(["mount", "--bind", node, target], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", target], check=True)


@contextmanager
def looped(node: str, folder: Path) -> Iterator[None]:
    words = ["losetup", "-f", "--show", node]
    loop = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield
    finally:
        subprocess.run(["losetup", "-d", loop], check=True)


@contextmanager
def has_open(node: str, folder: Path) -> Iterator[None]:
    with program(lambda: os.open(node, os.O_RDWR)):
        yield


@pytest.mark.guards("not_in_use")
@pytest.mark.parametrize("use", [bound, looped, has_open], ids=lambda each: each.__name__)
def test_who_has_all_of_the_disk_has_each_partition_of_it(
    raw: RawDisk, rules: Rules, tmp_path: Path, use: Callable[[str, Path], Iterator[None]]
) -> None:
    """O_EXCL on the partition would not tell: nobody holds the disk exclusively."""
    with partition(raw) as name:
        entry = listed(raw, name)
        order = prepare(identity_of(entry, rules))
        with use(raw.loop, tmp_path):
            os.close(os.open(name, os.O_RDWR | os.O_EXCL))
            assert len(facts_of(entry, rules).users) == 1
            assert state(obey(entry, order, rules)) == ("running", "InUse")
        assert not facts_of(entry, rules).users


def test_who_has_another_partition_of_the_disk_does_not_have_this_one(
    raw: RawDisk, rules: Rules, tmp_path: Path
) -> None:
    with partition(raw) as name, partition(raw, 2) as other:
        with bound(other, tmp_path), looped(other, tmp_path), has_open(other, tmp_path):
            assert facts_of(listed(raw, name), rules).users == ()
        assert facts_of(listed(raw, name), rules, **BLOCK).users == ()


def test_who_has_all_of_the_disk_mounted_is_named(raw: RawDisk, rules: Rules, tmp_path: Path) -> None:
    target = tmp_path / "mounted"
    target.mkdir()
    with partition(raw) as name:
        subprocess.run(["mkfs.ext4", "-q", "-F", raw.loop], check=True)
        subprocess.run(["mount", raw.loop, target], check=True)
        try:
            users = facts_of(listed(raw, name), rules).users
        finally:
            subprocess.run(["umount", target], check=True)
    assert [str(target) in each.who for each in users] == [True]


@pytest.mark.guards("its_disk_is_no_member")
def test_a_partition_of_a_member_of_an_array_is_occupied(raw: RawDisk, rules: Rules) -> None:
    raw.write(0, partition_table())
    with partition(raw) as name:
        entry = listed(raw, name)
        order = prepare(identity_of(entry, rules))
        for start, content in SIGNATURES["linux_raid_member"]:
            raw.write(start, content)
        seen = facts_of(entry, rules)
        assert (seen.presence, "linux_raid_member" in seen.message) == (Presence.OCCUPIED, True)
        assert state(obey(entry, order, rules)) == ("refused", "Occupied")


# --- the whole disk is listed -----------------------------------------------------------------------------


@pytest.mark.guards("no_partition_is_handed")
def test_what_another_volume_has_on_a_partition_is_not_wiped_with_the_disk(
    handed: RawDisk, rules: Rules
) -> None:
    """It was mounted, and listed as a folder; after a boot it is not mounted, so nobody has it."""
    order = reclaim(identity_of(handed, rules))
    with partition(handed) as name:
        entry = Entry(identity=part_of(name), handed=OTHER, volume="volume-b", source="/data/b")
        journal.store(rules.state, entry)
        assert facts_of(handed, rules, **BLOCK).presence is Presence.OK, "only an order matters"
        ended = obey(handed, order, rules, job=BLOCK)
        assert state(ended) == ("refused", "Conflict")
        assert ended.work is not None
        record = journal.file_of(rules.state, entry.identity)
        assert "is the disk of volume volume-b (/data/b)" in ended.work.message
        assert str(record) in ended.work.message
        assert handed.holds(SECRET)
        record.rename(record.with_suffix(".old"))
        assert state(obey(handed, order, rules, job=BLOCK)) == ("done", "")
    assert handed.is_zero()


def test_a_record_of_a_partition_that_is_no_more_keeps_no_disk(handed: RawDisk, rules: Rules) -> None:
    order = reclaim(identity_of(handed, rules))
    with partition(handed) as name:
        journal.store(rules.state, Entry(identity=part_of(name), handed=OTHER, volume="volume-b"))
    assert state(obey(handed, order, rules, job=BLOCK)) == ("done", "")


# --- who works on another partition -----------------------------------------------------------------------


def asked(raw: RawDisk, name: str, opened: str, rules: Rules, maker: str) -> bytes:
    """Who a child of a process of that name sees of its siblings as a user of a partition; one has something
    open."""
    devices = {os.stat(each).st_rdev for each in (name, raw.loop)}
    answer, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            kernel.name_process(maker)
            with program(lambda: os.open(opened, os.O_RDONLY)) as sibling:
                if os.fork() == 0:
                    locked = os.stat(raw.loop).st_rdev
                    users = openers.users_of_processes(devices, [str(sibling)], rules, locked=locked)
                    os.write(told, msgspec.json.encode(users))
                    os._exit(0)
                os.wait()
        finally:
            os._exit(0)
    os.close(told)
    os.waitpid(pid, 0)
    with os.fdopen(answer, "rb") as said:
        return said.read()


def test_a_child_of_the_daemon_that_works_on_another_partition_does_not_use_this_one(
    raw: RawDisk, rules: Rules
) -> None:
    """It has the lock of all of the disk. One that has this very partition is in the way, whoever it is."""
    with partition(raw) as name:
        assert asked(raw, name, raw.loop, rules, "disk-zygote") == b"[]"
        assert b"has it open" in asked(raw, name, name, rules, "disk-zygote")
        assert b"has it open" in asked(raw, name, raw.loop, rules, "another")
