"""The API server, as the daemon uses it: fresh readings for decisions, and patches of what it owns.

All of it runs in one thread of its own, one request after the other, so that a server that hangs holds up
neither the main loop nor a child's death, and two patches of one volume never overtake each other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Any

import msgspec

from disk_daemon import kernel
from disk_daemon.known import Live
from tidb_volume import names
from tidb_volume.fleet import Fleet, FleetStatus
from tidb_volume.kube import client, codec, kinds, transport
from tidb_volume.upstream import Pv
from tidb_volume.value import DiskReport, NodeReport, Volume, VolumeNode, Work

CONFLICTS = 5
"""How many writes of others in a row are taken in before one write of ours is given up for now."""
FAILURES = (transport.ApiError, transport.NoAnswer, codec.Undecodable)


def read_live(api: client.Client, volume: str, tenancies: Iterable[str], *, lean: bool) -> Live:
    """What is true now, by the server's own word: no cache, no watch.

    tenancies: what the journal has of this disk. A PersistentVolume is looked for by this volume's label,
    and by each name that one of this disk can have, since a label can be taken away: a name ends with its
    tenancy.
    A reading that fails in part fails as a whole. Never raises.
    """
    read_at = kernel.boottime()
    try:
        found = api.find(kinds.TIDB_VOLUME, volume)
        fleet = _brief(api.find(kinds.TIDB_VOLUME_FLEET, names.FLEET))
        pvs: dict[str, Pv] = {}
        if not lean:
            labelled, _ = api.list(kinds.PV, labels=f"{names.LABEL_DISK}={volume}")
            pvs = {each.metadata.name: each for each in labelled}
            for name in pv_names(volume, found, tenancies):
                named = api.find(kinds.PV, name) if name not in pvs else None
                if named is not None:
                    pvs[name] = named
    except FAILURES as error:
        return Live(read_at=read_at, error=str(error), lean=lean)
    return Live(read_at=read_at, volume=found, fleet=fleet, pvs=tuple(pvs.values()), lean=lean)


def pv_names(name: str, volume: Volume | None, tenancies: Iterable[str]) -> list[str]:
    """Every name that a PersistentVolume of a volume's disk can have today, each once. tenancies: the
    journal's."""
    known, found = set(tenancies), set()
    if volume is not None:
        order, status = volume.spec.order, volume.status
        known.add(status.tenancy)
        found.add(status.volume_name)
        if order is not None:
            known.add(order.ends)
            found.add(order.pv_name)
    found |= {names.pv_name(name, tenancy) for tenancy in known - {""}}
    return sorted(found - {""})


def _brief(fleet: Fleet | None) -> Fleet | None:
    """The fleet object without what no guard asks: the errors of a big inventory are longer than a message
    to a child may be."""
    if fleet is None:
        return None
    breaker = msgspec.structs.replace(fleet.status.breaker, ledger=())
    return msgspec.structs.replace(fleet, status=FleetStatus(breaker=breaker))


def whole(value: msgspec.Struct) -> dict[str, Any]:
    """A value for a merge patch that replaces it whole: what is at its default is sent as null.

    RFC 7396 merges objects, so a field that is only left out would keep what it was.
    """
    document: dict[str, Any] = {}
    for field in msgspec.structs.fields(value):
        held = getattr(value, field.name)
        if isinstance(held, msgspec.Struct):
            document[field.encode_name] = whole(held)
        elif held == field.default or held is None:
            document[field.encode_name] = None
        else:
            document[field.encode_name] = msgspec.to_builtins(held)
    return document


def write_status(api: client.Client, known: Volume, disk: DiskReport | None, work: Work | None) -> Volume:
    """Write what the daemon owns of a volume's status, in one patch. None: leave it as it is.

    Bound to the resourceVersion, since the server heeds a UID in a status patch only together with one: a
    volume made again under the name must not get another's report. Others write beside us all the time, so
    a conflict is followed by a fresh reading. Raises LookupError where the volume is another by now.
    """
    status: dict[str, Any] = {}
    if disk is not None:
        status["disk"] = whole(disk)
    if work is not None:
        status["work"] = whole(work)
    meta = known.metadata
    for left in range(CONFLICTS, -1, -1):
        try:
            return api.merge_patch(
                kinds.TIDB_VOLUME,
                meta.name,
                {"status": status},
                subresource="status",
                uid=meta.uid,
                resource_version=meta.resource_version,
            )
        except transport.ApiError as error:
            if not (error.conflict and left):
                raise
        meta = api.get(kinds.TIDB_VOLUME, meta.name).metadata
        if meta.uid != known.metadata.uid:
            raise LookupError(f"volume {meta.name} was deleted and made again")
    raise AssertionError("unreachable")


def write_node(api: client.Client, name: str, report: NodeReport) -> VolumeNode:
    """Write what is seen of this machine; the object is made if there is none."""
    patch = {"status": {**whole(report), "disks": msgspec.to_builtins(report.disks)}}
    try:
        return api.merge_patch(kinds.TIDB_VOLUME_NODE, name, patch, subresource="status")
    except transport.ApiError as error:
        if not error.not_found:
            raise
    api.create(kinds.TIDB_VOLUME_NODE, {"metadata": {"name": name}})
    return api.merge_patch(kinds.TIDB_VOLUME_NODE, name, patch, subresource="status")


class ApiThread:
    """Runs requests in order in a thread of its own. hand_over: gives a call to the main loop."""

    def __init__(self, hand_over: Callable[[Callable[[], object]], None]) -> None:
        self._hand_over = hand_over
        self._requests: SimpleQueue[tuple[Callable[[], Any], Callable[[Any], object]] | None] = SimpleQueue()
        self.thread = threading.Thread(target=self._run, name="api", daemon=True)

    def start(self) -> None:
        """Begin to work off requests."""
        self.thread.start()

    def ask(self, request: Callable[[], Any], then: Callable[[Any], object]) -> None:
        """Run `request` in the thread; `then` gets its result, or its exception, in the main loop."""
        self._requests.put((request, then))

    def end(self, seconds: float) -> None:
        """Take no more; wait up to `seconds` for the request that runs."""
        self._requests.put(None)
        self.thread.join(seconds)

    def _run(self) -> None:
        while (asked := self._requests.get()) is not None:
            request, then = asked
            try:
                result = request()
            except Exception as error:
                result = error
            self._deliver(then, result)

    def _deliver(self, then: Callable[[Any], object], result: Any) -> None:
        self._hand_over(lambda: then(result))
