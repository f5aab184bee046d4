"""`make demo`: a disk's life on a cluster of two real nodes, step by step, with kubectl's own output.

Everything is as a user would do it: deploy/ is applied, an inventory is a ConfigMap, a database is a
StatefulSet. Each step says in a line what happens and fails loudly if it does not. The cluster stays up.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing

from tests.cluster import Cluster, ClusterError, down
from tests.e2e import deployed
from tests.e2e.lab import Lab, until
from tidb_volume import names
from tidb_volume.value import Phase, Source

NAME = "demo"
POOL = "tikv"
SECRET = "customer-records-of-tenant-a"
WRITE = f"echo {SECRET} > /data/db; sync; trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"
STEPS = 6

INVENTORY = """\
pools:
  tikv: {onRelease: wipe, wipeAfter: 8s}
defaultPool: tikv
nodes:
"""


class Demo:
    """The steps, over one cluster."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.step = 0
        self.begun = time.monotonic()
        self.listed = {node.name: ["/data/nvme0", "/data/nvme1"] for node in lab.cluster.nodes}

    def say(self, text: str) -> None:
        """The next step's line."""
        self.step += 1
        bold, plain = (
            ("\033[1m", "\033[0m") if sys.stdout.isatty() and "NO_COLOR" not in os.environ else ("", "")
        )
        print(f"\n{bold}[{self.step}/{STEPS}] {text}{plain}", flush=True)

    def show(self, *arguments: str) -> None:
        """A kubectl command and what it prints."""
        print(f"$ kubectl {' '.join(arguments)}")
        print(self.lab.cluster.kubectl(*arguments).rstrip(), flush=True)

    def inventory(self) -> None:
        """Apply the inventory as it is listed now."""
        lines = [f"  {node}: [{', '.join(folders)}]\n" for node, folders in self.listed.items()]
        text = INVENTORY + "".join(lines)
        print("    " + text.rstrip().replace("\n", "\n    "))
        self.lab.inventory("tikv-disks", text)

    def volume(self, node: str, folder: str) -> str:
        """A TidbVolume's name."""
        return names.volume_name(node, Source(path=folder))

    def volumes(self) -> list[str]:
        """Every listed one."""
        return [self.volume(node, folder) for node, folders in self.listed.items() for folder in folders]

    def run(self) -> None:
        """All steps."""
        lab = self.lab
        self.say("an admin lists the disks of two nodes in a ConfigMap; they come on offer")
        self.inventory()
        for volume in self.volumes():
            lab.wait(volume, Phase.AVAILABLE)
        self.show("get", "tv")
        self.show("get", "pv", "--sort-by=.metadata.name")

        self.say("a StatefulSet of three pods stands for TiKV: each lands on a disk of its own and writes")
        namespace = "tidb"
        lab.cluster.kubectl("create", "namespace", namespace)
        lab.stateful_set(
            namespace, "tikv", POOL, 3, on_scale_down="Delete", on_delete="Delete", command=WRITE
        )
        for number in range(3):
            lab.running(namespace, f"tikv-{number}")
        owned = until("the owners to be named", lambda: self.owner(f"{namespace}/data-tikv-2"))
        self.show("get", "tv")

        self.say(
            "scaled in to two: the claim goes by its retention policy, the disk is released, counts down"
        )
        before = lab.volume(owned)
        assert before is not None
        old = before.status.tenancy
        node, folder = self.place(owned)
        held = lab.cluster.node(node).exec(["cat", f"{folder}/.tidb-volume/{old}/db"]).strip()
        assert held == SECRET
        print(f"# {node}: {folder}/.tidb-volume/{old}/db holds: {held}")
        lab.scale(namespace, "tikv", 2)
        lab.wait(owned, Phase.RELEASED, "Countdown", seconds=60)
        self.show("get", "tv", owned, "-o", "wide")
        lab.wait(owned, Phase.AVAILABLE, tenancy_not=old, seconds=60)
        self.show("get", "tv", owned, "-o", "wide")
        left = lab.cluster.node(node).exec(["sh", "-c", f"grep -rl -- {SECRET} {folder} || true"])
        assert left.strip() == "", f"still there: {left}"
        print(f"# {node}: grep finds {SECRET!r} nowhere below {folder}; the folder of {old} is gone")
        self.show(
            "get", "events", f"--field-selector=involvedObject.name={owned}", "--sort-by=.lastTimestamp"
        )

        self.say("a disk is added to the ConfigMap, live; it is on offer at once")
        first = lab.cluster.nodes[0]
        first.add_disk("nvme2", mount="/data/nvme2")
        self.listed[first.name].append("/data/nvme2")
        self.inventory()
        begun = time.monotonic()
        lab.wait(self.volume(first.name, "/data/nvme2"), Phase.AVAILABLE)
        print(f"# on offer {time.monotonic() - begun:.2f} s after kubectl apply returned")
        self.show("get", "tv")

        last = lab.cluster.nodes[-1]
        self.say(f"{last.name} loses its power: its disks are said to be offline, and nothing is wiped")
        last.power_off()
        mine = [self.volume(last.name, folder) for folder in self.listed[last.name]]
        until(
            "the node's loss to be said",
            lambda: all("offline" in (lab.volume(volume) or before).status.state for volume in mine),
            120,
        )
        self.show("get", "nodes")
        self.show("get", "tv")

        self.say(f"{last.name} comes back: all is as before, the pods are on their disks")
        last.start()
        last.wait_ready()
        until(
            "all to be well",
            lambda: all("offline" not in (lab.volume(volume) or before).status.state for volume in mine),
            120,
        )
        for number in range(2):
            lab.running(namespace, f"tikv-{number}", 120)
            assert lab.sh(namespace, f"tikv-{number}", "cat /data/db").strip() == SECRET
        self.show("get", "tv")

    def owner(self, claim: str) -> str:
        """The volume that a claim has."""
        for volume in self.volumes():
            found = self.lab.volume(volume)
            owner = found.status.owner if found is not None else None
            if owner is not None and str(owner.claim) == claim and owner.pod is not None:
                return volume
        return ""

    def place(self, volume: str) -> tuple[str, str]:
        """Node and folder of a listed volume."""
        for node, folders in self.listed.items():
            for folder in folders:
                if self.volume(node, folder) == volume:
                    return node, folder
        raise KeyError(volume)


def main() -> int:
    """Run the demo; 0 if every step did what it says."""
    if os.geteuid() != 0:
        print("the demo starts real nodes on loop disks and needs root", file=sys.stderr)
        return 1
    begun = time.monotonic()
    try:
        down(NAME)
        print("starting a cluster of two real nodes …", flush=True)
        cluster = Cluster.up(NAME, nodes=2, path_disks=0)
        for node in cluster.nodes:
            for number in range(2):
                node.add_disk(f"nvme{number}", mount=f"/data/nvme{number}")
        deployed.deploy(
            cluster, lambda what: print(f"  {time.monotonic() - begun:5.1f} s  {what}", flush=True)
        )
        with closing(Lab(cluster)) as lab:
            Demo(lab).run()
    except (AssertionError, ClusterError) as error:
        print(f"\nthe demo failed: {error}", file=sys.stderr)
        return 1
    print(f"\nThe whole demo took {time.monotonic() - begun:.0f} s. The cluster is up; to go on:")
    print(f"  export KUBECONFIG={cluster.kubeconfig}")
    print("  kubectl get tv -w                 # and: kubectl explain tv.spec, kubectl describe tv …")
    print(f"  make cluster-down ARGS='--name {NAME}'   # takes it away")
    return 0


if __name__ == "__main__":
    sys.exit(main())
