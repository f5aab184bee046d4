"""All of a device: written in chunks, and read back past the page cache.

Reading zero where zero was before proves nothing. So before zeroes are written, random data is planted in a
few places and must be read back; if the disk drops what it is told to write, or reads from elsewhere,
that shows before its wipe is believed. In `overwrite:N` each pass but the last is such data from end to end,
made of a key and the place alone: it can be compared without being kept, also by a process that goes on after
a crash.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable

from disk_daemon import blockdev
from disk_daemon.wipe.files import Tick

CANARIES = 64


class NotAsWritten(OSError):  # noqa: N818 - says what it is
    """The disk reads otherwise than it was written."""

    def __init__(self, said: str) -> None:
        super().__init__(errno.EIO, said)


class Surface:
    """One device that is held exclusively, at work.

    between: called before each chunk, it may end the work. done: called with the bytes written so far, of all
    passes together. Both and `tick` may raise; OSError and NotAsWritten tell what the disk does.
    """

    def __init__(
        self,
        exclusive: int,
        between: Callable[[], None],
        tick: Tick,
        done: Callable[[int], None],
    ) -> None:
        self._exclusive, self._between, self._tick, self._done = exclusive, between, tick, done
        self._size = blockdev.size_of(exclusive)
        self._pace = blockdev.Pace()
        self._chance = random.SystemRandom()
        self._key = b""

    def zero(self, written: int, *, discard: bool) -> None:
        """Zeroes from byte `written` on; discard: where the disk forgets a chunk by itself and reads as zero
        then, nothing is written. A discard is a hint, so each such chunk is read."""
        with blockdev.Reader(self._exclusive) as reader:
            planted = self._planted(reader, written)
            for start, length in self._pace.chunks(min(written, self._size), self._size):
                self._between()
                self._tick("overwrite")
                with self._pace.timed(length):
                    forgot = discard and blockdev.discard(self._exclusive, start, length)
                    if not (forgot and reader.is_zero(start, length)):
                        blockdev.zero(self._exclusive, start, length)
                self._done(start + length)
            self._settle()
            left = [start for start in planted if not reader.is_zero(start, blockdev.SAMPLE_BYTES)]
            if left or not reader.looks_zero(self._chance):
                near = f" near byte {left[0]}" if left else ""
                raise NotAsWritten(f"what was written as zero reads otherwise{near}")

    def clear(self, *, head: bool) -> None:
        """Zeroes where labels and copies of them lie that a new file system leaves as they are.

        The head is its own to write over: as long as that stands, a wipe that was cut finds what it was begun
        over, and who takes the disk as soon as it is let go finds what was there. Not so (head) where a
        tenant may have put a label there that is longer than what mkfs writes over, as ZFS's is.
        """
        first, *where = blockdev.ends(self._size)
        where += [first] if head else []
        self._tick("clear")
        for start, length in where:
            blockdev.zero(self._exclusive, start, length)
        self._settle()
        with blockdev.Reader(self._exclusive) as reader:
            for start, length in where:
                if not reader.is_zero(start, length):
                    raise NotAsWritten(f"what was written as zero reads otherwise near byte {start}")

    def erase(self, erase: Callable[[], None]) -> None:
        """Have something else take away what is on it: what was planted before must be gone afterwards."""
        with blockdev.Reader(self._exclusive) as reader:
            planted = self._planted(reader, 0)
            self._tick("erase")
            erase()
            self._settle()
            for start in planted:
                if reader.keeps(start, blockdev.SAMPLE_BYTES, self._key):
                    raise NotAsWritten(f"the disk says that it erased all, and has not near byte {start}")

    def overwrite(self, written: int, passes: int, seed: str) -> None:
        """So many passes, the last of zeroes; `written` bytes of all of them together are there already.

        seed: tells this wipe from others, and is the same again when it goes on. Each pass is read back in
        many places, and the last one from end to end.
        """
        with blockdev.Reader(self._exclusive) as reader, blockdev.Writer(self._exclusive) as writer:
            for number in range(min(written // self._size, passes), passes):
                key = f"{seed} {number}".encode() if number < passes - 1 else b""
                before = number * self._size
                for start, length in self._pace.chunks(max(written - before, 0), self._size):
                    self._between()
                    self._tick("overwrite")
                    with self._pace.timed(length):
                        writer.write(start, length, key)
                    self._done(before + start + length)
                self._settle()
                for start, length in blockdev.places(self._size, self._chance):
                    if not reader.holds(start, length, key):
                        raise NotAsWritten(f"pass {number + 1} of {passes} reads otherwise near byte {start}")
            for start, length in self._pace.chunks(0, self._size):
                self._between()
                self._tick("read")
                with self._pace.timed(length):
                    is_zero = reader.is_zero(start, length)
                if not is_zero:
                    raise NotAsWritten(f"what was written as zero reads otherwise near byte {start}")
                self._done(passes * self._size + start + length)

    def _planted(self, reader: blockdev.Reader, written: int) -> list[int]:
        """Places with random data in them, read back; none where a wipe that was cut had zeroed before."""
        first, blocks = -(-written // blockdev.SAMPLE_BYTES), self._size // blockdev.SAMPLE_BYTES
        if first >= blocks:
            return []
        self._between()
        self._tick("plant")
        self._key = key = self._chance.randbytes(16)
        chosen = {self._chance.randrange(first, blocks) * blockdev.SAMPLE_BYTES for _ in range(CANARIES)}
        with blockdev.Writer(self._exclusive) as writer:
            for start in sorted(chosen):
                writer.write(start, blockdev.SAMPLE_BYTES, key)
        os.fsync(self._exclusive)
        for start in sorted(chosen):
            if not reader.holds(start, blockdev.SAMPLE_BYTES, key):
                raise NotAsWritten(f"what was written for a trial is not read back near byte {start}")
        return sorted(chosen)

    def _settle(self) -> None:
        """Stored, and out of the page cache; and still as large as it was."""
        blockdev.flush(self._exclusive)
        self._tick("read back")
        if blockdev.size_of(self._exclusive) != self._size:
            raise OSError(errno.ESTALE, "the disk changed its size while it was being written")
