"""A damaged disk is not a blank disk: nobody formats it, and once repaired its pod has its data again.

The kubelet formats a device that libblkid calls blank (kubernetes, mount_linux.go). What we offer is a folder
on a file system of ours, so that the kubelet never gets a device to format; here is shown that we do no such
thing either.
"""

from __future__ import annotations

import pytest

from tests.cluster import Disk, Node
from tests.e2e.lab import Lab, never, until
from tests.e2e.test_devices import Tenant
from tidb_volume.value import Phase

pytestmark = pytest.mark.cluster

HEAD = 4096
"""Bytes at the start of the disk, with the first superblock of XFS and of ext4 in them."""
REPAIR = {
    "xfs": "xfs_repair {disk}",
    # Without its superblock e2fsck has to be told where the next one is; it exits with 1 when it mended.
    "ext4": "e2fsck -f -y -b 32768 -B 4096 {disk} || [ $? = 1 ]",
}


@pytest.fixture
def node(lab: Lab) -> Node:
    return lab.cluster.nodes[1]


def head(disk: Disk) -> bytes:
    with disk.image.open("rb") as image:
        return image.read(HEAD)


def destroy_head(disk: Disk) -> None:
    with disk.image.open("r+b") as image:
        image.write(bytes(HEAD))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", ["xfs", "ext4"])
def test_a_damaged_superblock_is_formatted_by_nobody_and_once_repaired_the_pod_has_its_data(
    lab: Lab, node: Node, mode: str
) -> None:
    tenant = Tenant(lab, "damaged", node, mode=mode)
    tenant.start()
    tenant.write("precious")
    before = lab.wait(tenant.volume, Phase.BOUND)
    node.power_off()
    destroy_head(tenant.disk)
    node.start()
    for boot in ("the first boot", "another boot"):
        until(
            f"the damage to be said after {boot}",
            lambda: "disk trouble" in state(lab, tenant.volume),
            120,
            lambda: lab.story(tenant.volume),
        )
        never("the pod starts", lambda: lab.runs(tenant.namespace, "db-0"), 10)
        assert head(tenant.disk) == bytes(HEAD), "somebody wrote to it"
        if boot == "the first boot":
            node.reboot()
    found = lab.volume(tenant.volume)
    assert found is not None
    assert found.status.tenancy == before.status.tenancy
    assert found.spec.order == before.spec.order, "an order was written for it"
    node.exec(["sh", "-c", REPAIR[mode].format(disk=tenant.disk.by_id)])
    tenant.reads("precious")
    assert lab.wait(tenant.volume, Phase.BOUND, seconds=60).status.tenancy == before.status.tenancy
    ended = tenant.end()
    lab.wait(tenant.volume, Phase.AVAILABLE, tenancy_not=ended, seconds=120)


def state(lab: Lab, volume: str) -> str:
    found = lab.volume(volume)
    return found.status.state if found is not None else ""
