"""From a kubeconfig to a client: by the slim transport where it can do it, else by the official one.

The slim one starts in a fifth of the time. What it cannot do (exec plugins, several kubeconfigs, a proxy) is
the official client's, which is imported only then.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from tidb_volume.cli.exits import CliError, Exit
from tidb_volume.kube import slim, transport
from tidb_volume.kube.client import Client

MANAGER = "kubectl-tidb-volume"
"""The field manager under which people's words stand in managedFields."""


class DryRun(transport.Over):
    """A transport whose writes the server checks and does not keep (dryRun=All)."""

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
        asked = dict(query or {})
        if method != "GET":
            asked["dryRun"] = "All"
        return self._over.request(
            method, path, query=asked, body=body, content_type=content_type, timeout=timeout
        )


def client(options: argparse.Namespace) -> Client:
    """The client that the options name; `--dry-run=server` makes its writes dry. What is opened is noted in
    `options.opened`, for whoever parsed them to close.

    Raises CliError (unreachable) with what was looked for where nothing is found.
    """
    over = transport_for(options.kubeconfig, options.context, os.environ)
    options.opened.append(over)
    if getattr(options, "dry_run", "none") == "server":
        over = DryRun(over)
    return Client(over, manager=MANAGER, timeout=options.request_timeout)


def transport_for(kubeconfig: str, context: str, environ: Mapping[str, str]) -> transport.Transport:
    """The transport to the cluster of `kubeconfig`, $KUBECONFIG, ~/.kube/config or the pod, in this order."""
    chosen = kubeconfig or environ.get("KUBECONFIG", "")
    if not chosen:
        default = Path(environ.get("HOME", "/")) / ".kube" / "config"
        chosen = str(default) if default.exists() else ""
    try:
        if not chosen:
            return slim.SlimTransport(slim.in_cluster(environ))
        if os.pathsep in chosen or _needs_proxy(chosen, environ):
            return _official(chosen, context)
        try:
            return slim.SlimTransport(slim.from_kubeconfig(chosen, context))
        except LookupError as error:
            if "needs the official client" not in str(error):
                raise
            return _official(chosen, context)
    except OSError as error:
        raise CliError(
            f"kubeconfig {chosen}: {error.strerror or error}",
            "name one with --kubeconfig or $KUBECONFIG",
            Exit.UNREACHABLE,
        ) from error
    except LookupError as error:
        raise CliError(str(error), "name one with --kubeconfig or $KUBECONFIG", Exit.UNREACHABLE) from error
    except Exception as error:
        # a file of people's: YAML that is none, base64 that is none, a list where a mapping belongs
        words = f"kubeconfig {chosen} cannot be read: {error}"
        raise CliError(words, "name another with --kubeconfig or $KUBECONFIG", Exit.UNREACHABLE) from error


def _needs_proxy(kubeconfig: str, environ: Mapping[str, str]) -> bool:
    if any(environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    return "proxy-url" in Path(kubeconfig).read_text(errors="replace")


def _official(kubeconfig: str, context: str) -> transport.Transport:
    try:
        from tidb_volume.kube import official
    except ImportError as error:
        raise CliError(
            f"kubeconfig {kubeconfig} needs the kubernetes package (exec plugin, proxy or several files)",
            "pip install 'tidb-volume[cli]'",
            Exit.UNREACHABLE,
        ) from error
    return official.configured(kubeconfig, context)
