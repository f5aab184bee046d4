"""What an NVMe disk is asked to do, from what it says of itself."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from disk_daemon import nvme
from disk_daemon.nvme import Nvme

PLAIN = Nvme(namespace=1, namespaces=(1,), subsystem=(1,), formats=True)


@pytest.mark.parametrize(
    ("unlike", "said"),
    [
        ({}, ""),
        ({"crypto": True}, ""),
        ({"formats_all": True}, ""),
        ({"namespaces": (1, 2)}, ""),
        ({"namespaces": (1, 2, 7), "formats_all": True}, "also 2, 7"),
        ({"namespaces": (1, 3, 8), "formats_all": True}, "also 3, 8"),
        # Another controller of it, maybe on another machine, shows what this one does not.
        ({"subsystem": (1, 2), "formats_all": True}, "also 2,"),
        ({"subsystem": None, "formats_all": True}, "does not tell those that its other controllers"),
        ({"subsystem": (1, 2)}, ""),
        ({"subsystem": None}, ""),
        ({"namespaces": (2,)}, "not among"),
        ({"namespaces": ()}, "not among"),
        ({"formats": False}, "no Format NVM command"),
    ],
)
def test_a_namespace_is_erased_only_where_that_hits_no_other(unlike: dict[str, Any], said: str) -> None:
    found = nvme.refused(msgspec.structs.replace(PLAIN, **unlike))
    assert (said in found) if said else not found


def test_what_says_nothing_is_not_asked() -> None:
    assert "no NVMe disk" in nvme.refused(None)
    assert "no Format NVM command" in nvme.refused(Nvme(namespace=1, namespaces=(1,)))


def test_of_a_partition_nothing_matters_but_that_it_is_one() -> None:
    for of in (PLAIN, Nvme(namespace=0)):
        assert "it is a partition" in nvme.refused(msgspec.structs.replace(of, partition=True))


def pages(
    *,
    oacs: int = 2,
    cmic: int = 0,
    fna: int = 0,
    flbas: int = 0,
    dps: int = 0,
    active: tuple[int, ...] = (1,),
    allocated: tuple[int, ...] | None = None,
) -> tuple[bytes, bytes, bytes, bytes | None]:
    """Identify Controller, Identify Namespace, and the active and the allocated namespaces."""
    controller, data = bytearray(4096), bytearray(4096)
    struct.pack_into("<H", controller, 256, oacs)
    controller[76], controller[524], data[26], data[29] = cmic, fna, flbas, dps
    return bytes(controller), bytes(data), page(active), None if allocated is None else page(allocated)


def page(namespaces: tuple[int, ...]) -> bytes:
    """A list of namespaces."""
    listed = bytearray(4096)
    struct.pack_into(f"<{len(namespaces)}I", listed, 0, *namespaces)
    return bytes(listed)


@pytest.mark.parametrize(
    ("said", "unlike"),
    [
        ({}, {}),
        ({"oacs": 0xFFF5}, {"formats": False}),
        ({"fna": 1}, {"formats_all": True}),
        ({"fna": 2}, {"formats_all": True}),
        ({"fna": 4}, {"crypto": True}),
        ({"active": (1, 3)}, {"namespaces": (1, 3), "subsystem": (1, 3)}),
        ({"active": tuple(range(1, 1025)), "allocated": (1,)}, {"namespaces": tuple(range(1, 1025))}),
        ({"active": ()}, {"namespaces": (), "subsystem": ()}),
        ({"allocated": (1, 2)}, {"subsystem": (1, 2)}),
        # One that can make namespaces, or has several controllers, may have more than this one shows.
        ({"oacs": 0b1010}, {"subsystem": None}),
        ({"cmic": 0b10}, {"subsystem": None}),
        ({"cmic": 0b1101}, {}),
        ({"oacs": 0b1010, "cmic": 0b10, "allocated": (1, 4)}, {"subsystem": (1, 4)}),
        ({"flbas": 0b0001_0011}, {"lba_format": 3, "metadata_at_end": True}),
        ({"flbas": 0b0110_0001}, {"lba_format": 0b11_0001}),
        ({"flbas": 0b1000_0001}, {"lba_format": 1}),
        ({"dps": 0b0010}, {"protection": 2}),
        ({"dps": 0b1010}, {"protection": 2, "protection_first": True}),
    ],
)
def test_identify_data_is_read_as_the_specification_has_it(
    said: dict[str, Any], unlike: dict[str, Any]
) -> None:
    assert nvme.told(1, *pages(**said)) == msgspec.structs.replace(PLAIN, **unlike)


@pytest.mark.parametrize("cut", range(4))
def test_identify_data_that_is_cut_is_none(cut: int) -> None:
    whole = pages(allocated=(1,))
    said = [each[:-1] if number == cut else each for number, each in enumerate(whole) if each is not None]
    with pytest.raises(ValueError, match="4096"):
        nvme.told(1, *said)


def test_a_list_of_namespaces_that_goes_on_behind_its_end_is_none() -> None:
    controller, data, active, _ = pages()
    with pytest.raises(ValueError, match="behind its end"):
        nvme.told(1, controller, data, active, page((1, 0, 3)))


@pytest.mark.parametrize(
    ("unlike", "word"),
    [
        ({}, 0x200),
        ({"crypto": True}, 0x400),
        ({"lba_format": 3, "metadata_at_end": True}, 0x213),
        ({"lba_format": 0b10_0001}, 0x2201),
        ({"protection": 2, "protection_first": True}, 0x340),
    ],
)
def test_the_command_keeps_the_format_that_there_is_and_names_the_one_namespace(
    unlike: dict[str, Any], word: int
) -> None:
    made = nvme.command(msgspec.structs.replace(PLAIN, namespace=5, **unlike))
    assert _fields(made) == (0x80, 0, 0, 5, 0, 0, 0, 0, 0, 0, word, 0, 0, 0, 0, 0, 4 * 3600 * 1000, 0)


# --- the ioctls ---------------------------------------------------------------------------------------------


def _fields(packed: bytes | bytearray) -> tuple[int, ...]:
    """The fields of a struct nvme_passthru_cmd, linux/nvme_ioctl.h."""
    return struct.unpack("=BBHIIIQQIIIIIIIIII", packed)


class Disk:
    """Answers as the device of namespace 5 does. says: by namespace and CNS, an identify page.

    fails: what it refuses with an error, `id` or a CNS. status: what it ends the others with.
    """

    def __init__(
        self, says: dict[tuple[int, int], bytes], *, fails: tuple[str | int, ...] = (), status: int = 0
    ) -> None:
        self.says, self.fails, self.status = says, fails, status
        self.asked = 0
        self.formatted: list[bytes] = []

    def ioctl(self, fd: int, number: int, packed: bytearray | None = None) -> int:
        assert os.fstat(fd).st_rdev == os.makedev(1, 3)
        self.asked += 1
        if packed is None:
            assert number == 0x4E40
            self._fail("id")
            return 5
        assert number == 0xC0484E41
        opcode, _, _, namespace, *_ = fields = _fields(packed)
        if opcode == 0x80:
            self.formatted.append(bytes(packed))
            return self.status
        address, cns = fields[7], fields[10]
        assert fields == (6, 0, 0, namespace, 0, 0, 0, address, 0, 4096, cns, *(0,) * 7)
        self._fail(cns)
        ctypes.memmove(address, self.says[namespace, cns], 4096)
        return self.status

    def _fail(self, what: str | int) -> None:
        if what in self.fails:
            raise OSError(errno.ENOTTY, "refused")


class Opened(NamedTuple):
    """A device, and what sysfs has of it."""

    fd: int
    sys: Path
    own: Path

    def is_partition(self) -> None:
        (self.own / "partition").write_text("4\n")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """/dev/null: none of its own answers is heard."""
    own = tmp_path / "devices" / "nvme0n1"
    own.mkdir(parents=True)
    links = tmp_path / "dev" / "block"
    links.mkdir(parents=True)
    (links / "1:3").symlink_to(own)
    fd = os.open("/dev/null", os.O_RDONLY)
    yield Opened(fd, tmp_path, own)
    os.close(fd)


def says(**said: Any) -> dict[tuple[int, int], bytes]:
    """By namespace and CNS. Only data about the namespace is asked of that one."""
    controller, data, active, allocated = pages(**said)
    return {(0, 1): controller, (5, 0): data, (0, 2): active, (0, 0x10): allocated or bytes(4096)}


SAID: dict[str, Any] = {"fna": 4, "flbas": 3, "active": (5,), "allocated": (5, 6)}


@pytest.mark.parametrize(
    ("fails", "status", "subsystem"),
    [
        ((), 0, (5, 6)),
        # One that does not tell the subsystem's namespaces has its own alone, if it has no other controller.
        ((0x10,), 0, (5,)),
        (("id",), 0, None),
        ((0,), 0, None),
        ((1,), 0, None),
        ((2,), 0, None),
        ((), 0x4002, None),
    ],
)
def test_a_disk_is_asked_all_that_matters_and_one_that_does_not_answer_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
    opened: Opened,
    fails: tuple[str | int, ...],
    status: int,
    subsystem: tuple[int, ...] | None,
) -> None:
    monkeypatch.setattr(fcntl, "ioctl", Disk(says(**SAID), fails=fails, status=status).ioctl)
    answer = Nvme(namespace=5, namespaces=(5,), subsystem=subsystem, formats=True, crypto=True, lba_format=3)
    assert nvme.look(opened.fd, opened.sys) == (answer if subsystem is not None else None)


def test_a_partition_is_asked_nothing_since_its_disk_would_answer(
    monkeypatch: pytest.MonkeyPatch, opened: Opened
) -> None:
    disk = Disk(says(**SAID))
    monkeypatch.setattr(fcntl, "ioctl", disk.ioctl)
    opened.is_partition()
    found = nvme.look(opened.fd, opened.sys)
    assert found == Nvme(namespace=0, partition=True)
    assert not disk.asked


@pytest.mark.parametrize("how", ["partition", "not in sysfs"])
def test_a_partition_is_not_formatted_whoever_asks_nor_what_nobody_can_tell(
    monkeypatch: pytest.MonkeyPatch, opened: Opened, how: str
) -> None:
    disk = Disk({})
    monkeypatch.setattr(fcntl, "ioctl", disk.ioctl)
    if how == "partition":
        opened.is_partition()
    else:
        opened.own.rmdir()
    said, number = {
        "partition": ("Format NVM is for a whole disk, and this is a partition", errno.EPERM),
        "not in sysfs": ("No such file", errno.ENOENT),
    }[how]
    with pytest.raises(OSError, match=said) as raised:
        nvme.format_namespace(opened.fd, PLAIN, opened.sys)
    assert raised.value.errno == number
    assert not disk.asked
    if how == "not in sysfs":
        assert nvme.look(opened.fd, opened.sys) is None


@pytest.mark.parametrize("status", [0, 0x4002])
def test_a_disk_that_refuses_to_erase_itself_says_with_which_status(
    monkeypatch: pytest.MonkeyPatch, opened: Opened, status: int
) -> None:
    disk = Disk({}, status=status)
    monkeypatch.setattr(fcntl, "ioctl", disk.ioctl)
    if status:
        with pytest.raises(OSError, match="Format NVM ended with status 0x4002 of the disk") as raised:
            nvme.format_namespace(opened.fd, PLAIN, opened.sys)
        assert raised.value.errno == errno.EIO
    else:
        nvme.format_namespace(opened.fd, PLAIN, opened.sys)
    assert disk.formatted == [nvme.command(PLAIN)]


@pytest.mark.parametrize(
    ("name", "asked"), [("nvme0n1", True), ("nvme12c3n4", True), ("sda", False), ("dm-0", False)]
)
def test_a_disk_is_asked_by_the_kernels_name(name: str, asked: bool) -> None:
    assert nvme.is_nvme(name) is asked
