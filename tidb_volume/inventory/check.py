"""What one ConfigMap means by itself: pools, disks of nodes and groups, what is never used.

Every error of every file is noted at once. Two questions need the other ConfigMaps and are `merge`'s: whether
the pool that an entry names exists and suits it, and whether somebody else lists the same disk.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import cast

import msgspec

from tidb_volume.inventory import braces, codes, places, settings, take
from tidb_volume.inventory.codes import Problem
from tidb_volume.inventory.expand import canonical_ip
from tidb_volume.inventory.marks import Hole, Mark, Pairs, Scalar, Tree, is_empty
from tidb_volume.inventory.model import Content, Entry, Glob, Group, Kind, NodeDisks, Pool, Use
from tidb_volume.inventory.read import read
from tidb_volume.value import Source, VolumeMode

LIMIT_BYTES = 950_000
"""A ConfigMap holds 1,048,576 bytes; the rest is for what its stored copy says beside the text."""
LIMIT_GLOBS = 100
"""For one ConfigMap, those counted that outlive a file of it."""
LIMIT_GLOB = 256
LIMIT_DISKS = 50_000
LIMIT_GROUP_DISKS = 1_000

_DIGITS = re.compile(r"[0-9.]+")
"""A name of digits and dots alone is an address with a slip in it."""

TOP = ("never", "defaultPool", "pools", "nodes", "groups")
ENTRY = ("path", "device", "serial", "pool", "fsType", "volumeMode", "mountBy")


def files_of(data: Mapping[str, str]) -> dict[str, str]:
    """The keys of a ConfigMap that are, or look like, inventory files; others (a README) are nobody's."""
    return {file: data[file] for file in sorted(data) if file.lower().endswith((".yaml", ".yml"))}


def files_among(names: Iterable[str]) -> tuple[str, ...]:
    """Those of a ConfigMap's names, of `data` or of `binaryData`, that are meant as inventory files."""
    return tuple(files_of(dict.fromkeys(names, "")))


def check(name: str, data: Mapping[str, str], binary: Iterable[str] = ()) -> tuple[Content, list[Problem]]:
    """What the ConfigMap `name` says, and everything that is wrong with it, in the order of the text.

    binary: the names of its `binaryData`. A file among them is refused, since one that was passed over would
    take all its disks out of the inventory.

    Where something is wrong the content is what could be understood; `merge` puts none such in force anew.
    """
    checking = _Checking(name)
    files = files_of(data)
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in files.values())
    if size > LIMIT_BYTES:
        mark = Mark(config_map=name)
        problem = codes.TOO_LARGE.at(mark, size=f"{size} bytes", limit=f"{LIMIT_BYTES} bytes in a ConfigMap")
        return Content(name=name, cut=True), [problem]
    try:
        for file in files_among(binary):
            checking.cut = True
            checking.problems.append(codes.BINARY.at(Mark(config_map=name, file=file), file=file))
        for file, text in files.items():
            checking.file(file, text)
        checking.count()
    except codes.EnoughError:
        checking.cut = True
    return checking.content(), list(checking.problems.told(name))


class _Checking:
    """One ConfigMap on its way from trees to content."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems = codes.Notes()
        self.pools: dict[str, Pool] = {}
        self.default_pool = ""
        self.default_mark = Mark()
        self.never: list[Glob] = []
        self.nodes: list[NodeDisks] = []
        self.groups: list[Group] = []
        self.files: list[str] = []
        self.listed: dict[tuple[str, str], Entry] = {}
        self.uses: dict[tuple[str, Kind], Use] = {}
        self.left_out: list[Use] = []
        self.unread: set[str] = set()
        self.cut = False
        self.group_disks = 0
        self.named = 0

    def count(self) -> None:
        """Note what there is too much of."""
        self._count(len(self.never), LIMIT_GLOBS, "never globs", "write fewer, wider ones")
        self._count(
            self.group_disks, LIMIT_GROUP_DISKS, "disks in groups", "split it into several ConfigMaps"
        )

    def content(self) -> Content:
        """What was understood."""
        return Content(
            name=self.name,
            pools=self.pools,
            default_pool=self.default_pool,
            default_mark=self.default_mark,
            never=tuple(self.never),
            nodes=tuple(self.nodes),
            groups=tuple(self.groups),
            files=tuple(self.files),
            listed=self.listed,
            uses=tuple(self.uses.values()),
            left_out=tuple(self.left_out),
            unread=frozenset(self.unread),
            cut=self.cut,
        )

    def _count(self, count: int, limit: int, what: str, hint: str) -> None:
        if count > limit:
            mark = Mark(config_map=self.name)
            self.problems.append(
                codes.TOO_MANY.at(mark, count=str(count), what=what, limit=str(limit), hint=hint)
            )

    # --- a file -----------------------------------------------------------------------------------

    def file(self, file: str, text: str) -> None:
        if not file.endswith(".yaml"):
            wanted = file[: file.rindex(".")] + ".yaml"
            mark = Mark(config_map=self.name, file=file)
            self.cut = True
            self.problems.append(codes.FILE_NAME.at(mark, file=file, wanted=wanted))
            return
        tree, problems = read(text, self.name, file)
        before = len(self.problems)
        self.problems.extend(problems)
        self.problems.more |= problems.more
        if tree is None:
            self.cut |= bool(problems)
            return
        found = take.known(tree, "an inventory", TOP, "nodes: {node-7: [/data/nvme0]}", self.problems)
        self.cut |= len(self.problems) > before
        if found:
            self.files.append(file)
        if "never" in found:
            self._never(found["never"][1])
        if "defaultPool" in found:
            self._default(found["defaultPool"][1])
        if "pools" in found:
            self._pools(found["pools"][1])
        if "nodes" in found:
            self._nodes(found["nodes"][1])
        if "groups" in found:
            self._groups(found["groups"][1])

    def _never(self, tree: Tree) -> None:
        for item in take.texts(tree, "never", 'never: ["/dev/disk/by-id/*-BOOT*"]', self.problems):
            problem = ""
            if not item.text.startswith("/"):
                problem = "does not begin with /"
            elif places.odd_character(item.text):
                problem = f"holds {places.odd_character(item.text)}"
            elif len(item.text.encode()) > LIMIT_GLOB:
                problem = f"is longer than {LIMIT_GLOB} bytes"
            if problem:
                self.problems.append(codes.GLOB.at(item.mark, glob=item.text, problem=problem))
            else:
                self.never.append(Glob(glob=item.text, mark=item.mark))

    def _default(self, tree: Tree) -> None:
        pool = take.text(tree, "defaultPool", "defaultPool: tikv", self.problems)
        if pool is None:
            self.cut = True
            return
        if self.default_pool and self.default_pool != pool:
            self.problems.append(
                codes.DEFAULT_DIFFERS.at(
                    tree.mark, pool=pool, other=self.default_pool, first=str(self.default_mark)
                )
            )
            return
        self.default_pool, self.default_mark = pool, tree.mark

    def _pools(self, tree: Tree) -> None:
        before = len(self.problems)
        found = take.pairs(tree, "pools", "pools: {tikv: {onRelease: wipe}}", self.problems)
        self.cut |= len(self.problems) > before
        for name, value in found:
            before = len(self.problems)
            pool = settings.read_pool(name, value, self.problems)
            if any(each.code != codes.NOT_YET.id for each in self.problems[before:]):
                self.unread.add(name.text)
            if pool is None:
                continue
            first = self.pools.setdefault(name.text, pool)
            if first.settings != pool.settings and name.text not in self.unread:
                told = settings.difference(pool.settings, first.settings)
                self.problems.append(
                    codes.POOL_DIFFERS.at(pool.mark, pool=name.text, first=str(first.mark), settings=told)
                )

    # --- who has the disks ------------------------------------------------------------------------

    def _nodes(self, tree: Tree) -> None:
        for key, value in take.pairs(tree, "nodes", "nodes: {node-7: [/data/nvme0]}", self.problems):
            ip = canonical_ip(key.text)
            if not ip and (_DIGITS.fullmatch(key.text) or not settings.is_name(key.text, 253)):
                self.problems.append(codes.NODE_KEY.at(key.mark, key=key.text or "''"))
                continue
            name = ip or key.text
            entries = self._entries(value, name)
            self.nodes.append(
                NodeDisks(
                    key=name, is_ip=bool(ip), entries=entries, mark=key.mark, text=_digest(name, entries)
                )
            )

    def _groups(self, tree: Tree) -> None:
        example = '- {nodeSelector: {hardware: tikv-10x}, disks: ["/data/nvme{0..9}"]}'
        for item in take.items(tree, "groups", example, self.problems):
            found = take.known(item, "a group", ("nodeSelector", "disks"), example, self.problems)
            if not isinstance(item, Pairs):
                if is_empty(item):
                    self.problems.append(codes.EMPTY.at(item.mark, what="a group"))
                continue
            selector = self._selector(item, found.get("nodeSelector"))
            if "disks" not in found:
                self.problems.append(
                    codes.WRONG_TYPE.at(
                        item.mark, what="a group", wanted="given disks", got="without any", example=example
                    )
                )
                continue
            group = Group(selector=selector, entries=(), mark=item.mark, text="")
            entries = self._entries(found["disks"][1], str(group) if selector else f"group at {item.mark}")
            self.group_disks += len(entries)
            if selector:
                self.groups.append(
                    msgspec.structs.replace(group, entries=entries, text=_digest(str(group), entries))
                )

    def _selector(self, group: Pairs, found: tuple[Scalar, Tree] | None) -> tuple[tuple[str, str], ...]:
        """The labels that a node must have, sorted; empty where they were refused."""
        if found is None:
            self.problems.append(codes.SELECTOR.at(group.mark, problem="it is missing"))
            return ()
        key_mark, tree = found
        wanted: dict[str, str] = {}
        sound = True
        for key, value in take.pairs(tree, "nodeSelector", "{hardware: tikv-10x}", self.problems):
            told = value.text if isinstance(value, Scalar) else None
            problem = settings.label_problem(key.text, told or "")
            if told is None and not isinstance(value, Hole):
                problem = f"{key.text} must equal one string; expressions are not supported"
            if problem:
                self.problems.append(codes.SELECTOR.at(key.mark, problem=problem))
            sound = sound and not problem and told is not None
            wanted[key.text] = told or ""
        if not wanted and isinstance(tree, Pairs | Scalar):
            self.problems.append(
                codes.SELECTOR.at(key_mark.mark, problem="it is empty and would match every node")
            )
        return tuple(sorted(wanted.items())) if sound else ()

    # --- the disks --------------------------------------------------------------------------------

    def _entries(self, tree: Tree, whose: str) -> tuple[Entry, ...]:
        found: list[Entry] = []
        for item in take.items(tree, f"{whose}: disks", "[/data/nvme0, /data/nvme1]", self.problems):
            spread = self._entry(item, whose)
            if not spread:
                continue
            self.named += len(spread)
            if self.named > LIMIT_DISKS:
                self._count(self.named, LIMIT_DISKS, "disks", "split it into several ConfigMaps")
                raise codes.EnoughError
            for entry in spread:
                key = (whose, str(entry.source))
                first = self.listed.setdefault(key, entry)
                if first is entry:
                    found.append(entry)
                else:
                    self.problems.append(
                        codes.LISTED_TWICE.at(entry.mark, whose=whose, disk=key[1], first=str(first.mark))
                    )
            used = (spread[0].pool, spread[0].kind)
            use = self.uses.setdefault(used, Use(pool=used[0], entry=spread[0], whose=whose, more=-1))
            self.uses[used] = msgspec.structs.replace(use, more=use.more + len(spread))
        return tuple(found)

    def _entry(self, tree: Tree, whose: str) -> tuple[Entry, ...]:
        """The disks that one item of a list names; none where it was refused."""
        if isinstance(tree, Scalar):
            path = take.text(tree, f"{whose}: a disk", "/data/nvme0", self.problems)
            return (
                () if path is None else self._spread(Entry(source=Source(path=path), mark=tree.mark), whose)
            )
        what = f"{whose}: an entry"
        found = take.known(tree, what, ENTRY, "{path: /data/nvme0}", self.problems)
        if not isinstance(tree, Pairs):
            return ()
        said = {
            key: take.text(value, f"{whose}: {key}", f"{key}: {_EXAMPLES[key]}", self.problems)
            for key, (_, value) in found.items()
        }
        told = {key: value for key, value in said.items() if value is not None}
        for key, allowed in _WORDS.items():
            if key in told and not settings.one_of(found[key][1], f"{whose}: {key}", allowed, self.problems):
                del told[key]
        for key in ("mountBy", "volumeMode"):
            if key in told:
                mark = found[key][1].mark
                self.problems.extend(settings.not_yet(key, told[key], f"{whose}: {key}", mark))
        if ("path" in found) == ("device" in found):
            problem = "both a path and a device" if "path" in found else "neither a path nor a device"
            self.problems.append(codes.PATH_OR_DEVICE.at(tree.mark, whose=whose, problem=problem))
        elif "path" not in told and "device" not in told:
            pass  # what it is was said to be no string
        else:
            entry = self._told(found, told)
            together = self._together(entry, found, whose)
            spread = self._spread(entry, whose)
            if together and spread and len(told) == len(found):
                return spread
        if "pool" in told:
            at = Entry(source=Source(path=told.get("path", told.get("device", ""))), mark=tree.mark)
            self.left_out.append(Use(pool=told["pool"], entry=at, whose=whose))
        return ()

    def _told(self, found: Mapping[str, tuple[Scalar, Tree]], told: Mapping[str, str]) -> Entry:
        """An entry as it is told, with the defaults of what is not told or was refused."""
        return Entry(
            source=Source(
                path=told.get("path", ""), device=told.get("device", ""), serial=told.get("serial", "")
            ),
            mark=found["path" if "path" in told else "device"][1].mark,
            pool=told.get("pool", ""),
            volume_mode=cast(VolumeMode, told.get("volumeMode", "Filesystem")),
            fs_type=told.get("fsType", ""),
            mount_by=told.get("mountBy", "daemon"),
        )

    def _together(self, entry: Entry, told: Collection[str], whose: str) -> bool:
        """Whether the settings that an entry tells may stand beside each other."""
        sound = True
        for holds, problem, hint in (
            (
                entry.kind is Kind.PATH and entry.volume_mode == "Block",
                "a path cannot be a Block volume",
                "list the disk itself: {device: /dev/disk/by-id/NAME, volumeMode: Block}",
            ),
            (
                entry.kind is Kind.PATH and "fsType" in told,
                "a path has the file system that you made on it",
                "leave out fsType",
            ),
            (
                entry.kind is Kind.PATH and "mountBy" in told,
                "a path is mounted by you",
                "leave out mountBy",
            ),
            (
                entry.kind is Kind.PATH and "serial" in told,
                "a serial is for a device",
                "leave out serial, or list the disk itself with device:",
            ),
            (
                entry.kind is Kind.BLOCK and "fsType" in told,
                "a Block volume has no file system",
                "leave out fsType, or volumeMode: Block",
            ),
            (
                entry.kind is Kind.BLOCK and "mountBy" in told,
                "a Block volume is not mounted",
                "leave out mountBy, or volumeMode: Block",
            ),
        ):
            if holds:
                disk = str(entry.source)
                self.problems.append(
                    codes.TOGETHER.at(entry.mark, whose=whose, disk=disk, problem=problem, hint=hint)
                )
                sound = False
        return sound

    def _spread(self, entry: Entry, whose: str) -> tuple[Entry, ...]:
        """The entries that an entry with ranges stands for; the first trouble stands for all of them."""
        written = str(entry.source)
        try:
            spread = braces.spread(written)
        except ValueError as error:
            self.problems.append(codes.BRACES.at(entry.mark, whose=whose, disk=written, problem=str(error)))
            return ()
        serial = entry.source.serial
        problem = places.odd_character(serial)
        if problem or (serial and len(spread) > 1):
            problem = f"serial holds {problem}" if problem else "one serial cannot be that of several disks"
            hint = "write the serial as lsblk -o NAME,SERIAL shows it, at a single disk"
            self.problems.append(
                codes.TOGETHER.at(entry.mark, whose=whose, disk=written, problem=problem, hint=hint)
            )
        sound = not problem
        found = []
        for name in spread:
            source = Source(path=name) if entry.source.path else Source(device=name, serial=serial)
            trouble = places.path_trouble(name) if source.path else places.device_trouble(name, serial)
            if trouble is not None:
                code, fields = trouble
                self.problems.append(code.at(entry.mark, whose=whose, disk=name, **fields))
                return ()
            found.append(entry if source == entry.source else msgspec.structs.replace(entry, source=source))
        return tuple(found) if sound else ()


_EXAMPLES = {
    "path": "/data/nvme0",
    "device": "/dev/disk/by-id/NAME",
    "serial": "S4X0NX0R",
    "pool": "tikv",
    "fsType": "xfs",
    "volumeMode": "Block",
    "mountBy": "daemon",
}
_WORDS = {
    "fsType": settings.FS_TYPES,
    "volumeMode": ("Filesystem", "Block"),
    "mountBy": ("daemon", "kubelet"),
}


def _digest(who: str, entries: tuple[Entry, ...]) -> str:
    """A digest of one node's or group's item; comments, order of keys and place in the text do not count."""
    said = [(entry.source, entry.pool, entry.volume_mode, entry.fs_type, entry.mount_by) for entry in entries]
    return hashlib.sha256(msgspec.json.encode((who, said))).hexdigest()[:12]
