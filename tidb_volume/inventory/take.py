"""Asking a tree for a string, a list or a mapping; what is something else is noted and left out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from tidb_volume.inventory import codes
from tidb_volume.inventory.codes import Problem
from tidb_volume.inventory.marks import Hole, Items, Pairs, Scalar, Tree, is_empty, kind


def text(tree: Tree, what: str, example: str, problems: list[Problem]) -> str | None:
    """A string that is not empty."""
    if isinstance(tree, Scalar) and tree.text:
        return tree.text
    if isinstance(tree, Scalar):
        problems.append(codes.EMPTY.at(tree.mark, what=what))
    else:
        _wrong(tree, what, "a string", example, problems)
    return None


def items(tree: Tree, what: str, example: str, problems: list[Problem]) -> tuple[Tree, ...]:
    """A list's items; none where nothing is written."""
    if isinstance(tree, Items):
        return tree.items
    if not is_empty(tree):
        _wrong(tree, what, "a list", example, problems)
    return ()


def texts(tree: Tree, what: str, example: str, problems: list[Problem]) -> tuple[Scalar, ...]:
    """A list of strings."""
    found = []
    for item in items(tree, what, example, problems):
        if text(item, what, example, problems) is not None and isinstance(item, Scalar):
            found.append(item)
    return tuple(found)


def pairs(tree: Tree, what: str, example: str, problems: list[Problem]) -> tuple[tuple[Scalar, Tree], ...]:
    """A mapping's pairs; none where nothing is written."""
    if isinstance(tree, Pairs):
        return tree.pairs
    if not is_empty(tree):
        _wrong(tree, what, "a mapping", example, problems)
    return ()


def known(
    tree: Tree, what: str, keys: Iterable[str], example: str, problems: list[Problem]
) -> dict[str, tuple[Scalar, Tree]]:
    """A mapping whose keys are all known; the others are noted, with the key that was probably meant."""
    allowed = tuple(keys)
    found: dict[str, tuple[Scalar, Tree]] = {}
    for key, value in pairs(tree, what, example, problems):
        if key.text in allowed:
            found[key.text] = (key, value)
        else:
            problems.append(
                codes.UNKNOWN_KEY.at(key.mark, what=what, key=key.text or "''", hint=_hint(key.text, allowed))
            )
    return found


def _hint(key: str, allowed: tuple[str, ...]) -> str:
    lowered = {name.lower(): name for name in allowed}
    close = difflib.get_close_matches(key[:40].lower(), lowered, n=1)
    return f"write {lowered[close[0]]}" if close else f"use one of: {', '.join(allowed)}"


def _wrong(tree: Tree, what: str, wanted: str, example: str, problems: list[Problem]) -> None:
    if not isinstance(tree, Hole):
        problems.append(
            codes.WRONG_TYPE.at(tree.mark, what=what, wanted=wanted, got=kind(tree), example=example)
        )
