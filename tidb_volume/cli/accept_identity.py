"""`accept-identity`: the disk that is there now is the right one, or a disk of its own."""

from __future__ import annotations

import argparse

from tidb_volume.cli import speak, touch
from tidb_volume.cli.exits import Exit
from tidb_volume.cli.render import Screen
from tidb_volume.value import Volume

EPILOG = (
    touch.TARGETS
    + """
Of another disk than the one on record: it takes that one's place, which is not wiped. Of a disk whose facts
other machines show too: you know that no other machine can reach it. A LUN, a multi-attached cloud disk or a
disk in a shared enclosure shows the same facts on two machines, and two owners of it destroy each other's
data. Several are shown together and confirmed once; of one, the serial is asked for.
"""
)
MEANS = {
    "identity": "take the disk that is there now for the right one; the one before is not wiped",
    "twin": "take it up: you know that no other machine can reach it, though others show the same facts",
}
"""What accepting a disk means, by the kind of the question."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's own options."""
    touch.configure(parser)


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Answer the question of each chosen volume: the disk is accepted."""
    api = touch.reader(options)
    volumes = touch.chosen(api, options)
    touch.refuse_where(
        volumes, lambda volume: "" if _kind(volume) in MEANS else "nobody asks which disk it is"
    )
    screen.tell(touch.touched(volumes, touch.now()))
    for volume in volumes:
        screen.say(f"{volume.metadata.name}: {volume.status.message or MEANS[_kind(volume)]}")
    asker = touch.asker(options, screen)
    if len(volumes) == 1:
        asker.type_out(*speak.serial(volumes[0]))
    else:
        asker.agree(f"take each of these {len(volumes)} for the right disk?")
    with touch.Writer(api.api, options, screen) as writer:
        for volume in volumes:
            assert volume.status.question is not None
            word = {"acceptIdentity": {"question": volume.status.question.id}}
            writer.admin(volume, word, "accepted")
    return Exit.OK


def _kind(volume: Volume) -> str:
    return volume.status.question.kind if volume.status.question is not None else ""
