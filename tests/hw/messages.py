"""What a test and the machine say to each other over a serial port, one JSON document a line."""

from __future__ import annotations

import msgspec

from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Job, Message, Tell
from disk_daemon.known import Live
from tidb_volume.value import Identity


class Run(msgspec.Struct, frozen=True, tag="run"):
    """A shell script (`sh -e`)."""

    script: str


class Ran(msgspec.Struct, frozen=True, tag="ran"):
    """How it ended, and what it said."""

    status: int
    out: str
    err: str


class Identify(msgspec.Struct, frozen=True, tag="identify"):
    """Which disk is it, by the kernel's name for it today?"""

    name: str


class Identified(msgspec.Struct, frozen=True, tag="identified"):
    """Its facts; None: it has none of its own, as `refused` says."""

    identity: Identity | None = None
    refused: str = ""


class Do(msgspec.Struct, frozen=True, tag="do"):
    """A job for a child of the daemon's. lives: what the API shows at each reading, the last one for good."""

    job: Job
    rules: Rules
    lives: tuple[Live, ...] = ()


class Did(msgspec.Struct, frozen=True, tag="did"):
    """The child's last word; None: it ended without one. `told`: how far it was, each time it said so."""

    ended: Message | None
    told: tuple[Tell, ...] = ()
    status: int = 0


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """What was asked could not be done."""

    why: str


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The first word after a boot."""


Request = Run | Identify | Do
Answer = Ready | Ran | Identified | Did | Failed
