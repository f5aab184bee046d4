"""What an edit does to a disk."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.inventory.build import desired
from tidb_volume.inventory.diff import (
    TABLE,
    Change,
    Edit,
    Effect,
    Standing,
    changes,
    edits,
    effect,
    standing,
)
from tidb_volume.value import Phase, Source

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


DISK = desired(BASE).disks[DEVICE]


@pytest.mark.parametrize(
    ("disk", "pool", "expected"),
    [
        ({}, {}, ()),
        ({}, {"name": "r"}, (Edit.SHAPE,)),
        ({"volume_mode": "Block", "fs_type": ""}, {}, (Edit.SHAPE, Edit.WIPE)),
        ({"volume_mode": "Block"}, {}, (Edit.SHAPE, Edit.WIPE)),
        ({"fs_type": "ext4"}, {}, (Edit.SHAPE,)),
        ({"mount_by": "kubelet"}, {}, (Edit.SHAPE,)),
        ({}, {"wipe": "zero"}, (Edit.WIPE,)),
        ({}, {"after": "2h"}, (Edit.WIPE,)),
        ({}, {"gates": ("g",)}, (Edit.WIPE,)),
        ({}, {"on_release": "keep"}, (Edit.ON_RELEASE,)),
        ({}, {"namespaces": ("db",)}, (Edit.NAMESPACES,)),
        ({}, {"labels": {"a": "b"}}, (Edit.PV_FIELDS,)),
        ({}, {"mount_options": ("noatime",)}, (Edit.PV_FIELDS,)),
        ({"source": Source(device="/dev/sdb", serial="S2")}, {}, (Edit.LEVERS,)),
        ({}, {"mode": "manual"}, (Edit.LEVERS,)),
        ({}, {"node_loss": "1h"}, (Edit.LEVERS,)),
        ({}, {"orphaned_claims": "1h"}, (Edit.LEVERS,)),
        ({"never": "/dev/*"}, {}, (Edit.FORBIDDEN,)),
        ({"listing": "another", "conflict": "listed twice"}, {}, ()),
    ],
)
def test_each_field_of_an_entry_is_an_edit_of_one_row(
    disk: dict[str, Any], pool: dict[str, Any], expected: tuple[Edit, ...]
) -> None:
    edited = msgspec.structs.replace(DISK, pool=msgspec.structs.replace(DISK.pool, **pool), **disk)
    assert edits(DISK, edited) == expected
    back = tuple(Edit.ALLOWED if each is Edit.FORBIDDEN else each for each in expected)
    assert edits(edited, DISK) == back


def test_a_glob_that_is_put_in_anothers_place_forbids_no_more_and_no_less() -> None:
    one, other = (msgspec.structs.replace(DISK, never=glob) for glob in ("/dev/*", "/dev/sd*"))
    assert edits(one, other) == ()


def test_what_is_wanted_on_neither_side_is_no_edit_and_on_one_side_it_came_or_went() -> None:
    assert edits(None, None) == ()
    assert edits(None, DISK) == (Edit.ADDED,)
    assert edits(DISK, None) == (Edit.REMOVED,)


def test_the_volumes_that_an_edit_touches_are_told_in_the_order_of_their_names() -> None:
    some = "pools: {p: {onRelease: wipe}}\nnodes: {n: [%s]}"
    entries = [f"{{path: /data/{each}, pool: p}}" for each in "hbfdagce"]
    before, after = desired(some % ", ".join(entries[:4])), desired(some % ", ".join(entries[4:]))
    found = [change.name for change in changes(before, after)]
    assert found == sorted({*before.disks, *after.disks})
    assert len(found) == len(entries)


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


@pytest.mark.parametrize(
    ("phase", "column"),
    [
        (Phase.PENDING, Standing.FREE),
        (Phase.AVAILABLE, Standing.FREE),
        (Phase.BOUND, Standing.BOUND),
        (Phase.RELEASED, Standing.RELEASED),
        (Phase.WIPING, Standing.RELEASED),
        (Phase.FAILED, Standing.RELEASED),
    ],
)
def test_a_disk_that_failed_or_is_being_wiped_may_have_had_an_owner(phase: Phase, column: Standing) -> None:
    assert standing(phase) is column
