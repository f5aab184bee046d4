"""What remains when tidb-volume is taken away, what brings a disk back after a boot, what would be missed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.cli.build import HOSTILE, volume
from tidb_volume import boot, names, uninstall
from tidb_volume.cli import connect
from tidb_volume.cli import uninstall as verb
from tidb_volume.cli.__main__ import main
from tidb_volume.cli.render import Screen
from tidb_volume.kube import kinds
from tidb_volume.uninstall import Disk, Installation, Remains, what
from tidb_volume.units import Instant, format_instant
from tidb_volume.upstream import DaemonPod, LocalSource, PhaseOnly, PodSpec, Pv, PvSpec
from tidb_volume.value import (
    Content,
    Identity,
    Meta,
    NodeReport,
    Phase,
    Presence,
    Ref,
    SeenDisk,
    SlimMeta,
    Volume,
    VolumeNode,
)

NOW = Instant(1_800_000_000.0)
UUID, OTHER = "0ab1c2d3-0000-4aaa-8bbb-0123456789ab", "0ab1c2d3-0000-4aaa-8bbb-0123456789ac"
TENANCY = "abcdefghijk2"
DEVICE = "/dev/disk/by-id/nvme-X"
CLAIM = Ref(namespace="db", name="data-0", uid="c")
change = msgspec.structs.replace


def mounted(name: str = "node-1-nvme-x", phase: Phase = Phase.BOUND, **fields: Any) -> Volume:
    """A device with a file system of ours."""
    made = volume(name, phase, device=DEVICE, owner="db/data-0", **fields)
    return seen(made, made="xfs noatime", identity={"fs_uuid": UUID})


def raw(name: str = "node-1-nvme-y", phase: Phase = Phase.BOUND, **fields: Any) -> Volume:
    """A Block volume."""
    made = volume(name, phase, device=DEVICE, mode="Block", owner="db/data-0", **fields)
    return seen(made, made="Block", identity={"wwn": "eui.0025"})


def seen(of: Volume, identity: dict[str, Any] | None = None, **report: Any) -> Volume:
    """What its daemon sees of it, with these facts changed; what is on record of the identity is the same."""
    disk = of.status.disk
    assert disk is not None
    assert disk.identity is not None
    known = change(disk.identity, **(identity or {}))
    disk = change(disk, **{"identity": known, "device": "259:0", **report})
    return change(of, status=change(of.status, disk=disk, identity=known))


def on_record(of: Volume, **facts: Any) -> Volume:
    """With other facts on record than those that are seen."""
    recorded = of.status.identity
    assert recorded is not None
    return change(of, status=change(of.status, identity=change(recorded, **facts)))


def pv(of: Volume, phase: str = "Bound", path: str = "", **meta: Any) -> Pv:
    """Its PersistentVolume."""
    name = of.metadata.name
    block = of.spec.volume_mode == "Block"
    ours = names.block_node(TENANCY) if block else names.tenancy_folder(names.device_mount(name), TENANCY)
    if of.spec.source.path:
        ours = names.tenancy_folder(of.spec.source.path, TENANCY)
    labels = {names.LABEL_DISK: name}
    return Pv(
        metadata=change(Meta(name=names.pv_name(name, TENANCY), labels=labels), **meta),
        spec=PvSpec(
            claim_ref=None if phase == "Available" else CLAIM,
            volume_mode=of.spec.volume_mode,
            local=LocalSource(path=path or ours),
        ),
        status=PhaseOnly(phase=phase),
    )


def survey(*disks: SeenDisk, node: str = "node-1") -> VolumeNode:
    return VolumeNode(metadata=Meta(name=node), status=NodeReport(disks=disks))


def installed(*volumes: Volume, pvs: tuple[Pv, ...] | None = None, **fields: Any) -> Installation:
    """Programs gone, each volume with its PersistentVolume."""
    every = {
        "now": NOW,
        "namespace": "tidb-volume",
        "volumes": volumes,
        "pvs": tuple(map(pv, volumes)) if pvs is None else pvs,
        "nodes": (survey(),),
        "daemons": (),
        "renewed": format_instant(Instant(NOW - 3600)),
    }
    return Installation(**(every | fields))


def of(remains: Remains) -> Disk:
    ((disk,),) = (node.disks for node in remains.nodes)
    return disk


def text(remains: Remains) -> str:
    return "".join(file.text for node in remains.nodes for file in node.files)


# --- after a boot -----------------------------------------------------------------------------------------


def test_a_device_that_a_claim_has_is_mounted_by_a_unit_with_what_was_made_of_it() -> None:
    remains = what(installed(mounted()))
    disk = of(remains)
    assert (disk.fate, disk.back, disk.claim, disk.problem) == ("bound", "unit", "db/data-0", "")
    (file,) = remains.nodes[0].files
    assert file.name == disk.file == r"var-lib-tidb\x2dvolume-mounts-node\x2d1\x2dnvme\x2dx.mount"
    assert f"What=/dev/disk/by-uuid/{UUID}\n" in file.text
    assert "Options=nosuid,nodev,noatime,nofail\n" in file.text


def test_a_raw_device_that_a_claim_has_gets_its_name_from_udev() -> None:
    remains = what(installed(raw()))
    assert (of(remains).back, of(remains).file) == ("rule", boot.RULES_FILE)
    assert f'SYMLINK+="tidb-volume/{TENANCY}"' in text(remains)


def test_what_the_admin_mounted_needs_nothing() -> None:
    remains = what(installed(volume("node-1-data-a", Phase.BOUND, owner="db/data-0")))
    assert (of(remains).back, text(remains)) == ("own", "")


@pytest.mark.parametrize(
    ("phase", "pv_phase", "status", "fate", "back"),
    [
        (Phase.BOUND, "Bound", {}, "bound", "unit"),
        (Phase.RELEASED, "Released", {"dirty": True}, "released", "unit"),
        (Phase.RELEASED, "", {"dirty": True}, "released", "unit"),
        (Phase.FAILED, "", {}, "failed", "none"),
        (Phase.FAILED, "Failed", {}, "failed", "unit"),
        (Phase.AVAILABLE, "Available", {}, "free", "unit"),
        (Phase.WIPING, "", {"dirty": True, "committed": "order-1"}, "wiping", "none"),
        (Phase.PENDING, "", {"dirty": True}, "waits", "unit"),
        (Phase.PENDING, "", {"question": "q-1"}, "waits", "none"),
        (Phase.PENDING, "", {}, "nothing", "none"),
        # A claim that the record has not heard of yet.
        (Phase.AVAILABLE, "Bound", {}, "bound", "unit"),
        (Phase.AVAILABLE, "Released", {}, "released", "unit"),
        # And one that was let go since nobody keeps the record up.
        (Phase.BOUND, "Released", {}, "released", "unit"),
        (Phase.BOUND, "", {}, "released", "unit"),
    ],
)
def test_who_may_still_want_it_decides_whether_it_comes_back(
    phase: Phase, pv_phase: str, status: dict[str, Any], fate: str, back: str
) -> None:
    one = mounted(phase=phase, **status)
    disk = of(what(installed(one, pvs=(pv(one, pv_phase),) if pv_phase else ())))
    assert (disk.fate, disk.back) == (fate, back)


def test_nobody_looks_for_a_raw_device_without_a_persistent_volume() -> None:
    disk = of(what(installed(raw(phase=Phase.RELEASED, dirty=True), pvs=())))
    assert (disk.fate, disk.back) == ("released", "none")


def test_a_persistent_volume_without_its_label_is_found_by_its_name_and_path() -> None:
    one = mounted()
    assert of(what(installed(one, pvs=(pv(one, labels={}),)))).pvs == (
        names.pv_name(one.metadata.name, TENANCY),
    )


def test_an_edit_that_waits_changes_nothing_of_what_a_disk_is() -> None:
    edited = mounted()
    edited = change(edited, spec=change(edited.spec, volume_mode="Block", fs_type=""))
    remains = what(installed(edited, pvs=(pv(mounted()),)))
    assert of(remains).back == "unit"
    assert "Type=xfs" in text(remains)


ALIKE = SeenDisk(name="nvme9n1", device="259:9", identity=raw().status.identity)


@pytest.mark.parametrize(
    ("made", "fields", "says"),
    [
        (seen(mounted(), identity={"fs_uuid": ""}), {}, "UUID of its file system is not known"),
        (on_record(mounted(), fs_uuid=OTHER), {}, f"on record is file system {OTHER}, on the disk is {UUID}"),
        (seen(mounted(), content=Content.DATA, content_note="ext4 (backup)"), {}, "ext4 (backup)"),
        (seen(mounted(), made=""), {}, "kind of its file system"),
        (mounted(), {"pvs": (pv(mounted(), path="/mnt/x"),)}, "shows /mnt/x, not /var/lib/tidb-volume"),
        (seen(mounted(conditions=("EditPending",)), presence=Presence.NOT_PRESENT), {}, "was edited"),
        (on_record(raw(), wwn="eui.0026"), {}, "another disk"),
        (seen(raw(), identity={"wwn": "", "serial": ""}), {}, "no WWN"),
        (seen(raw(), identity={"wwn": "", "serial": "", "virtual": "8:1"}), {}, "virtual"),
        (raw(), {"pvs": (pv(raw(), path="/dev/sdb"),)}, "no device node of ours"),
        (raw(), {"pvs": (pv(raw(), path="/dev/tidb-volume/../sdb"),)}, "no device node of ours"),
        (raw(), {"nodes": (survey(ALIKE),)}, "nvme9n1 of its node shows the same facts"),
    ],
)
def test_a_disk_of_which_too_little_is_known_is_told_with_what_to_do_about_it(
    made: Volume, fields: dict[str, Any], says: str
) -> None:
    remains = what(installed(made, **fields))
    disk = of(remains)
    assert (disk.back, disk.file) == ("missing", "")
    assert says in disk.problem
    assert DEVICE in disk.way_out
    assert text(remains) == ""


def test_two_disks_that_show_one_file_systems_uuid_are_both_told() -> None:
    remains = what(installed(mounted("node-1-a"), mounted("node-1-b")))
    assert [disk.back for disk in remains.nodes[0].disks] == ["missing"] * 2
    assert "node-1-b shows the same" in remains.nodes[0].disks[0].problem


def test_a_disk_that_is_not_seen_comes_back_by_what_is_on_record_and_that_is_said() -> None:
    gone = {"presence": Presence.NOT_PRESENT, "message": "pulled out", "identity": None, "made": ""}
    file_system = mounted()
    spec = change(file_system.spec, fs_type="ext4", mount_options=("noatime",))
    away = change(
        file_system, spec=spec, status=change(file_system.status, disk=change(_disk(file_system), **gone))
    )
    remains = what(installed(away))
    assert (of(remains).back, "pulled out" in of(remains).doubt) == ("unit", True)
    assert "Type=ext4" in text(remains)
    block = raw()
    away = change(block, status=change(block.status, disk=change(_disk(block), **gone)))
    assert (of(what(installed(away))).back, "pulled out" in of(what(installed(away))).doubt) == ("rule", True)


def _disk(one: Volume) -> Any:
    return one.status.disk


@pytest.mark.parametrize("nodes", [None, ()])
def test_where_a_nodes_disks_could_not_be_looked_at_that_is_said(nodes: Any) -> None:
    assert "is not known" in of(what(installed(raw(), nodes=nodes))).doubt


def test_the_disk_itself_is_not_one_of_two_alike() -> None:
    own = change(ALIKE, device="259:0")
    assert of(what(installed(raw(), nodes=(survey(own),)))).back == "rule"


def test_a_persistent_volume_of_a_disk_without_a_record_is_told() -> None:
    lost = pv(mounted())
    assert what(installed(pvs=(lost,))).strangers == (lost.metadata.name,)
    folder = pv(volume("node-1-data-a", Phase.BOUND))
    assert what(installed(pvs=(folder,))).strangers == ()


# --- the second step --------------------------------------------------------------------------------------


def daemon(node: str = "node-1") -> DaemonPod:
    return DaemonPod(metadata=SlimMeta(name="d"), spec=PodSpec(node_name=node))


def test_the_records_may_go_once_nothing_would_be_missed() -> None:
    records = what(installed(mounted(), raw())).records
    assert records.blocked == ()
    meant = [each for each in records.commands if "delete-records=yes" in each]
    assert [each.split()[2] for each in meant] == ["crd", "namespace"]
    assert any(each.startswith("whose data is to be wiped: 2 bound disks") for each in records.lost)
    assert records.commands[-1] == "kubectl delete -k deploy/base-crds"


@pytest.mark.parametrize(
    ("seen_now", "says"),
    [
        (installed(renewed=format_instant(Instant(NOW - 10))), "still leads"),
        (installed(renewed=None), "leads could not be read"),
        (installed(daemons=(daemon(),)), "node-1 still has"),
        (installed(daemons=None), "runs could not be read"),
        (installed(mounted(phase=Phase.WIPING, committed="o"), pvs=()), "past the point of no return"),
        (installed(raw(phase=Phase.RELEASED, dirty=True), pvs=()), "was not wiped since"),
        (installed(raw(phase=Phase.BOUND, dirty=True), pvs=()), "was not wiped since"),
        (installed(mounted(phase=Phase.PENDING, dirty=True), pvs=()), "was not wiped since"),
    ],
)
def test_what_only_a_record_says_keeps_the_records(seen_now: Installation, says: str) -> None:
    (blocked,) = what(seen_now).records.blocked
    assert says in blocked


def test_a_released_disk_whose_persistent_volume_says_so_may_lose_its_record() -> None:
    one = mounted(phase=Phase.RELEASED, dirty=True)
    records = what(installed(one, pvs=(pv(one, "Released"),))).records
    assert records.blocked == ()
    assert any("node-1-nvme-x would be wiped" in each for each in records.lost)


# --- the command ------------------------------------------------------------------------------------------


class Api:
    """An API server that has this, and no right to be written to."""

    def __init__(self, has: Installation) -> None:
        self._lists = {
            kinds.TIDB_VOLUME: has.volumes,
            kinds.TIDB_VOLUME_NODE: has.nodes,
            kinds.PV: has.pvs,
            kinds.DAEMON_POD: has.daemons,
        }

    def list(self, kind: Any, **_: Any) -> tuple[Any, str]:
        return self._lists[kind], "1"

    def find(self, *_: Any) -> None:
        return None


def run(monkeypatch: pytest.MonkeyPatch, has: Installation, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(connect, "client", lambda _: Api(has))
    out, err = io.StringIO(), io.StringIO()
    code = main(["uninstall", *words], Screen(out, err, {}), "kubectl-tidb_volume")
    return code, out.getvalue(), err.getvalue()


ALL = installed(
    mounted(),
    raw(),
    mounted("node-2-free", Phase.AVAILABLE, node="node-2"),
    raw("node-2-w", Phase.WIPING, node="node-2"),
    pvs=(pv(mounted()), pv(raw()), pv(mounted("node-2-free"), "Available")),
)


def test_the_command_prints_the_files_and_both_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run(monkeypatch, ALL)
    assert code == 0
    assert f"  What=/dev/disk/by-uuid/{UUID}" in out
    assert f"{verb.RULES}/{boot.RULES_FILE}" in out
    assert [out.index(each) for each in uninstall.PROGRAMS] == sorted(
        out.index(each) for each in uninstall.PROGRAMS
    )
    assert "kubectl tidb-volume cordon node-2-free" in out
    assert "half of the data may be left" in out
    assert "delete-records" not in out


def test_the_second_step_is_told_only_where_it_is_asked_for_and_nothing_is_missed_by_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, out, _ = run(monkeypatch, ALL, "--records")
    assert (code, "delete-records" in out) == (4, False)
    assert "node-2-w: its wipe is past" in out
    code, out, _ = run(monkeypatch, installed(mounted()), "--records")
    assert (code, "delete-records=yes" in out) == (0, True)


def test_a_disk_that_does_not_come_back_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run(monkeypatch, installed(seen(raw(), identity={"wwn": "", "serial": ""})))
    assert (code, "DOES NOT COME BACK" in out, "1 disks come back by none" in out) == (1, True, True)
    assert "nothing: no disk" not in out
    code, out, _ = run(monkeypatch, installed(pvs=(pv(mounted()),)))
    assert (code, "list the disk again" in out) == (1, True)


def test_files_are_written_a_folder_for_each_node_and_never_over_one_that_differs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    code, out, err = run(monkeypatch, ALL, "--units", str(folder))
    assert (code, "What=" in out, "3 files written" in err) == (0, False, True)
    expected = {f"{node.node}/{file.name}": file.text for node in what(ALL).nodes for file in node.files}
    assert _files(folder) == expected
    assert "0 files written" in run(monkeypatch, ALL, "--units", str(folder))[2]

    (mine,) = (folder / "node-1").glob("*.mount")
    mine.write_text("mine")
    (gone,) = (folder / "node-2").glob("*.mount")
    gone.unlink()
    code, _, err = run(monkeypatch, ALL, "--units", str(folder))
    assert (code, mine.read_text(), gone.exists()) == (4, "mine", False)
    assert str(mine) in err


def test_a_unit_of_a_disk_that_is_not_to_come_back_any_more_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run(monkeypatch, ALL, "--units", str(tmp_path))
    now = installed(raw(), volume("node-2-a", Phase.BOUND, node="node-2"))
    code, _, err = run(monkeypatch, now, "--units", str(tmp_path))
    assert (code, err.count("is from before")) == (0, 2)


def test_no_link_leads_what_is_written_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "node-1").mkdir()
    (tmp_path / "node-1" / boot.RULES_FILE).symlink_to(tmp_path / "elsewhere")
    code, _, _ = run(monkeypatch, installed(raw()), "--units", str(tmp_path))
    assert (code, (tmp_path / "elsewhere").exists()) == (1, False)


def test_every_form_of_output(monkeypatch: pytest.MonkeyPatch) -> None:
    _, out, _ = run(monkeypatch, ALL, "-o", "json")
    assert msgspec.json.decode(out, type=Remains) == _as_read(what(ALL), out)
    _, out, _ = run(monkeypatch, ALL, "-o", "name")
    assert out.splitlines()[-1].startswith("node-2/var-lib-tidb")


def test_what_comes_from_objects_forges_no_line_and_no_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    odd = mounted()
    odd = change(
        odd,
        metadata=change(odd.metadata, name=HOSTILE),
        spec=change(odd.spec, node_name="../up", source=change(odd.spec.source, device=HOSTILE)),
        status=change(odd.status, state=HOSTILE),
    )
    code, out, err = run(monkeypatch, installed(odd), "--units", str(tmp_path / "files"))
    assert code == 1
    assert "\x1b" not in out + err
    assert "\nfleet paused" not in out + err
    assert not (tmp_path / "up").exists()
    assert not (tmp_path / "files").exists()
    fine = mounted()
    fine = change(fine, spec=change(fine.spec, node_name="../up"))
    assert run(monkeypatch, installed(fine), "--units", str(tmp_path / "files"))[0] == 4
    assert list(tmp_path.iterdir()) == []


def _files(folder: Path) -> dict[str, str]:
    return {str(each.relative_to(folder)): each.read_text() for each in folder.rglob("*") if each.is_file()}


def _as_read(remains: Remains, out: str) -> Remains:
    """The same, as of the moment at which the command looked."""
    assert TENANCY in out
    return change(remains, records=msgspec.json.decode(out, type=Remains).records)


def test_an_identity_of_a_volume_never_seen_is_no_rule() -> None:
    block = raw()
    bare = change(block, status=change(block.status, disk=None, identity=None))
    assert "no fact of its hardware" in of(what(installed(bare))).problem
    file_system = mounted()
    bare = change(file_system, status=change(file_system.status, disk=None, identity=Identity(serial="S")))
    assert of(what(installed(bare))).back == "missing"
