"""Whatever a disk, a tool or /proc says: it is understood, or refused in a way that its reader knows.

A tenant writes what libblkid reads, a vendor what sysfs shows, and a power cut what is left of a journal.
None of it may end a child with an exception that nobody meant (a disk that is never reported), and none of it
may reach a terminal as it is.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from disk_daemon import journal, kernel, nvme, observe, shown, tools, uevents, zygote
from disk_daemon.children import Child, Children
from disk_daemon.facts import build, hardware, loops, mounts, openers, process, system
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Ask, Job, Message
from disk_daemon.kernel import Remembered
from disk_daemon.known import Broken, Entry, Facts, Made
from disk_daemon.tools import Found
from tests.unit.daemon.cases import DISK, NEXT, OLD, entry, taken
from tidb_volume.identity import words
from tidb_volume.units import format_bytes
from tidb_volume.value import Presence, Source

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
@example(at=512, first=2, count=0, size=128, length=0)
def test_a_gpt_header_may_say_anything_of_where_its_table_is(
    at: int, first: int, count: int, size: int, length: int
) -> None:
    head = bytearray(16384)
    head[at : at + 8] = b"EFI PART"
    struct.pack_into("<QII", head, at + 72, first, count, size)
    for cut in (bytes(head), bytes(head[:length])):
        listed = build.lists_partitions("gpt", cut)
        assert listed in (True, False)
        if cut[at : at + 8] == b"EFI PART" and (not 0 < size <= 4096 or first > 32 or not count):
            assert listed, "a table out of reach may list anything"


def mutated(sample: bytes) -> st.SearchStrategy[bytes]:
    """Cut somewhere, or with something else in one place."""
    at = st.integers(0, len(sample))
    return at.map(lambda end: sample[:end]) | st.tuples(at, at, st.binary(max_size=4)).map(
        lambda made: sample[: min(made[:2])] + made[2] + sample[max(made[:2]) :]
    )


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


MOUNT = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue"
"""The example in proc(5)."""


@given(line=mutated(MOUNT))
def test_a_line_of_a_mount_table_is_whole_or_none(line: bytes) -> None:
    try:
        found = list(mounts.parse(line))
    except ValueError:
        return
    assert len(found) == len([each for each in line.split(b"\n") if each])


@given(line=mutated(MOUNT))
def test_who_looks_for_bound_nodes_in_half_a_line_does_not_know(line: bytes) -> None:
    with suppress(ValueError):
        assert list(openers._bound({1}, [mounts.Table(0, line)], Rules())) == []


@given(major=st.integers(1, 300), minor=st.integers(0, 300), other=st.integers(1, 300))
def test_a_device_is_found_in_a_table_by_its_whole_number(major: int, minor: int, other: int) -> None:
    """A search for 8:1 finds neither 8:16 nor 18:1; one for `/dev/sda` elsewhere also hit `/dev/sdaa`."""
    numbers = [(major, minor), (other, minor), (major, other)]
    source = b"%d:%d" % numbers[0]  # a mount may call what it is of anything
    lines = [b"1 1 %d:%d / /m rw - xfs %b rw" % (*each, source) for each in numbers]
    table = mounts.Table(0, b"\n".join(lines) + b"\n")
    want = numbers.count(numbers[0])
    assert len(list(table.of(f"{major}:{minor}"))) == want


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
    | st.just(b'{"x":' + b"[" * 100_000)
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


@files
@example(name="removable", text=b"\x1c")
@given(
    name=st.sampled_from(["size", "dev", "removable", "device/type"]),
    text=st.binary(max_size=12) | st.integers(-(10**30), 10**30).map(lambda number: b"%d:1\n" % number),
)
def test_an_attribute_that_is_none_is_told_as_an_error_of_the_disk(
    name: str, text: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sys = tmp_path_factory.mktemp("sys")
    own = sys / "devices" / "sda"
    (own / "device").mkdir(parents=True)
    (sys / "dev" / "block").mkdir(parents=True)
    (sys / "dev" / "block" / "8:0").symlink_to("../../devices/sda")
    plain = {"size": b"2048\n", "dev": b"8:0\n", "removable": b"0\n", "serial": b"S-1\n"}
    for each, said in {**plain, name: text}.items():
        (own / each).write_bytes(said)
    try:
        built = build.gather("8:0", sys=sys, lives=lambda device, also: "", swaps=lambda device: "")
        found = hardware.identity("8:0", virtual_disks=False, sys=sys)
    except OSError:
        assert name in ("size", "dev")
        return
    assert built.size_bytes == found.size_bytes >= 0
    if name == "removable" and text.strip() not in (b"0", b""):
        assert built.removable


@example(blank=b"\t", path=b"x", text=b"Filename")
@given(blank=st.sampled_from([b"\t", b"  "]), path=FIELD, text=st.binary(max_size=80))
def test_what_is_swapped_to_is_read_or_not_known(blank: bytes, path: bytes, text: bytes) -> None:
    """Of a table that is none nobody can say that nothing is swapped to."""
    head = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    row = blank.join([b"/" + path, b"partition", b"1048572", b"0", b"-2\n"])
    assert system.swapped_to(head + row) == (os.fsdecode(b"/" + path),)
    assert system.swapped_to(head) == ()
    for broken in (text, head + text.replace(b"\n", b" ").strip() + b"x\n"):
        try:
            found = system.swapped_to(broken)
        except ValueError:
            continue
        assert broken.startswith(b"Filename")
        assert len(found) == broken.count(b"\n") - 1


@contextmanager
def proc(text: bytes) -> Iterator[None]:
    """A /proc in which every file says the same."""
    with mock.patch.object(process, "read", return_value=text):
        yield


STAT = b"4711 (a (b) c) R 1 4711 4711 0 -1 4194560 1 0 0 0"
STATUS = b"Name:\tx\nState:\tD (disk sleep)\nCapEff:\t000001ffffffffff\nvoluntary_ctxt_switches:\t150\n"


@given(text=mutated(STAT) | st.binary(max_size=40))
def test_a_process_that_is_not_understood_has_not_ended(text: bytes) -> None:
    with proc(STAT):
        assert not process.has_ended("1")
        assert not process.has_nothing("1")
    with proc(text):
        try:
            ended = process.has_ended("1")
        except ValueError:
            return
    assert ended == (text.rpartition(b") ")[2].split()[0] in (b"Z", b"X"))


@given(text=mutated(STATUS) | st.binary(max_size=40))
def test_rights_and_waits_that_are_not_told_are_not_known(text: bytes) -> None:
    with proc(STATUS):
        process.check_that_we_may_look()
        assert process.stands_still("1") == 150
    with proc(text):
        with suppress(ValueError):
            waits = process.stands_still("1")
            assert waits is None or (b"\nState:\tD" in text and b"\nvoluntary_ctxt_switches:" in text)
        try:
            process.check_that_we_may_look()
        except (ValueError, PermissionError):
            return
    assert b"CapEff:" in text


@given(said=st.binary(max_size=8).filter(lambda said: b"\n" not in said and said.strip() != b"0"))
def test_a_socket_carries_nothing_only_where_it_says_so(said: bytes) -> None:
    with mock.patch.object(process, "_MOMENTS_S", ()), proc(b"pos:\t0\nscm_fds: 0\n"):
        assert not process.carries_descriptors("/proc/1", "3")
    with mock.patch.object(process, "_MOMENTS_S", ()), proc(b"pos:\t0\nscm_fds: %b\nx: 0\n" % said):
        assert process.carries_descriptors("/proc/1", "3")


MAPS = (
    b"7f0000000000-7f0000001000 rw-s 00000000 00:05 1234                       /dev/sda\n"
    b"7f0000001000-7f0000002000 rw-p 00000000 00:00 0 \n"
    b"7ffc00000000-7ffc00001000 r-xp 00000000 00:00 0                          [vdso]\n"
)


@given(text=mutated(MAPS))
def test_a_mapping_that_is_not_understood_is_not_passed_over(text: bytes) -> None:
    device = Remembered(stat.S_IFBLK, 1234, 8, 5)
    with mock.patch.object(process, "remembered", return_value=device):
        with proc(MAPS):
            assert list(process.mapped("/proc/1", set())) == [device]
        with proc(text):
            try:
                found = list(process.mapped("/proc/1", set()))
            except ValueError:
                return
    assert len(found) == sum(line.split(b" ")[3:5] != [b"00:00", b"0"] for line in text.split(b"\n")[:-1])


@given(folder=FIELD, file=FIELD)
def test_a_file_on_a_server_is_known_by_the_kernels_name_for_it(folder: bytes, file: bytes) -> None:
    line = b"36 35 0:50 / /%b rw - nfs4 server:/x rw" % folder
    (mount,) = mounts.parse(line)
    assert loops._server(os.fsdecode(b"/%b/%b\n" % (folder, file)), (mount,)) == mount
    assert loops._server(os.fsdecode(b"/%bx/%b\n" % (folder, file)), (mount,)) is None


PAGE = st.binary(max_size=64).map(lambda head: head + bytes(4096 - len(head)))
ANY_PAGE = PAGE | st.binary(max_size=16).map(lambda part: (part * 4096)[:4096] or bytes(4096))


@given(
    namespace=st.integers(1, 2**32 - 1),
    controller=st.tuples(st.integers(0, 2**16 - 1), st.integers(0, 255), st.integers(0, 255)),
    active=ANY_PAGE,
    allocated=st.none() | ANY_PAGE,
    mine=st.booleans(),
)
def test_what_a_disk_says_of_its_namespaces_never_has_one_erased_that_it_names_besides(
    *, namespace: int, controller: tuple[int, int, int], active: bytes, allocated: bytes | None, mine: bool
) -> None:
    own = struct.pack("<I", namespace)
    active = own + active[4:] if mine else active
    page = bytearray(4096)
    struct.pack_into("<H", page, 256, controller[0])
    page[76], page[524] = controller[1:]
    try:
        seen = nvme.told(namespace, bytes(page), bytes(4096), active, allocated)
    except ValueError:
        return
    if nvme.refused(seen):
        return
    assert controller[0] & 2
    listed = {*struct.unpack("<1024I", active)}
    assert namespace in listed
    if controller[2] & 3:
        others = listed | {*struct.unpack("<1024I", allocated or active)}
        assert others <= {0, namespace}


@given(pages=st.lists(st.binary(max_size=40), min_size=4, max_size=4), at=st.integers(0, 3))
def test_identify_data_is_whole_or_none(pages: list[bytes], at: int) -> None:
    whole = [bytes(4096)] * 4
    whole[at] = pages[at]
    with pytest.raises(ValueError, match="4096"):
        nvme.told(1, *whole)


def test_a_disk_whose_identify_data_is_none_is_not_asked_to_erase_itself() -> None:
    """Two namespaces of which the list shows one: what stands after its end makes it none."""
    controller = bytearray(4096)
    struct.pack_into("<H", controller, 256, 2)
    active = struct.pack("<III", 1, 0, 2) + bytes(4084)
    pages = [bytes(controller), bytes(4096), active, active]
    with (
        mock.patch.object(nvme.fcntl, "ioctl", return_value=1),
        mock.patch.object(nvme, "_identify", side_effect=pages),
    ):
        assert nvme.look(0) is None


EVENT = b"add@/devices/x/block/sda\0ACTION=add\0DEVPATH=/devices/x/block/sda\0SUBSYSTEM=block\0SEQNUM=7\0"


@given(message=st.binary(max_size=80) | mutated(EVENT), more=st.lists(FIELD, max_size=3))
def test_a_uevent_is_of_a_disk_or_is_not(message: bytes, more: list[bytes]) -> None:
    assert uevents.is_of_disk(message) in (True, False)
    assert uevents.is_of_disk(EVENT + b"\0".join(more))
    assert not uevents.is_of_disk(EVENT.replace(b"=block", b"=net"))


PROBED = (
    b"DEVNAME=/dev/sda\nLABEL=data\nUUID=693e432b-9970-4871-b10d-c8ed1dd5216d\nTYPE=xfs\nUSAGE=filesystem\n"
)


@given(out=mutated(PROBED))
def test_a_signature_that_is_told_badly_is_one_all_the_same(out: bytes) -> None:
    try:
        seen = tools.found(0, out.decode(errors="replace"), "")
    except OSError:
        return
    assert seen.words
    assert not seen.ambivalent


@given(
    err=st.text(max_size=80), status=st.sampled_from([1, 2, 255, -9]), kind=st.sampled_from(["xfs", "ext4"])
)
def test_whatever_mkfs_prints_is_told_in_one_line(err: str, status: int, kind: str) -> None:
    with (
        mock.patch.object(tools, "run", return_value=(status, "", err)),
        pytest.raises(OSError, match=f"mkfs.{kind} ended with {status}") as failed,
    ):
        tools.make_filesystem(-1, 0, kind, "u")
    assert shown.said(failed.value).isprintable()


@pytest.mark.parametrize(
    ("error", "presence"),
    [
        (OSError(errno.EXDEV, "so", ".tidb-volume"), Presence.HINDERED),
        (OSError(errno.ENOTDIR, "so", "lost+found"), Presence.HINDERED),
        (OSError(errno.ENOTDIR, "so", "/dev/x"), Presence.STUCK),
        (OSError(errno.EIO, "so", ".tidb-volume"), Presence.STUCK),
        (OSError(errno.EIO, "so"), Presence.STUCK),
    ],
)
def test_what_lies_in_the_way_on_a_disk_is_told_from_one_that_does_not_answer(
    tmp_path: Path, error: OSError, presence: Presence
) -> None:
    def how(fd: int, path: str, rules: Rules) -> Facts:
        raise error

    assert observe.look(str(tmp_path), Rules(), how).presence is presence


def test_what_a_look_does_not_understand_is_told_of_the_disk(tmp_path: Path) -> None:
    """An exception would end the child, and its disk would never be reported."""

    def how(fd: int, path: str, rules: Rules) -> Facts:
        raise ValueError("no mountinfo:\n")

    folder = observe.look(str(tmp_path), Rules(), how)
    job = Job(id=1, kind="observe", source=Source(device="/dev/sda"))
    with mock.patch.object(observe.device, "opened", side_effect=ValueError("no mountinfo:\n")):
        device = observe.look_at(job, Rules())
    for facts in (folder, device):
        assert facts.presence is Presence.STUCK
        assert "no mountinfo:\\n" in facts.message


@given(packet=st.binary(min_size=1, max_size=80) | mutated(b'{"type":"ask","lean":true}').filter(bool))
def test_a_child_that_says_nonsense_is_ended_and_the_daemon_goes_on(packet: bytes) -> None:
    _hear(packet)


def test_a_child_that_says_nonsense_in_many_brackets_is_ended_too() -> None:
    _hear(b'{"type":"ask","x":' + b"[" * 60_000)


def _hear(packet: bytes) -> None:
    said: list[Message] = []
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    line, requests = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, line, requests:
        child = Child(Job(id=7, kind="observe"), ours, 0.0, 10.0)
        children = Children(line, 0, lambda child, message: said.append(message), lambda child, status: None)
        theirs.send(msgspec.json.encode(Ask(lean=True)))
        assert children.hear(child)
        assert said == [Ask(lean=True)]
        theirs.send(packet)
        assert children.hear(child)
        assert child.was_killed == (len(said) == 1)
        if child.was_killed:
            assert msgspec.json.decode(requests.recv(zygote.PACKET), type=zygote.Kill).id == 7
