"""What is decided about an order on a device, to the letter: each condition with the case it is there for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from disk_daemon.known import Case, Given, Had, Past, Trash, User
from disk_daemon.nvme import Nvme
from disk_daemon.step_device import decide
from disk_daemon.verdict import (
    AlreadyDone,
    Do,
    EraseItself,
    GiveBack,
    LetGo,
    Note,
    OnFolder,
    Overwrite,
    Refuse,
    TakeUp,
)
from tests.unit.daemon.cases import (
    DISK,
    NEXT,
    OLD,
    OTHER,
    entry,
    order,
    pv,
    taken,
    with_admin,
    with_live,
    with_order,
    with_volume,
)
from tests.unit.daemon.test_guards import fleet
from tests.unit.daemon.test_step_device import (
    FORMAT,
    HOLDER,
    MADE,
    MAKING,
    ZERO,
    block,
    first,
    mount,
    mounted,
    moves,
    reason,
    reshaped,
    unmounted,
)
from tidb_volume.value import Adopt, VolumeStatus

BY_ID = Past(id="order-1", kind="reclaim", ends=OTHER, next="dddddddddddd", at="")
BY_NEXT = Past(id="order-0", kind="reclaim", ends=OTHER, next=NEXT, at="")
NEITHER = Past(id="order-0", kind="reclaim", ends=OTHER, next=OLD, at="")
UNUSED = {"kind": "prepare", "ends": OLD}


def message(made: Case) -> str:
    verdict = decide(made)
    assert isinstance(verdict, Refuse), verdict
    return verdict.message


def begun(made: Case) -> bool:
    """What the first note of the verdict says."""
    verdict = decide(made)
    assert isinstance(verdict, Do), verdict
    assert isinstance(verdict.moves[0], Note)
    return verdict.moves[0].begun


def answered(made: Case) -> Case:
    return with_admin(made, adopt=Adopt(question="q", action="Wipe"))


# --- what is made -----------------------------------------------------------------------------------------


def overwrites(made: Case) -> bool:
    return Overwrite in moves(decide(made))


def test_a_disk_is_overwritten_before_a_file_system_is_made_unless_nothing_of_anybodys_is_on_it() -> None:
    assert overwrites(mounted(order(method="zero")))
    assert overwrites(unmounted(first(method="zero"), blank=True))
    assert not overwrites(reshaped(mounted(order(**UNUSED, method="zero"), empty=True), "ext4"))
    assert not overwrites(mounted(order(method="format")))


def test_a_disk_erases_itself_unless_nothing_of_anybodys_is_on_it() -> None:
    able = Nvme(namespace=1, namespaces=(1,), formats=True)
    used = block(order(method="nvme-format"), nvme=able)
    assert EraseItself in moves(decide(used))
    new = block(first(method="nvme-format"), journal=None, blank=True, nvme=able)
    assert EraseItself in moves(decide(new))
    unused = reshaped(block(order(**UNUSED, method="nvme-format"), disk={"empty": True}, nvme=able), "xfs")
    assert EraseItself not in moves(decide(unused))


def test_without_a_journal_nothing_is_known_that_another_shape_could_be_wanted_than() -> None:
    lost = mounted(order(method="files"), journal=None)
    assert isinstance(decide(reshaped(lost, "ext4")), OnFolder)


# --- mounted ----------------------------------------------------------------------------------------------


def test_deleting_what_a_whole_disk_has_is_a_wipe_that_may_format_too() -> None:
    whole = answered(mounted(order(kind="prepare", answer="q", whole_disk=True)))
    assert moves(decide(whole)) == FORMAT
    nothing = answered(
        mounted(order(kind="prepare", ends="", answer="q", whole_disk=True), tenancies=(), strays=("x",))
    )
    assert moves(decide(nothing)) == FORMAT


@pytest.mark.parametrize("made", [unmounted, block])
def test_what_came_since_a_person_was_asked_is_not_taken_unmounted_either(made: Callable[..., Case]) -> None:
    told = answered(made(first(answer="q", whole_disk=True, over="data::xfs:"), found="ext4"))
    asked = f"a person was asked about 'data::xfs:', and there is '{told.disk.lies_on_it}' now"
    assert decide(told) == Refuse("HasData", f"{asked}; say what is to become of it")


BESIDE = {"strays": ("lost+found/#12", "backup", "b")}
HOW_ELSE = (
    "'backup' of somebody's lies beside the tenancy and would go with the file system; move it elsewhere,"
    " then say what is to become of the disk"
)


@pytest.mark.parametrize("method", ["", "auto", "files"])
def test_what_a_hand_has_put_beside_a_tenancy_stays_if_no_method_asks_for_it(
    method: str,
) -> None:
    assert isinstance(decide(mounted(order(method=method), **BESIDE)), OnFolder)


@pytest.mark.parametrize("method", ["format", "zero", "discard", "overwrite:2"])
def test_what_a_hand_has_put_beside_a_tenancy_is_not_taken_with_the_file_system(method: str) -> None:
    assert decide(mounted(order(method=method), **BESIDE)) == Refuse("HasData", HOW_ELSE)
    found = {"strays": ("lost+found/#12",)}
    assert isinstance(decide(mounted(order(method=method), **found)), Do)
    assert isinstance(decide(mounted(order(), **found)), Do)


def test_a_disk_is_made_into_nothing_else_over_what_a_hand_has_put_on_it() -> None:
    assert decide(reshaped(mounted(order(method="files"), **BESIDE), "ext4")) == Refuse("HasData", HOW_ELSE)


def test_all_of_it_goes_where_a_person_said_so() -> None:
    whole = answered(mounted(order(kind="prepare", answer="q", whole_disk=True), **BESIDE))
    assert moves(decide(whole)) == FORMAT


def test_an_empty_method_deletes_files_like_auto_where_somebody_else_holds_the_disk() -> None:
    assert isinstance(decide(mounted(order(method=""), holders=(HOLDER,))), OnFolder)


def test_trash_goes_by_deleting_whatever_is_wanted() -> None:
    trash = (Trash(order="order-1", entries=(OLD,)),)
    assert isinstance(decide(reshaped(mounted(tenancies=(), trash=trash), "ext4")), OnFolder)


# --- not mounted ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [{"done": (BY_ID,)}, {"done": (BY_NEXT,)}, {"past": (NEXT,)}])
def test_an_order_is_known_as_done_by_its_id_or_by_the_tenancy_it_begins(known: dict[str, Any]) -> None:
    bare = unmounted(first(), journal=entry(handed="", **known), blank=True)
    assert (
        "was done, and the disk does not show it (on the disk: nothing; in the journal: nothing)"
        in message(bare)
    )
    raw = block(journal=entry(block=True, **known))
    assert message(raw).startswith("order order-1 was done, and ")


def test_what_another_order_did_is_not_what_this_one_did() -> None:
    assert moves(decide(unmounted(first(), journal=entry(handed="", done=(NEITHER,)), blank=True))) == FORMAT
    assert moves(decide(block(journal=entry(block=True, done=(NEITHER,))))) == ZERO


def test_a_refusal_says_what_is_found_and_what_the_journal_has() -> None:
    seen = unmounted(first(), journal=entry(handed=OTHER), found="ext4", signature=True)
    assert f"(on the disk: ext4; in the journal: {OTHER})" in message(seen)
    assert "(on the disk: nothing; in the journal: nothing)" in message(unmounted(first()))
    assert "finds no file system of ours" in message(unmounted(first()))
    damaged = unmounted(journal=entry(made=MADE, done=(BY_ID,)), damage="the superblock is gone")
    assert message(damaged).startswith("the superblock is gone (")


def test_what_was_given_back_is_not_ended_without_an_answer() -> None:
    known = {"given": (Given(tenancy=OLD, claim_uid="c"),)}
    assert "given back to claim c" in message(unmounted(order(claim_uid="c"), journal=entry(**known)))
    assert "given back to claim c" in message(block(order(claim_uid="c"), journal=entry(block=True, **known)))


CUT: list[Case] = [
    unmounted(journal=entry(made=MADE, making=MAKING, order=taken(begun=True))),
    block(journal=entry(block=True, order=taken(begun=True))),
]


@pytest.mark.parametrize("made", CUT)
def test_what_has_begun_goes_on_though_it_is_withdrawn_or_held_but_not_under_a_volume(made: Case) -> None:
    assert begun(made)
    assert begun(with_order(made, withdrawn=True))
    another = with_volume(with_order(made, withdrawn=True), status=VolumeStatus(committed="order-0"))
    assert reason(decide(another)) == "Withdrawn"
    assert begun(with_admin(made, hold=True))
    assert reason(decide(with_live(made, pvs=(pv(),)))) == "PvExists"


@pytest.mark.parametrize(
    "made",
    [
        unmounted(first(), blank=True),
        block(),
        block(first(), journal=None, blank=True),
        answered(block(first(answer="q", whole_disk=True), found="ext4")),
        block(order(**UNUSED), disk={"empty": True}),
        reshaped(block(order(**UNUSED), disk={"empty": True}), "xfs"),
    ],
)
def test_what_has_not_begun_is_not_noted_as_begun_before_its_first_byte(made: Case) -> None:
    assert begun(made) is False
    assert isinstance(decide(with_order(made, withdrawn=True)), GiveBack)


def test_what_has_not_begun_waits_for_who_holds_it() -> None:
    assert reason(decide(with_admin(block(), hold=True))) == "Held"
    adopted = answered(unmounted(first(answer="q", whole_disk=True), found="ext4", signature=True))
    assert moves(decide(adopted)) == FORMAT
    assert reason(decide(with_admin(adopted, hold=True))) == "Held"


BLANK: list[tuple[Case, bool]] = [
    (unmounted(first(), blank=True), True),
    (unmounted(first(), journal=entry(handed=""), blank=True), True),
    (unmounted(first(), journal=entry(handed=OLD), blank=True), False),
    (unmounted(first(), journal=entry(handed="", made=MADE), blank=True), False),
    (unmounted(first(ends=OLD), blank=True), False),
    (unmounted(first(), blank=True, damage="damaged"), False),
    (unmounted(order(ends=""), blank=True), False),
    (unmounted(first()), False),
]


@pytest.mark.parametrize(("made", "blank"), BLANK)
def test_a_first_use_is_of_what_is_blank_undamaged_and_nobodys(made: Case, blank: bool) -> None:
    verdict = decide(made)
    assert isinstance(verdict, Do) if blank else reason(verdict) == "HasData"


# --- a Block volume ---------------------------------------------------------------------------------------


def test_a_block_volume_is_ended_only_as_the_tenancy_that_the_journal_handed_over() -> None:
    assert "does not know tenancy none as handed over" in message(
        block(order(ends=""), journal=entry(block=True, handed=""))
    )
    assert f"does not know tenancy {OLD} as handed over" in message(block(journal=None))
    assert "should be handed over and unused" in message(
        block(order(**UNUSED), journal=entry(block=True, handed=OTHER), disk={"empty": True})
    )
    assert "is not a blank one" in message(block(first(), journal=None))


def done(handed: str, *, offer: bool = True, disk: Any = None, blank: bool = False, **known: Any) -> Case:
    journal = entry(block=True, handed=handed, done=(BY_ID, BY_NEXT), **known)
    given = order(offer=offer)
    return block(given, journal=journal, disk={"empty": True, **(disk or {})}, blank=blank)


ONCE_MORE: list[tuple[Case, bool]] = [
    (done(NEXT), True),
    (done(OTHER), False),
    (done(NEXT, offer=False), False),
    (done(NEXT, offer=False, blank=True), False),
    (done(NEXT, disk={"empty": False}), False),
    (done("", offer=False, blank=True), True),
    (
        block(
            order(offer=False), journal=entry(handed=OLD, done=(BY_ID,)), disk={"tenancies": ()}, blank=True
        ),
        True,
    ),
    (done("", blank=True), False),
    (done("", offer=False), False),
    (done("", offer=False, blank=True, disk={"users": (HOLDER,)}), False),
]


@pytest.mark.parametrize(("made", "unused"), ONCE_MORE)
def test_a_block_volume_is_said_to_be_done_once_more_as_it_was_left(made: Case, unused: bool) -> None:
    verdict = decide(made)
    assert isinstance(verdict, AlreadyDone) if unused else reason(verdict) == "HasData"


def test_a_block_volume_that_has_had_a_claim_since_is_not_said_to_be_done() -> None:
    had = entry(block=True, handed=NEXT, had=(Had(tenancy=NEXT, claim_uid="c"),))
    fresh = block(order(**UNUSED), journal=had, disk={"empty": True})
    assert "the journal has seen a claim on it" in message(fresh)
    wiped = block(journal=msgspec.structs.replace(had, done=(BY_ID,)), disk={"empty": True})
    assert f"a claim was seen on tenancy {NEXT}" in message(wiped)


def test_a_block_volume_that_went_on_to_another_tenancy_is_not_said_to_be_done() -> None:
    """A mode that the journal has otherwise hides what is handed over."""
    elsewhere = entry(block=False, handed=OTHER, done=(BY_ID,))
    made = block(order(offer=False), journal=elsewhere, disk={"tenancies": ()}, blank=True)
    assert f"tenancy {OTHER} was handed over since" in message(made)


def test_a_folder_in_a_file_system_of_ours_proves_nothing_against_what_the_journal_knows_since() -> None:
    journal = entry(made=MADE, handed=OTHER, past=(OLD, NEXT))
    assert f"tenancy {NEXT} has ended since" in message(
        mounted(journal=journal, tenancies=(NEXT,), empty=True)
    )


# --- mount and unmount ------------------------------------------------------------------------------------

THERE: dict[str, Any] = {"found": "xfs", "signature": True, "uuid": MADE.uuid}
UNMOUNT = order(kind="unmount", ends="", next="")


def test_nothing_is_mounted_or_unmounted_in_a_pause() -> None:
    for made in (unmounted(mount(), **THERE), mounted(UNMOUNT)):
        assert reason(decide(with_live(made, fleet=fleet(paused=True)))) == "Paused"


def test_a_mount_is_of_the_file_system_that_order_journal_and_disk_agree_on() -> None:
    assert moves(decide(unmounted(mount(), journal=entry(made=MADE), **THERE))) == [TakeUp]
    assert moves(decide(unmounted(mount(), journal=entry(made=None), **THERE))) == [TakeUp]
    other = message(unmounted(mount(), found="ext4", signature=True, uuid="u2"))
    assert other == f"the order means file system {MADE.uuid}, there is ext4"
    unnamed = mount(identity=msgspec.structs.replace(DISK, fs_uuid=""))
    assert message(unmounted(unnamed, found="xfs")) == "the order means file system none, there is xfs"


def test_a_mounted_disk_is_done_where_the_tenancy_is_the_one_that_was_meant() -> None:
    meant = mount(next=OLD)
    assert isinstance(decide(mounted(meant)), AlreadyDone)
    for tenancies, words in (((), "none"), ((OTHER,), OTHER), ((OLD, OTHER), f"{OLD}, {OTHER}")):
        made = mounted(meant, tenancies=tenancies)
        assert reason(decide(made)) == "HasData"
        assert message(made) == f"the order means tenancy {OLD}, on the disk is {words}"


def test_what_is_mounted_at_its_own_place_already_is_taken_up_though_it_is_in_use() -> None:
    used = {"users": (User(who="pod", root="/"),)}
    assert reason(decide(unmounted(mount(), disk=used, **THERE))) == "InUse"
    assert moves(decide(unmounted(mount(), disk=used, at_place=True, **THERE))) == [TakeUp]


def test_an_unmount_once_done_is_done_only_while_the_disk_is_still_put_away() -> None:
    past = (Past(id=UNMOUNT.id, kind="unmount", ends="", next="", at=""),)
    away, back = entry(made=MADE, done=past, unmounted=True), entry(made=MADE, done=past)
    assert isinstance(decide(unmounted(UNMOUNT, journal=away, **THERE)), AlreadyDone)
    for made in (unmounted(UNMOUNT, journal=back, **THERE), mounted(UNMOUNT, journal=away)):
        assert "has been in use since" in message(made)
    assert moves(decide(mounted(UNMOUNT, journal=None))) == [LetGo]
