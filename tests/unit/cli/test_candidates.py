"""Why a claim waits: what speaks against each volume, and the nearest fix."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.cli.build import HOSTILE, NOW, at, node, pv, text, volume, wish
from tidb_volume.cli import candidates, explain
from tidb_volume.cli.candidates import Verdict
from tidb_volume.cli.wishes import Place, Requirement, Selector, Toleration, Wish
from tidb_volume.upstream import Taint
from tidb_volume.value import Phase, Ref, Volume

ANYWHERE = Place()


def judge(asked: Wish, *volumes: Volume, place: Place | None = ANYWHERE, nodes: Any = None) -> Verdict:
    pvs = [
        pv(each, phase="Available" if each.status.phase is Phase.AVAILABLE else "Bound")
        for each in volumes
        if each.status.phase in (Phase.AVAILABLE, Phase.BOUND)
    ]
    return candidates.judge(asked, place, volumes, pvs, nodes or [node("node-1"), node("node-2")], NOW)


@pytest.mark.parametrize(
    ("asked", "there", "kind", "words"),
    [
        (wish(), volume(pool="raw"), "class", "pool raw"),
        (wish(volume_mode="Block"), volume(), "mode", "volumeMode Filesystem"),
        (wish(size="200Gi"), volume(), "size", "100Gi is too small"),
        (wish(), volume(phase=Phase.BOUND, owner="db/x"), "bound", "db/x has it"),
        (
            wish(),
            volume(phase=Phase.RELEASED, reason="Countdown", wipe_at=at(90), owner="db/x"),
            "released",
            "released by db/x: wiped in 1m30s",
        ),
        (wish(), volume(phase=Phase.RELEASED, reason="Held"), "released", "released by somebody: Held"),
        (wish(), volume(phase=Phase.WIPING), "wiping", "being wiped: not begun"),
        (wish(), volume(phase=Phase.PENDING, reason="HasData"), "pending", "Pending: HasData"),
        (
            wish(selector=Selector(match_labels={"tier": "gold"})),
            volume(),
            "labels",
            "labels: not tier=gold",
        ),
        (
            wish(selector=Selector(match_expressions=(Requirement(key="tier", operator="Exists"),))),
            volume(),
            "labels",
            "labels: not tier Exists",
        ),
    ],
)
def test_each_obstacle_has_its_words(asked: Wish, there: Volume, kind: str, words: str) -> None:
    against = judge(asked, there).considered[0].against
    assert [(each.kind, each.text) for each in against] == [(kind, words)]


def test_a_local_disk_is_read_and_written_by_one_node() -> None:
    from msgspec.structs import replace

    asked = wish()
    asked = replace(asked, spec=replace(asked.spec, access_modes=("ReadWriteMany",)))
    assert judge(asked, volume()).considered[0].against[0].text == "a local disk is ReadWriteOnce"


def test_a_volume_pinned_to_another_claim_is_reserved() -> None:
    there = volume()
    pinned = pv(there, claim_ref=Ref(namespace="db", name="other"))
    found = candidates.judge(wish(), ANYWHERE, [there], [pinned], [node("node-1")], NOW)
    assert found.considered[0].against[0].text == "reserved for db/other"
    mine = pv(there, claim_ref=Ref(namespace="db", name="data-0"))
    assert candidates.judge(wish(), ANYWHERE, [there], [mine], [node("node-1")], NOW).fits


@pytest.mark.parametrize(
    ("place", "there", "words"),
    [
        (Place(node_name="node-2"), node("node-1"), "the pod runs on node-2"),
        (Place(node_selector={"zone": "a"}), node("node-1"), "node-1 has not the label zone=a"),
        (
            Place(),
            node("node-1", taints=(Taint(key="full", effect="NoSchedule"),)),
            "node-1 has the taint full:NoSchedule",
        ),
        (Place(), node("node-1", ready=False), "node-1 is not ready"),
    ],
)
def test_a_node_where_the_pod_cannot_run_speaks_against_its_disks(
    place: Place, there: Any, words: str
) -> None:
    against = judge(wish(), volume(), place=place, nodes=[there]).considered[0].against
    assert [(each.kind, each.text) for each in against] == [("node", words)]


def test_a_tolerated_taint_is_no_obstacle() -> None:
    tolerant = Place(tolerations=(Toleration(operator="Exists"),))
    tainted = node("node-1", taints=(Taint(key="full", effect="NoSchedule"),))
    assert judge(wish(), volume(), place=tolerant, nodes=[tainted]).fits


@pytest.mark.parametrize(
    ("asked", "volumes", "fix", "command"),
    [
        (wish(size="200Gi"), [volume("a")], "no disk of pool tikv is that large: ask for at most 100Gi", ""),
        (
            wish(size="200Gi"),
            [volume("a"), volume("b", Phase.BOUND, owner="db/x", gib=300)],
            "ask for at most 100Gi, not 200Gi",
            "",
        ),
        (wish(pool="nope"), [volume("a")], "there is no pool nope; ask for one of: tikv", ""),
        (
            wish(),
            [volume("a", pool="raw"), volume("b", Phase.BOUND, owner="db/x")],
            "storageClassName: raw has a disk that fits (a)",
            "",
        ),
        (
            wish(),
            [volume("a", Phase.RELEASED, reason="Countdown", wipe_at=at(60)), volume("b", Phase.BOUND)],
            "wait: a is wiped in 1m and then fits; or wipe it now",
            "kubectl tidb-volume wipe-now a",
        ),
        (
            wish(),
            [volume("a", Phase.PENDING, reason="HasData")],
            "a would fit, but Pending: HasData",
            "say what to do with it: kubectl tidb-volume adopt a --wipe, or --keep NAMESPACE/CLAIM;"
            " or clear the disk by hand",
        ),
        (
            wish(),
            [volume("a", Phase.BOUND, owner="db/x")],
            "every disk that would fit is bound: list another one",
            "",
        ),
        (wish(), [], "no disk is listed yet: list one in the inventory", ""),
    ],
)
def test_the_nearest_fix_is_named_with_its_command(
    asked: Wish, volumes: list[Volume], fix: str, command: str
) -> None:
    found = judge(asked, *volumes)
    assert (found.fix, found.command) == (fix, command)


def test_a_claim_that_no_pod_uses_waits_for_its_first_consumer() -> None:
    assert "once a pod uses the claim" in judge(wish(), volume(), place=None).fix


def test_the_largest_free_disk_is_named() -> None:
    found = judge(
        wish(size="1Ti"), volume("a", gib=100), volume("b", gib=300), volume("c", gib=900, pool="raw")
    )
    assert found.largest_free == "300Gi (b)"
    assert judge(wish(), volume("c", pool="raw")).largest_free == "none in this class; 100Gi in pool raw (c)"
    assert judge(wish(), volume(phase=Phase.BOUND)).largest_free == "none: no disk of any pool is free"


def test_of_ten_thousand_volumes_a_screenful_is_listed_and_the_rest_counted() -> None:
    volumes = [volume(f"v-{n}", Phase.BOUND, owner="db/x") for n in range(10_000)]
    lines = explain.verdict_lines(judge(wish(), *volumes))
    assert len(lines) < 30
    assert "9988 bound" in text(lines)
    assert len(explain.verdict_lines(judge(wish(), *volumes[:50]), all_of_it=True)) > 50


def test_a_hostile_claim_is_drawn_line_by_line() -> None:
    asked = wish(pool=HOSTILE, selector=Selector(match_labels={HOSTILE: HOSTILE}))
    lines = explain.verdict_lines(judge(asked, volume(pool=HOSTILE, owner=f"{HOSTILE}/x", phase=Phase.BOUND)))
    assert all(line.text.isprintable() for line in lines)
