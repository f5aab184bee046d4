"""What is seen of real disks, and by which names."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from disk_daemon.facts.folder import Rules
from disk_daemon.survey import survey
from tests.disks.bench import Disk
from tidb_volume.value import SeenDisk


def seen(disk: Disk, rules: Rules) -> SeenDisk:
    name = os.path.basename(disk.loop)
    return next(each for each in survey(rules).report.disks if each.name == name)


def test_a_disk_is_seen_by_every_way_that_leads_to_it(disk: Disk, rules: Rules, tmp_path: Path) -> None:
    (disk.path / "vol1").mkdir()
    bound = tmp_path / "bound"
    bound.mkdir()
    into, device = tmp_path / "into", tmp_path / "device"
    into.symlink_to(disk.path / "vol1")
    device.symlink_to(disk.loop)
    subprocess.run(["mount", "--bind", disk.path / "vol1", bound], check=True)
    try:
        found = seen(disk, rules)
    finally:
        subprocess.run(["umount", bound], check=True)
    assert found.mounts == (str(disk.path),)
    assert found.folders == (str(bound), str(into))
    assert str(device) in found.links
    assert found.identity is not None


def test_what_a_pod_has_mounted_is_no_name_of_a_disk(disk: Disk, rules: Rules, tmp_path: Path) -> None:
    pod = tmp_path / "pods" / "0c4fe1e6-8a25-4f5c-9d57-0a1b2c3d4e5f" / "volumes" / "local" / "pv"
    pod.mkdir(parents=True)
    before = seen(disk, rules)
    subprocess.run(["mount", "--bind", disk.path, pod], check=True)
    try:
        assert seen(disk, rules) == before
    finally:
        subprocess.run(["umount", pod], check=True)


@pytest.mark.usefixtures("disk")
def test_a_survey_takes_no_symlink_of_the_system_for_one_of_a_disk(rules: Rules) -> None:
    table = {link for each in survey(rules).report.disks for link in (*each.links, *each.folders)}
    assert "/bin" not in table
