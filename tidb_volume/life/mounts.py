"""A claimed disk whose journal is lost: the pod's data is there, and nobody on the node knows that it is.

After a reboot the daemon mounts what its journal has as its own and nothing else, so without the journal the
pod would wait for ever. The controller's record is the other witness: it has the hardware, the UUID of the
file system and the claimed tenancy. Where the first two agree with the disk, `mount` names the third:
the daemon mounts, unmounts again unless that very tenancy is found there, and journals it as handed over.

Nothing is destroyed by it, and nothing is offered. A disk that no claim has is not taken up in this way: the
loss of its journal makes it unknown, never clean.
"""

from __future__ import annotations

from tidb_volume import names
from tidb_volume.identity import same_file_system
from tidb_volume.life.look import Seen
from tidb_volume.life.world import World
from tidb_volume.value import Content, Order, Presence, Work, WorkState


def is_missing(world: World, seen: Seen) -> bool:
    """Whether a claim has the disk, the disk is there, and the claimed tenancy is not to be seen on it.

    One at the mount's root is whatever lies there, and may be nothing; but a wipe may have put it aside.
    """
    disk, tenancy = seen.disk, world.volume.status.tenancy
    if disk is None or not seen.claimed or disk.presence is not Presence.OK or not tenancy:
        return False
    return bool(disk.trash) if seen.at_root else disk.tenancy != tenancy


def is_wanted(world: World, seen: Seen) -> bool:
    """Whether the order `mount` is to put that right: no journal, and the file system that is recorded."""
    spec, disk = world.volume.spec, seen.disk
    if not is_missing(world, seen) or not spec.source.device or spec.volume_mode == "Block":
        return False
    assert disk is not None, "what is missing is missing on a disk"
    return (
        disk.content is Content.DATA
        and not (disk.journal or disk.journal_broken or disk.trash)
        and same_file_system(world.volume.status.identity, disk.identity)
    )


def may_be_put_away(world: World, seen: Seen) -> bool:
    """Whether a disk that nobody has carries the mounted file system that we made, and nobody's data."""
    spec, disk = world.volume.spec, seen.disk
    if seen.pv is not None or not seen.disk_known or not spec.source.device or spec.volume_mode == "Block":
        return False
    assert disk is not None, "a disk that is known was seen"
    return disk.content in (Content.TENANCY, Content.BLANK) and same_file_system(
        world.volume.status.identity, disk.identity
    )


def order(world: World) -> Order | None:
    """The order to mount the tenancy on record, if the one that stands is such a one."""
    stands = world.volume.spec.order
    is_this = stands is not None and stands.kind == "mount" and stands.next == world.volume.status.tenancy
    return stands if is_this else None


def answered(world: World) -> Work | None:
    """The daemon's last word on that order; None: it has said none yet."""
    stands, work = order(world), world.volume.status.work
    if stands is None or work is None or work.order_id != stands.id or work.state is WorkState.RUNNING:
        return None
    return work


def said(world: World) -> str:
    """Why the claimed tenancy is not to be seen, for people."""
    status, disk = world.volume.status, world.volume.status.disk
    assert disk is not None, "what is missing is missing on a disk"
    other = f"tenancy {disk.tenancy}" if disk.tenancy else "nothing that we made"
    text = f"tenancy {status.tenancy} is not to be seen on it, there is {disk.content_note or other}"
    if disk.journal_broken and disk.message:
        # While there is a journal that may say otherwise, no order takes the disk up.
        text = f"{text}; {disk.message}; look at it, then move it away on {world.volume.spec.node_name}"
        if world.volume.spec.volume_mode != "Block":
            text = f"{text}: where none is, the tenancy is found on the disk itself, and mounted by an order"
    text = f"{text}; nothing is wiped; if it is not to come back, delete the claim: the pod gets another disk"
    if world.volume.spec.volume_mode == "Block":
        node = names.block_node(status.tenancy)
        text = (
            f"{text}; nothing on a raw device says whose it is: if it is right, make its node {node} by hand"
        )
    work = status.work if order(world) is not None else None
    if work is not None and work.reason:
        return f"{text}; to mount it: {work.reason}: {work.message}"
    return text
