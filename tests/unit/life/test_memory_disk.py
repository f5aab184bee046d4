"""Which disk is on record, and what of the record is about that one alone."""

from __future__ import annotations

import pytest

from tests.unit.life.remembers import NEW, remembered
from tests.unit.life.worlds import (
    BLANK,
    HARDWARE,
    OFFERED,
    OLD,
    OTHER,
    but,
    change,
    order,
    pv,
    question,
)
from tidb_volume.life.world import World
from tidb_volume.value import Answer, Content, Identity, Presence, Source

# --- which disk it is ---

UUID = change(HARDWARE, fs_uuid="u1")
ACCEPTED = but(
    BLANK,
    admin={"accept_identity": Answer(question="q-1")},
    status={
        "question": question(
            "identity", " in its place: serial=S2 size_bytes=200 fs_uuid=u2, shown by other machines too"
        ),
        "tenancy": OLD,
        "withdrawn": OLD,
        "volume_uid": "pv-a",
        "volume_name": "v",
    },
    disk={"identity": NEW, "presence": Presence.WRONG_DISK},
)
"""Another disk in its place, and a person says that it is the right one."""
DEVICE = but(OFFERED, spec={"source": Source(device="/dev/x")}, disk={"identity": UUID})


@pytest.mark.parametrize(
    ("world", "identity"),
    [
        (but(BLANK, status={"identity": None}), HARDWARE),
        (but(BLANK, status={"identity": None}, around={"twin": "t"}), None),
        (but(BLANK, status={"identity": None}, disk={"presence": Presence.CONFLICT}), None),
        (but(BLANK, status={"identity": None, "disk": None}), None),
        (but(BLANK, status={"identity": None}, disk={"identity": None}), None),
        (but(BLANK, disk={"identity": NEW}), HARDWARE),
        (but(BLANK, disk={"identity": None}), HARDWARE),
        (ACCEPTED, NEW),
        (but(ACCEPTED, admin={"accept_identity": None}), HARDWARE),
        # The file system that we made is recorded, for the day on which the journal is lost.
        (DEVICE, UUID),
        (but(DEVICE, disk={"identity": NEW}), change(HARDWARE, fs_uuid="u2")),
        (but(DEVICE, status={"identity": UUID}, disk={"identity": HARDWARE}), UUID),
        (but(DEVICE, spec={"source": Source(path="/data/disk0")}), HARDWARE),
        (but(DEVICE, disk={"presence": Presence.WRONG_DISK}), HARDWARE),
        (but(DEVICE, disk={"content": Content.DATA}), HARDWARE),
        (but(DEVICE, disk={"content": Content.BLANK, "tenancy": "", "journal": ""}), UUID),
        (but(DEVICE, disk={"journal": OTHER}), HARDWARE),
        (but(DEVICE, disk={"identity": None}), HARDWARE),
        (but(DEVICE, disk={"journal_broken": True}), HARDWARE),
        (but(DEVICE, status={"identity": None}, around={"twin": "t"}), None),
    ],
)
def test_which_disk_is_on_record(world: World, identity: Identity | None) -> None:
    assert remembered(world).identity == identity


@pytest.mark.parametrize(
    ("world", "anew"),
    [
        (ACCEPTED, True),
        (but(ACCEPTED, status={"dirty": True}), False),
        (but(ACCEPTED, status={"committed": "order-0"}), False),
        (but(ACCEPTED, pvs=(pv(),)), False),
        (but(ACCEPTED, status={"identity": None, "volume_uid": ""}), False),
        (but(ACCEPTED, admin={"accept_identity": None}, status={"volume_uid": ""}), False),
    ],
)
def test_another_disk_that_was_accepted_begins_anew_where_nobodys_data_was_on_the_one_before(
    world: World, anew: bool
) -> None:
    after = remembered(but(world, mine={"deleted": frozenset({"pv-a"})} if anew else {}))
    assert (after.tenancy == "") is anew
    if anew:
        assert (after.withdrawn, after.volume_uid, after.volume_name) == ("", "", "")


@pytest.mark.parametrize(
    ("world", "committed"),
    [
        (but(ACCEPTED, status={"committed": "order-1"}, spec={"order": order(answer="q-0")}), ""),
        (but(ACCEPTED, status={"committed": "order-1", "committed_on": "q-0"}, spec={"order": None}), ""),
        # The policy's wipe is of the tenancy alone, and the disk must show it.
        (but(ACCEPTED, status={"committed": "order-1"}, spec={"order": order()}), "order-1"),
        (
            but(
                ACCEPTED,
                status={"committed": "order-1"},
                spec={"order": order(answer="q-0")},
                admin={"accept_identity": None},
            ),
            "order-1",
        ),
        (
            but(
                ACCEPTED,
                status={"committed": "order-1", "identity": None},
                spec={"order": order(answer="q-0")},
            ),
            "order-1",
        ),
    ],
)
def test_what_a_person_said_of_one_disk_is_not_said_of_the_one_that_was_accepted_since(
    world: World, committed: str
) -> None:
    """Found by the model: that one was wiped, with all that a stranger had on it."""
    assert remembered(but(world, status={"dirty": True})).committed == committed
