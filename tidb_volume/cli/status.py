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
from tidb_volume.cli import board, connect, reader, screenful, speak
from tidb_volume.cli.exits import Exit
from tidb_volume.cli.render import Screen, line
from tidb_volume.fleet import Fleet
from tidb_volume.kube import codec, kinds
from tidb_volume.kube.transport import Stop
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import Phase, Volume

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
        choices=[phase.value for phase in Phase],
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
    screen.show(screenful.draw(found, volumes, now, columns, height, wide=options.output == "wide"))
    for lack in found.lacks:
        screen.warn(f"not shown: {lack}")
