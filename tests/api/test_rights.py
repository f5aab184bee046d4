"""Who may write what, tried with the real tokens of daemons on two nodes, and as people of each role."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from tests.api.deployed import (
    ANOTHER,
    CONTROLLER,
    DRY,
    FREE,
    MACHINE,
    PV,
    Kubectl,
    RefusedError,
    deployed,
)
from tidb_volume import names, value
from tidb_volume.kube import kinds, transport
from tidb_volume.kube.client import Client
from tidb_volume.life import offer
from tidb_volume.value import Ref

pytestmark = pytest.mark.api
VOLUME = "node-1-data-a"
STATUS = "--subresource=status"
ORDER = {"id": "order-1", "kind": "reclaim", "method": "files"}


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    with deployed() as made:
        for node in ("node-1", "node-2"):
            made("apply", "-f", "-", stdin=MACHINE.replace("NODE", node))
        for role in ("look", "operate", "destroy"):
            user, its = f"--user={role}", f"--clusterrole=tidb-volume-{role}"
            made("create", "clusterrolebinding", role, its, user)
        yield made


@pytest.fixture(scope="module")
def daemon(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """kubectl with the token that node-1's daemon has in its pod."""
    bound = "--bound-object-kind=Pod --bound-object-name=daemon-node-1"
    token = kubectl(*f"create token disk-daemon -n tidb-volume {bound}".split())
    return kubectl.with_token(token, tmp_path_factory.mktemp("daemon"))


@pytest.fixture(scope="module")
def controller(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """kubectl with the controller's token."""
    token = kubectl(*["create", "token", "volume-controller", "-n", "tidb-volume"])
    return kubectl.with_token(token, tmp_path_factory.mktemp("controller"))


def merge(kubectl: Kubectl, what: str, document: dict[str, Any], *words: str) -> str:
    return kubectl.merge(what, msgspec.json.encode(document).decode(), *words)


def say(
    who: Kubectl, status: dict[str, Any], name: str = VOLUME, kind: kinds.Kind[Any] = kinds.TIDB_VOLUME
) -> None:
    """Patch a status as our programs do: kubectl would read it first, for which neither has a right."""
    try:
        with closing(who.transport()) as over:
            Client(over, manager="test").merge_patch(kind, name, {"status": status}, subresource="status")
    except transport.ApiError as error:
        raise RefusedError(str(error)) from None


# --- a daemon -----------------------------------------------------------------------------------------------

SEEN = {"disk": {"presence": "OK"}, "work": {"orderId": "o", "state": "done"}}


def test_a_daemon_says_what_it_sees_of_its_own_node(kubectl: Kubectl, daemon: Kubectl) -> None:
    say(daemon, SEEN)
    say(daemon, {"disk": {"presence": "NotPresent"}, "work": None})
    node = '{"apiVersion":"tidbvolume.io/v1alpha1","kind":"TidbVolumeNode","metadata":{"name":"node-1"}}'
    daemon("create", "-f", "-", stdin=node)
    say(daemon, {"boot": "b"}, "node-1", kinds.TIDB_VOLUME_NODE)


def test_a_daemon_says_nothing_of_another_s(kubectl: Kubectl, daemon: Kubectl) -> None:
    with pytest.raises(RefusedError, match="daemon of node node-1 writes nothing about node node-2"):
        say(daemon, SEEN, "node-2-nvme-b")
    node = '{"apiVersion":"tidbvolume.io/v1alpha1","kind":"TidbVolumeNode","metadata":{"name":"node-2"}}'
    with pytest.raises(RefusedError, match="writes nothing about node node-2"):
        daemon("create", "-f", "-", stdin=node)
    kubectl("create", "-f", "-", stdin=node)
    with pytest.raises(RefusedError, match="writes nothing about node node-2"):
        say(daemon, {"boot": "b"}, "node-2", kinds.TIDB_VOLUME_NODE)


def test_the_record_of_disks_that_left_a_node_is_the_controller_s(
    kubectl: Kubectl, daemon: Kubectl, controller: Kubectl
) -> None:
    made = {"apiVersion": "tidbvolume.io/v1alpha1", "kind": "TidbVolumeNode", "metadata": {"name": "node-1"}}
    kubectl("delete", "tvn", "node-1", "--ignore-not-found")
    kubectl("create", "-f", "-", f"--as={CONTROLLER}", stdin=msgspec.json.encode(made).decode())
    with pytest.raises(RefusedError, match="record of disks that left its node"):
        say(daemon, {"closed": ["made up"]}, "node-1", kinds.TIDB_VOLUME_NODE)
    say(controller, {"closed": ["a line"]}, "node-1", kinds.TIDB_VOLUME_NODE)
    for changed in (None, [], ["another"]):
        with pytest.raises(RefusedError, match="record of disks that left its node"):
            say(daemon, {"closed": changed}, "node-1", kinds.TIDB_VOLUME_NODE)
    say(daemon, {"boot": "later"}, "node-1", kinds.TIDB_VOLUME_NODE)
    with pytest.raises(RefusedError, match="forbidden"):
        merge(kubectl, "tvn node-1", {"status": {"closed": None}}, STATUS, "--as=destroy")
    assert kubectl("get", "tvn", "node-1", "-o", "jsonpath={.status.closed[*]}") == "a line"
    kubectl("delete", "tvn", "node-1")


FIELDS = [field.encode_name for field in msgspec.structs.fields(value.VolumeStatus)]
SAMPLE: dict[str, Any] = {
    "phase": "Available",
    "dirty": True,
    "owner": {"claim": {"namespace": "a", "name": "b", "uid": "u"}},
    "reserved": {"namespace": "a", "name": "b"},
    "identity": {"serial": "other"},
    "question": {"id": "q", "kind": "adopt", "about": "a", "text": "t"},
    "retry": {"order": "o", "at": "2026-01-01T00:00:00Z"},
    "heard": {"hold": True},
    "history": [{"at": "2026-01-01T00:00:00Z", "what": "Wiped"}],
    "conditions": [{"type": "A", "status": "True", "reason": "B"}],
}


@pytest.mark.parametrize("field", [field for field in FIELDS if field not in ("disk", "work")])
def test_a_daemon_changes_nothing_of_what_the_controller_decides(
    kubectl: Kubectl, daemon: Kubectl, field: str
) -> None:
    for changed in ({field: SAMPLE.get(field, "x")}, {field: SAMPLE.get(field, "x"), **SEEN}):
        with pytest.raises(RefusedError, match=r"writes status.disk and status.work, and nothing else"):
            say(daemon, changed)


def test_a_daemon_takes_nothing_away_that_is_there(daemon: Kubectl, controller: Kubectl) -> None:
    say(controller, {"state": "Bound", "dirty": True})
    for field in ("state", "dirty"):
        with pytest.raises(RefusedError, match="and nothing else"):
            say(daemon, {field: None})
    say(daemon, SEEN)
    say(controller, {"state": None, "dirty": None})


def test_a_token_that_is_bound_to_no_node_writes_nothing(kubectl: Kubectl, tmp_path: Path) -> None:
    loose = kubectl.with_token(kubectl(*["create", "token", "disk-daemon", "-n", "tidb-volume"]), tmp_path)
    with pytest.raises(RefusedError, match="bound to no node"):
        say(loose, SEEN)


@pytest.mark.parametrize(
    "attempt",
    [
        "get secrets -n tidb-volume",
        "get configmaps -n tidb-volume",
        "get pods -A",
        "get nodes",
        "delete pv probe",
        "label pv probe stolen=yes",
        "delete tv node-1-data-a",
        "label tv node-1-data-a stolen=yes",
        "delete tidbvolumenode node-1",
        "patch tvf fleet --type=merge -p {}",
        "patch tvf fleet --type=merge --subresource=status -p {}",
    ],
)
def test_a_daemon_s_token_opens_nothing_else(kubectl: Kubectl, daemon: Kubectl, attempt: str) -> None:
    with pytest.raises(RefusedError, match=r"(?i)forbidden"):
        daemon(*attempt.split())


def test_what_a_daemon_reads(kubectl: Kubectl, daemon: Kubectl) -> None:
    for each in ("pv probe", "pv -l tidbvolume.io/disk=node-1-data-a", "tvf fleet", "tv"):
        assert daemon("get", *each.split())


# --- a tenant -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tenant(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """kubectl with the token that a pod has in a namespace of its own."""
    kubectl("create", "namespace", "a-tenant")
    kubectl("create", "serviceaccount", "app", "-n", "a-tenant")
    token = kubectl("create", "token", "app", "-n", "a-tenant")
    return kubectl.with_token(token, tmp_path_factory.mktemp("tenant"))


@pytest.mark.parametrize(
    "attempt",
    [
        "get tv",
        "get tvn",
        "get tvf",
        "get pv",
        "get nodes",
        "get configmaps -n tidb-volume",
        "get secrets -n tidb-volume",
        "get pods -n tidb-volume",
        "get leases -n tidb-volume",
        "create token disk-daemon -n tidb-volume",
        "delete tv node-1-data-a",
        "label tv node-1-data-a stolen=yes",
        "patch tv node-1-data-a --type=merge -p {}",
        "patch tv node-1-data-a --type=merge --subresource=status -p {}",
        "patch tvf fleet --type=merge -p {}",
        "patch pv probe --type=merge -p {}",
        "delete pv probe",
    ],
)
def test_a_tenant_s_token_opens_nothing_of_ours(kubectl: Kubectl, tenant: Kubectl, attempt: str) -> None:
    with pytest.raises(RefusedError, match=r"(?i)forbidden"):
        tenant(*attempt.split())


# --- orders -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["", "--as=destroy"])
def test_an_order_is_the_controller_s_alone(kubectl: Kubectl, who: str) -> None:
    words = [word for word in (who,) if word]
    with pytest.raises(RefusedError, match="written by the volume-controller alone"):
        merge(kubectl, "tv node-1-data-a", {"spec": {"order": ORDER}}, *words)
    merge(kubectl, "tv node-1-data-a", {"spec": {"order": ORDER}}, f"--as={CONTROLLER}")
    for changed in ({"order": None}, {"order": {"offer": True}}, {"order": {"withdrawn": True}}):
        with pytest.raises(RefusedError, match="written by the volume-controller alone"):
            merge(kubectl, "tv node-1-data-a", {"spec": changed}, *words)
    merge(kubectl, "tv node-1-data-a", {"spec": {"order": None}}, f"--as={CONTROLLER}")


def test_nobody_brings_an_order_along_with_a_volume_that_he_makes(kubectl: Kubectl) -> None:
    made: dict[str, Any] = {
        "apiVersion": "tidbvolume.io/v1alpha1",
        "kind": "TidbVolume",
        "metadata": {"name": "z"},
        "spec": {"nodeName": "node-1", "pool": "tikv", "source": {"path": "/data/z"}},
    }
    kubectl("create", "-f", "-", "--dry-run=server", stdin=msgspec.json.encode(made).decode())
    made["spec"]["order"] = ORDER
    with pytest.raises(RefusedError, match="written by the volume-controller alone"):
        kubectl("create", "-f", "-", stdin=msgspec.json.encode(made).decode())


@pytest.mark.parametrize(
    "spec",
    [{"pool": "other"}, {"wipe": {"onRelease": "wipe"}}, {"source": {"path": "/"}}, {"labels": {"a": "b"}}],
)
def test_what_the_inventory_says_is_not_changed_beside_it(kubectl: Kubectl, spec: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match="change it there"):
        merge(kubectl, "tv node-1-data-a", {"spec": spec})


# --- the controller -----------------------------------------------------------------------------------------


def made_by_controller(kubectl: Kubectl, document: dict[str, Any], *words: str) -> str:
    text = msgspec.json.encode(document).decode()
    return kubectl("create", "-f", "-", f"--as={CONTROLLER}", *words, stdin=text)


def offered(claim: str = "") -> dict[str, Any]:
    """A PersistentVolume as the controller makes it."""
    found: dict[str, Any] = yaml.safe_load(PV.replace("NAME", FREE).replace("CLAIM", claim))
    return found


@pytest.mark.parametrize("attempt", ["delete pv unlike", "label pv unlike a=b", "annotate pv unlike a=b"])
def test_the_controller_has_nothing_to_do_with_volumes_of_others(kubectl: Kubectl, attempt: str) -> None:
    with pytest.raises(RefusedError, match="is no local volume of a TidbVolume"):
        kubectl(*attempt.split(), f"--as={CONTROLLER}")


def test_the_controller_makes_what_a_tenancy_s_own_path_shows(kubectl: Kubectl) -> None:
    device = offered()
    device["spec"]["local"]["path"] = "/dev/tidb-volume/abcdefghijkl"
    kept = offered("claimRef: {namespace: a, name: data-0}")
    kept["spec"]["local"]["path"] = "/data/a"
    for each in (offered(), device, kept):
        made_by_controller(kubectl, each, DRY)


@pytest.mark.parametrize(
    ("meta", "source"),
    [
        ({}, {"local": None, "hostPath": {"path": "/etc"}}),
        ({}, {"local": None, "nfs": {"server": "a", "path": "/b"}}),
        ({}, {"local": {"path": "/etc"}}),
        ({}, {"local": {"path": "/data/a/.tidb-volume/aaaabbbbcccc"}}),
        ({"name": "pvc-1"}, {}),
        ({"labels": {}}, {}),
    ],
    ids=str,
)
def test_the_controller_offers_nothing_else_of_a_node(
    kubectl: Kubectl, meta: dict[str, Any], source: dict[str, Any]
) -> None:
    made = offered()
    made["metadata"] |= meta
    made["spec"] = {key: each for key, each in (made["spec"] | source).items() if each is not None}
    said = r"is no local volume of a TidbVolume|puts on offer what a tenancy's own path shows"
    with pytest.raises(RefusedError, match=said):
        made_by_controller(kubectl, made, DRY)


def test_of_its_own_volumes_the_controller_changes_whose_they_are(kubectl: Kubectl) -> None:
    made_by_controller(kubectl, offered())
    patches: tuple[dict[str, Any], ...] = (
        {"metadata": {"labels": {"a": "b"}}},
        {"metadata": {"annotations": {"a": "b"}}},
        {"metadata": {"finalizers": None}},
        {"metadata": {"ownerReferences": [OWNER]}},
        {"spec": {"persistentVolumeReclaimPolicy": "Delete"}},
        {"spec": {"storageClassName": "other"}},
        {"spec": {"capacity": {"storage": "9Gi"}}},
        {"spec": {"mountOptions": ["suid"]}},
    )
    for patch in patches:
        with pytest.raises(RefusedError, match="changes claimRef and its own annotation, and nothing else"):
            merge(kubectl, f"pv {FREE}", patch, f"--as={CONTROLLER}")
    claim = {"namespace": "a", "name": "data-0"}
    for patch in (
        {"metadata": {"annotations": None}},
        {"metadata": {"annotations": {names.PROVISIONED_BY: names.PROVISIONER}}},
        offer.pointing_at(Ref(**claim)),
    ):
        merge(kubectl, f"pv {FREE}", patch, f"--as={CONTROLLER}")
    kubectl("delete", "pv", FREE, "--wait=false", f"--as={CONTROLLER}")


# --- what stands beside the spec ---------------------------------------------------------------------------

OWNER = {"apiVersion": "v1", "kind": "Namespace", "name": "gone", "uid": "0-0"}
MARKS: list[tuple[dict[str, Any], str]] = [
    ({"annotations": {names.ANNOTATION_LISTING: "d"}}, "written by the volume-controller alone"),
    ({"annotations": {names.ANNOTATION_LEFT: "d"}}, "written by the volume-controller alone"),
    ({"labels": {names.LABEL_POOL: "other"}}, "written by the volume-controller alone"),
    ({"ownerReferences": [OWNER]}, "an owner of tidbvolumes would have it deleted"),
    ({"finalizers": ["case.example/hold"]}, "a finalizer on tidbvolumes would keep"),
]


def wrote(who: str) -> list[str]:
    return [f"--as={who}"] if who else []


@pytest.fixture(scope="module")
def writer(kubectl: Kubectl) -> str:
    """Somebody who may update each kind of ours, and has no word in what becomes of disks."""
    every = "tidbvolumes.tidbvolume.io,tidbvolumefleets.tidbvolume.io,tidbvolumenodes.tidbvolume.io"
    kubectl("create", "clusterrole", "writer", "--verb=get,patch,create", f"--resource={every}")
    kubectl("create", "clusterrolebinding", "writer", "--clusterrole=writer", "--user=writer")
    return "writer"


@pytest.mark.parametrize("who", ["", "writer", "operate", "destroy"])
@pytest.mark.parametrize(("marks", "said"), MARKS, ids=lambda each: next(iter(each)))
def test_nobody_decides_over_a_disk_by_what_stands_beside_its_spec(
    kubectl: Kubectl, writer: str, who: str, marks: dict[str, Any], said: str
) -> None:
    assert writer
    with pytest.raises(RefusedError, match=said):
        merge(kubectl, f"tv {VOLUME}", {"metadata": marks}, *wrote(who))


def test_what_the_controller_noted_is_not_taken_away_either(kubectl: Kubectl) -> None:
    noted = {"metadata": {"annotations": {names.ANNOTATION_LISTING: "d", names.ANNOTATION_LEFT: "e"}}}
    merge(kubectl, f"tv {VOLUME}", noted, f"--as={CONTROLLER}")
    for less in ({names.ANNOTATION_LEFT: None}, {names.ANNOTATION_LISTING: "f"}):
        with pytest.raises(RefusedError, match="written by the volume-controller alone"):
            merge(kubectl, f"tv {VOLUME}", {"metadata": {"annotations": less}}, "--as=operate")
    with pytest.raises(RefusedError, match=names.ANNOTATION_LISTING):
        merge(kubectl, f"tv {VOLUME}", {"metadata": {"annotations": None}})
    merge(kubectl, f"tv {VOLUME}", {"metadata": {"annotations": None}}, f"--as={CONTROLLER}")


def test_a_volume_that_somebody_makes_brings_no_marks_along(kubectl: Kubectl, writer: str) -> None:
    for marks, said in MARKS:
        made = {
            "apiVersion": "tidbvolume.io/v1alpha1",
            "kind": "TidbVolume",
            "metadata": {"name": "z", **marks},
            "spec": {"nodeName": "node-1", "pool": "tikv", "source": {"path": "/data/z"}},
        }
        for who in ("", writer):
            with pytest.raises(RefusedError, match=said):
                kubectl("create", "-f", "-", *wrote(who), stdin=msgspec.json.encode(made).decode())


@pytest.mark.parametrize("who", ["", "writer", "operate", "destroy", CONTROLLER])
def test_nobody_has_the_garbage_collector_delete_the_stop_button(
    kubectl: Kubectl, writer: str, who: str
) -> None:
    assert writer
    for marks, said in (({"ownerReferences": [OWNER]}, "owner"), ({"finalizers": ["a.b/c"]}, "finalizer")):
        said = "forbidden" if who == CONTROLLER else f"an? {said} o[fn] tidbvolumefleets would"
        with pytest.raises(RefusedError, match=said):
            merge(kubectl, f"tvf {names.FLEET}", {"metadata": marks}, *wrote(who))


def test_what_a_node_reports_has_no_owner_either(kubectl: Kubectl, daemon: Kubectl, writer: str) -> None:
    node = {"apiVersion": "tidbvolume.io/v1alpha1", "kind": "TidbVolumeNode", "metadata": {"name": "node-1"}}
    node["metadata"] = {"name": "node-1", "ownerReferences": [OWNER]}
    with pytest.raises(RefusedError, match="an owner of tidbvolumenodes would"):
        daemon("create", "-f", "-", stdin=msgspec.json.encode(node).decode())
    node["metadata"] = {"name": "node-3"}
    kubectl("create", "-f", "-", stdin=msgspec.json.encode(node).decode())
    with pytest.raises(RefusedError, match="an owner of tidbvolumenodes would"):
        merge(kubectl, "tidbvolumenode node-3", {"metadata": {"ownerReferences": [OWNER]}}, f"--as={writer}")
    kubectl("delete", "tidbvolumenode", "node-3", "--cascade=foreground")


def test_a_daemon_marks_no_volume_beside_its_status(kubectl: Kubectl, daemon: Kubectl) -> None:
    with closing(daemon.transport()) as over:
        patch = {"metadata": {"annotations": {names.ANNOTATION_LEFT: "d"}}, "status": SEEN}
        Client(over, manager="test").merge_patch(kinds.TIDB_VOLUME, VOLUME, patch, subresource="status")
    assert names.ANNOTATION_LEFT not in kubectl("get", "tv", VOLUME, "-o", "yaml")


def test_the_marks_of_others_are_theirs_and_a_finalizer_may_go(kubectl: Kubectl) -> None:
    merge(kubectl, f"tv {VOLUME}", {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}})
    merge(kubectl, f"tv {VOLUME}", {"metadata": {"labels": {"a": None}}}, "--as=operate")
    kubectl("apply", "-f", "-", stdin=ANOTHER)
    kubectl("delete", "tv", "z", "--cascade=orphan", "--wait=false")
    if kubectl("get", "tv", "z", "--ignore-not-found"):
        merge(kubectl, "tv z", {"metadata": {"finalizers": None}}, "--as=operate")
    assert not kubectl("get", "tv", "z", "--ignore-not-found")


# --- claims of lost nodes -----------------------------------------------------------------------------------

CLAIMED = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: NAME, namespace: a}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
  volumeName: VOLUME
  storageClassName: ""
"""


@pytest.mark.parametrize(
    ("volume", "may"),
    [(FREE, True), ("pvc-6f0e1c52-aaaa", False), ("", False)],
    ids=["ours", "others", "none"],
)
def test_the_controller_deletes_claims_on_volumes_of_ours_alone(
    kubectl: Kubectl, volume: str, may: bool
) -> None:
    name = f"claim-{volume[-4:] or 'none'}"
    if not kubectl("get", "ns", "a", "--ignore-not-found"):
        kubectl("create", "namespace", "a")
    kubectl("create", "-f", "-", stdin=CLAIMED.replace("NAME", name).replace("VOLUME", volume or '""'))
    words = ("delete", "pvc", name, "-n", "a", "--wait=false", f"--as={CONTROLLER}")
    if may:
        kubectl(*words)
        return
    with pytest.raises(RefusedError, match="it is none of the volume-controller's"):
        kubectl(*words)


def test_the_controller_writes_no_claim_and_touches_no_pod(kubectl: Kubectl) -> None:
    for verb, what in (("create", "pvc"), ("patch", "pvc"), ("deletecollection", "pvc"), ("delete", "pods")):
        with pytest.raises(RefusedError):
            kubectl("auth", "can-i", verb, what, "-n", "a", f"--as={CONTROLLER}")


# --- people -------------------------------------------------------------------------------------------------

Q = {"question": "q"}
SIGNED = {**Q, "by": "destroy"}
OPERATE: list[dict[str, Any]] = [
    {"cordon": True},
    {"retire": True},
    {"hold": True},
    {"gates": {"pd": "not yet"}},
    {"gatesPassed": {"pd": "q"}},
    {"restore": Q},
]
DESTROY: list[dict[str, Any]] = [
    {"adopt": {**SIGNED, "action": "Wipe"}},
    {"adopt": {**SIGNED, "action": "Keep", "claim": {"namespace": "a", "name": "b"}}},
    {"wipeNow": SIGNED},
    {"approve": SIGNED},
    {"acceptIdentity": SIGNED},
    {"forget": SIGNED},
    {"restore": {**SIGNED, "claim": {"namespace": "a", "name": "b"}}},
]


@pytest.mark.parametrize("word", OPERATE, ids=lambda word: next(iter(word)))
def test_who_operates_keeps_a_hand_over_a_disk(kubectl: Kubectl, word: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match="forbidden"):
        merge(kubectl, "tv node-1-data-a", {"spec": {"admin": word}}, "--as=look")
    merge(kubectl, "tv node-1-data-a", {"spec": {"admin": word}}, "--as=operate")
    merge(kubectl, "tv node-1-data-a", {"spec": {"admin": None}}, "--as=operate")


@pytest.mark.parametrize("word", DESTROY, ids=lambda word: next(iter(word)))
def test_who_decides_over_data_needs_more(kubectl: Kubectl, word: dict[str, Any]) -> None:
    document = {"spec": {"admin": word}}
    with pytest.raises(RefusedError, match="operate may not decide over data"):
        merge(kubectl, "tv node-1-data-a", document, "--as=operate")
    merge(kubectl, "tv node-1-data-a", document, "--as=destroy")
    merge(kubectl, "tv node-1-data-a", document | {"metadata": {"labels": {"a": "b"}}}, "--as=operate")
    merge(kubectl, "tv node-1-data-a", {"spec": {"admin": {next(iter(word)): None}}}, "--as=operate")


@pytest.mark.parametrize("word", ["adopt", "wipeNow", "approve", "acceptIdentity", "forget", "restore"])
def test_nobody_answers_under_another_s_name_or_under_none(kubectl: Kubectl, word: str) -> None:
    more: dict[str, Any] = {
        "adopt": {"action": "Wipe"},
        "restore": {"claim": {"namespace": "a", "name": "b"}},
    }
    said = {**Q, **more.get(word, {})}
    destroy = {"spec": {"admin": {word: {**said, "by": "destroy"}}}}
    for by in ({"by": "jane"}, {"by": ""}, {}):
        with pytest.raises(RefusedError, match='by names who says it, for the record: "by":"destroy"'):
            merge(kubectl, "tv node-1-data-a", {"spec": {"admin": {word: {**said, **by}}}}, "--as=destroy")
    merge(kubectl, "tv node-1-data-a", destroy, "--as=destroy")
    merge(kubectl, "tv node-1-data-a", {"spec": {"admin": {"hold": True}}}, "--as=operate")
    merge(kubectl, "tv node-1-data-a", {"spec": {"admin": None}}, "--as=operate")


def test_who_may_update_a_volume_for_another_reason_says_nothing_of_its_disk(
    kubectl: Kubectl, writer: str
) -> None:
    with pytest.raises(RefusedError, match="it takes the verb operate on tidbvolumes"):
        merge(kubectl, "tv node-1-data-a", {"spec": {"admin": {"hold": True}}}, f"--as={writer}")
    merge(kubectl, "tv node-1-data-a", {"metadata": {"labels": {"c": "d"}}}, f"--as={writer}")


def test_what_was_seen_of_a_machine_is_the_daemon_s_to_write_and_the_controller_s_to_clear_away(
    kubectl: Kubectl, daemon: Kubectl
) -> None:
    seen = f"{{apiVersion: {names.API_VERSION}, kind: TidbVolumeNode, metadata: {{name: node-1}}}}"
    kubectl("delete", "tidbvolumenodes", "node-1", "--ignore-not-found")  # of another test
    daemon("create", "-f", "-", stdin=seen)
    with pytest.raises(RefusedError, match="forbidden"):
        daemon("delete", "tidbvolumenodes", "node-1")
    kubectl("delete", "tidbvolumenodes", "node-1", f"--as={CONTROLLER}")


def test_the_controller_says_nothing_for_people(kubectl: Kubectl) -> None:
    with pytest.raises(RefusedError, match="volume-controller may not say this"):
        merge(kubectl, "tv node-1-data-a", {"spec": {"admin": {"hold": True}}}, f"--as={CONTROLLER}")


@pytest.mark.parametrize("spec", [{"paused": True}, {"paused": False}, {"mode": "manual"}], ids=str)
def test_who_operates_pauses(kubectl: Kubectl, spec: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match="forbidden"):
        merge(kubectl, f"tvf {names.FLEET}", {"spec": spec}, "--as=look")
    merge(kubectl, f"tvf {names.FLEET}", {"spec": spec}, "--as=operate")


@pytest.mark.parametrize(
    "spec",
    [{"mode": "auto"}, {"budget": {"wipesPerHour": 999}}, {"breakerReset": 2}, {"approvals": ["x"]}],
    ids=str,
)
def test_who_opens_the_fleet_s_gates_needs_more(kubectl: Kubectl, spec: dict[str, Any]) -> None:
    merge(kubectl, f"tvf {names.FLEET}", {"spec": {"mode": "manual"}})
    with pytest.raises(RefusedError, match="operate may not decide over data"):
        merge(kubectl, f"tvf {names.FLEET}", {"spec": spec}, "--as=operate")
    merge(kubectl, f"tvf {names.FLEET}", {"spec": spec}, "--as=destroy")


def test_who_keeps_the_inventory_edits_that_config_map_and_nothing_else(kubectl: Kubectl) -> None:
    space = ("-n", "tidb-volume")
    kubectl("create", "rolebinding", "keeper", "--role=tidb-volume-inventory", "--user=keeper", *space)
    for name in ("disks", "tidb-volume-last-good-disks"):
        kubectl("create", "configmap", name, "--from-literal=disks.yaml=", *space)
    edit = '{"data":{"disks.yaml":"never: []"}}'
    kubectl.merge("configmap disks", edit, *space, "--as=keeper")
    for attempt in (
        lambda: kubectl.merge("configmap tidb-volume-last-good-disks", edit, *space, "--as=keeper"),
        lambda: kubectl("create", "configmap", "more", *space, "--as=keeper"),
        lambda: kubectl("delete", "configmap", "disks", *space, "--as=keeper"),
        lambda: kubectl("run", "shell", "--image=a", *space, "--as=keeper"),
        lambda: kubectl("get", "secrets", *space, "--as=keeper"),
    ):
        with pytest.raises(RefusedError, match="forbidden"):
            attempt()


@pytest.mark.parametrize("role", ["look", "operate", "destroy"])
def test_no_role_for_people_reads_secrets_or_changes_kubernetes_own(kubectl: Kubectl, role: str) -> None:
    assert kubectl("get", "tv,pv,nodes", "-A", f"--as={role}")
    for attempt in (
        "get secrets -A",
        "delete pv probe",
        "delete tv node-1-data-a",
        "label pv probe stolen=yes",
    ):
        with pytest.raises(RefusedError, match="forbidden"):
            kubectl(*attempt.split(), f"--as={role}")
