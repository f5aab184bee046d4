"""A server on the loopback that says exactly what a test tells it to, and can be rude about it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Self

CLOSE = b""
"""An answer that is none: the connection is closed."""


class Asked(NamedTuple):
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def answer(status: int = 200, body: bytes = b"{}", *headers: str) -> bytes:
    """A whole HTTP answer."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(*lines: bytes, end: bool = True, last: bool = False) -> bytes:
    """The begin of a watch, or all of one; `last` says that the connection closes with it."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(line), line) for line in lines)
    close = b"Connection: close\r\n" if last else b""
    return (
        b"HTTP/1.1 200 OK\r\n"
        + close
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + body
        + (b"0\r\n\r\n" if end else b"")
    )


class Stub:
    """Answers by `reply`; `connections` counts what was accepted, `asked` what was read."""

    def __init__(self, reply: Callable[[Asked], bytes]) -> None:
        self._reply = reply
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.connections = 0
        self.asked: list[Asked] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(10)

    def hang_up(self) -> None:
        """Close every connection, as a server does with idle ones."""
        for connection in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._open.clear()

    def left_alone(self) -> bool:
        """Whether, within some seconds, every client has closed its connection."""
        for thread in self._threads[1:]:
            thread.join(10)
        return not any(thread.is_alive() for thread in self._threads[1:])

    def _start(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name="stub")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            self._start(lambda kept=connection: self._serve(kept))  # type: ignore[misc]

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            while (asked := _read(stream.readline, stream.read)) is not None:
                self.asked.append(asked)
                said = self._reply(asked)
                if said == CLOSE:
                    return
                connection.sendall(said)


def _read(readline: Callable[[], bytes], read: Callable[[int], bytes]) -> Asked | None:
    try:
        first = readline().decode().split()
        if len(first) < 2:
            return None
        headers = {}
        while line := readline().decode().strip():
            name, _, text = line.partition(":")
            headers[name.lower()] = text.strip()
        return Asked(first[0], first[1], headers, read(int(headers.get("content-length", 0))))
    except OSError:
        return None
