"""The node's record: what it remembers, and that damage is never taken for absence."""

from __future__ import annotations

import os
import string
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disk_daemon import journal
from disk_daemon.known import Broken, Entry, Given
from tests.unit.daemon.cases import DISK, NEXT, OLD, OTHER, order
from tidb_volume.value import Identity


def test_what_is_stored_is_what_is_loaded(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    assert journal.load(state, DISK) is None
    entry = journal.finished(None, DISK, order(claim_uid="c1"), at="now")
    journal.store(state, entry)
    assert journal.load(state, DISK) == entry
    path = journal.file_of(state, DISK)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_the_first_record_gets_its_name_in_folders_that_are_stored_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, rename = os.fsync, os.rename

    def synced(fd: int) -> None:
        sync(fd)
        done.append(os.readlink(f"/proc/self/fd/{fd}").removeprefix(str(tmp_path)).partition(".")[0])

    def renamed(old: Path, new: Path) -> None:
        rename(old, new)
        done.append("renamed")

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    state = tmp_path / "state"
    file = f"/state/journal/{journal.file_of(str(state), DISK).stem}"
    journal.store(str(state), Entry(identity=DISK))
    assert done == ["/state", "", file, "renamed", "/state/journal"]
    done.clear()
    journal.store(str(state), Entry(identity=DISK))
    assert done == [file, "renamed", "/state/journal"]


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff", b"[]", b'{"identity": {}, "handed": 3}'])
def test_a_damaged_file_is_broken_and_says_where_it_is(tmp_path: Path, damage: bytes) -> None:
    journal.store(str(tmp_path), Entry(identity=DISK, handed=OLD))
    path = journal.file_of(str(tmp_path), DISK)
    path.write_bytes(damage)
    found = journal.load(str(tmp_path), DISK)
    assert isinstance(found, Broken)
    assert str(path) in found.why


def test_a_file_that_cannot_be_read_is_broken(tmp_path: Path) -> None:
    journal.file_of(str(tmp_path), DISK).mkdir(parents=True)
    assert isinstance(journal.load(str(tmp_path), DISK), Broken)


def test_a_record_that_tells_of_another_disk_is_broken(tmp_path: Path) -> None:
    journal.store(str(tmp_path), Entry(identity=DISK))
    grown = msgspec.structs.replace(DISK, size_bytes=200)
    assert journal.file_of(str(tmp_path), grown) == journal.file_of(str(tmp_path), DISK)
    assert isinstance(journal.load(str(tmp_path), grown), Broken)


def test_the_file_system_on_a_disk_does_not_change_where_its_record_is(tmp_path: Path) -> None:
    journal.store(str(tmp_path), Entry(identity=DISK, handed=OLD))
    assert isinstance(journal.load(str(tmp_path), msgspec.structs.replace(DISK, fs_uuid="u2")), Entry)


WEAK = Identity(serial="S1", model="M", size_bytes=100)
STRONG = msgspec.structs.replace(WEAK, wwn="naa.5")
STRONGEST = msgspec.structs.replace(STRONG, eui="e1")


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (WEAK, STRONG),
        (WEAK, STRONGEST),
        (STRONG, STRONGEST),
        (STRONGEST, WEAK),
        (STRONGEST, STRONG),
        (STRONG, msgspec.structs.replace(STRONGEST, wwn="")),
    ],
)
def test_a_record_is_found_and_kept_when_the_disk_shows_more_or_fewer_facts(
    tmp_path: Path, then: Identity, now: Identity
) -> None:
    state = str(tmp_path)
    journal.store(state, journal.finished(None, then, order(), at="now"))
    found = journal.load(state, now)
    assert isinstance(found, Entry)
    journal.store(state, journal.noted(found, now, order(ends=NEXT, next=OTHER), begun=False, at="later"))
    assert len(list((tmp_path / "journal").iterdir())) == 1
    for seen in (then, now):
        again = journal.load(state, seen)
        assert isinstance(again, Entry)
        assert again.order is not None
        assert again.handed == NEXT


def test_a_fact_that_shows_no_longer_is_not_forgotten() -> None:
    first = journal.finished(None, STRONGEST, order(), at="now")
    assert journal.noted(first, WEAK, order(), begun=False, at="later").identity == STRONGEST


def test_another_disk_with_a_weaker_fact_in_common_gets_no_record_of_it(tmp_path: Path) -> None:
    journal.store(str(tmp_path), Entry(identity=STRONG, handed=OLD))
    for other in (
        msgspec.structs.replace(STRONG, wwn="naa.6"),
        msgspec.structs.replace(STRONGEST, wwn="", size_bytes=999),
        Identity(eui="e2", size_bytes=100),
    ):
        assert journal.load(str(tmp_path), other) is None


@pytest.mark.parametrize("now", [WEAK, STRONG, STRONGEST, Identity(eui="e2")])
def test_a_damaged_record_may_be_that_of_any_disk_without_one(tmp_path: Path, now: Identity) -> None:
    """Its name may be a fact that its disk shows no longer, so one that fits nobody frees nobody."""
    state = str(tmp_path)
    journal.store(state, Entry(identity=STRONG, handed=OLD))
    path = journal.file_of(state, STRONG)
    path.write_bytes(b"{")
    found = journal.load(state, now)
    assert isinstance(found, Broken)
    assert str(path) in found.why
    path.unlink()
    assert journal.load(state, now) is None


def test_a_damaged_record_takes_no_other_disk_its_own(tmp_path: Path) -> None:
    state = str(tmp_path)
    journal.store(state, Entry(identity=STRONG, handed=OLD))
    other = Identity(serial="S2", model="M")
    journal.store(state, Entry(identity=msgspec.structs.replace(other, wwn="naa.7"), handed=OTHER))
    journal.file_of(state, STRONG).write_bytes(b"{")
    found = journal.load(state, other)
    assert isinstance(found, Entry)
    assert found.handed == OTHER


def test_a_journal_that_cannot_be_listed_is_broken_and_one_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert journal.load(str(tmp_path), DISK) is None
    (tmp_path / "journal").write_bytes(b"")
    assert isinstance(journal.load(str(tmp_path), DISK), Broken)


def test_a_record_that_leads_nowhere_is_broken(tmp_path: Path) -> None:
    path = journal.file_of(str(tmp_path), DISK)
    path.parent.mkdir()
    path.symlink_to(tmp_path / "moved-elsewhere")
    for disk in (DISK, Identity(eui="e2")):
        assert isinstance(journal.load(str(tmp_path), disk), Broken)


def test_two_records_that_tell_of_one_disk_are_no_record(tmp_path: Path) -> None:
    journal.store(str(tmp_path), Entry(identity=Identity(serial="S1", model="M"), handed=OLD))
    journal.store(str(tmp_path), Entry(identity=Identity(wwn="naa.5"), handed=OTHER))
    found = journal.load(str(tmp_path), msgspec.structs.replace(STRONGEST, eui="e9"))
    assert isinstance(found, Broken)
    assert "both tell of this disk" in found.why


def test_two_partitions_have_records_of_their_own(tmp_path: Path) -> None:
    one, two = (msgspec.structs.replace(DISK, partition=each) for each in ("1@2048", "2@4096"))
    assert journal.file_of(str(tmp_path), one) != journal.file_of(str(tmp_path), two)
    assert journal.file_of(str(tmp_path), Identity(eui="x")) != journal.file_of(
        str(tmp_path), Identity(wwn="x")
    )


def test_a_done_order_hands_the_next_tenancy_over_and_remembers_the_old_one() -> None:
    begun = journal.noted(Entry(identity=DISK, handed=OLD), DISK, order(), begun=True, at="t1")
    done = journal.finished(begun, DISK, order(claim_uid="c1"), at="t2")
    assert (done.handed, done.past, done.claims, done.order) == (NEXT, (OLD,), ("c1",), None)
    assert [each.id for each in done.done] == ["order-1"]
    kept = journal.finished(begun, DISK, order(offer=False), at="t2")
    assert (kept.handed, kept.past) == ("", (OLD,))


def test_a_lost_record_takes_the_tenancy_on_the_disk_for_the_one_handed_over() -> None:
    noted = journal.noted(None, DISK, order(), begun=False, at="t")
    assert journal.given_back(noted).handed == OLD


def test_a_withdrawn_order_is_remembered_and_what_a_person_asked_to_have_back_with_its_claim() -> None:
    given = order(claim_uid="c1")
    begun = journal.noted(Entry(identity=DISK, handed=OLD), DISK, given, begun=False, at="t")
    plain = journal.taken_back(begun, DISK, given, restore=False, shown=True)
    assert (plain.handed, plain.order, plain.taken_back, plain.given) == (OLD, None, ("order-1",), ())
    back = journal.taken_back(plain, DISK, given, restore=True, shown=True)
    assert back.taken_back == ("order-1",)
    assert back.given == (Given(tenancy=OLD, claim_uid="c1"),)
    assert journal.taken_back(back, DISK, given, restore=True, shown=True) == back


def test_a_withdrawn_order_makes_a_record_where_there_was_none() -> None:
    assert journal.taken_back(None, DISK, order(), restore=False, shown=True).handed == OLD
    assert journal.taken_back(None, DISK, order(), restore=False, shown=False).handed == ""


def test_of_withdrawn_orders_the_last_are_kept() -> None:
    entry: Entry | None = None
    for number in range(70):
        each = order(id=f"o{number}", ends=f"{number:012}", claim_uid="c")
        entry = journal.taken_back(entry, DISK, each, restore=True, shown=True)
    assert entry is not None
    assert entry.taken_back == tuple(f"o{number}" for number in range(6, 70))
    assert len(entry.given) == 64
    assert entry.given[-1].tenancy == f"{69:012}"


def test_a_record_of_the_version_before_is_read(tmp_path: Path) -> None:
    path = journal.file_of(str(tmp_path), DISK)
    path.parent.mkdir()
    identity = msgspec.json.encode(DISK).decode()
    path.write_text(f'{{"identity": {identity}, "handed": "{OLD}", "past": ["{OTHER}"]}}')
    found = journal.load(str(tmp_path), DISK)
    assert isinstance(found, Entry)
    assert (found.handed, found.taken_back, found.given) == (OLD, (), ())


LETTERS = string.ascii_lowercase + "234567"
TENANCIES = st.text(LETTERS, min_size=12, max_size=12)


@given(tenancies=st.lists(TENANCIES, min_size=2, max_size=400, unique=True))
def test_it_forgets_the_oldest_and_never_the_one_handed_over(tenancies: list[str]) -> None:
    entry: Entry | None = None
    for number, (ends, following) in enumerate(zip(["", *tenancies], tenancies, strict=False)):
        entry = journal.finished(entry, DISK, order(id=f"o{number}", ends=ends, next=following), at="t")
    assert entry is not None
    assert entry.handed == tenancies[-1]
    assert list(entry.past) == tenancies[:-1][-journal.KEPT_TENANCIES :]
    assert [each.next for each in entry.done] == tenancies[-journal.KEPT_ORDERS :]


def test_a_store_that_is_cut_leaves_the_old_record(tmp_path: Path) -> None:
    state = str(tmp_path)
    journal.store(state, Entry(identity=DISK, handed=OLD))
    path = journal.file_of(state, DISK)
    (path.parent / f"{path.stem}.{os.getpid()}.new").write_bytes(b"half")
    found = journal.load(state, DISK)
    assert isinstance(found, Entry)
    assert found.handed == OLD
    journal.store(state, Entry(identity=DISK, handed=OTHER))
    found = journal.load(state, DISK)
    assert isinstance(found, Entry)
    assert found.handed == OTHER


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        ({}, True),
        ({"id": "order-2", "attempt": 1}, True),
        ({"method": "overwrite:2"}, False),
        ({"ends": OTHER}, False),
        ({"next": OTHER}, False),
    ],
)
def test_what_was_written_counts_for_the_same_wipe_by_the_same_method_alone(
    changed: dict[str, str | int], kept: bool
) -> None:
    given = order(method="zero")
    begun = journal.written(journal.noted(None, DISK, given, begun=True, at=""), 4096)
    again = journal.noted(begun, DISK, order(**{"method": "zero", **changed}), begun=True, at="")
    assert again.written_bytes == (4096 if kept else 0)
