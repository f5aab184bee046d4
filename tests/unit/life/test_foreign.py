"""PersistentVolumes of others that cover a disk, and the globs that forbid it under another of its names."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.life.nodes import AT, BOOT, NVME, SURVEY, SYSTEM, node, on, pv, survey, volume
from tidb_volume import names
from tidb_volume.inventory.expand import Forbids
from tidb_volume.life import foreign, places
from tidb_volume.life.around import Around, around
from tidb_volume.upstream import LocalSource, NodeRequirement, Pv, PvSpec
from tidb_volume.value import NodeReport, Presence, Volume

TENANCY = "abcdefghijkl"
OURS = {names.PROVISIONED_BY: names.PROVISIONER}
REBOOTED = volume(boot="boot-0")
PARTITION = volume("/data/b1", "8:17")
WHOLE = volume("/dev/disk/by-id/scsi-B", "8:16")
ABSENT = volume("/data/gone", "", presence=Presence.NOT_MOUNTED)


@pytest.mark.parametrize(
    ("of", "path", "covered"),
    [
        (volume(), "/data/nvme0", True),
        (volume(), "/data/nvme0/", True),
        (volume(), "//data//nvme0/../nvme0/x", True),
        (volume(), "/data/nvme0/pvs/a", True),
        (volume(), "/data/nvme01", False),
        (volume(), "/data", False),
        (volume(), "/mnt/disks/vol1", True),
        (volume(), "/mnt/disks/vol1/deeper", True),
        (volume(), "/mnt/disks/vol2", False),
        (volume(), "/dev/disk/by-id/nvme-X", True),
        (volume(), "/dev/nvme0n1", True),
        (volume(), "/mnt/fast/one", True),
        (REBOOTED, "/data/nvme0", True),
        (PARTITION, "/data/b1", True),
        (PARTITION, "/data/b2", False),
        (PARTITION, "/dev/sdb", True),
        (WHOLE, "/data/b2/x", True),
        (ABSENT, "/data/gone/x", True),
        (ABSENT, "/data/gone2", False),
    ],
)
def test_a_volume_of_others_covers_a_disk_by_the_device_that_its_path_leads_to(
    of: Volume, path: str, covered: bool
) -> None:
    at = places.place(of, SURVEY)
    assert foreign.covers(pv(path), of, at, SURVEY) is covered
    assert not covered or set(foreign.found_by(pv(path))) & set(foreign.asked_for(of, at, "host-n"))


def test_a_disk_mounted_over_a_folder_of_another_one_is_what_its_path_leads_to() -> None:
    below = volume("/data/nvme0/sub", "8:32")
    seen = survey(SYSTEM, NVME, places_disk("sdc", "8:32", "/data/nvme0/sub"))
    theirs = pv("/data/nvme0/sub/x")
    assert foreign.covers(theirs, below, places.place(below, seen), seen)
    assert not foreign.covers(theirs, volume(), places.place(volume(), seen), seen)


def places_disk(name: str, device: str, mount: str):  # type: ignore[no-untyped-def]
    return type(NVME)(name=name, device=device, mounts=(mount,))


def test_a_copy_of_our_own_volume_under_another_name_covers_the_disk() -> None:
    """A device is shown to pods at a place of ours, which no survey tells as a name of the disk."""
    mine = survey(SYSTEM, places_disk("sdc", "8:32", names.device_mount("v")))
    of = volume("/dev/disk/by-id/c", "8:32")
    of = msgspec.structs.replace(of, status=msgspec.structs.replace(of.status, tenancy=TENANCY))
    at = places.place(of, mine)
    for path in (names.tenancy_folder(names.device_mount("v"), TENANCY), names.block_node(TENANCY)):
        assert foreign.covers(pv(path, name="copy"), of, at, mine)
        assert foreign.covers(pv(path, name="copy"), of, None, None)
    for path in (names.device_mount("v2"), names.block_node("bcdefghijklm")):
        assert not foreign.covers(pv(path, name="copy"), of, at, mine)


def test_without_a_survey_there_are_only_the_names_to_go_by() -> None:
    assert foreign.covers(pv("/data/nvme0/x"), volume(), None, None)
    assert not foreign.covers(pv("/mnt/disks/vol1"), volume(), None, None)


def test_a_host_path_counts_like_a_local_one() -> None:
    theirs = Pv(metadata=pv("/x").metadata, spec=PvSpec(host_path=LocalSource(path="/data/nvme0")))
    assert foreign.hosts(theirs) == (foreign.ANYWHERE,)
    assert foreign.covers(theirs, volume(), places.place(volume(), SURVEY), SURVEY)


def zone(operator: str, *values: str) -> NodeRequirement:
    return NodeRequirement(key="zone", operator=operator, values=values)


@pytest.mark.parametrize(
    ("theirs", "hosts", "admitted"),
    [
        (pv("/a"), (foreign.ANYWHERE,), True),
        (pv("/a", on("host-n")), ("host-n",), True),
        (pv("/a", on("host-m")), ("host-m",), False),
        (pv("/a", zone("In", "z1")), (foreign.ANYWHERE,), True),
        (pv("/a", zone("In", "z2")), (foreign.ANYWHERE,), False),
        (pv("/a", zone("NotIn", "z1")), (foreign.ANYWHERE,), False),
        (pv("/a", zone("Exists")), (foreign.ANYWHERE,), True),
        (pv("/a", zone("DoesNotExist")), (foreign.ANYWHERE,), False),
        (pv("/a", NodeRequirement(key="size", operator="Gt", values=("3",))), (foreign.ANYWHERE,), True),
        (pv("/a", NodeRequirement(key="size", operator="Lt", values=("3",))), (foreign.ANYWHERE,), False),
        (pv("/a", NodeRequirement(key="zone", operator="New")), (foreign.ANYWHERE,), True),
    ],
)
def test_a_volume_of_others_is_looked_for_on_the_nodes_that_its_affinity_admits(
    theirs: Pv, hosts: tuple[str, ...], admitted: bool
) -> None:
    assert foreign.hosts(theirs) == hosts
    assert foreign.may_be_used_on(theirs, node(zone="z1", size="4")) is admitted


@pytest.mark.parametrize(
    ("theirs", "disk"),
    [
        (pv("/data/x/.tidb-volume/" + TENANCY, name=f"vol-{TENANCY}"), "vol"),
        (pv(f"/dev/tidb-volume/{TENANCY}", name=f"vol-{TENANCY}"), "vol"),
        (pv("/data/x", name=f"vol-{TENANCY}", annotations=OURS), "vol"),
        (pv("/data/x", labels={names.LABEL_DISK: "vol"}), "vol"),
        (pv("/data/x", name=f"vol-{TENANCY}"), ""),
        (pv("/data/x", annotations=OURS), ""),
        (pv("/data/x", name="local-pv-1f2e3d"), ""),
    ],
)
def test_ours_is_told_by_name_and_path_and_only_then_by_a_label(theirs: Pv, disk: str) -> None:
    assert foreign.disk_of(theirs) == disk
    assert bool(foreign.hosts(theirs)) is not bool(disk)


@pytest.mark.parametrize(
    ("of", "glob", "said"),
    [
        (volume(), "/data/*", "/data/*"),
        (
            volume(),
            "/dev/disk/by-id/nvme-*",
            "/dev/disk/by-id/nvme-* (the disk is /dev/disk/by-id/nvme-X too)",
        ),
        (volume(), "/dev/nvme0n1", "/dev/nvme0n1 (the disk is /dev/nvme0n1 too)"),
        (volume(), "/mnt/disks", "/mnt/disks (the disk is /mnt/disks/vol1 too)"),
        (PARTITION, "*scsi-B", "*scsi-B (the disk is /dev/disk/by-id/scsi-B too)"),
        (PARTITION, "/data/b2", ""),
        (WHOLE, "/data/b2", "/data/b2 (the disk is /data/b2 too)"),
        (volume(), "/dev/sd*", ""),
    ],
)
def test_a_glob_forbids_a_disk_under_any_of_its_names(of: Volume, glob: str, said: str) -> None:
    assert places.forbidden(of, places.place(of, SURVEY), Forbids([glob])) == said


def test_where_we_mount_a_disk_ourselves_is_no_name_of_it() -> None:
    mine = survey(places_disk("sdc", "8:32", names.device_mount("v")))
    of = volume("/dev/disk/by-id/c", "8:32")
    assert places.forbidden(of, places.place(of, mine), Forbids(["/var/lib/*", "/dev/tidb-volume/*"])) == ""


@pytest.mark.parametrize(
    ("of", "report", "surveyed"),
    [
        (volume(), SURVEY, True),
        (volume(), None, False),
        (REBOOTED, SURVEY, False),
        (volume(device="8:99"), SURVEY, False),
        (volume(seen=NVME.identity), SURVEY, True),
        (volume("/data/b1", "8:17"), SURVEY, False),
        (volume(surveyed=AT - 1), SURVEY, True),
        (volume(surveyed=AT + 1), SURVEY, False),
        (volume(surveyed=0), SURVEY, False),
    ],
)
def test_a_disk_is_surveyed_once_a_survey_of_this_boot_since_its_listing_shows_that_very_disk(
    of: Volume, report: NodeReport | None, surveyed: bool
) -> None:
    assert places.is_surveyed(of, report) is surveyed


def test_what_stands_around_a_disk_is_said_in_words() -> None:
    theirs = [
        pv("/data/nvme0/x"),
        pv("/data/b1", name="beside"),
        pv("/mnt/fast/one", on("host-m"), name="away"),
    ]
    at = places.place(volume(), SURVEY)
    found = around(volume(), node(), SURVEY, at, theirs, (), lambda: (), Forbids(["*nvme*"]))
    assert found == Around(never="*nvme*", foreign="theirs (/data/nvme0/x)")
    assert SURVEY.boot == BOOT
