"""`uncordon`: offer a volume again."""

from __future__ import annotations

import argparse

from tidb_volume.cli import cordon, touch
from tidb_volume.cli.exits import Exit
from tidb_volume.cli.render import Screen

EPILOG = (
    touch.TARGETS
    + """
A clean disk is on offer again within a second; nothing is wiped by this.
"""
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's own options."""
    touch.configure(parser)


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Remove the cordon of the chosen volumes."""
    return cordon.set_cordon(options, screen, wanted=False)
