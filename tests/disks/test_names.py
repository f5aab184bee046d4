"""Names that nobody expects: what is told of them is text, and what is done with them finds them again."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from disk_daemon import kernel
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Ended
from disk_daemon.observe import observe
from disk_daemon.report import disk_report
from disk_daemon.survey import survey
from tests.disks.bench import (
    CLEAN,
    NEXT,
    OLD,
    Disk,
    answered,
    for_all_of,
    identity_of,
    job_of,
    obey,
    reclaim,
    state,
)
from tidb_volume.value import Content, DiskReport

ODD: list[tuple[bytes, str]] = [
    (b"half \xc3", "half \\xc3"),
    (b"two\nlines", "two\\nlines"),
    (b"red\x1b[31m", "red\\x1b[31m"),
    (b"<script>alert(1)<|script>", "<script>alert(1)<|script>"),
    (b"\xff" * 255, "\\xff"),
    (b"trash-\xfe", "trash-\\xfe"),
    (b"trash-", "trash-"),
    (b"deeper-1\n", "deeper-1\\n"),
]
WHERE = ["", "lost+found", ".tidb-volume", ".tidb-volume/trash-order-0"]


def put(disk: Disk, where: str, name: bytes) -> bytes:
    """A folder with a file in it, both of that name."""
    folder = os.path.join(os.fsencode(disk.path / where), name)
    os.makedirs(folder)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(b"x")
    return folder


def sent(ended: Ended) -> Ended:
    """As the parent gets it."""
    return msgspec.json.decode(msgspec.json.encode(ended), type=Ended)


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize(("name", "said"), ODD)
def test_a_disk_with_an_odd_name_on_it_is_reported_and_is_nobodys_to_wipe(
    disk: Disk, rules: Rules, name: bytes, said: str, where: str
) -> None:
    put(disk, where, name)
    ended = sent(observe(job_of(disk), rules))
    facts = ended.facts
    told = [*facts.strays, *facts.others, *(entry for trash in facts.trash for entry in trash.entries)]
    assert any(said in each for each in told), told
    report = disk_report(facts, ended.record, None, None)
    report = msgspec.json.decode(msgspec.json.encode(report), type=DiskReport)
    assert report.content is Content.DATA
    assert report.content_note.isprintable()

    refused = sent(obey(disk, reclaim(identity_of(disk, rules), kind="prepare", ends=""), rules))
    assert state(refused) == ("refused", "HasData")
    assert refused.work is not None
    assert refused.work.message.isprintable()


def test_an_answer_for_the_whole_disk_takes_odd_names_too(disk: Disk, rules: Rules) -> None:
    for where in WHERE:
        for name, _ in ODD:
            put(disk, where, name)
    order = reclaim(identity_of(disk, rules), kind="prepare", id="order-0", ends="", answer="q1")
    order = for_all_of(disk, rules, order)
    api = answered(disk, order)
    ended = sent(obey(disk, order, rules, api))
    assert state(ended) == ("done", ""), ended.work
    assert disk.tree() == [*CLEAN, "lost+found"]


def test_a_withdrawn_order_for_the_whole_disk_gives_odd_names_back(disk: Disk, rules: Rules) -> None:
    for where in WHERE[:3]:
        for name, _ in ODD:
            put(disk, where, name)
    before = disk.tree()
    order = for_all_of(disk, rules, reclaim(identity_of(disk, rules), kind="prepare", ends="", answer="q1"))
    api = answered(disk, order)
    api.on_read = lambda reading: api.change_order(withdrawn=True) if reading == 2 else None
    ended = sent(obey(disk, order, rules, api))
    assert state(ended) == ("refused", "Withdrawn"), ended.work
    assert disk.tree() == before


def test_odd_names_in_a_tenancy_are_wiped_with_it(disk: Disk, rules: Rules) -> None:
    folder = disk.tenancy()
    for name, _ in ODD:
        put(disk, os.path.relpath(folder, disk.path), name)
    assert state(sent(obey(disk, reclaim(identity_of(disk, rules)), rules))) == ("done", "")
    assert disk.tree() == CLEAN
    assert disk.ours.joinpath(NEXT).is_dir()


def test_a_mount_in_the_tree_whose_name_is_odd_is_told(disk: Disk, other_disk: Disk, rules: Rules) -> None:
    folder = put(disk, os.path.relpath(disk.tenancy(), disk.path), b"\xff\n")
    subprocess.run([b"mount", b"--bind", os.fsencode(other_disk.path), folder], check=True)
    ended = sent(obey(disk, reclaim(identity_of(disk, rules)), rules))
    assert ended.work is not None
    assert ended.work.reason == "ForeignMount"
    assert "\\xff\\n" in ended.work.message


def test_a_folder_of_another_project_is_told_as_that_too(disk: Disk, rules: Rules) -> None:
    """The admin has put a project quota on our folder after the tenancy's was made: no rename goes there."""
    (disk.tenancy() / "file").write_text("x")
    subprocess.run(["chattr", "+P", "-p", "5", disk.ours], check=True)
    ended = obey(disk, reclaim(identity_of(disk, rules)), rules)
    assert state(ended) == ("refused", "ForeignMount")
    assert ended.work is not None
    assert "chattr -p" in ended.work.message
    assert (disk.ours / OLD / "file").exists()
    subprocess.run(["chattr", "-p", "5", disk.ours / OLD], check=True)
    assert state(obey(disk, reclaim(identity_of(disk, rules)), rules)) == ("done", "")


def test_a_user_whose_mount_has_an_odd_name_is_told(disk: Disk, rules: Rules, tmp_path: Path) -> None:
    tenancy = disk.tenancy()
    target = os.path.join(os.fsencode(tmp_path), b"pod \xff\n")
    os.mkdir(target)
    subprocess.run([b"mount", b"--bind", os.fsencode(tenancy), target], check=True)
    try:
        ended = sent(observe(job_of(disk), rules))
        report = disk_report(ended.facts, ended.record, None, None)
    finally:
        kernel.unmount(os.fsdecode(target))
    assert "\\xff\\n" in report.in_use


def test_the_survey_tells_a_mount_whose_name_is_odd(disk: Disk, rules: Rules, tmp_path: Path) -> None:
    target = os.path.join(os.fsencode(tmp_path), b"mnt \xff\n")
    os.mkdir(target)
    subprocess.run([b"mount", b"--bind", os.fsencode(disk.path), target], check=True)
    try:
        surveyed = msgspec.json.encode(survey(rules))
    finally:
        kernel.unmount(os.fsdecode(target))
    assert b"mnt \\\\xff\\\\n" in surveyed
