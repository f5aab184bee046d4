"""A volume's story: told from the same world and by the same planner that the controller decides with."""

from __future__ import annotations

from tests.unit.cli.build import HOSTILE, text
from tests.unit.life.machine import Item
from tests.unit.life.simulate import NAME, NODE, Sim, change, desired, pool
from tidb_volume.cli import explain, story
from tidb_volume.cli.story import Story
from tidb_volume.kube import codec
from tidb_volume.life.around import Around
from tidb_volume.life.world import World
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import Adopt, Answer, Meta, NodeReport, Phase, Ref, Restore, VolumeNode

RESTORE = f"kubectl tidb-volume restore {NAME}"


def on_offer(**settings: object) -> Sim:
    sim = Sim(desired(pool(**settings)))
    sim.settle()
    return sim


def bound(**settings: object) -> Sim:
    sim = on_offer(**settings)
    sim.bind()
    sim.settle()
    return sim


def released(**settings: object) -> Sim:
    sim = bound(**settings)
    sim.release()
    sim.settle()
    return sim


def world(sim: Sim) -> World:
    sim.controller.catch_up()
    assert sim.volume is not None
    return sim.controller.world(sim.volume)


def tell(sim: Sim, *events: codec.Event) -> Story:
    return story.tell(world(sim), events, sim.now)


def steps(told: Story) -> str:
    return "\n".join(step.text for step in told.next)


def commands(told: Story) -> list[str]:
    return [each.command for each in told.may]


def test_the_life_runs_from_the_inventorys_line_to_the_wipe() -> None:
    sim = released()
    sim.later(3601)
    told = tell(sim)
    assert told.phase is Phase.AVAILABLE
    assert [moment.what for moment in told.life] == [
        "declared",
        "seen",
        "offered",
        "bound to db/data-0",
        "released by db/data-0",
        "wipe committed: the point of no return",
        "wiped and offered again",
    ]


def test_a_countdown_says_when_and_what_then() -> None:
    sim = released(after="20m")
    told = tell(sim)
    assert told.next[0].at == format_instant(Instant(sim.now + 1200))
    assert f"the daemon of {NODE} is ordered to wipe it by files" in told.next[0].text
    assert "the point of no return" in told.next[1].text
    assert "on offer again" in told.next[2].text
    assert told.owner == "db/data-0"


def test_everything_that_stands_before_a_wipe_is_named_not_only_the_first() -> None:
    sim = released()
    sim.pause(True)
    waits = tell(sim).waits
    assert len(waits) == 2
    assert waits[0].startswith("the data is wiped at")
    assert waits[1].startswith("the fleet is paused")


def test_a_hold_and_a_gate_behind_a_policy_are_named_too() -> None:
    sim = bound()
    sim.policy("Retain")
    sim.admin(hold=True, gates={"backup": "runs"})
    sim.release()
    sim.settle()
    waits = tell(sim).waits
    assert ["reclaim policy is Retain" in waits[0], "held" in waits[1], "backup" in waits[2]] == [True] * 3
    assert len(waits) == 3


def test_a_paused_wipe_that_is_due_promises_no_time() -> None:
    sim = released()
    sim.pause(True)
    sim.now = Instant(sim.now + 7200)
    told = tell(sim)
    assert not any(step.at for step in told.next)
    assert "kubectl tidb-volume resume" in commands(told)


def test_a_kept_volume_waits_for_a_person_and_offers_no_patch_that_would_do_nothing() -> None:
    sim = released(on_release="keep")
    told = tell(sim)
    assert steps(told) == "nothing by itself: it waits for a person"
    assert commands(told) == [
        f"kubectl tidb-volume hold {NAME}",
        f"kubectl tidb-volume wipe-now {NAME}",
        RESTORE,
    ]


def test_data_whose_owner_is_known_can_be_given_back_until_it_is_asked_for() -> None:
    sim = released()
    assert RESTORE in commands(tell(sim))
    assert any("give the data back to db/data-0" in each.does for each in tell(sim).may)
    sim.admin(restore=Restore(question=sim.answer()))
    assert RESTORE not in commands(tell(sim))


def test_retain_on_a_wiping_pool_offers_the_patch_to_delete() -> None:
    sim = bound()
    sim.policy("Retain")
    sim.release()
    sim.settle()
    told = tell(sim)
    assert told.reason == "PolicyRetain"
    assert any('"persistentVolumeReclaimPolicy":"Delete"' in each for each in commands(told))


def test_a_held_volume_says_how_to_let_it_go() -> None:
    sim = released()
    sim.admin(hold=True)
    sim.settle()
    told = tell(sim)
    assert told.reason == "Held"
    assert f"kubectl tidb-volume hold --off {NAME}" in commands(told)
    assert f"kubectl tidb-volume hold {NAME}" not in commands(told)


def test_wipe_now_is_not_offered_twice() -> None:
    sim = released()
    sim.pause(True)
    sim.admin(wipe_now=Answer(question=sim.answer()))
    told = tell(sim)
    assert not any("wipe-now" in each for each in commands(told))
    assert told.waits == ("the fleet is paused; kubectl tidb-volume resume",)


def test_a_bound_volume_says_what_the_end_of_its_claim_would_bring() -> None:
    assert "after that it waits 1h, is wiped by files" in steps(tell(bound()))
    assert "its data is kept" in steps(tell(bound(on_release="keep")))
    sim = bound()
    sim.policy("Retain")
    assert "kept (policy Retain)" in steps(tell(sim))


def test_unknown_data_asks_for_a_person() -> None:
    sim = Sim()
    sim.disk.strays = {Item("stranger", "backup")}
    sim.look()
    sim.settle()
    told = tell(sim)
    assert (told.phase, told.reason) == (Phase.PENDING, "HasData")
    keep = f"kubectl tidb-volume adopt --keep NAMESPACE/CLAIM {NAME}"
    assert commands(told) == [f"kubectl tidb-volume adopt --wipe {NAME}", keep]
    sim.admin(adopt=Adopt(question=sim.answer(), action="Keep", claim=Ref(namespace="db", name="data-1")))
    assert keep not in commands(tell(sim))
    assert "first: 'backup'" in told.message


def test_a_disk_that_others_show_too_can_be_told_apart_and_one_with_two_names_can_not() -> None:
    sim = Sim()
    sim.controller.around = Around(twin="it is on record as volume w of node m", apart=True)
    sim.settle()
    told = tell(sim)
    assert told.reason == "Conflict"
    assert "volume w of node m" in told.message
    assert commands(told) == [f"kubectl tidb-volume accept-identity {NAME}"]
    assert "no other machine can reach it" in told.may[0].does
    sim.controller.around = Around(twin="the same disk as /data/b of volume b")
    sim.settle()
    assert commands(tell(sim)) == []


def test_a_cordoned_volume_is_not_promised_to_anybody() -> None:
    sim = released(after="20m")
    sim.admin(cordon=True)
    sim.settle()
    assert "it is cordoned" in tell(sim).next[-1].text


def test_what_the_controller_has_not_written_yet_is_said_to_be_so() -> None:
    sim = bound()
    sim.release()
    told = tell(sim)
    assert told.next[0].text == "the volume-controller has yet to say: Countdown"


def test_without_the_inventory_the_planner_is_not_asked() -> None:
    sim = released()
    told = story.tell(change(world(sim), desired=None), (), sim.now, known=False)
    assert told.next == ()
    assert told.reason == "Countdown"
    assert told.declared == "not known: the inventory may not be read"


def test_a_volume_that_nobody_lists_says_that_nothing_follows() -> None:
    sim = released()
    sim.want(None)
    sim.settle()
    told = tell(sim)
    assert told.declared == "listed nowhere any more"
    assert told.reason == "DroppedReleased"


def test_an_open_breaker_names_its_command() -> None:
    sim = released()
    fleet = sim.cluster.etcd.fleet
    assert fleet is not None
    sim.cluster.breaker(change(fleet.status.breaker, tripped=True, reason="too many"))
    told = tell(sim)
    assert "kubectl tidb-volume breaker reset" in commands(told)
    assert any("the circuit breaker is open: too many" in each for each in told.waits)


def test_a_virtual_disk_is_told_on_its_volume_and_on_its_node() -> None:
    told = tell(on_offer())
    assert told.identity == "virtual disk 8:17, 1Gi"
    assert "virtual disk 8:17" in text(explain.story_lines(told, Instant(0.0), 100))
    report = VolumeNode(metadata=Meta(name="n"), status=NodeReport(daemon="1.2", virtual_disks=True))
    assert "--virtual-disks" in explain.daemon_words("n", report, {"n"})
    plain = change(report, status=NodeReport(daemon="1.2"))
    assert explain.daemon_words("n", plain, {"n"}) == "version 1.2, Ready"
    assert explain.daemon_words("n", plain, ()).startswith("version 1.2, not Ready")
    assert explain.daemon_words("n", None, None) == "has not reported"


def test_a_hostile_story_is_drawn_line_by_line() -> None:
    sim = released()
    sim.admin(gates={HOSTILE: HOSTILE})
    event = codec.Event(metadata=Meta(name="e"), reason=HOSTILE, message=HOSTILE, type="Warning")
    told = tell(sim, event)
    assert "\\x1b" in text(explain.story_lines(told, sim.now, 100))
    assert all(line.text.isprintable() for line in explain.story_lines(told, sim.now, 100))
