"""Who has a real disk is in the node's journal once the daemon has looked."""

from __future__ import annotations

import fcntl
import os

from disk_daemon import journal, observe, witness
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Job
from disk_daemon.known import Entry
from tests.disks.bench import OLD, Disk
from tidb_volume.value import Identity, Source


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
