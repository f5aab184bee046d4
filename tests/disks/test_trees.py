"""Whatever lies in a tenancy is deleted, however odd, deep or wide it is, and nothing beside it."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from pathlib import Path

import pytest

from disk_daemon import kernel
from disk_daemon.facts.folder import Rules
from tests.disks.bench import (
    CLEAN,
    NEXT,
    OLD,
    Api,
    Disk,
    fill,
    identity_of,
    in_child,
    obey,
    reclaim,
    state,
    volume_with,
)
from tidb_volume import names


def test_odd_things_are_deleted_like_all_others(disk: Disk, rules: Rules) -> None:
    folder = disk.tenancy()
    victim = disk.path / "victim"
    victim.mkdir()
    (victim / "file").write_text("stays")
    (folder / "to-file").symlink_to(victim / "file")
    (folder / "to-folder").symlink_to(victim)
    (folder / "up").symlink_to("../..")
    for name in (b"line\nfeed", b"\xff\xfe", b"-rf", b" ", b"deeper-1", b"x" * 255):
        os.mkdir(os.path.join(os.fsencode(folder), name))
        Path(os.fsdecode(os.path.join(os.fsencode(folder), name, name))).write_text("x")
    os.mkfifo(folder / "fifo")
    os.mknod(folder / "device", 0o600 | 0o060000, os.makedev(7, 63))
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(folder / "s"))
    os.link(victim / "file", folder / "hard-link")
    ended = obey(disk, reclaim(identity_of(disk, rules)), rules)
    assert state(ended) == ("done", "")
    assert disk.tree() == [*CLEAN, "victim", "victim/file"]
    assert (victim / "file").read_text() == "stays"


def test_immutable_and_append_only_flags_stop_nothing(disk: Disk, rules: Rules) -> None:
    folder = disk.tenancy()
    fill(folder)
    for flag, name in (("+i", "a/file"), ("+a", "b/file"), ("+i", "a/deep"), ("+i", "a"), ("+a", "b")):
        subprocess.run(["chattr", flag, folder / name], check=True)
    ended = obey(disk, reclaim(identity_of(disk, rules)), rules)
    assert state(ended) == ("done", ""), ended.work
    assert disk.tree() == CLEAN


def flags_of(path: Path) -> str:
    words = ["lsattr", "-d", str(path)]
    found = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()[0]
    return found.replace("-", "")


@pytest.mark.parametrize("flag", ["i", "a"])
def test_a_tenancys_folder_with_such_a_flag_is_put_aside_and_back_as_it_was(
    disk: Disk, rules: Rules, flag: str
) -> None:
    folder = disk.tenancy()
    fill(folder)
    before = disk.tree()
    subprocess.run(["chattr", f"+{flag}", folder], check=True)
    order = reclaim(identity_of(disk, rules))
    api = Api(volume_with(disk, order))
    seen: list[str] = []
    api.on_read = lambda reading: api.pause(reading == 2)
    assert state(obey(disk, order, rules, api, tick=seen.append)) == ("running", "Paused")
    assert seen.count("rename") == 2
    assert disk.tree() == before
    assert flags_of(folder) == flag

    ended = obey(disk, order, rules)
    assert state(ended) == ("done", ""), ended.work
    assert disk.tree() == CLEAN
    assert flags_of(disk.ours / NEXT) == ""


def test_an_empty_folder_with_such_a_flag_is_put_aside_where_there_is_no_room(
    disk: Disk, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own folder is the trash then, and has to go with the flag that it kept."""
    subprocess.run(["chattr", "+i", disk.tenancy()], check=True)
    made = os.mkdir

    def full(name: str | Path, *mode: int, dir_fd: int | None = None) -> None:
        if str(name).startswith(names.TRASH):
            raise OSError(errno.ENOSPC, "No space left on device")
        made(name, *mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", full)
    ended = obey(disk, reclaim(identity_of(disk, rules)), rules)
    assert state(ended) == ("done", ""), ended.work
    assert disk.tree() == CLEAN


def test_a_deep_tree_needs_few_descriptors_and_no_deep_recursion(disk: Disk, rules: Rules) -> None:
    fd = kernel.open_path(str(disk.tenancy()))
    for _ in range(3000):
        os.mkdir("d", dir_fd=fd)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        below = kernel.open_below(fd, "d")
        os.close(fd)
        fd = below
    os.close(fd)

    def work() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
        assert state(obey(disk, reclaim(identity_of(disk, rules)), rules)) == ("done", "")

    assert in_child(work) == 0
    assert disk.tree() == CLEAN


@pytest.mark.long
def test_a_million_entries_cost_no_memory(disk: Disk, rules: Rules) -> None:
    """One in ten is a file of its own: what a million of those need of the disk is not what this is about."""
    folder = os.open(disk.tenancy(), os.O_RDONLY)
    for number in range(0, 1_000_000, 10):
        os.close(os.open(f"file-{number}", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
        for other in range(number + 1, number + 10):
            os.link(f"file-{number}", f"file-{other}", src_dir_fd=folder, dst_dir_fd=folder)
    os.close(folder)
    order = reclaim(identity_of(disk, rules))

    def work() -> None:
        import resource

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        ended = obey(disk, order, rules)
        assert (state(ended), ended.work.done_files) == (("done", ""), 1_000_001), "those, and the folder"
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown_kib < 4096, grown_kib

    assert in_child(work) == 0
    assert disk.tree() == CLEAN


def test_files_that_come_while_it_deletes_are_deleted_too(disk: Disk, rules: Rules) -> None:
    folder = disk.tenancy()
    fill(folder)
    inside = os.open(folder / "a", os.O_RDONLY)
    written = 0

    def tick(what: str) -> None:
        nonlocal written
        if what == "unlink" and written < 500:
            written += 1
            try:
                os.close(os.open(f"new-{written}", os.O_CREAT | os.O_WRONLY, dir_fd=inside))
            except FileNotFoundError:
                written = 500

    assert state(obey(disk, reclaim(identity_of(disk, rules)), rules, tick=tick)) == ("done", "")
    os.close(inside)
    assert disk.tree() == CLEAN


def test_a_mount_inside_the_tree_stops_it_and_is_named(disk: Disk, other_disk: Disk, rules: Rules) -> None:
    folder = disk.tenancy()
    fill(folder)
    (other_disk.path / "of-another").write_text("stays")
    subprocess.run(["mount", "--bind", other_disk.path, folder / "a" / "deep"], check=True)
    ended = obey(disk, reclaim(identity_of(disk, rules)), rules)
    assert state(ended) == ("failed", "ForeignMount")
    assert ended.work is not None
    assert "deep" in ended.work.message
    assert ended.work.begun
    assert (other_disk.path / "of-another").read_text() == "stays"
    subprocess.run(["umount", disk.ours / "trash-order-1" / OLD / "a" / "deep"], check=True)
    fresh = reclaim(identity_of(disk, rules), id="order-2")
    assert state(obey(disk, fresh, rules)) == ("done", "")
    assert disk.tree() == CLEAN


@pytest.mark.guards("no_mount_on_a_disk")
def test_what_is_mounted_in_the_tree_at_the_last_moment_is_not_entered(
    disk: Disk, other_disk: Disk, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the kernel has said that a folder is none of a mount's, but not empty."""
    fill(disk.tenancy())
    (other_disk.path / "of-another").write_text("stays")
    removed = os.rmdir

    def rmdir(name: str, *, dir_fd: int) -> None:
        try:
            removed(name, dir_fd=dir_fd)
        except OSError as error:
            if name == "deep" and error.errno == errno.ENOTEMPTY:
                target = os.path.join(os.readlink(f"/proc/self/fd/{dir_fd}"), name)
                subprocess.run(["mount", "--bind", other_disk.path, target], check=True)
            raise

    monkeypatch.setattr(os, "rmdir", rmdir)
    assert state(obey(disk, reclaim(identity_of(disk, rules)), rules)) == ("failed", "ForeignMount")
    assert other_disk.tree() == ["of-another"]
