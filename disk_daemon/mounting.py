"""Mounting what we made, and making device nodes: always by the device number of an open descriptor.

mount(2) wants a name. A name under /dev is whatever udev made of it by now, so a node of our own is made for
the number that was compared, below /dev/tidb-volume, and what got mounted is compared once more.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import msgspec

from disk_daemon import blockdev, journal, kernel, renamed
from disk_daemon.facts import device, folder, hardware, mounts
from disk_daemon.facts.folder import Absent, Rules
from disk_daemon.jobs import Job, Mounted
from disk_daemon.known import Entry, Live, Made
from disk_daemon.shown import said
from tidb_volume import mount_options, names
from tidb_volume.identity import same_hardware
from tidb_volume.value import Identity, VolumeMode

_PLACE_MODE, _NODES_MODE, _NODE_MODE = 0o700, 0o755, 0o600


@contextmanager
def locked(fd: int) -> Iterator[int]:
    """flock on the whole disk, as udev takes it too; BlockingIOError where another process of ours has it.

    Yields the descriptor that has the lock, for whoever is to hold on to it.
    """
    own = hardware.folder(hardware.number(os.fstat(fd).st_rdev))
    lock = os.dup(fd)
    if (own / "partition").exists():
        os.close(lock)
        lock = os.open(f"/dev/{own.parent.name}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        whole = own.parent if (own / "partition").exists() else own
        if hardware.number(os.fstat(lock).st_rdev) != (whole / "dev").read_text().strip():
            raise OSError(errno.ESTALE, "another device than sysfs says", f"/dev/{whole.name}")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield lock
    finally:
        os.close(lock)


def node(fd: int, name: str, rules: Rules) -> str:
    """A device node of that name for the opened device; one that leads elsewhere is replaced."""
    wanted = os.fstat(fd).st_rdev
    os.makedirs(rules.nodes, mode=_NODES_MODE, exist_ok=True)
    path = f"{rules.nodes.rstrip('/')}/{name}"
    with suppress(FileNotFoundError):
        there = os.lstat(path)
        if stat.S_ISBLK(there.st_mode) and there.st_rdev == wanted:
            return path
        os.unlink(path)
    os.mknod(path, stat.S_IFBLK | _NODE_MODE, wanted)
    return path


def mount(fd: int, volume: str, made: Made, rules: Rules) -> None:
    """Mount the file system on the opened device at its place, and see that it is the one that is meant.

    OSError where it can't be mounted, or was another: then nothing is mounted afterwards.
    """
    place = rules.place(volume)
    elsewhere = [option for option in made.options if mount_options.leads_elsewhere(option)]
    if elsewhere:
        said = f"mountOptions {', '.join(elsewhere)}: would open what no guard has looked at"
        raise OSError(errno.EPERM, said, place)
    os.makedirs(place, mode=_PLACE_MODE, exist_ok=True)
    with _bare(place):
        try:
            kernel.mount(node(fd, volume, rules), place, made.fs_type, made.options)
        except PermissionError as error:
            raise blockdev.read_only_or(fd, error) from error
    try:
        with folder.opened(place) as root:
            wanted, seen = os.fstat(fd).st_rdev, os.fstat(root).st_dev
            uuid = hardware.filesystem_uuid(root, hardware.number(seen))
            if seen != wanted or uuid != made.uuid:
                raise OSError(errno.ESTALE, f"mounted was {uuid}, meant is {made.uuid}", place)
    except BaseException:
        kernel.unmount(place)
        raise


@contextmanager
def _bare(place: str) -> Iterator[None]:
    """The place is a folder of ours with nothing in it, reached through no symlink."""
    bare = kernel.open_path(place)
    try:
        if not folder.is_empty(bare):
            raise OSError(errno.ENOTEMPTY, "something lies where the disk is to be mounted", place)
        yield
    finally:
        os.close(bare)


def unmount(volume: str, rules: Rules) -> None:
    """Unmount a device entry's file system; OSError with EBUSY while it is in use. Never lazily."""
    kernel.unmount(rules.place(volume))


def recall(rules: Rules) -> tuple[tuple[str, str, VolumeMode], ...]:
    """Volume, device and mode of each disk that the journal wants mounted or shown; never a folder's."""
    return tuple(
        (entry.volume, entry.source, "Block" if entry.block else "Filesystem")
        for entry in journal.every(rules.state)
        if _is_wanted(entry) and entry.volume
    )


def _is_wanted(entry: Entry) -> bool:
    begun = entry.order is not None and entry.order.begun
    shown = entry.block and bool(entry.handed) and not begun
    return shown or (entry.made is not None and entry.making is None and not entry.unmounted)


def hide(tenancy: str, rules: Rules) -> None:
    """Remove a tenancy's device node: no new pod finds the disk."""
    if names.is_tenancy(tenancy):
        with suppress(FileNotFoundError):
            os.unlink(f"{rules.nodes.rstrip('/')}/{tenancy}")


def hide_strays(rules: Rules) -> None:
    """Remove each tenancy's device node whose number leads to another disk by now, or to none.

    A number is free once its disk was pulled out and nobody has it open, and the next disk that is plugged in
    gets it: a pod that starts then would write to that one. A node that is gone is made again from the
    journal, and running pods do not miss it. One that the journal does not know was made by hand, and stays.
    """
    for entry in journal.every(rules.state):
        if entry.block and names.is_tenancy(entry.handed):
            with suppress(FileNotFoundError):
                about = os.lstat(f"{rules.nodes.rstrip('/')}/{entry.handed}")
                if not _is_of(about.st_rdev, entry.identity, rules):
                    hide(entry.handed, rules)


def _is_of(number: int, meant: Identity, rules: Rules) -> bool:
    """Whether a device number surely leads to the disk that is meant."""
    try:
        seen = hardware.identity(hardware.number(number), virtual_disks=rules.virtual_disks)
    except (OSError, hardware.Virtual):
        return False
    return same_hardware(meant, seen)


Read = Callable[[str], Live]
"""What the API has of the volume of that name, read now."""


def _unread(volume: str) -> Live:
    return Live(read_at=0.0, error="nobody asks")


def from_journal(job: Job, rules: Rules, read: Read = _unread) -> Mounted:
    """Mount a disk as the journal has it, if hardware and file system are those; else say why not.

    Needs nobody's permission: the disk is as we left it, and pods wait for it. Only one that the journal has
    in another volume's name is taken over first, for which the API is read.
    """
    try:
        with device.opened(job.source.device) as fd, locked(fd):
            facts = device.look(fd, job, rules)
            entry = journal.load(rules.state, facts.identity) if facts.identity is not None else None
            if not isinstance(entry, Entry) or not entry.volume:
                return Mounted(ok=False, said=f"the journal does not know {job.source} as {job.volume}'s")
            raw = facts.raw
            assert raw is not None
            if entry.volume != job.volume and raw.mountable:
                stays = _taken_over(fd, job, entry, rules, read)
                if stays is not None:
                    return stays
            if raw.mountable and raw.mode == "Block":
                return Mounted(ok=True, said=f"made {node(fd, entry.handed, rules)}")
            if raw.mode == "Block" and facts.tenancies:
                return Mounted(ok=True, said="its device node is there already")
            if raw.mountable and entry.made is not None:
                return _mounted(fd, job, entry.made, rules)
            if raw.mounted:
                return Mounted(ok=True, said="mounted already")
            return Mounted(ok=False, said=raw.damage or raw.held or facts.message or raw.found)
    except BlockingIOError:
        return Mounted(ok=False, said="another process of ours works on this disk", passing=True)
    except Absent as error:
        return Mounted(ok=False, said=str(error))
    except OSError as error:
        return Mounted(ok=False, said=said(error))


def _taken_over(fd: int, job: Job, entry: Entry, rules: Rules, read: Read) -> Mounted | None:
    """Have the journal know a disk as the job's that it has in another volume's name, and let go of the place
    of that one. None: it is the job's now, and nothing of it is mounted.

    Unmounted before it is journalled: what is cut in between is found unmounted, and taken over once more.
    """
    live = read(entry.volume)
    disk = device.look(fd, msgspec.structs.replace(job, volume=entry.volume), rules)
    seen = renamed.Renamed(old=entry.volume, source=entry.source, live=live, now=kernel.boottime(), disk=disk)
    stays = renamed.RULES.unfit(seen)
    if stays is not None or rules.unwritable:
        said = stays.said if stays is not None else rules.unwritable
        return Mounted(ok=False, said=said, passing=bool(live.error))
    if disk.raw is not None and disk.raw.mounted:
        unmount(entry.volume, rules)
    journal.store(rules.state, msgspec.structs.replace(entry, volume=job.volume, source=str(job.source)))
    return None


def _mounted(fd: int, job: Job, made: Made, rules: Rules) -> Mounted:
    """Mount what was made; where the kernel does not, say what a person can do: nobody else repairs it."""
    place = rules.place(job.volume)
    try:
        mount(fd, job.volume, made, rules)
    except OSError as error:
        return Mounted(ok=False, said=f"{said(error)}; {way_out(error, made, job.source.device, place)}")
    return Mounted(ok=True, said=f"mounted at {place}")


_REPAIR = {
    "xfs": "xfs_repair {device}; if that asks for it, with -L, which loses what was written last",
    "ext4": "e2fsck -f {device}",
}
_DAMAGE = frozenset({errno.EUCLEAN, errno.EBADMSG, errno.EIO, errno.ENXIO})
"""What the kernel says of a file system that it does not understand, or cannot read."""


def way_out(error: OSError, made: Made, device: str, place: str) -> str:
    """What to do about a mount that failed, for people. What is mounted at its place by hand is taken for
    ours by its UUID."""
    repair = "repair it on the node: " + _REPAIR[made.fs_type].format(device=device)
    by_hand = f"mount it by hand at {place}"
    if error.errno == errno.ENOTEMPTY:
        return "move it away"
    if error.errno == errno.EINVAL:
        return f"{by_hand} with options that this kernel takes; or, if it is damaged, {repair}"
    if error.errno in _DAMAGE:
        return f"{repair}; if it cannot be read, the kernel's log says more"
    return f"look at the kernel's log of the node, then {by_hand}"


def drop_copies(rules: Rules) -> None:
    """Let go of the copies of our mounts that this container got when it was started.

    A hostPath volume brings what was mounted below it, and a private copy would keep the file system alive
    after the host has let it go (mkfs: EBUSY). To be called in the container's own namespace, and only there;
    a copy that passes its unmount on to the host is left alone.
    """
    inside = f"{rules.mounts.rstrip('/')}/"
    for each in reversed(list(mounts.parse(mounts.read()))):
        if each.target.startswith(inside) and not each.shared:
            kernel.detach(each.target)
