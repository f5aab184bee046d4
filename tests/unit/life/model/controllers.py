"""Two controllers with caches of any age. One leads; the last call of a deposed one arrives when it will."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.unit.life.cluster import Conflict
from tests.unit.life.model.tenants import Tenants
from tests.unit.life.simulate import Controller
from tidb_volume import names
from tidb_volume.life import actions
from tidb_volume.life.actions import Action
from tidb_volume.value import Volume


class Controllers(Tenants):
    """Who decides."""

    def act(self, number: int, volume: Volume, action: Action, late: bool = False) -> bool:
        """Carry out, with the observer looking on: it sees the API as it is when the write is taken."""
        who = self.controllers[number]
        who.log.append(action)
        before = self.cluster.etcd.copy()
        writes = self.cluster.writes
        try:
            who.do(volume, action)
        except Conflict:
            who.refresh()
            return False
        after, self.cluster.etcd = self.cluster.etcd, before
        try:
            if self.cluster.writes != writes:
                self.check_action(who, volume, action, late)
        finally:
            self.cluster.etcd = after
        if late and isinstance(action, actions.CreatePv):
            self.careless.add(action.manifest["metadata"]["labels"][names.LABEL_TENANCY])
        return True

    def step(self, number: int) -> bool:
        who = self.controllers[number]
        who.wanted = self.wanted
        if who.view.volume is None:
            return who.step() is not None
        volume, decided = who.view.volume, who.plan()
        if decided.action is None:
            return False
        self.act(number, volume, decided.action)
        return True

    @rule(times=st.integers(1, 4))
    def leader_acts(self, times: int) -> None:
        for _ in range(times):
            self.step(self.leader)

    @rule(times=st.integers(1, 6))
    def leader_sees_and_acts(self, times: int) -> None:
        for _ in range(times):
            self.controllers[self.leader].catch_up()
            self.step(self.leader)

    def leader_comes_to(self, wanted: type) -> None:
        who = self.controllers[self.leader]
        for _ in range(6):
            who.catch_up()
            self.step(self.leader)
            if who.log and isinstance(who.log[-1], wanted):
                return

    @rule(what=st.sampled_from(["volume", "pvs", "claims", "fleet", "pods", "all"]), number=st.integers(0, 1))
    def a_cache_catches_up(self, what: str, number: int) -> None:
        who, now = self.controllers[number], self.cluster.etcd.copy()
        if what == "all":
            who.view = now
        else:
            setattr(who.view, what, getattr(now, what))

    @rule()
    def the_leader_decides_and_is_deposed_before_it_acts(self) -> None:
        """Its call is on the way while another leads."""
        who = self.controllers[self.leader]
        if who.view.volume is not None:
            action = who.plan().action
            if action is not None:
                self.late.append((self.leader, who.view.volume, action, self.cluster.now))
        self.another_leads()

    @rule()
    def the_leader_acts_and_hears_no_answer(self) -> None:
        """The call took effect, its answer was lost: cache and memory are as before."""
        who = self.controllers[self.leader]
        view, mine = who.view.copy(), who.mine
        self.step(self.leader)
        who.view, who.mine = view, mine

    @rule()
    def another_leads(self) -> None:
        self.leader = 1 - self.leader
        self.controllers[self.leader] = Controller(self.cluster, self.wanted, "ab"[self.leader])

    @precondition(lambda self: self.late)
    @rule()
    def a_late_call_arrives(self) -> None:
        """The process that made it has a term of its own, and no say any more."""
        number, volume, action, since = self.late.pop(0)
        if self.cluster.now - since > 15:
            return  # the client has given up
        kept = self.controllers[number]
        self.controllers[number] = Controller(self.cluster, self.wanted, "late")
        try:
            self.act(number, volume, action, late=True)
        finally:
            self.controllers[number] = kept
