"""Each guard stops its disaster, and only where it should."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from disk_daemon import guards
from disk_daemon.guards import GUARDS, When, objection
from disk_daemon.known import Broken, Case, Facts, Had, Past, Raw, Trash, User
from disk_daemon.nvme import Nvme
from disk_daemon.verdict import Refuse, Wait
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
from tidb_volume import identity
from tidb_volume.fleet import Breaker, Fleet, FleetSpec, FleetStatus
from tidb_volume.value import (
    Answer,
    Identity,
    Meta,
    Presence,
    Question,
    Restore,
    VolumeStatus,
    WipePolicy,
)

FLEET = Meta(name="fleet")


def fleet(*, paused: bool = False, tripped: bool = False, epoch: int = 1, gone: str | None = None) -> Fleet:
    return Fleet(
        metadata=msgspec.structs.replace(FLEET, deletion_timestamp=gone),
        spec=FleetSpec(paused=paused),
        status=FleetStatus(breaker=Breaker(epoch=epoch, tripped=tripped)),
    )


def pool_gates(made: Case, *gates: str, **passed: str) -> Case:
    made = with_admin(made, gates_passed=passed)
    assert made.live.volume is not None
    spec = msgspec.structs.replace(made.live.volume.spec, wipe=WipePolicy(gates=gates))
    return with_volume(made, spec=spec)


def restore(made: Case, answers: str, *, asks: str) -> Case:
    made = with_admin(made, restore=Restore(question=answers))
    assert made.live.volume is not None
    question = Question(id=asks, kind="Released", about=OLD, text="?")
    return with_volume(made, status=msgspec.structs.replace(made.live.volume.status, question=question))


def disk(**fields: object) -> Case:
    return case(disk=facts(**fields))


NOBODY_LOOKED = Facts(presence=Presence.OK).everyone_unknown


def whole_disk(**fields: object) -> Case:
    return case(order(whole_disk=True, answer="q"), disk=facts(**fields))


def put_aside(
    journalled: str = "order-1",
    answer: str = "q",
    over: str = "data::xfs:",
    before: tuple[str, ...] = (),
    **beside: object,
) -> Case:
    """An order for the whole disk. One on that answer was cut after it had put aside what was there."""
    given = order(kind="prepare", ends="", whole_disk=True, answer="q", over=over)
    at_work = taken(id=journalled, kind="prepare", ends="", whole_disk=True, answer=answer, before=before)
    there = facts(**{"tenancies": (), "trash": (Trash(order="order-1"),)} | beside)
    return case(given, disk=there, journal=entry(order=at_work))


STRAY: dict[str, object] = {"tenancies": (), "strays": ("a",), "stray_count": 1}


def asked_about(over: str, **fields: object) -> Case:
    """An order for the whole disk whose person was told that this is on it."""
    made = case(order(whole_disk=True, answer="q", over=over), disk=facts(**fields))
    return with_admin(made, wipe_now=Answer(question="q"))


def has_all_of_it(over: str) -> Case:
    """The same of a disk whose root a claim had, as the journal knows."""
    return msgspec.structs.replace(asked_about(over, **STRAY), journal=entry(at_root=True))


def spent(answer: str) -> Case:
    """An order on an answer; the journal has one on that answer as done."""
    done = Past(id="order-0", kind="prepare", ends=OLD, next=OTHER, at="", answer=answer)
    made = case(order(answer="q"), journal=entry(done=(done,)))
    return with_admin(made, wipe_now=Answer(question="q"))


TOLD_OF_TRASH = put_aside("order-0", "q-0", over="data::xfs:order-1")
"""He was told of that trash, and of something that is gone."""


def had(tenancy: str) -> Case:
    """A fresh offer of a tenancy that should be unused, on which the journal has seen a claim."""
    fresh = order(kind="prepare", answer="", ends=OLD, next=NEXT)
    return case(fresh, journal=entry(had=(Had(tenancy=tenancy, claim_uid="forgotten"),)))


def seen_on(tenancy: str, *claims: str, ends: str = OLD, **fields: Any) -> Case:
    """An order for the data of claim-1; the journal has seen these claims on it, one after the other."""
    found = entry(had=tuple(Had(tenancy=tenancy, claim_uid=each) for each in claims))
    made = case(order(claim_uid="claim-1", ends=ends, **fields), journal=found)
    return with_admin(made, wipe_now=Answer(question="q"))


ALL_AT_ONCE = Nvme(namespace=1, namespaces=(1, 2), formats=True, formats_all=True)


def nvme_format(said: Nvme | None) -> Case:
    """A device that is to erase itself, and what it says of itself."""
    raw = Raw(mode="Block", nvme=said)
    return case(order(method="nvme-format"), disk=facts(raw=raw), device=True)


def format_partition(**fields: Any) -> Case:
    """The same of a partition, of a disk that would erase itself."""
    part = msgspec.structs.replace(DISK, partition="4@2048")
    able = Raw(mode="Block", nvme=Nvme(namespace=1, namespaces=(1,), formats=True))
    asked = order(method="nvme-format", identity=part, **fields)
    return case(asked, disk=facts(raw=able, identity=part), device=True)


STOPS: list[tuple[str, Case, str]] = [
    # guard, the disaster about to happen, what it says
    ("live_is_readable", with_live(case(), error="timeout"), "ApiUnreadable"),
    ("no_claim_had_it_since", seen_on(OLD, "claim-1", "claim-2"), "HasData"),
    ("no_claim_had_it_since", seen_on(OLD, "claim-1", "claim-2", answer="q", had_since="claim-3"), "HasData"),
    ("no_claim_had_it_since", seen_on(OLD, "claim-2", ends="", answer="q"), "HasData"),
    ("nobody_had_it", had(OLD), "HasData"),
    ("nobody_had_it", had(NEXT), "HasData"),
    ("order_is_current", with_live(case(), volume=None), "Dropped"),
    ("order_is_current", with_volume(case(), metadata=Meta(name="v", uid="another")), "Dropped"),
    ("order_is_current", with_order(case(), id="order-2"), "Dropped"),
    ("order_is_current", with_order(case(), whole_disk=True), "OrderChanged"),
    ("order_is_well_formed", case(order(id="../../etc")), "Malformed"),
    ("order_is_well_formed", case(order(ends="../x")), "Malformed"),
    ("order_is_well_formed", case(order(next="x")), "Malformed"),
    ("order_is_well_formed", case(order(next="")), "Malformed"),
    ("order_is_well_formed", case(order(next=OLD)), "Malformed"),
    ("order_is_well_formed", case(order(whole_disk=True)), "Malformed"),
    ("method_is_known", case(order(method="format")), "NotForFolders"),
    ("method_is_known", case(order(kind="unmount")), "NotForFolders"),
    ("erases_no_other_partition", format_partition(), "UnknownMethod"),
    ("erases_no_other_partition", format_partition(kind="prepare", ends=""), "UnknownMethod"),
    ("erases_this_namespace_alone", nvme_format(None), "UnknownMethod"),
    ("erases_this_namespace_alone", nvme_format(Nvme(namespace=1, namespaces=(1,))), "UnknownMethod"),
    ("erases_this_namespace_alone", nvme_format(ALL_AT_ONCE), "UnknownMethod"),
    ("disk_is_there", disk(presence=Presence.NOT_MOUNTED), "NotMounted"),
    ("disk_is_there", disk(presence=Presence.NOT_PRESENT), "NotPresent"),
    ("disk_is_there", disk(presence=Presence.REFUSED), "Refused"),
    ("disk_is_there", disk(presence=Presence.STUCK), "Stuck"),
    ("identity_matches", case(order(identity=None)), "WrongDisk"),
    ("identity_matches", disk(identity=None), "WrongDisk"),
    ("identity_matches", disk(identity=msgspec.structs.replace(DISK, serial="S2")), "WrongDisk"),
    ("identity_matches", disk(identity=msgspec.structs.replace(DISK, fs_uuid="u2")), "WrongDisk"),
    ("identity_matches", disk(identity=msgspec.structs.replace(DISK, partition="2@2048")), "WrongDisk"),
    ("not_read_only", disk(read_only=True), "ReadOnly"),
    ("journal_is_readable", case(journal=Broken(why="damaged")), "JournalBroken"),
    ("no_pv_remains", with_live(case(), pvs=(pv(),)), "PvExists"),
    ("no_pv_remains", with_live(case(), pvs=(pv(terminating=True), pv("other"))), "PvExists"),
    ("no_pv_remains", with_live(case(), pvs=(pv(terminating=True),)), "PvTerminating"),
    ("live_is_whole", with_live(case(), lean=True), "ApiUnreadable"),
    ("order_is_committed", with_live(case(), volume=None), "NotCommitted"),
    ("order_is_committed", with_volume(case(), status=VolumeStatus(committed="order-0")), "NotCommitted"),
    ("not_in_use", disk(users=(User(who="pod x", root=f"/.tidb-volume/{OLD}"),)), "InUse"),
    ("not_in_use", disk(users=(User(who="pod x", root=f"/.tidb-volume/trash-order-1/{OLD}/sub"),)), "InUse"),
    ("not_in_use", disk(users_unknown="no table"), "InUse"),
    ("nobody_is_on_the_whole_disk", whole_disk(everyone_unknown="EACCES"), "InUse"),
    ("nobody_is_on_the_whole_disk", whole_disk(everyone_unknown=NOBODY_LOOKED), "InUse"),
    ("nobody_is_on_the_whole_disk", whole_disk(everyone=(User(who="sh", root="/", pid=7),)), "InUse"),
    ("answer_is_not_spent", spent("q"), "AnswerGone"),
    ("is_what_was_asked_about", asked_about("data::another:"), "HasData"),
    ("is_what_was_asked_about", asked_about("data::entries of others (2), first: 'a':", **STRAY), "HasData"),
    ("is_what_was_asked_about", asked_about("data::another:", tenancies=()), "HasData"),
    # Asked before a claim had it, as its journal knows.
    ("is_what_was_asked_about", has_all_of_it("data::entries of others (1), first: 'a':"), "HasData"),
    ("is_what_was_asked_about", TOLD_OF_TRASH, "HasData"),
    ("is_what_was_asked_about", put_aside(trash=()), "HasData"),
    ("is_what_was_asked_about", put_aside(strays=("new",)), "HasData"),
    ("is_what_was_asked_about", put_aside(others=("new",)), "HasData"),
    ("is_what_was_asked_about", put_aside(tenancies=(OTHER,)), "HasData"),
    ("is_what_was_asked_about", put_aside(trash=(Trash(order="order-0"),)), "HasData"),
    ("is_what_was_asked_about", put_aside(trash=(Trash(order="order-1"), Trash(order="b"))), "HasData"),
    ("is_what_was_asked_about", put_aside("order-0", "q-0", before=("order-1",)), "HasData"),
    ("is_what_was_asked_about", put_aside("order-0", "q-0", trash=(Trash(order="order-0"),)), "HasData"),
    ("is_what_was_asked_about", msgspec.structs.replace(put_aside(), journal=entry()), "HasData"),
    ("breaker_is_closed", with_live(case(), fleet=fleet(tripped=True)), "Breaker"),
    ("breaker_is_closed", with_live(case(), fleet=fleet(epoch=2)), "Breaker"),
    ("not_paused", with_live(case(), fleet=fleet(paused=True)), "Paused"),
    ("not_paused", with_live(case(), fleet=None), "FleetMissing"),
    ("not_paused", with_live(case(), fleet=fleet(gone="2026-01-01T00:00:00Z")), "FleetMissing"),
    ("not_held", with_admin(case(), hold=True), "Held"),
    ("not_held", with_live(case(), volume=None), "Held"),
    ("no_gate_stands", with_admin(case(), gates={"pd": "not yet"}), "Gated"),
    ("no_gate_stands", pool_gates(case(), "pd"), "Gated"),
    ("no_gate_stands", pool_gates(case(), "pd", pd=OTHER), "Gated"),
    ("no_gate_stands", pool_gates(case(order(ends="")), "pd", pd=""), "Gated"),
    ("no_gate_stands", with_live(case(), volume=None), "Gated"),
    ("no_restore_is_asked", restore(case(), "q1", asks="q1"), "RestoreAsked"),
    ("no_restore_is_asked", with_live(case(), volume=None), "RestoreAsked"),
    ("answer_stands", case(order(answer="q1")), "AnswerGone"),
    ("answer_stands", with_admin(case(order(answer="q1")), wipe_now=Answer(question="q0")), "AnswerGone"),
    ("answer_stands", with_live(case(order(answer="q1")), volume=None), "AnswerGone"),
]


def said(found: guards.Objection | None) -> str:
    if isinstance(found, Refuse | Wait):
        return found.reason
    return type(found).__name__ if found else ""


def check_of(name: str) -> Callable[[Case], guards.Objection | None]:
    return next(each.check for each in GUARDS if each.name == name)


def row(number: int, name: str, made: Case, word: str) -> Any:
    return pytest.param(name, made, word, id=f"{name}-{word}-{number}", marks=pytest.mark.guards(name))


@pytest.mark.parametrize(("name", "made", "word"), [row(i, *each) for i, each in enumerate(STOPS)])
def test_a_guard_says_what_stands_in_the_way(name: str, made: Case, word: str) -> None:
    assert said(check_of(name)(made)) == word


@pytest.mark.parametrize(
    "guard", [pytest.param(each, id=each.name, marks=pytest.mark.guards(each.name)) for each in GUARDS]
)
def test_among_all_guards_it_is_this_one_that_stops_its_disaster(guard: guards.Guard) -> None:
    """No other stands in for it: without it at least one of its cases is told otherwise, or goes through."""
    mine = [(made, word) for name, made, word in STOPS if name == guard.name]
    assert any(said(objection(made, guard.when)) == word for made, word in mine)


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_a_guard_is_silent_where_all_is_well(guard: guards.Guard) -> None:
    assert guard.check(case()) is None


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_every_guard_is_tried_and_names_its_disaster(guard: guards.Guard) -> None:
    assert guard.prevents
    assert guard.check.__doc__
    assert any(name == guard.name for name, _, _ in STOPS)


# What lies in the way of a wipe that has begun is not what lies in the way of beginning one.
LATER = {
    "Held": "",
    "Gated": "",
    "RestoreAsked": "",
    "Breaker": "",
    "Paused": "Paused",
    "FleetMissing": "FleetMissing",
    "PvExists": "PvExists",
    "InUse": "InUse",
    "WrongDisk": "WrongDisk",
}


@pytest.mark.parametrize(("word", "later"), LATER.items())
def test_after_the_first_byte_only_what_still_matters_stops_a_wipe(word: str, later: str) -> None:
    made = next(made for name, made, said_ in STOPS if said_ == word and made.live.volume is not None)
    assert said(objection(made, When.BEGIN)) == word
    assert said(objection(made, When.START)) == later


def test_between_two_chunks_a_lean_reading_is_enough() -> None:
    assert objection(with_live(case(), lean=True), When.ALWAYS) is None
    assert objection(with_live(case(), lean=True, fleet=fleet(paused=True)), When.ALWAYS) is not None


def test_holds_and_gates_do_not_keep_a_blank_disk_from_its_first_use() -> None:
    made = case(order(kind="prepare", ends=""), disk=facts(tenancies=()), journal=None)
    assert objection(with_admin(made, hold=True, gates={"a": "b"}), When.BEGIN) is None
    assert said(objection(with_live(made, fleet=fleet(paused=True)), When.BEGIN)) == "Paused"


def test_a_pool_gate_that_was_passed_for_this_tenancy_is_open() -> None:
    assert guards.no_gate_stands(pool_gates(case(), "pd", pd=OLD)) is None


def test_a_restore_that_answers_an_older_question_does_not_count() -> None:
    assert guards.no_restore_is_asked(restore(case(), "q0", asks="q1")) is None


def test_mounts_of_the_whole_disk_count_only_where_the_whole_disk_goes() -> None:
    elsewhere = (User(who="mount /mnt", root="/"),)
    assert guards.not_in_use(disk(users=elsewhere)) is None
    everything = case(order(whole_disk=True, answer="q"), disk=facts(users=elsewhere))
    assert said(guards.not_in_use(everything)) == "InUse"


def test_who_is_on_the_disk_without_a_mount_of_the_tenancy_counts_only_where_the_whole_disk_goes() -> None:
    someone = User(who="sh", root="/", pid=7)
    assert guards.nobody_is_on_the_whole_disk(disk(everyone=(someone,))) is None
    assert guards.nobody_is_on_the_whole_disk(disk(everyone_unknown=NOBODY_LOOKED)) is None
    found = guards.nobody_is_on_the_whole_disk(whole_disk(everyone=(someone,)))
    assert isinstance(found, Wait)
    assert (found.until, found.pids) == ("device", (7,))


def test_a_disk_is_the_same_while_a_fact_that_it_alone_has_agrees_and_none_disagrees() -> None:
    seen = Identity(eui="e", serial="S1", model="M", size_bytes=100)
    assert identity.same_hardware(Identity(serial="S1", model="M", size_bytes=100), seen)
    assert not identity.same_hardware(Identity(model="M", size_bytes=100), seen)
    assert not identity.same_hardware(Identity(eui="e", serial="S2"), seen)
    assert not identity.same_hardware(Identity(eui="e", size_bytes=200), seen)
    assert not identity.same_hardware(Identity(), Identity())


def test_begun_is_only_what_the_journal_says_and_unknown_is_kept_apart() -> None:
    from disk_daemon.known import Trash

    aside = facts(tenancies=(), trash=(Trash(order="order-1", entries=(OLD,)),))
    assert not case(disk=aside, journal=entry(order=taken())).maybe_begun
    assert case(disk=aside, journal=entry(order=taken(begun=True))).begun
    unknown = case(disk=aside, journal=None)
    assert (unknown.begun, unknown.maybe_begun) == (False, True)
    assert NEXT != OLD


def test_what_is_as_a_person_was_told_may_go_and_what_the_order_itself_put_aside() -> None:
    assert (
        guards.is_what_was_asked_about(asked_about("data::entries of others (1), first: 'a':", **STRAY))
        is None
    )
    of_a_claim = has_all_of_it(f"data:{OLD}:entries of others (1), first: 'a':")
    assert guards.is_what_was_asked_about(of_a_claim) is None
    assert guards.is_what_was_asked_about(put_aside()) is None
    both = (Trash(order="order-0"), Trash(order="order-1"))
    assert guards.is_what_was_asked_about(put_aside(trash=both, over="data::xfs:order-0")) is None
    assert guards.is_what_was_asked_about(put_aside(trash=both, before=("order-0",))) is None
    before = put_aside("order-0", trash=(Trash(order="order-0"),))
    assert guards.is_what_was_asked_about(before) is None
    assert guards.is_what_was_asked_about(case(order(over="something else"))) is None


def test_an_answer_that_another_question_had_is_not_spent() -> None:
    assert objection(spent("q-0"), When.TAKE) is None
    assert guards.answer_is_not_spent(case(journal=spent("").journal)) is None
    assert guards.answer_is_not_spent(case(order(answer="q"), journal=None)) is None


def test_a_wipe_of_all_on_the_same_answer_is_the_same_whatever_stands_there_still() -> None:
    at_work = taken(id="order-0", kind="prepare", ends=OLD, whole_disk=True, answer="q", begun=True)
    given = order(kind="prepare", ends="", whole_disk=True, answer="q")
    assert case(given, journal=entry(order=at_work)).begun
    another = msgspec.structs.replace(given, answer="q-2")
    assert not case(another, journal=entry(order=at_work)).begun
    tenancy = msgspec.structs.replace(given, whole_disk=False)
    assert not case(tenancy, journal=entry(order=msgspec.structs.replace(at_work, whole_disk=False))).begun


def test_what_a_person_was_told_of_is_compared_once_and_not_with_what_the_order_made_of_it() -> None:
    changed = asked_about("data::another:")
    assert said(objection(changed, When.TAKE)) == "HasData"
    assert objection(changed, When.BEGIN) is None
