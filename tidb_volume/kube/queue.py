"""Which key to look at next: a queue that forgets repeats, waits, and serves live changes first.

The semantics are controller-runtime's priorityqueue: a key stands in the queue once, with the soonest time
and the best priority that anyone asked for; a key that is being worked on is not handed out twice, and what
is added meanwhile is kept until `done`. At a start ten thousand keys come from the first list, and a claim
that is deleted in that second must not wait behind them: hence priorities.
"""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from enum import IntEnum
from typing import Generic, TypeVar

from tidb_volume.kube import backoff

K = TypeVar("K", bound=Hashable)


class Priority(IntEnum):
    """Which of two ready keys goes first."""

    LIVE = 0
    """Somebody waits for this one."""
    WIDE = 1
    """News of many at once (a machine's), and the next step of one of many: what was begun is finished before
    more is begun."""
    LISTED = 2
    """From a whole list: the start, what comes after a gap, an edit that concerns many."""


class _Entry(Generic[K]):
    __slots__ = ("at", "key", "priority", "serial", "turn")

    def __init__(self, key: K, at: float, priority: Priority, serial: int, turn: int) -> None:
        self.key = key
        self.at = at
        self.priority = priority
        self.serial = serial
        self.turn = turn


class Queue(Generic[K]):
    """A queue of keys for several workers.

    clock: seconds that only grow. chance: for the jitter of retries.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
        first_retry: float = 0.1,
        longest_retry: float = 60.0,
    ) -> None:
        self._clock = clock
        self._chance = chance or random.Random()  # noqa: S311 - spreads retries, keeps no secret
        self._first_retry = first_retry
        self._longest_retry = longest_retry
        self._condition = threading.Condition()
        self._entries: dict[K, _Entry[K]] = {}
        self._ready: list[tuple[int, int, int, _Entry[K]]] = []
        self._waiting: list[tuple[float, int, _Entry[K]]] = []
        self._working: set[K] = set()
        self._retries: dict[K, tuple[int, Iterator[float]]] = {}
        self._serial = 0
        self._closed = False

    def add(self, key: K, priority: Priority = Priority.LIVE) -> None:
        """Have `key` looked at as soon as a worker is free."""
        self.add_after(key, 0.0, priority)

    def add_after(self, key: K, seconds: float, priority: Priority = Priority.LIVE) -> None:
        """Have `key` looked at in `seconds`, or sooner where it already stands in the queue for sooner."""
        with self._condition:
            if self._closed:
                return
            at = self._clock() + max(0.0, seconds)
            known = self._entries.get(key)
            if known is not None:
                if at >= known.at and priority >= known.priority:
                    return
                at, priority = min(at, known.at), min(priority, known.priority)
            self._serial += 1
            turn = known.turn if known is not None else self._serial
            entry = _Entry(key, at, priority, self._serial, turn)
            self._entries[key] = entry
            if key not in self._working:
                self._push(entry)

    def retry(self, key: K, priority: Priority = Priority.LIVE, *, at_least: float = 0.0) -> float:
        """Have `key` looked at again after a failure, later each time until `forget`; returns the seconds.

        at_least: seconds that the server asked for, where it did.
        """
        with self._condition:
            count, pauses = self._retries.get(key) or (
                0,
                backoff.delays(self._chance, first=self._first_retry, longest=self._longest_retry),
            )
            pause = max(next(pauses), at_least)
            self._retries[key] = (count + 1, pauses)
        self.add_after(key, pause, priority)
        return pause

    def forget(self, key: K) -> None:
        """The key's work went well: the next failure begins with the shortest pause again."""
        with self._condition:
            self._retries.pop(key, None)

    def retries(self, key: K) -> int:
        """How often `key` was retried since it last went well."""
        with self._condition:
            return self._retries[key][0] if key in self._retries else 0

    def get(self, timeout: float | None = None) -> K | None:
        """The next key, waiting for one; its worker must call `done`. None: closed, or none in `timeout`."""
        give_up = None if timeout is None else self._clock() + timeout
        with self._condition:
            while not self._closed:
                key = self._pop()
                if key is not None:
                    return key
                until = [at for at in (self._next_at(), give_up) if at is not None]
                now = self._clock()
                if give_up is not None and now >= give_up:
                    return None
                self._condition.wait(min(until) - now if until else None)
            return None

    def poll(self) -> K | None:
        """The next key that is ready now, or None."""
        with self._condition:
            return None if self._closed else self._pop()

    def done(self, key: K) -> None:
        """The worker is through with `key`; if it was added meanwhile it may be handed out again."""
        with self._condition:
            self._working.discard(key)
            entry = self._entries.get(key)
            if entry is not None:
                self._push(entry)

    def anew(self, key: K) -> None:
        """The worker that has `key` is about to look at it anew: what was added for now is looked at with it.

        To be called before it reads anything: what comes later is kept until `done`.
        """
        with self._condition:
            entry = self._entries.get(key)
            if entry is not None and key in self._working and entry.at <= self._clock():
                del self._entries[key]

    def next_at(self) -> float | None:
        """When the next key that nobody works on is due, by the queue's clock; None: there is none."""
        with self._condition:
            return self._next_at()

    def shutdown(self) -> None:
        """Hand out nothing more and wake the workers."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    @property
    def closed(self) -> bool:
        """Whether `shutdown` was called."""
        return self._closed

    def __len__(self) -> int:
        with self._condition:
            return len(self._entries)

    # --- inside, under the lock; heaps may hold entries that were replaced since ---

    def _push(self, entry: _Entry[K]) -> None:
        heapq.heappush(self._waiting, (entry.at, entry.serial, entry))
        self._condition.notify()

    def _pop(self) -> K | None:
        now = self._clock()
        while self._waiting and self._waiting[0][0] <= now:
            _, _, entry = heapq.heappop(self._waiting)
            if self._is_current(entry):
                heapq.heappush(self._ready, (entry.priority, entry.turn, entry.serial, entry))
        while self._ready:
            _, _, _, entry = heapq.heappop(self._ready)
            if self._is_current(entry):
                del self._entries[entry.key]
                self._working.add(entry.key)
                return entry.key
        return None

    def _next_at(self) -> float | None:
        while self._ready and not self._is_current(self._ready[0][3]):
            heapq.heappop(self._ready)
        while self._waiting and not self._is_current(self._waiting[0][2]):
            heapq.heappop(self._waiting)
        if self._ready:
            return self._ready[0][3].at
        return self._waiting[0][0] if self._waiting else None

    def _is_current(self, entry: _Entry[K]) -> bool:
        return self._entries.get(entry.key) is entry and entry.key not in self._working
