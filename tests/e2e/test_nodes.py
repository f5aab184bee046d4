"""Nodes and programs that go away and come back: pods keep their disks, and nothing is wiped meanwhile."""

from __future__ import annotations

import time

import pytest

from tests.cluster import Node
from tests.e2e.lab import Lab, never, until
from tests.e2e.test_release import Tenant
from tidb_volume import names
from tidb_volume.kube import kinds
from tidb_volume.value import Phase

pytestmark = pytest.mark.cluster


@pytest.fixture
def node(lab: Lab) -> Node:
    return lab.cluster.nodes[2]


def test_a_pod_comes_back_on_its_disk_with_its_data_also_with_our_programs_away(lab: Lab, node: Node) -> None:
    tenant = Tenant(lab, "back", node)
    tenant.start()
    tenant.write("precious")
    before = lab.wait(tenant.volume, Phase.BOUND)
    lab.cluster.kubectl("-n", tenant.namespace, "delete", "pod", "db-0")
    lab.running(tenant.namespace, "db-0")
    assert lab.sh(tenant.namespace, "db-0", "cat /data/plain").strip() == "precious"
    lab.cluster.kubectl("-n", "tidb-volume", "scale", "deployment", "volume-controller", "--replicas=0")
    nowhere = '{"spec":{"template":{"spec":{"nodeSelector":{"nowhere":"true"}}}}}'
    lab.cluster.kubectl("-n", "tidb-volume", "patch", "daemonset", "disk-daemon", f"--patch={nowhere}")
    try:
        until("our programs to be gone", lambda: not lab.api.list(kinds.POD, "tidb-volume")[0], 90)
        assert lab.runs(tenant.namespace, "db-0")
        lab.cluster.kubectl("-n", tenant.namespace, "delete", "pod", "db-0")
        lab.running(tenant.namespace, "db-0")
        assert lab.sh(tenant.namespace, "db-0", "cat /data/plain").strip() == "precious"
    finally:
        back = '{"spec":{"template":{"spec":{"nodeSelector":null}}}}'
        lab.cluster.kubectl("-n", "tidb-volume", "patch", "daemonset", "disk-daemon", f"--patch={back}")
        lab.cluster.kubectl("-n", "tidb-volume", "scale", "deployment", "volume-controller", "--replicas=2")
        for what in ("deployment/volume-controller", "daemonset/disk-daemon"):
            lab.cluster.kubectl("-n", "tidb-volume", "rollout", "status", what, "--timeout=120s")
    after = lab.wait(tenant.volume, Phase.BOUND)
    assert after.status.tenancy == before.status.tenancy


def test_after_a_reboot_the_pod_is_back_on_its_disk_with_its_data(lab: Lab, node: Node) -> None:
    tenant = Tenant(lab, "reboot", node)
    tenant.start()
    tenant.write("precious")
    before = lab.wait(tenant.volume, Phase.BOUND)
    node.reboot()
    node.wait_ready()
    lab.reads(tenant.namespace, "db-0", "/data/plain", "precious")
    assert lab.wait(tenant.volume, Phase.BOUND).status.tenancy == before.status.tenancy


def test_a_node_powered_off_is_said_and_is_as_before_when_it_is_back(lab: Lab, node: Node) -> None:
    bound, free = Tenant(lab, "off1", node), Tenant(lab, "off2", node, wipeAfter="0s")
    bound.start()
    bound.write("precious")
    before = lab.wait(free.volume, Phase.AVAILABLE)
    node.power_off()
    try:
        until(
            "offline to be said",
            lambda: "Bound (offline)" in lab.cluster.kubectl("get", "tv", bound.volume),
            90,
            lambda: lab.story(bound.volume),
        )
        never("a PV went", lambda: not lab.pvs(bound.volume), 3)
    finally:
        node.start()
    node.wait_ready()
    lab.reads(bound.namespace, "db-0", "/data/plain", "precious")
    until("all to be well", lambda: lab.wait(bound.volume, Phase.BOUND).status.state == "Bound", 60)
    assert lab.wait(free.volume, Phase.AVAILABLE).status.tenancy == before.status.tenancy


def test_a_daemon_that_is_away_is_said_and_a_disk_released_meanwhile_waits_for_it(
    lab: Lab, node: Node
) -> None:
    waits, free = Tenant(lab, "away1", node, wipeAfter="0s"), Tenant(lab, "away2", node, wipeAfter="0s")
    waits.start()
    waits.write("s3cret")
    old = lab.wait(waits.volume, Phase.BOUND).status.tenancy
    before = lab.wait(free.volume, Phase.AVAILABLE)
    lab.keep_daemon(node, away=True)
    try:
        waits.stop()
        lab.wait(waits.volume, Phase.RELEASED, "DaemonNotReady")
        until(
            "it to be said of a disk that waits for nothing",
            lambda: "Available (daemon away)" in lab.cluster.kubectl("get", "tv", free.volume),
            60,
            lambda: lab.story(free.volume),
        )
        never("an order", lambda: ordered(lab, waits.volume), 3)
        assert waits.read() == "s3cret"
    finally:
        lab.keep_daemon(node, away=False)
    lab.wait(waits.volume, Phase.AVAILABLE, tenancy_not=old, seconds=90)
    until("all to be well", lambda: lab.wait(free.volume, Phase.AVAILABLE).status.state == "Available", 60)
    assert lab.wait(free.volume, Phase.AVAILABLE).status.tenancy == before.status.tenancy


def ordered(lab: Lab, volume: str) -> bool:
    found = lab.volume(volume)
    return found is None or (found.spec.order is not None and found.spec.order.kind == "reclaim")


def test_the_leader_killed_in_mid_work_is_followed_by_the_other(lab: Lab, node: Node) -> None:
    tenant = Tenant(lab, "leader", node, wipeAfter="0s")
    tenant.start()
    tenant.write("s3cret")
    old = lab.wait(tenant.volume, Phase.BOUND).status.tenancy
    where, old_leader = leader(lab)
    lab.cluster.kubectl("-n", tenant.namespace, "delete", "statefulset", "db")
    lab.gone(tenant.namespace, "db-0")
    assert where.signal("volume-controller", 9) > 0
    killed = time.monotonic()
    lab.cluster.kubectl("-n", tenant.namespace, "delete", "pvc", "data-db-0")
    assert leader(lab, seconds=15)[1] != old_leader
    print(f"failover_s={time.monotonic() - killed:.1f}")
    lab.wait(tenant.volume, Phase.AVAILABLE, tenancy_not=old, seconds=60)


def leader(lab: Lab, seconds: float = 30) -> tuple[Node, str]:
    """The node on which the leader runs, and its identity, one a process."""

    first = lab.api.get(kinds.LEASE, names.LEASE, "tidb-volume")

    def look() -> tuple[Node, str] | None:
        lease = lab.api.get(kinds.LEASE, names.LEASE, "tidb-volume")
        if lease.spec.renew_time == first.spec.renew_time:
            return None  # a holder that is gone does not renew
        pod = lab.pod("tidb-volume", lease.spec.holder_identity.rpartition("_")[0])
        return (lab.cluster.node(pod.spec.node_name), lease.spec.holder_identity) if pod is not None else None

    return until("somebody to lead", look, seconds)
