"""What each guard of the daemon says to the letter: when it is asked, what it waits for, what passes it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from disk_daemon import guards
from disk_daemon.guards import GUARDS, When
from disk_daemon.known import Broken, Case, Facts, Had, Raw, Trash, User
from disk_daemon.nvme import Nvme
from disk_daemon.verdict import Dropped, Refuse, Wait
from tests.unit.daemon.cases import (
    DISK,
    NEXT,
    OLD,
    OTHER,
    case,
    entry,
    facts,
    order,
    pv,
    taken,
    with_admin,
    with_live,
    with_order,
    with_volume,
)
from tidb_volume.fleet import Breaker, Fleet, FleetStatus
from tidb_volume.value import (
    Adopt,
    Answer,
    Approve,
    Meta,
    Presence,
    Question,
    Restore,
    WipePolicy,
)

TAKE, BEGIN, START, ALWAYS = When.TAKE, When.BEGIN, When.START, When.ALWAYS

ASKED: dict[str, tuple[When, bool]] = {
    # guard: until when, and whether only of orders that destroy
    "live_is_readable": (ALWAYS, False),
    "order_is_current": (ALWAYS, False),
    "order_is_well_formed": (START, False),
    "method_is_known": (START, False),
    "erases_no_other_partition": (START, False),
    "erases_this_namespace_alone": (START, False),
    "disk_is_there": (ALWAYS, False),
    "identity_matches": (ALWAYS, False),
    "not_read_only": (START, False),
    "journal_is_readable": (START, False),
    "live_is_whole": (START, False),
    "order_is_committed": (START, True),
    "no_pv_remains": (START, False),
    "not_in_use": (START, False),
    "nobody_is_on_the_whole_disk": (START, True),
    "breaker_is_closed": (BEGIN, True),
    "not_paused": (ALWAYS, False),
    "not_held": (BEGIN, True),
    "no_gate_stands": (BEGIN, True),
    "no_restore_is_asked": (BEGIN, True),
    "answer_stands": (BEGIN, False),
    "answer_is_not_spent": (BEGIN, False),
    "is_what_was_asked_about": (TAKE, False),
    "no_claim_had_it_since": (BEGIN, True),
    "nobody_had_it": (BEGIN, False),
}


def test_each_guard_is_asked_as_long_as_its_disaster_can_still_happen() -> None:
    assert {each.name: (each.when, each.destroying_only) for each in GUARDS} == ASKED


def test_the_docs_get_each_guard_with_its_disaster_and_its_rule() -> None:
    for (name, prevents, rule), each in zip(guards.listing(), GUARDS, strict=True):
        assert (name, prevents) == (each.name, each.prevents)
        assert each.check.__doc__
        assert rule == each.check.__doc__.strip()


def disk(**fields: Any) -> Case:
    return case(disk=facts(**fields))


def device(given: Case, **raw: Any) -> Case:
    """The same for an entry that names a device; raw: what it is like below its file system."""
    below = msgspec.structs.replace(Raw(mode="Filesystem"), **raw)
    return msgspec.structs.replace(given, device=True, disk=msgspec.structs.replace(given.disk, raw=below))


def fleet(**breaker: Any) -> Fleet:
    return Fleet(metadata=Meta(name="fleet"), status=FleetStatus(breaker=Breaker(**breaker)))


def asks(made: Case, question: str) -> Case:
    assert made.live.volume is not None
    stands = Question(id=question, kind="Released", about=OLD, text="?")
    return with_volume(made, status=msgspec.structs.replace(made.live.volume.status, question=stands))


POD = User(who="pod x", root=f"/.tidb-volume/{OLD}", pid=7)
WHOLE = order(whole_disk=True, answer="q")

WAITS: list[tuple[str, Case, str, str]] = [
    # guard, what is in the way, the reason, what to look at for its end
    ("live_is_readable", with_live(case(), error="timeout"), "ApiUnreadable", "api"),
    ("disk_is_there", disk(presence=Presence.NOT_PRESENT), "NotPresent", "mounts"),
    ("disk_is_there", disk(presence=Presence.NOT_MOUNTED), "NotMounted", "mounts"),
    ("live_is_whole", with_live(case(), lean=True), "ApiUnreadable", "api"),
    ("order_is_committed", with_live(case(), volume=None), "NotCommitted", "volume"),
    ("no_pv_remains", with_live(case(), pvs=(pv(terminating=True),)), "PvTerminating", "api"),
    ("not_in_use", disk(users=(POD,)), "InUse", "mounts"),
    ("not_in_use", disk(users_unknown="no table"), "InUse", "device"),
    ("not_in_use", device(disk(users=(POD,))), "InUse", "device"),
    ("not_in_use", device(disk(users=(POD,)), mounted=True), "InUse", "mounts"),
    ("nobody_is_on_the_whole_disk", case(WHOLE, disk=facts(everyone_unknown="EACCES")), "InUse", "device"),
    ("nobody_is_on_the_whole_disk", case(WHOLE, disk=facts(everyone=(POD,))), "InUse", "device"),
    ("not_paused", with_live(case(), fleet=None), "FleetMissing", "api"),
    ("not_held", with_live(case(), volume=None), "Held", "volume"),
    ("not_held", with_admin(case(), hold=True), "Held", "volume"),
    ("no_gate_stands", with_live(case(), volume=None), "Gated", "volume"),
    ("no_gate_stands", with_admin(case(), gates={"pd": ""}), "Gated", "volume"),
    ("no_restore_is_asked", with_live(case(), volume=None), "RestoreAsked", "volume"),
]


def check(name: str, made: Case) -> guards.Objection | None:
    return next(each.check for each in GUARDS if each.name == name)(made)


@pytest.mark.parametrize(("name", "made", "reason", "until"), WAITS)
def test_a_wait_says_what_to_look_at_for_its_end(name: str, made: Case, reason: str, until: str) -> None:
    found = check(name, made)
    assert isinstance(found, Wait)
    assert (found.reason, found.until) == (reason, until)


def test_the_end_of_a_pause_and_of_a_restore_is_seen_on_its_own_object() -> None:
    paused = msgspec.structs.replace(fleet(), spec=msgspec.structs.replace(fleet().spec, paused=True))
    found = check("not_paused", with_live(case(), fleet=paused))
    assert isinstance(found, Wait)
    assert found.until == "api"
    found = check("no_restore_is_asked", asks(with_admin(case(), restore=Restore(question="q")), "q"))
    assert isinstance(found, Wait)
    assert found.until == "volume"


# --- the order --------------------------------------------------------------------------------------------


def test_a_volume_without_an_order_drops_the_one_at_work() -> None:
    made = case()
    assert made.live.volume is not None
    nothing = with_volume(made, spec=msgspec.structs.replace(made.live.volume.spec, order=None))
    assert isinstance(check("order_is_current", nothing), Dropped)


def test_an_order_that_was_withdrawn_is_still_the_same_order() -> None:
    assert check("order_is_current", with_order(case(), withdrawn=True)) is None


def test_a_device_is_unmounted_on_an_order_that_begins_nothing_and_a_folder_is_not() -> None:
    unmount = order(kind="unmount", next="", ends="")
    assert check("order_is_well_formed", device(case(unmount))) is None
    found = check("order_is_well_formed", case(unmount))
    assert isinstance(found, Refuse)
    assert found.reason == "Malformed"
    assert "names no new tenancy" not in found.message


@pytest.mark.parametrize("method", ["", "auto", "files"])
def test_a_folder_is_wiped_by_deleting_its_files(method: str) -> None:
    assert check("method_is_known", case(order(method=method))) is None


@pytest.mark.parametrize("kind", ["reclaim", "prepare"])
def test_a_folder_knows_two_kinds_of_orders(kind: str) -> None:
    assert check("method_is_known", case(order(kind=kind))) is None


FILE_SYSTEM, BLOCK = {"mode": "Filesystem"}, {"mode": "Block"}
METHODS: list[tuple[dict[str, str], str, bool]] = [
    # what the device is, method, whether it is one
    *[
        (FILE_SYSTEM, method, True)
        for method in ("", "auto", "format", "files", "discard", "zero", "nvme-format", "overwrite:3")
    ],
    *[(BLOCK, method, True) for method in ("", "auto", "zero", "discard", "nvme-format", "overwrite:3")],
    *[(mode, method, True) for mode in (FILE_SYSTEM, BLOCK) for method in ("nvme-format", "overwrite:2")],
    *[(mode, "overwrite:0", False) for mode in (FILE_SYSTEM, BLOCK)],
    *[(BLOCK, method, False) for method in ("format", "files")],
    (FILE_SYSTEM, "shred", False),
    (BLOCK, "shred", False),
    ({"mode": "Filesystem", "wanted": "Block"}, "files", False),
    ({"mode": "Block", "wanted": "Filesystem"}, "files", True),
]


@pytest.mark.parametrize(("raw", "method", "known"), METHODS)
def test_a_device_is_wiped_by_what_fits_the_mode_that_it_is_to_have(
    raw: dict[str, str], method: str, known: bool
) -> None:
    found = check("method_is_known", device(case(order(method=method)), **raw))
    if known:
        assert found is None
    else:
        assert isinstance(found, Refuse)
        assert found.reason == "UnknownMethod"
        block = (raw.get("wanted") or raw["mode"]) == "Block"
        assert ("a Block volume" if block else "a device with a file system") in found.message
        fits = "auto, zero, discard" if block else "auto, format, files, discard, zero"
        assert found.message.endswith(f"; use {fits}, nvme-format or overwrite:N")


def test_a_device_of_which_nothing_is_known_below_may_have_a_file_system() -> None:
    bare = msgspec.structs.replace(case(order(method="files")), device=True)
    assert check("method_is_known", bare) is None


def test_a_partition_is_wiped_by_any_method_but_its_disks_own_command_and_is_told_the_others() -> None:
    part = msgspec.structs.replace(DISK, partition="4@2048")
    itself, otherwise = (order(method=method, identity=part) for method in ("nvme-format", "zero"))
    seen = facts(identity=part, name="nvme0n1p4")
    found = check("erases_no_other_partition", device(case(itself, disk=seen)))
    assert found == Refuse(
        "UnknownMethod",
        "nvme-format erases all of the disk, and nvme0n1p4 is a partition of it; use another method"
        " (overwrite:N), or list the whole disk",
    )
    assert check("erases_no_other_partition", device(case(otherwise, disk=seen))) is None
    assert check("erases_no_other_partition", case(itself, disk=seen)) is None, (
        "a folder knows no such method"
    )
    assert check("erases_no_other_partition", device(case(itself))) is None, "a whole disk"
    unknown = msgspec.structs.replace(seen, identity=None)
    assert check("erases_no_other_partition", device(case(itself, disk=unknown))) is None


def test_only_a_device_that_is_to_erase_itself_is_asked_whether_it_can() -> None:
    itself, otherwise = case(order(method="nvme-format")), case(order(method="zero"))
    able = Nvme(namespace=1, namespaces=(1,), formats=True)
    assert check("erases_this_namespace_alone", itself) is None
    assert check("erases_this_namespace_alone", device(otherwise)) is None
    assert check("erases_this_namespace_alone", device(itself, nvme=able)) is None
    unable = check("erases_this_namespace_alone", device(itself))
    assert isinstance(unable, Refuse)


INSIDE: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    # order, what lies in the file system, whether the disk's own word is needed
    ({}, {"tenancies": (), "empty": False}, False),
    ({}, {}, True),
    ({}, {"tenancies": (), "trash": (Trash(order="order-1"),)}, True),
    ({}, {"tenancies": (), "strays": ("a",)}, True),
    ({"kind": "prepare", "answer": ""}, {}, False),
]


@pytest.mark.parametrize(("asks", "inside", "needed"), INSIDE)
def test_in_a_file_system_a_disk_is_asked_to_erase_itself_only_where_there_is_something_to_erase(
    asks: dict[str, Any], inside: dict[str, Any], needed: bool
) -> None:
    """What is seen in a file system that is mounted says nothing of the disk below it."""
    asked = case(order(method="nvme-format", **asks), disk=facts(**inside))
    found = check("erases_this_namespace_alone", msgspec.structs.replace(asked, device=True))
    assert isinstance(found, Refuse) == needed
    below = check("erases_this_namespace_alone", device(asked, blank=True))
    assert isinstance(below, Refuse), "of the device itself it is known, whatever lies on it"


# --- the disk ---------------------------------------------------------------------------------------------


def test_a_device_is_the_same_whatever_file_system_is_on_it_and_a_folders_disk_is_not() -> None:
    formatted = disk(identity=msgspec.structs.replace(DISK, fs_uuid="u2"))
    assert check("identity_matches", device(formatted)) is None
    assert isinstance(check("identity_matches", formatted), Refuse)
    other = disk(identity=msgspec.structs.replace(DISK, serial="S2"))
    assert isinstance(check("identity_matches", device(other)), Refuse)


def test_read_only_is_said_of_the_device_or_of_the_file_system() -> None:
    found = check("not_read_only", disk(read_only=True))
    assert isinstance(found, Refuse)
    assert found.message.startswith("the file system is mounted read-only")
    found = check("not_read_only", device(disk(read_only=True)))
    assert isinstance(found, Refuse)
    assert found.message.startswith("the device is read-only")


def test_a_journal_that_is_absent_is_not_broken() -> None:
    assert check("journal_is_readable", case(journal=None)) is None
    assert isinstance(check("journal_is_readable", case(journal=Broken(why="x"))), Refuse)


# --- who is there -----------------------------------------------------------------------------------------


def test_users_of_a_raw_device_count_wherever_they_are_and_even_when_others_cannot_be_known() -> None:
    elsewhere = User(who="loop0", root="/")
    found = check("not_in_use", device(disk(users=(elsewhere,), users_unknown="no table")))
    assert isinstance(found, Wait)
    assert found.message == "loop0"
    assert check("not_in_use", device(disk(users=(elsewhere,)), mounted=True)) is None
    assert check("not_in_use", device(disk())) is None
    bare = msgspec.structs.replace(disk(users=(elsewhere,)), device=True)
    assert check("not_in_use", bare) is None
    assert (
        check("not_in_use", msgspec.structs.replace(device(disk(users=(elsewhere,))), device=False)) is None
    )


@pytest.mark.parametrize(
    ("root", "ours"),
    [
        ("/.tidb-volume", True),
        ("/.tidb-volume/x", True),
        ("/.tidb-volumes", False),
        ("/a", False),
        ("/", False),
    ],
)
def test_a_mount_of_our_folder_or_below_is_a_tenancys(root: str, ours: bool) -> None:
    assert (check("not_in_use", disk(users=(User(who="pod x", root=root),))) is not None) is ours


def test_of_several_users_one_is_named_and_the_others_are_counted() -> None:
    second, third = User(who="pod y", root=POD.root), User(who="pod z", root=POD.root, pid=9)
    for users, message, pids in (
        ((POD,), "pod x", (7,)),
        ((POD, second), "pod x and 1 more", (7,)),
        ((POD, second, third), "pod x and 2 more", (7, 9)),
    ):
        assert check("not_in_use", disk(users=users)) == Wait("InUse", message, "mounts", pids)


def test_a_raw_device_that_is_to_go_whole_is_held_exclusively_instead_of_searched_for_users() -> None:
    made = case(WHOLE, disk=facts(everyone=(POD,), everyone_unknown="EACCES"))
    assert check("nobody_is_on_the_whole_disk", made) is not None
    assert check("nobody_is_on_the_whole_disk", device(made)) is None
    assert check("nobody_is_on_the_whole_disk", case(WHOLE)) is None


# --- who holds it -----------------------------------------------------------------------------------------


def test_the_breaker_says_its_reason_or_the_two_epochs() -> None:
    tripped = with_live(case(), fleet=fleet(epoch=1, tripped=True, reason="21 wipes in an hour"))
    assert check("breaker_is_closed", tripped) == Refuse(
        "Breaker", "the circuit breaker: 21 wipes in an hour"
    )
    later = with_live(case(), fleet=fleet(epoch=2))
    assert check("breaker_is_closed", later) == Refuse(
        "Breaker", "the circuit breaker: epoch 2, the order is of epoch 1"
    )


def test_a_fleet_that_is_missing_is_for_the_guard_of_the_pause_to_say() -> None:
    assert check("breaker_is_closed", with_live(case(), fleet=None)) is None


def gated(made: Case, *gates: str, passed: dict[str, str], own: dict[str, str]) -> Case:
    made = with_admin(made, gates_passed=passed, gates=own)
    assert made.live.volume is not None
    spec = msgspec.structs.replace(made.live.volume.spec, wipe=WipePolicy(gates=gates))
    return with_volume(made, spec=spec)


def test_all_gates_that_stand_are_named_in_order() -> None:
    found = check(
        "no_gate_stands", gated(case(), "b", "d", passed={"d": OLD}, own={"c": "", "a": "", "e": ""})
    )
    assert isinstance(found, Wait)
    assert found.message == "a, b, c, e"


def test_a_restore_counts_only_where_a_question_stands() -> None:
    assert check("no_restore_is_asked", with_admin(case(), restore=Restore(question="q"))) is None
    assert check("no_restore_is_asked", asks(case(), "q")) is None


KEEP, WIPE = Adopt(question="q", action="Keep"), Adopt(question="q", action="Wipe")
ASKED_BACK: list[tuple[dict[str, Any], str, bool]] = [
    # what a person wrote, the question that stands, whether the data is asked back
    ({}, "q", False),
    ({"restore": Restore(question="q")}, "q", True),
    ({"restore": Restore(question="q")}, "other", False),
    ({"adopt": KEEP}, "q", True),
    ({"adopt": KEEP}, "other", False),
    ({"adopt": WIPE}, "q", False),
    ({"adopt": KEEP, "restore": Restore(question="old")}, "q", True),
]


@pytest.mark.parametrize(("admin", "question", "back"), ASKED_BACK)
def test_data_is_asked_back_by_a_restore_or_by_keeping_it(
    admin: dict[str, Any], question: str, back: bool
) -> None:
    assert guards.is_asked_back(asks(with_admin(case(), **admin), question)) is back


def test_nothing_is_asked_back_where_no_question_stands_or_the_volume_is_gone() -> None:
    assert not guards.is_asked_back(with_admin(case(), restore=Restore(question="q"), adopt=KEEP))
    assert not guards.is_asked_back(with_live(case(), volume=None))


@pytest.mark.parametrize("admin", [{"adopt": KEEP}, {"approve": Approve(question="q", method="files")}])
def test_what_approves_of_a_wipe_or_keeps_the_data_is_no_word_to_wipe_it(admin: dict[str, Any]) -> None:
    assert check("answer_stands", with_admin(case(order(answer="q")), **admin)) is not None


@pytest.mark.parametrize("admin", [{"adopt": WIPE}, {"wipe_now": Answer(question="q")}])
def test_an_order_stands_on_either_of_the_answers_that_end_data(admin: dict[str, Any]) -> None:
    assert check("answer_stands", with_admin(case(order(answer="q")), **admin)) is None
    assert check("answer_stands", with_admin(case(order(answer="p")), **admin)) is not None


def test_an_answer_that_another_stands_beside_still_counts() -> None:
    given = {"adopt": WIPE, "wipe_now": Answer(question="old")}
    assert check("answer_stands", with_admin(case(order(answer="q")), **given)) is None


FRESH: list[tuple[dict[str, Any], tuple[str, ...], bool]] = [
    # the order, on which tenancies the journal has seen a claim, whether the guard objects
    ({}, (OLD,), True),
    ({}, (OTHER, OLD), True),
    ({}, (OTHER, NEXT), True),
    ({}, (OTHER,), False),
    ({}, (), False),
    ({"answer": "q"}, (OLD,), False),
    ({"kind": "mount"}, (OLD,), False),
    ({"kind": "reclaim"}, (OLD,), False),
]


@pytest.mark.parametrize(("fields", "seen", "objects"), FRESH)
def test_only_an_offer_of_what_should_be_unused_asks_who_had_it(
    fields: dict[str, Any], seen: tuple[str, ...], objects: bool
) -> None:
    fresh = order(**{"kind": "prepare", "ends": OLD, "next": NEXT, **fields})
    had = tuple(Had(tenancy=tenancy, claim_uid="c") for tenancy in seen)
    assert (check("nobody_had_it", case(fresh, journal=entry(had=had))) is not None) is objects


def test_a_disk_without_a_journal_was_nobodys() -> None:
    assert check("nobody_had_it", case(order(kind="prepare"), journal=None)) is None


def test_only_an_order_that_destroys_waits_for_its_commit() -> None:
    first = case(order(kind="prepare", ends=""), disk=facts(tenancies=()), journal=None)
    uncommitted = with_volume(first, status=msgspec.structs.replace(first.live.volume.status, committed=""))  # type: ignore[union-attr]
    assert guards.objection(uncommitted, BEGIN) is None


def test_a_look_at_nobody_is_unknown_and_not_nobody() -> None:
    assert Facts(presence=Presence.OK).everyone_unknown


@pytest.mark.parametrize(
    ("had", "fields", "objects"),
    [
        ((), {}, False),
        ((), {"had_since": "c3"}, False),
        ((Had(tenancy=OLD, claim_uid="c1"),), {}, False),
        ((Had(tenancy=OLD, claim_uid="c1"), Had(tenancy=OLD, claim_uid="c2")), {}, True),
        ((Had(tenancy=OLD, claim_uid="c2"), Had(tenancy=OLD, claim_uid="c1")), {}, False),
        ((Had(tenancy=OLD, claim_uid="c1"), Had(tenancy=OLD)), {}, False),
        ((Had(tenancy=OLD, claim_uid="c2"), Had(tenancy=OLD)), {}, True),
        # What the order ends, and not what is handed over by now.
        ((Had(tenancy=OTHER, claim_uid="c2"),), {"ends": OTHER}, True),
        ((Had(tenancy=OTHER, claim_uid="c2"),), {}, False),
        ((Had(tenancy=OLD, claim_uid="c2"),), {"had_since": "c2"}, False),
        ((Had(tenancy=OLD, claim_uid="c2"),), {"had_since": "c3"}, True),
        # It ends all that is there, which is what was handed over.
        ((Had(tenancy=OLD, claim_uid="c2"),), {"ends": ""}, True),
        ((Had(tenancy=OTHER, claim_uid="c2"),), {"ends": ""}, False),
    ],
)
def test_the_last_claim_on_the_data_is_the_one_that_the_order_knows(
    had: tuple[Had, ...], fields: dict[str, Any], *, objects: bool
) -> None:
    made = case(order(claim_uid="c1", **fields), journal=entry(handed=OLD, had=had))
    found = check("no_claim_had_it_since", made)
    assert (found is not None) is objects
    assert found is None or "claim c" in str(found)


def test_a_journal_that_knows_nobody_speaks_against_no_order() -> None:
    assert check("no_claim_had_it_since", case(journal=None)) is None
    assert check("no_claim_had_it_since", case(journal=Broken(why="damaged"))) is None


@pytest.mark.parametrize(
    ("begun", "way_out"),
    [(False, ""), (True, "; bytes of its data are gone already: delete it, and the wipe goes on")],
)
def test_a_volume_that_stands_in_the_way_of_what_has_begun_is_told_with_the_way_out(
    begun: bool, way_out: str
) -> None:
    made = with_live(case(journal=entry(order=taken(begun=begun))), pvs=(pv(),))
    found = check("no_pv_remains", made)
    assert isinstance(found, Refuse)
    said = f"PersistentVolume {pv().metadata.name} exists; an order stands on none"
    assert (found.reason, found.message) == ("PvExists", said + way_out)
