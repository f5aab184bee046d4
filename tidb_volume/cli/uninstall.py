"""`uninstall`: what remains when tidb-volume is taken away, and what has to be done for that; it does nothing
itself but write files for the nodes where it is told to."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tidb_volume import boot, names, uninstall
from tidb_volume.cli import speak, touch
from tidb_volume.cli.exits import CliError, Exit, refused
from tidb_volume.cli.reader import Reader
from tidb_volume.cli.render import Line, Screen, blank, heading, line, span, table
from tidb_volume.kube import kinds
from tidb_volume.uninstall import FORGOTTEN, Disk, Fate, Installation, OnNode, Remains

EPILOG = """\
It changes nothing in the cluster. Pods run on and data stays. What a node misses after a boot without the
disk-daemon (mounts of devices with a file system, names of raw devices) is printed as mount units and rules
for udev, or written to a folder for each node. Records and CRDs go by a second step, which --records tells.

exit codes: 0 every disk comes back after a boot; 1 one does not, and why stands there; 4 a file of FOLDER
differs, or for --records: something would be missed; 6 the API server cannot be reached

examples:
  {prog} uninstall
  {prog} uninstall --units for-the-nodes
  {prog} uninstall --records
"""
UNITS = "/etc/systemd/system"
RULES = "/etc/udev/rules.d"
BACK = {
    "own": "your own mount",
    "unit": "mount unit",
    "rule": "udev rule",
    "missing": "DOES NOT COME BACK",
    "none": "-",
}
_LEFT: tuple[Fate, ...] = ("wiping", "failed", "waits", "released", "free")
_SHOWN = 10


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's own options."""
    parser.add_argument(
        "--units", default="", metavar="FOLDER", help="write the files there, a folder for each node"
    )
    parser.add_argument(
        "--records", action="store_true", help="the second step too: how records and CRDs are deleted"
    )


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Print what remains and what is to be done; write files where that is asked for."""
    api = touch.reader(options)
    remains = uninstall.what(_read(api))
    if options.units:
        _write(Path(options.units), remains, screen)
    if options.output in ("json", "yaml"):
        screen.document(remains, options.output)
    elif options.output == "name":
        screen.show(line(f"{node.node}/{file.name}") for node in remains.nodes for file in node.files)
    else:
        for node in remains.nodes:
            screen.show(_node(node, files=not options.units))
        screen.show(_steps(remains, options.units, records=options.records))
    for lack in api.lacks:
        screen.warn(f"not read: {lack}")
    if options.records and remains.records.blocked:
        return Exit.REFUSED
    return Exit.ERROR if remains.strangers or any(_missing(remains)) else Exit.OK


def _read(api: Reader) -> Installation:
    leases = api.optional(lambda: (api.api.find(kinds.LEASE, names.LEASE, api.namespace),), ())
    return Installation(
        now=touch.now(),
        namespace=api.namespace,
        volumes=api.volumes(),
        pvs=api.api.list(kinds.PV)[0],
        nodes=api.optional(lambda: api.api.list(kinds.TIDB_VOLUME_NODE)[0], None),
        daemons=api.optional(
            lambda: api.api.list(kinds.DAEMON_POD, labels=f"{names.LABEL_APP}={names.DAEMON}")[0], None
        ),
        renewed=next((each.spec.renew_time or "" if each is not None else "" for each in leases), None),
    )


def _missing(remains: Remains) -> Iterator[Disk]:
    return (disk for node in remains.nodes for disk in node.disks if disk.back == "missing")


# --- files ----------------------------------------------------------------------------------------------


def _write(folder: Path, remains: Remains, screen: Screen) -> None:
    """Write what is not there yet; nothing at all where one is there and differs. Raises CliError."""
    wanted: dict[Path, str] = {}
    for node in remains.nodes:
        if node.files and not boot.is_folder(node.node):
            raise refused(f"{node.node} can be no folder's name", "print its files: leave out --units")
        wanted |= {folder / node.node / file.name: file.text for file in node.files}
    try:
        there = {path: path.read_text() for path in wanted if path.exists() or path.is_symlink()}
        differs = [str(path) for path in there if there[path] != wanted[path]]
        if differs:
            more = f", and {len(differs) - 1} more" if len(differs) > 1 else ""
            raise refused(
                f"{differs[0]}{more} is there and differs; nothing was written", "name another folder"
            )
        for path, text in wanted.items():
            if path not in there:
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("x") as file:
                    file.write(text)
        old = [path for path in _ours_in(folder, remains) if path not in wanted]
    except (OSError, ValueError) as error:
        raise CliError(f"{folder}: {error}") from error
    screen.say(f"{len(wanted) - len(there)} files written to {folder}, {len(there)} were there already")
    for path in old:
        screen.warn(f"{path} is from before, and of no disk that is to come back now")


def _ours_in(folder: Path, remains: Remains) -> Iterator[Path]:
    for node in remains.nodes:
        if boot.is_folder(node.node):
            with suppress(FileNotFoundError):
                yield from sorted(
                    path
                    for path in (folder / node.node).iterdir()
                    if path.suffix == boot.MOUNT or path.name == boot.RULES_FILE
                )


# --- words ----------------------------------------------------------------------------------------------


def _node(node: OnNode, *, files: bool) -> list[Line]:
    shown = [disk for disk in node.disks if disk.fate != "nothing"]
    lines = [heading(f"Node {node.node}")]
    if not shown:
        return [*lines, line("  nothing of ours is in use there"), blank()]
    rows = [(disk.volume, disk.source, disk.state, disk.claim or "-", BACK[disk.back]) for disk in shown]
    lines += table(["VOLUME", "DISK", "STATE", "CLAIM", "AFTER A BOOT"], rows, indent=2)
    for disk in shown:
        if disk.back == "missing":
            lines.append(line("  ", span("error: ", "red"), f"{disk.volume}: {disk.problem}"))
            lines.append(line("         ", disk.way_out))
        elif disk.doubt:
            lines.append(line("  ", span("warning: ", "yellow"), f"{disk.volume}: {disk.doubt}"))
    if files:
        for file in node.files:
            lines += [blank(), line(span(f"  # {_home(file.name)}/{file.name}", "dim"))]
            lines += [line("  ", each) for each in file.text.splitlines()]
    return [*lines, blank()]


def _home(file: str) -> str:
    return RULES if file == boot.RULES_FILE else UNITS


def _steps(remains: Remains, folder: str, *, records: bool) -> list[Line]:
    disks = [disk for node in remains.nodes for disk in node.disks]
    many = sum(len(node.files) for node in remains.nodes)
    lines = []
    for name in remains.strangers:
        what = (
            f"PersistentVolume {name} is of a disk without a TidbVolume: whether it comes back is not known"
        )
        lines += [line(span("error: ", "red"), what), line("       list the disk again first")]
    lines.append(heading("First, on the nodes"))
    if many:
        lines.append(line(f"  {many} files, on each node as root, in the folder that has its own:"))
        if not folder:
            lines.append(line("  (--units FOLDER writes them, a folder for each node)"))
        if any(disk.back == "unit" for disk in disks):
            lines.append(line(f"    cp -i -- *{boot.MOUNT} {UNITS}/ && systemctl daemon-reload"))
            lines.append(line(f"    systemctl enable -- *{boot.MOUNT}"))
        if any(disk.back == "rule" for disk in disks):
            lines.append(line(f"    cp -i -- {boot.RULES_FILE} {RULES}/ && udevadm control --reload"))
    elif not any(disk.back == "missing" for disk in disks):
        lines.append(line("  nothing: no disk needs anything of ours after a boot"))
    alone = sum(disk.back == "missing" for disk in disks)
    if alone:
        said = f"{alone} disks come back by none of this: what to do about each stands with it, above"
        lines.append(line("  ", span("error: ", "red"), said))
    lines.append(
        line(
            "  Leave /var/lib/tidb-volume there: disks are mounted below it, and it has the record of wipes."
        )
    )
    lines += [blank(), heading("Step one: the programs")]
    for fate in _LEFT:
        found = [disk.volume for disk in disks if disk.fate == fate]
        if found:
            lines.append(line("  ", span("note: ", "yellow"), f"{len(found)} {fate}: {FORGOTTEN[fate]}"))
            lines.append(line("        ", _listed(found)))
    free = [disk.volume for disk in disks if disk.fate == "free"]
    if free:
        lines.append(
            line("  To take those off offer before, and wait until their PersistentVolumes are gone:")
        )
        lines.append(line(f"    {speak.PLUGIN} cordon {' '.join(map(speak.quoted, free))}"))
        lines.append(line("  Then:"))
    lines += [line("    ", each) for each in remains.programs]
    lines.append(line("  Pods run on; records, CRDs, PersistentVolumes, StorageClasses and data stay."))
    lines += [blank(), heading("Step two: records and CRDs")]
    return lines + (
        _records(remains) if records else [line(f"  not needed; {speak.PLUGIN} uninstall --records tells it")]
    )


def _records(remains: Remains) -> list[Line]:
    told = remains.records
    lines = [line("  What nobody knows any more afterwards:")]
    lines += [line("  - ", each) for each in told.lost]
    if told.blocked:
        lines.append(line("  ", span("Not yet", "red"), ", and so not told here:"))
        lines += [line("  - ", each) for each in told.blocked[:_SHOWN]]
        left = len(told.blocked) - _SHOWN
        return lines + ([line(f"  and {left} more")] if left > 0 else [])
    return [*lines, *(line("    ", each) for each in told.commands)]


def _listed(found: Sequence[str]) -> str:
    left = len(found) - _SHOWN
    return ", ".join(found[:_SHOWN]) + (f" and {left} more: -o json names all" if left > 0 else "")
