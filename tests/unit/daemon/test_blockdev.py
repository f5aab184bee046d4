"""Where a disk is looked at, and for how long."""

from __future__ import annotations

import random

import pytest

from disk_daemon import blockdev
from disk_daemon.blockdev import Reader

SIZE = 2 << 40
MIB = 1 << 20


class Slow(Reader):
    """A disk that needs so long for each place; all of it is zero but for one byte."""

    def __init__(self, seconds: float, dirty: int = -1, size: int = SIZE) -> None:
        self.size, self.now, self._seconds, self._dirty = size, 0.0, seconds, dirty
        self.read: list[int] = []

    def is_zero(self, start: int, length: int) -> bool:
        self.now += self._seconds
        self.read.append(start)
        return not start <= self._dirty < start + length

    def looks(self, within_s: float) -> bool:
        return self.looks_zero(random.Random(7), within_s, lambda: self.now)


@pytest.mark.parametrize(
    ("seconds", "within_s", "samples"),
    [
        (0.0001, 1.0, 1000),
        (0.001, 1.0, 1000),
        (0.003, 1.0, 400),
        (0.01, 1.0, 100),
        (0.1, 1.0, 100),
        (9.0, 1e9, 1000),
    ],
)
def test_a_slow_disk_is_looked_at_in_fewer_places_and_in_a_hundred_at_least(
    seconds: float, within_s: float, samples: int
) -> None:
    disk = Slow(seconds)
    assert disk.looks(within_s)
    always = len(list(blockdev.ends(SIZE)))
    assert len(disk.read) == always + samples
    assert sorted(disk.read[always : always + 100]) == disk.read[always : always + 100]


@pytest.mark.parametrize(
    "dirty", [0, MIB - 1, SIZE - MIB, SIZE - 1, 1 << 30, 1000 << 30, 64 << 20, 256 << 30]
)
def test_where_labels_lie_it_is_looked_first_however_slow(dirty: int) -> None:
    disk = Slow(10.0, dirty)
    assert not disk.looks(1.0)
    assert len(disk.read) <= len(list(blockdev.ends(SIZE)))


def test_what_a_sample_hits_ends_the_look() -> None:
    hit = next(start for start, _ in blockdev.samples(SIZE, random.Random(7), 100))
    disk = Slow(0.0, hit)
    assert not disk.looks(1.0)
    assert disk.read[-1] == hit


def test_a_disk_smaller_than_a_block_is_looked_at_whole() -> None:
    assert list(blockdev.places(512, random.Random(7))) == [(0, 512), (0, 512)]
    assert len({start for start, _ in blockdev.places(SIZE, random.Random(7))}) > 1000


# --- how much of a disk is done between two looks ---


@pytest.mark.parametrize(
    ("length", "took_s", "following"),
    [
        (4 * MIB, 0.0, 8 * MIB),
        (4 * MIB, 0.001, 8 * MIB),
        (4 * MIB, 0.5, 8 * MIB),
        (4 * MIB, 0.8, 5 * MIB),
        (4 * MIB, 1.0, 4 * MIB),
        (4 * MIB, 2.0, 2 * MIB),
        (4 * MIB, 3.0, 1 * MIB),
        (4 * MIB, 3600.0, 1 * MIB),
        (32 * MIB, 0.1, 64 * MIB),
        (64 * MIB, 0.0, 64 * MIB),
        (64 * MIB, 1.0, 64 * MIB),
        (64 * MIB, 8.0, 8 * MIB),
        (64 * MIB, -1.0, 64 * MIB),
        # The rest of a disk, before the next pass.
        (512, 0.0001, 1 * MIB),
    ],
)
def test_the_next_chunk_takes_about_a_second_and_is_no_more_than_twice_as_large(
    length: int, took_s: float, following: int
) -> None:
    assert blockdev.next_chunk(length, took_s) == following


def gone_over(size: int, bytes_a_second: float, *, at: int = 0) -> list[tuple[int, int, float]]:
    """A disk from end to end: start and length of each chunk, and how long it took. An hour passes between
    any two of them."""
    now = 0.0
    pace = blockdev.Pace(lambda: now)
    done = []
    for start, length in pace.chunks(at, size):
        now += 3600
        with pace.timed(length):
            now += length / bytes_a_second
        done.append((start, length, length / bytes_a_second))
    return done


def test_a_slow_disk_is_done_in_pieces_of_a_second_and_all_of_it() -> None:
    done = gone_over(1000 * MIB + 512, 8e6, at=3 * MIB)
    assert max(seconds for _, _, seconds in done) <= 1.05
    ends = [start + length for start, length, _ in done]
    assert [start for start, _, _ in done] == [3 * MIB, *ends[:-1]]
    assert ends[-1] == 1000 * MIB + 512


def test_a_fast_disk_is_done_in_the_largest_pieces_after_four() -> None:
    lengths = [length // MIB for _, length, _ in gone_over(1 << 30, 500e6)]
    assert lengths == [4, 8, 16, 32, *[64] * 15, 4]
