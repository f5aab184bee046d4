"""A file's text to a tree with marks; every error of the text is collected.

We take the events of libyaml's parser and build the tree ourselves, instead of loading or composing: events
come one by one from a parser that does not recurse, so an anchor is refused where it stands and a document
that is too deep or has too many values is left before it costs anything; and no scalar gets a type. A syntax
error ends the file, everything else is noted and reading goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from tidb_volume.inventory import codes
from tidb_volume.inventory.codes import Notes
from tidb_volume.inventory.marks import Hole, Items, Mark, Pairs, Scalar, Tree

DEEPEST = 16
MOST_VALUES = 200_000
"""A ConfigMap full of the shortest paths there are has 150,000."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(text: str | bytes, config_map: str, file: str) -> tuple[Tree | None, Notes]:
    """The one document in `text`; None where it is empty, all comments, or cut short by an error.

    `config_map` and `file` only go into the marks. Raises nothing, whatever the text is.
    """
    return _Reading(config_map, file).read(text)


class _Open:
    """A list or mapping whose end has not come yet."""

    def __init__(self, mark: Mark, is_mapping: bool) -> None:
        self.mark = mark
        self.is_mapping = is_mapping
        self.children: list[Tree] = []


class _Stop(Exception):  # noqa: N818 - no error, it ends the reading early
    """The rest of this file is not looked at."""


class _Reading:
    def __init__(self, config_map: str, file: str) -> None:
        self.config_map = config_map
        self.file = file
        self.problems = Notes()
        self.documents = 0
        self.values = 0

    def read(self, text: str | bytes) -> tuple[Tree | None, Notes]:
        top: list[Tree] = []
        try:
            for tree in self._documents(_decoded(text)):
                top.append(tree)
        except (_Stop, codes.EnoughError):
            return None, self.problems
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode()
            problem = f"the byte 0x{error.object[error.start]:02X} is not UTF-8"
            self.problems.append(codes.NOT_TEXT.at(self._behind(before), problem=problem))
            return None, self.problems
        except UnicodeEncodeError as error:
            problem = f"{error.reason} (U+{ord(error.object[error.start]):04X})"
            mark = self._behind(error.object[: error.start])
            self.problems.append(codes.NOT_TEXT.at(mark, problem=problem))
            return None, self.problems
        except yaml.reader.ReaderError as error:
            # The position is in bytes or in characters, as the parser likes. A character that is refused
            # is refused wherever it stands, so it is the first.
            char = chr(error.character) if isinstance(error.character, int) else error.character
            mark = self._behind(_decoded(text).partition(char)[0])
            problem = f"{error.reason} (U+{ord(char):04X})"
            self.problems.append(codes.NOT_TEXT.at(mark, problem=problem))
            return None, self.problems
        except yaml.MarkedYAMLError as error:
            mark = self._mark(error.problem_mark or error.context_mark)
            if _is_indented_by_tab(_decoded(text), mark):
                self.problems.append(codes.TAB.at(mark))
                return None, self.problems
            words = ", ".join(part for part in (error.context, error.problem) if part)
            self.problems.append(codes.SYNTAX.at(mark, problem=words))
            return None, self.problems
        except yaml.YAMLError as error:
            self.problems.append(codes.SYNTAX.at(self._mark(None), problem=str(error)))
            return None, self.problems
        return (top[0] if top else None), self.problems

    def _mark(self, mark: Any) -> Mark:
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        return Mark(config_map=self.config_map, file=self.file, line=line, column=column)

    def _behind(self, text: str) -> Mark:
        """The place of the character that comes after this text."""
        line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
        return Mark(config_map=self.config_map, file=self.file, line=line, column=column)

    def _documents(self, text: str) -> Iterator[Tree]:
        opened: list[_Open] = []
        for event in yaml.parse(text, Loader=_LOADER):
            tree: Tree
            if isinstance(event, yaml.ScalarEvent):
                mark = self._value(event, opened)
                tree = Scalar(text=event.value, plain=not event.style, mark=mark)
                if tree.plain and tree.text == "<<":
                    self._refuse("a merge key (<<)", mark)
                    tree = Hole(mark=mark)
            elif isinstance(event, yaml.CollectionStartEvent):
                is_mapping = isinstance(event, yaml.MappingStartEvent)
                opened.append(_Open(self._value(event, opened), is_mapping))
                continue
            elif isinstance(event, yaml.CollectionEndEvent):
                tree = self._closed(opened.pop())
            elif isinstance(event, yaml.AliasEvent):
                tree = Hole(mark=self._value(event, opened))
                self._refuse("an alias (*)", tree.mark)
            else:
                self._document(event)
                continue
            if opened:
                opened[-1].children.append(tree)
            elif not (isinstance(tree, Scalar) and tree.plain and not tree.text):
                yield tree

    def _value(self, event: Any, opened: list[_Open]) -> Mark:
        mark = self._mark(event.start_mark)
        self.values += 1
        if self.values > MOST_VALUES:
            self.problems.append(
                codes.TOO_LARGE.at(mark, size="too many values", limit=f"{MOST_VALUES} values in a file")
            )
            raise _Stop
        if len(opened) >= DEEPEST:
            self.problems.append(codes.TOO_DEEP.at(mark, limit=str(DEEPEST)))
            raise _Stop
        if isinstance(event, yaml.AliasEvent):
            return mark
        if event.anchor is not None:
            self._refuse("an anchor (&)", mark)
        if event.tag is not None:
            self._refuse("a tag (!)", mark)
        return mark

    def _document(self, event: Any) -> None:
        if not isinstance(event, yaml.DocumentStartEvent):
            return
        mark = self._mark(event.start_mark)
        self.documents += 1
        if event.version or event.tags:
            self._refuse("a directive (%)", mark)
        if self.documents > 1:
            self.problems.append(codes.TWO_DOCUMENTS.at(mark))
            raise _Stop

    def _refuse(self, what: str, mark: Mark) -> None:
        self.problems.append(codes.YAML_TRICK.at(mark, what=what))

    def _closed(self, opened: _Open) -> Tree:
        if not opened.is_mapping:
            return Items(items=tuple(opened.children), mark=opened.mark)
        first: dict[str, Mark] = {}
        pairs: list[tuple[Scalar, Tree]] = []
        children = iter(opened.children)
        for key, value in zip(children, children, strict=True):
            if isinstance(key, Scalar) and key.text in first:
                line = str(first[key.text].line)
                self.problems.append(codes.DUPLICATE_KEY.at(key.mark, key=key.text, line=line))
            elif isinstance(key, Scalar):
                first[key.text] = key.mark
                pairs.append((key, value))
            elif not isinstance(key, Hole):
                self.problems.append(
                    codes.WRONG_TYPE.at(
                        key.mark, what="a key", wanted="a string", got="a list or mapping", example="nodes:"
                    )
                )
        return Pairs(pairs=tuple(pairs), mark=opened.mark)


def _decoded(text: str | bytes) -> str:
    if isinstance(text, bytes):
        return text.decode("utf-8")
    text.encode("utf-8")
    return text


def _is_indented_by_tab(text: str, mark: Mark) -> bool:
    """Whether the place is a tab, and nothing but tabs and spaces stands before it in its line."""
    line = text.split("\n")[mark.line - 1 :][:1]
    upto = line[0][: mark.column] if line else ""
    return upto.endswith("\t") and not upto.strip(" \t")
