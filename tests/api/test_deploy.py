"""`kubectl apply -k deploy/` on a real API server, and what it then lets nobody do."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import yaml

from tests.api.deployed import CONTROLLER, DEPLOY, DRY, FREE, OWNED, PV, Kubectl, RefusedError, deployed

pytestmark = pytest.mark.api
BINDER = "system:serviceaccount:kube-system:persistent-volume-binder"

NUMBERS = itertools.count()
WHO = "kubectl auth whoami -o jsonpath={.status.userInfo.username}"


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    with deployed() as made:
        yield made


@pytest.fixture
def pv(kubectl: Kubectl) -> str:
    name = f"owned-{next(NUMBERS)}"
    kubectl("create", "-f", "-", stdin=PV.replace("NAME", name).replace("CLAIM", OWNED))
    return f"pv {name}"


# --- what kubectl shows ---------------------------------------------------------------------------------


def test_a_folder_and_a_device_share_one_column(kubectl: Kubectl) -> None:
    lines = kubectl("get", "tidb-volume").splitlines()
    shown = {line.split()[0]: line.split()[2] for line in lines[1:]}
    assert shown == {"node-1-data-a": "/data/a", "node-2-nvme-b": "/dev/disk/by-id/nvme-B"}


def test_a_node_s_volumes_can_be_selected(kubectl: Kubectl) -> None:
    found = kubectl("get", "tv", "--field-selector=spec.nodeName=node-2", "--output=name")
    assert found.split() == ["tidbvolume.tidbvolume.io/node-2-nvme-b"]


def test_explain_reads_well(kubectl: Kubectl) -> None:
    said = kubectl("explain", "tv.spec.admin")
    assert "Not offered any more; reversible." in " ".join(said.split())
    assert "<no description>" not in kubectl("explain", "tv", "--recursive=false")


# --- what the schemas refuse ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ('{"spec":{"nodeName":"node-9"}}', "a disk's node never changes"),
        ('{"spec":{"source":{"device":"/dev/x"}}}', "either a path or a device"),
        ('{"spec":{"admin":{"wipeNow":{}}}}', "say which question"),
        ('{"spec":{"admin":{"acceptIdentity":{"question":""}}}}', "say which question"),
        ('{"spec":{"admin":{"forget":{}}}}', "say which question"),
        ('{"spec":{"admin":{"approve":{"method":"zero"}}}}', "say which question"),
        ('{"spec":{"admin":{"restore":{"claim":{"name":"x"}}}}}', "say which question"),
        ('{"spec":{"admin":{"adopt":{"action":"Wipe"}}}}', "say which question"),
        ('{"spec":{"admin":{"adopt":{"question":"q","action":"Keep"}}}}', "name its namespace and name"),
        ('{"spec":{"admin":{"adopt":{"question":"q","action":"Burn"}}}}', "Unsupported value"),
        ('{"spec":{"order":{"id":"x"}}}', "Required value"),
    ],
)
def test_the_api_server_refuses(kubectl: Kubectl, patch: str, said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        kubectl.merge("tv node-1-data-a", patch, "--dry-run=server")


@pytest.mark.parametrize(
    "patch",
    [
        '{"spec":{"admin":{"cordon":true,"hold":true,"gates":{"pd":"store 4 is not Tombstone"}}}}',
        '{"spec":{"admin":{"adopt":{"question":"q","action":"Wipe","by":"ME"}}}}',
        '{"spec":{"admin":{"adopt":{"question":"q","action":"Keep","by":"ME","claim":{"namespace":"a","name":"b"}}}}}',
        '{"spec":{"admin":{"wipeNow":{"question":"q","by":"ME"}}}}',
    ],
)
def test_the_api_server_takes(kubectl: Kubectl, patch: str) -> None:
    """Signed as operations.md has it for who has no plugin."""
    me = kubectl(*WHO.split()[1:])
    kubectl.merge("tv node-1-data-a", patch.replace("ME", me), "--dry-run=server")


def test_what_the_inventory_says_may_change(kubectl: Kubectl) -> None:
    patch = '{"spec":{"pool":"other","source":{"path":"/data/b"}}}'
    kubectl.merge("tv node-1-data-a", patch, "--dry-run=server", f"--as={CONTROLLER}")


def test_there_is_one_fleet(kubectl: Kubectl) -> None:
    other = (DEPLOY / "fleet.yaml").read_text().replace("name: fleet", "name: other")
    with pytest.raises(RefusedError, match="its name is fleet"):
        kubectl("create", "-f", "-", stdin=other)


@pytest.mark.parametrize("how", ["--server-side=false", "--server-side=true"])
def test_an_apply_takes_back_nothing_that_a_person_set(kubectl: Kubectl, how: str) -> None:
    kubectl.merge("tvf fleet", '{"spec":{"paused":true,"mode":"manual","budget":{"wipesPerHour":3}}}')
    kubectl("apply", "-f", str(DEPLOY / "fleet.yaml"), how)
    kubectl("apply", "-k", str(DEPLOY))
    spec = kubectl("get", "tvf", "fleet", "--output=jsonpath={.spec}")
    assert spec == '{"budget":{"wipesPerHour":3},"mode":"manual","paused":true}'


# --- what the policies refuse -----------------------------------------------------------------------------

CLEARED = '{"spec":{"claimRef":null}}'


@pytest.mark.parametrize(
    "patch",
    [
        CLEARED,
        '{"spec":{"claimRef":{"uid":null}}}',
        '{"spec":{"claimRef":{"uid":"u-2"}}}',
        '{"spec":{"claimRef":{"namespace":"b","uid":null}}}',
        '{"metadata":{"annotations":null,"labels":null},"spec":{"claimRef":null}}',
    ],
)
def test_an_admin_cannot_hand_out_a_dirty_disk_by_hand(kubectl: Kubectl, pv: str, patch: str) -> None:
    with pytest.raises(
        RefusedError, match=r"not changed by hand: the next pod would get the data of a/data-0"
    ):
        kubectl.merge(pv, patch)


def test_one_mark_of_ours_is_enough_to_be_guarded(kubectl: Kubectl, pv: str) -> None:
    kubectl.merge(pv, '{"metadata":{"annotations":null}}')
    with pytest.raises(RefusedError, match="not changed by hand"):
        kubectl.merge(pv, CLEARED)


def test_with_both_marks_taken_off_first_the_path_still_says_whose_it_is(kubectl: Kubectl, pv: str) -> None:
    kubectl.merge(pv, '{"metadata":{"annotations":null,"labels":null}}')
    with pytest.raises(RefusedError, match="not changed by hand"):
        kubectl.merge(pv, CLEARED)


KEPT = "node-1-data-a-0a1b2c-aaaabbbbcccc"
"""A name as names.pv_name makes them; the volume that `adopt: Keep` makes shows the root of its disk."""


def kept(name: str) -> str:
    text = PV.replace("NAME", name).replace("CLAIM", OWNED).replace("/.tidb-volume/abcdefghijkl", "")
    return text.replace("/data/a", "/data/kept")


def test_a_volume_that_a_person_had_kept_is_told_by_its_name(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=kept(KEPT))
    marks = '{"metadata":{"annotations":null,"labels":null}'
    with pytest.raises(RefusedError, match="not changed by hand"):
        kubectl.merge(f"pv {KEPT}", marks + ',"spec":{"claimRef":null}}')
    kubectl.merge(f"pv {KEPT}", marks + "}")
    with pytest.raises(RefusedError, match="not changed by hand"):
        kubectl.merge(f"pv {KEPT}", CLEARED)


NOT_MADE = "would put the disk on offer with the data on it"
UNCLAIMED = ("", "claimRef: {namespace: a, name: data-0}")


@pytest.mark.parametrize("claim", UNCLAIMED)
@pytest.mark.parametrize("mark", ["name", "path", "device", "label", "annotation"])
def test_nobody_makes_a_volume_of_ours_that_is_on_offer(kubectl: Kubectl, mark: str, claim: str) -> None:
    """`kubectl replace --force` deletes and creates; a backup creates."""
    made = yaml.safe_load(PV.replace("NAME", "again").replace("CLAIM", claim))
    meta, of = made["metadata"], made["spec"]["local"]
    label, noted = meta.pop("labels"), meta.pop("annotations")
    of["path"] = "/data/a"
    kubectl("create", "-f", "-", DRY, stdin=yaml.safe_dump(made))
    if mark == "name":
        meta["name"] = KEPT
    elif mark in ("path", "device"):
        of["path"] = {"path": "/data/a/.tidb-volume/x", "device": "/dev/tidb-volume/x"}[mark]
    else:
        meta.update({"labels": label} if mark == "label" else {"annotations": noted})
    with pytest.raises(RefusedError, match=NOT_MADE):
        kubectl("create", "-f", "-", DRY, stdin=yaml.safe_dump(made))


def test_a_volume_out_of_a_backup_has_the_claim_that_it_had(kubectl: Kubectl) -> None:
    text = PV.replace("NAME", "backup").replace("CLAIM", OWNED)
    kubectl("create", "-f", "-", stdin=text)
    kubectl("delete", "pv", "backup", "--wait=false")
    if kubectl("get", "pv", "backup", "--ignore-not-found"):
        kubectl.merge("pv backup", '{"metadata":{"finalizers":null}}')
    kubectl("create", "-f", "-", stdin=text)


@pytest.mark.parametrize(
    "patch",
    [
        '{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}',
        '{"spec":{"claimRef":{"resourceVersion":"7"}}}',
        '{"metadata":{"labels":{"app":"tikv"}}}',
    ],
)
def test_what_admins_and_operators_do_to_a_volume_goes_on(kubectl: Kubectl, pv: str, patch: str) -> None:
    kubectl.merge(pv, patch)


def test_the_controller_gives_data_back(kubectl: Kubectl, pv: str) -> None:
    kubectl.merge(pv, '{"spec":{"claimRef":{"uid":null}}}', f"--as={CONTROLLER}")


def test_kubernetes_binds(kubectl: Kubectl, pv: str) -> None:
    bound = kubectl("get", *pv.split(), "--output=json").replace('"u-1"', '"u-2"')
    kubectl("replace", "-f", "-", f"--as={BINDER}", stdin=bound)


def test_a_volume_on_offer_can_be_pinned_but_not_bound_by_hand(kubectl: Kubectl) -> None:
    free = PV.replace("NAME", FREE).replace("CLAIM", "")
    kubectl("create", "-f", "-", f"--as={CONTROLLER}", stdin=free)
    with pytest.raises(RefusedError, match="not changed by hand"):
        kubectl.merge(f"pv {FREE}", '{"spec":{"claimRef":{"namespace":"a","name":"data-1","uid":"u-3"}}}')
    kubectl.merge(f"pv {FREE}", '{"spec":{"claimRef":{"namespace":"a","name":"data-1"}}}')


def test_others_volumes_are_none_of_our_business(kubectl: Kubectl) -> None:
    other = PV.replace("NAME", "other").replace("CLAIM", OWNED).replace("/.tidb-volume/", "/another/")
    lines = [line for line in other.splitlines() if "tidbvolume.io" not in line]
    kubectl("create", "-f", "-", stdin="\n".join(lines))
    kubectl.merge("pv other", CLEARED)


def test_no_crd_is_deleted_by_the_way(kubectl: Kubectl) -> None:
    with pytest.raises(RefusedError, match="kubectl annotate crd tidbvolumes"):
        kubectl("delete", "crd", "tidbvolumes.tidbvolume.io")
    with pytest.raises(RefusedError, match="kubectl annotate namespace tidb-volume tidbvolume"):
        kubectl("delete", "namespace", "tidb-volume")


# --- what the roles allow -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "verb", "what", "may"),
    [
        ("disk-daemon", "patch", "tidbvolumes --subresource=status", "yes"),
        ("disk-daemon", "patch", "tidbvolumes", "no"),
        ("disk-daemon", "get", "persistentvolumes", "yes"),
        ("disk-daemon", "delete", "persistentvolumes", "no"),
        ("disk-daemon", "list", "pods", "no"),
        ("disk-daemon", "list", "secrets", "no"),
        ("disk-daemon", "patch", "tidbvolumefleets", "no"),
        ("volume-controller", "delete", "persistentvolumes", "yes"),
        ("volume-controller", "delete", "persistentvolumeclaims", "yes"),  # nodeLoss: release
        ("volume-controller", "deletecollection", "persistentvolumeclaims", "no"),
        ("volume-controller", "patch", "persistentvolumeclaims", "no"),
        ("volume-controller", "patch", "tidbvolumefleets", "no"),
        ("volume-controller", "patch", "tidbvolumefleets --subresource=status", "yes"),
        ("volume-controller", "create", "tidbvolumefleets", "no"),
        ("volume-controller", "create", "leases --namespace=tidb-volume", "yes"),
        ("volume-controller", "create", "leases --namespace=kube-system", "no"),
        ("volume-controller", "list", "configmaps --namespace=tidb-volume", "yes"),
        ("volume-controller", "list", "configmaps --namespace=default", "no"),
        ("volume-controller", "list", "secrets", "no"),
    ],
)
def test_a_program_may_do_what_it_needs_alone(
    kubectl: Kubectl, who: str, verb: str, what: str, may: str
) -> None:
    account = f"--as=system:serviceaccount:tidb-volume:{who}"
    try:
        said = kubectl("auth", "can-i", verb, *what.split(), account)
    except RefusedError:
        said = "no"  # kubectl ends with 1 for a no
    assert said.strip() == may
