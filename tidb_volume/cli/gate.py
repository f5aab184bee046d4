"""`gate`: put a named gate before the wipe of a volume, take it away, or pass its pool's."""

from __future__ import annotations

import argparse
import re

from tidb_volume.cli import touch
from tidb_volume.cli.exits import CliError, Exit
from tidb_volume.cli.render import Screen
from tidb_volume.value import Phase, Volume

EPILOG = (
    touch.TARGETS
    + """
No wipe of the volume begins while a gate stands; when the last one falls the countdown begins anew. A pool's
gates stand for every owner of a disk, and --passed opens one for the owner who has it, or had it last, alone.
--off takes away what this command has put; it passes no gate of the pool.
"""
)
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_RELEASABLE = (Phase.BOUND, Phase.RELEASED, Phase.WIPING, Phase.FAILED)


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's own options."""
    parser.add_argument("gate", metavar="GATE", help="the gate's name, such as tikv-tombstone")
    touch.configure(parser)
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--off", action="store_true", help="take the gate away")
    way.add_argument("--passed", action="store_true", help="open the pool's gate for this owner's data")
    parser.add_argument("--why", default="", metavar="TEXT", help="what it waits for, shown with the gate")


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Put the gate before each chosen volume, take it away, or pass it."""
    if not _NAME.fullmatch(options.gate):
        raise CliError(f"{options.gate} is no name of a gate: small letters, digits and -", code=Exit.USAGE)
    api = touch.reader(options)
    volumes = touch.chosen(api, options)
    if options.passed:
        touch.refuse_where(volumes, lambda volume: _why_not_passed(volume, options.gate), lambda volume: "")
    screen.tell(touch.touched(volumes, touch.now()))
    opens = options.off or options.passed
    if len(volumes) > 1 or (opens and any(map(_has_data, volumes))):
        asked = f"{'open' if opens else 'put'} the gate {options.gate} of these {len(volumes)}?"
        touch.asker(options, screen).agree(asked)
    with touch.Writer(api.api, options, screen) as writer:
        for volume in volumes:
            admin, gate = volume.spec.admin, options.gate
            if options.passed:
                tenancy = volume.status.tenancy
                changed = admin.gates_passed.get(gate) != tenancy
                writer.admin(volume, {"gatesPassed": {gate: tenancy}}, f"passed {gate}", changed=changed)
            elif options.off:
                writer.admin(volume, {"gates": {gate: None}}, f"without {gate}", changed=gate in admin.gates)
            else:
                changed = admin.gates.get(gate) != options.why
                writer.admin(volume, {"gates": {gate: options.why}}, f"waits for {gate}", changed=changed)
    if options.off:
        pools = [each.metadata.name for each in volumes if _pools(each, options.gate)]
        if pools:
            screen.warn(
                f"{', '.join(pools)}: the pool's gate {options.gate} stands all the same; --passed opens it"
            )
    return Exit.OK


def _has_data(volume: Volume) -> bool:
    return volume.status.phase in (Phase.RELEASED, Phase.WIPING)


def _pools(volume: Volume, gate: str) -> bool:
    return (
        gate in volume.spec.wipe.gates and volume.spec.admin.gates_passed.get(gate) != volume.status.tenancy
    )


def _why_not_passed(volume: Volume, gate: str) -> str:
    if gate not in volume.spec.wipe.gates:
        known = ", ".join(volume.spec.wipe.gates) or "none"
        return f"its pool {volume.spec.pool} puts no gate {gate} there (its gates: {known})"
    if volume.status.phase not in _RELEASABLE or not volume.status.tenancy:
        return "nobody has it, and a gate is passed for one owner's data"
    return ""
