"""What people may say: in `spec.admin`, in the inventory, to the fleet, and by a volume's reclaim policy."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.unit.life.cluster import change, pool
from tests.unit.life.model.machines import Machines
from tests.unit.life.model.state import CLAIMS
from tidb_volume.value import Admin, Adopt, Answer, Approve, Ref, Restore

WAIT = st.sampled_from([0, 30])
"""How many seconds nobody does anything after what a person said."""


class People(Machines):
    """Those who know what they do."""

    def a_while(self, seconds: int) -> None:
        self.a_stop_button_stops()
        self.time_passes(seconds)

    @rule(name=st.sampled_from(["hold", "cordon", "retire"]), on=st.booleans(), wait=WAIT)
    def a_person_says(self, name: str, on: bool, wait: int) -> None:
        self.say(**{name: on})
        self.a_while(wait)

    @rule(on=st.booleans(), wait=WAIT)
    def a_gate(self, on: bool, wait: int) -> None:
        self.say(gates={"tombstone": "a script"} if on else {})
        self.a_while(wait)

    @precondition(lambda self: self.cluster.etcd.pvs)
    @rule(policy=st.sampled_from(["Retain", "Delete"]))
    def the_policy_is_patched(self, policy: str) -> None:
        for pv in tuple(self.cluster.etcd.pvs.values()):
            spec = change(pv.spec, persistent_volume_reclaim_policy=policy)
            self.cluster.change_pv(pv.metadata.name, spec=spec)

    @rule(on=st.booleans(), wait=WAIT)
    def the_fleet_is_paused(self, on: bool, wait: int = 0) -> None:
        fleet = self.cluster.etcd.fleet
        if fleet is not None:
            self.cluster.change_fleet(spec=change(fleet.spec, paused=on))
        self.a_while(wait)

    @precondition(lambda self: self.question())
    @rule(stale=st.booleans(), how=st.sampled_from(["wipe_now", "adopt"]))
    def a_person_has_it_wiped(self, stale: bool, how: str) -> None:
        self.answer("q-stale" if stale else self.question(), how)

    @precondition(lambda self: self.question())
    @rule(key=st.sampled_from(CLAIMS), how=st.sampled_from(["restore", "former", "keep"]), wait=WAIT)
    def a_person_gives_it_back(self, key: str, how: str, wait: int) -> None:
        volume = self.cluster.etcd.volume
        if volume is not None and self.question():
            owner = volume.status.owner
            if how == "former" and owner is not None and owner.claim is not None:
                key = str(owner.claim)
            namespace, name = key.split("/")
            claim = Ref(namespace=namespace, name=name)
            on_disk = self.machine.slot.shown() if self.machine.slot else set()
            self.granted |= {(tenancy, key) for tenancy in (volume.status.tenancy, *on_disk)}
            if how == "keep":
                self.say(adopt=Adopt(question=self.question(), action="Keep", claim=claim))
            else:
                claim_or_former = claim if how == "restore" else None
                self.say(restore=Restore(question=self.question(), claim=claim_or_former))
        self.a_while(wait)

    @precondition(lambda self: self.question())
    @rule(how=st.sampled_from(["accept_identity", "forget", "approve"]))
    def a_person_answers(self, how: str) -> None:
        if self.question():
            kind = Approve if how == "approve" else Answer
            self.say(**{how: kind(question=self.question())})

    @precondition(lambda self: self.has_answers())
    @rule(wait=WAIT)
    def a_person_takes_every_answer_back(self, wait: int = 0) -> None:
        volume = self.cluster.etcd.volume
        admin = volume.spec.admin if volume is not None else Admin()
        for each in (admin.adopt, admin.wipe_now, admin.approve):
            if each is not None:
                self.taken_back.setdefault(each.question, self.cluster.now)
        self.say(adopt=None, restore=None, wipe_now=None, accept_identity=None, forget=None, approve=None)
        self.a_while(wait)

    @rule(tripped=st.booleans(), wait=WAIT)
    def the_breaker(self, tripped: bool, wait: int = 0) -> None:
        """It trips over other volumes, or a person ends its epoch."""
        fleet = self.cluster.etcd.fleet
        if fleet is not None and fleet.status.breaker.tripped is not tripped:
            breaker = fleet.status.breaker
            epoch = breaker.epoch if tripped else breaker.epoch + 1
            self.cluster.breaker(change(breaker, tripped=tripped, epoch=epoch))
        self.a_while(wait)

    @rule(manual=st.booleans())
    def the_mode_is_set(self, manual: bool) -> None:
        fleet = self.cluster.etcd.fleet
        if fleet is not None:
            self.cluster.change_fleet(spec=change(fleet.spec, mode="manual" if manual else "auto"))

    def answer(self, question: str, how: str) -> None:
        if not question:
            return
        volume, pvs = self.cluster.etcd.volume, self.cluster.etcd.pvs.values()
        self.said_wipe.setdefault(question, self.data_in_question())
        self.taken_back.pop(question, None)
        asked = volume.status.question if volume is not None else None
        kept = any(pv.spec.persistent_volume_reclaim_policy != "Delete" for pv in pvs)
        kept |= self.entry.pool.on_release == "keep" or (asked is not None and asked.about.endswith("kept"))
        if kept or (volume is not None and volume.spec.wipe.on_release == "keep"):
            self.said_on_kept.add(question)
        if how == "wipe_now":
            self.say(wipe_now=Answer(question=question))
        else:
            self.say(adopt=Adopt(question=question, action="Wipe"))

    @rule(after=st.sampled_from(["0s", "2h"]), on_release=st.sampled_from(["wipe", "keep"]))
    def the_entry_is_edited(self, after: str, on_release: Any) -> None:
        self.wanted = self.entry = self.entry_for(pool(after=after, on_release=on_release))

    @rule(after=st.sampled_from(["wait", "20s", "2h"]))
    def the_pool_lets_claims_of_a_lost_node_go(self, after: str) -> None:
        of = change(self.entry.pool, node_loss=after)
        self.entry = change(self.entry, pool=of)
        self.wanted = self.entry if self.wanted is not None else None

    @rule(there=st.booleans())
    def the_entry_goes_and_comes(self, there: bool) -> None:
        self.wanted = self.entry if there else None
