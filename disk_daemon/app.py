"""Wiring: which threads there are, what they hand to whom, and how it ends.

Threads: the main loop, which owns all state; the watch of this node's TidbVolumes; the API thread; the HTTP
server for metrics and health. Order of the end: the loop stops, the zygote ends its children (a wipe goes on
after the restart), then the threads.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

import msgspec

from disk_daemon import apart, api, health, uevents
from disk_daemon.children import Children
from disk_daemon.facts import mounts
from disk_daemon.keeper import Keeper
from disk_daemon.loop import CHANGED, READ, Loop
from disk_daemon.measure import measure
from disk_daemon.telling import Then
from tidb_volume import __version__
from tidb_volume.kube import client, kinds, reflector, slim, store, transport
from tidb_volume.obs import http
from tidb_volume.obs.log import Log
from tidb_volume.obs.metrics import Metrics
from tidb_volume.value import DiskReport, NodeReport, Volume, Work

MANAGER = "disk-daemon"
API_TIMEOUT_S = 3.0
"""A reading for a decision is good for 5 s; a server that takes longer is as good as none."""
END_S = 1.0

_log = Log(__name__)


class Options(msgspec.Struct, frozen=True):
    """What the command line says."""

    node_name: str
    kubeconfig: str
    metrics_address: str
    host_pid: int


class _Requests:
    """The keeper's requests, run in the API thread."""

    def __init__(self, server: client.Client, node: str, volumes: store.Store[Volume], loop: Loop) -> None:
        self._server, self._node, self._volumes = server, node, volumes
        self.thread = api.ApiThread(loop.call)

    def live(self, volume: str, tenancies: tuple[str, ...], lean: bool, then: Then) -> None:
        self.thread.ask(lambda: api.read_live(self._server, volume, tenancies, lean=lean), then)

    def write(self, known: Volume, disk: DiskReport | None, work: Work | None, then: Then) -> None:
        def request() -> Volume:
            answer = api.write_status(self._server, known, disk, work)
            self._volumes.put(answer)
            return answer

        self.thread.ask(request, then)

    def write_node(self, seen: NodeReport, then: Then) -> None:
        self.thread.ask(lambda: api.write_node(self._server, self._node, seen), then)


def run(options: Options, zygote: socket.socket, zygote_pid: int) -> int:
    """The daemon, until SIGTERM. Returns the exit status."""
    stays = apart.move(zygote_pid, options.host_pid)
    if stays:
        _log.warning("a disk that hangs may hold up the end of this container", why=stays)
    loop = Loop(time.monotonic)
    stop = transport.Stop()
    config = slim.from_kubeconfig(options.kubeconfig) if options.kubeconfig else slim.in_cluster()
    over = slim.SlimTransport(config)
    server = client.Client(over, manager=MANAGER, timeout=API_TIMEOUT_S)
    volumes: store.Store[Volume] = store.Store()
    requests = _Requests(server, options.node_name, volumes, loop)
    keeper = Keeper(
        requests,
        loop,
        clock=time.monotonic,
        mount_table=lambda: mounts.read(options.host_pid),
        version=__version__,
    )
    children = Children(zygote, zygote_pid, keeper.said, keeper.exited)
    keeper.use(children)

    status = 0

    def reap() -> None:
        nonlocal status
        if not children.reap():
            _log.error("the zygote is gone")
            status = 1
            loop.stop()

    loop.add(zygote.fileno(), READ, reap)
    table = os.open(f"/proc/{options.host_pid}/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
    loop.add(table, CHANGED, keeper.mounts_changed)
    messages = uevents.opened()
    if messages is None:
        _log.warning("the kernel does not tell of disks that come and go; they are looked for once a minute")
    else:
        loop.add(messages.fileno(), READ, partial(_heard, messages, keeper))

    follow(volumes, keeper, loop.call)
    watch = reflector.Reflector(
        server,
        kinds.TIDB_VOLUME,
        volumes,
        stop=stop,
        fields=f"spec.nodeName={options.node_name}",
        chance=random.Random(),  # noqa: S311 - spreads load, keeps no secret
    )
    watcher = threading.Thread(target=watch.run, name="watch", daemon=True)
    checks = {
        "threads": lambda: health.ended((watcher, requests.thread.thread)),
        "loop": lambda: health.stands(loop.busy_s()),
    }
    http_server = _http(options.metrics_address, keeper, volumes, checks, own_groups=not stays)

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: loop.stop())

    def begin() -> None:
        requests.thread.start()
        watcher.start()

    http_server.start()
    keeper.begin(begin)
    _log.info("started", node=options.node_name, pid=os.getpid(), zygote=zygote_pid)
    try:
        loop.run(keeper.next_at, keeper.on_time)
    finally:
        children.end()
        apart.remove(options.host_pid)
        stop.set()
        over.close()
        http_server.stop()
        if watcher.is_alive():
            requests.thread.end(END_S)
            watcher.join(END_S)
        os.close(table)
        if messages is not None:
            messages.close()
        _log.info("ended", status=status)
    return status


class Minding(Protocol):
    """Who is told of this node's TidbVolumes; the keeper."""

    def volume_changed(self, volume: Volume) -> None:
        """See `keeper.Keeper.volume_changed`."""
        ...

    def volume_gone(self, name: str) -> None:
        """See `keeper.Keeper.volume_gone`."""
        ...


def follow(
    volumes: store.Store[Volume], keeper: Minding, call: Callable[[Callable[[], object]], None]
) -> None:
    """Have the keeper told of each change. call: has something called in the main loop.

    Two threads put into the store, and what they tell of it can come in the wrong order. So a change is no
    more than a name to look up: what is handed over is what the store has by then.
    """

    def tell(name: str) -> None:
        volume = volumes.get(name)
        if volume is None:
            keeper.volume_gone(name)
        else:
            keeper.volume_changed(volume)

    def changed(change: store.Change[Volume]) -> None:
        name = change.key[1]
        call(lambda: tell(name))

    volumes.on_change(changed)


def _heard(messages: socket.socket, keeper: Keeper) -> None:
    if uevents.disks_moved(messages):
        keeper.disks_moved()


def _http(
    address: str,
    keeper: Keeper,
    volumes: store.Store[Volume],
    checks: Mapping[str, http.Check],
    *,
    own_groups: bool,
) -> http.Server:
    metrics = Metrics()
    metrics.process()
    measure(metrics, keeper, own_groups=own_groups)
    host, _, port = address.rpartition(":")
    return http.Server(
        host,
        int(port),
        {
            "/metrics": http.metrics(metrics),
            "/healthz": http.health(checks),
            "/readyz": http.health({"watch": lambda: "" if volumes.synced else "no list of volumes yet"}),
        },
    )
