"""Whether a claimed disk is to be mounted, or a retired one to be put away, and what is said of it."""

from __future__ import annotations

import pytest

from tests.unit.life.worlds import (
    BLANK,
    BOUND,
    HARDWARE,
    NEXT,
    OFFERED,
    OLD,
    OTHER,
    but,
    change,
    order,
    pv,
    work,
)
from tidb_volume.life import mounts
from tidb_volume.life.look import look
from tidb_volume.life.world import World
from tidb_volume.value import Content, Order, Presence, Source, WorkState

UUID = change(HARDWARE, fs_uuid="u1")
OTHER_UUID = change(HARDWARE, fs_uuid="u2")
DEVICE = Source(device="/dev/disk/by-id/x")
LOST = but(
    BOUND,
    spec={"source": DEVICE, "fs_type": "xfs"},
    status={"identity": UUID},
    disk={
        "content": Content.DATA,
        "content_note": "xfs (u1)",
        "tenancy": "",
        "journal": "",
        "in_use": "",
        "identity": UUID,
    },
)
"""A claim has it, and the node's journal knows nothing of it."""


@pytest.mark.parametrize(
    ("world", "missing"),
    [
        (LOST, True),
        (BOUND, False),
        (but(LOST, disk={"tenancy": OTHER}), True),
        (but(LOST, disk={"tenancy": OLD}), False),
        (but(LOST, disk={"presence": Presence.NOT_PRESENT}), False),
        (but(LOST, status={"disk": None}), False),
        (but(LOST, status={"tenancy": ""}, disk={"tenancy": OTHER}), False),
        (but(LOST, pvs=()), False),
    ],
)
def test_a_claimed_tenancy_is_missing_where_the_disk_is_there_and_does_not_show_it(
    world: World, missing: bool
) -> None:
    assert mounts.is_missing(world, look(world)) is missing


@pytest.mark.parametrize(
    ("world", "wanted"),
    [
        (LOST, True),
        (BOUND, False),
        (but(LOST, pvs=()), False),
        (but(LOST, spec={"source": Source(path="/data/disk0")}), False),
        (but(LOST, spec={"volume_mode": "Block"}), False),
        (but(LOST, disk={"content": Content.BLANK}), False),
        (but(LOST, disk={"content": Content.UNKNOWN}), False),
        (but(LOST, disk={"journal": OTHER}), False),
        (but(LOST, disk={"journal_broken": True}), False),
        (but(LOST, disk={"trash": ("order-0",)}), False),
        (but(LOST, disk={"identity": OTHER_UUID}), False),
        (but(LOST, status={"identity": None}), False),
    ],
)
def test_it_is_mounted_where_no_journal_contradicts_and_the_file_system_is_that_on_record(
    world: World, wanted: bool
) -> None:
    assert mounts.is_wanted(world, look(world)) is wanted


PUT_AWAY = but(
    OFFERED,
    spec={"source": DEVICE, "fs_type": "xfs"},
    status={"identity": UUID, "volume_uid": "", "withdrawn": OLD},
    disk={"identity": UUID},
    pvs=(),
)


@pytest.mark.parametrize(
    ("world", "may_be"),
    [
        (PUT_AWAY, True),
        (
            but(
                PUT_AWAY,
                status={"tenancy": ""},
                disk={"content": Content.BLANK, "journal": "", "tenancy": ""},
            ),
            True,
        ),
        (but(PUT_AWAY, pvs=(pv(),)), False),
        (but(PUT_AWAY, disk={"empty": False}), False),
        (but(PUT_AWAY, status={"disk": None}), False),
        (but(PUT_AWAY, spec={"source": Source(path="/data/disk0")}), False),
        (but(PUT_AWAY, spec={"volume_mode": "Block"}), False),
        (but(PUT_AWAY, disk={"identity": OTHER_UUID}), False),
        (
            but(
                PUT_AWAY,
                spec={"order": order(kind="unmount", ends="", next=NEXT)},
                status={"work": work()},
                disk={"content": Content.DATA, "tenancy": ""},
            ),
            False,
        ),
    ],
)
def test_a_disk_may_be_put_away_that_nobody_has_and_whose_file_system_we_made(
    world: World, may_be: bool
) -> None:
    assert mounts.may_be_put_away(world, look(world)) is may_be


MOUNT = order(kind="mount", ends="", next=OLD, pv_uid="")
ORDERED = but(LOST, spec={"order": MOUNT})
RUNNING = work(WorkState.RUNNING, "Paused", message="by a person")


@pytest.mark.parametrize(
    ("world", "stands"),
    [
        (LOST, None),
        (ORDERED, MOUNT),
        (but(LOST, spec={"order": change(MOUNT, kind="prepare")}), None),
        (but(LOST, spec={"order": change(MOUNT, next=NEXT)}), None),
    ],
)
def test_the_order_to_mount_is_the_one_for_the_tenancy_on_record(world: World, stands: Order | None) -> None:
    assert mounts.order(world) == stands


@pytest.mark.parametrize(
    ("world", "answered"),
    [
        (LOST, False),
        (ORDERED, False),
        (but(LOST, status={"work": work()}), False),
        (but(ORDERED, status={"work": work()}), True),
        (but(ORDERED, status={"work": work(WorkState.REFUSED)}), True),
        (but(ORDERED, status={"work": work(WorkState.FAILED)}), True),
        (but(ORDERED, status={"work": RUNNING}), False),
        (but(ORDERED, status={"work": work(order_id="order-0")}), False),
    ],
)
def test_running_is_no_answer_and_another_orders_answer_is_none_to_this_one(
    world: World, answered: bool
) -> None:
    assert mounts.answered(world) == (world.volume.status.work if answered else None)


SAID = (
    f"tenancy {OLD} is not to be seen on it, there is {{}}; nothing is wiped; "
    "if it is not to come back, delete the claim: the pod gets another disk"
)


@pytest.mark.parametrize(
    ("world", "said"),
    [
        (LOST, SAID.format("xfs (u1)")),
        (
            but(LOST, disk={"journal_broken": True, "message": "the journal j is damaged"}),
            SAID.format(
                "xfs (u1); the journal j is damaged; look at it, then move it away on node-1: where none is,"
                " the tenancy is found on the disk itself, and mounted by an order"
            ),
        ),
        (
            but(
                LOST,
                spec={"volume_mode": "Block"},
                disk={"journal_broken": True, "message": "the journal j is damaged"},
            ),
            SAID.format("xfs (u1); the journal j is damaged; look at it, then move it away on node-1")
            + f"; nothing on a raw device says whose it is: if it is right, make its"
            f" node /dev/tidb-volume/{OLD} by hand",
        ),
        (but(LOST, disk={"journal_broken": True}), SAID.format("xfs (u1)")),
        (but(LOST, disk={"message": "m"}), SAID.format("xfs (u1)")),
        (but(LOST, disk={"content_note": ""}), SAID.format("nothing that we made")),
        (but(LOST, disk={"content_note": "", "tenancy": OTHER}), SAID.format(f"tenancy {OTHER}")),
        (ORDERED, SAID.format("xfs (u1)")),
        (
            but(ORDERED, status={"work": RUNNING}),
            f"{SAID.format('xfs (u1)')}; to mount it: Paused: by a person",
        ),
        (but(ORDERED, status={"work": work()}), SAID.format("xfs (u1)")),
        (but(LOST, status={"work": RUNNING}), SAID.format("xfs (u1)")),
        (
            but(LOST, spec={"volume_mode": "Block"}),
            f"{SAID.format('xfs (u1)')}; nothing on a raw device says whose it is: if it is right, make its"
            f" node /dev/tidb-volume/{OLD} by hand",
        ),
    ],
)
def test_what_is_said_of_a_tenancy_that_is_missing(world: World, said: str) -> None:
    assert mounts.said(world) == said


def test_a_disk_that_nobody_claimed_is_not_taken_up() -> None:
    assert not mounts.is_missing(BLANK, look(BLANK))
