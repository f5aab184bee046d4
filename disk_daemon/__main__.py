"""disk-daemon: one on every node, the only program that touches a disk."""

from __future__ import annotations

import argparse
import os
import sys

from disk_daemon import child, kernel, mounting, zygote
from disk_daemon.facts.folder import Rules
from tidb_volume import audit
from tidb_volume.obs import log


def main(arguments: list[str] | None = None) -> int:
    """Read the command line, fork the zygote, run. Returns the exit status."""
    options = _parser().parse_args(arguments)
    if not options.node_name:
        print("disk-daemon: --node-name or NODE_NAME must say which node this is", file=sys.stderr)
        return 2
    rules = Rules(
        virtual_disks=options.virtual_disks,
        boot_id_file=options.boot_id_file,
        state=options.state,
        mounts=options.mounts,
        nodes=options.nodes,
    )
    log.setup(level=options.log_level, always=audit.LOGGER)  # of the children too
    if not kernel.is_in_mounts_of(options.host_pid):
        mounting.drop_copies(rules)
    # Before anything else is imported: what is loaded here is in every child.
    line, pid = zygote.start(child.worker(rules, options.host_pid))

    from disk_daemon import app

    told = app.Options(
        node_name=options.node_name,
        kubeconfig=options.kubeconfig,
        metrics_address=options.metrics_address,
        host_pid=options.host_pid,
    )
    return app.run(told, line, pid)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="disk-daemon", description=__doc__)
    add = parser.add_argument
    add("--node-name", default=os.environ.get("NODE_NAME", ""), help="this node (default: $NODE_NAME)")
    add("--kubeconfig", default="", help="how to reach the API server (default: as a pod of the cluster)")
    add("--state", default="/var/lib/tidb-volume", help="folder on the host for the journal")
    add("--mounts", default=Rules().mounts, help="folder on the host for the file systems that it made")
    add("--nodes", default=Rules().nodes, help="folder on the host for the device nodes of Block volumes")
    add("--virtual-disks", action="store_true", help="accept loop devices; for test clusters")
    add("--metrics-address", default="0.0.0.0:9809", help="HOST:PORT for metrics and health")
    add("--boot-id-file", default=Rules().boot_id_file, help="file on the host that names its boot")
    add("--host-pid", type=int, default=1, help="a process in the host's mount namespace")
    add("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
