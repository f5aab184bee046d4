"""Keeps a store equal to what the API server holds of one kind: list once, then listen.

Our place is the version up to which everything was heard. Without one the next step is a list, with one it is
a watch from there. Only two things take it away: the server no longer has it (410), or has not got there yet
(an etcd set back by a restore). A watch that ends before its time is the sign of a server that restarted, so
the place is checked before it is used again: on a server whose versions were set back, a watch from our place
would stay silent until they have caught up. Once they have, nothing tells the two histories apart; that is
why etcd is to be restored with `--bump-revision --mark-compacted`, which makes every place a 410.

The list comes in pages, because one answer with ten thousand objects costs both sides its whole size in
memory. `resourceVersion` is left unset on it: what the controller decides on must not be older than what it
has seen before a restart.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Generic, TypeVar

from tidb_volume.kube import backoff, client, codec, store, transport
from tidb_volume.kube.kinds import Kind

T = TypeVar("T", bound=store.HasMeta)

SHORTEST_WATCH_S = 300
LONGEST_WATCH_S = 600
"""A watch is renewed after a random time between these, so that a thousand daemons do not renew at once."""

_log = logging.getLogger(__name__)


class _Lost(Exception):  # noqa: N818 - says what happened
    """Our place is of no use any more: list anew. set_back: the server is not as far as we were."""

    def __init__(self, said: str, *, set_back: bool = False) -> None:
        super().__init__(said)
        self.set_back = set_back


class Reflector(Generic[T]):
    """One kind's list and watch into one store; `run` is called in a thread of the owner's.

    namespace, labels, fields: what to list, as kubectl takes them. stop: ends it, also in the middle of a
    read. clock: seconds that only grow. chance: for jitter.
    """

    def __init__(
        self,
        api: client.Client,
        kind: Kind[T],
        into: store.Store[T],
        *,
        stop: transport.Stop,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        page: int = client.PAGE,
        clock: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
    ) -> None:
        self.kind = kind
        self.store = into
        self._api = api
        self._stop = stop
        self._namespace = namespace
        self._labels = labels
        self._fields = fields
        self._page = page
        self._clock = clock
        self._chance = chance or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._pauses = backoff.delays(self._chance)
        self._place: int | None = None
        self._doubtful = False
        self._set_back = False
        self._paged = True
        self._trouble = ""
        self._heard_at: float | None = None

    @property
    def has_synced(self) -> bool:
        """Whether the store has held a whole list."""
        return self.store.synced

    @property
    def trouble(self) -> str:
        """Why the store may be behind: the last failure, until something went well again; else empty."""
        return self._trouble

    def silent_for(self) -> float | None:
        """Seconds since the server last said anything, a bookmark counting; None: it never did."""
        return None if self._heard_at is None else self._clock() - self._heard_at

    def run(self) -> None:
        """List and watch until `stop` is set, waiting out all trouble. Raises what a handler raises."""
        while not self._stop.is_set():
            self._stop.wait(self.step())

    def step(self) -> float:
        """One list, or one watch to its end; returns the seconds to wait before the next step."""
        try:
            if self._place is None:
                self._list()
                return 0.0
            if self._doubtful:
                self._check_place(self._place)
            return self._listen(self._place)
        except _Lost as lost:
            _log.info("listing anew", extra={"fields": {"kind": self.kind.name, "why": str(lost)}})
            self._place = None
            self._set_back |= lost.set_back
            return next(self._pauses)
        except transport.ApiError as error:
            return max(self._failed(error), error.retry_after or 0.0)
        except (transport.NoAnswer, codec.Undecodable) as error:
            return self._failed(error)

    def _list(self) -> None:
        mark = self.store.mark()
        items: list[T] = []
        version = ""
        try:
            for page in self._pages(self._page if self._paged else 0):
                items.extend(page.items)
                version = page.resource_version
                if self._stop.is_set():
                    return
        except transport.ApiError as error:
            if error.gone and self._paged:
                self._paged = False
                raise _Lost("a list's next page had expired; asking for all in one") from error
            raise
        self._paged = True
        place = _number(version)
        # By now the versions may have caught up, and the list need not show it any more.
        self.store.replace(items, place, mark, set_back=self._set_back)
        self._set_back = False
        self._place = place
        self._doubtful = False
        self._heard()

    def _listen(self, place: int) -> float:
        seconds = self._chance.randint(SHORTEST_WATCH_S, LONGEST_WATCH_S)
        began = self._clock()
        self._doubtful = True
        try:
            watch = self._api.watch(
                self.kind,
                str(place),
                self._namespace,
                labels=self._labels,
                fields=self._fields,
                stop=self._stop,
                seconds=seconds,
            )
            with closing(watch) as told:
                for seen in told:
                    self._take(seen)
        except transport.ApiError as error:
            if error.gone or error.ahead:
                raise _Lost(str(error), set_back=error.ahead) from error
            raise
        if self._clock() - began < seconds - 1:
            return next(self._pauses)
        self._doubtful = False
        self._pauses = backoff.delays(self._chance)
        return 0.0

    def _take(self, seen: client.Seen[T]) -> None:
        self._heard()
        if seen.type == "ACCEPTED":
            return
        version = _number(seen.resource_version)
        if self._place is not None and version < self._place:
            raise _Lost(f"versions ran backwards, from {self._place} to {version}", set_back=True)
        if seen.object is None:
            self.store.heard_up_to(version)
        elif seen.type == "DELETED":
            self.store.heard_deleted(seen.object)
        else:
            self.store.heard(seen.object)
        self._place = version
        self._pauses = backoff.delays(self._chance)

    def _check_place(self, place: int) -> None:
        page = next(self._pages(1))
        if _number(page.resource_version) < place:
            raise _Lost(f"the server is at {page.resource_version}, behind our {place}", set_back=True)
        self._doubtful = False

    def _pages(self, limit: int) -> Iterator[client.Page[T]]:
        return self._api.pages(
            self.kind, self._namespace, labels=self._labels, fields=self._fields, limit=limit
        )

    def _heard(self) -> None:
        self._heard_at = self._clock()
        self._trouble = ""

    def _failed(self, error: Exception) -> float:
        if self._stop.is_set():
            return 0.0
        pause = next(self._pauses)
        if str(error) != self._trouble:
            fields = {"kind": self.kind.name, "error": str(error), "pause_s": round(pause, 2)}
            _log.warning("cannot list or watch", extra={"fields": fields})
        self._trouble = str(error)
        return pause


def _number(version: str) -> int:
    """A resourceVersion as one that can be compared. Raises Undecodable for an answer without, which is one
    that cannot be read and no more: a thread that ended over it would never hear of anything again."""
    if not (version.isascii() and version.isdecimal()):
        raise codec.Undecodable(f"an answer has the resourceVersion {version!r}, which is no number")
    return int(version)
