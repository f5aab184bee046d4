"""What volumes keep, Events, nodes' records and the controller's decisions are told as one history."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tidb_volume import audit
from tidb_volume.audit import AuditLine
from tidb_volume.cli.__main__ import main
from tidb_volume.cli.exits import Exit
from tidb_volume.cli.history import Happened, tell
from tidb_volume.cli.render import Screen
from tidb_volume.kube import codec
from tidb_volume.units import Instant
from tidb_volume.value import Identity, Meta, Record, Ref, Source, Volume, VolumeSpec, VolumeStatus

EVER = Instant(0.0)
CLAIM = Ref(namespace="db", name="data-0")


def line(what: str, **fields: Any) -> AuditLine:
    known = {"schema": 1, "at": "2026-01-01T00:00:00Z", "node": "n", "volume": "v"}
    return AuditLine(what=what, **{**known, **fields})  # type: ignore[arg-type]


def happened(what: str, **fields: Any) -> Happened:
    return Happened(at="2026-01-01T00:00:00Z", volume="v", what=what, **fields)


WIPE = {"kind": "reclaim", "order": "o-1"}
FIRST = {"kind": "prepare", "order": "o-1"}
TOLD: list[tuple[AuditLine, Happened]] = [
    (
        line("done", **WIPE, asked="wipe-now by jane", method="files", claim=CLAIM, tenancy="t"),
        happened("wipe done", who="db/data-0", tenancy="t", note="wipe-now by jane, files, order o-1"),
    ),
    (
        line("failed", **WIPE, bytes_gone=True, reason="EIO", message="bad"),
        happened("wipe failed", note="bytes are gone, EIO: bad, order o-1"),
    ),
    (line("done", **FIRST), happened("made ready done", note="order o-1")),
    (line("done", **FIRST, answer="q"), happened("wipe done", note="order o-1")),
    (
        line("ordered", **WIPE, leader="c", asked="reclaim policy Delete", message="released"),
        happened("wipe ordered", note="reclaim policy Delete, released, order o-1"),
    ),
    (line("ordered", **FIRST, leader="c"), happened("preparation ordered", note="order o-1")),
    (line("recalled", **WIPE, leader="c"), happened("wipe recalled", note="order o-1")),
    (line("committed", **WIPE, leader="c"), happened("wipe committed", note="order o-1")),
    (
        line("deleted", leader="c", pv_name="pv-1", message="cordoned"),
        happened("PersistentVolume deleted", note="pv-1, cordoned"),
    ),
    (line("offered", leader="c", next="t", pv_name="pv-2"), happened("offered", tenancy="t", note="pv-2")),
    (
        line("given", leader="c", claim=CLAIM, tenancy="t", pv_name="pv-1", asked="restore by jane"),
        happened("data given", who="db/data-0", tenancy="t", note="pv-1, restore by jane"),
    ),
    (
        line("accepted", leader="c", asked="acceptIdentity by jane", message="in place of serial=S1"),
        happened("disk accepted", note="acceptIdentity by jane, in place of serial=S1"),
    ),
    (
        line("refused", leader="c", asked="restore by jane", reason="NotTaken", message="no"),
        happened("answer refused", note="restore by jane, NotTaken: no"),
    ),
    (line("forgotten", leader="c", message="NOT WIPED"), happened("forgotten", note="NOT WIPED")),
    (
        line("said", leader="c", tenancy="t", reason="hold", message="from now on", asked="set by x, T"),
        happened("said", tenancy="t", note="set by x, T, hold: from now on"),
    ),
    (
        line("reset", leader="c", volume="", reason="BreakerReset", message="epoch 4"),
        msgspec.structs.replace(happened("breaker reset", note="BreakerReset: epoch 4"), volume=""),
    ),
    (line("removed", leader="c", message="no entry"), happened("removed", note="no entry")),
    (
        line("cut", kind="reclaim", tenancy="t", bytes_gone=True, reason="Interrupted", message="killed"),
        happened("wipe cut", tenancy="t", note="bytes may be gone, Interrupted: killed"),
    ),
]


@pytest.mark.parametrize(("of", "told"), TOLD, ids=[f"{row[0].what} {row[0].kind}" for row in TOLD])
def test_a_line_on_record_is_told(of: AuditLine, told: Happened) -> None:
    assert tell([], [], EVER, lines=[of]) == [told]


# --- whose it is ---


def at(second: int, what: str, who: str = "", tenancy: str = "") -> Record:
    return Record(at=f"2026-01-01T00:00:{second:02d}.500Z", what=what, who=who, tenancy=tenancy)


def volume(*records: Record, name: str = "v") -> Volume:
    spec = VolumeSpec(node_name="n", pool="p", source=Source(path="/data/a"))
    return Volume(metadata=Meta(name=name), spec=spec, status=VolumeStatus(history=records))


def event(second: int, reason: str, name: str = "v") -> codec.Event:
    return codec.Event(
        metadata=Meta(name="e"),
        involved_object=codec.InvolvedObject(name=name),
        reason=reason,
        last_timestamp=f"2026-01-01T00:00:{second:02d}Z",
    )


LIFE = volume(
    at(1, "offered", tenancy="t1"),
    at(2, "bound", "db/data-0", "t1"),
    at(4, "released", "db/data-0", "t1"),
    at(6, "wipe committed", tenancy="t1"),
    at(8, "wiped", "db/data-0", "t1"),
    at(9, "offered", tenancy="t2"),
    at(10, "bound", "web/data-0", "t2"),
)
NEIGHBOUR = volume(at(2, "bound", "web/data-1", "t9"), name="w")
SAID = [
    event(0, "NotObserved"),
    event(2, "Claimed"),
    event(3, "WrongDisk"),
    event(3, "NodeLost", "w"),
    event(7, "Deleting"),
    event(9, "OnOffer"),
    event(11, "DiskTrouble"),
]
THEIRS = [
    ("offered", "bound", "Claimed", "WrongDisk", "released", "wipe committed", "Deleting", "wiped"),
    ("bound", "NodeLost", "offered", "OnOffer", "bound", "DiskTrouble"),
    (),
]


@pytest.mark.parametrize(("namespace", "told"), list(zip(["db", "web", "d"], THEIRS, strict=True)))
def test_a_namespace_is_told_what_is_about_its_claims_and_their_data(
    namespace: str, told: tuple[str, ...]
) -> None:
    found = tell([LIFE, NEIGHBOUR], SAID, EVER, namespace)
    assert tuple(each.what for each in found) == told


def test_without_a_namespace_all_is_told_by_time_and_an_event_after_what_it_is_about() -> None:
    found = tell([LIFE], [event(2, "Claimed")], EVER)
    assert [each.what for each in found][:4] == ["offered", "bound", "Claimed", "released"]


def test_what_is_older_is_not_told_and_still_says_whose_it_was() -> None:
    since = Instant(1767225603.0)  # 2026-01-01T00:00:03Z
    found = tell([LIFE], [event(3, "WrongDisk")], since, "db")
    assert [each.what for each in found] == ["WrongDisk", "released", "wipe committed", "wiped"]


def test_what_volume_and_record_tell_of_one_moment_is_told_once() -> None:
    committed = line("committed", **WIPE, leader="c", at="2026-01-01T00:00:06.500Z", asked="wipe-now by jane")
    found = tell([LIFE], [], EVER, lines=[committed])
    (told,) = (each for each in found if each.what == "wipe committed")
    assert told.note == "wipe-now by jane, order o-1"
    later = msgspec.structs.replace(committed, at="2026-01-01T00:00:06.501Z")
    elsewhere = msgspec.structs.replace(committed, volume="w")
    for other in (later, elsewhere):
        found = tell([LIFE], [], EVER, lines=[other])
        assert [each.what for each in found].count("wipe committed") == 2


# --- from files alone ---

S1, S2 = Identity(serial="S1"), Identity(serial="S2")
FILE = [
    line("done", **WIPE, node="node-7", volume="gone-1", source="/data/a", identity=S1, claim=CLAIM),
    line("done", **WIPE, node="node-7", volume="gone-2", source="/data/b", identity=S2),
    line("forgotten", leader="c", node="node-8", volume="gone-3", source="/data/a", identity=S1),
]


def run(tmp_path: Path, *words: str) -> tuple[int, list[str], str]:
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b"".join(map(audit.written, FILE)))
    out, err = io.StringIO(), io.StringIO()
    code = main(["history", *words, "--no-cluster", "--record", str(file), "-o", "json"], Screen(out, err))
    told = [each["volume"] for each in json.loads(out.getvalue())] if code == Exit.OK else []
    return code, told, err.getvalue()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), ["gone-1", "gone-2", "gone-3"]),
        (("gone-1",), ["gone-1"]),
        (("tv/gone-1", "gone-3"), ["gone-1", "gone-3"]),
        (("gone-{2..3}",), ["gone-2", "gone-3"]),
        (("node-7/data/*",), ["gone-1", "gone-2"]),
        (("node-*/a",), ["gone-1", "gone-3"]),
        (("--node", "node-8"), ["gone-3"]),
        (("--node", "node-8", "gone-1"), []),
        (("--disk", "s1"), ["gone-1", "gone-3"]),
        (("--disk", "s1", "--node", "node-7"), ["gone-1"]),
        (("-n", "db"), ["gone-1"]),
        (("gone-9",), []),
    ],
)
def test_disks_whose_volume_is_gone_are_found_by_the_same_words_without_a_cluster(
    tmp_path: Path, words: tuple[str, ...], told: list[str]
) -> None:
    assert run(tmp_path, *words) == (Exit.OK, told, "")


@pytest.mark.parametrize("words", [("-l", "a=b"), ("--pool", "p"), ("a{1..",)])
def test_what_only_a_cluster_knows_or_nobody_understands_is_wrong_usage(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    code, _, said = run(tmp_path, *words)
    assert (code, bool(said)) == (Exit.USAGE, True)


# --- volumes that are no more ---


def test_a_volume_that_is_no_more_is_told_by_its_last_line_and_what_it_had_kept() -> None:
    last = line("forgotten", leader="c", message="NOT WIPED", history=(at(0, "bound", "db/data-0", "t"),))
    bound = Happened(at="2026-01-01T00:00:00.500Z", volume="v", what="bound", who="db/data-0", tenancy="t")
    assert tell([], [], EVER, lines=[last]) == [happened("forgotten", note="NOT WIPED"), bound]
