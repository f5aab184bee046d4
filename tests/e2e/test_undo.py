"""What can be undone, and until when: hands that delete, names that are taken, deadlines that pass."""

from __future__ import annotations

import time

import pytest

from tests.cluster import Node
from tests.e2e.lab import Lab, never, until
from tests.e2e.test_offer import listing
from tests.e2e.test_release import Tenant
from tidb_volume.kube import kinds
from tidb_volume.units import parse_instant
from tidb_volume.value import Phase, Volume

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


BEFORE_THE_END_S = (1.5, 0.3, 0.1, 0.03, 0.0, -0.03, -0.1, -3.0)


def test_a_restore_in_the_second_in_which_the_countdown_ends_has_all_of_it_or_comes_too_late(
    lab: Lab, node: Node
) -> None:
    """Never a part of the data, never a wiped disk given to him, and never a wait without an end."""
    tenant = Tenant(lab, "second", node, wipeAfter="3s")
    ends = [race(tenant, f"s3cret-{early}", early) for early in BEFORE_THE_END_S]
    assert ends[0] == "given back"
    assert ends[-1] == "wiped"


def race(tenant: Tenant, secret: str, early: float) -> str:
    """Ask for the data so many seconds before its countdown ends; how that ended, with the disk on offer."""
    lab = tenant.lab
    tenant.start()
    tenant.write(secret)
    tenant.stop()
    found = lab.wait(tenant.volume, Phase.RELEASED, "Countdown")
    assert found.status.question is not None
    time.sleep(max(0.0, parse_instant(found.status.wipe_at) - early - time.time()))
    restore = {"spec": {"admin": {"restore": {"question": found.status.question.id}}}}
    lab.api.merge_patch(kinds.TIDB_VOLUME, tenant.volume, restore)
    ended = until("it to end", lambda: end(tenant, found), 60, lambda: lab.story(tenant.volume))
    if ended == "given back":
        tenant.start()
        lab.reads(tenant.namespace, "db-0", "/data/plain", secret)
        everything = lab.sh(tenant.namespace, "db-0", "ls -A /data").split()
        assert sorted(everything) == [".dot", ".hidden", "plain"]
        tenant.stop()
        until("its wipe", lambda: wiped(lab, tenant.volume, found), 60, lambda: lab.story(tenant.volume))
    return ended


def wiped(lab: Lab, volume: str, old: Volume) -> bool:
    """Whether it is on offer again; what was made again after the commit is Retain, and waits for a word."""
    now = lab.volume(volume)
    assert now is not None
    if now.status.phase is Phase.RELEASED and now.status.reason == "PolicyRetain":
        lab.answer(volume, "wipeNow")
    return now.status.phase is Phase.AVAILABLE and now.status.tenancy != old.status.tenancy


def end(tenant: Tenant, old: Volume) -> str:
    """How a restore has ended: given back whole, or too late and wiped; empty: it has not."""
    lab, now = tenant.lab, tenant.lab.volume(tenant.volume)
    assert now is not None
    if now.status.phase is Phase.AVAILABLE and now.status.tenancy != old.status.tenancy:
        assert lab.entries(tenant.node, f"{tenant.mount}/.tidb-volume") == [now.status.tenancy]
        return "wiped"
    settled = now.status.reason in ("RestoreAsked", "Reserved") and not now.status.committed
    pvs = [pv for pv in lab.pvs(tenant.volume) if pv.status.phase == "Available"]
    if settled and pvs:
        assert pvs[0].metadata.name.endswith(old.status.tenancy)
        return "given back"
    return ""
