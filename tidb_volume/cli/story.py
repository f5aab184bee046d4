"""The life of one volume as a story: what was, what is, what comes next and when, and what a person may do.

Pure: a world, Events and a time go in. What comes next is asked of the planner that the controller itself
runs (`life.plan`), with the leader's private memory taken for granted; nothing here decides.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tidb_volume import words
from tidb_volume.cli import accept_identity, speak
from tidb_volume.inventory import policy
from tidb_volume.inventory.expand import DesiredDisk
from tidb_volume.kube import codec
from tidb_volume.life import actions, answers, daemon, release, status
from tidb_volume.life.actions import Action
from tidb_volume.life.look import Seen, look
from tidb_volume.life.plan import plan
from tidb_volume.life.world import World
from tidb_volume.units import Instant, format_instant
from tidb_volume.value import Phase, Presence, Value, Volume


class Moment(Value):
    """One thing that happened; `at` is empty where nobody wrote down when."""

    at: str
    what: str
    text: str = ""
    warning: bool = False


class Step(Value):
    """One thing to come: `at` empty: as soon as what stands before it has happened."""

    text: str
    at: str = ""


class Command(Value):
    """What a person may do, and what it does."""

    command: str
    does: str


class Story(Value):
    """One volume's story."""

    volume: str
    node: str
    disk: str
    identity: str
    pool: str
    size: str
    used: str
    phase: Phase
    state: str
    reason: str
    message: str
    way_out: str
    owner: str
    pod: str
    pv: str
    declared: str
    """ConfigMap/FILE:LINE:COLUMN, or why there is no such place."""
    life: tuple[Moment, ...]
    waits: tuple[str, ...]
    """Everything that stands before the wipe of a released disk, not only the first thing."""
    next: tuple[Step, ...]
    may: tuple[Command, ...]


_WHAT = {
    "offered": "offered",
    "bound": "bound to {who}",
    "released": "released by {who}",
    "wipe committed": "wipe committed: the point of no return",
    "wiped": "wiped and offered again",
}


def tell(world: World, events: Sequence[codec.Event], now: Instant, *, known: bool = True) -> Story:
    """The story of one volume. known: False where the inventory could not be read, so that `world` cannot
    say whether the volume is listed; then nothing is asked of the planner."""
    volume, desired = world.volume, world.desired
    seen = look(world)
    shown = volume.status
    if known:
        shown = status.compute(world, seen, now)
    stale = (shown.phase, shown.reason) != (volume.status.phase, volume.status.reason)
    ahead = [Step(text=f"the volume-controller has yet to say: {shown.reason}")] if stale else []
    return Story(
        volume=volume.metadata.name,
        node=volume.spec.node_name,
        disk=str(volume.spec.source),
        identity=speak.identity(
            shown.identity or (volume.status.disk.identity if volume.status.disk else None)
        ),
        pool=volume.spec.pool,
        size=shown.capacity,
        used=shown.used,
        phase=shown.phase,
        state=shown.state or shown.phase.value,
        reason=shown.reason,
        message=speak.message(volume, shown.reason, shown.message),
        way_out=speak.way_out(volume, shown.reason),
        owner=str(shown.owner.claim) if shown.owner and shown.owner.claim else "",
        pod=str(shown.owner.pod) if shown.owner and shown.owner.pod else "",
        pv=shown.volume_name,
        declared=declared(desired, world, known=known),
        life=life(volume, desired, events),
        waits=waits(world, seen, now) if known and shown.phase is Phase.RELEASED else (),
        next=(*ahead, *(steps(world, now) if known else ())),
        may=commands(world, seen, shown.phase, shown.reason),
    )


def declared(desired: DesiredDisk | None, world: World, *, known: bool) -> str:
    """Where the inventory says it."""
    if not known:
        return "not known: the inventory may not be read"
    if desired is not None:
        return f"ConfigMap {desired.mark}"
    if world.left_by_label:
        return "listed still, but a label or address of its node no longer matches: kept, cordoned"
    return "listed nowhere any more"


def life(volume: Volume, desired: DesiredDisk | None, events: Sequence[codec.Event]) -> tuple[Moment, ...]:
    """What happened, the oldest first."""
    where = f"{desired.mark}, " if desired is not None else ""
    wipe = volume.spec.wipe
    rule = f"wiped {wipe.after} after its release by {policy.in_words(wipe.method)}"
    if wipe.on_release == "keep":
        rule = "kept when it is released"
    made = Moment(
        at=volume.metadata.creation_timestamp or "",
        what="declared",
        text=f"{where}pool {volume.spec.pool}: {rule}",
    )
    first = [made]
    disk = volume.status.disk
    if disk is not None:
        device = f" as {disk.name}" if disk.name else ""
        identity = speak.identity(disk.identity or volume.status.identity)
        told = identity if disk.presence is Presence.OK else disk.message or identity
        first.append(
            Moment(at="", what="seen", text=f"by the daemon of {volume.spec.node_name}{device}: {told}")
        )
    rest = [
        Moment(
            at=record.at,
            what=_WHAT.get(record.what, record.what).format(who=record.who or "a claim"),
            text="; ".join(
                part for part in (f"tenancy {record.tenancy}" if record.tenancy else "", record.note) if part
            ),
        )
        for record in volume.status.history
    ]
    for condition in volume.status.conditions:
        if condition.type != "WaitingForPerson":
            rest.append(
                Moment(
                    at=condition.last_transition_time,
                    what=f"{condition.type}={condition.status}",
                    text=f"{condition.reason}: {condition.message}",
                    warning=True,
                )
            )
    for event in events:
        if event.type == "Warning":
            at = event.last_timestamp or event.first_timestamp or ""
            times = f" ({event.count} times)" if event.count > 1 else ""
            rest.append(Moment(at=at, what=event.reason, text=event.message + times, warning=True))
    rest.sort(key=lambda moment: speak.when(moment.at) or Instant(0.0))
    return (*first, *rest)


def waits(world: World, seen: Seen, now: Instant) -> tuple[str, ...]:
    """All that stands before a wipe, in the order in which it has to fall."""
    found = []
    held = release.decision(world, seen)
    if held is not None:
        found += [_say(world, each) for each in (held, *_beside(world, held))]
    elif not release.wipe_now(world) and not release.adopt_wipe(world):
        ends = release.countdown_ends(world, seen, now)
        if now < ends:
            found.append(
                _say(world, release.Obstacle(word="Countdown", note=speak.clock(format_instant(ends))))
            )
    if held is None and release.manual(world) and not answers.approved(world):
        found.append(_say(world, release.Obstacle(word="AwaitsApproval")))
    moment = release.moment(world, seen)
    if moment is not None:
        found.append(_say(world, moment))
    return tuple(found)


def _beside(world: World, first: release.Obstacle) -> list[release.Obstacle]:
    """What holds the wipe too, behind the first thing that does."""
    found = []
    if world.volume.spec.admin.hold and first.word != "Held":
        found.append(release.Obstacle(word="Held"))
    gates = release.open_gates(world)
    if gates and first.word != "Gated":
        found.append(release.Obstacle(word="Gated", note=", ".join(gates)))
    return found


def _say(world: World, obstacle: release.Obstacle) -> str:
    volume = world.volume
    return words.say(
        obstacle.word,
        volume=volume.metadata.name,
        node=volume.spec.node_name,
        source=volume.spec.source,
        pool=volume.spec.pool,
        pv=volume.status.volume_name,
        claim=speak.claim(volume),
        note=obstacle.note,
        when="",
    )


_LOOKS = 6
"""So often the planner is asked on: what it would write down or count first is taken as done."""


def steps(world: World, now: Instant) -> tuple[Step, ...]:
    """What the planner does next, when, and what follows from it."""
    found: list[Step] = []
    at = ""
    for _ in range(_LOOKS):
        decided = plan(now, world)
        action = decided.action
        if isinstance(action, actions.PatchStatus):
            volume = msgspec.structs.replace(world.volume, status=action.status)
            world = msgspec.structs.replace(world, volume=volume)
            continue
        if isinstance(action, actions.CountWipe | actions.CountClaim):
            what = action.uid if isinstance(action, actions.CountClaim) else action.tenancy
            counted = world.mine.counted | {what}
            world = msgspec.structs.replace(world, mine=msgspec.structs.replace(world.mine, counted=counted))
            continue
        if action is not None:
            found.append(Step(at=at, text=spell(action, world)))
            break
        if decided.again_at is None or decided.again_at <= now:
            break
        now, at = decided.again_at, format_instant(decided.again_at)
    seen = look(world)
    return (*found, *follows(world, seen, bool(found)))


def spell(action: Action, world: World) -> str:
    """One action in words."""
    node = world.volume.spec.node_name
    match action:
        case actions.WriteOrder(order=None, why=why):
            return f"the order is taken back: {why}"
        case actions.WriteOrder(order=order, why=why) if order is not None:
            if order.kind == "reclaim" or order.answer:
                method = policy.in_words(order.method) or "its method"
                return f"the daemon of {node} is ordered to wipe it by {method} ({why})"
            if order.kind == "mount":
                return f"the daemon of {node} is ordered to mount it for the claim that has it ({why})"
            return f"the daemon of {node} is ordered to make it ready ({why})"
        case actions.DeleteClaim(namespace=namespace, name=claim, why=why):
            return f"claim {namespace}/{claim} is deleted, so that its user starts elsewhere: {why}"
        case actions.DeletePv(name=name, why=why):
            return f"PersistentVolume {name} is deleted: {why}"
        case actions.CreatePv(manifest=manifest):
            return f"PersistentVolume {manifest['metadata']['name'].removesuffix('--')} is made: on offer"
        case actions.WriteSpec(why=why):
            return f"the edit is taken over: {why}"
        case actions.AnnotatePv(name=name):
            return f"PersistentVolume {name} gets its missing annotation back"
        case actions.DeleteVolume(why=why):
            return f"this record is deleted: {why}; nothing is wiped"
        case _:
            return str(getattr(action, "why", "")) or type(action).__name__


def follows(world: World, seen: Seen, moving: bool) -> tuple[Step, ...]:
    """What comes after the planner's next step, as far as it follows from the phase."""
    volume, now_phase = world.volume, world.volume.status.phase
    wipe, admin = volume.spec.wipe, volume.spec.admin
    offered = "then it is on offer again, as a new PersistentVolume, to whoever claims it next"
    if admin.cordon or admin.retire:
        offered = "then it stays clean and is not offered: it is cordoned"
    if not world.listed:
        offered = "then it stays as it is: no entry lists it"
    if now_phase is Phase.BOUND:
        said = seen.pv.spec.persistent_volume_reclaim_policy if seen.pv is not None else ""
        ends = Step(text=f"it stays with {speak.claim(volume)} until that claim is deleted")
        if said == "Retain":
            return ends, Step(text="after that its data is kept (policy Retain) until a person decides")
        if wipe.on_release == "keep":
            return ends, Step(
                text=f"after that its data is kept: pool {volume.spec.pool} wipes nothing by itself"
            )
        return (
            ends,
            Step(text=f"after that it waits {wipe.after}, is wiped by {policy.in_words(wipe.method)}"),
            Step(text=offered),
        )
    if now_phase is Phase.AVAILABLE and not moving:
        text = f"the next claim of class {volume.spec.pool} that it fits gets it"
        return (Step(text=text),)
    if now_phase is Phase.WIPING:
        return Step(text=f"the wipe: {speak.progress(volume)}"), Step(text=offered)
    if now_phase is Phase.FAILED and moving:
        return (Step(text=offered),)
    if now_phase is Phase.RELEASED and moving:
        gone = Step(text="its PersistentVolume is deleted: the point of no return; then its data goes")
        return gone, Step(text=offered)
    if not moving and volume.status.reason in speak.PERSON:
        return (Step(text="nothing by itself: it waits for a person"),)
    return ()


def commands(world: World, seen: Seen, phase: Phase, reason: str) -> tuple[Command, ...]:
    """What a person may do about it now."""
    volume = world.volume
    name, tool = speak.quoted(volume.metadata.name), speak.PLUGIN
    found = []
    if phase is Phase.RELEASED and seen.pv_state == "released" and reason != "DroppedReleased":
        assert seen.pv is not None
        pv = speak.quoted(seen.pv.metadata.name)
        if not volume.spec.admin.hold:
            found.append(Command(command=f"{tool} hold {name}", does="keep the data for now"))
        else:
            found.append(
                Command(command=f"{tool} hold --off {name}", does="let it go: the countdown begins anew")
            )
        if not release.wipe_now(world):
            found.append(Command(command=f"{tool} wipe-now {name}", does="wipe it without waiting"))
        said = seen.pv.spec.persistent_volume_reclaim_policy
        other, does = "Retain", "keep the data until you say otherwise"
        if said != "Delete":
            other, does = "Delete", "have it wiped after its time"
        if said == "Delete" or volume.spec.wipe.on_release == "wipe":
            patch = f'{{"spec":{{"persistentVolumeReclaimPolicy":"{other}"}}}}'
            found.append(Command(command=f"kubectl patch pv {pv} -p '{patch}'", does=does))
    if phase is Phase.BOUND and daemon.is_lost(world) and world.claim is not None:
        meta = world.claim.metadata
        command = f"kubectl -n {meta.namespace} delete pvc {speak.quoted(meta.name)}"
        does = "let its user start elsewhere; the data stays on that disk, and is wiped if it comes back"
        found.append(Command(command=command, does=does))
    question, owner = volume.status.question, volume.status.owner
    former = owner.claim if owner is not None else None
    begun = seen.work is not None and seen.work.begun
    can_be_asked = not answers.restores(world) and not begun and former is not None
    if question is not None and question.kind in ("release", "gone") and can_be_asked:
        does = f"give the data back to {former}"
        found.append(Command(command=f"{tool} restore {name}", does=does))
    if (
        question is not None
        and question.kind in accept_identity.MEANS
        and not answers.accepts_identity(world)
    ):
        does = accept_identity.MEANS[question.kind]
        found.append(Command(command=f"{tool} accept-identity {name}", does=does))
    if question is not None and question.kind in ("adopt", "gone") and not release.adopt_wipe(world):
        found.append(
            Command(command=f"{tool} adopt --wipe {name}", does="all that is on it goes, then it is offered")
        )
        if answers.may_be_kept(volume) and answers.named(volume) is None:
            keeps = f"{tool} adopt --keep NAMESPACE/CLAIM {name}"
            found.append(Command(command=keeps, does="it is kept, for that claim alone"))
    if volume.spec.admin.cordon:
        found.append(Command(command=f"{tool} uncordon {name}", does="offer it again"))
    elif phase in (Phase.AVAILABLE, Phase.BOUND):
        found.append(Command(command=f"{tool} cordon {name}", does="offer it to nobody else"))
    if world.fleet is not None and world.fleet.spec.paused:
        found.append(Command(command=f"{tool} resume", does="let wipes go on"))
    if world.fleet is not None and world.fleet.status.breaker.tripped:
        found.append(
            Command(command=f"{tool} breaker reset", does="close the circuit breaker, after you looked")
        )
    return tuple(found)
