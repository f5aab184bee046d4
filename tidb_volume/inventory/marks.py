"""Where something stands in the inventory's text, and the text as a tree that remembers it.

Every error names file, line and column, so a value is never parted from its mark until it has been checked.
The tree has strings, lists and mappings and nothing else: what YAML 1.1 would make of `no`, `0777` or
`12:30:45` never happens, since no scalar is given a type before somebody asks for one.
"""

from __future__ import annotations

from tidb_volume.value import Value


class Mark(Value):
    """A place in an inventory: ConfigMap, file (its key), line and column, both counted from 1."""

    config_map: str = ""
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = f"{self.config_map}/{self.file}" if self.config_map and self.file else self.file
        place = place or self.config_map
        return f"{place}:{self.line}:{self.column}" if self.line else place


class Scalar(Value):
    """A string as written. `plain` is False where it was quoted or a block."""

    text: str
    plain: bool
    mark: Mark


class Items(Value):
    """A list."""

    items: tuple[Tree, ...]
    mark: Mark


class Pairs(Value):
    """A mapping in the order of the text; no key is there twice."""

    pairs: tuple[tuple[Scalar, Tree], ...]
    mark: Mark


class Hole(Value):
    """A value that was refused while reading; what it might have meant is nobody's business any more."""

    mark: Mark


Tree = Scalar | Items | Pairs | Hole


def is_empty(tree: Tree) -> bool:
    """Whether nothing is written after a colon: `nodes:` and no more."""
    return isinstance(tree, Scalar) and tree.plain and tree.text == ""


def kind(tree: Tree) -> str:
    """What a value is, for people."""
    if is_empty(tree):
        return "nothing"
    return {Scalar: "a string", Items: "a list", Pairs: "a mapping", Hole: "unreadable"}[type(tree)]
