"""Disks that fail in the middle of an order: each method, each kind of failure, before each kind of change.

An order on such a disk is never answered as done with anything of the old tenant's left; it fails with the
errno's name. Nothing is handed over by it, and once the disk is well again the next order ends as if nothing
had been.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from disk_daemon import tools
from disk_daemon.facts.folder import Rules
from tests.disks.bench import facts_of, state
from tests.disks.failing import Fault, failing_disk
from tests.disks.failing_case import BLOCK, BLOCK_BYTES, EXT4, Case, Method, case_of
from tidb_volume.value import Content, Presence

pytestmark = pytest.mark.long

METHODS = [
    Method("files on a folder", "xfs"),
    Method("files on a folder of ext4", "ext4"),
    Method("files on a device", "device", method="files"),
    Method("format", "device", method="format"),
    Method("format as ext4", "device", method="format", job=EXT4),
    Method("zero below a file system", "device", method="zero", job=EXT4),
    Method("discard below a file system", "device", method="discard", job=EXT4),
    Method("zero a Block volume", "device", method="zero", job=BLOCK),
    Method("discard a Block volume", "device", method="discard", job=BLOCK),
    Method("overwrite a Block volume", "device", method="overwrite:2", job=BLOCK),
    Method("nvme-format below a file system", "device", method="nvme-format", job=EXT4),
    Method("nvme-format of a Block volume", "device", method="nvme-format", job=BLOCK),
    Method("prepare a folder", "xfs", made="blank"),
    Method("prepare a device", "device", made="blank"),
    Method("prepare a Block volume", "device", made="blank", job=BLOCK),
    Method("mount", "device", made="unknown"),
]


@pytest.mark.parametrize("start", [0, BLOCK_BYTES - 4096])
def test_a_place_that_cannot_be_read_is_not_one_with_nothing_on_it(
    own_mounts: None, tmp_path: Path, rules: Rules, start: int
) -> None:
    """blkid says of such a disk that nothing is on it."""
    with failing_disk(tmp_path, rules, BLOCK_BYTES) as (served, disk):
        fd = os.open(disk.loop, os.O_RDONLY)
        assert tools.probe(-1, fd) == tools.Found()
        served.fail(Fault(("read",), start=start, end=start + 4096))
        with pytest.raises(OSError, match="Input/output error"):
            tools.probe(-1, fd)
        os.close(fd)
        facts = facts_of(disk, rules)
        assert (facts.presence, facts.message) == (Presence.STUCK, "EIO: Input/output error")
        assert facts.content is not Content.BLANK


def first_of_each(ticks: list[str]) -> list[int]:
    """Before the first change of each kind."""
    return [ticks.index(kind) for kind in dict.fromkeys(ticks)]


def few(ticks: list[str]) -> list[int]:
    """At the start, in the middle, and before the last word."""
    return sorted({0, len(ticks) // 2, len(ticks) - 1})


def middle(ticks: list[str]) -> list[int]:
    """Once, when half of it is done."""
    return [len(ticks) // 2]


class Failure(NamedTuple):
    """One way to fail. answers: what is said of it where the order is not done."""

    what: str
    fault: Fault | None
    moments: Callable[[list[str]], list[int]] = few
    answers: tuple[tuple[str, str], ...] = (("failed", "EIO"),)
    lies: bool = False


NO_ROOM = (("failed", "ENOSPC"), ("failed", "EIO"))
READ_ONLY = (("failed", "EROFS"), ("failed", "EIO"), ("refused", "ReadOnly"))
FAILURES = [
    Failure("reads fail", Fault(("read",)), few),
    Failure("writes fail", Fault(("write", "hole")), first_of_each),
    Failure("syncs fail", Fault(("sync",)), middle),
    Failure("no room below", Fault(("write", "hole"), errno=errno.ENOSPC), middle, NO_ROOM),
    Failure("read-only", None, few, READ_ONLY),
    Failure("lies", Fault(("write", "hole"), "swallow"), first_of_each, lies=True),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_disk_that_fails_at_any_moment(
    own_mounts: None, tmp_path: Path, rules: Rules, method: Method
) -> None:
    with case_of(method, tmp_path, rules) as case:
        ticks: list[str] = []
        assert state(case.obey(case.order, ticks.append)) == ("done", "")
        assert case.is_ended()
        seen = set()
        for failure in FAILURES:
            for moment in failure.moments(ticks):
                about = (failure.what, moment, ticks[moment])
                case.set_back()
                seen.add(fail_once(case, failure, moment, about))
        assert ("failed", "EIO") in seen


def fail_once(case: Case, failure: Failure, moment: int, about: tuple[str, int, str]) -> tuple[str, str]:
    """An order meets the failure, the next one a disk that is well again."""
    handed = case.handed()
    ended = case.obey(case.order, fails_at(case, moment, failure.fault))
    case.file.fail()
    answer = state(ended)
    was_ended = answer == ("done", "") and case.is_ended()
    if answer == ("done", ""):
        assert was_ended or failure.lies, about
    else:
        assert answer in failure.answers, (about, ended.work)
        assert case.handed() in (handed, case.order.ends), about
        assert ended.work is not None
        assert answer[1] in ("ReadOnly", ended.work.message.split(":")[0]), about
    case.boot()
    again = case.obey(msgspec.structs.replace(case.order, id="order-2", attempt=1))
    if answer == ("done", "") and not was_ended:
        # The last of it was swallowed. Whoever looks for the new tenancy, or asks again, finds none.
        assert state(again)[0] != "done", (about, again.work)
    else:
        assert state(again) == ("done", ""), (about, again.work)
        assert case.is_ended(), about
    return answer


def fails_at(case: Case, moment: int, fault: Fault | None) -> Callable[[str], None]:
    """A tick that makes the disk fail from one change on."""
    left = moment

    def tick(what: str) -> None:
        nonlocal left
        if left == 0 and fault is not None:
            case.file.fail(fault)
        elif left == 0 and os.path.ismount(case.disk.path):
            subprocess.run(["mount", "-o", "remount,ro", case.disk.path], check=False)
        elif left == 0:
            subprocess.run(["blockdev", "--setro", case.disk.loop], check=True)
        left -= 1

    return tick
