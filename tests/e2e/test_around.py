"""What stands around a disk on a real node: another provisioner's volume on it, another entry for it, a glob
that forbids it, each by another of its names than the one that is listed."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.cluster import Disk, Node
from tests.cluster.image import BUSYBOX
from tests.e2e.lab import STAY, Lab, never, until
from tests.e2e.test_offer import listing
from tests.e2e.test_release import Tenant
from tidb_volume import names
from tidb_volume.value import Phase, Source

pytestmark = pytest.mark.cluster


@pytest.fixture
def node(lab: Lab) -> Node:
    return lab.cluster.nodes[2]


class Theirs:
    """A PersistentVolume that somebody made by hand, as a static provisioner does, and a claim of it."""

    def __init__(self, lab: Lab, word: str, node: Node, path: str) -> None:
        self.lab, self.name, self.namespace = lab, f"theirs-{word}", lab.namespace(word)
        chosen = {"key": names.HOSTNAME, "operator": "In", "values": [node.name]}
        shared = {"accessModes": ["ReadWriteOnce"], "storageClassName": self.name}
        self._apply(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": self.name},
                "spec": {
                    **shared,
                    "capacity": {"storage": "100Mi"},
                    "local": {"path": path},
                    "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [chosen]}]}},
                },
            },
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": "data", "namespace": self.namespace},
                "spec": {
                    **shared,
                    "volumeName": self.name,
                    "resources": {"requests": {"storage": "100Mi"}},
                },
            },
        )

    def _apply(self, *documents: dict[str, Any]) -> None:
        self.lab.cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(documents))

    def start(self) -> None:
        """A pod on it."""
        container = {
            "name": "main",
            "image": BUSYBOX,
            "imagePullPolicy": "Never",
            "command": ["sh", "-c", STAY],
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        }
        volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
        spec = {"terminationGracePeriodSeconds": 1, "containers": [container], "volumes": [volume]}
        meta = {"name": "pod", "namespace": self.namespace}
        self._apply({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
        self.lab.running(self.namespace, "pod")

    def end(self) -> None:
        """Pod, claim and volume go; what was written stays on the disk."""
        self.lab.cluster.kubectl("delete", "namespace", self.namespace, "--timeout=60s")
        self.lab.cluster.kubectl("delete", "pv", self.name, "--timeout=60s")


def test_a_disk_under_anothers_volume_is_foreign_and_its_data_nobodys_to_wipe_once_that_is_gone(
    lab: Lab, node: Node
) -> None:
    """As the static provisioner has it: a folder of symlinks, and a PersistentVolume of each."""
    mount, word = f"{lab.data}/foreign", f"foreign-{lab.tag}"
    _, volume = lab.path_disk(node, mount)
    node.exec(["mkdir", "-p", "/mnt/disks"])
    node.exec(["ln", "-s", mount, f"/mnt/disks/{word}"])
    theirs = Theirs(lab, word, node, f"/mnt/disks/{word}")
    theirs.start()
    lab.inventory(word, listing(word, {node: [mount]}, wipeAfter="0s"))
    found = lab.wait(volume, Phase.PENDING, "Foreign")
    assert f"{theirs.name} (/mnt/disks/{word})" in found.status.message
    assert "remove that one or this entry" in found.status.message
    printed = lab.cluster.kubectl("get", "events", "-A", f"--field-selector=involvedObject.name={volume}")
    assert "Foreign" in printed
    lab.sh(theirs.namespace, "pod", "echo precious > /data/file; sync")
    assert lab.entries(node, mount) == ["file"], "something of ours was written on their disk"
    theirs.end()
    found = lab.wait(volume, Phase.PENDING, "HasData")
    assert found.spec.order is None
    assert node.exec(["cat", f"{mount}/file"]).strip() == "precious"


def test_an_offer_is_taken_back_when_anothers_volume_names_its_device_by_the_kernels_name(
    lab: Lab, node: Node
) -> None:
    word = f"kernel-{lab.tag}"
    disk = node.add_disk(word, raw=True)
    volume = names.volume_name(node.name, Source(device=disk.by_id))
    lab.inventory(word, of_devices(word, node, disk.by_id))
    lab.wait(volume, Phase.AVAILABLE, seconds=120)
    theirs = Theirs(lab, word, node, disk.device)
    found = lab.wait(volume, Phase.PENDING, "Foreign")
    assert f"{theirs.name} ({disk.device})" in found.status.message
    until("ours to go", lambda: not lab.pvs(volume))
    theirs.end()
    lab.wait(volume, Phase.AVAILABLE, tenancy_not=found.status.tenancy, seconds=60)


def of_devices(word: str, node: Node, *devices: str) -> str:
    """An inventory of devices with a file system, in one pool."""
    lines = [f"pools: {{{word}: {{onRelease: wipe, wipeAfter: 0s}}}}", "nodes:", f"  {node.name}:"]
    return "\n".join([*lines, *(f"  - {{device: {device}, pool: {word}}}" for device in devices)])


def by_another_link(node: Node, disk: Disk) -> str:
    """A second stable name of a disk, as udev gives it one by WWN."""
    link = f"{disk.by_id}-wwn"
    node.exec(["ln", "-s", f"../../loop{disk.loop}", link])
    return link


def test_a_second_entry_for_a_disk_on_offer_is_in_conflict_and_the_first_keeps_it(
    lab: Lab, node: Node
) -> None:
    one, two, word = f"{lab.data}/first", f"{lab.data}/second", f"conflict-{lab.tag}"
    disk, first = lab.path_disk(node, one)
    second = lab.volume_of(node, two)
    lab.inventory(word, listing(word, {node: [one]}))
    before = lab.wait(first, Phase.AVAILABLE)
    node.mount(disk, two)
    lab.inventory(word, listing(word, {node: [one, two]}))
    found = lab.wait(second, Phase.PENDING, "Conflict")
    assert first in found.status.message
    never("the first is touched", lambda: changed(lab, first, before.status.tenancy), 2)
    assert not lab.pvs(second)
    # The way out: keep one of the two. What the journal has as unused is offered by its other name, once it
    # is mounted there alone.
    lab.inventory(word, listing(word, {node: [two]}))
    until("the first to go", lambda: lab.volume(first) is None and not lab.pvs(first))
    assert f"mount {one}" in lab.wait(second, Phase.PENDING, "InUse").status.message
    node.unmount(one)
    lab.wait(second, Phase.AVAILABLE)


def changed(lab: Lab, volume: str, tenancy: str) -> bool:
    found = lab.volume(volume)
    return found is None or found.status.phase is not Phase.AVAILABLE or found.status.tenancy != tenancy


def test_two_new_entries_for_one_device_are_both_in_conflict_and_nothing_is_made_on_it(
    lab: Lab, node: Node
) -> None:
    word = f"lookalike-{lab.tag}"
    disk = node.add_disk(word, raw=True)
    devices = [disk.by_id, by_another_link(node, disk)]
    volumes = [names.volume_name(node.name, Source(device=device)) for device in devices]
    lab.inventory(word, of_devices(word, node, *devices))
    for volume, other in zip(volumes, reversed(volumes), strict=True):
        assert other in lab.wait(volume, Phase.PENDING, "Conflict").status.message
    never("an offer", lambda: lab.pvs(volumes[0]) or lab.pvs(volumes[1]), 2)
    assert not lab.raw_holds(disk, "XFSB")
    lab.inventory(word, of_devices(word, node, devices[0]))
    lab.wait(volumes[0], Phase.AVAILABLE, seconds=120)


def test_a_never_glob_takes_a_free_disk_off_offer_and_leaves_a_used_one_unwiped_until_it_ends(
    lab: Lab, node: Node
) -> None:
    """The glob names them by their stable links; the entries list the folders."""
    free, used = (
        Tenant(lab, "never-free", node, wipeAfter="0s"),
        Tenant(lab, "never-used", node, wipeAfter="0s"),
    )
    used.start()
    used.write("precious")
    offered = lab.wait(free.volume, Phase.AVAILABLE).status.tenancy
    had = lab.wait(used.volume, Phase.BOUND).status.tenancy
    word = f"never-{lab.tag}"
    lab.inventory(word, f'never: ["/dev/disk/by-id/*-never-*{lab.tag}"]')
    found = lab.wait(free.volume, Phase.PENDING, "Never")
    assert f"-never-*{lab.tag}" in found.status.message
    until("the offer to be taken back", lambda: not lab.pvs(free.volume))
    assert lab.entries(node, f"{free.mount}/.tidb-volume") == [offered]
    until("it to be said of the used one", lambda: "never" in state(lab, used.volume))
    assert lab.sh(used.namespace, "db-0", "cat /data/plain").strip() == "precious"
    used.stop()
    found = lab.wait(used.volume, Phase.RELEASED, "Never")
    never("a wipe", lambda: (lab.volume(used.volume) or found).status.committed, 3)
    assert used.read() == "precious"
    lab.inventory(word, "never: []")
    lab.wait(free.volume, Phase.AVAILABLE)
    lab.wait(used.volume, Phase.AVAILABLE, tenancy_not=had)


def state(lab: Lab, volume: str) -> str:
    found = lab.volume(volume)
    return found.status.state if found is not None else ""
