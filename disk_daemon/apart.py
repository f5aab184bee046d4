"""Control groups of their own for the processes that touch disks, beside those of every pod.

A process that a dead disk keeps in the kernel (state D) cannot be ended, and a control group with a process
in it cannot be removed. In the container's own it would keep the kubelet from ever finishing the daemon's pod
(pkg/kubelet, SyncTerminatedPod: it removes the pod's group first), and newer runc from deleting the container
at all: no new daemon came to that node, until a reboot (decision 0120).

So the process that makes the children is moved before it makes any: into one group for all daemons of a
node, beside the pods' own below the kubelet's, under the limits that the container has. The pod's manifest
asks for nothing more: the host's control groups are reached through process 1. That these processes end with
the daemon is then not the container runtime's doing, but the kernel's (zygote.py).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from contextlib import suppress

from disk_daemon.facts import mounts, process
from disk_daemon.known import Mount
from disk_daemon.shown import said
from tidb_volume.value import Value

NAME = "tidb-volume"
_KUBELETS = "kubepods"
"""In the name of the group that the kubelet keeps all pods in, whatever driver and root it was given."""
_LIMITS = (
    *("cpuset.cpus", "cpuset.mems"),
    *("memory.limit_in_bytes", "cpu.shares", "cpu.cfs_quota_us"),
    *("memory.max", "cpu.weight", "cpu.max"),
    "pids.max",
)
"""Of cgroups version 1 and 2; an empty cpuset (version 1) takes no process."""
_TRIES = 3


class Place(Value):
    """One hierarchy, as paths on the host: the container's own group, and ours beside the pods'."""

    own: str
    apart: str


def places(groups: str, table: Iterable[Mount]) -> tuple[Place, ...]:
    """Where to go in each hierarchy in which a process is in a pod's group. Pure.

    groups: the process's /proc/PID/cgroup. table: the host's mounts.
    """
    mounted = [each for each in table if each.fs_type in ("cgroup", "cgroup2")]
    found = []
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        parts = path.split("/")
        depth = next((depth for depth, part in enumerate(parts, 1) if _KUBELETS in part), 0)
        above = f"{'/'.join(parts[:depth])}/"
        mount = next((each for each in mounted if _shows(each, controllers, above)), None)
        if depth and mount is not None:
            top = mount.target + above.removeprefix(mount.root.rstrip("/"))
            rest = "/".join(parts[depth:])
            found.append(Place(own=f"{top}{rest}", apart=f"{top}{NAME}"))
    return tuple(found)


def _shows(mount: Mount, controllers: str, path: str) -> bool:
    """Whether the mount is of that hierarchy, and shows the path."""
    kind = "cgroup" if controllers else "cgroup2"
    of_it = mount.fs_type == kind and set(filter(None, controllers.split(","))) <= set(mount.options)
    return of_it and path.startswith(f"{mount.root.rstrip('/')}/")


def move(pid: int, host_pid: int) -> str:
    """Move a process, and with it all that it will fork, out of this container's groups.

    host_pid: a process in the host's mount namespace. Returns why it is still in one of them, for people;
    empty: in none.
    """
    try:
        found = _own_places(host_pid)
        if not found:
            return "this process is in no pod's control group"
        for place in found:
            _move(pid, place)
    except (OSError, ValueError) as error:
        return said(error) if isinstance(error, OSError) else str(error)
    return ""


def remove(host_pid: int) -> None:
    """Remove the groups, if nobody is in them: neither another daemon's process nor one that hangs."""
    with suppress(OSError, ValueError):
        for place in _own_places(host_pid):
            with suppress(OSError):
                os.rmdir(place.apart)


def _own_places(host_pid: int) -> tuple[Place, ...]:
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        found = places(file.read(), mounts.parse(mounts.read(host_pid)))
    root = f"/proc/{host_pid}/root"
    return tuple(Place(own=f"{root}{each.own}", apart=f"{root}{each.apart}") for each in found)


def _move(pid: int, place: Place) -> None:
    """Again, where a daemon that ends has removed the group in between."""
    for left in reversed(range(_TRIES)):
        os.makedirs(place.apart, exist_ok=True)
        try:
            for limit in _LIMITS:
                if os.path.exists(f"{place.own}/{limit}"):
                    _write(f"{place.apart}/{limit}", process.read(f"{place.own}/{limit}"))
            _write(f"{place.apart}/cgroup.procs", b"%d" % pid)
        except OSError as error:
            if not left or error.errno not in (errno.ENOENT, errno.ENODEV):
                raise
        else:
            return


def _write(path: str, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)
