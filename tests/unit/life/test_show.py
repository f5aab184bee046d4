"""Why a volume stands where it stands, and what a person is asked, word for word."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.life.plans import at
from tests.unit.life.worlds import (
    BLANK,
    BOUND,
    COMMITTED,
    NEXT,
    NOW,
    OFFERED,
    OLD,
    OTHER,
    RELEASED,
    WIPED,
    but,
    change,
    order,
    question,
    with_pv,
    work,
)
from tidb_volume.fleet import Breaker, Fleet, FleetSpec, FleetStatus
from tidb_volume.life import show
from tidb_volume.life.look import look
from tidb_volume.life.phases import phase
from tidb_volume.life.world import Daemon, World
from tidb_volume.units import Instant
from tidb_volume.value import (
    Adopt,
    Answer,
    Content,
    Identity,
    Meta,
    Phase,
    Presence,
    Question,
    Ref,
    Restore,
    WipePolicy,
    WorkState,
)

AT = "2027-01-15T08:00:00.000Z"
ENDING = {"deletion_timestamp": "2027-01-01T00:00:00Z"}
AWAY = Daemon(ready=False, since=Instant(NOW - 1000))
LEAVING = Daemon(ready=False, since=Instant(NOW - 1))
assert BLANK.node is not None
PAUSED = Fleet(metadata=Meta(name="fleet"), spec=FleetSpec(paused=True))
TRIPPED = Fleet(
    metadata=Meta(name="fleet"), status=FleetStatus(breaker=Breaker(tripped=True, reason="11 wipes"))
)
ADOPT = {"adopt": Adopt(question="q-1", action="Wipe")}
RESTORE = {"restore": Restore(question="q-1")}
KEEP = WipePolicy(on_release="keep")
RUNNING = work(WorkState.RUNNING)
QUEUED = work(WorkState.RUNNING, reason="Queued", message="at work on a")
WAITING = work(WorkState.RUNNING, "InUse", message="sleep (pid 7)")
FAILED = work(WorkState.FAILED, "EIO", message="at byte 7")
AT_BYTE_7 = "EIO: at byte 7"
HALF_WAY = {"content": Content.TENANCY, "tenancy": NEXT, "empty": True}
"""The next tenancy's folder is made, and the journal does not have it."""
REFUSED = work(WorkState.REFUSED, "HasData", message="12 entries")
BEGUN = change(RUNNING, begun=True)
NEW = Identity(serial="S2", size_bytes=200)
WRONG = {"identity": NEW, "presence": Presence.WRONG_DISK}
PLACE = " in its place: serial=S2 size_bytes=200"
TWIN = {"twin": "volume w of node m shows it too", "apart": True}
TOO = ", shown by other machines too"


def said(world: World) -> tuple[str, str]:
    seen = look(world)
    return show.reason(world, seen, phase(seen), NOW)


# --- the reason ---

DATA = but(BLANK, disk={"content": Content.DATA, "content_note": "xfs (label backup)"})
"""Data that nobody knows."""
USED = but(
    OFFERED,
    status={"volume_uid": "", "withdrawn": OLD},
    disk={"in_use": "pod x"},
    pvs=(),
)
"""Clean, and somebody uses it just now."""
FIRST = but(BLANK, spec={"order": order(kind="prepare", ends="", pv_uid="")})
"""The order for its first use stands."""
UNMOUNT = but(
    OFFERED,
    spec={"order": order(kind="unmount", ends="", pv_uid="")},
    status={"volume_uid": "", "withdrawn": OLD},
    admin={"retire": True},
    pvs=(),
)


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        (BOUND, ("Claimed", "")),
        (with_pv(BOUND, **ENDING), ("Terminating", "")),
        (OFFERED, ("OnOffer", "")),
        # Released.
        (RELEASED, ("Ordered", "")),
        (but(RELEASED, spec={"order": order()}, status={"work": FAILED}), ("NotBegun", "EIO: at byte 7")),
        (
            but(RELEASED, spec={"order": order()}, status={"work": change(FAILED, message="")}),
            ("NotBegun", "EIO"),
        ),
        (
            but(RELEASED, spec={"order": order()}, status={"work": FAILED}, admin={"hold": True}),
            ("Held", ""),
        ),
        (but(RELEASED, admin={"gates": {"a": "", "b": ""}}), ("Gated", "a, b")),
        # Failed.
        (but(COMMITTED, status={"work": FAILED}), ("WipeFailed", "EIO: at byte 7")),
        (but(COMMITTED, status={"work": FAILED}, fleet=PAUSED), ("WipeFailed", AT_BYTE_7)),
        (but(COMMITTED, status={"work": FAILED, "retry": at(1)}, fleet=PAUSED), ("WipeFailed", AT_BYTE_7)),
        (but(COMMITTED, status={"work": FAILED, "retry": at(0)}), ("WipeFailed", AT_BYTE_7)),
        # Its time to be tried again has come, and something else is in the way.
        (but(COMMITTED, status={"work": FAILED, "retry": at(0)}, fleet=PAUSED), ("Paused", "")),
        (
            but(COMMITTED, status={"work": FAILED, "retry": at(-1)}, disk={"in_use": "mount x"}),
            ("InUse", "mount x"),
        ),
        (but(COMMITTED, status={"work": FAILED}, admin={"hold": True}), ("Held", "")),
        (
            but(COMMITTED, status={"work": FAILED}, admin={"gates": {"g": ""}}),
            ("Gated", "g"),
        ),
        (
            but(COMMITTED, status={"work": change(FAILED, begun=True)}, admin={"hold": True}),
            ("WipeFailed", "EIO: at byte 7"),
        ),
        # Wiping.
        (COMMITTED, ("Wiping", "")),
        (but(COMMITTED, admin=RESTORE), ("TakingBack", "")),
        (but(COMMITTED, admin=RESTORE, status={"work": RUNNING}), ("TakingBack", "")),
        (but(COMMITTED, admin=RESTORE, status={"work": BEGUN}), ("Wiping", "")),
        (but(WIPED, admin=RESTORE), ("Wiping", "")),
        (but(COMMITTED, admin={"gates": {"g": ""}}), ("Gated", "g")),
        (but(COMMITTED, admin={"hold": True}, status={"work": BEGUN}), ("Wiping", "")),
        (but(COMMITTED, admin={"hold": True}, daemon=AWAY), ("Held", "")),
        (but(COMMITTED, daemon=AWAY, status={"work": WAITING}), ("DaemonNotReady", "")),
        (but(COMMITTED, node=None), ("NodeLost", "")),
        (but(WIPED, daemon=AWAY), ("Wiping", "")),
        (but(COMMITTED, status={"work": WAITING}), ("WaitsFor", "InUse: sleep (pid 7)")),
        (but(COMMITTED, status={"work": change(WAITING, begun=True)}), ("WaitsFor", "InUse: sleep (pid 7)")),
        (but(COMMITTED, status={"work": RUNNING}, fleet=PAUSED), ("Paused", "")),
        (but(COMMITTED, fleet=TRIPPED), ("BreakerOpen", "11 wipes")),
        (but(COMMITTED, status={"work": BEGUN}, fleet=PAUSED), ("Wiping", "")),
        (but(WIPED, fleet=PAUSED), ("Wiping", "")),
        (but(WIPED, fleet=TRIPPED), ("BreakerOpen", "11 wipes")),
        (but(WIPED, fleet=None), ("FleetMissing", "")),
        (but(COMMITTED, status={"work": BEGUN}, fleet=TRIPPED), ("Wiping", "")),
        (
            but(WIPED, status={"work": change(WIPED.volume.status.work, reason="Odd")}),  # type: ignore[type-var]
            ("Wiping", ""),
        ),
        (
            but(WIPED, disk={"presence": Presence.STUCK, "message": "m"}),
            ("WaitsFor", "it is clean; Stuck (m)"),
        ),
        (
            but(WIPED, disk={"empty": False}),
            (
                "WaitsFor",
                f"it was clean when done; now tenancy {NEXT} with data; the record says {OLD},"
                f" the node's journal {NEXT}",
            ),
        ),
        (but(WIPED, disk={"in_use": "sleep (pid 7)"}), ("InUse", "sleep (pid 7)")),
        (but(COMMITTED, disk={"presence": Presence.STUCK, "message": "m"}), ("Stuck", " (m)")),
        # Pending.
        (but(BLANK, status={"disk": None}), ("NotObserved", "")),
        (but(BLANK, status={"disk": None}, daemon=AWAY), ("DaemonNotReady", "")),
        (but(BLANK, status={"disk": None}, daemon=LEAVING), ("NotObserved", "")),
        (but(BLANK, daemon=AWAY, around={"foreign": "p"}), ("Foreign", ": p")),
        (but(BLANK, admin={"retire": True}), ("Retired", "")),
        (UNMOUNT, ("Retired", "")),
        (
            but(UNMOUNT, status={"work": WAITING}),
            ("Retired", "; not unmounted yet, InUse: sleep (pid 7)"),
        ),
        (but(UNMOUNT, status={"work": change(WAITING, reason="")}), ("Retired", "")),
        (but(UNMOUNT, status={"work": change(WAITING, state=WorkState.DONE)}), ("Retired", "")),
        (
            but(UNMOUNT, status={"work": change(FAILED, message="")}),
            ("Retired", "; not unmounted yet, EIO"),
        ),
        (but(BLANK, admin={"cordon": True}), ("Cordoned", "")),
        (but(BLANK, desired=None), ("Dropped", "")),
        (but(FIRST, status={"work": change(REFUSED, reason="Odd")}), ("NotMadeReady", "Odd: 12 entries")),
        (but(FIRST, status={"work": REFUSED}), ("NotMadeReady", "HasData: 12 entries")),
        (but(FIRST, status={"work": FAILED}), ("WipeFailed", "EIO: at byte 7")),
        (but(FIRST, status={"work": FAILED}, disk=HALF_WAY), ("WipeFailed", "EIO: at byte 7")),
        (
            but(FIRST, status={"work": change(REFUSED, reason="Odd")}, disk=HALF_WAY),
            ("NotMadeReady", "Odd: 12 entries"),
        ),
        (
            but(FIRST, status={"work": REFUSED}, disk=HALF_WAY),
            ("HasData", f"tenancy {NEXT}; the record says none, the node's journal none"),
        ),
        (
            but(FIRST, status={"work": FAILED}, disk=HALF_WAY, spec={"order": order(kind="unmount")}),
            ("HasData", f"tenancy {NEXT}; the record says none, the node's journal none"),
        ),
        (BLANK, ("Preparing", "")),
        (but(BLANK, daemon=AWAY), ("DaemonNotReady", "")),
        (FIRST, ("Preparing", "")),
        (but(FIRST, status={"work": WAITING}), ("Preparing", "; waits for InUse: sleep (pid 7)")),
        (but(FIRST, status={"work": QUEUED}), ("Preparing", "; waits for Queued: at work on a")),
        (but(FIRST, disk={"content": Content.DATA}), ("Preparing", "")),
        (
            but(FIRST, disk={"content": Content.DATA}, status={"work": REFUSED}),
            ("HasData", "content unknown"),
        ),
        (but(FIRST, disk={"content": Content.DATA}, status={"work": work()}), ("HasData", "content unknown")),
        (
            but(
                WIPED,
                spec={"order": order(kind="prepare", ends="", pv_uid="")},
                status={"committed": "", "dirty": False, "tenancy": "", "volume_uid": ""},
                daemon=AWAY,
            ),
            ("Preparing", ""),
        ),
        (
            but(
                WIPED,
                spec={"order": order(kind="prepare", pv_uid="")},
                status={"committed": "", "dirty": False, "withdrawn": OLD, "volume_uid": ""},
            ),
            ("Preparing", ""),
        ),
        (DATA, ("HasData", "xfs (label backup)")),
        (but(DATA, admin=ADOPT, status={"question": question("adopt")}), ("HasData", "xfs (label backup)")),
        (but(DATA, admin=ADOPT, status={"question": question("adopt")}, fleet=PAUSED), ("Paused", "")),
        (
            but(DATA, admin=ADOPT, status={"question": question("adopt")}, fleet=TRIPPED),
            ("BreakerOpen", "11 wipes"),
        ),
        (but(DATA, fleet=PAUSED), ("HasData", "xfs (label backup)")),
        (USED, ("InUse", "pod x")),
        (
            but(USED, disk={"empty": False}),
            ("HasData", f"tenancy {OLD} with data; the record says {OLD}, the node's journal {OLD}"),
        ),
    ],
)
def test_why_it_stands_where_it_stands(world: World, reason: tuple[str, str]) -> None:
    assert said(world) == reason


@pytest.mark.parametrize(
    ("disk", "tenancy", "note"),
    [
        ({"journal_broken": True, "message": "it is damaged", "trash": ("o",)}, OLD, "it is damaged"),
        (
            {"journal_broken": True, "trash": ("o", "p")},
            OLD,
            "a wipe was begun there by order o, p, which this record does not know",
        ),
        (
            {"message": "m", "content": Content.BLANK},
            OLD,
            f"the disk is empty, but the record says tenancy {OLD} was on it",
        ),
        (
            {"content": Content.BLANK, "journal": ""},
            OLD,
            f"the disk is empty, but the record says tenancy {OLD} was on it",
        ),
        (
            {"content": Content.BLANK, "journal": OTHER},
            "",
            f"the disk is empty, but the record says tenancy {OTHER} was on it",
        ),
        ({}, OLD, f"tenancy {OLD}; the record says {OLD}, the node's journal {OLD}"),
        (
            {"tenancy": OTHER, "journal": "", "empty": False},
            "",
            f"tenancy {OTHER} with data; the record says none, the node's journal none",
        ),
        (
            {"claims": ("c", "d")},
            OLD,
            f"tenancy {OLD}; the record says {OLD}, the node's journal {OLD} and that claim c had it",
        ),
        (
            {"claims": ("",)},
            OLD,
            f"tenancy {OLD}; the record says {OLD}, the node's journal {OLD} and that claim unknown had it",
        ),
        ({"content": Content.DATA, "content_note": "xfs"}, OLD, "xfs"),
        ({"content": Content.DATA}, OLD, "content unknown"),
    ],
)
def test_what_makes_the_content_unknown_is_said(disk: dict[str, Any], tenancy: str, note: str) -> None:
    assert show.has_data_note(but(OFFERED, disk=disk, status={"tenancy": tenancy})) == note


# --- the question ---


def asked(world: World, current: Phase | None = None) -> Question | None:
    seen = look(world)
    now = current or phase(seen)
    return show.question(world, seen, now, NOW, show.reason(world, seen, now, NOW)[0])


def fresh(kind: str, about: str, text: str) -> Question:
    return Question(id="q-9", kind=kind, about=about, text=text, at=AT)


NO = {"question": None}
SINCE = {"had_since": "c7"}
RELEASE = "wipe it now, give it back, or leave it to the policy?"
GONE = "wipe it, give it back to a claim, or keep it?"
WITH_ITS_DATA = f", with tenancy:{OLD}::"
ADOPTION = "wipe what is on it, or keep it for one claim?"
RIGHT = "is the disk that is there now the right one?"
APART = "other machines show these facts too: is it a disk of its own, which no other machine can reach?"
FACTS = "serial=S1 model=M size_bytes=1073741824"
DELETED = but(RELEASED, spec={"order": order()}, mine={"deleted": frozenset({"pv-a"})}, pvs=())
"""Our delete was answered, and is not on record yet."""


@pytest.mark.parametrize(
    ("world", "question_"),
    [
        (but(BLANK, status=NO), None),
        (but(OFFERED, status=NO), None),
        (but(BOUND, status=NO), None),
        (but(RELEASED, status=NO), fresh("release", OLD, RELEASE)),
        (but(RELEASED, status=NO, spec={"wipe": KEEP}), fresh("release", f"{OLD}, kept", RELEASE)),
        (but(RELEASED, status=NO, pvs=()), fresh("gone", f"gone:{OLD}{WITH_ITS_DATA}", GONE)),
        (
            but(RELEASED, status=NO, pvs=(), disk=WRONG),
            fresh("gone", f"gone:{OLD}{PLACE}{WITH_ITS_DATA}", GONE),
        ),
        (but(RELEASED, status=NO, disk=WRONG), fresh("release", f"{OLD}{PLACE}", RELEASE)),
        (but(RELEASED, status=NO, disk=WRONG, around=TWIN), fresh("release", f"{OLD}{PLACE}{TOO}", RELEASE)),
        (
            but(RELEASED, status=NO, disk=WRONG, spec={"wipe": KEEP}),
            fresh("release", f"{OLD}{PLACE}, kept", RELEASE),
        ),
        # The journal knows of a claim that had it since.
        (but(RELEASED, status=NO, disk=SINCE), fresh("release", f"{OLD}, had since by c7", RELEASE)),
        (
            but(RELEASED, status=NO, disk=SINCE, spec={"wipe": KEEP}),
            fresh("release", f"{OLD}, had since by c7, kept", RELEASE),
        ),
        (
            but(RELEASED, status=NO, pvs=(), disk=SINCE),
            fresh("gone", f"gone:{OLD}, had since by c7{WITH_ITS_DATA}", GONE),
        ),
        (
            but(DATA, status=NO, disk=SINCE),
            fresh("adopt", f"data::xfs (label backup):, had since by c7 on {FACTS}", ADOPTION),
        ),
        (but(COMMITTED, status=NO), fresh("release", OLD, RELEASE)),
        (but(COMMITTED, status={**NO, "volume_uid": "", "volume_name": ""}), fresh("release", OLD, RELEASE)),
        (but(COMMITTED, status={**NO, "work": FAILED}), fresh("release", OLD, RELEASE)),
        # Our delete commits the wipe: there is no more to ask than before.
        (but(DELETED, status=NO), fresh("release", OLD, RELEASE)),
        (but(DELETED, status=NO, spec={"order": None}), fresh("gone", f"gone:{OLD}{WITH_ITS_DATA}", GONE)),
        (
            but(DELETED, status=NO, spec={"order": order(pv_uid="pv-z")}),
            fresh("gone", f"gone:{OLD}{WITH_ITS_DATA}", GONE),
        ),
        (
            but(DELETED, status=NO, mine={"deleted": frozenset()}),
            fresh("gone", f"gone:{OLD}{WITH_ITS_DATA}", GONE),
        ),
        (but(DELETED, status={**NO, "work": REFUSED}), fresh("gone", f"gone:{OLD}{WITH_ITS_DATA}", GONE)),
        (but(DELETED, status={**NO, "work": change(REFUSED, reason="Odd")}), fresh("release", OLD, RELEASE)),
        (but(DELETED, status={"work": REFUSED}, admin=RESTORE), question()),
        # Another disk in its place, or one that others show.
        (but(BLANK, status=NO, disk=WRONG), fresh("identity", PLACE, RIGHT)),
        (
            but(BLANK, status=NO, disk=WRONG, around=TWIN),
            fresh("identity", f"{PLACE}{TOO}", f"{RIGHT} {APART}"),
        ),
        (but(BOUND, status=NO, disk=WRONG), fresh("identity", PLACE, RIGHT)),
        (
            but(BLANK, status={**NO, "identity": None}, disk={"identity": NEW}, around=TWIN),
            fresh("twin", f" on serial=S2 size_bytes=200{TOO}", APART),
        ),
        # Unknown data.
        (but(DATA, status=NO), fresh("adopt", f"data::xfs (label backup): on {FACTS}", ADOPTION)),
        (
            but(
                BLANK,
                status=NO,
                disk={"trash": ("o", "p"), "identity": None, "content": Content.TENANCY, "tenancy": OLD},
            ),
            fresh("adopt", f"tenancy:{OLD}::o,p on no facts", ADOPTION),
        ),
        (but(USED, status=NO), fresh("adopt", f"tenancy:{OLD}:: on {FACTS}", ADOPTION)),
        (but(DATA, status=NO, admin={"cordon": True}), None),
    ],
)
def test_a_question_stands_whenever_a_person_may_decide(world: World, question_: Question | None) -> None:
    assert asked(world) == question_


GONE_WITH_MORE = but(
    RELEASED,
    pvs=(),
    status={"question": question("gone", f"gone:{OLD}{WITH_ITS_DATA}")},
    disk={"content_note": "entries of others (1), first: 'x'"},
)
KEEP_IT = {"adopt": Adopt(question="q-1", action="Keep", claim=Ref(namespace="db", name="d"))}


def test_what_comes_to_lie_beside_the_data_is_asked_about_anew_by_whoever_does_not_give_it_back() -> None:
    more = f"gone:{OLD}, with tenancy:{OLD}:entries of others (1), first: 'x':"
    assert asked(GONE_WITH_MORE) == fresh("gone", more, GONE)
    assert asked(but(GONE_WITH_MORE, admin=ADOPT)) == fresh("gone", more, GONE)
    stands = GONE_WITH_MORE.volume.status.question
    assert asked(but(GONE_WITH_MORE, admin=RESTORE)) == stands
    assert asked(but(GONE_WITH_MORE, admin=KEEP_IT)) == stands
    of_another = but(GONE_WITH_MORE, status={"question": question("gone", f"gone:{OTHER}{WITH_ITS_DATA}")})
    assert asked(but(of_another, admin=KEEP_IT)) == fresh("gone", more, GONE)


def test_a_disk_that_is_not_to_be_seen_is_asked_about_as_it_was() -> None:
    stands = GONE_WITH_MORE.volume.status.question
    assert asked(but(GONE_WITH_MORE, disk={"presence": Presence.NOT_PRESENT})) == stands
    assert asked(but(GONE_WITH_MORE, status={"disk": None})) == stands
    unseen = but(GONE_WITH_MORE, status={"disk": None, "question": None})
    assert asked(unseen) == fresh("gone", f"gone:{OLD}, with ", GONE)


def test_what_a_person_may_forget_is_not_asked_anew_as_gone() -> None:
    forgotten = but(
        RELEASED, pvs=(), disk={"presence": Presence.NOT_PRESENT}, admin={"forget": Answer(question="q-1")}
    )
    assert asked(forgotten) == question()
    assert asked(but(forgotten, admin={"forget": None})) == fresh("gone", f"gone:{OLD}{WITH_ITS_DATA}", GONE)


ABOUT_DATA = f"data::xfs (label backup): on {FACTS}"
ON_IT = {"committed_on": "q-1"}
HELD_DATA = but(DATA, admin=ADOPT, status={"question": question("adopt", ABOUT_DATA)}, fleet=PAUSED)


def test_a_word_on_unknown_data_that_waits_is_not_asked_again() -> None:
    assert asked(HELD_DATA) == question("adopt", ABOUT_DATA)
    assert asked(but(HELD_DATA, admin={"adopt": None})) == question("adopt", ABOUT_DATA)
    assert asked(but(HELD_DATA, fleet=BLANK.fleet, status={"disk": None})) is None


@pytest.mark.parametrize(
    ("world", "same"),
    [
        (RELEASED, True),
        (but(RELEASED, status={"question": question("gone")}), False),
        (but(RELEASED, status={"question": question(about=OTHER)}), False),
        (but(RELEASED, spec={"wipe": KEEP}), False),
        (but(RELEASED, spec={"wipe": KEEP}, status={"question": question(about=f"{OLD}, kept")}), True),
        (but(RELEASED, status={"question": question(about=f"{OLD}, kept")}), False),
        (but(RELEASED, admin=RESTORE, status={"question": question(about=f"{OLD}, kept")}), True),
        (but(RELEASED, admin=RESTORE, spec={"wipe": KEEP}), True),
        (but(RELEASED, admin=RESTORE, disk=WRONG), False),
        (but(COMMITTED, status={"question": question(about=f"{OLD}, kept")}), True),
        (but(COMMITTED, status={"question": question(about=f"{OTHER}, kept")}), False),
    ],
)
def test_a_question_stays_while_it_is_about_the_same(world: World, same: bool) -> None:
    found = asked(world)
    assert found is not None
    assert (found == world.volume.status.question) is same
    assert same or found.id == "q-9"


STANDS = {"order": order(kind="prepare", ends="", pv_uid="", answer="q-1")}


@pytest.mark.parametrize(
    ("world", "current", "stays"),
    [
        (but(BLANK, spec=STANDS, status={"question": question("adopt", "data")}), None, True),
        (but(BLANK, spec=STANDS, status={"question": question("adopt", "data")}), Phase.AVAILABLE, False),
        (
            but(BLANK, spec=STANDS, status={"question": question("adopt", "data"), "work": REFUSED}),
            None,
            False,
        ),
        (
            but(
                BLANK,
                spec=STANDS,
                status={"question": question("adopt", "data"), "work": work(WorkState.REFUSED, "Breaker")},
            ),
            None,
            True,
        ),
        (but(BLANK, status={"question": question("adopt", "data")}), None, False),
        (but(BLANK, spec={"order": order()}, status={"question": question("adopt", "data")}), None, False),
        (but(BLANK, spec=STANDS, status={"question": question("adopt", "data")}, disk=WRONG), None, False),
        (
            but(BLANK, spec=STANDS, status={"question": question("adopt", f"data{PLACE}")}, disk=WRONG),
            None,
            True,
        ),
        (
            but(COMMITTED, spec={"order": order(answer="q-1")}, status={"question": question("gone", "x")}),
            None,
            True,
        ),
        (
            but(
                COMMITTED,
                spec={"order": order(answer="q-1")},
                status={"question": question("gone", "x"), "work": FAILED},
            ),
            None,
            True,
        ),
        (
            but(RELEASED, spec={"order": order(answer="q-1")}, status={"question": question("gone", "x")}),
            None,
            False,
        ),
        # Owed without its order, which a hand has taken away; and done, with nothing owed any more.
        (
            but(COMMITTED, spec={"order": None}, status={"question": question("gone", "x"), **ON_IT}),
            None,
            True,
        ),
        (
            but(COMMITTED, spec={"order": None}, status={"question": question("gone", "x")}),
            None,
            False,
        ),
        (
            but(WIPED, spec=STANDS, status={"question": question("adopt", "data"), "committed": ""}),
            Phase.PENDING,
            False,
        ),
        (
            but(WIPED, spec=STANDS, status={"question": question("adopt", "data")}),
            Phase.WIPING,
            True,
        ),
    ],
)
def test_the_question_whose_answer_an_order_stands_on_stays(
    world: World, current: Phase | None, stays: bool
) -> None:
    assert (asked(world, current) == world.volume.status.question) is stays
