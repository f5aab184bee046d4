"""A small HTTP server beside a program: metrics, health, and what else a program hangs on it.

GET only, on the standard library, a thread a request up to a bound. It is for scrapers, probes and a handful
of people, not for the internet. Health is a list of named checks that each say what is wrong, so that a
failing probe's body tells the reason: /healthz asks whether a restart would help, /readyz whether the work
goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from tidb_volume.obs.log import Log
from tidb_volume.obs.metrics import Metrics

REQUESTS_AT_ONCE = 32
SLOW_CLIENT_S = 10.0

_log = Log(__name__)

Check = Callable[[], str]
"""What is wrong, or an empty text."""


class Request(msgspec.Struct, frozen=True):
    """A GET. `ending` is set when the server stops: an answer that does not end must look at it."""

    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    ending: threading.Event


class Reply(msgspec.Struct, frozen=True):
    """An answer; a body that is an iterator is sent piece by piece (Server-Sent Events)."""

    body: bytes | Iterator[bytes]
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = {}


Handler = Callable[[Request], Reply]


def health(checks: Mapping[str, Check]) -> Handler:
    """The handler that runs all `checks`: 200, or 503 with the name and the words of each that fails."""

    def answer(_: Request) -> Reply:
        said = {name: check() for name, check in checks.items()}
        failing = {name: trouble for name, trouble in said.items() if trouble}
        lines = [f"{name}: {said[name] or 'ok'}" for name in said] or ["ok"]
        return Reply("\n".join(lines).encode() + b"\n", status=503 if failing else 200)

    return answer


def metrics(of: Metrics) -> Handler:
    """The handler for a scrape."""

    def answer(_: Request) -> Reply:
        content_type, body = of.render()
        return Reply(body, content_type=content_type)

    return answer


class Server:
    """Serves `routes` (exact paths; one that ends in `/` also takes all below it) from `start` to `stop`."""

    def __init__(self, host: str, port: int, routes: Mapping[str, Handler]) -> None:
        self._ending = threading.Event()
        self._server = _Server((host, port), dict(routes), self._ending)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="http")

    @property
    def port(self) -> int:
        """The port that it listens on; of use where 0 was asked for."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests, end the streams and the thread."""
        self._ending.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], routes: dict[str, Handler], ending: threading.Event) -> None:
        self.routes = routes
        self.ending = ending
        self._room = threading.BoundedSemaphore(REQUESTS_AT_ONCE)
        super().__init__(address, _RequestHandler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.exception("request failed", client=str(client_address[0]))

    def route(self, path: str) -> Handler | None:
        """The handler for a path: its own, or that of the longest folder above it."""
        if path in self.routes:
            return self.routes[path]
        while path:
            path = path[: path.rstrip("/").rfind("/") + 1]
            if path in self.routes:
                return self.routes[path]
            if path == "/":
                break
        return None


class _RequestHandler(BaseHTTPRequestHandler):
    server: _Server
    timeout = SLOW_CLIENT_S
    protocol_version = "HTTP/1.1"
    server_version = "tidb-volume"
    sys_version = ""

    def do_GET(self) -> None:
        try:
            self._answer()
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def log_message(self, *_: Any) -> None:
        """Probes and scrapes are not news."""

    def _answer(self) -> None:
        where = urlsplit(self.path)
        handler = self.server.route(where.path)
        if handler is None:
            reply = Reply(b"not found\n", status=404)
        else:
            headers = {name.lower(): text for name, text in self.headers.items()}
            reply = handler(Request(where.path, parse_qs(where.query), headers, self.server.ending))
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        for name, text in reply.headers.items():
            self.send_header(name, text)
        whole = isinstance(reply.body, bytes)
        if isinstance(reply.body, bytes):
            self.send_header("Content-Length", str(len(reply.body)))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        if isinstance(reply.body, bytes):
            self.wfile.write(reply.body)
            return
        self.close_connection = not whole
        for piece in reply.body:
            self.wfile.write(piece)
            self.wfile.flush()
