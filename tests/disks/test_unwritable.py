"""A daemon whose own folder cannot be written says so of every disk, and mounts what is ours all the same."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import msgspec
import pytest

from disk_daemon import alone, child, zygote
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Ask, Ended, Job, Message, Mounted, Tell
from disk_daemon.report import disk_report
from tests.disks.bench import OLD, Api, Disk, RawDisk, in_child, job_of, reclaim, source_of, volume_with
from tidb_volume.value import Content, DiskReport, Presence


def made_read_only(rules: Rules) -> None:
    """As the kernel does after an error of the file system that it is on."""
    Path(rules.state).mkdir(exist_ok=True)
    subprocess.run(["mount", "--bind", rules.state, rules.state], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", rules.state], check=True)


def made_full(rules: Rules) -> None:
    Path(rules.state).mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", rules.state], check=True)
    filler = Path(rules.state, "filler")
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(2 << 20))


def done(job: Job, rules: Rules, api: Api | None = None) -> Message:
    """What a child of the daemon says of a job in the end; the test is its parent."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    host = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            child.worker(rules, host)(job, theirs)
        finally:
            os._exit(0)
    theirs.close()
    messages: list[Message] = []
    with ours:
        while packet := ours.recv(zygote.PACKET):
            messages.append(msgspec.json.decode(packet, type=Message))
            if isinstance(messages[-1], Ask):
                assert api is not None
                ours.send(msgspec.json.encode(api.live(lean=messages[-1].lean)))
    os.waitpid(pid, 0)
    return next(each for each in reversed(messages) if not isinstance(each, Ask | Tell))


def report_of(ended: Message) -> DiskReport:
    assert isinstance(ended, Ended), ended
    return disk_report(ended.facts, ended.record, None, None)


def test_a_disk_is_looked_at_and_not_on_offer_while_its_daemon_cannot_journal(
    disk: Disk, rules: Rules
) -> None:
    """Also one that no daemon of before had looked at: there is no lock of it, and none can be made."""
    disk.tenancy()
    observe = job_of(disk)
    try:
        made_read_only(rules)
        report = report_of(done(observe, rules))
        assert report.presence is Presence.HINDERED
        assert report.message.startswith(f"the daemon's own folder {rules.state} cannot be written: EROFS: ")
        assert (report.content, report.tenancy) == (Content.TENANCY, OLD)
        assert report_of(done(observe, rules)) == report, "the same words each time"
    finally:
        subprocess.run(["umount", rules.state], check=True)
    assert report_of(done(observe, rules)).presence is Presence.OK


def test_a_full_file_system_is_said_before_anything_has_to_be_journalled(disk: Disk, rules: Rules) -> None:
    made_full(rules)
    try:
        report = report_of(done(job_of(disk), rules))
        assert report.presence is Presence.HINDERED
        assert "cannot be written: ENOSPC: " in report.message
    finally:
        subprocess.run(["umount", rules.state], check=True)


def test_an_order_fails_with_the_kernels_word_and_changes_nothing(disk: Disk, rules: Rules) -> None:
    (disk.tenancy() / "data").write_text("precious")
    order = reclaim(report_of(done(job_of(disk), rules)).identity)  # type: ignore[arg-type]
    before = disk.tree()
    try:
        made_read_only(rules)
        ended = done(job_of(disk, order), rules, Api(volume_with(disk, order)))
    finally:
        subprocess.run(["umount", rules.state], check=True)
    assert isinstance(ended, Ended)
    assert ended.work is not None
    assert (ended.work.state.value, ended.work.reason, ended.work.begun) == ("failed", "EROFS", False)
    assert rules.state in ended.work.message
    assert disk.tree() == before


def test_what_is_ours_is_mounted_at_boot_from_a_journal_that_can_only_be_read(
    used: RawDisk, rules: Rules
) -> None:
    used.unmount()
    mount = Job(id=1, kind="mount", volume="volume-a", source=source_of(used))
    made_read_only(rules)
    try:
        tried = done(mount, rules)
        assert isinstance(tried, Mounted)
        assert tried.ok, tried.said
        assert (used.ours / OLD / "data").exists()
        used.unmount()
    finally:
        subprocess.run(["umount", rules.state], check=True)


def test_a_lock_is_taken_where_its_file_can_only_be_read(own_mounts: None, rules: Rules) -> None:
    def is_held() -> None:
        with alone.held(rules.state, "a", lambda seconds: None) as lock:
            assert isinstance(lock, int)
            assert os.waitstatus_to_exitcode(in_child(waits)) == 0

    def waits() -> None:
        tries: list[float] = []
        with alone.held(rules.state, "a", tries.append):
            assert len(tries) > 1, "it was free"

    is_held()
    made_read_only(rules)
    try:
        is_held()
    finally:
        subprocess.run(["umount", rules.state], check=True)
