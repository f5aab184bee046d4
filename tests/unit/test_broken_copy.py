"""A copy of the inventory that somebody damaged: nothing is decided on it, and that is said."""

from __future__ import annotations

import threading

from tests.api.bench import until
from tests.unit.test_set_back import NAMESPACE, Rig
from tidb_volume import names
from tidb_volume.inventory.merge import KEPT_KEY
from tidb_volume.kube import kinds
from tidb_volume.value import Phase
from volume_controller.app import App, Settings

COPY = f"{names.LAST_GOOD}disks"


def test_a_damaged_copy_stands_in_the_fleets_status_until_it_is_mended() -> None:
    rig = Rig()
    try:
        rig.wait(Phase.AVAILABLE, "OnOffer")
        broken = {"data": {KEPT_KEY: "{"}}
        rig.api.merge_patch(kinds.CONFIG_MAP, COPY, broken, NAMESPACE)
        rig.app.stop()
        rig.server.cut_watches()
        rig.thread.join()
        settings = Settings(
            namespace=NAMESPACE, identity="two", host="two", metrics_host="127.0.0.1", metrics_port=0
        )
        rig.app = App(rig.server, settings)
        rig.thread = threading.Thread(target=rig.app.run, name="app")
        rig.thread.start()

        def said() -> str:
            fleet = rig.api.get(kinds.TIDB_VOLUME_FLEET, names.FLEET)
            return "\n".join(error for each in fleet.status.inventories for error in each.errors)

        found = until("the error in the fleet's status", said)
        assert COPY in found
        assert KEPT_KEY in found
        assert rig.api.get(kinds.CONFIG_MAP, COPY, NAMESPACE).data[KEPT_KEY] == "{"

        rig.api.delete(kinds.CONFIG_MAP, COPY, NAMESPACE)
        until("the copy made anew", lambda: rig.api.find(kinds.CONFIG_MAP, COPY, NAMESPACE))
        until("nothing said any more", lambda: not said())
    finally:
        rig.close()
