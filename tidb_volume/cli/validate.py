"""`validate`: what the controller would say of an inventory, before it is applied; without a cluster."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence

from tidb_volume.cli import manifests
from tidb_volume.cli.exits import CliError, Exit
from tidb_volume.cli.manifests import Found, Place, Text
from tidb_volume.cli.render import Line, Screen, clean, line, span
from tidb_volume.inventory import codes, merge
from tidb_volume.inventory.codes import Problem, Severity
from tidb_volume.inventory.marks import Mark
from tidb_volume.value import Value

EPILOG = """\
A FILE is a bare inventory, or manifests with ConfigMaps (several documents, Lists); - is standard input. All
files are judged together, as the controller judges all inventory ConfigMaps of its namespace: give it all of
them, or it cannot see pools that another one defines. One that names another namespace is no inventory. What
depends on the nodes that exist is not looked at.

exit codes: 0 nothing found; 1 something at or above --fail-on; 2 wrong usage; 3 a file is not there

examples:
  {prog} validate configmaps/*.yaml
  kubectl kustomize . | {prog} validate -
  {prog} validate --fail-on warning -o json inventory.yaml
"""
STDIN = "stdin.yaml"


class Finding(Value):
    """One message, at its place in the person's own file."""

    path: str
    line: int
    column: int
    code: str
    severity: Severity
    what: str
    way_out: str


class Report(Value):
    """All of them."""

    findings: tuple[Finding, ...]
    files: int
    disks: int
    """Those of files without an error; a group's count once, whatever the number of its nodes."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's own options."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="an inventory, or manifests; - is standard input"
    )
    parser.add_argument(
        "--fail-on",
        default="error",
        choices=["error", "warning"],
        metavar="SEVERITY",
        help="what makes the exit code 1: error (default) or warning",
    )


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Print every finding."""
    paths, namespace = dict.fromkeys(options.files), options.controller_namespace
    found = {path: _found(path, _content(path), namespace) for path in paths}
    for each in found.values():
        for note in each[0].notes:
            screen.warn(note)
    report = judge([each for each, _ in found.values()], [one for _, some in found.values() for one in some])
    if options.output in ("json", "yaml"):
        screen.document(report, options.output)
    elif options.output == "name":
        screen.show(line(code) for code in dict.fromkeys(each.code for each in report.findings))
    else:
        for finding in report.findings:
            screen.show(_lines(finding))
    errors = sum(each.severity is Severity.ERROR for each in report.findings)
    warnings = len(report.findings) - errors
    if not report.files:
        raise CliError(
            "no inventory in these files",
            'a ConfigMap of the inventory has the label tidbvolume.io/inventory: "true"',
        )
    screen.say(
        f"{_count(report.files, 'file')}, {_count(report.disks, 'disk')}: ",
        f"{_count(errors, 'error')}, {_count(warnings, 'warning')}",
    )
    failing = errors + (warnings if options.fail_on == "warning" else 0)
    return Exit.ERROR if failing else Exit.OK


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _content(path: str) -> bytes:
    try:
        if path == "-":
            return sys.stdin.buffer.read()
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError as error:
        raise CliError(f"{path}: there is no such file", code=Exit.NOT_FOUND) from error
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}", code=Exit.USAGE) from error


def _found(path: str, content: bytes, namespace: str) -> tuple[Found, list[Finding]]:
    shown = STDIN if path == "-" else path
    try:
        return manifests.read(shown, content.decode("utf-8"), namespace), []
    except UnicodeDecodeError as error:
        problem = codes.NOT_TEXT.at(Mark(file=shown, line=1, column=1), problem=str(error))
        return Found(), [_finding(problem, Place(shown, 1, 1), {})]
    except manifests.Broken as broken:
        problem = codes.SYNTAX.at(Mark(file=shown), problem=broken.words)
        return Found(), [_finding(problem, broken.place, {})]


def judge(found: Sequence[Found], already: Sequence[Finding] = ()) -> Report:
    """Judge inventories together, as the controller would with none of them in force; pure."""
    findings, texts = list(already), _one_of_each(found)
    findings += _twice(found)
    seen: dict[str, dict[str, str]] = {}
    binary: dict[str, list[str]] = {}
    for (config_map, file), text in texts.items():
        files = seen.setdefault(config_map, {})
        if text.binary:
            binary.setdefault(config_map, []).append(file)
        else:
            files[file] = text.text
    decision = merge.decide({}, seen, binary)
    for problems in (*decision.refused.values(), *decision.warnings.values()):
        for problem in problems:
            findings.append(_finding(problem, _place(problem.mark, texts), texts))
    findings.sort(key=lambda each: (each.path, each.line, each.column, each.code, each.what))
    disks = sum(len(accepted.content.listed) for accepted in decision.in_force.values())
    broken = {each.path for each in already}
    count = sum(len(each.texts) for each in found) + len(broken)
    return Report(findings=tuple(findings), files=count, disks=disks)


Texts = Mapping[tuple[str, str], Text]


def _first(found: Sequence[Found]) -> dict[str, Place | None]:
    """By the name of each ConfigMap where it stands first."""
    first: dict[str, Place | None] = {}
    for text in (text for each in found for text in each.texts):
        first.setdefault(text.config_map, text.manifest)
    return first


def _one_of_each(found: Sequence[Found]) -> Texts:
    """By ConfigMap and file: the texts, of two ConfigMaps of one name those of the first alone."""
    first = _first(found)
    texts = (text for each in found for text in each.texts)
    return {(text.config_map, text.file): text for text in texts if text.manifest == first[text.config_map]}


def _twice(found: Sequence[Found]) -> Iterator[Finding]:
    """That only one of two ConfigMaps of one name will be there."""
    first = _first(found)
    told = {text.manifest: text.config_map for each in found for text in each.texts}
    for place, name in told.items():
        if place is not None and place != first[name]:
            problem = codes.SAME_CONFIG_MAP.at(Mark(config_map=name), name=name, first=str(first[name]))
            yield _finding(problem, place, {})


def _place(mark: Mark, texts: Texts) -> Place:
    """The place in the person's file; what is said of a whole ConfigMap stands at its first file's begin."""
    text = texts.get((mark.config_map, mark.file))
    if text is not None:
        return text.place(mark)
    first = next((each for each in texts.values() if each.config_map == mark.config_map), None)
    return first.place(Mark()) if first is not None else Place(mark.config_map, 1, 1)


def _finding(problem: Problem, place: Place, texts: Texts) -> Finding:
    return Finding(
        path=place.path,
        line=place.line,
        column=place.column,
        code=problem.code,
        severity=problem.severity,
        what=_own_places(problem.what, texts),
        way_out=_own_places(problem.way_out, texts),
    )


def _own_places(words: str, texts: Texts) -> str:
    """Words that name another place, such as `first at storage/tikv.yaml:3:5`, with the file's own line."""
    for (config_map, file), text in texts.items():
        if text.origin is None:
            continue
        inside = re.escape(f"{config_map}/{file}:") + r"(\d+):(\d+)"

        def own(match: re.Match[str], text: Text = text) -> str:
            return str(text.place(Mark(line=int(match[1]), column=int(match[2]))))

        words = re.sub(inside, own, words)
    return words


def _lines(finding: Finding) -> list[Line]:
    style = "red" if finding.severity is Severity.ERROR else "yellow"
    place = f"{finding.path}:{finding.line}:{finding.column}"
    head = f"{clean(place)}  {finding.severity.value} {finding.code}  "
    return [
        line(
            place,
            "  ",
            span(f"{finding.severity.value} {finding.code}", style),
            "  ",
            span(finding.what, "bold"),
        ),
        line(" " * min(len(head), 40), finding.way_out),
    ]
