"""A list of named checks over one kind of facts, asked in the order in which they were written down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

from disk_daemon.fit import Unfit

Seen = TypeVar("Seen")


class Rule(NamedTuple, Generic[Seen]):
    """A check, and what it is there for."""

    name: str
    prevents: str
    check: Callable[[Seen], Unfit | None]


class Rules(Generic[Seen]):
    """The checks. Each stays a function that can be asked by its name."""

    def __init__(self) -> None:
        self._rules: list[Rule[Seen]] = []

    def __iter__(self) -> Iterator[Rule[Seen]]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)

    def rule(
        self, *, prevents: str
    ) -> Callable[[Callable[[Seen], Unfit | None]], Callable[[Seen], Unfit | None]]:
        """Register a check."""

        def register(check: Callable[[Seen], Unfit | None]) -> Callable[[Seen], Unfit | None]:
            self._rules.append(Rule(check.__name__, prevents, check))
            return check

        return register

    def unfit(self, seen: Seen) -> Unfit | None:
        """The first objection to what is known so far; None: there is none."""
        return next((found for each in self._rules if (found := each.check(seen)) is not None), None)
