"""`explain`: what became of a volume, a PV, a claim, a pod or a node, why it waits, and what happens next."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import msgspec

from tidb_volume import names
from tidb_volume.cli import speak, story, touch, worlds
from tidb_volume.cli.exits import CliError, Exit, not_found
from tidb_volume.cli.reader import Reader
from tidb_volume.cli.render import (
    Line,
    Piece,
    Screen,
    Span,
    blank,
    clean,
    cut,
    heading,
    line,
    span,
    table,
    wide,
)
from tidb_volume.cli.story import Story
from tidb_volume.cli.wishes import POD, WISH, Place, Wish, claims_of, place
from tidb_volume.kube import codec, kinds
from tidb_volume.units import Instant
from tidb_volume.upstream import Node, Pv
from tidb_volume.value import Phase, Value, Volume, VolumeNode

if TYPE_CHECKING:
    from tidb_volume.cli.candidates import Considered, Verdict

EPILOG = """\
THING is the name of a volume, a PersistentVolume or a node; NAMESPACE/NAME of a claim or a pod; or NODE/DISK.
Say which where names clash: tv/NAME, pv/NAME, node/NAME, pvc/NAMESPACE/NAME, pod/NAMESPACE/NAME.

examples:
  {prog} explain node-7-data-nvme0-1a2b3c
  {prog} explain node-7/nvme0
  {prog} explain tidb-prod/tikv-tikv-3      why does this claim or pod wait?
"""
SHOWN = 12
_TYPES = {
    "tv": "volume",
    "tidbvolume": "volume",
    "tidbvolumes": "volume",
    f"tidbvolume.{names.GROUP}": "volume",
    "pv": "pv",
    "persistentvolume": "pv",
    "node": "node",
    "no": "node",
    "pvc": "claim",
    "claim": "claim",
    "persistentvolumeclaim": "claim",
    "pod": "pod",
    "po": "pod",
}


class NodeView(Value):
    """A node and its disks."""

    node: str
    ready: str
    hostname: str
    daemon: str
    disks: tuple[Story, ...]


class View(Value):
    """What is known of the thing that was asked about."""

    asked: str
    kind: str
    notes: tuple[str, ...] = ()
    node: NodeView | None = None
    stories: tuple[Story, ...] = ()
    waiting: tuple[Verdict, ...] = ()


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's own options."""
    parser.add_argument("thing", metavar="THING", help="a volume, PV, claim, pod or node")
    parser.add_argument(
        "-n", "--namespace", default="", metavar="NAMESPACE", help="of a claim or pod named without one"
    )


def run(options: argparse.Namespace, screen: Screen) -> Exit:
    """Print the story of one thing."""
    api = touch.reader(options)
    found = Explainer(api).explain(options.thing, options.namespace)
    if options.output in ("json", "yaml"):
        screen.document(found, options.output)
    elif options.output == "name":
        screen.show(line(f"{touch.KIND}/{each.volume}") for each in _stories(found))
    else:
        screen.show(draw(found, touch.now(), screen.size[0], all_of_it=options.output == "wide"))
    for lack in dict.fromkeys(api.lacks):
        screen.warn(f"not shown: {lack}")
    return Exit.OK


def _stories(found: View) -> tuple[Story, ...]:
    return (*found.stories, *(found.node.disks if found.node is not None else ()))


class Explainer:
    """Finds the thing and gathers what its story needs."""

    def __init__(self, api: Reader) -> None:
        self._api = api

    def explain(self, thing: str, namespace: str) -> View:
        """The view of one thing. Raises CliError (not found) where there is no such thing."""
        first, slash, rest = thing.partition("/")
        kind = _TYPES.get(first, "") if slash else ""
        name = rest if kind else thing
        inner, slash, last = name.partition("/")
        if slash and kind in ("claim", "pod"):
            namespace, name = inner, last
        if kind in ("claim", "pod") and not namespace:
            raise CliError(f"say in which namespace the {kind} is: -n NAMESPACE", code=Exit.USAGE)
        looks: list[tuple[str, Callable[[], View | None]]] = [
            ("volume", lambda: self._volume(name)),
            ("pv", lambda: self._pv(name)),
            ("node", lambda: self._node(name)),
        ]
        if namespace or slash:
            where, what = (namespace, name) if namespace else (inner, last)
            looks += [("claim", lambda: self._claim(where, what)), ("pod", lambda: self._pod(where, what))]
        if slash and not kind:
            looks = [*looks[3:], ("volume", lambda: self._disk(name))]
        for each, look in looks:
            if kind in ("", each):
                found = look()
                if found is not None:
                    return msgspec.structs.replace(found, asked=thing)
        tried = kind or "volume, PersistentVolume, node, claim or pod"
        hint = "" if slash or namespace or kind else "a claim or a pod is NAMESPACE/NAME; "
        raise not_found(f"there is no {tried} {thing}", f"{hint}{speak.PLUGIN} status -o name")

    # --- one thing each ---

    def _volume(self, name: str) -> View | None:
        if "/" in name:
            return None
        volume = self._api.api.find(kinds.TIDB_VOLUME, name)
        return View(asked=name, kind="volume", stories=self._tell([volume])) if volume is not None else None

    def _disk(self, pattern: str) -> View | None:
        try:
            found = touch.matching(self._api.volumes(), [pattern])
        except CliError:
            return None
        return View(asked=pattern, kind="volume", stories=self._tell(found))

    def _pv(self, name: str) -> View | None:
        if "/" in name:
            return None
        pv = self._api.optional(lambda: self._api.api.find(kinds.PV, name), None)
        return self._of_pv(pv) if pv is not None else None

    def _of_pv(self, pv: Pv) -> View:
        disk = pv.metadata.labels.get(names.LABEL_DISK, "")
        if not disk:
            by = pv.metadata.annotations.get(names.PROVISIONED_BY) or "a hand"
            note = f"PersistentVolume {pv.metadata.name} is none of ours: it was made by {by}"
            return View(asked=pv.metadata.name, kind="pv", notes=(note,))
        volume = self._api.api.find(kinds.TIDB_VOLUME, disk)
        if volume is None:
            note = (
                f"PersistentVolume {pv.metadata.name} names the disk {disk}, of which there is no TidbVolume"
            )
            return View(asked=pv.metadata.name, kind="pv", notes=(note,))
        return View(asked=pv.metadata.name, kind="pv", stories=self._tell([volume]))

    def _node(self, name: str) -> View | None:
        if "/" in name:
            return None
        node = self._api.optional(lambda: self._api.api.find(kinds.NODE, name), None)
        mine = self._api.api.list(kinds.TIDB_VOLUME, fields=f"spec.nodeName={name}")[0]
        if node is None and not mine:
            return None
        report = self._api.optional(lambda: self._api.api.find(kinds.TIDB_VOLUME_NODE, name), None)
        view = NodeView(
            node=name,
            ready=_ready(node),
            hostname=node.metadata.labels.get(names.HOSTNAME, "") if node is not None else "",
            daemon=daemon_words(name, report, worlds.ready_daemons(self._api)),
            disks=self._tell(sorted(mine, key=lambda volume: str(volume.spec.source))),
        )
        return View(asked=name, kind="node", node=view)

    def _claim(self, namespace: str, name: str) -> View | None:
        wish = self._api.api.find(WISH, name, namespace)
        if wish is None:
            return None
        return self._of_claim(wish, self._place_for(namespace, name))

    def _of_claim(self, wish: Wish, place: Place | None) -> View:
        asked = f"{wish.metadata.namespace}/{wish.metadata.name}"
        if wish.status.phase == "Lost":
            note = f"claim {asked} is Lost: its PersistentVolume {wish.spec.volume_name} is gone"
            return View(asked=asked, kind="claim", notes=(note,))
        if wish.spec.volume_name:
            pv = self._api.api.find(kinds.PV, wish.spec.volume_name)
            if pv is not None:
                return msgspec.structs.replace(self._of_pv(pv), asked=asked, kind="claim")
            note = f"claim {asked} names the PersistentVolume {wish.spec.volume_name}, which is not there"
            return View(asked=asked, kind="claim", notes=(note,))
        from tidb_volume.cli import candidates  # only who waits needs them

        volumes = self._api.volumes()
        pvs = self._api.optional(lambda: self._api.pvs(), ())
        nodes = self._api.optional(self._api.nodes, ())
        verdict = candidates.judge(wish, place, volumes, pvs, nodes, touch.now())
        return View(asked=asked, kind="claim", waiting=(verdict,))

    def _place_for(self, namespace: str, claim: str) -> Place | None:
        pods = self._api.optional(lambda: self._api.api.list(POD, namespace)[0], ())
        for pod in pods:
            if claim in claims_of(pod):
                return place(pod)
        return None

    def _pod(self, namespace: str, name: str) -> View | None:
        pod = self._api.api.find(POD, name, namespace)
        if pod is None:
            return None
        notes: list[str] = []
        stories: list[Story] = []
        waiting: list[Verdict] = []
        for claim in claims_of(pod):
            wish = self._api.api.find(WISH, claim, namespace)
            if wish is None:
                notes.append(f"claim {namespace}/{claim} is not there: the pod waits for it")
                continue
            part = self._of_claim(wish, place(pod))
            notes += part.notes
            stories += part.stories
            waiting += part.waiting
        if not notes and not stories and not waiting:
            notes.append(f"pod {namespace}/{name} uses no claim")
        if waiting or not pod.spec.node_name:
            notes += self._scheduler_says(namespace, name)
        return View(
            asked=f"{namespace}/{name}",
            kind="pod",
            notes=tuple(notes),
            stories=tuple(stories),
            waiting=tuple(waiting),
        )

    def _scheduler_says(self, namespace: str, pod: str) -> list[str]:
        selector = f"involvedObject.kind=Pod,involvedObject.namespace={namespace},involvedObject.name={pod}"
        events = self._api.optional(lambda: self._api.events(selector), ())
        said = [event.message for event in events if event.reason == "FailedScheduling"]
        return [f"the scheduler says: {said[-1]}"] if said else []

    # --- stories ---

    def _tell(self, volumes: Sequence[Volume]) -> tuple[Story, ...]:
        now = touch.now()
        one = len(volumes) == 1
        chosen = (
            f"involvedObject.kind=TidbVolume,involvedObject.name={volumes[0].metadata.name}" if one else ""
        )
        events: Sequence[codec.Event] = ()
        if one:
            events = self._api.optional(lambda: self._api.events(chosen), ())
        pvs = self._api.optional(lambda: self._api.pvs(volumes[0].metadata.name if one else ""), None)
        known_worlds = self._api.optional(lambda: worlds.gather(self._api, volumes, pvs or ()), {})
        told = []
        for volume in volumes:
            name = volume.metadata.name
            world = known_worlds.get(name)
            known = world is not None and pvs is not None
            if world is None:
                world = worlds.world(volume, worlds.NOTHING, (), tuple(pvs or ()), None)
            elif one:
                world = worlds.with_users(self._api, world)
            told.append(story.tell(world, events, now, known=known))
        return tuple(told)


def _ready(node: Node | None) -> str:
    if node is None:
        return "not in the cluster"
    ready = [each.status for each in node.status.conditions if each.type == "Ready"]
    return "Ready" if ready == ["True"] else "not ready"


def daemon_words(node: str, report: VolumeNode | None, ready: Collection[str] | None) -> str:
    """A node's daemon; ready: the nodes with a Ready one, None: that may not be read."""
    said = [f"version {report.status.daemon or '?'}" if report is not None else "has not reported"]
    if ready is not None:
        said.append("Ready" if node in ready else "not Ready: nothing is made ready or wiped here")
    if report is not None and report.status.virtual_disks:
        said.append("takes loop devices for disks (--virtual-disks, for test clusters)")
    return ", ".join(said)


# --- drawing -------------------------------------------------------------------------------------------


def draw(found: View, now: Instant, columns: int, *, all_of_it: bool = False) -> list[Line]:
    """The view as lines."""
    lines: list[Line] = []
    for note in found.notes:
        lines.append(line(note))
    if found.node is not None:
        lines += _node_lines(found.node, columns)
    for each in found.stories:
        if lines:
            lines.append(blank())
        lines += story_lines(each, now, columns, all_of_it=all_of_it)
    for verdict in found.waiting:
        if lines:
            lines.append(blank())
        lines += verdict_lines(verdict, all_of_it=all_of_it)
    return lines


def story_lines(told: Story, now: Instant, columns: int, *, all_of_it: bool = False) -> list[Line]:
    """One volume's story."""
    facts: list[list[Piece]] = [
        [span("volume", "dim"), span(told.volume, "bold")],
        [span("disk", "dim"), f"{told.disk} on {told.node}"],
        [span("", "dim"), told.identity],
        [span("pool", "dim"), told.pool + (f", {told.size}" if told.size else "") + _used(told)],
        [span("declared", "dim"), told.declared],
    ]
    if told.owner:
        pod = f", used by pod {told.pod}" if told.pod else ", no pod uses it now"
        had = "" if told.phase is Phase.BOUND else "was "
        facts.append([span("owner", "dim"), f"{had}{told.owner}{pod if not had else ''}"])
    if told.pv:
        facts.append([span("pv", "dim"), told.pv])
    lines = table([], facts)
    lines += [blank(), line(speak.phase_span(told.phase, told.state), f"  {told.message}")]
    if told.way_out and not told.may:
        lines.append(line("  ", span(told.way_out, "bold")))
    for wait in told.waits[1:]:
        lines.append(line("  and before the wipe: ", span(wait, "yellow")))
    if told.next:
        lines += [blank(), heading("What happens next")]
        rows: list[list[Piece]] = [
            [
                span(f"{speak.countdown(step.at, now)}, {speak.clock(step.at)}" if step.at else "", "yellow"),
                step.text,
            ]
            for step in told.next
        ]
        lines += _timed(rows)
    if told.may:
        lines += [blank(), heading("What you may do")]
        for each in told.may:
            lines += [line("  ", span(each.command, "bold")), line("      ", span(each.does, "dim"))]
    lines += [blank(), heading("Its life")]
    whats = max((wide(clean(moment.what)) for moment in told.life), default=0)
    width = 10_000 if all_of_it else max(30, columns - whats - len("  2000-01-01 00:00:00Z") - 6)
    body: list[list[Piece]] = [
        [
            span(speak.clock(moment.at) if moment.at else "", "dim"),
            span(moment.what, "yellow" if moment.warning else ""),
            span(cut(moment.text, width), "dim"),
        ]
        for moment in told.life
    ]
    return lines + table([], body, indent=2)


def _used(told: Story) -> str:
    return f", {told.used} used" if told.used and told.used != "0" else ""


def _timed(rows: Sequence[Sequence[Piece]]) -> list[Line]:
    """Rows whose first column is a time, which most lack."""
    if any(isinstance(row[0], Span) and row[0].text for row in rows):
        return table([], rows, indent=2)
    return [line("  ", row[1]) for row in rows]


def _node_lines(view: NodeView, columns: int) -> list[Line]:
    facts: list[list[Piece]] = [
        [span("node", "dim"), span(view.node, "bold")],
        [span("state", "dim"), view.ready],
        [
            span("hostname", "dim"),
            view.hostname or "no label kubernetes.io/hostname: nothing is offered here",
        ],
        [span("daemon", "dim"), view.daemon],
    ]
    lines = table([], facts)
    rows: list[list[Piece]] = [
        [
            each.disk,
            each.pool,
            each.size or "-",
            speak.phase_span(each.phase, each.state),
            each.owner or "-",
            cut(each.message, max(40, columns - 70)),
        ]
        for each in view.disks
    ]
    if rows:
        return [*lines, blank(), *table(["DISK", "POOL", "SIZE", "STATE", "OWNER", "WHY"], rows)]
    return [*lines, blank(), line("no disk of it is listed")]


def verdict_lines(verdict: Verdict, *, all_of_it: bool = False) -> list[Line]:
    """Why a claim waits."""
    facts: list[list[Piece]] = [
        [span("claim", "dim"), span(verdict.claim, "bold"), ""],
        [span("wants", "dim"), verdict.wants, ""],
        [span("largest free", "dim"), verdict.largest_free, ""],
    ]
    lines = table([], facts)
    lines += [blank(), line(span("Waits  ", "yellow"), verdict.fix)]
    if verdict.command:
        lines.append(line("       ", span(verdict.command, "bold")))
    lines += [blank(), heading(f"Considered: {len(verdict.considered)} volumes, {len(verdict.fits)} fit")]
    some = verdict.considered if all_of_it else verdict.considered[:SHOWN]
    rows: list[list[Piece]] = [
        [
            each.volume,
            each.node,
            each.disk,
            "; ".join(one.text for one in each.against) or span("fits", "green"),
        ]
        for each in some
    ]
    lines += table(["VOLUME", "NODE", "DISK", "WHY NOT"], rows, indent=2)
    left = verdict.considered[len(some) :]
    if left:
        lines.append(line(span(f"  and {len(left)} more: {_summed(left)}", "dim")))
        lines.append(line(span("  -o wide shows each", "dim")))
    return lines


def _summed(considered: Sequence[Considered]) -> str:
    """How many for each first reason."""
    found: dict[str, int] = {}
    for each in considered:
        kind = each.against[0].kind if each.against else "fits"
        found[kind] = found.get(kind, 0) + 1
    return ", ".join(f"{count} {kind}" for kind, count in sorted(found.items(), key=lambda item: -item[1]))
