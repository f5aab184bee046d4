"""At each step of a reclaim somebody asks for the data or meddles with the PersistentVolume, once each.

test_every_step.py cuts whoever is at work. Here a person speaks, or a hand is at work beside us: before each
call of the controller, which is decided and under way by then, and after it, and before each change of the
daemon. What happens next comes in several orders (`GOES_ON`); the daemon's process has what it read before.
While all comes to rest it is looked on: nothing with data in it is offered, nothing begins beside a
PersistentVolume, and no byte goes once the daemon has said that it gives all back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import pytest

from disk_daemon.known import Entry, Live
from tests.unit.life.machine import LIVE_FOR_S, Daemon, Disk, Item
from tests.unit.life.simulate import Sim, change
from tests.unit.life.test_device_life import released as device
from tests.unit.life.test_every_step import MOST, steps
from tests.unit.life.test_every_step import released as folder
from tidb_volume.life.look import tenancy_of
from tidb_volume.units import Instant
from tidb_volume.upstream import PhaseOnly, Pv
from tidb_volume.value import Admin, Adopt, Answer, Order, Phase, Ref, Restore

SHAPES = ("path", "xfs", "Block")
KEY = "db/data-0"
CLAIM = Ref(namespace="db", name="data-0")
"""The former owner, and whoever comes by his name."""
GOES_ON = ("the daemon first", "the controller first", "the daemon thawed", "cut")
"""Who acts after what was said. Thawed: its process stood still until its reading was too old. Cut: it, or
the controller, died, and the next one knows nothing of what it knew."""
REST = 300
"""More steps than any reclaim takes."""
End = Literal["kept", "wiped"]


class Reclaim:
    """A reclaim with nothing against it, and all that is seen of it from outside."""

    def __init__(self, shape: str) -> None:
        self.sim: Sim = folder() if shape == "path" else device(shape)
        (self.old,) = self.sim.pvs
        self.tenancy = tenancy_of(self.old)
        self.data = self.sim.disk.read(self.tenancy)
        self.question = ""
        """What a person was asked last."""
        self.by_hand = ""
        """The UID of a PersistentVolume that a hand put on offer, or made again."""
        self.read_since = False
        """A daemon has read the API since then."""
        self.begun = False
        self.committed: dict[str, Instant] = {}
        """Until when which order was."""
        self.given_back: int | None = None
        """How many pieces were gone when the daemon said that it gives all back."""
        self.live = self.sim.node_side.live
        self.sim.node_side.live = self.read  # type: ignore[method-assign]
        self.sim.node_side.about_to_begin = self.about_to_begin

    @property
    def released(self) -> Pv | None:
        """The PersistentVolume of the tenancy that ends, as long as it is not deleted."""
        pv = self.sim.cluster.etcd.pvs.get(self.old.metadata.name)
        return pv if pv is not None and pv.metadata.deletion_timestamp is None else None

    def about_to_begin(self, order: Order, disk: Disk, anew: bool) -> None:
        if order.ends != self.tenancy:
            assert not disk.items() & self.data, "wiped what the order does not end"
            return
        assert self.sim.now - self.committed.get(order.id, Instant(0.0)) <= LIVE_FOR_S, "begun uncommitted"
        assert self.released is None or not self.read_since, "begun beside a PersistentVolume"
        self.begun = True

    def read(self) -> Live:
        self.read_since = True
        return self.live()

    def look(self) -> None:
        sim = self.sim
        asked, said = sim.status.question, sim.daemon.work
        self.committed[sim.status.committed] = sim.now
        self.question = asked.id if asked is not None else self.question
        for pv in sim.pvs:
            free = pv.status.phase == "Available" and pv.spec.claim_ref is None
            if free and pv.metadata.uid != self.by_hand:
                assert not sim.disk.read(tenancy_of(pv)), "a dirty disk on offer"
        if said is not None and said.reason == "Withdrawn" and not said.begun and self.given_back is None:
            self.given_back = len(sim.machine.erased)
        if self.given_back is not None:
            assert len(sim.machine.erased) == self.given_back == 0, "given back, and some of it is gone"

    def rest(self) -> None:
        """Whoever has something to do does it, the process that is at work first."""
        while self.sim.node_side.advance(self.sim.daemon):
            self.look()
        for number, _ in enumerate(steps(self.sim)):
            self.look()
            assert number < REST, self.sim.log[-6:]
        self.look()

    def later(self) -> None:
        """All that is tried again has been."""
        for seconds in (31, 3700):
            self.sim.now = Instant(self.sim.now + seconds)
            self.rest()

    def the_controller_rests(self) -> None:
        for _ in range(REST):
            if self.sim.step() is None:
                return
            self.sim.cluster.kube()
            self.look()
        raise AssertionError(self.sim.log[-6:])

    def reads(self) -> frozenset[Item] | None:
        """What a pod on the claim finds; None: it does not start."""
        if KEY not in self.sim.cluster.etcd.pods:
            self.sim.cluster.start_pod(KEY)
        self.sim.node_side.kubelet()
        running = tuple(self.sim.machine.running.values())
        return running[0].disk.read(running[0].tenancy) if running else None

    # --- how it stands at the moment at which somebody speaks ---

    def right(self, goes_on: str) -> End | None:
        """What becomes of the data if it is asked for now. None: it depends on what a process has read."""
        entry = self.sim.machine.journal_of(self.sim.disk.identity)
        noted = isinstance(entry, Entry) and entry.order is not None and entry.order.begun
        if self.begun or (noted and goes_on == "cut"):
            return "wiped"
        at_work = self.sim.daemon.child is not None
        return None if at_work and goes_on in GOES_ON[:2] else "kept"

    def end(self) -> End:
        """What has become of the data: all of it is there, or nothing and the disk is on offer."""
        sim = self.sim
        if sim.phase() is Phase.AVAILABLE:
            assert not sim.data
            assert set(sim.wiped) == {self.tenancy}
            assert [(pv.status.phase, tenancy_of(pv)) for pv in sim.pvs] == [
                ("Available", sim.status.tenancy)
            ]
            assert not sim.disk.read(sim.status.tenancy)
            return "wiped"
        assert sim.disk.read(self.tenancy) == self.data
        assert not sim.wiped
        return "kept"


Said = Callable[[Reclaim], bool]
"""Says or does it; False: at this moment nobody could."""


def said_at(
    reclaim: Reclaim, at: int, say: Said, goes_on: str, *, took_effect: bool
) -> tuple[str, End | None]:
    """Let somebody speak at the step of that number, and bring all to rest.

    took_effect: the controller's call was answered by then. Returns whose step it was, empty: there are no
    more, "nobody's": nothing could be said; and what has to become of the data.
    """
    sim, whose = reclaim.sim, ""
    for number, each in enumerate(steps(sim)):
        reclaim.look()
        if number == at:
            whose = each
            break
    if not whose:
        return "", None
    if took_effect:
        sim.step()
        reclaim.look()
    controller, right = sim.controller, reclaim.right(goes_on)
    volume, under_way = controller.view.volume, None if took_effect else controller.plan().action
    if not say(reclaim):
        return "nobody's", None
    if goes_on == "cut":
        _cut(sim, whose)
    elif whose == "controller" and under_way is not None and volume is not None:
        controller.attempt(volume, under_way)
    if goes_on in ("the controller first", "the daemon thawed"):
        reclaim.the_controller_rests()
    if goes_on == "the daemon thawed":
        sim.now = Instant(sim.now + LIVE_FOR_S + 1)
    reclaim.rest()
    reclaim.later()
    return whose, right


def _cut(sim: Sim, whose: str) -> None:
    if whose == "controller":
        sim.new_leader()
        return
    if sim.daemon.child is not None:
        sim.daemon.child.steps.close()
    sim.daemon = Daemon()


def each_step(shape: str, say: Said, goes_on: str) -> Iterator[tuple[Reclaim, End | None, object]]:
    """Each reclaim at one of whose steps that was said, at rest since; what has to become of its data; where.
    A hand is done once the volume that it would change is gone."""
    seen = False
    for at in range(MOST):
        for took_effect in (False, True):
            reclaim = Reclaim(shape)
            whose, right = said_at(reclaim, at, say, goes_on, took_effect=took_effect)
            if not whose or (whose == "nobody's" and seen and say in BY_HAND):
                assert seen
                return
            if whose != "nobody's":
                seen = True
                yield reclaim, right, (at, whose, "after" if took_effect else "before", reclaim.sim.status)
            if whose == "daemon":
                break  # after it is as before the next one
    raise AssertionError("it has no end")


# --- what is said ---


def asks_for_it(reclaim: Reclaim) -> bool:
    if not reclaim.question:
        return False
    reclaim.sim.admin(restore=Restore(question=reclaim.question))
    return True


def asks_for_it_with_a_claim(reclaim: Reclaim) -> bool:
    """He has made the claim again before."""
    if not reclaim.question:
        return False
    reclaim.sim.cluster.create_claim(KEY)
    return asks_for_it(reclaim)


def makes_the_claim_again(reclaim: Reclaim) -> bool:
    """And asks for nothing."""
    reclaim.sim.cluster.create_claim(KEY)
    return True


def _points(reclaim: Reclaim, ref: Ref | None) -> bool:
    pv = reclaim.released
    if pv is None:
        return False
    reclaim.by_hand = pv.metadata.uid
    reclaim.sim.cluster.change_pv(pv.metadata.name, spec=change(pv.spec, claim_ref=ref))
    reclaim.sim.cluster.kube()
    return True


def clears_the_claim_ref(reclaim: Reclaim) -> bool:
    return _points(reclaim, None)


def takes_the_uid_off(reclaim: Reclaim) -> bool:
    """As many a guide has it, and there is no claim of that name yet."""
    return _points(reclaim, CLAIM)


def points_at_the_claim_made_again(reclaim: Reclaim) -> bool:
    if reclaim.released is None:
        return False
    made = reclaim.sim.cluster.create_claim(KEY)
    return _points(reclaim, change(CLAIM, uid=made.metadata.uid))


def _and_it_is_bound(reclaim: Reclaim, put_on_offer: Said) -> bool:
    if not put_on_offer(reclaim):
        return False
    reclaim.sim.cluster.create_claim(KEY)
    assert reclaim.sim.cluster.choose(KEY)
    reclaim.sim.cluster.kube()
    return True


def clears_it_and_the_claim_made_again_is_bound(reclaim: Reclaim) -> bool:
    return _and_it_is_bound(reclaim, clears_the_claim_ref)


def takes_the_uid_off_and_the_claim_made_again_is_bound(reclaim: Reclaim) -> bool:
    return _and_it_is_bound(reclaim, takes_the_uid_off)


def sets_the_policy_back(reclaim: Reclaim) -> bool:
    if reclaim.released is None:
        return False
    reclaim.sim.policy("Retain")
    return True


def makes_the_volume_again(reclaim: Reclaim) -> bool:
    """Out of a backup, for the claim made again, once it was deleted."""
    cluster, was = reclaim.sim.cluster, reclaim.old
    if was.metadata.name in cluster.etcd.pvs:
        return False
    claim = cluster.create_claim(KEY, volume_name=was.metadata.name)
    uid = cluster.uid("pv")
    reclaim.by_hand, reclaim.read_since = uid, False
    meta = change(was.metadata, uid=uid, resource_version=cluster.version(), deletion_timestamp=None)
    spec = change(was.spec, claim_ref=change(CLAIM, uid=claim.metadata.uid))
    cluster.etcd.pvs[meta.name] = change(was, metadata=meta, spec=spec, status=PhaseOnly(phase="Pending"))
    cluster.kube()
    return True


# --- what comes of it ---


def answered(reclaim: Reclaim, admin: Admin) -> None:
    """A person ends it, whatever else he or another has said before."""
    reclaim.given_back = None
    reclaim.sim.cluster.change_volume(spec=change(reclaim.sim.spec, admin=admin))
    reclaim.rest()
    reclaim.later()


def has_it_wiped(reclaim: Reclaim) -> None:
    """By the answer that the question has for that."""
    asked = reclaim.sim.status.question
    assert asked is not None
    said = Answer(question=asked.id)
    gone = Adopt(question=asked.id, action="Wipe")
    answered(reclaim, Admin(adopt=gone) if asked.kind == "gone" else Admin(wipe_now=said))
    assert reclaim.end() == "wiped", reclaim.sim.status


def has_it_back(reclaim: Reclaim) -> None:
    asked = reclaim.sim.status.question
    assert asked is not None
    keep = Adopt(question=asked.id, action="Keep", claim=CLAIM)
    given = Admin(adopt=keep) if asked.kind == "gone" else Admin(restore=Restore(question=asked.id))
    if KEY not in reclaim.sim.cluster.etcd.claims:
        reclaim.sim.cluster.create_claim(KEY)
    answered(reclaim, given)
    is_his(reclaim)


def is_his(reclaim: Reclaim) -> None:
    """A claim has it, with all that was there, and nothing of it goes as long as he has it."""
    sim = reclaim.sim
    assert sim.phase() is Phase.BOUND, sim.status
    assert reclaim.end() == "kept"
    assert reclaim.reads() == reclaim.data
    reclaim.later()
    assert reclaim.reads() == reclaim.data


def is_ended_by_an_answer(reclaim: Reclaim, number: int) -> None:
    """It waits for a person, and either of what he may say ends it; one for every other step."""
    (has_it_wiped, has_it_back)[number % 2](reclaim)


@pytest.mark.parametrize("goes_on", GOES_ON)
@pytest.mark.parametrize("say", [asks_for_it, asks_for_it_with_a_claim])
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_asked_back_at_any_step_is_all_given_back_or_all_gone(
    shape: str, say: Said, goes_on: str
) -> None:
    """Given back at each step before the first byte, and at none after it. Where a leader died between the
    delete and its record a person is asked anew."""
    ends: list[End] = []
    in_doubt = 0
    for reclaim, right, where in each_step(shape, say, goes_on):
        sim = reclaim.sim
        end = reclaim.end()
        ends.append(end)
        assert right in (None, end), where
        if end == "wiped":
            continue
        if sim.status.reason == "GoneByHand":
            in_doubt += 1
            is_ended_by_an_answer(reclaim, in_doubt)
            continue
        if say is asks_for_it:
            (pv,) = sim.pvs
            assert (sim.phase(), sim.status.reason) == (Phase.RELEASED, "RestoreAsked"), where
            assert pv.spec.claim_ref == CLAIM, where
            sim.cluster.create_claim(KEY)
            assert sim.cluster.choose(KEY)
            reclaim.rest()
        is_his(reclaim)
    assert ends == sorted(ends)
    assert ends.count("kept") > 14
    assert ends.count("wiped") > 14
    assert in_doubt <= (goes_on == "cut") * 2


BY_HAND: dict[Said, tuple[Phase, str]] = {
    clears_the_claim_ref: (Phase.RELEASED, "GoneByHand"),
    takes_the_uid_off: (Phase.RELEASED, "GoneByHand"),
    points_at_the_claim_made_again: (Phase.BOUND, "Claimed"),
    clears_it_and_the_claim_made_again_is_bound: (Phase.BOUND, "Claimed"),
    takes_the_uid_off_and_the_claim_made_again_is_bound: (Phase.BOUND, "Claimed"),
    sets_the_policy_back: (Phase.RELEASED, "PolicyRetain"),
}


@pytest.mark.parametrize("goes_on", ["the daemon first", "cut"])  # no order is committed, so none is at work
@pytest.mark.parametrize("say", BY_HAND)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_hand_that_changes_the_released_volume_at_any_step_ends_its_wipe(
    shape: str, say: Said, goes_on: str
) -> None:
    """As long as that is there all the data is, and a delete that was decided before fails."""
    steps_seen = 0
    for reclaim, _, where in each_step(shape, say, goes_on):
        steps_seen += 1
        sim = reclaim.sim
        assert reclaim.end() == "kept", where
        assert (sim.phase(), sim.status.reason) == BY_HAND[say], where
        if sim.phase() is Phase.BOUND:
            is_his(reclaim)
        else:
            is_ended_by_an_answer(reclaim, steps_seen)
    assert steps_seen > 8


@pytest.mark.parametrize("goes_on", ["the daemon first", "cut"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_claim_made_again_by_its_name_at_any_step_gets_an_empty_disk(shape: str, goes_on: str) -> None:
    in_doubt = 0
    for reclaim, _, where in each_step(shape, makes_the_claim_again, goes_on):
        if reclaim.sim.status.reason == "GoneByHand":
            in_doubt += 1
            is_ended_by_an_answer(reclaim, in_doubt)
            continue
        assert reclaim.end() == "wiped", where
        assert reclaim.sim.cluster.choose(KEY), where
        reclaim.rest()
        assert reclaim.sim.phase() is Phase.BOUND, where
        assert reclaim.reads() == frozenset(), where
    assert in_doubt == (goes_on == "cut") * 2


@pytest.mark.parametrize("goes_on", GOES_ON)
@pytest.mark.parametrize("shape", SHAPES)
def test_on_a_volume_made_again_by_hand_at_any_step_nobody_finds_a_part_of_the_data(
    shape: str, goes_on: str
) -> None:
    """All of it, or no pod starts and the volume says so. Once the claim is let go and a hand deletes that
    volume again, the disk is on offer, or a person is asked."""
    wiped = 0
    for reclaim, right, where in each_step(shape, makes_the_volume_again, goes_on):
        sim, found = reclaim.sim, reclaim.reads()
        assert sim.phase() is Phase.BOUND, where
        assert found in (None, reclaim.data), where
        if found is not None:
            assert right != "wiped", where
            is_his(reclaim)
            continue
        assert right != "kept", where
        wiped += right == "wiped"
        assert "DIRTY" in sim.status.state or "disk trouble" in sim.status.state, where
        sim.release(KEY)
        reclaim.later()
        if sim.phase() is not Phase.AVAILABLE:
            sim.delete_pvs()
            reclaim.later()
        if sim.phase() is Phase.RELEASED:
            has_it_wiped(reclaim)
        assert reclaim.end() == "wiped", where
    assert wiped > 8
