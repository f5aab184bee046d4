"""What the tests read of the file behind a disk is what a read from end to end finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.disks import backing

SIZE_BYTES = (3 << 20) + 100
TEXT = b"what a tenant wrote"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    made = tmp_path / "image"
    with made.open("xb") as file:
        file.truncate(SIZE_BYTES)
    return made


def write(image: Path, place: int, data: bytes) -> None:
    with image.open("r+b") as file:
        file.seek(place)
        file.write(data)


PLACES = (0, 1, 4096 - 5, (1 << 20) - 5, (2 << 20) + 17, SIZE_BYTES - len(TEXT))


@pytest.mark.parametrize("place", PLACES)
def test_a_text_is_found_wherever_it_lies(image: Path, place: int) -> None:
    assert not backing.holds(image, TEXT)
    write(image, place, TEXT)
    assert backing.holds(image, TEXT)
    assert not backing.holds(image, TEXT + b"!")


@pytest.mark.parametrize("place", [*PLACES, SIZE_BYTES - 1])
def test_one_byte_is_no_zero_and_changes_the_content(image: Path, place: int) -> None:
    write(image, 0, bytes(SIZE_BYTES))
    assert backing.is_zero(image)
    assert backing.content(image) == {}
    write(image, place, b"x")
    assert not backing.is_zero(image)
    before = backing.content(image)
    assert list(before) == [place // 4096 * 4096]
    write(image, place, b"y")
    assert backing.content(image) != before


def test_what_is_zero_is_the_same_as_a_hole(image: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(bytes(SIZE_BYTES))
    for each in (image, other):
        write(each, 4096 * 3 + 7, TEXT)
    assert backing.content(image) == backing.content(other)
