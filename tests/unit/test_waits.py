"""docs/operations.md says of each reason whether it waits for a person, as the code has it."""

from __future__ import annotations

import re
from pathlib import Path

from tidb_volume import words
from tidb_volume.life.show import WAITS_FOR_A_WORD

DOCUMENT = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
CONDITIONAL = "Conflict"
"""Asks where other machines show the same facts, and only then."""


def tables() -> list[set[str]]:
    """The reasons in each table of the section."""
    section = DOCUMENT.partition("## Decisions that wait for a person")[2].partition("\n## ")[0]
    found: list[set[str]] = []
    for line in section.splitlines():
        if line.startswith("| reason "):
            found.append(set())
        elif line.startswith("| "):
            found[-1] |= set(re.findall(r"\b[A-Z][A-Za-z]+", line.split("|")[1]))
    return found


def test_the_table_of_decisions_has_the_reasons_that_wait_for_a_word_and_no_others() -> None:
    decided, others = tables()
    assert decided == WAITS_FOR_A_WORD | {CONDITIONAL}
    assert others & decided == {CONDITIONAL}
    assert {"NotBegun", "NotMadeReady", "BreakerOpen", "DroppedReleased", "Reserved", "Foreign"} <= others


def test_every_reason_that_is_told_there_is_one() -> None:
    assert set().union(*tables()) <= set(words.REASONS)
