"""Memory of the daemon and of the controller, with 10 volumes in the cluster and with ten thousand.

The processes that are measured are the deployed ones on a real node with ten real disks: the controller that
leads, the one that waits, the daemon, its zygote, and a child of it at work on a reclaim of 2,000 files. The
other volumes are of nodes that kwok keeps Ready (`standin.py`), on offer like the ten. On the way it is
counted how many come on offer a second, with what this machine has left, and with how many writes.

RSS counts what is shared with other processes (the interpreter, libraries) in full; private (USS) is what
would be free if the process ended. Both in MB of 10^6 bytes.

Ends with one line of key=value; exits 1 where the daemon exceeds its budget, or grows with the fleet.
"""

from __future__ import annotations

import argparse
import re
import sys
import threading
import time
from collections import Counter
from contextlib import closing, suppress

import psutil

from bench import reclaim, record, standin
from tests.cluster import Cluster, Node
from tests.e2e import deployed
from tests.e2e.lab import Lab, until
from tests.e2e.test_offer import listing
from tidb_volume import names
from tidb_volume.kube import kinds
from tidb_volume.value import Phase

OWN_DISKS = 10
DISKS_A_NODE = 40
"""250 machines with 40 disks each: this machine has no room for the heartbeats of a thousand."""
NODE_GRACE_S = 240
LONGEST_FILL_S = 7200
DAEMON_RSS_MB, CHILD_PRIVATE_MB = 32.0, 12.0
FLAT = 1.1
"""The daemon of a big fleet may be so much larger than that of a small one: noise, no growth."""


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident and private."""
    found = psutil.Process(pid).memory_full_info()
    return found.rss / 1e6, found.uss / 1e6


class Watched:
    """The programs' processes on the one real node."""

    def __init__(self, lab: Lab, node: Node) -> None:
        self._lab, self._node = lab, node

    def daemon(self) -> psutil.Process:
        """The daemon itself; its zygote is its only child."""
        found = [psutil.Process(each.pid) for each in self._node.processes("disk-daemon")]
        pids = {each.pid for each in found}
        return next(each for each in found if each.ppid() not in pids)

    def zygote(self) -> psutil.Process:
        """The process that makes the children."""
        return self.daemon().children()[0]

    def controllers(self) -> list[psutil.Process]:
        """Both replicas, the leader first: it is the one that has used more of a processor."""
        found = [psutil.Process(each.pid) for each in self._node.processes("volume-controller")]
        return sorted(found, key=lambda each: -sum(each.cpu_times()[:2]))

    def figures(self, label: str) -> dict[str, float]:
        """What each holds now."""
        leader, waiting = self.controllers()[:2]
        shown: dict[str, float] = {}
        for name, process in (
            ("controller", leader),
            ("standby", waiting),
            ("daemon", self.daemon()),
            ("zygote", self.zygote()),
        ):
            rss, private = memory_mb(process.pid)
            shown[f"{name}_rss_mb_{label}"] = rss
            shown[f"{name}_private_mb_{label}"] = private
        return shown

    def largest_child(self, ended: threading.Event) -> float:
        """The most private memory that any child of the zygote had until `ended`, MB."""
        zygote, most = self.zygote(), 0.0
        while not ended.is_set():
            for child in zygote.children():
                with suppress(psutil.Error):
                    most = max(most, child.memory_full_info().uss / 1e6)
            time.sleep(0.003)
        return most


def child_mb(watched: Watched, bench: reclaim.Bench) -> float:
    """The largest child while a disk with 2,000 files is reclaimed."""
    ended, found = threading.Event(), [0.0]

    def look() -> None:
        found[0] = watched.largest_child(ended)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        bench.reclaim()
    finally:
        ended.set()
        thread.join()
    return found[0]


def our_writes(cluster: Cluster) -> Counter[str]:
    """How often the API server has carried out a write of our programs, controllers and daemons, by what was
    written; `refused` are those that came after another's."""
    counts: Counter[str] = Counter()
    for line in cluster.get_text("/metrics").splitlines():
        name, _, rest = line.partition("{")
        if name == "apiserver_request_total":
            labels = dict(_LABEL.findall(rest))
            what = f"{labels['verb']} {labels['resource']}/{labels['subresource']}".rstrip("/")
            if what in _OURS:
                counts[what if labels["code"] < "300" else "refused"] += int(float(rest.split()[-1]))
    return counts


_LABEL = re.compile(r'(\w+)="([^"]*)"')
_OURS = {
    "POST tidbvolumes",
    "PATCH tidbvolumes",
    "PATCH tidbvolumes/status",
    "POST persistentvolumes",
    "DELETE persistentvolumes",
}


def fill(lab: Lab, fleet: standin.Fleet, pool: str) -> dict[str, float]:
    """List a fleet's disks, and wait until all are on offer: how many a second, and with how many writes."""
    wanted = fleet.nodes * fleet.disks
    before, begun = our_writes(lab.cluster), time.monotonic()
    lab.inventory(pool, fleet.inventory(pool))
    while (count := len(lab.api.list(kinds.PV, labels=f"{names.LABEL_POOL}={pool}")[0])) < wanted:
        took = time.monotonic() - begun
        print(f"  {count} of {wanted} on offer after {took:.0f} s", flush=True)
        if took > LONGEST_FILL_S:
            raise AssertionError(f"{count} volumes are on offer after {took:.0f} s")
        time.sleep(30)  # to count ten thousand of them is work for the API server too
    took, writes = time.monotonic() - begun, our_writes(lab.cluster) - before
    for what, number in writes.most_common():
        print(f"  {number / wanted:.2f} a volume: {what}")
    refused = writes.pop("refused", 0)
    return {
        "filled_a_second": wanted / took,
        "writes_a_volume": writes.total() / wanted,
        "refused_a_volume": refused / wanted,
    }


def settle(watched: Watched) -> None:
    """Until nothing has grown for a while: the collector of the language takes its time."""
    last: list[float] = []

    def still() -> bool:
        last.append(sum(memory_mb(each.pid)[0] for each in watched.controllers()))
        time.sleep(2)
        return len(last) > 5 and max(last[-5:]) < 1.02 * min(last[-5:])

    until("memory to be still", still, 180)


def measure(cluster: Cluster, volumes: int) -> dict[str, float]:
    """All figures, in the order in which they are shown."""
    with closing(Lab(cluster)) as lab:
        node = cluster.nodes[0]
        watched = Watched(lab, node)
        bench = reclaim.Bench(lab, node)
        mounts = [f"{lab.data}/more{number}" for number in range(OWN_DISKS - 1)]
        own = [lab.path_disk(node, mount)[1] for mount in mounts]
        pool = f"own-{lab.tag}"
        lab.inventory(pool, listing(pool, {node: mounts}))
        for each in own:
            lab.wait(each, Phase.AVAILABLE)
        children = [child_mb(watched, bench)]
        settle(watched)
        shown = watched.figures(str(OWN_DISKS))
        nodes = -(-(volumes - OWN_DISKS) // DISKS_A_NODE)
        fleet = standin.Fleet(f"fake-{lab.tag}", nodes, DISKS_A_NODE)
        with standin.running(cluster, fleet):
            filled = fill(lab, fleet, f"fleet-{lab.tag}")
            children.append(child_mb(watched, bench))
            settle(watched)
            shown |= watched.figures(str(volumes))
        return shown | {"child_private_mb": max(children)} | filled


def complaints(shown: dict[str, float], volumes: int) -> list[str]:
    """What is over its budget."""
    small, large = shown[f"daemon_rss_mb_{OWN_DISKS}"], shown[f"daemon_rss_mb_{volumes}"]
    found = []
    if max(small, large) > DAEMON_RSS_MB:
        found.append(f"the daemon has {max(small, large):.1f} MB, more than {DAEMON_RSS_MB}")
    if large > FLAT * small:
        found.append(f"the daemon grows with the fleet: {small:.1f} MB, then {large:.1f}")
    if shown["child_private_mb"] > CHILD_PRIVATE_MB:
        found.append(
            f"a child has {shown['child_private_mb']:.1f} MB to itself, more than {CHILD_PRIVATE_MB}"
        )
    return found


def main() -> int:
    """Measure; the exit code says whether the daemon's budgets hold."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--volumes", type=int, default=10_000)
    parser.add_argument("--cluster", default="", help="use a cluster that runs already")
    parser.add_argument("--record", action="store_true", help="write bench/results/memory.json")
    given = parser.parse_args()
    if given.cluster:
        shown = measure(Cluster.attach(given.cluster), given.volumes)
    else:
        with Cluster.up("bench-memory", nodes=1, path_disks=0, node_grace_s=NODE_GRACE_S) as cluster:
            deployed.deploy(cluster, lambda what: print(f"  {what}", flush=True))
            shown = measure(cluster, given.volumes)
    figures = " ".join(f"{key}={value:.1f}" for key, value in shown.items())
    line = f"volumes={given.volumes} disks_a_node={DISKS_A_NODE} {figures}"
    if given.record:
        record.write("memory", line, shown)
    found = complaints(shown, given.volumes)
    for each in found:
        print(each, file=sys.stderr)
    print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
