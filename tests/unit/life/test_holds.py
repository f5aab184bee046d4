"""What holds a wipe that is due: a table of (what is said, what then holds it), gates, approvals."""

from __future__ import annotations

import pytest

from tests.unit.life.simulate import change
from tests.unit.life.stages import bound, committed, released
from tidb_volume.life import actions
from tidb_volume.value import Answer, Approve, Phase, Ref, Restore

HELD: list[tuple[str, dict[str, object], str]] = [
    ("hold", {"hold": True}, "Held"),
    ("a gate of the volume", {"gates": {"tombstone": "asked PD"}}, "Gated"),
    ("hold goes before a gate", {"hold": True, "gates": {"tombstone": ""}}, "Held"),
    ("cordon holds no wipe", {"cordon": True}, ""),
    ("a gate passed for another tenancy", {"gates_passed": {"tombstone": "aaaaaaaaaaaa"}}, ""),
]


@pytest.mark.parametrize(("says", "reason"), [row[1:] for row in HELD], ids=[row[0] for row in HELD])
def test_what_a_person_says_holds_the_wipe(says: dict[str, object], reason: str) -> None:
    sim = released()
    sim.admin(**says)
    sim.later(7200)
    assert bool(sim.wiped) is not bool(reason)
    if reason:
        assert sim.status.reason == reason
        sim.admin(wipe_now=Answer(question=sim.answer()))
        sim.settle()
        assert sim.status.reason == reason, "wipe-now lifts no hold and no gate"


@pytest.mark.notices("controller: orders the wipe behind a gate")
def test_a_pools_gate_stands_until_it_is_passed_for_this_very_tenancy() -> None:
    sim = released(gates=("tombstone",))
    sim.later(7200)
    assert sim.status.reason == "Gated"
    sim.admin(gates_passed={"tombstone": "another"})
    sim.later(7200)
    assert sim.status.reason == "Gated"
    sim.admin(gates_passed={"tombstone": sim.status.tenancy})
    sim.settle()
    assert sim.status.reason == "Countdown"
    sim.later(7200)
    assert len(sim.wiped) == 1


@pytest.mark.parametrize("of", ["fleet", "pool"])
def test_in_manual_mode_a_wipe_waits_for_an_approval_of_its_question(of: str) -> None:
    sim = released(**({"mode": "manual"} if of == "pool" else {}))
    if of == "fleet":
        fleet = sim.cluster.etcd.fleet
        assert fleet is not None
        sim.cluster.change_fleet(spec=change(fleet.spec, mode="manual"))
    sim.later(1e5)
    assert sim.status.reason == "AwaitsApproval"
    assert "WaitingForPerson" in {each.type for each in sim.status.conditions}
    sim.admin(approve=Approve(question="another"))
    sim.settle()
    assert not sim.wiped
    sim.admin(approve=Approve(question=sim.answer()))
    sim.settle()
    assert len(sim.wiped) == 1
    assert sim.status.phase is Phase.AVAILABLE


def test_a_hold_set_after_the_commit_waits_at_the_daemon_and_a_restore_still_works() -> None:
    sim = committed()
    sim.admin(hold=True)
    sim.settle()
    assert sim.status.phase is Phase.WIPING
    assert sim.status.reason == "Held"
    assert not sim.wiped
    sim.admin(restore=Restore(question=sim.answer()))
    sim.settle()
    assert [pv.spec.claim_ref for pv in sim.pvs] == [Ref(namespace="db", name="data-0")]


@pytest.mark.notices("controller: volumes are written without the resourceVersion")
def test_an_order_decided_before_a_hold_is_not_written_and_takes_no_hold_away() -> None:
    sim = bound(after="0s")
    sim.release()
    sim.until(actions.CountWipe)
    volume, decided = sim.volume, sim.plan().action
    assert isinstance(decided, actions.WriteOrder)
    assert volume is not None
    sim.admin(hold=True)
    order = sim.spec.order
    assert sim.controller.attempt(volume, decided) == "conflict"
    assert sim.spec.admin.hold
    assert sim.spec.order == order
