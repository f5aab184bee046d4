"""The process that makes children: small, with one thread, forked before anything else has begun.

A disk that hangs in the kernel hangs whoever touches it, for good, so each look at a disk and each wipe is a
process of its own. Forking them from the daemon itself would be unsafe (it has threads) and costly (its
connections, its caches). This one has imported all that a child needs and nothing more: a child that has
entered the host's mount namespace must not import, it would read the host's files.

Parent and zygote speak over one socket, a packet a message; a child's own line to the parent comes with the
request as a descriptor. A child never outlives the zygote, nor the zygote the parent: the kernel sees to it.
"""

from __future__ import annotations

import array
import contextlib
import gc
import os
import select
import signal
import socket
from collections.abc import Callable

import msgspec

from disk_daemon import kernel
from disk_daemon.facts.process import ZYGOTE
from disk_daemon.jobs import Job
from tidb_volume.value import Value

PACKET = 1 << 20
SURVEY_NICE = 10
"""A survey follows each order that is done and each change of the mounts, when what is waited for is somebody
else's turn: the answer's way to the API server, the next order."""
Work = Callable[[Job, socket.socket], None]
"""What a child does; it talks over the socket and returns."""


class Spawn(Value, frozen=True, tag="spawn"):
    """Make a child for this job; its socket comes with the packet."""

    job: Job


class Kill(Value, frozen=True, tag="kill"):
    """End the child of this job, if it is still there."""

    id: int


class Exited(Value):
    """A child is gone, and its process with it: `status` as wait(2) gives it."""

    id: int
    status: int


_requests = msgspec.json.Decoder(Spawn | Kill)


def start(work: Work) -> tuple[socket.socket, int]:
    """Fork the zygote, before any thread exists. Returns the socket to it, and its process id."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    pid = os.fork()
    if pid:
        theirs.close()
        return ours, pid
    status = 1
    try:
        ours.close()
        kernel.die_with_parent(parent, signal.SIGKILL)
        kernel.name_process(ZYGOTE)
        _Zygote(theirs, work).serve()
        status = 0
    finally:
        os._exit(status)


class _Zygote:
    def __init__(self, line: socket.socket, work: Work) -> None:
        self._line = line
        self._work = work
        self._pid = os.getpid()
        self._jobs: dict[int, int] = {}
        self._woken, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def serve(self) -> None:
        """Until the parent closes its end; children still at work are ended then."""
        for ignored in (signal.SIGTERM, signal.SIGINT):
            signal.signal(ignored, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        # Whatever lives now is shared with every child; collecting it would copy its pages into each.
        gc.collect()
        gc.freeze()
        poll = select.poll()
        poll.register(self._line, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self._woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._woken, 4096)
            self._reap()
            if self._line.fileno() in ready and not self._take():
                break
        for pid in self._jobs:
            os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        while self._jobs:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._line.send(msgspec.json.encode(Exited(id=self._jobs.pop(pid), status=status)))

    def _take(self) -> bool:
        packet, descriptors, _, _ = socket.recv_fds(self._line, PACKET, 1)
        if not packet:
            return False
        request = _requests.decode(packet)
        if isinstance(request, Kill):
            for pid, job in self._jobs.items():
                if job == request.id:
                    os.kill(pid, signal.SIGKILL)
            return True
        line = socket.socket(fileno=descriptors[0])
        pid = os.fork()
        if pid == 0:
            self._become_child(request.job, line)
        self._jobs[pid] = request.job.id
        line.close()
        return True

    def _become_child(self, job: Job, line: socket.socket) -> None:
        """Never returns."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            gc.disable()
            self._line.close()
            os.close(self._woken)
            os.close(self._waker)
            kernel.die_with_parent(self._pid, signal.SIGKILL)
            kernel.name_process(f"disk-{job.kind}")
            kernel.be_idle()
            if job.kind == "survey":
                os.nice(SURVEY_NICE)
            self._work(job, line)
            status = 0
        finally:
            os._exit(status)


def send(line: socket.socket, request: Spawn | Kill, descriptor: int | None = None) -> None:
    """Give the zygote a request."""
    ancillary = [] if descriptor is None else [
        (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
    ]  # fmt: skip
    line.sendmsg([msgspec.json.encode(request)], ancillary)
