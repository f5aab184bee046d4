"""What this version does not obey yet is refused where it is written, and says what to write instead."""

from __future__ import annotations

import pytest

from tests.unit.inventory.build import errors
from tidb_volume.inventory.settings import NOT_YET, SETTINGS

POOL = "pools: {{p: {{onRelease: wipe, {}}}}}\n"
ENTRY = (
    "defaultPool: p\npools: {{p: {{onRelease: wipe}}}}\nnodes: {{n: [{{device: /dev/disk/by-id/x, {}}}]}}\n"
)
REFUSED = [
    (POOL, "orphanedClaims: {delete, after: 30m}"),
    (POOL, "namespaces: [a]"),
    (ENTRY, "mountBy: kubelet"),
]


@pytest.mark.parametrize(("text", "setting"), REFUSED)
def test_what_is_not_obeyed_yet_is_refused_with_the_way_out(text: str, setting: str) -> None:
    key = setting.partition(":")[0]
    (problem,) = errors(text.format(setting))
    assert problem.code == "TV040"
    assert key in problem.what
    assert [row.way_out for row in NOT_YET if row.key == key] == [problem.way_out]


def test_every_row_of_the_table_is_tried() -> None:
    assert {row.key for row in NOT_YET} == {setting.partition(":")[0] for _, setting in REFUSED}


def test_it_is_a_known_setting_with_a_way_out() -> None:
    known = {setting.key for setting in SETTINGS} | {"mountBy", "volumeMode"}
    assert {row.key for row in NOT_YET} <= known
    assert all(row.way_out and row.values for row in NOT_YET)


@pytest.mark.as_if_built("mountBy: kubelet")
def test_a_test_that_takes_one_value_as_built_still_meets_the_others() -> None:
    assert errors(ENTRY.format("mountBy: kubelet")) == ()
    assert [problem.code for problem in errors(POOL.format("namespaces: [a]"))] == ["TV040"]
