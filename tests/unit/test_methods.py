"""What counts as `overwrite:N`, and what such a pass leaves on a disk."""

from __future__ import annotations

import random

import pytest

from disk_daemon import blockdev
from tidb_volume.methods import passes


@pytest.mark.parametrize(
    ("method", "count"),
    [
        *[("overwrite:1", 1), ("overwrite:9", 9), ("overwrite:35", 35)],
        *[
            (f"overwrite:{word}", 0)
            for word in ("", "0", "01", "36", "100", "-1", "1.5", "3 ", "3\n", "\u0663")
        ],
        *[(word, 0) for word in ("", "overwrite", "zero", "zero:3", "Overwrite:3", "xoverwrite:3")],
    ],
)
def test_an_overwrite_has_a_count_from_1_to_35(method: str, count: int) -> None:
    assert passes(method) == count


def test_a_range_reads_the_same_however_it_is_cut() -> None:
    whole = blockdev.content(0, 3 << 20, b"k")
    chance = random.Random(1)
    for _ in range(50):
        start = chance.randrange(0, len(whole) // 512) * 512
        length = min(chance.randrange(512, 1 << 20), len(whole) - start)
        assert blockdev.content(start, length, b"k") == whole[start : start + length]


def test_no_two_blocks_and_no_two_keys_are_the_same() -> None:
    blocks = {blockdev.content(start, 4096, b"k") for start in range(0, 8 << 20, 4096)}
    assert len(blocks) == (8 << 20) // 4096
    assert blockdev.content(4096, 4096, b"l") not in blocks
    assert bytes(4096) not in blocks
    assert blockdev.content(4096, 4096, b"") == bytes(4096)
