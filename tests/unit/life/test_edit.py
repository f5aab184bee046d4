"""What an edit of the inventory changes on a volume's spec."""

from __future__ import annotations

from typing import Any

from tests.unit.life.plans import (
    COUNTED,
    settled,
)
from tests.unit.life.worlds import (
    BLANK,
    BOUND,
    NOW,
    OFFERED,
    but,
    change,
)
from tidb_volume.life import actions
from tidb_volume.life.plan import plan
from tidb_volume.life.world import World
from tidb_volume.value import WipePolicy


def specified(world: World) -> Any:
    action = plan(NOW, settled(world)).action
    assert isinstance(action, actions.WriteSpec)
    return action.spec


def test_an_edit_is_written_whole_for_a_free_disk_and_for_one_in_use_only_where_it_is_stricter() -> None:
    pool: dict[str, Any] = {
        "name": "gold",
        "on_release": "keep",
        "after": "2h",
        "gates": ("g",),
        "labels": {"a": "b"},
        "mount_options": ("noatime",),
    }
    wanted = {"fs_type": "ext4"}
    free = specified(but(BLANK, pool=pool, wanted=wanted))
    wipe = WipePolicy(on_release="keep", after="2h", method="files", gates=("g",))
    assert free == change(
        BLANK.volume.spec,
        pool="gold",
        fs_type="ext4",
        mount_options=("noatime",),
        labels={"a": "b"},
        wipe=wipe,
    )
    block = specified(but(BLANK, wanted={"volume_mode": "Block"}))
    assert block.volume_mode == "Block"
    for used in (BOUND, COUNTED):
        assert specified(but(used, pool=pool, wanted=wanted)) == change(used.volume.spec, wipe=wipe)
    gentle = {"after": "1s", "gates": ("h",)}
    offered = specified(but(OFFERED, pool=gentle))
    assert offered.wipe == WipePolicy(on_release="wipe", after="1s", method="files", gates=("h",))
    assert offered == change(OFFERED.volume.spec, wipe=offered.wipe)
    assert specified(but(BOUND, pool=gentle)).wipe == WipePolicy(
        on_release="wipe", after="1h", method="files", gates=("h",)
    )
