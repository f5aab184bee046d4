"""The small server: metrics, health, streams, and an end."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from tidb_volume.obs import http as server
from tidb_volume.obs.http import Handler, Reply, Request, Server
from tidb_volume.obs.metrics import Metrics, Sample


@contextmanager
def serving(routes: Mapping[str, Handler]) -> Iterator[Server]:
    made = Server("127.0.0.1", 0, routes)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def get(at: Server, path: str, method: str = "GET") -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", at.port, timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.getheader("Content-Type", ""), response.read().decode()
    finally:
        connection.close()


def said(text: str) -> Handler:
    return lambda request: Reply(f"{text} {request.path} {dict(request.query)}".encode())


def test_a_path_goes_to_its_handler_and_a_folder_takes_all_below_it() -> None:
    with serving({"/a": said("a"), "/api/": said("api")}) as at:
        assert get(at, "/a?x=1&x=2")[2] == "a /a {'x': ['1', '2']}"
        assert get(at, "/api/v1/volumes")[2].startswith("api /api/v1/volumes")
        assert get(at, "/")[0] == 404
        assert get(at, "/ab")[0] == 404


def test_nothing_is_written_through_it() -> None:
    with serving({"/a": said("a")}) as at:
        assert get(at, "/a", "POST")[0] == 501
        assert get(at, "/a", "HEAD") == (200, "text/plain; charset=utf-8", "")


def test_health_says_which_check_fails_and_why() -> None:
    trouble = ""
    checks = {"watch": lambda: trouble, "lease": lambda: ""}
    with serving({"/readyz": server.health(checks)}) as at:
        assert get(at, "/readyz")[::2] == (200, "watch: ok\nlease: ok\n")
        trouble = "no answer for 90s"
        assert get(at, "/readyz")[::2] == (503, "watch: no answer for 90s\nlease: ok\n")


def test_a_handler_that_fails_harms_no_other_request() -> None:
    def failing(_: Request) -> Reply:
        raise RuntimeError("bug")

    with serving({"/bad": failing, "/good": said("good")}) as at:
        with suppress(http.client.HTTPException):
            get(at, "/bad")
        assert get(at, "/good")[0] == 200


def test_a_stream_is_sent_piece_by_piece_and_ends_with_the_server() -> None:
    def stream(request: Request) -> Reply:
        def pieces() -> Iterator[bytes]:
            yield b"data: first\n\n"
            request.ending.wait(10)
            yield b"data: last\n\n"

        return Reply(pieces(), content_type="text/event-stream")

    with serving({"/events": stream}) as at:
        connection = http.client.HTTPConnection("127.0.0.1", at.port, timeout=10)
        connection.request("GET", "/events")
        response = connection.getresponse()
        assert response.readline() == b"data: first\n"
        at.stop()
        assert response.read() == b"\ndata: last\n\n"
        connection.close()


def test_metrics_are_ours_alone_and_snapshots_are_computed_when_asked() -> None:
    metrics = Metrics()
    phases = {"Bound": 2}
    metrics.counter("wipes", "Wipes that were begun.", ["method"]).labels("files").inc()
    metrics.gauge("queue_length", "Keys that wait.").set(3)
    metrics.histogram("reconcile_seconds", "Time of a look.", buckets=(0.1, 1.0)).observe(0.2)
    metrics.snapshot(
        "volumes",
        "Volumes by phase.",
        lambda: [Sample(count, {"phase": phase}) for phase, count in phases.items()],
        ["phase"],
    )
    with serving({"/metrics": server.metrics(metrics)}) as at:
        status, content_type, text = get(at, "/metrics")
        phases["Bound"] = 5
        assert 'tidb_volume_volumes{phase="Bound"} 5.0' in get(at, "/metrics")[2]
    assert status == 200
    assert content_type.startswith("text/plain")
    assert 'tidb_volume_wipes_total{method="files"} 1.0' in text
    assert "tidb_volume_queue_length 3.0" in text
    assert 'tidb_volume_reconcile_seconds_bucket{le="1.0"} 1.0' in text
    assert 'tidb_volume_volumes{phase="Bound"} 2.0' in text
    assert all(
        line.split()[2 if line.startswith("#") else 0].startswith("tidb_volume_")
        for line in text.splitlines()
    )
    assert "_created" not in text


def test_a_processs_own_figures_are_there_when_asked_for() -> None:
    metrics = Metrics()
    metrics.process()
    assert b"process_resident_memory_bytes" in metrics.render()[1]
