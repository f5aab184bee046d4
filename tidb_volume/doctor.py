"""What is wrong with the installation, or will be: findings with a code, whom they hurt, and the way out.

A disk's own troubles are in its volume's status and in `status`; here is what no volume can say of itself.
What could not be read is never taken for healthy: it is a finding too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from tidb_volume import names, policies
from tidb_volume.fleet import Fleet
from tidb_volume.life.daemon import is_ready
from tidb_volume.units import format_duration, parse_instant
from tidb_volume.upstream import BINDING_MODE, AdmissionBinding, AdmissionPolicy, DaemonPod, Pv, StorageClass
from tidb_volume.value import Value, Volume, VolumeNode

KEEP_RECORDS = "tidb-volume-keep-records"
"""The one that comes with the records, and not with the programs."""
POLICIES = {
    "tidb-volume-claim-ref": "anybody who may edit PersistentVolumes can put a used disk on offer",
    "tidb-volume-controller": "a stolen token of the controller deletes the PersistentVolumes of others",
    "tidb-volume-controller-claims": "a stolen token of the controller deletes claims on others' storage",
    "tidb-volume-daemon": "a stolen token of one node's daemon writes about the disks of all nodes",
    "tidb-volume-orders": "anybody who may edit TidbVolumes can order a wipe",
    "tidb-volume-marks": "anybody who may edit TidbVolumes can have a disk wiped that was dropped",
    KEEP_RECORDS: "deleting the CRDs deletes the records of all disks by the way",
    "tidb-volume-words": "who may hold a disk may also have it wiped, and answer under another's name",
}
"""The admission policies of deploy/, and what is not stopped without each."""
SEVERITIES = ("error", "unknown", "warning")
SILENT_S = 60.0
"""Seconds without a renewed lease after which nobody leads: four times its length."""


class Installation(Value):
    """What was read; None where the right to read it is missing."""

    now: float
    namespace: str
    """In which our programs run."""
    fleet: Fleet | None
    volumes: tuple[Volume, ...]
    pvs: tuple[Pv, ...] | None
    policies: tuple[AdmissionPolicy, ...] | None
    bindings: tuple[AdmissionBinding, ...] | None
    classes: tuple[StorageClass, ...] | None
    daemons: tuple[DaemonPod, ...] | None
    nodes: tuple[VolumeNode, ...] | None
    renewed: str | None
    """When the controller's lease was renewed last (RFC 3339); empty: there is none."""


class Finding(Value):
    """One thing that is wrong."""

    code: str
    severity: Literal["error", "unknown", "warning"]
    """unknown: what could not be read, which may be an error."""
    what: str
    way_out: str


def examine(seen: Installation) -> tuple[Finding, ...]:
    """Every finding, the worst first; none: nothing is wrong by what was looked at. Pure."""
    found = [
        *_fleet(seen),
        *_leader(seen),
        *_policies(seen),
        *_daemons(seen),
        *_virtual_disks(seen),
        *_classes(seen),
        *_orphans(seen),
    ]
    return tuple(sorted(found, key=lambda each: SEVERITIES.index(each.severity)))


def _error(code: str, what: str, way_out: str) -> Finding:
    return Finding(code=code, severity="error", what=what, way_out=way_out)


def _unread(code: str, what: str) -> Finding:
    return Finding(
        code=code,
        severity="unknown",
        what=f"{what} could not be read, so nobody knows",
        way_out="run this with the rights of a cluster admin",
    )


def _fleet(seen: Installation) -> Iterator[Finding]:
    if seen.fleet is None:
        yield _error(
            code="NoFleet",
            what="there is no fleet object: nothing is wiped and nothing comes on offer",
            way_out="kubectl apply -f deploy/fleet.yaml",
        )
        return
    for each in seen.fleet.status.inventories:
        first = each.errors[0] if each.errors else "the controller has not said why"
        if each.refused:
            instead = "what was accepted before is" if each.accepted else "nothing of it is"
            yield _error(
                code="InventoryRefused",
                what=f"inventory {each.name} is refused, and {instead} in force: {first}",
                way_out="mend it: kubectl tidb-volume validate shows each place",
            )
        elif each.errors:
            yield Finding(
                code="InventoryWarning",
                severity="warning",
                what=f"inventory {each.name} is in force, but {first}",
                way_out="kubectl tidb-volume status shows all that is said of it",
            )


def _leader(seen: Installation) -> Iterator[Finding]:
    if seen.renewed is None:
        yield _unread("LeaderUnknown", "the volume-controller's lease")
        return
    silent = seen.now - parse_instant(seen.renewed) if seen.renewed else None
    if silent is None or silent > SILENT_S:
        since = f" since {format_duration(silent)}" if silent is not None else ""
        yield _error(
            code="NoLeader",
            what=f"no volume-controller leads{since}: nothing comes on offer, nothing is wiped; pods go on",
            way_out="kubectl get pods -A -l app.kubernetes.io/name=volume-controller",
        )


def _policies(seen: Installation) -> Iterator[Finding]:
    if seen.policies is None or seen.bindings is None:
        yield _unread("PoliciesUnknown", "the admission policies")
        return
    there = {each.metadata.name: each.spec for each in seen.policies}
    bound: dict[str, list[dict[str, Any]]] = {}
    for each in seen.bindings:
        bound.setdefault(each.spec.get("policyName", ""), []).append(each.spec)
    for name, harm in POLICIES.items():
        bindings, digest = bound.get(name, []), policies.DIGESTS[name]
        code, problem = _weakness(there.get(name), bindings, digest, seen.namespace)
        if problem:
            yield _error(
                code=code,
                what=f"admission policy {name} {problem}: {harm}",
                way_out=f"kubectl apply -k {'deploy/base-crds' if name == KEEP_RECORDS else 'deploy/'}",
            )


def _weakness(
    spec: dict[str, Any] | None, bindings: list[dict[str, Any]], digest: str, namespace: str
) -> tuple[str, str]:
    """The code of what is wrong with a policy, and what; empty: it is this version's, and in force."""
    if spec is None:
        return "PolicyMissing", "is missing"
    if spec.get("failurePolicy", "Fail") != "Fail":
        return "PolicyWeak", "lets through what it cannot judge (failurePolicy)"
    denies = [each for each in bindings if "Deny" in each.get("validationActions", ())]
    if not denies:
        return "PolicyWeak", "is bound nowhere, or only warns"
    if all(each.get("matchResources") or each.get("paramRef") for each in denies):
        return "PolicyWeak", "is bound to some objects alone (matchResources, paramRef)"
    if policies.digest(spec, namespace) != digest:
        return "PolicyDiffers", "is not the one of this version: changed, or older or newer than this tool"
    return "", ""


def _daemons(seen: Installation) -> Iterator[Finding]:
    if seen.daemons is None:
        yield _unread("DaemonsUnknown", "the pods of the disk-daemon")
        return
    ready = {each.spec.node_name for each in seen.daemons if is_ready(each)}
    without = sorted({volume.spec.node_name for volume in seen.volumes} - ready)
    if without:
        yield _error(
            code="DaemonMissing",
            what=f"no disk-daemon is Ready on {_named(without)}: nothing is made ready or wiped there",
            way_out=f"kubectl get pods -A -o wide -l {names.LABEL_APP}={names.DAEMON}",
        )


def _named(nodes: list[str]) -> str:
    return ", ".join(nodes[:5]) + (f" and {len(nodes) - 5} more" if len(nodes) > 5 else "")


def _virtual_disks(seen: Installation) -> Iterator[Finding]:
    if seen.nodes is None:
        yield _unread("NodesUnknown", "what the daemons report of their nodes")
        return
    accepting = sorted(each.metadata.name for each in seen.nodes if each.status.virtual_disks)
    if accepting:
        count = sum(1 for volume in seen.volumes if volume.status.identity and volume.status.identity.virtual)
        yield Finding(
            code="VirtualDisks",
            severity="warning",
            what=f"loop devices pass for disks on {_named(accepting)} (volumes: {count}): what is on "
            "them goes with the disk that their files lie on",
            way_out="for test clusters alone: elsewhere take --virtual-disks from the daemon's arguments",
        )


def _classes(seen: Installation) -> Iterator[Finding]:
    if seen.classes is None:
        yield _unread("ClassesUnknown", "the StorageClasses")
        return
    known = {each.metadata.name: each for each in seen.classes}
    for pool in sorted({volume.spec.pool for volume in seen.volumes if volume.spec.pool}):
        found = known.get(pool)
        if found is None:
            yield _error(
                code="ClassMissing",
                what=f"pool {pool} has no StorageClass of its name: no claim can ask for its disks",
                way_out="the volume-controller makes it; see its log for why it does not",
            )
        elif found.volume_binding_mode != BINDING_MODE:
            yield _error(
                code="ClassImmediate",
                what=f"StorageClass {pool} binds claims before their pod is placed: on any node, for good",
                way_out=f"delete the class and let it be made anew; it has to have {BINDING_MODE}",
            )


def _orphans(seen: Installation) -> Iterator[Finding]:
    if seen.pvs is None:
        yield _unread("VolumesUnknown", "the PersistentVolumes")
        return
    known = {volume.metadata.name for volume in seen.volumes}
    for pv in seen.pvs:
        of = pv.metadata.labels.get(names.LABEL_DISK, "")
        if of and of not in known:
            yield Finding(
                code="Orphan",
                severity="warning",
                what=f"PersistentVolume {pv.metadata.name} is of disk {of}, which no TidbVolume is for",
                way_out="list the disk again, and its record is made anew beside it; nothing of it is wiped",
            )
