"""A certificate says what is on record of a wipe, and no more; a wipe without an end has none."""

from __future__ import annotations

import html
import io
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.test_audit import LINE
from tidb_volume import audit
from tidb_volume.audit import AuditLine
from tidb_volume.certificate import SAYS_NOT, certify
from tidb_volume.cli import certificate_page, connect
from tidb_volume.cli.__main__ import main
from tidb_volume.cli.render import Screen
from tidb_volume.kube import kinds
from tidb_volume.value import Identity, Meta, NodeStatus, Ref, VolumeNode

DISK = Identity(model="M 9", serial="S1", size_bytes=1000)
CLAIM = Ref(namespace="db", name="data-0", uid="u")


def line(what: str, order: str = "order-1", at: str = "2026-01-01T00:00:05Z", **fields: Any) -> AuditLine:
    said = {"tenancy": "aaaaaaaaaaaa", "method": "zero", "source": "/dev/x", "identity": DISK, "claim": CLAIM}
    return msgspec.structs.replace(LINE, what=what, order=order, at=at, **(said | fields))


BEGUN, DONE = line("begun", at="2026-01-01T00:00:01Z"), line("done")


def test_a_wipe_that_was_done_is_certified_with_its_disk_and_what_asked_for_it() -> None:
    done = line("done", asked="reclaim policy Delete, set by kubectl", pv_name="pv-a", pv_uid="u-1")
    (found,), left = certify([BEGUN, done])
    assert left == ()
    assert (found.disk, found.node, found.volume, found.source) == (DISK, "n", "v", "/dev/x")
    assert (found.begun_at, found.done_at, found.attempts) == (BEGUN.at, DONE.at, 1)
    assert (found.claim, found.tenancy, found.pv_uid) == (CLAIM, "aaaaaaaaaaaa", "u-1")
    assert found.asked == "reclaim policy Delete, set by kubectl"
    assert found.says_not == SAYS_NOT


@pytest.mark.parametrize(
    ("said", "scope", "nist"),
    [
        ({"method": "files", "source": "/data/a"}, "what one owner had in its folder on /data/a;", "neither"),
        (
            {"method": "files", "source": "/data/a", "kind": "prepare", "answer": "q-1", "tenancy": ""},
            "everything that the file system on /data/a showed",
            "neither",
        ),
        ({"method": "format"}, "the whole device", "neither"),
        ({"method": "discard"}, "the whole device", "neither"),
        ({"method": "zero"}, "the whole device", "Clear, where"),
        ({"method": "overwrite:3"}, "the whole device", "Clear"),
        ({"method": "nvme-format"}, "the whole device", "Purge, if"),
        (
            {"method": "zero", "identity": msgspec.structs.replace(DISK, partition="p-1")},
            "the partition p-1,",
            "Clear, where",
        ),
        # What an earlier version left open, and what a later one may know.
        ({"method": "auto"}, "the whole device", "neither"),
        ({"method": "burn"}, "the whole device", "neither"),
    ],
)
def test_it_claims_no_more_than_the_method_promises(said: dict[str, Any], scope: str, nist: str) -> None:
    (found,), _ = certify([line("begun", **said), line("done", **said)])
    assert found.scope.startswith(scope)
    assert found.nist.startswith(nist)


@pytest.mark.parametrize(
    "lines",
    [
        [BEGUN],
        [BEGUN, line("failed", bytes_gone=True)],
        [BEGUN, line("refused", bytes_gone=True)],
        [BEGUN, line("cut", begun_at=BEGUN.at, bytes_gone=True)],
        [line("cut", begun_at=BEGUN.at, bytes_gone=True)],
        [BEGUN, line("done", tenancy="b" * 12), line("done", tenancy="b" * 12)],
        [BEGUN, msgspec.structs.replace(line("done"), node="another")],
    ],
)
def test_a_wipe_whose_end_is_not_on_record_is_not_certified_and_is_told(lines: list[AuditLine]) -> None:
    found, (left,) = certify(lines)
    assert all(each.tenancy != "aaaaaaaaaaaa" or each.node != "n" for each in found)
    assert "aaaaaaaaaaaa began at 2026-01-01T00:00:01Z" in left
    assert "NOT certified" in left


def test_what_was_refused_before_a_byte_went_or_made_ready_for_first_use_is_no_wipe() -> None:
    assert certify([line("refused"), line("withdrawn")]) == ((), ())
    assert certify([line("done", kind="prepare", tenancy="")]) == ((), ())


def test_attempts_are_counted_and_the_first_one_began_it() -> None:
    second = line("begun", order="order-2", at="2026-01-01T00:00:03Z")
    (found,), left = certify([BEGUN, line("failed"), second, line("done", order="order-2")])
    assert (found.begun_at, found.attempts, found.order, left) == (BEGUN.at, 2, "order-2", ())


def test_an_attempt_that_was_cut_is_counted_once_whether_or_not_its_beginning_is_on_record() -> None:
    cut = line("cut", at="2026-01-01T00:00:02Z", begun_at=BEGUN.at)
    second = line("begun", at="2026-01-01T00:00:03Z")
    for lines in ([BEGUN, cut, second, DONE], [cut, second, DONE]):
        (found,), left = certify(lines)
        assert (found.begun_at, found.attempts, left) == (BEGUN.at, 2, ())


AMOUNTS: list[tuple[dict[str, Any], list[AuditLine], str]] = [
    ({}, [BEGUN], ""),
    ({"done_bytes": 4096}, [BEGUN], "4096 bytes"),
    ({"done_bytes": 4096, "done_files": 2}, [BEGUN], "4096 bytes, 2 files"),
    ({"done_files": 2}, [BEGUN, line("begun", at="2026-01-01T00:00:03Z")], "2 files in the last attempt"),
    ({}, [BEGUN, line("begun", at="2026-01-01T00:00:03Z")], ""),
]


@pytest.mark.parametrize(("said", "begun", "amount"), AMOUNTS)
def test_how_much_went_is_told_where_it_is_on_record(
    said: dict[str, Any], begun: list[AuditLine], amount: str
) -> None:
    (found,), _ = certify([*begun, line("done", **said)])
    assert dict(certificate_page.rows(found)).get("amount", "") == amount
    assert any("the version of tidb-volume that prints this" in each for each in found.says_not)


def test_a_line_that_was_written_twice_counts_once() -> None:
    found, left = certify([BEGUN, BEGUN, DONE, DONE])
    assert ([each.attempts for each in found], left) == ([1], ())


def test_a_second_wipe_of_the_same_disk_is_another_certificate() -> None:
    fields = {"tenancy": "b" * 12, "order": "order-2"}
    found, _ = certify(
        [BEGUN, DONE, line("begun", **fields), line("done", at="2026-01-02T00:00:00Z", **fields)]
    )
    assert [each.order for each in found] == ["order-1", "order-2"]


FORGOTTEN = line("forgotten", order="", method="", asked="forget by jane", leader="c", message="NOT WIPED")
UNKNOWN = msgspec.structs.replace(FORGOTTEN, tenancy="", claim=None)
LATER = "2026-03-01T00:00:00Z"
BACK = {"order": "order-2", "at": LATER, "ordered_at": LATER, "kind": "prepare", "answer": "q"}
"""A wipe by a person's word, once the disk was back."""


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([FORGOTTEN], "the data of db/data-0 (tenancy aaaaaaaaaaaa): NOT WIPED"),
        ([UNKNOWN], "with what was on it: NOT WIPED"),
        # Another owner's wipe, one that was not asked for the whole disk, and one that came to no end.
        ([line("done", tenancy="b" * 12), FORGOTTEN], "NOT WIPED"),
        ([DONE, UNKNOWN], "NOT WIPED"),
        ([line("done", kind="prepare", answer="q", identity=None), UNKNOWN], "NOT WIPED"),
        ([line("failed"), FORGOTTEN], "NOT WIPED"),
        # Of what was there before.
        ([line("done", kind="prepare", answer="q", tenancy="b" * 12), FORGOTTEN], "NOT WIPED"),
        ([line("done", kind="prepare", answer="q", tenancy=""), UNKNOWN], "NOT WIPED"),
        # So too where the node's clock was ahead, where both were in one moment, and where nobody knows.
        ([line("done", **{**BACK, "ordered_at": ""}, tenancy="b" * 12), FORGOTTEN], "NOT WIPED"),
        ([line("done", **{**BACK, "ordered_at": FORGOTTEN.at}, tenancy=""), UNKNOWN], "NOT WIPED"),
        ([line("done", **{**BACK, "ordered_at": "2025-12-31T00:00:00Z"}), UNKNOWN], "NOT WIPED"),
        # The cluster has it on record as the controller's log has.
        ([FORGOTTEN, FORGOTTEN], "NOT WIPED"),
    ],
)
def test_a_disk_that_was_forgotten_is_not_certified_and_is_told(lines: list[AuditLine], said: str) -> None:
    _, (left,) = certify(lines)
    assert said in left
    assert "serial=S1" in left
    assert "forgotten at 2026-01-01T00:00:05Z (forget by jane)" in left


@pytest.mark.parametrize(
    "lines",
    [
        [DONE, FORGOTTEN],
        [FORGOTTEN, line("done", **BACK, node="another")],
        [FORGOTTEN, line("done", **BACK, tenancy="")],
        [UNKNOWN, line("done", **BACK, tenancy="")],
        [
            UNKNOWN,
            line("done", **{**BACK, "at": "2025-01-01T00:00:00Z"}, tenancy=""),
        ],  # a clock that is behind
        [FORGOTTEN, FORGOTTEN, DONE],
    ],
)
def test_what_was_wiped_all_the_same_is_certified_though_its_disk_was_forgotten(
    lines: list[AuditLine],
) -> None:
    found, left = certify(lines)
    assert (len(found), left) == (1, ())


EVIL = "<script>alert(1)</script>\x1b[31m&"


def test_a_page_shows_what_the_record_says_as_text() -> None:
    evil = line("done", asked=EVIL, source=EVIL, identity=msgspec.structs.replace(DISK, model=EVIL))
    shown = certificate_page.page(certify([BEGUN, evil, line("begun", tenancy=EVIL)]))
    assert "<script" not in shown
    assert html.escape("<script>alert(1)</script>") in shown
    assert "\x1b" not in shown
    assert "Not certified" in shown
    assert all(html.escape(each) in shown for each in SAYS_NOT)
    assert not re.search(r"(src|href)=|url\(|@import", shown)


def run(tmp_path: Path, lines: list[AuditLine], *words: str) -> tuple[int, str, str]:
    record = tmp_path / "audit.jsonl"
    record.write_bytes(b"".join(map(audit.written, lines)))
    out, err = io.StringIO(), io.StringIO()
    code = main(["certificate", str(record), "--no-cluster", *words], Screen(out, err))
    return code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), 0),
        (("--disk", "s1"), 0),
        (("--claim", "db/data-0"), 0),
        (("--tenancy", "aaaaaaaaaaaa"), 0),
        (("--disk", "S2"), 3),
        (("--claim", "db/data-1"), 3),
        (("--tenancy", "bbbbbbbbbbbb"), 3),
    ],
)
def test_the_command_certifies_what_is_asked_for(tmp_path: Path, words: tuple[str, ...], code: int) -> None:
    done, out, err = run(tmp_path, [BEGUN, DONE], *words)
    assert done == code
    assert ("Wipe of M 9 S1" in out) is (code == 0)
    assert ("on record" in err) is (code == 3)


def test_the_command_has_every_form_and_fails_where_an_end_is_missing(tmp_path: Path) -> None:
    (found,), _ = certify([BEGUN, DONE])
    _, out, _ = run(tmp_path, [BEGUN, DONE], "-o", "json")
    assert msgspec.json.decode(out, type=list[type(found)]) == [found]  # type: ignore[misc]
    assert run(tmp_path, [BEGUN, DONE], "-o", "name")[1] == "order-1\n"
    assert run(tmp_path, [BEGUN, DONE], "--html")[1].startswith("<!doctype html>")
    code, _, err = run(tmp_path, [BEGUN])
    assert code == 1
    assert "NOT certified" in err


# --- what the cluster knows ---


class Api:
    """A cluster whose nodes keep these lines of volumes that are no more."""

    def __init__(self, *closed: AuditLine) -> None:
        self._closed = closed

    def list(self, kind: Any, **_: Any) -> tuple[tuple[VolumeNode, ...], str]:
        assert kind is kinds.TIDB_VOLUME_NODE
        kept = tuple(audit.written(each).decode().strip() for each in self._closed)
        return (VolumeNode(metadata=Meta(name="n"), status=NodeStatus(closed=kept)),), "1"


@pytest.mark.parametrize(
    ("closed", "told"),
    [
        (FORGOTTEN, True),
        (msgspec.structs.replace(UNKNOWN, node="another"), True),  # the same disk
        (msgspec.structs.replace(UNKNOWN, identity=None), True),  # the same machine
        (msgspec.structs.replace(FORGOTTEN, node="another", identity=Identity(serial="S2")), False),
        (msgspec.structs.replace(FORGOTTEN, node="another", identity=None), False),
    ],
    ids=["a tenancy", "a disk", "a machine", "another disk", "another machine"],
)
def test_what_the_cluster_knows_to_be_left_as_it_was_is_told_beside_a_file(
    closed: AuditLine, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "client", lambda _: Api(closed))
    record = tmp_path / "audit.jsonl"
    record.write_bytes(audit.written(line("done", tenancy="b" * 12)))
    out, err = io.StringIO(), io.StringIO()
    code = main(["certificate", str(record)], Screen(out, err))
    assert (code == 1, "NOT WIPED" in err.getvalue()) == (told, told)


@pytest.mark.parametrize(("words", "code"), [((), 1), (("--disk", "s1"), 1), (("--disk", "S2"), 3)])
def test_no_file_has_to_be_at_hand_for_what_the_cluster_knows(
    words: tuple[str, ...], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "client", lambda _: Api(FORGOTTEN))
    out, err = io.StringIO(), io.StringIO()
    assert main(["certificate", *words], Screen(out, err)) == code
    assert ("db/data-0 (tenancy aaaaaaaaaaaa): NOT WIPED" in err.getvalue()) is (code == 1)


def test_without_a_cluster_a_file_has_to_be_named() -> None:
    out, err = io.StringIO(), io.StringIO()
    assert main(["certificate", "--no-cluster"], Screen(out, err)) == 2
    assert "name a FILE" in err.getvalue()
