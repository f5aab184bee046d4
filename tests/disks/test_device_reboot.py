"""Devices whose file system the daemon made, after a reboot: mounted from the journal, or not at all."""

from __future__ import annotations

import errno
import struct
import subprocess
from pathlib import Path

import pytest

from disk_daemon import mounting
from disk_daemon.facts.folder import Rules
from disk_daemon.known import Made
from tests.disks.bench import (
    NEXT,
    OLD,
    RawDisk,
    facts_of,
    identity_of,
    obey,
    reclaim,
)
from tests.disks.device import SECRET, boot, prepare, state
from tidb_volume.value import Content, Presence


def test_after_a_reboot_it_is_mounted_from_the_journal_with_its_data(used: RawDisk, rules: Rules) -> None:
    used.unmount()
    facts = facts_of(used, rules)
    assert facts.presence is Presence.NOT_MOUNTED
    assert boot(used, rules).ok
    assert (used.ours / OLD / "data").read_bytes() == SECRET
    assert facts_of(used, rules).tenancies == (OLD,)
    assert boot(used, rules).said == "mounted already"


def test_another_file_system_in_its_place_is_not_mounted_and_not_formatted(
    used: RawDisk, rules: Rules
) -> None:
    used.unmount()
    subprocess.run(["mkfs.xfs", "-q", "-f", "-K", used.loop], check=True)
    before = used.image.read_bytes()
    assert not boot(used, rules).ok
    assert not used.is_mounted
    facts = facts_of(used, rules)
    assert facts.content is Content.DATA
    for order in (reclaim(identity_of(used, rules)), prepare(identity_of(used, rules), id="p", next=NEXT)):
        assert state(obey(used, order, rules)) == ("refused", "HasData")
    assert used.image.read_bytes() == before


@pytest.mark.parametrize("size", [4096, 320 << 20])
def test_a_damaged_superblock_is_not_blank(used: RawDisk, rules: Rules, size: int) -> None:
    """Even if all of the disk is zero by now: something was there, and it was not us who took it away."""
    used.unmount()
    for start in range(0, size, 1 << 20):
        used.write(start, bytes(min(size, 1 << 20)))
    subprocess.run(["blockdev", "--flushbufs", used.loop], check=True)
    assert not boot(used, rules).ok
    facts = facts_of(used, rules)
    assert facts.content is Content.DATA
    assert facts.raw is not None
    assert "damaged or gone" in facts.raw.damage
    before = used.image.read_bytes()
    for order in (reclaim(identity_of(used, rules)), prepare(identity_of(used, rules), id="p", next=NEXT)):
        assert state(obey(used, order, rules)) == ("refused", "HasData")
    assert used.image.read_bytes() == before
    assert not used.is_mounted


def test_a_damaged_log_is_not_mounted_and_why_and_the_way_out_are_said(used: RawDisk, rules: Rules) -> None:
    """The superblock is good: it is ours beyond doubt, and only the kernel can say what is wrong."""
    used.unmount()
    start, size = log_of(used)
    before = used.image.read_bytes()[start : start + size]
    damaged = bytearray(before)
    for block in range(0, size, 512):
        damaged[block : block + 4] = (0xFEEDBABE).to_bytes(4, "big")
        damaged[block + 4 : block + 64] = b"\xff" * 60
    used.write(start, bytes(damaged))
    subprocess.run(["blockdev", "--flushbufs", used.loop], check=True)
    tried = boot(used, rules)
    assert not tried.ok
    assert not used.is_mounted
    assert tried.said.startswith(("EUCLEAN: ", "EIO: ", "EINVAL: ", "EBADMSG: ")), tried.said
    assert f"xfs_repair {used.by_id}" in tried.said
    assert boot(used, rules) == tried, "the same words each time, so that nothing is written anew"
    facts = facts_of(used, rules)
    assert (facts.presence, facts.raw is not None and facts.raw.mountable) == (Presence.NOT_MOUNTED, True)
    used.write(start, before)
    subprocess.run(["blockdev", "--flushbufs", used.loop], check=True)
    assert boot(used, rules).ok
    assert (used.ours / OLD / "data").read_bytes() == SECRET


def log_of(disk: RawDisk) -> tuple[int, int]:
    """Where the log of its XFS lies, in bytes: start and size."""
    with disk.image.open("rb") as image:
        super_block = image.read(512)
    (block_size,) = struct.unpack_from(">I", super_block, 4)
    (log_start,) = struct.unpack_from(">Q", super_block, 48)
    group_blocks, _, _, log_blocks = struct.unpack_from(">IIII", super_block, 84)
    bits = super_block[124]
    group, block = log_start >> bits, log_start & ((1 << bits) - 1)
    return (group * group_blocks + block) * block_size, log_blocks * block_size


@pytest.mark.parametrize(
    ("number", "fs_type", "says"),
    [
        (errno.EUCLEAN, "xfs", "xfs_repair /dev/x"),
        (errno.EIO, "ext4", "e2fsck -f /dev/x"),
        (errno.EINVAL, "ext4", "by hand at /place with options that this kernel takes"),
        (errno.EINVAL, "ext4", "e2fsck -f /dev/x"),
        (errno.ENOTEMPTY, "xfs", "move it away"),
        (errno.EROFS, "xfs", "look at the kernel's log of the node"),
    ],
)
def test_a_mount_that_fails_has_a_way_out(number: int, fs_type: str, says: str) -> None:
    made = Made(uuid="u", fs_type=fs_type)
    assert says in mounting.way_out(OSError(number, "so"), made, "/dev/x", "/place")


def test_another_disk_under_the_name_is_not_mounted(used: RawDisk, rules: Rules, tmp_path: Path) -> None:
    used.unmount()
    copy = RawDisk.make(tmp_path, "copy", rules)
    try:
        copy.image.write_bytes(used.image.read_bytes())
        used.by_id.unlink()
        used.by_id.symlink_to(copy.loop)
        assert not boot(used, rules).ok
        assert not used.is_mounted
    finally:
        copy.remove()


def test_something_in_the_folder_where_it_is_to_be_mounted_stops_the_mount(
    used: RawDisk, rules: Rules
) -> None:
    used.unmount()
    (used.path / "file").write_text("x")
    assert not boot(used, rules).ok
    assert not used.is_mounted
