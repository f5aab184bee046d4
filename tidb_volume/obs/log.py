"""One way to log: a constant message, and fields.

`Log("name").info("disk wiped", volume=name, seconds=3.1)` can be searched by its message and filtered by its
fields. Lines are JSON, on a terminal they are for people. Names of disks, pods and file systems come from
others, so nothing in a field can end the line or drive a terminal: what is not printable is escaped in both
forms.

It stands on the standard library's logging, whose records carry the fields as `record.fields`, so that the
packages below this one need not import it (`extra={"fields": {...}}`).
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO


class Log:
    """A logger whose calls take fields."""

    def __init__(self, name: str, **fields: Any) -> None:
        self._logger = logging.getLogger(name)
        self._fields = fields

    def bind(self, **fields: Any) -> Log:
        """The same logger, with these fields on every line."""
        return Log(self._logger.name, **(self._fields | fields))

    def debug(self, message: str, /, **fields: Any) -> None:
        """For who looks for a fault in this program."""
        self._say(logging.DEBUG, message, fields)

    def info(self, message: str, /, **fields: Any) -> None:
        """What was done."""
        self._say(logging.INFO, message, fields)

    def warning(self, message: str, /, **fields: Any) -> None:
        """What went wrong and will be tried again."""
        self._say(logging.WARNING, message, fields)

    def error(self, message: str, /, **fields: Any) -> None:
        """What a person has to look at."""
        self._say(logging.ERROR, message, fields)

    def exception(self, message: str, /, **fields: Any) -> None:
        """A fault of ours: the same as error, with the traceback of the exception being handled."""
        self._say(logging.ERROR, message, fields, exc_info=True)

    def _say(self, level: int, message: str, fields: dict[str, Any], *, exc_info: bool = False) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, message, extra={"fields": self._fields | fields}, exc_info=exc_info)


class JsonLines(logging.Formatter):
    """A record as one line of JSON in ASCII: ts, level, logger, msg, and its fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its line feed."""
        head = {
            "ts": _moment(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        line = head | {name: each for name, each in _fields(record).items() if name not in head}
        if record.exc_info:
            line["trace"] = _trace(record)
        return json.dumps(line, default=str, separators=(",", ":"))


class Readable(logging.Formatter):
    """A record for a terminal: time, level, message, fields; a traceback below, escaped line by line."""

    def format(self, record: logging.LogRecord) -> str:
        """The text, without its last line feed."""
        said = " ".join(f"{_plain(name)}={_field(each)}" for name, each in _fields(record).items())
        moment = _moment(record).astimezone().strftime("%H:%M:%S.%f")[:-3]
        text = f"{moment} {record.levelname:<7} {_plain(record.getMessage())}"
        if said:
            text += f"  {said}"
        if record.exc_info:
            text += "".join(f"\n    {_plain(line)}" for line in _trace(record).splitlines())
        return text


def setup(
    *,
    level: str = "info",
    stream: TextIO | None = None,
    as_json: bool | None = None,
    always: str = "",
) -> None:
    """Send all logs to `stream` (stderr), from `level` up; JSON unless the stream is a terminal.

    always: a logger whose lines of `info` are written at every level, such as a record.
    To be called once, by a program's main. Raises ValueError for a level that is none.
    """
    stream = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if (not stream.isatty() if as_json is None else as_json) else Readable())
    root = logging.getLogger()
    root.setLevel(level.upper())
    root.handlers[:] = [handler]
    if always:
        logging.getLogger(always).setLevel(min(logging.INFO, root.level))


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields


def _moment(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _trace(record: logging.LogRecord) -> str:
    return "".join(traceback.format_exception(*record.exc_info)).rstrip() if record.exc_info else ""


def _plain(text: str) -> str:
    """The text with everything that is not printable escaped, as JSON does it."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def _field(content: Any) -> str:
    text = _plain(str(content))
    return json.dumps(text, ensure_ascii=False) if text == "" or set(text) & set(' ="') else text
