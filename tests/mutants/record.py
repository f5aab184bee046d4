"""The table in docs/reliability.md of what was run: per module its numbers, and the commit they are of."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.mutants.modules import MODULES

BEGIN, END = "<!-- mutants -->\n", "\n<!-- end of mutants -->"
HEAD = "| module | mutants | killed | survived | equal | commit |\n| --- | --- | --- | --- | --- | --- |"


def commits(page: Path) -> dict[str, str]:
    """By module: the commit that its numbers are of."""
    return {module: row[-1] for module, row in _rows(page.read_text()).items()}


def write(page: Path, numbers: Iterable[Sequence[str]], commit: str) -> None:
    """Put in a row for each of these; the others stay. numbers: the module, and its columns but the last."""
    text = page.read_text()
    rows = _rows(text) | {each[0]: [*each, commit] for each in numbers}
    lines = [f"| {' | '.join(rows[module])} |" for module in MODULES if module in rows]
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    table = "\n".join((HEAD, *lines))
    page.write_text(f"{before}{BEGIN}\n{table}\n\n{_total(rows)}\n{END}{after}")


def _total(rows: dict[str, list[str]]) -> str:
    """As `make mutants` ends, of all that is on record."""
    counts = [
        sum(int(rows[module][column]) for module in MODULES if module in rows) for column in range(1, 5)
    ]
    words = zip(("mutants", "killed", "survived", "equal"), counts, strict=True)
    return " ".join([f"All of them: modules={len(rows)}", *(f"{word}={count}" for word, count in words)])


def _rows(text: str) -> dict[str, list[str]]:
    table = text.split(BEGIN)[1].split(END)[0]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines]
    return {row[0]: row for row in rows[2:]}


def head(root: Path) -> str:
    """The commit that is checked out. Errors: SystemExit where code or tests are not as it has them."""
    paths = ("disk_daemon", "tidb_volume", "tests")
    dirty = subprocess.run(["git", "-C", str(root), "diff", "--quiet", "HEAD", "--", *paths], check=False)
    if dirty.returncode != 0:
        raise SystemExit("nothing recorded: code or tests differ from the commit; commit them first")
    git = ["git", "-C", str(root), "rev-parse", "--short=10", "HEAD"]
    return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
