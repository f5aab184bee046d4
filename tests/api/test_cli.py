"""The plugin against a real API server: what it reads, what it writes, and with which rights."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cluster import Cluster
from tidb_volume import names
from tidb_volume.cli.__main__ import main
from tidb_volume.cli.exits import Exit
from tidb_volume.cli.render import Screen
from tidb_volume.kube import kinds
from tidb_volume.kube.client import Client
from tidb_volume.kube.slim import SlimTransport, from_kubeconfig
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import Source, Volume

pytestmark = pytest.mark.api
DEPLOY = Path(__file__).parents[2] / "deploy"
NODE = "node-1"
INVENTORY = """
defaultPool: tikv
pools: {tikv: {onRelease: wipe, wipeAfter: 20m}}
nodes:
  node-1: [/data/free, /data/bound, /data/released, /data/unknown]
"""
IDENTITY = {"serial": "S-1", "model": "DISK", "sizeBytes": 1 << 40}
LATER = format_instant(Instant(4_000_000_000))


def name_of(disk: str) -> str:
    return names.volume_name(NODE, Source(path=f"/data/{disk}"))


FREE, BOUND, RELEASED, UNKNOWN = (name_of(each) for each in ("free", "bound", "released", "unknown"))


class Done(NamedTuple):
    code: int
    out: str
    err: str


class Tool:
    """The plugin as one person, and the API as the tests themselves see it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.kubeconfig = str(cluster.kubeconfig)
        self.api = Client(SlimTransport(from_kubeconfig(self.kubeconfig)), manager="test")

    def __call__(self, *words: str) -> Done:
        out, err = io.StringIO(), io.StringIO()
        typed = [*words, "--kubeconfig", self.kubeconfig]
        code = main(typed, screen=Screen(out, err, {}), called="kubectl-tidb_volume")
        return Done(code, out.getvalue(), err.getvalue())

    def json(self, *words: str) -> Any:
        done = self(*words, "-o", "json")
        assert done.code == Exit.OK, done
        return json.loads(done.out)

    def volume(self, name: str) -> Volume:
        return self.api.get(kinds.TIDB_VOLUME, name)

    def status(self, name: str, **status: Any) -> None:
        """Writes a status as the controller and a daemon would."""
        volume = self.volume(name)
        self.api.merge_patch(
            kinds.TIDB_VOLUME,
            name,
            {"status": status},
            subresource="status",
            resource_version=volume.metadata.resource_version,
        )

    def fleet(self, spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None) -> None:
        if spec is not None:
            self.api.merge_patch(kinds.TIDB_VOLUME_FLEET, "fleet", {"spec": spec})
        if status is not None:
            self.api.merge_patch(
                kinds.TIDB_VOLUME_FLEET,
                "fleet",
                {"status": status},
                subresource="status",
                resource_version=self.api.get(kinds.TIDB_VOLUME_FLEET, "fleet").metadata.resource_version,
            )


def disk(**more: Any) -> dict[str, Any]:
    return {"presence": "OK", "identity": IDENTITY, "capacityBytes": 1 << 40, "content": "tenancy", **more}


@pytest.fixture(scope="module")
def bare() -> Iterator[Tool]:
    """A cluster in which nothing of ours is installed, until `tool` does it."""
    with Cluster.up(f"cli-test-{os.getpid()}", api_only=True) as cluster:
        made = Tool(cluster)
        yield made
        made.api.transport.close()


@pytest.fixture(scope="module")
def tool(bare: Tool) -> Tool:
    kubectl = bare.cluster.kubectl
    assert bare("status").code == Exit.NOT_FOUND
    kubectl("apply", "-k", str(DEPLOY / "base-crds"))
    kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    bare.api.create(kinds.NODE, {"metadata": {"name": NODE, "labels": {names.HOSTNAME: NODE}}})
    bare.api.create(
        kinds.CONFIG_MAP,
        {
            "metadata": {"name": "storage", "labels": {names.LABEL_INVENTORY: "true"}},
            "data": {"disks.yaml": INVENTORY},
        },
        "tidb-volume",
    )
    for place in ("free", "bound", "released", "unknown"):
        spec = {
            "nodeName": NODE,
            "pool": "tikv",
            "source": {"path": f"/data/{place}"},
            "volumeMode": "Filesystem",
            "wipe": {"onRelease": "wipe", "after": "20m", "method": "files"},
        }
        bare.api.create(kinds.TIDB_VOLUME, {"metadata": {"name": name_of(place)}, "spec": spec})
    return bare


@pytest.fixture
def states(tool: Tool) -> Tool:
    """The fleet as every test finds it."""
    if tool.api.find(kinds.TIDB_VOLUME_FLEET, "fleet") is None:
        tool.cluster.kubectl("create", "-f", str(DEPLOY / "fleet.yaml"))
    tool.fleet({"paused": False, "breakerReset": 0}, {"breaker": {"epoch": 1, "tripped": False}})
    for name in (FREE, BOUND, RELEASED, UNKNOWN):
        tool.api.merge_patch(kinds.TIDB_VOLUME, name, {"spec": {"admin": None}})
    claim = {"namespace": "db", "name": "data-0", "uid": "c-1"}
    tool.status(FREE, phase="Available", state="Available", reason="OnOffer", disk=disk())
    tool.status(
        BOUND, phase="Bound", state="Bound", reason="Claimed", disk=disk(), owner={"claim": claim}, dirty=True
    )
    tool.status(
        RELEASED,
        phase="Released",
        state="Released",
        reason="Countdown",
        message="the data is wiped later",
        wipeAt=LATER,
        dirty=True,
        disk=disk(),
        owner={"claim": claim},
        question={"id": "q-1", "kind": "release", "about": "t", "text": "?"},
        history=[{"at": "2026-01-01T00:00:00Z", "what": "released", "who": "db/data-0"}],
    )
    tool.status(
        UNKNOWN,
        phase="Pending",
        state="Pending",
        reason="HasData",
        message="there is data",
        disk=disk(content="data", contentNote="12 entries"),
        question={"id": "q-2", "kind": "adopt", "about": "t", "text": "?"},
    )
    return tool


def test_without_the_fleet_object_everything_says_so_and_how_to_make_it(tool: Tool) -> None:
    if tool.api.find(kinds.TIDB_VOLUME_FLEET, "fleet") is not None:
        tool.api.delete(kinds.TIDB_VOLUME_FLEET, "fleet")
    done = tool("status")
    assert done.code == Exit.OK
    assert done.out.startswith(" NO FLEET OBJECT ")
    for verb in (["pause"], ["resume", "--yes"], ["breaker"]):
        done = tool(*verb)
        assert done.code == Exit.NOT_FOUND
        assert "kubectl create -f deploy/fleet.yaml" in done.err


def test_status_counts_and_tells_what_waits(states: Tool) -> None:
    told = states("status").out
    assert "4 disks on 1 nodes" in told
    assert f"HasData  {UNKNOWN}" in told
    assert f"kubectl tidb-volume adopt {UNKNOWN} --wipe" in told
    found = states.json("status")
    assert found["counts"] == {"tikv": {"Available": 1, "Bound": 1, "Pending": 1, "Released": 1}}
    assert [each["volume"] for each in found["nextWipes"]] == [RELEASED]
    names_ = states("status", "-o", "name", "--phase", "Bound").out
    assert names_ == f"tidbvolume.tidbvolume.io/{BOUND}\n"
    assert states("status", "-o", "name", "-n", "db", "--pool", "tikv").out.count("\n") == 2


def test_pause_and_resume_set_the_one_field(states: Tool) -> None:
    assert states("pause").code == Exit.OK
    assert states.api.get(kinds.TIDB_VOLUME_FLEET, "fleet").spec.paused
    assert states("status").out.startswith(" PAUSED ")
    again = states("pause")
    assert (again.code, again.out) == (Exit.OK, "tidbvolumefleet.tidbvolume.io/fleet paused (no change)\n")
    assert states("resume", "--yes").code == Exit.OK
    assert not states.api.get(kinds.TIDB_VOLUME_FLEET, "fleet").spec.paused


def test_resume_asks_before_a_wipe_whose_time_is_over_begins(states: Tool) -> None:
    states.fleet({"paused": True})
    states.status(RELEASED, reason="Paused", wipeAt="2026-01-01T00:00:00Z")
    done = states("resume")
    assert done.code == Exit.REFUSED
    assert RELEASED in done.err
    assert "db/data-0" in done.err
    assert states.api.get(kinds.TIDB_VOLUME_FLEET, "fleet").spec.paused


@pytest.mark.parametrize(("words", "note"), [([], " (server dry run)"), (["client"], " (dry run)")])
def test_a_dry_run_writes_nothing(states: Tool, words: list[str], note: str) -> None:
    mode = f"--dry-run={words[0]}" if words else "--dry-run"
    for verb, what in ((["cordon", FREE], "cordoned"), (["hold", RELEASED], "held")):
        done = states(*verb, mode)
        assert done.code == Exit.OK
        assert done.out == f"tidbvolume.tidbvolume.io/{verb[1]} {what}{note}\n"
    assert states("wipe-now", RELEASED, mode).code == Exit.OK
    states("pause", mode)
    assert (
        states.volume(FREE).spec.admin
        == states.volume(RELEASED).spec.admin
        == states.volume(BOUND).spec.admin
    )
    assert not states.api.get(kinds.TIDB_VOLUME_FLEET, "fleet").spec.paused


def test_cordon_and_hold_come_and_go(states: Tool) -> None:
    assert states("cordon", f"{NODE}/free").code == Exit.OK
    assert states.volume(FREE).spec.admin.cordon
    assert states("uncordon", f"{NODE}/data/free").code == Exit.OK
    assert not states.volume(FREE).spec.admin.cordon
    assert states("hold", RELEASED).code == Exit.OK
    assert states.volume(RELEASED).spec.admin.hold
    assert states("hold", "--off", RELEASED).code == Exit.REFUSED
    assert states.volume(RELEASED).spec.admin.hold
    assert states("hold", "--off", RELEASED, "-y").code == Exit.OK
    assert not states.volume(RELEASED).spec.admin.hold


def test_words_of_others_stay_beside_ours(states: Tool) -> None:
    states.api.merge_patch(
        kinds.TIDB_VOLUME, FREE, {"spec": {"admin": {"gates": {"pd": "wait"}, "hold": True}}}
    )
    states("cordon", FREE)
    admin = states.volume(FREE).spec.admin
    assert (admin.gates, admin.hold, admin.cordon) == ({"pd": "wait"}, True, True)


def test_several_are_asked_about_once_and_refused_without_a_terminal(states: Tool) -> None:
    done = states("cordon", f"{NODE}/*")
    assert done.code == Exit.REFUSED
    assert "S-1" in done.err
    assert not states.volume(FREE).spec.admin.cordon


def test_wipe_now_answers_the_question_that_stands(states: Tool) -> None:
    done = states("wipe-now", RELEASED)
    assert done.code == Exit.REFUSED
    assert "No undo" in done.err
    assert states("wipe-now", RELEASED, "--yes").code == Exit.OK
    answer = states.volume(RELEASED).spec.admin.wipe_now
    assert answer is not None
    assert answer.question == "q-1"
    assert answer.by == states.api.whoami() != ""


@pytest.mark.parametrize(
    ("spec", "admin", "why"),
    [
        ({"paused": True}, {}, "paused"),
        ({}, {"hold": True}, "hold --off"),
        ({}, {"gates": {"pd": "store is up"}}, "the gate pd stands"),
    ],
)
def test_what_still_stands_in_the_way_is_exit_code_five(
    states: Tool, spec: dict[str, Any], admin: dict[str, Any], why: str
) -> None:
    states.fleet(spec)
    states.api.merge_patch(kinds.TIDB_VOLUME, RELEASED, {"spec": {"admin": admin}})
    done = states("wipe-now", RELEASED, "--yes")
    assert done.code == Exit.WAITING
    assert why in done.err
    assert states.volume(RELEASED).spec.admin.wipe_now is not None


@pytest.mark.parametrize("name", [FREE, BOUND, UNKNOWN])
def test_only_a_released_volume_is_wiped_by_wipe_now(states: Tool, name: str) -> None:
    assert states("wipe-now", name, "--yes").code == Exit.REFUSED
    assert states.volume(name).spec.admin.wipe_now is None


def test_adopt_answers_for_unknown_data_alone(states: Tool) -> None:
    assert states("adopt", UNKNOWN).code == Exit.USAGE
    assert states("adopt", "--wipe", BOUND, "--yes").code == Exit.REFUSED
    left_out = states("adopt", "--wipe", "--pool", "tikv", "--yes")
    assert left_out.code == Exit.REFUSED
    assert "left out" in left_out.err
    assert states.volume(UNKNOWN).spec.admin.adopt is None
    assert states("adopt", "--wipe", UNKNOWN, "--yes").code == Exit.OK
    adopt = states.volume(UNKNOWN).spec.admin.adopt
    assert adopt is not None
    assert (adopt.question, adopt.action) == ("q-2", "Wipe")


def test_adopt_keeps_the_data_of_one_volume_for_one_claim(states: Tool) -> None:
    keep = ("adopt", "--keep", "db/data-7")
    assert states(*keep, "--wipe", UNKNOWN).code == Exit.USAGE
    assert states("adopt", "--keep", "data-7", UNKNOWN, "--yes").code == Exit.USAGE
    assert states(*keep, BOUND, "--yes").code == Exit.REFUSED
    assert states(*keep, UNKNOWN).code != Exit.OK, "nobody has agreed"
    before = states.volume(UNKNOWN).spec.admin.adopt
    assert states(*keep, UNKNOWN, "--yes", "--dry-run").code == Exit.OK
    assert states.volume(UNKNOWN).spec.admin.adopt == before
    assert states(*keep, UNKNOWN, "--yes").code == Exit.OK
    adopt = states.volume(UNKNOWN).spec.admin.adopt
    assert adopt is not None
    assert (adopt.question, adopt.action, str(adopt.claim)) == ("q-2", "Keep", "db/data-7")


def test_restore_gives_the_data_back_to_who_had_it_or_to_another_claim_of_his(states: Tool) -> None:
    assert states("restore", FREE).code == Exit.REFUSED
    assert states("restore", FREE, RELEASED).code == Exit.USAGE
    assert states("restore", UNKNOWN).code == Exit.REFUSED
    assert states("restore", RELEASED).code == Exit.OK
    restore = states.volume(RELEASED).spec.admin.restore
    assert restore is not None
    assert (restore.question, restore.claim) == ("q-1", None)
    assert states("restore", RELEASED, "--to", "data-7").code == Exit.OK
    restore = states.volume(RELEASED).spec.admin.restore
    assert restore is not None
    assert (str(restore.claim), restore.by) == ("db/data-7", states.api.whoami())
    assert states("restore", RELEASED).code == Exit.OK
    restore = states.volume(RELEASED).spec.admin.restore
    assert restore is not None
    assert restore.claim is None, "the claim that was named before is not meant any more"


def test_a_restore_that_cannot_be_is_refused_with_the_way_out(states: Tool) -> None:
    tenancy, work = "aaaabbbbcccc", {"orderId": "o-1", "state": "running", "begun": True}
    order = {"id": "o-1", "kind": "reclaim", "ends": tenancy, "next": "ddddeeeeffff", "method": "files"}
    states.api.merge_patch(kinds.TIDB_VOLUME, RELEASED, {"spec": {"order": order}})
    states.status(RELEASED, committed=tenancy, tenancy=tenancy, work=work)
    try:
        done = states("restore", RELEASED)
        assert done.code == Exit.REFUSED
        assert "the wipe has begun to delete" in done.err
        assert states.volume(RELEASED).spec.admin.restore is None
    finally:
        states.status(RELEASED, committed=None, tenancy=None, work=None)
        states.api.merge_patch(kinds.TIDB_VOLUME, RELEASED, {"spec": {"order": None}})


def test_a_restore_to_a_claim_that_has_another_disk_says_how_to_free_its_name(states: Tool) -> None:
    states.cluster.kubectl("create", "namespace", "taken")
    states.status(RELEASED, owner={"claim": {"namespace": "taken", "name": "data-0", "uid": "c-1"}})
    claim = {
        "metadata": {"name": "data-0"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "volumeName": "another",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    states.api.create(kinds.CLAIM, claim, "taken")
    done = states("restore", RELEASED)
    assert done.code == Exit.REFUSED
    assert "scale its user to 0, delete that claim, then answer again" in done.err


def test_approve_lets_a_planned_wipe_happen_by_no_weaker_method(states: Tool) -> None:
    assert states("approve", FREE, "--yes").code == Exit.REFUSED
    assert states("approve", RELEASED, "--method", "zero", "--yes").code == Exit.REFUSED
    assert states("approve", RELEASED).code == Exit.REFUSED, "nobody has typed the serial"
    assert states.volume(RELEASED).spec.admin.approve is None
    assert states("approve", RELEASED, "--yes").code == Exit.OK
    approve = states.volume(RELEASED).spec.admin.approve
    assert approve is not None
    assert (approve.question, approve.method, approve.by) == ("q-1", "", states.api.whoami())
    states("hold", RELEASED)
    assert states("approve", RELEASED, "--yes").code == Exit.WAITING


def test_forget_ends_the_record_of_a_disk_that_is_not_there_alone(states: Tool) -> None:
    assert states("forget", BOUND, "--yes").code == Exit.REFUSED
    assert states("forget", FREE, "--yes").code == Exit.REFUSED
    assert "an entry lists it" in states("forget", RELEASED, "--yes").err
    states.status(RELEASED, disk=disk(presence="NotPresent"))
    assert states("forget", RELEASED).code == Exit.REFUSED, "nobody has agreed"
    done = states("forget", RELEASED, "--yes")
    assert (done.code, "NOTHING IS WIPED" in done.err) == (Exit.OK, True)
    forget = states.volume(RELEASED).spec.admin.forget
    assert forget is not None
    assert (forget.question, forget.by) == ("q-1", states.api.whoami())


def test_retire_comes_and_goes(states: Tool) -> None:
    assert states("retire", FREE).code == Exit.OK
    assert states.volume(FREE).spec.admin.retire
    states("cordon", FREE)
    done = states("retire", "--off", FREE)
    assert "cordoned all the same" in done.err
    assert not states.volume(FREE).spec.admin.retire
    assert states("retire", FREE, BOUND).code == Exit.REFUSED, "nobody has agreed"


def test_a_gate_is_put_taken_away_and_passed_for_one_owner(states: Tool) -> None:
    assert states("gate", "PD!", BOUND).code == Exit.USAGE
    assert states("gate", "pd", BOUND, "--why", "store 4 is up").code == Exit.OK
    assert states.volume(BOUND).spec.admin.gates == {"pd": "store 4 is up"}
    assert states("gate", "other", BOUND).code == Exit.OK
    assert states("gate", "pd", BOUND, "--off").code == Exit.OK
    assert states.volume(BOUND).spec.admin.gates == {"other": ""}
    done = states("gate", "pd", BOUND, "--passed")
    assert (done.code, "puts no gate pd there" in done.err) == (Exit.REFUSED, True)
    wipe = states.volume(BOUND).spec.wipe
    states.api.merge_patch(kinds.TIDB_VOLUME, BOUND, {"spec": {"wipe": {"gates": ["pd"]}}})
    states.status(BOUND, tenancy="aaaabbbbcccc")
    try:
        assert "--passed opens it" in states("gate", "pd", BOUND, "--off").err
        assert states("gate", "pd", BOUND, "--passed").code == Exit.OK
        assert states.volume(BOUND).spec.admin.gates_passed == {"pd": "aaaabbbbcccc"}
        assert "--passed opens it" not in states("gate", "pd", BOUND, "--off").err
    finally:
        states.api.merge_patch(kinds.TIDB_VOLUME, BOUND, {"spec": {"wipe": {"gates": list(wipe.gates)}}})
        states.status(BOUND, tenancy=None)


def test_a_disk_is_accepted_where_it_is_asked_which_one_it_is(states: Tool) -> None:
    assert states("accept-identity", RELEASED, "--yes").code == Exit.REFUSED
    question = {"id": "q-3", "kind": "twin", "about": "t", "text": "?"}
    states.status(UNKNOWN, question=question, message="m shows it")
    done = states("accept-identity", UNKNOWN)
    assert (done.code, "m shows it" in done.err) == (Exit.REFUSED, True)
    assert states("accept-identity", UNKNOWN, "--yes").code == Exit.OK
    accepted = states.volume(UNKNOWN).spec.admin.accept_identity
    assert accepted is not None
    assert (accepted.question, accepted.by) == ("q-3", states.api.whoami())


def test_breaker_reset_ends_the_epoch_that_is_open(states: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    from tidb_volume.cli import breaker

    monkeypatch.setattr(breaker, "PATIENCE_S", 0.3)
    assert states("breaker", "reset").out.endswith("is closed already (no change)\n")
    states.fleet(status={"breaker": {"epoch": 7, "tripped": True, "reason": "21 wipes", "at": LATER}})
    assert states("status").out.startswith(" BREAKER OPEN   21 wipes")
    assert states("breaker", "reset").code == Exit.REFUSED
    done = states("breaker", "reset", "--yes")
    assert done.code == Exit.WAITING, "no controller runs here that would close it"
    assert states.api.get(kinds.TIDB_VOLUME_FLEET, "fleet").spec.breaker_reset == 7
    assert states.json("breaker")["tripped"] is True


def test_explain_tells_of_a_volume_by_each_of_its_names(states: Tool) -> None:
    for thing in (RELEASED, f"tv/{RELEASED}", f"{NODE}/released"):
        (told,) = states.json("explain", thing)["stories"]
        assert told["declared"] == "ConfigMap storage/disks.yaml:5:37"
        assert told["owner"] == "db/data-0"
        assert [each["what"] for each in told["life"]][:3] == ["declared", "seen", "released by db/data-0"]
    node = states.json("explain", NODE)["node"]
    assert len(node["disks"]) == 4
    for thing in ("nobody", "db/nobody", "pv/nobody", "node/nobody"):
        assert states("explain", thing).code == Exit.NOT_FOUND
    assert states("explain", "pod/nobody").code == Exit.USAGE


def test_explain_says_why_a_claim_waits(states: Tool) -> None:
    claim = {
        "metadata": {"name": "waits"},
        "spec": {
            "storageClassName": "tikv",
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "2Ti"}},
        },
    }
    if states.api.find(kinds.CLAIM, "waits", "default") is None:
        states.api.create(kinds.CLAIM, claim, "default")
    (verdict,) = states.json("explain", "default/waits")["waiting"]
    assert verdict["claim"] == "default/waits"
    assert len(verdict["considered"]) == 4
    kinds_ = {each["kind"] for one in verdict["considered"] for each in one["against"]}
    assert {"size", "bound", "released"} <= kinds_


RECORD = [
    {"volume": RELEASED, "what": "done", "identity": {"serial": "S-1"}},
    {
        "at": "2026-02-02T00:00:00Z",
        "volume": "long-gone",
        "what": "refused",
        "identity": {"serial": "S-9"},
        "reason": "HasData",
    },
]


def test_history_joins_what_nodes_have_on_record_also_of_disks_that_are_gone(
    states: Tool, tmp_path: Path
) -> None:
    common = {"schema": 1, "at": "2026-02-01T00:00:00Z", "node": "n", "order": "o-1", "kind": "reclaim"}
    claim = {"namespace": "db", "name": "data-0"}
    file = tmp_path / "audit.jsonl"
    lines = [json.dumps({**common, "claim": claim, "asked": "wipe-now by jane", **each}) for each in RECORD]
    file.write_text("\n".join([*lines, '{"cut']))
    told = states.json("history", "--record", str(file), "--no-events", "--since", "9999d")
    assert [(each["what"], each["volume"]) for each in told] == [
        ("released", RELEASED),
        ("wipe done", RELEASED),
        ("wipe refused", "long-gone"),
    ]
    assert told[1]["note"] == "wipe-now by jane, order o-1"
    assert "line 3" in states("history", "--record", str(file)).err
    words = ("--record", str(file), "--no-events")
    assert [each["volume"] for each in states.json("history", *words, "--disk", "s-9")] == ["long-gone"]
    assert [each["what"] for each in states.json("history", RELEASED, *words)] == ["released", "wipe done"]
    assert states.json("history", *words, "-n", "other") == []
    gone = states.json("history", "long-gone", *words)
    assert [each["what"] for each in gone] == ["wipe refused"]
    both = states.json("history", "long-gone", RELEASED, *words)
    assert [each["volume"] for each in both] == [RELEASED, RELEASED, "long-gone"]
    assert states("history", "never-there", *words).code == Exit.NOT_FOUND
    assert states("history", "--record", str(tmp_path / "none")).code == Exit.USAGE


def test_history_joins_what_volumes_keep_and_events(states: Tool) -> None:
    event = {
        "metadata": {"name": "refused.1"},
        "involvedObject": {"kind": "TidbVolume", "name": RELEASED, "apiVersion": names.API_VERSION},
        "reason": "WipeRefused",
        "message": "HasData",
        "type": "Warning",
        "lastTimestamp": "2026-01-02T00:00:00Z",
    }
    if states.api.find(kinds.EVENT, "refused.1", "default") is None:
        states.api.create(kinds.EVENT, event, "default")
    told = states.json("history", RELEASED)
    assert [(each["what"], each.get("event", False)) for each in told] == [
        ("released", False),
        ("WipeRefused", True),
    ]
    assert states.json("history", "--no-events", "-n", "other") == []
    assert states("history", "--since", "1").code == Exit.USAGE


# --- rights -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reader(tool: Tool, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A kubeconfig of somebody who may list TidbVolumes and nothing else."""
    kubectl = tool.cluster.kubectl
    kubectl("create", "serviceaccount", "reader")
    kubectl("create", "clusterrole", "reader", "--verb=get,list", "--resource=tidbvolumes.tidbvolume.io")
    kubectl(
        "create", "clusterrolebinding", "reader", "--clusterrole=reader", "--serviceaccount=default:reader"
    )
    token = kubectl("create", "token", "reader").strip()
    whole = json.loads(kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
    whole["users"] = [{"name": whole["users"][0]["name"], "user": {"token": token}}]
    file = tmp_path_factory.mktemp("reader") / "config"
    file.write_text(json.dumps(whole))
    return str(file)


def test_a_reader_sees_the_volumes_and_what_was_not_shown(states: Tool, reader: str) -> None:
    done = states("status", "--kubeconfig", reader)
    out, err = io.StringIO(), io.StringIO()
    code = main(["status", "--kubeconfig", reader], screen=Screen(out, err, {}), called="tidb-volume")
    assert (code, done.code) == (Exit.OK, Exit.OK)
    assert "4 disks on 1 nodes" in out.getvalue()
    assert "NO FLEET OBJECT" not in out.getvalue()
    assert 'cannot get resource "tidbvolumefleets"' in err.getvalue()


@pytest.mark.parametrize(
    ("words", "right"),
    [
        (["pause"], 'cannot get resource "tidbvolumefleets"'),
        (["cordon", FREE], 'cannot patch resource "tidbvolumes"'),
    ],
)
def test_a_missing_right_is_refused_and_named(
    states: Tool, reader: str, words: list[str], right: str
) -> None:
    out, err = io.StringIO(), io.StringIO()
    code = main([*words, "--kubeconfig", reader], screen=Screen(out, err, {}), called="tidb-volume")
    assert code == Exit.REFUSED
    assert right in err.getvalue()
    assert not states.volume(FREE).spec.admin.cordon


def test_explain_works_for_a_reader_and_asks_the_planner_nothing(states: Tool, reader: str) -> None:
    out, err = io.StringIO(), io.StringIO()
    words = ["explain", RELEASED, "--kubeconfig", reader, "-o", "json"]
    assert main(words, screen=Screen(out, err, {}), called="tidb-volume") == Exit.OK
    (told,) = json.loads(out.getvalue())["stories"]
    assert told["reason"] == "Countdown"
    assert told["declared"] == "not known: the inventory may not be read"
    assert "warning: not shown: " in err.getvalue()


# --- as kubectl runs it -------------------------------------------------------------------------------


def test_kubectl_finds_the_plugin(states: Tool) -> None:
    scripts = Path(sys.executable).parent
    if not (scripts / "kubectl-tidb_volume").exists():
        pytest.skip("the package's scripts are not installed")
    environ = {**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}", "KUBECONFIG": states.kubeconfig}
    plugin = [states.cluster.record.programs["kubectl"], "tidb-volume"]

    def run(*words: str) -> str:
        return subprocess.run(
            [*plugin, *words], env=environ, capture_output=True, text=True, check=True
        ).stdout

    assert FREE in run("status", "-o", "name")
    assert run("hold", "--help").startswith("usage: kubectl tidb-volume hold")


def test_status_watches(states: Tool) -> None:
    command = [sys.executable, "-m", "tidb_volume.cli", "status", "-w", "-o", "name", "--phase", "Available"]
    environ = {**os.environ, "KUBECONFIG": states.kubeconfig}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"tidbvolume.tidbvolume.io/{FREE}\n"
        states.status(BOUND, phase="Available")
        seen = {process.stdout.readline().strip() for _ in range(2)}
        process.terminate()
    assert seen == {f"tidbvolume.tidbvolume.io/{each}" for each in (FREE, BOUND)}
