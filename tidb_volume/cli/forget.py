"""`forget`: end the record of a disk that is gone, or that no entry lists any more. Nothing is wiped."""

from __future__ import annotations

import argparse

from tidb_volume.cli import touch
from tidb_volume.cli.exits import Exit
from tidb_volume.cli.render import Screen
from tidb_volume.life.answers import ABSENT
from tidb_volume.value import Phase, Volume

EPILOG = (
    touch.TARGETS
    + """
The volume and its PersistentVolume go, and what is on the disk stays there: NOT WIPED, and on record as
that. A disk that comes back is unknown data, about which a person decides. It takes a disk that is not there,
a node that is lost, or an entry that was removed; while a claim has it, delete the claim first.
"""
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's own options."""
    touch.configure(parser)


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Answer the question of each chosen volume: its record ends."""
    api = touch.reader(options)
    volumes = touch.chosen(api, options)
    touch.refuse_where(volumes, _why_not)
    screen.tell(touch.touched(volumes, touch.now()))
    screen.say("NOTHING IS WIPED: what is on these disks stays readable to whoever has them.")
    touch.asker(options, screen).agree(f"end the record of {len(volumes)}?")
    with touch.Writer(api.api, options, screen) as writer:
        for volume in volumes:
            assert volume.status.question is not None
            word = {"forget": {"question": volume.status.question.id}}
            writer.admin(volume, word, "is forgotten: NOT WIPED")
    return Exit.OK


def _why_not(volume: Volume) -> str:
    status, disk = volume.status, volume.status.disk
    if status.phase is Phase.BOUND:
        return "a claim has it; delete the claim first"
    if status.question is None:
        return "nothing is asked about it, so that there is no record to end"
    lost = any(each.reason == "NodeLost" for each in status.conditions)
    dropped = status.reason == "DroppedReleased" or any(each.type == "Dropped" for each in status.conditions)
    if not (dropped or lost or (disk is not None and disk.presence in ABSENT)):
        return "the disk is there and an entry lists it; remove the entry, or wipe it"
    return ""
