"""A device's life through the real planner and the daemon's real decision, over a device kept in memory: with
a file system of ours, as a raw device, and made from one into the other."""

from __future__ import annotations

import pytest

from disk_daemon.known import Made
from tests.unit.life.cluster import Objects, change
from tests.unit.life.device_sim import DEVICE_NAME, DeviceSim, entry
from tests.unit.life.machine import Daemon, Item
from tests.unit.life.test_every_step import MOST, cut_off, steps
from tidb_volume import names
from tidb_volume.life import actions
from tidb_volume.value import Adopt, Order, Phase, Restore

SHAPES = ("xfs", "Block")


def on_offer(shape: str = "xfs") -> DeviceSim:
    sim = DeviceSim(shape)
    sim.look()
    sim.settle()
    assert sim.phase() is Phase.AVAILABLE
    return sim


def bound(shape: str = "xfs") -> DeviceSim:
    sim = on_offer(shape)
    sim.bind()
    sim.settle()
    assert sim.phase() is Phase.BOUND
    return sim


def released(shape: str = "xfs") -> DeviceSim:
    """Its claim is gone, and nothing stands against its wipe."""
    sim = bound(shape)
    for at in tuple(sim.machine.running.values()):
        for name in "ab":
            sim.disk.write(at.tenancy, Item(at.claim_uid, name))
    sim.cluster.etcd.pods.clear()
    sim.node_side.kubelet()
    sim.cluster.etcd.claims.clear()
    sim.cluster.kube()
    return sim


def path(sim: DeviceSim) -> str:
    (pv,) = sim.pvs
    assert pv.spec.local is not None
    return pv.spec.local.path


def test_a_blank_device_gets_its_file_system_and_is_on_offer_by_the_place_where_that_is_mounted() -> None:
    sim = on_offer()
    assert [type(each).__name__ for each in sim.log] == ["WriteOrder", "CreatePv", "PatchStatus"]
    assert path(sim) == names.tenancy_folder(names.device_mount(DEVICE_NAME), sim.status.tenancy)
    assert sim.machine.place is sim.disk
    assert sim.status.identity is not None
    assert sim.status.identity.fs_uuid == sim.disk.made.uuid


def test_a_blank_raw_device_is_zeroed_and_on_offer_by_a_node_of_its_tenancy() -> None:
    sim = on_offer("Block")
    assert path(sim) == names.block_node(sim.status.tenancy)
    assert sim.machine.nodes == {sim.status.tenancy: sim.disk}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_released_device_is_wiped_once_and_on_offer_under_a_new_name(shape: str) -> None:
    sim = released(shape)
    before = sim.status.tenancy
    sim.settle()
    assert sim.phase() is Phase.AVAILABLE
    assert sim.status.tenancy != before
    assert sim.wiped == [before]
    assert not sim.disk.read(sim.status.tenancy)


@pytest.mark.parametrize("shape", SHAPES)
def test_after_a_boot_a_pod_starts_on_its_data_once_the_daemon_has_looked(shape: str) -> None:
    sim = bound(shape)
    (before,) = sim.machine.running.values()
    sim.reboot()
    sim.node_side.kubelet()
    assert not sim.machine.running
    sim.settle()
    assert tuple(sim.machine.running.values()) == (before,)
    assert sim.status.state == "Bound"


@pytest.mark.parametrize("shape", SHAPES)
def test_after_a_boot_that_moves_another_disk_there_no_pod_starts(shape: str) -> None:
    sim, other = bound(shape), on_offer(shape)
    sim.reboot()
    other.disk.identity = change(other.disk.identity, virtual="8:99")
    sim.machine.slot = other.disk
    sim.settle()
    assert not sim.machine.running
    assert sim.status.disk is not None
    assert sim.status.disk.presence == "WrongDisk"


def test_a_claimed_file_system_whose_journal_is_lost_is_mounted_by_an_order() -> None:
    sim = bound()
    sim.reboot()
    sim.machine.journals.clear()
    sim.settle()
    assert isinstance(sim.spec.order, Order)
    assert sim.spec.order.kind == "mount"
    assert len(sim.machine.running) == 1
    assert sim.disk.items() == {Item(at.claim_uid) for at in sim.machine.running.values()}


def test_a_claimed_raw_device_whose_journal_is_lost_waits_for_a_person_and_keeps_its_data() -> None:
    sim = bound("Block")
    sim.reboot()
    sim.machine.journals.clear()
    sim.settle()
    assert not sim.machine.running
    assert len(sim.disk.items()) == 1
    assert sim.status.state == "Bound (disk trouble)"


@pytest.mark.notices("controller and daemon: a device with unknown data is taken for a blank one", "xfs")
@pytest.mark.parametrize("shape", SHAPES)
def test_data_of_others_is_kept_until_a_person_says_what_to_do(shape: str) -> None:
    sim = DeviceSim(shape)
    sim.disk.make(Made(uuid="theirs", fs_type="ext4"))
    sim.disk.strays.add(Item("stranger"))
    sim.settle()
    assert (sim.phase(), sim.status.reason) == (Phase.PENDING, "HasData")
    assert sim.disk.items() == {Item("stranger")}
    sim.admin(adopt=Adopt(question=sim.answer(), action="Wipe"))
    sim.settle()
    assert sim.phase() is Phase.AVAILABLE
    assert not sim.disk.items()


def test_a_damaged_file_system_is_not_taken_for_a_blank_disk() -> None:
    sim = bound()
    sim.disk.damaged = True
    sim.reboot()
    sim.settle()
    assert sim.phase() is Phase.BOUND
    assert len(sim.disk.items()) == 1
    sim.disk.damaged = False
    sim.settle()
    assert len(sim.machine.running) == 1


@pytest.mark.notices("daemon: a raw device is not read from end to end before it is offered anew")
def test_a_raw_device_that_looks_unused_and_is_not_is_asked_about() -> None:
    sim = on_offer("Block")
    sim.disk.sparse = True
    sim.disk.write(sim.status.tenancy, Item("somebody"))
    sim.admin(cordon=True)
    sim.settle()
    sim.admin(cordon=False)
    sim.settle()
    assert (sim.phase(), sim.status.reason) == (Phase.PENDING, "HasData")
    assert sim.disk.items() == {Item("somebody")}
    sim.admin(adopt=Adopt(question=sim.answer(), action="Wipe"))
    sim.later(31)
    assert sim.phase() is Phase.AVAILABLE
    assert not sim.disk.items()


@pytest.mark.notices("daemon: a pod on a raw device is not journalled")
def test_a_pod_on_a_raw_device_is_noted_before_anybody_has_said_whose_it_is() -> None:
    sim = on_offer("Block")
    etcd = sim.cluster.etcd.copy()
    sim.bind()
    sim.node_side.observe(sim.daemon)
    sim.disk.sparse = True
    sim.cluster.etcd = etcd
    sim.node_side.kubelet()
    sim.settle()
    assert not sim.pvs
    assert (sim.phase(), sim.status.reason) == (Phase.RELEASED, "GoneByHand")


@pytest.mark.parametrize("shape", SHAPES)
def test_a_restore_after_the_commit_gives_back_what_no_daemon_has_begun_with(shape: str) -> None:
    sim = released(shape)
    data = sim.data
    sim.look()
    sim.until(actions.DeletePv)
    sim.step()
    assert sim.status.committed
    sim.admin(restore=Restore(question=sim.answer()))
    sim.settle()
    assert sim.data == data
    assert not sim.wiped
    sim.bind()
    sim.settle()
    assert sim.phase() is Phase.BOUND
    assert len(sim.machine.running) == 1


@pytest.mark.notices("daemon: a device is made into a raw one without zeroes", "xfs-Block")
@pytest.mark.notices("daemon: an edit of the entry changes what a device is taken for", "Block-xfs")
@pytest.mark.parametrize(("before", "after"), [("xfs", "Block"), ("Block", "xfs"), ("xfs", "ext4")])
def test_a_free_device_is_made_into_what_its_entry_says_by_now_and_hands_on_nothing(
    before: str, after: str
) -> None:
    sim = released(before)
    sim.settle()
    sim.want(entry(after))
    sim.settle()
    assert sim.phase() is Phase.AVAILABLE
    assert sim.status.disk is not None
    assert sim.status.disk.made == after
    assert not sim.disk.read(sim.status.tenancy)
    claim = sim.bind()
    sim.settle()
    assert sim.disk.read(sim.status.tenancy) == {Item(claim.metadata.uid)}


def test_a_retired_device_that_nobody_has_is_unmounted_and_comes_back_when_it_is_not() -> None:
    sim = on_offer()
    sim.admin(retire=True)
    sim.settle()
    assert not sim.pvs
    assert sim.machine.place is None
    sim.reboot()
    sim.settle()
    assert sim.machine.place is None
    sim.admin(retire=False)
    sim.settle()
    assert sim.phase() is Phase.AVAILABLE
    assert sim.machine.place is sim.disk


def set_back(sim: DeviceSim, etcd: Objects) -> None:
    """Etcd is what it was, and who leads, and the daemon, know of nothing else."""
    sim.cluster.etcd, sim.daemon = etcd.copy(), Daemon()
    sim.new_leader()
    sim.node_side.kubelet()


@pytest.mark.notices("controller and daemon: who has the device is not asked")
def test_a_raw_device_that_a_container_still_has_is_not_wiped() -> None:
    sim = bound("Block")
    sim.node_side.kubelet_hangs = True
    sim.release()
    sim.settle()
    assert (sim.phase(), sim.status.reason) == (Phase.RELEASED, "InUse")
    assert len(sim.data) == 1


@pytest.mark.notices("daemon: what is begun on a device is not journalled")
def test_a_raw_device_of_which_some_is_gone_is_not_given_back() -> None:
    sim = released("Block")
    assert any(sim.machine.erased for _ in steps(sim))
    assert sim.daemon.child is not None
    sim.daemon.child.steps.close()  # type: ignore[attr-defined]
    sim.daemon = Daemon()
    sim.admin(restore=Restore(question=sim.answer()))
    sim.settle()
    assert sim.phase() is Phase.AVAILABLE
    assert not sim.data


@pytest.mark.notices("daemon: a raw device's tenancy is not compared with the journal's")
def test_an_order_out_of_an_older_etcd_does_not_wipe_the_next_tenant_of_a_raw_device() -> None:
    sim = released("Block")
    sim.look()
    sim.until(actions.DeletePv)
    sim.step()
    etcd = sim.cluster.etcd.copy()
    sim.settle()
    claim = sim.bind("db/data-1")
    sim.settle()
    sim.cluster.etcd.pods.clear()
    set_back(sim, etcd)
    sim.settle()
    assert sim.data == {Item(claim.metadata.uid)}


@pytest.mark.notices("daemon: a raw device looks unused whatever is on it")
def test_a_raw_device_that_was_used_is_not_on_offer_though_nobody_knows_by_whom() -> None:
    sim = on_offer("Block")
    etcd = sim.cluster.etcd.copy()
    sim.bind()
    set_back(sim, etcd)
    sim.settle()
    assert not sim.pvs
    assert len(sim.data) == 1


@pytest.mark.notices("controller: what is on offer is not compared with the device")
@pytest.mark.parametrize("shape", SHAPES)
def test_a_device_that_an_older_etcd_has_on_offer_is_not(shape: str) -> None:
    sim = on_offer(shape)
    etcd = sim.cluster.etcd.copy()
    sim.bind()
    sim.settle()
    set_back(sim, etcd)
    sim.settle()
    assert not sim.pvs
    assert len(sim.data) == 1


@pytest.mark.notices("daemon: an order for a device that was taken back comes back out of a restored etcd")
@pytest.mark.parametrize("shape", SHAPES)
def test_what_was_given_back_is_not_wiped_by_an_order_from_before(shape: str) -> None:
    sim = released(shape)
    sim.look()
    sim.until(actions.DeletePv)
    sim.step()
    etcd = sim.cluster.etcd.copy()
    sim.admin(restore=Restore(question=sim.answer()))
    sim.settle()
    claim = sim.bind()  # no daemon looks meanwhile, and the journal knows nothing of the claim
    sim.cluster.etcd.pods.clear()
    set_back(sim, etcd)
    sim.settle()
    assert Item(claim.metadata.uid) in sim.data


WORKS = [(one, other) for one in ("", *SHAPES) for other in SHAPES]


def begun(before: str, after: str) -> DeviceSim:
    """As it is when that is about to be made of it."""
    if not before:
        return DeviceSim(after)
    if before == after:
        return released(before)
    sim = on_offer(before)
    sim.want(entry(after))
    return sim


def cut(before: str, after: str, at: int, *, took_effect: bool) -> tuple[DeviceSim, str]:
    """Cut before the step of that number, or right after it; the rest comes to its end. before: what the
    device is, released where it stays that; empty: blank. Returns the world, and whose step it was."""
    sim = begun(before, after)
    return sim, cut_off(sim, at, took_effect=took_effect)


def test_where_another_file_system_is_there_since_a_wipe_was_cut_a_person_is_asked_about_that_one() -> None:
    sim = DeviceSim()
    sim.disk.make(Made(uuid="theirs", fs_type="ext4"))
    sim.settle()
    sim.admin(adopt=Adopt(question=sim.answer(), action="Wipe"))
    asked = sim.answer()
    assert any(sim.disk.noise for _ in steps(sim))
    assert sim.daemon.child is not None
    sim.daemon.child.steps.close()
    sim.daemon = Daemon()
    sim.disk.make(Made(uuid="another's", fs_type="ext4"))
    sim.disk.strays.add(Item("another"))
    sim.settle()
    sim.later(3700)
    assert sim.data == {Item("another")}
    assert sim.answer() != asked
    sim.admin(adopt=Adopt(question=sim.answer(), action="Wipe"))
    sim.later(3700)
    assert sim.phase() is Phase.AVAILABLE
    assert not sim.data


@pytest.mark.parametrize("took_effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("shape", SHAPES)
def test_cut_at_any_step_what_a_person_said_is_to_go_goes(shape: str, took_effect: bool) -> None:
    for at in range(MOST):
        sim = DeviceSim(shape)
        sim.disk.make(Made(uuid="theirs", fs_type="ext4"))
        sim.disk.strays.add(Item("stranger"))
        sim.settle()
        sim.admin(adopt=Adopt(question=sim.answer(), action="Wipe"))
        if not cut_off(sim, at, took_effect=took_effect):
            break
        if sim.status.question is not None:  # by a leader who did not order it himself
            sim.admin(adopt=Adopt(question=sim.answer(), action="Wipe"))
            sim.later(3700)
        assert sim.phase() is Phase.AVAILABLE, (at, sim.status)
        assert not sim.data, at
    assert 12 < at < MOST - 1


@pytest.mark.parametrize("took_effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("before", "after"), WORKS)
def test_cut_at_any_step_it_ends_right(before: str, after: str, took_effect: bool) -> None:
    asked = 0
    for at in range(MOST):
        sim, whose = cut(before, after, at, took_effect=took_effect)
        if not whose:
            break
        if sim.status.reason == "GoneByHand":
            asked += 1
            assert sim.status.question is not None
            assert len(sim.data) == (3 if before == after else 0)
            assert not sim.wiped
            continue
        assert sim.phase() is Phase.AVAILABLE, (at, whose, sim.status)
        assert not sim.data, (at, whose)
        assert len(sim.wiped) == (before == after), (at, whose, sim.wiped)
        assert not sim.disk.read(sim.status.tenancy), (at, whose)
        assert [pv.status.phase for pv in sim.pvs] == ["Available"]
        (pv,) = sim.pvs
        assert pv.spec.local is not None
        assert sim.machine.kubelets(pv.spec.local.path) is not None, (at, whose)
    assert at < MOST - 1
    assert at > 12
    assert asked <= 1  # the PersistentVolume is gone, and that is not written down
