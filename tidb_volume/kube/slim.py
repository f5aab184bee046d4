"""The transport of the daemons: http.client and ssl, tens of megabytes less than the official client.

Idle connections are kept. A server may close one at any time, so before a connection is used
again it is asked whether it is still open; that costs a poll and is safe for every verb. A GET whose
connection broke all the same is sent once more on a fresh one. A write never is: it may have been done.

A watch has a connection of its own, whose socket is shut down by whoever sets the `Stop`: that wakes a reader
that blocks in the kernel. TCP keepalive ends a watch whose server vanished without a word.
"""

from __future__ import annotations

import base64
import http.client
import os
import select
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import msgspec

from tidb_volume.kube import transport

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

CONNECT_TIMEOUT_S = 5.0
TOKEN_LIFE_S = 60.0
"""How long a token file's content is used before it is read again (client-go does the same): the kubelet
replaces it long before it expires."""

_KEEPALIVE = ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))
"""A peer that vanished is noticed after 15 + 5 * 3 seconds of silence."""
_KEPT = 8
_CHUNK = 65536
_BROKEN = (OSError, http.client.HTTPException)


class Config(msgspec.Struct, frozen=True):
    """Where the API server is and how we show who we are. Files are read again as they change.

    Certificates and keys are PEM. `ca` empty means the system's own authorities.
    """

    server: str
    ca_file: str = ""
    ca: bytes = b""
    token_file: str = ""
    token: str = ""
    client_certificate: bytes = b""
    client_key: bytes = b""
    server_name: str = ""
    insecure: bool = False


def in_cluster(environ: Mapping[str, str] | None = None, account: Path = SERVICE_ACCOUNT) -> Config:
    """The configuration that a pod finds. Raises LookupError outside of one."""
    environ = os.environ if environ is None else environ
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise LookupError("not in a pod: KUBERNETES_SERVICE_HOST is not set; name a kubeconfig instead")
    if not (account / "token").exists():
        raise LookupError(f"no {account}/token: the pod's automountServiceAccountToken is off")
    host = f"[{host}]" if ":" in host else host
    return Config(
        f"https://{host}:{port}", ca_file=str(account / "ca.crt"), token_file=str(account / "token")
    )


def from_kubeconfig(path: str | Path, context: str = "") -> Config:
    """The configuration in a kubeconfig: certificates and tokens, as data or as files.

    Raises LookupError for a context, cluster or user that is missing, and for what only the official client
    can do (exec plugins, basic auth).
    """
    import yaml

    path = Path(path)
    document = yaml.safe_load(path.read_text()) or {}
    chosen = _named(document, "contexts", context or document.get("current-context", ""), path)["context"]
    cluster = _named(document, "clusters", chosen.get("cluster", ""), path)["cluster"]
    user = _named(document, "users", chosen.get("user", ""), path)["user"] or {} if chosen.get("user") else {}
    for beyond in ("exec", "auth-provider", "username"):
        if beyond in user:
            raise LookupError(f"{path}: a user with {beyond!r} needs the official client (kube.official)")

    def content(of: Mapping[str, Any], name: str) -> bytes:
        if of.get(f"{name}-data"):
            return base64.b64decode(of[f"{name}-data"])
        return (path.parent / of[name]).read_bytes() if of.get(name) else b""

    return Config(
        server=cluster["server"],
        ca=content(cluster, "certificate-authority"),
        token=user.get("token", ""),
        token_file=str(path.parent / user["tokenFile"]) if user.get("tokenFile") else "",
        client_certificate=content(user, "client-certificate"),
        client_key=content(user, "client-key"),
        server_name=cluster.get("tls-server-name", ""),
        insecure=bool(cluster.get("insecure-skip-tls-verify", False)),
    )


def _named(document: Mapping[str, Any], section: str, name: str, path: Path) -> dict[str, Any]:
    for entry in document.get(section) or ():
        if entry.get("name") == name:
            return cast("dict[str, Any]", entry)
    raise LookupError(f"{path}: no {name!r} under {section}")


class _Token:
    """The bearer token, read again once it is a minute old or was refused."""

    def __init__(self, config: Config, clock: Callable[[], float]) -> None:
        self._file = config.token_file
        self._token = config.token
        self._clock = clock
        self._read_at = float("-inf")
        self._lock = threading.Lock()

    def get(self, instead_of: str = "") -> str:
        """The token; where `instead_of` was refused, what the file holds by now."""
        with self._lock:
            old = self._clock() - self._read_at >= TOKEN_LIFE_S
            if self._file and (old or (instead_of and instead_of == self._token)):
                self._token = Path(self._file).read_text().strip()
                self._read_at = self._clock()
            return self._token


class SlimTransport:
    """A `transport.Transport` over http.client."""

    def __init__(self, config: Config, *, clock: Callable[[], float] = time.monotonic) -> None:
        where = urlsplit(config.server)
        if where.scheme not in ("http", "https") or not where.hostname:
            raise LookupError(f"{config.server!r} is not the address of an API server (https://HOST:PORT)")
        self._config = config
        self._host = where.hostname
        self._tls = where.scheme == "https"
        self._port = where.port or (443 if self._tls else 80)
        self._root = where.path.rstrip("/")
        self._token = _Token(config, clock)
        self._context: ssl.SSLContext | None = None
        self._ca_seen: tuple[int, int] | None = None
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []

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
        token = self._bearer()
        headers = self._headers(token, content_type if body is not None else "")
        target = self._target(path, query)
        answer = transport.exchange(method, lambda: self._ask(method, target, body, headers, timeout))
        if answer.status == 401 and self._bearer(instead_of=token) != token:
            headers = self._headers(self._bearer(), content_type if body is not None else "")
            answer = self._ask(method, target, body, headers, timeout)
        if answer.status >= 400:
            raise transport.error_of(answer.status, answer.body, answer.headers)
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
        if stop.is_set():
            return
        connection = self._connect(timeout)
        sock = connection.sock
        token = stop.register(lambda: transport.cut(sock))
        response: http.client.HTTPResponse | None = None
        try:
            bearer = self._bearer()
            connection.request("GET", self._target(path, query), headers=self._headers(bearer, ""))
            response = opened = connection.getresponse()
            if opened.status == 401:
                self._bearer(instead_of=bearer)
            if opened.status >= 400:
                raise transport.error_of(opened.status, opened.read(), _lowered(opened))
            yield b""
            yield from transport.lines(iter(lambda: opened.read1(_CHUNK), b""))
        except _BROKEN as error:
            if not stop.is_set():
                raise transport.NoAnswer(f"watch of {path}: {_said(error)}") from error
        finally:
            stop.unregister(token)
            _close(connection, response)

    def close(self) -> None:
        """Close the connections that are kept; what is under way goes on."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    # --- one exchange ---

    def _ask(
        self, method: str, target: str, body: bytes | None, headers: dict[str, str], timeout: float
    ) -> transport.Response:
        connection = self._take(timeout)
        response: http.client.HTTPResponse | None = None
        try:
            connection.request(method, target, body=body, headers=headers)
            response = connection.getresponse()
            answer = transport.Response(response.status, response.read(), _lowered(response))
        except BaseException as error:
            _close(connection, response)
            if isinstance(error, _BROKEN):
                raise transport.NoAnswer(f"{method} {target}: {_said(error)}") from error
            raise
        self._give_back(connection)
        return answer

    def _take(self, timeout: float) -> http.client.HTTPConnection:
        """A kept connection that is still open, else a new one; `timeout` is set on it."""
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._connect(timeout)
            if connection.sock is not None and not _is_stale(connection.sock):
                connection.sock.settimeout(timeout)
                return connection
            connection.close()

    def _give_back(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if connection.sock is not None and len(self._idle) < _KEPT:
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        try:
            connection = self._new(min(timeout, CONNECT_TIMEOUT_S))
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            raise transport.NoAnswer(f"{self._config.server}: {error.verify_message}", sent=False) from error
        except _BROKEN as error:
            raise transport.NoAnswer(f"{self._config.server}: {_said(error)}", sent=False) from error
        sock = connection.sock
        sock.settimeout(timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, amount in _KEEPALIVE:
            sock.setsockopt(socket.IPPROTO_TCP, option, amount)
        return connection

    def _new(self, timeout: float) -> http.client.HTTPConnection:
        if not self._tls:
            return http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        return _TlsConnection(
            self._host,
            self._port,
            context=self._tls_context(),
            server_name=self._config.server_name or self._host,
            timeout=timeout,
        )

    def _tls_context(self) -> ssl.SSLContext:
        """The context, made anew when the CA's file has changed."""
        config = self._config
        with self._lock:
            seen = None
            if config.ca_file:
                stat = os.stat(config.ca_file)
                seen = (stat.st_mtime_ns, stat.st_ino)
            if self._context is None or seen != self._ca_seen:
                self._context, self._ca_seen = _context(config), seen
            return self._context

    def _bearer(self, instead_of: str = "") -> str:
        try:
            return self._token.get(instead_of)
        except OSError as error:
            raise transport.NoAnswer(f"no token: {error}", sent=False) from error

    def _headers(self, token: str, content_type: str) -> dict[str, str]:
        headers = {"Accept": transport.JSON, "User-Agent": "tidb-volume"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if content_type:
            headers["Content-Type"] = content_type
        return headers

    def _target(self, path: str, query: transport.Query | None) -> str:
        return self._root + path + (f"?{urlencode(query)}" if query else "")


class _TlsConnection(http.client.HTTPSConnection):
    """An HTTPS connection whose certificate may be for another name than the address (tls-server-name)."""

    def __init__(
        self, host: str, port: int, *, context: ssl.SSLContext, server_name: str, timeout: float
    ) -> None:
        super().__init__(host, port, context=context, timeout=timeout)
        self._ssl_context = context
        self._server_name = server_name

    def connect(self) -> None:
        """Connect and shake hands."""
        http.client.HTTPConnection.connect(self)
        try:
            self.sock = self._ssl_context.wrap_socket(self.sock, server_hostname=self._server_name)
        except BaseException:
            self.sock.close()
            raise


def _context(config: Config) -> ssl.SSLContext:
    authorities = config.ca.decode() or None
    context = ssl.create_default_context(cafile=config.ca_file or None, cadata=authorities)
    if config.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.client_certificate:
        # ssl reads certificates from files alone; this one is gone before anybody connects
        with tempfile.NamedTemporaryFile() as pem:
            pem.write(config.client_certificate + b"\n" + config.client_key)
            pem.flush()
            context.load_cert_chain(pem.name)
    return context


def _lowered(response: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): text for name, text in response.getheaders()}


def _is_stale(sock: socket.socket) -> bool:
    """Whether an idle connection has something to read: its end, or what no one asked for."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _close(connection: http.client.HTTPConnection, response: http.client.HTTPResponse | None) -> None:
    """Close both: after `Connection: close` the response alone holds the socket."""
    if response is not None:
        response.close()
    connection.close()


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
