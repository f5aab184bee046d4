"""What the scenarios share: a cluster with our programs deployed, and words for what a person would do.

Each test brings its own disks, its own pool and its own inventory ConfigMap, so that all share one cluster
and none sees another's. What a test waits for is a state of the API or of a disk, with a deadline that says
what was seen instead; no test asserts how long something took.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from tests.cluster import Cluster, ClusterError, Disk, Node
from tests.cluster.image import BUSYBOX
from tidb_volume import names
from tidb_volume.kube import kinds
from tidb_volume.kube.client import Client
from tidb_volume.kube.slim import SlimTransport, from_kubeconfig
from tidb_volume.upstream import Pod, Pv
from tidb_volume.value import Phase, Source, Volume

T = TypeVar("T")
NAMESPACE = "tidb-volume"
ROOT = Path(__file__).parents[2]
STAY = "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"


def until(
    what: str, look: Callable[[], T | None], seconds: float = 30, said: Callable[[], object] = str
) -> T:
    """Look every 50 ms until there is something to see; AssertionError with what was seen instead."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} s for {what}; instead: {said()}")
        time.sleep(0.05)


def never(what: str, look: Callable[[], object], seconds: float) -> None:
    """Look all the time for so long: it must not be seen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seen = look()
        assert not seen, f"{what}: {seen}"
        time.sleep(0.05)


class Lab:
    """One cluster with our programs in it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.api = Client(SlimTransport(from_kubeconfig(cluster.kubeconfig)), manager="e2e")
        self._numbers = itertools.count(1)
        self.tag = secrets.token_hex(2)
        """This run's own, in names: so that a cluster can be used again."""
        self.data = f"/data/{self.tag}"

    def close(self) -> None:
        """Close the connection to the API server."""
        self.api.transport.close()

    # --- what the API server says ---

    def volume(self, name: str) -> Volume | None:
        """One TidbVolume."""
        return self.api.find(kinds.TIDB_VOLUME, name)

    def pvs(self, volume: str) -> tuple[Pv, ...]:
        """Every PersistentVolume of a disk."""
        return self.api.list(kinds.PV, labels=f"{names.LABEL_DISK}={volume}")[0]

    def shows(self, volume: str, mode: str) -> bool:
        """Whether the disk's one PersistentVolume is on offer in that mode."""
        words = ("get", "pv", "-l", f"{names.LABEL_DISK}={volume}", "-o")
        path = "jsonpath={range .items[*]}{.spec.volumeMode} {.status.phase};{end}"
        return self.cluster.kubectl(*words, path) == f"{mode} Available;"

    def pod(self, namespace: str, name: str) -> Pod | None:
        """One pod."""
        return self.api.find(kinds.POD, name, namespace)

    def wait(
        self, volume: str, phase: Phase, reason: str = "", seconds: float = 30, tenancy_not: str = "-"
    ) -> Volume:
        """Wait for a volume's phase, and reason if one is given."""

        def look() -> Volume | None:
            found = self.volume(volume)
            good = (
                found is not None
                and found.status.phase is phase
                and (not reason or found.status.reason == reason)
                and found.status.tenancy != tenancy_not
            )
            return found if good else None

        return until(f"{volume} to be {phase.value} {reason}", look, seconds, lambda: self.story(volume))

    def story(self, volume: str) -> str:
        """What there is to know of a volume, for a failure's message."""
        found = self.volume(volume)
        if found is None:
            return "no such TidbVolume"
        status = found.status
        pvs = [(pv.metadata.name, pv.status.phase, pv.metadata.deletion_timestamp) for pv in self.pvs(volume)]
        return (
            f"{status.state} {status.reason}: {status.message}\n order {found.spec.order}\n"
            f" work {status.work}\n disk {status.disk}\n"
            f" committed {status.committed!r} dirty {status.dirty} PVs {pvs}"
        )

    # --- what an admin does ---

    def say(self, *words: str, exits: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
        """Run our command as a person does."""
        done = subprocess.run(
            [sys.executable, "-m", "tidb_volume.cli", *words],
            env={**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in exits, done.stdout + done.stderr
        return done

    def inventory(self, name: str, text: str) -> None:
        """Apply an inventory ConfigMap with one file."""
        document = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "labels": {names.LABEL_INVENTORY: "true"},
            },
            "data": {"disks.yaml": text},
        }
        self.cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump(document))

    def patch(self, what: str, name: str, patch: dict[str, Any], *more: str) -> None:
        """kubectl patch --type=merge."""
        self.cluster.kubectl(
            "patch",
            what,
            name,
            "--type=merge",
            f"--patch={json.dumps(patch)}",
            *more,
        )

    def set_policy(self, pv: str, policy: str) -> None:
        """Change a PersistentVolume's reclaim policy, as people do."""
        self.patch("pv", pv, {"spec": {"persistentVolumeReclaimPolicy": policy}})

    def answer(self, volume: str, field: str, **more: Any) -> None:
        """Answer the question that a volume asks now."""
        found = self.volume(volume)
        assert found is not None
        assert found.status.question is not None, f"{volume} asks nothing"
        said = {"question": found.status.question.id, "by": self.api.whoami(), **more}
        self.patch("tv", volume, {"spec": {"admin": {field: said}}})

    def keep_daemon(self, node: Node, *, away: bool) -> None:
        """Have the DaemonSet leave one node out, or not."""
        term = {"key": names.HOSTNAME, "operator": "NotIn", "values": [node.name]}
        required = {"nodeSelectorTerms": [{"matchExpressions": [term]}]} if away else None
        affinity = (
            {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}} if away else None
        )
        patch = {"spec": {"template": {"spec": {"affinity": affinity}}}}
        self.patch("daemonset", "disk-daemon", patch, "-n", NAMESPACE)
        if away:
            until("the daemon to be gone", lambda: not node.processes("/usr/local/bin/disk-daemon"), 60)

    # --- what a tenant does ---

    def namespace(self, prefix: str) -> str:
        """A namespace of its own."""
        name = f"{prefix}-{self.tag}-{next(self._numbers)}"
        self.cluster.kubectl("create", "namespace", name)
        return name

    def stateful_set(
        self,
        namespace: str,
        name: str,
        pool: str,
        replicas: int = 1,
        *,
        block: bool = False,
        on_scale_down: str = "Retain",
        on_delete: str = "Retain",
        grace: int = 2,
        command: str = STAY,
    ) -> None:
        """A StatefulSet with one claim a pod, at /data or as the device /dev/data."""
        container: dict[str, Any] = {
            "name": "main",
            "image": BUSYBOX,
            "imagePullPolicy": "Never",
            "command": ["sh", "-c", command],
        }
        if block:
            container["volumeDevices"] = [{"name": "data", "devicePath": "/dev/data"}]
        else:
            container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
        document = {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "replicas": replicas,
                "serviceName": name,
                "podManagementPolicy": "Parallel",
                "selector": {"matchLabels": {"app": name}},
                "persistentVolumeClaimRetentionPolicy": {
                    "whenScaled": on_scale_down,
                    "whenDeleted": on_delete,
                },
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"terminationGracePeriodSeconds": grace, "containers": [container]},
                },
                "volumeClaimTemplates": [
                    {
                        "metadata": {"name": "data"},
                        "spec": {
                            "accessModes": ["ReadWriteOnce"],
                            "volumeMode": "Block" if block else "Filesystem",
                            "storageClassName": pool,
                            "resources": {"requests": {"storage": "100Mi"}},
                        },
                    }
                ],
            },
        }
        self.cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump(document))

    def scale(self, namespace: str, name: str, replicas: int) -> None:
        """kubectl scale."""
        self.cluster.kubectl("-n", namespace, "scale", "statefulset", name, f"--replicas={replicas}")

    def running(self, namespace: str, pod: str, seconds: float = 60) -> Pod:
        """Wait until a pod is Ready."""

        def look() -> Pod | None:
            found = self.pod(namespace, pod)
            good = (
                found is not None
                and found.status.phase == "Running"
                and not found.metadata.deletion_timestamp
            )
            return found if good else None

        found = until(f"pod {namespace}/{pod} to run", look, seconds, lambda: self.describe(namespace, pod))
        self.cluster.kubectl(
            "-n", namespace, "wait", "--for=condition=Ready", f"pod/{pod}", f"--timeout={seconds:.0f}s"
        )
        return found

    def describe(self, namespace: str, pod: str) -> str:
        """kubectl describe, its end."""
        return self.cluster.kubectl("-n", namespace, "describe", "pod", pod)[-1500:]

    def sh(self, namespace: str, pod: str, command: str) -> str:
        """Run a shell command in a pod."""
        return self.cluster.kubectl("-n", namespace, "exec", pod, "--", "sh", "-c", command)

    def runs(self, namespace: str, pod: str) -> bool:
        """Whether a container of the pod runs right now, whatever the API server still says of it."""
        try:
            self.sh(namespace, pod, "true")
        except ClusterError:
            return False
        return True

    def reads(self, namespace: str, pod: str, file: str, wanted: str, seconds: float = 180) -> None:
        """Wait until a pod runs (again) and has a file; what it reads then must be what is wanted."""

        def look() -> bool:
            try:
                read = self.sh(namespace, pod, f"cat {file}").strip()
            except ClusterError:
                return False
            assert read == wanted
            return True

        until(f"{namespace}/{pod} to run", look, seconds, lambda: self.describe(namespace, pod))

    def gone(self, namespace: str, pod: str, seconds: float = 60) -> None:
        """Wait until a pod is gone."""
        until(f"pod {namespace}/{pod} to go", lambda: self.pod(namespace, pod) is None, seconds)

    # --- disks ---

    def path_disk(self, node: Node, mount: str) -> tuple[Disk, str]:
        """Plug in a disk with an XFS, mounted; and the name of the TidbVolume that an entry for it makes."""
        disk = node.add_disk(mount.strip("/").replace("/", "-"), mount=mount)
        return disk, names.volume_name(node.name, Source(path=mount))

    def volume_of(self, node: Node, mount: str) -> str:
        """The TidbVolume's name for a path entry."""
        return names.volume_name(node.name, Source(path=mount))

    def entries(self, node: Node, folder: str) -> list[str]:
        """What is in a folder of a node."""
        return node.exec(["ls", "-A", folder]).split()

    def raw_holds(self, disk: Disk, secret: str) -> bool:
        """Whether the disk's backing file holds a text anywhere."""
        return secret.encode() in disk.image.read_bytes()
