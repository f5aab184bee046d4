"""One cluster of three real nodes for all scenarios, with our programs deployed as a user would.

`E2E_CLUSTER=NAME` uses a cluster that runs already, with whatever is deployed on it, and leaves it running.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing

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
    running = os.environ.get("E2E_CLUSTER")
    if running:
        with closing(Lab(Cluster.attach(running))) as made:
            yield made
        return
    with Cluster.up(f"e2e-lab-{os.getpid()}", nodes=3, path_disks=0) as cluster:
        deployed.deploy(cluster)
        with closing(Lab(cluster)) as made:
            yield made
