"""`hold`: the data of a volume is not wiped for now; `hold --off` lets it go its way."""

from __future__ import annotations

import argparse

from tidb_volume.cli import touch
from tidb_volume.cli.exits import Exit
from tidb_volume.cli.render import Screen
from tidb_volume.units import format_duration, parse_duration
from tidb_volume.value import Phase, Volume

EPILOG = (
    touch.TARGETS
    + """
A hold stops the countdown of a released volume, and one that runs stops between two steps. With --off the
countdown begins anew, at its full length.
"""
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's own options."""
    touch.configure(parser)
    parser.add_argument("--off", action="store_true", help="take the hold away")


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Hold the chosen volumes, or let them go."""
    api = touch.reader(options)
    volumes = touch.chosen(api, options)
    screen.tell(touch.touched(volumes, touch.now()))
    wanted = not options.off
    going = [volume for volume in volumes if options.off and volume.spec.admin.hold and _has_data(volume)]
    for volume in going:
        screen.say(f"{volume.metadata.name}: {_what_follows(volume)}")
    if len(volumes) > 1 or going:
        touch.asker(options, screen).agree("let them go?" if options.off else f"hold these {len(volumes)}?")
    with touch.Writer(api.api, options, screen) as writer:
        for volume in volumes:
            writer.admin(
                volume,
                {"hold": True if wanted else None},
                "held" if wanted else "not held any more",
                changed=volume.spec.admin.hold is not wanted,
            )
    if wanted:
        for volume in volumes:
            work = volume.status.work
            order = volume.spec.order
            if work is not None and work.begun and order is not None and work.order_id == order.id:
                screen.warn(f"{volume.metadata.name}: its wipe has begun; what is gone stays gone")
    return Exit.OK


def _has_data(volume: Volume) -> bool:
    return volume.status.phase in (Phase.RELEASED, Phase.WIPING)


def _what_follows(volume: Volume) -> str:
    if volume.status.phase is Phase.WIPING:
        return "its wipe goes on at once"
    answer, question = volume.spec.admin.wipe_now, volume.status.question
    if answer is not None and question is not None and answer.question == question.id:
        return "a person said wipe-now: it is wiped at once"
    if volume.spec.wipe.on_release == "keep":
        return f"pool {volume.spec.pool} keeps what was released; nothing follows"
    after = format_duration(parse_duration(volume.spec.wipe.after))
    return f"its countdown begins anew: {after}, where its PersistentVolume's policy is Delete"
