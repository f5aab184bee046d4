"""Disks with unknown content, or refused by the daemon: nobody is handed them, and it is said why."""

from __future__ import annotations

from disk_daemon.known import Broken, User
from tests.unit.life.machine import Item
from tests.unit.life.simulate import Sim, desired
from tests.unit.life.stages import bound, on_offer
from tidb_volume.identity import hardware_key
from tidb_volume.life import actions
from tidb_volume.value import Adopt, Phase, Work, WorkState


def test_unknown_data_waits_for_a_person_and_is_wiped_on_the_answer_to_that_question() -> None:
    sim = Sim()
    sim.disk.strays = {Item("stranger", "backup")}
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.PENDING, "HasData")
    assert "backup" in sim.status.message
    assert sim.status.question is not None
    sim.admin(adopt=Adopt(question=sim.status.question.id, action="Wipe"))
    sim.settle()
    assert sim.status.phase is Phase.AVAILABLE
    assert sim.wiped == [""]


def test_a_word_on_unknown_data_that_cannot_be_obeyed_now_says_why_and_still_counts_later() -> None:
    sim = Sim()
    sim.disk.strays = {Item("stranger", "backup")}
    sim.machine.others = (User(who="mount /mnt/by-hand", root="/"),)
    sim.settle()
    assert sim.status.reason == "HasData"
    asked = sim.answer()
    sim.admin(adopt=Adopt(question=asked, action="Wipe"))
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.PENDING, "InUse")
    assert "mount /mnt/by-hand" in sim.status.message
    sim.pause(True)
    sim.settle()
    assert (sim.status.reason, sim.answer()) == ("Paused", asked)
    assert sim.spec.order is None
    sim.pause(False)
    sim.machine.others = ()
    sim.settle()
    assert sim.status.phase is Phase.AVAILABLE
    assert sim.wiped == [""]


def test_an_entry_that_is_back_for_an_unused_disk_waits_for_who_has_it_mounted_and_says_who() -> None:
    sim = on_offer()
    sim.want(None)
    sim.settle()
    sim.machine.others = (User(who="mount /data/other-name", root="/"),)
    sim.want(desired())
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.PENDING, "InUse")
    assert "mount /data/other-name" in sim.status.message
    sim.machine.others = ()
    sim.settle()
    assert sim.status.phase is Phase.AVAILABLE
    assert not sim.wiped


def test_a_blank_disk_whose_record_cannot_be_read_is_unknown_and_the_damage_is_said() -> None:
    sim = Sim()
    damaged = Broken(why="the journal x.json is damaged")
    sim.machine.journals = {hardware_key(sim.disk.identity): damaged}
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.PENDING, "HasData")
    assert "the journal x.json is damaged" in sim.status.message
    assert not sim.disk.tenancies
    sim.admin(adopt=Adopt(question=sim.answer(), action="Wipe"))
    sim.settle()
    assert not sim.pvs, "an answer does not make it readable"
    sim.machine.journals = {}
    sim.later(3600)
    assert sim.status.phase is Phase.AVAILABLE


def test_why_a_free_disk_is_not_made_ready_is_said_and_it_is_tried_again_by_itself() -> None:
    sim = Sim()
    sim.obey()
    assert isinstance(sim.step(), actions.WriteOrder)
    assert sim.volume is not None
    sim.daemon_up = False
    work = Work(order_id=sim.spec.order.id, state=WorkState.REFUSED, reason="ReadOnly", message="the kernel")
    sim.cluster.change_status(sim.volume.metadata.uid, disk=sim.status.disk, work=work)
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.PENDING, "NotMadeReady")
    assert "ReadOnly: the kernel" in sim.status.message
    assert sim.status.retry is not None
    assert sim.status.retry.at in sim.status.message
    assert sim.status.question is None
    assert "--wipe" not in sim.status.message, "nobody would be listened to"
    sim.daemon_up = True
    sim.later(60)
    assert sim.phase() is Phase.AVAILABLE


def test_a_wipe_refused_for_what_is_on_the_disk_is_owed_no_more_and_a_person_is_asked() -> None:
    sim = bound(after="0s")
    sim.release()
    sim.disk.tenancies["bbbbbbbbbbbb"] = {Item("stranger")}
    sim.settle()
    assert (sim.status.phase, sim.status.reason) == (Phase.RELEASED, "WipeRefused")
    assert not sim.status.committed
    assert sim.status.question is not None
    assert not sim.wiped
    sim.later(1e5)
    assert not sim.wiped
