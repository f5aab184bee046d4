"""What a run comes to, from what was seen: nothing here asks a cluster, so each verdict is tried by a table.

A run fails where a secret was read by another or lies on a disk that came to rest, where a tenant missed any
of its own, where a disk is not on offer in the end, and where too little happened for all that to say
anything (`floors`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from tidb_volume import names
from tidb_volume.upstream import Pv
from tidb_volume.value import Phase, Volume

SECRET = re.compile(rb"S3CRET-[a-z0-9-]+")
_LONGEST_SECRET = 64

LONG_S = 1800.0
"""A run of so long has met every storm."""
STORM_EACH_S, ROUND_EACH_S, KILL_EACH_S = 40.0, 120.0, 60.0
"""A shorter one has met another kind of storm so often, and so on, also where the machine is busy."""


class Verdict(NamedTuple):
    """Of one tenant. lost: the report of its first loss. begun: when the last pod began that found all of its
    own, 0 where none did. looks: how often those that run have read it."""

    wrote: bool = False
    leaks: frozenset[str] = frozenset()
    lost: str = ""
    begun: int = 0
    looks: int = 0


def verdict(lines: Iterable[str], over: float | None = None) -> Verdict:
    """What a tenant's pods have reported: lines of all nodes, of one node in their order.

    over: when its claim began to go. What a pod that had begun before then misses is lost, whenever it says
    so and whenever that is read: a disk that a pod holds is nobody else's. One that begins later may have
    another volume.
    """
    found, counts = Verdict(), True
    reports = sorted(filter(None, map(_report, lines)), key=lambda each: each[0])
    for moment, word, rest in reports:
        if word == "started":
            counts = over is None or moment < int(over)
        if word == "leak":
            found = found._replace(leaks=found.leaks | {rest})
        elif word == "wrote":
            found = found._replace(wrote=True)
        elif word in ("started", "saw"):
            if rest != "own=yes" and found.wrote and counts and not found.lost:
                found = found._replace(lost=f"{word} {rest}")
            if rest == "own=yes" and word == "started":
                found = found._replace(begun=moment)
            found = found._replace(looks=found.looks + (word == "saw"))
    return found


def _report(line: str) -> tuple[int, str, str] | None:
    """When, what, and more; None for what is none."""
    moment, _, more = line.partition(" ")
    word, _, rest = more.partition(" ")
    return (int(moment), word, rest) if moment.isdigit() else None


class Judged:
    """What the reports come to, over all tenants: data of others that was found, own data that was not."""

    def __init__(self) -> None:
        self.leaks: set[str] = set()
        self.losses: dict[str, str] = {}
        self._looks: dict[str, int] = {}

    @property
    def looks(self) -> int:
        """How often running tenants have read their own."""
        return sum(self._looks.values())

    def judge(self, name: str, lines: Iterable[str], over: float | None) -> Verdict:
        """Take in what one tenant has reported so far; what was found once stays found."""
        found = verdict(lines, over)
        self.leaks |= {f"{name} read {each}" for each in found.leaks}
        if found.lost:
            self.losses.setdefault(name, found.lost)
        self._looks[name] = max(found.looks, self._looks.get(name, 0))
        return found


def secrets_in(chunks: Iterable[bytes]) -> set[str]:
    """Every secret in a disk's bytes, also one that lies across two chunks."""
    found: set[str] = set()
    rest = b""
    for chunk in chunks:
        text = rest + chunk
        # One that touches the end is read when what follows is there.
        keep = min([each.start() for each in SECRET.finditer(text) if each.end() == len(text)] or [len(text)])
        found |= {each.group().decode() for each in SECRET.finditer(text, 0, keep)}
        rest = text[max(0, min(keep, len(text) - _LONGEST_SECRET)) :]
    return found | {each.group().decode() for each in SECRET.finditer(rest)}


def not_at_rest(listed: Collection[str], volumes: Iterable[Volume], pvs: Iterable[Pv]) -> dict[str, str]:
    """What is not on offer by exactly one PersistentVolume, and why. No record is no offer."""
    found = dict.fromkeys(listed, "has no TidbVolume")
    offers: dict[str, list[str]] = {}
    for pv in pvs:
        offers.setdefault(pv.metadata.labels.get(names.LABEL_DISK, ""), []).append(pv.status.phase)
    for volume in volumes:
        name, status = volume.metadata.name, volume.status
        found.pop(name, None)
        if name not in listed:
            found[name] = "is listed nowhere"
        elif status.phase is not Phase.AVAILABLE:
            found[name] = f"is {status.state} {status.reason}"
        elif offers.get(name, []) != ["Available"]:
            found[name] = f"is on offer, with PersistentVolumes {offers.get(name, [])}"
    return found


class Ran(NamedTuple):
    """What happened in a run. wrote: the kind of each tenant that wrote its secret. back: how many found all
    of it in the end. searched: the disks that were searched after that."""

    seconds: float
    wrote: Sequence[str] = ()
    did: Mapping[str, int] = {}
    rounds: int = 0
    kills: int = 0
    restores: int = 0
    looks: int = 0
    back: int = 0
    searched: int = 0


def floors(ran: Ran, kinds: Collection[str], storms: Collection[str], disks: int) -> list[str]:
    """What did not happen that a run of so long is for."""
    seconds = ran.seconds
    wanted = {
        "rounds": (ran.rounds, max(1, int(seconds / ROUND_EACH_S))),
        "kills": (ran.kills, max(1, int(seconds / KILL_EACH_S))),
        "restores of etcd": (ran.restores, 1),
        "looks of running tenants": (ran.looks, max(1, int(seconds / ROUND_EACH_S))),
        "tenants that came back in the end": (ran.back, 1),
        "disks searched": (ran.searched, disks),
    }
    short = [f"{what}: {had}, and not {least}" for what, (had, least) in wanted.items() if had < least]
    ran_kinds = Counter(ran.wrote)
    short += [f"no tenant of {kind} has written" for kind in sorted(kinds) if not ran_kinds[kind]]
    met = {name for name in storms if ran.did.get(name)}
    if seconds >= LONG_S:
        return short + [f"never: {name}" for name in sorted(set(storms) - met)]
    least = min(len(storms), max(1, int(seconds / STORM_EACH_S)))
    return short + ([f"kinds of storms: {len(met)}, and not {least}"] if len(met) < least else [])


def outcome(judged: Judged, stuck: Sequence[str], short: Sequence[str]) -> tuple[list[str], int]:
    """What to tell of, line by line, and the exit code."""
    told = [
        *sorted(judged.leaks),
        *(f"{name} lost its data: {report}" for name, report in sorted(judged.losses.items())),
        *(f"stuck: {each}" for each in stuck),
        *(f"too little: {each}" for each in short),
    ]
    return told, int(bool(told))
