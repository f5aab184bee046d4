"""docs/audit.md says what stands in a line, and a record that was cut or comes from a later version is read.

`python -m tests.unit.test_audit` brings the table of docs/audit.md up to date.
"""

from __future__ import annotations

import typing
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from deploy.generate_crds import field_docs
from tidb_volume import audit
from tidb_volume.audit import AuditLine
from tidb_volume.inventory.reference import filled, table
from tidb_volume.value import Ref

DOCUMENT = Path(__file__).parents[2] / "docs" / "audit.md"
LINE = AuditLine(
    schema=1, at="2026-01-01T00:00:00Z", what="done", node="n", volume="v", order="o", kind="reclaim"
)


def _fields() -> str:
    said, hints = field_docs(audit), typing.get_type_hints(AuditLine)
    rows = []
    for field in msgspec.structs.fields(AuditLine):
        kind = {int: "number", bool: "true or false", str: "text"}.get(hints[field.name], "")
        if typing.get_origin(hints[field.name]) is typing.Literal:
            kind = ", ".join(typing.get_args(hints[field.name]))
        always = "always" if field.required else ""
        rows.append((f"`{field.encode_name}`", kind or "object", always, said[f"AuditLine.{field.name}"]))
    return table(("field", "holds", "there", "says"), rows)


def printed(document: str) -> str:
    return filled(document, {"audit": _fields})


def test_the_document_says_what_stands_in_a_line() -> None:
    document = DOCUMENT.read_text()
    assert printed(document) == document, "run python -m tests.unit.test_audit"


def test_a_line_is_one_line_and_reads_as_it_was_written() -> None:
    line = msgspec.structs.replace(LINE, message="two\nlines", claim=Ref(namespace="a", name="b"))
    text = audit.written(line)
    assert text.count(b"\n") == 1
    assert audit.read(text) == ([line], [])


def test_a_line_of_a_later_version_is_read_as_far_as_it_is_understood() -> None:
    text = audit.written(LINE).replace(b'"schema":1', b'"schema":2,"colour":"red"')
    assert audit.read(text) == ([msgspec.structs.replace(LINE, schema=2)], [])


@given(st.binary(max_size=200))
def test_a_record_that_was_damaged_loses_no_other_line(between: bytes) -> None:
    text = audit.written(LINE) + between.replace(b"\n", b"") + b"\n" + audit.written(LINE)
    lines, broken = audit.read(text)
    assert [lines[0], lines[-1]] == [LINE, LINE]
    assert len(lines) + len(broken) <= 3


if __name__ == "__main__":
    DOCUMENT.write_text(printed(DOCUMENT.read_text()))
