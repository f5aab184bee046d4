"""What is measured of the inventory: each ConfigMap, refused or in force, and what is said against it."""

from __future__ import annotations

from tests.model.apiserver import ApiServer
from tests.unit.test_terms import Rig
from tidb_volume import names
from tidb_volume.fleet import Fleet, FleetStatus, InventoryStatus
from tidb_volume.inventory.codes import Severity
from tidb_volume.value import Meta
from volume_controller.app import App, Settings


class Led:
    """An app of which the test says whether it leads."""

    def __init__(self) -> None:
        self.app = App(ApiServer(), Settings(namespace="ns", identity="a_1", host="a"))
        self.leads = True
        self.app._elector.is_leader = lambda: self.leads  # type: ignore[method-assign]

    def series(self, name: str) -> list[str]:
        text = self.app._metrics.render()[1].decode()
        head = f"tidb_volume_{name}{{"
        return sorted(line.removeprefix(head) for line in text.splitlines() if line.startswith(head))


def test_whether_each_config_map_is_in_force_is_the_fleets_status() -> None:
    led = Led()
    assert led.series("inventory_in_force") == []
    inventories = (
        InventoryStatus(name="sound", hash="1", accepted="1", errors=("a warning",)),
        InventoryStatus(name="edited", hash="2", accepted="1"),
        InventoryStatus(name="never", hash="2"),
        InventoryStatus(name="gone", errors=("what outlives it",)),
    )
    status = FleetStatus(inventories=inventories)
    led.app._cluster.fleets.put(
        Fleet(metadata=Meta(name=names.FLEET, uid="u", resource_version="1"), status=status)
    )
    for led.leads in (True, False):
        assert led.series("inventory_in_force") == [
            'config_map="edited"} 0.0',
            'config_map="never"} 0.0',
            'config_map="sound"} 1.0',
        ]


def test_what_is_against_a_config_map_is_the_leaders_word_alone() -> None:
    led = Led()
    said = {Severity.ERROR: 2, Severity.WARNING: 1, Severity.CONFLICT: 0}
    led.app._cluster.said_of_inventory = {"a": said}
    assert led.series("inventory_problems") == [
        'config_map="a",severity="conflict"} 0.0',
        'config_map="a",severity="error"} 2.0',
        'config_map="a",severity="warning"} 1.0',
    ]
    led.leads = False
    assert led.series("inventory_problems") == []


def test_what_is_found_at_a_look_is_what_is_counted() -> None:
    rig = Rig()
    assert rig.cluster.said_of_inventory == {"disks": dict.fromkeys(Severity, 0)}
    rig.add_inventory("disks", "nodes: {n1: [data, more]}")
    rig.keeper().look()
    assert rig.cluster.said_of_inventory["disks"][Severity.ERROR] == 2
