"""Asking before something is changed: what it touches is shown first, the answer is typed by hand.

Questions go to standard error, so that a redirected output holds data alone. Without a terminal nobody can
answer, and nothing is done: `--yes` is the way for scripts.
"""

from __future__ import annotations

import sys
from typing import TextIO

from tidb_volume.cli.exits import refused
from tidb_volume.cli.render import Screen, clean, span


class Asker:
    """Asks one person. `yes`: the answers were given on the command line."""

    def __init__(self, screen: Screen, *, yes: bool, source: TextIO | None = None) -> None:
        self._screen = screen
        self._yes = yes
        self._source = source or sys.stdin

    def agree(self, question: str) -> None:
        """Go on only after a yes. Raises CliError (refused) otherwise."""
        if self._yes:
            return
        answer = self._answer(f"{question} [y/N] ")
        if answer.strip().lower() not in ("y", "yes"):
            raise refused("not done: you did not say yes")

    def type_out(self, what: str, wanted: str) -> None:
        """Go on only after `wanted` was typed out, for what cannot be undone. Raises CliError (refused)."""
        if self._yes:
            return
        answer = self._answer(f"type {what} ({clean(wanted)}) to go on: ")
        if answer.strip() != wanted:
            raise refused(f"not done: that is not {what}")

    def _answer(self, question: str) -> str:
        if not self._source.isatty():
            raise refused("not done: nobody to ask, standard input is no terminal", "add --yes")
        self._screen.out.flush()
        self._screen.err.write(clean(question))
        self._screen.err.flush()
        answer = self._source.readline()
        if not answer:
            self._screen.say(span(""))
        return answer
