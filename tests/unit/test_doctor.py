"""What is wrong with an installation is told with its way out, and what cannot be seen is not healthy."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest

from deploy import policies
from tests.unit.life.worlds import BOUND
from tidb_volume import doctor, names
from tidb_volume.doctor import Installation, examine
from tidb_volume.fleet import Fleet, FleetStatus, InventoryStatus
from tidb_volume.inventory import expand, merge
from tidb_volume.units import Instant, format_instant
from tidb_volume.upstream import (
    AdmissionBinding,
    AdmissionPolicy,
    ConditionOnly,
    ConditionsOnly,
    DaemonPod,
    PodSpec,
    SlimMeta,
    StorageClass,
)
from tidb_volume.value import Identity, Meta, NodeReport, VolumeNode

NOW = Instant(1_800_000_000.0)
VOLUME = BOUND.volume
NODE, POOL = VOLUME.spec.node_name, VOLUME.spec.pool


SPECS = {each["metadata"]["name"]: each["spec"] for each in policies.deployed()}


def policy(name: str, **changed: Any) -> AdmissionPolicy:
    """As the API server tells it: with its defaults filled in."""
    spec = copy.deepcopy(SPECS[name])
    spec["matchConstraints"] |= {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}}
    for rule in spec["matchConstraints"]["resourceRules"]:
        rule["scope"] = "*"
    return AdmissionPolicy(metadata=SlimMeta(name=name), spec=spec | changed)


def binding(name: str, *actions: str, **more: Any) -> AdmissionBinding:
    spec = {"policyName": name, "validationActions": list(actions), **more}
    return AdmissionBinding(metadata=SlimMeta(name=f"b-{name}"), spec=spec)


def daemon(node: str, ready: str = "True") -> DaemonPod:
    status = ConditionsOnly(conditions=(ConditionOnly(type="Ready", status=ready),))
    return DaemonPod(metadata=SlimMeta(name="d"), spec=PodSpec(node_name=node), status=status)


def fleet(*errors: str, hash_: str = "b", accepted: str = "b") -> Fleet:
    found = InventoryStatus(name="disks", hash=hash_, accepted=accepted, errors=errors)
    status = FleetStatus(inventories=(found,))
    return Fleet(metadata=Meta(name="fleet"), status=status)


def reported(node: str, *, virtual: bool = False) -> VolumeNode:
    return VolumeNode(metadata=Meta(name=node), status=NodeReport(virtual_disks=virtual))


def storage_class(mode: str = "WaitForFirstConsumer") -> StorageClass:
    return StorageClass(metadata=Meta(name=POOL), volume_binding_mode=mode)


HEALTHY = Installation(
    now=NOW,
    namespace="tidb-volume",
    fleet=fleet(),
    volumes=(VOLUME,),
    pvs=BOUND.pvs,
    policies=tuple(map(policy, doctor.POLICIES)),
    bindings=tuple(binding(name, "Deny", "Audit") for name in doctor.POLICIES),
    classes=(storage_class(),),
    daemons=(daemon(NODE),),
    nodes=(reported(NODE),),
    renewed=format_instant(Instant(NOW - 10)),
)
FIRST, *REST = doctor.POLICIES


def weakened(**changed: Any) -> tuple[AdmissionPolicy, ...]:
    return policy(FIRST, **changed), *map(policy, REST)


def bound(**more: Any) -> tuple[AdmissionBinding, ...]:
    return binding(FIRST, "Deny", **more), *(binding(name, "Deny") for name in REST)


def test_a_sound_inventory_that_waits_for_a_machine_is_a_warning() -> None:
    text = "defaultPool: t\npools: {t: {onRelease: wipe}}\nnodes: {10.0.0.9: [/data/a]}\n"
    decision = merge.decide({}, {"disks": {"disks.yaml": text}})
    said = merge.statuses(decision, expand.expand(decision.inventory, ()))
    seen = Fleet(metadata=Meta(name="fleet"), status=FleetStatus(inventories=said))
    (found,) = examine(msgspec.structs.replace(HEALTHY, fleet=seen))
    assert (found.code, found.severity) == ("InventoryWarning", "warning")
    assert "TV062" in found.what


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert examine(HEALTHY) == ()


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"fleet": None}, "NoFleet", "nothing comes on offer"),
        (
            {"fleet": fleet("disks.yaml:4:3: TV12 x", accepted="a")},
            "InventoryRefused",
            "disks is refused, and what was accepted before is in force: disks.yaml:4:3",
        ),
        (
            {"fleet": fleet("disks.yaml:4:3: TV12 x", accepted="")},
            "InventoryRefused",
            "disks is refused, and nothing of it is in force: disks.yaml:4:3",
        ),
        ({"fleet": fleet(accepted="a")}, "InventoryRefused", "has not said why"),
        ({"fleet": fleet("x: TV062 y")}, "InventoryWarning", "disks is in force, but x: TV062 y"),
        ({"fleet": fleet("x", hash_="", accepted="")}, "InventoryWarning", "x"),
        ({"renewed": ""}, "NoLeader", "no volume-controller leads:"),
        ({"renewed": format_instant(Instant(NOW - 61))}, "NoLeader", "leads since"),
        ({"policies": tuple(map(policy, REST))}, "PolicyMissing", FIRST),
        (
            {"policies": (policy(FIRST, failurePolicy="Ignore"), *map(policy, REST))},
            "PolicyWeak",
            "failurePolicy",
        ),
        ({"bindings": tuple(binding(name, "Deny") for name in REST)}, "PolicyWeak", "bound nowhere"),
        (
            {"bindings": (binding(FIRST, "Warn"), *(binding(name, "Deny") for name in REST))},
            "PolicyWeak",
            "only warns",
        ),
        ({"policies": weakened(validations=[{"expression": "true"}])}, "PolicyDiffers", FIRST),
        (
            {"policies": weakened(matchConditions=[{"name": "a", "expression": "false"}])},
            "PolicyDiffers",
            FIRST,
        ),
        ({"policies": weakened(matchConstraints={"resourceRules": []})}, "PolicyDiffers", FIRST),
        ({"policies": weakened(variables=[])}, "PolicyDiffers", "or older or newer than this tool"),
        (
            {"bindings": bound(matchResources={"objectSelector": {"matchLabels": {"a": "b"}}})},
            "PolicyWeak",
            "some",
        ),
        ({"bindings": bound(paramRef={"name": "a"})}, "PolicyWeak", "is bound to some objects alone"),
        ({"daemons": ()}, "DaemonMissing", NODE),
        ({"daemons": (daemon(NODE, "False"), daemon("another"))}, "DaemonMissing", NODE),
        ({"classes": ()}, "ClassMissing", POOL),
        ({"classes": (storage_class("Immediate"),)}, "ClassImmediate", POOL),
        ({"nodes": (reported(NODE, virtual=True), reported("b"))}, "VirtualDisks", f"{NODE} (volumes: 0)"),
        ({"volumes": ()}, "Orphan", BOUND.pvs[0].metadata.name),
    ],
)
def test_what_is_wrong_is_told_with_whom_it_hurts_and_the_way_out(
    change: dict[str, Any], code: str, says: str
) -> None:
    (found,) = examine(msgspec.structs.replace(HEALTHY, **change))
    assert found.code == code
    assert says in found.what
    assert found.way_out
    assert (found.severity == "warning") is (code in {"InventoryWarning", "VirtualDisks", "Orphan"})


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("renewed", "LeaderUnknown"),
        ("policies", "PoliciesUnknown"),
        ("bindings", "PoliciesUnknown"),
        ("daemons", "DaemonsUnknown"),
        ("nodes", "NodesUnknown"),
        ("classes", "ClassesUnknown"),
        ("pvs", "VolumesUnknown"),
    ],
)
def test_what_could_not_be_read_is_not_taken_for_healthy(field: str, code: str) -> None:
    (found,) = examine(msgspec.structs.replace(HEALTHY, **{field: None}))
    assert (found.code, found.severity) == (code, "unknown")
    assert "nobody knows" in found.what


def test_errors_come_first_and_a_long_list_of_nodes_is_cut() -> None:
    nodes = [f"n{number}" for number in range(8)]
    volumes = tuple(
        msgspec.structs.replace(VOLUME, spec=msgspec.structs.replace(VOLUME.spec, node_name=each))
        for each in nodes
    )
    first, second = examine(msgspec.structs.replace(HEALTHY, volumes=volumes, pvs=None))
    assert (first.code, second.code) == ("DaemonMissing", "VolumesUnknown")
    assert "n0, n1, n2, n3, n4 and 3 more" in first.what


def test_how_many_disks_are_virtual_is_told_and_is_no_error() -> None:
    of_hardware = Identity(serial="S-1", size_bytes=1 << 30)
    volumes = tuple(
        msgspec.structs.replace(VOLUME, status=msgspec.structs.replace(VOLUME.status, identity=each))
        for each in (Identity(virtual="8:17", size_bytes=1 << 30), of_hardware, None)
    )
    nodes = (reported(NODE, virtual=True),)
    (found,) = examine(msgspec.structs.replace(HEALTHY, volumes=volumes, nodes=nodes))
    assert (found.code, found.severity) == ("VirtualDisks", "warning")
    assert "(volumes: 1)" in found.what
    assert "--virtual-disks" in found.way_out


def test_every_policy_that_is_deployed_is_looked_for_as_it_is_there() -> None:
    assert set(SPECS) == set(doctor.POLICIES)
    text = policies.MODULE.read_text()
    assert policies.filled(text) == text, "run python -m deploy.policies"


def test_a_policy_that_was_installed_elsewhere_names_the_accounts_of_there() -> None:
    moved = {
        name: msgspec.json.decode(
            msgspec.json.encode(spec).replace(b"serviceaccount:tidb-volume:", b"serviceaccount:elsewhere:")
        )
        for name, spec in SPECS.items()
    }
    found = tuple(AdmissionPolicy(metadata=SlimMeta(name=name), spec=spec) for name, spec in moved.items())
    assert examine(msgspec.structs.replace(HEALTHY, namespace="elsewhere", policies=found)) == ()
    assert len(examine(msgspec.structs.replace(HEALTHY, policies=found))) > 1


def test_the_label_of_a_disk_is_what_makes_a_volume_one_of_ours() -> None:
    (pv,) = BOUND.pvs
    bare = msgspec.structs.replace(pv, metadata=msgspec.structs.replace(pv.metadata, labels={}))
    assert examine(msgspec.structs.replace(HEALTHY, volumes=(), pvs=(bare,))) == ()
    assert names.LABEL_DISK in pv.metadata.labels
