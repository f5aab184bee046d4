"""A disk that hangs in the middle of its wipe, and every way in which a daemon ends while it does.

The process at the disk writes past the page cache and hangs in the kernel (state D): nothing ends it. It must
keep neither its pod from going nor the next daemon from coming, which works for the node's other disks.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.cluster import Node, disks
from tests.cluster.node import by_id_name
from tests.disks.failing import FailingFile, Fault
from tests.e2e import deployed
from tests.e2e.lab import NAMESPACE, Lab, until
from tests.e2e.test_release import Tenant
from tidb_volume import names
from tidb_volume.value import Phase, Presence, Source, Volume

pytestmark = pytest.mark.cluster
SIZE_BYTES = 128 << 20
PROGRAM = "/usr/local/bin/disk-daemon"
WITHIN_S = 60
"""From the end of one daemon to the next one's word on the disks."""


class Failing(NamedTuple):
    """A raw disk of a node, and what makes it fail."""

    file: FailingFile
    by_id: str
    device: str


@contextmanager
def failing_disk(node: Node, name: str, folder: Path) -> Iterator[Failing]:
    image = folder / f"{name}.img"
    disks.sparse(image, SIZE_BYTES)
    with FailingFile.served(folder / name, image) as file:
        number = disks.attach(file.path)
        by_id = by_id_name(node.name, name)
        disks.plug(node.devices, by_id, number)
        try:
            yield Failing(file, f"/dev/disk/by-id/{by_id}", f"/dev/loop{number}")
        finally:
            file.fail()
            until("the disk to be let go", lambda: disks.unheld(number))
            disks.unplug(node.devices, by_id, number)
            disks.detach(number)


def hung_at(disk: Failing) -> list[psutil.Process]:
    """Processes in state D that have the disk open."""
    number = os.stat(disk.device).st_rdev
    found = []
    for each in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, OSError):
            opened = [os.stat(link).st_rdev for link in Path(f"/proc/{each.pid}/fd").iterdir()]
            if each.status() == psutil.STATUS_DISK_SLEEP and number in opened:
                found.append(each)
    return found


def daemons(lab: Lab, node: Node, path: str) -> list[str]:
    """Something of each of the daemon's pods on a node, of those that are going away too."""
    selector = f"--field-selector=spec.nodeName={node.name}"
    words = ("get", "pods", "-l", "app.kubernetes.io/name=disk-daemon", selector, "-o")
    each = f"jsonpath={{range .items[*]}}{path} {{end}}"
    return lab.cluster.kubectl("-n", NAMESPACE, *words, each).split()


def pods(lab: Lab, node: Node) -> set[str]:
    """Their UIDs."""
    return set(daemons(lab, node, "{.metadata.uid}"))


def ready_one(lab: Lab, node: Node) -> str:
    """The container of the one that is ready and stays; empty while there is none."""
    status = ".status.containerStatuses[0]"
    path = f"{{.metadata.deletionTimestamp}}/{{{status}.ready}}/{{{status}.containerID}}"
    found = [each.removeprefix("/true/") for each in daemons(lab, node, path) if each.startswith("/true/")]
    return found[0] if len(found) == 1 else ""


def update(lab: Lab, node: Node) -> None:
    lab.cluster.kubectl("-n", NAMESPACE, "rollout", "restart", "daemonset/disk-daemon")
    deployed.wait(lab.cluster)


def crash(lab: Lab, node: Node) -> None:
    (daemon,) = (each.pid for each in node.processes(PROGRAM) if comm(each.pid) == "disk-daemon")
    os.kill(daemon, signal.SIGKILL)


def comm(pid: int) -> str:
    """What makes and is a child has a name of its own."""
    return Path(f"/proc/{pid}/comm").read_text().strip()


def delete(lab: Lab, node: Node) -> None:
    (pod,) = daemons(lab, node, "{.metadata.name}")
    lab.cluster.kubectl("-n", NAMESPACE, "delete", "pod", pod, "--wait=false")


def delete_by_force(lab: Lab, node: Node) -> None:
    (pod,) = daemons(lab, node, "{.metadata.name}")
    lab.cluster.kubectl("-n", NAMESPACE, "delete", "pod", pod, "--force", "--grace-period=0")


def remove(lab: Lab, node: Node) -> None:
    """As `kubectl delete -k` does, and once it is gone it is put back."""
    lab.cluster.kubectl("-n", NAMESPACE, "delete", "daemonset", "disk-daemon")
    until("its pods to be gone", lambda: not pods(lab, node), WITHIN_S, lambda: pods(lab, node))
    deployed.apply(lab.cluster)
    deployed.wait(lab.cluster)


ENDS: dict[str, Callable[[Lab, Node], None]] = {
    "an update": update,
    "a crash": crash,
    "a deletion": delete,
    "a deletion by force": delete_by_force,
    "a removal": remove,
}


@pytest.fixture
def node(lab: Lab) -> Node:
    return lab.cluster.nodes[0]


def test_a_wipe_that_hangs_keeps_no_daemon_from_going_and_none_from_coming(
    lab: Lab, node: Node, tmp_path: Path
) -> None:
    beside = Tenant(lab, "beside", node, wipeAfter="0s")
    with failing_disk(node, f"hung-{lab.tag}", tmp_path) as disk:
        volume = names.volume_name(node.name, Source(device=disk.by_id))
        word = f"hung-{lab.tag}"
        entry = f"{{device: {disk.by_id}, volumeMode: Block, pool: {word}}}"
        lab.inventory(
            word,
            f"pools: {{{word}: {{onRelease: wipe, wipeAfter: 0s, wipe: overwrite:1}}}}\n"
            f"nodes:\n  {node.name}:\n  - {entry}\n",
        )
        story = partial(lab.story, volume)
        first = lab.wait(volume, Phase.AVAILABLE, seconds=120).status.tenancy
        namespace = lab.namespace("hung")
        lab.stateful_set(namespace, "db", word, block=True)
        lab.running(namespace, "db-0", 120)
        lab.cluster.kubectl("-n", namespace, "delete", "statefulset", "db")
        lab.gone(namespace, "db-0")
        disk.file.fail(Fault(("write", "hole"), "hang"))
        lab.cluster.kubectl("-n", namespace, "delete", "pvc", "data-db-0")
        until("it to hang", lambda: disk.file.counts()["hanging"] and hung_at(disk), 60, story)

        for what, end in ENDS.items():
            known = until("a daemon", lambda: ready_one(lab, node))
            end(lab, node)
            until(f"another daemon after {what}", another(lab, node, known), WITHIN_S)
            until(f"one pod after {what}", lambda: len(pods(lab, node)) == 1, WITHIN_S)
            wipe(beside)
            until(f"it to be told after {what}", lambda: is_stuck(lab.volume(volume)), WITHIN_S, story)
            assert len(hung_at(disk)) == 1, what

        disk.file.fail()
        found = lab.wait(volume, Phase.AVAILABLE, tenancy_not=first, seconds=120)
        assert [line.what for line in found.status.history].count("wiped") == 1
        until("its process to be gone", lambda: not hung_at(disk))


def another(lab: Lab, node: Node, known: str) -> Callable[[], bool]:
    return lambda: ready_one(lab, node) not in ("", known)


def wipe(tenant: Tenant) -> None:
    """A whole life of another disk."""
    old = tenant.lab.wait(tenant.volume, Phase.AVAILABLE).status.tenancy
    tenant.start()
    tenant.write("s3cret")
    tenant.stop()
    tenant.lab.wait(tenant.volume, Phase.AVAILABLE, tenancy_not=old, seconds=WITHIN_S)


def is_stuck(volume: Volume | None) -> bool:
    disk = volume.status.disk if volume is not None else None
    return disk is not None and disk.presence is Presence.STUCK
