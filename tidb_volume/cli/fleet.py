"""What the verbs on the fleet object share: finding it, and the way out where it is missing."""

from __future__ import annotations

from tidb_volume.cli.board import MAKE_FLEET
from tidb_volume.cli.exits import not_found
from tidb_volume.cli.reader import Reader
from tidb_volume.fleet import Fleet


def existing(api: Reader) -> Fleet:
    """The fleet object. Raises CliError (not found): while it is missing, everything is paused already."""
    found = api.fleet()
    if found is None:
        raise not_found(
            "there is no TidbVolumeFleet named fleet: everything is paused already, nothing is wiped",
            f"to make it, and so let wipes begin: {MAKE_FLEET}",
        )
    return found
