"""By which names the daemon looks for a PersistentVolume that still covers a disk."""

from __future__ import annotations

import pytest

from disk_daemon.api import pv_names
from tests.unit.daemon.cases import NEXT, OLD, OTHER, order, volume
from tidb_volume.value import Order


@pytest.mark.parametrize(
    ("given", "status", "journal", "found"),
    [
        (
            order(ends=OLD, pv_name=f"v-{OLD}"),
            {"tenancy": OLD, "volume_name": f"v-{OLD}"},
            (OLD,),
            [f"v-{OLD}"],
        ),
        (order(ends=OLD, pv_name="imported"), {}, (), ["imported", f"v-{OLD}"]),
        (order(ends="", pv_name=""), {}, (), []),
        (order(ends=""), {"volume_name": f"v-{OTHER}"}, (NEXT,), [f"v-{NEXT}", f"v-{OTHER}"]),
        (order(ends=OLD), {"tenancy": OTHER}, (NEXT, ""), [f"v-{OLD}", f"v-{NEXT}", f"v-{OTHER}"]),
    ],
)
def test_a_pv_is_looked_for_by_every_name_that_one_of_the_disk_can_have(
    given: Order, status: dict[str, str], journal: tuple[str, ...], found: list[str]
) -> None:
    assert pv_names("v", volume(given, **status), journal) == sorted(found)
    assert pv_names("v", None, journal) == sorted(f"v-{each}" for each in journal if each)
