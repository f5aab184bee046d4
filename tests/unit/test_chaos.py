"""The tenants of `make chaos` would notice what they are there to notice."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.chaos.tenants import SCRIPT, verdict


def start(folder: Path, name: str) -> list[str]:
    """Run what a tenant's pod runs, on a folder in place of its volume; what it has reported so far."""
    reports = folder / "reports"
    for each in (reports, folder / "volume"):
        each.mkdir(exist_ok=True)
    environment = {"ME": name, "PLACE": str(folder / "volume"), "REPORTS": str(reports)}
    subprocess.run(["busybox", "sh", "-c", SCRIPT], env=os.environ | environment, check=True)
    return (reports / name).read_text().splitlines()


def test_a_tenant_on_a_clean_volume_writes_and_finds_it_again(tmp_path: Path) -> None:
    assert verdict(start(tmp_path, "t1-ab")) == (True, set(), False)
    assert verdict(start(tmp_path, "t1-ab")) == (True, set(), False)


@pytest.mark.parametrize(
    ("left", "content"),
    [
        ("plain", b"S3CRET-t9-ab\n"),
        (".dot/deep/x", b"S3CRET-t9-ab"),
        ("image", bytes(70000) + b"S3CRET-t9-ab" + bytes(10)),
        ("beside its own", b"S3CRET-t1-ab\nS3CRET-t9-ab\n"),
    ],
)
def test_a_secret_that_was_left_anywhere_is_a_leak(tmp_path: Path, left: str, content: bytes) -> None:
    place = tmp_path / "volume" / left
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    _, leaks, lost = verdict(start(tmp_path, "t1-ab"))
    assert (leaks, lost) == ({"S3CRET-t9-ab"}, False)


def test_a_tenant_whose_data_is_gone_misses_it(tmp_path: Path) -> None:
    start(tmp_path, "t1-ab")
    (tmp_path / "volume").rename(tmp_path / "elsewhere")
    assert verdict(start(tmp_path, "t1-ab")) == (True, set(), True)


def test_a_tenant_that_was_cut_before_it_had_written_all_has_lost_nothing() -> None:
    assert verdict(["started own=no", "started own=no", "wrote"]) == (True, set(), False)
