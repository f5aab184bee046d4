"""`adopt`: a person says what to do with data that nobody knows: `--wipe` it, or `--keep` it for one claim.

With a selector, many new disks are answered at once, but only those that hold nothing anybody would miss:
a disk with a file system on it, or one that was ours before, is left out and asked for by itself.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from tidb_volume.cli import answer, speak, touch
from tidb_volume.cli.exits import CliError, Exit, refused
from tidb_volume.cli.render import Screen
from tidb_volume.life import answers
from tidb_volume.value import Content, Volume

EPILOG = (
    touch.TARGETS
    + """
--wipe: what is on the disk goes, then it is offered. Each disk's serial is asked for. Several that hold
neither a file system nor anything of ours are shown together and confirmed once. --yes answers for those, and
for the others only where each is named by its full name.

--keep NAMESPACE/CLAIM: the data of one volume goes to that claim, which need not exist yet, and to no other.
"""
)
KINDS = ("adopt", "gone")
"""The questions about data that nobody knows: found on a new disk, or left where the PV went by hand."""
_CLAIM = re.compile(r"(?P<namespace>[a-z0-9-]+)/(?P<name>[a-z0-9.-]+)")
_FILE_SYSTEM = re.compile(
    r"\b(ext[234]|xfs|btrfs|zfs\w*|ntfs|vfat|f2fs|LVM\w*|swap|luks|crypto\w*|entries)\b", re.I
)


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's own options."""
    touch.configure(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--wipe", action="store_true", help="what is on the disk goes")
    what.add_argument("--keep", metavar="NAMESPACE/CLAIM", help="it is kept, for this claim alone")


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Answer the question of each chosen volume."""
    if options.keep is not None:
        return _keep(options, screen)
    if not options.wipe:
        raise CliError("say what to do with the data: --wipe, or --keep NAMESPACE/CLAIM", code=Exit.USAGE)
    api = touch.reader(options)
    volumes = _asked_about(touch.chosen(api, options), named=bool(options.volumes))
    new, others = split(volumes)
    asker = touch.asker(options, screen)
    if len(new) < 2:
        new, others = [], volumes
    if new:
        screen.tell(touch.touched(new, touch.now()))
        asker.agree(f"ALL DATA on these {len(new)} disks will be gone. No undo. Go on?")
    left = _not_covered(others, options)
    for volume in left:
        screen.warn(f"{volume.metadata.name}: left out, {kept_because(volume)}; name it to be asked about it")
    one_by_one = [volume for volume in others if volume not in left]
    for volume in one_by_one:
        answer.confirm(asker, screen, volume)
    with touch.Writer(api.api, options, screen) as writer:
        after = []
        for volume in [*new, *one_by_one]:
            assert volume.status.question is not None
            word = {"adopt": {"question": volume.status.question.id, "action": "Wipe"}}
            after.append(writer.admin(volume, word, "adopted: it is wiped, then offered"))
    if answer.say_what_waits(api, after, screen, options) or not after:
        return Exit.WAITING if after else Exit.REFUSED
    return Exit.OK


def _keep(options: argparse.Namespace, screen: Screen) -> Exit:
    claim = _CLAIM.fullmatch(options.keep)
    if claim is None:
        raise CliError(f"{options.keep} is no claim: write NAMESPACE/CLAIM", code=Exit.USAGE)
    api = touch.reader(options)
    volumes = _asked_about(touch.chosen(api, options), named=bool(options.volumes))
    if len(volumes) > 1:
        raise CliError("one claim gets one disk: name one volume", code=Exit.USAGE)
    (volume,) = volumes
    if not answers.may_be_kept(volume):
        raise refused(
            f"{volume.metadata.name}: {answers.NOT_FOR_DEVICES}", "list the folder in the inventory as a path"
        )
    screen.tell(touch.touched(volumes, touch.now()))
    touch.asker(options, screen).agree(f"The data goes to claim {options.keep}, and to nobody else. Go on?")
    with touch.Writer(api.api, options, screen) as writer:
        assert volume.status.question is not None
        to = {"namespace": claim["namespace"], "name": claim["name"]}
        word = {"adopt": {"question": volume.status.question.id, "action": "Keep", "claim": to}}
        writer.admin(volume, word, f"adopted: it is kept for {options.keep}")
    return Exit.OK


def _asked_about(volumes: Sequence[Volume], *, named: bool) -> list[Volume]:
    """Those with unknown data. Raises CliError where one that was named has none, or none has."""
    found = []
    for volume in volumes:
        if volume.status.question is not None and volume.status.question.kind in KINDS:
            found.append(volume)
        elif named:
            state = volume.status.state or volume.status.phase.value
            raise refused(
                f"{volume.metadata.name}: nothing is asked about its data ({state}, {volume.status.reason})",
                speak.explain(volume),
            )
    if not found:
        raise refused("none of these volumes holds unknown data")
    return found


def split(volumes: Sequence[Volume]) -> tuple[list[Volume], list[Volume]]:
    """Those that may be confirmed together, and those that must be asked about one by one."""
    together = [volume for volume in volumes if not kept_because(volume)]
    return together, [volume for volume in volumes if volume not in together]


def kept_because(volume: Volume) -> str:
    """Why somebody might miss what is on it; empty: nobody we know of."""
    disk, status = volume.status.disk, volume.status
    if disk is None or disk.content is Content.UNKNOWN:
        return "what is on it is not known"
    if status.tenancy or status.dirty or disk.tenancy or disk.journal or disk.journal_broken or disk.trash:
        return "it was ours before"
    if volume.spec.source.path:
        return "it has a file system with files"
    if _FILE_SYSTEM.search(disk.content_note):
        return f"there is a file system on it ({disk.content_note})"
    return ""


def _not_covered(volumes: Sequence[Volume], options: argparse.Namespace) -> list[Volume]:
    """With --yes nobody is asked: a disk that somebody might miss must be named in full."""
    if not options.yes:
        return []
    return [volume for volume in volumes if volume.metadata.name not in options.volumes]
