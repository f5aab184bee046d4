"""What the file behind a test's disk holds, read only where it holds anything: most of it is holes."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

_PIECE_BYTES = 1 << 20


def pieces(image: Path) -> Iterator[tuple[int, bytes]]:
    """What is not a hole, as (place, bytes), in their order. A piece ends at a hole, at the file's end or
    at a multiple of a MiB."""
    with image.open("rb", buffering=0) as file:
        fd, at = file.fileno(), 0
        while True:
            try:
                at = os.lseek(fd, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                return
            end = os.lseek(fd, at, os.SEEK_HOLE)
            while at < end:
                stop = min(end, (at // _PIECE_BYTES + 1) * _PIECE_BYTES)
                piece = os.pread(fd, stop - at, at)
                assert len(piece) == stop - at, f"{image} became shorter"
                yield at, piece
                at = stop


def content(image: Path) -> dict[int, bytes]:
    """The blocks of 4 KiB that are not zero, by their places: two files with the same bytes have the same."""
    step = 4096
    return {
        place + at: block
        for place, piece in pieces(image)
        if piece != bytes(len(piece))
        for at in range(0, len(piece), step)
        if (block := piece[at : at + step]) != bytes(len(block))
    }


def is_zero(image: Path) -> bool:
    """Whether it is zero from end to end."""
    return all(piece == bytes(len(piece)) for _, piece in pieces(image))


def holds(image: Path, secret: bytes) -> bool:
    """Whether a text, without a zero in it, is anywhere."""
    assert b"\0" not in secret, "it could lie across a hole"
    end, kept = 0, b""
    for place, piece in pieces(image):
        if secret in (text := (kept if place == end else b"") + piece):
            return True
        end, kept = place + len(piece), text[-len(secret) :]
    return False
