"""Facts that tell a disk from all others, and what looks like one and is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from disk_daemon.facts import hardware

NVME_OF_NOTHING = "nvme.1344-2020202020202020-4d6963726f6e-00000001"
"""What the kernel makes of vendor, serial (blanks), model and namespace where a disk has neither NGUID nor
EUI (drivers/nvme/host/sysfs.c, wwid_show)."""


def disk_in(sys: Path, **files: str) -> str:
    """A disk in a sysfs of its own, by the files that its folder has; `__` is a slash. Returns its number."""
    own = sys / "devices" / "sdx"
    for name, text in {"size": "655360\n", "dev": "8:16\n", **files}.items():
        path = own / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    links = sys / "dev" / "block"
    links.mkdir(parents=True)
    (links / "8:16").symlink_to("../../devices/sdx")
    return "8:16"


@pytest.mark.parametrize(
    "files",
    [
        {"device__wwid": "naa.0000000000000000\n"},
        {"device__wwid": "naa.00000000000000000000000000000000\n"},
        {"device__wwid": "eui.0000000000000000\n"},
        {"device__wwid": "t10.ATA     SOME MODEL                      00000000\n"},
        {"wwid": "eui.0000000000000000\n", "device__serial": "                    \n"},
        {"wwid": "eui.00000000000000000000000000000000\n", "nguid": "00000000-0000-0000-0000-000000000000\n"},
        {"wwid": f"{NVME_OF_NOTHING}\n", "device__serial": "                    \n"},
        {"wwid": "nvme.1344-30303030-4d6963726f6e-00000001\n", "device__serial": "0000\n"},
        {"device__vpd_pg80": "\x00\x80\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00"},
        {"serial": "\x00\x00\n"},
        {"wwid": "uuid.00000000-0000-0000-0000-000000000000\n"},
    ],
)
def test_a_fact_that_many_disks_share_is_none(tmp_path: Path, files: dict[str, str]) -> None:
    """Two disks of a model with it would be one disk, to a wipe as well (harvester #6604)."""
    device = disk_in(tmp_path, **files)
    with pytest.raises(hardware.Virtual):
        hardware.identity(device, virtual_disks=False, sys=tmp_path)


@pytest.mark.parametrize(
    ("files", "fact", "value"),
    [
        ({"device__wwid": "naa.5000c500a0b1c2d3\n"}, "wwn", "naa.5000c500a0b1c2d3"),
        ({"wwid": "eui.0025388b71b0a1f2\n", "eui": "00 25 38 8b 71 b0 a1 f2\n"}, "eui", "0025388b71b0a1f2"),
        ({"device__wwid": "t10.ATA     SOME MODEL    S4X0\n"}, "wwn", "t10.ATA SOME MODEL S4X0"),
        ({"wwid": "nvme.1344-53345830-4d-00000001\n", "device__serial": "S4X0\n"}, "serial", "S4X0"),
        ({"wwid": "nvme.1344-53345830-4d-00000001\n", "device__serial": "S4X0\n"}, "wwn",
         "nvme.1344-53345830-4d-00000001"),
        ({"serial": "vol-01\n"}, "serial", "vol-01"),
        ({"device__vpd_pg80": "\x00\x80\x00\x08S4X0\x00\x00\x00\x00"}, "serial", "S4X0"),
    ],
)  # fmt: skip
def test_a_fact_of_its_own_is_told(tmp_path: Path, files: dict[str, str], fact: str, value: str) -> None:
    device = disk_in(tmp_path, **files)
    found = hardware.identity(device, virtual_disks=False, sys=tmp_path)
    assert getattr(found, fact) == value


def test_a_wwn_of_zeroes_leaves_the_serial_as_the_fact_that_counts(tmp_path: Path) -> None:
    device = disk_in(tmp_path, device__wwid="naa.0000000000000000\n", device__serial="S4X0\n")
    found = hardware.identity(device, virtual_disks=False, sys=tmp_path)
    assert (found.wwn, found.serial) == ("", "S4X0")


def test_a_partition_has_a_disk_and_a_disk_has_none(tmp_path: Path) -> None:
    whole = disk_in(tmp_path, sdx1__partition="1\n", sdx1__dev="8:17\n")
    (tmp_path / "dev" / "block" / "8:17").symlink_to("../../devices/sdx/sdx1")
    assert hardware.whole_of("8:17", tmp_path) == whole
    assert hardware.whole_of(whole, tmp_path) == ""
    with pytest.raises(FileNotFoundError):
        hardware.whole_of("8:18", tmp_path)


# --- two disks that look like one -----------------------------------------------------------------------


class Sys:
    """A sysfs of whole disks, each with a number of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for below in ("dev/block", "block"):
            (folder / below).mkdir(parents=True)

    def disk(self, name: str, minor: int, **files: str) -> str:
        own = self.folder / "devices" / name
        (own / "device").mkdir(parents=True)
        for file, text in {"size": "655360", "dev": f"8:{minor}", **files}.items():
            (own / file.replace("__", "/")).write_text(f"{text}\n")
        (self.folder / "dev/block" / f"8:{minor}").symlink_to(f"../../devices/{name}")
        (self.folder / "block" / name).symlink_to(f"../devices/{name}")
        return f"8:{minor}"


ONE = {"device__wwid": "naa.5000c500a0b1c2d3", "device__serial": "S4X0", "device__model": "FAST"}


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        (ONE, ("sdb",)),
        ({"device__wwid": ONE["device__wwid"], "device__model": "FAST"}, ("sdb",)),
        (ONE | {"device__serial": "S4X1"}, ()),
        (ONE | {"device__wwid": "naa.5000c500a0b1c2d4"}, ()),
        (ONE | {"size": "655368"}, ()),
        ({"device__model": "FAST"}, ()),
        ({}, ()),
    ],
)
def test_another_disk_is_alike_where_all_facts_that_both_have_agree(
    tmp_path: Path, other: dict[str, str], alike: tuple[str, ...]
) -> None:
    sys = Sys(tmp_path)
    device = sys.disk("sda", 0, **ONE)
    sys.disk("sdb", 16, **other)
    assert hardware.alike(device, tmp_path) == alike


def test_a_path_that_the_kernel_hides_and_a_disk_that_is_just_pulled_out_are_not_another_disk(
    tmp_path: Path,
) -> None:
    """/sys/block lists each path of a native NVMe multipath disk, which has no number (`hidden`)."""
    sys = Sys(tmp_path)
    device = sys.disk("nvme0n1", 0, **ONE)
    sys.disk("nvme0c0n1", 16, **ONE)
    (tmp_path / "devices" / "nvme0c0n1" / "dev").unlink()
    (tmp_path / "block" / "sdz").symlink_to("../devices/gone")
    assert hardware.alike(device, tmp_path) == ()


def test_a_partition_is_one_of_two_where_its_disk_is(tmp_path: Path) -> None:
    sys = Sys(tmp_path)
    sys.disk("sda", 0, **ONE)
    sys.disk("sdb", 16, **ONE)
    part = tmp_path / "devices" / "sda" / "sda1"
    part.mkdir()
    (part / "partition").write_text("1\n")
    (tmp_path / "dev/block" / "8:1").symlink_to("../../devices/sda/sda1")
    assert hardware.alike("8:1", tmp_path) == ("sdb",)
