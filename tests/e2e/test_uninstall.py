"""tidb-volume is taken away, the node boots, and the pods are on their data; then it comes back.

The nodes here have neither systemd nor udev: what the written unit says is done by hand, as systemd would,
and so is what a person is told to do for a virtual raw disk, for which no rule can be written.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from tests.cluster import Node
from tests.e2e import deployed
from tests.e2e.lab import NAMESPACE, Lab, until
from tests.e2e.test_devices import Tenant, all_read, delete_pods, node
from tidb_volume import names
from tidb_volume.kube import kinds
from tidb_volume.uninstall import Remains
from tidb_volume.value import Phase

__all__ = ["node"]

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]


def uninstall(lab: Lab, folder: Path) -> Remains:
    """The command, as a person runs it; other tests' disks may be such that one does not come back."""
    done = lab.say("uninstall", "-o", "json", "--units", str(folder), exits=(0, 1))
    return msgspec.json.decode(done.stdout, type=Remains)


@contextmanager
def taken_away(lab: Lab, commands: tuple[str, ...], folder: Path) -> Iterator[None]:
    """Its commands, typed in; and in the end the programs are there again."""
    (folder / "deploy").symlink_to(ROOT / "deploy")
    programs = Path(lab.cluster.record.programs["kubectl"]).parent
    env = os.environ | {"KUBECONFIG": str(lab.cluster.kubeconfig), "PATH": f"{programs}:{os.environ['PATH']}"}
    try:
        for command in commands:
            subprocess.run(["sh", "-ec", command], cwd=folder, env=env, check=True, timeout=120)
        until("our programs to be gone", lambda: not lab.api.list(kinds.POD, NAMESPACE)[0], 120)
        yield
    finally:
        deployed.apply(lab.cluster)
        deployed.wait(lab.cluster)


def mount_by(unit: str, node: Node) -> None:
    """What systemd does with it."""
    parsed = ConfigParser(interpolation=None)
    parsed.optionxform = str  # type: ignore[method-assign,assignment]
    parsed.read_string(unit)
    said = parsed["Mount"]
    uuid = said["What"].removeprefix("/dev/disk/by-uuid/")
    node.exec(["mkdir", "-p", said["Where"]])
    options = ",".join(each for each in said["Options"].split(",") if each != "nofail")
    node.exec(["mount", "-t", said["Type"], "-o", options, "-U", uuid, said["Where"]])


@pytest.mark.timeout(900)
def test_after_it_is_taken_away_a_boot_brings_every_disk_back(lab: Lab, node: Node, tmp_path: Path) -> None:
    tenants = [Tenant(lab, "away", node, mode=mode) for mode in ("path", "xfs", "ext4", "Block")]
    for tenant in tenants:
        tenant.start()
        tenant.write(tenant.word)
    before = [lab.wait(tenant.volume, Phase.BOUND).status.tenancy for tenant in tenants]

    remains = uninstall(lab, tmp_path / "units")
    told = {disk.volume: disk for each in remains.nodes for disk in each.disks}
    path, xfs, ext4, block = (told[tenant.volume] for tenant in tenants)
    assert [each.back for each in (path, xfs, ext4, block)] == ["own", "unit", "unit", "missing"]
    assert "virtual disk" in block.problem

    with taken_away(lab, remains.programs, tmp_path):
        assert all(lab.runs(tenant.namespace, "db-0") for tenant in tenants)
        node.reboot(wait=False)
        for disk in (xfs, ext4):
            mount_by((tmp_path / "units" / node.name / disk.file).read_text(), node)
        node.exec(["mkdir", "-p", str(Path(names.block_node("x")).parent)])
        node.exec(["ln", "-s", block.source, names.block_node(before[3])])
        node.wait_ready(120)
        all_read(tenants)
        delete_pods(tenants)
        all_read(tenants)

    all_read(tenants)
    after = [lab.wait(tenant.volume, Phase.BOUND, seconds=120).status.tenancy for tenant in tenants]
    assert after == before
    node.reboot()
    all_read(tenants)
