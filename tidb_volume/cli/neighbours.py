"""What stands around disks, read for one command: other names, volumes of others, the same disk elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from tidb_volume import names
from tidb_volume.cli.reader import Reader
from tidb_volume.inventory import expand
from tidb_volume.inventory.expand import Desired
from tidb_volume.kube import kinds
from tidb_volume.life import conflict, foreign, places
from tidb_volume.life.around import Around, around
from tidb_volume.upstream import Node, Pv
from tidb_volume.value import Volume


class Neighbours:
    """All surveys, PersistentVolumes and volumes of the cluster; where one may not be read, less is known."""

    def __init__(self, api: Reader, wanted: Desired, nodes: Sequence[Node]) -> None:
        self._nodes = {node.metadata.name: node for node in nodes}
        found = api.optional(lambda: api.api.list(kinds.TIDB_VOLUME_NODE)[0], ())
        self._reports = {each.metadata.name: each.status for each in found}
        self._pvs: dict[tuple[str, str], list[Pv]] = {}
        for pv in api.optional(lambda: api.api.list(kinds.PV)[0], ()):
            for key in foreign.found_by(pv):
                self._pvs.setdefault(key, []).append(pv)
        said = [conflict.peer_of(volume) for volume in api.optional(api.volumes, ())]
        self._peers = [peer for peer in said if peer is not None]
        for name, report in self._reports.items():
            if name in self._nodes:
                self._peers += conflict.peers_in(name, report)
        self._forbids = expand.Forbids(wanted.never)

    def around(self, volume: Volume) -> Around:
        """What stands around one volume's disk, as the leading controller would see it."""
        name = volume.spec.node_name
        report = self._reports.get(name)
        if report is None:
            return Around(never=places.forbidden(volume, None, self._forbids))
        node, at = self._nodes.get(name), places.place(volume, report)
        hostname = node.metadata.labels.get(names.HOSTNAME, "") if node is not None else ""
        theirs = {
            pv.metadata.name: pv
            for key in foreign.asked_for(volume, at, hostname)
            for pv in self._pvs.get(key, ())
        }
        return around(
            volume,
            node,
            report,
            at,
            theirs.values(),
            self._peers,
            lambda: conflict.raised(name, report, self._peers),
            self._forbids,
        )
