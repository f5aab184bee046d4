"""Block devices as such: sizes, zeroes, and reading what is really there.

What is on a disk is read past the page cache (O_DIRECT), since a cache may show what was never written.
Whatever is written is written in chunks, so that somebody can look between two of them.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import functools
import math
import mmap
import os
import random
import stat
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

CHUNK_BYTES, FIRST_CHUNK_BYTES, LEAST_CHUNK_BYTES = 64 << 20, 4 << 20, 1 << 20
"""So much is written between two looks, at most, at first and at least."""
CHUNK_S = 1.0
"""So long a chunk should take, where that lies between the two: no signal stops one before its end."""
ENDS_BYTES = 1 << 20
"""So much of head and tail is looked at: every known superblock and partition table but one lies there."""
FAR_LABELS = tuple(size << 30 for size in (1, 10, 100, 1000))
"""Where Ceph's BlueStore keeps copies of its label, which wipefs does not know (rook #15546)."""
BACKUPS = (64 << 20, 128 << 20, 256 << 30)
"""Where btrfs keeps copies of its superblock (64 MiB, 256 GiB), and ext4 the first of its own (128 MiB)."""
SAMPLES, SAMPLE_BYTES, SAMPLES_AT_ONCE = 1000, 4096, 100
PIECE_BYTES = 16

# linux/fs.h, linux/loop.h
_BLKROGET, _BLKGETSIZE64 = 0x125E, 0x80081272
_BLKPG, _BLKPG_DEL_PARTITION = 0x1269, 2
_BLKDISCARD, _BLKZEROOUT, _BLKFLSBUF = 0x1277, 0x127F, 0x1261
_LOOP_GET_STATUS64 = 0x4C05
_ZEROES = bytes(ENDS_BYTES)


def reopened(fd: int, flags: int) -> int:
    """The very device behind a descriptor, opened anew: by the inode and by no name."""
    again = os.open(f"/proc/self/fd/{fd}", flags | os.O_CLOEXEC | os.O_NONBLOCK)
    ours, theirs = os.fstat(fd), os.fstat(again)
    if not stat.S_ISBLK(theirs.st_mode) or ours.st_rdev != theirs.st_rdev:
        os.close(again)
        raise OSError(errno.ESTALE, "the descriptor leads to another device")
    return again


def size_of(fd: int) -> int:
    """Bytes (BLKGETSIZE64)."""
    (size,) = struct.unpack("Q", fcntl.ioctl(fd, _BLKGETSIZE64, bytes(8)))
    return int(size)


def is_read_only(fd: int) -> bool:
    """BLKROGET."""
    (read_only,) = struct.unpack("i", fcntl.ioctl(fd, _BLKROGET, bytes(4)))
    return bool(read_only)


def zero(fd: int, start: int, length: int) -> None:
    """BLKZEROOUT: the range reads as zeroes; the kernel writes them where the disk has no command for it."""
    try:
        fcntl.ioctl(fd, _BLKZEROOUT, struct.pack("QQ", start, length))
    except PermissionError as error:
        raise read_only_or(fd, error) from error


def discard(fd: int, start: int, length: int) -> bool:
    """BLKDISCARD: a hint that the range is free, and no erasure. False: this disk takes no such hint."""
    try:
        fcntl.ioctl(fd, _BLKDISCARD, struct.pack("QQ", start, length))
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EREMOTEIO):
            return False
        if isinstance(error, PermissionError):
            raise read_only_or(fd, error) from error
        raise
    return True


def read_only_or(fd: int, error: OSError) -> OSError:
    """What a request of a device means by EPERM, and mount(2) by EACCES, where it has become read-only."""
    return OSError(errno.EROFS, "the device is read-only", error.filename) if is_read_only(fd) else error


def forget_partitions(fd: int, numbers: Iterable[int]) -> None:
    """BLKPG: the kernel forgets the partitions of these numbers. OSError with EBUSY while one is in use."""
    for number in numbers:
        partition = struct.pack("qqi64s64s", 0, 0, number, b"", b"") + bytes(4)
        with _buffer(partition) as data:
            fcntl.ioctl(fd, _BLKPG, struct.pack("iiiiQ", _BLKPG_DEL_PARTITION, 0, len(partition), 0, data))


@contextmanager
def _buffer(content: bytes) -> Iterator[int]:
    """The address of a copy of some bytes."""
    held = ctypes.create_string_buffer(content, len(content))
    yield ctypes.addressof(held)


def flush(fd: int) -> None:
    """Write back and forget what the page cache has of the device (BLKFLSBUF)."""
    os.fsync(fd)
    fcntl.ioctl(fd, _BLKFLSBUF)


def forget_errors(fd: int) -> None:
    """Have the kernel tell now what it could not write before.

    It keeps such an error for the next who syncs (lib/errseq.c), and that would be an order which writes all
    of it anew on a disk that is well by then. What is told after this is of its own writes.
    """
    with suppress(OSError):
        os.fsync(fd)


class Backing(NamedTuple):
    """What a loop device lies on: a file, by its file system's device number and its inode, or a device,
    whose number is `node` (0: it is a file)."""

    device: int
    inode: int
    node: int


def loop_backing(fd: int) -> Backing:
    """What a loop device lies on (linux/loop.h, loop_info64). OSError ENXIO: it is unused."""
    return Backing(*struct.unpack_from("QQQ", fcntl.ioctl(fd, _LOOP_GET_STATUS64, bytes(232))))


class Reader:
    """Reads a device past the page cache. To be closed."""

    def __init__(self, fd: int) -> None:
        self._fd = reopened(fd, os.O_RDONLY | os.O_DIRECT)
        self._buffer = mmap.mmap(-1, ENDS_BYTES)
        self.size = size_of(self._fd)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        self._buffer.close()

    def is_zero(self, start: int, length: int) -> bool:
        """Whether a range reads as zeroes, all of it. OSError: it can't be read."""
        return self.holds(start, length, b"")

    def holds(self, start: int, length: int, key: bytes) -> bool:
        """Whether a range reads as `content` has it, all of it. OSError: it can't be read."""
        return all(read == content(at, len(read), key) for at, read in self._read(start, length))

    def keeps(self, start: int, length: int, key: bytes) -> bool:
        """Whether anything of a range still reads as `content` has it: one piece of PIECE_BYTES is
        enough, and by chance none does. OSError: it can't be read."""
        return any(
            read[piece : piece + PIECE_BYTES] == was[piece : piece + PIECE_BYTES]
            for at, read in self._read(start, length)
            for was in (content(at, len(read), key),)
            for piece in range(0, len(read), PIECE_BYTES)
        )

    def _read(self, start: int, length: int) -> Iterator[tuple[int, bytes]]:
        end = start + length
        while start < end:
            want = min(ENDS_BYTES, end - start)
            with memoryview(self._buffer) as view:
                got = os.preadv(self._fd, [view[:want]], start)
            if got <= 0:
                raise OSError(errno.EIO, f"the disk ends at byte {start}, before its size")
            yield start, self._buffer[:got]
            start += got

    def looks_zero(
        self, chance: random.Random, within_s: float = math.inf, clock: Callable[[], float] = time.monotonic
    ) -> bool:
        """Whether head, tail, far labels and a thousand blocks chosen by chance read as zeroes.

        within_s: of a disk that turns they are fewer, a hundred at least. A look that takes longer than what
        was read of the API meanwhile is good for would never be acted on.
        """
        begun = clock()
        if not self._are_zero(ends(self.size)):
            return False
        for _ in range(SAMPLES // SAMPLES_AT_ONCE):
            if not self._are_zero(samples(self.size, chance, SAMPLES_AT_ONCE)):
                return False
            if clock() - begun >= within_s:
                break
        return True

    def _are_zero(self, where: Iterable[tuple[int, int]]) -> bool:
        return all(self.is_zero(start, length) for start, length in where)


class Writer:
    """Writes to a device past the page cache. To be closed."""

    def __init__(self, fd: int) -> None:
        self._fd = reopened(fd, os.O_WRONLY | os.O_DIRECT)
        self._buffer = mmap.mmap(-1, ENDS_BYTES)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        self._buffer.close()

    def write(self, start: int, length: int, key: bytes) -> None:
        """Write a range as `content` has it. Stored it is after an fsync. OSError: it can't be written."""
        end = start + length
        while start < end:
            want = min(ENDS_BYTES, end - start)
            self._buffer[:want] = content(start, want, key)
            with memoryview(self._buffer) as view:
                try:
                    got = os.pwritev(self._fd, [view[:want]], start)
                except PermissionError as error:
                    raise read_only_or(self._fd, error) from error
            if got <= 0:
                raise OSError(errno.EIO, f"the disk takes nothing at byte {start}")
            start += got


def content(start: int, length: int, key: bytes) -> bytes:
    """What a range holds under a key: random data, no two blocks of it the same; without one, zeroes."""
    if not key:
        return _ZEROES[:length] if length <= ENDS_BYTES else bytes(length)
    base = _base(key)
    first = start // SAMPLE_BYTES
    last = (start + length - 1) // SAMPLE_BYTES
    made = bytearray()
    for block in range(first, last + 1):
        offset = block * SAMPLE_BYTES % ENDS_BYTES
        made += struct.pack("<Q", block)
        made += base[offset + 8 : offset + SAMPLE_BYTES]
    skipped = start - first * SAMPLE_BYTES
    return bytes(made[skipped : skipped + length])


@functools.lru_cache(maxsize=1)
def _base(key: bytes) -> bytes:
    return random.Random(key).randbytes(ENDS_BYTES)  # noqa: S311 - no secret


def ends(size: int) -> Iterator[tuple[int, int]]:
    """Where every disk of that size is looked at: start and length, head and tail first."""
    length = min(ENDS_BYTES, size)
    yield 0, length
    yield size - length, length
    for start in sorted((*FAR_LABELS, *BACKUPS)):
        if start + SAMPLE_BYTES <= size:
            yield start, SAMPLE_BYTES


def samples(size: int, chance: random.Random, count: int) -> Iterator[tuple[int, int]]:
    """At most so many blocks chosen by chance, in the disk's order."""
    blocks = size // SAMPLE_BYTES
    for start in sorted({chance.randrange(blocks) * SAMPLE_BYTES for _ in range(count)} if blocks else ()):
        yield start, SAMPLE_BYTES


def places(size: int, chance: random.Random) -> Iterator[tuple[int, int]]:
    """Head, tail, far labels and a thousand blocks chosen by chance."""
    yield from ends(size)
    yield from samples(size, chance, SAMPLES)


def next_chunk(length: int, took_s: float) -> int:
    """How much to do next, so that it takes CHUNK_S. No more than twice as much as before: what a disk puts
    into its cache is fast, and the next may have to wait for all of it."""
    fits = CHUNK_BYTES if took_s <= 0 else int(length * CHUNK_S / took_s)
    most = max(LEAST_CHUNK_BYTES, min(fits, 2 * length, CHUNK_BYTES))
    return most // LEAST_CHUNK_BYTES * LEAST_CHUNK_BYTES


class Pace:
    """Goes over a disk in chunks of the size that this disk can take. clock: seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._most = clock, FIRST_CHUNK_BYTES

    def chunks(self, start: int, size: int) -> Iterator[tuple[int, int]]:
        """A range in pieces: start and length of each."""
        while start < size:
            length = min(self._most, size - start)
            yield start, length
            start += length

    @contextmanager
    def timed(self, length: int) -> Iterator[None]:
        """Around what is done to a chunk, and around nothing else: a halt says nothing of the disk."""
        begun = self._clock()
        yield
        self._most = next_chunk(length, self._clock() - begun)
