"""A term that ends in the middle of a look, and the next one in the same process."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.model.apiserver import ApiServer
from tests.model.faults import Fault, Faulty
from tests.unit.test_controller_daemons import volume
from tidb_volume import names
from tidb_volume.kube import client, kinds
from tidb_volume.kube.events import Recorder
from tidb_volume.kube.queue import Priority, Queue
from tidb_volume.obs.metrics import Metrics
from volume_controller.act import NotLeading
from volume_controller.cluster import Cluster, Key, Topic
from volume_controller.inventory import InventoryKeeper
from volume_controller.tell import Teller
from volume_controller.term import Term

NAMESPACE = "tidb-volume"
INVENTORY = "defaultPool: p\npools: {p: {onRelease: wipe}}\nnodes: {n1: [/data/a]}"


def looked_at(queue: Queue[Key]) -> set[str]:
    """The volumes that stand in the queue; each counts as looked at."""
    found = set()
    while (key := queue.poll()) is not None:
        queue.done(key)
        found |= {key.name} if key.topic is Topic.VOLUME else set()
    return found


class Rig:
    """The parts of a controller that outlive its terms, with one disk listed and one volume known."""

    def __init__(self) -> None:
        self.now = time.time()
        server = ApiServer()
        listed = {"metadata": {"name": "disks", "labels": {names.LABEL_INVENTORY: "true"}}}
        server.client().create(kinds.CONFIG_MAP, {**listed, "data": {"disks.yaml": INVENTORY}}, NAMESPACE)
        self.over = Faulty(server)
        self.api = client.Client(self.over, manager="test")
        self._queue: Queue[Key] = Queue()
        self.cluster = Cluster(self._queue, NAMESPACE)
        self.cluster.volumes.put(volume("v1", "n1"))
        self._recorder = Recorder(self.api, component="test", host="test")
        self.keeper().look()  # the copy of what is in force is written

    def keeper(self, leading: Callable[[], bool] = lambda: True) -> InventoryKeeper:
        """That of a new term."""
        return InventoryKeeper(self.api, self.cluster, self._recorder, leading)

    def term(self) -> Term:
        """One without threads of its own, by the rig's clock."""
        teller = Teller(self._recorder, Metrics())
        return Term(
            self.api,
            self.cluster,
            self.cluster.queue,
            self._recorder,
            teller,
            identity="one",
            leading=lambda: True,
            wall=lambda: self.now,
            workers=0,
        )

    def begin_term(self) -> None:
        """Its workers look at all, before anybody has told them what is wanted."""
        self.cluster.wanted = None
        self.cluster.look_at_all()
        assert "v1" in self.looked_at()

    def looked_at(self) -> set[str]:
        """The volumes that stand in the queue; each counts as looked at."""
        found = set()
        while (key := self._queue.poll()) is not None:
            self._queue.done(key)
            found |= {key.name} if key.topic is Topic.VOLUME else set()
        return found


def test_a_term_that_ended_while_it_read_the_inventory_does_not_say_what_the_next_one_wants() -> None:
    rig = Rig()
    ended: list[bool] = []

    def next_term() -> None:
        ended.append(True)
        rig.begin_term()

    rig.over.faults.append(Fault(lambda call: call.method == "GET", then=next_term, after=True))
    with pytest.raises(NotLeading):
        rig.keeper(lambda: not ended).look()
    assert rig.cluster.wanted is None


def test_the_first_look_of_a_term_has_every_volume_looked_at_whatever_was_wanted_before() -> None:
    """A term before may have said so a moment too late."""
    rig = Rig()
    rig.begin_term()
    rig.keeper().look()
    rig.looked_at()
    own = rig.keeper()
    own.look()
    assert "v1" in rig.looked_at()
    own.look()
    assert not rig.looked_at()


def test_what_a_term_looked_at_while_it_ended_is_left_to_the_next_one() -> None:
    """It decided on what it remembers itself, and has taken the next term's turn out of the queue."""
    rig = Rig()
    rig.looked_at()
    (disk,) = rig.cluster.wanted.desired.disks if rig.cluster.wanted is not None else ()
    term = rig.term()

    def next_term() -> None:
        term.end()
        rig.cluster.look_at_all()

    rig.over.faults.append(Fault(lambda call: call.method == "POST", then=next_term, after=True))
    rig.cluster.queue.add(Key(Topic.VOLUME, disk))
    term._work()
    assert disk in rig.looked_at()


def test_of_a_mass_one_that_waits_for_its_daemon_has_not_come_to_rest() -> None:
    """Else each answer of ten thousand daemons' disks goes before what somebody waits for."""
    rig = Rig()
    (disk,) = rig.cluster.wanted.desired.disks if rig.cluster.wanted is not None else ()
    node = rig.api.create(kinds.NODE, {"metadata": {"name": "n1", "labels": {names.HOSTNAME: "n1"}}})
    rig.cluster.nodes.put(node)
    rig.cluster.look_at_edited({disk}, at_start=True)
    term = rig.term()

    def reason() -> str:
        term._look_at(Key(Topic.VOLUME, disk))
        rig.now += 60
        found = rig.cluster.volumes.get(disk)
        return found.status.reason if found is not None else ""

    assert reason() != "NotObserved"
    assert (reason(), rig.cluster.priority(disk)) == ("NotObserved", Priority.WIDE)
    rig.cluster.nodes.remove(node)
    assert (reason(), rig.cluster.priority(disk)) == ("NodeUnknown", Priority.LIVE)
