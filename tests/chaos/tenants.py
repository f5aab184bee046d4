"""Tenants who trust nobody: each searches its volume for others' secrets, then writes its own all over it.

What a pod finds and does it puts down on its node, in a file outside the volume, before it goes on: a report
that no kill of a kubelet, an API server or the pod itself takes away.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import yaml

from tests.cluster import Cluster, Node
from tests.cluster.image import BUSYBOX

REPORTS = "/var/lib/chaos"

SCRIPT = """
report() { echo "$1" >> $REPORTS/$ME; sync; }
everything() { if [ -b $PLACE ]; then cat $PLACE; else find $PLACE -type f -exec cat {} +; fi; }
# A line that begins with a zero byte would end there.
found=$(everything | tr '\\000' '\\n' | grep -oE 'S3CRET-[a-z0-9-]+' | sort -u)
for one in $found; do [ "$one" = "S3CRET-$ME" ] || report "leak $one"; done
case "$found" in *S3CRET-$ME*) own=yes;; *) own=no;; esac
report "started own=$own"
if [ -b $PLACE ]; then
  yes S3CRET-$ME | head -c $(blockdev --getsize64 $PLACE) | dd of=$PLACE bs=1M conv=fsync 2>/dev/null
else
  mkdir -p $PLACE/.hidden/deep
  for file in plain .dot .hidden/deep/x; do yes S3CRET-$ME | head -c 3000000 > $PLACE/$file; done
  i=0; while [ $i -lt 300 ]; do echo S3CRET-$ME > $PLACE/$i; i=$((i+1)); done
  sync
fi
report wrote
"""
STAY = "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"


class Tenant:
    """One claim's life on one volume, in a namespace of its own, which is its name."""

    def __init__(self, cluster: Cluster, name: str, pool: str, *, block: bool) -> None:
        self.cluster, self.name, self.pool, self.block = cluster, name, pool, block
        self.wrote = False
        """Its pod has written its secret, so that any later start has to find it."""
        self.ended = False
        """Its claim was deleted, or etcd has forgotten it."""

    def begin(self) -> None:
        """Ask for a volume; what is there already stays as it is."""
        self.cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(self._documents()))

    def end(self) -> None:
        """Delete pod and claim, as a scale to nothing and a tidy admin would."""
        self.ended = True
        words = ("-n", self.name, "delete", "--ignore-not-found", "--wait=false")
        self.cluster.kubectl(*words, "statefulset/db", "pvc/data-db-0")

    def restart(self) -> None:
        """Delete the pod alone."""
        words = ("-n", self.name, "delete", "--ignore-not-found", "--wait=false")
        self.cluster.kubectl(*words, "pod/db-0")

    def reported(self, nodes: list[Node]) -> list[str]:
        """What its pods have reported, on whichever node; raises ClusterError where a node is off."""
        script = f"cat {REPORTS}/{self.name} 2>/dev/null; true"
        return [line for node in nodes for line in node.exec(["sh", "-c", script]).splitlines()]

    def _documents(self) -> list[dict[str, Any]]:
        place = "/dev/data" if self.block else "/data"
        environment = {"ME": self.name, "PLACE": place, "REPORTS": REPORTS}
        container: dict[str, Any] = {
            "name": "main",
            "image": BUSYBOX,
            "imagePullPolicy": "Never",
            "command": ["sh", "-c", SCRIPT + STAY],
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
        pod = {"terminationGracePeriodSeconds": 1, "containers": [container], "volumes": [reports]}
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


class Judged:
    """What the reports come to, over all tenants: data of others that was found, own data that was not."""

    def __init__(self) -> None:
        self.leaks: set[str] = set()
        self.losses: set[str] = set()

    def judge(self, tenant: Tenant, nodes: list[Node]) -> None:
        """Read a tenant's reports from their beginning."""
        wrote, leaks, lost = verdict(tenant.reported(nodes))
        self.leaks |= {f"{tenant.name} read {each}" for each in leaks}
        if lost and not tenant.ended:
            self.losses.add(tenant.name)
        tenant.wrote = wrote


def verdict(lines: Iterable[str]) -> tuple[bool, set[str], bool]:
    """Whether a tenant has written, whose secrets it read, and whether it missed its own after that."""
    wrote, leaks, lost = False, set(), False
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "leak":
            leaks.add(rest)
        lost |= wrote and line == "started own=no"
        wrote |= word == "wrote"
    return wrote, leaks, lost


def pick(of: random.Random, tenants: list[Tenant]) -> Tenant | None:
    """One of those that are at work."""
    alive = [each for each in tenants if each.wrote and not each.ended]
    return of.choice(alive) if alive else None
