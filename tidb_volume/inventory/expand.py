"""From the inventory and the nodes that exist to the disks that are wanted, one for each node and source.

The text alone says little: a group's disks depend on labels, an IP on the machine that has it today. What
is wrong for that reason is no fault of the text, so it refuses no ConfigMap: it makes the volumes concerned
Conflict, and nothing else. Where two entries contend for one disk, the settings shown are those of the first
one (by ConfigMap, file and line), and nobody should carry them over to a volume that is there already.

A label can be lost by accident (a Node that registers anew). So a volume that no entry yields any more is
not the same as a volume that nobody lists any more, and `left_by_label` tells the two apart with no memory of
its own. Each wanted disk carries its `listing`, a digest of who lists it (this node, this IP, this selector)
and of its path or device; it stays the same through every other edit, and the controller keeps it with the
volume. While an item with that listing is in force, the disk left because of a label; the digest of the item
at that moment is kept with the volume too, and once the item reads otherwise, the text has changed.
"""

from __future__ import annotations

import fnmatch
import hashlib
import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from tidb_volume import names
from tidb_volume.inventory import codes
from tidb_volume.inventory.marks import Mark
from tidb_volume.inventory.model import Content, Entry, Group, Inventory, Kind, NodeDisks, PoolSettings
from tidb_volume.upstream import Node
from tidb_volume.value import Source, Value, VolumeMode


class DesiredDisk(Value):
    """One disk that the inventory wants on one node, with everything that is in force for it."""

    name: str
    """The TidbVolume's name."""
    node_name: str
    source: Source
    pool: PoolSettings
    volume_mode: VolumeMode
    fs_type: str
    """What the daemon makes on a device; empty for a path and for Block."""
    mount_by: str
    mark: Mark
    listing: str
    """Digest of who lists it and as what, to be kept with the volume (see `left_by_label`)."""
    conflict: str
    """Why it must not be offered, for people; empty: nothing that the inventory knows of."""
    never: str
    """The `never` glob that forbids it."""

    @property
    def mount_options(self) -> tuple[str, ...]:
        """The pool's; a raw device is not mounted."""
        return () if self.volume_mode == "Block" else self.pool.mount_options

    @property
    def kind(self) -> Kind:
        """Path, device with a file system, or Block device."""
        return Kind.of(self.source, self.volume_mode)


class Waiting(Value):
    """Something listed that no node answers to today, and the words for it."""

    mark: Mark
    words: str


class Desired(Value):
    """What the inventory wants of the nodes that exist."""

    disks: dict[str, DesiredDisk] = msgspec.field(default_factory=dict)
    """By volume name, in the order of the names."""
    waiting: tuple[Waiting, ...] = ()
    hostname_conflicts: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    """Hostname label to the names of the nodes that share it; nothing is offered on any of them."""
    never: tuple[str, ...] = ()
    """Every `never` glob, for whoever sees a disk's other names."""
    texts: dict[str, str] = msgspec.field(default_factory=dict)
    """By each `listing` in force: a digest of the item as it reads now."""


class Listed(Value):
    """What is kept with a volume: its disk's `listing`, and the item's text since it left by a label."""

    listing: str
    left: str = ""


class _Claim(Value):
    """One entry that gives a node a disk."""

    entry: Entry
    pool: PoolSettings
    item: NodeDisks | Group
    via: str
    trouble: str = ""


def expand(inventory: Inventory, nodes: Sequence[Node]) -> Desired:
    """The disks that the inventory wants, for these nodes. The order of `nodes` does not matter.

    An entry under a node's name yields a volume whether or not that node exists; one under an IP waits for
    the machine.
    """
    ordered = sorted(nodes, key=lambda node: node.metadata.name)
    shared = _shared_hostnames(ordered)
    words_for = {
        name: codes.HOSTNAME.words(nodes=" and ".join(sharing), hostname=hostname)
        for hostname, sharing in shared.items()
        for name in sharing
    }
    claims: dict[tuple[str, str], list[_Claim]] = {}
    waiting: list[Waiting] = []
    addresses = _addresses(ordered)
    for node_name, claim in _claims(inventory, ordered, addresses, waiting):
        claims.setdefault((node_name, str(claim.entry.source)), []).append(claim)
    forbids = Forbids(glob.glob for glob in inventory.never)
    disks: dict[str, DesiredDisk] = {}
    for (node_name, _), contenders in sorted(claims.items()):
        disk = _disk(node_name, contenders, words_for.get(node_name, ""), forbids)
        other = disks.get(disk.name)
        if other is None:
            disks[disk.name] = disk
            continue
        words = codes.SAME_NAME.words(
            node=node_name, one=str(other.source), two=str(disk.source), name=disk.name
        )
        disks[disk.name] = msgspec.structs.replace(other, conflict=_join(other.conflict, words))
    return Desired(
        disks=dict(sorted(disks.items())),
        waiting=tuple(waiting),
        hostname_conflicts=shared,
        never=tuple(dict.fromkeys(glob.glob for glob in inventory.never)),
        texts=dict(_texts(inventory)),
    )


def left_by_label(volumes: Mapping[str, Listed], desired: Desired) -> dict[str, str]:
    """Which of these volumes are wanted no more though the text that lists them has not changed.

    `volumes`: by the name of each existing volume, what is kept with it. They left because a label, an
    address or a Node object changed; they keep their TidbVolume, cordoned. A volume that is neither wanted
    nor returned was removed by an edit.

    Returned with each is what to keep as `Listed.left`. It goes when the disk is wanted again and no sooner:
    without it a volume that an edit has ended would look as if it had left only now.
    """
    found = {}
    for name, listed in volumes.items():
        text = desired.texts.get(listed.listing, "")
        if name not in desired.disks and text and listed.left in ("", text):
            found[name] = text
    return found


def _texts(inventory: Inventory) -> Iterator[tuple[str, str]]:
    for content in inventory.contents:
        for item in _items(content):
            for entry in item.entries:
                yield _listing(item, entry), item.text


def _items(content: Content) -> Iterator[NodeDisks | Group]:
    yield from content.nodes
    yield from content.groups


def _listing(item: NodeDisks | Group, entry: Entry) -> str:
    return hashlib.sha256(f"{item}\0{entry.source}".encode()).hexdigest()[:12]


class Forbids:
    """The `never` globs, asked of names. Pure on text: where a link leads is for the daemon to look at.

    `*` matches across `/` too, and a glob that names a folder also forbids what is below it: of two readings
    the one that forbids more.
    """

    def __init__(self, globs: Iterable[str]) -> None:
        self._each = [(glob, _compiled([glob])) for glob in dict.fromkeys(globs)]
        self._any = _compiled([glob for glob, _ in self._each]) if self._each else None

    def __call__(self, name: str) -> str:
        """The first glob that forbids this path or device name; empty: none does."""
        if self._any is None or not self._any.match(name):
            return ""
        return next(glob for glob, pattern in self._each if pattern.match(name))


def _compiled(globs: Sequence[str]) -> re.Pattern[str]:
    both = (part for glob in globs for part in (glob, glob.rstrip("/") + "/*"))
    return re.compile("|".join(fnmatch.translate(part) for part in both))


def _claims(
    inventory: Inventory,
    nodes: Sequence[Node],
    addresses: Mapping[str, tuple[str, ...]],
    waiting: list[Waiting],
) -> Iterator[tuple[str, _Claim]]:
    """Each node's name with an entry that gives it a disk; appends what finds no node to `waiting`."""
    for content in inventory.contents:
        for item in content.nodes:
            found = addresses.get(item.key, ()) if item.is_ip else (item.key,)
            if not found:
                waiting.append(Waiting(mark=item.mark, words=codes.IP_OF_NONE.words(ip=item.key)))
            trouble = codes.IP_OF_TWO.words(ip=item.key, nodes=" and ".join(found)) if len(found) > 1 else ""
            for entry, pool in _with_pools(inventory, item, waiting):
                for node_name in found:
                    yield node_name, _Claim(entry=entry, pool=pool, item=item, via=item.key, trouble=trouble)
        for group in content.groups:
            matching = [node.metadata.name for node in nodes if _matches(node, group)]
            if not matching:
                waiting.append(Waiting(mark=group.mark, words=codes.NO_MATCH.words(group=str(group))))
            for entry, pool in _with_pools(inventory, group, waiting):
                for node_name in matching:
                    yield node_name, _Claim(entry=entry, pool=pool, item=group, via=str(group))


def _with_pools(
    inventory: Inventory, item: NodeDisks | Group, waiting: list[Waiting]
) -> Iterator[tuple[Entry, PoolSettings]]:
    for entry in item.entries:
        pool = inventory.pool_of(entry)
        if pool is not None:
            yield entry, pool
            continue
        name = entry.pool or inventory.default_pool
        words = codes.UNKNOWN_POOL.words(whose=str(item), pool=name, known=", ".join(inventory.pools))
        waiting.append(Waiting(mark=entry.mark, words=words))


def _disk(node_name: str, contenders: Sequence[_Claim], trouble: str, forbids: Forbids) -> DesiredDisk:
    first = contenders[0]
    entry, pool = first.entry, first.pool
    for other in contenders:
        trouble = _join(trouble, other.trouble)
    for other in contenders[1:]:
        if _contradict(first, other):
            words = codes.LIVE_TWICE.words(
                node=node_name,
                disk=str(entry.source),
                one=f"{first.via} ({entry.mark})",
                two=f"{other.via} ({other.entry.mark})",
            )
            trouble = _join(trouble, words)
    return DesiredDisk(
        name=names.volume_name(node_name, entry.source),
        node_name=node_name,
        source=entry.source,
        pool=pool,
        volume_mode=entry.volume_mode,
        fs_type=_fs_type(first),
        mount_by=entry.mount_by,
        mark=entry.mark,
        listing=_listing(first.item, entry),
        conflict=trouble,
        never=forbids(str(entry.source)),
    )


def _fs_type(claim: _Claim) -> str:
    return claim.entry.fs_type or claim.pool.fs_type if claim.entry.kind is Kind.FILESYSTEM else ""


def _contradict(one: _Claim, two: _Claim) -> bool:
    """Two groups may both list a disk if they say the same of it; a node's own list stands alone."""
    if not (isinstance(one.item, Group) and isinstance(two.item, Group)):
        return True
    return _said(one) != _said(two)


def _said(claim: _Claim) -> tuple[object, ...]:
    entry = claim.entry
    return (entry.source, claim.pool.name, entry.volume_mode, _fs_type(claim), entry.mount_by)


def _matches(node: Node, group: Group) -> bool:
    return all(node.metadata.labels.get(key) == value for key, value in group.selector)


def _addresses(nodes: Sequence[Node]) -> dict[str, tuple[str, ...]]:
    """Which nodes answer to an IP: by InternalIP, or by a name that is an IP itself."""
    found: dict[str, set[str]] = {}
    for node in nodes:
        told = {address.address for address in node.status.addresses if address.type == "InternalIP"}
        for ip in map(canonical_ip, told | {node.metadata.name}):
            if ip:
                found.setdefault(ip, set()).add(node.metadata.name)
    return {ip: tuple(sorted(node_names)) for ip, node_names in found.items()}


def canonical_ip(text: str) -> str:
    """An IP address in its one canonical spelling; empty where the text is none."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def _shared_hostnames(nodes: Sequence[Node]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for node in nodes:
        hostname = node.metadata.labels.get(names.HOSTNAME, "")
        if hostname:
            found.setdefault(hostname, []).append(node.metadata.name)
    return {hostname: tuple(sharing) for hostname, sharing in sorted(found.items()) if len(sharing) > 1}


def _join(one: str, two: str) -> str:
    return "; ".join(part for part in (one, two) if part)
