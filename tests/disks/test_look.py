"""What is seen of a disk: what is there, what is not a disk, and that looking changes nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from disk_daemon import fit
from disk_daemon.facts import build
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Ended
from disk_daemon.known import Facts
from disk_daemon.observe import look, observe
from disk_daemon.report import disk_report
from disk_daemon.survey import survey
from tests.disks.bench import NEXT, OLD, OTHER, Disk, facts_of, identity_of, job_of, obey, reclaim
from tidb_volume.value import Content, DiskReport, Presence, Work


def seen(disk: Disk, rules: Rules) -> Facts:
    return facts_of(disk, rules)


def report_of(ended: Ended, disk: Disk, rules: Rules) -> DiskReport:
    return disk_report(ended.facts, ended.record, None, None)


def works(work: Work | None) -> tuple[str, str]:
    assert work is not None
    return work.state.value, work.reason


def test_a_new_disk_is_blank_and_looking_at_it_writes_nothing(disk: Disk, rules: Rules) -> None:
    facts = seen(disk, rules)
    assert (facts.presence, facts.content, facts.folder) == (Presence.OK, Content.BLANK, False)
    assert facts.identity is not None
    assert facts.identity.virtual
    assert facts.identity.size_bytes == disk.image.stat().st_size
    uuid = subprocess.run(
        ["blkid", "-p", "-s", "UUID", "-o", "value", disk.loop], check=True, capture_output=True, text=True
    ).stdout.strip()
    assert facts.identity.fs_uuid == uuid
    assert 0 < facts.capacity_bytes <= facts.identity.size_bytes
    assert disk.tree() == []
    assert not Path(rules.state).exists()


def test_an_ext4_with_its_lost_and_found_is_blank_and_has_its_uuid(
    own_mounts: None, tmp_path: Path, rules: Rules
) -> None:
    disk = Disk.make(tmp_path, "e", fs="ext4")
    try:
        facts = seen(disk, rules)
        assert facts.content is Content.BLANK
        assert facts.identity is not None
        assert len(facts.identity.fs_uuid) == 36
        (disk.path / "lost+found" / "#12").write_text("found by fsck")
        assert seen(disk, rules).content is Content.DATA
    finally:
        disk.remove()


def test_what_lies_on_a_disk_is_told_apart(disk: Disk, rules: Rules) -> None:
    (disk.path / "data").mkdir()
    assert seen(disk, rules).content is Content.DATA
    (disk.path / "data").rmdir()
    folder = disk.tenancy()
    assert (seen(disk, rules).content, seen(disk, rules).empty) == (Content.TENANCY, True)
    (folder / "x").write_text("x")
    assert (seen(disk, rules).content, seen(disk, rules).empty) == (Content.TENANCY, False)
    disk.tenancy(OTHER)
    assert seen(disk, rules).content is Content.DATA
    (disk.ours / OTHER).rmdir()
    (disk.ours / "trash-order-9").mkdir()
    report = report_of(observe(job_of(disk), rules), disk, rules)
    assert (report.content, report.trash) == (Content.DATA, ("order-9",))


# --- what is no disk ---------------------------------------------------------------------------------------


@pytest.mark.guards("disk_is_there")
def test_a_folder_whose_mount_is_missing_is_not_mounted_and_nothing_is_written_there(
    disk: Disk, rules: Rules
) -> None:
    identity = identity_of(disk, rules)
    disk.tenancy()
    disk.unmount()
    facts = seen(disk, rules)
    assert facts.presence is Presence.NOT_MOUNTED
    ended = obey(disk, reclaim(identity), rules)
    assert (works(ended.work), ended.until) == (("running", "NotMounted"), "mounts")
    assert list(disk.path.iterdir()) == []
    below = disk.path / ".tidb-volume" / OLD
    below.mkdir(parents=True)
    (below / "of-the-system-disk").write_text("stays")
    assert works(obey(disk, reclaim(identity), rules).work) == ("running", "NotMounted")
    assert (below / "of-the-system-disk").exists()
    disk.mount()
    assert works(obey(disk, reclaim(identity), rules).work) == ("done", "")


def test_a_path_that_does_not_exist_is_not_present(own_mounts: None, tmp_path: Path, rules: Rules) -> None:
    assert look(str(tmp_path / "nothing"), rules).presence is Presence.NOT_PRESENT


@pytest.mark.guards("no_link_to_a_folder")
@pytest.mark.parametrize("where", ["at the end", "on the way"])
def test_a_symlink_in_the_path_is_not_followed(disk: Disk, rules: Rules, tmp_path: Path, where: str) -> None:
    link = tmp_path / "link"
    link.symlink_to(disk.path if where == "at the end" else tmp_path)
    facts = look(str(link if where == "at the end" else link / disk.path.name), rules)
    assert facts.presence is Presence.NOT_MOUNTED
    assert "is behind a symlink" in facts.message


@pytest.mark.guards("is_a_mount")
def test_a_folder_on_a_mounted_disk_is_no_disk(disk: Disk, rules: Rules) -> None:
    (disk.path / "data").mkdir()
    assert look(str(disk.path / "data"), rules).presence is Presence.NOT_MOUNTED


@pytest.mark.guards("shows_all_of_it")
def test_a_bind_mount_of_a_part_of_a_disk_is_no_disk(disk: Disk, rules: Rules, tmp_path: Path) -> None:
    (disk.path / "part").mkdir()
    target = tmp_path / "target"
    target.mkdir()
    subprocess.run(["mount", "--bind", disk.path / "part", target], check=True)
    facts = look(str(target), rules)
    assert facts.presence is Presence.NOT_MOUNTED
    assert "/part" in facts.message
    subprocess.run(["umount", target], check=True)


@pytest.mark.guards("is_one_device")
def test_a_tmpfs_is_refused(own_mounts: None, tmp_path: Path, rules: Rules) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path], check=True)
    try:
        assert look(str(tmp_path), rules).presence is Presence.REFUSED
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_the_systems_own_disk_is_refused(own_mounts: None, rules: Rules) -> None:
    assert look("/", rules).presence is Presence.REFUSED


@pytest.mark.guards("holds_nothing_vital")
def test_a_disk_that_holds_the_journal_is_refused(disk: Disk) -> None:
    rules = Rules(virtual_disks=True, state=str(disk.path / "state"))
    os.mkdir(rules.state)
    facts = look(str(disk.path), rules)
    assert facts.presence is Presence.REFUSED
    assert "state" in facts.message


def test_what_other_machines_may_have_mounted_is_occupied_also_where_the_admin_mounted_it(
    disk: Disk, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "SHARED", ("xfs",))
    facts = look(str(disk.path), rules)
    assert facts.presence is Presence.OCCUPIED
    assert "holds xfs, which other machines may have mounted now" in facts.message


def test_a_stick_that_the_admin_mounted_is_refused(
    disk: Disk, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = build.medium
    plugged = lambda device: msgspec.structs.replace(real(device), removable=True)  # noqa: E731
    monkeypatch.setattr(build, "medium", plugged)
    facts = look(str(disk.path), rules)
    assert (facts.presence, "is a removable disk" in facts.message) == (Presence.REFUSED, True)


@pytest.mark.guards("is_not_virtual")
def test_a_virtual_disk_is_refused_unless_they_are_accepted(disk: Disk, rules: Rules) -> None:
    facts = look(str(disk.path), msgspec.structs.replace(rules, virtual_disks=False))
    assert facts.presence is Presence.REFUSED
    assert "--virtual-disks" in facts.message


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("symlink", "'.tidb-volume' on the disk is a file or a symlink and no folder: move it away"),
        ("file", "'.tidb-volume' on the disk is a file or a symlink and no folder: move it away"),
        ("mount", "something is mounted at '.tidb-volume' on the disk: unmount it"),
    ],
)
def test_our_folder_replaced_by_something_else_is_never_entered_and_what_lies_there_is_said(
    disk: Disk, other_disk: Disk, rules: Rules, kind: str, said: str
) -> None:
    identity = identity_of(disk, rules)
    victim = other_disk.path / OLD
    victim.mkdir()
    (victim / "file").write_text("stays")
    if kind == "symlink":
        disk.ours.symlink_to(other_disk.path)
    elif kind == "file":
        disk.ours.write_text("")
    else:
        disk.ours.mkdir()
        subprocess.run(["mount", "--bind", other_disk.path, disk.ours], check=True)
    facts = facts_of(disk, rules)
    assert facts.presence is Presence.HINDERED, "it answers, and is not to be replaced"
    assert facts.message == said
    ended = obey(disk, reclaim(identity), rules)
    assert works(ended.work)[0] == "failed"
    assert (victim / "file").read_text() == "stays"


@pytest.mark.guards("no_link_on_a_disk")
def test_a_tenancy_replaced_by_a_symlink_is_never_entered(disk: Disk, rules: Rules) -> None:
    victim = disk.path / "victim"
    victim.mkdir()
    (victim / "file").write_text("stays")
    identity = identity_of(disk, rules)
    disk.ours.mkdir()
    (disk.ours / OLD).symlink_to("../victim")
    ended = obey(disk, reclaim(identity), rules)
    assert works(ended.work)[0] == "failed"
    assert (victim / "file").read_text() == "stays"


# --- which disk --------------------------------------------------------------------------------


@pytest.mark.guards("identity_matches")
def test_two_disks_mounted_in_each_others_place_are_wrong_disks_and_lose_nothing(
    disk: Disk, other_disk: Disk, rules: Rules
) -> None:
    first, second = identity_of(disk, rules), identity_of(other_disk, rules)
    (disk.tenancy() / "first").write_text("x")
    (other_disk.tenancy() / "second").write_text("x")
    disk.unmount()
    other_disk.unmount()
    subprocess.run(["mount", disk.loop, other_disk.path], check=True)
    subprocess.run(["mount", other_disk.loop, disk.path], check=True)
    ended = observe(job_of(disk), rules)
    report = disk_report(ended.facts, ended.record, first, None)
    assert report.presence is Presence.WRONG_DISK
    assert first.virtual in report.message
    assert second.virtual in report.message
    assert works(obey(disk, reclaim(first), rules).work) == ("refused", "WrongDisk")
    assert works(obey(other_disk, reclaim(second), rules).work) == ("refused", "WrongDisk")
    assert (disk.ours / OLD / "second").exists()
    assert (other_disk.ours / OLD / "first").exists()


@pytest.mark.guards("a_folder_is_compared_first")
def test_on_another_disk_not_even_a_lock_is_written(disk: Disk, other_disk: Disk, rules: Rules) -> None:
    order = reclaim(identity_of(disk, rules))
    disk.unmount()
    other_disk.unmount()
    subprocess.run(["mount", other_disk.loop, disk.path], check=True)
    assert works(obey(disk, order, rules).work) == ("refused", "WrongDisk")
    assert disk.tree() == []


@pytest.mark.guards("identity_matches")
def test_a_new_file_system_on_the_same_disk_is_not_the_one_that_was_meant(disk: Disk, rules: Rules) -> None:
    identity = identity_of(disk, rules)
    disk.unmount()
    subprocess.run(["mkfs.xfs", "-q", "-f", "-K", disk.loop], check=True)
    disk.mount()
    (disk.tenancy() / "file").write_text("x")
    assert works(obey(disk, reclaim(identity), rules).work) == ("refused", "WrongDisk")
    assert (disk.ours / OLD / "file").exists()
    ended = observe(job_of(disk), rules)
    report = disk_report(ended.facts, ended.record, identity, None)
    assert report.presence is Presence.WRONG_DISK
    assert identity.fs_uuid in report.message


@pytest.mark.guards("shows_no_old_blocks")
@pytest.mark.parametrize("how", ["mounted so", "by the file system's own default"])
def test_a_file_system_that_may_show_old_blocks_after_a_crash_is_refused(
    own_mounts: None, tmp_path: Path, rules: Rules, how: str
) -> None:
    """With it a file may show what another owner had written there (ext4(5), data=writeback)."""
    disk = Disk.make(tmp_path, "e", fs="ext4")
    try:
        identity = identity_of(disk, rules)
        disk.unmount()
        if how == "mounted so":
            subprocess.run(["mount", "-o", "data=writeback", disk.loop, disk.path], check=True)
        else:
            subprocess.run(["tune2fs", "-o", "journal_data_writeback", disk.loop], check=True)
            disk.mount()
        facts = facts_of(disk, rules)
        assert facts.presence is Presence.REFUSED
        assert "data=ordered" in facts.message
        assert works(obey(disk, reclaim(identity), rules).work)[0] == "refused"
        assert disk.tree() == ["lost+found"]
    finally:
        disk.remove()


@pytest.mark.guards("not_read_only")
def test_a_disk_remounted_read_only_is_refused(disk: Disk, rules: Rules) -> None:
    identity = identity_of(disk, rules)
    (disk.tenancy() / "file").write_text("x")
    subprocess.run(["mount", "-o", "remount,ro", disk.path], check=True)
    assert works(obey(disk, reclaim(identity), rules).work) == ("refused", "ReadOnly")


def test_the_survey_knows_a_mounted_loop_disk(disk: Disk, rules: Rules) -> None:
    found = {each.name: each for each in survey(rules).report.disks}
    mine = found[os.path.basename(disk.loop)]
    assert str(disk.path) in mine.mounts
    assert mine.identity is not None
    assert mine.device == facts_of(disk, rules).device


def test_the_report_names_the_tenancy_that_the_journal_has_handed_over(disk: Disk, rules: Rules) -> None:
    disk.tenancy()
    before = report_of(observe(job_of(disk), rules), disk, rules)
    assert (before.tenancy, before.journal, before.journal_broken) == (OLD, "", True)
    obey(disk, reclaim(identity_of(disk, rules)), rules)
    after = report_of(observe(job_of(disk), rules), disk, rules)
    assert (after.tenancy, after.journal, after.journal_broken) == (NEXT, NEXT, False)


@pytest.mark.guards("holds_nothing_vital")
@pytest.mark.parametrize("name", ["swapfile", "sw\u00e4p \u00fcber\tall\r"])
def test_a_disk_with_a_swap_file_is_refused_whatever_that_is_called(
    disk: Disk, rules: Rules, name: str
) -> None:
    file = disk.path / name
    file.write_bytes(bytes(1 << 20))
    file.chmod(0o600)
    subprocess.run(["mkswap", "-q", file], check=True, capture_output=True)
    subprocess.run(["swapon", file], check=True)
    try:
        facts = facts_of(disk, rules)
        assert facts.presence is Presence.REFUSED
        assert "swap" in facts.message
    finally:
        subprocess.run(["swapoff", file], check=True)
