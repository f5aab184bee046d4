"""How long to wait before the next try: growing, bounded, and never in step with the neighbours."""

from __future__ import annotations

import random
from collections.abc import Iterator


def delays(
    chance: random.Random, *, first: float = 0.2, factor: float = 2.0, longest: float = 30.0
) -> Iterator[float]:
    """Seconds to wait before each next try, without an end: between half and all of a growing step.

    Half stays fixed so that a retry is never at once; the other half is chance, so that a thousand
    daemons whose server restarted do not come back in the same millisecond.
    """
    step = first
    while True:
        yield step / 2 + chance.random() * step / 2
        step = min(longest, step * factor)
