"""A loop device as a disk that erases itself: it says that it can, and does then what a test has it do.

The command itself, and what the kernel makes of it, are tried on an emulated NVMe disk (tests/hw).
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from disk_daemon import blockdev, kernel, nvme
from disk_daemon.nvme import Nvme

ABLE = Nvme(namespace=1, namespaces=(1,), formats=True)
BLOCK_BYTES = blockdev.SAMPLE_BYTES
NOISE = random.Random(3).randbytes(BLOCK_BYTES)
"""What is read where the disk has thrown a key away."""


@contextmanager
def erases_itself(erase: Callable[[int], None]) -> Iterator[None]:
    """Every disk does, by this function of the descriptor that the command goes to. What a new file system
    does not use is not discarded: on a loop disk that would take away all that was not erased."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nvme, "is_nvme", lambda name: True)
        patch.setattr(nvme, "look", lambda fd: ABLE)
        patch.setattr(nvme, "format_namespace", lambda fd, facts: erase(fd))
        patch.setattr(kernel, "trim", lambda root, start, length: None)
        yield


def through_the_device(fd: int) -> None:
    """By ordinary writes, which fail where the disk does."""
    with blockdev.Writer(fd) as writer:
        writer.write(0, blockdev.size_of(fd), b"noise")


# Of the file behind it, so that no cache of the kernel's hears of it.


def nothing(image: Path) -> None:
    pass


def zeroes(image: Path) -> None:
    _erase(image, lambda block, blocks: True, bytes(BLOCK_BYTES))


def noise(image: Path) -> None:
    _erase(image, lambda block, blocks: True)


def one_byte_of_each(image: Path) -> None:
    """Of each block, and all else is as it was."""
    with image.open("r+b") as file:
        for block in range(image.stat().st_size // BLOCK_BYTES):
            file.seek(block * BLOCK_BYTES + 9)
            was = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([was[0] ^ 1]))


def first_half(image: Path) -> None:
    _erase(image, lambda block, blocks: block < blocks // 2)


def last_half(image: Path) -> None:
    _erase(image, lambda block, blocks: block >= blocks // 2)


def every_other_block(image: Path) -> None:
    _erase(image, lambda block, blocks: block % 2 == 1)


def _erase(image: Path, goes: Callable[[int, int], bool], leaves: bytes = NOISE) -> None:
    with image.open("r+b") as file:
        blocks = os.fstat(file.fileno()).st_size // BLOCK_BYTES
        for block in range(blocks):
            if goes(block, blocks):
                os.pwrite(file.fileno(), leaves, block * BLOCK_BYTES)
