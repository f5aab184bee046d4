"""The loop that everything in the daemon is called by."""

from __future__ import annotations

import os
import threading
import time

from disk_daemon.loop import READ, Loop

NEVER = float("inf")


def full() -> int:
    """A descriptor that has something to read, and whose writing end is closed."""
    ours, theirs = os.pipe()
    os.write(theirs, b"x")
    os.close(theirs)
    return ours


def test_what_was_ready_of_a_descriptor_is_not_told_to_the_next_one_of_its_number() -> None:
    """A child's line was closed and the next child's got its number, while both were called for one poll: the
    parent then read from a line on which nobody had said anything, and stood still for as long as a disk."""
    loop = Loop(time.monotonic)
    told: list[str] = []
    first, second = full(), full()

    def replaced() -> None:
        told.append("first")
        loop.remove(second)
        os.close(second)
        empty, end = os.pipe()
        assert second in (empty, end)
        loop.add(second, READ, lambda: told.append("another"))
        loop.stop()

    loop.add(first, READ, replaced)
    loop.add(second, READ, lambda: told.append("second"))
    loop.run(lambda: NEVER, lambda: None)
    assert told == ["first"]


def test_what_is_removed_by_who_is_called_before_it_is_not_called() -> None:
    loop = Loop(time.monotonic)
    told: list[str] = []
    first, second = full(), full()

    def removes() -> None:
        told.append("first")
        loop.remove(second)
        loop.stop()

    loop.add(first, READ, removes)
    loop.add(second, READ, lambda: told.append("second"))
    loop.run(lambda: NEVER, lambda: None)
    assert told == ["first"]


def test_it_says_for_how_long_it_has_been_in_one_turn_and_nothing_while_it_waits() -> None:
    now = 100.0
    loop = Loop(lambda: now)
    told: list[float] = []
    waiting: list[float] = []

    def slow() -> None:
        nonlocal now
        told.append(loop.busy_s())
        now += 130
        told.append(loop.busy_s())

    def looks() -> None:
        deadline = time.monotonic() + 5
        while not waiting and time.monotonic() < deadline:
            if loop.busy_s() == 0.0:
                waiting.append(now)
                loop.stop()

    def ended() -> None:
        slow()
        threading.Thread(target=looks).start()

    due = [now, NEVER, NEVER, NEVER, NEVER]
    loop.call(ended)
    loop.run(lambda: due.pop(0), slow)
    assert told == [0.0, 130.0, 0.0, 130.0]
    assert waiting == [360.0]


def test_a_loop_that_has_not_begun_is_not_busy() -> None:
    assert Loop(time.monotonic).busy_s() == 0.0
