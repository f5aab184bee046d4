"""Bytes, durations and instants, as people and Kubernetes write them.

An instant is seconds since the epoch as a float (`Instant`); it comes in from outside, nothing here
reads a clock. On the wire an instant is RFC 3339 with milliseconds, since a countdown of `wipeAfter: 0s`
must not round up to a second.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NewType

Instant = NewType("Instant", float)

_DURATION = re.compile(r"(\d+)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(Ki|Mi|Gi|Ti|Pi|Ei|m|k|M|G|T|P|E|)")
_FACTORS = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "P": 10**15,
    "E": 10**18,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "Pi": 2**50,
    "Ei": 2**60,
}


def parse_duration(text: str) -> float:
    """Seconds in a duration such as `0s`, `90s`, `1h30m` or `2d`.

    Raises ValueError for anything else: a bare number has no unit, and a guess could wipe a disk early.
    """
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration: write a number and ms, s, m, h or d, as in 1h30m")
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)


def format_duration(seconds: float) -> str:
    """A duration for people, its two largest units: `1h5m`, `3d4h`, `12s`."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
        if len(parts) == 2:
            break
    return "".join(parts) or "0s"


_FIRST, _LAST = 0.0, 253_402_300_799.0
"""1970 and the last second of 9999: no decision fails over a wait that ends after what RFC 3339 can write."""


def format_instant(instant: Instant) -> str:
    """RFC 3339 in UTC with milliseconds, as the API server stores a date-time."""
    moment = datetime.fromtimestamp(min(max(instant, _FIRST), _LAST), UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def parse_instant(text: str) -> Instant:
    """The instant that an RFC 3339 text names. Raises ValueError where it names none."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return Instant(moment.timestamp())


def parse_quantity(text: str) -> int:
    """Bytes in a Kubernetes quantity (apimachinery, pkg/api/resource): `100Gi`, `536870912`, `1.5G`."""
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2] == "m":
        raise ValueError(f"{text!r} is not a number of bytes")
    return (
        int(float(match[1]) * _FACTORS[match[2]]) if "." in match[1] else int(match[1]) * _FACTORS[match[2]]
    )


def format_bytes(count: int) -> str:
    """Bytes for people, in binary units with at most one decimal: `1.8Ti`, `511Mi`."""
    size = float(count)
    for unit in ("", "Ki", "Mi", "Gi", "Ti", "Pi"):
        if size < 1024 or unit == "Pi":
            break
        size /= 1024
    text = f"{size:.1f}".removesuffix(".0")
    return f"{text}{unit}"
