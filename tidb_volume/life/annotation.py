"""The annotation `pv.kubernetes.io/provisioned-by`, put back where somebody took it away.

Without it kube-controller-manager marks a Released volume with policy Delete as Failed. Here Failed counts as
Released, so no decision hangs on it, but people would wonder. An operator that overwrites annotations with an
older copy of its own does so again and again, and two programs that answer each other at once never end: each
time we put it back is followed by a longer pause.
"""

from __future__ import annotations

from tidb_volume import names
from tidb_volume.life.actions import AnnotatePv, Plan
from tidb_volume.life.look import Seen
from tidb_volume.life.world import World
from tidb_volume.units import Instant

FIRST_PAUSE = 60.0
LONGEST_PAUSE = 3600.0


def put_back(now: Instant, world: World, seen: Seen) -> Plan:
    """Put it back, or the moment at which to; an empty plan where it is there, or no volume is."""
    pv = seen.pv
    if pv is None or seen.pv_state == "terminating":
        return Plan()
    meta, before = pv.metadata, world.mine.annotated
    if meta.annotations.get(names.PROVISIONED_BY) == names.PROVISIONER:
        return Plan()
    times = 0
    if before is not None and before.pv_uid == meta.uid:
        times = before.times
        again = Instant(before.at + min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(times - 1, 10)))
        if now < again:
            return Plan(again_at=again)
    action = AnnotatePv(name=meta.name, uid=meta.uid, resource_version=meta.resource_version, times=times + 1)
    return Plan(action=action)
