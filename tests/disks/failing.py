"""A disk that fails as it is told to: a real loop device whose backing file a small FUSE server serves.

The kernel sends each read, write, sync and punched hole of the loop device to the server (linux/fuse.h), and
the server answers it as a disk would that is worn out, lies, hangs, or has a cache that a power cut empties.
A request that it keeps without an answer leaves whoever waits for the disk in the kernel, in state D, as a
dead disk does. nbdkit with nbdfuse and a loop device gives the same kind of disk; it was not taken since its
filters fail by chance or altogether, nbdfuse knows no holes, so that a discard never gets there, and it has
to be installed.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import random
import select
import signal
import socket
import struct
import subprocess
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from pathlib import Path
from typing import Literal, NamedTuple

from disk_daemon.facts.folder import Rules
from tests.disks.bench import AnyDisk, RawDisk

Kind = Literal["read", "write", "sync", "hole"]
Does = Literal["fail", "swallow", "hang"]
_MOST = 1 << 20
_SECTOR = 4096
_NAME = "disk"


class Fault(NamedTuple):
    """What the disk does wrong: with requests of these kinds that touch these bytes, after so many of them.

    fail: answered with an errno. swallow: answered as done, and nothing was. hang: not answered, until the
    faults are taken away.
    """

    kinds: tuple[Kind, ...] = ("read", "write", "sync", "hole")
    does: Does = "fail"
    errno: int = errno.EIO
    start: int = 0
    end: int = 1 << 62
    after: int = 0


class _Code(IntEnum):
    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    FLUSH = 25
    INIT = 26
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42
    FALLOCATE = 43


class _Request(NamedTuple):
    unique: int
    kind: Kind
    start: int
    length: int
    data: bytes


_ROOT, _INODE = 1, 2
_HEADER = struct.Struct("=IIQQ16x")
_BIG_WRITES, _MAX_PAGES = 1 << 5, 1 << 22
_DIRECT_IO = 1
_libc = ctypes.CDLL(None, use_errno=True)


class FailingFile:
    """A file for a loop device, and the word with its server. image: what the disk has now, a plain file."""

    def __init__(self, path: Path, image: Path, line: socket.socket) -> None:
        self.path, self.image, self._line = path, image, line

    @classmethod
    @contextmanager
    def served(cls, at: Path, image: Path) -> Iterator[FailingFile]:
        """Mounted at a folder, which is made, until the end."""
        at.mkdir()
        fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        done = _libc.mount(b"failing", os.fsencode(at), b"fuse", 0, options)
        assert done == 0, os.strerror(ctypes.get_errno())
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            with suppress(BaseException):
                ours.close()
                _Server(fuse, theirs, image).serve()
            os._exit(0)
        theirs.close()
        os.close(fuse)
        try:
            yield cls(at / _NAME, image, ours)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            ours.close()
            assert _libc.umount2(os.fsencode(at), 0) == 0, os.strerror(ctypes.get_errno())

    def fail(self, *faults: Fault) -> None:
        """From now on; what hung before is judged by the new faults. None: the disk is well again."""
        self._say({"faults": faults})

    def counts(self) -> dict[str, int]:
        """How many requests of each kind came so far, and how many hang."""
        return self._say({})

    def remember(self) -> None:
        """From now on the disk has a cache: what was not synced can be lost."""
        self._say({"volatile": True})

    def lose_power(self, to: Path, chance: random.Random, lost: float = 1.0) -> None:
        """Write down what the disk would have after a power cut now; each sector that was not synced is lost
        with that probability."""
        self._say({"cut": str(to), "seed": chance.getrandbits(32), "lost": lost})

    def restore(self, image: Path) -> None:
        """The disk has this from now on."""
        self._say({"restore": str(image)})

    def _say(self, what: dict[str, object]) -> dict[str, int]:
        self._line.send(json.dumps(what).encode())
        answer: dict[str, int] = json.loads(self._line.recv(_MOST) or b"{}")
        return answer


class _Server:
    """For one process alone."""

    def __init__(self, fuse: int, line: socket.socket, image: Path) -> None:
        self._fuse, self._line, self._image = fuse, line, image
        self._file = os.open(image, os.O_RDWR | os.O_CLOEXEC)
        self._faults: list[tuple[Fault, list[int]]] = []
        self._hanging: list[_Request] = []
        self._counts = {"read": 0, "write": 0, "sync": 0, "hole": 0}
        self._volatile = False
        self._before: dict[int, bytes] = {}
        """Of each sector that was not synced since: what it held then."""

    def serve(self) -> None:
        poll = select.poll()
        poll.register(self._fuse, select.POLLIN)
        poll.register(self._line, select.POLLIN)
        while True:
            for descriptor, event in poll.poll():
                if descriptor == self._line.fileno():
                    if not self._told():
                        return
                elif event & select.POLLIN:
                    with suppress(InterruptedError):
                        self._take(os.read(self._fuse, _MOST + 4096))
                else:
                    return

    def _told(self) -> bool:
        packet = self._line.recv(_MOST)
        if not packet:
            return False
        what = json.loads(packet)
        try:
            self._obey(what)
        except BaseException:
            traceback.print_exc()
            raise
        counts = self._counts | {"hanging": len(self._hanging)}
        self._line.send(json.dumps(counts).encode())
        return True

    def _obey(self, what: dict[str, object]) -> None:
        match what:
            case {"faults": list(faults)}:
                self._faults = [(Fault(*each), [0]) for each in faults]
                held, self._hanging = self._hanging, []
                for each in held:
                    self._disk(each)
            case {"volatile": True}:
                self._volatile, self._before = True, {}
            case {"cut": str(to), "seed": int(seed), "lost": float(lost)}:
                subprocess.run(["cp", "--sparse=always", self._image, to], check=True)
                chance = random.Random(seed)
                with open(to, "r+b") as cut:
                    for start, data in self._before.items():
                        if chance.random() < lost:
                            os.pwrite(cut.fileno(), data, start)
            case {"restore": str(image)}:
                subprocess.run(["cp", "--sparse=always", image, self._image], check=True)
                self._before = {}

    def _take(self, packet: bytes) -> None:
        _, opcode, unique, inode = _HEADER.unpack_from(packet)
        body = packet[_HEADER.size :]
        match opcode:
            case _Code.INIT:
                flags, pages = _BIG_WRITES | _MAX_PAGES, _MOST // 4096
                words = (7, 31, 1 << 16, flags, 16, 12, _MOST, 1, pages, 0, *[0] * 8)
                self._answer(unique, struct.pack("=IIII2HII2HI7I", *words))
            case _Code.LOOKUP:
                entry = struct.pack("=QQQQII", _INODE, 0, 3600, 3600, 0, 0)
                self._answer(unique, entry + self._about(_INODE))
            case _Code.GETATTR | _Code.SETATTR:
                self._answer(unique, struct.pack("=QII", 3600, 0, 0) + self._about(inode))
            case _Code.STATFS:  # the loop device's unit for holes
                self._answer(unique, struct.pack("=5Q4I6I", 0, 0, 0, 0, 0, 4096, 255, 4096, *[0] * 7))
            case _Code.OPEN:
                self._answer(unique, struct.pack("=QII", 0, _DIRECT_IO, 0))
            case _Code.RELEASE | _Code.FLUSH | _Code.DESTROY:
                self._answer(unique)
            case _Code.FORGET | _Code.BATCH_FORGET | _Code.INTERRUPT:
                pass
            case _Code.READ:
                _, start, length = struct.unpack_from("=QQI", body)
                self._disk(_Request(unique, "read", start, length, b""))
            case _Code.WRITE:
                _, start, length = struct.unpack_from("=QQI", body)
                self._disk(_Request(unique, "write", start, length, body[40 : 40 + length]))
            case _Code.FSYNC:
                self._disk(_Request(unique, "sync", 0, 1 << 62, b""))
            case _Code.FALLOCATE:
                _, start, length = struct.unpack_from("=QQQ", body)
                self._disk(_Request(unique, "hole", start, length, b""))
            case _:
                self._answer(unique, error=errno.ENOSYS)

    def _disk(self, request: _Request) -> None:
        self._counts[request.kind] += 1
        fault = self._fault(request)
        if fault is not None and fault.does == "hang":
            self._hanging.append(request)
            return
        if fault is not None and fault.does == "fail":
            self._answer(request.unique, error=fault.errno)
            return
        if request.kind == "read":
            self._answer(request.unique, os.pread(self._file, request.length, request.start))
            return
        if fault is None:
            self._change(request)
        size = struct.pack("=II", request.length, 0) if request.kind == "write" else b""
        self._answer(request.unique, size)

    def _fault(self, request: _Request) -> Fault | None:
        for fault, seen in self._faults:
            touches = request.start < fault.end and fault.start < request.start + request.length
            if request.kind in fault.kinds and touches:
                seen[0] += 1
                if seen[0] > fault.after:
                    return fault
        return None

    def _change(self, request: _Request) -> None:
        if request.kind == "sync":
            self._before = {}
            return
        if self._volatile:
            first = request.start // _SECTOR * _SECTOR
            for start in range(first, request.start + request.length, _SECTOR):
                if start not in self._before:
                    self._before[start] = os.pread(self._file, _SECTOR, start)
        if request.kind == "write":
            os.pwrite(self._file, request.data, request.start)
        else:
            keep_size, punch_hole = 1, 2
            args = (ctypes.c_int(keep_size | punch_hole), ctypes.c_long(request.start))
            assert _libc.fallocate(self._file, *args, ctypes.c_long(request.length)) == 0

    def _answer(self, unique: int, body: bytes = b"", *, error: int = 0) -> None:
        with suppress(FileNotFoundError):  # whoever asked was killed
            os.write(self._fuse, struct.pack("=IiQ", 16 + len(body), -error, unique) + body)

    def _about(self, inode: int) -> bytes:
        folder = inode == _ROOT
        size = 0 if folder else os.fstat(self._file).st_size
        mode = 0o40755 if folder else 0o100600
        return struct.pack("=6Q3I7I", inode, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


@contextmanager
def failing_disk(folder: Path, rules: Rules, size: int, volume: str = "volume-a") -> Iterator[Failing]:
    """A blank device entry's disk, named after its volume."""
    image, by_id = folder / f"{volume}.img", folder / f"by-id-{volume}"
    with image.open("xb") as file:
        file.truncate(size)
    with FailingFile.served(folder / f"served-{volume}", image) as served:
        words = ["losetup", "-f", "--show", str(served.path)]
        loop = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
        by_id.symlink_to(loop)
        disk = RawDisk(by_id, loop, image, Path(rules.place(volume)))
        try:
            yield Failing(served, disk)
        finally:
            served.fail()
            unmount(disk)
            # It would stay read-only for whoever gets the device next.
            subprocess.run(["blockdev", "--setrw", loop], check=True)
            subprocess.run(["losetup", "-d", loop], check=True)


class Failing(NamedTuple):
    """A disk, and what makes it fail."""

    file: FailingFile
    disk: RawDisk


def unmount(disk: AnyDisk) -> None:
    """If it is mounted; to look at the place itself gives EIO where the file system has shut down."""
    if f" {disk.path} ".encode() in Path("/proc/self/mountinfo").read_bytes():
        subprocess.run(["umount", f"{disk.path}"], check=True)
