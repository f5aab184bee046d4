"""Whether a block device may be used at all: one named check for one disaster, over facts gathered before.

`facts/build.py` gathers how the device is made, what is made of it and, where its content was looked at, what
libblkid calls that; here is only judged. Presence says what kind of answer it is: `Refused` is for what is
never a disk to keep data on, and its entry is to go; `Conflict` is one of two that look alike; `Occupied` is
a disk that is part of something else, which a person takes apart and clears by hand (`wipefs -a`). None is
ever offered for adoption: an answer to a question about data cannot format a member of an array.

A Block volume in a tenant's hands is another matter: partitions, a volume group or an encrypted container on
it are that tenant's own, and are wiped with all else once nobody has them open (docs/decisions/0112). What
other machines may use at this moment is refused there too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from disk_daemon.known import Build
from tidb_volume.value import Presence


class Unfit(NamedTuple):
    """Why a device is not to be used, for people."""

    presence: Presence
    said: str


Check = Callable[[Build], Unfit | None]


class Rule(NamedTuple):
    """A check, and what it is there for."""

    name: str
    prevents: str
    tenants_too: bool
    mounts_too: bool
    check: Check


RULES: list[Rule] = []
"""In the order in which they are asked."""


def rule(*, prevents: str, tenants_too: bool = True, mounts_too: bool = False) -> Callable[[Check], Check]:
    """Register a check. Not `tenants_too`: a tenant who has the raw device may have made it so. `mounts_too`:
    it holds for the medium under a folder that the admin mounted, too; how he put that together is his."""

    def register(check: Check) -> Check:
        RULES.append(Rule(check.__name__, prevents, tenants_too, mounts_too, check))
        return check

    return register


def unfit(build: Build, *, tenants: bool = False) -> Unfit | None:
    """The first objection; None: it may be used. tenants: it is a Block volume in a tenant's hands."""
    return _first(build, (each for each in RULES if each.tenants_too or not tenants))


def unfit_below(build: Build) -> Unfit | None:
    """The first objection to what a mounted file system lies on."""
    return _first(build, (each for each in RULES if each.mounts_too))


def _first(build: Build, rules: Iterable[Rule]) -> Unfit | None:
    return next((found for each in rules if (found := each.check(build)) is not None), None)


def _refused(build: Build, said: str) -> Unfit:
    return Unfit(Presence.REFUSED, f"{build.name} {said}")


def _occupied(build: Build, said: str) -> Unfit:
    return Unfit(Presence.OCCUPIED, f"{build.name} {said}")


# --- what it is -----------------------------------------------------------------------------------------


@rule(prevents="formatting what the running machine lives on")
def not_the_systems_own(build: Build) -> Unfit | None:
    """The device itself, a partition of it, and whatever is stacked on either."""
    return _refused(build, f"is the disk that holds {build.vital}") if build.vital else None


@rule(prevents="overwriting memory that the kernel has put on disk")
def not_swapped_to(build: Build) -> Unfit | None:
    """swapon holds a device exclusively; the reason is told before O_EXCL says EBUSY to a wipe."""
    return _refused(build, f"is swapped to ({build.swap}); swapoff it first") if build.swap else None


@rule(prevents="keeping data in memory, on a floppy or behind a network block device", mounts_too=True)
def not_a_pseudo_disk(build: Build) -> Unfit | None:
    """By the kernel's name for the driver, which nobody can choose."""
    return _refused(build, "is no disk to keep data on") if build.pseudo else None


@rule(prevents="taking a disc in a drive for a disk", mounts_too=True)
def not_optical(build: Build) -> Unfit | None:
    """SCSI's peripheral device type 5 (SPC), or the driver's name."""
    return _refused(build, "is an optical drive") if build.optical else None


@rule(
    prevents="formatting a stick that somebody plugged in, or handing out one that is pulled out",
    mounts_too=True,
)
def not_removable(build: Build) -> Unfit | None:
    """The kernel's `removable` is about the medium, so a disk in a hot-swap bay is none."""
    return _refused(build, "is a removable disk") if build.removable else None


@rule(prevents="wiping two disks, or half an array, by one name")
def not_put_together(build: Build) -> Unfit | None:
    """Device-mapper, md, and whatever else has slaves."""
    if not build.made_of:
        return None
    return _refused(
        build, f"is put together of {', '.join(build.made_of)} (dm, md); mount it, and list the folder"
    )


@rule(prevents="taking a slot without a medium for a small blank disk")
def has_a_size(build: Build) -> Unfit | None:
    """A card reader, or a drive that lost its medium, has size 0; every loop over it succeeds at once."""
    if build.size_bytes:
        return None
    return Unfit(Presence.NOT_PRESENT, f"{build.name} has no medium in it")


# --- what is made of it ---------------------------------------------------------------------------------


@rule(prevents="wiping a disk from under LVM, RAID, multipath or encryption", tenants_too=False)
def nothing_is_built_on_it(build: Build) -> Unfit | None:
    """`holders` in sysfs, of the device and of each of its partitions."""
    if not build.holders:
        return None
    return _occupied(build, f"is part of {', '.join(build.holders)} (LVM, RAID, multipath or encryption)")


@rule(prevents="wiping the wrong one of two disks with the same facts, or one in use by its other path")
def not_one_of_two_alike(build: Build) -> Unfit | None:
    """Asked of a disk that the journal does not know, and of each before an order: a name leads to either."""
    if not build.alike:
        return None
    said = (
        f"{build.name} and {', '.join(build.alike)} have the same serial, WWN, model and size, so nothing"
        " tells which is which; if that is one disk by two paths, put them together with multipath; if not,"
        " give one another serial"
    )
    return Unfit(Presence.CONFLICT, said)


@rule(prevents="formatting a partition from under what has taken all of its disk", tenants_too=False)
def nothing_is_built_on_its_disk(build: Build) -> Unfit | None:
    """The kernel keeps a table's partitions while all of the disk is a path, or a member of an array."""
    if not build.whole_holders:
        return None
    held = f"is a partition of {build.whole}, which is part of {', '.join(build.whole_holders)}"
    return _occupied(build, f"{held} (LVM, RAID, multipath or encryption)")


@rule(prevents="formatting a partition that a tenant of the whole disk made on it")
def not_on_a_tenants_disk(build: Build) -> Unfit | None:
    """A Block volume's tenant writes tables like anybody, and after a boot the kernel has read them in. Asked
    of a partition that the journal does not know, and of each before an order."""
    handed = build.whole_handed
    if handed is None:
        return None
    said = (
        f"{build.name} is a partition of {handed.name}, which is a raw device of volume {handed.volume}: it"
        " is that tenant's; list a disk or partitions of it, not both, and if that volume is long over, move"
        f" its record away: {handed.record}"
    )
    return Unfit(Presence.CONFLICT, said)


@rule(prevents="wiping what lies on a partition that is somebody else's disk, with all of the disk")
def no_partition_is_handed(build: Build) -> Unfit | None:
    """By the journal, since one that is not mounted has no user; asked before an order."""
    if not build.parts_handed:
        return None
    first = build.parts_handed[0]
    said = (
        f"{build.name} has partition {first.name}, which is the disk of volume {first.volume}; list a disk or"
        " partitions of it, not both, and if that volume is long over, move its record away:"
        f" {first.record}"
    )
    return Unfit(Presence.CONFLICT, said)


@rule(prevents="formatting a whole disk when what is on its partitions was not looked at", tenants_too=False)
def not_a_partitions_parent(build: Build) -> Unfit | None:
    """Partitions that the kernel knows, and those that a table on the disk lists and nobody has read in."""
    if build.partitions:
        many = "partitions" if len(build.partitions) > 1 else "partition"
        words = f"has {len(build.partitions)} {many} ({', '.join(build.partitions)})"
    elif build.listed_partitions:
        words = f"has a {build.table} partition table with partitions in it"
    else:
        return None
    return _occupied(build, f"{words}; list the partition, or clear the disk by hand: wipefs -a")


SHARED = ("gfs", "gfs2", "ocfs", "ocfs2", "VMFS", "VMFS_volume_member", "oracleasm", "vxfs")
"""File systems that several machines have mounted at once (libblkid's names)."""
MEMBERS = (
    "zfs_member",
    "bcache",
    "ceph_bluestore",
    "vdo",
    "mpool",
    "DM_snapshot_cow",
    "drbdmanage_control_volume",
    "drbdproxy_datalog",
    "jbd",
    "xfs_external_log",
    "swsuspend",
)
"""Parts of something else that libblkid does not file under raid or crypto."""


class _Signature(NamedTuple):
    """libblkid's TYPE and USAGE of one, and what to call it."""

    kind: str
    usage: str
    said: str


def _signatures(build: Build) -> list[_Signature]:
    return [
        _Signature(build.signature, build.usage, build.signature),
        *(_Signature(each.kind, each.usage, f"a damaged {each.kind}") for each in build.damaged),
    ]


def _is_a_members(signature: _Signature) -> bool:
    return signature.usage in ("raid", "crypto") or signature.kind in MEMBERS


@rule(prevents="wiping a disk that other machines have mounted at this moment", mounts_too=True)
def not_shared_between_machines(build: Build) -> Unfit | None:
    """No table of this machine shows them (ironic-python-agent: customers lost SAN volumes)."""
    found = next((each for each in _signatures(build) if each.kind in SHARED), None)
    if found is None:
        return None
    return _occupied(
        build,
        f"holds {found.said}, which other machines may have mounted now; if none has, clear it by hand: "
        "wipefs -a",
    )


@rule(prevents="formatting a sleeping member of an array or a pool, or what is encrypted", tenants_too=False)
def not_a_member(build: Build) -> Unfit | None:
    """Nothing holds it as long as nobody has assembled it: a signature is all there is to see, be it damaged.
    A btrfs is one where its superblock counts other devices."""
    found = next((each for each in _signatures(build) if _is_a_members(each)), None)
    if found is None and not build.several_devices:
        return None
    said = found.said if found is not None else f"{build.signature} of several devices"
    return _occupied(
        build,
        f"is part of something larger, or encrypted ({said}); take it out of there, then clear it "
        "by hand: wipefs -a",
    )


@rule(prevents="formatting a partition of a disk that is a sleeping member of an array", tenants_too=False)
def its_disk_is_no_member(build: Build) -> Unfit | None:
    """A table may be older than the array, or the array's own seen through one of its disks. libblkid names
    on a disk no signature that lies within one of its partitions."""
    found = _Signature(build.whole_signature, build.whole_usage, build.whole_signature)
    if not (_is_a_members(found) or build.whole_ambivalent):
        return None
    said = "signatures that contradict each other" if build.whole_ambivalent else found.said
    return _occupied(
        build,
        f"is a partition of {build.whole}, which is part of something larger, or encrypted ({said}); look"
        " with wipefs, and clear what is stale there by its offset: wipefs -o (-a would take the partition"
        " table too)",
    )


@rule(prevents="believing one of two signatures", tenants_too=False)
def is_unambiguous(build: Build) -> Unfit | None:
    """libblkid's "ambivalent": one of them may be a member of something that is in use elsewhere."""
    if not build.ambivalent:
        return None
    said = "holds several signatures that contradict each other; look with wipefs, then clear it: wipefs -a"
    return _occupied(build, said)


def listing(rules: Iterable[Rule] = RULES) -> list[tuple[str, str, str]]:
    """Name, disaster and rule of each check, for the docs."""
    return [(each.name, each.prevents, (each.check.__doc__ or "").strip()) for each in rules]
