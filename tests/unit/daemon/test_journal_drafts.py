"""A record that is being written: what becomes of its draft where it is never stored."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import msgspec
import pytest

from disk_daemon import child, journal, kernel
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Job, Recalled
from disk_daemon.known import Entry
from tests.unit.daemon.cases import DISK, OLD, OTHER


@pytest.mark.parametrize("failing", ["write", "fsync", "rename"])
@pytest.mark.parametrize("stays", [False, True])
def test_a_record_that_cannot_be_stored_leaves_no_draft_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, stays: bool
) -> None:
    """One is tried a minute and disk, each by a process of its own, and on a full disk each would stay."""
    state = str(tmp_path)
    journal.store(state, Entry(identity=DISK, handed=OLD))
    before = sorted(os.listdir(tmp_path / "journal"))

    def fails(*_: object) -> None:
        raise OSError(errno.EIO if stays else errno.ENOSPC, "as it was")

    monkeypatch.setattr(os, failing, fails)
    if stays:
        monkeypatch.setattr(os, "unlink", lambda _: (_ for _ in ()).throw(OSError(errno.EROFS, "nor that")))
    with pytest.raises(OSError, match="as it was"):
        journal.store(state, Entry(identity=DISK, handed=OTHER))
    if not stays:
        assert sorted(os.listdir(tmp_path / "journal")) == before
    found = journal.load(state, DISK)
    assert isinstance(found, Entry)
    assert found.handed == OLD


def test_drafts_that_nobody_writes_any_more_are_swept_and_nothing_else(tmp_path: Path) -> None:
    state, now = str(tmp_path), 1_800_000_000.0
    journal.sweep(state, now)
    journal.store(state, Entry(identity=DISK, handed=OLD))
    record = journal.file_of(state, DISK)
    old = [record.parent / name for name in ("a.1.new", "a.2.new", "a.json.new.bak", "folder.3.new")]
    for each in old[:3]:
        each.write_bytes(b"half")
    old[3].mkdir()
    for path, age in zip((record, *old), (9999.0, 3600.1, 3600.0, 9999.0, 9999.0), strict=True):
        os.utime(path, (now - age, now - age))
    journal.sweep(state, now)
    left = {each.name for each in record.parent.iterdir()}
    assert left == {record.name, "a.2.new", "a.json.new.bak", "folder.3.new"}


def test_the_daemons_first_look_at_its_journal_sweeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "journal").mkdir()
    draft = tmp_path / "journal" / "a.1.new"
    draft.write_bytes(b"half")
    os.utime(draft, (0, 0))
    monkeypatch.setattr(kernel, "own_mounts", lambda: -1)
    monkeypatch.setattr(kernel, "enter_mounts_of", lambda _: None)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        child.worker(Rules(state=str(tmp_path)), 1)(Job(id=1, kind="recall"), theirs)
        assert msgspec.json.decode(ours.recv(9999), type=Recalled) == Recalled(disks=())
    assert not draft.exists()
