"""What the API server does to documents: the patches and the selectors, as pure functions.

Documents are plain JSON values and are never changed in place: a patch gives a new one that shares what it
left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Document = dict[str, Any]
Path = tuple[str, ...]


class PatchError(Exception):
    """The patch does not fit the document."""


def merge(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, wanted in patch.items():
        if wanted is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), wanted)
    return result


def json_patch(document: Any, operations: Sequence[Mapping[str, Any]]) -> Any:
    """RFC 6902, all of it. Raises PatchError where a path is missing or a test fails."""
    for each in operations:
        path = _pointer(each["path"])
        match each["op"]:
            case "add":
                document = _set(document, path, each["value"], adding=True)
            case "replace":
                look_up(document, path)
                document = _set(document, path, each["value"], adding=False)
            case "remove":
                document = remove(document, path)
            case "test":
                if look_up(document, path) != each["value"]:
                    raise PatchError(f"testing value {each['path']} failed")
            case "copy":
                document = _set(document, path, look_up(document, _pointer(each["from"])), adding=True)
            case "move":
                source = _pointer(each["from"])
                moved = look_up(document, source)
                document = _set(remove(document, source), path, moved, adding=True)
            case other:
                raise PatchError(f"no operation {other!r}")
    return document


def look_up(document: Any, path: Path) -> Any:
    """What stands at `path`. Raises PatchError where nothing does."""
    for step in path:
        if isinstance(document, dict) and step in document:
            document = document[step]
        elif isinstance(document, list) and step.isdigit() and int(step) < len(document):
            document = document[int(step)]
        else:
            raise PatchError(f"no {'/'.join(path)}")
    return document


def remove(document: Any, path: Path) -> Any:
    """The document without what stands at `path`. Raises PatchError where nothing does."""
    look_up(document, path)
    *above, last = path
    parent = look_up(document, tuple(above))
    if isinstance(parent, list):
        changed: Any = parent[: int(last)] + parent[int(last) + 1 :]
    else:
        changed = {key: each for key, each in parent.items() if key != last}
    return put(document, tuple(above), changed)


def put(document: Any, path: Path, value: Any) -> Any:
    """The document with `value` at `path`; maps that are missing on the way are made."""
    if not path:
        return value
    head, *rest = path
    if isinstance(document, list):
        index = int(head)
        return [*document[:index], put(document[index], tuple(rest), value), *document[index + 1 :]]
    base = document if isinstance(document, dict) else {}
    return {**base, head: put(base.get(head), tuple(rest), value)}


def _set(document: Any, path: Path, value: Any, *, adding: bool) -> Any:
    if not path:
        return value
    *above, last = path
    parent = look_up(document, tuple(above))
    if isinstance(parent, list):
        index = len(parent) if last == "-" else int(last)
        if index > len(parent):
            raise PatchError(f"no place {last}")
        return put(document, tuple(above), [*parent[:index], value, *parent[index + (not adding) :]])
    if not isinstance(parent, dict):
        raise PatchError(f"no map at {'/'.join(above)}")
    return put(document, tuple(above), {**parent, last: value})


def _pointer(text: str) -> Path:
    if text and not text.startswith("/"):
        raise PatchError(f"{text!r} is no JSON pointer")
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:])


# --- selectors ---------------------------------------------------------------------------------------------

Labels = Mapping[str, str]

_SETS = re.compile(r"(?P<key>\S+)\s+(?P<op>in|notin)\s+\((?P<values>[^)]*)\)")
_COMMA = re.compile(r",(?![^(]*\))")


def label_selector(text: str) -> Callable[[Labels], bool]:
    """The test that `text` (kubectl's form) describes. Raises ValueError for what it does not understand."""
    terms = [_label_term(term.strip()) for term in _COMMA.split(text) if term.strip()]
    return lambda labels: all(term(labels) for term in terms)


def _label_term(term: str) -> Callable[[Labels], bool]:
    if found := _SETS.fullmatch(term):
        key, values = found["key"], {each.strip() for each in found["values"].split(",")}
        if found["op"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    for sign in ("!=", "==", "="):
        if sign in term:
            key, _, value = (part.strip() for part in term.partition(sign))
            if sign == "!=":
                return lambda labels: labels.get(key) != value
            return lambda labels: labels.get(key) == value
    if " " in term:
        raise ValueError(f"cannot read the selector {term!r}")
    if term.startswith("!"):
        return lambda labels: term[1:] not in labels
    return lambda labels: term in labels


def field_selector(text: str, allowed: Sequence[str]) -> Callable[[Document], bool]:
    """The same for fields; ValueError for a field that the kind does not select by."""
    terms: list[tuple[Path, bool, str]] = []
    for term in filter(None, text.split(",")):
        sign = "!=" if "!=" in term else "==" if "==" in term else "="
        field, _, wanted = term.partition(sign)
        if field not in allowed:
            raise ValueError(f"field label not supported: {field}")
        terms.append((tuple(field.split(".")), sign != "!=", wanted))

    def holds(document: Document) -> bool:
        return all((_text(document, path) == wanted) is equal for path, equal, wanted in terms)

    return holds


def _text(document: Document, path: Path) -> str:
    try:
        return str(look_up(document, path))
    except PatchError:
        return ""
