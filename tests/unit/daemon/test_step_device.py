"""What is decided about a device, from each state in which one can be found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from disk_daemon.guards import GUARDS
from disk_daemon.known import Broken, Case, Had, Made, Past, Raw, Trash, User
from disk_daemon.nvme import Nvme
from disk_daemon.step_device import decide
from disk_daemon.verdict import (
    AlreadyDone,
    Begin,
    DeviceVerdict,
    Do,
    EraseItself,
    GiveBack,
    Hand,
    LetGo,
    MakeFilesystem,
    MountIt,
    Note,
    OnFolder,
    Overwrite,
    ReadAll,
    Refuse,
    TakeUp,
    Unmount,
    Wait,
)
from tests.unit.daemon.cases import (
    DISK,
    NEXT,
    OLD,
    OTHER,
    case,
    entry,
    facts,
    live,
    order,
    pv,
    taken,
    with_admin,
    with_order,
)
from tidb_volume.value import Admin, Adopt, Order, Presence

MADE = Made(uuid="u-made", fs_type="xfs")
MAKING = Made(uuid="u-making", fs_type="xfs")
HOLDER = User(who="sleep (pid 7)", root="/", pid=7)


def mounted(given: Order | None = None, *, journal: Any = "ours", holders: Any = (), **fields: Any) -> Case:
    """Our file system is mounted, with the released tenancy in it."""
    raw = Raw(mode="Filesystem", mounted=True, uuid=MADE.uuid, holders=holders)
    known = entry(made=MADE) if journal == "ours" else journal
    return case(given, disk=facts(raw=raw, **fields), journal=known, device=True)


def unmounted(given: Order | None = None, *, journal: Any = None, disk: Any = None, **raw: Any) -> Case:
    """Nothing of ours is mounted: what is seen is the bare device."""
    seen = facts(raw=Raw(mode="Filesystem", **raw), tenancies=(), folder=False, **(disk or {}))
    return case(given, disk=seen, journal=journal, device=True)


def block(given: Order | None = None, *, journal: Any = "ours", disk: Any = None, **raw: Any) -> Case:
    """A Block volume with the released tenancy, as the journal has it."""
    known = entry(block=True) if journal == "ours" else journal
    handed = known.handed if known is not None and not isinstance(known, Broken) else ""
    fields = {"tenancies": (handed,) if handed else (), "folder": False, **(disk or {})}
    return case(given, disk=facts(raw=Raw(mode="Block", **raw), **fields), journal=known, device=True)


def first(**fields: Any) -> Order:
    return order(**{"kind": "prepare", "ends": "", **fields})


def moves(verdict: DeviceVerdict) -> list[type]:
    assert isinstance(verdict, Do), verdict
    return [type(each) for each in verdict.moves]


def reason(verdict: DeviceVerdict) -> str:
    assert isinstance(verdict, Refuse | Wait), verdict
    return verdict.reason


FORMAT = [Note, Unmount, Begin, MakeFilesystem, MountIt]


@pytest.mark.parametrize(
    ("method", "holders", "formats"),
    [
        ("auto", (), True),
        ("", (), True),
        ("format", (), True),
        ("files", (), False),
        ("auto", (HOLDER,), False),
        ("format", (HOLDER,), True),
    ],
)
def test_a_wipe_formats_where_the_method_says_so_and_auto_where_nobody_else_holds_the_disk(
    method: str, holders: tuple[User, ...], formats: bool
) -> None:
    verdict = decide(mounted(order(method=method), holders=holders))
    if formats:
        assert moves(verdict) == FORMAT
    else:
        assert isinstance(verdict, OnFolder)


@pytest.mark.parametrize(
    ("method", "writing"),
    [
        ("zero", Overwrite(discard=False)),
        ("discard", Overwrite(discard=True)),
        ("overwrite:1", Overwrite(discard=False, passes=1)),
        ("overwrite:35", Overwrite(discard=False, passes=35)),
    ],
)
def test_a_stronger_method_overwrites_before_the_file_system_is_made(method: str, writing: Overwrite) -> None:
    verdict = decide(mounted(order(method=method)))
    assert moves(verdict) == [Note, Unmount, Begin, Overwrite, MakeFilesystem, MountIt]
    assert isinstance(verdict, Do)
    assert writing in verdict.moves
    raw = decide(block(order(method=method)))
    assert moves(raw) == [Note, Unmount, Begin, Overwrite, Hand]
    assert isinstance(raw, Do)
    assert writing in raw.moves


def test_what_was_begun_by_deleting_goes_on_by_deleting() -> None:
    trash = (Trash(order="order-1", entries=(OLD,)),)
    begun = entry(made=MADE, order=taken(begun=True))
    assert isinstance(decide(mounted(journal=begun, tenancies=(), trash=trash)), OnFolder)


STRONGER = ("format", "zero", "discard", "overwrite:2", "nvme-format")
TRASH = (Trash(order="order-1", entries=(OLD,)),)


def made_by(method: str) -> list[type]:
    """The moves that make a device with a file system of ours by a method."""
    before = {"format": [], "nvme-format": [EraseItself]}.get(method, [Overwrite])
    return [Note, Unmount, Begin, *before, MakeFilesystem, MountIt]


@pytest.mark.parametrize("method", STRONGER)
@pytest.mark.parametrize("trash", [TRASH, ()], ids=["put aside", "all erased"])
def test_a_wipe_that_was_cut_while_it_deleted_ends_as_its_order_says(
    method: str, trash: tuple[Trash, ...]
) -> None:
    """Deleting is less than what was promised; an order before it may have been for no more than that."""
    for was in ("files", method):
        at_work = taken(begun=True, method=was)
        cut = mounted(
            order(method=method), journal=entry(made=MADE, order=at_work), tenancies=(), trash=trash
        )
        assert moves(decide(erasing(cut))) == made_by(method)


@pytest.mark.parametrize("method", STRONGER)
def test_what_an_answer_wipes_goes_as_its_order_says_whatever_was_put_aside_there(method: str) -> None:
    given = order(kind="prepare", ends="", answer="q", whole_disk=True, method=method)
    for trash in ((Trash(order="order-0", entries=(OLD,)),), ()):
        there = mounted(given, journal=entry(made=MADE, handed=""), tenancies=(), trash=trash)
        answered = erasing(with_admin(there, adopt=Adopt(question="q", action="Wipe")))
        assert moves(decide(answered)) == made_by(method)


@pytest.mark.parametrize("method", STRONGER)
def test_what_a_claim_has_left_empty_is_wiped_as_its_order_says(method: str) -> None:
    """Its files are gone, its blocks are there."""
    left = mounted(order(method=method), journal=entry(made=MADE, at_root=True), tenancies=())
    assert moves(decide(erasing(left))) == made_by(method)


@pytest.mark.parametrize("method", STRONGER)
def test_a_device_is_made_once_by_an_order(method: str) -> None:
    """It was cut, or had to wait, between mkfs and the next tenancy's folder."""
    at_work = taken(begun=True, method=method, made_by=method)
    cut = mounted(order(method=method), journal=entry(made=MADE, order=at_work), tenancies=())
    assert decide(erasing(cut)) == OnFolder(made=True)
    weaker = entry(made=MADE, order=taken(begun=True, method=method, made_by="another"))
    assert moves(decide(erasing(msgspec.structs.replace(cut, journal=weaker)))) == made_by(method)
    known = msgspec.structs.replace(cut.disk, tenancies=(NEXT,), empty=True)
    assert decide(msgspec.structs.replace(cut, disk=known)) == OnFolder(made=True), "all but on record"
    again = mounted(order(method=method), journal=entry(made=MADE, order=at_work))
    assert moves(decide(erasing(again))) == made_by(method), "what is there has come since"


@pytest.mark.parametrize("method", ["", "auto", "files"])
def test_where_files_are_deleted_that_goes_on_by_deleting(method: str) -> None:
    for trash in (TRASH, ()):
        cut = entry(made=MADE, order=taken(begun=True, method=method))
        assert decide(mounted(order(method=method), journal=cut, tenancies=(), trash=trash)) == OnFolder()
    made = entry(made=MADE, order=taken(begun=True, method=method, made_by=method))
    told = OnFolder(made=method != "")
    assert decide(mounted(order(method=method), journal=made, tenancies=())) == told
    assert decide(mounted(order(method="zero"), tenancies=(NEXT,), empty=True)) == OnFolder()


def test_what_makes_ready_without_a_wipe_makes_no_file_system_anew() -> None:
    """Nothing of anybody's was there; and what was made of it is said to have ended nothing."""
    at_work = taken(kind="prepare", begun=True, method="zero", made_by="zero")
    for given in (order(**UNUSED, method="zero"), order(kind="prepare", ends="", method="zero")):
        known = entry(made=MADE, handed="", order=msgspec.structs.replace(at_work, ends=given.ends))
        assert decide(mounted(given, journal=known, tenancies=())) == OnFolder()


def test_what_a_folder_refuses_a_mounted_device_refuses() -> None:
    assert reason(decide(mounted(tenancies=(OTHER,)))) == "HasData"
    assert reason(decide(mounted(journal=entry(made=MADE, handed=OTHER)))) == "HasData"
    used = (User(who="pod", root=f"/.tidb-volume/{OLD}"),)
    assert reason(decide(mounted(users=used))) == "InUse"
    assert isinstance(decide(mounted(first(ends=OLD), empty=True)), OnFolder)


def test_a_blank_device_is_formatted_and_nothing_else_is() -> None:
    assert moves(decide(unmounted(first(), blank=True))) == FORMAT
    for raw in ({"found": "ext4", "signature": True}, {"found": "data of no known kind"}, {}):
        assert reason(decide(unmounted(first(), **raw))) == "HasData"


@pytest.mark.parametrize(
    "journal",
    [entry(made=MADE, handed=""), entry(made=None), entry(block=True)],
    ids=["made", "handed", "block"],
)
def test_a_blank_device_that_the_journal_remembers_is_not_a_new_one(journal: Any) -> None:
    assert reason(decide(unmounted(first(), journal=journal, blank=True))) == "HasData"


def test_damage_is_said_and_never_formatted_but_on_a_persons_word() -> None:
    journal = entry(made=MADE)
    for given in (order(), first(), first(ends=OLD)):
        verdict = decide(unmounted(given, journal=journal, damage="it is damaged", blank=True))
        assert reason(verdict) == "HasData"
        assert isinstance(verdict, Refuse)
        assert "it is damaged" in verdict.message
    given = first(answer="q", whole_disk=True)
    made = unmounted(given, journal=journal, damage="it is damaged")
    assert made.live.volume is not None
    spec = msgspec.structs.replace(
        made.live.volume.spec, admin=Admin(adopt=Adopt(question="q", action="Wipe"))
    )
    volume = msgspec.structs.replace(made.live.volume, spec=spec)
    made = msgspec.structs.replace(made, live=msgspec.structs.replace(made.live, volume=volume))
    assert moves(decide(made)) == FORMAT


@pytest.mark.notices("daemon: what a cut mkfs has left is whatever is there", "raw4-False")
@pytest.mark.parametrize(
    ("raw", "goes_on"),
    [
        ({}, True),
        ({"found": "data of no known kind"}, True),
        ({"found": "xfs", "signature": True, "uuid": MAKING.uuid}, True),
        ({"found": "xfs", "signature": True, "uuid": MADE.uuid}, True),
        ({"found": "xfs", "signature": True, "uuid": "u-made-before"}, False),
        ({"found": "ext4", "signature": True, "uuid": MADE.uuid}, False),
        ({"found": "dos partition table", "signature": True}, False),
    ],
)
def test_a_cut_mkfs_goes_on_over_what_it_left_and_over_nothing_else(raw: Any, goes_on: bool) -> None:
    journal = entry(made=MADE, making=MAKING, order=taken(begun=True, over=f"xfs, UUID {MADE.uuid}"))
    verdict = decide(unmounted(journal=journal, **raw))
    if goes_on:
        assert moves(verdict) == FORMAT
    else:
        assert reason(verdict) == "HasData"


def test_a_cut_mkfs_goes_on_over_what_a_person_said_to_wipe_while_he_says_so() -> None:
    """It was cut before it had written anything, and what was found stood there for ever."""
    given = first(answer="q", whole_disk=True)
    known = entry(handed="", making=MAKING, order=taken(kind="prepare", ends="", whole_disk=True, begun=True))
    made = unmounted(given, journal=known, found="ext4", signature=True, uuid="another")
    assert moves(decide(with_admin(made, adopt=Adopt(question="q", action="Wipe")))) == FORMAT
    assert reason(decide(made)) == "HasData"
    assert reason(decide(with_admin(made, adopt=Adopt(question="q-2", action="Wipe")))) == "HasData"


THEIRS = "data::ext4; UUID theirs:"


@pytest.mark.parametrize("shape", [unmounted, block])
@pytest.mark.parametrize(
    ("begun_over", "begun_on", "asked_of", "goes_on"),
    [
        ("ext4, UUID theirs", "q", "data::xfs:", True),
        ("ext4, UUID another", "q", "data::ext4; UUID another:", False),
        ("ext4, UUID another", "q", THEIRS, True),
        ("", "q", "blank:::", False),
        ("", "an older question", THEIRS, True),
        ("", "an older question", "data::xfs:", False),
        ("ext4, UUID theirs", "an older question", "data::xfs:", False),
    ],
)
def test_what_a_person_said_is_to_go_goes_on_over_what_was_there_then_or_what_he_was_asked_about(
    shape: Callable[..., Case], begun_over: str, begun_on: str, asked_of: str, goes_on: bool
) -> None:
    """Cut between its beginning and mkfs, all that was there is still there; and what came since may be."""
    given = first(answer="q", whole_disk=True, over=asked_of)
    at_work = taken(
        kind="prepare", ends="", whole_disk=True, begun=True, over=begun_over, answer=begun_on, id="order-0"
    )
    journal = entry(handed="", made=None, making=MAKING, order=at_work)
    theirs = {"found": "ext4", "signature": True, "uuid": "theirs"}
    made = with_admin(shape(given, journal=journal, **theirs), adopt=Adopt(question="q", action="Wipe"))
    if goes_on:
        assert moves(decide(made)) == (FORMAT if shape is unmounted else ZERO)
    else:
        assert reason(decide(made)) == "HasData"
    left = shape(given, journal=journal, found="xfs", signature=True, uuid=MAKING.uuid)
    left = with_admin(left, adopt=Adopt(question="q", action="Wipe"))
    assert moves(decide(left)) == (FORMAT if shape is unmounted else ZERO), "what it left is no obstacle"
    assert reason(decide(with_admin(made, adopt=None))) == "HasData", "the answer was taken back"


@pytest.mark.parametrize("begun_over", ["xfs, UUID u-made", "", "ext4, UUID theirs"])
def test_what_was_made_of_a_disk_before_goes_with_it_only_if_the_wipe_was_begun_over_it(
    begun_over: str,
) -> None:
    """Somebody writes an old image of it back onto the disk, in the place of what was to go."""
    at_work = taken(kind="prepare", ends="", whole_disk=True, begun=True, over=begun_over, answer="q")
    journal = entry(made=MADE, making=MAKING, order=at_work)
    given = first(answer="q", whole_disk=True, over="data::ext4; UUID theirs:")
    there = unmounted(given, journal=journal, found="xfs", signature=True, uuid=MADE.uuid)
    verdict = decide(with_admin(there, adopt=Adopt(question="q", action="Wipe")))
    if MADE.uuid in begun_over:
        assert moves(verdict) == FORMAT
    else:
        assert reason(verdict) == "HasData"


@pytest.mark.parametrize("kind", ["prepare", "reclaim"])
def test_a_change_of_shape_that_was_cut_before_its_first_byte_goes_on(kind: str) -> None:
    """The journal has it as the new shape already, and the old one stands there still."""
    xfs = {"found": "xfs", "signature": True, "uuid": MADE.uuid}
    given = order(kind=kind, ends="" if kind == "prepare" else OLD)
    at_work = taken(kind=kind, ends=given.ends, begun=True, over=f"xfs, UUID {MADE.uuid}")
    to_block = block(given, journal=entry(handed="", block=True, order=at_work), **xfs)
    assert moves(decide(to_block)) == ZERO
    to_files = unmounted(given, journal=entry(making=MAKING, order=at_work), **xfs)
    assert moves(decide(to_files)) == FORMAT
    another = {**xfs, "uuid": "theirs"}
    for shape, made in ((block, {"block": True}), (unmounted, {"making": MAKING})):
        journal = entry(handed="", order=at_work, **made)
        assert reason(decide(shape(given, journal=journal, **another))) == "HasData"


def test_a_cut_first_format_goes_on_under_a_fresh_order_too() -> None:
    begun = entry(handed="", making=MAKING, order=taken(id="order-0", kind="prepare", ends="", begun=True))
    assert moves(decide(unmounted(first(id="order-2"), journal=begun))) == FORMAT


def test_an_order_that_is_done_is_not_done_again_on_a_bare_device() -> None:
    done = entry(handed=NEXT, done=(Past(id="order-1", kind="reclaim", ends=OLD, next=NEXT, at=""),))
    assert reason(decide(unmounted(journal=done, blank=True))) == "HasData"
    assert reason(decide(unmounted(first(), journal=done, blank=True))) == "HasData"


def test_a_withdrawn_order_is_given_back() -> None:
    assert isinstance(decide(with_order(unmounted(first(), blank=True), withdrawn=True)), GiveBack)
    assert isinstance(decide(with_order(block(), withdrawn=True)), GiveBack)
    assert isinstance(decide(with_order(mounted(), withdrawn=True)), OnFolder)


@pytest.mark.parametrize("kind", ["mounted", "block"])
def test_nothing_is_done_on_a_broken_journal_or_another_disk(kind: str) -> None:
    make = mounted if kind == "mounted" else block
    assert reason(decide(make(journal=Broken(why="it is torn")))) == "JournalBroken"
    other = msgspec.structs.replace(DISK, serial="S2")
    assert reason(decide(make(order(identity=other)))) == "WrongDisk"
    absent = facts(presence=Presence.NOT_PRESENT)
    assert reason(decide(msgspec.structs.replace(make(), disk=absent))) == "NotPresent"


def test_the_file_system_is_no_part_of_a_devices_identity() -> None:
    """It is made anew by each wipe; which one is ours the journal says."""
    recorded = msgspec.structs.replace(DISK, fs_uuid="the one before")
    assert moves(decide(mounted(order(identity=recorded)))) == FORMAT


ZERO = [Note, Unmount, Begin, Overwrite, Hand]


def test_a_block_volume_is_zeroed_after_a_release_and_before_its_first_offer() -> None:
    assert moves(decide(block())) == ZERO
    assert moves(decide(block(first(), journal=None, blank=True))) == ZERO
    assert reason(decide(block(first(), journal=None, found="ext4", signature=True))) == "HasData"


def test_a_block_volume_that_the_journal_does_not_know_is_not_zeroed() -> None:
    assert reason(decide(block(journal=None))) == "HasData"
    assert reason(decide(block(journal=entry(block=True, handed=OTHER)))) == "HasData"
    assert reason(decide(block(journal=entry(block=False), disk={"tenancies": ()}))) == "HasData"


def test_a_fresh_offer_of_a_block_volume_reads_it_and_writes_nothing() -> None:
    assert moves(decide(block(first(ends=OLD), disk={"empty": True}))) == [Note, Unmount, ReadAll, Hand]
    assert reason(decide(block(first(ends=OLD), disk={"empty": False}))) == "HasData"


def test_a_cut_zeroing_goes_on() -> None:
    journal = entry(block=True, order=taken(begun=True))
    assert moves(decide(block(journal=journal))) == ZERO


@pytest.mark.parametrize(
    ("disk", "said"),
    [
        ({"empty": True}, "done"),
        ({"empty": False}, "HasData"),
        ({"empty": True, "users": (HOLDER,)}, "HasData"),
        ({"empty": True, "users_unknown": "held"}, "HasData"),
    ],
)
def test_a_block_order_done_is_said_once_more_only_while_unused(disk: Any, said: str) -> None:
    verdict = decide(block(journal=entry(block=True, handed=NEXT), disk=disk))
    assert isinstance(verdict, AlreadyDone) if said == "done" else reason(verdict) == said


@pytest.mark.parametrize("disk", [{"users": (HOLDER,)}, {"users_unknown": "held by nobody seen"}])
def test_a_block_volume_in_use_is_waited_for(disk: Any) -> None:
    assert reason(decide(block(disk=disk))) == "InUse"
    assert reason(decide(unmounted(first(), blank=True, disk=disk))) == "InUse"


@pytest.mark.parametrize(
    ("made", "method", "good"),
    [
        *[(mounted, method, True) for method in ("", "auto", "format", "files", "zero", "discard")],
        *[(block, method, True) for method in ("", "auto", "zero", "discard", "overwrite:1")],
        *[(block, method, False) for method in ("format", "files", "nvme-format")],
        *[(mounted, method, False) for method in ("nvme-format", "overwrite", "overwrite:0", "overwrite:36")],
        (mounted, "overwrite:3", True),
    ],
)
def test_a_method_fits_the_mode_or_is_refused(made: Any, method: str, good: bool) -> None:
    verdict = decide(made(order(method=method)))
    assert isinstance(verdict, Do | OnFolder) if good else reason(verdict) == "UnknownMethod"


def erasing(made: Case) -> Case:
    """The case on an NVMe disk that can erase itself."""
    assert made.disk.raw is not None
    raw = msgspec.structs.replace(made.disk.raw, nvme=Nvme(namespace=1, namespaces=(1,), formats=True))
    return msgspec.structs.replace(made, disk=msgspec.structs.replace(made.disk, raw=raw))


def test_a_disk_erases_itself_before_it_is_made_ready_and_not_for_an_unused_tenancy() -> None:
    asked = {"method": "nvme-format"}
    block_of = erasing(block(order(**asked)))
    assert moves(decide(block_of)) == [Note, Unmount, Begin, EraseItself, Overwrite, Hand]
    formatted = erasing(mounted(order(**asked)))
    assert moves(decide(formatted)) == [Note, Unmount, Begin, EraseItself, MakeFilesystem, MountIt]
    unused = erasing(block(first(ends=OLD, **asked), disk={"empty": True}))
    assert moves(decide(unused)) == [Note, Unmount, ReadAll, Hand]
    reused = reshaped(erasing(mounted(first(ends=OLD, **asked), empty=True)), "ext4")
    assert moves(decide(reused)) == FORMAT


def mount(**fields: Any) -> Order:
    meant = msgspec.structs.replace(DISK, fs_uuid=MADE.uuid)
    return order(**{"kind": "mount", "ends": "", "identity": meant, **fields})


def test_a_lost_journal_is_made_up_for_only_where_all_agree() -> None:
    there = {"found": "xfs", "signature": True, "uuid": MADE.uuid}
    assert moves(decide(unmounted(mount(), **there))) == [TakeUp]
    assert reason(decide(unmounted(mount(identity=DISK), **{**there, "uuid": "u2"}))) == "WrongDisk"
    nothing = msgspec.structs.replace(DISK, fs_uuid="")
    assert reason(decide(unmounted(mount(identity=nothing), **there))) == "WrongDisk"
    assert reason(decide(unmounted(mount(), journal=entry(made=MAKING), **there))) == "WrongDisk"
    assert (
        reason(decide(unmounted(mount(), held="somebody", disk={"users_unknown": "x"}, **there))) == "InUse"
    )
    assert reason(decide(block(mount()))) == "NotForBlock"


def test_an_unmount_waits_for_users() -> None:
    given = order(kind="unmount", ends="", next="")
    assert moves(decide(mounted(given))) == [LetGo]
    used = (User(who="pod", root=f"/.tidb-volume/{OLD}"),)
    assert reason(decide(mounted(given, users=used))) == "InUse"


def test_an_old_unmount_is_not_obeyed_again_while_a_claim_has_the_disk() -> None:
    """An etcd from before shows it as if it had had no answer. Once unmounted by an order, the disk is
    mounted by nothing but another: the pod whose disk it is by now would wait for ever."""
    given = order(kind="unmount", ends="", next="")
    done = (Past(id=given.id, kind="unmount", ends="", next="", at=""),)
    assert reason(decide(mounted(given, journal=entry(made=MADE, done=done)))) == "HasData"
    had = (Had(tenancy=OLD, claim_uid="claim-1"),)
    assert reason(decide(mounted(given, journal=entry(made=MADE, had=had)))) == "HasData"
    assert moves(decide(mounted(given, journal=entry(made=MADE, had=(Had(tenancy=OTHER),))))) == [LetGo]
    bound = msgspec.structs.replace(mounted(given), live=live(given, pvs=(pv(),)))
    assert reason(decide(bound)) == "PvExists"
    there = {"found": "xfs", "signature": True, "uuid": MADE.uuid}
    put_away = entry(made=MADE, done=done, unmounted=True)
    assert isinstance(decide(unmounted(given, journal=put_away, **there)), AlreadyDone)


@pytest.mark.parametrize("made", [mounted, block])
@pytest.mark.parametrize("guard", [each.name for each in GUARDS if each.destroying_only])
def test_no_guard_of_destruction_is_passed_by_on_a_device(made: Any, guard: str) -> None:
    """Each is tried with its own case in test_guards; here: that a device asks it at all."""
    asked: list[str] = []
    for index, each in enumerate(GUARDS):
        if each.name == guard:
            GUARDS[index] = each._replace(check=lambda _: asked.append(guard))
            try:
                decide(made())
            finally:
                GUARDS[index] = each
    assert asked


def test_an_uncommitted_wipe_of_a_device_waits() -> None:
    for made in (mounted(), block()):
        assert made.live.volume is not None
        status = msgspec.structs.replace(made.live.volume.status, committed="")
        volume = msgspec.structs.replace(made.live.volume, status=status)
        uncommitted = msgspec.structs.replace(made, live=live(made.order, volume=volume))
        assert reason(decide(uncommitted)) == "NotCommitted"


# --- another shape is wanted by now -----------------------------------------------------------------------


def reshaped(made: Case, wanted: str) -> Case:
    assert made.disk.raw is not None
    raw = msgspec.structs.replace(made.disk.raw, wanted=wanted)
    return msgspec.structs.replace(made, disk=msgspec.structs.replace(made.disk, raw=raw))


UNUSED = {"kind": "prepare", "ends": OLD}
TO_BLOCK = [Note, Unmount, Begin, Overwrite, Hand]
TO_FILES = [Note, Unmount, ReadAll, Begin, MakeFilesystem, MountIt]


@pytest.mark.parametrize(
    ("made", "wanted", "expected"),
    [
        (mounted(order(**UNUSED), empty=True), "xfs", None),
        (mounted(order(**UNUSED), empty=True), "ext4", FORMAT),
        (mounted(order(**UNUSED), empty=True), "Block", TO_BLOCK),
        (block(order(**UNUSED), disk={"empty": True}), "Block", [Note, Unmount, ReadAll, Hand]),
        (block(order(**UNUSED), disk={"empty": True}), "xfs", TO_FILES),
        (mounted(order()), "Block", TO_BLOCK),
        (mounted(order(method="files")), "ext4", FORMAT),
        (block(order()), "ext4", FORMAT),
    ],
)
def test_a_fresh_offer_is_made_in_the_shape_that_is_wanted_by_now(
    made: Case, wanted: str, expected: list[type] | None
) -> None:
    verdict = decide(reshaped(made, wanted))
    if expected is None:
        assert isinstance(verdict, OnFolder)
    else:
        assert moves(verdict) == expected


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (mounted(order(**UNUSED)), "Block"),
        (mounted(order(**UNUSED)), "ext4"),
        (block(order(**UNUSED)), "xfs"),
        (mounted(order(kind="prepare", ends=OTHER), empty=True), "Block"),
    ],
)
def test_what_somebody_used_is_not_made_anew_by_an_edit(made: Case, wanted: str) -> None:
    assert reason(decide(reshaped(made, wanted))) == "HasData"


@pytest.mark.parametrize(("wanted", "good"), [("Block", False), ("xfs", True)])
def test_a_method_is_judged_by_what_the_disk_is_to_be(wanted: str, good: bool) -> None:
    verdict = decide(reshaped(block(order(**UNUSED, method="format"), disk={"empty": True}), wanted))
    assert isinstance(verdict, Do) if good else reason(verdict) == "UnknownMethod"
