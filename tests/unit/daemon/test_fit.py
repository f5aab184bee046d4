"""Whether a device may be used at all: each rule stops its disaster, and a plain disk passes all of them."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import pytest

from disk_daemon import fit
from disk_daemon.facts import build
from disk_daemon.known import Build
from tidb_volume.value import Presence

PLAIN: dict[str, Any] = {"name": "nvme0n1", "size_bytes": 1 << 40}
REFUSED, OCCUPIED = Presence.REFUSED, Presence.OCCUPIED

# libblkid's names, spelt out once more: one that went missing in the code would go missing in the table too.
SHARED = ("gfs", "gfs2", "ocfs", "ocfs2", "VMFS", "VMFS_volume_member", "oracleasm", "gpfs", "vxfs")
MEMBERS = ("zfs_member", "bcache", "mpath_member", "ceph_bluestore", "jbd", "xfs_external_log", "swsuspend")

TABLE: list[tuple[str, dict[str, Any], Presence]] = [
    # rule, what is unlike a plain disk, the answer
    ("not_the_systems_own", {"vital": "/var/lib/kubelet"}, REFUSED),
    ("not_swapped_to", {"swap": "/dev/sda2"}, REFUSED),
    ("not_a_pseudo_disk", {"pseudo": True}, REFUSED),
    ("not_optical", {"optical": True}, REFUSED),
    ("not_removable", {"removable": True}, REFUSED),
    ("not_put_together", {"made_of": ("sda", "sdb")}, REFUSED),
    ("has_a_size", {"size_bytes": 0}, Presence.NOT_PRESENT),
    ("not_one_of_two_alike", {"alike": ("nvme3n1",)}, Presence.CONFLICT),
    ("nothing_is_built_on_it", {"holders": ("dm-0",)}, OCCUPIED),
    ("not_a_partitions_parent", {"partitions": ("sda1",)}, OCCUPIED),
    ("not_a_partitions_parent", {"table": "gpt", "listed_partitions": True}, OCCUPIED),
    *[("not_shared_between_machines", {"signature": kind}, OCCUPIED) for kind in SHARED],
    *[("not_a_member", {"signature": kind, "usage": "other"}, OCCUPIED) for kind in MEMBERS],
    ("not_a_member", {"signature": "LVM2_member", "usage": "raid"}, OCCUPIED),
    ("not_a_member", {"signature": "crypto_LUKS", "usage": "crypto"}, OCCUPIED),
    ("is_unambiguous", {"ambivalent": True}, OCCUPIED),
]
FINE: list[dict[str, Any]] = [
    {},
    {"signature": "xfs", "usage": "filesystem"},
    {"signature": "swap", "usage": "other"},
    {"table": "gpt"},
]
TENANTS = {"nothing_is_built_on_it", "not_a_partitions_parent", "not_a_member", "is_unambiguous"}


@pytest.mark.parametrize(
    ("rule", "unlike", "presence"), [pytest.param(*row, marks=pytest.mark.guards(row[0])) for row in TABLE]
)
def test_a_rule_refuses_and_says_what_and_no_other_rule_does(
    rule: str, unlike: dict[str, Any], presence: Presence
) -> None:
    given = Build(**{**PLAIN, **unlike})
    found = fit.unfit(given)
    assert found is not None
    assert found.presence is presence
    assert "nvme0n1" in found.said
    assert [each.name for each in fit.RULES if each.check(given)] == [rule]


@pytest.mark.parametrize("unlike", FINE)
def test_a_plain_disk_with_whatever_data_passes(unlike: dict[str, Any]) -> None:
    assert fit.unfit(Build(**{**PLAIN, **unlike})) is None


def test_every_rule_is_tried_and_says_which_disaster_it_prevents() -> None:
    assert {name for name, _, _ in TABLE} == {each.name for each in fit.RULES}
    for (name, prevents, why), each in zip(fit.listing(), fit.RULES, strict=True):
        assert prevents
        assert each.check.__doc__
        assert (name, prevents, why) == (each.name, each.prevents, each.check.__doc__.strip())


@pytest.mark.parametrize(("rule", "unlike", "presence"), TABLE)
def test_a_tenant_with_a_raw_device_may_have_made_this_and_no_more(
    rule: str, unlike: dict[str, Any], presence: Presence
) -> None:
    found = fit.unfit(Build(**{**PLAIN, **unlike}), tenants=True)
    assert (found is None) == (rule in TENANTS)


@pytest.mark.parametrize("unlike", [unlike for _, unlike, presence in TABLE if presence is OCCUPIED])
def test_what_a_person_is_to_clear_says_how(unlike: dict[str, Any]) -> None:
    found = fit.unfit(Build(**{**PLAIN, **unlike}))
    assert found is not None
    assert "wipefs -a" in found.said or "is part of dm-0" in found.said


@pytest.mark.parametrize(
    ("partitions", "words"),
    [
        (("sda1",), "has 1 partition (sda1); "),
        (("sda1", "sda2"), "has 2 partitions (sda1, sda2); "),
        (("sda1", "sda2", "sda3"), "has 3 partitions (sda1, sda2, sda3); "),
    ],
)
def test_partitions_are_counted_and_named(partitions: tuple[str, ...], words: str) -> None:
    found = fit.unfit(Build(**{**PLAIN, "partitions": partitions}))
    assert found is not None
    assert words in found.said


def test_a_rule_is_still_a_function_that_can_be_asked_by_its_name() -> None:
    assert fit.not_optical(Build(**{**PLAIN, "optical": True})) is not None


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
        ("nbd3", {}, "not_a_pseudo_disk"),
        ("dm-0", {"dm__uuid": "LVM-x"}, "not_put_together"),
        ("md0", {"md__uuid": "x"}, "not_put_together"),
        ("srv0", {}, ""),
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
    assert disk.exists()


def test_a_partition_is_removable_as_its_disk_is(sysfs: Sysfs) -> None:
    sysfs.device("sdb", "8:16", removable="1")
    sysfs.device("sdb/sdb1", "8:17", partition="1")
    assert sysfs.build("8:17").removable
    assert sysfs.build("8:17").partitions == ()


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
    return (head + (bytes(5 * size) + b"\1" * 16 if used else b"")).ljust(build.HEAD_BYTES, b"\0")


@pytest.mark.parametrize(
    ("kind", "head", "lists"),
    [
        ("dos", mbr(), False),
        ("dos", mbr((0x83, 2048)), True),
        ("dos", mbr((0, 0), (0x83, 2048)), True),
        ("dos", mbr((0x83, 0)), False),
        ("gpt", gpt(512, used=False), False),
        ("gpt", gpt(512, used=True), True),
        ("gpt", gpt(4096, used=False), False),
        ("gpt", gpt(4096, used=True), True),
        # What cannot be read is not empty.
        ("gpt", mbr((0xEE, 1)).ljust(build.HEAD_BYTES, b"\0"), True),
        ("gpt", gpt(512, used=False, size=0), True),
        ("gpt", gpt(512, used=False, count=100_000), True),
        ("PMBR", mbr((0xEE, 1)), True),
        ("sun", bytes(512), True),
    ],
)
def test_whether_a_table_lists_a_partition(kind: str, head: bytes, lists: bool) -> None:
    assert build.lists_partitions(kind, head) is lists
