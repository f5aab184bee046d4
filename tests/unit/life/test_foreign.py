"""PersistentVolumes of others that cover a disk, and the globs that forbid it under another of its names."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.life.nodes import AT, BOOT, NVME, SURVEY, SYSTEM, node, on, pv, survey, volume
from tidb_volume import names
from tidb_volume.inventory.expand import Forbids
from tidb_volume.life import conflict, foreign, places
from tidb_volume.life.around import Around, around
from tidb_volume.upstream import (
    LocalSource,
    NodeAffinity,
    NodeRequirement,
    NodeSelector,
    NodeTerm,
    Pv,
    PvSpec,
)
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


# --- to the letter ---

FIELD = NodeRequirement(key="metadata.name", operator="In", values=("n",))
AWAY = NodeRequirement(key="metadata.name", operator="In", values=("m",))


def affine(*terms: NodeTerm, required: bool = True) -> Pv:
    selector = NodeSelector(node_selector_terms=terms) if required else None
    return Pv(
        metadata=pv("/a").metadata,
        spec=PvSpec(local=LocalSource(path="/a"), node_affinity=NodeAffinity(required=selector)),
    )


def term(*labels: NodeRequirement, fields: tuple[NodeRequirement, ...] = ()) -> NodeTerm:
    return NodeTerm(match_expressions=labels, match_fields=fields)


@pytest.mark.parametrize(
    ("theirs", "hosts", "admitted"),
    [
        (affine(required=False), ("",), True),
        (affine(term()), ("",), True),
        (affine(term(fields=(FIELD,))), ("",), True),
        (affine(term(fields=(AWAY,))), ("",), False),
        (affine(term(fields=(FIELD, AWAY))), ("",), False),
        (affine(term(zone("In", "z1"), fields=(AWAY,))), ("",), False),
        (affine(term(zone("In", "z2"), fields=(FIELD,))), ("",), False),
        (affine(term(zone("In", "z1"), zone("In", "z2"))), ("",), False),
        (affine(term(on("host-m")), term(on("host-n"))), ("host-m", "host-n"), True),
        (affine(term(on("host-m")), term(zone("In", "z1"))), ("", "host-m"), True),
        (affine(term(on("host-n"), zone("In", "z1"))), ("host-n",), True),
        (
            affine(term(NodeRequirement(key=names.HOSTNAME, operator="NotIn", values=("host-m",)))),
            ("",),
            True,
        ),
        (affine(term(NodeRequirement(key=names.HOSTNAME, operator="In"))), ("",), False),
    ],
)
def test_a_term_holds_where_all_of_it_holds_and_one_term_is_enough(
    theirs: Pv, hosts: tuple[str, ...], admitted: bool
) -> None:
    assert tuple(sorted(foreign.hosts(theirs))) == hosts
    assert foreign.may_be_used_on(theirs, node(zone="z1")) is admitted
    assert foreign.may_be_used_on(theirs, None)


@pytest.mark.parametrize(
    ("operator", "value", "held"),
    [
        ("Gt", "3", True),
        ("Gt", "4", False),
        ("Gt", "5", False),
        ("Lt", "3", False),
        ("Lt", "4", False),
        ("Lt", "5", True),
        ("Gt", "three", False),
        ("In", "4", True),
        ("In", "5", False),
        ("NotIn", "5", True),
        ("Exists", "", True),
        ("DoesNotExist", "", False),
        ("Between", "", True),
    ],
)
def test_a_label_is_compared_as_the_scheduler_does(operator: str, value: str, held: bool) -> None:
    wanted = NodeRequirement(key="size", operator=operator, values=(value,))
    assert foreign.may_be_used_on(affine(term(wanted)), node(size="4")) is held
    bare = foreign.may_be_used_on(affine(term(wanted)), node())
    assert bare is (operator in ("NotIn", "DoesNotExist", "Between"))
    none = NodeRequirement(key="size", operator=operator)
    assert foreign.may_be_used_on(affine(term(none)), node(size="4")) is (
        operator in ("NotIn", "Exists", "Between")
    )


@pytest.mark.parametrize(
    ("length", "covers"), [(0, False), (1, True), (foreign.LONGEST, True), (foreign.LONGEST + 1, False)]
)
def test_a_path_that_leads_nowhere_covers_no_disk(length: int, covers: bool) -> None:
    assert foreign.LONGEST == 4096
    theirs = pv(f"/{'x' * (length - 1)}" if length else "")
    assert foreign.hosts(theirs) == (("",) if covers else ())
    assert bool(list(foreign.found_by(theirs))) is covers


def test_what_names_no_path_of_a_node_covers_nothing() -> None:
    driver = Pv(metadata=pv("/x").metadata, spec=PvSpec())
    assert foreign.path_of(driver) == ""
    assert foreign.path_of(pv("/x")) == "/x"
    assert list(foreign.found_by(driver)) == []


def test_a_volume_of_others_is_found_by_each_host_and_each_folder_above_it() -> None:
    theirs = affine(term(on("host-m")))
    assert list(foreign.found_by(theirs)) == [("host-m", "/a"), ("host-m", "/")]
    assert list(foreign.found_by(pv("/data/x", name=f"vol-{TENANCY}", annotations=OURS))) == []


def owned(source: str, tenancy: str) -> Volume:
    of = volume(source)
    return msgspec.structs.replace(of, status=msgspec.structs.replace(of.status, tenancy=tenancy))


MOUNT, NODE = names.device_mount("v"), names.block_node(TENANCY)


@pytest.mark.parametrize(
    ("of", "at", "paths"),
    [
        (owned("/data/a/", ""), None, ["/data/a"]),
        (owned("/data/a", TENANCY), None, ["/data/a", NODE]),
        (owned("/dev/x", ""), None, ["/dev/x", MOUNT]),
        (owned("/dev/x", TENANCY), None, ["/dev/x", MOUNT, NODE]),
        (
            owned("/data/a", ""),
            places.Place(devices=frozenset(), names=("/data/b", "/data/a")),
            ["/data/b", "/data/a"],
        ),
    ],
)
def test_a_disk_is_asked_for_under_every_name_that_it_goes_by(
    of: Volume, at: places.Place | None, paths: list[str]
) -> None:
    asked = [(host, path) for host in ("host-n", "") for path in paths]
    assert list(foreign.asked_for(of, at, "host-n")) == asked
    assert list(foreign.asked_for(of, at, "")) == [("", path) for path in paths]


@pytest.mark.parametrize(
    ("of", "path", "ours"),
    [
        (owned("/dev/x", TENANCY), MOUNT, True),
        (owned("/dev/x", TENANCY), f"{MOUNT}/a", True),
        (owned("/dev/x", TENANCY), f"{MOUNT}2", False),
        (owned("/dev/x", TENANCY), names.device_mount(""), False),
        (owned("/data/a", TENANCY), MOUNT, False),
        (owned("/data/a", TENANCY), NODE, True),
        (owned("/data/a", TENANCY), f"{NODE}/a", False),
        (owned("/data/a", ""), names.block_node(""), False),
        (owned("/dev/x", ""), "/dev/x", False),
    ],
)
def test_our_places_are_where_we_show_that_very_volume(of: Volume, path: str, ours: bool) -> None:
    assert foreign.is_our_place(path, of) is ours


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        (MOUNT, True),
        (NODE, True),
        (names.device_mount("another"), True),
        ("/var/lib/tidb-volume/mount", False),
        ("/dev/tidb-volumes/x", False),
        ("/data/a", False),
    ],
)
def test_our_places_are_known_of_whichever_volume(path: str, ours: bool) -> None:
    assert foreign.is_among_our_places(path) is ours


@pytest.mark.parametrize(
    ("at", "report", "covered"),
    [
        (places.place(volume(), SURVEY), SURVEY, False),
        (places.place(volume(), SURVEY), None, True),
        (None, SURVEY, True),
        (None, None, True),
    ],
)
def test_without_both_survey_and_place_the_names_count(
    at: places.Place | None, report: NodeReport | None, covered: bool
) -> None:
    """A folder below the mount point on which, by the survey, another disk is mounted."""
    below = survey(SYSTEM, NVME, places_disk("sdc", "8:32", "/data/nvme0/sub"))
    theirs = pv("/data/nvme0/sub/x")
    assert foreign.covers(theirs, volume(), at, below if report is not None else None) is covered


def test_of_many_that_cover_a_disk_three_are_named() -> None:
    theirs = tuple(pv(f"/data/{n}", name=n) for n in "abcde")
    assert foreign.said(()) == ""
    assert foreign.said(theirs[:1]) == "a (/data/a)"
    assert foreign.said(theirs[:3]) == "a (/data/a), b (/data/b), c (/data/c)"
    assert foreign.said(theirs[:4]) == "a (/data/a), b (/data/b), c (/data/c), 1 more"
    assert foreign.said(theirs) == "a (/data/a), b (/data/b), c (/data/c), 2 more"


# --- all that stands around one disk ---

ELSE = volume(name="w", node="m", recorded=NVME.identity)
PEER = conflict.peer_of(ELSE)
BESIDE = conflict.peer_of(volume(name="w", source="/data/w", recorded=NVME.identity))
assert PEER is not None
assert BESIDE is not None
MANY = tuple(msgspec.structs.replace(PEER, volume=name) for name in ("x", "y", "z"))


def of(
    volume_: Volume,
    *,
    theirs: tuple[Pv, ...] = (),
    peers: tuple[conflict.Peer, ...] = (),
    raised: tuple[conflict.Peer, ...] = (),
    report: NodeReport | None = SURVEY,
) -> Around:
    at = places.place(volume_, report)
    return around(volume_, node(), report, at, theirs, peers, lambda: raised, Forbids([]))


def test_where_nothing_stands_around_a_disk_nothing_is_said() -> None:
    assert of(volume()) == Around(never="", foreign="", twin="", apart=False, unsurveyed=False)
    assert Around() == of(volume())


def test_those_of_others_that_cover_it_are_told_by_name_and_ours_never() -> None:
    named = tuple(pv("/data/nvme0/x", name=name) for name in ("c", "a", "b"))
    ours = pv("/data/nvme0/x", name=f"v-{TENANCY}", annotations=OURS)
    assert of(volume(), theirs=(ours, *named)).foreign == ", ".join(
        f"{name} (/data/nvme0/x)" for name in "abc"
    )


def test_a_newcomers_twin_is_told_and_whether_they_may_be_two() -> None:
    assert of(volume(), peers=(PEER,)).apart
    assert of(volume(), peers=(PEER,)).twin
    beside = of(volume(), peers=(PEER, BESIDE))
    assert beside.twin
    assert not beside.apart
    raised = of(volume(), raised=MANY)
    assert "3 disks that are on record elsewhere" in raised.twin
    assert raised.apart
    first = of(volume(recorded=NVME.identity), peers=(PEER,), raised=MANY)
    assert (first.twin, first.apart) == ("", False)


def test_a_disk_that_the_survey_does_not_show_is_unsurveyed() -> None:
    assert of(volume(), report=None) == Around(unsurveyed=True)


def test_where_the_recorded_disk_is_by_now_is_told() -> None:
    other = msgspec.structs.replace(NVME.identity, serial="S-other")
    wrong = volume(recorded=other, presence=Presence.WRONG_DISK)
    moved = of(wrong).moved
    assert moved == places.in_place_of(wrong, SURVEY)
    assert moved.startswith("the recorded one is no disk of")
