"""Runs of the model, counted: what `make test-deep` and its self-test are made of."""

from __future__ import annotations

import contextlib
import io
import traceback
from typing import Any, NamedTuple

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    run_state_machine_as_test,
)

from tests.unit.life.model import device, pair, whole

Begin = dict[str, Any]
QUIET = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)


class Ran(NamedTuple):
    """What a run was, and what it found."""

    seed: int
    steps: int
    examples: int
    found: str = ""
    """The violation with the steps that lead to it, for people; empty: none."""


class Counted:
    """A model with a count of its steps and examples."""

    steps = 0
    examples = 0

    @invariant()
    def a_step_was_made(self) -> None:
        type(self).steps += 1

    def teardown(self) -> None:
        type(self).examples += 1
        super().teardown()  # type: ignore[misc]


MODELS: dict[str, tuple[type[RuleBasedStateMachine], Begin]] = {
    "one": (whole.Life, whole.BEGIN),
    "pair": (pair.Pair, pair.BEGIN),
    "device": (device.DeviceLife, device.BEGIN),
}
"""One volume with all that can happen to it; two of one machine, and disks in each other's place; and one on
a device, with a file system of ours or as Block."""


def run(
    seed: int,
    examples: int,
    steps: int,
    *,
    shrink: bool = True,
    begin: Begin | None = None,
    model: str = "one",
) -> Ran:
    """Run so many examples of so many steps; the same seed makes the same examples.

    shrink: look for the shortest sequence that leads to a violation; it takes minutes.
    begin: with what each example begins; what is not said is chosen as ever.
    model: a name of MODELS.
    """
    base, may_begin = MODELS[model]
    own: dict[str, Any] = {"steps": 0, "examples": 0}
    if begin:
        chosen = may_begin | {name: st.just(value) for name, value in begin.items()}
        own["begin"] = initialize(**chosen)(lambda self, **how: base.begin(self, **how))
    machine = type("Counted", (Counted, base), own)
    said = io.StringIO()
    found = ""
    with contextlib.redirect_stdout(said):
        try:
            run_state_machine_as_test(  # type: ignore[no-untyped-call]
                hypothesis.seed(seed)(machine),
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=steps,
                    phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
                    database=None,
                    deadline=None,
                    report_multiple_bugs=False,
                    suppress_health_check=QUIET,
                ),
            )
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"
            found = "\n".join([what, *getattr(error, "__notes__", ()), said.getvalue()])
    return Ran(seed, machine.steps, machine.examples, found)
