"""Who else shows a disk, out of the controller's stores: as many as tell something, and all who must."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.test_controller_daemons import volume
from tidb_volume.inventory.expand import Desired
from tidb_volume.kube.queue import Queue
from tidb_volume.life.around import Around
from tidb_volume.units import Instant
from tidb_volume.value import DiskReport, Identity, Presence, Volume
from volume_controller import snapshot
from volume_controller.cluster import SHARED, Cluster, Wanted

SERIAL = Identity(serial="drive-scsi0", model="QEMU HARDDISK", size_bytes=1 << 30)


def shows(name: str, node: str, *, established: bool) -> Volume:
    """A volume whose disk has the serial that all have."""
    made = volume(name, node)
    disk = DiskReport(presence=Presence.OK, identity=SERIAL)
    status = msgspec.structs.replace(made.status, disk=disk, identity=SERIAL if established else None)
    return msgspec.structs.replace(made, status=status)


def around(cluster: Cluster, newcomer: Volume) -> Around:
    wanted = Wanted(Desired(), {})
    return snapshot.world(cluster, wanted, newcomer, snapshot.Memory(), "one", Instant(0)).around


@pytest.mark.parametrize("established", [True, False])
def test_a_disk_under_two_names_of_one_node_is_not_told_apart_however_many_share_its_serial(
    established: bool,
) -> None:
    """Else a person, told of the other machines alone, would have one disk offered twice."""
    cluster = Cluster(Queue(), "tidb-volume")
    for number in range(SHARED):
        cluster.volumes.put(shows(f"other-{number}", f"m{number}", established=True))
    newcomer = shows("new", "n1", established=False)
    cluster.volumes.put(newcomer)
    assert around(cluster, newcomer).apart
    cluster.volumes.put(shows("old", "n1", established=established))
    found = around(cluster, newcomer)
    assert (found.apart, "of volume old" in found.twin) == (False, True)
