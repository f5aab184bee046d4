"""What the parent and its children say to each other, one JSON document a packet.

A child is told its job when it is made, may ask for a fresh reading of the API, may tell how far it is, and
ends with what it found. It never talks to the API server itself: connections, tokens and TLS stay in the one
process that keeps them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from disk_daemon.known import Facts, Live, Taken
from tidb_volume.value import NodeReport, Order, Source, Value, VolumeMode, Work

INTERRUPTED = "Interrupted"
"""Why an order is tried again: its process ended without its last word."""


class Job(Value):
    """What one child is to do for one volume."""

    id: int
    kind: Literal["observe", "order", "survey", "recall", "mount"]
    volume: str = ""
    uid: str = ""
    source: Source = Source()
    volume_mode: VolumeMode = "Filesystem"
    fs_type: str = ""
    mount_options: tuple[str, ...] = ()
    order: Order | None = None
    tenancy: str = ""
    """While a claim has the disk: the tenancy on record, and the claim's UID."""
    claim_uid: str = ""
    interrupted: str = ""
    """How the process before at this order ended, for people; empty: with a word, or nobody saw it."""


class Ask(Value, frozen=True, tag="ask"):
    """The child wants the API's objects, read now; `lean`: volume and fleet are enough. `volume`: another
    one's than the job's."""

    lean: bool = False
    volume: str = ""


class Tell(Value, frozen=True, tag="tell"):
    """How far an order is."""

    work: Work


class Record(Value):
    """What the journal says of the disk, as far as a report shows it."""

    handed: str = ""
    known: bool = False
    broken: str = ""
    order: Taken | None = None
    claims: tuple[str, ...] = ()
    """The UIDs of the claims that were seen on the tenancy handed over."""
    last_claim: str = ""
    """The UID of the last one that was seen on the tenancy on the disk, else on the one handed over."""
    made: str = ""
    """What a device was made into (tidb_volume/shape.py)."""
    at_root: bool = False
    """The tenancy handed over lies at the mount's own root."""
    unwritable: str = ""
    """Why nothing can be journalled now, for people."""


class Ended(Value, frozen=True, tag="ended"):
    """What the child found, and for an order what became of it.

    `seen_at`: CLOCK_BOOTTIME before the disk was looked at. `until`: what the order waits for, empty unless
    it waits. `dropped`: the order is not the current one, and nobody wants an answer. `method`: what was
    carried out. `unrecorded`: why something of it is not on the node's record, for people; empty: all is.
    """

    seen_at: float
    facts: Facts
    record: Record = Record()
    work: Work | None = None
    until: str = ""
    pids: tuple[int, ...] = ()
    dropped: bool = False
    method: str = ""
    unrecorded: str = ""


class Surveyed(Value, frozen=True, tag="surveyed"):
    """What was found on the machine."""

    seen_at: float
    report: NodeReport


class Recalled(Value, frozen=True, tag="recalled"):
    """What the journal has made and should be mounted or shown: volume, device and mode of each."""

    disks: tuple[tuple[str, str, VolumeMode], ...] = ()


class Mounted(Value, frozen=True, tag="mounted"):
    """What came of a mount from the journal, for people; `ok`: it is as it should be now. `passing`: somebody
    else was at work there, and nothing is learned by it."""

    ok: bool
    said: str
    passing: bool = False


class Hangs(Value, frozen=True, tag="hangs"):
    """The disk was not touched: an earlier process of ours hangs at it. `said`: which, for people. `begun`:
    whether the journal has it that bytes are gone which the order is to end."""

    said: str
    pids: tuple[int, ...] = ()
    begun: bool = False


class Crashed(Value, frozen=True, tag="crashed"):
    """The child ends by an error that nobody thought of. `said`: which, for people."""

    said: str


Message = Ask | Tell | Ended | Surveyed | Recalled | Mounted | Hangs | Crashed


class Link(Protocol):
    """A child's line to its parent."""

    def ask(self, *, lean: bool) -> Callable[[], Live]:
        """Have the API's objects read, after this call was made. What is returned waits for them, and is to
        be called once, before the next question."""
        ...

    def tell(self, work: Work) -> None:
        """How far the order is; nobody answers."""
        ...
