"""`status.disk`: what is told of a disk to everybody else, computed from what a child saw.

A report is written only where it differs from the last one, so everything in it must hold still while a
tenant works: the used bytes come in steps, and a step is left only once the figure is well beyond it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from disk_daemon.jobs import Record
from disk_daemon.known import Facts
from tidb_volume.identity import same_disk, same_hardware, words
from tidb_volume.value import Content, DiskReport, Identity, Presence

STEPS = 20
"""Used bytes are told in this many steps of the capacity."""


def disk_report(
    facts: Facts,
    record: Record,
    recorded: Identity | None,
    before: DiskReport | None,
    *,
    claimed: bool = False,
    claim_uid: str = "",
    survey: int = 0,
    not_mounted: str = "",
    rival: str = "",
) -> DiskReport:
    """The report for one look at a disk.

    recorded: the identity that the controller recorded at first sight, None: this is the first. before:
    the last report, for the step that the used bytes were in. claimed: a claim has the disk, so that what is
    missing on it is the disk's trouble, and not a question of what to do with it. claim_uid: the claim on
    record, which is not told again. survey: that of now; the report keeps the one that it began with.
    not_mounted: why the last try to mount what is ours was in vain. rival: the volume that has the disk by
    the journal, which is another one and is there, and the name by which it has it.
    """
    damage = facts.raw.damage if facts.raw is not None else ""
    if damage and claimed:
        facts = msgspec.structs.replace(facts, presence=Presence.NOT_MOUNTED, message=damage)
    if rival and facts.raw is not None and facts.raw.mountable:
        said = (
            f"the same disk ({facts.device}) as {rival}, which has it by the journal; nothing is moved while"
            " that volume is there; if an edit gave the disk this name, take it back"
        )
        return DiskReport(presence=Presence.CONFLICT, message=said, boot=facts.boot)
    if facts.presence is not Presence.OK:
        message = facts.message
        if not_mounted and facts.raw is not None and facts.raw.mountable:
            message = f"{message}: {not_mounted}"
        return DiskReport(presence=facts.presence, message=message, boot=facts.boot)
    presence: Presence = facts.presence
    message = facts.message or record.broken
    # As before every order: the file system on a device is ours to make, the one under a folder is not.
    same = same_disk if facts.raw is None else same_hardware
    if recorded is not None and facts.identity is not None and not same(recorded, facts.identity):
        presence = Presence.WRONG_DISK
        message = f"recorded is {words(recorded)}, there is {words(facts.identity)}"
    elif record.unwritable:
        presence, message = Presence.HINDERED, record.unwritable
    content, tenancy = facts.content, facts.tenancy
    return DiskReport(
        presence=presence,
        message=message,
        boot=facts.boot,
        device=facts.device,
        name=facts.name,
        identity=facts.identity,
        capacity_bytes=facts.capacity_bytes,
        used_bytes=_step(facts, before),
        content=content,
        content_note=facts.note,
        tenancy=tenancy,
        empty=facts.empty,
        journal=record.handed,
        at_root=record.at_root,
        made=record.made,
        journal_broken=_is_broken(record, content, tenancy),
        in_use=_in_use(facts),
        claims=_others(record, claim_uid),
        had_since=_since(record, claim_uid),
        trash=tuple(each.order for each in facts.trash),
        survey=_began_with(facts, before) or survey,
    )


def _began_with(facts: Facts, before: DiskReport | None) -> int:
    return before.survey if before is not None and before.boot == facts.boot else 0


def _step(facts: Facts, before: DiskReport | None) -> int:
    size = max(1, facts.capacity_bytes // STEPS)
    if before is not None and before.capacity_bytes == facts.capacity_bytes:
        low, high = before.used_bytes - size, before.used_bytes + size
        if low < facts.used_bytes < high:
            return before.used_bytes
    return round(facts.used_bytes / size) * size


def _is_broken(record: Record, content: Content, tenancy: str) -> bool:
    if record.broken:
        return True
    if content is not Content.TENANCY:
        return False
    at_work = record.order is not None and tenancy in (record.order.ends, record.order.next)
    return not record.known or (record.handed != tenancy and not at_work)


def _others(record: Record, claim_uid: str) -> tuple[str, ...]:
    """The claims that were seen on the tenancy and are not on record. A user without a known claim is that of
    the record, where there is one."""
    return tuple(each for each in record.claims if (each != claim_uid if each else not claim_uid))


def _since(record: Record, claim_uid: str) -> str:
    """The claim that was seen on what is there last, if it is not the one on record."""
    return record.last_claim if record.last_claim != claim_uid else ""


def _in_use(facts: Facts) -> str:
    if facts.users_unknown:
        return f"unknown: {facts.users_unknown}"
    if not facts.users:
        return ""
    more = f" and {len(facts.users) - 1} more" if len(facts.users) > 1 else ""
    return f"{facts.users[0].who}{more}"


def one_disk_twice(
    reports: Mapping[str, DiskReport], established: frozenset[str], wholes: Mapping[str, str]
) -> dict[str, DiskReport]:
    """Reports of one node's volumes, where several lead to one disk: the newcomers become Conflict. A disk
    and a partition of it are one, two partitions are not.

    reports: by volume. established: volumes whose identity is recorded; they stay as they are. Of several
    newcomers none is right. wholes: by the number of a partition, that of its disk.
    """
    by_disk: dict[str, list[str]] = {}
    for volume, report in reports.items():
        if report.presence is Presence.OK and report.device:
            by_disk.setdefault(wholes.get(report.device, report.device), []).append(volume)
    told = dict(reports)
    for disk, volumes in by_disk.items():
        for volume in volumes:
            own = reports[volume].device
            there = {each: reports[each].device for each in volumes if each != volume}
            others = sorted(each for each, device in there.items() if device == own or disk in (own, device))
            if not others or (volume in established and not established.intersection(others)):
                continue
            said = f"the same disk ({own}) as {', '.join(others)}"
            if any(there[each] != own for each in others):
                shown = ", ".join(f"{each} ({there[each]})" for each in others)
                said = f"of the same disk ({own} of {disk}) as {shown}"
                said = f"{said}; list a disk or partitions of it, not both"
            told[volume] = msgspec.structs.replace(
                reports[volume], presence=Presence.CONFLICT, message=said, content=Content.UNKNOWN
            )
    return told
