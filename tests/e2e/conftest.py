"""One cluster of three real nodes for all scenarios, with our programs deployed as a user would."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.cluster import Cluster
from tests.e2e import deployed
from tests.e2e.lab import Lab


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    if os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("real nodes need root")
        pytest.skip("real nodes need root")
    name = os.environ.get("E2E_CLUSTER", f"lab-{os.getpid()}")
    cluster = Cluster.up(name, nodes=3, path_disks=0)
    try:
        deployed.deploy(cluster)
        yield Lab(cluster)
    finally:
        if not cluster.found and "E2E_KEEP" not in os.environ:
            cluster.down()
