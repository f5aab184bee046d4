"""A term that ends in the middle of a look, and the next one in the same process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.model.apiserver import ApiServer
from tests.model.faults import Fault, Faulty, lost
from tests.unit.test_controller_daemons import volume
from tidb_volume import names
from tidb_volume.inventory import merge
from tidb_volume.kube import client, kinds, transport
from tidb_volume.kube.events import Recorder
from tidb_volume.kube.queue import Priority, Queue
from tidb_volume.life.actions import Plan
from tidb_volume.life.world import World
from tidb_volume.obs.metrics import Metrics
from tidb_volume.units import Instant
from tidb_volume.value import Volume
from volume_controller import term as term_module
from volume_controller.act import NotLeading
from volume_controller.cluster import Cluster, Key, Topic
from volume_controller.inventory import InventoryKeeper
from volume_controller.snapshot import Memory
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


def entry_unknown(of: Volume | None) -> list[str]:
    """What is said of an entry that cannot be read."""
    return [each.message for each in of.status.conditions if each.type == "EntryUnknown"] if of else []


def manifest_of(name: str) -> dict[str, Any]:
    """A TidbVolume that nobody lists."""
    of = volume(name, "n1")
    return {"metadata": {"name": name}, "spec": msgspec.to_builtins(of.spec, str_keys=True)}


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

    def add_inventory(self, name: str, text: str) -> None:
        """One more ConfigMap, or another text of it."""
        document = {"metadata": {"name": name, "labels": {names.LABEL_INVENTORY: "true"}}}
        document |= {"data": {"disks.yaml": text}}
        if self.api.find(kinds.CONFIG_MAP, name, NAMESPACE) is None:
            made = self.api.create(kinds.CONFIG_MAP, document, NAMESPACE)
        else:
            made = self.api.merge_patch(kinds.CONFIG_MAP, name, document, NAMESPACE)
        self.cluster.config_maps.put(made)

    def keeper(self, leading: Callable[[], bool] = lambda: True) -> InventoryKeeper:
        """That of a new term."""
        return InventoryKeeper(self.api, self.cluster, self._recorder, leading)

    def term(self) -> Term:
        """One without threads of its own, by the rig's clock."""
        self.metrics = Metrics()
        teller = Teller(self._recorder, self.metrics)
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


def test_an_inventory_that_became_binary_data_stays_in_force_and_is_said() -> None:
    rig = Rig()
    own = rig.keeper()
    own.look()
    (wanted,) = rig.cluster.wanted.desired.disks.values()
    gone = {"data": None, "binaryData": {"disks.yaml": "/w=="}}
    made = rig.api.merge_patch(kinds.CONFIG_MAP, "disks", gone, NAMESPACE)
    assert (made.data, made.binary_data) == ({}, {"disks.yaml": ""})
    rig.cluster.config_maps.put(made)
    for keeper in (own, rig.keeper()):  # and after a restart
        keeper.look()
        assert list(rig.cluster.wanted.desired.disks.values()) == [wanted]


def test_a_damaged_copy_is_said_as_what_is_refused() -> None:
    """Nothing is decided about any disk then, so that it is no mere warning."""
    rig = Rig()
    (copy,) = rig.cluster.kept.all()
    rig.cluster.fleets.put(rig.api.create(kinds.TIDB_VOLUME_FLEET, {"metadata": {"name": names.FLEET}}))
    damaged = {"data": {merge.KEPT_KEY: "{"}}
    rig.api.merge_patch(kinds.CONFIG_MAP, copy.metadata.name, damaged, NAMESPACE)
    with pytest.raises(ValueError, match="broken"):
        rig.keeper().look()
    (said,) = rig.cluster.fleet.status.inventories
    assert (said.name, said.refused, said.accepted) == ("disks", True, "")
    assert "nothing is done about any disk" in said.errors[0]


@pytest.mark.parametrize("gone", [False, True])
def test_a_copy_that_somebody_wrote_since_is_neither_changed_nor_deleted_on_what_it_was(gone: bool) -> None:
    """A leader that does not know yet that it is none any more may write after the next one."""
    rig = Rig()
    own = rig.keeper()
    own.look()
    (copy,) = rig.cluster.kept.all()
    theirs = rig.api.merge_patch(
        kinds.CONFIG_MAP, copy.metadata.name, {"data": {"disks.yaml": "nodes: {}"}}, NAMESPACE
    )
    if gone:
        (declared,) = rig.cluster.config_maps.all()
        rig.cluster.config_maps.remove(declared)
    else:
        rig.add_inventory("disks", f"{INVENTORY}\nnever: [/data/x]")
    with pytest.raises(transport.ApiError, match=r"(?i)conflict|precondition|modified"):
        own.look()
    assert rig.api.get(kinds.CONFIG_MAP, copy.metadata.name, NAMESPACE) == theirs
    rig.cluster.kept.put(theirs)
    own.look()
    left = rig.api.find(kinds.CONFIG_MAP, copy.metadata.name, NAMESPACE)
    assert left is None if gone else left is not None and "never" in left.data["disks.yaml"]


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


def test_what_a_refused_config_map_may_list_is_left_alone_and_says_so() -> None:
    rig = Rig()
    rig.api.create(kinds.TIDB_VOLUME, manifest_of("v1"))
    rig.cluster.volumes.put(rig.api.get(kinds.TIDB_VOLUME, "v1"))
    rig.add_inventory("others", "nodes: {n1: [relative]}")
    keeper, term = rig.keeper(), rig.term()
    keeper.look()
    term._look_at(Key(Topic.VOLUME, "v1"))
    (said,) = entry_unknown(rig.cluster.volumes.get("v1"))
    assert "ConfigMap others is refused" in said
    found = rig.api.get(kinds.TIDB_VOLUME, "v1")
    assert found.status.state == "Pending (entry unknown)"
    term._look_at(Key(Topic.VOLUME, "v1"))
    assert rig.api.get(kinds.TIDB_VOLUME, "v1") == found, "said once"
    rig.looked_at()
    rig.add_inventory("third", "nodes: {n1: [relative]}")
    keeper.look()
    assert "v1" in rig.looked_at()
    term._look_at(Key(Topic.VOLUME, "v1"))
    assert "ConfigMap others, third is refused" in entry_unknown(rig.cluster.volumes.get("v1"))[0]
    for name in ("others", "third"):
        rig.add_inventory(name, "nodes: {}")
    keeper.look()
    term._look_at(Key(Topic.VOLUME, "v1"))
    assert rig.api.find(kinds.TIDB_VOLUME, "v1") is None, "nobody lists it, and nobody had it"


@pytest.mark.parametrize("answers", [True, False])
def test_a_volume_that_cannot_be_decided_about_says_so_and_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    rig = Rig()
    rig.add_inventory("disks", INVENTORY.replace("/data/a", "/data/a, /data/b"))
    rig.keeper().look()
    one, other = sorted(rig.cluster.wanted.desired.disks) if rig.cluster.wanted is not None else ()
    term, planned = rig.term(), term_module.plan

    def plan(now: Instant, world: World) -> Plan:
        if world.volume.metadata.name == one:
            raise OverflowError(f"at {now}")
        return planned(now, world)

    monkeypatch.setattr(term_module, "plan", plan)
    if not answers:
        rig.over.faults.append(Fault(lambda call: call.method == "PATCH" and one in call.path, error=lost()))
    rig.looked_at()
    for _ in range(3):
        for name in (one, other):
            term._look_at(Key(Topic.VOLUME, name))
        rig.now += 1
    found = {name: rig.api.get(kinds.TIDB_VOLUME, name).status for name in (one, other)}
    assert [each.type for each in found[one].conditions] == ["Undecided"]
    assert found[one].conditions[0].message.startswith(f"a fault of ours: at {rig.now - 3 + (not answers)}: ")
    assert found[one].state == "Pending (not decided about)"
    assert found[other].reason != ""
    assert rig.cluster.queue.retries(Key(Topic.VOLUME, one)) == 3
    text = rig.metrics.render()[1].decode()
    assert 'tidb_volume_faults_total{topic="volume"} 3.0' in text
    assert 'tidb_volume_alarms_total{type="Undecided"} 1.0' in text
    monkeypatch.setattr(term_module, "plan", planned)
    term._look_at(Key(Topic.VOLUME, one))
    assert rig.api.get(kinds.TIDB_VOLUME, one).status.state == found[other].state


def test_people_may_have_been_missed_until_now_at_most_whatever_a_clock_that_was_ahead_said() -> None:
    memory = Memory(missed_until=Instant(100.0))
    memory.missed(Instant(0.0), Instant(150.0))
    assert memory.missed_until == 100.0
    memory.missed(Instant(140.0), Instant(150.0))
    assert memory.missed_until == 140.0
    memory.missed(Instant(0.0), Instant(90.0))
    assert memory.missed_until == 90.0
    memory.missed(Instant(0.0), Instant(95.0))
    assert memory.missed_until == 90.0
