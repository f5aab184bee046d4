"""When a missing annotation is put back, to the second."""

from __future__ import annotations

import pytest

from tests.unit.life.worlds import BLANK, BOUND, NOW, OFFERED, RELEASED, but, with_pv
from tidb_volume import names
from tidb_volume.life import annotation
from tidb_volume.life.actions import AnnotatePv, Plan
from tidb_volume.life.look import look
from tidb_volume.life.world import Annotated, World
from tidb_volume.units import Instant

ENDING = {"deletion_timestamp": "2027-01-01T00:00:00Z"}


def of(world: World) -> Plan:
    return annotation.put_back(NOW, world, look(world))


def put_back(times: int) -> Plan:
    name = OFFERED.volume.status.volume_name
    return Plan(action=AnnotatePv(name=name, uid="pv-a", resource_version="7", times=times))


def before(times: int, seconds: float, uid: str = "pv-a") -> World:
    """This leader has put it back so often, the last time so many seconds ago."""
    done = Annotated(pv_uid=uid, times=times, at=Instant(NOW - seconds))
    return but(with_pv(OFFERED, annotations={}), mine={"annotated": done})


@pytest.mark.parametrize(
    ("world", "planned"),
    [
        (BLANK, Plan()),
        (OFFERED, Plan()),
        (with_pv(OFFERED, annotations={}), put_back(1)),
        (with_pv(OFFERED, annotations={names.PROVISIONED_BY: "other.io"}), put_back(1)),
        (with_pv(BOUND, annotations={}), put_back(1)),
        (with_pv(RELEASED, annotations={}), put_back(1)),
        (with_pv(OFFERED, annotations={}, **ENDING), Plan()),
        (before(1, 60), put_back(2)),
        (before(1, 59), Plan(again_at=Instant(NOW + 1))),
        (before(2, 120), put_back(3)),
        (before(2, 119), Plan(again_at=Instant(NOW + 1))),
        (before(3, 239), Plan(again_at=Instant(NOW + 1))),
        (before(6, 1919), Plan(again_at=Instant(NOW + 1))),
        (before(7, 3599), Plan(again_at=Instant(NOW + 1))),
        (before(7, 3600), put_back(8)),
        (before(3000, 3599), Plan(again_at=Instant(NOW + 1))),
        (before(3000, 3600), put_back(3001)),
        (before(9, 1, uid="pv-z"), put_back(1)),
    ],
)
def test_each_time_it_is_put_back_is_followed_by_a_longer_pause(world: World, planned: Plan) -> None:
    assert of(world) == planned
