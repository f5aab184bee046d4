"""Disks and processes that do not answer: what is said of them, and that they hold up no other."""

import os
import signal
from pathlib import Path

from disk_daemon import children, keeper
from disk_daemon.children import Child
from tests.unit.daemon.cases import order
from tests.unit.daemon.keeping import (
    BEGUN,
    HANGS,
    HELD,
    SLOW,
    WIPES,
    World,
    at_work,
    is_done,
    listed,
    presence_of,
)
from tidb_volume.value import Presence, Work, WorkState


def test_a_disk_that_does_not_answer_is_stuck_and_holds_up_no_other(world: World) -> None:
    world.keeper.volume_changed(listed("hung", f"{HANGS}/a"))
    world.keeper.volume_changed(listed("well", "/data/b"))
    world.until("the other disk", lambda: world.last("well")[0])
    world.now += keeper.LOOK_PATIENCE_S + 1
    world.keeper.on_time()
    report = world.last("hung")[0]
    assert report is not None
    assert report.presence is Presence.STUCK
    assert len([job for job in world.spawned if job.volume == "hung"]) == 1
    world.until("its process to be gone", lambda: all(c.job.volume != "hung" for c in world.children.all))
    assert len([job for job in world.spawned if job.volume == "hung"]) == 1


def test_an_order_of_which_nothing_is_heard_says_so_until_something_is(world: World, tmp_path: Path) -> None:
    """One long system call, or a disk that hangs: nobody can tell, and somebody may be looking."""
    world.keeper.volume_changed(listed("slow", f"{SLOW}{tmp_path}/go", order()))
    world.keeper.volume_changed(listed("hung", f"{HANGS}/a", order()))
    world.until("the first word", lambda: world.last("slow")[1])
    world.now += children.SILENT_S - 1
    world.keeper.on_time()
    assert world.last("hung")[1] is None
    assert world.keeper.next_at() <= world.now + 1
    world.now += 1
    world.keeper.on_time()
    for name, begun, files in (("slow", True, 3), ("hung", False, 0)):
        said = world.last(name)[1]
        assert said is not None
        assert (said.state, said.reason, said.begun) == (WorkState.RUNNING, "Silent", begun)
        assert said.done_files == files
        assert "said nothing for 30 s" in said.message
        assert "after 300 s it is ended" in said.message
    told = len(world.api.writes)
    world.now += children.SILENT_S
    world.keeper.on_time()
    assert len([work for _, _, work in world.api.writes[told:] if work]) == 0, "once"
    (tmp_path / "go").touch()
    world.until("the end", lambda: is_done(world.last("slow")[1]))
    world.now += keeper.ORDER_PATIENCE_S
    world.keeper.on_time()
    assert presence_of(world, "hung") is Presence.STUCK


def test_where_an_earlier_process_hangs_it_says_so_and_goes_on_when_that_is_gone(world: World) -> None:
    holder = os.fork()
    if holder == 0:
        signal.pause()
    world.keeper.volume_changed(listed("held", f"{HELD}{holder}", order()))
    world.until("the wait", lambda: world.last("held")[1] is not None)
    disk, said = world.last("held")
    assert said is not None
    assert (said.state, said.reason) == (WorkState.RUNNING, "Locked")
    assert said.message == f"blkid (pid {holder}) hangs"
    world.until("the look", lambda: len(world.spawned) > 1 and world.idle())
    disk, _ = world.last("held")
    assert disk is not None
    assert (disk.presence, disk.message) == (Presence.STUCK, f"blkid (pid {holder}) hangs")
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    world.until("the end", lambda: is_done(world.last("held")[1]))
    assert presence_of(world, "held") is Presence.OK


def test_what_the_journal_has_as_begun_is_said_while_an_earlier_process_hangs(world: World) -> None:
    """It hung before anybody was told."""
    world.keeper.volume_changed(listed("held", f"{BEGUN}{os.getpid()}", order()))
    world.until("the wait", lambda: world.last("held")[1] is not None)
    said = world.last("held")[1]
    assert said is not None
    assert (said.reason, said.begun) == ("Locked", True)


def test_what_was_begun_stays_so_while_an_earlier_process_hangs(world: World) -> None:
    begun = Work(order_id=order().id, state=WorkState.RUNNING, begun=True)
    world.keeper.volume_changed(listed("held", f"{HELD}{os.getpid()}", order(), work=begun))
    world.until("the wait", lambda: world.last("held")[1] is not None)
    said = world.last("held")[1]
    assert said is not None
    assert (said.reason, said.begun) == ("Locked", True)


def test_wipes_that_hang_in_the_kernel_leave_the_node_its_two_wipes(world: World) -> None:
    """What was ended and does not end writes nothing any more: with two dead disks the others go on."""

    def kill(child: Child) -> None:  # as far as it gets with a process in state D
        child.was_killed = True

    world.children.kill = kill  # type: ignore[method-assign]
    for name in ("a", "b"):
        world.keeper.volume_changed(listed(f"hung-{name}", f"{HANGS}/{name}", order()))
    for number in range(3):
        world.keeper.volume_changed(listed(f"v{number}", f"{WIPES}/{number}", order()))
    assert len(at_work(world)) == keeper.WIPES_AT_ONCE
    world.now += keeper.ORDER_PATIENCE_S + 1

    def finished() -> bool:
        works = [world.last(f"v{number}")[1] for number in range(3)]
        return all(each is not None and each.state is WorkState.DONE for each in works)

    world.until("the others to be done", finished)
    world.until("their processes to be gone", lambda: at_work(world) == ["hung-a", "hung-b"])
    assert len([job for job in world.spawned if job.volume == "hung-a"]) == 1
    assert world.busiest == 2 * keeper.WIPES_AT_ONCE, "two that hang, two at work"


def test_a_wipe_whose_volume_was_deleted_counts_until_it_has_ended(world: World) -> None:
    for number in range(2):
        world.keeper.volume_changed(listed(f"gone{number}", f"{WIPES}/{number}", order()))
    for number in range(2):
        world.keeper.volume_gone(f"gone{number}")
        world.keeper.volume_changed(listed(f"v{number}", f"{WIPES}/{number + 2}", order()))

    def finished() -> bool:
        works = [world.last(f"v{number}")[1] for number in range(2)]
        return all(each is not None and each.state is WorkState.DONE for each in works)

    world.until("the others to be done", finished)
    assert world.busiest == keeper.WIPES_AT_ONCE
