"""`certificate`: what may be certified of the wipes that nodes have on record.

Disks that were forgotten as they were stand on the nodes' objects in the cluster, so that no file has to be
at hand for a NOT WIPED to be told. What the cluster knows of other machines and disks than the files do is
left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tidb_volume import certificate
from tidb_volume.audit import AuditLine
from tidb_volume.certificate import Certificate
from tidb_volume.cli import certificate_page, records, touch
from tidb_volume.cli.exits import CliError, Exit
from tidb_volume.cli.render import Line, Screen, line, span
from tidb_volume.identity import unique_facts

EPILOG = """\
A FILE is a node's /var/lib/tidb-volume/audit.jsonl, or the controller's log. A wipe is certified once its end
is on record; one that began and has none is named, and so is a disk that was forgotten as it was, which the
cluster knows too; then the exit code is 1. What a certificate does not say stands on it.

exit codes: 0 all that is asked for is certified; 1 something is not; 2 wrong usage; 3 none there

examples:
  {prog} certificate node-7.jsonl
  {prog} certificate --disk S5XBNG0R        whether the cluster knows that it was left NOT WIPED
  {prog} certificate node-7.jsonl --disk S5XBNG0R --html > S5XBNG0R.html
  {prog} certificate *.jsonl --claim tidb/tikv-0 -o json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's own options."""
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="a node's audit.jsonl, or the controller's log"
    )
    parser.add_argument(
        "--disk", default="", metavar="FACT", help="only the disk with this serial, WWN or EUI"
    )
    parser.add_argument(
        "--claim", default="", metavar="NAMESPACE/NAME", help="only what ended this claim's data"
    )
    parser.add_argument("--tenancy", default="", metavar="ID", help="only the end of this tenancy")
    parser.add_argument("--no-cluster", action="store_true", help="only what the files say")
    parser.add_argument("--html", action="store_true", help="a page to print, instead of -o")


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Print the certificates, the oldest first."""
    record = [each for name in options.files for each in records.lines_of(name, screen)]
    if not options.no_cluster:
        closed = touch.reader(options).closed()
        record += [each for each in closed if not options.files or _concerns(each, record)]
    elif not options.files:
        raise CliError("nothing to read", "name a FILE, or leave out --no-cluster", Exit.USAGE)
    found = certificate.certify(each for each in record if _is_asked(each, options))
    if options.html:
        screen.out.write(certificate_page.page(found))
        screen.out.flush()
    elif options.output in ("json", "yaml"):
        screen.document(found.done, options.output)
    elif options.output == "name":
        screen.show(line(each.order) for each in found.done)
    else:
        for each in found.done:
            screen.show(_shown(each))
    for left in found.missing:
        screen.warn(left)
    if found.missing:
        return Exit.ERROR
    if not found.done:
        screen.warn("no wipe of that is on record there")
        return Exit.NOT_FOUND
    return Exit.OK


def _concerns(closed: AuditLine, record: Sequence[AuditLine]) -> bool:
    """Whether a volume that is no more was on one of these machines, or its disk is one of these."""
    facts = set(unique_facts(closed.identity)) if closed.identity is not None else set()
    return any(
        closed.node == each.node or (each.identity is not None and facts & set(unique_facts(each.identity)))
        for each in record
    )


def _is_asked(of: AuditLine, options: argparse.Namespace) -> bool:
    return (
        (not options.disk or records.is_of(options.disk, of.identity))
        and (not options.claim or (of.claim is not None and str(of.claim) == options.claim))
        and (not options.tenancy or of.tenancy == options.tenancy)
    )


def _shown(of: Certificate) -> list[Line]:
    rows = [line(f"{name + ':':<14}", text) for name, text in certificate_page.rows(of)]
    return [line(span(f"Wipe of {certificate_page.disk(of.disk)}", "bold")), *rows, line()]
