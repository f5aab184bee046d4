"""The fleet as a grid: a row for each node, a letter for each disk, within the rows that a screen has.

Ten nodes get a row each. A thousand do not fit, so equal rows are joined: first nodes whose disks stand
alike in the same order, then nodes with as many disks of each letter. What still does not fit is counted,
and since the worst rows come first, what is left out is the best.

A letter is the phase, small where something is wrong around the disk (offline, cordoned, dropped, ailing,
an edit pending), and `?` where a person has to decide. The colours repeat that and say no more.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tidb_volume.cli import speak
from tidb_volume.cli.render import Line, Piece, cut, line, span
from tidb_volume.value import Phase, Volume

ORDER = "?FfWwRrPpAaBb"
"""The worst first."""
_AROUND = (
    "NodeReady",
    "DaemonReady",
    "DiskHealthy",
    "Cordoned",
    "Dropped",
    "EntryUnknown",
    "Undecided",
    "EditPending",
    "DirtyHandedOut",
)
_NAMES = 60


class Row(msgspec.Struct, frozen=True):
    """The disks of one node, or of several nodes that look alike."""

    nodes: tuple[str, ...]
    letters: str
    sorted: bool = False
    """The letters are in the order of `ORDER` and not in that of the disks."""


def letter(volume: Volume) -> str:
    """One disk."""
    if volume.status.reason in speak.PERSON or volume.status.phase is Phase.FAILED:
        return "F" if volume.status.phase is Phase.FAILED else "?"
    known = speak.LETTERS[volume.status.phase][0]
    return known.lower() if around(volume) else known


def around(volume: Volume) -> bool:
    """Something is wrong around the disk, whatever its phase."""
    return any(condition.type in _AROUND for condition in volume.status.conditions)


def rows(volumes: Sequence[Volume], most: int) -> tuple[list[Row], int]:
    """At most `most` rows, and how many nodes they leave out."""
    by_node: dict[str, list[Volume]] = {}
    for volume in volumes:
        by_node.setdefault(volume.spec.node_name, []).append(volume)
    exact = [
        Row((node,), "".join(letter(each) for each in sorted(disks, key=_source)))
        for node, disks in sorted(by_node.items())
    ]
    for joined in (exact, _joined(exact, in_order=True), _joined(exact, in_order=False)):
        if len(joined) <= most:
            return joined, 0
    worst = sorted(joined, key=_badness)
    return worst[:most], sum(len(row.nodes) for row in worst[most:])


def _source(volume: Volume) -> str:
    return str(volume.spec.source)


def _joined(exact: Sequence[Row], *, in_order: bool) -> list[Row]:
    found: dict[str, list[str]] = {}
    for row in exact:
        letters = row.letters if in_order else "".join(sorted(row.letters, key=_rank))
        found.setdefault(letters, []).extend(row.nodes)
    joined = [Row(tuple(nodes), letters, not in_order) for letters, nodes in found.items()]
    return sorted(joined, key=_badness)


def _rank(shown: str) -> int:
    return ORDER.find(shown)


def _badness(row: Row) -> tuple[list[int], int]:
    return sorted(_rank(each) for each in row.letters), -len(row.nodes)


def draw(found: Sequence[Row], columns: int) -> list[Line]:
    """The rows as lines no wider than `columns`."""
    many = any(len(row.nodes) > 1 for row in found)
    heads = [f"{len(row.nodes)} nodes" if many and len(row.nodes) > 1 else row.nodes[0] for row in found]
    left = min(max((len(cut(head, 40)) for head in heads), default=0), 40)
    lines = []
    for head, row in zip(heads, found, strict=True):
        shown = cut(head, left)
        pieces: list[Piece] = ["  ", shown, " " * (left - len(shown) + 2)]
        room = max(10, columns - left - 6)
        letters = row.letters if len(row.letters) <= room else _counted(row.letters)
        pieces += painted(letters) if letters is row.letters else [letters]
        used = left + 4 + len(letters)
        if len(row.nodes) > 1 and columns - used > 20:
            some = ", ".join(row.nodes[:8]) + (", …" if len(row.nodes) > 8 else "")
            pieces += ["  ", span(cut(some, min(_NAMES, columns - used - 2)), "dim")]
        lines.append(line(*pieces))
    return lines


def _counted(letters: str) -> str:
    return " ".join(f"{letters.count(each)}{each}" for each in ORDER if each in letters)


def painted(letters: str) -> list[Piece]:
    """Each run of one letter in its colour."""
    colours = dict(speak.LETTERS.values())
    pieces: list[Piece] = []
    at = 0
    while at < len(letters):
        end = at
        while end < len(letters) and letters[end] == letters[at]:
            end += 1
        style = "warn" if letters[at] == "?" else colours.get(letters[at].upper(), "")
        pieces.append(span(letters[at:end], style))
        at = end
    return pieces


def legend(shown: str) -> Line:
    """What the letters that are shown mean."""
    pieces: list[Piece] = ["  "]
    for phase, (known, style) in speak.LETTERS.items():
        if known in shown or known.lower() in shown:
            pieces += [span(known, style), span(f" {phase.value}  ", "dim")]
    if "?" in shown:
        pieces += [span("?", "warn"), span(" a person decides  ", "dim")]
    if any(each.islower() for each in shown):
        pieces.append(span("small: offline, cordoned, dropped or edited", "dim"))
    return line(*pieces)
