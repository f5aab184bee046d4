"""`breaker`: the circuit breaker's state; `breaker reset`: a person has looked, and wipes may go on."""

from __future__ import annotations

import argparse
import time

from tidb_volume.cli import board, fleet, speak, touch
from tidb_volume.cli.exits import Exit
from tidb_volume.cli.reader import Reader
from tidb_volume.cli.render import Piece, Screen, line, span, table
from tidb_volume.fleet import Fleet
from tidb_volume.units import format_duration
from tidb_volume.value import Phase, Value

EPILOG = """\
The breaker opens when more is wiped within an hour than the fleet object's budget allows. Open, nothing is
begun, and what runs ends and is not offered, until a person resets it. A reset names the epoch that it ends,
so that one given twice, or late, closes no later opening.
"""
PATIENCE_S = 10.0
"""How long the volume-controller may take to close it."""


class View(Value):
    """The breaker, for `-o json` and `-o yaml`."""

    tripped: bool
    epoch: int
    reason: str
    at: str
    wipes_last_hour: int
    wipes_allowed: int


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's own options."""
    parser.add_argument("what", nargs="?", choices=["show", "reset"], default="show", help="%(choices)s")


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Show the breaker, or reset it."""
    api = touch.reader(options)
    found = fleet.existing(api)
    if options.what == "show":
        return _show(api, found, options, screen)
    breaker = found.status.breaker
    if breaker.tripped:
        _confirm(api, found, options, screen)
    word = {"breakerReset": breaker.epoch}
    with touch.Writer(api.api, options, screen) as writer:
        if not breaker.tripped:
            writer.fleet(word, "is closed already", uid="", changed=False)
            return Exit.OK
        writer.fleet(word, f"breaker reset: epoch {breaker.epoch} ended", uid=found.metadata.uid)
    if options.dry_run != "none" or _closed(api, breaker.epoch):
        return Exit.OK
    screen.warn("written down, but the volume-controller has not closed it yet: does it run?")
    return Exit.WAITING


def _confirm(api: Reader, found: Fleet, options: argparse.Namespace, screen: Screen) -> None:
    """Show why it opened and what is wiped once it is closed, and ask."""
    breaker = found.status.breaker
    screen.say(span("BREAKER OPEN", "alarm"), f"  {breaker.reason}, since {speak.clock(breaker.at)}")
    released = [
        volume
        for volume in api.optional(api.volumes, ())
        if volume.status.phase in (Phase.RELEASED, Phase.WIPING)
        and volume.status.reason in ("BreakerOpen", "WaitsFor")
    ]
    if released:
        screen.say("these are wiped once it is closed:")
        screen.tell(touch.touched(released, touch.now()))
    touch.asker(options, screen).agree("did you look why? reset it?")


def _closed(api: Reader, epoch: int) -> bool:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        found = api.fleet()
        if found is not None and (found.status.breaker.epoch > epoch or not found.status.breaker.tripped):
            return True
        time.sleep(0.2)
    return False


def _show(api: Reader, found: Fleet, options: argparse.Namespace, screen: Screen) -> Exit:
    volumes = api.optional(lambda: len(api.volumes()), 0)
    spent, allowed = board.budget(found, volumes, touch.now())
    breaker = found.status.breaker
    if options.output in ("json", "yaml"):
        view = View(
            tripped=breaker.tripped,
            epoch=breaker.epoch,
            reason=breaker.reason,
            at=breaker.at,
            wipes_last_hour=spent,
            wipes_allowed=allowed,
        )
        screen.document(view, options.output)
        return Exit.OK
    if options.output == "name":
        screen.show([line("tidbvolumefleet.tidbvolume.io/fleet")])
        return Exit.OK
    state = span("OPEN", "alarm") if breaker.tripped else span("closed", "green")
    since = breaker.at and f"since {speak.clock(breaker.at)} ({format_duration(_ago(breaker.at))} ago): "
    rows: list[list[Piece]] = [
        ["breaker", state],
        ["epoch", str(breaker.epoch)],
        ["wipes in the last hour", f"{spent} of {allowed}"],
    ]
    if breaker.tripped:
        rows.append(["why", f"{since}{breaker.reason}"])
    screen.show(table([], rows))
    if breaker.tripped:
        screen.show([line("to reset it: ", span(f"{options.prog} breaker reset", "bold"))])
    return Exit.OK


def _ago(at: str) -> float:
    instant = speak.when(at)
    return touch.now() - instant if instant is not None else 0.0
