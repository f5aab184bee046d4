"""An API server on which all of `deploy/` was applied, as a user would do it: by kubectl."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.cluster import Cluster
from tidb_volume.kube import slim
from tidb_volume.kube.transport import Transport

DEPLOY = Path(__file__).parents[2] / "deploy"
CONTROLLER = "system:serviceaccount:tidb-volume:volume-controller"
HELD = '{"spec":{"admin":{"hold":true}}}'
DRY = "--dry-run=server"
DAEMON = "system:serviceaccount:tidb-volume:disk-daemon"
VOLUME = """
apiVersion: tidbvolume.io/v1alpha1
kind: TidbVolume
metadata: {name: node-1-data-a}
spec: {nodeName: node-1, pool: tikv, source: {path: /data/a}}
---
apiVersion: tidbvolume.io/v1alpha1
kind: TidbVolume
metadata: {name: node-2-nvme-b}
spec: {nodeName: node-2, pool: tikv, source: {device: /dev/disk/by-id/nvme-B}, volumeMode: Block}
"""
MACHINE = """
apiVersion: v1
kind: Node
metadata: {name: NODE}
---
apiVersion: v1
kind: Pod
metadata: {name: daemon-NODE, namespace: tidb-volume}
spec:
  serviceAccountName: disk-daemon
  nodeName: NODE
  containers: [{name: a, image: a}]
"""
ANOTHER = """
apiVersion: tidbvolume.io/v1alpha1
kind: TidbVolume
metadata: {name: z}
spec: {nodeName: node-1, pool: tikv, source: {path: /data/z}}
"""

PV = """
apiVersion: v1
kind: PersistentVolume
metadata:
  name: NAME
  labels: {tidbvolume.io/disk: node-1-data-a}
  annotations: {pv.kubernetes.io/provisioned-by: tidbvolume.io}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: tikv
  persistentVolumeReclaimPolicy: Retain
  CLAIM
  local: {path: /data/a/.tidb-volume/abcdefghijkl}
  nodeAffinity:
    required:
      nodeSelectorTerms:
      - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [node-1]}]
"""
FREE = "node-1-data-a-0a1b2c-abcdefghijkl"
"""The name that the controller gives to a volume of that path."""
OWNED = "claimRef: {namespace: a, name: data-0, uid: u-1}"
OTHER = """
apiVersion: v1
kind: PersistentVolume
metadata: {name: NAME}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: other
  hostPath: {path: /data/other}
"""


class RefusedError(Exception):
    """What kubectl said when it failed."""


class Kubectl:
    """kubectl as the cluster's admin, or with a kubeconfig of one's own."""

    def __init__(self, cluster: Cluster, kubeconfig: Path | None = None) -> None:
        self.cluster, self.kubeconfig = cluster, kubeconfig or cluster.kubeconfig
        self._command = [cluster.record.programs["kubectl"], f"--kubeconfig={self.kubeconfig}"]

    def with_token(self, token: str, folder: Path) -> Kubectl:
        """The same server, as whom the token speaks for. folder: where the kubeconfig is written."""
        config = yaml.safe_load(self.cluster.kubeconfig.read_text())
        for user in config["users"]:
            user["user"] = {"token": token}  # beside a client certificate a token does not count
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return Kubectl(self.cluster, path)

    def __call__(self, *words: str, stdin: str = "") -> str:
        done = subprocess.run(
            [*self._command, *words], input=stdin, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RefusedError(done.stderr)
        return done.stdout

    def transport(self) -> Transport:
        """As the same, but by what our programs use."""
        return slim.SlimTransport(slim.from_kubeconfig(self.kubeconfig))

    def merge(self, what: str, patch: str, *words: str) -> str:
        return self("patch", *what.split(), "--type=merge", f"--patch={patch}", *words)


@contextmanager
def deployed() -> Iterator[Kubectl]:
    """An API server with all of deploy/ on it, two volumes, and every policy in force."""
    with Cluster.up(f"deploy-test-{os.getpid()}", api_only=True) as cluster:
        made = Kubectl(cluster)
        made("apply", "-k", str(DEPLOY / "base-crds"))
        made("apply", "-k", str(DEPLOY))
        made("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        made("apply", "-f", str(DEPLOY / "fleet.yaml"))
        made("apply", "-f", "-", stdin=VOLUME)
        policies_in_force(made)
        yield made


def policies_in_force(kubectl: Kubectl) -> None:
    """A policy counts a moment after it was made: asks until each of them refuses."""
    kubectl("create", "-f", "-", stdin=PV.replace("NAME", "probe").replace("CLAIM", OWNED))
    kubectl("create", "-f", "-", stdin=OTHER.replace("NAME", "unlike"))
    status = ("--subresource=status", f"--as={DAEMON}")
    for attempt in (
        lambda: kubectl.merge("pv probe", '{"spec":{"claimRef":null}}', DRY),
        lambda: kubectl("delete", "crd", "tidbvolumenodes.tidbvolume.io", DRY),
        lambda: kubectl("delete", "namespace", "tidb-volume", DRY),
        lambda: kubectl.merge("tv node-1-data-a", '{"status":{"dirty":true}}', DRY, *status),
        lambda: kubectl.merge("tv node-1-data-a", '{"spec":{"pool":"other"}}', DRY),
        lambda: kubectl.merge("tv node-1-data-a", HELD, DRY, f"--as={CONTROLLER}"),
        lambda: kubectl("delete", "pv", "unlike", DRY, f"--as={CONTROLLER}"),
        lambda: kubectl.merge("tv node-1-data-a", '{"metadata":{"finalizers":["a.b/c"]}}', DRY),
    ):
        refused(attempt)


def refused(attempt: Callable[[], str]) -> str:
    until = time.monotonic() + 30
    while True:
        try:
            attempt()
        except RefusedError as said:
            return str(said)
        assert time.monotonic() < until, "nobody refused it"
        time.sleep(0.1)
