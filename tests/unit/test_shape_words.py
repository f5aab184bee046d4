"""The words in which both programs say what a device is made into."""

from __future__ import annotations

import pytest

from tidb_volume.shape import shape
from tidb_volume.value import VolumeMode


@pytest.mark.parametrize(
    ("mode", "fs_type", "options", "words"),
    [
        ("Block", "", (), "Block"),
        ("Block", "xfs", ("noatime",), "Block"),
        ("Filesystem", "xfs", (), "xfs"),
        (
            "Filesystem",
            "ext4",
            ("nodelalloc", "discard", "noatime", "discard"),
            "ext4 discard noatime nodelalloc",
        ),
        ("Filesystem", "", ("noatime",), ""),
    ],
)
def test_a_shape_is_the_mode_or_the_file_system_with_its_options_in_order(
    mode: VolumeMode, fs_type: str, options: tuple[str, ...], words: str
) -> None:
    assert shape(mode, fs_type, options) == words
