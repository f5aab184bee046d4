"""Mutation testing of what decides and what guards: `make mutants`.

Each mutant (see mutate.py) has to be killed by the tests that modules.py names for its module, or stand in
equal.toml with the reason why no test can tell it from the original. A mutant that survives and is not there,
and an entry there that no surviving mutant has any more, fail the run. Why it is ours and not mutmut or
cosmic-ray: docs/decisions/0401-mutants.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.mutants import record
from tests.mutants.equal import Equal, read
from tests.mutants.modules import MODULES
from tests.mutants.mutate import Mutant, mutants

ROOT = Path(__file__).resolve().parents[2]
RELIABILITY = ROOT / "docs" / "reliability.md"
RECORDED = "recorded"


class Outcome(NamedTuple):
    """What came of one module. verdicts: by the mutant's number; what is missing was not run."""

    module: str
    mutants: list[Mutant]
    verdicts: dict[int, str]
    failed: str = ""

    def count(self, verdict: str) -> int:
        return sum(1 for each in self.verdicts.values() if each == verdict)

    @property
    def skipped(self) -> int:
        return len(self.mutants) - len(self.verdicts)


def main() -> int:
    parse = argparse.ArgumentParser(prog="make mutants")
    parse.add_argument("modules", nargs="*", metavar="MODULE", help="a path, or its end; default: all")
    parse.add_argument(
        "--changed-since",
        metavar="REF",
        help="only modules that differ from it; recorded: each from its commit in docs/reliability.md",
    )
    parse.add_argument(
        "--minutes", type=float, help="begin nothing after that; the rest is skipped, and named"
    )
    parse.add_argument("--jobs", type=int, default=1)
    parse.add_argument(
        "--record", action="store_true", help="put what has no survivors into docs/reliability.md"
    )
    arguments = parse.parse_args()
    chosen = _chosen(arguments.modules)
    if arguments.changed_since:
        changed = _changed(arguments.changed_since)
        chosen = [each for each in chosen if each in changed]
    commit = record.head(ROOT) if arguments.record else ""
    until = time.time() + arguments.minutes * 60 if arguments.minutes else float("inf")
    equal = read(Path(__file__).with_name("equal.toml"))
    with tempfile.TemporaryDirectory(prefix="tidb-volume-mutants-") as folder:
        _copy(Path(folder))
        outcomes = Run(Path(folder), until, equal).all(chosen, arguments.jobs)
    if arguments.record:
        clean = [each for each in outcomes if not (each.failed or each.skipped or each.count("survived"))]
        record.write(RELIABILITY, [[each.module, *_columns(each)] for each in clean], commit)
    return _say(outcomes, equal)


def _columns(outcome: Outcome) -> list[str]:
    counts = [outcome.count(verdict) for verdict in ("killed", "survived", "equal")]
    return [str(each) for each in (len(outcome.mutants), *counts)]


def _chosen(words: list[str]) -> list[str]:
    found = [each for each in MODULES if not words or any(each.endswith(word) for word in words)]
    for word in words:
        if not any(each.endswith(word) for each in MODULES):
            raise SystemExit(f"{word} is none of the modules whose mutants are tried: {', '.join(MODULES)}")
    return found


def _changed(ref: str) -> set[str]:
    """What differs from that commit, or from those that docs/reliability.md names."""
    since = dict.fromkeys(MODULES, ref) if ref != RECORDED else record.commits(RELIABILITY)
    if ref == RECORDED and (never := [each for each in MODULES if each not in since]):
        print(f"not among what docs/reliability.md has as run: {', '.join(never)}")
    return {module for module, commit in since.items() if module in MODULES and _differs(module, commit)}


def _differs(module: str, commit: str) -> bool:
    """Also where git does not know the commit (a shallow clone)."""
    git = ["git", "-C", str(ROOT), "diff", "--quiet", commit, "--", module]
    return subprocess.run(git, capture_output=True, check=False).returncode != 0


def _copy(folder: Path) -> None:
    git = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(git, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)


class Run:
    """All modules, one process each; says each minute how far it is, and each survivor at once."""

    def __init__(self, folder: Path, until: float, equal: list[Equal]) -> None:
        self.folder, self.until, self.equal = folder, until, equal
        self.counts: Counter[str] = Counter()
        self.said = time.time()

    def all(self, modules: list[str], jobs: int) -> list[Outcome]:
        with ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(self.one, modules))

    def one(self, module: str) -> Outcome:
        found = mutants(self.folder, module)
        outcome = Outcome(module, found, {})
        if time.time() > self.until:
            return outcome
        command = [sys.executable, "-m", "tests.mutants.kill", module, "--until", str(self.until)]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        environment.pop("PYTHONPATH", None)
        with subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as running:
            assert running.stdout is not None
            assert running.stderr is not None
            for line in running.stdout:
                result = json.loads(line)
                mutant, verdict = found[result["mutant"]], result["verdict"]
                if verdict == "survived" and any(each.is_of(mutant) for each in self.equal):
                    verdict = "equal"
                outcome.verdicts[result["mutant"]] = verdict
                if verdict == "survived":
                    print(_words(mutant), flush=True)
                self.minute(verdict)
            errors = running.stderr.read()
        if running.returncode != 0:
            outcome = outcome._replace(failed=errors.strip()[-2000:] or f"exit {running.returncode}")
        print(f"{module}: {_numbers([outcome])}", flush=True)
        return outcome

    def minute(self, verdict: str) -> None:
        self.counts[verdict] += 1
        if time.time() - self.said > 60:
            self.said = time.time()
            print("so far: " + " ".join(f"{word}={n}" for word, n in sorted(self.counts.items())), flush=True)


def _words(mutant: Mutant) -> str:
    where = f" in {mutant.where}" if mutant.where else ""
    return f"survived: {mutant.module}:{mutant.line}{where}\n    - {mutant.before}\n    + {mutant.after}"


def _numbers(outcomes: list[Outcome]) -> str:
    words = [f"mutants={sum(len(each.mutants) for each in outcomes)}"]
    for verdict in ("killed", "survived", "equal"):
        words.append(f"{verdict}={sum(each.count(verdict) for each in outcomes)}")
    skipped = sum(each.skipped for each in outcomes)
    return " ".join([*words, f"skipped={skipped}"] if skipped else words)


def _say(outcomes: list[Outcome], equal: list[Equal]) -> int:
    wrong = False
    for outcome in outcomes:
        if outcome.failed:
            wrong = True
            print(f"{outcome.module} did not run: {outcome.failed}")
        if outcome.count("survived"):
            wrong = True
        for entry in (each for each in equal if each.module == outcome.module):
            mine = [outcome.verdicts.get(i) for i, each in enumerate(outcome.mutants) if entry.is_of(each)]
            if not mine or set(mine) == {"killed"}:
                wrong = True
                why = "is killed by now" if mine else "matches no mutant"
                print(f"equal.toml: {entry.module}: {entry.before!r} -> {entry.after!r} {why}; take it out")
    left = [f"{each.module} ({each.skipped})" for each in outcomes if each.skipped]
    if left:
        print(f"no time was left for: {', '.join(left)}")
    print(f"modules={len(outcomes)} {_numbers(outcomes)}")
    return int(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
