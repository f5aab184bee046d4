"""How much may be destroyed in an hour, and what becomes of the ledger."""

from __future__ import annotations

import pytest
from msgspec.structs import replace as change

from tidb_volume.fleet import Breaker, Budget, Fleet, FleetSpec, FleetStatus, Spent
from tidb_volume.life import breaker
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import Meta

NOW = Instant(1_800_000_042.5)
MINUTE = "2027-01-15T08:00:00.000Z"


def ago(seconds: float) -> str:
    return format_instant(Instant(NOW - seconds))


def fleet(before: Breaker, budget: Budget | None = None, reset: int = 0) -> Fleet:
    return Fleet(
        metadata=Meta(name="fleet"),
        spec=FleetSpec(budget=budget or Budget(), breaker_reset=reset),
        status=FleetStatus(breaker=before),
    )


@pytest.mark.parametrize(
    ("budget", "volumes", "allowed"),
    [
        (Budget(), 10_000, 20),
        (Budget(), 100, 10),
        (Budget(), 109, 10),
        (Budget(), 110, 11),
        (Budget(), 50, 5),
        (Budget(), 3, 5),
        (Budget(), 0, 5),
        (Budget(wipes_per_hour=3), 100, 3),
        (Budget(wipes_per_hour=1000, percent=25), 100, 25),
        (Budget(wipes_per_hour=1000, at_least=40), 100, 40),
        (Budget(wipes_per_hour=0), 10_000, 0),
    ],
)
def test_the_budget_is_a_share_of_the_fleet_never_below_a_few_and_never_above_its_wipes(
    budget: Budget, volumes: int, allowed: int
) -> None:
    assert breaker.limit(budget, volumes) == allowed


def test_the_ledger_is_kept_by_the_minute() -> None:
    assert breaker.minute(NOW) == MINUTE
    assert breaker.minute(Instant(1_800_000_000.0)) == MINUTE
    assert breaker.minute(Instant(1_799_999_999.9)) < MINUTE


def test_a_line_counts_as_long_as_any_of_its_minute_may_be_within_the_hour() -> None:
    lines = tuple(Spent(minute=ago(seconds), wipes=1) for seconds in (3661, 3660, 3659, 0))
    assert breaker.last_hour(Breaker(ledger=lines), NOW) == lines[2:]


def test_what_is_spent_at_a_minutes_end_and_at_the_next_ones_begin_an_hour_later_is_within_one_hour() -> None:
    late = Instant(1_800_000_059.0)
    spent = breaker.spend(fleet(Breaker()), 10_000, late, wipes=20)
    assert not spent.tripped
    assert breaker.spend(fleet(spent), 10_000, Instant(late + 3600.9)).tripped
    assert not breaker.spend(fleet(spent), 10_000, Instant(late + 3601.0)).tripped, "no longer than need be"


@pytest.mark.parametrize(
    ("before", "named", "after"),
    [
        (Breaker(epoch=4, tripped=True, ledger=(Spent(minute=MINUTE, wipes=9),)), 4, Breaker(epoch=5)),
        (Breaker(epoch=4, tripped=True), 3, None),
        (Breaker(epoch=4, tripped=True), 5, None),
        (Breaker(epoch=4), 4, None),
    ],
)
def test_a_reset_ends_the_epoch_that_it_names_and_only_while_the_breaker_is_open(
    before: Breaker, named: int, after: Breaker | None
) -> None:
    assert breaker.reset(fleet(before, reset=named)) == after


def test_what_is_spent_is_added_to_the_minutes_line_and_old_lines_go() -> None:
    old, earlier = Spent(minute=ago(4000), wipes=7), Spent(minute=ago(600), wipes=1)
    this = Spent(minute=MINUTE, wipes=2, claims=3)
    before = Breaker(epoch=4, ledger=(old, earlier, this))
    after = Spent(minute=MINUTE, wipes=3, claims=3)
    assert breaker.spend(fleet(before), 100, NOW) == Breaker(epoch=4, ledger=(earlier, after))
    two = breaker.spend(fleet(before), 100, NOW, wipes=2)
    assert two.ledger[-1] == Spent(minute=MINUTE, wipes=4, claims=3)


def test_the_first_wipe_of_a_minute_begins_its_line() -> None:
    assert breaker.spend(fleet(Breaker()), 100, NOW).ledger == (Spent(minute=MINUTE, wipes=1),)


def test_the_budget_may_be_spent_to_the_last_and_one_more_opens_the_breaker() -> None:
    ledger = (Spent(minute=ago(1200), wipes=4), Spent(minute=ago(600), wipes=5))
    last = breaker.spend(fleet(Breaker(epoch=2, ledger=ledger)), 100, NOW)
    assert not last.tripped
    assert sum(line.wipes for line in last.ledger) == 10
    assert breaker.spend(fleet(last), 100, NOW) == Breaker(
        epoch=2,
        tripped=True,
        reason="11 wipes within an hour; the budget is 10",
        at="2027-01-15T08:00:42.500Z",
        ledger=last.ledger,
    )


def test_an_open_breaker_counts_no_more() -> None:
    tripped = Breaker(epoch=2, tripped=True, reason="a person looks", ledger=(Spent(minute=ago(9000)),))
    assert breaker.spend(fleet(tripped), 100, NOW) == tripped


def test_what_was_counted_by_a_clock_that_was_ahead_counts_as_if_it_were_now() -> None:
    """Never as nothing, and for no more than an hour from the next wipe on."""
    ahead = (Spent(minute=ago(-60), wipes=2, claims=1), Spent(minute="2031-01-01T00:00:00.000Z", wipes=3))
    this, earlier = Spent(minute=MINUTE, wipes=1, claims=4), Spent(minute=ago(600), wipes=7)
    before = Breaker(epoch=4, ledger=(earlier, this, *ahead))
    now = Spent(minute=MINUTE, wipes=6, claims=5)
    assert breaker.last_hour(before, NOW) == (earlier, now)
    assert breaker.last_hour(Breaker(ledger=(*ahead, earlier)), NOW) == (
        Spent(minute=MINUTE, wipes=5, claims=1),
        earlier,
    )
    after = breaker.spend(fleet(before), 10_000, NOW)
    assert after.ledger == (earlier, change(now, wipes=7))
    assert breaker.last_hour(after, Instant(NOW + 3660)) == ()
