"""What a machine needs to bring a disk back at boot without the disk-daemon: mount units, and rules for udev.

A file system is mounted by a unit of systemd's, by the UUID that we gave it. A raw device has nothing on it
that is ours, and its number is another at each boot; udev makes a link of the name that its PersistentVolume
has, to the disk whose hardware shows the facts on record. A name below /dev/disk/by-id is not taken: udev has
changed those (docs/security.md), and the kubelet follows whatever it is given.

Whatever comes into such a file is matched whole before, so that no object of the API can write a line of it.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable

from tidb_volume import mount_options, names
from tidb_volume.value import Identity, Value

RULES_FILE = "99-tidb-volume.rules"
"""In /etc/udev/rules.d. After 60-persistent-storage.rules, so that nothing there hangs on ours."""
MOUNT = ".mount"
LONGEST_NAME = 255
"""Of a unit (systemd: UNIT_NAME_MAX, less its end)."""
ALWAYS = ("nosuid", "nodev")
"""The daemon mounts with these, whatever the pool says."""
SECTOR = 512
"""sysfs counts sizes in these (Documentation/ABI/stable/sysfs-block)."""

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.")
_NODE = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FS_TYPE = re.compile(r"[a-z0-9]+")
_OPTION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:=+/@-]*")
_PARTITION = re.compile(r"([0-9]+)@([0-9]+)")
_LITERAL = frozenset(map(chr, range(0x21, 0x7F))) - frozenset('"\\*?[]|')
"""What stands for itself in a rule's value, between quotes (udev(7))."""


class Unfit(Exception):  # noqa: N818 - says what it is
    """No file can be written that brings this disk back, and why."""


def is_folder(name: str) -> bool:
    """Whether a node's or volume's name can be a file's name: a DNS subdomain, so neither slash nor `..`."""
    return _NODE.fullmatch(name) is not None and ".." not in name and len(name) <= LONGEST_NAME


def escaped(path: str) -> str:
    """A path as a unit's name has it, as `systemd-escape --path` writes it (systemd.unit(5)).

    Slashes at the ends go, a slash becomes `-`, a dot at the beginning and every byte that is not a letter, a
    digit, `:`, `_` or `.` becomes `\\xNN`; the root is `-` alone. Raises ValueError for a relative path and
    one with `.` or `..` in it, which a unit cannot have.
    """
    parts = [part for part in path.split("/") if part]
    if not path.startswith("/") or any(part in (".", "..") for part in parts):
        raise ValueError(f"not a plain absolute path: {path!r}")
    if not parts:
        return "-"
    plain = "/".join(parts)
    found = []
    for at, char in enumerate(plain):
        if char == "/":
            found.append("-")
        elif char in _PLAIN and not (at == 0 and char == "."):
            found.append(char)
        else:
            found += [f"\\x{byte:02x}" for byte in char.encode(errors="surrogateescape")]
    return "".join(found)


class MountUnit(Value):
    """One mount unit."""

    name: str
    text: str


def mount_unit(volume: str, uuid: str, fs_type: str, options: Iterable[str]) -> MountUnit:
    """The unit that mounts the file system of a device volume as the daemon does. Raises Unfit.

    `nofail` and WantedBy: a disk that is broken keeps no machine from booting (systemd.mount(5)). Nothing
    waits for it but the pods that name a folder on it, and those wait until that folder is there.
    """
    where = names.device_mount(volume)
    options = tuple(options)
    if not is_folder(volume):
        raise Unfit("its name can be no folder's")
    if not _UUID.fullmatch(uuid):
        raise Unfit(f"the UUID of its file system is not known, or is none: {uuid or 'nothing on record'}")
    if not _FS_TYPE.fullmatch(fs_type):
        raise Unfit(f"the kind of its file system is not known, or is none: {fs_type or 'nothing on record'}")
    odd = [option for option in options if not _OPTION.fullmatch(option)]
    if odd:
        raise Unfit(f"mount option {odd[0]!r} is none")
    elsewhere = [option for option in options if mount_options.leads_elsewhere(option)]
    if elsewhere:
        raise Unfit(f"mount option {elsewhere[0]} names another device or a file")
    name = escaped(where) + MOUNT
    if len(name) > LONGEST_NAME:
        raise Unfit("its unit's name would be too long; mount it by a line in /etc/fstab")
    words = ",".join(dict.fromkeys((*ALWAYS, *options, "nofail")))
    text = f"""\
# Mounts what the disk-daemon of tidb-volume has mounted, as it did; written by kubectl tidb-volume uninstall.
[Unit]
Description=Disk of TidbVolume {volume}

[Mount]
What=/dev/disk/by-uuid/{uuid}
Where={where}
Type={fs_type}
Options={words}
DirectoryMode=0700

[Install]
WantedBy=local-fs.target
"""
    return MountUnit(name=name, text=text)


class Fact(Value):
    """What a raw device is told by: the strongest fact that udev can compare."""

    name: str
    text: str
    attributes: tuple[str, ...]
    """Where in sysfs the daemon may have read it (disk_daemon/facts/hardware.py)."""


def fact(identity: Identity) -> Fact:
    """The one to go by. Raises Unfit where there is none that udev sees."""
    if identity.wwn and not identity.wwn.startswith(("dm.", "md.")):
        return Fact(name="wwn", text=identity.wwn, attributes=("wwid", "device/wwid"))
    if identity.serial:
        return Fact(name="serial", text=identity.serial, attributes=("serial", "device/serial"))
    if identity.virtual:
        raise Unfit("a virtual disk shows nothing that it alone has")
    raise Unfit("it shows no WWN and no serial that udev could tell it by")


def rules(tenancy: str, identity: Identity) -> str:
    """The lines for udev that link a raw device under the name that its PersistentVolume has. Raises Unfit.

    Its size is compared too: a disk that shows another one is not the one that was handed out.
    """
    if not names.is_tenancy(tenancy):
        raise Unfit("its PersistentVolume names no device node of ours")
    told = fact(identity)
    if identity.size_bytes <= 0 or identity.size_bytes % SECTOR:
        raise Unfit("its size is not known")
    own = [f'ATTR{{size}}=="{identity.size_bytes // SECTOR}"']
    whole, kind = "ATTR", "disk"
    if identity.partition:
        found = _PARTITION.fullmatch(identity.partition)
        if found is None:
            raise Unfit(f"which partition it is is not known: {identity.partition!r}")
        own += [f'ATTR{{partition}}=="{found[1]}"', f'ATTR{{start}}=="{found[2]}"']
        # The facts are those of the disk that it is a part of, which is above it in sysfs.
        whole, kind = "ATTRS", "partition"
    link = f'SYMLINK+="{names.block_node(tenancy).removeprefix("/dev/")}"'
    first = ['SUBSYSTEM=="block"', 'ACTION!="remove"', f'ENV{{DEVTYPE}}=="{kind}"', *own]
    lines = []
    for attribute in told.attributes:
        key = f"{whole}{{{attribute}}}"
        matches = [f'{key}=="{pattern(told.text)}"']
        if " " in told.text and whole == "ATTR":
            matches.append(f'{key}!="*[! ]{pattern(told.text.rpartition(" ")[2])}"')
        lines.append(", ".join((*first, *matches, link)) + "\n")
    if told.name == "serial" and " " not in told.text:
        # A SCSI disk's is in VPD page 80h, which sysfs has as bytes; udev's scsi_id has it as text.
        lines.append(", ".join((*first, f'ENV{{ID_SCSI_SERIAL}}=="{pattern(told.text)}"', link)) + "\n")
    return "".join(lines)


def pattern(text: str) -> str:
    """A fact as a rule compares it: blanks that sysfs may have more of, and what a rule would read otherwise,
    by a wildcard, all else by itself."""
    found = []
    for char in text:
        if char == " ":
            found.append(" *")
        elif char in _LITERAL:
            found.append(char)
        else:
            found.append("?" if char.isascii() else "*")
    return "".join(found)


def is_meant_too(identity: Identity, other: Identity) -> bool:
    """Whether the rule for one disk would take another for it; both as the daemon told of them."""
    told = fact(identity)
    text: str = getattr(other, told.name)
    same = (identity.size_bytes, identity.partition) == (other.size_bytes, other.partition)
    return same and fnmatch.fnmatchcase(text, pattern(told.text))
