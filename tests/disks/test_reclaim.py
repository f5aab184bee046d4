"""A path disk is wiped and made ready for its next tenancy."""

from __future__ import annotations

from disk_daemon.facts.folder import Rules
from tests.disks.bench import NEXT, OLD, Disk, facts_of, identity_of, obey, reclaim
from tidb_volume.value import Content, WorkState


def test_a_released_tenancy_is_wiped_and_the_next_one_made(disk: Disk, rules: Rules) -> None:
    folder = disk.tenancy()
    (folder / "sub").mkdir()
    (folder / "sub" / "file").write_text("secret")
    ended = obey(disk, reclaim(identity_of(disk, rules)), rules)
    assert ended.work is not None
    assert (ended.work.state, ended.work.message) == (WorkState.DONE, "")
    assert disk.tree() == [".tidb-volume", f".tidb-volume/{NEXT}"]
    assert (disk.ours / NEXT).stat().st_mode & 0o7777 == 0o777
    facts = facts_of(disk, rules)
    assert (facts.content, facts.tenancies, facts.empty) == (Content.TENANCY, (NEXT,), True)
    assert ended.record.handed == NEXT
    assert OLD not in str(disk.tree())
