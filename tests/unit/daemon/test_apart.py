"""Which control groups the processes that touch disks go to, on every kind of host."""

from __future__ import annotations

import pytest

from disk_daemon.apart import Place, places
from disk_daemon.facts import mounts

V2 = b"30 20 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = b"""\
31 20 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
34 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
35 31 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""
OF_V1 = """\
12:memory:/kubepods/burstable/pod1/c
7:cpu,cpuacct:/kubepods/burstable/pod1/c
1:name=systemd:/kubepods/burstable/pod1/c
0::/system.slice/containerd.service
"""
KIND = b"900 800 0:26 /docker/f00 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"


def place(top: str, rest: str) -> Place:
    return Place(own=f"{top}/{rest}", apart=f"{top}/tidb-volume")


@pytest.mark.parametrize(
    ("groups", "table", "found"),
    [
        pytest.param(
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-c.scope",
            V2,
            (
                place(
                    "/sys/fs/cgroup/kubepods.slice",
                    "kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-c.scope",
                ),
            ),
            id="systemd's driver",
        ),
        pytest.param(
            "0::/kubepods/burstable/pod1/c",
            V2,
            (place("/sys/fs/cgroup/kubepods", "burstable/pod1/c"),),
            id="cgroupfs",
        ),
        pytest.param(
            "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod1.slice/c.scope",
            V2,
            (
                place(
                    "/sys/fs/cgroup/kubelet.slice/kubelet-kubepods.slice",
                    "kubelet-kubepods-pod1.slice/c.scope",
                ),
            ),
            id="a kubelet with a root of its own",
        ),
        pytest.param(
            OF_V1,
            V1,
            (
                place("/sys/fs/cgroup/memory/kubepods", "burstable/pod1/c"),
                place("/sys/fs/cgroup/cpu,cpuacct/kubepods", "burstable/pod1/c"),
                place("/sys/fs/cgroup/systemd/kubepods", "burstable/pod1/c"),
            ),
            id="version 1, hybrid",
        ),
        pytest.param(
            "0::/docker/f00/kubepods/pod1/c",
            KIND,
            (place("/sys/fs/cgroup/kubepods", "pod1/c"),),
            id="a node that is a container and sees a part of the hierarchy",
        ),
        pytest.param("0::/elsewhere/kubepods/pod1/c", KIND, (), id="a part of it that is not shown"),
        pytest.param("0::/docker/f000/kubepods/pod1/c", KIND, (), id="beside the part that is shown"),
        pytest.param("0::/user.slice/session-1.scope", V2, (), id="started by hand"),
        pytest.param("0::/", V2, (), id="a namespace of control groups"),
        pytest.param("12:memory:/kubepods/pod1/c", V2, (), id="a hierarchy that is not mounted"),
        pytest.param("", V2, (), id="none"),
    ],
)
def test_the_group_lies_beside_those_of_the_pods(groups: str, table: bytes, found: tuple[Place, ...]) -> None:
    assert places(groups, mounts.parse(table)) == found
