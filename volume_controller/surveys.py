"""What was seen of a machine is deleted when its Node has been gone for an hour and no volume of it is left,
nor the last line of one that is no more (docs/decisions/0209).

Nobody else does it. The daemon has no right to delete, and ends with its machine; an owner reference to the
Node would have to name a UID, which a machine that is registered anew does not keep, and the garbage
collector waits for nothing. Nothing is decided by the survey of a node that is not there; a machine that
comes back has a new daemon, which makes the object anew (docs/decisions/0127).
"""

from __future__ import annotations

from collections.abc import Callable

from tidb_volume.kube import kinds
from tidb_volume.kube.client import Client
from tidb_volume.obs.log import Log
from volume_controller.act import NotLeading
from volume_controller.cluster import BY_NODE, Cluster

GONE_S = 3600.0
"""A Node that is deleted and comes back sooner may find the daemon's pod still there, and that daemon writes
its survey anew only when it sees something new."""

_log = Log(__name__)


class SurveyKeeper:
    """Deletes what nobody needs any more. wall: seconds, by the API server's clock."""

    def __init__(
        self, api: Client, cluster: Cluster, leading: Callable[[], bool], wall: Callable[[], float]
    ) -> None:
        self._api, self._cluster, self._leading, self._wall = api, cluster, leading, wall
        self._gone_since: dict[str, float] = {}
        """By node: since when this leader knows it to be gone."""

    def look(self, node: str) -> float:
        """Delete the survey of a node, if it is time. Returns: in how many seconds to look again; 0: when
        something changes."""
        cluster = self._cluster
        report = cluster.reports.get(node)
        if report is None or cluster.nodes.get(node) is not None:
            self._gone_since.pop(node, None)
            return 0.0
        now = self._wall()
        left = self._gone_since.setdefault(node, now) + GONE_S - now
        if left > 0:
            return left
        if cluster.volumes.by_index(BY_NODE, node) or report.status.closed:
            return 0.0
        if self._api.find(kinds.NODE, node) is not None:
            return GONE_S  # our watch is behind
        if not self._leading():
            raise NotLeading
        meta = report.metadata
        kind = kinds.TIDB_VOLUME_NODE
        if self._api.delete(kind, node, uid=meta.uid, resource_version=meta.resource_version) is None:
            cluster.reports.remove(report)
            del self._gone_since[node]
        _log.info("survey deleted: its node is gone", node=node)
        return 0.0
