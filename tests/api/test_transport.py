"""What only a real server shows: threads, waiting watches, an etcd set back, who leads, what it costs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.api.cases import NAMESPACE, Server
from tests.cluster import Cluster
from tidb_volume import upstream
from tidb_volume.kube import events, kinds, lease, official, slim, transport
from tidb_volume.kube.client import Client
from tidb_volume.kube.reflector import Reflector
from tidb_volume.kube.store import Store

pytestmark = pytest.mark.api


class Watching:
    """A reflector in a thread of its own."""

    def __init__(self, api: Client, kind: kinds.Kind[upstream.ConfigMap], labels: str = "") -> None:
        self.store: Store[upstream.ConfigMap] = Store()
        self.stop = transport.Stop()
        self._news = threading.Condition()
        self.store.on_change(lambda _: self._tell())
        self.reflector = Reflector(api, kind, self.store, stop=self.stop, namespace=NAMESPACE, labels=labels)
        self.thread = threading.Thread(target=self.reflector.run)

    def __enter__(self) -> Watching:
        self.thread.start()
        assert self.store.wait_synced(30)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(30)

    def _tell(self) -> None:
        with self._news:
            self._news.notify_all()

    def holds(self, **wanted: dict[str, str]) -> bool:
        """Whether, within half a minute, it holds these ConfigMaps and no other."""

        def there() -> bool:
            return {item.metadata.name: item.data for item in self.store.all()} == wanted

        with self._news:
            return self._news.wait_for(there, 30)


def test_a_store_follows_the_server(server: Server) -> None:
    name = server.name
    with Watching(server.api, kinds.CONFIG_MAP, f"case={name}") as watching:
        server.api.create(kinds.CONFIG_MAP, server.config_map(a="1"), NAMESPACE)
        assert watching.holds(**{name: {"a": "1"}})
        server.api.merge_patch(kinds.CONFIG_MAP, name, {"data": {"a": "2"}}, NAMESPACE)
        assert watching.holds(**{name: {"a": "2"}})
        server.api.delete(kinds.CONFIG_MAP, name, NAMESPACE)
        assert watching.holds()
        assert watching.reflector.trouble == ""


def test_a_watch_that_waits_ends_when_told(server: Server) -> None:
    with Watching(server.api, kinds.CONFIG_MAP) as watching:
        watching.stop.set()
        watching.thread.join(10)
        assert not watching.thread.is_alive()


def test_many_threads_share_one_transport(server: Server) -> None:
    server.api.create(kinds.CONFIG_MAP, server.config_map(), NAMESPACE)

    def write(n: int) -> None:
        server.api.merge_patch(kinds.CONFIG_MAP, server.name, {"data": {f"k{n}": str(n)}}, NAMESPACE)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(64)))
    assert len(server.api.get(kinds.CONFIG_MAP, server.name, NAMESPACE).data) == 64


def test_a_large_object_comes_back_whole(server: Server) -> None:
    data = {f"k{n}": "x" * 9000 for n in range(100)}
    server.api.create(kinds.CONFIG_MAP, server.config_map(**data), NAMESPACE)
    assert server.api.get(kinds.CONFIG_MAP, server.name, NAMESPACE).data == data


def test_the_second_candidate_leads_as_soon_as_the_first_gives_back(server: Server) -> None:
    gained: dict[str, threading.Event] = {name: threading.Event() for name in ("one", "two")}
    stops = {name: transport.Stop() for name in gained}

    def candidate(name: str) -> threading.Thread:
        elector = lease.Elector(
            server.api.transport,
            name=server.name,
            namespace=NAMESPACE,
            identity=name,
            stop=stops[name],
            gained=gained[name].set,
            lost=lambda: None,
            timing=lease.Timing(renew_s=0.2),
        )
        return threading.Thread(target=elector.run)

    threads = {"one": candidate("one"), "two": candidate("two")}
    threads["one"].start()
    assert gained["one"].wait(30)
    threads["two"].start()
    stops["one"].set()
    assert gained["two"].wait(30)
    stops["two"].set()
    for thread in threads.values():
        thread.join(30)
    assert server.api.get(kinds.LEASE, server.name, NAMESPACE).spec.lease_transitions == 1
    server.api.delete(kinds.LEASE, server.name, NAMESPACE)


def test_an_event_is_counted_up_on_the_server(server: Server) -> None:
    volume = server.api.create(kinds.TIDB_VOLUME, server.volume())
    recorder = events.Recorder(server.api, component="test", host="here")
    for _ in range(3):
        recorder.say(events.about(kinds.TIDB_VOLUME, volume), "Tried", "three times", warning=True)
        recorder.step()
    found, _ = server.api.list(kinds.EVENT, "default", fields=f"involvedObject.name={server.name}")
    assert [(event.count, event.type, event.reason) for event in found] == [(3, "Warning", "Tried")]


def test_a_server_that_does_not_know_us_says_so(kubeconfig: Path) -> None:
    known = slim.from_kubeconfig(kubeconfig)
    stranger = slim.Config(known.server, ca=known.ca, token="not-a-token")
    with closing(slim.SlimTransport(stranger)) as over, pytest.raises(transport.ApiError) as error:
        over.request("GET", kinds.PV.path())
    assert error.value.status == 401


def test_a_server_whose_certificate_is_not_trusted_is_sent_nothing(kubeconfig: Path) -> None:
    known = slim.from_kubeconfig(kubeconfig)
    with closing(slim.SlimTransport(slim.Config(known.server))) as over:
        with pytest.raises(transport.NoAnswer) as error:
            over.request("GET", kinds.PV.path())
        assert not error.value.sent


def test_the_official_client_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="nowhere"):
        official.configured(str(tmp_path / "nowhere"))


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A cluster that a test may hurt."""
    with Cluster.up(f"api-hurt-{os.getpid()}", api_only=True) as cluster:
        yield cluster


def test_a_store_survives_a_restart_and_an_etcd_that_is_set_back(own: Cluster, tmp_path: Path) -> None:
    with closing(slim.SlimTransport(slim.from_kubeconfig(own.kubeconfig))) as over:
        api = Client(over, manager="test")

        def make(name: str) -> None:
            document = {"metadata": {"name": name, "labels": {"case": "hurt"}}, "data": {"a": name}}
            api.create(kinds.CONFIG_MAP, document, NAMESPACE)

        make("before")
        with Watching(api, kinds.CONFIG_MAP, "case=hurt") as watching:
            own.etcd_snapshot(tmp_path / "snapshot")
            make("after")
            assert watching.holds(before={"a": "before"}, after={"a": "after"})
            own.restart("kube-apiserver")
            make("later")
            assert watching.holds(before={"a": "before"}, after={"a": "after"}, later={"a": "later"})
            own.etcd_restore(tmp_path / "snapshot")
            assert watching.holds(before={"a": "before"})
            make("anew")
            assert watching.holds(before={"a": "before"}, anew={"a": "anew"})


MEASURE = """
import sys, threading, time
from tidb_volume.kube import client, events, kinds, reflector, slim, store, transport
from tidb_volume.obs import http, log, metrics
log.setup()
seen = metrics.Metrics()
seen.process()
server = http.Server("127.0.0.1", 0, {"/metrics": http.metrics(seen)})
server.start()
stop = transport.Stop()
over = slim.SlimTransport(slim.from_kubeconfig(sys.argv[1]))
api = client.Client(over, manager="measure")
threads = []
for kind in (kinds.TIDB_VOLUME, kinds.TIDB_VOLUME_FLEET):
    into = store.Store()
    watching = reflector.Reflector(api, kind, into, stop=stop)
    threads.append(threading.Thread(target=watching.run))
    threads[-1].start()
    assert into.wait_synced(30)
seen.render()
with open("/proc/self/smaps_rollup") as rollup:
    (rss,) = [int(line.split()[1]) for line in rollup if line.startswith("Rss:")]
stop.set()
for thread in threads:
    thread.join()
server.stop()
print(rss)
"""


def test_the_plumbing_of_a_daemon_fits_its_budget_of_memory(kubeconfig: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", MEASURE, str(kubeconfig)], capture_output=True, text=True, check=True
    )
    assert int(said.stdout) < 30 * 1024, f"{said.stdout} kB; a whole daemon has 32 MB"
