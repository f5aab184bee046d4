"""The parent's side of its children: who is at work, what they said, and when one has been silent too long.

A child that does not answer is ended. One that hangs in the kernel does not end: until the kernel lets it go
and the zygote has reaped it, its disk gets no other.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable

import msgspec

from disk_daemon import zygote
from disk_daemon.jobs import Job, Message
from disk_daemon.known import Live
from tidb_volume.obs.log import Log

_log = Log(__name__)
_messages: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


SILENT_S = 30.0
"""After so long without a word from a child at work on an order, people are told: one of its system calls
takes its time, or its disk hangs."""
NEVER = float("inf")


class Child:
    """One child. `heard_at` and `patience_s` are seconds of the parent's clock. silence_told: that it has not
    been heard for long."""

    def __init__(self, job: Job, line: socket.socket, now: float, patience_s: float) -> None:
        self.job = job
        self.line = line
        self.heard_at = now
        self.patience_s = patience_s
        self.was_killed = False
        self.silence_told = False
        self.last_words = ""
        """What it said of the error that it ends by."""

    def heard(self, now: float) -> None:
        """It said something."""
        self.heard_at, self.silence_told = now, False

    def ended_how(self, status: int) -> str:
        """How it ended without its last word, for people. status: what wait(2) gave."""
        if self.last_words:
            return f"with {self.last_words}"
        code = os.waitstatus_to_exitcode(status)
        if code >= 0:
            return f"with exit status {code}, and the daemon's log may say why"
        return f"by {signal.Signals(-code).name}; if nobody sent that, for want of memory"

    def answer(self, live: Live) -> None:
        """Give the child the reading that it waits for; one that is gone needs none.

        A reading that does not go through (it is too long, say) counts as one that could not be made.
        """
        try:
            self.line.send(msgspec.json.encode(live))
        except (BrokenPipeError, ConnectionResetError):
            return
        except OSError as error:
            self.line.send(msgspec.json.encode(Live(read_at=live.read_at, error=str(error), lean=live.lean)))

    def is_overdue(self, now: float) -> bool:
        """Whether it has been silent for longer than its job may take."""
        return now - self.heard_at > self.patience_s

    def is_silent(self, now: float) -> bool:
        """Whether people should be told that nothing is heard of an order."""
        untold = self.job.kind == "order" and not self.silence_told and not self.was_killed
        return untold and now - self.heard_at >= SILENT_S

    def due_at(self) -> float:
        """When it has been silent for too long, the first time or for good."""
        if self.was_killed:
            return NEVER
        untold = self.job.kind == "order" and not self.silence_told
        return self.heard_at + (min(SILENT_S, self.patience_s) if untold else self.patience_s)


class Children:
    """All children, by job id. For the thread of the main loop alone.

    line, pid: the zygote's. on_message: called with what a child said. on_exit: called with a child that is
    gone, and the status that wait(2) gave, after all that it said.
    """

    def __init__(
        self,
        line: socket.socket,
        pid: int,
        on_message: Callable[[Child, Message], None],
        on_exit: Callable[[Child, int], None],
    ) -> None:
        self.line = line
        self._pid = pid
        self._on_message = on_message
        self._on_exit = on_exit
        self._children: dict[int, Child] = {}

    @property
    def all(self) -> tuple[Child, ...]:
        """Children that are at work, or hang."""
        return tuple(self._children.values())

    def spawn(self, job: Job, now: float, patience_s: float) -> Child:
        """Make a child; its line is to be polled by who called."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        zygote.send(self.line, zygote.Spawn(job=job), theirs.fileno())
        theirs.close()
        child = Child(job, ours, now, patience_s)
        self._children[job.id] = child
        return child

    def hear(self, child: Child) -> bool:
        """Take one message of a child's; False: it has closed its line, and is about to be gone.

        One that says what nobody understands is ended: its disk alone goes without an answer.
        """
        try:
            packet = child.line.recv(zygote.PACKET)
        except ConnectionResetError:
            return False
        if not packet:
            return False
        try:
            message = _messages.decode(packet)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            _log.error("a child is not understood", volume=child.job.volume, error=str(error))
            self.kill(child)
            return True
        self._on_message(child, message)
        return True

    def kill(self, child: Child) -> None:
        """Send SIGKILL; the end is told by `on_exit`, if the kernel lets it come."""
        child.was_killed = True
        zygote.send(self.line, zygote.Kill(id=child.job.id))

    def reap(self) -> bool:
        """Take one message of the zygote's; False: the zygote is gone, and with it every child."""
        packet = self.line.recv(zygote.PACKET)
        if not packet:
            return False
        exited = msgspec.json.decode(packet, type=zygote.Exited)
        child = self._children.pop(exited.id)
        while self.hear(child):
            pass
        self._on_exit(child, exited.status)
        child.line.close()
        return True

    def end(self) -> None:
        """End the zygote and all children, and wait for the zygote. One that hangs is left to the kernel."""
        self.line.close()
        for child in self.all:
            child.line.close()
        os.waitpid(self._pid, 0)
