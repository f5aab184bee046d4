"""What stands around a disk, through the real planner: nothing offered, nothing wiped, nothing in silence."""

from __future__ import annotations

import pytest

from tests.unit.life.machine import Item
from tests.unit.life.simulate import Sim, change
from tests.unit.life.stages import bound, on_offer
from tests.unit.life.worlds import NODE, NOW, RELEASED, but
from tidb_volume import names
from tidb_volume.life import actions
from tidb_volume.life.around import Around
from tidb_volume.life.foreign import may_be_used_on
from tidb_volume.life.plan import plan
from tidb_volume.value import Answer, Condition, Phase, Presence

FOREIGN = Around(foreign="theirs (/data/disk0/x)")
NEVER = Around(never="*BOOT* (the disk is /dev/disk/by-id/x-BOOT too)")
TWIN = Around(twin="it is on record as volume w of node m")
UNSURVEYED = Around(unsurveyed=True)


def surround(sim: Sim, around: Around) -> None:
    sim.controller.around = around
    sim.settle()


def condition(sim: Sim, kind: str) -> Condition | None:
    return next((each for each in sim.status.conditions if each.type == kind), None)


@pytest.mark.parametrize(
    ("around", "reason"),
    [(FOREIGN, "Foreign"), (NEVER, "Never"), (TWIN, "Conflict"), (UNSURVEYED, "NotObserved")],
)
def test_a_new_disk_is_not_taken_up_while_something_stands_around_it(around: Around, reason: str) -> None:
    sim = Sim()
    surround(sim, around)
    sim.later(2)
    assert (sim.status.phase, sim.status.reason) == (Phase.PENDING, reason)
    assert not sim.pvs
    assert sim.spec.order is None
    assert not sim.disk.tenancies
    surround(sim, Around())
    assert sim.status.phase is Phase.AVAILABLE


@pytest.mark.parametrize(("around", "reason"), [(FOREIGN, "Foreign"), (NEVER, "Never")])
def test_an_offer_is_withdrawn_and_made_anew_once_nothing_stands_around_it(
    around: Around, reason: str
) -> None:
    sim = on_offer()
    before = sim.pvs[0].metadata.name
    surround(sim, around)
    assert (sim.status.phase, sim.status.reason) == (Phase.PENDING, reason)
    assert not sim.pvs
    surround(sim, Around())
    assert sim.status.phase is Phase.AVAILABLE
    assert sim.pvs[0].metadata.name != before


def test_a_disk_on_record_is_not_taken_off_offer_by_anothers_word_nor_for_want_of_a_survey() -> None:
    sim = on_offer()
    before = sim.pvs[0]
    for around in (UNSURVEYED, Around(twin="")):
        surround(sim, around)
        assert sim.status.phase is Phase.AVAILABLE
        assert sim.pvs == [before]


def test_a_newcomer_that_is_refused_is_not_put_on_record() -> None:
    sim = Sim()
    surround(sim, TWIN)
    assert sim.status.identity is None
    assert "volume w of node m" in sim.status.message
    surround(sim, Around())
    assert sim.status.identity == sim.disk.identity


@pytest.mark.parametrize(("around", "kind"), [(FOREIGN, "Foreign"), (NEVER, "Forbidden")])
def test_a_disk_in_use_is_left_alone_and_said_to_be_in_danger(around: Around, kind: str) -> None:
    sim = bound(after="0s")
    before = sim.pvs
    surround(sim, around)
    assert sim.status.phase is Phase.BOUND
    assert sim.pvs == before
    assert condition(sim, kind) is not None
    assert sim.status.state.startswith("Bound (")
    surround(sim, Around())
    assert condition(sim, kind) is None


@pytest.mark.parametrize(("around", "reason"), [(FOREIGN, "Foreign"), (NEVER, "Never")])
def test_no_wipe_begins_while_it_stands(around: Around, reason: str) -> None:
    sim = bound(after="0s")
    sim.controller.around = around
    sim.release()
    sim.later(10)
    assert (sim.status.phase, sim.status.reason) == (Phase.RELEASED, reason)
    assert sim.data
    assert not sim.wiped
    surround(sim, Around())
    assert sim.status.phase is Phase.AVAILABLE
    assert len(sim.wiped) == 1


@pytest.mark.parametrize("around", [FOREIGN, NEVER])
def test_a_committed_wipe_that_has_not_begun_is_held(around: Around) -> None:
    sim = bound(after="0s")
    sim.daemon_up = False
    sim.release()
    sim.until(actions.DeletePv)
    sim.cluster.kube()
    surround(sim, around)
    assert sim.status.phase is Phase.WIPING
    sim.daemon_up = True
    sim.settle()
    assert sim.data
    assert not sim.wiped
    surround(sim, Around())
    sim.later(3600)
    assert sim.status.phase is Phase.AVAILABLE
    assert len(sim.wiped) == 1


@pytest.mark.parametrize("around", [FOREIGN, NEVER])
def test_an_order_that_the_daemon_has_not_taken_up_is_taken_back(around: Around) -> None:
    sim = Sim()
    sim.daemon_up = False
    sim.look()
    sim.until(actions.WriteOrder)
    surround(sim, around)
    assert sim.spec.order is None
    sim.daemon_up = True
    sim.settle()
    assert not sim.disk.tenancies


def test_another_disk_that_is_somebody_elses_cannot_be_accepted() -> None:
    sim = on_offer()
    recorded = sim.status.identity
    sim.disk.identity = change(sim.disk.identity, virtual="8:99")
    sim.settle()
    assert sim.status.reason == "WrongDisk"
    sim.controller.around = TWIN
    sim.admin(accept_identity=Answer(question=sim.answer()))
    sim.settle()
    assert sim.status.identity == recorded
    refused = condition(sim, "AnswerNotTaken")
    assert refused is not None
    assert "volume w of node m" in refused.message
    assert sim.status.disk is not None
    assert sim.status.disk.presence is Presence.WRONG_DISK


# --- two disks with the same facts: a person's word, and nothing less ---

ELSEWHERE = Around(twin="it is on record as volume w of node m", apart=True)


def accept(sim: Sim, question: str = "") -> None:
    sim.admin(accept_identity=Answer(question=question or sim.answer()))
    sim.settle()


def test_a_person_may_say_that_a_newcomer_is_another_disk_than_those_elsewhere() -> None:
    sim = Sim()
    surround(sim, ELSEWHERE)
    assert (sim.status.phase, sim.status.reason) == (Phase.PENDING, "Conflict")
    assert sim.status.question is not None
    assert sim.status.question.kind == "twin"
    waiting = condition(sim, "WaitingForPerson")
    assert waiting is not None
    assert "a disk of its own" in waiting.message
    accept(sim)
    assert sim.status.identity == sim.disk.identity
    surround(sim, Around())  # what is on record is no newcomer any more
    assert sim.status.phase is Phase.AVAILABLE
    assert sim.status.question is None
    assert next(line.what for line in sim.status.history) == "told apart"
    assert not sim.wiped


def test_a_disk_that_has_two_names_on_one_node_is_never_told_apart() -> None:
    sim = Sim()
    surround(sim, TWIN)
    assert sim.status.question is None
    sim.admin(accept_identity=Answer(question="any"))
    sim.settle()
    assert sim.status.identity is None
    assert sim.status.reason == "Conflict"


def test_what_was_said_of_one_disk_is_not_said_of_the_next_one_with_other_facts() -> None:
    sim = Sim()
    surround(sim, ELSEWHERE)
    before = sim.answer()
    sim.disk.identity = change(sim.disk.identity, virtual="8:99")
    sim.look()
    accept(sim, before)
    assert sim.status.identity is None
    assert sim.status.reason == "Conflict"
    assert sim.answer() != before
    accept(sim)
    assert sim.status.identity == sim.disk.identity


def test_who_else_shows_a_disk_is_part_of_what_is_accepted_of_another_one_in_its_place() -> None:
    sim = on_offer()
    recorded = sim.status.identity
    sim.disk.identity = change(sim.disk.identity, virtual="8:99")
    sim.settle()
    before = sim.answer()
    sim.controller.around = ELSEWHERE
    accept(sim, before)
    assert sim.status.identity == recorded, "nobody had been told of the other one"
    assert sim.answer() != before
    accept(sim)
    assert sim.status.identity == sim.disk.identity


def test_a_disk_told_apart_was_nobodys_before_and_what_is_on_it_is_asked_for_as_ever() -> None:
    sim = Sim()
    sim.disk.strays = {Item("stranger", "backup")}
    surround(sim, ELSEWHERE)
    accept(sim)
    surround(sim, Around())
    assert (sim.status.phase, sim.status.reason) == (Phase.PENDING, "HasData")
    assert not sim.wiped


def named(sim: Sim, hostname: str) -> None:
    assert sim.cluster.node is not None
    labels = {names.HOSTNAME: hostname}
    sim.cluster.node = change(sim.cluster.node, metadata=change(sim.cluster.node.metadata, labels=labels))
    sim.settle()


def test_an_offer_for_a_hostname_that_the_node_has_no_more_is_made_anew() -> None:
    """No pod could use it, or one on another node of that name would wait for a folder that is not there."""
    sim = on_offer()
    before = sim.pvs[0]
    named(sim, "host-2")
    assert sim.status.phase is Phase.AVAILABLE
    (pv,) = sim.pvs
    assert pv.metadata.name != before.metadata.name
    assert may_be_used_on(pv, sim.cluster.node)
    assert not may_be_used_on(before, sim.cluster.node)
    why = [each.why for each in sim.log if isinstance(each, actions.DeletePv)]
    assert why == ["its node has another hostname label by now"]


def test_a_volume_that_a_claim_has_stays_whatever_its_node_is_called() -> None:
    sim = bound()
    before = sim.pvs
    named(sim, "host-2")
    assert sim.status.phase is Phase.BOUND
    assert sim.pvs == before


def test_a_node_that_takes_the_hostname_of_another_has_nothing_of_that_one_wiped() -> None:
    """Its kubelet sets the label of its own Node, so this is what a node that lies can do to others."""
    for nodes, reason in (((NODE,), "Ordered"), ((NODE, "liar"), "HostnameConflict")):
        action = plan(NOW, but(RELEASED, node_names_with_hostname=nodes)).action
        assert isinstance(action, actions.PatchStatus)
        assert action.status.reason == reason
