"""What the daemon tells the API server: the report and work of a volume in one patch, and the machine.

A report is as good as the look that it came from: one that could not be written in time is made anew. What
cannot be written is tried again with growing pauses; nothing is queued, since what is told is what is so now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec

from disk_daemon import kernel, minded, report
from disk_daemon.jobs import Surveyed
from disk_daemon.minded import Minded
from tidb_volume.kube.store import version_of
from tidb_volume.obs.log import Log
from tidb_volume.value import DiskReport, NodeReport, Phase, Volume, Work

REPORT_FOR_S = 5.0
"""A report that could not be written in this time is made anew: it may not be true any more."""
LONGEST_WRITE_PAUSE_S = 30.0
SURVEY_AGAIN_S = 5.0
"""After this long the machine is surveyed again where it could not be told."""
SURVEY_WAIT_S = 2.0
"""So long a volume's first report waits for a survey, without which nothing is offered: one write less."""

_log = Log(__name__)

Then = Callable[[Any], object]


class Api(Protocol):
    """What the keeper asks of the API server. Each `then` gets the result, or the exception, in the loop."""

    def live(self, volume: str, tenancies: tuple[str, ...], lean: bool, then: Then) -> None:
        """Read anew: then(Live). tenancies: those whose PersistentVolume may be there without its label."""
        ...

    def write(self, known: Volume, disk: DiskReport | None, work: Work | None, then: Then) -> None:
        """Write a volume's status: then(Volume | Exception)."""
        ...

    def write_node(self, seen: NodeReport, then: Then) -> None:
        """Write what is seen of the machine: then(VolumeNode | Exception)."""
        ...


def claim_of(volume: Volume) -> str:
    """The UID of the claim that has the disk, or had it and whose data is still there."""
    owner = volume.status.owner
    return owner.claim.uid if owner is not None and owner.claim is not None else ""


def reports(every: Iterable[Minded], survey: Callable[[Minded], int]) -> dict[str, DiskReport]:
    """What is to be told of each disk that was looked at: one look may change what is said of two, if they
    are one. survey: that of now, for a volume."""
    made, wholes, established = {}, {}, set()
    there = {known.name: known for known in every}
    for known in there.values():
        status = known.volume.status
        if status.identity is not None:
            established.add(known.name)
        if known.ended is not None:
            wholes[known.ended.facts.device] = known.ended.facts.whole or known.ended.facts.device
            made[known.name] = report.disk_report(
                known.ended.facts,
                known.ended.record,
                status.identity,
                known.written,
                claimed=status.phase is Phase.BOUND,
                claim_uid=claim_of(known.volume),
                survey=survey(known),
                not_mounted=known.not_mounted,
                rival=_rival(known, there),
            )
    return report.one_disk_twice(made, frozenset(established), wholes)


def _rival(known: Minded, every: Mapping[str, Minded]) -> str:
    """Which other volume of this node has the disk by the journal, and by what name; empty: none."""
    raw = known.ended.facts.raw if known.ended is not None else None
    other = every.get(raw.other) if raw is not None else None
    return f"{other.name} ({other.volume.spec.source})" if other is not None else ""


class Teller:
    """Writes what is not written yet. look: have a disk looked at, unless it has a child. told: a volume's
    words are written. survey_in: survey the machine in so many seconds, at the latest. settled: what a survey
    found is written, or was before."""

    def __init__(
        self,
        api: Api,
        clock: Callable[[], float],
        version: str,
        *,
        look: Callable[[Minded], object],
        told: Callable[[Minded], object],
        survey_in: Callable[[float], object],
        settled: Callable[[], object],
    ) -> None:
        self._api, self._clock, self._version = api, clock, version
        self._look, self._told, self._survey_in, self._settled = look, told, survey_in, settled
        self._node: NodeReport | None = None
        self._settled_at = -1.0

    def write(self, known: Minded) -> None:
        """Write what is not in a volume's status, unless that is under way or not due yet."""
        now, (disk, work) = self._clock(), minded.unwritten(known)
        if known.report_at > now and work is None:
            disk = None
        if known.writing or (disk is None and work is None) or known.write_at > now:
            return
        if disk is not None and _is_stale(known):
            if known.child is None:
                self._look(known)
            if known.child is None or known.child.job.kind == "observe" or work is None:
                return
            disk = None
        known.writing = True
        self._api.write(known.volume, disk, work, lambda answer: self._written(known, disk, work, answer))

    def _written(
        self, known: Minded, disk: DiskReport | None, work: Work | None, answer: Volume | Exception
    ) -> None:
        known.writing = False
        if isinstance(answer, Exception):
            known.write_pause_s = min(LONGEST_WRITE_PAUSE_S, known.write_pause_s * 2 or 0.2)
            known.write_at = self._clock() + known.write_pause_s
            _log.warning("cannot write status", volume=known.name, error=str(answer))
            return
        known.write_at = known.write_pause_s = 0.0
        if version_of(known.volume) > version_of(answer):
            # Somebody wrote after us, and was heard of before our answer: what he left is what is there.
            known.written, known.written_work = known.volume.status.disk, known.volume.status.work
        else:
            known.written = known.written if disk is None else disk
            known.written_work = known.written_work if work is None else work
        self._told(known)

    def survey_again(self) -> None:
        """Survey at once, and write it down though it may be there: the object may have been deleted."""
        self._node = None
        self._survey_in(0.0)

    def surveyed(self, surveyed: Surveyed) -> None:
        """Write what is seen of the machine, if it is not there."""
        seen = msgspec.structs.replace(surveyed.report, daemon=self._version)
        if self._node is not None and seen == msgspec.structs.replace(self._node, at=seen.at):
            self._settled_at = surveyed.seen_at
            self._settled()
            return

        def then(answer: Any) -> None:
            if isinstance(answer, Exception):
                _log.warning("cannot write what is seen of the machine", error=str(answer))
                self._survey_in(SURVEY_AGAIN_S)
            else:
                self._node, self._settled_at = seen, surveyed.seen_at
                self._settled()

        self._api.write_node(seen, then)

    def survey_for(self, known: Minded) -> int:
        """The survey that the server has, if one was made since the volume is known; 0: none was."""
        return self._node.at if self._node is not None and known.since <= self._settled_at else 0


def _is_stale(known: Minded) -> bool:
    """Whether the last look is too old to be told; that a disk hangs stays true while its child does."""
    if known.ended is None or (known.child is not None and known.child.was_killed):
        return False
    return kernel.boottime() - known.ended.seen_at > REPORT_FOR_S
