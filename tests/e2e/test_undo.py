"""What can be undone: hands that delete, names that are taken, StatefulSets at work."""

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
    return lab.cluster.nodes[1]


def claim_is_deleted(tenant: Tenant) -> None:
    """While its StatefulSet is at work, which makes claim and pod anew at once, under the same names."""
    kubectl, namespace = tenant.lab.cluster.kubectl, tenant.namespace
    kubectl("-n", namespace, "delete", "pvc", "data-db-0", "--wait=false")
    kubectl("-n", namespace, "delete", "pod", "db-0", "--wait=false")


def claims_volume(tenant: Tenant) -> str:
    """What the claim of that name is bound to; empty: nothing yet, or it is on its way out."""
    words = ("get", "pvc", "data-db-0", "--ignore-not-found", "-o")
    path = "jsonpath={.metadata.deletionTimestamp}/{.spec.volumeName}"
    gone, _, bound = tenant.lab.cluster.kubectl("-n", tenant.namespace, *words, path).partition("/")
    return "" if gone else bound


def test_a_volume_that_a_hand_deleted_is_given_back_once_the_daemon_has_said_that_it_is_there(
    lab: Lab, node: Node
) -> None:
    tenant = Tenant(lab, "deleted", node, wipeAfter="1h")
    tenant.start()
    tenant.write("s3cret")
    old = lab.wait(tenant.volume, Phase.BOUND).status.tenancy
    tenant.stop()
    lab.wait(tenant.volume, Phase.RELEASED, "Countdown")
    lab.cluster.kubectl("delete", "pv", lab.pvs(tenant.volume)[0].metadata.name)
    lab.wait(tenant.volume, Phase.RELEASED, "GoneByHand")
    assert node.freeze("disk-daemon") > 0
    try:
        lab.answer(tenant.volume, "restore")
        lab.wait(tenant.volume, Phase.RELEASED, "RestoreAsked")
        never("given back unheard", lambda: lab.pvs(tenant.volume), 3)
    finally:
        node.thaw("disk-daemon")
    until("it to be given back", lambda: lab.pvs(tenant.volume), 60, lambda: lab.story(tenant.volume))
    tenant.start()
    lab.reads(tenant.namespace, "db-0", "/data/plain", "s3cret")
    assert lab.wait(tenant.volume, Phase.BOUND).status.tenancy == old


def test_a_restore_reaches_the_claim_that_a_statefulset_at_work_has_made_meanwhile(
    lab: Lab, node: Node
) -> None:
    """No other disk is free, so that its pod waits: with the answer it runs, on its data."""
    tenant = Tenant(lab, "at-work", node, on_release="keep")
    tenant.start()
    tenant.write("s3cret")
    claim_is_deleted(tenant)
    lab.wait(tenant.volume, Phase.RELEASED, "PolicyRetain", seconds=60)
    never("the pod runs on nothing", lambda: lab.runs(tenant.namespace, "db-0"), 2)
    lab.answer(tenant.volume, "restore")
    lab.reads(tenant.namespace, "db-0", "/data/plain", "s3cret")
    lab.wait(tenant.volume, Phase.BOUND)


def test_a_restore_whose_claims_name_is_taken_says_how_to_free_it_and_that_works(
    lab: Lab, node: Node
) -> None:
    """A second disk is free, and the StatefulSet has already begun anew on it."""
    tenant = Tenant(lab, "taken", node, on_release="keep")
    tenant.start()
    tenant.write("s3cret")
    spare = f"{lab.data}/taken-spare"
    _, other = lab.path_disk(node, spare)
    both = {node: [tenant.mount, spare]}
    lab.inventory(tenant.word, listing(tenant.word, both, on_release="keep"))
    lab.wait(other, Phase.AVAILABLE)
    claim_is_deleted(tenant)
    lab.wait(other, Phase.BOUND, seconds=60)
    lab.running(tenant.namespace, "db-0")
    lab.wait(tenant.volume, Phase.RELEASED, "PolicyRetain")
    lab.answer(tenant.volume, "restore")
    said = until(
        "the refusal to be said", lambda: not_taken(lab, tenant.volume), 30, lambda: lab.story(tenant.volume)
    )
    assert claims_volume(tenant) in said
    assert "scale its user to 0, delete that claim, then answer again" in said
    assert said in lab.cluster.kubectl("describe", "tv", tenant.volume)

    lab.scale(tenant.namespace, "db", 0)
    lab.gone(tenant.namespace, "db-0")
    lab.cluster.kubectl("-n", tenant.namespace, "delete", "pvc", "data-db-0")
    lab.answer(tenant.volume, "restore")
    until("the refusal to end", lambda: not not_taken(lab, tenant.volume), 30)
    lab.scale(tenant.namespace, "db", 1)
    lab.reads(tenant.namespace, "db-0", "/data/plain", "s3cret")
    lab.wait(other, Phase.RELEASED, "PolicyRetain")


def not_taken(lab: Lab, volume: str) -> str:
    """Why the answer is not taken, as the condition has it."""
    found = lab.volume(volume)
    assert found is not None
    return next((each.message for each in found.status.conditions if each.type == "AnswerNotTaken"), "")
