"""One disk under two names, or on two nodes: the newcomer is refused.

Established is a volume whose disk is on record (`status.identity`), and nothing that another volume or
another node says takes it off offer. A newcomer's disk is not put on record while anybody else shows it, so
there is never more than one that was first. A node that shows many disks of others is not to be believed
about any of its new ones: a cloned machine, or a set of serials that tell nothing.

A disk and a partition of it are one disk here: what is written through either is the other's. Two partitions
of one disk are two, on one node; what another node shows of a disk counts for all of it (decision 0313).

Two disks with the same facts (virtual machines whose disks all have one serial) look like one disk that two
nodes see. A person can tell, and says so of one newcomer at a time (decision 0306).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tidb_volume import identity
from tidb_volume.value import Identity, NodeReport, Presence, Value, Volume

MANY = 3
"""So many disks of other nodes' volumes on one node put aside all that is new there."""


class Peer(Value):
    """Somebody else who shows a disk: a volume, or a node's survey."""

    node: str
    identity: Identity
    name: str
    """The volume's path or device; the survey's name of the disk."""
    volume: str = ""
    """Empty: the survey's word alone."""
    established: bool = False


def is_established(volume: Volume) -> bool:
    """Whether a volume's disk is on record."""
    return volume.status.identity is not None


def new_identity(volume: Volume) -> Identity | None:
    """The disk that would go on record for a volume: a newcomer's, or the one in place of the recorded one.
    None: nothing is new."""
    disk = volume.status.disk
    if disk is None or (is_established(volume) and disk.presence is not Presence.WRONG_DISK):
        return None
    return disk.identity


def peer_of(volume: Volume) -> Peer | None:
    """What a volume says of a disk to the others; None: nothing yet."""
    disk = volume.status.disk
    shown = volume.status.identity or (disk.identity if disk is not None else None)
    if shown is None:
        return None
    return Peer(
        node=volume.spec.node_name,
        identity=shown,
        volume=volume.metadata.name,
        name=str(volume.spec.source),
        established=is_established(volume),
    )


def peers_in(node: str, report: NodeReport) -> list[Peer]:
    """What a node's survey says of whole disks."""
    return [
        Peer(node=node, identity=disk.identity, name=disk.name)
        for disk in report.disks
        if disk.identity is not None and not disk.identity.partition
    ]


def _is_same(seen: Identity, node: str, other: Peer) -> bool:
    if other.node == node:
        return bool(other.volume) and identity.overlap(other.identity, seen)
    return identity.same_on_another_node(other.identity, seen)


def raised(node: str, report: NodeReport | None, peers: Iterable[Peer]) -> tuple[Peer, ...]:
    """The volumes of other nodes whose recorded disks a node's survey shows as its own, but for those that it
    has on record too: which of both is which was settled then.

    peers: who shares a fact with one of its disks, its own volumes too.
    """
    peers = list(peers)
    elsewhere = [peer for peer in peers if peer.established and peer.node != node]
    if report is None:
        return ()
    settled = [peer.identity for peer in peers if peer.established and peer.node == node]
    own = [
        each.identity
        for each in peers_in(node, report)
        if not any(identity.same_on_another_node(known, each.identity) for known in settled)
    ]
    return tuple(peer for peer in elsewhere if any(_is_same(each, node, peer) for each in own))


def _same(volume: Volume, peers: Iterable[Peer]) -> list[Peer]:
    """Who else shows the disk that is new for a volume."""
    seen, node = new_identity(volume), volume.spec.node_name
    if seen is None:
        return []
    return [peer for peer in peers if peer.volume != volume.metadata.name and _is_same(seen, node, peer)]


def is_apart(volume: Volume, peers: Iterable[Peer]) -> bool:
    """Whether all who show a volume's disk are on other nodes, so that it may be another one with the same
    facts. Two names on one node are one disk, whatever anybody says."""
    return all(peer.node != volume.spec.node_name for peer in _same(volume, peers))


def twin(volume: Volume, peers: Iterable[Peer], raised: Callable[[], tuple[Peer, ...]]) -> str:
    """Why a newcomer's disk is not taken up, with the way out, for people; empty: it is nobody else's.

    peers: everybody who shares a fact with it, the volume itself may be among them. raised: what its node
    raises, which is asked only where nobody shows that very disk.
    """
    seen, node = new_identity(volume), volume.spec.node_name
    if seen is None:
        return ""
    same = _same(volume, peers)
    if same:
        first = min(
            same,
            key=lambda peer: (
                peer.node != node,
                not peer.established,
                not peer.volume,
                peer.node,
                peer.name,
            ),
        )
        said = _words(node, seen, first)
        return said if first.node == node else f"{said}; {_or_apart(volume)}"
    raised_by_node = raised()
    if len(raised_by_node) >= MANY:
        shown = ", ".join(sorted(peer.volume for peer in raised_by_node)[:MANY])
        return (
            f"node {node} shows {len(raised_by_node)} disks that are on record elsewhere ({shown}), so none"
            " of its new ones is taken up; if the machine was cloned or the disks were moved, end one of"
            f" both; {_or_apart(volume)}"
        )
    return ""


def _or_apart(volume: Volume) -> str:
    return (
        "where they are two disks with the same facts, as virtual machines may have them, give each a serial"
        f" of its own, or say so: kubectl tidb-volume accept-identity {volume.metadata.name}"
    )


def _words(node: str, seen: Identity, other: Peer) -> str:
    facts = identity.words(seen)
    if not other.volume:
        return f"node {other.node} shows this disk too, as {other.name} ({facts}); detach it from one of them"
    if other.node == node:
        first = "which had it first" if other.established else "and neither had it first"
        what, way = "the same disk", ""
        if seen.partition != other.identity.partition:
            what = "a partition of the same disk" if seen.partition else "all of the same disk"
            way = "; list a disk or partitions of it, not both"
        return f"{what} ({facts}) as {other.name} of volume {other.volume}, {first}{way}"
    if other.established:
        return (
            f"it is on record as volume {other.volume} of node {other.node} ({facts}); if the disk was moved"
            " here, end that record: remove its entry, then forget it"
        )
    return f"volume {other.volume} of node {other.node} shows it too ({facts}), and neither had it first"
