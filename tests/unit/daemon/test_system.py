"""What of the machine's own lives on a device number: its folders, and its swap."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from disk_daemon.facts import mounts, system
from disk_daemon.known import Mount


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(system, "PROC", str(tmp_path))
    return tmp_path


def test_a_file_that_is_swapped_to_is_on_its_file_system(proc: Path) -> None:
    file = proc / "swap file"
    file.write_bytes(b"")
    device = os.stat(file).st_dev
    (proc / "swaps").write_text(f"Filename\tType\n{str(file).replace(' ', chr(92) + '040')} file 1 0 -2\n")
    assert system.swap(device) == str(file)
    assert system.swap(device + 1) == ""


def test_a_kernel_without_swap_swaps_to_nothing_and_without_proc_nobody_knows(proc: Path) -> None:
    """CONFIG_SWAP=n has no such table."""
    with pytest.raises(FileNotFoundError):
        system.swap(1)
    (proc / "self").mkdir()
    (proc / "self" / "mountinfo").write_bytes(b"")
    assert system.swap(1) == ""
    (proc / "swaps").write_bytes(b"")
    with pytest.raises(ValueError, match="not whole"):
        system.swap(1)


# --- the folders --------------------------------------------------------------------------------------------

SDA2, SDB1, SDC, VDA = os.makedev(8, 2), os.makedev(8, 17), os.makedev(8, 32), os.makedev(254, 0)
ANON, SUBVOLUME = os.makedev(0, 31), os.makedev(0, 35)
FOLDER, BLOCK, FILE = stat.S_IFDIR, stat.S_IFBLK, stat.S_IFREG


def about(kind: int, device: int, is_device: int = 0) -> os.stat_result:
    """A stat of a path: its kind, the number of its file system, and if it is a device, its own."""
    plain = (kind | 0o755, 2, device, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    return os.stat_result(plain, {"st_rdev": is_device})


DEVFS = os.makedev(0, 6)
PATHS = {
    "/": about(FOLDER, SUBVOLUME),
    "/dev/sda2": about(BLOCK, DEVFS, SDA2),
    "/dev/sdb1": about(BLOCK, DEVFS, SDB1),
    "/dev/sdc": about(BLOCK, DEVFS, SDC),
    "/images/root.erofs": about(FILE, VDA),
    "/layers/on vda": about(FOLDER, VDA),
    "/layers/btrfs": about(FOLDER, ANON),
    "/run": about(FOLDER, ANON),
}
BTRFS = b"36 1 0:31 /@ / rw,relatime shared:1 - btrfs /dev/sda2 rw,subvolid=256"
OVERLAY = b"36 1 0:31 / / rw - overlay overlay rw"


def host(tmp_path: Path, line: bytes, **others: bytes) -> system.Host:
    """A machine with /dev/sda2 and /dev/sdb1 in one btrfs and /dev/sdc in another; line: its root's mount."""
    for uuid, numbers in {"one": ("8:2", "8:17"), "two": ("8:32",)}.items():
        for number in numbers:
            entry = tmp_path / uuid / "devices" / f"of {number}"
            entry.mkdir(parents=True)
            (entry / "dev").write_text(f"{number}\n")
    (tmp_path / "features").mkdir()
    tables = {"/": line, **{f"/layers/{name}": each for name, each in others.items()}}

    def look(path: str) -> os.stat_result:
        if path not in PATHS:
            raise FileNotFoundError(path)
        return PATHS[path]

    def mount_of(path: str) -> Mount | None:
        return next(mounts.parse(tables[path])) if path in tables else None

    return system.Host(look, mount_of, tmp_path)


@pytest.mark.parametrize(
    ("line", "on_it"),
    [
        (BTRFS, {SDA2, SDB1}),
        (BTRFS.replace(b"/dev/sda2", b"/dev/sdc"), {SDC}),
        (BTRFS.replace(b"/dev/sda2", b"/dev/gone"), set()),
        (BTRFS.replace(b"/dev/sda2", b"none"), set()),
        (BTRFS.replace(b"btrfs /dev/sda2", b"bcachefs /dev/sdc:/dev/sdb1"), {SDC, SDA2, SDB1}),
        (BTRFS.replace(b"btrfs /dev/sda2", b"erofs /images/root.erofs"), {VDA}),
        # What a server or a hypervisor calls so.
        (BTRFS.replace(b"btrfs /dev/sda2", b"9p /layers/on\\040vda"), set()),
        (BTRFS.replace(b"btrfs /dev/sda2", b"nfs host:/layers/on\\040vda"), set()),
        (OVERLAY, set()),
        (OVERLAY + b",lowerdir=/gone:/layers/on\\040vda,redirect_dir=/dev/sdc", {VDA}),
        (OVERLAY + b",lowerdir+=/gone,lowerdir+=/layers/on\\040vda", {VDA}),
        (OVERLAY + b",lowerdir=/gone::/layers/btrfs", {SDA2, SDB1}),
        (OVERLAY + b",lowerdir=/gone,upperdir=/layers/on\\040vda,workdir=/gone", {VDA}),
        (OVERLAY + b",workdir=/layers/on\\040vda", {VDA}),
        (OVERLAY + b",datadir+=/layers/on\\040vda", {VDA}),
        # Round and round.
        (OVERLAY + b",lowerdir=/", set()),
    ],
)
def test_a_root_without_a_device_number_is_on_what_its_mount_is_made_of(
    tmp_path: Path, line: bytes, on_it: set[int]
) -> None:
    asked = host(tmp_path, line, btrfs=BTRFS)
    assert {each for each in (SDA2, SDB1, SDC, VDA) if system.lives(each, host=asked)} == on_it
    assert {system.lives(each, host=asked) for each in on_it} <= {"/"}


def test_what_lies_on_a_device_of_its_own_is_told_by_that_and_no_table_is_read(tmp_path: Path) -> None:
    def mount_of(path: str) -> Mount | None:
        raise AssertionError(path)

    asked = system.Host(lambda path: about(FOLDER, SDA2), mount_of, tmp_path)
    assert system.lives(SDA2, host=asked) == "/"
    assert system.lives(SDC, host=asked) == ""


def test_a_folder_more_is_asked_about_and_one_that_is_not_there_is_no_trouble(tmp_path: Path) -> None:
    asked = host(tmp_path, BTRFS)
    assert system.lives(VDA, ("/gone", "/layers/on vda"), asked) == "/layers/on vda"
    assert system.lives(VDA, ("/gone",), asked) == ""


def test_this_machines_own_root_is_found_by_its_mount() -> None:
    found = system.Host().mount_of("/")
    assert found is not None
    assert found.target == "/"
