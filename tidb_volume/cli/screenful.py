"""The board on a screen: what stops everything first, then the numbers, the grid, and what wants attention.

One screen, whatever the fleet's size: lists are cut shorter until all of it fits, the grid takes the rows
that are left, and what is left out is counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from tidb_volume import names
from tidb_volume.cli import grid, speak
from tidb_volume.cli.board import Board, Summary
from tidb_volume.cli.render import Line, Piece, blank, cut, heading, line, span, table
from tidb_volume.units import Instant
from tidb_volume.value import Phase, Volume

LISTS = (5, 3, 2, 1)
"""So many lines has each list; the longest with which everything fits is taken."""
GRID_ROWS = 6
"""So many rows the grid has at least."""
POOLS = 12


def draw(
    found: Board, volumes: Sequence[Volume], now: Instant, columns: int, height: int, wide: bool = False
) -> list[Line]:
    """The board as lines, within `columns` and, unless `wide`, within `height` where that can be."""
    top: list[Line] = []
    for banner in found.banners:
        top.append(line(span(f" {banner.word} ", "alarm" if banner.alarm else "warn"), "  ", banner.text))
        if banner.command:
            top.append(line("    ", span(banner.command, "bold")))
    if found.banners:
        top.append(blank())
    top += _head(found)
    if wide:
        return [*top, blank(), *_every(volumes, now), *_lists(found, now, columns, LISTS[0])]
    rest: list[Line] = []
    for most in LISTS:
        rest = _lists(found, now, columns, most)
        if len(top) + len(rest) + GRID_ROWS + 3 <= height:
            break
    room = max(GRID_ROWS, height - len(top) - len(rest) - 4)
    return [*top, blank(), *_grid(volumes, columns, room), *rest]


def _grid(volumes: Sequence[Volume], columns: int, room: int) -> list[Line]:
    if not volumes:
        return [line("  no disk; list some in a ConfigMap labelled ", f"{names.LABEL_INVENTORY}=true")]
    rows, left = grid.rows(volumes, room)
    lines = grid.draw(rows, columns)
    if left:
        lines.append(line(span(f"  and {left} nodes that look better: -o wide shows each disk", "dim")))
    return [*lines, grid.legend("".join(row.letters for row in rows))]


def _lists(found: Board, now: Instant, columns: int, most: int) -> list[Line]:
    return [
        *_waits(found, columns, most),
        *_wipes(found, now, columns, most),
        *_inventories(found, most),
        *_warnings(found, now, columns, most),
    ]


def _head(found: Board) -> list[Line]:
    pools = len(found.counts)
    lines = [
        line(
            span("tidb-volume", "bold"),
            f"  {found.disks} disks on {found.nodes} nodes in {pools} {'pool' if pools == 1 else 'pools'}",
            span(f"   {speak.clock(found.at)}", "dim"),
        )
    ]
    total = Summary.of(found).phases
    phases = [phase for phase in Phase if total.get(phase.value)]
    if not phases:
        return lines
    head = ["POOL", "DISKS", *(phase.value.upper() for phase in phases)]
    body: list[list[Piece]] = []
    for pool, counts in list(found.counts.items())[:POOLS]:
        body.append([pool, str(sum(counts.values())), *(_count(counts, phase) for phase in phases)])
    if pools > 1:
        body.append(["all", str(found.disks), *(_count(total, phase) for phase in phases)])
    return [*lines, blank(), *table(head, body, indent=2), *_more(pools - POOLS, " pools")]


def _count(counts: dict[str, int], phase: Phase) -> Piece:
    count = counts.get(phase.value, 0)
    return speak.phase_span(phase, str(count)) if count else span("-", "dim")


def _waits(found: Board, columns: int, most: int) -> list[Line]:
    if not found.waits:
        return []
    lines = [blank(), heading("Waits for a person")]
    for each in found.waits[:most]:
        some = each.volumes[0] + (f" and {len(each.volumes) - 1} more" if len(each.volumes) > 1 else "")
        lines.append(line("  ", span(each.reason, "yellow"), "  ", some))
        lines.append(line("    ", cut(each.text, max(40, columns - 4))))
        if each.way_out:
            lines.append(line("    ", span(each.way_out, "bold")))
    return [*lines, *_more(len(found.waits) - most, " reasons")]


def _wipes(found: Board, now: Instant, columns: int, most: int) -> list[Line]:
    lines: list[Line] = []
    if found.running:
        body = [
            [each.volume, each.owner or "-", each.method, cut(each.note, max(30, columns // 2))]
            for each in found.running[:most]
        ]
        lines += [blank(), heading("Wiping"), *table(["VOLUME", "WAS", "METHOD", "PROGRESS"], body, indent=2)]
        lines += _more(len(found.running) - most)
    if found.next_wipes:
        rows: list[list[Piece]] = [
            [
                each.volume,
                each.owner or "-",
                each.method,
                span(speak.countdown(each.at, now), "yellow"),
                each.note and f"but waits: {each.note}",
            ]
            for each in found.next_wipes[:most]
        ]
        lines += [
            blank(),
            heading("Wiped next"),
            *table(["VOLUME", "WAS", "METHOD", "WHEN", ""], rows, indent=2),
        ]
        lines += _more(len(found.next_wipes) - most)
        command = f"{speak.PLUGIN} hold {speak.quoted(found.next_wipes[0].volume)}"
        lines.append(line("  ", span("to keep one: ", "dim"), span(command, "bold")))
    return lines


def _more(count: int, what: str = "") -> list[Line]:
    return [line(span(f"  and {count} more{what}", "dim"))] if count > 0 else []


def _inventories(found: Board, most: int) -> list[Line]:
    lines: list[Line] = []
    for each in found.refused[:most]:
        if not lines:
            lines += [blank(), heading("Inventory")]
        word = span("refused", "red") if each.refused else span("says", "yellow")
        more = " (what was in force before stays in force)" if each.refused and each.accepted else ""
        lines.append(line("  ", f"ConfigMap {each.name} ", word, more))
        for error in each.errors[:most]:
            lines += [line("    ", part) for part in error.split("\n")]
        lines += _more(len(each.errors) - most)
    return [*lines, *_more(len(found.refused) - most, " ConfigMaps")]


def _warnings(found: Board, now: Instant, columns: int, most: int) -> list[Line]:
    if not found.warnings:
        return []
    about = max(len(cut(each.about, 48)) for each in found.warnings)
    room = max(30, columns - about - max(len(each.reason) for each in found.warnings) - 23)
    rows: list[list[Piece]] = [
        [
            f"{speak.age(each.at, now)} ago",
            span(each.reason, "yellow"),
            cut(each.about, 48),
            cut(each.message + (f" ({each.count} times)" if each.count > 1 else ""), room),
        ]
        for each in found.warnings[:most]
    ]
    return [blank(), heading("Last warnings"), *table([], rows, indent=2)]


def _every(volumes: Sequence[Volume], now: Instant) -> list[Line]:
    head = ["NAME", "NODE", "DISK", "POOL", "SIZE", "USED", "STATE", "CLAIM", "POD", "REASON", "AGE"]
    rows: list[list[Piece]] = [
        [
            volume.metadata.name,
            volume.spec.node_name,
            str(volume.spec.source),
            volume.spec.pool,
            volume.status.capacity or "-",
            volume.status.used or "-",
            speak.phase_span(volume.status.phase, volume.status.state),
            speak.claim(volume) or "-",
            speak.pod(volume) or "-",
            volume.status.reason or "-",
            speak.age(volume.metadata.creation_timestamp or "", now),
        ]
        for volume in volumes
    ]
    return table(head, rows)
