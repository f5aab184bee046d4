"""What stands around a disk and is seen by others than its own daemon's look at it: its other names, others'
PersistentVolumes, the same hardware elsewhere. Computed here for whoever decides, controller and CLI alike.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from tidb_volume.life import conflict, foreign, places
from tidb_volume.life.conflict import Peer
from tidb_volume.life.places import Place
from tidb_volume.upstream import Node, Pv
from tidb_volume.value import NodeReport, Value, Volume


class Around(Value):
    """What stands around one disk."""

    never: str = ""
    """The `never` glob that forbids it, under whichever name; empty: none."""
    foreign: str = ""
    """PersistentVolumes of others that cover it, for people; empty: none."""
    twin: str = ""
    """Why this newcomer is somebody else's disk, for people; empty: it is not, or it was first."""
    apart: bool = False
    """All who show that disk too are on other nodes: a person may say that they are two."""
    unsurveyed: bool = False
    """The node's survey does not show the disk yet, so that nobody knows what stands around it."""
    moved: str = ""
    """Of another disk than the recorded one: where that is by now, and the other's names, for people."""


def around(
    volume: Volume,
    node: Node | None,
    report: NodeReport | None,
    at: Place | None,
    pvs: Iterable[Pv],
    peers: Collection[Peer],
    raised: Callable[[], tuple[Peer, ...]],
    forbids: Callable[[str], str],
) -> Around:
    """What stands around a volume's disk.

    report: its node's survey. at: where its entry leads by that. pvs: those of others that may cover it.
    peers: who shares a fact with its disk. raised: the volumes elsewhere whose disks the node shows. forbids:
    the `never` globs.
    """
    theirs = tuple(
        pv
        for pv in pvs
        if not foreign.disk_of(pv)
        and foreign.may_be_used_on(pv, node)
        and foreign.covers(pv, volume, at, report)
    )
    twin = conflict.twin(volume, peers, raised)
    return Around(
        never=places.forbidden(volume, at, forbids),
        foreign=foreign.said(tuple(sorted(theirs, key=lambda pv: pv.metadata.name))),
        twin=twin,
        apart=bool(twin) and conflict.is_apart(volume, peers),
        unsurveyed=not places.is_surveyed(volume, report),
        moved=places.in_place_of(volume, report),
    )
