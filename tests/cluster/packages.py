"""The Debian packages that real nodes, tests and images need."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from .system import ClusterError, which

# What is looked for, and the package that brings it. Programs of sbin count although it is not in every PATH.
FOR_NODES = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "busybox": "busybox-static",
    "mkfs.xfs": "xfsprogs",
    "mkfs.ext4": "e2fsprogs",
    "ip": "iproute2",
    "losetup": "mount",
    "nsenter": "util-linux",
    "openssl": "openssl",
}
FOR_API = {"openssl": "openssl"}
_CONTAINERS = ("containerd", "runc", "/usr/lib/cni/bridge")
FOR_TESTS = {program: package for program, package in FOR_NODES.items() if program not in _CONTAINERS} | {
    "strace": "strace"
}
"""What `make test` runs on the machine itself: two processes of it would fight for apt's lock."""
FOR_BASIC_IMAGES = {"busybox": "busybox-static"}
FOR_IMAGES = {"mmdebstrap": "mmdebstrap"}


def require(needed: dict[str, str]) -> None:
    """Makes sure that all programs of the table are there, by installing packages where that is allowed.

    Raises ClusterError with the one command to type when it is not, or when apt-get fails.
    """
    missing = sorted({package for program, package in needed.items() if which(program) is None})
    if not missing:
        return
    by_hand = f"apt-get update && apt-get install --no-install-recommends {' '.join(missing)}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise ClusterError(f"these Debian packages are missing: {', '.join(missing)}\nas root: {by_hand}")
    print(f"installing {' '.join(missing)} …", file=sys.stderr, flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *missing]):
        done = subprocess.run(
            ["apt-get", *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ClusterError(f"apt-get {words[0]} failed:\n{done.stderr.strip()}\nby hand: {by_hand}")
