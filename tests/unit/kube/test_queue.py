"""The work queue: once each, in time, live changes first."""

from __future__ import annotations

import random
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidb_volume.kube.queue import Priority, Queue


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def queue(time: Time) -> Queue[str]:
    return Queue(clock=time, chance=random.Random(1))


def drained(queue: Queue[str]) -> list[str]:
    found = []
    while (key := queue.poll()) is not None:
        found.append(key)
        queue.done(key)
    return found


def test_a_key_stands_in_the_queue_once(queue: Queue[str]) -> None:
    for key in "aba":
        queue.add(key)
    assert len(queue) == 2
    assert drained(queue) == ["a", "b"]


def test_live_changes_go_before_the_first_list(queue: Queue[str]) -> None:
    for key in "abc":
        queue.add(key, Priority.LISTED)
    queue.add("x")
    queue.add("b")
    assert drained(queue) == ["b", "x", "a", "c"]


def test_a_live_key_is_not_set_back_by_a_list(queue: Queue[str]) -> None:
    queue.add("a", Priority.LISTED)
    queue.add("b")
    queue.add("b", Priority.LISTED)
    assert drained(queue) == ["b", "a"]


def test_a_key_waits_for_its_time(queue: Queue[str], time: Time) -> None:
    queue.add_after("a", 5)
    assert queue.poll() is None
    assert queue.next_at() == 105
    time.now += 5
    assert drained(queue) == ["a"]
    assert queue.next_at() is None


@pytest.mark.parametrize(("first", "second"), [(5, 2), (2, 5)])
def test_the_sooner_of_two_times_counts(queue: Queue[str], time: Time, first: int, second: int) -> None:
    queue.add_after("a", first)
    queue.add_after("a", second)
    time.now += 2
    assert drained(queue) == ["a"]
    time.now += 10
    assert drained(queue) == []


def test_a_key_that_is_being_worked_on_is_not_handed_out_twice_and_not_forgotten(queue: Queue[str]) -> None:
    queue.add("a")
    assert queue.poll() == "a"
    queue.add("a")
    assert queue.poll() is None
    assert queue.next_at() is None
    queue.done("a")
    assert queue.poll() == "a"
    queue.done("a")
    assert queue.poll() is None


def test_a_worker_that_looks_anew_has_seen_what_was_added_before_and_not_what_comes_after(
    queue: Queue[str], time: Time
) -> None:
    queue.add("a")
    assert queue.poll() == "a"
    queue.add("a")
    queue.anew("a")
    queue.done("a")
    assert queue.poll() is None
    queue.add("a")
    assert queue.poll() == "a"
    queue.anew("a")
    queue.add("a")
    queue.done("a")
    assert queue.poll() == "a"
    queue.add_after("a", 5)
    queue.anew("a")
    queue.done("a")
    time.now += 5
    assert queue.poll() == "a", "what is due later stays"


def test_what_was_added_for_later_while_being_worked_on_keeps_its_time(queue: Queue[str], time: Time) -> None:
    queue.add("a")
    assert queue.poll() == "a"
    queue.add_after("a", 5)
    queue.done("a")
    assert queue.poll() is None
    time.now += 5
    assert queue.poll() == "a"


def test_retries_come_later_each_time_until_forgotten(queue: Queue[str]) -> None:
    pauses = [queue.retry("a") for _ in range(12)]
    steps = [min(60.0, 0.1 * 2**n) for n in range(12)]
    assert all(step / 2 <= pause <= step for step, pause in zip(steps, pauses, strict=True))
    assert queue.retries("a") == 12
    queue.forget("a")
    assert queue.retries("a") == 0
    assert queue.retry("a") <= 0.1


def test_a_retry_waits_at_least_as_long_as_the_server_asked(queue: Queue[str], time: Time) -> None:
    assert queue.retry("a", at_least=7) == 7
    time.now += 6.9
    assert queue.poll() is None
    time.now += 0.1
    assert queue.poll() == "a"


def test_retries_of_two_keys_are_not_in_step(queue: Queue[str]) -> None:
    assert queue.retry("a") != queue.retry("b")


def test_a_waiting_worker_is_woken_by_a_key() -> None:
    queue: Queue[str] = Queue()
    found: list[str | None] = []
    worker = threading.Thread(target=lambda: found.append(queue.get()))
    worker.start()
    queue.add("a")
    worker.join()
    assert found == ["a"]


def test_a_waiting_worker_gets_a_key_when_its_time_has_come() -> None:
    queue: Queue[str] = Queue()
    queue.add_after("a", 0.02)
    assert queue.get() == "a"


def test_a_worker_that_waits_in_vain_gets_nothing() -> None:
    assert Queue[str]().get(timeout=0.01) is None


def test_a_shut_queue_wakes_its_workers_and_takes_nothing() -> None:
    queue: Queue[str] = Queue()
    found: list[str | None] = []
    workers = [threading.Thread(target=lambda: found.append(queue.get())) for _ in range(3)]
    for worker in workers:
        worker.start()
    queue.shutdown()
    for worker in workers:
        worker.join()
    queue.add("a")
    assert found == [None, None, None]
    assert queue.closed
    assert queue.get() is None
    assert queue.poll() is None


Step = tuple[str, str, int, Priority]

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "after", "poll", "anew", "done", "pass"]),
        st.sampled_from("abc"),
        st.integers(0, 5),
        st.sampled_from(Priority),
    ),
    max_size=60,
)


@given(STEPS)
def test_no_key_is_lost_nor_handed_out_twice_at_once(steps: list[Step]) -> None:
    time = Time()
    queue: Queue[str] = Queue(clock=time)
    wanted: dict[str, tuple[float, Priority]] = {}
    working: set[str] = set()
    for what, key, number, priority in steps:
        match what:
            case "add" | "after":
                seconds = float(number) if what == "after" else 0.0
                queue.add_after(key, seconds, priority)
                at, best = wanted.get(key, (float("inf"), Priority.LISTED))
                wanted[key] = (min(at, time.now + seconds), min(best, priority))
            case "poll":
                ready = {
                    each: wanted[each] for each in wanted.keys() - working if wanted[each][0] <= time.now
                }
                got = queue.poll()
                if not ready:
                    assert got is None
                    continue
                assert got in ready
                assert ready[got][1] == min(best for _, best in ready.values())
                del wanted[got]
                working.add(got)
            case "anew":
                queue.anew(key)
                if key in working and wanted.get(key, (float("inf"), priority))[0] <= time.now:
                    del wanted[key]
            case "done":
                queue.done(key)
                working.discard(key)
            case _:
                time.now += number
    due = [wanted[key][0] for key in wanted.keys() - working]
    expected = min(due, default=None)
    found = queue.next_at()
    assert (found is None) == (expected is None)
    assert len(queue) == len(wanted)
