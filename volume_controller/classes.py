"""A pool is a StorageClass: made where it is absent, checked where it is there, never changed.

WaitForFirstConsumer is what makes a local volume land beside its pod; with Immediate a claim is bound to any
node's disk before the scheduler has looked, and the pod may never fit there.
"""

from __future__ import annotations

from collections.abc import Callable

from tidb_volume.kube import kinds, transport
from tidb_volume.kube.client import Client
from tidb_volume.kube.events import Recorder, about
from tidb_volume.obs.log import Log
from tidb_volume.upstream import BINDING_MODE
from volume_controller.act import NotLeading
from volume_controller.cluster import Cluster

NO_PROVISIONER = "kubernetes.io/no-provisioner"

_log = Log(__name__)


class ClassKeeper:
    """Sees to it that each pool in use has its StorageClass."""

    def __init__(
        self, api: Client, cluster: Cluster, recorder: Recorder, leading: Callable[[], bool]
    ) -> None:
        self._api = api
        self._cluster = cluster
        self._recorder = recorder
        self._leading = leading

    def look(self, pool: str) -> None:
        """Make the pool's StorageClass, or say what is wrong with the one that is there."""
        wanted = self._cluster.wanted
        if wanted is None or all(disk.pool.name != pool for disk in wanted.desired.disks.values()):
            return
        found = self._cluster.classes.get(pool)
        if found is not None:
            if found.volume_binding_mode != BINDING_MODE:
                text = (
                    f"volumeBindingMode is {found.volume_binding_mode}: a claim is bound before its pod has a"
                    f" node; make the class again with {BINDING_MODE}"
                )
                self._recorder.say(about(kinds.STORAGE_CLASS, found), "WrongBindingMode", text, warning=True)
                _log.warning("storage class", pool=pool, binding=found.volume_binding_mode)
            return
        if not self._leading():
            raise NotLeading
        document = {
            "metadata": {"name": pool},
            "provisioner": NO_PROVISIONER,
            "volumeBindingMode": BINDING_MODE,
            "reclaimPolicy": "Delete",
        }
        try:
            self._cluster.classes.put(self._api.create(kinds.STORAGE_CLASS, document))
            _log.info("storage class made", pool=pool)
        except transport.ApiError as error:
            if not error.exists:
                raise
