"""How a command ends: exit codes that a script can tell apart, and one way to fail.

The codes are part of the tool's contract (docs/cli.md) and never change their meaning.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What the shell sees."""

    OK = 0
    ERROR = 1
    """Something else went wrong; for `validate`: there are findings."""
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    """The API server, the state of the disk, or the person who was asked said no: nothing was changed."""
    WAITING = 5
    """It was written down, and something else still stands in its way."""
    UNREACHABLE = 6
    """No answer from the API server; a write may have been done, and the words say so."""


class CliError(Exception):
    """Ends the command: what is wrong, the way out, and the exit code."""

    def __init__(self, what: str, way_out: str = "", code: Exit = Exit.ERROR) -> None:
        super().__init__(what)
        self.what = what
        self.way_out = way_out
        self.code = code


def not_found(what: str, way_out: str = "") -> CliError:
    """There is no such thing."""
    return CliError(what, way_out, Exit.NOT_FOUND)


def refused(what: str, way_out: str = "") -> CliError:
    """It is not done, and nothing was changed."""
    return CliError(what, way_out, Exit.REFUSED)
