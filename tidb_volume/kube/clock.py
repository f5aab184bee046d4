"""What time it is by the API server, on whichever machine this runs.

A countdown begun by one leader is ended by another, and both clocks may be wrong. One that is an hour fast
would end every countdown an hour early and find the breaker's last hour empty. So none of them is asked: each
answer of the API server carries its Date, and time goes on from there by a clock that nobody sets.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from tidb_volume.kube import transport
from tidb_volume.kube.lease import boottime

_RESOLUTION_S = 1.0
"""A Date is cut off to whole seconds (RFC 9110, 5.6.7)."""

LEAP_S = 300.0
"""Seconds by which no time is set right that was right: it was behind before, or is ahead now."""


class Timed(transport.Over):
    """A `transport.Transport` over another one, which listens to what time the server says it is.

    steady: seconds that only grow, also while the machine sleeps. wall: this machine's clock, believed until
    the server's first answer and never set right by it.

    leapt_at: when, by the time after it, the server's time last leapt ahead by more than `LEAP_S`;
    0: it never has, or is back before that.
    """

    def __init__(
        self,
        over: transport.Transport,
        *,
        steady: Callable[[], float] = boottime,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(over)
        self._steady, self._wall = steady, wall
        self._lock = threading.Lock()
        self._ahead = wall() - steady()
        """Of the server's time before the steady clock."""
        self._heard_once = False
        self.leapt_at = 0.0

    def now(self) -> float:
        """Seconds since the epoch, by the API server."""
        return self._steady() + self._ahead

    def own_ahead_s(self) -> float:
        """How far this machine's clock is ahead of the server's; negative: behind."""
        return self._wall() - self.now()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: transport.Query | None = None,
        body: bytes | None = None,
        content_type: str = transport.JSON,
        timeout: float = transport.REQUEST_TIMEOUT_S,
    ) -> transport.Response:
        """See `transport.Transport.request`."""
        sent = self._steady()
        answer = self._over.request(
            method, path, query=query, body=body, content_type=content_type, timeout=timeout
        )
        self._heard(answer.headers.get("date", ""), sent, self._steady())
        return answer

    def _heard(self, date: str, sent: float, received: float) -> None:
        """The server wrote it somewhere between these two moments: the least that this changes is right."""
        said = _seconds(date)
        if said is None:
            return
        least, most = said - received, said + _RESOLUTION_S - sent
        with self._lock:
            ahead = min(max(self._ahead, least), most)
            now = self._steady() + ahead
            if self._heard_once and ahead - self._ahead > LEAP_S:
                self.leapt_at = now  # before anybody is told that it is so late
            elif now < self.leapt_at:
                self.leapt_at = 0.0
            self._ahead, self._heard_once = ahead, True


def _seconds(date: str) -> float | None:
    try:
        read = parsedate_to_datetime(date)
    except (ValueError, TypeError):
        return None
    return read.timestamp() if read.tzinfo is not None else None
