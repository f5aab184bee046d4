"""Devices mounted and unmounted by an order: a lost journal, and a disk that is put away."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec

from disk_daemon import mounting
from disk_daemon.facts.folder import Rules
from disk_daemon.observe import observe
from disk_daemon.report import disk_report
from tests.disks.bench import (
    NEXT,
    OLD,
    OTHER,
    RawDisk,
    facts_of,
    identity_of,
    job_of,
    obey,
    reclaim,
)
from tests.disks.device import SECRET, boot, entry_of, prepare, state
from tidb_volume.value import Content, Identity, Order, Presence


def mount_order(identity: Identity, **fields: object) -> Order:
    order = Order(id="order-m", kind="mount", next=OLD, epoch=1, identity=identity)
    return msgspec.structs.replace(order, **fields)


def forget(rules: Rules) -> None:
    for each in (Path(rules.state) / "journal").iterdir():
        each.unlink()


def test_a_claimed_disk_whose_journal_is_lost_is_mounted_by_an_order_that_names_it(
    used: RawDisk, rules: Rules
) -> None:
    identity = identity_of(used, rules)
    used.unmount()
    forget(rules)
    assert facts_of(used, rules).content is Content.DATA
    assert state(obey(used, reclaim(identity), rules)) == ("refused", "HasData")
    assert state(obey(used, mount_order(identity), rules)) == ("done", "")
    assert (used.ours / OLD / "data").read_bytes() == SECRET
    assert entry_of(used, rules).handed == OLD
    used.unmount()
    assert boot(used, rules).ok


def test_a_disk_that_grew_is_told_of_and_is_mounted_by_an_order_once_its_journal_is_moved_away(
    used: RawDisk, rules: Rules
) -> None:
    """It keeps its serial, and so its file, which tells of another disk: a person says both."""
    recorded = identity_of(used, rules)
    used.unmount()
    os.truncate(used.image, used.image.stat().st_size + (64 << 20))
    subprocess.run(["losetup", "-c", used.loop], check=True)
    assert not boot(used, rules).ok
    ended = observe(job_of(used), rules)
    report = disk_report(ended.facts, ended.record, recorded, None)
    assert report.presence is Presence.WRONG_DISK
    accepted = disk_report(ended.facts, ended.record, report.identity, None)
    assert (accepted.presence, accepted.journal_broken) == (Presence.OK, True)
    (file,) = (Path(rules.state) / "journal").iterdir()
    assert f"the journal {file} tells of another disk" in accepted.message
    assert state(obey(used, mount_order(identity_of(used, rules)), rules)) == ("refused", "JournalBroken")
    file.rename(f"{file}.away")
    assert state(obey(used, mount_order(identity_of(used, rules)), rules)) == ("done", "")
    assert (used.ours / OLD / "data").read_bytes() == SECRET
    used.unmount()
    assert boot(used, rules).ok


def test_an_order_to_mount_that_means_another_file_system_or_tenancy_mounts_nothing(
    used: RawDisk, rules: Rules
) -> None:
    identity = identity_of(used, rules)
    used.unmount()
    forget(rules)
    other = msgspec.structs.replace(identity, fs_uuid="00000000-0000-0000-0000-000000000001")
    assert state(obey(used, mount_order(other), rules)) == ("refused", "WrongDisk")
    none = msgspec.structs.replace(identity, fs_uuid="")
    assert state(obey(used, mount_order(none), rules)) == ("refused", "WrongDisk")
    assert state(obey(used, mount_order(identity, next=OTHER), rules)) == ("refused", "HasData")
    assert not used.is_mounted


def test_a_disk_that_was_put_away_is_mounted_for_the_order_that_offers_it_again(
    offered: RawDisk, rules: Rules
) -> None:
    identity = identity_of(offered, rules)
    away = Order(id="order-u", kind="unmount", epoch=1, identity=identity)
    assert state(obey(offered, away, rules)) == ("done", "")
    assert not offered.is_mounted
    assert mounting.recall(rules) == (), "nor at the next boot"
    again = prepare(identity, id="order-p", ends=OLD, next=NEXT)
    assert state(obey(offered, again, rules)) == ("done", "")
    assert offered.is_mounted
    assert (entry_of(offered, rules).handed, entry_of(offered, rules).unmounted) == (NEXT, False)


def test_a_disk_that_was_put_away_and_has_data_is_not_offered_again(used: RawDisk, rules: Rules) -> None:
    identity = identity_of(used, rules)
    away = Order(id="order-u", kind="unmount", epoch=1, identity=identity)
    assert state(obey(used, away, rules)) == ("done", "")
    again = prepare(identity, id="order-p", ends=OLD, next=NEXT)
    assert state(obey(used, again, rules)) == ("refused", "HasData")
    assert (used.ours / OLD / "data").read_bytes() == SECRET


def test_an_order_to_unmount_unmounts_and_it_stays_so(used: RawDisk, rules: Rules) -> None:
    order = Order(id="order-u", kind="unmount", epoch=1, identity=identity_of(used, rules))
    assert state(obey(used, order, rules)) == ("done", "")
    assert not used.is_mounted
    assert mounting.recall(rules) == ()
