"""Metrics in a registry of our own, so that a scrape shows what this program measures and nothing else.

Counts of volumes by state are not kept up to date at each change: a `snapshot` is computed from the store
when someone scrapes, which cannot drift and costs nothing in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

PREFIX = "tidb_volume"


class Sample(msgspec.Struct, frozen=True):
    """One series of a snapshot."""

    value: float
    labels: Mapping[str, str] = {}


class Shown(msgspec.Struct, frozen=True):
    """What a program says that it measures."""

    name: str
    help: str
    labels: tuple[str, ...]


class Metrics:
    """A program's metrics; every name becomes `tidb_volume_NAME`, with its unit at the end."""

    def __init__(self) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.shown: list[Shown] = []
        """All of them but the process's own, for the documents."""

    def _show(self, name: str, help_: str, labels: Sequence[str]) -> None:
        self.shown.append(Shown(f"{PREFIX}_{name}", help_, tuple(labels)))

    def counter(self, name: str, help_: str, labels: Sequence[str] = ()) -> Counter:
        """Something that only grows; `_total` is added to its name."""
        self._show(f"{name}_total", help_, labels)
        return Counter(name, help_, labels, namespace=PREFIX, registry=self.registry)

    def gauge(self, name: str, help_: str, labels: Sequence[str] = ()) -> Gauge:
        """Something that is set."""
        self._show(name, help_, labels)
        return Gauge(name, help_, labels, namespace=PREFIX, registry=self.registry)

    def histogram(
        self, name: str, help_: str, labels: Sequence[str] = (), *, buckets: Sequence[float]
    ) -> Histogram:
        """Something of which the distribution matters; `buckets` are upper bounds."""
        self._show(name, help_, labels)
        return Histogram(name, help_, labels, namespace=PREFIX, registry=self.registry, buckets=buckets)

    def snapshot(
        self,
        name: str,
        help_: str,
        samples: Callable[[], Iterable[Sample]],
        labels: Sequence[str] = (),
        *,
        counts: bool = False,
    ) -> None:
        """Series that `samples` computes at each scrape; `counts` says that they only grow.

        `samples` runs in the scraping thread and must be quick.
        """
        self._show(f"{name}_total" if counts else name, help_, labels)
        self.registry.register(_Snapshot(f"{PREFIX}_{name}", help_, samples, tuple(labels), counts))

    def process(self) -> None:
        """Also show what this process itself uses (process_resident_memory_bytes and so on)."""
        prometheus_client.ProcessCollector(registry=self.registry)

    def render(self) -> tuple[str, bytes]:
        """Content type and text of a scrape."""
        return CONTENT_TYPE_LATEST, generate_latest(self.registry)


class _Snapshot(Collector):
    def __init__(
        self,
        name: str,
        help_: str,
        samples: Callable[[], Iterable[Sample]],
        labels: tuple[str, ...],
        counts: bool,
    ) -> None:
        self._name = name
        self._help = help_
        self._samples = samples
        self._labels = labels
        self._counts = counts

    def describe(self) -> Iterable[Metric]:
        """Its family without series, so that registering does not compute it."""
        return [self._family()]

    def collect(self) -> Iterable[Metric]:
        """Its family with the series of this moment."""
        family = self._family()
        for sample in self._samples():
            family.add_metric([sample.labels.get(label, "") for label in self._labels], sample.value)
        return [family]

    def _family(self) -> CounterMetricFamily | GaugeMetricFamily:
        kind = CounterMetricFamily if self._counts else GaugeMetricFamily
        return kind(self._name, self._help, labels=self._labels)
