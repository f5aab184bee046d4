"""What goes wrong: programs killed and frozen, machines off, etcd and API server gone, careless hands.

Each is one function that does it and returns what has to be done afterwards, or None. One that found nothing
to do it to says so, and does not count. What a hand asks for and a policy refuses is as good as done.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tests.chaos.tenants import Tenant, pick
from tests.cluster import Cluster, ClusterError, Node
from tests.e2e.lab import NAMESPACE

Undo = Callable[[], object]
DAEMON = "/usr/local/bin/disk-daemon"
CONTROLLER = "/usr/local/bin/volume-controller"
CLAIM_GONE_S = (2.0, 30.0)
"""How long a pod goes on whose claim was deleted."""


class NothingToDoError(ClusterError):
    """There was nothing that it could have been done to."""


class Ground(NamedTuple):
    """Where it storms."""

    cluster: Cluster
    of: random.Random
    tenants: Sequence[Tenant]


class Storm(NamedTuple):
    """weight: how often, beside the others. kills: whether it counts as one."""

    name: str
    weight: int
    does: Callable[[Ground], Undo | None]
    kills: bool = True


def draw(deck: list[Storm], of: random.Random) -> Storm:
    """The next of a shuffled deck, in which each lies as often as it weighs: none is left out for long."""
    if not deck:
        deck += [each for each in STORMS for _ in range(each.weight)]
        of.shuffle(deck)
    return deck.pop()


def put_back(deck: list[Storm], storm: Storm, of: random.Random) -> None:
    """It could not be done now."""
    deck.insert(of.randint(0, len(deck)), storm)


def _node(on: Ground) -> Node:
    return on.of.choice([each for each in on.cluster.nodes if each.running] or on.cluster.nodes)


def _one_of(on: Ground, names: Sequence[str]) -> str:
    if not names:
        raise NothingToDoError("none is there")
    return on.of.choice(names)


def _hit(count: int) -> None:
    if not count:
        raise NothingToDoError("no such process runs")


def _freeze(node: Node, program: str) -> Undo:
    _hit(node.freeze(program))
    return lambda: node.thaw(program)


def daemon_killed(on: Ground) -> None:
    _hit(_node(on).signal(DAEMON, 9))


def daemon_frozen(on: Ground) -> Undo:
    return _freeze(_node(on), DAEMON)


def controller_killed(on: Ground) -> None:
    nodes = [each for each in on.cluster.nodes if each.running and on.of.random() < 0.7]
    _hit(sum(node.signal(CONTROLLER, 9) for node in nodes))


def controller_frozen(on: Ground) -> Undo:
    """For longer than its lease."""
    return _freeze(_node(on), CONTROLLER)


def _kill(on: Ground, *parts: str) -> Undo:
    part = on.of.choice(parts)
    on.cluster.kill(part)

    def back() -> None:
        # It answers nobody while what it stands on is frozen.
        thaw_control_plane(on.cluster)
        on.cluster.start(part)

    return back


def api_server_killed(on: Ground) -> Undo:
    return _kill(on, "kube-apiserver")


def etcd_killed(on: Ground) -> Undo:
    return _kill(on, "etcd")


def _freeze_part(on: Ground, part: str) -> Undo:
    if not on.cluster.running(part):
        raise NothingToDoError(f"{part} does not run")
    on.cluster.freeze(part)
    return lambda: on.cluster.thaw(part)


def api_server_frozen(on: Ground) -> Undo:
    return _freeze_part(on, "kube-apiserver")


def etcd_frozen(on: Ground) -> Undo:
    return _freeze_part(on, "etcd")


def thaw_control_plane(cluster: Cluster) -> None:
    """Whether or not any of it is frozen."""
    for part in ("etcd", "kube-apiserver"):
        cluster.thaw(part)


def manager_killed(on: Ground) -> Undo:
    return _kill(on, "kube-controller-manager", "kube-scheduler")


def kubelet_killed(on: Ground) -> None:
    _node(on).restart_kubelet()


def kubelet_frozen(on: Ground) -> Undo:
    return _freeze(_node(on), on.cluster.record.programs["kubelet"])


def node_off(on: Ground) -> Undo:
    node = _node(on)
    node.power_off()
    return lambda: None if node.running else node.start(wait=False)


def mounts_swapped(on: Ground) -> Undo:
    """Two folders show each other's disk after a reboot, until somebody sees it and reboots again."""
    node = _node(on)
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


def released_volume_deleted(on: Ground) -> None:
    names = _volumes(on.cluster, "Released") or _volumes(on.cluster, "Available")
    on.cluster.kubectl("delete", "pv", _one_of(on, names), "--wait=false")


def claim_ref_cleared(on: Ground) -> None:
    name = _one_of(on, _volumes(on.cluster, "Released") + _volumes(on.cluster, "Bound"))
    with contextlib.suppress(ClusterError):  # the admission policy, as it should
        on.cluster.kubectl("patch", "pv", name, "--type=merge", '--patch={"spec":{"claimRef":null}}')


def policy_patched(on: Ground) -> Undo:
    name = _one_of(on, _volumes(on.cluster, "Bound") + _volumes(on.cluster, "Released"))
    on.cluster.kubectl("patch", "pv", name, f"--patch={_policy('Retain')}")

    def back() -> None:
        with contextlib.suppress(ClusterError):  # gone meanwhile
            on.cluster.kubectl("patch", "pv", name, f"--patch={_policy('Delete')}")

    return back


def _policy(word: str) -> str:
    return '{"spec":{"persistentVolumeReclaimPolicy":"' + word + '"}}'


def _tenant(on: Ground) -> Tenant:
    tenant = pick(on.of, on.tenants)
    if tenant is None:
        raise NothingToDoError("no tenant is at work")
    return tenant


def claim_deleted(on: Ground) -> None:
    """Below a running pod: Kubernetes has it wait for the pod's end."""
    _tenant(on).lose_claim(on.of.uniform(*CLAIM_GONE_S), by_force=False)


def claim_torn_away(on: Ground) -> None:
    """And its finalizer too, so that the disk is Released while a pod writes to it."""
    _tenant(on).lose_claim(on.of.uniform(*CLAIM_GONE_S), by_force=True)


def claim_patched(on: Ground) -> None:
    """What Kubernetes has noted on it goes, and has to be found out anew; the data stays its own."""
    gone = '{"pv.kubernetes.io/bind-completed":null,"pv.kubernetes.io/bound-by-controller":null}'
    _tenant(on).patch_claim('{"metadata":{"labels":null,"annotations":' + gone + "}}")


def record_deleted(on: Ground) -> None:
    names = on.cluster.kubectl("get", "tv", "-o", "name").split()
    on.cluster.kubectl("delete", _one_of(on, names), "--wait=false")


def fleet_paused(on: Ground) -> Undo:
    def pause(word: str) -> None:
        patch = '--patch={"spec":{"paused":' + word + "}}"
        on.cluster.kubectl("patch", "tvf", "fleet", "--type=merge", patch)

    pause("true")
    return lambda: pause("false")


def our_pods_deleted(on: Ground) -> None:
    label = on.of.choice(["disk-daemon", "volume-controller"])
    words = ("-l", f"app.kubernetes.io/name={label}", "--force", "--grace-period=0", "--wait=false")
    on.cluster.kubectl("-n", NAMESPACE, "delete", "pods", *words)


STORMS = (
    Storm("daemon killed", 6, daemon_killed),
    Storm("daemon frozen", 5, daemon_frozen),
    Storm("controller killed", 5, controller_killed),
    Storm("controller frozen", 3, controller_frozen),
    Storm("API server killed", 2, api_server_killed),
    Storm("etcd killed", 1, etcd_killed),
    Storm("API server frozen", 2, api_server_frozen),
    Storm("etcd frozen", 1, etcd_frozen),
    Storm("controller-manager or scheduler killed", 2, manager_killed),
    Storm("kubelet killed", 2, kubelet_killed),
    Storm("kubelet frozen", 2, kubelet_frozen),
    Storm("our pods deleted by force", 2, our_pods_deleted),
    Storm("node off", 2, node_off),
    Storm("mounts swapped at reboot", 1, mounts_swapped),
    Storm("released or free volume deleted", 3, released_volume_deleted, kills=False),
    Storm("claimRef cleared", 2, claim_ref_cleared, kills=False),
    Storm("policy patched", 2, policy_patched, kills=False),
    Storm("claim deleted below its pod", 2, claim_deleted, kills=False),
    Storm("claim torn away from its pod", 2, claim_torn_away, kills=False),
    Storm("claim patched", 2, claim_patched, kills=False),
    Storm("record deleted", 2, record_deleted, kills=False),
    Storm("fleet paused", 1, fleet_paused, kills=False),
)
