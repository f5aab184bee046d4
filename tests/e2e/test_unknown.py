"""Disks that come with something on them: data that nobody accounts for, and parts of something else."""

from __future__ import annotations

import hashlib

import pytest

from tests.cluster import Disk, Node
from tests.disks.signatures import SIGNATURES
from tests.e2e.lab import Lab, never, until
from tests.e2e.test_around import of_devices
from tests.e2e.test_offer import listing
from tidb_volume import names
from tidb_volume.value import Phase, Source

pytestmark = pytest.mark.cluster


@pytest.fixture
def node(lab: Lab) -> Node:
    return lab.cluster.nodes[1]


def test_a_used_folder_is_asked_about_and_adopted_only_once_no_process_is_in_it(lab: Lab, node: Node) -> None:
    mount, word = f"{lab.data}/used", f"used-{lab.tag}"
    _, volume = lab.path_disk(node, mount)
    node.exec(["sh", "-c", f"mkdir {mount}/old && echo another-ones > {mount}/old/file && sync"])
    lab.inventory(word, listing(word, {node: [mount]}))
    found = lab.wait(volume, Phase.PENDING, "HasData")
    assert "adopt" in found.status.message
    assert found.status.question is not None
    never("an offer, or an order", lambda: lab.pvs(volume) or order(lab, volume), 2)

    who = f"sleep-{lab.tag}"
    node.spawn(who, ["bash", "-c", f"cd {mount}/old && exec -a {who} sleep 600"])
    until("the process to run", lambda: node.processes(who))
    lab.say("adopt", "--wipe", "--yes", volume, exits=(0, 5))
    until(
        "it to be said",
        lambda: "works in a folder on it" in message(lab, volume),
        30,
        lambda: lab.story(volume),
    )
    never("a byte of it goes", lambda: lab.entries(node, f"{mount}/old") != ["file"] or lab.pvs(volume), 3)
    assert node.exec(["cat", f"{mount}/old/file"]).strip() == "another-ones"

    assert node.signal(who, 15) == 1
    found = lab.wait(volume, Phase.AVAILABLE, seconds=60)
    assert lab.entries(node, mount) == [".tidb-volume"]
    assert lab.entries(node, f"{mount}/.tidb-volume") == [found.status.tenancy]


def order(lab: Lab, volume: str) -> object:
    found = lab.volume(volume)
    return found is not None and found.spec.order


def message(lab: Lab, volume: str) -> str:
    found = lab.volume(volume)
    return found.status.message if found is not None else ""


def test_what_is_copied_onto_it_while_the_answer_waits_is_asked_about_anew(lab: Lab, node: Node) -> None:
    """The fleet is paused, so that the answer waits; a colleague takes the disk for a free one."""
    mount, word = f"{lab.data}/late", f"late-{lab.tag}"
    _, volume = lab.path_disk(node, mount)
    node.exec(["sh", "-c", f"echo of-no-use > {mount}/old && sync"])
    lab.inventory(word, listing(word, {node: [mount]}))
    lab.wait(volume, Phase.PENDING, "HasData")
    lab.patch("tvf", "fleet", {"spec": {"paused": True}})
    try:
        lab.say("adopt", "--wipe", "--yes", volume, exits=(0, 5))
        until("the order to wait for the pause", lambda: "paused" in message(lab, volume), 30)
        node.exec(["sh", "-c", f"echo precious > {mount}/backup && sync"])
    finally:
        lab.patch("tvf", "fleet", {"spec": {"paused": False}})
    until("what has come to be said", lambda: "(2), first:" in message(lab, volume), 60)
    never("an offer", lambda: lab.pvs(volume), 2)
    assert node.exec(["cat", f"{mount}/old", f"{mount}/backup"]).split() == ["of-no-use", "precious"]
    lab.say("adopt", "--wipe", "--yes", volume, exits=(0, 5))
    lab.wait(volume, Phase.AVAILABLE, seconds=60)
    assert lab.entries(node, mount) == [".tidb-volume"]


def test_a_used_device_is_adopted_only_once_it_is_mounted_nowhere(lab: Lab, node: Node) -> None:
    """The admin listed the device that he has mounted on a folder of his own."""
    word, elsewhere = f"mounted-{lab.tag}", f"{lab.data}/elsewhere"
    disk = node.add_disk(word)
    node.mount(disk, elsewhere)
    node.exec(["sh", "-c", f"echo another-ones > {elsewhere}/file && sync"])
    volume = names.volume_name(node.name, Source(device=disk.by_id))
    lab.inventory(word, of_devices(word, node, disk.by_id))
    lab.wait(volume, Phase.PENDING, "HasData")
    lab.say("adopt", "--wipe", "--yes", volume, exits=(0, 5))
    assert f"mount {elsewhere}" in lab.wait(volume, Phase.PENDING, "InUse").status.message
    never("its file goes", lambda: lab.entries(node, elsewhere) != ["file"] or lab.pvs(volume), 3)
    node.unmount(elsewhere)
    lab.wait(volume, Phase.AVAILABLE, seconds=120)
    assert not lab.raw_holds(disk, "another-ones")


def test_devices_that_are_part_of_something_else_are_refused_and_nothing_is_written_to_them(
    lab: Lab, node: Node
) -> None:
    """A sleeping LVM physical volume, and a member of an array: a signature is all there is to see."""
    word = f"occupied-{lab.tag}"
    disks = {
        kind: signed(node, f"{word}-{kind[:4].lower()}", kind)
        for kind in ("LVM2_member", "linux_raid_member")
    }
    before = {kind: digest(disk) for kind, disk in disks.items()}
    volumes = {kind: names.volume_name(node.name, Source(device=disk.by_id)) for kind, disk in disks.items()}
    lab.inventory(word, of_devices(word, node, *(disk.by_id for disk in disks.values())))
    for kind, volume in volumes.items():
        found = lab.wait(volume, Phase.PENDING, "Occupied")
        assert kind in found.status.message
        assert "clear it by hand: wipefs -a" in found.status.message
        assert found.status.question is None, "no answer may wipe it"
    never(
        "an order, or an offer",
        lambda: any(lab.pvs(each) or order(lab, each) for each in volumes.values()),
        2,
    )
    assert {kind: digest(disk) for kind, disk in disks.items()} == before
    # The way out; a disk that is listed again is looked at at once, and not once a minute. wipefs takes the
    # signature alone: what is left is somebody's data, and is asked about.
    for disk in disks.values():
        node.exec(["wipefs", "--quiet", "--all", disk.device])
    lab.inventory(word, "")
    until("the records to go", lambda: not any(map(lab.volume, volumes.values())))
    lab.inventory(word, of_devices(word, node, *(disk.by_id for disk in disks.values())))
    for volume in volumes.values():
        lab.wait(volume, Phase.PENDING, "HasData")
        lab.say("adopt", "--wipe", "--yes", volume, exits=(0, 5))
    for volume in volumes.values():
        lab.wait(volume, Phase.AVAILABLE, seconds=60)


def signed(node: Node, name: str, kind: str) -> Disk:
    """A disk with what the tool of that kind writes on it."""
    disk = node.add_disk(name, raw=True)
    with disk.image.open("r+b") as file:
        for start, content in SIGNATURES[kind]:
            file.seek(start)
            file.write(content)
    return disk


def digest(disk: Disk) -> str:
    with disk.image.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
