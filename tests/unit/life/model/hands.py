"""What nobody should do, and somebody does: deleting, clearing, pinning and patching by hand."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.unit.life.cluster import change
from tests.unit.life.model.people import People
from tests.unit.life.model.state import CLAIMS, tenancy_of
from tidb_volume.value import Ref, VolumeStatus


class Hands(People):
    """Careless hands."""

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
