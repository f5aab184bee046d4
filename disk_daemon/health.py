"""Whether a restart would help: what /healthz asks.

A restart costs nothing that is mounted and no wipe, but it helps only where the process itself is at fault.
So neither an API server that is away nor a disk that hangs counts here, and being slow counts late.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Thread

BUSY_S = 120.0
"""So long may one turn of the main loop take. It waits for nothing but its own folder on the root disk, which
a loaded machine may hold up for half a minute; the probe asks for two minutes more before it acts."""


def ended(threads: Iterable[Thread]) -> str:
    """Which of the threads that were started have ended, though they never should; empty: none."""
    dead = [each.name for each in threads if each.ident is not None and not each.is_alive()]
    return f"ended: {', '.join(dead)}" if dead else ""


def stands(busy_s: float) -> str:
    """That the main loop stands still; empty: it does not. busy_s: for how long it is in one turn."""
    return f"in one turn for {busy_s:.0f} s" if busy_s > BUSY_S else ""
