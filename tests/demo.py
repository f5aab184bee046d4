"""`make demo`: a disk's life on a cluster of two real nodes, step by step, with kubectl's own output.

Everything is as a user would do it: deploy/ is applied, an inventory is a ConfigMap, a database is a
StatefulSet. Each step says in a line what happens and fails loudly if it does not. The cluster stays up.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from contextlib import closing

from deploy.image.images import ImageError
from tests.cluster import Cluster, ClusterError, Node, down
from tests.cluster.build import BuildError
from tests.e2e import deployed
from tests.e2e.lab import Lab, until
from tidb_volume import names
from tidb_volume.value import Phase, Source

NAME = "demo"
POOL = "tikv"
SECRET = "customer-records-of-tenant-a"
# Written once: what is read after the node was away is what lay on the disk.
WRITE = (
    f"[ -e /data/db ] || echo {SECRET} > /data/db; sync;"
    " trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"
)
STEPS = 6
HOW_TO_STOP = f"make cluster-down ARGS='--name {NAME}'     # takes the cluster away"

NAMESPACE = "tidb"
# kubectl's own wide columns are wider than most screens.
VOLUMES = (
    "custom-columns=NAME:.metadata.name,SIZE:.spec.capacity.storage,CLASS:.spec.storageClassName,"
    "RECLAIM:.spec.persistentVolumeReclaimPolicy,STATUS:.status.phase"
)
COUNTDOWN = (
    "custom-columns=DISK:.spec.source.path,STATE:.status.state,REASON:.status.reason,WIPE AT:.status.wipeAt"
)

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

    def note(self, text: str) -> None:
        """What kubectl can't show."""
        print(f"# {text}", flush=True)

    def show(self, *arguments: str) -> None:
        """A kubectl command and what it prints."""
        print(f"$ kubectl {shlex.join(arguments)}", flush=True)
        print(self.lab.cluster.kubectl(*arguments).rstrip(), flush=True)

    def inventory(self) -> None:
        """Apply the inventory as it is listed now."""
        lines = [f"  {node}: [{', '.join(folders)}]\n" for node, folders in self.listed.items()]
        text = INVENTORY + "".join(lines)
        print("$ kubectl apply -f tikv-disks.yaml   # a ConfigMap with this in it:")
        print("    " + text.rstrip().replace("\n", "\n    "), flush=True)
        self.lab.inventory("tikv-disks", text)

    def volume(self, node: str, folder: str) -> str:
        """A TidbVolume's name."""
        return names.volume_name(node, Source(path=folder))

    def volumes(self) -> list[str]:
        """Every listed one."""
        return [self.volume(node, folder) for node, folders in self.listed.items() for folder in folders]

    def run(self) -> None:
        """All steps."""
        self.offer()
        self.give()
        self.take_back()
        self.add()
        node = self.lose()
        self.come_back(node)

    def offer(self) -> None:
        self.say("an admin lists the disks of two nodes in a ConfigMap; they come on offer")
        self.inventory()
        for volume in self.volumes():
            self.lab.wait(volume, Phase.AVAILABLE)
        self.show("get", "tv")
        self.show("get", "pv", "-o", VOLUMES)

    def give(self) -> None:
        lab = self.lab
        self.say("a StatefulSet of three pods stands for TiKV: each lands on a disk of its own and writes")
        lab.cluster.kubectl("create", "namespace", NAMESPACE)
        lab.stateful_set(
            NAMESPACE, "tikv", POOL, 3, on_scale_down="Delete", on_delete="Delete", command=WRITE
        )
        for number in range(3):
            lab.running(NAMESPACE, f"tikv-{number}")
        until("the owners to be named", lambda: all(self.owner(number) for number in range(3)))
        self.show("-n", NAMESPACE, "get", "pods")
        self.show("get", "tv")

    def take_back(self) -> None:
        lab, volume = self.lab, self.owner(2)
        self.say(
            "scaled in to two: the claim goes by its retention policy; its disk counts down, and is wiped"
        )
        before = lab.volume(volume)
        assert before is not None
        old = before.status.tenancy
        node, folder = self.place(volume)
        held = lab.cluster.node(node).exec(["cat", f"{folder}/.tidb-volume/{old}/db"]).strip()
        assert held == SECRET
        self.note(f"on {node}, {folder}/.tidb-volume/{old}/db holds: {held}")
        self.show("-n", NAMESPACE, "scale", "statefulset", "tikv", "--replicas=2")
        lab.wait(volume, Phase.RELEASED, "Countdown", seconds=60)
        self.show("get", "tv", volume, "-o", COUNTDOWN)
        self.note(
            "until then, `kubectl tidb-volume hold` or a patch of its PV to Retain keeps the data; waiting …"
        )
        lab.wait(volume, Phase.AVAILABLE, tenancy_not=old, seconds=60)
        self.show("get", "tv", volume)
        left = lab.cluster.node(node).exec(["sh", "-c", f"grep -rl -- {SECRET} {folder} || true"])
        assert left.strip() == "", f"still there: {left}"
        self.note(f"grep finds {SECRET!r} nowhere below {folder} any more")
        about = f"--field-selector=involvedObject.name={volume}"
        self.show("get", "events", about, "--sort-by=.lastTimestamp")

    def add(self) -> None:
        self.say("a disk is added to the ConfigMap, live; it is on offer at once")
        first = self.lab.cluster.nodes[0]
        first.add_disk("nvme2", mount="/data/nvme2")
        self.listed[first.name].append("/data/nvme2")
        self.inventory()
        begun = time.monotonic()
        self.lab.wait(self.volume(first.name, "/data/nvme2"), Phase.AVAILABLE)
        self.note(f"on offer {time.monotonic() - begun:.2f} s after kubectl apply returned")
        self.show("get", "tv")

    def lose(self) -> Node:
        node = self.lab.cluster.node(self.place(self.owner(0))[0])
        self.say(f"{node.name} loses its power: its disks are said to be offline, and nothing is wiped")
        node.power_off()
        self.note("the control plane misses a node after some 20 s (after 50 s by default); waiting …")
        until("the node's loss to be said", lambda: all(self.offline(node)), 120)
        self.show("get", "nodes")
        self.show("get", "tv")
        return node

    def come_back(self, node: Node) -> None:
        self.say(f"{node.name} comes back: all is as before, the pods are on their disks with their data")
        node.start()
        until("all to be well", lambda: not any(self.offline(node)), 120)
        for number in range(2):
            self.lab.reads(NAMESPACE, f"tikv-{number}", "/data/db", SECRET)
        until("the owners to be named again", lambda: all(self.owner(number) for number in range(2)))
        self.show("-n", NAMESPACE, "get", "pods")
        self.show("get", "tv")
        self.show("-n", NAMESPACE, "exec", "tikv-0", "--", "cat", "/data/db")

    def offline(self, node: Node) -> list[bool]:
        """Of each listed disk of a node, whether it is said to be offline."""
        found = [self.lab.volume(self.volume(node.name, folder)) for folder in self.listed[node.name]]
        return [volume is not None and "offline" in volume.status.state for volume in found]

    def owner(self, number: int) -> str:
        """The volume that a pod of the StatefulSet has, empty while none is said to."""
        for volume in self.volumes():
            found = self.lab.volume(volume)
            owner = found.status.owner if found is not None else None
            if owner is not None and owner.pod is not None and owner.pod.name == f"tikv-{number}":
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

    def say(what: str) -> None:
        print(f"  {time.monotonic() - begun:5.1f} s  {what}", flush=True)

    try:
        down(NAME)
        say("a cluster of two real nodes")
        cluster = Cluster.up(NAME, nodes=2, path_disks=0)
        for node in cluster.nodes:
            for number in range(2):
                node.add_disk(f"nvme{number}", mount=f"/data/nvme{number}")
        deployed.deploy(cluster, say)
        with closing(Lab(cluster)) as lab:
            Demo(lab).run()
    except (AssertionError, BuildError, ClusterError, ImageError) as error:
        print(f"\nthe demo failed: {error}\n\n{HOW_TO_STOP}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{HOW_TO_STOP}", file=sys.stderr)
        return 130
    print(f"\nThe whole demo took {time.monotonic() - begun:.0f} s. The cluster is up; to go on:")
    here = "" if shutil.which("kubectl") else f":{os.path.dirname(cluster.record.programs['kubectl'])}"
    print(f"  export KUBECONFIG={cluster.kubeconfig} PATH=$PATH:{os.path.dirname(sys.executable)}{here}")
    print("  kubectl get tv -w; kubectl explain tv.spec; kubectl tidb-volume status")
    print(f"  {HOW_TO_STOP}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
