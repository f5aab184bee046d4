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
MANY = 1
"""Up to so many volumes are taken without a question: it can be undone."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's own options."""
    touch.configure(parser)


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Cordon the chosen volumes."""
    return set_cordon(options, screen, wanted=True)


def set_cordon(options: argparse.Namespace, screen: Screen, *, wanted: bool) -> Exit:
    """Set or remove the cordon of the chosen volumes."""
    api = touch.reader(options)
    volumes = touch.chosen(api, options)
    screen.tell(touch.touched(volumes, touch.now()))
    if len(volumes) > MANY:
        touch.asker(options, screen).agree(f"{options.verb} these {len(volumes)} volumes?")
    with touch.Writer(api.api, options, screen) as writer:
        for volume in volumes:
            writer.admin(
                volume,
                {"cordon": True if wanted else None},
                "cordoned" if wanted else "uncordoned",
                changed=volume.spec.admin.cordon is not wanted,
            )
    if not wanted:
        retired = [volume.metadata.name for volume in volumes if volume.spec.admin.retire]
        if retired:
            screen.warn(f"{', '.join(retired)}: retired all the same, and not offered")
    return Exit.OK
