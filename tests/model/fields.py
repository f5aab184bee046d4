"""Who owns which field: server-side apply, in the form that our own documents need.

A field is a path to a leaf. Lists, and maps that a schema calls atomic, are leaves as a whole. An apply owns
what it names and drops what it named before; any other write takes over what it changes. Not modelled: lists
that merge by a key or as a set, and managedFields as text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tests.model import documents
from tests.model.documents import Document, Path

_OWNED_METADATA = ("labels", "annotations", "finalizers")


class Manager(NamedTuple):
    """One entry of managedFields."""

    name: str
    operation: str
    subresource: str


Owners = Mapping[Manager, frozenset[Path]]
Atomic = Callable[[Path], bool]


class ApplyConflictError(Exception):
    """Another manager owns a field that the apply would change."""

    def __init__(self, fields: Mapping[Path, Manager]) -> None:
        super().__init__(", ".join(".".join(path) for path in fields))
        self.fields = fields


def leaves(document: Document, atomic: Atomic) -> dict[Path, Any]:
    """Every owned field of a document and what stands there."""
    found: dict[Path, Any] = {}
    for name, below in document.items():
        if name == "metadata":
            for part in _OWNED_METADATA:
                if part in below:
                    _walk((name, part), below[part], atomic, found)
        elif name not in ("apiVersion", "kind"):
            _walk((name,), below, atomic, found)
    return found


def _walk(path: Path, value: Any, atomic: Atomic, found: dict[Path, Any]) -> None:
    if isinstance(value, dict) and value and not atomic(path):
        for name, below in value.items():
            _walk((*path, name), below, atomic, found)
    else:
        found[path] = value


def apply(
    old: Document, owners: Owners, manager: Manager, applied: Document, atomic: Atomic, *, force: bool
) -> tuple[Document, Owners]:
    """The document and its owners after an apply. Raises ApplyConflictError unless `force`."""
    wanted, current = leaves(applied, atomic), leaves(old, atomic)
    others = {each: fields for each, fields in owners.items() if each != manager}
    changed = {path for path, value in wanted.items() if path not in current or current[path] != value}
    contested = {
        path: other for other, fields in others.items() for path in changed if _touches(path, fields)
    }
    if contested and not force:
        raise ApplyConflictError(contested)
    document = old
    dropped = owners.get(manager, frozenset()) - wanted.keys()
    for path in sorted(dropped):
        if path in current and not any(path in fields for fields in others.values()):
            document = _without(document, path)
    for path, value in wanted.items():
        document = documents.put(document, path, value)
    after: dict[Manager, frozenset[Path]] = {
        other: frozenset(path for path in fields if path not in contested) for other, fields in others.items()
    }
    after[manager] = frozenset(wanted)
    return document, {each: fields for each, fields in after.items() if fields}


def update(old: Document, new: Document, owners: Owners, manager: Manager, atomic: Atomic) -> Owners:
    """The owners after a write that was no apply."""
    before, after = leaves(old, atomic), leaves(new, atomic)
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    touched = changed | (before.keys() - after.keys())
    left = {each: fields - touched for each, fields in owners.items()}
    left[manager] = left.get(manager, frozenset()) | changed
    return {each: fields for each, fields in left.items() if fields}


def _touches(path: Path, fields: frozenset[Path]) -> bool:
    return any(path[: len(other)] == other or other[: len(path)] == path for other in fields)


def _without(document: Document, path: Path) -> Document:
    """Remove a field, and the maps that it leaves empty."""
    changed: Document = documents.remove(document, path)
    above = path[:-1]
    while above and documents.look_up(changed, above) == {}:
        changed = documents.remove(changed, above)
        above = above[:-1]
    return changed
