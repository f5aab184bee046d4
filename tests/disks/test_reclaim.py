"""A path disk is wiped and made ready for its next tenancy, whatever lies in it and whatever cuts it."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from disk_daemon import journal, kernel
from disk_daemon.facts.folder import Rules
from disk_daemon.known import Given, Live
from disk_daemon.wipe import frame, on_folder
from tests.disks.bench import (
    CLEAN,
    NEXT,
    OLD,
    OTHER,
    Api,
    Disk,
    answered,
    entry_of,
    facts_of,
    fill,
    for_all_of,
    identity_of,
    in_child,
    obey,
    reclaim,
    state,
    volume_with,
)
from tidb_volume.value import Content, Order, Question, Restore


def test_a_released_tenancy_is_wiped_and_the_next_one_made(disk: Disk, rules: Rules) -> None:
    fill(disk.tenancy())
    (disk.path / "of-the-admin").write_text("stays")
    ended = obey(disk, reclaim(identity_of(disk, rules)), rules)
    assert ended.work is not None
    assert state(ended) == ("done", "")
    assert ended.work.done_files == 9
    assert disk.tree() == [*CLEAN, "of-the-admin"]
    assert (disk.ours / NEXT).stat().st_mode & 0o7777 == 0o777
    assert disk.ours.stat().st_mode & 0o7777 == 0o700
    facts = facts_of(disk, rules)
    assert (facts.content, facts.tenancies, facts.empty) == (Content.TENANCY, (NEXT,), True)
    assert ended.record.handed == NEXT
    found = entry_of(disk, rules)
    assert (found.handed, found.past, found.order) == (NEXT, (OLD,), None)


def test_a_disk_that_is_not_to_be_offered_is_left_blank(disk: Disk, rules: Rules) -> None:
    fill(disk.tenancy())
    ended = obey(disk, reclaim(identity_of(disk, rules), offer=False), rules)
    assert state(ended) == ("done", "")
    assert facts_of(disk, rules).content is Content.BLANK
    again = obey(
        disk, Order(id="o2", kind="prepare", next=OTHER, offer=True, identity=identity_of(disk, rules)), rules
    )
    assert state(again) == ("done", "")
    assert disk.tree() == [".tidb-volume", f".tidb-volume/{OTHER}"]


def test_an_order_is_done_once_and_then_only_said_to_be(disk: Disk, rules: Rules) -> None:
    fill(disk.tenancy())
    order = reclaim(identity_of(disk, rules))
    obey(disk, order, rules)
    assert state(obey(disk, order, rules)) == ("done", "")
    (disk.ours / NEXT / "of-the-next-tenant").write_text("x")
    assert state(obey(disk, order, rules)) == ("refused", "HasData")
    assert (disk.ours / NEXT / "of-the-next-tenant").exists()


def test_a_free_disk_is_offered_anew_under_another_tenancy(disk: Disk, rules: Rules) -> None:
    identity = identity_of(disk, rules)
    first = Order(id="o1", kind="prepare", next=OLD, offer=True, identity=identity)
    assert state(obey(disk, first, rules)) == ("done", "")
    second = Order(id="o2", kind="prepare", ends=OLD, next=NEXT, offer=True, identity=identity)
    assert state(obey(disk, second, rules)) == ("done", "")
    assert disk.tree() == CLEAN


def test_adopt_wipe_takes_all_that_is_on_the_disk(disk: Disk, rules: Rules) -> None:
    fill(disk.path)
    (disk.path / "lost+found").mkdir()
    (disk.path / "lost+found" / "#12").write_text("x")
    (disk.tenancy() / "file").write_text("x")
    (disk.ours / "note").write_text("x")
    order = for_all_of(disk, rules, reclaim(identity_of(disk, rules), kind="prepare", answer="q1"))
    api = answered(disk, order)
    ended = obey(disk, order, rules, api)
    assert state(ended) == ("done", ""), ended.work
    assert disk.tree() == [*CLEAN, "lost+found"]


@pytest.mark.parametrize("reading", [1, 2])
def test_a_withdrawn_order_is_journalled_before_it_is_answered_and_never_obeyed_again(
    disk: Disk, rules: Rules, reading: int
) -> None:
    fill(disk.tenancy())
    before = disk.tree()
    order = reclaim(identity_of(disk, rules), claim_uid="c1")
    api = Api(volume_with(disk, order))
    asked = Question(id="q1", kind="restore", about=OLD, text="")
    status = msgspec.structs.replace(api.volume.status, question=asked)
    api.volume = msgspec.structs.replace(api.volume, status=status)

    def on_read(number: int) -> None:
        if number == reading:
            api.change_admin(restore=Restore(question="q1"))
            api.change_order(withdrawn=True)

    api.on_read = on_read
    assert state(obey(disk, order, rules, api)) == ("refused", "Withdrawn")
    found = entry_of(disk, rules)
    assert (found.handed, found.order, found.taken_back) == (OLD, None, ("order-1",))
    assert found.given == (Given(tenancy=OLD, claim_uid="c1"),)
    assert state(obey(disk, order, rules, api)) == ("refused", "Withdrawn")
    assert state(obey(disk, order, rules)) == ("refused", "HasData")
    fresh = msgspec.structs.replace(order, id="order-2")
    assert state(obey(disk, fresh, rules)) == ("refused", "HasData")
    assert disk.tree() == before
    of_another = msgspec.structs.replace(fresh, claim_uid="c2")
    assert state(obey(disk, of_another, rules)) == ("done", "")


@pytest.mark.notices("daemon: a wipe does not hold the disk's lock")
def test_a_second_process_stays_out_while_one_holds_the_disk(disk: Disk, rules: Rules) -> None:
    fill(disk.tenancy())
    before = disk.tree()
    holder = os.open(disk.ours, os.O_RDONLY)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        ended = obey(disk, reclaim(identity_of(disk, rules)), rules)
        assert (state(ended), ended.until) == (("running", "Locked"), "lock")
        assert disk.tree() == before
    finally:
        os.close(holder)


@pytest.mark.guards("a_folder_is_locked")
def test_whichever_step_a_wipe_is_at_a_second_process_stays_out(disk: Disk, rules: Rules) -> None:
    fill(disk.tenancy())
    order = reclaim(identity_of(disk, rules))
    steps: list[str] = []

    def second() -> None:
        assert state(obey(disk, order, rules)) == ("running", "Locked")

    def tick(what: str) -> None:
        steps.append(what)
        assert in_child(second) == 0, what

    assert state(obey(disk, order, rules, tick=tick)) == ("done", "")
    assert {"rename", "journal", "unlink", "rmdir", "mkdir"} <= set(steps)
    assert disk.tree() == CLEAN


@pytest.mark.guards("not_in_use")
def test_a_tenancy_that_a_pod_still_has_mounted_waits(disk: Disk, rules: Rules, tmp_path: Path) -> None:
    folder = disk.tenancy()
    fill(folder)
    before = disk.tree()
    pod = tmp_path / "pods" / "0a0a0a0a-0000-0000-0000-000000000001" / "volumes"
    pod.mkdir(parents=True)
    subprocess.run(["mount", "--bind", folder, pod], check=True)
    order = reclaim(identity_of(disk, rules))
    ended = obey(disk, order, rules)
    assert (state(ended), ended.until) == (("running", "InUse"), "mounts")
    assert ended.work is not None
    assert "0a0a0a0a" in ended.work.message
    assert disk.tree() == before
    subprocess.run(["umount", pod], check=True)
    assert state(obey(disk, order, rules)) == ("done", "")


@pytest.mark.guards("not_in_use")
def test_a_mount_that_only_another_namespace_has_is_found_and_its_process_named(
    disk: Disk, rules: Rules, tmp_path: Path
) -> None:
    folder = disk.tenancy()
    pod = tmp_path / "private"
    pod.mkdir()
    script = f"mount --bind {folder} {pod} && echo ready && exec sleep 60"
    holder = subprocess.Popen(["unshare", "-m", "sh", "-c", script], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "ready\n"
        ended = obey(disk, reclaim(identity_of(disk, rules)), rules)
        assert state(ended) == ("running", "InUse")
        assert ended.pids == (holder.pid,)
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert state(obey(disk, reclaim(identity_of(disk, rules)), rules)) == ("done", "")


@pytest.mark.guards("not_paused")
def test_paused_between_two_entries_it_halts_with_the_lock_held_and_then_ends(
    disk: Disk, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_folder, "LOOK_EVERY_ENTRIES", 2)
    fill(disk.tenancy())
    order = reclaim(identity_of(disk, rules))
    api = Api(volume_with(disk, order))
    left: list[int] = []

    def on_read(reading: int) -> None:
        if reading == 3:
            api.pause()

    def sleep(_: float) -> None:
        left.append(len(disk.tree()))
        second = obey(disk, order, rules)
        assert state(second) == ("running", "Locked")
        if len(left) == 3:
            api.pause(False)

    api.on_read = on_read
    ended = obey(disk, order, rules, api, sleep=sleep)
    assert state(ended) == ("done", "")
    assert len(left) == 3
    assert left[0] == left[1] == left[2] > len(CLEAN)
    assert [(work.reason, work.begun) for work in api.told if work.reason] == [("Paused", True)]
    assert disk.tree() == CLEAN


@pytest.mark.guards("not_paused")
def test_a_pause_that_comes_between_the_rename_and_the_first_unlink_undoes_the_rename(
    disk: Disk, rules: Rules
) -> None:
    fill(disk.tenancy())
    before = disk.tree()
    order = reclaim(identity_of(disk, rules))
    api = Api(volume_with(disk, order))
    api.on_read = lambda reading: api.pause(reading == 2)
    ended = obey(disk, order, rules, api)
    assert state(ended) == ("running", "Paused")
    assert ended.work is not None
    assert not ended.work.begun
    assert disk.tree() == before
    assert entry_of(disk, rules).order is None


@pytest.mark.parametrize("reading", [1, 2])
def test_a_process_frozen_after_a_reading_does_not_act_on_it_when_it_wakes(
    disk: Disk, rules: Rules, reading: int
) -> None:
    """It is stopped with the API's answer in hand; meanwhile the order is withdrawn."""
    fill(disk.tenancy())
    before = disk.tree()
    order = reclaim(identity_of(disk, rules))
    api = Api(volume_with(disk, order))
    plain = api.live
    moment = [0]

    def live(*, lean: bool) -> object:
        found = plain(lean=lean)
        moment[0] += 1
        if moment[0] == reading:
            old = msgspec.structs.replace(found, read_at=found.read_at - frame.LIVE_FOR_S - 0.1)
            api.change_order(withdrawn=True)
            return old
        return found

    api.live = live  # type: ignore[method-assign, assignment]
    ended = obey(disk, order, rules, api)
    assert state(ended) == ("refused", "Withdrawn")
    assert disk.tree() == before


@pytest.mark.notices("daemon: a frozen process goes on with what it read before")
def test_a_look_at_the_disk_is_not_acted_on_once_it_is_old_however_fresh_the_api_s_answer(
    disk: Disk, rules: Rules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is looked at while the API answers; a pod comes before it does, and it takes its time."""
    folder = disk.tenancy()
    fill(folder)
    before = disk.tree()
    pod = tmp_path / "pod"
    pod.mkdir()
    order = reclaim(identity_of(disk, rules))
    api = Api(volume_with(disk, order))
    clock, later_s, questions = kernel.boottime, [0.0], [0]
    monkeypatch.setattr(kernel, "boottime", lambda: clock() + later_s[0])

    def ask(*, lean: bool) -> Callable[[], Live]:
        questions[0] += 1
        if questions[0] != 2:
            return lambda: api.live(lean=lean)

        def answer() -> Live:
            subprocess.run(["mount", "--bind", disk.ours / "trash-order-1" / OLD, pod], check=True)
            later_s[0] = frame.LIVE_FOR_S + 0.1
            return api.live(lean=lean)

        return answer

    api.ask = ask  # type: ignore[method-assign]
    ended = obey(disk, order, rules, api)
    assert state(ended) == ("running", "InUse")
    assert disk.tree() == before


def test_a_process_frozen_right_before_the_first_unlink_wakes_up_and_gives_back(
    disk: Disk, rules: Rules
) -> None:
    """SIGSTOP for real, longer than a reading is good for, after the second reading."""
    fill(disk.tenancy())
    before = disk.tree()
    order = reclaim(identity_of(disk, rules))
    api = Api(volume_with(disk, order))
    journalled = [0]

    def tick(what: str) -> None:
        if what == "journal":
            journalled[0] += 1
            if journalled[0] == 2:
                os.kill(os.getpid(), signal.SIGSTOP)
                api.change_order(withdrawn=True)

    result = Path(rules.state).parent / "result"

    def work() -> None:
        ended = obey(disk, order, rules, api, tick=tick)
        result.write_text(" ".join(state(ended)))

    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    os.waitpid(pid, os.WUNTRACED)
    time.sleep(frame.LIVE_FOR_S + 0.2)
    os.kill(pid, signal.SIGCONT)
    assert os.waitpid(pid, 0)[1] == 0
    assert result.read_text() == "refused Withdrawn"
    assert disk.tree() == before
    assert entry_of(disk, rules).order is None


@pytest.mark.guards("live_is_readable")
def test_an_api_that_cannot_be_read_begins_nothing(disk: Disk, rules: Rules) -> None:
    fill(disk.tenancy())
    before = disk.tree()
    order = reclaim(identity_of(disk, rules))
    api = Api(volume_with(disk, order))
    api.error = "connection refused"
    ended = obey(disk, order, rules, api)
    assert (state(ended), ended.until) == (("running", "ApiUnreadable"), "api")
    assert disk.tree() == before


@pytest.mark.guards("journal_is_readable")
def test_a_journal_that_is_damaged_is_not_taken_for_none(disk: Disk, rules: Rules) -> None:
    fill(disk.tenancy())
    before = disk.tree()
    path = journal.file_of(rules.state, identity_of(disk, rules))
    path.parent.mkdir(parents=True)
    path.write_text("{")
    ended = obey(disk, reclaim(identity_of(disk, rules)), rules)
    assert state(ended) == ("refused", "JournalBroken")
    assert ended.work is not None
    assert str(path) in ended.work.message
    assert disk.tree() == before


def test_a_volume_that_is_wiped_by_two_at_once_is_wiped_once(disk: Disk, rules: Rules) -> None:
    folder = disk.tenancy()
    for number in range(2000):
        (folder / str(number)).touch()
    order = reclaim(identity_of(disk, rules))
    ends: list[tuple[str, str]] = []
    threads = [
        threading.Thread(target=lambda: ends.append(state(obey(disk, order, rules)))) for _ in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert ("done", "") in ends
    assert set(ends) <= {("done", ""), ("running", "Locked")}
    assert disk.tree() == CLEAN
