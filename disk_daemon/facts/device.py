"""What is on a device entry's disk: the device itself, and the file system that we made on it.

The name is followed once, to a device number; from then on there is only the open descriptor. Whether the
disk may be used at all comes before what is on it. What that means beside the journal is decided in `bare`.
"""

from __future__ import annotations

import errno
import os
import random
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from disk_daemon import blockdev, fit, fit_disk, journal, nvme, tools
from disk_daemon.facts import bare, build, folder, hardware, mounts, openers
from disk_daemon.facts.folder import Absent, Rules
from disk_daemon.fit_disk import Disk
from disk_daemon.jobs import Job
from disk_daemon.known import Entry, Facts, Handed, Journal, Raw, User
from disk_daemon.nvme import Nvme
from tidb_volume.identity import has_unique_fact
from tidb_volume.shape import shape
from tidb_volume.value import Identity, Presence

FS_TYPE = "xfs"
"""Of a device whose entry says none."""

NOBODY_LOOKED: tuple[tuple[User, ...], str] = ((), "nobody looked")
"""Users, and why they are unknown."""


@contextmanager
def opened(name: str) -> Iterator[int]:
    """A readable descriptor of the block device that a name leads to now. Raises Absent, OSError."""
    try:
        pinned = os.open(name, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise Absent(Presence.NOT_PRESENT, f"{name} does not exist") from error
    try:
        if not stat.S_ISBLK(os.fstat(pinned).st_mode):
            raise Absent(Presence.REFUSED, f"{name} is no block device")
        try:
            fd = blockdev.reopened(pinned, os.O_RDONLY)
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.ENOMEDIUM, errno.ENODEV):
                raise Absent(Presence.NOT_PRESENT, f"{name} leads to no disk: {error.strerror}") from error
            raise
    finally:
        os.close(pinned)
    try:
        yield fd
    finally:
        os.close(fd)


def stand(fd: int, job: Job, rules: Rules) -> Facts:
    """Whether an opened device may be used, and which it is; its content is not looked at.

    Raises Absent, OSError.
    """
    name, device = job.source.device, hardware.number(os.fstat(fd).st_rdev)
    built = build.gather(device, (rules.state,))
    _stop_at(name, fit.unfit(built, tenants=True))
    size = blockdev.size_of(fd)
    identity, virtual = Identity(size_bytes=size), ""
    try:
        identity = hardware.identity(device, virtual_disks=rules.virtual_disks)
    except hardware.Virtual as error:
        virtual = str(error)
    disk = Disk(
        name=name,
        virtual=virtual,
        unique=has_unique_fact(identity),
        told_bytes=identity.size_bytes,
        opened_bytes=size,
        wanted_serial=" ".join(job.source.serial.split()),
        serial=identity.serial,
    )
    _stop_at(name, fit_disk.RULES.unfit(disk))
    entry = journal.load(rules.state, identity)
    whole = hardware.whole_of(device)
    if _has_to_be_told_from_others(job, entry):
        of_whole = _handed(whole, rules, raw=True) if whole else None
        built = msgspec.structs.replace(built, alike=hardware.alike(device), whole_handed=of_whole)
    if job.order is not None:
        built = msgspec.structs.replace(built, parts_handed=_parts_handed(device, rules))
    _stop_at(name, fit.unfit(built, tenants=bare.is_a_tenants(entry)))
    return Facts(
        presence=Presence.OK,
        boot=folder.boot_id(rules),
        device=device,
        whole=whole,
        name=built.name,
        identity=identity,
        read_only=blockdev.is_read_only(fd),
        capacity_bytes=size,
        raw=Raw(
            mode=job.volume_mode,
            wanted=wanted(job),
            build=built,
            was_block=bare.was_a_tenants(entry),
            nvme=_nvme(fd, built.name, job),
        ),
    )


def _nvme(fd: int, name: str, job: Job) -> Nvme | None:
    asked = job.order is not None and job.order.method == "nvme-format"
    return nvme.look(fd) if asked and nvme.is_nvme(name) else None


def wanted(job: Job) -> str:
    """What the entry says that a device is to be."""
    return shape(job.volume_mode, job.fs_type or FS_TYPE, job.mount_options)


def _stop_at(name: str, objection: fit.Unfit | None) -> None:
    """Raises Absent where there is one."""
    if objection is not None:
        said = objection.said
        raise Absent(objection.presence, said if said.startswith(f"{name} ") else f"{name}: {said}")


def _has_to_be_told_from_others(job: Job, entry: Journal) -> bool:
    """What is on record stays as it is while a twin of it is plugged in: only where something is begun, or a
    Block volume, which has no file system's UUID, is shown anew, does it matter which of both this is."""
    if job.order is not None or not isinstance(entry, Entry):
        return True
    return job.kind == "mount" and entry.block


def _is_somebodys(entry: Entry) -> bool:
    return bool(entry.handed) or bare.is_at_work(entry)


def _handed(device: str, rules: Rules, *, raw: bool) -> Handed | None:
    """What the journal has of another device, if somebody may have data there. raw: as a raw device.

    A record that cannot be read keeps every disk without one of its own from use, and says nothing here.
    """
    identity = hardware.identity(device, virtual_disks=rules.virtual_disks)
    entry = journal.load(rules.state, identity)
    if not isinstance(entry, Entry) or not (bare.is_a_tenants(entry) if raw else _is_somebodys(entry)):
        return None
    return Handed(
        name=hardware.kernel_name(device),
        volume=f"{entry.volume} ({entry.source})",
        record=str(journal.file_of(rules.state, identity)),
    )


def _parts_handed(device: str, rules: Rules) -> tuple[Handed, ...]:
    numbers = [hardware.number(hardware.device_of(each)) for each in build.parts(hardware.folder(device))]
    return tuple(filter(None, (_handed(each, rules, raw=False) for each in numbers)))


def look(fd: int, job: Job, rules: Rules, *, ours: bool = False, whole: bool = True) -> Facts:
    """All that is to know of an opened device, its users and content. Raises Absent, OSError.

    ours: who asks holds the device exclusively. whole: with its users, who cost the most to find; without it
    they are unknown.
    """
    facts = stand(fd, job, rules)
    assert facts.identity is not None
    known = journal.load(rules.state, facts.identity)
    entry = known if isinstance(known, Entry) else None
    place, mode = rules.place(job.volume), bare.mode(job, entry)
    assert facts.raw is not None
    other = entry.volume if entry is not None and entry.volume != job.volume else ""
    facts = msgspec.structs.replace(facts, raw=msgspec.structs.replace(facts.raw, mode=mode, other=other))
    assert facts.raw is not None
    at_place = _is_mounted(facts.device, place)
    ours_mounted = at_place and mode != "Block"
    users, unknown = _who(fd, facts, place, job, rules, mounted=ours_mounted) if whole else NOBODY_LOOKED
    raw = msgspec.structs.replace(facts.raw, holders=users)
    facts = msgspec.structs.replace(facts, users=users, users_unknown=unknown, raw=raw)
    sight = _Sight(fd, rules)
    if mode == "Block":
        raw = msgspec.structs.replace(raw, at_place=at_place)
        return bare.block(sight, msgspec.structs.replace(facts, raw=raw), entry, job, ours=ours)
    if at_place:
        return _mounted(facts, entry, place, rules)
    return bare.unmounted(sight, facts, entry, ours=ours)


def _who(
    fd: int, facts: Facts, place: str, job: Job, rules: Rules, *, mounted: bool
) -> tuple[tuple[User, ...], str]:
    """Who uses a device, but for our own mount of it; and why nobody can say, empty where it is known.

    mounted: ours is mounted, which nobody can use but through a mount. A look without an order need not know
    all of them, and so most looks at a disk in use cost little. Who uses the disk that it is a partition of
    uses it too; who uses another partition of that does not.
    """
    assert facts.raw is not None
    found: list[User] = []
    numbers = {os.fstat(fd).st_rdev}
    whole = os.makedev(*map(int, facts.whole.split(":"))) if facts.whole else 0
    try:
        tables = tuple(mounts.tables())
        found += mounts.holders(facts.device, place, tables)
        if whole:
            found += mounts.holders(facts.whole, "", tables)
            numbers.add(whole)
        if (facts.raw.mode == "Block" or facts.raw.was_block) and facts.raw.build is not None:
            # What a tenant made on a raw device: partitions, and what is stacked on them or on itself.
            held = (*facts.raw.build.holders, *facts.raw.build.whole_holders)
            found += [User(who=f"{name} is built on it", root="") for name in held]
            for device in facts.raw.build.above:
                found += mounts.holders(device, "", tables)
                numbers.add(os.makedev(*map(int, device.split(":"))))
        if not mounted and (job.order is not None or not found):
            ordered = job.order is not None
            sent_too = ordered and facts.raw.mode == "Block"
            found += openers.users(
                numbers, tables, rules, all_of_them=ordered, sent_too=sent_too, locked=whole
            )
    except (OSError, ValueError) as error:
        return tuple(found), folder.why(error)
    return tuple(found), ""


def _is_mounted(device: str, place: str) -> bool:
    return any(
        mount.device == device and mount.target == place and mount.root == "/"
        for mount in mounts.parse(mounts.read())
    )


def _mounted(facts: Facts, entry: Entry | None, place: str, rules: Rules) -> Facts:
    with folder.opened(place) as root:
        inner = folder.look(root, place, rules)
    if inner.device != facts.device:
        raise Absent(Presence.STUCK, f"something else is mounted over {place}")
    return bare.mounted(facts, inner, entry, place)


SAMPLED_S = 1.0
"""So long a look reads samples: what it saw is good for a few seconds (frame.LIVE_FOR_S)."""


class _Sight(NamedTuple):
    """An opened device, as `bare` looks at it."""

    fd: int
    rules: Rules

    def probed(self, facts: Facts, *, making: bool) -> tools.Found:
        assert facts.raw is not None
        return _probed(self.fd, facts, self.rules, tenants=facts.raw.was_block, making=making)

    def held(self) -> str:
        return _held(self.fd)

    def looks_zero(self) -> bool:
        with blockdev.Reader(self.fd) as reader:
            return reader.looks_zero(random.SystemRandom(), within_s=SAMPLED_S)

    def is_shown(self, tenancy: str) -> bool:
        return is_shown(self.fd, tenancy, self.rules)

    def refuse_shared(self, facts: Facts) -> None:
        _probed(self.fd, facts, self.rules, tenants=True)


def is_shown(fd: int, tenancy: str, rules: Rules) -> bool:
    """Whether the tenancy's device node is there and leads to the opened device."""
    try:
        about = os.lstat(f"{rules.nodes.rstrip('/')}/{tenancy}")
    except FileNotFoundError:
        return False
    return stat.S_ISBLK(about.st_mode) and about.st_rdev == os.fstat(fd).st_rdev


def partition_numbers(fd: int) -> tuple[int, ...]:
    """The numbers of the partitions that the kernel knows of a device."""
    own = hardware.folder(hardware.number(os.fstat(fd).st_rdev))
    return tuple(int((each / "partition").read_text()) for each in build.parts(own))


def _probed(
    fd: int, facts: Facts, rules: Rules, *, tenants: bool = False, making: bool = False
) -> tools.Found:
    """What is on the device, unless that alone says that it is not to be used. Raises Absent.

    tenants: an order ends what a tenant left there. making: a file system was being made, so that
    contradictions are what a cut mkfs leaves, and so is what it has overwritten in part.

    libblkid passes over what has a wrong checksum, and a member of something does not end with that. A whole
    superblock of a file system is newer than a damaged one of anything else.
    """
    assert facts.raw is not None
    assert facts.raw.build is not None
    found = tools.probe(rules.tools, fd, rules.kept)
    built = build.with_content(facts.raw.build, found, fd)
    if making:
        built = msgspec.structs.replace(built, ambivalent=False)
    elif not found.fs_type and not found.ambivalent:
        built = msgspec.structs.replace(built, damaged=tools.damaged(rules.tools, fd, rules.kept))
    if facts.whole and not tenants:
        built = build.with_content_of_whole(built, _found_on(facts.whole, rules))
    _stop_at(facts.name, fit.unfit(built, tenants=tenants))
    return found


def _found_on(device: str, rules: Rules) -> tools.Found:
    """What libblkid finds on another device. OSError where nobody can tell."""
    fd = hardware.opened(hardware.kernel_name(device), os.makedev(*map(int, device.split(":"))))
    try:
        return tools.probe(rules.tools, fd, rules.kept)
    finally:
        os.close(fd)


def _held(fd: int) -> str:
    """Who holds a device exclusively is not in any one table; that somebody does, the kernel says."""
    try:
        os.close(blockdev.reopened(fd, os.O_RDONLY | os.O_EXCL))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return "held exclusively, by no mount that any process's table shows"
    return ""
