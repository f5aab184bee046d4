"""`make chaos` would notice what it is there to notice: what its tenants report, and what its judges say."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.judge import (
    Judged,
    Ran,
    Verdict,
    floors,
    not_at_rest,
    outcome,
    secrets_in,
    verdict,
)
from tests.chaos.storms import STORMS, Storm, draw, put_back
from tests.chaos.tenants import SCRIPT, SEARCH, by_name
from tidb_volume import names
from tidb_volume.upstream import PhaseOnly, Pv
from tidb_volume.value import Meta, Phase, Source, Volume, VolumeSpec, VolumeStatus

PIECES = 3
FILES = 300 + 2
"""And the pieces."""


def start(folder: Path, name: str, place: str = "volume") -> list[str]:
    """Run what a tenant's pod runs, on a folder or file in place of its volume; what it reported so far."""
    (folder / "volume").mkdir(exist_ok=True)
    settings = {"PIECE_MB": "1", "MOST": str(PIECES), "FILL_S": "60", "LOOK_S": "", "SURE_S": "0"}
    environment = {"ME": name, "PLACE": str(folder / place), "REPORTS": str(folder / "reports"), **settings}
    subprocess.run(["busybox", "sh", "-c", SCRIPT], env=os.environ | environment, check=True)
    return (folder / "reports" / "of" / name).read_text().splitlines()


def device(folder: Path) -> Path:
    """What stands for a raw device: its last piece is a short one."""
    image = folder / "device"
    image.write_bytes(bytes((2 << 20) + 4096))
    return image


# --- what a tenant's pod does ---


@pytest.mark.parametrize("place", ["volume", "device"])
def test_a_tenant_on_a_clean_volume_writes_and_finds_all_of_it_again(tmp_path: Path, place: str) -> None:
    device(tmp_path)
    first = verdict(start(tmp_path, "t1-ab", place))
    assert (first.wrote, first.leaks, first.lost, first.begun) == (True, frozenset(), "", 0)
    again = verdict(start(tmp_path, "t1-ab", place))
    assert (again.wrote, again.leaks, again.lost) == (True, frozenset(), "")
    assert again.begun


def test_a_tenant_writes_all_over_its_volume(tmp_path: Path) -> None:
    image = device(tmp_path)
    start(tmp_path, "t1-ab", "device")
    data = image.read_bytes()
    sectors = [data[at : at + 512] for at in range(0, len(data), 512)]
    assert all(sector.startswith(b"S3CRET-t1-ab ") for sector in sectors)
    start(tmp_path, "t1-ab")
    files = [each for each in (tmp_path / "volume").rglob("*") if each.is_file() and not each.is_symlink()]
    assert len(files) == FILES + PIECES
    assert all(b"S3CRET-t1-ab" in each.read_bytes() for each in files)


@pytest.mark.parametrize("place", ["volume", "device"])
def test_what_was_left_anywhere_is_a_leak(tmp_path: Path, place: str) -> None:
    device(tmp_path)
    start(tmp_path, "t9-ab", place)
    found = verdict(start(tmp_path, "t1-ab", place))
    assert (found.leaks, found.lost) == (frozenset({"S3CRET-t9-ab"}), "")


def in_a_file(name: str, content: bytes) -> Callable[[Path], object]:
    def write(volume: Path) -> None:
        (volume / name).parent.mkdir(parents=True, exist_ok=True)
        (volume / name).write_bytes(content)

    return write


@pytest.mark.parametrize(
    "leaves",
    [
        in_a_file("plain", b"S3CRET-t9-ab\n"),
        in_a_file(".dot/deep/x", b"S3CRET-t9-ab"),
        in_a_file("image", bytes(70000) + b"\xff\xfeS3CRET-t9-ab\xff" + bytes(10)),
        in_a_file("beside its own", b"S3CRET-t1-ab\nS3CRET-t9-ab\n"),
        in_a_file("name.S3CRET-t9-ab", b""),
        lambda volume: (volume / "S3CRET-t9-ab.folder").mkdir(),
        lambda volume: (volume / "link").symlink_to("/S3CRET-t9-ab"),
    ],
)
def test_a_secret_in_a_file_a_name_or_a_link_is_a_leak(
    tmp_path: Path, leaves: Callable[[Path], object]
) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    leaves(volume)
    for shell in (["busybox", "sh"], ["sh"]):  # a pod's, and a node's
        searched = subprocess.run(
            [*shell, "-c", f"{SEARCH}\nsecrets"],
            env=os.environ | {"PLACE": str(volume)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert "S3CRET-t9-ab" in searched.stdout.split()
    assert verdict(start(tmp_path, "t1-ab")).leaks == {"S3CRET-t9-ab"}


def overwritten(name: str, at: int, data: bytes) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        with (folder / name).open("r+b") as file:
            file.seek(at)
            file.write(data)

    return write


def all_but_one_file(folder: Path) -> None:
    for each in (folder / "volume").iterdir():
        if each.name != "small-7":
            shutil.rmtree(each) if each.is_dir() else each.unlink()


def relinked(folder: Path) -> None:
    link = folder / "volume" / "link"
    link.unlink()
    link.symlink_to("elsewhere")


@pytest.mark.parametrize(
    ("place", "damage", "lost"),
    [
        ("volume", lambda folder: shutil.rmtree(folder / "volume"), "started own=no"),
        ("volume", all_but_one_file, "started own=no"),
        ("volume", lambda folder: (folder / "volume/.dot").unlink(), "started own=part wrong=1 right=4"),
        ("volume", lambda folder: (folder / "volume/small-299").unlink(), "started own=part wrong=1 right=4"),
        ("volume", lambda folder: (folder / "volume/piece-1").unlink(), "started own=part wrong=1 right=4"),
        ("volume", relinked, "started own=part wrong=1 right=4"),
        ("volume", overwritten("volume/small-5", 3, b"X"), "started own=part wrong=1 right=4"),
        ("volume", overwritten("volume/piece-2", 700_000, bytes(512)), "started own=part wrong=1 right=4"),
        ("device", overwritten("device", 0, bytes((2 << 20) + 4096)), "started own=no"),
        ("device", overwritten("device", (1 << 20) + 4096, bytes(1)), "started own=part wrong=1 right=2"),
        ("device", overwritten("device", (2 << 20) + 4095, bytes(1)), "started own=part wrong=1 right=2"),
    ],
)
def test_a_tenant_misses_whatever_is_gone_of_its_own(
    tmp_path: Path, place: str, damage: Callable[[Path], object], lost: str
) -> None:
    device(tmp_path)
    start(tmp_path, "t1-ab", place)
    damage(tmp_path)
    assert verdict(start(tmp_path, "t1-ab", place)).lost == lost


def test_a_running_tenant_misses_it_and_looks_once_more_as_it_ends(tmp_path: Path) -> None:
    start(tmp_path, "t1-ab")
    settings = {"ME": "t1-ab", "PLACE": str(tmp_path / "volume"), "REPORTS": str(tmp_path / "reports")}
    more = {"PIECE_MB": "1", "MOST": "3", "FILL_S": "60", "LOOK_S": "600", "SURE_S": "0"}
    pod = subprocess.Popen(["busybox", "sh", "-c", SCRIPT], env=os.environ | settings | more)
    report = tmp_path / "reports" / "of" / "t1-ab"
    while "started own=yes" not in report.read_text():
        pass
    (tmp_path / "volume" / "piece-2").write_bytes(bytes(1 << 20))
    pod.terminate()
    assert pod.wait(30) == 0
    assert verdict(report.read_text().splitlines()).lost == "saw own=part wrong=1 right=4"


# --- what its reports come to ---

WROTE = ["100 started own=none", "105 wrote"]


@pytest.mark.parametrize(
    ("lines", "over", "lost"),
    [
        pytest.param(
            ["100 started own=none", "102 started own=none", "109 wrote"], None, "", id="cut before"
        ),
        pytest.param([*WROTE, "200 started own=none"], None, "started own=none", id="another volume"),
        pytest.param([*WROTE, "200 started own=yes", "210 saw own=part"], None, "saw own=part", id="runs"),
        pytest.param([*WROTE, "200 started own=no"], 300.5, "started own=no", id="told after it had ended"),
        pytest.param([*WROTE, "200 started own=no"], 150.5, "", id="its claim was gone before"),
        pytest.param([*WROTE, "160 saw own=no"], 150.5, "saw own=no", id="wiped below a pod that went on"),
        pytest.param(
            [*WROTE, "160 started own=none", "170 wrote", "180 saw own=no"], 150.5, "", id="its next claim"
        ),
        pytest.param(["200 started own=no", *WROTE], None, "started own=no", id="two nodes, in any order"),
        pytest.param(["gar bage", "", "x", "105"], None, "", id="no reports"),
    ],
)
def test_a_loss_is_what_was_missed_while_the_claim_was_there(
    lines: list[str], over: float | None, lost: str
) -> None:
    assert verdict(lines, over).lost == lost


def test_what_was_judged_once_stays_though_its_node_is_off_later() -> None:
    judged = Judged()
    judged.judge("t1", [*WROTE, "110 leak S3CRET-t9", "120 saw own=yes", "200 started own=no"], None)
    assert judged.judge("t1", [], None) == Verdict()
    assert (judged.leaks, judged.losses) == ({"t1 read S3CRET-t9"}, {"t1": "started own=no"})
    assert judged.looks == 1


def test_reports_of_many_tenants_are_told_apart() -> None:
    assert by_name(["t1:100 wrote", "t2:101 leak a:b", "t1:102 x"]) == {
        "t1": ["100 wrote", "102 x"],
        "t2": ["101 leak a:b"],
    }


@pytest.mark.parametrize("size", [1, 7, 13, 64, 1000])
def test_a_secret_across_two_chunks_of_a_disk_is_found_whole(size: int) -> None:
    data = bytes(20) + b"S3CRET-t1-ab" + bytes(100) + b"xS3CRET-t22-cd\nS3CRETS3CRET-t3"
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    assert secrets_in(chunks) == {"S3CRET-t1-ab", "S3CRET-t22-cd", "S3CRET-t3"}
    assert secrets_in([bytes(1000)] * 3) == set()


# --- what comes to rest ---


def volume(name: str, phase: Phase = Phase.AVAILABLE) -> Volume:
    status = VolumeStatus(phase=phase, state=phase.value, reason="R")
    return Volume(
        metadata=Meta(name=name),
        spec=VolumeSpec(node_name="n", pool="p", source=Source(path="/d")),
        status=status,
    )


def pv(name: str, phase: str = "Available") -> Pv:
    return Pv(metadata=Meta(labels={names.LABEL_DISK: name}), status=PhaseOnly(phase=phase))


@pytest.mark.parametrize(
    ("volumes", "pvs", "found"),
    [
        ([volume("a"), volume("b")], [pv("a"), pv("b")], {}),
        ([volume("a")], [pv("a"), pv("b")], {"b": "has no TidbVolume"}),
        ([], [], {"a": "has no TidbVolume", "b": "has no TidbVolume"}),
        ([volume("a"), volume("b", Phase.PENDING)], [pv("a")], {"b": "is Pending R"}),
        ([volume("a"), volume("b")], [pv("a")], {"b": "is on offer, with PersistentVolumes []"}),
        (
            [volume("a"), volume("b")],
            [pv("a"), pv("b"), pv("b", "Bound")],
            {"b": "is on offer, with PersistentVolumes ['Available', 'Bound']"},
        ),
        ([volume("a"), volume("b"), volume("c")], [pv("a"), pv("b")], {"c": "is listed nowhere"}),
    ],
)
def test_each_listed_disk_has_to_be_on_offer(
    volumes: list[Volume], pvs: list[Pv], found: dict[str, str]
) -> None:
    assert not_at_rest(["a", "b"], volumes, pvs) == found


# --- whether that is enough ---

KINDS = ("path", "raw")
NAMES = tuple(f"storm {number}" for number in range(20))
GOOD = Ran(
    3600,
    ["path", "raw", "raw"],
    dict.fromkeys(NAMES, 1),
    rounds=30,
    kills=60,
    restores=1,
    looks=30,
    back=1,
    searched=4,
)


def test_a_run_in_which_enough_happened_is_enough() -> None:
    assert floors(GOOD, KINDS, NAMES, 4) == []
    few = GOOD._replace(seconds=120, did=dict.fromkeys(NAMES[:3], 1), rounds=1, kills=2, looks=1)
    assert floors(few, KINDS, NAMES, 4) == []


@pytest.mark.parametrize(
    ("ran", "short"),
    [
        (GOOD._replace(wrote=["path"]), ["no tenant of raw has written"]),
        (GOOD._replace(wrote=[]), ["no tenant of path has written", "no tenant of raw has written"]),
        (GOOD._replace(rounds=29), ["rounds: 29, and not 30"]),
        (GOOD._replace(kills=59), ["kills: 59, and not 60"]),
        (GOOD._replace(restores=0), ["restores of etcd: 0, and not 1"]),
        (GOOD._replace(looks=29), ["looks of running tenants: 29, and not 30"]),
        (GOOD._replace(back=0), ["tenants that came back in the end: 0, and not 1"]),
        (GOOD._replace(searched=3), ["disks searched: 3, and not 4"]),
        (GOOD._replace(did={**GOOD.did, "storm 7": 0}), ["never: storm 7"]),
        (
            GOOD._replace(seconds=120, did={"storm 1": 5, "storm 2": 9}),
            ["kinds of storms: 2, and not 3"],
        ),
        (GOOD._replace(seconds=1, rounds=0), ["rounds: 0, and not 1"]),
    ],
)
def test_a_run_in_which_too_little_happened_fails(ran: Ran, short: list[str]) -> None:
    assert floors(ran, KINDS, NAMES, 4) == short
    assert outcome(Judged(), [], short)[1] == 1


def test_a_run_fails_by_each_thing_alone_that_it_is_there_to_notice() -> None:
    assert outcome(Judged(), [], floors(GOOD, KINDS, NAMES, 4)) == ([], 0)
    leak, loss = Judged(), Judged()
    leak.judge("t1", ["100 leak S3CRET-t9"], None)
    loss.judge("t1", [*WROTE, "200 started own=part wrong=1 right=9"], None)
    assert outcome(leak, [], []) == (["t1 read S3CRET-t9"], 1)
    assert outcome(loss, [], []) == (["t1 lost its data: started own=part wrong=1 right=9"], 1)
    assert outcome(Judged(), ["a has no TidbVolume"], []) == (["stuck: a has no TidbVolume"], 1)
    assert outcome(Judged(), [], floors(Ran(120), KINDS, NAMES, 4))[1] == 1


def test_no_storm_is_left_out_for_long() -> None:
    of, deck = random.Random(1), list[Storm]()
    weights = sum(each.weight for each in STORMS)
    assert {draw(deck, of).name for _ in range(weights)} == {each.name for each in STORMS}
    assert deck == []
    failed = draw(deck, of)
    put_back(deck, failed, of)
    assert len(deck) == weights
