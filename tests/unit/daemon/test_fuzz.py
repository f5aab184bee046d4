"""Whatever a disk, a tool or /proc says: it is understood, or refused in a way that its reader knows.

A tenant writes what libblkid reads, a vendor what sysfs shows, and a power cut what is left of a journal.
None of it may end a child with an exception that nobody meant (a disk that is never reported), and none of it
may reach a terminal as it is.
"""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disk_daemon import journal, kernel, tools
from disk_daemon.facts import build, hardware, mounts
from disk_daemon.known import Broken, Entry, Made
from disk_daemon.tools import Found
from tests.unit.daemon.cases import DISK, NEXT, OLD, entry, taken
from tidb_volume.identity import words
from tidb_volume.units import format_bytes

files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

KEYS = st.sampled_from(["TYPE", "UUID", "USAGE", "PTTYPE", "LABEL", "DEVNAME", "AMBIVALENT", "", "="])
LINES = st.lists(st.tuples(KEYS, st.text(max_size=40)).map("=".join) | st.text(max_size=20), max_size=8)


@pytest.mark.parametrize("end", ["\u2028", "\x0b", "\x1c", "\x85", "\r"])
def test_a_label_says_nothing_but_a_label(end: str) -> None:
    """Which libblkid prints as it is, where it is no line feed."""
    seen = tools.found(0, f"LABEL=x{end}PTTYPE=gpt\nUUID=u\nTYPE=ext4\nUSAGE=filesystem\n", "")
    assert (seen.fs_type, seen.uuid, seen.table) == ("ext4", "u", "")
    assert seen.words.startswith("ext4 (label x")


@given(status=st.sampled_from([0, 1, 2, 4, 8, -11]), out=LINES.map("\n".join), err=st.text(max_size=40))
def test_whatever_blkid_prints_is_never_taken_for_nothing(status: int, out: str, err: str) -> None:
    try:
        seen = tools.found(status, out, err)
    except OSError:
        return
    assert seen.words.isprintable()
    if seen == Found():
        told = {line.split("=", 1)[0] for line in out.split("\n") if "=" in line} - {"DEVNAME"}
        assert status == 2
        assert not told


@given(kind=st.sampled_from(["gpt", "dos", "mac", "sun", ""]), head=st.binary(max_size=2048))
def test_a_partition_table_that_cannot_be_read_counts_as_one_with_partitions(kind: str, head: bytes) -> None:
    assert build.lists_partitions(kind, head) in (True, False)


@given(
    at=st.sampled_from([512, 4096]),
    first=st.integers(0, 2**64 - 1),
    count=st.integers(0, 2**32 - 1),
    size=st.integers(0, 2**32 - 1),
    length=st.integers(0, 9000),
)
def test_a_gpt_header_may_say_anything_of_where_its_table_is(
    at: int, first: int, count: int, size: int, length: int
) -> None:
    head = bytearray(16384)
    head[at : at + 8] = b"EFI PART"
    struct.pack_into("<QII", head, at + 72, first, count, size)
    for cut in (bytes(head), bytes(head[:length])):
        listed = build.lists_partitions("gpt", cut)
        assert listed in (True, False)
        if cut[at : at + 8] == b"EFI PART" and (not 0 < size <= 4096 or first > 32):
            assert listed, "a table out of reach may list anything"


@given(head=st.binary(max_size=4096))
def test_a_superblock_has_a_uuid_or_none(head: bytes) -> None:
    for magic in (b"", b"XFSB"):
        found = kernel.superblock_uuid(magic + head)
        assert found == "" or (len(found) == 36 and found.count("-") == 4)


@given(table=st.binary(max_size=400))
def test_half_a_mount_table_is_none(table: bytes) -> None:
    try:
        for mount in mounts.parse(table):
            assert mount.device
    except ValueError:
        pass


FIELD = st.binary(min_size=1, max_size=12).filter(lambda field: not set(field) & set(b" \n\t\\"))


@given(root=FIELD, target=FIELD, source=st.just(b"") | FIELD)
def test_a_mount_is_read_whatever_its_folders_are_called(root: bytes, target: bytes, source: bytes) -> None:
    """The kernel escapes blank, tab, newline and backslash (fs/proc_namespace.c); a source may be empty."""
    line = b"36 35 98:0 /%b /%b rw,noatime shared:1 - xfs %b rw,errors=continue" % (root, target, source)
    (mount,) = mounts.parse(line)
    assert (mount.device, mount.fs_type, mount.shared) == ("98:0", "xfs", True)


RECORD = msgspec.json.encode(
    entry(handed=OLD, order=taken(begun=True), made=Made(uuid="u", fs_type="xfs"), past=(NEXT,))
)


@files
@given(
    text=st.binary(max_size=200)
    | st.tuples(st.integers(0, len(RECORD)), st.binary(max_size=3)).map(
        lambda cut: RECORD[: cut[0]] + cut[1] + RECORD[cut[0] + len(cut[1]) :]
    )
    | st.integers(0, len(RECORD) - 1).map(lambda end: RECORD[:end])
    | st.just(b"[" * 100_000)
)
def test_a_journal_is_whole_or_broken_and_never_absent(text: bytes, tmp_path: Path) -> None:
    file = journal.file_of(str(tmp_path), DISK)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(text)
    assert isinstance(journal.load(str(tmp_path), DISK), Entry | Broken)


FACTS = ("serial", "wwid", "nguid", "eui", "device/serial", "device/wwid", "device/model", "device/vpd_pg80")


@files
@given(facts=st.lists(st.none() | st.binary(max_size=60), min_size=len(FACTS), max_size=len(FACTS)))
def test_whatever_a_vendor_wrote_into_a_disk_can_be_told_and_shown(
    facts: list[bytes | None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    sys = tmp_path_factory.mktemp("sys")
    own = sys / "devices" / "sda"
    (own / "device").mkdir(parents=True)
    (sys / "dev" / "block").mkdir(parents=True)
    (sys / "dev" / "block" / "8:0").symlink_to("../../devices/sda")
    (own / "size").write_text("2048\n")
    for name, text in zip(FACTS, facts, strict=True):
        if text is not None:
            (own / name).write_bytes(text)
    try:
        found = hardware.identity("8:0", virtual_disks=False, sys=sys)
    except hardware.Virtual:
        return
    assert words(found).isprintable()
    assert msgspec.json.decode(msgspec.json.encode(found)) == msgspec.to_builtins(found)
    assert found.size_bytes == 1 << 20, format_bytes(found.size_bytes)
