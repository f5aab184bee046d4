"""The whole daemon on disks that fail or hang: what is told, who goes on, and what happens afterwards.

A disk that hangs costs its own child, whose process the kernel keeps in state D: no signal ends it. The
daemon itself answers, ends when it is told to, and works on the other disks.
"""

from __future__ import annotations

import os
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import msgspec
import psutil
import pytest

from disk_daemon.facts.folder import Rules
from tests.disks.bench import NEXT, OLD, identity_of, reclaim
from tests.disks.device import SECRET, prepare
from tests.disks.failing import Failing, Fault, failing_disk
from tests.disks.program import Controller, Daemon, work_is
from tidb_volume.kube.client import Client
from tidb_volume.value import Presence, Volume, Work, WorkState

pytestmark = [pytest.mark.api, pytest.mark.long]
SIZE = 1 << 20


@pytest.fixture
def failing(own_mounts: None, tmp_path: Path, rules: Rules) -> Iterator[Failing]:
    with failing_disk(tmp_path, rules, SIZE) as made:
        yield made


@pytest.fixture
def well(own_mounts: None, tmp_path: Path, rules: Rules) -> Iterator[Failing]:
    with failing_disk(tmp_path, rules, SIZE, "volume-b") as made:
        yield made


def block(api: Client, failing: Failing, rules: Rules) -> Controller:
    """A Block volume with a tenant's data on it, and its owner gone."""
    controller = Controller(api, failing.disk, "Block")
    controller.declare()
    controller.until("a report", lambda volume: volume.status.disk)
    controller.order(prepare(identity_of(failing.disk, rules)), committed=False)
    controller.until("the first offer", work_is(WorkState.DONE, "order-0"))
    failing.disk.write(SIZE // 2, SECRET)
    return controller


def work_of(volume: Volume) -> Work:
    assert volume.status.work is not None
    return volume.status.work


def metrics(daemon: Daemon) -> str:
    every = psutil.Process(daemon.process.pid).net_connections()
    (port,) = {each.laddr.port for each in every if not each.raddr}
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def until(what: str, look: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def of_order(daemon: Daemon) -> list[psutil.Process]:
    """The processes that carry an order out."""
    every = psutil.Process(daemon.process.pid).children(recursive=True)
    return [each for each in every if each.name() == "disk-order"]


def test_a_wipe_that_meets_an_error_says_which_and_the_next_one_ends_it(
    api: Client, failing: Failing, rules: Rules, daemon: Daemon
) -> None:
    controller = block(api, failing, rules)
    failing.file.fail(Fault(("write", "hole")))
    order = reclaim(identity_of(failing.disk, rules))
    controller.order(order)
    controller.until("the failure", work_is(WorkState.FAILED))
    work = work_of(controller.volume())
    assert (work.reason, work.begun, work.message) == ("EIO", True, "EIO: Input/output error")
    until("the count", lambda: re.search(r'daemon_orders\S*{state="failed"} 1', metrics(daemon)))
    assert 'daemon_failures_total{reason="EIO"} 1' in metrics(daemon)
    assert 'daemon_wipes_total{method="zero",result="failed"} 1' in metrics(daemon)
    controller.order(msgspec.structs.replace(order, id="order-2", attempt=1))
    controller.until("another failure", work_is(WorkState.FAILED, "order-2"))
    assert work_of(controller.volume()).attempt == 1
    assert failing.disk.holds(SECRET)
    failing.file.fail()
    controller.order(msgspec.structs.replace(order, id="order-3", attempt=2))
    controller.until("the end", work_is(WorkState.DONE, "order-3"))
    assert failing.disk.is_zero()


def test_a_wipe_that_hangs_holds_up_neither_the_other_disks_nor_the_end_of_the_daemon(
    api: Client, failing: Failing, well: Failing, rules: Rules, daemon: Daemon
) -> None:
    """Nor does the next daemon work on a disk beside the process that hangs on it: the lock is still held."""
    controller, other = block(api, failing, rules), block(api, well, rules)
    # By its first write, and no sync before that: then the journal has it that bytes may be gone.
    failing.file.fail(Fault(("write", "hole"), "hang"))
    controller.order(reclaim(identity_of(failing.disk, rules)))
    until("it to hang", lambda: failing.file.counts()["hanging"])
    (hangs,) = of_order(daemon)
    assert hangs.ionice().ioclass == psutil.IOPRIO_CLASS_IDLE
    until("state D", lambda: hangs.status() == psutil.STATUS_DISK_SLEEP)

    other.order(reclaim(identity_of(well.disk, rules)))
    other.until("the other disk's wipe", work_is(WorkState.DONE))
    assert well.disk.is_zero()
    assert "daemon_orders" in metrics(daemon)

    assert daemon.end() == 0
    assert hangs.is_running()
    daemon.restart()
    other.order(reclaim(identity_of(well.disk, rules), id="order-2", ends=NEXT, next="cccccccccccc"))
    other.until("the other disk's next wipe", work_is(WorkState.DONE, "order-2"))
    controller.until("the wait", lambda volume: work_of(volume).reason == "Locked", 60)
    work = work_of(controller.volume())
    assert (work.state, work.begun) == (WorkState.RUNNING, True)

    failing.file.fail()
    controller.until("the end of the wipe", work_is(WorkState.DONE), 60)
    assert failing.disk.is_zero()
    until("the old process to be gone", lambda: not hangs.is_running())


def test_however_often_the_daemon_is_started_anew_one_process_hangs_and_the_wipe_is_done_once(
    api: Client, failing: Failing, well: Failing, rules: Rules, daemon: Daemon
) -> None:
    controller, other = block(api, failing, rules), block(api, well, rules)
    failing.file.fail(Fault(does="hang"))
    controller.order(reclaim(identity_of(failing.disk, rules)))
    until("it to hang", lambda: hung_at(failing))
    tenancies = (OLD, NEXT, "cccccccccccc", "dddddddddddd")
    for number, (ends, begins) in enumerate(pairwise(tenancies)):
        daemon.kill()
        daemon.restart()
        until("it to be told", lambda: counts_as_stuck(daemon), 60)
        controller.until("the wait", lambda volume: work_of(volume).reason == "Locked", 60)
        order = reclaim(identity_of(well.disk, rules), id=f"other-{number}", ends=ends, next=begins)
        other.order(order)
        other.until("the other disk's wipe", work_is(WorkState.DONE, order.id))
        assert len(hung_at(failing)) == 1
    assert "hangs in the kernel" in work_of(controller.volume()).message
    failing.file.fail()
    controller.until("the end of the wipe", work_is(WorkState.DONE), 60)
    assert failing.disk.is_zero()
    until("the old process to be gone", lambda: not hung_at(failing))


def counts_as_stuck(daemon: Daemon) -> bool:
    with suppress(ValueError, OSError):  # it has no port yet
        return 'daemon_disks{presence="Stuck"} 1' in metrics(daemon)
    return False


def hung_at(failing: Failing) -> list[psutil.Process]:
    """Processes in state D that have the disk open."""
    found = []
    for each in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, OSError):
            links = [os.readlink(link) for link in Path(f"/proc/{each.pid}/fd").iterdir()]
            if each.status() == psutil.STATUS_DISK_SLEEP and failing.disk.loop in links:
                found.append(each)
    return found


def test_a_disk_that_hangs_while_it_is_looked_at_is_stuck_and_comes_back(
    api: Client, failing: Failing, well: Failing, rules: Rules, daemon: Daemon
) -> None:
    failing.file.fail(Fault(("read",), "hang"))
    hangs, other = Controller(api, failing.disk), Controller(api, well.disk)
    hangs.declare()
    other.declare()
    other.until("the other disk", presence_is(Presence.OK))
    hangs.until("it to be told", presence_is(Presence.STUCK), 60)
    until("the process to hang still", lambda: failing.file.counts()["hanging"])
    failing.file.fail()
    hangs.until("it to be back", presence_is(Presence.OK), 60)


def presence_is(wanted: Presence) -> Callable[[Volume], bool]:
    return lambda volume: volume.status.disk is not None and volume.status.disk.presence is wanted
