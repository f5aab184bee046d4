"""Who has a real disk is in the node's journal once the daemon has looked."""

from __future__ import annotations

import fcntl
import os

import msgspec

from disk_daemon import journal, observe, witness
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Job
from disk_daemon.known import Entry
from tests.disks.bench import NEXT, OLD, Api, Disk, answered, entry_of, obey, reclaim, state, volume_with
from tidb_volume.value import Adopt, Identity, Question, Ref, Source


def looked(disk: Disk, rules: Rules, claim_uid: str) -> tuple[str, ...]:
    job = Job(id=1, kind="observe", source=Source(path=str(disk.path)), tenancy=OLD, claim_uid=claim_uid)
    return witness.observe(job, rules).record.claims


def identity(disk: Disk, rules: Rules) -> Identity:
    found = observe.look(str(disk.path), rules).identity
    assert found is not None
    return found


def test_a_claim_is_journalled_at_the_first_look_and_kept(disk: Disk, rules: Rules) -> None:
    disk.tenancy()
    journal.store(rules.state, Entry(identity=identity(disk, rules), handed=OLD))
    assert looked(disk, rules, "") == ()
    assert looked(disk, rules, "a") == ("a",)
    assert looked(disk, rules, "") == ("a",)
    assert looked(disk, rules, "b") == ("a", "b")


def test_nothing_is_journalled_past_the_lock_of_who_works_on_the_disk(disk: Disk, rules: Rules) -> None:
    disk.tenancy()
    journal.store(rules.state, Entry(identity=identity(disk, rules), handed=OLD))
    held = os.open(disk.ours, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert looked(disk, rules, "a") == ()
    finally:
        os.close(held)
    assert looked(disk, rules, "a") == ("a",)


def test_what_a_person_keeps_at_the_root_is_journalled_before_the_order_is_answered(
    disk: Disk, rules: Rules
) -> None:
    """And from then on no answer of before is about it."""
    (disk.path / "backup").write_bytes(b"theirs")
    seen = identity(disk, rules)
    asked = reclaim(seen, ends="", next=OLD, withdrawn=True)
    api = Api(volume_with(disk, asked))
    question = Question(id="q", kind="adopt", about="", text="")
    api.volume = msgspec.structs.replace(
        api.volume, status=msgspec.structs.replace(api.volume.status, question=question)
    )
    claim = Ref(namespace="db", name="data-0")
    api.change_admin(adopt=Adopt(question="q", action="Keep", claim=claim))
    ended = obey(disk, asked, rules, api)
    assert state(ended) == ("refused", "Withdrawn")
    assert (ended.record.handed, ended.record.at_root) == (OLD, True)
    assert looked(disk, rules, "a") == ("a",)

    lies = "entries of others (1), first: 'backup'"
    before = reclaim(seen, id="order-2", kind="prepare", ends="", next=NEXT, answer="q", whole_disk=True)
    before = msgspec.structs.replace(before, over=f"data::{lies}:")
    assert state(obey(disk, before, rules, answered(disk, before))) == ("refused", "HasData")
    assert (disk.path / "backup").exists()

    over = f"data:{OLD}:{lies}:"
    now = msgspec.structs.replace(before, id="order-3", kind="reclaim", ends=OLD, over=over)
    assert state(obey(disk, now, rules, answered(disk, now))) == ("refused", "HasData")
    now = msgspec.structs.replace(now, id="order-4", claim_uid="a")
    assert state(obey(disk, now, rules, answered(disk, now))) == ("done", "")
    assert not (disk.path / "backup").exists()
    assert (entry_of(disk, rules).handed, entry_of(disk, rules).at_root) == (NEXT, False)


def test_a_disk_whose_claim_has_left_nothing_at_the_root_is_not_new(disk: Disk, rules: Rules) -> None:
    journal.store(rules.state, Entry(identity=identity(disk, rules), handed=OLD, at_root=True))
    first = reclaim(identity(disk, rules), kind="prepare", ends="")
    assert state(obey(disk, first, rules)) == ("refused", "HasData")
    over = f"blank:{OLD}::"
    told = reclaim(identity(disk, rules), id="order-2", answer="q", whole_disk=True, over=over)
    assert state(obey(disk, told, rules, answered(disk, told))) == ("done", "")
