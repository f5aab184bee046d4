"""What remains when tidb-volume is taken off a cluster, and what has to be done so that it remains.

Pods, claims, PersistentVolumes and data are Kubernetes' and the node's own, and need none of our programs. A
disk that the admin mounted is mounted by him after a boot, too. Two things are our daemon's, and are missing
after the first boot without it: the mount of a device with a file system, and the node of a raw device. What
replaces them is computed here (`boot`), and what nobody will take care of any more is named.

Records and CRDs go by a step of their own, once nothing is forgotten by it that would be missed.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from tidb_volume import boot, names
from tidb_volume.doctor import SILENT_S
from tidb_volume.identity import same_hardware
from tidb_volume.life import foreign
from tidb_volume.units import parse_instant
from tidb_volume.upstream import DaemonPod, Pv
from tidb_volume.value import Content, DiskReport, Phase, Presence, Value, Volume, VolumeNode

Fate = Literal["bound", "released", "wiping", "failed", "free", "waits", "nothing"]
"""What somebody has to know of a disk before the programs go."""
Back = Literal["own", "unit", "rule", "missing", "none"]
"""What brings a disk back after a boot: the admin's own mount, a mount unit, a rule of udev's, nothing that
is known; none: it need not come back."""

FORGOTTEN: dict[Fate, str] = {
    "bound": "its claim keeps it; once released it is never wiped",
    "released": "it is never wiped, and the data stays where it is",
    "wiping": "a wipe past its point of no return ends where it is: half of the data may be left",
    "failed": "it is not tried again",
    "free": "it stays on offer, and is never wiped after the claim that takes it",
    "waits": "nobody decides about it any more",
    "nothing": "",
}
"""What becomes of it without us."""

PROGRAMS = ("kubectl delete -k deploy/controller", "kubectl delete -k deploy/daemon")
"""Step one. Who orders goes before who obeys."""
_CRDS = tuple(f"{each}.{names.GROUP}" for each in ("tidbvolumes", "tidbvolumenodes", "tidbvolumefleets"))


class Installation(Value):
    """What was read; None where it may not be."""

    now: float
    namespace: str
    """Of the controller."""
    volumes: tuple[Volume, ...]
    pvs: tuple[Pv, ...]
    """All of the cluster's: a label can be taken off."""
    nodes: tuple[VolumeNode, ...] | None
    daemons: tuple[DaemonPod, ...] | None
    renewed: str | None
    """When the controller's lease was renewed last (RFC 3339); empty: there is none."""


class Disk(Value):
    """What becomes of one disk."""

    volume: str
    source: str
    fate: Fate
    state: str
    claim: str
    """NAMESPACE/NAME of the claim that has or had it; empty: none."""
    pvs: tuple[str, ...]
    back: Back
    file: str = ""
    """That brings it back."""
    problem: str = ""
    """Why nothing brings it back."""
    way_out: str = ""
    """What a person does about that."""
    doubt: str = ""
    """What was not looked at, or is not as it was."""


class File(Value):
    """One file for a node."""

    name: str
    text: str


class OnNode(Value):
    """One node."""

    node: str
    disks: tuple[Disk, ...]
    files: tuple[File, ...]


class Records(Value):
    """The second step."""

    blocked: tuple[str, ...]
    """What has to be otherwise before."""
    lost: tuple[str, ...]
    """What nobody knows any more afterwards."""
    commands: tuple[str, ...]


class Remains(Value):
    """All of it."""

    nodes: tuple[OnNode, ...]
    strangers: tuple[str, ...]
    """PersistentVolumes of ours whose disk no TidbVolume is for: nothing is known of how they come back."""
    programs: tuple[str, ...]
    records: Records


def what(seen: Installation) -> Remains:
    """What becomes of every disk, and how the programs and then the records are taken away. Pure."""
    by_disk: dict[str, list[Pv]] = {}
    for pv in seen.pvs:
        of = foreign.disk_of(pv)
        if of:
            by_disk.setdefault(of, []).append(pv)
    by_node: dict[str, list[Volume]] = {}
    for volume in sorted(seen.volumes, key=lambda each: each.metadata.name):
        by_node.setdefault(volume.spec.node_name, []).append(volume)
    surveyed = {each.metadata.name: each for each in seen.nodes} if seen.nodes is not None else None
    nodes = tuple(_on_node(node, by_node[node], by_disk, surveyed) for node in sorted(by_node))
    known = {volume.metadata.name for volume in seen.volumes}
    strangers = sorted(
        pv.metadata.name for of, pvs in by_disk.items() if of not in known for pv in pvs if _path_is_ours(pv)
    )
    return Remains(
        nodes=nodes,
        strangers=tuple(strangers),
        programs=PROGRAMS,
        records=_records(seen, nodes, strangers),
    )


def _path_is_ours(pv: Pv) -> bool:
    path = foreign.path_of(pv)
    return path.startswith((names.device_mount(""), names.block_node("")))


# --- one node -------------------------------------------------------------------------------------------


def _on_node(
    node: str,
    volumes: Sequence[Volume],
    by_disk: Mapping[str, Sequence[Pv]],
    surveyed: Mapping[str, VolumeNode] | None,
) -> OnNode:
    disks: list[Disk] = []
    files: list[File] = []
    rules: list[str] = []
    survey = surveyed.get(node) if surveyed is not None else None
    for volume in volumes:
        pvs = tuple(by_disk.get(volume.metadata.name, ()))
        fate = _fate(volume, pvs)
        back: Back = "none"
        file = problem = way_out = doubt = ""
        try:
            if not _is_to_come_back(volume, fate, pvs):
                pass
            elif volume.spec.source.path:
                back = "own"
            elif _is_block(volume, pvs):
                doubt = _doubt(volume, survey, block=True)
                rules.append(_rules(volume, pvs, survey))
                back, file = "rule", boot.RULES_FILE
            else:
                doubt = _doubt(volume, survey, block=False)
                unit = _unit(volume, pvs, volumes)
                files.append(File(name=unit.name, text=unit.text))
                back, file = "unit", unit.name
        except boot.Unfit as error:
            back, problem, way_out = "missing", str(error), _by_hand(volume, pvs)
        disks.append(
            Disk(
                volume=volume.metadata.name,
                source=str(volume.spec.source),
                fate=fate,
                state=volume.status.state or volume.status.phase.value,
                claim=_claim(volume, pvs),
                pvs=tuple(sorted(pv.metadata.name for pv in pvs)),
                back=back,
                file=file,
                problem=problem,
                way_out=way_out,
                doubt=doubt,
            )
        )
    if rules:
        head = (
            "# Raw devices of tidb-volume under the names that their PersistentVolumes have, by what the\n"
            "# hardware shows: a disk with other facts gets no name, and its pod waits.\n"
            "# Written by kubectl tidb-volume uninstall.\n"
        )
        files.append(File(name=boot.RULES_FILE, text=head + "".join(rules)))
    return OnNode(node=node, disks=tuple(disks), files=tuple(files))


def _fate(volume: Volume, pvs: Sequence[Pv]) -> Fate:
    """Kubernetes' own word goes first: with the programs gone nobody keeps the record up."""
    status = volume.status
    if any(pv.status.phase == "Bound" for pv in pvs):
        return "bound"
    if status.phase is Phase.WIPING or status.committed:
        return "wiping"
    if status.phase is Phase.FAILED:
        return "failed"
    if any(pv.status.phase in ("Released", "Failed") for pv in pvs):
        return "released"
    if pvs:
        return "free"
    if status.phase in (Phase.BOUND, Phase.RELEASED):
        return "released"
    return "waits" if status.dirty or status.question is not None else "nothing"


def _claim(volume: Volume, pvs: Sequence[Pv]) -> str:
    owner = volume.status.owner
    if owner is not None and owner.claim is not None:
        return str(owner.claim)
    return next((str(pv.spec.claim_ref) for pv in pvs if pv.spec.claim_ref is not None), "")


def _is_to_come_back(volume: Volume, fate: Fate, pvs: Sequence[Pv]) -> bool:
    """A pod may have it, or somebody may want what is on it. A raw device without a PersistentVolume has no
    name that anybody looks for."""
    if fate == "wiping":
        return False
    if pvs:
        return True
    return (fate == "released" or volume.status.dirty) and not _is_block(volume, pvs)


def _is_block(volume: Volume, pvs: Sequence[Pv]) -> bool:
    """What it is now: an edit that waits changes no disk."""
    if pvs:
        return any(pv.spec.volume_mode == "Block" for pv in pvs)
    disk = volume.status.disk
    made = disk.made if disk is not None else ""
    return made == "Block" if made else volume.spec.volume_mode == "Block"


def _by_hand(volume: Volume, pvs: Sequence[Pv]) -> str:
    """What a person does after each boot for a disk that nothing brings back."""
    device = shlex.quote(volume.spec.source.device)
    if not _is_block(volume, pvs):
        where = shlex.quote(names.device_mount(volume.metadata.name))
        return f"look at {device}; if it is that disk, mount it at {where} by a unit or a line of your own"
    path = shlex.quote(next((foreign.path_of(pv) for pv in pvs), names.block_node(volume.status.tenancy)))
    folder = names.block_node("").rstrip("/")
    return f"after each boot look at {device}; if it is that disk: mkdir -p {folder} && ln -s {device} {path}"


def _doubt(volume: Volume, survey: VolumeNode | None, *, block: bool) -> str:
    disk = volume.status.disk
    if disk is None or disk.presence is not Presence.OK:
        why = f"{disk.presence.value}: {disk.message}" if disk is not None else "nothing was told of it"
        return f"by what is on record, since it is not seen as it should be now ({why})"
    if block and survey is None:
        return "whether another disk of its node shows the same facts is not known"
    return ""


def _unit(volume: Volume, pvs: Sequence[Pv], neighbours: Sequence[Volume]) -> boot.MountUnit:
    """The mount unit of a device with a file system. Raises Unfit."""
    name, disk = volume.metadata.name, volume.status.disk
    where = names.device_mount(name)
    for pv in pvs:
        path = foreign.path_of(pv)
        if path != where and not path.startswith(f"{where}/"):
            raise boot.Unfit(f"PersistentVolume {pv.metadata.name} shows {path or 'no path'}, not {where}")
    uuid = _uuid(volume)
    twins = [each.metadata.name for each in neighbours if each is not volume and uuid in _uuids(each)]
    if uuid and twins:
        raise boot.Unfit(
            f"{', '.join(twins)} shows the same file system's UUID, {uuid}: either may be mounted"
        )
    if disk is not None and disk.presence is Presence.OK:
        if disk.content is not Content.TENANCY:
            found = disk.content_note or disk.content.value
            raise boot.Unfit(f"what is on it is not the tenancy that is on record: {found}")
        kind, *options = disk.made.split() or [""]
        return boot.mount_unit(name, uuid, kind, options)
    if any(each.type == "EditPending" for each in volume.status.conditions):
        raise boot.Unfit(
            "it is not seen, and its entry was edited since it was made: nobody knows how to mount it"
        )
    return boot.mount_unit(name, uuid, volume.spec.fs_type, volume.spec.mount_options)


def _uuid(volume: Volume) -> str:
    """Of the file system that is ours; empty: not known. Raises Unfit where record and disk disagree."""
    recorded = volume.status.identity.fs_uuid if volume.status.identity is not None else ""
    seen = _seen_uuid(volume.status.disk)
    if recorded and seen and recorded != seen:
        raise boot.Unfit(f"on record is file system {recorded}, on the disk is {seen}")
    return seen or recorded


def _seen_uuid(disk: DiskReport | None) -> str:
    if disk is None or disk.presence is not Presence.OK or disk.identity is None:
        return ""
    return disk.identity.fs_uuid


def _uuids(volume: Volume) -> set[str]:
    recorded = volume.status.identity.fs_uuid if volume.status.identity is not None else ""
    return {uuid for uuid in (recorded, _seen_uuid(volume.status.disk)) if uuid}


def _rules(volume: Volume, pvs: Sequence[Pv], survey: VolumeNode | None) -> str:
    """The lines for udev about a raw device. Raises Unfit."""
    recorded, disk = volume.status.identity, volume.status.disk
    seen = disk.identity if disk is not None and disk.presence is Presence.OK else None
    identity = recorded or seen
    if identity is None:
        raise boot.Unfit("no fact of its hardware is on record")
    boot.fact(identity)  # where it has none, that is the reason to be told
    if seen is not None and not same_hardware(identity, seen):
        raise boot.Unfit("on record is another disk than the one that is there")
    paths = {foreign.path_of(pv) for pv in pvs}
    tenancies = [path.removeprefix(names.block_node("")) for path in paths if names.block_node("") in path]
    if len(paths) != 1 or len(tenancies) != 1:
        raise boot.Unfit("its PersistentVolume names no device node of ours")
    lines = boot.rules(tenancies[0], identity)
    own = disk.device if disk is not None else ""
    alike = [
        each.name
        for each in (survey.status.disks if survey is not None else ())
        if each.identity is not None and each.device != own and boot.is_meant_too(identity, each.identity)
    ]
    if own and alike:
        raise boot.Unfit(f"{', '.join(alike)} of its node shows the same facts: either may get its name")
    if len(alike) > 1:
        raise boot.Unfit(f"{', '.join(alike)} show the facts on record: either may get its name")
    return f"# {volume.metadata.name}\n{lines}" if boot.is_folder(volume.metadata.name) else lines


# --- the second step ------------------------------------------------------------------------------------


def _records(seen: Installation, nodes: Sequence[OnNode], strangers: Sequence[str]) -> Records:
    disks = [disk for node in nodes for disk in node.disks]
    return Records(
        blocked=(*_still_there(seen), *_would_be_missed(seen, disks)),
        lost=tuple(_lost(seen, disks, strangers)),
        commands=(
            f"kubectl get {','.join(_CRDS)} -o yaml > tidb-volume-records.yaml",
            f"kubectl -n {seen.namespace} get configmaps -o yaml > tidb-volume-inventory.yaml",
            f"kubectl annotate crd {' '.join(_CRDS)} {names.GROUP}/delete-records=yes",
            f"kubectl annotate namespace {seen.namespace} {names.GROUP}/delete-records=yes",
            "kubectl delete -k deploy/people",
            "kubectl delete -k deploy/admission",
            "kubectl delete -k deploy/base-crds",
        ),
    )


def _still_there(seen: Installation) -> Iterator[str]:
    """Whether step one is done. What could not be read is not taken for done."""
    if seen.renewed is None:
        yield "whether a volume-controller still leads could not be read"
    elif seen.renewed and seen.now - parse_instant(seen.renewed) < SILENT_S:
        yield f"a volume-controller still leads, or did within {SILENT_S:.0f} s: take the programs away first"
    if seen.daemons is None:
        yield "whether a disk-daemon still runs could not be read"
    elif seen.daemons:
        yield f"{_some([each.spec.node_name for each in seen.daemons])} still has a disk-daemon"


def _would_be_missed(seen: Installation, disks: Sequence[Disk]) -> Iterator[str]:
    dirty = {each.metadata.name for each in seen.volumes if each.status.dirty}
    for disk in disks:
        if disk.fate == "wiping":
            yield f"{disk.volume}: its wipe is past the point of no return, and only the record says so"
        elif disk.volume in dirty and not disk.pvs:
            yield f"{disk.volume}: a claim had it, it was not wiped since, and only the record says so"


def _lost(seen: Installation, disks: Sequence[Disk], strangers: Sequence[str]) -> Iterator[str]:
    yield f"the record of {len(seen.volumes)} disks: owner, tenancy, identity, the last ten of its history"
    bound = sum(disk.fate == "bound" for disk in disks)
    if bound:
        yield f"whose data is to be wiped: {bound} bound disks keep claim and pods, and are never wiped after"
    yield "every hold, gate, cordon and answer; the pause, the breaker's budget and what was spent of it"
    yield "the rule that nobody clears a claimRef: who does it puts a used disk on offer, with the data on it"
    yield f"namespace {seen.namespace} with all that is in it, your inventory ConfigMaps too"
    released = [disk.volume for disk in disks if disk.fate in ("released", "failed") and disk.pvs]
    if released:
        yield f"when {_some(released)} would be wiped; that it was released is on its PersistentVolume"
    missing = [disk.volume for disk in disks if disk.back == "missing"]
    if missing:
        yield f"the facts by which to find {_some(missing)}, which nothing brings back after a boot"
    if strangers:
        yield f"that PersistentVolume {_some(strangers)} is of a disk of ours"


def _some(words: Sequence[str]) -> str:
    several = sorted(words)
    return ", ".join(several[:5]) + (f" and {len(several) - 5} more" if len(several) > 5 else "")
