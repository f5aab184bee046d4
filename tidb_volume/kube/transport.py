"""The seam between this project and an API server: two methods, and two ways to fail.

Everything above this file (client, reflector, lease, events) talks to `Transport` and to nothing else. There
are three of them: `slim` (http.client, for daemons, where each megabyte is paid once a node), `official` (the
kubernetes package's ApiClient, for who needs its kubeconfig plugins), and the in-memory server of the tests.

A request fails in one of two ways, and the difference decides what may be done next. `ApiError`: the server
answered and said no, so nothing happened. `NoAnswer`: it may have happened; who wrote must read before it
writes again. No transport retries a write by itself.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Protocol

import msgspec

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
"""YAML is a superset of JSON, and what is sent is JSON."""

REQUEST_TIMEOUT_S = 30.0

_LONGEST_LINE = 16 << 20
"""etcd takes no object above 1.5 MiB; a longer line than this is no watch event."""

_RETRIED = frozenset({429, 500, 502, 503, 504})
_LONGEST_MESSAGE = 1000
_BAD_APPLY = "failed to create typed patch object"
"""How a server-side apply of an unknown or wrong field is refused; with a 500 (seen on 1.37)."""

Query = Mapping[str, str]


class Response(msgspec.Struct, frozen=True):
    """An answer below 400. Header names are in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class Cause(msgspec.Struct, frozen=True):
    """One cause in a Status, e.g. the field that a schema refused."""

    reason: str = ""
    message: str = ""
    field: str = ""


class Details(msgspec.Struct, frozen=True, rename="camel"):
    """What a Status says beyond its message (apimachinery, meta/v1 StatusDetails)."""

    name: str = ""
    group: str = ""
    kind: str = ""
    uid: str = ""
    causes: tuple[Cause, ...] = ()
    retry_after_seconds: int = 0


class Status(msgspec.Struct, frozen=True):
    """The API's own form of a refusal (apimachinery, meta/v1 Status)."""

    reason: str = ""
    message: str = ""
    code: int = 0
    details: Details = Details()


_status = msgspec.json.Decoder(Status)
"""Made before there are threads (see codec.py): after a restore of etcd all watches are refused at once."""


class ApiError(Exception):
    """The API server answered with 400 or more: nothing was changed.

    `retry_after` is in seconds and None where the server named none.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        retry_after: float | None = None,
        details: Details | None = None,
    ) -> None:
        super().__init__(f"{status} {reason}: {_shortened(message)}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.details = details or Details()

    @property
    def not_found(self) -> bool:
        """No such object, or no such kind."""
        return self.status == 404

    @property
    def conflict(self) -> bool:
        """A precondition did not hold: read, and decide again. False where the name is taken.

        A patch that names another object's uid gets a 422 that calls the field immutable (seen on 1.37).
        """
        if self.status == 409:
            return self.reason != "AlreadyExists"
        return self.status == 422 and any(cause.field == "metadata.uid" for cause in self.details.causes)

    @property
    def exists(self) -> bool:
        """A create found the name taken."""
        return self.status == 409 and self.reason == "AlreadyExists"

    @property
    def gone(self) -> bool:
        """The resourceVersion or the continue token is too old: list anew."""
        return self.status == 410 or self.reason in ("Expired", "Gone")

    @property
    def ahead(self) -> bool:
        """The resourceVersion asked for is one that this server has not reached, e.g. after a restore."""
        return any(cause.reason == "ResourceVersionTooLarge" for cause in self.details.causes)

    @property
    def invalid(self) -> bool:
        """The server will never accept this document: a retry of the same is pointless."""
        if self.status == 500:
            return self.message.startswith(_BAD_APPLY)
        return self.status in (400, 422) and not self.conflict

    @property
    def retriable(self) -> bool:
        """The same request may succeed later: too many requests, or trouble on the server's side."""
        return self.status in _RETRIED and not self.invalid


class NoAnswer(Exception):  # noqa: N818 - says what happened
    """The connection failed before a whole answer came. What was asked for may have been done.

    `sent` is False only where not one byte of the request had left, so that it surely was not done.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class Stop:
    """A latch that ends threads: set once, for good, and whoever waits or reads is woken.

    A reader that blocks in the kernel registers a callback that cuts its socket; callbacks run in the
    thread that sets the latch.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._next = 0

    def set(self) -> None:
        """Set the latch and cut what registered. Safe to call again."""
        with self._lock:
            self._event.set()
            callbacks = list(self._callbacks.values())
            self._callbacks.clear()
        for callback in callbacks:
            callback()

    def is_set(self) -> bool:
        """Whether it is time to end."""
        return self._event.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Sleep until set or until the time is over; True if set."""
        return self._event.wait(seconds)

    def register(self, callback: Callable[[], None]) -> int:
        """Have `callback` run when the latch is set, at once if it is; returns a token to unregister it."""
        with self._lock:
            if not self._event.is_set():
                self._next += 1
                self._callbacks[self._next] = callback
                return self._next
        callback()
        return 0

    def unregister(self, token: int) -> None:
        """Forget a callback; after this returns it is not begun any more."""
        with self._lock:
            self._callbacks.pop(token, None)


class Transport(Protocol):
    """What the client needs of an API server. Safe to use from several threads."""

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: bytes | None = None,
        content_type: str = JSON,
        timeout: float = REQUEST_TIMEOUT_S,
    ) -> Response:
        """One request, one whole answer.

        `path` begins at the server's root, already quoted. `timeout` is in seconds, for each wait on the
        socket. Raises ApiError for an answer of 400 or more, NoAnswer where none came.
        """
        ...

    def stream(
        self,
        path: str,
        *,
        query: Query | None = None,
        stop: Stop,
        timeout: float = REQUEST_TIMEOUT_S,
    ) -> Generator[bytes, None, None]:
        """The lines of an answer that does not end (a watch), without their line feeds.

        The first line is empty: the server has accepted, and may be silent from here on.
        Ends where the server ends it or once `stop` is set, from whichever thread; raises like `request`. Who
        leaves it early closes it, which closes its connection.
        `timeout` is how long the line may stay silent.
        """
        ...

    def close(self) -> None:
        """Close the connections that are kept."""
        ...


class Over:
    """A `Transport` over another one: who inherits says what is different about a request."""

    def __init__(self, over: Transport) -> None:
        self._over = over

    def stream(
        self,
        path: str,
        *,
        query: Query | None = None,
        stop: Stop,
        timeout: float = REQUEST_TIMEOUT_S,
    ) -> Generator[bytes, None, None]:
        """See `Transport.stream`."""
        return self._over.stream(path, query=query, stop=stop, timeout=timeout)

    def close(self) -> None:
        """See `Transport.close`."""
        self._over.close()


def exchange(method: str, ask: Callable[[], Response]) -> Response:
    """One exchange. A GET that got no answer is sent once more, on another connection; a write never is, for
    it may have been done."""
    try:
        return ask()
    except NoAnswer:
        if method != "GET":
            raise
        return ask()


def cut(sock: socket.socket) -> None:
    """Shut a socket down under the thread that reads it, and leave the TLS state to that thread
    (SSLSocket.shutdown would take it away)."""
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _shortened(message: str) -> str:
    """Without its middle: a refused patch quotes the whole object before it comes to the point."""
    if len(message) <= _LONGEST_MESSAGE:
        return message
    half = _LONGEST_MESSAGE // 2
    return f"{message[:half]} … {message[-half:]}"


def error_of(status: int, body: bytes, headers: Mapping[str, str]) -> ApiError:
    """The ApiError in an answer of 400 or more; a body that is no Status (a proxy's page) is quoted."""
    try:
        said = _status.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = Status(message=body[:200].decode(errors="replace"))
    after: float | None = said.details.retry_after_seconds or None
    header = headers.get("retry-after", "")
    if header.isdigit():
        after = float(header)
    return ApiError(status, said.reason or "Unknown", said.message, retry_after=after, details=said.details)


def lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines in what comes off a socket, without empty ones. Raises NoAnswer for one beyond all reason."""
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            parts.append(line)
            joined = b"".join(parts)
            parts.clear()
            size = 0
            if joined:
                yield joined
        if rest:
            parts.append(rest)
            size += len(rest)
            if size > _LONGEST_LINE:
                raise NoAnswer("a line of a watch does not end")
