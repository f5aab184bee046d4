"""A disk's life on any cluster that a kubeconfig names, with kubectl alone and nothing of tests/cluster.

    KUBECONFIG=… E2E_DISK=node-1=/data/spare make e2e-deployed

E2E_DISK names a folder of a node of that cluster on which a blank disk is mounted. It is wiped twice, which
counts in the breaker's budget, and is blank again afterwards. tidb-volume is deployed there already, and not
paused. E2E_IMAGE is any image with a shell (busybox).
`plain-cluster.sh` beside this starts such a cluster on one machine.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

NAMESPACE = "tidb-volume"
IMAGE = os.environ.get("E2E_IMAGE", "busybox")
STAY = "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"


def kubectl(*words: str, document: dict[str, Any] | None = None) -> str:
    done = subprocess.run(
        ["kubectl", *words],
        input=json.dumps(document) if document is not None else None,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
    return done.stdout


def get(*words: str) -> dict[str, Any]:
    found = json.loads(kubectl("get", *words, "-o", "json"))
    assert isinstance(found, dict)
    return found


def until(what: str, look: Callable[[], Any], seconds: float = 90) -> Any:
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"waited {seconds} s for {what}:\n{kubectl('get', 'tv', '-o', 'wide')}"
        time.sleep(0.3)


class Place:
    """One spare disk, with a pool, an inventory and a namespace of its own."""

    def __init__(self, node: str, folder: str) -> None:
        self.node, self.folder = node, folder
        self.word = f"deployed-{secrets.token_hex(3)}"
        kubectl("create", "namespace", self.word)
        text = (
            f"pools: {{{self.word}: {{onRelease: wipe, wipeAfter: 2s}}}}\n"
            f"nodes: {{{node}: [{{path: {folder}, pool: {self.word}}}]}}"
        )
        meta = {"name": self.word, "namespace": NAMESPACE, "labels": {"tidbvolume.io/inventory": "true"}}
        source = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"disks.yaml": text}}
        kubectl("apply", "-f", "-", document=source)

    def close(self) -> None:
        """Take away what was made; the entry last, so that the disk is wiped before it leaves the fleet."""
        kubectl("delete", "namespace", self.word, "--timeout=90s")
        try:
            self.wait("Available")
        finally:
            kubectl("-n", NAMESPACE, "delete", "configmap", self.word)
            kubectl("delete", "storageclass", self.word, "--ignore-not-found")

    def volume(self) -> dict[str, Any] | None:
        for item in get("tv")["items"]:
            if item["spec"]["nodeName"] == self.node and item["spec"]["source"].get("path") == self.folder:
                assert isinstance(item, dict)
                return item
        return None

    def wait(self, phase: str, not_tenancy: str = "") -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found = self.volume()
            status = found.get("status", {}) if found is not None else {}
            return found if status.get("phase") == phase and status.get("tenancy") != not_tenancy else None

        found = until(f"{self.node}:{self.folder} to be {phase}", look)
        assert isinstance(found, dict)
        return found

    def pod(self) -> None:
        """A claim of the pool, and a pod on it."""
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "namespace": self.word},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": self.word,
                "resources": {"requests": {"storage": "1Mi"}},
            },
        }
        container = {
            "name": "main",
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", STAY],
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "db", "namespace": self.word},
            "spec": {
                "terminationGracePeriodSeconds": 2,
                "containers": [container],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
            },
        }
        kubectl("apply", "-f", "-", document=claim)
        kubectl("apply", "-f", "-", document=pod)
        kubectl("-n", self.word, "wait", "--for=condition=Ready", "pod/db", "--timeout=120s")

    def sh(self, command: str) -> str:
        return kubectl("-n", self.word, "exec", "db", "--", "sh", "-c", command).strip()


@pytest.fixture
def place() -> Iterator[Place]:
    node, _, folder = os.environ.get("E2E_DISK", "").partition("=")
    if not folder:
        pytest.fail("say which disk may be used up: E2E_DISK=NODE=/FOLDER")
    with closing(Place(node, folder)) as made:
        yield made


def test_a_disks_whole_life(place: Place) -> None:
    first = place.wait("Available")["status"]
    place.pod()
    bound = place.wait("Bound")["status"]
    assert bound["owner"]["claim"]["name"] == "data"
    place.sh("echo s3cret > /data/file; sync")
    kubectl("-n", place.word, "delete", "pod", "db")
    place.pod()
    assert place.sh("cat /data/file") == "s3cret"
    kubectl("-n", place.word, "delete", "pod", "db")
    kubectl("-n", place.word, "delete", "pvc", "data")
    again = place.wait("Available", not_tenancy=first["tenancy"])["status"]
    assert again["volumeName"] != first["volumeName"]
    place.pod()
    assert place.sh("ls -A /data") == ""
