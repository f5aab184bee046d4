"""From the claim's end to a clean disk on offer: when it is wiped, when not, and that it is really clean."""

from __future__ import annotations

import pytest

from tests.cluster import Disk, Node
from tests.e2e.lab import Lab, never, until
from tests.e2e.test_offer import is_bound, listing
from tidb_volume.value import Phase

pytestmark = pytest.mark.cluster


class Tenant:
    """One disk, one StatefulSet on it with data."""

    def __init__(self, lab: Lab, word: str, node: Node, **settings: str) -> None:
        self.lab = lab
        self.node = node
        self.word = word = f"{word}-{lab.tag}"
        self.mount = f"{lab.data}/{word}"
        self.disk: Disk
        self.disk, self.volume = lab.path_disk(node, self.mount)
        self.settings = settings
        self.edit(**settings)
        lab.wait(self.volume, Phase.AVAILABLE)
        self.namespace = lab.namespace(word)

    def edit(self, **settings: str) -> None:
        self.lab.inventory(self.word, listing(self.word, {self.node: [self.mount]}, **settings))

    def start(self) -> None:
        self.lab.stateful_set(self.namespace, "db", self.word)
        self.lab.running(self.namespace, "db-0")

    def write(self, secret: str) -> None:
        files = "/data/plain /data/.dot /data/.hidden/deep/x"
        script = f"mkdir -p /data/.hidden/deep && echo {secret} | tee {files}; sync"
        self.lab.sh(self.namespace, "db-0", script)

    def stop(self) -> None:
        """Delete the pods, then the claim."""
        self.lab.cluster.kubectl("-n", self.namespace, "delete", "statefulset", "db")
        self.lab.gone(self.namespace, "db-0")
        self.lab.cluster.kubectl("-n", self.namespace, "delete", "pvc", "data-db-0")

    def read(self, name: str = "plain") -> str:
        """A file of the recorded tenancy, read on the node."""
        found = self.lab.volume(self.volume)
        assert found is not None
        folder = f"{self.mount}/.tidb-volume/{found.status.tenancy}"
        return self.node.exec(["cat", f"{folder}/{name}"]).strip()


@pytest.fixture
def node(lab: Lab) -> Node:
    return lab.cluster.nodes[0]


def test_a_deleted_claims_disk_is_wiped_only_after_the_pod_and_its_mount_are_gone(
    lab: Lab, node: Node
) -> None:
    tenant = Tenant(lab, "after", node, wipeAfter="0s")
    tenant.start()
    tenant.write("s3cret")
    lab.patch("pv", lab.pvs(tenant.volume)[0].metadata.name, {"metadata": {"labels": {"left": "behind"}}})
    before = lab.wait(tenant.volume, Phase.BOUND)
    old = lab.pvs(tenant.volume)[0]
    owner = before.status.owner
    assert owner is not None
    assert str(owner.claim) == f"{tenant.namespace}/data-db-0"
    until("the owner pod to be named", lambda: "db-0" in lab.cluster.kubectl("get", "tv", tenant.volume))
    lab.cluster.kubectl("-n", tenant.namespace, "delete", "pvc", "data-db-0", "--wait=false")
    never("gone while a pod uses it", lambda: not is_bound(lab, tenant.volume), 2)
    assert lab.sh(tenant.namespace, "db-0", "cat /data/plain").strip() == "s3cret"
    lab.cluster.kubectl("-n", tenant.namespace, "delete", "statefulset", "db")
    found = lab.wait(tenant.volume, Phase.AVAILABLE, tenancy_not=before.status.tenancy)
    (pv,) = lab.pvs(tenant.volume)
    assert pv.metadata.name != old.metadata.name
    assert pv.metadata.uid != old.metadata.uid
    assert "left" not in pv.metadata.labels
    assert lab.entries(node, f"{tenant.mount}/.tidb-volume") == [found.status.tenancy]
    assert node.exec(["find", f"{tenant.mount}/.tidb-volume", "-mindepth", "2"]) == ""
    tenant.start()
    assert lab.sh(tenant.namespace, "db-0", "ls -A /data").strip() == ""
    history = [(line.what, line.who) for line in found.status.history]
    assert ("wiped", f"{tenant.namespace}/data-db-0") in history


def test_retain_waits_and_a_patch_to_delete_begins_and_one_back_cancels(lab: Lab, node: Node) -> None:
    tenant = Tenant(lab, "retain", node, wipeAfter="5s")
    tenant.start()
    tenant.write("kept")
    pv = lab.pvs(tenant.volume)[0].metadata.name
    lab.set_policy(pv, "Retain")
    tenant.stop()
    found = lab.wait(tenant.volume, Phase.RELEASED, "PolicyRetain")
    never("a countdown", lambda: (lab.volume(tenant.volume) or found).status.wipe_at, 2)
    assert found.status.question is not None
    lab.set_policy(pv, "Delete")
    found = lab.wait(tenant.volume, Phase.RELEASED, "Countdown", seconds=3)
    assert found.status.wipe_at
    lab.set_policy(pv, "Retain")
    found = lab.wait(tenant.volume, Phase.RELEASED, "PolicyRetain", seconds=3)
    never("a wipe", lambda: (lab.volume(tenant.volume) or found).status.committed, 7)
    assert tenant.read() == "kept"
    lab.set_policy(pv, "Delete")
    lab.wait(tenant.volume, Phase.AVAILABLE, tenancy_not=found.status.tenancy)


def test_hold_keep_and_wipe_after(lab: Lab, node: Node) -> None:
    tenant = Tenant(lab, "hold", node, wipeAfter="3s")
    tenant.start()
    tenant.write("held")
    lab.patch("tv", tenant.volume, {"spec": {"admin": {"hold": True}}})
    tenant.stop()
    found = lab.wait(tenant.volume, Phase.RELEASED, "Held")
    never("a wipe", lambda: (lab.volume(tenant.volume) or found).status.committed, 5)
    assert tenant.read() == "held"
    lab.patch("tv", tenant.volume, {"spec": {"admin": {"hold": False}}})
    found = lab.wait(tenant.volume, Phase.RELEASED, "Countdown")
    assert tenant.read() == "held"
    lab.wait(tenant.volume, Phase.AVAILABLE, tenancy_not=found.status.tenancy)


def test_in_manual_mode_a_wipe_waits_for_an_approval(lab: Lab, node: Node) -> None:
    tenant = Tenant(lab, "manual", node, wipeAfter="0s", mode="manual")
    tenant.start()
    tenant.write("waits")
    tenant.stop()
    found = lab.wait(tenant.volume, Phase.RELEASED, "AwaitsApproval")
    never("a wipe", lambda: (lab.volume(tenant.volume) or found).status.committed, 3)
    assert tenant.read() == "waits"
    assert f"approve {tenant.volume}" in lab.story(tenant.volume)
    lab.say("approve", tenant.volume, "--yes")
    lab.wait(tenant.volume, Phase.AVAILABLE, tenancy_not=found.status.tenancy)


def test_a_pool_that_keeps_waits_until_a_person_says_wipe_now(lab: Lab, node: Node) -> None:
    tenant = Tenant(lab, "keep", node, on_release="keep")
    tenant.start()
    tenant.write("kept")
    tenant.stop()
    found = lab.wait(tenant.volume, Phase.RELEASED)
    never("a wipe", lambda: (lab.volume(tenant.volume) or found).status.committed, 3)
    lab.answer(tenant.volume, "wipeNow")
    lab.wait(tenant.volume, Phase.AVAILABLE, tenancy_not=found.status.tenancy)


def test_the_same_claim_name_in_two_namespaces_has_two_disks_and_two_owners(lab: Lab) -> None:
    nodes = lab.cluster.nodes[:2]
    volumes = [lab.path_disk(node, f"{lab.data}/twins")[1] for node in nodes]
    lab.inventory("twins", listing(f"twins-{lab.tag}", {each: [f"{lab.data}/twins"] for each in nodes}))
    for volume in volumes:
        lab.wait(volume, Phase.AVAILABLE)
    namespaces = [lab.namespace("twin"), lab.namespace("twin")]
    for namespace in namespaces:
        lab.stateful_set(namespace, "db", f"twins-{lab.tag}")
    for namespace in namespaces:
        lab.running(namespace, "db-0")
        lab.sh(namespace, "db-0", f"echo {namespace} > /data/who; sync")
    owners = set()
    for volume in volumes:
        found = lab.wait(volume, Phase.BOUND)
        assert found.status.owner is not None
        owners.add(str(found.status.owner.claim))
    assert owners == {f"{namespace}/data-db-0" for namespace in namespaces}
    for namespace in namespaces:
        assert lab.sh(namespace, "db-0", "cat /data/who").strip() == namespace


def test_two_pods_race_for_the_last_disk_and_one_waits(lab: Lab, node: Node) -> None:
    tenant = Tenant(lab, "race", node, wipeAfter="0s")
    lab.stateful_set(tenant.namespace, "db", tenant.word, replicas=2)
    lab.wait(tenant.volume, Phase.BOUND)

    def phases() -> list[str]:
        pods = [lab.pod(tenant.namespace, f"db-{number}") for number in (0, 1)]
        return sorted(pod.status.phase for pod in pods if pod is not None)

    until("one to run and one to wait", lambda: phases() == ["Pending", "Running"], 60, phases)
    never("two owners", lambda: phases() != ["Pending", "Running"] or len(lab.pvs(tenant.volume)) != 1, 3)
