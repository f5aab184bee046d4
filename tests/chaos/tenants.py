"""Tenants who trust nobody: each searches its volume for others' secrets, then writes its own all over it,
and reads all of it again whenever a pod of it starts, some of it every few seconds, and all as the pod ends.

What a pod finds and does it puts down on its node, in a file outside the volume, before it goes on: a report
that no kill of a kubelet, an API server or the pod itself takes away. judge.py says what it comes to.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import Cluster, Node
from tests.cluster.image import BUSYBOX

REPORTS = "/var/lib/chaos"
SEARCH = (Path(__file__).parent / "search.sh").read_text()
SCRIPT = SEARCH + (Path(__file__).parent / "tenant.sh").read_text()
SETTINGS = {"PIECE_MB": "8", "MOST": "1000", "FILL_S": "4", "LOOK_S": "5", "SURE_S": "1"}
"""A file system is filled up to three quarters, for as long as FILL_S; a device whole."""


class Tenant:
    """One claim's life on one volume, in a namespace of its own, which is its name."""

    def __init__(self, cluster: Cluster, name: str, pool: str, *, block: bool) -> None:
        self.cluster, self.name, self.pool, self.block = cluster, name, pool, block
        self.wrote = False
        """Its pod has written its secret, so that any later start has to find it."""
        self.begun = 0
        """When the last pod began that found all of it."""
        self.over: float | None = None
        """When its claim began to go, by its owner, a careless hand, or an etcd that has forgotten it."""
        self.stays_until = 0.0
        """Its pod is left alone until then, though its claim may be gone."""
        self.left = False
        """Pod and claim were deleted."""

    @property
    def alive(self) -> bool:
        """Whether it has to find its own data."""
        return self.wrote and self.over is None

    def begin(self) -> None:
        """Ask for a volume; what is there already stays as it is."""
        self.cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(self._documents()))

    def is_over(self, moment: float | None = None) -> None:
        """Its data may go from then on, once no pod has it; said before anything is done to its claim."""
        if self.over is None:
            self.over = time.time() if moment is None else moment

    def end(self) -> None:
        """Delete pod and claim, as a scale to nothing and a tidy admin would."""
        self.is_over()
        self._delete("statefulset/db", "pvc/data-db-0")
        self.left = True

    def restart(self) -> None:
        """Delete the pod alone."""
        self._delete("pod/db-0")

    def lose_claim(self, stays_s: float, *, by_force: bool) -> None:
        """A careless hand deletes the claim below a running pod, and by force so that it is gone at once."""
        self.is_over()
        self.stays_until = time.monotonic() + stays_s
        self._delete("pvc/data-db-0")
        if by_force:
            self.patch_claim('{"metadata":{"finalizers":null}}')

    def patch_claim(self, patch: str) -> None:
        """kubectl patch on its claim."""
        self.cluster.kubectl("-n", self.name, "patch", "pvc", "data-db-0", "--type=merge", f"--patch={patch}")

    def _delete(self, *what: str) -> None:
        words = ("-n", self.name, "delete", "--ignore-not-found", "--wait=false")
        self.cluster.kubectl(*words, *what)

    def _documents(self) -> list[dict[str, Any]]:
        place = "/dev/data" if self.block else "/data"
        environment = {"ME": self.name, "PLACE": place, "REPORTS": REPORTS, **SETTINGS}
        container: dict[str, Any] = {
            "name": "main",
            "image": BUSYBOX,
            "imagePullPolicy": "Never",
            "command": ["sh", "-c", SCRIPT],
            "env": [{"name": name, "value": each} for name, each in environment.items()],
            "volumeMounts": [{"name": "reports", "mountPath": REPORTS}],
        }
        if self.block:
            container["volumeDevices"] = [{"name": "data", "devicePath": place}]
        else:
            container["volumeMounts"] += [{"name": "data", "mountPath": place}]
        claim = {
            "accessModes": ["ReadWriteOnce"],
            "volumeMode": "Block" if self.block else "Filesystem",
            "storageClassName": self.pool,
            "resources": {"requests": {"storage": "10Mi"}},
        }
        reports = {"name": "reports", "hostPath": {"path": REPORTS, "type": "DirectoryOrCreate"}}
        pod = {"terminationGracePeriodSeconds": 10, "containers": [container], "volumes": [reports]}
        spec = {
            "replicas": 1,
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "template": {"metadata": {"labels": {"app": "db"}}, "spec": pod},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
        }
        return [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name}},
            {
                "apiVersion": "apps/v1",
                "kind": "StatefulSet",
                "metadata": {"name": "db", "namespace": self.name},
                "spec": spec,
            },
        ]


def reports(nodes: Iterable[Node]) -> dict[str, list[str]]:
    """What all tenants' pods have reported on the nodes that run, by the tenant's name.

    A node that is off keeps its part for later; to know less makes no loss of what is none.
    """
    script = f"cd {REPORTS}/of 2>/dev/null && grep -H '' *; true"
    return by_name(
        line for node in nodes if node.running for line in node.exec(["sh", "-c", script]).splitlines()
    )


def by_name(lines: Iterable[str]) -> dict[str, list[str]]:
    """The lines of each file, of what grep printed for many."""
    found: dict[str, list[str]] = {}
    for line in lines:
        name, _, rest = line.partition(":")
        found.setdefault(name, []).append(rest)
    return found


def search(node: Node, folder: str) -> list[str]:
    """Every secret below a folder of a node, whatever it lies in."""
    return node.exec(["env", f"PLACE={folder}", "sh", "-c", f"{SEARCH}\nsecrets"], timeout=300).split()


def pick(of: random.Random, tenants: Iterable[Tenant]) -> Tenant | None:
    """One of those that are at work."""
    alive = [each for each in tenants if each.alive]
    return of.choice(alive) if alive else None
