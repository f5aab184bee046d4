"""`volume-controller`: the central program that decides. See `volume-controller --help`."""

from __future__ import annotations

import argparse
import secrets
import signal
import socket
import sys

from tidb_volume import audit
from tidb_volume.kube import official
from tidb_volume.obs import log
from volume_controller.app import App, Settings


def main(argv: list[str] | None = None) -> int:
    """Run one replica until SIGTERM or SIGINT; the exit code is 0 after an orderly end."""
    parser = argparse.ArgumentParser(
        prog="volume-controller",
        description="Turns the inventory into TidbVolumes and PersistentVolumes, and decides their life.",
    )
    parser.add_argument("--namespace", default="tidb-volume", help="where the inventory and the lease are")
    parser.add_argument("--kubeconfig", default="", help="else $KUBECONFIG, or the pod's own account")
    parser.add_argument("--context", default="", help="of the kubeconfig")
    parser.add_argument("--metrics-address", default=":8080", help="HOST:PORT of /metrics, /healthz, /readyz")
    parser.add_argument("--workers", type=int, default=8, help="volumes decided at once")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    given = parser.parse_args(argv)
    log.setup(level=given.log_level, always=audit.LOGGER)
    host, _, port = given.metrics_address.rpartition(":")
    try:
        over = official.configured(given.kubeconfig, given.context)
    except LookupError as error:
        print(error, file=sys.stderr)
        return 1
    name = socket.gethostname()
    app = App(
        over,
        Settings(
            namespace=given.namespace,
            identity=f"{name}_{secrets.token_hex(4)}",
            host=name,
            metrics_host=host,
            metrics_port=int(port),
            workers=given.workers,
        ),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: app.stop())
    app.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
