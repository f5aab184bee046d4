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


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's own options."""
    touch.configure(parser)
    parser.add_argument("--off", action="store_true", help="use it again")


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Retire the chosen volumes, or use them again."""
    wanted = not options.off
    return touch.set_flag(
        options,
        screen,
        "retire",
        wanted=wanted,
        asks=f"{'retire' if wanted else 'use again'} these {{}}?",
        done="retired" if wanted else "not retired any more",
        beside=("cordon", "cordoned"),
    )
