"""Is anybody there to obey: the node by its kubelet's heartbeat, the disk-daemon by what the kubelet says of
its pod. Both cost nothing extra, and neither says anything of the disk.

What needs the daemon is held back at once, since an order that nobody reads helps nobody. It is said of the
node's volumes only after a pause, and unsaid after another: a rolling update of the DaemonSet takes each
daemon away for a moment, and a daemon that crashes comes and goes, and neither is worth a write for each of
ten thousand volumes.
"""

from __future__ import annotations

from tidb_volume.life.actions import Action, WriteOrder
from tidb_volume.life.world import World
from tidb_volume.units import Instant
from tidb_volume.upstream import DaemonPod, Node

PAUSE = 30.0
"""Seconds for which a daemon is away, or back, before that is said: longer than most image pulls."""
CONDITION = "DaemonReady"
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
"""The taint that a person puts on a node that is shut down for good, or for long (KEP-2268)."""


def is_up(node: Node | None) -> bool:
    """Whether the kubelet's heartbeat says that a node is Ready."""
    return node is not None and any(
        (condition.type, condition.status) == ("Ready", "True") for condition in node.status.conditions
    )


def is_ready(pod: DaemonPod) -> bool:
    """Whether the kubelet reports a daemon as Ready; one that is being deleted begins nothing any more."""
    return not pod.metadata.deletion_timestamp and any(
        (each.type, each.status) == ("Ready", "True") for each in pod.status.conditions
    )


def is_out_of_service(node: Node) -> bool:
    """Whether a person says of a node that nothing runs there any more."""
    return any(taint.key == OUT_OF_SERVICE for taint in node.spec.taints)


def is_lost(world: World) -> bool:
    """Whether the volume's node is gone, or a person says that nothing runs there any more; one that only
    does not answer is neither."""
    return world.node is None or is_out_of_service(world.node)


def node_ready(world: World) -> bool:
    """Whether the volume's node is Ready."""
    return is_up(world.node)


def absent(world: World) -> str:
    """Why nobody is there to obey, as a word of `words.REASONS`; empty: the daemon is there."""
    if is_lost(world):
        return "NodeLost"
    if not node_ready(world):
        return "NodeNotReady"
    return "" if world.daemon.ready else "DaemonNotReady"


def is_away(world: World, now: Instant) -> bool:
    """Whether it is to be said of the volume that the daemon is away. While the pause runs, what is said
    stays; where the node itself is away, that says it all."""
    if is_lost(world) or not node_ready(world):
        return False
    if now - world.daemon.since >= PAUSE:
        return not world.daemon.ready
    return any(each.type == CONDITION for each in world.volume.status.conditions)


def settles_at(world: World, now: Instant) -> Instant | None:
    """When the pause ends that keeps something from being said or unsaid; None: nothing waits to be."""
    is_so = absent(world) == "DaemonNotReady"
    if is_away(world, now) is is_so:
        return None
    return Instant(world.daemon.since + PAUSE)


def bars(world: World, action: Action | None) -> bool:
    """Whether an action is an order that nobody is there to carry out. Taking one back is not: it has to be
    known before anybody comes back."""
    return (
        isinstance(action, WriteOrder)
        and action.order is not None
        and not action.order.withdrawn
        and absent(world) != ""
    )
