"""What is on record of a disk: one line of JSON for each wipe begun and ended, each refusal, each failure.

The daemon writes them into `audit.jsonl` beside its journal, where a line is never changed and never taken
away. docs/audit.md has every field, printed from here.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from tidb_volume.value import Identity, Ref, Value

FILE = "audit.jsonl"
SCHEMA = 1

What = Literal["begun", "done", "refused", "withdrawn", "failed"]


class AuditLine(Value):
    """One line. A field that would be empty is left out."""

    schema: int
    """1. A field may be added under the same number; one that changes its meaning makes it 2."""
    at: str
    """When, by the node's clock (RFC 3339)."""
    what: What
    """begun: bytes go from here on. done: all of it was done, read back and synced. withdrawn: taken back
    before a byte was gone. refused, failed: why is in `reason`."""
    node: str
    """The node that has the disk."""
    volume: str
    """The TidbVolume."""
    order: str
    """The order's id. A line that was written as the machine went down may stand there twice."""
    kind: str
    """reclaim: wipe after a release. prepare: make ready; with `answer`, by a wipe of what was found."""
    method: str = ""
    """How it was wiped, whatever choice the order left; what each method promises is in docs/security.md. A
    wipe that was cut after it had made a file system is told as files: that is less, and never more."""
    asked: str = ""
    """What asked for it: a policy and who set it, or a person's answer."""
    answer: str = ""
    """The question that was answered so."""
    identity: Identity | None = None
    """The disk: its facts as they were when it was looked at."""
    source: str = ""
    """The entry's folder or device."""
    tenancy: str = ""
    """The tenancy that the order ends."""
    next: str = ""
    """The tenancy that it begins."""
    pv_name: str = ""
    """The PersistentVolume that it ended."""
    pv_uid: str = ""
    """Its UID."""
    claim: Ref | None = None
    """The claim that had the disk last."""
    pod: Ref | None = None
    """The pod that used that claim last."""
    begun_at: str = ""
    """When this attempt began to delete."""
    bytes_gone: bool = False
    """For what was not done: whether bytes are gone nevertheless."""
    done_bytes: int = 0
    """How much was deleted or overwritten in this attempt, in bytes."""
    done_files: int = 0
    """How many files were deleted in this attempt."""
    attempt: int = 0
    """How many orders for the same wipe failed before."""
    reason: str = ""
    """Why it was refused or failed, in one word."""
    message: str = ""
    """Why, for people."""
    boot: str = ""
    """The boot id of the machine."""


def written(line: AuditLine) -> bytes:
    """As it stands in the file, with the newline."""
    return msgspec.json.encode(line) + b"\n"


def read(content: bytes) -> tuple[list[AuditLine], list[str]]:
    """What is on record, and what of it cannot be read: a line that was cut as the power went, for people.

    Lines of a later schema are read as far as they are understood.
    """
    lines, broken = [], []
    for number, text in enumerate(content.split(b"\n"), 1):
        if not text.strip():
            continue
        try:
            lines.append(msgspec.json.decode(text, type=AuditLine))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            broken.append(f"line {number}: {error}")
    return lines, broken
