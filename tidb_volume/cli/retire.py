"""`retire`: take a disk out for good, once nobody has it; `retire --off` takes that back."""

from __future__ import annotations

import argparse

from tidb_volume.cli import touch
from tidb_volume.cli.exits import Exit
from tidb_volume.cli.render import Screen

EPILOG = (
    touch.TARGETS
    + """
It is not offered any more. A claim that has it keeps it; once released it is wiped as ever. A device with a
file system that nobody has is unmounted: it may be pulled out then, and its entry removed. --off: it is
mounted and offered anew.
"""
)
MANY = 1
"""Up to so many volumes are taken without a question: it can be undone."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's own options."""
    touch.configure(parser)
    parser.add_argument("--off", action="store_true", help="use it again")


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Retire the chosen volumes, or use them again."""
    api = touch.reader(options)
    volumes = touch.chosen(api, options)
    screen.tell(touch.touched(volumes, touch.now()))
    wanted = not options.off
    if len(volumes) > MANY:
        touch.asker(options, screen).agree(f"{'retire' if wanted else 'use again'} these {len(volumes)}?")
    with touch.Writer(api.api, options, screen) as writer:
        for volume in volumes:
            writer.admin(
                volume,
                {"retire": True if wanted else None},
                "retired" if wanted else "not retired any more",
                changed=volume.spec.admin.retire is not wanted,
            )
    if not wanted:
        cordoned = [volume.metadata.name for volume in volumes if volume.spec.admin.cordon]
        if cordoned:
            screen.warn(f"{', '.join(cordoned)}: cordoned all the same, and not offered")
    return Exit.OK
