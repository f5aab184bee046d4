"""How the tool speaks of times, disks, owners and commands: one place, so that every verb says it alike."""

from __future__ import annotations

import shlex

from tidb_volume import words
from tidb_volume.cli.render import Span, span
from tidb_volume.units import Instant, format_bytes, format_duration, parse_instant
from tidb_volume.value import Identity, Phase, Volume

PLUGIN = "kubectl tidb-volume"

LETTERS: dict[Phase, tuple[str, str]] = {
    Phase.AVAILABLE: ("A", "green"),
    Phase.BOUND: ("B", "blue"),
    Phase.RELEASED: ("R", "yellow"),
    Phase.WIPING: ("W", "magenta"),
    Phase.PENDING: ("P", "cyan"),
    Phase.FAILED: ("F", "alarm"),
}

PERSON = (
    "WipeFailed",
    "WipeRefused",
    "NotBegun",
    "NotMadeReady",
    "WrongDisk",
    "Stuck",
    "Hindered",
    "Terminating",
    "HasData",
    "GoneByHand",
    "Conflict",
    "Foreign",
    "NotPresent",
    "NotMounted",
    "Refused",
    "Occupied",
    "NoHostname",
    "HostnameConflict",
    "DroppedReleased",
    "AwaitsApproval",
    "Reserved",
    "PolicyRetain",
    "PoolKeeps",
    "AtTheRoot",
)
"""The reasons that only a person ends, the worst first. What a person did on purpose (hold, cordon, pause) is
not waiting for one, and neither is a gate, which a program may pass."""


def phase_span(phase: Phase, text: str = "") -> Span:
    """A phase, or a state that begins with it, in its colour."""
    return span(text or phase.value, LETTERS[phase][1])


def when(text: str) -> Instant | None:
    """An instant out of a status; None where it is none."""
    try:
        return parse_instant(text)
    except ValueError:
        return None


def clock(text: str) -> str:
    """A time as it is printed: UTC, to the second; what is no time as it is."""
    instant = when(text)
    if instant is None:
        return text or "-"
    from datetime import UTC, datetime

    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def age(text: str, now: Instant) -> str:
    """How long ago, as kubectl prints ages."""
    instant = when(text)
    return "-" if instant is None else format_duration(now - instant)


def countdown(text: str, now: Instant) -> str:
    """How long until a time: `in 23m10s`, `now`."""
    instant = when(text)
    if instant is None:
        return "-"
    return f"in {format_duration(instant - now)}" if instant - now >= 1 else "now"


def identity(of: Identity | None) -> str:
    """A disk by what it says of itself."""
    if of is None:
        return "not seen yet"
    parts = [of.model, f"serial {of.serial}" if of.serial else "", f"wwn {of.wwn}" if of.wwn else ""]
    if not of.serial and not of.wwn:
        parts.append(f"eui {of.eui}" if of.eui else "")
    parts.append(f"virtual disk {of.virtual}" if of.virtual else "")
    parts.append(format_bytes(of.size_bytes) if of.size_bytes else "")
    return ", ".join(part for part in parts if part) or "a disk without a name of its own"


def serial(volume: Volume) -> tuple[str, str]:
    """What a person types to show that this very disk is meant, and what it is called."""
    known = volume.status.identity or (volume.status.disk.identity if volume.status.disk else None)
    if known is not None and known.serial:
        return "the disk's serial", known.serial
    return "the volume's name", volume.metadata.name


def claim(volume: Volume) -> str:
    """Who has or had it."""
    owner = volume.status.owner
    return str(owner.claim) if owner is not None and owner.claim is not None else ""


def pod(volume: Volume) -> str:
    """The pod that uses it."""
    owner = volume.status.owner
    return owner.pod.name if owner is not None and owner.pod is not None else ""


def data_since(volume: Volume) -> str:
    """When the data on it was let go, out of the history; empty: nobody let it go."""
    found = [record.at for record in volume.status.history if record.what == "released"]
    return found[-1] if found and volume.status.phase in (Phase.RELEASED, Phase.WIPING) else ""


def way_out(volume: Volume, reason: str = "") -> str:
    """What a person can do about a reason, as the status says it too."""
    reason = reason or volume.status.reason
    if reason == "PolicyRetain" and volume.spec.wipe.on_release == "keep":
        reason = "PoolKeeps"  # where the pool keeps, the policy's patch alone would change nothing
    return _way_out(volume, reason)


def message(volume: Volume, reason: str, said: str) -> str:
    """A status's message without the way out at its end."""
    end = _way_out(volume, reason)
    return said.removesuffix(f"; {end}") if end else said


def _way_out(volume: Volume, reason: str) -> str:
    if reason not in words.REASONS:
        return ""
    known = words.find(reason, volume.spec.source)
    return known.way_out.format(
        volume=quoted(volume.metadata.name),
        node=volume.spec.node_name,
        source=volume.spec.source,
        pool=volume.spec.pool,
        pv=quoted(volume.status.volume_name),
        claim=claim(volume),
        note="",
        when="",
    )


def explain(volume: Volume) -> str:
    """The command that tells of a volume why it is as it is."""
    return f"{PLUGIN} explain {quoted(volume.metadata.name)}"


def quoted(name: str) -> str:
    """A name as it stands in a command that may be copied."""
    return shlex.quote(name)


def progress(volume: Volume) -> str:
    """How far its order has come: `12Gi of 1.8Ti, 1%`."""
    work = volume.status.work
    if work is None or volume.spec.order is None or work.order_id != volume.spec.order.id:
        return "not begun"
    if work.total_bytes:
        share = min(100, 100 * work.done_bytes // work.total_bytes)
        return f"{format_bytes(work.done_bytes)} of {format_bytes(work.total_bytes)}, {share}%"
    if work.done_files:
        return f"{work.done_files} files gone"
    return work.state.value
