"""What people answered, and whether it counts: for the question that stands now, and for no other.

An answer that cannot be taken is never dropped in silence: `not_taken` says why, and the way out.
"""

from __future__ import annotations

import msgspec

from tidb_volume import names
from tidb_volume.inventory import policy
from tidb_volume.inventory.model import Kind
from tidb_volume.life import daemon
from tidb_volume.life.look import Seen
from tidb_volume.life.world import World
from tidb_volume.value import (
    Adopt,
    Answer,
    Approve,
    Content,
    Identity,
    Presence,
    Question,
    Ref,
    Restore,
    Volume,
)

ABSENT = frozenset({Presence.NOT_PRESENT, Presence.NOT_MOUNTED, Presence.STUCK, Presence.WRONG_DISK})


def _question_of(volume: Volume, answer: Adopt | Approve | Restore | Answer | None) -> Question | None:
    """The question that stands, if this is an answer to it."""
    question = volume.status.question
    is_asked = question is not None and answer is not None and answer.question == question.id
    return question if is_asked else None


def counts(volume: Volume, answer: Adopt | Approve | Restore | Answer | None) -> bool:
    """Whether it is an answer to the question that stands."""
    return _question_of(volume, answer) is not None


def _adopts(volume: Volume) -> Adopt | None:
    adopt = volume.spec.admin.adopt
    return adopt if counts(volume, adopt) else None


def wipe_now(world: World) -> bool:
    """A person answered this very question with wipe-now."""
    return counts(world.volume, world.volume.spec.admin.wipe_now)


def said_now(world: World) -> str:
    """The question that a person answered with wipe-now, by its id; empty: none."""
    asked = _question_of(world.volume, world.volume.spec.admin.wipe_now)
    return asked.id if asked is not None else ""


def adopt_wipe(world: World) -> bool:
    """A person answered this very question with adopt: Wipe."""
    adopt = _adopts(world.volume)
    return adopt is not None and adopt.action == "Wipe"


def approved(world: World) -> bool:
    """A person let the planned wipe happen; to ask for a wipe oneself is more than to approve of one."""
    approves = _approves(world.volume) is not None and not _why_not_approved(world)
    return approves or wipe_now(world) or adopt_wipe(world)


def approved_method(world: World) -> str:
    """The method that a person asks for who approves of the wipe; empty: the planned one."""
    approve = _approves(world.volume)
    return approve.method if approve is not None and not _why_not_approved(world) else ""


def _approves(volume: Volume) -> Approve | None:
    approve = volume.spec.admin.approve
    return approve if counts(volume, approve) else None


def named(volume: Volume) -> Ref | None:
    """The claim that is to get the data, by namespace and name: the one that `restore` or `adopt: Keep`
    names, for a restore that names none the former owner's. None: nobody asks for that."""
    admin, owner = volume.spec.admin, volume.status.owner
    restore = admin.restore if counts(volume, admin.restore) else None
    adopt = _adopts(volume)
    if restore is not None:
        claim = restore.claim or (owner.claim if owner is not None else None)
    elif adopt is not None and adopt.action == "Keep":
        claim = adopt.claim
    else:
        return None
    return Ref(namespace=claim.namespace, name=claim.name) if claim is not None else None


def gives(world: World, seen: Seen) -> Ref | None:
    """The claim that the data is to be given to, with its UID where it exists; None: to nobody, or it may not
    be (`not_taken`)."""
    to = named(world.volume)
    if to is None or why_not_given(world, seen, to):
        return None
    claim = world.named_claim
    return Ref(namespace=to.namespace, name=to.name, uid=claim.metadata.uid if claim is not None else "")


def given_tenancy(world: World) -> str:
    """The tenancy whose data is given: the one on record, or for `adopt: Keep` the one found on the disk, be
    it in its folder or, by the journal's word, at the mount's root."""
    disk = world.volume.status.disk
    if restores(world):
        return world.volume.status.tenancy
    if disk is None:
        return ""
    return disk.journal if disk.at_root and found_at_the_root(world) else disk.tenancy


def found_at_the_root(world: World) -> bool:
    """What is on the disk is other people's alone: nothing of a tenancy, nothing of a wipe."""
    disk = world.volume.status.disk
    return disk is not None and disk.content_note.startswith("entries of others")


def may_be_given_at_the_root(world: World) -> bool:
    """What others put at the root of a folder's mount may be given to a claim; back to the former owner only
    where the journal has it as his."""
    disk, recorded = world.volume.status.disk, world.volume.status.tenancy
    if not world.volume.spec.source.path or not found_at_the_root(world):
        return False
    assert disk is not None, "something was found on it"
    return not restores(world) or (disk.at_root and disk.journal == recorded)


def may_be_kept(volume: Volume) -> bool:
    """Whether what is on the disk can be given to a claim: others' data on a path, or a tenancy of ours."""
    disk = volume.status.disk
    return bool(volume.spec.source.path) or (disk is not None and disk.content is Content.TENANCY)


def restores(world: World) -> bool:
    """A person asks to have the data back, whether or not that can be done."""
    return counts(world.volume, world.volume.spec.admin.restore)


ELSEWHERE = ", shown by other machines too"
"""Part of what a question about a disk is about, so that nobody accepts what he was not told of."""


def facts(identity: Identity | None) -> str:
    """Every fact of a disk, for what a question is about."""
    if identity is None:
        return "no facts"
    known = msgspec.structs.asdict(identity)
    return " ".join(f"{name}={fact}" for name, fact in known.items() if fact)


def disk_in_question(world: World) -> str:
    """Which disk a person may accept, as part of what the question is about: another one in the place of the
    recorded one, or a newcomer with facts that other machines show as well. Empty: none."""
    status, disk = world.volume.status, world.volume.status.disk
    if disk is None or disk.identity is None or disk.identity == status.identity:
        return ""
    elsewhere = ELSEWHERE if world.around.twin and world.around.apart else ""
    if disk.presence is Presence.WRONG_DISK:
        return f" in its place: {facts(disk.identity)}{elsewhere}"
    if disk.presence is Presence.OK and status.identity is None and elsewhere:
        return f" on {facts(disk.identity)}{elsewhere}"
    return ""


def accepts_identity(world: World) -> bool:
    """A person says that the disk that is there now is the right one, and it is nobody else's; or was asked
    and says that it is another one than those that other machines show."""
    question = _question_of(world.volume, world.volume.spec.admin.accept_identity)
    asked = disk_in_question(world)
    return (
        question is not None
        and (not world.around.twin or world.around.apart)
        and asked != ""
        and asked in question.about
    )


def forgets(world: World, seen: Seen) -> bool:
    """A person ends the record of a disk that is gone or not listed any more, and that no claim has."""
    return counts(world.volume, world.volume.spec.admin.forget) and not _why_not_forgotten(world, seen)


def not_taken(world: World, seen: Seen) -> str:
    """Why an answer to the question that stands is not taken, with the way out; empty: none is refused."""
    admin = world.volume.spec.admin
    if counts(world.volume, admin.forget):
        why = _why_not_forgotten(world, seen)
        if why:
            return why
    if counts(world.volume, admin.accept_identity) and world.around.twin and not accepts_identity(world):
        return f"not accepted: {world.around.twin}"
    to = named(world.volume)
    if to is not None:
        return why_not_given(world, seen, to) or _why_not_yet(world, seen, to)
    if restores(world):
        return "nobody knows who had it; name the claim that gets it: adopt it with Keep"
    return _why_not_wiped(world, seen) or _why_not_approved(world)


def _why_not_approved(world: World) -> str:
    approve, spec = _approves(world.volume), world.volume.spec
    if approve is None or not approve.method:
        return ""
    kind = Kind.of(spec.source, spec.volume_mode)
    if policy.may_replace(approve.method, spec.wipe.method, kind):
        return ""
    return (
        f"not approved: {approve.method} is no method for a {kind.value}, or weaker than {spec.wipe.method},"
        " which is planned; approve with a stronger one, or with none for the planned one"
    )


def _why_not_wiped(world: World, seen: Seen) -> str:
    """Each question has one answer by which it is wiped, since the other one says less than is asked."""
    asked, wipe = world.volume.status.question, world.volume.spec.wipe
    now, adopted = wipe_now(world), adopt_wipe(world)
    if now and not adopted:
        assert asked is not None, "it was answered"
        if asked.kind in ("gone", "adopt"):
            return (
                "not wiped: it is not known whose data this is; to wipe it all the same, adopt it with Wipe"
            )
    if not adopted or now or seen.pv is None:
        return ""
    by_policy = seen.pv.spec.persistent_volume_reclaim_policy == "Delete" and wipe.on_release != "keep"
    if seen.at_root or not by_policy:
        return (
            "not wiped: it is known whose data this is, and it is kept; to wipe it all the same, say wipe-now"
        )
    return ""


def _why_not_forgotten(world: World, seen: Seen) -> str:
    if seen.claimed or seen.pv_state == "reserved":
        return "not forgotten: a claim has it; delete the claim first"
    disk = world.volume.status.disk
    absent = daemon.is_lost(world) or (disk is not None and disk.presence in ABSENT)
    if world.listed and not absent:
        return "not forgotten: the disk is there and an entry lists it; remove the entry, or wipe it"
    return ""


def why_not_given(world: World, seen: Seen, to: Ref) -> str:
    """Why the data cannot be given to that claim, with the way out; empty: it can."""
    owner, claim = world.volume.status.owner, world.named_claim
    former = owner.claim if owner is not None else None
    if seen.done and seen.committed:
        return "not restored: the data is gone, the wipe is done"
    if seen.committed and seen.work is not None and seen.work.begun:
        return "not restored: the wipe has begun to delete"
    if restores(world):
        if former is None:
            return "not restored: nobody knows who had it; name the claim that gets it: adopt it with Keep"
        if former.namespace != to.namespace:
            return (
                f"not restored to {to}: it was {former.namespace}'s, and a restore stays in its namespace;"
                " give it to a claim there"
            )
    elif seen.pv is not None:
        return f"not kept for {to}: it is known whose data this is; restore it, or leave it to the policy"
    bound_to = claim.spec.volume_name if claim is not None else ""
    if bound_to and bound_to != names.pv_name(world.volume.metadata.name, given_tenancy(world)):
        return (
            f"not given to {to}: that claim is bound to {bound_to};"
            " scale its user to 0, delete that claim, then answer again"
        )
    return ""


NOT_FOR_DEVICES = (
    "what others have made on a device is given to no claim as it is; mount it yourself, and list that folder"
)


def _why_not_yet(world: World, seen: Seen, to: Ref) -> str:
    """What about the disk keeps a PersistentVolume from being made for that claim (`give`). While an order is
    being taken back, its daemon is putting things right."""
    disk, given = seen.disk, given_tenancy(world)
    if seen.pv is not None or disk is None or (seen.committed and not seen.refused):
        return ""
    if seen.trouble not in ("", "Cordoned", "Retired"):
        return f"not given to {to} yet: {seen.trouble}{seen.trouble_note}"
    if world.desired is None:
        return f"not given to {to} yet: no inventory entry lists the disk just now"
    if disk.trash:
        put_aside = f"what order {', '.join(disk.trash)} has put aside is on the disk; move it back by hand"
        return "" if seen.committed else f"not given to {to}: {put_aside}"
    if disk.content is Content.TENANCY:
        other = f"tenancy {disk.tenancy} is on the disk, and not {given or 'a known one'}"
        return (
            ""
            if disk.tenancy == given
            else f"not given to {to}: {other}; adopt with Keep gives what is there"
        )
    if may_be_given_at_the_root(world):
        return ""
    if world.volume.spec.source.path and found_at_the_root(world):
        other = f"what is at the mount's root ({disk.content_note}) is not known as tenancy {given}"
        return f"not given to {to}: {other}; adopt with Keep gives what is there"
    said = f"not given to {to}: nothing that could be is on the disk"
    said = f"{said} ({disk.content_note or disk.content.value})"
    return said if world.volume.spec.source.path else f"{said}; {NOT_FOR_DEVICES}"
