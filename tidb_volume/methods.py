"""A way to wipe, as it is written in a pool and in an order: a name and, for `overwrite:N`, a count."""

from __future__ import annotations

import re

MOST_PASSES = 35
_OVERWRITE = re.compile(r"overwrite:([1-9][0-9]?)")


def passes(method: str) -> int:
    """How many times `overwrite:N` writes; 0: it is another method, or none that can be obeyed."""
    found = _OVERWRITE.fullmatch(method)
    count = int(found[1]) if found else 0
    return count if count <= MOST_PASSES else 0
