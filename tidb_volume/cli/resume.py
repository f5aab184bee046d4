"""`resume`: let wipes go on. Shows first which ones would, since their time may have run out meanwhile."""

from __future__ import annotations

import argparse

from tidb_volume import words
from tidb_volume.cli import fleet, speak, touch
from tidb_volume.cli.exits import Exit
from tidb_volume.cli.render import Screen
from tidb_volume.units import Instant
from tidb_volume.value import Phase, Volume

EPILOG = """\
Countdowns ran on during the pause: a volume whose time is over is wiped at once. Those are shown before
anything is asked; `{prog} hold VOLUME` keeps one.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb has no options of its own."""


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Clear spec.paused."""
    api = touch.reader(options)
    found = fleet.existing(api)
    volumes = api.optional(api.volumes, None)
    if found.spec.paused and volumes is None:
        screen.warn(f"you may not see which wipes would begin: {api.lacks[-1]}")
        touch.asker(options, screen).agree("resume all the same?")
    at_once = [volume for volume in volumes or () if begins(volume, touch.now())]
    if found.spec.paused and at_once:
        screen.tell(touch.touched(at_once, touch.now()))
        touch.asker(options, screen).agree(
            f"the wipe of these {len(at_once)} begins or goes on at once. Go on?"
        )
    with touch.Writer(api.api, options, screen) as writer:
        writer.fleet({"paused": False}, "resumed", uid=found.metadata.uid, changed=found.spec.paused)
    if found.status.breaker.tripped:
        screen.warn(f"nothing is wiped yet: {words.say('BreakerOpen', note=found.status.breaker.reason)}")
        return Exit.WAITING
    return Exit.OK


def begins(volume: Volume, now: Instant) -> bool:
    """Whether only the pause keeps its wipe from beginning or going on, as far as the volume tells."""
    status = volume.status
    if status.phase is Phase.WIPING:
        return True
    if status.phase is not Phase.RELEASED:
        return False
    until = speak.when(status.wipe_at)
    return status.reason == "Paused" or (until is not None and until <= now and not volume.spec.admin.hold)
