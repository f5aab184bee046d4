"""A file's name is bytes that somebody chose; what is told of it is one line of text."""

from __future__ import annotations

import os

import msgspec
import pytest

from disk_daemon.shown import LONGEST, escaped, shown

NAMES: list[tuple[bytes, str]] = [
    (b"plain.txt", "plain.txt"),
    ("größe 日本".encode(), "größe 日本"),
    (b"two\nlines", "two\\nlines"),
    (b"half \xc3", "half \\xc3"),
    (b"\xff\x80", "\\xff\\x80"),
    (b"red\x1b[31m", "red\\x1b[31m"),
    (b"back\\slash", "back\\\\slash"),
    (b"<b onclick=1>", "<b onclick=1>"),
    ("right\u202eleft".encode(), "right\\u202eleft"),
    (b"nul-like\x01\x7f", "nul-like\\x01\\x7f"),
    ("\U000e0001".encode(), "\\U000e0001"),
]


@pytest.mark.parametrize(("name", "said"), NAMES)
def test_what_does_not_print_is_escaped(name: bytes, said: str) -> None:
    assert shown(os.fsdecode(name)) == shown(name) == said
    assert said.isprintable()
    assert msgspec.json.decode(msgspec.json.encode(shown(name))) == said


def test_a_long_name_is_cut_and_says_so() -> None:
    assert shown("a" * LONGEST) == "a" * LONGEST
    cut = shown("\n" * 255)
    assert len(cut) == LONGEST
    assert cut.endswith("…")
    assert len(escaped("\n" * 255)) == 510
