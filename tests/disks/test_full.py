"""A tenant filled his disk to the last block and the last inode: it is wiped all the same, or given back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from disk_daemon import kernel
from disk_daemon.facts.folder import Rules
from tests.disks.bench import (
    CLEAN,
    NEXT,
    OLD,
    Api,
    Disk,
    die_at,
    entry_of,
    identity_of,
    in_child,
    obey,
    reclaim,
    state,
    volume_with,
)
from tests.disks.device import prepare


def until_full(make: Callable[[str], object]) -> None:
    with suppress(OSError):
        for number in range(1 << 20):
            make(f"{make.__name__}-{number}")


def fill_up(folder: Path) -> None:
    """Until nothing fits any more: neither a block, nor an empty file, nor a folder."""
    for number in range(20):
        (folder / str(number)).touch()
    fd = os.open(folder, os.O_RDONLY)
    data = os.open("data", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    length = 64 << 20
    while length >= 4096:
        try:
            os.posix_fallocate(data, os.fstat(data).st_size, length)
        except OSError:
            length //= 2
    os.close(data)

    def subfolder(name: str) -> None:
        os.mkdir(name, dir_fd=fd)

    def file(name: str) -> None:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=fd))

    until_full(subfolder)
    until_full(file)
    kernel.sync_filesystem(fd)
    with pytest.raises(OSError, match="No space left"):
        subfolder("one-more")
    os.close(fd)


@pytest.fixture(params=["xfs", "ext4"])
def full(own_mounts: None, tmp_path: Path, rules: Rules, request: pytest.FixtureRequest) -> Iterator[Disk]:
    disk = Disk.make(tmp_path, "full", request.param)
    try:
        assert state(obey(disk, prepare(identity_of(disk, rules)), rules)) == ("done", "")
        fill_up(disk.ours / OLD)
        yield disk
    finally:
        disk.remove()


def tree(disk: Disk) -> list[str]:
    disk.unmount()
    disk.mount()
    return [each for each in disk.tree() if each != "lost+found"]


def test_a_full_disk_is_wiped(full: Disk, rules: Rules) -> None:
    ended = obey(full, reclaim(identity_of(full, rules)), rules)
    assert state(ended) == ("done", ""), ended.work
    assert tree(full) == CLEAN
    assert entry_of(full, rules).handed == NEXT


def test_a_full_disk_is_given_back_as_it_was(full: Disk, rules: Rules) -> None:
    before = tree(full)
    order = reclaim(identity_of(full, rules))
    api = Api(volume_with(full, order))
    seen: list[str] = []

    def tick(what: str) -> None:
        seen.append(what)
        if what == "rename":
            api.change_order(withdrawn=True)

    ended = obey(full, order, rules, api, tick=tick)
    assert state(ended) == ("refused", "Withdrawn")
    assert "rename" in seen
    assert tree(full) == before


def test_a_wipe_of_a_full_disk_is_ended_by_another_order_wherever_it_was_cut(
    full: Disk, rules: Rules
) -> None:
    """Before the rename, after it, and after the first files are gone."""
    order = reclaim(identity_of(full, rules))
    for step in (2, 3, 4, 5, 9):
        in_child(lambda: obey(full, order, rules, tick=die_at(step)))  # noqa: B023
    facts = obey(full, reclaim(identity_of(full, rules), id="order-2", ends="x" * 12), rules).facts
    assert [(each.order, each.entries) for each in facts.trash] == [("order-1", (OLD,))]
    ended = obey(full, reclaim(identity_of(full, rules), id="order-3", attempt=1), rules)
    assert state(ended) == ("done", ""), ended.work
    assert tree(full) == CLEAN
