"""The one thread that owns all state: descriptors, timers, and calls handed over by other threads.

Written here and not taken from `selectors`, since that cannot ask for POLLPRI alone, which is how a mount
table says that it has changed (POLLIN is always set on it); and not from asyncio, which costs a daemon on
every node four megabytes.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
from collections.abc import Callable
from queue import SimpleQueue

Call = Callable[[], object]

READ = select.POLLIN
CHANGED = select.POLLPRI


class Loop:
    """Run callbacks until `stop`. Only `call`, `stop` and `busy_s` may be used from other threads, and the
    first two from signals.

    clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._poll = select.poll()
        self._callbacks: dict[int, Call] = {}
        self._calls: SimpleQueue[Call] = SimpleQueue()
        self._woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._woken, READ)
        self._running = True
        self._busy_since: float | None = None

    def add(self, descriptor: int, events: int, callback: Call) -> None:
        """Call back whenever the descriptor has one of these events, or an error."""
        self._callbacks[descriptor] = callback
        self._poll.register(descriptor, events)

    def remove(self, descriptor: int) -> None:
        """Forget a descriptor, before it is closed."""
        if self._callbacks.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def call(self, callback: Call) -> None:
        """Have it called in the loop's thread, soon."""
        self._calls.put(callback)
        os.eventfd_write(self._woken, 1)

    def stop(self) -> None:
        """End `run` after what is being called now."""
        self._running = False
        os.eventfd_write(self._woken, 1)

    def busy_s(self) -> float:
        """For how long it has been in one turn; 0: it waits for something to happen."""
        since = self._busy_since
        return 0.0 if since is None else self._clock() - since

    def run(self, next_at: Callable[[], float], on_time: Call) -> None:
        """Until `stop`. next_at: when `on_time` is to be called next, asked before every sleep; infinity: not
        before something has happened.
        """
        while self._running:
            now = self._busy_since = self._clock()
            due = next_at()
            if due <= now:
                on_time()
                due = next_at()
            # A millisecond more than is left, so that poll's own rounding does not wake us early again.
            wait_ms = None if due == math.inf else max(0.0, due - self._clock()) * 1000 + 1
            self._busy_since = None
            happened = self._poll.poll(wait_ms)
            self._busy_since = self._clock()
            ready = [(each, self._callbacks.get(each)) for each, _ in happened]
            for descriptor, callback in ready:
                if descriptor == self._woken:
                    self._hand_over()
                # What is called before it may have closed it, and given its number to another.
                elif callback is not None and self._callbacks.get(descriptor) is callback:
                    callback()

    def close(self) -> None:
        """Give its own descriptor back, once nobody calls any more."""
        os.close(self._woken)

    def _hand_over(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._woken)
        while not self._calls.empty():
            self._calls.get_nowait()()
