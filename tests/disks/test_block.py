"""Block volumes: zeroed before anybody gets them, shown as a node of our own, waited for while in use."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from disk_daemon import blockdev, journal, mounting
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Ended, Job, Mounted
from disk_daemon.known import Entry
from tests.disks.bench import (
    NEXT,
    OLD,
    OTHER,
    SIZE_BYTES,
    Api,
    RawDisk,
    answered,
    die_at,
    facts_of,
    for_all_of,
    identity_of,
    in_child,
    obey,
    reclaim,
    source_of,
    volume_with,
)
from tests.disks.device import prepare, state
from tidb_volume.value import Content, Order, Presence

BLOCK: dict[str, Any] = {"volume_mode": "Block"}
SECRET = b"a secret of the first tenant"


def do(disk: RawDisk, order: Order, rules: Rules, api: Api | None = None, **options: Any) -> Ended:
    return obey(disk, order, rules, api, job=BLOCK, **options)


def entry_of(disk: RawDisk, rules: Rules) -> Entry:
    found = journal.load(rules.state, identity_of(disk, rules))
    assert isinstance(found, Entry)
    return found


def node_of(rules: Rules, tenancy: str) -> Path:
    return Path(rules.nodes) / tenancy


def boot(disk: RawDisk, rules: Rules) -> Mounted:
    assert mounting.recall(rules) == (("volume-a", str(disk.by_id), "Block"),)
    source = source_of(disk)
    return mounting.from_journal(
        Job(id=1, kind="mount", volume="volume-a", source=source, volume_mode="Block"), rules
    )


@pytest.fixture
def offered(raw: RawDisk, rules: Rules) -> RawDisk:
    assert state(do(raw, prepare(identity_of(raw, rules)), rules)) == ("done", "")
    return raw


PLACES = (0, 4096, 100 << 20, SIZE_BYTES - 4096)


@pytest.fixture
def used(offered: RawDisk) -> RawDisk:
    for start in PLACES:
        offered.write(start, SECRET)
    return offered


def test_a_blank_device_is_zeroed_and_its_node_leads_to_it(raw: RawDisk, rules: Rules) -> None:
    ended = do(raw, prepare(identity_of(raw, rules)), rules)
    assert state(ended) == ("done", "")
    assert node_of(rules, OLD).stat().st_rdev == os.stat(raw.loop).st_rdev
    facts = ended.facts
    assert (facts.content, facts.tenancies, facts.empty) == (Content.TENANCY, (OLD,), True)
    assert facts.capacity_bytes == SIZE_BYTES
    assert (ended.record.handed, entry_of(raw, rules).block) == (OLD, True)


def test_a_device_with_data_is_not_zeroed(raw: RawDisk, rules: Rules) -> None:
    subprocess.run(["mkfs.ext4", "-q", raw.loop], check=True)
    before = raw.image.read_bytes()
    assert facts_of(raw, rules, **BLOCK).content is Content.DATA
    assert state(do(raw, prepare(identity_of(raw, rules)), rules)) == ("refused", "HasData")
    assert raw.image.read_bytes() == before
    order = for_all_of(raw, rules, prepare(identity_of(raw, rules), answer="q"), **BLOCK)
    api = answered(raw, order)
    assert state(do(raw, order, rules, api)) == ("done", "")
    assert raw.is_zero()


@pytest.mark.parametrize("method", ["auto", "zero", "discard"])
def test_a_released_volume_is_zero_from_end_to_end(used: RawDisk, rules: Rules, method: str) -> None:
    ended = do(used, reclaim(identity_of(used, rules), method=method), rules)
    assert state(ended) == ("done", "")
    assert ended.work is not None
    assert ended.work.done_bytes == ended.work.total_bytes == SIZE_BYTES
    assert used.is_zero()
    assert not node_of(rules, OLD).exists()
    assert node_of(rules, NEXT).exists()
    assert (ended.facts.tenancies, ended.facts.empty) == ((NEXT,), True)
    assert state(do(used, reclaim(identity_of(used, rules), method=method), rules)) == ("done", "")


def test_a_discard_that_leaves_what_was_there_is_followed_by_zeroes(
    used: RawDisk, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's loop driver obeys a discard, disks need not: here it says yes and does nothing."""
    monkeypatch.setattr(blockdev, "discard", lambda fd, start, length: True)
    assert state(do(used, reclaim(identity_of(used, rules), method="discard"), rules)) == ("done", "")
    assert used.is_zero()


def test_a_disk_that_does_not_read_as_zero_afterwards_fails(
    used: RawDisk, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blockdev, "zero", lambda fd, start, length: None)
    assert state(do(used, reclaim(identity_of(used, rules)), rules)) == ("failed", "EIO")
    assert not node_of(rules, OLD).exists()
    assert not node_of(rules, NEXT).exists()


def test_after_a_wipe_that_did_not_read_as_zero_the_next_attempt_writes_all_of_it(
    used: RawDisk, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal counted the first attempt's bytes as zeroed; they were not."""
    from disk_daemon.wipe import on_device

    order = reclaim(identity_of(used, rules))
    with monkeypatch.context() as lying:
        lying.setattr(on_device, "LOOK_EVERY_S", 0.0)
        lying.setattr(blockdev, "zero", lambda fd, start, length: None)
        assert state(do(used, order, rules)) == ("failed", "EIO")
    again = msgspec.structs.replace(order, attempt=1)
    assert state(do(used, again, rules)) == ("done", "")
    assert used.is_zero()


@pytest.mark.parametrize("method", ["format", "files"])
@pytest.mark.guards("method_is_known")
def test_a_method_for_file_systems_is_refused(used: RawDisk, rules: Rules, method: str) -> None:
    assert state(do(used, reclaim(identity_of(used, rules), method=method), rules)) == (
        "refused",
        "UnknownMethod",
    )
    assert used.holds(SECRET)


def test_an_order_for_a_tenancy_that_the_journal_does_not_know_zeroes_nothing(
    used: RawDisk, rules: Rules
) -> None:
    order = reclaim(identity_of(used, rules), ends=OTHER)
    assert state(do(used, order, rules)) == ("refused", "HasData")
    for each in (Path(rules.state) / "journal").iterdir():
        each.unlink()
    assert state(do(used, reclaim(identity_of(used, rules)), rules)) == ("refused", "HasData")
    assert used.holds(SECRET)


def test_a_fresh_offer_reads_all_of_it_and_writes_nothing(offered: RawDisk, rules: Rules) -> None:
    order = prepare(identity_of(offered, rules), id="order-1", ends=OLD, next=NEXT)
    seen: list[str] = []
    assert state(do(offered, order, rules, tick=seen.append)) == ("done", "")
    assert "overwrite" not in seen
    assert node_of(rules, NEXT).exists()
    assert not node_of(rules, OLD).exists()


def test_a_fresh_offer_of_a_volume_with_one_written_sector_is_refused(offered: RawDisk, rules: Rules) -> None:
    """A thousand samples miss it; reading all of it does not."""
    offered.write((150 << 20) + 512, SECRET)
    order = prepare(identity_of(offered, rules), id="order-1", ends=OLD, next=NEXT)
    assert state(do(offered, order, rules)) == ("refused", "HasData")
    assert offered.holds(SECRET)
    assert node_of(rules, OLD).exists()


def test_what_a_full_read_has_found_somebody_wrote_and_every_later_look_says_so(
    offered: RawDisk, rules: Rules
) -> None:
    """No look sees it again, and what looks unused would be refused for ever, with no question."""
    offered.write((150 << 20) + 512, SECRET)
    order = prepare(identity_of(offered, rules), id="order-1", ends=OLD, next=NEXT)
    do(offered, order, rules)
    assert journal.seen_on(entry_of(offered, rules), OLD) == ("",)
    do(offered, order, rules)
    assert journal.seen_on(entry_of(offered, rules), OLD) == ("",)


def test_an_order_done_is_not_done_again_on_data(used: RawDisk, rules: Rules) -> None:
    order = reclaim(identity_of(used, rules))
    assert state(do(used, order, rules)) == ("done", "")
    used.write(0, SECRET)
    assert state(do(used, order, rules)) == ("refused", "HasData")
    assert used.holds(SECRET)


# --- who has it -----------------------------------------------------------------------------------------


def waits(disk: RawDisk, rules: Rules) -> str:
    ended = do(disk, reclaim(identity_of(disk, rules)), rules)
    assert state(ended) == ("running", "InUse")
    assert ended.work is not None
    assert not ended.work.begun
    assert disk.holds(SECRET)
    assert node_of(rules, OLD).exists()
    return ended.work.message


@pytest.mark.guards("not_in_use")
def test_a_bound_device_node_is_seen_under_any_name(used: RawDisk, rules: Rules, tmp_path: Path) -> None:
    """As the kubelet does it for a pod; the name of the mount's root says nothing."""
    target = tmp_path / "volumeDevice"
    target.touch()
    subprocess.run(["mount", "--bind", node_of(rules, OLD), target], check=True)
    try:
        assert "volumeDevice" in waits(used, rules)
    finally:
        subprocess.run(["umount", target], check=True)
    assert state(do(used, reclaim(identity_of(used, rules)), rules)) == ("done", "")


@pytest.mark.guards("not_in_use")
def test_a_loop_device_on_it_is_seen(used: RawDisk, rules: Rules) -> None:
    """The kubelet's; it holds nothing exclusively."""
    words = ["losetup", "-f", "--show", str(node_of(rules, OLD))]
    loop = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    try:
        assert loop.removeprefix("/dev/") in waits(used, rules)
    finally:
        subprocess.run(["losetup", "-d", loop], check=True)


@pytest.mark.guards("not_in_use")
def test_an_open_descriptor_is_seen(used: RawDisk, rules: Rules) -> None:
    held = os.open(used.loop, os.O_RDONLY | os.O_CLOEXEC)
    process = subprocess.Popen(["sleep", "1000"], stdin=held)
    os.close(held)  # else the test's own process keeps the loop device to its end
    try:
        assert f"pid {process.pid}" in waits(used, rules)
    finally:
        process.kill()
        process.wait()


def test_a_mount_of_it_is_seen(raw: RawDisk, rules: Rules, tmp_path: Path) -> None:
    assert state(do(raw, prepare(identity_of(raw, rules)), rules)) == ("done", "")
    subprocess.run(["mkfs.ext4", "-q", raw.loop], check=True)
    raw.write(SIZE_BYTES - 4096, SECRET)
    target = tmp_path / "mounted"
    target.mkdir()
    subprocess.run(["mount", raw.loop, target], check=True)
    try:
        assert "mounted" in waits(raw, rules)
    finally:
        subprocess.run(["umount", target], check=True)


# --- reboot, and cut work -------------------------------------------------------------------------------


def test_after_a_reboot_the_node_is_made_again_for_the_same_disk_only(
    used: RawDisk, rules: Rules, tmp_path: Path
) -> None:
    node_of(rules, OLD).unlink()
    assert facts_of(used, rules, **BLOCK).presence is Presence.NOT_MOUNTED
    assert boot(used, rules).ok
    assert node_of(rules, OLD).stat().st_rdev == os.stat(used.loop).st_rdev
    node_of(rules, OLD).unlink()
    other = RawDisk.make(tmp_path, "other", rules)
    try:
        used.by_id.unlink()
        used.by_id.symlink_to(other.loop)
        assert not boot(used, rules).ok
        assert not node_of(rules, OLD).exists()
    finally:
        other.remove()


def test_a_node_that_leads_to_another_disk_is_replaced(used: RawDisk, rules: Rules) -> None:
    node_of(rules, OLD).unlink()
    os.mknod(node_of(rules, OLD), 0o60600, os.makedev(7, 250))
    assert boot(used, rules).ok
    assert node_of(rules, OLD).stat().st_rdev == os.stat(used.loop).st_rdev


@pytest.mark.long
def test_killed_before_any_step_of_a_zeroing_the_next_process_ends_it(
    own_mounts: None, rules: Rules, tmp_path: Path
) -> None:
    step, ended = 0, False
    while not ended:
        step += 1
        with RawDisk.numbered(tmp_path, step, rules) as (disk, own):
            identity = identity_of(disk, own)
            assert state(do(disk, prepare(identity), own)) == ("done", "")
            for start in PLACES:
                disk.write(start, SECRET)
            order = reclaim(identity)
            tick = die_at(step)
            ended = in_child(lambda: do(disk, order, own, tick=tick)) == 0  # noqa: B023
            facts = facts_of(disk, own, **BLOCK)
            assert ended or not (
                facts.content is Content.TENANCY and facts.empty and facts.tenancies == (OLD,)
            )
            again = msgspec.structs.replace(order, id="order-2", attempt=1) if step % 2 else order
            assert state(do(disk, again, own)) == ("done", ""), step
            assert disk.is_zero(), step
            assert entry_of(disk, own).handed == NEXT
            assert node_of(own, NEXT).exists()
            node_of(own, NEXT).unlink()
    assert step > 8


@pytest.mark.usefixtures("even_chunks")
def test_a_cut_zeroing_goes_on_where_the_journal_has_it(
    used: RawDisk, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    from disk_daemon.wipe import on_device

    monkeypatch.setattr(on_device, "LOOK_EVERY_S", 0.0)
    order = reclaim(identity_of(used, rules))
    left = [4]

    def tick(what: str) -> None:
        left[0] -= what == "overwrite"
        if not left[0]:
            os.kill(os.getpid(), 9)

    assert in_child(lambda: do(used, order, rules, tick=tick)) != 0
    assert entry_of(used, rules).written_bytes == 3 * blockdev.CHUNK_BYTES
    assert not node_of(rules, OLD).exists()
    seen: list[str] = []
    assert state(do(used, order, rules, tick=seen.append)) == ("done", "")
    assert seen.count("overwrite") == 2
    assert used.is_zero()


@pytest.mark.parametrize("reading", [1, 2])
def test_an_order_withdrawn_before_the_first_zero_leaves_data_and_node(
    used: RawDisk, rules: Rules, reading: int
) -> None:
    order = reclaim(identity_of(used, rules))
    api = Api(volume_with(used, order))
    api.on_read = lambda number: api.change_order(withdrawn=True) if number == reading else None
    assert state(do(used, order, rules, api)) == ("refused", "Withdrawn")
    assert used.holds(SECRET)
    assert node_of(rules, OLD).exists()


@pytest.mark.guards("not_paused")
def test_a_pause_between_chunks_holds_the_wipe_and_its_end_lets_it_go_on(
    used: RawDisk, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    from disk_daemon.wipe import on_device

    monkeypatch.setattr(on_device, "LOOK_EVERY_S", 0.0)
    order = reclaim(identity_of(used, rules))
    api = Api(volume_with(used, order))
    api.on_read = lambda number: api.pause() if number == 4 else None
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        assert used.holds(SECRET)
        api.pause(False)

    assert state(do(used, order, rules, api, sleep=sleep)) == ("done", "")
    assert slept
    assert "Paused" in [work.reason for work in api.told]


@pytest.mark.parametrize("method", ["zero", "discard"])
def test_a_file_systems_disk_is_zeroed_before_it_is_made_anew_where_the_pool_says_so(
    raw: RawDisk, rules: Rules, method: str
) -> None:
    assert state(obey(raw, prepare(identity_of(raw, rules)), rules)) == ("done", "")
    (raw.ours / OLD / "data").write_bytes(SECRET * 1000)
    os.sync()
    assert raw.holds(SECRET)
    assert state(obey(raw, reclaim(identity_of(raw, rules), method=method), rules)) == ("done", "")
    assert not raw.holds(SECRET)
    assert raw.is_mounted


def attached(loop: str, image: Path) -> None:
    """Another disk behind the same number: as when one is pulled out and the next one plugged in."""
    subprocess.run(["losetup", "-d", loop], check=True)
    subprocess.run(["losetup", loop, str(image)], check=True)


def test_a_node_that_leads_to_another_disk_by_now_is_taken_away_and_made_again_for_its_own(
    offered: RawDisk, rules: Rules, tmp_path: Path
) -> None:
    """Else a pod that starts then would write to whatever disk got the number."""
    other = tmp_path / "other.img"
    other.write_bytes(bytes(SIZE_BYTES))
    mounting.hide_strays(rules)
    assert node_of(rules, OLD).is_block_device()

    attached(offered.loop, other)
    mounting.hide_strays(rules)
    assert not node_of(rules, OLD).exists()
    assert not boot(offered, rules).ok
    assert not node_of(rules, OLD).exists()

    attached(offered.loop, offered.image)
    assert boot(offered, rules).ok
    mounting.hide_strays(rules)
    assert node_of(rules, OLD).is_block_device()


def test_a_node_without_a_disk_is_taken_away_and_one_made_by_hand_is_not(
    offered: RawDisk, rules: Rules
) -> None:
    by_hand = node_of(rules, OTHER)
    os.mknod(by_hand, 0o60600, os.stat(offered.loop).st_rdev)
    subprocess.run(["losetup", "-d", offered.loop], check=True)
    try:
        mounting.hide_strays(rules)
        assert not node_of(rules, OLD).exists()
        assert by_hand.is_block_device()
    finally:
        subprocess.run(["losetup", offered.loop, str(offered.image)], check=True)
