"""Nodes and inventories in a line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidb_volume.inventory import expand, merge
from tidb_volume.inventory.codes import Problem
from tidb_volume.inventory.model import Inventory
from tidb_volume.upstream import Node, NodeAddress, NodeStatus
from tidb_volume.value import Meta

POOLS = "defaultPool: tikv\npools: {tikv: {onRelease: wipe}, raw: {onRelease: keep}}\n"
"""The shortest pools that most tests need."""


def node(name: str, ip: str = "", hostname: str = "", **labels: str) -> Node:
    """A node that carries its hostname label, and others if asked."""
    told = {"kubernetes.io/hostname": hostname or name, **labels}
    addresses = (NodeAddress(type="InternalIP", address=ip),) if ip else ()
    return Node(metadata=Meta(name=name, labels=told), status=NodeStatus(addresses=addresses))


def decide(
    *rounds: Mapping[str, Mapping[str, str] | str],
    start: Mapping[str, merge.Accepted] | None = None,
    binary: Mapping[str, Sequence[str]] | None = None,
) -> merge.Decision:
    """The last of several decisions, each on what the one before left in force.

    A ConfigMap given as a string has it as its one file, `disks.yaml`. binary: what the last one has in its
    `binaryData` by then.
    """
    decision = merge.Decision(in_force=dict(start or {}), inventory=Inventory())
    for number, seen in enumerate(rounds, 1):
        files = {name: {"disks.yaml": data} if isinstance(data, str) else data for name, data in seen.items()}
        decision = merge.decide(decision.in_force, files, binary if number == len(rounds) else None)
    return decision


def errors(text: str) -> tuple[Problem, ...]:
    """What is wrong with one file of the ConfigMap `inv`."""
    return decide({"inv": text}).refused.get("inv", ())


def accepted(text: str) -> merge.Decision:
    """The decision on one file, which must have no error."""
    decision = decide({"inv": text})
    assert decision.refused == {}, "\n".join(map(str, decision.refused["inv"]))
    return decision


def desired(text: str, *nodes: Node) -> expand.Desired:
    """What one file wants of these nodes."""
    return expand.expand(accepted(text).inventory, nodes)
