"""`restore`: give the data of one volume back to its former owner, or to another claim of its namespace."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec

from tidb_volume.cli import speak, touch
from tidb_volume.cli.exits import CliError, Exit, refused
from tidb_volume.cli.reader import Reader
from tidb_volume.cli.render import Screen
from tidb_volume.kube import kinds
from tidb_volume.life import answers
from tidb_volume.life.look import look
from tidb_volume.life.world import Fresh, World
from tidb_volume.value import Ref, Restore, Volume

EPILOG = (
    touch.TARGETS
    + """
It works until the first byte is gone, also where the wipe is committed already; then it waits for the
node's daemon to say that nothing is. Where a StatefulSet has made a new claim of that name meanwhile, scale
it to 0 and delete that claim first. --to names another claim of the former owner's namespace, which need
not exist yet.
"""
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's own options."""
    touch.configure(parser)
    parser.add_argument("--to", metavar="CLAIM", help="another claim of the former owner's namespace")


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Answer the question of the chosen volume: the data is given back."""
    api = touch.reader(options)
    volumes = touch.chosen(api, options)
    if len(volumes) > 1:
        raise CliError("each volume's data is one claim's: name one volume", code=Exit.USAGE)
    (volume,) = volumes
    question, owner = volume.status.question, volume.status.owner
    if question is None or question.kind not in ("release", "gone"):
        raise refused(f"{volume.metadata.name}: there is nothing to give back", speak.explain(volume))
    if owner is None or owner.claim is None:
        raise refused(
            f"{volume.metadata.name}: nobody knows who had it",
            f"{speak.PLUGIN} adopt --keep NAMESPACE/CLAIM {speak.quoted(volume.metadata.name)}",
        )
    to = Ref(namespace=owner.claim.namespace, name=options.to or owner.claim.name)
    named = to if options.to else None
    answered = _answered(volume, Restore(question=question.id, claim=named))
    world = _world(api, answered, to)
    why_not = answers.why_not_given(world, look(world), to)
    if why_not:
        raise refused(f"{volume.metadata.name}: {why_not}", speak.explain(volume))
    screen.tell(touch.touched(volumes, touch.now()))
    with touch.Writer(api.api, options, screen) as writer:
        word: dict[str, Any] = {"question": question.id, "claim": None}
        if named is not None:
            word["claim"] = {"namespace": named.namespace, "name": named.name}
        writer.admin(volume, {"restore": word}, f"is given back to {to}")
    return Exit.OK


def _answered(volume: Volume, word: Restore) -> Volume:
    admin = msgspec.structs.replace(volume.spec.admin, restore=word)
    return msgspec.structs.replace(volume, spec=msgspec.structs.replace(volume.spec, admin=admin))


def _world(api: Reader, volume: Volume, to: Ref) -> World:
    """What `answers` looks at, as far as it may be read here; the controller looks at all of it."""
    claim = api.optional(lambda: api.api.find(kinds.CLAIM, to.name, to.namespace), None)
    fresh = Fresh(order="-", tenancy="-", question="-")
    return World(volume=volume, desired=None, fresh=fresh, named_claim=claim)
