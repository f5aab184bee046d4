"""Words that hold until they are taken back go on record once, with who set them, whoever leads."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest

from tests.model.faults import busy
from tests.unit.life.worlds import OLD, RELEASED, but
from tests.unit.test_actor import Rig
from tests.unit.test_decisions_on_record import logged
from tests.unit.test_terms import NAMESPACE
from tests.unit.test_terms import Rig as Terms
from tidb_volume import audit, names
from tidb_volume.audit import AuditLine
from tidb_volume.fleet import Budget, Fleet, FleetSpec, FleetStatus
from tidb_volume.kube import codec, kinds
from tidb_volume.life import actions
from tidb_volume.units import Instant
from tidb_volume.value import Meta, Words
from volume_controller import said
from volume_controller.inventory import InventoryKeeper

NOW = Instant(1_800_000_000.0)
change = msgspec.structs.replace

HEARD: list[tuple[str, Words, Words, list[tuple[str, str, str]]]] = [
    ("nothing", Words(), Words(), []),
    ("a hold", Words(), Words(hold=True), [("spec.admin.hold", "hold", "from now on")]),
    ("its end", Words(hold=True), Words(), [("spec.admin.hold", "hold", "no more")]),
    ("a hold that stands", Words(hold=True), Words(hold=True), []),
    (
        "several",
        Words(retire=True),
        Words(cordon=True),
        [
            ("spec.admin.cordon", "cordon", "from now on"),
            ("spec.admin.retire", "retire", "no more"),
        ],
    ),
    ("a gate", Words(), Words(gates={"pd": "up"}), [("spec.admin.gates.pd", "gates", "pd: up")]),
    (
        "gates put and taken away",
        Words(gates={"a": "x", "b": "y", "c": "z"}),
        Words(gates={"c": "z", "b": "other", "d": ""}),
        [
            ("spec.admin.gates.a", "gates", "a: no more"),
            ("spec.admin.gates.b", "gates", "b: other"),
            ("spec.admin.gates.d", "gates", "d: "),
        ],
    ),
    (
        "a gate that is passed",
        Words(),
        Words(gates_passed={"pd": OLD}),
        [("spec.admin.gatesPassed.pd", "gatesPassed", f"pd: {OLD}")],
    ),
]


@pytest.mark.parametrize(("before", "now", "told"), [row[1:] for row in HEARD], ids=[row[0] for row in HEARD])
def test_what_is_not_on_record_yet_is_told(
    before: Words, now: Words, told: list[tuple[str, str, str]]
) -> None:
    volume = but(RELEASED, status={"heard": before}).volume
    assert [(".".join(each.field), each.word, each.text) for each in said.of_volume(volume, now)] == told


def on_record(caplog: pytest.LogCaptureFixture) -> list[AuditLine]:
    """What went on record since this was last asked."""
    lines, broken = audit.read("\n".join(logged(caplog)).encode())
    assert not broken
    caplog.clear()
    return lines


class Managed:
    """Answers who wrote a field."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, api: Any, *, busy_now: bool = False) -> None:
        self.asked: list[tuple[str, ...]] = []
        self._busy = busy_now
        monkeypatch.setattr(api, "manager_of", self.manager_of)

    def manager_of(self, kind: Any, name: str, *field: str, namespace: str = "") -> codec.Manager | None:
        self.asked.append((kind.plural, name, namespace, ".".join(field)))
        if self._busy:
            raise busy()
        return codec.Manager(manager="kubectl-patch", time="2027-01-01T00:00:00Z")


BY = "set by kubectl-patch, 2027-01-01T00:00:00Z"


def written(rig: Rig, heard: Words) -> actions.PatchStatus:
    return actions.PatchStatus(status=change(rig.volume.status, heard=heard), why="because")


@pytest.mark.parametrize(("busy_now", "asked"), [(False, BY), (True, "")], ids=["known", "nobody answers"])
def test_a_word_about_a_disk_is_one_line_with_who_set_it(
    busy_now: bool, asked: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig()
    caplog.set_level(logging.INFO)
    server = Managed(monkeypatch, rig.api, busy_now=busy_now)
    rig.actor.do(rig.volume, written(rig, Words(hold=True)), NOW)
    (line,) = on_record(caplog)
    assert (line.what, line.reason, line.message, line.asked) == ("said", "hold", "from now on", asked)
    assert (line.node, line.volume, line.at) == ("n1", "v1", "2027-01-15T08:00:00.000Z")
    assert server.asked == [("tidbvolumes", "v1", "", "spec.admin.hold")]
    rig.volume = rig.api.get(kinds.TIDB_VOLUME, "v1")
    rig.actor.do(rig.volume, written(rig, Words(hold=True)), NOW)
    assert on_record(caplog) == []


# --- the whole fleet ---


def fleet(spec: FleetSpec, heard: FleetSpec) -> Fleet:
    return Fleet(metadata=Meta(name="fleet"), spec=spec, status=FleetStatus(heard=heard.words))


FLEET: list[tuple[FleetSpec, FleetSpec, list[tuple[str, str, str]]]] = [
    (FleetSpec(), FleetSpec(), []),
    (FleetSpec(paused=True), FleetSpec(), [("spec.paused", "paused", "from now on")]),
    (FleetSpec(), FleetSpec(paused=True), [("spec.paused", "paused", "no more")]),
    (FleetSpec(breaker_reset=3), FleetSpec(), []),
    (FleetSpec(mode="manual"), FleetSpec(), [("spec.mode", "mode", "manual, before it was auto")]),
    (
        FleetSpec(budget=Budget(percent=50)),
        FleetSpec(),
        [
            (
                "spec.budget",
                "budget",
                "wipesPerHour=20 claimsPerHour=5 percent=50 atLeast=5,"
                " before it was wipesPerHour=20 claimsPerHour=5 percent=10 atLeast=5",
            )
        ],
    ),
    (
        FleetSpec(approvals=("a", "b")),
        FleetSpec(),
        [("spec.approvals", "approvals", "a, b, before it was none")],
    ),
]


@pytest.mark.parametrize(("spec", "heard", "told"), FLEET)
def test_what_is_said_of_the_fleet_is_told(
    spec: FleetSpec, heard: FleetSpec, told: list[tuple[str, str, str]]
) -> None:
    found = said.of_fleet(fleet(spec, heard))
    assert [(".".join(each.field), each.word, each.text) for each in found] == told


class OfFleet:
    """A leader and the fleet object."""

    def __init__(self, spec: dict[str, Any], status: dict[str, Any] | None = None) -> None:
        self.rig = Rig()
        self.api = self.rig.api
        self.api.create(kinds.TIDB_VOLUME_FLEET, {"metadata": {"name": names.FLEET}, "spec": spec})
        self.api.merge_patch(
            kinds.TIDB_VOLUME_FLEET, names.FLEET, {"status": status or {}}, subresource="status"
        )

    def look(self, spec: dict[str, Any] | None = None) -> None:
        """As who leads does whenever it changes. spec: what somebody says meanwhile."""
        if spec is not None:
            self.api.merge_patch(kinds.TIDB_VOLUME_FLEET, names.FLEET, {"spec": spec})
        self.rig.cluster.fleets.put(self.api.get(kinds.TIDB_VOLUME_FLEET, names.FLEET))
        self.rig.actor.look_at_fleet(NOW)

    def events(self) -> list[str]:
        for _ in range(5):
            self.rig.recorder.step()
        found = self.rig.server.documents(kinds.EVENT)
        return sorted(f"{each['reason']}: {each['message']}" for each in found)


def test_a_pause_and_its_end_are_on_record_and_events(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    of = OfFleet({"paused": True})
    Managed(monkeypatch, of.api)
    of.look()
    of.look()
    (line,) = on_record(caplog)
    assert (line.what, line.reason, line.message, line.asked) == ("said", "paused", "from now on", BY)
    assert (line.node, line.volume) == ("", "")
    of.look({"paused": False, "mode": "manual"})
    of.look()
    assert [(each.reason, each.message) for each in on_record(caplog)] == [
        ("paused", "no more"),
        ("mode", "manual, before it was auto"),
    ]
    assert of.events() == [
        f"ModeChanged: mode: manual, before it was auto ({BY})",
        f"Paused: paused: from now on ({BY})",
        f"Resumed: paused: no more ({BY})",
    ]


def test_the_breaker_s_reset_is_on_record_and_an_event(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    tripped = {"epoch": 4, "tripped": True, "reason": "21 wipes within an hour"}
    of = OfFleet({}, {"breaker": tripped})
    Managed(monkeypatch, of.api)
    of.look()
    assert on_record(caplog) == []
    of.look({"breakerReset": 4})
    of.look()
    (line,) = on_record(caplog)
    assert (line.what, line.asked) == ("reset", BY)
    assert line.message == "epoch 4: 21 wipes within an hour"
    assert of.events() == [f"BreakerReset: closed again; epoch 4: 21 wipes within an hour ({BY})"]


def test_the_breaker_that_opens_is_on_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    of = OfFleet({"budget": {"wipesPerHour": 0, "claimsPerHour": 1, "percent": 1, "atLeast": 1}})
    of.look()
    on_record(caplog)
    of.rig.actor.do(of.rig.volume, actions.CountWipe(tenancy="t"), NOW)
    (line,) = on_record(caplog)
    assert (line.what, line.reason, line.message) == (
        "tripped",
        "BreakerOpen",
        "epoch 1: 1 wipes within an hour; the budget is 0",
    )


# --- the inventory ---


def test_an_edit_that_comes_into_force_is_told_once_with_who_wrote_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig, told = Terms(), list[tuple[str, str]]()
    server = Managed(monkeypatch, rig.api)

    def keeper() -> InventoryKeeper:
        def listed(text: str, by: str) -> None:
            told.append((text, by))

        return InventoryKeeper(rig.api, rig.cluster, rig._recorder, lambda: True, listed)

    keeper().look()
    assert told == []
    text = "pools: {p: {onRelease: wipe}}\nnodes: {n9: [{path: /data/z, pool: p}]}\n"
    rig.add_inventory("more", text)
    first = keeper()
    first.look()
    first.look()
    keeper().look()
    ((said_of, by),) = told
    assert (said_of.startswith("ConfigMap more is in force as of hash "), by) == (True, BY)
    assert server.asked == [("configmaps", "more", NAMESPACE, "data")]
    rig.add_inventory("more", "nodes: [")
    keeper().look()
    assert len(told) == 1, "what is refused comes not into force"
    rig.cluster.config_maps.remove(rig.cluster.config_maps.get("more", NAMESPACE))  # type: ignore[arg-type]
    first.look()
    assert told[1][0].startswith("ConfigMap more is gone")
