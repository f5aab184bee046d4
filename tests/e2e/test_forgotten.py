"""etcd restored from before a claim, with a real control plane: what a claim had is not offered as unused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster import Node
from tests.e2e.lab import Lab, never, until
from tests.e2e.test_release import Tenant
from tidb_volume.kube import kinds
from tidb_volume.value import Phase

pytestmark = pytest.mark.cluster


def test_a_claim_that_etcd_has_forgotten_keeps_its_disk_off_offer_though_it_is_empty(
    lab: Lab, tmp_path: Path
) -> None:
    node: Node = lab.cluster.nodes[0]
    tenant = Tenant(lab, "forgotten", node, wipeAfter="0s")
    first = lab.wait(tenant.volume, Phase.AVAILABLE)
    snapshot = tmp_path / "etcd"
    lab.cluster.etcd_snapshot(snapshot)
    tenant.start()
    lab.wait(tenant.volume, Phase.BOUND)
    claim = lab.api.get(kinds.CLAIM, "data-db-0", tenant.namespace).metadata.uid
    journal = "/var/lib/tidb-volume/journal"
    until("the journal to know the claim", lambda: claim in node.exec(["sh", "-c", f"cat {journal}/*.json"]))

    lab.cluster.etcd_restore(snapshot)
    # Who restores without --bump-revision starts our programs anew too (see kube/reflector.py).
    lab.cluster.kubectl("-n", "tidb-volume", "delete", "pod", "--all", "--wait=false")
    found = lab.wait(tenant.volume, Phase.RELEASED, seconds=180)
    assert found.status.tenancy == first.status.tenancy
    assert found.status.disk is not None
    owner = found.status.owner.claim.uid if found.status.owner and found.status.owner.claim else ""
    assert claim in (owner, *found.status.disk.claims)
    until("its offer to be taken back", lambda: not lab.pvs(tenant.volume))
    never("an offer of it", lambda: lab.pvs(tenant.volume), seconds=3)
    assert first.status.tenancy in lab.entries(node, f"{tenant.mount}/.tidb-volume")
