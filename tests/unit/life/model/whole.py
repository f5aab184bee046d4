"""The whole: where an example begins, how it comes to rest, and that it ends with the disk on offer.

After each example people repair what they broke, and the disk must be on offer in the end: doing nothing is
not safe enough.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from disk_daemon.known import Broken
from tests.unit.life.cluster import pool
from tests.unit.life.model.hands import Hands
from tests.unit.life.model.openings import OPENINGS, WAIT_S
from tidb_volume import names
from tidb_volume.fleet import Fleet
from tidb_volume.life import actions
from tidb_volume.units import Instant
from tidb_volume.value import Answer, Meta, Phase, Presence

STAGES = ("offered", "bound", "released", "ordered", "deleted", "committed", "wiping")
TURNS = ("leader", "leader", "daemon", "daemon", "both", "look", "write", "kubernetes")

BEGIN: dict[str, st.SearchStrategy[Any]] = {
    "wipe": st.sampled_from([True, True, True, False]),
    "after": st.sampled_from(["0s", "0s", "1h"]),
    "spare": st.booleans(),
    "dirty": st.sampled_from([False, False, False, True]),
    "stage": st.sampled_from(
        ["new", *STAGES, "ordered", "deleted", "committed", "committed", "adopting", "kept"]
    ),
    "saved": st.sampled_from(["never", *STAGES]),
    "frozen": st.sampled_from([0, 0, 0, 1, 2, 3, 4, 5, 6]),
    "between": st.sampled_from(list(OPENINGS)),
    "wait": st.sampled_from([0, WAIT_S]),
    "then": st.sampled_from(["", "daemon", "leader", "leader and daemon", "stale leader"]),
}
"""How an example may begin: the pool, what is on the disks, how far a life has come, when etcd was saved;
after how many steps the daemon stops, what comes between then, for how long nobody notices, and who
goes on first."""


class Life(Hands):
    """A disk's life among late caches, deposed leaders, frozen daemons and careless hands."""

    openings = OPENINGS

    @initialize(**BEGIN)
    def begin(
        self,
        wipe: bool,
        after: str,
        spare: bool,
        dirty: bool,
        stage: str,
        saved: str,
        frozen: int,
        between: str,
        wait: int,
        then: str,
    ) -> None:
        of = pool(on_release="wipe" if wipe else "keep", after=after)
        self.set_up(self.entry_for(of), dirty=dirty or stage == "kept", spare=spare)
        self.node.about_to_begin = self.about_to_begin
        self.node.observed = self.a_daemon_has_seen
        self.come_to(stage, saved)
        if frozen:
            self.a_daemon_works(0, frozen)
        self.openings[between](self)
        self.a_while(wait)
        if then == "stale leader":
            self.leader_acts(4)
        elif "leader" in then:
            self.leader_sees_and_acts(6)
        if "daemon" in then:
            self.a_daemon_works(0, 12)

    def come_to(self, stage: str, saved: str) -> None:
        """Begin in the middle of a life, or most would never get there. saved: when etcd was saved."""
        until = "released" if stage == "adopting" else stage
        for each in STAGES[: STAGES.index(until) + 1] if until in STAGES else ():
            getattr(self, f"come_to_be_{each}")()
            if each == saved:
                self.etcd_is_saved()
        if stage == "adopting":
            self.come_to_be_adopting()
        if stage == "kept":
            self.come_to_be_kept(saved)

    def come_to_be_offered(self) -> None:
        self.settle()

    def come_to_be_bound(self) -> None:
        self.a_tenant_moves_in("db/data-0")
        self.settle()

    def come_to_be_released(self) -> None:
        self.say(hold=True)
        self.a_tenant_leaves("db/data-0")
        self.settle()
        self.say(hold=False)
        self.controllers[self.leader].catch_up()

    def come_to_be_ordered(self) -> None:
        self.leader_comes_to(actions.WriteOrder)

    def come_to_be_deleted(self) -> None:
        self.leader_comes_to(actions.DeletePv)

    def come_to_be_committed(self) -> None:
        self.leader_sees_and_acts(1)

    def come_to_be_adopting(self) -> None:
        """Its volume was deleted by hand, a person said to wipe it all, and that is ordered."""
        self.a_volume_is_deleted_by_hand(force=True)
        self.leader_sees_and_acts(4)
        self.answer(self.question(), "adopt")
        self.leader_comes_to(actions.WriteOrder)
        self.leader_sees_and_acts(1)

    def come_to_be_kept(self, saved: str) -> None:
        """What was on it is a claim's, at the root. saved: offered: when a person was asked about it."""
        self.settle()
        if saved == "offered":
            self.etcd_is_saved()
        self.a_person_gives_it_back("db/data-0", "keep", wait=0)
        self.settle()
        self.come_to_be_bound()
        if saved == "released":
            self.come_to_be_released()

    def come_to_be_wiping(self) -> None:
        self.a_daemon_works(0, 6)

    @rule(how=st.sampled_from(["same", "swapped"]))
    def the_machine_reboots_and_is_left_alone(self, how: str) -> None:
        """What is decided about another disk in the slot is what the right one finds when it is back."""
        self.the_machine_reboots(how)
        self.settle()

    @rule(turns=st.lists(st.sampled_from(TURNS), min_size=1, max_size=6))
    def they_work(self, turns: list[str]) -> None:
        """What is done most of the time, by some of them and not to its end."""
        for turn in turns:
            if turn == "leader":
                self.leader_sees_and_acts(1)
            elif turn in ("daemon", "both"):
                self.a_daemon_works(0, 4)
                if turn == "both":
                    self.a_daemon_works(1, 4)
            elif turn == "look":
                self.a_daemon_looks(0)
            elif turn == "write":
                self.a_daemon_writes(0, last=True)
            else:
                self.kubernetes_acts()

    # A rule is chosen as often as any other, and there are many for what seldom happens.
    they_work_on = rule(turns=st.lists(st.sampled_from(TURNS), min_size=2, max_size=8))(
        lambda self, turns: self.they_work(turns)
    )

    def settle(self, limit: int = 120, pace: int = 1) -> None:
        """People and machines leave it alone: everything must come to rest, in few writes. pace: how many
        steps the leader makes to one of everybody else's; a daemon's child is slower than a controller."""
        writes = 0
        self.node.unreadable = ""
        daemon = self.daemons[0]
        for _ in range(limit):
            acted = False
            for _ in range(pace):
                self.controllers[self.leader].catch_up()
                made = self.step(self.leader)
                writes += made
                acted |= made
            acted |= self.cluster.kube()
            self.note_claims()
            self.run_pods()
            for each in self.daemons:
                acted |= self.node.obey(each) if each is daemon or each.child else False
                for letter in each.letters:
                    acted |= self.node.write(letter)
                each.letters = []
            if not acted:
                break
        else:
            raise AssertionError(f"no rest: {self.controllers[self.leader].log[-8:]}")
        assert writes <= 25, f"{writes} writes: {self.controllers[self.leader].log[-writes:]}"
        self.check_rest()

    @rule(pace=st.sampled_from([1, 4]))
    def all_is_left_alone(self, pace: int = 1) -> None:
        self.settle(pace=pace)

    def teardown(self) -> None:
        """People repair what they broke; then the disk must end on offer."""
        if not hasattr(self, "cluster"):
            return
        for number in (0, 1):
            self.a_daemon_dies(number)
        self.late.clear()
        self.node.kubelet_hangs = False
        self.machine.reboot()
        self.machine.mounted = True
        self.machine.slot = self.disk_on_record()
        for disk in self.disks:
            disk.lock = None
            if len(disk.tenancies) > 1:  # of two folders no order is for both: that is cleared by hand
                disk.tenancies = {k: v for k, v in disk.tenancies.items() if k not in self.forged}
        for key, entry in tuple(self.machine.journals.items()):
            if isinstance(entry, Broken):
                del self.machine.journals[key]
        self.a_node_is_not_ready(False)
        self.a_node_is_out_of_service(False)
        self.cluster.daemon_is(ready=True)
        if self.cluster.etcd.fleet is None:
            self.cluster.etcd.fleet = Fleet(metadata=Meta(name=names.FLEET, uid="f2", resource_version="9"))
        self.the_fleet_is_paused(False)
        self.the_breaker(False)
        self.the_mode_is_set(False)
        self.a_person_takes_every_answer_back()
        self.wanted = self.entry_for(pool(after="0s"))
        self.another_leads()
        self.cluster.etcd.pods.clear()
        self.run_pods()
        self.cluster.etcd.claims.clear()
        self.cluster.kube()
        for turn in range(8):
            self.say(hold=False, cordon=False, retire=False, gates={})
            self.the_policy_is_patched("Delete")
            self.settle()
            assert self.cluster.etcd.volume is not None
            if self.cluster.etcd.volume.status.phase is Phase.AVAILABLE:
                break
            self.cluster.now = Instant(self.cluster.now + 4000)
            if self.cluster.etcd.volume.status.reason == "NotMadeReady" and self.machine.slot is not None:
                self.machine.slot.strays.clear()  # a person moves it elsewhere, as he is told to
            self.a_person_takes_every_answer_back()
            if turn >= 1 and self.question():
                disk = self.cluster.etcd.volume.status.disk
                if disk is not None and disk.presence is Presence.WRONG_DISK:
                    self.say(accept_identity=Answer(question=self.question()))
                    continue
                self.said_wipe.pop(self.question(), None)
                self.answer(self.question(), "adopt" if not self.cluster.etcd.pvs else "wipe_now")
            if turn >= 4:
                self.a_volume_is_deleted_by_hand(force=False)  # a reservation ends by a person's hand
        assert self.cluster.etcd.volume is not None
        status = self.cluster.etcd.volume.status
        assert status.phase is Phase.AVAILABLE, (status.state, status.reason, status.message)
