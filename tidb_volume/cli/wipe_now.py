"""`wipe-now`: end the countdown of a released volume; on one that is kept it is the decision itself."""

from __future__ import annotations

import argparse

from tidb_volume.cli import adopt, answer, speak, touch
from tidb_volume.cli.exits import Exit
from tidb_volume.cli.render import Screen
from tidb_volume.value import Phase, Volume

EPILOG = (
    touch.TARGETS
    + """
It lifts no hold, gate, pause or breaker: where one stands the answer is kept, and the exit code is 5. The
serial of each disk is asked for; --yes answers for all of them.
"""
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's own options."""
    touch.configure(parser)


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Answer the question of each chosen volume: wipe it."""
    api = touch.reader(options)
    volumes = touch.chosen(api, options)
    touch.refuse_where(volumes, _why_not, _way_out)
    asker = touch.asker(options, screen)
    for volume in volumes:
        answer.confirm(asker, screen, volume)
    with touch.Writer(api.api, options, screen) as writer:
        after = []
        for volume in volumes:
            assert volume.status.question is not None
            word = {"wipeNow": {"question": volume.status.question.id}}
            after.append(writer.admin(volume, word, "is wiped now"))
    return Exit.WAITING if answer.say_what_waits(api, after, screen, options) else Exit.OK


def _why_not(volume: Volume) -> str:
    status = volume.status
    kept_since = status.phase in (Phase.WIPING, Phase.FAILED) and status.reason == "PoolKeeps"
    if status.phase is not Phase.RELEASED and not kept_since:
        return f"it is {status.state or status.phase.value}; only a released volume is wiped by this"
    if status.question is None:
        return "the volume-controller has not put its question yet"
    if status.question.kind == "gone":
        return "its PersistentVolume went by hand, and who had the disk is not known"
    return ""


def _way_out(volume: Volume) -> str:
    name = speak.quoted(volume.metadata.name)
    question = volume.status.question
    if question is not None and question.kind in adopt.KINDS:
        return f"{speak.PLUGIN} adopt --wipe {name}"
    return speak.explain(volume)
