"""How long a flat ConfigMap of 1,000 nodes x 10 disks takes from text to wanted disks.

    python bench/inventory.py [NODES] [DISKS]

Prints one `key=value` a line: the median of five runs, in seconds of CPU time.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from tidb_volume.inventory import expand, merge, read
from tidb_volume.upstream import Node
from tidb_volume.value import Meta

RUNS = 5


def flat(nodes: int, disks: int) -> str:
    """Every disk of every node listed by itself, as a script would write it."""
    lines = ["defaultPool: tikv", "pools: {tikv: {onRelease: wipe}, raw: {onRelease: keep}}", "nodes:"]
    for number in range(nodes):
        lines.append(f"  node-{number:05d}.rack.example.com:")
        lines += [
            f"  - device: /dev/disk/by-id/nvme-SAMSUNG_{number:05d}{disk:02d}_NX0R" for disk in range(disks)
        ]
    return "\n".join(lines) + "\n"


def grouped(disks: int) -> str:
    """The same disks as one group."""
    return (
        "defaultPool: tikv\npools: {tikv: {onRelease: wipe}}\n"
        f'groups: [{{nodeSelector: {{hw: big}}, disks: ["/data/nvme{{0..{disks - 1}}}"]}}]\n'
    )


def cpu_s(work: Callable[[], object]) -> float:
    """The median CPU time of one run."""
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


def main() -> None:
    """Measure and print."""
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    disks = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    text = flat(nodes, disks)
    seen = {"inv": {"disks.yaml": text}}
    first = merge.decide({}, seen)
    if first.refused:
        sys.exit("\n".join(map(str, first.refused["inv"][:5])))
    live = [Node(metadata=Meta(name=f"node-{number:05d}", labels={"hw": "big"})) for number in range(nodes)]
    group = merge.decide({}, {"inv": {"disks.yaml": grouped(disks)}})
    edited = {"inv": {"disks.yaml": text + "never: [/data/old]\n"}}
    results = {
        "nodes": nodes,
        "disks": len(expand.expand(first.inventory, []).disks),
        "text_kib": round(len(text) / 1024),
        "read_s": cpu_s(lambda: read.read(text, "inv", "disks.yaml")),
        "decide_s": cpu_s(lambda: merge.decide({}, seen)),
        "decide_edit_s": cpu_s(lambda: merge.decide(first.in_force, edited)),
        "decide_unchanged_s": cpu_s(lambda: merge.decide(first.in_force, seen)),
        "expand_flat_s": cpu_s(lambda: expand.expand(first.inventory, live)),
        "expand_group_s": cpu_s(lambda: expand.expand(group.inventory, live)),
    }
    for key, value in results.items():
        print(f"{key}={value:.3f}" if isinstance(value, float) else f"{key}={value}")


if __name__ == "__main__":
    main()
