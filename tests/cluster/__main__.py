"""`python -m tests.cluster`: build, up, down, status, for people and for the Makefile."""

from __future__ import annotations

import argparse
import os
import sys
import time

from . import build, packages
from .cluster import DEFAULT_NAME, Cluster, down
from .state import NODE_GRACE_S, Layout, clusters
from .system import ClusterError, alive


def main(words: list[str] | None = None) -> int:
    """Runs one command; 1 with the reason on standard error when it fails."""
    options = _parser().parse_args(words)
    try:
        return int(options.run(options) or 0)
    except (ClusterError, build.BuildError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    verb = verbs.add_parser("build", help="make the binaries (all of them, or the named ones) in the cache")
    verb.add_argument("programs", nargs="*", metavar="PROGRAM", default=list(build.EVERYTHING))
    verb.set_defaults(run=_build)

    verb = verbs.add_parser("packages", help="install the Debian packages that the tests need")
    verb.set_defaults(run=lambda options: packages.require(packages.FOR_TESTS))

    verb = verbs.add_parser("up", help="start a cluster, build and install what that needs")
    verb.add_argument("--name", default=DEFAULT_NAME)
    verb.add_argument("--nodes", type=int, default=2, metavar="N")
    verb.add_argument(
        "--path-disks", type=int, default=2, metavar="N", help="a node: XFS on /data/diskK (default 2)"
    )
    verb.add_argument("--raw-disks", type=int, default=0, metavar="N", help="a node: blank, by-id name only")
    verb.add_argument(
        "--disk-size", default="512M", metavar="SIZE", help="sparse (default 512M; XFS needs 300M)"
    )
    verb.add_argument(
        "--node-grace",
        type=int,
        default=NODE_GRACE_S,
        metavar="SECONDS",
        help=f"without a heartbeat, until a node is NotReady (default {NODE_GRACE_S})",
    )
    verb.add_argument("--api-only", action="store_true", help="no nodes; needs no root")
    verb.set_defaults(run=_up)

    verb = verbs.add_parser("down", help="take a cluster away, whole or broken")
    verb.add_argument("--name", default=DEFAULT_NAME)
    verb.add_argument("--all", action="store_true", help="every cluster below the state folder")
    verb.set_defaults(run=_down)

    verb = verbs.add_parser("status", help="what runs")
    verb.set_defaults(run=_status)

    verb = verbs.add_parser("go-mod", help="pin a module anew: writes go.mod and go.sum")
    verb.add_argument("module", choices=("kubernetes", "etcd", "kwok"))
    verb.add_argument("version")
    verb.set_defaults(run=lambda options: build.pin(options.module, options.version))
    return parser


def _build(options: argparse.Namespace) -> None:
    for path in build.build(options.programs).values():
        print(path)


def _up(options: argparse.Namespace) -> None:
    begun = time.monotonic()
    if os.geteuid() != 0 and not options.api_only:
        print("Without root: the API server alone, for the tests that need no disk")
        options.api_only = True
    cluster = Cluster.up(
        options.name,
        nodes=options.nodes,
        path_disks=options.path_disks,
        raw_disks=options.raw_disks,
        disk_size=options.disk_size,
        api_only=options.api_only,
        node_grace_s=options.node_grace,
    )
    record = cluster.record
    came = "ran already" if cluster.found else f"is up after {time.monotonic() - begun:.1f} s"
    what = "API only" if record.api_only else f"{len(record.nodes)} nodes"
    print(f"cluster {record.name} {came}: Kubernetes {record.version}, {what}")
    for node in cluster.nodes:
        mounted = ", ".join(node.fstab)
        raw = ", ".join(disk.by_id for disk in node.disks if disk.raw)
        print(f"  {node.name} {node.address}  {'  '.join(filter(None, (mounted, raw)))}")
    print(f"\nexport KUBECONFIG={cluster.kubeconfig}")
    print(f"look:  {record.programs['kubectl']} get nodes")
    print(f"stop:  {_stop(record.name)}")


def _stop(name: str) -> str:
    """The command that takes it away: by make, since a machine's own python lacks what this needs."""
    return f"make cluster-down ARGS='--name {name}'"


def _down(options: argparse.Namespace) -> None:
    for name in clusters() if options.all else [options.name]:
        down(name)
        print(f"cluster {name} is gone")


def _status(options: argparse.Namespace) -> None:
    names = clusters()
    if not names:
        print("no cluster")
    for name in names:
        layout = Layout(name)
        record = layout.load()
        if record is None:
            print(f"{name}: broken start; `{_stop(name)}` clears it away")
            continue
        print(f"{name}: Kubernetes {record.version}  KUBECONFIG={layout.kubeconfig}")
        for part, process in record.processes.items():
            print(f"  {part:24} {f'pid {process.pid}' if alive(process) else 'ended'}")
        for node in record.nodes.values():
            state = "runs" if alive(node.init) else "crashed" if alive(node.keeper) else "powered off"
            print(f"  {node.name:24} {node.address} {state}")


if __name__ == "__main__":
    sys.exit(main())
