"""How a device is made, as sysfs and its content say it."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import pytest

from disk_daemon import fit
from disk_daemon.facts import build
from disk_daemon.known import Build
from disk_daemon.tools import Found

HEAD = 64 << 10
"""So much of a disk is looked at for partitions."""

# --- what sysfs says ----------------------------------------------------------------------------------------


class Sysfs:
    """A tree as the kernel has it: dev/block/MAJOR:MINOR links to the device's folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "dev" / "block").mkdir(parents=True)

    def device(self, path: str, number: str, **files: str) -> Path:
        own = self.root / "devices" / path
        own.mkdir(parents=True)
        for name, text in {"dev": number, "size": "2048", "removable": "0", **files}.items():
            file = own / name.replace("__", "/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n")
        (self.root / "dev" / "block" / number).symlink_to(own)
        return own

    def hold(self, lower: Path, upper: Path) -> None:
        """upper is put together of lower, among others."""
        for of, other, word in ((lower, upper, "holders"), (upper, lower, "slaves")):
            (of / word).mkdir(exist_ok=True)
            (of / word / other.name).symlink_to(other)

    def build(self, number: str, vital: str = "", swap: str = "") -> Build:
        """Gathered, with the system or its swap on a device number."""

        def on(wanted: str, word: str) -> Any:
            return lambda device, *_: word if f"{os.major(device)}:{os.minor(device)}" == wanted else ""

        return build.gather(number, sys=self.root, lives=on(vital, "/"), swaps=on(swap, "/dev/x"))


@pytest.fixture
def sysfs(tmp_path: Path) -> Sysfs:
    return Sysfs(tmp_path)


def test_a_plain_disk_is_gathered_as_one(sysfs: Sysfs) -> None:
    sysfs.device("sda", "8:0", device__type="0")
    assert sysfs.build("8:0") == Build(name="sda", size_bytes=1 << 20)


@pytest.mark.parametrize(
    ("name", "files", "rule"),
    [
        ("sr0", {}, "not_optical"),
        ("sdb", {"device__type": "5"}, "not_optical"),
        ("sdb", {"removable": "1"}, "not_removable"),
        ("sdb", {"size": "0"}, "has_a_size"),
        ("zram0", {}, "not_a_pseudo_disk"),
        ("ram15", {}, "not_a_pseudo_disk"),
        ("fd0", {}, "not_a_pseudo_disk"),
        ("nbd3", {}, "not_a_pseudo_disk"),
        ("dm-0", {"dm__uuid": "LVM-x"}, "not_put_together"),
        ("md0", {"md__uuid": "x"}, "not_put_together"),
        ("srv0", {}, ""),
        ("fd0a", {}, ""),
        ("sdb", {"device__type": "0"}, ""),
    ],
)
def test_what_a_device_is_is_read_from_sysfs(
    sysfs: Sysfs, name: str, files: dict[str, str], rule: str
) -> None:
    sysfs.device(name, "9:9", **files)
    found = sysfs.build("9:9")
    assert [each.name for each in fit.RULES if each.check(found)] == ([rule] if rule else [])


def test_what_is_stacked_on_a_disk_or_its_partitions_is_found_and_so_is_the_system_on_it(
    sysfs: Sysfs,
) -> None:
    disk = sysfs.device("sda", "8:0")
    part = sysfs.device("sda/sda1", "8:1", partition="1")
    crypt = sysfs.device("virtual/dm-0", "253:0", dm__uuid="CRYPT-x")
    root = sysfs.device("virtual/dm-1", "253:1", dm__uuid="LVM-x")
    sysfs.hold(part, crypt)
    sysfs.hold(crypt, root)
    found = sysfs.build("8:0", vital="253:1", swap="8:1")
    assert found.partitions == ("sda1",)
    assert found.holders == ("dm-0",)
    assert found.above == ("8:1", "253:0", "253:1")
    assert (found.vital, found.swap) == ("/", "/dev/x")
    assert sysfs.build("253:1").made_of == ("dm-0",)
    assert sysfs.build("253:1").above == ()
    assert sysfs.build("8:0", vital="8:0", swap="8:0").vital == "/"
    assert disk.exists()


def test_what_is_built_on_a_disk_is_told_once_and_in_the_order_of_the_names(sysfs: Sysfs) -> None:
    disk = sysfs.device("sda", "8:0")
    parts = [sysfs.device(f"sda/sda{n}", f"8:{n}", partition=str(n)) for n in (3, 1, 2, 5, 4)]
    upper = [sysfs.device(f"virtual/dm-{n}", f"253:{n}", dm__uuid="x") for n in (4, 2, 3, 1, 0)]
    for each in upper:
        sysfs.hold(disk, each)
    sysfs.hold(parts[0], upper[0])
    found = sysfs.build("8:0")
    assert found.partitions == ("sda1", "sda2", "sda3", "sda4", "sda5")
    assert found.holders == ("dm-0", "dm-1", "dm-2", "dm-3", "dm-4")
    assert " ".join(found.above) == "8:1 8:2 8:3 253:4 8:4 8:5 253:0 253:1 253:2 253:3 253:4"
    sysfs.hold(sysfs.device("sdb", "8:16"), upper[0])
    sysfs.hold(sysfs.device("aaa", "8:32"), upper[0])
    assert sysfs.build("253:4").made_of == ("aaa", "sda", "sda3", "sdb")


def test_a_device_that_is_stacked_on_what_is_not_shown_is_put_together_all_the_same(sysfs: Sysfs) -> None:
    sysfs.device("dm-0", "253:0", dm__uuid="x")
    assert sysfs.build("253:0").made_of == ("other devices",)
    sysfs.device("dm-0/dm-0p1", "253:1", partition="1")
    assert sysfs.build("253:1").made_of == ("other devices",)


def test_what_is_the_systems_is_asked_of_each_device_with_what_else_is_vital(sysfs: Sysfs) -> None:
    asked: list[object] = []

    def lives(device: int, also: tuple[str, ...]) -> str:
        asked.append((os.minor(device), also))
        return "" if os.minor(device) == 0 else f"of {os.minor(device)}"

    sysfs.device("sda", "8:0")
    for number in (1, 2):
        sysfs.device(f"sda/sda{number}", f"8:{number}", partition=str(number))
    found = build.gather("8:0", ("/kept",), sysfs.root, lives, lambda device: "")
    assert (found.vital, found.swap) == ("of 1", "")
    assert asked == [(0, ("/kept",)), (1, ("/kept",))]


@pytest.mark.parametrize(
    ("found", "more", "lists"),
    [
        ({"table": "gpt"}, 0, False),
        ({"table": "gpt"}, 1, True),
        ({"table": "dos"}, 0, True),
        ({"table": "sun"}, 0, True),
        ({"table": ""}, 0, False),
    ],
)
def test_what_libblkid_finds_is_told_as_it_is_and_partitions_where_there_is_a_table(
    tmp_path: Path, found: dict[str, Any], more: int, lists: bool
) -> None:
    # A table that ends with what is read of the disk, or has an empty entry more.
    disk = tmp_path / "disk"
    entries = (HEAD - 2 * 4096) // 128
    disk.write_bytes(gpt(4096, used=False, count=entries + more) + bytes(HEAD))
    looked = Found(fs_type="ext4", usage="filesystem", ambivalent=True, **found)
    with disk.open("rb") as opened:
        made = build.with_content(Build(name="sda", size_bytes=9), looked, opened.fileno())
    assert made == Build(
        name="sda",
        size_bytes=9,
        signature="ext4",
        usage="filesystem",
        ambivalent=True,
        listed_partitions=lists,
        **found,
    )


def test_a_partition_is_removable_as_its_disk_is(sysfs: Sysfs) -> None:
    sysfs.device("sdb", "8:16", removable="1")
    sysfs.device("sdb/sdb1", "8:17", partition="1")
    assert sysfs.build("8:17").removable
    assert sysfs.build("8:17").partitions == ()


def test_of_a_partition_its_disk_is_known_and_what_has_taken_all_of_that(sysfs: Sysfs) -> None:
    """What is built on another partition of it is not."""
    disk = sysfs.device("sdb", "8:16")
    part, other = (sysfs.device(f"sdb/sdb{n}", f"8:{16 + n}", partition=str(n)) for n in (1, 2))
    upper = [sysfs.device(f"virtual/dm-{n}", f"253:{n}", dm__uuid="x") for n in range(4)]
    sysfs.hold(disk, upper[2])
    sysfs.hold(disk, upper[0])
    sysfs.hold(part, upper[1])
    sysfs.hold(other, upper[3])
    found = sysfs.build("8:17")
    assert (found.whole, found.whole_holders, found.holders) == ("sdb", ("dm-0", "dm-2"), ("dm-1",))
    found = sysfs.build("8:16")
    assert (found.whole, found.whole_holders) == ("", ())
    assert sysfs.build("253:0").whole == ""


def test_what_libblkid_finds_on_the_disk_of_a_partition_is_told_apart_from_what_is_on_that() -> None:
    part = Build(name="sdb1", signature="xfs", usage="filesystem", whole="sdb")
    found = Found(fs_type="isw_raid_member", usage="raid", ambivalent=True, table="gpt")
    assert build.with_content_of_whole(part, found) == Build(
        name="sdb1",
        signature="xfs",
        usage="filesystem",
        whole="sdb",
        whole_signature="isw_raid_member",
        whole_usage="raid",
        whole_ambivalent=True,
    )


def test_what_sysfs_does_not_say_whether_it_is_removable_stays_and_what_cannot_be_read_does_not(
    sysfs: Sysfs,
) -> None:
    said = sysfs.device("sdb", "8:16") / "removable"
    said.unlink()
    assert not sysfs.build("8:16").removable
    said.write_bytes(b"\xff")
    assert sysfs.build("8:16").removable


def test_a_disk_without_a_table_is_not_read_for_partitions() -> None:
    assert build.with_content(Build(name="sda"), Found(), fd=-1) == Build(name="sda")


# --- btrfs ----------------------------------------------------------------------------------------------


def btrfs(devices: int = 1, flags: int = 1, magic: bytes = b"_BHRfS_M") -> bytes:
    """A superblock as the on-disk format has it; mkfs sets flag 1, that it was written."""
    head = bytes(56) + struct.pack("<Q8s", flags, magic)
    return (head.ljust(136, b"\xff") + struct.pack("<Q", devices)).ljust(4096, b"\xff")


@pytest.mark.parametrize(
    ("superblock", "several"),
    [
        (btrfs(), False),
        (btrfs(devices=2), True),
        (btrfs(devices=0), True),
        (btrfs(flags=1 << 32), True),
        (btrfs(flags=(1 << 32) - 1), False),
        (btrfs(flags=1 << 33), False),
        # What cannot be read may be one of several.
        (btrfs(magic=b"_BHRfS_X"), True),
        (btrfs()[:4095], True),
        (b"", True),
    ],
)
def test_whether_a_btrfs_lies_on_other_devices_too(superblock: bytes, several: bool) -> None:
    assert build.is_of_several(superblock) is several


def test_a_btrfs_is_read_for_its_devices_where_its_superblock_lies(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(64 << 10) + btrfs())
    plain = Build(name="sda", size_bytes=9)
    with disk.open("rb") as opened:
        for found, several in ((Found(fs_type="btrfs"), False), (Found(fs_type="xfs"), False)):
            assert build.with_content(plain, found, opened.fileno()).several_devices is several
        with disk.open("r+b") as file:
            file.seek(64 << 10)
            file.write(btrfs(devices=2))
        assert build.with_content(plain, Found(fs_type="btrfs"), opened.fileno()).several_devices
        assert not build.with_content(plain, Found(fs_type="xfs"), opened.fileno()).several_devices


# --- partition tables -----------------------------------------------------------------------------------


def mbr(*entries: tuple[int, int]) -> bytes:
    """A master boot record: type and sectors of each entry."""
    made = b"".join(
        struct.pack("<B3sB3sII", 0, bytes(3), kind, bytes(3), 2048, size) for kind, size in entries
    )
    return bytes(446) + made.ljust(64, b"\0") + b"\x55\xaa"


def gpt(sector: int, *, used: bool, size: int = 128, count: int = 128) -> bytes:
    header = b"EFI PART".ljust(72, b"\0") + struct.pack("<QII", 2, count, size)
    head = mbr((0xEE, 1)).ljust(sector, b"\0") + header.ljust(sector, b"\0")
    return (head + (bytes(5 * size) + b"\1" * 16 if used else b"")).ljust(HEAD, b"\0")


@pytest.mark.parametrize(
    ("kind", "head", "lists"),
    [
        ("dos", mbr(), False),
        ("dos", mbr((0x83, 2048)), True),
        ("dos", mbr((0, 0), (0x83, 2048)), True),
        ("dos", mbr((0x83, 0)), False),
        ("dos", mbr((0, 2048)), False),
        ("dos", mbr((0, 0), (0, 0), (0, 0), (0x83, 1 << 24)), True),
        ("dos", mbr() + bytes([0, 0, 0, 0, 0x83]) * 4, False),
        ("gpt", gpt(512, used=False), False),
        ("gpt", gpt(512, used=True), True),
        ("gpt", gpt(4096, used=False), False),
        ("gpt", gpt(4096, used=True), True),
        # What cannot be read is not empty.
        ("gpt", mbr((0xEE, 1)).ljust(HEAD, b"\0"), True),
        ("gpt", gpt(512, used=False, size=0), True),
        ("gpt", gpt(512, used=False, count=100_000), True),
        ("gpt", gpt(512, used=False)[: 512 + 91], True),
        ("gpt", gpt(512, used=False, count=0), True),
        ("gpt", gpt(512, used=False)[:1024] + b"\1" + bytes(HEAD - 1025), True),
        ("gpt", gpt(512, used=False, size=127), True),
        ("gpt", gpt(512, used=False, size=4096, count=2), False),
        ("gpt", gpt(512, used=False, size=4097, count=2), True),
        ("gpt", gpt(512, used=False, count=504), False),
        ("gpt", gpt(512, used=False, count=505), True),
        ("PMBR", mbr((0xEE, 1)), True),
        ("sun", bytes(512), True),
    ],
)
def test_whether_a_table_lists_a_partition(kind: str, head: bytes, lists: bool) -> None:
    assert build.lists_partitions(kind, head) is lists
