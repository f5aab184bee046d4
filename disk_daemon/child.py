"""What runs in a child: enter the host's mount namespace, do the one job, say what came of it.

The zygote imports this file, and so everything that a child will ever need.
"""

from __future__ import annotations

import socket
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress

import msgspec

from disk_daemon import alone, journal, kernel, mounting, survey, witness, zygote
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Ask, Crashed, Hangs, Job, Message, Recalled, Tell
from disk_daemon.known import Live
from disk_daemon.shown import escaped, said
from disk_daemon.wipe import carry, frame
from tidb_volume.value import Work


class Line:
    """A child's line to its parent, as `jobs.Link` wants it."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def ask(self, *, lean: bool, volume: str = "") -> Callable[[], Live]:
        """Ask; what is returned waits for the answer. volume: another one than the job's."""
        self.say(Ask(lean=lean, volume=volume))
        return self._answer

    def _answer(self) -> Live:
        """A parent that is gone takes this process with it."""
        packet = self._line.recv(zygote.PACKET)
        if not packet:
            raise SystemExit(1)
        return msgspec.json.decode(packet, type=Live)

    def tell(self, work: Work) -> None:
        """How far the order is."""
        self.say(Tell(work=work))

    def say(self, message: Message) -> None:
        """Send one message."""
        self._line.send(msgspec.json.encode(message))


def _at(job: Job, link: Line, rules: Rules) -> Message:
    """What came of the job at its disk."""
    match job.kind:
        case "order":
            return carry.carry(job, link, rules, tick=lambda what: None)
        case "mount":
            return mounting.from_journal(job, rules, lambda other: link.ask(lean=False, volume=other)())
        case _:
            return witness.observe(job, rules)


def _with(rules: Rules, job: Job, lock: int | None) -> Rules:
    """The rules for one job, with what is so just now of the daemon's own folder."""
    why = alone.unwritable(rules.state, job.volume)
    return msgspec.structs.replace(rules, kept=() if lock is None else (lock,), unwritable=why)


def _said(error: BaseException) -> str:
    return said(error) if isinstance(error, OSError) else escaped(f"{type(error).__name__}: {error}")


def worker(rules: Rules, host_pid: int) -> zygote.Work:
    """The work of every child of this daemon. host_pid: a process in the host's mount namespace."""

    def work(job: Job, line: socket.socket) -> None:
        try:
            here = msgspec.structs.replace(rules, tools=kernel.own_mounts())
            kernel.enter_mounts_of(host_pid)
            link = Line(line)
            match job.kind:
                case "survey":
                    mounting.hide_strays(here)
                    link.say(survey.survey(here))
                case "recall":
                    mounting.hide_strays(here)
                    journal.sweep(here.state, time.time())
                    link.say(Recalled(disks=mounting.recall(here)))
                case _:
                    with alone.held(here.state, job.volume) as lock:
                        if isinstance(lock, Hangs):
                            begun = frame.known_as_begun(here.state, job)
                            link.say(msgspec.structs.replace(lock, begun=begun))
                        else:
                            link.say(_at(job, link, _with(here, job, lock)))
        except BaseException as error:
            with suppress(OSError):
                Line(line).say(Crashed(said=_said(error)))
            traceback.print_exc(file=sys.stderr)
            sys.stderr.flush()
            raise

    return work
