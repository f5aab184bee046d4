"""From files as people keep them to inventories, and from a place in an inventory back to the file's line.

A file is a bare inventory, or manifests: any number of documents, ConfigMaps or Lists of them, among others.
In a manifest the inventory is a string inside YAML, mostly a block scalar; whoever reads `tikv.yaml:17:15`
must find that in the file they edit, so for each value a table from its own lines to the file's is kept.
libyaml's parser does not recurse, and a document too deep is left alone, so that no file can hurt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import yaml

from tidb_volume import names
from tidb_volume.inventory import check
from tidb_volume.inventory.marks import Mark

DEEPEST = 64
BARE = ""
"""The name under which bare files are judged: together, as the keys of one ConfigMap."""

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Place(msgspec.Struct, frozen=True):
    """A place in a file, counted from 1."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


class Text(msgspec.Struct, frozen=True):
    """One inventory file's text, and where it stands in a file of the person's."""

    config_map: str
    file: str
    text: str
    path: str
    origin: Place | None = None
    """Where the value begins, if it stands in a manifest."""
    lines: tuple[tuple[int, int], ...] = ()
    """For each of its lines: the file's line, and the columns that stand before it. None: all at `origin`."""
    binary: bool = False
    """It stands in `binaryData`, where nobody reads it."""
    manifest: Place | None = None
    """Where its ConfigMap begins; None: the file is bare."""

    def place(self, mark: Mark) -> Place:
        """The file's own place for one in the inventory."""
        if self.origin is None:
            return Place(self.path, max(1, mark.line), max(1, mark.column))
        if not mark.line or not self.lines:
            return self.origin
        line, before = self.lines[min(mark.line, len(self.lines)) - 1]
        return Place(self.path, line, mark.column + before)


class Found(msgspec.Struct, frozen=True):
    """What one file holds."""

    texts: tuple[Text, ...] = ()
    notes: tuple[str, ...] = ()
    """What was passed over, for people."""


class Broken(Exception):  # noqa: N818 - says what happened
    """A manifest that is no YAML: where, and what is wrong."""

    def __init__(self, place: Place, words: str) -> None:
        super().__init__(words)
        self.place = place
        self.words = words


class _Node(msgspec.Struct):
    """A value of a document: a scalar, or what is inside."""

    start: Any
    end: Any
    text: str = ""
    style: str = ""
    pairs: dict[str, _Node] | None = None
    items: list[_Node] | None = None
    hole: bool = False


def read(path: str, text: str, namespace: str = "tidb-volume") -> Found:
    """The inventories in one file. Raises Broken for a manifest that cannot be read.

    namespace: the controller's, in which a ConfigMap without one is taken to be.
    """
    try:
        documents = list(_documents(path, text))
    except Broken:
        if not re.search(r"^(kind|apiVersion):", text, re.M):
            # an inventory's own reader says what is wrong with it
            return Found((Text(BARE, path, text, path),))
        raise
    if not any(_is_manifest(document) for document in documents):
        return Found((Text(BARE, path, text, path),))
    texts: list[Text] = []
    notes: list[str] = []
    for document in documents:
        for manifest in _manifests(document):
            _one(manifest, path, text, namespace, texts, notes)
    return Found(tuple(texts), tuple(notes))


def _is_manifest(node: _Node) -> bool:
    return node.pairs is not None and "kind" in node.pairs and "apiVersion" in node.pairs


def _manifests(node: _Node) -> Iterator[_Node]:
    if not _is_manifest(node) or node.pairs is None:
        return
    if node.pairs["kind"].text.endswith("List") and "items" in node.pairs:
        for item in node.pairs["items"].items or ():
            yield from _manifests(item)
    else:
        yield node


def _one(manifest: _Node, path: str, text: str, namespace: str, texts: list[Text], notes: list[str]) -> None:
    kind, name = _text(manifest, "kind"), _text(manifest, "metadata", "name")
    if kind != "ConfigMap":
        return
    data, binary = (_pairs(manifest, key) for key in ("data", "binaryData"))
    files, unread = check.files_among(data), check.files_among(binary)
    begin = _begin(path, manifest)
    line = begin.line
    if _text(manifest, "metadata", "labels", names.LABEL_INVENTORY) != "true":
        if files or unread:
            label = f'{names.LABEL_INVENTORY}: "true"'
            notes.append(
                f"{path}:{line}: ConfigMap {name} has no label {label}: it is no inventory, not checked"
            )
        return
    own = _text(manifest, "metadata", "namespace")
    if own not in ("", namespace):
        notes.append(
            f"{path}:{line}: ConfigMap {name} is in the namespace {own}, and the controller in {namespace}"
            " (or say --controller-namespace): it is no inventory, not checked"
        )
        return
    if not files and not unread:
        notes.append(f"{path}:{line}: ConfigMap {name} has no key that ends in .yaml")
        return
    for file in files:
        value = data[file]
        lines = _lines(value, text)
        texts.append(Text(name, file, value.text, path, _begin(path, value), lines, manifest=begin))
    for file in unread:
        texts.append(Text(name, file, "", path, _begin(path, binary[file]), binary=True, manifest=begin))


def _begin(path: str, value: _Node) -> Place:
    return Place(path, value.start.line + 1, value.start.column + 1)


def _pairs(node: _Node, key: str) -> dict[str, _Node]:
    found = _inside(node, key)
    return (found.pairs or {}) if found is not None else {}


def _inside(node: _Node, *keys: str) -> _Node | None:
    for key in keys:
        if node.pairs is None or key not in node.pairs:
            return None
        node = node.pairs[key]
    return node


def _text(node: _Node, *keys: str) -> str:
    found = _inside(node, *keys)
    return found.text if found is not None else ""


# --- lines ----------------------------------------------------------------------------------------------


def _lines(value: _Node, text: str) -> tuple[tuple[int, int], ...]:
    """Where each line of a value stands in the file; empty where that cannot be said line by line."""
    raw = _BREAK.split(text)
    own = _BREAK.split(value.text)
    first = value.start.line
    if value.style == "|":
        indent = 0
        for number, line in enumerate(own):
            if line.strip(" ") and first + 1 + number < len(raw):
                there = raw[first + 1 + number]
                indent = (len(there) - len(there.lstrip(" "))) - (len(line) - len(line.lstrip(" ")))
                break
        return tuple((first + 2 + number, indent) for number in range(len(own)))
    if value.style == '"' and value.end.line == first:
        return _quoted(raw[first], value.start.column, first + 1)
    if value.end.line == first:
        return ((first + 1, value.start.column + (1 if value.style else 0)),)
    return ()


def _quoted(raw: str, start: int, line: int) -> tuple[tuple[int, int], ...]:
    """The lines of a value in double quotes on one line, as in JSON: each begins after an escaped break.

    A column counts from there; other escapes before it in the same line shift it by what they are longer.
    """
    found = [(line, start + 1)]
    at = start + 1
    while at < len(raw) and raw[at] != '"':
        if raw[at] != "\\":
            at += 1
            continue
        size = {"x": 4, "u": 6, "U": 10}.get(raw[at + 1 : at + 2], 2)
        if raw[at + 1 : at + 2] in ("n", "N", "L", "P"):
            found.append((line, at + size))
        at += size
    return tuple(found)


# --- documents --------------------------------------------------------------------------------------------


def _documents(path: str, text: str) -> Iterator[_Node]:
    """Each document as a tree. Raises Broken."""
    stack: list[_Node] = []
    keys: list[str | None] = []
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.CollectionEndEvent):
                done = stack.pop()
                keys.pop()
                done.end = event.end_mark
                if not stack:
                    yield done
                continue
            if not isinstance(event, yaml.NodeEvent):
                continue
            node = _node(event)
            if len(stack) >= DEEPEST:
                start: Any = event.start_mark
                raise Broken(Place(path, start.line + 1, start.column + 1), "nested too deep")
            _put(stack, keys, node)
            if isinstance(event, yaml.CollectionStartEvent):
                stack.append(node)
                keys.append(None)
            elif not stack:
                yield node
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        words = ", ".join(part for part in (error.context, error.problem) if part)
        raise Broken(Place(path, line, column), words) from error
    except yaml.YAMLError as error:
        raise Broken(Place(path, 1, 1), " ".join(str(error).split())) from error


def _node(event: Any) -> _Node:
    node = _Node(start=event.start_mark, end=event.end_mark)
    if isinstance(event, yaml.ScalarEvent):
        node.text, node.style = event.value, event.style or ""
    elif isinstance(event, yaml.MappingStartEvent):
        node.pairs = {}
    elif isinstance(event, yaml.SequenceStartEvent):
        node.items = []
    else:
        node.hole = True  # an alias: what it stands for is not followed
    return node


def _put(stack: list[_Node], keys: list[str | None], node: _Node) -> None:
    """A value into what is open: an item, a key, or a key's value; of two equal keys the last one counts."""
    if not stack:
        return
    parent = stack[-1]
    if parent.items is not None:
        parent.items.append(node)
    elif parent.pairs is not None:
        waiting = keys[-1]
        if waiting is None:
            keys[-1] = node.text
        else:
            parent.pairs[waiting] = node
            keys[-1] = None
