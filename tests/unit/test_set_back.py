"""A leader that runs on while etcd is set back: what it did may not have been done, so it forgets it all."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from tests.api.bench import Disks, until
from tests.model.apiserver import ApiServer
from tests.model.kube_controllers import KubeControllers
from tidb_volume import names
from tidb_volume.kube import kinds
from tidb_volume.value import Phase, Source, Volume
from volume_controller.app import App, Settings

NAMESPACE = "tidb-volume"
NODE = "n1"
INVENTORY = "defaultPool: p\npools: {p: {onRelease: wipe, wipeAfter: AFTER}}\nnodes: {n1: [/data/a]}"
DISK = names.volume_name(NODE, Source(path="/data/a"))


class Rig:
    """A controller, a daemon and Kubernetes' own controllers on an API server in memory."""

    def __init__(self, kind: type[ApiServer] = ApiServer, wipe_after: str = "0s") -> None:
        self.server = kind(now=time.time, blocking=True)
        self.api = self.server.client()
        self.kube = KubeControllers(self.server)
        budget = {"wipesPerHour": 10**6, "percent": 100, "atLeast": 10**6}
        self.api.create(
            kinds.TIDB_VOLUME_FLEET, {"metadata": {"name": names.FLEET}, "spec": {"budget": budget}}
        )
        self.api.create(kinds.NODE, {"metadata": {"name": NODE, "labels": {names.HOSTNAME: NODE}}})
        pod = {
            "metadata": {"name": "disk-daemon", "labels": {names.LABEL_APP: names.DAEMON}},
            "spec": {"nodeName": NODE, "containers": [{"name": "main", "image": "none"}]},
        }
        self.api.create(kinds.DAEMON_POD, pod, NAMESPACE)
        ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
        self.api.merge_patch(kinds.DAEMON_POD, "disk-daemon", ready, NAMESPACE, subresource="status")
        listed = {"metadata": {"name": "disks", "labels": {names.LABEL_INVENTORY: "true"}}}
        inventory = INVENTORY.replace("AFTER", wipe_after)
        self.api.create(kinds.CONFIG_MAP, {**listed, "data": {"disks.yaml": inventory}}, NAMESPACE)
        self.disks = Disks(self.server.client("daemon"), NODE)
        settings = Settings(
            namespace=NAMESPACE, identity="one", host="one", metrics_host="127.0.0.1", metrics_port=0
        )
        self.app = App(self.server, settings)
        self.thread = threading.Thread(target=self.app.run, name="app")
        self.thread.start()

    def close(self) -> None:
        self.app.stop()
        self.server.cut_watches()
        self.thread.join()
        self.disks.close()

    def wait(self, phase: Phase, reason: str) -> Volume:
        def look() -> Volume | None:
            self.kube.settle()
            found = self.api.find(kinds.TIDB_VOLUME, DISK)
            fits = found is not None and (found.status.phase, found.status.reason) == (phase, reason)
            return found if fits else None

        return until(f"{phase} {reason}", look)

    def others_write(self) -> None:
        """So much that versions do not catch up at once with where they were (see kube/reflector.py)."""
        for number in range(100):
            self.api.create(kinds.CONFIG_MAP, {"metadata": {"name": f"of-others-{number}"}}, "default")

    def cordon(self) -> None:
        self.api.merge_patch(kinds.TIDB_VOLUME, DISK, {"spec": {"admin": {"cordon": True}}})


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.close()


@pytest.mark.parametrize("bump", [0, 10**9])
def test_a_delete_that_etcd_has_forgotten_does_not_explain_the_next_one(rig: Rig, bump: int) -> None:
    """Else a volume that goes by hand, and that anybody may have had meanwhile, counts as one that its own
    controller took back unused."""
    offered = rig.wait(Phase.AVAILABLE, "OnOffer").status
    backup = rig.server.snapshot()
    rig.others_write()
    rig.cordon()
    rig.wait(Phase.PENDING, "Cordoned")
    assert rig.api.find(kinds.PV, offered.volume_name) is None

    rig.server.restore(backup, bump=bump)
    rig.wait(Phase.AVAILABLE, "OnOffer")
    assert rig.api.find(kinds.PV, offered.volume_name) is not None
    rig.api.delete(kinds.PV, offered.volume_name)
    found = rig.wait(Phase.RELEASED, "GoneByHand")
    assert found.status.tenancy == offered.tenancy
