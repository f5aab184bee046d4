"""`validate`: the person's own file, line and column, whatever wraps the inventory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.build import HOSTILE, screen
from tidb_volume.cli import manifests, validate
from tidb_volume.cli.__main__ import main
from tidb_volume.cli.exits import Exit

GOOD = "defaultPool: tikv\npools: {tikv: {onRelease: wipe}}\nnodes:\n  n1: [/data/a, /data/b]\n"
BAD = "defaultPool: tikv\npools: {tikv: {onRelease: wipe}}\nnodes:\n  n1: [/data/a, data/b]\n"
"""The error is on line 4, column 17."""
LABELLED = 'metadata: {name: storage, labels: {tidbvolume.io/inventory: "true"}}\n'
HEAD = f"apiVersion: v1\nkind: ConfigMap\n{LABELLED}"


def places(path: Path | str, text: str) -> list[str]:
    report = validate.judge([manifests.read(str(path), text)])
    return [f"{each.line}:{each.column} {each.code}" for each in report.findings]


def indented(text: str, by: int) -> str:
    return "".join(" " * by + line + "\n" for line in text.splitlines())


ITEM = indented(HEAD, 2).strip()


@pytest.mark.parametrize(
    "text",
    [
        BAD,
        f"# a comment\n\n{BAD}",
        f"{HEAD}data:\n  disks.yaml: |\n{indented(BAD, 4)}",
        f"{HEAD}data:\n    disks.yaml: |-\n{indented(BAD, 9)}",
        f"{HEAD}data:\n  disks.yaml: |2\n{indented(BAD, 4)}",
        f"{HEAD}data:\n  disks.yaml: | # its disks\n\n\n{indented(BAD, 4)}",
        f"---\n{HEAD}data:\n  other.txt: |\n    data/a\n  disks.yaml: |\n\n{indented(BAD, 4)}",
        f"kind: Secret\napiVersion: v1\n---\n{HEAD}data:\n  disks.yaml: |\n{indented(BAD, 4)}",
        f"apiVersion: v1\nkind: List\nitems:\n- {ITEM}\n  data:\n    a.yaml: |\n{indented(BAD, 6)}",
        f"{HEAD}data:\n  disks.yaml: {json.dumps(BAD)}\n",
        f"{HEAD}data: {{disks.yaml: 'nodes: {{n1: [data/b]}}'}}\n",
        f"{HEAD}data:\r\n  disks.yaml: |\r\n" + indented(BAD, 4).replace("\n", "\r\n"),
    ],
)
def test_an_error_stands_where_an_editor_shows_it(text: str) -> None:
    before = text[: text.index(" data/b") + 1] if " data/b" in text else text[: text.index("data/b")]
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    assert f"{line}:{column} TV015" in places("x.yaml", text)


def test_a_value_whose_lines_were_folded_is_named_at_its_begin() -> None:
    text = f"{HEAD}data:\n  disks.yaml: >\n{indented('nodes: {n1: [data/b]}', 4)}"
    assert "5:15 TV015" in places("x.yaml", text)


def test_a_manifest_as_kubectl_prints_it_in_json_is_read_too() -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "storage", "labels": {"tidbvolume.io/inventory": "true"}},
                "data": {"disks.yaml": BAD},
            }
        ],
    }
    text = json.dumps(manifest, indent=1)
    (found,) = places("x.json", text)
    place, code = found.split()
    line, column = map(int, place.split(":"))
    assert code == "TV015"
    assert text.splitlines()[line - 1][column - 1 :].startswith("data/b")


def test_words_that_name_another_place_name_it_in_the_persons_file() -> None:
    twice = BAD.replace("data/b", "/data/a")
    text = f"{HEAD}data:\n  disks.yaml: |\n{indented(twice, 4)}"
    (finding,) = validate.judge([manifests.read("dir/x.yaml", text)]).findings
    assert "first at dir/x.yaml:9:12" in finding.what
    assert finding.path == "dir/x.yaml"


def test_files_are_judged_together_as_the_controller_would() -> None:
    pools = manifests.read("pools.yaml", "defaultPool: tikv\npools: {tikv: {onRelease: wipe}}\n")
    disks = manifests.read("disks.yaml", "nodes: {n1: [/data/a]}\n")
    assert validate.judge([pools, disks]).findings == ()
    assert [each.code for each in validate.judge([disks]).findings] == ["TV030"]


def test_a_config_map_without_the_label_is_passed_over_and_said() -> None:
    found = manifests.read("x.yaml", f"{HEAD}data:\n  a.yaml: 'x'\n".replace('"true"', '"no"'))
    assert found.texts == ()
    assert "ConfigMap storage has no label" in found.notes[0]


def test_a_file_in_binary_data_is_a_finding_at_its_place() -> None:
    assert places("x.yaml", f"{HEAD}binaryData:\n  disks.yaml: /w==\n  logo.png: /w==\n") == ["5:15 TV022"]
    both = f"{HEAD}data:\n  disks.yaml: |\n{indented(GOOD, 4)}binaryData: {{b.yml: /w==}}\n"
    assert places("x.yaml", both) == ["10:21 TV022"]


def manifest(name: str, text: str, namespace: str = "") -> str:
    meta = f'{{name: {name}, labels: {{tidbvolume.io/inventory: "true"}}, namespace: "{namespace}"}}'
    data = f"{{disks.yaml: {json.dumps(text)}}}"
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {meta}\ndata: {data}\n"


@pytest.mark.parametrize("second", ["", "tidb-volume"])
def test_two_config_maps_of_one_name_are_a_finding_whose_first_is_judged(second: str) -> None:
    """Of the two only the one that is applied last will be there, and none may be judged sound unseen."""
    other = "nodes: {n2: [data/c]}"
    found = [
        manifests.read("x.yaml", manifest("a", BAD) + "---\n" + manifest("a", other, second)),
        manifests.read("y.yaml", manifest("b", "never: [/data/z]") + "---\n" + manifest("a", other)),
    ]
    report = validate.judge(found)
    told = [(each.path, each.line, each.code, each.severity) for each in report.findings]
    assert told == [
        ("x.yaml", 4, "TV015", "error"),
        ("x.yaml", 6, "TV057", "error"),
        ("y.yaml", 6, "TV057", "error"),
    ]
    assert "first at x.yaml:1" in report.findings[1].what
    assert report.files == 4


def test_files_of_one_config_map_are_no_finding() -> None:
    text = f"{HEAD}data: {{a.yaml: {json.dumps(GOOD)}, b.yaml: 'nodes: {{n2: [/data/c]}}'}}\n"
    assert validate.judge([manifests.read("x.yaml", text)]).findings == ()


def test_a_config_map_of_another_namespace_is_passed_over_and_said(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(f"---\n{manifest('a', GOOD, 'tidb-volume')}---\n{manifest('a', BAD, 'db')}")
    seen = screen()
    assert main(["validate", str(file)], screen=seen, called="tidb-volume") == Exit.OK
    said = seen.err.getvalue()  # type: ignore[attr-defined]
    assert f"{file}:7: ConfigMap a is in the namespace db, and the controller in tidb-volume" in said
    there = ["validate", "--controller-namespace", "db", str(file)]
    assert main(there, screen=screen(), called="tidb-volume") == Exit.ERROR


def test_a_config_map_without_the_label_is_passed_over_whatever_it_holds() -> None:
    for data in ("binaryData: {a.yaml: /w==}", "data: {a.yaml: x}"):
        found = manifests.read("x.yaml", f"{HEAD}{data}\n".replace('"true"', '"no"'))
        assert found.texts == ()
        assert "no label" in found.notes[0]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "a: " * 3 + "{" * 5000,
        "apiVersion: v1\nkind: ConfigMap\ndata: " + "[" * 5000,
        "&a [*a, *a]\n",
        "\x00",
        "kind: [\napiVersion: }",
        "%YAML 9.9\n---\nx",
        "? {a: b}\n: c\n",
    ],
)
def test_a_broken_or_hostile_file_is_a_finding_and_nothing_worse(text: str, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    seen = screen()
    assert main(["validate", str(file)], screen=seen, called="tidb-volume") == Exit.ERROR


def test_a_file_that_is_no_text_is_a_finding(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    seen = screen()
    assert main(["validate", str(file)], screen=seen, called="tidb-volume") == Exit.ERROR
    assert "TV002" in seen.out.getvalue()  # type: ignore[attr-defined]


def test_a_hostile_disk_name_prints_on_its_line(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(f"nodes: {{n1: [{json.dumps('/' + HOSTILE)}]}}\n")
    seen = screen()
    main(["validate", str(file)], screen=seen, called="tidb-volume")
    out = seen.out.getvalue()  # type: ignore[attr-defined]
    assert all(line.isprintable() for line in out.splitlines())
    assert not any(line.startswith("fleet paused") for line in out.splitlines())


WARNS = f'never: ["/data/b"]\n{GOOD}'


@pytest.mark.parametrize(
    ("text", "words", "code"),
    [
        (GOOD, [], Exit.OK),
        (BAD, [], Exit.ERROR),
        (WARNS, [], Exit.OK),
        (WARNS, ["--fail-on", "warning"], Exit.ERROR),
        (GOOD, ["--fail-on", "warning"], Exit.OK),
        (GOOD, ["--fail-on", "nothing"], Exit.USAGE),
        (f"kind: Secret\napiVersion: v1\n{LABELLED}", [], Exit.ERROR),
    ],
)
def test_the_exit_code_is_a_ci_jobs(text: str, words: list[str], code: Exit, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    assert main(["validate", str(file), *words], screen=screen(), called="tidb-volume") == code


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    assert main(["validate", str(tmp_path / "no.yaml")], screen=screen(), called="x") == Exit.NOT_FOUND


def test_the_report_is_json_for_machines(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(BAD)
    seen = screen()
    main(["validate", "-o", "json", str(file)], screen=seen, called="tidb-volume")
    (finding,) = json.loads(seen.out.getvalue())["findings"]  # type: ignore[attr-defined]
    assert (finding["path"], finding["line"], finding["code"], finding["severity"]) == (
        str(file),
        4,
        "TV015",
        "error",
    )
    assert "way" in "".join(finding)
    assert seen.err.getvalue() == "1 file, 0 disks: 1 error, 0 warnings\n"  # type: ignore[attr-defined]
