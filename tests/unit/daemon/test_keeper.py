"""The daemon's traffic: who works on which disk, and what is written."""

from pathlib import Path

import msgspec
import pytest

from disk_daemon import keeper, kernel, telling
from disk_daemon.jobs import Job
from tests.unit.daemon.cases import NEXT, UID, facts, order, volume
from tests.unit.daemon.keeping import (
    ASKED_BACK,
    BARRED,
    CRASHES,
    DROPPED,
    HANGS,
    USED,
    WIPES,
    World,
    is_done,
    listed,
)
from tidb_volume.value import (
    DiskReport,
    Meta,
    Order,
    Owner,
    Phase,
    Presence,
    Ref,
    Volume,
    Work,
    WorkState,
)


def test_a_volume_is_looked_at_once_and_reported_once(world: World) -> None:
    world.keeper.volume_changed(listed("v", "/data/a"))
    world.until("a report", lambda: world.last("v")[0] and world.idle())
    assert len([job for job in world.spawned if job.kind == "observe"]) == 1
    report = world.last("v")[0]
    world.keeper.volume_changed(listed("v", "/data/a", disk=report))
    world.until("the survey too", lambda: world.api.node and world.idle())
    assert len([write for write in world.api.writes if write[0] == "v"]) == 1
    world.now += 61
    world.until("another look", lambda: world.idle() and len(world.spawned) >= 4)
    assert len([write for write in world.api.writes if write[0] == "v"]) == 1


def test_the_first_report_names_a_survey_that_was_made_since_the_volume_is_there(world: World) -> None:
    """The controller sees volume and survey by two watches: only the number tells which came after which."""
    began = kernel.boottime() * 1000
    world.keeper.volume_changed(listed("v", "/data/a"))
    world.until("a report", lambda: world.last("v")[0] and world.idle())
    first = world.last("v")[0]
    assert first is not None
    assert world.api.node is not None
    assert began <= first.survey == world.api.node.at
    world.now += 61
    world.until("a survey that shows the same", lambda: len(surveys(world)) == 2 and world.idle())
    assert world.api.node.at == first.survey, "it is not written again"
    world.keeper.volume_changed(listed("ww", "/data/b"))
    world.until("a report", lambda: world.last("ww")[0] and world.idle())
    second = world.last("ww")[0]
    assert second is not None
    assert world.api.node.at == second.survey > first.survey
    assert world.last("v")[0] == first, "nor is what began with an earlier one"


def surveys(world: World) -> list[Job]:
    return [job for job in world.spawned if job.kind == "survey"]


def test_a_disk_that_comes_or_goes_has_the_machine_surveyed_at_once_where_a_node_may_lead_to_it(
    world: World,
) -> None:
    raw = listed("a", "/data/a")
    raw = msgspec.structs.replace(raw, spec=msgspec.structs.replace(raw.spec, volume_mode="Block"))
    world.keeper.volume_changed(raw)
    world.until("the first survey", lambda: len(surveys(world)) == 1 and world.idle())
    world.now += 10
    world.keeper.disks_moved()
    world.now += 0.5
    world.until("another one", lambda: len(surveys(world)) == 2 and world.idle())
    for _ in range(10):
        world.keeper.disks_moved()
        world.now += 0.1
        world.until("nothing", world.idle)
    assert len(surveys(world)) == 2, "not for each of many"
    world.now += 1
    world.until("one for all of them", lambda: len(surveys(world)) == 3 and world.idle())


def test_a_disk_that_comes_or_goes_is_no_news_where_no_volume_is_a_raw_device(world: World) -> None:
    world.keeper.volume_changed(listed("a", "/data/a"))
    world.until("the first survey", lambda: len(surveys(world)) == 1 and world.idle())
    world.now += 10
    world.keeper.disks_moved()
    world.now += 5
    world.until("nothing", world.idle)
    assert len(surveys(world)) == 1


def test_a_report_does_not_wait_long_for_a_survey_and_is_written_again_with_it(world: World) -> None:
    world.api.no_surveys = True
    world.keeper.volume_changed(listed("v", "/data/a"))
    world.until("a look and a survey", lambda: len(world.spawned) == 2 and world.idle())
    assert not world.api.writes
    world.now += telling.SURVEY_WAIT_S + 0.1
    world.keeper.on_time()
    world.api.no_surveys = False
    world.now += telling.SURVEY_AGAIN_S
    world.until("a report with it", lambda: len(world.api.writes) == 2)
    without, with_it = (disk for _, disk, _ in world.api.writes)
    assert without is not None
    assert with_it is not None
    assert without.survey == 0 < with_it.survey
    assert with_it == msgspec.structs.replace(without, survey=with_it.survey)


def test_a_new_volume_has_the_machine_surveyed_and_written_again(world: World) -> None:
    world.keeper.volume_changed(listed("v", "/data/a"))
    world.until("a survey", lambda: world.api.node and world.idle())
    world.api.node = None  # somebody deleted it
    world.keeper.volume_changed(listed("v", "/data/a"))
    world.until("nothing to do", world.idle)
    assert world.api.node is None
    world.keeper.volume_changed(listed("w", "/data/b"))
    world.until("a survey again", lambda: world.api.node and world.idle())


def test_what_is_seen_of_the_machine_is_written_again_where_an_offer_waits_for_it(world: World) -> None:
    """Somebody deleted it, or an etcd went back to one of another boot: it is watched by nobody here."""
    world.keeper.volume_changed(listed("v", "/data/a"))
    world.until("a survey", lambda: world.api.node and world.last("v")[0] and world.idle())
    world.api.node = None
    waits = listed("v", "/data/a", reason="NotObserved", disk=world.last("v")[0])
    world.keeper.volume_changed(waits)
    world.until("a survey again", lambda: world.api.node and world.idle())
    world.api.node = None
    world.keeper.volume_changed(waits)
    world.until("nothing to do", world.idle)
    assert world.api.node is None, "asked for once"
    world.keeper.volume_changed(listed("v", "/data/a", order()))
    world.until("a survey after a wipe", lambda: world.api.node and world.idle())


def test_the_report_and_the_answer_to_an_order_are_one_write(world: World) -> None:
    before = DiskReport(presence=Presence.OK, boot=facts().boot, survey=1)
    world.keeper.volume_changed(listed("v", "/data/a", order(), disk=before))
    world.until("the answer", lambda: world.last("v")[1])
    disk, said = world.api.writes[-1][1:]
    assert disk is not None
    assert disk.tenancy == NEXT
    assert said is not None
    assert said.state is WorkState.DONE


def test_an_order_that_was_answered_is_not_carried_out_again(world: World) -> None:
    done = Work(order_id="order-1", state=WorkState.DONE)
    world.keeper.volume_changed(listed("v", "/data/a", order(), work=done))
    world.until("a look", lambda: world.last("v")[0] and world.idle())
    assert [job.kind for job in world.spawned if job.kind != "survey"] == ["observe"]


def test_an_order_that_comes_again_without_its_answer_is_answered_again(world: World) -> None:
    """As out of an etcd that was set back."""
    world.keeper.volume_changed(listed("v", "/data/a", order()))
    world.until("the answer", lambda: world.last("v")[1] and world.idle())
    world.keeper.volume_changed(listed("v", "/data/a"))
    world.api.writes.clear()
    world.keeper.volume_changed(listed("v", "/data/a", order()))
    world.until("the answer, again", lambda: world.last("v")[1])


def test_an_order_that_was_refused_and_is_then_withdrawn_is_answered_once_more(world: World) -> None:
    refused = Work(order_id="order-1", state=WorkState.REFUSED, reason="Breaker")
    world.keeper.volume_changed(listed("v", "/data/a", order(withdrawn=True), work=refused))
    world.until("the answer", lambda: world.last("v")[1])
    withdrawn = Work(order_id="order-1", state=WorkState.REFUSED, reason="Withdrawn")
    world.keeper.volume_changed(listed("w", "/data/b", order(withdrawn=True), work=withdrawn))
    world.until("a look", lambda: world.last("w")[0] and world.idle())
    assert [job.volume for job in world.spawned if job.kind == "order"] == ["v"]


def test_an_order_that_is_not_committed_waits_for_the_commit(world: World) -> None:
    first = listed("v", "/data/a", order(), committed="")
    world.keeper.volume_changed(listed("v", "/data/a"))
    world.until("a look", lambda: world.last("v")[0] and world.idle())
    world.keeper.volume_changed(first)
    assert "order" not in [job.kind for job in world.spawned]
    world.keeper.volume_changed(listed("v", "/data/a", order()))
    world.until("the answer", lambda: world.last("v")[1])


def test_an_order_that_the_server_has_no_more_is_carried_out_once_it_has_it_again(world: World) -> None:
    """An etcd that is set back brings it again, and no watch tells of that."""
    world.keeper.volume_changed(listed("v", DROPPED, order(id="o1")))
    world.until("a child to be told of another order", lambda: at_work_on(world) == 1 and world.idle())
    assert world.last("v")[1] is None
    world.now += 300
    world.until("it to be tried again", lambda: at_work_on(world) == 2 and world.idle())


def at_work_on(world: World) -> int:
    return sum(1 for job in world.spawned if job.kind == "order")


def test_at_most_two_disks_are_wiped_at_once_and_all_in_the_end(world: World) -> None:
    for number in range(5):
        world.keeper.volume_changed(listed(f"v{number}", f"{WIPES}/{number}", order()))

    def finished() -> bool:
        works = [world.last(f"v{number}")[1] for number in range(5)]
        return all(each is not None and each.state is WorkState.DONE for each in works)

    world.until("all to be done", finished)
    assert world.busiest == keeper.WIPES_AT_ONCE


def wiping_for_a_day(world: World) -> None:
    for name in ("a", "b"):
        world.keeper.volume_changed(listed(name, f"{HANGS}/{name}", order()))


def test_who_waits_for_others_wipes_is_told_so_once_that_lasts_and_of_which_disks(world: World) -> None:
    """A queue that is over in a moment is nobody's business."""
    wiping_for_a_day(world)
    world.keeper.volume_changed(listed("v", "/data/v", order(kind="prepare", ends="")))
    world.until("the look at it", lambda: world.last("v")[0] and at_rest(world, "v"))
    assert world.last("v")[1] is None
    assert world.keeper.next_at() <= world.now + 10
    world.now += 10
    world.keeper.on_time()
    said = world.last("v")[1]
    assert said is not None
    assert (said.state, said.reason) == (WorkState.RUNNING, "Queued")
    assert said.message == "this node's wipes are at work on a, b"
    told = len(world.api.writes)
    for _ in range(5):
        world.now += 20
        world.keeper.on_time()
    assert not [each for name, _, each in world.api.writes[told:] if name == "v" and each], "once"


def at_rest(world: World, name: str) -> bool:
    return all(each.job.volume != name for each in world.children.all)


@pytest.mark.parametrize(
    "given",
    [order(kind="mount", ends="", next=NEXT), order(kind="unmount"), order(withdrawn=True)],
    ids=["mount", "unmount", "given back"],
)
def test_what_is_no_wipe_waits_for_no_other_disks_wipe(world: World, given: Order) -> None:
    """A pod waits for its mount, and somebody for his data."""
    wiping_for_a_day(world)
    world.keeper.volume_changed(listed("v", "/data/v", given))
    world.until("the answer", lambda: is_done(world.last("v")[1]))


def test_mounts_that_take_their_time_hold_up_no_wipe(world: World) -> None:
    for name in ("a", "b"):
        world.keeper.volume_changed(listed(name, f"{HANGS}/{name}", order(kind="mount", ends="")))
    world.keeper.volume_changed(listed("v", "/data/v", order()))
    world.until("the wipe", lambda: is_done(world.last("v")[1]))


def test_a_hold_that_a_child_alone_saw_is_looked_for_again_though_nobody_tells_that_it_is_over(
    world: World, tmp_path: Path
) -> None:
    """Put and lifted between two states that the watch handed over: to the parent nothing has changed."""
    hold = tmp_path / "hold"
    hold.touch()
    held = listed("v", f"{BARRED}{hold}", order())
    world.keeper.volume_changed(held)
    world.until("the wait", lambda: world.last("v")[1] and world.idle())
    told = len([work for _, _, work in world.api.writes if work])
    world.now += 30
    world.until("another try", lambda: at_work_on(world) == 2 and world.idle())
    assert len([work for _, _, work in world.api.writes if work]) == told, "what is the same is not written"
    hold.unlink()
    world.keeper.volume_changed(held)
    world.until("nothing", world.idle)
    assert at_work_on(world) == 2
    world.now += 60
    world.until("the answer", lambda: is_done(world.last("v")[1]))


def test_what_comes_while_a_child_is_at_work_is_not_missed(world: World) -> None:
    """Found on a real cluster: a restore was asked for, read by the child, and the order was withdrawn before
    the child had said so; and nobody woke it any more."""
    world.keeper.volume_changed(listed("asked", f"{ASKED_BACK}/x", order()))
    world.until("the child", lambda: any(job.kind == "order" for job in world.spawned))
    withdrawn = msgspec.structs.replace(order(), withdrawn=True)
    world.keeper.volume_changed(listed("asked", f"{ASKED_BACK}/x", withdrawn))
    world.until("the answer", lambda: is_done(world.last("asked")[1]))
    assert [job.order.withdrawn for job in world.spawned if job.order is not None] == [False, True]


def test_a_child_that_crashes_is_followed_by_another_later(world: World) -> None:
    world.keeper.volume_changed(listed("v", CRASHES, order()))
    world.until("the word of it", lambda: world.last("v")[1])
    said = world.last("v")[1]
    assert said is not None
    assert (said.state, said.reason) == (WorkState.RUNNING, "Interrupted")
    orders = [job for job in world.spawned if job.kind == "order"]
    assert len(orders) == 1
    world.now += 2
    world.until("another try", lambda: len([job for job in world.spawned if job.kind == "order"]) == 2)


def test_an_order_that_waits_for_the_same_thing_again_is_tried_later_each_time(world: World) -> None:
    def tries() -> int:
        return len([job for job in world.spawned if job.kind == "order"])

    world.keeper.volume_changed(listed("v", CRASHES, order()))
    for number, pause in enumerate((1, 2, 4, 8, 16, 30, 30), 1):
        world.until("a try", lambda: tries() == number and world.idle())  # noqa: B023
        world.now += pause - 0.1
        world.keeper.on_time()
        assert tries() == number, pause
        world.now += 0.2


def test_what_could_not_be_written_is_looked_at_anew_before_it_is_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.api.down = True
    world.keeper.volume_changed(listed("v", "/data/a"))
    world.until("the look", lambda: world.keeper.volumes[0].write_at and world.idle())
    monkeypatch.setattr(telling, "REPORT_FOR_S", -1.0)
    world.api.down = False
    looks = len([job for job in world.spawned if job.kind == "observe"])
    world.now += 1
    world.keeper.on_time()
    assert len([job for job in world.spawned if job.kind == "observe"]) == looks + 1
    monkeypatch.setattr(telling, "REPORT_FOR_S", 5.0)
    world.until("the report", lambda: world.last("v")[0])


def test_only_a_change_at_its_own_mount_makes_a_disk_looked_at_again(world: World) -> None:
    world.keeper.volume_changed(listed("v", "/data/a"))
    world.until("a look", lambda: world.last("v")[0] and world.idle())
    world.mounts = b"1 1 8:1 / /data/a rw - xfs /dev/a rw"
    world.keeper.mounts_changed()
    world.until("another look", lambda: world.idle())
    looks = len([job for job in world.spawned if job.kind == "observe"])
    assert looks == 2
    world.mounts += b"\n2 1 9:9 / /elsewhere rw - xfs /dev/b rw"
    world.keeper.mounts_changed()
    world.until("nothing", lambda: world.idle())
    assert len([job for job in world.spawned if job.kind == "observe"]) == looks


def test_a_claim_that_comes_has_the_disk_looked_at_and_one_that_goes_does_not(world: World) -> None:
    def looks(volume: Volume) -> int:
        before = len(world.spawned)
        world.keeper.volume_changed(volume)
        world.until("nothing to do", world.idle)
        return len([job for job in world.spawned[before:] if job.kind == "observe"])

    claim = Ref(name="data", namespace="ns", uid="claim-1")
    owner = Owner(claim=claim)
    world.keeper.volume_changed(listed("v", "/data/a"))
    world.until("a look", lambda: world.last("v")[0] and world.idle())
    assert looks(listed("v", "/data/a", phase=Phase.BOUND, owner=owner)) == 1
    assert looks(listed("v", "/data/a", phase=Phase.RELEASED, owner=owner)) == 0
    assert looks(listed("v", "/data/a", phase=Phase.AVAILABLE)) == 0
    other = Owner(claim=msgspec.structs.replace(claim, uid="claim-2"))
    assert looks(listed("v", "/data/a", phase=Phase.BOUND, owner=other)) == 1


def test_a_disk_that_was_in_use_is_looked_at_when_its_claim_goes(world: World) -> None:
    """Who has a raw device leaves no trace in the host's mount table, and the wipe waits until it is told."""
    owner = Owner(claim=Ref(name="data", namespace="ns", uid="claim-1"))
    world.keeper.volume_changed(listed("v", USED, phase=Phase.BOUND, owner=owner))
    world.until("a look", lambda: world.last("v")[0] and world.idle())
    before = len(world.spawned)
    world.keeper.volume_changed(listed("v", USED, phase=Phase.RELEASED, owner=owner))
    world.until("another look", lambda: world.idle())
    assert [job.kind for job in world.spawned[before:]] == ["observe"]


def test_a_volume_that_was_made_again_starts_from_nothing(world: World) -> None:
    world.keeper.volume_changed(listed("v", "/data/a"))
    world.until("a report", lambda: world.last("v")[0] and world.idle())
    again = msgspec.structs.replace(listed("v", "/data/a"), metadata=Meta(name="v", uid="another"))
    world.keeper.volume_changed(again)
    world.until("a report of its own", lambda: len([w for w in world.api.writes if w[0] == "v"]) == 2)
    world.keeper.volume_gone("v")
    assert world.keeper.volumes == ()


def test_a_disk_is_no_conflict_any_more_once_the_other_volume_of_it_is_gone(world: World) -> None:
    def is_told(name: str, presence: Presence) -> bool:
        report = world.last(name)[0]
        return report is not None and report.presence is presence

    for name in ("v", "w"):  # one device, since a child here takes its number from the name's length
        world.keeper.volume_changed(listed(name, f"/data/{name}"))
    for name in ("v", "w"):
        world.until("both to be told", lambda name=name: is_told(name, Presence.CONFLICT))  # type: ignore[misc]
    world.keeper.volume_gone("v")
    world.until("the other to be told", lambda: is_told("w", Presence.OK))


def test_the_end_of_the_daemon_is_the_end_of_every_child() -> None:
    made = World()
    made.keeper.volume_changed(listed("hung", f"{HANGS}/a"))
    made.end()
    assert volume(order()).metadata.uid == UID


def test_the_daemon_loads_nothing_heavy() -> None:
    import subprocess
    import sys

    check = (
        "import sys, disk_daemon.app, disk_daemon.child; "
        "sys.exit(sum(name in sys.modules for name in ('kubernetes', 'yaml', 'asyncio', 'pydantic')))"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
    light = (
        "import sys, disk_daemon.child; "
        "sys.exit(sum(name in sys.modules for name in ('ssl', 'http.client', 'prometheus_client')))"
    )
    subprocess.run([sys.executable, "-c", light], check=True)
