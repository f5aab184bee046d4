"""The life of a disk. Its phase is the first row here whose condition holds for what is seen now.

No row asks which event came or what the phase was. What has to be remembered is in the volume's status
(order, committed, dirty, withdrawn, wipeAt, identity, tenancy, question), and nothing else is. The diagram
in docs/design.md is computed from this table; tests walk every row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tidb_volume.life.look import Seen
from tidb_volume.value import Phase


class Row(NamedTuple):
    """One row: a phase, when it holds, and what it shows."""

    phase: Phase
    when: Callable[[Seen], bool]
    shows: str


PHASES: tuple[Row, ...] = (
    Row(
        Phase.FAILED,
        lambda s: s.committed and not s.claimed and (s.failed or (s.refused and not s.barred)),
        "the wipe failed; tried again with growing pauses",
    ),
    Row(
        Phase.WIPING,
        lambda s: s.committed and not s.claimed and (s.was_claimed or s.pv_state != "offered"),
        "the point of no return is passed; it runs, or waits, or its new offer is being made",
    ),
    Row(Phase.BOUND, lambda s: s.claimed, "a claim has it"),
    Row(Phase.RELEASED, lambda s: s.was_claimed, "its claim is gone, the data is still there"),
    Row(
        Phase.AVAILABLE,
        lambda s: s.pv_state == "offered" and not s.trouble,
        "clean, seen, on offer",
    ),
    Row(Phase.PENDING, lambda s: True, "not on offer; the reason says why"),
)


def phase(seen: Seen) -> Phase:
    """The phase for these facts."""
    return next(row.phase for row in PHASES if row.when(seen))
