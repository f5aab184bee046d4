"""Our programs on a cluster of tests/cluster, from deploy/ as a user would put them there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deploy.image import images
from tests.cluster import Cluster, ClusterError
from tests.cluster.image import basic_images

ROOT = Path(__file__).parents[2]
NAMESPACE = "tidb-volume"
BUDGET = '{"spec":{"budget":{"wipesPerHour":100000,"claimsPerHour":100000,"percent":100,"atLeast":100000}}}'
"""Tests wipe more in an hour than a fleet of this size ever should."""


def deploy(cluster: Cluster, say: Callable[[str], None] = lambda _: None) -> None:
    """Build the images, load them into every node, apply deploy/overlays/embedded, wait until all runs."""
    cluster.load(basic_images())
    for name in ("controller", "daemon"):
        say(f"the image of {name}, into every node")
        cluster.load(images.build(name))
    say("kubectl apply -k deploy/overlays/embedded, until both programs run")
    apply(cluster)
    wait(cluster)


def apply(cluster: Cluster) -> None:
    """What a user does: kubectl apply -k, and the fleet object once."""
    overlay = ROOT / "deploy" / "overlays" / "embedded"
    cluster.kubectl("apply", "--server-side", "-k", overlay)
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    try:
        cluster.kubectl("get", "tvf", "fleet")
    except ClusterError:
        cluster.kubectl("create", "-f", ROOT / "deploy" / "fleet.yaml")
    cluster.kubectl("patch", "tvf", "fleet", "--type=merge", f"--patch={BUDGET}")


def wait(cluster: Cluster) -> None:
    """Until both programs are rolled out."""
    for what in ("deployment/volume-controller", "daemonset/disk-daemon"):
        cluster.kubectl("-n", NAMESPACE, "rollout", "status", what, "--timeout=180s", timeout=200)
