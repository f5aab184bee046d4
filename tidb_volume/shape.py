"""What a device is made into, in a few words that both programs compare: `Block`, `xfs`, `ext4 nodelalloc`.

The controller computes it from what the entry wants, the daemon from what it made and mounted; where they
differ the disk is not offered but made anew.
"""

from __future__ import annotations

from collections.abc import Iterable

from tidb_volume.value import VolumeMode

BLOCK = "Block"


def shape(mode: VolumeMode, fs_type: str, mount_options: Iterable[str]) -> str:
    """The words; empty for a folder, whose file system is the admin's."""
    if mode == "Block":
        return BLOCK
    return " ".join((fs_type, *sorted(set(mount_options)))) if fs_type else ""
