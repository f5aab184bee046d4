"""The form of the format is tested whole, also the part that this version refuses as not obeyed yet."""

from __future__ import annotations

import pytest

from tidb_volume.inventory import policy, settings

FORM = ("test_diff", "test_disks", "test_merge", "test_policy", "test_pools")
"""Files about what a text means; examples, codes and the refusals themselves are tested as they stand."""


@pytest.fixture(autouse=True)
def as_if_built(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.module.__name__.rpartition(".")[2] not in FORM or "not_obeyed" in request.node.name:
        return
    rows = []
    for row in settings.NOT_YET:
        if row.key == "volumeMode":
            continue
        if row.key == "wipe":
            rows.append(
                settings.NotYet(
                    key=row.key,
                    refuses=lambda value: policy.base(value) in {"overwrite", "nvme-format"},
                    values=row.values,
                    way_out=row.way_out,
                )
            )
        else:
            rows.append(row)
    monkeypatch.setattr(settings, "NOT_YET", tuple(rows))
