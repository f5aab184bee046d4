"""`doctor`: what is wrong with the installation, or will be."""

from __future__ import annotations

import argparse
from typing import TypeVar

from tidb_volume import doctor, names
from tidb_volume.cli import touch
from tidb_volume.cli.exits import Exit
from tidb_volume.cli.reader import Reader
from tidb_volume.cli.render import Screen, line, span
from tidb_volume.doctor import Installation
from tidb_volume.kube import kinds
from tidb_volume.kube.kinds import Kind
from tidb_volume.value import Value

T = TypeVar("T")
EPILOG = """\
It reads, and changes nothing. What it may not read is named, and not taken for healthy.

exit codes: 0 nothing is wrong; 1 something is, or could not be read; 6 the API server cannot be reached

examples:
  {prog} doctor
  {prog} doctor -o json
"""


class Report(Value):
    """For `-o json` and `-o yaml`."""

    findings: tuple[doctor.Finding, ...]


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb has no options of its own."""


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Print every finding."""
    found = doctor.examine(_read(touch.reader(options)))
    if options.output in ("json", "yaml"):
        screen.document(Report(findings=found), options.output)
    elif options.output == "name":
        screen.show(line(code) for code in dict.fromkeys(each.code for each in found))
    else:
        for each in found:
            style = "red" if each.severity == "error" else "yellow"
            screen.show([line(span(f"{each.severity}: ", style), f"{each.code}: {each.what}")])
            screen.show([line("       ", each.way_out)])
        if not found:
            screen.say("nothing is wrong by what was looked at")
    return Exit.OK if all(each.severity == "warning" for each in found) else Exit.ERROR


def _read(api: Reader) -> Installation:
    leases = api.optional(lambda: (api.api.find(kinds.LEASE, names.LEASE, api.namespace),), ())
    renewed = next((each.spec.renew_time or "" if each is not None else "" for each in leases), None)
    return Installation(
        now=touch.now(),
        namespace=api.namespace,
        fleet=api.fleet(),
        volumes=api.volumes(),
        pvs=api.optional(api.pvs, None),
        policies=_all(api, kinds.ADMISSION_POLICY),
        bindings=_all(api, kinds.ADMISSION_BINDING),
        classes=_all(api, kinds.STORAGE_CLASS),
        daemons=api.optional(
            lambda: api.api.list(kinds.DAEMON_POD, labels=f"{names.LABEL_APP}={names.DAEMON}")[0], None
        ),
        nodes=_all(api, kinds.TIDB_VOLUME_NODE),
        renewed=renewed,
    )


def _all(api: Reader, kind: Kind[T]) -> tuple[T, ...] | None:
    return api.optional(lambda: api.api.list(kind)[0], None)
