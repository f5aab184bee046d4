"""The options with which a pool's file systems may be mounted: those known to be harmless, and no other.

An option can name a device or a file (xfs: rtdev, logdev; ext4: journal_path, journal_dev): the kernel, as
root, opens what it names, and no guard and no `never` has looked at that. Others stop the machine, or let a
wipe's fsync end before the disk has it. Who edits a ConfigMap is trusted with the disks that it lists and
with nothing else, so what is not in these tables is refused where it is written. What leads elsewhere the
daemon refuses once more.

After the kernel's Documentation/admin-guide/xfs.rst and ext4.rst.
"""

from __future__ import annotations

import re

PER_MOUNT = ("noatime", "nodiratime", "relatime", "strictatime", "nosuid", "nodev", "noexec")
"""What a bind mount can have of its own. All else belongs to the file system, which the admin mounted: the
kubelet passes it on and the kernel ignores it without a word (tried: nodelalloc, lazytime, sync)."""
ANY = ("lazytime", "sync", "dirsync")
"""What every file system knows, besides."""

NUMBER, SIZE, _DAX = r"[0-9]{1,9}", r"[0-9]{1,9}[kKmMgG]?", "always|never|inode"

XFS: dict[str, str] = {
    **dict.fromkeys(
        ("discard", "nodiscard", "filestreams", "inode32", "inode64", "largeio", "nolargeio"), ""
    ),
    **dict.fromkeys(("noalign", "swalloc", "wsync", "noquota", "quota", "uquota", "usrquota"), ""),
    **dict.fromkeys(
        ("gquota", "grpquota", "pquota", "prjquota", "qnoenforce", "uqnoenforce", "gqnoenforce"), ""
    ),
    "pqnoenforce": "",
    "allocsize": SIZE,
    "logbsize": SIZE,
    "logbufs": NUMBER,
    "sunit": NUMBER,
    "swidth": NUMBER,
    "dax": _DAX,
}
"""Of xfs: by name the pattern of the value; empty: it has none."""
EXT4: dict[str, str] = {
    **dict.fromkeys(("acl", "noacl", "user_xattr", "nouser_xattr", "delalloc", "nodelalloc", "discard"), ""),
    **dict.fromkeys(("nodiscard", "auto_da_alloc", "noauto_da_alloc", "dioread_lock", "dioread_nolock"), ""),
    **dict.fromkeys(("nodioread_nolock", "init_itable", "noinit_itable", "journal_checksum", "quota"), ""),
    **dict.fromkeys(("nojournal_checksum", "noquota", "usrquota", "grpquota", "prjquota", "barrier"), ""),
    "commit": NUMBER,
    "data": "ordered|journal",
    "data_err": "ignore|abort",
    "dax": _DAX,
    "errors": "remount-ro|continue",
    "inode_readahead_blks": NUMBER,
    "journal_ioprio": "[0-7]",
    "max_batch_time": NUMBER,
    "max_dir_size_kb": NUMBER,
    "min_batch_time": NUMBER,
    "stripe": NUMBER,
}
"""Of ext4, alike."""
OF: dict[str, dict[str, str]] = {"xfs": XFS, "ext4": EXT4}

ELSEWHERE = ("rtdev", "logdev", "journal_path", "journal_dev", "usrjquota", "grpjquota")
"""What names another device, or a file."""
_DURABLE = (
    "would let an fsync end before the disk has it, and what was wiped could come back after a loss of power"
)
_WHY = {
    "errors=panic": "would stop the whole machine for one disk that fails",
    "data=writeback": "may show after a crash what another owner had written",
    "nobarrier": _DURABLE,
    "barrier=0": _DURABLE,
    "nouuid": "would mount a copy beside the disk that it was copied from",
}
"""Why, of those that people may look for."""
_OF_FSTAB = (
    *("auto", "bind", "defaults", "dev", "exec", "group", "loop", "move", "nofail", "noauto", "nouser"),
    *("owner", "rbind", "remount", "rw", "suid", "user", "users", "_netdev"),
)
"""What the daemon, which calls mount(2) itself, could only pass by, or what would undo nosuid and nodev."""


def leads_elsewhere(option: str) -> bool:
    """Whether an option names another device, or a file, that the kernel would open."""
    return any(each.partition("=")[0] in ELSEWHERE for each in option.split(","))


def problem(option: str) -> tuple[str, str]:
    """Why no pool may have this option, and the way out; empty: it is harmless on some file system."""
    if option == "ro":
        return "would hand out a disk that nobody can write to", "leave it out"
    if option in _OF_FSTAB:
        return "is a word of mount(8) and fstab, which no file system knows", "leave it out"
    if leads_elsewhere(option):
        return "names another device or a file, at which no guard has looked", "leave it out"
    if option in _WHY:
        return _WHY[option], "leave it out"
    if not any(fits(option, fs_type) for fs_type in OF):
        return "is none that is known to be harmless", "leave it out; docs/inventory.md has those that are"
    return "", ""


def fits(option: str, fs_type: str) -> bool:
    """Whether a file system has this option, and it is known to be harmless."""
    name, given, value = option.partition("=")
    if not given:
        return name in PER_MOUNT or name in ANY or OF[fs_type].get(name) == ""
    pattern = OF[fs_type].get(name, "")
    return bool(pattern) and re.fullmatch(pattern, value) is not None
