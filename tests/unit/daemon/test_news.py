"""What of a volume that is another than before matters to its daemon."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from disk_daemon import news
from tests.unit.daemon.cases import DISK, NEXT, OLD, OTHER, order, volume
from tidb_volume.value import (
    Admin,
    DiskReport,
    Identity,
    Owner,
    Phase,
    Presence,
    Question,
    Ref,
    Source,
    Volume,
    WipePolicy,
    Work,
    WorkState,
)

change = msgspec.structs.replace
ASKED = Question(id="q-1", kind="release", about=OLD, text="?")
BEFORE = volume(order())
RUNNING = Work(order_id="order-1", state=WorkState.RUNNING)


def spec(**fields: Any) -> Volume:
    return change(BEFORE, spec=change(BEFORE.spec, **fields))


def status(**fields: Any) -> Volume:
    return change(BEFORE, status=change(BEFORE.status, **fields))


def bound(claim: str = "claim-1") -> Volume:
    return status(phase=Phase.BOUND, owner=Owner(claim=Ref(uid=claim)))


def released(claim: str = "claim-1") -> Volume:
    return status(phase=Phase.RELEASED, owner=Owner(claim=Ref(uid=claim)))


@pytest.mark.parametrize(
    ("after", "bears"),
    [
        (BEFORE, False),
        (spec(order=order(next=OTHER)), True),
        (spec(order=None), True),
        (spec(admin=Admin(hold=True)), True),
        (spec(wipe=WipePolicy(gates=("g",))), True),
        (status(committed=""), True),
        (status(question=ASKED), True),
        (status(disk=DiskReport(presence=Presence.OK, tenancy=NEXT)), False),
        (status(work=RUNNING), False),
        (status(message="other words"), False),
    ],
)
def test_what_people_and_the_controller_write_may_end_a_wait_and_what_we_write_never(
    after: Volume, bears: bool
) -> None:
    assert (news.bears_on_order(BEFORE) != news.bears_on_order(after)) is bears


def test_another_question_may_end_a_wait_and_one_that_is_worded_anew_does_not() -> None:
    def asks(question: Question | None) -> tuple[object, ...]:
        return news.bears_on_order(status(question=question))

    assert asks(ASKED) != asks(change(ASKED, id="q-2"))
    assert asks(ASKED) == asks(change(ASKED, text="??"))


@pytest.mark.parametrize(
    ("before", "now", "asks"),
    [
        (BEFORE, BEFORE, False),
        (BEFORE, status(message="other words"), False),
        # How it is looked at.
        (BEFORE, spec(source=Source(path="/data/b")), True),
        (BEFORE, spec(volume_mode="Block"), True),
        (BEFORE, spec(fs_type="xfs"), True),
        (BEFORE, spec(mount_options=("noatime",)), True),
        (BEFORE, status(identity=DISK), True),
        (status(identity=DISK), status(identity=Identity(serial="another")), True),
        # Who comes is journalled; who goes leaves nothing new to see.
        (BEFORE, bound(), True),
        (BEFORE, status(phase=Phase.BOUND), True),
        (bound(), bound("claim-2"), True),
        (bound(), bound(), False),
        (bound(), released(), False),
        (bound(), BEFORE, False),
        (BEFORE, released(), True),
        (released(), BEFORE, False),
    ],
)
def test_what_has_a_disk_looked_at(before: Volume, now: Volume, asks: bool) -> None:
    assert news.asks_for_look(before, now) is asks


@pytest.mark.parametrize(
    ("before", "now", "gone"),
    [
        (bound(), released(), True),
        (bound(), bound("claim-2"), False),
        (BEFORE, released(), False),
        (BEFORE, bound(), False),
        (BEFORE, BEFORE, False),
    ],
)
def test_a_disk_is_let_go_once_it_is_bound_no_more(before: Volume, now: Volume, gone: bool) -> None:
    assert news.is_let_go(before, now) is gone


@pytest.mark.parametrize(
    ("reason", "disk", "waits"),
    [
        ("NotObserved", DiskReport(presence=Presence.OK), True),
        ("NotObserved", DiskReport(presence=Presence.NOT_MOUNTED), False),
        ("NotObserved", None, False),
        ("OnOffer", DiskReport(presence=Presence.OK), False),
    ],
)
def test_a_volume_waits_for_a_survey_where_its_disk_was_reported_and_is_not_observed(
    reason: str, disk: DiskReport | None, waits: bool
) -> None:
    assert news.waits_for_survey(status(reason=reason, disk=disk)) is waits
