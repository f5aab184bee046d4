"""What `deploy/` promises, read from its files: rights that are narrow, programs that are confined."""

from __future__ import annotations

import ast
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from deploy.image import archive, images
from tidb_volume import audit

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

Json = dict[str, Any]


def folder(name: str) -> list[Json]:
    """Every object of a kustomization, without what kustomize would change."""
    made: Json = yaml.safe_load((DEPLOY / name / "kustomization.yaml").read_text())
    out: list[Json] = []
    for entry in made["resources"]:
        path = DEPLOY / name / entry
        if path.is_dir():
            out += folder(f"{name}/{entry}")
        else:
            out += [one for one in yaml.safe_load_all(path.read_text()) if one]
    return out


def one(name: str, kind: str) -> Json:
    (found,) = [made for made in folder(name) if made["kind"] == kind]
    return found


def rights(name: str, kind: str = "ClusterRole") -> set[tuple[str, str]]:
    """(resource, verb) of a role."""
    rules = one(name, kind)["rules"]
    return {(what, verb) for rule in rules for what in rule["resources"] for verb in rule["verbs"]}


def container(name: str, kind: str) -> Json:
    (only,) = one(name, kind)["spec"]["template"]["spec"]["containers"]
    found: Json = only
    return found


@pytest.mark.parametrize("name", ["controller", "daemon"])
def test_no_right_is_a_wildcard_or_a_secret(name: str) -> None:
    for made in folder(name):
        for rule in made.get("rules", []):
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
            assert not {"secrets", "roles", "clusterroles", "pods/exec"} & set(rule["resources"])


def test_the_daemon_orders_nothing_and_takes_no_persistent_volume_away() -> None:
    writes = {right for right in rights("daemon") if right[1] not in {"get", "list", "watch"}}
    assert writes == {
        ("tidbvolumes/status", "patch"),
        ("tidbvolumenodes", "create"),
        ("tidbvolumenodes/status", "patch"),
    }


def test_the_record_is_where_the_documents_fetch_it() -> None:
    daemon = container("daemon", "DaemonSet")
    state = next(arg for arg in daemon["args"] if arg.startswith("--state=")).removeprefix("--state=")
    assert {"name": "state", "mountPath": state} in daemon["volumeMounts"]
    for document in ("audit.md", "operations.md"):
        text = (ROOT / "docs" / document).read_text()
        assert f"exec $POD -- cat {state}/{audit.FILE}" in text
        assert f"cat /host{state}/{audit.FILE}" in text


def test_the_controller_touches_no_pod_or_node_and_not_the_stop_button_and_of_claims_deletes_some() -> None:
    """Which, an admission policy says: deploy/admission/controller.yaml."""
    writes = {right for right in rights("controller") if right[1] not in {"get", "list", "watch"}}
    people = {"pods", "persistentvolumeclaims", "nodes", "tidbvolumefleets"}
    assert {right for right in writes if right[0] in people} == {("persistentvolumeclaims", "delete")}
    surveys = {verb for what, verb in writes if what.startswith("tidbvolumenodes")}
    assert surveys == {"create", "delete", "patch"}, "what outlives a volume is written there"


VERBS = {"GET": {"get", "list", "watch"}, "POST": {"create"}, "PATCH": {"patch"}, "DELETE": {"delete"}}
"""What each method of a request needs (Kubernetes, "Authorization: request verb"); PUT would be update."""


def _methods(sources: Path) -> set[str]:
    """The methods of HTTP that stand in these sources as words of their own."""
    found = set()
    for file in sources.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and node.value in {*VERBS, "PUT"}:
                found.add(str(node.value))
    return found


@pytest.mark.parametrize("name", ["controller", "daemon"])
def test_no_verb_is_granted_that_no_request_of_ours_needs(name: str) -> None:
    sent = _methods(ROOT / "tidb_volume" / "kube")
    assert sent == set(VERBS)
    of_a_request = set().union(*(VERBS[method] for method in sent))
    roles = [made for made in folder(name) if made["kind"] in {"ClusterRole", "Role"}]
    granted = {
        (what, verb)
        for role in roles
        for rule in role["rules"]
        for what in rule["resources"]
        for verb in rule["verbs"]
    }
    assert {verb for _, verb in granted} <= of_a_request
    # A status is read with its object, and written by a patch.
    assert {verb for what, verb in granted if what.endswith("/status")} == {"patch"}


def test_the_controller_is_confined() -> None:
    pod = one("controller", "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container("controller", "Deployment")["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_controller_prefers_nodes_whose_kubelet_may_have_its_token() -> None:
    pod = one("controller", "Deployment")["spec"]["template"]["spec"]
    (wish,) = pod["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    key = "node-role.kubernetes.io/control-plane"
    assert wish["preference"]["matchExpressions"] == [{"key": key, "operator": "Exists"}]
    assert {"key": key, "operator": "Exists", "effect": "NoSchedule"} in pod["tolerations"]


@pytest.mark.parametrize(("name", "kind"), [("controller", "Deployment"), ("daemon", "DaemonSet")])
def test_no_pod_reaches_the_metrics_but_from_a_namespace_that_may(name: str, kind: str) -> None:
    policy = one(name, "NetworkPolicy")["spec"]
    assert policy["podSelector"] == {"matchLabels": one(name, kind)["spec"]["selector"]["matchLabels"]}
    assert policy["policyTypes"] == ["Ingress"]
    (rule,) = policy["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"tidbvolume.io/metrics": "read"}}}]
    assert rule["ports"] == [{"port": only["name"]} for only in container(name, kind)["ports"]]


def test_one_controller_may_go_at_a_time() -> None:
    deployment, budget = one("controller", "Deployment"), one("controller", "PodDisruptionBudget")
    assert deployment["spec"]["replicas"] == 2
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["selector"]["matchLabels"] == deployment["spec"]["selector"]["matchLabels"]


def test_the_daemon_runs_on_every_node_whatever_ails_it() -> None:
    pod = one("daemon", "DaemonSet")["spec"]["template"]["spec"]
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["priorityClassName"] == "system-node-critical"
    assert "nodeSelector" not in pod
    assert "affinity" not in pod


def test_the_daemon_sees_the_host_and_writes_no_root_of_its_own() -> None:
    pod = one("daemon", "DaemonSet")["spec"]["template"]["spec"]
    assert pod["hostPID"] is True
    only = container("daemon", "DaemonSet")
    assert only["securityContext"] == {"privileged": True, "readOnlyRootFilesystem": True}
    on_host = {volume["hostPath"]["path"] for volume in pod["volumes"] if "hostPath" in volume}
    assert on_host == {"/var/lib/tidb-volume", "/dev"}


def test_virtual_disks_are_accepted_in_the_embedded_cluster_alone() -> None:
    said = [
        path.relative_to(DEPLOY) for path in DEPLOY.rglob("*.yaml") if "--virtual-disks" in path.read_text()
    ]
    assert said == [Path("overlays/embedded/kustomization.yaml")]


@pytest.mark.parametrize(("name", "kind"), [("controller", "Deployment"), ("daemon", "DaemonSet")])
def test_a_program_says_what_it_needs_and_how_it_does(name: str, kind: str) -> None:
    only = container(name, kind)
    assert only["resources"]["requests"].keys() == {"cpu", "memory"}
    assert only["resources"]["limits"].keys() == {"memory"}
    assert only["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert only["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert only["startupProbe"]["httpGet"]["path"] == "/healthz"


def test_the_embedded_overlay_holds_all_that_deploy_holds() -> None:
    everything: Json = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())
    overlay: Json = yaml.safe_load((DEPLOY / "overlays/embedded/kustomization.yaml").read_text())
    assert [name.removeprefix("../../") for name in overlay["resources"]] == [
        "base-crds",
        *everything["resources"],
    ]


def test_records_are_apart_from_programs() -> None:
    kinds = {made["kind"] for made in folder("base-crds")}
    assert {"Namespace", "CustomResourceDefinition"} <= kinds
    for name in ("controller", "daemon", "admission", "."):
        assert not {made["kind"] for made in folder(name)} & {"Namespace", "CustomResourceDefinition"}
    (rule,) = (made for made in folder("base-crds") if made["kind"] == "ValidatingAdmissionPolicy")
    assert rule["metadata"]["name"] not in {made["metadata"]["name"] for made in folder(".")}


def test_no_apply_makes_or_changes_the_fleet_object_by_the_way() -> None:
    assert "TidbVolumeFleet" not in {made["kind"] for made in folder(".")}
    fleet: Json = yaml.safe_load((DEPLOY / "fleet.yaml").read_text())
    assert fleet.keys() == {"apiVersion", "kind", "metadata"}


def test_what_runs_on_any_cluster_knows_nothing_of_ours() -> None:
    """Its test speaks kubectl alone, and its plain cluster is shell: neither rests on tests/cluster."""
    files = sorted((ROOT / "tests" / "deployed").iterdir())
    names: set[str] = set()
    for file in (one for one in files if one.suffix == ".py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add((node.module or ".").partition(".")[0])
    assert names - sys.stdlib_module_names == {"pytest"}
    for file in (one for one in files if one.suffix == ".sh"):
        code = [line for line in file.read_text().splitlines() if not line.startswith("#")]
        assert not [line for line in code if "python" in line or "tests/cluster" in line]


def test_every_policy_is_bound_and_denies() -> None:
    made = [*folder("base-crds"), *folder(".")]
    policies = {one["metadata"]["name"] for one in made if one["kind"] == "ValidatingAdmissionPolicy"}
    bindings = [one["spec"] for one in made if one["kind"] == "ValidatingAdmissionPolicyBinding"]
    assert {spec["policyName"] for spec in bindings} == policies
    assert all(spec["validationActions"] == ["Deny"] for spec in bindings)


def test_the_version_of_the_images_is_the_package_s() -> None:
    (version,) = [
        line.partition("=")[2].strip()
        for line in (ROOT / "setup.cfg").read_text().splitlines()
        if line.startswith("version")
    ]
    for name in ("controller", "daemon"):
        made: Json = yaml.safe_load((DEPLOY / name / "kustomization.yaml").read_text())
        assert [image["newTag"] for image in made["images"]] == [version]


@pytest.mark.parametrize("one", images.IMAGES, ids=lambda one: one.name)
def test_a_dockerfile_makes_the_same_image(one: images.Image) -> None:
    text = (DEPLOY / "image" / f"{one.name}.Dockerfile").read_text()
    stage = text[text.rindex("FROM ") :]
    assert f"--no-install-recommends {' '.join(images.DEBIAN)} " in " ".join(stage.split())
    assert f'ENTRYPOINT ["{one.program}"]' in stage
    assert (f"USER {one.user}" in stage) == bool(one.user)
    for package in one.packages:
        assert f"COPY {package} /site/{package}" in text
    for script, module in one.scripts.items():
        assert images.SCRIPT.format(module=module).replace("\n", r"\n") in text
        assert f"/{script}" in stage
    assert f"/usr/local/lib/python{images.PYTHON}/dist-packages" in stage
    assert f"tidb-volume/{one.name}:{images.version()}" in text
    assert " && rm -rf " + " ".join(f"/site/{name}" for name in images.UNUSED) + "\n" in text
    assert stage.index(" && rm " + " ".join(f"/{name}" for name in images.SHELLS)) > stage.index("apt-get")
    shown = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines()}
    assert {*one.packages, "deploy/image"} <= shown


def test_a_layer_hides_files_of_the_layers_below_it(tmp_path: Path) -> None:
    archive.write_layer(tmp_path / "layer.tar", [], {"usr/bin/tool": b"x"}, ["usr/bin/sh", "usr/bin/bash"])
    with tarfile.open(tmp_path / "layer.tar") as layer:
        assert layer.getnames() == ["./usr/bin/tool", "./usr/bin/.wh.bash", "./usr/bin/.wh.sh"]
        assert all(entry.size == 0 for entry in layer if ".wh." in entry.name)


@pytest.mark.parametrize("one", images.IMAGES, ids=lambda one: one.name)
def test_the_pinned_wheels_are_what_setup_cfg_asks_for(one: images.Image) -> None:
    lines = [line.split()[0].split("==") for line in one.lock.read_text().splitlines() if "==" in line]
    pinned = dict(lines)
    for text in images.requirements(one.extras):
        wanted = Requirement(text)
        assert pinned[wanted.name.lower()] in wanted.specifier, "run: python -m deploy.image lock"


def test_the_daemon_s_wheels_are_few() -> None:
    lines = images.image("daemon").lock.read_text().splitlines()
    pinned = {line.split("==")[0] for line in lines if "==" in line}
    assert pinned == {"msgspec", "prometheus-client", "psutil", "pyyaml"}
