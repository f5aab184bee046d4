"""The transport over the official client: its configuration and credentials, our bytes.

For whoever is started by a person: kubeconfigs with exec plugins, OIDC, proxies and contexts are its business
and work as in kubectl. Nothing else of it is used. Its models cost 45 times the CPU of ours for a list, and
its REST layer would parse and print each body again, so requests go to its connection pool as bytes; with
retries off, because that pool by itself repeats a DELETE whose answer was lost.

The only module that imports `kubernetes`.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import kubernetes
import urllib3
from kubernetes.utils.keepalive import tcp_keepalive_socket_options

from tidb_volume.kube import transport

CONNECT_TIMEOUT_S = 5.0


def configured(kubeconfig: str = "", context: str = "") -> OfficialTransport:
    """The transport to the cluster that `kubeconfig`, $KUBECONFIG, ~/.kube/config or the pod names, in this
    order.

    Raises LookupError with what was looked for where nothing is found or what is found cannot be used.
    """
    configuration = kubernetes.client.Configuration()
    config: Any = kubernetes.config  # untyped
    default = Path.home() / ".kube" / "config"
    chosen = kubeconfig or os.environ.get("KUBECONFIG", "") or (str(default) if default.exists() else "")
    try:
        if chosen:
            config.load_kube_config(chosen, context or None, client_configuration=configuration)
        else:
            config.load_incluster_config(client_configuration=configuration)
    except (kubernetes.config.ConfigException, OSError) as error:
        where = chosen or "no kubeconfig, and not in a pod"
        raise LookupError(f"no cluster to talk to ({where}): {error}") from error
    return OfficialTransport(configuration)


class OfficialTransport:
    """A `transport.Transport` over `kubernetes.client.ApiClient`."""

    def __init__(self, configuration: Any) -> None:
        configuration.socket_options = tcp_keepalive_socket_options()
        self._client = kubernetes.client.ApiClient(configuration)
        self._pool: urllib3.PoolManager = self._client.rest_client.pool_manager

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
        headers = self._headers(content_type if body is not None else "")
        target = self._target(path, query)
        answer = transport.exchange(method, lambda: self._ask(method, target, body, headers, timeout))
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
        waits = urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=transport.REQUEST_TIMEOUT_S)
        try:
            response = self._pool.request(
                "GET",
                self._target(path, query),
                headers=self._headers(""),
                timeout=waits,
                retries=False,
                redirect=False,
                preload_content=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise _no_answer("watch of", path, error) from error
        token = 0
        try:
            if response.status >= 400:
                raise transport.error_of(response.status, response.read(), _lowered(response))
            sock: socket.socket | None = getattr(response.connection, "sock", None)
            if sock is None:  # after `Connection: close` only the response holds it
                token = stop.register(lambda: _shut(response))
            else:
                kept = sock
                kept.settimeout(timeout)
                token = stop.register(lambda: transport.cut(kept))
            yield b""
            yield from transport.lines(response.stream(None, decode_content=True))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if not stop.is_set():
                raise _no_answer("watch of", path, error) from error
        finally:
            stop.unregister(token)
            response.close()

    def close(self) -> None:
        """Close the pool's idle connections."""
        self._client.rest_client.close()

    def _ask(
        self, method: str, target: str, body: bytes | None, headers: dict[str, str], timeout: float
    ) -> transport.Response:
        waits = urllib3.Timeout(connect=min(timeout, CONNECT_TIMEOUT_S), read=timeout)
        try:
            response = self._pool.request(
                method, target, body=body, headers=headers, timeout=waits, retries=False, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise _no_answer(method, target, error) from error
        return transport.Response(response.status, response.data, _lowered(response))

    def _headers(self, content_type: str) -> dict[str, str]:
        headers = {"Accept": transport.JSON, "User-Agent": "tidb-volume"}
        if content_type:
            headers["Content-Type"] = content_type
        # asks the configuration, which renews a token that has run out
        self._client.update_params_for_auth(headers, [], ["BearerToken"], "", "", None)
        return headers

    def _target(self, path: str, query: transport.Query | None) -> str:
        root = str(self._client.configuration.host).rstrip("/")
        return root + path + (f"?{urlencode(query)}" if query else "")


def _no_answer(method: str, target: str, error: Exception) -> transport.NoAnswer:
    unsent = isinstance(error, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)
    return transport.NoAnswer(f"{method} {target}: {error}", sent=not unsent)


def _lowered(response: urllib3.BaseHTTPResponse) -> dict[str, str]:
    return {name.lower(): text for name, text in response.headers.items()}


def _shut(response: urllib3.BaseHTTPResponse) -> None:
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        response.shutdown()
