"""From the end of a claim to a clean disk on offer, on a real node, beside what it cannot be faster than.

Per round, one after the other on the same machine:

- ours: a claim whose pod is gone is deleted (`wipeAfter: 0s`, 2,000 small files on its disk); until the API
  server says that a new PersistentVolume of that disk is Available;
- both: the same with pod and claim deleted together (grace 0), the kubelet's unmount included;
- floor: what Kubernetes itself needs for the same steps with nobody wiping: claim deleted, Released,
  PersistentVolume deleted, gone, another created, Available;
- rm: `rm -rf` of the same files on the same disk.

Ends with one line of key=value; exits 1 where the median exceeds `--most` times floor + rm.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import yaml

from bench import record
from tests.cluster import Cluster, Node
from tests.e2e import deployed
from tests.e2e.lab import STAY, Lab, until
from tests.e2e.test_offer import listing
from tidb_volume import names
from tidb_volume.kube import kinds
from tidb_volume.kube.transport import Stop
from tidb_volume.value import Phase

FILES = 2000
FILL = f"cd /data && mkdir -p a b c && for i in $(seq 1 {FILES}); do echo $i > a/$i; done; sync"


class Bench:
    """One disk, one tenant after the other."""

    def __init__(self, lab: Lab, node: Node) -> None:
        self.lab = lab
        self.node = node
        self.mount = f"{lab.data}/bench"
        self.pool = f"bench-{lab.tag}"
        _, self.volume = lab.path_disk(node, self.mount)
        lab.inventory(self.pool, listing(self.pool, {node: [self.mount]}, wipeAfter="0s"))
        lab.wait(self.volume, Phase.AVAILABLE)
        self.namespace = lab.namespace("bench")

    def fill(self) -> str:
        """A pod on the disk that writes the files; returns the tenancy."""
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "namespace": self.namespace},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": self.pool,
                "resources": {"requests": {"storage": "100Mi"}},
            },
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "db", "namespace": self.namespace},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {
                        "name": "main",
                        "image": "tidb-volume/test:busybox",
                        "imagePullPolicy": "Never",
                        "command": ["sh", "-c", STAY],
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    }
                ],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
            },
        }
        self.lab.cluster.kubectl("create", "-f", "-", input=yaml.safe_dump_all([claim, pod]))
        self.lab.running(self.namespace, "db")
        self.lab.sh(self.namespace, "db", FILL)
        return self.lab.wait(self.volume, Phase.BOUND).status.tenancy

    def reclaim(self) -> float:
        """Seconds from deleting a claim whose pod is gone to a new PersistentVolume that is Available."""
        old = self.fill()
        self.lab.cluster.kubectl("-n", self.namespace, "delete", "pod", "db", "--grace-period=0")
        until("the unmount", lambda: self.unused())
        return self.until_offered(old, self.delete_claim)

    def both(self) -> float:
        """The same with pod and claim deleted together."""
        old = self.fill()

        def delete() -> None:
            api = self.lab.api
            api.transport.request(
                "DELETE",
                kinds.POD.path("db", self.namespace),
                body=b'{"apiVersion":"v1","kind":"DeleteOptions","gracePeriodSeconds":0}',
            )
            self.delete_claim()

        return self.until_offered(old, delete)

    def unused(self) -> bool:
        found = self.lab.volume(self.volume)
        return found is not None and found.status.disk is not None and not found.status.disk.in_use

    def delete_claim(self) -> None:
        self.lab.api.delete(kinds.CLAIM, "data", self.namespace)

    def until_offered(self, old: str, begin: Callable[[], None]) -> float:
        """Watch PersistentVolumes from before `begin` until another tenancy's is Available."""
        api, labels = self.lab.api, f"{names.LABEL_DISK}={self.volume}"
        _, version = api.list(kinds.PV, labels=labels)
        begun = time.monotonic()
        begin()
        for event in api.watch(kinds.PV, version, labels=labels, stop=Stop(), seconds=60):
            pv = event.object
            if pv is None or event.type == "DELETED":
                continue
            if pv.metadata.labels[names.LABEL_TENANCY] != old and pv.status.phase == "Available":
                return time.monotonic() - begun
        raise AssertionError(f"not on offer within a minute: {self.lab.story(self.volume)}")

    def floor(self) -> float:
        """Kubernetes' own share: the same steps on a PersistentVolume of nobody's, with no wipe between."""
        api, word = self.lab.api, f"floor-{time.monotonic_ns()}"
        labels = f"bench={self.lab.tag}"

        def pv(name: str) -> dict[str, Any]:
            return {
                "metadata": {
                    "name": name,
                    "labels": {"bench": self.lab.tag},
                    "annotations": {names.PROVISIONED_BY: "bench"},
                },
                "spec": {
                    "capacity": {"storage": "100Mi"},
                    "accessModes": ["ReadWriteOnce"],
                    "persistentVolumeReclaimPolicy": "Delete",
                    "storageClassName": "",
                    "hostPath": {"path": "/nowhere"},
                    "claimRef": {"namespace": self.namespace, "name": word},
                },
            }

        api.create(kinds.PV, pv(word))
        claim = {
            "metadata": {"name": word},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "",
                "volumeName": word,
                "resources": {"requests": {"storage": "1Mi"}},
            },
        }
        api.create(kinds.CLAIM, claim, self.namespace)
        until("the floor's claim to be bound", lambda: api.get(kinds.PV, word).status.phase == "Bound")
        _, version = api.list(kinds.PV, labels=labels)
        begun = time.monotonic()
        api.delete(kinds.CLAIM, word, self.namespace)
        took = 0.0
        for event in api.watch(kinds.PV, version, labels=labels, stop=Stop(), seconds=60):
            seen = event.object
            if seen is None:
                continue
            if seen.metadata.name == word and event.type == "DELETED":
                another = pv(word + "b")
                del another["spec"]["claimRef"]
                api.create(kinds.PV, another)
            elif seen.metadata.name == word and seen.status.phase == "Released":
                if seen.metadata.deletion_timestamp is None:
                    api.delete(kinds.PV, word)
            elif seen.metadata.name == word + "b" and seen.status.phase == "Available":
                took = time.monotonic() - begun
                break
        api.delete(kinds.PV, word + "b")
        return took

    def rm(self) -> float:
        """Seconds of `rm -rf` of the same files on the same disk, in the node."""
        folder = f"{self.mount}/rm"
        fill = (
            f"mkdir -p {folder}/a && cd {folder} && for i in $(seq 1 {FILES}); do echo $i > a/$i; done; sync"
        )
        self.node.exec(["sh", "-c", fill])
        timed = (
            "import subprocess, time; begun = time.monotonic();"
            f" subprocess.run(['rm', '-rf', '{folder}'], check=True); print(time.monotonic() - begun)"
        )
        return float(self.node.exec(["python3", "-c", timed]))


def p99(samples: list[float]) -> float:
    """The 99th percentile, by the nearest rank."""
    return sorted(samples)[max(0, -(-99 * len(samples) // 100) - 1)]


def main() -> int:
    """Measure; the exit code says whether the ratio holds."""
    parser = argparse.ArgumentParser(prog="python -m bench.reclaim", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--most", type=float, default=3.0, help="the ratio that fails this run when exceeded")
    parser.add_argument("--cluster", default="", help="use a cluster that runs already")
    parser.add_argument("--record", action="store_true", help="write bench/results/reclaim.json")
    given = parser.parse_args()
    cluster = Cluster.attach(given.cluster) if given.cluster else Cluster.up("bench", nodes=1, path_disks=0)
    try:
        if not given.cluster:
            deployed.deploy(cluster, lambda what: print(f"  {what}", flush=True))
        with closing(Lab(cluster)) as lab:
            bench = Bench(lab, cluster.nodes[0])
            samples: dict[str, list[float]] = {"ours": [], "both": [], "floor": [], "rm": []}
            for number in range(given.rounds):
                samples["ours"].append(bench.reclaim())
                samples["floor"].append(bench.floor())
                samples["rm"].append(bench.rm())
                if number % 5 == 0:
                    samples["both"].append(bench.both())
                    shown = ", ".join(f"{key} {series[-1]:.3f}" for key, series in samples.items())
                    print(f"  round {number + 1} of {given.rounds}: {shown} s", flush=True)
    finally:
        if not given.cluster:
            cluster.down()
    median = {key: statistics.median(series) for key, series in samples.items()}
    ratio = median["ours"] / (median["floor"] + median["rm"])
    line = (
        f"rounds={given.rounds} median_s={median['ours']:.3f} p99_s={p99(samples['ours']):.3f}"
        f" floor_s={median['floor']:.3f} rm_s={median['rm']:.3f} ratio={ratio:.2f}"
        f" both_median_s={median['both']:.3f}"
    )
    if given.record:
        record.write("reclaim", line, samples)
    print(line)
    return 0 if ratio <= given.most else 1


if __name__ == "__main__":
    sys.exit(main())
