"""`history`: what happened to disks, by time: offers, bindings, releases, wipes, refusals.

Three records are told together: the last lines that each volume keeps of its own life, the Events of the
last hour, which hold the refusals and waits too, and where they are at hand the files that nodes keep of
their wipes and the controller's log with its decisions (docs/audit.md), which know disks too whose volume is
long gone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from tidb_volume.audit import AuditLine
from tidb_volume.cli import records, speak, touch
from tidb_volume.cli.exits import CliError, Exit
from tidb_volume.cli.render import Line, Piece, Screen, cut, line, span, table
from tidb_volume.kube import codec
from tidb_volume.units import Instant, parse_duration
from tidb_volume.value import Value, Volume

EPILOG = (
    touch.TARGETS
    + """
Without a volume: of all. A volume keeps its last ten lines; the API server keeps Events for an hour; a node
keeps every wipe in /var/lib/tidb-volume/audit.jsonl, also of disks whose volume is gone.

examples:
  {prog} history node-7/nvme0
  {prog} history --since 24h -n tidb-prod
  {prog} history --record node-7.jsonl --disk S5XBNG0R
"""
)
KIND = "tidbvolumes"


class Happened(Value):
    """One line of the history."""

    at: str
    volume: str
    what: str
    who: str = ""
    tenancy: str = ""
    note: str = ""
    event: bool = False


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's own options."""
    touch.configure(parser)
    parser.add_argument("--since", default="", metavar="DURATION", help="only what is younger, such as 24h")
    parser.add_argument("-n", "--namespace", default="", metavar="NAMESPACE", help="only what its claims did")
    parser.add_argument(
        "--disk", default="", metavar="FACT", help="only the disk with this serial, WWN or EUI"
    )
    parser.add_argument(
        "--record",
        action="append",
        default=[],
        metavar="FILE",
        help="a node's audit.jsonl, or the controller's log; may be repeated",
    )
    parser.add_argument("--no-events", action="store_true", help="only what the volumes themselves keep")


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Print the history, the oldest first."""
    since = Instant(0.0)
    if options.since:
        try:
            since = Instant(touch.now() - parse_duration(options.since))
        except ValueError as error:
            raise CliError(f"--since {options.since}: {error}", code=Exit.USAGE) from error
    api = touch.reader(options)
    every = not (options.volumes or options.selector or options.node or options.pool)
    volumes = api.volumes() if every else touch.chosen(api, options)
    events: Sequence[codec.Event] = ()
    if not options.no_events:
        events = api.optional(lambda: api.events("involvedObject.kind=TidbVolume"), ())
    lines = [line for name in options.record for line in records.lines_of(name, screen)]
    if options.disk:
        volumes = [volume for volume in volumes if records.is_of(options.disk, volume.status.identity)]
        lines = [line for line in lines if records.is_of(options.disk, line.identity)]
    elif not every:
        names = {volume.metadata.name for volume in volumes}
        lines = [line for line in lines if line.volume in names]
    found = tell(volumes, events, since, options.namespace, lines)
    if options.output in ("json", "yaml"):
        screen.document(found, options.output)
    elif options.output == "name":
        screen.show(line(f"{touch.KIND}/{name}") for name in dict.fromkeys(each.volume for each in found))
    else:
        screen.show(_lines(found, all_of_it=options.output == "wide"))
        if not found:
            screen.say("nothing happened yet")
    for lack in api.lacks:
        screen.warn(f"not shown: {lack}")
    return Exit.OK


_DECIDED = {
    "deleted": "PersistentVolume deleted",
    "given": "data given",
    "accepted": "disk accepted",
    "refused": "answer refused",
}
"""What is no order's deed, in words; what is missing is said as it is."""


def _of_record(line: AuditLine) -> Happened:
    """A line of a node's record, or of the controller's, as one of the history."""
    wipes = line.kind == "reclaim" or line.answer
    if line.leader and line.what not in ("ordered", "recalled", "committed"):
        what = _DECIDED.get(line.what, line.what)
    elif line.leader:
        what = f"{'wipe' if wipes else 'preparation'} {line.what}"
    else:
        what = f"{'wipe' if wipes else 'made ready'} {line.what}"
    parts = [
        "bytes are gone" if line.what in ("refused", "failed") and line.bytes_gone else "",
        line.pv_name if line.what in ("deleted", "offered", "given") else "",
        line.asked,
        line.method,
        f"{line.reason}: {line.message}" if line.reason else line.message,
        f"order {line.order}" if line.order else "",
    ]
    return Happened(
        at=line.at,
        volume=line.volume,
        what=what,
        who=str(line.claim) if line.claim is not None else "",
        tenancy=line.tenancy or (line.next if line.what == "offered" else ""),
        note=", ".join(part for part in parts if part),
    )


def tell(
    volumes: Iterable[Volume],
    events: Iterable[codec.Event],
    since: Instant,
    namespace: str = "",
    lines: Iterable[AuditLine] = (),
) -> list[Happened]:
    """The history of these volumes, and what nodes have on record, the oldest first; pure."""
    found = [_of_record(line) for line in lines]
    names = set()
    for volume in volumes:
        names.add(volume.metadata.name)
        for record in volume.status.history:
            found.append(
                Happened(
                    at=record.at,
                    volume=volume.metadata.name,
                    what=record.what,
                    who=record.who,
                    tenancy=record.tenancy,
                    note=record.note,
                )
            )
    for event in events:
        if event.involved_object.name in names:
            at = event.last_timestamp or event.first_timestamp or event.metadata.creation_timestamp or ""
            times = f" ({event.count} times)" if event.count > 1 else ""
            found.append(
                Happened(
                    at=at,
                    volume=event.involved_object.name,
                    what=event.reason,
                    note=event.message + times,
                    event=True,
                )
            )
    kept = [
        each
        for each in found
        if (speak.when(each.at) or Instant(0.0)) >= since
        and (not namespace or each.who.startswith(f"{namespace}/"))
    ]
    return sorted(kept, key=lambda each: (speak.when(each.at) or Instant(0.0), each.volume))


def _lines(found: Sequence[Happened], *, all_of_it: bool) -> list[Line]:
    head = ["TIME", "VOLUME", "WHAT", "WHO", "TENANCY", "NOTE"]
    rows: list[list[Piece]] = [
        [
            speak.clock(each.at),
            each.volume,
            span(each.what, "dim" if each.event else "bold"),
            each.who or "-",
            each.tenancy or "-",
            each.note if all_of_it else cut(each.note, 100),
        ]
        for each in found
    ]
    return table(head, rows)
