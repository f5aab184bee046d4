"""Runs the tests of one module against its mutants, in a copy of the checkout.

Nothing is written: a mutant lives in the memory of a forked process. Two ways, the quick one first:
  - Tests are collected once, each mutant gets a fork, there the function's code is replaced by the mutant's,
    and the tests that ever come to the changed statement are run till one fails. Some milliseconds.
  - What is outside of functions, and whatever survived the first way (a table may have been computed from the
    function before), is imported anew: a fork of a process in which only other people's modules are loaded
    imports the mutant in the module's place, collects and runs all its tests.
A mutant that runs for ever ends by its CPU time, which a busy machine does not stretch, and counts as killed.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import hypothesis.stateful
import hypothesis.strategies
import msgspec
import psutil
import pytest
import yaml

from tests.mutants.modules import MODULES
from tests.mutants.mutate import Mutant, mutants

LOADED = (hypothesis.stateful, hypothesis.strategies, msgspec, psutil, yaml)
"""What every fork need not import again."""

ROOT = Path.cwd()
OPTIONS = (
    *("-q", "-x", "-p", "no:randomly", "-p", "no:xdist", "-o", "timeout=0", "-o", "faulthandler_timeout=0"),
    *("-m", "not hypothesis", "-W", "ignore::pytest.PytestAssertRewriteWarning"),
)
HANGS = 120
"""Seconds after which a mutant that uses no CPU is ended."""


def main() -> int:
    parse = argparse.ArgumentParser()
    parse.add_argument("module", choices=MODULES)
    parse.add_argument("--until", type=float, default=float("inf"))
    arguments = parse.parse_args()
    found = mutants(ROOT, arguments.module)
    for number, verdict in _verdicts(arguments.module, found, arguments.until):
        print(json.dumps({"mutant": number, "verdict": verdict}), flush=True)
    return 0


def _verdicts(module: str, found: Sequence[Mutant], until: float) -> Iterator[tuple[int, str]]:
    """Each mutant's number with killed or survived; those for which no time was left are not among them."""
    sane, seconds = _forked(lambda: _fresh(module, None), limit=600)
    if sane != 0:
        raise SystemExit(f"{module}: its own tests fail: pytest {' '.join(MODULES[module])}")
    doubtful = []
    for number, verdict in _quick(module, found, until):
        if verdict == "killed":
            yield number, verdict
        else:
            doubtful.append(number)
    limit = 10 + 10 * seconds
    for number in sorted(doubtful):
        if time.time() > until:
            return
        mutant = found[number]
        code, _ = _forked(lambda mutant=mutant: _fresh(module, mutant), limit=limit)  # type: ignore[misc]
        yield number, "survived" if code == 0 else "killed"


# --- imported anew ------------------------------------------------------------------------------------------


def _fresh(module: str, mutant: Mutant | None) -> int:
    if mutant is not None:
        sys.meta_path.insert(0, _Instead(mutant))
    code = int(pytest.main([*OPTIONS, *MODULES[module]]))
    _check(module)
    return code


class _Instead(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports the mutant in the module's place, and keeps nothing of it on disk."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != _name(self.mutant.module):
            return None
        spec = importlib.util.spec_from_loader(name, self, origin=str(ROOT / self.mutant.module))
        if spec is not None:
            spec.has_location = True
        return spec

    def get_source(self, name: str) -> str:
        return self.mutant.apply((ROOT / self.mutant.module).read_bytes()).decode()

    def get_code(self, name: str) -> CodeType:
        return compile(self.get_source(name), str(ROOT / self.mutant.module), "exec")


def _name(module: str) -> str:
    return module.removesuffix(".py").replace("/", ".")


def _check(module: str) -> ModuleType:
    """The module as the tests have it; it has to be the copy's."""
    loaded = importlib.import_module(_name(module))
    if not Path(loaded.__file__ or "").is_relative_to(ROOT):
        os._exit(5)
    return loaded


def _forked(work: Callable[[], int], *, limit: float) -> tuple[int, float]:
    """What it returned in a process of its own, -1 if it did not come to that; its CPU seconds.
    limit: after how many of those it is ended."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            _silent(limit)
            code = work()
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return os.waitstatus_to_exitcode(status), seconds


def _silent(limit: float) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 1, int(limit) + 3))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(max(HANGS, int(limit) * 20))


# --- collected once -----------------------------------------------------------------------------------------


def _quick(module: str, found: Sequence[Mutant], until: float) -> Iterator[tuple[int, str]]:
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            os.close(reads)
            _silent(36_000)
            signal.alarm(0)
            code = int(
                pytest.main([*OPTIONS, *MODULES[module]], plugins=[_Quick(module, found, until, writes)])
            )
        finally:
            os._exit(code)
    os.close(writes)
    with os.fdopen(reads) as lines:
        for line in lines:
            number, verdict = json.loads(line)
            yield number, verdict
    os.waitpid(pid, 0)


class _Quick:
    """Has pytest collect, and then runs what concerns each mutant instead of everything."""

    def __init__(self, module: str, found: Sequence[Mutant], until: float, writes: int) -> None:
        self.module, self.mutants, self.until = module, found, until
        self.results = os.fdopen(writes, "w", buffering=1)
        self.failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed |= report.failed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        module = _check(self.module)
        items = list(session.items)
        lines, seconds = self.covered(module, items)
        for number, mutant in enumerate(self.mutants):
            if time.time() > self.until:
                break
            verdict = "doubtful"
            function = _function(module, mutant.where)
            if function is not None:
                span = range(mutant.statement[0], mutant.statement[1] + 1)
                mine = [i for i in range(len(items)) if not lines[i].isdisjoint(span)]
                mine.sort(key=lambda i: seconds[i])
                limit = 2 + 20 * sum(seconds[i] for i in mine)
                ask = (items[i] for i in mine)
                if mine and _forked(lambda: self.tried(function, mutant, ask), limit=limit)[0] != 0:  # noqa: B023
                    verdict = "killed"
            print(json.dumps([number, verdict]), file=self.results)
        self.results.close()
        return True

    def tried(self, function: FunctionType, mutant: Mutant, items: Iterator[pytest.Item]) -> int:
        source = mutant.apply((ROOT / mutant.module).read_bytes())
        code = _code(compile(source, str(ROOT / mutant.module), "exec"), mutant.where)
        if code is None or len(code.co_freevars) != len(function.__code__.co_freevars):
            return 0
        function.__code__ = code
        for item in items:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            if self.failed:
                return 1
        return 0

    def covered(self, module: ModuleType, items: Sequence[pytest.Item]) -> tuple[list[set[int]], list[float]]:
        """Of each test: the lines of the module that it comes to, and its CPU seconds."""
        reads, writes = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reads)
            try:
                with os.fdopen(writes, "w") as out:
                    for item in items:
                        begun = time.process_time()
                        seen = _traced(
                            str(module.__file__),
                            lambda: item.config.hook.pytest_runtest_protocol(item=item, nextitem=None),  # noqa: B023
                        )
                        print(json.dumps([sorted(seen), time.process_time() - begun]), file=out)
            finally:
                os._exit(0)
        os.close(writes)
        with os.fdopen(reads) as out:
            each = [json.loads(line) for line in out]
        os.waitpid(pid, 0)
        return [set(lines) for lines, _ in each], [seconds for _, seconds in each]


def _traced(file: str, work: Callable[[], object]) -> set[int]:
    seen: set[int] = set()

    def lines(frame: FrameType, event: str, _: Any) -> Any:
        seen.add(frame.f_lineno)
        return lines

    def calls(frame: FrameType, event: str, _: Any) -> Any:
        return lines if frame.f_code.co_filename == file else None

    sys.settrace(calls)
    try:
        work()
    finally:
        sys.settrace(None)
    return seen


def _function(module: ModuleType, where: str) -> FunctionType | None:
    """The function itself, out of what decorators have made of it; None: it cannot be found by its name."""
    if not where:
        return None
    found: Any = module
    for name in where.split("."):
        found = inspect.getattr_static(found, name, None)
    found = getattr(found, "fget", None) or getattr(found, "__func__", found)
    found = inspect.unwrap(found) if callable(found) else found
    return found if isinstance(found, FunctionType) and found.__code__.co_qualname == where else None


def _code(code: CodeType, where: str) -> CodeType | None:
    for each in code.co_consts:
        if isinstance(each, CodeType):
            if each.co_qualname == where:
                return each
            if where.startswith(f"{each.co_qualname}.") and (found := _code(each, where)) is not None:
                return found
    return None


if __name__ == "__main__":
    raise SystemExit(main())
