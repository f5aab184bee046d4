"""Whether a folder that an entry names may be used as a disk: one named check for one disaster.

`facts/folder.py` looks, on the folder's open descriptor, and asks here after each thing that it has seen, so
that nothing is read of what is no disk but that. The medium below the file system is judged by `fit`, after
what of the running system lives there and before the rest, and the disk by `fit_disk`, at the end.
"""

from __future__ import annotations

from disk_daemon.fit import Unfit
from disk_daemon.fit_rules import Rules
from disk_daemon.known import Mount
from tidb_volume.value import Presence, Value


class Folder(Value):
    """What is known of it so far: its mount, and of what was not looked at yet, that all is well."""

    path: str
    mount: Mount | None = None
    """What the descriptor was opened through; None: no table has it."""
    is_mounts: bool = True
    """The files in it have the number of the mount's device."""
    vital: str = ""
    """What of the running system lives on the file system, swap too; empty: nothing known."""
    old_blocks: bool = False
    """After a crash a file may show what was in its blocks before."""


RULES: Rules[Folder] = Rules()
"""In the order in which they are asked."""


def _refused(said: str) -> Unfit:
    return Unfit(Presence.REFUSED, said)


@RULES.rule(
    prevents="filling, or cleaning, a folder of the system's disk while the disk for it is not mounted"
)
def is_a_mount(folder: Folder) -> Unfit | None:
    """The descriptor was opened through a mount, and that mount's target is the path, word for word."""
    if folder.mount is not None and folder.mount.target == folder.path:
        return None
    return Unfit(Presence.NOT_MOUNTED, f"nothing is mounted at {folder.path}; mount the disk there")


@RULES.rule(
    prevents="handing out a corner of a file system as a disk, and one disk to two by two corners of it"
)
def shows_all_of_it(folder: Folder) -> Unfit | None:
    """A bind mount, or a subvolume, has another root than `/`."""
    if folder.mount is None or folder.mount.root == "/":
        return None
    said = f"{folder.path} shows only {folder.mount.root} of a file system, not all of it"
    return Unfit(Presence.NOT_MOUNTED, said)


@RULES.rule(
    prevents="keeping data in memory or on a server, or looking for a disk's users by a number not its own"
)
def is_one_device(folder: Folder) -> Unfit | None:
    """tmpfs, NFS and overlay have major 0; files of a btrfs have other numbers than its mount."""
    mount = folder.mount
    if mount is None or (folder.is_mounts and not mount.device.startswith("0:")):
        return None
    return _refused(f"{folder.path} is {mount.fs_type}, which is not one disk of its own")


@RULES.rule(prevents="deleting what the running machine lives on")
def holds_nothing_vital(folder: Folder) -> Unfit | None:
    """By the device number of swap, and of each folder that a node cannot do without, a link or not."""
    return _refused(f"{folder.path} is on the disk that holds {folder.vital}") if folder.vital else None


@RULES.rule(prevents="showing a tenant, after a crash, what another had written")
def shows_no_old_blocks(folder: Folder) -> Unfit | None:
    """ext4's data=writeback, as it was mounted or by the file system's own default."""
    if not folder.old_blocks:
        return None
    said = "with data=writeback a file may show after a crash what another owner wrote there"
    return _refused(f"{folder.path}: {said}; mount it with data=ordered")
