"""Devices that the daemon makes ready: with a file system of ours, and as raw Block volumes."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cluster import ClusterError, Node
from tests.e2e.lab import NAMESPACE, Lab, until
from tidb_volume import names
from tidb_volume.kube import kinds
from tidb_volume.value import Phase, Source

pytestmark = pytest.mark.cluster

LATE_S = 90
"""How long the daemon stays away after a reboot."""
PROGRAMS = ("deployment/volume-controller", "daemonset/disk-daemon")


@pytest.fixture
def node(lab: Lab) -> Node:
    return lab.cluster.nodes[0]


def _shape(mode: str) -> str:
    return "volumeMode: Block" if mode == "Block" else f"fsType: {mode}"


class Tenant:
    """One disk, one StatefulSet on it. mode: `path`, `Block`, or the file system that a device gets."""

    def __init__(
        self, lab: Lab, word: str, node: Node, *, mode: str, size: str = "512M", **pool: str
    ) -> None:
        self.lab, self.node, self.block = lab, node, mode == "Block"
        self.word = f"{word}-{mode.lower()}-{lab.tag}"
        if mode == "path":
            mount = f"{lab.data}/{self.word}"
            self.disk, self.volume = lab.path_disk(node, mount)
            entry = f"path: {mount}"
        else:
            self.disk = node.add_disk(self.word, size=size, raw=True)
            self.volume = names.volume_name(node.name, Source(device=self.disk.by_id))
            entry = f"device: {self.disk.by_id}, {_shape(mode)}"
        self.pool = {"onRelease": "wipe", "wipeAfter": "0s", **pool}
        self._entry = entry
        self.lists()
        lab.wait(self.volume, Phase.AVAILABLE, seconds=120)
        self.namespace = lab.namespace(f"{word}-{mode.lower()}")

    def becomes(self, mode: str) -> None:
        """Edit the device's entry to another shape; a pod that has it keeps what it has."""
        self._entry = f"device: {self.disk.by_id}, {_shape(mode)}"
        self.lists()

    def lists(self) -> None:
        """Write its entry and pool into the inventory, as they are by now."""
        settings = ", ".join(f"{key}: {text}" for key, text in self.pool.items())
        self.lab.inventory(
            self.word,
            f"pools: {{{self.word}: {{{settings}}}}}\n"
            f"nodes:\n  {self.node.name}:\n  - {{{self._entry}, pool: {self.word}}}\n",
        )

    def start(self) -> None:
        self.lab.stateful_set(self.namespace, "db", self.word, block=self.block)
        self.lab.running(self.namespace, "db-0", 120)

    def write(self, secret: str) -> None:
        if self.block:
            script = (
                f"printf %-32s {secret} | dd of=/dev/data bs=32 seek=65536 conv=fsync,notrunc 2>/dev/null"
            )
        else:
            script = f"echo {secret} > /data/plain; sync"
        self.lab.sh(self.namespace, "db-0", script)

    def reads(self, secret: str, seconds: float = 240) -> None:
        """Wait until the pod runs, and see that it has its data."""
        if not self.block:
            self.lab.reads(self.namespace, "db-0", "/data/plain", secret, seconds)
            return

        def look() -> bool:
            try:
                read = self.lab.sh(
                    self.namespace, "db-0", "dd if=/dev/data bs=32 skip=65536 count=1 2>/dev/null"
                ).strip()
            except ClusterError:  # the pod does not run yet
                return False
            assert read == secret
            return True

        until("the pod to run", look, seconds, lambda: self.lab.describe(self.namespace, "db-0"))

    def end(self) -> str:
        """Delete pod and claim; returns the tenancy that ends."""
        found = self.lab.volume(self.volume)
        assert found is not None
        self.lab.cluster.kubectl("-n", self.namespace, "delete", "statefulset", "db")
        self.lab.gone(self.namespace, "db-0")
        self.lab.cluster.kubectl("-n", self.namespace, "delete", "pvc", "data-db-0")
        return found.status.tenancy


@pytest.mark.timeout(900)
def test_pods_on_every_kind_of_disk_come_back_to_their_data_whatever_goes_away_meanwhile(
    lab: Lab, node: Node
) -> None:
    """Pods deleted, our programs restarted and removed, the node booted, and booted with a late daemon."""
    tenants = [Tenant(lab, "stay", node, mode=mode) for mode in ("path", "xfs", "Block")]
    for tenant in tenants:
        tenant.start()
        tenant.write(tenant.word)
    before = [lab.wait(tenant.volume, Phase.BOUND).status.tenancy for tenant in tenants]

    delete_pods(tenants)
    all_read(tenants)
    for what in PROGRAMS:
        lab.cluster.kubectl("-n", NAMESPACE, "rollout", "restart", what)
    delete_pods(tenants)
    all_read(tenants)
    with programs_away(lab):
        assert all(lab.runs(tenant.namespace, "db-0") for tenant in tenants)
        delete_pods(tenants)
        all_read(tenants)

    node.reboot()
    all_read(tenants)

    lab.keep_daemon(node, away=True)
    try:
        node.reboot()
        end = time.monotonic() + LATE_S
        while time.monotonic() < end:
            for tenant in tenants[1:]:
                assert not lab.runs(tenant.namespace, "db-0"), "a pod started without its disk"
            time.sleep(1)
        tenants[0].reads(tenants[0].word)  # what the admin mounted needs nobody
    finally:
        lab.keep_daemon(node, away=False)
    all_read(tenants)
    assert [lab.wait(each.volume, Phase.BOUND, seconds=60).status.tenancy for each in tenants] == before


def delete_pods(tenants: list[Tenant]) -> None:
    for tenant in tenants:
        tenant.lab.cluster.kubectl("-n", tenant.namespace, "delete", "pod", "db-0")


def all_read(tenants: list[Tenant]) -> None:
    for tenant in tenants:
        tenant.reads(tenant.word)


@contextmanager
def programs_away(lab: Lab) -> Iterator[None]:
    """Neither controller nor daemon runs anywhere."""

    def patch(nowhere: dict[str, str] | None) -> None:
        word = json.dumps({"spec": {"template": {"spec": {"nodeSelector": nowhere}}}})
        lab.cluster.kubectl("-n", NAMESPACE, "patch", "daemonset", "disk-daemon", f"--patch={word}")
        replicas = 0 if nowhere else 2
        lab.cluster.kubectl(
            "-n", NAMESPACE, "scale", "deployment", "volume-controller", f"--replicas={replicas}"
        )

    patch({"nowhere": "true"})
    try:
        until("our programs to be gone", lambda: not lab.api.list(kinds.POD, NAMESPACE)[0], 120)
        yield
    finally:
        patch(None)
        for what in PROGRAMS:
            lab.cluster.kubectl("-n", NAMESPACE, "rollout", "status", what, "--timeout=180s", timeout=200)


def test_a_claimed_disk_whose_journal_is_lost_is_mounted_again_after_a_reboot(lab: Lab, node: Node) -> None:
    tenant = Tenant(lab, "lost", node, mode="xfs")
    tenant.start()
    tenant.write("precious")
    before = lab.wait(tenant.volume, Phase.BOUND)
    of_this_disk = f"grep -l {tenant.volume} /var/lib/tidb-volume/journal/*.json | xargs rm"
    node.exec(["sh", "-c", of_this_disk])
    node.reboot()
    tenant.reads("precious")
    after = lab.wait(tenant.volume, Phase.BOUND)
    assert after.status.tenancy == before.status.tenancy
    assert after.spec.order is not None
    assert (after.spec.order.kind, after.spec.order.next) == ("mount", before.status.tenancy)
    ended = tenant.end()
    lab.wait(tenant.volume, Phase.AVAILABLE, tenancy_not=ended, seconds=120)


def test_a_retired_device_is_unmounted_and_offered_anew_when_that_is_taken_back(lab: Lab, node: Node) -> None:
    tenant = Tenant(lab, "retire", node, mode="xfs")
    place = names.device_mount(tenant.volume)
    first = lab.wait(tenant.volume, Phase.AVAILABLE)
    assert place in node.exec(["cat", "/proc/self/mounts"])
    lab.patch("tv", tenant.volume, {"spec": {"admin": {"retire": True}}})
    lab.wait(tenant.volume, Phase.PENDING, "Retired")
    until(
        "the disk to be unmounted",
        lambda: place not in node.exec(["cat", "/proc/self/mounts"]),
        60,
        lambda: lab.story(tenant.volume),
    )
    assert not lab.pvs(tenant.volume)
    lab.patch("tv", tenant.volume, {"spec": {"admin": {"retire": None}}})
    lab.wait(tenant.volume, Phase.AVAILABLE, tenancy_not=first.status.tenancy, seconds=60)
    tenant.start()


@pytest.mark.timeout(600)
def test_an_edit_of_its_shape_makes_a_free_device_anew_and_waits_for_a_bound_one(
    lab: Lab, node: Node
) -> None:
    tenant = Tenant(lab, "shape", node, mode="xfs")
    free = lab.wait(tenant.volume, Phase.AVAILABLE)
    tenant.becomes("Block")
    until("a Block volume on offer", lambda: lab.shows(tenant.volume, "Block"), 120)
    made = lab.wait(tenant.volume, Phase.AVAILABLE, tenancy_not=free.status.tenancy)
    assert made.spec.volume_mode == "Block"
    tenant.block = True
    tenant.start()
    tenant.write("precious")
    bound = lab.wait(tenant.volume, Phase.BOUND)
    tenant.becomes("ext4")

    def is_pending() -> bool:
        seen = lab.volume(tenant.volume)
        return seen is not None and any(each.type == "EditPending" for each in seen.status.conditions)

    until("the edit to be pending", is_pending, 30, lambda: lab.story(tenant.volume))
    tenant.reads("precious")
    ended = tenant.end()
    assert ended == bound.status.tenancy
    until("a file system on offer", lambda: lab.shows(tenant.volume, "Filesystem"), 120)
    lab.wait(tenant.volume, Phase.AVAILABLE, tenancy_not=ended)
    assert not lab.raw_holds(tenant.disk, "precious")
    tenant.block = False
    tenant.namespace = lab.namespace("shape-after")
    tenant.start()
    assert lab.sh(tenant.namespace, "db-0", "grep /data /proc/mounts").split()[2] == "ext4"


@pytest.mark.parametrize("mode", ["xfs", "ext4", "Block"])
def test_a_released_device_is_wiped_and_on_offer_and_the_next_tenant_finds_nothing(
    lab: Lab, node: Node, mode: str
) -> None:
    tenant = Tenant(lab, "wipe", node, mode=mode)
    tenant.start()
    tenant.write("the-secret")
    ended = tenant.end()
    lab.wait(tenant.volume, Phase.AVAILABLE, tenancy_not=ended, seconds=120)
    tenant.start()
    if tenant.block:
        assert not lab.raw_holds(tenant.disk, "the-secret")
    else:
        assert lab.sh(tenant.namespace, "db-0", "find /data -mindepth 1").strip() == ""


@contextmanager
def copied(node: Node, who: str) -> Iterator[None]:
    """A process of the node keeps copies of all mounts that there are now, as an agent in a container does
    whose mounts are private."""
    stays = ["bash", "-c", f"exec -a {who} sleep 1000"]
    node.spawn(who, ["unshare", "--mount", "--propagation", "private", *stays])
    until("the agent to run", lambda: node.processes(who))
    try:
        yield
    finally:
        node.signal(who, signal.SIGKILL)


def test_a_device_of_which_an_agent_keeps_a_copy_is_cleaned_by_its_files_and_by_format_is_not(
    lab: Lab, node: Node
) -> None:
    """`auto` does what can be done; `format` waits, says for whom, and goes on when he is gone."""
    auto, formats = (Tenant(lab, wipe, node, mode="ext4", wipe=wipe) for wipe in ("auto", "format"))
    for tenant in (auto, formats):
        tenant.start()
        tenant.write("the-secret")
    made = node.exec(["findmnt", "-no", "UUID", names.device_mount(auto.volume)])
    with copied(node, f"agent-{lab.tag}"):
        ended = auto.end()
        lab.wait(auto.volume, Phase.AVAILABLE, tenancy_not=ended, seconds=120)
        assert node.exec(["findmnt", "-no", "UUID", names.device_mount(auto.volume)]) == made
        auto.start()
        assert lab.sh(auto.namespace, "db-0", "find /data -mindepth 1").strip() == ""

        ended = formats.end()
        until("the agent to be named", lambda: "sleep (pid" in lab.story(formats.volume), 120)
        found = lab.volume(formats.volume)
        assert found is not None
        assert (found.status.phase, found.status.tenancy) != (Phase.AVAILABLE, ended)
    lab.wait(formats.volume, Phase.AVAILABLE, tenancy_not=ended, seconds=120)
    formats.start()
    assert lab.sh(formats.namespace, "db-0", "find /data -mindepth 1").strip() == ""
