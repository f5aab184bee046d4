"""A result that stays: the figures, the commit they were measured on, and the machine."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import psutil

ROOT = Path(__file__).parents[1]


def write(name: str, line: str, samples: Any) -> None:
    """Write bench/results/NAME.json. line: what the command printed last; samples: what it was made from.

    A measurement of uncommitted code belongs to no commit: the name then ends with `+`.
    """
    document = {
        "line": line,
        "commit": _git("rev-parse", "HEAD") + ("+" if _git("status", "--porcelain", "-uno") else ""),
        "machine": {
            "cpu": _cpu(),
            "processors": psutil.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 1e9),
            "kernel": platform.release(),
            "python": platform.python_version(),
        },
        "samples": samples,
    }
    target = ROOT / "bench" / "results" / f"{name}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
