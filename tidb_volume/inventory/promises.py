"""What each way to wipe promises, and how long it takes: the table of docs/security.md is printed from this.

NIST SP 800-88 (Rev. 2, which leaves techniques to IEEE 2883) knows Clear: all that a user can address is
overwritten by ordinary writes; and Purge: what is left withstands a laboratory, over-provisioned blocks
included. What meets neither says so.
"""

from __future__ import annotations

from tidb_volume.inventory import policy
from tidb_volume.value import Value


class Promise(Value):
    """One method's: for people. `writes`, `reads`: how many times the whole size goes to and from the disk;
    for `overwrite:N`, whose number is not in here, N is added to the writes."""

    does: str
    gone: str
    checked: str
    nist: str
    writes: int = 0
    reads: int = 0
    per_pass: int = 0


PROMISES: dict[str, Promise] = {
    "files": Promise(
        does="deletes the owner's folder below a descriptor, never across a mount",
        gone="the file system shows nothing of it; its blocks lie there until they are used again",
        checked="listed again, and the file system synced",
        nist="neither",
    ),
    "format": Promise(
        does=(
            "writes zeroes to the tail and to known places of signatures, and makes a new file system with a "
            "UUID of its own, without a discard"
        ),
        gone="nothing of it can be reached through the new file system; a reader of the raw device finds it",
        checked="cache dropped, and the new UUID read back from the disk by libblkid",
        nist="neither",
    ),
    "discard": Promise(
        does="tells the disk that its blocks are free, and writes zeroes where it then reads anything else",
        gone=(
            "all that can be addressed read as zero once, and does so again where the drive promises it (see "
            "below); the cells may keep it until the disk reuses them"
        ),
        checked="every block, past the page cache; where zeroes had to be written, as for `zero`",
        nist="neither: nothing is overwritten",
        reads=1,
    ),
    "zero": Promise(
        does="writes zeroes to every block (BLKZEROOUT; by the disk's own command, where it has one)",
        gone="all that can be addressed reads as zero",
        checked=(
            "past the page cache: random data planted in 64 places before, then those, head, tail, known "
            "places of signatures and a thousand samples"
        ),
        nist="Clear, where the disk has no command for it; else as good as that command",
        writes=1,
    ),
    "overwrite": Promise(
        does="writes every block N times, by ordinary writes: random data, and the last time zeroes",
        gone="all that can be addressed was overwritten, and reads as zero",
        checked="past the page cache: each pass in the places that `zero` looks at, the last from end to end",
        nist="Clear",
        reads=1,
        per_pass=1,
    ),
    "nvme-format": Promise(
        does="has the disk erase itself (Format NVM: its key where it encrypts, else its data)",
        gone="by the disk's word all of it, what it holds in reserve too; a raw device is zeroed then",
        checked="what was planted in 64 places and read back before is gone; then as `zero` or `format`",
        nist="Purge, if the disk does what the command says",
        writes=1,
    ),
}
"""By method without its count, weakest first; those that this version obeys."""


def seconds(method: str, size_bytes: int, mb_per_s: float) -> float:
    """How long a method takes on a disk that reads and writes so many MB (10^6 bytes) a second, alone.

    0: it does not depend on the size.
    Raises KeyError for a method that this version does not obey.
    """
    promise = PROMISES[policy.base(method)]
    count = method.partition(":")[2]
    passes = promise.writes + promise.reads + promise.per_pass * int(count or 0)
    return passes * size_bytes / (mb_per_s * 1e6)


def effort(promise: Promise) -> str:
    """The formula in words: size S, rate R."""
    times = promise.writes + promise.reads
    if promise.per_pass:
        return f"(N + {times}) · S / R" if times else "N · S / R"
    if not times:
        return "does not depend on S"
    return "S / R" if times == 1 else f"{times} · S / R"


def hours(took: float) -> str:
    """A duration for people, in minutes below two hours."""
    return f"{took / 60:.0f} min" if took < 7200 else f"{took / 3600:.1f} h"


def listing() -> list[tuple[str, ...]]:
    """Rows for the docs: method, what it does, what is gone, how that is checked, NIST's word, its time."""
    rows: list[tuple[str, ...]] = []
    for method, each in PROMISES.items():
        shown = f"{method}:N" if each.per_pass else method
        example = seconds(f"{method}:3" if each.per_pass else method, 10**12, 500)
        took = f"; 1 TB at 500 MB/s: {hours(example)}" if example else ""
        took = f"{took} (N = 3)" if each.per_pass else took
        rows.append((f"`{shown}`", each.does, each.gone, each.checked, each.nist, effort(each) + took))
    return rows
