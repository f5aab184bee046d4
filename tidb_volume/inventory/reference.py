"""The tables of docs/inventory.md, printed from the code that obeys them.

The document marks each with `<!-- table: NAME -->` and `<!-- end -->`; `filled` puts in what the code says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from tidb_volume import mount_options
from tidb_volume.inventory import braces, check, codes, diff, places, policy, read, settings
from tidb_volume.inventory.model import Kind

_BLOCK = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(document: str, tables: Mapping[str, Callable[[], str]] | None = None) -> str:
    """The document with every table as the code has it; tables: by name, else those of docs/inventory.md.

    Raises KeyError for a table that nobody prints.
    """
    known = _TABLES if tables is None else tables
    return _BLOCK.sub(lambda match: f"{match[1]}\n{known[match[2]]()}\n\n{match[3]}", document)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    lines = [tuple(head)]
    lines += [tuple(row) for row in rows]
    lines.insert(1, ("---",) * len(lines[0]))
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


class _Named(dict[str, str]):
    """Fields of a template, shown by their names."""

    def __missing__(self, name: str) -> str:
        return f"*{name.replace('_', ' ')}*"


def _codes() -> str:
    rows = []
    for code in codes.CODES.values():
        way_out = code.way_out.format_map(_Named())
        told = "said with the message" if way_out == "*hint*" else way_out
        rows.append((code.id, code.severity.value, code.what.format_map(_Named()), told))
    return table(("code", "severity", "what is wrong", "the way out"), rows)


def _settings() -> str:
    rows = ((f"`{row.key}`", row.values, row.default, row.holds_for) for row in settings.SETTINGS)
    return table(("setting", "values", "default", "for"), rows)


def _not_yet() -> str:
    rows = ((f"`{row.key}`", row.values, row.way_out) for row in settings.NOT_YET)
    return table(("setting", "refused", "instead"), rows)


def _methods() -> str:
    rows = (
        (kind.value, _auto(kind), ", ".join(f"`{method}`" for method in methods))
        for kind, methods in policy.FITTING.items()
    )
    return table(("disk", "`auto` is", "methods that fit, weakest first"), rows)


def _auto(kind: Kind) -> str:
    first, *else_ = (f"`{method}`" for method in policy.AUTO[kind])
    return "; ".join((first, *(f"{each} where somebody else holds a mount of the disk" for each in else_)))


def _edits() -> str:
    rows = ((edit.value, *(effect.value for effect in effects)) for edit, effects in diff.TABLE.items())
    return table(("edit", *(column.value for column in diff.Standing)), rows)


def _folders() -> str:
    return (
        "Itself, anything below it, and anything that holds it: "
        + ", ".join(f"`{folder}`" for folder in places.SYSTEM_FOLDERS)
        + ".\nOnly itself: "
        + ", ".join(f"`{folder}`" for folder in places.SHARED_FOLDERS)
        + "."
    )


def _flags() -> str:
    return ", ".join(f"`{flag}`" for flag in settings.PER_MOUNT) + "."


def _mount_options() -> str:
    rows = [("any", ", ".join(f"`{name}`" for name in (*mount_options.PER_MOUNT, *mount_options.ANY)))]
    for fs_type, options in mount_options.OF.items():
        told = (
            name if not values else f"{name}={_VALUES.get(values, values)}"
            for name, values in options.items()
        )
        rows.append((fs_type, ", ".join(f"`{each}`" for each in told)))
    return table(("file system", "options"), rows)


_VALUES = {mount_options.NUMBER: "N", mount_options.SIZE: "N[k|m|g]"}


def _limits() -> str:
    rows = (
        ("all files of a ConfigMap together", f"{check.LIMIT_BYTES:,} bytes"),
        ("disks in the `nodes` of a ConfigMap", f"{check.LIMIT_DISKS:,}"),
        ("disks in the `groups` of a ConfigMap, each counted once", f"{check.LIMIT_GROUP_DISKS:,}"),
        ("disks that one range names", str(braces.MOST)),
        ("`never` globs of a ConfigMap", f"{check.LIMIT_GLOBS}, of {check.LIMIT_GLOB} bytes each"),
        ("a path or device name", f"{places.LONGEST_PATH} bytes"),
        ("messages told of a ConfigMap", f"{codes.MOST_PROBLEMS:,}"),
        ("values in a file", f"{read.MOST_VALUES:,}"),
        ("lists and mappings inside each other", str(read.DEEPEST)),
    )
    return table(("what", "at most"), rows)


_TABLES: dict[str, Callable[[], str]] = {
    "codes": _codes,
    "settings": _settings,
    "not-yet": _not_yet,
    "methods": _methods,
    "edits": _edits,
    "folders": _folders,
    "flags": _flags,
    "mount-options": _mount_options,
    "limits": _limits,
}
