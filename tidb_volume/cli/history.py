"""`history`: what happened to disks, by time: offers, bindings, releases, wipes, refusals.

Four records are told together: the last lines that each volume keeps of its own life, those of volumes that
are no more, which their node's object keeps, the Events of the last hour, which hold the refusals and waits
too, and where they are at hand the files that nodes keep of their wipes and the controller's log with its
decisions (docs/audit.md).
"""

from __future__ import annotations

import argparse
from collections.abc import Container, Iterable, Sequence

from tidb_volume.audit import AuditLine
from tidb_volume.cli import records, speak, touch
from tidb_volume.cli.exits import CliError, Exit
from tidb_volume.cli.reader import Reader
from tidb_volume.cli.render import Line, Piece, Screen, cut, line, span, table
from tidb_volume.inventory import braces
from tidb_volume.kube import codec
from tidb_volume.life import show
from tidb_volume.units import Instant, parse_duration
from tidb_volume.value import Value, Volume

EPILOG = (
    touch.TARGETS
    + """
Without a volume: of all. A volume keeps its last ten lines; the API server keeps Events for an hour; a node
keeps every wipe in /var/lib/tidb-volume/audit.jsonl, also of disks whose volume is gone. With -n: what a
namespace's claims did, what was done with their data, and what was said of a disk while it was theirs.

examples:
  {prog} history node-7/nvme0
  {prog} history --since 24h -n tidb-prod
  {prog} history --record node-7.jsonl --disk S5XBNG0R --no-cluster
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
    parser.add_argument(
        "-n", "--namespace", default="", metavar="NAMESPACE", help="only what is about its claims"
    )
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
    parser.add_argument("--no-cluster", action="store_true", help="only what the files of --record say")


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Print the history, the oldest first."""
    since = Instant(0.0)
    if options.since:
        try:
            since = Instant(touch.now() - parse_duration(options.since))
        except ValueError as error:
            raise CliError(f"--since {options.since}: {error}", code=Exit.USAGE) from error
    lines = [line for name in options.record for line in records.lines_of(name, screen)]
    asked = _Asked(options)
    lacks: list[str] = []
    volumes: Sequence[Volume] = ()
    events: Sequence[codec.Event] = ()
    if not options.no_cluster:
        api = touch.reader(options)
        if not options.no_events:
            events = api.optional(lambda: api.events("involvedObject.kind=TidbVolume"), ())
        closed = api.optional(api.closed, ())
        lines = list(dict.fromkeys([*lines, *closed]))
        volumes = asked.volumes(api, lines, events)
        # One whose end was tried in vain is there, and tells of itself.
        there = {volume.metadata.uid for volume in volumes}
        lines = [each for each in lines if each not in closed or each.uid not in there]
        lacks = api.lacks
    elif options.selector or options.pool:
        raise CliError("only a cluster knows labels and pools", "leave out --no-cluster", Exit.USAGE)
    names = {volume.metadata.name for volume in volumes}
    lines = [line for line in lines if asked.means(line, names)]
    events = [event for event in events if asked.is_about(event.involved_object.name, names)]
    found = tell(volumes, events, since, options.namespace, lines)
    if options.output in ("json", "yaml"):
        screen.document(found, options.output)
    elif options.output == "name":
        screen.show(line(f"{touch.KIND}/{name}") for name in _named(found))
    else:
        screen.show(_lines(found, all_of_it=options.output == "wide"))
        if not found:
            screen.say("nothing happened yet")
    for lack in lacks:
        screen.warn(f"not shown: {lack}")
    return Exit.OK


class _Asked:
    """Which disks are meant. What only the records know, since its volume is gone, is meant by the same words
    as what is there."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._patterns = _spread(options.volumes)
        self._all = not (options.volumes or options.selector or options.node or options.pool)

    def volumes(self, api: Reader, lines: Sequence[AuditLine], events: Sequence[codec.Event]) -> list[Volume]:
        """Those that are there. Raises CliError where a name means none, and no record knows it either."""
        if self._all:
            found = list(api.volumes())
        else:
            one_by_one: dict[str, Volume] = {}
            for name in self._options.volumes or [""]:
                options = {**vars(self._options), "volumes": [name] if name else []}
                try:
                    some = touch.chosen(api, argparse.Namespace(**options))
                except CliError as error:
                    if error.code is not Exit.NOT_FOUND or not self._is_on_record(name, lines, events):
                        raise
                    some = []
                one_by_one |= {volume.metadata.name: volume for volume in some}
            found = list(one_by_one.values())
        fact = self._options.disk
        return [each for each in found if not fact or records.is_of(fact, each.status.identity)]

    def _is_on_record(self, name: str, lines: Sequence[AuditLine], events: Sequence[codec.Event]) -> bool:
        if not name:
            return any(self._options.node == line.node for line in lines)
        patterns = _spread([name])
        named = any(_fits(event.involved_object.name, "", "", patterns) for event in events)
        return named or any(_fits(line.volume, line.node, line.source, patterns) for line in lines)

    def means(self, line: AuditLine, names: Container[str]) -> bool:
        """Whether a line on record is meant. names: the volumes that are there and are meant."""
        options = self._options
        if options.disk and not records.is_of(options.disk, line.identity):
            return False
        if self._all or line.volume in names:
            return True
        if options.selector or options.pool or options.node not in ("", line.node):
            return False
        return not self._patterns or _fits(line.volume, line.node, line.source, self._patterns)

    def is_about(self, name: str, names: Container[str]) -> bool:
        """Whether an Event is meant, by the name of its volume, which may be gone."""
        options = self._options
        if name in names or options.disk or options.selector or options.pool or options.node:
            return name in names
        return self._all or _fits(name, "", "", self._patterns)


def _spread(names: Iterable[str]) -> list[str]:
    """The patterns that these words are. Raises CliError where one is broken."""
    try:
        return [each for name in names for each in braces.spread(touch.without_prefix(name))]
    except ValueError as error:
        raise CliError(str(error), code=Exit.USAGE) from error


def _fits(name: str, node_name: str, source: str, patterns: Iterable[str]) -> bool:
    return any(touch.fits(name, node_name, source, each) for each in patterns)


_DECIDED = {
    "deleted": "PersistentVolume deleted",
    "given": "data given",
    "unclaimed": "claim deleted",
    "stopped": show.CALLED_OFF,
    "accepted": "disk accepted",
    "refused": "answer refused",
    "tripped": "breaker open",
    "reset": "breaker reset",
    "listed": "inventory in force",
}
"""What is no order's deed, in words; what is missing is said as it is."""


_GONE = {"refused": "bytes are gone", "failed": "bytes are gone", "cut": "bytes may be gone"}


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
        _GONE.get(line.what, "") if line.bytes_gone else "",
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
    """The history of these volumes, with these Events and lines on record, the oldest first; pure.

    namespace: only what is about its claims.
    """
    lines = list(lines)
    found = [_of_record(line) for line in lines]
    # One moment, told by the controller's log too, which knows more of it.
    told = {(each.at, each.volume, each.what) for each in found}
    kept = [(volume.metadata.name, volume.status.history) for volume in volumes]
    kept += [(line.volume, line.history) for line in lines if line.history]
    for name, history in kept:
        for record in history:
            if (record.at, name, record.what) in told:
                continue
            found.append(
                Happened(
                    at=record.at,
                    volume=name,
                    what=record.what,
                    who=record.who,
                    tenancy=record.tenancy,
                    note=record.note,
                )
            )
    for event in events:
        times = f" ({event.count} times)" if event.count > 1 else ""
        found.append(
            Happened(
                at=event.last_timestamp or event.first_timestamp or event.metadata.creation_timestamp or "",
                volume=event.involved_object.name,
                what=event.reason,
                note=event.message + times,
                event=True,
            )
        )
    found.sort(key=lambda each: (_moment(each), each.volume))
    if namespace:
        found = _of_namespace(found, namespace)
    return [each for each in found if (speak.when(each.at) or Instant(0.0)) >= since]


def _moment(of: Happened) -> float:
    """When, for the order. An Event says the second alone, and tells of something in it."""
    return (speak.when(of.at) or 0.0) + (0.999 if of.event else 0.0)


def _of_namespace(found: Sequence[Happened], namespace: str) -> list[Happened]:
    """What is about a namespace's claims: what names one of them or a tenancy of theirs, and what names
    nobody (an Event, another disk in the place of theirs) while the disk was theirs. found: by time."""
    claims = f"{namespace}/"
    theirs = {each.tenancy for each in found if each.tenancy and each.who.startswith(claims)}
    has: dict[str, bool] = {}
    kept = []
    for each in found:
        if each.who or each.tenancy:
            has[each.volume] = each.who.startswith(claims) if each.who else each.tenancy in theirs
        if has.get(each.volume, False):
            kept.append(each)
        if each.what in _ENDS:
            has[each.volume] = False
    return kept


_ENDS = ("wiped", "wipe done")
"""What is said of the disk after it is about nobody's data."""


def _named(found: Sequence[Happened]) -> list[str]:
    """The volumes that it is about, each once; what is about the whole fleet has none."""
    return list(dict.fromkeys(each.volume for each in found if each.volume))


def _lines(found: Sequence[Happened], *, all_of_it: bool) -> list[Line]:
    head = ["TIME", "VOLUME", "WHAT", "WHO", "TENANCY", "NOTE"]
    rows: list[list[Piece]] = [
        [
            speak.clock(each.at),
            each.volume or "-",
            span(each.what, "dim" if each.event else "bold"),
            each.who or "-",
            each.tenancy or "-",
            each.note if all_of_it else cut(each.note, 100),
        ]
        for each in found
    ]
    return table(head, rows)
