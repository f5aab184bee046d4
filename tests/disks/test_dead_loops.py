"""A loop device on a file whose server is gone: whoever asks it hangs, and looks at raw disks ask it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from disk_daemon.facts import loops, mounts, process
from disk_daemon.facts.folder import Rules
from tests.disks.bench import RawDisk, facts_of
from tests.disks.hung import FILE, hung
from tests.disks.test_openers import BLOCK, prepared

pytestmark = pytest.mark.long  # tests that run beside it ask too


@contextmanager
def loop_on_it(tmp_path: Path, **options: bool) -> Iterator[str]:
    """A loop device on a file of a server that then falls silent; gives its name."""
    made: list[str] = []

    def attach(file: Path) -> None:
        words = ["losetup", "-f", "--show", str(file)]
        made.append(subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip())

    with hung(tmp_path / "dead", attach, **options):
        try:
            yield made[0].removeprefix("/dev/")
        finally:
            subprocess.run(["losetup", "-d", *made], check=True)


@pytest.mark.parametrize("deaf", [True, False])
def test_a_loop_device_on_a_dead_server_keeps_no_other_disk_from_its_order(
    raw: RawDisk, rules: Rules, tmp_path: Path, deaf: bool
) -> None:
    """Whoever asks such a loop device hangs; where the server has taken the question in, for good."""
    with loop_on_it(tmp_path, deaf=deaf) as loop:
        for _ in range(2):
            assert not facts_of(raw, rules, **BLOCK).users_unknown
        assert len(that_ask()) == (0 if deaf else 1)
        assert prepared(raw, rules, BLOCK) == ("done", "", "")
        tables = tuple(mounts.tables())
        server = mounts.over(str(tmp_path / "dead" / FILE), mounts.parse(mounts.read()))
        found = {own.name: each for own, each in loops.backings(rules.nodes, rules.state, tables)}
        assert server is not None
        assert found[loop] == (os.makedev(*map(int, server.device.split(":"))), 0, 0)
        assert len(that_ask()) == (0 if deaf else 1)


def that_ask() -> list[str]:
    """Processes that hang with a question about a loop device."""
    return [each for each in process.pids() if process.name(each).startswith("disk-loop") and not ended(each)]


def ended(pid: str) -> bool:
    return process.stands_still(pid) is None


def test_what_could_be_a_device_node_on_a_dead_server_may_be_any_disk(
    raw: RawDisk, rules: Rules, tmp_path: Path
) -> None:
    with loop_on_it(tmp_path, devices=True) as loop:
        assert f"what {loop} lies on cannot be seen" in facts_of(raw, rules, **BLOCK).users_unknown
