"""Where on a node something lies, name by name."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.life.nodes import (
    AT,
    BOOT,
    NVME,
    OTHER_PART,
    PART,
    SURVEY,
    SYSTEM,
    WHOLE,
    identity,
    survey,
    volume,
)
from tidb_volume import names
from tidb_volume.life import places
from tidb_volume.life.places import Place
from tidb_volume.value import Identity, NodeReport, Presence, SeenDisk, Volume, VolumeStatus

change = msgspec.structs.replace
UNSEEN = change(volume(), status=VolumeStatus())
NO_DEVICE = volume(device="")
BARE = SeenDisk(name="sdz", device="8:99")


def of(disk: SeenDisk) -> tuple[str, ...]:
    return tuple(places.names_of(disk))


def test_every_name_of_a_disk_is_told_but_for_those_that_we_gave_it() -> None:
    assert of(NVME) == (
        "/dev/nvme0n1",
        "/dev/disk/by-id/nvme-X",
        "/mnt/fast/one",
        "/data/nvme0",
        "/mnt/disks/vol1",
    )
    ours = (names.device_mount("v"), names.block_node("aaaaaaaaaaaa"))
    for field in ("links", "mounts", "folders"):
        assert of(change(BARE, **{field: ours})) == ("/dev/sdz",)  # type: ignore[arg-type]
    assert of(change(BARE, mounts=("/var/lib/tidb-volume/mount", "/dev/tidb-volume"))) == (
        "/dev/sdz",
        "/var/lib/tidb-volume/mount",
        "/dev/tidb-volume",
    )


PARTS = {"8:16", "8:17", "8:18"}
NAMES_OF_B = ("/dev/sdb", "/dev/disk/by-id/scsi-B", "/dev/sdb1", "/data/b1", "/dev/sdb2", "/data/b2")


@pytest.mark.parametrize(
    ("of", "report", "found"),
    [
        (volume(), None, None),
        (volume(device="8:99"), SURVEY, None),
        (volume(), SURVEY, Place(devices=frozenset({"259:0"}), names=of(NVME))),
        (
            volume("/dev/disk/by-id/scsi-B", "8:16"),
            SURVEY,
            Place(devices=frozenset(PARTS), names=NAMES_OF_B),
        ),
        (
            volume("/data/b1", "8:17"),
            SURVEY,
            Place(devices=frozenset({"8:16", "8:17"}), names=NAMES_OF_B[:4]),
        ),
        (
            volume(),
            survey(NVME, change(BARE, device="259:0", links=("/mnt/fast/one",))),
            Place(devices=frozenset({"259:0"}), names=(*of(NVME), "/dev/sdz")),
        ),
        # Without a number that the daemon reported in this boot it is the own name of the entry that counts.
        (
            volume("/data/b2", "259:0", boot="boot-0"),
            survey(OTHER_PART),
            Place(devices=frozenset({"8:16", "8:18"}), names=("/dev/sdb2", "/data/b2")),
        ),
        (volume("/data/b1", "259:0"), SURVEY, Place(devices=frozenset({"259:0"}), names=of(NVME))),
        (NO_DEVICE, SURVEY, Place(devices=frozenset({"259:0"}), names=of(NVME))),
        (UNSEEN, SURVEY, Place(devices=frozenset({"259:0"}), names=of(NVME))),
        (UNSEEN, survey(change(BARE, folders=("/data/nvme0",))), None),
        (
            volume("/dev/sdz", ""),
            survey(SYSTEM, BARE),
            Place(devices=frozenset({"8:99"}), names=("/dev/sdz",)),
        ),
        (
            volume("/dev/disk/by-id/nvme-X", ""),
            survey(SYSTEM, NVME),
            Place(devices=frozenset({"259:0"}), names=of(NVME)),
        ),
        (volume("/dev/sdy", ""), survey(SYSTEM, BARE, NVME), None),
    ],
)
def test_an_entry_leads_to_a_disk_by_number_and_only_then_by_name(
    of: Volume, report: NodeReport | None, found: Place | None
) -> None:
    assert places.place(of, report) == found


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b"),
        ("//a//b", "/a/b"),
        ("///a/./b/../c", "/a/c"),
        ("/..", "/"),
        ("/", "/"),
        ("//", "/"),
        ("//~a", "/~a"),
    ],
)
def test_a_path_is_walked_as_the_kernel_would(path: str, normal: str) -> None:
    assert places.normal(path) == normal


def test_whatever_a_path_lies_on_is_named_by_it_or_by_a_folder_above() -> None:
    assert list(places.ways_to("//a/b/../c")) == ["/a/c", "/a", "/"]
    assert list(places.ways_to("/")) == ["/"]


@pytest.mark.parametrize(
    ("path", "numbers"),
    [
        ("/data/nvme0", {"259:0"}),
        ("/data/nvme0/x/y", {"259:0"}),
        ("/data/nvme01", {"8:1"}),
        ("/mnt/disks/vol1/x", {"259:0"}),
        ("/dev/sdb1", {"8:17"}),
        ("/home", {"8:1"}),
        ("/", {"8:1"}),
    ],
)
def test_a_path_lies_on_the_disk_whose_name_is_the_longest_beginning_of_it(
    path: str, numbers: set[str]
) -> None:
    assert places.lying_on(path, SURVEY) == numbers


def test_of_two_disks_mounted_at_one_place_it_lies_on_both_and_without_any_on_none() -> None:
    twice = survey(SYSTEM, NVME, change(BARE, mounts=("/data/nvme0",)))
    assert places.lying_on("/data/nvme0/x", twice) == {"259:0", "8:99"}
    assert places.lying_on("/data/nvme0/x", survey(WHOLE, PART)) == frozenset()
    assert places.lying_on("/data/nvme0/x", survey()) == frozenset()


OTHERS = change(NVME, identity=identity("S2"))
UNTOLD = change(NVME, identity=None)
UNTOLD_VOLUME = change(
    volume(),
    status=change(volume().status, disk=change(volume().status.disk, identity=None)),  # type: ignore[type-var]
)


@pytest.mark.parametrize(
    ("of", "report", "surveyed"),
    [
        (volume(), SURVEY, True),
        (UNSEEN, SURVEY, False),
        (volume(), None, False),
        (volume(), survey(NVME, boot="boot-0"), False),
        (volume(surveyed=AT), SURVEY, True),
        (volume(surveyed=1), SURVEY, True),
        (volume(surveyed=0), SURVEY, False),
        (volume(surveyed=AT + 1), SURVEY, False),
        (volume(), survey(SYSTEM, NVME), True),
        (volume(), survey(OTHERS), False),
        (volume(), survey(UNTOLD), True),
        (UNTOLD_VOLUME, survey(OTHERS), True),
        (volume(), survey(SYSTEM), False),
        (volume(), survey(), False),
    ],
)
def test_a_survey_that_shows_another_disk_under_that_number_tells_nothing(
    of: Volume, report: NodeReport | None, surveyed: bool
) -> None:
    assert places.is_surveyed(of, report) is surveyed
    assert SURVEY.boot == BOOT


def glob_of(*forbidden: str) -> dict[str, str]:
    return {name: f"glob-of-{name}" for name in forbidden}


@pytest.mark.parametrize(
    ("at", "globs", "said"),
    [
        (None, {}, ""),
        (None, glob_of("/data/nvme0"), "glob-of-/data/nvme0"),
        (None, glob_of("/dev/nvme0n1"), ""),
        (
            Place(devices=frozenset(), names=("/dev/a", "/dev/b")),
            glob_of("/dev/b"),
            "glob-of-/dev/b (the disk is /dev/b too)",
        ),
        (
            Place(devices=frozenset(), names=("/dev/a", "/data/nvme0")),
            glob_of("/dev/a", "/data/nvme0"),
            "glob-of-/data/nvme0",
        ),
    ],
)
def test_a_glob_is_told_by_the_entrys_own_name_first(
    at: Place | None, globs: dict[str, str], said: str
) -> None:
    assert places.forbidden(volume(), at, lambda name: globs.get(name, "")) == said


MANY_NAMES = SeenDisk(
    name="sdc", device="8:32", links=tuple(f"/dev/disk/by-id/{n}" for n in range(9)), identity=identity("C")
)
IS_NVME = (
    "the one there is /dev/nvme0n1 (/dev/disk/by-id/nvme-X, /mnt/fast/one, /data/nvme0, /mnt/disks/vol1)"
)


@pytest.mark.parametrize(
    ("recorded", "report", "said"),
    [
        (identity("B"), SURVEY, f"the recorded one is /dev/sdb (/dev/disk/by-id/scsi-B); {IS_NVME}"),
        (identity("gone"), SURVEY, f"the recorded one is no disk of n; {IS_NVME}"),
        (identity("gone"), survey(SYSTEM), "the recorded one is no disk of n"),
        (
            identity("C"),
            survey(MANY_NAMES),
            "the recorded one is /dev/sdc (/dev/disk/by-id/0, /dev/disk/by-id/1, /dev/disk/by-id/2,"
            " /dev/disk/by-id/3)",
        ),
        (identity("Z"), survey(change(BARE, identity=identity("Z"))), "the recorded one is /dev/sdz"),
        (identity("B"), None, ""),
        (None, SURVEY, ""),
    ],
)
def test_where_the_recorded_disk_is_and_what_the_one_in_its_place_is_called(
    recorded: Identity | None, report: NodeReport | None, said: str
) -> None:
    wrong = volume(seen=identity(), recorded=recorded, presence=Presence.WRONG_DISK)
    assert places.in_place_of(wrong, report) == said
    right = volume(seen=identity(), recorded=recorded)
    assert places.in_place_of(right, report) == ""
    assert places.in_place_of(change(wrong, status=change(wrong.status, disk=None)), report) == ""
