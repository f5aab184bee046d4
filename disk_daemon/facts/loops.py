"""Loop devices in use, and what each lies on: the kernel has that open, and no process.

A loop device is asked through a descriptor of its own. Its node is looked for in /dev; where that has none of
that number, one is made for the moment of the open: a node that is itself a container has a /dev of its own,
and sysfs shows it the whole machine's loop devices.

The kernel asks the file system of the file in turn (drivers/block/loop.c, loop_get_status). Where that is a
server's (NFS, somebody's FUSE) it may never answer, and would keep whoever asks about any disk: so a process
of its own asks there, and has a deadline. Without an answer, the name that the kernel has for the file says
that it is the server's, and so on none of our disks (decision 0121).
"""

from __future__ import annotations

import errno
import os
import select
import signal
import stat
import struct
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from disk_daemon import alone, blockdev, kernel
from disk_daemon.blockdev import Backing
from disk_daemon.facts import hardware, mounts, process
from disk_daemon.jobs import Hangs
from disk_daemon.known import Mount

ANSWER_S = 2.0
"""So long a server has to answer; of several that are dead, a look within its patience can meet a few."""
_ANSWER = struct.Struct("=iQQQ")
"""An errno, and what there is to know without one."""


def backings(
    nodes: str, state: str, tables: Collection[mounts.Table], sys: Path = hardware.SYS
) -> Iterator[tuple[Path, Backing]]:
    """The folder in sysfs of each loop device in use, and what it lies on; its inode is 0 where a server that
    does not answer has it.

    nodes: a folder where device nodes may be made; state: the daemon's folder on the host; tables: of all
    mount namespaces. Raises OSError where one cannot be asked: it may lie on anything. One that is let go
    meanwhile is none.
    """
    lines = next((each.lines for each in tables if not each.pid), b"")
    table = tuple(mounts.parse(lines)) if mounts.may_have_served(lines) else ()
    for backing in sorted(sys.glob("block/loop*/loop/backing_file")):
        loop = backing.parent.parent
        try:
            server = _server(os.fsdecode(process.read(str(backing))), table)
            found = _asked(loop, nodes) if server is None else _answered(loop, nodes, state, server)
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.ENOENT, errno.ENODEV) and not backing.exists():
                continue
            said = f"what {loop.name} lies on cannot be seen: {error.strerror or error}"
            raise OSError(error.errno or errno.EIO, said) from error
        yield loop, found


def _server(file: str, table: Collection[Mount]) -> Mount | None:
    """The mount that a file's name lies on, if that is no block device's but a server's."""
    over = mounts.over(file, table)
    return over if over is not None and mounts.is_served(over) else None


def _asked(loop: Path, nodes: str) -> Backing:
    fd = _opened(loop, nodes)
    try:
        return blockdev.loop_backing(fd)
    finally:
        os.close(fd)


def _answered(loop: Path, nodes: str, state: str, server: Mount) -> Backing:
    """The same within a deadline. Who asked before and hangs is not followed by another.

    Without an answer it is a file of the server's, by its name. That of a device node there would be one of
    any disk, so OSError unless the mount has none (nodev).
    """
    with alone.held(state, f"{loop.name}.backing", patience_s=ANSWER_S / 4) as lock:
        found = None if isinstance(lock, Hangs) else _within(ANSWER_S, loop, nodes, lock)
    if found is None and "nodev" not in server.options:
        raise OSError(errno.ETIMEDOUT, f"the server of {server.target} does not answer")
    return found or Backing(device=os.makedev(*map(int, server.device.split(":"))), inode=0, node=0)


def _within(seconds: float, loop: Path, nodes: str, lock: int | None) -> Backing | None:
    """Ask in a process of its own, which keeps the lock and nothing else: the disk that is looked at would be
    in use as long as it hangs. None: there is no answer."""
    answers, told = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            kernel.die_with_parent(parent, signal.SIGKILL)
            kernel.name_process("disk-loop")
            for each in map(int, os.listdir("/proc/self/fd")):
                if each not in (told, lock) and each > 2:
                    with suppress(OSError):
                        os.close(each)
            try:
                said = _ANSWER.pack(0, *_asked(loop, nodes))
            except OSError as error:
                said = _ANSWER.pack(error.errno or errno.EIO, 0, 0, 0)
            os.write(told, said)
        finally:
            os._exit(0)
    os.close(told)
    try:
        if not select.select([answers], [], [], seconds)[0]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, os.WNOHANG)
            return None
        os.waitpid(pid, 0)
        answer = os.read(answers, _ANSWER.size)
        number, *found = _ANSWER.unpack(answer) if answer else (errno.EIO, 0, 0, 0)
    finally:
        os.close(answers)
    if number:
        raise OSError(number, os.strerror(number))
    return Backing(*found)


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
