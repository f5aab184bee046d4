"""How something is broken, and whether the model notices: what broken.py is made of."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from disk_daemon import guards, step
from tests.unit.life.model.run import run

Put = Callable[[Any, str, Any], None]


class Break(NamedTuple):
    """One thing that is broken."""

    how: Callable[[Put], None]
    begin: dict[str, Any]
    """With what the examples begin: where the disaster is near."""
    model: str = "one"
    """Which model it is."""
    behind: str = ""
    """What stands behind it, so that nothing comes of it alone, and there is nothing to notice for the model;
    empty: it has to."""


BROKEN: dict[str, Break] = {}
NOTICED = Path(__file__).parent / "noticed.toml"
BATCH = 200
NOTHING = object()
NEAR = {"wipe": True, "after": "0s"}
"""A released disk is wiped at once."""


def examples_until_noticed(name: str, most: int, steps: int) -> tuple[int, str]:
    """After how many examples the model notices what is broken, and by which sentence; empty: not at all."""
    made, seed, it = 0, 0, BROKEN[name]
    begin = it.begin if it.model == "pair" else NEAR | it.begin
    with broken(name):
        while made < most:
            seed += 1
            count = min(BATCH, most - made)
            ran = run(seed, count, steps, shrink=False, begin=begin, model=it.model)
            made += ran.examples
            if ran.found:
                return made, ran.found.splitlines()[0]
    return made, ""


def recorded() -> dict[str, int]:
    """After how many examples the model noticed what is broken, when that was last tried."""
    return {name: int(after) for name, after in tomllib.loads(NOTICED.read_text()).items()}


def record(after: Mapping[str, int]) -> None:
    """Keep that, of what was tried now and of the rest as it was; what is not there any more goes."""
    all_of_it = (recorded() if NOTICED.exists() else {}) | after
    lines = [f'"{name}" = {all_of_it[name]}' for name in BROKEN if name in all_of_it]
    said = (
        "# Written by `python -m tests.unit.life.model.deep --self-test --record`, for docs/reliability.md."
    )
    NOTICED.write_text("\n".join([said, *lines, ""]))


def without(put: Put, *left_out: str) -> None:
    """These of the daemon's guards are not asked, wherever one would be."""
    put(guards, "GUARDS", [each for each in guards.GUARDS if each.name not in left_out])
    put(step, "FIRST", tuple(each for each in step.FIRST if each.__name__ not in left_out))
    for name in left_out:
        put(guards, name, lambda case: None)


@contextmanager
def broken(name: str) -> Iterator[None]:
    before: list[tuple[Any, str, Any]] = []

    def put(where: Any, what: str, value: Any) -> None:
        assert hasattr(where, what), f"there is no {what} in {where} any more"
        before.append((where, what, vars(where).get(what, NOTHING)))
        setattr(where, what, value)

    BROKEN[name].how(put)
    try:
        yield
    finally:
        for where, what, value in reversed(before):
            if value is NOTHING:
                delattr(where, what)
            else:
                setattr(where, what, value)


def breaks(
    name: str, behind: str = "", model: str = "one", **begin: Any
) -> Callable[[Callable[[Put], None]], Callable[[Put], None]]:
    def register(how: Callable[[Put], None]) -> Callable[[Put], None]:
        BROKEN[name] = Break(how, begin, model, behind)
        return how

    return register
