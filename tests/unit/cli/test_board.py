"""The fleet on one screen, from no disk to ten thousand."""

from __future__ import annotations

import random

import pytest

from tests.unit.cli.build import HOSTILE, NOW, at, text, volume
from tidb_volume.cli import board, grid, screenful, speak
from tidb_volume.fleet import Breaker, Fleet, FleetSpec, FleetStatus, InventoryStatus
from tidb_volume.kube import codec
from tidb_volume.value import Meta, Order, Phase, Volume, Work, WorkState


def fleet(spec: FleetSpec | None = None, **status_: object) -> Fleet:
    return Fleet(
        metadata=Meta(name="fleet", uid="f"),
        spec=spec or FleetSpec(),
        status=FleetStatus(**status_),  # type: ignore[arg-type]
    )


def seen(
    *volumes: Volume, of: Fleet | None = None, lease: codec.Lease | None = None, events=()
) -> board.Board:  # type: ignore[no-untyped-def]
    return board.board(volumes, of or fleet(), lease, events, NOW, at(0))


def shown(*volumes: Volume, of: Fleet | None = None, columns: int = 100, height: int = 40) -> str:
    return text(screenful.draw(seen(*volumes, of=of), volumes, NOW, columns, height))


def many(nodes: int, disks: int, chance: random.Random | None = None) -> list[Volume]:
    phases = list(Phase)
    made = []
    for n in range(nodes):
        for d in range(disks):
            phase = chance.choice(phases) if chance else Phase.BOUND
            name = f"node-{n:04}-d{d}"
            made.append(volume(name, phase, node=f"node-{n:04}", path=f"/data/d{d}", owner="db/x"))
    return made


@pytest.mark.parametrize(
    ("of", "word", "command"),
    [
        (None, "NO FLEET OBJECT", "kubectl create -f deploy/fleet.yaml"),
        (fleet(FleetSpec(paused=True)), "PAUSED", "kubectl tidb-volume resume"),
        (
            fleet(
                breaker=Breaker(tripped=True, reason="21 wipes within an hour; the budget is 20", at=at(-60))
            ),
            "BREAKER OPEN",
            "kubectl tidb-volume breaker reset",
        ),
        (fleet(FleetSpec(mode="manual")), "MANUAL", ""),
    ],
)
def test_what_stops_everything_stands_on_the_first_line(of: Fleet | None, word: str, command: str) -> None:
    found = board.board([volume()], of, None, (), NOW, at(0))
    assert (found.banners[0].word, found.banners[0].command) == (word, command)
    assert word in screenful.draw(found, [volume()], NOW, 100, 40)[0].text


def test_a_fleet_in_order_has_no_banner() -> None:
    assert seen(volume()).banners == ()


@pytest.mark.parametrize(
    ("renewed", "holder", "silent"),
    [(at(-5), "a", False), (at(-31), "a", True), (at(-5), "", True), ("", "a", False)],
)
def test_a_controller_that_is_silent_is_said_to_be(renewed: str, holder: str, silent: bool) -> None:
    lease = codec.Lease(
        metadata=Meta(name="l"),
        spec=codec.LeaseSpec(holder_identity=holder, lease_duration_seconds=10, renew_time=renewed),
    )
    words = [banner.word for banner in seen(volume(), lease=lease).banners]
    assert words == (["NO CONTROLLER"] if silent else [])


def test_a_disk_handed_out_dirty_is_at_the_top() -> None:
    found = seen(volume("v-1", Phase.BOUND, conditions=("DirtyHandedOut",)))
    assert found.banners[0].word == "DIRTY DISK HANDED OUT"
    assert found.banners[0].command.endswith("explain v-1")


def test_what_waits_for_a_person_is_told_by_reason_with_the_command() -> None:
    found = board.waits(
        [
            volume("v-1", Phase.RELEASED, reason="PolicyRetain", message="Retain"),
            volume("v-2", Phase.PENDING, reason="HasData", message="12 entries"),
            volume("v-3", Phase.PENDING, reason="HasData", message="ext4"),
            volume("v-4", Phase.RELEASED, reason="Countdown"),
            volume("v-5", Phase.RELEASED, reason="Held"),
        ]
    )
    assert [(each.reason, each.volumes) for each in found] == [
        ("HasData", ("v-2", "v-3")),
        ("PolicyRetain", ("v-1",)),
    ]
    assert "kubectl tidb-volume adopt v-2 --wipe" in found[0].way_out


def test_a_kept_volume_is_not_told_to_patch_a_policy_that_would_change_nothing() -> None:
    kept = volume("v-1", Phase.RELEASED, reason="PolicyRetain")
    from msgspec.structs import replace

    kept = replace(kept, spec=replace(kept.spec, wipe=replace(kept.spec.wipe, on_release="keep")))
    assert board.waits([kept])[0].way_out == "kubectl tidb-volume wipe-now v-1"


def test_the_next_wipe_comes_first_and_what_holds_it_is_said() -> None:
    found = board.next_wipes(
        [
            volume("late", Phase.RELEASED, reason="Countdown", wipe_at=at(600), owner="db/a"),
            volume("soon", Phase.RELEASED, reason="Countdown", wipe_at=at(60), owner="db/b"),
            volume("due", Phase.RELEASED, reason="InUse", wipe_at=at(-60)),
            volume("kept", Phase.RELEASED, reason="PolicyRetain"),
        ]
    )
    assert [(each.volume, each.note) for each in found] == [("due", "InUse"), ("soon", ""), ("late", "")]


def test_a_running_wipe_shows_its_progress() -> None:
    from msgspec.structs import replace

    work = Work(order_id="o", state=WorkState.RUNNING, done_bytes=1 << 30, total_bytes=4 << 30)
    running = volume("v", Phase.WIPING, reason="Wiping", work=work)
    order = Order(id="o", kind="reclaim", method="zero")
    running = replace(running, spec=replace(running.spec, order=order))
    assert seen(running).running[0].note == "1Gi of 4Gi, 25%"
    assert seen(running).running[0].method == "zero"


def test_a_refused_inventory_shows_its_lines() -> None:
    inventories = (
        InventoryStatus(name="ok", hash="1", accepted="1"),
        InventoryStatus(
            name="bad", hash="2", accepted="1", errors=("bad/x.yaml:3:5  TV014  twice\n   keep one",)
        ),
    )
    told = shown(volume(), of=fleet(inventories=inventories))
    assert "ConfigMap bad refused (what was in force before stays in force)" in told
    assert "bad/x.yaml:3:5  TV014  twice" in told
    assert "ConfigMap ok" not in told


def event(about: str, reason: str, ago: float, count: int = 1) -> codec.Event:
    return codec.Event(
        metadata=Meta(name="e"),
        involved_object=codec.InvolvedObject(name=about, kind="TidbVolume"),
        reason=reason,
        message="m",
        type="Warning",
        count=count,
        last_timestamp=at(-ago),
    )


def test_the_last_warnings_are_the_newest_of_each_kind() -> None:
    found = board.warnings([event("a", "Stuck", 50), event("a", "Stuck", 10, 4), event("b", "HasData", 30)])
    assert [(each.about, each.reason, each.count) for each in found] == [
        ("a", "Stuck", 4),
        ("b", "HasData", 1),
    ]


# --- the grid ---------------------------------------------------------------------------------------------


def test_ten_disks_have_a_row_for_each_node_and_a_letter_for_each_disk() -> None:
    told = shown(
        volume("a", Phase.BOUND, node="node-1", path="/data/0"),
        volume("b", Phase.AVAILABLE, node="node-1", path="/data/1"),
        volume("c", Phase.RELEASED, node="node-2", path="/data/0", conditions=("NodeReady",)),
        volume("d", Phase.PENDING, node="node-2", path="/data/1", reason="HasData"),
    )
    assert "  node-1  BA\n" in told
    assert "  node-2  r?\n" in told


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize(("nodes", "disks"), [(1, 1), (12, 10), (1000, 10), (40, 250)])
def test_the_board_fits_the_screen_whatever_the_size_of_the_fleet(
    nodes: int, disks: int, seed: int | None
) -> None:
    volumes = many(nodes, disks, random.Random(seed) if seed else None)
    lines = screenful.draw(seen(*volumes), volumes, NOW, 100, 45)
    assert len(lines) <= 45
    cells = [each.text for each in lines if each.text.startswith("  ") and "kubectl" not in each.text]
    assert all(len(each) <= 100 for each in cells)


def test_a_fleet_with_every_kind_of_trouble_still_fits_the_screen() -> None:
    volumes = many(1000, 10, random.Random(3))
    for number, reason in enumerate((*speak.PERSON, *speak.PERSON)):
        volumes.append(volume(f"p-{number}", Phase.PENDING, reason=reason, message="m"))
    volumes += [volume(f"r-{n}", Phase.RELEASED, reason="Countdown", wipe_at=at(n)) for n in range(50)]
    trouble = tuple(InventoryStatus(name=f"c{n}", hash="1", errors=("a\nb",) * 20) for n in range(9))
    of = fleet(
        FleetSpec(paused=True), breaker=Breaker(tripped=True, reason="many", at=at(0)), inventories=trouble
    )
    events = [event(f"e-{n}", "Stuck", n) for n in range(30)]
    found = board.board(volumes, of, None, events, NOW, at(0))
    assert len(screenful.draw(found, volumes, NOW, 100, 50)) <= 50


def test_a_thousand_equal_nodes_are_one_row() -> None:
    rows, left = grid.rows(many(1000, 10), 20)
    assert [(len(row.nodes), row.letters) for row in rows] == [(1000, "B" * 10)]
    assert left == 0


def test_the_one_node_that_is_ill_is_the_first_row_of_a_thousand() -> None:
    volumes = many(1000, 10)
    volumes[5005] = volume("ill", Phase.FAILED, node="node-0500", path="/data/d5")
    rows, _ = grid.rows(volumes, 20)
    assert rows[0].nodes == ("node-0500",)
    assert "F" in rows[0].letters


def test_what_does_not_fit_is_counted_and_is_what_looks_best() -> None:
    volumes = many(300, 20, random.Random(7))
    rows, left = grid.rows(volumes, 5)
    assert len(rows) == 5
    assert sum(len(row.nodes) for row in rows) + left == 300


def test_a_hostile_name_stays_on_its_line_everywhere() -> None:
    bad = volume(
        "v", Phase.PENDING, node=HOSTILE, path=f"/{HOSTILE}", pool=HOSTILE, reason="HasData", message=HOSTILE
    )
    waiting = volume("w", Phase.RELEASED, owner=f"{HOSTILE}/{HOSTILE}", reason="Countdown", wipe_at=at(9))
    inventories = (InventoryStatus(name=HOSTILE, hash="2", errors=(HOSTILE,)),)
    volumes = [bad, waiting]
    for wide in (False, True):
        found = board.board(
            volumes,
            fleet(breaker=Breaker(tripped=True, reason=HOSTILE, at=HOSTILE), inventories=inventories),
            None,
            [event(HOSTILE, HOSTILE, 5)],
            NOW,
            at(0),
        )
        lines = screenful.draw(found, volumes, NOW, 100, 40, wide=wide)
        assert all(each.text.isprintable() for each in lines)
        assert not any(each.text.startswith("fleet paused") for each in lines)


def test_an_empty_fleet_says_how_to_begin() -> None:
    assert "tidbvolume.io/inventory=true" in shown()
