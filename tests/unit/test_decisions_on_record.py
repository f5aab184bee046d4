"""The controller puts on record what it decides over a disk's data: on whose word, once for each act."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.model.apiserver import ApiServer
from tests.unit.life.cluster import NAME, NODE, SOURCE
from tests.unit.life.machine import Disk
from tests.unit.life.simulate import IDENTITY, Controller, Sim, desired, pool
from tests.unit.life.worlds import BLANK, CLAIM, COMMITTED, HARDWARE, NEXT, OFFERED, OLD, RELEASED, but, order
from tests.unit.test_actor import ACTS, WHAT, Rig
from tidb_volume import audit, certificate, names
from tidb_volume.audit import AuditLine
from tidb_volume.kube import kinds, transport
from tidb_volume.kube.events import Recorder
from tidb_volume.kube.kinds import Kind
from tidb_volume.life import actions, offer
from tidb_volume.life.actions import Action
from tidb_volume.life.world import World
from tidb_volume.obs.log import JsonLines
from tidb_volume.obs.metrics import Metrics
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import (
    Adopt,
    Answer,
    Condition,
    Identity,
    Owner,
    Phase,
    Presence,
    Record,
    Ref,
    Restore,
    Volume,
)
from volume_controller import record
from volume_controller.tell import Teller

AT = "2027-01-15T08:00:00.000Z"
PV_NAME = names.pv_name(NAME, OLD)
POD, LATER = Ref(namespace="db", name="tikv-0", uid="pod-1"), Ref(namespace="db", name="tikv-0", uid="pod-2")
OTHERS = Ref(namespace="db", name="other", uid="claim-2")
ANOTHER = Identity(serial="S2", model="M", size_bytes=1 << 30)
Q = "q-1"

change = msgspec.structs.replace


def on_record(world: World, action: Action) -> AuditLine | None:
    return record.line_of(world.volume, action, at=AT, leader="a_1")


def line(what: str, **fields: Any) -> AuditLine:
    """A line about the volume of `worlds` and its owner's data, as far as nothing else is said."""
    about = {"node": NODE, "volume": NAME, "source": str(SOURCE), "identity": HARDWARE}
    known = {"leader": "a_1", "tenancy": OLD, "claim": CLAIM}
    return AuditLine(schema=1, at=AT, what=what, **{**about, **known, **fields})  # type: ignore[arg-type]


ORDER = order(asked="reclaim policy Delete, set by kubectl-patch, T", attempt=2)
OF_ORDER = {
    "order": "order-1",
    "kind": "reclaim",
    "method": "files",
    "asked": "reclaim policy Delete, set by kubectl-patch, T",
    "next": NEXT,
    "pv_name": PV_NAME,
    "pv_uid": "pv-a",
    "attempt": 2,
}
ORDERED = but(RELEASED, spec={"order": ORDER})
ENDED = {"phase": Phase.RELEASED, "wipe_at": ""}
STOPPED = but(RELEASED, status={"wipe_at": ""})
BY_JANE = Answer(question=Q, by="jane")
ASKED_BACK = {"restore": Restore(question=Q, by="jane")}
KEPT = {"adopt": Adopt(question=Q, action="Keep", claim=CLAIM, by="jane")}
DELETE = actions.DeletePv(name=PV_NAME, uid="pv-a", resource_version="7", why="because")
POINT = actions.SetClaimRef(
    name=PV_NAME, uid="pv-a", resource_version="7", patch=offer.pointing_at(CLAIM), why="because"
)
WRONG = {"presence": Presence.WRONG_DISK, "identity": ANOTHER}
SAID_OF_DISK = {"accept_identity": BY_JANE}


def status(world: World, **fields: Any) -> actions.PatchStatus:
    return actions.PatchStatus(status=change(world.volume.status, **fields), why="because")


def made(world: World, tenancy: str, given: Ref | None = None) -> actions.CreatePv:
    manifest = offer.persistent_volume(NAME, world.volume.spec, tenancy, "host-1", 1 << 30)
    return actions.CreatePv(manifest=offer.given(manifest, given) if given is not None else manifest)


def not_taken(message: str) -> tuple[Condition, ...]:
    return (Condition(type="AnswerNotTaken", status="True", reason="NotTaken", message=message),)


def written(**fields: Any) -> actions.WriteOrder:
    return actions.WriteOrder(order=change(ORDER, **fields), why="because")


TAKEN = actions.WriteOrder(order=None, why="because")
WITHDRAWN = actions.WriteOrder(order=change(ORDER, withdrawn=True), why="because")
HISTORY = (Record(at=AT, what="wiped", tenancy=NEXT, who="db/other"),)
LAST = {"uid": RELEASED.volume.metadata.uid, "history": HISTORY}
NOBODYS = {"tenancy": "", "claim": None}

DECISIONS: list[tuple[str, World, Action, AuditLine | None]] = [
    ("a wipe is ordered", RELEASED, written(), line("ordered", **OF_ORDER, message="because")),
    (
        "a wipe is ordered on an answer",
        RELEASED,
        written(kind="prepare", answer=Q, asked="adopt: Wipe by jane", pv_uid=""),
        line(
            "ordered",
            **{**OF_ORDER, "kind": "prepare", "asked": "adopt: Wipe by jane", "pv_uid": ""},
            answer=Q,
            message="because",
        ),
    ),
    (
        "a disk is made ready for its first use",
        BLANK,
        written(kind="prepare", ends="", asked="", pv_name="", pv_uid="", attempt=0, identity=ANOTHER),
        line(
            "ordered",
            order="order-1",
            kind="prepare",
            method="files",
            next=NEXT,
            identity=ANOTHER,
            message="because",
            **NOBODYS,
        ),
    ),
    ("a mount takes nothing away", RELEASED, written(kind="mount", ends=""), None),
    ("nor does an unmount", RELEASED, written(kind="unmount", ends=""), None),
    (
        "an order is taken away",
        ORDERED,
        TAKEN,
        line("recalled", **{**OF_ORDER, "asked": ""}, message="because"),
    ),
    (
        "it is taken back, on a person's word",
        but(ORDERED, admin=ASKED_BACK),
        WITHDRAWN,
        line("recalled", **{**OF_ORDER, "asked": "restore by jane"}, message="because"),
    ),
    (
        "it is taken away for another reason than the word that it stood on",
        but(ORDERED, admin={"adopt": Adopt(question=Q, action="Wipe", by="jane")}),
        TAKEN,
        line("recalled", **{**OF_ORDER, "asked": ""}, message="because"),
    ),
    (
        "it is taken back for who keeps the data for a claim",
        but(ORDERED, admin=KEPT),
        WITHDRAWN,
        line("recalled", **{**OF_ORDER, "asked": "adopt: Keep by jane"}, message="because"),
    ),
    (
        "one is written that is taken back from the start",
        but(RELEASED, admin=ASKED_BACK),
        WITHDRAWN,
        line("recalled", **{**OF_ORDER, "asked": "restore by jane"}, message="because"),
    ),
    (
        "the pod that had the disk last is named",
        but(RELEASED, status={"owner": Owner(claim=CLAIM, last_pod=POD)}),
        written(),
        line("ordered", **OF_ORDER, message="because", pod=POD),
    ),
    (
        "the pod that has it is named",
        but(RELEASED, status={"owner": Owner(claim=CLAIM, pod=LATER, last_pod=POD)}),
        written(),
        line("ordered", **OF_ORDER, message="because", pod=LATER),
    ),
    ("there is nothing to take back", RELEASED, TAKEN, None),
    ("a mount is taken back", but(RELEASED, spec={"order": order(kind="mount")}), TAKEN, None),
    (
        "the PersistentVolume of an order is deleted, which commits it",
        ORDERED,
        DELETE,
        line("deleted", **OF_ORDER, message="because"),
    ),
    (
        "another is deleted",
        ORDERED,
        change(DELETE, uid="pv-z"),
        line("deleted", pv_name=PV_NAME, pv_uid="pv-z", message="because"),
    ),
    (
        "it is deleted under an order that was taken back",
        but(RELEASED, spec={"order": change(ORDER, withdrawn=True)}),
        DELETE,
        line("deleted", pv_name=PV_NAME, pv_uid="pv-a", message="because"),
    ),
    (
        "it is deleted since a person forgot the disk",
        but(RELEASED, admin={"forget": BY_JANE}),
        DELETE,
        line("deleted", pv_name=PV_NAME, pv_uid="pv-a", asked="forget by jane", message="because"),
    ),
    (
        "the point of no return is passed",
        ORDERED,
        status(ORDERED, committed="order-1"),
        line("committed", **OF_ORDER),
    ),
    (
        "it moves to the next order for the same wipe",
        but(COMMITTED, spec={"order": change(ORDER, id="order-2")}),
        status(COMMITTED, committed="order-2"),
        line("committed", **{**OF_ORDER, "order": "order-2"}),
    ),
    (
        "the order that it is about is gone meanwhile",
        RELEASED,
        status(RELEASED, committed="order-1"),
        line("committed", order="order-1"),
    ),
    ("it stays where it was", COMMITTED, status(COMMITTED, reason="Deleting"), None),
    ("the wipe is over", COMMITTED, status(COMMITTED, committed=""), None),
    (
        "a disk comes on offer",
        but(COMMITTED, spec={"order": ORDER}),
        made(COMMITTED, NEXT),
        line("offered", order="order-1", next=NEXT, pv_name=names.pv_name(NAME, NEXT), **NOBODYS),
    ),
    (
        "it comes on offer with the order gone",
        RELEASED,
        made(RELEASED, NEXT),
        line("offered", next=NEXT, pv_name=names.pv_name(NAME, NEXT), **NOBODYS),
    ),
    (
        "a volume is made again for the claim that a person named",
        but(COMMITTED, admin=ASKED_BACK),
        made(COMMITTED, OLD, change(CLAIM, uid="")),
        line("given", pv_name=PV_NAME, asked="restore by jane", claim=change(CLAIM, uid="")),
    ),
    (
        "a disk is kept for one claim",
        but(BLANK, admin=KEPT, status={"question": RELEASED.volume.status.question}),
        made(BLANK, NEXT, CLAIM),
        line("given", tenancy=NEXT, pv_name=names.pv_name(NAME, NEXT), asked="adopt: Keep by jane"),
    ),
    (
        "a volume is pointed at the claim that a person named",
        but(RELEASED, admin=ASKED_BACK),
        POINT,
        line("given", pv_name=PV_NAME, pv_uid="pv-a", asked="restore by jane", message="because"),
    ),
    (
        "it is pointed at the new claim of the same name, whose pod had it",
        but(RELEASED, admin=ASKED_BACK, status={"owner": Owner(claim=change(CLAIM, uid="u"), last_pod=POD)}),
        POINT,
        line("given", pv_name=PV_NAME, pv_uid="pv-a", asked="restore by jane", message="because", pod=POD),
    ),
    (
        "data is given to another claim than the one that had it",
        but(RELEASED, admin=ASKED_BACK, status={"owner": Owner(claim=OTHERS, last_pod=POD)}),
        POINT,
        line(
            "given",
            pv_name=PV_NAME,
            pv_uid="pv-a",
            asked="restore by jane",
            message="because; it was db/other's",
        ),
    ),
    (
        "data of another namespace's claim is given",
        but(COMMITTED, admin=KEPT, status={"owner": Owner(claim=change(CLAIM, namespace="web"))}),
        made(COMMITTED, OLD, CLAIM),
        line("given", pv_name=PV_NAME, asked="adopt: Keep by jane", message="it was web/data-0's"),
    ),
    (
        "who did not say his name is not made up",
        but(RELEASED, admin={"restore": Restore(question=Q)}),
        POINT,
        line("given", pv_name=PV_NAME, pv_uid="pv-a", asked="restore", message="because"),
    ),
    (
        "nor is a word that does not count any more",
        but(RELEASED, admin={"restore": Restore(question="q-0", by="jane")}),
        POINT,
        line("given", pv_name=PV_NAME, pv_uid="pv-a", message="because"),
    ),
    (
        "another disk is accepted",
        but(RELEASED, disk=WRONG, admin=SAID_OF_DISK),
        status(RELEASED, identity=ANOTHER),
        line(
            "accepted",
            identity=ANOTHER,
            asked="acceptIdentity by jane",
            message="in place of serial=S1 model=M size_bytes=1073741824",
        ),
    ),
    (
        "a disk is told apart from one elsewhere",
        but(RELEASED, status={"identity": None}, admin=SAID_OF_DISK),
        status(RELEASED, identity=HARDWARE),
        line("accepted", asked="acceptIdentity by jane"),
    ),
    ("a disk is seen for the first time", but(BLANK, status={"identity": None}), status(BLANK), None),
    (
        "a file system's UUID comes on record, whatever a person said",
        but(RELEASED, disk={"identity": change(HARDWARE, fs_uuid="u")}, admin=SAID_OF_DISK),
        status(RELEASED, identity=change(HARDWARE, fs_uuid="u")),
        None,
    ),
    (
        "a person's answer is not taken",
        but(RELEASED, admin=ASKED_BACK),
        status(RELEASED, conditions=not_taken("no")),
        line("refused", asked="restore by jane", reason="NotTaken", message="no"),
    ),
    (
        "it is not taken for another reason by now",
        but(RELEASED, admin=KEPT, status={"conditions": not_taken("no")}),
        status(RELEASED, conditions=not_taken("no, no")),
        line("refused", asked="adopt: Keep by jane", reason="NotTaken", message="no, no"),
    ),
    (
        "it is not taken still",
        but(RELEASED, admin=ASKED_BACK, status={"conditions": not_taken("no")}),
        status(RELEASED, conditions=not_taken("no"), reason="InUse"),
        None,
    ),
    (
        "a countdown is called off by the policy",
        RELEASED,
        status(RELEASED, **ENDED, reason="PolicyRetain", message="its data stays"),
        line("stopped", reason="PolicyRetain", message="its data stays"),
    ),
    (
        "by who asks for the data",
        but(RELEASED, admin=ASKED_BACK),
        status(RELEASED, **ENDED, reason="RestoreAsked", message="a person gives it back"),
        line("stopped", reason="RestoreAsked", message="a person gives it back", asked="restore by jane"),
    ),
    (
        "by a hand that deletes the PersistentVolume",
        RELEASED,
        status(RELEASED, **ENDED, reason="GoneByHand", message="gone"),
        line("stopped", reason="GoneByHand", message="gone"),
    ),
    ("a hold has its own line", RELEASED, status(RELEASED, **ENDED, reason="Held"), None),
    ("and so has a gate", RELEASED, status(RELEASED, **ENDED, reason="Gated"), None),
    ("it is told once", STOPPED, status(STOPPED, **ENDED, reason="PolicyRetain"), None),
    (
        "a countdown goes on",
        RELEASED,
        status(RELEASED, phase=Phase.RELEASED, wipe_at="later", reason="Paused"),
        None,
    ),
    (
        "it ends in somebody's hands",
        RELEASED,
        status(RELEASED, wipe_at="", phase=Phase.BOUND, reason="Claimed"),
        None,
    ),
    (
        "it ends in the wipe",
        ORDERED,
        status(ORDERED, **ENDED, committed="order-1"),
        line("committed", **OF_ORDER),
    ),
    (
        "the record of a disk ends by a person's word",
        but(RELEASED, admin={"forget": BY_JANE}, status={"history": HISTORY}),
        actions.DeleteVolume(why="forgotten by a person: NOT WIPED"),
        line("forgotten", asked="forget by jane", message="forgotten by a person: NOT WIPED", **LAST),
    ),
    (
        "the record of a disk ends with its entry",
        OFFERED,
        actions.DeleteVolume(why="no entry lists it"),
        line("removed", claim=None, message="no entry lists it", uid=OFFERED.volume.metadata.uid),
    ),
    ("an edit decides nothing yet", RELEASED, actions.WriteSpec(spec=RELEASED.volume.spec, why="edit"), None),
    ("nor does counting", RELEASED, actions.CountWipe(tenancy=OLD), None),
    ("nor what is only shown", RELEASED, status(RELEASED, reason="InUse", message="a pod"), None),
    (
        "nor an annotation",
        RELEASED,
        actions.AnnotatePv(name=PV_NAME, uid="pv-a", resource_version="7", times=1),
        None,
    ),
]


@pytest.mark.parametrize(
    ("world", "action", "goes_on_record"), [row[1:] for row in DECISIONS], ids=[row[0] for row in DECISIONS]
)
def test_a_decision_goes_on_record(world: World, action: Action, goes_on_record: AuditLine | None) -> None:
    assert on_record(world, action) == goes_on_record


# --- whole lives ---


class Noting(Controller):
    """A controller that keeps what it puts on record."""

    def __init__(self, sim: Sim) -> None:
        super().__init__(sim.cluster, sim.controller.wanted)
        self.lines: list[AuditLine] = []
        sim.controller = self

    def do(self, volume: Volume, action: Action) -> None:
        super().do(volume, action)
        found = record.line_of(volume, action, at=format_instant(self.cluster.now), leader=self.name)
        if found is not None:
            self.lines.append(found)

    def told(self) -> list[str]:
        """What was put on record since this was last asked."""
        lines, self.lines = self.lines, []
        return [" ".join(part for part in (each.what, each.kind, each.asked) if part) for each in lines]


def begun(**settings: object) -> tuple[Sim, Noting]:
    """A claim has it, and all up to that is told."""
    sim = Sim(desired(pool(**settings)))
    noting = Noting(sim)
    sim.settle()
    sim.bind()
    sim.settle()
    assert noting.told() == ["ordered prepare", "offered"]
    return sim, noting


def test_a_wipe_by_the_policy_is_on_record_from_the_order_to_the_offer() -> None:
    sim, noting = begun(after="0s")
    sim.release()
    sim.settle()
    assert noting.told() == [
        "ordered reclaim reclaim policy Delete",
        "deleted reclaim reclaim policy Delete",
        "committed reclaim reclaim policy Delete",
        "offered",
    ]


def test_data_that_is_asked_back_before_the_commit_is_on_record_as_given() -> None:
    sim, noting = begun()
    sim.release()
    sim.settle()
    assert noting.told() == []
    sim.cluster.create_claim("db/data-0")
    sim.admin(restore=Restore(question=sim.answer(), by="jane"))
    sim.settle()
    assert noting.told() == ["stopped restore by jane", "given restore by jane"]
    assert [(each.what, each.note) for each in sim.status.history[-2:]] == [
        ("wipe called off", "restore by jane"),
        ("bound", ""),
    ]


def test_a_countdown_that_is_called_off_is_on_record_once_with_why_and_whose_data_it_is() -> None:
    sim, noting = begun()
    sim.release()
    sim.settle()
    for policy in ("Retain", "Retain", "Delete", "Retain"):
        sim.policy(policy)
        sim.settle()
    assert [(each.what, each.reason, str(each.claim)) for each in noting.lines] == [
        ("stopped", "PolicyRetain", "db/data-0")
    ] * 2
    sim.policy("Delete")
    sim.settle()
    sim.admin(hold=True)
    sim.settle()
    called_off = [each for each in sim.status.history if each.what == "wipe called off"]
    assert [(each.note, each.who) for each in called_off] == [
        ("PolicyRetain", "db/data-0"),
        ("Held", "db/data-0"),
    ], "the same one again is one line"


def test_data_that_is_asked_back_after_the_commit_is_on_record_as_recalled_and_given() -> None:
    sim, noting = begun(after="0s")
    sim.release()
    sim.until(actions.DeletePv)
    sim.step()
    sim.step()
    noting.told()
    sim.cluster.create_claim("db/data-0")
    sim.admin(restore=Restore(question=sim.answer(), by="jane"))
    sim.settle()
    assert noting.told() == ["recalled reclaim restore by jane", "given restore by jane"]


def test_a_disk_that_is_gone_is_on_record_as_forgotten_and_not_wiped() -> None:
    sim, noting = begun()
    sim.release()
    sim.machine.mounted = False
    sim.want(None)
    sim.settle()
    sim.admin(forget=Answer(question=sim.answer(), by="jane"))
    sim.settle()
    *_, last = noting.lines
    assert noting.told() == ["deleted forget by jane", "forgotten forget by jane"]
    assert "NOT WIPED" in last.message
    assert (last.claim, last.identity) == (Ref(namespace="db", name="data-0", uid=last.claim.uid), IDENTITY)  # type: ignore[union-attr]


def test_what_was_only_decided_is_never_certified_as_done() -> None:
    sim, noting = begun(after="0s")
    sim.release()
    sim.settle()
    assert certificate.certify(noting.lines) == certificate.Certified((), ())


def test_another_disk_that_a_person_accepts_is_on_record_with_his_name() -> None:
    sim = Sim()
    noting = Noting(sim)
    sim.settle()
    noting.told()
    sim.machine.slot = Disk(Identity(virtual="8:99", size_bytes=1 << 30))
    sim.settle()
    assert noting.told() == ["deleted"]
    sim.admin(accept_identity=Answer(question=sim.answer(), by="jane"))
    sim.settle()
    assert noting.told() == ["accepted acceptIdentity by jane", "ordered prepare", "offered"]


# --- where its user looks ---


EVENTS: list[tuple[str, World, Action, tuple[str, str] | None]] = [
    (
        "a disk is forgotten",
        but(RELEASED, admin={"forget": BY_JANE}),
        actions.DeleteVolume(why="forgotten by a person: NOT WIPED"),
        (
            "Forgotten",
            "forgotten by a person: NOT WIPED (forget by jane):"
            f" the data of db/data-0, tenancy {OLD}, is left on {SOURCE}",
        ),
    ),
    (
        "one that nobody is known to have had is forgotten",
        but(RELEASED, admin={"forget": Answer(question=Q)}, status={"owner": None}),
        actions.DeleteVolume(why="forgotten by a person: NOT WIPED"),
        ("Forgotten", "forgotten by a person: NOT WIPED (forget)"),
    ),
    ("an entry is gone", OFFERED, actions.DeleteVolume(why="no entry lists it"), None),
    (
        "an answer is not taken",
        but(RELEASED, admin=ASKED_BACK),
        status(RELEASED, conditions=not_taken("no")),
        ("AnswerNotTaken", "restore by jane: no"),
    ),
    (
        "one that nobody knows any more is not taken",
        RELEASED,
        status(RELEASED, conditions=not_taken("no")),
        ("AnswerNotTaken", "no"),
    ),
]


@pytest.mark.parametrize(
    ("world", "action", "said"), [row[1:] for row in EVENTS], ids=[row[0] for row in EVENTS]
)
def test_what_a_person_has_to_know_of_a_decision_is_an_event(
    world: World, action: Action, said: tuple[str, str] | None
) -> None:
    server, metrics = ApiServer(), Metrics()
    recorder = Recorder(server.client(), component="test", host="test")
    Teller(recorder, metrics).did(world.volume, action, Instant(1_800_000_000.0))
    recorder.step()
    events = server.documents(kinds.EVENT)
    assert [(each["reason"], each["message"]) for each in events] == ([said] if said is not None else [])
    assert all(each["type"] == "Warning" and each["involvedObject"]["name"] == NAME for each in events)
    counted = 'alarms_total{type="AnswerNotTaken"} 1' in metrics.render()[1].decode()
    assert counted is (said is not None and said[0] == "AnswerNotTaken")


OF_ACTS: list[tuple[str, World, Action, tuple[str, str] | None]] = [
    ("a wipe", RELEASED, written(), ("WipeOrdered", f"{PV_NAME}, files, {ORDER.asked}, because")),
    ("its end before it began", ORDERED, TAKEN, ("WipeRecalled", f"{PV_NAME}, files, because")),
    (
        "an answer",
        RELEASED,
        written(kind="prepare", answer=Q, pv_name="", asked="a"),
        ("WipeOrdered", "files, a, because"),
    ),
    ("a first use", BLANK, written(kind="prepare", ends="", asked="", pv_name=""), None),
    ("a delete", RELEASED, DELETE, ("PvDeleted", f"{PV_NAME}, because")),
    (
        "a gift after the commit",
        but(COMMITTED, admin=ASKED_BACK),
        made(COMMITTED, OLD, CLAIM),
        ("GivenBack", f"{PV_NAME}, db/data-0, restore by jane"),
    ),
    ("an offer", BLANK, made(BLANK, NEXT), None),
]


@pytest.mark.parametrize(
    ("world", "action", "said"), [row[1:] for row in OF_ACTS], ids=[row[0] for row in OF_ACTS]
)
def test_a_decision_that_shows_in_no_phase_is_an_event(
    world: World, action: Action, said: tuple[str, str] | None
) -> None:
    server = ApiServer()
    recorder = Recorder(server.client(), component="test", host="test")
    Teller(recorder, Metrics()).did(world.volume, action, Instant(1_800_000_000.0))
    recorder.step()
    found = [(each["type"], each["reason"], each["message"]) for each in server.documents(kinds.EVENT)]
    assert found == ([("Normal", *said)] if said is not None else [])


# --- the log ---


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines of the log that are on record, as they are written."""
    return [JsonLines().format(each) for each in caplog.records if each.name == audit.LOGGER]


@pytest.mark.parametrize(("act", "kind", "name"), ACTS, ids=WHAT)
def test_an_act_that_was_answered_is_in_the_log_once_and_one_that_was_not_is_not(
    act: Callable[[Rig], Action], kind: Kind[Any], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    rig, now = Rig(), Instant(1_800_000_000.0)
    caplog.set_level(logging.INFO)
    decided = act(rig)
    rig.actor.do(rig.volume, decided, now)
    if isinstance(decided, actions.WriteOrder) and decided.order is not None:
        decided = change(decided, order=change(decided.order, at=format_instant(now)))
    wanted = record.line_of(rig.volume, decided, at=format_instant(now), leader="")
    lines, broken = audit.read("\n".join(logged(caplog)).encode())
    assert (lines, broken) == ([wanted] if wanted is not None else [], [])
    caplog.clear()
    with pytest.raises(transport.ApiError):
        rig.actor.do(rig.volume, decided, now)  # it is not as it was any more
    assert not logged(caplog)


def test_a_whole_log_is_read_as_a_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rig, now = Rig(), Instant(1_800_000_000.0)
    for act in (ACTS[1][0], ACTS[4][0]):
        rig.actor.do(rig.volume, act(rig), now)
    text = "\n".join(JsonLines().format(each) for each in caplog.records)
    assert {json.loads(each)["logger"] for each in text.splitlines()} > {audit.LOGGER}
    lines, broken = audit.read(text.encode())
    assert [each.what for each in lines] == ["deleted"]
    assert not broken


def test_a_damaged_line_of_the_record_is_told_also_where_it_stands_in_a_log() -> None:
    text = b'{"logger":"audit","msg":"on record","schema":"one"}\n{"logger":"x","msg":"hi"}\n{"logger":"a'
    lines, broken = audit.read(text)
    assert not lines
    assert [each.partition(":")[0] for each in broken] == ["line 1", "line 3"]
