"""What people and programs said that holds until it is taken back, as lines on record.

No such word is an act of ours, and a watch may miss one that comes and goes. So what is on record of a volume
or of the fleet is kept beside it (`status.heard`), and what differs is told as that is written: once, whoever
leads. A word that was there and gone between two looks decided nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from tidb_volume import audit
from tidb_volume.audit import AuditLine
from tidb_volume.fleet import Breaker, Fleet
from tidb_volume.value import Volume, Words


class Said(NamedTuple):
    """One word."""

    field: tuple[str, ...]
    """Where it stands, by the API's names; `managedFields` may know who set it."""
    word: str
    text: str


def of_volume(volume: Volume, heard: Words) -> list[Said]:
    """What is said of a disk now and is not on record yet, or not any more; pure."""
    before, found = volume.status.heard, []
    for field in msgspec.structs.fields(Words):
        was, now, key = getattr(before, field.name), getattr(heard, field.name), field.encode_name
        if isinstance(now, dict):
            for each, text in _changed(was, now):
                found.append(Said(("spec", "admin", key, each), key, f"{each}: {text}"))
        elif was != now:
            found.append(Said(("spec", "admin", key), key, "from now on" if now else "no more"))
    return found


def _changed(was: dict[str, str], now: dict[str, str]) -> Iterator[tuple[str, str]]:
    for each in sorted(was.keys() | now.keys()):
        if was.get(each) != now.get(each):
            yield each, now.get(each, "no more")


def of_fleet(fleet: Fleet) -> list[Said]:
    """What is said of the whole fleet and is not on record yet; pure. A reset is told where it is done."""
    was, now = fleet.status.heard, fleet.spec
    found = []
    if was.paused != now.paused:
        found.append(Said(("spec", "paused"), "paused", "from now on" if now.paused else "no more"))
    for name in ("mode", "budget", "approvals"):
        if getattr(was, name) != getattr(now, name):
            before, after = _words(getattr(was, name)), _words(getattr(now, name))
            found.append(Said(("spec", name), name, f"{after}, before it was {before}"))
    return found


def _words(of: Any) -> str:
    if isinstance(of, msgspec.Struct):
        return " ".join(
            f"{field.encode_name}={getattr(of, field.name)}" for field in msgspec.structs.fields(of)
        )
    return ", ".join(of) or "none" if isinstance(of, tuple) else str(of)


def about_volume(volume: Volume, said: Said, *, at: str, leader: str, asked: str) -> AuditLine:
    """The line for one word. asked: who set it, as far as that is known."""
    status, owner = volume.status, volume.status.owner
    return msgspec.structs.replace(
        about_fleet("said", at=at, leader=leader, asked=asked),
        node=volume.spec.node_name,
        volume=volume.metadata.name,
        identity=status.identity,
        source=str(volume.spec.source),
        tenancy=status.tenancy,
        claim=owner.claim if owner is not None else None,
        reason=said.word,
        message=said.text,
    )


def about_fleet(
    what: audit.What, *, at: str, leader: str, asked: str = "", said: Said | None = None
) -> AuditLine:
    """A line that is about no disk."""
    line = AuditLine(schema=audit.SCHEMA, at=at, what=what, node="", volume="", leader=leader, asked=asked)
    return line if said is None else msgspec.structs.replace(line, reason=said.word, message=said.text)


def of_breaker(breaker: Breaker) -> str:
    """What a reset ends."""
    return f"epoch {breaker.epoch}: {breaker.reason}"
