"""The table of phases: every row is reached, each stands where it stands for a reason, the picture agrees."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import get_args

import pytest

from tidb_volume.life import diagram
from tidb_volume.life.diagram import So, seen
from tidb_volume.life.look import PvState
from tidb_volume.life.phases import PHASES, phase
from tidb_volume.value import Phase

DESIGN = Path(__file__).parents[3] / "docs" / "design.md"

ROWS: list[tuple[str, So, Phase]] = [
    ("a disk that nobody had, not yet on offer", So(), Phase.PENDING),
    ("on offer", So(pv="offered"), Phase.AVAILABLE),
    ("on offer, but the disk is not there", So(pv="offered", trouble="NotMounted"), Phase.PENDING),
    ("a claim has it", So(pv="claimed"), Phase.BOUND),
    ("a claim has it, whatever is wrong around it", So(pv="claimed", trouble="NotPresent"), Phase.BOUND),
    ("a claim has it, though the record says that it is dirty", So(pv="claimed", let_go=True), Phase.BOUND),
    ("its claim is gone", So(pv="released"), Phase.RELEASED),
    ("kept for one claim", So(pv="reserved", let_go=True), Phase.RELEASED),
    ("its volume is gone, and its data is there", So(let_go=True), Phase.RELEASED),
    ("its volume goes, and its data is there", So(pv="terminating", let_go=True), Phase.RELEASED),
    ("a hand put it on offer with its data", So(pv="offered", let_go=True), Phase.RELEASED),
    ("past the point of no return", So(let_go=True, committed=True), Phase.WIPING),
    ("wiped, its new offer to be made", So(let_go=True, committed=True, outcome="done"), Phase.WIPING),
    ("refused for the breaker alone", So(let_go=True, committed=True, outcome="barred"), Phase.WIPING),
    ("the wipe failed", So(let_go=True, committed=True, outcome="failed"), Phase.FAILED),
    ("the disk is read-only", So(let_go=True, committed=True, outcome="refused"), Phase.FAILED),
    (
        "wiped, and on offer again",
        So(pv="offered", let_go=True, committed=True, outcome="done"),
        Phase.AVAILABLE,
    ),
    ("a hand made its volume again, and a claim has it", So(pv="claimed", committed=True), Phase.BOUND),
    ("a hand put it on offer past that point", So(pv="offered", let_go=True, committed=True), Phase.WIPING),
    ("an order failed that destroys nothing", So(outcome="failed"), Phase.PENDING),
    ("an order failed that was never committed", So(pv="released", outcome="failed"), Phase.RELEASED),
]


@pytest.mark.parametrize(("so", "shown"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_is_so_has_this_phase(so: So, shown: Phase) -> None:
    assert phase(seen(so)) is shown


def every_state() -> list[So]:
    outcomes = ("", "done", "failed", "refused", "barred")
    return [
        So(pv=pv, let_go=let_go, committed=committed, outcome=outcome, trouble=trouble)
        for pv, let_go, committed, outcome, trouble in itertools.product(
            get_args(PvState), (False, True), (False, True), outcomes, ("", "NotMounted")
        )
    ]


def test_every_row_is_the_first_for_something() -> None:
    first = {next(number for number, row in enumerate(PHASES) if row.when(seen(so))) for so in every_state()}
    assert first == set(range(len(PHASES)))


def test_a_claimed_disk_is_bound_whatever_else_is_so() -> None:
    assert {phase(seen(so)) for so in every_state() if so.pv == "claimed"} == {Phase.BOUND}


def test_a_disk_with_somebodys_data_is_never_shown_as_free() -> None:
    for so in every_state():
        if so.let_go and so.outcome != "done":
            assert phase(seen(so)) not in (Phase.AVAILABLE, Phase.PENDING), so


def test_the_order_of_the_rows_matters() -> None:
    """But for those around Bound, which say themselves that no claim has the disk."""
    for number in range(len(PHASES) - 1):
        one, other = PHASES[number], PHASES[number + 1]
        both = [so for so in every_state() if one.when(seen(so)) and other.when(seen(so))]
        apart = {(Phase.WIPING, Phase.BOUND), (Phase.BOUND, Phase.RELEASED)}
        assert bool(both) is ((one.phase, other.phase) not in apart), (one.phase, other.phase)


def test_a_free_disk_never_becomes_bound_without_an_offer_and_never_wiping_without_a_release() -> None:
    drawn = {(one, other) for one, other, _ in diagram.edges()}
    assert {one for one, other in drawn if other is Phase.BOUND} == {Phase.AVAILABLE, Phase.RELEASED}
    assert {one for one, other in drawn if other is Phase.WIPING} == {Phase.RELEASED, Phase.FAILED}
    assert {one for one, other in drawn if other is Phase.AVAILABLE} == {Phase.PENDING, Phase.WIPING}


def test_the_picture_in_the_docs_is_the_one_that_the_table_gives() -> None:
    if not DESIGN.exists():
        pytest.skip("there is no docs/design.md")
    text = DESIGN.read_text()
    assert diagram.written(text) == text, "python -m tidb_volume.life.diagram docs/design.md"


def test_a_document_without_the_marks_is_refused_and_not_overwritten() -> None:
    with pytest.raises(ValueError, match="life-cycle:begin"):
        diagram.written("# How it works\n")
