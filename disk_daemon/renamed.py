"""Whether a disk that the journal has in another volume's name is taken over by the volume that asks: one
named check for one disaster.

A TidbVolume's name is made of its node's and its entry's, so the same disk by another of its names is another
volume. Its file system is mounted at the place of the one before, and the journal has it in that one's name.
It moves only where nobody is left who could have it: a PersistentVolume names the old place for good, and a
pod that has it sees what is under it taken away (decision 0122).
"""

from __future__ import annotations

from disk_daemon.fit import Unfit
from disk_daemon.fit_rules import Rules
from disk_daemon.known import Facts, Live
from tidb_volume.value import Presence, Value

FRESH_S = 5.0
"""So long what was read of the API is good, as before an order."""


class Renamed(Value):
    """All that is known when it is to be taken over."""

    old: str
    """The volume in whose name the journal has it."""
    source: str
    """That one's entry."""
    live: Live
    """What the API has of that volume."""
    now: float
    """CLOCK_BOOTTIME, after the disk was looked at."""
    disk: Facts
    """The disk as that volume's."""


RULES: Rules[Renamed] = Rules()
"""In the order in which they are asked."""


def _stays(seen: Renamed, said: str) -> Unfit:
    way_out = f"nothing is moved; if an edit gave the disk this name, take it back: list {seen.source} again"
    return Unfit(Presence.CONFLICT, f"{said}; {way_out}")


@RULES.rule(prevents="moving a disk while nobody can say whether another volume still has it")
def the_api_is_read(seen: Renamed) -> Unfit | None:
    """Read for this, with the PersistentVolumes, and just now; what could not be read is not gone."""
    live = seen.live
    if not live.error and not live.lean and seen.now - live.read_at <= FRESH_S:
        return None
    why = live.error or "it answers too slowly"
    return _stays(seen, f"whether volume {seen.old} still has the disk cannot be read: {why}")


@RULES.rule(prevents="moving a disk away from under the volume that has it, which may be a tenant's")
def no_volume_has_it(seen: Renamed) -> Unfit | None:
    """By name, on whichever node: one whose node is gone is ended by a person."""
    volume = seen.live.volume
    if volume is None:
        return None
    node = volume.spec.node_name
    return _stays(seen, f"volume {seen.old} of node {node} has the disk as {seen.source} until it ends")


@RULES.rule(prevents="unmounting what a PersistentVolume leads pods to, now or after their next start")
def no_pv_leads_there(seen: Renamed) -> Unfit | None:
    """By the old volume's label, and by each name that one of its tenancy has; a Terminating one too."""
    if not seen.live.pvs:
        return None
    name = seen.live.pvs[0].metadata.name
    return _stays(seen, f"PersistentVolume {name} leads to the disk as {seen.source}")


@RULES.rule(prevents="taking data from under a pod whose PersistentVolume was deleted by hand")
def nobody_has_it_mounted(seen: Renamed) -> Unfit | None:
    """Any mount of a part of it, in any mount namespace; of a raw device, whoever has that open, too."""
    disk = seen.disk
    if disk.users:
        return _stays(seen, f"{disk.users[0].who} has the disk, which was {seen.old}'s")
    if disk.users_unknown:
        return _stays(seen, f"who has the disk, which was {seen.old}'s, cannot be told: {disk.users_unknown}")
    return None


@RULES.rule(prevents="giving a volume the file system of another disk on the word of a name")
def is_what_was_made(seen: Renamed) -> Unfit | None:
    """The journal is this hardware's, and what it has as made is what is there, mounted or not."""
    raw = seen.disk.raw
    if raw is not None and (raw.mounted or raw.mountable or (raw.mode == "Block" and seen.disk.tenancies)):
        return None
    return _stays(seen, f"what the journal has of {seen.old} is not what is on the disk")
