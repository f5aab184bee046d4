"""From what a command found to what a person reads: spans, lines, tables, and documents.

Everything that is printed passes through `clean`, because names, paths, labels and messages come from tenants
and from disks: no control character, escape sequence, line break or direction mark of theirs reaches a
terminal, so that none can forge a line, hide one, or move the cursor. Layout is done once, on plain text;
colour is laid over it and says nothing that the letters do not say. The few escape codes are written here
instead of by a library, which would cost more than the rest of a command's start.
"""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

import msgspec

FORMATS = ("table", "wide", "json", "yaml", "name")

_STYLES = {
    "": "",
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "alarm": "1;37;41",
    "warn": "1;30;43",
}


def clean(text: object) -> str:
    """`text` as it may be shown: one line, whatever it holds; what is not printable is escaped."""
    plain = str(text)
    if plain.isprintable():
        return plain
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in plain)


class Span(msgspec.Struct, frozen=True):
    """A piece of a line in one style."""

    text: str
    style: str = ""


class Line(msgspec.Struct, frozen=True):
    """One line on the screen."""

    spans: tuple[Span, ...] = ()

    @property
    def text(self) -> str:
        """The line without its colours."""
        return "".join(span.text for span in self.spans)


Piece = str | Span | int


def span(text: object, style: str = "") -> Span:
    """A piece in one style; safe to print."""
    return Span(clean(text), style)


def line(*pieces: Piece) -> Line:
    """A line of pieces; safe to print."""
    return Line(tuple(Span(clean(p.text), p.style) if isinstance(p, Span) else span(p) for p in pieces))


def blank() -> Line:
    """An empty line."""
    return Line()


def heading(text: str) -> Line:
    """The line over a part."""
    return line(span(text, "bold"))


def wide(text: str) -> int:
    """How many columns a terminal gives to `text`."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def cut(text: object, columns: int) -> str:
    """`text` within so many columns, with an ellipsis where something is left out."""
    shown = clean(text)
    if wide(shown) <= columns:
        return shown
    while shown and wide(shown) > columns - 1:
        shown = shown[:-1]
    return shown + "…"


def table(head: Sequence[str], rows: Iterable[Sequence[Piece]], indent: int = 0) -> list[Line]:
    """Aligned columns, three blanks apart, as kubectl prints them. No rows: no lines."""
    cells = [[piece if isinstance(piece, Span) else span(piece) for piece in row] for row in rows]
    if not cells:
        return []
    every = ([[span(title, "dim") for title in head]] if head else []) + cells
    widths = [max(wide(clean(row[column].text)) for row in every) for column in range(len(every[0]))]
    lines = []
    for row in every:
        pieces: list[Piece] = [" " * indent]
        for number, cell in enumerate(row):
            pieces.append(cell)
            if number < len(row) - 1:
                pieces.append(" " * (widths[number] - wide(clean(cell.text)) + 3))
        lines.append(line(*pieces))
    return lines


class Screen:
    """Where a command writes: data to `out`, everything else to `err`; colour only on a terminal.

    environ: for NO_COLOR (https://no-color.org: set and not empty) and TERM.
    """

    def __init__(
        self, out: TextIO | None = None, err: TextIO | None = None, environ: dict[str, str] | None = None
    ) -> None:
        self.out = out or sys.stdout
        self.err = err or sys.stderr
        known = dict(os.environ) if environ is None else environ
        self._colour = not known.get("NO_COLOR") and known.get("TERM") != "dumb"
        self.prog = ""
        """What this person types for `kubectl tidb-volume`; commands that are shown begin with it."""

    @property
    def terminal(self) -> bool:
        """Whether somebody reads the data as it comes."""
        return self.out.isatty()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows to lay out for; without a terminal wide and long enough for a file."""
        if not self.terminal:
            return 120, 60
        found = shutil.get_terminal_size((100, 40))
        return found.columns, found.lines

    def show(self, lines: Iterable[Line]) -> None:
        """Write lines to the data stream."""
        coloured = self._colour and self.out.isatty()
        self.out.write("".join(self._spelled(painted(each, coloured)) + "\n" for each in lines))
        self.out.flush()

    def say(self, *pieces: Piece) -> None:
        """Write one line beside the data: progress, warnings, what was done."""
        self.out.flush()
        self.err.write(self._spelled(painted(line(*pieces), self._colour and self.err.isatty())) + "\n")
        self.err.flush()

    def _spelled(self, text: str) -> str:
        return text.replace("kubectl tidb-volume", self.prog) if self.prog else text

    def tell(self, lines: Iterable[Line]) -> None:
        """Write lines beside the data."""
        for each in lines:
            self.say(*each.spans)

    def warn(self, text: object) -> None:
        """Write a warning beside the data."""
        self.say(span("warning: ", "yellow"), span(text))

    def document(self, what: Any, form: str) -> None:
        """Write a value as JSON or YAML, with nothing in it that a terminal would obey."""
        self.out.write(as_text(what, form))
        self.out.flush()


def painted(shown: Line, coloured: bool) -> str:
    """A line as it is written, trailing blanks left out."""
    if not coloured:
        return shown.text.rstrip()
    return "".join(
        f"\x1b[{_STYLES[each.style]}m{each.text}\x1b[0m" if each.style else each.text for each in shown.spans
    )


def as_text(what: Any, form: str) -> str:
    """A value as JSON or YAML text."""
    plain = msgspec.to_builtins(what, str_keys=True)
    if form == "yaml":
        import yaml

        return yaml.safe_dump(plain, sort_keys=False, allow_unicode=False)
    text = msgspec.json.format(msgspec.json.encode(plain), indent=4).decode()
    escaped = (char if char.isprintable() or char == "\n" else _escape(char) for char in text)
    return "".join(escaped) + "\n"


def _escape(char: str) -> str:
    units = char.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
