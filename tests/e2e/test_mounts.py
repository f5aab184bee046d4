"""What is behind a folder: no mount, another disk's mount, a blank disk.

Nobody gets another's data, or an empty disk in place of his own; nothing is written where no disk is.
"""

from __future__ import annotations

import pytest

from tests.cluster import Node
from tests.e2e.lab import Lab, never, until
from tests.e2e.test_offer import listing
from tests.e2e.test_release import Tenant
from tidb_volume.value import Phase

pytestmark = pytest.mark.cluster


@pytest.fixture
def node(lab: Lab) -> Node:
    return lab.cluster.nodes[2]


def test_a_folder_that_is_not_a_mount_point_makes_no_pv_and_nothing_is_written_there(
    lab: Lab, node: Node
) -> None:
    folder = f"{lab.data}/bare"
    node.exec(["mkdir", "-p", folder])
    volume = lab.volume_of(node, folder)
    word = f"bare-{lab.tag}"
    lab.inventory(word, listing(word, {node: [folder]}))
    found = lab.wait(volume, Phase.PENDING, "NotMounted")
    assert folder in found.status.message
    never("a PV", lambda: lab.pvs(volume), 2)
    assert lab.entries(node, folder) == []
    printed = lab.cluster.kubectl("get", "events", "-A", f"--field-selector=involvedObject.name={volume}")
    assert "NotMounted" in printed
    disk = node.add_disk(f"bare-{lab.tag}")
    node.mount(disk, folder)
    lab.wait(volume, Phase.AVAILABLE)


def test_after_a_reboot_with_a_mount_missing_the_pod_waits_and_starts_once_it_is_back(
    lab: Lab, node: Node
) -> None:
    tenant = Tenant(lab, "missing", node)
    tenant.start()
    tenant.write("precious")
    fstab = node.fstab
    node.set_fstab({target: disk for target, disk in fstab.items() if target != tenant.mount})
    node.reboot()
    node.wait_ready()
    lab.wait(tenant.volume, Phase.BOUND)
    until(
        "the missing mount to be said",
        lambda: "disk trouble" in lab.cluster.kubectl("get", "tv", tenant.volume),
        60,
        lambda: lab.story(tenant.volume),
    )
    never("the pod starts", lambda: lab.runs(tenant.namespace, "db-0"), 5)
    assert lab.entries(node, tenant.mount) == [], "something was made below the missing mount"
    node.set_fstab(fstab)
    node.mount(tenant.disk, tenant.mount)
    lab.reads(tenant.namespace, "db-0", "/data/plain", "precious")


def test_two_mounts_swapped_at_reboot_start_no_pod_and_give_nobody_anothers_data(
    lab: Lab, node: Node
) -> None:
    one, two = Tenant(lab, "swap1", node), Tenant(lab, "swap2", node)
    for tenant, secret in ((one, "of-one"), (two, "of-two")):
        tenant.start()
        tenant.write(secret)
    node.swap_mounts(one.mount, two.mount)
    node.reboot()
    node.wait_ready()
    for tenant in (one, two):
        until(
            "the wrong disk to be said",
            lambda tenant=tenant: wrong(lab, tenant.volume),  # type: ignore[misc]
            60,
            lambda tenant=tenant: lab.story(tenant.volume),  # type: ignore[misc]
        )
    never("a pod starts", lambda: lab.runs(one.namespace, "db-0") or lab.runs(two.namespace, "db-0"), 5)
    node.swap_mounts(one.mount, two.mount)
    node.reboot()
    node.wait_ready()
    for tenant, secret in ((one, "of-one"), (two, "of-two")):
        lab.reads(tenant.namespace, "db-0", "/data/plain", secret)


def wrong(lab: Lab, volume: str) -> bool:
    found = lab.volume(volume)
    return found is not None and found.status.disk is not None and found.status.disk.presence == "WrongDisk"


def test_a_blank_disk_in_the_place_of_a_bound_one_starts_no_pod_and_stays_blank(lab: Lab, node: Node) -> None:
    tenant = Tenant(lab, "blank", node)
    tenant.start()
    tenant.write("precious")
    other = node.add_disk(f"blank-other-{lab.tag}")
    fstab = node.fstab
    node.set_fstab(fstab | {tenant.mount: other.name})
    node.reboot()
    node.wait_ready()
    until(
        "the wrong disk to be said", lambda: wrong(lab, tenant.volume), 60, lambda: lab.story(tenant.volume)
    )
    never("the pod starts", lambda: lab.runs(tenant.namespace, "db-0"), 5)
    assert lab.entries(node, tenant.mount) == []
    node.set_fstab(fstab)
    node.reboot()
    node.wait_ready()
    lab.reads(tenant.namespace, "db-0", "/data/plain", "precious")
