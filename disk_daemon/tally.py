"""What became of orders on this node since the daemon began, counted for the metrics.

The loop's thread counts, the thread of a scrape reads: each number is right by itself.
"""

from __future__ import annotations

from collections import Counter

from disk_daemon.jobs import Ended
from tidb_volume.value import Order, Work, WorkState


class Tally:
    """The counts. wipes: by method and result. refusals: by reason. failures: by the errno's name."""

    def __init__(self) -> None:
        self.orders: Counter[str] = Counter()
        self.wipes: Counter[tuple[str, str]] = Counter()
        self.refusals: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.interrupted = 0
        """Processes at an order that ended without their last word."""
        self.unrecorded = 0
        """Processes at an order that could not put on record what they should."""

    def answered(self, order: Order, work: Work, ended: Ended) -> None:
        """An order had its answer."""
        self.orders[work.state.value] += 1
        result = work.state.value
        if work.reason == "Withdrawn":
            result = "withdrawn"
        elif work.state is WorkState.REFUSED:
            self.refusals[work.reason] += 1
        elif work.state is WorkState.FAILED:
            self.failures[work.reason] += 1
        if order.destroys:
            self.wipes[ended.method, result] += 1
