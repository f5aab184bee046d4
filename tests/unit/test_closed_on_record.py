"""What a volume's last line says outlives it, on the object of its node, before the volume goes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.unit.test_actor import Rig
from tidb_volume import audit
from tidb_volume.audit import AuditLine
from tidb_volume.cli.reader import Reader
from tidb_volume.kube import kinds, transport
from tidb_volume.kube.codec import Undecodable
from tidb_volume.life import actions
from tidb_volume.units import Instant
from tidb_volume.value import Admin, Answer, Question, Record, Volume, VolumeStatus
from volume_controller import record

NOW = Instant(1_800_000_000.0)
AT = "2027-01-15T08:00:00.000Z"
END = actions.DeleteVolume(why="forgotten by a person: NOT WIPED")
WIPED = Record(at=AT, what="wiped", tenancy="t1")
BOUND = Record(at=AT, what="bound", tenancy="t1", who="db/data-0")
OFFERED = Record(at=AT, what="offered", tenancy="t1")

change = msgspec.structs.replace


def of(rig: Rig, *history: Record, forget: bool = True) -> Volume:
    """The rig's volume, as the leader saw it: forgotten by jane, or with no entry any more."""
    question = Question(id="q", kind="released", about="t1", text="?")
    admin = Admin(forget=Answer(question="q", by="jane")) if forget else Admin()
    status = VolumeStatus(history=history, tenancy="t1", question=question)
    return change(rig.volume, status=status, spec=change(rig.volume.spec, admin=admin))


def kept(rig: Rig) -> list[AuditLine]:
    return Reader(rig.api).closed()


def test_a_forgotten_disk_is_on_record_with_its_last_wipes_when_its_volume_is_gone() -> None:
    rig = Rig()
    rig.actor.do(of(rig, WIPED, BOUND), END, NOW)
    assert rig.api.find(kinds.TIDB_VOLUME, "v1") is None
    (line,) = kept(rig)
    assert (line.what, line.asked, line.at, line.tenancy) == ("forgotten", "forget by jane", AT, "t1")
    assert (line.uid, line.history) == (rig.volume.metadata.uid, (WIPED, BOUND))


def test_what_the_daemon_says_of_its_node_takes_none_of_it_away() -> None:
    rig = Rig()
    rig.api.create(kinds.TIDB_VOLUME_NODE, {"metadata": {"name": "n1"}})
    rig.api.merge_patch(kinds.TIDB_VOLUME_NODE, "n1", {"status": {"boot": "b"}}, subresource="status")
    rig.actor.do(of(rig), END, NOW)
    node = rig.api.get(kinds.TIDB_VOLUME_NODE, "n1")
    assert node.status.boot == "b"
    assert [each.what for each in kept(rig)] == ["forgotten"]


@pytest.mark.parametrize(
    ("history", "outlives"), [((), False), ((OFFERED,), False), ((WIPED,), True), ((BOUND,), True)]
)
def test_a_disk_that_no_entry_lists_is_kept_where_it_was_used(
    history: tuple[Record, ...], outlives: bool
) -> None:
    rig = Rig()
    rig.actor.do(of(rig, *history, forget=False), change(END, why="no entry lists it"), NOW)
    assert [each.what for each in kept(rig)] == ["removed"] * outlives
    assert rig.api.find(kinds.TIDB_VOLUME, "v1") is None


def test_what_cannot_be_put_on_record_is_not_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()

    def refused(kind: Any, *_: Any, **__: Any) -> None:
        assert kind is kinds.TIDB_VOLUME_NODE
        raise Undecodable("no")

    monkeypatch.setattr(rig.api, "merge_patch", refused)
    with pytest.raises(Undecodable):
        rig.actor.do(of(rig), END, NOW)
    assert rig.api.find(kinds.TIDB_VOLUME, "v1") is not None


def test_an_end_that_is_tried_again_is_one_line() -> None:
    rig = Rig()
    rig.api.merge_patch(kinds.TIDB_VOLUME, "v1", {"metadata": {"labels": {"somebody": "was here"}}})
    with pytest.raises(transport.ApiError):
        rig.actor.do(of(rig), END, NOW)
    rig.volume = rig.api.get(kinds.TIDB_VOLUME, "v1")
    rig.actor.do(of(rig), END, Instant(NOW + 1))
    assert [each.at for each in kept(rig)] == ["2027-01-15T08:00:01.000Z"]


def ended(number: int, what: str = "forgotten") -> AuditLine:
    return AuditLine(schema=1, at=AT, what=what, node="n1", volume="v", uid=f"u-{number}")  # type: ignore[arg-type]


def texts(*lines: AuditLine) -> tuple[str, ...]:
    return tuple(audit.written(each).decode().strip() for each in lines)


def test_a_node_keeps_so_many_and_what_was_left_as_it_was_goes_last() -> None:
    before = texts(*(ended(number, "removed" if number == 7 else "forgotten") for number in range(50)))
    once = record.closed(before, ended(50))
    assert once == (*before[:7], *before[8:], *texts(ended(50)))
    assert record.closed(once, ended(51)) == (*once[1:], *texts(ended(51)))
    assert record.closed(before[:49], ended(50)) == (*before[:49], *texts(ended(50)))


def test_a_line_that_cannot_be_read_stays() -> None:
    later = json.dumps({"schema": 9, "what": "said by a later version"})
    assert record.closed((later,), ended(1)) == (later, *texts(ended(1)))
