"""The frame: how it was called, how it ends, what it needs no cluster for, and which volumes are meant."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.build import screen, volume
from tidb_volume import words
from tidb_volume.cli import adopt, complete, connect, resume, speak, touch
from tidb_volume.cli.__main__ import MUTATING, VERBS, main, parser, program
from tidb_volume.cli.exits import CliError, Exit
from tidb_volume.value import Content, Phase, Volume


@pytest.mark.parametrize(
    ("called", "prog"),
    [
        ("/usr/bin/kubectl-tidb_volume", "kubectl tidb-volume"),
        ("tidb-volume", "tidb-volume"),
        ("/x/tidb_volume/cli/__main__.py", "tidb-volume"),
    ],
)
def test_it_calls_itself_as_it_was_called(called: str, prog: str) -> None:
    assert program(called) == prog


def test_its_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"], screen=screen(), called="tidb-volume") == Exit.OK
    setup = (Path(__file__).parents[3] / "setup.cfg").read_text()
    assert f"\nversion = {capsys.readouterr().out.removeprefix('tidb-volume ')}" in setup


def test_help_names_phases_and_refers_to_nothing_above(capsys: pytest.CaptureFixture[str]) -> None:
    main(["status", "--help"], screen=screen(), called="tidb-volume")
    told = " ".join(capsys.readouterr().out.split())
    assert "in this phase: Pending, Available" in told
    assert "see above" not in told


@pytest.mark.parametrize("verb", VERBS)
def test_the_usage_of_each_verb_begins_with_the_plugins_name(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--help"], screen=screen(), called="kubectl-tidb_volume") == Exit.OK
    told = capsys.readouterr().out
    assert told.startswith(f"usage: kubectl tidb-volume {verb}")
    assert ("--dry-run" in told) is (verb in MUTATING)
    assert "{prog}" not in told
    assert all(len(line) <= 110 for line in told.splitlines())


@pytest.mark.parametrize(
    "words_",
    [["nope"], ["status", "--phase", "Gone"], ["status", "--contex", "x"], ["explain"], ["-o", "xml"]],
)
def test_wrong_usage_is_exit_code_two_and_says_where_to_look(
    words_: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words_, screen=screen(), called="kubectl-tidb_volume") == Exit.USAGE
    assert "kubectl tidb-volume" in capsys.readouterr().err


def test_exit_codes_are_distinct() -> None:
    assert len({int(code) for code in Exit}) == len(Exit) == 7


def test_cluster_options_may_stand_before_and_after_the_verb() -> None:
    before = ["--context", "a", "status"]
    after = ["status", "--context", "a"]
    assert parser("x", before).parse_args(before).context == "a"
    assert parser("x", after).parse_args(after).context == "a"
    assert parser("x", ["status"]).parse_args(["status"]).context == ""


@pytest.mark.parametrize(
    "text", ["", "current-context: nope\n", "{", "contexts: 5\n", "users: [{name: a}]\ncurrent-context: a\n"]
)
def test_a_kubeconfig_that_is_of_no_use_is_unreachable_and_says_so(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    seen = screen()
    assert main(["status", "--kubeconfig", str(file)], screen=seen, called="x") == Exit.UNREACHABLE
    assert "--kubeconfig" in seen.err.getvalue()  # type: ignore[attr-defined]
    assert seen.out.getvalue() == ""  # type: ignore[attr-defined]


def test_a_server_that_does_not_answer_is_unreachable(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(
        "contexts: [{name: a, context: {cluster: c}}]\ncurrent-context: a\n"
        "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:9'}}]\n"
    )
    seen = screen()
    assert main(["status", "--kubeconfig", str(file)], screen=seen, called="x") == Exit.UNREACHABLE
    assert "no answer from the API server" in seen.err.getvalue()  # type: ignore[attr-defined]


def test_without_any_kubeconfig_it_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(CliError) as raised:
        connect.transport_for("", "", {"HOME": str(tmp_path)})
    assert raised.value.code is Exit.UNREACHABLE


@pytest.mark.parametrize(
    ("typed", "not_needed"),
    [
        ("--help", ["ssl", "tidb_volume.kube.transport", "tidb_volume.inventory.merge"]),
        ("validate x.yaml", ["ssl", "tidb_volume.kube.transport"]),
        ("status --help", ["tidb_volume.inventory.merge"]),
    ],
)
def test_nothing_is_imported_that_the_command_does_not_need(typed: str, not_needed: list[str]) -> None:
    code = (
        "import sys; from tidb_volume.cli.__main__ import main\n"
        f"main({typed.split()!r})\n"
        f"found = [each for each in {['kubernetes', 'rich', *not_needed]!r} if each in sys.modules]\n"
        "sys.exit(f'imported {found}' if found else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_slim_transport_is_enough_for_status() -> None:
    code = (
        "import sys, tidb_volume.cli.status, tidb_volume.cli.connect\n"
        "sys.exit('kubernetes' in sys.modules or 'tidb_volume.inventory.merge' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_reason_that_waits_for_a_person_is_one_that_a_volume_can_show() -> None:
    assert set(speak.PERSON) <= set(words.REASONS)


def test_every_command_that_a_reason_names_parses() -> None:
    """What stands in `words` to be copied must be a command of this tool."""
    later = {"approve", "forget", "restore", "replace"}
    for reason in words.REASONS.values():
        for part in reason.way_out.split("kubectl tidb-volume ")[1:]:
            told = part.split(",")[0].split(";")[0].format(volume="v").split()
            if told[0] in later:
                continue
            options = parser("x", told).parse_args(told)
            assert options.verb == told[0]


# --- which volumes are meant ---------------------------------------------------------------------------


FLEET = [
    volume("a", node="node-1", path="/data/nvme0"),
    volume("b", node="node-1", path="/data/nvme1"),
    volume("c", node="node-2", path="/data/nvme0"),
    volume("d", node="node-3", device="/dev/disk/by-id/nvme-X"),
]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a", "a"),
        ("node-1/nvme0", "a"),
        ("node-1/data/nvme0", "a"),
        ("node-1/*", "ab"),
        ("node-{1..2}/nvme0", "ac"),
        ("node-*/nvme*", "abcd"),
        ("node-3/dev/disk/by-id/*", "d"),
        ("[ab]", "ab"),
    ],
)
def test_node_and_disk_with_ranges_and_globs(pattern: str, found: str) -> None:
    assert "".join(each.metadata.name for each in touch.matching(FLEET, [pattern])) == found


@pytest.mark.parametrize(("pattern", "code"), [("node-9/*", Exit.NOT_FOUND), ("node-{1..}/x", Exit.USAGE)])
def test_a_pattern_that_means_nothing_is_an_error(pattern: str, code: Exit) -> None:
    with pytest.raises(CliError) as raised:
        touch.matching(FLEET, ["a", pattern])
    assert raised.value.code is code


# --- whose data it is -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (volume(device="/dev/x", content=Content.DATA, note="partition table gpt"), ""),
        (volume(device="/dev/x", content=Content.DATA, note="ext4 (label backup)"), "file system"),
        (volume(path="/data/a", content=Content.DATA, note="12 entries"), "file system with files"),
        (volume(device="/dev/x", content=Content.UNKNOWN), "not known"),
        (volume(device="/dev/x", content=Content.BLANK, tenancy="abc"), "ours before"),
        (volume(device="/dev/x", content=Content.DATA, dirty=True), "ours before"),
    ],
)
def test_only_what_nobody_would_miss_is_adopted_together_with_others(found: Volume, why: str) -> None:
    kept = adopt.kept_because(found)
    assert why in kept
    assert bool(kept) is bool(why)
    together, alone = adopt.split([found])
    assert (len(together), len(alone)) == ((0, 1) if why else (1, 0))


@pytest.mark.parametrize(
    ("found", "at_once"),
    [
        (volume(phase=Phase.WIPING), True),
        (volume(phase=Phase.RELEASED, reason="Paused"), True),
        (volume(phase=Phase.RELEASED, reason="Countdown", wipe_at="2026-01-01T00:00:00Z"), True),
        (volume(phase=Phase.RELEASED, reason="Countdown", wipe_at="2099-01-01T00:00:00Z"), False),
        (volume(phase=Phase.RELEASED, reason="PolicyRetain"), False),
        (volume(phase=Phase.BOUND), False),
    ],
)
def test_resume_knows_which_wipes_begin_at_once(found: Volume, at_once: bool) -> None:
    from tests.unit.cli.build import NOW

    assert resume.begins(found, NOW) is at_once


# --- completion ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["wi"], "wipe-now\n:4\n"),
        (["hold", "--o"], "--off\n--output\n:4\n"),
        (["status", "-o", "w"], "wide\n:4\n"),
        (["breaker", ""], "reset\nshow\n:4\n"),
        (["validate", "x"], ":0\n"),
        (["pause", ""], ":4\n"),
        (["explain", "--kubeconfig", "/nowhere", "a"], ":4\n"),
        ([], "".join(f"{verb}\n" for verb in sorted(VERBS)) + ":4\n"),
    ],
)
def test_completion_tells_candidates_and_a_directive(
    typed: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert complete.main(typed) == 0
    out, err = capsys.readouterr()
    assert (out, err) == (told, "")
