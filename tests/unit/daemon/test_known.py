"""What is known of a disk: what lies on it, whose the trash is, and what the order at work is part of."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from disk_daemon.known import (
    Broken,
    Build,
    Case,
    Entry,
    Facts,
    Had,
    Journal,
    Live,
    Made,
    Mount,
    Past,
    Raw,
    Taken,
    Trash,
    User,
    tenancy_as_trash,
    trash_of,
)
from disk_daemon.observe import recorded
from tests.unit.daemon.cases import DISK, NEXT, OLD, OTHER, case, entry, facts, order, taken
from tidb_volume.value import Content, Presence, Value

# --- what nobody said ---------------------------------------------------------------------------------------

CASE = case()


@pytest.mark.parametrize(
    "made",
    [
        Mount(id=1, device="8:0", root="/", target="/data"),
        User(who="a pod", root="/"),
        Past(id="o", kind="reclaim", ends=OLD, next=NEXT, at="then"),
        Build(name="sda"),
        Raw(mode="Filesystem"),
        Trash(order="order-1"),
        Live(read_at=1.0),
        Taken(id="order-1", kind="reclaim", ends=OLD, next=NEXT),
        Made(uuid="u", fs_type="ext4"),
        Had(tenancy=OLD),
        Entry(identity=DISK),
        Case(order=CASE.order, volume="v", uid="u", live=CASE.live, disk=CASE.disk, journal=None),
    ],
    ids=lambda made: type(made).__name__,
)
def test_what_nobody_said_is_not_so(made: Value) -> None:
    said = {each.name for each in msgspec.structs.fields(made) if each.required}
    assert {name for name in made.__struct_fields__ if getattr(made, name)} == said - {"journal"}


def test_of_a_disk_at_which_nobody_looked_one_thing_is_known_that_nobody_looked() -> None:
    made = Facts(presence=Presence.OK)
    assert {name for name in made.__struct_fields__ if getattr(made, name)} == {
        "presence",
        "everyone_unknown",
    }
    assert made.everyone_unknown == "nobody looked"


# --- whose trash it is --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "order", "tenancy"),
    [
        ("trash-order-1", "order-1", ""),
        ("trash-0", "0", ""),
        (f"trash-{'a' * 63}", "a" * 63, ""),
        (f"trash-{'a' * 64}", "", ""),
        (f"trash-order-1.{OLD}", "order-1", OLD),
        (f"trash-.{OLD}", "", ""),
        ("trash-", "", ""),
        ("trash-order-1.", "", ""),
        ("trash-order-1.else", "", ""),
        (f"trash-order-1.{OLD}.{OLD}", "", ""),
        ("trash-order_1", "", ""),
        ("trash--1", "", ""),
        (f"order-1.{OLD}", "", ""),
        (OLD, "", ""),
    ],
)
def test_a_name_says_whose_trash_it_is(name: str, order: str, tenancy: str) -> None:
    assert (trash_of(name), tenancy_as_trash(name)) == (order, tenancy)
    if order:
        assert Trash(order=order, tenancy=tenancy).name == name


# --- what lies on a disk ------------------------------------------------------------------------------------

TRASH = (Trash(order="o"),)
EMPTY: dict[str, Any] = {"tenancies": ()}


def raw(**fields: Any) -> Raw:
    return msgspec.structs.replace(Raw(mode="Filesystem"), **fields)


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        ({**EMPTY, "presence": Presence.NOT_MOUNTED}, Content.UNKNOWN),
        ({"presence": Presence.STUCK}, Content.UNKNOWN),
        (EMPTY, Content.BLANK),
        ({}, Content.TENANCY),
        ({**EMPTY, "strays": ("a",)}, Content.DATA),
        # What hands have put beside a tenancy is noted, and asked about when the tenancy ends.
        ({"strays": ("a",)}, Content.TENANCY),
        ({"tenancies": (OLD, NEXT)}, Content.DATA),
        ({"trash": TRASH}, Content.DATA),
        ({**EMPTY, "trash": TRASH}, Content.DATA),
        ({"others": ("x",)}, Content.DATA),
        ({**EMPTY, "others": ("x",)}, Content.DATA),
        # A device whose file system is not mounted has what is found on the device itself.
        ({**EMPTY, "raw": raw(blank=True)}, Content.BLANK),
        ({**EMPTY, "raw": raw(blank=True, damage="gone")}, Content.DATA),
        ({**EMPTY, "raw": raw()}, Content.DATA),
        ({"raw": raw(blank=True)}, Content.BLANK),
        ({**EMPTY, "raw": raw(mounted=True)}, Content.BLANK),
        ({"raw": raw(mounted=True)}, Content.TENANCY),
        # A Block volume's tenancy is the device itself, whatever its owner wrote there.
        ({"raw": raw(mode="Block")}, Content.TENANCY),
        ({**EMPTY, "raw": raw(mode="Block")}, Content.DATA),
        ({**EMPTY, "raw": raw(mode="Block", blank=True)}, Content.BLANK),
    ],
)
def test_what_is_on_a_disk_is_one_word(fields: dict[str, Any], content: Content) -> None:
    assert facts(**fields).content is content


@pytest.mark.parametrize(
    ("tenancies", "one"), [((), ""), ((OLD,), OLD), ((OLD, NEXT), ""), ((OLD, NEXT, OTHER), "")]
)
def test_a_disk_has_a_tenancy_where_it_has_one_alone(tenancies: tuple[str, ...], one: str) -> None:
    assert facts(tenancies=tenancies).tenancy == one


NOTES: list[tuple[dict[str, Any], str]] = [
    ({"raw": Raw(mode="Filesystem", found="an ext4")}, "an ext4"),
    ({"raw": Raw(mode="Filesystem", found="an ext4", uuid="u7")}, "an ext4; UUID u7"),
    ({"raw": Raw(mode="Filesystem", found="", uuid="u7", mounted=True)}, ""),
    ({"raw": Raw(mode="Filesystem", found="an ext4", damage="damaged")}, "damaged"),
    ({"raw": Raw(mode="Filesystem", damage="damaged")}, "damaged"),
    ({"raw": Raw(mode="Filesystem", mounted=True)}, ""),
    (
        {"raw": Raw(mode="Filesystem", mounted=True), "strays": ("y",), "stray_count": 1},
        "entries of others (1), first: 'y'",
    ),
    ({"tenancies": (OLD, NEXT)}, "2 tenancies"),
    ({"tenancies": (OLD, NEXT, OTHER)}, "3 tenancies"),
    ({"tenancies": (OLD,)}, ""),
    ({"tenancies": ()}, ""),
    (
        {
            "tenancies": (OLD, NEXT),
            "trash": (Trash(order="o"),),
            "others": ("x",),
            "strays": ("y", "z"),
            "stray_count": 1000,
        },
        "trash of order o; 2 tenancies; 'x' among our folders; entries of others (1000 or more), first: 'y'",
    ),
]


@pytest.mark.parametrize(("fields", "note"), NOTES)
def test_what_else_is_there_is_noted(fields: dict[str, Any], note: str) -> None:
    assert facts(**fields).note == note


@pytest.mark.parametrize(
    ("strays", "by_hand"),
    [
        ((), ()),
        (("a", "b"), ("a", "b")),
        (("lost+found/#12", "a"), ("a",)),
        (("lost+found/#12",), ()),
        (("lost+founder",), ("lost+founder",)),
        (("a/lost+found/b",), ("a/lost+found/b",)),
    ],
)
def test_what_fsck_has_put_into_lost_and_found_was_put_by_no_hand(
    strays: tuple[str, ...], by_hand: tuple[str, ...]
) -> None:
    assert facts(strays=strays).by_hand == by_hand


def test_what_lies_on_a_disk_tells_its_content_its_tenancy_and_all_of_its_trash() -> None:
    assert facts().lies_on_it == f"tenancy:{OLD}::"
    many = facts(trash=(*TRASH, Trash(order="p", tenancy=NEXT)), others=("x",))
    assert many.lies_on_it == f"data:{OLD}:trash of order o; trash of order p; 'x' among our folders:o,p"


@pytest.mark.parametrize(
    ("disk", "known", "told"),
    [
        (facts(tenancies=(), strays=("x",), stray_count=1), entry(), ""),
        (facts(tenancies=(), strays=("x",), stray_count=1), None, ""),
        (facts(tenancies=(), strays=("x",), stray_count=1), Broken(why="w"), ""),
        (facts(tenancies=(), strays=("x",), stray_count=1), entry(at_root=True), OLD),
        (facts(tenancies=()), entry(at_root=True), OLD),
        (facts(tenancies=(), trash=TRASH, strays=("x",)), entry(at_root=True), OLD),
        (facts(tenancies=(NEXT,), strays=("x",), stray_count=1), entry(at_root=True), NEXT),
    ],
)
def test_whose_it_is_that_lies_at_the_root_the_journal_tells(disk: Facts, known: Journal, told: str) -> None:
    plain = disk.lies_on_it.split(":", 2)
    assert case(disk=disk, journal=known).lies_on_it == f"{plain[0]}:{told}:{plain[2]}"


@pytest.mark.parametrize(
    ("disk", "alone"),
    [
        (facts(tenancies=(), strays=("x",)), True),
        (facts(tenancies=()), False),
        (facts(strays=("x",)), False),
        (facts(tenancies=(OLD, NEXT), strays=("x",)), False),
        (facts(tenancies=(), strays=("x",), trash=TRASH), False),
        (facts(tenancies=(), strays=("x",), others=("y",)), False),
        (facts(tenancies=(), strays=("x",), presence=Presence.NOT_MOUNTED), False),
    ],
)
def test_what_others_put_there_is_alone_where_nothing_of_ours_is(disk: Facts, *, alone: bool) -> None:
    assert disk.is_others_alone is alone


@pytest.mark.parametrize(
    ("found", "uuid", "told"),
    [("an ext4", "u7", "an ext4, UUID u7"), ("an ext4", "", "an ext4"), ("", "u7", "UUID u7"), ("", "", "")],
)
def test_what_is_found_on_a_device_is_told_from_another_of_its_kind(found: str, uuid: str, told: str) -> None:
    assert raw(found=found, uuid=uuid).told_apart == told


# --- the order at work --------------------------------------------------------------------------------------

ANOTHER = {"id": "order-2"}
WHOLE = {"whole_disk": True}
FIRST_USE = {"kind": "prepare", "ends": ""}


@pytest.mark.parametrize(
    ("given", "at_work", "device", "goes_on"),
    [
        ({}, {}, False, True),
        # It is that very order, whatever else may read otherwise.
        ({"ends": OTHER}, {}, False, True),
        ({**FIRST_USE}, {**FIRST_USE}, False, True),
        # The next attempt at the wipe of one tenancy.
        (ANOTHER, {}, False, True),
        ({**ANOTHER, "ends": OTHER}, {}, False, False),
        ({**ANOTHER, "kind": "prepare"}, {}, False, True),
        # One that is to leave the rest of the disk alone is no part of one that takes it all.
        ({**ANOTHER, **WHOLE}, {}, False, False),
        (ANOTHER, WHOLE, False, False),
        ({**ANOTHER, **WHOLE}, WHOLE, False, True),
        # The same answer goes on with its wipe, though what it was about is put aside by now.
        ({**ANOTHER, **WHOLE, "ends": "", "answer": "q"}, {**WHOLE, "answer": "q"}, False, True),
        ({**ANOTHER, **WHOLE, "ends": "", "answer": "q"}, {**WHOLE, "answer": "p"}, False, False),
        ({**ANOTHER, **WHOLE, "ends": "", "answer": "q"}, {**WHOLE, "ends": "", "answer": "q"}, False, True),
        ({**ANOTHER, **WHOLE, "ends": "", "answer": "q"}, {**WHOLE, "ends": "", "answer": "p"}, False, True),
        ({**ANOTHER, "ends": "", "answer": "q"}, {"answer": "q"}, False, False),
        # A first use of a folder leaves nothing to go on with, and one of a device does.
        ({**ANOTHER, **FIRST_USE}, FIRST_USE, False, False),
        ({**ANOTHER, **FIRST_USE}, FIRST_USE, True, True),
        ({**ANOTHER, **FIRST_USE}, {**FIRST_USE, "kind": "mount"}, True, False),
        ({**ANOTHER, **FIRST_USE}, {}, True, False),
    ],
)
def test_an_order_goes_on_with_the_one_at_work_if_it_is_of_the_same_wipe(
    given: dict[str, Any], at_work: dict[str, Any], device: bool, goes_on: bool
) -> None:
    work = taken(**at_work)
    made = case(order(**given), journal=entry(order=work), device=device)
    assert made.taken == (work if goes_on else None)


@pytest.mark.parametrize("journal", [None, Broken(why="damaged"), entry()])
def test_without_a_record_of_an_order_at_work_there_is_none(journal: Entry | Broken | None) -> None:
    made = case(journal=journal)
    assert made.taken is None
    assert (made.begun, made.maybe_begun) == (False, False)


OF_ANOTHER = taken(id="order-2", ends=OTHER, begun=True)


@pytest.mark.parametrize(
    ("at_work", "trash", "begun", "maybe_begun"),
    [
        (taken(begun=True), (), True, True),
        (taken(begun=True), TRASH, True, True),
        (taken(), (), False, False),
        # The journal has it that nothing was unlinked: what lies there was put aside and is whole.
        (taken(), TRASH, False, False),
        (None, (), False, False),
        (None, TRASH, False, True),
        (OF_ANOTHER, (), False, False),
        (OF_ANOTHER, TRASH, False, True),
    ],
)
def test_bytes_may_be_gone_where_they_are_or_where_trash_lies_that_the_journal_does_not_explain(
    at_work: Taken | None, trash: tuple[Trash, ...], begun: bool, maybe_begun: bool
) -> None:
    made = case(disk=facts(trash=trash), journal=entry(order=at_work))
    assert (made.begun, made.maybe_begun) == (begun, maybe_begun)


@pytest.mark.parametrize(
    ("given", "destroys"), [({}, True), (FIRST_USE, False), ({**FIRST_USE, "answer": "q"}, True)]
)
def test_an_order_destroys_as_it_says_itself(given: dict[str, Any], destroys: bool) -> None:
    assert case(order(**given)).destroys is destroys


@pytest.mark.parametrize(
    ("journal", "orders"),
    [
        (None, {"order-1"}),
        (entry(), {"order-1"}),
        (Broken(why="torn"), {"order-1"}),
        (entry(order=taken(id="order-0", before=("a", "b"))), {"order-1", "order-0", "a", "b"}),
        (entry(order=taken(id="order-0", ends=OTHER, before=("a",))), {"order-1"}),
    ],
)
def test_the_orders_of_a_wipe_are_all_that_the_journal_has_of_the_same(
    journal: Any, orders: set[str]
) -> None:
    assert case(journal=journal).orders == orders


@pytest.mark.parametrize(
    ("had", "tenancy", "last"),
    [
        ((), OLD, ""),
        (((OLD, "a"),), OLD, "a"),
        (((OLD, "a"), (OLD, "b")), OLD, "b"),
        (((OLD, "a"), (OLD, "")), OLD, "a"),
        (((OLD, "a"), (OTHER, "b")), OLD, "a"),
        (((OTHER, "b"),), OLD, ""),
        ((("", "a"),), "", ""),
    ],
)
def test_the_last_claim_on_a_tenancy_is_one_whose_uid_is_known(
    had: tuple[tuple[str, str], ...], tenancy: str, last: str
) -> None:
    seen = tuple(Had(tenancy=of, claim_uid=claim) for of, claim in had)
    assert entry(had=seen).last_claim(tenancy) == last


def test_a_report_tells_of_the_claim_on_what_is_there_and_not_on_what_was_handed_over() -> None:
    """An order for the one would be refused for ever, were a person told of the other."""
    had = (Had(tenancy=OLD, claim_uid="a"), Had(tenancy=NEXT, claim_uid="b"))
    known = entry(handed=NEXT, had=had)
    assert [recorded(known, each).last_claim for each in (OLD, NEXT, "", OTHER)] == ["a", "b", "b", ""]
    assert recorded(None).last_claim == recorded(Broken(why="x"), OLD).last_claim == ""
