"""Ranges in a list of disks: `/data/nvme{0..9}`, `/data/nvme{00..11}`, `/data/{ssd,nvme}{a..d}`.

What a shell makes of them, and no more: no nesting, no step, letters one at a time. What a shell would leave
as it is (`{a}`, a lone brace) is an error here, since no one mounts a disk on a folder of such a name.
"""

from __future__ import annotations

import itertools
import re

MOST = 256
"""So many disks can one entry name; no machine has more."""

_BRACES = re.compile(r"\{([^{}]*)\}")
_NUMBERS = re.compile(r"([0-9]{1,6})\.\.([0-9]{1,6})")
_LETTERS = re.compile(r"([a-z])\.\.([a-z])|([A-Z])\.\.([A-Z])")


def spread(text: str) -> tuple[str, ...]:
    """Every string that `text` stands for, in order; itself where it has no braces.

    Raises ValueError with words for a range that is broken, empty, or names more than `MOST`.
    """
    parts = _BRACES.split(text)
    literals, inner = parts[0::2], parts[1::2]
    if any("{" in literal or "}" in literal for literal in literals):
        raise ValueError("a brace without its partner, or one inside another")
    choices = [_choices(choice) for choice in inner]
    count = 1
    for choice in choices:
        count *= len(choice)
        if count > MOST:
            raise ValueError(f"it names more than {MOST} disks")
    return tuple(
        literals[0] + "".join(pick + literal for pick, literal in zip(picks, literals[1:], strict=True))
        for picks in itertools.product(*choices)
    )


def _choices(inner: str) -> list[str]:
    if ".." not in inner:
        found = inner.split(",")
        if len(found) < 2 or not all(found):
            raise ValueError(f"{{{inner}}} is neither a range nor a choice")
        return found
    if numbers := _NUMBERS.fullmatch(inner):
        low, high = int(numbers[1]), int(numbers[2])
        padded = any(len(end) > 1 and end.startswith("0") for end in numbers.groups())
        width = max(len(numbers[1]), len(numbers[2])) if padded else 0
        written = [f"{number:0{width}d}" for number in range(low, min(high, low + MOST) + 1)]
    elif letters := _LETTERS.fullmatch(inner):
        first, last = (end for end in letters.groups() if end)
        written = [chr(code) for code in range(ord(first), ord(last) + 1)]
    else:
        raise ValueError(f"{{{inner}}} is not a range")
    if not written:
        raise ValueError(f"{{{inner}}} runs backwards")
    return written
