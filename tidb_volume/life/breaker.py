"""The circuit breaker: how much may be destroyed in an hour before a person has to look.

Every wipe is counted in the fleet's status before its order is written. A crash between the two counts one
wipe too many, which is the careful side; no crash and no new leader ever has a fresh budget. Once open, the
breaker stays open until a person names its epoch in `spec.breakerReset`; orders carry the epoch they were
decided under, and daemons refuse those of an epoch that has ended.
"""

from __future__ import annotations

from tidb_volume.fleet import Breaker, Budget, Fleet, Spent
from tidb_volume.units import Instant, format_instant, parse_instant

HOUR = 3600.0
MINUTE = 60.0


def minute(now: Instant) -> str:
    """The ledger's key for an instant."""
    return format_instant(Instant(now - now % MINUTE))


def limit(budget: Budget, volumes: int) -> int:
    """Wipes an hour that `budget` allows in a fleet of so many volumes."""
    return min(budget.wipes_per_hour, _share(budget, volumes))


def claims_limit(budget: Budget, volumes: int) -> int:
    """Claims an hour that `budget` lets us delete in a fleet of so many volumes."""
    return min(budget.claims_per_hour, _share(budget, volumes))


def _share(budget: Budget, volumes: int) -> int:
    return max(budget.at_least, volumes * budget.percent // 100)


def last_hour(breaker: Breaker, now: Instant) -> tuple[Spent, ...]:
    """The ledger's lines that still count: all of a minute's wipes may have been at its end.

    What was counted while the clock was ahead counts as if it were now. As nothing it would be a fresh
    budget, and as written it would count until that time comes.
    """
    this, lines = minute(now), dict[str, Spent]()
    for line in breaker.ledger:
        begun = parse_instant(line.minute)
        if begun + MINUTE <= now - HOUR:
            continue
        key = this if begun > now else line.minute
        known = lines.get(key, Spent(minute=key))
        lines[key] = Spent(minute=key, wipes=known.wipes + line.wipes, claims=known.claims + line.claims)
    return tuple(lines.values())


def reset(fleet: Fleet) -> Breaker | None:
    """The breaker after a person's reset, or None where nothing is to be reset."""
    breaker = fleet.status.breaker
    if breaker.tripped and fleet.spec.breaker_reset == breaker.epoch:
        return Breaker(epoch=breaker.epoch + 1)
    return None


def spend(fleet: Fleet, volumes: int, now: Instant, wipes: int = 1, claims: int = 0) -> Breaker:
    """The breaker after so many wipes and claims more: its ledger longer, or tripped where the budget has no
    room for them."""
    breaker = fleet.status.breaker
    if breaker.tripped:
        return breaker
    lines = last_hour(breaker, now)
    budget = fleet.spec.budget
    asked = (
        (wipes, sum(line.wipes for line in lines), limit(budget, volumes), "wipes"),
        (claims, sum(line.claims for line in lines), claims_limit(budget, volumes), "claims let go"),
    )
    for more, spent, allowed, what in asked:
        if more and spent + more > allowed:
            return Breaker(
                epoch=breaker.epoch,
                tripped=True,
                reason=f"{spent + more} {what} within an hour; the budget is {allowed}",
                at=format_instant(now),
                ledger=lines,
            )
    this = minute(now)
    before = next((line for line in lines if line.minute == this), Spent(minute=this))
    after = Spent(minute=this, wipes=before.wipes + wipes, claims=before.claims + claims)
    return Breaker(epoch=breaker.epoch, ledger=(*(line for line in lines if line.minute != this), after))
