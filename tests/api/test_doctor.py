"""`doctor` reads a real API server's own words for what is deployed, and says what is missing there."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest

from tests.api.deployed import Kubectl, deployed

pytestmark = pytest.mark.api
NODE = "{apiVersion: tidbvolume.io/v1alpha1, kind: TidbVolumeNode, metadata: {name: node-1}}"


def findings(kubectl: Kubectl) -> dict[str, str]:
    """What the command finds, by code."""
    done = subprocess.run(
        [sys.executable, "-m", "tidb_volume.cli", "doctor", "-o", "json"],
        env={**os.environ, "KUBECONFIG": str(kubectl.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
    )
    report = msgspec.json.decode(done.stdout)
    assert done.returncode == int(any(each["severity"] != "warning" for each in report["findings"])), (
        done.stderr
    )
    return {each["code"]: each["what"] for each in report["findings"]}


def test_what_is_taken_away_from_an_installation_is_missed() -> None:
    nothing_runs = {"NoLeader", "DaemonMissing", "ClassMissing"}
    with deployed() as kubectl:
        found = findings(kubectl)
        assert set(found) == nothing_runs
        kubectl("create", "-f", "-", stdin=NODE)
        status = '{"status": {"virtualDisks": true}}'
        kubectl("patch", "tvn", "node-1", "--subresource=status", "--type=merge", "-p", status)
        assert "node-1" in findings(kubectl)["VirtualDisks"]
        kubectl("delete", "tvn", "node-1")
        patch = '{"spec": {"validationActions": ["Audit"]}}'
        kubectl.merge("validatingadmissionpolicybinding/tidb-volume-words", patch)
        patch = '{"spec": {"validations": [{"expression": "true"}]}}'
        kubectl.merge("validatingadmissionpolicy/tidb-volume-daemon", patch)
        kubectl("delete", "validatingadmissionpolicy", "tidb-volume-orders")
        kubectl("delete", "tidbvolumefleet", "fleet")
        found = findings(kubectl)
        assert set(found) == nothing_runs | {"NoFleet", "PolicyMissing", "PolicyWeak", "PolicyDiffers"}
        assert "tidb-volume-daemon" in found["PolicyDiffers"]
        assert "tidb-volume-orders" in found["PolicyMissing"]
        assert "tidb-volume-words" in found["PolicyWeak"]
