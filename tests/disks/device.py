"""Words for tests of devices whose file system the daemon makes."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from disk_daemon import journal, mounting
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Ended, Job, Mounted
from disk_daemon.known import Entry
from tests.disks.bench import (
    OLD,
    RawDisk,
    identity_of,
    source_of,
)
from tidb_volume.value import Identity, Order

SECRET = b"a secret of the first tenant"


def prepare(identity: Identity, **fields: object) -> Order:
    order = Order(id="order-0", kind="prepare", next=OLD, offer=True, epoch=1, identity=identity)
    return msgspec.structs.replace(order, **fields)


def entry_of(disk: RawDisk, rules: Rules) -> Entry:
    found = journal.load(rules.state, identity_of(disk, rules))
    assert isinstance(found, Entry)
    return found


def boot(disk: RawDisk, rules: Rules) -> Mounted:
    """What the daemon does at its start, before it knows any volume."""
    assert mounting.recall(rules) == (("volume-a", str(disk.by_id), "Filesystem"),)
    return mounting.from_journal(Job(id=1, kind="mount", volume="volume-a", source=source_of(disk)), rules)


def state(ended: Ended) -> tuple[str, str]:
    assert ended.work is not None, ended
    return ended.work.state.value, ended.work.reason


def partition_table() -> bytes:
    """A master boot record with one Linux partition of 100 MiB at 1 MiB."""
    entry = struct.pack("<B3sB3sII", 0, bytes(3), 0x83, bytes(3), 2048, 204800)
    return bytes(446) + entry + bytes(48) + b"\x55\xaa"


@contextmanager
def partition(raw: RawDisk, number: int = 1) -> Iterator[str]:
    """A device for that partition, which nobody reads in by itself; or for another one behind it."""
    start = 2048 + (number - 1) * 204800
    subprocess.run(["addpart", raw.loop, str(number), str(start), "204800"], check=True)
    name = f"{raw.loop}p{number}"
    major, minor = Path(f"/sys/class/block/{name[5:]}/dev").read_text().split(":")
    made = not os.path.exists(name)
    if made:
        os.mknod(name, 0o60600, os.makedev(int(major), int(minor)))
    try:
        yield name
    finally:
        subprocess.run(["delpart", raw.loop, str(number)], check=False, stderr=subprocess.DEVNULL)
        if made:
            os.unlink(name)


def written(raw: RawDisk, how: str) -> None:
    words = {
        "xfs": ["mkfs.xfs", "-q", "-K", "-L", "backup", raw.loop],
        "ext4": ["mkfs.ext4", "-q", "-L", "backup", raw.loop],
        "swap": ["mkswap", "-q", raw.loop],
    }
    if how in words:
        subprocess.run(words[how], check=True, capture_output=True)
    elif how == "random":
        raw.write(0, os.urandom(4096))
    elif how == "tail":
        raw.write(os.path.getsize(raw.image) - 512, b"x" * 512)
    elif how == "middle":
        for start in range(64 << 20, 256 << 20, 1 << 20):
            raw.write(start, b"y" * (512 << 10))
