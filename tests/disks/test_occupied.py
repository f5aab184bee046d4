"""Devices that are part of something else, or serve somebody already: refused, and no answer wipes them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from disk_daemon import fit, mounting
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Job
from tests.disks.bench import (
    NEXT,
    OLD,
    RawDisk,
    answered,
    facts_of,
    for_all_of,
    identity_of,
    obey,
    reclaim,
    source_of,
)
from tests.disks.device import partition, partition_table, prepare, state
from tests.disks.signatures import EMPTY_DOS, EMPTY_GPT, GPT_WITH_ONE, MORE_SIGNATURES, SIGNATURES, Parts
from tidb_volume.value import Content, Identity, Presence

BLOCK: dict[str, Any] = {"volume_mode": "Block"}
BOTH = pytest.mark.parametrize("job", [{}, BLOCK], ids=["filesystem", "block"])
SECRET = b"a secret of the first tenant"


def put(raw: RawDisk, parts: Parts) -> None:
    for start, content in parts:
        raw.write(start, content)


def kind_of(raw: RawDisk) -> str:
    words = ["blkid", "-p", "-o", "value", "-s", "TYPE", raw.loop]
    return subprocess.run(words, check=False, capture_output=True, text=True).stdout.strip()


def adopted(raw: RawDisk, identity: Identity, rules: Rules, job: dict[str, Any]) -> tuple[str, str]:
    """What comes of a person's answer that whatever is on the disk is to be wiped."""
    order = for_all_of(raw, rules, prepare(identity, answer="q"), **job)
    api = answered(raw, order)
    return state(obey(raw, order, rules, api, job=job))


# --- what its content says ------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("kind", SIGNATURES)
def test_part_of_something_else_is_told_and_no_answer_wipes_it(
    raw: RawDisk, rules: Rules, kind: str, job: dict[str, Any]
) -> None:
    identity = identity_of(raw, rules)
    put(raw, SIGNATURES[kind])
    assert kind_of(raw) == kind, "blkid does not know the signature, so the test would test nothing"
    before = raw.content()
    facts = facts_of(raw, rules, **job)
    assert (facts.presence, facts.content) == (Presence.OCCUPIED, Content.UNKNOWN)
    assert kind in facts.message
    assert "wipefs -a" in facts.message
    assert state(obey(raw, prepare(identity), rules, job=job)) == ("refused", "Occupied")
    assert adopted(raw, identity, rules, job) == ("refused", "Occupied")
    assert raw.content() == before
    subprocess.run(["wipefs", "-q", "-a", raw.loop], check=True)
    assert facts_of(raw, rules, **job).presence is Presence.OK, "the way out is none"


@pytest.mark.parametrize("kind", MORE_SIGNATURES)
def test_a_signature_is_known_by_libblkids_own_name_for_it(raw: RawDisk, rules: Rules, kind: str) -> None:
    put(raw, MORE_SIGNATURES[kind])
    assert kind_of(raw) == kind
    facts = facts_of(raw, rules)
    assert (facts.presence, kind in facts.message) == (Presence.OCCUPIED, True)


@BOTH
@pytest.mark.parametrize(
    ("kind", "table", "at"),
    [("LVM2_member", (), 512 + 16), ("LVM2_member", EMPTY_DOS, 512 + 16), ("mpool", (), 40)],
    ids=["LVM", "LVM with a table", "mpool"],
)
@pytest.mark.guards("not_a_member")
def test_a_member_whose_label_is_damaged_is_a_member(
    raw: RawDisk, rules: Rules, kind: str, table: Parts, at: int, job: dict[str, Any]
) -> None:
    """One bit of it is wrong, and so is its checksum."""
    identity = identity_of(raw, rules)
    put(raw, (*table, *{**SIGNATURES, **MORE_SIGNATURES}[kind]))
    with open(raw.loop, "r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    assert kind_of(raw) == "", "blkid sees it as it is, so the test would test nothing"
    before = raw.content()
    facts = facts_of(raw, rules, **job)
    assert (facts.presence, f"a damaged {kind}" in facts.message) == (Presence.OCCUPIED, True)
    assert adopted(raw, identity, rules, job) == ("refused", "Occupied")
    assert raw.content() == before
    subprocess.run(["wipefs", "-q", "-a", raw.loop], check=True)
    assert facts_of(raw, rules, **job).presence is Presence.OK, "the way out is none"


def test_each_name_that_a_rule_goes_by_was_heard_from_libblkid() -> None:
    """One that it never says would be a rule that cannot fire."""
    assert {*fit.SHARED, *fit.MEMBERS} <= {*SIGNATURES, *MORE_SIGNATURES}


@BOTH
@pytest.mark.parametrize(
    ("parts", "presence"),
    [
        (EMPTY_DOS, Presence.OK),
        (EMPTY_GPT, Presence.OK),
        (((0, partition_table()),), Presence.OCCUPIED),
        (GPT_WITH_ONE, Presence.OCCUPIED),
        # The header of the table is gone, its protective record is not.
        (tuple((start, part[:512]) for start, part in GPT_WITH_ONE), Presence.OCCUPIED),
    ],
    ids=["empty dos", "empty gpt", "dos", "gpt", "half a gpt"],
)
def test_a_partition_table_is_data_if_it_is_empty_and_a_refusal_if_not(
    raw: RawDisk, rules: Rules, parts: Parts, presence: Presence, job: dict[str, Any]
) -> None:
    """The kernel has not read it in: nothing of it is in sysfs."""
    identity = identity_of(raw, rules)
    put(raw, parts)
    facts = facts_of(raw, rules, **job)
    assert facts.presence is presence
    assert facts.content is not Content.BLANK
    good = presence is Presence.OK
    assert adopted(raw, identity, rules, job) == (("done", "") if good else ("refused", "Occupied"))


@BOTH
@pytest.mark.guards("is_unambiguous")
def test_signatures_that_contradict_each_other_are_a_refusal(
    raw: RawDisk, rules: Rules, job: dict[str, Any]
) -> None:
    identity = identity_of(raw, rules)
    subprocess.run(["mkfs.xfs", "-q", "-K", raw.loop], check=True)
    with raw.image.open("rb") as file:
        superblock = file.read(512)
    subprocess.run(["mkfs.ext4", "-q", "-F", raw.loop], check=True)
    raw.write(0, superblock)
    assert subprocess.run(["blkid", "-p", raw.loop], check=False, capture_output=True).returncode == 8
    assert facts_of(raw, rules, **job).presence is Presence.OCCUPIED
    assert adopted(raw, identity, rules, job) == ("refused", "Occupied")


@pytest.mark.guards("not_a_member")
def test_a_released_file_system_that_became_a_member_is_not_made_anew(raw: RawDisk, rules: Rules) -> None:
    identity = identity_of(raw, rules)
    assert state(obey(raw, prepare(identity), rules)) == ("done", "")
    raw.unmount()
    raw.write(0, bytes(1 << 20))
    put(raw, SIGNATURES["LVM2_member"])
    assert kind_of(raw) == "LVM2_member"
    before = raw.content()
    assert state(obey(raw, reclaim(identity), rules)) == ("refused", "Occupied")
    assert raw.content() == before


# --- what is made of it, and who uses it ------------------------------------------------------------------


def test_a_blank_partition_is_blank_and_one_with_a_file_system_is_not(raw: RawDisk, rules: Rules) -> None:
    """libblkid tells of a partition also what its table says of it, which is not on it."""
    raw.write(0, partition_table())
    with partition(raw) as name:
        entry = raw._replace(by_id=Path(name))
        assert facts_of(entry, rules).content is Content.BLANK
        subprocess.run(["mkfs.ext4", "-q", name], check=True)
        facts = facts_of(entry, rules)
        assert facts.raw is not None
        assert (facts.content, facts.raw.found) == (Content.DATA, "ext4")


@BOTH
@pytest.mark.guards("not_swapped_to")
def test_swap_is_refused_and_swapped_to_it_stays(raw: RawDisk, rules: Rules, job: dict[str, Any]) -> None:
    identity = identity_of(raw, rules)
    subprocess.run(["mkswap", "-q", raw.loop], check=True, capture_output=True)
    subprocess.run(["swapon", raw.loop], check=True)
    try:
        facts = facts_of(raw, rules, **job)
        assert facts.presence is Presence.REFUSED
        assert "swap" in facts.message
        assert adopted(raw, identity, rules, job) == ("refused", "Refused")
    finally:
        subprocess.run(["swapoff", raw.loop], check=True)


@pytest.mark.guards("not_swapped_to")
def test_swap_on_a_partition_of_it_is_named(raw: RawDisk, rules: Rules) -> None:
    with partition(raw) as name:
        subprocess.run(["mkswap", "-q", name], check=True, capture_output=True)
        subprocess.run(["swapon", name], check=True)
        try:
            facts = facts_of(raw, rules)
            assert (facts.presence, "swap" in facts.message) == (Presence.REFUSED, True)
        finally:
            subprocess.run(["swapoff", name], check=True)


@BOTH
@pytest.mark.guards("not_read_only")
def test_a_device_set_read_only_is_not_begun_with(raw: RawDisk, rules: Rules, job: dict[str, Any]) -> None:
    identity = identity_of(raw, rules)
    subprocess.run(["blockdev", "--setro", raw.loop], check=True)
    try:
        assert state(obey(raw, prepare(identity), rules, job=job)) == ("refused", "ReadOnly")
    finally:
        subprocess.run(["blockdev", "--setrw", raw.loop], check=True)
    assert state(obey(raw, prepare(identity), rules, job=job)) == ("done", "")


@BOTH
@pytest.mark.guards("not_in_use")
def test_a_loop_device_on_top_is_waited_for(raw: RawDisk, rules: Rules, job: dict[str, Any]) -> None:
    """It holds nothing exclusively and is in nobody's `holders`."""
    identity = identity_of(raw, rules)
    words = ["losetup", "-f", "--show", raw.loop]
    loop = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    try:
        assert state(obey(raw, prepare(identity), rules, job=job)) == ("running", "InUse")
    finally:
        subprocess.run(["losetup", "-d", loop], check=True)
    assert state(obey(raw, prepare(identity), rules, job=job)) == ("done", "")


@BOTH
@pytest.mark.guards("not_a_partitions_parent")
def test_a_partition_that_only_the_kernel_knows_is_a_refusal(
    raw: RawDisk, rules: Rules, job: dict[str, Any]
) -> None:
    identity = identity_of(raw, rules)
    with partition(raw):
        assert facts_of(raw, rules, **job).presence is Presence.OCCUPIED
        assert adopted(raw, identity, rules, job) == ("refused", "Occupied")


# --- what a tenant with a raw device made of it -----------------------------------------------------------


@pytest.fixture
def handed(raw: RawDisk, rules: Rules) -> RawDisk:
    """A Block volume in a tenant's hands."""
    assert state(obey(raw, prepare(identity_of(raw, rules)), rules, job=BLOCK)) == ("done", "")
    return raw


def boot(raw: RawDisk, rules: Rules) -> bool:
    job = Job(id=1, kind="mount", volume="volume-a", source=source_of(raw), volume_mode="Block")
    return mounting.from_journal(job, rules).ok


SHARED = ("gfs2", "ocfs2", "VMFS", "VMFS_volume_member")


@pytest.mark.parametrize("kind", [kind for kind in SIGNATURES if kind not in SHARED])
def test_what_a_tenant_made_a_raw_device_part_of_is_wiped_with_the_rest(
    handed: RawDisk, rules: Rules, kind: str
) -> None:
    identity = identity_of(handed, rules)
    put(handed, SIGNATURES[kind])
    assert state(obey(handed, reclaim(identity), rules, job=BLOCK)) == ("done", "")
    assert handed.is_zero()


@pytest.mark.parametrize("kind", SHARED)
@pytest.mark.guards("not_shared_between_machines")
def test_what_other_machines_may_have_mounted_is_not_wiped_even_after_a_tenant(
    handed: RawDisk, rules: Rules, kind: str
) -> None:
    identity = identity_of(handed, rules)
    put(handed, SIGNATURES[kind])
    assert boot(handed, rules), "it is no reason to keep the tenant's pod waiting"
    assert state(obey(handed, reclaim(identity), rules, job=BLOCK)) == ("refused", "Occupied")
    assert kind_of(handed) == kind


def test_a_tenants_partitions_keep_neither_the_pod_waiting_after_a_boot_nor_the_wipe_afterwards(
    handed: RawDisk, rules: Rules
) -> None:
    """The kernel reads a tenant's table in at boot; what is on the host then is the tenant's."""
    identity = identity_of(handed, rules)
    handed.write(0, partition_table())
    handed.write(100 << 20, SECRET)
    with partition(handed) as name:
        (Path(rules.nodes) / OLD).unlink()
        assert facts_of(handed, rules, **BLOCK).presence is Presence.NOT_MOUNTED
        assert boot(handed, rules)
        assert facts_of(handed, rules, **BLOCK).tenancies == (OLD,)
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        process = subprocess.Popen(["sleep", "1000"], stdin=descriptor)
        os.close(descriptor)
        try:
            assert state(obey(handed, reclaim(identity), rules, job=BLOCK)) == ("running", "InUse")
        finally:
            process.kill()
            process.wait()
        assert handed.holds(SECRET)
        assert state(obey(handed, reclaim(identity), rules, job=BLOCK)) == ("done", "")
        assert handed.is_zero()
        assert not Path(f"/sys/class/block/{handed.loop[5:]}p1").exists(), "the kernel still has a partition"
    assert facts_of(handed, rules, **BLOCK).tenancies == (NEXT,)


def test_who_has_a_tenants_partition_mounted_is_named(handed: RawDisk, rules: Rules, tmp_path: Path) -> None:
    identity = identity_of(handed, rules)
    handed.write(0, partition_table())
    target = tmp_path / "mounted"
    target.mkdir()
    with partition(handed) as name:
        subprocess.run(["mkfs.ext4", "-q", name], check=True)
        subprocess.run(["mount", name, target], check=True)
        try:
            ended = obey(handed, reclaim(identity), rules, job=BLOCK)
            assert state(ended) == ("running", "InUse")
            assert ended.work is not None
            assert str(target) in ended.work.message
        finally:
            subprocess.run(["umount", target], check=True)
        assert state(obey(handed, reclaim(identity), rules, job=BLOCK)) == ("done", "")
