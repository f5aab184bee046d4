"""Wipes of devices whose file system the daemon made, also cut before each of their steps."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from disk_daemon import kernel
from disk_daemon.facts.folder import Rules
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
    volume_with,
)
from tests.disks.device import SECRET, boot, entry_of, prepare, state, written
from tidb_volume.value import Content, Order


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


@pytest.fixture
def large(
    own_mounts: None, tmp_path: Path, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RawDisk]:
    """With room for labels that lie far in; and it takes no discards, which would hide what mkfs leaves."""

    def trim(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(kernel, "trim", trim)
    made = RawDisk.make(tmp_path, "large", rules, size=1200 << 20)
    try:
        yield made
    finally:
        made.remove()


def test_no_copy_of_a_label_that_lies_far_in_is_left_below_the_new_file_system(
    large: RawDisk, rules: Rules
) -> None:
    """BlueStore keeps one at 1 GiB, btrfs at 64 MiB, and others at the end."""
    identity = identity_of(large, rules)
    assert state(obey(large, prepare(identity), rules)) == ("done", "")
    before, places = large.uuid(), (64 << 20, 1 << 30, (1200 << 20) - 4096)
    for place in places:
        large.write(place, SECRET)
    assert large.holding(SECRET, places) == places
    assert state(obey(large, reclaim(identity, method="format"), rules)) == ("done", "")
    assert large.uuid() != before
    assert large.holding(SECRET, places) == ()


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


@pytest.mark.guards("not_in_use")
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
@pytest.mark.guards("not_paused")
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


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.fixture
def elsewhere(used: RawDisk, tmp_path: Path) -> Iterator[Path]:
    """A folder that somebody may mount the disk on."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    yield folder
    if folder.is_mount():
        subprocess.run(["umount", folder], check=True)


@pytest.mark.guards("a_device_is_held")
def test_nobody_can_mount_it_from_the_unmount_to_mkfs(used: RawDisk, rules: Rules, elsewhere: Path) -> None:
    steps: list[str] = []
    tried: list[int] = []

    def tick(what: str) -> None:
        if "hold" in steps and "mkfs" not in (*steps, what):
            words = ["mount", used.loop, elsewhere]
            tried.append(subprocess.run(words, check=False, capture_output=True).returncode)
        steps.append(what)

    ended = obey(used, reclaim(identity_of(used, rules), method="format"), rules, tick=tick)
    assert tried
    assert all(tried)
    assert state(ended) == ("done", "")


@pytest.mark.parametrize("fs_type", ["xfs", "ext4"])
@pytest.mark.parametrize("how", ["mounted", "held"])
def test_who_has_the_device_when_mkfs_begins_keeps_what_is_on_it(
    used: RawDisk, rules: Rules, elsewhere: Path, fs_type: str, how: str
) -> None:
    """What we held exclusively is let go for mkfs, which is told to overwrite, and takes it for itself."""
    order = reclaim(identity_of(used, rules), method="format")
    held: list[int] = []

    def tick(what: str) -> None:
        if what == "mkfs" and how == "held":
            held.append(os.open(used.loop, os.O_RDONLY | os.O_EXCL))
        elif what == "mkfs":
            subprocess.run(["mount", used.loop, elsewhere], check=True)

    ended = obey(used, order, rules, tick=tick, job={"fs_type": fs_type})
    assert state(ended) == ("failed", "EIO")
    assert ended.work is not None
    assert f"mkfs.{fs_type} ended with 1" in ended.work.message
    again = msgspec.structs.replace(order, attempt=1)
    assert state(obey(used, again, rules, job={"fs_type": fs_type})) == ("running", "InUse")
    if how == "held":
        os.close(held.pop())
        subprocess.run(["mount", used.loop, elsewhere], check=True)
    assert (elsewhere / ".tidb-volume" / OLD / "data").read_bytes() == SECRET
    subprocess.run(["umount", elsewhere], check=True)
    assert state(obey(used, again, rules, job={"fs_type": fs_type})) == ("done", "")


@pytest.mark.parametrize("at", ["journal", "hold", "mkfs"])
def test_a_name_that_moves_to_another_disk_in_mid_work_takes_the_work_nowhere(
    used: RawDisk, rules: Rules, tmp_path: Path, at: str
) -> None:
    order = reclaim(identity_of(used, rules), method="format")
    other = RawDisk.make(tmp_path, "other", msgspec.structs.replace(rules, mounts=str(tmp_path / "other")))

    def tick(what: str) -> None:
        if what == at:
            used.by_id.unlink()
            used.by_id.symlink_to(other.loop)

    try:
        other.write(0, SECRET)
        before = other.content()
        assert state(obey(used, order, rules, tick=tick)) == ("done", "")
        os.sync()
        assert other.content() == before
    finally:
        other.remove()
    used.by_id.unlink()
    used.by_id.symlink_to(used.loop)
    assert facts_of(used, rules).tenancies == (NEXT,)
