"""What the survey makes of a mount table, of symlinks and of sysfs; no disk is needed for that."""

from __future__ import annotations

from pathlib import Path

import pytest

from disk_daemon import survey
from disk_daemon.facts import hardware
from disk_daemon.facts.folder import Rules
from disk_daemon.known import Mount


def mount(device: str, target: str, root: str = "/") -> Mount:
    return Mount(id=1, device=device, root=root, target=target, fs_type="xfs")


def test_a_part_of_a_disk_shown_elsewhere_is_told_apart_from_the_whole() -> None:
    table = [
        mount("8:1", "/"),
        mount("8:1", "/var/lib/x", root="/srv/x"),
        mount("8:16", "/data/a"),
        mount("8:16", "/mnt/disks/vol1", root="/vol1"),
    ]
    whole, part = survey.by_device(table)
    assert whole == {"8:1": ["/"], "8:16": ["/data/a"]}
    assert part == {"8:16": ["/mnt/disks/vol1"]}, "folders of the system's own disk are nobody's volume"


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/mnt/disks/a", "/data/a"),
        ("/mnt/disks/a/deep/er", "/data/a/deep/er"),
        ("/mnt/disks/chain", "/data/a"),
        ("/mnt/disks/near/x", "/mnt/vol/x"),
        ("/mnt/disks/self", "/mnt/disks/self"),
        ("/data/b", "/data/b"),
    ],
)
def test_symlinks_are_followed_by_what_they_say(path: str, leads_to: str) -> None:
    links = {
        "/mnt/disks/a": "/data/a",
        "/mnt/disks/chain": "a",
        "/mnt/disks/near": "../vol",
        "/mnt/disks/self": "self",
    }
    assert survey.followed(path, links) == leads_to


def device(sys: Path, name: str, number: str) -> Path:
    folder = sys / name
    folder.mkdir(parents=True)
    (folder / "dev").write_text(number + "\n")
    return folder


def test_a_disk_shares_its_bytes_with_its_partitions_and_with_what_is_made_of_them(tmp_path: Path) -> None:
    whole = device(tmp_path, "sda", "8:0")
    one, two = device(whole, "sda1", "8:1"), device(whole, "sda2", "8:2")
    mapped = device(tmp_path, "dm-0", "253:0")
    for part in (one, two):
        (part / "partition").write_text("1")
        (part / "holders").mkdir()
    (one / "holders" / "dm-0").symlink_to(mapped)
    (mapped / "slaves").mkdir()
    (mapped / "slaves" / "sda1").symlink_to(one)
    found = {each.name: set(survey.related(each)) for each in (whole, one, two, mapped)}
    assert found == {
        "sda": {"8:1", "8:2", "253:0"},
        "sda1": {"8:0", "253:0"},
        "sda2": {"8:0"},
        "dm-0": {"8:1", "8:0"},
    }


@pytest.mark.parametrize("size", [None, "", "many\n"])
def test_a_disk_that_vanishes_or_says_nothing_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str | None
) -> None:
    monkeypatch.setattr(hardware, "SYS", tmp_path)
    odd, stays = device(tmp_path / "block", "sda", "8:0"), device(tmp_path / "block", "sdb", "8:16")
    (stays / "size").write_text("2048\n")
    if size is not None:
        (odd / "size").write_text(size)
    assert [each.name for each in survey.survey(Rules()).report.disks] == ["sdb"]
