"""What the daemon has in mind about a volume: which child comes next, how long it waits, what it writes."""

from __future__ import annotations

import socket
from typing import Any

import msgspec
import pytest

from disk_daemon import minded
from disk_daemon.children import NEVER, Child
from disk_daemon.jobs import Ended, Job, Record
from disk_daemon.known import Raw, Taken
from disk_daemon.minded import Minded
from tests.unit.daemon.cases import NEXT, OLD, OTHER, facts, order, volume
from tidb_volume.value import DiskReport, Order, OrderKind, Presence, VolumeMode, Work, WorkState

NOW = 1000.0
change = msgspec.structs.replace


def report(tenancy: str = OLD) -> DiskReport:
    return DiskReport(presence=Presence.OK, tenancy=tenancy)


def work(state: WorkState = WorkState.DONE, reason: str = "", order_id: str = "order-1") -> Work:
    return Work(order_id=order_id, state=state, reason=reason)


def of(
    given: Order | None = None, *, committed: bool = True, told: Work | None = None, **fields: Any
) -> Minded:
    """A committed order to reclaim that has no answer yet. told: what is in `status.work`."""
    given = given or order()
    status = {"committed": given.id if committed else "", "work": told}
    return Minded(volume(given, **status), **{"report": report(), "observe_at": NOW + 60, **fields})


def idle(**fields: Any) -> Minded:
    """A volume without an order."""
    known = of(**fields)
    known.volume = change(known.volume, spec=change(known.volume.spec, order=None))
    return known


def looked(*, mountable: bool = True, device: bool = True) -> Ended:
    """The last look: at a device with a file system of ours on it, or at a folder."""
    raw = Raw(mode="Filesystem", mountable=mountable) if device else None
    return Ended(seen_at=1.0, facts=facts(raw=raw))


def child(*, killed: bool = False) -> Child:
    with socket.socket() as line:
        made = Child(Job(id=1, kind="observe"), line, NOW - 7, 20.0)
    made.was_killed = killed
    return made


CUT = change(work(WorkState.RUNNING, "Interrupted"), message="by SIGKILL")


@pytest.mark.parametrize(
    ("known", "how"),
    [
        (of(), ""),
        (of(work=CUT), "by SIGKILL"),
        (of(told=CUT), "by SIGKILL"),
        (of(work=work(WorkState.RUNNING), told=CUT), ""),
        (of(work=change(CUT, reason="Silent")), ""),
        (of(work=change(CUT, order_id="order-0")), ""),
        (idle(work=CUT), ""),
    ],
)
def test_how_the_last_process_at_the_order_ended_is_known_as_long_as_it_is_told(
    known: Minded, how: str
) -> None:
    assert minded.interrupted(known) == how


def test_what_is_not_said_otherwise() -> None:
    known = Minded(volume(order()))
    assert (known.name, known.uid) == ("v", "uid-1")
    assert (known.writing, known.waits_until, known.answered) == (False, "", ("", False))
    assert (known.not_mounted, known.crash_pause_s) == ("", 0)


# --- which order is still to be carried out ---

DONE, REFUSED, RUNNING = work(), work(WorkState.REFUSED, "HasData"), work(WorkState.RUNNING, "InUse")
GIVEN_BACK = work(WorkState.REFUSED, "Withdrawn")
TAKEN_BACK = order(withdrawn=True)


@pytest.mark.parametrize(
    ("known", "carried"),
    [
        (idle(), False),
        (of(), True),
        (of(answered=("order-1", False)), False),
        (of(answered=("order-0", False)), True),
        (of(TAKEN_BACK, answered=("order-1", False)), True),
        (of(TAKEN_BACK, answered=("order-1", True)), False),
        # What is in status.work, and what was said and is not there yet.
        (of(told=DONE), False),
        (of(told=REFUSED), False),
        (of(told=RUNNING), True),
        (of(told=work(order_id="order-0")), True),
        (of(work=DONE), False),
        (of(work=work(WorkState.FAILED)), False),
        (of(work=RUNNING), True),
        (of(work=RUNNING, told=DONE), True),
        (of(work=DONE, told=work(order_id="order-0")), False),
        # Taken back after it was answered: asked once more, but for what cannot be taken back.
        (of(TAKEN_BACK, told=REFUSED), True),
        (of(TAKEN_BACK, told=work(WorkState.FAILED, "EIO")), True),
        (of(TAKEN_BACK, told=DONE), False),
        (of(TAKEN_BACK, told=GIVEN_BACK), False),
        (of(told=GIVEN_BACK), False),
    ],
)
def test_an_order_is_carried_out_until_it_has_its_answer(known: Minded, carried: bool) -> None:
    assert minded.order_to_carry(known) == (known.volume.spec.order if carried else None)


FIRST_USE = order(kind="prepare", ends="")
MOUNT, UNMOUNT = order(kind="mount", ends="", next=OLD), order(kind="unmount")


@pytest.mark.parametrize(
    ("known", "carried"),
    [
        (of(committed=False), False),
        (of(order(ends=""), committed=False), False),
        (of(order(ends=""), committed=False, report=None), True),
        (of(order(withdrawn=True), committed=False), True),
        (of(committed=False, report=None), True),
        (of(committed=False, report=report(OTHER)), True),
        (of(committed=False, report=report("")), True),
        (of(FIRST_USE, committed=False), True),
        (of(change(FIRST_USE, ends=OLD), committed=False), True),
        (of(change(FIRST_USE, answer="q-1"), committed=False), False),
        (of(change(FIRST_USE, answer="q-1"), committed=True), True),
        (of(change(FIRST_USE, answer="q-1", ends=OTHER), committed=False), True),
    ],
)
def test_an_order_that_destroys_waits_for_its_commit_where_what_it_ends_is_there(
    known: Minded, carried: bool
) -> None:
    """Else the child would be made again and again, only to say that it is not committed."""
    assert (minded.order_to_carry(known) is not None) is carried


@pytest.mark.parametrize(
    ("said", "final"),
    [(None, False), (RUNNING, False), (DONE, True), (REFUSED, True), (work(WorkState.FAILED), True)],
)
def test_running_is_no_answer(said: Work | None, final: bool) -> None:
    assert minded.is_final(said) is final


@pytest.mark.parametrize(
    ("ended", "mountable"),
    [(None, False), (looked(), True), (looked(mountable=False), False), (looked(device=False), False)],
)
def test_only_a_device_with_a_file_system_of_ours_is_to_be_mounted(
    ended: Ended | None, mountable: bool
) -> None:
    assert minded.is_mountable(idle(ended=ended)) is mountable


def test_what_another_volume_of_this_node_has_is_not_to_be_mounted_for_this_one() -> None:
    told = DiskReport(presence=Presence.CONFLICT)
    assert not minded.is_mountable(idle(ended=looked(), report=told))
    assert minded.is_mountable(idle(ended=looked(), report=None))


# --- which child comes next ---


@pytest.mark.parametrize(
    ("known", "free_slot", "job"),
    [
        (of(child=child(), observe_at=0.0), True, ""),
        (of(), True, "order"),
        (of(), False, "queue"),
        (of(waits_until="queue", retry_at=NEVER), True, "order"),
        (of(waits_until="queue", retry_at=NEVER), False, ""),
        (of(waits_until="queue", retry_at=NEVER, observe_at=NOW), False, "observe"),
        (of(waits_until="queue", retry_at=NOW + 0.1), False, ""),
        (of(waits_until="queue", retry_at=NOW), False, "queue"),
        (of(FIRST_USE, committed=False), False, "queue"),
        (of(MOUNT, committed=False), False, "order"),
        (of(UNMOUNT, committed=False), False, "order"),
        (of(MOUNT, committed=False, waits_until="mounts", retry_at=NOW + 0.1), False, ""),
        (of(TAKEN_BACK), False, "order"),
        (of(TAKEN_BACK, waits_until="queue", retry_at=NEVER), False, "order"),
        (of(TAKEN_BACK, waits_until="mounts", retry_at=NOW + 0.1), False, ""),
        (of(TAKEN_BACK, told=DONE), False, ""),
        (of(TAKEN_BACK, told=RUNNING), False, "order"),
        (of(TAKEN_BACK, told=change(RUNNING, begun=True)), False, "queue"),
        (of(TAKEN_BACK, work=change(RUNNING, begun=True)), False, "queue"),
        (of(TAKEN_BACK, told=change(RUNNING, begun=True, order_id="order-0")), False, "order"),
        (of(waits_until="", retry_at=NEVER), True, "order"),
        (of(waits_until="", retry_at=NEVER), False, "queue"),
        (of(waits_until="mounts", retry_at=NOW + 0.1), True, ""),
        (of(waits_until="mounts", retry_at=NOW), True, "order"),
        (of(waits_until="mounts", retry_at=NOW - 0.1), True, "order"),
        (of(waits_until="mounts", retry_at=NOW + 0.1, observe_at=NOW), True, "observe"),
        (of(waits_until="volume", retry_at=NEVER), True, ""),
        (idle(), True, ""),
        (idle(observe_at=NOW), True, "observe"),
        (idle(observe_at=NOW - 1), True, "observe"),
        (idle(observe_at=NOW + 0.1), True, ""),
        (idle(ended=looked(), mount_at=NOW), True, "mount"),
        (idle(ended=looked(), mount_at=NOW - 1), True, "mount"),
        (idle(ended=looked(), mount_at=NOW + 0.1), True, ""),
        (idle(ended=looked(), mount_at=NOW, observe_at=NOW), True, "mount"),
        (idle(ended=looked(mountable=False), mount_at=NOW, observe_at=NOW), True, "observe"),
        (of(ended=looked(), mount_at=NOW), True, "order"),
        (of(ended=looked(), mount_at=NOW), False, "queue"),
        (of(ended=looked(), mount_at=NOW, waits_until="queue", retry_at=NOW + 1), False, "mount"),
    ],
)
def test_there_is_one_child_at_a_time_and_an_order_comes_before_a_look_and_a_wipe_waits_for_a_free_slot(
    known: Minded, free_slot: bool, job: str
) -> None:
    assert minded.next_job(known, NOW, free_slot=free_slot) == job


@pytest.mark.parametrize(
    ("kind", "wipes"), [("reclaim", True), ("prepare", True), ("mount", False), ("unmount", False)]
)
def test_what_may_write_all_of_a_disk_is_a_wipe(kind: OrderKind, *, wipes: bool) -> None:
    assert minded.is_wipe(order(kind=kind)) is wipes


# --- when to look again ---


@pytest.mark.parametrize(
    ("known", "at"),
    [
        (idle(), NOW + 60),
        (idle(write_at=NOW + 1), NOW + 1),
        (idle(report_at=NOW + 2), NOW + 2),
        (idle(write_at=NOW + 3, report_at=NOW + 2), NOW + 2),
        (idle(write_at=NOW), NOW + 60),
        (idle(write_at=NOW - 1, report_at=NOW - 1), NOW + 60),
        (idle(ended=looked(), mount_at=NOW + 5), NOW + 5),
        (idle(ended=looked(mountable=False), mount_at=NOW + 5), NOW + 60),
        (idle(child=child()), NOW + 13),
        (idle(child=child(), ended=looked(), mount_at=NOW + 5), NOW + 13),
        (idle(child=child(killed=True)), NEVER),
        (idle(child=child(killed=True), write_at=NOW + 1), NOW + 1),
        (of(), NOW + 60),
        (of(waits_until="mounts", retry_at=NOW + 9), NOW + 9),
        (of(waits_until="api", retry_at=NOW + 9), NOW + 9),
        (of(waits_until="", retry_at=NOW + 9), NOW + 60),
        (of(waits_until="queue", retry_at=NOW + 9), NOW + 9),
        (of(waits_until="volume", retry_at=NOW + 9), NOW + 9),
        (of(waits_until="mounts", retry_at=NOW + 9, answered=("order-1", False)), NOW + 60),
        (idle(waits_until="mounts", retry_at=NOW + 9), NOW + 60),
    ],
)
def test_the_moment_to_look_again_is_the_first_at_which_anything_could_be_done(
    known: Minded, at: float
) -> None:
    assert minded.due_at(known, NOW) == at


# --- how long an order waits ---


@pytest.mark.parametrize(
    ("until", "pauses"),
    [
        ("api", (1.0, 2.0, 4.0, 5.0, 5.0)),
        ("lock", (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0)),
        ("crash", (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0)),
        ("device", (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)),
        ("mounts", (30.0, 30.0)),
        ("volume", (30.0, 60.0, 120.0, 240.0, 480.0, 600.0, 600.0)),
        ("queue", (10.0, 20.0, 40.0, 60.0, 60.0)),
    ],
)
def test_each_further_wait_for_the_same_thing_is_longer(
    until: minded.Until, pauses: tuple[float, ...]
) -> None:
    known = of()
    for pause in pauses:
        minded.wait(known, until, NOW)
        assert (known.waits_until, known.retry_pause_s, known.retry_at) == (until, pause, NOW + pause)


def test_a_wait_for_something_else_begins_anew() -> None:
    known = of()
    for until, pause in (("api", 1.0), ("api", 2.0), ("lock", 0.5), ("api", 1.0)):
        minded.wait(known, until, NOW)  # type: ignore[arg-type]
        assert known.retry_pause_s == pause


def test_what_a_child_found_to_wait_for_is_waited_for_unless_something_came_meanwhile() -> None:
    known = of()
    minded.found_waiting(known, "mounts", NOW)
    assert (known.waits_until, known.retry_at, known.retry_pause_s) == ("mounts", NOW + 30, 30)
    known.changed = True
    minded.found_waiting(known, "mounts", NOW)
    assert (known.waits_until, known.retry_at, known.retry_pause_s) == ("", 0.0, 0.0)


@pytest.mark.parametrize("at_work", [True, False])
def test_who_is_woken_while_a_child_is_at_work_is_told_so(*, at_work: bool) -> None:
    known = of(child=child() if at_work else None)
    minded.woken(known)
    assert known.changed is at_work
    known.child = None
    minded.woken(known)
    assert not known.changed


def test_who_is_woken_tries_at_once_and_waits_as_if_for_the_first_time() -> None:
    known = of()
    minded.wait(known, "mounts", NOW)
    minded.woken(known)
    assert (known.waits_until, known.retry_at, known.retry_pause_s) == ("", 0.0, 0.0)
    assert minded.next_job(known, NOW, free_slot=True) == "order"


# --- what is to be written ---


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (None, None, True),
        (None, DONE, False),
        (DONE, None, False),
        (DONE, DONE, True),
        (DONE, change(DONE, at="2027-01-01T00:00:00Z"), True),
        (change(DONE, at="2027-01-01T00:00:00Z"), DONE, True),
        (DONE, REFUSED, False),
        (DONE, change(DONE, done_bytes=1), False),
    ],
)
def test_when_it_was_said_is_no_news(one: Work | None, other: Work | None, same: bool) -> None:
    assert minded.same_work(one, other) is same


@pytest.mark.parametrize(
    ("known", "written"),
    [
        (of(report=report(), written=report(), work=DONE, written_work=DONE), (None, None)),
        (of(report=report(NEXT), written=report(), work=DONE, written_work=DONE), (report(NEXT), None)),
        (of(report=report(), written=None), (report(), None)),
        (of(report=report(), written=report(), work=DONE, written_work=RUNNING), (None, DONE)),
        (of(report=report(NEXT), work=DONE), (report(NEXT), DONE)),
        (of(report=None), (None, None)),
    ],
)
def test_only_what_is_not_there_yet_is_written(
    known: Minded, written: tuple[DiskReport | None, Work | None]
) -> None:
    assert minded.unwritten(known) == written


# --- what is known of a disk ---


@pytest.mark.parametrize(
    ("told", "used"),
    [(None, False), (report(), False), (change(report(), in_use="loop7 on it"), True)],
)
def test_a_disk_is_in_use_where_that_is_told(told: DiskReport | None, used: bool) -> None:
    assert minded.is_in_use(of(report=told)) is used


@pytest.mark.parametrize(
    ("mode", "ended", "has"),
    [
        ("Filesystem", None, False),
        ("Filesystem", looked(), False),
        ("Filesystem", change(looked(), record=Record(made="Block")), True),
        ("Block", None, True),
        ("Block", change(looked(), record=Record(made="Filesystem ext4")), True),
    ],
)
def test_what_is_or_was_a_raw_device_has_a_node(mode: VolumeMode, ended: Ended | None, has: bool) -> None:
    known = of(ended=ended)
    known.volume = change(known.volume, spec=change(known.volume.spec, volume_mode=mode))
    assert minded.has_a_node(known) is has


TAKEN = Taken(id="order-0", kind="reclaim", ends=OTHER, next=NEXT)


@pytest.mark.parametrize(
    ("known", "given", "found"),
    [
        (None, None, ()),
        (None, order(), (OLD,)),
        (of(), None, ()),
        (of(ended=looked()), None, ()),
        (of(ended=change(looked(), record=Record(handed=OLD))), order(), (OLD,)),
        (of(ended=change(looked(), record=Record(handed=OLD))), None, (OLD,)),
        (of(ended=change(looked(), record=Record(handed=NEXT, order=TAKEN))), order(), (NEXT, OTHER, OLD)),
        (of(ended=change(looked(), record=Record(order=change(TAKEN, ends="")))), order(ends=""), ()),
    ],
)
def test_tenancies_are_those_of_the_journal_and_of_the_order(
    known: Minded | None, given: Order | None, found: tuple[str, ...]
) -> None:
    assert minded.tenancies(known, given) == found


def test_looks_that_crash_come_later_each_time_and_not_later_than_that() -> None:
    known = of()
    for pause in (1, 2, 4, 8, 16, 30, 30, 30):
        minded.crashed(known, NOW)
        assert (known.crash_pause_s, known.observe_at) == (pause, NOW + pause)
