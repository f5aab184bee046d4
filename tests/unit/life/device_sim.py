"""One device's whole world in memory, as `simulate` is a folder's: with a file system of ours, or Block."""

from __future__ import annotations

from disk_daemon.jobs import Job
from tests.unit.life.cluster import NODE, Cluster, desired, pool
from tests.unit.life.device import Device, DeviceMachine, job_of
from tests.unit.life.device_child import DeviceChild
from tests.unit.life.disks import Item
from tests.unit.life.machine import Daemon
from tests.unit.life.simulate import Controller, Node, Sim, _claim
from tidb_volume import names
from tidb_volume.inventory.expand import DesiredDisk
from tidb_volume.inventory.model import PoolSettings
from tidb_volume.upstream import Claim, Pv
from tidb_volume.value import DiskReport, Identity, Source, Volume

DEVICE = Source(device="/dev/disk/by-id/nvme-X")
DEVICE_NAME = names.volume_name(NODE, DEVICE)
HARDWARE = Identity(virtual="8:17", size_bytes=1 << 30)


def entry(shape: str = "xfs", of: PoolSettings | None = None) -> DesiredDisk:
    """The entry of a device that is to be this: `Block`, or a file system's type."""
    block = shape == "Block"
    return desired(
        of or pool(after="0s"),
        name=DEVICE_NAME,
        source=DEVICE,
        volume_mode="Block" if block else "Filesystem",
        fs_type="" if block else shape,
    )


class DeviceNode(Node):
    """The daemons of a machine with a device, which mount what is ours; and its kubelet."""

    child = DeviceChild
    machine: DeviceMachine

    def _job(self, volume: Volume) -> Job:
        return job_of(volume, claim_uid=_claim(volume))

    def _report(self, volume: Volume) -> DiskReport:
        return self.machine.report_of(job_of(volume), volume, _claim(volume))

    def take_up(self) -> bool:
        """Mount, or show, what the journal has as ours."""
        volume = self.cluster.etcd.volume
        return volume is not None and self.machine.from_journal(job_of(volume, "mount"))

    def obey(self, daemon: Daemon) -> bool:
        acted = super().obey(daemon)
        return self.take_up() or acted

    def kubelet(self) -> None:
        etcd, machine = self.cluster.etcd, self.machine
        by_uid = {pod.metadata.uid: key for key, pod in etcd.pods.items()}
        if not self.kubelet_hangs:
            machine.running = {uid: at for uid, at in machine.running.items() if uid in by_uid}
        for uid, key in by_uid.items():
            claim = etcd.claims.get(key)
            pv = etcd.pvs.get(claim.spec.volume_name) if claim is not None else None
            if uid in machine.running or claim is None or pv is None or not _is_bound(claim, pv):
                continue
            assert pv.spec.local is not None
            found = machine.kubelets(pv.spec.local.path)
            if found is not None:
                machine.running[uid] = found(claim.metadata.uid)


def _is_bound(claim: Claim, pv: Pv) -> bool:
    ref = pv.spec.claim_ref
    return claim.status.phase == "Bound" and ref is not None and ref.uid == claim.metadata.uid


class DeviceSim(Sim):
    """One device on one node. `settle()` carries plans out until nothing is left to do."""

    disk: Device
    machine: DeviceMachine
    node_side: DeviceNode

    def __init__(self, shape: str = "xfs", of: PoolSettings | None = None) -> None:
        wanted = entry(shape, of)
        self.cluster = Cluster(wanted)
        self.disk = Device(HARDWARE)
        self.machine = DeviceMachine(self.disk)
        self.node_side = DeviceNode(self.cluster, self.machine)
        self.daemon = Daemon()
        self.controller = Controller(self.cluster, wanted)
        self.daemon_up = True
        self.deleted_by_person = False

    def bind(self, claim: str = "db/data-0", pod: bool = True) -> Claim:
        made = super().bind(claim, pod)
        for at in self.machine.running.values():
            at.disk.write(at.tenancy, Item(at.claim_uid))
        return made

    def reboot(self) -> None:
        """Of the machine; the daemon looks, and takes up what is its own."""
        self.machine.reboot()
        self.daemon = Daemon()
