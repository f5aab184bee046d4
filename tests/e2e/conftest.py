"""One cluster of three real nodes for all scenarios, with our programs deployed as a user would.

`E2E_CLUSTER=NAME` uses a cluster that runs already, with whatever is deployed on it, and leaves it running.
A run ends with one line of key=value: what came of it, on which Kubernetes, in how many seconds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cluster import Cluster, build
from tests.e2e import deployed
from tests.e2e.lab import Lab

HERE = Path(__file__).parent
BEGUN = time.monotonic()


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    if os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("real nodes need root")
        pytest.skip("real nodes need root")

    def say(what: str) -> None:
        """What the first scenario waits for."""
        shown = request.config.pluginmanager.getplugin("capturemanager")
        assert shown is not None
        with shown.global_and_fixture_disabled():
            print(f"\n  {time.monotonic() - BEGUN:5.1f} s  {what} ", end="", flush=True)

    running = os.environ.get("E2E_CLUSTER")
    if running:
        with closing(Lab(Cluster.attach(running))) as made:
            yield made
        return
    say("a cluster of three nodes")
    with Cluster.up(f"e2e-lab-{os.getpid()}", nodes=3, path_disks=0) as cluster:
        deployed.deploy(cluster, say)
        with closing(Lab(cluster)) as made:
            yield made


def pytest_unconfigure(config: pytest.Config) -> None:
    """The last line."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or config.option.collectonly:
        return

    def count(*kinds: str) -> int:
        seen = {one.nodeid for kind in kinds for one in reporter.stats.get(kind, [])}
        return sum((config.rootpath / nodeid.partition("::")[0]).is_relative_to(HERE) for nodeid in seen)

    running = os.environ.get("E2E_CLUSTER")
    version = Cluster.attach(running).record.version if running else build.kubernetes_version()
    figures = f"passed={count('passed')} failed={count('failed', 'error')} skipped={count('skipped')}"
    print(f"{figures} k8s={version} seconds={time.monotonic() - BEGUN:.0f}", flush=True)
