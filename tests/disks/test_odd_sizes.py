"""Disks of 4 KiB sectors, and of sizes that no chunk and no sample divides: wiped to the last byte."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disk_daemon.facts.folder import Rules
from tests.disks.bench import RawDisk, identity_of, obey, reclaim
from tests.disks.device import prepare, state

BLOCK: dict[str, Any] = {"volume_mode": "Block"}
SIZE_BYTES = 65 << 20
"""More than one chunk."""
SHAPES = [(512, SIZE_BYTES + 5 * 512), (4096, (5 << 20) + 4096)]


@pytest.fixture(params=SHAPES, ids=lambda shape: f"{shape[0]}-{shape[1]}")
def odd(own_mounts: None, tmp_path: Path, rules: Rules, request: pytest.FixtureRequest) -> Iterator[RawDisk]:
    sector, size = request.param
    image, by_id = tmp_path / "odd.img", tmp_path / "by-id-odd"
    with image.open("xb") as file:
        file.truncate(size)
    words = ["losetup", "-f", "--show", "-b", str(sector), str(image)]
    loop = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    by_id.symlink_to(loop)
    disk = RawDisk(by_id, loop, image, Path(rules.place("volume-a")))
    try:
        yield disk
    finally:
        disk.remove()


def full_of_secrets(disk: RawDisk) -> None:
    fd = os.open(disk.loop, os.O_WRONLY)
    try:
        left = disk.image.stat().st_size
        while left:
            left -= os.write(fd, (b"secret.." * 131072)[:left])
        os.fsync(fd)
    finally:
        os.close(fd)
    assert disk.holds(b"secret..")


@pytest.mark.parametrize("method", ["zero", "discard", "overwrite:2"])
def test_a_raw_device_is_zero_from_end_to_end(odd: RawDisk, rules: Rules, method: str) -> None:
    assert state(obey(odd, prepare(identity_of(odd, rules)), rules, job=BLOCK)) == ("done", "")
    full_of_secrets(odd)
    ended = obey(odd, reclaim(identity_of(odd, rules), method=method), rules, job=BLOCK)
    assert state(ended) == ("done", ""), ended.work
    assert odd.is_zero()


def test_one_byte_at_the_very_end_is_no_blank_disk(odd: RawDisk, rules: Rules) -> None:
    sector = int(subprocess.check_output(["blockdev", "--getss", odd.loop]))
    size = odd.image.stat().st_size
    odd.write(size - sector, bytes(sector - 1) + b"x")
    ended = obey(odd, prepare(identity_of(odd, rules)), rules, job=BLOCK)
    assert state(ended) == ("refused", "HasData"), ended.work
