"""What a command reads of the cluster.

It needs no more rights than what is asked: a read without which the answer is only shorter is optional, and
what was missing is said at the end. Nothing here is cached between runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tidb_volume import audit, names
from tidb_volume.audit import AuditLine
from tidb_volume.fleet import Fleet
from tidb_volume.kube import codec, kinds, transport
from tidb_volume.kube.client import Client
from tidb_volume.upstream import Node, Pv
from tidb_volume.value import Volume

T = TypeVar("T")
D = TypeVar("D")

NAMESPACE = "tidb-volume"
EVENTS = 5000
"""So many Events are looked at; a server keeps them for an hour."""


class Reader:
    """Reads from one API server; `lacks` collects the rights that were missing for what is optional."""

    def __init__(self, api: Client, namespace: str = NAMESPACE) -> None:
        self.api = api
        self.namespace = namespace
        self.lacks: list[str] = []

    def optional(self, read: Callable[[], T], otherwise: D) -> T | D:
        """What `read` gives, or `otherwise` where the right is missing or there is no such kind."""
        try:
            return read()
        except transport.ApiError as error:
            if error.status not in (403, 404):
                raise
            self.lacks.append(error.message)
            return otherwise

    def volumes(self, labels: str = "") -> tuple[Volume, ...]:
        """Every TidbVolume, by name."""
        found, _ = self.api.list(kinds.TIDB_VOLUME, labels=labels)
        return tuple(sorted(found, key=lambda volume: volume.metadata.name))

    def fleet(self) -> Fleet | None:
        """The fleet object; None where there is none, which is paused and tripped."""
        return self.api.find(kinds.TIDB_VOLUME_FLEET, names.FLEET)

    def closed(self) -> list[AuditLine]:
        """The last lines of volumes that are no more."""
        nodes, _ = self.api.list(kinds.TIDB_VOLUME_NODE)
        found = [audit.read(text.encode())[0] for node in nodes for text in node.status.closed]
        return [line for lines in found for line in lines]

    def nodes(self) -> tuple[Node, ...]:
        """Every Node."""
        return self.api.list(kinds.NODE)[0]

    def pvs(self, volume: str = "") -> tuple[Pv, ...]:
        """The PersistentVolumes of one disk, or of all."""
        labels = f"{names.LABEL_DISK}={volume}" if volume else names.LABEL_DISK
        return self.api.list(kinds.PV, labels=labels)[0]

    def lease(self) -> codec.Lease | None:
        """Who leads."""
        return self.optional(lambda: self.api.find(kinds.LEASE, names.LEASE, self.namespace), None)

    def events(self, selector: str) -> tuple[codec.Event, ...]:
        """Events of every namespace, the oldest first, told once each."""
        found: list[codec.Event] = []
        for page in self.api.pages(kinds.EVENT, fields=selector):
            found.extend(page.items)
            if len(found) >= EVENTS:
                break
        return tuple(sorted(found, key=told_at))


def told_at(event: codec.Event) -> str:
    """When an Event was told last."""
    return event.last_timestamp or event.first_timestamp or event.metadata.creation_timestamp or ""
