"""The picture of a disk's life, computed from the table: change what is so, one thing at a time, and look
which row holds then.

`python -m tidb_volume.life.diagram docs/design.md` writes it between the marks in that file. Nothing here is
known to the planner; what is drawn and what is done cannot differ, since both ask `phases.phase`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import msgspec

from tidb_volume.life.look import PvState, Seen
from tidb_volume.life.phases import phase
from tidb_volume.value import Phase, Value

BEGIN, END = "<!-- life-cycle:begin -->", "<!-- life-cycle:end -->"


class So(Value):
    """What is so, as far as a row looks at it."""

    pv: PvState = "none"
    let_go: bool = False
    """Somebody's data is on the disk, and no PersistentVolume says whose."""
    committed: bool = False
    outcome: str = ""
    """What became of the order: done, failed, refused, barred; empty: nothing yet."""
    trouble: str = ""


class Change(NamedTuple):
    """One thing that changes: in which states it can, what is so afterwards, and its words."""

    words: str
    before: dict[str, tuple[object, ...]]
    after: dict[str, object]


CHANGES: tuple[Change, ...] = (
    Change(
        "made ready, and offered", {"pv": ("none",), "let_go": (False,), "trouble": ("",)}, {"pv": "offered"}
    ),
    Change(
        "absent, cordoned, edited",
        {"pv": ("offered",), "let_go": (False,)},
        {"pv": "none", "trouble": "NotMounted"},
    ),
    Change("seen again", {"trouble": ("NotMounted",)}, {"trouble": ""}),
    Change("a claim binds", {"pv": ("offered", "reserved")}, {"pv": "claimed"}),
    Change("the claim is gone", {"pv": ("claimed",)}, {"pv": "released"}),
    Change("given to a claim", {"pv": ("released",)}, {"pv": "reserved"}),
    Change("its volume goes", {"pv": ("released",)}, {"pv": "none", "let_go": True}),
    Change(
        "its volume is deleted by hand",
        {"pv": ("offered",), "let_go": (False,)},
        {"pv": "none", "let_go": True},
    ),
    Change("the wipe is committed", {"pv": ("none",), "let_go": (True,)}, {"committed": True}),
    Change("the wipe fails", {"committed": (True,), "outcome": ("",)}, {"outcome": "failed"}),
    Change("tried again", {"committed": (True,), "outcome": ("failed", "barred")}, {"outcome": ""}),
    Change("the data is not what was meant", {"committed": (True,), "outcome": ("",)}, {"committed": False}),
    Change(
        "taken back, untouched",
        {"committed": (True,), "outcome": ("",)},
        {"committed": False, "pv": "reserved"},
    ),
    Change("wiped", {"committed": (True,), "outcome": ("",)}, {"outcome": "done"}),
    Change(
        "offered anew",
        {"committed": (True,), "outcome": ("done",)},
        {"committed": False, "outcome": "", "let_go": False, "pv": "offered"},
    ),
    Change(
        "wiped, not to be offered",
        {"committed": (True,), "outcome": ("done",)},
        {"committed": False, "outcome": "", "let_go": False, "trouble": "Cordoned"},
    ),
    Change("uncordoned", {"trouble": ("Cordoned",)}, {"trouble": ""}),
)


def seen(so: So) -> Seen:
    """The facts that a row looks at, for what is so."""
    let_go = so.let_go and so.outcome != "done"
    return Seen(
        pv=None,
        pv_state=so.pv,
        at_root=False,
        claimed=so.pv == "claimed",
        was_claimed=so.pv in ("released", "reserved") or (so.pv != "claimed" and let_go),
        order=None,
        mine=False,
        committed=so.committed,
        done=so.outcome == "done",
        failed=so.outcome == "failed",
        refused=so.outcome in ("refused", "barred"),
        undecided=False,
        barred=so.outcome == "barred",
        ready=so.outcome == "done",
        misshapen=False,
        work=None,
        disk=None,
        trouble=so.trouble,
        trouble_note="",
        disk_known=False,
    )


def edges() -> list[tuple[Phase, Phase, str]]:
    """Each change of phase that some change of what is so brings, from a blank disk on."""
    found: dict[tuple[Phase, Phase], list[str]] = {}
    todo, known = [So()], {So()}
    while todo:
        so = todo.pop(0)
        for change in CHANGES:
            if any(getattr(so, name) not in values for name, values in change.before.items()):
                continue
            then = msgspec.structs.replace(so, **change.after)
            one, other = phase(seen(so)), phase(seen(then))
            if one is not other and change.words not in found.setdefault((one, other), []):
                found[one, other].append(change.words)
            if then not in known:
                known.add(then)
                todo.append(then)
    order = list(Phase)
    return [
        (one, other, " / ".join(words))
        for (one, other), words in sorted(
            found.items(), key=lambda item: (order.index(item[0][0]), order.index(item[0][1]))
        )
        if words
    ]


def mermaid() -> str:
    """The picture, as GitHub draws it."""
    lines = [f"    {one.value} --> {other.value}: {words}" for one, other, words in edges()]
    return "\n".join(
        ["```mermaid", "stateDiagram-v2", "    [*] --> Pending: an entry lists it", *lines, "```"]
    )


def written(text: str) -> str:
    """The document with the picture between its marks. Raises ValueError where there are none."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN} … {END} in it")
    return f"{head}{BEGIN}\n{mermaid()}\n{END}{tail}"


def main() -> None:
    """Write the picture into the document named on the command line."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/design.md")
    path.write_text(written(path.read_text()))


if __name__ == "__main__":
    main()
