"""PersistentVolumes of others that cover a disk of ours: no alarm, and no second volume.

What counts is the device that such a volume's path leads to on that node, not how the path is spelled: it may
be a folder below the mount point, a bind mount, a symlink, or a device under another of its names. So only
`local` and `hostPath` can cover one: what a driver or a server provides (CSI, NFS) names no path of a node.

A fleet may have thousands of them, and most lie elsewhere. They are found by host and path (`found_by`,
`asked_for`), so that a look at a disk costs what covers it and not what exists.
"""

from __future__ import annotations

from collections.abc import Iterator

from tidb_volume import names
from tidb_volume.life.places import Place, lying_on, normal, ways_to
from tidb_volume.upstream import Node, NodeRequirement, NodeTerm, Pv
from tidb_volume.value import NodeReport, Volume

ANYWHERE = ""
"""Among `hosts`: the volume names no node by its hostname alone."""
LONGEST = 4096
"""PATH_MAX of Linux: a longer path leads nowhere."""


def disk_of(pv: Pv) -> str:
    """The TidbVolume that a PersistentVolume is of; empty: it is not ours.

    Told by its name and path, which nobody can change. A label can be taken away by whoever labels volumes,
    and then a second PersistentVolume would be made for the same disk. An imported one has no such name, and
    its label says whose it is; one that a person has kept has the name, and the root of a disk as its path.
    """
    disk, _, tenancy = pv.metadata.name.rpartition("-")
    if names.is_tenancy(tenancy):
        path = path_of(pv)
        ours = pv.metadata.annotations.get(names.PROVISIONED_BY) == names.PROVISIONER
        if ours or path in (names.block_node(tenancy), names.tenancy_folder(_mount(path), tenancy)):
            return disk
    return pv.metadata.labels.get(names.LABEL_DISK, "")


def _mount(path: str) -> str:
    return path.partition(f"/{names.FOLDER}/")[0]


def path_of(pv: Pv) -> str:
    """The path on a node that a PersistentVolume shows to pods; empty: it is none of that kind."""
    source = pv.spec.local or pv.spec.host_path
    return source.path if source is not None else ""


def hosts(pv: Pv) -> tuple[str, ...]:
    """The hostnames of the nodes on which a PersistentVolume of others may cover a disk, to find it by;
    ANYWHERE where it does not say. Empty: it covers no disk, or it is ours."""
    if not 0 < len(path_of(pv)) <= LONGEST or disk_of(pv):
        return ()
    found: set[str] = set()
    for term in _terms(pv):
        named = [each for each in term.match_expressions if each.key == names.HOSTNAME]
        found.update(*([each.values for each in named if each.operator == "In"] or [(ANYWHERE,)]))
    return tuple(found) or (ANYWHERE,)


def found_by(pv: Pv) -> Iterator[tuple[str, str]]:
    """Host and path, by each of which a PersistentVolume of others is found; none: it covers no disk."""
    for host in hosts(pv):
        for path in ways_to(path_of(pv)):
            yield host, path


def asked_for(volume: Volume, at: Place | None, hostname: str) -> Iterator[tuple[str, str]]:
    """Host and path of all that may cover a volume's disk, each as in `found_by`. hostname: of its node."""
    paths = dict.fromkeys((*(at.names if at is not None else ()), *_ours(volume)))
    for host in dict.fromkeys((hostname, ANYWHERE)):
        for path in paths:
            yield host, path


def _ours(volume: Volume) -> tuple[str, ...]:
    """By which paths a volume's disk goes without any survey."""
    source, tenancy = volume.spec.source, volume.status.tenancy
    mounted = (names.device_mount(volume.metadata.name),) if source.device else ()
    node = (names.block_node(tenancy),) if tenancy else ()
    return normal(str(source)), *mounted, *node


def _terms(pv: Pv) -> tuple[NodeTerm, ...]:
    affinity = pv.spec.node_affinity
    return affinity.required.node_selector_terms if affinity and affinity.required else ()


def may_be_used_on(pv: Pv, node: Node | None) -> bool:
    """Whether a PersistentVolume's node affinity admits a node; what cannot be told is a yes."""
    terms = _terms(pv)
    if not terms or node is None:
        return True
    return any(_admits(term, node) for term in terms)


def _admits(term: NodeTerm, node: Node) -> bool:
    fields = {"metadata.name": node.metadata.name}
    return all(_holds(each, node.metadata.labels) for each in term.match_expressions) and all(
        _holds(each, fields) for each in term.match_fields
    )


def _holds(wanted: NodeRequirement, labels: dict[str, str]) -> bool:
    """As the scheduler reads it (k8s.io/component-helpers, nodeaffinity); an unknown operator is a yes."""
    label = labels.get(wanted.key)
    match wanted.operator:
        case "In":
            return label in wanted.values
        case "NotIn":
            return label not in wanted.values
        case "Exists":
            return label is not None
        case "DoesNotExist":
            return label is None
        case "Gt" | "Lt":
            try:
                found, bound = int(labels[wanted.key]), int(wanted.values[0])
            except (KeyError, ValueError, IndexError):
                return False
            return found > bound if wanted.operator == "Gt" else found < bound
    return True


def covers(pv: Pv, volume: Volume, at: Place | None, report: NodeReport | None) -> bool:
    """Whether a PersistentVolume of others shows some of the disk that a volume's entry leads to.

    Where the survey does not show that disk there is nothing but the names to go by.
    """
    path = normal(path_of(pv))
    if is_our_place(path, volume):
        return True
    if at is not None and report is not None:
        return bool(at.devices & lying_on(path, report))
    return _is_at_or_below(path, normal(str(volume.spec.source)))


def is_among_our_places(path: str) -> bool:
    """Whether a path leads to where we show devices to pods, of whichever volume."""
    return path.startswith((names.device_mount(""), names.block_node("")))


def is_our_place(path: str, volume: Volume) -> bool:
    """Whether a path leads to where we show a volume's device to pods ourselves. Those are no names that the
    survey counts, and a PersistentVolume of another name with such a path is a copy of ours."""
    tenancy = volume.status.tenancy
    mounted = bool(volume.spec.source.device) and _is_at_or_below(
        path, names.device_mount(volume.metadata.name)
    )
    return mounted or (bool(tenancy) and path == names.block_node(tenancy))


def _is_at_or_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def said(pvs: tuple[Pv, ...]) -> str:
    """Those PersistentVolumes, for people."""
    shown = [f"{pv.metadata.name} ({path_of(pv)})" for pv in pvs[:3]]
    more = [f"{len(pvs) - 3} more"] if len(pvs) > 3 else []
    return ", ".join([*shown, *more])
