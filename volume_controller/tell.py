"""What was done, told where its user looks: Events, counts, one line in the log, and that on record where
it decides over data (`record.py`).

Nothing is told from an event that came, only from what was written: the same phase and reason written
once is told once.
"""

from __future__ import annotations

import msgspec

from tidb_volume import audit
from tidb_volume.audit import AuditLine
from tidb_volume.fleet import Breaker, Fleet
from tidb_volume.kube import codec, kinds
from tidb_volume.kube.events import Recorder, about
from tidb_volume.life import actions
from tidb_volume.life.actions import Action
from tidb_volume.life.status import UNDECIDED
from tidb_volume.obs.log import Log
from tidb_volume.obs.metrics import Metrics, Sample
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import Phase, Ref, Volume, VolumeStatus
from volume_controller import record, said
from volume_controller.said import Said

_log = Log(__name__)
_record = Log(audit.LOGGER)

_WARNINGS = frozenset(
    {
        "WrongDisk",
        "Conflict",
        "Foreign",
        "HasData",
        "Stuck",
        "Hindered",
        "NotMounted",
        "NotPresent",
        "GoneByHand",
        "BreakerOpen",
        "FleetMissing",
        "WipeFailed",
        "WipeRefused",
        "NotBegun",
        "NotMadeReady",
        "Terminating",
        "NodeLost",
        "DaemonNotReady",
        "Refused",
        "Never",
    }
)

_DECIDED = {
    "ordered": "WipeOrdered",
    "recalled": "WipeRecalled",
    "deleted": "PvDeleted",
    "unclaimed": "ClaimDeleted",
    "given": "GivenBack",
}
"""The Event of a decision that shows in no phase of its own."""

_ALARMS = frozenset({"DirtyHandedOut", "Foreign", "Forbidden", "DiskHealthy", UNDECIDED})


class Teller:
    """Tells of each action, after it was carried out. leader: as the record names this controller."""

    def __init__(self, recorder: Recorder, metrics: Metrics, leader: str = "") -> None:
        self._recorder = recorder
        self._leader = leader
        self._actions = metrics.counter("actions", "What the controller did, by kind.", ["action"])
        self._reasons = metrics.counter(
            "reasons", "How often a volume came to a phase and reason.", ["phase", "reason"]
        )
        self._conditions = metrics.counter(
            "alarms", "How often a volume came to a condition that somebody should see.", ["type"]
        )
        self._faults = metrics.counter(
            "faults",
            "How often the controller failed for a fault of its own, by what it looked at.",
            ["topic"],
        )
        self._trips = metrics.counter("breaker_trips", "How often the circuit breaker opened.")
        self._decisions = metrics.counter(
            "decisions", "Lines of this controller's on record, by what they say (docs/audit.md).", ["what"]
        )
        metrics.snapshot(
            "events_dropped",
            "Events that nobody will see: more were said than may be sent, or the server did not take them.",
            lambda: [Sample(recorder.dropped)],
            counts=True,
        )

    def line_of(self, volume: Volume, action: Action, now: Instant) -> AuditLine | None:
        """What goes on record of an action that was decided `now`; None: it decides over nobody's data."""
        return record.line_of(volume, action, at=format_instant(now), leader=self._leader)

    def failed(self, topic: str) -> None:
        """A look ended in a fault of ours; the log has what it was."""
        self._faults.labels(topic).inc()

    def did(self, volume: Volume, action: Action, now: Instant, by: str = "") -> None:
        """One action, decided `now` about this volume, was answered by the API server. by: whose word of no
        answer's it stands on, as far as that is known."""
        kind = type(action).__name__
        self._actions.labels(kind).inc()
        name = volume.metadata.name
        line = self.line_of(volume, action, now)
        if line is not None:
            line = msgspec.structs.replace(line, asked=by or line.asked)
            self._on_record(line)
        match action:
            case actions.PatchStatus(status=status):
                old = volume.status
                if line is not None and line.what == "refused":
                    self._conditions.labels(record.NOT_TAKEN).inc()
                    text = f"{line.asked}: {line.message}" if line.asked else line.message
                    self._recorder.say(about(kinds.TIDB_VOLUME, volume), record.NOT_TAKEN, text, warning=True)
                self._alarms(volume, status)
                if (old.phase, old.reason) == (status.phase, status.reason):
                    return
                self._reasons.labels(status.phase.value, status.reason).inc()
                _log.info(
                    "volume",
                    volume=name,
                    phase=status.phase.value,
                    reason=status.reason,
                    was=old.phase.value,
                    message=status.message,
                )
                warning = status.reason in _WARNINGS
                asked = line.asked if line is not None and line.what == "stopped" else ""
                text = status.message + (f" ({asked})" if asked else "")
                self._recorder.say(about(kinds.TIDB_VOLUME, volume), status.reason, text, warning=warning)
                claim = status.owner.claim if status.owner else None
                if warning and claim is not None and status.phase is Phase.BOUND:
                    self._recorder.say(_claim(claim), status.reason, status.message, warning=True)
            case actions.SetClaimRef(why=why):
                self._recorder.say(about(kinds.TIDB_VOLUME, volume), "GivenBack", why)
            case actions.DeleteVolume(why=why) if line is not None and line.what == "forgotten":
                # The volume is gone, and with it what it kept of its life.
                text = f"{why} ({line.asked})"
                if line.claim is not None:
                    text += f": the data of {line.claim}, tenancy {line.tenancy}, is left on {line.source}"
                self._recorder.say(about(kinds.TIDB_VOLUME, volume), "Forgotten", text, warning=True)
            case _ if line is not None:
                self._say_decided(volume, line)
            case actions.WriteOrder(order=order, why=why):
                fields = {"order": order.id, "kind": order.kind, "ends": order.ends} if order else {}
                _log.info("order", volume=name, why=why, **fields)
            case actions.AnnotatePv(name=pv, times=times):
                text = "the annotation pv.kubernetes.io/provisioned-by was missing and was put back"
                if times > 1:
                    text += "; somebody takes it away again and again: it is put back less and less often"
                self._recorder.say(about(kinds.TIDB_VOLUME, volume), "AnnotationPutBack", text, warning=True)
                _log.warning("annotation put back", volume=name, pv=pv)
            case _:
                _log.info("did", volume=name, action=kind)

    def _say_decided(self, volume: Volume, line: AuditLine) -> None:
        """A wipe that is ordered or recalled, a PersistentVolume that is deleted, data that is given, where
        its user looks; what is made ready for a first use is in the record alone."""
        reason = _DECIDED.get(line.what, "")
        if reason and (line.what not in ("ordered", "recalled") or line.kind == "reclaim" or line.answer):
            to = str(line.claim) if line.what in ("given", "unclaimed") else ""
            parts = (line.pv_name, to, line.method, line.asked, line.message)
            text = ", ".join(part for part in parts if part)
            self._recorder.say(about(kinds.TIDB_VOLUME, volume), reason, text)
            if line.what == "unclaimed" and line.claim is not None:
                self._recorder.say(_claim(line.claim), reason, text, warning=True)

    def said(self, volume: Volume, word: Said, by: str, now: Instant) -> None:
        """A word about a disk, or its end, is written down as heard. by: which program set it."""
        at = format_instant(now)
        self._on_record(said.about_volume(volume, word, at=at, leader=self._leader, asked=by))

    def said_of_fleet(self, fleet: Fleet, word: Said, by: str, now: Instant) -> None:
        """So of the whole fleet, which its Events tell too."""
        self._of_fleet("said", now, by, word)
        reason = f"{word.word.capitalize()}Changed"
        if word.word == "paused":
            reason = "Paused" if fleet.spec.paused else "Resumed"
        text = f"{word.word}: {word.text}" + (f" ({by})" if by else "")
        self._recorder.say(about(kinds.TIDB_VOLUME_FLEET, fleet), reason, text)

    def reset(self, fleet: Fleet, by: str, now: Instant) -> None:
        """A person's reset closed the breaker. fleet: as it was before."""
        text = said.of_breaker(fleet.status.breaker)
        self._of_fleet("reset", now, by, Said((), "BreakerReset", text))
        told = f"closed again; {text}" + (f" ({by})" if by else "")
        self._recorder.say(about(kinds.TIDB_VOLUME_FLEET, fleet), "BreakerReset", told)

    def listed(self, text: str, by: str, now: Instant) -> None:
        """What an inventory's ConfigMap says came into force, or is no more."""
        self._of_fleet("listed", now, by, Said((), "inventory", text))

    def _of_fleet(self, what: audit.What, now: Instant, by: str, word: Said) -> None:
        at = format_instant(now)
        self._on_record(said.about_fleet(what, at=at, leader=self._leader, asked=by, said=word))

    def _on_record(self, line: AuditLine) -> None:
        self._decisions.labels(line.what).inc()
        _record.info("on record", **msgspec.to_builtins(line))

    def _alarms(self, volume: Volume, status: VolumeStatus) -> None:
        """What has come around a disk that somebody has, or had: it need not change phase or reason."""
        before = {(each.type, each.reason) for each in volume.status.conditions}
        claim = status.owner.claim if status.owner else None
        for each in status.conditions:
            is_new = each.type in _ALARMS and (each.type, each.reason) not in before
            said = each.reason == status.reason or (status.phase is Phase.PENDING and each.type != UNDECIDED)
            if not is_new or said:
                continue
            self._conditions.labels(each.type).inc()
            self._recorder.say(about(kinds.TIDB_VOLUME, volume), each.type, each.message, warning=True)
            if claim is not None and status.phase is Phase.BOUND:
                self._recorder.say(_claim(claim), each.type, each.message, warning=True)
            _log.warning("condition", volume=volume.metadata.name, type=each.type, message=each.message)

    def tripped(self, fleet: Fleet, breaker: Breaker, now: Instant) -> None:
        """The breaker opened."""
        self._of_fleet("tripped", now, "", Said((), "BreakerOpen", said.of_breaker(breaker)))
        self._trips.inc()
        text = f"{breaker.reason}; nothing is wiped until a person resets epoch {breaker.epoch}"
        self._recorder.say(about(kinds.TIDB_VOLUME_FLEET, fleet), "BreakerOpen", text, warning=True)
        _log.error("breaker open", reason=breaker.reason, epoch=breaker.epoch)


def _claim(ref: Ref) -> codec.InvolvedObject:
    return codec.InvolvedObject(
        api_version="v1",
        kind="PersistentVolumeClaim",
        namespace=ref.namespace,
        name=ref.name,
        uid=ref.uid,
    )
