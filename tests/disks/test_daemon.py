"""The whole daemon as a process, on real disks and a real API server; the controller is the test."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
import pytest

from disk_daemon.facts.folder import Rules
from tests.disks.bench import NEXT, OLD, OTHER, Disk, identity_of, reclaim
from tests.disks.program import NODE, Controller, Daemon, work_is
from tidb_volume import audit, names
from tidb_volume.kube import kinds
from tidb_volume.kube.client import Client
from tidb_volume.value import Content, Order, Presence, Volume, WorkState

pytestmark = pytest.mark.api


@pytest.fixture
def controller(api: Client, disk: Disk) -> Controller:
    made = Controller(api, disk)
    made.declare()
    return made


def test_a_disk_is_reported_prepared_and_reclaimed(
    controller: Controller, daemon: Daemon, disk: Disk, rules: Rules
) -> None:
    report = controller.until("a report", lambda volume: volume.status.disk)
    assert report.content is Content.BLANK
    assert report.identity == identity_of(disk, rules)
    first = Order(id="order-0", kind="prepare", next=OLD, offer=True, epoch=1, identity=report.identity)
    controller.order(first, committed=False)
    controller.until("the first offer", work_is(WorkState.DONE, "order-0"))
    volume = controller.volume()
    assert volume.status.disk is not None
    assert (volume.status.disk.tenancy, volume.status.disk.empty) == (OLD, True)
    (disk.ours / OLD / "secret").write_text("x")
    controller.order(reclaim(identity_of(disk, rules)))
    controller.until("the wipe", work_is(WorkState.DONE))
    volume = controller.volume()
    assert volume.status.disk is not None
    assert (volume.status.disk.tenancy, volume.status.disk.journal) == (NEXT, NEXT)
    assert disk.tree() == [".tidb-volume", f".tidb-volume/{NEXT}"]
    lines, broken = audit.read(daemon.log.read_bytes())
    assert ([(line.what, line.order) for line in lines], broken) == (
        [("done", "order-0"), ("begun", "order-1"), ("done", "order-1")],
        [],
    )


def prepared(controller: Controller, disk: Disk, rules: Rules) -> Path:
    """The disk offered for the first time; returns the tenancy's folder."""
    report = controller.until("a report", lambda volume: volume.status.disk)
    first = Order(id="order-0", kind="prepare", next=OLD, offer=True, epoch=1, identity=report.identity)
    controller.order(first, committed=False)
    controller.until("the first offer", work_is(WorkState.DONE, "order-0"))
    return disk.ours / OLD


def fill(folder: Path, files: int) -> None:
    fd = os.open(folder, os.O_RDONLY)
    for number in range(files):
        os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)


def begun(disk: Disk, files: int) -> bool:
    """Some of the files are gone, and not all."""
    trash = disk.ours / "trash-order-1" / OLD
    return trash.is_dir() and 0 < len(os.listdir(trash)) < files


@pytest.mark.parametrize("how", ["end", "kill"])
def test_a_daemon_that_ends_in_a_wipe_leaves_no_process_and_the_next_one_ends_the_wipe(
    controller: Controller, daemon: Daemon, disk: Disk, rules: Rules, how: str
) -> None:
    files = 60_000
    fill(prepared(controller, disk, rules), files)
    controller.order(reclaim(identity_of(disk, rules)))
    controller.until("the first unlinks", lambda _: begun(disk, files))
    children = psutil.Process(daemon.process.pid).children(recursive=True)
    assert {"disk-zygote", "disk-order"} <= {each.name() for each in children}
    if how == "end":
        assert daemon.end() == 0
    else:
        daemon.kill()
    controller.until("its processes to be gone", lambda _: not any(each.is_running() for each in children))
    left = disk.tree()
    assert f".tidb-volume/trash-order-1/{OLD}" in left
    assert not work_is(WorkState.DONE)(controller.volume())
    assert disk.tree() == left
    daemon.restart()
    controller.until("the end of the wipe", work_is(WorkState.DONE))
    assert disk.tree() == [".tidb-volume", f".tidb-volume/{NEXT}"]


def test_a_wait_for_a_mount_ends_with_the_mount(
    controller: Controller, daemon: Daemon, disk: Disk, rules: Rules, tmp_path: Path
) -> None:
    folder = prepared(controller, disk, rules)
    (folder / "file").write_text("x")
    target = tmp_path / "pod"
    target.mkdir()
    subprocess.run(["mount", "--bind", folder, target], check=True)
    controller.until("the use to be seen", lambda volume: volume.status.disk and volume.status.disk.in_use)
    controller.order(reclaim(identity_of(disk, rules)))
    controller.until("the wait", lambda volume: volume.status.work and volume.status.work.reason == "InUse")
    assert (folder / "file").exists()
    subprocess.run(["umount", target], check=True)
    controller.until("the wipe", work_is(WorkState.DONE))


def test_a_pause_holds_an_order_and_its_end_lets_it_go(
    controller: Controller, daemon: Daemon, disk: Disk, rules: Rules
) -> None:
    folder = prepared(controller, disk, rules)
    (folder / "file").write_text("x")
    controller.api.merge_patch(kinds.TIDB_VOLUME_FLEET, names.FLEET, {"spec": {"paused": True}})
    controller.order(reclaim(identity_of(disk, rules)))
    controller.until("the wait", lambda volume: volume.status.work and volume.status.work.reason == "Paused")
    assert (folder / "file").exists()
    controller.api.merge_patch(kinds.TIDB_VOLUME_FLEET, names.FLEET, {"spec": {"paused": False}})
    controller.until("the wipe", work_is(WorkState.DONE))


def test_an_order_that_is_not_committed_is_neither_carried_out_nor_answered(
    controller: Controller, daemon: Daemon, disk: Disk, rules: Rules
) -> None:
    folder = prepared(controller, disk, rules)
    (folder / "file").write_text("x")
    controller.order(reclaim(identity_of(disk, rules)), committed=False)
    controller.patch({"spec": {"order": {"withdrawn": True}}})
    controller.until("the answer", work_is(WorkState.REFUSED))
    work = controller.volume().status.work
    assert work is not None
    assert (work.reason, work.begun) == ("Withdrawn", False)
    assert (folder / "file").exists()


@pytest.mark.parametrize("tells", ["the order", "the journal"])
def test_a_pv_whose_label_was_taken_away_is_found_by_its_name(
    controller: Controller, daemon: Daemon, disk: Disk, rules: Rules, api: Client, tells: str
) -> None:
    prepared(controller, disk, rules)
    name = names.pv_name(controller.name, OLD)
    spec = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/else"}}
    api.create(kinds.PV, {"metadata": {"name": name}, "spec": spec})
    order = reclaim(identity_of(disk, rules))
    if tells == "the journal":
        order = msgspec.structs.replace(order, ends=OTHER)
    controller.order(order)
    refused = controller.until("a refusal", work_is(WorkState.REFUSED))
    work = controller.volume().status.work
    assert refused
    assert work is not None
    assert (work.reason, name in work.message) == ("PvExists", True)
    assert (disk.ours / OLD).is_dir()
    api.delete(kinds.PV, name)


def test_a_disk_that_is_unmounted_and_mounted_again_is_said_to_be(
    controller: Controller, daemon: Daemon, disk: Disk, rules: Rules
) -> None:
    def presence(wanted: Presence) -> Callable[[Volume], bool]:
        return lambda volume: volume.status.disk is not None and volume.status.disk.presence is wanted

    controller.until("a report", presence(Presence.OK))
    disk.unmount()
    controller.until("it to be missed", presence(Presence.NOT_MOUNTED))
    report = controller.volume().status.disk
    assert report is not None
    assert (report.tenancy, report.identity, report.capacity_bytes) == ("", None, 0)
    disk.mount()
    controller.until("it to be back", presence(Presence.OK))


def test_it_stays_small(controller: Controller, daemon: Daemon, disk: Disk, rules: Rules) -> None:
    files = 60_000
    fill(prepared(controller, disk, rules), files)
    controller.order(reclaim(identity_of(disk, rules)))
    controller.until("the first unlinks", lambda _: begun(disk, files))
    sizes = {}
    for process in [psutil.Process(daemon.process.pid), *psutil.Process(daemon.process.pid).children(True)]:
        about = process.memory_full_info()
        sizes[process.name()] = (round(about.rss / 1e6, 1), round(about.uss / 1e6, 1))
    print(sizes)
    assert sizes["disk-order"][1] < 12
    parent = psutil.Process(daemon.process.pid).memory_info().rss / 2**20
    assert parent < 40, "32 in a pod; here it has also loaded yaml, for the kubeconfig"
    controller.until("the wipe", work_is(WorkState.DONE))


def test_what_is_seen_of_the_machine_is_written(
    controller: Controller, daemon: Daemon, disk: Disk, api: Client
) -> None:
    def look(_: Volume) -> bool:
        found = api.find(kinds.TIDB_VOLUME_NODE, NODE)
        return found is not None and any(str(disk.path) in each.mounts for each in found.status.disks)

    controller.until("the node's own object", look)
