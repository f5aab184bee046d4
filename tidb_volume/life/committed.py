"""The next step of a committed wipe: the point of no return is passed.

What comes since counts until a byte is gone: the daemon says so, under its lock on the disk.
"""

from __future__ import annotations

from tidb_volume.life import answers, edit, free, give, memory, orders, release
from tidb_volume.life.actions import Plan
from tidb_volume.life.look import Seen
from tidb_volume.life.world import World
from tidb_volume.units import Instant


def step(now: Instant, world: World, seen: Seen) -> Plan:
    """See to it that it goes on to its end, or is taken back while it can be."""
    order = seen.order
    if seen.pv_state == "offered":
        assert seen.pv is not None, "what is on offer is there"
        # Late, or made by hand, and no tenancy of this wipe: the daemon does not begin beside it.
        return orders.delete(seen.pv, "this record does not know its tenancy")
    if answers.gives(world, seen) is not None:
        return give.take_back(now, world, seen)
    if not memory.begun(seen):
        stricter = edit.step(world, seen, free=False)
        if stricter.action is not None:
            return stricter
        barred = release.bars_committed(world, seen)
        if barred is not None:
            return _hold_back(seen, barred.word)
    too_late = memory.begun(seen)
    """It was taken back when a byte was gone already: the daemon brings it to its end all the same."""
    if order is None or (order.withdrawn and not too_late):
        # Taken away by a hand or by a leader that did not know: the wipe is still owed.
        return orders.go_on(world, seen, "the committed wipe has no order")
    if order.id != world.volume.status.committed and not order.withdrawn:
        return orders.go_on(world, seen, "the order that stands is not the committed one")
    if seen.done and not seen.mine:
        return orders.ask_again(world, seen)
    if seen.done and not memory.is_belied(seen):
        return free.make_offer(world, seen)
    if seen.done or seen.failed or seen.refused:
        again = memory.not_yet(now, world, seen)
        if again is not None:
            return Plan(again_at=again)
        if release.moment(world, seen) is not None:
            return Plan()
        if seen.done:
            return orders.ask_again(world, seen)
        return orders.go_on(world, seen, "tried again", attempt=order.attempt + 1)
    return Plan()


def _hold_back(seen: Seen, word: str) -> Plan:
    """No order goes on, and one that the daemon may still obey is taken back under its lock. Hold and gates
    it reads itself, and waits."""
    order = seen.order
    answered = seen.failed or seen.refused
    if order is None or order.withdrawn or answered or word in ("Held", "Gated"):
        return Plan()
    return orders.withdraw(order, f"not now: {word}")
