"""What the daemon measures: its own node's disks and orders, computed when somebody scrapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol

from disk_daemon.minded import Minded
from disk_daemon.tally import Tally
from tidb_volume.obs.metrics import Metrics, Sample


class Measured(Protocol):
    """What is known of the node; the keeper."""

    tally: Tally

    @property
    def volumes(self) -> tuple[Minded, ...]:
        """See `keeper.Keeper.volumes`."""
        ...


def measure(metrics: Metrics, of: Measured, *, own_groups: bool) -> None:
    """Have all of it shown. own_groups: what touches disks is in a control group beside the pod's."""

    def by(name: str, help_: str, counts: Mapping[str, int], label: str) -> None:
        metrics.snapshot(name, help_, lambda: _by(counts, label), (label,), counts=True)

    tally = of.tally
    metrics.snapshot("daemon_disks", "Disks by presence.", lambda: _by_presence(of.volumes), ("presence",))
    by("daemon_orders", "Orders by what became of them.", tally.orders, "state")
    metrics.snapshot(
        "daemon_wipes",
        "Wipes by method and result: done, failed, refused, withdrawn.",
        lambda: [
            Sample(count, {"method": method, "result": result})
            for (method, result), count in sorted(tally.wipes.copy().items())
        ],
        ("method", "result"),
        counts=True,
    )
    by("daemon_refusals", "Orders that were refused, by reason.", tally.refusals, "reason")
    by("daemon_failures", "Orders that failed, by the errno's name.", tally.failures, "reason")
    metrics.snapshot(
        "daemon_interrupted",
        "Processes at an order that ended without their last word: killed, or by a fault of ours.",
        lambda: [Sample(tally.interrupted)],
        counts=True,
    )
    metrics.snapshot(
        "daemon_record_failures",
        "Attempts at an order that could not be put on the node's record.",
        lambda: [Sample(tally.unrecorded)],
        counts=True,
    )
    metrics.snapshot(
        "daemon_children_apart",
        "1: what touches disks is in a control group beside its pod's; 0: a hung disk may keep the pod.",
        lambda: [Sample(int(own_groups))],
    )
    metrics.snapshot("daemon_disk_bytes", "Capacity of each disk.", lambda: _bytes(of.volumes), ("volume",))


def _by(counts: Mapping[str, int], label: str) -> list[Sample]:
    return [Sample(count, {label: each}) for each, count in sorted(dict(counts).items())]


def _by_presence(volumes: Iterable[Minded]) -> list[Sample]:
    found = (known.report.presence.value if known.report else "NotObserved" for known in volumes)
    return _by(Counter(found), "presence")


def _bytes(volumes: Iterable[Minded]) -> list[Sample]:
    return [Sample(known.report.capacity_bytes, {"volume": known.name}) for known in volumes if known.report]
