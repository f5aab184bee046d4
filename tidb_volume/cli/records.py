"""Files that nodes keep of their wipes (docs/audit.md), as a verb gets them."""

from __future__ import annotations

from pathlib import Path

from tidb_volume import audit
from tidb_volume.audit import AuditLine
from tidb_volume.cli.exits import CliError, Exit
from tidb_volume.cli.render import Screen
from tidb_volume.value import Identity


def lines_of(name: str, screen: Screen) -> list[AuditLine]:
    """What a node's record says; what of it cannot be read is said, and the rest is told."""
    try:
        lines, broken = audit.read(Path(name).read_bytes())
    except OSError as error:
        raise CliError(f"{name}: {error.strerror}", code=Exit.USAGE) from error
    for each in broken:
        screen.warn(f"{name}, {each}")
    return lines


def is_of(fact: str, identity: Identity | None) -> bool:
    """Whether a serial, WWN or EUI that a person names is this disk's."""
    known = (identity.serial, identity.wwn, identity.eui) if identity is not None else ()
    return fact.casefold() in {each.casefold() for each in known if each}
