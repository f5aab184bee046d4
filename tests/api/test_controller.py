"""The whole controller on a real API server, with kube-controller-manager, over disks kept in memory.

What this adds to the tables in tests/unit/life is everything between the plan and the server: stores,
conflicts, leader election, what is written and how often.
"""

from __future__ import annotations

import logging
import re
import time

import pytest

from tests.api.bench import Bench, until
from tidb_volume import audit, names
from tidb_volume.kube import kinds
from tidb_volume.obs.log import JsonLines
from tidb_volume.value import DiskReport, Phase, Presence

pytestmark = pytest.mark.api


def test_a_disks_life_takes_five_writes_to_be_on_offer_and_at_most_ten_around(bench: Bench) -> None:
    bench.inventory("/data/a")
    over = bench.start()
    first = bench.wait("/data/a", Phase.AVAILABLE)
    about = {key: count for key, count in over.writes.items() if bench.name("/data/a") in key}
    assert sum(about.values()) <= 3, about  # besides two POSTs: the TidbVolume and its PersistentVolume
    bench.claim(first)
    bound = bench.wait("/data/a", Phase.BOUND)
    bench.disks.data.add(bound.metadata.name)
    until(
        "the tenant's data to be seen",
        lambda: (
            not (bench.wait("/data/a", Phase.BOUND).status.disk or DiskReport(presence=Presence.OK)).empty
        ),
    )
    over.writes.clear()
    bench.release(bound)
    after = bench.wait("/data/a", Phase.AVAILABLE, not_tenancy=first.status.tenancy)
    assert bench.disks.wiped == [first.status.tenancy]
    assert sum(over.writes.values()) <= 9, over.writes
    assert not after.status.dirty
    assert [line.what for line in after.status.history] == [
        "offered",
        "bound",
        "released",
        "wipe committed",
        "wiped",
    ]


def test_what_is_decided_is_on_record_once_and_names_who_set_the_policy(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bench.inventory("/data/a")
    bench.start()
    first = bench.wait("/data/a", Phase.AVAILABLE)
    bench.claim(first)
    bench.wait("/data/a", Phase.BOUND)
    for policy in ("Retain", "Delete"):
        patch = {"spec": {"persistentVolumeReclaimPolicy": policy}}
        bench.api.merge_patch(kinds.PV, first.status.volume_name, patch)
    bench.release(first)
    after = bench.wait("/data/a", Phase.AVAILABLE, not_tenancy=first.status.tenancy)
    told = "\n".join(JsonLines().format(each) for each in caplog.records)
    lines, broken = audit.read(told.encode())
    assert not broken
    (edit,) = (each for each in lines if each.what == "listed")
    assert re.fullmatch(r"set by test, \d{4}-\S+Z", edit.asked)
    lines = [each for each in lines if each.volume == first.metadata.name]
    assert [(each.what, each.kind) for each in lines] == [
        ("ordered", "prepare"),
        ("offered", ""),
        ("ordered", "reclaim"),
        ("deleted", "reclaim"),
        ("committed", "reclaim"),
        ("offered", ""),
    ]
    wipe = lines[2]
    assert re.fullmatch(r"reclaim policy Delete, set by test, \d{4}-\S+Z", wipe.asked)
    assert (wipe.tenancy, wipe.next) == (first.status.tenancy, after.status.tenancy)
    assert wipe.claim is not None
    assert str(wipe.claim) == f"{bench.namespace}/{first.status.volume_name[-12:]}"
    assert wipe.leader
    (committed,) = (line for line in after.status.history if line.what == "wipe committed")
    assert committed.note == wipe.asked


def test_nothing_is_ordered_without_a_daemon_and_it_is_said_and_goes_on_when_it_is_back(bench: Bench) -> None:
    bench.inventory("/data/a")
    bench.start()
    first = bench.wait("/data/a", Phase.AVAILABLE)
    bench.claim(first)
    bench.wait("/data/a", Phase.BOUND)
    bench.daemon_is(ready=False)
    bench.release(first)
    found = bench.wait("/data/a", Phase.RELEASED, "DaemonNotReady")
    assert found.spec.order is None or found.spec.order.kind == "prepare"
    assert bench.pvs(first.metadata.name)
    bench.daemon_is(ready=True)
    bench.wait("/data/a", Phase.AVAILABLE, not_tenancy=first.status.tenancy)
    assert bench.disks.wiped == [first.status.tenancy]


def test_an_idle_controller_writes_nothing(bench: Bench) -> None:
    bench.inventory("/data/a", "/data/b")
    over = bench.start()
    bench.wait("/data/a", Phase.AVAILABLE)
    bench.wait("/data/b", Phase.AVAILABLE)
    time.sleep(1.5)
    over.writes.clear()
    time.sleep(2)
    assert not over.writes


def test_another_leader_goes_on_where_the_first_one_stopped(bench: Bench) -> None:
    bench.inventory("/data/a")
    bench.start()
    first = bench.wait("/data/a", Phase.AVAILABLE)
    bench.claim(first)
    bound = bench.wait("/data/a", Phase.BOUND)
    bench.disks.data.add(bound.metadata.name)
    bench.disks.working = False
    bench.release(bound)
    bench.wait("/data/a", Phase.WIPING)
    bench.start()
    bench.stop()
    bench.disks.working = True
    bench.wait("/data/a", Phase.AVAILABLE, not_tenancy=first.status.tenancy)
    assert bench.disks.wiped == [first.status.tenancy]


def test_a_pv_deleted_by_hand_with_the_controller_away_is_never_offered_again_by_itself(bench: Bench) -> None:
    bench.inventory("/data/a")
    bench.start()
    first = bench.wait("/data/a", Phase.AVAILABLE)
    bench.claim(first)
    bench.wait("/data/a", Phase.BOUND)
    bench.disks.data.add(first.metadata.name)
    bench.stop()
    bench.release(first)
    bench.api.delete(kinds.PV, first.status.volume_name)
    until("the PV to go", lambda: not bench.pvs(first.metadata.name))
    bench.start()
    found = bench.wait("/data/a", Phase.RELEASED, "GoneByHand")
    time.sleep(1)
    assert not bench.pvs(first.metadata.name)
    assert not bench.disks.wiped
    assert found.status.question is not None
    answer = {"question": found.status.question.id, "action": "Wipe"}
    bench.api.merge_patch(kinds.TIDB_VOLUME, found.metadata.name, {"spec": {"admin": {"adopt": answer}}})
    bench.wait("/data/a", Phase.AVAILABLE, not_tenancy=first.status.tenancy)
    assert bench.disks.wiped == [first.status.tenancy]


def test_a_broken_edit_is_said_and_the_last_good_content_survives_a_restart(bench: Bench) -> None:
    bench.inventory("/data/a")
    bench.start()
    first = bench.wait("/data/a", Phase.AVAILABLE)
    bench.inventory(text="nodes: {x: [relative]}\nbogus: 1")

    def said() -> bool:
        fleet = bench.api.get(kinds.TIDB_VOLUME_FLEET, names.FLEET)
        return any("bogus" in error for each in fleet.status.inventories for error in each.errors)

    until("the error to be said", said)
    bench.stop()
    bench.start()
    time.sleep(2)
    after = bench.wait("/data/a", Phase.AVAILABLE)
    assert after.status.tenancy == first.status.tenancy
    assert after.metadata.uid == first.metadata.uid


def test_a_lost_copy_under_a_broken_edit_withdraws_nothing(bench: Bench) -> None:
    bench.inventory("/data/a")
    bench.start()
    first = bench.wait("/data/a", Phase.AVAILABLE)
    bench.stop()
    bench.inventory(text="nodes: {x: [relative]}\nbogus: 1")
    bench.api.delete(kinds.CONFIG_MAP, names.LAST_GOOD + "disks", bench.namespace)
    bench.start()
    time.sleep(2)
    after = bench.wait("/data/a", Phase.AVAILABLE)
    assert after.metadata.uid == first.metadata.uid
    assert bench.pvs(first.metadata.name)
    bench.inventory("/data/b")
    until(
        "the edit that is good to drop it",
        lambda: bench.api.find(kinds.TIDB_VOLUME, bench.name("/data/a")) is None,
    )


def test_a_copy_deleted_by_hand_is_written_again(bench: Bench) -> None:
    bench.inventory("/data/a")
    bench.start()
    bench.wait("/data/a", Phase.AVAILABLE)
    name = names.LAST_GOOD + "disks"
    before = bench.api.get(kinds.CONFIG_MAP, name, bench.namespace)
    bench.api.delete(kinds.CONFIG_MAP, name, bench.namespace)
    again = until("the copy", lambda: bench.api.find(kinds.CONFIG_MAP, name, bench.namespace))
    assert again.data == before.data


def test_unknown_data_is_neither_offered_nor_wiped(bench: Bench) -> None:
    bench.disks.foreign.add(bench.name("/data/a"))
    bench.inventory("/data/a")
    bench.start()
    found = bench.wait("/data/a", Phase.PENDING, "HasData")
    assert "somebody's backup" in found.status.message
    assert found.status.question is not None
    time.sleep(1)
    assert not bench.pvs(found.metadata.name)
    assert bench.name("/data/a") in bench.disks.foreign


def test_pause_holds_a_wipe_until_it_is_lifted(bench: Bench) -> None:
    bench.inventory("/data/a")
    bench.start()
    first = bench.wait("/data/a", Phase.AVAILABLE)
    bench.claim(first)
    bench.wait("/data/a", Phase.BOUND)
    bench.api.merge_patch(kinds.TIDB_VOLUME_FLEET, names.FLEET, {"spec": {"paused": True}})
    bench.release(first)
    bench.wait("/data/a", Phase.RELEASED, "Paused")
    time.sleep(0.5)
    assert bench.pvs(first.metadata.name)
    bench.api.merge_patch(kinds.TIDB_VOLUME_FLEET, names.FLEET, {"spec": {"paused": False}})
    bench.wait("/data/a", Phase.AVAILABLE, not_tenancy=first.status.tenancy)
