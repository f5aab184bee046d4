"""The end of a cluster, also of one that crashed half-made: nothing here needs its record.

The order matters: processes first, since they hold the namespaces, and with them all mounts, routes and links
of the nodes; then the loop devices, which those mounts held; then what is only names.
"""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

from . import cgroups, disks
from .state import Layout
from .system import ClusterError, end, marked, run, send


def remove(layout: Layout, *, keep_logs: bool = False) -> None:
    """Takes away all that belongs to the cluster.

    `keep_logs` copies its logs to `layout.failed_logs` first; the next call without it removes those too.
    Raises ClusterError that names what would not go; it can be called again.
    """
    shutil.rmtree(layout.failed_logs, ignore_errors=True)
    if keep_logs and (layout.folder / "logs").exists():
        shutil.copytree(layout.folder / "logs", layout.failed_logs)
    _end_processes(layout.folder)
    _unmount_below(layout.folder)
    # The kubelet's own loop devices, over device nodes, come first: they hold the disks'.
    for number in [*disks.attached_to_devices(layout.devices), *disks.attached_below(layout.folder)]:
        disks.detach(number)
    if layout.devices.exists():
        shutil.rmtree(layout.devices)
    cgroups.remove(layout.tag)
    if layout.folder.exists():
        shutil.rmtree(layout.folder)


def _end_processes(folder: Path) -> None:
    """Ends all marked processes, and those that they started meanwhile.

    All get the signal before any is waited for: process 1 of a node ends only when its processes were reaped,
    and their parent may be a stopped one of these.
    """
    limit = time.monotonic() + 30
    while found := marked(folder):
        if time.monotonic() > limit:
            raise ClusterError(f"processes that do not end: {[process.pid for process in found]}")
        for process in found:
            send(process, signal.SIGKILL)
        for process in found:
            end(process)


def _unmount_below(folder: Path) -> None:
    """Unmounts what the host has below the folder, which should be nothing: deleting must not reach it."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    targets = [line.split()[4].replace("\\040", " ") for line in lines]
    for target in sorted((one for one in targets if one.startswith(f"{folder}/")), reverse=True):
        run(["umount", target])
