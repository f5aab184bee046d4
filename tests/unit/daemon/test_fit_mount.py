"""Whether a folder may be used as a disk: each rule stops its disaster, and a plain mount passes them all."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from disk_daemon import fit_mount
from disk_daemon.fit_mount import Folder
from disk_daemon.known import Mount
from tidb_volume.value import Presence

MOUNT = Mount(id=40, device="259:1", root="/", target="/data/nvme0", fs_type="xfs")
PLAIN: dict[str, Any] = {"path": "/data/nvme0", "mount": MOUNT}
NOT_MOUNTED, REFUSED = Presence.NOT_MOUNTED, Presence.REFUSED


def mounted(**unlike: str) -> dict[str, Any]:
    return {"mount": msgspec.structs.replace(MOUNT, **unlike)}


TABLE: list[tuple[str, dict[str, Any], Presence, str]] = [
    # rule, what is unlike a plain mount, the answer
    ("is_a_mount", {"mount": None}, NOT_MOUNTED, "nothing is mounted at /data/nvme0; mount the disk there"),
    (
        "is_a_mount",
        mounted(target="/data"),
        NOT_MOUNTED,
        "nothing is mounted at /data/nvme0; mount the disk there",
    ),
    (
        "shows_all_of_it",
        mounted(root="/part"),
        NOT_MOUNTED,
        "/data/nvme0 shows only /part of a file system, not all of it",
    ),
    (
        "is_one_device",
        mounted(device="0:42", fs_type="tmpfs"),
        REFUSED,
        "/data/nvme0 is tmpfs, which is not one disk of its own",
    ),
    (
        "is_one_device",
        {**mounted(fs_type="btrfs"), "is_mounts": False},
        REFUSED,
        "/data/nvme0 is btrfs, which is not one disk of its own",
    ),
    (
        "holds_nothing_vital",
        {"vital": "/var/lib/kubelet"},
        REFUSED,
        "/data/nvme0 is on the disk that holds /var/lib/kubelet",
    ),
    (
        "shows_no_old_blocks",
        {"old_blocks": True},
        REFUSED,
        "/data/nvme0: with data=writeback a file may show after a crash what another owner wrote there; "
        "mount it with data=ordered",
    ),
]


@pytest.mark.parametrize(
    ("rule", "unlike", "presence", "said"),
    [pytest.param(*row, marks=pytest.mark.guards(row[0])) for row in TABLE],
)
def test_a_rule_refuses_and_says_what_and_no_other_rule_does(
    rule: str, unlike: dict[str, Any], presence: Presence, said: str
) -> None:
    given = Folder(**{**PLAIN, **unlike})
    assert fit_mount.RULES.unfit(given) == (presence, said)
    assert [each.name for each in fit_mount.RULES if each.check(given)] == [rule]


@pytest.mark.parametrize("unlike", [{}, mounted(fs_type="ext4"), mounted(device="10:0")])
def test_a_plain_mount_passes(unlike: dict[str, Any]) -> None:
    assert fit_mount.RULES.unfit(Folder(**{**PLAIN, **unlike})) is None


def test_of_all_that_is_wrong_the_first_in_the_table_is_told() -> None:
    """A folder below a missing mount lies on the system's disk: it is to be mounted, and not given up."""
    assert [each.name for each in fit_mount.RULES] == list(dict.fromkeys(name for name, _, _, _ in TABLE))
    everything = {field: value for _, unlike, _, _ in reversed(TABLE) for field, value in unlike.items()}
    found = fit_mount.RULES.unfit(Folder(**{**PLAIN, **everything}))
    assert found is not None
    assert found.presence is NOT_MOUNTED
    assert "mount the disk there" in found.said


def test_every_rule_says_which_disaster_it_prevents() -> None:
    for each in fit_mount.RULES:
        assert each.prevents
        assert each.check.__doc__


def test_a_rule_is_still_a_function_that_can_be_asked_by_its_name() -> None:
    assert fit_mount.is_a_mount(Folder(path="/data/nvme0")) is not None
