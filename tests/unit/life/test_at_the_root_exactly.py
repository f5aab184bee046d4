"""Of data at a mount's root, to the letter: whose it is, what is asked about it, and on what word it goes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.life.cluster import SOURCE
from tests.unit.life.plans import COUNTED, ORDERED, rows, step
from tests.unit.life.test_release_exactly import said
from tests.unit.life.worlds import (
    BLANK,
    BOUND,
    CLAIM,
    NOW,
    OLD,
    OTHER,
    RELEASED,
    but,
    change,
    order,
    question,
    with_pv,
    work,
)
from tidb_volume.life import actions, answers, give, mounts, orders, release, released, show
from tidb_volume.life.actions import Plan
from tidb_volume.life.look import look
from tidb_volume.life.world import World
from tidb_volume.upstream import LocalSource
from tidb_volume.value import Adopt, Answer, Content, Phase, Presence, Restore, Source, WorkState

THERE = LocalSource(path=SOURCE.path)
NOTE = "entries of others (2), first: 'db'"
DISK = {
    "content": Content.DATA,
    "content_note": NOTE,
    "tenancy": "",
    "empty": False,
    "at_root": True,
    "in_use": "",
}
LIES = f"data:{OLD}:{NOTE}:"
ABOUT = f"{OLD}, kept, with {LIES}"
HAS = but(with_pv(BOUND, spec={"local": THERE}), disk=DISK)
"""A claim has all of the disk."""
LEFT = but(with_pv(RELEASED, spec={"local": THERE}), disk=DISK, status={"question": question(about=ABOUT)})
"""The same, released; the policy is Delete."""
WIPE_NOW = {"wipe_now": Answer(question="q-1")}
ADOPT = {"adopt": Adopt(question="q-1", action="Wipe")}
KEEP = {"adopt": Adopt(question="q-1", action="Keep", claim=change(CLAIM, uid=""))}
RESTORE = {"restore": Restore(question="q-1")}


# --- what is seen ---


@pytest.mark.parametrize(
    ("world", "at_root"),
    [
        (HAS, True),
        (LEFT, True),
        (BOUND, False),
        (BLANK, False),
        (with_pv(HAS, spec={"local": LocalSource(path="/data/disk0/.tidb-volume/x")}), False),
        (but(HAS, spec={"source": Source(device="/dev/x")}), False),
        (but(with_pv(HAS, spec={"local": LocalSource()}), spec={"source": Source(device="/dev/x")}), False),
    ],
)
def test_its_volume_leads_to_the_mount_itself(world: World, *, at_root: bool) -> None:
    assert look(world).at_root is at_root


@pytest.mark.parametrize(
    ("world", "missing"),
    [
        (HAS, False),
        (but(HAS, disk={"content": Content.BLANK, "content_note": ""}), False),
        (but(HAS, disk={"journal": "", "at_root": False}), False),
        (but(HAS, disk={"trash": ("order-0",)}), True),
        (but(HAS, disk={"trash": ("order-0",), "presence": Presence.STUCK}), False),
        (but(LEFT, disk={"trash": ("order-0",)}), False),
    ],
)
def test_nothing_of_it_is_missing_but_what_a_wipe_has_put_aside(world: World, *, missing: bool) -> None:
    assert mounts.is_missing(world, look(world)) is missing


def test_nothing_is_put_back_where_nothing_was_put_aside() -> None:
    assert give.put_back(NOW, HAS, look(HAS)) is None


# --- when it may go ---


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_it_is_kept_whatever_the_policy_says_until_somebody_says_wipe_now(policy: str) -> None:
    world = with_pv(LEFT, spec={"persistent_volume_reclaim_policy": policy})
    assert release.is_kept(world, look(world))
    for admin, held in (({}, said("AtTheRoot")), (ADOPT, said("AtTheRoot")), (WIPE_NOW, None)):
        answered = but(world, admin=admin)
        assert release.decision(answered, look(answered)) == held


def test_who_says_adopt_is_told_to_say_wipe_now() -> None:
    adopted = but(LEFT, admin=ADOPT)
    assert answers.not_taken(adopted, look(adopted)) == (
        "not wiped: it is known whose data this is, and it is kept; to wipe it all the same, say wipe-now"
    )


# --- what is asked ---


def asked(world: World, phase: Phase = Phase.RELEASED) -> str:
    seen = look(world)
    found = show.question(world, seen, phase, NOW, show.reason(world, seen, phase, NOW)[0])
    assert found is not None
    return "stands" if found == world.volume.status.question else found.about


@pytest.mark.parametrize(
    ("world", "about"),
    [
        (LEFT, "stands"),
        (but(LEFT, status={"question": None}), ABOUT),
        (
            but(LEFT, status={"question": None}, disk={"at_root": False}),
            ABOUT.replace(f"data:{OLD}", "data:"),
        ),
        (but(LEFT, status={"question": None, "disk": None}), f"{OLD}, kept"),
        (but(LEFT, disk={"content_note": "more"}), ABOUT.replace(NOTE, "more")),
        # Of a disk that is not to be seen nothing is known that would make it another question.
        (but(LEFT, disk={"presence": Presence.STUCK, "content_note": ""}), "stands"),
        (but(LEFT, status={"disk": None}), "stands"),
        (
            but(LEFT, status={"disk": None, "question": question(about=f"{OTHER}, kept, with x")}),
            f"{OLD}, kept",
        ),
        # Who wants to have it back is not asked once more for what lies there.
        (but(LEFT, admin=RESTORE, disk={"content_note": "more"}), "stands"),
        (
            but(LEFT, admin=RESTORE, status={"question": question(about=f"{OTHER}, kept, with x")}),
            ABOUT,
        ),
        # What was said while it was in its folder decides nothing about a root.
        (but(LEFT, status={"question": question()}), ABOUT),
    ],
)
def test_the_question_is_about_what_lies_there(world: World, about: str) -> None:
    assert asked(world) == about


UNKNOWN = but(
    BLANK,
    disk={**DISK, "journal": OTHER},
    status={"question": question("adopt", f"data::{NOTE}: on {answers.facts(BLANK.volume.status.identity)}")},
)
"""A person was asked about it before the journal had it."""


@pytest.mark.parametrize(
    ("world", "stands"),
    [
        (but(UNKNOWN, admin=KEEP), True),
        (but(UNKNOWN, admin=KEEP, disk={"content_note": "entries of others (3), first: 'db'"}), False),
        (UNKNOWN, False),
        (but(UNKNOWN, admin=ADOPT), False),
        (but(UNKNOWN, admin=ADOPT, disk={"at_root": False}), True),
    ],
)
def test_to_keep_it_is_the_same_once_it_is_journalled_and_to_wipe_it_is_not(
    world: World, *, stands: bool
) -> None:
    """Else an etcd that is set back to an answer of before would have it wiped under its claim."""
    now = asked(world, Phase.PENDING)
    assert (now == "stands") is stands
    assert stands or now.startswith(f"data:{OTHER}:entries of others")


@pytest.mark.parametrize(
    ("claims", "had"),
    [((), ""), (("claim-1",), ", which claim claim-1 had"), (("",), ", which claim unknown had")],
)
def test_it_is_said_whose_it_is_by_the_journal(claims: tuple[str, ...], had: str) -> None:
    world = but(UNKNOWN, disk={"claims": claims})
    assert show.has_data_note(world) == f"{NOTE}; the node's journal has that as tenancy {OTHER}{had}"


# --- whose it is ---


@pytest.mark.parametrize(
    ("world", "tenancy"),
    [
        (but(UNKNOWN, admin=KEEP), OTHER),
        (but(UNKNOWN, admin=KEEP, disk={"at_root": False}), ""),
        (but(UNKNOWN, admin=KEEP, disk={"content": Content.BLANK, "content_note": ""}), ""),
        (but(UNKNOWN, admin=KEEP, status={"disk": None}), ""),
        (but(LEFT, pvs=(), admin=RESTORE), OLD),
    ],
)
def test_what_is_given_is_the_tenancy_that_the_journal_has(world: World, tenancy: str) -> None:
    assert answers.given_tenancy(world) == tenancy


KNOWN_AS = f"not given to db/data-0: what is at the mount's root ({NOTE}) is not known as tenancy {OLD}"
NOTHING = "not given to db/data-0: nothing that could be is on the disk"
BACK = but(LEFT, pvs=(), admin=RESTORE)
"""Deleted by hand, and asked back."""


@pytest.mark.parametrize(
    ("world", "may_be", "why"),
    [
        (but(UNKNOWN, admin=KEEP), True, ""),
        (but(UNKNOWN, admin=KEEP, disk={"at_root": False}), True, ""),
        (BACK, True, ""),
        (but(BACK, disk={"at_root": False}), False, f"{KNOWN_AS}; adopt with Keep gives what is there"),
        (but(BACK, disk={"journal": OTHER}), False, f"{KNOWN_AS}; adopt with Keep gives what is there"),
        (
            but(BACK, spec={"source": Source(device="/dev/x")}),
            False,
            f"{NOTHING} ({NOTE}); {answers.NOT_FOR_DEVICES}",
        ),
        (
            but(BACK, disk={"content_note": "xfs"}),
            False,
            f"{NOTHING} (xfs)",
        ),
        (but(BACK, status={"disk": None}), False, ""),
    ],
)
def test_it_is_given_back_as_what_the_journal_has_it_and_to_whom_a_person_keeps_it_for(
    world: World, why: str, *, may_be: bool
) -> None:
    assert answers.may_be_given_at_the_root(world) is may_be
    assert answers.not_taken(world, look(world)) == why


# --- what is ordered ---


def of(world: World, **fields: Any) -> World:
    """That world, of a disk whose root a claim had."""
    about = {"question": question(about=ABOUT), **fields.pop("status", {})}
    return but(with_pv(world, spec={"local": THERE}), disk=DISK, status=about, **fields)


ON_IT = {"order": order(answer="q-1", whole_disk=True, over=LIES)}


@rows(
    (of(COUNTED), ""),
    (of(COUNTED, admin=WIPE_NOW), "reclaim a>d 0: released, and nothing stands against the wipe"),
    (of(ORDERED), "no order: not now: AtTheRoot"),
    # An order that the policy asked for stands, where it is in a folder.
    (but(ORDERED, admin=WIPE_NOW), "delete a: the wipe is ordered"),
    (of(ORDERED, admin=WIPE_NOW, spec=ON_IT), "delete a: the wipe is ordered"),
    (
        of(ORDERED, admin=WIPE_NOW, spec={"order": order(answer="q-0", whole_disk=True)}),
        "reclaim a>d 0: released, and nothing stands against the wipe",
    ),
)
def test_a_released_root(world: World, planned: str) -> None:
    assert step(world) == planned


def test_the_order_is_for_all_of_it_and_names_it() -> None:
    world = of(COUNTED, admin=WIPE_NOW)
    action = _released(world)
    assert action.order is not None
    assert (action.order.whole_disk, action.order.answer, action.order.over) == (True, "q-1", LIES)
    of_a_folder = _released(but(COUNTED, admin=WIPE_NOW))
    assert of_a_folder.order is not None
    assert (of_a_folder.order.whole_disk, of_a_folder.order.over) == (False, "")


def _released(world: World) -> actions.WriteOrder:
    action = released.step(NOW, world, look(world)).action
    assert isinstance(action, actions.WriteOrder)
    return action


@pytest.mark.parametrize(
    ("again_of", "answer", "whole"),
    [
        (order(whole_disk=True, answer="q-1", over=LIES), "q-1", True),
        (order(whole_disk=True, answer="q-1", over=LIES), "", False),
        (order(answer="q-1"), "q-1", False),
    ],
)
def test_what_goes_on_with_a_wipe_of_all_of_it_is_one(again_of: Any, answer: str, *, whole: bool) -> None:
    world = but(LEFT, pvs=(), spec={"order": again_of})
    plan = orders.write(
        world, look(world), kind="reclaim", ends=OLD, why="", answer=answer, again_of=again_of
    )
    assert isinstance(plan.action, actions.WriteOrder)
    assert plan.action.order is not None
    assert (plan.action.order.whole_disk, plan.action.order.over) == (whole, LIES if whole else "")


def test_it_is_asked_for_again_only_after_a_pause_where_the_journal_does_not_have_it() -> None:
    told = but(
        UNKNOWN,
        admin=KEEP,
        spec={"order": order(ends="", pv_uid="", withdrawn=True)},
        status={"work": work(WorkState.REFUSED, "Withdrawn")},
        mine={"orders": frozenset({"order-1"})},
    )
    assert isinstance(give.take_back(NOW, told, look(told)).action, actions.CreatePv)
    unwitnessed = but(told, disk={"at_root": False})
    plan = give.take_back(NOW, unwitnessed, look(unwitnessed))
    assert isinstance(plan.action, actions.WriteOrder)


def test_the_daemon_is_not_asked_about_what_cannot_be_given() -> None:
    world = but(UNKNOWN, admin=KEEP, disk={"content_note": "xfs (label backup)"})
    assert give.asked_first(NOW, world, look(world)) == Plan()
