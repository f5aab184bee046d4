"""In which order volumes are looked at while an edit concerns very many of them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from tests.model.apiserver import ApiServer
from tests.unit.test_controller_daemons import pod, volume
from tidb_volume import names
from tidb_volume.kube.events import Recorder
from tidb_volume.kube.queue import Queue
from tidb_volume.upstream import (
    Claim,
    ConfigMap,
    LocalSource,
    PhaseOnly,
    Pod,
    PodClaim,
    PodSpec,
    PodVolume,
    PvcSpec,
    PvSpec,
)
from tidb_volume.upstream import Pv as PersistentVolume
from tidb_volume.value import (
    Admin,
    DiskReport,
    Meta,
    Presence,
    Ref,
    SlimMeta,
    Source,
    Volume,
    VolumeSpec,
)
from volume_controller.cluster import FEW, Cluster, Key, Topic
from volume_controller.inventory import InventoryKeeper

NAMESPACE = "tidb-volume"
TENANCY = "abcdefghijkl"
MASS = {f"node-{number:02}": [f"/data/d{disk}" for disk in range(40)] for number in range(50)}


class Desk:
    """A controller's stores and queue, and the keeper of its inventory; what is looked at is only noted."""

    def __init__(self) -> None:
        self.queue: Queue[Key] = Queue()
        self.cluster = Cluster(self.queue, NAMESPACE)
        api = ApiServer().client()
        recorder = Recorder(api, component="test", host="test")
        self._keeper = InventoryKeeper(api, self.cluster, recorder, lambda: True)
        self._version = 0
        self._listed: dict[str, list[str]] = {}
        self._keeper.look()

    def edit(self, more: dict[str, list[str]], never: str = "") -> None:
        """List more disks, forbid some, and have the edit taken up."""
        self._listed |= more
        nodes = "\n".join(f"  {node}: [{', '.join(disks)}]" for node, disks in self._listed.items())
        text = f"never: [{never}]\ndefaultPool: p\npools: {{p: {{onRelease: wipe}}}}\nnodes:\n{nodes}\n"
        self.cluster.config_maps.put(
            ConfigMap(metadata=self._meta("disks", NAMESPACE), data={"disks.yaml": text})
        )
        self._keeper.look()

    def made(self, node: str, path: str, *, reported: bool = False, admin: Admin | None = None) -> str:
        """A TidbVolume as it is on the API server by now, of that name."""
        source = Source(path=path)
        name = names.volume_name(node, source)
        spec = VolumeSpec(node_name=node, pool="p", source=source, admin=admin or Admin())
        volume = Volume(metadata=self._meta(name), spec=spec)
        if reported:
            disk = DiskReport(presence=Presence.OK)
            volume = msgspec.structs.replace(volume, status=msgspec.structs.replace(volume.status, disk=disk))
        self.cluster.volumes.put(volume)
        return name

    def offered(self, volume: str) -> None:
        """Its PersistentVolume, with nobody's claim."""
        spec = PvSpec(local=LocalSource(path=f"/data/d/.tidb-volume/{TENANCY}"))
        self.cluster.pvs.put(PersistentVolume(metadata=self._meta(names.pv_name(volume, TENANCY)), spec=spec))

    def reserved(self, volume: str) -> None:
        """The same, and a claim has just got it."""
        spec = PvSpec(
            local=LocalSource(path=f"/data/d/.tidb-volume/{TENANCY}"),
            claim_ref=Ref(namespace="tenant", name="claim", uid="u"),
        )
        self.cluster.pvs.put(PersistentVolume(metadata=self._meta(names.pv_name(volume, TENANCY)), spec=spec))

    def claimed(self, volume: str) -> None:
        """A claim has it."""
        spec = PvcSpec(volume_name=names.pv_name(volume, TENANCY))
        self.cluster.claims.put(Claim(metadata=self._slim("claim"), spec=spec))

    def used(self, volume: str) -> None:
        """A pod uses the claim that has it."""
        del volume
        uses = PodVolume(name="data", persistent_volume_claim=PodClaim(claim_name="claim"))
        self.cluster.pods.put(Pod(metadata=self._slim("pod"), spec=PodSpec(volumes=(uses,))))

    def _meta(self, name: str, namespace: str = "") -> Meta:
        self._version += 1
        return Meta(name=name, namespace=namespace, uid=name, resource_version=str(self._version))

    def _slim(self, name: str) -> SlimMeta:
        self._version += 1
        return SlimMeta(name=name, namespace="tenant", uid=name, resource_version=str(self._version))

    def drained(self, most: int = 1_000_000) -> list[str]:
        """The volumes that are looked at next, in order; each counts as looked at."""
        found: list[str] = []
        while len(found) < most and (key := self.queue.poll()) is not None:
            self.queue.done(key)
            if key.topic is Topic.VOLUME:
                found.append(key.name)
        return found


@pytest.fixture
def desk() -> Desk:
    """One volume, on offer, and nothing left to look at."""
    made = Desk()
    made.edit({"node-a": ["/data/old"]})
    made.offered(made.made("node-a", "/data/old"))
    made.drained()
    return made


def of(node: str, path: str) -> str:
    return names.volume_name(node, Source(path=path))


def test_a_claim_and_a_disk_added_later_go_before_two_thousand_disks_added_at_once(desk: Desk) -> None:
    desk.edit(MASS)
    assert len(desk.drained(most=100)) == 100
    desk.edit({"node-b": ["/data/new"]})
    desk.claimed(of("node-a", "/data/old"))
    assert desk.drained(most=2) == [of("node-b", "/data/new"), of("node-a", "/data/old")]
    assert len(desk.drained()) == 1900


def test_an_edit_of_one_machines_disks_goes_before_a_mass_and_one_of_more_does_not(desk: Desk) -> None:
    desk.edit(MASS)
    few = {"node-b": [f"/data/few{disk}" for disk in range(FEW)]}
    many = {"node-c": [f"/data/many{disk}" for disk in range(FEW + 1)]}
    desk.edit(few)
    desk.edit(many)
    order = desk.drained()
    assert set(order[:FEW]) == {of("node-b", path) for path in few["node-b"]}
    assert set(order[-len(many["node-c"]) :]) == {of("node-c", path) for path in many["node-c"]}


def test_of_a_mass_what_was_begun_is_finished_before_more_is_begun_and_after_what_others_wait_for(
    desk: Desk,
) -> None:
    desk.edit(MASS)
    begun = desk.drained(most=3)
    here = [(node, path) for node, paths in MASS.items() for path in paths if of(node, path) in begun]
    for node, path in here:
        desk.made(node, path)
    for node, path in here:
        desk.made(node, path, reported=True)
        desk.offered(of(node, path))
    desk.claimed(of("node-a", "/data/old"))
    order = desk.drained(most=5)
    assert order[0] == of("node-a", "/data/old")
    assert set(order[1:4]) == set(begun)
    assert order[4] not in begun


@pytest.mark.parametrize(
    "somebody_waits",
    [
        lambda desk, name: desk.reserved(name),
        lambda desk, name: desk.claimed(name),
        lambda desk, name: (desk.claimed(name), desk.drained(most=1), desk.used(name)),
        lambda desk, _: desk.made("node-09", "/data/d9", admin=Admin(cordon=True)),
    ],
    ids=["its volume is reserved", "a claim", "a pod", "a person"],
)
def test_one_of_a_mass_goes_first_as_soon_as_somebody_waits_for_it(
    desk: Desk, somebody_waits: Callable[[Desk, str], object]
) -> None:
    desk.edit(MASS)
    name = desk.made("node-09", "/data/d9")
    desk.offered(name)
    desk.made("node-10", "/data/d9")
    assert set(desk.drained(most=2)) == {name, of("node-10", "/data/d9")}
    desk.made("node-10", "/data/d9", reported=True)
    somebody_waits(desk, name)
    assert desk.drained(most=1) == [name]


def test_a_glob_has_those_looked_at_that_it_forbids_and_no_other(desk: Desk) -> None:
    desk.edit(MASS)
    for node, paths in MASS.items():
        for path in paths:
            desk.made(node, path)
    dropped = desk.made("node-a", "/data/dropped")
    desk.drained()
    meant = {of("node-a", "/data/old"), dropped}
    desk.edit({}, never='"/data/old", "/data/drop*"')
    assert set(desk.drained()) == meant
    desk.edit({}, never='"/data/drop*"')
    assert set(desk.drained()) == {of("node-a", "/data/old")}
    desk.edit({})
    assert set(desk.drained()) == {dropped}


def test_a_volume_that_has_come_to_rest_is_of_no_mass_any_more(desk: Desk) -> None:
    desk.edit(MASS)
    name = desk.made("node-09", "/data/d9")
    desk.made("node-10", "/data/d9")
    desk.drained(most=2)
    desk.cluster.at_rest(name)
    desk.made("node-10", "/data/d9", reported=True)
    desk.made("node-09", "/data/d9", reported=True)
    assert desk.drained(most=2) == [name, of("node-10", "/data/d9")]


def test_nothing_is_looked_at_for_a_finalizer_or_the_phase_of_a_volume_that_nobody_has(desk: Desk) -> None:
    """Each of ten thousand new PersistentVolumes gets both from Kubernetes within a second."""
    (pv,) = desk.cluster.pvs.all()
    steps = [
        (msgspec.structs.replace(pv, status=PhaseOnly(phase="Available")), False),
        (msgspec.structs.replace(pv, status=PhaseOnly(phase="Failed")), True),
        (msgspec.structs.replace(pv, status=PhaseOnly(phase="Available")), True),
    ]
    for number, (step, looked_at) in enumerate(steps):
        meta = msgspec.structs.replace(
            pv.metadata, resource_version=str(10_000 + number), finalizers=(f"f{number}",)
        )
        desk.cluster.pvs.put(msgspec.structs.replace(step, metadata=meta))
        assert desk.drained() == ([of("node-a", "/data/old")] if looked_at else [])


def test_a_claim_goes_before_the_volumes_of_a_machine_whose_daemon_came(desk: Desk) -> None:
    """A rack that comes back is hundreds of volumes."""
    for number in range(3):
        desk.cluster.volumes.put(volume(f"v{number}", "n1"))
    desk.drained()
    desk.cluster.daemons.put(pod(1, ready=True))
    desk.claimed(of("node-a", "/data/old"))
    assert desk.drained()[0] == of("node-a", "/data/old")
