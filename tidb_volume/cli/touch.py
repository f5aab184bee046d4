"""What the verbs that write have in common: which volumes are meant, what they hold, asking, the patch.

A person's word is one merge patch of `spec.admin`, guarded by the object's UID, so that it cannot land on a
volume made anew under the same name. What is touched is shown before anything is asked; `--dry-run` shows the
same and writes nothing.
"""

from __future__ import annotations

import argparse
import fnmatch
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

from tidb_volume import names
from tidb_volume.cli import connect, speak
from tidb_volume.cli.ask import Asker
from tidb_volume.cli.exits import CliError, Exit, not_found, refused
from tidb_volume.cli.reader import Reader
from tidb_volume.cli.render import Line, Piece, Screen, cut, line, span, table
from tidb_volume.inventory import braces
from tidb_volume.kube import codec, kinds, transport
from tidb_volume.kube.client import Client
from tidb_volume.units import Instant
from tidb_volume.value import Volume

KIND = f"tidbvolume.{names.GROUP}"
SHOWN = 20
_PREFIXES = ("tv/", "tidbvolume/", "tidbvolumes/", f"{KIND}/", "tidb-volume/")

TARGETS = """\
VOLUME is a TidbVolume's name, or NODE/DISK with ranges and globs: node-{{1..4}}/nvme*, node-7/data/nvme0.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments that choose volumes."""
    parser.add_argument("volumes", nargs="*", metavar="VOLUME", help="a name, or NODE/DISK with {1..4} and *")
    parser.add_argument("-l", "--selector", default="", metavar="LABELS", help="volumes with these labels")
    parser.add_argument("--node", default="", metavar="NODE", help="volumes of this node")
    parser.add_argument("--pool", default="", metavar="POOL", help="volumes of this pool")


def reader(options: argparse.Namespace) -> Reader:
    """The API server that the options name."""
    return Reader(connect.client(options), options.controller_namespace)


def chosen(api: Reader, options: argparse.Namespace) -> list[Volume]:
    """The volumes that are meant, by name, each once.

    Raises CliError: usage where nothing is asked for, not found where a name or a pattern has no volume.
    """
    if not options.volumes and not (options.selector or options.node or options.pool):
        raise CliError("no volume is named", f"see: {options.prog} {options.verb} --help", Exit.USAGE)
    plain = [without_prefix(name) for name in options.volumes]
    if options.volumes and not (options.selector or options.node or options.pool):
        simple = [name for name in plain if "/" not in name]
        if len(simple) == len(plain):
            found = [api.api.find(kinds.TIDB_VOLUME, name) for name in dict.fromkeys(simple)]
            missing = [name for name, each in zip(dict.fromkeys(simple), found, strict=True) if each is None]
            if missing:
                raise not_found(f"there is no TidbVolume {missing[0]}", f"{speak.PLUGIN} status -o name")
            return [each for each in found if each is not None]
    every = [
        volume
        for volume in api.volumes(options.selector)
        if options.node in ("", volume.spec.node_name) and options.pool in ("", volume.spec.pool)
    ]
    wanted = every if not plain else matching(every, plain)
    if not wanted:
        raise not_found("no volume matches", f"{speak.PLUGIN} status -o name")
    return wanted


def without_prefix(name: str) -> str:
    """A volume as it was named, without the kind that kubectl puts before it."""
    prefix = next((each for each in _PREFIXES if name.startswith(each)), "")
    return name[len(prefix) :]


def matching(volumes: Sequence[Volume], patterns: Sequence[str]) -> list[Volume]:
    """The volumes that each pattern means, by name. Raises CliError where one means none, or is broken."""
    found: dict[str, Volume] = {}
    for pattern in patterns:
        try:
            spread = braces.spread(pattern)
        except ValueError as error:
            raise CliError(f"{pattern}: {error}", code=Exit.USAGE) from error
        some = [volume for volume in volumes if any(_fits(volume, each) for each in spread)]
        if not some:
            raise not_found(f"no volume matches {pattern}", f"{speak.PLUGIN} status -o name")
        found |= {volume.metadata.name: volume for volume in some}
    return [found[name] for name in sorted(found)]


def _fits(volume: Volume, pattern: str) -> bool:
    return fits(volume.metadata.name, volume.spec.node_name, str(volume.spec.source), pattern)


def fits(name: str, node_name: str, source: str, pattern: str) -> bool:
    """NODE/DISK, where DISK is a whole path or device, or its last part; or a name with globs."""
    if "/" not in pattern:
        return fnmatch.fnmatchcase(name, pattern)
    node, _, disk = pattern.partition("/")
    return fnmatch.fnmatchcase(node_name, node) and (
        fnmatch.fnmatchcase(source, f"/{disk}") or fnmatch.fnmatchcase(source.rpartition("/")[2], disk)
    )


def touched(volumes: Sequence[Volume], now: Instant) -> list[Line]:
    """What a person should see before saying yes: disk, identity, last owner, the data's age."""
    head = ["VOLUME", "NODE", "DISK", "IDENTITY", "STATE", "OWNER", "DATA"]
    rows: list[list[Piece]] = [
        [
            volume.metadata.name,
            volume.spec.node_name,
            cut(volume.spec.source, 40),
            cut(speak.identity(_identity(volume)), 40),
            speak.phase_span(volume.status.phase, volume.status.state),
            speak.claim(volume) or "-",
            cut(data(volume, now), 60),
        ]
        for volume in volumes[:SHOWN]
    ]
    left = len(volumes) - SHOWN
    return table(head, rows) + ([line(span(f"and {left} more", "dim"))] if left > 0 else [])


def _identity(volume: Volume) -> Any:
    disk = volume.status.disk
    return volume.status.identity or (disk.identity if disk is not None else None)


def data(volume: Volume, now: Instant) -> str:
    """What is on it and how old it is, for people."""
    disk = volume.status.disk
    if disk is None:
        return "not seen yet"
    parts = [f"{volume.status.used} used" if volume.status.used else ""]
    since = speak.data_since(volume)
    if since:
        parts.append(f"released {speak.age(since, now)} ago")
    if disk.content_note:
        parts.append(disk.content_note)
    if disk.in_use:
        parts.append(f"in use by {disk.in_use}")
    return ", ".join(part for part in parts if part) or disk.content.value


class Writer:
    """Says one thing of several volumes, and tells what was done."""

    def __init__(self, api: Client, options: argparse.Namespace, screen: Screen) -> None:
        self._api = api
        self._options = options
        self._screen = screen
        self._done: list[dict[str, Any]] = []
        self._user: str | None = None

    def admin(self, volume: Volume, word: dict[str, Any], what: str, *, changed: bool = True) -> Volume:
        """Set fields of `spec.admin` (None removes) and say `what`; `changed` False: it was so already."""
        name, after = volume.metadata.name, volume
        word = {field: self._signed(said) for field, said in word.items()}
        if changed and self._options.dry_run != "client":
            after = self._api.merge_patch(
                kinds.TIDB_VOLUME, name, {"spec": {"admin": word}}, uid=volume.metadata.uid
            )
        self.said(f"{KIND}/{name}", what, {"admin": word}, changed=changed)
        return after

    def _signed(self, said: Any) -> Any:
        """An answer, with the user's name for the record, where the server tells it; nothing else has one."""
        if not isinstance(said, dict) or "question" not in said or self._options.dry_run == "client":
            return said
        if self._user is None:
            try:
                self._user = self._api.whoami()
            except (transport.ApiError, transport.NoAnswer, codec.Undecodable):
                self._user = ""
        return {**said, "by": self._user} if self._user else said

    def fleet(self, word: dict[str, Any], what: str, *, uid: str, changed: bool = True) -> None:
        """Set fields of the fleet's spec and say `what`."""
        if changed and self._options.dry_run != "client":
            self._api.merge_patch(kinds.TIDB_VOLUME_FLEET, names.FLEET, {"spec": word}, uid=uid)
        self.said(f"tidbvolumefleet.{names.GROUP}/{names.FLEET}", what, {"spec": word}, changed=changed)

    def said(self, about: str, what: str, word: dict[str, Any], *, changed: bool) -> None:
        """One line as kubectl writes it, or a part of the document at the end."""
        dry = self._options.dry_run
        if self._options.output in ("json", "yaml"):
            self._done.append({"object": about, "done": what, "changed": changed, "dryRun": dry, **word})
        elif self._options.output == "name":
            self._screen.show([line(about)])
        else:
            note = {"client": " (dry run)", "server": " (server dry run)"}.get(dry, "")
            self._screen.show([line(f"{about} {what}{note if changed else ' (no change)'}")])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Print what was collected for `-o json` or `-o yaml`, also where a later write failed."""
        if self._options.output in ("json", "yaml"):
            self._screen.document(self._done, self._options.output)


def refuse_where(
    volumes: Sequence[Volume],
    why_not: Callable[[Volume], str],
    way_out: Callable[[Volume], str] = speak.explain,
) -> None:
    """Raises CliError (refused) for the first volume of which `why_not` says something: all or none."""
    for volume in volumes:
        why = why_not(volume)
        if why:
            raise refused(f"{volume.metadata.name}: {why}", way_out(volume))


def set_flag(
    options: argparse.Namespace,
    screen: Screen,
    flag: str,
    *,
    wanted: bool,
    asks: str,
    done: str,
    beside: tuple[str, str],
) -> Exit:
    """Set or remove one of the words of `spec.admin` that keep a volume from being offered.

    asks: before more than one is changed, with a place for how many; it can be taken back, so that one is not
    asked about. done: what is told of each. beside: the other such word and its participle, which holds on.
    """
    api = reader(options)
    volumes = chosen(api, options)
    screen.tell(touched(volumes, now()))
    if len(volumes) > 1:
        asker(options, screen).agree(asks.format(len(volumes)))
    with Writer(api.api, options, screen) as writer:
        for volume in volumes:
            changed = getattr(volume.spec.admin, flag) is not wanted
            writer.admin(volume, {flag: True if wanted else None}, done, changed=changed)
    other, participle = beside
    still = [volume.metadata.name for volume in volumes if getattr(volume.spec.admin, other)]
    if still and not wanted:
        screen.warn(f"{', '.join(still)}: {participle} all the same, and not offered")
    return Exit.OK


def asker(options: argparse.Namespace, screen: Screen) -> Asker:
    """Who asks; a dry run asks nothing, since it does nothing."""
    return Asker(screen, yes=options.yes or options.dry_run != "none")


def now() -> Instant:
    """The time of this machine."""
    return Instant(time.time())
