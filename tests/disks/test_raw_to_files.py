"""A raw device that a tenant made into something else, wiped by an order that makes a file system of it.

Its tenant's table, or whatever it was part of, is no reason to refuse it (decision 0112), and stays none
until the new file system is made: a process that is cut in between must find its way on.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from disk_daemon import journal
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Ended
from disk_daemon.known import Entry
from tests.disks.bench import (
    NEXT,
    OLD,
    RawDisk,
    answered,
    die_at,
    facts_of,
    for_all_of,
    identity_of,
    in_child,
    obey,
)
from tests.disks.device import partition, partition_table, prepare, state
from tests.disks.signatures import GPT_WITH_ONE, SIGNATURES, Parts
from tests.disks.test_occupied import SHARED
from tidb_volume.value import Identity, Order, Presence

BLOCK: dict[str, Any] = {"volume_mode": "Block"}
EXT4: dict[str, Any] = {"fs_type": "ext4"}
SECRET = b"a secret of the first tenant"
SMALL = 128 << 20
"""Too small for XFS, and soon zeroed."""


def handed(raw: RawDisk, rules: Rules, parts: Parts) -> Identity:
    """In a tenant's hands, who made something of it."""
    identity = identity_of(raw, rules)
    ended = obey(raw, prepare(identity), rules, job=BLOCK)
    assert state(ended) == ("done", ""), ended.work
    raw.write(50 << 20, SECRET)
    for start, content in parts:
        raw.write(start, content)
    return identity


def wiped(raw: RawDisk, order: Order, rules: Rules, **options: Any) -> Ended:
    """The person's answer to the entry that wants a file system: wipe it."""
    return obey(raw, order, rules, answered(raw, order), **options)


def asked(raw: RawDisk, identity: Identity, rules: Rules) -> Order:
    return for_all_of(raw, rules, prepare(identity, id="order-1", ends=OLD, next=NEXT, answer="q"))


def cut_before(step: str) -> Callable[[str], None]:
    """A tick that kills the process before that change."""

    def tick(what: str) -> None:
        if what == step:
            os.kill(os.getpid(), signal.SIGKILL)

    return tick


def is_made(raw: RawDisk, rules: Rules, identity: Identity, shape: str = "xfs") -> None:
    facts = facts_of(raw, rules)
    assert (facts.presence, facts.tenancies, facts.empty) == (Presence.OK, (NEXT,), True)
    entry = journal.load(rules.state, identity)
    assert isinstance(entry, Entry)
    assert (journal.shape(entry), entry.was_block, entry.making, entry.order) == (shape, False, None, None)


KINDS = {kind: SIGNATURES[kind] for kind in SIGNATURES if kind not in SHARED}


@pytest.mark.parametrize("kind", [*KINDS, "gpt", "dos"])
def test_what_a_tenant_made_of_it_stops_no_order_that_was_cut_while_it_stood(
    raw: RawDisk, rules: Rules, kind: str
) -> None:
    tables: dict[str, Parts] = {"gpt": GPT_WITH_ONE, "dos": ((0, partition_table()),)}
    identity = handed(raw, rules, {**KINDS, **tables}[kind])
    order = asked(raw, identity, rules)
    assert in_child(lambda: wiped(raw, order, rules, tick=cut_before("clear"))) == signal.SIGKILL
    facts = facts_of(raw, rules)
    assert (facts.presence, facts.message) == (Presence.OK, "")
    again = msgspec.structs.replace(order, id="order-2", attempt=1)
    assert state(wiped(raw, again, rules)) == ("done", "")
    is_made(raw, rules, identity)


def kernel_knows_of_one(raw: RawDisk) -> bool:
    return Path(f"/sys/class/block/{raw.loop[5:]}p1").exists()


def read_in(raw: RawDisk) -> None:
    """As the kernel does at boot, if the table is there still."""
    with raw.image.open("rb") as image:
        there = image.read(512)[-2:] == b"\x55\xaa"
    if there and not kernel_knows_of_one(raw):
        subprocess.run(["addpart", raw.loop, "1", "2048", "204800"], check=True)


def forgotten(raw: RawDisk) -> bool:
    """Whether the kernel still knew of it. A loop device that is let go keeps its partitions for the next who
    uses it, who is refused then."""
    if not kernel_knows_of_one(raw):
        return False
    subprocess.run(["delpart", raw.loop, "1"], check=True)
    return True


@pytest.mark.long
@pytest.mark.parametrize("method", ["", "zero"])
def test_killed_before_any_step_the_next_process_ends_it(
    own_mounts: None, tmp_path: Path, rules: Rules, method: str
) -> None:
    """The kernel has read the tenant's table in, at first and at each boot after a cut."""
    step, ended = 0, False
    while not ended:
        step += 1
        with RawDisk.numbered(tmp_path, step, rules, SMALL) as (raw, own), ExitStack() as stack:
            identity = handed(raw, own, ((0, partition_table()),))
            read_in(raw)
            stack.callback(forgotten, raw)
            order = msgspec.structs.replace(asked(raw, identity, own), method=method)
            ended = in_child(lambda: wiped(raw, order, own, job=EXT4, tick=die_at(step))) == 0  # noqa: B023
            if step % 2:
                read_in(raw)
            again = msgspec.structs.replace(order, id="order-2", attempt=1) if step % 3 == 0 else order
            last = wiped(raw, again, own, job=EXT4)
            left = forgotten(raw)
            assert state(last) == ("done", ""), (step, last.work)
            assert not left, step
            is_made(raw, own, identity, "ext4")
            assert method == "" or not raw.holds(SECRET)
    assert step > 8


def test_who_uses_a_tenants_partition_is_waited_for_also_after_a_cut(raw: RawDisk, rules: Rules) -> None:
    identity = handed(raw, rules, ((0, partition_table()),))
    order = asked(raw, identity, rules)
    with partition(raw) as name:
        before_that = cut_before("forget partitions")
        assert in_child(lambda: wiped(raw, order, rules, tick=before_that)) == signal.SIGKILL
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        process = subprocess.Popen(["sleep", "1000"], stdin=descriptor)
        os.close(descriptor)
        try:
            ended = wiped(raw, order, rules)
            assert state(ended) == ("running", "InUse")
            assert ended.work is not None
            assert "sleep" in ended.work.message
        finally:
            process.kill()
            process.wait()
        assert state(wiped(raw, order, rules)) == ("done", "")
    is_made(raw, rules, identity)


def test_a_disk_that_no_tenant_had_stays_refused_while_a_file_system_is_being_made_on_it(
    raw: RawDisk, rules: Rules
) -> None:
    identity = identity_of(raw, rules)
    order = prepare(identity)
    assert in_child(lambda: obey(raw, order, rules, tick=cut_before("mkfs"))) == signal.SIGKILL
    raw.write(0, partition_table())
    assert facts_of(raw, rules).presence is Presence.OCCUPIED
    assert state(obey(raw, order, rules)) == ("refused", "Occupied")
