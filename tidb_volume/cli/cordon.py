"""`cordon` and, by the same way back, `uncordon`: whether a volume is offered to new claims."""

from __future__ import annotations

import argparse

from tidb_volume.cli import touch
from tidb_volume.cli.exits import Exit
from tidb_volume.cli.render import Screen

EPILOG = (
    touch.TARGETS
    + """
A volume that a claim has stays with it. A free one is taken off offer; a released one is still wiped, and
then not offered. Undo: {prog} uncordon VOLUME.
"""
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's own options."""
    touch.configure(parser)


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Cordon the chosen volumes."""
    return set_cordon(options, screen, wanted=True)


def set_cordon(options: argparse.Namespace, screen: Screen, *, wanted: bool) -> Exit:
    """Set or remove the cordon of the chosen volumes."""
    return touch.set_flag(
        options,
        screen,
        "cordon",
        wanted=wanted,
        asks=f"{options.verb} these {{}} volumes?",
        done="cordoned" if wanted else "uncordoned",
        beside=("retire", "retired"),
    )
