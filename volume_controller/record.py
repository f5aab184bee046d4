"""What goes on record of a decision: one line of docs/audit.md's schema for each act that decides over data.

A line is made of the act and of the volume that it was decided on, so that two leaders, or one that is
started anew, would write the same. It is written once the API server has answered the act; the same act is
answered once. What only makes ready, shows or counts has none.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tidb_volume import audit, names
from tidb_volume.audit import AuditLine
from tidb_volume.life import actions, answers
from tidb_volume.life.actions import Action
from tidb_volume.life.status import is_called_off
from tidb_volume.value import (
    Admin,
    Adopt,
    Answer,
    Identity,
    Order,
    Presence,
    Ref,
    Restore,
    Volume,
    VolumeStatus,
)

NOT_TAKEN = "AnswerNotTaken"
"""The condition that says why a person's answer is not taken."""

_SAID_ITSELF = ("Held", "Gated")
"""Words that have a line of their own, as they are heard."""

CLOSED = 50
"""So many volumes that are no more are kept on record for each node: some 100 KB at the most."""


def line_of(volume: Volume, action: Action, *, at: str, leader: str) -> AuditLine | None:
    """The line for one act; None: it decides over nobody's data.

    volume: as it was before. at: when, RFC 3339. leader: who decided.
    """
    about = _about(volume, at, leader)
    change = msgspec.structs.replace
    match action:
        case actions.WriteOrder(order=order, why=why) if order is not None and not order.withdrawn:
            return change(_of_order(about, order), what="ordered", message=why) if _counts(order) else None
        case actions.WriteOrder(order=order, why=why):
            taken = order or volume.spec.order
            if taken is None or not _counts(taken):
                return None
            # Whose word the order stood on is in the line of that order.
            return change(_of_order(about, taken), what="recalled", asked=_gift(volume), message=why)
        case actions.PatchStatus(status=status):
            return _of_status(volume, status, about)
        case actions.DeletePv(name=name, uid=uid, why=why):
            order = volume.spec.order
            commits = order is not None and order.pv_uid == uid and not order.withdrawn
            line = _of_order(about, order) if order is not None and commits else about
            word = line.asked or _word(volume, volume.spec.admin.forget)
            return change(line, what="deleted", pv_name=name, pv_uid=uid, asked=word, message=why)
        case actions.DeleteClaim(namespace=namespace, name=name, uid=uid, why=why):
            claim = Ref(namespace=namespace, name=name, uid=uid)
            return change(about, what="unclaimed", claim=claim, asked="nodeLoss: release", message=why)
        case actions.CreatePv(manifest=manifest):
            return _of_pv(volume, manifest, about)
        case actions.SetClaimRef(name=name, uid=uid, patch=patch, why=why):
            return change(_given(volume, about, _claim(patch), why), pv_name=name, pv_uid=uid)
        case actions.DeleteVolume(why=why):
            word = _word(volume, volume.spec.admin.forget)
            ended = change(about, uid=volume.metadata.uid, history=volume.status.history)
            return change(ended, what="forgotten" if word else "removed", asked=word, message=why)
        case _:
            return None


def outlives(line: AuditLine) -> bool:
    """Whether a line has to be found when the volume that it is about is gone: its last one, where somebody
    had the disk or it was wiped."""
    was_used = any(each.who or each.what == "wiped" for each in line.history)
    return line.what == "forgotten" or (line.what == "removed" and was_used)


def closed(before: tuple[str, ...], line: AuditLine) -> tuple[str, ...]:
    """What a node's object keeps of volumes that are no more, with one line more.

    A volume has one line, however often its end is tried. Where there are too many the oldest goes, and what
    was left NOT WIPED goes last.
    """
    kept = [(text, _read(text)) for text in before]
    kept = [(text, of) for text, of in kept if of is None or of.uid != line.uid]
    kept.append((audit.written(line).decode().rstrip("\n"), line))
    while len(kept) > CLOSED:
        removed = (place for place, (_, of) in enumerate(kept) if of is not None and of.what == "removed")
        del kept[next(removed, 0)]
    return tuple(text for text, _ in kept)


def _read(text: str) -> AuditLine | None:
    """A line that was kept; None: it cannot be read, and stays."""
    lines, _ = audit.read(text.encode())
    return lines[0] if lines else None


def _about(volume: Volume, at: str, leader: str) -> AuditLine:
    """What every line about this volume says."""
    status, owner = volume.status, volume.status.owner
    return AuditLine(
        schema=audit.SCHEMA,
        at=at,
        what="ordered",
        node=volume.spec.node_name,
        volume=volume.metadata.name,
        leader=leader,
        identity=status.identity,
        source=str(volume.spec.source),
        tenancy=status.tenancy,
        claim=owner.claim if owner is not None else None,
        pod=owner.had if owner is not None else None,
    )


def _counts(order: Order) -> bool:
    """Mounting and unmounting take nothing away; the same orders have lines of the daemon's."""
    return order.kind in ("reclaim", "prepare")


def _of_order(about: AuditLine, order: Order) -> AuditLine:
    return msgspec.structs.replace(
        about,
        order=order.id,
        ordered_at=order.at,
        kind=order.kind,
        method=order.method,
        asked=order.asked,
        answer=order.answer,
        identity=order.identity or about.identity,
        tenancy=order.ends,
        next=order.next,
        pv_name=order.pv_name,
        pv_uid=order.pv_uid,
        attempt=order.attempt,
    )


def _of_status(volume: Volume, status: VolumeStatus, about: AuditLine) -> AuditLine | None:
    """What a person's word or an answered delete comes to, as far as it is first written down here."""
    change, before, admin = msgspec.structs.replace, volume.status, volume.spec.admin
    if _is_accepted(volume, status.identity):
        was = f"in place of {answers.facts(before.identity)}" if before.identity is not None else ""
        word = _word(volume, admin.accept_identity)
        return change(about, what="accepted", identity=status.identity, asked=word, message=was)
    if status.committed not in ("", before.committed):
        order = volume.spec.order
        line = about if order is None or order.id != status.committed else _of_order(about, order)
        return change(line, what="committed", order=status.committed)
    said, had = _not_taken(status), _not_taken(before)
    if said not in ("", had):
        word = _word(volume, admin.forget, admin.accept_identity, admin.restore, admin.adopt)
        return change(about, what="refused", asked=word, reason="NotTaken", message=said)
    if is_called_off(before, status) and status.reason not in _SAID_ITSELF:
        word = _word(volume, admin.restore)
        return change(about, what="stopped", asked=word, reason=status.reason, message=status.message)
    return None


def _is_accepted(volume: Volume, identity: Identity | None) -> bool:
    """The disk that is there goes on record by a person's word."""
    before, disk = volume.status, volume.status.disk
    return (
        disk is not None
        and identity is not None
        and identity == disk.identity != before.identity
        and (before.identity is None or disk.presence is Presence.WRONG_DISK)
        and answers.counts(volume, volume.spec.admin.accept_identity)
    )


def _not_taken(status: VolumeStatus) -> str:
    return next((each.message for each in status.conditions if each.type == NOT_TAKEN), "")


def _of_pv(volume: Volume, manifest: dict[str, Any], about: AuditLine) -> AuditLine:
    """A PersistentVolume that was made: for whoever claims it, or for the one claim that a person named."""
    change, meta, order = msgspec.structs.replace, manifest["metadata"], volume.spec.order
    tenancy = meta["labels"][names.LABEL_TENANCY]
    if "claimRef" in manifest["spec"]:
        given = _given(volume, about, _claim(manifest))
        return change(given, tenancy=tenancy, pv_name=meta["name"])
    made = order.id if order is not None and order.next == tenancy else ""
    nobody = change(about, what="offered", tenancy="", claim=None, pod=None)
    return change(nobody, order=made, next=tenancy, pv_name=meta["name"])


def _given(volume: Volume, about: AuditLine, to: Ref, why: str = "") -> AuditLine:
    """A gift to another claim than the one that had the data names both, and no pod."""
    had = about.claim
    other = had is not None and (had.namespace, had.name) != (to.namespace, to.name)
    return msgspec.structs.replace(
        about,
        what="given",
        asked=_gift(volume),
        claim=to,
        pod=None if other else about.pod,
        message="; ".join(part for part in (why, f"it was {had}'s" if other else "") if part),
    )


def _claim(document: dict[str, Any]) -> Ref:
    ref = document["spec"]["claimRef"]
    return Ref(namespace=ref["namespace"], name=ref["name"], uid=ref.get("uid") or "")


def _gift(volume: Volume) -> str:
    """Who has the data given to a claim."""
    adopt = volume.spec.admin.adopt
    kept = adopt if adopt is not None and adopt.action == "Keep" else None
    return _word(volume, volume.spec.admin.restore, kept)


def _word(volume: Volume, *said: Adopt | Restore | Answer | None) -> str:
    """The first of these answers that counts, with who gave it; empty: none."""
    return next((_named(volume.spec.admin, each) for each in said if answers.counts(volume, each)), "")


def _named(admin: Admin, said: Adopt | Restore | Answer | None) -> str:
    assert said is not None, "what counts was said"
    verb = "restore"
    if isinstance(said, Adopt):
        verb = f"adopt: {said.action}"
    elif said is admin.forget:
        verb = "forget"
    elif said is admin.accept_identity:
        verb = "acceptIdentity"
    return f"{verb} by {said.by}" if said.by else verb
