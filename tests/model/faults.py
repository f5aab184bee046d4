"""Trouble on purpose: a transport around another one, be it the model or a real server.

A fault says when it strikes (`when`), how often, and whether the request took effect before its answer was
lost. That last one is the interesting one: whoever wrote must find out by reading.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

import msgspec

from tidb_volume.kube import transport


class Call(msgspec.Struct, frozen=True):
    """A request as a fault sees it; a watch has the method WATCH."""

    method: str
    path: str
    body: Any = None

    @property
    def writes(self) -> bool:
        """Whether it changes anything."""
        return self.method not in ("GET", "WATCH")


class Fault(msgspec.Struct):
    """What goes wrong, for the next `times` calls for which `when` holds.

    after: the request takes effect first (for a watch: after that many lines). Without an error it only runs
    `then`, e.g. to let time pass or another writer write.
    """

    when: Callable[[Call], bool]
    error: Exception | None = None
    after: bool | int = False
    times: int = 1
    then: Callable[[], None] = lambda: None


def lost() -> transport.NoAnswer:
    """The answer never came."""
    return transport.NoAnswer("the connection was cut")


def busy(retry_after: float = 1.0) -> transport.ApiError:
    """429."""
    return transport.ApiError(429, "TooManyRequests", "too many requests", retry_after=retry_after)


def broken() -> transport.ApiError:
    """500."""
    return transport.ApiError(500, "InternalError", "etcdserver: request timed out")


class Faulty:
    """A `transport.Transport` that has faults; without any it is the one that it wraps."""

    def __init__(self, inner: transport.Transport) -> None:
        self._inner = inner
        self.faults: list[Fault] = []
        self.calls: list[Call] = []

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
        call = Call(method, path, msgspec.json.decode(body) if body else None)
        self.calls.append(call)
        fault = self._strikes(call)
        if fault is not None and not fault.after:
            fault.then()
            if fault.error is not None:
                raise fault.error
        answer = self._inner.request(
            method, path, query=query, body=body, content_type=content_type, timeout=timeout
        )
        if fault is not None and fault.after:
            fault.then()
            if fault.error is not None:
                raise fault.error
        return answer

    def stream(
        self,
        path: str,
        *,
        query: transport.Query | None = None,
        stop: transport.Stop,
        timeout: float = transport.REQUEST_TIMEOUT_S,
    ) -> Generator[bytes, None, None]:
        """See `transport.Transport.stream`."""
        call = Call("WATCH", path)
        self.calls.append(call)
        fault = self._strikes(call)
        with closing(self._inner.stream(path, query=query, stop=stop, timeout=timeout)) as lines:
            for told, line in enumerate(lines):
                if fault is not None and told >= int(fault.after):
                    fault.then()
                    if fault.error is not None:
                        raise fault.error
                    fault = None
                yield line
        if fault is not None and fault.error is not None:
            raise fault.error

    def close(self) -> None:
        """Close the inner one."""
        self._inner.close()

    def _strikes(self, call: Call) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and fault.when(call):
                fault.times -= 1
                return fault
        return None
