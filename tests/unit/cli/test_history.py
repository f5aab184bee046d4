"""What volumes keep, Events, nodes' records and the controller's decisions are told as one history."""

from __future__ import annotations

from typing import Any

import pytest

from tidb_volume.audit import AuditLine
from tidb_volume.cli.history import Happened, tell
from tidb_volume.units import Instant
from tidb_volume.value import Ref

EVER = Instant(0.0)
CLAIM = Ref(namespace="db", name="data-0")


def line(what: str, **fields: Any) -> AuditLine:
    known = {"schema": 1, "at": "2026-01-01T00:00:00Z", "node": "n", "volume": "v"}
    return AuditLine(what=what, **{**known, **fields})  # type: ignore[arg-type]


def happened(what: str, **fields: Any) -> Happened:
    return Happened(at="2026-01-01T00:00:00Z", volume="v", what=what, **fields)


WIPE = {"kind": "reclaim", "order": "o-1"}
FIRST = {"kind": "prepare", "order": "o-1"}
TOLD: list[tuple[AuditLine, Happened]] = [
    (
        line("done", **WIPE, asked="wipe-now by jane", method="files", claim=CLAIM, tenancy="t"),
        happened("wipe done", who="db/data-0", tenancy="t", note="wipe-now by jane, files, order o-1"),
    ),
    (
        line("failed", **WIPE, bytes_gone=True, reason="EIO", message="bad"),
        happened("wipe failed", note="bytes are gone, EIO: bad, order o-1"),
    ),
    (line("done", **FIRST), happened("made ready done", note="order o-1")),
    (line("done", **FIRST, answer="q"), happened("wipe done", note="order o-1")),
    (
        line("ordered", **WIPE, leader="c", asked="reclaim policy Delete", message="released"),
        happened("wipe ordered", note="reclaim policy Delete, released, order o-1"),
    ),
    (line("ordered", **FIRST, leader="c"), happened("preparation ordered", note="order o-1")),
    (line("recalled", **WIPE, leader="c"), happened("wipe recalled", note="order o-1")),
    (line("committed", **WIPE, leader="c"), happened("wipe committed", note="order o-1")),
    (
        line("deleted", leader="c", pv_name="pv-1", message="cordoned"),
        happened("PersistentVolume deleted", note="pv-1, cordoned"),
    ),
    (line("offered", leader="c", next="t", pv_name="pv-2"), happened("offered", tenancy="t", note="pv-2")),
    (
        line("given", leader="c", claim=CLAIM, tenancy="t", pv_name="pv-1", asked="restore by jane"),
        happened("data given", who="db/data-0", tenancy="t", note="pv-1, restore by jane"),
    ),
    (
        line("accepted", leader="c", asked="acceptIdentity by jane", message="in place of serial=S1"),
        happened("disk accepted", note="acceptIdentity by jane, in place of serial=S1"),
    ),
    (
        line("refused", leader="c", asked="restore by jane", reason="NotTaken", message="no"),
        happened("answer refused", note="restore by jane, NotTaken: no"),
    ),
    (line("forgotten", leader="c", message="NOT WIPED"), happened("forgotten", note="NOT WIPED")),
    (line("removed", leader="c", message="no entry"), happened("removed", note="no entry")),
]


@pytest.mark.parametrize(("of", "told"), TOLD, ids=[f"{row[0].what} {row[0].kind}" for row in TOLD])
def test_a_line_on_record_is_told(of: AuditLine, told: Happened) -> None:
    assert tell([], [], EVER, lines=[of]) == [told]
