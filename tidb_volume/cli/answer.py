"""What `adopt` and `wipe-now` share: an answer to one question, after which data goes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tidb_volume import words
from tidb_volume.cli import board, speak, touch
from tidb_volume.cli.ask import Asker
from tidb_volume.cli.reader import Reader
from tidb_volume.cli.render import Screen
from tidb_volume.fleet import Fleet
from tidb_volume.life import daemon, release
from tidb_volume.life.world import Fresh, World
from tidb_volume.value import Volume


def confirm(asker: Asker, screen: Screen, volume: Volume) -> None:
    """Have the disk's serial typed out: this cannot be undone."""
    screen.tell(touch.touched([volume], touch.now()))
    screen.say(f"ALL DATA on {volume.spec.source} of {volume.spec.node_name} will be gone. No undo.")
    asker.type_out(*speak.serial(volume))


def still_waits(volume: Volume, fleet: Fleet | None) -> str:
    """What keeps a wipe that is wanted from beginning; empty: nothing that these two objects know of."""
    if fleet is None or fleet.metadata.deletion_timestamp:
        return f"there is no fleet object, so nothing is wiped: {board.MAKE_FLEET}"
    if fleet.spec.paused:
        return words.say("Paused")
    if fleet.status.breaker.tripped:
        return words.say("BreakerOpen", note=fleet.status.breaker.reason)
    if volume.spec.admin.hold:
        return words.say("Held", volume=volume.metadata.name)
    world = World(volume=volume, desired=None, fresh=Fresh(order="-", tenancy="-", question="-"))
    gates = release.open_gates(world)
    if gates:
        return words.say("Gated", note=", ".join(gates))
    for each in volume.status.conditions:
        if each.type in ("NodeReady", daemon.CONDITION):
            return words.say(each.reason, volume=volume.metadata.name, node=volume.spec.node_name)
    return ""


def say_what_waits(
    api: Reader, volumes: Sequence[Volume], screen: Screen, options: argparse.Namespace
) -> bool:
    """Whether something still stands in the way of one of them; says so."""
    known = len(api.lacks)
    fleet = api.optional(api.fleet, None)
    if len(api.lacks) > known:
        screen.warn(f"written down; whether the fleet is paused is not known: {api.lacks[-1]}")
        return False
    waiting = False
    for volume in volumes:
        why = still_waits(volume, fleet)
        if why:
            waiting = True
            then = "written down, but it waits" if options.dry_run == "none" else "it would wait"
            screen.warn(f"{volume.metadata.name}: {then}: {why}")
    return waiting
