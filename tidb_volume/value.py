"""What is known of our own objects and of disks, as frozen values (`upstream` has Kubernetes' own).

Every struct here names only the fields that somebody reads, which makes decoding ten thousand objects
cheap and has one trap: such a struct must never be written back whole, it would drop what it does not
name. Writes are patches of single fields (decision 0001).

An empty string is "not set", as in Kubernetes' own API. What is not known is never an absent value: it has
a word of its own (`Content.UNKNOWN`, `DiskReport` being None) and is always the careful branch.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, TypeVar, dataclass_transform

import msgspec


# A type checker takes a base's class arguments for its own alone; this says that they hold for all below it.
@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Value(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, gc=False):
    """A frozen value, in the API's camelCase on the wire; fields at their default are left out."""


class Meta(Value):
    """ObjectMeta, as far as anyone here reads it."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()


class SlimMeta(Value):
    """ObjectMeta of objects that come by the ten thousand and of which little is read (pods, claims)."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    deletion_timestamp: str | None = None


class Ref(Value):
    """One object by namespace, name and UID; without a UID it is only a name."""

    namespace: str = ""
    name: str = ""
    uid: str = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


# --- a disk, as the hardware and its file system tell it ------------------------------------------


class Identity(Value):
    """Facts that tell one disk from another, from the device and sysfs, never from a name.

    `virtual` is a loop disk's backing file (device:inode), taken under `--virtual-disks` alone, because a
    virtual disk has no fact of its own. `fs_uuid` belongs to the content, the rest to the hardware.
    """

    eui: str = ""
    wwn: str = ""
    serial: str = ""
    model: str = ""
    size_bytes: int = 0
    partition: str = ""
    """Number and first sector, `2@2048`, where it is a part of the disk that the other facts tell."""
    fs_uuid: str = ""
    virtual: str = ""


class Content(StrEnum):
    """What is on a disk, as the daemon found it."""

    UNKNOWN = "unknown"
    BLANK = "blank"
    """Nothing: for a path, a mounted file system that holds nothing but lost+found (and our empty folder)."""
    TENANCY = "tenancy"
    """A tenancy's folder, named in `DiskReport.tenancy`; `DiskReport.empty` says whether it is empty."""
    DATA = "data"
    """Something that we did not put there, or more than one tenancy."""


class Presence(StrEnum):
    """Whether the disk an entry names is there, and is the one that it was; the daemon's word."""

    OK = "OK"
    NOT_PRESENT = "NotPresent"
    NOT_MOUNTED = "NotMounted"
    WRONG_DISK = "WrongDisk"
    CONFLICT = "Conflict"
    FOREIGN = "Foreign"
    REFUSED = "Refused"
    """Never to be used: root, boot, swap, the kubelet's storage, a virtual disk without --virtual-disks."""
    OCCUPIED = "Occupied"
    """Part of something else: partitions, LVM, RAID, encryption, a file system that machines share."""
    STUCK = "Stuck"
    HINDERED = "Hindered"
    """It may well be as it should, and the daemon cannot do its work on it: the message says why."""


class DiskReport(Value):
    """`status.disk`: what the daemon sees of this disk. The daemon writes it, whole, and nobody else."""

    presence: Presence
    made: str = ""
    """What the daemon made of a device: Block, or a file system and its mount options; empty: nothing."""
    message: str = ""
    boot: str = ""
    """The boot id under which this was seen; a report of an earlier boot says nothing of today's mounts."""
    device: str = ""
    """major:minor."""
    name: str = ""
    """The kernel's name today, for people only."""
    identity: Identity | None = None
    capacity_bytes: int = 0
    used_bytes: int = 0
    """In coarse steps, so that a tenant who writes does not make the daemon write."""
    content: Content = Content.UNKNOWN
    content_note: str = ""
    """For people: what was found, e.g. `ext4 (label backup)`, `12 entries, first: data`."""
    tenancy: str = ""
    """The one tenancy found on the disk."""
    empty: bool = False
    """The tenancy's folder holds nothing."""
    journal: str = ""
    """The tenancy that the node's journal has as handed over on this disk; empty: none, or no journal."""
    at_root: bool = False
    """That tenancy lies at the mount's own root: what others had put there, and a person gave to a claim."""
    journal_broken: bool = False
    """The journal has no entry for a disk that carries a tenancy, or contradicts it."""
    in_use: str = ""
    """Who uses the tenancy now, for people; empty: nobody that the daemon can see."""
    claims: tuple[str, ...] = ()
    """UIDs of claims that the node's journal has seen on the tenancy handed over, and that are not on record
    here; an empty one is a pod whose claim nobody knew. There is one only where a record was lost."""
    had_since: str = ""
    """The UID of the claim that the journal has seen there last, if that is not the one on record."""
    trash: tuple[str, ...] = ()
    """Orders whose trash folder is on the disk: a wipe that was begun."""
    survey: int = 0
    """The survey of this boot (`at` in the TidbVolumeNode's status) with which it was first reported; 0: none
    was made since the volume is there. Only that one or a later one tells what stands around the disk."""


# --- orders and what became of them ----------------------------------------------------------------

OrderKind = Literal["reclaim", "prepare", "mount", "unmount"]


class Order(Value):
    """`spec.order`: what the daemon is to do now. The controller alone writes it.

    `ends` is the tenancy that the order ends (empty: first use), `next` the one that it begins. The daemon
    compares `ends` with what the disk itself carries, so that an order out of a restored etcd finds
    another tenancy there and is refused.
    """

    id: str
    kind: OrderKind
    method: str = ""
    identity: Identity | None = None
    ends: str = ""
    next: str = ""
    offer: bool = False
    pv_name: str = ""
    pv_uid: str = ""
    claim_uid: str = ""
    answer: str = ""
    """The question whose answer this order stands on; data that we did not make is ended on that alone."""
    asked: str = ""
    """What asked for it, for the record: a policy, or whose answer."""
    whole_disk: bool = False
    """With `answer`: what is at the mount's root goes too, not only a tenancy's folder."""
    over: str = ""
    """With `wholeDisk`: what lies on the disk, as the person was told who answered. Where something else is
    there when the daemon begins, he is asked anew."""
    had_since: str = ""
    """With `answer`: the claim that had it since, by UID, as the person was told who answered."""
    epoch: int = 0
    """The breaker's epoch under which this was decided."""
    attempt: int = 0
    """How many orders for the same wipe failed before this one."""
    withdrawn: bool = False
    """The controller takes the order back. The daemon answers `refused` under the disk's lock, where no byte
    is gone yet; a wipe that has begun goes on to its end."""
    leader: str = ""
    """For the record only."""
    at: str = ""
    """When it was decided, by the API server's clock; for the record only."""

    @property
    def destroys(self) -> bool:
        """Data goes by it: it ends somebody's tenancy, or stands on a person's answer."""
        return self.kind == "reclaim" or bool(self.answer)


class WorkState(StrEnum):
    """How far an order has come."""

    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


class Work(Value):
    """`status.work`: what became of one order. The daemon writes it; it counts for `order_id` alone."""

    order_id: str
    state: WorkState
    reason: str = ""
    message: str = ""
    begun: bool = False
    """At least one byte is gone; a refusal before that gives the data back untouched."""
    done_bytes: int = 0
    total_bytes: int = 0
    done_files: int = 0
    attempt: int = 0
    at: str = ""


# --- people's words ---------------------------------------------------------------------------------


class Adopt(Value):
    """A person's word on unknown data, for one question."""

    question: str
    action: Literal["Wipe", "Keep"]
    claim: Ref | None = None
    by: str = ""


class Approve(Value):
    """A person lets the planned destructive action happen; `method` may only be stronger."""

    question: str
    method: str = ""
    by: str = ""


class Restore(Value):
    """A person gives the data back to one claim."""

    question: str
    claim: Ref | None = None
    by: str = ""


class Answer(Value):
    """A person's plain yes to one question (wipeNow, acceptIdentity)."""

    question: str
    by: str = ""


Part = TypeVar("Part", bound=Value)


def part(whole: Value, of: type[Part]) -> Part:
    """What a struct has of one that it extends."""
    return of(**{name: getattr(whole, name) for name in of.__struct_fields__})


class Words(Value):
    """What people and programs said that holds until it is taken back."""

    cordon: bool = False
    retire: bool = False
    hold: bool = False
    gates: dict[str, str] = {}
    gates_passed: dict[str, str] = {}


class Admin(Words):
    """`spec.admin`: what people said. Written by people and the CLI, never by a program of ours."""

    adopt: Adopt | None = None
    approve: Approve | None = None
    restore: Restore | None = None
    wipe_now: Answer | None = None
    accept_identity: Answer | None = None
    forget: Answer | None = None

    @property
    def words(self) -> Words:
        """What holds until it is taken back, without the answers."""
        return part(self, Words)


# --- TidbVolume --------------------------------------------------------------------------------------

VolumeMode = Literal["Filesystem", "Block"]
OnRelease = Literal["wipe", "keep"]


class Source(Value):
    """Where the admin says that the disk is: a mounted folder, or a device by a stable name."""

    path: str = ""
    device: str = ""
    serial: str = ""

    def __str__(self) -> str:
        return self.path or self.device


class WipePolicy(Value):
    """`spec.wipe`: how and when a released disk is wiped, in force for this volume."""

    on_release: OnRelease = "keep"
    after: str = "1h"
    method: str = "auto"
    gates: tuple[str, ...] = ()


class VolumeSpec(Value):
    """A TidbVolume's spec."""

    node_name: str
    pool: str
    source: Source
    volume_mode: VolumeMode = "Filesystem"
    fs_type: str = ""
    mount_options: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    wipe: WipePolicy = WipePolicy()
    order: Order | None = None
    admin: Admin = Admin()


class Phase(StrEnum):
    """The life of a disk. What is wrong around it is a condition, so that neither hides the other."""

    PENDING = "Pending"
    AVAILABLE = "Available"
    BOUND = "Bound"
    RELEASED = "Released"
    WIPING = "Wiping"
    FAILED = "Failed"


class Owner(Value):
    """Who has the disk: the claim, and the pod that uses it while one runs."""

    claim: Ref | None = None
    pod: Ref | None = None
    last_pod: Ref | None = None
    """The pod that used the claim last, while none does: for the record of what becomes of its data."""

    @property
    def had(self) -> Ref | None:
        """The pod that uses the claim, or used it last."""
        return self.pod or self.last_pod


class Question(Value):
    """Something that a person may decide. An answer names this id and counts for it alone."""

    id: str
    kind: str
    about: str
    """What it is about: a tenancy, a PV's UID, a disk's content. Another subject makes another question."""
    text: str
    at: str = ""


class Condition(Value):
    """A condition as Kubernetes writes it."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str = ""
    last_transition_time: str = ""


class Record(Value):
    """One line of a volume's history."""

    at: str
    what: str
    tenancy: str = ""
    who: str = ""
    note: str = ""


class Retry(Value):
    """When a failed or refused order is followed by another, by the controller's own clock."""

    order: str
    """The order that failed or was refused."""
    at: str
    """When the next one is written, at the soonest."""


class VolumeStatus(Value):
    """A TidbVolume's status. `disk` and `work` are the daemon's, all else is the controller's."""

    phase: Phase = Phase.PENDING
    state: str = ""
    """What people read: the phase, and in brackets what is wrong around it."""
    reason: str = ""
    message: str = ""
    owner: Owner | None = None
    volume_name: str = ""
    volume_uid: str = ""
    tenancy: str = ""
    """The tenancy on offer or owned; the last one that we know of while the disk is dirty."""
    committed: str = ""
    """The order whose point of no return is passed."""
    committed_on: str = ""
    """The answer that it stands on, by its question; empty: the policy. An order may be deleted by hand."""
    committed_over: str = ""
    """What the person was told of who gave it, where it is about all that is on the disk."""
    dirty: bool = False
    """A claim had the disk in this tenancy, or nobody can say that none had."""
    withdrawn: str = ""
    """The tenancy whose unclaimed PV we took back: its delete was answered under both preconditions."""
    reserved: Ref | None = None
    """The claim that a person gave the data to (restore, adopt: Keep); its PV waits for that claim alone."""
    unrecorded: str = ""
    """The tenancy that this record first met already released: holds and answers of before may be lost."""
    retry: Retry | None = None
    """When a failed or refused order is followed by another."""
    lost_since: str = ""
    """Since when the node of a claimed disk is lost, by the API server's clock."""
    wipe_from: str = ""
    wipe_at: str = ""
    capacity: str = ""
    used: str = ""
    identity: Identity | None = None
    """The disk as first seen; what is seen later is compared with it."""
    question: Question | None = None
    heard: Words = Words()
    """What of `spec.admin` is on record (docs/audit.md): what differs goes there as it is written here."""
    history: tuple[Record, ...] = ()
    conditions: tuple[Condition, ...] = ()
    disk: DiskReport | None = None
    work: Work | None = None


class Volume(Value):
    """A TidbVolume."""

    metadata: Meta
    spec: VolumeSpec
    status: VolumeStatus = VolumeStatus()


# --- TidbVolumeNode --------------------------------------------------------------------------------------


class SeenDisk(Value):
    """A disk of a machine, listed or not."""

    name: str
    device: str = ""
    links: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    identity: Identity | None = None
    content: str = ""
    covers: tuple[str, ...] = ()
    """Device numbers that share this disk: its partitions, the whole of a partition, and what it is put
    together of, or what is put together of it."""
    folders: tuple[str, ...] = ()
    """Other ways to a folder on it: bind mounts that show a part of it, and symlinks that lead into it."""


class NodeReport(Value):
    """A TidbVolumeNode's status: what its daemon sees of the machine."""

    boot: str = ""
    at: int = 0
    """When it was seen, in milliseconds since that boot; a survey that shows nothing else is not written."""
    daemon: str = ""
    virtual_disks: bool = False
    disks: tuple[SeenDisk, ...] = ()


class NodeStatus(NodeReport):
    """A TidbVolumeNode's status. `closed` is the controller's, all else is the daemon's."""

    closed: tuple[str, ...] = ()
    """The last lines of volumes of this node that are no more: of disks that a person forgot, NOT WIPED, and
    of those that no entry lists any more. Each is one line of docs/audit.md."""


class VolumeNode(Value):
    """A TidbVolumeNode."""

    metadata: Meta
    status: NodeStatus = NodeStatus()
