"""A claimed device whose journal is lost is mounted again where all on record agrees, else it is said."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.life.cluster import change
from tests.unit.life.simulate import Sim, desired, pool
from tidb_volume.inventory import policy
from tidb_volume.life import actions, status
from tidb_volume.life.look import look
from tidb_volume.life.plan import plan
from tidb_volume.life.world import World
from tidb_volume.units import Instant, parse_instant
from tidb_volume.value import Admin, Content, Identity, Order, Presence, Source, VolumeStatus, Work, WorkState

UUID = "4f2c"
HARDWARE = Identity(serial="S1", model="M", size_bytes=1 << 30)
RECORDED = change(HARDWARE, fs_uuid=UUID)
DEVICE = Source(device="/dev/disk/by-id/x")


def bound(*, source: Source = DEVICE, identity: Identity = RECORDED, mode: str = "Filesystem") -> World:
    """A claim has the device, and all agree."""
    sim = Sim(desired(pool(after="0s")))
    sim.settle()
    sim.bind()
    sim.settle()
    sim.controller.catch_up()
    world = sim.controller.world(sim.controller.view.volume)  # type: ignore[arg-type]
    assert world.volume.status.disk is not None
    disk = change(world.volume.status.disk, identity=identity)
    known = change(world.volume.status, identity=identity, disk=disk)
    wanted = desired(pool(after="0s"), source=source, fs_type="xfs", volume_mode=mode)
    wipe = policy.wipe_policy(wanted)
    spec = change(world.volume.spec, source=source, fs_type="xfs", volume_mode=mode, wipe=wipe)
    return settled(change(world, volume=change(world.volume, spec=spec, status=known), desired=wanted))


def settled(world: World) -> World:
    """With all written that is to be remembered or shown."""
    for _ in range(4):
        action = plan(NOW, world).action
        if not isinstance(action, actions.PatchStatus):
            break
        world = change(world, volume=change(world.volume, status=action.status))
    return world


def shown(world: World) -> VolumeStatus:
    """What the volume shows once nothing is left to be done."""
    return status.compute(world, look(world), NOW)


NOW = Instant(1_800_000_000.0)


def seen(world: World, **fields: Any) -> World:
    """The daemon says this of the disk now: by default, that the journal is lost."""
    lost: dict[str, Any] = {
        "content": Content.DATA,
        "content_note": "xfs (4f2c)",
        "tenancy": "",
        "journal": "",
        "empty": False,
    }
    assert world.volume.status.disk is not None
    disk = change(world.volume.status.disk, **{**lost, **fields})
    return settled(change(world, volume=change(world.volume, status=change(world.volume.status, disk=disk))))


def ordered(world: World, now: Instant = NOW) -> Order | None:
    action = plan(now, world).action
    return action.order if isinstance(action, actions.WriteOrder) else None


def healthy(world: World) -> str:
    found = [each for each in shown(world).conditions if each.type == "DiskHealthy"]
    return found[0].message if found else ""


def test_the_order_names_the_claimed_tenancy_the_hardware_and_the_file_system() -> None:
    world = bound()
    assert ordered(world) is None
    assert not healthy(world)
    lost = seen(world)
    order = ordered(lost)
    assert order is not None
    assert (order.kind, order.ends, order.next) == ("mount", "", world.volume.status.tenancy)
    assert order.identity == RECORDED
    assert not order.answer
    assert not order.whole_disk
    assert shown(lost).state == "Bound (disk trouble)"
    assert "is not to be seen on it, there is xfs (4f2c)" in healthy(lost)


OTHER = change(HARDWARE, fs_uuid="5555")
REFUSED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("another file system", {}, {"identity": OTHER}),
    ("no file system", {}, {"identity": HARDWARE}),
    ("none on record", {"identity": HARDWARE}, {"identity": RECORDED}),
    ("a journal that cannot be read", {}, {"journal_broken": True}),
    ("a journal that knows another tenancy", {}, {"journal": "a" * 12}),
    ("the rest of a wipe", {}, {"trash": ("order-1",)}),
    ("nothing", {}, {"content": Content.BLANK}),
    ("nobody knows what", {}, {"content": Content.UNKNOWN}),
    ("a folder, which the admin mounts", {"source": Source(path="/data/disk0")}, {}),
    ("a raw device", {"mode": "Block"}, {}),
]


@pytest.mark.parametrize(("before", "now"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_where_anything_disagrees_nothing_is_ordered_and_it_is_said(
    before: dict[str, Any], now: dict[str, Any]
) -> None:
    world = seen(bound(**before), **now)
    assert ordered(world) is None
    assert healthy(world)


@pytest.mark.parametrize("presence", [Presence.NOT_PRESENT, Presence.WRONG_DISK, Presence.STUCK])
def test_a_disk_that_is_not_there_is_not_ordered_to_be_mounted(presence: Presence) -> None:
    assert ordered(seen(bound(), presence=presence)) is None


def test_a_raw_device_names_the_node_that_a_person_may_make() -> None:
    world = seen(bound(mode="Block"))
    assert f"/dev/tidb-volume/{world.volume.status.tenancy} by hand" in healthy(world)


def test_a_disk_that_no_claim_has_is_not_taken_up() -> None:
    world = seen(bound())
    free = change(world, pvs=(), claim=None)
    order = ordered(settled(free))
    assert order is None or order.kind != "mount"


def test_nothing_is_ordered_without_a_daemon() -> None:
    world = seen(bound())
    assert ordered(change(world, daemon=change(world.daemon, ready=False))) is None


def with_order(world: World, state: WorkState | None, reason: str = "", at: Instant = NOW) -> World:
    """The order to mount was written, and the daemon said this of it."""
    order = ordered(world, at)
    assert order is not None
    work = Work(order_id=order.id, state=state, reason=reason, message="why") if state is not None else None
    known = change(world.volume.status, work=work)
    spec = change(world.volume.spec, order=order)
    return settled(change(world, volume=change(world.volume, spec=spec, status=known)))


def test_an_order_without_an_answer_is_waited_for() -> None:
    world = seen(bound())
    assert ordered(with_order(world, None)) is None
    waits = with_order(world, WorkState.RUNNING, "Paused")
    assert ordered(waits) is None
    assert "to mount it: Paused: why" in healthy(waits)


@pytest.mark.parametrize("state", [WorkState.REFUSED, WorkState.FAILED, WorkState.DONE])
def test_an_order_in_vain_is_followed_by_another_after_growing_pauses(state: WorkState) -> None:
    world = seen(bound())
    pauses, at = [], NOW
    for _ in range(3):
        world = with_order(world, state, "HasData", at)
        assert ordered(world) is None
        assert world.volume.status.retry is not None
        at = parse_instant(world.volume.status.retry.at)
        pauses.append(at - NOW)
        assert plan(NOW, world).again_at == at
        fresh = change(world.fresh, order=f"{world.fresh.order}-{len(pauses)}")
        world = change(world, fresh=fresh)
        assert ordered(world, at) is not None
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[-1]
    assert "to mount it: HasData: why" in healthy(world)


def test_once_it_is_mounted_all_is_as_before() -> None:
    before = bound()
    world = with_order(seen(before), WorkState.DONE)
    tenancy = before.volume.status.tenancy
    after = seen(world, content=Content.TENANCY, tenancy=tenancy, journal=tenancy)
    assert ordered(after) is None
    assert after.volume.status.state == "Bound"
    assert after.volume.status.retry is None
    assert after.volume.status.tenancy == tenancy


def retired(**fields: Any) -> World:
    """Nobody has the device, its offer was taken back, and a person retired it."""
    world = bound()
    tenancy = world.volume.status.tenancy
    fresh = {
        "owner": None,
        "dirty": False,
        "withdrawn": tenancy,
        "volume_uid": "",
        "volume_name": "",
        "question": None,
    }
    spec = change(world.volume.spec, order=None, admin=Admin(retire=True))
    volume = change(world.volume, spec=spec, status=change(world.volume.status, **fresh))
    world = change(world, volume=volume, pvs=(), claim=None, pods=())
    known = {"content": Content.TENANCY, "tenancy": tenancy, "journal": tenancy, "empty": True, "in_use": ""}
    return seen(world, **{**known, **fields})


def put_away() -> World:
    """The same, and the daemon has unmounted it."""
    world = retired()
    order = ordered(world)
    assert order is not None
    assert (order.kind, order.ends, order.offer) == ("unmount", "", False)
    tenancy = world.volume.status.tenancy
    world = change(world, volume=change(world.volume, spec=change(world.volume.spec, order=order)))
    assert ordered(settled(world)) is None, "an order without an answer is waited for"
    work = Work(order_id=order.id, state=WorkState.DONE)
    status = change(world.volume.status, work=work)
    return seen(change(world, volume=change(world.volume, status=status)), journal=tenancy)


def test_a_retired_device_that_nobody_has_is_unmounted_once() -> None:
    world = put_away()
    assert ordered(world) is None
    assert shown(world).reason == "Retired"


def test_what_keeps_a_retired_device_from_being_unmounted_is_said() -> None:
    """Who pulls it out goes by what it says."""
    world = put_away()
    assert "not unmounted" not in shown(world).message
    order = world.volume.spec.order
    assert order is not None
    work = Work(order_id=order.id, state=WorkState.RUNNING, reason="InUse", message="sleep (pid 7)")
    for fields in ({"admin": Admin(retire=True)}, {"admin": Admin()}):
        spec, status = change(world.volume.spec, **fields), change(world.volume.status, work=work)
        used = seen(change(world, volume=change(world.volume, spec=spec, status=status)))
        assert "not unmounted yet, InUse: sleep (pid 7)" in shown(used).message


def test_a_retired_device_that_was_wiped_for_good_is_unmounted_too() -> None:
    world = retired()
    status = change(world.volume.status, tenancy="", withdrawn="")
    world = change(world, volume=change(world.volume, status=status))
    clean = {"content": Content.BLANK, "tenancy": "", "journal": "", "empty": False, "identity": OTHER}
    world = seen(world, **clean)
    assert world.volume.status.identity == OTHER, "made anew by the wipe"
    order = ordered(world)
    assert order is not None
    assert order.kind == "unmount"


def test_a_retired_device_that_is_listed_again_is_offered_anew_with_no_question() -> None:
    world = put_away()
    spec = change(world.volume.spec, admin=Admin())
    world = settled(change(world, volume=change(world.volume, spec=spec)))
    order = ordered(world)
    assert order is not None
    assert (order.kind, order.ends, order.offer) == ("prepare", world.volume.status.tenancy, True)
    assert shown(world).question is None


@pytest.mark.parametrize("fields", [{"identity": OTHER}, {"journal": "b" * 12}, {"journal_broken": True}])
def test_what_is_there_after_an_unmount_and_is_not_what_was_unmounted_is_unknown(
    fields: dict[str, Any],
) -> None:
    world = put_away()
    spec = change(world.volume.spec, admin=Admin())
    world = change(world, volume=change(world.volume, spec=spec))
    tenancy = world.volume.status.tenancy
    world = seen(world, **{"journal": tenancy, **fields})
    assert ordered(world) is None
    assert shown(world).reason == "HasData"


@pytest.mark.parametrize(
    "fields",
    [
        {"empty": False},
        {"in_use": "pod x"},
        {"journal": ""},
        {"identity": HARDWARE},
        {"content": Content.DATA},
        {"presence": Presence.NOT_MOUNTED},
    ],
)
def test_a_retired_device_of_which_anything_is_unknown_is_left_as_it_is(fields: dict[str, Any]) -> None:
    assert ordered(retired(**fields)) is None


def test_the_file_system_of_a_device_is_recorded_once_the_journal_has_it_as_made() -> None:
    world = bound(identity=HARDWARE)
    tenancy = world.volume.status.tenancy
    told = seen(world, content=Content.TENANCY, tenancy=tenancy, journal=tenancy, identity=RECORDED)
    assert told.volume.status.identity == RECORDED
    assert all(each.what != "another disk accepted" for each in told.volume.status.history)


@pytest.mark.parametrize(
    "fields",
    [
        {"journal_broken": True},
        {"journal": ""},
        {"content": Content.DATA, "tenancy": ""},
        {"presence": Presence.WRONG_DISK},
    ],
)
def test_a_file_system_that_no_journal_knows_is_not_recorded(fields: dict[str, Any]) -> None:
    world = bound()
    tenancy = world.volume.status.tenancy
    known = {"content": Content.TENANCY, "tenancy": tenancy, "journal": tenancy, "identity": OTHER}
    assert seen(world, **{**known, **fields}).volume.status.identity == RECORDED


def test_the_file_system_under_a_folder_is_the_admins_and_is_never_recorded_anew() -> None:
    world = bound(source=Source(path="/data/disk0"))
    tenancy = world.volume.status.tenancy
    told = seen(world, content=Content.TENANCY, tenancy=tenancy, journal=tenancy, identity=OTHER)
    assert told.volume.status.identity == RECORDED


@pytest.mark.parametrize("mine", [True, False])
def test_a_device_that_is_retired_again_while_it_is_made_ready_is_unmounted_when_that_is_done(
    *, mine: bool
) -> None:
    """The order to make it ready mounted it, and made a tenancy that no offer began."""
    world = asked(put_away(), Admin())
    order = ordered(world)
    assert order is not None
    assert (order.kind, order.offer) == ("prepare", True)
    world = obeyed(asked(world, Admin(retire=True), order), order, mine=mine)
    if not mine:
        again = ordered(world)
        assert again is not None
        assert (again.kind, again.next) == ("prepare", order.next), (
            "what another leader was told is asked anew"
        )
        world = obeyed(asked(world, Admin(retire=True), again), again, mine=True)
    last = ordered(world)
    assert last is not None
    assert last.kind == "unmount"
    assert shown(world).reason == "Retired"

    world = asked(world, Admin(), last)
    status = change(world.volume.status, work=Work(order_id=last.id, state=WorkState.DONE))
    world = seen(change(world, volume=change(world.volume, status=status)), journal=order.next)
    anew = ordered(world)
    assert anew is not None
    assert (anew.kind, anew.ends, anew.offer) == ("prepare", order.next, True)


def asked(world: World, admin: Admin, order: Order | None = None) -> World:
    """A person says so, and the order that is given stands."""
    order = order or world.volume.spec.order
    spec = change(world.volume.spec, admin=admin, order=order)
    fresh = change(world.fresh, order=f"{world.fresh.order}+", tenancy="f" * 12)
    return settled(change(world, volume=change(world.volume, spec=spec), fresh=fresh))


def obeyed(world: World, order: Order, *, mine: bool) -> World:
    """The daemon has done it, and tells what is there now."""
    world = change(world, mine=change(world.mine, orders=frozenset({order.id} if mine else ())))
    status = change(world.volume.status, work=Work(order_id=order.id, state=WorkState.DONE))
    world = change(world, volume=change(world.volume, status=status))
    tenancy = {"content": Content.TENANCY, "tenancy": order.next, "journal": order.next, "empty": True}
    return seen(world, **tenancy, in_use="", capacity_bytes=1 << 30)
