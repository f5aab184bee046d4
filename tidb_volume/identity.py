"""Which disk is it: two sets of facts compared.

Facts come and go with kernels and firmware (a newer kernel shows an EUI that an older one did not), so only
facts that both sides have are compared. All of those must agree, and one of them must be a fact that a disk
alone has: two disks of one model and size are not the same disk.
"""

from __future__ import annotations

import msgspec

from tidb_volume.value import Identity

_HARDWARE = ("eui", "wwn", "serial", "model", "size_bytes", "partition", "virtual")
_UNIQUE = ("eui", "wwn", "serial", "virtual")


def same_hardware(recorded: Identity, seen: Identity) -> bool:
    """Whether both are surely the same piece of hardware, and the same partition of it."""
    if recorded.partition != seen.partition:
        return False
    known = [(name, getattr(recorded, name), getattr(seen, name)) for name in _HARDWARE]
    both = [(name, ours, theirs) for name, ours, theirs in known if ours and theirs]
    return all(ours == theirs for _, ours, theirs in both) and any(name in _UNIQUE for name, _, _ in both)


def same_disk(recorded: Identity, seen: Identity) -> bool:
    """The same hardware with the same file system on it."""
    return same_hardware(recorded, seen) and (
        not recorded.fs_uuid or not seen.fs_uuid or recorded.fs_uuid == seen.fs_uuid
    )


def same_file_system(recorded: Identity | None, seen: Identity | None) -> bool:
    """Whether both are known to have one file system's UUID; what is not known is no match."""
    return recorded is not None and seen is not None and recorded.fs_uuid == seen.fs_uuid != ""


def same_on_another_node(recorded: Identity, seen: Identity) -> bool:
    """Whether two machines show the same piece of hardware, whole or a part of it.

    A virtual disk's facts hold on its own machine alone: two machines may well have a backing file of one
    inode number.
    """
    plain = [
        msgspec.structs.replace(
            each, partition="", virtual="", size_bytes=0 if each.partition else each.size_bytes
        )
        for each in (recorded, seen)
    ]
    return same_hardware(*plain)


def overlap(one: Identity, other: Identity) -> bool:
    """Whether two disks of one machine have bytes in common: one disk, or a disk and a partition of it."""
    if bool(one.partition) == bool(other.partition):
        return same_hardware(one, other)
    alike = msgspec.structs.replace(one, partition=other.partition, size_bytes=other.size_bytes)
    return same_hardware(alike, other)


def unique_facts(identity: Identity) -> tuple[str, ...]:
    """Each fact that can tell a disk from all others, to find those by that may be the same."""
    return tuple(f"{name}={fact}" for name in _UNIQUE if (fact := getattr(identity, name)))


def has_unique_fact(identity: Identity) -> bool:
    """Whether any fact tells this disk from all others."""
    return any(getattr(identity, name) for name in _UNIQUE)


def hardware_keys(identity: Identity) -> tuple[str, ...]:
    """What a record about this hardware may be filed under, by each fact of its own; the strongest first."""
    keys = []
    for fact in unique_facts(identity):
        model = f" model={identity.model}" if fact.startswith("serial=") else ""
        keys.append(f"{fact}{model} partition={identity.partition}")
    return tuple(keys) or (f" partition={identity.partition}",)


def hardware_key(identity: Identity) -> str:
    """The one fact that a new record about this hardware is filed under: the strongest, and the partition."""
    return hardware_keys(identity)[0]


def learned(recorded: Identity, seen: Identity) -> Identity:
    """What is known of a disk after another look at it: what is seen, and facts that show no longer."""
    kept = {name: getattr(recorded, name) for name in _UNIQUE if not getattr(seen, name)}
    return msgspec.structs.replace(seen, **kept)


def words(identity: Identity | None) -> str:
    """The facts for people."""
    if identity is None:
        return "no facts"
    facts = [(name.removesuffix("_bytes"), getattr(identity, name)) for name in (*_HARDWARE, "fs_uuid")]
    return " ".join(f"{name}={fact}" for name, fact in facts if fact)
