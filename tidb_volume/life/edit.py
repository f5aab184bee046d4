"""What an edit of the inventory changes on a volume's spec: all of it while nobody has the disk, else what is
stricter."""

from __future__ import annotations

import msgspec

from tidb_volume.inventory import policy
from tidb_volume.life import actions
from tidb_volume.life.actions import Plan
from tidb_volume.life.look import Seen
from tidb_volume.life.world import World
from tidb_volume.value import VolumeSpec, WipePolicy


def step(world: World, seen: Seen, free: bool) -> Plan:
    """Write what the inventory says: all of it for a free disk, only what is stricter for one in use."""
    desired, spec = world.desired, world.volume.spec
    if desired is None:
        return Plan()
    wipe = policy.wipe_policy(desired)
    if free:
        edited = msgspec.structs.replace(
            spec,
            pool=desired.pool.name,
            volume_mode=desired.volume_mode,
            fs_type=desired.fs_type,
            mount_options=desired.mount_options,
            labels=desired.pool.labels,
            wipe=wipe,
        )
    elif seen.claimed or seen.was_claimed:
        edited = msgspec.structs.replace(spec, wipe=policy.stricter(spec.wipe, wipe))
    else:
        edited = msgspec.structs.replace(spec, wipe=_same_release(spec, wipe))
    if edited == spec:
        return Plan()
    return Plan(action=actions.WriteSpec(spec=edited, why="the inventory says so"))


def _same_release(spec: VolumeSpec, wipe: WipePolicy) -> WipePolicy:
    return WipePolicy(on_release=spec.wipe.on_release, after=wipe.after, method=wipe.method, gates=wipe.gates)
