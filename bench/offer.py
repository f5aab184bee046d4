"""From a blank disk's line in the ConfigMap to its PersistentVolume on offer, with everything running.

A round makes a new disk, adds its folder to the inventory, and waits until the API server says Available; the
clock starts when the server has taken the edit. Beside it, what cannot be faster: a bare client that makes an
object, patches it four times and makes a PersistentVolume, one after the other: as many writes as an offer.

Ends with one line of key=value; exits 1 where the median is over `--most` times the bare writes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from contextlib import closing

from bench import record
from bench.reclaim import p99
from tests.cluster import Cluster, Node
from tests.e2e import deployed
from tests.e2e.lab import Lab
from tests.e2e.test_offer import listing
from tidb_volume import names
from tidb_volume.kube import kinds
from tidb_volume.kube.transport import Stop
from tidb_volume.value import Phase


class Bench:
    """One inventory that grows by a disk a round."""

    def __init__(self, lab: Lab, node: Node) -> None:
        self._lab, self._node = lab, node
        self._pool = f"offer-{lab.tag}"
        self._mounts: list[str] = []

    def offer(self) -> float:
        """Seconds from the edit to a PersistentVolume that is Available."""
        mount = f"{self._lab.data}/offer{len(self._mounts)}"
        _, volume = self._lab.path_disk(self._node, mount)
        self._mounts.append(mount)
        api, labels = self._lab.api, f"{names.LABEL_DISK}={volume}"
        _, version = api.list(kinds.PV, labels=labels)
        self._lab.inventory(self._pool, listing(self._pool, {self._node: self._mounts}))
        begun = time.monotonic()
        for event in api.watch(kinds.PV, version, labels=labels, stop=Stop(), seconds=60):
            if event.object is not None and event.object.status.phase == "Available":
                took = time.monotonic() - begun
                self._lab.wait(volume, Phase.AVAILABLE)
                return took
        raise AssertionError(f"not on offer within a minute: {self._lab.story(volume)}")

    def bare(self) -> float:
        """Seconds for as many writes of the same kinds by a client that does nothing else."""
        api, name = self._lab.api, f"bare-{time.monotonic_ns()}"
        pv = {
            "metadata": {"name": name, "annotations": {names.PROVISIONED_BY: "bench"}},
            "spec": {
                "capacity": {"storage": "100Mi"},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": name,
                "hostPath": {"path": "/nowhere"},
            },
        }
        _, version = api.list(kinds.PV, labels="bare=yes")
        pv["metadata"]["labels"] = {"bare": "yes"}
        begun = time.monotonic()
        api.create(kinds.CONFIG_MAP, {"metadata": {"name": name}}, "default")
        for number in range(4):
            api.merge_patch(kinds.CONFIG_MAP, name, {"data": {"write": str(number)}}, "default")
        api.create(kinds.PV, pv)
        for event in api.watch(kinds.PV, version, labels="bare=yes", stop=Stop(), seconds=60):
            if event.object is not None and event.object.status.phase == "Available":
                break
        took = time.monotonic() - begun
        api.delete(kinds.PV, name)
        api.delete(kinds.CONFIG_MAP, name, "default")
        return took


def main() -> int:
    """Measure; the exit code says whether the ratio holds."""
    parser = argparse.ArgumentParser(prog="python -m bench.offer", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--most", type=float, default=8.0, help="the ratio that fails this run when exceeded")
    parser.add_argument("--cluster", default="", help="use a cluster that runs already")
    parser.add_argument("--record", action="store_true", help="write bench/results/offer.json")
    given = parser.parse_args()
    cluster = Cluster.attach(given.cluster) if given.cluster else Cluster.up("bench", nodes=1, path_disks=0)
    samples: dict[str, list[float]] = {"offer": [], "bare": []}
    try:
        if not given.cluster:
            deployed.deploy(cluster, lambda what: print(f"  {what}", flush=True))
        with closing(Lab(cluster)) as lab:
            bench = Bench(lab, cluster.nodes[0])
            for _ in range(given.rounds):
                samples["offer"].append(bench.offer())
                samples["bare"].append(bench.bare())
    finally:
        if not given.cluster:
            cluster.down()
    offer, bare = statistics.median(samples["offer"]), statistics.median(samples["bare"])
    line = (
        f"rounds={given.rounds} median_s={offer:.3f} p99_s={p99(samples['offer']):.3f}"
        f" bare_s={bare:.3f} ratio={offer / bare:.2f}"
    )
    if given.record:
        record.write("offer", line, samples)
    print(line)
    return 0 if offer <= given.most * bare else 1


if __name__ == "__main__":
    sys.exit(main())
