"""How long the parent bears a child's silence."""

from __future__ import annotations

import socket
from typing import Literal

import pytest

from disk_daemon.children import NEVER, SILENT_S, Child
from disk_daemon.jobs import Job

NOW = 1000.0


def child(kind: Literal["order", "observe"] = "order", patience_s: float = 300.0) -> Child:
    line, other = socket.socketpair()
    line.close()
    other.close()
    return Child(Job(id=1, kind=kind), line, NOW, patience_s)


def test_the_silence_of_an_order_is_told_once_and_again_after_it_was_heard() -> None:
    one = child()
    assert one.due_at() == NOW + SILENT_S
    assert not one.is_silent(NOW + SILENT_S - 0.1)
    assert one.is_silent(NOW + SILENT_S)
    one.silence_told = True
    assert not one.is_silent(NOW + 2 * SILENT_S)
    assert one.due_at() == NOW + 300
    assert not one.is_overdue(NOW + 300)
    assert one.is_overdue(NOW + 300.1)
    one.heard(NOW + 100)
    assert one.due_at() == NOW + 100 + SILENT_S
    assert one.is_silent(NOW + 100 + SILENT_S)
    assert not one.is_overdue(NOW + 400)


@pytest.mark.parametrize("kind", ["order", "observe"])
def test_one_that_was_ended_is_waited_for_and_nothing_is_told_of_it(
    kind: Literal["order", "observe"],
) -> None:
    one = child(kind)
    one.was_killed = True
    assert one.due_at() == NEVER
    assert not one.is_silent(NOW + 1000)


def test_a_look_is_given_its_patience_and_no_word_before() -> None:
    one = child("observe", patience_s=100.0)
    assert one.due_at() == NOW + 100
    assert not one.is_silent(NOW + SILENT_S)


def test_a_patience_that_is_shorter_ends_first() -> None:
    assert child(patience_s=10.0).due_at() == NOW + 10
