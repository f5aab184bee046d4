"""Devices that the daemon makes ready: with a file system of ours, and as raw Block volumes."""

from __future__ import annotations

import time

import pytest

from tests.cluster import Disk, Node
from tests.e2e.lab import Lab, until
from tidb_volume import names
from tidb_volume.inventory import settings
from tidb_volume.value import Phase, Source

pytestmark = pytest.mark.cluster

LATE_S = 20
"""How long the daemon stays away after a reboot."""


@pytest.fixture
def node(lab: Lab) -> Node:
    return lab.cluster.nodes[0]


class Tenant:
    """One device, one StatefulSet on it."""

    def __init__(
        self, lab: Lab, word: str, node: Node, *, mode: str, size: str = "512M", **pool: str
    ) -> None:
        self.lab, self.node, self.word, self.block = lab, node, f"{word}-{lab.tag}", mode == "Block"
        self.disk: Disk = node.add_disk(self.word, size=size, raw=True)
        self.volume = names.volume_name(node.name, Source(device=self.disk.by_id))
        settings = ", ".join(
            f"{key}: {text}" for key, text in {"onRelease": "wipe", "wipeAfter": "0s", **pool}.items()
        )
        shape = "volumeMode: Block" if self.block else f"fsType: {mode}"
        lab.inventory(
            self.word,
            f"pools: {{{self.word}: {{{settings}}}}}\n"
            f"nodes:\n  {node.name}:\n  - {{device: {self.disk.by_id}, pool: {self.word}, {shape}}}\n",
        )
        lab.wait(self.volume, Phase.AVAILABLE, seconds=120)
        self.namespace = lab.namespace(word)

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
            except Exception:  # the pod does not run yet
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


@pytest.fixture(params=["xfs", "ext4", "Block"])
def mode(request: pytest.FixtureRequest) -> str:
    mode = str(request.param)
    if any(row.key == "volumeMode" and row.refuses(mode) for row in settings.NOT_YET):
        pytest.skip(f"the inventory does not let volumeMode {mode} through yet")
    return mode


def test_a_pod_on_a_device_comes_back_to_its_data_and_so_it_does_after_a_reboot(
    lab: Lab, node: Node, mode: str
) -> None:
    tenant = Tenant(lab, f"dev-{mode.lower()}", node, mode=mode)
    tenant.start()
    tenant.write("precious")
    lab.cluster.kubectl("-n", tenant.namespace, "delete", "pod", "db-0")
    tenant.reads("precious")
    node.reboot()
    tenant.reads("precious")
    lab.wait(tenant.volume, Phase.BOUND)


def test_after_a_reboot_pods_wait_for_a_late_daemon_and_start_with_their_data(
    lab: Lab, node: Node, mode: str
) -> None:
    tenant = Tenant(lab, f"late-{mode.lower()}", node, mode=mode)
    tenant.start()
    tenant.write("precious")
    lab.keep_daemon(node, away=True)
    try:
        node.reboot()
        end = time.monotonic() + LATE_S
        while time.monotonic() < end:
            assert not lab.runs(tenant.namespace, "db-0"), "a pod started without its disk"
            time.sleep(1)
    finally:
        lab.keep_daemon(node, away=False)
    tenant.reads("precious")


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


def test_a_released_device_is_wiped_and_on_offer_and_the_next_tenant_finds_nothing(
    lab: Lab, node: Node, mode: str
) -> None:
    tenant = Tenant(lab, f"wipe-{mode.lower()}", node, mode=mode)
    tenant.start()
    tenant.write("the-secret")
    ended = tenant.end()
    lab.wait(tenant.volume, Phase.AVAILABLE, tenancy_not=ended, seconds=120)
    tenant.start()
    if tenant.block:
        assert not lab.raw_holds(tenant.disk, "the-secret")
    else:
        assert lab.sh(tenant.namespace, "db-0", "find /data -mindepth 1").strip() == ""
