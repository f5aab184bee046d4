"""A device whose entry names it otherwise by now: moved to the new volume's place, or left where it is."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from disk_daemon import journal, kernel, mounting
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Job, Mounted
from disk_daemon.known import Facts, Live
from disk_daemon.observe import observe
from tests.disks.bench import OLD, RawDisk, entry_of, identity_of, obey
from tests.disks.device import SECRET, prepare, state
from tests.disks.program import Controller, Daemon
from tests.unit.daemon.cases import order, pv, volume
from tidb_volume.kube import kinds
from tidb_volume.kube.client import Client
from tidb_volume.value import Presence, Source, Volume

NEWCOMER = "volume-b"
BLOCK: dict[str, Any] = {"volume_mode": "Block"}


@pytest.fixture
def name(tmp_path: Path, raw: RawDisk) -> Path:
    """Another of the disk's names."""
    made = tmp_path / "by-id-another"
    made.symlink_to(raw.loop)
    return made


def gone(other: str) -> Live:
    """The API, in which nothing is left of the volume that had it."""
    assert other == "volume-a"
    return Live(read_at=kernel.boottime())


def taken_over(name: Path, rules: Rules, read: Callable[[str], Live] = gone, **job: Any) -> Mounted:
    source = Source(device=str(name))
    return mounting.from_journal(Job(id=1, kind="mount", volume=NEWCOMER, source=source, **job), rules, read)


def seen(name: Path, rules: Rules, **job: Any) -> Facts:
    source = Source(device=str(name))
    return observe(Job(id=1, kind="observe", volume=NEWCOMER, source=source, **job), rules).facts


def place(rules: Rules) -> Path:
    return Path(rules.place(NEWCOMER))


def unmount(rules: Rules) -> None:
    subprocess.run(["umount", place(rules)], check=True)


def test_what_nobody_has_is_moved_to_the_place_of_the_volume_that_has_its_new_name(
    used: RawDisk, rules: Rules, name: Path
) -> None:
    facts = seen(name, rules)
    assert (facts.presence, facts.raw is not None and facts.raw.other) == (Presence.NOT_MOUNTED, "volume-a")
    done = taken_over(name, rules)
    assert (done.ok, done.said) == (True, f"mounted at {place(rules)}")
    try:
        assert not used.is_mounted
        assert (place(rules) / ".tidb-volume" / OLD / "data").read_bytes() == SECRET
        facts = seen(name, rules)
        assert (facts.presence, facts.tenancies, facts.users) == (Presence.OK, (OLD,), ())
        entry = entry_of(used, rules)
        assert (entry.volume, entry.source, entry.handed) == (NEWCOMER, str(name), OLD)
        assert mounting.recall(rules) == ((NEWCOMER, str(name), "Filesystem"),)
        assert (
            taken_over(name, rules, lambda _: pytest.fail("nothing is left to ask")).said == "mounted already"
        )
    finally:
        unmount(rules)


def test_it_moves_as_well_where_it_was_mounted_nowhere_or_a_process_was_cut(
    used: RawDisk, rules: Rules, name: Path
) -> None:
    """After a boot at which the old name leads nowhere; and between the unmount and the journal."""
    used.unmount()
    assert taken_over(name, rules).ok
    assert (place(rules) / ".tidb-volume" / OLD / "data").read_bytes() == SECRET
    unmount(rules)


def read_as(**unlike: Any) -> Callable[[str], Live]:
    return lambda other: msgspec.structs.replace(gone(other), **unlike)


STAYS: dict[str, tuple[Callable[[str], Live], str]] = {
    "a volume": (read_as(volume=volume(order())), "volume volume-a of node n has the disk"),
    "a PersistentVolume": (read_as(pvs=(pv("volume-a-x"),)), "PersistentVolume volume-a-x leads to the disk"),
    "no API": (read_as(error="refused"), "cannot be read: refused"),
    "an old reading": (read_as(read_at=1.0), "it answers too slowly"),
}


KEPT_BY = {
    "a volume": "no_volume_has_it",
    "a PersistentVolume": "no_pv_leads_there",
    "no API": "the_api_is_read",
    "an old reading": "the_api_is_read",
}


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=pytest.mark.guards(rule)) for what, rule in KEPT_BY.items()]
)
def test_what_somebody_may_have_stays_where_it_is(used: RawDisk, rules: Rules, name: Path, what: str) -> None:
    read, said = STAYS[what]
    before = entry_of(used, rules)
    found = taken_over(name, rules, read)
    assert (found.ok, said in found.said, found.passing) == (False, True, what == "no API")
    assert f"take it back: list {used.by_id} again" in found.said
    assert (used.ours / OLD / "data").read_bytes() == SECRET
    assert entry_of(used, rules) == before
    assert not os.path.ismount(place(rules))


@pytest.mark.guards("nobody_has_it_mounted")
def test_nothing_is_moved_from_under_a_pod_of_which_the_api_has_nothing_left(
    used: RawDisk, rules: Rules, name: Path, tmp_path: Path
) -> None:
    pod = tmp_path / "pod"
    pod.mkdir()
    subprocess.run(["mount", "--bind", used.ours / OLD, pod], check=True)
    try:
        found = taken_over(name, rules)
        assert (found.ok, f"mount {pod} has the disk" in found.said) == (False, True)
        assert used.is_mounted
        assert not os.path.ismount(place(rules))
    finally:
        subprocess.run(["umount", pod], check=True)
    assert taken_over(name, rules).ok
    unmount(rules)


def test_one_with_open_files_stays_and_is_moved_later(used: RawDisk, rules: Rules, name: Path) -> None:
    with (used.ours / OLD / "data").open("rb"):
        found = taken_over(name, rules)
        assert (found.ok, found.said.startswith("EBUSY: ")) == (False, True)
        assert used.is_mounted
        assert entry_of(used, rules).volume == "volume-a"
    assert taken_over(name, rules).ok
    unmount(rules)


def test_where_the_journal_cannot_be_written_it_stays(used: RawDisk, rules: Rules, name: Path) -> None:
    why = "the daemon's own folder cannot be written"
    found = taken_over(name, msgspec.structs.replace(rules, unwritable=why))
    assert (found.ok, found.said, used.is_mounted) == (False, why, True)


def test_another_file_system_in_its_place_is_not_taken_over(used: RawDisk, rules: Rules, name: Path) -> None:
    used.unmount()
    subprocess.run(["mkfs.xfs", "-q", "-f", "-K", used.loop], check=True)
    found = taken_over(name, rules, lambda _: pytest.fail("it is not ours"))
    assert (found.ok, "damaged or gone" in found.said) == (False, True)
    assert entry_of(used, rules).volume == "volume-a"
    assert not os.path.ismount(place(rules))


@pytest.mark.guards("is_what_was_made")
def test_what_is_not_what_the_journal_has_when_it_is_looked_at_once_more_is_not_taken_over(
    used: RawDisk, rules: Rules, name: Path
) -> None:
    """While the API was read somebody changed the journal by hand."""
    used.unmount()

    def read(other: str) -> Live:
        entry = entry_of(used, rules)
        assert entry.made is not None
        made = msgspec.structs.replace(entry.made, uuid="another")
        journal.store(rules.state, msgspec.structs.replace(entry, made=made))
        return gone(other)

    found = taken_over(name, rules, read)
    assert (found.ok, "is not what is on the disk" in found.said) == (False, True)
    assert not os.path.ismount(place(rules))


def test_a_raw_device_whose_node_is_missing_is_shown_for_the_volume_that_has_its_new_name(
    raw: RawDisk, rules: Rules, name: Path
) -> None:
    assert state(obey(raw, prepare(identity_of(raw, rules)), rules, job=BLOCK)) == ("done", "")
    node = Path(rules.nodes) / OLD
    node.unlink()
    assert seen(name, rules, **BLOCK).presence is Presence.NOT_MOUNTED
    found = taken_over(name, rules, STAYS["a PersistentVolume"][0], **BLOCK)
    assert (found.ok, node.exists()) == (False, False)
    assert taken_over(name, rules, **BLOCK).ok
    assert node.is_block_device()
    assert seen(name, rules, **BLOCK).tenancies == (OLD,)
    assert entry_of(raw, rules).volume == NEWCOMER


@pytest.mark.api
def test_the_daemon_moves_it_as_soon_as_the_volume_before_is_gone(
    api: Client, daemon: Daemon, used: RawDisk, rules: Rules, name: Path
) -> None:
    """Two entries name it for a while: the newcomer is in conflict, and says with whom."""
    first, second = Controller(api, used), Controller(api, used._replace(by_id=name))
    entry = entry_of(used, rules)
    journal.store(rules.state, msgspec.structs.replace(entry, volume=first.name, source=str(first.source)))
    used.unmount()
    subprocess.run(["mount", "--mkdir", used.loop, rules.place(first.name)], check=True)
    first.declare()
    second.declare()

    def is_in(presence: Presence) -> Callable[[Volume], bool]:
        return lambda volume: volume.status.disk is not None and volume.status.disk.presence is presence

    try:
        first.until("the first", is_in(Presence.OK))
        second.until("the conflict", is_in(Presence.CONFLICT))
        report = second.volume().status.disk
        assert report is not None
        assert f"as {first.name} ({used.by_id}), which has it by the journal" in report.message
        assert os.path.ismount(rules.place(first.name))
        api.delete(kinds.TIDB_VOLUME, first.name)
        second.until("the move", is_in(Presence.OK))
        report = second.volume().status.disk
        assert report is not None
        assert (report.tenancy, report.journal) == (OLD, OLD)
        assert not os.path.ismount(rules.place(first.name))
    finally:
        for each in (first, second):
            if os.path.ismount(rules.place(each.name)):
                subprocess.run(["umount", rules.place(each.name)], check=True)
