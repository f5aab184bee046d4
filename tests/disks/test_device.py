"""Devices whose file system the daemon makes: made, mounted, wiped by making it anew, never guessed at."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from disk_daemon import journal, mounting
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Ended, Job, Mounted
from disk_daemon.known import Entry
from tests.disks.bench import (
    NEXT,
    OLD,
    OTHER,
    Api,
    RawDisk,
    die_at,
    facts_of,
    identity_of,
    in_child,
    obey,
    reclaim,
    source_of,
    volume_with,
)
from tidb_volume.value import Adopt, Content, Identity, Order, Presence, WorkState

SECRET = b"a secret of the first tenant"


def prepare(identity: Identity, **fields: object) -> Order:
    order = Order(id="order-0", kind="prepare", next=OLD, offer=True, epoch=1, identity=identity)
    return msgspec.structs.replace(order, **fields)


def entry_of(disk: RawDisk, rules: Rules) -> Entry:
    found = journal.load(rules.state, identity_of(disk, rules))
    assert isinstance(found, Entry)
    return found


def boot(disk: RawDisk, rules: Rules) -> Mounted:
    """What the daemon does at its start, before it knows any volume."""
    assert mounting.recall(rules) == (("volume-a", str(disk.by_id), "Filesystem"),)
    return mounting.from_journal(Job(id=1, kind="mount", volume="volume-a", source=source_of(disk)), rules)


@pytest.fixture
def offered(raw: RawDisk, rules: Rules) -> RawDisk:
    """The disk with its first tenancy on offer."""
    ended = obey(raw, prepare(identity_of(raw, rules)), rules)
    assert ended.work is not None
    assert ended.work.state is WorkState.DONE, ended.work
    return raw


@pytest.fixture
def used(offered: RawDisk) -> RawDisk:
    """The disk with a tenant's data on it."""
    (offered.ours / OLD / "data").write_bytes(SECRET)
    os.sync()
    return offered


def state(ended: Ended) -> tuple[str, str]:
    assert ended.work is not None, ended
    return ended.work.state.value, ended.work.reason


# --- first use ----------------------------------------------------------------------------------------------


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


def partition_table() -> bytes:
    """A master boot record with one Linux partition of 100 MiB at 1 MiB."""
    entry = struct.pack("<B3sB3sII", 0, bytes(3), 0x83, bytes(3), 2048, 204800)
    return bytes(446) + entry + bytes(48) + b"\x55\xaa"


def written(raw: RawDisk, how: str) -> None:
    words = {
        "xfs": ["mkfs.xfs", "-q", "-K", "-L", "backup", raw.loop],
        "ext4": ["mkfs.ext4", "-q", "-L", "backup", raw.loop],
        "swap": ["mkswap", "-q", raw.loop],
    }
    if how in words:
        subprocess.run(words[how], check=True, capture_output=True)
    elif how == "random":
        raw.write(0, os.urandom(4096))
    elif how == "tail":
        raw.write(os.path.getsize(raw.image) - 512, b"x" * 512)
    elif how == "middle":
        for start in range(64 << 20, 256 << 20, 1 << 20):
            raw.write(start, b"y" * (512 << 10))


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
    order = prepare(identity_of(raw, rules), answer="question-1", whole_disk=True)
    api = Api(volume_with(raw, order))
    api.change_admin(adopt=Adopt(question="question-1", action="Wipe"))
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
        order = prepare(identity_of(raw, rules), answer="q", whole_disk=True)
        api = Api(volume_with(raw, order))
        api.change_admin(adopt=Adopt(question="q", action="Wipe"))
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


def test_a_name_that_leads_to_no_device_or_to_none_is_said(
    raw: RawDisk, rules: Rules, tmp_path: Path
) -> None:
    raw.by_id.unlink()
    assert facts_of(raw, rules).presence is Presence.NOT_PRESENT
    (tmp_path / "file").write_bytes(bytes(4096))
    raw.by_id.symlink_to(tmp_path / "file")
    assert facts_of(raw, rules).presence is Presence.REFUSED


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


# --- reboot -------------------------------------------------------------------------------------------------


def test_after_a_reboot_it_is_mounted_from_the_journal_with_its_data(used: RawDisk, rules: Rules) -> None:
    used.unmount()
    facts = facts_of(used, rules)
    assert facts.presence is Presence.NOT_MOUNTED
    assert boot(used, rules).ok
    assert (used.ours / OLD / "data").read_bytes() == SECRET
    assert facts_of(used, rules).tenancies == (OLD,)
    assert boot(used, rules).said == "mounted already"


def test_another_file_system_in_its_place_is_not_mounted_and_not_formatted(
    used: RawDisk, rules: Rules
) -> None:
    used.unmount()
    subprocess.run(["mkfs.xfs", "-q", "-f", "-K", used.loop], check=True)
    before = used.image.read_bytes()
    assert not boot(used, rules).ok
    assert not used.is_mounted
    facts = facts_of(used, rules)
    assert facts.content is Content.DATA
    for order in (reclaim(identity_of(used, rules)), prepare(identity_of(used, rules), id="p", next=NEXT)):
        assert state(obey(used, order, rules)) == ("refused", "HasData")
    assert used.image.read_bytes() == before


@pytest.mark.parametrize("size", [4096, 320 << 20])
def test_a_damaged_superblock_is_not_blank(used: RawDisk, rules: Rules, size: int) -> None:
    """Even if all of the disk is zero by now: something was there, and it was not us who took it away."""
    used.unmount()
    for start in range(0, size, 1 << 20):
        used.write(start, bytes(min(size, 1 << 20)))
    subprocess.run(["blockdev", "--flushbufs", used.loop], check=True)
    assert not boot(used, rules).ok
    facts = facts_of(used, rules)
    assert facts.content is Content.DATA
    assert facts.raw is not None
    assert "damaged or gone" in facts.raw.damage
    before = used.image.read_bytes()
    for order in (reclaim(identity_of(used, rules)), prepare(identity_of(used, rules), id="p", next=NEXT)):
        assert state(obey(used, order, rules)) == ("refused", "HasData")
    assert used.image.read_bytes() == before
    assert not used.is_mounted


def test_another_disk_under_the_name_is_not_mounted(used: RawDisk, rules: Rules, tmp_path: Path) -> None:
    used.unmount()
    copy = RawDisk.make(tmp_path, "copy", rules)
    try:
        copy.image.write_bytes(used.image.read_bytes())
        used.by_id.unlink()
        used.by_id.symlink_to(copy.loop)
        assert not boot(used, rules).ok
        assert not used.is_mounted
    finally:
        copy.remove()


def test_something_in_the_folder_where_it_is_to_be_mounted_stops_the_mount(
    used: RawDisk, rules: Rules
) -> None:
    used.unmount()
    (used.path / "file").write_text("x")
    assert not boot(used, rules).ok
    assert not used.is_mounted


# --- wipes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["auto", "format", "files"])
def test_a_released_tenancy_is_wiped_and_the_next_one_finds_nothing(
    used: RawDisk, rules: Rules, method: str
) -> None:
    before = used.uuid()
    ended = obey(used, reclaim(identity_of(used, rules), method=method), rules)
    assert state(ended) == ("done", "")
    assert ended.facts.tenancies == (NEXT,)
    assert list((used.ours / NEXT).iterdir()) == []
    assert sorted(each.name for each in used.ours.iterdir()) == [NEXT]
    assert (used.uuid() == before) == (method == "files")
    entry = entry_of(used, rules)
    assert (entry.handed, entry.order, entry.making) == (NEXT, None, None)
    again = obey(used, reclaim(identity_of(used, rules), method=method), rules)
    assert state(again) == ("done", "")


def test_an_order_done_is_not_done_again_on_data(used: RawDisk, rules: Rules) -> None:
    order = reclaim(identity_of(used, rules))
    obey(used, order, rules)
    (used.ours / NEXT / "data").write_bytes(SECRET)
    assert state(obey(used, order, rules)) == ("refused", "HasData")
    assert (used.ours / NEXT / "data").read_bytes() == SECRET


def test_a_fresh_offer_of_an_unused_disk_formats_nothing(offered: RawDisk, rules: Rules) -> None:
    before = offered.uuid()
    order = prepare(identity_of(offered, rules), id="order-1", ends=OLD, next=NEXT)
    assert state(obey(offered, order, rules)) == ("done", "")
    assert offered.uuid() == before
    assert facts_of(offered, rules).tenancies == (NEXT,)


def test_an_order_for_another_tenancy_formats_nothing(used: RawDisk, rules: Rules) -> None:
    order = reclaim(identity_of(used, rules), ends=OTHER)
    assert state(obey(used, order, rules)) == ("refused", "HasData")
    assert (used.ours / OLD / "data").read_bytes() == SECRET


def test_a_pods_mount_is_waited_for(used: RawDisk, rules: Rules, tmp_path: Path) -> None:
    pod = tmp_path / "pod"
    pod.mkdir()
    subprocess.run(["mount", "--bind", used.ours / OLD, pod], check=True)
    try:
        ended = obey(used, reclaim(identity_of(used, rules)), rules)
        assert state(ended) == ("running", "InUse")
        assert (pod / "data").read_bytes() == SECRET
    finally:
        subprocess.run(["umount", pod], check=True)
    assert state(obey(used, reclaim(identity_of(used, rules)), rules)) == ("done", "")


@pytest.fixture
def holder(used: RawDisk) -> Iterator[int]:
    """A process in a mount namespace of its own, with a copy of the disk's mount."""
    words = ["unshare", "--mount", "--propagation=private", "sh", "-c", "echo; exec sleep 1000"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process.pid
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_copy_of_the_mount_in_a_private_namespace_is_named_and_the_disk_stays_as_it_is(
    used: RawDisk, rules: Rules, holder: int
) -> None:
    before = used.uuid()
    ended = obey(used, reclaim(identity_of(used, rules), method="format"), rules)
    assert state(ended) == ("running", "InUse")
    assert ended.work is not None
    assert str(holder) in ended.work.message
    assert ended.pids == (holder,)
    assert not ended.work.begun
    assert used.is_mounted
    assert (used.ours / OLD / "data").read_bytes() == SECRET
    assert used.uuid() == before
    assert entry_of(used, rules).order is None


def test_where_somebody_holds_a_copy_auto_deletes_the_files(used: RawDisk, rules: Rules, holder: int) -> None:
    before = used.uuid()
    assert state(obey(used, reclaim(identity_of(used, rules), method="auto"), rules)) == ("done", "")
    assert used.uuid() == before
    assert facts_of(used, rules).tenancies == (NEXT,)


@pytest.mark.parametrize("reading", [2])
def test_an_order_withdrawn_after_the_unmount_leaves_the_disk_mounted_with_its_data(
    used: RawDisk, rules: Rules, reading: int
) -> None:
    order = reclaim(identity_of(used, rules), method="format")
    api = Api(volume_with(used, order))
    api.on_read = lambda number: api.change_order(withdrawn=True) if number == reading else None
    ended = obey(used, order, rules, api)
    assert state(ended) == ("refused", "Withdrawn")
    assert ended.work is not None
    assert not ended.work.begun
    assert (used.ours / OLD / "data").read_bytes() == SECRET
    assert entry_of(used, rules).order is None


@pytest.mark.parametrize("reading", [1, 2])
def test_a_pause_before_mkfs_leaves_the_disk_mounted_with_its_data(
    used: RawDisk, rules: Rules, reading: int
) -> None:
    order = reclaim(identity_of(used, rules), method="format")
    api = Api(volume_with(used, order))
    api.on_read = lambda number: api.pause() if number == reading else None
    assert state(obey(used, order, rules, api)) == ("running", "Paused")
    assert (used.ours / OLD / "data").read_bytes() == SECRET
    api.on_read = lambda number: None
    api.pause(False)
    assert state(obey(used, order, rules, api)) == ("done", "")


def steps(disk: RawDisk, order: Order, rules: Rules) -> list[str]:
    seen: list[str] = []
    in_order = obey(disk, order, rules, tick=seen.append)
    assert state(in_order) == ("done", "")
    return seen


def test_killed_before_any_step_of_a_format_the_next_process_ends_it(
    own_mounts: None, rules: Rules, tmp_path: Path
) -> None:
    step, ended = 0, False
    while not ended:
        step += 1
        with RawDisk.numbered(tmp_path, step, rules) as (disk, own):
            identity = identity_of(disk, own)
            assert state(obey(disk, prepare(identity), own)) == ("done", "")
            (disk.ours / OLD / "data").write_bytes(SECRET)
            order = reclaim(identity, method="format")
            tick = die_at(step)
            ended = in_child(lambda: obey(disk, order, own, tick=tick)) == 0  # noqa: B023
            if step % 2 and disk.is_mounted:
                disk.unmount()
                boot(disk, own)
            again = msgspec.structs.replace(order, id="order-2", attempt=1) if step % 3 == 0 else order
            assert state(obey(disk, again, own)) == ("done", ""), step
            facts = facts_of(disk, own)
            assert (facts.tenancies, facts.empty) == ((NEXT,), True), step
            assert entry_of(disk, own).handed == NEXT
    assert step > 8


def test_killed_before_any_step_of_the_first_format_the_next_process_ends_it(
    own_mounts: None, rules: Rules, tmp_path: Path
) -> None:
    step, ended = 0, False
    while not ended:
        step += 1
        with RawDisk.numbered(tmp_path, step, rules) as (disk, own):
            order = prepare(identity_of(disk, own))
            tick = die_at(step)
            ended = in_child(lambda: obey(disk, order, own, tick=tick)) == 0  # noqa: B023
            # Another order may take its place until the tenancy's folder is there; from then on it would be a
            # tenancy that it does not know, and a person is asked.
            another = bool(step % 2) and not facts_of(disk, own).tenancies
            again = msgspec.structs.replace(order, id="order-2", next=NEXT) if another else order
            if not ended or again is order:
                assert state(obey(disk, again, own)) == ("done", ""), step
                assert facts_of(disk, own).tenancies == (again.next,), step
    assert step > 6


def test_mkfs_cut_in_the_middle_is_taken_up_and_never_taken_for_blank(raw: RawDisk, rules: Rules) -> None:
    order = prepare(identity_of(raw, rules))

    def tick(what: str) -> None:
        if what == "read back":
            raw.write(0, os.urandom(4096))
            os.kill(os.getpid(), 9)

    assert in_child(lambda: obey(raw, order, rules, tick=tick)) != 0
    assert facts_of(raw, rules).content is Content.DATA
    assert entry_of(raw, rules).making is not None
    assert state(obey(raw, order, rules)) == ("done", "")


def test_something_else_put_where_mkfs_was_cut_is_not_formatted(raw: RawDisk, rules: Rules) -> None:
    order = prepare(identity_of(raw, rules))
    assert in_child(lambda: obey(raw, order, rules, tick=lambda what: _die_if(what == "mkfs"))) != 0
    written(raw, "ext4")
    assert state(obey(raw, order, rules)) == ("refused", "HasData")


def _die_if(now: bool) -> None:
    if now:
        os.kill(os.getpid(), 9)


# --- mount and unmount as orders ------------------------------------------------------------------------


def mount_order(identity: Identity, **fields: object) -> Order:
    order = Order(id="order-m", kind="mount", next=OLD, epoch=1, identity=identity)
    return msgspec.structs.replace(order, **fields)


def forget(rules: Rules) -> None:
    for each in (Path(rules.state) / "journal").iterdir():
        each.unlink()


def test_a_claimed_disk_whose_journal_is_lost_is_mounted_by_an_order_that_names_it(
    used: RawDisk, rules: Rules
) -> None:
    identity = identity_of(used, rules)
    used.unmount()
    forget(rules)
    assert facts_of(used, rules).content is Content.DATA
    assert state(obey(used, reclaim(identity), rules)) == ("refused", "HasData")
    assert state(obey(used, mount_order(identity), rules)) == ("done", "")
    assert (used.ours / OLD / "data").read_bytes() == SECRET
    assert entry_of(used, rules).handed == OLD
    used.unmount()
    assert boot(used, rules).ok


def test_an_order_to_mount_that_means_another_file_system_or_tenancy_mounts_nothing(
    used: RawDisk, rules: Rules
) -> None:
    identity = identity_of(used, rules)
    used.unmount()
    forget(rules)
    other = msgspec.structs.replace(identity, fs_uuid="00000000-0000-0000-0000-000000000001")
    assert state(obey(used, mount_order(other), rules)) == ("refused", "WrongDisk")
    none = msgspec.structs.replace(identity, fs_uuid="")
    assert state(obey(used, mount_order(none), rules)) == ("refused", "WrongDisk")
    assert state(obey(used, mount_order(identity, next=OTHER), rules)) == ("refused", "HasData")
    assert not used.is_mounted


def test_a_disk_that_was_put_away_is_mounted_for_the_order_that_offers_it_again(
    offered: RawDisk, rules: Rules
) -> None:
    identity = identity_of(offered, rules)
    away = Order(id="order-u", kind="unmount", epoch=1, identity=identity)
    assert state(obey(offered, away, rules)) == ("done", "")
    assert not offered.is_mounted
    assert mounting.recall(rules) == (), "nor at the next boot"
    again = prepare(identity, id="order-p", ends=OLD, next=NEXT)
    assert state(obey(offered, again, rules)) == ("done", "")
    assert offered.is_mounted
    assert (entry_of(offered, rules).handed, entry_of(offered, rules).unmounted) == (NEXT, False)


def test_a_disk_that_was_put_away_and_has_data_is_not_offered_again(used: RawDisk, rules: Rules) -> None:
    identity = identity_of(used, rules)
    away = Order(id="order-u", kind="unmount", epoch=1, identity=identity)
    assert state(obey(used, away, rules)) == ("done", "")
    again = prepare(identity, id="order-p", ends=OLD, next=NEXT)
    assert state(obey(used, again, rules)) == ("refused", "HasData")
    assert (used.ours / OLD / "data").read_bytes() == SECRET


def test_an_order_to_unmount_unmounts_and_it_stays_so(used: RawDisk, rules: Rules) -> None:
    order = Order(id="order-u", kind="unmount", epoch=1, identity=identity_of(used, rules))
    assert state(obey(used, order, rules)) == ("done", "")
    assert not used.is_mounted
    assert mounting.recall(rules) == ()
