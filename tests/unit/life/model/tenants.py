"""Claims and pods, Kubernetes' own programs, the clock, and an etcd that goes back in time."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.unit.life.machine import LIVE_FOR_S
from tests.unit.life.model.observer import Observer
from tests.unit.life.model.state import CLAIMS, tenancy_of
from tests.unit.life.simulate import Controller
from tidb_volume.units import Instant


class Tenants(Observer):
    """Whose disks these are, and what runs them."""

    @rule(key=st.sampled_from(CLAIMS))
    def a_tenant_moves_in(self, key: str) -> None:
        self.a_claim_is_made(key)
        self.the_scheduler_binds(key)
        self.kubernetes_acts()
        self.a_pod_starts(key)

    @precondition(lambda self: self.cluster.etcd.claims)
    @rule(key=st.sampled_from(CLAIMS))
    def a_tenant_leaves(self, key: str) -> None:
        key = key if key in self.cluster.etcd.claims else next(iter(self.cluster.etcd.claims), key)
        self.a_pod_ends(key, kubelet=True)
        self.a_claim_is_deleted(key)
        self.kubernetes_acts()

    @rule(key=st.sampled_from(CLAIMS), named=st.booleans())
    def a_claim_is_made(self, key: str, named: bool = False) -> None:
        """named: it asks for the very volume that is there, whatever that holds."""
        if key not in self.cluster.etcd.claims:
            volumes = list(self.cluster.etcd.pvs)
            self.cluster.create_claim(key, volumes[0] if named and volumes else "")

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

    @precondition(lambda self: self.cluster.etcd.pods)
    @rule(key=st.sampled_from(CLAIMS))
    def a_pod_ends_and_leaves_nothing(self, key: str) -> None:
        """It removed all its files, or never wrote one; the claim stays."""
        pod = self.cluster.etcd.pods.pop(key, None)
        at = self.machine.running.get(pod.metadata.uid) if pod is not None else None
        self.run_pods()
        if at is not None and at not in self.machine.running.values():
            at.disk.clear(at.tenancy)

    @precondition(lambda self: self.cluster.etcd.claims)
    @rule(key=st.sampled_from(CLAIMS))
    def a_claim_is_deleted(self, key: str) -> None:
        if key in self.cluster.etcd.claims:
            self.cluster.delete_claim(key)

    @rule(seconds=st.sampled_from([1, 30, 3700]))
    def time_passes(self, seconds: int) -> None:
        self.cluster.now = Instant(self.cluster.now + seconds)

    @rule()
    def etcd_is_saved(self) -> None:
        self.note_claims()
        self.saved, self.saved_released = self.cluster.etcd.copy(), dict(self.released)
        self.saved_taken_back = dict(self.taken_back)
        self.saved_journals = dict(self.machine.journals)

    @precondition(lambda self: self.saved is not None)
    @rule(forget=st.booleans())
    def etcd_goes_back(self, forget: bool) -> None:
        """Everything that the API holds is as it was; disks and journals are not.

        Nobody answers while etcd is being set back, and that takes longer than a reading is good for: what a
        daemon begins on a reading from before is as if it had begun before.
        """
        self.cluster.now = Instant(self.cluster.now + LIVE_FOR_S + 1)
        known = {claim.metadata.uid for claim in self.saved.claims.values()}
        self.forgotten |= {each.metadata.uid for each in self.cluster.etcd.claims.values()} - known
        self.cluster.etcd, self.released = self.saved.copy(), dict(self.saved_released)
        self.taken_back = dict(self.saved_taken_back)
        self.late.clear()
        self.unrecorded.clear()
        self.unseen |= self.careless  # who had it since is on no record any more
        for pv in self.cluster.etcd.pvs.values():
            # On offer again, or its former owner's, though another used it since: no one can know until the
            # daemon looks.
            claim = pv.spec.claim_ref.uid if pv.spec.claim_ref is not None else ""
            tenancy = tenancy_of(pv)
            items = {item for disk in self.disks for item in disk.read(tenancy)}
            # What was put aside comes back, once its daemon sees that the order is gone.
            for disk in self.disks:
                items |= {item for place, found in disk.places() if place == tenancy for item in found}
            if any(item.owner != claim for item in items):
                self.careless.add(tenancy)
            if items and not claim:
                self.unseen.add(tenancy)
        for who in self.controllers:
            who.catch_up()
            if forget:
                who.mine = Controller(self.cluster, None).mine
        self.run_pods()
