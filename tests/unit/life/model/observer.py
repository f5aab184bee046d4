"""The contract's sentences, asserted where each would break; docs/reliability.md says which is which.

The observer sees the API, the disks and everybody's intent at once, which no part of ours does. It looks on
when an order begins to delete, when the server takes a write of a controller, and when a container starts.

What is asked for of a tenancy that a careless hand put on offer, and that another claim then got with the old
data on it, is that it is said: DirtyHandedOut. That takes a witness of the former owner: the volume's record,
or the node's journal, in which the daemon notes every claim that it sees. Where the journal has seen another
claim than the present one it is asked for in any case. Where not, it cannot be said of these (`unseen`):
the record of the former owner is gone, or went back in time with etcd, or never saw his claim.

What is left then is a volume with data that a claim has, as any bound one. The admission policy
(docs/decisions/0203) refuses the careless hand; this is what remains where it is not installed.
"""

from __future__ import annotations

from typing import Any

from hypothesis.stateful import invariant

from disk_daemon.known import Entry
from tests.unit.life.machine import LIVE_FOR_S, Disk, Item
from tests.unit.life.model.state import STRANGER, State, tenancy_of
from tests.unit.life.simulate import Controller
from tidb_volume import names, words
from tidb_volume.life import actions
from tidb_volume.life.actions import Action
from tidb_volume.units import Instant, parse_duration
from tidb_volume.upstream import Pv
from tidb_volume.value import Order, Phase, Volume


class Observer(State):
    """Looks on, and objects."""

    def about_to_begin(self, order: Order, disk: Disk, anew: bool) -> None:
        """An order is about to delete: is that right, by all that is known?

        anew: bytes were gone before, and a process goes on with it. An order that ends an unused tenancy
        destroys nothing, so that only a pause is against it.
        """
        for each in self.obstacles():
            stood = self.cluster.now - self.since.get(each, self.cluster.now)
            passed = each != "paused" and (anew or not order.destroys)
            assert stood <= LIVE_FOR_S or passed, f"begun though {each} for {stood} s"
        for at in self.machine.running.values():
            all_of_it = order.whole_disk or disk.all_at_stake
            same = at.disk is disk and (all_of_it or at.tenancy == order.ends)
            assert not same or at.tenancy in self.forged, "wiped under a container"
        if order.kind == "prepare" and not order.answer and not anew:
            assert order.ends not in self.witnessed, "taken for unused, and a claim had it"
        self.check_erasure(order, disk, anew)

    def a_daemon_has_seen(self, volume: Volume) -> None:
        """What its journal has to know from now on: that somebody has the tenancy handed over last."""
        slot, owner = self.machine.slot, volume.status.owner
        entry = self.machine.journal_of(slot.identity) if slot is not None and self.machine.mounted else None
        if not isinstance(entry, Entry) or slot is None or slot.lock is not None or not entry.handed:
            return
        on_record = owner is not None and owner.claim is not None and volume.status.tenancy == entry.handed
        runs = any(at.disk is slot and at.tenancy == entry.handed for at in self.machine.running.values())
        if on_record or runs:
            self.witnessed.add(entry.handed)

    def obstacles(self) -> set[str]:
        """What stands against a wipe that has not begun; a pause against any."""
        volume, fleet = self.cluster.etcd.volume, self.cluster.etcd.fleet
        found = {"paused"} if fleet is None or fleet.spec.paused else set()
        if fleet is not None and fleet.status.breaker.tripped:
            found.add("the breaker is open")
        if volume is not None:
            admin, question = volume.spec.admin, self.question_of(volume)
            found |= {"held"} if admin.hold else set()
            found |= {"gated"} if admin.gates else set()
            found |= {"asked back"} if admin.restore and admin.restore.question == question else set()
        return found

    @invariant()
    def a_stop_button_stops(self) -> None:
        """At most the one piece goes that a process was about to delete when it was frozen."""
        now, gone = self.cluster.now, len(self.machine.erased) - self.erased
        paused = self.since.get("paused", now)
        assert now - paused <= LIVE_FOR_S or gone <= 1, f"{gone} deleted in a pause"
        self.erased += gone
        self.note_commit()
        self.note_claims()
        self.since = {each: self.since.get(each, now) for each in self.obstacles()}

    def note_commit(self) -> None:
        """Until when which order was committed: a daemon may have read it right before it was taken back."""
        volume = self.cluster.etcd.volume
        if volume is not None and volume.status.committed:
            self.committed[volume.status.committed] = self.cluster.now

    def note_claims(self) -> None:
        """Since when which PersistentVolume is released, and who has one."""
        now, pvs = self.cluster.now, self.cluster.etcd.pvs.values()
        ended = {pv.metadata.uid for pv in pvs if pv.status.phase in ("Released", "Failed")}
        self.released = {uid: self.released.get(uid, now) for uid in ended}
        for pv in pvs:
            if pv.status.phase == "Bound" and pv.spec.claim_ref is not None:
                self.was_bound.add((tenancy_of(pv), pv.spec.claim_ref.uid))
                self.unrecorded.discard(pv.metadata.uid)

    def check_erasure(self, order: Order, disk: Disk, anew: bool) -> None:
        volume = self.cluster.etcd.volume
        going: set[Item] = set()
        unheard: set[Item] = set()
        tenancies: set[str] = set()
        for tenancy, items in disk.at_stake(order.id):
            going |= items
            tenancies |= {tenancy} if items else set()
            made = self.made_again.get(tenancy, Instant(0.0))
            unheard |= items if self.cluster.now - made <= LIVE_FOR_S else set()
        if not going:
            return
        living = {claim.metadata.uid: key for key, claim in self.cluster.etcd.claims.items()}
        committed = volume is not None and volume.status.committed == order.id
        ago = self.cluster.now - self.committed.get(order.id, Instant(0.0))
        assert committed or ago <= LIVE_FOR_S, "wiped without a commit"
        for pv in self.cluster.etcd.pvs.values():
            made = self.by_hand.get(pv.metadata.uid, Instant(0.0))
            late = self.cluster.now - made <= LIVE_FOR_S
            same = tenancy_of(pv) == order.ends
            assert pv.metadata.deletion_timestamp or not same or late, "wiped under a volume"
        if order.answer:
            taken_back = self.cluster.now - self.taken_back.get(order.answer, self.cluster.now)
            assert anew or taken_back <= LIVE_FOR_S, "wiped on an answer that was taken back"
            assert order.answer in self.said_wipe, "wiped on an answer that nobody gave"
            # A volume made, used and deleted again by hand before any cache hears of it leaves no trace.
            assert going - unheard <= self.said_wipe[order.answer], "wiped what nobody was asked about"
            return
        assert tenancies <= self.ended | self.unwitnessed, "wiped what was not let go"
        for item in going:
            assert item.owner != STRANGER, "wiped unknown data"
            assert item.owner not in living, "wiped the data of a claim that is there"
        entry = self.machine.journal_of(disk.identity)
        # Of several the last; who got it after one that is forgotten was told so, and let go of all of it.
        seen = {had.tenancy: had.claim_uid for had in entry.had} if isinstance(entry, Entry) else {}
        kept = {item.owner for item in going} & set(seen.values()) & self.forgotten
        assert not kept, f"wiped what {kept} never let go, though the journal has seen it"

    def check_action(self, who: Controller, volume: Volume, action: Action, late: bool) -> None:
        """A write that the server takes: is it right, by all that is known?"""
        etcd = self.cluster.etcd
        self.note_commit()
        if isinstance(action, actions.WriteOrder) and action.order is not None and action.order.answer:
            assert action.order.answer in self.said_wipe, "ordered on an answer that nobody gave"
        match action:
            case actions.SetClaimRef(name=name, patch=patch):
                self.grant(volume, patch["spec"]["claimRef"], tenancy_of(etcd.pvs[name]))
                assert etcd.pvs[name].status.phase in ("Released", "Failed"), "pointed at another claim"
            case actions.WriteOrder(order=Order(kind="reclaim", withdrawn=False) as order):
                assert etcd.volume is not None
                spec = etcd.volume.spec  # as it is, which is as it was when this was decided
                if volume.status.committed:
                    return
                assert not spec.admin.hold, "ordered the wipe of what is held"
                assert not spec.admin.gates, "ordered the wipe behind a gate"
                assert who.wanted is not None, "ordered the wipe of what no entry lists"
                question = self.question_of(volume)
                said = (spec.admin.approve, spec.admin.wipe_now, spec.admin.adopt)
                approved = any(each is not None and each.question == question for each in said)
                manual = who.view.fleet is not None and who.view.fleet.spec.mode == "manual"
                assert approved or not manual, "ordered a wipe that nobody approved of"
                restore = spec.admin.restore
                assert restore is None or restore.question != question, (
                    "ordered the wipe of what is asked back"
                )
                adopt = spec.admin.adopt
                now = spec.admin.wipe_now is not None and spec.admin.wipe_now.question == question
                now |= adopt is not None and (adopt.question, adopt.action) == (question, "Wipe")
                assert now or order.pv_uid not in self.unrecorded, "ordered the wipe under a record made anew"
                waited = self.cluster.now - self.released.get(order.pv_uid, self.cluster.now)
                after = parse_duration(spec.wipe.after)
                assert now or waited >= after, f"ordered a wipe after {waited} s of {after}"
            case actions.DeleteClaim():
                assert self.lost_at is not None, "let the claim of a node go that is not lost"
                assert who.wanted is not None, "let the claim on a disk go that no entry lists"
                after = who.wanted.pool.node_loss
                assert after != "wait", "let a claim go where the pool says to wait"
                waited = self.cluster.now - self.lost_at
                long = waited >= parse_duration(after) or self.saved is not None
                assert long, f"let a claim go after {waited} s of {after}"
                assert not volume.spec.admin.hold, "let the claim on what is held go"
                assert who.view.fleet is not None, "let a claim go, and nobody can stop it"
                assert not who.view.fleet.spec.paused, "let a claim go under a pause"
                assert not who.view.fleet.status.breaker.tripped, "let a claim go under an open breaker"
            case actions.DeletePv(uid=uid):
                self.check_delete(volume, next(pv for pv in etcd.pvs.values() if pv.metadata.uid == uid))
            case actions.CreatePv(manifest=manifest) if not late:
                tenancy = manifest["metadata"]["labels"][names.LABEL_TENANCY]
                ours = [pv for pv in etcd.pvs.values() if pv.metadata.uid not in self.by_hand]
                assert not ours, "a second volume for one disk"
                reserved = "claimRef" in manifest["spec"]
                if reserved:
                    self.grant(volume, manifest["spec"]["claimRef"], tenancy)
                    assert etcd.volume is not None
                    erased = {each.order.ends for each in self.machine.erased} - self.unproven
                    assert tenancy not in erased, "given back, and some of it is gone"
                for disk in self.disks:
                    assert reserved or not disk.read(tenancy), "a dirty disk on offer"
                order = volume.spec.order
                own = order is not None and order.id in who.mine.orders
                assert reserved or own, "offered on a done of another leader's order"
                fleet = who.view.fleet
                open_ = fleet is None or fleet.metadata.deletion_timestamp or fleet.status.breaker.tripped
                wiped = order is not None and order.destroys
                assert reserved or not (wiped and open_), "offered what was wiped, under an open breaker"
            case _:
                pass

    def check_delete(self, volume: Volume, pv: Pv) -> None:
        """A controller deletes this PersistentVolume, on what it knows of the volume."""
        claim, admin, question = pv.spec.claim_ref, volume.spec.admin, self.question_of(volume)
        if pv.status.phase not in ("Released", "Failed"):
            assert pv.status.phase != "Bound", "deleted a bound volume"
            assert claim is None or not claim.uid, "deleted a claimed volume"
            return
        asked = admin.wipe_now.question if admin.wipe_now is not None else ""
        wiped_now = asked == question and asked in self.said_wipe
        kept = pv.spec.persistent_volume_reclaim_policy != "Delete" or volume.spec.wipe.on_release == "keep"
        if kept and not (wiped_now and asked in self.said_on_kept):
            assert admin.forget is not None, "deleted what is kept"
            assert admin.forget.question == question, "deleted what is kept"
            return
        assert claim is not None
        living = {each.metadata.uid for each in self.cluster.etcd.claims.values()}
        assert claim.uid not in living, "deleted the volume of a claim that is there"
        owner = volume.status.owner
        on_record = owner is not None and owner.claim is not None and owner.claim.uid == claim.uid
        had = on_record or (tenancy_of(pv), claim.uid) in self.was_bound
        kept_for = (tenancy_of(pv), str(claim)) in self.given
        assert had or wiped_now or not kept_for, "deleted what is reserved for a claim"
        self.ended.add(tenancy_of(pv))

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
        self.given.add((tenancy, key))
        self.ended.discard(tenancy)

    def run_pods(self) -> None:
        """Let the kubelet start what it can; who starts reads all and writes its own."""
        before = set(self.machine.running)
        self.backups |= {
            name: pv
            for name, pv in self.cluster.etcd.pvs.items()
            if pv.spec.claim_ref is not None and pv.spec.claim_ref.uid
        }
        self.node.kubelet()
        for uid in set(self.machine.running) - before:
            at = self.machine.running[uid]
            key = next(key for key, pod in self.cluster.etcd.pods.items() if pod.metadata.uid == uid)
            for item in at.disk.read(at.tenancy):
                if item.owner != at.claim_uid and (at.tenancy, key) not in self.granted:
                    assert at.tenancy in self.careless, f"{at.claim_uid} reads the data of {item.owner}"
                    self.leaked.add((at.tenancy, at.claim_uid))
        known = {pod.metadata.uid: key for key, pod in self.cluster.etcd.pods.items()}
        of = {known.get(uid, "") for uid in self.machine.running}
        for at in self.machine.running.values():
            others = {
                each.claim_uid
                for each in self.machine.running.values()
                if each.disk is at.disk and each.tenancy == at.tenancy
            }
            # Whoever gives data back while its kubelet cannot stop the container that had it has two of them:
            # a kubelet that hangs does that to a pod that is deleted by force, too.
            given = any((at.tenancy, key) in self.granted for key in of)
            assert len(others) == 1 or at.tenancy in self.careless or given, "two owners"
            at.disk.write(at.tenancy, Item(at.claim_uid))

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
            # Somebody helped himself, and a person said afterwards that it is to be his.
            given = status.reserved == ref and (tenancy_of(pv), str(ref)) in self.granted
            if known and leaked and not given and pv.status.phase == "Bound":
                assert loud, "handed out dirty, and nothing said"
        if status.phase is Phase.RELEASED:
            assert status.question is not None
        offered = [
            pv
            for pv in self.cluster.etcd.pvs.values()
            if pv.status.phase == "Available" and not pv.metadata.deletion_timestamp
        ]
        if status.phase is Phase.AVAILABLE:
            assert len(offered) == 1, "several volumes stay on offer"
        for pv in offered:
            if (tenancy_of(pv), str(pv.spec.claim_ref)) in self.granted:
                continue
            for disk in self.disks:
                assert not disk.read(tenancy_of(pv)), "a dirty disk stays on offer"
            assert tenancy_of(pv) not in self.witnessed, "what a claim had stays on offer"

    @invariant()
    def what_is_shown_has_words(self) -> None:
        volume = self.cluster.etcd.volume
        if volume is not None and volume.status.reason:
            assert volume.status.reason in words.REASONS
