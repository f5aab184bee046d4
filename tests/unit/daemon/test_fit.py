"""Whether a device may be used at all: each rule stops its disaster, and a plain disk passes all of them."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from disk_daemon import fit
from disk_daemon.known import Build, Damaged, Handed
from tidb_volume.value import Presence

PLAIN: dict[str, Any] = {"name": "nvme0n1", "size_bytes": 1 << 40}
REFUSED, OCCUPIED = Presence.REFUSED, Presence.OCCUPIED

# libblkid's names, spelt out once more: one that went missing in the code would go missing in the table too.
SHARED = ("gfs", "gfs2", "ocfs", "ocfs2", "VMFS", "VMFS_volume_member", "oracleasm", "vxfs")
MEMBERS = (
    *(
        "zfs_member",
        "bcache",
        "ceph_bluestore",
        "vdo",
        "mpool",
        "DM_snapshot_cow",
        "drbdmanage_control_volume",
    ),
    *("drbdproxy_datalog", "jbd", "xfs_external_log", "swsuspend"),
)

BCACHE = Damaged(kind="bcache", usage="other")

WHOLE = Handed(name="sda", volume="v (/dev/x)", record="/state/v.json")
PART = {"whole": "sda"}

TABLE: list[tuple[str, dict[str, Any], Presence]] = [
    # rule, what is unlike a plain disk, the answer
    ("not_the_systems_own", {"vital": "/var/lib/kubelet"}, REFUSED),
    ("not_swapped_to", {"swap": "/dev/sda2"}, REFUSED),
    ("not_a_pseudo_disk", {"pseudo": True}, REFUSED),
    ("not_optical", {"optical": True}, REFUSED),
    ("not_removable", {"removable": True}, REFUSED),
    ("not_put_together", {"made_of": ("sda", "sdb")}, REFUSED),
    ("has_a_size", {"size_bytes": 0}, Presence.NOT_PRESENT),
    ("not_one_of_two_alike", {"alike": ("nvme3n1",)}, Presence.CONFLICT),
    ("nothing_is_built_on_it", {"holders": ("dm-0",)}, OCCUPIED),
    ("not_a_partitions_parent", {"partitions": ("sda1",)}, OCCUPIED),
    ("not_a_partitions_parent", {"table": "gpt", "listed_partitions": True}, OCCUPIED),
    *[("not_shared_between_machines", {"signature": kind}, OCCUPIED) for kind in SHARED],
    *[("not_a_member", {"signature": kind, "usage": "other"}, OCCUPIED) for kind in MEMBERS],
    ("not_a_member", {"signature": "LVM2_member", "usage": "raid"}, OCCUPIED),
    ("not_a_member", {"signature": "btrfs", "usage": "filesystem", "several_devices": True}, OCCUPIED),
    ("not_a_member", {"damaged": (Damaged(kind="LVM2_member", usage="raid"),)}, OCCUPIED),
    ("not_a_member", {"damaged": (Damaged(kind="ext4", usage="filesystem"), BCACHE)}, OCCUPIED),
    ("not_shared_between_machines", {"damaged": (Damaged(kind="gfs2", usage="filesystem"),)}, OCCUPIED),
    ("not_a_member", {"signature": "crypto_LUKS", "usage": "crypto"}, OCCUPIED),
    ("is_unambiguous", {"ambivalent": True}, OCCUPIED),
    ("nothing_is_built_on_its_disk", {**PART, "whole_holders": ("dm-1", "md2")}, OCCUPIED),
    ("not_on_a_tenants_disk", {**PART, "whole_handed": WHOLE}, Presence.CONFLICT),
    ("no_partition_is_handed", {"parts_handed": (WHOLE, WHOLE)}, Presence.CONFLICT),
    (
        "its_disk_is_no_member",
        {**PART, "whole_signature": "isw_raid_member", "whole_usage": "raid"},
        OCCUPIED,
    ),
    ("its_disk_is_no_member", {**PART, "whole_signature": "crypto_LUKS", "whole_usage": "crypto"}, OCCUPIED),
    (
        "its_disk_is_no_member",
        {**PART, "whole_signature": "zfs_member", "whole_usage": "filesystem"},
        OCCUPIED,
    ),
    ("its_disk_is_no_member", {**PART, "whole_ambivalent": True}, OCCUPIED),
]
FINE: list[dict[str, Any]] = [
    {},
    {"signature": "xfs", "usage": "filesystem"},
    {"signature": "swap", "usage": "other"},
    {"table": "gpt"},
    PART,
    {**PART, "whole_signature": "ext4", "whole_usage": "filesystem"},
    {"signature": "btrfs", "usage": "filesystem"},
    {"damaged": (Damaged(kind="xfs", usage="filesystem"), Damaged(kind="gpt", usage="partition-table"))},
]
TENANTS_DISK = {"nothing_is_built_on_its_disk", "its_disk_is_no_member"}
TENANTS = TENANTS_DISK | {
    "nothing_is_built_on_it",
    "not_a_partitions_parent",
    "not_a_member",
    "is_unambiguous",
}


@pytest.mark.parametrize(
    ("rule", "unlike", "presence"), [pytest.param(*row, marks=pytest.mark.guards(row[0])) for row in TABLE]
)
def test_a_rule_refuses_and_says_what_and_no_other_rule_does(
    rule: str, unlike: dict[str, Any], presence: Presence
) -> None:
    given = Build(**{**PLAIN, **unlike})
    found = fit.unfit(given)
    assert found is not None
    assert found.presence is presence
    assert "nvme0n1" in found.said
    assert [each.name for each in fit.RULES if each.check(given)] == [rule]


@pytest.mark.parametrize("unlike", FINE)
def test_a_plain_disk_with_whatever_data_passes(unlike: dict[str, Any]) -> None:
    assert fit.unfit(Build(**{**PLAIN, **unlike})) is None


def test_every_rule_is_tried_and_says_which_disaster_it_prevents() -> None:
    assert {name for name, _, _ in TABLE} == {each.name for each in fit.RULES}
    for (name, prevents, why), each in zip(fit.listing(), fit.RULES, strict=True):
        assert prevents
        assert each.check.__doc__
        assert (name, prevents, why) == (each.name, each.prevents, each.check.__doc__.strip())


@pytest.mark.parametrize(("rule", "unlike", "presence"), TABLE)
def test_a_tenant_with_a_raw_device_may_have_made_this_and_no_more(
    rule: str, unlike: dict[str, Any], presence: Presence
) -> None:
    found = fit.unfit(Build(**{**PLAIN, **unlike}), tenants=True)
    assert (found is None) == (rule in TENANTS)


@pytest.mark.parametrize("unlike", [unlike for _, unlike, presence in TABLE if presence is OCCUPIED])
def test_what_a_person_is_to_clear_says_how(unlike: dict[str, Any]) -> None:
    found = fit.unfit(Build(**{**PLAIN, **unlike}))
    assert found is not None
    ways = ("wipefs -a", "wipefs -o", "is part of dm-0", "which is part of dm-1, md2")
    assert any(way in found.said for way in ways)


@pytest.mark.parametrize(
    ("unlike", "said"),
    [
        (
            {**PART, "whole_holders": ("dm-1", "md2")},
            "nvme0n1 is a partition of sda, which is part of dm-1, md2 (LVM, RAID, multipath or encryption)",
        ),
        (
            {**PART, "whole_handed": WHOLE},
            "nvme0n1 is a partition of sda, which is a raw device of volume v (/dev/x): it is that tenant's;"
            " list a disk or partitions of it, not both, and if that volume is long over, move its record"
            " away: /state/v.json",
        ),
        (
            {"parts_handed": (WHOLE, Handed(name="nvme1", volume="w", record="/state/w.json"))},
            "nvme0n1 has partition sda, which is the disk of volume v (/dev/x); list a disk or partitions of"
            " it, not both, and if that volume is long over, move its record away: /state/v.json",
        ),
        (
            {**PART, "whole_signature": "ddf_raid_member", "whole_usage": "raid"},
            "nvme0n1 is a partition of sda, which is part of something larger, or encrypted"
            " (ddf_raid_member); look with wipefs, and clear what is stale there by its offset: wipefs -o (-a"
            " would take the partition table too)",
        ),
        (
            {**PART, "whole_ambivalent": True},
            "nvme0n1 is a partition of sda, which is part of something larger, or encrypted (signatures that"
            " contradict each other); look with wipefs, and clear what is stale there by its offset: wipefs"
            " -o (-a would take the partition table too)",
        ),
    ],
)
def test_what_a_partition_and_its_disk_are_to_each_other_is_named_with_the_way_out(
    unlike: dict[str, Any], said: str
) -> None:
    found = fit.unfit(Build(**{**PLAIN, **unlike}))
    assert found is not None
    assert found.said == said


@pytest.mark.parametrize(
    ("unlike", "words"),
    [
        ({"signature": "LVM2_member", "usage": "raid"}, "encrypted (LVM2_member); "),
        ({"signature": "btrfs", "several_devices": True}, "encrypted (btrfs of several devices); "),
        ({"damaged": (BCACHE,)}, "encrypted (a damaged bcache); "),
        ({"damaged": (Damaged(kind="gfs2", usage="filesystem"),)}, "holds a damaged gfs2, which"),
        ({"signature": "gfs2", "usage": "filesystem"}, "holds gfs2, which"),
    ],
)
def test_what_it_is_part_of_is_named(unlike: dict[str, Any], words: str) -> None:
    found = fit.unfit(Build(**{**PLAIN, **unlike}))
    assert found is not None
    assert words in found.said


def test_the_installed_libblkid_has_each_name_that_a_rule_goes_by() -> None:
    libblkid = ctypes.CDLL("libblkid.so.1")
    assert [each for each in (*SHARED, *MEMBERS) if not libblkid.blkid_known_fstype(each.encode())] == []
    assert not libblkid.blkid_known_fstype(b"gpfs")


@pytest.mark.parametrize(
    ("partitions", "words"),
    [
        (("sda1",), "has 1 partition (sda1); "),
        (("sda1", "sda2"), "has 2 partitions (sda1, sda2); "),
        (("sda1", "sda2", "sda3"), "has 3 partitions (sda1, sda2, sda3); "),
    ],
)
def test_partitions_are_counted_and_named(partitions: tuple[str, ...], words: str) -> None:
    found = fit.unfit(Build(**{**PLAIN, "partitions": partitions}))
    assert found is not None
    assert words in found.said


def test_a_rule_is_still_a_function_that_can_be_asked_by_its_name() -> None:
    assert fit.not_optical(Build(**{**PLAIN, "optical": True})) is not None


MOUNTED_TOO = {"not_a_pseudo_disk", "not_optical", "not_removable", "not_shared_between_machines"}


@pytest.mark.parametrize(("rule", "unlike", "presence"), TABLE)
def test_what_lies_under_a_folder_that_the_admin_mounted_is_a_disk_of_this_machine_that_stays(
    rule: str, unlike: dict[str, Any], presence: Presence
) -> None:
    """How he has put it together is his: LVM, md and encryption are his ways to mount one."""
    found = fit.unfit_below(Build(**{**PLAIN, **unlike}))
    assert (found is not None) == (rule in MOUNTED_TOO)
    assert found is None or found.presence is presence
