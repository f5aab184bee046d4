"""Logs: one line each, with fields, and nothing in a field can end the line or drive a terminal."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from disk_daemon import __main__ as disk_daemon
from tidb_volume import audit
from tidb_volume.obs import log
from volume_controller import __main__ as volume_controller

NASTY = 'a\nb\x1b[31m\u202e"c"\r\x85'


@pytest.fixture(autouse=True)
def _root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def said(as_json: bool, message: str = "disk wiped", **fields: Any) -> str:
    stream = io.StringIO()
    log.setup(stream=stream, as_json=as_json)
    log.Log("tidb_volume.test").info(message, **fields)
    return stream.getvalue()


def test_a_line_is_json_with_its_fields() -> None:
    line = json.loads(said(True, volume="disk-1", seconds=3.1, none=None))
    assert line.pop("ts").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "tidb_volume.test",
        "msg": "disk wiped",
        "volume": "disk-1",
        "seconds": 3.1,
        "none": None,
    }


def test_a_field_cannot_take_the_place_of_the_message() -> None:
    line = json.loads(said(True, msg="forged", level="error"))
    assert (line["msg"], line["level"]) == ("disk wiped", "info")


@pytest.mark.parametrize("as_json", [True, False])
def test_a_name_from_outside_stays_on_its_line_and_prints_as_text(as_json: bool) -> None:
    line = said(as_json, name=NASTY)
    assert line.endswith("\n")
    assert line[:-1].isprintable()


def test_a_field_survives_json_as_it_was() -> None:
    assert json.loads(said(True, name=NASTY))["name"] == NASTY


def test_a_line_for_people_quotes_what_has_spaces() -> None:
    line = said(False, disk="a b", plain="x", empty="")
    assert line.rstrip().endswith('INFO    disk wiped  disk="a b" plain=x empty=""')


@pytest.mark.parametrize("as_json", [True, False])
def test_an_exception_comes_with_its_traceback(as_json: bool) -> None:
    stream = io.StringIO()
    log.setup(stream=stream, as_json=as_json)
    try:
        raise ValueError(NASTY)
    except ValueError:
        log.Log("x").exception("failed", volume="v")
    text = stream.getvalue()
    assert "ValueError" in text
    assert all(line.isprintable() for line in text.split("\n"))
    if as_json:
        assert "ValueError" in json.loads(text)["trace"]


def test_fields_that_are_bound_come_with_every_line() -> None:
    stream = io.StringIO()
    log.setup(stream=stream, as_json=True)
    log.Log("x", node="n1").bind(disk="d").warning("slow", disk="other")
    line = json.loads(stream.getvalue())
    assert (line["node"], line["disk"], line["level"]) == ("n1", "other", "warning")


def test_records_of_the_standard_logging_keep_their_fields() -> None:
    stream = io.StringIO()
    log.setup(stream=stream, as_json=True, level="debug")
    logging.getLogger("other").debug("counted %d", 3, extra={"fields": {"kind": "Pod"}})
    line = json.loads(stream.getvalue())
    assert (line["msg"], line["kind"]) == ("counted 3", "Pod")


def test_what_is_below_the_level_is_not_said() -> None:
    stream = io.StringIO()
    log.setup(stream=stream, level="warning")
    log.Log("x").info("nothing")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_what_is_on_record_is_said_at_every_level(level: str) -> None:
    stream = io.StringIO()
    log.setup(stream=stream, as_json=True, level=level, always="a-record")
    log.Log("x").info("nothing")
    log.Log("a-record").info("on record")
    said = [json.loads(line)["logger"] for line in stream.getvalue().splitlines()]
    assert said == ["x"] * (level in ("debug", "info")) + ["a-record"]


@pytest.mark.parametrize(
    ("main", "words"),
    [(volume_controller.main, []), (disk_daemon.main, ["--node-name=n"])],
    ids=["controller", "daemon"],
)
def test_no_program_is_told_to_keep_its_record_to_itself(
    main: Callable[[list[str]], int], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Done(Exception):  # noqa: N818
        pass

    def setup(*, level: str, always: str) -> None:
        raise Done(level, always)

    monkeypatch.setattr(log, "setup", setup)
    with pytest.raises(Done) as done:
        main([*words, "--log-level=error"])
    assert done.value.args == ("error", audit.LOGGER)


def test_a_level_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="LOUD"):
        log.setup(level="loud")
