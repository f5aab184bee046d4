"""What is so, right now: the facts of one volume that phases and plans are decided from.

Every fact is computed from the snapshot alone. None says which event came, and none depends on the phase
that was shown before, so that a restart, a missed event or a hand in the API cannot make them differ.
"""

from __future__ import annotations

from typing import Literal

from tidb_volume import names
from tidb_volume.identity import same_file_system
from tidb_volume.life.world import World
from tidb_volume.shape import BLOCK, shape
from tidb_volume.upstream import Pv
from tidb_volume.value import Content, DiskReport, Order, Presence, Ref, Value, VolumeSpec, Work, WorkState

PvState = Literal["none", "terminating", "offered", "reserved", "claimed", "released"]
"""`reserved`: nobody has it, and it waits for one claim alone, to which a person gave the data."""

_UNDECIDED = frozenset({"HasData", "AnswerGone", "Malformed"})
"""Refusals after which a person has to decide anew. After any other the wipe is still owed."""
_PASSING = frozenset({"Breaker", "Withdrawn"})
"""Refusals that say nothing of the disk: the wipe is ordered again once nothing bars it."""


class Seen(Value):
    """The facts of one volume."""

    pv: Pv | None
    pv_state: PvState
    at_root: bool
    """It leads to the mount's own root: a person gave a claim what others had put there."""
    claimed: bool
    was_claimed: bool
    """A claim had the disk and let it go, or nobody can say that none had."""
    order: Order | None
    """The order that stands; one whose tenancy is already on record is history."""
    mine: bool
    """The order that stands was written by this leader."""
    committed: bool
    done: bool
    failed: bool
    refused: bool
    undecided: bool
    """It was refused for what is on the disk, or for want of an answer: no wipe is owed any more."""
    barred: bool
    """It was refused for a reason that says nothing of the disk, and that passes."""
    ready: bool
    """It is done, and the disk agrees: its next tenancy's folder is there, empty, journalled, unused."""
    misshapen: bool
    """It is done and the disk agrees, but by now the entry wants something else of it."""
    work: Work | None
    disk: DiskReport | None
    trouble: str
    """Why the disk can't be on offer by what its daemon says: a word of `words.REASONS`, or empty."""
    trouble_note: str
    disk_known: bool
    """What is on the disk agrees with the record: blank and never handed over, or the unclaimed tenancy's
    empty folder with an unbroken journal."""


def tenancy_of(pv: Pv) -> str:
    """The tenancy that a PersistentVolume of ours was made for: the end of its name, which nobody can change.
    A label can be overwritten by whoever labels volumes."""
    tenancy = pv.metadata.name.rpartition("-")[2]
    return tenancy if names.is_tenancy(tenancy) else ""


def pick_pv(pvs: tuple[Pv, ...]) -> Pv | None:
    """The one PersistentVolume that matters: one that a claim has or had before one that is on offer."""
    before = ("claimed", "released", "terminating", "offered")
    return min(pvs, key=lambda pv: (before.index(pv_state(pv)), pv.metadata.name), default=None)


def pv_state(pv: Pv) -> Literal["terminating", "offered", "claimed", "released"]:
    """Where a PersistentVolume stands. Failed counts as Released; a claimRef with a UID counts as claimed
    even before kube-controller-manager has written the phase; a claimRef without one is only a wish."""
    if pv.status.phase in ("Released", "Failed"):
        return "terminating" if pv.metadata.deletion_timestamp else "released"
    if (pv.spec.claim_ref is not None and pv.spec.claim_ref.uid) or pv.status.phase == "Bound":
        return "claimed"
    return "terminating" if pv.metadata.deletion_timestamp else "offered"


def _state(world: World, pv: Pv | None) -> PvState:
    """As `pv_state`, with what the record and the claims know of a reservation.

    A Released volume that names another claim than the one that had it was pointed at that claim by a person,
    with our help or by hand. Whether that claim is gone already, a cache cannot say: it is not wiped.
    """
    if pv is None:
        return "none"
    state, ref = pv_state(pv), pv.spec.claim_ref
    if ref is None:
        return state
    owner, reserved = world.volume.status.owner, world.volume.status.reserved
    ours = reserved is not None and _same_name(ref, reserved)
    if ours and not ref.uid and state in ("offered", "released"):
        return "reserved"  # Released still, until Kubernetes has seen that the UID is gone
    if state == "released" and ref.uid:
        had = owner.claim.uid if owner is not None and owner.claim is not None else ""
        if world.claim is not None and world.claim.spec.volume_name in ("", pv.metadata.name):
            # The claim's end has not been heard yet, or it is back: Kubernetes binds it again then.
            return "claimed"
        pointed = had not in ("", ref.uid) and tenancy_of(pv) == world.volume.status.tenancy
        return "reserved" if pointed or world.claim is not None else "released"
    return state


def _same_name(one: Ref, other: Ref) -> bool:
    return (one.namespace, one.name) == (other.namespace, other.name)


def look(world: World) -> Seen:
    """Compute the facts from a snapshot. Pure; the same snapshot gives the same facts."""
    volume, status = world.volume, world.volume.status
    pv = pick_pv(world.pvs)
    state = _state(world, pv)
    order = volume.spec.order
    if order is not None and status.tenancy and order.next == status.tenancy:
        order = None  # fulfilled: the tenancy that it began is the one on record
    work = status.work if order is not None and status.work and status.work.order_id == order.id else None

    said = work.state if work is not None else None
    done, refused = said is WorkState.DONE, said is WorkState.REFUSED
    word = work.reason if work is not None else None

    recorded = status.volume_uid
    # A committed wipe deleted its PersistentVolume itself, and what we took back nobody had; else, where one
    # was made and is gone, nobody knows who had it.
    by_us = recorded in world.mine.deleted or status.withdrawn == status.tenancy != ""
    lost = bool(recorded) and pv is None and not by_us and not status.committed

    was_claimed = state in ("released", "reserved") or (
        state != "claimed" and (status.dirty or lost) and not (done and _begins(order, pv))
    )
    trouble, note = _trouble(world)
    clean = done and _agrees(status.disk, order)
    misshapen = clean and _is_misshapen(volume.spec, status.disk)
    return Seen(
        pv=pv,
        pv_state=state,
        at_root=pv is not None and _is_at_root(volume.spec, pv),
        claimed=state == "claimed",
        was_claimed=was_claimed,
        order=order,
        mine=order is not None and order.id in world.mine.orders,
        committed=bool(status.committed),
        done=done,
        failed=said is WorkState.FAILED,
        refused=refused,
        undecided=refused and word in _UNDECIDED,
        barred=refused and word in _PASSING,
        ready=clean and not misshapen,
        misshapen=misshapen,
        work=work,
        disk=status.disk,
        trouble=trouble,
        trouble_note=note,
        disk_known=is_known(world),
    )


def _is_at_root(spec: VolumeSpec, pv: Pv) -> bool:
    return bool(spec.source.path) and pv.spec.local is not None and pv.spec.local.path == spec.source.path


def _begins(order: Order | None, pv: Pv | None) -> bool:
    """The PersistentVolume that is there begins the tenancy that the order that is done made clean."""
    assert order is not None, "what is done was ordered"
    return order.offer and pv is not None and tenancy_of(pv) == order.next


def _is_misshapen(spec: VolumeSpec, disk: DiskReport | None) -> bool:
    """It is not what the entry wants by now; a daemon that does not say what it made is believed."""
    assert disk is not None, "what agrees was seen"
    return disk.made not in ("", shape(spec.volume_mode, spec.fs_type, spec.mount_options))


def _agrees(disk: DiskReport | None, order: Order | None) -> bool:
    """The disk shows what the order that is done was to make."""
    assert order is not None, "what is done was ordered"
    return (
        disk is not None
        and disk.presence is Presence.OK
        and disk.tenancy == disk.journal == order.next
        and disk.empty
        and not disk.in_use
        and not disk.claims
        and not disk.journal_broken
        and not disk.trash
        and disk.capacity_bytes > 0
    )


def _trouble(world: World) -> tuple[str, str]:
    volume, desired, disk = world.volume, world.desired, world.volume.status.disk
    if not world.listed:
        return "Dropped", ""
    if desired is not None and desired.conflict:
        return "Conflict", desired.conflict
    if world.never:
        return "Never", world.never
    if world.around.foreign:
        return "Foreign", f": {world.around.foreign}"
    if desired is None:
        return "Cordoned", ""
    if world.node is None:
        return "NodeUnknown", ""
    if not world.node.metadata.labels.get(names.HOSTNAME):
        return "NoHostname", ""
    if len(world.node_names_with_hostname) > 1:
        return "HostnameConflict", ", ".join(world.node_names_with_hostname)
    if disk is None:
        return "NotObserved", ""
    if disk.presence is Presence.CONFLICT:
        return "Conflict", disk.message
    if disk.presence is not Presence.OK:
        return disk.presence.value, presence_note(world)
    if world.around.twin:
        return "Conflict", world.around.twin
    if world.elsewhere:
        other = world.elsewhere[0].metadata.name
        return "Conflict", f"tenancy {disk.tenancy} on this disk is that of PersistentVolume {other}"
    if world.around.unsurveyed and not world.pvs:
        # What is on offer already is not taken back for that: a survey may be lost, and comes again.
        return "NotObserved", ""
    if volume.spec.admin.cordon:
        return "Cordoned", ""
    if volume.spec.admin.retire:
        return "Retired", ""
    return "", ""


def presence_note(world: World) -> str:
    """What the daemon says of a disk that is not as it should be, as part of a sentence."""
    disk = world.volume.status.disk
    said = [each for each in (disk.message if disk is not None else "", world.around.moved) if each]
    return f" ({'; '.join(said)})" if said else ""


def is_open(disk: DiskReport) -> bool:
    """Somebody has the raw device, if only to read its health; meanwhile nobody looks whether it is zero."""
    return disk.made == BLOCK and disk.in_use != ""


def is_known(world: World, *, used: bool = False) -> bool:
    """Whether what is on the disk agrees with the record. used: also where somebody uses it just now, so that
    it is not to be offered before that ends."""
    status, disk = world.volume.status, world.volume.status.disk
    if disk is None or disk.presence is not Presence.OK or disk.journal_broken or disk.trash:
        return False
    if disk.content is Content.BLANK:
        # Blank, but the record or the journal remembers a tenancy there: somebody emptied it by hand, or
        # it is another disk. Unknown is never clean.
        return disk.journal == "" and status.tenancy == "" and not status.dirty
    unclaimed = status.withdrawn == status.tenancy or not status.volume_uid
    if _is_put_away(world, disk):
        return disk.journal == status.tenancy and unclaimed and not status.dirty
    if disk.content is Content.TENANCY:
        # A record without a tenancy is a new one: the entry is back, and the journal decides.
        recorded = disk.tenancy == status.tenancy or not status.tenancy
        return (
            (disk.empty or is_open(disk))
            and disk.tenancy == disk.journal
            and recorded
            and unclaimed
            and not status.dirty
            and (used or not disk.in_use)
            and not disk.claims
        )
    return False


def _is_put_away(world: World, disk: DiskReport) -> bool:
    """The file system that we made is unmounted by our own order, as `retire` has it, and is the one on
    record: what is on it was known before."""
    order, work = world.volume.spec.order, world.volume.status.work
    return (
        order is not None
        and order.kind == "unmount"
        and work is not None
        and (work.order_id, work.state) == (order.id, WorkState.DONE)
        and disk.content is Content.DATA
        and same_file_system(world.volume.status.identity, disk.identity)
    )
