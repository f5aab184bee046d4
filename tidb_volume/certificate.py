"""What may be certified of a wipe: what a node's record says, in the terms of NIST SP 800-88, and no more.

SP 800-88 (Rev. 1, 4.8 and appendix G) names what a certificate should hold; of that what we do not know is
left out, and said to be. One certificate is for one wipe that was done. A wipe that began and of which no end
is on record has none, and neither has a disk that a person forgot: both are told as not certified.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tidb_volume.audit import AuditLine
from tidb_volume.identity import words
from tidb_volume.inventory import policy
from tidb_volume.inventory.promises import PROMISES, Promise
from tidb_volume.value import Identity, Ref, Value

SCHEMA = 1
SAYS_NOT = (
    "It says nothing of blocks that the disk has put out of use or keeps in reserve, of areas hidden by HPA"
    " or DCO, or of copies in a cache or a snapshot below the disk.",
    "It is what the node's daemon has on record. Who is root on that node can write there what he likes.",
    "Nobody looked with other means than the disk's own answers.",
    "What the method does and promises is said in the words of the version of tidb-volume that prints this;"
    " the one that wiped may have been another.",
)
"""On every certificate."""


class Certificate(Value):
    """One wipe that was done. A field that would be empty is left out."""

    schema: int
    """1. A field may be added under the same number; one that changes its meaning makes it 2."""
    disk: Identity
    """Which disk: its own facts, as they were when it was looked at."""
    node: str
    """The node that it was in."""
    volume: str
    """The TidbVolume."""
    source: str
    """The entry's folder or device."""
    scope: str
    """What of the disk was wiped."""
    method: str
    """How; `does`, `gone`, `checked` say what that means."""
    does: str
    gone: str
    """What holds of the data after it."""
    checked: str
    """How that was looked at."""
    nist: str
    """The term of SP 800-88 that it meets, or `neither`."""
    begun_at: str
    """When the first attempt began to delete, by the node's clock (RFC 3339)."""
    done_at: str
    attempts: int
    """How many attempts began: what was cut was carried on."""
    order: str
    """The order that ended it."""
    done_bytes: int = 0
    """How much the last attempt deleted or overwrote, in bytes; 0: not on record."""
    done_files: int = 0
    """How many files the last attempt deleted; 0: none, or not on record."""
    asked: str = ""
    """What asked for it: a policy and who set it, or a person's answer."""
    answer: str = ""
    tenancy: str = ""
    """The owner's time on the disk that it ended; empty: nobody's that is known."""
    claim: Ref | None = None
    pod: Ref | None = None
    """The claim and the pod that had it last."""
    pv_name: str = ""
    pv_uid: str = ""
    says_not: tuple[str, ...] = SAYS_NOT


class Certified(NamedTuple):
    """What a record comes to."""

    done: tuple[Certificate, ...]
    missing: tuple[str, ...]
    """What has no certificate, for people: wipes that began and whose end is not on record, and disks that
    were forgotten as they were."""


class _Of(NamedTuple):
    """Whose wipe a line is about: an attempt that failed is followed by an order with another id."""

    node: str
    volume: str
    tenancy: str
    answer: str


def certify(lines: Iterable[AuditLine]) -> Certified:
    """Certificates for the wipes that were done, in the order of their ends; pure.

    lines: of one node or several, each node's in the order of its file, and of the controller's log. One that
    was written twice as the machine went down counts once.
    """
    done: list[Certificate] = []
    forgotten: list[AuditLine] = []
    wiped: list[AuditLine] = []
    begun: dict[_Of, list[AuditLine]] = {}
    certified: set[tuple[str, str]] = set()
    for line in lines:
        if line.what == "forgotten":
            forgotten.append(line)
        wipes = line.kind == "reclaim" or bool(line.answer)
        if not wipes:
            continue
        of = _Of(line.node, line.volume, line.tenancy, line.answer if not line.tenancy else "")
        if line.what == "begun" or (line.what == "cut" and line.begun_at):
            # Of one that was cut the beginning may not be on record: its line was lost with the power.
            begun.setdefault(of, []).append(line)
        elif line.what == "done":
            wiped.append(line)
            attempts = begun.pop(of, [])
            if (line.node, line.order) not in certified and line.identity is not None:
                certified.add((line.node, line.order))
                done.append(_certificate(line, attempts))
    left = [_unfinished(attempts) for attempts in begun.values()]
    # The cluster and the controller's log say the same of one.
    left += [
        _forgotten(line) for line in dict.fromkeys(forgotten) if not any(_ends(each, line) for each in wiped)
    ]
    return Certified(tuple(sorted(done, key=lambda each: each.done_at)), tuple(left))


def _ends(wipe: AuditLine, forgotten: AuditLine) -> bool:
    """What was on a disk as it was forgotten went all the same: unheard of before, or with all else on that
    disk, once it was back.

    Which was first only one clock can say, the API server's: a node's may be ahead, and then a wipe of what
    was there before seems to be one of what was left. Where it is not known the disk counts as NOT WIPED."""
    if forgotten.tenancy and wipe.tenancy == forgotten.tenancy:
        return True
    same = wipe.identity is not None and wipe.identity == forgotten.identity
    return bool(wipe.answer) and same and wipe.ordered_at > forgotten.at


def _certificate(line: AuditLine, attempts: Sequence[AuditLine]) -> Certificate:
    assert line.identity is not None, "a line without a disk is not certified"
    promise = PROMISES.get(policy.base(line.method), _UNKNOWN)
    return Certificate(
        schema=SCHEMA,
        disk=line.identity,
        node=line.node,
        volume=line.volume,
        source=line.source,
        scope=_scope(line),
        method=line.method,
        does=promise.does,
        gone=promise.gone,
        checked=promise.checked,
        nist=promise.nist,
        begun_at=min(map(_began, attempts), default=line.begun_at),
        done_at=line.at,
        attempts=max(1, len(set(map(_began, attempts)))),
        order=line.order,
        done_bytes=line.done_bytes,
        done_files=line.done_files,
        asked=line.asked,
        answer=line.answer,
        tenancy=line.tenancy,
        claim=line.claim,
        pod=line.pod,
        pv_name=line.pv_name,
        pv_uid=line.pv_uid,
    )


def _began(attempt: AuditLine) -> str:
    return attempt.begun_at or attempt.at


_UNKNOWN = Promise(
    does="not known to this version",
    gone="not known to this version",
    checked="not known to this version",
    nist="neither, by what is known to this version",
)


def _scope(line: AuditLine) -> str:
    assert line.identity is not None, "a line without a disk is not certified"
    if policy.base(line.method) != "files":
        part = line.identity.partition
        return f"the partition {part}, no other part of the disk" if part else "the whole device"
    if line.kind == "reclaim":
        return f"what one owner had in its folder on {line.source}; nothing else that is on the disk"
    return f"everything that the file system on {line.source} showed"


def _forgotten(line: AuditLine) -> str:
    whose = f"the data of {line.claim}" if line.claim is not None else "what was on it"
    of = f"{whose} (tenancy {line.tenancy})" if line.tenancy else whose
    disk = f", {words(line.identity)}" if line.identity is not None else ""
    where = f"{line.node}, {line.source or line.volume}{disk}"
    return f"{where}: forgotten at {line.at} ({line.asked}) with {of}: NOT WIPED"


def _unfinished(attempts: Sequence[AuditLine]) -> str:
    first, last = attempts[0], attempts[-1]
    what = f"tenancy {last.tenancy}" if last.tenancy else "what was found"
    where = f"{last.node}, {last.source or last.volume}"
    return (
        f"{where}: the wipe of {what} began at {_began(first)}, and no end of it is on record: NOT certified"
    )
