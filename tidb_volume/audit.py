"""What is on record of a disk: one line of JSON for each decision, each wipe begun and ended, each refusal.

The daemon writes what it did into `audit.jsonl` beside its journal, where a line is never changed and never
taken away. The controller writes what it decided into its log, as lines of the logger `audit`.
docs/audit.md has every field, printed from here.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from tidb_volume.value import Identity, Record, Ref, Value

FILE = "audit.jsonl"
SCHEMA = 1

LOGGER = "audit"
"""The name of the logger of these lines, among which are lines that are none."""

Did = Literal["begun", "done", "refused", "withdrawn", "failed", "cut"]
"""What the daemon says."""
Decided = Literal[
    "ordered",
    "recalled",
    "deleted",
    "unclaimed",
    "committed",
    "offered",
    "given",
    "stopped",
    "accepted",
    "forgotten",
    "removed",
    "said",
    "tripped",
    "reset",
    "listed",
]
"""What the controller says, besides refused."""
What = Literal[Did, Decided]


class AuditLine(Value):
    """One line. A field that would be empty is left out."""

    schema: int
    """1. A field may be added under the same number; one that changes its meaning makes it 2."""
    at: str
    """When (RFC 3339): by the node's clock, for a decision by the API server's."""
    what: What
    """The daemon: begun: bytes go from here on. done: all of it was done, read back and synced. withdrawn:
    taken back before a byte was gone. refused, failed: why is in `reason`. cut: what was begun stopped
    before its end, and may be carried on; where its process was killed or the machine went down
    (`reason` Interrupted), the next one that takes it up says so, `at` its own time. The controller:
    ordered, and on whose word. recalled: the order is taken back; whether in time, the daemon says.
    deleted: `pvName` is, and with an order that commits it. unclaimed: `claim` is, since its node is
    lost. committed: the point of no return. offered: `pvName` is there, for whoever claims it. given:
    the data goes to `claim`. stopped: a countdown to a wipe is called off; why is in `reason`.
    accepted: another disk is taken for this one. refused: an answer is not taken. forgotten: the record
    ends, NOT WIPED. removed: no entry lists it, nobody had it. said: a word that holds until it is
    taken back (hold, cordon, retire, a gate, a gate passed; of the fleet pause, mode, budget,
    approvals) is there, or is no more. tripped, reset: the breaker. listed: what an inventory's
    ConfigMap says is in force from now on."""
    node: str
    """The node that has the disk; empty where it is about the whole fleet."""
    volume: str
    """The TidbVolume; empty where it is about the whole fleet."""
    leader: str = ""
    """The controller that decided. Empty: the node's daemon wrote the line."""
    order: str = ""
    """The order's id. A line that was written as the machine went down may stand there twice."""
    ordered_at: str = ""
    """When the order was decided, by the API server's clock, like the controller's lines."""
    kind: str = ""
    """reclaim: wipe after a release. prepare: make ready; with `answer`, by a wipe of what was found."""
    method: str = ""
    """How it was wiped, whatever choice the order left; what each method promises is in docs/security.md.
    In a decision: what was ordered."""
    asked: str = ""
    """What asked for it: a policy and who set it, or a person's answer."""
    answer: str = ""
    """The question that was answered so."""
    identity: Identity | None = None
    """The disk: its facts as they were when it was looked at."""
    source: str = ""
    """The entry's folder or device."""
    tenancy: str = ""
    """The tenancy that the order ends; without an order, the one it is about."""
    next: str = ""
    """The tenancy that it begins."""
    pv_name: str = ""
    """The PersistentVolume that it ended, offered or gave."""
    pv_uid: str = ""
    """Its UID."""
    claim: Ref | None = None
    """The claim that had the disk last; where data is given, the one that gets it."""
    pod: Ref | None = None
    """The pod that used that claim last."""
    begun_at: str = ""
    """When this attempt began to delete. In a line of one that was cut it may be all that is left of its
    beginning: the journal's word."""
    bytes_gone: bool = False
    """For what was not done: whether bytes are gone nevertheless; of what was interrupted, whether they may
    be."""
    done_bytes: int = 0
    """How much was deleted or overwritten in this attempt, in bytes; of what was interrupted nobody knows."""
    done_files: int = 0
    """How many files were deleted in this attempt."""
    attempt: int = 0
    """How many orders for the same wipe failed before."""
    reason: str = ""
    """Why it was refused or failed, in one word; which word was said."""
    message: str = ""
    """Why, or what was said, for people."""
    boot: str = ""
    """The boot id of the machine."""
    uid: str = ""
    """In a volume's last line, forgotten or removed: the TidbVolume's UID."""
    history: tuple[Record, ...] = ()
    """In a volume's last line: the last ten lines that its status kept, the wipes before among them."""


def written(line: AuditLine) -> bytes:
    """As it stands in the file, with the newline."""
    return msgspec.json.encode(line) + b"\n"


def read(content: bytes) -> tuple[list[AuditLine], list[str]]:
    """What is on record, and what of it cannot be read: a line that was cut as the power went, for people.

    content: a node's file, or a program's log, whose other lines are passed over. Lines of a later schema are
    read as far as they are understood.
    """
    lines, broken = [], []
    for number, text in enumerate(content.split(b"\n"), 1):
        if not text.strip():
            continue
        try:
            lines.append(msgspec.json.decode(text, type=AuditLine))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if not _is_another(text):
                broken.append(f"line {number}: {error}")
    return lines, broken


class _Logged(Value):
    """Any line of a log."""

    logger: str


def _is_another(text: bytes) -> bool:
    """It is a line of a log, and none that is on record."""
    try:
        return msgspec.json.decode(text, type=_Logged).logger != LOGGER
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
