"""A wipe that is cut, frozen, doubled, paused: no dirty disk on offer, no byte of restored data lost."""

from __future__ import annotations

import pytest

from tests.cluster import Node
from tests.e2e.lab import Lab, never, until
from tests.e2e.test_release import Tenant
from tidb_volume.value import Phase, Volume, WorkState

pytestmark = pytest.mark.cluster
MANY = "cd /data && mkdir -p d && for i in $(seq 1 {count}); do echo s3cret > d/$i; done; sync"


@pytest.fixture
def node(lab: Lab) -> Node:
    return lab.cluster.nodes[1]


def daemon_pod(lab: Lab, node: Node) -> str:
    return lab.cluster.kubectl(
        "-n",
        "tidb-volume",
        "get",
        "pods",
        "-l",
        "app.kubernetes.io/name=disk-daemon",
        f"--field-selector=spec.nodeName={node.name},status.phase=Running",
        "-o",
        "jsonpath={.items[*].metadata.name}",
    )


def working(lab: Lab, volume: str) -> Volume | None:
    """The volume while its wipe is under way with bytes gone."""
    found = lab.volume(volume)
    if found is None or found.status.work is None or found.spec.order is None:
        return None
    work = found.status.work
    under_way = work.order_id == found.spec.order.id and work.state is WorkState.RUNNING and work.begun
    return found if under_way else None


def test_the_daemon_killed_in_mid_wipe_goes_on_after_its_restart_and_offers_only_then(
    lab: Lab, node: Node
) -> None:
    tenant = Tenant(lab, "killed", node, wipeAfter="0s")
    tenant.start()
    lab.sh(tenant.namespace, "db-0", MANY.format(count=30000))
    old = lab.wait(tenant.volume, Phase.BOUND).status.tenancy
    tenant.stop()
    until("the wipe to run", lambda: working(lab, tenant.volume), 60, lambda: lab.story(tenant.volume))
    assert node.signal("disk-daemon", 9) > 0
    never("on offer in between", lambda: lab.pvs(tenant.volume) if folders(tenant, old) else None, 1)
    found = lab.wait(tenant.volume, Phase.AVAILABLE, tenancy_not=old, seconds=120)
    assert lab.entries(node, f"{tenant.mount}/.tidb-volume") == [found.status.tenancy]


def folders(tenant: Tenant, old: str) -> list[str]:
    """What is left of an old tenancy on the disk."""
    there = tenant.lab.entries(tenant.node, f"{tenant.mount}/.tidb-volume")
    return [each for each in there if each == old or each.startswith("trash-")]


def test_a_daemon_frozen_before_the_first_byte_and_woken_after_a_restore_loses_nothing(
    lab: Lab, node: Node
) -> None:
    tenant = Tenant(lab, "frozen", node, wipeAfter="15s")
    tenant.start()
    tenant.write("s3cret")
    pv = lab.pvs(tenant.volume)[0].metadata.name
    tenant.stop()
    lab.wait(tenant.volume, Phase.RELEASED, "Countdown")
    assert node.freeze("disk-daemon") > 0
    try:
        lab.set_policy(pv, "Retain")
        found = lab.wait(tenant.volume, Phase.RELEASED, "PolicyRetain")
    finally:
        node.thaw("disk-daemon")
    never("a wipe", lambda: (lab.volume(tenant.volume) or found).status.committed, 17)
    assert tenant.read() == "s3cret"


def test_data_that_is_asked_back_after_the_commit_waits_for_a_frozen_daemon_and_loses_no_byte(
    lab: Lab, node: Node
) -> None:
    """The order is out and its PersistentVolume gone; only the daemon can say that nothing has begun."""
    tenant = Tenant(lab, "asked-back", node, wipeAfter="0s")
    tenant.start()
    tenant.write("s3cret")
    lab.cluster.kubectl("-n", tenant.namespace, "delete", "statefulset", "db")
    lab.gone(tenant.namespace, "db-0")
    until("its use to be over", lambda: not in_use(lab, tenant.volume), 30, lambda: lab.story(tenant.volume))
    assert node.freeze("disk-daemon") > 0
    try:
        lab.cluster.kubectl("-n", tenant.namespace, "delete", "pvc", "data-db-0")
        committed = lab.wait(tenant.volume, Phase.WIPING)
        assert committed.status.committed
        lab.answer(tenant.volume, "restore")
        found = lab.wait(tenant.volume, Phase.WIPING, "TakingBack")
        never("given back unheard", lambda: lab.pvs(tenant.volume), 2)
        assert tenant.read() == "s3cret"
    finally:
        node.thaw("disk-daemon")
    until("it to be given back", lambda: lab.pvs(tenant.volume), 60, lambda: lab.story(tenant.volume))
    tenant.start()
    lab.reads(tenant.namespace, "db-0", "/data/plain", "s3cret")
    assert lab.wait(tenant.volume, Phase.BOUND).status.tenancy == found.status.tenancy


def in_use(lab: Lab, volume: str) -> bool:
    found = lab.volume(volume)
    return found is None or found.status.disk is None or bool(found.status.disk.in_use)


def test_a_daemon_doubled_by_force_in_mid_wipe_wipes_once_and_offers_only_then(lab: Lab, node: Node) -> None:
    """Its pod is deleted by force while it is frozen: the next one starts beside it."""
    tenant = Tenant(lab, "two-daemons", node, wipeAfter="0s")
    tenant.start()
    lab.sh(tenant.namespace, "db-0", MANY.format(count=30000))
    old = lab.wait(tenant.volume, Phase.BOUND).status.tenancy
    first = daemon_pod(lab, node)
    tenant.stop()
    until("the wipe to run", lambda: working(lab, tenant.volume), 60, lambda: lab.story(tenant.volume))
    assert node.freeze("disk-daemon") > 0
    try:
        lab.cluster.kubectl("-n", "tidb-volume", "delete", "pod", first, "--force", "--grace-period=0")
        until("the other daemon to run", lambda: daemon_pod(lab, node) not in ("", first), 60)
        never("on offer in between", lambda: lab.pvs(tenant.volume) if folders(tenant, old) else None, 2)
    finally:
        node.thaw("disk-daemon")
    found = lab.wait(tenant.volume, Phase.AVAILABLE, tenancy_not=old, seconds=120)
    assert lab.entries(node, f"{tenant.mount}/.tidb-volume") == [found.status.tenancy]
    assert [line.what for line in found.status.history].count("wiped") == 1


def test_a_pod_deleted_by_force_that_still_runs_keeps_its_disk_from_being_wiped(lab: Lab, node: Node) -> None:
    tenant = Tenant(lab, "doubled", node, wipeAfter="0s")
    tenant.start()
    tenant.write("s3cret")
    old = lab.wait(tenant.volume, Phase.BOUND).status.tenancy
    frozen = node.freeze("kubelet")
    assert frozen
    try:
        lab.cluster.kubectl("-n", tenant.namespace, "delete", "statefulset", "db", "--cascade=orphan")
        lab.cluster.kubectl("-n", tenant.namespace, "delete", "pod", "db-0", "--force", "--grace-period=0")
        lab.cluster.kubectl("-n", tenant.namespace, "delete", "pvc", "data-db-0", "--wait=false")
        found = lab.wait(tenant.volume, Phase.RELEASED, seconds=60)
        never("a wipe under a running container", lambda: gone(tenant, old), 4)
        assert tenant.read() == "s3cret"
        assert (lab.volume(tenant.volume) or found).status.reason in ("InUse", "NodeNotReady")
    finally:
        node.thaw("kubelet")
    lab.wait(tenant.volume, Phase.AVAILABLE, tenancy_not=old, seconds=90)


def gone(tenant: Tenant, old: str) -> bool:
    return old not in tenant.lab.entries(tenant.node, f"{tenant.mount}/.tidb-volume")


def test_a_pause_in_mid_wipe_stops_it_and_a_resume_ends_it_right(lab: Lab, node: Node) -> None:
    tenant = Tenant(lab, "paused", node, wipeAfter="0s")
    tenant.start()
    lab.sh(tenant.namespace, "db-0", MANY.format(count=60000))
    old = lab.wait(tenant.volume, Phase.BOUND).status.tenancy
    tenant.stop()
    until("the wipe to run", lambda: working(lab, tenant.volume), 60, lambda: lab.story(tenant.volume))
    lab.patch("tvf", "fleet", {"spec": {"paused": True}})
    try:
        until("the wipe to halt", lambda: halted(lab, tenant.volume), 5, lambda: lab.story(tenant.volume))
        left = count(tenant)
        assert left > 0, "it was over before the pause: write more files"
        never("a file unlinked under pause", lambda: count(tenant) != left, 3)
        assert not lab.pvs(tenant.volume)
    finally:
        lab.patch("tvf", "fleet", {"spec": {"paused": False}})
    found = lab.wait(tenant.volume, Phase.AVAILABLE, tenancy_not=old, seconds=120)
    assert lab.entries(node, f"{tenant.mount}/.tidb-volume") == [found.status.tenancy]


def halted(lab: Lab, volume: str) -> bool:
    found = lab.volume(volume)
    return found is not None and found.status.work is not None and found.status.work.reason == "Paused"


def count(tenant: Tenant) -> int:
    """Files in the trash."""
    listed = tenant.node.exec(["find", f"{tenant.mount}/.tidb-volume", "-path", "*/trash-*", "-type", "f"])
    return len(listed.split())
