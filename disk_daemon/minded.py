"""What the daemon has in mind about one volume, and what it should do about it next.

The state of one volume is in one place, and what follows from it is decided by functions of it: which child
to make (`next_job`), and what to write (`unwritten`). Nothing here is needed to be right: after a restart all
of it is found anew on the disk, in the journal and in the API.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from disk_daemon.children import Child
from disk_daemon.jobs import INTERRUPTED, Ended
from tidb_volume.shape import BLOCK
from tidb_volume.value import DiskReport, Order, OrderKind, Presence, Volume, Work, WorkState

OBSERVE_EVERY_S = 60.0
MOUNT_EVERY_S = 30.0

Until = Literal["", "mounts", "device", "api", "volume", "lock", "queue", "crash"]

FIRST_RETRY_S: dict[Until, float] = {
    "api": 1.0,
    "lock": 0.5,
    "crash": 1.0,
    "mounts": 30.0,
    "device": 0.5,
    "volume": 30.0,
    "queue": 10.0,
}
"""How long until an order that waits is tried without being told that anything changed; in the queue, until
people are told: most of them are over in a moment. What was put and lifted between two states that the watch
handed over was news to the child that read it, and is none afterwards."""
LONGEST_RETRY_S = 30.0
_LONGEST_S: dict[Until, float] = {"api": 5.0, "volume": 600.0, "queue": 60.0}

_WRITES: frozenset[OrderKind] = frozenset({"reclaim", "prepare"})


class Minded(msgspec.Struct):
    """One volume. Times are seconds of the parent's clock, but for `seen_at` (CLOCK_BOOTTIME)."""

    volume: Volume
    since: float = 0.0
    """When it came to be known (CLOCK_BOOTTIME)."""
    child: Child | None = None
    observe_at: float = 0.0
    mount_at: float = 0.0
    """When to try again to mount what is ours and is not mounted."""
    not_mounted: str = ""
    """Why the last try to mount it was in vain, for people; empty: it was not, or there was none."""
    ended: Ended | None = None
    """The last look at the disk."""
    report: DiskReport | None = None
    """What should be in `status.disk`."""
    written: DiskReport | None = None
    """What is in `status.disk`, as far as we know."""
    work: Work | None = None
    """What should be in `status.work`."""
    written_work: Work | None = None
    writing: bool = False
    write_at: float = 0.0
    write_pause_s: float = 0.0
    report_at: float = 0.0
    """Before this no report is written: a survey is awaited."""
    waits_until: Until = ""
    retry_at: float = 0.0
    retry_pause_s: float = 0.0
    changed: bool = False
    """Something that bears on the order is another since the child at work was made, which may not have seen
    it: what it found to wait for may be over."""
    crash_pause_s: float = 0.0
    """How long the next look is put off, since the last one ended without an answer."""
    holders: tuple[int, ...] = ()
    """Descriptors (pidfd) of processes whose end may end the wait."""
    answered: tuple[str, bool] = ("", False)
    """The order that was last answered for good, and whether it was withdrawn then."""

    @property
    def name(self) -> str:
        """The volume's name."""
        return self.volume.metadata.name

    @property
    def uid(self) -> str:
        """The volume's UID."""
        return self.volume.metadata.uid


def is_final(work: Work | None) -> bool:
    """Whether an order has had its answer."""
    return work is not None and work.state is not WorkState.RUNNING


def order_to_carry(minded: Minded) -> Order | None:
    """The order that has no answer yet, if it may be tried.

    An order that was answered and is then withdrawn is answered once more, under the lock; but not if it was
    done, since what is done can't be taken back.
    """
    order = minded.volume.spec.order
    if order is None or minded.answered == (order.id, order.withdrawn):
        return None
    known = minded.work or minded.volume.status.work
    if known is not None and known.order_id == order.id and is_final(known):
        said_all = known.state is WorkState.DONE or known.reason == "Withdrawn"
        if not order.withdrawn or said_all:
            return None
    return None if _is_too_early(minded, order) else order


def _is_too_early(minded: Minded, order: Order) -> bool:
    """What the order would end is there, and the order is not committed: its PersistentVolume may stand yet.

    The child would say the same; this spares the work. Where something else is on the disk, such as what an
    earlier order made, the child is to say what.
    """
    committed = minded.volume.status.committed == order.id
    is_there = minded.report is not None and order.ends in ("", minded.report.tenancy)
    return order.destroys and is_there and not committed and not order.withdrawn


def _is_given_back(minded: Minded, order: Order) -> bool:
    """It is taken back, and no byte is said to be gone: that takes an answer, and no wipe."""
    known = minded.work or minded.volume.status.work
    begun = known is not None and known.order_id == order.id and known.begun
    return order.withdrawn and not begun


def is_mountable(minded: Minded) -> bool:
    """Whether the disk was last seen with a file system of ours that nobody has mounted, and no other volume
    of this node has it."""
    raw = minded.ended.facts.raw if minded.ended is not None else None
    is_others = minded.report is not None and minded.report.presence is Presence.CONFLICT
    return raw is not None and raw.mountable and not is_others


def interrupted(minded: Minded) -> str:
    """How the last process at the order ended, for people; empty: with a word, or nobody saw it."""
    order, said = minded.volume.spec.order, minded.work or minded.volume.status.work
    if order is None or said is None or (said.order_id, said.reason) != (order.id, INTERRUPTED):
        return ""
    return said.message


def is_wipe(order: Order) -> bool:
    """Whether it may write all of a disk for hours, as the wipes do of which a node has two at a time."""
    return order.kind in _WRITES


def _takes_a_slot(minded: Minded, order: Order) -> bool:
    """What mounts, or gives back, is over soon and waits for no other disk's wipe, which may take a day, or
    halt while the fleet is paused: a pod, or somebody who wants data back, waits for it. Each disk has one
    child, which is bound enough."""
    return is_wipe(order) and not _is_given_back(minded, order)


def next_job(
    minded: Minded, now: float, *, free_slot: bool
) -> Literal["order", "observe", "mount", "queue", ""]:
    """Which child to make now: one at a time, and an order before a look. "queue": no slot is free for its
    order, which is noted the first time, and told of from then on."""
    if minded.child is not None:
        return ""
    may_try = minded.waits_until in ("", "queue") or minded.retry_at <= now
    order = order_to_carry(minded) if may_try else None
    if order is not None:
        if free_slot or not _takes_a_slot(minded, order):
            return "order"
        if minded.waits_until != "queue" or minded.retry_at <= now:
            return "queue"
    if is_mountable(minded) and minded.mount_at <= now:
        return "mount"
    return "observe" if minded.observe_at <= now else ""


def due_at(minded: Minded, now: float) -> float:
    """When to look at this volume again, if nothing comes in between. What could be done by now has been."""
    times = [at for at in (minded.write_at, minded.report_at) if at > now]
    child = minded.child
    if child is not None:
        times.append(child.due_at())
    else:
        times.append(minded.observe_at)
        if is_mountable(minded):
            times.append(minded.mount_at)
        if minded.waits_until and order_to_carry(minded) is not None:
            times.append(minded.retry_at)
    return min(times)


def wait(minded: Minded, until: Until, now: float) -> None:
    """Note that the order waits; each further try for the same thing comes later."""
    longest = _LONGEST_S.get(until, LONGEST_RETRY_S)
    pause = min(longest, minded.retry_pause_s * 2) if minded.waits_until == until else FIRST_RETRY_S[until]
    minded.waits_until, minded.retry_pause_s = until, pause
    minded.retry_at = now + pause


def crashed(minded: Minded, now: float) -> None:
    """Note that a look ended without an answer: each further one comes later."""
    minded.crash_pause_s = min(LONGEST_RETRY_S, minded.crash_pause_s * 2 or FIRST_RETRY_S["crash"])
    minded.observe_at = now + minded.crash_pause_s


def found_waiting(minded: Minded, until: Until, now: float) -> None:
    """As `wait`, for what a child has found; but what came while it was at work wakes nobody later."""
    if minded.changed:
        _try_at_once(minded)
    else:
        wait(minded, until, now)


def woken(minded: Minded) -> None:
    """What the order waited for may be over: try at once, or once more when its child has ended."""
    _try_at_once(minded)
    minded.changed = minded.child is not None


def _try_at_once(minded: Minded) -> None:
    minded.waits_until, minded.retry_at, minded.retry_pause_s = "", 0.0, 0.0


def same_work(one: Work | None, other: Work | None) -> bool:
    """Whether both say the same; when it was said does not count."""
    if one is None or other is None:
        return one is other
    return msgspec.structs.replace(one, at="") == msgspec.structs.replace(other, at="")


def unwritten(minded: Minded) -> tuple[DiskReport | None, Work | None]:
    """What has to be written of report and work; None: it is there already."""
    disk = minded.report if minded.report != minded.written else None
    work = minded.work if not same_work(minded.work, minded.written_work) else None
    return disk, work


def is_in_use(minded: Minded) -> bool:
    """It is told that somebody uses the disk. Nothing tells of the end of a raw device's use."""
    return minded.report is not None and bool(minded.report.in_use)


def has_a_node(minded: Minded) -> bool:
    """It is a raw device, or was made one and its entry wants something else by now."""
    was = minded.ended is not None and minded.ended.record.made == BLOCK
    return was or minded.volume.spec.volume_mode == BLOCK


def tenancies(minded: Minded | None, order: Order | None) -> tuple[str, ...]:
    """Every tenancy that the journal or the order has of a disk."""
    record = minded.ended.record if minded is not None and minded.ended is not None else None
    taken = record.order if record is not None else None
    found = (
        record.handed if record is not None else "",
        taken.ends if taken is not None else "",
        order.ends if order is not None else "",
    )
    return tuple(dict.fromkeys(each for each in found if each))
