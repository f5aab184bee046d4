"""When a restart would help the daemon, and when not."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import yaml

from disk_daemon import health
from disk_daemon.api import ApiThread

ROOT = Path(__file__).parents[3]


def test_a_thread_that_has_ended_is_named_and_one_that_has_not_begun_is_not() -> None:
    over = threading.Event()
    runs = threading.Thread(target=over.wait, name="runs", daemon=True)
    waits, gone, other = (
        threading.Thread(target=lambda: None, name=each) for each in ("waits", "gone", "other")
    )
    for each in (runs, gone, other):
        each.start()
    gone.join()
    other.join()
    assert health.ended((runs, waits)) == ""
    assert health.ended((gone, waits, runs, other)) == "ended: gone, other"
    over.set()


def test_the_thread_of_the_requests_is_one_that_can_be_asked() -> None:
    api = ApiThread(lambda call: call())
    assert health.ended((api.thread,)) == ""
    api.start()
    assert health.ended((api.thread,)) == ""
    api.end(5.0)
    assert health.ended((api.thread,)) == "ended: api"


@pytest.mark.parametrize(("busy_s", "said"), [(0.0, ""), (120.0, ""), (121.0, "in one turn for 121 s")])
def test_a_loop_that_is_slow_is_left_alone_and_one_that_stands_is_said(busy_s: float, said: str) -> None:
    assert health.stands(busy_s) == said


def test_the_kubelet_waits_long_before_it_ends_a_daemon() -> None:
    documents = yaml.safe_load_all((ROOT / "deploy/daemon/daemonset.yaml").read_text())
    (daemon,) = (each for each in documents if each["kind"] == "DaemonSet")
    (container,) = daemon["spec"]["template"]["spec"]["containers"]
    alive = container["livenessProbe"]
    assert alive["httpGet"]["path"] == "/healthz"
    assert alive["periodSeconds"] * alive["failureThreshold"] >= 120
    assert alive["timeoutSeconds"] >= 10
