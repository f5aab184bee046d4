"""From start to first output, beside a bare `python -c ''`: `python -m bench.cli [--rounds 20]`.

Offline verbs always; those that ask a cluster where $KUBECONFIG names one. The last line is key=value,
medians in seconds above the bare interpreter, the slowest first; `cpu` is what the command itself computed.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

INVENTORY = "defaultPool: tikv\npools: {tikv: {onRelease: wipe}}\nnodes: {n1: [/data/nvme0, /data/nvme1]}\n"
TOOL = (sys.executable, "-m", "tidb_volume.cli")


def first_output(command: tuple[str, ...]) -> tuple[float, float]:
    """Seconds until the first byte (or the end of what prints nothing), and CPU seconds of the whole."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        took = time.perf_counter() - begun
        process.stdout.read()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        inventory = Path(folder) / "inventory.yaml"
        inventory.write_text(INVENTORY)
        commands: dict[str, tuple[str, ...]] = {
            "bare": (sys.executable, "-c", ""),
            "help": (*TOOL, "--help"),
            "validate": (*TOOL, "validate", str(inventory)),
        }
        if os.environ.get("KUBECONFIG"):
            commands["status"] = (*TOOL, "status")
            commands["history"] = (*TOOL, "history")
            listed = subprocess.run(
                [*TOOL, "status", "-o", "name"], capture_output=True, text=True, check=True
            ).stdout.split()
            if listed:
                commands["explain"] = (*TOOL, "explain", listed[0])
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(rounds):
            # in turn, so that a busy moment of the machine falls on all alike
            for name, command in commands.items():
                took[name].append(first_output(command))
    wall = {name: statistics.median(each for each, _ in some) for name, some in took.items()}
    cpu = {name: statistics.median(each for _, each in some) for name, some in took.items()}
    for name, some in took.items():
        low, high = min(some)[0], max(some)[0]
        print(
            f"{name:9} {wall[name]:.3f} s ({low:.3f} to {high:.3f}, {rounds} rounds), cpu {cpu[name]:.3f} s"
        )
    bare, bare_cpu = wall.pop("bare"), cpu.pop("bare")
    above = " ".join(f"{name}_s={each - bare:.3f}" for name, each in wall.items())
    worst, worst_cpu = max(wall.values()) - bare, max(cpu.values()) - bare_cpu
    print(f"worst_s={worst:.3f} worst_cpu_s={worst_cpu:.3f} bare_s={bare:.3f} {above}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
