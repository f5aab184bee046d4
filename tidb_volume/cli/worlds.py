"""From what was read to the world that the planner decides from, as the leading controller would see it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tidb_volume import names
from tidb_volume.cli.neighbours import Neighbours
from tidb_volume.cli.reader import Reader
from tidb_volume.fleet import Fleet
from tidb_volume.inventory import expand, merge
from tidb_volume.inventory.expand import Desired
from tidb_volume.kube import kinds
from tidb_volume.life import answers, daemon
from tidb_volume.life.look import pick_pv
from tidb_volume.life.world import Daemon, Fresh, Mine, World
from tidb_volume.upstream import Claim, Node, Pod, Pv
from tidb_volume.value import Volume

NOTHING = Desired()
"""Where the inventory may not be read; nothing is asked of the planner then."""


def desired(api: Reader, nodes: Sequence[Node]) -> Desired | None:
    """What is declared today; None where it may not be read."""
    found = api.optional(lambda: _config_maps(api), None)
    if found is None:
        return None
    return expand.expand(merge.decide(*found).inventory, nodes)


def _config_maps(
    api: Reader,
) -> tuple[dict[str, merge.Accepted], dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    """What the controller's copies say is in force, what the ConfigMaps say now, and what of them is no
    text."""
    declared, _ = api.api.list(kinds.CONFIG_MAP, api.namespace, labels=f"{names.LABEL_INVENTORY}=true")
    kept, _ = api.api.list(kinds.CONFIG_MAP, api.namespace, labels=f"{names.LABEL_LAST_GOOD}=true")
    in_force = {}
    for copy in kept:
        name = copy.metadata.annotations.get(names.LABEL_INVENTORY, "")
        if name:
            in_force[name] = merge.load(name, copy.data)
    seen = {each.metadata.name: each.data for each in declared}
    return in_force, seen, {each.metadata.name: each.binary_data for each in declared}


def gather(api: Reader, volumes: Iterable[Volume], pvs: Iterable[Pv]) -> dict[str, World]:
    """The planner's world of each volume, without claims and pods; none if the inventory is unknown."""
    nodes = api.nodes()
    wanted = desired(api, nodes)
    if wanted is None:
        return {}
    fleet, daemons = api.fleet(), ready_daemons(api)
    by_disk: dict[str, list[Pv]] = {}
    for pv in pvs:
        by_disk.setdefault(pv.metadata.labels.get(names.LABEL_DISK, ""), []).append(pv)
    neighbours = Neighbours(api, wanted, nodes)
    found = {}
    for volume in volumes:
        ours = tuple(by_disk.get(volume.metadata.name, ()))
        plain = world(volume, wanted, nodes, ours, fleet, daemons=daemons)
        found[volume.metadata.name] = msgspec.structs.replace(plain, around=neighbours.around(volume))
    return found


def ready_daemons(api: Reader) -> frozenset[str] | None:
    """Nodes whose disk-daemon is Ready; None where its pods may not be read."""
    chosen = f"{names.LABEL_APP}={names.DAEMON}"
    found = api.optional(lambda: api.api.list(kinds.DAEMON_POD, api.namespace, labels=chosen)[0], None)
    return None if found is None else frozenset(pod.spec.node_name for pod in found if daemon.is_ready(pod))


def with_users(api: Reader, of: World) -> World:
    """The same world with the claim that has the volume, the one that an answer names, and the pods."""
    to = answers.named(of.volume)
    if to is not None:
        named = api.optional(lambda: api.api.find(kinds.CLAIM, to.name, to.namespace), None)
        of = msgspec.structs.replace(of, named_claim=named)
    pv = pick_pv(of.pvs)
    ref = pv.spec.claim_ref if pv is not None else None
    if ref is None or not ref.uid:
        return of
    claim = api.optional(lambda: api.api.find(kinds.CLAIM, ref.name, ref.namespace), None)
    if claim is None or claim.metadata.uid != ref.uid:
        return of
    on_node = f"spec.nodeName={of.volume.spec.node_name}"
    pods = api.optional(lambda: api.api.list(kinds.POD, ref.namespace, fields=on_node)[0], ())
    using = tuple(pod for pod in pods if uses(pod, claim.metadata.name))
    return msgspec.structs.replace(of, claim=claim, pods=using)


def uses(pod: Pod, claim: str) -> bool:
    """Whether a pod names this claim of its namespace, or has it as an ephemeral volume's (KEP-1698)."""
    for volume in pod.spec.volumes:
        if volume.persistent_volume_claim is not None and volume.persistent_volume_claim.claim_name == claim:
            return True
        if volume.ephemeral is not None and f"{pod.metadata.name}-{volume.name}" == claim:
            return True
    return False


def world(
    volume: Volume,
    desired: Desired,
    nodes: Sequence[Node],
    pvs: tuple[Pv, ...],
    fleet: Fleet | None,
    claim: Claim | None = None,
    pods: tuple[Pod, ...] = (),
    daemons: frozenset[str] | None = None,
) -> World:
    """The snapshot that the leading controller would decide from.

    A leader remembers which orders are its own; the one that stands is taken to be, since another leader's
    is asked again within a moment. daemons: nodes whose daemon is Ready; None: not known, and then what the
    controller said last is taken to be so. No id is fresh here: what the planner says is told, never written.
    """
    name, order, status = volume.metadata.name, volume.spec.order, volume.status
    node = next((each for each in nodes if each.metadata.name == volume.spec.node_name), None)
    hostname = node.metadata.labels.get(names.HOSTNAME, "") if node is not None else ""
    sharing = [
        each.metadata.name for each in nodes if each.metadata.labels.get(names.HOSTNAME, "") == hostname
    ]
    counted = {status.tenancy, status.question.id if status.question else ""}
    said_away = any(each.type == daemon.CONDITION for each in status.conditions)
    ready = volume.spec.node_name in daemons if daemons is not None else not said_away
    return World(
        volume=volume,
        desired=desired.disks.get(name),
        fresh=Fresh(order="-", tenancy="-", question="-"),
        node=node,
        node_names_with_hostname=tuple(sorted(sharing)) if hostname else (),
        daemon=Daemon(ready=ready),
        pvs=pvs,
        claim=claim,
        pods=pods,
        fleet=fleet,
        left_by_label=name in expand.left_by_label({name: _listed(volume)}, desired),
        mine=Mine(
            orders=frozenset({order.id} if order is not None else ()), counted=frozenset(counted - {""})
        ),
    )


def _listed(volume: Volume) -> expand.Listed:
    noted = volume.metadata.annotations
    return expand.Listed(
        listing=noted.get(names.ANNOTATION_LISTING, ""), left=noted.get(names.ANNOTATION_LEFT, "")
    )
