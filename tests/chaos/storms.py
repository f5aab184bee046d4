"""What goes wrong: programs killed and frozen, machines off, etcd and API server gone, careless hands.

Each is one function that does it and returns what has to be done afterwards, or None. What a hand asks for
and a policy refuses is as good as done.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tests.cluster import Cluster, ClusterError, Node
from tests.e2e.lab import NAMESPACE

Undo = Callable[[], object]


class Storm(NamedTuple):
    """weight: how often, beside the others. kills: whether it counts as one."""

    name: str
    weight: int
    does: Callable[[Cluster, random.Random], Undo | None]
    kills: bool = True


def _node(cluster: Cluster, of: random.Random) -> Node:
    return of.choice([each for each in cluster.nodes if each.running] or cluster.nodes)


def daemon_killed(cluster: Cluster, of: random.Random) -> None:
    _node(cluster, of).signal("/usr/local/bin/disk-daemon", 9)


def daemon_frozen(cluster: Cluster, of: random.Random) -> Undo:
    node = _node(cluster, of)
    node.freeze("/usr/local/bin/disk-daemon")
    return lambda: node.thaw("/usr/local/bin/disk-daemon")


def controller_killed(cluster: Cluster, of: random.Random) -> None:
    for node in cluster.nodes:
        if node.running and of.random() < 0.7:
            node.signal("/usr/local/bin/volume-controller", 9)


def controller_frozen(cluster: Cluster, of: random.Random) -> Undo:
    """For longer than its lease."""
    node = _node(cluster, of)
    node.freeze("/usr/local/bin/volume-controller")
    return lambda: node.thaw("/usr/local/bin/volume-controller")


def api_server_killed(cluster: Cluster, of: random.Random) -> Undo:
    part = of.choice(["kube-apiserver", "kube-apiserver", "etcd"])
    cluster.kill(part)
    return lambda: cluster.start(part)


def manager_killed(cluster: Cluster, of: random.Random) -> Undo:
    part = of.choice(["kube-controller-manager", "kube-scheduler"])
    cluster.kill(part)
    return lambda: cluster.start(part)


def kubelet_killed(cluster: Cluster, of: random.Random) -> None:
    _node(cluster, of).restart_kubelet()


def node_off(cluster: Cluster, of: random.Random) -> Undo:
    node = _node(cluster, of)
    node.power_off()
    return lambda: None if node.running else node.start(wait=False)


def mounts_swapped(cluster: Cluster, of: random.Random) -> Undo:
    """Two folders show each other's disk after a reboot, until somebody sees it and reboots again."""
    node = _node(cluster, of)
    straight = node.fstab
    first, second = sorted(straight)[:2]

    def boot(fstab: Mapping[str, str]) -> None:
        if node.running:
            node.power_off()
        node.set_fstab(fstab)
        node.start(wait=False)

    boot({**straight, first: straight[second], second: straight[first]})
    return lambda: boot(straight)


def _volumes(cluster: Cluster, phase: str) -> list[str]:
    path = f"jsonpath={{range .items[?(@.status.phase=='{phase}')]}}{{.metadata.name}} {{end}}"
    return cluster.kubectl("get", "pv", "-o", path).split()


def released_volume_deleted(cluster: Cluster, of: random.Random) -> None:
    names = _volumes(cluster, "Released") or _volumes(cluster, "Available")
    if names:
        cluster.kubectl("delete", "pv", of.choice(names), "--wait=false")


def claim_ref_cleared(cluster: Cluster, of: random.Random) -> None:
    names = _volumes(cluster, "Released") + _volumes(cluster, "Bound")
    if names:
        patch = '--patch={"spec":{"claimRef":null}}'
        with contextlib.suppress(ClusterError):  # the admission policy, as it should
            cluster.kubectl("patch", "pv", of.choice(names), "--type=merge", patch)


def policy_patched(cluster: Cluster, of: random.Random) -> Undo | None:
    names = _volumes(cluster, "Bound") + _volumes(cluster, "Released")
    if not names:
        return None
    name = of.choice(names)
    cluster.kubectl("patch", "pv", name, f"--patch={_policy('Retain')}")

    def back() -> None:
        with contextlib.suppress(ClusterError):  # gone meanwhile
            cluster.kubectl("patch", "pv", name, f"--patch={_policy('Delete')}")

    return back


def _policy(word: str) -> str:
    return '{"spec":{"persistentVolumeReclaimPolicy":"' + word + '"}}'


def record_deleted(cluster: Cluster, of: random.Random) -> None:
    names = cluster.kubectl("get", "tv", "-o", "name").split()
    if names:
        cluster.kubectl("delete", of.choice(names), "--wait=false")


def fleet_paused(cluster: Cluster, of: random.Random) -> Undo:
    def pause(word: str) -> None:
        cluster.kubectl("patch", "tvf", "fleet", "--type=merge", '--patch={"spec":{"paused":' + word + "}}")

    pause("true")
    return lambda: pause("false")


def our_pods_deleted(cluster: Cluster, of: random.Random) -> None:
    label = of.choice(["disk-daemon", "volume-controller"])
    words = ("-l", f"app.kubernetes.io/name={label}", "--force", "--grace-period=0", "--wait=false")
    cluster.kubectl("-n", NAMESPACE, "delete", "pods", *words)


STORMS = (
    Storm("daemon killed", 6, daemon_killed),
    Storm("daemon frozen", 5, daemon_frozen),
    Storm("controller killed", 5, controller_killed),
    Storm("controller frozen", 3, controller_frozen),
    Storm("API server or etcd killed", 3, api_server_killed),
    Storm("controller-manager or scheduler killed", 2, manager_killed),
    Storm("kubelet killed", 3, kubelet_killed),
    Storm("our pods deleted by force", 2, our_pods_deleted),
    Storm("node off", 2, node_off),
    Storm("mounts swapped at reboot", 1, mounts_swapped),
    Storm("released or free volume deleted", 3, released_volume_deleted, kills=False),
    Storm("claimRef cleared", 2, claim_ref_cleared, kills=False),
    Storm("policy patched", 2, policy_patched, kills=False),
    Storm("record deleted", 2, record_deleted, kills=False),
    Storm("fleet paused", 1, fleet_paused, kills=False),
)
