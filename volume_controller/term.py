"""One leader's term: workers that take a key, look, decide, act, and look again until nothing is left."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from tidb_volume import names
from tidb_volume.inventory import policy
from tidb_volume.inventory.expand import DesiredDisk
from tidb_volume.kube import codec, transport
from tidb_volume.kube.client import Client
from tidb_volume.kube.events import Recorder
from tidb_volume.kube.queue import Priority, Queue
from tidb_volume.life import status
from tidb_volume.life.actions import PatchStatus
from tidb_volume.life.plan import TRANSIENT, plan
from tidb_volume.obs.log import Log
from tidb_volume.units import Instant
from tidb_volume.value import Volume, VolumeStatus
from volume_controller import snapshot
from volume_controller.act import Actor, NotLeading
from volume_controller.classes import ClassKeeper
from volume_controller.cluster import Cluster, Key, Topic
from volume_controller.inventory import InventoryKeeper
from volume_controller.surveys import SurveyKeeper
from volume_controller.tell import Teller

STEPS = 20
"""So many steps of one volume in one go; one that needs more makes room for others in between."""

_log = Log(__name__)


class Term:
    """Decides as long as `leading` says so. A term is begun once: the next one is another object.

    missed: before it people may have said what nobody heard, or what an etcd that was set back has lost.
    leapt_at: when the time last leapt ahead. No countdown that began before has told anybody in time either.
    """

    def __init__(
        self,
        api: Client,
        cluster: Cluster,
        queue: Queue[Key],
        recorder: Recorder,
        teller: Teller,
        *,
        identity: str,
        leading: Callable[[], bool],
        wall: Callable[[], float],
        workers: int,
        missed: bool = False,
        leapt_at: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._cluster = cluster
        self._queue = queue
        self._identity = identity
        self._wall = wall
        self._leapt_at = leapt_at
        self._teller = teller
        self._memory = snapshot.Memory(missed_until=Instant(wall() if missed else 0.0))
        self._ended = threading.Event()
        self._elected = leading
        self._actor = Actor(api, cluster, self._memory, teller, self._leads)
        self._inventory = InventoryKeeper(api, cluster, recorder, self._leads, self._listed)
        self._classes = ClassKeeper(api, cluster, recorder, self._leads)
        self._surveys = SurveyKeeper(api, cluster, self._leads, wall)
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{number}") for number in range(workers)
        ]

    def _listed(self, text: str, by: str) -> None:
        self._teller.listed(text, by, Instant(self._wall()))

    def start(self) -> None:
        """Begin to decide; everything is looked at once."""
        self._cluster.wanted = None
        self._cluster.look_at_all()
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Take no more keys."""
        self._ended.set()

    def join(self) -> None:
        """Wait for the keys being worked on."""
        for thread in self._threads:
            thread.join()

    def _leads(self) -> bool:
        """Also false for a term that has ended while the same process leads again."""
        return not self._ended.is_set() and self._elected()

    def _work(self) -> None:
        while not self._ended.is_set():
            key = self._queue.get(timeout=0.5)
            if key is None:
                if self._queue.closed:
                    return
                continue
            if not self._leads():
                self._queue.done(key)
                self._queue.add(key)
                return
            try:
                self._look_at(key)
            finally:
                if not self._leads():
                    # Its turn in the next term may have been taken by this look, which went by what this
                    # term remembers.
                    self._queue.add(key, Priority.LISTED)
                self._queue.done(key)

    def _look_at(self, key: Key) -> None:
        try:
            match key.topic:
                case Topic.VOLUME:
                    self._volume(key)
                case Topic.INVENTORY:
                    self._inventory.look()
                case Topic.BREAKER:
                    self._actor.look_at_fleet(Instant(self._wall()))
                case Topic.CLASS:
                    self._classes.look(key.name)
                case Topic.SURVEY:
                    again_s = self._surveys.look(key.name)
                    if again_s:
                        self._queue.add_after(key, again_s, Priority.WIDE)
            self._queue.forget(key)
        except NotLeading:
            _log.info("not leading any more; left to the next leader", topic=key.topic.value, name=key.name)
        except transport.ApiError as error:
            self._again(key, error)
        except (transport.NoAnswer, codec.Undecodable) as error:
            _log.warning("no answer; decided anew", topic=key.topic.value, name=key.name, error=str(error))
            self._retry(key)
        except Exception:
            # One volume that breaks this code must not stop the others; it is said, and tried again later.
            _log.exception("a fault of ours", topic=key.topic.value, name=key.name)
            self._teller.failed(key.topic.value)
            self._retry(key)

    def _again(self, key: Key, error: transport.ApiError) -> None:
        if error.conflict or error.not_found or error.exists:
            # Something changed since it was read: read it from the server and decide anew. What does not get
            # better by that is in the way: a name that somebody else has taken, for instance.
            soon = self._queue.retries(key) < 3
            say = _log.debug if soon else _log.warning
            say("changed meanwhile", topic=key.topic.value, name=key.name, error=str(error))
            if key.topic is Topic.VOLUME and soon:
                try:
                    self._actor.refresh(key.name)
                except (transport.ApiError, transport.NoAnswer, codec.Undecodable) as failed:
                    _log.warning("not read", name=key.name, error=str(failed))
        else:
            _log.warning("refused by the API server", topic=key.topic.value, name=key.name, error=str(error))
        self._retry(key, at_least=error.retry_after or 0.0)

    def _retry(self, key: Key, at_least: float = 0.0) -> None:
        of_one = self._cluster.priority(key.name) if key.topic is Topic.VOLUME else Priority.LIVE
        self._queue.retry(key, of_one, at_least=at_least)

    def _volume(self, key: Key) -> None:
        cluster, name = self._cluster, key.name
        for _ in range(STEPS):
            self._queue.anew(key)  # our own writes call for no look beside the one that follows them here
            wanted = cluster.wanted
            if wanted is None:
                return  # the inventory's first look has every volume looked at
            entry = wanted.desired.disks.get(name)
            volume = cluster.volumes.get(name)
            if entry is None and wanted.unread and name not in wanted.left_by_label:
                # It may be listed there, so nothing is done; looked at again with the next inventory.
                self._say_unread(volume, wanted.unread)
                return
            if volume is None:
                if entry is None:
                    cluster.at_rest(name)
                    return
                self._actor.create(manifest(entry))
                continue
            if volume.metadata.deletion_timestamp is None:
                noting = _to_note(volume, entry, wanted.left_by_label.get(name, ""))
                if noting:
                    self._actor.annotate(volume, noting)
                    continue
            now = Instant(self._wall())
            self._memory.missed(Instant(self._leapt_at()), now)
            try:
                decided = plan(
                    now, snapshot.world(cluster, wanted, volume, self._memory, self._identity, now)
                )
            except Exception as fault:
                with contextlib.suppress(
                    NotLeading, transport.ApiError, transport.NoAnswer, codec.Undecodable
                ):
                    self._say(volume, status.undecided(volume, fault, now), now)
                raise
            if decided.action is None:
                if decided.again_at is not None:
                    self._queue.add_after(key, decided.again_at - now, cluster.priority(name))
                else:
                    self._memory.moved(name)
                    if volume.status.reason not in TRANSIENT:
                        cluster.at_rest(name)
                return
            self._actor.do(volume, decided.action, now)
            self._memory.moved(name)
        self._queue.add(key, cluster.priority(name))

    def _say_unread(self, volume: Volume | None, unread: tuple[str, ...]) -> None:
        if volume is None or volume.metadata.deletion_timestamp is not None:
            return
        now = Instant(self._wall())
        self._say(volume, status.unread(volume, unread, now), now)

    def _say(self, volume: Volume, wanted: VolumeStatus, now: Instant) -> None:
        if wanted != volume.status:
            self._actor.do(volume, PatchStatus(status=wanted, why=wanted.reason), now)


def _to_note(volume: Volume, wanted: DesiredDisk | None, left: str) -> dict[str, str | None]:
    """What the volume's annotations do not say yet of how it is listed; empty: nothing."""
    noted = volume.metadata.annotations
    found: dict[str, str | None] = {}
    if wanted is not None and noted.get(names.ANNOTATION_LISTING) != wanted.listing:
        found[names.ANNOTATION_LISTING] = wanted.listing
    # Cleared only once it is wanted again: an edit that removes it later must still find that it had left.
    if noted.get(names.ANNOTATION_LEFT, "") != left and (left or wanted is not None):
        found[names.ANNOTATION_LEFT] = left or None
    return found


def manifest(wanted: DesiredDisk) -> dict[str, Any]:
    """The TidbVolume of a disk that is listed for the first time."""
    wipe = policy.wipe_policy(wanted)
    spec: dict[str, Any] = {
        "nodeName": wanted.node_name,
        "pool": wanted.pool.name,
        "source": msgspec.to_builtins(wanted.source),
        "volumeMode": wanted.volume_mode,
        "wipe": msgspec.to_builtins(wipe),
    }
    if wanted.fs_type:
        spec["fsType"] = wanted.fs_type
    if wanted.pool.labels:
        spec["labels"] = dict(wanted.pool.labels)
    if wanted.mount_options:
        spec["mountOptions"] = list(wanted.mount_options)
    return {
        "metadata": {"name": wanted.name, "annotations": {names.ANNOTATION_LISTING: wanted.listing}},
        "spec": spec,
    }
