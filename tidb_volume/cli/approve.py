"""`approve`: in manual mode, let the wipe that is planned for a volume happen."""

from __future__ import annotations

import argparse
from typing import Any

from tidb_volume.cli import answer, touch
from tidb_volume.cli.exits import Exit
from tidb_volume.cli.render import Screen
from tidb_volume.inventory import policy
from tidb_volume.inventory.model import Kind
from tidb_volume.value import Phase, Volume

EPILOG = (
    touch.TARGETS
    + """
What is approved is the wipe of this owner's data and of no later one's: explain shows it. It does not end
the countdown and lifts no hold, gate, pause or breaker: where one stands the approval is kept, and the exit
code is 5. --method may only be stronger than what is planned. The serial of each disk is asked for; --yes
answers for all of them.
"""
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's own options."""
    touch.configure(parser)
    parser.add_argument("--method", default="", metavar="METHOD", help="a stronger one than is planned")


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Answer the question of each chosen volume: go on."""
    api = touch.reader(options)
    volumes = touch.chosen(api, options)
    touch.refuse_where(volumes, lambda volume: _why_not(volume, options.method))
    asker = touch.asker(options, screen)
    for volume in volumes:
        answer.confirm(asker, screen, volume)
    with touch.Writer(api.api, options, screen) as writer:
        after = []
        for volume in volumes:
            assert volume.status.question is not None
            word: dict[str, Any] = {"question": volume.status.question.id, "method": options.method or None}
            how = policy.in_words(options.method or volume.spec.wipe.method)
            after.append(writer.admin(volume, {"approve": word}, f"may be wiped by {how}"))
    return Exit.WAITING if answer.say_what_waits(api, after, screen, options) else Exit.OK


def _why_not(volume: Volume, method: str) -> str:
    status, spec = volume.status, volume.spec
    if status.phase is not Phase.RELEASED:
        return f"it is {status.state or status.phase.value}; no wipe is planned"
    if status.question is None:
        return "the volume-controller has not put its question yet"
    if status.question.kind == "gone":
        return "its PersistentVolume went by hand, and who had the disk is not known"
    kind = Kind.of(spec.source, spec.volume_mode)
    if method and not policy.may_replace(method, spec.wipe.method, kind):
        return f"{method} is no method for a {kind.value}, or weaker than the planned {spec.wipe.method}"
    return ""
