"""`uninstall` on a real API server: what it reads there, and its commands, run one after the other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.api.deployed import DEPLOY, PV, VOLUME, Kubectl, RefusedError, deployed
from tidb_volume.uninstall import Remains

pytestmark = pytest.mark.api

UUID, TENANCY = "0ab1c2d3-0000-4aaa-8bbb-0123456789ab", "abcdefghijkl"
DEVICE = """
---
apiVersion: tidbvolume.io/v1alpha1
kind: TidbVolume
metadata: {name: node-2-nvme-c}
spec: {nodeName: node-2, pool: tikv, source: {device: /dev/disk/by-id/nvme-C}, fsType: xfs}
"""
CLAIM = f"""
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: NAME, namespace: default}}
spec:
  accessModes: [ReadWriteOnce]
  volumeMode: MODE
  storageClassName: tikv
  volumeName: NAME-{TENANCY}
  resources: {{requests: {{storage: 1Gi}}}}
"""
PLACES = {
    "node-1-data-a": "/data/a/.tidb-volume",
    "node-2-nvme-b": "/dev/tidb-volume",
    "node-2-nvme-c": "/var/lib/tidb-volume/mounts/node-2-nvme-c/.tidb-volume",
}


def call(kubectl: Kubectl, *words: str) -> subprocess.CompletedProcess[str]:
    """The command, as a person runs it."""
    return subprocess.run(
        [sys.executable, "-m", "tidb_volume.cli", "uninstall", *words],
        env={**os.environ, "KUBECONFIG": str(kubectl.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
    )


def bound(kubectl: Kubectl, volume: str) -> None:
    """A claim has it, as Kubernetes and both of our programs would say it."""
    mode = "Block" if volume == "node-2-nvme-b" else "Filesystem"
    text = PV.replace("NAME", f"{volume}-{TENANCY}").replace("node-1-data-a", volume)
    text = text.replace("/data/a/.tidb-volume", PLACES[volume])
    kubectl("create", "-f", "-", stdin=CLAIM.replace("NAME", volume).replace("MODE", mode))
    uid = kubectl("get", "pvc", volume, "-n", "default", "-o", "jsonpath={.metadata.uid}")
    named = f"claimRef: {{namespace: default, name: {volume}, uid: {uid}}}"
    text = text.replace("CLAIM", f"volumeMode: {mode}\n  {named}")
    kubectl("create", "-f", "-", stdin=text)
    kubectl("wait", f"pv/{volume}-{TENANCY}", "--for=jsonpath={.status.phase}=Bound", "--timeout=30s")
    identity = {"wwn": f"eui.{volume[-1]}", "sizeBytes": 1 << 30}
    made, uuid = ("Block", "") if mode == "Block" else ("xfs noatime", UUID)
    identity |= {"fsUuid": uuid} if uuid else {}
    disk = {"presence": "OK", "made": made, "content": "tenancy", "identity": identity}
    status = {"phase": "Bound", "state": "Bound", "dirty": True, "identity": identity, "disk": disk}
    patch = msgspec.json.encode({"status": status}).decode()
    kubectl.merge(f"tv {volume}", patch, "--subresource=status")


def test_what_it_says_can_be_done_and_takes_away_what_it_says_and_nothing_else(tmp_path: Path) -> None:
    with deployed() as kubectl:
        kubectl("apply", "-f", "-", stdin=VOLUME + DEVICE)
        for volume in PLACES:
            bound(kubectl, volume)
        kubectl(
            "delete", "pv", "probe", "unlike", "--wait=false"
        )  # of `deployed`, to see the policies at work
        done = call(kubectl, "-o", "json", "--records", "--units", str(tmp_path / "files"))
        assert done.returncode == 0, done.stdout + done.stderr
        remains = msgspec.json.decode(done.stdout, type=Remains)
        back = {disk.volume: (disk.fate, disk.back) for node in remains.nodes for disk in node.disks}
        assert back == {
            "node-1-data-a": ("bound", "own"),
            "node-2-nvme-b": ("bound", "rule"),
            "node-2-nvme-c": ("bound", "unit"),
        }
        (unit,) = (tmp_path / "files" / "node-2").glob("*.mount")
        assert f"What=/dev/disk/by-uuid/{UUID}\n" in unit.read_text()
        assert "Options=nosuid,nodev,noatime,nofail\n" in unit.read_text()
        (rules,) = (tmp_path / "files" / "node-2").glob("*.rules")
        assert f'SYMLINK+="tidb-volume/{TENANCY}"' in rules.read_text()

        (tmp_path / "deploy").symlink_to(DEPLOY)
        obeyed(kubectl, remains.programs, tmp_path)
        assert "volume-controller" not in kubectl("get", "deployment,daemonset", "-A", "-o", "name")
        assert len(kubectl("get", "tv", "-o", "name").split()) == len(PLACES)
        with pytest.raises(RefusedError, match="delete-records=yes"):
            kubectl("delete", "crd", "tidbvolumes.tidbvolume.io")

        # Who takes all of deploy/ away, and once more, has no record deleted by it either.
        for _ in range(2):
            kubectl("delete", "-k", str(DEPLOY), "--wait=false", "--ignore-not-found")
        assert len(kubectl("get", "tv", "-o", "name").split()) == len(PLACES)
        assert kubectl("get", "namespace", "tidb-volume", "-o", "jsonpath={.status.phase}") == "Active"
        with pytest.raises(RefusedError, match="delete-records=yes"):
            kubectl("delete", "-k", str(DEPLOY / "base-crds"), "--wait=false", "--dry-run=server")

        kubectl("apply", "-k", str(DEPLOY / "admission"))
        kubectl("apply", "-k", str(DEPLOY / "people"))
        obeyed(kubectl, remains.records.commands, tmp_path)
        crds = [
            f"crd/{name}.tidbvolume.io" for name in ("tidbvolumes", "tidbvolumenodes", "tidbvolumefleets")
        ]
        kubectl("wait", "--for=delete", *crds, "--timeout=60s")
        assert "tidbvolume.io" not in kubectl("get", "crd,validatingadmissionpolicy", "-o", "name")
        assert "node-2-nvme-c" in (tmp_path / "tidb-volume-records.yaml").read_text()
        assert len(kubectl("get", "pv", "-o", "name").split()) == len(PLACES)
        assert call(kubectl).returncode == 3


def obeyed(kubectl: Kubectl, commands: tuple[str, ...], folder: Path) -> None:
    """Types them in. A namespace never goes without the controllers of Kubernetes: it is not waited for."""
    programs = Path(kubectl.cluster.record.programs["kubectl"]).parent
    env = {**os.environ, "KUBECONFIG": str(kubectl.kubeconfig), "PATH": f"{programs}:{os.environ['PATH']}"}
    for command in commands:
        line = f"{command} --wait=false" if " delete " in command else command
        done = subprocess.run(
            ["sh", "-ec", line], cwd=folder, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
