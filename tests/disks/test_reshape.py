"""A free disk whose entry says something else by now: made into that, as long as nobody had it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from disk_daemon import journal, mounting
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Ended, Job
from disk_daemon.known import Entry
from tests.disks.bench import (
    NEXT,
    OLD,
    OTHER,
    RawDisk,
    die_at,
    facts_of,
    identity_of,
    in_child,
    obey,
    reclaim,
    source_of,
)
from tests.disks.device import prepare, state
from tidb_volume.value import Content, Identity, Order, Presence

SMALL = 64 << 20
"""Too small for XFS, and soon zeroed."""
SHAPES: dict[str, dict[str, Any]] = {
    "Block": {"volume_mode": "Block"},
    "ext4": {"fs_type": "ext4"},
    "xfs": {"fs_type": "xfs"},
}
SECRET = b"a secret"


def entry_of(rules: Rules, identity: Identity) -> Entry:
    found = journal.load(rules.state, identity)
    assert isinstance(found, Entry)
    return found


def node(rules: Rules, tenancy: str) -> Path:
    return Path(rules.nodes) / tenancy


def anew(identity: Identity) -> Order:
    """A fresh offer of what nobody used."""
    return prepare(identity, id="order-1", ends=OLD, next=NEXT)


def do(disk: RawDisk, order: Order, rules: Rules, shape: str, **options: Any) -> Ended:
    return obey(disk, order, rules, job=SHAPES[shape], **options)


def is_as_wanted(disk: RawDisk, rules: Rules, identity: Identity, shape: str) -> None:
    """The next tenancy is on offer in that shape, and in no other."""
    facts = facts_of(disk, rules, **SHAPES[shape])
    assert (facts.content, facts.tenancies, facts.empty) == (Content.TENANCY, (NEXT,), True)
    entry = entry_of(rules, identity)
    assert (journal.shape(entry), entry.handed, entry.order, entry.making) == (shape, NEXT, None, None)
    assert node(rules, NEXT).exists() == (shape == "Block")
    assert not node(rules, OLD).exists()
    assert disk.is_mounted == (shape != "Block")


@pytest.mark.parametrize(
    ("was", "becomes"),
    [("xfs", "ext4"), ("ext4", "xfs"), ("xfs", "Block"), ("Block", "xfs"), ("Block", "ext4")],
)
def test_a_free_disk_is_made_into_what_its_entry_says_by_now(
    raw: RawDisk, rules: Rules, was: str, becomes: str
) -> None:
    identity = identity_of(raw, rules)
    assert state(do(raw, prepare(identity), rules, was)) == ("done", "")
    facts = facts_of(raw, rules, **SHAPES[becomes])
    assert (facts.content, facts.tenancies, facts.empty) == (Content.TENANCY, (OLD,), True)
    ended = do(raw, anew(identity), rules, becomes)
    assert state(ended) == ("done", "")
    assert ended.record.made == becomes
    is_as_wanted(raw, rules, identity, becomes)
    if becomes == "Block":
        assert raw.is_zero()


@pytest.mark.parametrize(("was", "becomes"), [("xfs", "ext4"), ("xfs", "Block"), ("Block", "xfs")])
def test_one_that_somebody_wrote_to_is_not(raw: RawDisk, rules: Rules, was: str, becomes: str) -> None:
    identity = identity_of(raw, rules)
    assert state(do(raw, prepare(identity), rules, was)) == ("done", "")
    if was == "Block":
        raw.write((150 << 20) + 512, SECRET)
    else:
        (raw.ours / OLD / "data").write_bytes(SECRET)
    assert state(do(raw, anew(identity), rules, becomes)) == ("refused", "HasData")
    assert raw.holds(SECRET)
    assert journal.shape(entry_of(rules, identity)) == was
    assert (raw.is_mounted, node(rules, OLD).exists()) == (was != "Block", was == "Block")


@pytest.mark.parametrize(("was", "becomes"), [("xfs", "Block"), ("Block", "xfs")])
def test_an_edit_alone_changes_nothing_on_the_disk_and_a_boot_brings_back_what_is_there(
    raw: RawDisk, rules: Rules, was: str, becomes: str
) -> None:
    """The edit of a bound disk is pending; the pod comes back after a reboot all the same."""
    identity = identity_of(raw, rules)
    assert state(do(raw, prepare(identity), rules, was)) == ("done", "")
    if was == "Block":
        node(rules, OLD).unlink()
    else:
        raw.unmount()
    assert facts_of(raw, rules, **SHAPES[becomes]).presence is Presence.NOT_MOUNTED
    job = Job(id=1, kind="mount", volume="volume-a", source=source_of(raw), **SHAPES[becomes])
    assert mounting.from_journal(job, rules).ok
    assert (raw.is_mounted, node(rules, OLD).exists()) == (was != "Block", was == "Block")
    assert facts_of(raw, rules, **SHAPES[becomes]).tenancies == (OLD,)


def test_a_wipe_of_what_was_released_makes_it_what_is_wanted(raw: RawDisk, rules: Rules) -> None:
    identity = identity_of(raw, rules)
    assert state(do(raw, prepare(identity), rules, "xfs")) == ("done", "")
    (raw.ours / OLD / "data").write_bytes(SECRET)
    assert state(do(raw, reclaim(identity), rules, "Block")) == ("done", "")
    is_as_wanted(raw, rules, identity, "Block")
    assert raw.is_zero()


def mounted_with(disk: RawDisk) -> set[str]:
    (line,) = (
        line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f" {disk.path} " in line
    )
    fields = line.split()
    return {*fields[5].split(","), *fields[-1].split(",")}


def test_mount_options_are_obeyed_at_first_use_after_a_boot_and_when_they_change(
    raw: RawDisk, rules: Rules
) -> None:
    """Also those that only who mounts the file system can give it, such as nodelalloc."""
    identity, options = identity_of(raw, rules), ("noatime", "nodelalloc")
    wish = {"fs_type": "ext4", "mount_options": options}
    ended = obey(raw, prepare(identity), rules, job=wish)
    assert state(ended) == ("done", "")
    assert ended.record.made == "ext4 noatime nodelalloc"
    assert mounted_with(raw) >= {*options, "nosuid", "nodev"}
    raw.unmount()
    job = Job(id=1, kind="mount", volume="volume-a", source=source_of(raw))
    assert mounting.from_journal(job, rules).ok
    assert mounted_with(raw) >= {*options}
    assert state(obey(raw, anew(identity), rules, job={"fs_type": "ext4"})) == ("done", "")
    assert not mounted_with(raw) & {*options}
    (raw.ours / NEXT / "data").write_bytes(SECRET)
    again = reclaim(identity, id="order-2", ends=NEXT, next=OTHER)
    assert state(obey(raw, again, rules, job=wish)) == ("done", "")
    assert mounted_with(raw) >= {*options}


@pytest.mark.parametrize(
    ("fs_type", "option"), [("xfs", "rtdev=OTHER"), ("xfs", "logdev=OTHER"), ("ext4", "journal_path=OTHER")]
)
def test_no_option_has_the_kernel_open_another_disk(
    raw: RawDisk, rules: Rules, tmp_path: Path, fs_type: str, option: str
) -> None:
    """The inventory refuses it; this is the daemon's own look, at what is in a volume's spec all the same."""
    other = tmp_path / "other"
    other.write_bytes(b"")
    job = {"fs_type": fs_type, "mount_options": (option.replace("OTHER", str(other)),)}
    ended = obey(raw, prepare(identity_of(raw, rules)), rules, job=job)
    assert state(ended) == ("failed", "EPERM")
    assert ended.work is not None
    assert "would open what no guard has looked at" in ended.work.message
    assert str(raw.path) not in Path("/proc/self/mountinfo").read_text()


def test_an_option_that_the_file_system_does_not_know_is_said_and_its_correction_helps(
    raw: RawDisk, rules: Rules
) -> None:
    order = prepare(identity_of(raw, rules))
    ended = obey(raw, order, rules, job={"fs_type": "ext4", "mount_options": ("nodelaloc",)})
    assert state(ended) == ("failed", "EINVAL")
    assert ended.work is not None
    assert "nodelaloc" in ended.work.message
    again = msgspec.structs.replace(order, attempt=1)
    good = {"fs_type": "ext4", "mount_options": ("nodelalloc",)}
    assert state(obey(raw, again, rules, job=good)) == ("done", "")
    assert "nodelalloc" in mounted_with(raw)


@pytest.fixture
def disks(own_mounts: None, tmp_path: Path, rules: Rules) -> Iterator[Any]:
    """Makes small disks, each with a journal of its own: a new file may get the inode of one before."""
    made: list[RawDisk] = []

    def make() -> tuple[RawDisk, Rules]:
        number = len(made)
        state, nodes = f"{rules.state}-{number}", f"{rules.nodes}-{number}"
        own = msgspec.structs.replace(rules, state=state, mounts=f"{state}/mounts", nodes=nodes)
        made.append(RawDisk.make(tmp_path, f"raw-{number}", own, size=SMALL))
        return made[-1], own

    yield make
    for each in made:
        each.remove()


@pytest.mark.long
@pytest.mark.parametrize(("was", "becomes"), [("ext4", "Block"), ("Block", "ext4")])
def test_killed_before_any_step_the_next_process_ends_it(disks: Any, was: str, becomes: str) -> None:
    step, ended = 0, False
    while not ended:
        step += 1
        disk, rules = disks()
        identity = identity_of(disk, rules)
        assert state(do(disk, prepare(identity), rules, was)) == ("done", "")
        order, tick = anew(identity), die_at(step)
        ended = in_child(lambda: do(disk, order, rules, becomes, tick=tick)) == 0  # noqa: B023
        if step % 2 and disk.is_mounted:
            disk.unmount()  # as a reboot does
        again = msgspec.structs.replace(order, id="order-2", attempt=1) if step % 3 == 0 else order
        assert state(do(disk, again, rules, becomes)) == ("done", ""), step
        is_as_wanted(disk, rules, identity, becomes)
    assert step > 6
