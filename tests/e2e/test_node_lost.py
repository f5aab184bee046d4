"""A node that does not come back, or late: whose word lets its claims go, and what becomes of its disks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster import Node
from tests.e2e.lab import Lab, never, until
from tests.e2e.test_offer import listing
from tests.e2e.test_release import Tenant
from tidb_volume.kube import kinds
from tidb_volume.life.daemon import OUT_OF_SERVICE
from tidb_volume.value import Phase

pytestmark = pytest.mark.cluster
GONE_S = 180
"""Kubernetes takes the pods of a node that is gone away after a while of its own (podgc: a minute)."""


@pytest.fixture
def node(lab: Lab) -> Iterator[Node]:
    """One that is there again afterwards, whatever became of it."""
    found = lab.cluster.nodes[1]
    yield found
    if not found.running:
        found.start()
    found.wait_ready()
    lab.cluster.kubectl("patch", "node", found.name, "-p", '{"spec":{"taints":null}}')


def elsewhere(lab: Lab, tenant: Tenant, **settings: str) -> str:
    """A disk of another node in the tenant's pool, whose settings change; returns its volume."""
    other = lab.cluster.nodes[2]
    mount = f"{lab.data}/{tenant.word}-other"
    _, volume = lab.path_disk(other, mount)
    disks = {tenant.node: [tenant.mount], other: [mount]}
    lab.inventory(tenant.word, listing(tenant.word, disks, wipeAfter="0s", **settings))
    lab.wait(volume, Phase.AVAILABLE)
    return volume


@pytest.mark.timeout(600)
def test_a_claim_of_a_deleted_node_waits_for_a_person_unless_its_pool_lets_it_go(
    lab: Lab, node: Node
) -> None:
    tenant = Tenant(lab, "lost", node, wipeAfter="0s")
    tenant.start()
    tenant.write("left-behind")
    before = lab.wait(tenant.volume, Phase.BOUND)
    other = elsewhere(lab, tenant)
    claim = lab.api.get(kinds.CLAIM, "data-db-0", tenant.namespace)

    node.power_off()
    lab.cluster.kubectl("delete", "node", node.name)
    until(
        "it to be said",
        lambda: "Bound (node lost)" in lab.cluster.kubectl("get", "tv", tenant.volume),
        60,
        lambda: lab.story(tenant.volume),
    )
    told = lab.say("explain", tenant.volume, exits=(0, 5)).stdout
    assert f"kubectl -n {tenant.namespace} delete pvc data-db-0" in told
    never("the claim going", lambda: changed(lab, tenant, claim.metadata.uid), 5)

    settings = listing(
        tenant.word,
        {node: [tenant.mount], lab.cluster.nodes[2]: [f"{lab.data}/{tenant.word}-other"]},
        wipeAfter="0s",
        nodeLoss="{release, after: 5s}",
    )
    lab.inventory(tenant.word, settings)
    let_go(lab, tenant, claim.metadata.uid)
    started(lab, tenant, other)
    lab.wait(tenant.volume, Phase.RELEASED, "NodeLost", seconds=60)
    assert "ClaimDeleted" in lab.cluster.kubectl("-n", tenant.namespace, "get", "events")

    node.start()
    node.wait_ready()
    clean = lab.wait(tenant.volume, Phase.AVAILABLE, tenancy_not=before.status.tenancy, seconds=120)
    assert "wiped" in [line.what for line in clean.status.history]
    assert lab.entries(node, f"{tenant.mount}/.tidb-volume/{clean.status.tenancy}") == []


@pytest.mark.timeout(600)
def test_a_node_out_of_service_is_lost_and_one_that_only_does_not_answer_is_not(lab: Lab, node: Node) -> None:
    tenant = Tenant(lab, "out", node, wipeAfter="0s", nodeLoss="{release, after: 2s}")
    tenant.start()
    tenant.write("left-behind")
    before = lab.wait(tenant.volume, Phase.BOUND)
    other = elsewhere(lab, tenant, nodeLoss="{release, after: 2s}")
    claim = lab.api.get(kinds.CLAIM, "data-db-0", tenant.namespace)

    node.power_off()
    until(
        "offline to be said",
        lambda: "Bound (offline)" in lab.cluster.kubectl("get", "tv", tenant.volume),
        90,
        lambda: lab.story(tenant.volume),
    )
    never("the claim going", lambda: changed(lab, tenant, claim.metadata.uid), 5)
    lab.cluster.kubectl("taint", "node", node.name, f"{OUT_OF_SERVICE}=nodeshutdown:NoExecute")
    let_go(lab, tenant, claim.metadata.uid)
    started(lab, tenant, other)

    node.start()
    node.wait_ready()
    never("a wipe", lambda: committed(lab, tenant), 3)
    lab.cluster.kubectl("taint", "node", node.name, f"{OUT_OF_SERVICE}-")
    lab.wait(tenant.volume, Phase.AVAILABLE, tenancy_not=before.status.tenancy, seconds=120)


def started(lab: Lab, tenant: Tenant, volume: str) -> None:
    """The pod runs on that volume, with nothing on it."""
    lab.wait(volume, Phase.BOUND, seconds=GONE_S)
    lab.running(tenant.namespace, "db-0", GONE_S)
    assert lab.sh(tenant.namespace, "db-0", "find /data -mindepth 1").strip() == ""


def let_go(lab: Lab, tenant: Tenant, uid: str) -> None:
    until("another claim", lambda: changed(lab, tenant, uid), GONE_S, lambda: lab.story(tenant.volume))


def changed(lab: Lab, tenant: Tenant, uid: str) -> bool:
    claim = lab.api.find(kinds.CLAIM, "data-db-0", tenant.namespace)
    return claim is None or claim.metadata.uid != uid or claim.metadata.deletion_timestamp is not None


def committed(lab: Lab, tenant: Tenant) -> bool:
    found = lab.volume(tenant.volume)
    return found is None or bool(found.status.committed)
