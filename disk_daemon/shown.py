"""Names that others gave, made fit to be read: a file's name is bytes, and whoever made it chose them.

What leaves the daemon goes through here: it must be UTF-8 (a report with half a character is none, and its
disk would never be seen), one line, and must not speak to a terminal. Names that something is done with stay
as they are.
"""

from __future__ import annotations

import errno

LONGEST = 80
_ELLIPSIS = "…"
_SURROGATES = range(0xDC80, 0xDD00)
"""How Python keeps a byte that is no part of UTF-8 (PEP 383)."""


def escaped(text: str | bytes) -> str:
    """The text with everything that does not print, and the backslash, as escapes. Of any length."""
    if isinstance(text, bytes):
        text = text.decode(errors="surrogateescape")
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(map(_escape, text))


def _escape(char: str) -> str:
    if char == "\\":
        return "\\\\"
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code - 0xDC00:02x}" if code in _SURROGATES else ascii(char)[1:-1]


def shown(text: str | bytes) -> str:
    """The same, at most LONGEST characters of it."""
    said = escaped(text)
    return said if len(said) <= LONGEST else said[: LONGEST - 1] + _ELLIPSIS


def carried(path: str) -> str:
    """A path that the controller compares with those in the API: as it is, unless UTF-8 cannot carry it. No
    object of the API can name such a one."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return escaped(path)
    return path


def said(error: OSError) -> str:
    """An error of the system for people, its name first."""
    name = errno.errorcode.get(error.errno or 0, "OSError")
    where: object = error.filename
    what = escaped(str(error.strerror or error))
    return (
        f"{name}: {what}: '{shown(where)}'" if where and isinstance(where, str | bytes) else f"{name}: {what}"
    )
