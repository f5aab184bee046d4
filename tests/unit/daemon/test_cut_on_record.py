"""An attempt at a wipe that ended without a word is told by who comes next: what is known, and no more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from disk_daemon import audit as node
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Ended, Job
from disk_daemon.known import Facts, Live, Taken
from disk_daemon.verdict import Dropped, Refuse, Wait
from disk_daemon.wipe.frame import Carrier, Conclusion
from tests.unit.daemon.cases import NEXT, OLD, OTHER, case, entry, facts, live, order, taken
from tests.unit.test_audit import LINE
from tidb_volume import audit
from tidb_volume.audit import AuditLine
from tidb_volume.value import Order, Ref, Source, WorkState

change = msgspec.structs.replace
CLAIM = Ref(namespace="db", name="data-0", uid="u")
BEGAN, CUT_AT = "2026-01-01T00:00:00Z", "2026-01-01T09:00:00Z"
NOW = change(
    LINE,
    what="cut",
    order="order-1",
    at=CUT_AT,
    boot="b",
    tenancy=OLD,
    next=NEXT,
    claim=CLAIM,
    asked="policy",
)
NOW = change(NOW, pv_name="pv", pv_uid="uid", ordered_at="T", attempt=2)
BEGUN = change(NOW, what="begun", at=BEGAN, begun_at=BEGAN, method="zero")
AT_WORK = taken(begun=True, at=BEGAN)
KILLED = "its process ended by SIGKILL"


def cut(of: AuditLine = BEGUN, **fields: Any) -> AuditLine:
    said = {"what": "cut", "at": CUT_AT, "bytes_gone": True, "reason": "Interrupted", "message": node.NO_END}
    return change(of, **{**said, **fields})


WITHOUT_ITS_LINE = cut(NOW, begun_at=BEGAN)
ANOTHERS = change(WITHOUT_ITS_LINE, order="order-0", ordered_at="", asked="", attempt=0)
UNKNOWN = {"pv_name": "", "pv_uid": "", "claim": None}

TOLD: list[tuple[str, AuditLine | None, Taken, str, AuditLine | None]] = [
    ("its beginning is the last word", BEGUN, AT_WORK, "", cut()),
    ("somebody saw how it ended", BEGUN, AT_WORK, KILLED, cut(message=KILLED)),
    (
        "the machine was booted since, whatever was seen before",
        change(BEGUN, boot="a"),
        AT_WORK,
        KILLED,
        cut(message="the machine was booted since"),
    ),
    ("no byte is gone by the journal", BEGUN, taken(), "", cut(bytes_gone=False)),
    ("its beginning is not on record", None, AT_WORK, "", WITHOUT_ITS_LINE),
    ("nor was it begun by the journal", None, taken(), "", None),
    (
        "of an order before this one for the same wipe",
        None,
        change(AT_WORK, id="order-0"),
        "",
        ANOTHERS,
    ),
    (
        "of one for another tenancy's wipe",
        None,
        change(AT_WORK, id="order-0", ends=OTHER, next=OLD),
        "",
        change(ANOTHERS, tenancy=OTHER, next=OLD, **UNKNOWN),
    ),
    (
        "of one on an answer",
        None,
        change(AT_WORK, id="order-0", kind="prepare", answer="q", ends=""),
        "",
        change(ANOTHERS, kind="prepare", answer="q", tenancy="", **UNKNOWN),
    ),
    ("what makes ready deletes nothing", None, change(AT_WORK, kind="prepare"), "", None),
    *(
        (f"it ended as {what}", change(BEGUN, what=what), AT_WORK, KILLED, None)
        for what in ("done", "failed", "refused", "withdrawn", "cut")
    ),
]


@pytest.mark.parametrize(
    ("last", "at_work", "said", "line"), [row[1:] for row in TOLD], ids=[t[0] for t in TOLD]
)
def test_what_is_known_of_it_is_told(
    last: AuditLine | None, at_work: Taken, said: str, line: AuditLine | None
) -> None:
    assert node.cut_of(last, at_work, NOW, said) == line


def test_the_last_line_of_an_order_is_found_among_others_and_damage(tmp_path: Path) -> None:
    assert node.last_of(str(tmp_path), "order-1") is None
    others = change(BEGUN, order="order-11", message="as order-1")
    for each in (BEGUN, cut(), others):
        node.append(str(tmp_path), each)
    with (tmp_path / audit.FILE).open("ab") as file:
        file.write(b'{"schema":1,"order":"order-1"')
    assert node.last_of(str(tmp_path), "order-1") == cut()
    assert node.last_of(str(tmp_path), "order-2") is None


# --- who writes it ---


class NoLink:
    """Nobody is asked."""

    def ask(self, *, lean: bool) -> Callable[[], Live]:
        raise AssertionError

    def tell(self, work: object) -> None:
        raise AssertionError


class AtWork(Carrier):
    """A carrier whose disk is as the case has it."""

    def __init__(self, state: Path, given: Order, interrupted: str = "") -> None:
        job = Job(
            id=1,
            kind="order",
            volume="v",
            source=Source(path="/data/a"),
            order=given,
            interrupted=interrupted,
        )
        rules = Rules(state=str(state))
        super().__init__(job, given, NoLink(), rules, tick=lambda _: None, sleep=lambda _: None)
        self._live = live(given)

    def _look_or_say(self) -> Facts:
        return facts()

    def takes_up(self, at_work: Taken | None) -> None:
        self._cut_on_record(case(self._order, journal=entry(order=at_work)))

    def begins(self) -> None:
        self._on_record("begun", facts())
        self._begun = True

    def stops(self, conclusion: Conclusion) -> Ended:
        return self._ended(conclusion, begun=self._begun)


def told(state: Path) -> list[tuple[str, str, str]]:
    file = state / audit.FILE
    lines, _ = audit.read(file.read_bytes() if file.exists() else b"")
    return [(line.what, line.order, line.reason) for line in lines]


def test_who_takes_a_cut_wipe_up_tells_of_it_once(tmp_path: Path) -> None:
    AtWork(tmp_path, order()).begins()
    for _ in range(2):
        AtWork(tmp_path, order(), KILLED).takes_up(taken(begun=True, at=BEGAN))
    assert told(tmp_path) == [("begun", "order-1", ""), ("cut", "order-1", "Interrupted")]
    lines, _ = audit.read((tmp_path / audit.FILE).read_bytes())
    assert [line.message for line in lines] == ["", KILLED]
    assert lines[1].begun_at == lines[0].at


def test_who_begins_anew_tells_nothing_of_itself(tmp_path: Path) -> None:
    """A device's wipe that ends in its file system is decided once more there."""
    here = AtWork(tmp_path, order())
    here.takes_up(None)
    here.begins()
    here.takes_up(taken(begun=True))
    assert told(tmp_path) == [("begun", "order-1", "")]


@pytest.mark.parametrize(
    ("conclusion", "reason"),
    [(Wait("InUse", "a pod", "mounts"), "InUse"), (Dropped(), "Dropped")],
    ids=["it waits", "another order is there"],
)
def test_what_was_begun_and_stops_says_so_itself(tmp_path: Path, conclusion: Conclusion, reason: str) -> None:
    AtWork(tmp_path, order()).stops(conclusion)
    assert told(tmp_path) == [], "what was not begun does not stop"
    here = AtWork(tmp_path, order())
    here.begins()
    here.stops(conclusion)
    AtWork(tmp_path, order()).takes_up(taken(begun=True))
    assert told(tmp_path) == [("begun", "order-1", ""), ("cut", "order-1", reason)]


def test_a_refusal_is_an_end(tmp_path: Path) -> None:
    here = AtWork(tmp_path, order())
    here.begins()
    here.stops(Refuse("WrongDisk", "another one"))
    AtWork(tmp_path, order(id="order-2")).takes_up(taken(begun=True))
    assert told(tmp_path) == [("begun", "order-1", ""), ("refused", "order-1", "WrongDisk")]


def test_what_could_not_be_put_on_record_is_told_with_the_method(tmp_path: Path) -> None:
    class Fails(AtWork):
        def _work(self) -> Ended:
            self.does = "zero"
            self.begins()
            return self.stops(Refuse("HasData", "something"))

    assert (Fails(tmp_path, order()).run().method, Fails(tmp_path, order()).run().unrecorded) == ("zero", "")
    (tmp_path / audit.FILE).unlink()
    (tmp_path / audit.FILE).mkdir()
    ended = Fails(tmp_path, order()).run()
    assert ended.work is not None
    assert (ended.work.state, ended.work.reason, ended.method) == (WorkState.FAILED, "EISDIR", "zero")
    assert ended.unrecorded.startswith("EISDIR: ")


def test_a_record_that_cannot_be_read_holds_up_nobody(tmp_path: Path) -> None:
    (tmp_path / audit.FILE).mkdir()
    AtWork(tmp_path, order()).takes_up(taken(begun=True))
