"""`pause`: the stop button. It asks nothing."""

from __future__ import annotations

import argparse

from tidb_volume.cli import fleet, speak, touch
from tidb_volume.cli.exits import Exit
from tidb_volume.cli.render import Screen, line, span
from tidb_volume.value import Phase

EPILOG = """\
No wipe begins, and one that runs halts within 5 seconds, between two chunks. Pods, claims and mounts go on,
and clean disks are still offered. The same with plain kubectl:
  kubectl patch tvf fleet --type merge -p '{{"spec":{{"paused":true}}}}'
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb has no options of its own."""


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Set spec.paused."""
    api = touch.reader(options)
    found = fleet.existing(api)
    with touch.Writer(api.api, options, screen) as writer:
        writer.fleet({"paused": True}, "paused", uid=found.metadata.uid, changed=not found.spec.paused)
    running = [volume for volume in api.optional(api.volumes, ()) if volume.status.phase is Phase.WIPING]
    screen.say("no wipe begins; one that runs halts within 5 seconds. Pods and claims go on.")
    for volume in running[:5]:
        screen.tell([line("  halts: ", volume.metadata.name, "  ", span(speak.progress(volume), "dim"))])
    if len(running) > 5:
        screen.say(f"  and {len(running) - 5} more")
    screen.say("to go on: ", span(f"{options.prog} resume", "bold"))
    return Exit.OK
