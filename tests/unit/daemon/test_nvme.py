"""What an NVMe disk is asked to do, from what it says of itself."""

from __future__ import annotations

import struct
from typing import Any

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
        ({"dps": 0b1010}, {"protection": 2, "protection_first": True}),
    ],
)
def test_identify_data_is_read_as_the_specification_has_it(
    said: dict[str, Any], unlike: dict[str, Any]
) -> None:
    assert nvme.told(1, *pages(**said)) == msgspec.structs.replace(PLAIN, **unlike)


def test_identify_data_that_is_cut_is_none() -> None:
    controller, data, active, _ = pages()
    with pytest.raises(ValueError, match="4096"):
        nvme.told(1, controller[:-1], data, active, None)
    with pytest.raises(ValueError, match="4096"):
        nvme.told(1, controller, data, active, active[:-1])


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
    assert len(made) == 72
    assert made[0] == 0x80
    assert struct.unpack_from("<I", made, 4) == (5,)
    assert struct.unpack_from("<I", made, 40) == (word,)
    assert struct.unpack_from("<I", made, 64) == (nvme.PATIENCE_MS,)
