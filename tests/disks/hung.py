"""A file system whose server no longer answers, as a dead NFS server or somebody's FUSE program leaves it.

The server speaks just enough of FUSE (linux/fuse.h) to let one file be opened; then it falls silent.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path

FILE = "file"


class Code(IntEnum):
    """What the kernel asks for."""

    LOOKUP = 1
    GETATTR = 3
    OPEN = 14
    INIT = 26


_ROOT, _INODE = 1, 2
_HEADER = struct.Struct("=IIQQ16x")
_ENOSYS = 38
_NODEV, _DETACH = 4, 2
"""MS_NODEV (linux/mount.h), as fusermount does it for whoever is not root; MNT_DETACH (linux/fs.h)."""
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def hung(
    at: Path, before: Callable[[Path], object] = str, *, devices: bool = False, deaf: bool = True
) -> Iterator[int]:
    """A process that has FILE open on such a file system, mounted at a folder; gives its pid.

    before: called with the file while it still answers. devices: mounted so that a device node there would be
    one. deaf: it does not even take requests in; one that was taken in can not be given up.
    """
    at.mkdir()
    fuse = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    flags = 0 if devices else _NODEV
    done = _libc.mount(b"hung", os.fsencode(at), b"fuse", flags, options)
    assert done == 0, os.strerror(ctypes.get_errno())
    server = os.fork()
    if server == 0:
        _serve(fuse)
        os._exit(0)
    os.close(fuse)  # a copy would keep the connection, and with it whoever asks, when the server is gone
    opened, told = os.pipe()
    opener = os.fork()
    if opener == 0:
        os.open(at / FILE, os.O_RDONLY)
        os.write(told, b"x")
        signal.pause()
    os.close(told)
    try:
        assert os.read(opened, 1) == b"x"
        os.close(opened)
        before(at / FILE)
        os.kill(server, signal.SIGSTOP if deaf else signal.SIGUSR1)
        yield opener
    finally:
        for pid in (server, opener):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        # Whoever asked it is let go now, and may still have it for a moment.
        assert _libc.umount2(os.fsencode(at), _DETACH) == 0, os.strerror(ctypes.get_errno())


def _serve(fuse: int) -> None:
    silent = False

    def fall_silent(*_: object) -> None:
        nonlocal silent
        silent = True

    signal.signal(signal.SIGUSR1, fall_silent)
    while True:
        try:
            request = os.read(fuse, 1 << 20)
        except OSError:
            return
        _, opcode, unique, inode = _HEADER.unpack_from(request)
        if silent:
            continue
        error, answer = 0, b""
        match opcode:
            case Code.INIT:
                answer = struct.pack("=IIII2HII2HI7I", 7, 31, 1 << 16, 0, 1, 1, 1 << 16, 1, 1, 0, *[0] * 8)
            case Code.LOOKUP:
                answer = struct.pack("=QQQQII", _INODE, 0, 3600, 0, 0, 0) + _about(_INODE)
            case Code.GETATTR:
                answer = struct.pack("=QII", 0, 0, 0) + _about(inode)
            case Code.OPEN:
                answer = struct.pack("=QII", 0, 0, 0)
            case _:
                error = -_ENOSYS
        os.write(fuse, struct.pack("=IiQ", 16 + len(answer), error, unique) + answer)


def _about(inode: int) -> bytes:
    mode = 0o40755 if inode == _ROOT else 0o100644
    return struct.pack("=6Q3I7I", inode, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 512, 0)
