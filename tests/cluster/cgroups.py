"""A control group for each node, in every hierarchy of the machine (version 1) or in the one (version 2)."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path

from .system import until

_TOP = Path("/sys/fs/cgroup")


def make(name: str) -> None:
    """Makes the group, such as "/cluster/node-1", with all that its parent may give."""
    for top in _hierarchies():
        group = top
        for part in Path(name.strip("/")).parts:
            if (group / "cgroup.subtree_control").exists():
                _delegate(group)
            group = group / part
            group.mkdir(exist_ok=True)
            # An empty cpuset (version 1) takes no process.
            for knob in ("cpuset.cpus", "cpuset.mems"):
                file = group / knob
                if top.name.startswith("cpuset") and file.exists() and not file.read_text().strip():
                    file.write_text((group.parent / knob).read_text())


def remove(name: str) -> None:
    """Removes the group and all below it, once the processes in it are gone."""
    for top in _hierarchies():
        group = top / name.strip("/")
        until(f"{group} to be empty", partial(_remove_tree, group), timeout=20)


def thaw(name: str) -> None:
    """Lets go whatever stands still in the group and below it."""
    for top in _hierarchies():
        group = top / name.strip("/")
        for knob, word in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
            for file in group.rglob(knob):
                with contextlib.suppress(OSError):
                    file.write_text(word)


def exists(name: str) -> bool:
    """Whether any hierarchy has the group."""
    return any((top / name.strip("/")).exists() for top in _hierarchies())


def _hierarchies() -> list[Path]:
    if (_TOP / "cgroup.controllers").exists():
        return [_TOP]
    return [path for path in _TOP.iterdir() if path.is_dir() and not path.is_symlink()]


def _delegate(group: Path) -> None:
    for controller in (group / "cgroup.controllers").read_text().split():
        with contextlib.suppress(OSError):
            (group / "cgroup.subtree_control").write_text(f"+{controller}")


def _remove_tree(group: Path) -> bool:
    if not group.exists():
        return True
    for path in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
        path.rmdir()
    group.rmdir()
    return True
