"""A process that wipes a path disk is killed before any of its changes, and the next one goes on."""

from __future__ import annotations

import os

from disk_daemon.facts.folder import Rules
from tests.disks.bench import (
    CLEAN,
    NEXT,
    Api,
    Disk,
    die_at,
    entry_of,
    fill,
    identity_of,
    in_child,
    obey,
    reclaim,
    state,
    volume_with,
)
from tidb_volume.value import WorkState


def changes_of(disk: Disk, rules: Rules) -> int:
    """How many changes one whole wipe of the filled disk makes."""
    seen: list[str] = []
    obey(disk, reclaim(identity_of(disk, rules)), rules, tick=seen.append)
    return len(seen)


def test_killed_before_any_of_its_changes_the_next_process_comes_to_the_same_end(
    disk: Disk, rules: Rules
) -> None:
    fill(disk.tenancy())
    changes = changes_of(disk, rules)
    assert changes > 15
    identity = identity_of(disk, rules)
    tenancy = NEXT
    letters = "abcdefghijklmnopqrstuvwxyz"
    for step in range(1, changes + 1):
        fill(disk.ours / tenancy)
        following = "z" * 10 + letters[step // 26] + letters[step % 26]
        order = reclaim(identity, id=f"cut-{step}", ends=tenancy, next=following)
        status = in_child(lambda: obey(disk, order, rules, tick=die_at(step)))  # noqa: B023
        assert os.WIFSIGNALED(status), (step, status)
        ended = obey(disk, order, rules)
        assert state(ended) == ("done", ""), (step, ended.work)
        assert disk.tree() == [".tidb-volume", f".tidb-volume/{following}"], step
        assert entry_of(disk, rules).handed == following
        assert tenancy in entry_of(disk, rules).past
        tenancy = following


def test_killed_and_then_withdrawn_it_is_given_back_unless_it_had_begun(disk: Disk, rules: Rules) -> None:
    folder = disk.tenancy()
    fill(folder)
    before = disk.tree()
    identity = identity_of(disk, rules)
    seen: list[str] = []
    step = 0
    while True:
        step += 1
        order = reclaim(identity, id=f"order-{step}")  # one that was withdrawn does not come back
        in_child(lambda: obey(disk, order, rules, tick=die_at(step)))  # noqa: B023
        api = Api(volume_with(disk, order))
        api.change_order(withdrawn=True)
        ended = obey(disk, order, rules, api)
        assert ended.work is not None
        seen.append(ended.work.state.value)
        if ended.work.state is WorkState.DONE:
            break
        assert state(ended) == ("refused", "Withdrawn")
        assert not ended.work.begun
        assert disk.tree() == before, step
    assert disk.tree() == CLEAN
    assert seen.count("refused") >= 4
