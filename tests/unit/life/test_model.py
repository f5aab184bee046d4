"""A disk's life among late caches, deposed leaders, frozen daemons and careless hands; Hypothesis chooses.

The planner and the daemon's decision are the real ones. What must always hold is asserted where it would
break: when an order begins to delete, when a PersistentVolume is made, when a container starts. After each
example people repair what they broke, and the disk must end on offer: doing nothing is not safe enough.

What is asked for of a tenancy that a careless hand put on offer, and that another claim then got with the old
data on it, is that it is said: DirtyHandedOut. That takes a witness of the former owner: the volume's record,
or the node's journal, in which the daemon notes every claim that it sees. Where the journal has seen another
claim than the present one it is asked for in any case. Where not, it cannot be said of these (`unseen`):
the record of the former owner is gone, or went back in time with etcd, or never saw his claim.

What is left then is a volume with data that a claim has, as any bound one. The admission policy
(docs/decisions/0203) refuses the careless hand; this is what remains where it is not installed.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from disk_daemon.known import Broken, Entry
from tests.unit.life.cluster import Cluster, Conflict, change, desired, pool
from tests.unit.life.machine import LIVE_FOR_S, Daemon, Disk, Item, Letter, Machine
from tests.unit.life.simulate import Controller, Node
from tidb_volume import names, words
from tidb_volume.identity import hardware_key
from tidb_volume.life import actions
from tidb_volume.life.actions import Action
from tidb_volume.units import Instant
from tidb_volume.upstream import Pv
from tidb_volume.value import (
    Adopt,
    Answer,
    Approve,
    Fleet,
    Identity,
    Meta,
    Order,
    Phase,
    Presence,
    Ref,
    Restore,
    Volume,
    VolumeStatus,
)

CLAIMS = ("db/data-0", "db/data-1", "other/data-0")
STRANGER = "stranger"
STAGES = ("offered", "bound", "released", "ordered", "committed", "wiping")
EXAMPLES = int(os.environ.get("LIFE_EXAMPLES", "150"))
STEPS = int(os.environ.get("LIFE_STEPS", "40"))


def tenancy_of(pv: Pv) -> str:
    assert pv.spec.local is not None
    return pv.spec.local.path.rpartition("/")[2]


class Life(RuleBasedStateMachine):
    """One disk, one spare, two controllers, two daemons, and everybody who may touch them."""

    # --- what is there at the begin ---

    @initialize(
        wipe=st.sampled_from([True, True, True, False]),
        after=st.sampled_from(["0s", "0s", "1h"]),
        spare=st.booleans(),
        dirty=st.sampled_from([False, False, False, True]),
        stage=st.sampled_from(["new", *STAGES, "released", "ordered", "committed"]),
        saved=st.sampled_from(["never", *STAGES]),
    )
    def begin(self, wipe: bool, after: str, spare: bool, dirty: bool, stage: str, saved: str) -> None:
        self.entry = desired(pool(on_release="wipe" if wipe else "keep", after=after))
        self.wanted: Any = self.entry
        fleet = Fleet(metadata=Meta(name=names.FLEET, uid="f"))
        self.cluster = Cluster(
            self.entry,
            change(
                fleet,
                spec=change(fleet.spec, budget=change(fleet.spec.budget, wipes_per_hour=1000, at_least=1000)),
            ),
        )
        self.disks = [Disk(Identity(virtual=f"8:{n}", size_bytes=1 << 30, fs_uuid=f"fs-{n}")) for n in (1, 2)]
        if dirty:
            self.disks[0].strays.add(Item(STRANGER, "backup"))
        if spare:
            self.disks[1].strays.add(Item(STRANGER, "archive"))
        self.machine = Machine(self.disks[0])
        self.node = Node(self.cluster, self.machine)
        self.node.about_to_begin = self.about_to_begin
        self.daemons = [Daemon(), Daemon()]
        self.controllers = [Controller(self.cluster, self.wanted, name) for name in "ab"]
        self.leader = 0
        self.late: list[tuple[int, Volume, Action, Instant]] = []
        self.saved: Any = None
        # What only an observer who sees everything knows.
        self.ended: set[str] = set()
        """Tenancies whose PersistentVolume was deleted by a controller while it was released, and rightly."""
        self.said_wipe: dict[str, frozenset[Item]] = {}
        """Questions that a person answered with a wipe: what was on the disk in the slot then."""
        self.said_on_kept: set[str] = set()
        """Those of them that were answered while policy or pool kept the data, or that asked about that."""
        self.careless: set[str] = set()
        """Tenancies that somebody's hand put on offer."""
        self.granted: set[tuple[str, str]] = set()
        """(tenancy, claim that a person gave its data to)."""
        self.leaked: set[tuple[str, str]] = set()
        self.unseen: set[str] = set()
        """Tenancies that an older etcd put on offer after they were used."""
        self.come_to(stage, saved)

    def come_to(self, stage: str, saved: str) -> None:
        """Begin in the middle of a life, or most would never get there. saved: when etcd was saved."""
        for each in STAGES[: STAGES.index(stage) + 1] if stage in STAGES else ():
            getattr(self, f"come_to_be_{each}")()
            if each == saved:
                self.etcd_is_saved()

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

    def come_to_be_ordered(self) -> None:
        self.leader_comes_to(actions.WriteOrder)

    def come_to_be_committed(self) -> None:
        self.leader_comes_to(actions.DeletePv)

    def come_to_be_wiping(self) -> None:
        self.leader_sees_and_acts(1)
        self.a_daemon_works(0, 6)

    def leader_comes_to(self, wanted: type) -> None:
        who = self.controllers[self.leader]
        for _ in range(6):
            who.catch_up()
            self.step(self.leader)
            if who.log and isinstance(who.log[-1], wanted):
                return

    # --- the observer ---

    def about_to_begin(self, order: Any, disk: Disk) -> None:
        """An order is about to delete for the first time: is that right, by all that is known?"""
        assert isinstance(order, Order)
        self.check_erasure(order, disk)

    def check_erasure(self, order: Order, disk: Disk) -> None:
        volume = self.cluster.etcd.volume
        where = [order.id, *disk.trash]
        going: set[Item] = set()
        for trash in where:
            for items in disk.trash.get(trash, {}).values():
                going |= items
        if not going:
            return
        living = {claim.metadata.uid: key for key, claim in self.cluster.etcd.claims.items()}
        assert volume is not None
        assert volume.status.committed == order.id, "wiped without a commit"
        for pv in self.cluster.etcd.pvs.values():
            assert pv.metadata.deletion_timestamp or tenancy_of(pv) != order.ends, "wiped under a volume"
        if order.answer:
            assert order.answer in self.said_wipe, "wiped on an answer that nobody gave"
            assert going <= self.said_wipe[order.answer], "wiped what nobody was asked about"
            return
        assert order.ends in self.ended, "wiped what was not let go"
        for item in going:
            assert item.owner != STRANGER, "wiped unknown data"
            assert item.owner not in living, "wiped the data of a claim that is there"

    def check_action(self, who: Controller, volume: Volume, action: Action, late: bool) -> None:
        """A write that the server takes: is it right, by all that is known?"""
        etcd = self.cluster.etcd
        match action:
            case actions.SetClaimRef(name=name, patch=patch):
                self.grant(volume, patch["spec"]["claimRef"], tenancy_of(etcd.pvs[name]))
                assert etcd.pvs[name].status.phase in ("Released", "Failed"), "pointed at another claim"
            case actions.WriteOrder(order=order) if order is not None and order.kind == "reclaim":
                spec = volume.spec
                if volume.status.committed:
                    return
                assert not spec.admin.hold, "ordered the wipe of what is held"
                assert not spec.admin.gates, "ordered the wipe behind a gate"
                assert who.wanted is not None, "ordered the wipe of what no entry lists"
            case actions.DeletePv(uid=uid):
                pv = next(pv for pv in etcd.pvs.values() if pv.metadata.uid == uid)
                claim = pv.spec.claim_ref
                asked = volume.spec.admin.wipe_now
                if pv.status.phase in ("Released", "Failed"):
                    wiped_now = asked is not None and asked.question in self.said_wipe
                    policy = pv.spec.persistent_volume_reclaim_policy
                    kept = volume.spec.wipe.on_release == "keep"
                    wiped_now = wiped_now and asked is not None and asked.question in self.said_on_kept
                    if (policy != "Delete" or kept) and not wiped_now:
                        forget = volume.spec.admin.forget
                        assert forget is not None, "deleted what is kept"
                        assert forget.question == self.question_of(volume), "deleted what is kept"
                        return
                    assert claim is not None
                    living = {each.metadata.uid for each in etcd.claims.values()}
                    assert claim.uid not in living, "deleted the volume of a claim that is there"
                    self.ended.add(tenancy_of(pv))
                else:
                    assert pv.status.phase != "Bound", "deleted a bound volume"
                    assert claim is None or not claim.uid, "deleted a claimed volume"
            case actions.CreatePv(manifest=manifest) if not late:
                tenancy = manifest["metadata"]["labels"][names.LABEL_TENANCY]
                assert not etcd.pvs, "a second volume for one disk"
                reserved = "claimRef" in manifest["spec"]
                if reserved:
                    self.grant(volume, manifest["spec"]["claimRef"], tenancy)
                    assert etcd.volume is not None
                for disk in self.disks:
                    assert reserved or not disk.tenancies.get(tenancy), "a dirty disk on offer"
                order = volume.spec.order
                assert reserved or (order is not None and order.id in who.mine.orders)
            case _:
                pass

    def question_of(self, volume: Volume) -> str:
        return volume.status.question.id if volume.status.question is not None else "none"

    def grant(self, volume: Volume, ref: dict[str, Any], tenancy: str) -> None:
        """The data goes to the claim of that name: only if a person said so, for the question that stands."""
        admin, key = volume.spec.admin, f"{ref['namespace']}/{ref['name']}"
        question = self.question_of(volume)
        asked = [
            each for each in (admin.restore, admin.adopt) if each is not None and each.question == question
        ]
        assert asked, "given to a claim, and nobody said so"
        assert any(each.claim is None or str(each.claim) == key for each in asked), "given to another claim"
        self.granted.add((tenancy, key))

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

    def run_pods(self) -> None:
        """Let the kubelet start what it can; who starts reads all and writes its own."""
        before = set(self.machine.running)
        self.node.kubelet()
        for uid in set(self.machine.running) - before:
            at = self.machine.running[uid]
            key = next(key for key, pod in self.cluster.etcd.pods.items() if pod.metadata.uid == uid)
            for item in at.disk.tenancies[at.tenancy]:
                if item.owner != at.claim_uid and (at.tenancy, key) not in self.granted:
                    assert at.tenancy in self.careless, f"{at.claim_uid} reads the data of {item.owner}"
                    self.leaked.add((at.tenancy, at.claim_uid))
        for at in self.machine.running.values():
            others = {
                each.claim_uid
                for each in self.machine.running.values()
                if each.disk is at.disk and each.tenancy == at.tenancy
            }
            assert len(others) == 1 or at.tenancy in self.careless, "two owners"
            at.disk.tenancies.setdefault(at.tenancy, set()).add(Item(at.claim_uid))

    # --- controllers ---

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

    # --- daemons ---

    @rule(number=st.integers(0, 1))
    def daemon_obeys(self, number: int) -> None:
        self.node.obey(self.daemons[number])

    @rule(number=st.integers(0, 1), steps=st.integers(1, 12))
    def a_daemon_works(self, number: int, steps: int) -> None:
        daemon = self.daemons[number]
        self.node.begin(daemon)
        for _ in range(steps):
            if not self.node.advance(daemon):
                return

    @rule(number=st.integers(0, 1))
    def a_daemon_looks(self, number: int) -> None:
        self.node.observe(self.daemons[number])

    @precondition(lambda self: self.daemons[0].letters or self.daemons[1].letters)
    @rule(number=st.integers(0, 1), last=st.booleans())
    def a_daemon_writes(self, number: int, last: bool) -> None:
        letters = self.daemons[number].letters or self.daemons[1 - number].letters
        if letters:
            self.node.write(letters.pop(-1 if last else 0))

    @rule(number=st.integers(0, 1))
    def a_daemon_dies(self, number: int) -> None:
        child = self.daemons[number].child
        if child is not None:
            child.steps.close()  # type: ignore[attr-defined]
        self.daemons[number] = Daemon()

    # --- claims and pods ---

    @rule(key=st.sampled_from(CLAIMS))
    def a_tenant_moves_in(self, key: str) -> None:
        self.a_claim_is_made(key)
        self.the_scheduler_binds(key)
        self.kubernetes_acts()
        self.a_pod_starts(key)

    @precondition(lambda self: self.cluster.etcd.claims)
    @rule(key=st.sampled_from(CLAIMS))
    def a_tenant_leaves(self, key: str) -> None:
        key = key if key in self.cluster.etcd.claims else next(iter(self.cluster.etcd.claims))
        self.a_pod_ends(key, kubelet=True)
        self.a_claim_is_deleted(key)
        self.kubernetes_acts()

    @rule(key=st.sampled_from(CLAIMS))
    def a_claim_is_made(self, key: str) -> None:
        if key not in self.cluster.etcd.claims:
            self.cluster.create_claim(key)

    @precondition(lambda self: self.cluster.etcd.claims)
    @rule(key=st.sampled_from(CLAIMS))
    def the_scheduler_binds(self, key: str) -> None:
        if key in self.cluster.etcd.claims:
            self.cluster.choose(key)

    @rule()
    def kubernetes_acts(self) -> None:
        self.cluster.kube()
        self.run_pods()

    @rule(key=st.sampled_from(CLAIMS))
    def a_pod_starts(self, key: str) -> None:
        if key in self.cluster.etcd.claims and key not in self.cluster.etcd.pods:
            self.cluster.start_pod(key)
            self.run_pods()

    @precondition(lambda self: self.cluster.etcd.pods)
    @rule(key=st.sampled_from(CLAIMS), kubelet=st.booleans())
    def a_pod_ends(self, key: str, kubelet: bool) -> None:
        self.cluster.etcd.pods.pop(key, None)
        if kubelet:
            self.run_pods()

    @precondition(lambda self: self.cluster.etcd.claims)
    @rule(key=st.sampled_from(CLAIMS))
    def a_claim_is_deleted(self, key: str) -> None:
        if key in self.cluster.etcd.claims and key not in self.cluster.etcd.pods:
            self.cluster.etcd.claims.pop(key)

    # --- people ---

    @precondition(lambda self: self.cluster.etcd.pvs)
    @rule(policy=st.sampled_from(["Retain", "Delete"]))
    def the_policy_is_patched(self, policy: str) -> None:
        for pv in tuple(self.cluster.etcd.pvs.values()):
            spec = change(pv.spec, persistent_volume_reclaim_policy=policy)
            self.cluster.change_pv(pv.metadata.name, spec=spec)

    @rule(name=st.sampled_from(["hold", "cordon", "retire"]), on=st.booleans())
    def a_person_says(self, name: str, on: bool) -> None:
        self.say(**{name: on})

    @rule(on=st.booleans())
    def a_gate(self, on: bool) -> None:
        self.say(gates={"tombstone": "a script"} if on else {})

    @rule(on=st.booleans())
    def the_fleet_is_paused(self, on: bool) -> None:
        fleet = self.cluster.etcd.fleet
        if fleet is not None:
            self.cluster.change_fleet(spec=change(fleet.spec, paused=on))

    def say(self, **fields: Any) -> None:
        volume = self.cluster.etcd.volume
        if volume is not None:
            admin = change(volume.spec.admin, **fields)
            self.cluster.change_volume(spec=change(volume.spec, admin=admin))

    def has_answers(self) -> bool:
        volume = self.cluster.etcd.volume
        admin = volume.spec.admin if volume is not None else None
        return admin is not None and any(
            getattr(admin, name) is not None
            for name in ("adopt", "restore", "wipe_now", "accept_identity", "forget", "approve")
        )

    def question(self) -> str:
        volume = self.cluster.etcd.volume
        question = volume.status.question if volume is not None else None
        return question.id if question is not None else ""

    @precondition(lambda self: self.question())
    @rule(stale=st.booleans(), how=st.sampled_from(["wipe_now", "adopt"]))
    def a_person_has_it_wiped(self, stale: bool, how: str) -> None:
        self.answer("q-stale" if stale else self.question(), how)

    @precondition(lambda self: self.question())
    @rule(key=st.sampled_from(CLAIMS), how=st.sampled_from(["restore", "former", "keep"]))
    def a_person_gives_it_back(self, key: str, how: str) -> None:
        volume = self.cluster.etcd.volume
        if volume is not None and self.question():
            owner = volume.status.owner
            if how == "former" and owner is not None and owner.claim is not None:
                key = str(owner.claim)
            namespace, name = key.split("/")
            claim = Ref(namespace=namespace, name=name)
            on_disk = self.machine.slot.tenancies if self.machine.slot else {}
            self.granted |= {(tenancy, key) for tenancy in (volume.status.tenancy, *on_disk)}
            if how == "keep":
                self.say(adopt=Adopt(question=self.question(), action="Keep", claim=claim))
            else:
                claim_or_former = claim if how == "restore" else None
                self.say(restore=Restore(question=self.question(), claim=claim_or_former))

    @precondition(lambda self: self.question())
    @rule(how=st.sampled_from(["accept_identity", "forget", "approve"]))
    def a_person_answers(self, how: str) -> None:
        if self.question():
            kind = Approve if how == "approve" else Answer
            self.say(**{how: kind(question=self.question())})

    @precondition(lambda self: self.has_answers())
    @rule()
    def a_person_takes_every_answer_back(self) -> None:
        self.say(adopt=None, restore=None, wipe_now=None, accept_identity=None, forget=None, approve=None)

    @rule(manual=st.booleans())
    def the_mode_is_set(self, manual: bool) -> None:
        fleet = self.cluster.etcd.fleet
        if fleet is not None:
            self.cluster.change_fleet(spec=change(fleet.spec, mode="manual" if manual else "auto"))

    def answer(self, question: str, how: str) -> None:
        if not question:
            return
        on_disk = self.machine.slot.items() if self.machine.slot else set()
        self.said_wipe.setdefault(question, frozenset(on_disk))
        volume, pvs = self.cluster.etcd.volume, self.cluster.etcd.pvs.values()
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
        self.wanted = self.entry = desired(pool(after=after, on_release=on_release))

    @rule(there=st.booleans())
    def the_entry_goes_and_comes(self, there: bool) -> None:
        self.wanted = self.entry if there else None

    @rule(seconds=st.sampled_from([1, 30, 3700]))
    def time_passes(self, seconds: int) -> None:
        self.cluster.now = Instant(self.cluster.now + seconds)

    # --- careless hands ---

    @precondition(lambda self: any(p.status.phase == "Released" for p in self.cluster.etcd.pvs.values()))
    @rule()
    def a_claim_ref_is_cleared(self) -> None:
        for pv in tuple(self.cluster.etcd.pvs.values()):
            if pv.spec.claim_ref is not None and pv.status.phase in ("Released", "Failed"):
                self.careless.add(tenancy_of(pv))
                volume = self.cluster.etcd.volume
                known = volume.status if volume is not None else VolumeStatus()
                if known.tenancy != tenancy_of(pv) or (known.owner is None and not known.dirty):
                    self.unseen.add(tenancy_of(pv))
                self.cluster.change_pv(pv.metadata.name, spec=change(pv.spec, claim_ref=None))
        self.cluster.kube()

    @precondition(lambda self: any(p.spec.claim_ref is None for p in self.cluster.etcd.pvs.values()))
    @rule(key=st.sampled_from(CLAIMS))
    def a_volume_is_pinned(self, key: str) -> None:
        namespace, name = key.split("/")
        for pv in tuple(self.cluster.etcd.pvs.values()):
            if pv.spec.claim_ref is None:
                ref = Ref(namespace=namespace, name=name)
                self.cluster.change_pv(pv.metadata.name, spec=change(pv.spec, claim_ref=ref))

    @precondition(lambda self: self.cluster.etcd.pvs)
    @rule(force=st.booleans())
    def a_volume_is_deleted_by_hand(self, force: bool) -> None:
        for name in tuple(self.cluster.etcd.pvs):
            if force:
                del self.cluster.etcd.pvs[name]
            else:
                self.cluster.delete_pv(name)

    @rule(what=st.sampled_from(["status", "order", "volume", "fleet", "annotation"]))
    def something_is_deleted(self, what: str) -> None:
        volume = self.cluster.etcd.volume
        if what == "fleet":
            self.cluster.etcd.fleet = None
        elif what == "annotation":
            for pv in tuple(self.cluster.etcd.pvs.values()):
                self.cluster.change_pv(pv.metadata.name, metadata=change(pv.metadata, annotations={}))
        elif volume is None:
            return
        elif what == "status":
            self.unseen |= self.careless
            self.cluster.change_volume(status=VolumeStatus())
        elif what == "order":
            self.cluster.change_volume(spec=change(volume.spec, order=None))
        else:
            self.unseen |= self.careless
            self.cluster.delete_volume()

    # --- disks, machines, etcd ---

    @rule(how=st.sampled_from(["same", "unmounted", "swapped"]))
    def the_machine_reboots(self, how: str) -> None:
        for number in (0, 1):
            self.a_daemon_dies(number)
        self.machine.reboot()
        self.machine.mounted = how != "unmounted"
        self.machine.slot = self.disks[1] if how == "swapped" else self.disks[0]
        for disk in self.disks:
            disk.lock = None
        self.run_pods()

    @rule(how=st.sampled_from(["same", "swapped"]))
    def the_machine_reboots_and_is_left_alone(self, how: str) -> None:
        """What is decided about another disk in the slot is what the right one finds when it is back."""
        self.the_machine_reboots(how)
        self.settle()

    @rule(which=st.integers(0, 1))
    def a_disk_is_formatted_by_hand(self, which: int) -> None:
        """mkfs refuses a disk that anybody has mounted, so it happens with nobody there."""
        disk = self.disks[which]
        if disk.lock is None and all(at.disk is not disk for at in self.machine.running.values()):
            disk.reformat(f"fs-{next(self.cluster.ids)}")

    @rule(broken=st.booleans())
    def the_journal_is_lost(self, broken: bool) -> None:
        self.machine.journals = (
            {hardware_key(disk.identity): Broken(why="damaged") for disk in self.disks} if broken else {}
        )

    @rule(busy=st.booleans())
    def a_node_is_not_ready(self, busy: bool) -> None:
        self.cluster.node_is(ready=not busy)

    @rule(ready=st.booleans())
    def the_kubelet_says_of_the_daemon(self, ready: bool) -> None:
        """Readiness comes late: the daemon itself may be at work all the same."""
        self.cluster.daemon_is(ready=ready)

    @rule()
    def etcd_is_saved(self) -> None:
        self.saved = self.cluster.etcd.copy()

    @precondition(lambda self: self.saved is not None)
    @rule(forget=st.booleans())
    def etcd_goes_back(self, forget: bool) -> None:
        """Everything that the API holds is as it was; disks and journals are not.

        Nobody answers while etcd is being set back, and that takes longer than a reading is good for: what a
        daemon begins on a reading from before is as if it had begun before.
        """
        self.cluster.now = Instant(self.cluster.now + LIVE_FOR_S + 1)
        self.cluster.etcd = self.saved.copy()
        self.late.clear()
        for pv in self.cluster.etcd.pvs.values():
            # On offer again, though somebody used it since: no one can know until the daemon looks.
            used = any(disk.tenancies.get(tenancy_of(pv)) for disk in self.disks)
            if used and (pv.spec.claim_ref is None or not pv.spec.claim_ref.uid):
                self.careless.add(tenancy_of(pv))
                self.unseen.add(tenancy_of(pv))
        for who in self.controllers:
            who.catch_up()
            if forget:
                who.mine = Controller(self.cluster, None).mine
        self.run_pods()

    # --- rest ---

    def settle(self, limit: int = 120) -> None:
        """People and machines leave it alone: everything must come to rest, in few writes."""
        writes = 0
        daemon = self.daemons[0]
        for _ in range(limit):
            self.controllers[self.leader].catch_up()
            acted = self.step(self.leader)
            writes += acted
            acted |= self.cluster.kube()
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

    def another_was_seen(self, pv: Pv) -> bool:
        """Whether the journal of the disk that is there knows another claim on this tenancy than the one that
        has it. Of a disk that is not there its daemon tells nothing."""
        uid, slot = pv.spec.claim_ref.uid if pv.spec.claim_ref else "", self.machine.slot
        entry = self.machine.journal_of(slot.identity) if slot is not None and self.machine.mounted else None
        had = entry.had if isinstance(entry, Entry) else ()
        return any(each.tenancy == tenancy_of(pv) and each.claim_uid not in ("", uid) for each in had)

    def check_rest(self) -> None:
        volume = self.cluster.etcd.volume
        if volume is None:
            assert self.wanted is None
            return
        status = volume.status
        if self.controllers[self.leader].plan().again_at is None:
            assert status.reason in words.REASONS, status.reason
        loud = any(each.type == "DirtyHandedOut" for each in status.conditions)
        for pv in self.cluster.etcd.pvs.values():
            ref = pv.spec.claim_ref
            known = tenancy_of(pv) not in self.unseen or self.another_was_seen(pv)
            leaked = ref is not None and (tenancy_of(pv), ref.uid) in self.leaked
            if known and leaked and pv.status.phase == "Bound":
                assert loud, "handed out dirty, and nothing said"
        if status.phase is Phase.RELEASED:
            assert status.question is not None
        offered = [
            pv
            for pv in self.cluster.etcd.pvs.values()
            if pv.status.phase == "Available" and not pv.metadata.deletion_timestamp
        ]
        if status.phase is Phase.AVAILABLE:
            assert len(offered) == 1
        for pv in offered:
            if (tenancy_of(pv), str(pv.spec.claim_ref)) in self.granted:
                continue
            for disk in self.disks:
                assert not disk.tenancies.get(tenancy_of(pv)), "a dirty disk stays on offer"

    @rule()
    def all_is_left_alone(self) -> None:
        self.settle()

    @invariant()
    def what_is_shown_has_words(self) -> None:
        volume = self.cluster.etcd.volume if hasattr(self, "cluster") else None
        if volume is not None and volume.status.reason:
            assert volume.status.reason in words.REASONS

    def teardown(self) -> None:
        """People repair what they broke; then the disk must end on offer."""
        if not hasattr(self, "cluster"):
            return
        for number in (0, 1):
            self.a_daemon_dies(number)
        self.late.clear()
        self.machine.reboot()
        volume = self.cluster.etcd.volume
        recorded = volume.status.identity if volume is not None else None
        self.machine.mounted = True
        second = recorded is not None and recorded.virtual == self.disks[1].identity.virtual
        self.machine.slot = self.disks[1] if second else self.disks[0]
        for disk in self.disks:
            disk.lock = None
        self.machine.journals = {
            key: entry for key, entry in self.machine.journals.items() if not isinstance(entry, Broken)
        }
        self.a_node_is_not_ready(False)
        self.cluster.daemon_is(ready=True)
        if self.cluster.etcd.fleet is None:
            self.cluster.etcd.fleet = Fleet(metadata=Meta(name=names.FLEET, uid="f2", resource_version="9"))
        self.the_fleet_is_paused(False)
        self.the_mode_is_set(False)
        self.a_person_takes_every_answer_back()
        self.wanted = desired(pool(after="0s"))
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


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    print_blob=True,
)
_ = (pytest, Letter)
