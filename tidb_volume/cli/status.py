"""`status`: the fleet on one screen, be it ten disks or ten thousand."""

from __future__ import annotations

import argparse
import functools
import threading
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from tidb_volume import names
from tidb_volume.cli import board, connect, grid, reader, speak
from tidb_volume.cli.board import Board, Summary
from tidb_volume.cli.exits import Exit
from tidb_volume.cli.render import Line, Piece, Screen, blank, cut, heading, line, span, table
from tidb_volume.kube import codec, kinds
from tidb_volume.kube.transport import Stop
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import Fleet, Phase, Volume

HELP = "the fleet on one screen: counts, grid, what waits for you, what is wiped next"
EPILOG = """\
A letter is a disk: A Available, B Bound, R Released, W Wiping, P Pending, F Failed; ? a person has to decide;
small letters: something is wrong around it (offline, cordoned, dropped, ailing, an edit pending).

examples:
  {prog} status                     the fleet
  {prog} status -w                  again at each change
  {prog} status -o wide --pool tikv a line for each disk of one pool
  {prog} status -o name --phase Released
"""
REDRAW_S = 1.0


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's own options."""
    parser.add_argument("-w", "--watch", action="store_true", help="show it again at each change")
    parser.add_argument(
        "-l", "--selector", default="", metavar="LABELS", help="only volumes with these labels"
    )
    parser.add_argument("--node", default="", metavar="NODE", help="only disks of this node")
    parser.add_argument("--pool", default="", metavar="POOL", help="only disks of this pool")
    parser.add_argument(
        "--phase",
        default="",
        choices=["", *(phase.value for phase in Phase)],
        metavar="PHASE",
        help="only disks in this phase: %(choices)s",
    )
    parser.add_argument(
        "-n", "--namespace", default="", metavar="NAMESPACE", help="only disks whose owner is there"
    )


class _Beside(msgspec.Struct, frozen=True):
    """What is read beside the volumes."""

    fleet: Fleet | None
    fleet_known: bool
    lease: codec.Lease | None
    events: Sequence[codec.Event]


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Print the board, once or at each change."""
    api = reader.Reader(connect.client(options), options.controller_namespace)
    volumes = api.volumes(options.selector)
    if options.watch:
        return _watch(api, options, screen)
    beside = _beside(api) if options.output != "name" else NOTHING
    _show(screen, options, volumes, beside, api.lacks)
    return Exit.OK


NOTHING = _Beside(None, False, None, ())


def _beside(api: reader.Reader) -> _Beside:
    api.lacks.clear()
    fleet = api.optional(api.fleet, None)
    known = not api.lacks
    lease = api.lease()
    events: list[codec.Event] = []
    for component in ("volume-controller", "disk-daemon"):
        selector = f"type=Warning,reportingComponent={component}"
        events += api.optional(functools.partial(api.events, selector), ())
    return _Beside(fleet, known, lease, events)


def _chosen(volumes: Sequence[Volume], options: argparse.Namespace) -> list[Volume]:
    return [
        volume
        for volume in volumes
        if options.node in ("", volume.spec.node_name)
        and options.pool in ("", volume.spec.pool)
        and options.phase in ("", volume.status.phase.value)
        and (not options.namespace or speak.claim(volume).startswith(f"{options.namespace}/"))
    ]


def _watch(api: reader.Reader, options: argparse.Namespace, screen: Screen) -> Exit:
    """Listens and draws at each change, at most once a second; on a terminal at least every five."""
    from tidb_volume.kube.reflector import Reflector
    from tidb_volume.kube.store import Store

    volumes: Store[Volume] = Store()
    fleets: Store[Fleet] = Store()
    changed = threading.Event()
    for store in (volumes, fleets):
        store.on_change(lambda _: changed.set())
    stop = Stop()
    listeners: list[Reflector[Any]] = [
        Reflector(api.api, kinds.TIDB_VOLUME, volumes, stop=stop, labels=options.selector)
    ]
    if _beside(api).fleet_known:
        listeners.append(Reflector(api.api, kinds.TIDB_VOLUME_FLEET, fleets, stop=stop))
    for each in listeners:
        threading.Thread(target=each.run, name=each.kind.name, daemon=True).start()
    try:
        while not all(each.has_synced for each in listeners):
            changed.wait(0.1)
        while True:
            changed.clear()
            if screen.terminal and options.output in ("table", "wide"):
                screen.out.write("\x1b[H\x1b[2J")
            trouble = [
                f"{each.kind.name} may be out of date: {each.trouble}" for each in listeners if each.trouble
            ]
            _show(screen, options, volumes.all(), _beside(api), [*api.lacks, *trouble])
            time.sleep(REDRAW_S)
            changed.wait(REDRAW_S * 4 if screen.terminal else None)
    except KeyboardInterrupt:
        return Exit.OK
    finally:
        stop.set()


def _show(
    screen: Screen,
    options: argparse.Namespace,
    every: Sequence[Volume],
    beside: _Beside,
    lacks: Sequence[str],
) -> None:
    volumes = sorted(_chosen(every, options), key=lambda each: each.metadata.name)
    now = Instant(time.time())
    if options.output == "name":
        screen.show(line(f"tidbvolume.{names.GROUP}/{volume.metadata.name}") for volume in volumes)
        return
    found = board.board(
        volumes,
        beside.fleet,
        beside.lease,
        beside.events,
        now,
        format_instant(now),
        lacks,
        fleet_known=beside.fleet_known,
    )
    if options.output in ("json", "yaml"):
        screen.document(found, options.output)
        return
    columns, height = screen.size
    screen.show(draw(found, volumes, now, columns, height, wide=options.output == "wide"))
    for lack in found.lacks:
        screen.warn(f"not shown: {lack}")


def draw(
    found: Board, volumes: Sequence[Volume], now: Instant, columns: int, height: int, wide: bool = False
) -> list[Line]:
    """The board as lines: `height` bounds the grid, `columns` its width."""
    lines: list[Line] = []
    for banner in found.banners:
        lines.append(line(span(f" {banner.word} ", "alarm" if banner.alarm else "warn"), "  ", banner.text))
        if banner.command:
            lines.append(line("    ", span(banner.command, "bold")))
    if found.banners:
        lines.append(blank())
    lines += _head(found)
    rest = [
        *_waits(found, columns),
        *_wipes(found, now, columns),
        *_inventories(found),
        *_warnings(found, now, columns),
    ]
    if wide:
        lines += [blank(), *_every(volumes, now)]
    elif volumes:
        room = max(6, height - len(lines) - len(rest) - 5)
        rows, left = grid.rows(volumes, room)
        lines += [blank(), *grid.draw(rows, columns)]
        if left:
            lines.append(line(span(f"  and {left} nodes that look better: -o wide shows each disk", "dim")))
        lines.append(grid.legend("".join(row.letters for row in rows)))
    else:
        lines += [
            blank(),
            line("  no disk; list some in a ConfigMap labelled ", f"{names.LABEL_INVENTORY}=true"),
        ]
    return lines + rest


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
    for pool, counts in found.counts.items():
        body.append([pool, str(sum(counts.values())), *(_count(counts, phase) for phase in phases)])
    if pools > 1:
        body.append(["all", str(found.disks), *(_count(total, phase) for phase in phases)])
    return [*lines, blank(), *table(head, body, indent=2)]


def _count(counts: dict[str, int], phase: Phase) -> Piece:
    count = counts.get(phase.value, 0)
    return speak.phase_span(phase, str(count)) if count else span("-", "dim")


def _waits(found: Board, columns: int) -> list[Line]:
    if not found.waits:
        return []
    lines = [blank(), heading("Waits for a person")]
    for each in found.waits:
        some = each.volumes[0] + (f" and {len(each.volumes) - 1} more" if len(each.volumes) > 1 else "")
        lines.append(line("  ", span(each.reason, "yellow"), "  ", some))
        lines.append(line("    ", cut(each.text, max(40, columns - 4))))
        if each.way_out:
            lines.append(line("    ", span(each.way_out, "bold")))
    return lines


def _wipes(found: Board, now: Instant, columns: int) -> list[Line]:
    lines: list[Line] = []
    if found.running:
        body = [
            [each.volume, each.owner or "-", each.method, cut(each.note, max(30, columns // 2))]
            for each in found.running[:5]
        ]
        lines += [blank(), heading("Wiping"), *table(["VOLUME", "WAS", "METHOD", "PROGRESS"], body, indent=2)]
        lines += _more(len(found.running) - 5)
    if found.next_wipes:
        rows: list[list[Piece]] = [
            [
                each.volume,
                each.owner or "-",
                each.method,
                span(speak.countdown(each.at, now), "yellow"),
                each.note and f"but waits: {each.note}",
            ]
            for each in found.next_wipes[:5]
        ]
        lines += [
            blank(),
            heading("Wiped next"),
            *table(["VOLUME", "WAS", "METHOD", "WHEN", ""], rows, indent=2),
        ]
        lines += _more(len(found.next_wipes) - 5)
        command = f"{speak.PLUGIN} hold {speak.quoted(found.next_wipes[0].volume)}"
        lines.append(line("  ", span("to keep one: ", "dim"), span(command, "bold")))
    return lines


def _more(count: int) -> list[Line]:
    return [line(span(f"  and {count} more", "dim"))] if count > 0 else []


def _inventories(found: Board) -> list[Line]:
    lines: list[Line] = []
    for each in found.refused:
        refused = each.hash != each.accepted
        if not lines:
            lines += [blank(), heading("Inventory")]
        word = span("refused", "red") if refused else span("says", "yellow")
        more = " (what was in force before stays in force)" if refused and each.accepted else ""
        lines.append(line("  ", f"ConfigMap {each.name} ", word, more))
        for error in each.errors[:4]:
            lines += [line("    ", part) for part in error.split("\n")]
        lines += _more(len(each.errors) - 4)
    return lines


def _warnings(found: Board, now: Instant, columns: int) -> list[Line]:
    if not found.warnings:
        return []
    rows: list[list[Piece]] = [
        [
            f"{speak.age(each.at, now)} ago",
            span(each.reason, "yellow"),
            cut(each.about, 48),
            cut(each.message + (f" ({each.count} times)" if each.count > 1 else ""), max(30, columns - 80)),
        ]
        for each in found.warnings
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
