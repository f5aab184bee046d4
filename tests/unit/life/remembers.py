"""What the tests of a volume's memory have in common."""

from __future__ import annotations

from tests.unit.life.worlds import CLAIM, NEXT, NOW, WIPED, but, change, pv, work
from tidb_volume.life import memory
from tidb_volume.life.look import look
from tidb_volume.life.world import World
from tidb_volume.value import Identity, VolumeStatus, WorkState

NEW = Identity(serial="S2", size_bytes=200, fs_uuid="u2")
UNBORN = change(CLAIM, uid="")
ENDING = "2027-01-01T00:00:00Z"
REFUSED = work(WorkState.REFUSED, "HasData")
NEW_OFFER = but(WIPED, pvs=(pv(NEXT),))
"""The wipe is done, and its new offer is made, but not on record yet."""


def remembered(world: World) -> VolumeStatus:
    return memory.remember(world, look(world), NOW)
