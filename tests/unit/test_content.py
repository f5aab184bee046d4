"""What lies on a disk, in the words that a question, an order and a look at the disk are compared by."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tidb_volume.content import found, lies, reported, trash_in
from tidb_volume.value import Content, DiskReport, Presence

REPORT = DiskReport(
    presence=Presence.OK,
    content=Content.DATA,
    tenancy="aaaaaaaaaaaa",
    content_note="12 entries",
    trash=("o", "p"),
)


def test_the_words_have_the_content_the_tenancy_the_note_and_each_trash() -> None:
    assert lies(Content.DATA, "aaaaaaaaaaaa", "12 entries", ("o", "p")) == "data:aaaaaaaaaaaa:12 entries:o,p"
    assert lies(Content.BLANK, "", "", ()) == "blank:::"


@pytest.mark.parametrize(
    "changed",
    [
        {"content": Content.TENANCY},
        {"tenancy": "bbbbbbbbbbbb"},
        {"content_note": "13 entries"},
        {"trash": ("o",)},
        {"trash": ("o", "q")},
    ],
)
def test_a_report_of_anything_else_has_other_words(changed: dict[str, Any]) -> None:
    assert reported(REPORT) == "data:aaaaaaaaaaaa:12 entries:o,p"
    assert reported(msgspec.structs.replace(REPORT, **changed)) != reported(REPORT)


@pytest.mark.parametrize(
    ("tenancy", "at_root", "told"),
    [("", True, "bbbbbbbbbbbb"), ("", False, ""), ("aaaaaaaaaaaa", True, "aaaaaaaaaaaa")],
)
def test_whose_it_is_that_lies_at_the_root_the_journal_tells(
    tenancy: str, told: str, *, at_root: bool
) -> None:
    report = msgspec.structs.replace(REPORT, tenancy=tenancy, journal="bbbbbbbbbbbb", at_root=at_root)
    assert reported(report) == f"data:{told}:12 entries:o,p"
    assert found(report) == f"data:{tenancy}:12 entries:o,p"


@pytest.mark.parametrize("trash", [(), ("o",), ("o", "p")])
def test_the_trash_is_read_out_of_the_words_whatever_the_note_has(trash: tuple[str, ...]) -> None:
    assert trash_in(lies(Content.DATA, "aaaaaaaaaaaa", "a: 2 entries, x:y", trash)) == frozenset(trash)
