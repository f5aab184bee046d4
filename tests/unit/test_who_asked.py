"""Which program set the policy that asks for a wipe goes on record with the order, where that is known."""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import Any

import msgspec
import pytest

from tests.model.faults import busy, lost
from tests.unit.test_actor import PV_NAME, TENANCY, Rig
from tidb_volume import audit
from tidb_volume.kube import kinds, transport
from tidb_volume.kube.client import Client
from tidb_volume.kube.events import Recorder
from tidb_volume.kube.queue import Queue
from tidb_volume.life import actions
from tidb_volume.obs.log import JsonLines
from tidb_volume.obs.metrics import Metrics
from tidb_volume.units import Instant
from tidb_volume.value import Order, Phase
from volume_controller.act import Actor
from volume_controller.cluster import Cluster, Key
from volume_controller.snapshot import Memory
from volume_controller.tell import Teller

POLICY: dict[str, Any] = {"f:spec": {"f:persistentVolumeReclaimPolicy": {}}}
CLAIM: dict[str, Any] = {"f:spec": {"f:claimRef": {}}}


def entry(manager: str, time: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"manager": manager, "operation": "Update", "time": time, "fieldsV1": fields}


MADE_AT = "2027-01-01T00:00:00Z"
MADE = entry("volume-controller", MADE_AT, POLICY | {"f:metadata": {}})
STAMPED_LATER = entry("volume-controller", "2026-12-31T23:59:59Z", POLICY)
FORGED = entry("volume-controller", "2027-01-02T00:00:00Z", POLICY)
UNDATED = entry("volume-controller", "", POLICY)
PATCHED = entry("kubectl-patch", "2027-01-02T00:00:00Z", POLICY)
BOUND = entry("kube-controller-manager", "2027-01-03T00:00:00Z", CLAIM)


class Managed:
    """A server that says who wrote which fields of a PersistentVolume, or does not answer that."""

    def __init__(self, over: transport.Transport, entries: list[dict[str, Any]] | Exception) -> None:
        self._over, self._entries = over, entries

    def request(self, method: str, path: str, **more: Any) -> transport.Response:
        if method == "GET" and path == kinds.PV.path(PV_NAME) and isinstance(self._entries, Exception):
            raise self._entries
        answer = self._over.request(method, path, **more)
        if method != "GET" or path != kinds.PV.path(PV_NAME):
            return answer
        document = msgspec.json.decode(answer.body)
        document["metadata"] |= {"managedFields": self._entries, "creationTimestamp": MADE_AT}
        return msgspec.structs.replace(answer, body=msgspec.json.encode(document))

    def stream(self, path: str, **more: Any) -> Generator[bytes, None, None]:
        return self._over.stream(path, **more)

    def close(self) -> None:
        self._over.close()


def ordered(asked: str, entries: list[dict[str, Any]] | Exception, pv_name: str = PV_NAME) -> str:
    """What the order says of who asked, as it is written; the log says the same."""
    rig = Rig()
    api = Client(Managed(rig.server, entries), manager="volume-controller")
    queue: Queue[Key] = Queue()
    teller = Teller(Recorder(api, component="test", host="test"), Metrics())
    actor = Actor(api, Cluster(queue, "ns"), Memory(), teller, leading=lambda: True)
    order = Order(id="o1", kind="reclaim", ends=TENANCY, next="bbbbbbbbbbbb", pv_name=pv_name, asked=asked)
    actor.do(rig.volume, actions.WriteOrder(order=order, why="released"), Instant(1_800_000_000.0))
    written = rig.api.get(kinds.TIDB_VOLUME, "v1").spec.order
    assert written is not None
    return written.asked


BY_POLICY = "reclaim policy Delete"
AS_MADE = "reclaim policy Delete, as the pool has it, 2027-01-01T00:00:00Z"
AS_FORGED = (
    "reclaim policy Delete, under the name volume-controller, 2027-01-02T00:00:00Z;"
    " the volume was made 2027-01-01T00:00:00Z"
)
AS_PATCHED = "reclaim policy Delete, set by kubectl-patch, 2027-01-02T00:00:00Z"

SAID: list[tuple[str, str, list[dict[str, Any]] | Exception, str]] = [
    ("the pool's policy", BY_POLICY, [MADE, BOUND], AS_MADE),
    (
        "the pool's policy, stamped as a second went by",
        BY_POLICY,
        [STAMPED_LATER],
        AS_MADE.replace(MADE_AT, "2026-12-31T23:59:59Z"),
    ),
    ("a policy that somebody set under our name", BY_POLICY, [FORGED, BOUND], AS_FORGED),
    (
        "one of which nobody knows when",
        BY_POLICY,
        [UNDATED],
        AS_FORGED.replace("2027-01-02T00:00:00Z", ""),
    ),
    ("a policy that somebody set", BY_POLICY, [BOUND, PATCHED], AS_PATCHED),
    ("a policy that two set, the one who did it last", BY_POLICY, [PATCHED, MADE], AS_PATCHED),
    ("with an approval", f"{BY_POLICY}, approved by joe", [PATCHED], f"{AS_PATCHED}, approved by joe"),
    ("with one of nobody's", f"{BY_POLICY}, approved", [PATCHED], f"{AS_PATCHED}, approved"),
    ("nobody is noted", BY_POLICY, [BOUND], BY_POLICY),
    ("the server does not say", BY_POLICY, busy(), BY_POLICY),
    ("nor answers at all", BY_POLICY, lost(), BY_POLICY),
    ("what is known from the order before", AS_MADE, [PATCHED], AS_MADE),
    ("with its approval", f"{AS_MADE}, approved by joe", [PATCHED], f"{AS_MADE}, approved by joe"),
    ("a person's answer", "wipe-now by jane", [PATCHED], "wipe-now by jane"),
]


@pytest.mark.parametrize(
    ("asked", "entries", "on_record"), [row[1:] for row in SAID], ids=[row[0] for row in SAID]
)
def test_an_order_says_which_program_set_the_policy(
    asked: str,
    entries: list[dict[str, Any]] | Exception,
    on_record: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    assert ordered(asked, entries) == on_record
    told = [JsonLines().format(each) for each in caplog.records if each.name == audit.LOGGER]
    assert [each.asked for each in audit.read("\n".join(told).encode())[0]] == [on_record]


def test_without_a_volume_that_it_is_about_nobody_is_asked() -> None:
    assert ordered(BY_POLICY, [PATCHED], pv_name="") == BY_POLICY


@pytest.mark.parametrize(
    ("reason", "entries", "asked"),
    [
        ("PolicyRetain", [PATCHED], "set by kubectl-patch, 2027-01-02T00:00:00Z"),
        ("PolicyRetain", busy(), ""),
        ("PoolKeeps", [PATCHED], ""),
    ],
)
def test_a_countdown_that_the_policy_ends_is_on_record_and_an_event_with_who_set_it(
    reason: str,
    entries: list[dict[str, Any]] | Exception,
    asked: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    rig = Rig()
    api = Client(Managed(rig.server, entries), manager="volume-controller")
    recorder = Recorder(api, component="test", host="test")
    queue: Queue[Key] = Queue()
    actor = Actor(api, Cluster(queue, "ns"), Memory(), Teller(recorder, Metrics()), leading=lambda: True)
    counting = msgspec.structs.replace(
        rig.volume.status, phase=Phase.RELEASED, wipe_at="T", volume_name=PV_NAME, tenancy=TENANCY
    )
    volume = msgspec.structs.replace(rig.volume, status=counting)
    stopped = msgspec.structs.replace(counting, wipe_at="", reason=reason, message="its data stays")
    actor.do(volume, actions.PatchStatus(status=stopped, why=reason), Instant(1_800_000_000.0))
    told = [JsonLines().format(each) for each in caplog.records if each.name == audit.LOGGER]
    (line,), _ = audit.read("\n".join(told).encode())
    assert (line.what, line.reason, line.asked, line.tenancy) == ("stopped", reason, asked, TENANCY)
    recorder.step()
    (event,) = rig.server.documents(kinds.EVENT)
    assert event["reason"] == reason
    assert event["message"] == "its data stays" + (f" ({asked})" if asked else "")
