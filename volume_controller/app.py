"""The volume-controller's threads, from start to an orderly end.

Every replica keeps the stores warm; only the leader decides. Threads: one reflector a kind, one elector, one
for Events, and during a term the workers. They end in this order: workers (so that nothing is decided any
more), the elector (which gives the Lease back), reflectors, Events, HTTP.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec

from tidb_volume import names
from tidb_volume.kube import client, clock, lease, transport
from tidb_volume.kube.events import Recorder
from tidb_volume.kube.queue import Queue
from tidb_volume.life.daemon import is_ready
from tidb_volume.obs import http
from tidb_volume.obs.log import Log
from tidb_volume.obs.metrics import Metrics, Sample
from tidb_volume.value import Volume
from volume_controller.cluster import Cluster, Key
from volume_controller.tell import Teller
from volume_controller.term import Term

MISSED_S = 300.0
"""Seconds without a leader after which nobody is sure any more that people were heard in time."""
SYNC_S = 120.0
"""A replica whose stores are not filled after this long is not ready, and says which are not."""

_log = Log(__name__)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says."""

    namespace: str
    identity: str
    host: str
    metrics_host: str = ""
    metrics_port: int = 8080
    workers: int = 8


class App:
    """One replica. `run` blocks until `stop` is set by a signal."""

    def __init__(
        self,
        over: transport.Transport,
        settings: Settings,
    ) -> None:
        self._settings = settings
        self._over = over = self._clock = clock.Timed(over)
        self._stop = transport.Stop()
        self._election_stop = transport.Stop()
        self._api = client.Client(over, manager="volume-controller")
        self._queue: Queue[Key] = Queue(first_retry=0.02)
        self._cluster = Cluster(self._queue, settings.namespace)
        self._metrics = Metrics()
        self._metrics.process()
        self._recorder = Recorder(self._api, component="volume-controller", host=settings.host)
        self._teller = Teller(self._recorder, self._metrics, settings.identity)
        self._reflectors = self._cluster.reflectors(self._api, self._stop)
        self._asked_to_stop = threading.Event()
        self._term: Term | None = None
        self._term_lock = threading.Lock()
        self._elector = lease.Elector(
            over,
            name=names.LEASE,
            namespace=settings.namespace,
            identity=settings.identity,
            stop=self._election_stop,
            gained=self._begin_term,
            lost=self._end_term,
            wall=self._clock.now,
        )
        self._set_back = self._metrics.counter(
            "set_back", "How often a list showed that etcd was set back; a leader begins a new term then."
        )
        self._cluster.on_set_back(self._begin_anew)
        self._measure()

    def stop(self) -> None:
        """Ask for the end; safe in a signal handler."""
        self._asked_to_stop.set()

    def run(self) -> None:
        """Run until asked to stop."""
        server = http.Server(
            self._settings.metrics_host,
            self._settings.metrics_port,
            {
                "/metrics": http.metrics(self._metrics),
                "/healthz": http.health({"threads": self._dead_threads}),
                "/readyz": http.health({"synced": self._not_synced}),
            },
        )
        self._threads = [
            *(
                threading.Thread(target=each.run, name=f"watch-{each.kind.plural}")
                for each in self._reflectors
            ),
            threading.Thread(target=self._recorder.run, name="events"),
        ]
        elector = threading.Thread(target=self._elector.run, name="elector")
        server.start()
        for thread in self._threads:
            thread.start()
        while not self._cluster.synced and not self._asked_to_stop.wait(0.02):
            pass
        _log.info("synced", volumes=len(self._cluster.volumes), pods=len(self._cluster.pods))
        self._threads.append(elector)
        elector.start()
        self._asked_to_stop.wait()
        _log.info("stopping")
        self._end_term(wait=True)
        self._election_stop.set()
        elector.join()
        self._stop.set()
        self._queue.shutdown()
        self._recorder.close()
        for thread in self._threads:
            thread.join(5.0)
        server.stop()
        self._over.close()

    def _begin_term(self) -> None:
        with self._term_lock:
            idle_s = self._elector.idle_s
            missed = idle_s > MISSED_S
            if missed and idle_s != math.inf:  # else there was no Lease: nobody has ever led
                _log.warning("nobody led for long: countdowns begin anew", seconds=round(idle_s))
            self._term = self._new_term(missed=missed)
            self._term.start()

    def _new_term(self, *, missed: bool) -> Term:
        return Term(
            self._api,
            self._cluster,
            self._queue,
            self._recorder,
            self._teller,
            identity=self._settings.identity,
            leading=self._elector.is_leader,
            wall=self._clock.now,
            workers=self._settings.workers,
            missed=missed,
            leapt_at=lambda: self._clock.leapt_at,
        )

    def _begin_anew(self) -> None:
        """Etcd was set back: what this leader did may not have been done. It forgets all of it, as a new
        leader would know nothing, before it decides on what is there now (decision 0002)."""
        self._set_back.inc()
        with self._term_lock:
            before = self._term
            if before is not None:
                before.end()
                self._term = self._new_term(missed=True)
                self._term.start()
        _log.warning("etcd was set back: its lists show what had changed since", leading=before is not None)

    def _end_term(self, wait: bool = False) -> None:
        with self._term_lock:
            term, self._term = self._term, None
        if term is not None:
            term.end()
            if wait:
                term.join()

    # --- what is seen from outside ---

    def _dead_threads(self) -> str:
        dead = [thread.name for thread in self._threads if thread.ident is not None and not thread.is_alive()]
        return f"ended: {', '.join(dead)}" if dead and not self._asked_to_stop.is_set() else ""

    def _not_synced(self) -> str:
        behind = [each.kind.plural for each in self._reflectors if not each.has_synced]
        return f"not yet listed: {', '.join(behind)}" if behind else ""

    def _measure(self) -> None:
        metrics, cluster = self._metrics, self._cluster

        def volumes() -> Iterator[Sample]:
            counts = Counter(
                (volume.spec.pool, volume.status.phase.value, volume.status.reason)
                for volume in cluster.volumes.all()
            )
            for (pool, phase, reason), count in counts.items():
                yield Sample(count, {"pool": pool, "phase": phase, "reason": reason})

        def single(name: str, help_: str, value: Callable[[], float]) -> None:
            metrics.snapshot(name, help_, lambda: [Sample(value())])

        metrics.snapshot(
            "volumes", "Volumes by pool, phase and reason.", volumes, ["pool", "phase", "reason"]
        )
        metrics.snapshot(
            "questions",
            "Volumes that ask a person something, by what; waiting: nothing goes on before he answers.",
            self._questions,
            ["kind", "waiting"],
        )
        metrics.snapshot(
            "inventory_in_force",
            "1: the inventory ConfigMap is in force as it stands; 0: it is refused.",
            self._in_force,
            ["config_map"],
        )
        metrics.snapshot(
            "inventory_problems",
            "What the leader has against an inventory ConfigMap, by severity.",
            self._problems,
            ["config_map", "severity"],
        )
        single("daemons_away", "Nodes with volumes and without a Ready disk-daemon.", self._daemons_away)
        single("leading", "1 while this replica decides.", self._leads)
        single("paused", "1 while the fleet is paused or its object is missing.", self._paused)
        single("breaker_open", "1 while the circuit breaker is open.", self._breaker_open)
        single(
            "clock_ahead_seconds",
            "How far this machine's clock is ahead of the API server's, by which is decided.",
            self._clock.own_ahead_s,
        )
        single("queue_length", "Keys waiting to be looked at.", lambda: float(len(self._queue)))

    def _questions(self) -> Iterator[Sample]:
        counts = Counter(
            (volume.status.question.kind, _waits(volume))
            for volume in self._cluster.volumes.all()
            if volume.status.question is not None
        )
        for (kind, waits), count in counts.items():
            yield Sample(count, {"kind": kind, "waiting": "true" if waits else "false"})

    def _in_force(self) -> Iterator[Sample]:
        fleet = self._cluster.fleet
        for each in fleet.status.inventories if fleet is not None else ():
            if each.hash:  # else it is gone, and what outlives it is said
                yield Sample(float(not each.refused), {"config_map": each.name})

    def _problems(self) -> Iterator[Sample]:
        if not self._elector.is_leader():
            return  # what it found when it led is not true any more
        for name, counts in self._cluster.said_of_inventory.items():
            for severity, count in counts.items():
                yield Sample(count, {"config_map": name, "severity": severity.value})

    def _leads(self) -> float:
        return float(self._elector.is_leader())

    def _daemons_away(self) -> float:
        cluster = self._cluster
        ready = {pod.spec.node_name for pod in cluster.daemons.all() if is_ready(pod)}
        return float(len({volume.spec.node_name for volume in cluster.volumes.all()} - ready))

    def _paused(self) -> float:
        fleet = self._cluster.fleet
        return float(fleet is None or fleet.spec.paused)

    def _breaker_open(self) -> float:
        fleet = self._cluster.fleet
        return float(fleet is None or fleet.status.breaker.tripped)


def _waits(volume: Volume) -> bool:
    return any(each.type == "WaitingForPerson" for each in volume.status.conditions)
