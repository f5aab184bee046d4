"""Events: what a person finds under `kubectl describe`. Never in the way of the work, never a flood.

The same words on the same object within an hour are one Event whose count grows. Saying something costs the
caller a dictionary entry; a thread of its own talks to the API server, at a bounded rate. What is held back
by that rate is not lost: it raises the count that goes out with the next. core/v1 Events are used, not
events.k8s.io/v1: they can be counted up, and every tool shows the count and the last time.

`Tally` decides, `Recorder` talks.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from tidb_volume.kube import codec, kinds, transport
from tidb_volume.kube.client import Client
from tidb_volume.kube.kinds import Kind
from tidb_volume.kube.store import HasMeta

WINDOW_S = 3600.0
"""Repeats within it are counted up; the API server forgets an Event after an hour by default."""
PER_SECOND = 5.0
BURST = 50
REMEMBERED = 4096
HELD_BACK = 1000
_LONGEST_MESSAGE = 1024
_ATTEMPTS = 3

_log = logging.getLogger(__name__)


class Said(msgspec.Struct, frozen=True):
    """What is said of whom; equal ones are one Event."""

    about: codec.InvolvedObject
    reason: str
    message: str
    type: Literal["Normal", "Warning"] = "Normal"


class Entry(msgspec.Struct, frozen=True):
    """How often something was said, as of one moment. `sent` is the count that the API server has."""

    said: Said
    name: str
    count: int
    first: float
    last: float
    sent: int = 0
    attempts: int = 0


def about(kind: Kind[Any], item: HasMeta) -> codec.InvolvedObject:
    """The reference to `item` that an Event carries."""
    meta = item.metadata
    return codec.InvolvedObject(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        api_version=kind.api_version,
        kind=kind.name,
    )


class Tally:
    """Counts what is said and hands out what is due to be sent. Times are seconds that come in."""

    def __init__(self, *, per_second: float = PER_SECOND, burst: int = BURST) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._tokens = float(burst)
        self._filled_at: float | None = None
        self._entries: OrderedDict[Said, Entry] = OrderedDict()
        self._due: OrderedDict[Said, None] = OrderedDict()
        self.dropped = 0

    def say(self, said: Said, now: float) -> None:
        """Count it once more. Beyond what is held back, new words are dropped and counted as dropped."""
        known = self._entries.get(said)
        if known is not None and now - known.first >= WINDOW_S:
            known = None
        if said not in self._due and len(self._due) >= HELD_BACK:
            self.dropped += 1
            return
        if known is None:
            entry = Entry(said, _name(said, now), 1, now, now)
        else:
            entry = msgspec.structs.replace(known, count=known.count + 1, last=now)
        self._entries[said] = entry
        self._entries.move_to_end(said)
        self._due[said] = None
        if len(self._entries) > REMEMBERED:
            oldest = next(iter(self._entries))
            if oldest not in self._due:
                del self._entries[oldest]

    def take(self, now: float) -> tuple[Entry | None, float | None]:
        """The next entry to send, or None and the seconds until one may be (None: nothing is due)."""
        if not self._due:
            return None, None
        before = now if self._filled_at is None else self._filled_at
        self._tokens = min(self._burst, self._tokens + max(0.0, now - before) * self._per_second)
        self._filled_at = now
        if self._tokens < 1:
            return None, (1 - self._tokens) / self._per_second
        self._tokens -= 1
        said, _ = self._due.popitem(last=False)
        return self._entries[said], 0.0

    def sent(self, entry: Entry) -> None:
        """The API server has this count."""
        known = self._entries.get(entry.said)
        if known is not None and known.name == entry.name:
            self._entries[entry.said] = msgspec.structs.replace(known, sent=entry.count, attempts=0)

    def forgotten(self, entry: Entry) -> None:
        """The API server has it no more: to be made again."""
        known = self._entries.get(entry.said)
        if known is not None and known.name == entry.name:
            self._entries[entry.said] = msgspec.structs.replace(known, sent=0)
            self._due[entry.said] = None

    def failed(self, entry: Entry) -> None:
        """Sending did not work: to be tried again, but not for ever."""
        known = self._entries.get(entry.said)
        if known is None or known.name != entry.name:
            return
        if known.attempts + 1 >= _ATTEMPTS:
            self.dropped += 1
            return
        self._entries[entry.said] = msgspec.structs.replace(known, attempts=known.attempts + 1)
        self._due[entry.said] = None


class Recorder:
    """Says things about objects; `run` is called in a thread of the owner's.

    component, host: who says it and where. clock: seconds that only grow. wall: seconds since the epoch.
    """

    def __init__(
        self,
        api: Client,
        *,
        component: str,
        host: str,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        tally: Tally | None = None,
    ) -> None:
        self._api = api
        self._source = codec.EventSource(component=component, host=host)
        self._clock = clock
        self._wall = wall
        self._tally = tally or Tally()
        self._condition = threading.Condition()
        self._ended = False

    def say(self, whom: codec.InvolvedObject, reason: str, message: str, *, warning: bool = False) -> None:
        """Say it, or count it up. Returns at once, whatever the API server does."""
        said = Said(whom, reason, message[:_LONGEST_MESSAGE], "Warning" if warning else "Normal")
        with self._condition:
            self._tally.say(said, self._clock())
            self._condition.notify()

    @property
    def dropped(self) -> int:
        """How often something was not sent, because too much was waiting or sending kept failing."""
        return self._tally.dropped

    def run(self) -> None:
        """Send what was said, until `close`."""
        while not self._ended:
            wait = self.step()
            with self._condition:
                if not self._ended and wait != 0.0:
                    self._condition.wait(wait)

    def close(self) -> None:
        """End `run`; what was said last and has not gone out is dropped."""
        with self._condition:
            self._ended = True
            self._condition.notify_all()

    def step(self) -> float | None:
        """Send one Event if one is due; returns the seconds to wait, None until something is said."""
        with self._condition:
            entry, wait = self._tally.take(self._clock())
        if entry is None:
            return wait
        try:
            self._send(entry)
        except transport.ApiError as error:
            with self._condition:
                if error.not_found and entry.sent:
                    self._tally.forgotten(entry)
                elif error.retriable:
                    self._tally.failed(entry)
            self._trouble(entry, error)
            return error.retry_after or 0.0
        except (transport.NoAnswer, codec.Undecodable) as error:
            with self._condition:
                self._tally.failed(entry)
            self._trouble(entry, error)
            return 1.0
        with self._condition:
            self._tally.sent(entry)
        return 0.0

    def _send(self, entry: Entry) -> None:
        namespace = entry.said.about.namespace or "default"
        if entry.sent:
            patch = {"count": entry.count, "lastTimestamp": self._stamp(entry.last)}
            self._api.merge_patch(kinds.EVENT, entry.name, patch, namespace)
            return
        document = {
            "metadata": {"name": entry.name, "namespace": namespace},
            "involvedObject": entry.said.about,
            "reason": entry.said.reason,
            "message": entry.said.message,
            "type": entry.said.type,
            "count": entry.count,
            "firstTimestamp": self._stamp(entry.first),
            "lastTimestamp": self._stamp(entry.last),
            "source": self._source,
            "reportingComponent": self._source.component,
            "reportingInstance": self._source.host,
        }
        try:
            self._api.create(kinds.EVENT, document, namespace)
        except transport.ApiError as error:
            if not error.exists:
                raise

    def _stamp(self, at: float) -> str:
        moment = datetime.fromtimestamp(self._wall() - (self._clock() - at), UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    def _trouble(self, entry: Entry, error: Exception) -> None:
        fields = {"object": str(entry.said.about.name), "reason": entry.said.reason, "error": str(error)}
        _log.info("event not sent", extra={"fields": fields})


def _name(said: Said, now: float) -> str:
    """A name for a new Event: the same words at another hour get another one."""
    words = "\0".join((said.about.uid, said.about.kind, said.type, said.reason, said.message, repr(now)))
    return f"{said.about.name[:200]}.{hashlib.sha256(words.encode()).hexdigest()[:16]}"
