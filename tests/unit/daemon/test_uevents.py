"""Which of the kernel's messages say that a disk has come or gone."""

from __future__ import annotations

import pytest

from disk_daemon import uevents


def message(action: str, subsystem: str) -> bytes:
    path = "/devices/pci0000:00/0000:00:1f.2/host2/target2:0:0/2:0:0:0/block/sda"
    fields = [f"{action}@{path}", f"ACTION={action}", f"DEVPATH={path}", f"SUBSYSTEM={subsystem}", "SEQNUM=7"]
    return "\0".join([*fields, ""]).encode()


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        (message("add", "block"), True),
        (message("remove", "block"), True),
        (message("change", "block"), False),
        (message("remove", "net"), False),
        (message("remove", "blocks"), False),
        (b"libudev\0\xfe\xed\xca\xfe", False),
        (b"", False),
    ],
)
def test_only_a_disk_that_comes_or_goes_counts(said: bytes, counts: bool) -> None:
    assert uevents.is_of_disk(said) is counts
