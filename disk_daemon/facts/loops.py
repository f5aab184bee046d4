"""Loop devices in use, and what each lies on: the kernel has that open, and no process.

A loop device is asked through a descriptor of its own. Its node is looked for in /dev; where that has none of
that number, one is made for the moment of the open: a node that is itself a container has a /dev of its own,
and sysfs shows it the whole machine's loop devices.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from disk_daemon import blockdev
from disk_daemon.blockdev import Backing
from disk_daemon.facts import hardware


def backings(nodes: str, sys: Path = hardware.SYS) -> Iterator[tuple[Path, Backing]]:
    """The folder in sysfs of each loop device in use, and what it lies on.

    nodes: a folder where device nodes may be made. Raises OSError where one cannot be asked: it may lie on
    anything. One that is let go meanwhile is none.
    """
    for backing in sorted(sys.glob("block/loop*/loop/backing_file")):
        loop = backing.parent.parent
        try:
            fd = _opened(loop, nodes)
            try:
                found = blockdev.loop_backing(fd)
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.ENOENT, errno.ENODEV) and not backing.exists():
                continue
            said = f"what {loop.name} lies on cannot be seen: {error.strerror or error}"
            raise OSError(error.errno or errno.EIO, said) from error
        yield loop, found


def _opened(loop: Path, nodes: str) -> int:
    wanted = hardware.device_of(loop)
    try:
        return hardware.opened(loop.name, wanted)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise
    node = f"{nodes.rstrip('/')}/.{loop.name}-{os.getpid()}"
    os.makedirs(nodes, mode=0o755, exist_ok=True)
    with suppress(FileNotFoundError):
        os.unlink(node)
    os.mknod(node, stat.S_IFBLK | 0o600, wanted)
    try:
        return os.open(node, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    finally:
        os.unlink(node)
