"""What a look at a device means beside its journal, word for word."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from disk_daemon.facts import bare
from disk_daemon.jobs import Job
from disk_daemon.known import Broken, Entry, Facts, Journal, Made, Raw, Taken, User
from disk_daemon.tools import Found
from tidb_volume.value import Identity, Order, Presence, VolumeMode

change = msgspec.structs.replace
OURS, THEIRS = "uuid-ours", "uuid-theirs"
DISK = Identity(serial="S1", size_bytes=100)
MADE = Made(uuid=OURS, fs_type="xfs")
XFS = Found(words="xfs (ours)", fs_type="xfs", uuid=OURS)
NOTHING = Found()
EXT4 = Found(words="ext4 (theirs)", fs_type="ext4", uuid=THEIRS)
POD = User(who="pod x", root="/")
PLACE = "/mounts/v"
HAS = Entry(identity=DISK, made=MADE, handed="t1")
RAW = Entry(identity=DISK, block=True, handed="t1")
AT_WORK = Taken(id="o", kind="reclaim", ends="t1", next="t2", begun=True)
NOTED = change(AT_WORK, begun=False)


class SharedDiskError(Exception):
    """What a shared disk's file system is refused with."""


@dataclass
class Sight:
    """A device as it is said to be; and what was asked of it."""

    found: Found = NOTHING
    holder: str = ""
    zero: bool = False
    shown: tuple[str, ...] = ()
    shared: bool = False
    asked: list[str] = field(default_factory=list)

    def probed(self, facts: Facts, *, making: bool) -> Found:
        self.asked.append("probed, making" if making else "probed")
        return self.found

    def held(self) -> str:
        self.asked.append("held")
        return self.holder

    def looks_zero(self) -> bool:
        self.asked.append("zero")
        return self.zero

    def is_shown(self, tenancy: str) -> bool:
        self.asked.append(f"shown {tenancy}")
        return tenancy in self.shown

    def refuse_shared(self, facts: Facts) -> None:
        self.asked.append("shared")
        if self.shared:
            raise SharedDiskError


def device(mode: VolumeMode = "Filesystem", *, raw: dict[str, Any] | None = None, **fields: Any) -> Facts:
    """The disk before its content is looked at."""
    made = Facts(presence=Presence.OK, identity=DISK, name="sda", capacity_bytes=100)
    return change(made, raw=Raw(mode=mode, **raw or {}), **fields)


def seen(facts: Facts, *, uuid: str | None = None, raw: dict[str, Any], **fields: Any) -> Facts:
    """The same with what the look adds."""
    assert facts.raw is not None
    if uuid is not None:
        fields["identity"] = change(DISK, fs_uuid=uuid)
    return change(facts, raw=change(facts.raw, **raw), **fields)


# --- what it is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "wanted", "mode"),
    [
        (None, "Block", "Block"),
        (None, "Filesystem", "Filesystem"),
        (Entry(identity=DISK), "Block", "Block"),
        (HAS, "Block", "Filesystem"),
        (Entry(identity=DISK, making=MADE), "Block", "Filesystem"),
        (RAW, "Filesystem", "Block"),
    ],
)
def test_an_edit_changes_no_disk(entry: Entry | None, wanted: VolumeMode, mode: VolumeMode) -> None:
    assert bare.mode(Job(id=1, kind="observe", volume_mode=wanted), entry) == mode


# --- mounted ----------------------------------------------------------------------------------------------

INSIDE = Facts(
    presence=Presence.OK,
    identity=Identity(virtual="7:1", fs_uuid=OURS),
    name="loop1",
    tenancies=("t1",),
    users=(User(who="pod y", root="/.tidb-volume/t1"),),
)


def test_what_is_mounted_and_is_what_was_made_is_a_folder_on_that_hardware() -> None:
    found = bare.mounted(device(), INSIDE, HAS, PLACE)
    raw = Raw(mode="Filesystem", mounted=True, uuid=OURS)
    assert found == change(INSIDE, identity=change(DISK, fs_uuid=OURS), name="sda", raw=raw)
    assert bare.mounted(device(identity=None), INSIDE, HAS, PLACE).identity is None


@pytest.mark.parametrize(
    ("inside", "outside", "said"), [("a", "", "a"), ("", "b", "b"), ("a", "b", "a"), ("", "", "")]
)
def test_who_has_it_is_unknown_where_either_look_does_not_know(inside: str, outside: str, said: str) -> None:
    inner = change(INSIDE, users_unknown=inside)
    assert bare.mounted(device(users_unknown=outside), inner, HAS, PLACE).users_unknown == said


DAMAGED = (
    "the xfs that we made on it (uuid-ours) is damaged or gone: there is {}; "
    "it is neither mounted nor formatted; repair it, or say what is to become of it"
)
STRANGE = "a file system ({}) that the journal does not know, mounted at /mounts/v"
OTHER_INSIDE = change(INSIDE, identity=Identity(virtual="7:1", fs_uuid=THEIRS))


@pytest.mark.parametrize(
    ("inner", "entry", "uuid", "damage"),
    [
        (OTHER_INSIDE, HAS, THEIRS, DAMAGED.format(STRANGE.format(THEIRS))),
        (OTHER_INSIDE, Entry(identity=DISK), THEIRS, ""),
        (OTHER_INSIDE, None, THEIRS, ""),
        (INSIDE, None, OURS, ""),
        (change(INSIDE, identity=None), HAS, "", DAMAGED.format(STRANGE.format(""))),
    ],
)
def test_what_is_mounted_and_nobody_knows_is_somebodys(
    inner: Facts, entry: Entry | None, uuid: str, damage: str
) -> None:
    before = device(users=(POD,))
    raw = {"found": STRANGE.format(uuid), "uuid": uuid, "signature": True, "at_place": True, "damage": damage}
    users = (User(who="mount /mounts/v", root="/"), POD)
    assert bare.mounted(before, inner, entry, PLACE) == seen(before, uuid=uuid, raw=raw, users=users)


# --- not mounted ------------------------------------------------------------------------------------------

NEW = device()
MAKING = change(HAS, making=Made(uuid="u2", fs_type="ext4"))
NOT_MOUNTED = {
    "presence": Presence.NOT_MOUNTED,
    "message": "the xfs that we made on it (uuid-ours) is not mounted",
}
UNMOUNTED: list[tuple[str, Sight, Facts, Entry | None, bool, Facts]] = [
    # what it is about, the device, before, the journal, whether who asks holds it, after
    ("blank", Sight(zero=True), NEW, None, False, seen(NEW, uuid="", raw={"blank": True})),
    (
        "blank, and known",
        Sight(zero=True),
        NEW,
        Entry(identity=DISK),
        False,
        seen(NEW, uuid="", raw={"blank": True}),
    ),
    ("noise", Sight(), NEW, None, False, seen(NEW, uuid="", raw={"found": "data of no known kind"})),
    (
        "theirs",
        Sight(EXT4, zero=True),
        NEW,
        None,
        False,
        seen(NEW, uuid=THEIRS, raw={"found": "ext4 (theirs)", "uuid": THEIRS, "signature": True}),
    ),
    (
        "ours",
        Sight(XFS),
        NEW,
        HAS,
        False,
        seen(
            NEW,
            uuid=OURS,
            raw={"found": "xfs (ours)", "uuid": OURS, "signature": True, "mountable": True},
            **NOT_MOUNTED,
        ),
    ),
    (
        "ours, put away",
        Sight(XFS),
        NEW,
        change(HAS, unmounted=True),
        False,
        seen(NEW, uuid=OURS, raw={"found": "xfs (ours)", "uuid": OURS, "signature": True}),
    ),
    (
        "ours, while another is being made",
        Sight(XFS),
        NEW,
        MAKING,
        False,
        seen(NEW, uuid=OURS, raw={"found": "xfs (ours)", "uuid": OURS, "signature": True}),
    ),
    (
        "another in its place",
        Sight(EXT4),
        NEW,
        HAS,
        False,
        seen(
            NEW,
            uuid=THEIRS,
            raw={
                "found": "ext4 (theirs)",
                "uuid": THEIRS,
                "signature": True,
                "damage": DAMAGED.format("ext4 (theirs)"),
            },
        ),
    ),
    (
        "another kind with its uuid",
        Sight(change(XFS, fs_type="ext4")),
        NEW,
        HAS,
        False,
        seen(
            NEW,
            uuid=OURS,
            raw={
                "found": "xfs (ours)",
                "uuid": OURS,
                "signature": True,
                "damage": DAMAGED.format("xfs (ours)"),
            },
        ),
    ),
    (
        "nothing in its place",
        Sight(zero=True),
        NEW,
        HAS,
        False,
        seen(
            NEW,
            uuid="",
            raw={"blank": True, "damage": DAMAGED.replace("there is {}", "nothing is found")},
        ),
    ),
    (
        "held by somebody",
        Sight(zero=True, holder="a driver"),
        NEW,
        None,
        False,
        seen(NEW, uuid="", raw={"blank": True, "held": "a driver"}, users_unknown="a driver"),
    ),
    (
        "held by who asks",
        Sight(zero=True, holder="a driver"),
        NEW,
        None,
        True,
        seen(NEW, uuid="", raw={"blank": True}),
    ),
    (
        "held by who is known",
        Sight(zero=True, holder="a driver"),
        device(users=(POD,), users_unknown="no table"),
        None,
        False,
        seen(device(users=(POD,), users_unknown="no table"), uuid="", raw={"blank": True}),
    ),
]


@pytest.mark.parametrize(
    ("sight", "facts", "entry", "ours", "found"),
    [pytest.param(*row[1:], id=row[0]) for row in UNMOUNTED],
)
def test_what_is_not_mounted(
    sight: Sight, facts: Facts, entry: Entry | None, ours: bool, found: Facts
) -> None:
    assert bare.unmounted(sight, facts, entry, ours=ours) == found


def test_what_is_being_made_is_looked_at_as_such_and_only_what_is_not_recognised_is_read() -> None:
    sight = Sight(XFS)
    bare.unmounted(sight, NEW, MAKING, ours=True)
    assert sight.asked == ["probed, making"]
    sight = Sight(XFS)
    bare.unmounted(sight, NEW, HAS, ours=True)
    assert sight.asked == ["probed"]
    sight = Sight()
    bare.unmounted(sight, NEW, None, ours=False)
    assert sight.asked == ["probed", "held", "zero"]


# --- a Block volume ---------------------------------------------------------------------------------------

BLOCK = device("Block")
THEIRS_RAW = device("Block", raw={"at_place": True})
LOOK = Job(id=1, kind="observe")
ORDERED = change(LOOK, kind="order", order=Order(id="o", kind="reclaim"))
NEVER_HANDED = change(RAW, handed="")
FRESH: list[tuple[str, Sight, Entry | None, Facts]] = [
    ("blank", Sight(zero=True), None, seen(BLOCK, raw={"blank": True})),
    ("noise", Sight(), None, seen(BLOCK, raw={"found": "data of no known kind"})),
    ("never handed over", Sight(zero=True), NEVER_HANDED, seen(BLOCK, raw={"blank": True})),
    ("a file system of ours", Sight(zero=True), HAS, seen(BLOCK, raw={"blank": True})),
    (
        "theirs",
        Sight(EXT4, zero=True),
        None,
        seen(BLOCK, raw={"found": "ext4 (theirs)", "uuid": THEIRS, "signature": True}),
    ),
]


@pytest.mark.parametrize(("sight", "entry", "found"), [pytest.param(*row[1:], id=row[0]) for row in FRESH])
def test_a_raw_device_that_no_tenancy_has(sight: Sight, entry: Entry | None, found: Facts) -> None:
    assert bare.block(sight, BLOCK, entry, LOOK, ours=False) == found
    assert "probed, making" not in sight.asked


GIVEN = {"tenancies": ("t1",)}
HANDED: list[tuple[str, Sight, Facts, Entry, bool, Facts, list[str]]] = [
    # what it is about, the device, before, the journal, whether who asks holds it, after, what was asked
    (
        "unused",
        Sight(zero=True, shown=("t1",)),
        BLOCK,
        RAW,
        False,
        seen(BLOCK, raw={}, empty=True, **GIVEN),
        ["held", "shown t1", "zero"],
    ),
    (
        "written to",
        Sight(shown=("t1",)),
        BLOCK,
        RAW,
        False,
        seen(BLOCK, raw={}, empty=False, **GIVEN),
        ["held", "shown t1", "zero"],
    ),
    (
        "in use",
        Sight(zero=True, shown=("t1",)),
        device("Block", users=(POD,)),
        RAW,
        False,
        seen(device("Block", users=(POD,)), raw={}, **GIVEN),
        ["shown t1"],
    ),
    (
        "perhaps in use",
        Sight(zero=True, shown=("t1",)),
        device("Block", users_unknown="no table"),
        RAW,
        False,
        seen(device("Block", users_unknown="no table"), raw={}, **GIVEN),
        ["held", "shown t1"],
    ),
    (
        "held by somebody",
        Sight(zero=True, holder="a driver", shown=("t1",)),
        BLOCK,
        RAW,
        False,
        seen(BLOCK, raw={"held": "a driver"}, users_unknown="a driver", **GIVEN),
        ["held", "shown t1"],
    ),
    (
        "without its node",
        Sight(zero=True),
        BLOCK,
        RAW,
        False,
        seen(
            BLOCK,
            raw={"mountable": True},
            presence=Presence.NOT_MOUNTED,
            message="its device node for tenancy t1 is missing",
        ),
        ["held", "shown t1"],
    ),
    (
        "its node taken away by who asks",
        Sight(zero=True),
        BLOCK,
        RAW,
        True,
        seen(BLOCK, raw={}, empty=True, **GIVEN),
        ["zero"],
    ),
    (
        "a wipe at work",
        Sight(zero=True),
        BLOCK,
        change(RAW, order=AT_WORK),
        False,
        seen(BLOCK, raw={}, **GIVEN),
        ["held"],
    ),
    (
        "a wipe noted",
        Sight(zero=True, shown=("t1",)),
        BLOCK,
        change(RAW, order=NOTED),
        False,
        seen(BLOCK, raw={}, empty=True, **GIVEN),
        ["held", "shown t1", "zero"],
    ),
    (
        "something mounted at its place",
        Sight(zero=True, holder="that mount", shown=("t1",)),
        THEIRS_RAW,
        RAW,
        False,
        seen(THEIRS_RAW, raw={}, empty=True, **GIVEN),
        ["shown t1", "zero"],
    ),
]


@pytest.mark.parametrize(
    ("sight", "facts", "entry", "ours", "found", "asked"),
    [pytest.param(*row[1:], id=row[0]) for row in HANDED],
)
def test_a_raw_device_that_a_tenancy_has(
    sight: Sight, facts: Facts, entry: Entry, ours: bool, found: Facts, asked: list[str]
) -> None:
    assert bare.block(sight, facts, entry, LOOK, ours=ours) == found
    assert sight.asked == asked


def test_what_other_machines_may_have_mounted_is_asked_for_an_order_on_a_free_disk_alone() -> None:
    def asked(job: Job, facts: Facts = BLOCK, entry: Entry = RAW) -> bool:
        sight = Sight(zero=True, shown=("t1",))
        bare.block(sight, facts, entry, job, ours=False)
        return "shared" in sight.asked

    assert asked(ORDERED)
    assert not asked(LOOK)
    assert not asked(ORDERED, device("Block", users=(POD,)))
    assert not asked(ORDERED, device("Block", users_unknown="no table"))
    assert not asked(ORDERED, entry=change(RAW, order=AT_WORK))
    with pytest.raises(SharedDiskError):
        bare.block(Sight(zero=True, shown=("t1",), shared=True), BLOCK, RAW, ORDERED, ours=False)


# --- is it as it was judged ---------------------------------------------------------------------------------

MOUNTED = device(raw={"mounted": True, "uuid": OURS})
SEEN = {"found": "xfs", "uuid": "u9", "signature": True}


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        (NEW, NEW, True),
        (NEW, device(raw={"blank": True}), False),
        (NEW, device(raw={"found": "xfs"}), False),
        (NEW, device(raw={"uuid": "u9"}), False),
        (NEW, device(raw={"held": "who asks"}), True),
        (MOUNTED, device(raw={"mountable": True, "uuid": OURS}), True),
        (MOUNTED, device(raw={"mountable": True, "uuid": OURS, "found": "xfs"}), True),
        (MOUNTED, device(raw={"mountable": True, "uuid": THEIRS}), False),
        (MOUNTED, device(raw={"uuid": OURS}), False),
        (BLOCK, BLOCK, True),
        (BLOCK, device("Block", tenancies=("t1",)), False),
        (BLOCK, device("Block", raw={"blank": True}), False),
        (BLOCK, device("Block", raw={"found": "xfs"}), False),
        (BLOCK, device("Block", raw={"uuid": "u9"}), False),
        (BLOCK, device("Block", raw={"at_place": True}), True),
    ],
)
def test_a_disk_that_was_taken_is_as_it_was_judged(before: Facts, now: Facts, same: bool) -> None:
    assert bare.is_as_judged(before, now, begun=False) is same


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        # Samples of what is half gone differ.
        (NEW, device(raw={"blank": True}), True),
        (device(raw={"found": "data of no known kind"}), device(raw={"blank": True}), True),
        (device(raw=SEEN), device(raw=SEEN), True),
        (device(raw=SEEN), device(raw={"blank": True}), True),
        (device(raw=SEEN), device(raw=SEEN | {"uuid": THEIRS}), False),
        (device(raw=SEEN), device(raw=SEEN | {"found": "ext4"}), False),
        (MOUNTED, device(raw=SEEN | {"uuid": OURS}), True),
        (MOUNTED, device(raw=SEEN | {"uuid": THEIRS}), False),
    ],
)
def test_of_what_is_half_gone_it_is_asked_whether_something_else_is_recognised(
    before: Facts, now: Facts, same: bool
) -> None:
    assert bare.is_as_judged(before, now, begun=True) is same


@pytest.mark.parametrize(
    ("order", "works"), [(None, False), (NOTED, False), (AT_WORK, True)], ids=["none", "noted", "begun"]
)
def test_an_order_is_at_work_once_it_has_begun(order: Taken | None, works: bool) -> None:
    assert bare.is_at_work(change(HAS, order=order)) is works


# --- whose it is beside what is on it ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "is_his", "was_his"),
    [
        (None, False, False),
        (Broken(why="so"), False, False),
        (HAS, False, False),
        (change(HAS, order=AT_WORK), False, False),
        (RAW, True, False),
        (change(RAW, handed=""), False, False),
        (change(RAW, handed="", order=NOTED), False, False),
        (change(RAW, handed="", order=AT_WORK), True, False),
        # A file system is being made of it.
        (change(RAW, block=False, was_block=True, order=AT_WORK), True, True),
        (change(RAW, block=False, was_block=True, order=NOTED), False, False),
        (change(RAW, block=False, was_block=True), False, False),
    ],
)
def test_a_raw_device_is_its_tenants_until_a_wipe_of_it_is_done(
    entry: Journal, is_his: bool, was_his: bool
) -> None:
    assert (bare.is_a_tenants(entry), bare.was_a_tenants(entry)) == (is_his, was_his)
