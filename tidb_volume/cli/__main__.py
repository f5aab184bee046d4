"""`tidb-volume` and `kubectl tidb-volume`: one file a verb, imported only when it is asked for.

The verbs stand in a table here with a line each, so that help costs no import. kubectl runs a plugin as
`kubectl-tidb_volume`; usage then begins with `kubectl tidb-volume`, as the person typed it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from tidb_volume import __version__
from tidb_volume.cli.exits import CliError, Exit
from tidb_volume.cli.render import FORMATS, Screen, clean, span

VERBS = {
    "status": "the fleet on one screen: counts, grid, what waits for you, what is wiped next",
    "explain": "the life of a volume, PV, claim, pod or node as a story, and what happens next",
    "validate": "check inventory files offline, with line and column",
    "doctor": "what is wrong with the installation, or will be",
    "history": "releases, wipes and decisions, by volume and time",
    "certificate": "what may be certified of the wipes that nodes have on record",
    "uninstall": "what remains when tidb-volume is taken away, and what has to be done for that",
    "pause": "stop every wipe of the fleet",
    "resume": "let wipes go on",
    "breaker": "show the circuit breaker, or reset it",
    "hold": "keep the data of a volume for now (--off: let it go)",
    "cordon": "offer a volume no more",
    "uncordon": "offer it again",
    "retire": "take a disk out for good, once nobody has it (--off: use it again)",
    "gate": "put a gate before a volume's wipe (--off: take it away; --passed: open its pool's)",
    "restore": "give the data of a released volume back to who had it",
    "approve": "in manual mode: let the planned wipe of a volume happen",
    "adopt": "say what to do with unknown data: --wipe it, or --keep it for one claim",
    "wipe-now": "end the countdown of a released volume",
    "accept-identity": "the disk that is there now is the right one, or a disk of its own",
    "forget": "end the record of a disk that is gone for good: NOT WIPED",
}
LOOKS = frozenset({"status", "explain", "validate", "doctor", "history", "certificate", "uninstall"})
MUTATING = frozenset(VERBS) - LOOKS
OFFLINE = frozenset({"validate"})

_EXITS = """\
exit codes: 0 done; 1 error, or findings of validate; 2 wrong usage; 3 not found; 4 refused, nothing was
changed; 5 written down, but something else is in its way; 6 the API server cannot be reached
"""


class _Parser(argparse.ArgumentParser):
    """argparse, but an abbreviated option is an error: scripts break when a second one begins like it."""

    def __init__(self, **words: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **words)

    def error(self, message: str) -> Any:
        """One line on what is wrong, one on where to look; exit code 2."""
        self.exit(Exit.USAGE, f"{self.prog}: {clean(message)}\nsee: {self.prog} --help\n")


def program(called: str) -> str:
    """The tool's name as the person typed it."""
    return "kubectl tidb-volume" if os.path.basename(called).startswith("kubectl-") else "tidb-volume"


def main(argv: Sequence[str] | None = None, screen: Screen | None = None, called: str | None = None) -> int:
    """Run one command; returns its exit code (`exits.Exit`)."""
    words = list(sys.argv[1:] if argv is None else argv)
    prog = program(sys.argv[0] if called is None else called)
    screen = screen or Screen()
    try:
        options = parser(prog, words).parse_args(words)
    except SystemExit as end:
        return int(end.code or 0)
    if options.verb is None:
        parser(prog, ()).print_help(screen.out)
        return Exit.OK
    options.prog = screen.prog = prog
    options.opened = []
    try:
        return int(_module(options.verb).run(options, screen))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # the reader of a pipe has seen enough; nothing may be flushed at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except Exception as error:
        failure = error if isinstance(error, CliError) else _failure(error)
        if failure is None:
            raise
        screen.say(span("error: ", "red"), failure.what)
        if failure.way_out:
            screen.say("       ", failure.way_out)
        return failure.code
    finally:
        for connection in options.opened:
            connection.close()


def _failure(error: Exception) -> CliError | None:
    from tidb_volume.cli import failures

    return failures.of(error)


def _module(verb: str) -> Any:
    return importlib.import_module(f"tidb_volume.cli.{verb.replace('-', '_')}")


def parser(prog: str, words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser for this command line; only the verbs that are named in it have their options."""
    top = _Parser(
        prog=prog,
        description="The local disks of a Kubernetes cluster: who has them, and what happens to them.",
        epilog=_EXITS,
    )
    top.add_argument("--version", action="version", version=f"tidb-volume {__version__}")
    _cluster_options(top, suppress=False)
    verbs = top.add_subparsers(dest="verb", metavar="COMMAND", prog=prog)
    for verb, line in VERBS.items():
        if verb not in words:
            verbs.add_parser(verb, help=line, add_help=False)
            continue
        module = _module(verb)
        one = verbs.add_parser(
            verb,
            help=line,
            description=line[0].upper() + line[1:] + ".",
            epilog=module.EPILOG.format(prog=prog),
        )
        module.configure(one)
        _output_options(one, verb)
        _cluster_options(one, suppress=True)
    return top


def _output_options(one: argparse.ArgumentParser, verb: str) -> None:
    one.add_argument("-o", "--output", default="table", choices=FORMATS, metavar="FORMAT", help="%(choices)s")
    if verb in MUTATING:
        one.add_argument("-y", "--yes", action="store_true", help="do not ask")
        one.add_argument(
            "--dry-run",
            nargs="?",
            default="none",
            const="server",
            choices=["none", "client", "server"],
            metavar="client|server",
            help="show what would be done; server (what it means alone): the API server checks it too",
        )


def _cluster_options(one: argparse.ArgumentParser, *, suppress: bool) -> None:
    """The options that name the cluster, before or after the verb. The later one wins."""

    def default(value: Any) -> Any:
        return argparse.SUPPRESS if suppress else value

    group = one.add_argument_group("cluster")
    group.add_argument(
        "--kubeconfig", default=default(""), metavar="FILE", help="else $KUBECONFIG, ~/.kube/config"
    )
    group.add_argument("--context", default=default(""), metavar="NAME", help="of the kubeconfig")
    group.add_argument(
        "--controller-namespace",
        default=default("tidb-volume"),
        metavar="NAMESPACE",
        help="where the inventory and the volume-controller are (tidb-volume)",
    )
    group.add_argument(
        "--request-timeout",
        default=default(30.0),
        type=float,
        metavar="SECONDS",
        help="for each request (30)",
    )


if __name__ == "__main__":
    sys.exit(main())
