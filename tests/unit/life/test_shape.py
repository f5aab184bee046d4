"""A disk that was made ready in one shape is not offered in another, but made ready anew."""

from __future__ import annotations

import pytest

from tests.unit.life.cluster import change
from tests.unit.life.simulate import Sim, desired, pool
from tidb_volume.inventory import policy
from tidb_volume.life import actions, show
from tidb_volume.life.look import look
from tidb_volume.life.plan import plan
from tidb_volume.life.world import World
from tidb_volume.units import Instant
from tidb_volume.upstream import Pv
from tidb_volume.value import Content, Order, Source, VolumeStatus, Work, WorkState

NOW = Instant(1_800_000_000.0)
TENANCY, ENDED = "aaaaaaaaaaaa", "eeeeeeeeeeee"


def prepared(
    made: str, mode: str, fs_type: str, options: tuple[str, ...] = (), old: tuple[str, ...] | None = None
) -> World:
    """An order of ours has just made a device ready; then the entry was edited. old: the spec's options."""
    sim = Sim(desired(pool(after="0s")))
    sim.settle()
    sim.controller.catch_up()
    world = sim.controller.world(sim.controller.view.volume)  # type: ignore[arg-type]
    known = world.volume.status
    assert known.disk is not None
    disk = change(
        known.disk, made=made, content=Content.TENANCY, tenancy=TENANCY, journal=TENANCY, empty=True
    )
    order = Order(id="order-1", kind="prepare", next=TENANCY, offer=True, epoch=1, identity=known.identity)
    wanted = desired(
        pool(after="0s", mount_options=options),
        source=Source(device="/dev/disk/by-id/x"),
        volume_mode=mode,
        fs_type=fs_type,
    )
    spec = change(
        world.volume.spec,
        source=wanted.source,
        volume_mode=mode,
        fs_type=fs_type,
        mount_options=options if old is None else old,
        wipe=policy.wipe_policy(wanted),
        order=order,
    )
    status = VolumeStatus(
        phase=known.phase,
        identity=known.identity,
        disk=disk,
        work=Work(order_id=order.id, state=WorkState.DONE),
    )
    volume = change(world.volume, spec=spec, status=status)
    mine = change(world.mine, orders=frozenset({order.id}))
    return change(world, volume=volume, desired=wanted, pvs=(), mine=mine)


@pytest.mark.parametrize(
    ("made", "mode", "fs_type", "ready"),
    [
        ("xfs", "Filesystem", "xfs", True),
        ("xfs", "Filesystem", "ext4", False),
        ("xfs", "Block", "", False),
        ("Block", "Block", "", True),
        ("Block", "Filesystem", "xfs", False),
        # A daemon that does not say so.
        ("", "Filesystem", "xfs", True),
    ],
)
def test_what_is_offered_is_in_the_shape_that_the_entry_wants_by_now(
    made: str, mode: str, fs_type: str, ready: bool
) -> None:
    world = prepared(made, mode, fs_type)
    assert look(world).ready is ready
    action = settled_action(world)
    if ready:
        assert isinstance(action, actions.CreatePv)
        return
    assert isinstance(action, actions.WriteOrder)
    assert action.order is not None
    assert (action.order.kind, action.order.ends) == ("prepare", TENANCY)
    assert action.order.next != TENANCY


def test_pods_get_the_options_that_are_flags_of_a_mount_and_the_daemon_all_of_them() -> None:
    world = prepared("ext4 noatime nodelalloc", "Filesystem", "ext4", ("nodelalloc", "noatime"))
    action = settled_action(world)
    assert isinstance(action, actions.CreatePv)
    assert action.manifest["spec"]["mountOptions"] == ["noatime"]


def test_an_edit_of_the_options_is_written_for_a_free_disk_and_makes_it_ready_anew() -> None:
    edited = prepared("ext4", "Filesystem", "ext4", ("nodelalloc",), old=())
    action = settled_action(edited)
    assert isinstance(action, actions.WriteSpec)
    assert action.spec.mount_options == ("nodelalloc",)
    action = settled_action(prepared("ext4", "Filesystem", "ext4", ("nodelalloc",)))
    assert isinstance(action, actions.WriteOrder)
    assert action.order is not None
    assert action.order.ends == TENANCY


def test_an_edit_of_the_options_is_pending_while_a_claim_has_the_disk() -> None:
    sim = Sim(desired(pool(after="0s")))
    sim.settle()
    sim.bind()
    sim.settle()
    sim.controller.catch_up()
    world = sim.controller.world(sim.controller.view.volume)  # type: ignore[arg-type]
    assert not show.edit_pending(world)
    edited = change(world, desired=desired(pool(after="0s", mount_options=("noatime",))))
    assert show.edit_pending(edited)
    assert not isinstance(settled_action(edited), actions.WriteSpec)


def test_an_edit_of_the_labels_makes_a_free_volume_anew_and_a_bound_one_after_its_wipe() -> None:
    sim = Sim(desired(pool(after="0s", labels={"tier": "gold", "rack": "b"})))
    sim.settle()
    first = only(sim)
    sim.want(desired(pool(after="0s", labels={"tier": "silver"})))
    sim.settle()
    second = only(sim)
    assert second.metadata.name != first.metadata.name
    assert (second.metadata.labels["tier"], second.metadata.labels.get("rack")) == ("silver", None)
    assert not sim.wiped
    sim.bind()
    sim.settle()
    sim.want(desired(pool(after="0s")))
    sim.settle()
    assert only(sim).metadata.labels["tier"] == "silver"
    assert any(each.type == "EditPending" for each in sim.status.conditions)
    sim.release()
    sim.settle()
    assert "tier" not in only(sim).metadata.labels


def only(sim: Sim) -> Pv:
    """The one PersistentVolume that there is."""
    (found,) = sim.pvs
    return found


def settled_action(world: World) -> actions.Action | None:
    """What is done once all is written that is to be shown."""
    for _ in range(4):
        action = plan(NOW, world).action
        if not isinstance(action, actions.PatchStatus):
            return action
        world = change(world, volume=change(world.volume, status=action.status))
    return None


@pytest.mark.parametrize("ours", [True, False])
def test_a_released_disk_whose_edit_waited_for_its_wipe_is_made_ready_anew_after_it(ours: bool) -> None:
    """Another leader's `done` is asked for once more first."""
    world = prepared("Block", "Filesystem", "ext4")
    order = world.volume.spec.order
    assert order is not None
    wipe = change(order, kind="reclaim", ends=ENDED)
    status = change(world.volume.status, tenancy=ENDED, dirty=True, committed=wipe.id)
    volume = change(world.volume, spec=change(world.volume.spec, order=wipe), status=status)
    mine = change(world.mine, orders=frozenset({wipe.id} if ours else ()))
    action = settled_action(change(world, volume=volume, mine=mine))
    assert isinstance(action, actions.WriteOrder)
    assert action.order is not None
    expected = ("prepare", TENANCY) if ours else ("reclaim", ENDED)
    assert (action.order.kind, action.order.ends) == expected
