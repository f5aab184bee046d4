"""The CRDs are what `deploy/generate_crds.py` renders from the code, and read well in `kubectl explain`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from tidb_volume import fleet, names, value

ROOT = Path(__file__).parents[2]
CRDS = ROOT / "deploy" / "base-crds"
KINDS = {"tidbvolumes": value.Volume, "tidbvolumenodes": value.VolumeNode, "tidbvolumefleets": fleet.Fleet}

Json = dict[str, Any]


def crd(plural: str) -> Json:
    loaded: Json = yaml.safe_load((CRDS / f"{plural}.yaml").read_text())
    return loaded


def schema(plural: str) -> Json:
    (version,) = crd(plural)["spec"]["versions"]
    root: Json = version["schema"]["openAPIV3Schema"]
    return root


def nodes(at: str, node: Json) -> Iterator[tuple[str, Json]]:
    yield at, node
    for name, below in node.get("properties", {}).items():
        yield from nodes(f"{at}.{name}", below)
    for key in ("items", "additionalProperties"):
        if key in node:
            yield from nodes(f"{at}[]", node[key])


def every_node() -> Iterator[tuple[str, Json]]:
    for plural in KINDS:
        yield from nodes(plural, schema(plural))


def test_the_committed_crds_are_what_the_code_renders() -> None:
    command = [sys.executable, "-m", "deploy.generate_crds", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run `make crds` and commit what it writes:\n{done.stdout}{done.stderr}"


def test_every_field_has_a_description() -> None:
    fields = [(at, node) for at, node in every_node() if not at.endswith("[]")]
    assert [at for at, node in fields if not node.get("description")] == []


def test_no_description_is_kept_for_a_field_that_is_gone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from deploy.crd_words import SAID; print('\\n'.join(SAID))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    known = {
        f"{name}.{field.name}"
        for name, struct in (vars(value) | vars(fleet)).items()
        if isinstance(struct, type) and issubclass(struct, msgspec.Struct)
        for field in msgspec.structs.fields(struct)
    }
    assert set(done.stdout.split()) - known == set()


def test_the_schemas_are_structural() -> None:
    """Every node has a type, and none says that unknown fields are kept."""
    for at, node in every_node():
        assert node["type"] in {"object", "array", "string", "integer", "boolean"}, at
        assert "x-kubernetes-preserve-unknown-fields" not in node, at
        assert not {"properties", "additionalProperties"} <= node.keys(), at


@pytest.mark.parametrize("plural", KINDS)
def test_the_crd_is_named_as_the_code_names_it(plural: str) -> None:
    made = crd(plural)
    assert made["metadata"]["name"] == f"{plural}.{names.GROUP}"
    assert made["spec"]["group"] == names.GROUP
    assert made["spec"]["scope"] == "Cluster"
    (version,) = made["spec"]["versions"]
    assert version["name"] == names.VERSION
    assert version["subresources"] == {"status": {}}


def test_a_daemon_can_watch_its_own_node_s_volumes() -> None:
    (version,) = crd("tidbvolumes")["spec"]["versions"]
    assert version["selectableFields"] == [{"jsonPath": ".spec.nodeName"}]


def test_kubectl_get_tv_answers_at_a_glance() -> None:
    (version,) = crd("tidbvolumes")["spec"]["versions"]
    shown = [column["name"] for column in version["additionalPrinterColumns"] if not column.get("priority")]
    assert " ".join(shown) == "Node Disk Pool Size Used State Namespace Owner Claim Age"
    wide = [column["name"] for column in version["additionalPrinterColumns"] if column.get("priority")]
    assert " ".join(wide) == "Reason Volume WipeAt Tenancy Virtual"


def test_a_column_leads_to_a_field_of_the_schema() -> None:
    for plural in KINDS:
        (version,) = crd(plural)["spec"]["versions"]
        fields = {at.removeprefix(plural) for at, _ in nodes(plural, schema(plural))}
        for column in version["additionalPrinterColumns"]:
            if column["jsonPath"].startswith(".metadata."):
                continue
            path, _, union = column["jsonPath"].partition("[")
            members = [f"{path}.{one.strip(chr(39))}" for one in union.rstrip("]").split(",") if one] or [
                path
            ]
            assert set(members) <= fields, column


def test_what_a_cel_rule_reads_has_a_bounded_length() -> None:
    """The API server refuses a CRD whose rules could cost too much; strings without a bound are why."""
    for at, node in nodes("tidbvolumes", schema("tidbvolumes")):
        if at.startswith(("tidbvolumes.spec.admin", "tidbvolumes.spec.source")):
            if node["type"] == "string":
                assert "maxLength" in node or "enum" in node, at
            if "additionalProperties" in node:
                assert "maxProperties" in node, at


def test_every_answer_must_name_its_question() -> None:
    admin = schema("tidbvolumes")["properties"]["spec"]["properties"]["admin"]["properties"]
    answers = [name for name, node in admin.items() if "question" in node.get("properties", {})]
    assert set(answers) == {"adopt", "approve", "restore", "wipeNow", "acceptIdentity", "forget"}
    for name in answers:
        rules = [one["rule"] for one in admin[name]["x-kubernetes-validations"]]
        assert "has(self.question) && self.question != ''" in rules, name


def test_nothing_limits_what_the_programs_write_into_a_status() -> None:
    """A message too long by a word must not become a write that fails for ever."""
    for at, node in nodes("tidbvolumes", schema("tidbvolumes")["properties"]["status"]):
        if at.endswith((".namespace", ".name", ".uid")):
            continue  # Kubernetes bounds them itself
        assert not {"maxLength", "maxItems", "maxProperties"} & node.keys(), at
