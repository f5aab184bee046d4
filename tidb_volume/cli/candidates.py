"""Why a claim is not bound: every volume that was considered, what speaks against each, and the nearest fix.

Pure. The scheduler and kube-controller-manager decide about binding, not we; what is compared here is what
they compare for a local PersistentVolume (class, mode, access, labels, size, node), and what keeps one of our
disks from being offered at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tidb_volume.cli import speak
from tidb_volume.cli.wishes import Place, Requirement, Selector, Wish
from tidb_volume.life.look import pv_state
from tidb_volume.units import Instant, format_bytes, parse_quantity
from tidb_volume.upstream import Node, Pv, Taint
from tidb_volume.value import Phase, Value, Volume

_ORDER = ("wiping", "released", "pending", "reserved", "size", "class", "labels", "node", "mode", "bound")
"""The obstacles by how near the fix is."""


class Against(Value):
    """One thing that speaks against a volume: a word of `_ORDER`, and the sentence."""

    kind: str
    text: str


class Considered(Value):
    """One volume, and what speaks against it; nothing: it fits."""

    volume: str
    node: str
    disk: str
    size_bytes: int
    against: tuple[Against, ...] = ()


class Verdict(Value):
    """What is known of a claim that waits."""

    claim: str
    wants: str
    considered: tuple[Considered, ...]
    fits: tuple[str, ...]
    largest_free: str
    fix: str
    command: str = ""


def judge(
    wish: Wish,
    place: Place | None,
    volumes: Sequence[Volume],
    pvs: Iterable[Pv],
    nodes: Iterable[Node],
    now: Instant,
) -> Verdict:
    """The verdict on one claim; `place` None: no pod uses it yet."""
    by_name = {pv.metadata.name: pv for pv in pvs}
    by_node = {node.metadata.name: node for node in nodes}
    size = _asked(wish)
    considered = []
    for volume in volumes:
        pv = by_name.get(volume.status.volume_name)
        considered.append(
            Considered(
                volume=volume.metadata.name,
                node=volume.spec.node_name,
                disk=str(volume.spec.source),
                size_bytes=_size(volume, pv),
                against=tuple(_against(wish, size, place, volume, pv, by_node, now)),
            )
        )
    considered.sort(key=lambda each: (len(each.against), _nearness(each), each.volume))
    fits = tuple(each.volume for each in considered if not each.against)
    fix, command = _fix(wish, size, place, considered, {each.metadata.name: each for each in volumes}, now)
    meta = wish.metadata
    return Verdict(
        claim=f"{meta.namespace}/{meta.name}",
        wants=_wants(wish, size),
        considered=tuple(considered),
        fits=fits,
        largest_free=_largest_free(wish, volumes, by_name),
        fix=fix,
        command=command,
    )


def _asked(wish: Wish) -> int:
    try:
        return parse_quantity(wish.spec.resources.requests.get("storage", "0"))
    except ValueError:
        return 0


def _wants(wish: Wish, size: int) -> str:
    spec = wish.spec
    parts = [f"class {spec.storage_class_name or '(none)'}", format_bytes(size), spec.volume_mode]
    parts += spec.access_modes
    if spec.selector is not None:
        parts.append("labels " + ",".join(_conditions(spec.selector)))
    return ", ".join(parts)


def _size(volume: Volume, pv: Pv | None) -> int:
    if pv is not None:
        try:
            return parse_quantity(pv.spec.capacity.get("storage", "0"))
        except ValueError:
            return 0
    disk = volume.status.disk
    return disk.capacity_bytes if disk is not None else 0


def _against(
    wish: Wish,
    size: int,
    place: Place | None,
    volume: Volume,
    pv: Pv | None,
    nodes: Mapping[str, Node],
    now: Instant,
) -> Iterable[Against]:
    spec, has = wish.spec, _size(volume, pv)
    if volume.spec.pool != spec.storage_class_name:
        yield Against(kind="class", text=f"pool {volume.spec.pool}")
    if volume.spec.volume_mode != spec.volume_mode:
        yield Against(kind="mode", text=f"volumeMode {volume.spec.volume_mode}")
    if set(spec.access_modes) - {"ReadWriteOnce"}:
        yield Against(kind="mode", text="a local disk is ReadWriteOnce")
    if has and has < size:
        yield Against(kind="size", text=f"{format_bytes(has)} is too small")
    if spec.selector is not None and pv is not None:
        missing = [words for words, holds in _checked(spec.selector, pv.metadata.labels) if not holds]
        if missing:
            yield Against(kind="labels", text=f"labels: not {', '.join(missing)}")
    yield from _state(wish, volume, pv, now)
    node = nodes.get(volume.spec.node_name)
    if place is not None and node is not None:
        why = _not_there(place, node)
        if why:
            yield Against(kind="node", text=why)


def _state(wish: Wish, volume: Volume, pv: Pv | None, now: Instant) -> Iterable[Against]:
    status = volume.status
    if status.phase is Phase.AVAILABLE:
        ref = pv.spec.claim_ref if pv is not None else None
        mine = ref is not None and (ref.namespace, ref.name) == (wish.metadata.namespace, wish.metadata.name)
        if ref is not None and not mine:
            yield Against(kind="reserved", text=f"reserved for {ref}")
        if pv is None or pv_state(pv) == "terminating":
            yield Against(kind="pending", text="its PersistentVolume is being replaced")
    elif status.phase is Phase.BOUND:
        yield Against(kind="bound", text=f"{speak.claim(volume)} has it")
    elif status.phase is Phase.RELEASED:
        coming = status.reason == "Countdown" and status.wipe_at
        text = f"wiped {speak.countdown(status.wipe_at, now)}" if coming else status.reason
        yield Against(kind="released", text=f"released by {speak.claim(volume) or 'somebody'}: {text}")
    elif status.phase is Phase.WIPING:
        yield Against(kind="wiping", text=f"being wiped: {speak.progress(volume)}")
    else:
        yield Against(kind="pending", text=f"{status.state or status.phase.value}: {status.reason or 'new'}")


def _conditions(selector: Selector) -> list[str]:
    return [words for words, _ in _checked(selector, {})]


def _checked(selector: Selector, labels: Mapping[str, str]) -> list[tuple[str, bool]]:
    found = [(f"{key}={value}", labels.get(key) == value) for key, value in selector.match_labels.items()]
    found += [(_words(each), _holds(each, labels)) for each in selector.match_expressions]
    return found


def _words(each: Requirement) -> str:
    values = f" ({','.join(each.values)})" if each.values else ""
    return f"{each.key} {each.operator}{values}"


def _holds(each: Requirement, labels: Mapping[str, str]) -> bool:
    match each.operator:
        case "In":
            return labels.get(each.key) in each.values
        case "NotIn":
            return labels.get(each.key) not in each.values
        case "Exists":
            return each.key in labels
        case "DoesNotExist":
            return each.key not in labels
        case _:
            return False


def _not_there(place: Place, node: Node) -> str:
    """Why the pod cannot run on the disk's node; empty: nothing that is looked at here."""
    name = node.metadata.name
    if place.node_name and place.node_name != name:
        return f"the pod runs on {place.node_name}"
    for key, value in place.node_selector.items():
        if node.metadata.labels.get(key) != value:
            return f"{name} has not the label {key}={value}"
    for taint in node.spec.taints:
        if taint.effect in ("NoSchedule", "NoExecute") and not _tolerated(place, taint):
            return f"{name} has the taint {taint.key}:{taint.effect}"
    if not any(each.type == "Ready" and each.status == "True" for each in node.status.conditions):
        return f"{name} is not ready"
    return ""


def _tolerated(place: Place, taint: Taint) -> bool:
    """Values are not compared: what is said here must not claim more obstacles than there are."""
    return any(
        each.key in ("", taint.key) and each.effect in ("", taint.effect) for each in place.tolerations
    )


def _nearness(each: Considered) -> int:
    return min((_ORDER.index(one.kind) for one in each.against), default=-1)


def _largest_free(wish: Wish, volumes: Sequence[Volume], pvs: Mapping[str, Pv]) -> str:
    free = [
        (_size(volume, pvs.get(volume.status.volume_name)), volume)
        for volume in volumes
        if volume.status.phase is Phase.AVAILABLE
    ]
    same = [each for each in free if each[1].spec.pool == wish.spec.storage_class_name]
    if same:
        size, volume = max(same, key=lambda each: each[0])
        return f"{format_bytes(size)} ({volume.metadata.name})"
    if free:
        size, volume = max(free, key=lambda each: each[0])
        return f"none in this class; {format_bytes(size)} in pool {volume.spec.pool} ({volume.metadata.name})"
    return "none: no disk of any pool is free"


def _fix(
    wish: Wish,
    size: int,
    place: Place | None,
    considered: Sequence[Considered],
    volumes: Mapping[str, Volume],
    now: Instant,
) -> tuple[str, str]:
    """The nearest way to a volume for this claim, and a command for it where there is one."""
    pools = sorted({volume.spec.pool for volume in volumes.values()})
    if not considered:
        return "no disk is listed yet: list one in the inventory", ""
    if not considered[0].against:
        if place is None:
            return "a volume fits; it is bound once a pod uses the claim (WaitForFirstConsumer)", ""
        return f"{considered[0].volume} fits: look at what the scheduler says of the pod", ""
    if wish.spec.storage_class_name not in pools:
        wanted = wish.spec.storage_class_name or "(none)"
        return f"there is no pool {wanted}; ask for one of: {', '.join(pools)}", ""
    near = considered[0]
    largest = max((each.size_bytes for each in considered if _of_class(each, wish, volumes)), default=0)
    if largest and largest < size:
        pool = wish.spec.storage_class_name
        return f"no disk of pool {pool} is that large: ask for at most {format_bytes(largest)}", ""
    if len(near.against) > 1:
        return f"nothing is near: {near.volume} comes closest ({'; '.join(a.text for a in near.against)})", ""
    return _near_fix(near, volumes[near.volume], size, now)


def _of_class(each: Considered, wish: Wish, volumes: Mapping[str, Volume]) -> bool:
    spec = volumes[each.volume].spec
    return (spec.pool, spec.volume_mode) == (wish.spec.storage_class_name, wish.spec.volume_mode)


def _near_fix(near: Considered, volume: Volume, size: int, now: Instant) -> tuple[str, str]:
    name, kind = speak.quoted(near.volume), near.against[0].kind
    match kind:
        case "wiping":
            return f"wait: {near.volume} is being wiped and then fits", ""
        case "released" if volume.status.reason == "Countdown":
            when = speak.countdown(volume.status.wipe_at, now)
            return (
                f"wait: {near.volume} is wiped {when} and then fits; or wipe it now",
                f"{speak.PLUGIN} wipe-now {name}",
            )
        case "released" | "pending":
            why = f"{near.volume} would fit, but {near.against[0].text}"
            return why, speak.way_out(volume) or f"{speak.PLUGIN} explain {name}"
        case "reserved":
            return f"{near.volume} would fit, but is {near.against[0].text}", ""
        case "size":
            return f"ask for at most {format_bytes(near.size_bytes)}, not {format_bytes(size)}", ""
        case "class":
            return f"storageClassName: {volume.spec.pool} has a disk that fits ({near.volume})", ""
        case "labels" | "node" | "mode":
            return f"{near.volume} would fit, but {near.against[0].text}", ""
        case _:
            return "every disk that would fit is bound: list another one", ""
