"""One leader at a time, by nobody's wall clock, and a deposed one knows it."""

from __future__ import annotations

import math
import random
import threading

import pytest

from tests.model.apiserver import ApiServer
from tests.model.faults import Fault, Faulty, broken, lost
from tidb_volume.kube import codec, kinds, lease, transport
from tidb_volume.kube.lease import Observed, Step, Timing, decide, look
from tidb_volume.value import Meta

TIMING = Timing()
NAME = "volume-controller"


def seen(holder: str, since: float = 0.0, promised: int | None = 10, renewed: str = "r1") -> Observed:
    spec = codec.LeaseSpec(holder_identity=holder, lease_duration_seconds=promised, renew_time=renewed)
    return Observed(codec.Lease(metadata=Meta(name=NAME, uid="u"), spec=spec), since)


@pytest.mark.parametrize(
    ("observed", "now", "held_until", "step"),
    [
        pytest.param(None, 0.0, None, Step.CREATE, id="there is none"),
        pytest.param(seen(""), 0.0, None, Step.TAKE, id="it was given back"),
        pytest.param(seen("other"), 9.9, None, Step.WAIT, id="its holder may live"),
        pytest.param(seen("other"), 10.0, None, Step.TAKE, id="its holder has been silent too long"),
        pytest.param(seen("other", promised=60), 10.0, None, Step.WAIT, id="its holder was promised more"),
        pytest.param(seen("other", promised=1), 9.0, None, Step.WAIT, id="its holder was promised less"),
        pytest.param(seen("me"), 5.0, 8.0, Step.RENEW, id="it is ours"),
        pytest.param(seen("me"), 8.0, 8.0, Step.TAKE, id="it was ours, but our term has ended"),
        pytest.param(seen("me"), 1.0, None, Step.TAKE, id="it has our name from a term we know nothing of"),
    ],
)
def test_what_to_do_with_a_lease(
    observed: Observed | None, now: float, held_until: float | None, step: Step
) -> None:
    assert decide(observed, "me", now, held_until, TIMING)[0] is step


def test_a_follower_looks_again_when_the_holder_may_be_gone() -> None:
    assert decide(seen("other"), "me", 9.0, None, TIMING) == (Step.WAIT, 1.0)
    assert decide(seen("other"), "me", 1.0, None, TIMING) == (Step.WAIT, TIMING.renew_s)


def test_time_counts_from_the_last_change_that_we_saw_and_not_from_what_the_holder_wrote() -> None:
    first = look(None, seen("other", renewed="1970").lease, 100.0)
    assert first.since == 100.0
    assert look(first, seen("other", renewed="1970").lease, 105.0).since == 100.0
    assert look(first, seen("other", renewed="1971").lease, 105.0).since == 105.0


def test_a_leader_gives_up_before_a_follower_may_take_over() -> None:
    assert TIMING.margin_s > 0
    assert TIMING.renew_s < TIMING.lease_s - TIMING.margin_s


class Candidate:
    """An elector on a model, pulled step by step on a clock of its own."""

    def __init__(self, server: ApiServer, name: str, *, now: float = 0.0) -> None:
        self.faulty = Faulty(server)
        self.now = now
        self.told: list[str] = []
        self.stop = transport.Stop()
        self.elector = lease.Elector(
            self.faulty,
            name=NAME,
            namespace="default",
            identity=name,
            stop=self.stop,
            gained=lambda: self.told.append("gained"),
            lost=lambda: self.told.append("lost"),
            clock=lambda: self.now,
            wall=lambda: 1_700_000_000.0 + self.now,
            chance=random.Random(1),
        )

    def step(self, seconds: float = 0.0) -> float:
        self.now += seconds
        return self.elector.step()

    @property
    def leads(self) -> bool:
        return self.elector.is_leader()


@pytest.fixture
def server() -> ApiServer:
    return ApiServer()


def stored(server: ApiServer) -> codec.LeaseSpec:
    found = server.client().find(kinds.LEASE, NAME, "default")
    assert found is not None
    return found.spec


def test_the_first_who_comes_leads_and_the_second_waits(server: ApiServer) -> None:
    one, two = Candidate(server, "one"), Candidate(server, "two", now=7000.0)
    one.step()
    two.step()
    assert (one.leads, two.leads) == (True, False)
    assert two.elector.holder == "one"
    assert (one.told, two.told) == (["gained"], [])
    assert stored(server).lease_duration_seconds == 10


def test_a_leader_that_renews_is_not_replaced(server: ApiServer) -> None:
    one, two = Candidate(server, "one"), Candidate(server, "two")
    one.step()
    for _ in range(20):
        one.step(2.5)
        two.step(2.5)
        assert (one.leads, two.leads) == (True, False)
    assert one.told == ["gained"]


def test_a_leader_that_falls_silent_is_replaced_and_knew_it_before(server: ApiServer) -> None:
    one, two = Candidate(server, "one"), Candidate(server, "two")
    one.step()
    two.step()
    while not two.leads:
        two.step(0.5)
        one.now = two.now
        assert not (one.leads and two.leads)
    assert two.now == 10.0
    assert stored(server).lease_transitions == 1
    one.step()
    assert one.told == ["gained", "lost"]
    assert not one.leads


def test_a_leader_that_was_frozen_does_not_lead_when_it_wakes(server: ApiServer) -> None:
    one = Candidate(server, "one")
    one.step()
    one.now += 8.0
    assert not one.leads
    one.step()
    assert one.told == ["gained", "lost", "gained"]
    assert stored(server).lease_transitions == 1


def test_a_renewal_that_was_answered_too_late_is_none(server: ApiServer) -> None:
    one = Candidate(server, "one")

    def slow() -> None:
        one.now += 9.0

    one.faulty.faults.append(Fault(lambda call: call.writes, then=slow, after=True))
    one.step()
    assert not one.leads
    assert one.told == []


def test_a_renewal_that_outlasts_the_term_begins_another_one(server: ApiServer) -> None:
    """Whoever asked meanwhile whether it leads was told that it does not, and has stopped for good."""
    one = Candidate(server, "one")
    one.step()
    seen: list[bool] = []

    def slow() -> None:
        one.now += 1.0
        seen.append(one.leads)

    one.faulty.faults.append(Fault(lambda call: call.writes, then=slow, after=True))
    one.step(7.5)
    assert (seen, one.leads) == ([False], True)
    assert one.told == ["gained", "lost", "gained"]


def test_a_renewal_whose_answer_was_lost_does_not_prolong_the_term(server: ApiServer) -> None:
    one = Candidate(server, "one")
    one.step()
    one.faulty.faults.append(Fault(lambda call: call.writes, lost(), after=True, times=9))
    for _ in range(3):
        one.step(2.5)
    one.now = 8.0
    assert not one.leads


def test_a_leader_outlives_a_server_that_is_away_for_less_than_its_term(server: ApiServer) -> None:
    one = Candidate(server, "one")
    one.step()
    one.faulty.faults.append(Fault(lambda _: True, broken(), times=3))
    for _ in range(3):
        assert one.step(2.0) <= 0.5
    assert one.leads
    one.step(1.0)
    one.now += 7.0
    assert one.leads
    assert one.told == ["gained"]


def test_a_leader_whose_lease_was_taken_or_deleted_is_deposed_at_the_next_look(server: ApiServer) -> None:
    one = Candidate(server, "one")
    one.step()
    server.client().merge_patch(kinds.LEASE, NAME, {"spec": {"holderIdentity": "thief"}}, "default")
    one.step(2.5)
    one.step(0.5)
    assert not one.leads
    assert one.told == ["gained", "lost"]
    server.client().delete(kinds.LEASE, NAME, "default")
    one.step(0.5)
    assert one.leads


def test_a_leader_that_finds_its_lease_set_back_begins_another_term(server: ApiServer) -> None:
    """Etcd was restored, and so that no watch was told (--bump-revision)."""
    one = Candidate(server, "one")
    one.step()
    before = stored(server).renew_time
    one.step(2.5)
    server.client().merge_patch(kinds.LEASE, NAME, {"spec": {"renewTime": before}}, "default")
    one.step(2.5)
    assert one.told == ["gained"]
    one.step(0.5)
    assert one.told == ["gained", "lost", "gained"]
    assert one.leads
    assert one.elector.idle_s == pytest.approx(5.5)


@pytest.mark.parametrize(("seconds", "idle"), [(2.0, 2.0), (400.0, 400.0)])
def test_a_leader_knows_for_how_long_nobody_had_led(server: ApiServer, seconds: float, idle: float) -> None:
    one, two = Candidate(server, "one"), Candidate(server, "two")
    one.step()
    assert one.elector.idle_s == math.inf
    one.elector.release()
    one.step(seconds)
    assert one.elector.idle_s == pytest.approx(idle)
    two.now = one.now
    two.step()
    two.step(11.0)
    assert two.leads
    assert two.elector.idle_s == pytest.approx(11.0)


def test_two_who_see_the_same_free_lease_do_not_both_get_it(server: ApiServer) -> None:
    one, two = Candidate(server, "one"), Candidate(server, "two")

    def first() -> None:
        two.step()

    one.faulty.faults.append(Fault(lambda call: call.writes, then=first))
    one.step()
    assert (one.leads, two.leads) == (False, True)
    one.step(0.5)
    assert not one.leads
    assert one.elector.holder == "two"


def test_a_leader_that_ends_gives_the_lease_back(server: ApiServer) -> None:
    one, two = Candidate(server, "one"), Candidate(server, "two")
    one.step()
    two.step()
    one.elector.release()
    assert not one.leads
    assert one.told == ["gained"]
    two.step(2.5)
    assert two.leads


def test_who_does_not_lead_gives_nothing_back(server: ApiServer) -> None:
    one, two = Candidate(server, "one"), Candidate(server, "two")
    one.step()
    two.step()
    two.elector.release()
    assert stored(server).holder_identity == "one"


def test_it_runs_in_a_thread_until_stopped(server: ApiServer) -> None:
    one = Candidate(server, "one")
    gained = threading.Event()
    one.elector._gained = gained.set
    thread = threading.Thread(target=one.elector.run)
    thread.start()
    assert gained.wait(10)
    one.stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert stored(server).holder_identity == ""


def test_the_clock_is_one_that_does_not_stop_while_the_machine_sleeps() -> None:
    assert lease.boottime() <= lease.boottime()


def test_never_two_leaders_whatever_fails(server: ApiServer) -> None:
    for seed in range(60):
        chance = random.Random(seed)
        server = ApiServer()
        people = [Candidate(server, name, now=chance.uniform(0, 1000)) for name in ("a", "b", "c")]
        for _ in range(150):
            passed = chance.choice([0.0, 0.3, 1.0, 2.5])
            for person in people:
                person.now += passed
            person = chance.choice(people)
            if chance.random() < 0.2:
                error = chance.choice([lost(), broken()])
                after = isinstance(error, transport.NoAnswer) and chance.random() < 0.5
                person.faulty.faults.append(Fault(lambda _: True, error, after=after))
            if chance.random() < 0.7:
                person.step()
            assert sum(person.leads for person in people) <= 1, f"seed {seed}"
