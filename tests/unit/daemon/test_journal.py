"""The node's record: what it remembers, and that damage is never taken for absence."""

from __future__ import annotations

import os
import string
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disk_daemon import journal
from disk_daemon.known import Broken, Entry, Given, Had, Made, Past, Taken
from tests.unit.daemon.cases import DISK, NEXT, OLD, OTHER, entry, order, taken
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


def test_a_record_keeps_its_name_from_version_to_version_and_a_person_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "journal" / "4e50f14793eec7236399e8b1.json"
    assert journal.file_of(str(tmp_path), Identity(wwn="naa.5")) == path
    journal.store(str(tmp_path), Entry(identity=Identity(wwn="naa.5"), handed=OLD))
    assert path.read_text().splitlines()[-3:] == [f' "handed": "{OLD}"', "}", "}"]


def test_a_record_is_whole_whatever_its_draft_held_and_nothing_stays_open(tmp_path: Path) -> None:
    path = journal.file_of(str(tmp_path), DISK)
    path.parent.mkdir()
    path.with_suffix(f".{os.getpid()}.new").write_bytes(b"x" * 9999)
    before = os.listdir("/proc/self/fd")
    journal.store(str(tmp_path), Entry(identity=DISK, handed=OLD))
    assert os.listdir("/proc/self/fd") == before
    assert journal.load(str(tmp_path), DISK) == Entry(identity=DISK, handed=OLD)


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
    assert ("may be this disk's, which has no other" in found.why) is (now in (WEAK, Identity(eui="e2")))
    path.unlink()
    assert journal.load(state, now) is None


def test_a_record_named_by_one_of_a_disks_facts_is_its_own_whatever_it_holds(tmp_path: Path) -> None:
    path = journal.file_of(str(tmp_path), STRONG)
    journal.store(str(tmp_path), Entry(identity=msgspec.structs.replace(STRONG, size_bytes=200)))
    found = journal.load(str(tmp_path), STRONGEST)
    assert isinstance(found, Broken)
    assert "tells of another disk" in found.why
    assert journal.file_of(str(tmp_path), STRONGEST) == path


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


@pytest.mark.parametrize("backwards", [False, True])
def test_two_records_that_tell_of_one_disk_are_no_record_and_named_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backwards: bool
) -> None:
    kept = (
        Entry(identity=Identity(serial="S1", model="M"), handed=OLD),
        Entry(identity=Identity(wwn="naa.5"), handed=OTHER),
    )
    one, two = sorted(journal.file_of(str(tmp_path), each.identity) for each in kept)
    for each in kept:
        journal.store(str(tmp_path), each)
    listed, matched = os.listdir, Path.glob
    monkeypatch.setattr(os, "listdir", lambda folder: sorted(listed(folder), reverse=backwards))
    monkeypatch.setattr(Path, "glob", lambda *asked: sorted(matched(*asked), reverse=backwards))
    found = journal.load(str(tmp_path), msgspec.structs.replace(STRONGEST, eui="e9"))
    assert found == Broken(why=f"the journals {one} and {two} both tell of this disk")
    assert [journal.file_of(str(tmp_path), each.identity) for each in journal.every(str(tmp_path))] == [
        one,
        two,
    ]


def test_of_all_records_those_are_told_that_can_be_read(tmp_path: Path) -> None:
    assert journal.every(str(tmp_path)) == []
    journal.store(str(tmp_path), entry())
    (tmp_path / "journal" / "damaged.json").write_bytes(b"{")
    (tmp_path / "journal" / "draft.new").write_bytes(msgspec.json.encode(entry()))
    assert journal.every(str(tmp_path)) == [entry()]


def test_a_draft_that_never_became_a_record_is_none(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "cut.1.new").write_bytes(b"half")
    assert journal.load(str(tmp_path), DISK) is None


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


def test_what_is_given_at_the_root_is_handed_over_as_the_next_tenancy_and_once() -> None:
    given = order(ends="")
    known = journal.taken_back(entry(), DISK, given, restore=True, shown=False, at_root=True)
    assert (known.handed, known.at_root, known.past) == (NEXT, True, (OLD,))
    again = journal.taken_back(
        known, DISK, order(id="o2", ends="", next=OTHER), restore=True, shown=False, at_root=True
    )
    assert (again.handed, again.past) == (NEXT, (OLD,))
    none = journal.taken_back(None, DISK, given, restore=True, shown=False, at_root=True)
    assert (none.handed, none.at_root, none.past) == (NEXT, True, ())
    same = journal.taken_back(entry(handed=NEXT), DISK, given, restore=True, shown=False, at_root=True)
    assert (same.handed, same.at_root, same.past) == (NEXT, True, ())
    plain = journal.taken_back(known, DISK, given, restore=False, shown=False)
    assert (plain.handed, plain.at_root) == (NEXT, True)
    assert not journal.taken_back(entry(), DISK, given, restore=True, shown=False).at_root


@pytest.mark.parametrize("offer", [False, True])
def test_after_its_wipe_nothing_is_at_the_root(*, offer: bool) -> None:
    known = journal.finished(entry(at_root=True), DISK, order(offer=offer), at="t")
    assert (known.at_root, known.past) == (False, (OLD,))


def test_of_withdrawn_orders_the_last_are_kept() -> None:
    entry: Entry | None = None
    for number in range(70):
        each = order(id=f"o{number}", ends=f"{number:012}", claim_uid="c")
        entry = journal.taken_back(entry, DISK, each, restore=True, shown=True)
    assert entry is not None
    assert entry.taken_back == tuple(f"o{number}" for number in range(6, 70))
    assert len(entry.given) == 64
    assert entry.given[-1].tenancy == f"{69:012}"


def test_a_record_of_another_version_is_read_by_the_fields_that_are_known(tmp_path: Path) -> None:
    path = journal.file_of(str(tmp_path), DISK)
    path.parent.mkdir()
    identity = msgspec.json.encode(DISK).decode()
    record = f'{{"identity": {identity}, "handed": "{OLD}", "laterOn": 1, "past": ["{OTHER}"]}}'
    path.write_text(f'{{"crc32": "{zlib.crc32(record.encode()):08x}", "record": {record}}}')
    found = journal.load(str(tmp_path), DISK)
    assert isinstance(found, Entry)
    assert (found.handed, found.taken_back, found.given) == (OLD, (), ())


def test_a_record_of_which_any_one_byte_is_damaged_is_broken_or_says_the_same(tmp_path: Path) -> None:
    """A damaged name of a field would read as a field that was never set."""
    state = str(tmp_path)
    kept = Entry(identity=DISK, handed=OLD, block=True, taken_back=("o1",))
    journal.store(state, kept)
    path = journal.file_of(state, DISK)
    whole = path.read_bytes()
    for at in range(len(whole)):
        for flipped in (1, 32, 128):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ flipped]) + whole[at + 1 :])
            found = journal.load(state, DISK)
            assert found == kept or isinstance(found, Broken), (at, flipped)
    path.write_bytes(whole.replace(b"crc32", b"crc33"))
    found = journal.load(state, DISK)
    assert isinstance(found, Broken)
    path.write_bytes(whole.replace(b'"handed"', b'"hanged"'))
    found = journal.load(state, DISK)
    assert isinstance(found, Broken)
    assert "is damaged: its checksum is not " in found.why


MADE = Made(uuid="u9", fs_type="ext4", options=("noatime",))


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        ({}, ""),
        ({"made": MADE}, "ext4 noatime"),
        ({"making": MADE}, ""),
        ({"block": True}, "Block"),
        ({"block": True, "made": MADE}, "Block"),
    ],
)
def test_a_device_is_what_was_made_of_it(fields: dict[str, Any], shape: str) -> None:
    assert journal.shape(entry(**fields)) == shape


def test_an_order_is_noted_with_all_that_the_next_attempt_compares() -> None:
    given = order(method="zero", answer="q", whole_disk=True)
    noted = journal.noted(None, DISK, given, begun=False, at="t", over="an ext4")
    assert noted.order == Taken(
        id="order-1",
        kind="reclaim",
        ends=OLD,
        next=NEXT,
        whole_disk=True,
        at="t",
        method="zero",
        over="an ext4",
        answer="q",
    )
    begun = journal.noted(noted, DISK, given, begun=True, at="t").order
    assert begun is not None
    assert (begun.begun, begun.over) == (True, "")


def test_what_was_written_counts_once_the_wipe_has_begun() -> None:
    again = journal.noted(entry(order=taken(), written_bytes=4096), DISK, order(), begun=False, at="")
    assert again.written_bytes == 0


DONE = Past(id="order-1", kind="reclaim", ends=OLD, next=NEXT, at="t")


@pytest.mark.parametrize(
    ("known", "given", "changed"),
    [
        ({}, {}, {"handed": NEXT, "past": (OLD,), "done": (DONE,)}),
        ({"order": taken(), "written_bytes": 9}, {}, {"handed": NEXT, "past": (OLD,), "done": (DONE,)}),
        # Carried out a second time, after a crash, it is one order all the same.
        ({"handed": NEXT, "past": (OLD,), "done": (DONE,)}, {}, {}),
        ({"handed": ""}, {}, {"handed": NEXT, "past": (OLD,), "done": (DONE,)}),
        # Both are past: what was handed over by the record, and what the order ends.
        ({"handed": OTHER}, {}, {"handed": NEXT, "past": (OTHER, OLD), "done": (DONE,)}),
        (
            {"handed": "", "past": (OTHER,), "claims": ("c1", "c2")},
            {"ends": "", "claim_uid": "c1"},
            {"handed": NEXT, "done": (msgspec.structs.replace(DONE, ends=""),)},
        ),
        (
            {"claims": ("c1",), "done": (msgspec.structs.replace(DONE, id="order-0"),)},
            {"claim_uid": "c2"},
            {
                "handed": NEXT,
                "past": (OLD,),
                "claims": ("c1", "c2"),
                "done": (msgspec.structs.replace(DONE, id="order-0"), DONE),
            },
        ),
        ({}, {"offer": False}, {"handed": "", "past": (OLD,), "done": (DONE,)}),
    ],
)
def test_what_an_order_ends_is_past_and_the_rest_of_the_record_stays(
    known: dict[str, Any], given: dict[str, Any], changed: dict[str, Any]
) -> None:
    done = journal.finished(entry(**known), DISK, order(**given), at="t")
    assert done == msgspec.structs.replace(entry(**known), **changed, order=None, written_bytes=0)


def test_every_order_leaves_what_the_disk_has_shown_so_far() -> None:
    weak, strong = Entry(identity=WEAK), Entry(identity=STRONGEST)
    for known, seen in ((weak, STRONGEST), (strong, WEAK)):
        for left in (
            journal.noted(known, seen, order(), begun=False, at="t"),
            journal.finished(known, seen, order(), at="t"),
            journal.taken_back(known, seen, order(), restore=False, shown=False),
        ):
            assert left.identity == STRONGEST


def test_an_order_given_up_before_it_began_leaves_no_trace() -> None:
    noted = journal.noted(entry(), DISK, order(), begun=False, at="t")
    assert journal.given_back(noted) == entry()


@pytest.mark.parametrize(("at_work", "stays"), [(None, False), (taken(), False), (taken(begun=True), True)])
def test_an_order_that_has_begun_stays_at_work_whatever_is_withdrawn(
    at_work: Taken | None, stays: bool
) -> None:
    left = journal.taken_back(entry(order=at_work), DISK, order(), restore=False, shown=True)
    assert left == entry(order=at_work if stays else None, taken_back=("order-1",))


def test_with_a_first_use_withdrawn_there_is_nothing_to_have_back() -> None:
    left = journal.taken_back(entry(), DISK, order(ends="", claim_uid="c1"), restore=True, shown=True)
    assert left == entry(taken_back=("order-1",))


def test_who_was_seen_on_a_tenancy_is_remembered_once_and_told_of_that_one_alone() -> None:
    known = entry()
    for tenancy, claim in ((OLD, "c1"), (NEXT, "c2"), (OLD, ""), (OLD, "c1"), ("", "c3")):
        known = journal.had(known, tenancy, claim)
    assert known.had[:3] == (
        Had(tenancy=NEXT, claim_uid="c2"),
        Had(tenancy=OLD),
        Had(tenancy=OLD, claim_uid="c1"),
    )
    seen = [journal.seen_on(known, each) for each in (OLD, NEXT, OTHER, "")]
    assert seen == [("", "c1"), ("c2",), (), ()]


def test_a_file_system_is_being_made_then_made_then_mounted() -> None:
    was = entry(made=MADE, unmounted=True)
    wanted = Made(uuid="u10", fs_type="xfs")
    making = journal.making(was, wanted)
    assert making == entry(made=MADE, making=wanted)
    made = journal.made(making)
    assert made == entry(made=wanted)
    mounted = journal.mounted(made, ("noatime",))
    assert mounted == entry(made=msgspec.structs.replace(wanted, options=("noatime",)))


@pytest.mark.parametrize(
    ("was", "raw"),
    [
        ({"block": True, "handed": OLD}, True),
        ({"block": True, "handed": ""}, False),
        ({"block": False, "handed": OLD}, False),
        ({"block": False, "handed": "", "was_block": True}, True),
    ],
)
def test_what_a_tenant_had_as_a_raw_device_is_known_until_a_file_system_is_made_of_it(
    was: dict[str, Any], raw: bool
) -> None:
    wanted = Made(uuid="u10", fs_type="xfs")
    kept = {**was, "block": False, "was_block": raw}
    making = journal.making(entry(**was), wanted)
    assert making == entry(**{**kept, "making": wanted})
    assert journal.made(making) == entry(**{**kept, "was_block": False, "made": wanted})


def test_what_becomes_a_raw_device_has_no_file_system_of_ours() -> None:
    making = Made(uuid="u10", fs_type="xfs")
    was = entry(made=MADE, making=making, was_block=True)
    assert journal.becoming_block(was) == entry(block=True)


@pytest.mark.parametrize(("kind", "unmounted", "following"), [("mount", False, NEXT), ("unmount", True, "")])
def test_an_order_to_mount_or_unmount_ends_nothing(kind: str, unmounted: bool, following: str) -> None:
    known = entry(order=taken(), unmounted=not unmounted, done=(DONE,))
    left = journal.mounted_as_such(known, order(id="order-2", kind=kind), at="t2")
    past = Past(id="order-2", kind=kind, ends="", next=following, at="t2")
    assert left == entry(unmounted=unmounted, done=(DONE, past))


def test_of_all_that_is_remembered_the_last_is_kept() -> None:
    known, mounted = entry(handed=""), entry()
    for number in range(300):
        given = order(id=f"o{number}", ends=f"e{number}", claim_uid=f"c{number}")
        known = journal.had(journal.finished(known, DISK, given, at="t"), f"e{number}", "c")
        mounted = journal.mounted_as_such(mounted, given, at="t")
    assert [each.id for each in known.done] == [f"o{number}" for number in range(300 - 64, 300)]
    assert [each.id for each in mounted.done] == [f"o{number}" for number in range(300 - 64, 300)]
    assert known.past[-1] == "e299"
    assert known.claims == tuple(f"c{number}" for number in range(300 - 256, 300))
    assert [each.tenancy for each in known.had] == [f"e{number}" for number in range(300 - 256, 300)]


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


@pytest.mark.parametrize(
    ("was", "aside", "before"),
    [
        (None, ("order-0",), ()),
        (taken(id="order-0"), ("order-0",), ("order-0",)),
        (taken(id="order-0"), (), ()),
        (taken(id="order-0", before=("a", "b")), ("b", "order-0", "c"), ("b", "order-0")),
        (taken(id="order-0", before=("a",)), ("order-1", "a"), ("a",)),
        (taken(id="order-1", before=("a",)), ("order-1", "a"), ("a",)),
        (taken(id="order-0", ends=OTHER), ("order-0",), ()),
        (taken(id="order-0", whole_disk=True), ("order-0",), ()),
    ],
)
def test_the_orders_before_are_kept_while_what_they_put_aside_is_there(
    was: Taken | None, aside: tuple[str, ...], before: tuple[str, ...]
) -> None:
    known = journal.noted(entry(order=was), DISK, order(), begun=False, at="now", aside=aside)
    assert known.order is not None
    assert (known.order.id, known.order.before) == ("order-1", before)


@pytest.mark.parametrize(
    ("changed", "begun", "made_by"),
    [
        ({}, True, "zero"),
        ({"id": "order-2"}, True, "zero"),
        ({"id": "order-2", "method": "format"}, True, "zero"),
        ({"id": "order-2", "ends": OTHER}, True, ""),
        ({"id": "order-2", "whole_disk": True}, True, ""),
        ({}, False, ""),
    ],
)
def test_how_a_device_was_made_anew_is_known_as_long_as_its_wipe_is_at_work(
    changed: dict[str, Any], begun: bool, made_by: str
) -> None:
    given = order(method="zero")
    at_work = journal.making(journal.noted(None, DISK, given, begun=begun, at=""), MADE)
    made = journal.made(journal.written(at_work, 4096))
    assert made.order is not None
    assert (made.order.made_by, made.written_bytes) == ("zero", 0)
    again = journal.noted(made, DISK, order(**{"method": "zero", **changed}), begun=True, at="").order
    assert again is not None
    assert again.made_by == made_by
    assert journal.finished(made, DISK, given, at="").order is None


def test_an_order_that_is_done_is_kept_with_the_answer_that_it_stood_on() -> None:
    assert journal.finished(entry(), DISK, order(answer="q-7"), at="now").done[-1].answer == "q-7"
    assert journal.finished(entry(), DISK, order(), at="now").done[-1].answer == ""


def test_a_record_that_is_nested_without_end_is_damaged(tmp_path: Path) -> None:
    path = journal.file_of(str(tmp_path), DISK)
    path.parent.mkdir()
    path.write_bytes(b'{"crc32": "00000000", "record": ' + b"[" * 100_000)
    found = journal.load(str(tmp_path), DISK)
    assert isinstance(found, Broken)
    assert f"the journal {path} is damaged" in found.why
