"""What the daemon knows when it decides: the disk as just looked at, the API as just read, its own journal.

Three witnesses, and a decision takes all three (`Case`). None of them is a cache: a child looks and reads
by itself, under the disk's lock, right before it decides. What could not be seen is said in a field of its
own and is always the careful branch.
"""

from __future__ import annotations

import re

from disk_daemon.nvme import Nvme
from tidb_volume import names
from tidb_volume.content import lies
from tidb_volume.fleet import Fleet
from tidb_volume.upstream import Pv
from tidb_volume.value import Content, Identity, Order, Presence, Value, Volume, VolumeMode

# --- the disk ---------------------------------------------------------------------------------------


class Mount(Value):
    """One line of a mountinfo (Documentation/filesystems/proc.rst, 3.5)."""

    id: int
    device: str
    """major:minor of the mounted file system."""
    root: str
    """What of the file system is mounted there: `/`, or a folder in it."""
    target: str
    parent: int = 0
    """The id of the mount that it is mounted on."""
    fs_type: str = ""
    source: str = ""
    """What was mounted, by the word of who did: a device's name, or anything."""
    options: tuple[str, ...] = ()
    shared: bool = False
    """Unmounting it here unmounts it elsewhere too."""


class User(Value):
    """Someone who has a part of the disk mounted."""

    who: str
    """For people: a pod's UID and the mount, or a process."""
    root: str
    pid: int = 0
    """A process in the mount namespace that shows it; 0: the host's own namespace."""


ORDER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
"""An order's id, which becomes part of a folder's name."""
MOVED_UP = re.compile(r"deeper-\d+")
"""The lower part of a deep tree, moved up into the trash folder by the eraser itself."""


def trash_of(name: str) -> str:
    """The order whose trash folder has that name; empty: it is none of ours, whatever it is called."""
    order, dot, tenancy = name.removeprefix(names.TRASH).partition(".")
    is_one = name.startswith(names.TRASH) and ORDER_ID.fullmatch(order)
    return order if is_one and (not dot or names.is_tenancy(tenancy)) else ""


def tenancy_as_trash(name: str) -> str:
    """The tenancy whose own folder was renamed into trash of that name; empty: it is no such trash."""
    return name.partition(".")[2] if trash_of(name) else ""


class Damaged(Value):
    """A signature whose superblock is not whole: libblkid's TYPE and USAGE."""

    kind: str
    usage: str


class Handed(Value):
    """A disk, or a partition, of which the journal has it that somebody may have data there."""

    name: str
    """The kernel's, today."""
    volume: str
    """Whose disk it was recorded as, for people."""
    record: str
    """The journal's file about it."""


class Build(Value):
    """How a block device is made, and what is made of it."""

    name: str
    """The kernel's, today."""
    size_bytes: int = 0
    pseudo: bool = False
    """Memory, a floppy, a network block device."""
    optical: bool = False
    removable: bool = False
    vital: str = ""
    """What of the running system lives on it or on what is made of it; empty: nothing known."""
    swap: str = ""
    made_of: tuple[str, ...] = ()
    """What it is put together of."""
    alike: tuple[str, ...] = ()
    """Other disks here that nothing tells from it."""
    partitions: tuple[str, ...] = ()
    """Those that the kernel knows."""
    holders: tuple[str, ...] = ()
    """What has been put together of it or of one of its partitions."""
    above: tuple[str, ...] = ()
    """major:minor of all that is made of it, partitions too."""
    signature: str = ""
    """libblkid's TYPE; this and the rest are empty where the content was not looked at."""
    usage: str = ""
    """libblkid's USAGE: filesystem, raid, crypto, other."""
    ambivalent: bool = False
    """Several signatures contradict each other."""
    damaged: tuple[Damaged, ...] = ()
    """Asked for where that is no file system."""
    several_devices: bool = False
    """The file system lies on others, too."""
    table: str = ""
    """The kind of its partition table."""
    listed_partitions: bool = False
    """There is a partition in that table, or nobody can tell."""
    whole: str = ""
    """The kernel's name of the disk that it is a partition of; empty: it is none. This and the rest are of a
    partition, but for the last."""
    whole_holders: tuple[str, ...] = ()
    """What has been put together of all of that disk."""
    whole_signature: str = ""
    whole_usage: str = ""
    """libblkid's of that disk, where the content was looked at."""
    whole_ambivalent: bool = False
    whole_handed: Handed | None = None
    """That disk, where it was handed out as a raw device."""
    parts_handed: tuple[Handed, ...] = ()
    """Of a whole disk: those of its partitions that are disks of ours, too. Looked for before an order."""


def told_apart(found: str, uuid: str) -> str:
    """What libblkid finds on a device, and which one of its kind and label."""
    return ", ".join(([found] if found else []) + ([f"UUID {uuid}"] if uuid else []))


class Raw(Value):
    """What a device entry's disk is like below its file system."""

    mode: VolumeMode
    """What it is now: by the journal, or where that knows of nothing, what it is to be."""
    wanted: str = ""
    """What the entry says that it is to be (tidb_volume/shape.py); empty: what it is."""
    mounted: bool = False
    """The file system that we made is mounted at its own place; then the facts are those of that mount."""
    mountable: bool = False
    """It is there, and nobody has mounted it yet."""
    found: str = ""
    """What libblkid finds, for people; empty: nothing, or nobody looked (a mounted one)."""
    uuid: str = ""
    signature: bool = False
    """libblkid knows what is there, or finds things that contradict each other."""
    blank: bool = False
    """Nothing is found, and every place that was looked at is zero."""
    damage: str = ""
    """What we made should be there and is not: for people. Such a disk is neither mounted nor formatted."""
    at_place: bool = False
    """Something is mounted at its own place that the journal does not know."""
    holders: tuple[User, ...] = ()
    """Who holds the device, but for our own mount of it in the host's namespace."""
    held: str = ""
    """Somebody holds it whom no table shows."""
    build: Build | None = None
    other: str = ""
    """The volume in whose name the journal has it, where that is not the one that asks."""
    was_block: bool = False
    """A tenant had the raw device, and an order at work makes a file system of it."""
    nvme: Nvme | None = None
    """Only looked for where an order would have the disk erase itself."""

    @property
    def told_apart(self) -> str:
        """What libblkid finds, and which one of its kind and label."""
        return told_apart(self.found, self.uuid)


class Trash(Value):
    """A folder `trash-ORDER`: what a wipe has put aside and not yet deleted.

    On a disk that has no room for a folder more the tenancy's own is renamed, to `trash-ORDER.TENANCY`.
    """

    order: str
    entries: tuple[str, ...] = ()
    """The first few names in it as they are shown (a tenancy's is shown as it is), enough to tell whose it
    is; without those moved up by the eraser."""
    tenancy: str = ""
    """Whose own folder this is, renamed; it is told as the one entry."""

    @property
    def name(self) -> str:
        """The folder's name."""
        return names.TRASH + self.order + (f".{self.tenancy}" if self.tenancy else "")


LOST_AND_FOUND = "lost+found"
MANY = 1000
"""So many entries of others are counted, and no more."""


class Facts(Value):
    """One disk, as a child just saw it. Only `presence` OK makes the rest mean anything."""

    presence: Presence
    message: str = ""
    boot: str = ""
    device: str = ""
    whole: str = ""
    """major:minor of the disk that `device` is a partition of; empty: it is none."""
    name: str = ""
    identity: Identity | None = None
    read_only: bool = False
    capacity_bytes: int = 0
    used_bytes: int = 0
    strays: tuple[str, ...] = ()
    """The first few entries of the mount's root that are neither ours nor lost+found, nor in lost+found; as
    they are shown."""
    stray_count: int = 0
    """How many of them there are, counted up to `MANY`."""
    folder: bool = False
    """There is a `.tidb-volume`."""
    tenancies: tuple[str, ...] = ()
    empty: bool = False
    """There is one tenancy, and its folder holds nothing."""
    trash: tuple[Trash, ...] = ()
    others: tuple[str, ...] = ()
    """What else is in `.tidb-volume`, none of it ours; as it is shown."""
    users: tuple[User, ...] = ()
    users_unknown: str = ""
    """Why nobody can say who uses the disk; empty: `users` is complete."""
    everyone: tuple[User, ...] = ()
    """Who else has anything of the file system; asked only where all that is on it is to go."""
    everyone_unknown: str = "nobody looked"
    """Why nobody can say; empty: `everyone` is complete, or has as many as are told."""
    raw: Raw | None = None
    """For a device entry; None: a folder."""

    @property
    def content(self) -> Content:
        """What is on the disk, in one word."""
        if self.presence is not Presence.OK:
            return Content.UNKNOWN
        if (
            self.raw is not None
            and not self.raw.mounted
            and not (self.raw.mode == "Block" and self.tenancies)
        ):
            return Content.BLANK if self.raw.blank and not self.raw.damage else Content.DATA
        if self.trash or self.others or len(self.tenancies) > 1:
            return Content.DATA
        if self.tenancies:
            return Content.TENANCY
        return Content.DATA if self.strays else Content.BLANK

    @property
    def tenancy(self) -> str:
        """The one tenancy that is on it; empty: none, or several."""
        return self.tenancies[0] if len(self.tenancies) == 1 else ""

    @property
    def note(self) -> str:
        """What is on it, for people. It holds still while a tenant works."""
        parts = [f"trash of order {each.order}" for each in self.trash]
        if len(self.tenancies) > 1:
            parts.append(f"{len(self.tenancies)} tenancies")
        parts += [f"'{each}' among our folders" for each in self.others]
        if self.raw is not None and (self.raw.damage or self.raw.found):
            parts.append(self.raw.damage or self.raw.found)
            # One of the same kind and label is another one all the same.
            parts += [f"UUID {self.raw.uuid}"] if self.raw.uuid else []
        if self.strays:
            more = "" if self.stray_count < MANY else " or more"
            parts.append(f"entries of others ({self.stray_count}{more}), first: '{self.strays[0]}'")
        return "; ".join(parts)

    @property
    def by_hand(self) -> tuple[str, ...]:
        """What hands have put at the mount's root. What fsck has put into lost+found was the tenants'."""
        return tuple(each for each in self.strays if not each.startswith(f"{LOST_AND_FOUND}/"))

    @property
    def lies_on_it(self) -> str:
        """What is on it, as a question about it has it."""
        return lies(self.content, self.tenancy, self.note, (each.order for each in self.trash))

    @property
    def is_others_alone(self) -> bool:
        """A file system holds what others put at its root, and nothing of a tenancy or of a wipe."""
        return self.content is Content.DATA and not (self.tenancies or self.trash or self.others)


# --- the API --------------------------------------------------------------------------------------------


class Live(Value):
    """The API's objects, read for this one decision and never out of a cache."""

    read_at: float
    """CLOCK_BOOTTIME before the first of the reads: what is older than a few seconds decides nothing."""
    error: str = ""
    """Why it could not be read; then all else here is missing and nothing may be begun."""
    volume: Volume | None = None
    fleet: Fleet | None = None
    pvs: tuple[Pv, ...] = ()
    """Every PersistentVolume of the order's name or with this disk's label."""
    lean: bool = False
    """Only volume and fleet were read: enough between two chunks, never to begin."""


# --- the journal ---------------------------------------------------------------------------------------


class Taken(Value):
    """The order at work: written before anything on the disk changes, `begun` before the first unlink."""

    id: str
    kind: str
    ends: str
    next: str
    whole_disk: bool = False
    begun: bool = False
    at: str = ""
    method: str = ""
    over: str = ""
    """What was found on a device when it was begun (`Raw.told_apart`): all of that is to go."""
    answer: str = ""
    """The question whose answer it stands on."""
    made_by: str = ""
    """The method by which the file system on a device was made anew since it was begun; empty: not yet."""
    before: tuple[str, ...] = ()
    """The orders of the same wipe before it that have put something aside."""

    def is_same_wipe(self, order: Order) -> bool:
        """Whether an order ends the same. What is put aside already is not found again, to be named as what
        the next one ends."""
        same_answer = order.whole_disk and self.answer == order.answer
        return self.whole_disk == order.whole_disk and (self.ends == order.ends or same_answer)


class Made(Value):
    """A file system that we made: the UUID is chosen and journalled before mkfs begins."""

    uuid: str
    fs_type: str
    options: tuple[str, ...] = ()
    """What it was last mounted with for an order; after a boot it is mounted so again."""


class Past(Value):
    """An order that was carried out."""

    id: str
    kind: str
    ends: str
    next: str
    at: str
    answer: str = ""
    """The question whose answer it stood on."""


class Given(Value):
    """A tenancy whose data a person asked to have back before a byte was gone, and whose claim had it."""

    tenancy: str
    claim_uid: str


class Had(Value):
    """A claim that was seen to have a tenancy; without a UID: a pod's, and nobody had said which."""

    tenancy: str
    claim_uid: str = ""


class Entry(Value):
    """The node's own record of one disk."""

    identity: Identity
    source: str = ""
    volume: str = ""
    handed: str = ""
    """The tenancy handed over now."""
    at_root: bool = False
    """It lies at the mount's own root: what others had put there, and a person gave to a claim."""
    block: bool = False
    """What is handed over is the device itself."""
    was_block: bool = False
    """It was until an order began to make a file system of it: what its tenant made of the raw device may
    stand there until that is made."""
    past: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    had: tuple[Had, ...] = ()
    """Who was seen to have which tenancy: an etcd that goes back in time forgets it."""
    order: Taken | None = None
    done: tuple[Past, ...] = ()
    taken_back: tuple[str, ...] = ()
    """Ids of orders that were answered as withdrawn."""
    given: tuple[Given, ...] = ()
    made: Made | None = None
    """The file system on the disk, made and read back. None: a folder, a Block volume, or none yet."""
    making: Made | None = None
    """The one that mkfs is making, or was when it was cut."""
    written_bytes: int = 0
    """Of the device, by the order at work: so far it is written, and synced; of all passes together."""
    unmounted: bool = False
    """An order had it unmounted: it is not mounted again by itself."""

    def last_claim(self, tenancy: str) -> str:
        """The UID of the last claim that was seen on a tenancy; empty: none whose UID is known."""
        seen = (had.claim_uid for had in reversed(self.had) if had.tenancy == tenancy and had.claim_uid)
        return next(seen, "") if tenancy else ""


class Broken(Value):
    """There is a record, and it cannot be read: never the same as none."""

    why: str


Journal = Entry | Broken | None

# --- what a decision is made from ---------------------------------------------------------------


class Case(Value):
    """All that one decision looks at."""

    order: Order
    volume: str
    """The TidbVolume's name and UID that the order came with."""
    uid: str
    live: Live
    disk: Facts
    journal: Journal
    device: bool = False
    """The entry names a device; what is compared is the hardware, since its file system is ours to make."""

    @property
    def lies_on_it(self) -> str:
        """What is on the disk, as a question about it has it: also whose it is, where the journal alone can
        tell."""
        entry, disk = self.journal, self.disk
        if disk.tenancy or not isinstance(entry, Entry) or not entry.at_root:
            return disk.lies_on_it
        return lies(disk.content, entry.handed, disk.note, (each.order for each in disk.trash))

    @property
    def destroys(self) -> bool:
        """Data goes: such an order needs `status.committed`."""
        return self.order.destroys

    @property
    def taken(self) -> Taken | None:
        """The journal's order at work, if this order is it or goes on with its very wipe."""
        taken = self.journal.order if isinstance(self.journal, Entry) else None
        if taken is None:
            return None
        order = self.order
        # On a device the first use has something to go on with too: what mkfs or zeroing had begun.
        first_use = self.device and taken.kind == order.kind
        ends_something = taken.ends or taken.whole_disk or first_use
        return taken if taken.id == order.id or (taken.is_same_wipe(order) and ends_something) else None

    @property
    def orders(self) -> frozenset[str]:
        """The orders of this very wipe: what they have put aside is its own."""
        taken = self.taken
        return frozenset((self.order.id, *((taken.id, *taken.before) if taken is not None else ())))

    @property
    def begun(self) -> bool:
        """The journal has it that bytes are gone: there is no way back, only on."""
        return self.taken is not None and self.taken.begun

    @property
    def maybe_begun(self) -> bool:
        """Nobody can prove that no byte is gone: begun, or a trash folder that the journal cannot explain."""
        return self.begun or (self.taken is None and bool(self.disk.trash))
