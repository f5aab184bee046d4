"""What an edit does to a disk."""

from __future__ import annotations

import pytest

from tests.unit.inventory.build import desired
from tidb_volume.inventory.diff import TABLE, Change, Edit, Effect, changes, effect, standing
from tidb_volume.value import Phase

BASE = """
pools:
  p: {onRelease: wipe, wipeAfter: 1h, wipe: auto}
  q: {onRelease: wipe, wipeAfter: 1h, wipe: auto}
nodes:
  n:
  - {path: /data/a, pool: p}
  - {device: /dev/sdb, serial: S1, pool: q}
"""
PATH, DEVICE = sorted(desired(BASE).disks)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("nodes:", "# a comment\nnodes:", []),
        ("{path: /data/a, pool: p}", "{pool: p, path: /data/a}", []),
        ("  - {path: /data/a, pool: p}\n", "", [(PATH, Edit.REMOVED)]),
        ("pool: p}", "pool: q}", [(PATH, Edit.SHAPE)]),
        ("pool: q}", "pool: q, volumeMode: Block}", [(DEVICE, Edit.SHAPE, Edit.WIPE)]),
        ("pool: q}", "pool: q, fsType: ext4}", [(DEVICE, Edit.SHAPE)]),
        ("p: {onRelease: wipe,", "p: {onRelease: keep,", [(PATH, Edit.ON_RELEASE)]),
        ("p: {onRelease: wipe, wipeAfter: 1h", "p: {onRelease: wipe, wipeAfter: 2h", [(PATH, Edit.WIPE)]),
        ("p: {onRelease: wipe,", "p: {onRelease: wipe, gates: [g],", [(PATH, Edit.WIPE)]),
        ("p: {onRelease: wipe, wipeAfter: 1h, wipe: auto", "p: {onRelease: wipe, wipe: files", []),
        ("p: {onRelease: wipe,", "p: {onRelease: wipe, labels: {a: b},", [(PATH, Edit.PV_FIELDS)]),
        ("p: {onRelease: wipe,", "p: {onRelease: wipe, mountOptions: [noatime],", [(PATH, Edit.PV_FIELDS)]),
        ("p: {onRelease: wipe,", "p: {onRelease: wipe, mode: auto,", [(PATH, Edit.LEVERS)]),
        ("serial: S1", "serial: S2", [(DEVICE, Edit.LEVERS)]),
        ("pools:", "never: [/data]\npools:", [(PATH, Edit.FORBIDDEN)]),
    ],
)
def test_what_changed_is_told_by_the_row_of_the_table(
    old: str, new: str, expected: list[tuple[str, Edit]]
) -> None:
    assert old in BASE
    found = changes(desired(BASE), desired(BASE.replace(old, new, 1)))
    assert list(found) == [Change(name=name, edits=tuple(edits)) for name, *edits in expected]


def test_an_edit_taken_back_is_told_the_other_way() -> None:
    forbidden = "never: [/dev/sdb]\n" + BASE
    assert changes(desired(forbidden), desired(BASE)) == (Change(name=DEVICE, edits=(Edit.ALLOWED,)),)
    assert [change.edits for change in changes(desired("nodes: {}"), desired(BASE))] == [(Edit.ADDED,)] * 2


def test_a_path_that_becomes_a_device_is_one_disk_removed_and_another_added() -> None:
    after = BASE.replace("path: /data/a", "device: /dev/disk/by-id/a")
    assert {change.edits for change in changes(desired(BASE), desired(after))} == {
        (Edit.ADDED,),
        (Edit.REMOVED,),
    }


@pytest.mark.parametrize(
    ("edit", "phase", "expected"),
    [
        (Edit.ADDED, Phase.PENDING, Effect.OBSERVE),
        (Edit.REMOVED, Phase.AVAILABLE, Effect.WITHDRAW),
        (Edit.REMOVED, Phase.BOUND, Effect.DROP_WHEN_RELEASED),
        (Edit.REMOVED, Phase.RELEASED, Effect.DROP),
        (Edit.REMOVED, Phase.WIPING, Effect.DROP),
        (Edit.SHAPE, Phase.AVAILABLE, Effect.OFFER_ANEW),
        (Edit.SHAPE, Phase.BOUND, Effect.PENDING),
        (Edit.SHAPE, Phase.WIPING, Effect.AFTER_WIPE),
        (Edit.WIPE, Phase.PENDING, Effect.AT_ONCE),
        (Edit.WIPE, Phase.BOUND, Effect.STRICTER),
        (Edit.WIPE, Phase.RELEASED, Effect.STRICTER),
        (Edit.ON_RELEASE, Phase.AVAILABLE, Effect.PV_ANEW),
        (Edit.ON_RELEASE, Phase.BOUND, Effect.POOL_KEEP),
        (Edit.NAMESPACES, Phase.BOUND, Effect.REPORTED),
        (Edit.FORBIDDEN, Phase.AVAILABLE, Effect.TAKE_BACK),
        (Edit.FORBIDDEN, Phase.BOUND, Effect.FORBIDDEN_WHEN_RELEASED),
        (Edit.FORBIDDEN, Phase.RELEASED, Effect.FORBIDDEN),
        (Edit.ALLOWED, Phase.RELEASED, Effect.GOES_ON),
    ],
)
def test_the_table_is_the_contracts(edit: Edit, phase: Phase, expected: Effect) -> None:
    assert effect(edit, phase) is expected


def test_every_edit_has_its_row_and_every_phase_its_column() -> None:
    assert set(TABLE) == set(Edit)
    assert {effect(edit, phase) for edit in Edit for phase in Phase} == set(Effect)
    assert {standing(phase) for phase in Phase}
