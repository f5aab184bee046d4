"""What a machine gets so that a disk is there after a boot: names as systemd has them, and facts alone."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.cluster import packages
from tests.unit.cli.build import HOSTILE
from tidb_volume import boot, names
from tidb_volume.value import Identity

UUID = "0ab1c2d3-0000-4aaa-8bbb-0123456789ab"
TENANCY = "abcdefghijk2"
NVME = Identity(wwn="eui.0025385b21404321", serial="S4X0", model="SAMSUNG MZ", size_bytes=1 << 30)


def tool(name: str) -> str:
    """A program of Debian's package systemd: CI installs it, elsewhere a test without it says so."""
    if os.environ.get("CI"):
        packages.require({name: "systemd"})
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on this machine (package systemd)")
    return found


# --- names of units ---------------------------------------------------------------------------------------

PATHS = {
    "/": "-",
    "/data": "data",
    "/data/": "data",
    "//data///a//": "data-a",
    "/var/lib/tidb-volume/mounts/node-1-x.y": r"var-lib-tidb\x2dvolume-mounts-node\x2d1\x2dx.y",
    "/.hidden/a": r"\x2ehidden-a",
    "/a/.hidden": "a-.hidden",
    "/a:b_c.d": "a:b_c.d",
    "/a b\\c": r"a\x20b\x5cc",
    "/ä": r"\xc3\xa4",
    "/%n": r"\x25n",
}


@pytest.mark.parametrize(("path", "name"), PATHS.items())
def test_a_path_is_escaped_as_systemd_documents_it(path: str, name: str) -> None:
    assert boot.escaped(path) == name


@pytest.mark.parametrize("path", ["", "data", "/a/../b", "/..", "/a/./b", "."])
def test_a_path_that_no_unit_can_have_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="absolute path"):
        boot.escaped(path)


def test_the_real_tool_escapes_the_same() -> None:
    done = subprocess.run(
        [tool("systemd-escape"), "--path", "--suffix=mount", *PATHS],
        capture_output=True,
        text=True,
        check=True,
        env={"LC_ALL": "C.UTF-8"},
    )
    assert done.stdout.split() == [f"{name}.mount" for name in PATHS.values()]


@given(some.text(min_size=1, max_size=60).filter(lambda text: "\0" not in text))
def test_no_two_folders_have_one_unit(text: str) -> None:
    plain = [part for part in text.split("/") if part not in ("", ".", "..")]
    name = boot.escaped("/" + "/".join(plain))
    assert re.fullmatch(r"-|[A-Za-z0-9:_.\\-]+", name)
    back = name.replace("-", "/").encode()
    back = re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), back)
    assert back.decode(errors="surrogateescape").strip("/") == "/".join(plain)


# --- mount units ------------------------------------------------------------------------------------------


def test_a_device_is_mounted_as_the_daemon_mounts_it_and_keeps_no_machine_from_booting() -> None:
    unit = boot.mount_unit("node-1-nvme0-abc123", UUID, "ext4", ("noatime", "stripe=128"))
    assert unit.name == r"var-lib-tidb\x2dvolume-mounts-node\x2d1\x2dnvme0\x2dabc123.mount"
    lines = unit.text.splitlines()
    assert f"What=/dev/disk/by-uuid/{UUID}" in lines
    assert f"Where={names.device_mount('node-1-nvme0-abc123')}" in lines
    assert "Type=ext4" in lines
    assert "Options=nosuid,nodev,noatime,stripe=128,nofail" in lines
    assert lines[-2:] == ["[Install]", "WantedBy=local-fs.target"]


@pytest.mark.parametrize(
    ("volume", "uuid", "fs_type", "options", "says"),
    [
        ("v", "", "xfs", (), "nothing on record"),
        ("v", "label", "xfs", (), "label"),
        ("v", f"{UUID}\nExecStart=/x", "xfs", (), "is none"),
        ("v", UUID, "", (), "nothing on record"),
        ("v", UUID, "xfs\n", (), "is none"),
        ("v", UUID, "xfs", ("noatime", "a,b"), "a,b"),
        ("v", UUID, "xfs", ("%n",), "%n"),
        ("v", UUID, "xfs", ("x\ny",), "option"),
        ("v", UUID, "xfs", ("noatime", "rtdev=/dev/sdb"), "rtdev=/dev/sdb names another device or a file"),
        ("../v", UUID, "xfs", (), "folder"),
        ("v\n[Mount]", UUID, "xfs", (), "folder"),
        (HOSTILE, UUID, "xfs", (), "folder"),
        ("a" + "-a" * 60, UUID, "xfs", (), "fstab"),
    ],
)
def test_what_is_not_known_or_could_write_a_line_of_its_own_is_no_unit(
    volume: str, uuid: str, fs_type: str, options: tuple[str, ...], says: str
) -> None:
    with pytest.raises(boot.Unfit, match=says):
        boot.mount_unit(volume, uuid, fs_type, options)


@pytest.mark.parametrize("fs_type", ["xfs", "ext4"])
def test_systemd_itself_finds_nothing_wrong_with_a_unit(tmp_path: Path, fs_type: str) -> None:
    unit = boot.mount_unit("node-1.example-nvme0-abc123", UUID, fs_type, ("noatime", "stripe=128"))
    file = tmp_path / unit.name
    file.write_text(unit.text)

    def verify() -> subprocess.CompletedProcess[str]:
        words = [tool("systemd-analyze"), "--man=no", "verify", str(file)]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    done = verify()
    assert (done.returncode, done.stderr) == (0, "")
    file.write_text(unit.text.replace("mounts/node", "mounts/another"))
    assert verify().returncode != 0


# --- rules for udev ---------------------------------------------------------------------------------------


def test_a_raw_device_is_found_by_its_wwn_and_size_and_gets_its_tenancys_name() -> None:
    assert boot.rules(TENANCY, NVME).splitlines() == [
        'SUBSYSTEM=="block", ACTION!="remove", ENV{DEVTYPE}=="disk", ATTR{size}=="2097152", '
        f'ATTR{{{attribute}}}=="eui.0025385b21404321", SYMLINK+="tidb-volume/{TENANCY}"'
        for attribute in ("wwid", "device/wwid")
    ]


def test_without_a_wwn_it_is_its_serial_wherever_the_daemon_may_have_read_it() -> None:
    keys = re.findall(r'([A-Z]+\{[^}]+\})=="S4X0"', boot.rules(TENANCY, _but(wwn="")))
    assert keys == ["ATTR{serial}", "ATTR{device/serial}", "ENV{ID_SCSI_SERIAL}"]


def test_a_partition_is_told_by_its_place_and_by_the_disk_that_it_is_a_part_of() -> None:
    for each in boot.rules(TENANCY, _but(partition="2@2048")).splitlines():
        assert 'ENV{DEVTYPE}=="partition"' in each
        assert 'ATTR{partition}=="2", ATTR{start}=="2048"' in each
        assert re.search(r'ATTRS\{(device/)?wwid\}=="eui', each)


def test_blanks_that_sysfs_has_more_of_are_matched_and_no_longer_serial_is() -> None:
    told = "t10.ATA QEMU HARDDISK QM001"
    rule = boot.rules(TENANCY, _but(wwn=told)).splitlines()[1]
    (wanted,) = re.findall(r'ATTR\{device/wwid\}=="([^"]*)"', rule)
    (unwanted,) = re.findall(r'ATTR\{device/wwid\}!="([^"]*)"', rule)

    def matches(text: str) -> bool:
        return fnmatch.fnmatchcase(text, wanted) and not fnmatch.fnmatchcase(text, unwanted)

    assert matches("t10.ATA     QEMU HARDDISK                       QM001")
    assert matches(told)
    assert not matches("t10.ATA     QEMU HARDDISK                      XQM001")
    assert not matches("t10.ATA     QEMU HARDDISK                       QM0011")


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a*b", "a?b", "a[b", "a]b", "a|b", "a\nb"])
def test_what_a_rule_would_read_otherwise_is_a_wildcard(text: str) -> None:
    assert boot.pattern(text) == "a?b"


@given(some.text(max_size=40))
def test_a_fact_matches_itself_and_cannot_end_its_value(text: str) -> None:
    made = boot.pattern(text)
    assert not set(made) & set('"\\|[]\n')
    assert fnmatch.fnmatchcase(text, made)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"wwn": "", "serial": ""}, "no WWN and no serial"),
        ({"wwn": "", "serial": "", "virtual": "8:1"}, "virtual"),
        ({"wwn": "dm.mpath-1", "serial": ""}, "no WWN"),
        ({"size_bytes": 0}, "size"),
        ({"partition": "two"}, "two"),
    ],
)
def test_a_disk_that_udev_cannot_tell_from_others_gets_no_rule(changed: dict[str, str], says: str) -> None:
    with pytest.raises(boot.Unfit, match=says):
        boot.rules(TENANCY, _but(**changed))


@pytest.mark.parametrize("tenancy", ["", "abc", "../../etc/x", f"{TENANCY}\n"])
def test_a_name_that_is_no_tenancys_gets_no_rule(tenancy: str) -> None:
    with pytest.raises(boot.Unfit, match="device node"):
        boot.rules(tenancy, NVME)


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({}, True),
        ({"serial": "another", "model": "another"}, True),
        ({"wwn": "eui.0025385b21404322"}, False),
        ({"size_bytes": 1 << 31}, False),
        ({"partition": "1@2048"}, False),
    ],
)
def test_another_disk_that_the_rule_would_take_is_known(changed: dict[str, str], same: bool) -> None:
    assert boot.is_meant_too(NVME, _but(**changed)) is same


def _but(**changed: object) -> Identity:
    return msgspec.structs.replace(NVME, **changed)
