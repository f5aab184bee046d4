"""What the node has on record of its wipes: each one's beginning and end, each refusal, each failure."""

from __future__ import annotations

import errno
import logging
import os
import signal
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from disk_daemon.facts.folder import Rules
from tests.disks.bench import (
    NEXT,
    OLD,
    OTHER,
    AnyDisk,
    Api,
    Disk,
    RawDisk,
    die_at,
    fill,
    for_all_of,
    identity_of,
    in_child,
    obey,
    reclaim,
    state,
    volume_with,
)
from tests.disks.device import entry_of, prepare
from tidb_volume import audit
from tidb_volume.audit import AuditLine
from tidb_volume.obs.log import JsonLines
from tidb_volume.value import Adopt, Order, Owner, Question, Ref

CLAIM = Ref(namespace="db", name="data-0", uid="claim-1")
POD = Ref(namespace="db", name="tikv-0", uid="pod-1")


def on_record(rules: Rules) -> list[AuditLine]:
    lines, broken = audit.read((Path(rules.state) / audit.FILE).read_bytes())
    assert broken == []
    return lines


def whose(disk: AnyDisk, order: Order) -> Api:
    """The API, with the disk's last owner in the volume's status."""
    volume = volume_with(disk, order)
    status = msgspec.structs.replace(volume.status, owner=Owner(claim=CLAIM, last_pod=POD))
    return Api(msgspec.structs.replace(volume, status=status))


@pytest.fixture(params=["folder", "device"])
def had(request: pytest.FixtureRequest) -> AnyDisk:
    """A disk with a tenant's data."""
    if request.param == "device":
        used: RawDisk = request.getfixturevalue("used")
        return used
    disk: Disk = request.getfixturevalue("disk")
    fill(disk.tenancy())
    return disk


def test_a_wipe_is_on_record_with_disk_tenancy_claim_and_who_asked_for_it(had: AnyDisk, rules: Rules) -> None:
    order = reclaim(identity_of(had, rules), method="auto", asked="reclaim policy Delete, set by kubectl")
    assert state(obey(had, order, rules, whose(had, order))) == ("done", "")
    begun, done = on_record(rules)[-2:]
    assert (begun.what, done.what) == ("begun", "done")
    for line in (begun, done):
        assert (line.volume, line.node, line.order, line.kind) == ("volume-a", "node", "order-1", "reclaim")
        assert (line.tenancy, line.next, line.pv_name) == (OLD, NEXT, "pv-old")
        assert (line.claim, line.pod) == (CLAIM, POD)
        assert line.identity is not None
        assert order.identity is not None
        assert line.identity.virtual == order.identity.virtual
        assert line.asked == "reclaim policy Delete, set by kubectl"
        assert line.method == ("files" if isinstance(had, Disk) else "format")
        assert line.boot
    assert done.begun_at == begun.at <= done.at
    assert not begun.bytes_gone
    assert done.bytes_gone
    assert done.done_files == (9 if isinstance(had, Disk) else 0)


def test_what_is_on_record_is_in_the_log(
    had: AnyDisk, rules: Rules, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    order = reclaim(identity_of(had, rules))
    assert state(obey(had, order, rules, whose(had, order))) == ("done", "")
    told = "\n".join(JsonLines().format(each) for each in caplog.records)
    lines, broken = audit.read(told.encode())
    assert (lines, broken) == ([line for line in on_record(rules) if line.order == "order-1"], [])
    assert [line.what for line in lines] == ["begun", "done"]


def test_what_was_done_is_on_record_and_not_what_was_ordered(used: RawDisk, rules: Rules) -> None:
    """What a wipe by `files` left behind is taken up by an order that says `auto`: by deleting files."""
    first = reclaim(identity_of(used, rules), method="files")
    assert in_child(lambda: obey(used, first, rules, tick=die_at(6))) != 0
    second = reclaim(identity_of(used, rules), id="order-2", method="auto")
    assert state(obey(used, second, rules)) == ("done", "")
    assert {line.method for line in on_record(rules) if line.what in ("begun", "done") and line.tenancy} == {
        "files"
    }


@pytest.mark.parametrize("left", range(3, 9))
def test_what_was_done_before_a_cut_is_on_record_as_it_was_done(
    used: RawDisk, rules: Rules, left: int
) -> None:
    """Cut after mkfs: the next process finds a file system with nothing in it to wipe."""
    order = reclaim(identity_of(used, rules), method="zero")
    seen: list[str] = []

    def tick(what: str) -> None:
        seen.append(what)
        if "mkfs" in seen and len(seen) - seen.index("mkfs") > left:
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(lambda: obey(used, order, rules, tick=tick)) != 0
    assert entry_of(used, rules).order is not None
    again: list[str] = []
    assert state(obey(used, order, rules, tick=again.append)) == ("done", "")
    assert "overwrite" not in again
    done = [line for line in on_record(rules) if line.what == "done" and line.tenancy]
    assert {line.method for line in done} == {"zero"}


def test_what_is_asked_again_is_on_record_once(had: AnyDisk, rules: Rules) -> None:
    order = reclaim(identity_of(had, rules))
    for _ in range(3):
        assert state(obey(had, order, rules)) == ("done", "")
    assert [line.what for line in on_record(rules) if line.order == "order-1"] == ["begun", "done"]


def test_a_refusal_is_on_record_with_its_reason(had: AnyDisk, rules: Rules) -> None:
    order = reclaim(identity_of(had, rules), ends=OTHER)
    assert state(obey(had, order, rules)) == ("refused", "HasData")
    (line,) = (line for line in on_record(rules) if line.order == "order-1")
    assert (line.what, line.reason, line.bytes_gone) == ("refused", "HasData", False)
    assert line.message


def test_a_withdrawal_is_on_record_as_what_it_is(had: AnyDisk, rules: Rules) -> None:
    order = reclaim(identity_of(had, rules), withdrawn=True)
    assert state(obey(had, order, rules)) == ("refused", "Withdrawn")
    (line,) = (line for line in on_record(rules) if line.order == "order-1")
    assert (line.what, line.bytes_gone) == ("withdrawn", False)


def test_a_failure_is_on_record_with_its_error(
    disk: Disk, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(disk.tenancy())

    def tick(what: str) -> None:
        if what == "unlink":
            raise OSError(errno.EIO, "the disk says no")

    assert state(obey(disk, reclaim(identity_of(disk, rules)), rules, tick=tick)) == ("failed", "EIO")
    begun, failed = on_record(rules)
    assert (begun.what, failed.what, failed.reason, failed.bytes_gone) == ("begun", "failed", "EIO", True)


def test_to_make_a_disk_ready_is_on_record_and_to_mount_it_is_not(raw: RawDisk, rules: Rules) -> None:
    assert state(obey(raw, prepare(identity_of(raw, rules)), rules)) == ("done", "")
    assert [(line.what, line.kind, line.next) for line in on_record(rules)] == [("done", "prepare", OLD)]
    unmount = Order(id="order-1", kind="unmount", identity=identity_of(raw, rules))
    assert state(obey(raw, unmount, rules)) == ("done", "")
    assert len(on_record(rules)) == 1


def test_an_answer_is_on_record_with_its_question(disk: Disk, rules: Rules) -> None:
    (disk.path / "of-somebody").write_text("secret")
    order = Order(
        id="order-1",
        kind="prepare",
        next=NEXT,
        offer=True,
        epoch=1,
        identity=identity_of(disk, rules),
        answer="q-7",
        asked="adopt: Wipe by jane",
    )
    order = for_all_of(disk, rules, order)
    api = whose(disk, order)
    api.change_admin(adopt=Adopt(question="q-7", action="Wipe", by="jane"))
    question = Question(id="q-7", kind="adopt", about="", text="")
    status = msgspec.structs.replace(api.volume.status, question=question)
    api.volume = msgspec.structs.replace(api.volume, status=status)
    assert state(obey(disk, order, rules, api)) == ("done", "")
    assert [(line.what, line.answer, line.asked) for line in on_record(rules)] == [
        ("begun", "q-7", "adopt: Wipe by jane"),
        ("done", "q-7", "adopt: Wipe by jane"),
    ]


def test_wherever_a_wipe_is_cut_its_beginning_and_its_end_are_on_record(disk: Disk, rules: Rules) -> None:
    """Cut before each change, then carried on by another process, which tells of the one that was cut. A line
    may stand there twice."""
    cut = 0
    for step in range(1, 40):
        tenancy = disk.ours / OLD
        (tenancy if tenancy.exists() else disk.tenancy()).joinpath("data").write_text("secret")
        order = reclaim(identity_of(disk, rules), id=f"order-{step}")
        status = in_child(lambda: obey(disk, order, rules, whose(disk, order), tick=die_at(step)))  # noqa: B023
        assert state(obey(disk, order, rules, whose(disk, order))) == ("done", "")
        lines = [line for line in on_record(rules) if line.order == order.id]
        assert {line.what for line in lines} - {"cut"} == {"begun", "done"}, step
        assert all(line.claim == CLAIM for line in lines)
        told = [line.what for line in lines]
        assert ("begun", "begun") not in pairwise(told), "no attempt is left without its end"
        for line in lines:
            if line.what == "cut":
                cut += 1
                assert (line.reason, line.begun_at, line.done_files) == ("Interrupted", lines[0].at, 0)
        (disk.ours / NEXT).rename(disk.ours / OLD)
        (Path(rules.state) / "journal").rename(Path(rules.state) / f"journal-{step}")
        if status == 0:
            assert cut >= 3
            return
    raise AssertionError("it never came to its end")


def test_a_process_that_was_killed_is_on_record_also_where_its_beginning_was_lost_with_the_power(
    had: AnyDisk, rules: Rules
) -> None:
    order = reclaim(identity_of(had, rules), method="auto")
    deed = "unlink" if isinstance(had, Disk) else "mkfs"

    def die(what: str) -> None:
        if what == deed:
            os._exit(9)

    assert in_child(lambda: obey(had, order, rules, tick=die)) != 0
    record = Path(rules.state) / audit.FILE
    before = [line for line in record.read_bytes().splitlines() if b'"order-1"' not in line]
    record.write_bytes(b"".join(line + b"\n" for line in before))
    assert state(obey(had, order, rules)) == ("done", "")
    cut, begun, done = on_record(rules)[-3:]
    assert (cut.what, begun.what, done.what) == ("cut", "begun", "done")
    assert (cut.tenancy, cut.bytes_gone, cut.reason) == (OLD, True, "Interrupted")
    assert cut.begun_at <= begun.at
    assert cut.begun_at


def test_a_wipe_that_cannot_be_put_on_record_does_not_begin(had: AnyDisk, rules: Rules) -> None:
    record = Path(rules.state) / audit.FILE
    record.unlink(missing_ok=True)
    record.mkdir(parents=True)
    assert state(obey(had, reclaim(identity_of(had, rules)), rules)) == ("failed", "EISDIR")
    record.rmdir()
    assert state(obey(had, reclaim(identity_of(had, rules)), rules)) == ("done", "")
    assert [line.what for line in on_record(rules)] == ["begun", "done"]


def test_a_line_that_was_cut_stays_and_the_next_one_is_whole(disk: Disk, rules: Rules) -> None:
    fill(disk.tenancy())
    record = Path(rules.state) / audit.FILE
    record.parent.mkdir(exist_ok=True)
    record.write_bytes(b'{"schema":1,"at":"2026-')
    obey(disk, reclaim(identity_of(disk, rules)), rules)
    lines, broken = audit.read(record.read_bytes())
    assert [line.what for line in lines] == ["begun", "done"]
    assert [each.partition(":")[0] for each in broken] == ["line 1"]
