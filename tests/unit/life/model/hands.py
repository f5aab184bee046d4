"""What nobody should do, and somebody does: deleting, clearing, pinning and patching by hand."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.unit.life.cluster import change
from tests.unit.life.machine import Disk, Item
from tests.unit.life.model.people import People
from tests.unit.life.model.state import CLAIMS, STRANGER, tenancy_of
from tidb_volume.upstream import PhaseOnly, Pv
from tidb_volume.value import Ref, VolumeStatus


class Hands(People):
    """Careless hands."""

    @precondition(lambda self: any(p.status.phase == "Released" for p in self.cluster.etcd.pvs.values()))
    @rule()
    def a_claim_ref_is_cleared(self) -> None:
        for pv in tuple(self.cluster.etcd.pvs.values()):
            if pv.spec.claim_ref is not None and pv.status.phase in ("Released", "Failed"):
                self.is_put_on_offer(pv)
                self.cluster.change_pv(pv.metadata.name, spec=change(pv.spec, claim_ref=None))
        self.cluster.kube()

    @precondition(lambda self: any(p.status.phase == "Bound" for p in self.cluster.etcd.pvs.values()))
    @rule(key=st.sampled_from(CLAIMS))
    def the_claim_ref_of_a_bound_volume_is_cleared(self, key: str) -> None:
        """The scheduler may be faster than the controller that would bind it to the same claim again."""
        for pv in tuple(self.cluster.etcd.pvs.values()):
            if pv.status.phase == "Bound":
                self.is_put_on_offer(pv)
                self.nobody_has_seen(pv)
                spec, free = change(pv.spec, claim_ref=None), PhaseOnly(phase="Available")
                self.cluster.change_pv(pv.metadata.name, spec=spec, status=free)
        if key in self.cluster.etcd.claims:
            self.cluster.choose(key)
        self.cluster.kube()

    def nobody_has_seen(self, pv: Pv) -> None:
        """Who had it between two hands, and neither controller nor journal has seen, is known to nobody."""
        volume, ref = self.cluster.etcd.volume, pv.spec.claim_ref
        owner = volume.status.owner if volume is not None else None
        known = owner.claim.uid if owner is not None and owner.claim is not None else ""
        if ref is not None and ref.uid != known:
            self.unseen.add(tenancy_of(pv))

    @precondition(lambda self: self.backups)
    @rule(cleared=st.booleans(), last=st.booleans(), seconds=st.sampled_from([0, 30]))
    def a_volume_is_made_again_by_hand(self, cleared: bool, last: bool, seconds: int) -> None:
        """Out of a backup, under its old name; cleared: without the claim's UID, as many a guide has it.
        seconds: nobody notices for so long."""
        name = tuple(self.backups or [""])[-1 if last else 0]
        if not name or name in self.cluster.etcd.pvs:
            return
        was = self.backups[name]
        self.is_put_on_offer(was)
        ref = was.spec.claim_ref
        spec = change(was.spec, claim_ref=change(ref, uid="") if cleared and ref is not None else ref)
        uid = self.cluster.add_pv(change(was, spec=spec)).metadata.uid
        self.by_hand[uid] = self.made_again[tenancy_of(was)] = self.cluster.now
        self.cluster.kube()
        self.time_passes(seconds)

    def is_put_on_offer(self, pv: Pv) -> None:
        """By a careless hand; and whether any record is left that knows of who had it."""
        self.careless.add(tenancy_of(pv))
        volume = self.cluster.etcd.volume
        known = volume.status if volume is not None else VolumeStatus()
        if known.tenancy != tenancy_of(pv) or (known.owner is None and not known.dirty):
            self.unseen.add(tenancy_of(pv))

    @rule(which=st.sampled_from(["recorded", "ordered"]), copied=st.booleans())
    def a_tenancys_folder_is_made_by_hand(self, which: str, copied: bool) -> None:
        """Empty, on the disk in the slot; copied: on the other one, with all that is in it."""
        volume, slot = self.cluster.etcd.volume, self.machine.slot
        order = volume.spec.order if volume is not None else None
        name = volume.status.tenancy if volume is not None else ""
        if which == "ordered":
            name = order.next if order is not None else ""
        if not name or slot is None or slot.lock is not None:
            return
        disk = next(each for each in self.disks if (each is not slot) == copied)
        if name not in disk.tenancies:
            self.forged.add(name)
            disk.tenancies[name] = set(slot.tenancies.get(name, ())) if copied else set()

    @rule(which=st.integers(0, 1))
    def something_is_put_on_a_disk(self, which: int) -> None:
        """Beside what is there, by somebody of the machine; not in the very moment in which it is wiped."""
        disk = self.disks[which]
        if disk.lock is None:
            self.put_on(disk, Item(STRANGER, f"put-{next(self.cluster.ids)}"))

    def put_on(self, disk: Disk, item: Item) -> None:
        disk.strays.add(item)

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
                self.cluster.force_pv(name)
            else:
                self.cluster.delete_pv(name)

    @rule(what=st.sampled_from(["status", "order", "volume", "crd", "fleet", "annotation", "labels"]))
    def something_is_deleted(self, what: str) -> None:
        self.note_commit()
        volume = self.cluster.etcd.volume
        if what == "fleet":
            self.cluster.etcd.fleet = None
        elif what == "labels":
            for pv in tuple(self.cluster.etcd.pvs.values()):
                self.cluster.change_pv(pv.metadata.name, metadata=change(pv.metadata, labels={}))
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
            released = [
                pv for pv in self.cluster.etcd.pvs.values() if pv.status.phase in ("Released", "Failed")
            ]
            self.unrecorded |= {pv.metadata.uid for pv in released}
            self.cluster.delete_volume()
            if what == "crd":  # every object of these kinds
                self.cluster.etcd.fleet = None
