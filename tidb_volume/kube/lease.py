"""Who leads: one holder of a Lease at a time, by the rules of client-go's leaderelection, with two
differences.

Nobody's wall clock is trusted. A follower measures with its own clock how long the Lease has stood unchanged
before its eyes; what time the holder wrote into it is for people. And a leader knows when it has been deposed
without being told: its own deadline runs from *before* it sent its last renewal, and ends `margin_s` before a
follower's may, since a follower saw that renewal only later. So `is_leader` asks the clock at each call, and
is right even in a process that was frozen for a minute and has just woken.

That is not a lock: a request that a leader sent in time may still arrive late. What must not happen twice is
kept by preconditions on each write, not by this.

`look` and `decide` are the machine; `Elector` does what they say.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import msgspec

from tidb_volume.kube import codec, kinds, transport
from tidb_volume.kube.client import Client

_RETRY_S = 0.5

_log = logging.getLogger(__name__)


class Timing(msgspec.Struct, frozen=True):
    """lease_s: how long a silent holder keeps it; margin_s: how much earlier it gives up by itself."""

    lease_s: float = 10.0
    renew_s: float = 2.5
    margin_s: float = 2.0
    request_s: float = 2.5


class Observed(msgspec.Struct, frozen=True):
    """The Lease as last read, and since when (by our own clock) it has read like that."""

    lease: codec.Lease
    since: float


class Step(Enum):
    """What to do next."""

    CREATE = "create"
    TAKE = "take"
    RENEW = "renew"
    WAIT = "wait"


def look(before: Observed | None, lease: codec.Lease, now: float) -> Observed:
    """What is known after reading `lease`: the time it has stood unchanged goes on, or begins anew."""
    if before is not None and _record(before.lease) == _record(lease):
        return Observed(lease, before.since)
    return Observed(lease, now)


def decide(
    observed: Observed | None, me: str, now: float, held_until: float | None, timing: Timing
) -> tuple[Step, float]:
    """What to do at `now`, and for WAIT how many seconds at most to wait.

    `held_until` is the deadline of the term that this process holds, None while it holds none. A Lease in our
    name whose deadline passed is taken again as a new term: others may have believed us gone.
    """
    if observed is None:
        return Step.CREATE, 0.0
    holder = observed.lease.spec.holder_identity
    if holder == me and held_until is not None and now < held_until:
        return Step.RENEW, 0.0
    if holder in ("", me):
        return Step.TAKE, 0.0
    promised = max(timing.lease_s, observed.lease.spec.lease_duration_seconds or 0)
    left = observed.since + promised - now
    if left <= 0:
        return Step.TAKE, 0.0
    return Step.WAIT, min(timing.renew_s, left)


def boottime() -> float:
    """Seconds that also pass while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Elector:
    """Seeks to hold one Lease; `run` is called in a thread of the owner's.

    identity: unique to this process, not to the pod, since a container restarts under the pod's name. gained,
    lost: called in that thread when a term begins and when it has ended without our doing. stop: ends it and
    gives the Lease back at once, so it is to be set only when what a leader does has ended. clock: seconds
    that only grow. wall: seconds since the epoch, written into the Lease for people, and for `idle_s`.
    """

    def __init__(
        self,
        over: transport.Transport,
        *,
        name: str,
        namespace: str,
        identity: str,
        stop: transport.Stop,
        gained: Callable[[], None],
        lost: Callable[[], None],
        timing: Timing | None = None,
        clock: Callable[[], float] = boottime,
        wall: Callable[[], float] = time.time,
        chance: random.Random | None = None,
    ) -> None:
        self.identity = identity
        self._name = name
        self._namespace = namespace
        self._stop = stop
        self._gained = gained
        self._lost = lost
        self._timing = timing or Timing()
        self._api = Client(over, manager=identity, timeout=self._timing.request_s)
        self._clock = clock
        self._wall = wall
        self._chance = chance or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._observed: Observed | None = None
        self._held_until: float | None = None
        self._doubtful = True
        self.idle_s = 0.0
        """How long nobody had led when the term began, by what the Lease says: it may be an old one, of an
        etcd that was set back. Infinite where there was none."""

    def is_leader(self) -> bool:
        """Whether this process leads at this very moment, by its own clock."""
        until = self._held_until
        return until is not None and self._clock() < until

    @property
    def holder(self) -> str:
        """Who held the Lease when it was last read; empty: nobody."""
        observed = self._observed
        return observed.lease.spec.holder_identity if observed is not None else ""

    def run(self) -> None:
        """Seek and hold the Lease until `stop` is set, then release it."""
        try:
            while not self._stop.is_set():
                self._stop.wait(self.step())
        finally:
            self.release()

    def step(self) -> float:
        """One look or one write; returns the seconds to wait before the next."""
        pause = self._timing.renew_s * (0.8 + 0.2 * self._chance.random())
        try:
            if not self.is_leader():
                self._end_term()
            if self._doubtful or self._held_until is None:
                self._read()
            step, seconds = decide(
                self._observed, self.identity, self._clock(), self._held_until, self._timing
            )
            if step is Step.WAIT:
                return min(pause, seconds)
            self._write(step)
        except (transport.ApiError, transport.NoAnswer, codec.Undecodable) as error:
            self._doubtful = True
            self._failed(error)
            return min(pause, _RETRY_S)
        finally:
            if not self.is_leader():
                self._end_term()
        return pause

    def release(self) -> None:
        """Give the Lease back if it is ours, so that the next leader need not wait; trouble is logged."""
        if not self.is_leader() or self._observed is None:
            return
        self._held_until = None
        try:
            free = {"holderIdentity": "", "leaseDurationSeconds": 1, **self._renewed()}
            self._patch(self._observed.lease, free)
        except (transport.ApiError, transport.NoAnswer, codec.Undecodable) as error:
            self._failed(error)

    def _read(self) -> None:
        lease, before = self._api.find(kinds.LEASE, self._name, self._namespace), self._observed
        if lease is not None and before is not None and _is_older(lease, before.lease):
            # An etcd that was restored, and what else this term knows is of another past than the one there.
            self._end_term()
        self._observed = None if lease is None else look(self._observed, lease, self._clock())
        self._doubtful = False
        if lease is None or lease.spec.holder_identity != self.identity:
            self._end_term()

    def _write(self, step: Step) -> None:
        began = self._clock()
        spec: dict[str, Any] = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": round(self._timing.lease_s),
            **self._renewed(),
        }
        if step is not Step.RENEW:
            self.idle_s = self._since_renewed()
        if self._observed is None:
            spec |= {"acquireTime": spec["renewTime"], "leaseTransitions": 0}
            document = {"metadata": {"name": self._name, "namespace": self._namespace}, "spec": spec}
            lease = self._api.create(kinds.LEASE, document, self._namespace)
        else:
            if step is Step.TAKE:
                terms = self._observed.lease.spec.lease_transitions
                spec |= {"acquireTime": spec["renewTime"], "leaseTransitions": terms + 1}
            lease = self._patch(self._observed.lease, spec)
        self._observed = look(self._observed, lease, self._clock())
        until = began + self._timing.lease_s - self._timing.margin_s
        if self._clock() >= until:
            return
        if not self.is_leader():
            # The term ran out while the answer was on its way, and who asked meanwhile was told so.
            self._end_term()
        begins = self._held_until is None
        self._held_until = until
        if begins:
            _log.info("leading", extra={"fields": {"lease": self._name, "identity": self.identity}})
            self._gained()

    def _patch(self, lease: codec.Lease, spec: dict[str, Any]) -> codec.Lease:
        meta = {"uid": lease.metadata.uid, "resourceVersion": lease.metadata.resource_version}
        patch = {"metadata": meta, "spec": spec}
        return self._api.merge_patch(kinds.LEASE, self._name, patch, self._namespace)

    def _since_renewed(self) -> float:
        said = self._observed.lease.spec.renew_time if self._observed is not None else None
        return self._wall() - datetime.fromisoformat(said).timestamp() if said else math.inf

    def _renewed(self) -> dict[str, str]:
        moment = datetime.fromtimestamp(self._wall(), UTC)
        return {"renewTime": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}

    def _end_term(self) -> None:
        if self._held_until is None:
            return
        self._held_until = None
        fields = {"lease": self._name, "identity": self.identity, "holder": self.holder}
        _log.warning("not leading any more", extra={"fields": fields})
        self._lost()

    def _failed(self, error: Exception) -> None:
        _log.warning("lease", extra={"fields": {"lease": self._name, "error": str(error)}})


def _is_older(lease: codec.Lease, known: codec.Lease) -> bool:
    """Whether it is what a known one was before: every renewal names a later moment."""
    then, now = known.spec.renew_time, lease.spec.renew_time
    return lease.metadata.uid == known.metadata.uid and bool(now and then and now < then)


def _record(lease: codec.Lease) -> tuple[str, codec.LeaseSpec]:
    return lease.metadata.uid, lease.spec
