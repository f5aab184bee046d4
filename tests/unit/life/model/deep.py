"""`make test-deep`: the model with fresh seeds until the time is up, on every core.

The last line is `steps=… examples=… violations=…`; a violation is printed with its seed and with the shortest
sequence that leads to it. `--of-tree` takes the seeds from what is committed: with each change other ones,
and for who wants to know what CI says, or why it did, the same. `--self-test` breaks planner, guards and
journal on purpose, one thing at a time (broken.py), and says after how many examples the model notices;
`--record` keeps that for the docs. Of each thing there is also a test that fails on it, which `make guards`
tries.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

from disk_daemon import kernel
from tests.unit.life.model import broken
from tests.unit.life.model.run import Ran, run

BATCH = 100
"""Examples of one seed: some five seconds."""
STEPS = 50
NEAR = 20
"""Steps of the self-test's examples, which begin near the disaster."""
SAY_EVERY_S = 60.0


def main() -> int:
    """Exit code 1 where the model was violated, or where it did not notice what is broken."""
    parser = argparse.ArgumentParser(prog="make test-deep", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0, help="how long to run")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes at once")
    parser.add_argument("--seed", type=int, help="only this one, as a violation names it")
    parser.add_argument("--of-tree", action="store_true", help="the seeds that follow from what is committed")
    parser.add_argument("--self-test", action="store_true", help="whether the model notices what is broken")
    parser.add_argument("--only", default="", help="of the self-test: what has this in its name")
    parser.add_argument("--examples", type=int, default=3000, help="of the self-test: it must notice within")
    parser.add_argument("--record", action="store_true", help="of the self-test: keep it for the docs")
    given = parser.parse_args()
    if given.self_test:
        return self_test(given.workers, given.examples, given.only, record=given.record)
    if given.seed is not None:
        seeds = iter([given.seed])
    elif given.of_tree:
        seeds = of_tree()
    else:
        seeds = iter(lambda: secrets.randbits(32), None)
    return deep(given.workers, given.seconds, seeds)


def of_tree() -> Iterator[int]:
    """Seeds without end, in an order of their own for each state of the files that git has committed."""
    asked = ["git", "rev-parse", "HEAD^{tree}"]
    tree = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    for number in itertools.count():
        yield int.from_bytes(hashlib.sha256(f"{tree} {number}".encode()).digest()[:4])


def deep(workers: int, seconds: float, seeds: Iterator[int]) -> int:
    """Run until the time is up; what is running then is finished."""
    begun, said, ran = time.monotonic(), time.monotonic(), []
    for each in _each(workers, lambda: time.monotonic() - begun < seconds, seeds):
        ran.append(each)
        if each.found:
            print(f"\nviolation, seed {each.seed} (again: make test-deep ARGS='--seed {each.seed}')")
            print(each.found, flush=True)
        if time.monotonic() - said >= SAY_EVERY_S:
            said = time.monotonic()
            print(f"{time.monotonic() - begun:.0f} s: {_sum(ran)}", flush=True)
    print(_sum(ran))
    return int(any(each.found for each in ran))


def _each(workers: int, more: Callable[[], bool], seeds: Iterator[int]) -> Iterator[Ran]:
    with _pool(workers, 50) as pool:
        running: set[Future[Ran]] = set()
        while True:
            while len(running) < workers and more() and (seed := next(seeds, None)) is not None:
                running.add(pool.submit(of_seed, seed))
            if not running:
                return
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (each.result() for each in ended)


def _pool(workers: int, tasks_per_child: int) -> ProcessPoolExecutor:
    """Processes that end with this one, however that ends."""
    return ProcessPoolExecutor(
        workers,
        max_tasks_per_child=tasks_per_child,
        initializer=kernel.die_with_parent,
        initargs=(os.getpid(), signal.SIGKILL),
    )


def of_seed(seed: int) -> Ran:
    """What a seed stands for: one in four is of two volumes, one in four of a device."""
    return run(seed, BATCH, STEPS, model={0: "pair", 2: "device"}.get(seed % 4, "one"))


def _sum(ran: list[Ran]) -> str:
    steps, examples = sum(each.steps for each in ran), sum(each.examples for each in ran)
    return f"steps={steps} examples={examples} violations={sum(bool(each.found) for each in ran)}"


def self_test(workers: int, examples: int, only: str, *, record: bool) -> int:
    """Break one thing after the other; each must be noticed, unless it is known what stands behind it."""
    chosen = [name for name, each in broken.BROKEN.items() if only in name and not each.behind]
    missed, after = 0, {}
    with _pool(workers, 1) as pool:
        ran = [pool.submit(broken.examples_until_noticed, name, examples, NEAR) for name in chosen]
        for name, each in zip(chosen, ran, strict=True):
            noticed, what = each.result()
            missed += not what
            after[name] = noticed if what else 0
            print(f"{noticed:5d}  {name}: {what or 'NOT NOTICED'}", flush=True)
    if record:
        broken.record(after)
    print(f"broken={len(chosen)} noticed={len(chosen) - missed} missed={missed}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
