"""The loop that everything in the daemon is called by."""

from __future__ import annotations

import os
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
