"""What a disk's life needs of an API server and of Kubernetes' own controllers: each case runs on the API in
memory that the state machine of tests/unit/life/model has, and on a real server with a real
kube-controller-manager and a real scheduler.

Both speak `Kube`: what the controller does is the same action for both, what people do is named alike.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
import pytest

from tidb_volume import names
from tidb_volume.fleet import Fleet
from tidb_volume.life import actions, offer
from tidb_volume.life.actions import Action
from tidb_volume.upstream import Claim, Pv
from tidb_volume.value import (
    Admin,
    Answer,
    DiskReport,
    Order,
    Owner,
    Phase,
    Presence,
    Question,
    Ref,
    Volume,
    VolumeSpec,
    Work,
    WorkState,
)

GIB = 1 << 30
BOUND_BY = offer.BOUND_BY_CONTROLLER
change = msgspec.structs.replace


class Refused(Exception):  # noqa: N818 - the server's own word
    """The server said no: `NotFound`, `AlreadyExists`, `Conflict` or `Invalid`."""


class Kube(Protocol):
    """One volume, and the PersistentVolumes, claims and pods around it. Claims are named `namespace/name`."""

    namespace: str
    word: str
    """Nobody else has it; names begin with it."""
    hostname: str
    """The label of the volume's node."""
    spec: VolumeSpec
    """Of a volume to make."""

    def settle(self) -> None:
        """Let Kubernetes' controllers do all that they have to."""

    # --- the volume and the fleet ---

    def make_volume(self) -> Volume: ...

    def volume(self) -> Volume | None: ...

    def do(self, volume: Volume, action: Action, fleet: Fleet | None = None) -> None:
        """The controller's call. fleet: as the controller has it in its cache."""

    def report(self, volume: Volume, disk: DiskReport, work: Work | None = None) -> None:
        """The daemon's call."""

    def say(self, **admin: Any) -> None:
        """A person writes to `spec.admin`."""

    def remove_volume(self) -> None:
        """By hand, without a precondition."""

    def fleet(self) -> Fleet: ...

    # --- PersistentVolumes, by hand ---

    def make_pv(self, manifest: dict[str, Any]) -> Pv: ...

    def pv(self, name: str) -> Pv | None: ...

    def point(self, name: str, ref: Ref | None) -> None:
        """Set the claimRef, whole."""

    def set_policy(self, name: str, policy: str) -> None: ...

    def strip(self, name: str) -> None:
        """Take off all labels and annotations."""

    def delete_pv(self, name: str, uid: str = "", resource_version: str = "") -> None:
        """Under the preconditions that are named."""

    def force_pv(self, name: str) -> None:
        """Delete it, and take its finalizers off."""

    # --- claims and pods ---

    def make_claim(self, key: str, volume_name: str = "") -> Claim: ...

    def claim(self, key: str) -> Claim | None: ...

    def delete_claim(self, key: str) -> None:
        """It is gone then, or waits for the pod that uses it."""

    def choose(self, key: str) -> bool:
        """The scheduler looks for a PersistentVolume for a claim's pod. Whether it found one; the claim is
        bound to it then."""

    def start_pod(self, key: str) -> None:
        """A pod on the volume's node that uses the claim."""

    def end_pod(self, key: str) -> None: ...


class Scene:
    """Names of one case, and what most of them begin with."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube
        self.one, self.two = (f"{kube.namespace}/{kube.word}-{name}" for name in ("one", "two"))
        self.volume = kube.volume() or kube.make_volume()
        self.name = names.pv_name(self.volume.metadata.name, "aaaaaaaaaaaa")

    def manifest(self, tenancy: str = "aaaaaaaaaaaa", ref: Ref | None = None, **more: Any) -> dict[str, Any]:
        """As the controller makes it. more: of the spec."""
        made = offer.persistent_volume(
            self.volume.metadata.name, self.kube.spec, tenancy, self.kube.hostname, GIB
        )
        claim_ref = {"claimRef": offer.claim_ref(ref)} if ref is not None else {}
        return {**made, "spec": {**made["spec"], **claim_ref, **more}}

    def offer(self, tenancy: str = "aaaaaaaaaaaa", ref: Ref | None = None, **more: Any) -> str:
        """A new PersistentVolume, and its name."""
        made = self.kube.make_pv(self.manifest(tenancy, ref, **more))
        self.kube.settle()
        return made.metadata.name

    def bound(self) -> Pv:
        """A PersistentVolume that the scheduler chose for claim `one`."""
        self.offer()
        self.kube.make_claim(self.one)
        assert self.kube.choose(self.one)
        return self.pv()

    def released(self) -> Pv:
        self.bound()
        self.kube.delete_claim(self.one)
        self.kube.settle()
        return self.pv()

    def pv(self, name: str = "") -> Pv:
        found = self.kube.pv(name or self.name)
        assert found is not None
        return found

    def ref(self, key: str, uid: str = "") -> Ref:
        namespace, name = key.split("/")
        return Ref(namespace=namespace, name=name, uid=uid)

    def whole_ref(self, key: str) -> Ref:
        """With the UID of the claim of that name."""
        return self.ref(key, self.claim(key).metadata.uid)

    def claim(self, key: str) -> Claim:
        found = self.kube.claim(key)
        assert found is not None
        return found

    def now(self) -> Volume:
        found = self.kube.volume()
        assert found is not None
        return found

    def shown(self, name: str = "") -> tuple[str, Ref | None, bool]:
        """A PersistentVolume's phase and claim, and whether it is being deleted."""
        pv = self.pv(name)
        return pv.status.phase, pv.spec.claim_ref, bool(pv.metadata.deletion_timestamp)

    def stands(self, key: str) -> tuple[str, str]:
        """A claim's phase and volume."""
        claim = self.claim(key)
        return claim.status.phase, claim.spec.volume_name

    def delete(self, pv: Pv) -> None:
        """As the controller does, on what it has read."""
        meta = pv.metadata
        action = actions.DeletePv(
            name=meta.name, uid=meta.uid, resource_version=meta.resource_version, why="w"
        )
        self.kube.do(self.now(), action)

    def give(self, pv: Pv, key: str) -> None:
        meta = pv.metadata
        patch = offer.pointing_at(self.ref(key))
        action = actions.SetClaimRef(
            name=meta.name, uid=meta.uid, resource_version=meta.resource_version, patch=patch, why="w"
        )
        self.kube.do(self.now(), action)

    def annotate(self, pv: Pv) -> None:
        meta = pv.metadata
        action = actions.AnnotatePv(
            name=meta.name, uid=meta.uid, resource_version=meta.resource_version, times=1
        )
        self.kube.do(self.now(), action)

    def refused(self, why: str) -> Any:
        return pytest.raises(Refused, match=why)


@pytest.fixture
def scene(kube: Kube) -> Scene:
    return Scene(kube)


# --- a name, and what is of it ---


def test_a_name_is_taken_once(kube: Kube, scene: Scene) -> None:
    scene.offer()
    kube.make_claim(scene.one)
    with scene.refused("AlreadyExists"):
        kube.make_volume()
    with scene.refused("AlreadyExists"):
        kube.make_pv(scene.manifest())
    with scene.refused("AlreadyExists"):
        kube.do(scene.volume, actions.CreatePv(manifest=scene.manifest()))
    with scene.refused("AlreadyExists"):
        kube.make_claim(scene.one)


def test_what_is_made_again_is_another_object(kube: Kube, scene: Scene) -> None:
    first = scene.volume
    kube.remove_volume()
    second = kube.make_volume()
    assert second.metadata.uid != first.metadata.uid
    assert second.metadata.resource_version != first.metadata.resource_version


# --- the volume ---


def status(volume: Volume, **fields: Any) -> actions.PatchStatus:
    return actions.PatchStatus(status=change(volume.status, **fields), why="w")


def order(**fields: Any) -> actions.WriteOrder:
    return actions.WriteOrder(order=Order(id="o1", kind="reclaim", **fields), why="w")


def spec(volume: Volume, **fields: Any) -> actions.WriteSpec:
    return actions.WriteSpec(spec=change(volume.spec, **fields), why="w")


def writes(volume: Volume) -> list[Action]:
    """One of each kind."""
    deleted = actions.DeleteVolume(why="w")
    return [status(volume, message="new"), order(), spec(volume, fs_type="ext4"), deleted]


@pytest.mark.parametrize("first", ["status", "order", "report", "admin"])
def test_what_was_decided_on_an_older_version_is_a_conflict(kube: Kube, scene: Scene, first: str) -> None:
    """Whoever wrote since, to the spec or to the status."""
    old = scene.volume
    if first == "report":
        kube.report(old, DiskReport(presence=Presence.OK))
    elif first == "admin":
        kube.say(hold=True)
    else:
        action = status(old, reason="Foreign") if first == "status" else order(next="n")
        kube.do(old, action)
    before = scene.now()
    for write in writes(old):
        with scene.refused("Conflict"):
            kube.do(old, write)
    assert scene.now() == before


def test_what_was_decided_about_a_volume_of_before_is_a_conflict_and_not_found_where_there_is_none(
    kube: Kube, scene: Scene
) -> None:
    old = scene.volume
    kube.remove_volume()
    for write in writes(old):
        with scene.refused("NotFound"):
            kube.do(old, write)
    made = kube.make_volume()
    for write in writes(old):
        with scene.refused("Conflict"):
            kube.do(old, write)
    assert scene.now() == made


def test_a_write_that_changes_nothing_makes_no_new_version(kube: Kube, scene: Scene) -> None:
    kube.do(scene.volume, status(scene.volume, message="as before"))
    kube.do(scene.now(), order(next="n"))
    kube.say(hold=True)
    before = scene.now()
    for action in (status(before), order(next="n"), spec(before)):
        kube.do(before, action)
    kube.say(hold=True)
    assert scene.now() == before


def test_a_write_that_changes_something_makes_a_new_version(kube: Kube, scene: Scene) -> None:
    kube.report(scene.volume, DiskReport(presence=Presence.OK))
    seen = [scene.volume.metadata.resource_version, scene.now().metadata.resource_version]
    kube.say(hold=True)
    seen.append(scene.now().metadata.resource_version)
    for action in (status(scene.now(), message="m"), order(), spec(scene.now(), fs_type="ext4")):
        kube.do(scene.now(), action)
        seen.append(scene.now().metadata.resource_version)
    assert len(set(seen)) == len(seen)
    assert scene.now().metadata.uid == scene.volume.metadata.uid


def test_a_new_order_has_nothing_of_the_one_before(kube: Kube, scene: Scene) -> None:
    kube.do(scene.volume, order(ends="e", answer="q", withdrawn=True, attempt=3))
    kube.do(scene.now(), actions.WriteOrder(order=Order(id="o2", kind="prepare", next="n"), why="w"))
    written = scene.now().spec.order
    assert written is not None
    # When it was written is the server's word, which the model's leaves out.
    assert msgspec.structs.replace(written, at="") == Order(id="o2", kind="prepare", next="n")
    assert scene.now().spec.pool == kube.spec.pool
    kube.do(scene.now(), actions.WriteOrder(order=None, why="w"))
    assert scene.now().spec.order is None


def test_a_new_status_has_nothing_of_the_one_before(kube: Kube, scene: Scene) -> None:
    owner = Owner(claim=Ref(namespace="db", name="data-0", uid="u"), pod=Ref(namespace="db", name="p"))
    asked = Question(id="q", kind="wipe", about="b", text="t")
    first = status(
        scene.volume, phase=Phase.RELEASED, owner=owner, question=asked, dirty=True, reserved=owner.claim
    )
    kube.do(scene.volume, first)
    assert scene.now().status == first.status
    second = status(scene.now(), owner=Owner(claim=Ref(name="x")), question=None, dirty=False, reserved=None)
    kube.do(scene.now(), second)
    assert scene.now().status == second.status


def test_controller_and_daemon_write_beside_each_other(kube: Kube, scene: Scene) -> None:
    """Each leaves the other's part of the status as it is, whatever it believes of it."""
    disk = DiskReport(presence=Presence.OK, tenancy="t", claims=("a",))
    done = Work(order_id="o1", state=WorkState.DONE, reason="r")
    kube.report(scene.volume, disk, done)
    kube.do(scene.now(), status(scene.now(), message="m", disk=None, work=None))
    assert (scene.now().status.disk, scene.now().status.work) == (disk, done)
    kube.report(scene.volume, DiskReport(presence=Presence.NOT_MOUNTED))  # on an older version
    found = scene.now().status
    assert (found.disk, found.message) == (DiskReport(presence=Presence.NOT_MOUNTED), "m")
    assert found.work == done
    again = Work(order_id="o2", state=WorkState.RUNNING)
    kube.report(scene.volume, DiskReport(presence=Presence.NOT_MOUNTED), again)
    assert scene.now().status.work == again


def test_what_people_said_and_status_stay_when_the_spec_is_written(kube: Kube, scene: Scene) -> None:
    kube.say(hold=True, wipe_now=Answer(question="q"))
    kube.do(scene.now(), status(scene.now(), message="m"))
    before = scene.now()
    kube.do(before, spec(before, fs_type="ext4", labels={"a": "b"}, admin=Admin()))
    kube.do(scene.now(), order(next="n"))
    kube.do(scene.now(), spec(scene.now(), labels={"c": "d"}))
    found = scene.now()
    assert (found.spec.admin, found.status) == (before.spec.admin, before.status)
    assert (found.spec.fs_type, found.spec.labels) == ("ext4", {"c": "d"})
    assert found.spec.order is not None
    kube.say(wipe_now=None)
    assert scene.now().spec.admin == change(before.spec.admin, wipe_now=None)


def test_a_volumes_node_never_changes(kube: Kube, scene: Scene) -> None:
    with scene.refused("Invalid"):
        kube.do(scene.volume, spec(scene.volume, node_name="another"))
    assert scene.now() == scene.volume


def test_a_report_is_of_one_volume_and_of_no_later_one(kube: Kube, scene: Scene) -> None:
    kube.remove_volume()
    kube.report(scene.volume, DiskReport(presence=Presence.OK))
    assert kube.volume() is None
    made = kube.make_volume()
    kube.report(scene.volume, DiskReport(presence=Presence.OK))
    assert scene.now() == made


def test_a_wipe_is_counted_on_the_fleet_that_was_read(kube: Kube, scene: Scene) -> None:
    first = kube.fleet()
    count = actions.CountWipe(tenancy="t")
    kube.do(scene.volume, count, first)
    assert kube.fleet().status.breaker != first.status.breaker
    assert kube.fleet().spec == first.spec
    with scene.refused("Conflict"):
        kube.do(scene.volume, count, first)


def test_a_deleted_volume_is_gone_at_once_and_its_persistent_volume_stays(kube: Kube, scene: Scene) -> None:
    scene.offer()
    kube.do(scene.volume, actions.DeleteVolume(why="w"))
    kube.settle()
    assert kube.volume() is None
    assert scene.shown() == ("Available", None, False)


@pytest.mark.parametrize("used", [False, True], ids=["", "a pod uses it"])
def test_a_claim_is_let_go_as_it_was_read(kube: Kube, scene: Scene, used: bool) -> None:
    scene.bound()
    if used:
        kube.start_pod(scene.one)
    kube.settle()
    assert scene.stands(scene.one) == ("Bound", scene.name)
    meta = scene.claim(scene.one).metadata
    action = actions.DeleteClaim(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        resource_version=meta.resource_version,
        node="gone",
        why="w",
    )
    for other in (change(action, uid="another"), change(action, resource_version="1")):
        with scene.refused("Conflict"):
            kube.do(scene.volume, other)
    assert scene.stands(scene.one) == ("Bound", scene.name)
    kube.do(scene.volume, action)
    if used:
        assert scene.claim(scene.one).metadata.deletion_timestamp
        assert scene.shown()[0] == "Bound"
        kube.end_pod(scene.one)
    kube.settle()
    assert kube.claim(scene.one) is None
    assert scene.shown()[0] == "Released"
